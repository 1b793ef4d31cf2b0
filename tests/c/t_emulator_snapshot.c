/* SPDX-License-Identifier: MIT */
/* A whole state out and in again: all of it, and nothing of one that is damaged. */
#include <unistd.h>

#include "../../core/emulator/scripts.h"
#include "../../core/emulator/snapshot.h"
#include "emu_story.h"

#define MAKE STAGE("Build", DO("Make", ",'inputArtifacts':[{'name':'App'}],'outputArtifacts':[{'name':'Bin'}]"))

/* The state of the story, for free(). */
static char *exported(bool objects) {
    cpl_buf out;
    char *text;
    cpl_buf_init(&out, 1 << 26);
    emu_snapshot_write(story, objects, &out);
    CHECK(cpl_buf_ok(&out));
    text = strdup(cpl_buf_cstr(&out));
    cpl_buf_release(&out);
    return text;
}

static cpl_status import(const char *text, cpl_error *err) {
    cpl_json *state = NULL;
    cpl_status status = cpl_json_parse(cpl_str_of(text), &state, err);
    if (status == CPL_OK) status = emu_snapshot_read(story, state, err);
    cpl_json_free(state);
    return status;
}

/* Goes on in a new emulator that begins with text. */
static bool reopen(const char *text) {
    cpl_emulator_options options = {.state = cpl_str_of(text)};
    cpl_error err = {0};
    close_story();
    if (!CHECK(emu_new(&story, &options, &err) == CPL_OK)) {
        printf("  %s\n", err.message);
        return false;
    }
    return true;
}

/* Everything there is: two pipelines, one with conditions, executions of every kind, jobs, webhooks, tags, ... */
static void begin_all(void) {
    cpl_json *script = NULL;
    static const char conditions[] =
        "{'pipeline':{'name':'q','pipelineType':'V2','executionMode':'QUEUED'," ROLE "," STORE
        ",'variables':[{'name':'tag','defaultValue':'v1'}],'stages':[" SOURCE
        ",{'name':'Build','beforeEntry':{'conditions':[{'result':'FAIL','rules':[{'name':'Tag','ruleTypeId':"
        "{'category':'Rule','owner':'AWS','provider':'VariableCheck','version':'1'},'configuration':"
        "{'Variable':'#{variables.tag}','Value':'v2','Operator':'EQ'}}]}]},'actions':[" DO("Make", "") "]}]}}";
    const char *id;
    begin(PIPELINE("p", SOURCE "," MAKE "," STAGE("Gate", APPROVAL("Ask"))));
    CHECK_STR(succeed(next_job()), "");
    start("p");
    CHECK_STR(fail_job(next_job()), "");
    start("p");
    next_job();
    CHECK_STR(run("CreatePipeline", "%s", conditions), "");
    CHECK_STR(run("StartPipelineExecution", "{'name':'q','variables':[{'name':'tag','value':'v2'}]}"), "");
    id = keep("pipelineExecutionId");
    CHECK_STR(run("StopPipelineExecution", "{'pipelineName':'q','pipelineExecutionId':'%s','reason':'no'}", id), "");
    CHECK(cpl_json_parse(CPL_LIT("{\"outcome\":\"succeed\",\"after\":3600}"), &script, NULL) == CPL_OK);
    CHECK(emu_scripts_add(story, script, NULL) == CPL_OK);
    CHECK_STR(run("CreatePipeline", "%s",
                  PIPELINE("r", SOURCE "," STAGE("Build",
                                                 "{'name':'Code','actionTypeId':{'category':'Build','owner':"
                                                 "'AWS','provider':'CodeBuild','version':'1'},"
                                                 "'configuration':{'ProjectName':'x'},"
                                                 "'inputArtifacts':[{'name':'App'}]}"))),
              "");
    CHECK_STR(run("DisableStageTransition",
                  "{'pipelineName':'p','stageName':'Gate','transitionType':'Inbound','reason':'not now'}"),
              "");
    CHECK_STR(run("PutWebhook",
                  "{'webhook':{'name':'w','targetPipeline':'q','targetAction':'Fetch','filters':"
                  "[{'jsonPath':'$.ref'}],'authentication':'UNAUTHENTICATED',"
                  "'authenticationConfiguration':{}}}"),
              "");
    CHECK_STR(run("TagResource",
                  "{'resourceArn':'arn:aws:codepipeline:us-east-1:123456789012:p',"
                  "'tags':[{'key':'team','value':'blue'}]}"),
              "");
    CHECK_STR(run("UpdateActionType",
                  "{'actionType':{'id':{'category':'Test','owner':'ThirdParty','provider':'Lab','version':'1'},"
                  "'executor':{'type':'JobWorker','configuration':{'jobWorkerExecutorConfiguration':"
                  "{'pollingAccounts':['123456789012']}}},"
                  "'inputArtifactDetails':{'minimumCount':0,'maximumCount':1},"
                  "'outputArtifactDetails':{'minimumCount':0,'maximumCount':1}}}"),
              "");
}

/* ---- out and in ---- */

TEST(t_snapshot__a_story_goes_on_in_another_emulator) {
    story_job job;
    const char *id;
    char *state;
    emu_object object;
    begin(PIPELINE("p", SOURCE "," MAKE "," STAGE("Last", DO("Again", ",'inputArtifacts':[{'name':'Bin'}]"))));
    id = latest_id("p");
    job = take("Build", "Maker");
    state = exported(true);
    NEED(reopen(state));
    free(state);
    CHECK_STR(acknowledge(job), "");
    CHECK_STR(text("status"), "InProgress");
    CHECK_STR(run("GetJobDetails", "{'jobId':'%s'}", job.id), "");
    CHECK(emu_s3_get(story, "artifacts", text("jobDetails.data.inputArtifacts.0.location.s3Location.objectKey"),
                     &object));
    CHECK(cpl_str_is(object.body, "version one"));
    CHECK_STR(succeed(job), "");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", id), "Succeeded");
    close_story();
}

TEST(t_snapshot__out_in_and_out_again_is_the_same) {
    char *first, *second;
    begin_all();
    emu_clock_freeze(story, true);
    first = exported(true);
    NEED(reopen(first));
    second = exported(true);
    CHECK(strcmp(first, second) == 0);
    free(first);
    free(second);
    close_story();
}

TEST(t_snapshot__without_objects_the_rest_is_there) {
    char *state;
    begin_all();
    state = exported(false);
    CHECK(strstr(state, "\"objects\"") == NULL && strstr(state, "\"blobs\"") == NULL);
    NEED(reopen(state));
    free(state);
    CHECK(emu_s3_bucket_exists(story, "src"));
    CHECK_STR(stage_status("p", 1), "InProgress");
    CHECK_STR(run("ListTagsForResource", "{'resourceArn':'arn:aws:codepipeline:us-east-1:123456789012:p'}"), "");
    CHECK_STR(text("tags.0.value"), "blue");
    CHECK_STR(run("ListWebhooks", "{}"), "");
    CHECK_STR(text("webhooks.0.definition.name"), "w");
    CHECK_STR(run("GetActionType", "{'category':'Test','owner':'ThirdParty','provider':'Lab','version':'1'}"), "");
    CHECK_STR(start("q"), keep("pipelineExecutionId"));
    close_story();
}

TEST(t_snapshot__the_clock_goes_on_from_where_it_stood) {
    char *state;
    begin(PIPELINE("p", SOURCE "," STAGE("Gate", APPROVAL("Ask"))));
    turn_clock(6 * 24 * 3600);
    state = exported(true);
    NEED(reopen(state));
    CHECK(emu_now_ms(story) == story_now + (int64_t)6 * 24 * 3600 * 1000);
    CHECK_STR(stage_status("p", 1), "InProgress");
    turn_clock(24 * 3600 + 1);
    CHECK_STR(stage_status("p", 1), "Failed");
    emu_clock_freeze(story, true);
    free(state);
    state = exported(true);
    NEED(reopen(state));
    CHECK(emu_clock_frozen(story));
    free(state);
    close_story();
}

TEST(t_snapshot__a_file_is_replaced_as_a_whole) {
    char path[] = "/tmp/t_snapshot_XXXXXX", *state, *again;
    begin_all();
    emu_clock_freeze(story, true);
    state = exported(true);
    close_story();
    close(mkstemp(path));
    unlink(path);
    NEED(open_story(path));
    make_type("Test", "Before", "");
    put_source("before", "key", "gone");
    CHECK(import(state, NULL) == CPL_OK);
    CHECK(!emu_s3_bucket_exists(story, "before"));
    close_story();
    NEED(open_story(path));
    emu_clock_set(story, story_now, true);
    again = exported(true);
    CHECK(strcmp(strstr(state, "\"meta\""), strstr(again, "\"meta\"")) == 0);
    free(state);
    free(again);
    close_story();
    unlink(path);
}

/* As somebody does who edits the file. */
static void spoil_stage(const char *path) {
    emu_store *store = NULL;
    const char *key;
    cpl_json *execution;
    NEED(emu_store_open(&store, path, NULL) == CPL_OK);
    for (size_t i = 0; (execution = emu_store_at(store, EMU_EXECUTION, i, &key)) != NULL; i++) {
        cpl_json *stage = cpl_json_first(cpl_json_get(execution, "stages"));
        cpl_json_set_cstr(cpl_json_get(stage, "actions"), "Fetch", "nobody");
        emu_store_touch(store, EMU_EXECUTION, key);
    }
    CHECK(emu_store_commit(store, NULL) == CPL_OK);
    emu_store_close(store);
}

TEST(t_snapshot__a_file_whose_documents_are_damaged_is_refused_with_the_place) {
    char path[] = "/tmp/t_snapshot_XXXXXX";
    cpl_emulator_options options = {.path = cpl_str_of(path)};
    cpl_error err = {0};
    close(mkstemp(path));
    unlink(path);
    NEED(open_story(path));
    put_source("src", "app.zip", "one");
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok")))), "");
    close_story();
    NEED(open_story(path)); /* as it was it is fine */
    close_story();
    spoil_stage(path);
    CHECK(emu_new(&story, &options, &err) == CPL_IO && story == NULL);
    CHECK(strstr(err.message, path) && strstr(err.message, "is damaged"));
    CHECK_STR(err.path, "executions[0].document.stages.Source.actions.Fetch");
    unlink(path);
}

TEST(t_snapshot__what_a_script_has_put_off_happens_in_its_time) {
    char *state;
    begin_all();
    CHECK_STR(stage_status("r", 1), "InProgress");
    state = exported(true);
    NEED(reopen(state));
    free(state);
    CHECK_STR(stage_status("r", 1), "InProgress");
    turn_clock(3601);
    CHECK_STR(stage_status("r", 1), "Succeeded");
    close_story();
}

TEST(t_snapshot__scripts_are_no_state_and_stay) {
    char *state;
    begin_all();
    state = exported(true);
    CHECK(import(state, NULL) == CPL_OK);
    free(state);
    start("r");
    CHECK_STR(stage_status("r", 1), "InProgress");
    close_story();
}

/* ---- damage ---- */

/* text with the first from replaced by to; for free(). JSON is written with ' for ". */
static char *edited(const char *state, const char *from, const char *to) {
    char quoted[2][512], *made;
    size_t size;
    const char *at;
    for (int i = 0; i < 2; i++) {
        snprintf(quoted[i], sizeof quoted[i], "%s", i ? to : from);
        for (char *p = quoted[i]; *p; p++) *p = *p == '\'' ? '"' : *p;
    }
    at = strstr(state, quoted[0]);
    if (at == NULL) printf("  no %s\n", quoted[0]);
    size = strlen(state) + sizeof quoted[1];
    made = malloc(size);
    snprintf(made, size, "%.*s%s%s", at ? (int)(at - state) : 0, state, at ? quoted[1] : "",
             at ? at + strlen(quoted[0]) : "");
    return made;
}

TEST(t_snapshot__what_is_damaged_is_named_and_changes_nothing) {
    static const struct {
        const char *from, *to, *path, *message;
    } cases[] = {
        {"'format':'codepipeline-emulator'", "'format':'x'", "format", "not one of codepipeline-emulator"},
        {"'version':1,'region'", "'version':2,'region'", "version", "2, and this reads 1"},
        {"'region':'us-east-1'", "'region':'eu-west-1'", "region", "\"eu-west-1\", and the emulator plays"},
        {"'account':'123456789012'", "'account':'210987654321'", "account", "and the emulator plays"},
        {"'clock':{", "'clocks':{},'clock':{", "clocks", "unknown"},
        {"'frozen':false", "'frozen':0", "clock.frozen", "not a boolean"},
        {"{'key':'p','document'", "{'kez':'p','document'", "pipelines[0].key", "missing"},
        {"'latest':1", "'latest':7", "pipelines[0].document.latest", "names no version"},
        {"'latest':1", "'latest':1.5", "pipelines[0].document.latest", "not a whole number"},
        {"'stages':[", "'stagez':[", "pipelines[0].document.versions.1.stagez", "unknown"},
        {"'mode':'SUPERSEDED'", "'mode':'SUPER'", "executions[0].document.mode",
         "not one of SUPERSEDED|QUEUED|PARALLEL"},
        {"'pipeline':'p','mode'", "'pipeline':'x','mode'", "executions[0].document.pipeline", "no such pipeline"},
        {"'actions':{'Fetch':'", "'actions':{'Fetch':'?", "executions[0].document.stages.Source.actions.Fetch",
         "no such action execution"},
        {"'started':1700000000", "'started':'now'", "executions[0].document.started", "not a number"},
        {"'base64':'", "'base64':'!", "blobs[0].base64", "not base64"},
        {"'query':{}", "'query':{'Key':1}", "jobs[0].document.query.Key", "not text"},
        {"'blobs':[{'key':'src/app.zip'", "'blobs':[{'key':'src/app'", "objects[0].document", "no such bytes"},
        {"'tags':[{'key':'team'", "'tags':[{'kez':'team'", "tags[", "missing"},
    };
    char *state, *before, *after;
    begin_all();
    state = exported(true);
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        char *bad = edited(state, cases[i].from, cases[i].to);
        cpl_error err = {0};
        before = exported(true);
        CHECK(import(bad, &err) == CPL_INVALID);
        if (strncmp(err.path, cases[i].path, strlen(cases[i].path)) != 0) CHECK_STR(err.path, cases[i].path);
        if (!CHECK(strstr(err.message, cases[i].message))) printf("  %s\n", err.message);
        after = exported(true);
        CHECK(strcmp(before, after) == 0);
        free(before);
        free(after);
        free(bad);
    }
    free(state);
    close_story();
}

TEST(t_snapshot__an_emulator_does_not_start_from_what_is_damaged) {
    cpl_error err = {0};
    CHECK(emu_new(&story, &(cpl_emulator_options){.state = CPL_LIT("{\"format\":")}, &err) == CPL_INVALID);
    CHECK_STR(err.path, "state");
    CHECK(emu_new(&story, &(cpl_emulator_options){.state = CPL_LIT("[]")}, &err) == CPL_INVALID);
    CHECK(emu_new(&story, &(cpl_emulator_options){.state = CPL_LIT("{\"region\":\"A B\"}")}, &err) == CPL_INVALID);
    CHECK_STR(err.path, "region");
    CHECK(story == NULL);
}

/* Whatever is not refused must not bring the emulator down either, whatever is asked of it then. */
static void ask_all(void) {
    static const char *const names[] = {"p", "q", "r"};
    for (size_t i = 0; i < CPL_COUNT(names); i++) {
        run("GetPipeline", "{'name':'%s'}", names[i]);
        run("GetPipelineState", "{'name':'%s'}", names[i]);
        run("ListPipelineExecutions", "{'pipelineName':'%s'}", names[i]);
        run("GetPipelineExecution", "{'pipelineName':'%s','pipelineExecutionId':'%s'}", names[i],
            keep("pipelineExecutionSummaries.0.pipelineExecutionId"));
        run("ListActionExecutions", "{'pipelineName':'%s'}", names[i]);
        run("ListRuleExecutions", "{'pipelineName':'%s'}", names[i]);
        run("StartPipelineExecution", "{'name':'%s'}", names[i]);
    }
    run("ListPipelines", "{}");
    run("ListActionTypes", "{}");
    run("ListWebhooks", "{}");
    run("PollForJobs", "{'actionTypeId':{'category':'Build','owner':'Custom','provider':'Maker','version':'1'}}");
    run("AcknowledgeJob", "{'jobId':'%s','nonce':'%s'}", keep("jobs.0.id"), keep("jobs.0.nonce"));
    turn_clock(30 * 24 * 3600);
    run("ListPipelines", "{}");
    for (size_t i = 0; i < CPL_COUNT(names); i++) run("DeletePipeline", "{'name':'%s'}", names[i]);
}

/* The n-th value of the document, counted in its order, and what holds it; *n is below 0 once it was found. */
static cpl_json *find_value(cpl_json *in, int *n, cpl_json **holder) {
    for (cpl_json *i = cpl_json_first(in); i; i = cpl_json_next(i)) {
        cpl_json *found;
        if ((*n)-- == 0) {
            *holder = in;
            return i;
        }
        found = find_value(i, n, holder);
        if (found) return found;
    }
    return NULL;
}

static cpl_json *other_value(int which) {
    switch (which) {
    case 0: return cpl_json_new_null();
    case 1: return cpl_json_new_number(-1);
    case 2: return cpl_json_new_string(CPL_LIT("?"));
    case 3: return cpl_json_new_array();
    case 4: return cpl_json_new_object();
    case 5: return cpl_json_new_number(1e300);
    default: return cpl_json_new_bool(true);
    }
}
#define OTHER_VALUES 7

/* Replaces the n-th value, or removes it; false: there are not so many. */
static bool damage(cpl_json *state, int n, int how) {
    cpl_json *holder = NULL, *value = find_value(state, &n, &holder);
    char key[256];
    if (value == NULL) return false;
    CPL_COPY(key, cpl_json_key(value));
    if (how == OTHER_VALUES || cpl_json_kind_of(holder) == CPL_JSON_ARRAY) {
        cpl_json_free(cpl_json_detach(holder, value));
        return how == OTHER_VALUES || cpl_json_push(holder, other_value(how));
    }
    return cpl_json_set(holder, key, other_value(how));
}

/* Refused with a place named, and nothing changed; or taken, and nothing that is asked of it then is too much. */
static bool survives(const char *good, cpl_json *damaged, bool *taken) {
    cpl_error err = {0};
    char *after;
    bool same;
    *taken = emu_snapshot_read(story, damaged, &err) == CPL_OK;
    if (*taken) ask_all();
    if (*taken && import(good, &err) != CPL_OK) return false;
    after = exported(true);
    same = strcmp(good, after) == 0;
    free(after);
    return same && (*taken || (err.status == CPL_INVALID && err.path[0]));
}

TEST(t_snapshot__no_damage_of_one_value_brings_it_down) {
    int count[2] = {0, 0};
    char *good;
    begin_all();
    emu_clock_freeze(story, true);
    good = exported(true);
    for (int n = 0, more = 1; more; n++) {
        const int ways[] = {OTHER_VALUES, n % OTHER_VALUES};
        for (size_t i = 0; i < CPL_COUNT(ways); i++) {
            cpl_json *state = NULL;
            bool taken = false;
            NEED(cpl_json_parse(cpl_str_of(good), &state, NULL) == CPL_OK);
            more = damage(state, n, ways[i]);
            if (more && !CHECK(survives(good, state, &taken))) printf("  value %d, way %d\n", n, ways[i]);
            count[taken] += more;
            cpl_json_free(state);
        }
    }
    CHECK(count[0] > 500 && count[1] > 50);
    free(good);
    close_story();
}

TEST(t_snapshot__running_out_of_memory_changes_nothing) {
    cpl_status status = CPL_NOMEM;
    char *good, *before, *after;
    begin_all();
    good = exported(true);
    close_story();
    NEED(open_story(NULL));
    make_type("Test", "Before", "");
    before = exported(true);
    for (size_t n = 1; status != CPL_OK; n += 1 + n / 50) {
        cpl_json *state = NULL;
        NEED(cpl_json_parse(cpl_str_of(good), &state, NULL) == CPL_OK);
        cpl_alloc_fail_at(n);
        status = emu_snapshot_read(story, state, NULL);
        cpl_alloc_fail_at(0);
        cpl_json_free(state);
        if (status == CPL_OK) break;
        CHECK(status == CPL_NOMEM);
        after = exported(true);
        CHECK(strcmp(before, after) == 0);
        free(after);
    }
    free(before);
    free(good);
    close_story();
}

TEST_MAIN
