/* SPDX-License-Identifier: MIT */
/* What those who look on get to see, and that no secret is among it. */
#include "../../core/redact.h"
#include "client_fixture.h"

typedef struct looker {
    int requests, responses;
    int stop_at; /* the n-th event says stop; 0: none does */
    char seen[65536];
    size_t n;
    cpl_call_event last;
    char last_code[80], last_id[80];
} looker;

static void note(looker *l, cpl_str text) {
    int n = snprintf(l->seen + l->n, sizeof l->seen - l->n, "%.*s\n", (int)text.n, text.p ? text.p : "");
    l->n += (size_t)n;
}

static int look(void *context, const cpl_call_event *event) {
    looker *l = context;
    cpl_str name, value;
    *(event->stage == CPL_CALL_REQUEST ? &l->requests : &l->responses) += 1;
    note(l, cpl_str_of(event->operation));
    note(l, cpl_str_of(event->url));
    note(l, event->text);
    note(l, cpl_str_of(event->message));
    for (size_t i = 0; cpl_call_event_header(event, i, &name, &value); i++) {
        note(l, name);
        note(l, value);
    }
    l->last = *event;
    snprintf(l->last_code, sizeof l->last_code, "%s", event->code ? event->code : "");
    snprintf(l->last_id, sizeof l->last_id, "%s", event->request_id ? event->request_id : "");
    return l->stop_at > 0 && l->requests + l->responses == l->stop_at;
}

static cpl_status call_observed(fixture *f, looker *l, const char *operation, const char *params) {
    const cpl_observer observer = {look, l};
    const cpl_call_options options = {.wait = {.observer = &observer}};
    cpl_reply_free(f->reply);
    f->reply = NULL;
    return cpl_client_call(f->client, cpl_str_of(operation), cpl_str_of(params), &options, &f->reply, &f->err);
}

TEST(t_observe__every_attempt_is_told_before_and_after) {
    static const fault_step steps[] = {
        {.status = 500, .head = "x-amzn-RequestId: r-1\r\n", .body = "{\"__type\":\"Oops\"}", .close = true},
        {.kind = FAULT_RESET},
        {.head = "x-amzn-RequestId: r-3\r\n", .body = "{\"pipelines\":[{\"name\":\"site\"}]}"}};
    static looker l;
    fixture f;
    l = (looker){0};
    start(&f, steps, 3);
    CHECK(call_observed(&f, &l, "ListPipelines", "{\"maxResults\":5}") == CPL_OK);
    CHECK(l.requests == 3 && l.responses == 3);
    CHECK(l.last.stage == CPL_CALL_RESPONSE && l.last.attempt == 3 && l.last.http_status == 200);
    CHECK(l.last.status == CPL_OK && l.last.duration_ms >= 0 && l.last.duration_ms < 5000);
    CHECK_STR(l.last_id, "r-3");
    CHECK(strstr(l.seen, "ListPipelines\n") && strstr(l.seen, "{\"maxResults\":5}\n") && strstr(l.seen, "\nr-1\n"));
    CHECK(strstr(l.seen, "{\"pipelines\":[{\"name\":\"site\"}]}\n") && strstr(l.seen, "the connection broke"));
    CHECK(strstr(l.seen, "attempt=2; max=3") && strstr(l.seen, "\nauthorization\n***\n"));
    stop(&f);
}

TEST(t_observe__an_observer_can_stop_a_call_before_and_after_it_was_sent) {
    static looker l;
    fixture f;
    start(&f, &(fault_step){.status = 500}, 1);
    l = (looker){.stop_at = 1};
    CHECK(call_observed(&f, &l, "ListPipelines", "{}") == CPL_CANCELLED && f.err.attempts == 0);
    CHECK(fault_server_requests(f.server) == 0 && l.responses == 0);
    l = (looker){.stop_at = 2};
    CHECK(call_observed(&f, &l, "ListPipelines", "{}") == CPL_CANCELLED && f.err.attempts == 1);
    CHECK(fault_server_requests(f.server) == 1 && !f.err.retryable);
    stop(&f);
}

TEST(t_observe__nothing_is_told_of_a_call_that_was_refused_before) {
    static looker l;
    fixture f;
    start(&f, &(fault_step){0}, 1);
    l = (looker){0};
    CHECK(call_observed(&f, &l, "GetPipeline", "{}") == CPL_INVALID && l.requests == 0 && l.responses == 0);
    stop(&f);
}

/* ---- secrets ---- */

TEST(t_observe__no_secret_is_seen_anywhere) {
    static const char jobs[] =
        "{\"jobs\":[{\"id\":\"1\",\"nonce\":\"2\",\"data\":{\"actionConfiguration\":{\"configuration\":"
        "{\"Token\":\"canary-secret\",\"Url\":\"canary-url\"}},\"artifactCredentials\":{\"accessKeyId\":\"canary-key\","
        "\"secretAccessKey\":\"canary-secret\",\"sessionToken\":\"canary-token\"},\"unknown\":\"canary-unknown\","
        "\"continuationToken\":\"seen\"}}]}";
    static const char poll[] =
        "{\"actionTypeId\":{\"category\":\"Build\",\"owner\":\"Custom\",\"provider\":\"P\",\"version\":\"1\"}}";
    static const char webhook[] =
        "{\"webhook\":{\"name\":\"hook\",\"targetPipeline\":\"site\",\"targetAction\":\"a\",\"filters\":[{\"jsonPath\":"
        "\"$.ref\"}],\"authentication\":\"GITHUB_HMAC\",\"authenticationConfiguration\":{\"SecretToken\":\"canary-"
        "hook\"}}}";
    static looker l;
    cpl_client_options options;
    fixture f;
    l = (looker){0};
    start(&f, &(fault_step){.head = "Set-Cookie: canary\r\n", .body = jobs}, 1);
    options = options_for(f.server);
    options.secret_access_key = CPL_LIT("canary-own-secret");
    options.session_token = CPL_LIT("canary-own-token");
    cpl_client_free(f.client);
    NEED(cpl_client_new(&f.client, &options, &f.err) == CPL_OK);
    CHECK(call_observed(&f, &l, "PollForJobs", poll) == CPL_OK);
    CHECK(strstr(cpl_reply_text(f.reply).p, "canary") != NULL);
    CHECK(strstr(l.seen, "\"artifactCredentials\":\"***\"") && strstr(l.seen, "{\"Token\":\"***\",\"Url\":\"***\"}"));
    CHECK(strstr(l.seen, "\"continuationToken\":\"seen\"") != NULL);
    CHECK(call_observed(&f, &l, "PutWebhook", webhook) == CPL_OK);
    CHECK(strstr(l.seen, "\"authenticationConfiguration\":{\"SecretToken\":\"***\"}") != NULL);
    CHECK(strstr(l.seen, "\"targetPipeline\":\"site\"") != NULL);
    if (!CHECK(strstr(l.seen, "canary") == NULL)) printf("%s", strstr(l.seen, "canary"));
    stop(&f);
}

static const char *redacted(const char *document, const char *shape) {
    static char text[4 * CPL_REDACT_MAX];
    cpl_buf out;
    cpl_buf_init(&out, sizeof text);
    cpl_redact(&out, cpl_str_of(document), shape ? cpl_model_shape_named(shape) : 0);
    snprintf(text, sizeof text, "%s", cpl_buf_cstr(&out));
    cpl_buf_release(&out);
    return text;
}

TEST(t_observe__what_is_not_secret_stays_as_it_is) {
    static const char *const same[] = {"{}", "[]", "{\"a\":[1,2.5,true,false,null,\"x\\n\"],\"b\":{\"c\":[[],[{}]]}}",
                                       "\"text\"", "[[1],[2,[3]],4]"};
    for (size_t i = 0; i < CPL_COUNT(same); i++) CHECK_STR(redacted(same[i], NULL), same[i]);
    CHECK_STR(redacted("{\"configuration\":1,\"b\":2}", NULL), "{\"configuration\":\"***\",\"b\":2}");
    CHECK_STR(redacted("{\"configuration\":{\"a\":[1,{\"b\":2}]},\"c\":3}", NULL),
              "{\"configuration\":{\"a\":[\"***\",{\"b\":\"***\"}]},\"c\":3}");
    CHECK_STR(redacted("{\"a\":1,", NULL), "{\"a\":1");
}

TEST(t_observe__a_long_text_is_cut) {
    size_t n = 3 * CPL_REDACT_MAX + 1;
    char *document = malloc(n + 1);
    for (size_t i = 0; i < n; i++) document[i] = i % 2 ? '1' : ',';
    document[0] = '[';
    document[n - 1] = ']';
    document[n] = '\0';
    const char *text = redacted(document, NULL);
    CHECK(strlen(text) >= CPL_REDACT_MAX && strlen(text) < CPL_REDACT_MAX + 16);
    CHECK(strcmp(text + strlen(text) - 3, "...") == 0);
    free(document);
}

TEST_MAIN
