/* SPDX-License-Identifier: MIT */
#include <stdarg.h>

#include "engine.h"
#include "functions.h"
#include "git.h"
#include "scripts.h"

/*
 * One action execution from start to end. An action that the emulator can carry out by itself ends while it is started;
 * a job's or an approval's stays InProgress until its result, or its time limit, ends it.
 */

#define MINUTE_MS (60 * (int64_t)1000)
#define JOB_MINUTES (24 * 60)
#define APPROVAL_MINUTES (7 * 24 * 60)
#define SCRIPT_MINUTES (7 * 24 * 60) /* the longest that an action of AWS has by itself */

bool emu_action_running(const cpl_json *record) {
    return emu_is(record, "status", "InProgress");
}

/* ---- artifacts ---- */

static bool push_artifact(cpl_json *list, const char *name, const char *bucket, const char *key) {
    cpl_json *artifact = cpl_json_new_object();
    cpl_json *location = emu_object_at(artifact, "s3location");
    if (!cpl_json_set_cstr(artifact, "name", name) || !cpl_json_set_cstr(location, "bucket", bucket) ||
        !cpl_json_set_cstr(location, "key", key)) {
        cpl_json_free(artifact);
        return false;
    }
    return cpl_json_push(list, artifact);
}

/* The artifact store of the region the action runs in. */
static const cpl_json *store_of(const emu_context *at) {
    const char *pipeline = EMU_GET(at->execution, "pipeline");
    const cpl_json *document = emu_store_get(emu_store_of(at->engine->e), EMU_PIPELINE, pipeline);
    const cpl_json *declaration = emu_pipeline_version(document, (int)cpl_json_get_number(at->execution, "version", 0));
    return emu_pipeline_store(at->engine->e, declaration, cpl_json_get_cstr(at->action, "region", NULL));
}

/* Where the service puts artifacts: names cut to 20 and 10 characters, and seven random ones. */
static bool place_outputs(const emu_context *at, cpl_json *list) {
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const char *pipeline = EMU_GET(at->execution, "pipeline");
    const cpl_json *store = store_of(at);
    for (const cpl_json *i = cpl_json_first(cpl_json_get(at->action, "outputArtifacts")); i; i = cpl_json_next(i)) {
        char tail[8], key[64];
        if (!emu_random_text(at->engine->e, tail, 7, alphabet)) return false;
        snprintf(key, sizeof key, "%.20s/%.10s/%s", pipeline, EMU_GET(i, "name"), tail);
        if (!push_artifact(list, EMU_GET(i, "name"), EMU_GET(store, "location"), key)) return false;
    }
    return true;
}

/* An artifact made in another region is copied into this one's store; what was never uploaded is not there either. */
static const char *bring(const emu_context *at, const cpl_json *artifact) {
    emu *e = at->engine->e;
    const char *from = EMU_GET(artifact, "bucket"), *key = EMU_GET(artifact, "key");
    const char *to = cpl_json_get_cstr(store_of(at), "location", from);
    emu_object object;
    if (strcmp(from, to) == 0) return from;
    if (emu_s3_get(e, from, key, &object)) emu_s3_put(e, to, key, object.body, "application/octet-stream");
    return to;
}

bool emu_action_inputs(const emu_context *at, cpl_json *list) {
    const cpl_json *made = cpl_json_get(at->execution, "artifacts");
    for (const cpl_json *i = cpl_json_first(cpl_json_get(at->action, "inputArtifacts")); i; i = cpl_json_next(i)) {
        const cpl_json *artifact = cpl_json_get(made, EMU_GET(i, "name"));
        if (artifact == NULL) continue;
        if (!push_artifact(list, EMU_GET(i, "name"), bring(at, artifact), EMU_GET(artifact, "key"))) return false;
    }
    return true;
}

static bool publish_artifacts(cpl_json *execution, const cpl_json *record) {
    cpl_json *artifacts = cpl_json_get(execution, "artifacts");
    for (const cpl_json *i = cpl_json_first(cpl_json_get(record, "outputArtifacts")); i; i = cpl_json_next(i)) {
        cpl_json *artifact = cpl_json_clone(cpl_json_get(i, "s3location"));
        if (!emu_copy(artifact, "revision", cpl_json_get(record, "revision"), "revisionId")) {
            cpl_json_free(artifact);
            return false;
        }
        if (!cpl_json_set(artifacts, EMU_GET(i, "name"), artifact)) return false;
    }
    return true;
}

/* Variables can be read by others only under a namespace. */
static bool publish_variables(cpl_json *execution, const cpl_json *record) {
    const char *space = cpl_json_get_cstr(cpl_json_get(record, "input"), "namespace", NULL);
    const cpl_json *variables = cpl_json_get(record, "outputVariables");
    return space == NULL || variables == NULL ||
           cpl_json_set(cpl_json_get(execution, "namespaces"), space, cpl_json_clone(variables));
}

/* ---- revisions ---- */

/* Puts item in place of the one whose member key has the same value. */
static bool replace_item(cpl_json *list, const char *key, cpl_json *item) {
    cpl_json *old = emu_find(list, key, EMU_GET(item, key));
    if (old) cpl_json_free(cpl_json_detach(list, old));
    return cpl_json_push(list, item);
}

static bool note_source(cpl_json *execution, const cpl_json *record, const cpl_json *revision, const char *url) {
    cpl_json *source = cpl_json_new_object();
    if (emu_copy(source, "actionName", record, "action") && emu_copy(source, "revisionId", revision, "revision") &&
        emu_copy(source, "revisionSummary", revision, "revisionSummary") &&
        cpl_json_set_cstr(source, "revisionUrl", url)) {
        return replace_item(cpl_json_get(execution, "sourceRevisions"), "actionName", source);
    }
    cpl_json_free(source);
    return false;
}

static bool note_artifact(cpl_json *execution, const cpl_json *artifact, const cpl_json *revision, const char *url) {
    cpl_json *item = cpl_json_new_object();
    if (emu_copy(item, "name", artifact, "name") && emu_copy(item, "revisionId", revision, "revision") &&
        emu_copy(item, "revisionChangeIdentifier", revision, "changeIdentifier") &&
        emu_copy(item, "revisionSummary", revision, "revisionSummary") &&
        emu_copy(item, "created", revision, "created") && cpl_json_set_cstr(item, "revisionUrl", url)) {
        return replace_item(cpl_json_get(execution, "artifactRevisions"), "name", item);
    }
    cpl_json_free(item);
    return false;
}

const cpl_json *emu_action_override(const emu_context *at) {
    return cpl_json_get(cpl_json_get(at->execution, "overrides"), EMU_GET(at->record, "action"));
}

bool emu_action_revision(cpl_json *execution, cpl_json *record, const cpl_json *revision, const char *url) {
    const cpl_json *type = cpl_json_get(cpl_json_get(record, "input"), "actionTypeId");
    cpl_json *current = cpl_json_new_object();
    if (!emu_copy(current, "revisionId", revision, "revision") ||
        !emu_copy(current, "revisionChangeId", revision, "changeIdentifier") ||
        !emu_copy(current, "created", cpl_json_get(revision, "created") ? revision : record,
                  cpl_json_get(revision, "created") ? "created" : "started")) {
        cpl_json_free(current);
        return false;
    }
    if (!cpl_json_set(record, "revision", current)) return false;
    if (!emu_is(type, "category", "Source")) return true;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(record, "outputArtifacts")); i; i = cpl_json_next(i)) {
        if (!note_artifact(execution, i, revision, url)) return false;
    }
    return note_source(execution, record, revision, url);
}

/* ---- ending ---- */

static bool set_error(cpl_json *record, const emu_outcome *outcome) {
    cpl_json *error = emu_object_at(record, "error");
    return cpl_json_set_cstr(error, "code", outcome->code) && cpl_json_set_str(error, "message", outcome->message);
}

bool emu_action_end(emu_engine *engine, cpl_json *execution, cpl_json *record, const emu_outcome *outcome) {
    bool good = (outcome->code == NULL || set_error(record, outcome)) &&
                emu_action_change(engine, execution, record, outcome->status);
    if (!good || strcmp(outcome->status, "Succeeded") != 0) return good;
    return publish_artifacts(execution, record) && publish_variables(execution, record);
}

bool emu_action_fail(const emu_context *at, const char *code, const char *format, ...) {
    char message[2048]; /* room for a bucket's and a key's name */
    emu_outcome outcome = {"Failed", code, {message, 0}};
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    outcome.message = cpl_str_of(message);
    return emu_action_end(at->engine, at->execution, at->record, &outcome);
}

void emu_action_timeout(emu_engine *engine, cpl_json *execution, cpl_json *record) {
    emu_context at = {engine, execution, record, NULL};
    const char *job = cpl_json_get_cstr(record, "jobId", NULL);
    double started = cpl_json_get_number(record, "started", 0) * 1000;
    if (job) emu_job_close(engine, job, "TimedOut");
    emu_action_fail(&at, "Timeout", "The %s %s in stage %s did not end within %.0f minutes",
                    emu_record_is_rule(record) ? "rule" : "action",
                    EMU_GET(record, emu_record_is_rule(record) ? "rule" : "action"), EMU_GET(record, "stage"),
                    (cpl_json_get_number(record, "deadline", started) - started) / (double)MINUTE_MS);
}

/* ---- starting ---- */

static bool fill_input(const emu_context *at, cpl_json *input) {
    return emu_copy(input, "actionTypeId", at->action, "actionTypeId") &&
           emu_copy(input, "configuration", at->action, "configuration") &&
           emu_copy(input, "roleArn", at->action, "roleArn") && emu_copy(input, "namespace", at->action, "namespace") &&
           cpl_json_set_cstr(input, "region", cpl_json_get_cstr(at->action, "region", emu_region(at->engine->e))) &&
           emu_action_inputs(at, emu_array_at(input, "inputArtifacts"));
}

static bool fill_record(const emu_context *at, const char *id) {
    cpl_json *record = at->record;
    double now = emu_now_s(at->engine->e);
    return cpl_json_set_cstr(record, "id", id) && emu_copy(record, "executionId", at->execution, "id") &&
           cpl_json_set_number(record, "order", (double)++at->engine->order) &&
           emu_copy(record, "stage", at->execution, "stage") && emu_copy(record, "action", at->action, "name") &&
           cpl_json_set_number(record, "started", now) && emu_copy(record, "version", at->execution, "version") &&
           fill_input(at, emu_object_at(record, "input")) && place_outputs(at, emu_array_at(record, "outputArtifacts"));
}

static bool index_record(const emu_context *at) {
    emu_line *line = emu_line_find(at->engine, EMU_GET(at->execution, "pipeline"));
    const cpl_json *stages = cpl_json_get(at->execution, "stages");
    cpl_json *stage = cpl_json_get(stages, EMU_GET(at->execution, "stage"));
    char key[256];
    snprintf(key, sizeof key, "%s/%s", EMU_GET(at->record, "stage"), EMU_GET(at->record, "action"));
    return line && emu_index_set(&line->actions, key, at->record) &&
           cpl_json_set_cstr(cpl_json_get(stage, "actions"), EMU_GET(at->record, "action"), EMU_GET(at->record, "id"));
}

static bool set_deadline(const emu_context *at, double minutes) {
    emu_timer timer = {.due = EMU_DUE_ACTION, .order = (int64_t)cpl_json_get_number(at->record, "order", 0)};
    timer.at =
        emu_now_ms(at->engine->e) + (int64_t)cpl_json_get_number(at->action, "timeoutInMinutes", minutes) * MINUTE_MS;
    CPL_COPY(timer.id, cpl_json_get_str(at->execution, "id"));
    CPL_COPY(timer.sub, cpl_json_get_str(at->record, "id"));
    return cpl_json_set_number(at->record, "deadline", (double)timer.at) && emu_timers_add(&at->engine->timers, &timer);
}

static bool start_approval(const emu_context *at) {
    char token[CPL_UUID_SIZE];
    return emu_uuid(at->engine->e, token) && cpl_json_set_cstr(at->record, "token", token) &&
           set_deadline(at, APPROVAL_MINUTES);
}

static bool refuse_provider(const emu_context *at) {
    bool rule = emu_record_is_rule(at->record);
    const cpl_json *type = cpl_json_get(at->action, rule ? "ruleTypeId" : "actionTypeId");
    return emu_action_fail(
        at, "NotEmulated", "The emulator does not run %s of provider %s (%s, owner %s), and no script fits",
        rule ? "rules" : "actions", EMU_GET(type, "provider"), EMU_GET(type, "category"), EMU_GET(type, "owner"));
}

/* Not for real, but as a test wants it. */
bool emu_action_script(const emu_context *at) {
    bool found;
    if (!emu_script_start(at, &found)) return false;
    if (!found) return refuse_provider(at);
    return !emu_action_running(at->record) || set_deadline(at, SCRIPT_MINUTES);
}

bool emu_action_call(const emu_context *at) {
    const emu *e = at->engine->e;
    if (!emu_function_known(emu_functions_of(e), emu_function_of(e, at->record))) return emu_action_script(at);
    return set_deadline(at, JOB_MINUTES) &&
           emu_job_invoke(at->engine, at->execution, at->record, NULL, emu_now_ms(at->engine->e));
}

static bool run_kind(const emu_context *at, const emu_kind *kind) {
    switch (kind->runner) {
    case EMU_RUN_JOB:
        return set_deadline(at, JOB_MINUTES) && emu_job_create(at->engine, at->execution, at->record, NULL);
    case EMU_RUN_LAMBDA: return emu_action_call(at);
    case EMU_RUN_APPROVAL: return start_approval(at);
    case EMU_RUN_S3_SOURCE: return emu_s3_source_run(at);
    case EMU_RUN_S3_DEPLOY: return emu_s3_deploy_run(at);
    case EMU_RUN_GIT_SOURCE: return emu_git_source_run(at);
    case EMU_RUN_NOTHING: break;
    }
    return emu_action_script(at);
}

/* The configuration with the variables' values; false: out of memory, or the action was ended as failed. */
static bool resolve(const emu_context *at, bool *failed) {
    cpl_json *input = cpl_json_get(at->record, "input");
    cpl_json *resolved;
    cpl_buf missing;
    bool good;
    cpl_buf_init(&missing, 1024);
    resolved = emu_variables_resolve(at->execution, cpl_json_get(input, "configuration"), &missing);
    *failed = resolved == NULL && missing.n > 0;
    if (*failed) {
        good =
            emu_action_fail(at, "ConfigurationError", "The variable %s in the configuration of action %s has no value",
                            cpl_buf_cstr(&missing), EMU_GET(at->action, "name"));
    } else {
        good = cpl_json_set(input, "resolvedConfiguration", resolved);
    }
    cpl_buf_release(&missing);
    return good;
}

/* Can be so only when the pipeline was edited under way, or a type was deleted; the structure rules see to the rest. */
static bool check_start(const emu_context *at, emu_kind *kind, bool *failed) {
    const cpl_json *inputs = cpl_json_get(cpl_json_get(at->record, "input"), "inputArtifacts");
    const cpl_json *type = cpl_json_get(at->action, "actionTypeId");
    *failed = true;
    if (!emu_kind_find(at->engine, type, kind) || kind->deleted) {
        return emu_action_fail(at, "ConfigurationError", "The action type of provider %s, version %s, does not exist",
                               EMU_GET(type, "provider"), EMU_GET(type, "version"));
    }
    if (cpl_json_count(inputs) < cpl_json_count(cpl_json_get(at->action, "inputArtifacts"))) {
        return emu_action_fail(at, "ConfigurationError",
                               "An input artifact of action %s was not made in this execution",
                               EMU_GET(at->action, "name"));
    }
    return resolve(at, failed);
}

bool emu_action_start(emu_engine *engine, cpl_json *execution, const cpl_json *action) {
    emu_context at = {engine, execution, cpl_json_new_object(), action};
    char id[CPL_UUID_SIZE];
    emu_kind kind;
    bool failed;
    if (!emu_uuid(engine->e, id) || !fill_record(&at, id)) {
        cpl_json_free(at.record);
        return false;
    }
    if (!cpl_json_push(cpl_json_get(execution, "actions"), at.record) || !index_record(&at) ||
        !emu_action_change(engine, execution, at.record, "InProgress")) {
        return false;
    }
    if (!check_start(&at, &kind, &failed)) return false;
    return failed || run_kind(&at, &kind);
}
