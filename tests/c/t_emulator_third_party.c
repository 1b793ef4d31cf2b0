/* SPDX-License-Identifier: MIT */
/* Action types that providers make for others, and the jobs of their customers. */
#include <unistd.h>

#include "emu_story.h"

#define WORKER(more)                                                                                            \
    "'executor':{'type':'JobWorker','configuration':{'jobWorkerExecutorConfiguration':{'pollingAccounts':['123" \
    "456789012']}}" more "}"
#define DECLARATION(owner, provider, executor, more)                                                                \
    "{'actionType':{'id':{'category':'Test','owner':'" owner "','provider':'" provider "','version':'1'}," executor \
    ",'inputArtifactDetails':{'minimumCount':0,'maximumCount':5},"                                                  \
    "'outputArtifactDetails':{'minimumCount':0,'maximumCount':5}" more "}}"
#define PROPERTIES_OF_PARTNER                                                      \
    ",'properties':[{'name':'Suite','optional':false,'key':true,'noEcho':false},"  \
    "{'name':'Password','optional':true,'key':false,'noEcho':true}],"              \
    "'urls':{'configurationUrl':'https://partner.example/setup',"                  \
    "'executionUrlTemplate':'https://partner.example/run/{ExternalExecutionId}'}," \
    "'description':'tests'"
#define PARTNER "'category':'Test','owner':'ThirdParty','provider':'Partner','version':'1'"
#define PARTNER_PIPELINE                                                                                  \
    PIPELINE("p", SOURCE "," STAGE("Test", "{'name':'Run','actionTypeId':{" PARTNER "},'configuration':{" \
                                           "'Suite':'fast','Password':'s3cret'},'inputArtifacts':[{'name':'App'}]}"))
#define NOBODY "00000000-0000-4000-8000-000000000000"

typedef struct partner_job {
    const char *id;
    const char *token;
    const char *nonce;
} partner_job;

static void begin_partner(const char *executor) {
    begin_empty();
    put_source("src", "app.zip", "version one");
    CHECK_STR(run("UpdateActionType", "%s", executor), "");
    CHECK_STR(run("CreatePipeline", "%s", PARTNER_PIPELINE), "");
}

static partner_job take_partner_job(void) {
    static char token[80];
    partner_job job = {.token = token};
    CHECK_STR(run("PollForThirdPartyJobs", "{'actionTypeId':{" PARTNER "}}"), "");
    job.id = keep("jobs.0.jobId");
    snprintf(token, sizeof token, "emulator-token-%s", text("jobs.0.clientId"));
    run("GetThirdPartyJobDetails", "{'jobId':'%s','clientToken':'%s'}", job.id, token);
    job.nonce = keep("jobDetails.nonce");
    return job;
}

static const char *acknowledge_partner_job(partner_job job) {
    return run("AcknowledgeThirdPartyJob", "{'jobId':'%s','nonce':'%s','clientToken':'%s'}", job.id, job.nonce,
               job.token);
}

TEST(t_third_party__a_poll_shows_ids_alone_and_the_client_token_opens_the_rest) {
    partner_job job;
    begin_partner(DECLARATION("ThirdParty", "Partner", WORKER(""), PROPERTIES_OF_PARTNER));
    CHECK_STR(run("PollForThirdPartyJobs", "{'actionTypeId':{" PARTNER "},'maxBatchSize':5}"), "");
    CHECK(count("jobs") == 1 && count("jobs.0") == 2);
    CHECK(strlen(text("jobs.0.clientId")) == 36 && strlen(text("jobs.0.jobId")) == 36);
    job.id = keep("jobs.0.jobId");
    CHECK_STR(run("PollForThirdPartyJobs", "{'actionTypeId':{" PARTNER "}}"), "");
    CHECK(count("jobs") == 0);
    turn_clock(60);
    job = take_partner_job();
    CHECK(count("jobDetails") == 3);
    CHECK_STR(text("jobDetails.id"), job.id);
    CHECK_STR(text("jobDetails.data.actionConfiguration.configuration.Password"), "s3cret");
    CHECK_STR(text("jobDetails.data.pipelineContext.pipelineName"), "p");
    CHECK_STR(text("jobDetails.data.inputArtifacts.0.name"), "App");
    CHECK(strncmp(text("jobDetails.data.artifactCredentials.accessKeyId"), "ASIA", 4) == 0);
    CHECK_STR(acknowledge_partner_job(job), "");
    CHECK_STR(text("status"), "InProgress");
    CHECK_STR(run("PutThirdPartyJobSuccessResult",
                  "{'jobId':'%s','clientToken':'%s','executionDetails':{'summary':'fine','externalExecutionId':'7'}}",
                  job.id, job.token),
              "");
    CHECK_STR(stage_status("p", 1), "Succeeded");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.externalExecutionUrl"),
              "https://partner.example/run/7");
    close_story();
}

TEST(t_third_party__every_call_about_a_job_needs_the_right_client_token) {
    static const char *const calls[] = {"GetThirdPartyJobDetails", "AcknowledgeThirdPartyJob",
                                        "PutThirdPartyJobSuccessResult", "PutThirdPartyJobFailureResult"};
    partner_job job;
    begin_partner(DECLARATION("ThirdParty", "Partner", WORKER(""), PROPERTIES_OF_PARTNER));
    job = take_partner_job();
    for (size_t i = 0; i < CPL_COUNT(calls); i++) {
        CHECK_STR(run(calls[i],
                      "{'jobId':'%s','clientToken':'guess','nonce':'%s','failureDetails':{'type':'JobFailed',"
                      "'message':'x'}}",
                      job.id, job.nonce),
                  "InvalidClientTokenException");
        CHECK_STR(run(calls[i],
                      "{'jobId':'" NOBODY "','clientToken':'%s','nonce':'%s','failureDetails':{'type':"
                      "'JobFailed','message':'x'}}",
                      job.token, job.nonce),
                  "JobNotFoundException");
    }
    close_story();
}

TEST(t_third_party__nonces_states_and_failures_are_those_of_custom_jobs) {
    partner_job job, again;
    begin_partner(DECLARATION("ThirdParty", "Partner", WORKER(""), PROPERTIES_OF_PARTNER));
    job = take_partner_job();
    CHECK_STR(run("PutThirdPartyJobSuccessResult", "{'jobId':'%s','clientToken':'%s'}", job.id, job.token),
              "InvalidJobStateException");
    turn_clock(60);
    again = take_partner_job();
    CHECK_STR(again.id, job.id);
    CHECK_STR(acknowledge_partner_job(job), "InvalidNonceException");
    CHECK_STR(acknowledge_partner_job(again), "");
    CHECK_STR(run("PutThirdPartyJobSuccessResult", "{'jobId':'%s','clientToken':'%s','continuationToken':'later'}",
                  job.id, job.token),
              "");
    CHECK_STR(run("GetThirdPartyJobDetails", "{'jobId':'%s','clientToken':'%s'}", job.id, job.token),
              "InvalidJobException");
    again = take_partner_job();
    CHECK(strcmp(again.id, job.id) != 0);
    CHECK_STR(text("jobDetails.data.continuationToken"), "later");
    CHECK_STR(acknowledge_partner_job(again), "");
    CHECK_STR(run("PutThirdPartyJobFailureResult",
                  "{'jobId':'%s','clientToken':'%s','failureDetails':{'type':'PermissionError','message':'no'}}",
                  again.id, again.token),
              "");
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.errorDetails.code"), "PermissionError");
    close_story();
}

TEST(t_third_party__custom_and_third_party_jobs_do_not_mix) {
    story_job custom;
    partner_job job;
    begin_partner(DECLARATION("ThirdParty", "Partner", WORKER(""), PROPERTIES_OF_PARTNER));
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("q", SOURCE "," STAGE("Build", DO("A", "")))), "");
    custom = take("Build", "Maker");
    job = take_partner_job();
    CHECK_STR(run("GetJobDetails", "{'jobId':'%s'}", job.id), "JobNotFoundException");
    CHECK_STR(run("AcknowledgeJob", "{'jobId':'%s','nonce':'%s'}", job.id, job.nonce), "JobNotFoundException");
    CHECK_STR(run("GetThirdPartyJobDetails", "{'jobId':'%s','clientToken':'%s'}", custom.id, job.token),
              "JobNotFoundException");
    CHECK_STR(run("PollForJobs", "{'actionTypeId':{" PARTNER "}}"), "ActionTypeNotFoundException");
    CHECK_STR(run("PollForThirdPartyJobs", "{" TYPE("Build", "Maker") "}"), "ActionTypeNotFoundException");
    CHECK_STR(run("PollForThirdPartyJobs",
                  "{'actionTypeId':{'category':'Source','owner':'ThirdParty','provider':'GitHub','version':'1'}}"),
              "ActionTypeNotFoundException");
    close_story();
}

TEST(t_third_party__the_time_a_type_gives_a_job_ends_its_action) {
    partner_job job;
    begin_partner(DECLARATION("ThirdParty", "Partner", WORKER(",'jobTimeout':600"), PROPERTIES_OF_PARTNER));
    job = take_partner_job();
    CHECK_STR(acknowledge_partner_job(job), "");
    turn_clock(500);
    CHECK_STR(run("PutThirdPartyJobSuccessResult", "{'jobId':'%s','clientToken':'%s','continuationToken':'go on'}",
                  job.id, job.token),
              "");
    turn_clock(500);
    CHECK_STR(stage_status("p", 1), "InProgress");
    turn_clock(100);
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.errorDetails.code"), "Timeout");
    close_story();
}

TEST(t_third_party__an_action_type_is_shown_as_it_was_declared_and_as_pipelines_see_it) {
    begin_empty();
    CHECK_STR(run("GetActionType", "{" PARTNER "}"), "ActionTypeNotFoundException");
    CHECK_STR(run("UpdateActionType", "%s", DECLARATION("ThirdParty", "Partner", WORKER(""), PROPERTIES_OF_PARTNER)),
              "");
    CHECK_STR(run("GetActionType", "{" PARTNER "}"), "");
    CHECK_STR(text("actionType.executor.type"), "JobWorker");
    CHECK_STR(text("actionType.properties.1.name"), "Password");
    CHECK_STR(text("actionType.urls.configurationUrl"), "https://partner.example/setup");
    CHECK_STR(run("ListActionTypes", "{'actionOwnerFilter':'ThirdParty'}"), "");
    CHECK_STR(text("actionTypes.0.id.provider"), "Partner");
    CHECK_STR(text("actionTypes.0.settings.thirdPartyConfigurationUrl"), "https://partner.example/setup");
    CHECK(cpl_json_bool(value_at("actionTypes.0.actionConfigurationProperties.0.required"), false));
    CHECK(cpl_json_bool(value_at("actionTypes.0.actionConfigurationProperties.1.secret"), false));
    CHECK_STR(run("CreatePipeline", "%s", PARTNER_PIPELINE), "");
    CHECK_STR(text("pipeline.stages.1.actions.0.configuration.Password"), "****");
    CHECK_STR(run("GetActionType", "{'category':'Source','owner':'AWS','provider':'S3','version':'1'}"),
              "ActionTypeNotFoundException");
    close_story();
}

TEST(t_third_party__a_malformed_declaration_is_refused) {
    begin_empty();
    CHECK_STR(run("UpdateActionType", "%s", DECLARATION("AWS", "Nobody", WORKER(""), "")),
              "ActionTypeNotFoundException");
    CHECK_STR(run("UpdateActionType", "%s", DECLARATION("AWS", "CodeBuild", WORKER(""), "")), "RequestFailedException");
    CHECK_STR(run("UpdateActionType", "%s",
                  DECLARATION("ThirdParty", "P",
                              "'executor':{'type':'Lambda','configuration':{"
                              "'jobWorkerExecutorConfiguration':{'pollingAccounts':['123456789012']}}}",
                              "")),
              "ValidationException");
    CHECK_STR(run("UpdateActionType", "%s",
                  DECLARATION("ThirdParty", "P",
                              "'executor':{'type':'JobWorker','configuration':{"
                              "'jobWorkerExecutorConfiguration':{}}}",
                              "")),
              "ValidationException");
    CHECK_STR(
        run("UpdateActionType", "%s", DECLARATION("ThirdParty", "P", WORKER(",'policyStatementsTemplate':'{'"), "")),
        "ValidationException");
    CHECK_STR(
        run("UpdateActionType", "%s",
            DECLARATION("ThirdParty", "P", WORKER(""), ",'permissions':{'allowedAccounts':['*','123456789012']}")),
        "ValidationException");
    CHECK_STR(
        run("UpdateActionType", "%s",
            DECLARATION("ThirdParty", "P", WORKER(""),
                        ",'properties':[{'name':'A','optional':true,'key':true,'noEcho':false,'queryable':true}]")),
        "ValidationException");
    close_story();
}

TEST(t_third_party__the_quota_holds) {
    begin_empty();
    for (int i = 0; i <= 50; i++) {
        char provider[16];
        snprintf(provider, sizeof provider, "P%d", i);
        CHECK_STR(
            run("UpdateActionType",
                "{'actionType':{'id':{'category':'Test','owner':'ThirdParty','provider':'%s','version':'1'}," WORKER(
                    "") ",'inputArtifactDetails':{'minimumCount':0,'maximumCount':1},"
                        "'outputArtifactDetails':{'minimumCount':0,'maximumCount':1}}}",
                provider),
            i < 50 ? "" : "RequestFailedException");
    }
    CHECK_STR(run("UpdateActionType", "%s", DECLARATION("ThirdParty", "P7", WORKER(""), "")), "");
    make_type("Test", "Own", "");
    close_story();
}

TEST(t_third_party__permissions_and_executors_decide_who_may_do_what) {
    begin_empty();
    put_source("src", "app.zip", "x");
    CHECK_STR(run("UpdateActionType", "%s",
                  DECLARATION("ThirdParty", "Partner", WORKER(""),
                              PROPERTIES_OF_PARTNER ",'permissions':{'allowedAccounts':['999999999999']}")),
              "");
    CHECK_STR(run("CreatePipeline", "%s", PARTNER_PIPELINE), "InvalidActionDeclarationException");
    CHECK_STR(run("UpdateActionType", "%s",
                  DECLARATION("ThirdParty", "Partner",
                              "'executor':{'type':'Lambda','configuration':{'lambdaExecutorConfiguration':{"
                              "'lambdaFunctionArn':'arn:aws:lambda:us-east-1:123456789012:function:f'}}}",
                              PROPERTIES_OF_PARTNER ",'permissions':{'allowedAccounts':['*']}")),
              "");
    CHECK_STR(run("CreatePipeline", "%s", PARTNER_PIPELINE), "");
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK_STR(text("stageStates.1.actionStates.0.latestExecution.errorDetails.code"), "NotEmulated");
    CHECK_STR(run("PollForThirdPartyJobs", "{'actionTypeId':{" PARTNER "}}"), "ActionTypeNotFoundException");
    close_story();
}

TEST(t_third_party__a_restart_keeps_types_jobs_tokens_and_limits) {
    char path[] = "/tmp/emulator-partner-XXXXXX";
    partner_job job;
    int fd = mkstemp(path);
    int64_t now;
    NEED(fd >= 0);
    close(fd);
    unlink(path);
    CHECK(open_story(path));
    put_source("src", "app.zip", "version one");
    CHECK_STR(run("UpdateActionType", "%s",
                  DECLARATION("ThirdParty", "Partner", WORKER(",'jobTimeout':600"), PROPERTIES_OF_PARTNER)),
              "");
    CHECK_STR(run("CreatePipeline", "%s", PARTNER_PIPELINE), "");
    job = take_partner_job();
    turn_clock(30);
    run("ListPipelines", "{}");
    now = emu_now_ms(story);
    close_story();
    NEED(open_story(path));
    emu_set_now(story, now);
    CHECK_STR(acknowledge_partner_job(job), "");
    turn_clock(569);
    CHECK_STR(stage_status("p", 1), "InProgress");
    turn_clock(1);
    CHECK_STR(stage_status("p", 1), "Failed");
    close_story();
    unlink(path);
}

TEST_MAIN
