/* SPDX-License-Identifier: MIT */
#include "engine.h"
#include "functions.h"

/*
 * The life of a job:
 *
 *   Queued -- PollForJobs --> Dispatched -- AcknowledgeJob --> InProgress -- Put...Result --> Succeeded, Failed
 *     ^                           |                               |
 *     +-- not acknowledged for ---+                               +-- the action's or job's limit --> TimedOut
 *         DELIVERY_MS
 *
 * Every delivery has a nonce of its own, and only the latest one's is good. So a worker that is slow to acknowledge
 * still gets its job as long as nobody else was given it, and never once somebody was. AcknowledgeJob may be repeated
 * with the good nonce while the job is in progress; that makes a lost answer harmless. What is said of a job that is
 * over is for repeats.c.
 */

#define DELIVERY_MS 60000
#define SECOND_MS 1000
#define LAMBDA_MS (20 * 60 * (int64_t)1000) /* for a result; a continuation has it again */
#define CONTINUE_MS (30 * (int64_t)1000)    /* until a function is called again */
#define OUTPUT_VARIABLES_MAX 122880         /* bytes, names and values together */

static cpl_json *job_get(const emu_engine *engine, const char *id) {
    return emu_store_get(emu_store_of(engine->e), EMU_JOB, id);
}

bool emu_job_over(const cpl_json *job) {
    return emu_is(job, "status", "Succeeded") || emu_is(job, "status", "Failed") || emu_is(job, "status", "TimedOut");
}

/* ---- the queues ---- */

void emu_queue_drop(void *queue) {
    emu_list_release(queue);
    cpl_free(queue);
}

static bool enqueue(emu_engine *engine, cpl_json *job) {
    const char *type = EMU_GET(job, "type");
    emu_list *queue = emu_index_get(&engine->queues, type);
    if (queue == NULL) {
        queue = cpl_calloc(1, sizeof *queue);
        if (queue == NULL) return false;
        if (!emu_index_set(&engine->queues, type, queue)) {
            cpl_free(queue);
            return false;
        }
    }
    return emu_list_push(queue, job);
}

static bool watch_delivery(emu_engine *engine, const cpl_json *job) {
    emu_timer timer = {.at = (int64_t)cpl_json_get_number(job, "lapses", 0), .due = EMU_DUE_DELIVERY};
    CPL_COPY(timer.id, cpl_json_get_str(job, "id"));
    return emu_timers_add(&engine->timers, &timer);
}

/* The time that the provider of an action type gives one job; a continued action's next job has it again. */
static bool watch_limit(emu_engine *engine, const cpl_json *job) {
    emu_timer timer = {.at = (int64_t)cpl_json_get_number(job, "deadline", 0), .due = EMU_DUE_JOB};
    if (timer.at == 0) return true;
    CPL_COPY(timer.id, cpl_json_get_str(job, "id"));
    return emu_timers_add(&engine->timers, &timer);
}

/* The owner in "Build:Custom:MyBuilder:1". */
static bool is_of(const cpl_json *job, const char *owner) {
    cpl_str type = cpl_json_get_str(job, "type");
    type = cpl_str_sub(type, cpl_str_find(type, ':') + 1, type.n);
    return cpl_str_is(cpl_str_sub(type, 0, cpl_str_find(type, ':')), owner);
}

/* Its job is a function's, which reports as a worker of custom actions does. */
static bool is_invoked(const cpl_json *job) {
    return cpl_json_get(job, "function") != NULL;
}

/* In the service's words. */
static void no_result(emu_engine *engine, cpl_json *execution, cpl_json *record) {
    const emu_context at = {engine, execution, record, NULL};
    const char *name = EMU_GET(job_get(engine, EMU_GET(record, "jobId")), "function");
    emu_job_close(engine, EMU_GET(record, "jobId"), "TimedOut");
    emu_action_fail(&at, "JobFailed",
                    "The AWS Lambda function %s failed to return a result. Check the function to verify that it has "
                    "permission to call the PutJobSuccessResult action and that it made a call to PutJobSuccessResult.",
                    name);
}

void emu_job_expire(emu_engine *engine, const char *id) {
    const cpl_json *job = job_get(engine, id);
    cpl_json *execution = emu_execution_get(engine, EMU_GET(job, "executionId"));
    cpl_json *record = emu_record_get(execution, EMU_GET(job, "actionExecutionId"));
    emu_line *line = emu_line_find(engine, EMU_GET(execution, "pipeline"));
    if (line == NULL || record == NULL || emu_job_over(job)) return;
    if (is_invoked(job)) {
        no_result(engine, execution, record);
    } else {
        emu_action_timeout(engine, execution, record);
    }
    emu_line_settle(engine, line);
}

void emu_job_lapse(emu_engine *engine, const char *id) {
    cpl_json *job = job_get(engine, id);
    if (!emu_is(job, "status", "Dispatched")) return;
    if (cpl_json_get_number(job, "lapses", 0) > (double)emu_now_ms(engine->e)) return; /* of an earlier delivery */
    if (emu_job_change(engine, job, "Queued")) enqueue(engine, job);
}

bool emu_job_load(emu_engine *engine, cpl_json *job) {
    if (!emu_job_over(job) && !watch_limit(engine, job)) return false;
    if (emu_is(job, "status", "Queued")) return enqueue(engine, job);
    return !emu_is(job, "status", "Dispatched") || watch_delivery(engine, job);
}

/* ---- making and ending ---- */

/* What PollForJobs can ask for: the value of the queryable property. */
static bool set_query(const emu_engine *engine, cpl_json *job, const cpl_json *input) {
    cpl_json *query = emu_object_at(job, "query");
    emu_kind kind;
    if (!emu_kind_find(engine, cpl_json_get(input, "actionTypeId"), &kind)) return query != NULL;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(kind.type, "actionConfigurationProperties")); i;
         i = cpl_json_next(i)) {
        const char *name = EMU_GET(i, "name");
        if (!cpl_json_get_bool(i, "queryable", false)) continue;
        if (!emu_copy(query, name, cpl_json_get(input, "resolvedConfiguration"), name)) return false;
    }
    return query != NULL;
}

static bool set_limit(const emu_engine *engine, cpl_json *job, const cpl_json *input) {
    emu_kind kind;
    double seconds = 0;
    if (emu_kind_find(engine, cpl_json_get(input, "actionTypeId"), &kind)) {
        seconds = cpl_json_get_number(cpl_json_get(kind.declaration, "executor"), "jobTimeout", 0);
    }
    return seconds <= 0 || cpl_json_set_number(job, "deadline", (double)emu_now_ms(engine->e) + seconds * SECOND_MS);
}

/* The document, in the store; NULL: out of memory. */
static cpl_json *make_job(emu_engine *engine, const cpl_json *execution, cpl_json *record, const char *token) {
    cpl_json *job = cpl_json_new_object();
    const cpl_json *input = cpl_json_get(record, "input");
    char id[CPL_UUID_SIZE], type[EMU_KIND_KEY];
    emu_kind_key(cpl_json_get(input, emu_record_is_rule(record) ? "ruleTypeId" : "actionTypeId"), type);
    if (!emu_uuid(engine->e, id) || !cpl_json_set_cstr(job, "id", id) || !cpl_json_set_cstr(job, "type", type) ||
        !emu_copy(job, "executionId", execution, "id") || !emu_copy(job, "actionExecutionId", record, "id") ||
        !cpl_json_set_cstr(job, "continuationToken", token) || !set_query(engine, job, input) ||
        !set_limit(engine, job, input) || !cpl_json_set_cstr(record, "jobId", id)) {
        cpl_json_free(job);
        return NULL;
    }
    return emu_store_put(emu_store_of(engine->e), EMU_JOB, id, job) ? job : NULL;
}

bool emu_job_create(emu_engine *engine, const cpl_json *execution, cpl_json *record, const char *token) {
    cpl_json *job = make_job(engine, execution, record, token);
    return job && emu_job_change(engine, job, "Queued") && enqueue(engine, job) && watch_limit(engine, job);
}

/* What a function is told lacks two members of what a worker is told. */
static cpl_json *event_of(emu_engine *engine, const cpl_json *job) {
    cpl_json *event = cpl_json_new_object(), *details = emu_job_describe(engine, job);
    cpl_json *data = cpl_json_get(details, "data");
    cpl_json_remove(data, "actionTypeId");
    cpl_json_remove(data, "pipelineContext");
    if (details && cpl_json_set(event, "CodePipeline.job", details)) return event;
    cpl_json_free(event);
    return NULL;
}

static bool invoke(emu_engine *engine, const cpl_json *job) {
    return emu_function_invoke(engine->e, cpl_json_get_str(job, "function"), EMU_GET(job, "id"), event_of(engine, job),
                               (int64_t)cpl_json_get_number(job, "due", 0));
}

/* From when it is invoked on, a function has as long as its action type says, or twenty minutes. */
static bool set_call(const emu_engine *engine, cpl_json *job, const cpl_json *record, int64_t due_ms) {
    double deadline = cpl_json_get_number(job, "deadline", 0), now = (double)emu_now_ms(engine->e);
    return cpl_json_set_str(job, "function", emu_function_of(engine->e, record)) &&
           cpl_json_set_number(job, "due", (double)due_ms) &&
           cpl_json_set_number(job, "deadline", (double)due_ms + (deadline > 0 ? deadline - now : LAMBDA_MS));
}

bool emu_job_invoke(emu_engine *engine, const cpl_json *execution, cpl_json *record, const char *token,
                    int64_t due_ms) {
    cpl_json *job = make_job(engine, execution, record, token);
    return job && set_call(engine, job, record, due_ms) && emu_job_change(engine, job, "InProgress") &&
           watch_limit(engine, job) && invoke(engine, job);
}

void emu_job_invoked(emu_engine *engine, const char *id) {
    cpl_json *job = job_get(engine, id);
    if (job == NULL) return;
    cpl_json_set_bool(job, "invoked", true); /* without memory: once more after a restart, as Lambda might */
    emu_store_touch(emu_store_of(engine->e), EMU_JOB, id);
}

bool emu_jobs_invoke_again(emu_engine *engine) {
    emu_store *store = emu_store_of(engine->e);
    for (size_t i = 0; i < emu_store_size(store, EMU_JOB); i++) {
        const cpl_json *job = emu_store_at(store, EMU_JOB, i, NULL);
        if (!is_invoked(job) || emu_job_over(job) || cpl_json_get_bool(job, "invoked", false)) continue;
        if (!invoke(engine, job)) return false;
    }
    return true;
}

void emu_job_close(emu_engine *engine, const char *id, const char *status) {
    cpl_json *job = job_get(engine, id);
    if (job == NULL || emu_job_over(job)) return;
    emu_job_change(engine, job, status);
}

void emu_job_delete(emu_engine *engine, const char *id) {
    cpl_json *job = job_get(engine, id);
    emu_list *queue = emu_index_get(&engine->queues, EMU_GET(job, "type"));
    if (job == NULL) return;
    for (size_t i = queue ? queue->n : 0; i-- > 0;) {
        if (queue->items[i] == job) emu_list_remove(queue, job);
    }
    emu_store_delete(emu_store_of(engine->e), EMU_JOB, id);
}

/* ---- PollForJobs ---- */

static bool need_type(emu_call *call, const cpl_json *id, emu_kind *kind) {
    if (emu_is(id, "owner", "Custom") && emu_kind_find(emu_engine_of(call->e), id, kind) && !kind->deleted) return true;
    return emu_refuse(call, "ActionTypeNotFoundException",
                      "ActionType (Category: '%s', Provider: '%s', Owner: '%s', Version: '%s') is not a custom action "
                      "type of account '%s'",
                      EMU_GET(id, "category"), EMU_GET(id, "provider"), EMU_GET(id, "owner"), EMU_GET(id, "version"),
                      emu_account_id(call->e));
}

static bool check_query(emu_call *call, const emu_kind *kind, const cpl_json *query) {
    const cpl_json *property;
    if (query == NULL) return true;
    property = emu_kind_property(kind, cpl_json_key(query));
    return cpl_json_get_bool(property, "queryable", false) ||
           emu_refuse(call, "ValidationException", "The action type has no queryable property '%s'",
                      cpl_json_key(query).p);
}

static bool wanted(const cpl_json *job, const cpl_json *query) {
    return emu_is(job, "status", "Queued") &&
           (query == NULL ||
            cpl_str_eq(cpl_json_get_str(cpl_json_get(job, "query"), cpl_json_key(query).p), cpl_json_str(query)));
}

static bool deliver(emu_call *call, cpl_json *job, emu_job_offer offer, cpl_json *jobs) {
    emu_engine *engine = emu_engine_of(call->e);
    char nonce[CPL_UUID_SIZE];
    if (!emu_uuid(call->e, nonce) || !cpl_json_set_cstr(job, "nonce", nonce) ||
        !cpl_json_set_number(job, "lapses", (double)(emu_now_ms(call->e) + DELIVERY_MS)) ||
        !emu_job_change(engine, job, "Dispatched") || !watch_delivery(engine, job)) {
        return false;
    }
    return cpl_json_push(jobs, offer(engine, job));
}

/* Hands out the oldest that match and closes the gaps; an entry whose job is no longer Queued goes too. */
static bool deliver_some(emu_call *call, emu_list *queue, emu_job_offer offer, cpl_json *jobs) {
    const cpl_json *query = cpl_json_first(cpl_json_get(call->in, "queryParam"));
    double batch = cpl_json_get_number(call->in, "maxBatchSize", 1);
    size_t n = 0, kept = 0, i = 0;
    bool good = true;
    for (; good && i < queue->n && (double)n < batch; i++) {
        cpl_json *job = queue->items[i];
        if (wanted(job, query)) {
            good = deliver(call, job, offer, jobs);
            n++;
        } else if (emu_is(job, "status", "Queued")) {
            queue->items[kept++] = job;
        }
    }
    if (kept > 0) memmove(queue->items + i - kept, queue->items, kept * sizeof *queue->items);
    emu_list_remove_first(queue, i - kept);
    return good || emu_nomem(call);
}

bool emu_jobs_hand_out(emu_call *call, emu_job_offer offer) {
    cpl_json *jobs = emu_array_at(call->out, "jobs");
    char key[EMU_KIND_KEY];
    emu_list *queue;
    emu_kind_key(cpl_json_get(call->in, "actionTypeId"), key);
    queue = emu_index_get(&emu_engine_of(call->e)->queues, key);
    return queue == NULL || deliver_some(call, queue, offer, jobs);
}

static cpl_json *offer_custom(emu_engine *engine, const cpl_json *job) {
    cpl_json *details = emu_job_describe(engine, job);
    if (emu_copy(details, "nonce", job, "nonce")) return details;
    cpl_json_free(details);
    return NULL;
}

static bool poll_for_jobs(emu_call *call) {
    const cpl_json *query = cpl_json_first(cpl_json_get(call->in, "queryParam"));
    emu_kind kind;
    return need_type(call, cpl_json_get(call->in, "actionTypeId"), &kind) && check_query(call, &kind, query) &&
           emu_jobs_hand_out(call, offer_custom);
}

/* ---- AcknowledgeJob, GetJobDetails ---- */

cpl_json *emu_job_need(emu_call *call, const char *owner) {
    const char *id = EMU_GET(call->in, "jobId");
    cpl_json *job = job_get(emu_engine_of(call->e), id);
    /* the same operations serve custom actions and functions */
    if (job && (is_invoked(job) ? strcmp(owner, "Custom") == 0 : is_of(job, owner)) &&
        emu_execution_get(emu_engine_of(call->e), EMU_GET(job, "executionId")))
        return job;
    emu_refuse(call, "JobNotFoundException", "Account '%s' does not have a job with id '%s'", emu_account_id(call->e),
               id);
    return NULL;
}

bool emu_job_acknowledge(emu_call *call, cpl_json *job) {
    emu_engine *engine = emu_engine_of(call->e);
    if (!cpl_str_eq(cpl_json_get_str(job, "nonce"), cpl_json_get_str(call->in, "nonce"))) {
        return emu_refuse(call, "InvalidNonceException", "The nonce is not that of the latest delivery of job '%s'",
                          EMU_GET(job, "id"));
    }
    if (emu_job_over(job) && !emu_accepts_repeats(call->e)) {
        return emu_refuse(call, "InvalidNonceException", "The nonce is no longer good: the job '%s' is %s",
                          EMU_GET(job, "id"), EMU_GET(job, "status"));
    }
    if (!emu_job_over(job) && !emu_is(job, "status", "InProgress")) {
        if (!emu_job_change(engine, job, "InProgress")) return emu_nomem(call);
    }
    return emu_copy(call->out, "status", job, "status") || emu_nomem(call);
}

static bool acknowledge_job(emu_call *call) {
    cpl_json *job = emu_job_need(call, "Custom");
    return job && emu_job_acknowledge(call, job);
}

static bool get_job_details(emu_call *call) {
    const cpl_json *job = emu_job_need(call, "Custom");
    if (job == NULL) return false;
    return cpl_json_set(call->out, "jobDetails", emu_job_describe(emu_engine_of(call->e), job)) || emu_nomem(call);
}

/* ---- results ---- */

typedef struct result {
    cpl_json *job;
    cpl_json *execution;
    cpl_json *record;
} result;

static bool need_running(emu_call *call, cpl_json *job, result *out) {
    emu_engine *engine = emu_engine_of(call->e);
    out->job = job;
    if (!emu_is(out->job, "status", "InProgress")) {
        return emu_refuse(call, "InvalidJobStateException",
                          "The job '%s' is %s; a result is taken only when it is InProgress", EMU_GET(out->job, "id"),
                          EMU_GET(out->job, "status"));
    }
    out->execution = emu_execution_get(engine, EMU_GET(out->job, "executionId"));
    out->record = emu_record_get(out->execution, EMU_GET(out->job, "actionExecutionId"));
    return true;
}

static bool check_variables(emu_call *call) {
    size_t bytes = 0;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(call->in, "outputVariables")); i; i = cpl_json_next(i)) {
        bytes += cpl_json_key(i).n + cpl_json_str(i).n;
    }
    return bytes <= OUTPUT_VARIABLES_MAX ||
           emu_refuse(call, "OutputVariablesSizeExceededException",
                      "The output variables take %zu bytes; all of an action's together may take %d", bytes,
                      OUTPUT_VARIABLES_MAX);
}

static bool take_details(const cpl_json *in, cpl_json *record) {
    const cpl_json *details = cpl_json_get(in, "executionDetails");
    return emu_copy(record, "summary", details, "summary") &&
           emu_copy(record, "externalExecutionId", details, "externalExecutionId") &&
           emu_copy(record, "percentComplete", details, "percentComplete") &&
           emu_copy(record, "outputVariables", in, "outputVariables");
}

static bool take_revision(emu_engine *engine, const cpl_json *in, const result *at) {
    const cpl_json *revision = cpl_json_get(in, "currentRevision");
    cpl_buf url;
    bool good;
    if (revision == NULL) return true;
    cpl_buf_init(&url, 2049);
    good = emu_link(engine, cpl_json_get(at->record, "input"), "revisionUrlTemplate",
                    cpl_json_get_cstr(at->record, "externalExecutionId", NULL), &url);
    good = emu_action_revision(at->execution, at->record, revision, good ? cpl_buf_cstr(&url) : NULL);
    cpl_buf_release(&url);
    return good;
}

static bool end_job(emu_engine *engine, const result *at, const char *status, const emu_outcome *outcome) {
    emu_line *line = emu_line_find(engine, EMU_GET(at->execution, "pipeline"));
    emu_job_close(engine, EMU_GET(at->job, "id"), status);
    return emu_action_end(engine, at->execution, at->record, outcome) && line && emu_line_settle(engine, line);
}

/* The job is done, its action is not: a new job goes on where this one says. */
static bool continue_later(emu_engine *engine, const result *at, const char *token) {
    int64_t due_ms = emu_now_ms(engine->e) + CONTINUE_MS;
    bool lambda = is_invoked(at->job);
    emu_job_close(engine, EMU_GET(at->job, "id"), "Succeeded");
    emu_execution_touch(engine, at->execution);
    return cpl_json_set_number(at->record, "updated", emu_now_s(engine->e)) &&
           (lambda ? emu_job_invoke(engine, at->execution, at->record, token, due_ms)
                   : emu_job_create(engine, at->execution, at->record, token));
}

/*
 * Output artifacts are not looked for here: as with the service, whoever wants one that was never uploaded finds it
 * missing (a worker gets NoSuchKey, an S3 deploy action fails).
 */
bool emu_job_succeed(emu_call *call, cpl_json *job) {
    emu_engine *engine = emu_engine_of(call->e);
    const char *token = cpl_json_get_cstr(call->in, "continuationToken", NULL);
    result at;
    bool good;
    if (emu_result_is_repeated(call, job)) return true;
    if (!need_running(call, job, &at) || !check_variables(call)) return false;
    good = emu_result_note(call, job) && take_details(call->in, at.record) && take_revision(engine, call->in, &at) &&
           (token ? continue_later(engine, &at, token)
                  : end_job(engine, &at, "Succeeded", &(emu_outcome){"Succeeded", NULL, {NULL, 0}}));
    return good || emu_nomem(call);
}

bool emu_job_fail(emu_call *call, cpl_json *job) {
    const cpl_json *details = cpl_json_get(call->in, "failureDetails");
    result at;
    if (emu_result_is_repeated(call, job)) return true;
    if (!need_running(call, job, &at)) return false;
    return (emu_result_note(call, job) && emu_copy(at.record, "externalExecutionId", details, "externalExecutionId") &&
            end_job(emu_engine_of(call->e), &at, "Failed",
                    &(emu_outcome){"Failed", EMU_GET(details, "type"), cpl_json_get_str(details, "message")})) ||
           emu_nomem(call);
}

static bool put_job_success_result(emu_call *call) {
    cpl_json *job = emu_job_need(call, "Custom");
    return job && emu_job_succeed(call, job);
}

static bool put_job_failure_result(emu_call *call) {
    cpl_json *job = emu_job_need(call, "Custom");
    return job && emu_job_fail(call, job);
}

const emu_route emu_job_routes[] = {
    {"PollForJobs", poll_for_jobs},
    {"AcknowledgeJob", acknowledge_job},
    {"GetJobDetails", get_job_details},
    {"PutJobSuccessResult", put_job_success_result},
    {"PutJobFailureResult", put_job_failure_result},
    {"PollForThirdPartyJobs", emu_poll_for_third_party_jobs},
    {"GetThirdPartyJobDetails", emu_get_third_party_job_details},
    {"AcknowledgeThirdPartyJob", emu_acknowledge_third_party_job},
    {"PutThirdPartyJobSuccessResult", emu_put_third_party_job_success_result},
    {"PutThirdPartyJobFailureResult", emu_put_third_party_job_failure_result},
    {NULL, NULL},
};
