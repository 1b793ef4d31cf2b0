/* SPDX-License-Identifier: MIT */
/*
 * What http.c (a request and its caller, who waits) and http_batch.c (many requests on one thread) have in common.
 */
#ifndef CPL_HTTP_LANE_H
#define CPL_HTTP_LANE_H

#include <stdatomic.h>

#include "http.h"
#include "http_route.h"
#include "libcurl.h"
#include "sigpipe.h"

#define CPL_HTTP_TICK_MS 90 /* under the 100 ms that cpl_wait promises */
#define HEADERS_MAX 64
#define LANE_SOCKETS 8

struct transfer;

typedef struct lane {
    CURLM *multi;
    CURL *easy;
    struct lane *next;
    unsigned generation;
    struct transfer *transfer; /* the one under way; what the callbacks work on */
    CURLU *parsed;             /* what the easy handle is set to */
    cpl_buf url;               /* that as it was given */
    cpl_buf lines;             /* the header lines, each with its NUL */
    struct curl_slist nodes[HEADERS_MAX];
    bool bulk;                 /* the easy handle has large buffers */
    int64_t connect_ms;        /* and this time limit to connect */
    int https;                 /* and the proxy for this kind of URL; -1: none was set yet */
    int sockets[LANE_SOCKETS]; /* open ones, so that a forked child can close them behind libcurl's back */
    char detail[CURL_ERROR_SIZE];
} lane;

typedef struct pool pool;

struct cpl_http {
    cpl_http_route route;
    cpl_http_limits limits;
    _Atomic(pool *) pool;
};

typedef struct transfer {
    const cpl_http *http;
    const cpl_http_request *request;
    const cpl_http_limits *limits;
    cpl_http_response *response;
    cpl_url url;
    char host[288]; /* url.authority, for messages */
    lane *lane;
    cpl_error *err;
    cpl_status failed; /* why a callback made libcurl stop; err is filled */
    size_t head_bytes;
    bool head_done;
    bool to_sink;
    int64_t body_at; /* bytes of body_fd sent */
    /* the clock of this transfer, monotonic */
    int64_t start_ms, tick_ms, active_ms;
    int64_t limit_ms; /* for all of it; 0: none */
    bool heard;       /* the socket had something since active_ms */
} transfer;

/* Around whatever may write to a connection: no SIGPIPE for the host. Three system calls where libcurl needs that. */
void cpl_lane_hush(cpl_sigpipe *guard);
void cpl_lane_unhush(const cpl_sigpipe *guard);

/* NULL: out of memory. alone: with a multi of its own; else it goes into a batch's. */
lane *cpl_lane_new(const cpl_http *http, bool alone);
/* Connections that the lane opened call back into it until they are closed: a batch's multi goes before its lanes. */
void cpl_lane_free(lane *at);

/* Checks the request and fills what follows from it and from http. Clears the response. */
cpl_status cpl_transfer_init(transfer *t, const cpl_http *http);
/* Sets t->lane up for the request and starts the clocks. */
cpl_status cpl_transfer_prepare(transfer *t, const cpl_http *http);
/* Asks the tick and the clocks; *slice_ms is how long to wait at most before the next time. */
cpl_status cpl_transfer_check(transfer *t, int *slice_ms);
/* libcurl is done with it: how it ended. */
cpl_status cpl_transfer_finish(transfer *t, CURLcode code);
/* Before the easy handle leaves its multi: what is known of the way the transfer took. */
void cpl_transfer_note(transfer *t);
/* It ended with status over a kept connection that was dead: go again with fresh, once. */
bool cpl_transfer_was_stale(const transfer *t, cpl_status status);
void cpl_transfer_again(transfer *t);
/* The lane is free for another. */
void cpl_transfer_end(transfer *t);

#endif
