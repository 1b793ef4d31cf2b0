/* SPDX-License-Identifier: MIT */
/*
 * One request to S3 in steps, for the s3*.c files alone: built and signed, sent by whoever waits for it (s3_send) or
 * together with others (s3_get.c), judged, and sent again or not.
 */
#ifndef CPL_S3_EXCHANGE_H
#define CPL_S3_EXCHANGE_H

#include "pace.h"
#include "retry.h"
#include "s3.h"
#include "xml.h"

#define S3_MIB ((int64_t)1 << 20)
#define S3_HEADERS_MAX 16
#define S3_EMPTY_SHA256 CPL_LIT("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

/* One call of s3.h: its requests share what was found out about the bucket and about the keys. */
typedef struct s3_session {
    const cpl_s3 *s3;
    const cpl_s3_target *target;
    char region[64];
    bool moved;    /* the region was corrected; once is enough */
    unsigned keys; /* how often others were got */
    bool unproven; /* they were, and nothing has succeeded with them since */
    cpl_pace pace;
    int64_t waited_ms;
    int64_t done; /* bytes of the object that have moved, without those of the request under way */
} s3_session;

typedef struct s3_request {
    const char *method, *operation;
    cpl_str query;
    const cpl_header *headers; /* x-amz-*, content-type, range; signed */
    size_t header_count;
    cpl_str sha256; /* of the body */
    cpl_str body;
    int fd; /* source or sink */
    bool from_fd, to_fd;
    bool from_scratch;    /* the sink is emptied before each attempt */
    int64_t offset, size; /* in the file; size: of a source */
    size_t limit, enough; /* of a sink; see cpl_http_request */
    const char *header;   /* by this the answer is known to be S3's, */
    const char *element;  /* or by this in its body, */
    int status;           /* or by this, which a page does not come with */
} s3_request;

typedef struct s3_exchange {
    s3_session *session;
    const s3_request *request;
    cpl_http_request http; /* what it points to lives here, until it is built anew */
    cpl_http_response response;
    cpl_header headers[S3_HEADERS_MAX];
    cpl_signature signature;
    cpl_buf url;
    cpl_wait rest;
    cpl_retry_policy policy;
    cpl_retry_quota quota; /* of this request: there are few, and each carries much */
    cpl_retry call;
    int resent;
    unsigned keys;           /* those it was signed with */
    int64_t sent_ms, used_s; /* by this machine's wall clock; what was added to it */
    int64_t failing_ms;      /* when it failed first, monotonic; 0: it did not */
    bool skew_corrected;
    bool corrupted; /* S3 got other bytes than were sent, once already */
    cpl_error failure;
} s3_exchange;

typedef enum s3_verdict { S3_DONE, S3_AGAIN, S3_FAILED } s3_verdict;

void s3_session_init(s3_session *session, const cpl_s3 *s3, const cpl_s3_target *target);
/* Tells target->wait's progress, if it has one, that moved bytes more than session->done have. */
void s3_session_tell(const s3_session *session, int64_t moved, int64_t total);

/* The object has moved, size bytes: the progress says so, and the tick sees it. CPL_CANCELLED: it said stop. */
cpl_status s3_session_end(s3_session *session, int64_t size, cpl_error *err);

/* Both must outlive it. */
void s3_exchange_init(s3_exchange *x, s3_session *session, const s3_request *request);
void s3_exchange_release(s3_exchange *x);
/* Builds and signs x->http; failure is for s3_exchange_answer() to judge. */
cpl_status s3_exchange_build(s3_exchange *x);
/*
 * What came of it, by the status of sending or building. S3_AGAIN: after *delay_ms, for which there is time; S3_FAILED:
 * x->failure says why. May get other keys meanwhile.
 */
s3_verdict s3_exchange_answer(s3_exchange *x, cpl_status status, int64_t *delay_ms);
/* There is no reason to wait any longer for another attempt. */
bool s3_session_ends(const s3_session *session);
/* The document that the answer is. */
cpl_status s3_parse(const cpl_http_response *response, cpl_xml **out, cpl_error *err);
/* All of it, and waits. Fills err from x->failure. */
cpl_status s3_send(s3_exchange *x, cpl_error *err);

/* "s3://bucket/key", cut, for messages. */
#define S3_NAME_SIZE 400
void s3_name(const cpl_s3_target *target, char out[S3_NAME_SIZE]);

#endif
