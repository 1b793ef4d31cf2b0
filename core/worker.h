/* SPDX-License-Identifier: MIT */
/* The worker from the inside: worker.c polls, acknowledges and hands out; recovery.c takes up what a journal holds. */
#ifndef CPL_WORKER_H
#define CPL_WORKER_H

#include "job.h"
#include "pace.h"

typedef struct cpl_queue { /* one action type */
    char *poll_head;       /* the parameters of PollForJobs, up to the batch size; the journal knows the type by it */
    char *name;            /* "Build/Provider/1", for messages */
    int64_t next_ms;       /* when to poll, monotonic */
    int64_t delay_ms;
    bool idempotent;
} cpl_queue;

typedef struct cpl_leftover cpl_leftover; /* a job that an earlier worker left open */

struct cpl_worker {
    cpl_desk *desk;
    int concurrency;
    int64_t interval_ms;
    atomic_bool stopping;
    cpl_queue *queues;
    size_t queue_count;
    cpl_job *ready;   /* polled, oldest first */
    int64_t ready_ms; /* not before this is the first of them acknowledged, monotonic */
    int64_t pause_ms; /* not before this is a job taken: the journal could not be written */
    cpl_job *kept;    /* acknowledged, not yet due */
    size_t kept_count;
    int64_t quiet_ms; /* not before this is anything owed sent */
    int troubles;     /* how often in a row that did not get through */
    bool recovered;   /* the journal was read */
    cpl_leftover *left;
    int64_t left_ms; /* not before this is the first of them looked after */
};

/* One cpl_worker_next(). */
typedef struct cpl_turn {
    cpl_worker *worker;
    const cpl_wait *wait;
    cpl_wait own; /* its tick also hears of stop */
    cpl_pace pace;
    cpl_error *err; /* what happened last */
} cpl_turn;

/* Reads the journal: what is owed goes in line, what ran is reported failed or, when idempotent, left over. */
cpl_status cpl_recovery_load(cpl_worker *worker, cpl_error *err);
/* Asks the service for one job that is left over, and puts it in line; *next_ms is lowered to when the next is due. */
void cpl_recovery_step(cpl_turn *t, int64_t *next_ms);
void cpl_recovery_free(cpl_leftover *left);

#endif
