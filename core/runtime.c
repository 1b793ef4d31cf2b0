/* SPDX-License-Identifier: MIT */
/*
 * Lambda's runtime API (2018-06-01), as a custom runtime uses it: plain HTTP on loopback. Waiting for an invocation has
 * no time limit, because the machine sleeps meanwhile; all else must be quick.
 */
#include "clock.h"
#include "err.h"
#include "http.h"
#include "json.h"

#define VERSION "/2018-06-01/runtime/"
#define ANSWER_TIMEOUT_MS 10000
#define EVENT_MAX ((size_t)6 << 20) /* what Lambda allows, in both directions */
#define ID_MAX 128
#define TRACE_ID "_X_AMZN_TRACE_ID"

struct cpl_runtime {
    cpl_http *http;
    char *base; /* "http://host:port/2018-06-01/runtime/" */
    cpl_http_response invocation;
    char id[ID_MAX]; /* of the invocation that waits for its answer; "" when none does */
    bool begun;      /* there was an invocation */
};

cpl_status cpl_runtime_new(cpl_runtime **out, cpl_str api, cpl_error *err) {
    cpl_http_options options = {.proxy_set = true, .connect_timeout_ms = ANSWER_TIMEOUT_MS};
    cpl_runtime *runtime;
    cpl_status status;
    cpl_buf base;
    if (api.n == 0) api = cpl_str_of(getenv("AWS_LAMBDA_RUNTIME_API"));
    if (api.n == 0) return cpl_fail(err, CPL_CONFIG, "no AWS_LAMBDA_RUNTIME_API: this is not a Lambda function");
    runtime = cpl_calloc(1, sizeof *runtime);
    if (runtime == NULL) return cpl_fail_nomem(err);
    cpl_http_response_init(&runtime->invocation);
    cpl_buf_init(&base, 1024);
    cpl_buf_addf(&base, "http://%.*s" VERSION, (int)cpl_utf8_cut(api, 900), api.p);
    status = cpl_buf_status(&base, "the runtime API's address", err);
    if (status == CPL_OK) {
        runtime->base = cpl_buf_detach(&base);
        status = cpl_http_new(&runtime->http, &options, err);
    }
    if (status == CPL_OK) {
        *out = runtime;
    } else {
        cpl_runtime_free(runtime);
    }
    cpl_buf_release(&base);
    return status;
}

void cpl_runtime_free(cpl_runtime *runtime) {
    if (runtime == NULL) return;
    cpl_buf_wipe(&runtime->invocation.body); /* events carry credentials */
    cpl_http_response_release(&runtime->invocation);
    cpl_http_free(runtime->http);
    cpl_free(runtime->base);
    cpl_free(runtime);
}

/* ---- requests ---- */

typedef struct message {
    const char *method, *path; /* path: below base, "invocation/next" */
    const cpl_header *headers;
    size_t header_count;
    cpl_str body;
} message;

/* CPL_OK for a 2xx answer alone. */
static cpl_status send(cpl_runtime *runtime, const message *m, const cpl_wait *wait, cpl_http_response *answer,
                       cpl_error *err) {
    cpl_http_request request = {.method = cpl_str_of(m->method),
                                .headers = m->headers,
                                .header_count = m->header_count,
                                .body = m->body,
                                .body_limit = EVENT_MAX,
                                .wait = wait};
    cpl_status status;
    cpl_buf url;
    cpl_buf_init(&url, 2048);
    cpl_buf_adds(&url, runtime->base);
    cpl_buf_adds(&url, m->path);
    status = cpl_buf_status(&url, "the address", err);
    request.url = cpl_buf_str(&url);
    if (status == CPL_OK) status = cpl_http_send(runtime->http, &request, answer, err);
    if (status == CPL_OK && (answer->status < 200 || answer->status > 299)) {
        status = cpl_fail(err, CPL_PROTOCOL, "the runtime API answered %d to %s", answer->status, m->path);
    }
    cpl_buf_release(&url);
    return status;
}

static cpl_status post(cpl_runtime *runtime, const message *m, const cpl_wait *wait, cpl_error *err) {
    cpl_wait limited = wait ? *wait : (cpl_wait){0};
    cpl_http_response answer;
    cpl_status status;
    if (limited.timeout_ms == 0) limited.timeout_ms = ANSWER_TIMEOUT_MS;
    cpl_http_response_init(&answer);
    status = send(runtime, m, &limited, &answer, err);
    cpl_http_response_release(&answer);
    return status;
}

/* ---- invocations ---- */

/* Where whoever makes requests looks for it; see trace.h. */
static void name_trace(cpl_str id) {
    char text[1024];
    if (id.n >= sizeof text) id.n = 0;
    CPL_COPY(text, id);
    if (id.n > 0) {
        (void)setenv(TRACE_ID, text, 1);
    } else {
        (void)unsetenv(TRACE_ID);
    }
}

static cpl_status read_invocation(cpl_runtime *runtime, cpl_invocation *out, cpl_error *err) {
    cpl_str id = cpl_http_header(&runtime->invocation, "lambda-runtime-aws-request-id");
    cpl_str deadline = cpl_http_header(&runtime->invocation, "lambda-runtime-deadline-ms");
    int64_t deadline_ms;
    *out =
        (cpl_invocation){.event = cpl_buf_str(&runtime->invocation.body),
                         .function_arn = cpl_http_header(&runtime->invocation, "lambda-runtime-invoked-function-arn"),
                         .trace_id = cpl_http_header(&runtime->invocation, "lambda-runtime-trace-id")};
    for (size_t i = 0; i < id.n; i++) { /* it becomes part of a path */
        char c = id.p[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-';
        if (!plain) id.n = 0;
    }
    if (id.n == 0 || id.n >= ID_MAX) return cpl_fail(err, CPL_PROTOCOL, "an invocation without a usable request id");
    name_trace(out->trace_id);
    CPL_COPY(runtime->id, id);
    out->request_id = runtime->id;
    if (cpl_str_integer(deadline, &deadline_ms)) {
        int64_t left_ms = deadline_ms - cpl_clock_wall_ms();
        out->remaining_ms = left_ms > 1 ? left_ms : 1;
    }
    return CPL_OK;
}

cpl_status cpl_runtime_next(cpl_runtime *runtime, const cpl_wait *wait, cpl_invocation *out, cpl_error *err) {
    static const message next = {.method = "GET", .path = "invocation/next"};
    cpl_status status;
    if (runtime->id[0]) return cpl_fail(err, CPL_STATE, "the invocation has no answer yet");
    cpl_buf_wipe(&runtime->invocation.body);
    cpl_http_response_clear(&runtime->invocation);
    status = send(runtime, &next, wait, &runtime->invocation, err);
    if (status != CPL_OK) return status;
    runtime->begun = true;
    return read_invocation(runtime, out, err);
}

/* The answer, or the error, of the invocation that waits. */
static cpl_status settle(cpl_runtime *runtime, const char *verb, message *m, const cpl_wait *wait, cpl_error *err) {
    char path[ID_MAX + 32];
    cpl_status status;
    if (runtime->id[0] == '\0') return cpl_fail(err, CPL_STATE, "there is no invocation to answer");
    snprintf(path, sizeof path, "invocation/%s/%s", runtime->id, verb);
    m->path = path;
    status = post(runtime, m, wait, err);
    runtime->id[0] = '\0'; /* also when it failed: Lambda has an end of its own for it */
    return status;
}

cpl_status cpl_runtime_answer(cpl_runtime *runtime, cpl_str answer, const cpl_wait *wait, cpl_error *err) {
    message m = {.method = "POST", .body = answer.n ? answer : CPL_LIT("null")};
    return settle(runtime, "response", &m, wait, err);
}

cpl_status cpl_runtime_fail(cpl_runtime *runtime, cpl_str type, cpl_str text, const cpl_wait *wait, cpl_error *err) {
    cpl_header header = {CPL_LIT("Lambda-Runtime-Function-Error-Type"), type};
    message m = {.method = "POST", .path = "init/error", .headers = &header, .header_count = 1};
    cpl_status status;
    cpl_buf body;
    if (cpl_http_check_header(&header, NULL) != CPL_OK || type.n == 0) header.value = CPL_LIT("Runtime.Error");
    cpl_buf_init(&body, EVENT_MAX);
    cpl_buf_adds(&body, "{\"errorMessage\":");
    cpl_json_quote(&body, cpl_utf8_valid(text) ? text : CPL_LIT("(the message is not UTF-8)"));
    cpl_buf_adds(&body, ",\"errorType\":");
    cpl_json_quote(&body, header.value);
    cpl_buf_adds(&body, ",\"stackTrace\":[]}");
    status = cpl_buf_status(&body, "the error", err);
    m.body = cpl_buf_str(&body);
    if (status == CPL_OK) {
        status = runtime->begun ? settle(runtime, "error", &m, wait, err) : post(runtime, &m, wait, err);
    }
    cpl_buf_release(&body);
    return status;
}
