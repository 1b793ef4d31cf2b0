/* SPDX-License-Identifier: MIT */
/* A document as it may be shown: what the model calls sensitive, and what an action is configured with, is "***". */
#ifndef CPL_REDACT_H
#define CPL_REDACT_H

#include "buf.h"

/* What is kept of a longer text, which then ends in "..." and is no JSON any more. */
#define CPL_REDACT_MAX 16384

/*
 * Appends document, read as shape. Members the model does not have are left out, because nobody knows what they hold;
 * so is the rest of a text that turns out not to be JSON.
 */
void cpl_redact(cpl_buf *out, cpl_str document, uint16_t shape);

#endif
