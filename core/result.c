/* SPDX-License-Identifier: MIT */
/* The answers of a job: what they may say, and getting them to the service. */
#include "clock.h"
#include "continuation.h"
#include "err.h"
#include "job.h"
#include "pace.h"

#define SUMMARY_MAX 2048 /* characters */
#define MESSAGE_MAX 5000
#define VARIABLES_MAX 122880 /* bytes, names and values together */
#define WORTH_MS 1000        /* what a continuation is too early by and still kept; tokens count whole seconds */
#define DELIVERY_MS 120000   /* how long a result call is repeated when the caller sets no limit */

/* ---- what may be said ---- */

/* The prefix of at most max characters. */
static cpl_str cut(cpl_str text, size_t max) {
    size_t at = 0;
    for (size_t n = 0; at < text.n; at++) {
        bool begins = ((unsigned char)text.p[at] & 0xc0) != 0x80;
        if (begins && ++n > max) break;
    }
    return cpl_str_sub(text, 0, at);
}

static void write_member(cpl_writer *w, const char *key, cpl_str text) {
    if (text.n == 0) return;
    cpl_write_key(w, cpl_str_of(key));
    cpl_write_string(w, text);
}

/* A handler's message may hold anything, the output of a program for instance; what is not UTF-8 becomes '?'. */
static void write_message(cpl_writer *w, cpl_str text) {
    cpl_buf clean;
    cpl_buf_init(&clean, MESSAGE_MAX * 4 + 4);
    text = cpl_str_sub(text, 0, MESSAGE_MAX * 4);
    while (text.n > 0) {
        size_t n = 1;
        while (n < 4 && n < text.n && !cpl_utf8_valid(cpl_str_sub(text, 0, n))) n++;
        if (!cpl_utf8_valid(cpl_str_sub(text, 0, n)) || text.p[0] == '\0') {
            cpl_buf_addc(&clean, '?');
            n = 1;
        } else {
            cpl_buf_addv(&clean, cpl_str_sub(text, 0, n));
        }
        text = cpl_str_sub(text, n, text.n);
    }
    write_member(w, "message", clean.n ? cut(cpl_buf_str(&clean), MESSAGE_MAX) : CPL_LIT("no reason was given"));
    cpl_buf_release(&clean);
}

static void write_details(cpl_writer *w, const cpl_result *result) {
    if (result->summary.n == 0 && result->external_execution_id.n == 0 && result->percent_complete == 0) return;
    cpl_write_key(w, CPL_LIT("executionDetails"));
    cpl_write_object(w);
    write_member(w, "summary", cut(result->summary, SUMMARY_MAX));
    write_member(w, "externalExecutionId", result->external_execution_id);
    if (result->percent_complete != 0) {
        cpl_write_key(w, CPL_LIT("percentComplete"));
        cpl_write_integer(w, result->percent_complete);
    }
    cpl_write_end(w);
}

static void write_revision(cpl_writer *w, const cpl_result *result) {
    if (result->revision.n == 0 && result->change_identifier.n == 0) return;
    cpl_write_key(w, CPL_LIT("currentRevision"));
    cpl_write_object(w);
    write_member(w, "revision", result->revision);
    write_member(w, "changeIdentifier", result->change_identifier.n ? result->change_identifier : result->revision);
    write_member(w, "revisionSummary", cut(result->revision_summary, SUMMARY_MAX));
    cpl_write_end(w);
}

static bool is_variable_name(cpl_str name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && c != '@' && c != '-' && c != '_') return false;
    }
    return name.n > 0;
}

/* One name and its value; the cursor stands on the name. */
static cpl_status write_variable(cpl_writer *w, cpl_cursor *c, size_t *total, cpl_error *err) {
    char name[200], path[256];
    CPL_COPY(name, c->text);
    snprintf(path, sizeof path, is_variable_name(c->text) ? "outputVariables.%s" : "outputVariables[\"%s\"]", name);
    if (!is_variable_name(c->text)) {
        return cpl_fail_at(err, CPL_INVALID, path,
                           "the output variable \"%s\" has a name of other characters than A-Z a-z 0-9 @ - _", name);
    }
    *total += c->text.n;
    cpl_write_key(w, c->text);
    if (cpl_cursor_next(c) != CPL_TOKEN_STRING) {
        return cpl_fail_at(err, CPL_INVALID, path, "the output variable \"%s\" is not a string", name);
    }
    *total += c->text.n;
    cpl_write_string(w, c->text);
    if (*total <= VARIABLES_MAX) return CPL_OK;
    return cpl_fail_at(err, CPL_INVALID, path, "the output variables are over the limit of %d bytes with \"%s\"",
                       VARIABLES_MAX, name);
}

static cpl_status write_variables(const cpl_job *job, cpl_writer *w, cpl_str variables, cpl_error *err) {
    cpl_cursor c;
    size_t total = 0;
    cpl_token token;
    cpl_status status = CPL_OK;
    if (variables.n == 0 || cpl_str_is(variables, "{}")) return CPL_OK;
    if (job->origin.customer) {
        return cpl_fail_at(err, CPL_INVALID, "outputVariables",
                           "a third-party job has no output variables: the service takes none; return nothing");
    }
    cpl_cursor_init(&c, variables);
    if (cpl_cursor_next(&c) != CPL_TOKEN_OBJECT) {
        status = cpl_fail_at(err, CPL_INVALID, "outputVariables", "the output variables are not a JSON object");
        goto out;
    }
    cpl_write_key(w, CPL_LIT("outputVariables"));
    cpl_write_object(w);
    while (status == CPL_OK && (token = cpl_cursor_next(&c)) == CPL_TOKEN_KEY) {
        status = write_variable(w, &c, &total, err);
    }
    cpl_write_end(w);
    if (status == CPL_OK && (c.token != CPL_TOKEN_OBJECT_END || cpl_cursor_next(&c) != CPL_TOKEN_END)) {
        status = cpl_fail_at(err, CPL_INVALID, "outputVariables", "the output variables are not JSON: %s", c.message);
    }
out:
    cpl_cursor_release(&c);
    return status;
}

/* ---- getting it there ---- */

/* Worth another try while the handler's thread waits; of a job that is cancelled, nobody waits for that any more. */
static bool passes_soon(const cpl_job *job, cpl_status status, const cpl_error *failure) {
    return status != CPL_OK && status != CPL_CANCELLED && failure->retryable && !cpl_owed_forbidden(status, failure) &&
           !cpl_desk_cancelled(job->desk);
}

static void clean_up(cpl_job *job) {
    cpl_error failure;
    if (cpl_leftover_remove(job->owed->leftover, &failure) == CPL_OK) return;
    CPL_COPY(job->warning, cpl_str_of(failure.message));
}

/*
 * Writes the result down, then repeats the call through passing failures. What is not accepted in time stays with the
 * job: the next answer replaces it, and freeing the job puts it in line.
 */
static cpl_status deliver(cpl_job *job, const cpl_wait *wait, cpl_error *err) {
    cpl_wait limited = wait ? *wait : (cpl_wait){0}, rest;
    cpl_error failure = {0}, interrupted;
    cpl_pace pace;
    cpl_status status, paused = CPL_OK;
    int tries = 0;
    if (limited.timeout_ms == 0) limited.timeout_ms = DELIVERY_MS;
    cpl_pace_init(&pace, &limited);
    if (job->rehearsal) return cpl_job_rehearse_answer(job, err);
    cpl_desk_record(job->desk, job->owed);
    do {
        status = cpl_pace_rest(&pace, &rest, &interrupted);
        if (status != CPL_OK) {
            status = failure.status ? failure.status : status; /* what went wrong says more than that time is over */
            break;
        }
        status = cpl_desk_send(job->desk, job->owed, &rest, &failure);
        if (passes_soon(job, status, &failure)) {
            paused = cpl_clock_sleep(cpl_owed_delay_ms(++tries), wait, &interrupted);
        }
    } while (passes_soon(job, status, &failure) && paused == CPL_OK);
    if (paused != CPL_OK) failure.status = status = paused;
    if (status == CPL_OK) {
        cpl_job_close(job, CPL_JOB_ANSWERED);
        clean_up(job);
    }
    if (status == CPL_STATE && !cpl_client_closed(job->origin.client)) cpl_job_close(job, CPL_JOB_LOST);
    if (status == CPL_OK || cpl_owed_refused(status, &failure)) {
        cpl_owed_free(job->owed);
        job->owed = NULL;
    }
    if (status != CPL_OK && err) *err = failure;
    return status;
}

/*
 * This one is meant now. An earlier one may have arrived all the same, and then the service says that the job is over.
 */
static bool replace_owed(cpl_job *job, cpl_owed *owed) {
    owed = cpl_job_sign(job, owed);
    if (owed == NULL) return false;
    owed->ambiguous = job->owed && job->owed->ambiguous;
    cpl_owed_free(job->owed);
    job->owed = owed;
    return true;
}

/* Whoever looks on hears what the guard asked before the job's thread hears that it did. */
static cpl_status tell_guarded(cpl_job *job, cpl_status status, const cpl_wait *wait) {
    cpl_backlog_tell(job->desk->backlog, wait);
    return status;
}

static cpl_status check_open(cpl_job *job, const cpl_wait *wait, cpl_error *err) {
    return tell_guarded(job, cpl_job_check_open(job, err), wait);
}

static cpl_status claim(cpl_job *job, const cpl_wait *wait, cpl_error *err) {
    return tell_guarded(job, cpl_job_claim(job, err), wait);
}

/* The document that w holds becomes the job's result. sweep: a stored state of the job's is of no more use then. */
static cpl_status answer(cpl_job *job, cpl_verdict verdict, cpl_writer *w, bool sweep, const cpl_wait *wait,
                         cpl_error *err) {
    cpl_str params;
    cpl_status status = cpl_writer_text(w, &params, err);
    if (status == CPL_OK) status = claim(job, wait, err);
    if (status != CPL_OK) return status;
    if (!replace_owed(job, cpl_owed_new(&job->origin, verdict, params))) return cpl_fail_nomem(err);
    if (sweep) cpl_job_sweep(job, job->owed, true, wait);
    return deliver(job, wait, err);
}

static cpl_writer *begin_params(const cpl_job *job) {
    cpl_writer *w = cpl_writer_new();
    if (w == NULL) return NULL;
    cpl_write_object(w);
    write_member(w, "jobId", cpl_str_of(cpl_job_text(job, CPL_JOB_ID)));
    return w;
}

cpl_status cpl_job_succeed(cpl_job *job, const cpl_result *result, const cpl_wait *wait, cpl_error *err) {
    static const cpl_result nothing;
    cpl_writer *w;
    cpl_pace pace;
    cpl_wait rest;
    cpl_status status = check_open(job, wait, err);
    if (status != CPL_OK) return status;
    if (result == NULL) result = &nothing;
    w = begin_params(job);
    if (w == NULL) return cpl_fail_nomem(err);
    cpl_pace_init(&pace, wait);
    write_details(w, result);
    write_revision(w, result);
    status = write_variables(job, w, result->output_variables, err); /* before anything is sent */
    cpl_write_end(w);
    if (status == CPL_OK) status = cpl_job_send_outputs(job, wait, err);
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status == CPL_OK) status = answer(job, CPL_VERDICT_SUCCESS, w, !cpl_job_state_is_replaced(job), &rest, err);
    if (status == CPL_OK) job->outcome = "succeeded";
    cpl_writer_free(w);
    return status;
}

cpl_status cpl_job_fail(cpl_job *job, cpl_str type, cpl_str message, cpl_str external_execution_id,
                        const cpl_wait *wait, cpl_error *err) {
    cpl_writer *w;
    cpl_status status = check_open(job, wait, err);
    if (status != CPL_OK) return status;
    w = begin_params(job);
    if (w == NULL) return cpl_fail_nomem(err);
    cpl_write_key(w, CPL_LIT("failureDetails"));
    cpl_write_object(w);
    write_member(w, "type", type.n ? type : CPL_LIT("JobFailed"));
    write_message(w, message);
    write_member(w, "externalExecutionId", external_execution_id);
    cpl_write_end(w);
    cpl_write_end(w);
    status = answer(job, CPL_VERDICT_FAILURE, w, true, wait, err);
    if (status == CPL_OK) job->outcome = "failed";
    cpl_writer_free(w);
    return status;
}

/* The token, and for a large state the object that it points to. */
static cpl_status write_token(cpl_job *job, cpl_str state, double after_s, const cpl_wait *wait, cpl_buf *out,
                              cpl_error *err) {
    char digest[CPL_SHA256_HEX_SIZE];
    cpl_continuation next = {.state = state};
    cpl_status status = cpl_continuation_check(state, after_s, err);
    if (status == CPL_OK && state.n > CPL_CONTINUATION_STATE_MAX) {
        status = cpl_job_keep_state(job, state, digest, &next, wait, err);
    }
    next.not_before_s = cpl_continuation_due_s(after_s, cpl_desk_now_ms(job->desk));
    return status == CPL_OK ? cpl_continuation_write(&next, out, err) : status;
}

/* The guard reported the job failed while its state was written, which then nobody will ask for. */
static void take_back(cpl_job *job) {
    cpl_leftover *state = cpl_job_leftover(job);
    (void)cpl_leftover_remove(state, NULL);
    cpl_leftover_free(state);
}

cpl_status cpl_job_later(cpl_job *job, cpl_str state, double after_s, const cpl_result *result, const cpl_wait *wait,
                         cpl_error *err) {
    bool large = state.n > CPL_CONTINUATION_STATE_MAX;
    cpl_writer *w = NULL;
    cpl_buf token;
    cpl_pace pace;
    cpl_wait rest;
    cpl_status status = check_open(job, wait, err);
    if (status != CPL_OK) return status;
    if (result && result->output_variables.n > 0) {
        return cpl_fail_at(err, CPL_INVALID, "outputVariables", "output variables come with the final result");
    }
    cpl_pace_init(&pace, wait);
    cpl_buf_init(&token, CPL_CONTINUATION_TOKEN_MAX);
    status = write_token(job, state, after_s, wait, &token, err);
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status == CPL_OK && (w = begin_params(job)) == NULL) status = cpl_fail_nomem(err);
    if (status != CPL_OK) goto out;
    write_member(w, "continuationToken", cpl_buf_str(&token));
    if (result) write_details(w, result);
    cpl_write_end(w);
    status = answer(job, CPL_VERDICT_SUCCESS, w, !large, &rest, err);
    if (status == CPL_OK) job->outcome = "continued";
    if (status == CPL_OK && job->rehearsal) {
        cpl_buf_addv(&job->rehearsed.state, state);
        job->rehearsed.after_s = after_s;
    }
    if (status == CPL_STATE && large && cpl_job_expired(job)) take_back(job);
out:
    cpl_writer_free(w);
    cpl_buf_wipe(&token);
    cpl_buf_release(&token);
    return status;
}

/* The job goes on elsewhere as it came. */
static cpl_status send_back(cpl_job *job, const cpl_wait *wait, cpl_error *err) {
    const char *token = cpl_job_text(job, CPL_JOB_CONTINUATION_TOKEN);
    cpl_status status = claim(job, wait, err);
    if (status != CPL_OK) return status;
    if (!replace_owed(job, cpl_owed_continuation(&job->origin, cpl_job_text(job, CPL_JOB_ID),
                                                 token ? token : CPL_CONTINUATION_AFRESH))) {
        return cpl_fail_nomem(err);
    }
    status = deliver(job, wait, err);
    if (status == CPL_OK) job->outcome = "continued";
    return status;
}

cpl_status cpl_job_hand_over(cpl_job *job, const cpl_wait *wait, cpl_error *err) {
    cpl_status status = check_open(job, wait, err);
    return status == CPL_OK ? send_back(job, wait, err) : status;
}

cpl_status cpl_job_put_off(cpl_job *job, bool *put_off, const cpl_wait *wait, cpl_error *err) {
    int64_t left_ms = job->not_before_s * 1000 - cpl_desk_now_ms(job->desk);
    cpl_status status = check_open(job, wait, err);
    *put_off = status == CPL_OK && left_ms > WORTH_MS;
    if (status == CPL_OK && !*put_off && left_ms > 0) return cpl_clock_sleep(left_ms, wait, err);
    return *put_off ? send_back(job, wait, err) : status;
}

/* ---- what went wrong, in the service's words ---- */

static const struct {
    const char *code, *type;
} known_codes[] = {
    {"AllAccessDisabled", "PermissionError"},     {"InvalidAccessKeyId", "PermissionError"},
    {"KMS.DisabledException", "PermissionError"}, {"NoSuchBucket", "ConfigurationError"},
    {"NoSuchKey", "ConfigurationError"},          {"SlowDown", "SystemUnavailable"},
};

const char *cpl_failure_type(const cpl_error *err) {
    switch (err->status) {
    case CPL_INVALID:
    case CPL_CONFIG:
    case CPL_ARCHIVE:
    case CPL_TOO_LARGE: return "ConfigurationError";
    case CPL_CREDENTIALS: return "PermissionError";
    case CPL_NETWORK:
    case CPL_TIMEOUT:
    case CPL_PROTOCOL: return "SystemUnavailable";
    case CPL_SERVICE: break;
    default: return "JobFailed";
    }
    for (size_t i = 0; i < CPL_COUNT(known_codes); i++) {
        if (strcmp(err->code, known_codes[i].code) == 0) return known_codes[i].type;
    }
    if (cpl_owed_forbidden(err->status, err)) return "PermissionError";
    if (err->http_status >= 300 && err->http_status < 400) return "SystemUnavailable"; /* somebody on the way */
    return err->http_status >= 500 || err->retryable ? "SystemUnavailable" : "JobFailed";
}
