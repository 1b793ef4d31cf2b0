/* SPDX-License-Identifier: MIT */
/*
 * Work on a job on a thread of our own, for a language with one thread. It calls nobody: what it asks of the service
 * goes to the desk's backlog, and how far artifacts are is kept for cpl_job_moved(). Such a thread is there while there
 * is work for it, so a worker has at most as many as jobs, and an idle one none.
 */
#include "clock.h"
#include "err.h"
#include "fork.h"
#include "job.h"
#include "thread.h"

#define FIGURES_MAX 16 /* a job has ten artifacts at most */

struct cpl_apart {
    cpl_job *job;
    cpl_work work;
    void *request;
    uint32_t mark; /* a child of a fork has no such thread */
    pthread_t thread;
    atomic_bool called_off, over;
    cpl_progress progress; /* the thread's own */
    pthread_mutex_t lock;  /* of what moved */
    cpl_progress moved[FIGURES_MAX];
    size_t moved_count;
    /* once it is over */
    cpl_status status;
    cpl_error err;
};

/* Of each artifact the last that was seen, so that nobody misses the end of one because another has begun. */
static void note(cpl_apart *apart) {
    const cpl_progress *now = &apart->progress;
    size_t last = apart->moved_count;
    if (now->name == NULL) return;
    if (last > 0 && (apart->moved[last - 1].name == now->name || last == FIGURES_MAX)) last--;
    apart->moved[last] = *now;
    apart->moved_count = last + 1;
}

static int tell(void *context) {
    cpl_apart *apart = context;
    pthread_mutex_lock(&apart->lock);
    note(apart);
    pthread_mutex_unlock(&apart->lock);
    return atomic_load(&apart->called_off);
}

static void *run(void *context) {
    cpl_apart *apart = context;
    cpl_desk *desk = apart->job->desk;
    const cpl_wait wait = {
        .tick = tell, .context = apart, .progress = &apart->progress, .observer = cpl_backlog_observer(desk->backlog)};
    apart->status = apart->work(apart->job, apart->request, &wait, &apart->err);
    atomic_store(&apart->over, true);
    cpl_desk_work_over(desk);
    return NULL;
}

static void release(cpl_apart *apart) {
    pthread_mutex_destroy(&apart->lock);
    cpl_free(apart);
}

cpl_status cpl_job_begin(cpl_job *job, cpl_work work, void *request, cpl_error *err) {
    cpl_apart *apart;
    if (job->apart) return cpl_fail(err, CPL_STATE, "something is done with the job already");
    apart = cpl_calloc(1, sizeof *apart);
    if (apart == NULL) return cpl_fail_nomem(err);
    apart->job = job;
    apart->work = work;
    apart->request = request;
    apart->mark = cpl_fork_mark();
    apart->progress.total = -1;
    pthread_mutex_init(&apart->lock, NULL);
    job->apart = apart;
    if (cpl_thread_start(&apart->thread, run, apart)) return CPL_OK;
    job->apart = NULL;
    release(apart);
    return cpl_fail_nomem(err);
}

bool cpl_job_over(const cpl_job *job) {
    return job->apart == NULL || atomic_load(&job->apart->over);
}

bool cpl_job_moved(cpl_job *job, cpl_progress *out) {
    cpl_apart *apart = job->apart;
    bool any;
    if (apart == NULL) return false;
    pthread_mutex_lock(&apart->lock);
    any = apart->moved_count > 0;
    if (any) {
        *out = apart->moved[0];
        memmove(apart->moved, apart->moved + 1, --apart->moved_count * sizeof apart->moved[0]);
    }
    pthread_mutex_unlock(&apart->lock);
    return any;
}

cpl_status cpl_job_end(cpl_job *job, bool call_off, cpl_error *err) {
    cpl_apart *apart = job->apart;
    cpl_status status;
    if (apart == NULL || apart->mark != cpl_fork_mark()) return cpl_fail(err, CPL_STATE, "nothing was begun");
    if (call_off) atomic_store(&apart->called_off, true);
    pthread_join(apart->thread, NULL);
    cpl_desk_work_ended(job->desk);
    job->apart = NULL;
    status = apart->status;
    if (status != CPL_OK && err) *err = apart->err;
    release(apart);
    return status;
}
