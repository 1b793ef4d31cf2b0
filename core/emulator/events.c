/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "engine.h"
#include "feed.h"

/*
 * The events that the service sends to EventBridge, by "Monitoring CodePipeline events" of the user guide and its
 * examples. Members are in the order in which the service writes them. What the guide does not say:
 * - a stage that was skipped is SKIPPED, as in GetPipelineState;
 * - every retry of a stage counts as an attempt, also one that the stage makes by itself.
 */

#define URL_MAX 2048

typedef struct word {
    const char *status; /* in the documents */
    const char *state;  /* in events */
} word;

static const word words[] = {{"InProgress", "STARTED"},  {"Succeeded", "SUCCEEDED"},   {"Failed", "FAILED"},
                             {"Stopping", "STOPPING"},   {"Stopped", "STOPPED"},       {"Skipped", "SKIPPED"},
                             {"Abandoned", "ABANDONED"}, {"Superseded", "SUPERSEDED"}, {"Cancelled", "CANCELED"}};

static const char *state_of(const char *status) {
    for (size_t i = 0; i < CPL_COUNT(words); i++) {
        if (strcmp(words[i].status, status) == 0) return words[i].state;
    }
    return status;
}

/* ---- writing: straight into the text, because a busy emulator sends thousands of events a second ---- */

static void add_key(cpl_buf *out, const char *key) {
    size_t n = strlen(key);
    char *to = cpl_buf_reserve(out, n + 4), *p = to;
    if (to == NULL) return;
    if (out->n > 0 && to[-1] != '{') *p++ = ',';
    *p++ = '"';
    memcpy(p, key, n);
    memcpy(p + n, "\":", 2);
    cpl_buf_commit(out, (size_t)(p - to) + n + 2);
}

/* Absent text adds nothing. */
static void add_text(cpl_buf *out, const char *key, cpl_str text) {
    if (text.p == NULL) return;
    add_key(out, key);
    cpl_json_quote(out, text);
}

static void add_cstr(cpl_buf *out, const char *key, const char *text) {
    add_text(out, key, cpl_str_of(text));
}

/* A member, whatever it is, if it is there. */
static void copy(cpl_buf *out, const char *key, const cpl_json *from, const char *from_key) {
    const cpl_json *value = cpl_json_get(from, from_key);
    if (value == NULL) return;
    add_key(out, key);
    cpl_json_write(value, out);
}

static void copy_list(cpl_buf *out, const char *key, const cpl_json *from, const char *from_key) {
    if (cpl_json_count(cpl_json_get(from, from_key)) > 0) copy(out, key, from, from_key);
}

static void open_object(cpl_buf *out, const char *key) {
    add_key(out, key);
    cpl_buf_addc(out, '{');
}

/* "2023-10-26T13:49:39.208Z"; nothing when there is no such time. */
static void add_time(cpl_buf *out, const char *key, const cpl_json *from, const char *from_key) {
    int64_t ms = llround(cpl_json_get_number(from, from_key, 0) * 1000);
    char text[CPL_TIME_ISO_SIZE + 4];
    int rest = (int)(ms % 1000);
    if (ms <= 0) return;
    cpl_time_iso(ms / 1000, text);
    text[19] = '.';
    text[20] = (char)('0' + rest / 100);
    text[21] = (char)('0' + rest / 10 % 10);
    text[22] = (char)('0' + rest % 10);
    text[23] = 'Z';
    add_text(out, key, (cpl_str){text, 24});
}

/* ---- what they all have ---- */

/* Those by hand and those of the stages themselves; the first run is an attempt as well. */
static double attempts(const cpl_json *execution) {
    double n = 1;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(execution, "stages")); i; i = cpl_json_next(i)) {
        n += cpl_json_get_number(i, "retries", 0) + cpl_json_get_number(i, "autoRetries", 0);
    }
    return n;
}

/* Up to the first members of the detail. */
static cpl_buf *begin(emu_engine *engine, const char *type, const cpl_json *execution) {
    cpl_buf *out = &engine->event;
    const cpl_json *pipeline = emu_store_get(emu_store_of(engine->e), EMU_PIPELINE, EMU_GET(execution, "pipeline"));
    char id[CPL_UUID_SIZE], now[CPL_TIME_ISO_SIZE];
    cpl_buf_clear(out);
    if (!emu_uuid(engine->e, id)) id[0] = '\0';
    cpl_time_iso(emu_now_ms(engine->e) / 1000, now);
    cpl_buf_adds(out, "{\"version\":\"0\"");
    add_cstr(out, "id", id);
    add_cstr(out, "detail-type", type);
    add_cstr(out, "source", "aws.codepipeline");
    add_cstr(out, "account", emu_account_id(engine->e));
    add_cstr(out, "time", now);
    add_cstr(out, "region", emu_region(engine->e));
    cpl_buf_adds(out, ",\"resources\":[");
    cpl_json_quote(out, cpl_json_get_str(pipeline, "arn"));
    cpl_buf_addc(out, ']');
    open_object(out, "detail");
    copy(out, "pipeline", execution, "pipeline");
    copy(out, "execution-id", execution, "id");
    return out;
}

/* An event that found no memory is a gap that readers hear of. */
static void end(const emu_engine *engine, const cpl_json *execution, cpl_buf *out) {
    copy(out, "version", execution, "version");
    add_key(out, "pipeline-execution-attempt");
    cpl_json_add_number(out, attempts(execution));
    cpl_buf_adds(out, "}}");
    emu_feed_add(emu_feed_of(engine->e), cpl_buf_str(out));
}

/* ---- executions and stages ---- */

static void add_trigger(cpl_buf *out, const cpl_json *execution) {
    const cpl_json *trigger = cpl_json_get(execution, "trigger");
    open_object(out, "execution-trigger");
    copy(out, "trigger-type", trigger, "triggerType");
    copy(out, "trigger-detail", trigger, "triggerDetail");
    cpl_buf_addc(out, '}');
}

void emu_event_execution(emu_engine *engine, const cpl_json *execution, bool resumed) {
    const char *state = resumed ? "RESUMED" : state_of(EMU_GET(execution, "status"));
    cpl_buf *out = begin(engine, "CodePipeline Pipeline Execution State Change", execution);
    if (strcmp(state, "STARTED") == 0) add_trigger(out, execution);
    add_time(out, "start-time", execution, "started");
    add_cstr(out, "state", state);
    if (strcmp(state, "STOPPING") == 0) copy(out, "stop-execution-comments", cpl_json_get(execution, "stop"), "reason");
    end(engine, execution, out);
}

/* A stage that goes on names the time of the retry instead of its start, and keeps naming it from then on. */
void emu_event_stage(emu_engine *engine, const cpl_json *execution, const char *stage, const char *status) {
    const cpl_json *record = cpl_json_get(cpl_json_get(execution, "stages"), stage);
    bool resumed = strcmp(status, "InProgress") == 0 && cpl_json_get(record, "resumed") != NULL;
    cpl_buf *out = begin(engine, "CodePipeline Stage Execution State Change", execution);
    if (!resumed) add_time(out, "start-time", record, "started");
    add_time(out, "stage-last-retry-attempt-time", record, "resumed");
    add_cstr(out, "stage", stage);
    add_cstr(out, "state", resumed ? "RESUMED" : state_of(status));
    end(engine, execution, out);
}

/* ---- actions ---- */

static void add_url(const emu_engine *engine, cpl_buf *out, const cpl_json *record) {
    cpl_buf url;
    cpl_buf_init(&url, URL_MAX);
    if (emu_link(engine, cpl_json_get(record, "input"), "executionUrlTemplate",
                 cpl_json_get_cstr(record, "externalExecutionId", NULL), &url)) {
        add_text(out, "external-execution-url", cpl_buf_str(&url));
    }
    cpl_buf_release(&url);
}

/* What the one who ran it says; without a summary, why it failed. Nothing when nothing is known. */
static void add_result(const emu_engine *engine, cpl_buf *out, const cpl_json *record) {
    const cpl_json *error = cpl_json_get(record, "error");
    bool summary = cpl_json_get(record, "summary") != NULL;
    size_t before = out->n;
    open_object(out, "execution-result");
    add_url(engine, out, record);
    copy(out, "external-execution-summary", summary ? record : error, summary ? "summary" : "message");
    copy(out, "external-execution-id", record, "externalExecutionId");
    copy(out, "error-code", error, "code");
    if (out->n > 0 && out->p[out->n - 1] == '{')
        cpl_buf_truncate(out, before);
    else
        cpl_buf_addc(out, '}');
}

static void add_type(cpl_buf *out, const cpl_json *type) {
    open_object(out, "type");
    copy(out, "owner", type, "owner");
    copy(out, "provider", type, "provider");
    copy(out, "category", type, "category");
    copy(out, "version", type, "version");
    cpl_buf_addc(out, '}');
}

void emu_event_action(emu_engine *engine, const cpl_json *execution, const cpl_json *record) {
    const cpl_json *input = cpl_json_get(record, "input");
    const char *state = state_of(EMU_GET(record, "status"));
    bool ended = !emu_action_running(record);
    cpl_buf *out = begin(engine, "CodePipeline Action Execution State Change", execution);
    add_time(out, "start-time", record, "started");
    copy(out, "stage", record, "stage");
    if (ended) add_result(engine, out, record);
    if (!ended) copy_list(out, "input-artifacts", input, "inputArtifacts");
    if (strcmp(state, "SUCCEEDED") == 0) copy_list(out, "output-artifacts", record, "outputArtifacts");
    copy(out, "action-execution-id", record, "id");
    copy(out, "action", record, "action");
    add_cstr(out, "state", state);
    copy(out, "region", input, "region");
    add_type(out, cpl_json_get(input, "actionTypeId"));
    end(engine, execution, out);
}
