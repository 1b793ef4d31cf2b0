/* SPDX-License-Identifier: MIT */
/* A continuation token, read; and the same bytes as the state of one that is written. */
#include "../../core/continuation.h"
#include "fuzz.h"

#define NOW_MS 1700000000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_str text = input_of(data, size);
    cpl_continuation read;
    cpl_error err = {0};
    cpl_buf token;
    if (cpl_continuation_read(text, &read)) MUST(read.state.n <= text.n);
    cpl_buf_init(&token, 1 << 16);
    if (cpl_continuation_write(text, (double)(size % 100), NOW_MS, &token, &err) == CPL_OK) {
        MUST(cpl_buf_ok(&token) && token.n <= CPL_CONTINUATION_TOKEN_MAX);
        MUST(cpl_continuation_read(cpl_buf_str(&token), &read));
        MUST(cpl_str_eq(read.state, text) && read.not_before_s >= NOW_MS / 1000);
    } else {
        MUST(err.status == CPL_INVALID || err.status == CPL_TOO_LARGE);
    }
    cpl_buf_release(&token);
    return 0;
}
