/* SPDX-License-Identifier: MIT */
#include "rate.h"

#include <math.h>

#include "err.h"

#define SMOOTH 0.8
#define BETA 0.7          /* what throttling leaves of the rate */
#define SCALE 0.4         /* how steep the curve is */
#define MIN_FILL_RATE 0.5 /* requests a second */
#define MIN_CAPACITY 1.0

static double bucket_at(double now_s) {
    return floor(now_s * 2) / 2;
}

cpl_status cpl_rate_init(cpl_rate *rate, double now_s, cpl_error *err) {
    *rate = (cpl_rate){.bucket_s = bucket_at(now_s)};
    return pthread_mutex_init(&rate->lock, NULL) == 0 ? CPL_OK : cpl_fail_nomem(err);
}

void cpl_rate_release(cpl_rate *rate) {
    pthread_mutex_destroy(&rate->lock);
}

static void refill(cpl_rate *rate, double now_s) {
    if (now_s > rate->filled_s && rate->filled_s > 0) {
        rate->tokens = fmin(rate->capacity, rate->tokens + (now_s - rate->filled_s) * rate->fill_rate);
    }
    rate->filled_s = now_s;
}

int64_t cpl_rate_take(cpl_rate *rate, double now_s) {
    double debt = 0;
    pthread_mutex_lock(&rate->lock);
    if (rate->enabled) {
        refill(rate, now_s);
        rate->tokens -= 1;
        if (rate->tokens < 0) debt = -rate->tokens / rate->fill_rate;
    }
    pthread_mutex_unlock(&rate->lock);
    return (int64_t)ceil(debt * 1000);
}

static void measure(cpl_rate *rate, double now_s) {
    double bucket_s = bucket_at(now_s);
    rate->requests++;
    if (bucket_s <= rate->bucket_s) return;
    rate->measured = rate->requests / (bucket_s - rate->bucket_s) * SMOOTH + rate->measured * (1 - SMOOTH);
    rate->requests = 0;
    rate->bucket_s = bucket_s;
}

/* The rate after a throttled answer; from here the curve begins. */
static double slow_down(cpl_rate *rate, double now_s) {
    double used = rate->enabled ? fmin(rate->measured, rate->fill_rate) : rate->measured;
    rate->last_max_rate = used;
    rate->window_s = cbrt(used * (1 - BETA) / SCALE);
    rate->throttled_s = now_s;
    rate->enabled = true;
    return used * BETA;
}

static double recover(cpl_rate *rate, double now_s) {
    double since = now_s - rate->throttled_s;
    rate->window_s = cbrt(rate->last_max_rate * (1 - BETA) / SCALE);
    return SCALE * pow(since - rate->window_s, 3) + rate->last_max_rate;
}

void cpl_rate_answered(cpl_rate *rate, bool throttled, double now_s) {
    double wanted;
    pthread_mutex_lock(&rate->lock);
    measure(rate, now_s);
    wanted = throttled ? slow_down(rate, now_s) : recover(rate, now_s);
    refill(rate, now_s);
    rate->fill_rate = fmax(fmin(wanted, 2 * rate->measured), MIN_FILL_RATE);
    rate->capacity = fmax(fmin(wanted, 2 * rate->measured), MIN_CAPACITY);
    rate->tokens = fmin(rate->tokens, rate->capacity);
    pthread_mutex_unlock(&rate->lock);
}
