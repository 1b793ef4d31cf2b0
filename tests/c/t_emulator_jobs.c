/* SPDX-License-Identifier: MIT */
#include "emu_story.h"

#define PROPERTIES                                                                   \
    "{'name':'Project','required':true,'key':true,'secret':false,'queryable':true}," \
    "{'name':'Token','required':false,'key':false,'secret':true}"

/* A source that is there, and one Build action whose job is ready. */
#define BUILD_PIPELINE(more)                                                                                     \
    PIPELINE("p", STAGE("Source", S3_SOURCE("Fetch", "src", "app.zip", "App")) "," STAGE(                        \
                      "Build", CUSTOM("Compile", "Build", "Maker",                                               \
                                      ",'configuration':{'Project':'demo','Token':'s3cret'},'inputArtifacts':[{" \
                                      "'name':'App'}],'outputArtifacts':[{'name':'Binary'}]" more)))

static void begin_build(const char *pipeline) {
    CHECK(open_story(NULL));
    make_type("Build", "Maker", PROPERTIES);
    put_source("src", "app.zip", "the source");
    CHECK_STR(run("CreatePipeline", "%s", pipeline), "");
}

static void accept_repeats(void) {
    CHECK(emu_set_repeats(story, CPL_LIT("accept"), NULL) == CPL_OK && emu_accepts_repeats(story));
}

static const char *job_status(story_job job) {
    return acknowledge(job)[0] ? "(refused)" : text("status");
}

TEST(t_jobs__a_job_carries_everything_a_worker_needs) {
    emu_object object;
    begin_build(BUILD_PIPELINE(""));
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") "}"), "");
    CHECK(count("jobs") == 1);
    CHECK_STR(text("jobs.0.accountId"), "123456789012");
    CHECK_STR(text("jobs.0.data.actionTypeId.provider"), "Maker");
    CHECK_STR(text("jobs.0.data.actionConfiguration.configuration.Token"), "s3cret");
    CHECK_STR(text("jobs.0.data.pipelineContext.pipelineName"), "p");
    CHECK_STR(text("jobs.0.data.pipelineContext.pipelineArn"), "arn:aws:codepipeline:us-east-1:123456789012:p");
    CHECK_STR(text("jobs.0.data.pipelineContext.stage.name"), "Build");
    CHECK_STR(text("jobs.0.data.pipelineContext.action.name"), "Compile");
    CHECK(strlen(text("jobs.0.data.pipelineContext.action.actionExecutionId")) == 36);
    CHECK(strlen(text("jobs.0.data.pipelineContext.pipelineExecutionId")) == 36);
    CHECK_STR(text("jobs.0.data.inputArtifacts.0.name"), "App");
    CHECK_STR(text("jobs.0.data.inputArtifacts.0.location.type"), "S3");
    CHECK_STR(text("jobs.0.data.inputArtifacts.0.location.s3Location.bucketName"), "artifacts");
    CHECK(strlen(text("jobs.0.data.inputArtifacts.0.revision")) > 7);
    CHECK(emu_s3_get(story, "artifacts", text("jobs.0.data.inputArtifacts.0.location.s3Location.objectKey"), &object));
    CHECK(cpl_str_is(object.body, "the source"));
    CHECK(strncmp(text("jobs.0.data.outputArtifacts.0.location.s3Location.objectKey"), "p/Binary/", 9) == 0);
    CHECK(value_at("jobs.0.data.outputArtifacts.0.revision") == NULL);
    CHECK(strncmp(text("jobs.0.data.artifactCredentials.accessKeyId"), "ASIA", 4) == 0);
    CHECK(value_at("jobs.0.data.encryptionKey") == NULL);
    CHECK(value_at("jobs.0.data.continuationToken") == NULL);
    close_story();
}

TEST(t_jobs__the_grant_reads_inputs_writes_outputs_and_expires) {
    const cpl_json *grant;
    const char *id;
    begin_build(BUILD_PIPELINE(""));
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") "}"), "");
    id = keep("jobs.0.data.artifactCredentials.accessKeyId");
    grant = emu_store_get(emu_store_of(story), EMU_GRANT, id);
    NEED(grant);
    CHECK_STR(cpl_json_get_cstr(grant, "secret", ""), text("jobs.0.data.artifactCredentials.secretAccessKey"));
    CHECK_STR(cpl_json_get_cstr(grant, "token", ""), text("jobs.0.data.artifactCredentials.sessionToken"));
    CHECK_STR(cpl_json_get_cstr(grant, "jobId", ""), text("jobs.0.id"));
    CHECK_STR(cpl_json_get_cstr(cpl_json_at(cpl_json_get(grant, "read"), 0), "key", ""),
              text("jobs.0.data.inputArtifacts.0.location.s3Location.objectKey"));
    CHECK_STR(cpl_json_get_cstr(cpl_json_at(cpl_json_get(grant, "write"), 0), "key", ""),
              text("jobs.0.data.outputArtifacts.0.location.s3Location.objectKey"));
    turn_clock(3601); /* known for a day more, so that it is refused as expired and not as unknown */
    run("ListPipelines", "{}");
    CHECK(emu_store_get(emu_store_of(story), EMU_GRANT, id) == grant);
    turn_clock(24 * 3600);
    run("ListPipelines", "{}");
    CHECK(emu_store_get(emu_store_of(story), EMU_GRANT, id) == NULL);
    close_story();
}

TEST(t_jobs__get_job_details_gives_fresh_credentials_until_the_job_is_over) {
    story_job job;
    const char *first, *second;
    begin_build(BUILD_PIPELINE(""));
    job = take_and_acknowledge("Build", "Maker");
    CHECK_STR(run("GetJobDetails", "{'jobId':'%s'}", job.id), "");
    first = keep("jobDetails.data.artifactCredentials.accessKeyId");
    CHECK_STR(text("jobDetails.accountId"), "123456789012");
    CHECK_STR(text("jobDetails.data.actionConfiguration.configuration.Project"), "demo");
    CHECK_STR(run("GetJobDetails", "{'jobId':'%s'}", job.id), "");
    second = keep("jobDetails.data.artifactCredentials.accessKeyId");
    CHECK(strcmp(first, second) != 0);
    CHECK_STR(succeed(job), "");
    CHECK_STR(run("GetJobDetails", "{'jobId':'%s'}", job.id), "");
    CHECK(value_at("jobDetails.data.artifactCredentials") == NULL);
    CHECK_STR(run("GetJobDetails", "{'jobId':'00000000-0000-4000-8000-000000000000'}"), "JobNotFoundException");
    close_story();
}

TEST(t_jobs__the_encryption_key_of_the_store_is_named) {
    begin_build("{'pipeline':{'name':'p'," ROLE
                ",'artifactStore':{'type':'S3','location':'artifacts','encryptionKey':{'id':'k1','type':'KMS'}},"
                "'stages':[" STAGE("Source", S3_SOURCE("Fetch", "src", "app.zip", "App")) "," STAGE(
                    "Build", CUSTOM("Compile", "Build", "Maker", ",'configuration':{'Project':'demo'}")) "]}}");
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") "}"), "");
    CHECK_STR(text("jobs.0.data.encryptionKey.id"), "k1");
    CHECK_STR(text("jobs.0.data.encryptionKey.type"), "KMS");
    close_story();
}

TEST(t_jobs__an_action_elsewhere_reads_and_writes_in_its_own_region) {
    emu_object object;
    story_job job;
    begin_build("{'pipeline':{'name':'p'," ROLE
                ",'artifactStores':{'us-east-1':{'type':'S3','location':'artifacts'},"
                "'eu-west-1':{'type':'S3','location':'elsewhere','encryptionKey':{'id':'k2','type':'KMS'}}},"
                "'stages':[" STAGE("Source", S3_SOURCE("Fetch", "src", "app.zip", "App")) "," STAGE(
                    "Build", CUSTOM("Compile", "Build", "Maker",
                                    ",'region':'eu-west-1','configuration':{'Project':'demo'},"
                                    "'inputArtifacts':[{'name':'App'}],'outputArtifacts':[{'name':'Made'}"
                                    "]")) "," STAGE("Last", CUSTOM("Use", "Build", "Maker",
                                                                   ",'configuration':{'Project':'demo'},"
                                                                   "'inputArtifacts':[{'name':'Made'}]")) "]}}");
    job = take_and_acknowledge("Build", "Maker");
    CHECK_STR(run("GetJobDetails", "{'jobId':'%s'}", job.id), "");
    CHECK_STR(text("jobDetails.data.inputArtifacts.0.location.s3Location.bucketName"), "elsewhere");
    CHECK_STR(text("jobDetails.data.outputArtifacts.0.location.s3Location.bucketName"), "elsewhere");
    CHECK_STR(text("jobDetails.data.encryptionKey.id"), "k2");
    CHECK(emu_s3_get(story, "elsewhere", text("jobDetails.data.inputArtifacts.0.location.s3Location.objectKey"),
                     &object));
    CHECK(cpl_str_is(object.body, "the source"));
    CHECK(emu_s3_put(story, "elsewhere", text("jobDetails.data.outputArtifacts.0.location.s3Location.objectKey"),
                     CPL_LIT("made"), NULL));
    CHECK_STR(succeed(job), "");
    job = take_and_acknowledge("Build", "Maker");
    CHECK_STR(run("GetJobDetails", "{'jobId':'%s'}", job.id), "");
    CHECK_STR(text("jobDetails.data.inputArtifacts.0.location.s3Location.bucketName"), "artifacts");
    CHECK(emu_s3_get(story, "artifacts", text("jobDetails.data.inputArtifacts.0.location.s3Location.objectKey"),
                     &object));
    CHECK(cpl_str_is(object.body, "made"));
    close_story();
}

TEST(t_jobs__only_known_custom_types_can_be_polled_for) {
    begin_build(BUILD_PIPELINE(""));
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Nobody") "}"), "ActionTypeNotFoundException");
    CHECK_STR(
        run("PollForJobs", "{'actionTypeId':{'category':'Build','owner':'AWS','provider':'CodeBuild','version':'1'}}"),
        "ActionTypeNotFoundException");
    CHECK_STR(run("DeleteCustomActionType", "{'category':'Build','provider':'Maker','version':'1'}"), "");
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") "}"), "ActionTypeNotFoundException");
    close_story();
}

TEST(t_jobs__the_query_selects_by_the_queryable_property) {
    begin_build(BUILD_PIPELINE(""));
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") ",'queryParam':{'Token':'x'}}"), "ValidationException");
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") ",'queryParam':{'Project':'other'}}"), "");
    CHECK(count("jobs") == 0);
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") ",'queryParam':{'Project':'demo'}}"), "");
    CHECK(count("jobs") == 1);
    close_story();
}

TEST(t_jobs__a_batch_is_as_large_as_asked_and_the_oldest_come_first) {
    const char *first;
    begin_build(PIPELINE(
        "p", STAGE("Source", S3_SOURCE("Fetch", "src", "app.zip", "App")) "," STAGE(
                 "Build", CUSTOM("A", "Build", "Maker", ",'configuration':{'Project':'a'}") "," CUSTOM(
                              "B", "Build", "Maker",
                              ",'configuration':{'Project':'b'}") "," CUSTOM("C", "Build", "Maker",
                                                                             ",'configuration':{'Project':'c'}"))));
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") ",'queryParam':{'Project':'b'},'maxBatchSize':5}"), "");
    CHECK(count("jobs") == 1);
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") ",'maxBatchSize':5}"), "");
    CHECK(count("jobs") == 2);
    CHECK_STR(text("jobs.0.data.pipelineContext.action.name"), "A");
    first = keep("jobs.0.nonce");
    CHECK(strcmp(first, text("jobs.1.nonce")) != 0);
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") ",'maxBatchSize':5}"), "");
    CHECK(count("jobs") == 0);
    close_story();
}

TEST(t_jobs__a_job_is_delivered_once_and_acknowledging_may_be_repeated) {
    story_job job;
    begin_build(BUILD_PIPELINE(""));
    job = take("Build", "Maker");
    CHECK_STR(take("Build", "Maker").id, "(none)");
    CHECK_STR(run("AcknowledgeJob", "{'jobId':'%s','nonce':'wrong'}", job.id), "InvalidNonceException");
    CHECK_STR(job_status(job), "InProgress");
    CHECK_STR(job_status(job), "InProgress");
    CHECK_STR(succeed(job), "");
    CHECK_STR(acknowledge(job), "InvalidNonceException");
    CHECK_STR(run("AcknowledgeJob", "{'jobId':'00000000-0000-4000-8000-000000000000','nonce':'1'}"),
              "JobNotFoundException");
    close_story();
}

TEST(t_jobs__what_was_not_acknowledged_is_delivered_again_with_another_nonce) {
    story_job first, second;
    begin_build(BUILD_PIPELINE(""));
    first = take("Build", "Maker");
    turn_clock(59);
    CHECK_STR(take("Build", "Maker").id, "(none)");
    turn_clock(1);
    second = take("Build", "Maker");
    CHECK_STR(second.id, first.id);
    CHECK(strcmp(first.nonce, second.nonce) != 0);
    CHECK_STR(acknowledge(first), "InvalidNonceException");
    CHECK_STR(acknowledge(second), "");
    turn_clock(120);
    CHECK_STR(take("Build", "Maker").id, "(none)");
    CHECK_STR(succeed(second), "");
    close_story();
}

TEST(t_jobs__a_late_acknowledgement_is_good_while_nobody_else_has_the_job) {
    story_job job;
    begin_build(BUILD_PIPELINE(""));
    job = take("Build", "Maker");
    turn_clock(300);
    CHECK_STR(job_status(job), "InProgress");
    CHECK_STR(take("Build", "Maker").id, "(none)");
    CHECK_STR(succeed(job), "");
    close_story();
}

TEST(t_jobs__a_result_needs_a_job_in_progress) {
    story_job job;
    begin_build(BUILD_PIPELINE(""));
    job = take("Build", "Maker");
    CHECK_STR(succeed(job), "InvalidJobStateException");
    CHECK_STR(fail_job(job), "InvalidJobStateException");
    CHECK_STR(acknowledge(job), "");
    CHECK_STR(succeed(job), "");
    CHECK_STR(succeed(job), "InvalidJobStateException");
    CHECK_STR(fail_job(job), "InvalidJobStateException");
    CHECK_STR(run("PutJobSuccessResult", "{'jobId':'00000000-0000-4000-8000-000000000000'}"), "JobNotFoundException");
    close_story();
}

TEST(t_jobs__a_repeated_result_is_accepted_when_it_says_the_same) {
    static const char first[] =
        "{'jobId':'%s','executionDetails':{'summary':'s','percentComplete':9},"
        "'outputVariables':{'a':'1','b':'2'}}";
    static const char sorted_otherwise[] =
        "{'outputVariables':{'b':'2','a':'1'},"
        "'executionDetails':{'percentComplete':9,'summary':'s'},'jobId':'%s'}";
    story_job job;
    begin_build(BUILD_PIPELINE(""));
    accept_repeats();
    job = take_and_acknowledge("Build", "Maker");
    CHECK_STR(run("PutJobSuccessResult", first, job.id), "");
    CHECK_STR(run("PutJobSuccessResult", first, job.id), "");
    CHECK_STR(run("PutJobSuccessResult", sorted_otherwise, job.id), "");
    CHECK_STR(succeed(job), "InvalidJobStateException");
    CHECK_STR(
        run("PutJobSuccessResult", "{'jobId':'%s','executionDetails':{'summary':'t','percentComplete':9}}", job.id),
        "InvalidJobStateException");
    CHECK_STR(fail_job(job), "InvalidJobStateException");
    CHECK_STR(job_status(job), "Succeeded");
    emu_set_repeats(story, CPL_LIT("refuse"), NULL);
    CHECK_STR(run("PutJobSuccessResult", first, job.id), "InvalidJobStateException");
    CHECK_STR(acknowledge(job), "InvalidNonceException");
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p'}"), "");
    CHECK_STR(text("actionExecutionDetails.0.output.executionResult.externalExecutionSummary"), "s");
    close_story();
}

TEST(t_jobs__a_repeated_failure_is_accepted_when_it_says_the_same) {
    story_job job;
    begin_build(BUILD_PIPELINE(""));
    accept_repeats();
    job = take_and_acknowledge("Build", "Maker");
    CHECK_STR(fail_job(job), "");
    CHECK_STR(fail_job(job), "");
    CHECK_STR(run("PutJobFailureResult", "{'jobId':'%s','failureDetails':{'type':'JobFailed','message':'no'}}", job.id),
              "InvalidJobStateException");
    CHECK_STR(succeed(job), "InvalidJobStateException");
    CHECK_STR(job_status(job), "Failed");
    close_story();
}

TEST(t_jobs__a_repeated_continuation_makes_no_second_job) {
    static const char later[] = "{'jobId':'%s','continuationToken':'more'}";
    story_job job;
    begin_build(BUILD_PIPELINE(""));
    accept_repeats();
    job = take_and_acknowledge("Build", "Maker");
    CHECK_STR(run("PutJobSuccessResult", later, job.id), "");
    CHECK_STR(run("PutJobSuccessResult", later, job.id), "");
    CHECK_STR(succeed(job), "InvalidJobStateException");
    job = take_and_acknowledge("Build", "Maker");
    CHECK_STR(take("Build", "Maker").id, "(none)");
    CHECK_STR(succeed(job), "");
    close_story();
}

TEST(t_jobs__a_result_after_its_time_is_no_repetition) {
    story_job job;
    begin_build(BUILD_PIPELINE(",'timeoutInMinutes':5"));
    accept_repeats();
    job = take_and_acknowledge("Build", "Maker");
    turn_clock(301);
    CHECK_STR(succeed(job), "InvalidJobStateException");
    CHECK_STR(job_status(job), "TimedOut");
    close_story();
}

TEST(t_jobs__execution_details_show_in_the_state_and_in_the_history) {
    story_job job;
    begin_build(BUILD_PIPELINE(""));
    job = take_and_acknowledge("Build", "Maker");
    CHECK_STR(run("PutJobSuccessResult",
                  "{'jobId':'%s','executionDetails':{'summary':'all well','externalExecutionId':'run "
                  "7','percentComplete':100},"
                  "'outputVariables':{'digest':'abc'}}",
                  job.id),
              "");
    CHECK_STR(action_status("p", 1, 0), "Succeeded");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.summary"), "all well");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.externalExecutionId"), "run 7");
    CHECK(number("stageStates.1.actionStates.0.latestExecution.percentComplete") == 100);
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p'}"), "");
    CHECK_STR(text("actionExecutionDetails.0.output.executionResult.externalExecutionSummary"), "all well");
    CHECK_STR(text("actionExecutionDetails.0.output.outputVariables.digest"), "abc");
    CHECK_STR(text("actionExecutionDetails.0.input.configuration.Token"), "****");
    CHECK_STR(text("actionExecutionDetails.0.input.resolvedConfiguration.Token"), "****");
    CHECK_STR(text("actionExecutionDetails.0.input.configuration.Project"), "demo");
    close_story();
}

TEST(t_jobs__a_failure_fails_action_stage_and_execution) {
    story_job job;
    const char *id;
    begin_build(BUILD_PIPELINE(""));
    job = take_and_acknowledge("Build", "Maker");
    CHECK_STR(run("PutJobFailureResult",
                  "{'jobId':'%s','failureDetails':{'type':'PermissionError','message':'not "
                  "allowed','externalExecutionId':'run 8'}}",
                  job.id),
              "");
    CHECK_STR(stage_status("p", 1), "Failed");
    id = keep("stageStates.1.latestExecution.pipelineExecutionId");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.status"), "Failed");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.errorDetails.code"), "PermissionError");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.errorDetails.message"), "not allowed");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.externalExecutionId"), "run 8");
    CHECK_STR(execution_status("p", id), "Failed");
    accept_repeats(); /* tells the state it ended in */
    CHECK_STR(job_status(job), "Failed");
    close_story();
}

TEST(t_jobs__all_of_an_action_s_go_with_its_pipeline) {
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("A", ""))));
    CHECK_STR(run("PutJobSuccessResult", "{'jobId':'%s','continuationToken':'step 2'}", next_job().id), "");
    CHECK_STR(succeed(next_job()), "");
    CHECK(emu_store_size(emu_store_of(story), EMU_JOB) == 2);
    CHECK_STR(run("DeletePipeline", "{'name':'p'}"), "");
    CHECK(emu_store_size(emu_store_of(story), EMU_JOB) == 0);
    close_story();
}

TEST(t_jobs__a_continuation_token_ends_the_job_and_starts_another) {
    story_job first, second;
    begin_build(BUILD_PIPELINE(""));
    first = take_and_acknowledge("Build", "Maker");
    CHECK_STR(run("PutJobSuccessResult",
                  "{'jobId':'%s','continuationToken':'step 2','executionDetails':{'percentComplete':40}}", first.id),
              "");
    CHECK_STR(action_status("p", 1, 0), "InProgress");
    CHECK(number("stageStates.1.actionStates.0.latestExecution.percentComplete") == 40);
    CHECK_STR(succeed(first), "InvalidJobStateException");
    CHECK_STR(run("PollForJobs", "{" TYPE("Build", "Maker") "}"), "");
    CHECK(count("jobs") == 1);
    second.id = keep("jobs.0.id");
    second.nonce = keep("jobs.0.nonce");
    CHECK(strcmp(first.id, second.id) != 0);
    CHECK_STR(text("jobs.0.data.continuationToken"), "step 2");
    CHECK_STR(text("jobs.0.data.inputArtifacts.0.name"), "App");
    CHECK_STR(acknowledge(second), "");
    CHECK_STR(succeed(second), "");
    CHECK_STR(action_status("p", 1, 0), "Succeeded");
    close_story();
}

TEST(t_jobs__output_variables_have_a_limit_together) {
    story_job job;
    char *large = malloc(122881);
    begin_build(BUILD_PIPELINE(""));
    job = take_and_acknowledge("Build", "Maker");
    memset(large, 'x', 122880);
    large[122880] = '\0';
    CHECK_STR(run("PutJobSuccessResult", "{'jobId':'%s','outputVariables':{'v':'%s'}}", job.id, large),
              "OutputVariablesSizeExceededException");
    large[122879] = '\0'; /* with the name: exactly the limit */
    CHECK_STR(run("PutJobSuccessResult", "{'jobId':'%s','outputVariables':{'v':'%s'}}", job.id, large), "");
    free(large);
    close_story();
}

TEST(t_jobs__an_action_that_takes_too_long_fails_and_its_job_is_timed_out) {
    story_job job;
    begin_build(BUILD_PIPELINE(",'timeoutInMinutes':10"));
    job = take_and_acknowledge("Build", "Maker");
    turn_clock(599);
    CHECK_STR(action_status("p", 1, 0), "InProgress");
    turn_clock(1);
    CHECK_STR(action_status("p", 1, 0), "Failed");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.errorDetails.code"), "Timeout");
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK_STR(succeed(job), "InvalidJobStateException");
    accept_repeats(); /* tells the state it ended in */
    CHECK_STR(job_status(job), "TimedOut");
    close_story();
}

TEST(t_jobs__without_a_time_limit_of_its_own_an_action_has_a_day) {
    begin_build(BUILD_PIPELINE(""));
    turn_clock(24 * 3600 - 1);
    CHECK_STR(action_status("p", 1, 0), "InProgress");
    turn_clock(1);
    CHECK_STR(action_status("p", 1, 0), "Failed");
    CHECK_STR(take("Build", "Maker").id, "(none)");
    close_story();
}

TEST(t_jobs__a_custom_source_names_its_revision) {
    story_job job;
    const char *id;
    CHECK(open_story(NULL));
    make_type("Source", "Repo", "");
    CHECK_STR(run("CreatePipeline", "%s",
                  PIPELINE("p", STAGE("Source",
                                      CUSTOM("Clone", "Source", "Repo",
                                             ",'outputArtifacts':[{'name':'App'}]")) "," STAGE("Ask", APPROVAL("Ok")))),
              "");
    job = take_and_acknowledge("Source", "Repo");
    CHECK_STR(run("PutJobSuccessResult",
                  "{'jobId':'%s','currentRevision':{'revision':'r1','changeIdentifier':'c1','revisionSummary':'first','"
                  "created':1600000000}}",
                  job.id),
              "");
    CHECK_STR(stage_status("p", 0), "Succeeded");
    id = keep("stageStates.0.latestExecution.pipelineExecutionId");
    CHECK_STR(text("stageStates.0.actionStates.0.currentRevision.revisionId"), "r1");
    CHECK_STR(text("stageStates.0.actionStates.0.currentRevision.revisionChangeId"), "c1");
    CHECK_STR(execution_status("p", id), "InProgress");
    CHECK_STR(text("pipelineExecution.artifactRevisions.0.name"), "App");
    CHECK_STR(text("pipelineExecution.artifactRevisions.0.revisionId"), "r1");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK_STR(text("pipelineExecutionSummaries.0.sourceRevisions.0.actionName"), "Clone");
    CHECK_STR(text("pipelineExecutionSummaries.0.sourceRevisions.0.revisionSummary"), "first");
    close_story();
}

TEST(t_jobs__custom_actions_of_every_category_run) {
    static const char *const categories[] = {"Build", "Test", "Deploy", "Invoke"};
    CHECK(open_story(NULL));
    make_type("Source", "All", "");
    for (size_t i = 0; i < CPL_COUNT(categories); i++) make_type(categories[i], "All", "");
    CHECK_STR(
        run("CreatePipeline", "%s",
            PIPELINE(
                "p",
                STAGE("S", CUSTOM("Source", "Source", "All", "")) "," STAGE(
                    "B", CUSTOM("Build", "Build", "All",
                                "")) "," STAGE("T",
                                               CUSTOM("Test", "Test", "All",
                                                      "")) "," STAGE("D",
                                                                     CUSTOM("Deploy", "Deploy", "All",
                                                                            "")) "," STAGE("I",
                                                                                           CUSTOM("Invoke", "Invoke",
                                                                                                  "All", "")))),
        "");
    CHECK_STR(succeed(take_and_acknowledge("Source", "All")), "");
    for (size_t i = 0; i < CPL_COUNT(categories); i++)
        CHECK_STR(succeed(take_and_acknowledge(categories[i], "All")), "");
    CHECK_STR(stage_status("p", 4), "Succeeded");
    CHECK_STR(run("CreateCustomActionType",
                  "{'category':'Approval','provider':'All','version':'1','inputArtifactDetails':{'minimumCount':0,'"
                  "maximumCount':0},"
                  "'outputArtifactDetails':{'minimumCount':0,'maximumCount':0}}"),
              "ValidationException");
    close_story();
}

TEST(t_jobs__jobs_of_a_deleted_pipeline_are_gone) {
    story_job job;
    begin_build(BUILD_PIPELINE(""));
    job = take_and_acknowledge("Build", "Maker");
    CHECK_STR(run("DeletePipeline", "{'name':'p'}"), "");
    CHECK_STR(succeed(job), "JobNotFoundException");
    CHECK_STR(take("Build", "Maker").id, "(none)");
    turn_clock(48 * 3600);
    CHECK_STR(run("ListPipelines", "{}"), "");
    close_story();
}

/* ---- action types ---- */

#define NO_ARTIFACTS                                                                                         \
    "'inputArtifactDetails':{'minimumCount':0,'maximumCount':0},'outputArtifactDetails':{'minimumCount':0,'" \
    "maximumCount':0}"

TEST(t_action_types__a_version_is_used_once_even_after_it_was_deleted) {
    CHECK(open_story(NULL));
    make_type("Build", "Maker", "");
    CHECK_STR(run("CreateCustomActionType", "{'category':'Build','provider':'Maker','version':'1'," NO_ARTIFACTS "}"),
              "ValidationException");
    CHECK(strstr(message(), "already exists"));
    CHECK_STR(run("DeleteCustomActionType", "{'category':'Build','provider':'Maker','version':'1'}"), "");
    CHECK_STR(run("DeleteCustomActionType", "{'category':'Build','provider':'Maker','version':'1'}"), "");
    CHECK_STR(run("CreateCustomActionType", "{'category':'Build','provider':'Maker','version':'1'," NO_ARTIFACTS "}"),
              "ValidationException");
    CHECK(strstr(message(), "deleted"));
    CHECK_STR(run("CreateCustomActionType", "{'category':'Build','provider':'Maker','version':'2'," NO_ARTIFACTS "}"),
              "");
    CHECK_STR(text("actionType.id.owner"), "Custom");
    CHECK_STR(run("ListActionTypes", "{'actionOwnerFilter':'Custom'}"), "");
    CHECK(count("actionTypes") == 1);
    close_story();
}

TEST(t_action_types__properties_keep_their_rules) {
    CHECK(open_story(NULL));
#define WITH(properties)                                                                           \
    run("CreateCustomActionType", "{'category':'Build','provider':'M','version':'1'," NO_ARTIFACTS \
                                  ",'configurationProperties':[" properties "]}")
#define PROPERTY(name, required, secret) \
    "{'name':'" name "','required':" required ",'key':false,'secret':" secret ",'queryable':true}"
    CHECK_STR(WITH(PROPERTY("a", "true", "false") "," PROPERTY("b", "true", "false")), "ValidationException");
    CHECK_STR(WITH(PROPERTY("a", "false", "false")), "ValidationException");
    CHECK_STR(WITH(PROPERTY("a", "true", "true")), "ValidationException");
    CHECK_STR(WITH("{'name':'a','required':true,'key':false,'secret':false},{'name':'a','required':true,'key':false,'"
                   "secret':false}"),
              "ValidationException");
    CHECK_STR(run("CreateCustomActionType",
                  "{'category':'Build','provider':'M','version':'1','inputArtifactDetails':{'minimumCount':2,'"
                  "maximumCount':1},"
                  "'outputArtifactDetails':{'minimumCount':0,'maximumCount':0}}"),
              "ValidationException");
    CHECK_STR(WITH(PROPERTY("a", "true", "false")), "");
    close_story();
}

TEST(t_action_types__the_list_has_the_account_s_own_and_aws_s_and_goes_on_by_token) {
    int seen = 0;
    char token[512] = "";
    CHECK(open_story(NULL));
    for (int i = 0; i < 50; i++) {
        CHECK_STR(
            run("CreateCustomActionType", "{'category':'Build','provider':'M%d','version':'1'," NO_ARTIFACTS "}", i),
            "");
    }
    CHECK_STR(run("CreateCustomActionType", "{'category':'Build','provider':'M50','version':'1'," NO_ARTIFACTS "}"),
              "LimitExceededException");
    CHECK_STR(run("ListActionTypes", "{}"), "");
    do {
        seen += count("actionTypes");
        CPL_COPY(token, cpl_str_of(text("nextToken")));
    } while (strcmp(token, "(none)") != 0 && CHECK(run("ListActionTypes", "{'nextToken':'%s'}", token)[0] == '\0'));
    CHECK(seen > 75);
    CHECK_STR(run("ListActionTypes", "{'actionOwnerFilter':'AWS'}"), "");
    CHECK(count("actionTypes") > 20);
    CHECK_STR(run("ListActionTypes", "{'nextToken':'abc'}"), "InvalidNextTokenException");
    close_story();
}

TEST(t_action_types__links_are_filled_in_from_their_templates) {
    story_job job;
    CHECK(open_story(NULL));
    put_source("src", "app.zip", "x");
    CHECK_STR(
        run("CreateCustomActionType", "{'category':'Build','provider':'M','version':'1'," NO_ARTIFACTS ","
                                      "'settings':{'entityUrlTemplate':'https://ci/{Config:Project}/"
                                      "','executionUrlTemplate':'https://ci/{Config:Project}/{ExternalExecutionId}',"
                                      "'revisionUrlTemplate':'https://ci/{Config:Token}'},"
                                      "'configurationProperties':[{'name':'Project','required':true,'key':true,'secret'"
                                      ":false},{'name':'Token','required':true,'key':false,'secret':true}]}"),
        "");
    CHECK_STR(run("CreatePipeline", "%s",
                  PIPELINE("p", STAGE("Source", S3_SOURCE("Fetch", "src", "app.zip", "App")) "," STAGE(
                                    "Build",
                                    CUSTOM("B", "Build", "M", ",'configuration':{'Project':'demo','Token':'hush'}")))),
              "");
    job = take_and_acknowledge("Build", "M");
    CHECK_STR(action_status("p", 1, 0), "InProgress");
    CHECK_STR(text("stageStates.1.actionStates.0.entityUrl"), "https://ci/demo/");
    CHECK(value_at("stageStates.1.actionStates.0.latestExecution.externalExecutionUrl") == NULL);
    CHECK_STR(run("PutJobSuccessResult", "{'jobId':'%s','executionDetails':{'externalExecutionId':'7'}}", job.id), "");
    CHECK_STR(action_status("p", 1, 0), "Succeeded");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.externalExecutionUrl"), "https://ci/demo/7");
    CHECK(value_at("stageStates.1.actionStates.0.revisionUrl") == NULL); /* would show a secret */
    close_story();
}

TEST_MAIN
