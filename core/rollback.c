/* SPDX-License-Identifier: MIT */
/*
 * Which execution a stage goes back to when nobody names one. The service takes executions of the pipeline's present
 * version alone, that succeeded in the stage and are no rollbacks themselves.
 */
#include "err.h"
#include "pace.h"
#include "run.h"

#define PARAMS_MAX ((size_t)1 << 16)

typedef struct search {
    const cpl_run *run;
    char stage[128];
    cpl_pace pace;
    cpl_answer *state;
    cpl_json *executions; /* the newest that succeeded in the stage */
} search;

static const char *text_of(const cpl_json *json, const char *member) {
    return cpl_json_get_cstr(json, member, "");
}

/* Begins the parameters of what is asked of the pipeline. */
static void begin(const search *s, cpl_buf *params) {
    cpl_buf_init(params, PARAMS_MAX);
    cpl_buf_addc(params, '{');
    cpl_run_param(params, "pipelineName", cpl_str_of(s->run->pipeline));
}

static cpl_status ask(const search *s, const char *operation, cpl_buf *params, cpl_json **out, cpl_error *err) {
    cpl_wait rest;
    cpl_status status = cpl_pace_rest(&s->pace, &rest, err);
    cpl_buf_addc(params, '}');
    if (status == CPL_OK) status = cpl_client_ask(s->run->client, operation, params, &rest, out, err);
    cpl_buf_release(params);
    return status;
}

static cpl_status list(search *s, cpl_error *err) {
    cpl_buf params;
    begin(s, &params);
    cpl_buf_adds(&params, ",\"filter\":{\"succeededInStage\":{");
    cpl_run_param(&params, "stageName", cpl_str_of(s->stage));
    cpl_buf_adds(&params, "}}");
    return ask(s, "ListPipelineExecutions", &params, &s->executions, err);
}

static cpl_status version_of(const search *s, const char *id, double *out, cpl_error *err) {
    cpl_json *answer = NULL;
    cpl_status status;
    cpl_buf params;
    begin(s, &params);
    cpl_run_param(&params, "pipelineExecutionId", cpl_str_of(id));
    status = ask(s, "GetPipelineExecution", &params, &answer, err);
    *out = cpl_json_get_number(cpl_json_get(answer, "pipelineExecution"), "pipelineVersion", 0);
    cpl_json_free(answer);
    return status;
}

/* Those that are listed further down began earlier, and none of them with a newer version. */
static cpl_status choose(const search *s, const cpl_json *stage, cpl_buf *out, cpl_error *err) {
    const char *present = text_of(cpl_json_get(stage, "latestExecution"), "pipelineExecutionId");
    double version = cpl_json_get_number(s->state->document, "pipelineVersion", 0), its = 0;
    const cpl_json *i = cpl_json_first(cpl_json_get(s->executions, "pipelineExecutionSummaries"));
    while (i && (strcmp(text_of(i, "pipelineExecutionId"), present) == 0 ||
                 strcmp(text_of(i, "executionType"), "ROLLBACK") == 0))
        i = cpl_json_next(i);
    if (i) {
        cpl_status status = version_of(s, text_of(i, "pipelineExecutionId"), &its, err);
        if (status) return status;
    }
    if (i == NULL || its != version) {
        return cpl_fail(err, CPL_STATE,
                        "no earlier execution of version %.0f of pipeline \"%s\" succeeded in stage \"%s\"", version,
                        s->run->pipeline, s->stage);
    }
    cpl_buf_adds(out, text_of(i, "pipelineExecutionId"));
    return cpl_buf_status(out, "an execution's id", err);
}

cpl_status cpl_run_earlier(const cpl_run *run, cpl_str stage, const cpl_wait *wait, cpl_buf *out, cpl_error *err) {
    search s = {.run = run};
    const cpl_json *there = NULL;
    cpl_wait rest;
    cpl_status status;
    CPL_COPY(s.stage, stage);
    cpl_pace_init(&s.pace, wait);
    status = cpl_pace_rest(&s.pace, &rest, err);
    if (status == CPL_OK)
        status = cpl_run_ask(run, CPL_ASK_STATE, cpl_watch_now(run->client->watch), &rest, &s.state, err);
    if (status == CPL_OK) there = cpl_state_stage(s.state->document, s.stage);
    if (status == CPL_OK && there == NULL)
        status = cpl_fail_at(err, CPL_INVALID, "stage", "stage: pipeline \"%s\" has no stage \"%s\"", run->pipeline,
                             s.stage);
    if (status == CPL_OK) status = list(&s, err);
    if (status == CPL_OK) status = choose(&s, there, out, err);
    cpl_answer_drop(s.state);
    cpl_json_free(s.executions);
    return status;
}
