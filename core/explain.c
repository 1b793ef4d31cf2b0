/* SPDX-License-Identifier: MIT */
/*
 * Why a run is stuck, or how it ended: findings, each a sentence with its facts and with what to look at, the one that
 * matters most first. The table of hints is all the advice there is.
 */
#include <stdarg.h>

#include "err.h"
#include "pace.h"
#include "run.h"

#define TEXT_MAX ((size_t)1 << 20)

/* ---- hints ---- */

/* A row applies when all of its texts that are not NULL do. */
typedef struct hint {
    const char *kind;
    const char *provider;
    const char *code;
    const char *message; /* a part of it */
    const char *check;
} hint;

static const hint hints[] = {
    {"failed_action", "Lambda", NULL, "return a result",
     "the function must end with PutJobSuccessResult or PutJobFailureResult, also when it raises"},
    {"failed_action", "Lambda", NULL, NULL,
     "the function's log, and that its role allows codepipeline:PutJobSuccessResult and PutJobFailureResult"},
    {"failed_action", "CodeBuild", NULL, NULL, "the build's log, behind the link"},
    {"failed_action", "CloudFormation", NULL, NULL, "the stack's events: the first failed resource names the cause"},
    {"failed_action", "CodeDeploy", NULL, NULL, "the deployment's events, behind the link"},
    {"failed_action", NULL, "ConfigurationError", NULL,
     "the action's configuration: names of buckets, keys, projects and variables, and that what it names exists"},
    {"failed_action", NULL, "PermissionError", NULL,
     "the pipeline's role (or the action's own roleArn): does it allow what the message names?"},
    {"failed_action", NULL, NULL, "not authorized",
     "the pipeline's role (or the action's own roleArn): does it allow what the message names?"},
    {"failed_action", NULL, NULL, "AccessDenied",
     "the bucket's policy and the key's policy, not only the role: each of them may deny"},
    {"failed_action", NULL, "JobFailed", NULL, "the log of the worker that reported this"},
    {"failed_action", NULL, "Timeout", NULL,
     "whether the worker still runs; one that needs longer must continue the job, or timeoutInMinutes must grow"},
    {"failed_action", NULL, "RevisionUnavailable", NULL, "whether the source (branch, object, image) still exists"},
    {"failed_action", NULL, "RevisionOutOfSync", NULL, "whether the source was changed while it was read; try again"},
    {"failed_action", NULL, "SystemUnavailable", NULL, "whether the provider has an outage; then retry the stage"},
    {"failed_action", NULL, "NotEmulated", NULL, "run this pipeline at AWS, or replace the action by a custom one"},
    {"failed_action", NULL, NULL, NULL, "when the cause is gone, retry the stage: its successful actions are kept"},
    {"approval", NULL, NULL, NULL, "approve or reject it; an approval that nobody answers fails after seven days"},
    {"unclaimed_job", NULL, NULL, NULL,
     "whether a worker runs that polls for exactly this category, provider and version, in this region and account"},
    {"unclaimed_job", NULL, NULL, NULL,
     "whether its credentials allow codepipeline:PollForJobs and AcknowledgeJob, and its log"},
    {"running_action", NULL, NULL, NULL, "nothing yet: it is under way"},
    {"disabled_transition", NULL, NULL, NULL, "when the reason is gone, enable the transition: the execution goes on"},
    {"queued", NULL, NULL, NULL, "the execution in the stage: explain that one"},
    {"superseded", NULL, NULL, NULL, "the newer execution: it carries these changes too"},
    {"cancelled", NULL, NULL, NULL, "start the pipeline again; its structure was changed under way"},
    {"failed", NULL, NULL, "updated", "start the pipeline again; its structure was changed under way"},
};

static bool is_or_null(const char *wanted, const char *text) {
    return wanted == NULL || strcmp(wanted, text) == 0;
}

static bool add_checks(cpl_json *finding) {
    const char *kind = cpl_json_get_cstr(finding, "kind", ""), *message = cpl_json_get_cstr(finding, "message", "");
    const char *provider = cpl_json_get_cstr(finding, "provider", ""), *code = cpl_json_get_cstr(finding, "code", "");
    cpl_json *list = cpl_json_new_array();
    bool fine = list != NULL;
    for (const hint *h = hints; fine && h < hints + CPL_COUNT(hints); h++) {
        if (is_or_null(h->kind, kind) && is_or_null(h->provider, provider) && is_or_null(h->code, code) &&
            (h->message == NULL || strstr(message, h->message))) {
            fine = cpl_json_push(list, cpl_json_new_string(cpl_str_of(h->check)));
        }
    }
    if (fine) return cpl_json_set(finding, "check", list);
    cpl_json_free(list);
    return false;
}

/* ---- findings ---- */

typedef struct inquiry {
    cpl_run *run;
    cpl_answer *state, *actions, *executions;
    cpl_json *findings;
    double now_s; /* the service's */
    bool nomem;
} inquiry;

/* A finding of that kind, in the list; NULL: out of memory, which is noted. */
static cpl_json *add_finding(inquiry *q, const char *kind) {
    cpl_json *finding = cpl_json_new_object();
    if (!cpl_json_set_cstr(finding, "kind", kind)) {
        cpl_json_free(finding);
        finding = NULL;
    }
    if (finding == NULL || !cpl_json_push(q->findings, finding)) {
        q->nomem = true;
        return NULL;
    }
    return finding;
}

static void set(inquiry *q, cpl_json *finding, const char *member, const char *text) {
    if (finding && text && text[0] && !cpl_json_set_cstr(finding, member, text)) q->nomem = true;
}

static void set_time(inquiry *q, cpl_json *finding, double time) {
    if (finding && time > 0 && !cpl_json_set_number(finding, "since", time)) q->nomem = true;
}

static void CPL_PRINTF(3, 4) conclude(inquiry *q, cpl_json *finding, const char *format, ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    text[cpl_utf8_cut(cpl_str_of(text), sizeof text - 1)] = '\0';
    set(q, finding, "text", text);
    if (finding == NULL || !add_checks(finding)) q->nomem = true;
}

static const char *text_of(const cpl_json *json, const char *member) {
    return cpl_json_get_cstr(json, member, "");
}

/* "3 minutes": as exact as anybody cares. */
static const char *duration(double seconds, char out[32]) {
    static const struct {
        double size;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    size_t i = 0;
    long long n;
    if (seconds < 0) seconds = 0;
    while (i < CPL_COUNT(units) - 1 && seconds < 2 * units[i].size) i++;
    n = (long long)(seconds / units[i].size);
    snprintf(out, 32, "%lld %s%s", n, units[i].name, n == 1 ? "" : "s");
    return out;
}

static cpl_json *add_action(inquiry *q, const char *kind, const cpl_json *record) {
    static const char *const type[] = {"category", "owner", "provider"};
    cpl_json *finding = add_finding(q, kind);
    set(q, finding, "stage", text_of(record, "stageName"));
    set(q, finding, "action", text_of(record, "actionName"));
    for (size_t i = 0; i < CPL_COUNT(type); i++) set(q, finding, type[i], cpl_record_type(record, type[i]));
    set_time(q, finding, cpl_json_get_number(record, "startTime", 0));
    return finding;
}

static void set_result(inquiry *q, cpl_json *finding, const cpl_json *result) {
    set(q, finding, "external_execution_id", text_of(result, "externalExecutionId"));
    set(q, finding, "url", text_of(result, "externalExecutionUrl"));
}

static void find_failed_action(inquiry *q, const cpl_json *record) {
    const cpl_json *result = cpl_json_get_path(record, "output.executionResult");
    const cpl_json *error = cpl_json_get(result, "errorDetails");
    cpl_json *finding = add_action(q, "failed_action", record);
    bool rejected = strcmp(cpl_record_type(record, "category"), "Approval") == 0;
    const char *message = text_of(error, "message"), *code = text_of(error, "code");
    if (message[0] == '\0') message = text_of(result, "externalExecutionSummary");
    set(q, finding, "code", code);
    set(q, finding, "message", message);
    set(q, finding, "by", text_of(record, "updatedBy"));
    set_result(q, finding, result);
    conclude(q, finding, "action \"%s\" of stage \"%s\" %s%s%s%s%s", text_of(record, "actionName"),
             text_of(record, "stageName"), rejected ? "was rejected" : "failed", code[0] ? ": " : "", code,
             message[0] ? ": " : "", message);
}

static void find_approval(inquiry *q, const cpl_json *record) {
    cpl_json *finding = add_action(q, "approval", record);
    const char *message = cpl_record_setting(record, "CustomData");
    set(q, finding, "message", message);
    set(q, finding, "url", cpl_record_setting(record, "ExternalEntityLink"));
    conclude(q, finding, "it waits for the approval \"%s\" of stage \"%s\"%s%s", text_of(record, "actionName"),
             text_of(record, "stageName"), message ? ": " : "", message ? message : "");
}

/* A worker that has a job may say nothing until its end; so after a while this is a guess, and said to be one. */
static void find_open_action(inquiry *q, const cpl_json *record) {
    const cpl_json *latest = cpl_state_latest(q->state->document, record);
    const char *owner = cpl_record_type(record, "owner"), *summary = text_of(latest, "summary");
    bool silent = summary[0] == '\0' && text_of(latest, "externalExecutionId")[0] == '\0' &&
                  cpl_json_get_number(latest, "percentComplete", 0) == 0;
    double seconds = q->now_s - cpl_json_get_number(record, "startTime", q->now_s);
    bool unclaimed = (strcmp(owner, "Custom") == 0 || strcmp(owner, "ThirdParty") == 0) && silent &&
                     seconds * 1000 >= (double)q->run->unclaimed_ms;
    cpl_json *finding = add_action(q, unclaimed ? "unclaimed_job" : "running_action", record);
    char since[32];
    duration(seconds, since);
    set(q, finding, "message", summary);
    set_result(q, finding, latest);
    if (unclaimed) {
        conclude(q, finding,
                 "the job of action \"%s\" of stage \"%s\" waits since %s, and nothing shows that a worker (%s, %s, "
                 "version %s) has taken it",
                 text_of(record, "actionName"), text_of(record, "stageName"), since,
                 cpl_record_type(record, "category"), cpl_record_type(record, "provider"),
                 cpl_record_type(record, "version"));
    } else {
        conclude(q, finding, "action \"%s\" of stage \"%s\" runs since %s%s%s", text_of(record, "actionName"),
                 text_of(record, "stageName"), since, summary[0] ? ": " : "", summary);
    }
}

/* An action that was tried again counts by its last execution; the list has the newest first. */
static bool was_tried_again(const cpl_json *records, const cpl_json *record) {
    for (const cpl_json *i = cpl_json_first(records); i && i != record; i = cpl_json_next(i)) {
        if (strcmp(text_of(i, "stageName"), text_of(record, "stageName")) == 0 &&
            strcmp(text_of(i, "actionName"), text_of(record, "actionName")) == 0) {
            return true;
        }
    }
    return false;
}

static void look_at_actions(inquiry *q) {
    const cpl_json *records = cpl_json_get(q->actions->document, "actionExecutionDetails");
    for (const cpl_json *i = cpl_json_first(records); i; i = cpl_json_next(i)) {
        const char *status = text_of(i, "status");
        if (was_tried_again(records, i)) continue;
        if (strcmp(status, "Failed") == 0) {
            find_failed_action(q, i);
        } else if (cpl_run_ended(q->run) || strcmp(status, "InProgress") != 0) {
            continue;
        } else if (strcmp(cpl_record_type(i, "category"), "Approval") == 0) {
            find_approval(q, i);
        } else {
            find_open_action(q, i);
        }
    }
}

static void find_disabled_transition(inquiry *q, const cpl_json *stage, const cpl_json *transition) {
    cpl_json *finding = add_finding(q, "disabled_transition");
    const char *reason = text_of(transition, "disabledReason"), *by = text_of(transition, "lastChangedBy");
    set(q, finding, "stage", text_of(stage, "stageName"));
    set(q, finding, "message", reason);
    set(q, finding, "by", by);
    set_time(q, finding, cpl_json_get_number(transition, "lastChangedAt", 0));
    conclude(q, finding, "the transition into stage \"%s\" is disabled%s%s%s%s", text_of(stage, "stageName"),
             by[0] ? " by " : "", by, reason[0] ? ": " : "", reason);
}

static void look_at_stages(inquiry *q) {
    const cpl_json *stages = cpl_json_get(q->state->document, "stageStates");
    for (const cpl_json *i = cpl_json_first(stages); i && !cpl_run_ended(q->run); i = cpl_json_next(i)) {
        const cpl_json *transition = cpl_json_get(i, "inboundTransitionState");
        const cpl_json *latest = cpl_json_get(i, "latestExecution");
        const char *other = text_of(latest, "pipelineExecutionId");
        cpl_json *finding;
        if (!cpl_state_waits(i, q->run->id)) continue;
        if (!cpl_json_get_bool(transition, "enabled", true)) find_disabled_transition(q, i, transition);
        if (!cpl_run_status_open(text_of(latest, "status"))) continue;
        finding = add_finding(q, "queued");
        set(q, finding, "stage", text_of(i, "stageName"));
        set(q, finding, "execution_id", other);
        conclude(q, finding, "it waits for execution \"%s\" to leave stage \"%s\"", other, text_of(i, "stageName"));
    }
}

/* How it ended, when that needs another execution or a person to explain. */
static void look_at_end(inquiry *q) {
    const char *status = q->run->status, *newer = NULL, *reason;
    const cpl_json *list = q->executions ? q->executions->document : NULL;
    const cpl_json *own = cpl_json_first(cpl_json_get(list, "pipelineExecutionSummaries"));
    cpl_json *finding = NULL;
    for (; own && strcmp(text_of(own, "pipelineExecutionId"), q->run->id) != 0; own = cpl_json_next(own)) {
        newer = text_of(own, "pipelineExecutionId");
    }
    reason = text_of(cpl_json_get(own, "stopTrigger"), "reason");
    if (strcmp(status, "Superseded") == 0) {
        finding = add_finding(q, "superseded");
        set(q, finding, "execution_id", own ? newer : NULL);
        conclude(q, finding, "a newer execution%s%s overtook it in front of a stage", own && newer ? " " : "",
                 own && newer ? newer : "");
    } else if (strcmp(status, "Stopped") == 0 || strcmp(status, "Stopping") == 0) {
        finding = add_finding(q, "stopped");
        set(q, finding, "message", reason);
        conclude(q, finding, "somebody stopped it%s%s", reason[0] ? ": " : "", reason);
    } else if (strcmp(status, "Cancelled") == 0) {
        conclude(q, add_finding(q, "cancelled"), "the pipeline's structure was changed before it could complete");
    } else if (strcmp(status, "Failed") == 0 && cpl_json_count(q->findings) == 0) {
        finding = add_finding(q, "failed");
        set(q, finding, "message", q->run->message);
        conclude(q, finding, "%s",
                 q->run->message[0] ? q->run->message : "no action failed; the service does not say why");
    }
}

/* ---- the document ---- */

static void write_summary(const inquiry *q, cpl_buf *out) {
    const cpl_run *run = q->run;
    const char *first = text_of(cpl_json_first(q->findings), "text");
    cpl_buf_addf(out, "execution \"%s\" of pipeline \"%s\" is %s%s", run->id, run->pipeline,
                 cpl_run_ended(run) ? "" : "still ", run->status);
    if (first[0]) cpl_buf_addf(out, ": %s", first);
}

static void write_text(const inquiry *q, cpl_buf *out) {
    static const struct {
        const char *member, *label;
    } facts[] = {{"external_execution_id", "external execution"}, {"url", "link"}, {"by", "by"}};
    cpl_buf_addf(out, "execution \"%s\" of pipeline \"%s\": %s", q->run->id, q->run->pipeline, q->run->status);
    for (const cpl_json *i = cpl_json_first(q->findings); i; i = cpl_json_next(i)) {
        cpl_buf_addf(out, "\n- %s", text_of(i, "text"));
        for (size_t f = 0; f < CPL_COUNT(facts); f++) {
            const char *fact = text_of(i, facts[f].member);
            if (fact[0]) cpl_buf_addf(out, "\n  %s: %s", facts[f].label, fact);
        }
        for (const cpl_json *c = cpl_json_first(cpl_json_get(i, "check")); c; c = cpl_json_next(c)) {
            cpl_buf_addf(out, "\n  check: %s", cpl_json_cstr(c, ""));
        }
    }
}

static bool set_written(const inquiry *q, cpl_json *to, const char *member,
                        void (*write)(const inquiry *q, cpl_buf *out)) {
    cpl_buf text;
    bool fine;
    cpl_buf_init(&text, TEXT_MAX);
    write(q, &text);
    fine = cpl_buf_ok(&text) && cpl_json_set_str(to, member, cpl_buf_str(&text));
    cpl_buf_release(&text);
    return fine;
}

static bool needs_executions(const cpl_run *run) {
    return strcmp(run->status, "Superseded") == 0 || strncmp(run->status, "Stop", 4) == 0;
}

/* Asks for all that a verdict needs; for the pipeline's other executions only where they matter. */
static cpl_status inquire(inquiry *q, const cpl_wait *wait, cpl_error *err) {
    cpl_run *run = q->run;
    int64_t now = cpl_watch_now(run->client->watch);
    cpl_wait rest;
    cpl_pace pace;
    cpl_status status = CPL_OK;
    cpl_pace_init(&pace, wait);
    q->now_s = (double)cpl_client_now_s(run->client);
    q->findings = cpl_json_new_array();
    if (!cpl_run_ended(run)) status = cpl_run_look(run, now, wait, err);
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status == CPL_OK) status = cpl_run_ask(run, CPL_ASK_STATE, now, &rest, &q->state, err);
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status == CPL_OK) status = cpl_run_ask(run, CPL_ASK_ACTIONS, now, &rest, &q->actions, err);
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status == CPL_OK && needs_executions(run))
        status = cpl_run_ask(run, CPL_ASK_EXECUTIONS, now, &rest, &q->executions, err);
    if (status) return status;
    if (strcmp(run->status, "Succeeded") != 0) look_at_actions(q);
    look_at_stages(q);
    look_at_end(q);
    return q->nomem || q->findings == NULL ? cpl_fail_nomem(err) : CPL_OK;
}

static void release(inquiry *q) {
    cpl_answer_drop(q->state);
    cpl_answer_drop(q->actions);
    cpl_answer_drop(q->executions);
    cpl_json_free(q->findings);
}

cpl_status cpl_run_explain(cpl_run *run, const cpl_wait *wait, cpl_reply **out, cpl_error *err) {
    inquiry q = {.run = run};
    cpl_json *document = cpl_json_new_object();
    cpl_error own;
    cpl_status status;
    *out = NULL;
    err = err ? err : &own;
    status = inquire(&q, wait, err);
    if (status == CPL_OK) {
        bool fine = cpl_json_set_cstr(document, "pipeline", run->pipeline) &&
                    cpl_json_set_cstr(document, "execution_id", run->id) &&
                    cpl_json_set_cstr(document, "status", run->status) &&
                    set_written(&q, document, "summary", write_summary) &&
                    set_written(&q, document, "text", write_text) &&
                    cpl_json_set(document, "findings", cpl_json_clone(q.findings));
        status = fine ? cpl_run_reply(document, out, err) : cpl_fail_nomem(err);
        if (fine) document = NULL;
    }
    cpl_json_free(document);
    release(&q);
    return status;
}

cpl_status cpl_run_summary(cpl_run *run, const cpl_wait *wait, cpl_buf *out, cpl_error *err) {
    inquiry q = {.run = run};
    cpl_status status = inquire(&q, wait, err);
    if (status == CPL_OK) {
        write_summary(&q, out);
    } else {
        cpl_buf_addf(out, "execution \"%s\" of pipeline \"%s\" is still %s", run->id, run->pipeline, run->status);
    }
    release(&q);
    return status;
}
