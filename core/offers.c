/* SPDX-License-Identifier: MIT */
/*
 * Offers: jobs of which no more than the id is known, from a poll for third-party jobs or from an earlier worker's
 * journal. The service is asked for one at a time. What comes of one says nothing of the others: one that gives trouble
 * waits, and they do not.
 */
#include "clock.h"
#include "err.h"
#include "worker.h"

#define PAUSE_MS 2000 /* before a service that gave no answer is asked again */
#define DETAILS_TIMEOUT_MS 10000
#define OFFER_MS 60000 /* the service then offers a job that was not acknowledged to somebody else */

static void free_one(cpl_offer *one) {
    if (one == NULL) return;
    cpl_free(one->id);
    cpl_free(one->nonce);
    cpl_free(one);
}

void cpl_offers_free(cpl_offer *first) {
    while (first) {
        cpl_offer *next = first->next;
        free_one(first);
        first = next;
    }
}

static void append(cpl_worker *worker, cpl_offer *one) {
    cpl_offer **end = &worker->offers;
    while (*end) end = &(*end)->next;
    one->next = NULL;
    *end = one;
}

cpl_status cpl_offer_add(cpl_worker *worker, const cpl_offer *offer, cpl_error *err) {
    cpl_offer *one = cpl_calloc(1, sizeof *one);
    if (one == NULL) return cpl_fail_nomem(err);
    *one = *offer;
    one->id = cpl_strdup(cpl_str_of(offer->id));
    one->nonce = offer->nonce ? cpl_strdup(cpl_str_of(offer->nonce)) : NULL;
    one->made_ms = cpl_clock_monotonic_ms();
    if (one->id == NULL || (offer->nonce && one->nonce == NULL)) {
        free_one(one);
        return cpl_fail_nomem(err);
    }
    append(worker, one);
    return CPL_OK;
}

static cpl_status ask(const cpl_turn *t, const cpl_offer *one, cpl_reply **reply, cpl_error *err) {
    const char *operation = one->origin.customer ? "GetThirdPartyJobDetails" : "GetJobDetails";
    cpl_wait wait = t->own;
    cpl_buf params;
    cpl_status status;
    wait.timeout_ms = DETAILS_TIMEOUT_MS;
    cpl_buf_init(&params, 8192);
    cpl_buf_adds(&params, "{\"jobId\":");
    cpl_json_quote(&params, cpl_str_of(one->id));
    cpl_buf_addc(&params, '}');
    status = cpl_buf_status(&params, "the job's id", err);
    if (status == CPL_OK) {
        cpl_desk_question question = {&one->origin, operation, cpl_buf_str(&params)};
        status = cpl_desk_call(t->worker->desk, &question, &wait, reply, err);
    }
    cpl_buf_release(&params);
    return status;
}

/* The job as a poll would have brought it. One that an earlier worker took keeps the nonce it was taken with. */
static cpl_status make_job(const cpl_turn *t, const cpl_offer *one, cpl_str answer, cpl_job **out, cpl_error *err) {
    cpl_json *document = NULL, *details;
    cpl_status status = cpl_json_parse(answer, &document, err);
    if (status != CPL_OK) return status;
    details = cpl_json_detach(document, cpl_json_get(document, "jobDetails"));
    cpl_json_free(document);
    if (details == NULL) return cpl_fail(err, CPL_PROTOCOL, "the service gave no details of a job");
    if (one->nonce && !cpl_json_set_cstr(details, "nonce", one->nonce)) {
        cpl_json_free(details);
        return cpl_fail_nomem(err);
    }
    return cpl_job_new(out, t->worker->desk, &one->origin, details, err);
}

cpl_status cpl_offer_fetch(const cpl_turn *t, const cpl_offer *one, cpl_job **out, cpl_error *err) {
    cpl_reply *reply = NULL;
    cpl_status status = ask(t, one, &reply, err);
    if (status == CPL_OK) status = make_job(t, one, cpl_reply_text(reply), out, err);
    cpl_reply_free(reply);
    return status;
}

static void line_up(cpl_worker *worker, const cpl_offer *one, cpl_job *job) {
    bool ours = one->state != 0 && one->state != CPL_ENTRY_TAKEN && one->action_type >= 0;
    cpl_job **end = ours ? &worker->kept : &worker->ready;
    job->action_type = one->action_type;
    job->taken_ms = cpl_clock_monotonic_ms();
    job->entered = job->doubtful = one->state != 0;
    if (ours) worker->kept_count++;
    while (*end) end = &(*end)->next;
    *end = job;
}

/* Nobody needs to look after it any more. */
static bool is_over(const cpl_offer *one, cpl_status status, const cpl_error *failure) {
    if (strcmp(failure->code, "JobNotFoundException") == 0) return true;
    if (one->state != 0) return false; /* it may be ours, and is asked for until it is known */
    if (cpl_clock_monotonic_ms() - one->made_ms > OFFER_MS) return true;
    return status == CPL_PROTOCOL || (status == CPL_SERVICE && !failure->retryable);
}

/* False: another time. */
static bool settle(cpl_turn *t, const cpl_offer *one) {
    cpl_job *job = NULL;
    cpl_error failure = {0};
    cpl_status status = cpl_offer_fetch(t, one, &job, &failure);
    if (status == CPL_OK) {
        if (one->state == CPL_ENTRY_RUNNING) cpl_recovery_clear(t, job);
        line_up(t->worker, one, job);
        return true;
    }
    if (t->err && strcmp(failure.code, "JobNotFoundException") != 0) *t->err = failure;
    if (!is_over(one, status, &failure)) return false;
    if (one->state != 0) {
        cpl_entry entry = {.id = one->id, .nonce = one->nonce, .state = CPL_ENTRY_DROPPED};
        (void)cpl_journal_mark(t->worker->desk->journal, &entry, cpl_clock_wall_ms(), NULL);
    }
    return true;
}

/* The link to the one that is due first. */
static cpl_offer **first_due(cpl_worker *worker) {
    cpl_offer **first = &worker->offers;
    for (cpl_offer **at = first; *at; at = &(*at)->next) {
        if ((*at)->next_ms < (*first)->next_ms) first = at;
    }
    return first;
}

bool cpl_offers_step(cpl_turn *t, int64_t *next_ms) {
    cpl_offer **link = first_due(t->worker), *one = *link;
    int64_t now_ms = cpl_clock_monotonic_ms();
    if (one == NULL) return false;
    if (now_ms < one->next_ms) {
        if (one->next_ms < *next_ms) *next_ms = one->next_ms;
        return false;
    }
    *next_ms = now_ms;
    if (settle(t, one)) {
        *link = one->next;
        free_one(one);
    } else {
        one->next_ms = now_ms + PAUSE_MS;
    }
    return true;
}
