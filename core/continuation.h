/* SPDX-License-Identifier: MIT */
/*
 * What we put into a continuation token: "cpl1:<not before, seconds since 1970>:<state, JSON text or nothing>", or of a
 * state that is too large for it "cpl2:<not before>:<bytes>:<SHA-256>:<bucket>/<key>", where it lies. A token in
 * another form is somebody else's and passes through untouched.
 */
#ifndef CPL_CONTINUATION_H
#define CPL_CONTINUATION_H

#include "buf.h"

#define CPL_CONTINUATION_TOKEN_MAX 2048   /* characters the service takes */
#define CPL_CONTINUATION_STATE_MAX 1900   /* bytes of a state that goes into the token */
#define CPL_STATE_MAX ((size_t)1 << 20)   /* bytes of any state */
#define CPL_CONTINUATION_AFRESH "cpl1:0:" /* due at once, no state: the same as a job that was never begun */

typedef struct cpl_continuation {
    int64_t not_before_s;
    cpl_str state;       /* absent when there is none, or it lies elsewhere */
    cpl_str bucket, key; /* where; absent when it does not */
    int64_t size;
    cpl_str sha256; /* in hexadecimal */
} cpl_continuation;

/* False when the token is not ours; else out has views into it. */
bool cpl_continuation_read(cpl_str token, cpl_continuation *out);
/* CPL_INVALID: the state is not JSON, or after_s is negative or not finite; CPL_TOO_LARGE. */
cpl_status cpl_continuation_check(cpl_str state, double after_s, cpl_error *err);
/* In whole seconds, never too early. */
int64_t cpl_continuation_due_s(double after_s, int64_t now_ms);
/* Appends the token of what passed the check. */
cpl_status cpl_continuation_write(const cpl_continuation *what, cpl_buf *out, cpl_error *err);

#endif
