/* SPDX-License-Identifier: MIT */
/* States of continuations, in the token and in the artifact store. */
#include "../../core/clock.h"
#include "../../core/continuation.h"
#include "../../core/job.h"
#include "fault_server.h"
#include "service.h"

#define LARGE 5000

/* JSON texts of LARGE bytes, of one letter each. */
static const char *large(char letter) {
    static char texts[4][LARGE + 1];
    static int turn;
    char *text = texts[turn++ % 4];
    memset(text, letter, LARGE);
    text[0] = text[LARGE - 1] = '"';
    return text;
}

static cpl_error err;

static bool later(cpl_job *job, const char *state) {
    cpl_status status = cpl_job_later(job, cpl_str_of(state), 0, NULL, NULL, &err);
    if (status != CPL_OK) printf("  %s: %s\n", err.code, err.message);
    return status == CPL_OK;
}

static const char *state_of(cpl_job *job) {
    const char *state = NULL;
    if (cpl_job_state(job, NULL, &state, &err) != CPL_OK) printf("  %s: %s\n", err.code, err.message);
    return state ? state : "(none)";
}

static cpl_status fail(cpl_job *job) {
    return cpl_job_fail(job, CPL_LIT(""), CPL_LIT("it broke"), CPL_LIT(""), NULL, &err);
}

/* ---- with the emulator's artifact store ---- */

typedef struct line {
    service s;
    cpl_worker *worker;
    cpl_job *job;
} line;

static bool open_worker(line *x, const char *actions) {
    *x = (line){0};
    if (!open_line(&x->s, actions)) return false;
    x->worker = worker_of(x->s.client, 1);
    x->job = next_job(x->worker);
    return x->job != NULL;
}

static bool follow(line *x) {
    cpl_job_free(x->job);
    x->job = next_job(x->worker);
    return x->job != NULL;
}

static void close_worker(line *x) {
    cpl_job_free(x->job);
    cpl_worker_free(x->worker);
    close_line(&x->s);
}

/* Bytes at the place of the job's output; -1: nothing is there. */
static int64_t stored(line *x) {
    const cpl_artifact *output = &x->job->outputs.items[0];
    struct stat info;
    cpl_status status = cpl_client_download(x->s.client, cpl_str_of(output->bucket), cpl_str_of(output->key),
                                            in_room("found"), NULL, &err);
    if (status != CPL_OK) return strcmp(err.code, "NoSuchKey") == 0 ? -1 : -2;
    return stat(in_room("found").p, &info) == 0 ? (int64_t)info.st_size : -3;
}

TEST(t_state__a_large_one_goes_through_the_artifact_store_from_job_to_job) {
    line x;
    const char *a = large('a'), *b = large('b'), *token;
    NEED(open_worker(&x, BUILD("Make", MADE)));
    CHECK(stored(&x) == -1);
    CHECK(later(x.job, a));
    CHECK(cpl_job_warning(x.job) == NULL);
    CHECK(stored(&x) == LARGE);
    NEED(follow(&x));
    token = cpl_job_text(x.job, CPL_JOB_CONTINUATION_TOKEN);
    CHECK(token && cpl_str_starts(cpl_str_of(token), "cpl2:") && strlen(token) < 400);
    CHECK(cpl_job_text(x.job, CPL_JOB_STATE) == NULL); /* not asked for yet */
    CHECK_STR(state_of(x.job), a);
    CHECK_STR(cpl_job_text(x.job, CPL_JOB_STATE), a);
    CHECK(later(x.job, b));
    NEED(follow(&x));
    CHECK_STR(state_of(x.job), b);
    CHECK(cpl_job_output_write(x.job, CPL_LIT(""), CPL_LIT("made"), &err) == CPL_OK);
    CHECK(cpl_job_succeed(x.job, NULL, NULL, &err) == CPL_OK && cpl_job_warning(x.job) == NULL);
    CHECK(stored(&x) == 4); /* the artifact */
    CHECK(stage_becomes(&x.s, "Succeeded"));
    close_worker(&x);
}

TEST(t_state__none_is_left_after_a_failure_or_a_small_one) {
    line x;
    NEED(open_worker(&x, BUILD("Make", MADE)));
    CHECK(later(x.job, large('a')));
    NEED(follow(&x));
    CHECK(later(x.job, "[1]"));
    CHECK(stored(&x) == 0); /* the job's credentials may not delete */
    NEED(follow(&x));
    CHECK_STR(state_of(x.job), "[1]");
    CHECK(later(x.job, large('b')));
    NEED(follow(&x));
    CHECK(stored(&x) == LARGE);
    CHECK(fail(x.job) == CPL_OK && cpl_job_warning(x.job) == NULL);
    CHECK(stored(&x) == 0);
    CHECK(stage_becomes(&x.s, "Failed"));
    close_worker(&x);
}

/* The answer that points at the new one did not arrive: the old token still finds its own. */
TEST(t_state__the_one_before_stays_until_the_next_job) {
    line x;
    const char *a = large('a'), *b = large('b');
    char digest[CPL_SHA256_HEX_SIZE];
    cpl_continuation next = {0};
    NEED(open_worker(&x, BUILD("Make", MADE)));
    CHECK(later(x.job, a));
    NEED(follow(&x));
    CHECK_STR(state_of(x.job), a);
    CHECK(cpl_job_keep_state(x.job, cpl_str_of(b), digest, &next, NULL, &err) == CPL_OK);
    CHECK(stored(&x) == 2 * LARGE);
    cpl_buf_clear(&x.job->state);
    CHECK_STR(state_of(x.job), a);
    CHECK(cpl_job_hand_over(x.job, NULL, &err) == CPL_OK);
    NEED(follow(&x));
    CHECK_STR(state_of(x.job), a);
    CHECK(fail(x.job) == CPL_OK);
    close_worker(&x);
}

TEST(t_state__one_goes_also_when_others_report_the_job) {
    line x;
    NEED(open_worker(&x, BUILD("Make", MADE)));
    CHECK(later(x.job, large('a')));
    NEED(follow(&x));
    CHECK(cpl_job_guard(x.job, 1, &err) == CPL_OK);
    CHECK(stage_becomes(&x.s, "Failed"));
    CHECK(fail(x.job) == CPL_STATE); /* waits for the guard */
    CHECK(stored(&x) == 0);
    close_worker(&x);

    NEED(open_worker(&x, BUILD("Make", MADE)));
    CHECK(later(x.job, large('a')));
    NEED(follow(&x));
    cpl_artifact output = x.job->outputs.items[0];
    char bucket[64], key[200];
    CPL_COPY(bucket, cpl_str_of(output.bucket));
    CPL_COPY(key, cpl_str_of(output.key));
    cpl_job_free(x.job); /* without an answer */
    x.job = next_within(x.worker, 100);
    CHECK(x.job == NULL);
    CHECK(cpl_client_download(x.s.client, cpl_str_of(bucket), cpl_str_of(key), in_room("found"), NULL, &err) == CPL_OK);
    char *text = test_read_file(in_room("found").p, NULL);
    CHECK_STR(text, "");
    free(text);
    close_worker(&x);
}

/* The journal of a worker that was killed: the job ran, or failed and that was not delivered. */
static bool leave(const cpl_job *job, cpl_entry_state state, const char *type) {
    cpl_journal *journal = NULL;
    bool fresh = false;
    char result[256];
    cpl_entry entry = {.id = cpl_job_text(job, CPL_JOB_ID),
                       .nonce = cpl_job_text(job, CPL_JOB_NONCE),
                       .state = CPL_ENTRY_RUNNING,
                       .type = type,
                       .taken_ms = cpl_clock_wall_ms(),
                       .operation = "PutJobFailureResult",
                       .result = result};
    snprintf(result, sizeof result, "{\"jobId\":\"%s\",\"failureDetails\":{\"type\":\"JobFailed\",\"message\":\"m\"}}",
             entry.id);
    if (cpl_journal_open(&journal, in_room("jobs.db"), 0, &err) != CPL_OK) return false;
    CHECK(cpl_journal_take(journal, &entry, &fresh, &err) == CPL_OK && fresh);
    CHECK(cpl_journal_mark(journal, &entry, entry.taken_ms, &err) == CPL_OK);
    entry.state = state;
    CHECK(state == CPL_ENTRY_RUNNING || cpl_journal_mark(journal, &entry, entry.taken_ms, &err) == CPL_OK);
    cpl_journal_close(journal);
    return true;
}

TEST(t_state__one_goes_also_when_the_worker_was_killed) {
    static const cpl_entry_state states[] = {CPL_ENTRY_RUNNING, CPL_ENTRY_OWED};
    for (size_t i = 0; i < CPL_COUNT(states); i++) {
        cpl_worker_options options = {.poll_interval_ms = 10, .work_dir = cpl_str_of(room)};
        cpl_worker *next = NULL;
        line x;
        NEED(open_worker(&x, BUILD("Make", MADE)));
        CHECK(later(x.job, large('a')));
        NEED(follow(&x));
        CHECK(stored(&x) == LARGE);
        NEED(leave(x.job, states[i], "of a worker before"));
        options.journal = in_room("jobs.db");
        NEED(cpl_worker_new(&next, x.s.client, &options, &err) == CPL_OK);
        CHECK(cpl_worker_add(next, &maker, NULL, &err) == CPL_OK);
        for (int tries = 0; tries < 50 && stored(&x) != 0; tries++) CHECK(next_within(next, 100) == NULL);
        CHECK(stage_becomes(&x.s, "Failed"));
        CHECK(stored(&x) == 0); /* the job's credentials may not delete */
        cpl_worker_free(next);
        close_worker(&x);
    }
}

#define TYPE                                                                                                    \
    "{\"actionTypeId\":{\"owner\":\"Custom\",\"category\":\"Build\",\"provider\":\"Maker\",\"version\":\"1\"}," \
    "\"maxBatchSize\":"

/* The worker was killed while it wrote the action's first. The job is run again, and has no use for it. */
TEST(t_state__one_of_which_no_token_tells_goes_with_the_job_that_is_run_again) {
    cpl_worker_options options = {.poll_interval_ms = 10, .work_dir = cpl_str_of(room)};
    cpl_action_type type = maker;
    cpl_worker *next = NULL;
    cpl_journal *journal = NULL;
    cpl_job *again;
    line x;
    NEED(open_worker(&x, BUILD("Make", MADE)));
    const cpl_remains state = {cpl_job_text(x.job, CPL_JOB_ID), cpl_job_text(x.job, CPL_JOB_NONCE), "Made", ""};
    char digest[CPL_SHA256_HEX_SIZE];
    cpl_continuation told = {0};
    CHECK(cpl_job_keep_state(x.job, cpl_str_of(large('a')), digest, &told, NULL, &err) == CPL_OK);
    CHECK(stored(&x) == LARGE);
    NEED(leave(x.job, CPL_ENTRY_RUNNING, TYPE));
    NEED(cpl_journal_open(&journal, in_room("jobs.db"), 0, &err) == CPL_OK);
    CHECK(cpl_journal_note(journal, &state, &err) == CPL_OK);
    cpl_journal_close(journal);
    options.journal = in_room("jobs.db");
    type.idempotent = true;
    NEED(cpl_worker_new(&next, x.s.client, &options, &err) == CPL_OK);
    CHECK(cpl_worker_add(next, &type, NULL, &err) == CPL_OK);
    again = next_job(next);
    NEED(again);
    CHECK(fail(again) == CPL_OK);
    CHECK(stored(&x) == 0); /* the job's credentials may not delete */
    cpl_job_free(again);
    cpl_worker_free(next);
    close_worker(&x);
}

TEST(t_state__without_an_output_artifact_there_is_no_place) {
    line x;
    static char huge[(1 << 20) + 2];
    NEED(open_worker(&x, BUILD("Make", READS)));
    CHECK(cpl_job_later(x.job, cpl_str_of(large('a')), 0, NULL, NULL, &err) == CPL_TOO_LARGE);
    CHECK_STR(err.path, "state");
    CHECK_STR(err.message,
              "the state is 5000 bytes, a continuation token takes 1900, and the job has no output "
              "artifact, in whose place more could be kept");
    memset(huge, '1', sizeof huge - 1);
    CHECK(cpl_job_later(x.job, cpl_str_of(huge), 0, NULL, NULL, &err) == CPL_TOO_LARGE);
    CHECK_STR(err.message, "the state is 1048577 bytes, the limit is 1048576");
    CHECK(fail(x.job) == CPL_OK);
    close_worker(&x);
}

/* ---- with an artifact store that fails ---- */

typedef struct scene {
    line line;
    fault_server *bucket;
    cpl_client *client;
} scene;

static bool open_scene(scene *x, const fault_step *steps, size_t count) {
    *x = (scene){0};
    if (!open_line(&x->line.s, BUILD("Make", MADE))) return false;
    x->bucket = fault_server_start(steps, count);
    x->client = client_of(x->line.s.emulator, fault_server_url(x->bucket));
    x->line.worker = worker_of(x->client, 1);
    x->line.job = next_job(x->line.worker);
    return x->line.job != NULL;
}

/* The first job leaves a, and the second is there. */
static bool open_second(scene *x, const fault_step *steps, size_t count, const char *a) {
    return open_scene(x, steps, count) && later(x->line.job, a) && follow(&x->line);
}

static void close_scene(scene *x) {
    cpl_job_free(x->line.job);
    cpl_worker_free(x->line.worker);
    cpl_client_free(x->client);
    fault_server_stop(x->bucket);
    close_line(&x->line.s);
}

#define DENIED \
    { .status = 403, .body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>" }
#define GONE \
    { .status = 404, .body = "<Error><Code>NoSuchKey</Code><Message>No such key</Message></Error>" }
#define DONE \
    { .head = ETAG, .body = "" }
#define REMOVED \
    { .status = 204, .body = "" }

static bool asked(const scene *x, size_t i, const char *what) {
    const char *request = fault_server_request(x->bucket, i);
    bool found = request && strstr(request, what);
    if (!found) printf("  request %zu is not %s: %.60s\n", i, what, request ? request : "(none)");
    return found;
}

TEST(t_state__a_store_that_refuses_is_an_error_and_cleaned_up) {
    static const fault_step steps[] = {DENIED, REMOVED};
    scene x;
    NEED(open_scene(&x, steps, CPL_COUNT(steps)));
    CHECK(cpl_job_later(x.line.job, cpl_str_of(large('a')), 0, NULL, NULL, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "AccessDenied");
    CHECK(strstr(err.message, "the artifact store cannot keep it: Access Denied (s3://artifacts/"));
    CHECK_STR(cpl_failure_type(&err), "PermissionError");
    CHECK(fail(x.line.job) == CPL_OK && cpl_job_warning(x.line.job) == NULL);
    CHECK(asked(&x, 0, "PUT /artifacts/") && asked(&x, 0, "x-amz-server-side-encryption: aws:kms\r\n"));
    CHECK(asked(&x, 1, "DELETE /artifacts/"));
    CHECK(fault_server_requests(x.bucket) == 2);
    close_scene(&x);
}

/* Found out at once, and not with the next job. */
TEST(t_state__a_store_that_takes_and_does_not_give_is_an_error) {
    static const fault_step steps[] = {DONE, DENIED, REMOVED};
    scene x;
    NEED(open_scene(&x, steps, CPL_COUNT(steps)));
    CHECK(cpl_job_later(x.line.job, cpl_str_of(large('a')), 0, NULL, NULL, &err) == CPL_SERVICE);
    CHECK(strstr(err.message, "cannot keep it"));
    CHECK(fail(x.line.job) == CPL_OK);
    CHECK(asked(&x, 1, "GET /artifacts/") && asked(&x, 2, "DELETE /artifacts/"));
    close_scene(&x);
}

TEST(t_state__one_that_is_gone_or_another_fails_the_job_and_says_so) {
    const char *a = large('a'), *b = large('b'), *state;
    const fault_step steps[] = {DONE,
                                {.head = ETAG, .body = a},
                                GONE,
                                {.head = ETAG, .body = b},
                                {.head = ETAG, .body = "short"},
                                {.head = ETAG, .body = a},
                                REMOVED};
    scene x;
    NEED(open_second(&x, steps, CPL_COUNT(steps), a));
    CHECK(cpl_job_state(x.line.job, NULL, &state, &err) == CPL_SERVICE && state == NULL);
    CHECK_STR(err.code, "NoSuchKey");
    CHECK(strstr(err.message, "the state that the job before left: No such key (s3://artifacts/"));
    for (int i = 0; i < 2; i++) {
        CHECK(cpl_job_state(x.line.job, NULL, &state, &err) == CPL_IO && state == NULL);
        CHECK(strstr(err.message, "is not the state that the continuation token tells of"));
    }
    CHECK_STR(state_of(x.line.job), a);
    CHECK_STR(state_of(x.line.job), a); /* fetched once */
    CHECK(fault_server_requests(x.bucket) == 6);
    CHECK(fail(x.line.job) == CPL_OK);
    close_scene(&x);
}

TEST(t_state__what_cannot_be_removed_is_a_warning) {
    const char *a = large('a');
    const fault_step steps[] = {DONE, {.head = ETAG, .body = a}, {.status = 500, .body = ""}};
    scene x;
    NEED(open_second(&x, steps, CPL_COUNT(steps), a));
    CHECK(fail(x.line.job) == CPL_OK && cpl_job_answered(x.line.job));
    NEED(cpl_job_warning(x.line.job));
    CHECK(strstr(cpl_job_warning(x.line.job), "the job is over, and an object of it is left: "));
    CHECK(strstr(cpl_job_warning(x.line.job), "s3://artifacts/"));
    CHECK(stage_becomes(&x.line.s, "Failed"));
    close_scene(&x);
}

TEST(t_state__what_a_portal_took_was_not_removed) {
    const fault_step portal = {.head = "Content-Type: text/html\r\n", .body = "<html>welcome</html>"};
    const fault_step steps[] = {DENIED, portal, portal};
    scene x;
    NEED(open_scene(&x, steps, CPL_COUNT(steps)));
    CHECK(cpl_job_later(x.line.job, cpl_str_of(large('a')), 0, NULL, NULL, &err) == CPL_SERVICE);
    CHECK(fail(x.line.job) == CPL_OK);
    NEED(cpl_job_warning(x.line.job));
    CHECK(strstr(cpl_job_warning(x.line.job), " did not answer as S3 does"));
    CHECK(fault_server_requests(x.bucket) == 3); /* it was asked again */
    close_scene(&x);
}

TEST(t_state__expired_credentials_are_renewed_for_it_too) {
    const char *a = large('a');
    const fault_step steps[] = {
        {.status = 400, .body = "<Error><Code>ExpiredToken</Code><Message>expired</Message></Error>"},
        DONE,
        {.head = ETAG, .body = a},
        {.status = 400, .body = "<Error><Code>ExpiredToken</Code><Message>expired</Message></Error>"},
        {.head = ETAG, .body = a},
        DENIED,
        DONE};
    scene x;
    NEED(open_second(&x, steps, CPL_COUNT(steps), a));
    CHECK_STR(state_of(x.line.job), a);
    CHECK(fail(x.line.job) == CPL_OK && cpl_job_warning(x.line.job) == NULL);
    CHECK(asked(&x, 5, "DELETE /artifacts/") && asked(&x, 6, "PUT /artifacts/"));
    CHECK(asked(&x, 6, "Content-Length: 0\r\n"));
    close_scene(&x);
}

/* ---- without a service ---- */

TEST(t_state__a_rehearsed_one_stays_here) {
    cpl_client_options options = {
        .region = CPL_LIT("us-east-1"), .access_key_id = CPL_LIT("A"), .secret_access_key = CPL_LIT("B")};
    cpl_job_event *event = NULL;
    cpl_client *client = NULL;
    cpl_job *job = NULL;
    const char *a = large('a');
    NEED(cpl_client_new(&client, &options, &err) == CPL_OK && cpl_job_event_sample(&event, NULL, &err) == CPL_OK);
    NEED(cpl_job_from_event(&job, client, cpl_job_event_text(event), NULL, &err) == CPL_OK);
    cpl_job_rehearse(job, NULL);
    CHECK(cpl_job_rehearsed_state(job).n == 0);
    CHECK(later(job, a));
    CHECK(cpl_str_is(cpl_job_rehearsed_state(job), a));
    CHECK(strstr(cpl_job_rehearsed_answer(job).p, "\"continuationToken\":\"cpl2:"));
    cpl_job_free(job);
    cpl_job_event_free(event);
    cpl_client_free(client);
}

TEST(t_state__tokens_read_back_what_was_written) {
    cpl_buf token;
    cpl_continuation c, place = {.not_before_s = 7,
                                 .bucket = CPL_LIT("b"),
                                 .key = CPL_LIT("p/a:c/d"),
                                 .size = 2000,
                                 .sha256 = CPL_LIT("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")};
    cpl_buf_init(&token, CPL_CONTINUATION_TOKEN_MAX);
    CHECK(cpl_continuation_due_s(1.5, 1000) == 3 && cpl_continuation_due_s(0, 1000) == 1);
    c = (cpl_continuation){.not_before_s = 3, .state = CPL_LIT("{\"a\":1}")};
    CHECK(cpl_continuation_write(&c, &token, &err) == CPL_OK);
    CHECK_STR(cpl_buf_cstr(&token), "cpl1:3:{\"a\":1}");
    CHECK(cpl_continuation_read(cpl_buf_str(&token), &c) && c.not_before_s == 3 && cpl_str_is(c.state, "{\"a\":1}"));
    CHECK(c.bucket.p == NULL);
    CHECK(cpl_continuation_read(CPL_LIT("cpl1:1:"), &c) && c.not_before_s == 1 && c.state.p == NULL);
    cpl_buf_clear(&token);
    CHECK(cpl_continuation_write(&place, &token, &err) == CPL_OK);
    CHECK(cpl_continuation_read(cpl_buf_str(&token), &c) && c.not_before_s == 7 && c.state.p == NULL);
    CHECK(cpl_str_is(c.bucket, "b") && cpl_str_is(c.key, "p/a:c/d") && c.size == 2000 &&
          cpl_str_eq(c.sha256, place.sha256));
    cpl_buf_release(&token);
}

TEST(t_state__tokens_of_others_are_theirs) {
    static const char *const theirs[] = {
        "cpl1:x:{}",
        "cpl1:12",
        "cpl2:12",
        "cpl2:12:5:abc:b/k",
        "cpl2:12:x:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef:b/k",
        "cpl2:12:-1:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef:b/k",
        "cpl2:12:9:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef:b",
        "cpl2:12:9:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef:/k",
        "{\"previous_job_id\":\"1\"}",
        ""};
    cpl_continuation c;
    for (size_t i = 0; i < CPL_COUNT(theirs); i++) {
        if (!CHECK(!cpl_continuation_read(cpl_str_of(theirs[i]), &c))) printf("  %s\n", theirs[i]);
    }
    CHECK(!cpl_continuation_read((cpl_str){NULL, 0}, &c));
    CHECK(cpl_continuation_check(CPL_LIT("{]"), 0, &err) == CPL_INVALID);
    CHECK(cpl_continuation_check(CPL_LIT("1"), -1, &err) == CPL_INVALID);
    CHECK(cpl_continuation_check(CPL_LIT("1"), 1.0 / 0.0, &err) == CPL_INVALID);
}

TEST_MAIN
