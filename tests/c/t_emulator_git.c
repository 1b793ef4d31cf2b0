/* SPDX-License-Identifier: MIT */
/* Git events: which pipelines they start and why not, and what the source action makes of them. */
#include "../../core/emulator/git.h"
#include "../../core/emulator/scripts.h"
#include "../../core/emulator/snapshot.h"
#include "emu_story.h"

/* ---- patterns ---- */

static const struct pattern_case {
    const char *pattern;
    const char *text;
    bool fits;
} pattern_cases[] = {
    {"main", "main", true},
    {"main", "mains", false},
    {"main", "", false},
    {"", "", true},
    {"*", "", true},
    {"*", "main", true},
    {"main*", "maintenance", true},
    {"*.java", "a.java", true},
    {"*.java", "src/a.java", false},
    {"feature/*", "feature/x", true},
    {"feature/*", "feature/x/y", false},
    {"feature/**", "feature/x/y", true},
    {"feature/**", "feature/", true},
    {"feature/**", "feature", false},
    {"**", "a/b/c", true},
    {"**/README.md", "docs/en/README.md", true},
    {"**/README.md", "README.md", true},
    {"**/README.md", "OLD-README.md", false},
    {"**/README.md", "docs/OLD-README.md", false},
    {"common/**/*.js", "common/a/b/c.js", true},
    {"common/**/*.js", "common/c.js", true},
    {"common/**/*.js", "common/c.ts", false},
    {"a**/b", "ax/y/b", true},
    {"a**/b", "ab", false},
    {"**/**/x", "x", true},
    {"**/**/x", "a/b/x", true},
    {"***", "a/b", true},
    {"foo.?", "foo.c", true},
    {"foo.?", "foo.", false},
    {"foo.?", "foo./", false},
    {"foo.?", "foo.\xc3\xa9", true},
    {"?", "\xf0\x9f\x9a\xaa", true},
    {"v[0-9]", "v7", true},
    {"v[0-9]", "vx", false},
    {"v[!0-9]", "vx", true},
    {"v[!0-9]", "v7", false},
    {"v[!0-9]", "v/", false},
    {"v[*?\\]", "v*", true},
    {"v[*?\\]", "v\\", true},
    {"v[-x]", "v-", true},
    {"v[x-]", "v-", true},
    {"v[!-]", "v-", false},
    {"v[\xc3\xa0-\xc3\xaf]", "v\xc3\xa9", true},
    {"v[0-9", "v[0-9", true},
    {"*.{java,class}", "a.class", true},
    {"*.{java,class}", "a.js", false},
    {"{release,hotfix}/*", "hotfix/2", true},
    {"{release,hotfix}/*", "release,hotfix/2", false},
    {"a{,b}c", "ac", true},
    {"a{,b}c", "abc", true},
    {"a{b*,c}d", "abxxd", true},
    {"{a,b}{c,d}", "bc", true},
    {"{a,b", "{a,b", true},
    {"{a,b", "a", false},
    {"{a}{b", "a{b", true},
    {"a,b}", "a,b}", true},
    {"a\\*", "a*", true},
    {"a\\*", "ab", false},
    {"a\\", "a\\", true},
    {"a\\{b,c}", "a{b,c}", true},
};

TEST(t_git__patterns_fit_as_the_service_has_them) {
    for (size_t i = 0; i < CPL_COUNT(pattern_cases); i++) {
        const struct pattern_case *c = &pattern_cases[i];
        if (!CHECK(emu_glob_matches(cpl_str_of(c->pattern), cpl_str_of(c->text)) == c->fits))
            printf("  %s on %s\n", c->pattern, c->text);
    }
}

/* Backtracking would not come back from these. */
TEST(t_git__a_pattern_takes_no_longer_than_its_length_times_the_text) {
    char pattern[256], text[4000];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < 250; i++) pattern[i] = i % 2 ? 'a' : '*';
    pattern[250] = 'b';
    CHECK(!emu_glob_matches((cpl_str){pattern, 251}, (cpl_str){text, sizeof text}));
    for (size_t i = 0; i + 5 <= 250; i += 5) memcpy(pattern + i, "{a,a}", 5);
    CHECK(emu_glob_matches((cpl_str){pattern, 250}, (cpl_str){text, 50}));
    CHECK(!emu_glob_matches((cpl_str){pattern, 250}, (cpl_str){text, 51}));
    memset(pattern, 'a', sizeof pattern);
    CHECK(emu_glob_matches((cpl_str){pattern, 255}, (cpl_str){text, 255}));
    CHECK(!emu_glob_matches((cpl_str){pattern, 256}, (cpl_str){text, 256})); /* longer than the model has them */
}

/* ---- pipelines ---- */

#define ARN "arn:aws:codestar-connections:us-east-1:123456789012:connection/aEXAMPLE-8aad-4d5d-8878-dfcab0bc441f"
#define GIT(name, repository, branch, more)                                                                      \
    "{'name':'" name "','namespace':'Commit" name                                                                \
    "','actionTypeId':{'category':'Source','owner':'AWS',"                                                       \
    "'provider':'CodeStarSourceConnection','version':'1'},'configuration':{'ConnectionArn':'" ARN                \
    "','FullRepositoryId':'" repository "','BranchName':'" branch "'" more "},'outputArtifacts':[{'name':'" name \
    "Out'}]}"
#define TYPED(name, type, mode, triggers, sources)                                                                     \
    "{'pipeline':{'name':'" name "'," ROLE "," STORE ",'pipelineType':'" type "','executionMode':'" mode "'," triggers \
    "'stages':[" STAGE("Source", sources) "," STAGE("Ask", APPROVAL("Ok")) "]}}"
#define OF_APP "'providerType':'CodeStarSourceConnection','gitConfiguration':{'sourceActionName':'App'"
#define TRIGGER(filters) "'triggers':[{" OF_APP filters "}}],"
#define APP GIT("App", "acme/site", "main", "")
#define FILTERED(name, filters) TYPED(name, "V2", "SUPERSEDED", TRIGGER(filters), APP)

static cpl_error refusal;

/* Tells it; the answer is the list of what became of each source action. */
static bool tell(emu_git_event event, const char *format, ...) {
    cpl_json *in = NULL;
    cpl_buf out;
    char text[4096];
    va_list args;
    bool good;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *i = text; *i; i++) *i = *i == '\'' ? '"' : *i;
    cpl_buf_init(&out, 1 << 20);
    refusal = (cpl_error){.status = CPL_OK};
    CHECK(cpl_json_parse(cpl_str_of(text), &in, NULL) == CPL_OK);
    emu_engine_advance(story);
    good = emu_git_tell(story, event, in, &out, &refusal) == CPL_OK;
    cpl_json_free(answer);
    answer = NULL;
    if (good) CHECK(cpl_json_parse(cpl_buf_str(&out), &answer, NULL) == CPL_OK);
    cpl_json_free(in);
    cpl_buf_release(&out);
    return good;
}

static bool open_git(const char *pipeline) {
    return CHECK(open_story("")) && CHECK(run("CreatePipeline", "%s", pipeline)[0] == '\0');
}

static bool starts(emu_git_event event, const char *what) {
    return CHECK(tell(event, "%s", what)) && CHECK(count("") == 1) && value_at("0.pipelineExecutionId") != NULL;
}

typedef struct question {
    emu_git_event event;
    const char *what;
    const char *reason; /* NULL: it starts */
} question;

static void ask_all(const char *pipeline, const question *questions) {
    if (!open_git(pipeline)) return;
    for (const question *q = questions; q->what; q++) {
        bool started = starts(q->event, q->what);
        if (!CHECK(started == (q->reason == NULL))) printf("  %s: %s\n", q->what, text("0.reason"));
        if (q->reason) CHECK_STR(text("0.reason"), q->reason);
    }
    close_story();
}

#define PUSH(more) EMU_GIT_PUSH, "{'repository':'acme/site'," more "}"
#define PULL(event, source, target, more) \
    EMU_GIT_PULL_REQUEST,                 \
        "{'repository':'acme/site','event':'" event "','source':'" source "','target':'" target "'" more "}"

TEST(t_git__without_filters_an_action_follows_its_branch) {
    static const question questions[] = {
        {PUSH("'branch':'main'"), NULL},
        {PUSH("'branch':'dev'"), "its BranchName is main"},
        {PUSH("'branch':'Main'"), "its BranchName is main"},
        {PUSH("'tag':'main'"), "it has no filter for tags"},
        {PULL("OPEN", "dev", "main", ""), "it has no filter for pull requests"},
        {0},
    };
    static const question never[] = {{PUSH("'branch':'main'"), "its DetectChanges is false"}, {0}};
    ask_all(TYPED("p", "V1", "SUPERSEDED", "", APP), questions);
    ask_all(TYPED("p", "V2", "SUPERSEDED", "", APP), questions);
    ask_all(FILTERED("p", ""), questions); /* a trigger without filters */
    ask_all(TYPED("p", "V1", "SUPERSEDED", "", GIT("App", "acme/site", "main", ",'DetectChanges':'false'")), never);
}

TEST(t_git__push_filters_are_alternatives_and_all_of_one_must_fit) {
    static const question questions[] = {
        {PUSH("'branch':'release/1','files':['src/a.js']"), NULL},
        {PUSH("'branch':'release/1','files':['docs/README.md','src/b/c.js']"), NULL},
        {PUSH("'branch':'release/1','files':['README.md','src/README.md']"),
         "no filter fits: push[0] by its filePaths, push[1] by its tags"},
        {PUSH("'branch':'release/1','files':['doc.txt']"),
         "no filter fits: push[0] by its filePaths, push[1] by its tags"},
        {PUSH("'branch':'release/1'"), "no filter fits: push[0] by its filePaths, push[1] by its tags"},
        {PUSH("'branch':'release/old','files':['src/a.js']"),
         "no filter fits: push[0] by its branches, push[1] by its tags"},
        {PUSH("'branch':'main','files':['src/a.js']"), "no filter fits: push[0] by its branches, push[1] by its tags"},
        {PUSH("'tag':'v1.2'"), NULL},
        {PUSH("'tag':'v0.9'"), "no filter fits: push[0] by its tags, push[1] by its tags"},
        {PUSH("'tag':'release/1','files':['src/a.js']"), "no filter fits: push[0] by its tags, push[1] by its tags"},
        {PULL("OPEN", "dev", "release/1", ""), "it has no filter pullRequest"},
        {0},
    };
    ask_all(FILTERED("p",
                     ",'push':[{'branches':{'includes':['release/*'],'excludes':['release/old']},"
                     "'filePaths':{'includes':['src/**'],'excludes':['**/README.md']}},"
                     "{'tags':{'includes':['v*'],'excludes':['v0*']}}]"),
            questions);
}

TEST(t_git__excludes_alone_let_all_others_in) {
    static const question branches[] = {
        {PUSH("'branch':'dev'"), NULL}, {PUSH("'branch':'main'"), "no filter fits: push[0] by its branches"}, {0}};
    static const question files[] = {
        {PUSH("'branch':'any','files':['a.c','b.md']"), NULL},
        {PUSH("'branch':'any','files':['b.md']"), "no filter fits: push[0] by its filePaths"},
        {0}};
    static const question tags[] = {
        {PUSH("'tag':'v1'"), NULL}, {PUSH("'tag':'beta'"), "no filter fits: push[0] by its tags"}, {0}};
    ask_all(FILTERED("p", ",'push':[{'branches':{'excludes':['main']}}]"), branches);
    ask_all(FILTERED("p", ",'push':[{'filePaths':{'excludes':['**/*.md']}}]"), files);
    ask_all(FILTERED("p", ",'push':[{'tags':{'excludes':['beta*']}}]"), tags);
}

TEST(t_git__pull_requests_are_filtered_by_event_and_target) {
    static const question questions[] = {
        {PULL("OPEN", "dev", "main", ",'files':['src/a.c']"), NULL},
        {PULL("CLOSED", "dev", "main", ",'files':['src/a.c']"), "no filter fits: pullRequest[0] by its events"},
        {PULL("OPEN", "main", "dev", ",'files':['src/a.c']"), "no filter fits: pullRequest[0] by its branches"},
        {PULL("UPDATED", "dev", "main", ",'files':['a.c']"), "no filter fits: pullRequest[0] by its filePaths"},
        {PUSH("'branch':'main'"), "it has no filter push"},
        {0},
    };
    static const question all[] = {{PULL("OPEN", "a", "b", ""), NULL},
                                   {PULL("UPDATED", "a", "b", ""), NULL},
                                   {PULL("CLOSED", "a", "b", ""), NULL},
                                   {0}};
    ask_all(FILTERED("p",
                     ",'pullRequest':[{'events':['OPEN','UPDATED'],'branches':{'includes':['main']},"
                     "'filePaths':{'includes':['src/**']}}]"),
            questions);
    ask_all(FILTERED("p", ",'pullRequest':[{'branches':{'includes':['*']}}]"), all);
}

TEST(t_git__only_actions_of_the_repository_are_asked_and_a_pipeline_starts_once) {
    if (!open_git(TYPED("p", "V2", "SUPERSEDED", "",
                        APP "," GIT("Lib", "acme/lib", "main", "") "," GIT("Again", "acme/site", "main", ""))))
        return;
    CHECK_STR(run("CreatePipeline", "%s", TYPED("q", "V2", "SUPERSEDED", "", GIT("App", "acme/site", "dev", ""))), "");
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("s3", SOURCE "," STAGE("Ask", APPROVAL("Ok")))), "");
    CHECK(tell(PUSH("'branch':'main'")) && count("") == 2);
    CHECK_STR(text("0.pipelineName"), "p");
    CHECK_STR(text("0.actionName"), "App");
    CHECK_STR(text("0.reason"), "its BranchName is main");
    CHECK_STR(text("1.pipelineName"), "q");
    CHECK(value_at("1.pipelineExecutionId") == NULL);
    CHECK(tell(EMU_GIT_PUSH, "{'repository':'acme/lib','branch':'main'}") && count("") == 1);
    CHECK_STR(text("0.actionName"), "Lib");
    CHECK(tell(EMU_GIT_PUSH, "{'repository':'Acme/site','branch':'main'}") && count("") == 0);
    CHECK(tell(PUSH("'branch':'none'")) && count("") == 3);
    close_story();
    if (!open_git(TYPED("p", "V2", "SUPERSEDED", TRIGGER(",'push':[{'branches':{'includes':['r*']}}]"),
                        APP "," GIT("Lib", "acme/lib", "main", ""))))
        return;
    CHECK(!starts(PUSH("'branch':'main'")));
    CHECK(starts(EMU_GIT_PUSH, "{'repository':'acme/lib','branch':'main'}")); /* the filter is another action's */
    close_story();
}

/* ---- what an execution knows of it ---- */

static void succeed_scripted(const char *more) {
    cpl_json *script = NULL;
    char json[512];
    snprintf(json, sizeof json, "{\"outcome\":\"succeed\",\"provider\":\"CodeStarSourceConnection\"%s}", more);
    CHECK(cpl_json_parse(cpl_str_of(json), &script, NULL) == CPL_OK);
    CHECK(emu_scripts_add(story, script, NULL) == CPL_OK);
}

#define FIX "'branch':'main','commit':'4f2a9c','message':'mend the door'"
#define SUMMARY "{\"ProviderType\":\"GitHub\",\"CommitMessage\":\"mend the door\"}"
#define COMMIT_URL                                                                                        \
    "https://us-east-1.console.aws.amazon.com/codesuite/settings/connections/redirect?connectionArn=" ARN \
    "&referenceType=COMMIT&FullRepositoryId=acme/site&Commit=4f2a9c"

static void check_revision(void) {
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK_STR(text("pipelineExecutionSummaries.0.sourceRevisions.0.actionName"), "App");
    CHECK_STR(text("pipelineExecutionSummaries.0.sourceRevisions.0.revisionId"), "4f2a9c");
    CHECK_STR(text("pipelineExecutionSummaries.0.sourceRevisions.0.revisionSummary"), SUMMARY);
    CHECK_STR(text("pipelineExecutionSummaries.0.sourceRevisions.0.revisionUrl"), COMMIT_URL);
}

/* Of the newest action execution of App, which is now the answer. */
static void check_variables(const char *branch) {
    static const char *const names[] = {
        "CommitId",           "4f2a9c",    "CommitMessage", "mend the door",       "ConnectionArn", ARN,
        "FullRepositoryName", "acme/site", "AuthorDate",    "2023-11-14T22:13:20Z"};
    const cpl_json *newest, *variables;
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p'}"), "");
    newest = cpl_json_first(value_at("actionExecutionDetails"));
    while (newest && strcmp(cpl_json_get_cstr(newest, "actionName", ""), "App") != 0) newest = cpl_json_next(newest);
    variables = cpl_json_get_path(newest, "output.outputVariables");
    CHECK(cpl_json_count(variables) == 6);
    CHECK_STR(cpl_json_get_cstr(variables, "BranchName", ""), branch);
    for (size_t i = 0; i < CPL_COUNT(names); i += 2)
        CHECK_STR(cpl_json_get_cstr(variables, names[i], ""), names[i + 1]);
}

TEST(t_git__with_files_the_source_succeeds_and_the_commit_is_known) {
    const char *id, *bucket, *key;
    emu_object object;
    if (!open_git(FILTERED("p", ",'push':[{'branches':{'includes':['main']}}]"))) return;
    CHECK(starts(PUSH(FIX ",'files':{'src/a.txt':'one','b.txt':''}")));
    CHECK_STR(text("0.reason"), "its filter push[0] fits");
    id = keep("0.pipelineExecutionId");
    CHECK_STR(stage_status("p", 0), "Succeeded");
    CHECK_STR(text("stageStates.0.actionStates.0.latestExecution.summary"), SUMMARY);
    CHECK_STR(text("stageStates.0.actionStates.0.latestExecution.externalExecutionId"), "4f2a9c");
    CHECK_STR(text("stageStates.0.actionStates.0.currentRevision.revisionId"), "4f2a9c");
    CHECK_STR(execution_status("p", id), "InProgress");
    CHECK_STR(text("pipelineExecution.trigger.triggerType"), "WebhookV2");
    CHECK_STR(text("pipelineExecution.trigger.triggerDetail"), ARN);
    CHECK_STR(text("pipelineExecution.artifactRevisions.0.revisionId"), "4f2a9c");
    check_revision();
    check_variables("main");
    bucket = keep("actionExecutionDetails.1.output.outputArtifacts.0.s3location.bucket");
    key = keep("actionExecutionDetails.1.output.outputArtifacts.0.s3location.key");
    CHECK(emu_s3_get(story, bucket, key, &object) && cpl_str_starts(object.body, "PK\3\4"));
    close_story();
}

TEST(t_git__without_files_the_source_ends_as_a_script_says) {
    if (!open_git(TYPED("p", "V1", "SUPERSEDED", "", APP))) return;
    CHECK(starts(PUSH(FIX)));
    CHECK_STR(action_status("p", 0, 0), "Failed");
    CHECK_STR(text("stageStates.0.actionStates.0.latestExecution.errorDetails.code"), "NotEmulated");
    succeed_scripted("");
    CHECK(starts(PUSH(FIX ",'files':['a.c']")));
    CHECK_STR(action_status("p", 0, 0), "Succeeded");
    CHECK_STR(text("stageStates.0.actionStates.0.latestExecution.summary"), "emulated: as a script says");
    check_revision();
    check_variables("main");
    CHECK_STR(execution_status("p", start("p")), "InProgress"); /* by hand: the commit is not known */
    CHECK(strlen(text("pipelineExecution.artifactRevisions.0.revisionId")) == 40);
    succeed_scripted(",\"revision\":\"other\",\"output_variables\":{\"CommitId\":\"other\"}");
    CHECK(starts(PUSH(FIX)));
    CHECK_STR(execution_status("p", keep("0.pipelineExecutionId")), "InProgress");
    CHECK_STR(text("pipelineExecution.artifactRevisions.0.revisionId"), "other");
    close_story();
}

TEST(t_git__an_execution_can_be_started_for_a_commit) {
    static const char by[] =
        "{'name':'p','sourceRevisions':[{'actionName':'App','revisionType':'%s','revisionValue':'9ab'}]}";
    const char *id;
    if (!open_git(TYPED("p", "V2", "SUPERSEDED", "", APP))) return;
    CHECK_STR(run("StartPipelineExecution", by, "IMAGE_DIGEST"), "ValidationException");
    CHECK_STR(run("StartPipelineExecution", by, "COMMIT_ID"), "");
    CHECK_STR(stage_status("p", 0), "Failed"); /* nobody knows what is in it */
    succeed_scripted(",\"revision\":\"other\"");
    CHECK_STR(run("StartPipelineExecution", by, "COMMIT_ID"), "");
    id = keep("pipelineExecutionId");
    CHECK_STR(execution_status("p", id), "InProgress");
    CHECK_STR(text("pipelineExecution.artifactRevisions.0.revisionId"), "9ab");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK_STR(text("pipelineExecutionSummaries.0.sourceRevisions.0.revisionId"), "9ab");
    close_story();
}

TEST(t_git__tags_and_pull_requests_tell_where_the_commit_is) {
    if (!open_git(FILTERED("p", ",'push':[{'tags':{'includes':['v*']}}],'pullRequest':[{'events':['CLOSED']}]")))
        return;
    CHECK(starts(PUSH("'tag':'v1','commit':'4f2a9c','message':'mend the door','files':{'a':'b'}")));
    check_variables("v1");
    CHECK(starts(PULL("CLOSED", "dev", "main", ",'commit':'4f2a9c','message':'mend the door','files':{'a':'b'}")));
    CHECK_STR(text("0.reason"), "its filter pullRequest[0] fits");
    check_variables("dev");
    close_story();
}

TEST(t_git__a_message_that_is_too_long_is_cut_and_a_commit_is_drawn) {
    char long_message[3001] = "";
    for (size_t i = 0; i + 1 < sizeof long_message; i += 2) memcpy(long_message + i, "\\n", 2);
    if (!open_git(TYPED("p", "V1", "SUPERSEDED", "", APP))) return;
    CHECK(tell(EMU_GIT_PUSH,
               "{'repository':'acme/site','branch':'main','message':'%s','files':{'a':'b'},"
               "'provider':'Bitbucket'}",
               long_message));
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK(strlen(text("pipelineExecutionSummaries.0.sourceRevisions.0.revisionId")) == 40);
    CHECK(strncmp(text("pipelineExecutionSummaries.0.sourceRevisions.0.revisionSummary"),
                  "{\"ProviderType\":\"Bitbucket\",\"CommitMessage\":\"\\n\\n", 47) == 0);
    CHECK(strlen(text("pipelineExecutionSummaries.0.sourceRevisions.0.revisionSummary")) <= 2048);
    CHECK(starts(PUSH("'branch':'main','files':{'a':'b'}")));
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK_STR(text("pipelineExecutionSummaries.0.sourceRevisions.0.revisionSummary"),
              "{\"ProviderType\":\"GitHub\",\"CommitMessage\":\"\"}");
    close_story();
}

/* ---- modes, limits, retries, states ---- */

TEST(t_git__events_start_as_any_start_does) {
    const char *first, *second, *third;
    if (!open_git(TYPED("p", "V2", "QUEUED", TRIGGER(",'push':[{'branches':{'includes':['main']}}]"), APP))) return;
    succeed_scripted("");
    CHECK_STR(run("DisableStageTransition",
                  "{'pipelineName':'p','stageName':'Ask','transitionType':'Inbound',"
                  "'reason':'wait'}"),
              "");
    for (int i = 0; i < 49; i++) CHECK(starts(PUSH("'branch':'main'")));
    CHECK_STR(execution_status("p", keep("0.pipelineExecutionId")), "InProgress");
    CHECK(starts(PUSH("'branch':'main'")));
    CHECK(!starts(PUSH("'branch':'main'")));
    CHECK_STR(text("0.reason"),
              "its filter push[0] fits, but the pipeline has as many executions in progress as it may have");
    close_story();
    if (!open_git(TYPED("p", "V1", "SUPERSEDED", "", APP))) return;
    succeed_scripted("");
    CHECK(starts(PUSH("'branch':'main'")));
    first = keep("0.pipelineExecutionId");
    CHECK(starts(PUSH("'branch':'main'")));
    second = keep("0.pipelineExecutionId");
    CHECK(starts(PUSH("'branch':'main'")));
    third = keep("0.pipelineExecutionId");
    CHECK_STR(execution_status("p", first), "InProgress"); /* in front of the approval */
    CHECK_STR(execution_status("p", second), "Superseded");
    CHECK_STR(execution_status("p", third), "InProgress");
    close_story();
}

/* The stage was locked when the push came, so the action runs later, and after a restart from a state. */
TEST(t_git__what_came_along_waits_for_its_action_and_is_in_the_state) {
    cpl_emulator_options options = {0};
    cpl_json *wait = NULL;
    const char *id;
    cpl_buf state;
    if (!open_git(TYPED("p", "V2", "QUEUED", "", APP))) return;
    CHECK(cpl_json_parse(CPL_LIT("{\"outcome\":\"wait\"}"), &wait, NULL) == CPL_OK);
    CHECK(emu_scripts_add(story, wait, NULL) == CPL_OK);
    CHECK(starts(PUSH("'branch':'main'")));
    CHECK(starts(PUSH(FIX ",'files':{'a':'b'}")));
    id = keep("0.pipelineExecutionId");
    CHECK_STR(action_status("p", 0, 0), "InProgress");
    cpl_buf_init(&state, 1 << 24);
    emu_snapshot_write(story, true, &state);
    close_story();
    options.state = cpl_buf_str(&state);
    NEED(emu_new(&story, &options, NULL) == CPL_OK);
    succeed_scripted("");
    CHECK_STR(execution_status("p", id), "InProgress");
    CHECK_STR(text("pipelineExecution.artifactRevisions.0.revisionId"), "4f2a9c");
    CHECK_STR(text("pipelineExecution.trigger.triggerType"), "Webhook");
    close_story();
    cpl_buf_release(&state);
}

TEST(t_git__a_stage_that_is_retried_has_the_same_commit) {
    cpl_json *script = NULL;
    const char *id;
    if (!open_git(TYPED("p", "V1", "SUPERSEDED", "", APP "," GIT("Lib", "acme/lib", "main", "")))) return;
    CHECK(starts(PUSH(FIX ",'files':{'a':'b'}")));
    id = keep("0.pipelineExecutionId");
    CHECK_STR(stage_status("p", 0), "Failed"); /* nobody knows of acme/lib */
    CHECK(cpl_json_parse(CPL_LIT("{\"outcome\":\"succeed\",\"action\":\"Lib\"}"), &script, NULL) == CPL_OK);
    CHECK(emu_scripts_add(story, script, NULL) == CPL_OK);
    CHECK_STR(run("RetryStageExecution",
                  "{'pipelineName':'p','stageName':'Source','pipelineExecutionId':'%s',"
                  "'retryMode':'ALL_ACTIONS'}",
                  id),
              "");
    CHECK_STR(stage_status("p", 0), "Succeeded");
    CHECK_STR(text("stageStates.0.actionStates.0.currentRevision.revisionId"), "4f2a9c");
    close_story();
}

/* ---- what makes no sense ---- */

TEST(t_git__what_makes_no_sense_is_refused_with_its_place) {
    static const struct {
        emu_git_event event;
        const char *what;
        const char *path;
        const char *message;
    } cases[] = {
        {EMU_GIT_PUSH, "[]", "", "not an object"},
        {EMU_GIT_PUSH, "{'branch':'main'}", "repository", "repository: missing"},
        {EMU_GIT_PUSH, "{'repository':'','branch':'main'}", "repository", "repository: empty"},
        {EMU_GIT_PUSH, "{'repository':1,'branch':'main'}", "repository", "repository: not a text"},
        {PUSH("'message':'m'"), "branch", "branch: missing, and so is tag"},
        {PUSH("'branch':'a','tag':'b'"), "tag", "tag: a push is of a branch or of a tag, not of both"},
        {PUSH("'branch':'a','event':'OPEN'"), "event", "event: there is no such member"},
        {PUSH("'branch':'a','files':'a.c'"), "files", "files: neither paths nor paths and texts"},
        {PUSH("'branch':'a','files':['a.c',2]"), "files[1]", "files[1]: not a text"},
        {PUSH("'branch':'a','files':['/etc/passwd']"), "files[0]", "files[0]: has an absolute name"},
        {PUSH("'branch':'a','files':{'../a':''}"), "files.../a", "files.../a: leaves the directory (\"..\")"},
        {PUSH("'branch':'a','files':{'a/':''}"), "files.a/", "files.a/: the name of a folder"},
        {PUSH("'branch':'a','files':{'a':1}"), "files.a", "files.a: not a text"},
        {PUSH("'branch':'a','files':{'a':'','a/b':''}"), "files.a/b", "files.a/b: lies below another file"},
        {PUSH("'branch':'a','archive':'/no/such/file'"), "archive", "archive: \"/no/such/file\" cannot be read"},
        {PUSH("'branch':'a','archive':'/dev/null'"), "archive", "archive: an empty file"},
        {PUSH("'branch':'a','archive':'/dev/null','files':{'a':''}"), "archive",
         "archive: one too many, files have texts"},
        {PULL("OPENED", "a", "b", ""), "event", "event: neither OPEN nor UPDATED nor CLOSED"},
        {EMU_GIT_PULL_REQUEST, "{'repository':'acme/site','event':'OPEN','source':'a'}", "target", "target: missing"},
        {EMU_GIT_PULL_REQUEST, "{'repository':'acme/site','event':'OPEN','target':'a'}", "source", "source: missing"},
        {PULL("OPEN", "a", "b", ",'branch':'a'"), "branch", "branch: there is no such member"},
    };
    char commit[102];
    if (!open_git(TYPED("p", "V1", "SUPERSEDED", "", APP))) return;
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        CHECK(!tell(cases[i].event, "%s", cases[i].what) && refusal.status == CPL_INVALID);
        CHECK_STR(refusal.path, cases[i].path);
        CHECK_STR(refusal.message, cases[i].message);
    }
    memset(commit, 'c', sizeof commit);
    commit[101] = '\0';
    CHECK(!tell(EMU_GIT_PUSH, "{'repository':'acme/site','branch':'main','commit':'%s'}", commit));
    CHECK_STR(refusal.message, "commit: longer than 100 characters");
    CHECK_STR(run("ListPipelineExecutions", "{'pipelineName':'p'}"), "");
    CHECK(count("pipelineExecutionSummaries") == 1); /* of its creation */
    close_story();
}

TEST(t_git__no_memory_starts_nothing_that_is_half_there) {
    bool all = false;
    for (size_t n = 1; !all; n++) {
        cpl_json *in = NULL;
        cpl_error err = {0};
        cpl_status status;
        cpl_buf out;
        if (!open_git(TYPED("p", "V1", "SUPERSEDED", "", APP))) return;
        NEED(cpl_json_parse(CPL_LIT("{\"repository\":\"acme/site\",\"branch\":\"main\"}"), &in, NULL) == CPL_OK);
        cpl_buf_init(&out, 1 << 20);
        cpl_alloc_fail_at(n);
        status = emu_git_tell(story, EMU_GIT_PUSH, in, &out, &err);
        all = cpl_alloc_fail_at(0) < n;
        cpl_json_free(in);
        cpl_buf_release(&out);
        close_story();
        CHECK(status == CPL_OK || (status == CPL_NOMEM && !all));
    }
}

TEST_MAIN
