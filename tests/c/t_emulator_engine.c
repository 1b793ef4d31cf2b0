/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "emu_story.h"

#define V2(mode, name, stages)                                                                      \
    "{'pipeline':{'name':'" name "','pipelineType':'V2','executionMode':'" mode "'," ROLE "," STORE \
    ",'stages':[" stages "]}}"

/* ---- stages and actions ---- */

TEST(t_engine__what_the_emulator_cannot_run_fails_and_says_so) {
    begin(PIPELINE(
        "p",
        SOURCE "," STAGE(
            "Build",
            "{'name':'Compile','actionTypeId':{'category':'Build','owner':'AWS','provider':'CodeBuild','version':'1'},"
            "'configuration':{'ProjectName':'x'},'inputArtifacts':[{'name':'App'}]}")));
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.errorDetails.code"), "NotEmulated");
    CHECK(strstr(text("stageStates.1.actionStates.0.latestExecution.errorDetails.message"), "CodeBuild"));
    close_story();
}

TEST(t_engine__run_orders_follow_each_other_and_equal_ones_run_side_by_side) {
    story_job first, second;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", "") "," DO("B", "") "," DO("C", ",'runOrder':5")) "," STAGE(
                            "Ask", APPROVAL("Ok"))));
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") ",'maxBatchSize':10}"), "");
    CHECK(count("jobs") == 2);
    first = (story_job){keep("jobs.0.id"), keep("jobs.0.nonce")};
    second = (story_job){keep("jobs.1.id"), keep("jobs.1.nonce")};
    acknowledge(first);
    acknowledge(second);
    CHECK_STR(succeed(second), "");
    CHECK_STR(take("Build", "Maker").id, "(none)");
    CHECK_STR(succeed(first), "");
    CHECK_STR(action_status("p", 1, 2), "InProgress");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(stage_status("p", 1), "Succeeded");
    CHECK_STR(stage_status("p", 2), "InProgress");
    close_story();
}

TEST(t_engine__the_others_of_a_group_end_before_the_stage_fails) {
    story_job first, second;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", "") "," DO("B", "") "," DO("C", ",'runOrder':2"))));
    first = next_job();
    second = next_job();
    CHECK_STR(fail_job(first), "");
    CHECK_STR(stage_status("p", 1), "InProgress");
    CHECK_STR(succeed(second), "");
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK_STR(action_status("p", 1, 1), "Succeeded");
    CHECK_STR(action_status("p", 1, 2), "(none)");
    close_story();
}

TEST(t_engine__variables_reach_later_configurations_and_jobs) {
    story_job job;
    const char *id;
    begin_empty();
    put_source("src", "app.zip", "x");
    make_type("Test", "Checker", "{'name':'Text','required':true,'key':true,'secret':false}");
    CHECK_STR(run("CreatePipeline", "%s",
                  PIPELINE("p", SOURCE "," STAGE("Build", DO("A", ",'namespace':'built'") "," CUSTOM(
                                                              "T", "Test", "Checker",
                                                              ",'runOrder':2,'configuration':{'Text':'<#{built.digest}>"
                                                              " in #{codepipeline.PipelineExecutionId}'}")))),
              "");
    id = latest_id("p");
    job = next_job();
    CHECK_STR(run("PutJobSuccessResult", "{'jobId':'%s','outputVariables':{'digest':'d1'}}", job.id), "");
    CHECK_STR(run("PollForJobs", "{" TYPE("Test", "Checker") "}"), "");
    CHECK(strncmp(text("jobs.0.data.actionConfiguration.configuration.Text"), "<d1> in ", 8) == 0);
    CHECK(strcmp(text("jobs.0.data.actionConfiguration.configuration.Text") + 8, id) == 0);
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p'}"), "");
    CHECK(strstr(text("actionExecutionDetails.0.input.configuration.Text"), "#{built.digest}"));
    CHECK(strstr(text("actionExecutionDetails.0.input.resolvedConfiguration.Text"), "<d1>"));
    start("p"); /* the next one does not give the variable */
    CHECK_STR(run("PollForJobs", "{" TYPE("Test", "Checker") "}"), "");
    close_story();
}

TEST(t_engine__a_variable_without_a_value_fails_the_action) {
    begin_empty();
    put_source("src", "app.zip", "x");
    make_type("Test", "Checker", "{'name':'Text','required':true,'key':true,'secret':false}");
    CHECK_STR(
        run("CreatePipeline", "%s",
            PIPELINE("p", SOURCE "," STAGE("Build", DO("A", ",'namespace':'built'") "," CUSTOM(
                                                        "T", "Test", "Checker",
                                                        ",'runOrder':2,'configuration':{'Text':'#{built.digest}'}")))),
        "");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(action_status("p", 1, 1), "Failed");
    CHECK(strstr(text("stageStates.1.actionStates.1.latestExecution.errorDetails.message"), "#{built.digest}"));
    close_story();
}

TEST(t_engine__variables_of_the_pipeline_are_given_at_the_start) {
    const char *id;
    begin_empty();
    put_source("src", "app.zip", "x");
    make_type("Test", "Checker", "{'name':'Text','required':true,'key':true,'secret':false}");
    CHECK_STR(run("CreatePipeline",
                  "{'pipeline':{'name':'p','pipelineType':'V2','variables':[{'name':'tag','defaultValue':'v1'},{'name':"
                  "'who'}]," ROLE "," STORE ",'stages':[" SOURCE
                  "," STAGE("Test", CUSTOM("T", "Test", "Checker",
                                           ",'configuration':{'Text':'#{variables.tag} #{variables.who}'}")) "]}}"),
              "");
    CHECK_STR(stage_status("p", 1), "Failed"); /* nobody gave "who" */
    CHECK_STR(run("StartPipelineExecution", "{'name':'p'}"), "ValidationException");
    CHECK_STR(run("StartPipelineExecution",
                  "{'name':'p','variables':[{'name':'who','value':'me'},{'name':'x','value':'y'}]}"),
              "ValidationException");
    CHECK_STR(run("StartPipelineExecution", "{'name':'p','variables':[{'name':'who','value':'me'}]}"), "");
    id = keep("pipelineExecutionId");
    CHECK_STR(execution_status("p", id), "InProgress");
    CHECK_STR(text("pipelineExecution.variables.0.resolvedValue"), "v1");
    CHECK_STR(text("pipelineExecution.variables.1.resolvedValue"), "me");
    CHECK_STR(run("PollForJobs", "{" TYPE("Test", "Checker") "}"), "");
    CHECK_STR(text("jobs.0.data.actionConfiguration.configuration.Text"), "v1 me");
    close_story();
}

TEST(t_engine__starting_with_the_same_token_starts_once) {
    const char *first;
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
    CHECK_STR(run("StartPipelineExecution", "{'name':'p','clientRequestToken':'t-1'}"), "");
    first = keep("pipelineExecutionId");
    CHECK_STR(run("StartPipelineExecution", "{'name':'p','clientRequestToken':'t-1'}"), "");
    CHECK_STR(text("pipelineExecutionId"), first);
    CHECK_STR(run("StartPipelineExecution", "{'name':'p','clientRequestToken':'t-2'}"), "");
    CHECK(strcmp(text("pipelineExecutionId"), first) != 0);
    CHECK_STR(run("StartPipelineExecution", "{'name':'q'}"), "PipelineNotFoundException");
    close_story();
}

/* ---- executions behind each other ---- */

TEST(t_modes__a_newer_execution_supersedes_one_that_waits) {
    const char *first, *second, *third;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", ""))));
    first = latest_id("p");
    second = start("p");
    CHECK_STR(execution_status("p", second), "InProgress");
    run("GetPipelineState", "{'name':'p'}");
    CHECK_STR(text("stageStates.1.latestExecution.pipelineExecutionId"), first);
    CHECK_STR(text("stageStates.1.inboundExecution.pipelineExecutionId"), second);
    third = start("p");
    CHECK_STR(execution_status("p", second), "Superseded");
    CHECK_STR(execution_status("p", first), "InProgress");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", first), "Succeeded");
    run("GetPipelineState", "{'name':'p'}");
    CHECK_STR(text("stageStates.1.latestExecution.pipelineExecutionId"), third);
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", third), "Succeeded");
    close_story();
}

TEST(t_modes__a_failure_lets_the_next_one_in) {
    const char *first, *second;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", ""))));
    first = latest_id("p");
    second = start("p");
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(execution_status("p", first), "Failed");
    run("GetPipelineState", "{'name':'p'}");
    CHECK_STR(text("stageStates.1.latestExecution.pipelineExecutionId"), second);
    CHECK_STR(text("stageStates.1.latestExecution.status"), "InProgress");
    CHECK_STR(
        run("RetryStageExecution",
            "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'%s','retryMode':'FAILED_ACTIONS'}", first),
        "NotLatestPipelineExecutionException");
    close_story();
}

TEST(t_modes__queued_executions_wait_in_order) {
    const char *ids[3];
    begin(V2("QUEUED", "p", SOURCE "," STAGE("Build", DO("A", ""))));
    ids[0] = latest_id("p");
    ids[1] = start("p");
    ids[2] = start("p");
    for (int i = 0; i < 3; i++) {
        run("GetPipelineState", "{'name':'p'}");
        CHECK_STR(text("stageStates.1.latestExecution.pipelineExecutionId"), ids[i]);
        CHECK(count("stageStates.1.inboundExecutions") == 2 - i);
        CHECK_STR(succeed(next_job()), "");
        CHECK_STR(execution_status("p", ids[i]), "Succeeded");
    }
    close_story();
}

TEST(t_modes__parallel_executions_do_not_wait_and_are_limited) {
    begin(V2("PARALLEL", "p", SOURCE "," STAGE("Build", DO("A", ""))));
    for (int i = 0; i < 49; i++) start("p");
    CHECK_STR(run("StartPipelineExecution", "{'name':'p'}"), "ConcurrentPipelineExecutionsLimitExceededException");
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") ",'maxBatchSize':100}"), "");
    CHECK(count("jobs") == 50);
    close_story();
}

TEST(t_modes__editing_cancels_what_ran_once_its_actions_are_done) {
    const char *first;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", "")) "," STAGE("Ask", APPROVAL("Ok"))));
    first = latest_id("p");
    CHECK_STR(run("UpdatePipeline", "%s", PIPELINE("p", SOURCE "," STAGE("Build", DO("A", "")))), "");
    CHECK_STR(execution_status("p", first), "InProgress");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", first), "Cancelled");
    CHECK(strstr(text("pipelineExecution.statusSummary"), "updated"));
    CHECK_STR(stage_status("p", 1), "Cancelled");
    CHECK_STR(action_status("p", 1, 0), "Succeeded");
    CHECK_STR(
        run("RetryStageExecution",
            "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'%s','retryMode':'ALL_ACTIONS'}", first),
        "StageNotRetryableException");
    close_story();
}

TEST(t_modes__what_ends_in_one_moment_ends_in_the_order_it_began) {
    const char *runs[5];
    begin(V2("PARALLEL", "p",
             SOURCE ",{'name':'Build','actions':[" DO(
                 "A", ",'timeoutInMinutes':5") "],'onFailure':{'result':'RETRY','retryConfiguration':{'retryMode':'ALL_"
                                               "ACTIONS'}}}"));
    runs[0] = latest_id("p");
    for (int i = 1; i < 5; i++) runs[i] = start("p");
    turn_clock(300);
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") ",'maxBatchSize':5}"), "");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5; i++) {
            char path[64];
            snprintf(path, sizeof path, "jobs.%d.data.pipelineContext.pipelineExecutionId", i);
            CHECK_STR(text(path), runs[i]);
        }
        turn_clock(60); /* nobody acknowledged them */
        CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") ",'maxBatchSize':5}"), "");
    }
    close_story();
}

/* ---- transitions ---- */

#define TRANSITION(operation, more) \
    run(operation, "{'pipelineName':'p','stageName':'Build','transitionType':'Inbound'" more "}")

TEST(t_transitions__a_closed_one_holds_executions_until_it_opens) {
    const char *first, *second;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", ""))));
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(TRANSITION("DisableStageTransition", ",'reason':'not now'"), "");
    first = start("p");
    run("GetPipelineState", "{'name':'p'}");
    CHECK(!cpl_json_bool(value_at("stageStates.1.inboundTransitionState.enabled"), true));
    CHECK_STR(text("stageStates.1.inboundTransitionState.disabledReason"), "not now");
    CHECK(number("stageStates.1.inboundTransitionState.lastChangedAt") > 0);
    CHECK_STR(text("stageStates.1.inboundExecution.pipelineExecutionId"), first);
    second = start("p");
    CHECK_STR(execution_status("p", first), "Superseded");
    CHECK_STR(take("Build", "Maker").id, "(none)");
    CHECK_STR(TRANSITION("EnableStageTransition", ""), "");
    run("GetPipelineState", "{'name':'p'}");
    CHECK(cpl_json_bool(value_at("stageStates.1.inboundTransitionState.enabled"), false));
    CHECK(value_at("stageStates.1.inboundTransitionState.disabledReason") == NULL);
    CHECK_STR(text("stageStates.1.latestExecution.pipelineExecutionId"), second);
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", second), "Succeeded");
    close_story();
}

TEST(t_transitions__one_into_a_stage_that_is_removed_holds_nobody) {
    const char *id;
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok")) "," STAGE("Build", DO("A", ""))));
    CHECK_STR(TRANSITION("DisableStageTransition", ",'reason':'not now'"), "");
    id = latest_id("p");
    run("GetPipelineState", "{'name':'p'}");
    CHECK_STR(
        run("PutApprovalResult",
            "{'pipelineName':'p','stageName':'Ask','actionName':'Ok','token':'%s','result':{'summary':'','status':"
            "'Approved'}}",
            keep("stageStates.1.actionStates.0.latestExecution.token")),
        "");
    CHECK_STR(execution_status("p", id), "InProgress");
    CHECK_STR(run("UpdatePipeline", "%s", PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok")))), "");
    CHECK_STR(execution_status("p", id), "Cancelled");
    CHECK_STR(run("UpdatePipeline", "%s",
                  PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok")) "," STAGE("Build", DO("A", "")))),
              "");
    run("GetPipelineState", "{'name':'p'}");
    CHECK(cpl_json_bool(value_at("stageStates.2.inboundTransitionState.enabled"), false));
    close_story();
}

TEST(t_transitions__pipeline_and_stage_must_exist) {
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
    CHECK_STR(TRANSITION("EnableStageTransition", ""), "StageNotFoundException");
    CHECK_STR(
        run("DisableStageTransition", "{'pipelineName':'q','stageName':'Ask','transitionType':'Inbound','reason':'x'}"),
        "PipelineNotFoundException");
    close_story();
}

TEST(t_transitions__outbound_ones_hold_in_front_of_the_next_stage) {
    const char *id;
    begin_empty();
    put_source("src", "app.zip", "x");
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("p", SOURCE "," STAGE("Build", DO("A", "")))), "");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(run("DisableStageTransition",
                  "{'pipelineName':'p','stageName':'Source','transitionType':'Outbound','reason':'x'}"),
              "");
    id = start("p");
    CHECK_STR(take("Build", "Maker").id, "(none)");
    CHECK_STR(run("EnableStageTransition", "{'pipelineName':'p','stageName':'Source','transitionType':'Outbound'}"),
              "");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", id), "Succeeded");
    close_story();
}

/* ---- approvals ---- */

static const char *approve(const char *token, const char *status) {
    return run("PutApprovalResult",
               "{'pipelineName':'p','stageName':'Ask','actionName':'Ok','token':'%s','result':{'status':'%s','summary':"
               "'so be it'}}",
               token, status);
}

static const char *approval_token(void) {
    run("GetPipelineState", "{'name':'p'}");
    return keep("stageStates.1.actionStates.0.latestExecution.token");
}

TEST(t_approvals__approving_lets_the_execution_go_on_and_happens_once) {
    const char *token;
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok")) "," STAGE("Build", DO("A", ""))));
    token = approval_token();
    CHECK(strlen(token) == 36);
    CHECK_STR(approve("00000000-0000-4000-8000-000000000000", "Approved"), "InvalidApprovalTokenException");
    CHECK_STR(approve(token, "Approved"), "");
    CHECK(number("approvedAt") > 0);
    CHECK_STR(action_status("p", 1, 0), "Succeeded");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.summary"), "so be it");
    CHECK(value_at("stageStates.1.actionStates.0.latestExecution.token") == NULL);
    CHECK_STR(stage_status("p", 2), "InProgress");
    CHECK_STR(approve(token, "Rejected"), "ApprovalAlreadyCompletedException");
    close_story();
}

TEST(t_approvals__rejecting_fails_the_stage) {
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok")) "," STAGE("Build", DO("A", ""))));
    CHECK_STR(approve(approval_token(), "Rejected"), "");
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK_STR(stage_status("p", 2), "(none)");
    close_story();
}

TEST(t_approvals__pipeline_stage_and_action_must_exist) {
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
#define PUT(pipeline, stage, action)                                                   \
    run("PutApprovalResult",                                                           \
        "{'pipelineName':'" pipeline "','stageName':'" stage "','actionName':'" action \
        "','token':'00000000-0000-4000-8000-000000000000','result':{'status':'Approved','summary':''}}")
    CHECK_STR(PUT("q", "Ask", "Ok"), "PipelineNotFoundException");
    CHECK_STR(PUT("p", "Other", "Ok"), "StageNotFoundException");
    CHECK_STR(PUT("p", "Ask", "Other"), "ActionNotFoundException");
    close_story();
}

TEST(t_approvals__after_seven_days_they_fail) {
    const char *token;
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
    token = approval_token();
    turn_clock(7 * 24 * 3600 - 1);
    CHECK_STR(action_status("p", 1, 0), "InProgress");
    turn_clock(1);
    CHECK_STR(action_status("p", 1, 0), "Failed");
    CHECK_STR(approve(token, "Approved"), "ApprovalAlreadyCompletedException");
    close_story();
}

/* ---- stopping and retrying ---- */

static const char *stop(const char *id, const char *more) {
    return run("StopPipelineExecution", "{'pipelineName':'p','pipelineExecutionId':'%s','reason':'enough'%s}", id,
               more);
}

static const char *retry(const char *id, const char *mode) {
    return run("RetryStageExecution",
               "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'%s','retryMode':'%s'}", id, mode);
}

TEST(t_stop__waiting_lets_running_actions_end) {
    const char *id;
    story_job job;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", "") "," DO("B", ",'runOrder':2"))));
    id = latest_id("p");
    job = next_job();
    CHECK_STR(stop(id, ""), "");
    CHECK_STR(execution_status("p", id), "Stopping");
    CHECK_STR(stage_status("p", 1), "Stopping");
    CHECK_STR(stop(id, ""), "DuplicatedStopRequestException");
    CHECK_STR(succeed(job), "");
    CHECK_STR(execution_status("p", id), "Stopped");
    CHECK_STR(stage_status("p", 1), "Stopped");
    CHECK_STR(action_status("p", 1, 1), "(none)");
    CHECK_STR(stop(id, ""), "PipelineExecutionNotStoppableException");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK_STR(text("pipelineExecutionSummaries.0.stopTrigger.reason"), "enough");
    CHECK_STR(retry(id, "FAILED_ACTIONS"), ""); /* goes on with what was not started */
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", id), "Succeeded");
    close_story();
}

TEST(t_stop__abandoning_ends_them_and_their_jobs) {
    const char *id;
    story_job job;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", ""))));
    id = latest_id("p");
    job = next_job();
    CHECK_STR(stop(id, ""), "");
    CHECK_STR(stop(id, ",'abandon':true"), "");
    CHECK_STR(execution_status("p", id), "Stopped");
    CHECK_STR(action_status("p", 1, 0), "Abandoned");
    CHECK_STR(succeed(job), "InvalidJobStateException");
    CHECK_STR(stop("00000000-0000-4000-8000-000000000000", ""), "PipelineExecutionNotStoppableException");
    CHECK_STR(retry(id, "FAILED_ACTIONS"), "");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", id), "Succeeded");
    close_story();
}

TEST(t_stop__one_that_waits_never_enters) {
    const char *first, *second;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", ""))));
    first = latest_id("p");
    second = start("p");
    CHECK_STR(stop(second, ""), "");
    CHECK_STR(execution_status("p", second), "Stopped");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", first), "Succeeded");
    CHECK_STR(take("Build", "Maker").id, "(none)");
    CHECK_STR(retry(second, "FAILED_ACTIONS"), "NotLatestPipelineExecutionException");
    close_story();
}

TEST(t_retry__failed_actions_only_or_all_of_the_stage) {
    const char *id;
    story_job job, other;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", "") "," DO("B", "")) "," STAGE("Ask", APPROVAL("Ok"))));
    id = latest_id("p");
    job = next_job();
    other = next_job();
    CHECK_STR(retry(id, "FAILED_ACTIONS"), "StageNotRetryableException");
    CHECK_STR(succeed(job), "");
    CHECK_STR(fail_job(other), "");
    CHECK_STR(retry(id, "FAILED_ACTIONS"), "");
    CHECK_STR(text("pipelineExecutionId"), id);
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") ",'maxBatchSize':9}"), "");
    CHECK(count("jobs") == 1);
    CHECK_STR(text("jobs.0.data.pipelineContext.action.name"), "B");
    job = (story_job){keep("jobs.0.id"), keep("jobs.0.nonce")};
    acknowledge(job);
    CHECK_STR(fail_job(job), "");
    CHECK_STR(retry(id, "ALL_ACTIONS"), "");
    job = next_job();
    other = next_job();
    run("GetPipelineState", "{'name':'p'}");
    CHECK(number("stageStates.1.retryStageMetadata.manualStageRetryAttempt") == 2);
    CHECK_STR(text("stageStates.1.retryStageMetadata.latestRetryTrigger"), "ManualStageRetry");
    CHECK_STR(succeed(job), "");
    CHECK_STR(succeed(other), "");
    CHECK_STR(stage_status("p", 2), "InProgress");
    CHECK_STR(retry(id, "FAILED_ACTIONS"), "StageNotRetryableException");
    CHECK_STR(run("RetryStageExecution",
                  "{'pipelineName':'p','stageName':'None','pipelineExecutionId':'%s','retryMode':'ALL_ACTIONS'}", id),
              "StageNotFoundException");
    close_story();
}

/* ---- history ---- */

TEST(t_history__executions_are_listed_newest_first_by_pages) {
    const char *last, *token;
    begin(PIPELINE("p", SOURCE "," DEPLOY("'Extract':'false','ObjectKey':'k'")));
    CHECK(emu_s3_create_bucket(story, "site"));
    for (int i = 0; i < 4; i++) last = start("p");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p','maxResults':2}"), "");
    CHECK_STR(text("pipelineExecutionSummaries.0.pipelineExecutionId"), last);
    token = keep("nextToken");
    start("p");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p','nextToken':'%s'}", token), "");
    CHECK(count("pipelineExecutionSummaries") == 3 && value_at("nextToken") == NULL);
    CHECK_STR(text("pipelineExecutionSummaries.2.status"), "Failed"); /* the first: no bucket then */
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p','filter':{'succeededInStage':{'stageName':'Ship'}}}"),
              "");
    CHECK(count("pipelineExecutionSummaries") == 5);
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'q'}"), "PipelineNotFoundException");
    close_story();
}

TEST(t_history__action_executions_are_filtered_and_paged) {
    const char *id;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", ""))));
    id = latest_id("p");
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(retry(id, "FAILED_ACTIONS"), "");
    start("p");
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p'}"), "");
    CHECK(count("actionExecutionDetails") == 4);
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p','maxResults':3}"), "");
    CHECK_STR(text("actionExecutionDetails.0.stageName"), "Source");
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p','nextToken':'%s'}", keep("nextToken")), "");
    CHECK(count("actionExecutionDetails") == 1);
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p','filter':{'pipelineExecutionId':'%s'}}", id), "");
    CHECK(count("actionExecutionDetails") == 3);
    CHECK_STR(text("actionExecutionDetails.0.status"), "InProgress");
    CHECK_STR(text("actionExecutionDetails.1.output.executionResult.errorDetails.message"), "it broke");
    CHECK_STR(run("ListActionExecutions",
                  "{'pipelineName':'p','filter':{'latestInPipelineExecution':{'pipelineExecutionId':'%s','"
                  "startTimeRange':'Latest'}}}",
                  id),
              "");
    CHECK(count("actionExecutionDetails") == 2);
    CHECK_STR(run("ListActionExecutions",
                  "{'pipelineName':'p','filter':{'pipelineExecutionId':'00000000-0000-4000-8000-000000000000'}}"),
              "PipelineExecutionNotFoundException");
    close_story();
}

/* ---- restarts ---- */

TEST(t_restart__everything_goes_on_where_it_stopped) {
    char path[] = "/tmp/emulator-XXXXXX";
    story_job acknowledged, delivered, again;
    const char *id, *waiting;
    int fd = mkstemp(path);
    NEED(fd >= 0);
    close(fd);
    unlink(path);
    CHECK(open_story(path));
    make_type("Build", "Maker", "");
    put_source("src", "app.zip", "x");
    CHECK_STR(run("CreatePipeline", "%s",
                  PIPELINE("p", SOURCE "," STAGE("Build", DO("A", "") "," DO("B", "") "," DO("C", "")))),
              "");
    id = latest_id("p");
    CHECK_STR(run("StartPipelineExecution", "{'name':'p','clientRequestToken':'t-1'}"), "");
    waiting = keep("pipelineExecutionId");
    acknowledged = next_job();
    delivered = take("Build", "Maker"); /* and one is ready */
    close_story();

    CHECK(open_story(path));
    CHECK_STR(execution_status("p", id), "InProgress");
    CHECK_STR(run("StartPipelineExecution", "{'name':'p','clientRequestToken':'t-1'}"), "");
    CHECK_STR(text("pipelineExecutionId"), waiting);
    CHECK_STR(succeed(acknowledged), "");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(take("Build", "Maker").id, "(none)");
    turn_clock(60);
    again = take("Build", "Maker");
    CHECK_STR(again.id, delivered.id);
    CHECK_STR(acknowledge(delivered), "InvalidNonceException");
    CHECK_STR(acknowledge(again), "");
    close_story();

    CHECK(open_story(path));
    CHECK_STR(succeed(again), "");
    CHECK_STR(execution_status("p", id), "Succeeded");
    CHECK_STR(stage_status("p", 1), "InProgress"); /* the one that waited */
    turn_clock(24 * 3600 + 60);
    CHECK_STR(execution_status("p", waiting), "Failed");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK(count("pipelineExecutionSummaries") == 2);
    close_story();
    unlink(path);
}

TEST_MAIN
