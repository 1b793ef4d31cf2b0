/* SPDX-License-Identifier: MIT */
#include "rules.h"

/*
 * A stage has up to three conditions, each with rules, which all begin at once. Some are decided in that instant; one
 * that calls a function, or goes as a script says, runs like an action, and the condition is InProgress as long as one
 * of its rules is. What came of it is kept
 * - in the stage of the execution: "conditions": {"beforeEntry": {"status", "at", "summary"}, ...},
 * - for every rule in the execution: "rules": [{"id", "executionId", "order", "stage", "condition", "rule", "status",
 *   "started", "updated", "version", "input", "summary", "error"}, ...], and what a running action's has
 *   ("jobId", "script", "deadline").
 *
 * When a condition does not hold, its result happens. onFailure has a result of its own, which happens when it has no
 * conditions, or when they hold: that is how a failure that can be waited out is retried, and another is not.
 */

typedef struct condition_kind {
    const char *member;     /* in the stage's declaration, and in the execution's stage */
    const char *state;      /* in GetPipelineState */
    const char *type;       /* in OverrideStageCondition; NULL: cannot be overridden */
    const char *results[5]; /* what may happen */
} condition_kind;

static const condition_kind kinds[EMU_CONDITIONS] = {
    {"beforeEntry", "beforeEntryConditionState", "BEFORE_ENTRY", {"FAIL", "SKIP", NULL}},
    {"onSuccess", "onSuccessConditionState", "ON_SUCCESS", {"FAIL", "ROLLBACK", NULL}},
    {"onFailure", "onFailureConditionState", NULL, {"FAIL", "ROLLBACK", "RETRY", "SKIP", NULL}},
};

#define STAGE "InvalidStageDeclarationException"

/* ---- declarations ---- */

typedef struct check {
    emu_call *call;
    const cpl_json *pipeline;
    const cpl_json *stage;
    const condition_kind *kind;
} check;

static bool check_result(const check *c, const char *result) {
    bool first = c->stage == cpl_json_first(cpl_json_get(c->pipeline, "stages")), allowed = false;
    if (result == NULL) return true;
    for (size_t i = 0; c->kind->results[i]; i++) allowed = allowed || strcmp(c->kind->results[i], result) == 0;
    if (!allowed) {
        return emu_refuse(c->call, STAGE, "The result %s is not allowed in %s of stage %s", result, c->kind->member,
                          EMU_GET(c->stage, "name"));
    }
    if (strcmp(result, "ROLLBACK") != 0 || (!first && !emu_is(c->pipeline, "executionMode", "PARALLEL"))) return true;
    return emu_refuse(c->call, STAGE, "%s of stage %s cannot roll back: %s", c->kind->member, EMU_GET(c->stage, "name"),
                      first ? "the stage holds the sources" : "the executions run in PARALLEL mode");
}

static const cpl_json *find_property(const cpl_json *type, const char *name) {
    return emu_find(cpl_json_get(type, "ruleConfigurationProperties"), "name", name);
}

static bool check_configuration(const check *c, const cpl_json *rule, const cpl_json *type) {
    const cpl_json *configuration = cpl_json_get(rule, "configuration");
    const cpl_json *properties = cpl_json_get(type, "ruleConfigurationProperties");
    if (properties == NULL) return true;
    for (const cpl_json *i = cpl_json_first(configuration); i; i = cpl_json_next(i)) {
        if (find_property(type, cpl_json_key(i).p) == NULL) {
            return emu_refuse(c->call, STAGE, "Rule '%s' in stage '%s' contains unknown configuration '%s'",
                              EMU_GET(rule, "name"), EMU_GET(c->stage, "name"), cpl_json_key(i).p);
        }
    }
    for (const cpl_json *i = cpl_json_first(properties); i; i = cpl_json_next(i)) {
        const char *name = EMU_GET(i, "name");
        if (cpl_json_get_bool(i, "required", false) && cpl_json_get(configuration, name) == NULL) {
            return emu_refuse(c->call, STAGE, "Rule '%s' in stage '%s' is missing required configuration '%s'",
                              EMU_GET(rule, "name"), EMU_GET(c->stage, "name"), name);
        }
    }
    return true;
}

static bool check_rule(const check *c, const cpl_json *rules, const cpl_json *rule) {
    const cpl_json *id = cpl_json_get(rule, "ruleTypeId");
    const char *name = EMU_GET(rule, "name"), *version = cpl_json_get_cstr(id, "version", "1");
    cpl_json *type;
    bool known, good;
    if (emu_find(rules, "name", name) != rule) {
        return emu_refuse(c->call, STAGE, "Rule names must be unique. %s occurs more than once in %s of stage %s", name,
                          c->kind->member, EMU_GET(c->stage, "name"));
    }
    type = emu_rule_type(EMU_GET(id, "provider"), &known);
    if (known && type == NULL) return emu_nomem(c->call);
    if (!known || strcmp(version, "1") != 0) {
        good = emu_refuse(c->call, STAGE, "Rule '%s' in stage '%s' is of type %s, version %s, which does not exist",
                          name, EMU_GET(c->stage, "name"), EMU_GET(id, "provider"), version);
    } else {
        good = check_configuration(c, rule, type);
    }
    cpl_json_free(type);
    return good;
}

static bool check_condition(const check *c, const cpl_json *condition) {
    const cpl_json *rules = cpl_json_get(condition, "rules");
    if (!check_result(c, cpl_json_get_cstr(condition, "result", NULL))) return false;
    if (cpl_json_count(rules) == 0) {
        return emu_refuse(c->call, STAGE, "%s of stage %s has a condition without rules", c->kind->member,
                          EMU_GET(c->stage, "name"));
    }
    for (const cpl_json *i = cpl_json_first(rules); i; i = cpl_json_next(i)) {
        if (!check_rule(c, rules, i)) return false;
    }
    return true;
}

static bool check_kind(const check *c) {
    const cpl_json *declared = cpl_json_get(c->stage, c->kind->member);
    const char *result = cpl_json_get_cstr(declared, "result", NULL), *name = EMU_GET(c->stage, "name");
    if (declared == NULL) return true;
    if (!emu_is(c->pipeline, "pipelineType", "V2")) {
        return emu_refuse(c->call, "InvalidStructureException",
                          "Stage conditions (%s of stage %s) need a pipeline of type V2", c->kind->member, name);
    }
    if (c->kind == &kinds[EMU_BEFORE_ENTRY] && c->stage == cpl_json_first(cpl_json_get(c->pipeline, "stages"))) {
        return emu_refuse(c->call, STAGE, "The first stage %s cannot have conditions before entry", name);
    }
    if (cpl_json_get(declared, "retryConfiguration") && (result == NULL || strcmp(result, "RETRY") != 0)) {
        return emu_refuse(c->call, STAGE, "The retryConfiguration of stage %s needs the result RETRY", name);
    }
    for (const cpl_json *i = cpl_json_first(cpl_json_get(declared, "conditions")); i; i = cpl_json_next(i)) {
        if (!check_condition(c, i)) return false;
    }
    return check_result(c, result);
}

bool emu_conditions_check(emu_call *call, const cpl_json *pipeline, const cpl_json *stage) {
    for (size_t i = 0; i < EMU_CONDITIONS; i++) {
        if (!check_kind(&(check){call, pipeline, stage, &kinds[i]})) return false;
    }
    return true;
}

/* ---- looking at rules ---- */

static bool fill_input(const emu_context *at, cpl_json *input) {
    return emu_copy(input, "ruleTypeId", at->action, "ruleTypeId") &&
           emu_copy(input, "configuration", at->action, "configuration") &&
           emu_copy(input, "roleArn", at->action, "roleArn") &&
           cpl_json_set_cstr(input, "region", cpl_json_get_cstr(at->action, "region", emu_region(at->engine->e))) &&
           emu_action_inputs(at, emu_array_at(input, "inputArtifacts"));
}

static bool fill_record(const emu_context *at, const char *member) {
    cpl_json *record = at->record;
    double now = emu_now_s(at->engine->e);
    char id[CPL_UUID_SIZE];
    return emu_uuid(at->engine->e, id) && cpl_json_set_cstr(record, "id", id) &&
           cpl_json_set_cstr(record, "status", "InProgress") && emu_copy(record, "executionId", at->execution, "id") &&
           emu_copy(record, "version", at->execution, "version") &&
           cpl_json_set_number(record, "order", (double)++at->engine->order) &&
           emu_copy(record, "stage", at->execution, "stage") && cpl_json_set_cstr(record, "condition", member) &&
           emu_copy(record, "rule", at->action, "name") && cpl_json_set_number(record, "started", now) &&
           cpl_json_set_number(record, "updated", now) && fill_input(at, emu_object_at(record, "input"));
}

static bool decide(const emu_context *at, const emu_finding *finding) {
    if (!finding->holds) return emu_action_fail(at, finding->code, "%s", finding->message);
    return cpl_json_set_cstr(at->record, "summary", finding->message) &&
           emu_action_end(at->engine, at->execution, at->record, &(emu_outcome){"Succeeded", NULL, {NULL, 0}});
}

/* Decided at once, or in its time. */
static bool run_resolved(const emu_context *at, const cpl_json *resolved) {
    const char *provider = EMU_GET(cpl_json_get(at->action, "ruleTypeId"), "provider");
    emu_finding finding;
    if (emu_rule_look(at->engine, provider, resolved, &finding)) return decide(at, &finding);
    return strcmp(provider, "LambdaInvoke") == 0 ? emu_action_call(at) : emu_action_script(at);
}

/* Runs it, unless a variable has no value. */
static bool resolve_and_run(const emu_context *at) {
    cpl_json *input = cpl_json_get(at->record, "input"), *resolved;
    cpl_buf missing;
    bool good;
    cpl_buf_init(&missing, 1024);
    resolved = emu_variables_resolve(at->execution, cpl_json_get(at->action, "configuration"), &missing);
    if (resolved) {
        good = cpl_json_set(input, "resolvedConfiguration", resolved) && run_resolved(at, resolved);
    } else {
        good = missing.n > 0 &&
               emu_action_fail(at, "ConfigurationError", "The variable %s has no value", cpl_buf_cstr(&missing));
    }
    cpl_buf_release(&missing);
    return good;
}

static bool run_rule(emu_engine *engine, cpl_json *execution, const cpl_json *rule, const char *member) {
    const emu_context at = {engine, execution, cpl_json_new_object(), rule};
    if (!fill_record(&at, member)) {
        cpl_json_free(at.record);
        return false;
    }
    return cpl_json_push(emu_array_at(execution, "rules"), at.record) && resolve_and_run(&at);
}

/* The rule's newest execution in this stage. */
static const cpl_json *latest_rule(const cpl_json *execution, const char *stage, const char *member, const char *rule) {
    const cpl_json *latest = NULL;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(execution, "rules")); i; i = cpl_json_next(i)) {
        if (emu_is(i, "stage", stage) && emu_is(i, "condition", member) && emu_is(i, "rule", rule)) latest = i;
    }
    return latest;
}

bool emu_rules_running(const cpl_json *execution) {
    for (const cpl_json *i = cpl_json_first(cpl_json_get(execution, "rules")); i; i = cpl_json_next(i)) {
        if (emu_action_running(i)) return true;
    }
    return false;
}

/* ---- conditions ---- */

static cpl_json *stage_record(const cpl_json *execution, const char *stage) {
    return cpl_json_get(cpl_json_get(execution, "stages"), stage);
}

static bool note(emu_engine *engine, cpl_json *execution, const char *member, const char *status) {
    cpl_json *stage = stage_record(execution, EMU_GET(execution, "stage"));
    cpl_json *state = emu_object_at(emu_object_at(stage, "conditions"), member);
    char summary[256];
    emu_execution_touch(engine, execution);
    if (!cpl_json_set_cstr(state, "status", status) || !cpl_json_set_number(state, "at", emu_now_s(engine->e)))
        return false;
    if (strcmp(status, "Failed") != 0) return true;
    snprintf(summary, sizeof summary, "A rule of %s in stage %s does not hold", member, EMU_GET(execution, "stage"));
    return cpl_json_set_cstr(state, "summary", summary) && cpl_json_set_cstr(execution, "statusSummary", summary);
}

/* What its rules have come to: Succeeded when all hold. */
static const char *verdict(const cpl_json *execution, const cpl_json *condition, const char *member) {
    const char *worst = "Succeeded";
    for (const cpl_json *i = cpl_json_first(cpl_json_get(condition, "rules")); i; i = cpl_json_next(i)) {
        const cpl_json *latest = latest_rule(execution, EMU_GET(execution, "stage"), member, EMU_GET(i, "name"));
        if (emu_action_running(latest)) return "InProgress";
        if (!emu_is(latest, "status", "Succeeded")) worst = "Failed";
    }
    return worst;
}

bool emu_condition_run(emu_engine *engine, cpl_json *execution, const cpl_json *stage, emu_condition which,
                       const char **result) {
    const char *member = kinds[which].member, *status;
    const cpl_json *declared = cpl_json_get(stage, member);
    const cpl_json *condition = cpl_json_first(cpl_json_get(declared, "conditions"));
    const cpl_json *done = cpl_json_get(stage_record(execution, EMU_GET(execution, "stage")), "conditions");
    bool begun = cpl_json_get(done, member) != NULL;
    *result = which == EMU_ON_FAILURE ? EMU_GET(declared, "result") : "";
    if (condition == NULL || (begun && !emu_is(cpl_json_get(done, member), "status", "InProgress"))) return true;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(condition, "rules")); i && !begun; i = cpl_json_next(i)) {
        if (!run_rule(engine, execution, i, member)) return false;
    }
    status = verdict(execution, condition, member);
    if (strcmp(status, "InProgress") == 0) *result = EMU_PENDING;
    if (strcmp(status, "Failed") == 0) *result = cpl_json_get_cstr(condition, "result", "FAIL");
    return note(engine, execution, member, status);
}

bool emu_conditions_abandon(cpl_json *execution) {
    cpl_json *conditions = cpl_json_get(stage_record(execution, EMU_GET(execution, "stage")), "conditions");
    for (cpl_json *i = cpl_json_first(conditions); i; i = cpl_json_next(i)) {
        if (emu_is(i, "status", "InProgress") && !cpl_json_set_cstr(i, "status", "Abandoned")) return false;
    }
    return true;
}

/* ---- GetPipelineState ---- */

static bool set_rule_latest(cpl_json *state, const cpl_json *record) {
    cpl_json *latest = emu_object_at(state, "latestExecution");
    return emu_copy(latest, "ruleExecutionId", record, "id") && emu_copy(latest, "status", record, "status") &&
           emu_copy(latest, "summary", record, "summary") && emu_copy(latest, "lastStatusChange", record, "updated") &&
           emu_copy(latest, "errorDetails", record, "error");
}

static bool add_rule_states(cpl_json *list, const cpl_json *stage, const char *member, const cpl_json *execution) {
    const cpl_json *condition = cpl_json_first(cpl_json_get(cpl_json_get(stage, member), "conditions"));
    for (const cpl_json *i = cpl_json_first(cpl_json_get(condition, "rules")); i; i = cpl_json_next(i)) {
        const cpl_json *record = latest_rule(execution, EMU_GET(stage, "name"), member, EMU_GET(i, "name"));
        cpl_json *state = cpl_json_new_object();
        if (!emu_copy(state, "ruleName", i, "name") || (record && !set_rule_latest(state, record))) {
            cpl_json_free(state);
            return false;
        }
        if (!cpl_json_push(list, state)) return false;
    }
    return list != NULL;
}

static bool show(cpl_json *out, const cpl_json *stage, const char *member, const cpl_json *execution) {
    cpl_json *condition = cpl_json_new_object();
    const cpl_json *done = cpl_json_get(stage_record(execution, EMU_GET(stage, "name")), "conditions");
    const cpl_json *latest = cpl_json_get(done, member);
    bool good = add_rule_states(emu_array_at(condition, "ruleStates"), stage, member, execution);
    if (good && latest) {
        cpl_json *all = emu_object_at(out, "latestExecution"), *one = emu_object_at(condition, "latestExecution");
        good = emu_copy(all, "status", latest, "status") && emu_copy(all, "summary", latest, "summary") &&
               emu_copy(one, "status", latest, "status") && emu_copy(one, "summary", latest, "summary") &&
               emu_copy(one, "lastStatusChange", latest, "at");
    }
    if (good) return cpl_json_push(emu_array_at(out, "conditionStates"), condition);
    cpl_json_free(condition);
    return false;
}

bool emu_conditions_show(cpl_json *state, const cpl_json *stage, const cpl_json *execution) {
    for (size_t i = 0; i < EMU_CONDITIONS; i++) {
        const cpl_json *declared = cpl_json_get(stage, kinds[i].member);
        if (cpl_json_count(cpl_json_get(declared, "conditions")) == 0) continue;
        if (!show(emu_object_at(state, kinds[i].state), stage, kinds[i].member, execution)) return false;
    }
    return true;
}

/* ---- OverrideStageCondition ---- */

/* The execution that the condition holds, or refuses. */
static cpl_json *need_held(emu_call *call, const cpl_json *document, const char *member) {
    const char *name = EMU_GET(call->in, "pipelineName"), *stage = EMU_GET(call->in, "stageName");
    const char *id = EMU_GET(call->in, "pipelineExecutionId");
    const emu_line *line = emu_line_find(emu_engine_of(call->e), name);
    cpl_json *execution = line ? emu_index_get(&line->stages, stage) : NULL;
    const cpl_json *state;
    if (execution == NULL || !emu_is(execution, "id", id)) {
        emu_refuse(call, "NotLatestPipelineExecutionException",
                   "The execution '%s' is not the latest one in stage '%s' of pipeline '%s'", id, stage, name);
        return NULL;
    }
    state = cpl_json_get(cpl_json_get(stage_record(execution, stage), "conditions"), member);
    if (!emu_is(state, "status", "Failed") || !emu_is(execution, "status", "Failed") ||
        !emu_is(execution, "stage", stage)) {
        emu_refuse(call, "ConditionNotOverridableException",
                   "The condition %s of stage '%s' does not hold the execution '%s'", member, stage, id);
        return NULL;
    }
    if (cpl_json_get_number(emu_pipeline_latest(document), "version", 0) !=
        cpl_json_get_number(execution, "version", 0)) {
        emu_refuse(call, "ConditionNotOverridableException", "The pipeline '%s' was changed since the execution '%s'",
                   name, id);
        return NULL;
    }
    return execution;
}

bool emu_override_stage_condition(emu_call *call) {
    emu_engine *engine = emu_engine_of(call->e);
    const char *name = EMU_GET(call->in, "pipelineName");
    const cpl_json *document = emu_pipeline_need(call, name);
    bool before = emu_is(call->in, "conditionType", kinds[EMU_BEFORE_ENTRY].type);
    const char *member = kinds[before ? EMU_BEFORE_ENTRY : EMU_ON_SUCCESS].member;
    cpl_json *execution;
    if (document == NULL || emu_stage_need(call, document, EMU_GET(call->in, "stageName")) == NULL) return false;
    execution = need_held(call, document, member);
    if (execution == NULL || !emu_concurrency_check(call, emu_pipeline_latest(document))) return false;
    cpl_json_remove(execution, "statusSummary");
    return (note(engine, execution, member, "Overridden") && emu_execution_revive(engine, execution) &&
            emu_stage_change(engine, execution, EMU_GET(execution, "stage"), "InProgress") &&
            emu_line_settle(engine, emu_line_find(engine, name))) ||
           emu_nomem(call);
}
