/* SPDX-License-Identifier: MIT */
/* Stage conditions: what they decide, how they are shown, overridden, and refused when they are malformed. */
#include <unistd.h>

#include "../../core/emulator/rules.h"
#include "../../core/emulator/scripts.h"
#include "emu_story.h"

#define V2(stages)                                                                                                   \
    "{'pipeline':{'name':'p','pipelineType':'V2','executionMode':'QUEUED','variables':[{'name':'go','defaultValue':" \
    "'yes'}]," ROLE "," STORE ",'stages':[" stages "]}}"
#define RULE(name, provider, configuration)                                                  \
    "{'name':'" name "','ruleTypeId':{'category':'Rule','owner':'AWS','provider':'" provider \
    "','version':'1'},'configuration':{" configuration "}}"
#define CHECKS(operator, value) \
    RULE("Check", "VariableCheck", "'Variable':'#{variables.go}','Operator':'" operator"','Value':'" value "'")
#define CONDITION(result, rules) "'conditions':[{'result':'" result "','rules':[" rules "]}]"
#define BUILD(more) "{'name':'Build'," more ",'actions':[" DO("A", "") "]}"
#define LAST STAGE("Last", DO("B", ""))
#define NO_JOB "(none)"

static const char *start_with(const char *value) {
    CHECK_STR(run("StartPipelineExecution", "{'name':'p','variables':[{'name':'go','value':'%s'}]}", value), "");
    return keep("pipelineExecutionId");
}

static const char *override_condition(const char *stage, const char *id, const char *type) {
    return run("OverrideStageCondition",
               "{'pipelineName':'p','stageName':'%s','pipelineExecutionId':'%s','conditionType':'%s'}", stage, id,
               type);
}

/* The pipeline's first execution ends well, so that there is something to go back to. */
static const char *begin_good(const char *pipeline, int jobs) {
    const char *id;
    begin(pipeline);
    id = latest_id("p");
    for (int i = 0; i < jobs; i++) CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", id), "Succeeded");
    return id;
}

TEST(t_conditions__before_entry_lets_in_or_fails_and_can_be_overridden) {
    const char *id, *other;
    begin_good(V2(SOURCE "," BUILD("'beforeEntry':{" CONDITION("FAIL", CHECKS("EQ", "yes")) "}")), 1);
    id = start_with("no");
    CHECK_STR(execution_status("p", id), "Failed");
    CHECK_STR(text("pipelineExecution.statusSummary"), "A rule of beforeEntry in stage Build does not hold");
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK_STR(text("stageStates.1.beforeEntryConditionState.latestExecution.status"), "Failed");
    CHECK_STR(text("stageStates.1.beforeEntryConditionState.conditionStates.0.ruleStates.0.ruleName"), "Check");
    CHECK_STR(text("stageStates.1.beforeEntryConditionState.conditionStates.0.ruleStates.0.latestExecution.status"),
              "Failed");
    CHECK_STR(take("Build", "Maker").id, NO_JOB);
    CHECK_STR(override_condition("Build", id, "ON_SUCCESS"), "ConditionNotOverridableException");
    CHECK_STR(override_condition("None", id, "BEFORE_ENTRY"), "StageNotFoundException");
    CHECK_STR(override_condition("Build", "00000000-0000-4000-8000-000000000000", "BEFORE_ENTRY"),
              "NotLatestPipelineExecutionException");
    CHECK_STR(override_condition("Build", id, "BEFORE_ENTRY"), "");
    CHECK_STR(stage_status("p", 1), "InProgress");
    CHECK_STR(text("stageStates.1.beforeEntryConditionState.latestExecution.status"), "Overridden");
    CHECK_STR(override_condition("Build", id, "BEFORE_ENTRY"), "ConditionNotOverridableException");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", id), "Succeeded");
    other = start_with("no");
    CHECK_STR(run("UpdatePipeline", "%s", V2(SOURCE "," LAST)), "");
    CHECK_STR(override_condition("Build", other, "BEFORE_ENTRY"), "StageNotFoundException");
    close_story();
}

/* ---- rules that take time ---- */

#define ALARM RULE("Alarm", "CloudWatchAlarm", "'AlarmName':'a'")
#define GUARDED(result) V2(SOURCE "," BUILD("'beforeEntry':{" CONDITION(result, ALARM "," CHECKS("EQ", "yes")) "}"))

static void add_script(const char *text) {
    cpl_json *script = NULL;
    cpl_buf quoted;
    cpl_buf_init(&quoted, 4096);
    cpl_buf_adds(&quoted, text);
    for (char *i = quoted.p; *i; i++) *i = *i == '\'' ? '"' : *i;
    CHECK(cpl_json_parse(cpl_buf_str(&quoted), &script, NULL) == CPL_OK);
    CHECK(emu_scripts_add(story, script, NULL) == CPL_OK);
    cpl_buf_release(&quoted);
}

static const char *condition_status(void) {
    stage_status("p", 1);
    return text("stageStates.1.beforeEntryConditionState.latestExecution.status");
}

TEST(t_conditions__a_rule_ends_as_a_script_says_and_says_so) {
    begin_empty();
    put_source("src", "app.zip", "x");
    add_script("{'outcome':'fail','action':'Alarm','message':'not for rules'}");
    add_script("{'outcome':'succeed','rule':'Alarm','summary':'quiet'}");
    CHECK_STR(run("CreatePipeline", "%s", GUARDED("FAIL")), "");
    CHECK_STR(condition_status(), "Succeeded");
    CHECK_STR(text("stageStates.1.beforeEntryConditionState.conditionStates.0.ruleStates.0.latestExecution.summary"),
              "emulated: quiet");
    CHECK_STR(succeed(next_job()), "");
    add_script("{'outcome':'fail','provider':'CloudWatchAlarm','code':'RuleFailed','message':'it rings'}");
    start("p");
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK_STR(text("stageStates.1.beforeEntryConditionState.conditionStates.0.ruleStates.0.latestExecution."
                   "errorDetails.message"),
              "it rings");
    close_story();
}

TEST(t_conditions__a_rule_may_take_time_and_the_condition_with_it) {
    const char *id;
    begin_empty();
    put_source("src", "app.zip", "x");
    add_script("{'outcome':'succeed','rule':'Alarm','after':60}");
    CHECK_STR(run("CreatePipeline", "%s", GUARDED("FAIL")), "");
    CHECK_STR(condition_status(), "InProgress");
    CHECK_STR(text("stageStates.1.beforeEntryConditionState.conditionStates.0.ruleStates.0.latestExecution.status"),
              "InProgress");
    CHECK_STR(text("stageStates.1.beforeEntryConditionState.conditionStates.0.ruleStates.1.latestExecution.status"),
              "Succeeded");
    CHECK_STR(take("Build", "Maker").id, NO_JOB);
    turn_clock(61);
    CHECK_STR(condition_status(), "Succeeded");
    CHECK_STR(succeed(next_job()), "");
    add_script("{'outcome':'wait','rule':'Alarm'}");
    id = start("p");
    CHECK_STR(condition_status(), "InProgress");
    CHECK_STR(execution_status("p", id), "InProgress");
    add_script("{'outcome':'succeed','rule':'Alarm'}");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", id), "Succeeded");
    add_script("{'outcome':'wait','rule':'Alarm'}");
    id = start("p");
    turn_clock(7 * 24 * 3600 + 1);
    CHECK_STR(execution_status("p", id), "Failed");
    stage_status("p", 1);
    CHECK(strstr(text("stageStates.1.beforeEntryConditionState.conditionStates.0.ruleStates.0.latestExecution."
                      "errorDetails.message"),
                 "The rule Alarm in stage Build did not end") != NULL);
    close_story();
}

TEST(t_conditions__stopping_waits_for_a_rule_or_abandons_it) {
    const char *id;
    begin_empty();
    put_source("src", "app.zip", "x");
    add_script("{'outcome':'wait','rule':'Alarm'}");
    CHECK_STR(run("CreatePipeline", "%s", GUARDED("FAIL")), "");
    id = latest_id("p");
    CHECK_STR(run("StopPipelineExecution", "{'pipelineName':'p','pipelineExecutionId':'%s'}", id), "");
    CHECK_STR(execution_status("p", id), "Stopping");
    add_script("{'outcome':'succeed','rule':'Alarm','times':1}");
    CHECK_STR(execution_status("p", id), "Stopped");
    CHECK_STR(condition_status(), "Abandoned");
    id = start("p");
    CHECK_STR(run("StopPipelineExecution", "{'pipelineName':'p','pipelineExecutionId':'%s','abandon':true}", id), "");
    CHECK_STR(execution_status("p", id), "Stopped");
    CHECK_STR(condition_status(), "Abandoned");
    CHECK_STR(text("stageStates.1.beforeEntryConditionState.conditionStates.0.ruleStates.0.latestExecution.status"),
              "Abandoned");
    CHECK_STR(run("RetryStageExecution",
                  "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'%s','retryMode':'ALL_ACTIONS'}", id),
              "");
    CHECK_STR(condition_status(), "InProgress");
    close_story();
}

TEST(t_conditions__a_rule_that_runs_outlives_a_restart) {
    char path[] = "/tmp/t_conditions_XXXXXX";
    close(mkstemp(path));
    unlink(path);
    NEED(open_story(path));
    put_source("src", "app.zip", "x");
    make_type("Build", "Maker", "");
    add_script("{'outcome':'succeed','rule':'Alarm','after':60}");
    CHECK_STR(run("CreatePipeline", "%s", GUARDED("FAIL")), "");
    CHECK_STR(condition_status(), "InProgress");
    close_story();
    NEED(open_story(path));
    CHECK_STR(condition_status(), "InProgress");
    turn_clock(61);
    CHECK_STR(condition_status(), "Succeeded");
    CHECK_STR(succeed(next_job()), "");
    close_story();
    unlink(path);
}

TEST(t_conditions__a_retry_does_not_enter_again) {
    const char *id;
    begin(V2(SOURCE "," BUILD("'beforeEntry':{" CONDITION("FAIL", CHECKS("EQ", "no")) "}")));
    id = latest_id("p");
    CHECK_STR(override_condition("Build", id, "BEFORE_ENTRY"), "");
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(run("RetryStageExecution",
                  "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'%s','retryMode':'ALL_ACTIONS'}", id),
              "");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", id), "Succeeded");
    CHECK_STR(run("ListRuleExecutions", "{'pipelineName':'p'}"), "");
    CHECK(count("ruleExecutionDetails") == 1);
    close_story();
}

TEST(t_conditions__before_entry_can_skip_the_stage) {
    const char *id;
    begin(V2(SOURCE "," BUILD("'beforeEntry':{" CONDITION("SKIP", CHECKS("NE", "yes")) "}") "," LAST));
    id = latest_id("p");
    CHECK_STR(stage_status("p", 1), "Skipped");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", id), "Succeeded");
    CHECK(value_at("pipelineExecution.statusSummary") == NULL);
    close_story();
}

TEST(t_conditions__on_success_fails_or_rolls_back) {
    const char *good, *bad;
    good = begin_good(V2(SOURCE "," BUILD("'onSuccess':{" CONDITION("ROLLBACK", CHECKS("EQ", "yes")) "}")), 1);
    bad = start_with("no");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", bad), "Failed");
    run("ListPipelineExecutions", "{'pipelineName':'p'}");
    CHECK_STR(text("pipelineExecutionSummaries.0.executionType"), "ROLLBACK");
    CHECK_STR(text("pipelineExecutionSummaries.0.trigger.triggerType"), "AutomatedRollback");
    CHECK(strstr(text("pipelineExecutionSummaries.0.trigger.triggerDetail"), bad) != NULL);
    CHECK_STR(text("pipelineExecutionSummaries.0.rollbackMetadata.rollbackTargetPipelineExecutionId"), good);
    CHECK_STR(override_condition("Build", bad, "ON_SUCCESS"), "NotLatestPipelineExecutionException");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", latest_id("p")), "Succeeded");
    close_story();
    begin(V2(SOURCE "," BUILD("'onSuccess':{" CONDITION("FAIL", CHECKS("EQ", "no")) "}") "," LAST));
    bad = latest_id("p");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", bad), "Failed");
    CHECK_STR(override_condition("Build", bad, "ON_SUCCESS"), "");
    CHECK_STR(stage_status("p", 1), "Succeeded");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", bad), "Succeeded");
    close_story();
}

TEST(t_conditions__on_failure_retries_once) {
    const char *id;
    begin(V2(SOURCE "," BUILD("'onFailure':{'result':'RETRY','retryConfiguration':{'retryMode':'ALL_ACTIONS'}}")));
    id = latest_id("p");
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(stage_status("p", 1), "InProgress");
    CHECK(number("stageStates.1.retryStageMetadata.autoStageRetryAttempt") == 1);
    CHECK_STR(text("stageStates.1.retryStageMetadata.latestRetryTrigger"), "AutomatedStageRetry");
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(execution_status("p", id), "Failed");
    CHECK_STR(run("RetryStageExecution",
                  "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'%s','retryMode':'ALL_ACTIONS'}", id),
              "");
    run("GetPipelineState", "{'name':'p'}");
    CHECK_STR(text("stageStates.1.retryStageMetadata.latestRetryTrigger"), "ManualStageRetry");
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(execution_status("p", id), "Failed");
    close_story();
}

TEST(t_conditions__on_failure_rolls_back_skips_or_fails) {
    begin_good(V2(SOURCE "," BUILD("'onFailure':{'result':'ROLLBACK'}")), 1);
    start("p");
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(fail_job(next_job()), ""); /* of the rollback, which is not rolled back */
    run("ListPipelineExecutions", "{'pipelineName':'p'}");
    CHECK(count("pipelineExecutionSummaries") == 3);
    CHECK_STR(text("pipelineExecutionSummaries.0.status"), "Failed");
    CHECK_STR(text("pipelineExecutionSummaries.1.status"), "Failed");
    close_story();
    begin(V2(SOURCE "," BUILD("'onFailure':{'result':'SKIP'}") "," LAST));
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(stage_status("p", 1), "Skipped");
    CHECK_STR(succeed(next_job()), "");
    CHECK_STR(execution_status("p", latest_id("p")), "Succeeded");
    close_story();
    begin(V2(SOURCE "," BUILD("'onFailure':{'result':'RETRY'," CONDITION("FAIL", CHECKS("EQ", "yes")) "}")));
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(stage_status("p", 1), "InProgress");
    CHECK_STR(text("stageStates.1.onFailureConditionState.latestExecution.status"), "(none)");
    close_story();
    begin(V2(SOURCE "," BUILD("'onFailure':{'result':'RETRY'," CONDITION("FAIL", CHECKS("EQ", "no")) "}")));
    CHECK_STR(fail_job(next_job()), "");
    CHECK_STR(stage_status("p", 1), "Failed");
    CHECK_STR(text("stageStates.1.onFailureConditionState.latestExecution.status"), "Failed");
    close_story();
}

TEST(t_conditions__a_rollback_without_anything_to_go_back_to_is_a_failure) {
    begin(V2(SOURCE "," BUILD("'onFailure':{'result':'ROLLBACK'}")));
    CHECK_STR(fail_job(next_job()), "");
    run("ListPipelineExecutions", "{'pipelineName':'p'}");
    CHECK(count("pipelineExecutionSummaries") == 1);
    CHECK_STR(text("pipelineExecutionSummaries.0.status"), "Failed");
    close_story();
}

TEST(t_conditions__rule_executions_are_listed_with_filters_and_pages) {
    const char *first, *second;
    first = begin_good(
        V2(SOURCE "," BUILD("'beforeEntry':{" CONDITION(
            "FAIL", CHECKS("CONTAINS", "e") "," RULE("Window", "DeploymentWindow", "'Cron':'* * * ? * *'")) "}")),
        1);
    second = start_with("no");
    CHECK_STR(run("ListRuleExecutions", "{'pipelineName':'p'}"), "");
    CHECK(count("ruleExecutionDetails") == 4);
    CHECK_STR(text("ruleExecutionDetails.0.ruleName"), "Window");
    CHECK_STR(text("ruleExecutionDetails.0.status"), "Succeeded");
    CHECK_STR(text("ruleExecutionDetails.1.pipelineExecutionId"), second);
    CHECK_STR(text("ruleExecutionDetails.1.status"), "Failed");
    CHECK_STR(text("ruleExecutionDetails.1.output.executionResult.errorDetails.code"), "RuleFailed");
    CHECK_STR(text("ruleExecutionDetails.1.input.configuration.Variable"), "#{variables.go}");
    CHECK_STR(text("ruleExecutionDetails.1.input.resolvedConfiguration.Variable"), "no");
    CHECK_STR(text("ruleExecutionDetails.1.input.ruleTypeId.provider"), "VariableCheck");
    CHECK_STR(
        run("ListRuleExecutions", "{'pipelineName':'p','filter':{'pipelineExecutionId':'%s'},'maxResults':1}", first),
        "");
    CHECK_STR(text("ruleExecutionDetails.0.pipelineExecutionId"), first);
    CHECK_STR(run("ListRuleExecutions",
                  "{'pipelineName':'p','filter':{'pipelineExecutionId':'%s'},'maxResults':1,'nextToken':'%s'}", first,
                  keep("nextToken")),
              "");
    CHECK_STR(text("ruleExecutionDetails.0.ruleName"), "Check");
    CHECK(value_at("nextToken") == NULL);
    CHECK_STR(
        run("RetryStageExecution",
            "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'%s','retryMode':'ALL_ACTIONS'}", second),
        "");
    CHECK_STR(run("ListRuleExecutions",
                  "{'pipelineName':'p','filter':{'latestInPipelineExecution':{"
                  "'pipelineExecutionId':'%s','startTimeRange':'Latest'}}}",
                  second),
              "");
    CHECK(count("ruleExecutionDetails") == 2);
    CHECK_STR(run("ListRuleExecutions", "{'pipelineName':'p','nextToken':'00'}"), "InvalidNextTokenException");
    CHECK_STR(run("ListRuleExecutions", "{'pipelineName':'q'}"), "PipelineNotFoundException");
    CHECK_STR(run("ListRuleExecutions",
                  "{'pipelineName':'p','filter':{'pipelineExecutionId':"
                  "'00000000-0000-4000-8000-000000000000'}}"),
              "PipelineExecutionNotFoundException");
    close_story();
}

#define ODD(name, configuration) "," RULE(name, "VariableCheck", configuration)
#define ODD_RULES                                                        \
    RULE("Alarm", "CloudWatchAlarm", "'AlarmName':'a'")                  \
    ODD("Op", "'Variable':'x','Operator':'LIKE','Value':'x'")            \
    ODD("Brace", "'Variable':'x','Operator':'MATCHES','Value':'x{99}'")  \
    ODD("Missing", "'Variable':'#{gone.x}','Operator':'EQ','Value':'x'") \
    "," RULE("Zone", "DeploymentWindow", "'Cron':'* * * ? * *','TimeZone':'Mars/Base'")

TEST(t_conditions__rules_that_cannot_be_looked_at_fail_and_say_why) {
    begin(V2(SOURCE "," BUILD("'beforeEntry':{" CONDITION("FAIL", ODD_RULES) "}")));
    CHECK_STR(run("ListRuleExecutions", "{'pipelineName':'p'}"), "");
    CHECK(count("ruleExecutionDetails") == 5);
    for (int i = 0; i < 5; i++) {
        char path[96];
        snprintf(path, sizeof path, "ruleExecutionDetails.%d.output.executionResult.errorDetails.code", i);
        CHECK_STR(text(path), i == 4 ? "NotEmulated" : "ConfigurationError");
    }
    close_story();
}

TEST(t_conditions__windows_open_and_close) {
    static const struct {
        const char *cron, *zone;
        bool good, open;
    } looks[] = {
        /* 2023-11-14 22:13:20 UTC is a Tuesday */
        {"20 13 22 14 11 ? 2023", "UTC", true, true},
        {"* * 22 ? * TUE *", NULL, true, true},
        {"* * 9-17 ? * MON-FRI *", "UTC", true, false},
        {"* * 23 ? NOV tue", "+01:00", true, true},
        {"* * 17 ? * *", "-05:00", true, true},
        {"* */13 * ? * *", NULL, true, true},
        {"0/20 1,13 * ? * *", NULL, true, true},
        {"* * 20-4 ? * *", NULL, true, true},
        {"* * 23-4 ? * *", NULL, true, false},
        {"* * * ? * SAT-TUE", NULL, true, true},
        {"* * * 15 * ?", "+03:00", true, true},
        {"* * * ? *", NULL, false, false},
        {"", NULL, false, false},
        {"* * * ? * * * *", NULL, false, false},
        {"60 * * ? * *", NULL, false, false},
        {"* * * L * ?", NULL, false, false},
        {"* * * ? * MON#1", NULL, false, false},
        {"*/0 * * ? * *", NULL, false, false},
        {"1- * * ? * *", NULL, false, false},
        {", * * ? * *", NULL, false, false},
        {"* * * ? * *", "Europe/Paris", false, false},
        {"* * * ? * *", "+25:00", false, false},
    };
    for (size_t i = 0; i < CPL_COUNT(looks); i++) {
        const char *problem;
        bool open = false,
             good = emu_window_look(cpl_str_of(looks[i].cron), cpl_str_of(looks[i].zone), 1700000000, &open, &problem);
        if (!CHECK(good == looks[i].good && (!good || open == looks[i].open))) printf("  %s\n", looks[i].cron);
    }
}

TEST(t_conditions__random_expressions_are_looked_at_or_refused) {
    static const char letters[] = "0123456789*?,-/ LW#MONSATJAN  * * ?";
    unsigned seed = 7;
    for (int i = 0; i < 20000; i++) {
        char cron[48], zone[8];
        const char *problem;
        bool open;
        size_t n = (seed >> 8) % sizeof cron;
        for (size_t j = 0; j < sizeof cron; j++) {
            seed = seed * 1664525u + 1013904223u;
            cron[j] = j < n ? letters[(seed >> 8) % (sizeof letters - 1)] : '\0';
        }
        cron[sizeof cron - 1] = '\0';
        snprintf(zone, sizeof zone, "+0%u:%02u", (seed >> 8) % 10, (seed >> 12) % 70);
        if (!emu_window_look(cpl_str_of(cron), cpl_str_of(zone), (int64_t)seed * 1000, &open, &problem)) {
            CHECK(problem && problem[0]);
        }
    }
}

TEST(t_conditions__variables_are_compared_as_the_operator_says) {
    static const struct {
        const char *how, *value;
        bool holds;
    } rules[] = {{"EQ", "yes", true},        {"eq", "ye", false},          {"NE", "no", true},
                 {"NE", "yes", false},       {"CONTAINS", "es", true},     {"CONTAINS", "x", false},
                 {"MATCHES", "^y.s$", true}, {"MATCHES", "^(a|b)", false}, {"MATCHES", "(", false}};
    begin_good(V2(SOURCE "," BUILD("'beforeEntry':{" CONDITION("FAIL", CHECKS("EQ", "yes")) "}")), 1);
    for (size_t i = 0; i < CPL_COUNT(rules); i++) {
        cpl_json *configuration = cpl_json_new_object();
        emu_finding finding;
        cpl_json_set_cstr(configuration, "Variable", "yes");
        cpl_json_set_cstr(configuration, "Operator", rules[i].how);
        cpl_json_set_cstr(configuration, "Value", rules[i].value);
        emu_rule_look(emu_engine_of(story), "VariableCheck", configuration, &finding);
        if (!CHECK(finding.holds == rules[i].holds)) printf("  %s %s\n", rules[i].how, rules[i].value);
        cpl_json_free(configuration);
    }
    close_story();
}

TEST(t_conditions__malformed_conditions_are_refused) {
    static const char *const stages[] = {
        BUILD("'beforeEntry':{" CONDITION("RETRY", CHECKS("EQ", "x")) "}"),
        BUILD("'onSuccess':{" CONDITION("SKIP", CHECKS("EQ", "x")) "}"),
        BUILD("'onSuccess':{'conditions':[{'result':'FAIL'}]}"),
        BUILD("'beforeEntry':{" CONDITION("FAIL", CHECKS("EQ", "x") "," CHECKS("EQ", "x")) "}"),
        BUILD("'beforeEntry':{" CONDITION("FAIL", RULE("R", "Nobody", "")) "}"),
        BUILD("'beforeEntry':{" CONDITION("FAIL", RULE("R", "DeploymentWindow", "")) "}"),
        BUILD("'beforeEntry':{" CONDITION("FAIL", RULE("R", "DeploymentWindow", "'Cron':'x','Colour':'y'")) "}"),
        BUILD("'onFailure':{'result':'FAIL','retryConfiguration':{'retryMode':'ALL_ACTIONS'}}"),
    };
    begin_empty();
    for (size_t i = 0; i < CPL_COUNT(stages); i++) {
        char pipeline[4096];
        snprintf(pipeline, sizeof pipeline, V2(SOURCE ",%s"), stages[i]);
        CHECK_STR(run("CreatePipeline", "%s", pipeline), "InvalidStageDeclarationException");
    }
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("p", SOURCE "," BUILD("'onFailure':{'result':'FAIL'}"))),
              "InvalidStructureException");
    CHECK_STR(
        run("CreatePipeline", "{'pipeline':{'name':'p','pipelineType':'V2','executionMode':'PARALLEL'," ROLE "," STORE
                              ",'stages':[" SOURCE "," BUILD("'onFailure':{'result':'ROLLBACK'}") "]}}"),
        "InvalidStageDeclarationException");
    CHECK_STR(run("ListRuleTypes", "{}"), "");
    CHECK(count("ruleTypes") == 6);
    CHECK_STR(text("ruleTypes.3.id.provider"), "DeploymentWindow");
    CHECK_STR(text("ruleTypes.3.ruleConfigurationProperties.0.name"), "Cron");
    close_story();
}

TEST(t_conditions__deploy_actions_have_no_targets_here) {
    begin_empty();
    put_source("src", "app.zip", "x");
    CHECK(emu_s3_create_bucket(story, "site"));
    CHECK_STR(run("CreatePipeline", "%s", PIPELINE("p", SOURCE "," DEPLOY("'Extract':'false','ObjectKey':'k'"))), "");
    CHECK_STR(run("ListActionExecutions", "{'pipelineName':'p'}"), "");
    const char *deploy = keep("actionExecutionDetails.0.actionExecutionId");
    const char *source = keep("actionExecutionDetails.1.actionExecutionId");
    CHECK_STR(run("ListDeployActionExecutionTargets", "{'actionExecutionId':'%s'}", deploy), "");
    CHECK(value_at("targets") != NULL && count("targets") == 0);
    CHECK_STR(run("ListDeployActionExecutionTargets", "{'pipelineName':'p','actionExecutionId':'%s'}", deploy), "");
    CHECK_STR(run("ListDeployActionExecutionTargets", "{'pipelineName':'q','actionExecutionId':'%s'}", deploy),
              "PipelineNotFoundException");
    CHECK_STR(run("ListDeployActionExecutionTargets", "{'actionExecutionId':'%s'}", source),
              "ActionExecutionNotFoundException");
    CHECK_STR(run("ListDeployActionExecutionTargets", "{'actionExecutionId':'%s','nextToken':'x'}", deploy),
              "InvalidNextTokenException");
    close_story();
}

TEST_MAIN
