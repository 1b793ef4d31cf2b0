/* SPDX-License-Identifier: MIT */
#include "continuation.h"

#include <math.h>

#include "err.h"

#define PREFIX "cpl1:"
#define SECONDS_MAX 253402300799 /* the last of the year 9999 */
#define AFTER_MAX_S (366.0 * 86400)

bool cpl_continuation_read(cpl_str token, cpl_continuation *out) {
    size_t colon;
    if (!cpl_str_starts(token, PREFIX)) return false;
    token = cpl_str_sub(token, strlen(PREFIX), token.n);
    colon = cpl_str_find(token, ':');
    if (colon == token.n || !cpl_str_integer(cpl_str_sub(token, 0, colon), &out->not_before_s)) return false;
    if (out->not_before_s < 0 || out->not_before_s > SECONDS_MAX) return false;
    out->state = cpl_str_sub(token, colon + 1, token.n);
    if (out->state.n == 0) out->state = (cpl_str){NULL, 0};
    return true;
}

static cpl_status check_json(cpl_str text, cpl_error *err) {
    cpl_cursor cursor;
    cpl_token token;
    cpl_status status = CPL_OK;
    cpl_cursor_init(&cursor, text);
    do {
        token = cpl_cursor_next(&cursor);
    } while (token != CPL_TOKEN_END && token != CPL_TOKEN_ERROR);
    if (token == CPL_TOKEN_ERROR) {
        status = cpl_fail_at(err, CPL_INVALID, "state", "the state is not JSON: %s at byte %zu", cursor.message,
                             cursor.offset);
    }
    cpl_cursor_release(&cursor);
    return status;
}

cpl_status cpl_continuation_write(cpl_str state, double after_s, int64_t now_ms, cpl_buf *out, cpl_error *err) {
    if (!(after_s >= 0 && after_s <= AFTER_MAX_S)) {
        return cpl_fail_at(err, CPL_INVALID, "after", "%g is not a number of seconds from 0 to a year", after_s);
    }
    if (state.n > CPL_CONTINUATION_STATE_MAX) {
        return cpl_fail_at(err, CPL_TOO_LARGE, "state", "the state is %zu bytes, the limit is %d", state.n,
                           CPL_CONTINUATION_STATE_MAX);
    }
    if (state.n > 0) {
        cpl_status status = check_json(state, err);
        if (status != CPL_OK) return status;
    }
    cpl_buf_addf(out, PREFIX "%lld:", (long long)ceil((double)now_ms / 1000 + after_s));
    cpl_buf_addv(out, state);
    return cpl_buf_status(out, "the continuation token", err);
}
