/* SPDX-License-Identifier: MIT */
/*
 * isolate.c on a thread of our own, for a language with one thread. It calls nobody: what it asks of the service goes
 * to the desk's backlog, and how far an artifact is stands where cpl_job_run_over() reads it.
 */
#include "clock.h"
#include "err.h"
#include "fork.h"
#include "job.h"
#include "thread.h"

struct cpl_apart {
    cpl_job *job;
    const cpl_isolation *how;
    uint32_t mark; /* a child of a fork has no such thread */
    pthread_t thread;
    atomic_bool called_off, over;
    cpl_progress progress; /* the thread's own */
    pthread_mutex_t lock;  /* of told */
    cpl_progress told;
    /* once it is over */
    cpl_status status;
    const char *outcome;
    cpl_error err;
};

static int tell(void *context) {
    cpl_apart *apart = context;
    pthread_mutex_lock(&apart->lock);
    if (apart->progress.name) apart->told = apart->progress; /* what came to its end stays to be read */
    pthread_mutex_unlock(&apart->lock);
    return atomic_load(&apart->called_off);
}

static void *run(void *context) {
    cpl_apart *apart = context;
    cpl_desk *desk = apart->job->desk;
    const cpl_wait wait = {
        .tick = tell, .context = apart, .progress = &apart->progress, .observer = cpl_backlog_observer(desk->backlog)};
    apart->status = cpl_job_run(apart->job, apart->how, &wait, &apart->outcome, &apart->err);
    atomic_store(&apart->over, true);
    cpl_desk_wake(desk);
    return NULL;
}

static void release(cpl_apart *apart) {
    pthread_mutex_destroy(&apart->lock);
    cpl_free(apart);
}

cpl_status cpl_job_run_begin(cpl_job *job, const cpl_isolation *how, cpl_error *err) {
    cpl_apart *apart;
    if (job->apart) return cpl_fail(err, CPL_STATE, "the job's handler runs already");
    apart = cpl_calloc(1, sizeof *apart);
    if (apart == NULL) return cpl_fail_nomem(err);
    apart->job = job;
    apart->how = how;
    apart->mark = cpl_fork_mark();
    apart->progress.total = apart->told.total = -1;
    pthread_mutex_init(&apart->lock, NULL);
    job->apart = apart;
    if (cpl_thread_start(&apart->thread, run, apart)) return CPL_OK;
    job->apart = NULL;
    release(apart);
    return cpl_fail_nomem(err);
}

bool cpl_job_run_over(cpl_job *job, cpl_progress *progress) {
    cpl_apart *apart = job->apart;
    bool over = apart == NULL || atomic_load(&apart->over);
    if (apart == NULL || progress == NULL) return over;
    pthread_mutex_lock(&apart->lock);
    *progress = apart->told;
    pthread_mutex_unlock(&apart->lock);
    return over;
}

cpl_status cpl_job_run_end(cpl_job *job, bool call_off, const char **outcome, cpl_error *err) {
    cpl_apart *apart = job->apart;
    cpl_status status;
    *outcome = NULL;
    if (apart == NULL || apart->mark != cpl_fork_mark())
        return cpl_fail(err, CPL_STATE, "the job's handler was not begun");
    if (call_off) atomic_store(&apart->called_off, true);
    pthread_join(apart->thread, NULL);
    job->apart = NULL;
    status = apart->status;
    *outcome = apart->outcome;
    if (status != CPL_OK && err) *err = apart->err;
    release(apart);
    return status;
}
