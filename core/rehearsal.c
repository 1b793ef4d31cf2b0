/* SPDX-License-Identifier: MIT */
/* Jobs of unit tests: nothing of them goes to the network, and their clock is turned by hand. */
#include "err.h"
#include "job.h"

#define FAULTS_MAX 8

void cpl_job_rehearse(cpl_job *job, const cpl_rehearsal *how) {
    job->rehearsal = true;
    if (how) job->rehearsed.how = *how;
}

void cpl_job_rehearse_time(cpl_job *job, int64_t ms) {
    if (ms > 0) atomic_fetch_add(&job->rehearsed.passed_ms, ms);
}

int64_t cpl_job_rehearsed_time(const cpl_job *job) {
    return atomic_load(&job->rehearsed.passed_ms);
}

static bool has_passed(const cpl_job *job, int64_t ms) {
    return job->rehearsal && ms > 0 && cpl_job_rehearsed_time(job) >= ms;
}

bool cpl_job_rehearsed_cancelled(const cpl_job *job) {
    return has_passed(job, job->rehearsed.how.cancel_ms);
}

bool cpl_job_rehearsed_expired(const cpl_job *job) {
    return has_passed(job, job->rehearsed.how.limit_ms);
}

/* How long it is until something tells the job to end; -1: nothing will. */
static int64_t until_cancelled(const cpl_job *job) {
    const cpl_rehearsal *how = &job->rehearsed.how;
    int64_t at = how->limit_ms > 0 ? how->limit_ms : how->cancel_ms, left;
    if (how->cancel_ms > 0 && how->cancel_ms < at) at = how->cancel_ms;
    left = at - cpl_job_rehearsed_time(job);
    return at <= 0 ? -1 : left > 0 ? left : 0;
}

cpl_status cpl_job_rehearse_wait(cpl_job *job, int64_t timeout_ms, bool *cancelled, cpl_error *err) {
    int64_t left = until_cancelled(job);
    if (left < 0 && timeout_ms <= 0) {
        return cpl_fail(err, CPL_INVALID,
                        "the handler waits for ever: the test neither cancels it nor limits its time");
    }
    cpl_job_rehearse_time(job, left >= 0 && (timeout_ms <= 0 || left < timeout_ms) ? left : timeout_ms);
    *cancelled = cpl_job_cancelled(job);
    return CPL_OK;
}

/* The first that counts: the id of a job in a unit test may be any. */
static cpl_status find_fault(const cpl_violations *found, cpl_error *err) {
    for (size_t i = 0; i < found->count && i < found->max; i++) {
        const cpl_violation *fault = &found->rows[i];
        cpl_buf what;
        if (strcmp(fault->path, "jobId") == 0) continue;
        cpl_buf_init(&what, 1024);
        cpl_violation_text(fault, &what);
        cpl_fail_at(err, CPL_INVALID, fault->path, "%s: %s", fault->path, cpl_buf_cstr(&what));
        cpl_buf_release(&what);
        return CPL_INVALID;
    }
    return CPL_OK;
}

cpl_status cpl_job_rehearse_answer(cpl_job *job, cpl_error *err) {
    const cpl_operation *operation = cpl_model_operation(cpl_str_of(job->owed->operation));
    cpl_violation rows[FAULTS_MAX];
    cpl_violations found = {.rows = rows, .max = FAULTS_MAX};
    cpl_str params = cpl_str_of(job->owed->params);
    cpl_buf copy;
    cpl_status status;
    cpl_buf_init(&copy, params.n + 1);
    cpl_buf_addv(&copy, params);
    status = cpl_buf_status(&copy, "the answer", err);
    if (status == CPL_OK) status = cpl_model_check(copy.p, copy.n, operation->input, 0, &found, err);
    if (status == CPL_OK) status = find_fault(&found, err);
    cpl_buf_release(&copy);
    if (status == CPL_OK) {
        cpl_job_close(job, CPL_JOB_ANSWERED);
    } else {
        cpl_owed_free(job->owed);
        job->owed = NULL;
    }
    return status;
}

cpl_str cpl_job_rehearsed_answer(const cpl_job *job) {
    return job->rehearsal && job->owed ? cpl_str_of(job->owed->params) : (cpl_str){NULL, 0};
}

cpl_str cpl_job_rehearsed_state(const cpl_job *job) {
    return job->rehearsal ? cpl_buf_str(&job->rehearsed.state) : (cpl_str){NULL, 0};
}

double cpl_job_rehearsed_delay(const cpl_job *job) {
    return job->rehearsed.after_s;
}
