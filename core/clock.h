/* SPDX-License-Identifier: MIT */
/*
 * The only reader of time. Everything below takes the time as an argument; durations come from the monotonic clock.
 * Calendar functions are pure and know no time zone but UTC.
 */
#ifndef CPL_CLOCK_H
#define CPL_CLOCK_H

#include <pthread.h>

#include "base.h"

int64_t cpl_clock_wall_ms(void); /* since 1970, UTC; cpl_clock_monotonic_ms() is in codepipeline.h */
/*
 * Sleeps for duration_ms, asking wait->tick (wait may be NULL) every 100 ms; CPL_CANCELLED when it says stop.
 * wait->timeout_ms plays no part.
 */
cpl_status cpl_clock_sleep(int64_t duration_ms, const cpl_wait *wait, cpl_error *err);

/* A condition whose waits go by the monotonic clock; false: the system has none left. */
bool cpl_clock_condition(pthread_cond_t *condition);
/* Waits for it until cpl_clock_monotonic_ms() is until_ms, or for no reason at all, as conditions do. */
void cpl_clock_await(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ms);

/* "20150830T123600Z" and NUL; seconds must be in the years 1 to 9999. */
#define CPL_TIME_BASIC_SIZE 17
void cpl_time_basic(int64_t seconds, char out[CPL_TIME_BASIC_SIZE]);
/* "2015-08-30T12:36:00Z" and NUL. */
#define CPL_TIME_ISO_SIZE 21
void cpl_time_iso(int64_t seconds, char out[CPL_TIME_ISO_SIZE]);
/* "Sun, 30 Aug 2015 12:36:00 GMT" and NUL. */
#define CPL_TIME_HTTP_SIZE 30
void cpl_time_http(int64_t seconds, char out[CPL_TIME_HTTP_SIZE]);
/*
 * Reads "20150830T123600Z", ISO 8601 ("2015-08-30T12:36:00.5+02:00", fraction and zone optional, no zone is UTC) or an
 * HTTP date; false when it is none of them. *out: seconds since 1970 with fraction.
 */
bool cpl_time_parse(cpl_str text, double *out);

#endif
