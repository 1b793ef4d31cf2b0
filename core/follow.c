/* SPDX-License-Identifier: MIT */
/*
 * What moved, as events. The service tells what is so, not what happened; but it keeps every action execution with the
 * moments it began and ended, so what happened between two polls can be put in order, and so can what happened before
 * the first one. A poll asks for the status first and for the actions last: what the first answers know, so does the
 * last.
 */
#include "clock.h"
#include "err.h"
#include "run.h"

#define SETTLING_MAX 3 /* polls to wait for the last actions of an execution that has ended */

void cpl_story_init(cpl_story *story) {
    *story = (cpl_story){.last = &story->first};
}

void cpl_story_release(cpl_story *story) {
    for (cpl_queued *q = story->first, *next; q; q = next) {
        next = q->next;
        cpl_free(q);
    }
    for (size_t i = 0; i < story->count; i++) {
        cpl_free(story->seen[i].id);
        cpl_free(story->seen[i].progress);
    }
    cpl_free(story->seen);
    cpl_free(story->current);
    cpl_free(story->stage);
    cpl_free(story->transition);
    cpl_story_init(story);
}

const char *cpl_event_name(cpl_event_kind kind) {
    static const char *const names[] = {"run", "stage", "action", "progress", "approval", "transition", "end"};
    return (size_t)kind < CPL_COUNT(names) ? names[kind] : "unknown";
}

/* ---- the queue ---- */

#define TEXTS_MAX 8

static void texts_of(cpl_event *event, const char **out[TEXTS_MAX]) {
    const char **texts[TEXTS_MAX] = {&event->stage,
                                     &event->action,
                                     &event->status,
                                     &event->message,
                                     &event->code,
                                     &event->url,
                                     &event->external_execution_id,
                                     &event->by};
    memcpy(out, texts, sizeof texts);
}

/* Copies the event and its texts; false: out of memory. */
static bool tell(cpl_story *story, const cpl_event *event) {
    cpl_event copy = *event;
    const char **texts[TEXTS_MAX];
    cpl_queued *queued;
    size_t n = 0;
    char *to;
    texts_of(&copy, texts);
    for (size_t i = 0; i < TEXTS_MAX; i++) n += *texts[i] ? strlen(*texts[i]) + 1 : 0;
    queued = cpl_malloc(sizeof *queued + n);
    if (queued == NULL) return false;
    to = queued->texts;
    for (size_t i = 0; i < TEXTS_MAX; i++) {
        if (*texts[i] == NULL) continue;
        n = strlen(*texts[i]) + 1;
        memcpy(to, *texts[i], n);
        *texts[i] = to;
        to += n;
    }
    queued->event = copy;
    queued->next = NULL;
    *story->last = queued;
    story->last = &queued->next;
    return true;
}

/* ---- what was told of ---- */

/* Takes over a copy of text in place of what *to holds; false: out of memory. */
static bool keep(char **to, const char *text) {
    char *copy = text ? cpl_strdup(cpl_str_of(text)) : NULL;
    if (text && copy == NULL) return false;
    cpl_free(*to);
    *to = copy;
    return true;
}

static cpl_seen *find_seen(const cpl_story *story, const char *id) {
    for (size_t i = 0; i < story->count; i++) {
        if (strcmp(story->seen[i].id, id) == 0) return &story->seen[i];
    }
    return NULL;
}

static bool add_seen(cpl_story *story, const char *id) {
    cpl_seen *more;
    cpl_seen fresh = {.id = cpl_strdup(cpl_str_of(id))};
    if (fresh.id == NULL) return false;
    more = cpl_realloc(story->seen, (story->count + 1) * sizeof *more);
    if (more == NULL) {
        cpl_free(fresh.id);
        return false;
    }
    story->seen = more;
    story->seen[story->count++] = fresh;
    return true;
}

/* ---- answers as moments ---- */

/* The three answers of one poll. */
typedef struct view {
    cpl_run *run;
    cpl_answer *state, *actions;
} view;

typedef struct moment {
    double time;
    size_t rank; /* of those at the same time: by the order of starting, a start before its end */
    const cpl_json *record;
    bool end;
} moment;

static const char *text_of(const cpl_json *record, const char *member) {
    return cpl_json_get_cstr(record, member, NULL);
}

static bool record_open(const cpl_json *record) {
    return cpl_run_status_open(cpl_json_get_cstr(record, "status", ""));
}

static const cpl_json *records_of(const view *v) {
    return cpl_json_get(v->actions->document, "actionExecutionDetails");
}

static int by_time(const void *a, const void *b) {
    const moment *left = a, *right = b;
    if (left->time != right->time) return left->time < right->time ? -1 : 1;
    return (left->rank > right->rank) - (left->rank < right->rank);
}

/* What was not told yet. moments has room for two a record; answers how many there are. */
static size_t collect(const view *v, moment *moments) {
    const cpl_json *records = records_of(v);
    size_t n = 0, rank = 2 * cpl_json_count(records);
    for (const cpl_json *i = cpl_json_first(records); i; i = cpl_json_next(i)) {
        const cpl_seen *seen = find_seen(&v->run->story, cpl_json_get_cstr(i, "actionExecutionId", ""));
        double start = cpl_json_get_number(i, "startTime", 0), end = cpl_json_get_number(i, "lastUpdateTime", start);
        rank -= 2;
        if (seen == NULL) moments[n++] = (moment){start, rank, i, false};
        if (!record_open(i) && (seen == NULL || !seen->ended))
            moments[n++] = (moment){end > start ? end : start, rank + 1, i, true};
    }
    qsort(moments, n, sizeof *moments, by_time);
    return n;
}

/* ---- stages ---- */

static bool tell_stage(cpl_story *story, const char *status, double time) {
    const cpl_event event = {.kind = CPL_EVENT_STAGE, .stage = story->stage, .status = status, .time = time};
    return tell(story, &event);
}

/* Leaves the stage it is in, if any. */
static bool end_stage(cpl_story *story, const char *status, double time) {
    return story->stage == NULL || (tell_stage(story, status, time) && keep(&story->stage, NULL));
}

static bool enter_stage(cpl_story *story, const char *stage, double time) {
    if (story->stage && strcmp(story->stage, stage) == 0) return true;
    return end_stage(story, "Succeeded", time) && keep(&story->stage, stage) && tell_stage(story, "InProgress", time);
}

/* The time of the last thing that happened in the stage it is in. */
static double stage_time(const view *v) {
    double last = 0;
    for (const cpl_json *i = cpl_json_first(records_of(v)); i; i = cpl_json_next(i)) {
        double time = cpl_json_get_number(i, "lastUpdateTime", 0);
        if (strcmp(cpl_json_get_cstr(i, "stageName", ""), v->run->story.stage) == 0 && time > last) last = time;
    }
    return last;
}

static bool stage_is_busy(const view *v) {
    for (const cpl_json *i = cpl_json_first(records_of(v)); i; i = cpl_json_next(i)) {
        if (record_open(i) && strcmp(cpl_json_get_cstr(i, "stageName", ""), v->run->story.stage) == 0) return true;
    }
    return false;
}

/* How the stage it is in ended, by what its actions came to. */
static const char *stage_outcome(const view *v) {
    const char *status = v->run->status;
    if (strcmp(status, "Succeeded") == 0 || strcmp(status, "Superseded") == 0) return "Succeeded";
    return strcmp(status, "Cancelled") == 0 ? "Stopped" : status;
}

/* A stage that ended while nothing follows yet: the state tells, if it is still this execution's. */
static bool look_at_stage(const view *v) {
    cpl_story *story = &v->run->story;
    const cpl_json *latest;
    const char *status;
    if (story->stage == NULL || stage_is_busy(v)) return true;
    latest = cpl_json_get(cpl_state_stage(v->state->document, story->stage), "latestExecution");
    status = cpl_json_get_cstr(latest, "status", "InProgress");
    if (strcmp(cpl_json_get_cstr(latest, "pipelineExecutionId", ""), v->run->id) == 0 && !cpl_run_status_open(status))
        return end_stage(story, status, stage_time(v));
    return cpl_run_ended(v->run) ? end_stage(story, stage_outcome(v), stage_time(v)) : true;
}

/* ---- actions ---- */

static cpl_event event_of(const cpl_json *record, cpl_event_kind kind) {
    return (cpl_event){.kind = kind,
                       .stage = text_of(record, "stageName"),
                       .action = text_of(record, "actionName"),
                       .status = text_of(record, "status")};
}

static bool tell_start(cpl_story *story, const moment *m) {
    const char *id = cpl_json_get_cstr(m->record, "actionExecutionId", "");
    cpl_event event = event_of(m->record, CPL_EVENT_ACTION);
    event.status = "InProgress";
    event.time = m->time;
    return enter_stage(story, event.stage ? event.stage : "", m->time) && add_seen(story, id) && tell(story, &event);
}

static bool tell_end(cpl_story *story, const moment *m) {
    const cpl_json *result = cpl_json_get_path(m->record, "output.executionResult");
    const cpl_json *error = cpl_json_get(result, "errorDetails");
    cpl_seen *seen = find_seen(story, cpl_json_get_cstr(m->record, "actionExecutionId", ""));
    cpl_event event = event_of(m->record, CPL_EVENT_ACTION);
    event.time = m->time;
    event.code = text_of(error, "code");
    event.message = text_of(error, "message");
    if (event.message == NULL) event.message = text_of(result, "externalExecutionSummary");
    event.url = text_of(result, "externalExecutionUrl");
    event.external_execution_id = text_of(result, "externalExecutionId");
    event.by = text_of(m->record, "updatedBy");
    seen->ended = true;
    return tell(story, &event);
}

static bool tell_approval(cpl_story *story, const cpl_json *record, cpl_seen *seen) {
    cpl_event event = event_of(record, CPL_EVENT_APPROVAL);
    if (seen->approval) return true;
    event.time = cpl_json_get_number(record, "startTime", 0);
    event.message = cpl_record_setting(record, "CustomData");
    event.url = cpl_record_setting(record, "ExternalEntityLink");
    seen->approval = true;
    return tell(story, &event);
}

/* What an action under way says of itself, when it is something new. */
static bool tell_progress(const view *v, const cpl_json *record, cpl_seen *seen) {
    const cpl_json *latest = cpl_state_latest(v->state->document, record);
    cpl_event event = event_of(record, CPL_EVENT_PROGRESS);
    cpl_buf said;
    bool fine = true;
    event.message = text_of(latest, "summary");
    event.url = text_of(latest, "externalExecutionUrl");
    event.external_execution_id = text_of(latest, "externalExecutionId");
    event.percent = (int)cpl_json_get_number(latest, "percentComplete", 0);
    event.time = cpl_json_get_number(latest, "lastStatusChange", 0);
    if (!event.message && !event.external_execution_id && event.percent == 0) return true;
    cpl_buf_init(&said, (size_t)1 << 16);
    cpl_buf_addf(&said, "%d\n%s\n%s", event.percent, event.external_execution_id ? event.external_execution_id : "",
                 event.message ? event.message : "");
    if (seen->progress == NULL || strcmp(seen->progress, cpl_buf_cstr(&said)) != 0)
        fine = keep(&seen->progress, cpl_buf_cstr(&said)) && tell(&v->run->story, &event);
    cpl_buf_release(&said);
    return fine;
}

static bool tell_actions(const view *v, size_t *busy) {
    cpl_story *story = &v->run->story;
    moment *moments = cpl_malloc((2 * cpl_json_count(records_of(v)) + 1) * sizeof *moments);
    size_t n = moments ? collect(v, moments) : 0;
    bool fine = moments != NULL;
    for (size_t i = 0; fine && i < n; i++) {
        fine = moments[i].end ? tell_end(story, &moments[i]) : tell_start(story, &moments[i]);
    }
    *busy = 0;
    for (const cpl_json *i = cpl_json_first(records_of(v)); fine && i; i = cpl_json_next(i)) {
        cpl_seen *seen = find_seen(story, cpl_json_get_cstr(i, "actionExecutionId", ""));
        if (!record_open(i) || seen->ended) continue;
        ++*busy;
        fine = strcmp(cpl_record_type(i, "category"), "Approval") == 0 ? tell_approval(story, i, seen)
                                                                       : tell_progress(v, i, seen);
    }
    cpl_free(moments);
    return fine;
}

/* ---- the execution ---- */

/* A disabled transition in front of which it waits, each time it was disabled anew. */
static bool tell_transition(const view *v) {
    cpl_story *story = &v->run->story;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(v->state->document, "stageStates")); i; i = cpl_json_next(i)) {
        const cpl_json *transition = cpl_json_get(i, "inboundTransitionState");
        cpl_event event = {.kind = CPL_EVENT_TRANSITION, .stage = text_of(i, "stageName"), .status = "Disabled"};
        char mark[256];
        if (cpl_json_get_bool(transition, "enabled", true) || !cpl_state_waits(i, v->run->id)) continue;
        event.time = cpl_json_get_number(transition, "lastChangedAt", 0);
        snprintf(mark, sizeof mark, "%s@%.3f", event.stage ? event.stage : "", event.time);
        if (story->transition && strcmp(story->transition, mark) == 0) return true;
        event.message = text_of(transition, "disabledReason");
        event.by = text_of(transition, "lastChangedBy");
        return keep(&story->transition, mark) && tell(story, &event);
    }
    return true;
}

static bool tell_status(cpl_run *run) {
    const cpl_event event = {
        .kind = CPL_EVENT_RUN, .status = run->status, .message = run->message[0] ? run->message : NULL};
    if (cpl_run_ended(run) || strcmp(run->story.status, run->status) == 0) return true;
    CPL_COPY(run->story.status, cpl_str_of(run->status));
    return tell(&run->story, &event);
}

static double last_time(const view *v) {
    double last = 0;
    for (const cpl_json *i = cpl_json_first(records_of(v)); i; i = cpl_json_next(i)) {
        double time = cpl_json_get_number(i, "lastUpdateTime", 0);
        if (time > last) last = time;
    }
    return last;
}

static bool tell_the_end(const view *v) {
    cpl_run *run = v->run;
    const cpl_event event = {.kind = CPL_EVENT_END,
                             .status = run->status,
                             .message = run->message[0] ? run->message : NULL,
                             .time = last_time(v)};
    run->story.ended = true;
    run->story.status[0] = '\0'; /* a retry begins with a status again */
    return tell(&run->story, &event);
}

static cpl_status tell_all(const view *v, cpl_error *err) {
    cpl_run *run = v->run;
    size_t busy;
    if (!tell_status(run) || !tell_actions(v, &busy)) return cpl_fail_nomem(err);
    if (cpl_run_ended(run) && busy > 0 && run->story.settling++ < SETTLING_MAX) return CPL_OK;
    if (!look_at_stage(v) || !tell_transition(v)) return cpl_fail_nomem(err);
    if (cpl_run_ended(run) && !tell_the_end(v)) return cpl_fail_nomem(err);
    return CPL_OK;
}

static bool not_known_yet(cpl_status status, const cpl_run *run, const cpl_error *err) {
    return status == CPL_SERVICE && run->started_ms && !cpl_run_ended(run) &&
           strcmp(err->code, "PipelineExecutionNotFoundException") == 0;
}

cpl_status cpl_run_poll(cpl_run *run, int64_t not_before, const cpl_wait *wait, cpl_error *err) {
    view v = {.run = run};
    cpl_status status = CPL_OK;
    if (!cpl_run_ended(run)) status = cpl_run_look(run, not_before, wait, err);
    if (status == CPL_OK) status = cpl_run_ask(run, CPL_ASK_STATE, run->looked, wait, &v.state, err);
    if (status == CPL_OK) status = cpl_run_ask(run, CPL_ASK_ACTIONS, v.state->asked, wait, &v.actions, err);
    if (status == CPL_OK) status = tell_all(&v, err);
    if (not_known_yet(status, run, err)) status = CPL_OK; /* look() knows for how long */
    cpl_answer_drop(v.state);
    cpl_answer_drop(v.actions);
    return status;
}
