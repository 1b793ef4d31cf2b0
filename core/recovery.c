/* SPDX-License-Identifier: MIT */
/*
 * What an earlier worker left in the journal. A result goes in line. A job whose handler had started is reported
 * failed, unless it may be repeated. The rest was never begun: the service is asked for its data, and it goes the way
 * of a job just polled, or just acknowledged.
 */
#include "clock.h"
#include "err.h"
#include "worker.h"

#define STARTS_MAX 3 /* of an idempotent job: one that kills its worker must not do so for ever */
#define DEADLINE_MS (24 * 3600 * INT64_C(1000))
#define DEADLINE_MIN_MS 60000 /* whatever the clock says, a result is offered for so long */
#define PAUSE_MS 2000         /* before a service that gave no answer is asked again */
#define DETAILS_TIMEOUT_MS 10000
#define DIED "the worker stopped while the job ran"

struct cpl_leftover {
    cpl_leftover *next;
    char *id, *nonce;
    int action_type; /* -1: the worker has no handler for it any more */
    cpl_entry_state state;
};

static void free_one(cpl_leftover *one) {
    if (one == NULL) return;
    cpl_free(one->id);
    cpl_free(one->nonce);
    cpl_free(one);
}

void cpl_recovery_free(cpl_leftover *left) {
    while (left) {
        cpl_leftover *next = left->next;
        free_one(left);
        left = next;
    }
}

/* ---- reading the journal ---- */

static int find_type(const cpl_worker *worker, const char *type) {
    for (size_t i = 0; i < worker->queue_count; i++) {
        if (strcmp(worker->queues[i].poll_head, type) == 0) return (int)i;
    }
    return -1;
}

static const char *operation_named(const char *name) {
    static const char *const known[] = {"PutJobSuccessResult", "PutJobFailureResult"};
    for (size_t i = 0; i < CPL_COUNT(known); i++) {
        if (name && strcmp(known[i], name) == 0) return known[i];
    }
    return NULL;
}

static int64_t deadline_of(const cpl_entry *entry) {
    int64_t left_ms = DEADLINE_MS - (cpl_clock_wall_ms() - entry->taken_ms);
    if (left_ms > DEADLINE_MS) left_ms = DEADLINE_MS;
    if (left_ms < DEADLINE_MIN_MS) left_ms = DEADLINE_MIN_MS;
    return cpl_clock_monotonic_ms() + left_ms;
}

/* Any of these may have reached the service before. */
static cpl_status add_owed(cpl_worker *worker, const cpl_entry *entry, cpl_error *err) {
    const char *operation = operation_named(entry->operation);
    bool made = entry->state == CPL_ENTRY_OWED && operation;
    cpl_owed *owed = made ? cpl_owed_new(operation, cpl_str_of(entry->result)) : cpl_owed_failure(entry->id, DIED);
    if (owed == NULL || !cpl_owed_sign(owed, entry->id, entry->nonce, deadline_of(entry))) {
        cpl_owed_free(owed);
        return cpl_fail_nomem(err);
    }
    owed->ambiguous = made;
    owed->recorded = true; /* as it is, or as running, which comes to the same; and the journal is being read */
    cpl_desk_owe(worker->desk, owed);
    return CPL_OK;
}

static cpl_status add_leftover(cpl_worker *worker, const cpl_entry *entry, int action_type, cpl_error *err) {
    cpl_leftover *one = cpl_calloc(1, sizeof *one), **end = &worker->left;
    if (one == NULL) return cpl_fail_nomem(err);
    one->id = cpl_strdup(cpl_str_of(entry->id));
    one->nonce = cpl_strdup(cpl_str_of(entry->nonce));
    one->action_type = action_type;
    one->state = entry->state;
    if (one->id == NULL || one->nonce == NULL) {
        free_one(one);
        return cpl_fail_nomem(err);
    }
    while (*end) end = &(*end)->next;
    *end = one;
    return CPL_OK;
}

static cpl_status visit(void *context, const cpl_entry *entry, cpl_error *err) {
    cpl_worker *worker = context;
    int at = find_type(worker, entry->type);
    bool repeat = at >= 0 && worker->queues[at].idempotent && entry->starts < STARTS_MAX;
    if (entry->state == CPL_ENTRY_OWED || (entry->state == CPL_ENTRY_RUNNING && !repeat)) {
        return add_owed(worker, entry, err);
    }
    return add_leftover(worker, entry, at, err);
}

cpl_status cpl_recovery_load(cpl_worker *worker, cpl_error *err) {
    cpl_status status = cpl_journal_each(worker->desk->journal, visit, worker, err);
    worker->recovered = status == CPL_OK;
    if (status != CPL_OK) { /* the next turn reads all of it again */
        cpl_recovery_free(worker->left);
        worker->left = NULL;
    }
    return status;
}

/* ---- asking the service ---- */

static cpl_status ask(const cpl_turn *t, const cpl_leftover *one, cpl_reply **reply, cpl_error *err) {
    cpl_call_options options = {.wait = {.timeout_ms = DETAILS_TIMEOUT_MS}};
    cpl_buf params;
    cpl_status status;
    options.wait.tick = t->own.tick;
    options.wait.context = t->own.context;
    cpl_buf_init(&params, 4096);
    cpl_buf_adds(&params, "{\"jobId\":");
    cpl_json_quote(&params, cpl_str_of(one->id));
    cpl_buf_addc(&params, '}');
    status = cpl_buf_status(&params, "the job's id", err);
    if (status == CPL_OK) {
        status = cpl_client_call(t->worker->desk->client, CPL_LIT("GetJobDetails"), cpl_buf_str(&params), &options,
                                 reply, err);
    }
    cpl_buf_release(&params);
    return status;
}

/* The job as a poll would have brought it. */
static cpl_status make_job(const cpl_turn *t, const cpl_leftover *one, cpl_str answer, cpl_job **out, cpl_error *err) {
    cpl_json *document = NULL, *details;
    cpl_status status = cpl_json_parse(answer, &document, err);
    if (status != CPL_OK) return status;
    details = cpl_json_detach(document, cpl_json_get(document, "jobDetails"));
    cpl_json_free(document);
    if (details == NULL) return cpl_fail(err, CPL_PROTOCOL, "the service gave no details of a job");
    if (!cpl_json_set_cstr(details, "nonce", one->nonce)) {
        cpl_json_free(details);
        return cpl_fail_nomem(err);
    }
    return cpl_job_new(out, t->worker->desk, details, err);
}

static void line_up(cpl_worker *worker, const cpl_leftover *one, cpl_job *job) {
    cpl_job **end = one->state == CPL_ENTRY_TAKEN || one->action_type < 0 ? &worker->ready : &worker->kept;
    job->action_type = one->action_type;
    job->taken_ms = cpl_clock_monotonic_ms();
    job->entered = job->doubtful = true;
    if (end == &worker->kept) worker->kept_count++;
    while (*end) end = &(*end)->next;
    *end = job;
}

void cpl_recovery_step(cpl_turn *t, int64_t *next_ms) {
    cpl_worker *worker = t->worker;
    cpl_leftover *one = worker->left;
    int64_t now_ms = cpl_clock_monotonic_ms();
    cpl_reply *reply = NULL;
    cpl_job *job = NULL;
    cpl_error failure;
    cpl_status status;
    if (one == NULL) return;
    if (now_ms < worker->left_ms) {
        if (worker->left_ms < *next_ms) *next_ms = worker->left_ms;
        return;
    }
    *next_ms = now_ms;
    status = ask(t, one, &reply, &failure);
    if (status == CPL_OK) status = make_job(t, one, cpl_reply_text(reply), &job, &failure);
    cpl_reply_free(reply);
    if (status == CPL_OK) {
        line_up(worker, one, job);
    } else if (strcmp(failure.code, "JobNotFoundException") == 0) {
        cpl_entry entry = {.id = one->id, .nonce = one->nonce, .state = CPL_ENTRY_DROPPED};
        (void)cpl_journal_mark(worker->desk->journal, &entry, cpl_clock_wall_ms(), NULL);
    } else {
        if (t->err) *t->err = failure;
        worker->left_ms = *next_ms = now_ms + PAUSE_MS;
        return;
    }
    worker->left = one->next;
    free_one(one);
}
