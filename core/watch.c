/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <pthread.h>

#include "clock.h"
#include "err.h"
#include "fork.h"
#include "pace.h"
#include "retry.h"

#define KEEP_MS 60000        /* answers that nobody asked for so long are forgotten */
#define SPACING_MAX_MS 30000 /* between two requests, however throttled we are */
#define SLICE_MS 20          /* how often a waiting thread looks up */

typedef struct entry {
    struct entry *next;
    char *key;
    cpl_answer *answer; /* NULL: none yet */
    bool busy;          /* somebody is asking */
    int count;
} entry;

typedef struct room {
    uint32_t mark;        /* of the process it is in */
    pthread_mutex_t lock; /* of all below */
    entry *entries;
    int64_t free_ms;    /* monotonic: no request before */
    int64_t spacing_ms; /* what throttling added; 0 in good times */
} room;

struct cpl_watch {
    _Atomic(room *) room;
    _Atomic int64_t last; /* stamp */
};

void cpl_answer_drop(cpl_answer *answer) {
    if (answer == NULL || atomic_fetch_sub_explicit(&answer->references, 1, memory_order_acq_rel) > 1) return;
    cpl_json_free(answer->document);
    cpl_free(answer);
}

/* Takes document over, also when it fails. */
static cpl_answer *answer_new(cpl_json *document, int64_t asked) {
    cpl_answer *answer = cpl_calloc(1, sizeof *answer);
    if (answer == NULL) {
        cpl_json_free(document);
        return NULL;
    }
    atomic_init(&answer->references, 1);
    answer->asked = asked;
    answer->document = document;
    return answer;
}

/* ---- the room ---- */

static room *room_new(void) {
    room *r = cpl_calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->mark = cpl_fork_mark();
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

static void entry_free(entry *e) {
    cpl_answer_drop(e->answer);
    cpl_free(e->key);
    cpl_free(e);
}

static void room_free(room *r) {
    for (entry *e = r->entries, *next; e; e = next) {
        next = e->next;
        entry_free(e);
    }
    pthread_mutex_destroy(&r->lock);
    cpl_free(r);
}

/* This process's room. One that was inherited is left alone: its lock may have been held during fork. */
static room *room_of(cpl_watch *watch) {
    room *r = atomic_load(&watch->room), *fresh;
    if (r->mark == cpl_fork_mark()) return r;
    fresh = room_new();
    if (fresh == NULL || atomic_compare_exchange_strong(&watch->room, &r, fresh)) return fresh;
    room_free(fresh);
    return r;
}

cpl_watch *cpl_watch_new(void) {
    cpl_watch *watch = cpl_calloc(1, sizeof *watch);
    room *r = room_new();
    if (watch && r) {
        atomic_init(&watch->room, r);
        return watch;
    }
    if (r) room_free(r);
    cpl_free(watch);
    return NULL;
}

int64_t cpl_watch_now(cpl_watch *watch) {
    int64_t now = cpl_clock_monotonic_ms() * 1000, last = atomic_load(&watch->last), next;
    do {
        next = now > last ? now : last + 1;
    } while (!atomic_compare_exchange_weak(&watch->last, &last, next));
    return next;
}

void cpl_watch_free(cpl_watch *watch) {
    room *r;
    if (watch == NULL) return;
    r = atomic_load(&watch->room);
    if (r->mark == cpl_fork_mark()) room_free(r);
    cpl_free(watch);
}

/* ---- entries; the lock is held ---- */

static void forget_old(room *r, int64_t now) {
    for (entry **at = &r->entries; *at;) {
        entry *e = *at;
        bool old = e->answer == NULL || e->answer->asked < now - KEEP_MS * 1000;
        if (!old || e->busy || e->count > 0) {
            at = &e->next;
        } else {
            *at = e->next;
            entry_free(e);
        }
    }
}

/* NULL: out of memory. */
static entry *find_entry(room *r, const char *key) {
    entry *e = r->entries;
    while (e && strcmp(e->key, key) != 0) e = e->next;
    if (e) return e;
    e = cpl_calloc(1, sizeof *e);
    if (e == NULL || (e->key = cpl_strdup(cpl_str_of(key))) == NULL) {
        cpl_free(e);
        return NULL;
    }
    e->next = r->entries;
    r->entries = e;
    return e;
}

int cpl_watch_count(cpl_watch *watch, const char *subject, int change) {
    room *r = room_of(watch);
    int count = 0;
    entry *e;
    if (r == NULL) return 0;
    pthread_mutex_lock(&r->lock);
    e = find_entry(r, subject);
    if (e) {
        e->count += change;
        if (e->count < 0) e->count = 0; /* counted before the fork */
        count = e->count;
    }
    pthread_mutex_unlock(&r->lock);
    return count;
}

/* ---- asking ---- */

static bool throttled(cpl_status status, const cpl_error *err) {
    return status && cpl_retry_classify(status, err->http_status, cpl_str_of(err->code)) == CPL_RETRY_THROTTLING;
}

/* The pace of a network with many on it: halve the rate at a collision, come back slowly. */
static void adjust_pace(room *r, const cpl_question *q, bool slower) {
    int64_t now_ms = cpl_clock_monotonic_ms();
    if (slower) {
        r->spacing_ms = r->spacing_ms * 2 + q->spacing_ms * 2 + 10;
        if (r->spacing_ms > SPACING_MAX_MS) r->spacing_ms = SPACING_MAX_MS;
        if (r->free_ms < now_ms + r->spacing_ms) r->free_ms = now_ms + r->spacing_ms;
    } else {
        r->spacing_ms -= (r->spacing_ms + 3) / 4;
    }
}

/* Sends the request when it is its turn; the lock is held on entry and exit, but not while the time passes. */
static cpl_status fetch(cpl_watch *watch, entry *e, const cpl_question *q, const cpl_pace *pace, cpl_error *err) {
    room *r = room_of(watch); /* made already: it was asked for before */
    int64_t now_ms = cpl_clock_monotonic_ms(), turn_ms = r->free_ms > now_ms ? r->free_ms : now_ms, asked = 0;
    cpl_json *document = NULL;
    cpl_answer *answer = NULL;
    cpl_wait rest;
    cpl_status status;
    bool late = pace->end_ms && turn_ms > pace->end_ms;
    if (!late) r->free_ms = turn_ms + r->spacing_ms + q->spacing_ms;
    e->busy = true;
    pthread_mutex_unlock(&r->lock);
    status = cpl_clock_sleep((late ? pace->end_ms : turn_ms) - now_ms, pace->wait, err);
    if (status == CPL_OK) status = cpl_pace_rest(pace, &rest, err);
    if (status == CPL_OK) {
        asked = cpl_watch_now(watch);
        status = q->fetch(q->context, &rest, &document, err);
    }
    if (status == CPL_OK && (answer = answer_new(document, asked)) == NULL) status = cpl_fail_nomem(err);
    pthread_mutex_lock(&r->lock);
    e->busy = false;
    if (asked && (status == CPL_OK || throttled(status, err))) adjust_pace(r, q, status != CPL_OK);
    if (status) return status;
    cpl_answer_drop(e->answer);
    e->answer = answer;
    return CPL_OK;
}

/* Waits for whoever is asking; the lock is held on entry and exit. */
static cpl_status look_away(room *r, cpl_pace *pace, cpl_error *err) {
    cpl_status status;
    pthread_mutex_unlock(&r->lock);
    status = cpl_pace_check(pace, err);
    if (status == CPL_OK) status = cpl_clock_sleep(SLICE_MS, pace->wait, err);
    pthread_mutex_lock(&r->lock);
    return status;
}

cpl_status cpl_watch_ask(cpl_watch *watch, const cpl_question *q, const cpl_wait *wait, cpl_answer **out,
                         cpl_error *err) {
    room *r = room_of(watch);
    cpl_status status = CPL_OK;
    cpl_pace pace;
    *out = NULL;
    if (r == NULL) return cpl_fail_nomem(err);
    cpl_pace_init(&pace, wait);
    pthread_mutex_lock(&r->lock);
    forget_old(r, cpl_watch_now(watch));
    while (status == CPL_OK && *out == NULL) {
        entry *e = find_entry(r, q->key); /* again each time: an old one may have been forgotten meanwhile */
        if (e == NULL) {
            status = cpl_fail_nomem(err);
        } else if (e->answer && e->answer->asked >= q->not_before) {
            atomic_fetch_add_explicit(&e->answer->references, 1, memory_order_relaxed);
            *out = e->answer;
        } else {
            status = e->busy ? look_away(r, &pace, err) : fetch(watch, e, q, &pace, err);
        }
    }
    pthread_mutex_unlock(&r->lock);
    return status;
}
