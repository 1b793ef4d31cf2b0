/* SPDX-License-Identifier: MIT */
/*
 * In a Lambda function every request names the trace it belongs to, so that functions that call each other in a circle
 * are noticed and stopped.
 */
#ifndef CPL_TRACE_H
#define CPL_TRACE_H

#include "buf.h"

/* Appends the value of the X-Amzn-Trace-Id header; nothing outside of Lambda. */
void cpl_trace_add(cpl_buf *out);

#endif
