/* SPDX-License-Identifier: MIT */
/*
 * What we put into a continuation token: "cpl1:<not before, seconds since 1970>:<state, JSON text or nothing>". A token
 * in another form is somebody else's and passes through untouched.
 */
#ifndef CPL_CONTINUATION_H
#define CPL_CONTINUATION_H

#include "buf.h"

#define CPL_CONTINUATION_TOKEN_MAX 2048 /* characters the service takes */
#define CPL_CONTINUATION_STATE_MAX 1900 /* bytes */

#define CPL_CONTINUATION_AFRESH "cpl1:0:" /* due at once, no state: the same as a job that was never begun */

typedef struct cpl_continuation {
    int64_t not_before_s;
    cpl_str state; /* view into the token; absent when there is none */
} cpl_continuation;

/* False when the token is not ours. */
bool cpl_continuation_read(cpl_str token, cpl_continuation *out);
/* Appends the token. CPL_INVALID: the state is not JSON, or after_s is negative or not finite; CPL_TOO_LARGE. */
cpl_status cpl_continuation_write(cpl_str state, double after_s, int64_t now_ms, cpl_buf *out, cpl_error *err);

#endif
