/* SPDX-License-Identifier: MIT */
#include "engine.h"

/*
 * PutActionRevision: somebody says that a source has something new. The execution that it starts fetches what the
 * source has then, as any other; the revision that was named is kept with it, to know it again.
 */

/* The execution that the same change started, or that found it by itself; NULL: it is new. */
static const cpl_json *find_change(const emu_line *line, const char *action, const cpl_json *revision) {
    for (size_t i = line ? line->executions.n : 0; i-- > 0;) {
        const cpl_json *execution = line->executions.items[i], *pushed = cpl_json_get(execution, "pushed");
        const cpl_json *source = emu_find(cpl_json_get(execution, "sourceRevisions"), "actionName", action);
        if (emu_is(pushed, "action", action) &&
            emu_is(pushed, "revisionChangeId", EMU_GET(revision, "revisionChangeId")))
            return execution;
        if (pushed == NULL && source && emu_is(source, "revisionId", EMU_GET(revision, "revisionId"))) return execution;
    }
    return NULL;
}

static const cpl_json *start(emu_call *call, const char *pipeline, const char *action, const cpl_json *revision) {
    cpl_json *pushed = cpl_json_new_object();
    const cpl_json *execution = NULL;
    cpl_buf owner;
    cpl_buf_init(&owner, 256);
    emu_owner_arn(call->e, &owner);
    if (cpl_json_set_cstr(pushed, "action", action) && emu_copy(pushed, "revisionId", revision, "revisionId") &&
        emu_copy(pushed, "revisionChangeId", revision, "revisionChangeId")) {
        execution = emu_execution_start(
            emu_engine_of(call->e), pipeline,
            &(emu_start){.trigger = "PutActionRevision", .detail = cpl_buf_cstr(&owner), .revision = pushed});
    }
    cpl_buf_release(&owner);
    cpl_json_free(pushed);
    return execution;
}

bool emu_put_action_revision(emu_call *call) {
    const char *name = EMU_GET(call->in, "pipelineName"), *action = EMU_GET(call->in, "actionName");
    const cpl_json *revision = cpl_json_get(call->in, "actionRevision"), *document = emu_pipeline_need(call, name);
    const cpl_json *stage, *declared, *execution;
    bool fresh;
    if (document == NULL) return false;
    stage = emu_stage_need(call, document, EMU_GET(call->in, "stageName"));
    declared = stage ? emu_action_need(call, stage, action) : NULL;
    if (declared == NULL) return false;
    if (!emu_is(cpl_json_get(declared, "actionTypeId"), "category", "Source")) {
        return emu_refuse(call, "ValidationException", "The action '%s' is not a source action", action);
    }
    execution = find_change(emu_line_find(emu_engine_of(call->e), name), action, revision);
    fresh = execution == NULL;
    if (fresh && !emu_concurrency_check(call, emu_pipeline_latest(document))) return false;
    if (fresh) execution = start(call, name, action, revision);
    return (execution && cpl_json_set_bool(call->out, "newRevision", fresh) &&
            emu_copy(call->out, "pipelineExecutionId", execution, "id")) ||
           emu_nomem(call);
}
