/* SPDX-License-Identifier: MIT */
#include "feed.h"

#include <pthread.h>
#include <time.h>

#include "../clock.h"
#include "../err.h"
#include "../fork.h"

#define EVENTS_MAX 10000
#define BYTES_MAX ((size_t)64 << 20)
#define TICK_MS 50

typedef struct text {
    char *p;
    size_t n;
} text;

struct emu_feed {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t mark;
    int users; /* the emulator and its readers */
    bool closed;
    text *ring; /* the oldest at head */
    size_t head, n, cap, bytes;
    int64_t first; /* the number of the oldest; that of the next is first + n */
    int64_t begin; /* where new readers begin, if it is still there */
};

struct cpl_feed {
    emu_feed *feed;
    int64_t next, missed;
    cpl_buf text;
};

emu_feed *emu_feed_new(void) {
    emu_feed *feed = cpl_calloc(1, sizeof *feed);
    if (feed == NULL || !cpl_clock_condition(&feed->changed)) {
        cpl_free(feed);
        return NULL;
    }
    pthread_mutex_init(&feed->lock, NULL);
    feed->mark = cpl_fork_mark();
    feed->users = 1;
    return feed;
}

static void drop_oldest(emu_feed *feed) {
    text *oldest = &feed->ring[feed->head];
    feed->bytes -= oldest->n;
    cpl_free(oldest->p);
    feed->head = (feed->head + 1) % feed->cap;
    feed->n--;
    feed->first++;
}

/* A forked child shares no thread with the others, and may have inherited the lock held: it leaves all as it is. */
static void release(emu_feed *feed, bool close) {
    bool last;
    if (feed->mark != cpl_fork_mark()) return;
    pthread_mutex_lock(&feed->lock);
    feed->closed = feed->closed || close;
    last = --feed->users == 0;
    pthread_cond_broadcast(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
    if (!last) return;
    while (feed->n > 0) drop_oldest(feed);
    cpl_free(feed->ring);
    pthread_cond_destroy(&feed->changed);
    pthread_mutex_destroy(&feed->lock);
    cpl_free(feed);
}

void emu_feed_close(emu_feed *feed) {
    if (feed) release(feed, true);
}

static bool grow(emu_feed *feed) {
    size_t cap = feed->cap ? feed->cap * 2 : 64;
    text *ring;
    if (feed->n < feed->cap) return true;
    ring = cpl_malloc(cap * sizeof *ring);
    if (ring == NULL) return false;
    for (size_t i = 0; i < feed->n; i++) ring[i] = feed->ring[(feed->head + i) % feed->cap];
    cpl_free(feed->ring);
    feed->ring = ring;
    feed->cap = cap;
    feed->head = 0;
    return true;
}

/* An event that cannot be kept takes the older ones along: then every reader finds the gap, however far it is. */
static void push(emu_feed *feed, char *bytes, size_t n) {
    if (bytes == NULL || !grow(feed)) {
        cpl_free(bytes);
        while (feed->n > 0) drop_oldest(feed);
        feed->first++;
        return;
    }
    feed->ring[(feed->head + feed->n++) % feed->cap] = (text){bytes, n};
    feed->bytes += n;
    while (feed->n > EVENTS_MAX || (feed->bytes > BYTES_MAX && feed->n > 1)) drop_oldest(feed);
}

void emu_feed_add(emu_feed *feed, cpl_str bytes) {
    char *copy = bytes.n > 0 ? cpl_malloc(bytes.n) : NULL;
    if (copy) memcpy(copy, bytes.p, bytes.n);
    pthread_mutex_lock(&feed->lock);
    push(feed, copy, bytes.n);
    pthread_cond_broadcast(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
}

void emu_feed_forget(emu_feed *feed) {
    pthread_mutex_lock(&feed->lock);
    feed->begin = feed->first + (int64_t)feed->n;
    pthread_mutex_unlock(&feed->lock);
}

/* ---- reading ---- */

cpl_feed *emu_feed_read(emu_feed *feed) {
    cpl_feed *reader = cpl_calloc(1, sizeof *reader);
    if (reader == NULL) return NULL;
    cpl_buf_init(&reader->text, BYTES_MAX);
    reader->feed = feed;
    pthread_mutex_lock(&feed->lock);
    feed->users++;
    reader->next = feed->begin > feed->first ? feed->begin : feed->first;
    pthread_mutex_unlock(&feed->lock);
    return reader;
}

void cpl_feed_free(cpl_feed *reader) {
    if (reader == NULL) return;
    release(reader->feed, false);
    cpl_buf_release(&reader->text);
    cpl_free(reader);
}

/* Holds the lock, but for the tick. CPL_OK: the event that is next is there, or was. */
static cpl_status await(cpl_feed *reader, const cpl_wait *wait, cpl_error *err) {
    emu_feed *feed = reader->feed;
    int64_t now = cpl_clock_monotonic_ms(), end = wait && wait->timeout_ms > 0 ? now + wait->timeout_ms : INT64_MAX;
    while (feed->first + (int64_t)feed->n <= reader->next) {
        if (feed->closed) return cpl_fail(err, CPL_STATE, "the emulator was stopped");
        now = cpl_clock_monotonic_ms();
        if (wait == NULL || now >= end) return cpl_fail(err, CPL_TIMEOUT, "no event came");
        cpl_clock_await(&feed->changed, &feed->lock, end - now < TICK_MS ? end : now + TICK_MS);
        if (wait->tick == NULL) continue;
        pthread_mutex_unlock(&feed->lock);
        if (wait->tick(wait->context) != 0) {
            pthread_mutex_lock(&feed->lock);
            return cpl_fail(err, CPL_CANCELLED, "stopped while waiting for an event");
        }
        pthread_mutex_lock(&feed->lock);
    }
    return CPL_OK;
}

static cpl_status take(cpl_feed *reader, cpl_error *err) {
    const emu_feed *feed = reader->feed;
    int64_t missed = feed->first - reader->next;
    const text *found;
    if (missed > 0) {
        reader->next = feed->first;
        reader->missed += missed;
        return cpl_fail(err, CPL_TOO_LARGE, "%lld events are gone: only the newest %d are kept", (long long)missed,
                        EVENTS_MAX);
    }
    found = &feed->ring[(feed->head + (size_t)(reader->next++ - feed->first)) % feed->cap];
    cpl_buf_clear(&reader->text);
    cpl_buf_add(&reader->text, found->p, found->n);
    return cpl_buf_status(&reader->text, "an event", err);
}

int64_t cpl_feed_missed(const cpl_feed *reader) {
    return reader->missed;
}

cpl_status cpl_feed_next(cpl_feed *reader, const cpl_wait *wait, cpl_str *out, cpl_error *err) {
    cpl_status status;
    *out = (cpl_str){NULL, 0};
    pthread_mutex_lock(&reader->feed->lock);
    status = await(reader, wait, err);
    if (status == CPL_OK) status = take(reader, err);
    pthread_mutex_unlock(&reader->feed->lock);
    if (status == CPL_OK) *out = cpl_buf_str(&reader->text);
    return status;
}
