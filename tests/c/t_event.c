/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <signal.h>

#include "fault_server.h"
#include "service.h"

/* ---- reading ---- */

static cpl_json *vectors(const char *kind, cpl_json **document) {
    size_t n;
    char *text = test_read_file("tests/vectors/events/cases.json", &n);
    cpl_error err;
    if (!CHECK(text && cpl_json_parse((cpl_str){text, n}, document, &err) == CPL_OK)) *document = NULL;
    free(text);
    return cpl_json_get(*document, kind);
}

static void write_event(const cpl_json *test, cpl_buf *out) {
    cpl_buf_clear(out);
    if (cpl_json_get(test, "text")) {
        cpl_buf_addv(out, cpl_json_get_str(test, "text"));
    } else {
        cpl_json_write(cpl_json_get(test, "event"), out);
    }
}

TEST(t_event__a_malformed_event_is_refused_with_the_path_of_the_fault) {
    cpl_json *document = NULL, *all = vectors("refused", &document);
    cpl_buf text;
    cpl_buf_init(&text, 65536);
    CHECK(cpl_json_count(all) > 10);
    for (cpl_json *test = cpl_json_first(all); test; test = cpl_json_next(test)) {
        cpl_job_event *event = NULL;
        cpl_error err = {0};
        char id[CPL_JOB_ID_SIZE] = "";
        write_event(test, &text);
        if (!CHECK(cpl_job_event_read(&event, cpl_buf_str(&text), &err) == CPL_INVALID)) {
            printf("  %s\n", cpl_json_get_cstr(test, "name", ""));
            cpl_job_event_free(event);
        }
        CHECK_STR(err.path, cpl_json_get_cstr(test, "path", ""));
        if (!CHECK(strstr(err.message, cpl_json_get_cstr(test, "message", "?")))) printf("  %s\n", err.message);
        CHECK(cpl_job_event_id(cpl_buf_str(&text), id) == (cpl_json_get(test, "id") != NULL));
        CHECK_STR(id, cpl_json_get_cstr(test, "id", ""));
    }
    cpl_buf_release(&text);
    cpl_json_free(document);
}

static const char *text_at(const cpl_json *job, const char *path) {
    return cpl_json_cstr(cpl_json_get_path(job, path), "");
}

static void check_read(const cpl_json *test, const cpl_json *job) {
    const cpl_json *in = cpl_json_at(cpl_json_get_path(job, "data.inputArtifacts"), 0);
    const cpl_json *expected = cpl_json_at(cpl_json_get(test, "inputs"), 0);
    CHECK_STR(text_at(job, "id"), text_at(test, "id"));
    CHECK_STR(text_at(job, "accountId"), text_at(test, "account_id"));
    CHECK_STR(text_at(job, "data.actionConfiguration.configuration.FunctionName"), text_at(test, "function_name"));
    CHECK_STR(text_at(job, "data.actionConfiguration.configuration.UserParameters"), text_at(test, "user_parameters"));
    CHECK_STR(text_at(job, "data.artifactCredentials.accessKeyId"), text_at(test, "access_key_id"));
    CHECK_STR(text_at(job, "data.continuationToken"), text_at(test, "continuation_token"));
    CHECK_STR(text_at(job, "data.encryptionKey.id"), text_at(test, "encryption_key"));
    CHECK(cpl_json_count(cpl_json_get_path(job, "data.inputArtifacts")) ==
          cpl_json_count(cpl_json_get(test, "inputs")));
    CHECK_STR(text_at(in, "location.s3Location.objectKey"), text_at(expected, "key"));
    CHECK_STR(text_at(in, "revision"), text_at(expected, "revision"));
}

/* The typed document as a tree again; *secrets counts the sensitive values. */
static void write_typed(const cpl_job_event *event, cpl_buf *out, int *secrets) {
    cpl_cursor c;
    cpl_token token;
    bool comma = false;
    *secrets = 0;
    cpl_buf_clear(out);
    cpl_job_event_data(event, &c);
    while ((token = cpl_cursor_next(&c)) != CPL_TOKEN_END && CHECK(token != CPL_TOKEN_ERROR)) {
        bool ends = token == CPL_TOKEN_OBJECT_END || token == CPL_TOKEN_ARRAY_END;
        if (comma && !ends) cpl_buf_addc(out, ',');
        comma = ends || token == CPL_TOKEN_STRING;
        if (token == CPL_TOKEN_OBJECT) cpl_buf_addc(out, '{');
        if (token == CPL_TOKEN_ARRAY) cpl_buf_addc(out, '[');
        if (token == CPL_TOKEN_OBJECT_END) cpl_buf_addc(out, '}');
        if (token == CPL_TOKEN_ARRAY_END) cpl_buf_addc(out, ']');
        if (token == CPL_TOKEN_KEY || token == CPL_TOKEN_STRING) cpl_json_quote(out, c.text);
        if (token == CPL_TOKEN_KEY) cpl_buf_addc(out, ':');
        if (token == CPL_TOKEN_STRING && c.sensitive) ++*secrets;
    }
    cpl_cursor_release(&c);
}

TEST(t_event__an_event_is_read_whatever_it_lacks) {
    cpl_json *document = NULL, *all = vectors("accepted", &document);
    cpl_buf text, typed;
    cpl_buf_init(&text, 65536);
    cpl_buf_init(&typed, 65536);
    CHECK(cpl_json_count(all) >= 3);
    for (cpl_json *test = cpl_json_first(all); test; test = cpl_json_next(test)) {
        cpl_job_event *event = NULL;
        cpl_json *job = NULL;
        cpl_error err = {0};
        int secrets = 0;
        write_event(test, &text);
        if (!CHECK(cpl_job_event_read(&event, cpl_buf_str(&text), &err) == CPL_OK)) {
            printf("  %s: %s\n", cpl_json_get_cstr(test, "name", ""), err.message);
            continue;
        }
        CHECK(cpl_str_eq(cpl_job_event_text(event), cpl_buf_str(&text)));
        write_typed(event, &typed, &secrets);
        CHECK(cpl_json_parse(cpl_buf_str(&typed), &job, &err) == CPL_OK);
        check_read(test, job);
        CHECK(secrets == (cpl_json_get(test, "access_key_id") ? 3 : 0));
        cpl_json_free(job);
        cpl_job_event_free(event);
    }
    cpl_buf_release(&typed);
    cpl_buf_release(&text);
    cpl_json_free(document);
}

TEST(t_event__events_of_other_projects_are_read) {
    const char *folder = test_suite_path("payloads/job-events");
    struct dirent *entry;
    DIR *dir = folder ? opendir(folder) : NULL;
    int count = 0;
    if (dir == NULL) SKIP("no payloads/job-events in SUITES");
    while ((entry = readdir(dir)) != NULL) {
        char path[1400];
        size_t n;
        cpl_job_event *event = NULL;
        cpl_error err = {0};
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        char *text = test_read_file(path, &n);
        if (!CHECK(text && cpl_job_event_read(&event, (cpl_str){text, n}, &err) == CPL_OK)) {
            printf("  %s: %s\n", entry->d_name, err.message);
        }
        cpl_job_event_free(event);
        free(text);
        count++;
    }
    closedir(dir);
    CHECK(count > 0);
}

TEST(t_event__reading_without_memory_fails_cleanly) {
    cpl_job_event *event = NULL;
    cpl_error err;
    NEED(cpl_job_event_sample(&event, NULL, &err) == CPL_OK);
    for (size_t n = 1; n < 1000; n++) {
        cpl_job_event *again = NULL;
        cpl_status status;
        cpl_alloc_fail_at(n);
        status = cpl_job_event_read(&again, cpl_job_event_text(event), &err);
        size_t made = cpl_alloc_fail_at(0);
        cpl_job_event_free(again);
        if (status == CPL_OK && made < n) break;
        if (!CHECK(status == CPL_NOMEM)) printf("  allocation %zu: %s\n", n, err.message);
        CHECK(n < 999);
    }
    cpl_job_event_free(event);
}

/* ---- samples ---- */

TEST(t_event__a_sample_has_what_was_asked_for) {
    cpl_job_event_options options = {.account_id = CPL_LIT("210987654321"),
                                     .user_parameters = CPL_LIT("say \"hi\""),
                                     .continuation_token = CPL_LIT("t"),
                                     .encryption_key = CPL_LIT("arn:aws:kms:x")};
    cpl_job_event *event = NULL;
    cpl_json *tree = NULL, *job;
    cpl_error err;
    NEED(cpl_job_event_sample(&event, &options, &err) == CPL_OK);
    CHECK(cpl_json_parse(cpl_job_event_text(event), &tree, &err) == CPL_OK);
    job = cpl_json_get(tree, "CodePipeline.job");
    CHECK_STR(text_at(job, "accountId"), "210987654321");
    CHECK_STR(text_at(job, "data.actionConfiguration.configuration.FunctionName"), "my-function");
    CHECK_STR(text_at(job, "data.actionConfiguration.configuration.UserParameters"), "say \"hi\"");
    CHECK_STR(text_at(job, "data.continuationToken"), "t");
    CHECK_STR(text_at(job, "data.encryptionKey.id"), "arn:aws:kms:x");
    CHECK_STR(text_at(job, "data.encryptionKey.type"), "KMS");
    cpl_json_free(tree);
    cpl_job_event_free(event);

    NEED(cpl_job_event_sample(&event, NULL, &err) == CPL_OK);
    CHECK(strstr(cpl_job_event_text(event).p, "UserParameters") == NULL);
    CHECK(strstr(cpl_job_event_text(event).p, "continuationToken") == NULL);
    CHECK(strstr(cpl_job_event_text(event).p, "encryptionKey") == NULL);
    cpl_job_event_free(event);
    options.account_id = CPL_LIT("\377");
    CHECK(cpl_job_event_sample(&event, &options, &err) == CPL_INVALID);
}

/* ---- a job of an event ---- */

/* Polls and acknowledges the one job there is, as Lambda's side of the service would, and turns it into an event. */
static bool take_event(service *s, cpl_buf *out) {
    const cpl_json *job;
    char id[64], nonce[64];
    cpl_json *data;
    const char *poll = "{'actionTypeId':{'category':'Build','owner':'Custom','provider':'Maker','version':'1'}}";
    for (int64_t end = cpl_clock_monotonic_ms() + 5000; cpl_clock_monotonic_ms() < end; usleep(5000)) {
        if (!ask(s, "PollForJobs", "%s", poll)) return false;
        if (part(s, "jobs.0.id")) break;
    }
    if (!CHECK((job = part(s, "jobs.0")) != NULL)) return false;
    CPL_COPY(id, cpl_json_get_str(job, "id"));
    CPL_COPY(nonce, cpl_json_get_str(job, "nonce"));
    data = cpl_json_get(job, "data");
    cpl_json_remove(data, "actionTypeId");
    cpl_json_remove(data, "pipelineContext");
    cpl_buf_clear(out);
    cpl_buf_adds(out, "{\"CodePipeline.job\":{\"accountId\":\"123456789012\",\"id\":");
    cpl_json_quote(out, cpl_str_of(id));
    cpl_buf_adds(out, ",\"data\":");
    cpl_json_write(data, out);
    cpl_buf_adds(out, "}}");
    return ask(s, "AcknowledgeJob", "{'jobId':'%s','nonce':'%s'}", id, nonce);
}

static cpl_job *job_of(cpl_client *client, const cpl_buf *event) {
    cpl_worker_options options = {.work_dir = cpl_str_of(room)};
    cpl_job *job = NULL;
    cpl_error err = {0};
    if (!CHECK(cpl_job_from_event(&job, client, cpl_buf_str(event), &options, &err) == CPL_OK)) {
        printf("  %s\n", err.message);
    }
    return job;
}

TEST(t_event__a_job_of_an_event_fetches_and_sends_artifacts) {
    service s;
    cpl_buf event;
    cpl_job *job;
    const char *folder = NULL;
    cpl_error err = {0};
    cpl_buf_init(&event, 65536);
    NEED(open_line(&s, BUILD("Make", MADE)));
    NEED(take_event(&s, &event));
    NEED((job = job_of(s.client, &event)) != NULL);
    CHECK(cpl_job_action_type(job) == -1);
    CHECK(cpl_job_text(job, CPL_JOB_ID) && cpl_job_text(job, CPL_JOB_NONCE) == NULL);
    CHECK(cpl_job_text(job, CPL_JOB_PIPELINE_NAME) == NULL && cpl_job_text(job, CPL_JOB_USER_PARAMETERS) == NULL);
    CHECK(cpl_job_input_extract(job, CPL_LIT("Code"), CPL_LIT(""), NULL, &folder, &err) == CPL_OK);
    CHECK(cpl_job_output_write(job, CPL_LIT("Made"), CPL_LIT("bytes"), &err) == CPL_OK);
    if (!CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_STATE);
    cpl_job_free(job);
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_buf_release(&event);
    close_line(&s);
}

TEST(t_event__a_continuation_that_comes_early_goes_back_with_its_token) {
    service s;
    cpl_buf event;
    cpl_job *job;
    bool put_off = true;
    cpl_error err = {0};
    cpl_buf_init(&event, 65536);
    NEED(open_line(&s, BUILD("Make", READS)));
    NEED(take_event(&s, &event));
    NEED((job = job_of(s.client, &event)) != NULL);
    CHECK(cpl_job_put_off(job, &put_off, NULL, &err) == CPL_OK && !put_off);
    CHECK(cpl_job_later(job, CPL_LIT("{\"n\":1}"), 3600, NULL, NULL, &err) == CPL_OK);
    cpl_job_free(job);

    NEED(take_event(&s, &event));
    NEED((job = job_of(s.client, &event)) != NULL);
    CHECK(cpl_job_put_off(job, &put_off, NULL, &err) == CPL_OK && put_off && cpl_job_answered(job));
    CHECK(cpl_job_put_off(job, &put_off, NULL, &err) == CPL_STATE && !put_off);
    cpl_job_free(job);

    NEED(take_event(&s, &event));
    NEED((job = job_of(s.client, &event)) != NULL);
    CHECK_STR(cpl_job_text(job, CPL_JOB_STATE), "{\"n\":1}");
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK);
    cpl_job_free(job);
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_buf_release(&event);
    close_line(&s);
}

/* ---- its time ---- */

TEST(t_event__a_guard_reports_the_job_failed_while_its_thread_is_busy) {
    service s;
    cpl_buf event;
    cpl_job *job;
    cpl_error err = {0};
    cpl_buf_init(&event, 65536);
    NEED(open_line(&s, BUILD("Make", MADE)));
    NEED(take_event(&s, &event));
    NEED((job = job_of(s.client, &event)) != NULL);
    CHECK(cpl_job_guard(job, 30, &err) == CPL_OK);
    CHECK(cpl_job_guard(job, 30, &err) == CPL_STATE);
    CHECK(stage_becomes(&s, "Failed")); /* this thread does nothing for the job */
    CHECK(strstr(text_of(&s, "stageStates.1.actionStates.0.latestExecution.errorDetails.message"), "nearly up"));
    CHECK(cpl_job_expired(job));
    CHECK(cpl_job_output_write(job, CPL_LIT("Made"), CPL_LIT("bytes"), &err) == CPL_STATE);
    CHECK(strstr(err.message, "reported failed"));
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_STATE && cpl_job_answered(job));
    cpl_job_free(job);
    cpl_buf_release(&event);
    close_line(&s);
}

TEST(t_event__a_guard_keeps_still_once_the_job_is_answered) {
    service s;
    cpl_buf event;
    cpl_job *job;
    cpl_error err = {0};
    cpl_buf_init(&event, 65536);
    NEED(open_line(&s, BUILD("Make", READS)));
    NEED(take_event(&s, &event));
    NEED((job = job_of(s.client, &event)) != NULL);
    CHECK(cpl_job_guard(job, 60000, &err) == CPL_OK);
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK);
    CHECK(!cpl_job_expired(job) && cpl_job_answered(job));
    cpl_job_free(job); /* does not wait a minute */
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_buf_release(&event);
    close_line(&s);
}

/* A job of a sample event, with a service that answers as told. */
static cpl_job *sample_job(cpl_client *client) {
    cpl_job_event *event = NULL;
    cpl_job *job = NULL;
    cpl_error err = {0};
    CHECK(cpl_job_event_sample(&event, &(cpl_job_event_options){.id = CPL_LIT("11111111-abcd-1111-abcd-111111abcdef")},
                               &err) == CPL_OK);
    CHECK(cpl_job_from_event(&job, client, cpl_job_event_text(event), NULL, &err) == CPL_OK);
    cpl_job_event_free(event);
    return job;
}

static cpl_client *client_at(const char *url) {
    cpl_client_options options = {.region = CPL_LIT("us-east-1"),
                                  .access_key_id = CPL_LIT("AKID"),
                                  .secret_access_key = CPL_LIT("secret"),
                                  .endpoint_url = cpl_str_of(url),
                                  .max_attempts = 1};
    cpl_client *client = NULL;
    cpl_error err = {0};
    CHECK(cpl_client_new(&client, &options, &err) == CPL_OK);
    return client;
}

TEST(t_event__a_result_whose_answer_is_lost_is_sent_again_and_once_accepted) {
    static const fault_step steps[] = {{.kind = FAULT_RESET}, {.kind = FAULT_ANSWER}};
    fault_server *server = fault_server_start(steps, 2);
    cpl_client *client = client_at(fault_server_url(server));
    cpl_error err = {0};
    cpl_job *job = sample_job(client);
    NEED(job);
    CHECK(cpl_job_guard(job, 60000, &err) == CPL_OK);
    CHECK(cpl_job_later(job, CPL_LIT("1"), 0, NULL, NULL, &err) == CPL_OK);
    CHECK(fault_server_requests(server) == 2);
    cpl_job_free(job);
    CHECK(fault_server_requests(server) == 2);
    cpl_client_free(client);
    fault_server_stop(server);
}

TEST(t_event__a_guard_that_cannot_report_says_so) {
    static const fault_step steps[] = {{.kind = FAULT_CLOSE}};
    fault_server *server = fault_server_start(steps, 1);
    cpl_client *client = client_at(fault_server_url(server));
    cpl_error err = {0};
    cpl_job *job = sample_job(client);
    NEED(job);
    CHECK(cpl_job_guard(job, 1, &err) == CPL_OK);
    while (!cpl_job_expired(job)) usleep(1000);
    CHECK(cpl_job_later(job, CPL_LIT("1"), 0, NULL, NULL, &err) == CPL_STATE && !cpl_job_answered(job));
    CHECK(strstr(err.message, "could not be reported"));
    cpl_job_free(job);
    cpl_client_free(client);
    fault_server_stop(server);
}

TEST(t_event__a_job_needs_no_guard_and_frees_one_that_never_fired) {
    cpl_client *client = client_at("http://127.0.0.1:9");
    cpl_error err = {0};
    cpl_job *job = sample_job(client);
    NEED(job);
    CHECK(cpl_job_guard(job, 3600000, &err) == CPL_OK);
    cpl_job_free(job);
    cpl_job_free(sample_job(client));
    cpl_client_free(client);
}

TEST(t_event__a_rehearsed_job_needs_nobody) {
    cpl_client *client = client_at("http://127.0.0.1:9");
    cpl_result refused = {.output_variables = CPL_LIT("{\"not a name\":\"x\"}")};
    cpl_error err = {0};
    const char *path = NULL;
    cpl_job *job = sample_job(client);
    NEED(job);
    cpl_job_rehearse(job, NULL);
    CHECK(cpl_job_input_path(job, CPL_LIT(""), NULL, &path, &err) == CPL_INVALID);
    CHECK(cpl_job_rehearse_input(job, CPL_LIT("other"), CPL_LIT("core"), NULL, &err) == CPL_INVALID);
    CHECK(cpl_job_rehearse_input(job, CPL_LIT(""), CPL_LIT("no-such-file"), NULL, &err) == CPL_IO);
    CHECK(cpl_job_rehearse_input(job, CPL_LIT(""), CPL_LIT("Makefile"), NULL, &err) == CPL_OK);
    CHECK(cpl_job_rehearse_input(job, CPL_LIT("input-artifact"), CPL_LIT("examples"), NULL, &err) == CPL_OK);
    CHECK(cpl_job_input_extract(job, CPL_LIT(""), CPL_LIT(""), NULL, &path, &err) == CPL_OK);
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_INVALID); /* the output is missing */
    CHECK(cpl_job_rehearsed_output(job, CPL_LIT("output-artifact")) == NULL);
    CHECK(cpl_job_output_write(job, CPL_LIT(""), CPL_LIT("made"), &err) == CPL_OK);
    CHECK(cpl_job_rehearsed_output(job, CPL_LIT("output-artifact")) != NULL);
    CHECK(cpl_job_succeed(job, &refused, NULL, &err) == CPL_INVALID && cpl_job_rehearsed_answer(job).n == 0);
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK && cpl_job_answered(job));
    CHECK(cpl_str_is(cpl_job_rehearsed_answer(job), "{\"jobId\":\"11111111-abcd-1111-abcd-111111abcdef\"}"));
    CHECK(cpl_job_fail(job, CPL_LIT(""), CPL_LIT("late"), CPL_LIT(""), NULL, &err) == CPL_STATE);
    cpl_job_free(job);
    cpl_client_free(client);
}

TEST(t_event__a_rehearsed_job_has_a_clock_that_is_turned) {
    cpl_client *client = client_at("http://127.0.0.1:9");
    const cpl_rehearsal how = {.limit_ms = 60000, .cancel_ms = 20000};
    const cpl_wait wait = {.timeout_ms = 15000};
    cpl_error err = {0};
    bool cancelled = true;
    cpl_job *job = sample_job(client);
    NEED(job);
    CHECK(cpl_job_remaining_ms(job) == -1);
    cpl_job_rehearse(job, &how);
    CHECK(cpl_job_remaining_ms(job) == 60000 && !cpl_job_cancelled(job));
    CHECK(cpl_job_wait_cancelled(job, &wait, &cancelled, &err) == CPL_OK && !cancelled);
    CHECK(cpl_job_wait_cancelled(job, &wait, &cancelled, &err) == CPL_OK && cancelled);
    CHECK(cpl_job_rehearsed_time(job) == 20000 && cpl_job_remaining_ms(job) == 40000 && !cpl_job_expired(job));
    cpl_job_rehearse_time(job, 40000);
    CHECK(cpl_job_expired(job) && cpl_job_remaining_ms(job) == 0);
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_STATE && cpl_job_answered(job));
    CHECK(strstr(cpl_job_rehearsed_answer(job).p, "the time limit is nearly up"));
    cpl_job_free(job);

    job = sample_job(client);
    NEED(job);
    cpl_job_rehearse(job, NULL);
    CHECK(cpl_job_wait_cancelled(job, NULL, &cancelled, &err) == CPL_INVALID);
    CHECK(cpl_job_guard(job, 5000, &err) == CPL_OK && cpl_job_remaining_ms(job) == 5000);
    CHECK(cpl_job_later(job, CPL_LIT("1"), 30, NULL, NULL, &err) == CPL_OK);
    CHECK(cpl_str_is(cpl_job_rehearsed_state(job), "1") && cpl_job_rehearsed_delay(job) == 30);
    cpl_job_free(job);
    cpl_client_free(client);
}

TEST(t_event__a_rehearsed_answer_is_checked_as_the_client_would) {
    cpl_client *client = client_at("http://127.0.0.1:9");
    const cpl_result much = {.percent_complete = 200};
    cpl_error err = {0};
    cpl_job *job = sample_job(client);
    NEED(job);
    cpl_job_rehearse(job, NULL);
    CHECK(cpl_job_output_write(job, CPL_LIT(""), CPL_LIT("made"), &err) == CPL_OK);
    CHECK(cpl_job_succeed(job, &much, NULL, &err) == CPL_INVALID);
    CHECK_STR(err.message, "executionDetails.percentComplete: larger than 100");
    CHECK(!cpl_job_answered(job) && cpl_job_outcome(job) == NULL && cpl_job_rehearsed_answer(job).n == 0);
    CHECK(cpl_job_fail(job, CPL_LIT("Nope"), CPL_LIT("it broke"), CPL_LIT(""), NULL, &err) == CPL_INVALID);
    CHECK_STR(err.path, "failureDetails.type");
    CHECK(cpl_job_fail(job, CPL_LIT(""), CPL_LIT("it broke"), CPL_LIT(""), NULL, &err) == CPL_OK);
    CHECK_STR(cpl_job_outcome(job), "failed");
    cpl_job_free(job);
    cpl_client_free(client);
}

TEST_MAIN
