/* SPDX-License-Identifier: MIT */
/* The worker with third-party jobs, and with jobs of more than one region. */
#include "../../core/journal.h"
#include "fault_server.h"
#include "service.h"

#define PARTNER "'category':'Test','owner':'ThirdParty','provider':'Partner','version':'1'"
#define RUN(name)                                                  \
    "{'name':'" name "','actionTypeId':{" PARTNER                  \
    "},'configuration':{'Suite':'fast'},'inputArtifacts':[{'name'" \
    ":'Code'}],'runOrder':1}"

static const cpl_action_type partner = {
    .category = CPL_LIT("Test"), .provider = CPL_LIT("Partner"), .version = CPL_LIT("1"), .third_party = true};

static bool open_partner(service *s, const char *actions) {
    return open_idle(s) && put_source(s) &&
           ask(s, "UpdateActionType",
               "{'actionType':{'id':{" PARTNER
               "},'executor':{'type':'JobWorker','configuration':{"
               "'jobWorkerExecutorConfiguration':{'pollingAccounts':['123456789012']}}},"
               "'inputArtifactDetails':{'minimumCount':0,'maximumCount':5},"
               "'outputArtifactDetails':{'minimumCount':0,'maximumCount':5},'properties':[{'name':'Suite',"
               "'optional':false,'key':true,'noEcho':false}]}}") &&
           ask(s, "CreatePipeline",
               "{'pipeline':{'name':'line'," ROLE "," STORE ",'stages':[" SOURCE ",{'name':'Test','actions':[%s]}]}}",
               actions);
}

static cpl_worker *partner_worker(cpl_client *client, const cpl_action_type *type, const char *journal) {
    cpl_worker_options options = {.concurrency = 3, .poll_interval_ms = 10, .work_dir = cpl_str_of(room)};
    cpl_worker *worker = NULL;
    cpl_error err = {0};
    if (journal) options.journal = in_room(journal);
    if (!CHECK(cpl_worker_new(&worker, client, &options, &err) == CPL_OK)) printf("  %s\n", err.message);
    if (!CHECK(cpl_worker_add(worker, type, NULL, &err) == CPL_OK)) printf("  %s\n", err.message);
    return worker;
}

/* The next job; tokens are told as the emulator has them, or as given. */
static cpl_job *next_told(cpl_worker *worker, const char *token, int64_t timeout_ms) {
    int64_t end_ms = cpl_clock_monotonic_ms() + timeout_ms;
    cpl_job *job = NULL;
    while (job == NULL && cpl_clock_monotonic_ms() < end_ms) {
        const char *wanted;
        job = next_within(worker, 100);
        wanted = job ? NULL : cpl_worker_token_wanted(worker);
        if (wanted) {
            char text[128];
            snprintf(text, sizeof text, "emulator-token-%s", wanted);
            CHECK(cpl_worker_give_token(worker, cpl_str_of(wanted), cpl_str_of(token ? token : text), NULL) == CPL_OK);
        }
    }
    return job;
}

TEST(t_third_party_worker__a_job_is_taken_with_its_customers_token_and_continued) {
    service s;
    cpl_job *job;
    cpl_error err = {0};
    const char *path = NULL;
    char token[80];
    cpl_result result = {.output_variables = CPL_LIT("{\"a\":\"b\"}")};
    NEED(open_partner(&s, RUN("Run")));
    cpl_worker *worker = partner_worker(s.client, &partner, NULL);
    CHECK(cpl_worker_token_wanted(worker) == NULL);
    CHECK(next_within(worker, 5000) == NULL); /* comes back at once, for the token */
    CHECK(cpl_worker_token_wanted(worker) && strlen(cpl_worker_token_wanted(worker)) == 36);
    snprintf(token, sizeof token, "emulator-token-%s", cpl_worker_token_wanted(worker));
    CHECK(cpl_worker_give_token(worker, cpl_str_of(cpl_worker_token_wanted(worker)), cpl_str_of(token), &err) ==
          CPL_OK);
    CHECK(cpl_worker_token_wanted(worker) == NULL);
    NEED((job = next_job(worker)) != NULL);
    CHECK_STR(cpl_job_text(job, CPL_JOB_PROVIDER), "Partner");
    CHECK_STR(cpl_job_text(job, CPL_JOB_PIPELINE_NAME), "line");
    CHECK(cpl_job_text(job, CPL_JOB_ACCOUNT_ID) == NULL && cpl_job_text(job, CPL_JOB_NONCE));
    CHECK(cpl_job_input_path(job, CPL_LIT("Code"), NULL, &path, &err) == CPL_OK);
    CHECK(cpl_job_succeed(job, &result, NULL, &err) == CPL_INVALID);
    CHECK_STR(err.path, "outputVariables");
    CHECK(strstr(err.message, "third-party"));
    CHECK_STR(cpl_failure_type(&err), "ConfigurationError");
    if (!CHECK(cpl_job_later(job, CPL_LIT("{\"n\":1}"), 0, NULL, NULL, &err) == CPL_OK)) printf("  %s\n", err.message);
    cpl_job_free(job);
    NEED((job = next_told(worker, NULL, 5000)) != NULL);
    CHECK_STR(cpl_job_text(job, CPL_JOB_STATE), "{\"n\":1}");
    result = (cpl_result){.output_variables = CPL_LIT("{}"), .external_execution_id = CPL_LIT("run-7")};
    if (!CHECK(cpl_job_succeed(job, &result, NULL, &err) == CPL_OK)) printf("  %s\n", err.message);
    cpl_job_free(job);
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_worker_free(worker);
    close_line(&s);
}

TEST(t_third_party_worker__a_token_that_is_wrong_or_missing_leaves_the_job_to_the_service) {
    service s;
    cpl_job *job;
    cpl_error err = {0};
    cpl_wait wait = {.timeout_ms = 2000};
    NEED(open_partner(&s, RUN("Run")));
    cpl_worker *worker = partner_worker(s.client, &partner, NULL);
    CHECK(next_told(worker, "wrong", 300) == NULL);
    CHECK(cpl_worker_next(worker, &wait, &job, &err) == CPL_OK && job == NULL);
    CHECK(cpl_worker_token_wanted(worker) == NULL); /* not again at once */
    CHECK(ask(&s, "GetPipelineState", "{'name':'line'}"));
    CHECK_STR(text_of(&s, "stageStates.1.latestExecution.status"), "InProgress");
    CHECK(cpl_worker_give_token(worker, CPL_LIT("nobody"), CPL_LIT("x"), &err) == CPL_INVALID);
    CHECK_STR(err.path, "clientId");
    cpl_worker_free(worker);
    close_line(&s);
}

/* ---- with a journal ---- */

static bool file_has(const char *name, const char *needle) {
    size_t n = 0, m = strlen(needle);
    char *bytes = test_read_file(in_room(name).p, &n);
    bool found = false;
    for (size_t i = 0; bytes && i + m <= n && !found; i++) found = memcmp(bytes + i, needle, m) == 0;
    free(bytes);
    return found;
}

TEST(t_third_party_worker__what_a_dead_worker_ran_is_reported_with_a_token_the_journal_never_had) {
    service s;
    cpl_job *job;
    cpl_worker *worker;
    NEED(open_partner(&s, RUN("Run")));
    worker = partner_worker(s.client, &partner, "jobs.db");
    NEED((job = next_told(worker, NULL, 5000)) != NULL);
    CHECK(!file_has("jobs.db", "emulator-token") && !file_has("jobs.db-wal", "emulator-token"));
    CHECK(file_has("jobs.db-wal", cpl_job_text(job, CPL_JOB_ID)));
    cpl_job_free(job); /* owed: "gave the job up"; the worker dies before it sends that */
    CHECK(file_has("jobs.db-wal", "PutThirdPartyJobFailureResult"));
    cpl_worker_free(worker);
    worker = partner_worker(s.client, &partner, "jobs.db");
    CHECK(next_told(worker, NULL, 500) == NULL);
    CHECK(stage_becomes(&s, "Failed"));
    CHECK(!file_has("jobs.db", "emulator-token") && !file_has("jobs.db-wal", "emulator-token"));
    cpl_worker_free(worker);
    close_line(&s);
}

/* ---- scripted answers ---- */

#define ONE "11111111-1111-1111-1111-111111111111"
#define OFFERS                                                                                           \
    "{\"jobs\":[{\"clientId\":\"c1\",\"jobId\":\"a\"},{\"jobId\":\"b\"},{\"clientId\":\"c1\",\"jobId\":" \
    "\"c\"},{\"clientId\":\"c1\",\"jobId\":\"d\"}]}"
#define DETAILS(id)                                                         \
    "{\"jobDetails\":{\"id\":\"" id                                         \
    "\",\"nonce\":\"n\",\"data\":{\"actionTypeId\":{\"category\":\"Test\"," \
    "\"owner\":\"ThirdParty\",\"provider\":\"Partner\",\"version\":\"1\"},\"actionConfiguration\":{}}}}"

TEST(t_third_party_worker__one_bad_job_does_not_lose_the_batch) {
    static const fault_step steps[] = {
        {.body = OFFERS},
        {.body = "{\"jobDetails\":{\"id\":\"a\"}}"}, /* makes no sense */
        {.status = 400, .body = "{\"__type\":\"InvalidJobException\"}"},
        {.body = DETAILS("d")},
        {.body = "{\"status\":\"InProgress\"}"},
    };
    cpl_client_options options = {.region = CPL_LIT("us-east-1"),
                                  .access_key_id = CPL_LIT("AKIDEXAMPLE"),
                                  .secret_access_key = CPL_LIT("secret"),
                                  .max_attempts = 1};
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    cpl_client *client = NULL;
    cpl_worker *worker;
    cpl_job *job;
    NEED(open_room());
    options.endpoint_url = cpl_str_of(fault_server_url(server));
    NEED(cpl_client_new(&client, &options, NULL) == CPL_OK);
    worker = partner_worker(client, &partner, NULL);
    NEED((job = next_told(worker, "s3cret", 5000)) != NULL);
    CHECK_STR(cpl_job_text(job, CPL_JOB_ID), "d");
    CHECK(strstr(fault_server_request(server, 1), "\"clientToken\":\"s3cret\"") != NULL);
    CHECK(strstr(fault_server_request(server, 4), "AcknowledgeThirdPartyJob") != NULL);
    cpl_worker_free(worker);
    cpl_job_free(job);
    cpl_client_free(client);
    fault_server_stop(server);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

TEST(t_third_party_worker__options_are_checked) {
    service s;
    cpl_error err = {0};
    cpl_action_type type = partner;
    NEED(open_idle(&s));
    cpl_worker *worker = partner_worker(s.client, &partner, NULL);
    CHECK(cpl_worker_add(worker, &partner, NULL, &err) == CPL_INVALID);
    type.provider = CPL_LIT("Other");
    type.query_key = type.query_value = CPL_LIT("x");
    CHECK(cpl_worker_add(worker, &type, NULL, &err) == CPL_INVALID);
    CHECK_STR(err.path, "query_key");
    cpl_worker_free(worker);
    close_line(&s);
}

/* ---- regions ---- */

TEST(t_third_party_worker__one_worker_serves_two_regions) {
    static const cpl_emulator_options there = {.region = CPL_LIT("eu-west-1")};
    service home, away = {0};
    cpl_client_options options = {.region = CPL_LIT("eu-west-1")};
    cpl_action_type type = maker;
    cpl_worker *worker;
    cpl_error err = {0};
    cpl_job *first, *second;
    NEED(open_line(&home, BUILD("Make", READS)));
    NEED(cpl_emulator_start(&away.emulator, &there, &err) == CPL_OK);
    options.endpoint_url = options.s3_endpoint_url = cpl_str_of(cpl_emulator_url(away.emulator));
    NEED(cpl_client_with(&away.client, home.client, &options, &err) == CPL_OK);
    NEED(ask(&away, "CreateCustomActionType",
             "{'category':'Build','provider':'Maker','version':'1','configurationProperties':[{'name':'Target',"
             "'required':true,'key':true,'secret':false,'queryable':true}],"
             "'inputArtifactDetails':{'minimumCount':0,'maximumCount':5},"
             "'outputArtifactDetails':{'minimumCount':0,'maximumCount':5}}"));
    NEED(put_source(&away));
    NEED(ask(&away, "CreatePipeline",
             "{'pipeline':{'name':'line'," ROLE "," STORE ",'stages':[" SOURCE
             ",{'name':'Build','actions':[" BUILD("Make", READS) "]}]}}"));
    worker = worker_of(home.client, 2);
    type.client = away.client;
    CHECK(cpl_worker_add(worker, &type, NULL, &err) == CPL_OK);
    CHECK(cpl_worker_add(worker, &type, NULL, &err) == CPL_INVALID);
    NEED((first = next_job(worker)) != NULL);
    NEED((second = next_job(worker)) != NULL);
    CHECK(cpl_job_action_type(first) + cpl_job_action_type(second) == 1);
    cpl_worker_free(worker); /* both jobs keep what they need */
    if (!CHECK(cpl_job_succeed(first, NULL, NULL, &err) == CPL_OK)) printf("  %s\n", err.message);
    if (!CHECK(cpl_job_succeed(second, NULL, NULL, &err) == CPL_OK)) printf("  %s\n", err.message);
    cpl_job_free(first);
    cpl_job_free(second);
    CHECK(stage_becomes(&home, "Succeeded"));
    CHECK(stage_becomes(&away, "Succeeded"));
    close_service(&away);
    close_line(&home);
}

TEST(t_third_party_worker__a_result_owed_in_another_region_goes_there_though_nobody_polls_it_any_more) {
    static const fault_step steps[] = {{.body = ""}, {.body = "{\"jobs\":[]}"}};
    cpl_client_options options = {.region = CPL_LIT("us-east-1"),
                                  .access_key_id = CPL_LIT("AKIDEXAMPLE"),
                                  .secret_access_key = CPL_LIT("secret"),
                                  .max_attempts = 1};
    cpl_entry entry = {.id = ONE,
                       .nonce = "1",
                       .type = "x",
                       .region = "eu-west-1",
                       .state = CPL_ENTRY_OWED,
                       .operation = "PutJobSuccessResult",
                       .result = "{\"jobId\":\"" ONE "\"}"};
    cpl_worker_options settings = {.poll_interval_ms = 100000};
    cpl_journal *journal = NULL;
    cpl_client *client = NULL;
    cpl_worker *worker = NULL;
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    bool fresh;
    NEED(open_room());
    entry.taken_ms = cpl_clock_wall_ms();
    NEED(cpl_journal_open(&journal, in_room("jobs.db"), 0, NULL) == CPL_OK);
    CHECK(cpl_journal_take(journal, &entry, &fresh, NULL) == CPL_OK);
    CHECK(cpl_journal_mark(journal, &entry, entry.taken_ms, NULL) == CPL_OK);
    cpl_journal_close(journal);
    options.endpoint_url = cpl_str_of(fault_server_url(server));
    settings.journal = in_room("jobs.db");
    NEED(cpl_client_new(&client, &options, NULL) == CPL_OK);
    NEED(cpl_worker_new(&worker, client, &settings, NULL) == CPL_OK);
    CHECK(cpl_worker_add(worker, &maker, NULL, NULL) == CPL_OK);
    CHECK(next_within(worker, 200) == NULL);
    CHECK(strstr(fault_server_request(server, 0), "/eu-west-1/codepipeline/aws4_request") != NULL);
    CHECK(strstr(fault_server_request(server, 1), "/us-east-1/codepipeline/aws4_request") != NULL);
    cpl_worker_free(worker);
    cpl_client_free(client);
    fault_server_stop(server);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

TEST_MAIN
