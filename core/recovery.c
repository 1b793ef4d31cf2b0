/* SPDX-License-Identifier: MIT */
/*
 * What an earlier worker left in the journal. A result goes in line. A job whose handler had started is reported
 * failed, unless it may be repeated. The rest was never begun: an offer (offers.c), which then goes the way of a job
 * just polled, or just acknowledged.
 */
#include "artifact.h"
#include "clock.h"
#include "err.h"
#include "worker.h"

#define STARTS_MAX 3 /* of an idempotent job: one that kills its worker must not do so for ever */
#define DEADLINE_MS (24 * 3600 * INT64_C(1000))
#define DEADLINE_MIN_MS (3600 * INT64_C(1000)) /* a clock that was ahead is set right by then, and nothing is dropped */
#define TAKE_BACK_MS 5000
#define DIED "the worker stopped while the job ran"

/* -1: the worker has no handler for it any more. */
static int find_type(const cpl_worker *worker, const cpl_entry *entry, const cpl_origin *origin) {
    for (size_t i = 0; i < worker->queue_count; i++) {
        bool here = worker->queues[i].client == origin->client;
        if (here && strcmp(worker->queues[i].poll_head, entry->type) == 0) return (int)i;
    }
    return -1;
}

/* Also when this worker polls no such region and serves no such customer: the job still waits for its answer. */
static cpl_status find_origin(cpl_worker *worker, const cpl_entry *entry, cpl_origin *origin, cpl_error *err) {
    cpl_status status = CPL_OK;
    *origin = (cpl_origin){.client = worker->desk->client};
    if (entry->region) status = cpl_desk_client_in(worker->desk, cpl_str_of(entry->region), &origin->client, err);
    if (status != CPL_OK || entry->client == NULL) return status;
    origin->customer = cpl_customers_named(worker->desk->customers, cpl_str_of(entry->client));
    return origin->customer ? CPL_OK : cpl_fail_nomem(err);
}

static int64_t deadline_of(const cpl_entry *entry) {
    int64_t left_ms = DEADLINE_MS - (cpl_clock_wall_ms() - entry->taken_ms);
    if (left_ms > DEADLINE_MS) left_ms = DEADLINE_MS;
    if (left_ms < DEADLINE_MIN_MS) left_ms = DEADLINE_MIN_MS;
    return cpl_clock_monotonic_ms() + left_ms;
}

/* Any of these may have reached the service before. */
static cpl_status add_owed(cpl_worker *worker, const cpl_entry *entry, const cpl_origin *origin, cpl_error *err) {
    cpl_verdict verdict;
    bool made = entry->state == CPL_ENTRY_OWED && cpl_owed_verdict(entry->operation, &verdict);
    cpl_owed *owed =
        made ? cpl_owed_new(origin, verdict, cpl_str_of(entry->result)) : cpl_owed_failure(origin, entry->id, DIED);
    if (owed == NULL || !cpl_owed_sign(owed, entry->id, entry->nonce, deadline_of(entry))) {
        cpl_owed_free(owed);
        return cpl_fail_nomem(err);
    }
    owed->ambiguous = made;
    owed->inherited = !made || verdict == CPL_VERDICT_FAILURE;
    owed->recorded = true; /* as it is, or as running, which comes to the same; and the journal is being read */
    cpl_desk_owe(worker->desk, owed);
    return CPL_OK;
}

static cpl_status visit(void *context, const cpl_entry *entry, cpl_error *err) {
    cpl_worker *worker = context;
    cpl_offer offer = {.id = (char *)entry->id, .nonce = (char *)entry->nonce, .state = entry->state};
    bool repeat;
    cpl_status status = find_origin(worker, entry, &offer.origin, err);
    if (status != CPL_OK) return status;
    offer.action_type = find_type(worker, entry, &offer.origin);
    repeat = offer.action_type >= 0 && worker->queues[offer.action_type].idempotent && entry->starts < STARTS_MAX;
    if (entry->state == CPL_ENTRY_OWED || (entry->state == CPL_ENTRY_RUNNING && !repeat)) {
        return add_owed(worker, entry, &offer.origin, err);
    }
    return cpl_offer_add(worker, &offer, err);
}

static void take_back(const cpl_turn *t, const cpl_job *job, const cpl_artifact *where, cpl_str upload) {
    const cpl_wait brief = {.timeout_ms = TAKE_BACK_MS, .tick = t->own.tick, .context = t->own.context};
    const cpl_credentials who = cpl_job_credentials(job);
    const cpl_s3 s3 = cpl_s3_of_client(job->origin.client);
    const cpl_s3_target target = {
        .who = &who, .bucket = cpl_str_of(where->bucket), .key = cpl_str_of(where->key), .wait = &brief};
    (void)cpl_s3_abort(&s3, &target, upload, NULL);
}

static void clear_one(const cpl_turn *t, cpl_job *job, cpl_str artifact, cpl_str upload) {
    for (size_t i = 0; i < job->outputs.count; i++) {
        const cpl_artifact *output = &job->outputs.items[i];
        if (output->bucket == NULL || !cpl_str_is(artifact, output->name)) continue;
        if (upload.n > 0) {
            take_back(t, job, output, upload);
        } else if (job->stored.bucket == NULL) {
            job->stored = (cpl_artifact){.bucket = output->bucket, .key = output->key};
        }
    }
}

void cpl_recovery_clear(const cpl_turn *t, cpl_job *job) {
    const cpl_remains of = {.id = cpl_job_text(job, CPL_JOB_ID), .nonce = cpl_job_text(job, CPL_JOB_NONCE)};
    cpl_buf artifact, upload;
    cpl_buf_init(&artifact, 4096);
    cpl_buf_init(&upload, 4096);
    for (int i = 0; cpl_journal_remains(job->desk->journal, &of, i, &artifact, &upload, NULL) == CPL_OK; i++) {
        if (artifact.n == 0) break;
        clear_one(t, job, cpl_buf_str(&artifact), cpl_buf_str(&upload));
        cpl_buf_clear(&artifact);
        cpl_buf_clear(&upload);
    }
    cpl_buf_release(&artifact);
    cpl_buf_release(&upload);
}

/*
 * With a failure the action ends, and a large state of it should too. Where that lies, and with which keys, stands in
 * no journal, but the service still tells. Without an answer the failure goes all the same: it matters more.
 */
void cpl_recovery_look_back(const cpl_turn *t, cpl_owed *owed) {
    const cpl_offer offer = {.origin = owed->origin, .id = owed->job_id, .nonce = owed->nonce};
    cpl_job *job = NULL;
    cpl_error failure = {0};
    cpl_status status;
    if (!owed->inherited) return;
    status = cpl_offer_fetch(t, &offer, &job, &failure);
    if (status == CPL_OK) cpl_recovery_clear(t, job);
    if (status == CPL_OK) cpl_job_sweep(job, owed, false, NULL);
    owed->inherited = status != CPL_OK && cpl_desk_passes(status, &failure);
    cpl_job_free(job);
}

cpl_status cpl_recovery_load(cpl_worker *worker, cpl_error *err) {
    cpl_status status = cpl_journal_each(worker->desk->journal, visit, worker, err);
    worker->recovered = status == CPL_OK;
    if (status != CPL_OK) { /* the next turn reads all of it again */
        cpl_owed *owed;
        while ((owed = cpl_desk_take_owed(worker->desk)) != NULL) cpl_owed_free(owed);
        cpl_offers_free(worker->offers);
        worker->offers = NULL;
    }
    return status;
}
