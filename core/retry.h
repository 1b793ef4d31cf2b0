/* SPDX-License-Identifier: MIT */
/*
 * When to send again and how long to wait: the AWS SDKs' standard behaviour, version 2.1 (the default since 2026-11)
 * and 2.0. Pure arithmetic: chance and time are passed in. The one thing that is shared is the quota, a single atomic
 * number: it empties while the service is in trouble, so that a client adds little to it, and refills with successes.
 */
#ifndef CPL_RETRY_H
#define CPL_RETRY_H

#include <stdatomic.h>

#include "base.h"

typedef enum cpl_retry_class {
    CPL_RETRY_NEVER,     /* the same request would fail again */
    CPL_RETRY_TRANSIENT, /* the network, or the service's own trouble */
    CPL_RETRY_TIMEOUT,   /* transient as well; dearer in 2.0 */
    CPL_RETRY_THROTTLING,
    CPL_RETRY_SKEW, /* the clock was wrong and is right now; see skew.h */
    CPL_RETRY_CLASS_COUNT
} cpl_retry_class;

/*
 * What a failure is: status of the exchange; for CPL_SERVICE, also the HTTP status and the service's code.
 * LimitExceededException is no throttling here: CodePipeline means a quota by it, which no waiting helps.
 */
cpl_retry_class cpl_retry_classify(cpl_status status, int http_status, cpl_str code);

typedef enum cpl_retry_version { CPL_RETRY_2_1, CPL_RETRY_2_0 } cpl_retry_version;

typedef struct cpl_retry_cost {
    int tokens;       /* a retry takes so many from the quota */
    int64_t scale_ms; /* the first delay at most; doubles with each attempt */
} cpl_retry_cost;

typedef struct cpl_retry_policy {
    int max_attempts; /* 3; the first counts */
    int quota;        /* 500 tokens, at the start and at most */
    int64_t cap_ms;   /* 20 s; no delay is longer */
    bool jitter_last; /* the cap holds before the jitter (2.1), not after (2.0) */
    bool retry_after; /* x-amz-retry-after counts (2.1) */
    cpl_retry_cost cost[CPL_RETRY_CLASS_COUNT];
} cpl_retry_policy;

const cpl_retry_policy *cpl_retry_policy_of(cpl_retry_version version);

typedef struct cpl_retry_quota {
    _Atomic int tokens;
} cpl_retry_quota;

void cpl_retry_quota_init(cpl_retry_quota *quota, int tokens);

/* One call under way; zero it at the start. */
typedef struct cpl_retry {
    int attempts; /* that failed so far */
    int held;     /* tokens the last retry took */
} cpl_retry;

typedef struct cpl_retry_failure {
    cpl_retry_class class;
    cpl_str retry_after; /* the x-amz-retry-after header, milliseconds; anything else in it is ignored */
    bool long_poll;      /* an operation that is called in a loop: waits even when it gives up for want of tokens */
    double random;       /* from 0 to 1 */
} cpl_retry_failure;

typedef enum cpl_retry_verdict {
    CPL_RETRY_AGAIN,
    CPL_RETRY_FINAL,       /* not worth it */
    CPL_RETRY_NO_ATTEMPTS, /* all used up */
    CPL_RETRY_NO_QUOTA
} cpl_retry_verdict;

/* After an attempt that failed. Whatever the verdict, wait *delay_ms before going on or giving up. */
cpl_retry_verdict cpl_retry_next(const cpl_retry_policy *policy, cpl_retry_quota *quota, cpl_retry *call,
                                 const cpl_retry_failure *failure, int64_t *delay_ms);
/* After an attempt that succeeded: gives back what the last retry took, or one token when there was none. */
void cpl_retry_succeeded(const cpl_retry_policy *policy, cpl_retry_quota *quota, const cpl_retry *call);

#endif
