/* SPDX-License-Identifier: MIT */
/* Going back to an earlier execution's revisions, and starting because somebody says there are new ones. */
#include "emu_story.h"

#define V2(mode, stages)                                                                                          \
    "{'pipeline':{'name':'p','pipelineType':'V2','executionMode':'" mode "'," ROLE "," STORE ",'stages':[" stages \
    "]}"                                                                                                          \
    "}"
#define STAGES SOURCE "," STAGE("Build", DO("A", ",'inputArtifacts':[{'name':'App'}]")) "," STAGE("Last", DO("B", ""))
#define NOBODY "00000000-0000-4000-8000-000000000000"
#define ROLL(stage, target)                       \
    run("RollbackStage",                          \
        "{'pipelineName':'p','stageName':'" stage \
        "',"                                      \
        "'targetPipelineExecutionId':'%s'}",      \
        target)

/* Two executions that both succeeded everywhere, with different sources; the ids, the older first. */
static void begin_two(const char *ids[2]) {
    begin(V2("SUPERSEDED", STAGES));
    for (int i = 0; i < 2; i++) {
        if (i == 1) {
            put_source("src", "app.zip", "version two");
            start("p");
        }
        ids[i] = latest_id("p");
        CHECK_STR(succeed(next_job()), "");
        CHECK_STR(succeed(next_job()), "");
        CHECK_STR(execution_status("p", ids[i]), "Succeeded");
    }
}

TEST(t_rollback__the_stage_runs_again_with_the_old_artifacts_and_nothing_after_it) {
    const char *ids[2], *rollback;
    emu_object object;
    story_job job;
    begin_two(ids);
    CHECK_STR(ROLL("Build", ids[0]), "");
    rollback = keep("pipelineExecutionId");
    CHECK_STR(execution_status("p", rollback), "InProgress");
    CHECK_STR(text("pipelineExecution.executionType"), "ROLLBACK");
    CHECK_STR(text("pipelineExecution.rollbackMetadata.rollbackTargetPipelineExecutionId"), ids[0]);
    CHECK_STR(text("pipelineExecution.trigger.triggerType"), "ManualRollback");
    job = next_job();
    CHECK_STR(run("GetJobDetails", "{'jobId':'%s'}", job.id), "");
    CHECK(emu_s3_get(story, "artifacts", text("jobDetails.data.inputArtifacts.0.location.s3Location.objectKey"),
                     &object));
    CHECK(cpl_str_is(object.body, "version one"));
    run("GetPipelineState", "{'name':'p'}");
    CHECK_STR(text("stageStates.1.latestExecution.type"), "ROLLBACK");
    CHECK_STR(succeed(job), "");
    CHECK_STR(execution_status("p", rollback), "Succeeded");
    CHECK_STR(take("Build", "Maker").id, "(none)");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK_STR(text("pipelineExecutionSummaries.0.executionType"), "ROLLBACK");
    CHECK_STR(text("pipelineExecutionSummaries.1.executionType"), "STANDARD");
    close_story();
}

TEST(t_rollback__what_cannot_be_gone_back_to_is_refused) {
    const char *ids[2], *rollback;
    begin_two(ids);
    CHECK_STR(run("RollbackStage", "{'pipelineName':'q','stageName':'Build','targetPipelineExecutionId':'" NOBODY "'}"),
              "PipelineNotFoundException");
    CHECK_STR(ROLL("None", ids[0]), "StageNotFoundException");
    CHECK_STR(ROLL("Source", ids[0]), "UnableToRollbackStageException");
    CHECK_STR(ROLL("Build", NOBODY), "PipelineExecutionNotFoundException");
    CHECK_STR(ROLL("Build", ids[0]), "");
    rollback = keep("pipelineExecutionId");
    CHECK_STR(ROLL("Build", ids[0]), "ConflictException");
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(ROLL("Build", rollback), "UnableToRollbackStageException");
    start("p");
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(ROLL("Build", latest_id("p")), "UnableToRollbackStageException");
    CHECK_STR(run("UpdatePipeline", "%s", V2("SUPERSEDED", STAGES)), "");
    CHECK_STR(ROLL("Build", ids[0]), "PipelineExecutionOutdatedException");
    CHECK_STR(run("UpdatePipeline", "%s", V2("PARALLEL", STAGES)), "");
    CHECK_STR(ROLL("Build", ids[0]), "UnableToRollbackStageException");
    CHECK_STR(run("UpdatePipeline", "%s", PIPELINE("p", STAGES)), "");
    CHECK_STR(ROLL("Build", ids[0]), "UnableToRollbackStageException");
    close_story();
}

TEST(t_rollback__a_failed_rollback_can_be_retried) {
    const char *ids[2], *rollback;
    begin_two(ids);
    CHECK_STR(ROLL("Build", ids[0]), "");
    rollback = keep("pipelineExecutionId");
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(execution_status("p", rollback), "Failed");
    CHECK_STR(run("RetryStageExecution",
                  "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'%s','retryMode':'FAILED_ACTIONS'}",
                  rollback),
              "");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", rollback), "Succeeded");
    close_story();
}

/* ---- PutActionRevision ---- */

#define PUSH(stage, action, change)                                                              \
    run("PutActionRevision", "{'pipelineName':'p','stageName':'" stage "','actionName':'" action \
                             "','actionRevision':{"                                              \
                             "'revisionId':'r-" change "','revisionChangeId':'" change "','created':1}}")

TEST(t_revisions__a_new_revision_starts_an_execution_and_the_same_one_does_not) {
    const char *first;
    begin(V2("QUEUED", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
    CHECK_STR(PUSH("Source", "Fetch", "c1"), "");
    CHECK(cpl_json_bool(value_at("newRevision"), false));
    first = keep("pipelineExecutionId");
    CHECK_STR(PUSH("Source", "Fetch", "c1"), "");
    CHECK(!cpl_json_bool(value_at("newRevision"), true));
    CHECK_STR(text("pipelineExecutionId"), first);
    CHECK_STR(PUSH("Source", "Fetch", "c2"), "");
    CHECK(strcmp(text("pipelineExecutionId"), first) != 0);
    run("GetPipelineExecution", "{'pipelineName':'p','pipelineExecutionId':'%s'}", first);
    CHECK_STR(text("pipelineExecution.trigger.triggerType"), "PutActionRevision");
    close_story();
}

TEST(t_revisions__only_source_actions_have_them) {
    begin(V2("QUEUED", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
    CHECK_STR(PUSH("None", "Fetch", "c"), "StageNotFoundException");
    CHECK_STR(PUSH("Source", "None", "c"), "ActionNotFoundException");
    CHECK_STR(PUSH("Ask", "Ok", "c"), "ValidationException");
    for (int i = 1; i < 50; i++) start("p");
    CHECK_STR(PUSH("Source", "Fetch", "c"), "ConcurrentPipelineExecutionsLimitExceededException");
    close_story();
}

TEST_MAIN
