/* SPDX-License-Identifier: MIT */
#include "reply.h"

#include "err.h"
#include "json.h"
#include "model.h"

cpl_reply *cpl_reply_new(uint16_t shape) {
    cpl_reply *reply = cpl_malloc(sizeof *reply);
    if (reply == NULL) return NULL;
    cpl_http_response_init(&reply->response);
    reply->output = reply->shape = shape;
    reply->unchecked = false;
    reply->operation = NULL;
    reply->attempts = 0;
    reply->retry_delay_ms = 0;
    reply->request_id[0] = '\0';
    return reply;
}

void cpl_reply_free(cpl_reply *reply) {
    if (reply == NULL) return;
    cpl_http_response_release(&reply->response);
    cpl_free(reply);
}

cpl_str cpl_reply_text(const cpl_reply *reply) {
    return cpl_buf_str(&reply->response.body);
}

void cpl_reply_cursor(const cpl_reply *reply, cpl_cursor *cursor) {
    cpl_cursor_init_shape(cursor, cpl_reply_text(reply), reply->shape);
}

int cpl_reply_http_status(const cpl_reply *reply) {
    return reply->response.status;
}

int cpl_reply_attempts(const cpl_reply *reply) {
    return reply->attempts;
}

int64_t cpl_reply_retry_delay_ms(const cpl_reply *reply) {
    return reply->retry_delay_ms;
}

const char *cpl_reply_request_id(const cpl_reply *reply) {
    return reply->request_id;
}

bool cpl_reply_header(const cpl_reply *reply, size_t i, cpl_str *name, cpl_str *value) {
    return cpl_http_header_at(&reply->response, i, name, value);
}

/* ---- answers ---- */

static cpl_status check_document(const cpl_reply *reply, cpl_error *err) {
    cpl_cursor cursor;
    bool object;
    cpl_status status = CPL_OK;
    cpl_cursor_init(&cursor, cpl_reply_text(reply));
    object = cpl_cursor_next(&cursor) == CPL_TOKEN_OBJECT;
    if (object) cpl_cursor_skip(&cursor);
    if (cursor.token != CPL_TOKEN_ERROR && object) cpl_cursor_next(&cursor);
    if (cpl_str_starts(cpl_str_of(cursor.message), "out of memory")) {
        status = cpl_fail_nomem(err);
    } else if (cursor.token == CPL_TOKEN_ERROR) {
        status = cpl_fail(err, CPL_PROTOCOL, "the answer is not JSON: %s", cursor.message);
    } else if (!object) {
        status = cpl_fail(err, CPL_PROTOCOL, "the answer is JSON, but no object");
    }
    cpl_cursor_release(&cursor);
    return status;
}

static cpl_status take_document(cpl_reply *reply, cpl_error *err) {
    if (reply->response.body.n == 0) {
        cpl_buf_adds(&reply->response.body, "{}");
        return cpl_buf_status(&reply->response.body, "the answer", err);
    }
    if (reply->unchecked && cpl_str_starts(cpl_reply_text(reply), "{")) return CPL_OK;
    return check_document(reply, err);
}

cpl_status cpl_reply_check(const cpl_reply *reply, cpl_error *err) {
    cpl_status status = check_document(reply, err);
    if (status == CPL_OK || err == NULL) return status;
    err->http_status = reply->response.status;
    err->attempts = reply->attempts;
    err->retry_delay_ms = reply->retry_delay_ms;
    CPL_COPY(err->request_id, cpl_str_of(reply->request_id));
    CPL_COPY(err->operation, cpl_str_of(reply->operation));
    return status;
}

/* ---- errors ---- */

/* "ns#PipelineNotFoundException:http://internal/" is PipelineNotFoundException. */
static cpl_str bare_code(cpl_str text) {
    size_t hash, n = 0;
    text = cpl_str_sub(text, 0, cpl_str_find(text, ':'));
    hash = cpl_str_find(text, '#');
    if (hash < text.n) text = cpl_str_sub(text, hash + 1, text.n);
    while (n < text.n && ((text.p[n] >= '0' && text.p[n] <= '9') || (text.p[n] >= 'A' && text.p[n] <= 'Z') ||
                          (text.p[n] >= 'a' && text.p[n] <= 'z') || text.p[n] == '.' || text.p[n] == '_')) {
        n++;
    }
    return cpl_str_sub(text, 0, n);
}

typedef struct error_text {
    char code[sizeof((cpl_error *)0)->code];
    char message[sizeof((cpl_error *)0)->message];
} error_text;

/* A value was read. "__type" and "code" mean the same, and so do the three ways to write "message". */
static void note_member(error_text *out, cpl_str key, cpl_str value) {
    bool code = cpl_str_is(key, "__type") || cpl_str_is(key, "code");
    bool message = cpl_str_is_nocase(key, "message") || cpl_str_is(key, "errorMessage");
    if (code && out->code[0] == '\0') CPL_COPY(out->code, bare_code(value));
    if (message && out->message[0] == '\0') CPL_COPY(out->message, value);
}

/* False when the body is not a JSON object. */
static bool read_error_body(cpl_str body, error_text *out) {
    cpl_cursor cursor;
    cpl_token token;
    char key[32];
    bool ok;
    cpl_cursor_init(&cursor, body);
    ok = cpl_cursor_next(&cursor) == CPL_TOKEN_OBJECT;
    while (ok && (token = cpl_cursor_next(&cursor)) == CPL_TOKEN_KEY) {
        CPL_COPY(key, cursor.text);
        token = cpl_cursor_next(&cursor);
        if (token == CPL_TOKEN_STRING) note_member(out, cpl_str_of(key), cursor.text);
        if (token == CPL_TOKEN_OBJECT || token == CPL_TOKEN_ARRAY) token = cpl_cursor_skip(&cursor);
        ok = token != CPL_TOKEN_ERROR;
    }
    ok = ok && cursor.token == CPL_TOKEN_OBJECT_END && cpl_cursor_next(&cursor) == CPL_TOKEN_END;
    cpl_cursor_release(&cursor);
    return ok;
}

/* "answered 502 with text/html: <html> <head><title>...": enough of a foreign body to see who sent it. */
static void describe_foreign(const cpl_http_response *response, error_text *out) {
    cpl_str type = cpl_http_header(response, "content-type");
    cpl_str location = cpl_http_header(response, "location");
    cpl_str body = cpl_buf_str(&response->body);
    char excerpt[160];
    size_t n;
    CPL_COPY(excerpt, cpl_utf8_valid(body) ? body : CPL_LIT("bytes that are no text"));
    for (char *p = excerpt; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) *p = ' ';
    }
    n = (size_t)snprintf(out->message, sizeof out->message, "the service answered %d", response->status);
    if (response->status >= 300 && response->status < 400 && location.n > 0) {
        snprintf(out->message + n, sizeof out->message - n, ", a redirect to \"%.*s\"; redirects are not followed",
                 (int)cpl_utf8_cut(location, 300), location.p);
    } else if (body.n > 0) {
        snprintf(out->message + n, sizeof out->message - n, " with %.*s: %s", (int)(type.n ? type.n : 7),
                 type.n ? type.p : "a body", excerpt);
    } else {
        snprintf(out->message + n, sizeof out->message - n, " without a body");
    }
}

static cpl_status read_error(const cpl_http_response *response, cpl_error *err) {
    error_text found = {"", ""};
    bool ours = read_error_body(cpl_buf_str(&response->body), &found);
    cpl_str header = bare_code(cpl_http_header(response, "x-amzn-errortype"));
    if (!ours) found = (error_text){"", ""}; /* half a document is none */
    if (header.n > 0) CPL_COPY(found.code, header);
    if (!ours) describe_foreign(response, &found);
    if (found.code[0] == '\0') snprintf(found.code, sizeof found.code, "%d", response->status);
    if (found.message[0] == '\0') {
        snprintf(found.message, sizeof found.message, "the service answered %d without a message", response->status);
    }
    cpl_fail(err, CPL_SERVICE, "%s", found.message);
    cpl_clean_text(found.code);
    if (err) CPL_COPY(err->code, cpl_str_of(found.code));
    return CPL_SERVICE;
}

cpl_status cpl_reply_judge(cpl_reply *reply, cpl_error *err) {
    static const char *const id_headers[] = {"x-amzn-requestid", "x-amz-request-id"};
    const cpl_http_response *response = &reply->response;
    cpl_str id = {NULL, 0};
    cpl_status status;
    for (size_t i = 0; i < CPL_COUNT(id_headers) && id.n == 0; i++) id = cpl_http_header(response, id_headers[i]);
    CPL_COPY(reply->request_id, id);
    cpl_clean_text(reply->request_id);
    reply->shape = reply->output; /* an attempt before may have ended in an error */
    status = response->status >= 200 && response->status < 300 ? take_document(reply, err) : read_error(response, err);
    if (status && err) {
        err->http_status = response->status;
        CPL_COPY(err->request_id, cpl_str_of(reply->request_id));
        reply->shape = cpl_model_error_shape(cpl_str_of(status == CPL_SERVICE ? err->code : ""));
        CPL_COPY(err->cloudfront_id, cpl_http_header(response, "x-amz-cf-id"));
        CPL_COPY(err->extended_id, cpl_http_header(response, "x-amz-id-2"));
        cpl_clean_text(err->cloudfront_id);
        cpl_clean_text(err->extended_id);
    }
    return status;
}
