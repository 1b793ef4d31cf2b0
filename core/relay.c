/* SPDX-License-Identifier: MIT */
/*
 * Carries an emulator's events on: lines of a file, or requests to an address. It is a reader like any other, in a
 * thread of its own, so a target that is slow or gone holds up nothing but itself; what it misses is counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "fork.h"
#include "http.h"
#include "thread.h"

#define LAST_MS 2000 /* for what is left when it is told to stop */
#define ATTEMPTS 3
#define PAUSE_MS 100 /* before the second attempt; four times as long before the third */
#define SLICE_MS 50
#define ANSWER_MAX ((size_t)1 << 16)

struct cpl_relay {
    cpl_feed *feed;
    char *url;      /* NULL: a file */
    cpl_http *http; /* the same */
    int fd;
    uint32_t mark; /* a child of a fork has no such thread */
    pthread_t thread;
    atomic_llong end_ms; /* monotonic: when to give up; INT64_MAX while nobody wants it to stop */
    bool down;           /* the last event did not get through: the next ones have one attempt each */
    pthread_mutex_t lock;
    cpl_relay_report report;
};

static bool stopping(const cpl_relay *relay) {
    return atomic_load(&relay->end_ms) != INT64_MAX;
}

static int is_over(void *context) {
    const cpl_relay *relay = context;
    return cpl_clock_monotonic_ms() >= atomic_load(&relay->end_ms);
}

static int is_told_to_stop(void *context) {
    return stopping(context);
}

static void count(cpl_relay *relay, int64_t delivered, int64_t dropped, const char *reason) {
    pthread_mutex_lock(&relay->lock);
    relay->report.delivered += delivered;
    relay->report.dropped += dropped;
    if (reason) cpl_copy_text(relay->report.reason, sizeof relay->report.reason, cpl_str_of(reason));
    pthread_mutex_unlock(&relay->lock);
}

/* ---- to an address ---- */

/* *again: it may go better the next time. */
static cpl_status post(cpl_relay *relay, cpl_str event, bool *again, cpl_error *err) {
    static const cpl_header headers[] = {{CPL_LIT("content-type"), CPL_LIT("application/json")}};
    const cpl_wait wait = {.tick = is_over, .context = relay};
    const cpl_http_request request = {.method = CPL_LIT("POST"),
                                      .url = cpl_str_of(relay->url),
                                      .headers = headers,
                                      .header_count = 1,
                                      .body = event,
                                      .body_limit = ANSWER_MAX,
                                      .wait = &wait};
    cpl_http_response response;
    cpl_status status;
    cpl_http_response_init(&response);
    status = cpl_http_send(relay->http, &request, &response, err);
    *again = status == CPL_NETWORK || status == CPL_TIMEOUT || response.status >= 500 || response.status == 429;
    if (status == CPL_OK && (response.status < 200 || response.status > 299))
        status = cpl_fail(err, CPL_PROTOCOL, "it answered with HTTP status %d", response.status);
    cpl_http_response_release(&response);
    return status;
}

static cpl_status send(cpl_relay *relay, cpl_str event, cpl_error *err) {
    const cpl_wait wait = {.tick = is_over, .context = relay};
    bool again = true;
    cpl_status status = post(relay, event, &again, err);
    int64_t pause_ms = PAUSE_MS;
    for (int i = 1; status && again && !relay->down && i < ATTEMPTS; i++, pause_ms *= 4) {
        if (cpl_clock_sleep(pause_ms, &wait, NULL)) break;
        status = post(relay, event, &again, err);
    }
    return status;
}

/* ---- to a file ---- */

static cpl_status write_failed(cpl_error *err) {
    return cpl_fail(err, CPL_IO, "%s", strerror(errno));
}

/* The file may be a pipe that nobody empties. */
static cpl_status write_all(const cpl_relay *relay, cpl_str bytes, cpl_error *err) {
    while (bytes.n > 0) {
        ssize_t n = write(relay->fd, bytes.p, bytes.n);
        struct pollfd ready = {.fd = relay->fd, .events = POLLOUT};
        if (n > 0) bytes = cpl_str_sub(bytes, (size_t)n, bytes.n);
        if (n >= 0 || errno == EINTR) continue;
        if (errno != EAGAIN) return write_failed(err);
        if (is_over((void *)relay)) return cpl_fail(err, CPL_IO, "nobody reads it");
        poll(&ready, 1, SLICE_MS);
    }
    return CPL_OK;
}

static cpl_status append(const cpl_relay *relay, cpl_str event, cpl_error *err) {
    cpl_buf line;
    cpl_status status;
    cpl_buf_init(&line, event.n + 1);
    cpl_buf_addv(&line, event);
    cpl_buf_addc(&line, '\n');
    status = cpl_buf_status(&line, "a line", err);
    if (status == CPL_OK) status = write_all(relay, cpl_buf_str(&line), err);
    cpl_buf_release(&line);
    return status;
}

/* ---- the thread ---- */

static void carry_one(cpl_relay *relay, cpl_str event) {
    cpl_error err;
    cpl_status status = relay->url ? send(relay, event, &err) : append(relay, event, &err);
    relay->down = status != CPL_OK;
    count(relay, status == CPL_OK, status != CPL_OK, status ? err.message : NULL);
}

static void *carry(void *context) {
    cpl_relay *relay = context;
    const cpl_wait wait = {.tick = is_told_to_stop, .context = relay};
    int64_t missed = 0;
    for (cpl_status status = CPL_OK; status != CPL_STATE && status != CPL_TIMEOUT;) {
        cpl_error err;
        cpl_str event;
        status = cpl_feed_next(relay->feed, stopping(relay) ? NULL : &wait, &event, &err);
        if (cpl_feed_missed(relay->feed) > missed) count(relay, 0, cpl_feed_missed(relay->feed) - missed, err.message);
        missed = cpl_feed_missed(relay->feed);
        if (status == CPL_NOMEM) count(relay, 0, 1, err.message);
        if (status == CPL_OK && is_over(relay))
            count(relay, 0, 1, NULL); /* no time is left: only counted */
        else if (status == CPL_OK)
            carry_one(relay, event);
    }
    return NULL;
}

/* ---- life ---- */

static cpl_status open_address(cpl_relay *relay, cpl_str target, cpl_error *err) {
    static const cpl_http_options options = {
        .connect_timeout_ms = 2000, .read_timeout_ms = 5000, .total_timeout_ms = 10000};
    cpl_url url;
    if (!cpl_url_parse(target, &url))
        return cpl_fail_at(err, CPL_INVALID, "events", "events: \"%.*s\" is not a usable URL",
                           (int)cpl_utf8_cut(target, 200), target.p);
    relay->url = cpl_strdup(target);
    return relay->url ? cpl_http_new(&relay->http, &options, err) : cpl_fail_nomem(err);
}

static cpl_status open_file(cpl_relay *relay, cpl_str target, cpl_error *err) {
    char *path = cpl_strdup(target);
    if (path == NULL) return cpl_fail_nomem(err);
    relay->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
    if (relay->fd < 0) cpl_fail_at(err, CPL_IO, "events", "events: \"%s\": %s", path, strerror(errno));
    cpl_free(path);
    return relay->fd < 0 ? CPL_IO : CPL_OK;
}

static void release(cpl_relay *relay) {
    cpl_feed_free(relay->feed);
    cpl_http_free(relay->http);
    if (relay->fd >= 0) close(relay->fd);
    pthread_mutex_destroy(&relay->lock);
    cpl_free(relay->url);
    cpl_free(relay);
}

cpl_status cpl_relay_start(cpl_relay **out, cpl_emulator *emulator, cpl_str target, cpl_error *err) {
    cpl_relay *relay = cpl_calloc(1, sizeof *relay);
    bool address = cpl_str_starts(target, "http://") || cpl_str_starts(target, "https://");
    cpl_status status;
    *out = NULL;
    if (relay == NULL) return cpl_fail_nomem(err);
    relay->fd = -1;
    relay->mark = cpl_fork_mark();
    atomic_init(&relay->end_ms, INT64_MAX);
    pthread_mutex_init(&relay->lock, NULL);
    status = address ? open_address(relay, target, err) : open_file(relay, target, err);
    if (status == CPL_OK) status = cpl_emulator_feed(emulator, &relay->feed, err);
    if (status == CPL_OK && !cpl_thread_start(&relay->thread, carry, relay)) status = cpl_fail_nomem(err);
    if (status == CPL_OK) {
        *out = relay;
    } else {
        release(relay);
    }
    return status;
}

void cpl_relay_tell(cpl_relay *relay, cpl_relay_report *out) {
    pthread_mutex_lock(&relay->lock);
    *out = relay->report;
    pthread_mutex_unlock(&relay->lock);
}

void cpl_relay_stop(cpl_relay *relay, cpl_relay_report *out) {
    if (out) *out = (cpl_relay_report){.delivered = 0};
    if (relay == NULL || relay->mark != cpl_fork_mark()) return;
    atomic_store(&relay->end_ms, cpl_clock_monotonic_ms() + LAST_MS);
    pthread_join(relay->thread, NULL);
    if (out) cpl_relay_tell(relay, out);
    release(relay);
}
