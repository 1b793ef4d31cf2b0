/* SPDX-License-Identifier: MIT */
/* Canned answers: no server is there, and nothing may ask for one. */
#include "client_fixture.h"

#define JOB "{\"jobId\":\"test_job_id\"}"

typedef struct world {
    cpl_stub *stub;
    cpl_client *client;
    cpl_reply *reply;
    cpl_error err;
} world;

static void open_world(world *w) {
    memset(w, 0, sizeof *w);
    w->stub = cpl_stub_new();
    cpl_client_options options = {.region = CPL_LIT("eu-west-1"), .stub = w->stub, .endpoint_url = CPL_LIT("http://x")};
    if (w->stub == NULL || cpl_client_new(&w->client, &options, &w->err) != CPL_OK) abort();
}

static void close_world(world *w) {
    cpl_reply_free(w->reply);
    cpl_client_free(w->client);
    cpl_stub_free(w->stub);
}

static cpl_status add(world *w, const char *operation, int http_status, const char *document, const char *expected) {
    const cpl_stub_answer answer = {http_status, cpl_str_of(document), cpl_str_of(expected), 0};
    return cpl_stub_add(w->stub, cpl_str_of(operation), &answer, &w->err);
}

static cpl_status ask(world *w, const char *operation, const char *params) {
    cpl_reply_free(w->reply);
    w->reply = NULL;
    return cpl_client_call(w->client, cpl_str_of(operation), cpl_str_of(params), NULL, &w->reply, &w->err);
}

TEST(t_stub__answers_come_in_order_without_a_server) {
    world w;
    open_world(&w);
    CHECK(add(&w, "list_pipelines", 0, "{\"pipelines\":[{\"name\":\"a\"}]}", NULL) == CPL_OK);
    CHECK(add(&w, "PutJobSuccessResult", 0, "", JOB) == CPL_OK);
    CHECK(cpl_stub_pending(w.stub) == 2);
    CHECK(ask(&w, "ListPipelines", "") == CPL_OK);
    CHECK_STR(cpl_reply_text(w.reply).p, "{\"pipelines\":[{\"name\":\"a\"}]}");
    CHECK(cpl_reply_http_status(w.reply) == 200 && cpl_reply_attempts(w.reply) == 1);
    CHECK(ask(&w, "put_job_success_result", JOB) == CPL_OK); /* whose id is none of the service's */
    CHECK(cpl_stub_pending(w.stub) == 0);
    close_world(&w);
}

TEST(t_stub__an_error_is_judged_as_the_service_s_and_not_tried_again) {
    world w;
    open_world(&w);
    CHECK(add(&w, "GetPipeline", 400, "{\"__type\":\"PipelineNotFoundException\",\"message\":\"no\"}", NULL) == CPL_OK);
    CHECK(add(&w, "GetPipeline", 503, "{\"__type\":\"ThrottlingException\"}", NULL) == CPL_OK);
    CHECK(ask(&w, "GetPipeline", "{\"name\":\"a\"}") == CPL_SERVICE);
    CHECK_STR(w.err.code, "PipelineNotFoundException");
    CHECK_STR(w.err.message, "no");
    CHECK(w.err.http_status == 400 && w.err.attempts == 1 && !w.err.retryable);
    CHECK(ask(&w, "GetPipeline", "{\"name\":\"a\"}") == CPL_SERVICE);
    CHECK(w.err.http_status == 503 && w.err.attempts == 1 && w.err.retryable && !w.err.exhausted);
    close_world(&w);
}

TEST(t_stub__another_call_is_unexpected_and_takes_nothing) {
    static const struct {
        const char *operation, *params, *code, *path, *message;
    } rows[] = {
        {"ListPipelines", "{}", "StubResponseError", "", "ListPipelines: the next answer is for GetPipeline"},
        {"GetPipeline", "{\"name\":\"b\",\"version\":1}", "StubAssertionError", "name",
         "GetPipeline: name: expected \"a\", got \"b\""},
        {"GetPipeline", "{\"name\":\"a\"}", "StubAssertionError", "version",
         "GetPipeline: version: expected any value, got nothing"},
        {"GetPipeline", "{\"name\":\"a\",\"version\":1,\"more\":2}", "StubAssertionError", "more",
         "GetPipeline: more: expected nothing, got 2"},
    };
    world w;
    open_world(&w);
    CHECK(add(&w, "GetPipeline", 0, "{}", "{\"name\":\"a\",\"version\":null}") == CPL_OK);
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        CHECK(ask(&w, rows[i].operation, rows[i].params) == CPL_UNEXPECTED);
        CHECK_STR(w.err.code, rows[i].code);
        CHECK_STR(w.err.path, rows[i].path);
        CHECK_STR(w.err.message, rows[i].message);
        CHECK_STR(w.err.operation, rows[i].operation);
        CHECK(cpl_stub_pending(w.stub) == 1);
    }
    CHECK(ask(&w, "GetPipeline", "{\"name\":\"a\",\"version\":7}") == CPL_OK); /* null is anything */
    CHECK(ask(&w, "GetPipeline", "{\"name\":\"a\"}") == CPL_UNEXPECTED);
    CHECK_STR(w.err.code, "UnStubbedResponseError");
    CHECK_STR(w.err.message, "GetPipeline: no answers are left");
    close_world(&w);
}

#define TAG(resource, tags) "{\"resourceArn\":\"" resource "\",\"tags\":[" tags "]}"
#define ONE "{\"key\":\"k\",\"value\":\"v\"}"

TEST(t_stub__the_first_difference_is_named_by_its_path) {
    static const struct {
        const char *params, *message;
    } rows[] = {
        {TAG("r", ONE), NULL},
        {TAG("r", "{\"value\":\"v\",\"key\":\"k\"}"), NULL},
        {TAG("r", "{\"key\":\"k\",\"value\":\"w\"}"), "TagResource: tags[0].value: expected \"v\", got \"w\""},
        {TAG("r", ONE "," ONE), "TagResource: tags[1]: expected nothing, got " ONE},
        {TAG("r", ""), "TagResource: tags[0]: expected " ONE ", got nothing"},
        {"{\"resourceArn\":\"r\",\"tags\":1}", "TagResource: tags: expected [" ONE "], got 1"},
        {"7", "TagResource: expected " TAG("r", ONE) ", got 7"},
    };
    world w;
    open_world(&w);
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        if (cpl_stub_pending(w.stub) == 0) CHECK(add(&w, "TagResource", 0, "", TAG("r", ONE)) == CPL_OK);
        CHECK(ask(&w, "TagResource", rows[i].params) == (rows[i].message ? CPL_UNEXPECTED : CPL_OK));
        if (rows[i].message) CHECK_STR(w.err.message, rows[i].message);
    }
    close_world(&w);
}

TEST(t_stub__a_long_value_is_cut_between_characters) {
    char expected[2048] = "{\"name\":\"", *end = expected + strlen(expected);
    world w;
    open_world(&w);
    for (int i = 0; i < 400; i++) end += snprintf(end, 3, "\xc3\xa4");
    snprintf(end, 4, "\"}");
    CHECK(add(&w, "GetPipeline", 0, "", expected) == CPL_OK);
    CHECK(ask(&w, "GetPipeline", "{\"name\":\"b\"}") == CPL_UNEXPECTED);
    CHECK(strstr(w.err.message, "\xa4..., got \"b\"") && cpl_utf8_valid(cpl_str_of(w.err.message)));
    close_world(&w);
}

TEST(t_stub__parameters_that_sdks_refuse_leave_the_answer_there) {
    world w;
    open_world(&w);
    CHECK(add(&w, "GetPipeline", 0, "", NULL) == CPL_OK);
    CHECK(ask(&w, "GetPipeline", "{}") == CPL_INVALID);
    CHECK_STR(w.err.message, "name: missing");
    CHECK(ask(&w, "GetPipeline", "{\"name\":1}") == CPL_INVALID);
    CHECK(ask(&w, "GetPipeline", "{\"name\":\"\"}") == CPL_INVALID);
    CHECK(cpl_stub_pending(w.stub) == 1);
    CHECK(ask(&w, "GetPipeline", "{\"name\":\"what the service refuses: spaces\"}") == CPL_OK);
    close_world(&w);
}

TEST(t_stub__answers_are_checked_when_they_are_added) {
    static const struct {
        const char *operation, *answer, *path;
        int http_status;
    } rows[] = {
        {"GetPipelin", "{}", "", 0},
        {"GetPipeline", "{\"pipelin\":{}}", "pipelin", 0},
        {"GetPipeline", "{\"pipeline\":{\"name\":1}}", "pipeline.name", 0},
        {"GetPipeline", "{\"metadata\":{\"created\":\"yesterday\"}}", "metadata.created", 0},
        {"ListPipelines", "{\"pipelines\":{}}", "pipelines", 0},
        {"ListPipelines", "[]", "", 0},
        {"ListPipelines", "{", "", 0},
        {"GetPipeline", "{}", "http_status", 99},
        {"GetPipeline", "{\"__type\":\"PipelineNotFoundException\",\"colour\":1}", "colour", 400},
        {"GetPipeline", "{\"__type\":\"X\",\"colour\":1}", "colour", 400},
        {"GetPipeline", "[", "", 400},
        {"DeletePipeline", "{\"name\":\"x\"}", "name", 0},
    };
    static const cpl_stub_answer lua = {.document = CPL_LIT("{\"pipelines\":{}}"), .flags = CPL_CALL_EMPTY_TABLES};
    world w;
    open_world(&w);
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        CHECK(add(&w, rows[i].operation, rows[i].http_status, rows[i].answer, NULL) == CPL_INVALID);
        CHECK_STR(w.err.path, rows[i].path);
    }
    CHECK(add(&w, "GetPipeline", 0, "{}", "{") == CPL_INVALID);
    CHECK(cpl_stub_pending(w.stub) == 0);
    CHECK(add(&w, "ListPipelines", 0, "{}", "") == CPL_INVALID);
    NEED(cpl_stub_add(w.stub, CPL_LIT("ListPipelines"), &lua, &w.err) == CPL_OK);
    CHECK(ask(&w, "ListPipelines", "{}") == CPL_OK);
    CHECK_STR(cpl_reply_text(w.reply).p, "{\"pipelines\":[]}");
    close_world(&w);
}

TEST(t_stub__a_view_asks_it_and_what_it_was_made_from_does_not) {
    static const fault_step step = {.body = "{\"pipelines\":[]}"};
    cpl_stub *stub = cpl_stub_new();
    cpl_client_options options = {.stub = stub};
    cpl_client *view = NULL, *again = NULL;
    fixture f;
    start(&f, &step, 1);
    NEED(cpl_client_with(&view, f.client, &options, &f.err) == CPL_OK);
    NEED(cpl_client_with(&again, view, NULL, &f.err) == CPL_OK);
    NEED(cpl_stub_add(stub, CPL_LIT("ListPipelines"), &(cpl_stub_answer){0}, &f.err) == CPL_OK);
    cpl_stub_free(stub); /* the views keep it */
    CHECK(call(&f, "ListPipelines", "{}") == CPL_OK);
    CHECK(call_with(&f, again, "ListPipelines", "{}") == CPL_OK);
    CHECK(call_with(&f, view, "ListPipelines", "{}") == CPL_UNEXPECTED);
    CHECK(fault_server_requests(f.server) == 1);
    cpl_client_free(again);
    cpl_client_free(view);
    stop(&f);
}

TEST(t_stub__calls_of_a_queue_are_answered_in_the_order_they_were_submitted) {
    static const char *const answers[] = {"{\"nextToken\":\"a\"}", "{\"nextToken\":\"b\"}"};
    cpl_queue *queue = NULL;
    cpl_done done;
    uint64_t id;
    world w;
    open_world(&w);
    NEED(cpl_queue_new(&queue, w.client, 0, &w.err) == CPL_OK);
    for (int i = 0; i < 2; i++) CHECK(add(&w, "ListPipelines", 0, answers[i], NULL) == CPL_OK);
    CHECK(add(&w, "ListPipelines", 429, "{\"__type\":\"ThrottlingException\"}", NULL) == CPL_OK);
    for (int i = 0; i < 3; i++) {
        CHECK(cpl_queue_submit(queue, CPL_LIT("ListPipelines"), CPL_LIT("{}"), NULL, &id, &w.err) == CPL_OK);
    }
    CHECK(cpl_queue_submit(queue, CPL_LIT("ListPipelines"), CPL_LIT("{}"), NULL, &id, &w.err) == CPL_UNEXPECTED);
    for (int i = 0; i < 3; i++) {
        CHECK(cpl_queue_next(queue, NULL, &done, &w.err) == CPL_OK);
        CHECK(done.status == (i < 2 ? CPL_OK : CPL_SERVICE));
        if (done.status == CPL_OK) CHECK_STR(cpl_reply_text(done.reply).p, answers[i]);
        cpl_reply_free(done.reply);
    }
    cpl_queue_free(queue);
    close_world(&w);
}

TEST(t_stub__any_allocation_may_fail_and_no_answer_is_lost) {
    size_t made, n = 0;
    world w;
    open_world(&w);
    do {
        cpl_status status;
        if (cpl_stub_pending(w.stub) == 0) CHECK(add(&w, "GetPipeline", 0, "{}", "{\"name\":\"a\"}") == CPL_OK);
        cpl_alloc_fail_at(++n);
        status = ask(&w, "GetPipeline", "{\"name\":\"a\"}");
        made = cpl_alloc_fail_at(0);
        CHECK(status == CPL_OK || (made >= n && status == CPL_NOMEM)); /* a path that nobody is told may be lost */
    } while (made >= n);
    CHECK(made > 3);
    n = 0;
    do {
        size_t before = cpl_stub_pending(w.stub);
        cpl_status status;
        cpl_alloc_fail_at(++n);
        status = add(&w, "GetPipeline", 400, "{\"__type\":\"PipelineNotFoundException\"}", "{\"name\":\"a\"}");
        made = cpl_alloc_fail_at(0);
        CHECK(status == (made >= n ? CPL_NOMEM : CPL_OK));
        CHECK(cpl_stub_pending(w.stub) == before + (status == CPL_OK));
    } while (made >= n);
    CHECK(made > 5);
    close_world(&w);
}

TEST_MAIN
