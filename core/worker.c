/* SPDX-License-Identifier: MIT */
/*
 * One thread asks for the next job; everything happens in there. In line before a job is handed out: results that are
 * owed, continuations kept back until they are due, jobs polled and not yet acknowledged, and then a poll for as many
 * as there are free slots. A job is acknowledged at the last moment: what was only polled, the service gives to
 * somebody else in time.
 */
#include "clock.h"
#include "continuation.h"
#include "err.h"
#include "job.h"
#include "pace.h"

#define INTERVAL_MS 1000
#define INTERVAL_GROWTH 10   /* an idle queue is asked at least every ten intervals */
#define SLICE_MS 50          /* how soon stop and tick are heard */
#define KEPT_MAX 1000        /* continuations kept back; more are left to the service */
#define ACK_PAUSE_MS 1000    /* before it is tried again */
#define ACK_TIMEOUT_MS 30000 /* an acknowledgement must not be given up lightly, nor hold everything up */
#define POLL_TIMEOUT_MS 10000
#define RESULT_TIMEOUT_MS 10000
#define READY_MAX_AGE_MS 300000  /* a job nobody acknowledged by then was given to somebody else */
#define FAREWELL_TIMEOUT_MS 5000 /* for each result still owed when the worker stops */

typedef struct queue { /* one action type */
    char *poll_head;   /* the parameters of PollForJobs, up to the batch size */
    char *name;        /* "Build/Provider/1", for messages and to find repeated ones */
    int64_t next_ms;   /* when to poll, monotonic */
    int64_t delay_ms;
} queue;

struct cpl_worker {
    cpl_desk *desk;
    int concurrency;
    int64_t interval_ms;
    atomic_bool stopping;
    queue *queues;
    size_t queue_count;
    cpl_job *ready;   /* polled, oldest first */
    int64_t ready_ms; /* not before this is the first of them acknowledged, monotonic */
    cpl_job *kept;    /* acknowledged, not yet due */
    size_t kept_count;
};

/* One cpl_worker_next(). */
typedef struct turn {
    cpl_worker *worker;
    const cpl_wait *wait;
    cpl_wait own; /* its tick also hears of stop */
    cpl_pace pace;
    cpl_error *err; /* what happened last */
} turn;

static int tick_or_stop(void *context) {
    const turn *t = context;
    if (cpl_worker_stopping(t->worker)) return 1;
    return t->wait && t->wait->tick ? t->wait->tick(t->wait->context) : 0;
}

/*
 * The turn's tick, and at least at_least_ms even when the turn ends sooner: an answer thrown away may have had jobs in
 * it.
 */
static cpl_wait with_time(const turn *t, int64_t at_least_ms) {
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
    status = cpl_desk_new(&worker->desk, client, options, err);
    if (status == CPL_OK) {
        *out = worker;
    } else {
        cpl_free(worker);
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
    for (size_t i = 0; i < worker->queue_count; i++) {
        cpl_free(worker->queues[i].poll_head);
        cpl_free(worker->queues[i].name);
    }
    cpl_free(worker->queues);
    cpl_desk_drop(worker->desk);
    cpl_free(worker);
}

void cpl_worker_stop(cpl_worker *worker) {
    atomic_store(&worker->stopping, true);
}

bool cpl_worker_stopping(const cpl_worker *worker) {
    return atomic_load(&worker->stopping);
}

int cpl_worker_running(const cpl_worker *worker) {
    return atomic_load(&worker->desk->running);
}

/* ---- action types ---- */

static void write_pair(cpl_buf *out, const char *key, cpl_str value) {
    cpl_buf_addf(out, "\"%s\":", key);
    cpl_json_quote(out, value);
}

/* {"actionTypeId":{...},"queryParam":{...},"maxBatchSize": */
static void write_poll_head(cpl_buf *out, const cpl_action_type *type) {
    cpl_buf_adds(out, "{\"actionTypeId\":{\"owner\":\"Custom\",");
    write_pair(out, "category", type->category);
    cpl_buf_addc(out, ',');
    write_pair(out, "provider", type->provider);
    cpl_buf_addc(out, ',');
    write_pair(out, "version", type->version);
    cpl_buf_adds(out, "},");
    if (type->query_key.n > 0) {
        cpl_buf_adds(out, "\"queryParam\":{");
        cpl_json_quote(out, type->query_key);
        cpl_buf_addc(out, ':');
        cpl_json_quote(out, type->query_value);
        cpl_buf_adds(out, "},");
    }
    cpl_buf_adds(out, "\"maxBatchSize\":");
}

/* What PollForJobs would refuse is refused here, where it was written. */
static cpl_status check_poll_head(cpl_str head, cpl_error *err) {
    cpl_buf params;
    cpl_status status;
    cpl_buf_init(&params, 65536);
    cpl_buf_addv(&params, head);
    cpl_buf_adds(&params, "1}");
    status = cpl_buf_status(&params, "the action type", err);
    if (status == CPL_OK) {
        status = cpl_model_validate(params.p, params.n, cpl_model_operation(CPL_LIT("PollForJobs"))->input, 0, err);
    }
    cpl_buf_release(&params);
    return status;
}

static cpl_status check_type(const cpl_worker *worker, const cpl_action_type *type, cpl_str head, cpl_error *err) {
    const struct {
        const char *name;
        cpl_str text;
    } needed[] = {{"category", type->category}, {"provider", type->provider}, {"version", type->version}};
    for (size_t i = 0; i < CPL_COUNT(needed); i++) {
        if (needed[i].text.n == 0) {
            return cpl_fail_at(err, CPL_INVALID, needed[i].name, "%s: missing", needed[i].name);
        }
        if (!cpl_utf8_valid(needed[i].text)) {
            return cpl_fail_at(err, CPL_INVALID, needed[i].name, "%s: not UTF-8", needed[i].name);
        }
    }
    if ((type->query_key.n == 0) != (type->query_value.n == 0)) {
        return cpl_fail_at(err, CPL_INVALID, "query_key", "query_key and query_value go together");
    }
    for (size_t i = 0; i < worker->queue_count; i++) {
        if (cpl_str_is(head, worker->queues[i].poll_head)) {
            return cpl_fail(err, CPL_INVALID, "the action type %s is there already", worker->queues[i].name);
        }
    }
    return check_poll_head(head, err);
}

cpl_status cpl_worker_add(cpl_worker *worker, const cpl_action_type *type, int *index, cpl_error *err) {
    queue *grown, made = {0};
    cpl_buf head, name;
    cpl_status status;
    cpl_buf_init(&head, 16384);
    cpl_buf_init(&name, 1024);
    write_poll_head(&head, type);
    cpl_buf_addf(&name, "%.*s/%.*s/%.*s", (int)cpl_utf8_cut(type->category, 100), type->category.p,
                 (int)cpl_utf8_cut(type->provider, 100), type->provider.p, (int)cpl_utf8_cut(type->version, 100),
                 type->version.p);
    status = cpl_buf_status(&head, "the action type", err);
    if (status == CPL_OK) status = check_type(worker, type, cpl_buf_str(&head), err);
    if (status != CPL_OK) goto out;
    grown = cpl_realloc(worker->queues, (worker->queue_count + 1) * sizeof *grown);
    if (grown) worker->queues = grown;
    made.poll_head = cpl_buf_detach(&head);
    made.name = cpl_buf_detach(&name);
    made.delay_ms = worker->interval_ms;
    if (grown == NULL || made.poll_head == NULL || made.name == NULL) {
        cpl_free(made.poll_head);
        cpl_free(made.name);
        status = cpl_fail_nomem(err);
        goto out;
    }
    worker->queues[worker->queue_count] = made;
    if (index) *index = (int)worker->queue_count;
    worker->queue_count++;
out:
    cpl_buf_release(&head);
    cpl_buf_release(&name);
    return status;
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

/* Never to be accepted, whatever happens: nothing is gained by keeping it. */
static bool is_hopeless(cpl_status status, const cpl_error *err) {
    if (status == CPL_STATE || status == CPL_INVALID) return true;
    return status == CPL_SERVICE && (strcmp(err->code, "ValidationException") == 0 ||
                                     strcmp(err->code, "OutputVariablesSizeExceededException") == 0);
}

/* Sends what is due by now_ms; what does not get through goes back in line, for later. */
static void send_owed(turn *t, const cpl_wait *wait, int64_t now_ms, int64_t *next_ms) {
    cpl_desk *desk = t->worker->desk;
    cpl_owed *owed, *left = NULL;
    cpl_status status = CPL_OK;
    while (status != CPL_CANCELLED && (owed = cpl_desk_take_owed(desk, now_ms, next_ms)) != NULL) {
        cpl_error failure;
        status = cpl_owed_send(owed, desk->client, wait, &failure);
        if (status != CPL_OK && status != CPL_STATE && t->err) *t->err = failure;
        if (status == CPL_OK || is_hopeless(status, &failure)) {
            cpl_owed_free(owed);
            continue;
        }
        owed->due_ms = cpl_clock_monotonic_ms() + cpl_owed_delay_ms(owed);
        if (owed->due_ms < *next_ms) *next_ms = owed->due_ms;
        owed->next = left;
        left = owed;
    }
    while ((owed = left) != NULL) {
        left = owed->next;
        cpl_desk_owe(desk, owed);
    }
}

/* ---- acknowledging ---- */

/* CPL_OK and *ours: it may be handed out. CPL_OK and not: somebody else has it, or it is over. Else: not known yet. */
static cpl_status acknowledge(turn *t, const cpl_job *job, bool *ours) {
    cpl_call_options options = {.wait = {.timeout_ms = ACK_TIMEOUT_MS}};
    cpl_reply *reply = NULL;
    cpl_json *document = NULL;
    cpl_error failure;
    cpl_buf params;
    cpl_status status;
    *ours = false;
    if (t->wait) { /* not t->own: to stop is no reason to leave it open whether we have the job */
        options.wait.tick = t->wait->tick;
        options.wait.context = t->wait->context;
    }
    cpl_buf_init(&params, 8192);
    cpl_buf_addc(&params, '{');
    write_pair(&params, "jobId", cpl_str_of(cpl_job_text(job, CPL_JOB_ID)));
    cpl_buf_addc(&params, ',');
    write_pair(&params, "nonce", cpl_str_of(cpl_job_text(job, CPL_JOB_NONCE)));
    cpl_buf_addc(&params, '}');
    status = cpl_buf_status(&params, "the job's id", &failure);
    if (status == CPL_OK) {
        status = cpl_client_call(t->worker->desk->client, CPL_LIT("AcknowledgeJob"), cpl_buf_str(&params), &options,
                                 &reply, &failure);
    }
    if (status == CPL_OK) status = cpl_json_parse(cpl_reply_text(reply), &document, &failure);
    if (status == CPL_OK) *ours = cpl_str_is(cpl_json_get_str(document, "status"), "InProgress");
    if (status == CPL_SERVICE && !failure.retryable) {
        bool taken =
            strcmp(failure.code, "InvalidNonceException") == 0 || strcmp(failure.code, "JobNotFoundException") == 0;
        if (!taken && t->err) *t->err = failure;
        status = CPL_OK; /* whatever the reason: this job is not to be had */
    }
    if (status != CPL_OK && t->err) *t->err = failure;
    cpl_json_free(document);
    cpl_reply_free(reply);
    cpl_buf_release(&params);
    return status;
}

/*
 * Acknowledges the oldest polled job. *out is set when it is to be handed out now. False: the service is not to be
 * reached.
 */
static bool take_ready(turn *t, cpl_job **out) {
    cpl_worker *worker = t->worker;
    cpl_job *job = pop(&worker->ready);
    bool due = job->not_before_s * 1000 <= cpl_desk_now_ms(worker->desk), ours = false;
    bool stale = cpl_clock_monotonic_ms() - job->taken_ms > READY_MAX_AGE_MS;
    if (stale || (!due && worker->kept_count >= KEPT_MAX)) {
        cpl_job_free(job);
        return true;
    }
    if (acknowledge(t, job, &ours) != CPL_OK) { /* asked again, until it is known */
        job->doubtful = true;
        job->next = worker->ready;
        worker->ready = job;
        return false;
    }
    if (!ours) {
        cpl_job_free(job);
    } else if (due) {
        *out = job;
    } else {
        append(&worker->kept, job);
        worker->kept_count++;
    }
    return true;
}

/* ---- stopping ---- */

/* A job that is ours and was not begun goes back to the service, which makes a new job of it under the same token. */
static void hand_back(const cpl_worker *worker, cpl_job *job) {
    const char *token = cpl_job_text(job, CPL_JOB_CONTINUATION_TOKEN);
    cpl_owed *owed = cpl_owed_continuation(cpl_job_text(job, CPL_JOB_ID), token ? token : CPL_CONTINUATION_AFRESH);
    if (owed) cpl_desk_owe(worker->desk, owed);
    cpl_job_free(job);
}

/* What is ours goes back, what is not stays with the service, and what is owed gets one more try. */
static void say_farewell(turn *t) {
    cpl_worker *worker = t->worker;
    cpl_wait brief = {.timeout_ms = FAREWELL_TIMEOUT_MS};
    int64_t next_ms = INT64_MAX;
    cpl_job *job;
    if (t->wait) {
        brief.tick = t->wait->tick;
        brief.context = t->wait->context;
    }
    while ((job = pop(&worker->kept)) != NULL) hand_back(worker, job);
    worker->kept_count = 0;
    while ((job = pop(&worker->ready)) != NULL) {
        bool ours = false;
        if (job->doubtful && acknowledge(t, job, &ours) == CPL_OK && ours) {
            hand_back(worker, job);
        } else {
            cpl_job_free(job);
        }
    }
    send_owed(t, &brief, INT64_MAX, &next_ms);
}

/* ---- polling ---- */

/* Between three quarters and five quarters of delay, so that workers started together do not stay together. */
static int64_t with_jitter(int64_t delay_ms) {
    uint32_t chance = UINT32_MAX / 2;
    (void)cpl_random(&chance, sizeof chance, NULL);
    return delay_ms * 3 / 4 + (int64_t)((double)delay_ms / 2 * (chance / 4294967295.0));
}

static void plan_next(const cpl_worker *worker, queue *q, int got, int asked) {
    int64_t now_ms = cpl_clock_monotonic_ms(), longest = worker->interval_ms * INTERVAL_GROWTH;
    if (got > 0) {
        q->delay_ms = worker->interval_ms;
        q->next_ms = got >= asked ? now_ms : now_ms + with_jitter(q->delay_ms);
        return;
    }
    q->next_ms = now_ms + with_jitter(q->delay_ms);
    q->delay_ms = q->delay_ms * 3 / 2 < longest ? q->delay_ms * 3 / 2 : longest;
}

/* Puts the jobs of an answer in line; one that makes no sense is told of in t->err and does not hurt the others. */
static cpl_status read_jobs(turn *t, cpl_str answer, int action_type, int *got, cpl_error *err) {
    cpl_json *document = NULL, *jobs, *item;
    cpl_status status = cpl_json_parse(answer, &document, err);
    if (status != CPL_OK) return status;
    jobs = cpl_json_get(document, "jobs");
    while ((item = cpl_json_first(jobs)) != NULL) {
        cpl_job *job;
        ++*got;
        if (cpl_job_new(&job, t->worker->desk, cpl_json_detach(jobs, item), t->err) != CPL_OK) continue;
        job->action_type = action_type;
        job->taken_ms = cpl_clock_monotonic_ms();
        append(&t->worker->ready, job);
    }
    cpl_json_free(document);
    return CPL_OK;
}

/* It will pass: the worker goes on, and polls again later. */
static bool will_pass(cpl_status status, const cpl_error *err) {
    switch (status) {
    case CPL_OK:
    case CPL_NETWORK:
    case CPL_TIMEOUT:
    case CPL_PROTOCOL: return true;
    default: return err->retryable;
    }
}

static cpl_status poll_queue(turn *t, queue *q, int batch) {
    cpl_call_options options = {.wait = with_time(t, POLL_TIMEOUT_MS)};
    cpl_reply *reply = NULL;
    cpl_error failure = {0};
    cpl_buf params;
    cpl_status status;
    int got = 0;
    cpl_buf_init(&params, 65536);
    cpl_buf_addf(&params, "%s%d}", q->poll_head, batch);
    status = cpl_buf_status(&params, "the poll", &failure);
    if (status == CPL_OK) {
        status = cpl_client_call(t->worker->desk->client, CPL_LIT("PollForJobs"), cpl_buf_str(&params), &options,
                                 &reply, &failure);
    }
    if (status == CPL_OK) {
        status = read_jobs(t, cpl_reply_text(reply), (int)(q - t->worker->queues), &got, &failure);
    }
    cpl_reply_free(reply);
    cpl_buf_release(&params);
    plan_next(t->worker, q, got, batch);
    if (status != CPL_OK && t->err) *t->err = failure;
    if (status == CPL_CANCELLED && cpl_worker_stopping(t->worker)) return CPL_OK; /* our own doing */
    return will_pass(status, &failure) ? CPL_OK : status;
}

/* The queue that has waited longest among those that are due; else *next_ms is lowered to when one will be. */
static queue *choose_queue(const cpl_worker *worker, int64_t now_ms, int64_t *next_ms) {
    queue *first = NULL;
    for (size_t i = 0; i < worker->queue_count; i++) {
        if (first == NULL || worker->queues[i].next_ms < first->next_ms) first = &worker->queues[i];
    }
    if (first == NULL || first->next_ms <= now_ms) return first;
    if (first->next_ms < *next_ms) *next_ms = first->next_ms;
    return NULL;
}

/* ---- the next job ---- */

/* Does one thing that can be done now; *next_ms tells when there will be another, in the past when at once. */
static cpl_status step(turn *t, cpl_job **out, int64_t *next_ms) {
    cpl_worker *worker = t->worker;
    cpl_wait owed_wait = with_time(t, RESULT_TIMEOUT_MS);
    int64_t now_ms;
    int slots;
    queue *q;
    send_owed(t, &owed_wait, cpl_clock_monotonic_ms(), next_ms);
    slots = free_slots(worker);
    now_ms = cpl_clock_monotonic_ms();
    if (slots <= 0) return CPL_OK;
    *out = take_due(worker, now_ms, next_ms);
    if (*out) return CPL_OK;
    if (worker->ready && worker->ready_ms <= now_ms) {
        worker->ready_ms = take_ready(t, out) ? now_ms : cpl_clock_monotonic_ms() + with_jitter(ACK_PAUSE_MS);
    }
    if (worker->ready || *out) {
        if (worker->ready_ms < *next_ms) *next_ms = worker->ready_ms;
        return CPL_OK;
    }
    q = choose_queue(worker, now_ms, next_ms);
    if (q == NULL) return CPL_OK;
    *next_ms = now_ms;
    return poll_queue(t, q, slots);
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

cpl_status cpl_worker_next(cpl_worker *worker, const cpl_wait *wait, cpl_job **out, cpl_error *err) {
    turn t = {.worker = worker, .wait = wait, .err = err};
    cpl_status status = CPL_OK;
    *out = NULL;
    cpl_error_clear(err);
    t.own = (cpl_wait){.tick = tick_or_stop, .context = &t, .timeout_ms = wait ? wait->timeout_ms : 0};
    cpl_pace_init(&t.pace, &t.own);
    while (status == CPL_OK && *out == NULL && !cpl_worker_stopping(worker)) {
        int64_t next_ms = INT64_MAX;
        status = step(&t, out, &next_ms);
        if (status == CPL_OK && *out == NULL) status = rest(&t, next_ms);
    }
    if (*out) {
        cpl_job_hand_out(*out);
        return CPL_OK;
    }
    if (cpl_worker_stopping(worker)) {
        say_farewell(&t);
        return CPL_OK;
    }
    if (status == CPL_TIMEOUT) return CPL_OK;
    if (status == CPL_CANCELLED) return cpl_fail(err, status, "cancelled");
    return status;
}
