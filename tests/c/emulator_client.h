/* SPDX-License-Identifier: MIT */
/* A small signing client for the tests of the emulator's outside, and a bare socket for what no client would send. */
#ifndef CPL_EMULATOR_CLIENT_H
#define CPL_EMULATOR_CLIENT_H

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/http.h"
#include "test.h"

typedef struct client {
    cpl_emulator *emulator; /* NULL: could not start */
    cpl_http *http;
    cpl_http_response response;
    cpl_url url;
    /* how to sign; tests change what they want to see refused */
    cpl_credentials keys;
    const char *region, *service;
    int64_t skew_s;
    const char *payload_hash; /* NULL: of the body */
} client;

static const char *environ_of(const cpl_emulator *emulator, const char *name) {
    const char *found, *value;
    for (size_t i = 0; cpl_emulator_environ(emulator, i, &found, &value); i++) {
        if (strcmp(found, name) == 0) return value;
    }
    return NULL;
}

static client client_start(const cpl_emulator_options *options) {
    static const cpl_http_options direct = {
        .proxy = {"", 0}, .proxy_set = true, .connect_timeout_ms = 10000, .read_timeout_ms = 60000};
    client c = {.region = "us-east-1", .service = "s3"};
    cpl_error err = {0};
    cpl_http_response_init(&c.response);
    if (!CHECK(cpl_emulator_start(&c.emulator, options, &err) == CPL_OK)) {
        printf("  %s\n", err.message);
        return c;
    }
    CHECK(cpl_http_new(&c.http, &direct, &err) == CPL_OK);
    CHECK(cpl_url_parse(cpl_str_of(cpl_emulator_url(c.emulator)), &c.url));
    c.keys.access_key_id = cpl_str_of(environ_of(c.emulator, "AWS_ACCESS_KEY_ID"));
    c.keys.secret_access_key = cpl_str_of(environ_of(c.emulator, "AWS_SECRET_ACCESS_KEY"));
    return c;
}

static void client_stop(client *c) {
    cpl_http_response_release(&c->response);
    cpl_http_free(c->http);
    cpl_emulator_stop(c->emulator);
}

#define CLIENT_HEADERS_MAX 16

/* Header lines "Name: value" given by a test, in a list that ends in NULL. */
static size_t add_lines(cpl_header *to, size_t n, const char *const *lines) {
    for (; lines && *lines; lines++, n++) {
        cpl_str line = cpl_str_of(*lines);
        size_t colon = cpl_str_find(line, ':');
        to[n] = (cpl_header){cpl_str_sub(line, 0, colon), cpl_str_trim(cpl_str_sub(line, colon + 1, line.n))};
    }
    return n;
}

/* Signs and sends; the answer is in c->response. Returns its status, 0 when there was none. */
static int client_send(client *c, const char *method, const char *target, const char *const *lines, cpl_str body) {
    bool s3 = strcmp(c->service, "s3") == 0;
    cpl_str at = cpl_str_of(target);
    size_t question = cpl_str_find(at, '?'), n = 1;
    cpl_header headers[CLIENT_HEADERS_MAX] = {{CPL_LIT("host"), c->url.authority}};
    cpl_sign_request signing = {.method = cpl_str_of(method),
                                .path = cpl_str_sub(at, 0, question),
                                .query = cpl_str_sub(at, question + 1, at.n),
                                .headers = headers,
                                .payload_hash = cpl_str_of(c->payload_hash),
                                .body = body,
                                .region = cpl_str_of(c->region),
                                .service = cpl_str_of(c->service),
                                .time_s = cpl_clock_wall_ms() / 1000 + c->skew_s,
                                .flags = s3 ? CPL_SIGN_S3 : 0};
    cpl_signature signature;
    cpl_error err = {0};
    cpl_http_request request = {.method = signing.method, .body = body, .body_limit = (size_t)1 << 30};
    char url[2048];
    n = add_lines(headers, n, lines);
    signing.header_count = n;
    cpl_signature_init(&signature);
    if (!CHECK(cpl_sigv4_sign(NULL, &signing, &c->keys, &signature, &err) == CPL_OK)) printf("  %s\n", err.message);
    headers[n++] = (cpl_header){CPL_LIT("x-amz-date"), cpl_str_of(signature.date)};
    if (s3) headers[n++] = (cpl_header){CPL_LIT("x-amz-content-sha256"), cpl_str_of(signature.payload_hash)};
    if (c->keys.session_token.n > 0)
        headers[n++] = (cpl_header){CPL_LIT("x-amz-security-token"), c->keys.session_token};
    headers[n++] = (cpl_header){CPL_LIT("authorization"), cpl_buf_str(&signature.authorization)};
    snprintf(url, sizeof url, "%s%s", cpl_emulator_url(c->emulator), target);
    request.url = cpl_str_of(url);
    request.headers = headers + 1; /* the library sends host */
    request.header_count = n - 1;
    cpl_http_response_clear(&c->response);
    if (cpl_http_send(c->http, &request, &c->response, &err)) {
        printf("  %s %s: %s\n", method, target, err.message);
        c->response.status = 0;
    }
    cpl_signature_release(&signature);
    return c->response.status;
}

static int client_call(client *c, const char *operation, cpl_str input) {
    char target[128];
    const char *lines[] = {target, "content-type: application/x-amz-json-1.1", NULL};
    snprintf(target, sizeof target, "x-amz-target: CodePipeline_20150709.%s", operation);
    c->service = "codepipeline";
    return client_send(c, "POST", "/", lines, input);
}

__attribute__((unused)) static bool answer_has(const client *c, const char *text) {
    bool has = strstr(cpl_buf_cstr(&c->response.body), text) != NULL;
    if (!has) printf("  no \"%s\" in: %.500s\n", text, cpl_buf_cstr(&c->response.body));
    return has;
}

__attribute__((unused)) static bool answer_is(const client *c, cpl_str body) {
    return cpl_str_eq(cpl_buf_str(&c->response.body), body);
}

__attribute__((unused)) static bool header_is(const client *c, const char *name, const char *value) {
    cpl_str got = cpl_http_header(&c->response, name);
    if (cpl_str_is(got, value)) return true;
    printf("  %s is \"%.*s\", not \"%s\"\n", name, (int)got.n, got.p ? got.p : "", value);
    return false;
}

/* ---- bare sockets ---- */

__attribute__((unused)) static int port_of_url(const client *c) {
    int64_t port = 0;
    cpl_str authority = c->url.authority;
    cpl_str_integer(cpl_str_sub(authority, cpl_str_find(authority, ':') + 1, authority.n), &port);
    return (int)port;
}

__attribute__((unused)) static int socket_open(const client *c) {
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port_of_url(c)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0)) abort();
    return fd;
}

__attribute__((unused)) static bool socket_send(int fd, const char *text) {
    size_t n = strlen(text);
    return send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* What comes within ten seconds, up to the end of the connection or to a text that contains until. */
__attribute__((unused)) static const char *socket_read(int fd, const char *until) {
    static char text[65536];
    size_t n = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    text[0] = '\0';
    while (n + 1 < sizeof text && !(until && strstr(text, until)) && poll(&wait, 1, 10000) > 0) {
        ssize_t got = recv(fd, text + n, sizeof text - n - 1, 0);
        if (got <= 0) break;
        n += (size_t)got;
        text[n] = '\0';
    }
    return text;
}

#endif
