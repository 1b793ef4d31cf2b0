/* SPDX-License-Identifier: MIT */
/* What comes back from a call in awsJson 1.1: an answer, or an error in one of its many dresses. */
#ifndef CPL_REPLY_H
#define CPL_REPLY_H

#include "http.h"

struct cpl_reply {
    cpl_http_response response;
    uint16_t output;       /* the shape of what the operation answers */
    uint16_t shape;        /* of the document there is: that, or an error's */
    bool unchecked;        /* the document is left to its reader if it begins an object */
    const char *operation; /* NULL: not the answer of one */
    int attempts;
    int64_t retry_delay_ms;
    char request_id[sizeof((cpl_error *)0)->request_id];
};

cpl_reply *cpl_reply_new(uint16_t shape); /* NULL: out of memory */
/*
 * Looks at the complete answer in reply->response. CPL_OK: 2xx with one JSON object (no body at all counts as {}), read
 * to its end unless it is unchecked, so that no reader of it can fail half-way. CPL_PROTOCOL: 2xx with anything else.
 * CPL_SERVICE: any other status; code and message are the service's, or the HTTP status and what came instead. Fills
 * err but for attempts and retryable.
 */
cpl_status cpl_reply_judge(cpl_reply *reply, cpl_error *err);

#endif
