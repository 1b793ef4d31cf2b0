/* SPDX-License-Identifier: MIT */
#include "rules.h"

#define CONCURRENT_MAX 50 /* in QUEUED and PARALLEL mode */

/* The execution of this pipeline, or NULL. */
static cpl_json *find_execution(const emu_call *call) {
    cpl_json *execution = emu_execution_get(emu_engine_of(call->e), EMU_GET(call->in, "pipelineExecutionId"));
    return emu_is(execution, "pipeline", EMU_GET(call->in, "pipelineName")) ? execution : NULL;
}

static bool answer_id(emu_call *call, const cpl_json *execution) {
    return emu_copy(call->out, "pipelineExecutionId", execution, "id") || emu_nomem(call);
}

static bool settle(emu_call *call, const char *pipeline) {
    emu_engine *engine = emu_engine_of(call->e);
    emu_line *line = emu_line_find(engine, pipeline);
    return line == NULL || emu_line_settle(engine, line) || emu_nomem(call);
}

/* ---- StartPipelineExecution ---- */

static bool check_variables(emu_call *call, const cpl_json *pipeline) {
    const cpl_json *declared = cpl_json_get(pipeline, "variables"), *given = cpl_json_get(call->in, "variables");
    for (const cpl_json *i = cpl_json_first(given); i; i = cpl_json_next(i)) {
        if (emu_find(declared, "name", EMU_GET(i, "name")) == NULL) {
            return emu_refuse(call, "ValidationException", "Pipeline '%s' does not declare a variable '%s'",
                              EMU_GET(pipeline, "name"), EMU_GET(i, "name"));
        }
        if (emu_find(given, "name", EMU_GET(i, "name")) != i) {
            return emu_refuse(call, "ValidationException", "The variable '%s' is given more than once",
                              EMU_GET(i, "name"));
        }
    }
    for (const cpl_json *i = cpl_json_first(declared); i; i = cpl_json_next(i)) {
        if (!cpl_json_get(i, "defaultValue") && !emu_find(given, "name", EMU_GET(i, "name"))) {
            return emu_refuse(call, "ValidationException",
                              "The variable '%s' has no default value, so a value must be given", EMU_GET(i, "name"));
        }
    }
    return true;
}

/* What names a revision of their sources. */
static const struct {
    const char *provider, *type;
} named_by[] = {{"S3", "S3_OBJECT_KEY"},     {"S3", "S3_OBJECT_VERSION_ID"}, {"CodeStarSourceConnection", "COMMIT_ID"},
                {"CodeCommit", "COMMIT_ID"}, {"GitHub", "COMMIT_ID"},        {"ECR", "IMAGE_DIGEST"}};

static bool may_be_named(const cpl_json *type_id, const char *type) {
    bool may = false;
    for (size_t i = 0; i < CPL_COUNT(named_by) && !emu_is(type_id, "owner", "Custom"); i++) {
        may = may || (emu_is(type_id, "provider", named_by[i].provider) && strcmp(type, named_by[i].type) == 0);
    }
    return may;
}

static bool check_overrides(emu_call *call, const cpl_json *pipeline) {
    const cpl_json *overrides = cpl_json_get(call->in, "sourceRevisions");
    const cpl_json *sources = cpl_json_get(cpl_json_first(cpl_json_get(pipeline, "stages")), "actions");
    for (const cpl_json *i = cpl_json_first(overrides); i; i = cpl_json_next(i)) {
        const char *name = EMU_GET(i, "actionName"), *type = EMU_GET(i, "revisionType");
        const cpl_json *action = emu_find(sources, "name", name);
        if (action == NULL) {
            return emu_refuse(call, "ValidationException", "Pipeline '%s' does not have a source action '%s'",
                              EMU_GET(pipeline, "name"), name);
        }
        if (!may_be_named(cpl_json_get(action, "actionTypeId"), type)) {
            return emu_refuse(call, "ValidationException", "No revision of source action '%s' is named by %s", name,
                              type);
        }
    }
    return true;
}

bool emu_at_concurrency_limit(const emu_engine *engine, const cpl_json *pipeline) {
    const emu_line *line = emu_line_find(engine, EMU_GET(pipeline, "name"));
    return !emu_is(pipeline, "executionMode", "SUPERSEDED") && line && line->active.n >= CONCURRENT_MAX;
}

bool emu_concurrency_check(emu_call *call, const cpl_json *pipeline) {
    if (!emu_at_concurrency_limit(emu_engine_of(call->e), pipeline)) return true;
    return emu_refuse(call, "ConcurrentPipelineExecutionsLimitExceededException",
                      "Pipeline '%s' already has %d executions in progress", EMU_GET(pipeline, "name"), CONCURRENT_MAX);
}

static const cpl_json *find_request(const emu_call *call, const char *pipeline, const char *token) {
    const cpl_json *execution;
    cpl_buf key;
    if (token == NULL) return NULL;
    cpl_buf_init(&key, 512);
    cpl_buf_addf(&key, "%s/%s", pipeline, token);
    execution = emu_index_get(&emu_engine_of(call->e)->requests, cpl_buf_cstr(&key));
    cpl_buf_release(&key);
    return execution;
}

static bool start_pipeline_execution(emu_call *call) {
    const char *name = EMU_GET(call->in, "name");
    const char *token = cpl_json_get_cstr(call->in, "clientRequestToken", NULL);
    const cpl_json *document = emu_pipeline_need(call, name), *pipeline = emu_pipeline_latest(document), *execution;
    cpl_buf owner;
    if (document == NULL) return false;
    execution = find_request(call, name, token);
    if (execution) return answer_id(call, execution);
    if (!check_variables(call, pipeline) || !check_overrides(call, pipeline) ||
        !emu_concurrency_check(call, pipeline)) {
        return false;
    }
    cpl_buf_init(&owner, 256);
    emu_owner_arn(call->e, &owner);
    execution = emu_execution_start(emu_engine_of(call->e), name,
                                    &(emu_start){.trigger = "StartPipelineExecution",
                                                 .detail = cpl_buf_cstr(&owner),
                                                 .token = token,
                                                 .variables = cpl_json_get(call->in, "variables"),
                                                 .overrides = cpl_json_get(call->in, "sourceRevisions")});
    cpl_buf_release(&owner);
    return execution ? answer_id(call, execution) : emu_nomem(call);
}

/* ---- StopPipelineExecution ---- */

static bool abandon(emu_engine *engine, cpl_json *execution, const char *records) {
    for (cpl_json *i = cpl_json_first(cpl_json_get(execution, records)); i; i = cpl_json_next(i)) {
        const char *job = cpl_json_get_cstr(i, "jobId", NULL);
        if (!emu_action_running(i)) continue;
        if (job) emu_job_close(engine, job, "Failed");
        if (!emu_action_end(engine, execution, i, &(emu_outcome){"Abandoned", NULL, {NULL, 0}})) return false;
    }
    return true;
}

/* One that waits in front of a stage has nothing to wait for; one in a stage ends when its actions have. */
static bool stop(emu_call *call, cpl_json *execution) {
    emu_engine *engine = emu_engine_of(call->e);
    cpl_json *trigger = emu_object_at(execution, "stop");
    if (!cpl_json_set_cstr(trigger, "reason", cpl_json_get_cstr(call->in, "reason", NULL))) return emu_nomem(call);
    if (cpl_json_get_bool(execution, "waiting", false)) {
        emu_execution_finish(engine, execution, "Stopped");
    } else if (!emu_execution_change(engine, execution, "Stopping")) {
        return emu_nomem(call);
    }
    if (cpl_json_get_bool(call->in, "abandon", false) &&
        (!abandon(engine, execution, "actions") || !abandon(engine, execution, "rules")))
        return emu_nomem(call);
    return settle(call, EMU_GET(execution, "pipeline")) && answer_id(call, execution);
}

static bool stop_pipeline_execution(emu_call *call) {
    const char *name = EMU_GET(call->in, "pipelineName"), *id = EMU_GET(call->in, "pipelineExecutionId");
    cpl_json *execution;
    if (emu_pipeline_need(call, name) == NULL) return false;
    execution = find_execution(call);
    if (execution == NULL || emu_execution_over(execution)) {
        return emu_refuse(call, "PipelineExecutionNotStoppableException",
                          "Pipeline '%s' does not have an execution '%s' in progress%s%s", name, id,
                          execution ? "; its status is " : "", EMU_GET(execution, "status"));
    }
    if (emu_is(execution, "status", "Stopping") && !cpl_json_get_bool(call->in, "abandon", false)) {
        return emu_refuse(call, "DuplicatedStopRequestException",
                          "The execution '%s' of pipeline '%s' is already stopping", id, name);
    }
    return stop(call, execution);
}

/* ---- RetryStageExecution ---- */

static bool not_retryable(emu_call *call, const char *why) {
    return emu_refuse(call, "StageNotRetryableException", "Stage '%s' of pipeline '%s' cannot be retried: %s",
                      EMU_GET(call->in, "stageName"), EMU_GET(call->in, "pipelineName"), why);
}

/* The execution whose stage can be tried again; NULL: refused. */
static cpl_json *need_retryable(emu_call *call, const cpl_json *document) {
    const char *stage = EMU_GET(call->in, "stageName");
    const emu_line *line = emu_line_find(emu_engine_of(call->e), EMU_GET(call->in, "pipelineName"));
    cpl_json *execution = find_execution(call);
    if (execution == NULL || line == NULL || emu_index_get(&line->stages, stage) != execution) {
        emu_refuse(call, "NotLatestPipelineExecutionException",
                   "The execution '%s' is not the latest one in stage '%s' of pipeline '%s'",
                   EMU_GET(call->in, "pipelineExecutionId"), stage, EMU_GET(call->in, "pipelineName"));
        return NULL;
    }
    if (!emu_execution_over(execution)) {
        not_retryable(call, "its execution is in progress");
    } else if (!emu_is(execution, "stage", stage) ||
               (!emu_is(execution, "status", "Failed") && !emu_is(execution, "status", "Stopped"))) {
        not_retryable(call, "it contains no failed actions");
    } else if (cpl_json_get_number(document, "latest", 0) != cpl_json_get_number(execution, "version", 0)) {
        not_retryable(call, "the pipeline was changed since");
    } else {
        return execution;
    }
    return NULL;
}

/* A stage that was entered is not entered again: what let the execution in stays. */
static void forget_conditions(cpl_json *stage) {
    cpl_json *conditions = cpl_json_get(stage, "conditions");
    const cpl_json *entry = cpl_json_get(conditions, "beforeEntry");
    if (emu_is(entry, "status", "Failed") || emu_is(entry, "status", "Abandoned"))
        cpl_json_remove(conditions, "beforeEntry");
    cpl_json_remove(conditions, "onSuccess");
    cpl_json_remove(conditions, "onFailure");
}

bool emu_stage_reopen(emu_engine *engine, cpl_json *execution, const char *stage, bool all) {
    cpl_json *record = cpl_json_get(cpl_json_get(execution, "stages"), stage);
    cpl_json *started = cpl_json_get(record, "actions");
    for (cpl_json *i = cpl_json_first(started), *next; i; i = next) {
        next = cpl_json_next(i);
        if (all || !emu_is(emu_record_get(execution, cpl_json_cstr(i, "")), "status", "Succeeded")) {
            cpl_json_free(cpl_json_detach(started, i));
        }
    }
    forget_conditions(record);
    return emu_stage_change(engine, execution, stage, "InProgress");
}

static bool retry_stage_execution(emu_call *call) {
    const char *name = EMU_GET(call->in, "pipelineName"), *stage_name = EMU_GET(call->in, "stageName");
    const cpl_json *document = emu_pipeline_need(call, name);
    cpl_json *execution, *stage;
    if (document == NULL || emu_stage_need(call, document, stage_name) == NULL) return false;
    execution = need_retryable(call, document);
    if (execution == NULL || !emu_concurrency_check(call, emu_pipeline_latest(document))) return false;
    stage = cpl_json_get(cpl_json_get(execution, "stages"), stage_name);
    cpl_json_remove(execution, "stop");
    cpl_json_remove(execution, "statusSummary");
    if (!cpl_json_set_number(stage, "retries", cpl_json_get_number(stage, "retries", 0) + 1) ||
        !cpl_json_set_cstr(stage, "lastRetry", "ManualStageRetry") ||
        !emu_execution_revive(emu_engine_of(call->e), execution) ||
        !emu_stage_reopen(emu_engine_of(call->e), execution, stage_name,
                          emu_is(call->in, "retryMode", "ALL_ACTIONS"))) {
        return emu_nomem(call);
    }
    return settle(call, name) && answer_id(call, execution);
}

const emu_route emu_execution_routes[] = {
    {"StartPipelineExecution", start_pipeline_execution},
    {"StopPipelineExecution", stop_pipeline_execution},
    {"RetryStageExecution", retry_stage_execution},
    {"RollbackStage", emu_rollback_stage},
    {"PutActionRevision", emu_put_action_revision},
    {"GetPipelineExecution", emu_get_pipeline_execution},
    {"ListPipelineExecutions", emu_list_pipeline_executions},
    {"ListActionExecutions", emu_list_action_executions},
    {"ListRuleExecutions", emu_list_rule_executions},
    {"ListRuleTypes", emu_list_rule_types},
    {"ListDeployActionExecutionTargets", emu_list_deploy_action_execution_targets},
    {"OverrideStageCondition", emu_override_stage_condition},
    {"GetPipelineState", emu_get_pipeline_state},
    {"PutApprovalResult", emu_put_approval_result},
    {"DisableStageTransition", emu_disable_stage_transition},
    {"EnableStageTransition", emu_enable_stage_transition},
    {NULL, NULL},
};
