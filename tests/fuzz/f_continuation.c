/* SPDX-License-Identifier: MIT */
/* A continuation token, read; and the same bytes as the state of one that is written. */
#include "../../core/continuation.h"
#include "fuzz.h"

#define NOW_MS 1700000000000

/* What was read says the same when it was written again. */
static void check_same(const cpl_continuation *read) {
    cpl_continuation again;
    cpl_error err = {0};
    cpl_buf token;
    cpl_buf_init(&token, 1 << 16);
    if (cpl_continuation_write(read, &token, &err) == CPL_OK) {
        MUST(cpl_continuation_read(cpl_buf_str(&token), &again) && again.not_before_s == read->not_before_s);
        MUST(cpl_str_eq(again.state, read->state) && again.size == read->size);
        MUST(cpl_str_eq(again.bucket, read->bucket) && cpl_str_eq(again.key, read->key));
        MUST(cpl_str_eq(again.sha256, read->sha256));
    }
    cpl_buf_release(&token);
}

static void check_state(cpl_str state, double after_s) {
    cpl_continuation next = {.state = state};
    cpl_error err = {0};
    if (cpl_continuation_check(state, after_s, &err) != CPL_OK) {
        MUST(err.status == CPL_INVALID || err.status == CPL_TOO_LARGE);
        return;
    }
    next.not_before_s = cpl_continuation_due_s(after_s, NOW_MS);
    MUST(next.not_before_s >= NOW_MS / 1000);
    if (state.n <= CPL_CONTINUATION_STATE_MAX) check_same(&next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_str text = input_of(data, size);
    cpl_continuation read;
    if (cpl_continuation_read(text, &read)) {
        MUST(read.state.n <= text.n && read.key.n <= text.n);
        check_same(&read);
    }
    check_state(text, (double)(size % 100));
    return 0;
}
