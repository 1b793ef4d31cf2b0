/* SPDX-License-Identifier: MIT */
/*
 * What those who poll have in common: answers that are new enough for several of them, one request at a time for each
 * question, and a pace for all. Thread-safe; a forked child begins with an empty one.
 */
#ifndef CPL_WATCH_H
#define CPL_WATCH_H

#include <stdatomic.h>

#include "json.h"

typedef struct cpl_watch cpl_watch;

/* An answer, read by several at once and changed by nobody. */
typedef struct cpl_answer {
    atomic_int references;
    int64_t asked; /* stamp: it tells nothing of what happened after this */
    cpl_json *document;
} cpl_answer;

void cpl_answer_drop(cpl_answer *answer); /* NULL is fine */

typedef struct cpl_question {
    const char *key;    /* equal for equal questions */
    int64_t not_before; /* stamp: an answer asked for then or later will do */
    int64_t spacing_ms; /* between two requests, whoever sends them */
    /* Sends the request; the caller owns *out. Called without any lock held. */
    cpl_status (*fetch)(void *context, const cpl_wait *wait, cpl_json **out, cpl_error *err);
    void *context;
} cpl_question;

cpl_watch *cpl_watch_new(void); /* NULL: out of memory */
void cpl_watch_free(cpl_watch *watch);
/* A stamp of now: microseconds that pass as on the monotonic clock, and are never the same twice. */
int64_t cpl_watch_now(cpl_watch *watch);
/*
 * An answer new enough, somebody else's or one of our own; *out is for cpl_answer_drop(). A throttled request slows
 * everybody down. CPL_TIMEOUT when wait->timeout_ms passed; else what fetch answers. err must not be NULL.
 */
cpl_status cpl_watch_ask(cpl_watch *watch, const cpl_question *question, const cpl_wait *wait, cpl_answer **out,
                         cpl_error *err);
/* How many of the caller's objects look at the subject, after adding change. */
int cpl_watch_count(cpl_watch *watch, const char *subject, int change);

#endif
