/* SPDX-License-Identifier: MIT */
/* The S3 subset without its HTTP server: requests are made and signed by hand, at a time the test chooses. */
#ifndef CPL_TEST_S3_SESSION_H
#define CPL_TEST_S3_SESSION_H

#include "../../core/emulator/message.h"
#include "../../core/emulator/s3.h"
#include "test.h"

typedef struct session {
    emu *e;
    cpl_credentials keys;
    const char *hash; /* x-amz-content-sha256; NULL: of the body */
    const char *service, *region;
    int64_t now_s, skew_s;
    emu_response response;
    char text[4096]; /* the last answer's body as text, cut */
} session;

#define NOW_S 1800000000
#define OWNER "AKIDOWNER"
#define HEADERS_MAX 16

__attribute__((unused)) static session session_open(const cpl_emulator_options *options) {
    static const cpl_emulator_options defaults = {.access_key_id = {OWNER, sizeof OWNER - 1},
                                                  .secret_access_key = {"owner-secret", 12}};
    session s = {.keys = {.access_key_id = CPL_LIT(OWNER), .secret_access_key = CPL_LIT("owner-secret")},
                 .service = "s3",
                 .region = "us-east-1",
                 .now_s = NOW_S};
    emu_response_init(&s.response);
    CHECK(emu_new(&s.e, options ? options : &defaults, NULL) == CPL_OK);
    return s;
}

__attribute__((unused)) static void session_close(session *s) {
    emu_response_release(&s->response);
    emu_free(s->e);
}

__attribute__((unused)) static size_t add_lines(cpl_header *to, size_t n, const char *const *lines) {
    for (; lines && *lines; lines++, n++) {
        cpl_str line = cpl_str_of(*lines);
        size_t colon = cpl_str_find(line, ':');
        to[n] = (cpl_header){cpl_str_sub(line, 0, colon), cpl_str_trim(cpl_str_sub(line, colon + 1, line.n))};
    }
    return n;
}

__attribute__((unused)) static int answer(session *s, const emu_request *request) {
    emu_response_release(&s->response);
    emu_response_init(&s->response);
    emu_set_now(s->e, s->now_s * 1000);
    emu_s3_answer(s->e, request, &s->response);
    CPL_COPY(s->text, cpl_buf_str(&s->response.body));
    return s->response.status;
}

__attribute__((unused)) static int ask(session *s, const char *method, const char *target, const char *const *lines,
                                       cpl_str body) {
    cpl_header headers[HEADERS_MAX] = {{CPL_LIT("Host"), CPL_LIT("127.0.0.1:1")}};
    size_t n = add_lines(headers, 1, lines), question = cpl_str_find(cpl_str_of(target), '?');
    emu_request request = {.method = cpl_str_of(method),
                           .path = cpl_str_sub(cpl_str_of(target), 0, question),
                           .query = cpl_str_sub(cpl_str_of(target), question + 1, strlen(target)),
                           .headers = headers,
                           .body = body};
    cpl_sign_request signing = {.method = request.method,
                                .path = request.path,
                                .query = request.query,
                                .headers = headers,
                                .header_count = n,
                                .body = body,
                                .payload_hash = cpl_str_of(s->hash),
                                .region = cpl_str_of(s->region),
                                .service = cpl_str_of(s->service),
                                .time_s = s->now_s + s->skew_s,
                                .flags = CPL_SIGN_S3};
    cpl_signature signature;
    int status;
    cpl_signature_init(&signature);
    CHECK(cpl_sigv4_sign(NULL, &signing, &s->keys, &signature, NULL) == CPL_OK);
    headers[n++] = (cpl_header){CPL_LIT("X-Amz-Date"), cpl_str_of(signature.date)};
    headers[n++] = (cpl_header){CPL_LIT("x-amz-content-sha256"), cpl_str_of(signature.payload_hash)};
    if (s->keys.session_token.n > 0)
        headers[n++] = (cpl_header){CPL_LIT("X-Amz-Security-Token"), s->keys.session_token};
    headers[n++] = (cpl_header){CPL_LIT("Authorization"), cpl_buf_str(&signature.authorization)};
    request.header_count = n;
    status = answer(s, &request);
    cpl_signature_release(&signature);
    return status;
}

__attribute__((unused)) static int get(session *s, const char *target) {
    return ask(s, "GET", target, NULL, CPL_LIT(""));
}

__attribute__((unused)) static int put(session *s, const char *target, const char *body) {
    return ask(s, "PUT", target, NULL, cpl_str_of(body));
}

__attribute__((unused)) static const char *header(const session *s, const char *name) {
    cpl_str found, value;
    for (size_t i = 0; emu_response_header_at(&s->response, i, &found, &value); i++) {
        if (cpl_str_is_nocase(found, name)) return value.p;
    }
    return NULL;
}

__attribute__((unused)) static bool has(const session *s, const char *text) {
    if (strstr(s->text, text)) return true;
    printf("  no \"%s\" in: %.600s\n", text, s->text);
    return false;
}

__attribute__((unused)) static void refused(const session *s, int status, const char *code) {
    char element[128];
    if (!CHECK(s->response.status == status)) printf("  %d\n", s->response.status);
    snprintf(element, sizeof element, "<Error><Code>%s</Code>", code);
    CHECK(has(s, element));
}

#endif
