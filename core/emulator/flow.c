/* SPDX-License-Identifier: MIT */
#include "engine.h"

/* What people do to a running pipeline: open and close transitions, approve and reject. */

/* ---- transitions: by "pipeline:stage" {"Inbound": {"enabled", "disabledReason", ...}, "Outbound": ...} ---- */

static cpl_json *new_transition(const emu_call *call, bool enabled) {
    cpl_json *state = cpl_json_new_object();
    cpl_buf owner;
    bool good;
    cpl_buf_init(&owner, 256);
    emu_owner_arn(call->e, &owner);
    good = cpl_json_set_bool(state, "enabled", enabled) &&
           cpl_json_set_str(state, "lastChangedBy", cpl_buf_str(&owner)) &&
           cpl_json_set_number(state, "lastChangedAt", emu_now_s(call->e)) &&
           (enabled || emu_copy(state, "disabledReason", call->in, "reason"));
    cpl_buf_release(&owner);
    if (good) return state;
    cpl_json_free(state);
    return NULL;
}

static bool keep_transition(emu_call *call, const char *key, bool enabled) {
    emu_store *store = emu_store_of(call->e);
    cpl_json *document = emu_store_get(store, EMU_TRANSITION, key);
    if (document == NULL) {
        document = cpl_json_new_object();
        if (!emu_store_put(store, EMU_TRANSITION, key, document)) return false;
    }
    emu_store_touch(store, EMU_TRANSITION, key);
    return cpl_json_set(document, EMU_GET(call->in, "transitionType"), new_transition(call, enabled));
}

static bool set_transition(emu_call *call, bool enabled) {
    emu_engine *engine = emu_engine_of(call->e);
    const char *pipeline = EMU_GET(call->in, "pipelineName"), *stage = EMU_GET(call->in, "stageName");
    const cpl_json *document = emu_pipeline_need(call, pipeline);
    emu_line *line = emu_line_find(engine, pipeline);
    cpl_buf key;
    bool good;
    if (document == NULL || emu_stage_need(call, document, stage) == NULL) return false;
    cpl_buf_init(&key, 512);
    emu_transition_key(pipeline, stage, &key);
    good = keep_transition(call, cpl_buf_cstr(&key), enabled) && (line == NULL || emu_line_settle(engine, line));
    cpl_buf_release(&key);
    return good || emu_nomem(call);
}

bool emu_disable_stage_transition(emu_call *call) {
    return set_transition(call, false);
}

bool emu_enable_stage_transition(emu_call *call) {
    return set_transition(call, true);
}

/* ---- PutApprovalResult ---- */

/* The latest approval under this name that was asked for, whoever asks now; NULL: none yet. */
static cpl_json *latest_record(const emu_call *call) {
    const emu_line *line = emu_line_find(emu_engine_of(call->e), EMU_GET(call->in, "pipelineName"));
    char key[256];
    snprintf(key, sizeof key, "%s/%s", EMU_GET(call->in, "stageName"), EMU_GET(call->in, "actionName"));
    return line ? emu_index_get(&line->actions, key) : NULL;
}

/* A token belongs to one request for approval; in PARALLEL mode several may be open, so all executions count. */
static cpl_json *record_with_token(const emu_call *call) {
    const emu_line *line = emu_line_find(emu_engine_of(call->e), EMU_GET(call->in, "pipelineName"));
    const char *token = EMU_GET(call->in, "token");
    cpl_json *latest = latest_record(call);
    if (latest && emu_is(latest, "token", token)) return latest;
    for (size_t i = line ? line->executions.n : 0; i-- > 0;) {
        cpl_json *record = emu_find(cpl_json_get(line->executions.items[i], "actions"), "token", token);
        if (record && emu_is(record, "stage", EMU_GET(call->in, "stageName")) &&
            emu_is(record, "action", EMU_GET(call->in, "actionName"))) {
            return record;
        }
    }
    return NULL;
}

static bool decide(emu_call *call, cpl_json *record) {
    emu_engine *engine = emu_engine_of(call->e);
    const cpl_json *result = cpl_json_get(call->in, "result");
    cpl_json *execution = emu_execution_get(engine, EMU_GET(record, "executionId"));
    emu_line *line = emu_line_find(engine, EMU_GET(execution, "pipeline"));
    bool approved = emu_is(result, "status", "Approved"), good;
    cpl_str summary = cpl_json_get_str(result, "summary");
    cpl_buf owner;
    cpl_buf_init(&owner, 256);
    emu_owner_arn(call->e, &owner);
    good =
        cpl_json_set_cstr(record, "summary", summary.n > 0 ? summary.p : NULL) &&
        cpl_json_set_str(record, "updatedBy", cpl_buf_str(&owner)) &&
        emu_action_end(engine, execution, record, &(emu_outcome){approved ? "Succeeded" : "Failed", NULL, {NULL, 0}}) &&
        emu_line_settle(engine, line) && cpl_json_set_number(call->out, "approvedAt", emu_now_s(call->e));
    cpl_buf_release(&owner);
    return good || emu_nomem(call);
}

const cpl_json *emu_action_need(emu_call *call, const cpl_json *stage, const char *action) {
    const cpl_json *found = emu_find(cpl_json_get(stage, "actions"), "name", action);
    if (found == NULL) {
        emu_refuse(call, "ActionNotFoundException", "Stage '%s' does not have an action with name '%s'",
                   EMU_GET(stage, "name"), action);
    }
    return found;
}

bool emu_put_approval_result(emu_call *call) {
    const char *action = EMU_GET(call->in, "actionName");
    const cpl_json *document = emu_pipeline_need(call, EMU_GET(call->in, "pipelineName")), *stage;
    cpl_json *record;
    if (document == NULL) return false;
    stage = emu_stage_need(call, document, EMU_GET(call->in, "stageName"));
    if (stage == NULL || emu_action_need(call, stage, action) == NULL) return false;
    record = record_with_token(call);
    if (record == NULL) {
        return emu_refuse(call, "InvalidApprovalTokenException", "The token is not that of an approval of action '%s'",
                          action);
    }
    if (!emu_action_running(record)) {
        return emu_refuse(call, "ApprovalAlreadyCompletedException",
                          "The approval of action '%s' is already completed (%s)", action, EMU_GET(record, "status"));
    }
    return decide(call, record);
}
