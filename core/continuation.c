/* SPDX-License-Identifier: MIT */
#include "continuation.h"

#include <math.h>

#include "err.h"

#define HERE "cpl1:"
#define ELSEWHERE "cpl2:"
#define SHA256_DIGITS 64
#define SECONDS_MAX 253402300799 /* the last of the year 9999 */
#define AFTER_MAX_S (366.0 * 86400)

/* The text before the next colon, which is taken off rest; false when there is none. */
static bool take_field(cpl_str *rest, cpl_str *field) {
    size_t colon = cpl_str_find(*rest, ':');
    if (colon == rest->n) return false;
    *field = cpl_str_sub(*rest, 0, colon);
    *rest = cpl_str_sub(*rest, colon + 1, rest->n);
    return true;
}

static bool read_place(cpl_str rest, cpl_continuation *out) {
    cpl_str size;
    size_t slash;
    if (!take_field(&rest, &size) || !cpl_str_integer(size, &out->size) || !take_field(&rest, &out->sha256))
        return false;
    slash = cpl_str_find(rest, '/');
    out->bucket = cpl_str_sub(rest, 0, slash);
    out->key = cpl_str_sub(rest, slash + 1, rest.n);
    return out->size > 0 && out->size <= (int64_t)CPL_STATE_MAX && out->sha256.n == SHA256_DIGITS &&
           out->bucket.n > 0 && slash < rest.n && out->key.n > 0;
}

bool cpl_continuation_read(cpl_str token, cpl_continuation *out) {
    cpl_str time;
    bool here = cpl_str_starts(token, HERE);
    *out = (cpl_continuation){0};
    if (!here && !cpl_str_starts(token, ELSEWHERE)) return false;
    token = cpl_str_sub(token, strlen(HERE), token.n);
    if (!take_field(&token, &time) || !cpl_str_integer(time, &out->not_before_s)) return false;
    if (out->not_before_s < 0 || out->not_before_s > SECONDS_MAX) return false;
    if (!here) return read_place(token, out);
    if (token.n > 0) out->state = token;
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

cpl_status cpl_continuation_check(cpl_str state, double after_s, cpl_error *err) {
    if (!(after_s >= 0 && after_s <= AFTER_MAX_S)) {
        return cpl_fail_at(err, CPL_INVALID, "after", "%g is not a number of seconds from 0 to a year", after_s);
    }
    if (state.n > CPL_STATE_MAX) {
        return cpl_fail_at(err, CPL_TOO_LARGE, "state", "the state is %zu bytes, the limit is %zu", state.n,
                           CPL_STATE_MAX);
    }
    return state.n > 0 ? check_json(state, err) : CPL_OK;
}

int64_t cpl_continuation_due_s(double after_s, int64_t now_ms) {
    return (int64_t)ceil((double)now_ms / 1000 + after_s);
}

cpl_status cpl_continuation_write(const cpl_continuation *what, cpl_buf *out, cpl_error *err) {
    cpl_buf_addf(out, "%s%lld:", what->bucket.n > 0 ? ELSEWHERE : HERE, (long long)what->not_before_s);
    if (what->bucket.n > 0) {
        cpl_buf_addf(out, "%lld:", (long long)what->size);
        cpl_buf_addv(out, what->sha256);
        cpl_buf_addc(out, ':');
        cpl_buf_addv(out, what->bucket);
        cpl_buf_addc(out, '/');
        cpl_buf_addv(out, what->key);
    } else {
        cpl_buf_addv(out, what->state);
    }
    return cpl_buf_status(out, "the continuation token", err);
}
