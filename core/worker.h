/* SPDX-License-Identifier: MIT */
/*
 * The worker from the inside: worker.c acknowledges and hands out, polling.c polls, offers.c asks for the jobs of which
 * no more than the id is known, recovery.c takes up what a journal holds.
 */
#ifndef CPL_WORKER_H
#define CPL_WORKER_H

#include "job.h"
#include "pace.h"
#include "taken.h"

typedef struct cpl_queue { /* one action type */
    cpl_client *client;    /* the desk's, of its region */
    char *poll_head;       /* the parameters of PollForJobs, up to the batch size; the journal knows the type by it */
    char *name;            /* "Build/Provider/1", for messages */
    int64_t next_ms;       /* when to poll, monotonic */
    int64_t delay_ms;
    bool third_party, idempotent;
    bool unknown; /* the service says that there is no such action type */
} cpl_queue;

/* A job of which no more than the id is known. */
typedef struct cpl_offer {
    struct cpl_offer *next;
    cpl_origin origin;
    char *id, *nonce;      /* nonce NULL: the service will tell it */
    int action_type;       /* -1: the worker has no handler for it any more */
    cpl_entry_state state; /* how far an earlier worker came with it; 0: a poll has just brought it */
    int64_t made_ms, next_ms;
} cpl_offer;

typedef struct cpl_handover {
    bool made;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    cpl_job *first;    /* oldest first; each has a slot, and some are still to be acknowledged */
    cpl_job *returned; /* acknowledged or not, and not begun */
    cpl_error trouble; /* what came in between last */
    int leaving;       /* threads that are to be told that there is nothing more */
} cpl_handover;

struct cpl_worker {
    cpl_desk *desk;
    cpl_handover handover;
    int concurrency;
    int64_t interval_ms;
    atomic_bool stopping;
    cpl_queue *queues;
    size_t queue_count;
    cpl_taken taken;  /* when there is no journal */
    cpl_job *ready;   /* polled, and not known to be ours */
    int64_t pause_ms; /* not before this is a job taken: the journal could not be written */
    cpl_job *kept;    /* acknowledged, not yet due */
    size_t kept_count;
    int64_t quiet_ms; /* not before this is anything owed sent */
    int troubles;     /* how often in a row that did not get through */
    bool recovered;   /* the journal was read */
    cpl_offer *offers;
    bool served;     /* a poll was answered: what kept it from that later is trouble that passes */
    int64_t idle_ms; /* not before this is anything polled: the last poll brought nothing */
};

/* One cpl_worker_next(). */
typedef struct cpl_turn {
    cpl_worker *worker;
    const cpl_wait *wait;
    cpl_wait own; /* its tick also hears of stop */
    cpl_pace pace;
    cpl_error *err; /* what happened last */
    bool unclaimed; /* whoever gets the job acknowledges it */
} cpl_turn;

/* cpl_worker_next(). unclaimed: also for jobs whose claim is CPL_CLAIM_OPEN, which have a slot all the same. */
cpl_status cpl_worker_turn(cpl_worker *worker, bool unclaimed, const cpl_wait *wait, cpl_job **out, cpl_error *err);
/* Acknowledges a job that was entered, and begins it if it is ours and due. On any thread; of t: worker, wait, err. */
cpl_claim cpl_worker_claim(cpl_turn *t, cpl_job *job);

/* Reads the journal: what is owed goes in line, what ran is reported failed or, when idempotent, offered again. */
cpl_status cpl_recovery_load(cpl_worker *worker, cpl_error *err);
/* Before an inherited failure is sent: asks the service what the action's last job left in the artifact store. */
void cpl_recovery_look_back(const cpl_turn *t, cpl_owed *owed);

/* Takes back what the job's earlier worker was uploading, and finds a state of which no token tells. */
void cpl_recovery_clear(const cpl_turn *t, cpl_job *job);

/* Copies the offer's texts. */
cpl_status cpl_offer_add(cpl_worker *worker, const cpl_offer *offer, cpl_error *err);
/* Asks the service for the job of one. */
cpl_status cpl_offer_fetch(const cpl_turn *t, const cpl_offer *one, cpl_job **out, cpl_error *err);
/* Asks the service for one offer, if one is due, and puts its job in line; else *next_ms is lowered to when. */
bool cpl_offers_step(cpl_turn *t, int64_t *next_ms);
void cpl_offers_free(cpl_offer *first);

/* Makes a queue's parameters and checks them as PollForJobs would. */
cpl_status cpl_polling_add(cpl_worker *worker, const cpl_action_type *type, int *index, cpl_error *err);
/* Polls the queue that has waited longest, if one is due, for at most slots jobs; *next_ms as above. */
cpl_status cpl_polling_step(cpl_turn *t, int slots, int64_t *next_ms);
void cpl_polling_free(cpl_worker *worker);
/* Takes out those that were not begun; *trouble is filled if there was some. */
cpl_job *cpl_handover_returned(cpl_handover *handover, cpl_error *trouble);
cpl_status cpl_handover_init(cpl_handover *handover, cpl_error *err);
void cpl_handover_release(cpl_handover *handover);

/* What is left of the turn's time, but at least at_least_ms: an answer thrown away may have had jobs in it. */
cpl_wait cpl_turn_wait(const cpl_turn *t, int64_t at_least_ms);
/* Between three quarters and five quarters of delay, so that workers started together do not stay together. */
int64_t cpl_with_jitter(int64_t delay_ms);

#endif
