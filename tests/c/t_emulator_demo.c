/* SPDX-License-Identifier: MIT */
/* The past that an emulator may begin with. */
#include <unistd.h>

#include "../../core/emulator/demo.h"
#include "emu_story.h"

#define NOW_MS 1764500000000
#define DAY_MS ((int64_t)86400000)

static void open_demo(const char *path) {
    cpl_emulator_options options = {.path = cpl_str_of(path), .demo = true};
    cpl_error err = {0};
    if (!CHECK(emu_new(&story, &options, &err) == CPL_OK)) printf("  %s\n", err.message);
}

static char *told(cpl_str region, int64_t now_ms) {
    cpl_error err = {0};
    cpl_buf out;
    cpl_buf_init(&out, 1 << 26);
    if (!CHECK(emu_demo_write(region, (cpl_str){NULL, 0}, now_ms, &out, &err) == CPL_OK)) printf("  %s\n", err.message);
    return cpl_buf_detach(&out);
}

/* How many executions of the pipeline have this status, or are of this type. */
static int executions(const char *pipeline, const char *member, const char *value) {
    int found = 0;
    run("ListPipelineExecutions", "{'pipelineName':'%s','maxResults':100}", pipeline);
    for (const cpl_json *i = cpl_json_first(value_at("pipelineExecutionSummaries")); i; i = cpl_json_next(i))
        found += strcmp(cpl_json_get_cstr(i, member, ""), value) == 0;
    return found;
}

TEST(t_demo__it_is_the_same_every_time) {
    char *one = told((cpl_str){NULL, 0}, NOW_MS), *two = told((cpl_str){NULL, 0}, NOW_MS);
    char *there = told(CPL_LIT("eu-west-1"), NOW_MS);
    CHECK(one && two && strcmp(one, two) == 0);
    CHECK(there && strstr(there, "eu-west-1") && !strstr(there, "us-east-1"));
    free(one);
    free(two);
    free(there);
}

/* On whichever day and at whichever hour it is asked for. */
TEST(t_demo__it_can_be_told_at_any_time) {
    for (int i = 0; i < 14; i++) {
        cpl_emulator_options options = {0};
        char *text_of_it = told((cpl_str){NULL, 0}, NOW_MS + i * (DAY_MS / 2 + DAY_MS / 24));
        options.state = cpl_str_of(text_of_it);
        CHECK(emu_new(&story, &options, NULL) == CPL_OK);
        CHECK_STR(stage_status("site", 2), "InProgress");
        CHECK_STR(stage_status("library", 1), "Failed");
        close_story();
        free(text_of_it);
    }
}

TEST(t_demo__it_has_executions_of_every_outcome) {
    open_demo(NULL);
    CHECK(executions("docs", "status", "Succeeded") > 10 && executions("docs", "status", "Failed") > 0);
    CHECK(executions("docs", "status", "Stopped") == 1);
    CHECK(executions("payments", "status", "Superseded") == 1);
    CHECK(executions("payments", "executionType", "ROLLBACK") > 0);
    CHECK(executions("library", "status", "Failed") > 0);
    CHECK(executions("assets", "status", "InProgress") == 1);
    CHECK(executions("site", "status", "InProgress") == 1);
    run("ListPipelineExecutions", "{'pipelineName':'docs','maxResults':100}");
    CHECK(emu_now_s(story) - number("pipelineExecutionSummaries.0.startTime") < 86400);
    close_story();
}

TEST(t_demo__what_is_wrong_says_why_and_what_waits_for_whom) {
    open_demo(NULL);
    run("GetPipelineState", "{'name':'library'}");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.errorDetails.message"),
              "2 of 40 tests failed: test_round_trip, test_empty_input");
    run("GetPipelineState", "{'name':'payments'}");
    CHECK_STR(text("stageStates.2.inboundTransitionState.disabledReason"), "frozen until the audit is over");
    CHECK(count("stageStates.2.inboundExecutions") == 1);
    run("GetPipelineState", "{'name':'site'}");
    CHECK_STR(run("PutApprovalResult",
                  "{'pipelineName':'site','stageName':'Gate','actionName':'Sign','token':'%s','result':{'summary':'','"
                  "status':'Approved'}}",
                  keep("stageStates.2.actionStates.0.latestExecution.token")),
              "");
    CHECK_STR(stage_status("site", 3), "Succeeded"); /* it goes on from there like any other */
    CHECK_STR(succeed(take_and_acknowledge("Build", "DemoTool")), "");
    CHECK_STR(stage_status("assets", 2), "Succeeded");
    close_story();
}

TEST(t_demo__a_file_that_has_something_keeps_it) {
    char path[] = "/tmp/cpl-demo-XXXXXX";
    int fd = mkstemp(path);
    NEED(fd >= 0);
    close(fd);
    unlink(path);
    open_demo(path);
    CHECK_STR(run("DeletePipeline", "{'name':'docs'}"), "");
    close_story();
    open_demo(path);
    CHECK_STR(run("ListPipelines", "{}"), "");
    CHECK(count("pipelines") == 4);
    close_story();
    unlink(path);
}

TEST(t_demo__it_does_not_go_with_a_state) {
    cpl_emulator_options options = {.demo = true, .state = CPL_LIT("{}")};
    cpl_error err = {0};
    CHECK(emu_new(&story, &options, &err) == CPL_INVALID);
    CHECK_STR(err.path, "demo");
}

TEST(t_demo__it_runs_out_of_memory_cleanly) {
    cpl_status status = CPL_NOMEM;
    size_t failed = 0;
    for (size_t n = 1; status != CPL_OK && n < ((size_t)1 << 32); n += 1 + n / 3) {
        cpl_buf out;
        cpl_buf_init(&out, 1 << 26);
        cpl_alloc_fail_at(n);
        status = emu_demo_write((cpl_str){NULL, 0}, (cpl_str){NULL, 0}, NOW_MS, &out, NULL);
        cpl_alloc_fail_at(0);
        CHECK(status == CPL_OK || status == CPL_NOMEM);
        failed += status == CPL_NOMEM;
        cpl_buf_release(&out);
    }
    CHECK(status == CPL_OK && failed > 5);
}

TEST_MAIN
