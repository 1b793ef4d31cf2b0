/* SPDX-License-Identifier: MIT */
#include "emu_story.h"

/* ---- pipelines ---- */

TEST(t_pipelines__versions_count_up_and_each_can_be_read) {
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("One", ""))));
    turn_clock(60);
    CHECK_STR(run("UpdatePipeline", "%s", PIPELINE("p", SOURCE "," STAGE("Build", DO("Two", "")))), "");
    CHECK(number("pipeline.version") == 2);
    CHECK_STR(run("GetPipeline", "{'name':'p'}"), "");
    CHECK_STR(text("pipeline.stages.1.actions.0.name"), "Two");
    CHECK_STR(text("metadata.pipelineArn"), "arn:aws:codepipeline:us-east-1:123456789012:p");
    CHECK(number("metadata.updated") == number("metadata.created") + 60);
    CHECK_STR(run("GetPipeline", "{'name':'p','version':1}"), "");
    CHECK_STR(text("pipeline.stages.1.actions.0.name"), "One");
    CHECK_STR(run("GetPipeline", "{'name':'p','version':3}"), "PipelineVersionNotFoundException");
    CHECK_STR(run("GetPipeline", "{'name':'q'}"), "PipelineNotFoundException");
    CHECK_STR(run("UpdatePipeline", "%s", PIPELINE("q", SOURCE "," STAGE("Build", DO("Two", "")))),
              "ValidationException");
    close_story();
}

TEST(t_pipelines__deleting_twice_is_no_error_and_history_goes_too) {
    const char *id;
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
    id = latest_id("p");
    CHECK_STR(run("DeletePipeline", "{'name':'p'}"), "");
    CHECK_STR(run("DeletePipeline", "{'name':'p'}"), "");
    CHECK_STR(run("GetPipeline", "{'name':'p'}"), "PipelineNotFoundException");
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok")))), "");
    CHECK_STR(run("GetPipelineExecution", "{'pipelineName':'p','pipelineExecutionId':'%s'}", id),
              "PipelineExecutionNotFoundException");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK(count("pipelineExecutionSummaries") == 1);
    close_story();
}

TEST(t_pipelines__the_list_is_by_name_and_goes_on_by_token) {
    const char *token;
    begin_empty();
    for (int i = 9; i >= 0; i--) {
        CHECK_STR(
            run("CreatePipeline",
                "{'pipeline':{'name':'p%d'," ROLE "," STORE ",'stages':[" SOURCE "," STAGE("Ask", APPROVAL("Ok")) "]}}",
                i),
            "");
    }
    CHECK_STR(run("ListPipelines", "{'maxResults':6}"), "");
    CHECK(count("pipelines") == 6);
    CHECK_STR(text("pipelines.5.name"), "p5");
    token = keep("nextToken");
    CHECK_STR(run("DeletePipeline", "{'name':'p3'}"), "");
    CHECK_STR(run("ListPipelines", "{'nextToken':'%s'}", token), "");
    CHECK(count("pipelines") == 4);
    CHECK_STR(text("pipelines.0.name"), "p6");
    CHECK(value_at("nextToken") == NULL);
    CHECK_STR(run("ListPipelines", "{'nextToken':'00'}"), "InvalidNextTokenException");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p0','nextToken':'%s'}", token),
              "InvalidNextTokenException");
    close_story();
}

TEST(t_pipelines__secrets_are_shown_to_nobody_and_survive_an_edit) {
    begin_empty();
    put_source("src", "app.zip", "x");
    make_type("Test", "Vault", "{'name':'Key','required':true,'key':false,'secret':true}");
#define VAULT(value) \
    PIPELINE("p", SOURCE "," STAGE("Test", CUSTOM("Check", "Test", "Vault", ",'configuration':{'Key':'" value "'}")))
    CHECK_STR(run("CreatePipeline", "%s", VAULT("hush")), "");
    CHECK_STR(text("pipeline.stages.1.actions.0.configuration.Key"), "****");
    CHECK_STR(run("GetPipeline", "{'name':'p'}"), "");
    CHECK_STR(text("pipeline.stages.1.actions.0.configuration.Key"), "****");
    CHECK_STR(run("UpdatePipeline", "%s", VAULT("****")), "");
    start("p");
    CHECK_STR(run("PollForJobs", "{" TYPE("Test", "Vault") ",'maxBatchSize':9}"), "");
    CHECK_STR(text("jobs.0.data.actionConfiguration.configuration.Key"), "hush");
    close_story();
}

TEST(t_pipelines__tags_are_kept_changed_and_checked) {
#define ARN "arn:aws:codepipeline:us-east-1:123456789012:p"
    begin_empty();
    CHECK_STR(run("CreatePipeline", "{'tags':[{'key':'team','value':'a'}],'pipeline':{'name':'p'," ROLE "," STORE
                                    ",'stages':[" SOURCE "," STAGE("Ask", APPROVAL("Ok")) "]}}"),
              "");
    CHECK_STR(text("tags.0.key"), "team");
    CHECK_STR(
        run("TagResource", "{'resourceArn':'" ARN "','tags':[{'key':'team','value':'b'},{'key':'x','value':'y'}]}"),
        "");
    CHECK_STR(run("ListTagsForResource", "{'resourceArn':'" ARN "'}"), "");
    CHECK(count("tags") == 2);
    CHECK_STR(run("ListTagsForResource", "{'resourceArn':'" ARN "','maxResults':1}"), "");
    CHECK_STR(run("ListTagsForResource", "{'resourceArn':'" ARN "','nextToken':'%s'}", keep("nextToken")), "");
    CHECK(count("tags") == 1 && value_at("nextToken") == NULL);
    CHECK_STR(run("UntagResource", "{'resourceArn':'" ARN "','tagKeys':['x','none']}"), "");
    CHECK_STR(run("ListTagsForResource", "{'resourceArn':'" ARN "'}"), "");
    CHECK(count("tags") == 1);
    CHECK_STR(text("tags.0.value"), "b");
    CHECK_STR(run("TagResource", "{'resourceArn':'" ARN "','tags':[{'key':'aws:x','value':'y'}]}"),
              "InvalidTagsException");
    CHECK_STR(run("TagResource", "{'resourceArn':'" ARN "','tags':[{'key':'x','value':'y'},{'key':'x','value':'z'}]}"),
              "InvalidTagsException");
    CHECK_STR(run("TagResource", "{'resourceArn':'" ARN "q','tags':[]}"), "ResourceNotFoundException");
    CHECK_STR(run("TagResource", "{'resourceArn':'arn:aws:codepipeline:eu-west-1:123456789012:p','tags':[]}"),
              "InvalidArnException");
    close_story();
}

TEST(t_pipelines__more_than_fifty_tags_are_too_many) {
    cpl_buf tags;
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
    cpl_buf_init(&tags, 1 << 16);
    for (int i = 0; i < 51; i++) cpl_buf_addf(&tags, "%s{'key':'k%d','value':''}", i ? "," : "", i);
    CHECK_STR(run("TagResource", "{'resourceArn':'" ARN "','tags':[%s]}", cpl_buf_cstr(&tags)), "TooManyTagsException");
    cpl_buf_release(&tags);
    close_story();
}

/* ---- the S3 source ---- */

TEST(t_source__creating_a_pipeline_starts_it_and_the_object_is_copied) {
    emu_object object;
    begin(PIPELINE("p", SOURCE "," STAGE("Build", DO("One", ""))));
    CHECK_STR(stage_status("p", 0), "Succeeded");
    CHECK_STR(stage_status("p", 1), "InProgress");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK_STR(text("pipelineExecutionSummaries.0.trigger.triggerType"), "CreatePipeline");
    CHECK_STR(text("pipelineExecutionSummaries.0.sourceRevisions.0.actionName"), "Fetch");
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p'}"), "");
    CHECK_STR(text("actionExecutionDetails.1.actionName"), "Fetch");
    CHECK_STR(text("actionExecutionDetails.1.output.outputVariables.ObjectKey"), "app.zip");
    CHECK(emu_s3_get(story, "artifacts", text("actionExecutionDetails.1.output.outputArtifacts.0.s3location.key"),
                     &object));
    CHECK(cpl_str_is(object.body, "version one"));
    close_story();
}

TEST(t_source__an_object_or_bucket_that_is_missing_fails_the_action) {
    begin_empty();
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok")))), "");
    CHECK_STR(stage_status("p", 0), "Failed");
    CHECK_STR(text("stageStates.0.actionStates.0.latestExecution.errorDetails.code"), "RevisionUnavailable");
    CHECK(strstr(text("stageStates.0.actionStates.0.latestExecution.errorDetails.message"), "app.zip"));
    CHECK_STR(
        run("CreatePipeline", "%s",
            PIPELINE("q", STAGE("Source", S3_SOURCE("Fetch", "nowhere", "k", "App")) "," STAGE("Ask", APPROVAL("Ok")))),
        "");
    CHECK_STR(stage_status("q", 0), "Failed");
    CHECK(strstr(text("stageStates.0.actionStates.0.latestExecution.errorDetails.message"), "nowhere"));
    close_story();
}

TEST(t_source__a_new_object_starts_the_pipelines_that_poll_for_it) {
#define POLLING(flag)                                                                                               \
    STAGE("Source",                                                                                                 \
          "{'name':'Fetch','actionTypeId':{'category':'Source','owner':'AWS','provider':'S3','version':'1'},"       \
          "'configuration':{'S3Bucket':'src','S3ObjectKey':'app.zip'" flag "},'outputArtifacts':[{'name':'App'}]}") \
    "," STAGE("Ask", APPROVAL("Ok"))
    begin_empty();
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("default", POLLING(""))), "");
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("never", POLLING(",'PollForSourceChanges':'false'"))), "");
    put_source("src", "other.zip", "x");
    put_source("src", "app.zip", "x");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'default'}"), "");
    CHECK(count("pipelineExecutionSummaries") == 2);
    CHECK_STR(text("pipelineExecutionSummaries.0.trigger.triggerType"), "PollForSourceChanges");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'never'}"), "");
    CHECK(count("pipelineExecutionSummaries") == 1);
    close_story();
}

TEST(t_source__another_key_is_taken_only_where_it_is_allowed) {
    const char *id;
    begin(PIPELINE("p", POLLING(",'AllowOverrideForS3ObjectKey':'true'")));
    put_source("src", "other.zip", "the other");
#define OVERRIDE(type, value)                                                                                  \
    run("StartPipelineExecution", "{'name':'p','sourceRevisions':[{'actionName':'Fetch','revisionType':'" type \
                                  "','revisionValue':'" value "'}]}")
    CHECK_STR(OVERRIDE("S3_OBJECT_KEY", "other.zip"), "");
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p','filter':{'pipelineExecutionId':'%s'}}",
                  keep("pipelineExecutionId")),
              "");
    CHECK_STR(text("actionExecutionDetails.0.output.outputVariables.ObjectKey"), "other.zip");
    CHECK_STR(OVERRIDE("COMMIT_ID", "abc"), "ValidationException");
    CHECK_STR(OVERRIDE("S3_OBJECT_VERSION_ID", "no-such-version"), "");
    id = keep("pipelineExecutionId");
    CHECK_STR(execution_status("p", id), "Failed");
    CHECK_STR(run("StartPipelineExecution",
                  "{'name':'p','sourceRevisions':[{'actionName':'Nobody','revisionType':'S3_OBJECT_KEY','revisionValue'"
                  ":'k'}]}"),
              "ValidationException");
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("q", POLLING(""))), "");
    CHECK_STR(run("StartPipelineExecution",
                  "{'name':'q','sourceRevisions':[{'actionName':'Fetch','revisionType':'S3_OBJECT_KEY','revisionValue':"
                  "'other.zip'}]}"),
              "");
    id = keep("pipelineExecutionId");
    CHECK_STR(execution_status("q", id), "Failed");
    close_story();
}

TEST(t_source__an_older_version_can_be_asked_for) {
    emu_object object;
    cpl_json *bucket;
    const char *version;
    begin_empty();
    bucket = emu_store_get(emu_store_of(story), EMU_BUCKET, "src");
    NEED(cpl_json_set_cstr(bucket, "versioning", "Enabled"));
    put_source("src", "app.zip", "the first");
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok")))), "");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    version = keep("pipelineExecutionSummaries.0.sourceRevisions.0.revisionId");
    put_source("src", "app.zip", "the second");
    CHECK_STR(run("StartPipelineExecution",
                  "{'name':'p','sourceRevisions':[{'actionName':'Fetch','revisionType':'S3_OBJECT_VERSION_ID',"
                  "'revisionValue':'%s'}]}",
                  version),
              "");
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p','filter':{'pipelineExecutionId':'%s'}}",
                  keep("pipelineExecutionId")),
              "");
    CHECK_STR(text("actionExecutionDetails.0.output.outputVariables.VersionId"), version);
    CHECK(emu_s3_get(story, "artifacts", text("actionExecutionDetails.0.output.outputArtifacts.0.s3location.key"),
                     &object));
    CHECK(cpl_str_is(object.body, "the first"));
    close_story();
}

/* ---- deploying ---- */

TEST(t_deploy__one_object_is_copied_under_its_key) {
    emu_object object;
    begin_empty();
    put_source("src", "app.zip", "the bytes");
    CHECK(emu_s3_create_bucket(story, "site"));
    CHECK_STR(
        run("CreatePipeline", "%s", PIPELINE("p", SOURCE "," DEPLOY("'Extract':'false','ObjectKey':'out/page.html'"))),
        "");
    CHECK_STR(stage_status("p", 1), "Succeeded");
    NEED(emu_s3_get(story, "site", "out/page.html", &object));
    CHECK(cpl_str_is(object.body, "the bytes"));
    CHECK_STR(object.content_type, "text/html");
    close_story();
}

/* A zip with "index.html" ("hello") and "css/a.css" ("a"), stored. */
static const unsigned char two_files[] = {
    0x50, 0x4b, 3,    4,    10,   0,    0,    0,   0,   0,   0,   0,   0x21, 0,   0x86, 0xa6, 0x10, 0x36, 5,    0,
    0,    0,    5,    0,    0,    0,    10,   0,   0,   0,   'i', 'n', 'd',  'e', 'x',  '.',  'h',  't',  'm',  'l',
    'h',  'e',  'l',  'l',  'o',  0x50, 0x4b, 3,   4,   10,  0,   0,   0,    0,   0,    0,    0,    0x21, 0,    0x43,
    0xbe, 0xb7, 0xe8, 1,    0,    0,    0,    1,   0,   0,   0,   9,   0,    0,   0,    'c',  's',  's',  '/',  'a',
    '.',  'c',  's',  's',  'a',  0x50, 0x4b, 1,   2,   10,  0,   10,  0,    0,   0,    0,    0,    0,    0,    0x21,
    0,    0x86, 0xa6, 0x10, 0x36, 5,    0,    0,   0,   5,   0,   0,   0,    10,  0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,   0,   0,   0,   'i', 'n',  'd', 'e',  'x',  '.',  'h',  't',  'm',
    'l',  0x50, 0x4b, 1,    2,    10,   0,    10,  0,   0,   0,   0,   0,    0,   0,    0x21, 0,    0x43, 0xbe, 0xb7,
    0xe8, 1,    0,    0,    0,    1,    0,    0,   0,   9,   0,   0,   0,    0,   0,    0,    0,    0,    0,    0,
    0,    0,    0,    45,   0,    0,    0,    'c', 's', 's', '/', 'a', '.',  'c', 's',  's',  0x50, 0x4b, 5,    6,
    0,    0,    0,    0,    2,    0,    2,    0,   111, 0,   0,   0,   85,   0,   0,    0,    0,    0};

TEST(t_deploy__an_archive_is_unpacked_below_the_key) {
    emu_object object;
    begin_empty();
    CHECK(emu_s3_put(story, "src", "app.zip", (cpl_str){(const char *)two_files, sizeof two_files}, "application/zip"));
    CHECK(emu_s3_create_bucket(story, "site"));
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("p", SOURCE "," DEPLOY("'Extract':'true','ObjectKey':'www/'"))), "");
    CHECK_STR(stage_status("p", 1), "Succeeded");
    NEED(emu_s3_get(story, "site", "www/index.html", &object));
    CHECK(cpl_str_is(object.body, "hello"));
    NEED(emu_s3_get(story, "site", "www/css/a.css", &object));
    CHECK(cpl_str_is(object.body, "a"));
    CHECK_STR(object.content_type, "text/css");
    close_story();
}

TEST(t_deploy__what_is_no_archive_or_has_no_bucket_fails_clearly) {
    begin(PIPELINE("p", SOURCE "," DEPLOY("'Extract':'true'")));
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK(strstr(text("stageStates.1.actionStates.0.latestExecution.errorDetails.message"),
                 "The bucket site does not exist"));
    CHECK(emu_s3_create_bucket(story, "site"));
    start("p");
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK(strstr(text("stageStates.1.actionStates.0.latestExecution.errorDetails.message"),
                 "Deployment to the bucket site failed"));
    close_story();
}

TEST(t_deploy__a_pipeline_that_feeds_itself_goes_round_once_a_request) {
    begin_empty();
    CHECK(emu_s3_create_bucket(story, "site") && emu_s3_put(story, "site", "app.zip", CPL_LIT("x"), NULL));
    CHECK_STR(run("CreatePipeline", "%s",
                  PIPELINE("p", STAGE("Source",
                                      "{'name':'Fetch','actionTypeId':{'category':'Source','owner':'AWS','provider':'"
                                      "S3','version':'1'},"
                                      "'configuration':{'S3Bucket':'site','S3ObjectKey':'app.zip'},'outputArtifacts':[{"
                                      "'name':'App'}]}") "," DEPLOY("'Extract':'false','ObjectKey':'app.zip'"))),
              "");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK(count("pipelineExecutionSummaries") == 2);
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK(count("pipelineExecutionSummaries") == 3);
    close_story();
}

TEST(t_pipelines__a_page_token_that_was_never_given_is_refused_everywhere) {
    static const char *const calls[][2] = {
        {"ListPipelines", "'nextToken'"},
        {"ListActionTypes", "'nextToken'"},
        {"ListWebhooks", "'NextToken'"},
        {"ListPipelineExecutions", "'pipelineName':'p','nextToken'"},
        {"ListActionExecutions", "'pipelineName':'p','nextToken'"},
        {"ListRuleExecutions", "'pipelineName':'p','nextToken'"},
        {"ListDeployActionExecutionTargets", "'actionExecutionId':'x','nextToken'"},
        {"ListTagsForResource", "'resourceArn':'arn:aws:codepipeline:us-east-1:123456789012:p','nextToken'"},
    };
    static const char *const tokens[] = {"garbage", "00", "4c6973745069", "0a0a0a", "zz"};
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
    for (size_t i = 0; i < CPL_COUNT(calls); i++) {
        for (size_t j = 0; j < CPL_COUNT(tokens); j++) {
            CHECK_STR(run(calls[i][0], "{%s:'%s'}", calls[i][1], tokens[j]), "InvalidNextTokenException");
        }
    }
    close_story();
}

TEST_MAIN
