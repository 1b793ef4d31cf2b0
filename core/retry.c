/* SPDX-License-Identifier: MIT */
#include "retry.h"

static const cpl_retry_policy policies[] = {
    [CPL_RETRY_2_1] = {.max_attempts = 3,
                       .quota = 500,
                       .cap_ms = 20000,
                       .jitter_last = true,
                       .retry_after = true,
                       .cost = {[CPL_RETRY_TRANSIENT] = {14, 50},
                                [CPL_RETRY_TIMEOUT] = {14, 50},
                                [CPL_RETRY_THROTTLING] = {5, 1000},
                                [CPL_RETRY_SKEW] = {14, 0}}},
    [CPL_RETRY_2_0] = {.max_attempts = 3,
                       .quota = 500,
                       .cap_ms = 20000,
                       .cost = {[CPL_RETRY_TRANSIENT] = {5, 1000},
                                [CPL_RETRY_TIMEOUT] = {10, 1000},
                                [CPL_RETRY_THROTTLING] = {5, 1000},
                                [CPL_RETRY_SKEW] = {5, 0}}},
};

/* How much longer than the computed delay x-amz-retry-after can make a wait. */
#define RETRY_AFTER_EXTRA_MS 5000

static const char *const throttling_codes[] = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
};

static const char *const transient_codes[] = {"RequestTimeout", "RequestTimeoutException"};

static bool is_one_of(cpl_str code, const char *const *codes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (cpl_str_is(code, codes[i])) return true;
    }
    return false;
}

static cpl_retry_class classify_answer(int http_status, cpl_str code) {
    if (is_one_of(code, throttling_codes, CPL_COUNT(throttling_codes))) return CPL_RETRY_THROTTLING;
    if (is_one_of(code, transient_codes, CPL_COUNT(transient_codes))) return CPL_RETRY_TRANSIENT;
    switch (http_status) {
    case 429: return CPL_RETRY_THROTTLING;
    case 500:
    case 502:
    case 503:
    case 504: return CPL_RETRY_TRANSIENT;
    default: return CPL_RETRY_NEVER;
    }
}

cpl_retry_class cpl_retry_classify(cpl_status status, int http_status, cpl_str code) {
    switch (status) {
    case CPL_SERVICE: return classify_answer(http_status, code);
    case CPL_NETWORK:
    case CPL_PROTOCOL: return CPL_RETRY_TRANSIENT;
    case CPL_TIMEOUT: return CPL_RETRY_TIMEOUT;
    default: return CPL_RETRY_NEVER;
    }
}

const cpl_retry_policy *cpl_retry_policy_of(cpl_retry_version version) {
    return &policies[version];
}

void cpl_retry_quota_init(cpl_retry_quota *quota, int tokens) {
    atomic_init(&quota->tokens, tokens);
}

static bool take(cpl_retry_quota *quota, int tokens) {
    int have = atomic_load(&quota->tokens);
    do {
        if (have < tokens) return false;
    } while (!atomic_compare_exchange_weak(&quota->tokens, &have, have - tokens));
    return true;
}

static void give(cpl_retry_quota *quota, int tokens, int most) {
    int have = atomic_load(&quota->tokens), want;
    do {
        want = have + tokens < most ? have + tokens : most;
        if (want == have) return; /* the usual case, a full quota: nothing is written that other threads read */
    } while (!atomic_compare_exchange_weak(&quota->tokens, &have, want));
}

static int64_t delay_of(const cpl_retry_policy *policy, const cpl_retry *call, const cpl_retry_failure *failure) {
    int doublings = call->attempts < 32 ? call->attempts - 1 : 31; /* far past any cap, and no overflow */
    double longest = (double)(policy->cost[failure->class].scale_ms << doublings), cap = (double)policy->cap_ms;
    int64_t delay, asked;
    if (policy->jitter_last && longest > cap) longest = cap;
    longest *= failure->random;
    delay = (int64_t)(longest < cap ? longest : cap);
    if (policy->retry_after && cpl_str_integer(failure->retry_after, &asked) && asked > delay) {
        delay = asked < delay + RETRY_AFTER_EXTRA_MS ? asked : delay + RETRY_AFTER_EXTRA_MS;
    }
    return delay;
}

cpl_retry_verdict cpl_retry_next(const cpl_retry_policy *policy, cpl_retry_quota *quota, cpl_retry *call,
                                 const cpl_retry_failure *failure, int64_t *delay_ms) {
    int cost = policy->cost[failure->class].tokens;
    *delay_ms = 0;
    call->attempts++;
    if (failure->class == CPL_RETRY_NEVER) return CPL_RETRY_FINAL;
    if (call->attempts >= policy->max_attempts) return CPL_RETRY_NO_ATTEMPTS;
    if (!take(quota, cost)) {
        if (failure->long_poll) *delay_ms = delay_of(policy, call, failure);
        return CPL_RETRY_NO_QUOTA;
    }
    call->held = cost;
    *delay_ms = delay_of(policy, call, failure);
    return CPL_RETRY_AGAIN;
}

void cpl_retry_succeeded(const cpl_retry_policy *policy, cpl_retry_quota *quota, const cpl_retry *call) {
    give(quota, call->held > 0 ? call->held : 1, policy->quota);
}
