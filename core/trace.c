/* SPDX-License-Identifier: MIT */
#include "trace.h"

void cpl_trace_add(cpl_buf *out) {
    /* from the process each time, because Lambda sets it anew for every invocation */
    const char *function = getenv("AWS_LAMBDA_FUNCTION_NAME"), *trace;
    if (function == NULL || function[0] == '\0') return;
    trace = getenv("_X_AMZN_TRACE_ID");
    if (trace == NULL) return;
    for (const char *c = trace; *c; c++) {
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f) {
            cpl_buf_addf(out, "%%%02X", (unsigned)(unsigned char)*c);
        } else {
            cpl_buf_addc(out, *c);
        }
    }
}
