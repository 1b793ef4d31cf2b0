/* SPDX-License-Identifier: MIT */
#include "s3_lanes.h"

#include "clock.h"
#include "err.h"

#define TICK_MS 50 /* as long as it waits at most */

typedef struct lane {
    s3_exchange exchange;
    s3_request request;
    int64_t due_ms; /* not before, monotonic */
    bool used, flying;
} lane;

typedef struct lanes {
    const s3_work *work;
    cpl_http_batch *batch;
    lane *items;
    bool more; /* there may be parts that nobody has begun */
    cpl_error *err;
} lanes;

static size_t index_of(const lanes *all, const lane *at) {
    return (size_t)(at - all->items);
}

static void retire(lane *at) {
    s3_exchange_release(&at->exchange);
    at->used = false;
}

static cpl_status give_up(const lanes *all, const lane *at) {
    const s3_work *work = all->work;
    cpl_error failure = at->exchange.failure;
    if (work->failed) work->failed(work->context, index_of(all, at), &failure);
    if (all->err) *all->err = failure;
    return failure.status;
}

static cpl_status settle(lanes *all, lane *at, cpl_status status) {
    const s3_work *work = all->work;
    int64_t delay_ms;
    s3_verdict verdict = s3_exchange_answer(&at->exchange, status, &delay_ms);
    at->flying = false;
    if (verdict == S3_FAILED) return give_up(all, at);
    if (verdict == S3_AGAIN) {
        at->due_ms = cpl_clock_monotonic_ms() + delay_ms;
        if (work->again) work->again(work->context, index_of(all, at), &at->request, &at->exchange.response);
        return CPL_OK;
    }
    status = work->done(work->context, index_of(all, at), &at->request, &at->exchange.response, all->err);
    retire(at);
    return status;
}

static cpl_status launch(lanes *all, lane *at) {
    s3_exchange *x = &at->exchange;
    cpl_status status = s3_exchange_build(x);
    if (status == CPL_OK) status = cpl_http_batch_start(all->batch, &x->http, &x->response, at, &x->failure);
    if (status != CPL_OK) return settle(all, at, status);
    at->flying = true;
    return CPL_OK;
}

/* What waits for another attempt: sent when it is time, given up when nobody wants it any more. */
static cpl_status launch_due(lanes *all) {
    int64_t now = cpl_clock_monotonic_ms();
    cpl_status status = CPL_OK;
    for (lane *at = all->items; status == CPL_OK && at < all->items + S3_LANES_MAX; at++) {
        if (!at->used || at->flying) continue;
        if (s3_session_ends(all->work->session)) return give_up(all, at);
        if (at->due_ms <= now) status = launch(all, at);
    }
    return status;
}

/* One at a time: to make a request may take as long as to read a part, and the others should move meanwhile. */
static cpl_status launch_next(lanes *all) {
    const s3_work *work = all->work;
    lane *at = all->items;
    cpl_status status;
    while (at < all->items + S3_LANES_MAX && at->used) at++;
    if (!all->more || at == all->items + S3_LANES_MAX) return CPL_OK;
    at->request = (s3_request){0};
    status = work->next(work->context, index_of(all, at), &at->request, &all->more, all->err);
    if (status != CPL_OK || !all->more) return status;
    s3_exchange_init(&at->exchange, work->session, &at->request);
    at->used = true;
    return launch(all, at);
}

static cpl_status land_all(lanes *all) {
    cpl_status status, landed = CPL_OK;
    lane *at;
    while (landed == CPL_OK && (at = cpl_http_batch_next(all->batch, &status)) != NULL) {
        landed = settle(all, at, status);
    }
    return landed;
}

static size_t count_used(const lanes *all) {
    size_t count = 0;
    for (size_t i = 0; i < S3_LANES_MAX; i++) count += all->items[i].used;
    return count;
}

static void tell(const lanes *all) {
    int64_t moved = 0;
    for (size_t i = 0; i < S3_LANES_MAX; i++) {
        const cpl_http_response *response = &all->items[i].exchange.response;
        if (!all->items[i].flying) continue;
        moved += all->items[i].request.to_fd ? response->body_bytes : response->sent_bytes;
    }
    s3_session_tell(all->work->session, moved, all->work->size);
}

static cpl_status run(lanes *all) {
    cpl_status status;
    do {
        tell(all);
        status = cpl_pace_check(&all->work->session->pace, all->err);
        if (status == CPL_OK) status = launch_due(all);
        if (status == CPL_OK) status = launch_next(all);
        if (status == CPL_OK) {
            bool idle = all->more && count_used(all) < S3_LANES_MAX;
            cpl_http_batch_wait(all->batch, idle ? 0 : TICK_MS);
            status = land_all(all);
        }
    } while (status == CPL_OK && (all->more || count_used(all) > 0));
    return status;
}

cpl_status s3_lanes_run(const s3_work *work, cpl_error *err) {
    lanes all = {.work = work, .items = cpl_calloc(S3_LANES_MAX, sizeof *all.items), .more = true, .err = err};
    cpl_status status = all.items ? cpl_http_batch_new(&all.batch, work->session->s3->http, err) : cpl_fail_nomem(err);
    if (status == CPL_OK) status = run(&all);
    cpl_http_batch_free(all.batch); /* and what is still under way with it */
    for (size_t i = 0; all.items && i < S3_LANES_MAX; i++) {
        if (all.items[i].used) retire(&all.items[i]);
    }
    cpl_free(all.items);
    return status;
}
