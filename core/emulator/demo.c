/* SPDX-License-Identifier: MIT */
#include "demo.h"

#include <stdarg.h>

#include "engine.h"
#include "snapshot.h"

/*
 * Whoever looks finds something of each kind: executions that succeeded, failed, were retried, rolled back, stopped,
 * superseded, or go on; an approval that waits; a transition that was closed for a reason. Nothing is written into
 * documents here: every state came about by the operations and by time, like any other.
 */

#define DAYS 28
#define MINUTE_MS ((int64_t)60000)
#define DAY_MS (24 * 60 * MINUTE_MS)
#define SEED 20150709
#define JOBS_MAX 8

/* index.html in a zip, stored. */
static const cpl_str page = CPL_LIT(
    "PK\003\004\024\000\000\000\000\000\000\000!\134\260\213\022C\016\000\000\000\016\000\000\000\012"
    "\000\000\000index.html<h1>demo</h1>\012PK\001\002\024\003\024\000\000\000\000\000\000\000!\134\260"
    "\213\022C\016\000\000\000\016\000\000\000\012\000\000\000\000\000\000\000\000\000\000\000\200\001"
    "\000\000\000\000index.htmlPK\005\006\000\000\000\000\001\000\001\0008\000\000\0006\000\000\000\000"
    "\000");

typedef struct demo {
    emu *e;
    int64_t begin_ms; /* midnight of the first day, UTC */
    cpl_json *answer; /* of the last operation */
    bool good;        /* everything went well so far */
    cpl_error *err;
} demo;

/* ---- asking ---- */

/* The operation must succeed. In the input ' stands for ". */
static void ask(demo *d, const char *operation, const char *format, ...) CPL_PRINTF(3, 4);
static void ask(demo *d, const char *operation, const char *format, ...) {
    char text[4096];
    va_list args;
    cpl_buf out;
    int length, status;
    if (!d->good) return;
    va_start(args, format);
    length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert(length > 0 && (size_t)length < sizeof text);
    for (char *p = text; *p; p++) *p = *p == '\'' ? '"' : *p;
    cpl_buf_init(&out, (size_t)1 << 24);
    status = emu_invoke(d->e, cpl_str_of(operation), (cpl_str){text, (size_t)length}, &out);
    cpl_json_free(d->answer);
    d->answer = NULL;
    d->good = cpl_buf_ok(&out) && (out.n == 0 || cpl_json_parse(cpl_buf_str(&out), &d->answer, d->err) == CPL_OK);
    if (status != 200) {
        d->good = false;
        cpl_fail(d->err, status == 500 ? CPL_NOMEM : CPL_STATE, "the demo's %s: %s", operation,
                 cpl_json_get_cstr(d->answer, "message", "no answer"));
    }
    cpl_buf_release(&out);
}

static void pass(demo *d, int64_t minutes) {
    if (d->good) d->good = emu_clock_turn(d->e, minutes * MINUTE_MS, d->err) == CPL_OK;
}

/* Until that minute of the story; nothing when it is over. */
static void until(demo *d, int64_t minute) {
    int64_t left_ms = d->begin_ms + minute * MINUTE_MS - emu_now_ms(d->e);
    if (d->good && left_ms > 0) d->good = emu_clock_turn(d->e, left_ms, d->err) == CPL_OK;
}

static int chance(demo *d, int sides) {
    unsigned char byte = 0;
    d->good = emu_random(d->e, &byte, 1) && d->good;
    return byte % sides;
}

/* ---- the pipelines ---- */

#define ACTION(name, category, owner, provider, more)                                                        \
    "{'name':'" name "','actionTypeId':{'category':'" category "','owner':'" owner "','provider':'" provider \
    "','version':'1'}" more "}"
#define TOOL(name, category, what)               \
    ACTION(name, category, "Custom", "DemoTool", \
           ",'inputArtifacts':[{'name':'Source'}],'configuration':{'Do':'" what "'}")
#define STAGE(name, actions) "{'name':'" name "','actions':[" actions "]}"
#define SOURCE(key)                                                                         \
    STAGE("Source", ACTION("Fetch", "Source", "AWS", "S3",                                  \
                           ",'configuration':{'S3Bucket':'demo-source','S3ObjectKey':'" key \
                           "','PollForSourceChanges':'false'},'outputArtifacts':[{'name':'Source'}]"))
#define SHIP                                                                       \
    STAGE("Ship", ACTION("Upload", "Deploy", "AWS", "S3",                          \
                         ",'inputArtifacts':[{'name':'Source'}],'configuration':{" \
                         "'BucketName':'demo-live','Extract':'true'}"))
#define GATE                                                             \
    STAGE("Gate", ACTION("Sign", "Approval", "AWS", "Manual",            \
                         ",'configuration':{'CustomData':'look twice','" \
                         "ExternalEntityLink':'https://review.example/1'}"))
#define PIPELINE(name, mode, stages)                                                           \
    "{'pipeline':{'name':'" name                                                               \
    "','roleArn':'arn:aws:iam::%s:role/pipeline','pipelineType':'V2','executionMode'"          \
    ":'" mode                                                                                  \
    "','artifactStore':{'type':'S3','location':'demo-artifacts'},'variables':[{'name':'tag','" \
    "defaultValue':'latest'}],'stages':[" SOURCE(name ".zip") "," stages "]}}"

#define RENDER TOOL("Render", "Build", "render")
#define CHECK_LINKS TOOL("Check", "Test", "check links")

static const struct {
    const char *name, *declaration;
} pipelines[] = {
    {"assets", PIPELINE("assets", "QUEUED", STAGE("Build", TOOL("Shrink", "Build", "shrink images")) "," SHIP)},
    {"docs", PIPELINE("docs", "QUEUED", STAGE("Build", RENDER) "," SHIP)},
    {"library", PIPELINE("library", "QUEUED", STAGE("Test", TOOL("Unit", "Test", "test")))},
    {"payments", PIPELINE("payments", "SUPERSEDED",
                          "{'name':'Verify','actions':[" TOOL("Probe", "Test", "probe") "],'onFailure':{'result':"
                                                                                        "'ROLLBACK'}}," SHIP)},
    {"site",
     PIPELINE("site", "QUEUED",
              STAGE("Build", TOOL("Compile", "Build", "compile") "," TOOL("Test", "Test", "test")) "," GATE "," SHIP)}};

/* From the second week on. */
static const char checked_docs[] = PIPELINE("docs", "QUEUED", STAGE("Build", RENDER "," CHECK_LINKS) "," SHIP);

static void prepare(demo *d) {
    static const char *const buckets[] = {"demo-source", "demo-artifacts", "demo-live"};
    static const char *const categories[] = {"Build", "Test"};
    for (size_t i = 0; i < CPL_COUNT(buckets); i++) d->good = d->good && emu_s3_create_bucket(d->e, buckets[i]);
    d->good = d->good &&
              cpl_json_set_cstr(emu_store_get(emu_store_of(d->e), EMU_BUCKET, "demo-source"), "versioning", "Enabled");
    for (size_t i = 0; i < CPL_COUNT(categories); i++) {
        ask(d, "CreateCustomActionType",
            "{'category':'%s','provider':'DemoTool','version':'1','configurationProperties':[{'name':'Do','required':"
            "true,'key':true,'secret':false}],'inputArtifactDetails':{'minimumCount':1,'maximumCount':1},"
            "'outputArtifactDetails':{'minimumCount':0,'maximumCount':1}}",
            categories[i]);
    }
}

/* ---- an execution ---- */

/* Somebody changed the source. */
static void change(demo *d, const char *pipeline) {
    char key[64];
    snprintf(key, sizeof key, "%s.zip", pipeline);
    d->good = d->good && emu_s3_put(d->e, "demo-source", key, page, "application/zip");
}

static void start(demo *d, const char *pipeline, char id[CPL_UUID_SIZE]) {
    change(d, pipeline);
    ask(d, "StartPipelineExecution", "{'name':'%s'}", pipeline);
    cpl_copy_text(id, CPL_UUID_SIZE, cpl_json_get_str(d->answer, "pipelineExecutionId"));
}

typedef struct offered {
    char id[CPL_UUID_SIZE], action[64], what[64];
} offered;

/* Takes the jobs of one category that wait. */
static size_t take(demo *d, const char *category, offered *to, size_t n) {
    cpl_json *jobs;
    ask(d, "PollForJobs",
        "{'actionTypeId':{'category':'%s','owner':'Custom','provider':'DemoTool','version':'1'},'maxBatchSize':%zu}",
        category, (size_t)JOBS_MAX - n);
    jobs = d->answer;
    d->answer = NULL;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(jobs, "jobs")); i && n < JOBS_MAX; i = cpl_json_next(i), n++) {
        const cpl_json *data = cpl_json_get(i, "data");
        CPL_COPY(to[n].id, cpl_json_get_str(i, "id"));
        CPL_COPY(to[n].action, cpl_json_get_str(cpl_json_get_path(data, "pipelineContext.action"), "name"));
        CPL_COPY(to[n].what, cpl_json_get_str(cpl_json_get_path(data, "actionConfiguration.configuration"), "Do"));
        ask(d, "AcknowledgeJob", "{'jobId':'%s','nonce':'%s'}", to[n].id, cpl_json_get_cstr(i, "nonce", ""));
    }
    cpl_json_free(jobs);
    return n;
}

/* Does all jobs, those that come after them too; the job of the action that fails, if one does, has this to say. */
static void work(demo *d, const char *fails, const char *message) {
    offered jobs[JOBS_MAX];
    size_t n;
    while (d->good && (n = take(d, "Test", jobs, take(d, "Build", jobs, 0))) > 0) {
        for (size_t i = 0; i < n; i++) {
            pass(d, 2 + chance(d, 7));
            if (fails && strcmp(fails, jobs[i].action) == 0) {
                ask(d, "PutJobFailureResult", "{'jobId':'%s','failureDetails':{'type':'JobFailed','message':'%s'}}",
                    jobs[i].id, message);
                fails = NULL;
            } else {
                ask(d, "PutJobSuccessResult",
                    "{'jobId':'%s','executionDetails':{'summary':'%s: done','externalExecutionId':'build-%d',"
                    "'percentComplete':100}}",
                    jobs[i].id, jobs[i].what, 1000 + chance(d, 250));
            }
        }
    }
}

static void decide(demo *d, const char *status, const char *summary) {
    char token[CPL_UUID_SIZE] = "";
    ask(d, "GetPipelineState", "{'name':'site'}");
    for (const cpl_json *i = cpl_json_first(cpl_json_get(d->answer, "stageStates")); i; i = cpl_json_next(i)) {
        const cpl_json *action = cpl_json_first(cpl_json_get(i, "actionStates"));
        if (emu_is(i, "stageName", "Gate"))
            CPL_COPY(token, cpl_json_get_str(cpl_json_get(action, "latestExecution"), "token"));
    }
    ask(d, "PutApprovalResult",
        "{'pipelineName':'site','stageName':'Gate','actionName':'Sign','token':'%s','result':{'status':'%s','summary':"
        "'%s'}}",
        token, status, summary);
    work(d, NULL, NULL);
}

/* ---- days ---- */

static void library_day(demo *d) {
    static const char *const messages[] = {"1 of 40 tests failed: test_unicode",
                                           "3 of 40 tests failed: test_cache, ...", "the runner was out of memory"};
    char id[CPL_UUID_SIZE];
    bool fails = chance(d, 5) == 0;
    start(d, "library", id);
    work(d, fails ? "Unit" : NULL, messages[chance(d, CPL_COUNT(messages))]);
    if (!fails || chance(d, 3) == 0) return; /* or somebody tries once more */
    pass(d, 20 + chance(d, 60));
    ask(d, "RetryStageExecution",
        "{'pipelineName':'library','stageName':'Test','pipelineExecutionId':'%s','retryMode':'FAILED_ACTIONS'}", id);
    work(d, NULL, NULL);
}

static void site_day(demo *d) {
    char id[CPL_UUID_SIZE];
    start(d, "site", id);
    work(d, chance(d, 6) == 0 ? "Test" : NULL, "the browser tests timed out");
    ask(d, "GetPipelineExecution", "{'pipelineName':'site','pipelineExecutionId':'%s'}", id);
    if (!emu_is(cpl_json_get(d->answer, "pipelineExecution"), "status", "InProgress")) return;
    pass(d, 30 + chance(d, 120));
    if (chance(d, 6) == 0) {
        decide(d, "Rejected", "the old logo is still on the page");
    } else {
        decide(d, "Approved", "looks good");
    }
}

static void payments_day(demo *d, int day) {
    char id[CPL_UUID_SIZE];
    start(d, "payments", id);
    work(d, day > 14 ? "Probe" : NULL, "the ledger does not balance"); /* which is rolled back, if there is something */
}

/* Weeks are counted from the first day, so that the story does not depend on when it is told. */
static void any_day(demo *d, int day) {
    int64_t morning = (int64_t)day * 24 * 60;
    int weekday = day % 7;
    char id[CPL_UUID_SIZE];
    if (weekday > 4) return;
    until(d, morning + 9 * 60 + chance(d, 30));
    if (day == 7) ask(d, "UpdatePipeline", checked_docs, emu_account_id(d->e));
    start(d, "docs", id);
    work(d, chance(d, 9) == 0 ? "Render" : NULL, "page 12: no such image: plan.png");
    if (weekday == 1 || weekday == 3) {
        until(d, morning + 10 * 60 + chance(d, 30));
        site_day(d);
    }
    until(d, morning + 14 * 60 + chance(d, 30));
    library_day(d);
    if (weekday == 2) {
        until(d, morning + 16 * 60 + chance(d, 30));
        payments_day(d, day);
    }
}

/* ---- today ---- */

static void last_hours(demo *d, int64_t end) {
    char id[CPL_UUID_SIZE];
    until(d, end - 300);
    start(d, "library", id);
    work(d, "Unit", "2 of 40 tests failed: test_round_trip, test_empty_input");
    until(d, end - 270);
    start(d, "docs", id);
    ask(d, "StopPipelineExecution",
        "{'pipelineName':'docs','pipelineExecutionId':'%s','abandon':true,'reason':'that was the wrong branch'}", id);
    until(d, end - 240);
    start(d, "docs", id);
    work(d, NULL, NULL);
    until(d, end - 200);
    start(d, "site", id);
    work(d, NULL, NULL); /* and waits for somebody */
    until(d, end - 150);
    ask(d, "DisableStageTransition",
        "{'pipelineName':'payments','stageName':'Ship','transitionType':'Inbound','reason':'frozen until the audit is "
        "over'}");
    for (int i = 0; i < 2; i++) {
        until(d, end - 120 + 40 * i);
        start(d, "payments", id);
        work(d, NULL, NULL);
    }
    until(d, end - 4);
    start(d, "assets", id); /* its job waits for a worker */
    until(d, end);
}

static void tell(demo *d, int64_t now_ms) {
    until(d, 8 * 60);
    prepare(d);
    for (size_t i = 0; i < CPL_COUNT(pipelines); i++) {
        change(d, pipelines[i].name);
        ask(d, "CreatePipeline", pipelines[i].declaration, emu_account_id(d->e));
    }
    work(d, NULL, NULL);
    decide(d, "Approved", "looks good");
    for (int day = 0; day < DAYS; day++) any_day(d, day);
    last_hours(d, (now_ms - d->begin_ms) / MINUTE_MS);
    if (d->good) d->good = emu_clock_turn(d->e, now_ms - emu_now_ms(d->e), d->err) == CPL_OK;
}

cpl_status emu_demo_write(cpl_str region, cpl_str account_id, int64_t now_ms, cpl_buf *out, cpl_error *err) {
    cpl_emulator_options options = {.region = region, .account_id = account_id};
    demo d = {.good = true, .err = err};
    cpl_status status = emu_new(&d.e, &options, err);
    if (status) return status;
    cpl_error_clear(err);
    d.begin_ms = now_ms - now_ms % DAY_MS - DAYS * DAY_MS;
    emu_seed(d.e, SEED);
    emu_clock_set(d.e, d.begin_ms, true);
    tell(&d, now_ms);
    emu_clock_freeze(d.e, false);
    if (d.good) emu_snapshot_write(d.e, true, out);
    cpl_json_free(d.answer);
    emu_free(d.e);
    if (d.good) return cpl_buf_status(out, "the demo", err);
    return err && err->status ? err->status : cpl_fail_nomem(err);
}
