/* SPDX-License-Identifier: MIT */
/*
 * The rate limiter of the SDKs' adaptive retry mode: it does nothing until the service throttles, then holds requests
 * back to a rate that falls with every throttled answer and recovers along a cubic curve. Time is passed in.
 */
#ifndef CPL_RATE_H
#define CPL_RATE_H

#include <pthread.h>

#include "base.h"

typedef struct cpl_rate {
    pthread_mutex_t lock; /* for all below */
    bool enabled;
    /* what was sent, measured in half seconds */
    double measured; /* requests a second, smoothed */
    double bucket_s; /* the half second that is being counted */
    int requests;
    /* the bucket of tokens; a request takes one, and may leave a debt that the next ones wait for */
    double fill_rate, capacity, tokens, filled_s;
    /* the curve */
    double last_max_rate, window_s, throttled_s;
} cpl_rate;

cpl_status cpl_rate_init(cpl_rate *rate, double now_s, cpl_error *err); /* counting begins */
void cpl_rate_release(cpl_rate *rate);
/* Before a request: how many milliseconds to wait first. */
int64_t cpl_rate_take(cpl_rate *rate, double now_s);
/* After an answer. */
void cpl_rate_answered(cpl_rate *rate, bool throttled, double now_s);

#endif
