/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include <time.h>

#include "clock.h"
#include "err.h"
#include "fork.h"
#include "thread.h"

struct cpl_guard {
    cpl_desk *desk;
    cpl_owed *failure;
    int64_t due_ms; /* monotonic */
    uint32_t mark;  /* a child of a fork has no such thread */
    pthread_t thread;
    bool joined;
    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t changed;
    bool claimed, fired, accepted;
};

/* True when it is time to report; false when the answer was claimed before. */
static bool wait_until_due(cpl_guard *guard) {
    pthread_mutex_lock(&guard->lock);
    while (!guard->claimed && cpl_clock_monotonic_ms() < guard->due_ms) {
        cpl_clock_await(&guard->changed, &guard->lock, guard->due_ms);
    }
    guard->fired = !guard->claimed;
    pthread_mutex_unlock(&guard->lock);
    return guard->fired;
}

/* The client makes its own attempts. A job that came as an event has no time for more, and nobody to make them. */
static bool report(cpl_guard *guard) {
    const cpl_wait wait = {.observer = cpl_backlog_observer(guard->desk->backlog)}; /* this thread calls nobody */
    cpl_error err;
    cpl_status status;
    cpl_desk_record(guard->desk, guard->failure);
    status = cpl_desk_send(guard->desk, guard->failure, &wait, &err);
    if (status == CPL_OK) {
        (void)cpl_leftover_remove(guard->failure->leftover, NULL); /* nobody is there to be told */
        return true;
    }
    if (guard->failure->job_id == NULL || cpl_owed_refused(status, &err)) {
        if (status != CPL_STATE) cpl_desk_abandon(guard->desk);
        return false;
    }
    cpl_desk_owe(guard->desk, guard->failure);
    guard->failure = NULL;
    return true;
}

static void *keep_watch(void *context) {
    cpl_guard *guard = context;
    if (wait_until_due(guard)) {
        bool accepted = report(guard);
        pthread_mutex_lock(&guard->lock);
        guard->accepted = accepted;
        pthread_mutex_unlock(&guard->lock);
    }
    return NULL;
}

static void release(cpl_guard *guard) {
    pthread_mutex_destroy(&guard->lock);
    cpl_owed_free(guard->failure);
    cpl_desk_drop(guard->desk);
    cpl_free(guard);
}

cpl_status cpl_guard_new(cpl_guard **out, cpl_desk *desk, cpl_owed *failure, int64_t after_ms, cpl_error *err) {
    cpl_guard *guard = cpl_calloc(1, sizeof *guard);
    if (guard == NULL || failure == NULL) {
        cpl_free(guard);
        cpl_owed_free(failure);
        return cpl_fail_nomem(err);
    }
    guard->desk = cpl_desk_retain(desk);
    guard->due_ms = cpl_clock_monotonic_ms() + after_ms;
    guard->mark = cpl_fork_mark();
    pthread_mutex_init(&guard->lock, NULL);
    guard->failure = failure;
    if (cpl_clock_condition(&guard->changed) && cpl_thread_start(&guard->thread, keep_watch, guard)) {
        *out = guard;
        return CPL_OK;
    }
    release(guard);
    return cpl_fail_nomem(err);
}

bool cpl_guard_claim(cpl_guard *guard) {
    bool mine;
    pthread_mutex_lock(&guard->lock);
    mine = !guard->fired;
    guard->claimed = mine;
    pthread_cond_signal(&guard->changed);
    pthread_mutex_unlock(&guard->lock);
    return mine;
}

bool cpl_guard_fired(cpl_guard *guard) {
    bool fired;
    pthread_mutex_lock(&guard->lock);
    fired = guard->fired;
    pthread_mutex_unlock(&guard->lock);
    return fired;
}

int64_t cpl_guard_left_ms(const cpl_guard *guard) {
    return guard->due_ms - cpl_clock_monotonic_ms();
}

static void join(cpl_guard *guard) {
    if (!guard->joined) pthread_join(guard->thread, NULL);
    guard->joined = true;
}

bool cpl_guard_reported(cpl_guard *guard) {
    join(guard);
    return guard->accepted;
}

void cpl_guard_free(cpl_guard *guard) {
    if (guard == NULL || guard->mark != cpl_fork_mark()) return;
    (void)cpl_guard_claim(guard);
    join(guard);
    pthread_cond_destroy(&guard->changed);
    release(guard);
}
