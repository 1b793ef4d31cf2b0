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

#define EVENT_MAX ((size_t)4 << 20)

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

/* "2023-10-26T13:49:39.208Z"; nothing when there is no such time. */
static bool set_time(cpl_json *detail, const char *key, const cpl_json *from, const char *from_key) {
    double seconds = cpl_json_get_number(from, from_key, 0);
    int64_t ms = llround(seconds * 1000);
    char whole[CPL_TIME_ISO_SIZE], text[CPL_TIME_ISO_SIZE + 4];
    if (ms <= 0) return true;
    cpl_time_iso(ms / 1000, whole);
    snprintf(text, sizeof text, "%.19s.%03dZ", whole, (int)(ms % 1000));
    return cpl_json_set_cstr(detail, key, text);
}

/* Those by hand and those of the stages themselves; the first run is an attempt as well. */
static double attempts(const cpl_json *execution) {
    double n = 1;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(execution, "stages")); i; i = cpl_json_next(i)) {
        n += cpl_json_get_number(i, "retries", 0) + cpl_json_get_number(i, "autoRetries", 0);
    }
    return n;
}

static bool begin_detail(cpl_json *detail, const cpl_json *execution) {
    return emu_copy(detail, "pipeline", execution, "pipeline") && emu_copy(detail, "execution-id", execution, "id");
}

static bool end_detail(cpl_json *detail, const cpl_json *execution) {
    return emu_copy(detail, "version", execution, "version") &&
           cpl_json_set_number(detail, "pipeline-execution-attempt", attempts(execution));
}

/* ---- the envelope ---- */

static bool set_resource(const emu_engine *engine, cpl_json *event, const cpl_json *execution) {
    const cpl_json *pipeline = emu_store_get(emu_store_of(engine->e), EMU_PIPELINE, EMU_GET(execution, "pipeline"));
    return cpl_json_push(emu_array_at(event, "resources"), cpl_json_new_string(cpl_json_get_str(pipeline, "arn")));
}

static bool fill(const emu_engine *engine, cpl_json *event, const char *type, const cpl_json *execution) {
    char id[CPL_UUID_SIZE], now[CPL_TIME_ISO_SIZE];
    cpl_time_iso(emu_now_ms(engine->e) / 1000, now);
    return emu_uuid(engine->e, id) && cpl_json_set_cstr(event, "version", "0") && cpl_json_set_cstr(event, "id", id) &&
           cpl_json_set_cstr(event, "detail-type", type) && cpl_json_set_cstr(event, "source", "aws.codepipeline") &&
           cpl_json_set_cstr(event, "account", emu_account_id(engine->e)) && cpl_json_set_cstr(event, "time", now) &&
           cpl_json_set_cstr(event, "region", emu_region(engine->e)) && set_resource(engine, event, execution);
}

/* Takes detail over; good: it is complete. An event that could not be made is a gap that readers hear of. */
static void send(const emu_engine *engine, const char *type, const cpl_json *execution, cpl_json *detail, bool good) {
    cpl_json *event = cpl_json_new_object();
    cpl_buf text;
    cpl_buf_init(&text, EVENT_MAX);
    if (!good || !fill(engine, event, type, execution)) {
        cpl_json_free(detail);
    } else if (cpl_json_set(event, "detail", detail)) {
        cpl_json_write(event, &text);
    }
    emu_feed_add(emu_feed_of(engine->e), &text);
    cpl_buf_release(&text);
    cpl_json_free(event);
}

/* ---- executions and stages ---- */

static bool set_trigger(cpl_json *detail, const cpl_json *execution) {
    const cpl_json *trigger = cpl_json_get(execution, "trigger");
    cpl_json *out = emu_object_at(detail, "execution-trigger");
    return emu_copy(out, "trigger-type", trigger, "triggerType") &&
           emu_copy(out, "trigger-detail", trigger, "triggerDetail");
}

void emu_event_execution(const emu_engine *engine, const cpl_json *execution, bool resumed) {
    const char *state = resumed ? "RESUMED" : state_of(EMU_GET(execution, "status"));
    cpl_json *detail = cpl_json_new_object();
    bool good = begin_detail(detail, execution) && (strcmp(state, "STARTED") != 0 || set_trigger(detail, execution)) &&
                set_time(detail, "start-time", execution, "started") && cpl_json_set_cstr(detail, "state", state) &&
                end_detail(detail, execution) &&
                (strcmp(state, "STOPPING") != 0 ||
                 emu_copy(detail, "stop-execution-comments", cpl_json_get(execution, "stop"), "reason"));
    send(engine, "CodePipeline Pipeline Execution State Change", execution, detail, good);
}

/* A stage that goes on names the time of the retry instead of its start, and keeps naming it from then on. */
void emu_event_stage(const emu_engine *engine, const cpl_json *execution, const char *stage, const char *status) {
    const cpl_json *record = cpl_json_get(cpl_json_get(execution, "stages"), stage);
    bool resumed = strcmp(status, "InProgress") == 0 && cpl_json_get(record, "resumed") != NULL;
    cpl_json *detail = cpl_json_new_object();
    bool good = begin_detail(detail, execution) && (resumed || set_time(detail, "start-time", record, "started")) &&
                set_time(detail, "stage-last-retry-attempt-time", record, "resumed") &&
                cpl_json_set_cstr(detail, "stage", stage) &&
                cpl_json_set_cstr(detail, "state", resumed ? "RESUMED" : state_of(status)) &&
                end_detail(detail, execution);
    send(engine, "CodePipeline Stage Execution State Change", execution, detail, good);
}

/* ---- actions ---- */

static bool copy_list(cpl_json *detail, const char *key, const cpl_json *from, const char *from_key) {
    return cpl_json_count(cpl_json_get(from, from_key)) == 0 || emu_copy(detail, key, from, from_key);
}

static bool set_type(cpl_json *detail, const cpl_json *type) {
    cpl_json *out = emu_object_at(detail, "type");
    return emu_copy(out, "owner", type, "owner") && emu_copy(out, "provider", type, "provider") &&
           emu_copy(out, "category", type, "category") && emu_copy(out, "version", type, "version");
}

/* What the one who ran it says; without a summary, why it failed. */
static bool set_result(const emu_engine *engine, cpl_json *detail, const cpl_json *record) {
    const cpl_json *error = cpl_json_get(record, "error");
    cpl_json *out = cpl_json_new_object();
    bool summary = cpl_json_get(record, "summary") != NULL;
    if (!emu_link_set(engine, record, "executionUrlTemplate", out, "external-execution-url") ||
        !emu_copy(out, "external-execution-summary", summary ? record : error, summary ? "summary" : "message") ||
        !emu_copy(out, "external-execution-id", record, "externalExecutionId") ||
        !emu_copy(out, "error-code", error, "code")) {
        cpl_json_free(out);
        return false;
    }
    if (cpl_json_count(out) > 0) return cpl_json_set(detail, "execution-result", out);
    cpl_json_free(out);
    return true;
}

void emu_event_action(const emu_engine *engine, const cpl_json *execution, const cpl_json *record) {
    const cpl_json *input = cpl_json_get(record, "input");
    const char *state = state_of(EMU_GET(record, "status"));
    bool ended = !emu_action_running(record), made = strcmp(state, "SUCCEEDED") == 0;
    cpl_json *detail = cpl_json_new_object();
    bool good = begin_detail(detail, execution) && set_time(detail, "start-time", record, "started") &&
                emu_copy(detail, "stage", record, "stage") && (!ended || set_result(engine, detail, record)) &&
                (ended || copy_list(detail, "input-artifacts", input, "inputArtifacts")) &&
                (!made || copy_list(detail, "output-artifacts", record, "outputArtifacts")) &&
                emu_copy(detail, "action-execution-id", record, "id") && emu_copy(detail, "action", record, "action") &&
                cpl_json_set_cstr(detail, "state", state) && emu_copy(detail, "region", input, "region") &&
                set_type(detail, cpl_json_get(input, "actionTypeId")) && end_detail(detail, execution);
    send(engine, "CodePipeline Action Execution State Change", execution, detail, good);
}
