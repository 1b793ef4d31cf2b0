/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault_server.h"
#include "service.h"

/* ---- the main job ---- */

TEST(t_worker__a_job_goes_from_source_to_succeeded) {
    service s;
    cpl_job *job;
    cpl_cursor c;
    cpl_error err = {0};
    cpl_result result = {.output_variables = CPL_LIT("{\"digest\":\"abc\"}"), .summary = CPL_LIT("made it")};
    const char *folder = NULL, *path = NULL;
    char digest[65], *text, file[600], work_dir[400];
    struct stat info;
    NEED(open_line(&s, BUILD("Make", MADE "'namespace':'made',")));
    cpl_worker *worker = worker_of(s.client, 2);
    NEED((job = next_job(worker)) != NULL);
    CHECK(cpl_worker_running(worker) == 1);
    CHECK_STR(cpl_job_text(job, CPL_JOB_PIPELINE_NAME), "line");
    CHECK_STR(cpl_job_text(job, CPL_JOB_STAGE_NAME), "Build");
    CHECK_STR(cpl_job_text(job, CPL_JOB_ACTION_NAME), "Make");
    CHECK_STR(cpl_job_text(job, CPL_JOB_PROVIDER), "Maker");
    CHECK(cpl_job_text(job, CPL_JOB_ACCOUNT_ID) && cpl_job_text(job, CPL_JOB_EXECUTION_ID));
    CHECK(cpl_job_text(job, CPL_JOB_STATE) == NULL && cpl_job_text(job, CPL_JOB_CONTINUATION_TOKEN) == NULL);
    CHECK(cpl_job_action_type(job) == 0);
    CHECK_STR(cpl_job_input_name(job, 0), "Code");
    CHECK_STR(cpl_job_output_name(job, 0), "Made");
    CHECK(cpl_job_input_name(job, 1) == NULL && cpl_job_output_count(job) == 1);
    NEED(cpl_job_configuration(job, &c, &err) == CPL_OK);
    CHECK(cpl_cursor_next(&c) == CPL_TOKEN_OBJECT && cpl_cursor_next(&c) == CPL_TOKEN_KEY);
    CHECK(cpl_str_is(c.text, "Target") && cpl_cursor_next(&c) == CPL_TOKEN_STRING && cpl_str_is(c.text, "all"));
    cpl_cursor_release(&c);

    if (!CHECK(cpl_job_input_extract(job, CPL_LIT(""), CPL_LIT(""), NULL, &folder, &err) == CPL_OK)) {
        printf("  %s\n", err.message);
    }
    NEED(folder);
    snprintf(file, sizeof file, "%s/hello.txt", folder);
    CHECK_STR(text = test_read_file(file, NULL), "hello\n");
    free(text);
    CHECK(cpl_job_output_digest(job, CPL_LIT("Made"), digest, &err) == CPL_INVALID);
    CHECK(cpl_job_succeed(job, &result, NULL, &err) == CPL_INVALID); /* nothing staged yet */
    CHECK(strstr(err.message, "\"Made\""));
    CHECK(cpl_job_output_pack(job, CPL_LIT("Made"), cpl_str_of(folder), NULL, &err) == CPL_OK);
    CHECK(cpl_job_output_digest(job, CPL_LIT(""), digest, &err) == CPL_OK && strlen(digest) == 64);
    if (!CHECK(cpl_job_succeed(job, &result, NULL, &err) == CPL_OK)) printf("  %s: %s\n", err.code, err.message);
    CHECK(cpl_job_answered(job));
    CHECK(cpl_worker_running(worker) == 0);
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_STATE);
    CHECK(cpl_job_fail(job, CPL_LIT(""), CPL_LIT("x"), CPL_LIT(""), NULL, &err) == CPL_STATE);

    CHECK(cpl_job_work_dir(job, &path, &err) == CPL_OK && stat(path, &info) == 0 && (info.st_mode & 0777) == 0700);
    snprintf(work_dir, sizeof work_dir, "%s", path);
    cpl_worker_free(worker); /* before the job */
    cpl_job_free(job);
    CHECK(stat(work_dir, &info) != 0);
    CHECK(stage_becomes(&s, "Succeeded"));
    close_line(&s);
}

TEST(t_worker__a_failure_carries_its_type_and_a_clipped_message) {
    service s;
    cpl_job *job;
    cpl_error err = {0};
    char *long_text = malloc(30000);
    NEED(open_line(&s, BUILD("Make", READS)));
    cpl_worker *worker = worker_of(s.client, 1);
    NEED((job = next_job(worker)) != NULL);
    CHECK(cpl_job_fail(job, CPL_LIT("NoSuchType"), CPL_LIT("x"), CPL_LIT(""), NULL, &err) == CPL_INVALID);
    CHECK(strstr(err.path, "failureDetails.type"));
    for (int i = 0; i < 30000; i += 3) memcpy(long_text + i, "\342\202\254", 3); /* euro signs: 10,000 characters */
    long_text[9] = (char)0xff;
    CHECK(cpl_job_fail(job, CPL_LIT("ConfigurationError"), (cpl_str){long_text, 30000}, CPL_LIT("run-7"), NULL, &err) ==
          CPL_OK);
    cpl_job_free(job);
    CHECK(stage_becomes(&s, "Failed"));
    CHECK_STR(text_of(&s, "stageStates.1.actionStates.0.latestExecution.errorDetails.code"), "ConfigurationError");
    CHECK(cpl_utf8_length(
              cpl_str_of(text_of(&s, "stageStates.1.actionStates.0.latestExecution.errorDetails.message"))) <= 5000);
    cpl_worker_free(worker);
    free(long_text);
    close_line(&s);
}

TEST(t_worker__a_continuation_comes_back_with_its_state_and_not_before_it_is_due) {
    service s;
    cpl_job *job;
    cpl_error err = {0};
    cpl_result progress = {.percent_complete = 50, .summary = CPL_LIT("half way")};
    int64_t then;
    NEED(open_line(&s, BUILD("Make", READS)));
    cpl_worker *worker = worker_of(s.client, 1);
    NEED((job = next_job(worker)) != NULL);
    CHECK(cpl_job_later(job, CPL_LIT("{\"at\":1"), 1, NULL, NULL, &err) == CPL_INVALID);
    CHECK(cpl_job_later(job, CPL_LIT("{}"), -1, NULL, NULL, &err) == CPL_INVALID);
    then = cpl_clock_wall_ms();
    CHECK(cpl_job_later(job, CPL_LIT("{\"at\":\"1\"}"), 1, &progress, NULL, &err) == CPL_OK);
    CHECK(cpl_job_answered(job));
    cpl_job_free(job);
    NEED((job = next_job(worker)) != NULL);
    CHECK(cpl_clock_wall_ms() - then >= 900);
    CHECK_STR(cpl_job_text(job, CPL_JOB_STATE), "{\"at\":\"1\"}");
    CHECK(cpl_str_starts(cpl_str_of(cpl_job_text(job, CPL_JOB_CONTINUATION_TOKEN)), "cpl1:"));
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK);
    cpl_job_free(job);
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_worker_free(worker);
    close_line(&s);
}

TEST(t_worker__a_continuation_kept_back_goes_to_the_next_worker_when_this_one_stops) {
    service s;
    cpl_job *job;
    cpl_error err = {0};
    NEED(open_line(&s, BUILD("Make", READS)));
    cpl_worker *worker = worker_of(s.client, 1);
    NEED((job = next_job(worker)) != NULL);
    CHECK(cpl_job_later(job, CPL_LIT("[7]"), 2, NULL, NULL, &err) == CPL_OK);
    cpl_job_free(job);
    CHECK(next_within(worker, 300) == NULL); /* takes it and keeps it back */
    cpl_worker_stop(worker);
    CHECK(next_within(worker, 300) == NULL);
    cpl_worker_free(worker);
    worker = worker_of(s.client, 1);
    NEED((job = next_job(worker)) != NULL);
    CHECK_STR(cpl_job_text(job, CPL_JOB_STATE), "[7]");
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK);
    cpl_job_free(job);
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_worker_free(worker);
    close_line(&s);
}

TEST(t_worker__a_job_that_is_given_up_is_reported_failed) {
    service s;
    cpl_job *job;
    NEED(open_line(&s, BUILD("Make", READS)));
    cpl_worker *worker = worker_of(s.client, 1);
    NEED((job = next_job(worker)) != NULL);
    cpl_job_free(job);
    CHECK(cpl_worker_running(worker) == 0);
    CHECK(next_within(worker, 100) == NULL);
    CHECK(stage_becomes(&s, "Failed"));
    CHECK_STR(text_of(&s, "stageStates.1.actionStates.0.latestExecution.errorDetails.message"),
              "the handler gave the job up");
    cpl_worker_free(worker);
    close_line(&s);
}

TEST(t_worker__what_is_owed_is_sent_when_stopping_too) {
    service s;
    cpl_job *job;
    NEED(open_line(&s, BUILD("Make", READS)));
    cpl_worker *worker = worker_of(s.client, 1);
    NEED((job = next_job(worker)) != NULL);
    cpl_worker_stop(worker);
    cpl_job_free(job);
    CHECK(next_within(worker, 0) == NULL);
    CHECK(stage_becomes(&s, "Failed"));
    cpl_worker_free(worker);
    close_line(&s);
}

/* unlinkat() goes by names; to look into a folder takes a descriptor. */
TEST(t_worker__a_folder_that_cannot_be_removed_goes_with_the_next) {
    service s;
    cpl_job *job;
    const char *path = NULL;
    char folders[2][400];
    struct rlimit limit, none;
    struct stat info;
    NEED(open_line(&s, BUILD("A", READS) "," BUILD("B", READS)));
    cpl_worker *worker = worker_of(s.client, 1);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = limit;
    none.rlim_cur = 0;
    for (int i = 0; i < 2; i++) {
        NEED((job = next_job(worker)) != NULL);
        CHECK(cpl_job_work_dir(job, &path, NULL) == CPL_OK);
        snprintf(folders[i], sizeof folders[i], "%s", path);
        CHECK(i == 0 || stat(folders[0], &info) == 0);
        CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_OK);
        if (i == 0) CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
        cpl_job_free(job);
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    }
    CHECK(stat(folders[0], &info) != 0 && stat(folders[1], &info) != 0);
    cpl_worker_free(worker);
    close_line(&s);
}

/* ---- slots, races, stopping ---- */

TEST(t_worker__no_more_jobs_than_slots) {
    service s;
    cpl_job *jobs[2], *third;
    cpl_error err = {0};
    NEED(open_line(&s, BUILD("A", READS) "," BUILD("B", READS) "," BUILD("C", READS)));
    cpl_worker *worker = worker_of(s.client, 2);
    for (int i = 0; i < 2; i++) NEED((jobs[i] = next_job(worker)) != NULL);
    CHECK(cpl_worker_running(worker) == 2);
    CHECK(next_within(worker, 150) == NULL);
    CHECK(cpl_job_succeed(jobs[0], NULL, NULL, &err) == CPL_OK);
    NEED((third = next_job(worker)) != NULL);
    CHECK(cpl_job_succeed(jobs[1], NULL, NULL, &err) == CPL_OK);
    CHECK(cpl_job_succeed(third, NULL, NULL, &err) == CPL_OK);
    for (int i = 0; i < 2; i++) cpl_job_free(jobs[i]);
    cpl_job_free(third);
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_worker_free(worker);
    close_line(&s);
}

static void *stop_soon(void *context) {
    usleep(50000);
    cpl_worker_stop(context);
    return NULL;
}

TEST(t_worker__stop_is_heard_within_a_tenth_of_a_second) {
    service s;
    cpl_job *job = NULL;
    cpl_error err = {0};
    pthread_t thread;
    int64_t then;
    NEED(open_idle(&s));
    cpl_worker *worker = worker_of(s.client, 1);
    CHECK(!cpl_worker_stopping(worker));
    then = cpl_clock_monotonic_ms();
    CHECK(pthread_create(&thread, NULL, stop_soon, worker) == 0);
    CHECK(cpl_worker_next(worker, NULL, &job, &err) == CPL_OK && job == NULL);
    CHECK(cpl_clock_monotonic_ms() - then < 250);
    CHECK(cpl_worker_stopping(worker));
    CHECK(cpl_worker_next(worker, NULL, &job, &err) == CPL_OK && job == NULL);
    pthread_join(thread, NULL);
    cpl_worker_free(worker);
    close_line(&s);
}

static int count_down(void *context) {
    return --*(int *)context <= 0;
}

TEST(t_worker__a_tick_cancels_the_wait_for_a_job) {
    service s;
    cpl_job *job = NULL;
    cpl_error err = {0};
    int left = 3;
    cpl_wait wait = {.tick = count_down, .context = &left};
    NEED(open_idle(&s));
    cpl_worker *worker = worker_of(s.client, 1);
    CHECK(cpl_worker_next(worker, &wait, &job, &err) == CPL_CANCELLED && job == NULL);
    CHECK(!cpl_worker_stopping(worker));
    cpl_worker_free(worker);
    close_line(&s);
}

/* ---- bad input and bad weather ---- */

TEST(t_worker__action_types_are_checked_when_they_are_added) {
    static const struct {
        cpl_action_type type;
        const char *path;
    } rows[] = {
        {{.provider = CPL_LIT("P"), .version = CPL_LIT("1")}, "category"},
        {{.category = CPL_LIT("Build"), .version = CPL_LIT("1")}, "provider"},
        {{.category = CPL_LIT("Build"), .provider = CPL_LIT("P")}, "version"},
        {{.category = CPL_LIT("Bild"), .provider = CPL_LIT("P"), .version = CPL_LIT("1")}, "actionTypeId.category"},
        {{.category = CPL_LIT("Build"), .provider = CPL_LIT("P"), .version = CPL_LIT("1234567890")},
         "actionTypeId.version"},
        {{.category = CPL_LIT("Build"), .provider = CPL_LIT("P"), .version = CPL_LIT("1"), .query_key = CPL_LIT("k")},
         "query_key"},
    };
    service s;
    cpl_error err = {0};
    cpl_action_type asks = maker;
    int index = -1;
    NEED(open_room());
    NEED(open_service(&s));
    cpl_worker *worker = worker_of(s.client, 1);
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        CHECK(cpl_worker_add(worker, &rows[i].type, &index, &err) == CPL_INVALID);
        CHECK_STR(err.path, rows[i].path);
    }
    CHECK(cpl_worker_add(worker, &maker, &index, &err) == CPL_INVALID);
    CHECK(strstr(err.message, "Build/Maker/1"));
    asks.query_key = CPL_LIT("Target");
    asks.query_value = CPL_LIT("all");
    CHECK(cpl_worker_add(worker, &asks, &index, &err) == CPL_OK && index == 1);
    cpl_worker_free(worker);
    close_line(&s);
}

TEST(t_worker__output_variables_are_checked_before_anything_is_sent) {
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"[]", "not a JSON object"},
        {"{\"a\":1}", "\"a\" is not a string"},
        {"{\"a b\":\"x\"}", "\"a b\" has a name"},
        {"{\"\":\"x\"}", "has a name"},
        {"{\"a\":\"x\"", "not JSON"},
        {"{\"a\":\"x\"} 1", "not JSON"},
    };
    service s;
    cpl_job *job;
    cpl_error err = {0};
    cpl_result result = {0};
    char *large = malloc(123000);
    NEED(open_line(&s, BUILD("Make", READS)));
    cpl_worker *worker = worker_of(s.client, 1);
    NEED((job = next_job(worker)) != NULL);
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        result.output_variables = cpl_str_of(rows[i].text);
        CHECK(cpl_job_succeed(job, &result, NULL, &err) == CPL_INVALID);
        if (!CHECK(strstr(err.message, rows[i].words))) printf("  %s: %s\n", rows[i].text, err.message);
    }
    snprintf(large, 123000, "{\"big\":\"%0122878d\"}", 0);
    result.output_variables = cpl_str_of(large);
    CHECK(cpl_job_succeed(job, &result, NULL, &err) == CPL_INVALID);
    CHECK(strstr(err.message, "122880 bytes") && strstr(err.message, "\"big\""));
    snprintf(large, 123000, "{\"big\":\"%0122877d\"}", 0);
    result.output_variables = cpl_str_of(large);
    if (!CHECK(cpl_job_succeed(job, &result, NULL, &err) == CPL_OK)) printf("  %s %s\n", err.code, err.message);
    cpl_job_free(job);
    cpl_worker_free(worker);
    free(large);
    close_line(&s);
}

TEST(t_worker__an_unknown_action_type_is_an_error_of_next) {
    service s;
    cpl_job *job = NULL;
    cpl_error err = {0};
    cpl_wait wait = {.timeout_ms = 2000};
    NEED(open_room());
    NEED(open_service(&s));
    cpl_worker *worker = worker_of(s.client, 1);
    CHECK(cpl_worker_next(worker, &wait, &job, &err) == CPL_SERVICE && job == NULL);
    CHECK_STR(err.code, "ActionTypeNotFoundException");
    cpl_worker_free(worker);
    close_line(&s);
}

TEST(t_worker__a_service_that_is_away_is_not_an_error_and_is_told) {
    cpl_client_options options = {.region = CPL_LIT("us-east-1"),
                                  .access_key_id = CPL_LIT("AKIDEXAMPLE"),
                                  .secret_access_key = CPL_LIT("secret"),
                                  .endpoint_url = CPL_LIT("http://127.0.0.1:9")};
    cpl_client *client = NULL;
    cpl_job *job = NULL;
    cpl_error err = {0};
    cpl_wait wait = {.timeout_ms = 300};
    NEED(cpl_client_new(&client, &options, &err) == CPL_OK);
    cpl_worker *worker = worker_of(client, 1);
    CHECK(cpl_worker_next(worker, &wait, &job, &err) == CPL_OK && job == NULL);
    CHECK(err.status == CPL_NETWORK);
    CHECK(cpl_worker_feed(worker, &wait, &err) == CPL_OK && err.status == CPL_NETWORK);
    cpl_worker_stop(worker);
    CHECK(cpl_worker_feed(worker, NULL, NULL) == CPL_OK);
    cpl_worker_dismiss(worker, 2);
    for (int i = 0; i < 2; i++) CHECK(cpl_worker_take(worker, NULL) == NULL);
    cpl_worker_free(worker);
    cpl_client_free(client);
}

TEST(t_worker__artifacts_that_are_not_there_are_named) {
    service s;
    cpl_job *job;
    cpl_error err = {0};
    const char *path = NULL;
    NEED(open_line(&s, BUILD("Make", MADE)));
    cpl_worker *worker = worker_of(s.client, 1);
    NEED((job = next_job(worker)) != NULL);
    CHECK(cpl_job_input_path(job, CPL_LIT("Cod"), NULL, &path, &err) == CPL_INVALID);
    CHECK(strstr(err.message, "\"Cod\"; it has \"Code\""));
    CHECK(cpl_job_output_write(job, CPL_LIT("Code"), CPL_LIT("x"), &err) == CPL_INVALID);
    CHECK(cpl_job_output_pack(job, CPL_LIT("Made"), CPL_LIT("/no/such/folder"), NULL, &err) == CPL_IO);
    CHECK(cpl_job_output_write(job, CPL_LIT("Made"), CPL_LIT("bytes"), &err) == CPL_OK);
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK);
    cpl_job_free(job);
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_worker_free(worker);
    close_line(&s);
}

/* ---- a service that misbehaves: every answer is scripted ---- */

#define JOB(id, nonce)                                                                                \
    "{\"id\":\"" id "\",\"nonce\":\"" nonce                                                           \
    "\",\"accountId\":\"1\",\"data\":{\"actionTypeId\":{\"category\":\"Build\",\"owner\":\"Custom\"," \
    "\"provider\":\"Maker\",\"version\":\"1\"},\"actionConfiguration\":{}}}"
#define JOBS(list) \
    { .body = "{\"jobs\":[" list "]}" }
#define ONE "11111111-1111-1111-1111-111111111111"
#define TWO "22222222-2222-2222-2222-222222222222"
#define ACKNOWLEDGED \
    { .body = "{\"status\":\"InProgress\"}" }
#define REFUSED(code) \
    { .status = 400, .body = "{\"__type\":\"" code "\",\"message\":\"no\"}" }
#define TROUBLE \
    { .status = 500, .body = "{\"__type\":\"InternalFailure\"}" }
#define LOST \
    { .kind = FAULT_RESET }
#define DONE \
    { .body = "" }

typedef struct script {
    fault_server *server;
    cpl_client *client;
    cpl_worker *worker;
} script;

static bool open_script_with(script *x, const fault_step *steps, size_t count, cpl_client_options options,
                             const cpl_worker_options *settings) {
    options.region = CPL_LIT("us-east-1");
    options.access_key_id = CPL_LIT("AKIDEXAMPLE");
    options.secret_access_key = CPL_LIT("secret");
    if (!open_room()) return false;
    x->server = fault_server_start(steps, count);
    options.endpoint_url = cpl_str_of(fault_server_url(x->server));
    return CHECK(cpl_client_new(&x->client, &options, NULL) == CPL_OK) &&
           CHECK(cpl_worker_new(&x->worker, x->client, settings, NULL) == CPL_OK) &&
           CHECK(cpl_worker_add(x->worker, &maker, NULL, NULL) == CPL_OK);
}

static bool open_script(script *x, const fault_step *steps, size_t count) {
    const cpl_worker_options settings = {.concurrency = 2, .poll_interval_ms = 10};
    return open_script_with(x, steps, count, (cpl_client_options){0}, &settings);
}

/* Polls no more once an answer was not full. */
static bool open_patient_script(script *x, const fault_step *steps, size_t count) {
    const cpl_worker_options settings = {.concurrency = 2, .poll_interval_ms = 100000};
    return open_script_with(x, steps, count, (cpl_client_options){0}, &settings);
}

static void close_script(script *x) {
    cpl_worker_free(x->worker);
    cpl_client_free(x->client);
    fault_server_stop(x->server);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

TEST(t_worker__a_result_whose_answer_was_lost_is_settled_as_delivered) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1")), ACKNOWLEDGED, LOST, LOST,
                                       REFUSED("InvalidJobStateException")};
    script x;
    cpl_job *job;
    cpl_error err = {0};
    NEED(open_script(&x, steps, CPL_COUNT(steps)));
    NEED((job = next_job(x.worker)) != NULL);
    if (!CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK)) printf("  %s: %s\n", err.code, err.message);
    CHECK(cpl_job_answered(job));
    cpl_job_free(job);
    close_script(&x);
}

TEST(t_worker__a_job_somebody_else_has_is_lost_and_takes_no_further_answer) {
    static const char *const codes[] = {"InvalidJobStateException", "JobNotFoundException"};
    for (size_t i = 0; i < CPL_COUNT(codes); i++) {
        fault_step steps[] = {JOBS(JOB(ONE, "1")), ACKNOWLEDGED, REFUSED("InvalidJobStateException"), JOBS("")};
        script x;
        cpl_job *job;
        cpl_error err = {0};
        if (i == 1) steps[2].body = "{\"__type\":\"JobNotFoundException\"}";
        NEED(open_script(&x, steps, CPL_COUNT(steps)));
        NEED((job = next_job(x.worker)) != NULL);
        CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_STATE);
        CHECK_STR(err.code, codes[i]);
        CHECK(!cpl_job_answered(job) && cpl_worker_running(x.worker) == 0);
        CHECK(cpl_job_fail(job, CPL_LIT(""), CPL_LIT("x"), CPL_LIT(""), NULL, &err) == CPL_STATE);
        CHECK(strstr(err.message, "somebody else"));
        CHECK(fault_server_requests(x.server) == 3);
        cpl_job_free(job);
        CHECK(next_within(x.worker, 50) == NULL);
        CHECK(strstr(fault_server_request(x.server, 3), "PollForJobs")); /* and no failure result */
        close_script(&x);
    }
}

static void take_the_second(const fault_step *steps, size_t count) {
    script x;
    cpl_job *job;
    NEED(open_script(&x, steps, count));
    NEED((job = next_job(x.worker)) != NULL);
    CHECK_STR(cpl_job_text(job, CPL_JOB_ID), TWO);
    CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_OK);
    cpl_job_free(job);
    close_script(&x);
}

TEST(t_worker__a_job_acknowledged_by_somebody_else_is_skipped) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1") "," JOB(TWO, "2")), REFUSED("InvalidNonceException"),
                                       ACKNOWLEDGED, DONE};
    take_the_second(steps, CPL_COUNT(steps));
}

TEST(t_worker__a_job_that_is_over_when_acknowledged_is_skipped) {
    static const fault_step steps[] = {
        JOBS(JOB(ONE, "1") "," JOB(TWO, "2")), {.body = "{\"status\":\"Failed\"}"}, ACKNOWLEDGED, DONE};
    take_the_second(steps, CPL_COUNT(steps));
}

TEST(t_worker__one_bad_job_does_not_lose_the_batch) {
    static const fault_step steps[] = {JOBS("{\"id\":\"" ONE "\"},7," JOB(TWO, "2")), ACKNOWLEDGED, DONE};
    script x;
    cpl_job *job = NULL;
    cpl_error err = {0};
    NEED(open_script(&x, steps, CPL_COUNT(steps)));
    CHECK(cpl_worker_next(x.worker, NULL, &job, &err) == CPL_OK);
    NEED(job != NULL);
    CHECK_STR(cpl_job_text(job, CPL_JOB_ID), TWO);
    CHECK(err.status == CPL_PROTOCOL);
    CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_OK);
    cpl_job_free(job);
    close_script(&x);
}

TEST(t_worker__an_acknowledgement_is_repeated_until_it_is_answered) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1")), TROUBLE, TROUBLE, TROUBLE, TROUBLE, ACKNOWLEDGED, DONE};
    script x;
    cpl_job *job;
    NEED(open_patient_script(&x, steps, CPL_COUNT(steps)));
    NEED((job = next_job(x.worker)) != NULL);
    CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_OK);
    cpl_job_free(job);
    close_script(&x);
}

TEST(t_worker__an_acknowledgement_in_trouble_does_not_hold_up_the_batch) {
    static const fault_step steps[] = {
        JOBS(JOB(ONE, "1") "," JOB(TWO, "2")), TROUBLE, TROUBLE, TROUBLE, ACKNOWLEDGED, DONE};
    take_the_second(steps, CPL_COUNT(steps));
}

TEST(t_worker__a_job_whose_acknowledgement_is_in_doubt_goes_back_when_the_worker_stops) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1")), TROUBLE, TROUBLE, TROUBLE, ACKNOWLEDGED, DONE};
    script x;
    NEED(open_patient_script(&x, steps, CPL_COUNT(steps)));
    CHECK(next_within(x.worker, 600) == NULL); /* it does not ask again before it stops */
    cpl_worker_stop(x.worker);
    CHECK(next_within(x.worker, 600) == NULL);
    CHECK(fault_server_requests(x.server) == 6);
    CHECK(strstr(fault_server_request(x.server, 4), "AcknowledgeJob"));
    CHECK(strstr(fault_server_request(x.server, 5), "\"continuationToken\":\"cpl1:0:\""));
    close_script(&x);
}

static bool do_next(script *x, const char *id) {
    cpl_job *job = next_job(x->worker);
    bool done = job && CHECK(strcmp(cpl_job_text(job, CPL_JOB_ID), id) == 0) &&
                CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_OK);
    cpl_job_free(job);
    return done;
}

/* With one slot: others are asked for and done meanwhile, and it is asked again and turns out to be ours. */
TEST(t_worker__a_job_whose_acknowledgement_is_not_answered_holds_up_no_other) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1")),
                                       {.kind = FAULT_STALL},
                                       JOBS(JOB(TWO, "2")),
                                       ACKNOWLEDGED,
                                       DONE,
                                       JOBS(""),
                                       ACKNOWLEDGED,
                                       DONE};
    const cpl_worker_options settings = {.poll_interval_ms = 100000};
    script x;
    NEED(open_script_with(&x, steps, CPL_COUNT(steps), (cpl_client_options){.max_attempts = 1, .read_timeout_ms = 50},
                          &settings));
    CHECK(do_next(&x, TWO));
    CHECK(cpl_worker_tally(x.worker).unreported == 1); /* it may be ours */
    CHECK(do_next(&x, ONE));
    CHECK(fault_server_requests(x.server) == CPL_COUNT(steps));
    CHECK(cpl_worker_tally(x.worker).unreported == 0);
    close_script(&x);
}

/* What is taken must end here, so a worker that hears of none takes no more than so many. */
TEST(t_worker__with_ten_jobs_in_doubt_no_others_are_asked_for) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1")), TROUBLE, JOBS(JOB(ONE, "2")), TROUBLE,
                                       JOBS(JOB(ONE, "3")), TROUBLE, JOBS(JOB(ONE, "4")), TROUBLE,
                                       JOBS(JOB(ONE, "5")), TROUBLE, JOBS(JOB(ONE, "6")), TROUBLE,
                                       JOBS(JOB(ONE, "7")), TROUBLE, JOBS(JOB(ONE, "8")), TROUBLE,
                                       JOBS(JOB(ONE, "9")), TROUBLE, JOBS(JOB(ONE, "0")), TROUBLE};
    const cpl_worker_options settings = {.poll_interval_ms = 100000};
    script x;
    NEED(open_script_with(&x, steps, CPL_COUNT(steps), (cpl_client_options){.max_attempts = 1}, &settings));
    CHECK(next_within(x.worker, 500) == NULL);
    CHECK(fault_server_requests(x.server) == CPL_COUNT(steps));
    close_script(&x);
}

TEST(t_worker__a_result_is_sent_through_longer_trouble_than_one_call_survives) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1")), ACKNOWLEDGED, TROUBLE, TROUBLE, TROUBLE, TROUBLE, DONE};
    script x;
    cpl_job *job;
    cpl_error err = {0};
    NEED(open_script(&x, steps, CPL_COUNT(steps)));
    NEED((job = next_job(x.worker)) != NULL);
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK);
    CHECK(fault_server_requests(x.server) == 7);
    cpl_job_free(job);
    close_script(&x);
}

TEST(t_worker__a_result_that_did_not_get_through_is_owed_and_not_turned_into_a_failure) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1")), ACKNOWLEDGED, TROUBLE, TROUBLE, TROUBLE, DONE, JOBS("")};
    script x;
    cpl_job *job;
    cpl_error err = {0};
    cpl_result result = {.summary = CPL_LIT("the real result")};
    cpl_wait wait = {.timeout_ms = 300};
    NEED(open_script(&x, steps, CPL_COUNT(steps)));
    NEED((job = next_job(x.worker)) != NULL);
    CHECK(cpl_job_succeed(job, &result, &wait, &err) != CPL_OK);
    CHECK(err.retryable && !cpl_job_answered(job));
    cpl_job_free(job);
    CHECK(next_within(x.worker, 100) == NULL);
    CHECK(strstr(fault_server_request(x.server, 5), "PutJobSuccessResult"));
    CHECK(strstr(fault_server_request(x.server, 5), "the real result"));
    close_script(&x);
}

/* Where results are owed in memory alone, too. */
TEST(t_worker__an_owed_result_that_is_refused_for_good_becomes_a_failure) {
    static const fault_step steps[] = {
        JOBS(JOB(ONE, "1")), ACKNOWLEDGED, TROUBLE, TROUBLE, TROUBLE, REFUSED("ValidationException"), DONE, JOBS("")};
    script x;
    cpl_job *job;
    cpl_wait wait = {.timeout_ms = 300};
    NEED(open_script(&x, steps, CPL_COUNT(steps)));
    NEED((job = next_job(x.worker)) != NULL);
    CHECK(cpl_job_succeed(job, NULL, &wait, NULL) != CPL_OK);
    cpl_job_free(job);
    CHECK(next_within(x.worker, 100) == NULL);
    CHECK(strstr(fault_server_request(x.server, 6), "PutJobFailureResult"));
    CHECK(strstr(fault_server_request(x.server, 6), "the result was refused: ValidationException no"));
    CHECK(cpl_worker_tally(x.worker).failed == 1 && cpl_worker_tally(x.worker).unreported == 0);
    close_script(&x);
}

TEST(t_worker__what_a_guard_cannot_report_is_owed) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1")), ACKNOWLEDGED, TROUBLE, TROUBLE, TROUBLE, DONE, JOBS("")};
    script x;
    cpl_job *job;
    NEED(open_script(&x, steps, CPL_COUNT(steps)));
    NEED((job = next_job(x.worker)) != NULL);
    CHECK(cpl_job_guard(job, 1, NULL) == CPL_OK);
    CHECK(cpl_job_wait_cancelled(job, NULL, &(bool){false}, NULL) == CPL_OK); /* it has fired */
    cpl_job_free(job);
    CHECK(cpl_worker_tally(x.worker).unreported == 1);
    CHECK(next_within(x.worker, 100) == NULL);
    CHECK(strstr(fault_server_request(x.server, 5), "PutJobFailureResult"));
    CHECK(strstr(fault_server_request(x.server, 5), "the time limit is nearly up"));
    CHECK(cpl_worker_tally(x.worker).failed == 1 && cpl_worker_tally(x.worker).unreported == 0);
    close_script(&x);
}

TEST(t_worker__a_tally_tells_what_became_of_the_jobs) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1") "," JOB(TWO, "2")),
                                       ACKNOWLEDGED,
                                       ACKNOWLEDGED,
                                       DONE,
                                       DONE,
                                       JOBS(JOB(ONE, "3") "," JOB(TWO, "4")),
                                       ACKNOWLEDGED,
                                       DONE,
                                       REFUSED("InvalidNonceException"),
                                       JOBS("")};
    script x;
    cpl_job *one, *two;
    cpl_tally tally;
    NEED(open_script(&x, steps, CPL_COUNT(steps)));
    NEED((one = next_job(x.worker)) != NULL);
    NEED((two = next_job(x.worker)) != NULL);
    CHECK(cpl_worker_tally(x.worker).unreported == 2);
    CHECK(cpl_job_succeed(one, NULL, NULL, NULL) == CPL_OK);
    CHECK(cpl_job_later(two, CPL_LIT("{}"), 0, NULL, NULL, NULL) == CPL_OK);
    cpl_job_free(one);
    cpl_job_free(two);
    NEED((one = next_job(x.worker)) != NULL);
    CHECK(cpl_job_fail(one, CPL_LIT(""), CPL_LIT("no"), CPL_LIT(""), NULL, NULL) == CPL_OK);
    cpl_job_free(one);
    CHECK(next_within(x.worker, 50) == NULL); /* the other one is somebody else's */
    tally = cpl_worker_tally(x.worker);
    CHECK(tally.succeeded == 1 && tally.failed == 1 && tally.continued == 1 && tally.unreported == 0);
    close_script(&x);
}

TEST(t_worker__a_job_in_doubt_at_the_end_counts_as_unreported) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1")), TROUBLE};
    script x;
    NEED(open_script(&x, steps, CPL_COUNT(steps)));
    CHECK(next_within(x.worker, 600) == NULL);
    CHECK(cpl_worker_tally(x.worker).unreported == 1);
    cpl_worker_stop(x.worker);
    CHECK(next_within(x.worker, 50) == NULL);
    CHECK(cpl_worker_tally(x.worker).unreported == 1);
    close_script(&x);
}

/*
 * Every allocation of a job's life fails once. The client's own are among them, and the job must still get its answer.
 */
TEST(t_worker__running_out_of_memory_loses_no_job) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1")), ACKNOWLEDGED, DONE};
    bool done = false;
    for (size_t n = 1; !done && n < 3000; n += 7) {
        script x;
        cpl_job *job = NULL;
        cpl_error err = {0};
        cpl_wait wait = {.timeout_ms = 2000};
        cpl_status status;
        NEED(open_script(&x, steps, CPL_COUNT(steps)));
        (void)cpl_alloc_fail_at(n);
        status = cpl_worker_next(x.worker, &wait, &job, &err);
        if (job) status = cpl_job_succeed(job, NULL, NULL, &err);
        done = cpl_alloc_fail_at(0) < n;
        CHECK(status == CPL_OK || status == CPL_NOMEM);
        if (job && status != CPL_OK) CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK);
        cpl_job_free(job);
        close_script(&x);
    }
    CHECK(done);
}

TEST(t_worker__a_full_batch_polls_again_at_once_and_an_empty_one_waits) {
    static const fault_step steps[] = {JOBS(JOB(ONE, "1") "," JOB(TWO, "2")), ACKNOWLEDGED, ACKNOWLEDGED, JOBS("")};
    script x;
    cpl_job *jobs[2];
    cpl_worker_options slow = {.concurrency = 2, .poll_interval_ms = 100000};
    NEED(open_script(&x, steps, CPL_COUNT(steps)));
    cpl_worker_free(x.worker);
    NEED(cpl_worker_new(&x.worker, x.client, &slow, NULL) == CPL_OK);
    CHECK(cpl_worker_add(x.worker, &maker, NULL, NULL) == CPL_OK);
    for (int i = 0; i < 2; i++) NEED((jobs[i] = next_job(x.worker)) != NULL);
    CHECK(strstr(fault_server_request(x.server, 0), "\"maxBatchSize\":2"));
    for (int i = 0; i < 2; i++) CHECK(cpl_job_succeed(jobs[i], NULL, NULL, NULL) == CPL_OK);
    for (int i = 0; i < 2; i++) cpl_job_free(jobs[i]);
    CHECK(next_within(x.worker, 50) == NULL);
    CHECK(fault_server_requests(x.server) == 6); /* one poll, empty; the next is 100 s away */
    close_script(&x);
}

/* ---- pure parts ---- */

TEST(t_worker__failure_types_follow_the_error) {
    static const struct {
        cpl_error err;
        const char *type;
    } rows[] = {
        {{.status = CPL_INVALID}, "ConfigurationError"},
        {{.status = CPL_ARCHIVE}, "ConfigurationError"},
        {{.status = CPL_CREDENTIALS}, "PermissionError"},
        {{.status = CPL_NETWORK}, "SystemUnavailable"},
        {{.status = CPL_IO}, "JobFailed"},
        {{.status = CPL_SERVICE, .http_status = 403, .code = "AccessDenied"}, "PermissionError"},
        {{.status = CPL_SERVICE, .http_status = 404, .code = "NoSuchKey"}, "ConfigurationError"},
        {{.status = CPL_SERVICE, .http_status = 503, .code = "SlowDown"}, "SystemUnavailable"},
        {{.status = CPL_SERVICE, .http_status = 400, .code = "Other"}, "JobFailed"},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) CHECK_STR(cpl_failure_type(&rows[i].err), rows[i].type);
}

TEST_MAIN
