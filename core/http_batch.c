/* SPDX-License-Identifier: MIT */
/* Many easy handles in one multi, which owns the connections; whoever waits moves all of them. */
#include "clock.h"
#include "err.h"
#include "fork.h"
#include "http_lane.h"

typedef struct flight {
    transfer transfer; /* its lane is this flight's for good */
    cpl_http_request request;
    cpl_wait wait; /* what request points to */
    void *owner;
    int64_t moved; /* what progress() said last */
    bool again;    /* it went out twice already */
    cpl_status status;
    struct flight *next, *before;
} flight;

struct cpl_http_batch {
    cpl_http *http;
    CURLM *multi;
    uint32_t mark;
    int64_t checked_ms; /* when the clocks were looked at, monotonic */
    flight *flying;     /* under way */
    flight *landed, **last_landed;
    flight *idle; /* kept with their lanes, because connections call back into the lane that opened them */
};

cpl_status cpl_http_batch_new(cpl_http_batch **out, cpl_http *http, cpl_error *err) {
    cpl_http_batch *batch = cpl_calloc(1, sizeof *batch);
    *out = NULL;
    if (batch == NULL) return cpl_fail_nomem(err);
    batch->http = http;
    batch->mark = cpl_fork_mark();
    batch->last_landed = &batch->landed;
    batch->multi = curl_multi_init();
    if (batch->multi == NULL) {
        cpl_free(batch);
        return cpl_fail_nomem(err);
    }
    *out = batch;
    return CPL_OK;
}

static void free_flights(flight *first) {
    while (first) {
        flight *next = first->next;
        cpl_lane_free(first->transfer.lane);
        cpl_free(first);
        first = next;
    }
}

void cpl_http_batch_free(cpl_http_batch *batch) {
    cpl_sigpipe guard;
    if (batch == NULL || batch->mark != cpl_fork_mark())
        return; /* a child must not say good-bye on the parent's connections */
    cpl_lane_hush(&guard);
    for (flight *f = batch->flying; f; f = f->next) curl_multi_remove_handle(batch->multi, f->transfer.lane->easy);
    curl_multi_cleanup(batch->multi);
    cpl_lane_unhush(&guard);
    free_flights(batch->flying);
    free_flights(batch->landed);
    free_flights(batch->idle);
    cpl_free(batch);
}

/* ---- one flight ---- */

static flight *take_idle(cpl_http_batch *batch) {
    flight *f = batch->idle;
    if (f) {
        batch->idle = f->next;
        return f;
    }
    f = cpl_calloc(1, sizeof *f);
    if (f == NULL) return NULL;
    f->transfer.lane = cpl_lane_new(batch->http, false);
    if (f->transfer.lane && curl_easy_setopt(f->transfer.lane->easy, CURLOPT_PRIVATE, (void *)f) == CURLE_OK) return f;
    cpl_lane_free(f->transfer.lane);
    cpl_free(f);
    return NULL;
}

static void give_idle(cpl_http_batch *batch, flight *f) {
    f->next = batch->idle;
    batch->idle = f;
}

static bool take_off(cpl_http_batch *batch, flight *f) {
    if (curl_multi_add_handle(batch->multi, f->transfer.lane->easy) != CURLM_OK) return false;
    f->before = NULL;
    f->next = batch->flying;
    if (f->next) f->next->before = f;
    batch->flying = f;
    return true;
}

/* Closes its connection if the answer is not complete. */
static void take_out(cpl_http_batch *batch, flight *f) {
    cpl_transfer_note(&f->transfer);
    curl_multi_remove_handle(batch->multi, f->transfer.lane->easy);
    if (f->before) f->before->next = f->next;
    if (f->next) f->next->before = f->before;
    if (batch->flying == f) batch->flying = f->next;
}

static void land(cpl_http_batch *batch, flight *f, cpl_status status) {
    take_out(batch, f);
    if (!f->again && cpl_transfer_was_stale(&f->transfer, status)) {
        f->again = true;
        cpl_transfer_again(&f->transfer);
        if (take_off(batch, f)) return;
        status = cpl_fail_nomem(f->transfer.err);
    }
    cpl_transfer_end(&f->transfer);
    f->status = status;
    f->next = NULL;
    *batch->last_landed = f;
    batch->last_landed = &f->next;
}

cpl_status cpl_http_batch_start(cpl_http_batch *batch, const cpl_http_request *request, cpl_http_response *response,
                                void *owner, cpl_error *err) {
    flight *f = take_idle(batch);
    cpl_sigpipe guard;
    cpl_status status;
    if (f == NULL) return cpl_fail_nomem(err);
    f->request = *request;
    f->wait = (cpl_wait){.timeout_ms = request->wait ? request->wait->timeout_ms : 0};
    f->request.wait = &f->wait;
    f->transfer = (transfer){.request = &f->request, .response = response, .lane = f->transfer.lane, .err = err};
    f->owner = owner;
    f->moved = 0;
    f->again = false;
    status = cpl_transfer_init(&f->transfer, batch->http);
    if (status == CPL_OK) status = cpl_transfer_prepare(&f->transfer, batch->http);
    cpl_lane_hush(&guard);
    if (status == CPL_OK && !take_off(batch, f)) {
        cpl_transfer_end(&f->transfer);
        status = cpl_fail_nomem(err);
    }
    cpl_lane_unhush(&guard);
    if (status) give_idle(batch, f);
    return status;
}

void *cpl_http_batch_next(cpl_http_batch *batch, cpl_status *status) {
    flight *f = batch->landed;
    if (f == NULL) return NULL;
    batch->landed = f->next;
    if (batch->landed == NULL) batch->last_landed = &batch->landed;
    *status = f->status;
    give_idle(batch, f);
    return f->owner;
}

void cpl_http_batch_cancel(cpl_http_batch *batch, const void *owner) {
    cpl_sigpipe guard;
    for (flight *f = batch->flying; f; f = f->next) {
        if (f->owner != owner) continue;
        cpl_lane_hush(&guard);
        take_out(batch, f);
        cpl_lane_unhush(&guard);
        cpl_transfer_end(&f->transfer);
        give_idle(batch, f);
        return;
    }
}

/* ---- all of them ---- */

/* Grows with whatever the network does for this transfer. */
static int64_t progress(const flight *f) {
    curl_off_t up = 0, down = 0, connected = 0, secured = 0;
    long sent = 0;
    CURL *easy = f->transfer.lane->easy;
    curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &up);
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
    curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &secured);
    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
    return (int64_t)(up + down + connected + secured) + sent + (int64_t)f->transfer.head_bytes;
}

/* Not with each event: with hundreds under way that would be most of the work. */
static void check_clocks(cpl_http_batch *batch) {
    int64_t now = cpl_clock_monotonic_ms();
    if (now - batch->checked_ms < CPL_HTTP_TICK_MS) return;
    batch->checked_ms = now;
    for (flight *f = batch->flying, *next; f; f = next) {
        int64_t moved = progress(f);
        int slice_ms;
        cpl_status status;
        next = f->next;
        f->transfer.heard = moved != f->moved;
        f->moved = moved;
        status = cpl_transfer_check(&f->transfer, &slice_ms);
        if (status) land(batch, f, status);
    }
}

/* Lands those that libcurl is done with. */
static void collect(cpl_http_batch *batch) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(batch->multi, &left)) != NULL) {
        CURLcode code = message->data.result;
        flight *f = NULL;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        if (f) land(batch, f, cpl_transfer_finish(&f->transfer, code));
    }
}

void cpl_http_batch_wait(cpl_http_batch *batch, int most_ms) {
    cpl_sigpipe guard;
    int running = 0;
    cpl_lane_hush(&guard);
    (void)curl_multi_perform(batch->multi, &running);
    collect(batch);
    check_clocks(batch);
    if (batch->landed) most_ms = 0;
    if (batch->flying && most_ms > CPL_HTTP_TICK_MS) most_ms = CPL_HTTP_TICK_MS;
    if (most_ms > 0) (void)curl_multi_poll(batch->multi, NULL, 0, most_ms, NULL);
    cpl_lane_unhush(&guard);
}

void cpl_http_batch_wake(cpl_http_batch *batch) {
    (void)curl_multi_wakeup(batch->multi);
}
