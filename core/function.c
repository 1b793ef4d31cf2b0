/* SPDX-License-Identifier: MIT */
/*
 * A Lambda function as a loop that asks for its next job. What the handler need not see is done on the way: events that
 * hold no job, or a malformed one, continuations before their time, and what the invocation is answered.
 */
#include "err.h"
#include "job.h"

#define MARGIN_MS 3000
#define NO_ANSWER "the handler gave no answer"
#define UNREPORTED "the job's result could not be reported"

static cpl_status answer(cpl_runtime *runtime, const char *outcome, const cpl_wait *wait, cpl_error *err) {
    char text[32];
    snprintf(text, sizeof text, "\"%s\"", outcome);
    return cpl_runtime_answer(runtime, cpl_str_of(text), wait, err);
}

/* The invocation's error: Lambda makes it again, a minute and two minutes later. */
static cpl_status refuse(cpl_runtime *runtime, const char *type, const cpl_error *why, const cpl_wait *wait,
                         cpl_error *err) {
    char text[sizeof why->code + sizeof why->message + 4];
    snprintf(text, sizeof text, "%s%s%s", why->code, why->code[0] ? ": " : "", why->message);
    return cpl_runtime_fail(runtime, cpl_str_of(type), cpl_str_of(text), wait, err);
}

/* An event that cannot be read fails its job, as far as that is known. */
static cpl_status refuse_event(cpl_runtime *runtime, cpl_client *client, cpl_str event, const cpl_error *why,
                               const cpl_wait *wait, cpl_error *err) {
    char id[CPL_JOB_ID_SIZE] = "";
    cpl_error failure;
    if (why->status == CPL_INVALID &&
        cpl_job_event_refuse(client, event, cpl_str_of(why->message), id, wait, &failure) == CPL_OK) {
        return answer(runtime, "failed", wait, err);
    }
    return id[0] ? refuse(runtime, "CodePipeline.Unreported", &failure, wait, err)
                 : refuse(runtime, "CodePipeline.Event", why, wait, err);
}

/* CPL_OK with NULL in *out: the invocation needs no handler, and was answered. */
static cpl_status take(cpl_runtime *runtime, cpl_client *client, const cpl_function_options *options,
                       const cpl_wait *wait, cpl_job **out, cpl_error *err) {
    int64_t margin_ms = options->margin_ms ? options->margin_ms : MARGIN_MS;
    cpl_invocation got;
    cpl_job *job = NULL;
    cpl_error failure = {0};
    bool put_off = false;
    cpl_status status = cpl_runtime_next(runtime, wait, &got, err);
    if (status != CPL_OK) return status;
    status = cpl_job_from_event(&job, client, got.event, &options->jobs, &failure);
    if (status != CPL_OK) return refuse_event(runtime, client, got.event, &failure, wait, err);
    if (got.remaining_ms > 0) {
        int64_t after_ms = got.remaining_ms - margin_ms;
        status = cpl_job_guard(job, after_ms > 1 ? after_ms : 1, &failure);
    }
    if (status == CPL_OK) status = cpl_job_put_off(job, &put_off, wait, &failure);
    if (status == CPL_OK && !put_off) {
        *out = job;
        return CPL_OK;
    }
    cpl_job_free(job);
    return put_off && status == CPL_OK ? answer(runtime, "continued", wait, err)
                                       : refuse(runtime, "CodePipeline.Unreported", &failure, wait, err);
}

cpl_status cpl_runtime_next_job(cpl_runtime *runtime, cpl_client *client, const cpl_function_options *options,
                                const cpl_wait *wait, cpl_job **out, cpl_error *err) {
    static const cpl_function_options defaults;
    cpl_status status = CPL_OK;
    *out = NULL;
    while (status == CPL_OK && *out == NULL) {
        status = take(runtime, client, options ? options : &defaults, wait, out, err);
    }
    return status;
}

cpl_status cpl_runtime_end_job(cpl_runtime *runtime, cpl_job *job, const cpl_wait *wait, cpl_error *err) {
    cpl_error failure = {0};
    const char *outcome;
    bool lost;
    if (cpl_job_outcome(job) == NULL && job->answer == CPL_JOB_OPEN && job->owed == NULL) {
        (void)cpl_job_fail(job, (cpl_str){NULL, 0}, CPL_LIT(NO_ANSWER), (cpl_str){NULL, 0}, wait, &failure);
    }
    outcome = cpl_job_outcome(job); /* what its guard reported counts too */
    lost = outcome == NULL && job->answer == CPL_JOB_LOST && !cpl_job_expired(job);
    cpl_job_free(job);
    if (outcome) return answer(runtime, outcome, wait, err);
    if (lost) return answer(runtime, "unreported", wait, err);
    if (failure.status == CPL_OK) cpl_fail(&failure, CPL_STATE, UNREPORTED);
    return refuse(runtime, "CodePipeline.Unreported", &failure, wait, err);
}
