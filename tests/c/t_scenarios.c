/* SPDX-License-Identifier: MIT */
/* Runs the files of tests/scenarios/worker; their README says what the members mean. */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/err.h"
#include "../../core/json.h"
#include "test.h"

#define FOLDER "tests/scenarios/worker"

static cpl_error err;

/* A call that must succeed; its answer as a document, for cpl_json_free(). */
static cpl_json *ask(cpl_client *client, const char *operation, const cpl_json *params) {
    cpl_buf text;
    cpl_reply *reply = NULL;
    cpl_json *answer = NULL;
    cpl_buf_init(&text, 1 << 20);
    cpl_json_write(params, &text);
    if (CHECK(cpl_client_call(client, cpl_str_of(operation), cpl_buf_str(&text), NULL, &reply, &err) == CPL_OK)) {
        CHECK(cpl_json_parse(cpl_reply_text(reply), &answer, &err) == CPL_OK);
    } else {
        printf("  %s: %s: %s\n", operation, err.code, err.message);
    }
    cpl_reply_free(reply);
    cpl_buf_release(&text);
    return answer;
}

static cpl_json *parse(const char *text) {
    cpl_json *json = NULL;
    CHECK(cpl_json_parse(cpl_str_of(text), &json, &err) == CPL_OK);
    return json;
}

static void ask_text(cpl_client *client, const char *operation, const char *params) {
    cpl_json *json = parse(params);
    cpl_json_free(ask(client, operation, json));
    cpl_json_free(json);
}

static cpl_client *client_of(const cpl_emulator *emulator) {
    cpl_client_options options = {.endpoint_url = cpl_str_of(cpl_emulator_url(emulator)),
                                  .s3_endpoint_url = cpl_str_of(cpl_emulator_url(emulator))};
    const char *name, *value;
    cpl_client *client = NULL;
    for (size_t i = 0; cpl_emulator_environ(emulator, i, &name, &value); i++) {
        if (strcmp(name, "AWS_REGION") == 0) options.region = cpl_str_of(value);
        if (strcmp(name, "AWS_ACCESS_KEY_ID") == 0) options.access_key_id = cpl_str_of(value);
        if (strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0) options.secret_access_key = cpl_str_of(value);
    }
    CHECK(cpl_client_new(&client, &options, &err) == CPL_OK);
    return client;
}

static void write_file(const char *folder, const char *name, cpl_str bytes) {
    char path[512];
    FILE *file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "wb");
    CHECK(file != NULL);
    if (file == NULL) return;
    fwrite(bytes.p, 1, bytes.n, file);
    fclose(file);
}

static void upload_source(cpl_client *client, const char *folder) {
    char source[512], archive[512];
    snprintf(source, sizeof source, "%s/source", folder);
    snprintf(archive, sizeof archive, "%s/app.zip", folder);
    mkdir(source, 0700);
    write_file(source, "main.txt", CPL_LIT("hello"));
    CHECK(cpl_pack(cpl_str_of(source), cpl_str_of(archive), NULL, &err) == CPL_OK);
    CHECK(cpl_client_upload(client, cpl_str_of(archive), CPL_LIT("source"), CPL_LIT("app.zip"), NULL, &err) == CPL_OK);
}

static const char action_type[] =
    "{\"category\":\"Build\",\"provider\":\"Builder\",\"version\":\"1\",\"configurationProperties\":[{\"name\":"
    "\"Target\","
    "\"required\":false,\"key\":true,\"secret\":false}],\"inputArtifactDetails\":{\"minimumCount\":1,\"maximumCount\":"
    "1},"
    "\"outputArtifactDetails\":{\"minimumCount\":0,\"maximumCount\":1}}";
static const char pipeline[] =
    "{\"pipeline\":{\"name\":\"p\",\"roleArn\":\"arn:aws:iam::123456789012:role/"
    "pipeline\",\"artifactStore\":{\"type\":\"S3\","
    "\"location\":\"artifacts\"},\"stages\":[{\"name\":\"Source\",\"actions\":[{\"name\":\"Fetch\",\"actionTypeId\":{"
    "\"category\":\"Source\",\"owner\":\"AWS\",\"provider\":\"S3\",\"version\":\"1\"},\"configuration\":{\"S3Bucket\":"
    "\"source\",\"S3ObjectKey\":\"app.zip\",\"PollForSourceChanges\":\"false\"},\"outputArtifacts\":[{\"name\":"
    "\"Source\"}]}]},"
    "{\"name\":\"Make\",\"actions\":[{\"name\":\"Make\",\"actionTypeId\":{\"category\":\"Build\",\"owner\":\"Custom\","
    "\"provider\":\"Builder\",\"version\":\"1\"},\"inputArtifacts\":[{\"name\":\"Source\"}]}]}]}}";

static void prepare(cpl_emulator *emulator, cpl_client *client, const cpl_json *scenario, const char *folder) {
    cpl_json *declaration = parse(pipeline);
    cpl_json *stage = cpl_json_at(cpl_json_get_path(declaration, "pipeline.stages"), 1);
    cpl_json *action = cpl_json_first(cpl_json_get(stage, "actions"));
    cpl_json *outputs = cpl_json_new_array();
    for (cpl_json *i = cpl_json_first(cpl_json_get(scenario, "outputs")); i; i = cpl_json_next(i)) {
        cpl_json *artifact = cpl_json_new_object();
        cpl_json_set_str(artifact, "name", cpl_json_str(i));
        cpl_json_push(outputs, artifact);
    }
    cpl_json_set(action, "outputArtifacts", outputs);
    if (cpl_json_get(scenario, "configuration")) {
        cpl_json_set(action, "configuration", cpl_json_clone(cpl_json_get(scenario, "configuration")));
    }
    CHECK(cpl_emulator_create_bucket(emulator, CPL_LIT("source"), &err) == CPL_OK);
    CHECK(cpl_emulator_create_bucket(emulator, CPL_LIT("artifacts"), &err) == CPL_OK);
    upload_source(client, folder);
    ask_text(client, "CreateCustomActionType", action_type);
    cpl_json_free(ask(client, "CreatePipeline", declaration));
    cpl_json_free(declaration);
}

/* ---- the handler ---- */

static void check_same(const cpl_json *want, cpl_str got) {
    cpl_buf a, b;
    cpl_json *parsed = NULL;
    CHECK(cpl_json_parse(got, &parsed, &err) == CPL_OK);
    cpl_buf_init(&a, 1 << 20);
    cpl_buf_init(&b, 1 << 20);
    cpl_json_write(want, &a);
    cpl_json_write(parsed, &b);
    CHECK_STR(cpl_buf_cstr(&b), cpl_buf_cstr(&a));
    cpl_buf_release(&a);
    cpl_buf_release(&b);
    cpl_json_free(parsed);
}

static void check_input(const cpl_json *step, cpl_job *job) {
    const char *want = cpl_json_get_cstr(step, "input", NULL), *folder;
    char path[1024], *text;
    if (want == NULL) return;
    NEED(cpl_job_input_extract(job, CPL_LIT("Source"), (cpl_str){NULL, 0}, NULL, &folder, &err) == CPL_OK);
    snprintf(path, sizeof path, "%s/main.txt", folder);
    text = test_read_file(path, NULL);
    CHECK_STR(text, want);
    free(text);
}

static void check_job(const cpl_json *step, cpl_job *job) {
    const char *state = NULL;
    cpl_cursor cursor;
    check_input(step, job);
    CHECK(cpl_job_state(job, NULL, &state, &err) == CPL_OK);
    CHECK((state != NULL) == (cpl_json_get(step, "state") != NULL));
    if (state && cpl_json_get(step, "state")) check_same(cpl_json_get(step, "state"), cpl_str_of(state));
    NEED(cpl_job_configuration(job, &cursor, &err) == CPL_OK);
    for (cpl_json *i = cpl_json_first(cpl_json_get(step, "configuration")); i; i = cpl_json_next(i)) {
        bool seen = false;
        while (cpl_cursor_next(&cursor) != CPL_TOKEN_END && !seen) {
            if (cursor.token != CPL_TOKEN_KEY || !cpl_str_eq(cursor.text, cpl_json_key(i))) continue;
            cpl_cursor_next(&cursor);
            seen = cpl_str_eq(cursor.text, cpl_json_str(i));
        }
        CHECK(seen);
    }
    cpl_cursor_release(&cursor);
}

static void make_outputs(const cpl_json *step, cpl_job *job, const char *folder) {
    char path[512];
    for (cpl_json *i = cpl_json_first(cpl_json_get(step, "pack")); i; i = cpl_json_next(i)) {
        snprintf(path, sizeof path, "%s/out.txt", folder);
        write_file(folder, "out.txt", cpl_json_str(i));
        CHECK(cpl_job_output_pack(job, cpl_json_key(i), cpl_str_of(path), NULL, &err) == CPL_OK);
    }
    for (cpl_json *i = cpl_json_first(cpl_json_get(step, "write")); i; i = cpl_json_next(i)) {
        CHECK(cpl_job_output_write(job, cpl_json_key(i), cpl_json_str(i), &err) == CPL_OK);
    }
}

static cpl_result result_of(const cpl_json *from, cpl_buf *variables) {
    cpl_result result = {
        .summary = cpl_json_get_str(from, "summary"),
        .external_execution_id = cpl_json_get_str(from, "external_execution_id"),
        .percent_complete = (int)cpl_json_get_number(from, "percent_complete", 0),
    };
    if (cpl_json_get(from, "output_variables")) {
        cpl_json_write(cpl_json_get(from, "output_variables"), variables);
        result.output_variables = cpl_buf_str(variables);
    }
    return result;
}

/* What both bindings do when a result cannot be sent: the job fails with the reason. */
static void fail_instead(cpl_job *job) {
    cpl_error why = err;
    CHECK(cpl_job_fail(job, cpl_str_of(cpl_failure_type(&why)), cpl_str_of(why.message), (cpl_str){NULL, 0}, NULL,
                       &err) == CPL_OK);
}

static void finish(const cpl_json *step, cpl_job *job) {
    const cpl_json *fail = cpl_json_get(step, "fail"), *later = cpl_json_get(step, "later");
    cpl_buf variables, state;
    cpl_result result;
    cpl_status status;
    cpl_buf_init(&variables, 1 << 20);
    cpl_buf_init(&state, 1 << 20);
    result = result_of(later ? later : cpl_json_get(step, "succeed"), &variables);
    if (cpl_json_get(step, "raise")) {
        status = cpl_job_fail(job, (cpl_str){NULL, 0}, cpl_json_get_str(step, "raise"), (cpl_str){NULL, 0}, NULL, &err);
    } else if (fail) {
        status = cpl_job_fail(job, cpl_json_get_str(fail, "type"), cpl_json_get_str(fail, "message"),
                              cpl_json_get_str(fail, "external_execution_id"), NULL, &err);
    } else if (later) {
        cpl_json_write(cpl_json_get(later, "state"), &state);
        status = cpl_job_later(job, cpl_buf_str(&state), 0, &result, NULL, &err);
    } else {
        status = cpl_job_succeed(job, &result, NULL, &err);
    }
    if (status) fail_instead(job);
    cpl_buf_release(&variables);
    cpl_buf_release(&state);
}

static void serve(cpl_client *client, const cpl_json *scenario, const char *folder) {
    cpl_worker_options options = {.poll_interval_ms = 10, .work_dir = cpl_str_of(folder)};
    cpl_action_type type = {.category = CPL_LIT("Build"), .provider = CPL_LIT("Builder"), .version = CPL_LIT("1")};
    cpl_wait wait = {.timeout_ms = 10000};
    cpl_worker *worker = NULL;
    int index;
    NEED(cpl_worker_new(&worker, client, &options, &err) == CPL_OK);
    CHECK(cpl_worker_add(worker, &type, &index, &err) == CPL_OK);
    for (cpl_json *i = cpl_json_first(cpl_json_get(scenario, "handler")); i; i = cpl_json_next(i)) {
        cpl_job *job = NULL;
        CHECK(cpl_worker_next(worker, &wait, &job, &err) == CPL_OK);
        if (!CHECK(job != NULL)) break;
        check_job(i, job);
        make_outputs(i, job, folder);
        finish(i, job);
        cpl_job_free(job);
    }
    cpl_worker_free(worker);
}

/* ---- what came of it ---- */

static void check_texts(const cpl_json *expect, const cpl_json *action) {
    static const char *const names[] = {"status", "summary", "externalExecutionId"};
    const char *code = cpl_json_get_cstr(expect, "errorCode", NULL),
               *part = cpl_json_get_cstr(expect, "errorContains", NULL);
    const cpl_json *details = cpl_json_get(action, "errorDetails");
    for (size_t i = 0; i < CPL_COUNT(names); i++) {
        const char *want = cpl_json_get_cstr(expect, names[i], NULL);
        if (want) CHECK_STR(cpl_json_get_cstr(action, names[i], NULL), want);
    }
    if (code) CHECK_STR(cpl_json_get_cstr(details, "code", NULL), code);
    if (part) CHECK(strstr(cpl_json_get_cstr(details, "message", ""), part) != NULL);
    CHECK(cpl_json_get_number(expect, "percentComplete", -1) == -1 ||
          cpl_json_get_number(expect, "percentComplete", -1) == cpl_json_get_number(action, "percentComplete", -2));
}

static void check_variables(const cpl_json *want, const cpl_json *details) {
    const cpl_json *got =
        cpl_json_get_path(cpl_json_first(cpl_json_get(details, "actionExecutionDetails")), "output.outputVariables");
    CHECK(cpl_json_count(got) == cpl_json_count(want));
    for (cpl_json *i = cpl_json_first(want); i; i = cpl_json_next(i)) {
        char name[128];
        cpl_copy_text(name, sizeof name, cpl_json_key(i));
        CHECK_STR(cpl_json_get_cstr(got, name, NULL), cpl_json_cstr(i, ""));
    }
}

static void check_expectations(cpl_client *client, const cpl_json *expect) {
    cpl_json *name = parse("{\"name\":\"p\"}"), *which = parse("{\"pipelineName\":\"p\"}");
    cpl_json *state = ask(client, "GetPipelineState", name), *details = ask(client, "ListActionExecutions", which);
    cpl_json *stage = cpl_json_at(cpl_json_get(state, "stageStates"), 1);
    check_texts(expect, cpl_json_get(cpl_json_first(cpl_json_get(stage, "actionStates")), "latestExecution"));
    if (cpl_json_get(expect, "outputVariables")) check_variables(cpl_json_get(expect, "outputVariables"), details);
    cpl_json_free(name);
    cpl_json_free(which);
    cpl_json_free(state);
    cpl_json_free(details);
}

static void run(const cpl_json *scenario) {
    char folder[] = "/tmp/scenario-XXXXXX", command[64];
    cpl_emulator *emulator = NULL;
    cpl_client *client;
    NEED(mkdtemp(folder) != NULL);
    NEED(cpl_emulator_start(&emulator, NULL, &err) == CPL_OK);
    client = client_of(emulator);
    prepare(emulator, client, scenario, folder);
    serve(client, scenario, folder);
    check_expectations(client, cpl_json_get(scenario, "expect"));
    cpl_client_free(client);
    cpl_emulator_stop(emulator);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(system(command) == 0);
}

TEST(t_scenarios__a_worker_in_c_behaves_as_the_files_say) {
    DIR *dir = opendir(FOLDER);
    int seen = 0;
    NEED(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[512], *text;
        cpl_json *scenario = NULL;
        int before = test_failures;
        if (!cpl_str_ends(cpl_str_of(entry->d_name), ".json")) continue;
        snprintf(path, sizeof path, FOLDER "/%s", entry->d_name);
        text = test_read_file(path, NULL);
        if (CHECK(cpl_json_parse(cpl_str_of(text), &scenario, &err) == CPL_OK)) run(scenario);
        if (test_failures > before) printf("  in %s\n", path);
        cpl_json_free(scenario);
        free(text);
        seen++;
    }
    closedir(dir);
    CHECK(seen >= 10);
}

TEST_MAIN
