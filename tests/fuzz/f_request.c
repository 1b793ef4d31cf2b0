/* SPDX-License-Identifier: MIT */
/*
 * A request as it arrives, past HTTP: a line "METHOD /path?query", header lines, an empty one, the body. A method that
 * begins with "+" is signed by the owner, in place of the headers that signing makes. A NUL, and there is another one.
 */
#include "../../core/emulator/api.h"
#include "../../core/emulator/auth.h"
#include "../../core/emulator/control.h"
#include "../../core/emulator/s3.h"
#include "../../core/emulator/webhook.h"
#include "fuzz_emulator.h"

#define HEADERS_MAX 20
#define REQUESTS_MAX 8
#define HOST "localhost"

typedef struct world {
    emu *e;
    emu_faults *faults;
    emu_ledger *ledger;
} world;

static size_t read_headers(cpl_str *rest, cpl_header *headers, size_t most) {
    size_t n = 0;
    for (cpl_str line; (line = take_until(rest, '\n')).n > 0;) {
        cpl_str name = take_until(&line, ':');
        if (n < most) headers[n++] = (cpl_header){name, cpl_str_trim(line)};
    }
    return n;
}

/* "Host" and what signing adds are ours; what cannot be signed stays unsigned. */
static void sign(const world *w, emu_request *request, cpl_header *headers, cpl_signature *made) {
    const cpl_credentials owner = emu_owner(w->e);
    size_t n = 0;
    cpl_sign_request wanted = {.method = request->method,
                               .path = request->path,
                               .query = request->query,
                               .headers = headers,
                               .body = request->body,
                               .region = cpl_str_of(emu_region(w->e)),
                               .service = emu_request_is_api(request) ? CPL_LIT("codepipeline") : CPL_LIT("s3"),
                               .time_s = emu_wall_ms(w->e) / 1000,
                               .flags = emu_request_is_api(request) ? 0 : CPL_SIGN_S3};
    for (size_t i = 0; i < request->header_count; i++) {
        cpl_str name = headers[i].name;
        if (cpl_str_is_nocase(name, "host") || cpl_str_is_nocase(name, "authorization") ||
            cpl_str_is_nocase(name, "x-amz-date") || cpl_str_is_nocase(name, "x-amz-content-sha256"))
            continue;
        headers[n++] = headers[i];
    }
    headers[n++] = (cpl_header){CPL_LIT("host"), CPL_LIT(HOST)};
    wanted.header_count = n;
    if (cpl_sigv4_sign(NULL, &wanted, &owner, made, NULL) == CPL_OK) {
        headers[n++] = (cpl_header){CPL_LIT("x-amz-date"), cpl_str_of(made->date)};
        headers[n++] = (cpl_header){CPL_LIT("x-amz-content-sha256"), cpl_str_of(made->payload_hash)};
        headers[n++] = (cpl_header){CPL_LIT("authorization"), cpl_buf_str(&made->authorization)};
    }
    request->header_count = n;
}

/* As emulator.c does it. */
static void serve(const world *w, const emu_request *request, emu_response *response) {
    const emu_control control = {w->e, w->faults, w->ledger, true};
    if (emu_request_is_control(request)) {
        emu_control_answer(&control, request, response);
        return;
    }
    if (emu_request_is_api(request)) {
        emu_api_answer(w->e, request, response);
    } else if (emu_request_is_webhook(request)) {
        emu_webhook_answer(w->e, request, response);
    } else {
        emu_s3_answer(w->e, request, response);
    }
    emu_ledger_add(w->ledger, emu_now_s(w->e), request, response, NULL);
}

static void check_answer(const emu_response *response) {
    cpl_str name, value;
    MUST(response->status >= 200 && response->status < 600);
    for (size_t i = 0; emu_response_header_at(response, i, &name, &value); i++)
        MUST(cpl_str_find(value, '\n') == value.n && cpl_str_find(value, '\r') == value.n);
}

static void one(const world *w, cpl_str text) {
    cpl_header headers[HEADERS_MAX + 4];
    cpl_str line = take_until(&text, '\n'), target = {NULL, 0};
    emu_request request = {.method = take_until(&line, ' '), .remote = CPL_LIT("127.0.0.1"), .socket = -1};
    emu_response response;
    cpl_signature made;
    bool owner = cpl_str_starts(request.method, "+");
    target = line;
    request.path = take_until(&target, '?');
    request.query = target;
    request.headers = headers;
    request.header_count = read_headers(&text, headers, HEADERS_MAX);
    request.body = text;
    request.too_large = emu_request_is_api(&request) && text.n > EMU_API_BODY_MAX;
    if (!cpl_str_starts(request.path, "/")) return; /* libmicrohttpd lets nothing else through */
    emu_response_init(&response);
    cpl_signature_init(&made);
    if (owner) {
        request.method = cpl_str_sub(request.method, 1, request.method.n);
        sign(w, &request, headers, &made);
    }
    serve(w, &request, &response);
    check_answer(&response);
    cpl_signature_release(&made);
    emu_response_release(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_str rest = input_of(data, size);
    world w = {new_emulator(), emu_faults_new(), emu_ledger_new()};
    cpl_buf ledger;
    MUST(w.faults && w.ledger);
    fill(w.e);
    for (int i = 0; i < REQUESTS_MAX && rest.n > 0; i++) one(&w, take_until(&rest, '\0'));
    check_state(w.e);
    cpl_buf_init(&ledger, 1 << 24);
    emu_ledger_write(w.ledger, 0, &ledger);
    MUST(cpl_buf_ok(&ledger));
    cpl_buf_release(&ledger);
    emu_ledger_free(w.ledger);
    emu_faults_free(w.faults);
    emu_free(w.e);
    return 0;
}
