/* SPDX-License-Identifier: MIT */
/* What the emulator tells those who look on: which events, in which order, and what stands in them. */
#include "../../core/emulator/feed.h"
#include "emu_story.h"

static cpl_feed *feed;

static void watch(void) {
    feed = emu_feed_read(emu_feed_of(story));
    NEED(feed);
}

static void end_story(void) {
    cpl_feed_free(feed);
    feed = NULL;
    close_story();
}

/* The next event, parsed into answer, so that text() and number() look into it; false: no more now. */
static bool next(void) {
    cpl_str event;
    cpl_json_free(answer);
    answer = NULL;
    return cpl_feed_next(feed, NULL, &event, NULL) == CPL_OK && CHECK(cpl_json_parse(event, &answer, NULL) == CPL_OK);
}

/* "pipeline STARTED, Source STARTED, Source/Fetch STARTED, ...": everything that was not read yet. */
static const char *told(void) {
    static char all[4096];
    size_t n = 0;
    all[0] = '\0';
    while (next()) {
        bool stage = value_at("detail.stage"), action = value_at("detail.action");
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s%s%s %s", n ? ", " : "",
                              stage ? text("detail.stage") : "pipeline", action ? "/" : "",
                              action ? text("detail.action") : "", text("detail.state"));
    }
    return all;
}

/* Reads on to the event of that kind and state. */
static bool find(const char *kind, const char *state) {
    char type[80];
    snprintf(type, sizeof type, "CodePipeline %s Execution State Change", kind);
    while (next()) {
        if (strcmp(text("detail-type"), type) == 0 && strcmp(text("detail.state"), state) == 0) return true;
    }
    printf("  no event %s of a %s\n", state, kind);
    return false;
}

#define MAKE STAGE("Build", DO("Make", ",'inputArtifacts':[{'name':'App'}],'outputArtifacts':[{'name':'Bin'}]"))
#define FETCHED                                                                                          \
    "pipeline STARTED, Source STARTED, Source/Fetch STARTED, Source/Fetch SUCCEEDED, Source SUCCEEDED, " \
    "Build STARTED, Build/Make STARTED"
#define STOP(more) "{'pipelineName':'p','pipelineExecutionId':'%s','reason':'enough'" more "}"

/* ---- the order ---- */

TEST(t_events__of_a_pipeline_that_succeeds) {
    begin(PIPELINE("p", SOURCE "," MAKE));
    watch();
    CHECK_STR(told(), FETCHED);
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(told(), "Build/Make SUCCEEDED, Build SUCCEEDED, pipeline SUCCEEDED");
    CHECK_STR(told(), "");
    end_story();
}

TEST(t_events__of_one_that_fails_and_is_retried) {
    const char *id;
    begin(PIPELINE("p", SOURCE "," MAKE));
    id = latest_id("p");
    CHECK_STR(fail_job(next_job()), "");
    watch();
    CHECK_STR(told(), FETCHED ", Build/Make FAILED, Build FAILED, pipeline FAILED");
    CHECK_STR(
        run("RetryStageExecution",
            "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'%s','retryMode':'FAILED_ACTIONS'}", id),
        "");
    CHECK_STR(told(), "pipeline RESUMED, Build RESUMED, Build/Make STARTED");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(told(), "Build/Make SUCCEEDED, Build SUCCEEDED, pipeline SUCCEEDED");
    end_story();
}

TEST(t_events__of_one_that_is_stopped) {
    const char *id;
    begin(PIPELINE("p", SOURCE "," MAKE));
    watch();
    CHECK_STR(told(), FETCHED);
    id = latest_id("p");
    CHECK_STR(run("StopPipelineExecution", STOP(""), id), "");
    CHECK_STR(told(), "pipeline STOPPING, Build STOPPING");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(told(), "Build/Make SUCCEEDED, Build STOPPED, pipeline STOPPED");
    id = start("p");
    CHECK_STR(told(), FETCHED);
    CHECK_STR(run("StopPipelineExecution", STOP(""), id), "");
    CHECK_STR(told(), "pipeline STOPPING, Build STOPPING");
    CHECK_STR(run("StopPipelineExecution", STOP(",'abandon':true"), id), "");
    CHECK_STR(told(), "Build/Make ABANDONED, Build STOPPED, pipeline STOPPED");
    end_story();
}

TEST(t_events__of_one_that_is_overtaken) {
    begin(PIPELINE("p", SOURCE "," MAKE));
    watch();
    CHECK_STR(told(), FETCHED);
    start("p");
    CHECK_STR(told(),
              "pipeline STARTED, Source STARTED, Source/Fetch STARTED, Source/Fetch SUCCEEDED, "
              "Source SUCCEEDED");
    start("p");
    CHECK_STR(told(),
              "pipeline STARTED, Source STARTED, Source/Fetch STARTED, Source/Fetch SUCCEEDED, "
              "Source SUCCEEDED, pipeline SUPERSEDED");
    end_story();
}

TEST(t_events__of_an_approval) {
    begin(PIPELINE("p", SOURCE "," STAGE("Gate", APPROVAL("Ask"))));
    watch();
    CHECK_STR(told(),
              "pipeline STARTED, Source STARTED, Source/Fetch STARTED, Source/Fetch SUCCEEDED, "
              "Source SUCCEEDED, Gate STARTED, Gate/Ask STARTED");
    run("GetPipelineState", "{'name':'p'}");
    CHECK_STR(run("PutApprovalResult",
                  "{'pipelineName':'p','stageName':'Gate','actionName':'Ask','token':'%s',"
                  "'result':{'status':'Approved','summary':'good'}}",
                  keep("stageStates.1.actionStates.0.latestExecution.token")),
              "");
    CHECK_STR(told(), "Gate/Ask SUCCEEDED, Gate SUCCEEDED, pipeline SUCCEEDED");
    start("p");
    told();
    turn_clock(7 * 24 * 3600 + 1);
    run("ListPipelines", "{}");
    CHECK_STR(told(), "Gate/Ask FAILED, Gate FAILED, pipeline FAILED");
    end_story();
}

#define V2(stages)                                                                                                  \
    "{'pipeline':{'name':'p','pipelineType':'V2','executionMode':'SUPERSEDED'," ROLE "," STORE ",'stages':[" stages \
    "]}}"
#define RULE(value)                                                                                               \
    "'conditions':[{'result':'%s','rules':[{'name':'R','ruleTypeId':{'category':'Rule','owner':'AWS','provider':" \
    "'VariableCheck','version':'1'},'configuration':{'Variable':'" value "','Value':'x','Operator':'EQ'}}]}]"
#define BUILD(conditions) "{'name':'Build'," conditions ",'actions':[" DO("Make", "") "]}"

TEST(t_events__of_a_stage_that_is_skipped) {
    char pipeline[2048];
    snprintf(pipeline, sizeof pipeline, V2(SOURCE "," BUILD("'beforeEntry':{" RULE("y") "}")), "SKIP");
    begin(pipeline);
    watch();
    CHECK_STR(told(),
              "pipeline STARTED, Source STARTED, Source/Fetch STARTED, Source/Fetch SUCCEEDED, "
              "Source SUCCEEDED, Build STARTED, Build SKIPPED, pipeline SUCCEEDED");
    end_story();
}

TEST(t_events__of_a_stage_that_retries_by_itself) {
    begin(V2(SOURCE "," BUILD("'onFailure':{'result':'RETRY'}")));
    CHECK_STR(fail_job(next_job()), "");
    watch();
    CHECK_STR(told(), FETCHED ", Build/Make FAILED, Build RESUMED, Build/Make STARTED");
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(told(), "Build/Make FAILED, Build FAILED, pipeline FAILED");
    end_story();
}

TEST(t_events__of_a_condition_that_is_overridden) {
    char pipeline[2048];
    const char *id;
    snprintf(pipeline, sizeof pipeline, V2(SOURCE "," BUILD("'beforeEntry':{" RULE("y") "}")), "FAIL");
    begin(pipeline);
    id = latest_id("p");
    watch();
    CHECK_STR(told(),
              "pipeline STARTED, Source STARTED, Source/Fetch STARTED, Source/Fetch SUCCEEDED, "
              "Source SUCCEEDED, Build STARTED, Build FAILED, pipeline FAILED");
    CHECK_STR(
        run("OverrideStageCondition",
            "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'%s','conditionType':'BEFORE_ENTRY'}", id),
        "");
    CHECK_STR(told(), "pipeline RESUMED, Build RESUMED, Build/Make STARTED");
    end_story();
}

TEST(t_events__of_parallel_actions_and_of_a_rollback) {
    begin(V2(SOURCE "," STAGE("Build", DO("A", "") "," DO("B", ""))));
    watch();
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(told(),
              "pipeline STARTED, Source STARTED, Source/Fetch STARTED, Source/Fetch SUCCEEDED, "
              "Source SUCCEEDED, Build STARTED, Build/A STARTED, Build/B STARTED, Build/A SUCCEEDED, "
              "Build/B SUCCEEDED, Build SUCCEEDED, pipeline SUCCEEDED");
    CHECK_STR(run("RollbackStage", "{'pipelineName':'p','stageName':'Build','targetPipelineExecutionId':'%s'}",
                  latest_id("p")),
              "");
    NEED(find("Pipeline", "STARTED"));
    CHECK_STR(text("detail.execution-trigger.trigger-type"), "ManualRollback");
    CHECK_STR(told(), "Build STARTED, Build/A STARTED, Build/B STARTED");
    end_story();
}

/* ---- what stands in them ---- */

TEST(t_events__the_envelope_is_that_of_every_service) {
    begin(PIPELINE("p", SOURCE "," MAKE));
    watch();
    NEED(next());
    CHECK_STR(text("version"), "0");
    CHECK(strlen(text("id")) == CPL_UUID_SIZE - 1);
    CHECK_STR(text("detail-type"), "CodePipeline Pipeline Execution State Change");
    CHECK_STR(text("source"), "aws.codepipeline");
    CHECK_STR(text("account"), "123456789012");
    CHECK_STR(text("region"), "us-east-1");
    CHECK_STR(text("resources.0"), "arn:aws:codepipeline:us-east-1:123456789012:p");
    CHECK_STR(text("time"), "2023-11-14T22:13:20Z");
    CHECK_STR(text("detail.start-time"), "2023-11-14T22:13:20.000Z");
    CHECK_STR(text("detail.execution-trigger.trigger-type"), "CreatePipeline");
    CHECK(number("detail.version") == 1);
    CHECK(number("detail.pipeline-execution-attempt") == 1);
    end_story();
}

TEST(t_events__an_action_tells_what_went_in_and_what_came_out) {
    story_job job;
    begin(PIPELINE("p", SOURCE "," MAKE));
    watch();
    NEED(find("Action", "SUCCEEDED"));
    CHECK_STR(text("detail.output-artifacts.0.name"), "App");
    CHECK_STR(text("detail.output-artifacts.0.s3location.bucket"), "artifacts");
    CHECK_STR(text("detail.type.provider"), "S3");
    NEED(find("Action", "STARTED"));
    CHECK_STR(text("detail.input-artifacts.0.name"), "App");
    CHECK(value_at("detail.output-artifacts") == NULL && value_at("detail.execution-result") == NULL);
    CHECK_STR(text("detail.region"), "us-east-1");
    CHECK_STR(text("detail.type.owner"), "Custom");
    CHECK_STR(text("detail.type.category"), "Build");
    CHECK_STR(text("detail.type.version"), "1");
    job = next_job();
    CHECK_STR(run("PutJobSuccessResult",
                  "{'jobId':'%s','executionDetails':{'summary':'all good','externalExecutionId':'x-1'}}", job.id),
              "");
    NEED(find("Action", "SUCCEEDED"));
    CHECK_STR(text("detail.output-artifacts.0.name"), "Bin");
    CHECK_STR(text("detail.execution-result.external-execution-summary"), "all good");
    CHECK_STR(text("detail.execution-result.external-execution-id"), "x-1");
    CHECK(value_at("detail.input-artifacts") == NULL);
    end_story();
}

TEST(t_events__a_failure_tells_its_reason_and_a_retry_its_time) {
    const char *id;
    begin(PIPELINE("p", SOURCE "," MAKE));
    id = latest_id("p");
    CHECK_STR(fail_job(next_job()), "");
    watch();
    NEED(find("Action", "FAILED"));
    CHECK_STR(text("detail.execution-result.error-code"), "JobFailed");
    CHECK_STR(text("detail.execution-result.external-execution-summary"), "it broke");
    turn_clock(60);
    CHECK_STR(
        run("RetryStageExecution",
            "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'%s','retryMode':'FAILED_ACTIONS'}", id),
        "");
    NEED(find("Stage", "RESUMED"));
    CHECK(number("detail.pipeline-execution-attempt") == 2);
    CHECK_STR(text("detail.stage-last-retry-attempt-time"), "2023-11-14T22:14:20.000Z");
    CHECK(value_at("detail.start-time") == NULL);
    CHECK_STR(succeed(next_job()), "");
    NEED(find("Stage", "SUCCEEDED"));
    CHECK_STR(text("detail.start-time"), "2023-11-14T22:13:20.000Z");
    CHECK_STR(text("detail.stage-last-retry-attempt-time"), "2023-11-14T22:14:20.000Z");
    end_story();
}

TEST(t_events__a_stop_tells_its_reason) {
    begin(PIPELINE("p", SOURCE "," MAKE));
    watch();
    CHECK_STR(run("StopPipelineExecution", STOP(""), latest_id("p")), "");
    NEED(find("Pipeline", "STOPPING"));
    CHECK_STR(text("detail.stop-execution-comments"), "enough");
    end_story();
}

TEST(t_events__secrets_of_a_configuration_are_in_none) {
    cpl_str event;
    CHECK(open_story(NULL));
    make_type("Build", "Maker", "{'name':'Key','required':true,'key':false,'secret':true}");
    put_source("src", "app.zip", "version one");
    CHECK_STR(run("CreatePipeline", "%s",
                  PIPELINE("p", SOURCE "," STAGE("Build", DO("Make", ",'configuration':{'Key':'hush'}")))),
              "");
    CHECK_STR(succeed(next_job()), "");
    watch();
    while (cpl_feed_next(feed, NULL, &event, NULL) == CPL_OK) CHECK(strstr(event.p, "hush") == NULL);
    end_story();
}

/* ---- a clock that stands ---- */

TEST(t_clock__nothing_is_due_while_it_is_frozen_unless_it_is_turned) {
    story_job job;
    begin(PIPELINE("p", SOURCE "," MAKE));
    job = take("Build", "Maker");
    emu_clock_freeze(story, true);
    emu_set_now(story, story_now + 61000);
    CHECK_STR(take("Build", "Maker").id, "(none)");
    CHECK(emu_now_ms(story) == story_now);
    turn_clock(61);
    CHECK_STR(take("Build", "Maker").id, job.id);
    emu_clock_freeze(story, false);
    CHECK(emu_now_ms(story) == story_now + 61000);
    emu_set_now(story, story_now + 62000);
    CHECK(emu_now_ms(story) == story_now + 62000);
    CHECK(emu_wall_ms(story) == story_now + 62000);
    close_story();
}

/* ---- the feed ---- */

static void add(emu_feed *to, const char *bytes) {
    emu_feed_add(to, cpl_str_of(bytes));
}

TEST(t_feed__who_reads_too_late_is_told_how_much_is_gone) {
    emu_feed *source = emu_feed_new();
    cpl_feed *slow = emu_feed_read(source);
    cpl_str event;
    cpl_error err;
    char bytes[16];
    for (int i = 0; i < 10005; i++) {
        snprintf(bytes, sizeof bytes, "%d", i);
        add(source, bytes);
    }
    CHECK(cpl_feed_next(slow, NULL, &event, &err) == CPL_TOO_LARGE);
    CHECK(strncmp(err.message, "5 events are gone", 17) == 0);
    CHECK(cpl_feed_next(slow, NULL, &event, &err) == CPL_OK && cpl_str_is(event, "5"));
    cpl_feed_free(slow);
    emu_feed_close(source);
}

TEST(t_feed__an_event_that_finds_no_memory_is_a_gap) {
    emu_feed *source = emu_feed_new();
    cpl_feed *reader = emu_feed_read(source);
    cpl_str event;
    cpl_error err;
    add(source, "first");
    cpl_alloc_fail_at(1);
    add(source, "lost");
    cpl_alloc_fail_at(0);
    add(source, "second");
    CHECK(cpl_feed_next(reader, NULL, &event, &err) == CPL_TOO_LARGE);
    CHECK(cpl_feed_next(reader, NULL, &event, &err) == CPL_OK && cpl_str_is(event, "second"));
    cpl_feed_free(reader);
    emu_feed_close(source);
}

TEST(t_feed__outlives_the_emulator_and_begins_behind_what_was_forgotten) {
    emu_feed *source = emu_feed_new();
    cpl_feed *reader, *later;
    const cpl_wait for_ever = {.tick = NULL}, short_while = {.timeout_ms = 1};
    cpl_str event;
    add(source, "one");
    reader = emu_feed_read(source);
    emu_feed_forget(source);
    later = emu_feed_read(source);
    CHECK(cpl_feed_next(later, &short_while, &event, NULL) == CPL_TIMEOUT && event.p == NULL);
    add(source, "two");
    emu_feed_close(source);
    CHECK(cpl_feed_next(reader, &for_ever, &event, NULL) == CPL_OK && cpl_str_is(event, "one"));
    CHECK(cpl_feed_next(reader, &for_ever, &event, NULL) == CPL_OK && cpl_str_is(event, "two"));
    CHECK(cpl_feed_next(reader, &for_ever, &event, NULL) == CPL_STATE);
    CHECK(cpl_feed_next(later, NULL, &event, NULL) == CPL_OK && cpl_str_is(event, "two"));
    cpl_feed_free(reader);
    cpl_feed_free(later);
}

static int say_stop(void *context) {
    (void)context;
    return 1;
}

TEST(t_feed__a_reader_that_waits_can_be_stopped) {
    emu_feed *source = emu_feed_new();
    cpl_feed *reader = emu_feed_read(source);
    const cpl_wait wait = {.tick = say_stop};
    cpl_str event;
    CHECK(cpl_feed_next(reader, &wait, &event, NULL) == CPL_CANCELLED);
    cpl_feed_free(reader);
    emu_feed_close(source);
}

TEST_MAIN
