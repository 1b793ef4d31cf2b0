/* SPDX-License-Identifier: MIT */
#include "fault_server.h"
#include "service.h"

/* ---- pipelines and runs ---- */

#define WORK "{'name':'Build','actions':[" BUILD("Make", READS) "]}"
#define GATE                                                                                        \
    "{'name':'Gate','actions':[{'name':'Sign','actionTypeId':{'category':'Approval','owner':'AWS'," \
    "'provider':'Manual','version':'1'},'configuration':{'CustomData':'look twice',"                \
    "'ExternalEntityLink':'https://review.example/1'}}]}"

static const cpl_run_options quick = {.poll_interval_ms = 10, .unclaimed_after_ms = 1};

/* An emulator and a pipeline "ship" of a source and these stages; more: of its declaration. */
static bool open_ship(service *s, const char *stages, const char *more) {
    return open_idle(s) && put_source(s) &&
           ask(s, "CreatePipeline",
               "{'pipeline':{'name':'ship'," ROLE "," STORE ",'pipelineType':'V2',%s'stages':[" SOURCE ",%s]}}", more,
               stages);
}

static cpl_run *start(service *s) {
    const cpl_start what = {.pipeline = CPL_LIT("ship")};
    cpl_error err = {0};
    cpl_run *run = NULL;
    if (!CHECK(cpl_run_start(&run, s->client, &what, &quick, NULL, &err) == CPL_OK)) printf("  %s\n", err.message);
    return run;
}

/* The run of the execution that making the pipeline started. */
static cpl_run *latest(service *s) {
    const cpl_target target = {.pipeline = CPL_LIT("ship")};
    cpl_error err = {0};
    cpl_run *run = NULL;
    if (!CHECK(cpl_run_open(&run, s->client, &target, &quick, NULL, &err) == CPL_OK)) printf("  %s\n", err.message);
    return run;
}

static bool becomes(cpl_run *run, const char *status) {
    const cpl_wait wait = {.timeout_ms = 5000};
    cpl_error err = {0};
    if (!CHECK(cpl_run_wait(run, &wait, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK_STR(cpl_run_status(run), status);
    return strcmp(cpl_run_status(run), status) == 0;
}

static void do_job(service *s, bool good) {
    cpl_worker *worker = worker_of(s->client, 1);
    cpl_job *job = next_job(worker);
    const cpl_result result = {.summary = CPL_LIT("done"), .external_execution_id = CPL_LIT("run-7")};
    if (job && good) CHECK(cpl_job_succeed(job, &result, NULL, NULL) == CPL_OK);
    if (job && !good)
        CHECK(cpl_job_fail(job, CPL_LIT("JobFailed"), CPL_LIT("it broke"), CPL_LIT("run-7"), NULL, NULL) == CPL_OK);
    cpl_job_free(job);
    cpl_worker_free(worker);
}

/* "run InProgress; stage Source InProgress; ..." of the events until timeout_ms pass, or the end. */
static const char *tell(cpl_run *run, int64_t timeout_ms) {
    static char told[4096];
    const cpl_wait wait = {.timeout_ms = timeout_ms};
    const cpl_event *event;
    cpl_error err = {0};
    size_t n = 0;
    told[0] = '\0';
    do {
        if (!CHECK(cpl_run_next(run, &wait, &event, &err) == CPL_OK)) printf("  %s: %s\n", err.code, err.message);
        if (event == NULL) break;
        n += (size_t)snprintf(told + n, sizeof told - n, "%s%s", n ? "; " : "", cpl_event_name(event->kind));
        if (event->stage) n += (size_t)snprintf(told + n, sizeof told - n, " %s", event->stage);
        if (event->action) n += (size_t)snprintf(told + n, sizeof told - n, "/%s", event->action);
        n += (size_t)snprintf(told + n, sizeof told - n, " %s", event->status);
        if (event->message && strncmp(event->message, "Amazon S3", 9) != 0)
            n += (size_t)snprintf(told + n, sizeof told - n, " (%s)", event->message);
    } while (event->kind != CPL_EVENT_END);
    return told;
}

/* The document in s->answer. */
static bool explain(service *s, cpl_run *run) {
    cpl_error err = {0};
    cpl_reply *reply = NULL;
    if (!CHECK(cpl_run_explain(run, NULL, &reply, &err) == CPL_OK)) printf("  %s\n", err.message);
    cpl_json_free(s->answer);
    s->answer = NULL;
    if (reply) CHECK(cpl_json_parse(cpl_reply_text(reply), &s->answer, &err) == CPL_OK);
    cpl_reply_free(reply);
    return s->answer != NULL;
}

static bool has(const char *text, const char *piece) {
    if (strstr(text, piece)) return true;
    printf("  no \"%s\" in: %s\n", piece, text);
    return false;
}

static cpl_status decide(cpl_run *run, bool approved, cpl_error *err) {
    const cpl_decision decision = {CPL_LIT("Gate"), CPL_LIT("Sign"), approved, CPL_LIT("fine")};
    return cpl_run_decide(run, &decision, NULL, err);
}

/* ---- starting and finding ---- */

static cpl_client *one_attempt(const char *url) {
    const cpl_client_options options = {.region = CPL_LIT("us-east-1"),
                                        .access_key_id = CPL_LIT("AKID"),
                                        .secret_access_key = CPL_LIT("secret"),
                                        .endpoint_url = cpl_str_of(url),
                                        .max_attempts = 1};
    cpl_client *client = NULL;
    CHECK(cpl_client_new(&client, &options, NULL) == CPL_OK);
    return client;
}

TEST(t_run__starting_gives_variables_and_revisions_as_the_service_wants_them) {
    static const fault_step step = {.body = "{\"pipelineExecutionId\":\"12345678-1234-1234-1234-123456789012\"}"};
    const cpl_start what = {CPL_LIT("ship"), CPL_LIT("{\"tag\":\"v2\",\"b\":\"c\"}"),
                            CPL_LIT("{\"Fetch\":{\"COMMIT_ID\":\"1b2c\"}}"), CPL_LIT("once")};
    cpl_error err = {0};
    cpl_run *run = NULL;
    fault_server *server = fault_server_start(&step, 1);
    cpl_client *client = one_attempt(server->url);
    if (!CHECK(cpl_run_start(&run, client, &what, NULL, NULL, &err) == CPL_OK)) printf("  %s\n", err.message);
    if (run) {
        CHECK_STR(cpl_run_id(run), "12345678-1234-1234-1234-123456789012");
        CHECK_STR(cpl_run_status(run), "InProgress");
        CHECK(
            has(server->texts[0],
                "{\"name\":\"ship\",\"clientRequestToken\":\"once\",\"variables\":[{\"name\":\"tag\",\"value\":\"v2\"},"
                "{\"name\":\"b\",\"value\":\"c\"}],\"sourceRevisions\":[{\"actionName\":\"Fetch\",\"revisionType\":"
                "\"COMMIT_ID\",\"revisionValue\":\"1b2c\"}]}"));
    }
    cpl_run_free(run);
    cpl_client_free(client);
    fault_server_stop(server);
}

TEST(t_run__what_cannot_be_started_or_found_is_refused_by_name) {
    const cpl_start none = {.pipeline = CPL_LIT("nothing")};
    const cpl_start odd = {.pipeline = CPL_LIT("ship"), .variables = CPL_LIT("[1]")};
    const cpl_start odder = {.pipeline = CPL_LIT("ship"), .revisions = CPL_LIT("{\"Fetch\":\"1b2c\"}")};
    const cpl_start typed = {.pipeline = CPL_LIT("ship"), .variables = CPL_LIT("{\"n\":5}")};
    const cpl_target unknown = {CPL_LIT("ship"), CPL_LIT("12345678-1234-1234-1234-123456789012")};
    cpl_error err = {0};
    cpl_run *run = NULL;
    service s;
    NEED(open_ship(&s, WORK, ""));
    CHECK(cpl_run_start(&run, s.client, &none, NULL, NULL, &err) == CPL_SERVICE && run == NULL);
    CHECK_STR(err.code, "PipelineNotFoundException");
    CHECK(cpl_run_start(&run, s.client, &odd, NULL, NULL, &err) == CPL_INVALID && run == NULL);
    CHECK_STR(err.path, "variables");
    CHECK(cpl_run_start(&run, s.client, &odder, NULL, NULL, &err) == CPL_INVALID && run == NULL);
    CHECK_STR(err.path, "revisions");
    CHECK(cpl_run_start(&run, s.client, &typed, NULL, NULL, &err) == CPL_INVALID && run == NULL);
    CHECK_STR(err.path, "variables[0].value");
    CHECK(cpl_run_open(&run, s.client, &unknown, NULL, NULL, &err) == CPL_SERVICE && run == NULL);
    CHECK_STR(err.code, "PipelineExecutionNotFoundException");
    close_line(&s);
}

/* ---- outcomes ---- */

#define FETCHED                                                                                \
    "stage Source InProgress; action Source/Fetch InProgress; action Source/Fetch Succeeded; " \
    "stage Source Succeeded; "

TEST(t_run__a_run_is_told_from_start_to_success_each_thing_once_and_in_order) {
    cpl_run *run, *other;
    const cpl_event *event;
    service s;
    NEED(open_ship(&s, WORK, ""));
    NEED((run = latest(&s)) != NULL);
    CHECK_STR(tell(run, 500), "run InProgress; " FETCHED "stage Build InProgress; action Build/Make InProgress");
    CHECK_STR(tell(run, 30), "");
    do_job(&s, true);
    CHECK_STR(tell(run, 5000), "action Build/Make Succeeded (done); stage Build Succeeded; end Succeeded");
    CHECK(cpl_run_next(run, NULL, &event, NULL) == CPL_OK && event == NULL);
    CHECK(becomes(run, "Succeeded"));
    NEED((other = latest(&s)) != NULL); /* one that comes late is told everything */
    CHECK_STR(tell(other, 5000), FETCHED
              "stage Build InProgress; action Build/Make InProgress; action "
              "Build/Make Succeeded (done); stage Build Succeeded; end Succeeded");
    NEED(explain(&s, run));
    CHECK(cpl_json_count(part(&s, "findings")) == 0 && has(text_of(&s, "summary"), "is Succeeded"));
    cpl_run_free(other);
    cpl_run_free(run);
    close_line(&s);
}

TEST(t_run__a_failure_is_explained_and_retried) {
    cpl_run *run;
    cpl_error err = {0};
    service s;
    NEED(open_ship(&s, WORK, ""));
    NEED((run = latest(&s)) != NULL);
    do_job(&s, false);
    CHECK(becomes(run, "Failed"));
    NEED(explain(&s, run));
    CHECK_STR(text_of(&s, "findings.0.kind"), "failed_action");
    CHECK_STR(text_of(&s, "findings.0.stage"), "Build");
    CHECK_STR(text_of(&s, "findings.0.action"), "Make");
    CHECK_STR(text_of(&s, "findings.0.code"), "JobFailed");
    CHECK_STR(text_of(&s, "findings.0.external_execution_id"), "run-7");
    CHECK(has(text_of(&s, "summary"), "failed: JobFailed: it broke"));
    CHECK(has(text_of(&s, "text"), "check: the log of the worker"));
    CHECK(has(tell(run, 5000), "action Build/Make Failed (it broke); stage Build Failed; end Failed"));
    CHECK(cpl_run_retry(run, CPL_LIT("Nowhere"), false, NULL, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "StageNotFoundException");
    CHECK(cpl_run_retry(run, CPL_LIT("Build"), false, NULL, &err) == CPL_OK);
    CHECK(!cpl_run_ended(run));
    do_job(&s, true);
    CHECK(has(tell(run, 5000),
              "stage Build InProgress; action Build/Make InProgress; action Build/Make Succeeded "
              "(done); stage Build Succeeded; end Succeeded"));
    NEED(explain(&s, run));
    CHECK(cpl_json_count(part(&s, "findings")) == 0);
    cpl_run_free(run);
    close_line(&s);
}

/* A rollback to whatever was good last. */
static cpl_status back(cpl_run *run, const char *stage, cpl_run **out, cpl_error *err) {
    return cpl_run_rollback(run, cpl_str_of(stage), CPL_LIT(""), NULL, out, err);
}

TEST(t_run__a_rollback_without_a_target_finds_what_was_good) {
    cpl_run *first, *bad, *again = NULL;
    cpl_error err = {0};
    service s;
    NEED(open_ship(&s, WORK, ""));
    NEED((first = latest(&s)) != NULL);
    do_job(&s, true);
    CHECK(becomes(first, "Succeeded"));
    CHECK(back(first, "Nowhere", &again, &err) == CPL_INVALID && again == NULL);
    CHECK_STR(err.path, "stage");
    CHECK(back(first, "Build", &again, &err) == CPL_STATE && again == NULL);
    CHECK_STR(err.message, "no earlier execution of version 1 of pipeline \"ship\" succeeded in stage \"Build\"");
    NEED((bad = start(&s)) != NULL);
    do_job(&s, false);
    CHECK(becomes(bad, "Failed"));
    CHECK(back(bad, "Build", &again, &err) == CPL_OK);
    do_job(&s, true);
    NEED(again != NULL);
    CHECK(becomes(again, "Succeeded"));
    CHECK(strcmp(cpl_run_id(again), cpl_run_id(first)) != 0 && strcmp(cpl_run_id(again), cpl_run_id(bad)) != 0);
    cpl_run_free(again);
    cpl_run_free(bad);
    cpl_run_free(first);
    close_line(&s);
}

TEST(t_run__a_stopped_run_says_who_wanted_it) {
    cpl_run *run;
    cpl_error err = {0};
    service s;
    NEED(open_ship(&s, WORK, ""));
    NEED((run = latest(&s)) != NULL);
    CHECK(cpl_run_stop(run, CPL_LIT("wrong branch"), true, NULL, &err) == CPL_OK);
    CHECK(becomes(run, "Stopped"));
    CHECK(has(tell(run, 5000), "action Build/Make Abandoned; stage Build Stopped; end Stopped"));
    NEED(explain(&s, run));
    CHECK_STR(text_of(&s, "findings.0.kind"), "stopped");
    CHECK_STR(text_of(&s, "findings.0.message"), "wrong branch");
    CHECK(cpl_run_stop(run, CPL_LIT("again"), false, NULL, &err) == CPL_SERVICE);
    cpl_run_free(run);
    close_line(&s);
}

TEST(t_run__a_superseded_run_names_the_one_that_overtook_it) {
    cpl_run *first, *second, *third;
    service s;
    NEED(open_ship(&s, WORK, ""));
    NEED((first = latest(&s)) != NULL); /* in Build; the second waits in front of it, the third overtakes that */
    NEED((second = start(&s)) != NULL && (third = start(&s)) != NULL);
    CHECK(becomes(second, "Superseded"));
    CHECK(has(tell(second, 5000), "stage Source Succeeded; end Superseded"));
    NEED(explain(&s, second));
    CHECK_STR(text_of(&s, "findings.0.kind"), "superseded");
    CHECK_STR(text_of(&s, "findings.0.execution_id"), cpl_run_id(third));
    NEED(explain(&s, third));
    CHECK_STR(text_of(&s, "findings.0.kind"), "queued");
    CHECK_STR(text_of(&s, "findings.0.execution_id"), cpl_run_id(first));
    cpl_run_free(first);
    cpl_run_free(second);
    cpl_run_free(third);
    close_line(&s);
}

/* ---- stuck ---- */

TEST(t_run__a_timeout_says_what_it_waited_for) {
    cpl_run *run;
    const cpl_wait wait = {.timeout_ms = 40};
    cpl_error err = {0};
    service s;
    NEED(open_ship(&s, GATE, ""));
    NEED((run = latest(&s)) != NULL);
    CHECK(cpl_run_wait(run, &wait, &err) == CPL_TIMEOUT);
    CHECK(has(err.message, "after 0.04 s, execution \""));
    CHECK(has(err.message, "is still InProgress: it waits for the approval \"Sign\" of stage \"Gate\": look twice"));
    cpl_run_free(run);
    close_line(&s);
}

TEST(t_run__a_job_that_nobody_takes_is_found) {
    cpl_run *run;
    service s;
    NEED(open_ship(&s, WORK, ""));
    NEED((run = latest(&s)) != NULL);
    usleep(1100000); /* the service's clock is known to the second */
    NEED(explain(&s, run));
    CHECK_STR(text_of(&s, "findings.0.kind"), "unclaimed_job");
    CHECK_STR(text_of(&s, "findings.0.provider"), "Maker");
    CHECK(has(text_of(&s, "summary"), "nothing shows that a worker (Build, Maker, version 1) has taken it"));
    CHECK(has(text_of(&s, "text"), "check: whether a worker runs"));
    cpl_run_free(run);
    close_line(&s);
}

TEST(t_run__a_disabled_transition_is_told_with_its_reason) {
    cpl_run *run;
    service s;
    NEED(open_ship(&s, WORK, ""));
    do_job(&s, true);
    NEED(ask(&s, "DisableStageTransition",
             "{'pipelineName':'ship','stageName':'Build','transitionType':'Inbound','reason':'freeze'}"));
    NEED((run = start(&s)) != NULL);
    CHECK(has(tell(run, 500), "stage Source Succeeded; transition Build Disabled (freeze)"));
    CHECK_STR(tell(run, 30), "");
    NEED(explain(&s, run));
    CHECK_STR(text_of(&s, "findings.0.kind"), "disabled_transition");
    CHECK_STR(text_of(&s, "findings.0.message"), "freeze");
    CHECK(has(text_of(&s, "findings.0.by"), "arn:aws"));
    NEED(ask(&s, "StopPipelineExecution", "{'pipelineName':'ship','pipelineExecutionId':'%s'}", cpl_run_id(run)));
    CHECK_STR(tell(run, 5000), "end Stopped");
    cpl_run_free(run);
    close_line(&s);
}

/* ---- approvals ---- */

TEST(t_run__an_approval_is_told_listed_and_given) {
    cpl_run *run;
    cpl_reply *reply = NULL;
    cpl_error err = {0};
    service s;
    NEED(open_ship(&s, GATE, ""));
    NEED((run = latest(&s)) != NULL);
    CHECK(has(tell(run, 500), "action Gate/Sign InProgress; approval Gate/Sign InProgress (look twice)"));
    CHECK(cpl_client_approvals(s.client, CPL_LIT(""), NULL, &reply, &err) == CPL_OK);
    NEED(reply);
    cpl_json_free(s.answer);
    CHECK(cpl_json_parse(cpl_reply_text(reply), &s.answer, &err) == CPL_OK);
    CHECK(cpl_json_count(s.answer) == 1 && strstr(cpl_reply_text(reply).p, "token") == NULL);
    CHECK_STR(text_of(&s, "0.pipeline"), "ship");
    CHECK_STR(text_of(&s, "0.stage"), "Gate");
    CHECK_STR(text_of(&s, "0.action"), "Sign");
    CHECK_STR(text_of(&s, "0.execution_id"), cpl_run_id(run));
    CHECK_STR(text_of(&s, "0.message"), "look twice");
    CHECK_STR(text_of(&s, "0.url"), "https://review.example/1");
    cpl_reply_free(reply);
    NEED(explain(&s, run));
    CHECK_STR(text_of(&s, "findings.0.kind"), "approval");
    CHECK(decide(run, true, &err) == CPL_OK);
    CHECK(becomes(run, "Succeeded"));
    CHECK(decide(run, false, &err) == CPL_STATE);
    CHECK(has(err.message, "was answered already in execution"));
    CHECK(cpl_client_approvals(s.client, CPL_LIT("ship"), NULL, &reply, &err) == CPL_OK);
    CHECK_STR(reply ? cpl_reply_text(reply).p : NULL, "[]");
    cpl_reply_free(reply);
    cpl_run_free(run);
    close_line(&s);
}

TEST(t_run__a_rejection_fails_the_run) {
    cpl_run *run;
    cpl_error err = {0};
    service s;
    NEED(open_ship(&s, GATE, ""));
    NEED((run = latest(&s)) != NULL);
    CHECK(decide(run, false, &err) == CPL_OK);
    CHECK(becomes(run, "Failed"));
    NEED(explain(&s, run));
    CHECK(has(text_of(&s, "summary"), "action \"Sign\" of stage \"Gate\" was rejected: fine"));
    cpl_run_free(run);
    close_line(&s);
}

TEST(t_run__a_newer_runs_token_is_never_used) {
    cpl_run *older, *newer;
    cpl_error err = {0};
    service s;
    NEED(open_ship(&s, GATE, "'executionMode':'PARALLEL',"));
    NEED((older = latest(&s)) != NULL && (newer = start(&s)) != NULL); /* both wait; the state shows the newer one */
    CHECK(decide(older, true, &err) == CPL_STATE);
    CHECK(has(err.message, cpl_run_id(newer)) && has(err.message, "nothing was decided"));
    NEED(ask(&s, "GetPipelineState", "{'name':'ship'}"));
    CHECK_STR(text_of(&s, "stageStates.1.actionStates.0.latestExecution.status"), "InProgress");
    CHECK(decide(newer, true, &err) == CPL_OK && becomes(newer, "Succeeded"));
    cpl_run_free(older);
    cpl_run_free(newer);
    close_line(&s);
}

TEST(t_run__a_decision_names_what_is_not_there) {
    const cpl_decision no_stage = {.stage = CPL_LIT("Nowhere"), .action = CPL_LIT("Sign")};
    const cpl_decision no_action = {.stage = CPL_LIT("Gate"), .action = CPL_LIT("Seal")};
    const cpl_decision no_approval = {.stage = CPL_LIT("Source"), .action = CPL_LIT("Fetch")};
    const cpl_decision nothing = {.stage = CPL_LIT("Gate")};
    cpl_run *run;
    cpl_error err = {0};
    service s;
    NEED(open_ship(&s, GATE, ""));
    NEED((run = latest(&s)) != NULL);
    CHECK(cpl_run_decide(run, &no_stage, NULL, &err) == CPL_INVALID && strcmp(err.path, "stage") == 0);
    CHECK(cpl_run_decide(run, &no_action, NULL, &err) == CPL_INVALID && strcmp(err.path, "action") == 0);
    CHECK(cpl_run_decide(run, &no_approval, NULL, &err) == CPL_STATE);
    CHECK(cpl_run_decide(run, &nothing, NULL, &err) == CPL_INVALID && strcmp(err.path, "action") == 0);
    cpl_run_free(run);
    close_line(&s);
}

/* ---- polling ---- */

#define ID_1 "11111111-1111-1111-1111-111111111111"
#define ID_2 "22222222-2222-2222-2222-222222222222"
#define ID_3 "33333333-3333-3333-3333-333333333333"
#define ON_LIST(id) "{\"pipelineExecutionId\":\"" id "\",\"status\":\"InProgress\"}"
#define STATUS(status) \
    { .body = "{\"pipelineExecution\":{\"status\":\"" status "\"}}" }
#define THROTTLED \
    { .status = 400, .body = "{\"__type\":\"ThrottlingException\",\"message\":\"slow down\"}" }

static cpl_run *open_run(cpl_client *client, const char *id, int64_t interval_ms) {
    const cpl_target target = {CPL_LIT("ship"), cpl_str_of(id)};
    const cpl_run_options options = {.poll_interval_ms = interval_ms};
    cpl_run *run = NULL;
    cpl_error err = {0};
    if (!CHECK(cpl_run_open(&run, client, &target, &options, NULL, &err) == CPL_OK)) printf("  %s\n", err.message);
    return run;
}

TEST(t_run__throttling_slows_down_and_is_no_error) {
    static const fault_step steps[] = {STATUS("InProgress"), THROTTLED};
    static const fault_step passing[] = {STATUS("InProgress"), THROTTLED, THROTTLED, THROTTLED, STATUS("Succeeded")};
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    cpl_client *client = one_attempt(server->url);
    cpl_run *run = open_run(client, ID_1, 2);
    const cpl_wait wait = {.timeout_ms = 400};
    cpl_error err = {0};
    CHECK(cpl_run_wait(run, &wait, &err) == CPL_TIMEOUT);
    CHECK(server->requests >= 3 && server->requests <= 9); /* the pauses double: 10, 30, 70, 150, 310 ms */
    cpl_run_free(run);
    cpl_client_free(client);
    fault_server_stop(server);

    server = fault_server_start(passing, CPL_COUNT(passing));
    client = one_attempt(server->url);
    run = open_run(client, ID_1, 2);
    CHECK(becomes(run, "Succeeded") && server->requests == 5);
    cpl_run_free(run);
    cpl_client_free(client);
    fault_server_stop(server);
}

TEST(t_run__failures_that_pass_are_waited_out_and_others_are_not) {
    static const fault_step steps[] = {STATUS("InProgress"),
                                       {.status = 500},
                                       {.kind = FAULT_RESET},
                                       STATUS("InProgress"),
                                       {.status = 400, .body = "{\"__type\":\"PipelineNotFoundException\"}"}};
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    cpl_client *client = one_attempt(server->url);
    cpl_run *run = open_run(client, ID_1, 10);
    const cpl_wait wait = {.timeout_ms = 5000};
    cpl_error err = {0};
    CHECK(cpl_run_wait(run, &wait, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "PipelineNotFoundException");
    CHECK(server->requests == 5);
    cpl_run_free(run);
    cpl_client_free(client);
    fault_server_stop(server);
}

TEST(t_run__trouble_without_end_is_an_error) {
    static const fault_step steps[] = {STATUS("InProgress"), {.status = 500}};
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    cpl_client *client = one_attempt(server->url);
    cpl_run *run = open_run(client, ID_1, 10);
    cpl_error err = {0};
    CHECK(cpl_run_wait(run, NULL, &err) == CPL_SERVICE && err.http_status == 500);
    CHECK(server->requests == 9);
    cpl_run_free(run);
    cpl_client_free(client);
    fault_server_stop(server);
}

TEST(t_run__an_execution_just_started_may_be_unknown_for_a_while) {
    static const fault_step steps[] = {{.body = "{\"pipelineExecutionId\":\"" ID_1 "\"}"},
                                       {.status = 400, .body = "{\"__type\":\"PipelineExecutionNotFoundException\"}"},
                                       STATUS("Succeeded")};
    const cpl_start what = {.pipeline = CPL_LIT("ship")};
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    cpl_client *client = one_attempt(server->url);
    cpl_run *run = NULL;
    CHECK(cpl_run_start(&run, client, &what, &quick, NULL, NULL) == CPL_OK);
    CHECK(becomes(run, "Succeeded"));
    cpl_run_free(run);
    cpl_client_free(client);
    fault_server_stop(server);
}

TEST(t_run__the_runs_of_a_pipeline_share_their_polls) {
    static const fault_step steps[] = {
        {.body = "{\"pipelineExecutionSummaries\":[" ON_LIST(ID_1) "," ON_LIST(ID_2) "," ON_LIST(ID_3) "]}"}};
    const char *const ids[] = {ID_1, ID_2, ID_3};
    const cpl_wait wait = {.timeout_ms = 300};
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    cpl_client *client = one_attempt(server->url);
    cpl_run *runs[3];
    const cpl_event *event = NULL;
    cpl_error err = {0};
    size_t which, before, lists = 0, states = 0, actions = 0;
    for (size_t i = 0; i < 3; i++) runs[i] = open_run(client, ids[i], 500);
    before = server->requests;
    do {
        CHECK(cpl_runs_next(runs, 3, &wait, &which, &event, &err) == CPL_OK);
    } while (event);
    for (size_t i = before; i < server->requests; i++) {
        lists += strstr(server->texts[i], "ListPipelineExecutions") != NULL;
        states += strstr(server->texts[i], "GetPipelineState") != NULL;
        actions += strstr(server->texts[i], "ListActionExecutions") != NULL;
    }
    CHECK(actions >= 3); /* each its own; the rest is one for all three */
    CHECK(lists <= actions / 3 + 1 && states <= actions / 3 + 1);
    CHECK(before + lists + states + actions == server->requests);
    for (size_t i = 0; i < 3; i++) cpl_run_free(runs[i]);
    cpl_client_free(client);
    fault_server_stop(server);
}

static int stop_soon(void *context) {
    return ++*(int *)context > 3;
}

TEST(t_run__the_tick_ends_a_wait) {
    cpl_run *run;
    int ticks = 0;
    const cpl_wait wait = {.tick = stop_soon, .context = &ticks};
    cpl_error err = {0};
    const cpl_event *event;
    service s;
    NEED(open_ship(&s, GATE, ""));
    NEED((run = latest(&s)) != NULL);
    CHECK(cpl_run_wait(run, &wait, &err) == CPL_CANCELLED);
    tell(run, 500);
    ticks = 0;
    CHECK(cpl_run_next(run, &wait, &event, &err) == CPL_CANCELLED && event == NULL);
    cpl_run_free(run);
    close_line(&s);
}

TEST(t_run__an_allocation_that_fails_leaves_nothing_half_done) {
    cpl_run *run;
    cpl_status status = CPL_NOMEM;
    service s;
    NEED(open_ship(&s, GATE, ""));
    NEED((run = latest(&s)) != NULL);
    for (size_t n = 1; status && n < 20000; n += 11) {
        cpl_reply *reply = NULL;
        cpl_error err = {0};
        cpl_alloc_fail_at(n);
        status = cpl_run_explain(run, NULL, &reply, &err);
        cpl_alloc_fail_at(0);
        CHECK((status == CPL_OK) == (reply != NULL));
        cpl_reply_free(reply);
    }
    CHECK(status == CPL_OK);
    for (size_t n = 1; status != CPL_STATE && n < 20000; n += 11) {
        cpl_run *none = NULL;
        cpl_error err = {0};
        cpl_alloc_fail_at(n);
        status = back(run, "Gate", &none, &err);
        cpl_alloc_fail_at(0);
        CHECK(none == NULL);
    }
    CHECK(status == CPL_STATE);
    CHECK(has(tell(run, 500), "approval Gate/Sign InProgress"));
    cpl_run_free(run);
    close_line(&s);
}

TEST_MAIN
