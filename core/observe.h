/* SPDX-License-Identifier: MIT */
/* What a caller's observer is told of one attempt, with nothing secret in it. */
#ifndef CPL_OBSERVE_H
#define CPL_OBSERVE_H

#include "model.h"
#include "reply.h"

typedef struct cpl_observed {
    const cpl_observer *observer; /* NULL: nobody looks, and both functions do nothing */
    const cpl_client *client;
    const cpl_operation *operation;
    const char *url;
    int attempt;
} cpl_observed;

/* CPL_CANCELLED when the observer says stop. */
cpl_status cpl_observe_request(const cpl_observed *observed, const cpl_header *headers, size_t count, cpl_str body,
                               cpl_error *err);
/* status and err: how the attempt ended. Answers status, or CPL_CANCELLED with err filled anew. */
cpl_status cpl_observe_response(const cpl_observed *observed, const cpl_reply *reply, int64_t duration_ms,
                                cpl_status status, cpl_error *err);

#endif
