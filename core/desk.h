/* SPDX-License-Identifier: MIT */
/*
 * What a worker and its jobs have in common: the client, the slots, and the results the service has not accepted yet.
 * Counted, because either may go first; thread-safe, because jobs are answered on threads of their own.
 */
#ifndef CPL_DESK_H
#define CPL_DESK_H

#include <pthread.h>
#include <stdatomic.h>

#include "client.h"
#include "journal.h"

/* A result on its way to the service. It outlives its job; its parameters are wiped when it is freed. */
typedef struct cpl_owed {
    struct cpl_owed *next;
    const char *operation; /* static */
    char *params;
    bool ambiguous; /* it was sent and no answer came: it may have been accepted */
    /* of a journalled job, see cpl_owed_sign() */
    char *job_id, *nonce;
    int64_t deadline_ms; /* monotonic: when the service has long ended the job by itself; 0: never */
    bool recorded;       /* the journal has it */
} cpl_owed;

/* params are copied; NULL when out of memory. */
cpl_owed *cpl_owed_new(const char *operation, cpl_str params);
void cpl_owed_free(cpl_owed *owed); /* NULL is fine */
/* Says whose result it is, so that the journal can follow it. False when out of memory. */
bool cpl_owed_sign(cpl_owed *owed, const char *job_id, const char *nonce, int64_t deadline_ms);
/* A failure of type JobFailed; the answer of a job that was given up. */
cpl_owed *cpl_owed_failure(const char *job_id, const char *message);
/* A continuation with that very token; what a job kept back gets when the worker stops. */
cpl_owed *cpl_owed_continuation(const char *job_id, const char *token);

/*
 * Sends a result once, that is, with the client's own attempts. CPL_OK: accepted, now or by an earlier attempt whose
 * answer was lost. CPL_STATE: somebody else has the job, or it is over. Else why not; err->retryable tells whether
 * another time may help. err must not be NULL.
 */
cpl_status cpl_owed_send(cpl_owed *owed, cpl_client *client, const cpl_wait *wait, cpl_error *err);
/* Whoever asks may not, or not any more: only somebody who mends that, or fresh credentials, will help. */
bool cpl_owed_forbidden(cpl_status status, const cpl_error *err);
/* It will never be accepted: it says what it may not, or somebody else has the job. Other failures may pass. */
bool cpl_owed_refused(cpl_status status, const cpl_error *err);
/* How long to wait after so many tries: doubles from half a second to 20, with jitter. */
int64_t cpl_owed_delay_ms(int tries);

typedef struct cpl_desk {
    cpl_client *client;
    cpl_journal *journal; /* NULL: none is kept */
    char *work_dir;
    int64_t artifact_limit;
    int64_t grace_ms;      /* 0: no limit */
    atomic_llong stop_ms;  /* monotonic: when the worker was stopped; 0: it was not */
    atomic_bool cancelled; /* its jobs should end */
    atomic_int references;
    atomic_int running;     /* jobs handed out and not yet answered */
    pthread_mutex_t lock;   /* of owed and of changed */
    pthread_cond_t changed; /* a slot became free, or something is owed; waits by the monotonic clock */
    cpl_owed *owed;
} cpl_desk;

cpl_status cpl_desk_new(cpl_desk **out, cpl_client *client, const cpl_worker_options *options, cpl_error *err);
cpl_desk *cpl_desk_retain(cpl_desk *desk);
void cpl_desk_drop(cpl_desk *desk); /* NULL is fine */
/* Opens what options->journal names. */
cpl_status cpl_desk_open_journal(cpl_desk *desk, cpl_str path, cpl_error *err);
/* The service's time as far as it is known, milliseconds since 1970. */
int64_t cpl_desk_now_ms(const cpl_desk *desk);
/* The jobs should end: they were cancelled, or the worker was stopped and its grace is over. */
bool cpl_desk_cancelled(const cpl_desk *desk);
/* One job less is running. */
void cpl_desk_settle(cpl_desk *desk);
/* Writes a signed result to the journal, once. It is sent all the same when that fails. */
void cpl_desk_record(const cpl_desk *desk, cpl_owed *owed);
/* cpl_owed_send(), and the journal learns how it went. */
cpl_status cpl_desk_send(const cpl_desk *desk, cpl_owed *owed, const cpl_wait *wait, cpl_error *err);
/* Notes that nobody waits for a signed result any more. */
void cpl_desk_forget(const cpl_desk *desk, const cpl_owed *owed);
/* Puts a result in line for the worker to send, and records it; takes it over. */
void cpl_desk_owe(cpl_desk *desk, cpl_owed *owed);
/* Takes out the first in line; NULL when there is none. */
cpl_owed *cpl_desk_take_owed(cpl_desk *desk);
/* Sleeps for at most duration_ms, less when a slot becomes free or something is owed meanwhile. */
void cpl_desk_sleep(cpl_desk *desk, int64_t duration_ms);

#endif
