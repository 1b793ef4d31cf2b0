/* SPDX-License-Identifier: MIT */
#include "scripts.h"

#include "../buf.h"
#include "../err.h"
#include "git.h"

#define SCRIPTS_MAX 1000
#define ARTIFACT_MAX ((size_t)512 << 20)

/* ---- checking ---- */

typedef enum member_kind { TEXT, NUMBER, TEXTS } member_kind;

static const struct member {
    const char *name;
    member_kind kind;
} members[] = {{"pipeline", TEXT},
               {"stage", TEXT},
               {"action", TEXT},
               {"rule", TEXT},
               {"provider", TEXT},
               {"outcome", TEXT},
               {"summary", TEXT},
               {"code", TEXT},
               {"message", TEXT},
               {"revision", TEXT},
               {"revision_summary", TEXT},
               {"output_variables", TEXTS},
               {"external_execution_id", TEXT},
               {"artifacts", TEXTS},
               {"after", NUMBER},
               {"times", NUMBER}};

static const struct member *find_member(cpl_str name) {
    for (size_t i = 0; i < CPL_COUNT(members); i++) {
        if (cpl_str_is(name, members[i].name)) return &members[i];
    }
    return NULL;
}

static cpl_status check_texts(const cpl_json *value, cpl_error *err) {
    cpl_str name = cpl_json_key(value);
    for (const cpl_json *i = cpl_json_first(value); i; i = cpl_json_next(i)) {
        char path[256];
        snprintf(path, sizeof path, "%s.%s", name.p, cpl_json_key(i).p);
        if (cpl_json_kind_of(i) != CPL_JSON_STRING) return cpl_fail_at(err, CPL_INVALID, path, "%s: not a text", path);
    }
    return CPL_OK;
}

static cpl_status check_member(const cpl_json *value, cpl_error *err) {
    cpl_str name = cpl_json_key(value);
    const struct member *member = find_member(name);
    cpl_json_kind kind = cpl_json_kind_of(value);
    if (member == NULL) return cpl_fail_at(err, CPL_INVALID, name.p, "%s: a script has no such member", name.p);
    if (member->kind == TEXT && kind != CPL_JSON_STRING)
        return cpl_fail_at(err, CPL_INVALID, name.p, "%s: not a text", name.p);
    if (member->kind == NUMBER && (kind != CPL_JSON_NUMBER || cpl_json_number(value, 0) < 0))
        return cpl_fail_at(err, CPL_INVALID, name.p, "%s: not a number from 0", name.p);
    if (member->kind != TEXTS) return CPL_OK;
    if (kind != CPL_JSON_OBJECT) return cpl_fail_at(err, CPL_INVALID, name.p, "%s: not names and texts", name.p);
    return check_texts(value, err);
}

static cpl_status read_artifact(const char *path, cpl_buf *out) {
    FILE *file = fopen(path, "rb");
    cpl_status status = file ? cpl_buf_read(out, file, path, NULL) : CPL_IO;
    if (file) fclose(file);
    return status;
}

/* Looked at now, when who made the mistake is there to hear of it; read when the action ends. */
static cpl_status check_artifacts(const cpl_json *artifacts, cpl_error *err) {
    for (const cpl_json *i = cpl_json_first(artifacts); i; i = cpl_json_next(i)) {
        const char *path = cpl_json_cstr(i, "");
        FILE *file = fopen(path, "rb");
        char at[256];
        snprintf(at, sizeof at, "artifacts.%s", cpl_json_key(i).p);
        if (file == NULL) return cpl_fail_at(err, CPL_INVALID, at, "%s: \"%.200s\" cannot be read", at, path);
        fclose(file);
    }
    return CPL_OK;
}

static bool is_outcome(const char *outcome) {
    return strcmp(outcome, "succeed") == 0 || strcmp(outcome, "fail") == 0 || strcmp(outcome, "wait") == 0;
}

static cpl_status check_script(const cpl_json *script, cpl_error *err) {
    const char *outcome = cpl_json_get_cstr(script, "outcome", "");
    cpl_status status = CPL_OK;
    if (cpl_json_kind_of(script) != CPL_JSON_OBJECT) return cpl_fail(err, CPL_INVALID, "a script is an object");
    for (const cpl_json *i = cpl_json_first(script); status == CPL_OK && i; i = cpl_json_next(i))
        status = check_member(i, err);
    if (status) return status;
    if (!is_outcome(outcome))
        return cpl_fail_at(err, CPL_INVALID, "outcome",
                           "outcome: \"%.40s\" is neither \"succeed\" nor \"fail\" nor \"wait\"", outcome);
    return check_artifacts(cpl_json_get(script, "artifacts"), err);
}

/* ---- which one ---- */

static bool same(const cpl_json *script, const char *key, const char *text) {
    const char *wanted = cpl_json_get_cstr(script, key, NULL);
    return wanted == NULL || strcmp(wanted, text) == 0;
}

static bool fits(const cpl_json *script, const cpl_json *execution, const cpl_json *record) {
    bool rule = emu_record_is_rule(record);
    const cpl_json *type = cpl_json_get(cpl_json_get(record, "input"), rule ? "ruleTypeId" : "actionTypeId");
    return same(script, "pipeline", EMU_GET(execution, "pipeline")) &&
           same(script, "stage", EMU_GET(record, "stage")) && same(script, "action", EMU_GET(record, "action")) &&
           same(script, "rule", EMU_GET(record, "rule")) && same(script, "provider", EMU_GET(type, "provider"));
}

/* The newest that fits: a later script says it better. One that is used up goes. NULL: none, or out of memory. */
static cpl_json *choose(emu_engine *engine, const cpl_json *execution, const cpl_json *record) {
    cpl_json *found = NULL, *copy;
    double times;
    for (cpl_json *i = cpl_json_first(engine->scripts); i; i = cpl_json_next(i)) {
        if (fits(i, execution, record)) found = i;
    }
    copy = cpl_json_clone(found);
    times = cpl_json_get_number(found, "times", 0);
    if (copy == NULL || times == 0) return copy;
    if (times > 1) {
        cpl_json_set_number(found, "times", times - 1);
    } else {
        cpl_json_free(cpl_json_detach(engine->scripts, found));
    }
    return copy;
}

/* ---- carrying out ---- */

/* An end-of-directory record alone: the smallest zip there is. */
static const char empty_zip[22] = "PK\5\6";

static bool put_output(const emu_context *at, const cpl_json *script, const cpl_json *artifact, bool *failed) {
    const cpl_json *location = cpl_json_get(artifact, "s3location");
    const char *path = cpl_json_get_cstr(cpl_json_get(script, "artifacts"), EMU_GET(artifact, "name"), NULL);
    cpl_str body = {empty_zip, sizeof empty_zip};
    bool good = true;
    cpl_buf bytes;
    cpl_buf_init(&bytes, ARTIFACT_MAX);
    if (path) {
        *failed = read_artifact(path, &bytes) != CPL_OK;
        body = cpl_buf_str(&bytes);
    }
    if (*failed) {
        good = emu_action_fail(at, "ScriptError", "The artifact %s, \"%s\" by the script, cannot be read",
                               EMU_GET(artifact, "name"), path);
    } else {
        good =
            emu_s3_put(at->engine->e, EMU_GET(location, "bucket"), EMU_GET(location, "key"), body, "application/zip");
    }
    cpl_buf_release(&bytes);
    return good;
}

static bool put_outputs(const emu_context *at, const cpl_json *script, bool *failed) {
    const cpl_json *outputs = cpl_json_get(at->record, "outputArtifacts");
    for (const cpl_json *i = cpl_json_first(outputs); i && !*failed; i = cpl_json_next(i)) {
        if (!put_output(at, script, i, failed)) return false;
    }
    return true;
}

/* A source has a revision: what the execution was started for, or the script names, or a Git event did, or one that is
 * drawn, like a commit's. */
static bool note_revision(const emu_context *at, const cpl_json *script) {
    const cpl_json *type = cpl_json_get(cpl_json_get(at->record, "input"), "actionTypeId");
    const char *wanted = cpl_json_get_cstr(emu_action_override(at), "revisionValue", NULL);
    const char *named = wanted ? wanted : cpl_json_get_cstr(script, "revision", NULL);
    cpl_json *revision;
    char drawn[41] = "";
    bool good;
    if (!emu_is(type, "category", "Source")) return true;
    if (named == NULL && emu_git_known(at)) return emu_git_note(at);
    if (named == NULL && !emu_random_text(at->engine->e, drawn, 40, "0123456789abcdef")) return false;
    revision = cpl_json_new_object();
    good = cpl_json_set_cstr(revision, "revision", named ? named : drawn) &&
           cpl_json_set_cstr(revision, "changeIdentifier", named ? named : drawn) &&
           emu_copy(revision, "revisionSummary", script, "revision_summary") &&
           emu_action_revision(at->execution, at->record, revision, NULL);
    cpl_json_free(revision);
    return good;
}

static bool succeed(const emu_context *at, const cpl_json *script) {
    bool failed = false;
    if (!put_outputs(at, script, &failed)) return false;
    return failed ||
           (note_revision(at, script) && emu_copy(at->record, "outputVariables", script, "output_variables") &&
            emu_action_end(at->engine, at->execution, at->record, &(emu_outcome){"Succeeded", NULL, {0}}));
}

static bool finish(const emu_context *at) {
    const cpl_json *script = cpl_json_get(at->record, "script");
    cpl_str message = cpl_json_get_str(script, "message");
    emu_outcome outcome = {"Failed", cpl_json_get_cstr(script, "code", "JobFailed"), message};
    if (emu_is(script, "outcome", "succeed")) return succeed(at, script);
    if (message.n == 0) outcome.message = CPL_LIT("A script said so");
    return emu_action_end(at->engine, at->execution, at->record, &outcome);
}

/* Says in the summary that nobody really did it. */
static bool set_summary(cpl_json *record, const cpl_json *script) {
    char summary[2048];
    const char *said = cpl_json_get_cstr(script, "summary", "as a script says");
    snprintf(summary, sizeof summary, "emulated: %.*s", (int)cpl_utf8_cut(cpl_str_of(said), 2000), said);
    return cpl_json_set_cstr(record, "summary", summary);
}

/* The record has the script: now, later or not before another one comes. */
static bool carry_out(const emu_context *at, bool *ended) {
    const cpl_json *script = cpl_json_get(at->record, "script");
    double after_ms = cpl_json_get_number(script, "after", 0) * 1000;
    emu_timer timer = {.due = EMU_DUE_SCRIPT, .order = (int64_t)cpl_json_get_number(at->record, "order", 0)};
    *ended = false;
    if (!set_summary(at->record, script) ||
        !emu_copy(at->record, "externalExecutionId", script, "external_execution_id"))
        return false;
    emu_execution_touch(at->engine, at->execution);
    if (emu_is(script, "outcome", "wait")) return true;
    if (after_ms < 1) {
        *ended = true;
        return finish(at);
    }
    timer.at = emu_now_ms(at->engine->e) + (int64_t)after_ms;
    CPL_COPY(timer.id, cpl_json_get_str(at->execution, "id"));
    CPL_COPY(timer.sub, cpl_json_get_str(at->record, "id"));
    return cpl_json_set_number(at->record, "scriptDue", (double)timer.at) &&
           emu_timers_add(&at->engine->timers, &timer);
}

bool emu_script_start(const emu_context *at, bool *found) {
    cpl_json *script = choose(at->engine, at->execution, at->record);
    bool ended;
    *found = script != NULL;
    return script == NULL || (cpl_json_set(at->record, "script", script) && carry_out(at, &ended));
}

void emu_script_due(emu_engine *engine, cpl_json *execution, cpl_json *record) {
    const emu_context at = {engine, execution, record, NULL};
    double due = cpl_json_get_number(record, "scriptDue", 0);
    emu_line *line = emu_line_find(engine, EMU_GET(execution, "pipeline"));
    if (line == NULL || !emu_action_running(record) || due == 0 || due > (double)emu_now_ms(engine->e)) return;
    if (finish(&at)) emu_line_settle(engine, line);
}

/* ---- adding ---- */

static bool waits(const cpl_json *record) {
    return emu_action_running(record) && emu_is(cpl_json_get(record, "script"), "outcome", "wait");
}

/* Those of an execution's actions or rules that wait go on by the newest script that fits, unless it says wait. */
static bool release(emu_engine *engine, cpl_json *execution, const char *records, const cpl_json *added, bool *ended) {
    for (cpl_json *i = cpl_json_first(cpl_json_get(execution, records)); i; i = cpl_json_next(i)) {
        const emu_context at = {engine, execution, i, NULL};
        cpl_json *script;
        bool now;
        if (!waits(i) || !fits(added, execution, i)) continue;
        script = choose(engine, execution, i);
        if (script == NULL) return true; /* used up by one before */
        if (!cpl_json_set(i, "script", script) || !carry_out(&at, &now)) return false;
        *ended = *ended || now;
    }
    return true;
}

static bool release_all(emu_engine *engine, const cpl_json *added) {
    emu_store *store = emu_store_of(engine->e);
    for (size_t i = 0; i < emu_store_size(store, EMU_EXECUTION); i++) {
        const char *key;
        cpl_json *execution = emu_store_at(store, EMU_EXECUTION, i, &key);
        emu_line *line = emu_line_find(engine, EMU_GET(execution, "pipeline"));
        bool ended = false;
        if (emu_execution_over(execution) || line == NULL) continue;
        if (!release(engine, execution, "actions", added, &ended) ||
            !release(engine, execution, "rules", added, &ended))
            return false;
        if (ended && !emu_line_settle(engine, line)) return false;
    }
    return true;
}

cpl_status emu_scripts_add(emu *e, cpl_json *script, cpl_error *err) {
    emu_engine *engine = emu_engine_of(e);
    cpl_status status = check_script(script, err);
    cpl_json *added;
    bool good;
    if (status == CPL_OK && cpl_json_count(engine->scripts) >= SCRIPTS_MAX)
        status = cpl_fail(err, CPL_STATE, "there are %d scripts already", SCRIPTS_MAX);
    if (status) {
        cpl_json_free(script);
        return status;
    }
    if (engine->scripts == NULL) engine->scripts = cpl_json_new_array();
    added = cpl_json_clone(script);
    good = added && cpl_json_push(engine->scripts, script) && release_all(engine, added);
    cpl_json_free(added);
    return good ? CPL_OK : cpl_fail_nomem(err);
}

void emu_scripts_clear(emu_engine *engine) {
    cpl_json_free(engine->scripts);
    engine->scripts = NULL;
}
