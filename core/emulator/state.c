/* SPDX-License-Identifier: MIT */
#include "rules.h"

/* GetPipelineState: every stage of the latest version with what ran in it last. */

typedef struct state_view {
    const emu_engine *engine;
    const emu_line *line; /* NULL: nothing ran yet */
    const cpl_json *pipeline;
} state_view;

/* ---- actions ---- */

static bool set_latest(const state_view *v, cpl_json *state, const cpl_json *record) {
    cpl_json *latest = emu_object_at(state, "latestExecution");
    bool running = emu_action_running(record);
    return emu_copy(latest, "actionExecutionId", record, "id") && emu_copy(latest, "status", record, "status") &&
           emu_copy(latest, "summary", record, "summary") && emu_copy(latest, "lastStatusChange", record, "updated") &&
           (!running || emu_copy(latest, "token", record, "token")) &&
           emu_copy(latest, "lastUpdatedBy", record, "updatedBy") &&
           emu_copy(latest, "externalExecutionId", record, "externalExecutionId") &&
           emu_link_set(v->engine, record, "executionUrlTemplate", latest, "externalExecutionUrl") &&
           emu_copy(latest, "percentComplete", record, "percentComplete") &&
           emu_copy(latest, "errorDetails", record, "error") &&
           emu_copy(state, "currentRevision", record, "revision") &&
           emu_link_set(v->engine, record, "revisionUrlTemplate", state, "revisionUrl");
}

/* The links of an action that has not run yet come from its declaration. */
static bool set_entity_url(const state_view *v, cpl_json *state, const cpl_json *action, const cpl_json *record) {
    cpl_json *declared = cpl_json_new_object();
    bool good = cpl_json_set(declared, "input", cpl_json_clone(action)) &&
                emu_link_set(v->engine, record ? record : declared, "entityUrlTemplate", state, "entityUrl");
    cpl_json_free(declared);
    return good;
}

static bool add_action(const state_view *v, cpl_json *states, const cpl_json *stage, const cpl_json *action) {
    cpl_json *state = cpl_json_new_object();
    const cpl_json *record;
    char key[256];
    snprintf(key, sizeof key, "%s/%s", EMU_GET(stage, "name"), EMU_GET(action, "name"));
    record = v->line ? emu_index_get(&v->line->actions, key) : NULL;
    if (!emu_copy(state, "actionName", action, "name") || !set_entity_url(v, state, action, record) ||
        (record && !set_latest(v, state, record))) {
        cpl_json_free(state);
        return false;
    }
    return cpl_json_push(states, state);
}

/* ---- stages ---- */

static bool fill_execution(cpl_json *to, const cpl_json *execution, const char *status) {
    return emu_copy(to, "pipelineExecutionId", execution, "id") && cpl_json_set_cstr(to, "status", status) &&
           cpl_json_set_cstr(to, "type", cpl_json_get(execution, "target") ? "ROLLBACK" : "STANDARD");
}

/* The newest that waits in front of the stage, and all of them. */
static bool set_inbound(const state_view *v, cpl_json *state, const char *stage) {
    cpl_json *all = emu_array_at(state, "inboundExecutions"), *newest = NULL;
    for (size_t i = v->line ? v->line->active.n : 0; i-- > 0;) {
        const cpl_json *execution = v->line->active.items[i];
        cpl_json *item;
        if (!cpl_json_get_bool(execution, "waiting", false) || !emu_is(execution, "stage", stage)) continue;
        item = cpl_json_new_object();
        if (!fill_execution(item, execution, "InProgress")) {
            cpl_json_free(item);
            return false;
        }
        if (newest == NULL) newest = item;
        if (!cpl_json_push(all, item)) return false;
    }
    return all && (newest == NULL || cpl_json_set(state, "inboundExecution", cpl_json_clone(newest)));
}

static bool set_transition(const state_view *v, cpl_json *state, const char *stage) {
    const cpl_json *document, *inbound;
    cpl_buf key;
    cpl_buf_init(&key, 512);
    emu_transition_key(EMU_GET(v->pipeline, "name"), stage, &key);
    document = emu_store_get(emu_store_of(v->engine->e), EMU_TRANSITION, cpl_buf_cstr(&key));
    cpl_buf_release(&key);
    inbound = cpl_json_get(document, "Inbound");
    if (inbound) return cpl_json_set(state, "inboundTransitionState", cpl_json_clone(inbound));
    return cpl_json_set_bool(emu_object_at(state, "inboundTransitionState"), "enabled", true);
}

static bool set_stage_latest(const state_view *v, cpl_json *state, const char *stage) {
    const cpl_json *execution = v->line ? emu_index_get(&v->line->stages, stage) : NULL;
    const cpl_json *record = cpl_json_get(cpl_json_get(execution, "stages"), stage);
    double retries = cpl_json_get_number(record, "retries", 0);
    double automatic = cpl_json_get_number(record, "autoRetries", 0);
    const char *status = EMU_GET(record, "status");
    cpl_json *metadata;
    if (execution == NULL) return true;
    if (strcmp(status, "InProgress") == 0 && emu_is(execution, "status", "Stopping")) status = "Stopping";
    if (!fill_execution(emu_object_at(state, "latestExecution"), execution, status)) return false;
    if (retries == 0 && automatic == 0) return true;
    metadata = emu_object_at(state, "retryStageMetadata");
    return (retries == 0 || cpl_json_set_number(metadata, "manualStageRetryAttempt", retries)) &&
           (automatic == 0 || cpl_json_set_number(metadata, "autoStageRetryAttempt", automatic)) &&
           emu_copy(metadata, "latestRetryTrigger", record, "lastRetry");
}

static bool add_stage(const state_view *v, cpl_json *states, const cpl_json *stage) {
    const char *name = EMU_GET(stage, "name");
    cpl_json *state = cpl_json_new_object(), *actions = emu_array_at(state, "actionStates");
    bool good = cpl_json_set_cstr(state, "stageName", name) && set_inbound(v, state, name) &&
                set_transition(v, state, name) && set_stage_latest(v, state, name) &&
                emu_conditions_show(state, stage, v->line ? emu_index_get(&v->line->stages, name) : NULL);
    for (const cpl_json *i = cpl_json_first(cpl_json_get(stage, "actions")); good && i; i = cpl_json_next(i)) {
        good = add_action(v, actions, stage, i);
    }
    if (good) return cpl_json_push(states, state);
    cpl_json_free(state);
    return false;
}

bool emu_get_pipeline_state(emu_call *call) {
    const char *name = EMU_GET(call->in, "name");
    const cpl_json *document = emu_pipeline_need(call, name), *pipeline = emu_pipeline_latest(document);
    emu_engine *engine = emu_engine_of(call->e);
    state_view v = {engine, emu_line_find(engine, name), pipeline};
    cpl_json *states;
    bool good;
    if (document == NULL) return false;
    states = emu_array_at(call->out, "stageStates");
    good = cpl_json_set_cstr(call->out, "pipelineName", name) &&
           emu_copy(call->out, "pipelineVersion", pipeline, "version") &&
           emu_copy(call->out, "created", document, "created") && emu_copy(call->out, "updated", document, "updated");
    for (const cpl_json *i = cpl_json_first(cpl_json_get(pipeline, "stages")); good && i; i = cpl_json_next(i)) {
        good = add_stage(&v, states, i);
    }
    return good || emu_nomem(call);
}
