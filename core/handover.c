/* SPDX-License-Identifier: MIT */
/*
 * Jobs on their way from the thread that asks for them to the threads that work. A thread sleeps in here and not in its
 * language, so to hand a job over is to wake one thread, which finds nobody else's lock taken. It acknowledges the job
 * itself: those of a batch are under way to the service together, and none of them keeps the others or a poll waiting.
 */
#include "err.h"
#include "worker.h"

cpl_status cpl_handover_init(cpl_handover *h, cpl_error *err) {
    h->first = h->returned = NULL;
    h->trouble.status = CPL_OK;
    h->leaving = 0;
    if (pthread_mutex_init(&h->lock, NULL) != 0) return cpl_fail_nomem(err);
    h->made = pthread_cond_init(&h->changed, NULL) == 0;
    if (!h->made) pthread_mutex_destroy(&h->lock);
    return h->made ? CPL_OK : cpl_fail_nomem(err);
}

void cpl_handover_release(cpl_handover *h) {
    if (!h->made) return;
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
}

static void put(cpl_handover *h, cpl_job *job) {
    cpl_job **end = &h->first;
    pthread_mutex_lock(&h->lock);
    while (*end) end = &(*end)->next;
    *end = job;
    pthread_mutex_unlock(&h->lock);
    pthread_cond_signal(&h->changed);
}

static cpl_job *wait_in_line(cpl_handover *h) {
    cpl_job *job;
    pthread_mutex_lock(&h->lock);
    while (h->first == NULL && h->leaving == 0) pthread_cond_wait(&h->changed, &h->lock);
    job = h->first;
    if (job) {
        h->first = job->next;
        job->next = NULL;
    } else {
        h->leaving--;
    }
    pthread_mutex_unlock(&h->lock);
    return job;
}

static void give_back(cpl_worker *worker, cpl_job *job, const cpl_error *trouble) {
    cpl_handover *h = &worker->handover;
    pthread_mutex_lock(&h->lock);
    job->next = h->returned;
    h->returned = job;
    if (trouble->status) h->trouble = *trouble;
    pthread_mutex_unlock(&h->lock);
    cpl_desk_settle(worker->desk); /* the slot is free, and the worker's thread looks */
}

cpl_job *cpl_handover_returned(cpl_handover *h, cpl_error *trouble) {
    cpl_job *list;
    pthread_mutex_lock(&h->lock);
    list = h->returned;
    h->returned = NULL;
    if (h->trouble.status) *trouble = h->trouble;
    h->trouble.status = CPL_OK;
    pthread_mutex_unlock(&h->lock);
    return list;
}

cpl_job *cpl_worker_take(cpl_worker *worker, const cpl_wait *wait) {
    cpl_job *job;
    while ((job = wait_in_line(&worker->handover)) != NULL && job->claim != CPL_CLAIM_BEGUN) {
        cpl_error trouble = {0};
        cpl_turn t = {.worker = worker, .wait = wait, .err = &trouble};
        if (cpl_worker_claim(&t, job) == CPL_CLAIM_BEGUN) {
            cpl_job_hand_out(job);
            atomic_fetch_sub(&worker->desk->running, 1); /* the slot that it had in line */
            break;
        }
        give_back(worker, job, &trouble);
    }
    return job;
}

void cpl_worker_dismiss(cpl_worker *worker, int count) {
    cpl_handover *h = &worker->handover;
    pthread_mutex_lock(&h->lock);
    h->leaving += count;
    pthread_mutex_unlock(&h->lock);
    pthread_cond_broadcast(&h->changed);
}

cpl_status cpl_worker_feed(cpl_worker *worker, const cpl_wait *wait, cpl_error *err) {
    cpl_error own;
    cpl_wait rest;
    cpl_pace pace;
    cpl_status status;
    cpl_job *job;
    if (err == NULL) err = &own;
    cpl_pace_init(&pace, wait);
    do {
        if (cpl_pace_rest(&pace, &rest, NULL) != CPL_OK) return CPL_OK; /* the time is over, which is no error */
        status = cpl_worker_turn(worker, true, &rest, &job, err);
        if (job) put(&worker->handover, job);
        /* with a job always at hand nothing above ever waits, and so never asks the tick */
        if (status == CPL_OK && err->status == CPL_OK && job) status = cpl_pace_check(&pace, err);
    } while (status == CPL_OK && err->status == CPL_OK && job);
    return status == CPL_TIMEOUT ? CPL_OK : status;
}
