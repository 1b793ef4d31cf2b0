/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "engine.h"
#include "rules.h"
#include "scripts.h"

/*
 * The stage machine. An execution either waits in front of its stage or is in it. "Settling" a line tries every active
 * execution in the order of starting until none of them moves; an execution moves by entering its stage, by starting
 * the next actions, by leaving for the next stage, or by ending. Nothing here calls itself, however many stages follow
 * each other without a pause.
 *
 * Rules, from "How pipeline executions work" of the user guide:
 * - one execution is in a stage at a time (not in PARALLEL mode); success, failure and stopping unlock the stage;
 * - in front of a stage a newer execution supersedes an older one (SUPERSEDED), or waits behind it (QUEUED);
 * - parallel actions of a group end by themselves when one of them fails; then the stage fails;
 * - when the pipeline was edited, running actions complete, then their stage and execution are Cancelled, as the API
 *   reference of PipelineExecution and StageExecution has it;
 * - conditions are checked when the stage has been entered, before its first action, and when its actions have ended.
 */

#define EVENT_MAX ((size_t)4 << 20)
#define EDITED "The pipeline was updated while the execution ran"

typedef enum progress { STILL, MOVED, NO_MEMORY } progress;

/* ---- executions ---- */

cpl_json *emu_execution_get(const emu_engine *engine, const char *id) {
    return emu_store_get(emu_store_of(engine->e), EMU_EXECUTION, id);
}

void emu_execution_touch(emu_engine *engine, cpl_json *execution) {
    cpl_json_set_number(execution, "updated", emu_now_s(engine->e));
    emu_store_touch(emu_store_of(engine->e), EMU_EXECUTION, EMU_GET(execution, "id"));
}

bool emu_execution_over(const cpl_json *execution) {
    return !emu_is(execution, "status", "InProgress") && !emu_is(execution, "status", "Stopping");
}

void emu_execution_finish(emu_engine *engine, cpl_json *execution, const char *status) {
    emu_line *line = emu_line_find(engine, EMU_GET(execution, "pipeline"));
    cpl_json_set_bool(execution, "waiting", false);
    emu_execution_change(engine, execution, status);
    if (line) emu_list_remove(&line->active, execution);
}

bool emu_execution_revive(emu_engine *engine, cpl_json *execution) {
    emu_line *line = emu_line_find(engine, EMU_GET(execution, "pipeline"));
    return line && emu_list_push(&line->active, execution) && emu_execution_change(engine, execution, "InProgress");
}

cpl_json *emu_record_get(const cpl_json *execution, const char *id) {
    cpl_json *action = emu_find(cpl_json_get(execution, "actions"), "id", id);
    return action ? action : emu_find(cpl_json_get(execution, "rules"), "id", id);
}

bool emu_record_is_rule(const cpl_json *record) {
    return cpl_json_get(record, "rule") != NULL;
}

static const cpl_json *declaration_of(const emu_engine *engine, const cpl_json *execution) {
    const cpl_json *document = emu_store_get(emu_store_of(engine->e), EMU_PIPELINE, EMU_GET(execution, "pipeline"));
    return emu_pipeline_version(document, (int)cpl_json_get_number(execution, "version", 0));
}

static const cpl_json *stage_of(const emu_engine *engine, const cpl_json *execution) {
    return emu_find(cpl_json_get(declaration_of(engine, execution), "stages"), "name", EMU_GET(execution, "stage"));
}

static cpl_json *stage_record(const cpl_json *execution) {
    return cpl_json_get(cpl_json_get(execution, "stages"), EMU_GET(execution, "stage"));
}

static bool waiting(const cpl_json *execution) {
    return cpl_json_get_bool(execution, "waiting", false);
}

static double number_of(const cpl_json *execution) {
    return cpl_json_get_number(execution, "number", 0);
}

/* The stage it is in ends with status. */
static bool end_stage(emu_engine *engine, cpl_json *execution, const char *status) {
    return emu_stage_change(engine, execution, EMU_GET(execution, "stage"), status);
}

/* ---- entering a stage ---- */

void emu_transition_key(const char *pipeline, const char *stage, cpl_buf *out) {
    cpl_buf_addf(out, "%s:%s", pipeline, stage);
}

bool emu_transition_open(const emu_engine *engine, const char *pipeline, const char *stage, const char *type) {
    cpl_buf key;
    const cpl_json *document;
    cpl_buf_init(&key, 512);
    emu_transition_key(pipeline, stage, &key);
    document = emu_store_get(emu_store_of(engine->e), EMU_TRANSITION, cpl_buf_cstr(&key));
    cpl_buf_release(&key);
    return cpl_json_get_bool(cpl_json_get(document, type), "enabled", true);
}

/* Into this stage, and out of the one before it. */
static bool transitions_open(const emu_engine *engine, const cpl_json *execution) {
    const char *pipeline = EMU_GET(execution, "pipeline"), *stage = EMU_GET(execution, "stage");
    const cpl_json *before = NULL;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(declaration_of(engine, execution), "stages"));
         i && !emu_is(i, "name", stage); i = cpl_json_next(i)) {
        before = i;
    }
    return emu_transition_open(engine, pipeline, stage, "Inbound") &&
           (before == NULL || emu_transition_open(engine, pipeline, EMU_GET(before, "name"), "Outbound"));
}

typedef struct queue_state {
    bool locked; /* another execution is in the stage */
    bool older;  /* an older one waits in front of it too */
    bool newer;  /* a newer one does */
} queue_state;

static queue_state look_around(const emu_line *line, const cpl_json *execution) {
    queue_state state = {0};
    const char *stage = EMU_GET(execution, "stage");
    for (size_t i = 0; i < line->active.n; i++) {
        const cpl_json *other = line->active.items[i];
        if (other == execution || !emu_is(other, "stage", stage)) continue;
        if (!waiting(other))
            state.locked = true;
        else if (number_of(other) > number_of(execution))
            state.newer = true;
        else
            state.older = true;
    }
    return state;
}

/*
 * An execution that waited while the pipeline was edited goes on by the new version, if that still has the stage;
 * false: it has not.
 */
static bool follow_edit(const emu_engine *engine, cpl_json *execution) {
    const cpl_json *latest =
        emu_pipeline_latest(emu_store_get(emu_store_of(engine->e), EMU_PIPELINE, EMU_GET(execution, "pipeline")));
    return emu_find(cpl_json_get(latest, "stages"), "name", EMU_GET(execution, "stage")) &&
           emu_copy(execution, "version", latest, "version");
}

static progress enter(emu_engine *engine, emu_line *line, cpl_json *execution) {
    const char *stage = EMU_GET(execution, "stage");
    cpl_json *record = cpl_json_new_object();
    if (!cpl_json_set_number(record, "order", (double)++engine->order) ||
        !cpl_json_set(record, "actions", cpl_json_new_object()) || !emu_index_set(&line->stages, stage, execution)) {
        cpl_json_free(record);
        return NO_MEMORY;
    }
    return cpl_json_set(cpl_json_get(execution, "stages"), stage, record) &&
                   cpl_json_set_bool(execution, "waiting", false) &&
                   emu_stage_change(engine, execution, stage, "InProgress")
               ? MOVED
               : NO_MEMORY;
}

static progress try_to_enter(emu_engine *engine, emu_line *line, cpl_json *execution) {
    queue_state around = look_around(line, execution);
    if (emu_is(execution, "mode", "SUPERSEDED") && around.newer) {
        emu_execution_finish(engine, execution, "Superseded");
        return MOVED;
    }
    if (!emu_is(execution, "mode", "PARALLEL") && around.locked) return STILL;
    if (emu_is(execution, "mode", "QUEUED") && around.older) return STILL;
    if (!transitions_open(engine, execution)) return STILL;
    if (follow_edit(engine, execution)) return enter(engine, line, execution);
    if (!cpl_json_set_cstr(execution, "statusSummary", EDITED)) return NO_MEMORY;
    emu_execution_finish(engine, execution, "Cancelled");
    return MOVED;
}

/* ---- in a stage ---- */

typedef struct stage_view {
    bool running;
    bool failed;
    int next; /* the lowest run order with an action that was not started; 0: none */
} stage_view;

/*
 * The record of that id, looked for from *near on first, and *near moved behind it: the actions of a stage were started
 * one after the other, and an execution may have hundreds of records.
 */
static const cpl_json *record_near(const cpl_json *execution, const char *id, const cpl_json **near) {
    const cpl_json *i = *near;
    while (i && !emu_is(i, "id", id)) i = cpl_json_next(i);
    if (i == NULL) return emu_record_get(execution, id);
    *near = cpl_json_next(i);
    return i;
}

static stage_view view_stage(const cpl_json *execution, const cpl_json *stage) {
    const cpl_json *started = cpl_json_get(stage_record(execution), "actions");
    const cpl_json *near = cpl_json_first(cpl_json_get(execution, "actions"));
    stage_view view = {0};
    for (const cpl_json *i = cpl_json_first(cpl_json_get(stage, "actions")); i; i = cpl_json_next(i)) {
        const char *id = cpl_json_get_cstr(started, EMU_GET(i, "name"), NULL);
        const cpl_json *record = id ? record_near(execution, id, &near) : NULL;
        int run_order = (int)cpl_json_get_number(i, "runOrder", 1);
        if (record == NULL)
            view.next = view.next == 0 || run_order < view.next ? run_order : view.next;
        else if (emu_action_running(record))
            view.running = true;
        else if (!emu_is(record, "status", "Succeeded"))
            view.failed = true;
    }
    return view;
}

static progress start_group(emu_engine *engine, cpl_json *execution, const cpl_json *stage, int run_order) {
    const cpl_json *started = cpl_json_get(stage_record(execution), "actions");
    for (const cpl_json *i = cpl_json_first(cpl_json_get(stage, "actions")); i; i = cpl_json_next(i)) {
        const char *id = cpl_json_get_cstr(started, EMU_GET(i, "name"), NULL);
        if ((int)cpl_json_get_number(i, "runOrder", 1) != run_order || (id && emu_record_get(execution, id))) continue;
        if (!emu_action_start(engine, execution, i)) return NO_MEMORY;
    }
    emu_execution_touch(engine, execution);
    return MOVED;
}

static progress end_here(emu_engine *engine, cpl_json *execution, const char *status) {
    if (!end_stage(engine, execution, status)) return NO_MEMORY;
    emu_execution_finish(engine, execution, status);
    return MOVED;
}

/* status: Succeeded or Skipped. */
static progress leave(emu_engine *engine, cpl_json *execution, const cpl_json *stage, const char *status) {
    const cpl_json *next = cpl_json_next(stage);
    if (!end_stage(engine, execution, status)) return NO_MEMORY;
    if (next == NULL || emu_is(execution, "type", "ROLLBACK")) {
        emu_execution_finish(engine, execution, "Succeeded");
        return MOVED;
    }
    if (!cpl_json_set_cstr(execution, "stage", EMU_GET(next, "name")) ||
        !cpl_json_set_bool(execution, "waiting", true)) {
        return NO_MEMORY;
    }
    emu_execution_touch(engine, execution);
    return MOVED;
}

static bool edited_since(const emu_engine *engine, const cpl_json *execution) {
    const cpl_json *document = emu_store_get(emu_store_of(engine->e), EMU_PIPELINE, EMU_GET(execution, "pipeline"));
    return cpl_json_get_number(document, "latest", 0) > cpl_json_get_number(execution, "version", 0);
}

/* A stage retries by itself once; somebody who retries it by hand does not make it do so again. */
static progress retry(emu_engine *engine, cpl_json *execution, const cpl_json *stage) {
    cpl_json *record = stage_record(execution);
    const cpl_json *how = cpl_json_get_path(stage, "onFailure.retryConfiguration");
    if (cpl_json_get_number(record, "autoRetries", 0) > 0 || edited_since(engine, execution))
        return end_here(engine, execution, "Failed");
    cpl_json_remove(execution, "statusSummary");
    return cpl_json_set_number(record, "autoRetries", 1) &&
                   cpl_json_set_cstr(record, "lastRetry", "AutomatedStageRetry") &&
                   emu_stage_reopen(engine, execution, EMU_GET(stage, "name"), emu_is(how, "retryMode", "ALL_ACTIONS"))
               ? MOVED
               : NO_MEMORY;
}

/* A rollback that fails is not rolled back, and nothing is rolled back to what ran under another version. */
static progress roll_back(emu_engine *engine, cpl_json *execution) {
    const cpl_json *target = emu_rollback_target(engine, execution);
    bool possible = target && cpl_json_get(execution, "target") == NULL && !edited_since(engine, execution);
    if (end_here(engine, execution, "Failed") == NO_MEMORY) return NO_MEMORY;
    return !possible || emu_rollback_add(engine, execution, target) ? MOVED : NO_MEMORY;
}

/* What a condition leads to. */
static progress conclude(emu_engine *engine, cpl_json *execution, const cpl_json *stage, const char *result) {
    if (strcmp(result, EMU_PENDING) == 0) return STILL;
    if (strcmp(result, "SKIP") == 0) {
        cpl_json_remove(execution, "statusSummary");
        return leave(engine, execution, stage, "Skipped");
    }
    if (strcmp(result, "RETRY") == 0) return retry(engine, execution, stage);
    if (strcmp(result, "ROLLBACK") == 0) return roll_back(engine, execution);
    return end_here(engine, execution, "Failed");
}

static progress step(emu_engine *engine, cpl_json *execution) {
    const cpl_json *stage = stage_of(engine, execution);
    stage_view view = view_stage(execution, stage);
    bool begun = cpl_json_count(cpl_json_get(stage_record(execution), "actions")) > 0;
    const char *result = "";
    if (view.running || emu_rules_running(execution)) return STILL;
    if (emu_is(execution, "status", "Stopping"))
        return emu_conditions_abandon(execution) ? end_here(engine, execution, "Stopped") : NO_MEMORY;
    if (view.failed) {
        if (!emu_condition_run(engine, execution, stage, EMU_ON_FAILURE, &result)) return NO_MEMORY;
        return conclude(engine, execution, stage, result);
    }
    if (begun && edited_since(engine, execution)) {
        if (!cpl_json_set_cstr(execution, "statusSummary", EDITED) || !emu_conditions_abandon(execution))
            return NO_MEMORY;
        return end_here(engine, execution, "Cancelled");
    }
    if (!begun && !emu_condition_run(engine, execution, stage, EMU_BEFORE_ENTRY, &result)) return NO_MEMORY;
    if (result[0] == '\0' && view.next > 0) return start_group(engine, execution, stage, view.next);
    if (result[0] == '\0' && !emu_condition_run(engine, execution, stage, EMU_ON_SUCCESS, &result)) return NO_MEMORY;
    return result[0] ? conclude(engine, execution, stage, result) : leave(engine, execution, stage, "Succeeded");
}

bool emu_line_settle(emu_engine *engine, emu_line *line) {
    progress made = STILL;
    engine->depth++;
    for (size_t i = 0; i < line->active.n && made != NO_MEMORY;) {
        cpl_json *execution = line->active.items[i];
        made = waiting(execution) ? try_to_enter(engine, line, execution) : step(engine, execution);
        i = made == MOVED ? 0 : i + 1; /* a move may let others move */
    }
    engine->depth--;
    return made != NO_MEMORY;
}

/* ---- starting ---- */

static bool set_trigger(cpl_json *execution, const emu_start *start) {
    cpl_json *trigger = emu_object_at(execution, "trigger");
    return cpl_json_set_cstr(trigger, "triggerType", start->trigger) &&
           cpl_json_set_cstr(trigger, "triggerDetail", start->detail ? start->detail : "");
}

/* The values given, and the defaults of the others. */
static bool set_variables(cpl_json *execution, const cpl_json *pipeline, const cpl_json *given) {
    cpl_json *variables = emu_array_at(execution, "variables");
    for (const cpl_json *i = cpl_json_first(cpl_json_get(pipeline, "variables")); i; i = cpl_json_next(i)) {
        const cpl_json *value = emu_find(given, "name", EMU_GET(i, "name"));
        cpl_json *variable = cpl_json_new_object();
        const char *text = cpl_json_get_cstr(value ? value : i, value ? "value" : "defaultValue", NULL);
        if (!emu_copy(variable, "name", i, "name") || !cpl_json_set_cstr(variable, "resolvedValue", text)) {
            cpl_json_free(variable);
            return false;
        }
        if (!cpl_json_push(variables, variable)) return false;
    }
    return variables != NULL;
}

static bool set_overrides(cpl_json *execution, const cpl_json *overrides) {
    cpl_json *by_action = emu_object_at(execution, "overrides");
    for (const cpl_json *i = cpl_json_first(overrides); i; i = cpl_json_next(i)) {
        if (!cpl_json_set(by_action, EMU_GET(i, "actionName"), cpl_json_clone(i))) return false;
    }
    return by_action != NULL;
}

/* A rollback works on what the execution it goes back to worked on, as far as that made it. */
static bool set_target(cpl_json *execution, const cpl_json *target) {
    static const char *const taken[] = {"artifacts",       "namespaces", "artifactRevisions",
                                        "sourceRevisions", "variables",  NULL};
    if (target == NULL) return true;
    for (size_t i = 0; taken[i]; i++) {
        if (!emu_copy(execution, taken[i], target, taken[i])) return false;
    }
    return cpl_json_set_cstr(execution, "type", "ROLLBACK") && emu_copy(execution, "target", target, "id");
}

static bool fill_execution(emu_engine *engine, cpl_json *execution, const cpl_json *pipeline, const emu_start *start) {
    const char *stage = start->stage ? start->stage : EMU_GET(cpl_json_first(cpl_json_get(pipeline, "stages")), "name");
    double now = emu_now_s(engine->e);
    char id[CPL_UUID_SIZE];
    return emu_uuid(engine->e, id) && cpl_json_set_cstr(execution, "id", id) &&
           emu_copy(execution, "pipeline", pipeline, "name") && emu_copy(execution, "version", pipeline, "version") &&
           emu_copy(execution, "mode", pipeline, "executionMode") &&
           cpl_json_set_number(execution, "number", (double)++engine->order) &&
           cpl_json_set_number(execution, "started", now) && cpl_json_set_number(execution, "updated", now) &&
           cpl_json_set_cstr(execution, "stage", stage) && cpl_json_set_bool(execution, "waiting", true) &&
           emu_object_at(execution, "stages") && emu_array_at(execution, "actions") &&
           emu_object_at(execution, "artifacts") && emu_object_at(execution, "namespaces") &&
           emu_array_at(execution, "artifactRevisions") && emu_array_at(execution, "sourceRevisions") &&
           set_trigger(execution, start) && set_variables(execution, pipeline, start->variables) &&
           set_overrides(execution, start->overrides) && set_target(execution, start->target) &&
           (!start->revision || cpl_json_set(execution, "pushed", cpl_json_clone(start->revision))) &&
           (!start->git || cpl_json_set(execution, "git", cpl_json_clone(start->git))) &&
           cpl_json_set_cstr(execution, "requestToken", start->token);
}

/* "pipeline/token" -> execution, so that a repeated request finds the first one's. */
static bool index_request(emu_engine *engine, cpl_json *execution) {
    const char *token = cpl_json_get_cstr(execution, "requestToken", NULL);
    cpl_buf key;
    bool good;
    if (token == NULL) return true;
    cpl_buf_init(&key, 512);
    cpl_buf_addf(&key, "%s/%s", EMU_GET(execution, "pipeline"), token);
    good = cpl_buf_ok(&key) && emu_index_set(&engine->requests, cpl_buf_cstr(&key), execution);
    cpl_buf_release(&key);
    return good;
}

cpl_json *emu_execution_add(emu_engine *engine, const char *pipeline, const emu_start *start) {
    emu_store *store = emu_store_of(engine->e);
    const cpl_json *declaration = emu_pipeline_latest(emu_store_get(store, EMU_PIPELINE, pipeline));
    emu_line *line = emu_line_add(engine, pipeline);
    cpl_json *execution = cpl_json_new_object();
    char id[CPL_UUID_SIZE];
    if (line == NULL || !fill_execution(engine, execution, declaration, start)) {
        cpl_json_free(execution);
        return NULL;
    }
    CPL_COPY(id, cpl_json_get_str(execution, "id"));
    if (!emu_store_put(store, EMU_EXECUTION, id, execution) || !emu_list_push(&line->executions, execution) ||
        !emu_list_push(&line->active, execution) || !index_request(engine, execution) ||
        !emu_execution_change(engine, execution, "InProgress")) {
        return NULL;
    }
    return execution;
}

cpl_json *emu_execution_start(emu_engine *engine, const char *pipeline, const emu_start *start) {
    cpl_json *execution = emu_execution_add(engine, pipeline, start);
    return execution && emu_line_settle(engine, emu_line_find(engine, pipeline)) ? execution : NULL;
}

/* ---- lines ---- */

emu_line *emu_line_find(const emu_engine *engine, const char *pipeline) {
    return emu_index_get(&engine->lines, pipeline);
}

static void line_free(void *item) {
    emu_line *line = item;
    emu_list_release(&line->executions);
    emu_list_release(&line->active);
    emu_index_release(&line->stages, NULL);
    emu_index_release(&line->actions, NULL);
    cpl_free(line->name);
    cpl_free(line);
}

emu_line *emu_line_add(emu_engine *engine, const char *pipeline) {
    emu_line *line = emu_line_find(engine, pipeline);
    if (line) return line;
    line = cpl_calloc(1, sizeof *line);
    if (line == NULL) return NULL;
    line->name = cpl_strdup(cpl_str_of(pipeline));
    if (line->name && emu_index_set(&engine->lines, pipeline, line)) return line;
    line_free(line);
    return NULL;
}

static void forget_execution(emu_engine *engine, cpl_json *execution) {
    cpl_buf key;
    cpl_buf_init(&key, 512);
    cpl_buf_addf(&key, "%s/%s", EMU_GET(execution, "pipeline"), EMU_GET(execution, "requestToken"));
    emu_index_remove(&engine->requests, cpl_buf_cstr(&key));
    cpl_buf_clear(&key);
    cpl_buf_adds(&key, EMU_GET(execution, "id"));
    emu_store_delete(emu_store_of(engine->e), EMU_EXECUTION, cpl_buf_cstr(&key));
    cpl_buf_release(&key);
}

/* An action that was continued had a job each time, and names the last one alone. */
static void forget_jobs(emu_engine *engine, const char *pipeline) {
    emu_store *store = emu_store_of(engine->e);
    for (size_t i = emu_store_size(store, EMU_JOB); i-- > 0;) {
        const char *id;
        const cpl_json *job = emu_store_at(store, EMU_JOB, i, &id);
        const cpl_json *execution = emu_execution_get(engine, EMU_GET(job, "executionId"));
        if (emu_is(execution, "pipeline", pipeline)) emu_job_delete(engine, id);
    }
}

void emu_line_drop(emu_engine *engine, const char *pipeline) {
    emu_line *line = emu_line_find(engine, pipeline);
    if (line == NULL) return;
    forget_jobs(engine, pipeline);
    for (size_t i = line->executions.n; i-- > 0;) forget_execution(engine, line->executions.items[i]);
    emu_index_remove(&engine->lines, pipeline);
    line_free(line);
}

/* ---- changed objects ---- */

/* The source action of a pipeline that watches the object by polling; NULL when none does. */
static const cpl_json *watcher(const emu_engine *engine, const cpl_json *pipeline, const char *bucket,
                               const char *key) {
    const cpl_json *stage = cpl_json_first(cpl_json_get(pipeline, "stages"));
    for (const cpl_json *i = cpl_json_first(cpl_json_get(stage, "actions")); i; i = cpl_json_next(i)) {
        const cpl_json *configuration = cpl_json_get(i, "configuration");
        emu_kind kind;
        if (!emu_is(configuration, "S3Bucket", bucket) || !emu_is(configuration, "S3ObjectKey", key)) continue;
        if (cpl_str_is_nocase(cpl_json_get_str(configuration, "PollForSourceChanges"), "false")) continue;
        if (emu_kind_find(engine, cpl_json_get(i, "actionTypeId"), &kind) && kind.runner == EMU_RUN_S3_SOURCE) return i;
    }
    return NULL;
}

static void start_watchers(emu_engine *engine, const char *bucket, const char *key) {
    emu_store *store = emu_store_of(engine->e);
    for (size_t i = 0; i < emu_store_size(store, EMU_PIPELINE); i++) {
        const char *name;
        const cpl_json *pipeline = emu_pipeline_latest(emu_store_at(store, EMU_PIPELINE, i, &name));
        const cpl_json *action = watcher(engine, pipeline, bucket, key);
        if (action == NULL) continue;
        emu_execution_start(engine, name,
                            &(emu_start){.trigger = "PollForSourceChanges", .detail = EMU_GET(action, "name")});
    }
}

/*
 * What the engine itself writes is looked at with the next request: a pipeline that deploys to its own source goes
 * round once a request, as it would go round once a poll, and does not keep the first request busy for ever.
 */
void emu_engine_object_changed(emu *e, const char *bucket, const char *key) {
    emu_engine *engine = emu_engine_of(e);
    cpl_buf change;
    char *text;
    if (engine->depth == 0) {
        start_watchers(engine, bucket, key);
        return;
    }
    cpl_buf_init(&change, 4096);
    cpl_buf_addf(&change, "%s/%s", bucket, key);
    text = cpl_buf_detach(&change);
    if (text && !emu_list_push(&engine->changes, text)) cpl_free(text);
}

static void look_at_changes(emu_engine *engine) {
    size_t n = engine->changes.n; /* those that are noted meanwhile wait for the next request */
    for (size_t i = 0; i < n; i++) {
        char *text = engine->changes.items[i], *slash = strchr(text, '/');
        *slash = '\0';
        start_watchers(engine, text, slash + 1);
        cpl_free(text);
    }
    emu_list_remove_first(&engine->changes, n);
}

/* ---- time ---- */

static void action_due(emu_engine *engine, const emu_timer *timer) {
    cpl_json *execution = emu_execution_get(engine, timer->id);
    cpl_json *record = emu_record_get(execution, timer->sub);
    emu_line *line = emu_line_find(engine, EMU_GET(execution, "pipeline"));
    if (record == NULL || line == NULL || !emu_action_running(record)) return;
    emu_action_timeout(engine, execution, record);
    emu_line_settle(engine, line);
}

static void script_due(emu_engine *engine, const emu_timer *timer) {
    cpl_json *execution = emu_execution_get(engine, timer->id);
    cpl_json *record = emu_record_get(execution, timer->sub);
    if (record) emu_script_due(engine, execution, record);
}

void emu_engine_advance(emu *e) {
    emu_engine *engine = emu_engine_of(e);
    emu_timer timer;
    while (emu_timers_next(&engine->timers, emu_now_ms(e), &timer)) {
        switch (timer.due) {
        case EMU_DUE_DELIVERY: emu_job_lapse(engine, timer.id); break;
        case EMU_DUE_ACTION: action_due(engine, &timer); break;
        case EMU_DUE_SCRIPT: script_due(engine, &timer); break;
        case EMU_DUE_JOB: emu_job_expire(engine, timer.id); break;
        case EMU_DUE_GRANT: emu_store_delete(emu_store_of(e), EMU_GRANT, timer.id); break;
        }
    }
    if (engine->changes.n > 0) look_at_changes(engine);
}

/* ---- from documents ---- */

static bool load_timer(emu_engine *engine, const cpl_json *execution, const cpl_json *record, const char *key,
                       emu_due due) {
    emu_timer timer = {.at = (int64_t)cpl_json_get_number(record, key, 0),
                       .order = (int64_t)cpl_json_get_number(record, "order", 0),
                       .due = due};
    if (timer.at <= 0) return true;
    CPL_COPY(timer.id, cpl_json_get_str(execution, "id"));
    CPL_COPY(timer.sub, cpl_json_get_str(record, "id"));
    return emu_timers_add(&engine->timers, &timer);
}

static bool load_timers(emu_engine *engine, const cpl_json *execution, const cpl_json *record) {
    return !emu_action_running(record) || (load_timer(engine, execution, record, "deadline", EMU_DUE_ACTION) &&
                                           load_timer(engine, execution, record, "scriptDue", EMU_DUE_SCRIPT));
}

static bool load_record(emu_engine *engine, emu_line *line, const cpl_json *execution, cpl_json *record) {
    int64_t order = (int64_t)cpl_json_get_number(record, "order", 0);
    const cpl_json *latest;
    char key[256];
    snprintf(key, sizeof key, "%s/%s", EMU_GET(record, "stage"), EMU_GET(record, "action"));
    latest = emu_index_get(&line->actions, key);
    if (order > engine->order) engine->order = order;
    if (cpl_json_get_number(latest, "order", 0) < (double)order && !emu_index_set(&line->actions, key, record))
        return false;
    return load_timers(engine, execution, record);
}

static bool load_stage(emu_engine *engine, emu_line *line, cpl_json *execution, const cpl_json *stage) {
    const char *name = cpl_json_key(stage).p;
    const cpl_json *latest = emu_index_get(&line->stages, name);
    double order = cpl_json_get_number(stage, "order", 0);
    double before = cpl_json_get_number(cpl_json_get(cpl_json_get(latest, "stages"), name), "order", 0);
    if ((int64_t)order > engine->order) engine->order = (int64_t)order;
    return before >= order || emu_index_set(&line->stages, name, execution);
}

static bool load_rules(emu_engine *engine, const cpl_json *execution) {
    for (const cpl_json *i = cpl_json_first(cpl_json_get(execution, "rules")); i; i = cpl_json_next(i)) {
        engine->order = (int64_t)fmax((double)engine->order, cpl_json_get_number(i, "order", 0));
        if (!load_timers(engine, execution, i)) return false;
    }
    return true;
}

static bool load_execution(emu_engine *engine, cpl_json *execution) {
    emu_line *line = emu_line_add(engine, EMU_GET(execution, "pipeline"));
    if (line == NULL || !emu_list_push(&line->executions, execution) || !index_request(engine, execution)) return false;
    if (!emu_execution_over(execution) && !emu_list_push(&line->active, execution)) return false;
    engine->order = (int64_t)fmax((double)engine->order, number_of(execution));
    if (!load_rules(engine, execution)) return false;
    for (cpl_json *i = cpl_json_first(cpl_json_get(execution, "stages")); i; i = cpl_json_next(i)) {
        if (!load_stage(engine, line, execution, i)) return false;
    }
    for (cpl_json *i = cpl_json_first(cpl_json_get(execution, "actions")); i; i = cpl_json_next(i)) {
        if (!load_record(engine, line, execution, i)) return false;
    }
    return true;
}

static bool load_grant(emu_engine *engine, const char *id, const cpl_json *grant) {
    int64_t expires_ms = (int64_t)(cpl_json_get_number(grant, "expires", 0) * 1000);
    emu_timer timer = {.at = expires_ms + EMU_GRANT_KNOWN_MS, .due = EMU_DUE_GRANT};
    CPL_COPY(timer.id, cpl_str_of(id));
    return emu_timers_add(&engine->timers, &timer);
}

static bool load(emu_engine *engine) {
    emu_store *store = emu_store_of(engine->e);
    const char *key;
    bool good = true;
    for (size_t i = 0; good && i < emu_store_size(store, EMU_EXECUTION); i++) {
        good = load_execution(engine, emu_store_at(store, EMU_EXECUTION, i, &key));
    }
    for (size_t i = 0; good && i < emu_store_size(store, EMU_JOB); i++) {
        good = emu_job_load(engine, emu_store_at(store, EMU_JOB, i, &key));
    }
    for (size_t i = 0; good && i < emu_store_size(store, EMU_GRANT); i++) {
        const cpl_json *grant = emu_store_at(store, EMU_GRANT, i, &key);
        good = load_grant(engine, key, grant);
    }
    return good;
}

emu_engine *emu_engine_new(emu *e) {
    emu_engine *engine = cpl_calloc(1, sizeof *engine);
    if (engine == NULL) return NULL;
    engine->e = e;
    cpl_buf_init(&engine->event, EVENT_MAX);
    if (emu_providers_load(engine) && load(engine)) return engine;
    emu_engine_free(engine);
    return NULL;
}

void emu_engine_free(emu_engine *engine) {
    if (engine == NULL) return;
    for (size_t i = 0; i < engine->changes.n; i++) cpl_free(engine->changes.items[i]);
    emu_list_release(&engine->changes);
    emu_index_release(&engine->types, emu_providers_drop);
    emu_index_release(&engine->lines, line_free);
    emu_index_release(&engine->queues, emu_queue_drop);
    emu_index_release(&engine->requests, NULL);
    emu_timers_release(&engine->timers);
    emu_scripts_clear(engine);
    cpl_buf_release(&engine->event);
    cpl_free(engine);
}
