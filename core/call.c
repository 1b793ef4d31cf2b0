/* SPDX-License-Identifier: MIT */
/* One call: check, fill in, then sign, send and judge until it is settled. */
#include "call.h"

#include "clock.h"
#include "err.h"
#include "observe.h"
#include "skew.h"
#include "trace.h"

#define PARAMS_MAX (64u << 20)
#define TRACE_MAX 4096u /* a longer one is left out */
#define CONTENT_TYPE "application/x-amz-json-1.1"

typedef cpl_call call;

/* ---- the request's document ---- */

static const cpl_member *token_member(uint16_t shape) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    if (s->kind != CPL_SHAPE_STRUCTURE) return NULL;
    for (size_t i = 0; i < s->count; i++) {
        if (cpl_model_members[s->first + i].flags & CPL_MEMBER_TOKEN) return &cpl_model_members[s->first + i];
    }
    return NULL;
}

/* Whether the document, checked already and so an object, has a member of that name; false when it cannot be known. */
static bool find_member(cpl_str document, const char *name, bool *found) {
    cpl_cursor cursor;
    *found = false;
    cpl_cursor_init(&cursor, document);
    cpl_cursor_next(&cursor);
    while (!*found && cpl_cursor_next(&cursor) == CPL_TOKEN_KEY) {
        *found = cpl_str_is(cursor.text, name);
        cpl_cursor_skip(&cursor);
    }
    cpl_cursor_release(&cursor);
    return cursor.token != CPL_TOKEN_ERROR;
}

/* With a token of its own each call is one intention, however often it has to be sent. */
static cpl_status fill_token(call *c) {
    const cpl_member *member = token_member(c->operation->input);
    const char *name = member ? cpl_model_names[member->name] : NULL;
    cpl_str document = cpl_buf_str(&c->body), rest;
    char token[CPL_UUID_SIZE];
    cpl_buf filled;
    bool there;
    cpl_status status;
    if (member == NULL) return CPL_OK;
    if (!find_member(document, name, &there)) return cpl_fail_nomem(c->err);
    if (there) return CPL_OK;
    status = cpl_uuid(token, c->err);
    if (status) return status;
    rest = cpl_str_sub(document, cpl_str_find(document, '{') + 1, document.n);
    while (rest.n > 0 && strchr(" \t\r\n", rest.p[0])) rest = cpl_str_sub(rest, 1, rest.n);
    cpl_buf_init(&filled, PARAMS_MAX);
    cpl_buf_addf(&filled, "{\"%s\":\"%s\"%s", name, token, cpl_str_starts(rest, "}") ? "" : ",");
    cpl_buf_addv(&filled, rest);
    cpl_buf_release(&c->body);
    c->body = filled;
    return cpl_buf_status(&c->body, "the parameters", c->err);
}

static cpl_status prepare(call *c, cpl_str params, unsigned flags) {
    cpl_status status;
    unsigned checks;
    cpl_buf_addv(&c->body, params.n > 0 ? params : CPL_LIT("{}"));
    status = cpl_buf_status(&c->body, "the parameters", c->err);
    if (status) return status;
    checks = CPL_CHECK_TIME_TEXT | (c->client->stub ? CPL_CHECK_FORM : 0u) |
             (flags & CPL_CALL_EMPTY_TABLES ? CPL_CHECK_EMPTY_TABLES : 0u);
    status = cpl_model_validate(c->body.p, c->body.n, c->operation->input, checks, c->err);
    if (status == CPL_OK) status = fill_token(c);
    if (status == CPL_OK) status = cpl_uuid_for_logs(c->id, c->err);
    snprintf(c->target, sizeof c->target, "%s.%s", cpl_model_target_prefix, c->operation->info.name);
    return status;
}

/* ---- one attempt ---- */

/* Milliseconds to the deadline, 0 when there is none; never less than 1 otherwise. */
static int64_t time_left(const call *c) {
    int64_t left;
    if (c->deadline_ms == 0) return 0;
    left = c->deadline_ms - cpl_clock_monotonic_ms();
    return left > 0 ? left : 1;
}

static bool time_is_over(const call *c) {
    return c->deadline_ms != 0 && cpl_clock_monotonic_ms() >= c->deadline_ms;
}

cpl_status cpl_call_overdue(cpl_call *c) {
    return cpl_fail(c->err, CPL_TIMEOUT, "no answer from \"%.*s\" within %lld ms",
                    (int)c->client->url_parts.authority.n, c->client->url_parts.authority.p,
                    (long long)c->wait.timeout_ms);
}

/* Signs the first header_count of headers and appends what signing adds. */
static cpl_status sign(call *c, cpl_header *headers, size_t *count, const cpl_credentials *credentials, int64_t now_s) {
    const cpl_client *client = c->client;
    const cpl_sign_request request = {.method = CPL_LIT("POST"),
                                      .path = client->url_parts.path,
                                      .headers = headers,
                                      .header_count = *count,
                                      .body = cpl_buf_str(&c->body),
                                      .region = cpl_str_of(client->endpoint.signing_region),
                                      .service = cpl_str_of(client->endpoint.signing_name),
                                      .time_s = now_s};
    cpl_status status;
    if (credentials->access_key_id.n == 0) return CPL_OK; /* anonymous */
    status = cpl_sigv4_sign(client->signer, &request, credentials, &c->signature, c->err);
    if (status) return status;
    headers[(*count)++] = (cpl_header){CPL_LIT("x-amz-date"), cpl_str_of(c->signature.date)};
    headers[(*count)++] = (cpl_header){CPL_LIT("authorization"), cpl_buf_str(&c->signature.authorization)};
    if (credentials->session_token.n > 0) {
        headers[(*count)++] = (cpl_header){CPL_LIT("x-amz-security-token"), credentials->session_token};
    }
    return CPL_OK;
}

/* Signs the request and shows it to whoever looks on. */
static cpl_status make_request(call *c, const cpl_credentials *credentials, int64_t now_s) {
    const cpl_client *client = c->client;
    cpl_header *headers = c->headers;
    size_t count = 3;
    cpl_status status;
    headers[0] = (cpl_header){CPL_LIT("host"), client->url_parts.authority};
    headers[1] = (cpl_header){CPL_LIT("content-type"), CPL_LIT(CONTENT_TYPE)};
    headers[2] = (cpl_header){CPL_LIT("x-amz-target"), cpl_str_of(c->target)};
    status = sign(c, headers, &count, credentials, now_s);
    if (status) return status;
    snprintf(c->attempt, sizeof c->attempt, "attempt=%d; max=%d", c->sent + 1, client->retry.max_attempts);
    headers[count++] = (cpl_header){CPL_LIT("user-agent"), cpl_str_of(client->user_agent)};
    headers[count++] = (cpl_header){CPL_LIT("amz-sdk-invocation-id"), cpl_str_of(c->id)};
    headers[count++] = (cpl_header){CPL_LIT("amz-sdk-request"), cpl_str_of(c->attempt)};
    if (c->trace.n > 0) headers[count++] = (cpl_header){CPL_LIT("x-amzn-trace-id"), cpl_buf_str(&c->trace)};
    c->limit = (cpl_wait){.tick = c->wait.tick, .context = c->wait.context, .timeout_ms = time_left(c)};
    c->request = (cpl_http_request){.method = CPL_LIT("POST"),
                                    .url = cpl_str_of(client->url),
                                    .headers = headers,
                                    .header_count = count,
                                    .body = cpl_buf_str(&c->body),
                                    .body_limit = client->response_limit,
                                    .wait = &c->limit,
                                    .limits = &client->limits};
    return cpl_observe_request(&(cpl_observed){c->wait.observer, client->whose, c->operation, client->url, c->sent + 1},
                               headers, count, c->request.body, c->err);
}

/* What the answer tells of the service's clock. True when the error is due to ours. */
static bool correct_skew(call *c, int64_t sent_ms, int64_t used_s, cpl_str code) {
    const cpl_skew_answer answer = {sent_ms, cpl_clock_wall_ms(), cpl_http_header(&c->reply->response, "date"),
                                    cpl_http_header(&c->reply->response, "age")};
    int64_t skew_s = used_s;
    if (!c->client->correct_clock) return false;
    if (!cpl_skew_learn(&answer, &skew_s)) return false;
    if (skew_s != used_s) atomic_store_explicit(&c->client->root->skew_s, skew_s, memory_order_relaxed);
    return !c->skew_corrected && cpl_skew_blamed(code, used_s, skew_s);
}

/* The answer has arrived. */
static cpl_status judge(call *c) {
    cpl_status status = cpl_reply_judge(c->reply, c->err);
    cpl_str code = cpl_str_of(status == CPL_SERVICE ? c->err->code : "");
    if (correct_skew(c, c->sent_ms, c->used_s, code)) {
        c->skew_corrected = true;
        c->class = CPL_RETRY_SKEW;
    } else if (status == CPL_SERVICE) {
        c->class = cpl_retry_classify(status, c->err->http_status, code);
    }
    return status;
}

static void drop_credentials(call *c) {
    if (c->set) cpl_creds_drop(c->set);
    c->set = NULL;
}

static double seconds_now(void) {
    return (double)cpl_clock_monotonic_ms() / 1000;
}

/* What a stub answers says nothing of the service's load. */
static bool is_paced(const call *c) {
    return c->client->adaptive && c->client->stub == NULL;
}

static void note_rate(call *c, cpl_status status) {
    if (!is_paced(c) || (status != CPL_OK && status != CPL_SERVICE)) return;
    cpl_rate_answered(&c->client->root->rate, c->class == CPL_RETRY_THROTTLING, seconds_now());
}

cpl_status cpl_call_request(cpl_call *c) {
    int64_t now_s;
    cpl_status status;
    c->class = CPL_RETRY_NEVER;
    status = cpl_creds_acquire(c->client->creds, cpl_client_now_s(c->client), &c->wait, &c->set, c->err);
    if (status) return status;
    /* after that, which may have taken long, and may have learnt what time it is */
    c->used_s = atomic_load_explicit(&c->client->root->skew_s, memory_order_relaxed);
    c->sent_ms = cpl_clock_wall_ms();
    c->begin_ms = cpl_clock_monotonic_ms();
    now_s = c->sent_ms / 1000 + c->used_s;
    status = make_request(c, &c->set->view, now_s);
    if (status) drop_credentials(c);
    return status;
}

cpl_status cpl_call_answer(cpl_call *c, cpl_status status) {
    cpl_status ended;
    drop_credentials(c);
    if (c->reply->response.resent) c->resent++;
    c->class = cpl_retry_classify(status, 0, (cpl_str){NULL, 0});
    if (status == CPL_INVALID) return status; /* nothing left */
    c->sent++;
    if (status == CPL_OK) status = judge(c);
    ended =
        cpl_observe_response(&(cpl_observed){c->wait.observer, c->client->whose, c->operation, c->client->url, c->sent},
                             c->reply, cpl_clock_monotonic_ms() - c->begin_ms, status, c->err);
    if (ended != status) c->class = CPL_RETRY_NEVER;
    note_rate(c, ended);
    return ended;
}

bool cpl_call_stubbed(cpl_call *c) {
    if (c->canned == NULL) return false;
    cpl_canned_answer(&c->canned, &c->reply->response);
    return true;
}

static cpl_status attempt(call *c) {
    cpl_status status = cpl_call_request(c);
    if (status) return status;
    if (cpl_call_stubbed(c)) return cpl_call_answer(c, CPL_OK);
    return cpl_call_answer(c, cpl_http_send(c->client->http, &c->request, &c->reply->response, c->err));
}

/* ---- until it is settled ---- */

static double chance(void) {
    uint32_t bits = UINT32_MAX / 2;
    (void)cpl_random(&bits, sizeof bits, NULL); /* without it the delays are just not spread */
    return (double)bits / UINT32_MAX;
}

/* Workers call these in a loop. */
static bool is_long_poll(const cpl_operation *operation) {
    return cpl_str_starts(cpl_str_of(operation->info.name), "PollFor");
}

/* Whether a pause ends before the time is over. */
static bool fits(const call *c, int64_t delay_ms) {
    int64_t left = time_left(c);
    return delay_ms <= 0 || left <= 0 || delay_ms < left;
}

bool cpl_call_again(cpl_call *c, cpl_status *status, int64_t *delay_ms) {
    cpl_retry_failure failure = {.class = c->class, .long_poll = is_long_poll(c->operation)};
    bool again;
    *delay_ms = 0;
    if (c->client->stub) return false; /* the next answer is another call's */
    if (*status == CPL_TIMEOUT && time_is_over(c)) {
        *status = cpl_call_overdue(c);
        return false;
    }
    if (failure.class != CPL_RETRY_NEVER) failure.random = chance();
    failure.retry_after = cpl_http_header(&c->reply->response, "x-amz-retry-after");
    again =
        cpl_retry_next(&c->client->retry, &c->client->root->quota, &c->retry, &failure, delay_ms) == CPL_RETRY_AGAIN;
    if (fits(c, *delay_ms)) return again;
    *delay_ms = 0;
    if (again) *status = cpl_call_overdue(c); /* otherwise the attempt's own error says more */
    return false;
}

cpl_status cpl_call_turn(cpl_call *c, int64_t *delay_ms) {
    *delay_ms = 0;
    if (!is_paced(c)) return CPL_OK;
    c->class = CPL_RETRY_NEVER;
    *delay_ms = cpl_rate_take(&c->client->root->rate, seconds_now());
    return fits(c, *delay_ms) ? CPL_OK : cpl_call_overdue(c);
}

static cpl_status pause(call *c, int64_t delay_ms) {
    cpl_status status;
    if (delay_ms <= 0) return CPL_OK;
    status = cpl_clock_sleep(delay_ms, &c->wait, c->err);
    if (status == CPL_OK) c->waited_ms += delay_ms;
    return status;
}

/* After an attempt that failed with *status: true to go on, or false with *status settled. */
static bool go_on(call *c, cpl_status *status) {
    int64_t delay_ms;
    bool again = cpl_call_again(c, status, &delay_ms);
    cpl_status paused = pause(c, delay_ms);
    if (paused == CPL_OK) return again;
    *status = paused;
    return false;
}

/* An attempt, in adaptive mode not before the rate allows it. */
static cpl_status attempt_in_turn(call *c) {
    int64_t delay_ms;
    cpl_status status = cpl_call_turn(c, &delay_ms);
    if (status == CPL_OK) status = pause(c, delay_ms);
    return status ? status : attempt(c);
}

cpl_status cpl_call_begin(cpl_call *c, cpl_client *client, const cpl_operation *operation, cpl_str params,
                          const cpl_call_options *options, cpl_error *err) {
    cpl_status status;
    *c = (cpl_call){.client = client, .operation = operation, .err = err};
    c->wait = options->wait;
    if (c->wait.timeout_ms > 0) c->deadline_ms = cpl_clock_monotonic_ms() + c->wait.timeout_ms;
    cpl_buf_init(&c->body, PARAMS_MAX);
    cpl_signature_init(&c->signature);
    cpl_buf_init(&c->trace, TRACE_MAX);
    cpl_trace_add(&c->trace);
    status = cpl_client_check_open(client, err);
    if (status == CPL_OK && client->stub) status = cpl_stub_take(client->stub, operation, params, &c->canned, err);
    if (status == CPL_OK) status = prepare(c, params, options->flags);
    if (status) return status;
    c->reply = cpl_reply_new(operation->output);
    if (c->reply == NULL) return cpl_fail_nomem(err);
    c->reply->operation = operation->info.name;
    c->reply->unchecked = (options->flags & CPL_CALL_UNCHECKED) && options->wait.observer == NULL;
    return CPL_OK;
}

static void note_success(call *c) {
    cpl_retry_succeeded(&c->client->retry, &c->client->root->quota, &c->retry);
    c->reply->attempts = c->sent;
    c->reply->retry_delay_ms = c->waited_ms;
    if (c->retry.attempts > 0) cpl_error_clear(c->err);
}

static void note_failure(call *c) {
    if (c->reply) c->err->retryable = c->class != CPL_RETRY_NEVER;
    c->err->attempts = c->sent + c->resent;
    c->err->exhausted = c->sent >= c->client->retry.max_attempts;
    c->err->retry_delay_ms = c->waited_ms;
    CPL_COPY(c->err->operation, cpl_str_of(c->operation->info.name));
}

cpl_status cpl_call_end(cpl_call *c, cpl_status status, cpl_reply **out, cpl_reply **refusal) {
    cpl_reply *reply = c->reply;
    if (status == CPL_OK) {
        note_success(c);
        *out = reply;
    } else {
        note_failure(c);
        if (refusal && status == CPL_SERVICE) {
            *refusal = reply;
        } else {
            cpl_reply_free(reply);
        }
    }
    c->reply = NULL;
    if (c->canned) cpl_stub_put_back(c->client->stub, c->canned); /* it never came so far */
    c->canned = NULL;
    drop_credentials(c);
    cpl_buf_wipe(&c->body);
    cpl_buf_release(&c->body);
    cpl_signature_release(&c->signature);
    cpl_buf_release(&c->trace);
    return status;
}

cpl_status cpl_client_run(cpl_client *client, const cpl_operation *operation, cpl_str params,
                          const cpl_call_options *options, cpl_reply **out, cpl_error *err) {
    static const cpl_call_options defaults;
    cpl_error own;
    call c;
    cpl_status status;
    *out = NULL;
    if (options == NULL) options = &defaults;
    if (options->refusal) *options->refusal = NULL;
    status = cpl_call_begin(&c, client, operation, params, options, err ? err : &own);
    if (status == CPL_OK) {
        status = attempt_in_turn(&c);
        while (status && go_on(&c, &status)) status = attempt_in_turn(&c);
    }
    return cpl_call_end(&c, status, out, options->refusal);
}

cpl_status cpl_client_call(cpl_client *client, cpl_str operation, cpl_str params, const cpl_call_options *options,
                           cpl_reply **out, cpl_error *err) {
    const cpl_operation *found = cpl_model_require_operation(operation, err);
    *out = NULL;
    return found ? cpl_client_run(client, found, params, options, out, err) : CPL_INVALID;
}
