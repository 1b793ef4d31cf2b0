/* SPDX-License-Identifier: MIT */
/*
 * One thread asks for the next job; everything happens in there. In line before a job is handed out: results that are
 * owed, continuations kept back until they are due, jobs polled and not yet acknowledged, and then a poll for as many
 * as there are free slots. A job is acknowledged at the last moment: what was only polled, the service gives to
 * somebody else in time. With a pool of threads (handover.c) the one that takes it does so. The journal knows of a job
 * before the service hears that we take it, and of its start before it starts; recovery.c takes up what an earlier
 * worker left there.
 */
#include "worker.h"

#include "clock.h"
#include "continuation.h"
#include "err.h"

#define INTERVAL_MS 1000
#define SLICE_MS 50   /* how soon stop and tick are heard */
#define KEPT_MAX 1000 /* continuations kept back; more are left to the service */
#define JOURNAL_PAUSE_MS 2000
#define ACK_TIMEOUT_MS 10000
#define DOUBT_MIN_MS 1000 /* before a job in doubt is asked for again; doubles each time, */
#define DOUBT_MAX_MS 60000
#define DOUBTFUL_MAX 10 /* with so many in doubt no others are taken */
#define RESULT_TIMEOUT_MS 10000
#define READY_MAX_AGE_MS 300000  /* a job nobody acknowledged by then was given to somebody else */
#define FAREWELL_TIMEOUT_MS 5000 /* for each result still owed when the worker stops */

typedef cpl_turn turn;

static int tick_or_stop(void *context) {
    const turn *t = context;
    if (cpl_worker_stopping(t->worker)) return 1;
    return t->wait && t->wait->tick ? t->wait->tick(t->wait->context) : 0;
}

/* The caller's own wait, which does not hear of stop, with another limit. */
static cpl_wait as_asked(const turn *t, int64_t timeout_ms) {
    cpl_wait wait = t->wait ? *t->wait : (cpl_wait){0};
    wait.timeout_ms = timeout_ms;
    return wait;
}

cpl_wait cpl_turn_wait(const turn *t, int64_t at_least_ms) {
    cpl_wait wait;
    if (cpl_pace_rest(&t->pace, &wait, NULL) != CPL_OK || (wait.timeout_ms > 0 && wait.timeout_ms < at_least_ms)) {
        wait.timeout_ms = at_least_ms;
    }
    return wait;
}

/* ---- making ---- */

cpl_status cpl_worker_new(cpl_worker **out, cpl_client *client, const cpl_worker_options *options, cpl_error *err) {
    static const cpl_worker_options defaults;
    cpl_worker *worker;
    cpl_status status;
    if (options == NULL) options = &defaults;
    if (options->concurrency < 0) {
        return cpl_fail_at(err, CPL_INVALID, "concurrency", "concurrency: %d is less than 1", options->concurrency);
    }
    if (options->poll_interval_ms < 0) {
        return cpl_fail_at(err, CPL_INVALID, "poll_interval_ms", "poll_interval_ms: %lld is less than 0",
                           (long long)options->poll_interval_ms);
    }
    worker = cpl_calloc(1, sizeof *worker);
    if (worker == NULL) return cpl_fail_nomem(err);
    atomic_init(&worker->stopping, false);
    worker->concurrency = options->concurrency ? options->concurrency : 1;
    worker->interval_ms = options->poll_interval_ms ? options->poll_interval_ms : INTERVAL_MS;
    status = cpl_handover_init(&worker->handover, err);
    if (status == CPL_OK) status = cpl_desk_new(&worker->desk, client, options, err);
    if (status == CPL_OK) status = cpl_desk_open_journal(worker->desk, options->journal, err);
    if (status == CPL_OK) {
        *out = worker;
    } else {
        cpl_worker_free(worker);
    }
    return status;
}

static void free_jobs(cpl_job *first) {
    while (first) {
        cpl_job *next = first->next;
        cpl_job_free(first);
        first = next;
    }
}

void cpl_worker_free(cpl_worker *worker) {
    if (worker == NULL) return;
    free_jobs(worker->ready);
    free_jobs(worker->kept);
    free_jobs(worker->handover.first);
    free_jobs(worker->handover.returned);
    cpl_handover_release(&worker->handover);
    cpl_taken_release(&worker->taken);
    cpl_offers_free(worker->offers);
    cpl_polling_free(worker);
    cpl_desk_drop(worker->desk);
    cpl_free(worker);
}

void cpl_worker_stop(cpl_worker *worker) {
    long long never = 0;
    (void)atomic_compare_exchange_strong(&worker->desk->stop_ms, &never, cpl_clock_monotonic_ms());
    atomic_store(&worker->stopping, true);
}

void cpl_worker_cancel(cpl_worker *worker) {
    cpl_worker_stop(worker);
    atomic_store(&worker->desk->cancelled, true);
}

bool cpl_worker_cancelled(const cpl_worker *worker) {
    return cpl_desk_cancelled(worker->desk);
}

const char *cpl_worker_warning(const cpl_worker *worker) {
    return cpl_journal_warning(worker->desk->journal);
}

bool cpl_worker_stopping(const cpl_worker *worker) {
    return atomic_load(&worker->stopping);
}

int cpl_worker_running(const cpl_worker *worker) {
    return atomic_load(&worker->desk->running);
}

cpl_tally cpl_worker_tally(const cpl_worker *worker) {
    cpl_tally tally = cpl_desk_tally(worker->desk);
    tally.unreported += (int)worker->kept_count;
    for (const cpl_job *job = worker->ready; job; job = job->next) tally.unreported += job->doubtful;
    for (const cpl_offer *one = worker->offers; one; one = one->next) tally.unreported += one->state != 0;
    return tally;
}

cpl_status cpl_worker_add(cpl_worker *worker, const cpl_action_type *type, int *index, cpl_error *err) {
    return cpl_polling_add(worker, type, index, err);
}

const char *cpl_worker_token_wanted(const cpl_worker *worker) {
    return cpl_customers_wanted(worker->desk->customers, true);
}

cpl_status cpl_worker_give_token(cpl_worker *worker, cpl_str client_id, cpl_str token, cpl_error *err) {
    cpl_status status = cpl_customers_give(worker->desk->customers, client_id, token, err);
    if (status != CPL_OK) return status;
    for (cpl_offer *one = worker->offers; one; one = one->next) one->next_ms = 0;
    worker->quiet_ms = 0;
    return CPL_OK;
}

/* ---- lists of jobs ---- */

static void append(cpl_job **list, cpl_job *job) {
    while (*list) list = &(*list)->next;
    job->next = NULL;
    *list = job;
}

static cpl_job *pop(cpl_job **list) {
    cpl_job *job = *list;
    if (job) *list = job->next;
    if (job) job->next = NULL;
    return job;
}

/* Offers of a poll, which will want slots. */
static int waiting_offers(const cpl_worker *worker) {
    int n = 0;
    for (const cpl_offer *one = worker->offers; one; one = one->next) n += one->state == 0;
    return n;
}

static int free_slots(const cpl_worker *worker) {
    return worker->concurrency - cpl_worker_running(worker);
}

/* The first kept-back job that is due; else *next_ms is lowered to when one will be. */
static cpl_job *take_due(cpl_worker *worker, int64_t now_ms, int64_t *next_ms) {
    int64_t wall_ms = cpl_desk_now_ms(worker->desk);
    for (cpl_job **at = &worker->kept; *at; at = &(*at)->next) {
        int64_t left_ms = (*at)->not_before_s * 1000 - wall_ms;
        if (left_ms <= 0) {
            worker->kept_count--;
            return pop(at);
        }
        if (now_ms + left_ms < *next_ms) *next_ms = now_ms + left_ms;
    }
    return NULL;
}

/* ---- results that are owed ---- */

/* A result that the service will not have, whoever has the job: the job fails instead, so that it does end. */
static bool fail_instead(cpl_desk *desk, const cpl_owed *refused, const cpl_error *why) {
    char message[1400];
    cpl_owed *owed;
    cpl_verdict verdict;
    if (refused->job_id == NULL || !cpl_owed_verdict(refused->operation, &verdict) || verdict == CPL_VERDICT_FAILURE) {
        return false;
    }
    snprintf(message, sizeof message, "the result was refused: %s %s", why->code, why->message);
    owed = cpl_owed_failure(&refused->origin, refused->job_id, message);
    if (owed && cpl_owed_sign(owed, refused->job_id, refused->nonce, refused->deadline_ms)) {
        cpl_desk_owe(desk, owed);
        return true;
    }
    cpl_owed_free(owed);
    return false;
}

/* True when nothing is left to do about it; it is freed then. */
static bool is_settled(turn *t, cpl_owed *owed, cpl_status status, const cpl_error *failure) {
    cpl_desk *desk = t->worker->desk;
    bool late = owed->deadline_ms && cpl_clock_monotonic_ms() > owed->deadline_ms;
    if (status != CPL_OK && status != CPL_STATE && t->err) *t->err = *failure;
    if (status != CPL_OK && !late && !cpl_owed_refused(status, failure)) return false;
    if (status != CPL_OK && status != CPL_STATE && (late || !fail_instead(desk, owed, failure))) {
        cpl_desk_forget(desk, owed);
        cpl_desk_abandon(desk);
    }
    cpl_owed_free(owed);
    return true;
}

/* It waits for its customer's token, and the others need not wait for that. */
static bool lacks_token(const cpl_worker *worker, const cpl_owed *owed) {
    return owed->origin.customer && !cpl_customers_has(worker->desk->customers, owed->origin.customer);
}

/*
 * Sends what is owed; what does not get through goes back in line, for later. One that fails as all the others
 * would holds them up: a service in trouble is asked with one result at a time.
 */
static void send_owed(turn *t, const cpl_wait *wait, int64_t *next_ms) {
    cpl_worker *worker = t->worker;
    cpl_owed *owed, *left = NULL;
    bool open = true;
    if (cpl_clock_monotonic_ms() < worker->quiet_ms) {
        if (worker->quiet_ms < *next_ms) *next_ms = worker->quiet_ms;
        return;
    }
    while (open && (owed = cpl_desk_take_owed(worker->desk)) != NULL) {
        cpl_error failure;
        cpl_status status;
        cpl_recovery_look_back(t, owed);
        status = cpl_desk_send(worker->desk, owed, wait, &failure);
        if (status == CPL_OK) (void)cpl_leftover_remove(owed->leftover, t->err);
        if (is_settled(t, owed, status, &failure)) {
            worker->troubles = 0;
            continue;
        }
        open = lacks_token(worker, owed);
        owed->next = left;
        left = owed;
    }
    if (left == NULL) return;
    worker->quiet_ms = cpl_clock_monotonic_ms() + cpl_owed_delay_ms(++worker->troubles);
    if (worker->quiet_ms < *next_ms) *next_ms = worker->quiet_ms;
    while ((owed = left) != NULL) {
        left = owed->next;
        cpl_desk_owe(worker->desk, owed);
    }
}

/* A job that is ours and was not begun goes back to the service, which makes a new job of it under the same token. */
static void hand_back(const cpl_worker *worker, cpl_job *job) {
    const char *token = cpl_job_text(job, CPL_JOB_CONTINUATION_TOKEN);
    const char *id = cpl_job_text(job, CPL_JOB_ID);
    cpl_desk_owe(worker->desk,
                 cpl_job_sign(job, cpl_owed_continuation(&job->origin, id, token ? token : CPL_CONTINUATION_AFRESH)));
    cpl_job_free(job);
}

/* ---- acknowledging ---- */

/* An answer that leaves the state out, an empty one say, tells nothing: the job may well be ours. */
static cpl_status read_state(const cpl_json *document, bool *ours, cpl_error *err) {
    cpl_str state = cpl_json_get_str(document, "status");
    if (state.n == 0)
        return cpl_fail(err, CPL_PROTOCOL, "the answer to an acknowledgement does not tell the job's state");
    *ours = cpl_str_is(state, "InProgress");
    return CPL_OK;
}

/* An earlier attempt may have made the job ours, and this refusal is not about the job: who asks again will hear. */
static bool is_left_open(const cpl_job *job, const cpl_error *refusal) {
    bool asked_before = job->doubtful || refusal->attempts > 1;
    return asked_before && (cpl_owed_forbidden(CPL_SERVICE, refusal) || cpl_desk_foreign(CPL_SERVICE, refusal));
}

/* CPL_OK and *ours: it may be handed out. CPL_OK and not: somebody else has it, or it is over. Else: not known yet. */
static cpl_status acknowledge(turn *t, const cpl_job *job, int64_t timeout_ms, bool *ours) {
    const char *operation = job->origin.customer ? "AcknowledgeThirdPartyJob" : "AcknowledgeJob";
    cpl_wait wait = as_asked(t, timeout_ms); /* not t->own: to stop is no reason to leave open whose job it is */
    cpl_reply *reply = NULL;
    cpl_json *document = NULL;
    cpl_error failure;
    cpl_buf params;
    cpl_status status;
    *ours = false;
    cpl_buf_init(&params, 8192);
    cpl_buf_adds(&params, "{\"jobId\":");
    cpl_json_quote(&params, cpl_str_of(cpl_job_text(job, CPL_JOB_ID)));
    cpl_buf_adds(&params, ",\"nonce\":");
    cpl_json_quote(&params, cpl_str_of(cpl_job_text(job, CPL_JOB_NONCE)));
    cpl_buf_addc(&params, '}');
    status = cpl_buf_status(&params, "the job's id", &failure);
    if (status == CPL_OK) {
        cpl_desk_question question = {&job->origin, operation, cpl_buf_str(&params)};
        status = cpl_desk_call(t->worker->desk, &question, &wait, &reply, &failure);
    }
    if (status == CPL_OK) status = cpl_json_parse(cpl_reply_text(reply), &document, &failure);
    if (status == CPL_OK) status = read_state(document, ours, &failure);
    if (status == CPL_SERVICE && !failure.retryable && !is_left_open(job, &failure)) {
        bool taken =
            strcmp(failure.code, "InvalidNonceException") == 0 || strcmp(failure.code, "JobNotFoundException") == 0;
        if (!taken && t->err) *t->err = failure;
        status = CPL_OK; /* whatever the reason: this job is not to be had */
    }
    if (status != CPL_OK && t->err) *t->err = failure;
    if (status == CPL_CREDENTIALS && job->origin.customer && !job->doubtful) status = CPL_OK; /* no token any more */
    cpl_json_free(document);
    cpl_reply_free(reply);
    cpl_buf_release(&params);
    return status;
}

/* What could not be written now is tried again after a pause. */
static void pause_for_journal(turn *t, const cpl_error *failure) {
    t->worker->pause_ms = cpl_clock_monotonic_ms() + JOURNAL_PAUSE_MS;
    if (t->err) *t->err = *failure;
}

/*
 * The journal hears of the job before the service does. CPL_OK and not *fresh: it was taken before, and this is an old
 * delivery of it.
 */
static cpl_status enter(turn *t, cpl_job *job, bool *fresh) {
    cpl_error failure;
    cpl_entry entry = {.id = cpl_job_text(job, CPL_JOB_ID),
                       .nonce = cpl_job_text(job, CPL_JOB_NONCE),
                       .taken_ms = cpl_clock_wall_ms()};
    cpl_status status;
    *fresh = true;
    if (job->entered) return CPL_OK;
    entry.type = t->worker->queues[job->action_type].poll_head;
    entry.region = job->origin.client->region;
    entry.client = job->origin.customer;
    if (t->worker->desk->journal) {
        status = cpl_journal_take(t->worker->desk->journal, &entry, fresh, &failure);
    } else {
        status = cpl_taken_add(&t->worker->taken, entry.id, entry.nonce, fresh, &failure);
    }
    job->entered = status == CPL_OK;
    if (status != CPL_OK) pause_for_journal(t, &failure);
    return status;
}

/* Ours, and to be handed out when it is due; or nobody's here any more, and it goes back. */
static void keep(cpl_worker *worker, cpl_job *job) {
    if (job->action_type < 0) {
        hand_back(worker, job);
        return;
    }
    append(&worker->kept, job);
    worker->kept_count++;
}

/*
 * Whether it is ours is not known yet. It is asked for again now and then, which nothing else waits for: if we have it,
 * nobody else does, and if not, the service offers it to somebody in time.
 */
static void set_aside(cpl_worker *worker, cpl_job *job) {
    int64_t pause_ms = DOUBT_MIN_MS << (job->asked < 6 ? job->asked : 6);
    if (pause_ms > DOUBT_MAX_MS) pause_ms = DOUBT_MAX_MS;
    job->doubtful = true;
    job->asked++;
    job->ask_ms = cpl_clock_monotonic_ms() + cpl_with_jitter(pause_ms);
    append(&worker->ready, job);
}

/* Those nobody has asked for yet come before those in doubt. NULL: *next_ms is lowered to when there will be one. */
static cpl_job *first_ready(cpl_worker *worker, int64_t now_ms, int64_t *next_ms) {
    cpl_job **first = &worker->ready;
    for (cpl_job **at = first; *at; at = &(*at)->next) {
        if ((*at)->ask_ms < (*first)->ask_ms) first = at;
    }
    if (*first == NULL || (*first)->ask_ms <= now_ms) return pop(first);
    if ((*first)->ask_ms < *next_ms) *next_ms = (*first)->ask_ms;
    return NULL;
}

/* A job leaves for its handler only when the journal says so: it must not be started a second time. */
static bool begin(turn *t, cpl_job *job) {
    cpl_error failure;
    if (cpl_job_mark(job, CPL_ENTRY_RUNNING, &failure) == CPL_OK) {
        job->claim = CPL_CLAIM_BEGUN;
        return true;
    }
    if (t->err) *t->err = failure;
    return false;
}

cpl_claim cpl_worker_claim(turn *t, cpl_job *job) {
    bool ours = false;
    if (acknowledge(t, job, ACK_TIMEOUT_MS, &ours) != CPL_OK) return job->claim = CPL_CLAIM_OPEN;
    job->claim = ours ? CPL_CLAIM_KEPT : CPL_CLAIM_NONE;
    if (!ours) {
        (void)cpl_job_mark(job, CPL_ENTRY_DROPPED, NULL); /* else the next start asks, and hears the same */
    } else if (job->not_before_s * 1000 > cpl_desk_now_ms(job->desk) || job->action_type < 0) {
        (void)cpl_job_mark(job, CPL_ENTRY_ACKNOWLEDGED, NULL); /* likewise */
    } else {
        (void)begin(t, job);
    }
    return job->claim;
}

/* It was asked for, and is not begun. */
static void put_away(cpl_worker *worker, cpl_job *job) {
    switch (job->claim) {
    case CPL_CLAIM_OPEN: set_aside(worker, job); break;
    case CPL_CLAIM_KEPT: keep(worker, job); break;
    default: cpl_job_free(job); break;
    }
}

/* False, and it is freed or back in line: it is not to be had, or the journal could not be written. */
static bool is_entered(turn *t, cpl_job *job) {
    cpl_worker *worker = t->worker;
    bool due = job->not_before_s * 1000 <= cpl_desk_now_ms(worker->desk), fresh = true;
    bool stale = cpl_clock_monotonic_ms() - job->taken_ms > READY_MAX_AGE_MS;
    if (!job->entered && (stale || (!due && worker->kept_count >= KEPT_MAX))) {
        fresh = false;
    } else if (enter(t, job, &fresh) != CPL_OK) {
        job->next = worker->ready;
        worker->ready = job;
        return false;
    }
    if (!fresh) cpl_job_free(job);
    return fresh;
}

/* What other threads have asked for meanwhile, and what came in between. */
static void collect(turn *t) {
    cpl_error trouble = {0};
    cpl_job *list = cpl_handover_returned(&t->worker->handover, &trouble), *job;
    while ((job = pop(&list)) != NULL) put_away(t->worker, job);
    if (trouble.status && t->err) *t->err = trouble;
}

/* ---- no more jobs ---- */

/* What is ours goes back, what is not stays with the service, and what is owed gets one more try. */
static void say_farewell(turn *t) {
    cpl_worker *worker = t->worker;
    cpl_wait brief = as_asked(t, FAREWELL_TIMEOUT_MS);
    int64_t next_ms = INT64_MAX;
    cpl_job *job, *polled;
    collect(t);
    polled = worker->ready;
    worker->ready = NULL;
    while ((job = pop(&worker->kept)) != NULL) hand_back(worker, job);
    worker->kept_count = 0;
    while ((job = pop(&polled)) != NULL) {
        bool ours = false;
        if (job->doubtful && acknowledge(t, job, FAREWELL_TIMEOUT_MS, &ours) != CPL_OK) {
            set_aside(worker, job);
        } else if (ours) {
            hand_back(worker, job);
        } else {
            cpl_job_free(job);
        }
    }
    worker->quiet_ms = 0;
    send_owed(t, &brief, &next_ms);
}

/* ---- the next job ---- */

/* It was kept, and is due. */
static cpl_job *begin_kept(turn *t, cpl_job *job) {
    if (begin(t, job)) return job;
    keep(t->worker, job);
    t->worker->pause_ms = cpl_clock_monotonic_ms() + JOURNAL_PAUSE_MS;
    return NULL;
}

static cpl_job *claim_ready(turn *t, cpl_job *job) {
    if (!is_entered(t, job)) return NULL;
    job->claim = CPL_CLAIM_OPEN;
    if (t->unclaimed || cpl_worker_claim(t, job) == CPL_CLAIM_BEGUN) return job;
    put_away(t->worker, job);
    return NULL;
}

/* Takes a job that can be handed out; *next_ms is lowered to when there may be one. */
static void take_one(turn *t, cpl_job **out, int64_t now_ms, int64_t *next_ms) {
    cpl_worker *worker = t->worker;
    cpl_job *job;
    if (now_ms < worker->pause_ms) {
        if (worker->pause_ms < *next_ms) *next_ms = worker->pause_ms;
        return;
    }
    if ((job = take_due(worker, now_ms, next_ms)) != NULL) {
        *out = begin_kept(t, job);
    } else if ((job = first_ready(worker, now_ms, next_ms)) != NULL) {
        *out = claim_ready(t, job);
        *next_ms = now_ms; /* there may be another */
    }
}

/* Jobs in doubt, as long as they are few, do not keep others from being asked for. */
static bool may_poll(const cpl_worker *worker) {
    int doubtful = 0;
    for (const cpl_job *job = worker->ready; job; job = job->next) {
        if (job->asked == 0) return false;
        doubtful++;
    }
    return doubtful < DOUBTFUL_MAX;
}

/* Does one thing that can be done now; *next_ms tells when there will be another, in the past when at once. */
static cpl_status step(turn *t, cpl_job **out, int64_t *next_ms) {
    cpl_worker *worker = t->worker;
    cpl_wait owed_wait = cpl_turn_wait(t, RESULT_TIMEOUT_MS);
    int64_t now_ms;
    int slots;
    bool asked;
    collect(t);
    send_owed(t, &owed_wait, next_ms);
    asked = cpl_offers_step(t, next_ms);
    slots = free_slots(worker);
    now_ms = cpl_clock_monotonic_ms();
    if (slots <= 0) return CPL_OK;
    take_one(t, out, now_ms, next_ms);
    slots -= waiting_offers(worker);
    if (*out || asked || !may_poll(worker) || slots <= 0 || now_ms < worker->pause_ms) return CPL_OK;
    return cpl_polling_step(t, slots, next_ms);
}

/* One slice of sleep, or less when a slot becomes free, something is owed, or next_ms comes. */
static cpl_status rest(turn *t, int64_t next_ms) {
    int64_t now_ms = cpl_clock_monotonic_ms(), end_ms = now_ms + SLICE_MS;
    cpl_status status;
    if (next_ms < end_ms) end_ms = next_ms;
    if (t->pace.end_ms && t->pace.end_ms < end_ms) end_ms = t->pace.end_ms;
    status = cpl_pace_check(&t->pace, NULL);
    if (status == CPL_OK && end_ms > now_ms) cpl_desk_sleep(t->worker->desk, end_ms - now_ms);
    return status;
}

cpl_status cpl_worker_rest(cpl_worker *worker, const cpl_wait *wait, cpl_error *err) {
    int64_t longest_ms = wait && wait->timeout_ms > 0 && wait->timeout_ms < SLICE_MS ? wait->timeout_ms : SLICE_MS;
    cpl_backlog_tell(worker->desk->backlog, wait);
    cpl_desk_sleep(worker->desk, longest_ms);
    if (wait && wait->tick && wait->tick(wait->context) != 0) return cpl_fail(err, CPL_CANCELLED, "cancelled");
    return CPL_OK;
}

static cpl_status begin_turn(turn *t, cpl_worker *worker, const cpl_wait *wait, cpl_error *err) {
    *t = (turn){.worker = worker, .wait = wait, .err = err};
    cpl_error_clear(err);
    if (wait) t->own = *wait;
    t->own.tick = tick_or_stop;
    t->own.context = t;
    cpl_pace_init(&t->pace, &t->own);
    cpl_customers_lapse(worker->desk->customers);
    return worker->recovered ? CPL_OK : cpl_recovery_load(worker, err);
}

cpl_status cpl_worker_farewell(cpl_worker *worker, const cpl_wait *wait, cpl_error *err) {
    turn t;
    cpl_status status = begin_turn(&t, worker, wait, err);
    say_farewell(&t);
    cpl_backlog_tell(worker->desk->backlog, wait);
    return status;
}

cpl_status cpl_worker_next(cpl_worker *worker, const cpl_wait *wait, cpl_job **out, cpl_error *err) {
    return cpl_worker_turn(worker, false, wait, out, err);
}

/* It has a slot from now on. */
static void hand_out(cpl_job *job) {
    if (job->claim == CPL_CLAIM_BEGUN) {
        cpl_job_hand_out(job);
    } else {
        atomic_fetch_add(&job->desk->running, 1);
    }
}

cpl_status cpl_worker_turn(cpl_worker *worker, bool unclaimed, const cpl_wait *wait, cpl_job **out, cpl_error *err) {
    turn t;
    cpl_status status = begin_turn(&t, worker, wait, err);
    t.unclaimed = unclaimed;
    *out = NULL;
    while (status == CPL_OK && *out == NULL && !cpl_worker_stopping(worker)) {
        int64_t next_ms = INT64_MAX;
        cpl_backlog_tell(worker->desk->backlog, wait);
        status = step(&t, out, &next_ms);
        if (cpl_customers_wanted(worker->desk->customers, false) || cpl_desk_has_work_over(worker->desk)) break;
        if (status == CPL_OK && *out == NULL) status = rest(&t, next_ms);
    }
    if (*out) {
        hand_out(*out);
        return CPL_OK;
    }
    if (cpl_worker_stopping(worker)) {
        say_farewell(&t);
        cpl_backlog_tell(worker->desk->backlog, wait);
        return CPL_OK;
    }
    if (status == CPL_TIMEOUT) return CPL_OK;
    if (status == CPL_CANCELLED) return cpl_fail(err, status, "cancelled");
    return status;
}
