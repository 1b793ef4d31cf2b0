/* SPDX-License-Identifier: MIT */
#include "job.h"

#include <fcntl.h>

#include "clock.h"
#include "continuation.h"
#include "err.h"
#include "fork.h"
#include "pace.h"
#include "tree.h"

#define TEXT_MAX ((size_t)16 << 20)
#define DEADLINE_MS (24 * 3600 * INT64_C(1000)) /* the service ends a custom action after that */
#define RENEWAL_MS 30000
#define GIVEN_UP "the handler gave the job up"
#define TIME_IS_UP "the time limit is nearly up, and the handler has not finished"
#define REPORTED "the job was reported failed: its time was nearly up"
#define SLICE_MS 50
#define CONFIGURATION "data.actionConfiguration.configuration"

static const char *const paths[CPL_JOB_FIELD_COUNT] = {
    [CPL_JOB_ID] = "id",
    [CPL_JOB_NONCE] = "nonce",
    [CPL_JOB_ACCOUNT_ID] = "accountId",
    [CPL_JOB_CATEGORY] = "data.actionTypeId.category",
    [CPL_JOB_PROVIDER] = "data.actionTypeId.provider",
    [CPL_JOB_VERSION] = "data.actionTypeId.version",
    [CPL_JOB_PIPELINE_NAME] = "data.pipelineContext.pipelineName",
    [CPL_JOB_PIPELINE_ARN] = "data.pipelineContext.pipelineArn",
    [CPL_JOB_EXECUTION_ID] = "data.pipelineContext.pipelineExecutionId",
    [CPL_JOB_STAGE_NAME] = "data.pipelineContext.stage.name",
    [CPL_JOB_ACTION_NAME] = "data.pipelineContext.action.name",
    [CPL_JOB_ACTION_EXECUTION_ID] = "data.pipelineContext.action.actionExecutionId",
    [CPL_JOB_CONTINUATION_TOKEN] = "data.continuationToken",
    [CPL_JOB_USER_PARAMETERS] = CONFIGURATION ".UserParameters",
};

/* ---- making ---- */

static cpl_status read_artifacts(const cpl_json *list, cpl_artifacts *out, cpl_error *err) {
    size_t count = cpl_json_count(list);
    if (count == 0) return CPL_OK;
    out->items = cpl_calloc(count, sizeof *out->items);
    if (out->items == NULL) return cpl_fail_nomem(err);
    for (const cpl_json *i = cpl_json_first(list); i; i = cpl_json_next(i)) {
        cpl_artifact *artifact = &out->items[out->count];
        artifact->name = cpl_json_get_cstr(i, "name", NULL);
        artifact->bucket = cpl_json_cstr(cpl_json_get_path(i, "location.s3Location.bucketName"), NULL);
        artifact->key = cpl_json_cstr(cpl_json_get_path(i, "location.s3Location.objectKey"), NULL);
        if (artifact->name) out->count++;
    }
    return CPL_OK;
}

/* What a polled job cannot do without; the first alone for one that was not polled. */
static const cpl_job_field needed[] = {CPL_JOB_ID, CPL_JOB_NONCE, CPL_JOB_CATEGORY, CPL_JOB_PROVIDER, CPL_JOB_VERSION};

static cpl_status read_document(cpl_job *job, size_t needed_count, cpl_error *err) {
    cpl_status status;
    for (size_t i = 0; i < needed_count; i++) {
        if (cpl_job_text(job, needed[i]) == NULL) {
            return cpl_fail(err, CPL_PROTOCOL, "the service gave a job without \"%s\"", paths[needed[i]]);
        }
    }
    status = read_artifacts(cpl_json_get_path(job->document, "data.inputArtifacts"), &job->inputs, err);
    if (status == CPL_OK) {
        status = read_artifacts(cpl_json_get_path(job->document, "data.outputArtifacts"), &job->outputs, err);
    }
    return status == CPL_OK ? cpl_job_find_state(job, err) : status;
}

static cpl_status make(cpl_job **out, cpl_desk *desk, cpl_json *document, size_t needed_count, cpl_error *err) {
    cpl_job *job = cpl_calloc(1, sizeof *job);
    cpl_status status;
    if (job == NULL) {
        cpl_json_free(document);
        return cpl_fail_nomem(err);
    }
    job->desk = cpl_desk_retain(desk);
    job->origin.client = desk->client;
    job->document = document;
    cpl_buf_init(&job->text, TEXT_MAX);
    cpl_buf_init(&job->configuration, TEXT_MAX);
    cpl_buf_init(&job->state, CPL_STATE_MAX + 1);
    cpl_buf_init(&job->rehearsed.state, CPL_STATE_MAX + 1);
    job->answer = CPL_JOB_LOST; /* until it is handed out, freeing it owes nobody anything */
    status = read_document(job, needed_count, err);
    if (status == CPL_OK) {
        *out = job;
    } else {
        cpl_job_free(job);
    }
    return status;
}

cpl_status cpl_job_new(cpl_job **out, cpl_desk *desk, const cpl_origin *origin, cpl_json *document, cpl_error *err) {
    cpl_status status = make(out, desk, document, CPL_COUNT(needed), err);
    if (status == CPL_OK) (*out)->origin = *origin;
    return status;
}

cpl_status cpl_job_adopt(cpl_job **out, cpl_desk *desk, cpl_json *document, cpl_error *err) {
    cpl_status status = make(out, desk, document, 1, err);
    if (status == CPL_OK) (*out)->action_type = -1;
    return status;
}

/* ---- freeing ---- */

static void free_artifacts(cpl_artifacts *artifacts) {
    for (size_t i = 0; i < artifacts->count; i++) {
        cpl_free(artifacts->items[i].path);
        cpl_free(artifacts->items[i].unpacked);
    }
    cpl_free(artifacts->items);
}

static void free_text(cpl_buf *text) {
    cpl_buf_wipe(text);
    cpl_buf_release(text);
}

/* Puts the answer it never got in line: the one that did not arrive, or a failure. */
static void give_up(cpl_job *job) {
    cpl_owed *owed = job->owed;
    job->owed = NULL;
    if (owed == NULL) {
        owed = cpl_job_sign(job, cpl_owed_failure(&job->origin, cpl_job_text(job, CPL_JOB_ID), GIVEN_UP));
    }
    cpl_job_sweep(job, owed, false, NULL);
    cpl_desk_owe(job->desk, owed);
    cpl_job_close(job, CPL_JOB_LOST);
}

/* A handler that forked is in two processes: the job, its answer and its folder are those of the first. */
static bool is_copy(const cpl_job *job) {
    return job->taken_ms && job->desk->mark != cpl_fork_mark();
}

static void let_go(cpl_job *job) {
    (void)cpl_job_end(job, true, NULL);
    if (!job->rehearsal)
        (void)cpl_job_claim(job, NULL); /* a guard that has fired is heard out, one that has not never will */
    if (job->answer == CPL_JOB_OPEN) give_up(job);
    if (job->work_dir) cpl_desk_discard(job->desk, job->work_dir);
}

void cpl_job_free(cpl_job *job) {
    if (job == NULL) return;
    if (is_copy(job)) {
        cpl_free(job->work_dir);
    } else {
        let_go(job);
    }
    for (size_t i = 0; i < job->kept_count; i++) cpl_free(job->kept[i]);
    cpl_free(job->kept);
    free_artifacts(&job->inputs);
    free_artifacts(&job->outputs);
    cpl_owed_free(job->owed);
    cpl_guard_free(job->guard);
    free_text(&job->text);
    free_text(&job->configuration);
    free_text(&job->state);
    free_text(&job->rehearsed.state);
    cpl_json_free(job->document);
    cpl_desk_drop(job->desk);
    cpl_free(job);
}

/* ---- its answer ---- */

cpl_status cpl_job_mark(const cpl_job *job, cpl_entry_state state, cpl_error *err) {
    cpl_entry entry = {.id = cpl_job_text(job, CPL_JOB_ID), .nonce = cpl_job_text(job, CPL_JOB_NONCE), .state = state};
    return cpl_journal_mark(job->desk->journal, &entry, cpl_clock_wall_ms(), err);
}

cpl_owed *cpl_job_sign(const cpl_job *job, cpl_owed *owed) {
    const char *nonce = cpl_job_text(job, CPL_JOB_NONCE);
    if (owed == NULL || nonce == NULL) return owed; /* a job that came as an event has nobody to send it later */
    if (cpl_owed_sign(owed, cpl_job_text(job, CPL_JOB_ID), nonce, job->taken_ms + DEADLINE_MS)) return owed;
    cpl_owed_free(owed);
    return NULL;
}

bool cpl_job_cancelled(const cpl_job *job) {
    return cpl_desk_cancelled(job->desk) || cpl_job_expired(job) || cpl_job_rehearsed_cancelled(job);
}

cpl_status cpl_job_wait_cancelled(cpl_job *job, const cpl_wait *wait, bool *cancelled, cpl_error *err) {
    cpl_wait rest;
    cpl_pace pace;
    cpl_status status = CPL_OK;
    if (job->rehearsal) return cpl_job_rehearse_wait(job, wait ? wait->timeout_ms : 0, cancelled, err);
    cpl_pace_init(&pace, wait);
    while (!(*cancelled = cpl_job_cancelled(job)) && cpl_pace_rest(&pace, &rest, NULL) == CPL_OK && status == CPL_OK) {
        bool last = rest.timeout_ms > 0 && rest.timeout_ms < SLICE_MS;
        status = cpl_clock_sleep(last ? rest.timeout_ms : SLICE_MS, wait, err);
    }
    return status;
}

int64_t cpl_job_remaining_ms(const cpl_job *job) {
    int64_t left_ms = -1;
    if (job->guard) {
        left_ms = cpl_guard_left_ms(job->guard);
    } else if (job->rehearsal && job->rehearsed.how.limit_ms > 0) {
        left_ms = job->rehearsed.how.limit_ms - cpl_job_rehearsed_time(job);
    } else {
        return -1;
    }
    return left_ms > 0 ? left_ms : 0;
}

void cpl_job_hand_out(cpl_job *job) {
    job->answer = CPL_JOB_OPEN;
    job->running = true;
    atomic_fetch_add(&job->desk->running, 1);
}

void cpl_job_close(cpl_job *job, cpl_job_answer answer) {
    job->answer = answer;
    if (!job->running) return;
    job->running = false;
    cpl_desk_settle(job->desk);
}

cpl_status cpl_job_guard(cpl_job *job, int64_t after_ms, cpl_error *err) {
    cpl_status status = cpl_job_check_open(job, err);
    cpl_owed *failure;
    if (status != CPL_OK) return status;
    if (job->guard) return cpl_fail(err, CPL_STATE, "the job has a guard already");
    if (job->rehearsal) {
        job->rehearsed.how.limit_ms = cpl_job_rehearsed_time(job) + (after_ms > 0 ? after_ms : 1);
        return CPL_OK;
    }
    failure = cpl_job_sign(job, cpl_owed_failure(&job->origin, cpl_job_text(job, CPL_JOB_ID), TIME_IS_UP));
    cpl_job_sweep(job, failure, false, NULL);
    return cpl_guard_new(&job->guard, job->desk, failure, after_ms, err);
}

bool cpl_job_expired(const cpl_job *job) {
    return job->guard ? cpl_guard_fired(job->guard) : cpl_job_rehearsed_expired(job);
}

/* A rehearsed job is reported by nobody but itself. */
static cpl_status expire(cpl_job *job, cpl_error *err) {
    cpl_owed_free(job->owed);
    job->owed = cpl_owed_failure(&job->origin, cpl_job_text(job, CPL_JOB_ID), TIME_IS_UP);
    job->outcome = "failed";
    cpl_job_close(job, CPL_JOB_ANSWERED);
    return cpl_fail(err, CPL_STATE, REPORTED);
}

cpl_status cpl_job_claim(cpl_job *job, cpl_error *err) {
    if (is_copy(job)) return cpl_fail(err, CPL_STATE, "the job belongs to the process that took it");
    if (cpl_job_rehearsed_expired(job)) return expire(job, err);
    if (job->guard == NULL || cpl_guard_claim(job->guard)) return CPL_OK;
    if (cpl_guard_reported(job->guard)) {
        job->outcome = "failed";
        cpl_job_close(job, CPL_JOB_ANSWERED);
        return cpl_fail(err, CPL_STATE, REPORTED);
    }
    cpl_job_close(job, CPL_JOB_LOST);
    return cpl_fail(err, CPL_STATE, "the job's time was nearly up, and that could not be reported");
}

cpl_status cpl_job_check_open(cpl_job *job, cpl_error *err) {
    if (is_copy(job)) return cpl_job_claim(job, err);
    if (job->answer == CPL_JOB_OPEN && cpl_job_expired(job)) return cpl_job_claim(job, err);
    if (job->answer == CPL_JOB_ANSWERED) return cpl_fail(err, CPL_STATE, "the job has its result already");
    if (job->answer == CPL_JOB_LOST) return cpl_fail(err, CPL_STATE, "somebody else has the job");
    return CPL_OK;
}

const char *cpl_job_warning(const cpl_job *job) {
    return job->warning[0] ? job->warning : NULL;
}

const char *cpl_job_outcome(const cpl_job *job) {
    return job->outcome;
}

bool cpl_job_answered(const cpl_job *job) {
    return job->answer == CPL_JOB_ANSWERED;
}

/* ---- what it says ---- */

const char *cpl_job_text(const cpl_job *job, cpl_job_field field) {
    if (field == CPL_JOB_STATE) {
        cpl_continuation continuation;
        const char *token = cpl_job_text(job, CPL_JOB_CONTINUATION_TOKEN);
        if (!cpl_continuation_read(cpl_str_of(token), &continuation)) return NULL;
        if (continuation.bucket.n == 0) return continuation.state.p;
        return job->state.n > 0 ? cpl_buf_cstr(&job->state) : NULL;
    }
    if ((unsigned)field >= CPL_JOB_FIELD_COUNT) return NULL;
    return cpl_json_cstr(cpl_json_get_path(job->document, paths[field]), NULL);
}

const char *cpl_job_field_name(cpl_job_field field) {
    static const char *const names[CPL_JOB_FIELD_COUNT] = {
        [CPL_JOB_ID] = "id",
        [CPL_JOB_NONCE] = "nonce",
        [CPL_JOB_ACCOUNT_ID] = "account_id",
        [CPL_JOB_CATEGORY] = "category",
        [CPL_JOB_PROVIDER] = "provider",
        [CPL_JOB_VERSION] = "version",
        [CPL_JOB_PIPELINE_NAME] = "pipeline",
        [CPL_JOB_PIPELINE_ARN] = "pipeline_arn",
        [CPL_JOB_EXECUTION_ID] = "execution_id",
        [CPL_JOB_STAGE_NAME] = "stage",
        [CPL_JOB_ACTION_NAME] = "action",
        [CPL_JOB_ACTION_EXECUTION_ID] = "action_execution_id",
        [CPL_JOB_CONTINUATION_TOKEN] = "continuation_token",
        [CPL_JOB_STATE] = "state", /* a text that is JSON */
        [CPL_JOB_USER_PARAMETERS] = "user_parameters",
    };
    return (unsigned)field < CPL_JOB_FIELD_COUNT ? names[field] : "";
}

int cpl_job_action_type(const cpl_job *job) {
    return job->action_type;
}

void cpl_job_write_configuration(const cpl_job *job, cpl_buf *out) {
    const cpl_json *configuration = cpl_json_get_path(job->document, CONFIGURATION);
    if (configuration) {
        cpl_json_write(configuration, out);
    } else {
        cpl_buf_adds(out, "{}");
    }
}

/* The texts are made when first asked for, and not by the thread that polls: it is the one all others wait for. */
static cpl_status begin_reading(cpl_buf *text, const char *shape, cpl_cursor *cursor, cpl_error *err) {
    cpl_status status = cpl_buf_status(text, "the job", err);
    if (status == CPL_OK) cpl_cursor_init_shape(cursor, cpl_buf_str(text), cpl_model_shape_named(shape));
    return status;
}

cpl_status cpl_job_configuration(cpl_job *job, cpl_cursor *cursor, cpl_error *err) {
    if (job->configuration.n == 0) {
        cpl_buf_clear(&job->configuration);
        cpl_job_write_configuration(job, &job->configuration);
    }
    return begin_reading(&job->configuration, "ActionConfigurationMap", cursor, err);
}

cpl_status cpl_job_data(cpl_job *job, cpl_cursor *cursor, cpl_error *err) {
    if (job->text.n == 0) {
        cpl_buf_clear(&job->text);
        cpl_json_write(job->document, &job->text);
    }
    return begin_reading(&job->text, "Job", cursor, err);
}

size_t cpl_job_input_count(const cpl_job *job) {
    return job->inputs.count;
}

const char *cpl_job_input_name(const cpl_job *job, size_t i) {
    return i < job->inputs.count ? job->inputs.items[i].name : NULL;
}

size_t cpl_job_output_count(const cpl_job *job) {
    return job->outputs.count;
}

const char *cpl_job_output_name(const cpl_job *job, size_t i) {
    return i < job->outputs.count ? job->outputs.items[i].name : NULL;
}

/* ---- its credentials ---- */

cpl_credentials cpl_job_credentials(const cpl_job *job) {
    const cpl_json *c = cpl_json_get_path(job->document, "data.artifactCredentials");
    return (cpl_credentials){.access_key_id = cpl_json_get_str(c, "accessKeyId"),
                             .secret_access_key = cpl_json_get_str(c, "secretAccessKey"),
                             .session_token = cpl_json_get_str(c, "sessionToken")};
}

const char *cpl_job_kms_key(const cpl_job *job) {
    return cpl_json_cstr(cpl_json_get_path(job->document, "data.encryptionKey.id"), NULL);
}

static cpl_status take_credentials(cpl_job *job, cpl_str answer, cpl_error *err) {
    cpl_json *document = NULL, *data, *fresh;
    cpl_status status = cpl_json_parse(answer, &document, err);
    if (status != CPL_OK) return status;
    data = cpl_json_get_path(document, "jobDetails.data");
    fresh = cpl_json_get(data, "artifactCredentials");
    if (fresh == NULL) {
        status = cpl_fail(err, CPL_PROTOCOL, "the service gave no fresh credentials for the job's artifacts");
    } else if (!cpl_json_set(cpl_json_get(job->document, "data"), "artifactCredentials",
                             cpl_json_detach(data, fresh))) {
        status = cpl_fail_nomem(err);
    }
    cpl_json_free(document);
    if (status == CPL_OK) cpl_buf_wipe(&job->text); /* and is made anew when asked for */
    return status;
}

static cpl_status renew_once(cpl_job *job, const cpl_wait *wait, cpl_error *err) {
    const char *operation = job->origin.customer ? "GetThirdPartyJobDetails" : "GetJobDetails";
    cpl_reply *reply = NULL;
    cpl_status status;
    cpl_buf params;
    cpl_buf_init(&params, 4096);
    cpl_buf_adds(&params, "{\"jobId\":");
    cpl_json_quote(&params, cpl_str_of(cpl_job_text(job, CPL_JOB_ID)));
    cpl_buf_addc(&params, '}');
    status = cpl_buf_status(&params, "the job's id", err);
    if (status == CPL_OK) {
        cpl_desk_question question = {&job->origin, operation, cpl_buf_str(&params)};
        status = cpl_desk_call(job->desk, &question, wait, &reply, err);
    }
    cpl_buf_release(&params);
    if (status == CPL_OK) status = take_credentials(job, cpl_reply_text(reply), err);
    cpl_reply_free(reply);
    return status;
}

/* Work of hours must not be lost to a minute of trouble: it is asked for a while. */
cpl_status cpl_job_renew(cpl_job *job, const cpl_wait *wait, cpl_error *err) {
    int64_t end_ms = cpl_clock_monotonic_ms() + RENEWAL_MS;
    cpl_error failure = {0}, interrupted;
    cpl_status status, paused = CPL_OK;
    cpl_pace pace;
    cpl_wait rest;
    bool again;
    int tries = 0;
    cpl_pace_init(&pace, wait);
    do {
        status = cpl_pace_rest(&pace, &rest, &interrupted);
        if (status != CPL_OK) break;
        status = renew_once(job, &rest, &failure);
        again = status != CPL_OK && status != CPL_CANCELLED && cpl_desk_passes(status, &failure);
        again = again && cpl_clock_monotonic_ms() < end_ms;
        if (again) paused = cpl_clock_sleep(cpl_owed_delay_ms(++tries), &rest, &interrupted);
    } while (again && paused == CPL_OK);
    if (paused != CPL_OK || (status != CPL_OK && failure.status == CPL_OK)) failure = interrupted;
    if (status != CPL_OK && err) *err = failure;
    return status == CPL_OK ? status : failure.status;
}

/* ---- its folder ---- */

const char *cpl_job_keep(cpl_job *job, char *path) {
    char **grown = cpl_realloc(job->kept, (job->kept_count + 1) * sizeof *grown);
    if (grown == NULL) {
        cpl_free(path);
        return NULL;
    }
    job->kept = grown;
    return job->kept[job->kept_count++] = path;
}

cpl_status cpl_job_work_dir(cpl_job *job, const char **out, cpl_error *err) {
    if (job->work_dir == NULL) {
        cpl_status status = cpl_tree_temp(cpl_str_of(job->desk->work_dir), "codepipeline-", &job->work_dir, err);
        if (status != CPL_OK) return status;
    }
    *out = job->work_dir;
    return CPL_OK;
}
