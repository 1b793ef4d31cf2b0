/* SPDX-License-Identifier: MIT */
/*
 * Drives an emulator without its server, for the tests of its operations. JSON is written with ' for ". run() answers
 * the error code, "" for success, and keeps the answer's document for text() and number(), whose paths go through
 * arrays by position: "stageStates.1.actionStates.0.latestExecution.status".
 */
#ifndef CPL_EMU_STORY_H
#define CPL_EMU_STORY_H

#include <stdarg.h>

#include "../../core/emulator/emu.h"
#include "test.h"

#define UNUSED __attribute__((unused))

static emu *story;
static cpl_json *answer;
static char error_code[80];
static int64_t story_now = 1700000000000; /* time stands still unless a test turns the clock */

UNUSED static bool open_story(const char *path) {
    cpl_emulator_options options = {.path = cpl_str_of(path)};
    cpl_error err;
    if (emu_new(&story, &options, &err) != CPL_OK) {
        printf("  %s\n", err.message);
        return false;
    }
    emu_set_now(story, story_now);
    return true;
}

UNUSED static void close_story(void) {
    cpl_json_free(answer);
    answer = NULL;
    emu_free(story);
    story = NULL;
}

UNUSED static void turn_clock(int64_t seconds) {
    emu_clock_advance(story, seconds * 1000);
}

/* Every refusal must be one that the model gives the operation. */
static void check_error(const char *operation) {
    const cpl_operation *op = cpl_model_operation(cpl_str_of(operation));
    CPL_COPY(error_code, cpl_json_get_str(answer, "__type"));
    if (!CHECK(op && cpl_model_operation_has_error(op, cpl_str_of(error_code)))) {
        printf("  %s answered %s: %s\n", operation, error_code, cpl_json_get_cstr(answer, "message", ""));
    }
}

UNUSED static const char *run(const char *operation, const char *format, ...) {
    cpl_buf in, out;
    va_list args;
    int length, status;
    char *text;
    cpl_buf_init(&in, 1 << 22);
    cpl_buf_init(&out, 1 << 26);
    va_start(args, format);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    text = cpl_buf_reserve(&in, (size_t)length + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    cpl_buf_commit(&in, (size_t)length);
    for (char *i = text; *i; i++) *i = *i == '\'' ? '"' : *i;
    status = emu_invoke(story, cpl_str_of(operation), cpl_buf_str(&in), &out);
    cpl_json_free(answer);
    answer = NULL;
    error_code[0] = '\0';
    CHECK(out.n == 0 || cpl_json_parse(cpl_buf_str(&out), &answer, NULL) == CPL_OK);
    if (status != 200) check_error(operation);
    cpl_buf_release(&in);
    cpl_buf_release(&out);
    return error_code;
}

UNUSED static const cpl_json *value_at(const char *path) {
    const cpl_json *at = answer;
    for (cpl_str rest = cpl_str_of(path); rest.n > 0;) {
        size_t dot = cpl_str_find(rest, '.');
        char name[128];
        int64_t index;
        CPL_COPY(name, cpl_str_sub(rest, 0, dot));
        at = cpl_str_integer(cpl_str_of(name), &index) && cpl_json_kind_of(at) == CPL_JSON_ARRAY
                 ? cpl_json_at(at, (size_t)index)
                 : cpl_json_get(at, name);
        rest = cpl_str_sub(rest, dot + 1, rest.n);
    }
    return at;
}

UNUSED static const char *text(const char *path) {
    return cpl_json_cstr(value_at(path), "(none)");
}

UNUSED static double number(const char *path) {
    return cpl_json_number(value_at(path), -1);
}

UNUSED static int count(const char *path) {
    return (int)cpl_json_count(value_at(path));
}

UNUSED static const char *message(void) {
    return text("message");
}

/* A copy that outlives the next call; freed with the process. */
UNUSED static const char *keep(const char *path) {
    static char kept[64][256];
    static int next;
    char *to = kept[next++ % 64];
    cpl_copy_text(to, sizeof kept[0], cpl_str_of(text(path)));
    return to;
}

/* ---- pieces of pipelines ---- */

#define ROLE "'roleArn':'arn:aws:iam::123456789012:role/pipeline'"
#define STORE "'artifactStore':{'type':'S3','location':'artifacts'}"
#define S3_SOURCE(name, bucket, key, output)                                              \
    "{'name':'" name                                                                      \
    "','actionTypeId':{'category':'Source','owner':'AWS','provider':'S3','version':'1'}," \
    "'configuration':{'S3Bucket':'" bucket "','S3ObjectKey':'" key                        \
    "','PollForSourceChanges':'false'},"                                                  \
    "'outputArtifacts':[{'name':'" output "'}]}"
#define CUSTOM(name, category, provider, more)                                                            \
    "{'name':'" name "','actionTypeId':{'category':'" category "','owner':'Custom','provider':'" provider \
    "','version':'1'}" more "}"
#define APPROVAL(name) \
    "{'name':'" name "','actionTypeId':{'category':'Approval','owner':'AWS','provider':'Manual','version':'1'}}"
#define STAGE(name, actions) "{'name':'" name "','actions':[" actions "]}"
#define PIPELINE(name, stages) "{'pipeline':{'name':'" name "'," ROLE "," STORE ",'stages':[" stages "]}}"
#define TYPE(category, provider) \
    "'actionTypeId':{'category':'" category "','owner':'Custom','provider':'" provider "','version':'1'}"

UNUSED static void make_type(const char *category, const char *provider, const char *properties) {
    CHECK_STR(run("CreateCustomActionType",
                  "{'category':'%s','provider':'%s','version':'1','configurationProperties':[%s],"
                  "'inputArtifactDetails':{'minimumCount':0,'maximumCount':5},"
                  "'outputArtifactDetails':{'minimumCount':0,'maximumCount':5}}",
                  category, provider, properties),
              "");
}

UNUSED static void put_source(const char *bucket, const char *key, const char *body) {
    CHECK(emu_s3_create_bucket(story, bucket) &&
          emu_s3_put(story, bucket, key, cpl_str_of(body), "application/octet-stream"));
    emu_engine_object_changed(story, bucket, key);
}

/* The status of the latest execution in a stage, and of an action, by position. */
UNUSED static const char *stage_status(const char *pipeline, int stage) {
    char path[64];
    run("GetPipelineState", "{'name':'%s'}", pipeline);
    snprintf(path, sizeof path, "stageStates.%d.latestExecution.status", stage);
    return text(path);
}

UNUSED static const char *action_status(const char *pipeline, int stage, int action) {
    char path[96];
    run("GetPipelineState", "{'name':'%s'}", pipeline);
    snprintf(path, sizeof path, "stageStates.%d.actionStates.%d.latestExecution.status", stage, action);
    return text(path);
}

UNUSED static const char *execution_status(const char *pipeline, const char *id) {
    run("GetPipelineExecution", "{'pipelineName':'%s','pipelineExecutionId':'%s'}", pipeline, id);
    return text("pipelineExecution.status");
}

UNUSED static const char *start(const char *pipeline) {
    CHECK_STR(run("StartPipelineExecution", "{'name':'%s'}", pipeline), "");
    return keep("pipelineExecutionId");
}

/* ---- jobs ---- */

typedef struct story_job {
    const char *id;
    const char *nonce;
} story_job;

/* Takes one job of the type, delivered and not acknowledged; id "(none)" when there is none. */
UNUSED static story_job take(const char *category, const char *provider) {
    story_job job;
    CHECK_STR(run("PollForJobs", "{'actionTypeId':{'category':'%s','owner':'Custom','provider':'%s','version':'1'}}",
                  category, provider),
              "");
    job.id = keep("jobs.0.id");
    job.nonce = keep("jobs.0.nonce");
    return job;
}

UNUSED static const char *acknowledge(story_job job) {
    return run("AcknowledgeJob", "{'jobId':'%s','nonce':'%s'}", job.id, job.nonce);
}

UNUSED static story_job take_and_acknowledge(const char *category, const char *provider) {
    story_job job = take(category, provider);
    CHECK_STR(acknowledge(job), "");
    return job;
}

UNUSED static const char *succeed(story_job job) {
    return run("PutJobSuccessResult", "{'jobId':'%s'}", job.id);
}

UNUSED static const char *fail_job(story_job job) {
    return run("PutJobFailureResult", "{'jobId':'%s','failureDetails':{'type':'JobFailed','message':'it broke'}}",
               job.id);
}

/* ---- a story most tests begin with: an S3 source and a Build action type of provider Maker ---- */

#define SOURCE STAGE("Source", S3_SOURCE("Fetch", "src", "app.zip", "App"))
#define DO(name, more) CUSTOM(name, "Build", "Maker", more)
#define DEPLOY(configuration)                                                                                  \
    STAGE("Ship",                                                                                              \
          "{'name':'Deploy','actionTypeId':{'category':'Deploy','owner':'AWS','provider':'S3','version':'1'}," \
          "'configuration':{'BucketName':'site'," configuration "},'inputArtifacts':[{'name':'App'}]}")

/* With a Build action type; no source object yet, so the first execution of a pipeline fails at once. */
UNUSED static void begin_empty(void) {
    CHECK(open_story(NULL));
    make_type("Build", "Maker", "");
    CHECK(emu_s3_create_bucket(story, "src"));
}

UNUSED static void begin(const char *pipeline) {
    begin_empty();
    put_source("src", "app.zip", "version one");
    CHECK_STR(run("CreatePipeline", "%s", pipeline), "");
}

UNUSED static story_job next_job(void) {
    return take_and_acknowledge("Build", "Maker");
}

UNUSED static const char *latest_id(const char *pipeline) {
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'%s','maxResults':1}", pipeline), "");
    return keep("pipelineExecutionSummaries.0.pipelineExecutionId");
}

#endif
