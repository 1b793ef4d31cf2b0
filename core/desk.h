/* SPDX-License-Identifier: MIT */
/*
 * What a worker and its jobs have in common: the client, the slots, and the results the service has not accepted yet.
 * Counted, because either may go first; thread-safe, because jobs are answered on threads of their own.
 */
#ifndef CPL_DESK_H
#define CPL_DESK_H

#include <pthread.h>
#include <stdatomic.h>

#include "backlog.h"
#include "client.h"
#include "customers.h"
#include "journal.h"
#include "leftover.h"

/* Where a job comes from, and its result goes. Both live as long as the desk. */
typedef struct cpl_origin {
    cpl_client *client;   /* of the region it was polled in */
    const char *customer; /* the client id of a third-party job; else NULL */
} cpl_origin;

/* A result on its way to the service. It outlives its job; its parameters are wiped when it is freed. */
typedef struct cpl_owed {
    struct cpl_owed *next;
    cpl_origin origin;
    const char *operation; /* static */
    char *params;          /* without the client token, which is added when it is sent */
    bool ambiguous;        /* it was sent and no answer came: it may have been accepted */
    /* of a job that was polled, see cpl_owed_sign() */
    char *job_id, *nonce;
    int64_t deadline_ms;    /* monotonic: when the service has long ended the job by itself; 0: never */
    bool recorded;          /* the journal has it */
    bool inherited;         /* a failure from an earlier worker: what it should remove is not known */
    cpl_leftover *leftover; /* to be removed once this is accepted, by whoever sends it; NULL: nothing */
} cpl_owed;

/* What a result is told with. */
typedef enum cpl_verdict { CPL_VERDICT_SUCCESS, CPL_VERDICT_FAILURE } cpl_verdict;

/* params are copied; NULL when out of memory. */
cpl_owed *cpl_owed_new(const cpl_origin *origin, cpl_verdict verdict, cpl_str params);
void cpl_owed_free(cpl_owed *owed); /* NULL is fine */
/* Says whose result it is: the journal follows it, and a failure can take its place. False when out of memory. */
bool cpl_owed_sign(cpl_owed *owed, const char *job_id, const char *nonce, int64_t deadline_ms);
/* The parameters of PutJobFailureResult. */
void cpl_failure_write(cpl_buf *out, const char *job_id, const char *type, const char *message);
/* A failure of type JobFailed; the answer of a job that was given up. */
cpl_owed *cpl_owed_failure(const cpl_origin *origin, const char *job_id, const char *message);
/* A continuation with that very token; what a job kept back gets when the worker stops. */
cpl_owed *cpl_owed_continuation(const cpl_origin *origin, const char *job_id, const char *token);
/* "PutJobSuccessResult" and the like; static. The verdict an operation is for; false when it is for none. */
const char *cpl_owed_operation(const cpl_origin *origin, cpl_verdict verdict);
bool cpl_owed_verdict(const char *operation, cpl_verdict *verdict);

/* Whoever asks may not, or not any more: only somebody who mends that, or fresh credentials, will help. */
bool cpl_owed_forbidden(cpl_status status, const cpl_error *err);
/* Not the service's own answer: somebody on the way gave it, a proxy or a portal, and it says nothing of the job. */
bool cpl_desk_foreign(cpl_status status, const cpl_error *err);
/* Trouble of the network, or of the service for a while: another time may help. */
bool cpl_desk_passes(cpl_status status, const cpl_error *err);
/* It will never be accepted: it says what it may not, or somebody else has the job. Other failures may pass. */
bool cpl_owed_refused(cpl_status status, const cpl_error *err);
/* How long to wait after so many tries: doubles from half a second to 20, with jitter. */
int64_t cpl_owed_delay_ms(int tries);

/* The folder of a job that is over. */
typedef struct cpl_folder {
    struct cpl_folder *next;
    char *path;
} cpl_folder;

typedef struct cpl_desk {
    cpl_client *client;
    cpl_client **clients; /* of all regions, this one first */
    size_t client_count;
    cpl_customers *customers;
    cpl_journal *journal; /* NULL: none is kept */
    char *work_dir;
    int64_t artifact_limit;
    int64_t grace_ms;      /* 0: no limit */
    atomic_llong stop_ms;  /* monotonic: when the worker was stopped; 0: it was not */
    atomic_bool cancelled; /* its jobs should end */
    uint32_t mark;         /* the process's: a child of a fork has no jobs */
    atomic_int references;
    atomic_int running;                      /* jobs handed out and not yet answered */
    atomic_int succeeded, failed, continued; /* results that were accepted */
    atomic_int work_over;                    /* see cpl_desk_work_over() */
    atomic_int abandoned;                    /* jobs that may be ours, and nobody here will answer any more */
    cpl_backlog *backlog;                    /* what the jobs' guards asked, for who waits */
    pthread_mutex_t lock;                    /* of owed, folders and changed */
    pthread_cond_t changed; /* a slot became free, or something is owed; waits by the monotonic clock */
    cpl_owed *owed;
    cpl_folder *folders; /* that could not be removed yet */
} cpl_desk;

cpl_status cpl_desk_new(cpl_desk **out, cpl_client *client, const cpl_worker_options *options, cpl_error *err);
cpl_desk *cpl_desk_retain(cpl_desk *desk);
void cpl_desk_drop(cpl_desk *desk); /* NULL is fine */
/* Opens what options->journal names. */
cpl_status cpl_desk_open_journal(cpl_desk *desk, cpl_str path, cpl_error *err);
/* Another region's client, kept until the end. CPL_STATE when there is one of that region. */
cpl_status cpl_desk_add_client(cpl_desk *desk, cpl_client *client, cpl_error *err);
/* The client of a region; one is made when there is none. For the worker's thread alone. */
cpl_status cpl_desk_client_in(cpl_desk *desk, cpl_str region, cpl_client **out, cpl_error *err);
/* A call about a job. params begin with '{' and have a member or more; the client token is added where one is due. */
typedef struct cpl_desk_question {
    const cpl_origin *origin;
    const char *operation;
    cpl_str params;
} cpl_desk_question;
cpl_status cpl_desk_call(const cpl_desk *desk, const cpl_desk_question *question, const cpl_wait *wait, cpl_reply **out,
                         cpl_error *err);
/* The service's time as far as it is known, milliseconds since 1970. */
int64_t cpl_desk_now_ms(const cpl_desk *desk);
/* The jobs should end: they were cancelled, or the worker was stopped and its grace is over. */
bool cpl_desk_cancelled(const cpl_desk *desk);
/* One job less is running. */
void cpl_desk_settle(cpl_desk *desk);
/* Writes a signed result to the journal, once. It is sent all the same when that fails. */
void cpl_desk_record(const cpl_desk *desk, cpl_owed *owed);
/*
 * Sends a result once, that is, with the client's own attempts, and notes in the journal how it went. CPL_OK: accepted,
 * now or by an earlier attempt whose answer was lost. CPL_STATE: somebody else has the job, or it is over. Else why
 * not; err->retryable tells whether another time may help. err must not be NULL.
 */
cpl_status cpl_desk_send(cpl_desk *desk, cpl_owed *owed, const cpl_wait *wait, cpl_error *err);
/* Notes that nobody waits for a signed result any more. */
void cpl_desk_forget(const cpl_desk *desk, const cpl_owed *owed);
/* Puts a result in line for the worker to send, and records it; takes it over. NULL: there was no memory for one. */
void cpl_desk_owe(cpl_desk *desk, cpl_owed *owed);
/* A job, ours perhaps, will get no answer from here. */
void cpl_desk_abandon(cpl_desk *desk);
/* Takes out the first in line; NULL when there is none. */
cpl_owed *cpl_desk_take_owed(cpl_desk *desk);
cpl_tally cpl_desk_tally(cpl_desk *desk);
/*
 * Removes a job's folder and takes over its path. One that will not go, for want of descriptors say, is tried again
 * with the next one, and at the end.
 */
void cpl_desk_discard(cpl_desk *desk, char *path);
/* Sleeps for at most duration_ms, less when a slot becomes free, something is owed, or work is over. */
void cpl_desk_sleep(cpl_desk *desk, int64_t duration_ms);
/* Work on a job that was begun apart is over, and has ended for who began it. */
void cpl_desk_work_over(cpl_desk *desk);
void cpl_desk_work_ended(cpl_desk *desk);
bool cpl_desk_has_work_over(const cpl_desk *desk); /* which has not ended yet */

#endif
