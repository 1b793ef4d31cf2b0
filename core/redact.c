/* SPDX-License-Identifier: MIT */
#include "redact.h"

#include "json.h"

/*
 * Secrets that the model does not mark. Which properties of a configuration are secret is known to its action type
 * alone, so all of them count.
 */
static const char *const secret_members[] = {"SecretToken", "clientToken", "configuration", "resolvedConfiguration"};

static bool is_secret_member(cpl_str key) {
    for (size_t i = 0; i < CPL_COUNT(secret_members); i++) {
        if (cpl_str_is(key, secret_members[i])) return true;
    }
    return false;
}

typedef struct writing {
    cpl_buf *out;
    bool comma;  /* something stands before, in the same object or array */
    bool secret; /* inside the value of a secret member */
    int outside; /* the depth at which that value ends */
} writing;

static void add_scalar(const writing *w, const cpl_cursor *cursor) {
    cpl_buf *out = w->out;
    if (cursor->sensitive || w->secret) {
        cpl_buf_adds(out, "\"***\"");
        return;
    }
    switch (cursor->token) {
    case CPL_TOKEN_STRING: cpl_json_quote(out, cursor->text); break;
    case CPL_TOKEN_INTEGER: cpl_buf_addf(out, "%lld", (long long)cursor->integer); break;
    case CPL_TOKEN_NUMBER:
    case CPL_TOKEN_TIMESTAMP: cpl_json_add_number(out, cursor->number); break;
    case CPL_TOKEN_TRUE: cpl_buf_adds(out, "true"); break;
    case CPL_TOKEN_FALSE: cpl_buf_adds(out, "false"); break;
    default: cpl_buf_adds(out, "null"); break;
    }
}

/* A key, and when its whole value is sensitive also the value, which is passed over. */
static void add_key(writing *w, cpl_cursor *cursor) {
    bool whole = cursor->sensitive;
    if (w->comma) cpl_buf_addc(w->out, ',');
    w->comma = whole;
    cpl_json_quote(w->out, cursor->text);
    cpl_buf_addc(w->out, ':');
    if (whole) {
        cpl_cursor_skip(cursor);
        cpl_buf_adds(w->out, "\"***\"");
    } else if (!w->secret && is_secret_member(cursor->text)) {
        w->secret = true;
        w->outside = cursor->depth;
    }
}

static void begin(writing *w, char bracket) {
    if (w->comma) cpl_buf_addc(w->out, ',');
    cpl_buf_addc(w->out, bracket);
    w->comma = false;
}

static void add_token(writing *w, cpl_cursor *cursor) {
    switch (cursor->token) {
    case CPL_TOKEN_KEY: add_key(w, cursor); return;
    case CPL_TOKEN_OBJECT: begin(w, '{'); return;
    case CPL_TOKEN_ARRAY: begin(w, '['); return;
    case CPL_TOKEN_OBJECT_END: cpl_buf_addc(w->out, '}'); break;
    case CPL_TOKEN_ARRAY_END: cpl_buf_addc(w->out, ']'); break;
    default:
        if (w->comma) cpl_buf_addc(w->out, ',');
        add_scalar(w, cursor);
    }
    w->comma = true;
    if (w->secret && cursor->depth == w->outside) w->secret = false;
}

void cpl_redact(cpl_buf *out, cpl_str document, uint16_t shape) {
    writing w = {out, false, false, 0};
    cpl_cursor cursor;
    cpl_cursor_init_shape(&cursor, document, shape);
    while (cpl_buf_ok(out) && out->n < CPL_REDACT_MAX) {
        cpl_token token = cpl_cursor_next(&cursor);
        if (token == CPL_TOKEN_END || token == CPL_TOKEN_ERROR) break;
        add_token(&w, &cursor);
    }
    if (out->n >= CPL_REDACT_MAX) cpl_buf_adds(out, "...");
    cpl_cursor_release(&cursor);
}
