/* SPDX-License-Identifier: MIT */
/* A worker that starts with the journal of one that died. Every answer of the service is scripted. */
#include <signal.h>
#include <sys/resource.h>

#include "../../core/desk.h"
#include "fault_server.h"
#include "service.h"

#define ONE "11111111-1111-1111-1111-111111111111"
#define DATA                                                                                       \
    "\"accountId\":\"1\",\"data\":{\"actionTypeId\":{\"category\":\"Build\",\"owner\":\"Custom\"," \
    "\"provider\":\"Maker\",\"version\":\"1\"},\"actionConfiguration\":{},\"continuationToken\":\"cpl1:0:7\"}"
#define DETAILS \
    { .body = "{\"jobDetails\":{\"id\":\"" ONE "\"," DATA "}}" }
#define POLLED \
    { .body = "{\"jobs\":[{\"id\":\"" ONE "\",\"nonce\":\"1\"," DATA "}]}" }
#define NO_JOBS \
    { .body = "{\"jobs\":[]}" }
#define ACKNOWLEDGED \
    { .body = "{\"status\":\"InProgress\"}" }
#define REFUSED(code) \
    { .status = 400, .body = "{\"__type\":\"" code "\",\"message\":\"no\"}" }
#define TROUBLE \
    { .status = 500, .body = "{\"__type\":\"InternalFailure\"}" }
#define LOST \
    { .kind = FAULT_CLOSE }
#define ELSEWHERE \
    { .status = 307, .head = "Location: http://127.0.0.1:9/\r\n", .body = "" }
#define DONE \
    { .body = "" }
#define TYPE                                                                                                    \
    "{\"actionTypeId\":{\"owner\":\"Custom\",\"category\":\"Build\",\"provider\":\"Maker\",\"version\":\"1\"}," \
    "\"maxBatchSize\":"

typedef struct scene {
    fault_server *server;
    cpl_client *client;
    cpl_worker *worker;
} scene;

/* The job as the dead worker left it. */
static void leave_one(const char *id, const char *client, cpl_entry_state state, int starts, const char *type) {
    cpl_journal *journal = NULL;
    bool fresh;
    cpl_entry entry = {.id = id,
                       .nonce = "1",
                       .type = type,
                       .client = client,
                       .taken_ms = cpl_clock_wall_ms(),
                       .operation = "PutJobSuccessResult",
                       .result = "{\"jobId\":\"" ONE "\",\"executionDetails\":{\"summary\":\"the real one\"}}"};
    CHECK(cpl_journal_open(&journal, in_room("jobs.db"), 0, NULL) == CPL_OK);
    CHECK(cpl_journal_take(journal, &entry, &fresh, NULL) == CPL_OK && fresh);
    for (int i = 0; i < starts; i++) {
        entry.state = CPL_ENTRY_RUNNING;
        CHECK(cpl_journal_mark(journal, &entry, entry.taken_ms, NULL) == CPL_OK);
    }
    entry.state = state;
    if (state != CPL_ENTRY_TAKEN && state != CPL_ENTRY_RUNNING) {
        CHECK(cpl_journal_mark(journal, &entry, entry.taken_ms, NULL) == CPL_OK);
    }
    cpl_journal_close(journal);
}

static void leave(cpl_entry_state state, int starts, const char *type) {
    leave_one(ONE, NULL, state, starts, type);
}

static cpl_status count(void *context, const cpl_entry *entry, cpl_error *err) {
    (void)entry, (void)err;
    ++*(int *)context;
    return CPL_OK;
}

static int open_entries(void) {
    cpl_journal *journal = NULL;
    int n = 0;
    CHECK(cpl_journal_open(&journal, in_room("jobs.db"), 0, NULL) == CPL_OK);
    CHECK(cpl_journal_each(journal, count, &n, NULL) == CPL_OK);
    cpl_journal_close(journal);
    return n;
}

static bool open_scene(scene *x, const fault_step *steps, size_t n, bool idempotent) {
    cpl_client_options options = {.region = CPL_LIT("us-east-1"),
                                  .access_key_id = CPL_LIT("AKIDEXAMPLE"),
                                  .secret_access_key = CPL_LIT("secret"),
                                  .max_attempts = 1};
    cpl_worker_options settings = {.poll_interval_ms = 100000, .work_dir = cpl_str_of(room)};
    cpl_action_type type = maker;
    settings.journal = in_room("jobs.db");
    type.idempotent = idempotent;
    x->server = fault_server_start(steps, n);
    options.endpoint_url = cpl_str_of(fault_server_url(x->server));
    return CHECK(cpl_client_new(&x->client, &options, NULL) == CPL_OK) &&
           CHECK(cpl_worker_new(&x->worker, x->client, &settings, NULL) == CPL_OK) &&
           CHECK(cpl_worker_add(x->worker, &type, NULL, NULL) == CPL_OK);
}

/* entries: how many jobs the journal holds that are not over. */
static void close_scene(scene *x, int entries) {
    cpl_worker_free(x->worker);
    cpl_client_free(x->client);
    fault_server_stop(x->server);
    CHECK(open_entries() == entries);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

static bool asked(const scene *x, int i, const char *what) {
    const char *request = fault_server_request(x->server, i);
    bool there = request && strstr(request, what);
    if (!CHECK(there)) printf("  request %d has no %s: %s\n", i, what, request ? request : "(none)");
    return there;
}

TEST(t_recovery__a_result_that_was_owed_is_delivered_as_it_was) {
    static const fault_step steps[] = {DONE, NO_JOBS};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_OWED, 1, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 100) == NULL);
    asked(&x, 0, "PutJobSuccessResult");
    asked(&x, 0, "{\"jobId\":\"" ONE "\",\"executionDetails\":{\"summary\":\"the real one\"}}");
    close_scene(&x, 0);
}

TEST(t_recovery__a_result_that_had_arrived_before_is_settled) {
    static const fault_step steps[] = {REFUSED("InvalidJobStateException"), NO_JOBS};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_OWED, 1, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 100) == NULL);
    CHECK(fault_server_requests(x.server) == 2);
    close_scene(&x, 0);
}

TEST(t_recovery__a_result_that_is_refused_for_good_becomes_a_failure) {
    static const fault_step steps[] = {REFUSED("ValidationException"), DONE, NO_JOBS};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_OWED, 1, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 100) == NULL);
    asked(&x, 1, "PutJobFailureResult");
    asked(&x, 1, "the result was refused: ValidationException no");
    close_scene(&x, 0);
}

TEST(t_recovery__a_result_waits_for_the_worker_to_be_allowed_again) {
    static const fault_step steps[] = {REFUSED("ExpiredTokenException"), NO_JOBS, REFUSED("AccessDeniedException"),
                                       DONE};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_OWED, 1, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 2500) == NULL);
    CHECK(fault_server_requests(x.server) == 4);
    asked(&x, 3, "the real one");
    close_scene(&x, 0);
}

TEST(t_recovery__a_result_is_offered_until_it_is_taken_one_at_a_time) {
    static const fault_step steps[] = {TROUBLE, NO_JOBS, TROUBLE, TROUBLE, DONE};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_OWED, 1, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 5000) == NULL);
    CHECK(fault_server_requests(x.server) == 5);
    close_scene(&x, 0);
}

TEST(t_recovery__a_result_the_service_never_took_stays_in_the_journal) {
    static const fault_step steps[] = {TROUBLE, NO_JOBS};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_OWED, 1, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 50) == NULL);
    close_scene(&x, 1);
}

TEST(t_recovery__a_job_that_ran_is_reported_failed_and_not_run_again) {
    static const fault_step steps[] = {DETAILS, DONE, NO_JOBS};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_RUNNING, 1, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 100) == NULL);
    asked(&x, 0, "GetJobDetails"); /* whether a large state is left, t_state.c */
    asked(&x, 1, "PutJobFailureResult");
    asked(&x, 1, "the worker stopped while the job ran");
    close_scene(&x, 0);
}

TEST(t_recovery__a_failure_is_delivered_without_the_job_s_details_too) {
    static const fault_step refused[] = {REFUSED("AccessDeniedException"), DONE, NO_JOBS};
    static const fault_step unwell[] = {TROUBLE, DONE, NO_JOBS};
    const fault_step *const rows[] = {refused, unwell};
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        scene x;
        NEED(open_room());
        leave(CPL_ENTRY_RUNNING, 1, TYPE);
        NEED(open_scene(&x, rows[i], 3, false));
        CHECK(next_within(x.worker, 100) == NULL);
        asked(&x, 1, "PutJobFailureResult");
        close_scene(&x, 0);
    }
}

TEST(t_recovery__an_idempotent_job_that_ran_is_run_again_with_fresh_data) {
    static const fault_step steps[] = {TROUBLE, NO_JOBS, DETAILS, DONE};
    scene x;
    cpl_job *job;
    NEED(open_room());
    leave(CPL_ENTRY_RUNNING, 2, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), true));
    NEED((job = next_job(x.worker)) != NULL);
    asked(&x, 2, "GetJobDetails");
    CHECK_STR(cpl_job_text(job, CPL_JOB_ID), ONE);
    CHECK_STR(cpl_job_text(job, CPL_JOB_NONCE), "1");
    CHECK_STR(cpl_job_text(job, CPL_JOB_STATE), "7");
    CHECK(cpl_job_action_type(job) == 0);
    CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_OK);
    cpl_job_free(job);
    close_scene(&x, 0);
}

TEST(t_recovery__an_idempotent_job_that_keeps_killing_its_worker_fails) {
    static const fault_step steps[] = {DETAILS, DONE, NO_JOBS};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_RUNNING, 3, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), true));
    CHECK(next_within(x.worker, 100) == NULL);
    asked(&x, 1, "PutJobFailureResult");
    close_scene(&x, 0);
}

TEST(t_recovery__a_job_that_was_taken_is_acknowledged_again_and_handed_out) {
    static const fault_step steps[] = {DETAILS, ACKNOWLEDGED, DONE};
    scene x;
    cpl_job *job;
    NEED(open_room());
    leave(CPL_ENTRY_TAKEN, 0, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    NEED((job = next_job(x.worker)) != NULL);
    asked(&x, 1, "AcknowledgeJob");
    CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_OK);
    cpl_job_free(job);
    close_scene(&x, 0);
}

TEST(t_recovery__a_job_that_was_taken_and_is_somebody_elses_now_is_let_go) {
    static const fault_step steps[] = {DETAILS, REFUSED("InvalidNonceException"), NO_JOBS};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_TAKEN, 0, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 100) == NULL);
    CHECK(fault_server_requests(x.server) == 3);
    close_scene(&x, 0);
}

TEST(t_recovery__an_acknowledgement_that_may_have_been_heard_is_asked_again_whatever_the_caller_may) {
    static const fault_step steps[] = {POLLED, LOST, REFUSED("AccessDeniedException"), ELSEWHERE, ACKNOWLEDGED, DONE};
    scene x;
    cpl_job *job;
    NEED(open_room());
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    NEED((job = next_job(x.worker)) != NULL);
    asked(&x, 4, "AcknowledgeJob");
    CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_OK);
    cpl_job_free(job);
    close_scene(&x, 0);
}

TEST(t_recovery__an_acknowledgement_that_is_refused_at_once_leaves_the_job_to_others) {
    static const fault_step steps[] = {POLLED, REFUSED("AccessDeniedException"), NO_JOBS};
    scene x;
    NEED(open_room());
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 300) == NULL);
    close_scene(&x, 0);
}

TEST(t_recovery__a_redirect_is_no_verdict_on_a_result) {
    static const fault_step steps[] = {ELSEWHERE, NO_JOBS, ELSEWHERE, DONE};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_OWED, 1, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 2500) == NULL);
    CHECK(fault_server_requests(x.server) == 4);
    asked(&x, 3, "the real one");
    close_scene(&x, 0);
}

TEST(t_recovery__a_second_answer_inherits_the_doubt_of_the_first) {
    static const fault_step steps[] = {POLLED, ACKNOWLEDGED, LOST, LOST, REFUSED("InvalidJobStateException")};
    cpl_wait brief = {.timeout_ms = 100};
    scene x;
    cpl_job *job;
    NEED(open_room());
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    NEED((job = next_job(x.worker)) != NULL);
    CHECK(cpl_job_succeed(job, NULL, &brief, NULL) != CPL_OK);
    CHECK(cpl_job_fail(job, (cpl_str){NULL, 0}, CPL_LIT("then not"), (cpl_str){NULL, 0}, NULL, NULL) == CPL_OK);
    CHECK(cpl_job_answered(job)); /* and is nobody else's */
    cpl_job_free(job);
    close_scene(&x, 0);
}

TEST(t_recovery__a_job_the_service_does_not_know_is_let_go) {
    static const fault_step steps[] = {REFUSED("JobNotFoundException"), NO_JOBS};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_ACKNOWLEDGED, 0, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 100) == NULL);
    close_scene(&x, 0);
}

TEST(t_recovery__a_job_without_a_handler_goes_back_under_its_token) {
    static const fault_step steps[] = {DETAILS, ACKNOWLEDGED, DONE, NO_JOBS};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_ACKNOWLEDGED, 0, "another type");
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 200) == NULL);
    asked(&x, 2, "\"continuationToken\":\"cpl1:0:7\"");
    close_scene(&x, 0);
}

TEST(t_recovery__a_job_that_was_done_is_never_taken_again) {
    static const fault_step steps[] = {POLLED, NO_JOBS};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_DELIVERED, 1, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), true));
    CHECK(next_within(x.worker, 200) == NULL);
    CHECK(fault_server_requests(x.server) == 2); /* polls, and no acknowledgement */
    close_scene(&x, 0);
}

TEST(t_recovery__a_service_that_was_away_for_hours_hears_within_half_a_minute) {
    int64_t before = 0;
    for (int tries = 1; tries < 100000; tries += tries) {
        int64_t delay = cpl_owed_delay_ms(tries);
        CHECK(delay >= before / 4 && delay <= 20000);
        before = delay;
    }
}

TEST(t_recovery__a_result_without_its_customers_token_does_not_hold_up_the_others) {
    static const fault_step steps[] = {DONE, NO_JOBS};
    scene x;
    NEED(open_room());
    leave_one("00000000-0000-0000-0000-000000000000", "somebody", CPL_ENTRY_OWED, 1, TYPE);
    leave(CPL_ENTRY_OWED, 1, TYPE);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 100) == NULL);
    asked(&x, 0, "PutJobSuccessResult");
    CHECK(cpl_worker_tally(x.worker).succeeded == 1 && cpl_worker_tally(x.worker).unreported == 1);
    close_scene(&x, 1);
}

/* What was read before the memory ran out is read again, and must not be sent twice. */
TEST(t_recovery__a_journal_that_is_read_twice_owes_each_result_once) {
    static const fault_step steps[] = {DONE, DONE, NO_JOBS};
    cpl_status status = CPL_NOMEM;
    size_t n = 0;
    while (status == CPL_NOMEM) {
        scene x;
        cpl_job *job = NULL;
        cpl_wait wait = {.timeout_ms = 50};
        NEED(open_room());
        leave_one("00000000-0000-0000-0000-000000000000", NULL, CPL_ENTRY_OWED, 1, TYPE);
        leave(CPL_ENTRY_OWED, 1, TYPE);
        NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
        (void)cpl_alloc_fail_at(++n);
        status = cpl_worker_next(x.worker, &wait, &job, NULL);
        (void)cpl_alloc_fail_at(0);
        CHECK(next_within(x.worker, status == CPL_NOMEM ? 50 : 1500) == NULL); /* it may have to wait by then */
        if (status == CPL_NOMEM) CHECK(fault_server_requests(x.server) == 3);  /* two results, and a poll */
        close_scene(&x, 0);
    }
    CHECK(n > 3);
}

/* ---- a full disk ---- */

static void limit_files(rlim_t bytes) {
    struct rlimit limit = {0};
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

TEST(t_recovery__without_a_place_to_write_no_job_is_taken) {
    static const fault_step steps[] = {POLLED, ACKNOWLEDGED, DONE};
    scene x;
    cpl_job *job = NULL;
    cpl_error err = {0};
    cpl_wait wait = {.timeout_ms = 300};
    NEED(open_room());
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    signal(SIGXFSZ, SIG_IGN);
    limit_files(1);
    CHECK(cpl_worker_next(x.worker, &wait, &job, &err) == CPL_OK && job == NULL);
    CHECK(err.status == CPL_IO && strstr(err.message, "jobs.db"));
    CHECK(fault_server_requests(x.server) == 1);
    limit_files(RLIM_INFINITY);
    NEED((job = next_job(x.worker)) != NULL); /* the same job, once there is room */
    limit_files(1);
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK); /* what runs is reported, journal or not */
    limit_files(RLIM_INFINITY);
    cpl_job_free(job);
    signal(SIGXFSZ, SIG_DFL);
    close_scene(&x, 1); /* known as running: the next start hears from the service that it is over */
}

TEST(t_recovery__what_is_owed_is_sent_from_a_full_disk_too) {
    static const fault_step steps[] = {DONE, NO_JOBS};
    scene x;
    NEED(open_room());
    leave(CPL_ENTRY_OWED, 1, TYPE);
    signal(SIGXFSZ, SIG_IGN);
    limit_files(1);
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    CHECK(next_within(x.worker, 100) == NULL);
    limit_files(RLIM_INFINITY);
    signal(SIGXFSZ, SIG_DFL);
    asked(&x, 0, "the real one");
    close_scene(&x, 1); /* which the next start sends again, and hears that it had arrived */
}

/* ---- cancelling ---- */

TEST(t_recovery__jobs_are_cancelled_when_the_grace_is_over) {
    static const fault_step steps[] = {POLLED, ACKNOWLEDGED, DONE};
    cpl_worker_options settings = {.work_dir = cpl_str_of(room), .grace_ms = 200};
    scene x;
    cpl_job *job;
    NEED(open_room());
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    cpl_worker_free(x.worker);
    NEED(cpl_worker_new(&x.worker, x.client, &settings, NULL) == CPL_OK);
    CHECK(cpl_worker_add(x.worker, &maker, NULL, NULL) == CPL_OK);
    NEED((job = next_job(x.worker)) != NULL);
    CHECK(!cpl_job_cancelled(job));
    cpl_worker_stop(x.worker);
    CHECK(!cpl_job_cancelled(job));
    usleep(250000);
    CHECK(cpl_job_cancelled(job));
    CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_OK); /* it may still finish */
    cpl_job_free(job);
    close_scene(&x, 0);
}

TEST(t_recovery__cancel_tells_the_jobs_at_once) {
    static const fault_step steps[] = {POLLED, ACKNOWLEDGED, DONE};
    scene x;
    cpl_job *job;
    NEED(open_room());
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    NEED((job = next_job(x.worker)) != NULL);
    cpl_worker_cancel(x.worker);
    CHECK(cpl_job_cancelled(job) && cpl_worker_stopping(x.worker));
    CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_OK);
    cpl_job_free(job);
    close_scene(&x, 0);
}

TEST(t_recovery__a_cancelled_job_tries_once_to_report_and_leaves_the_rest_to_the_worker) {
    static const fault_step steps[] = {POLLED, ACKNOWLEDGED, TROUBLE, DONE};
    scene x;
    cpl_job *job;
    NEED(open_room());
    NEED(open_scene(&x, steps, CPL_COUNT(steps), false));
    NEED((job = next_job(x.worker)) != NULL);
    cpl_worker_cancel(x.worker);
    CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_SERVICE);
    CHECK(fault_server_requests(x.server) == 3);
    cpl_job_free(job);
    CHECK(cpl_worker_tally(x.worker).unreported == 1);
    CHECK(next_within(x.worker, 0) == NULL);
    CHECK(cpl_worker_tally(x.worker).unreported == 0 && cpl_worker_tally(x.worker).succeeded == 1);
    close_scene(&x, 0);
}

TEST_MAIN
