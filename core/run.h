/* SPDX-License-Identifier: MIT */
/*
 * A run from the inside: run.c asks and acts, follow.c tells what moved, explain.c why it does not, approval.c decides,
 * rollback.c looks back.
 */
#ifndef CPL_RUN_H
#define CPL_RUN_H

#include "client.h"
#include "json.h"
#include "watch.h"

/* An action execution that was told of. */
typedef struct cpl_seen {
    char *id;
    char *progress; /* what was told last; NULL: nothing */
    bool ended;
    bool approval; /* that it waits was told */
} cpl_seen;

typedef struct cpl_queued {
    struct cpl_queued *next;
    cpl_event event;
    char texts[]; /* of the event */
} cpl_queued;

/* How much of the execution was told in events. */
typedef struct cpl_story {
    cpl_seen *seen;
    size_t count;
    char *stage;      /* the one it is in; NULL: none, or it ended */
    char *transition; /* the disabled one that was told of */
    char status[24];
    int settling;              /* polls after the end that still found actions under way */
    bool ended;                /* the last event is in the queue, or was handed out */
    cpl_queued *first, **last; /* to be handed out */
    cpl_queued *current;       /* handed out last */
} cpl_story;

struct cpl_run {
    cpl_client *client;
    char *pipeline, *id;
    int64_t interval_ms, unclaimed_ms;
    int64_t started_ms; /* monotonic, when we started it; 0 when somebody else did */
    int64_t acted;      /* stamp: answers from before are of no use */
    char status[24];
    char message[512]; /* that came with the status */
    int64_t looked;    /* stamp: how old that is */
    int64_t due_ms;    /* monotonic: when to poll again */
    int64_t delay_ms;  /* between the last two polls */
    int failures;      /* in a row */
    cpl_story story;
};

/* What a run asks the service. */
typedef enum cpl_ask {
    CPL_ASK_EXECUTION,  /* GetPipelineExecution */
    CPL_ASK_EXECUTIONS, /* ListPipelineExecutions, the newest 100 */
    CPL_ASK_STATE,      /* GetPipelineState */
    CPL_ASK_ACTIONS     /* ListActionExecutions of this execution, all of them, newest first */
} cpl_ask;

/* An answer asked for at not_before (a stamp, see watch.h) or later; *out is for cpl_answer_drop(). */
cpl_status cpl_run_ask(const cpl_run *run, cpl_ask what, int64_t not_before, const cpl_wait *wait, cpl_answer **out,
                       cpl_error *err);
/* Runs an operation; params as JSON. *out is for cpl_json_free() and may be NULL when the answer is not wanted. */
cpl_status cpl_client_ask(cpl_client *client, const char *operation, const cpl_buf *params, const cpl_wait *wait,
                          cpl_json **out, cpl_error *err);
/* Looks at the execution's status; an answer asked for at not_before or later will do. */
cpl_status cpl_run_look(cpl_run *run, int64_t not_before, const cpl_wait *wait, cpl_error *err);
/* A reply that we made ourselves; takes document over, also when it fails. */
cpl_status cpl_run_reply(cpl_json *document, cpl_reply **out, cpl_error *err);
/* Appends "key":"text" to a JSON object in the making, with a comma where one is needed. */
void cpl_run_param(cpl_buf *params, const char *key, cpl_str text);

/* "InProgress", "Succeeded", ... of an action execution, a stage or an execution. */
static inline bool cpl_run_status_open(const char *status) {
    return strcmp(status, "InProgress") == 0 || strcmp(status, "Stopping") == 0;
}

/* How an answer names things: the state of a stage, of an action in it; NULL when it is not there. */
const cpl_json *cpl_state_stage(const cpl_json *state, const char *stage);
const cpl_json *cpl_state_action(const cpl_json *state, const char *stage, const char *action);
/* What GetPipelineState says of an action execution that ListActionExecutions listed; NULL: nothing, or of another. */
const cpl_json *cpl_state_latest(const cpl_json *state, const cpl_json *record);
/* Whether the execution waits in front of the stage whose state this is. */
bool cpl_state_waits(const cpl_json *stage, const char *id);
/* A value of the action's configuration with its variables resolved; NULL when it has none. */
const char *cpl_record_setting(const cpl_json *record, const char *name);
static inline const char *cpl_record_type(const cpl_json *record, const char *member) {
    return cpl_json_get_cstr(cpl_json_get_path(record, "input.actionTypeId"), member, "");
}

/* ---- follow.c ---- */

void cpl_story_init(cpl_story *story);
void cpl_story_release(cpl_story *story);
/* Looks for what moved and puts it in the queue. */
cpl_status cpl_run_poll(cpl_run *run, int64_t not_before, const cpl_wait *wait, cpl_error *err);

/* ---- rollback.c ---- */

/* Appends the id of the execution that a stage goes back to when nobody names one. CPL_STATE: there is none. */
cpl_status cpl_run_earlier(const cpl_run *run, cpl_str stage, const cpl_wait *wait, cpl_buf *out, cpl_error *err);

/* ---- explain.c ---- */

/* The summary alone, as text. */
cpl_status cpl_run_summary(cpl_run *run, const cpl_wait *wait, cpl_buf *out, cpl_error *err);

#endif
