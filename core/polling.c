/* SPDX-License-Identifier: MIT */
/*
 * What a worker asks for: one queue an action type and region, polled in turn on one thread. Each is asked less often
 * while it is empty, and all of them together at most ten times a second for nothing; one with more jobs than fitted an
 * answer is asked again at once.
 */
#include "clock.h"
#include "err.h"
#include "worker.h"

#define INTERVAL_GROWTH 10 /* an idle queue is asked at least every ten intervals */
#define IDLE_GAP_MS 100    /* between any two polls, when the first brought nothing; less with a shorter interval */
#define POLL_TIMEOUT_MS 10000

typedef cpl_queue queue;
typedef cpl_turn turn;

static const char *poll_operation(bool third_party) {
    return third_party ? "PollForThirdPartyJobs" : "PollForJobs";
}

int64_t cpl_with_jitter(int64_t delay_ms) {
    uint32_t chance = UINT32_MAX / 2;
    (void)cpl_random(&chance, sizeof chance, NULL);
    return delay_ms * 3 / 4 + (int64_t)((double)delay_ms / 2 * (chance / 4294967295.0));
}

/* ---- action types ---- */

static void write_pair(cpl_buf *out, const char *key, cpl_str value) {
    cpl_buf_addf(out, "\"%s\":", key);
    cpl_json_quote(out, value);
}

/* {"actionTypeId":{...},"queryParam":{...},"maxBatchSize": */
static void write_poll_head(cpl_buf *out, const cpl_action_type *type) {
    cpl_buf_addf(out, "{\"actionTypeId\":{\"owner\":\"%s\",", type->third_party ? "ThirdParty" : "Custom");
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
static cpl_status check_poll_head(const cpl_action_type *type, cpl_str head, cpl_error *err) {
    cpl_buf params;
    cpl_status status;
    cpl_buf_init(&params, 65536);
    cpl_buf_addv(&params, head);
    cpl_buf_adds(&params, "1}");
    status = cpl_buf_status(&params, "the action type", err);
    if (status == CPL_OK) {
        cpl_str operation = cpl_str_of(poll_operation(type->third_party));
        status = cpl_model_validate(params.p, params.n, cpl_model_operation(operation)->input, 0, err);
    }
    cpl_buf_release(&params);
    return status;
}

static cpl_status check_type(const cpl_worker *worker, const cpl_action_type *type, const cpl_client *client,
                             cpl_str head, cpl_error *err) {
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
    if (type->third_party && type->query_key.n > 0) {
        return cpl_fail_at(err, CPL_INVALID, "query_key", "query_key: third-party jobs cannot be asked for so");
    }
    if ((type->query_key.n == 0) != (type->query_value.n == 0)) {
        return cpl_fail_at(err, CPL_INVALID, "query_key", "query_key and query_value go together");
    }
    for (size_t i = 0; i < worker->queue_count; i++) {
        const queue *q = &worker->queues[i];
        if (cpl_str_is(head, q->poll_head) && strcmp(q->client->region, client->region) == 0) {
            return cpl_fail(err, CPL_INVALID, "the action type %s is there already in %s", q->name, client->region);
        }
    }
    return check_poll_head(type, head, err);
}

/* Takes the two texts over when it succeeds. */
static cpl_status add_queue(cpl_worker *worker, const queue *made, int *index, cpl_error *err) {
    queue *grown = cpl_realloc(worker->queues, (worker->queue_count + 1) * sizeof *grown);
    cpl_status status = CPL_OK;
    if (grown) worker->queues = grown;
    if (grown == NULL || made->poll_head == NULL || made->name == NULL) return cpl_fail_nomem(err);
    if (made->client != worker->desk->client) status = cpl_desk_add_client(worker->desk, made->client, err);
    if (status != CPL_OK) return status;
    worker->queues[worker->queue_count] = *made;
    if (index) *index = (int)worker->queue_count;
    worker->queue_count++;
    return CPL_OK;
}

cpl_status cpl_polling_add(cpl_worker *worker, const cpl_action_type *type, int *index, cpl_error *err) {
    queue made = {.client = type->client ? type->client : worker->desk->client,
                  .delay_ms = worker->interval_ms,
                  .third_party = type->third_party,
                  .idempotent = type->idempotent};
    cpl_buf head, name;
    cpl_status status;
    cpl_buf_init(&head, 16384);
    cpl_buf_init(&name, 1024);
    write_poll_head(&head, type);
    cpl_buf_addf(&name, "%.*s/%.*s/%.*s", (int)cpl_utf8_cut(type->category, 100), type->category.p,
                 (int)cpl_utf8_cut(type->provider, 100), type->provider.p, (int)cpl_utf8_cut(type->version, 100),
                 type->version.p);
    status = cpl_buf_status(&head, "the action type", err);
    if (status == CPL_OK) status = check_type(worker, type, made.client, cpl_buf_str(&head), err);
    if (status == CPL_OK) {
        made.poll_head = cpl_buf_detach(&head);
        made.name = cpl_buf_detach(&name);
        status = add_queue(worker, &made, index, err);
        if (status != CPL_OK) {
            cpl_free(made.poll_head);
            cpl_free(made.name);
        }
    }
    cpl_buf_release(&head);
    cpl_buf_release(&name);
    return status;
}

void cpl_polling_free(cpl_worker *worker) {
    for (size_t i = 0; i < worker->queue_count; i++) {
        cpl_free(worker->queues[i].poll_head);
        cpl_free(worker->queues[i].name);
    }
    cpl_free(worker->queues);
}

/* ---- polling ---- */

/* A poll that brought something costs the others nothing; one that did not makes all of them wait a little. */
static void plan_next(cpl_worker *worker, queue *q, int got, int asked) {
    int64_t now_ms = cpl_clock_monotonic_ms(), longest = worker->interval_ms * INTERVAL_GROWTH;
    if (got == 0) worker->idle_ms = now_ms + (worker->interval_ms < IDLE_GAP_MS ? worker->interval_ms : IDLE_GAP_MS);
    if (got > 0) {
        q->delay_ms = worker->interval_ms;
        q->next_ms = got >= asked ? now_ms : now_ms + cpl_with_jitter(q->delay_ms);
        return;
    }
    q->next_ms = now_ms + cpl_with_jitter(q->delay_ms);
    q->delay_ms = q->delay_ms * 3 / 2 < longest ? q->delay_ms * 3 / 2 : longest;
}

/* A job that is whole. Takes item over. */
static cpl_status line_up(turn *t, const queue *q, cpl_json *item) {
    cpl_origin origin = {.client = q->client};
    cpl_job **end = &t->worker->ready;
    cpl_job *job;
    cpl_status status = cpl_job_new(&job, t->worker->desk, &origin, item, t->err);
    if (status != CPL_OK) return status;
    job->action_type = (int)(q - t->worker->queues);
    job->taken_ms = cpl_clock_monotonic_ms();
    while (*end) end = &(*end)->next;
    *end = job;
    return CPL_OK;
}

/* Of third-party jobs a poll tells the ids alone. Takes item over. */
static cpl_status add_offer(turn *t, const queue *q, cpl_json *item) {
    cpl_str customer = cpl_json_get_str(item, "clientId");
    cpl_offer offer = {.id = (char *)cpl_json_get_cstr(item, "jobId", NULL),
                       .action_type = (int)(q - t->worker->queues),
                       .origin = {.client = q->client}};
    cpl_status status = CPL_OK;
    if (customer.n > 0 && offer.id) {
        offer.origin.customer = cpl_customers_named(t->worker->desk->customers, customer);
        status = offer.origin.customer ? cpl_offer_add(t->worker, &offer, t->err) : cpl_fail_nomem(t->err);
    } else {
        status = cpl_fail(t->err, CPL_PROTOCOL, "the service gave a job without \"clientId\" or \"jobId\"");
    }
    cpl_json_free(item);
    return status;
}

/* Puts the jobs of an answer in line; one that makes no sense is told of in t->err and does not hurt the others. */
static cpl_status read_jobs(turn *t, cpl_str answer, const queue *q, int *got, cpl_error *err) {
    cpl_json *document = NULL, *jobs, *item;
    cpl_status status = cpl_json_parse(answer, &document, err);
    if (status != CPL_OK) return status;
    jobs = cpl_json_get(document, "jobs");
    while ((item = cpl_json_first(jobs)) != NULL) {
        item = cpl_json_detach(jobs, item);
        (void)(q->third_party ? add_offer(t, q, item) : line_up(t, q, item));
        ++*got;
    }
    cpl_json_free(document);
    return CPL_OK;
}

/* Credentials that were never there are an error; those that cannot be renewed just now are trouble. */
static bool is_to_be_repeated(const cpl_worker *worker, cpl_status status, const cpl_error *failure) {
    bool expired = status == CPL_SERVICE && cpl_str_starts(cpl_str_of(failure->code), "ExpiredToken");
    if (status == CPL_CREDENTIALS || expired) return worker->served;
    return status == CPL_OK || cpl_desk_passes(status, failure);
}

static bool all_unknown(const cpl_worker *worker) {
    for (size_t i = 0; i < worker->queue_count; i++) {
        if (!worker->queues[i].unknown) return false;
    }
    return true;
}

/* One action type that does not exist, yet or by a slip of the pen, must not keep the others waiting. */
static bool note_unknown(turn *t, queue *q, cpl_status status, cpl_error *err) {
    char what[sizeof err->message];
    q->unknown = status == CPL_SERVICE && strcmp(err->code, "ActionTypeNotFoundException") == 0;
    if (!q->unknown) return false;
    CPL_COPY(what, cpl_str_of(err->message));
    snprintf(err->message, sizeof err->message,
             "the action type %s does not exist in %s; create it, or correct the handler's: %.600s", q->name,
             q->client->region, what);
    return !all_unknown(t->worker);
}

static cpl_status poll_queue(turn *t, queue *q, int batch) {
    cpl_call_options options = {.wait = cpl_turn_wait(t, POLL_TIMEOUT_MS)};
    cpl_reply *reply = NULL;
    cpl_error failure = {0};
    cpl_buf params;
    cpl_status status;
    bool others;
    int got = 0;
    cpl_buf_init(&params, 65536);
    cpl_buf_addf(&params, "%s%d}", q->poll_head, batch);
    status = cpl_buf_status(&params, "the poll", &failure);
    if (status == CPL_OK) {
        status = cpl_client_call(q->client, cpl_str_of(poll_operation(q->third_party)), cpl_buf_str(&params), &options,
                                 &reply, &failure);
    }
    if (status == CPL_OK) status = read_jobs(t, cpl_reply_text(reply), q, &got, &failure);
    cpl_reply_free(reply);
    cpl_buf_release(&params);
    plan_next(t->worker, q, got, batch);
    others = note_unknown(t, q, status, &failure);
    if (status != CPL_OK && t->err) *t->err = failure;
    if (status == CPL_CANCELLED && cpl_worker_stopping(t->worker)) return CPL_OK; /* our own doing */
    if (status == CPL_OK) t->worker->served = true;
    return others || is_to_be_repeated(t->worker, status, &failure) ? CPL_OK : status;
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

cpl_status cpl_polling_step(turn *t, int slots, int64_t *next_ms) {
    int64_t now_ms = cpl_clock_monotonic_ms();
    queue *q = choose_queue(t->worker, now_ms, next_ms);
    if (q == NULL) return CPL_OK;
    if (now_ms < t->worker->idle_ms) {
        if (t->worker->idle_ms < *next_ms) *next_ms = t->worker->idle_ms;
        return CPL_OK;
    }
    *next_ms = now_ms;
    return poll_queue(t, q, slots);
}
