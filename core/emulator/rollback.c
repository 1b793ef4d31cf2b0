/* SPDX-License-Identifier: MIT */
#include "engine.h"

/*
 * Going back: an execution of type ROLLBACK runs one stage again, with the artifacts, revisions and variables of an
 * earlier execution that succeeded in it, and ends there.
 */

/* ---- the target ---- */

static bool succeeded_in(const cpl_json *execution, const char *stage) {
    return emu_is(cpl_json_get(cpl_json_get(execution, "stages"), stage), "status", "Succeeded");
}

const cpl_json *emu_rollback_target(const emu_engine *engine, const cpl_json *execution) {
    const emu_line *line = emu_line_find(engine, EMU_GET(execution, "pipeline"));
    double version = cpl_json_get_number(execution, "version", 0);
    for (size_t i = line ? line->executions.n : 0; i-- > 0;) {
        const cpl_json *other = line->executions.items[i];
        if (other != execution && cpl_json_get(other, "target") == NULL &&
            cpl_json_get_number(other, "version", 0) == version && succeeded_in(other, EMU_GET(execution, "stage"))) {
            return other;
        }
    }
    return NULL;
}

bool emu_rollback_add(emu_engine *engine, const cpl_json *failed, const cpl_json *target) {
    char detail[96];
    snprintf(detail, sizeof detail, "{\"FailedPipelineExecutionId\":\"%.40s\"}", EMU_GET(failed, "id"));
    return emu_execution_add(engine, EMU_GET(failed, "pipeline"),
                             &(emu_start){.trigger = "AutomatedRollback",
                                          .detail = detail,
                                          .stage = EMU_GET(failed, "stage"),
                                          .target = target}) != NULL;
}

/* ---- RollbackStage ---- */

static bool unable(emu_call *call, const char *why) {
    return emu_refuse(call, "UnableToRollbackStageException", "Stage '%s' of pipeline '%s' cannot be rolled back: %s",
                      EMU_GET(call->in, "stageName"), EMU_GET(call->in, "pipelineName"), why);
}

static bool check_pipeline(emu_call *call, const cpl_json *pipeline, const cpl_json *stage) {
    if (!emu_is(pipeline, "pipelineType", "V2")) return unable(call, "its pipeline is not of type V2");
    if (emu_is(pipeline, "executionMode", "PARALLEL")) return unable(call, "its executions run in PARALLEL mode");
    return stage != cpl_json_first(cpl_json_get(pipeline, "stages")) || unable(call, "it holds the sources");
}

static bool check_target(emu_call *call, const cpl_json *pipeline, const cpl_json *target) {
    if (cpl_json_get_number(target, "version", 0) != cpl_json_get_number(pipeline, "version", 0)) {
        return emu_refuse(call, "PipelineExecutionOutdatedException",
                          "The execution '%s' ran under version %.0f of pipeline '%s', which has version %.0f now",
                          EMU_GET(target, "id"), cpl_json_get_number(target, "version", 0), EMU_GET(pipeline, "name"),
                          cpl_json_get_number(pipeline, "version", 0));
    }
    if (cpl_json_get(target, "target")) return unable(call, "the target is a rollback itself");
    return succeeded_in(target, EMU_GET(call->in, "stageName")) ||
           unable(call, "the target did not succeed in the stage");
}

static bool check_idle(emu_call *call) {
    const emu_line *line = emu_line_find(emu_engine_of(call->e), EMU_GET(call->in, "pipelineName"));
    const char *stage = EMU_GET(call->in, "stageName");
    for (size_t i = 0; line && i < line->active.n; i++) {
        const cpl_json *other = line->active.items[i];
        if (cpl_json_get_bool(other, "waiting", false) || !emu_is(other, "stage", stage)) continue;
        return emu_refuse(call, "ConflictException", "The execution '%s' is in stage '%s'", EMU_GET(other, "id"),
                          stage);
    }
    return true;
}

bool emu_rollback_stage(emu_call *call) {
    const char *name = EMU_GET(call->in, "pipelineName");
    const cpl_json *document = emu_pipeline_need(call, name), *pipeline = emu_pipeline_latest(document);
    const cpl_json *stage, *target, *execution;
    cpl_buf owner;
    if (document == NULL) return false;
    stage = emu_stage_need(call, document, EMU_GET(call->in, "stageName"));
    if (stage == NULL || !check_pipeline(call, pipeline, stage)) return false;
    target = emu_execution_need(call, EMU_GET(call->in, "targetPipelineExecutionId"));
    if (target == NULL || !check_target(call, pipeline, target) || !check_idle(call)) return false;
    cpl_buf_init(&owner, 256);
    emu_owner_arn(call->e, &owner);
    execution = emu_execution_start(emu_engine_of(call->e), name,
                                    &(emu_start){.trigger = "ManualRollback",
                                                 .detail = cpl_buf_cstr(&owner),
                                                 .stage = EMU_GET(stage, "name"),
                                                 .target = target});
    cpl_buf_release(&owner);
    return (execution && emu_copy(call->out, "pipelineExecutionId", execution, "id")) || emu_nomem(call);
}
