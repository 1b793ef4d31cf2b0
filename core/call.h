/* SPDX-License-Identifier: MIT */
/*
 * One call in steps, so that whoever runs it may wait in a way of their own: call.c sleeps, queue.c does something else
 * meanwhile. begin; then turn, pause, request, send, answer, until it is CPL_OK or again says no; then end.
 */
#ifndef CPL_CALL_H
#define CPL_CALL_H

#include "client.h"
#include "reply.h"
#include "retry.h"
#include "stub.h"

typedef struct cpl_call {
    cpl_client *client;
    const cpl_operation *operation;
    cpl_wait wait;       /* the caller's tick and observer; timeout_ms is the caller's for all of it */
    int64_t deadline_ms; /* monotonic; 0: none */
    cpl_buf body;
    char target[96];
    char id[CPL_UUID_SIZE]; /* the same for all attempts, so that the service's logs show what belongs together */
    cpl_signature signature;
    cpl_buf trace; /* empty outside of Lambda */
    cpl_reply *reply;
    cpl_error *err;
    cpl_canned *canned; /* instead of sending; NULL: none, or its answer is in reply */
    /* the attempt under way, or the last one */
    const cpl_creds_set *set; /* while request views it */
    cpl_http_request request;
    cpl_header headers[12];
    char attempt[64];
    cpl_wait limit;
    int64_t sent_ms, begin_ms, used_s; /* wall, monotonic; the skew it was signed with */
    cpl_retry_class class;
    /* all of them */
    int sent;   /* attempts */
    int resent; /* those that went out twice, because a kept connection broke */
    cpl_retry retry;
    bool skew_corrected;
    int64_t waited_ms; /* whoever pauses adds to it */
} cpl_call;

/* Checks and fills in; err is kept and must outlive the call. Whatever the status, cpl_call_end() is next or later. */
cpl_status cpl_call_begin(cpl_call *call, cpl_client *client, const cpl_operation *operation, cpl_str params,
                          const cpl_call_options *options, cpl_error *err);
/* Before each attempt: *delay_ms is how long to wait first (adaptive mode). */
cpl_status cpl_call_turn(cpl_call *call, int64_t *delay_ms);
/* Gets credentials, which may take a while, and fills call->request with what is to be sent, into reply->response. */
cpl_status cpl_call_request(cpl_call *call);
/* Whether a stub answered instead: nothing is to be sent, the answer is in reply. */
bool cpl_call_stubbed(cpl_call *call);
/* The request ended with status: judges the answer. */
cpl_status cpl_call_answer(cpl_call *call, cpl_status status);
/* After a failure: whether to try again, *delay_ms from now either way; false with *status settled. */
bool cpl_call_again(cpl_call *call, cpl_status *status, int64_t *delay_ms);
/* CPL_TIMEOUT, for the time limit of the whole call. */
cpl_status cpl_call_overdue(cpl_call *call);
/* Hands out the answer (CPL_OK) or the refusal (CPL_SERVICE; NULL: not wanted) and releases the rest. */
cpl_status cpl_call_end(cpl_call *call, cpl_status status, cpl_reply **out, cpl_reply **refusal);

#endif
