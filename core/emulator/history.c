/* SPDX-License-Identifier: MIT */
#include "engine.h"

/*
 * What ran: GetPipelineExecution, ListPipelineExecutions, ListActionExecutions, ListRuleExecutions,
 * ListDeployActionExecutionTargets. Newest first.
 */

cpl_json *emu_execution_need(emu_call *call, const char *id) {
    const char *name = EMU_GET(call->in, "pipelineName");
    cpl_json *execution = emu_execution_get(emu_engine_of(call->e), id);
    if (execution && emu_is(execution, "pipeline", name)) return execution;
    emu_refuse(call, "PipelineExecutionNotFoundException", "Pipeline '%s' does not have an execution with id '%s'",
               name, id);
    return NULL;
}

bool emu_execution_type(cpl_json *out, const cpl_json *execution) {
    const char *target = cpl_json_get_cstr(execution, "target", NULL);
    return cpl_json_set_cstr(out, "executionType", target ? "ROLLBACK" : "STANDARD") &&
           (!target ||
            cpl_json_set_cstr(emu_object_at(out, "rollbackMetadata"), "rollbackTargetPipelineExecutionId", target));
}

/* ---- GetPipelineExecution ---- */

static bool fill_execution(cpl_json *out, const cpl_json *execution) {
    bool variables = cpl_json_count(cpl_json_get(execution, "variables")) > 0;
    return emu_copy(out, "pipelineName", execution, "pipeline") &&
           emu_copy(out, "pipelineVersion", execution, "version") &&
           emu_copy(out, "pipelineExecutionId", execution, "id") && emu_copy(out, "status", execution, "status") &&
           emu_copy(out, "statusSummary", execution, "statusSummary") &&
           emu_copy(out, "artifactRevisions", execution, "artifactRevisions") &&
           (!variables || emu_copy(out, "variables", execution, "variables")) &&
           emu_copy(out, "trigger", execution, "trigger") && emu_copy(out, "executionMode", execution, "mode") &&
           emu_execution_type(out, execution);
}

bool emu_get_pipeline_execution(emu_call *call) {
    const cpl_json *execution;
    if (emu_pipeline_need(call, EMU_GET(call->in, "pipelineName")) == NULL) return false;
    execution = emu_execution_need(call, EMU_GET(call->in, "pipelineExecutionId"));
    if (execution == NULL) return false;
    return fill_execution(emu_object_at(call->out, "pipelineExecution"), execution) || emu_nomem(call);
}

/* ---- ListPipelineExecutions ---- */

static bool add_summary(cpl_json *list, const cpl_json *execution) {
    cpl_json *item = cpl_json_new_object();
    const cpl_json *stop = cpl_json_get(execution, "stop");
    if (emu_copy(item, "pipelineExecutionId", execution, "id") && emu_copy(item, "status", execution, "status") &&
        emu_copy(item, "statusSummary", execution, "statusSummary") &&
        emu_copy(item, "startTime", execution, "started") && emu_copy(item, "lastUpdateTime", execution, "updated") &&
        emu_copy(item, "sourceRevisions", execution, "sourceRevisions") &&
        emu_copy(item, "trigger", execution, "trigger") &&
        (!stop || emu_copy(item, "stopTrigger", execution, "stop")) &&
        emu_copy(item, "executionMode", execution, "mode") && emu_execution_type(item, execution)) {
        return cpl_json_push(list, item);
    }
    cpl_json_free(item);
    return false;
}

static bool succeeded_in(const cpl_json *execution, const char *stage) {
    const cpl_json *record = cpl_json_get(cpl_json_get(execution, "stages"), stage);
    return stage == NULL || emu_is(record, "status", "Succeeded");
}

/* Orders and numbers count up, so a page goes on below the last one shown; at the beginning, below infinity. */
static int64_t begin_below(const char *after) {
    int64_t below = INT64_MAX;
    cpl_str_integer(cpl_str_of(after), &below);
    return below;
}

static bool list_page(emu_call *call, const emu_list *executions, const char *stage, int64_t below) {
    cpl_json *list = emu_array_at(call->out, "pipelineExecutionSummaries");
    const char *scope = EMU_GET(call->in, "pipelineName");
    size_t most = emu_page_size(call, 100), n = 0;
    int64_t last = below;
    char text[24];
    for (size_t i = executions->n; i-- > 0;) {
        const cpl_json *execution = executions->items[i];
        int64_t number = (int64_t)cpl_json_get_number(execution, "number", 0);
        if (number >= below || !succeeded_in(execution, stage)) continue;
        if (n++ == most) {
            snprintf(text, sizeof text, "%lld", (long long)last);
            return emu_page_more(call, scope, text);
        }
        if (!add_summary(list, execution)) return emu_nomem(call);
        last = number;
    }
    return true;
}

bool emu_list_pipeline_executions(emu_call *call) {
    const char *name = EMU_GET(call->in, "pipelineName");
    const char *stage = cpl_json_cstr(cpl_json_get_path(call->in, "filter.succeededInStage.stageName"), NULL);
    const emu_line *line = emu_line_find(emu_engine_of(call->e), name);
    static const emu_list none;
    char after[EMU_PAGE_KEY];
    if (emu_pipeline_need(call, name) == NULL || !emu_page_begin(call, name, after)) return false;
    return list_page(call, line ? &line->executions : &none, stage, begin_below(after));
}

/* ---- ListActionExecutions ---- */

static bool fill_input(const emu_engine *engine, cpl_json *out, const cpl_json *input) {
    const cpl_json *type = cpl_json_get(input, "actionTypeId"), *configuration = cpl_json_get(input, "configuration");
    const cpl_json *resolved = cpl_json_get(input, "resolvedConfiguration");
    return emu_copy(out, "actionTypeId", input, "actionTypeId") &&
           (!configuration || cpl_json_set(out, "configuration", emu_kind_mask(engine, type, configuration))) &&
           (!resolved || cpl_json_set(out, "resolvedConfiguration", emu_kind_mask(engine, type, resolved))) &&
           emu_copy(out, "roleArn", input, "roleArn") && emu_copy(out, "region", input, "region") &&
           emu_copy(out, "inputArtifacts", input, "inputArtifacts") && emu_copy(out, "namespace", input, "namespace");
}

static bool fill_output(const emu_engine *engine, cpl_json *out, const cpl_json *record) {
    cpl_json *result = emu_object_at(out, "executionResult");
    return emu_copy(out, "outputArtifacts", record, "outputArtifacts") &&
           emu_copy(result, "externalExecutionId", record, "externalExecutionId") &&
           emu_copy(result, "externalExecutionSummary", record, "summary") &&
           emu_link_set(engine, record, "executionUrlTemplate", result, "externalExecutionUrl") &&
           emu_copy(result, "errorDetails", record, "error") &&
           (cpl_json_get(record, "outputVariables") ? emu_copy(out, "outputVariables", record, "outputVariables")
                                                    : cpl_json_set(out, "outputVariables", cpl_json_new_object()));
}

static bool add_detail(const emu_engine *engine, cpl_json *list, const cpl_json *record) {
    cpl_json *item = cpl_json_new_object();
    bool over = !emu_action_running(record);
    if (emu_copy(item, "pipelineExecutionId", record, "executionId") &&
        emu_copy(item, "actionExecutionId", record, "id") && emu_copy(item, "pipelineVersion", record, "version") &&
        emu_copy(item, "stageName", record, "stage") && emu_copy(item, "actionName", record, "action") &&
        emu_copy(item, "startTime", record, "started") && emu_copy(item, "lastUpdateTime", record, "updated") &&
        emu_copy(item, "updatedBy", record, "updatedBy") && emu_copy(item, "status", record, "status") &&
        fill_input(engine, emu_object_at(item, "input"), cpl_json_get(record, "input")) &&
        (!over || fill_output(engine, emu_object_at(item, "output"), record))) {
        return cpl_json_push(list, item);
    }
    cpl_json_free(item);
    return false;
}

/* ---- ListRuleExecutions ---- */

static bool fill_rule_result(cpl_json *out, const cpl_json *record) {
    cpl_json *result = emu_object_at(out, "executionResult");
    return emu_copy(result, "externalExecutionId", record, "externalExecutionId") &&
           emu_copy(result, "externalExecutionSummary", record, "summary") &&
           emu_copy(result, "errorDetails", record, "error");
}

static bool add_rule(const emu_engine *engine, cpl_json *list, const cpl_json *record) {
    cpl_json *item = cpl_json_new_object();
    (void)engine;
    if (emu_copy(item, "pipelineExecutionId", record, "executionId") &&
        emu_copy(item, "ruleExecutionId", record, "id") && emu_copy(item, "pipelineVersion", record, "version") &&
        emu_copy(item, "stageName", record, "stage") && emu_copy(item, "ruleName", record, "rule") &&
        emu_copy(item, "startTime", record, "started") && emu_copy(item, "lastUpdateTime", record, "updated") &&
        emu_copy(item, "status", record, "status") && emu_copy(item, "input", record, "input") &&
        fill_rule_result(emu_object_at(item, "output"), record)) {
        return cpl_json_push(list, item);
    }
    cpl_json_free(item);
    return false;
}

/* ---- actions and rules in one order ---- */

typedef struct listing {
    const char *records; /* in an execution */
    const char *name;    /* of a record: what is the same in repeated ones, beside the stage */
    const char *group;   /* one more member that is the same; NULL: none */
    const char *list;    /* in the answer */
    bool (*add)(const emu_engine *engine, cpl_json *list, const cpl_json *record);
} listing;

static const listing action_listing = {"actions", "action", NULL, "actionExecutionDetails", add_detail};
static const listing rule_listing = {"rules", "rule", "condition", "ruleExecutionDetails", add_rule};

typedef struct detail {
    double order;
    const cpl_json *record;
} detail;

typedef struct details {
    detail *items;
    size_t n;
    size_t cap;
} details;

static bool details_push(details *found, const cpl_json *record) {
    if (found->n == found->cap) {
        size_t cap = found->cap ? found->cap * 2 : 64;
        detail *items = cpl_realloc(found->items, cap * sizeof *items);
        if (items == NULL) return false;
        found->items = items;
        found->cap = cap;
    }
    found->items[found->n++] = (detail){cpl_json_get_number(record, "order", 0), record};
    return true;
}

static int newest_first(const void *a, const void *b) {
    double left = ((const detail *)a)->order, right = ((const detail *)b)->order;
    return (left < right) - (left > right);
}

/* "latestInPipelineExecution" with startTimeRange Latest: only the last execution of every action or rule. */
static bool is_latest(const listing *what, const cpl_json *record) {
    for (const cpl_json *i = cpl_json_next(record); i; i = cpl_json_next(i)) {
        if (emu_is(i, "stage", EMU_GET(record, "stage")) && emu_is(i, what->name, EMU_GET(record, what->name)) &&
            (what->group == NULL || emu_is(i, what->group, EMU_GET(record, what->group))))
            return false;
    }
    return true;
}

static bool collect(const listing *what, details *found, const cpl_json *execution, bool latest, int64_t below) {
    for (cpl_json *i = cpl_json_first(cpl_json_get(execution, what->records)); i; i = cpl_json_next(i)) {
        if (cpl_json_get_number(i, "order", 0) >= (double)below || (latest && !is_latest(what, i))) continue;
        if (!details_push(found, i)) return false;
    }
    return true;
}

static bool list_details(emu_call *call, const listing *what, const details *found, const char *scope) {
    cpl_json *list = emu_array_at(call->out, what->list);
    size_t most = emu_page_size(call, 100);
    char text[24];
    for (size_t i = 0; i < found->n; i++) {
        if (i == most) {
            snprintf(text, sizeof text, "%.0f", found->items[i - 1].order);
            return emu_page_more(call, scope, text);
        }
        if (!what->add(emu_engine_of(call->e), list, found->items[i].record)) return emu_nomem(call);
    }
    return true;
}

typedef struct detail_filter {
    const char *id; /* of the execution; NULL: all */
    bool latest;
    const char *scope;
    int64_t below;
} detail_filter;

static bool list_filtered(emu_call *call, const listing *what, const detail_filter *filter) {
    const emu_line *line = emu_line_find(emu_engine_of(call->e), EMU_GET(call->in, "pipelineName"));
    details found = {0};
    bool good = true;
    if (filter->id) {
        const cpl_json *execution = emu_execution_need(call, filter->id);
        if (execution == NULL) return false;
        good = collect(what, &found, execution, filter->latest, filter->below);
    } else {
        for (size_t i = 0; good && line && i < line->executions.n; i++) {
            good = collect(what, &found, line->executions.items[i], false, filter->below);
        }
    }
    if (found.n > 0) qsort(found.items, found.n, sizeof *found.items, newest_first);
    good = good ? list_details(call, what, &found, filter->scope) : emu_nomem(call);
    cpl_free(found.items);
    return good;
}

static bool list_records(emu_call *call, const listing *what) {
    const char *name = EMU_GET(call->in, "pipelineName");
    const cpl_json *asked = cpl_json_get(call->in, "filter");
    const cpl_json *in_latest = cpl_json_get(asked, "latestInPipelineExecution");
    detail_filter filter = {.id = cpl_json_get_cstr(asked, "pipelineExecutionId", NULL)};
    char after[EMU_PAGE_KEY], scope[160];
    if (in_latest) {
        filter.id = EMU_GET(in_latest, "pipelineExecutionId");
        filter.latest = emu_is(in_latest, "startTimeRange", "Latest");
    }
    snprintf(scope, sizeof scope, "%s/%s", name, filter.id ? filter.id : "");
    if (emu_pipeline_need(call, name) == NULL || !emu_page_begin(call, scope, after)) return false;
    filter.scope = scope;
    filter.below = begin_below(after);
    return list_filtered(call, what, &filter);
}

bool emu_list_action_executions(emu_call *call) {
    return list_records(call, &action_listing);
}

bool emu_list_rule_executions(emu_call *call) {
    return list_records(call, &rule_listing);
}

/* ---- ListDeployActionExecutionTargets ---- */

static const cpl_json *find_record(const emu_call *call, const char *pipeline, const char *id) {
    emu_store *store = emu_store_of(call->e);
    for (size_t i = 0; i < emu_store_size(store, EMU_EXECUTION); i++) {
        const char *key;
        const cpl_json *execution = emu_store_at(store, EMU_EXECUTION, i, &key);
        const cpl_json *record = emu_record_get(execution, id);
        if (record && !emu_record_is_rule(record) && (pipeline == NULL || emu_is(execution, "pipeline", pipeline)))
            return record;
    }
    return NULL;
}

/* Targets are instances, which none of the deploy actions that run here have. */
bool emu_list_deploy_action_execution_targets(emu_call *call) {
    const char *pipeline = cpl_json_get_cstr(call->in, "pipelineName", NULL);
    const char *id = EMU_GET(call->in, "actionExecutionId");
    const cpl_json *record;
    char after[EMU_PAGE_KEY];
    if ((pipeline && emu_pipeline_need(call, pipeline) == NULL) || !emu_page_begin(call, id, after)) return false;
    record = find_record(call, pipeline, id);
    if (!emu_is(cpl_json_get_path(record, "input.actionTypeId"), "category", "Deploy")) {
        return emu_refuse(call, "ActionExecutionNotFoundException",
                          "There is no execution of a deploy action with id '%s'", id);
    }
    return emu_array_at(call->out, "targets") || emu_nomem(call);
}
