/* SPDX-License-Identifier: MIT */
/*
 * Random walks: any operation at any moment, with good and stale ids, nonces and tokens. After every few steps the
 * engine must agree with its documents, and a restart must change nothing that can be seen.
 */
#include <unistd.h>

#include "../../core/emulator/engine.h"
#include "emu_story.h"

#define SHORT SOURCE "," STAGE("Build", DO("A", "") "," DO("D", "")) "," STAGE("Ask", APPROVAL("Ok"))
#define LONG                                                                                       \
    SOURCE "," STAGE("Build", DO("A", "") "," DO("B", "") "," DO("C", ",'runOrder':2")) "," STAGE( \
        "Ask", APPROVAL("Ok")) "," STAGE("Test", DO("T", ""))
#define DECLARED(mode, stages)                                                                                    \
    "{'pipeline':{'name':'p','pipelineType':'V2','executionMode':'" mode "'," ROLE "," STORE ",'stages':[" stages \
    "]}"                                                                                                          \
    "}"
/* Conditions that hold only now and then, by the clock and by a variable. */
#define RULED(name, result, provider, configuration)                        \
    "{'result':'" result "','rules':[{'name':'" name                        \
    "','ruleTypeId':{'category':'Rule','owner':'AWS','provider':'" provider \
    "','version':'1'},'configuration':{" configuration "}}]}"
#define WHEN(member, name, result, cron) \
    "'" member "':{'conditions':[" RULED(name, result, "DeploymentWindow", "'Cron':'" cron "'") "]}"
#define CONDITIONAL(result)                                                      \
    SOURCE ",{'name':'Build','actions':[" DO("A", "") "," DO("B", "") "]," WHEN( \
        "beforeEntry", "Window", "SKIP",                                         \
        "* 0/2 * ? * *") ",'onFailure':{'result':'" result                       \
                         "'}},"                                                  \
                         "{'name':'Ask','actions':[" APPROVAL("Ok") "]," WHEN(   \
                             "beforeEntry", "Even", "FAIL",                      \
                             "0/3,1/3 * * ? * *") "," WHEN("onSuccess", "Odd", "ROLLBACK", "0/2 * * ? * *") "}"
#define REMEMBERED 16
#define NOBODY "00000000-0000-4000-8000-000000000000"

typedef struct walk {
    unsigned seed;
    story_job jobs[REMEMBERED];
    const char *executions[REMEMBERED];
} walk;

static unsigned draw(walk *w, unsigned n) {
    w->seed = w->seed * 1664525u + 1013904223u;
    return (w->seed >> 8) % n;
}

static story_job any_job(walk *w) {
    return w->jobs[draw(w, REMEMBERED)];
}

static const char *any_execution(walk *w) {
    return w->executions[draw(w, REMEMBERED)];
}

/* ---- what can happen ---- */

static void start_one(walk *w) {
    run("StartPipelineExecution", "{'name':'p'}");
    if (error_code[0] == '\0') w->executions[draw(w, REMEMBERED)] = keep("pipelineExecutionId");
}

static void poll(walk *w) {
    story_job job = take("Build", "Maker");
    if (strcmp(job.id, "(none)") != 0) w->jobs[draw(w, REMEMBERED)] = job;
}

static void acknowledge_some(walk *w) {
    story_job job = any_job(w);
    if (draw(w, 8) == 0) job.nonce = any_job(w).nonce;
    acknowledge(job);
}

static void report(walk *w) {
    story_job job = any_job(w);
    unsigned how = draw(w, 8);
    if (how == 0)
        fail_job(job);
    else if (how == 1)
        run("PutJobSuccessResult", "{'jobId':'%s','continuationToken':'later'}", job.id);
    else
        succeed(job);
}

static void stop_some(walk *w) {
    run("StopPipelineExecution", "{'pipelineName':'p','pipelineExecutionId':'%s','abandon':%s}", any_execution(w),
        draw(w, 2) ? "true" : "false");
}

static void retry_some(walk *w) {
    static const char *const stages[] = {"Build", "Ask", "Test", "Source"};
    run("RetryStageExecution", "{'pipelineName':'p','stageName':'%s','pipelineExecutionId':'%s','retryMode':'%s'}",
        stages[draw(w, 4)], any_execution(w), draw(w, 2) ? "ALL_ACTIONS" : "FAILED_ACTIONS");
}

static void roll_back_some(walk *w) {
    static const char *const stages[] = {"Build", "Ask", "Test", "Source"};
    const char *stage = stages[draw(w, 4)], *target = any_execution(w);
    run("ListPipelineExecutions", "{'pipelineName':'p','filter':{'succeededInStage':{'stageName':'%s'}}}", stage);
    if (draw(w, 4) && count("pipelineExecutionSummaries") > 0)
        target = keep("pipelineExecutionSummaries.0.pipelineExecutionId");
    run("RollbackStage", "{'pipelineName':'p','stageName':'%s','targetPipelineExecutionId':'%s'}", stage, target);
    if (error_code[0] == '\0') w->executions[draw(w, REMEMBERED)] = keep("pipelineExecutionId");
}

static void override_some(walk *w) {
    run("OverrideStageCondition",
        "{'pipelineName':'p','stageName':'%s','pipelineExecutionId':'%s','conditionType':'%s'}",
        draw(w, 3) ? "Ask" : "Build", draw(w, 2) ? latest_id("p") : any_execution(w),
        draw(w, 2) ? "BEFORE_ENTRY" : "ON_SUCCESS");
}

static void push_revision(walk *w) {
    run("PutActionRevision",
        "{'pipelineName':'p','stageName':'Source','actionName':'Fetch','actionRevision':{'revisionId':'r',"
        "'revisionChangeId':'c%u','created':1}}",
        draw(w, 50));
    if (error_code[0] == '\0') w->executions[draw(w, REMEMBERED)] = keep("pipelineExecutionId");
}

static void turn_transition(walk *w) {
    run(draw(w, 3) ? "EnableStageTransition" : "DisableStageTransition",
        "{'pipelineName':'p','stageName':'%s','transitionType':'%s','reason':'a walk'}", draw(w, 2) ? "Build" : "Ask",
        draw(w, 3) ? "Inbound" : "Outbound");
}

static void answer_approval(walk *w) {
    const char *token;
    run("GetPipelineState", "{'name':'p'}");
    token = keep("stageStates.2.actionStates.0.latestExecution.token");
    run("PutApprovalResult",
        "{'pipelineName':'p','stageName':'Ask','actionName':'Ok','token':'%s','result':{'status':'%s','summary':''}}",
        strlen(token) == 36 ? token : NOBODY, draw(w, 4) ? "Approved" : "Rejected");
}

static void let_time_pass(walk *w) {
    turn_clock(draw(w, 3) ? draw(w, 100) : draw(w, 200000));
}

static void edit(walk *w) {
    static const char *const versions[] = {DECLARED("SUPERSEDED", LONG),
                                           DECLARED("QUEUED", LONG),
                                           DECLARED("PARALLEL", LONG),
                                           DECLARED("SUPERSEDED", SHORT),
                                           DECLARED("SUPERSEDED", CONDITIONAL("ROLLBACK")),
                                           DECLARED("QUEUED", CONDITIONAL("RETRY")),
                                           DECLARED("SUPERSEDED", CONDITIONAL("SKIP"))};
    if (draw(w, 8) == 0) {
        CHECK_STR(run("UpdatePipeline", "%s", versions[draw(w, CPL_COUNT(versions))]), "");
    }
}

static void begin_again(walk *w) {
    if (draw(w, 60) != 0) return;
    CHECK_STR(run("DeletePipeline", "{'name':'p'}"), "");
    CHECK_STR(run("CreatePipeline", "%s", DECLARED("SUPERSEDED", LONG)), "");
}

static void take_a_step(walk *w) {
    static void (*const steps[])(walk *) = {
        start_one,     poll,      poll,        acknowledge_some, acknowledge_some, report,
        report,        stop_some, retry_some,  turn_transition,  answer_approval,  answer_approval,
        let_time_pass, edit,      begin_again, roll_back_some,   override_some,    push_revision};
    steps[draw(w, CPL_COUNT(steps))](w);
}

/* ---- what must hold ---- */

static int count_running(const cpl_json *execution) {
    int running = 0;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(execution, "actions")); i; i = cpl_json_next(i)) {
        const char *job = cpl_json_get_cstr(i, "jobId", NULL);
        if (!emu_action_running(i)) continue;
        running++;
        if (job) CHECK(!emu_job_over(emu_store_get(emu_store_of(story), EMU_JOB, job)));
    }
    return running;
}

static bool in_a_stage(const cpl_json *execution) {
    return !emu_execution_over(execution) && !cpl_json_get_bool(execution, "waiting", false);
}

/* An execution moves exactly when it has running actions, and is listed as active exactly when it is not over. */
static void check_executions(const emu_line *line) {
    for (size_t i = 0; i < line->executions.n; i++) {
        const cpl_json *execution = line->executions.items[i];
        size_t listed = 0;
        for (size_t j = 0; j < line->active.n; j++) listed += line->active.items[j] == execution;
        CHECK(listed == (emu_execution_over(execution) ? 0 : 1));
        CHECK((count_running(execution) > 0) == in_a_stage(execution));
    }
}

static void check_locks(const emu_line *line) {
    for (size_t i = 0; i < line->active.n; i++) {
        const cpl_json *one = line->active.items[i];
        if (!in_a_stage(one) || emu_is(one, "mode", "PARALLEL")) continue;
        for (size_t j = i + 1; j < line->active.n; j++) {
            const cpl_json *other = line->active.items[j];
            if (in_a_stage(other) && !emu_is(other, "mode", "PARALLEL")) {
                CHECK(!emu_is(one, "stage", EMU_GET(other, "stage")));
            }
        }
    }
}

static void check_all(void) {
    const emu_line *line = emu_line_find(emu_engine_of(story), "p");
    if (!CHECK(line)) return;
    check_executions(line);
    check_locks(line);
}

static void begin_walk(walk *w, const char *path) {
    CHECK(open_story(path));
    make_type("Build", "Maker", "");
    put_source("src", "app.zip", "x");
    CHECK_STR(run("CreatePipeline", "%s", DECLARED("SUPERSEDED", LONG)), "");
    for (size_t i = 0; i < REMEMBERED; i++) {
        w->jobs[i] = (story_job){NOBODY, "none"};
        w->executions[i] = NOBODY;
    }
}

TEST(t_walk__whatever_happens_the_engine_agrees_with_its_documents) {
    for (unsigned seed = 1; seed <= 4 && test_failures == 0; seed++) {
        walk w = {.seed = seed};
        begin_walk(&w, NULL);
        for (int i = 0; i < 1000 && test_failures == 0; i++) {
            take_a_step(&w);
            if (i % 10 == 0) check_all();
        }
        if (test_failures) printf("  seed %u\n", seed);
        close_story();
    }
}

/* ---- restarts ---- */

static char *see_everything(void) {
    cpl_buf seen;
    cpl_buf_init(&seen, 1 << 26);
    run("GetPipelineState", "{'name':'p'}");
    cpl_json_write(answer, &seen);
    run("ListPipelineExecutions", "{'pipelineName':'p'}");
    cpl_json_write(answer, &seen);
    run("ListActionExecutions", "{'pipelineName':'p'}");
    cpl_json_write(answer, &seen);
    run("ListRuleExecutions", "{'pipelineName':'p'}");
    cpl_json_write(answer, &seen);
    return cpl_buf_detach(&seen);
}

static void restart(const char *path) {
    char *before = see_everything(), *after;
    int64_t now = emu_now_ms(story);
    close_story();
    if (!CHECK(open_story(path))) return;
    emu_set_now(story, now);
    after = see_everything();
    CHECK(before && after && strcmp(before, after) == 0);
    cpl_free(before);
    cpl_free(after);
}

TEST(t_walk__a_restart_at_any_moment_changes_nothing) {
    for (unsigned seed = 1; seed <= 3 && test_failures == 0; seed++) {
        char path[] = "/tmp/emulator-walk-XXXXXX";
        walk w = {.seed = seed * 7919};
        int fd = mkstemp(path);
        NEED(fd >= 0);
        close(fd);
        unlink(path);
        begin_walk(&w, path);
        for (int i = 0; i < 200 && test_failures == 0; i++) {
            take_a_step(&w);
            if (i % 20 == 19) restart(path);
        }
        if (test_failures) printf("  seed %u\n", seed * 7919);
        close_story();
        unlink(path);
    }
}

/* ---- no memory ---- */

/* Fails the n-th allocation of one call; the emulator must answer, and go on. Returns whether that many were made. */
static bool fail_nth(const char *operation, const char *input, size_t n) {
    cpl_buf in, out;
    bool reached;
    cpl_buf_init(&in, 1 << 20);
    cpl_buf_init(&out, 1 << 22);
    cpl_buf_adds(&in, input);
    for (char *i = in.p; *i; i++) *i = *i == '\'' ? '"' : *i;
    cpl_alloc_fail_at(n);
    emu_invoke(story, cpl_str_of(operation), cpl_buf_str(&in), &out);
    reached = cpl_alloc_fail_at(0) >= n;
    cpl_buf_release(&in);
    cpl_buf_release(&out);
    CHECK_STR(run("ListPipelines", "{}"), "");
    return reached;
}

TEST(t_walk__any_allocation_may_fail) {
    static const char *const calls[][2] = {
        {"CreatePipeline",
         "{'pipeline':{'name':'q'," ROLE "," STORE ",'stages':[" SOURCE "," STAGE("Ask", APPROVAL("Ok")) "]}}"},
        {"UpdatePipeline", DECLARED("QUEUED", LONG)},
        {"UpdatePipeline", DECLARED("SUPERSEDED", CONDITIONAL("ROLLBACK"))},
        {"StartPipelineExecution", "{'name':'p'}"},
        {"PutActionRevision",
         "{'pipelineName':'p','stageName':'Source','actionName':'Fetch','actionRevision':{"
         "'revisionId':'r','revisionChangeId':'c','created':1}}"},
        {"PutWebhook",
         "{'webhook':{'name':'h','targetPipeline':'p','targetAction':'Fetch','filters':[{'jsonPath':'$.a',"
         "'matchEquals':'{S3Bucket}'}],'authentication':'UNAUTHENTICATED',"
         "'authenticationConfiguration':{}}}"},
        {"UpdateActionType",
         "{'actionType':{'id':{'category':'Test','owner':'ThirdParty','provider':'P','version':'1'},'executor':{'type':"
         "'JobWorker','configuration':{'jobWorkerExecutorConfiguration':{'pollingAccounts':['123456789012']}}},"
         "'inputArtifactDetails':{'minimumCount':0,'maximumCount':1},"
         "'outputArtifactDetails':{'minimumCount':0,'maximumCount':1}}}"},
        {"PollForJobs", "{" TYPE("Build", "Maker") ",'maxBatchSize':9}"},
        {"GetPipelineState", "{'name':'p'}"},
        {"ListActionExecutions", "{'pipelineName':'p'}"},
        {"DeletePipeline", "{'name':'p'}"},
    };
    for (size_t i = 0; i < CPL_COUNT(calls); i++) {
        bool more = true;
        for (size_t n = 1; more; n++) {
            walk w = {.seed = 1};
            begin_walk(&w, NULL);
            more = fail_nth(calls[i][0], calls[i][1], n);
            close_story();
        }
    }
}

TEST(t_walk__any_allocation_may_fail_while_conditions_are_checked) {
    for (int i = 0; i < 2; i++) {
        bool more = true;
        for (size_t n = 1; more; n++) {
            walk w = {.seed = 1};
            begin_walk(&w, NULL);
            CHECK_STR(run("UpdatePipeline", "%s",
                          i == 0 ? DECLARED("SUPERSEDED", CONDITIONAL("SKIP"))
                                 : DECLARED("SUPERSEDED", CONDITIONAL("ROLLBACK"))),
                      "");
            more = fail_nth("StartPipelineExecution", "{'name':'p'}", n);
            close_story();
        }
    }
}

TEST_MAIN
