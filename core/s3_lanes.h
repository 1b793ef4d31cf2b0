/* SPDX-License-Identifier: MIT */
/*
 * The parts of one object, a few requests at a time on this thread; each is sent again by itself. For s3_get.c and
 * s3_put.c, which know what the requests are.
 */
#ifndef CPL_S3_LANES_H
#define CPL_S3_LANES_H

#include "s3_exchange.h"

#define S3_LANES_MAX 4

typedef struct s3_work {
    s3_session *session;
    int64_t size; /* of the whole, for the progress */
    void *context;
    /* Makes the next part's request for that lane, whose last one is over. *more is false when there is none left. */
    cpl_status (*next)(void *context, size_t lane, s3_request *request, bool *more, cpl_error *err);
    /* It failed, and goes again: what has arrived need not come once more. May be NULL. */
    void (*again)(void *context, size_t lane, s3_request *request, const cpl_http_response *response);
    cpl_status (*done)(void *context, size_t lane, const s3_request *request, const cpl_http_response *response,
                       cpl_error *err);
    /* It failed for good: says it better. May be NULL. */
    void (*failed)(void *context, size_t lane, cpl_error *err);
} s3_work;

/* Until all parts are done, or one failed for good; then none is under way any more. */
cpl_status s3_lanes_run(const s3_work *work, cpl_error *err);

#endif
