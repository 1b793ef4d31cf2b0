/* SPDX-License-Identifier: MIT */
#include <dirent.h>

#include "emu_story.h"

#define BUILD(more) STAGE("Build", CUSTOM("Compile", "Build", "Maker", more))
#define PROPERTIES                                                                   \
    "{'name':'Project','required':true,'key':true,'secret':false,'queryable':true}," \
    "{'name':'Token','required':false,'key':false,'secret':true}"
#define CONFIGURED ",'configuration':{'Project':'demo'}"

static void begin_types(void) {
    CHECK(open_story(NULL));
    make_type("Build", "Maker", PROPERTIES);
    make_type("Source", "Fetcher", "");
}

/* The pipeline is refused with code, and the message names what is at fault. */
static void refused(const char *pipeline, const char *code, const char *names) {
    CHECK_STR(run("CreatePipeline", "%s", pipeline), code);
    if (strstr(message(), names) == NULL) CHECK_STR(message(), names);
}

#define REFUSED(stages, code, names) refused(PIPELINE("p", stages), code, names)
#define STRUCTURE "InvalidStructureException"
#define BAD_STAGE "InvalidStageDeclarationException"
#define BAD_ACTION "InvalidActionDeclarationException"

TEST(t_structure__a_good_pipeline_is_taken_with_its_defaults) {
    begin_types();
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("p", SOURCE "," BUILD(CONFIGURED))), "");
    CHECK_STR(text("pipeline.pipelineType"), "V1");
    CHECK_STR(text("pipeline.executionMode"), "SUPERSEDED");
    CHECK(number("pipeline.version") == 1);
    CHECK(number("pipeline.stages.1.actions.0.runOrder") == 1);
    close_story();
}

TEST(t_structure__stages_must_be_two_and_have_names_of_their_own) {
    begin_types();
    REFUSED(SOURCE, STRUCTURE, "minimum of 2 stages");
    REFUSED(SOURCE "," BUILD(CONFIGURED) "," BUILD(CONFIGURED), BAD_STAGE, "Build occurs more than once");
    REFUSED(SOURCE ",{'name':'Empty','actions':[]}", BAD_STAGE, "Empty has 0 actions");
    close_story();
}

TEST(t_structure__the_first_stage_has_the_sources_and_only_it) {
    begin_types();
    REFUSED(BUILD(CONFIGURED) "," SOURCE, STRUCTURE, "Compile in stage Build");
    REFUSED(SOURCE "," STAGE("More", S3_SOURCE("Again", "src", "b.zip", "Other")), STRUCTURE, "Again is in stage More");
    REFUSED(STAGE("Source", S3_SOURCE("Fetch", "src", "app.zip", "App") "," APPROVAL("Ask")) "," BUILD(CONFIGURED),
            STRUCTURE, "action Ask in stage Source");
    close_story();
}

TEST(t_structure__action_names_are_unique_within_their_stage_only) {
    begin_types();
    REFUSED(SOURCE "," STAGE("Ask", APPROVAL("Same") "," APPROVAL("Same")), BAD_ACTION,
            "Same occurs more than once in Ask");
    CHECK_STR(run("CreatePipeline", "%s",
                  PIPELINE("p", SOURCE "," STAGE("A", APPROVAL("Same")) "," STAGE("B", APPROVAL("Same")))),
              "");
    close_story();
}

TEST(t_structure__artifacts_must_be_made_before_they_are_used) {
    begin_types();
    REFUSED(SOURCE "," BUILD(CONFIGURED ",'inputArtifacts':[{'name':'Nothing'}]"), STRUCTURE,
            "Nothing of action Compile in stage Build");
    REFUSED(SOURCE "," BUILD(CONFIGURED ",'inputArtifacts':[{'name':'App'},{'name':'App'}]"), BAD_ACTION,
            "App more than once");
    REFUSED(SOURCE "," BUILD(CONFIGURED ",'outputArtifacts':[{'name':'App'}]"), STRUCTURE,
            "App of action Compile in stage Build has been used more than once");
    /* of the same run order: not before */
    REFUSED(SOURCE "," STAGE("Build",
                             CUSTOM("One", "Build", "Maker", CONFIGURED ",'outputArtifacts':[{'name':'X'}]") "," CUSTOM(
                                 "Two", "Build", "Maker", CONFIGURED ",'inputArtifacts':[{'name':'X'}]")),
            STRUCTURE, "X of action Two in stage Build");
    /* of a lower run order, though declared later */
    CHECK_STR(
        run("CreatePipeline", "%s",
            PIPELINE(
                "p",
                SOURCE "," STAGE(
                    "Build",
                    CUSTOM("Two", "Build", "Maker",
                           CONFIGURED
                           ",'runOrder':2,'inputArtifacts':[{'name':'X'}]") "," CUSTOM("One", "Build", "Maker",
                                                                                       CONFIGURED ",'outputArtifacts':["
                                                                                                  "{'name':'X'}]")))),
        "");
    close_story();
}

TEST(t_structure__artifact_counts_are_those_of_the_action_type) {
    begin_types();
    REFUSED(STAGE("Source",
                  "{'name':'Fetch','actionTypeId':{'category':'Source','owner':'AWS','provider':'S3','version':'1'},"
                  "'configuration':{'S3Bucket':'b','S3ObjectKey':'k'}}") "," BUILD(CONFIGURED),
            BAD_ACTION, "Fetch in stage Source declares 0 output artifacts which is less than the minimum count (1)");
    REFUSED(SOURCE "," STAGE(
                "Ship",
                "{'name':'Deploy','actionTypeId':{'category':'Deploy','owner':'AWS','provider':'S3','version':'1'},"
                "'configuration':{'BucketName':'b','Extract':'true'}}"),
            BAD_ACTION, "Deploy in stage Ship declares 0 input artifacts which is less than the minimum count (1)");
    REFUSED(SOURCE "," STAGE(
                "Ask",
                "{'name':'Ok','actionTypeId':{'category':'Approval','owner':'AWS','provider':'Manual','version':'1'},"
                "'inputArtifacts':[{'name':'App'}]}"),
            BAD_ACTION, "Ok in stage Ask declares 1 input artifacts which is more than the maximum count (0)");
    close_story();
}

TEST(t_structure__the_action_type_must_exist) {
    begin_types();
    REFUSED(SOURCE "," STAGE("Build", CUSTOM("Compile", "Build", "Nobody", "")), BAD_ACTION,
            "ActionType (Category: 'Build', Provider: 'Nobody', Owner: 'Custom', Version: '1') in action 'Compile'");
    CHECK_STR(run("DeleteCustomActionType", "{'category':'Build','provider':'Maker','version':'1'}"), "");
    REFUSED(SOURCE "," BUILD(CONFIGURED), BAD_ACTION, "Provider: 'Maker'");
    close_story();
}

TEST(t_structure__configuration_has_what_the_type_requires_and_nothing_else) {
    begin_types();
    REFUSED(SOURCE "," BUILD(""), BAD_ACTION, "'Compile' in stage 'Build' is missing required configuration 'Project'");
    REFUSED(SOURCE "," BUILD(",'configuration':{'Project':'x','Colour':'red'}"), BAD_ACTION,
            "unknown configuration 'Colour'");
    REFUSED(SOURCE "," BUILD(",'configuration':{'Project':'not one word'}"), BAD_ACTION,
            "queryable property 'Project'");
    REFUSED(SOURCE "," BUILD(",'configuration':{'Project':'x','Token':'****'}"), BAD_ACTION, "secret property 'Token'");
    REFUSED(STAGE("Source",
                  "{'name':'Fetch','actionTypeId':{'category':'Source','owner':'AWS','provider':'S3','version':'1'},"
                  "'configuration':{'S3Bucket':'b'},'outputArtifacts':[{'name':'App'}]}") "," BUILD(CONFIGURED),
            BAD_ACTION, "'S3ObjectKey'");
    REFUSED(SOURCE "," STAGE(
                "Ship",
                "{'name':'Deploy','actionTypeId':{'category':'Deploy','owner':'AWS','provider':'S3','version':'1'},"
                "'configuration':{'BucketName':'b','Extract':'false'},'inputArtifacts':[{'name':'App'}]}"),
            BAD_ACTION, "'ObjectKey', because 'Extract' is false");
    REFUSED(SOURCE "," STAGE(
                "Ship",
                "{'name':'Deploy','actionTypeId':{'category':'Deploy','owner':'AWS','provider':'S3','version':'1'},"
                "'configuration':{'BucketName':'b','Extract':'maybe'},'inputArtifacts':[{'name':'App'}]}"),
            BAD_ACTION, "'Extract' must be true or false");
    close_story();
}

TEST(t_structure__there_is_one_artifact_store_or_one_a_region) {
    begin_types();
    refused("{'pipeline':{'name':'p'," ROLE ",'stages':[" SOURCE "," BUILD(CONFIGURED) "]}}", STRUCTURE,
            "either artifactStore");
    refused("{'pipeline':{'name':'p'," ROLE "," STORE
            ",'artifactStores':{'us-east-1':{'type':'S3','location':'abc'}},'stages':[" SOURCE
            "," BUILD(CONFIGURED) "]}}",
            STRUCTURE, "must not have both");
    refused("{'pipeline':{'name':'p'," ROLE
            ",'artifactStores':{'eu-west-1':{'type':'S3','location':'abc'}},'stages':[" SOURCE
            "," BUILD(CONFIGURED) "]}}",
            STRUCTURE, "own region us-east-1");
    REFUSED(SOURCE "," BUILD(CONFIGURED ",'region':'eu-west-1'"), STRUCTURE,
            "Compile in stage Build runs in region eu-west-1");
    close_story();
}

TEST(t_structure__namespaces_are_unique_known_and_not_reserved) {
    begin_types();
    REFUSED(SOURCE "," BUILD(CONFIGURED ",'namespace':'codepipeline'"), BAD_ACTION, "reserved namespace codepipeline");
    REFUSED(SOURCE "," BUILD(CONFIGURED ",'namespace':'App'"), STRUCTURE, "Namespace App has the name of an artifact");
    REFUSED(SOURCE "," STAGE("Build", CUSTOM("One", "Build", "Maker", CONFIGURED ",'namespace':'n'") "," CUSTOM(
                                          "Two", "Build", "Maker", CONFIGURED ",'namespace':'n'")),
            STRUCTURE, "n of action Two");
    REFUSED(SOURCE "," BUILD(",'configuration':{'Project':'x','Token':'#{late.key}'}"), BAD_ACTION,
            "the namespace late");
    close_story();
}

TEST(t_structure__type_v1_has_no_modes_variables_or_triggers) {
    begin_types();
    refused("{'pipeline':{'name':'p','executionMode':'QUEUED'," ROLE "," STORE ",'stages':[" SOURCE
            "," BUILD(CONFIGURED) "]}}",
            STRUCTURE, "QUEUED needs a pipeline of type V2");
    refused("{'pipeline':{'name':'p','variables':[{'name':'v'}]," ROLE "," STORE ",'stages':[" SOURCE
            "," BUILD(CONFIGURED) "]}}",
            STRUCTURE, "variables need a pipeline of type V2");
    refused("{'pipeline':{'name':'p','pipelineType':'V2','variables':[{'name':'v'},{'name':'v'}]," ROLE "," STORE
            ",'stages':[" SOURCE "," BUILD(CONFIGURED) "]}}",
            STRUCTURE, "v occurs more than once");
    CHECK_STR(run("CreatePipeline", "{'pipeline':{'name':'p','pipelineType':'V2','executionMode':'PARALLEL'," ROLE
                                    "," STORE ",'stages':[" SOURCE "," BUILD(CONFIGURED) "]}}"),
              "");
    close_story();
}

TEST(t_structure__a_push_is_of_a_branch_or_of_a_tag) {
#define TRIGGERED(push)                                                                                          \
    "{'pipeline':{'name':'p','pipelineType':'V2','triggers':[{'providerType':'CodeStarSourceConnection',"        \
    "'gitConfiguration':{'sourceActionName':'Fetch','push':[{" push "}]}}]," ROLE "," STORE ",'stages':[" SOURCE \
    "," BUILD(CONFIGURED) "]}}"
    begin_types();
    refused(TRIGGERED("'tags':{'includes':['v*']},'branches':{'includes':['main']}"), STRUCTURE,
            "tags beside branches");
    CHECK_STR(
        run("CreatePipeline", "%s", TRIGGERED("'branches':{'includes':['main']},'filePaths':{'includes':['a/*']}")),
        "");
    CHECK_STR(run("GetPipeline", "{'name':'p'}"), "");
    CHECK_STR(text("pipeline.triggers.0.gitConfiguration.push.0.branches.includes.0"), "main");
    close_story();
}

TEST(t_structure__blockers_are_named_when_refused) {
    begin_types();
    refused("{'pipeline':{'name':'p'," ROLE "," STORE ",'stages':[" SOURCE
            ",{'name':'Build','blockers':[{'name':'b','type':'Schedule'},"
            "{'name':'b','type':'Schedule'}],'actions':[" APPROVAL("Ok") "]}]}}",
            "InvalidBlockerDeclarationException", "b occurs more than once in Build");
    close_story();
}

TEST(t_structure__limits_of_the_quotas_page_hold) {
    cpl_buf stages;
    begin_types();
    cpl_buf_init(&stages, 1 << 20);
    for (int i = 0; i < 50; i++) cpl_buf_addf(&stages, ",{'name':'S%d','actions':[" APPROVAL("Ok") "]}", i);
    CHECK_STR(run("CreatePipeline", "{'pipeline':{'name':'p'," ROLE "," STORE ",'stages':[" SOURCE "%s]}}",
                  cpl_buf_cstr(&stages)),
              STRUCTURE);
    cpl_buf_clear(&stages);
    for (int i = 0; i < 51; i++)
        cpl_buf_addf(
            &stages,
            "%s{'name':'A%d','actionTypeId':{'category':'Approval','owner':'AWS','provider':'Manual','version':'1'}}",
            i ? "," : "", i);
    CHECK_STR(run("CreatePipeline",
                  "{'pipeline':{'name':'p'," ROLE "," STORE ",'stages':[" SOURCE ",{'name':'Ask','actions':[%s]}]}}",
                  cpl_buf_cstr(&stages)),
              BAD_STAGE);
    cpl_buf_release(&stages);
    close_story();
}

TEST(t_structure__a_name_is_used_once) {
    begin_types();
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("p", SOURCE "," BUILD(CONFIGURED))), "");
    REFUSED(SOURCE "," BUILD(CONFIGURED), "PipelineNameInUseException", "'p' already exists");
    close_story();
}

/* ---- third-party pipelines ---- */

/* A member the model does not have is for a client to refuse; a service passes over it. */
static bool clean(const cpl_json *verdict) {
    const cpl_json *violations = cpl_json_get(verdict, "model_violations");
    for (const cpl_json *i = cpl_json_first(violations); i; i = cpl_json_next(i)) {
        if (strstr(cpl_json_cstr(i, ""), ": unknown member") == NULL) return false;
    }
    return cpl_json_count(cpl_json_get(verdict, "structural")) == 0;
}

static cpl_json *read_json(const char *path) {
    size_t size;
    char *bytes = test_read_file(path, &size);
    cpl_json *json = NULL;
    if (bytes) cpl_json_parse((cpl_str){bytes, size}, &json, NULL);
    free(bytes);
    return json;
}

static void judge(const cpl_json *verdict) {
    char rest[512];
    const char *path, *code;
    cpl_json *file;
    cpl_buf in;
    snprintf(rest, sizeof rest, "payloads/%s", cpl_json_get_cstr(verdict, "file", ""));
    path = test_suite_path(rest);
    file = path ? read_json(path) : NULL;
    if (!CHECK(file)) return;
    cpl_json_remove(file, "metadata"); /* part of GetPipeline's answer, not of a request */
    cpl_buf_init(&in, 1 << 20);
    cpl_json_write(file, &in);
    code = run("CreatePipeline", "%s", cpl_buf_cstr(&in));
    if (!CHECK((code[0] == '\0') == clean(verdict))) printf("  %s: %s: %s\n", rest, code, message());
    run("DeletePipeline", "{'name':'%s'}", cpl_json_get_cstr(cpl_json_get(file, "pipeline"), "name", "none"));
    cpl_buf_release(&in);
    cpl_json_free(file);
}

static size_t files_in(const char *folder) {
    const char *path = test_suite_path(folder);
    DIR *dir = path ? opendir(path) : NULL;
    size_t n = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) n += strstr(entry->d_name, ".json") != NULL;
    if (dir) closedir(dir);
    return n;
}

TEST(t_structure__pipelines_of_others_get_the_verdict_they_deserve) {
    size_t files = files_in("payloads/pipelines") + files_in("payloads/pipelines-derived-from-cfn");
    const char *path = test_suite_path("payloads/verdicts.json");
    cpl_json *verdicts;
    if (path == NULL) SKIP("no payloads suite");
    verdicts = read_json(path);
    NEED(files > 20 && cpl_json_count(verdicts) == files);
    CHECK(open_story(NULL));
    for (const cpl_json *i = cpl_json_first(verdicts); i; i = cpl_json_next(i)) judge(i);
    cpl_json_free(verdicts);
    close_story();
}

TEST_MAIN
