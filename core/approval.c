/* SPDX-License-Identifier: MIT */
/*
 * Approvals by intent. The service shows one token for each approval action, that of whichever execution waits there
 * now; who read the state a moment ago may approve something newer than they saw. So a decision is for one execution,
 * and its token is used only when the action execution it belongs to is one of that execution's own.
 */
#include "err.h"
#include "pace.h"
#include "run.h"

#define TEXT_MAX ((size_t)1 << 16)

static const char *text_of(const cpl_json *json, const char *member) {
    return cpl_json_get_cstr(json, member, "");
}

/* ---- deciding ---- */

typedef struct deciding {
    cpl_run *run;
    const cpl_decision *decision;
    char stage[128], action[128];
    cpl_answer *state, *actions;
} deciding;

/* The approval of this execution that is open; NULL: there is none. */
static const cpl_json *find_record(const deciding *d) {
    const cpl_json *records = cpl_json_get(d->actions->document, "actionExecutionDetails");
    for (const cpl_json *i = cpl_json_first(records); i; i = cpl_json_next(i)) {
        if (strcmp(text_of(i, "stageName"), d->stage) == 0 && strcmp(text_of(i, "actionName"), d->action) == 0)
            return i;
    }
    return NULL;
}

static cpl_status check_names(const deciding *d, cpl_error *err) {
    if (cpl_state_stage(d->state->document, d->stage) == NULL) {
        return cpl_fail_at(err, CPL_INVALID, "stage", "stage: pipeline \"%s\" has no stage \"%s\"", d->run->pipeline,
                           d->stage);
    }
    if (cpl_state_action(d->state->document, d->stage, d->action) == NULL) {
        return cpl_fail_at(err, CPL_INVALID, "action", "action: stage \"%s\" of pipeline \"%s\" has no action \"%s\"",
                           d->stage, d->run->pipeline, d->action);
    }
    return CPL_OK;
}

/* Somebody else's approval waits there, or nobody's. */
static cpl_status refuse(const deciding *d, cpl_error *err) {
    const cpl_json *stage = cpl_state_stage(d->state->document, d->stage), *record = find_record(d);
    const char *id = text_of(cpl_json_get(stage, "latestExecution"), "pipelineExecutionId");
    if (record && !cpl_run_status_open(text_of(record, "status"))) {
        return cpl_fail(err, CPL_STATE,
                        "the approval \"%s\" of stage \"%s\" was answered already in execution \"%s\": %s", d->action,
                        d->stage, d->run->id, text_of(record, "status"));
    }
    if (id[0] && strcmp(id, d->run->id) != 0) {
        return cpl_fail(
            err, CPL_STATE,
            "the approval \"%s\" of stage \"%s\" is that of execution \"%s\" now, not of \"%s\"; nothing was "
            "decided",
            d->action, d->stage, id, d->run->id);
    }
    return cpl_fail(err, CPL_STATE,
                    "the action \"%s\" of stage \"%s\" does not wait for an approval in execution \"%s\"", d->action,
                    d->stage, d->run->id);
}

static cpl_status put_result(const deciding *d, const char *token, const cpl_wait *wait, cpl_error *err) {
    cpl_str summary = d->decision->summary;
    cpl_status status;
    cpl_buf params;
    cpl_buf_init(&params, TEXT_MAX);
    cpl_buf_addc(&params, '{');
    cpl_run_param(&params, "pipelineName", cpl_str_of(d->run->pipeline));
    cpl_run_param(&params, "stageName", d->decision->stage);
    cpl_run_param(&params, "actionName", d->decision->action);
    cpl_run_param(&params, "token", cpl_str_of(token));
    cpl_buf_adds(&params, ",\"result\":{");
    cpl_run_param(&params, "summary", summary.p ? summary : CPL_LIT(""));
    cpl_run_param(&params, "status", d->decision->approved ? CPL_LIT("Approved") : CPL_LIT("Rejected"));
    cpl_buf_adds(&params, "}}");
    status = cpl_client_ask(d->run->client, "PutApprovalResult", &params, wait, NULL, err);
    cpl_buf_release(&params);
    return status;
}

static cpl_status decide(deciding *d, const cpl_wait *wait, cpl_error *err) {
    int64_t now = cpl_watch_now(d->run->client->watch);
    const cpl_json *record, *latest;
    cpl_wait rest;
    cpl_pace pace;
    cpl_status status;
    cpl_pace_init(&pace, wait);
    status = cpl_run_ask(d->run, CPL_ASK_STATE, now, wait, &d->state, err);
    if (status == CPL_OK) status = check_names(d, err);
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status == CPL_OK) status = cpl_run_ask(d->run, CPL_ASK_ACTIONS, now, &rest, &d->actions, err);
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status) return status;
    record = find_record(d);
    latest = record ? cpl_state_latest(d->state->document, record) : NULL;
    if (latest == NULL || !cpl_run_status_open(text_of(latest, "status")) || text_of(latest, "token")[0] == '\0')
        return refuse(d, err);
    return put_result(d, text_of(latest, "token"), &rest, err);
}

cpl_status cpl_run_decide(cpl_run *run, const cpl_decision *decision, const cpl_wait *wait, cpl_error *err) {
    deciding d = {.run = run, .decision = decision};
    cpl_status status;
    cpl_error own;
    if (decision->stage.n == 0 || decision->action.n == 0) {
        return cpl_fail_at(err, CPL_INVALID, decision->stage.n == 0 ? "stage" : "action", "%s: missing",
                           decision->stage.n == 0 ? "stage" : "action");
    }
    CPL_COPY(d.stage, decision->stage);
    CPL_COPY(d.action, decision->action);
    status = decide(&d, wait, err ? err : &own);
    cpl_answer_drop(d.state);
    cpl_answer_drop(d.actions);
    run->due_ms = run->looked = 0;
    run->acted = cpl_watch_now(run->client->watch);
    return status;
}

/* ---- all that wait ---- */

typedef struct listing {
    cpl_client *client;
    cpl_pace pace;
    cpl_json *found;
    cpl_error *err;
} listing;

/* Asks with {"key":"value", ...more}. */
static cpl_status ask(listing *l, const char *operation, const char *params, cpl_json **out) {
    cpl_wait rest;
    cpl_status status = cpl_pace_rest(&l->pace, &rest, l->err);
    cpl_buf text;
    *out = NULL;
    if (status) return status;
    cpl_buf_init(&text, TEXT_MAX);
    cpl_buf_adds(&text, params);
    status = cpl_client_ask(l->client, operation, &text, &rest, out, l->err);
    cpl_buf_release(&text);
    return status;
}

/* What the pipeline tells the approver stands in the action execution's configuration. */
static cpl_status add_configuration(listing *l, cpl_json *item, const char *action_id) {
    cpl_json *answer = NULL;
    const cpl_json *i;
    cpl_buf params;
    cpl_status status;
    bool fine = true;
    cpl_buf_init(&params, TEXT_MAX);
    cpl_buf_addc(&params, '{');
    cpl_run_param(&params, "pipelineName", cpl_json_get_str(item, "pipeline"));
    cpl_buf_adds(&params, ",\"filter\":{");
    cpl_run_param(&params, "pipelineExecutionId", cpl_json_get_str(item, "execution_id"));
    cpl_buf_adds(&params, "}}");
    status = ask(l, "ListActionExecutions", cpl_buf_cstr(&params), &answer);
    i = cpl_json_first(cpl_json_get(answer, "actionExecutionDetails"));
    while (i && strcmp(text_of(i, "actionExecutionId"), action_id) != 0) i = cpl_json_next(i);
    if (i) {
        fine = cpl_json_set_cstr(item, "message", cpl_record_setting(i, "CustomData")) &&
               cpl_json_set_cstr(item, "url", cpl_record_setting(i, "ExternalEntityLink"));
    }
    cpl_json_free(answer);
    cpl_buf_release(&params);
    return fine ? status : cpl_fail_nomem(l->err);
}

static cpl_status add_approval(listing *l, const char *pipeline, const cpl_json *stage, const cpl_json *action) {
    const cpl_json *latest = cpl_json_get(action, "latestExecution");
    cpl_json *item = cpl_json_new_object();
    bool fine = cpl_json_set_cstr(item, "pipeline", pipeline) &&
                cpl_json_set_cstr(item, "stage", text_of(stage, "stageName")) &&
                cpl_json_set_cstr(item, "action", text_of(action, "actionName")) &&
                cpl_json_set_cstr(item, "execution_id",
                                  text_of(cpl_json_get(stage, "latestExecution"), "pipelineExecutionId")) &&
                cpl_json_set_number(item, "since", cpl_json_get_number(latest, "lastStatusChange", 0));
    cpl_status status =
        fine ? add_configuration(l, item, text_of(latest, "actionExecutionId")) : cpl_fail_nomem(l->err);
    if (status == CPL_OK) return cpl_json_push(l->found, item) ? CPL_OK : cpl_fail_nomem(l->err);
    cpl_json_free(item);
    return status;
}

static cpl_status list_pipeline(listing *l, const char *pipeline) {
    cpl_json *state = NULL;
    cpl_status status;
    cpl_buf params;
    cpl_buf_init(&params, TEXT_MAX);
    cpl_buf_addc(&params, '{');
    cpl_run_param(&params, "name", cpl_str_of(pipeline));
    cpl_buf_addc(&params, '}');
    status = ask(l, "GetPipelineState", cpl_buf_cstr(&params), &state);
    for (const cpl_json *i = cpl_json_first(cpl_json_get(state, "stageStates")); i; i = cpl_json_next(i)) {
        for (const cpl_json *a = cpl_json_first(cpl_json_get(i, "actionStates")); a; a = cpl_json_next(a)) {
            const cpl_json *latest = cpl_json_get(a, "latestExecution");
            bool open = cpl_run_status_open(text_of(latest, "status")) && text_of(latest, "token")[0];
            if (open && status == CPL_OK) status = add_approval(l, pipeline, i, a);
        }
    }
    cpl_json_free(state);
    cpl_buf_release(&params);
    return status;
}

/* One that was deleted since it was listed has no approvals. */
static bool is_gone(cpl_status status, const cpl_error *err) {
    return status == CPL_SERVICE && strcmp(err->code, "PipelineNotFoundException") == 0;
}

static cpl_status list_page(listing *l, cpl_buf *token) {
    cpl_json *page = NULL;
    cpl_status status;
    cpl_buf params;
    cpl_buf_init(&params, TEXT_MAX);
    cpl_buf_addc(&params, '{');
    if (token->n > 0) cpl_run_param(&params, "nextToken", cpl_buf_str(token));
    cpl_buf_addc(&params, '}');
    status = ask(l, "ListPipelines", cpl_buf_cstr(&params), &page);
    cpl_buf_clear(token);
    cpl_buf_adds(token, text_of(page, "nextToken"));
    for (const cpl_json *i = cpl_json_first(cpl_json_get(page, "pipelines")); i && status == CPL_OK;
         i = cpl_json_next(i)) {
        status = list_pipeline(l, text_of(i, "name"));
        if (is_gone(status, l->err)) status = CPL_OK;
    }
    cpl_json_free(page);
    cpl_buf_release(&params);
    return status;
}

cpl_status cpl_client_approvals(cpl_client *client, cpl_str pipeline, const cpl_wait *wait, cpl_reply **out,
                                cpl_error *err) {
    cpl_error own;
    listing l = {.client = client, .found = cpl_json_new_array(), .err = err ? err : &own};
    cpl_status status = l.found ? CPL_OK : cpl_fail_nomem(l.err);
    cpl_buf name;
    *out = NULL;
    cpl_buf_init(&name, TEXT_MAX);
    cpl_pace_init(&l.pace, wait);
    cpl_buf_addv(&name, pipeline);
    if (status == CPL_OK && pipeline.n > 0) {
        status = list_pipeline(&l, cpl_buf_cstr(&name));
    } else {
        do {
            status = status ? status : list_page(&l, &name);
        } while (status == CPL_OK && name.n > 0);
    }
    cpl_buf_release(&name);
    if (status == CPL_OK) return cpl_run_reply(l.found, out, l.err);
    cpl_json_free(l.found);
    return status;
}
