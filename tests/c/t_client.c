/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <sys/wait.h>

#include "../../core/clock.h"
#include "../../core/err.h"
#include "../../core/json.h"
#include "../../core/reply.h"
#include "client_fixture.h"

/* ---- a call that works ---- */

TEST(t_client__a_call_is_an_aws_json_request_and_its_answer_is_typed) {
    static const fault_step steps[] = {
        {.head = "x-amzn-RequestId: r-1\r\nContent-Type: application/x-amz-json-1.1\r\n",
         .body =
             "{\"pipelines\":[{\"name\":\"site\",\"version\":1,\"created\":1.5,\"unknown\":[1],\"updated\":null}]}"}};
    fixture f;
    cpl_cursor cursor;
    cpl_str name, value;
    start(&f, steps, 1);
    NEED(call(&f, "ListPipelines", "{\"maxResults\":5}") == CPL_OK);
    CHECK(strncmp(fault_server_request(f.server, 0), "POST / HTTP/1.1\r\n", 17) == 0);
    CHECK_STR(sent_header(&f, 0, "content-type"), "application/x-amz-json-1.1");
    CHECK_STR(sent_header(&f, 0, "x-amz-target"), "CodePipeline_20150709.ListPipelines");
    CHECK_STR(sent_header(&f, 0, "amz-sdk-request"), "attempt=1; max=3");
    CHECK(strlen(sent_header(&f, 0, "amz-sdk-invocation-id")) == 36);
    CHECK(strncmp(sent_header(&f, 0, "user-agent"), "codepipeline/" CPL_VERSION " os/", 22) == 0);
    CHECK(strncmp(sent_header(&f, 0, "authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/", 40) == 0);
    CHECK(strstr(sent_header(&f, 0, "authorization"),
                 "/eu-west-1/codepipeline/aws4_request, SignedHeaders="
                 "content-type;host;x-amz-date;x-amz-target, Signature="));
    CHECK(strlen(sent_header(&f, 0, "x-amz-date")) == 16);
    CHECK_STR(sent_body(&f, 0), "{\"maxResults\":5}");
    CHECK(cpl_reply_http_status(f.reply) == 200 && cpl_reply_attempts(f.reply) == 1);
    CHECK_STR(cpl_reply_request_id(f.reply), "r-1");
    CHECK(cpl_reply_header(f.reply, 0, &name, &value) && cpl_str_is(name, "x-amzn-requestid"));
    cpl_reply_cursor(f.reply, &cursor);
    static const cpl_token want[] = {
        CPL_TOKEN_OBJECT,     CPL_TOKEN_KEY,       CPL_TOKEN_ARRAY,      CPL_TOKEN_OBJECT, CPL_TOKEN_KEY,
        CPL_TOKEN_STRING,     CPL_TOKEN_KEY,       CPL_TOKEN_INTEGER,    CPL_TOKEN_KEY,    CPL_TOKEN_TIMESTAMP,
        CPL_TOKEN_OBJECT_END, CPL_TOKEN_ARRAY_END, CPL_TOKEN_OBJECT_END, CPL_TOKEN_END};
    for (size_t i = 0; i < CPL_COUNT(want); i++) CHECK(cpl_cursor_next(&cursor) == want[i]);
    cpl_cursor_release(&cursor);
    stop(&f);
}

TEST(t_client__a_refusal_can_be_had_with_all_its_headers) {
    static const fault_step steps[] = {{.status = 400,
                                        .head = "x-amzn-RequestId: r-1\r\nX-Other: 2\r\n",
                                        .body = "{\"__type\":\"PipelineNotFoundException\",\"message\":\"none\"}"},
                                       {.body = "{}"}};
    cpl_reply *refusal = NULL;
    const cpl_call_options options = {.refusal = &refusal};
    cpl_str operation = CPL_LIT("GetPipeline"), params = CPL_LIT("{\"name\":\"a\"}"), name, value;
    fixture f;
    start(&f, steps, 2);
    CHECK(cpl_client_call(f.client, operation, params, &options, &f.reply, &f.err) == CPL_SERVICE);
    NEED(refusal != NULL && f.reply == NULL);
    CHECK(cpl_reply_http_status(refusal) == 400);
    CHECK(cpl_reply_header(refusal, 1, &name, &value) && cpl_str_is(name, "x-other") && cpl_str_is(value, "2"));
    CHECK(strstr(cpl_reply_text(refusal).p, "none") != NULL);
    CHECK(!f.err.exhausted);
    cpl_reply_free(refusal);
    CHECK(cpl_client_call(f.client, operation, params, &options, &f.reply, &f.err) == CPL_OK);
    CHECK(refusal == NULL);
    stop(&f);
}

TEST(t_client__operations_go_by_both_names_and_others_do_not_go) {
    fixture f;
    start(&f, &(fault_step){.body = ""}, 1);
    CHECK(call(&f, "list_pipelines", "") == CPL_OK);
    CHECK_STR(sent_body(&f, 0), "{}");
    CHECK(cpl_str_is(cpl_reply_text(f.reply), "{}")); /* no body at all is an empty answer */
    CHECK(call(&f, "listPipelines", "") == CPL_INVALID && f.reply == NULL);
    CHECK_STR(f.err.message, "there is no operation \"listPipelines\"; did you mean \"ListPipelines\"?");
    CHECK(fault_server_requests(f.server) == 1);
    stop(&f);
}

TEST(t_client__a_session_token_is_sent_and_signed) {
    fixture f;
    cpl_client_options options;
    start(&f, &(fault_step){0}, 1);
    options = options_for(f.server);
    options.session_token = CPL_LIT("the/token==");
    cpl_client_free(f.client);
    NEED(cpl_client_new(&f.client, &options, &f.err) == CPL_OK);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_OK);
    CHECK_STR(sent_header(&f, 0, "x-amz-security-token"), "the/token==");
    CHECK(strstr(sent_header(&f, 0, "authorization"), "x-amz-date;x-amz-security-token;x-amz-target"));
    stop(&f);
}

TEST(t_client__an_endpoint_may_have_a_path) {
    fixture f;
    char url[128];
    cpl_client_options options;
    start(&f, &(fault_step){0}, 1);
    snprintf(url, sizeof url, "%s/prefix/", fault_server_url(f.server));
    options = options_for(f.server);
    options.endpoint_url = cpl_str_of(url);
    cpl_client_free(f.client);
    NEED(cpl_client_new(&f.client, &options, &f.err) == CPL_OK);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_OK);
    CHECK(strncmp(fault_server_request(f.server, 0), "POST /prefix/ HTTP/1.1\r\n", 24) == 0);
    stop(&f);
}

/* ---- what is checked before anything is sent ---- */

TEST(t_client__bad_parameters_are_named_by_path_and_never_sent) {
    fixture f;
    start(&f, &(fault_step){0}, 1);
    CHECK(call(&f, "GetPipeline", "{}") == CPL_INVALID);
    CHECK_STR(f.err.path, "name");
    CHECK_STR(f.err.operation, "GetPipeline");
    CHECK(call(&f, "GetPipeline", "{\"name\":1}") == CPL_INVALID);
    CHECK_STR(f.err.path, "name");
    CHECK(call(&f, "GetPipeline", "{\"name\":\"a\",\"verison\":1}") == CPL_INVALID);
    CHECK_STR(f.err.path, "verison");
    CHECK(call(&f, "GetPipeline", "{\"name\":\"a\"") == CPL_INVALID);
    CHECK(call(&f, "GetPipeline", "[]") == CPL_INVALID);
    CHECK(f.err.attempts == 0 && !f.err.retryable && f.reply == NULL);
    CHECK(fault_server_connections(f.server) == 0);
    stop(&f);
}

TEST(t_client__an_empty_table_may_stand_for_an_empty_list_when_asked) {
    const cpl_call_options lenient = {.flags = CPL_CALL_EMPTY_TABLES};
    const char *params = "{\"resourceArn\":\"arn:aws:codepipeline:eu-west-1:123456789012:site\",\"tags\":{}}";
    fixture f;
    start(&f, &(fault_step){0}, 1);
    CHECK(call(&f, "TagResource", params) == CPL_INVALID);
    CHECK(cpl_client_call(f.client, CPL_LIT("TagResource"), cpl_str_of(params), &lenient, &f.reply, &f.err) == CPL_OK);
    CHECK(strstr(sent_body(&f, 0), "\"tags\":[]}") != NULL);
    stop(&f);
}

TEST(t_client__an_idempotency_token_is_filled_in_once_for_all_attempts) {
    static const fault_step steps[] = {{.status = 500}, {.body = "{\"pipelineExecutionId\":\"1\"}"}};
    char first[512];
    fixture f;
    start(&f, steps, 2);
    CHECK(call(&f, "StartPipelineExecution", " { \"name\" : \"site\"}") == CPL_OK);
    snprintf(first, sizeof first, "%s", sent_body(&f, 0));
    CHECK(strncmp(first, "{\"clientRequestToken\":\"", 23) == 0 && strcmp(first + 59, "\",\"name\" : \"site\"}") == 0);
    CHECK_STR(sent_body(&f, 1), first);
    CHECK(call(&f, "StartPipelineExecution", "{\"name\":\"site\",\"clientRequestToken\":\"mine\"}") == CPL_OK);
    CHECK_STR(sent_body(&f, 2), "{\"name\":\"site\",\"clientRequestToken\":\"mine\"}");
    stop(&f);
}

/* ---- retries ---- */

TEST(t_client__one_reset_connection_fails_no_call) {
    static const fault_kind kinds[] = {FAULT_RESET_EARLY, FAULT_RESET, FAULT_CLOSE};
    for (size_t i = 0; i < CPL_COUNT(kinds); i++) {
        const fault_step steps[] = {{.kind = kinds[i]}, {.body = "{}"}};
        fixture f;
        start(&f, steps, 2);
        CHECK(call(&f, "ListPipelines", "{}") == CPL_OK);
        CHECK(f.reply && cpl_reply_attempts(f.reply) == 2 && f.err.message[0] == '\0');
        size_t last = fault_server_requests(f.server) - 1;
        CHECK_STR(sent_header(&f, last, "amz-sdk-request"), "attempt=2; max=3");
        CHECK(atomic_load(&f.client->quota.tokens) == 500);
        stop(&f);
    }
}

TEST(t_client__a_dead_endpoint_is_tried_three_times_and_named) {
    fault_step step = {0};
    fixture f;
    char want[128];
    start(&f, &step, 1);
    fault_server_stop(f.server);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_NETWORK);
    CHECK(f.err.attempts == 3 && f.err.retryable && f.err.http_status == 0);
    snprintf(want, sizeof want, "connect to \"%s\": Connection refused", cpl_client_endpoint_url(f.client) + 7);
    CHECK_STR(f.err.message, want);
    f.server = fault_server_start(&step, 1);
    stop(&f);
}

TEST(t_client__credentials_that_would_smuggle_a_header_are_refused) {
    static const char *const bad[] = {"a\r\nx-evil: 1", "a\nb", "a\x7f"};
    fixture f;
    start(&f, &(fault_step){0}, 1);
    for (size_t i = 0; i < CPL_COUNT(bad); i++) {
        cpl_client_options options = options_for(f.server);
        options.session_token = cpl_str_of(bad[i]);
        cpl_client_free(f.client);
        f.client = NULL;
        if (cpl_client_new(&f.client, &options, &f.err) == CPL_OK) call(&f, "ListPipelines", "{}");
        CHECK(f.err.status == CPL_INVALID && strstr(f.err.message, "evil") == NULL);
    }
    CHECK(fault_server_connections(f.server) == 0);
    stop(&f);
}

TEST(t_client__truncated_answers_and_passing_trouble_are_tried_again) {
    static const fault_step troubles[] = {{.body = "{\"pipelines\":[", .claimed_length = 500},
                                          {.status = 500, .body = ""},
                                          {.status = 502, .body = "<html>"},
                                          {.status = 503},
                                          {.status = 504},
                                          {.kind = FAULT_RAW, .body = "HTTP/1.1 200 OK\r\nConte"}};
    for (size_t i = 0; i < CPL_COUNT(troubles); i++) {
        const fault_step steps[] = {troubles[i], {.body = "{}"}};
        fixture f;
        start(&f, steps, 2);
        CHECK(call(&f, "ListPipelines", "{}") == CPL_OK);
        CHECK(f.reply && cpl_reply_attempts(f.reply) == 2 && cpl_str_is(cpl_reply_text(f.reply), "{}"));
        stop(&f);
    }
}

TEST(t_client__three_failures_are_an_error_that_counts_them) {
    fixture f;
    start(&f,
          &(fault_step){.status = 503,
                        .head = "x-amzn-RequestId: r-9\r\n",
                        .body = "{\"__type\":\"ServiceUnavailable\",\"message\":\"later\"}"},
          1);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_SERVICE && f.reply == NULL);
    CHECK(f.err.attempts == 3 && f.err.retryable && f.err.http_status == 503 && f.err.retry_delay_ms <= 150);
    CHECK_STR(f.err.code, "ServiceUnavailable");
    CHECK_STR(f.err.message, "later");
    CHECK_STR(f.err.request_id, "r-9");
    CHECK_STR(f.err.operation, "ListPipelines");
    CHECK(atomic_load(&f.client->quota.tokens) == 500 - 28);
    stop(&f);
}

TEST(t_client__throttling_waits_as_long_as_the_service_asks) {
    static const fault_step steps[] = {
        {.status = 400, .head = "x-amz-retry-after: 40\r\n", .body = "{\"__type\":\"RequestTimeoutException\"}"},
        {.status = 400, .body = "{\"__type\":\"ConcurrentModificationException\"}"}};
    fixture f;
    start(&f, steps, 2);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_SERVICE);
    CHECK(f.err.attempts == 2 && f.err.retry_delay_ms >= 40 && f.err.retry_delay_ms <= 50);
    CHECK_STR(f.err.code, "ConcurrentModificationException");
    stop(&f);
}

TEST(t_client__throttling_is_tried_again) {
    static const fault_step steps[] = {{.status = 400, .body = "{\"__type\":\"ThrottlingException\"}"}, {.body = "{}"}};
    fixture f;
    start(&f, steps, 2);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_OK && cpl_reply_attempts(f.reply) == 2);
    stop(&f);
}

TEST(t_client__errors_that_would_come_again_are_not_tried_again) {
    static const char *const codes[] = {"PipelineNotFoundException", "LimitExceededException", "ValidationException",
                                        "AccessDeniedException", "UnrecognizedClientException"};
    for (size_t i = 0; i < CPL_COUNT(codes); i++) {
        char body[128];
        fixture f;
        snprintf(body, sizeof body, "{\"__type\":\"com.amazonaws#%s\",\"Message\":\"no\"}", codes[i]);
        start(&f, &(fault_step){.status = 400, .body = body}, 1);
        CHECK(call(&f, "ListPipelines", "{}") == CPL_SERVICE && f.err.attempts == 1 && !f.err.retryable);
        CHECK_STR(f.err.code, codes[i]);
        stop(&f);
    }
}

TEST(t_client__an_empty_quota_ends_retries_but_slows_a_poll_loop) {
    fixture f;
    int64_t begin = cpl_clock_monotonic_ms();
    start(&f, &(fault_step){.status = 503, .head = "x-amz-retry-after: 60\r\n"}, 1);
    cpl_retry_quota_init(&f.client->quota, 0);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_SERVICE && f.err.attempts == 1 && f.err.retry_delay_ms == 0);
    CHECK(
        call(&f, "PollForJobs",
             "{\"actionTypeId\":{\"category\":\"Build\",\"owner\":\"Custom\",\"provider\":\"P\",\"version\":\"1\"}}") ==
        CPL_SERVICE);
    CHECK(f.err.attempts == 1 && f.err.retry_delay_ms >= 60 && cpl_clock_monotonic_ms() - begin >= 60);
    stop(&f);
}

/* ---- the clock ---- */

TEST(t_client__a_clock_that_is_a_day_off_costs_one_attempt_once) {
    char head[128], date[CPL_TIME_HTTP_SIZE];
    fixture f;
    cpl_time_http(cpl_clock_wall_ms() / 1000 - 86400, date);
    snprintf(head, sizeof head, "Date: %s\r\n", date);
    const fault_step steps[] = {{.status = 400, .head = head, .body = "{\"__type\":\"InvalidSignatureException\"}"},
                                {.head = head}};
    start(&f, steps, 2);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_OK && cpl_reply_attempts(f.reply) == 2);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_OK && cpl_reply_attempts(f.reply) == 1);
    int64_t off = cpl_client_now_s(f.client) - cpl_clock_wall_ms() / 1000;
    CHECK(off >= -86402 && off <= -86398);
    double first = 0, second = 0;
    CHECK(cpl_time_parse(cpl_str_of(sent_header(&f, 0, "x-amz-date")), &first));
    CHECK(cpl_time_parse(cpl_str_of(sent_header(&f, 1, "x-amz-date")), &second));
    CHECK(first - second > 86390 && first - second < 86410);
    stop(&f);
}

TEST(t_client__a_wrong_signature_at_the_right_time_is_final) {
    char head[128], date[CPL_TIME_HTTP_SIZE];
    fixture f;
    cpl_time_http(cpl_clock_wall_ms() / 1000, date);
    snprintf(head, sizeof head, "Date: %s\r\n", date);
    start(&f, &(fault_step){.status = 400, .head = head, .body = "{\"__type\":\"InvalidSignatureException\"}"}, 1);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_SERVICE && f.err.attempts == 1);
    stop(&f);
}

/* ---- answers that are none ---- */

typedef struct answer_case {
    fault_step step;
    cpl_status status;
    const char *code;
    const char *message;
} answer_case;

TEST(t_client__what_is_no_answer_is_a_clear_error) {
    static const answer_case cases[] = {
        {{.body = "not json"}, CPL_PROTOCOL, "", "the answer is not JSON: not a value at byte 0"},
        {{.body = "{\"pipelines\":[{\"name\":\"a\"}"},
         CPL_PROTOCOL,
         "",
         "the answer is not JSON: unfinished document at byte 26"},
        {{.body = "[]"}, CPL_PROTOCOL, "", "the answer is JSON, but no object"},
        {{.body = "{} {}"}, CPL_PROTOCOL, "", "the answer is not JSON: text after the document at byte 3"},
        {{.body = "\"x\""}, CPL_PROTOCOL, "", "the answer is JSON, but no object"},
        {{.body = "<html>"}, CPL_PROTOCOL, "", "the answer is not JSON: not a value at byte 0"},
        {{.status = 403, .head = "Content-Type: text/html\r\n", .body = "<html>\r\n<b>no</b>"},
         CPL_SERVICE,
         "403",
         "the service answered 403 with text/html: <html>  <b>no</b>"},
        {{.status = 404, .body = ""}, CPL_SERVICE, "404", "the service answered 404 without a body"},
        {{.status = 304, .body = ""}, CPL_SERVICE, "304", "the service answered 304 without a body"},
        {{.status = 400, .body = "{}"}, CPL_SERVICE, "400", "the service answered 400 without a message"},
        {{.status = 400, .body = "{\"__type\":\"A\",\"message\":\"half"},
         CPL_SERVICE,
         "400",
         "the service answered 400 with a body: {\"__type\":\"A\",\"message\":\"half"},
        {{.status = 307, .head = "Location: http://elsewhere/\r\n", .body = ""},
         CPL_SERVICE,
         "307",
         "the service answered 307, a redirect to \"http://elsewhere/\"; redirects are not followed"},
        {{.status = 204, .body = ""}, CPL_OK, "", ""},
    };
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        fixture f;
        cpl_status status;
        start(&f, &cases[i].step, 1);
        status = call(&f, "ListPipelines", "{}");
        if (!CHECK(status == cases[i].status && strcmp(f.err.code, cases[i].code) == 0 &&
                   strcmp(f.err.message, cases[i].message) == 0)) {
            printf("  case %zu: %s %s: %s\n", i, cpl_status_name(status), f.err.code, f.err.message);
        }
        CHECK(status == CPL_OK || (f.err.attempts == 1 && !f.err.retryable));
        CHECK(fault_server_requests(f.server) == 1);
        stop(&f);
    }
}

TEST(t_client__error_codes_come_in_many_dresses) {
    static const answer_case cases[] = {
        {{.head = "X-Amzn-Errortype: FooError\r\n", .body = "{}"}, CPL_SERVICE, "FooError", NULL},
        {{.head = "X-Amzn-Errortype: FooError:http://internal.amazon.com/coral/\r\n", .body = "{}"},
         CPL_SERVICE,
         "FooError",
         NULL},
        {{.head = "x-amzn-errortype: ns#FooError:http://internal/\r\n", .body = "{\"code\":\"Bar\"}"},
         CPL_SERVICE,
         "FooError",
         NULL},
        {{.body = "{\"code\":\"aws.protocoltests.json#FooError\",\"message\":\"m\"}"}, CPL_SERVICE, "FooError", "m"},
        {{.body = "{\"__type\":\"FooError:http://x/#y\",\"Message\":\"M\"}"}, CPL_SERVICE, "FooError", "M"},
        {{.body = "{\"code\":400,\"__type\":\"FooError\",\"message\":null,\"errorMessage\":\"e\"}"},
         CPL_SERVICE,
         "FooError",
         "e"},
        {{.body = "{\"details\":{\"code\":\"No\",\"message\":[1]},\"__type\":\"FooError\"}"},
         CPL_SERVICE,
         "FooError",
         NULL},
        {{.head = "x-amzn-errortype: FooError\r\n", .body = "<html>"}, CPL_SERVICE, "FooError", NULL},
        {{.body = "{\"__type\":\"Foo\\nError: injected\",\"message\":\"\\u00e9\"}"}, CPL_SERVICE, "Foo", "\xc3\xa9"},
    };
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        fault_step step = cases[i].step;
        fixture f;
        step.status = 400;
        start(&f, &step, 1);
        CHECK(call(&f, "ListPipelines", "{}") == cases[i].status);
        if (!CHECK(strcmp(f.err.code, cases[i].code) == 0)) printf("  case %zu: %s\n", i, f.err.code);
        if (cases[i].message) CHECK_STR(f.err.message, cases[i].message);
        stop(&f);
    }
}

TEST(t_client__a_three_gigabyte_answer_is_refused_and_not_asked_for_again) {
    fixture f;
    start(&f, &(fault_step){.claimed_length = 3LL << 30, .filler_body = 1u << 30}, 1);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_TOO_LARGE && f.err.attempts == 1 && !f.err.retryable);
    CHECK(strstr(f.err.message, "3221225472 bytes, the limit is 67108864") != NULL);
    CHECK(fault_server_requests(f.server) == 1);
    stop(&f);
}

/* ---- time ---- */

static bool within(int64_t start_ms, int64_t from, int64_t to) {
    int64_t took = cpl_clock_monotonic_ms() - start_ms;
    if (took >= from && took <= to) return true;
    printf("  took %lld ms\n", (long long)took);
    return false;
}

TEST(t_client__the_callers_time_limit_holds_across_attempts) {
    static const fault_step steps[] = {{.kind = FAULT_RESET}, {.kind = FAULT_STALL}};
    const cpl_call_options limited = {.wait = {.timeout_ms = 300}};
    fixture f;
    int64_t begin;
    start(&f, steps, 2);
    begin = cpl_clock_monotonic_ms();
    CHECK(cpl_client_call(f.client, CPL_LIT("ListPipelines"), CPL_LIT(""), &limited, &f.reply, &f.err) == CPL_TIMEOUT);
    CHECK(within(begin, 295, 550) && f.err.attempts == 2 && f.err.retryable);
    CHECK(strstr(f.err.message, "no answer from \"127.0.0.1:") && strstr(f.err.message, "within 300 ms"));
    stop(&f);
}

TEST(t_client__a_wait_for_the_next_attempt_that_would_last_too_long_is_not_begun) {
    const fault_step step = {.status = 503, .head = "x-amz-retry-after: 5000\r\n"};
    const cpl_call_options limited = {.wait = {.timeout_ms = 1000}};
    fixture f;
    int64_t begin;
    start(&f, &step, 1);
    begin = cpl_clock_monotonic_ms();
    CHECK(cpl_client_call(f.client, CPL_LIT("ListPipelines"), CPL_LIT(""), &limited, &f.reply, &f.err) == CPL_TIMEOUT);
    CHECK(within(begin, 0, 500) && f.err.attempts == 1);
    stop(&f);
}

static int stop_at_once(void *context) {
    ++*(int *)context;
    return 1;
}

TEST(t_client__the_tick_cancels_a_stalled_call_and_a_wait_between_attempts) {
    static const fault_step steps[] = {{.kind = FAULT_STALL}, {.status = 503, .head = "x-amz-retry-after: 4000\r\n"}};
    int asked = 0;
    const cpl_call_options interruptible = {.wait = {.tick = stop_at_once, .context = &asked}};
    fixture f;
    start(&f, steps, 2);
    for (int i = 1; i <= 2; i++) {
        int64_t begin = cpl_clock_monotonic_ms();
        CHECK(cpl_client_call(f.client, CPL_LIT("ListPipelines"), CPL_LIT(""), &interruptible, &f.reply, &f.err) ==
              CPL_CANCELLED);
        CHECK(within(begin, 0, 200) && asked == i && f.err.attempts == 1);
    }
    stop(&f);
}

/* ---- many hands ---- */

static void *call_many(void *argument) {
    fixture own = *(fixture *)argument;
    size_t failed = 0;
    own.reply = NULL;
    for (int i = 0; i < 50; i++) failed += call(&own, "ListPipelines", "{}") != CPL_OK;
    cpl_reply_free(own.reply);
    return failed ? argument : NULL;
}

TEST(t_client__eight_threads_share_one_client) {
    pthread_t threads[8];
    void *failed;
    fixture f;
    start(&f, &(fault_step){.body = "{\"pipelines\":[]}"}, 1);
    for (size_t i = 0; i < 8; i++) NEED(pthread_create(&threads[i], NULL, call_many, &f) == 0);
    for (size_t i = 0; i < 8; i++) CHECK(pthread_join(threads[i], &failed) == 0 && failed == NULL);
    CHECK(fault_server_requests(f.server) == 400 && fault_server_connections(f.server) <= 8);
    stop(&f);
}

TEST(t_client__a_forked_child_and_its_parent_both_go_on) {
    fixture f;
    int state = -1;
    pid_t child;
    start(&f, &(fault_step){0}, 1);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_OK);
    child = fork();
    if (child == 0) _exit(call(&f, "ListPipelines", "{}") == CPL_OK ? 0 : 1);
    NEED(waitpid(child, &state, 0) == child);
    CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_OK);
    CHECK(fault_server_connections(f.server) == 2);
    stop(&f);
}

TEST(t_client__a_closed_client_refuses_calls_and_a_retained_one_lives_on) {
    fixture f;
    start(&f, &(fault_step){0}, 1);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_OK && !cpl_client_closed(f.client));
    cpl_client_retain(f.client);
    cpl_client_free(f.client);
    cpl_client_close(f.client);
    cpl_client_close(f.client);
    CHECK(cpl_client_closed(f.client));
    CHECK(call(&f, "ListPipelines", "{}") == CPL_STATE);
    CHECK_STR(f.err.message, "the client is closed");
    stop(&f);
}

/* ---- options ---- */

static cpl_status make(const cpl_client_options *options, cpl_error *err) {
    cpl_client *client;
    cpl_status status = cpl_client_new(&client, options, err);
    cpl_client_free(client);
    return status;
}

TEST(t_client__a_client_without_a_region_says_where_to_put_one) {
    cpl_error err;
    CHECK(make(NULL, &err) == CPL_CONFIG);
    CHECK_STR(err.message, "no region: pass one, set AWS_REGION, or set \"region\" in the profile \"default\"");
    CHECK_STR(err.path, "region");
}

TEST(t_client__malformed_options_are_named) {
    const cpl_client_options good = {.region = CPL_LIT("eu-west-1")};
    cpl_client_options bad = good;
    cpl_error err;
    CHECK(make(&good, &err) == CPL_OK);
    bad.read_timeout_ms = -1;
    CHECK(make(&bad, &err) == CPL_INVALID);
    CHECK_STR(err.path, "read_timeout_ms");
    bad = good;
    bad.user_agent_extra = CPL_LIT("x\r\nAuthorization: y");
    CHECK(make(&bad, &err) == CPL_INVALID);
    CHECK_STR(err.path, "user_agent_extra");
    bad = good;
    bad.access_key_id = CPL_LIT("AKID");
    CHECK(make(&bad, &err) == CPL_INVALID);
    bad = good;
    bad.endpoint_url = CPL_LIT("ftp://example.com");
    CHECK(make(&bad, &err) == CPL_CONFIG);
    bad = good;
    bad.s3_endpoint_url = CPL_LIT("example.com");
    CHECK(make(&bad, &err) == CPL_CONFIG);
    CHECK_STR(err.path, "s3_endpoint_url");
    bad = good;
    bad.region = CPL_LIT("eu/west");
    CHECK(make(&bad, &err) == CPL_CONFIG);
    bad = good;
    bad.ca_bundle = CPL_LIT("/nonexistent.pem");
    CHECK(make(&bad, &err) == CPL_CONFIG);
    setenv("AWS_MAX_ATTEMPTS", "none", 1);
    CHECK(make(&good, &err) == CPL_CONFIG);
    CHECK_STR(err.message, "max_attempts: \"none\" is not a number from 1 on");
    setenv("AWS_MAX_ATTEMPTS", "7", 1);
    CHECK(make(&good, &err) == CPL_OK);
    unsetenv("AWS_MAX_ATTEMPTS");
}

TEST(t_client__region_and_endpoint_come_from_the_environment_when_not_given) {
    cpl_client *client;
    cpl_error err;
    setenv("AWS_DEFAULT_REGION", "us-west-2", 1);
    NEED(cpl_client_new(&client, NULL, &err) == CPL_OK);
    CHECK_STR(cpl_client_region(client), "us-west-2");
    CHECK_STR(cpl_client_endpoint_url(client), "https://codepipeline.us-west-2.amazonaws.com");
    cpl_client_free(client);
    setenv("AWS_REGION", "eu-central-1", 1);
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1", 1);
    NEED(cpl_client_new(&client, NULL, &err) == CPL_OK);
    CHECK_STR(cpl_client_region(client), "eu-central-1");
    CHECK_STR(cpl_client_endpoint_url(client), "http://127.0.0.1:1");
    CHECK_STR(client->s3_endpoint_url, "http://127.0.0.1:1");
    cpl_client_free(client);
    unsetenv("AWS_REGION");
    unsetenv("AWS_DEFAULT_REGION");
    unsetenv("AWS_ENDPOINT_URL");
}

TEST(t_client__without_credentials_nothing_is_sent) {
    fixture f;
    cpl_client_options options;
    start(&f, &(fault_step){0}, 1);
    options = options_for(f.server);
    options.access_key_id = options.secret_access_key = (cpl_str){NULL, 0};
    cpl_client_free(f.client);
    NEED(cpl_client_new(&f.client, &options, &f.err) == CPL_OK);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_CREDENTIALS && f.err.attempts == 0 && !f.err.retryable);
    CHECK(fault_server_connections(f.server) == 0);
    stop(&f);
}

TEST(t_client__any_allocation_may_fail_and_only_that_call_does) {
    fixture f;
    size_t made, n = 0;
    start(&f, &(fault_step){.head = "x-amzn-RequestId: r\r\n", .body = "{\"pipelineExecutionId\":\"\\u0031\"}"}, 1);
    do {
        const cpl_client_options options = options_for(f.server);
        cpl_client *client = NULL;
        cpl_reply *reply = NULL;
        cpl_error err = {0};
        cpl_status status;
        cpl_alloc_fail_at(++n);
        status = cpl_client_new(&client, &options, &err);
        if (status == CPL_OK) {
            status = cpl_client_call(client, CPL_LIT("StartPipelineExecution"), CPL_LIT("{\"name\":\"a\\u0062\"}"),
                                     NULL, &reply, &err);
        }
        made = cpl_alloc_fail_at(0);
        if (!CHECK(status == (made >= n ? CPL_NOMEM : CPL_OK) && err.status == status)) {
            printf("  %zu of %zu: %s: %s\n", n, made, cpl_status_name(status), err.message);
        }
        cpl_reply_free(reply);
        cpl_client_free(client);
    } while (made >= n);
    CHECK(made > 20);
    stop(&f);
}

TEST_MAIN
