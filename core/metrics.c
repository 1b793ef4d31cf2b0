/* SPDX-License-Identifier: MIT */
/*
 * What a pipeline's past says in numbers: how often it delivers, how long that takes, how often it fails and how soon
 * it works again. Histories come newest first, so paging ends with the first page that reaches back far enough; a
 * revision is asked for once, when it was first delivered.
 */
#include <math.h>
#include <stdlib.h>

#include "client.h"
#include "err.h"
#include "pace.h"
#include "run.h"

#define PARAMS_MAX ((size_t)1 << 14)
#define PAGES_MAX 1000
#define DAY_S 86400.0

/* ---- samples ---- */

typedef struct sample {
    double *values;
    size_t count, room;
} sample;

static bool sample_add(sample *s, double value) {
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 16;
        double *grown = cpl_realloc(s->values, room * sizeof *grown);
        if (grown == NULL) return false;
        s->values = grown;
        s->room = room;
    }
    s->values[s->count++] = value > 0 ? value : 0;
    return true;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* By the nearest rank, so that every number shown is one that happened. */
static double rank(const sample *s, double part) {
    size_t i = (size_t)ceil(part * (double)s->count);
    return s->values[i > 0 ? i - 1 : 0];
}

/* Adds {count, total, mean, median, p90, max} in seconds under name; nothing when nothing was measured. */
static bool sample_show(sample *s, cpl_json *to, const char *name) {
    cpl_json *item;
    double total = 0;
    if (s->count == 0) return true;
    qsort(s->values, s->count, sizeof *s->values, compare);
    for (size_t i = 0; i < s->count; i++) total += s->values[i];
    item = cpl_json_new_object();
    if (cpl_json_set_number(item, "count", (double)s->count) && cpl_json_set_number(item, "total", total) &&
        cpl_json_set_number(item, "mean", total / (double)s->count) &&
        cpl_json_set_number(item, "median", rank(s, 0.5)) && cpl_json_set_number(item, "p90", rank(s, 0.9)) &&
        cpl_json_set_number(item, "max", s->values[s->count - 1])) {
        return cpl_json_set(to, name, item);
    }
    cpl_json_free(item);
    return false;
}

/* ---- counting ---- */

static const char *const outcomes[] = {"Succeeded", "Failed", "Stopped", "Superseded", "Cancelled", "InProgress"};
static const char *const outcome_names[] = {"succeeded", "failed", "stopped", "superseded", "cancelled", "in_progress"};
enum { SUCCEEDED, FAILED, IN_PROGRESS = 5, OUTCOMES };

/* Of one pipeline, or of all. */
typedef struct tally {
    int executions, rollbacks, deployments, outcome[OUTCOMES];
    sample lead, duration, restore, approvals;
} tally;

static void tally_release(tally *t) {
    cpl_free(t->lead.values);
    cpl_free(t->duration.values);
    cpl_free(t->restore.values);
    cpl_free(t->approvals.values);
}

/* A stage in one execution. */
typedef struct span {
    const char *execution;
    double start, end;
} span;

typedef struct step {
    const char *stage, *action; /* action NULL: the stage as a whole */
    const cpl_json *last;       /* an execution of the action */
    int executions, failed;
    sample time;
    span *spans; /* of a stage */
    size_t span_count, span_room;
} step;

typedef struct meter {
    cpl_client *client;
    cpl_pace pace;
    cpl_error *err;
    double since, now;
    int calls;
    tally total, own;
    cpl_json *shown; /* the pipelines measured */
    /* of the pipeline at hand */
    const char *pipeline;
    cpl_json *executions, *actions; /* of the time in question, newest first */
    double broken_since;            /* 0: it works */
    step *steps;
    size_t step_count, step_room;
} meter;

static const char *text_of(const cpl_json *json, const char *member) {
    return cpl_json_get_cstr(json, member, "");
}

static double time_of(const cpl_json *json, const char *member) {
    return cpl_json_get_number(json, member, 0);
}

static bool is(const cpl_json *json, const char *member, const char *text) {
    return strcmp(text_of(json, member), text) == 0;
}

static cpl_status nomem(const meter *m) {
    return cpl_fail_nomem(m->err);
}

/* ---- asking ---- */

static cpl_status ask(meter *m, const char *operation, const cpl_buf *params, cpl_json **out) {
    cpl_wait rest;
    cpl_status status = cpl_pace_rest(&m->pace, &rest, m->err);
    *out = NULL;
    if (status) return status;
    m->calls++;
    return cpl_client_ask(m->client, operation, params, &rest, out, m->err);
}

/* Moves the items that began in time to the end of list; false in *more when an older one was met. */
static bool take(meter *m, cpl_json *list, cpl_json *items, bool *more) {
    for (cpl_json *item; (item = cpl_json_first(items)) != NULL;) {
        item = cpl_json_detach(items, item);
        if (time_of(item, "startTime") >= m->since) {
            if (!cpl_json_push(list, item)) return false;
        } else {
            cpl_json_free(item);
            *more = false;
        }
    }
    return true;
}

/* A list of the pipeline's past, as far back as it is wanted. */
static cpl_status list_past(meter *m, const char *operation, const char *items, cpl_json **out) {
    cpl_json *page = NULL;
    cpl_status status = CPL_OK;
    bool more = true;
    *out = cpl_json_new_array();
    for (int i = 0; *out && more && status == CPL_OK && i < PAGES_MAX; i++) {
        cpl_buf params;
        cpl_buf_init(&params, PARAMS_MAX);
        cpl_buf_addc(&params, '{');
        cpl_run_param(&params, "pipelineName", cpl_str_of(m->pipeline));
        if (page) cpl_run_param(&params, "nextToken", cpl_json_get_str(page, "nextToken"));
        cpl_buf_adds(&params, ",\"maxResults\":100}");
        cpl_json_free(page);
        status = ask(m, operation, &params, &page);
        cpl_buf_release(&params);
        if (status == CPL_OK && !take(m, *out, cpl_json_get(page, items), &more)) status = nomem(m);
        more = more && cpl_json_get(page, "nextToken") != NULL;
    }
    cpl_json_free(page);
    return *out ? status : nomem(m);
}

/* When the newest of the revisions that this execution delivered was made; 0 when nobody says. */
static cpl_status ask_revision(meter *m, const cpl_json *execution, double *created) {
    cpl_json *answer = NULL;
    const cpl_json *revisions;
    cpl_status status;
    cpl_buf params;
    cpl_buf_init(&params, PARAMS_MAX);
    cpl_buf_addc(&params, '{');
    cpl_run_param(&params, "pipelineName", cpl_str_of(m->pipeline));
    cpl_run_param(&params, "pipelineExecutionId", cpl_json_get_str(execution, "pipelineExecutionId"));
    cpl_buf_addc(&params, '}');
    status = ask(m, "GetPipelineExecution", &params, &answer);
    cpl_buf_release(&params);
    revisions = cpl_json_get_path(answer, "pipelineExecution.artifactRevisions");
    *created = 0;
    for (const cpl_json *i = cpl_json_first(revisions); i; i = cpl_json_next(i)) {
        if (time_of(i, "created") > *created) *created = time_of(i, "created");
    }
    cpl_json_free(answer);
    return status;
}

/* ---- executions ---- */

static bool same_revisions(const cpl_json *a, const cpl_json *b) {
    const cpl_json *x = cpl_json_first(cpl_json_get(a, "sourceRevisions"));
    const cpl_json *y = cpl_json_first(cpl_json_get(b, "sourceRevisions"));
    for (; x && y && is(x, "revisionId", text_of(y, "revisionId")); x = cpl_json_next(x)) y = cpl_json_next(y);
    return x == NULL && y == NULL;
}

static bool is_rollback(const cpl_json *execution) {
    return is(execution, "executionType", "ROLLBACK");
}

/* An earlier success delivered the same. *first: when an execution first had these revisions. */
static bool was_delivered(const cpl_json *execution, double *first) {
    bool delivered = false;
    *first = time_of(execution, "startTime");
    for (const cpl_json *i = cpl_json_next(execution); i; i = cpl_json_next(i)) {
        if (is_rollback(i) || !same_revisions(i, execution)) continue;
        *first = time_of(i, "startTime");
        delivered = delivered || is(i, "status", "Succeeded");
    }
    return delivered;
}

static cpl_status measure_lead(meter *m, const cpl_json *execution) {
    double created = 0, first, lead;
    cpl_status status;
    if (cpl_json_count(cpl_json_get(execution, "sourceRevisions")) == 0) return CPL_OK;
    if (was_delivered(execution, &first)) return CPL_OK;
    status = ask_revision(m, execution, &created);
    if (status) return status;
    lead = time_of(execution, "lastUpdateTime") - (created > 0 && created < first ? created : first);
    return sample_add(&m->own.lead, lead) && sample_add(&m->total.lead, lead) ? CPL_OK : nomem(m);
}

static bool measure_restore(meter *m, const cpl_json *execution) {
    double end = time_of(execution, "lastUpdateTime"), broken = m->broken_since;
    if (is(execution, "status", "Failed") && broken == 0) m->broken_since = end;
    if (!is(execution, "status", "Succeeded") || broken == 0) return true;
    m->broken_since = 0;
    return sample_add(&m->own.restore, end - broken) && sample_add(&m->total.restore, end - broken);
}

static void count(tally *t, const cpl_json *execution) {
    bool rollback = is_rollback(execution);
    int outcome = IN_PROGRESS; /* Stopping too */
    for (int i = 0; i < OUTCOMES; i++) {
        if (is(execution, "status", outcomes[i])) outcome = i;
    }
    t->executions++;
    t->outcome[outcome]++;
    t->rollbacks += rollback;
    t->deployments += outcome == SUCCEEDED && !rollback;
}

static cpl_status measure_execution(meter *m, const cpl_json *execution) {
    double duration = time_of(execution, "lastUpdateTime") - time_of(execution, "startTime");
    count(&m->own, execution);
    count(&m->total, execution);
    if (!measure_restore(m, execution)) return nomem(m);
    if (!is(execution, "status", "Succeeded") || is_rollback(execution)) return CPL_OK;
    if (!sample_add(&m->own.duration, duration) || !sample_add(&m->total.duration, duration)) return nomem(m);
    return measure_lead(m, execution);
}

/* The list has the newest first; walks it from its end. */
static cpl_status measure_executions(meter *m) {
    cpl_status status = CPL_OK;
    for (size_t i = cpl_json_count(m->executions); i-- > 0 && status == CPL_OK;) {
        status = measure_execution(m, cpl_json_at(m->executions, i));
    }
    return status;
}

/* ---- actions ---- */

static step *find_step(meter *m, const char *stage, const char *action) {
    for (size_t i = 0; i < m->step_count; i++) {
        step *s = m->steps + i;
        bool same = action ? s->action && strcmp(s->action, action) == 0 : s->action == NULL;
        if (same && strcmp(s->stage, stage) == 0) return s;
    }
    if (m->step_count == m->step_room) {
        size_t room = m->step_room ? 2 * m->step_room : 16;
        step *grown = cpl_realloc(m->steps, room * sizeof *grown);
        if (grown == NULL) return NULL;
        m->steps = grown;
        m->step_room = room;
    }
    m->steps[m->step_count] = (step){.stage = stage, .action = action};
    return &m->steps[m->step_count++];
}

static bool widen_stage(meter *m, const cpl_json *record) {
    step *s = find_step(m, text_of(record, "stageName"), NULL);
    const char *execution = text_of(record, "pipelineExecutionId");
    double start = time_of(record, "startTime"), end = time_of(record, "lastUpdateTime");
    size_t i = s ? s->span_count : 0;
    if (s == NULL) return false;
    while (i > 0 && strcmp(s->spans[i - 1].execution, execution) != 0) i--;
    if (i > 0) {
        span *known = s->spans + i - 1;
        if (start < known->start) known->start = start;
        if (end > known->end) known->end = end;
        return true;
    }
    if (s->span_count == s->span_room) {
        size_t room = s->span_room ? 2 * s->span_room : 16;
        span *grown = cpl_realloc(s->spans, room * sizeof *grown);
        if (grown == NULL) return false;
        s->spans = grown;
        s->span_room = room;
    }
    s->spans[s->span_count++] = (span){execution, start, end};
    return true;
}

static bool measure_action(meter *m, const cpl_json *record) {
    step *s = find_step(m, text_of(record, "stageName"), text_of(record, "actionName"));
    double time = time_of(record, "lastUpdateTime") - time_of(record, "startTime");
    bool approval = strcmp(cpl_record_type(record, "category"), "Approval") == 0;
    if (s == NULL) return false;
    s->last = record;
    s->executions++;
    s->failed += is(record, "status", "Failed");
    if (is(record, "status", "InProgress")) return true;
    if (!sample_add(&s->time, time) || !widen_stage(m, record)) return false;
    return !approval || (sample_add(&m->own.approvals, time) && sample_add(&m->total.approvals, time));
}

static cpl_status measure_actions(meter *m) {
    for (size_t i = cpl_json_count(m->actions); i-- > 0;) {
        if (!measure_action(m, cpl_json_at(m->actions, i))) return nomem(m);
    }
    for (size_t i = 0; i < m->step_count; i++) {
        step *s = m->steps + i;
        for (size_t k = 0; k < s->span_count; k++) {
            if (!sample_add(&s->time, s->spans[k].end - s->spans[k].start)) return nomem(m);
        }
    }
    return CPL_OK;
}

/* ---- the document ---- */

static bool show_tally(meter *m, tally *t, cpl_json *to) {
    int ended = t->outcome[SUCCEEDED] + t->outcome[FAILED];
    double days = (m->now - m->since) / DAY_S;
    bool good = cpl_json_set_number(to, "executions", t->executions);
    for (size_t i = 0; i < OUTCOMES && good; i++) good = cpl_json_set_number(to, outcome_names[i], t->outcome[i]);
    good = good && cpl_json_set_number(to, "rollbacks", t->rollbacks) &&
           cpl_json_set_number(to, "deployments", t->deployments) &&
           cpl_json_set_number(to, "deployments_per_day", days > 0 ? t->deployments / days : 0);
    if (good && ended > 0) good = cpl_json_set_number(to, "failure_rate", (double)t->outcome[FAILED] / ended);
    return good && sample_show(&t->lead, to, "lead_time") && sample_show(&t->duration, to, "duration") &&
           sample_show(&t->restore, to, "time_to_restore") && sample_show(&t->approvals, to, "approvals");
}

static bool show_action(step *s, cpl_json *list) {
    cpl_json *item = cpl_json_new_object();
    if (cpl_json_set_cstr(item, "action", s->action) &&
        cpl_json_set_cstr(item, "category", cpl_record_type(s->last, "category")) &&
        cpl_json_set_cstr(item, "provider", cpl_record_type(s->last, "provider")) &&
        cpl_json_set_number(item, "executions", s->executions) && cpl_json_set_number(item, "failed", s->failed) &&
        sample_show(&s->time, item, "time")) {
        return cpl_json_push(list, item);
    }
    cpl_json_free(item);
    return false;
}

static bool show_stage(meter *m, step *stage, cpl_json *list) {
    cpl_json *item = cpl_json_new_object(), *actions = cpl_json_new_array();
    bool good = cpl_json_set_cstr(item, "stage", stage->stage) && sample_show(&stage->time, item, "time");
    for (size_t i = 0; i < m->step_count && good; i++) {
        if (m->steps[i].action && strcmp(m->steps[i].stage, stage->stage) == 0)
            good = show_action(m->steps + i, actions);
    }
    if (good && cpl_json_set(item, "actions", actions)) return cpl_json_push(list, item);
    if (!good) cpl_json_free(actions);
    cpl_json_free(item);
    return false;
}

/* Stages in the order in which they were first run; of one whose actions are all under way there is no time yet. */
static bool show_stages(meter *m, cpl_json *to) {
    cpl_json *list = cpl_json_new_array();
    for (size_t i = 0; i < m->step_count; i++) {
        bool first = true;
        step *s;
        for (size_t k = 0; k < i; k++) first = first && strcmp(m->steps[k].stage, m->steps[i].stage) != 0;
        if (!first) continue;
        s = find_step(m, m->steps[i].stage, NULL);
        if (s && show_stage(m, s, list)) continue;
        cpl_json_free(list);
        return false;
    }
    return cpl_json_set(to, "stages", list);
}

static cpl_status show_pipeline(meter *m) {
    cpl_json *item = cpl_json_new_object();
    bool good = cpl_json_set_cstr(item, "pipeline", m->pipeline) && show_tally(m, &m->own, item) &&
                (m->broken_since == 0 || cpl_json_set_number(item, "broken_since", m->broken_since)) &&
                show_stages(m, item);
    if (good) return cpl_json_push(m->shown, item) ? CPL_OK : nomem(m);
    cpl_json_free(item);
    return nomem(m);
}

/* ---- pipelines ---- */

static void forget_pipeline(meter *m) {
    for (size_t i = 0; i < m->step_count; i++) {
        cpl_free(m->steps[i].time.values);
        cpl_free(m->steps[i].spans);
    }
    cpl_free(m->steps);
    cpl_json_free(m->executions);
    cpl_json_free(m->actions);
    tally_release(&m->own);
    m->own = (tally){.executions = 0};
    m->steps = NULL;
    m->step_count = m->step_room = 0;
    m->executions = m->actions = NULL;
    m->broken_since = 0;
}

static cpl_status measure_pipeline(meter *m, const char *name) {
    cpl_status status;
    m->pipeline = name;
    status = list_past(m, "ListPipelineExecutions", "pipelineExecutionSummaries", &m->executions);
    if (status == CPL_OK && cpl_json_count(m->executions) > 0)
        status = list_past(m, "ListActionExecutions", "actionExecutionDetails", &m->actions);
    if (status == CPL_OK) status = measure_executions(m);
    if (status == CPL_OK) status = measure_actions(m);
    if (status == CPL_OK) status = show_pipeline(m);
    forget_pipeline(m);
    return status;
}

static cpl_status list_pipelines(meter *m, cpl_json *names) {
    cpl_json *page = NULL;
    cpl_status status = CPL_OK;
    do {
        cpl_buf params;
        cpl_buf_init(&params, PARAMS_MAX);
        cpl_buf_addc(&params, '{');
        if (page) cpl_run_param(&params, "nextToken", cpl_json_get_str(page, "nextToken"));
        cpl_buf_addc(&params, '}');
        cpl_json_free(page);
        status = ask(m, "ListPipelines", &params, &page);
        cpl_buf_release(&params);
        for (const cpl_json *i = cpl_json_first(cpl_json_get(page, "pipelines")); i; i = cpl_json_next(i)) {
            if (!cpl_json_push(names, cpl_json_new_string(cpl_json_get_str(i, "name")))) status = nomem(m);
        }
    } while (status == CPL_OK && cpl_json_get(page, "nextToken"));
    cpl_json_free(page);
    return status;
}

static cpl_status refuse(const meter *m) {
    return cpl_fail_at(m->err, CPL_INVALID, "pipelines", "pipelines: not a list of names");
}

static cpl_status read_names(const meter *m, cpl_str text, cpl_json **names) {
    if (cpl_json_parse(text, names, m->err) || cpl_json_kind_of(*names) != CPL_JSON_ARRAY) return refuse(m);
    for (const cpl_json *i = cpl_json_first(*names); i; i = cpl_json_next(i)) {
        if (cpl_json_kind_of(i) != CPL_JSON_STRING) return refuse(m);
    }
    return CPL_OK;
}

static cpl_status measure(meter *m, cpl_str pipelines) {
    cpl_json *names = NULL;
    cpl_status status;
    if (pipelines.n > 0) {
        status = read_names(m, pipelines, &names);
    } else {
        names = cpl_json_new_array();
        status = list_pipelines(m, names);
    }
    for (const cpl_json *i = cpl_json_first(names); i && status == CPL_OK; i = cpl_json_next(i)) {
        status = measure_pipeline(m, cpl_json_cstr(i, ""));
    }
    cpl_json_free(names);
    return status;
}

static cpl_status answer(meter *m, cpl_reply **out) {
    cpl_json *document = cpl_json_new_object(), *total = cpl_json_new_object();
    bool good = show_tally(m, &m->total, total) && cpl_json_set_number(document, "since", m->since) &&
                cpl_json_set_number(document, "until", m->now) && cpl_json_set_number(document, "calls", m->calls);
    if (good) {
        good = cpl_json_set(document, "total", total) && cpl_json_set(document, "pipelines", m->shown);
        total = m->shown = NULL;
    }
    if (good) return cpl_run_reply(document, out, m->err);
    cpl_json_free(total);
    cpl_json_free(document);
    return nomem(m);
}

cpl_status cpl_client_metrics(cpl_client *client, const cpl_metrics_options *options, const cpl_wait *wait,
                              cpl_reply **out, cpl_error *err) {
    static const cpl_metrics_options defaults;
    cpl_error own;
    meter m = {.client = client, .err = err ? err : &own, .shown = cpl_json_new_array()};
    cpl_status status;
    *out = NULL;
    if (options == NULL) options = &defaults;
    m.now = (double)cpl_client_now_s(client);
    m.since = options->since > 0 ? options->since : m.now - 30 * DAY_S;
    cpl_pace_init(&m.pace, wait);
    if (m.since > m.now) {
        status = cpl_fail_at(m.err, CPL_INVALID, "since", "since: a time to come");
    } else {
        status = m.shown ? measure(&m, options->pipelines) : nomem(&m);
    }
    if (status == CPL_OK) status = answer(&m, out);
    cpl_json_free(m.shown);
    tally_release(&m.total);
    return status;
}
