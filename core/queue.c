/* SPDX-License-Identifier: MIT */
/*
 * Each call is in one of four lists, and moves between them only on the thread that is in cpl_queue_next(); the lock is
 * for those who submit, cancel and count meanwhile, and is never held while anything waits.
 */
#include <pthread.h>

#include "call.h"
#include "clock.h"
#include "err.h"
#include "fork.h"

#define LIMIT 512        /* under the usual 1024 file descriptors of a process */
#define TICK_MS 90       /* under the 100 ms that cpl_wait promises */
#define LONGEST_MS 60000 /* of one wait when nothing is due */

typedef struct entry {
    cpl_call call;
    cpl_error err; /* the call's */
    uint64_t id;
    cpl_status status; /* the call's end; for one that is delayed, how it will end unless again */
    cpl_reply *reply;
    int64_t due_ms, delay_ms; /* delayed: until when, monotonic, and for how long */
    bool again;
    bool had_turn; /* the rate allows the next attempt */
    bool cancelled;
    struct list *in;
    struct entry *next, *before;
} entry;

typedef struct list {
    entry *first, *last;
    size_t count;
} list;

struct cpl_queue {
    cpl_client *client;
    cpl_http_batch *batch;
    size_t limit;
    uint32_t mark;
    int64_t checked_ms; /* when drop_overdue() looked, monotonic */
    atomic_bool woken;
    pthread_mutex_t lock; /* of all below, and of the entries' cancelled, in, next and before */
    uint64_t last_id;
    bool cancels; /* some entry is cancelled and not yet done */
    list ready, delayed, flying, done;
};

static void take_out(entry *e) {
    list *in = e->in;
    if (in == NULL) return;
    *(e->before ? &e->before->next : &in->first) = e->next;
    *(e->next ? &e->next->before : &in->last) = e->before;
    in->count--;
    e->in = NULL;
}

static void put_in(entry *e, list *to) {
    take_out(e);
    e->in = to;
    e->next = NULL;
    e->before = to->last;
    *(to->last ? &to->last->next : &to->first) = e;
    to->last = e;
    to->count++;
}

static void move(cpl_queue *queue, entry *e, list *to) {
    pthread_mutex_lock(&queue->lock);
    put_in(e, to);
    pthread_mutex_unlock(&queue->lock);
}

/* Only the thread in cpl_queue_next() takes anything out of a list, so the entry stays where it is. */
static entry *first_of(cpl_queue *queue, const list *in) {
    entry *e;
    pthread_mutex_lock(&queue->lock);
    e = in->first;
    pthread_mutex_unlock(&queue->lock);
    return e;
}

static size_t count_of(cpl_queue *queue, const list *in) {
    size_t count;
    pthread_mutex_lock(&queue->lock);
    count = in->count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

/* ---- the object ---- */

cpl_status cpl_queue_new(cpl_queue **out, cpl_client *client, size_t limit, cpl_error *err) {
    cpl_queue *queue = cpl_calloc(1, sizeof *queue);
    cpl_status status;
    *out = NULL;
    if (queue == NULL) return cpl_fail_nomem(err);
    status = cpl_http_batch_new(&queue->batch, client->http, err);
    if (status == CPL_OK && pthread_mutex_init(&queue->lock, NULL) != 0) status = cpl_fail_nomem(err);
    if (status) {
        cpl_http_batch_free(queue->batch);
        cpl_free(queue);
        return status;
    }
    atomic_init(&queue->woken, false);
    queue->limit = limit ? limit : LIMIT;
    queue->mark = cpl_fork_mark();
    queue->client = client;
    cpl_client_retain(client);
    *out = queue;
    return CPL_OK;
}

static void free_entry(entry *e) {
    if (e->reply) cpl_reply_free(e->reply);
    cpl_free(e);
}

static void free_unfinished(list *in) {
    while (in->first) {
        entry *e = in->first;
        take_out(e);
        (void)cpl_call_end(&e->call, CPL_CANCELLED, &e->reply, NULL);
        free_entry(e);
    }
}

void cpl_queue_free(cpl_queue *queue) {
    if (queue == NULL || queue->mark != cpl_fork_mark()) return;
    cpl_http_batch_free(queue->batch);
    free_unfinished(&queue->ready);
    free_unfinished(&queue->delayed);
    free_unfinished(&queue->flying);
    while (queue->done.first) {
        entry *e = queue->done.first;
        take_out(e);
        free_entry(e);
    }
    pthread_mutex_destroy(&queue->lock);
    cpl_client_free(queue->client);
    cpl_free(queue);
}

static cpl_status check_process(const cpl_queue *queue, cpl_error *err) {
    return queue->mark == cpl_fork_mark() ? CPL_OK : cpl_fail(err, CPL_STATE, "the queue is another process's");
}

/* ---- for any thread ---- */

cpl_status cpl_queue_submit(cpl_queue *queue, cpl_str operation, cpl_str params, const cpl_call_options *options,
                            uint64_t *id, cpl_error *err) {
    static const cpl_call_options defaults;
    const cpl_operation *found;
    cpl_status status = check_process(queue, err);
    entry *e;
    *id = 0;
    if (status) return status;
    found = cpl_model_require_operation(operation, err);
    if (found == NULL) return CPL_INVALID;
    e = cpl_calloc(1, sizeof *e);
    if (e == NULL) return cpl_fail_nomem(err);
    status = cpl_call_begin(&e->call, queue->client, found, params, options ? options : &defaults, &e->err);
    if (status) {
        (void)cpl_call_end(&e->call, status, &e->reply, NULL);
        if (err) *err = e->err;
        cpl_free(e);
        return status;
    }
    pthread_mutex_lock(&queue->lock);
    *id = e->id = ++queue->last_id;
    put_in(e, &queue->ready);
    pthread_mutex_unlock(&queue->lock);
    cpl_http_batch_wake(queue->batch);
    return CPL_OK;
}

static bool mark_cancelled(list *in, uint64_t id) {
    entry *e = in->first;
    while (e && e->id != id) e = e->next;
    if (e) e->cancelled = true;
    return e != NULL;
}

bool cpl_queue_cancel(cpl_queue *queue, uint64_t id) {
    bool found;
    if (queue->mark != cpl_fork_mark()) return false;
    pthread_mutex_lock(&queue->lock);
    found =
        mark_cancelled(&queue->ready, id) || mark_cancelled(&queue->delayed, id) || mark_cancelled(&queue->flying, id);
    queue->cancels = queue->cancels || found;
    pthread_mutex_unlock(&queue->lock);
    if (found) cpl_http_batch_wake(queue->batch);
    return found;
}

void cpl_queue_wake(cpl_queue *queue) {
    if (queue->mark != cpl_fork_mark()) return;
    atomic_store(&queue->woken, true);
    cpl_http_batch_wake(queue->batch);
}

size_t cpl_queue_pending(cpl_queue *queue) {
    size_t count;
    if (queue->mark != cpl_fork_mark()) return 0;
    pthread_mutex_lock(&queue->lock);
    count = queue->ready.count + queue->delayed.count + queue->flying.count + queue->done.count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

/* ---- moving ---- */

static void finish(cpl_queue *queue, entry *e, cpl_status status) {
    e->status = cpl_call_end(&e->call, status, &e->reply, &e->reply);
    move(queue, e, &queue->done);
    if (!e->cancelled || status == CPL_CANCELLED) return; /* no longer to be cancelled: it is done */
    cpl_reply_free(e->reply);
    e->reply = NULL;
    e->status = cpl_fail(&e->err, CPL_CANCELLED, "cancelled");
}

static void delay(cpl_queue *queue, entry *e, int64_t delay_ms) {
    e->delay_ms = delay_ms;
    e->due_ms = cpl_clock_monotonic_ms() + delay_ms;
    move(queue, e, &queue->delayed);
}

/* An attempt ended, or could not begin. */
static void settle(cpl_queue *queue, entry *e, cpl_status status) {
    int64_t delay_ms = 0;
    e->again = status && cpl_call_again(&e->call, &status, &delay_ms);
    e->status = status;
    if (delay_ms > 0) {
        delay(queue, e, delay_ms);
    } else if (e->again) {
        move(queue, e, &queue->ready);
    } else {
        finish(queue, e, status);
    }
}

/* False when the rate makes it wait, or the time is over. */
static bool has_turn(cpl_queue *queue, entry *e) {
    int64_t delay_ms = 0;
    cpl_status status;
    if (e->had_turn) return true;
    status = cpl_call_turn(&e->call, &delay_ms);
    e->had_turn = e->again = true;
    if (status) {
        finish(queue, e, status);
        return false;
    }
    if (delay_ms > 0) delay(queue, e, delay_ms);
    return delay_ms <= 0;
}

static void launch(cpl_queue *queue, entry *e, const cpl_wait *wait) {
    cpl_call *call = &e->call;
    cpl_status status;
    if (!has_turn(queue, e)) return;
    e->had_turn = false;
    move(queue, e, &queue->flying);
    call->wait.tick = wait ? wait->tick : NULL; /* credentials may have to be fetched */
    call->wait.context = wait ? wait->context : NULL;
    status = cpl_call_request(call);
    if (status == CPL_OK && cpl_call_stubbed(call)) {
        status = cpl_call_answer(call, CPL_OK);
    } else if (status == CPL_OK) {
        status = cpl_http_batch_start(queue->batch, &call->request, &call->reply->response, e, &e->err);
        if (status == CPL_OK) return;
        status = cpl_call_answer(call, status);
    }
    settle(queue, e, status);
}

static void launch_ready(cpl_queue *queue, const cpl_wait *wait) {
    entry *e;
    while (count_of(queue, &queue->flying) < queue->limit && (e = first_of(queue, &queue->ready)) != NULL) {
        launch(queue, e, wait);
    }
}

static void land(cpl_queue *queue) {
    cpl_status status;
    entry *e;
    while ((e = cpl_http_batch_next(queue->batch, &status)) != NULL) {
        settle(queue, e, cpl_call_answer(&e->call, status));
    }
}

/* Those whose pause is over go on; answers for how long the others sleep. */
static int64_t end_pauses(cpl_queue *queue) {
    int64_t now = cpl_clock_monotonic_ms(), soonest = LONGEST_MS;
    for (entry *e = first_of(queue, &queue->delayed), *next; e; e = next) {
        next = e->next; /* nobody else moves what is delayed */
        if (e->due_ms > now) {
            soonest = e->due_ms - now < soonest ? e->due_ms - now : soonest;
            continue;
        }
        e->call.waited_ms += e->delay_ms;
        if (e->again) {
            move(queue, e, &queue->ready);
        } else {
            finish(queue, e, e->status);
        }
    }
    return soonest;
}

static entry *find_cancelled(cpl_queue *queue) {
    list *const lists[] = {&queue->ready, &queue->delayed, &queue->flying};
    entry *found = NULL;
    pthread_mutex_lock(&queue->lock);
    for (size_t i = 0; queue->cancels && found == NULL && i < CPL_COUNT(lists); i++) {
        for (entry *e = lists[i]->first; e && found == NULL; e = e->next) found = e->cancelled ? e : NULL;
    }
    if (found == NULL) queue->cancels = false;
    pthread_mutex_unlock(&queue->lock);
    return found;
}

static void drop_cancelled(cpl_queue *queue) {
    entry *e;
    while ((e = find_cancelled(queue)) != NULL) {
        if (e->in == &queue->flying) cpl_http_batch_cancel(queue->batch, e);
        e->call.class = CPL_RETRY_NEVER;
        finish(queue, e, cpl_fail(&e->err, CPL_CANCELLED, "cancelled"));
    }
}

/* Those that were not sent, because so many others are. */
static void drop_overdue(cpl_queue *queue) {
    int64_t now = cpl_clock_monotonic_ms();
    entry *e, *next;
    if (now - queue->checked_ms < TICK_MS) return;
    queue->checked_ms = now;
    for (e = first_of(queue, &queue->ready); e; e = next) {
        pthread_mutex_lock(&queue->lock);
        next = e->next;
        pthread_mutex_unlock(&queue->lock);
        if (e->call.deadline_ms == 0 || now < e->call.deadline_ms) continue;
        finish(queue, e, cpl_call_overdue(&e->call));
    }
}

static bool hand_out(cpl_queue *queue, cpl_done *done) {
    entry *e;
    pthread_mutex_lock(&queue->lock);
    e = queue->done.first;
    if (e) take_out(e);
    pthread_mutex_unlock(&queue->lock);
    if (e == NULL) return false;
    done->id = e->id;
    done->status = e->status;
    done->reply = e->reply;
    if (e->status) done->err = e->err;
    cpl_free(e);
    return true;
}

cpl_status cpl_queue_next(cpl_queue *queue, const cpl_wait *wait, cpl_done *done, cpl_error *err) {
    int64_t end_ms = wait && wait->timeout_ms > 0 ? cpl_clock_monotonic_ms() + wait->timeout_ms : 0;
    cpl_status status = check_process(queue, err);
    memset(done, 0, sizeof *done);
    while (status == CPL_OK) {
        int64_t most_ms, left_ms = LONGEST_MS;
        if (hand_out(queue, done)) return CPL_OK; /* what is ready costs no look at the rest */
        land(queue);
        drop_cancelled(queue);
        most_ms = end_pauses(queue);
        launch_ready(queue, wait);
        drop_overdue(queue);
        if (hand_out(queue, done) || atomic_exchange(&queue->woken, false)) return CPL_OK;
        if (wait && wait->tick && wait->tick(wait->context) != 0) return cpl_fail(err, CPL_CANCELLED, "cancelled");
        if (end_ms) left_ms = end_ms - cpl_clock_monotonic_ms();
        if (left_ms <= 0) return CPL_OK;
        if (left_ms < most_ms) most_ms = left_ms;
        if (most_ms > TICK_MS && (count_of(queue, &queue->ready) > 0 || (wait && wait->tick))) most_ms = TICK_MS;
        cpl_http_batch_wait(queue->batch, (int)most_ms);
    }
    return status;
}
