/* SPDX-License-Identifier: MIT */
#include "desk.h"

#include <fcntl.h>
#include <time.h>

#include "clock.h"
#include "err.h"
#include "fork.h"
#include "tree.h"

#define ARTIFACT_LIMIT ((size_t)8 << 30)
#define DELAY_MIN_MS 500
#define DELAY_MAX_MS 20000
#define FOLDERS_MAX 100 /* that are tried again */

/* ---- results ---- */

static const struct {
    const char *operation;
    bool customers;
    cpl_verdict verdict;
} operations[] = {{"PutJobSuccessResult", false, CPL_VERDICT_SUCCESS},
                  {"PutJobFailureResult", false, CPL_VERDICT_FAILURE},
                  {"PutThirdPartyJobSuccessResult", true, CPL_VERDICT_SUCCESS},
                  {"PutThirdPartyJobFailureResult", true, CPL_VERDICT_FAILURE}};

const char *cpl_owed_operation(const cpl_origin *origin, cpl_verdict verdict) {
    size_t i = 0;
    while (operations[i].customers != (origin->customer != NULL) || operations[i].verdict != verdict) i++;
    return operations[i].operation;
}

bool cpl_owed_verdict(const char *operation, cpl_verdict *verdict) {
    for (size_t i = 0; i < CPL_COUNT(operations); i++) {
        if (operation == NULL || strcmp(operations[i].operation, operation) != 0) continue;
        *verdict = operations[i].verdict;
        return true;
    }
    return false;
}

cpl_owed *cpl_owed_new(const cpl_origin *origin, cpl_verdict verdict, cpl_str params) {
    cpl_owed *owed = cpl_calloc(1, sizeof *owed);
    if (owed == NULL) return NULL;
    owed->origin = *origin;
    owed->operation = cpl_owed_operation(origin, verdict);
    owed->params = cpl_strdup(params);
    if (owed->params) return owed;
    cpl_free(owed);
    return NULL;
}

void cpl_owed_free(cpl_owed *owed) {
    if (owed == NULL) return;
    cpl_wipe(owed->params, strlen(owed->params));
    cpl_free(owed->params);
    cpl_free(owed->job_id);
    cpl_free(owed->nonce);
    cpl_leftover_free(owed->leftover);
    cpl_free(owed);
}

bool cpl_owed_sign(cpl_owed *owed, const char *job_id, const char *nonce, int64_t deadline_ms) {
    cpl_free(owed->job_id);
    cpl_free(owed->nonce);
    owed->job_id = cpl_strdup(cpl_str_of(job_id));
    owed->nonce = cpl_strdup(cpl_str_of(nonce));
    owed->deadline_ms = deadline_ms;
    return owed->job_id && owed->nonce;
}

void cpl_failure_write(cpl_buf *out, const char *job_id, const char *type, const char *message) {
    cpl_buf_adds(out, "{\"jobId\":");
    cpl_json_quote(out, cpl_str_of(job_id));
    cpl_buf_addf(out, ",\"failureDetails\":{\"type\":\"%s\",\"message\":", type);
    cpl_json_quote(out, cpl_str_of(message));
    cpl_buf_adds(out, "}}");
}

cpl_owed *cpl_owed_failure(const cpl_origin *origin, const char *job_id, const char *message) {
    cpl_owed *owed = NULL;
    cpl_buf params;
    cpl_buf_init(&params, 8192);
    cpl_failure_write(&params, job_id, "JobFailed", message);
    if (cpl_buf_ok(&params)) owed = cpl_owed_new(origin, CPL_VERDICT_FAILURE, cpl_buf_str(&params));
    cpl_buf_release(&params);
    return owed;
}

cpl_owed *cpl_owed_continuation(const cpl_origin *origin, const char *job_id, const char *token) {
    cpl_owed *owed = NULL;
    cpl_buf params;
    cpl_buf_init(&params, 16384);
    cpl_buf_adds(&params, "{\"jobId\":");
    cpl_json_quote(&params, cpl_str_of(job_id));
    cpl_buf_adds(&params, ",\"continuationToken\":");
    cpl_json_quote(&params, cpl_str_of(token));
    cpl_buf_addc(&params, '}');
    if (cpl_buf_ok(&params)) owed = cpl_owed_new(origin, CPL_VERDICT_SUCCESS, cpl_buf_str(&params));
    cpl_buf_release(&params);
    return owed;
}

/* Failures after which the request may be with the service, or a later one may reach it. */
static bool is_open_ended(const cpl_error *err) {
    switch (err->status) {
    case CPL_NETWORK:
    case CPL_TIMEOUT:
    case CPL_PROTOCOL:
    case CPL_TOO_LARGE:
    case CPL_CANCELLED: return true;
    case CPL_NOMEM: return err->attempts > 0; /* for the answer */
    case CPL_SERVICE: return err->http_status >= 500;
    default: return false;
    }
}

/* The service refused it for good: what does that say about the job? */
static cpl_status read_refusal(const cpl_owed *owed, cpl_error *err) {
    static const char *const over[] = {"InvalidJobStateException", "InvalidNonceException", "JobNotFoundException"};
    if (strcmp(err->code, over[0]) == 0 && (owed->ambiguous || err->attempts > 1)) {
        cpl_error_clear(
            err); /* an answer was lost, and this says the result had arrived; GetJobDetails tells no state */
        return CPL_OK;
    }
    for (size_t i = 0; i < CPL_COUNT(over); i++) {
        if (strcmp(err->code, over[i]) == 0) return err->status = CPL_STATE;
    }
    return CPL_SERVICE;
}

/* They say something of who asks, and not of what is asked. */
static bool is_of_the_caller(const cpl_error *err) {
    static const char *const codes[] = {
        "AccessDenied",          "AccessDeniedException",     "ExpiredToken",
        "ExpiredTokenException", "IncompleteSignature",       "InvalidClientTokenException",
        "InvalidClientTokenId",  "InvalidSignatureException", "MissingAuthenticationToken",
        "RequestExpired",        "SignatureDoesNotMatch",     "UnrecognizedClientException"};
    for (size_t i = 0; i < CPL_COUNT(codes); i++) {
        if (strcmp(err->code, codes[i]) == 0) return true;
    }
    return err->http_status == 401 || err->http_status == 403;
}

bool cpl_desk_foreign(cpl_status status, const cpl_error *err) {
    return status == CPL_SERVICE && err->code[0] >= '0' && err->code[0] <= '9'; /* no code came, and it is the status */
}

bool cpl_desk_passes(cpl_status status, const cpl_error *err) {
    switch (status) {
    case CPL_NETWORK:
    case CPL_TIMEOUT:
    case CPL_TOO_LARGE:
    case CPL_PROTOCOL: return true;
    default: return err->retryable || cpl_desk_foreign(status, err);
    }
}

bool cpl_owed_forbidden(cpl_status status, const cpl_error *err) {
    return status == CPL_CREDENTIALS || (status == CPL_SERVICE && is_of_the_caller(err));
}

bool cpl_owed_refused(cpl_status status, const cpl_error *err) {
    switch (status) {
    case CPL_INVALID: return true;
    case CPL_STATE: return err->code[0] != '\0'; /* else the client is closed */
    case CPL_SERVICE: return !err->retryable && !is_of_the_caller(err);
    default: return false;
    }
}

int64_t cpl_owed_delay_ms(int tries) {
    int64_t delay = DELAY_MAX_MS;
    uint32_t chance = UINT32_MAX;
    if (tries < 6) delay = (int64_t)DELAY_MIN_MS << (tries > 0 ? tries - 1 : 0);
    (void)cpl_random(&chance, sizeof chance, NULL);
    return delay / 2 + (int64_t)((double)delay / 2 * (chance / 4294967295.0));
}

/* ---- the desk ---- */

cpl_status cpl_desk_new(cpl_desk **out, cpl_client *client, const cpl_worker_options *options, cpl_error *err) {
    const char *tmp = getenv("TMPDIR");
    cpl_str folder = options->work_dir.n ? options->work_dir : cpl_str_of(tmp && tmp[0] ? tmp : "/tmp");
    cpl_desk *desk = cpl_calloc(1, sizeof *desk);
    if (desk == NULL) return cpl_fail_nomem(err);
    atomic_init(&desk->references, 1);
    atomic_init(&desk->running, 0);
    atomic_init(&desk->stop_ms, 0);
    atomic_init(&desk->cancelled, false);
    desk->mark = cpl_fork_mark();
    desk->grace_ms = options->grace_ms;
    desk->artifact_limit = (int64_t)(options->artifact_limit ? options->artifact_limit : ARTIFACT_LIMIT);
    desk->work_dir = cpl_strdup(folder);
    desk->clients = cpl_calloc(1, sizeof *desk->clients);
    desk->customers = cpl_customers_new();
    desk->backlog = cpl_backlog_new();
    if (desk->work_dir == NULL || desk->clients == NULL || desk->customers == NULL || desk->backlog == NULL ||
        pthread_mutex_init(&desk->lock, NULL) != 0)
        goto nomem;
    if (!cpl_clock_condition(&desk->changed)) {
        pthread_mutex_destroy(&desk->lock);
        goto nomem;
    }
    cpl_client_retain(client);
    desk->clients[desk->client_count++] = desk->client = client;
    *out = desk;
    return CPL_OK;
nomem:
    cpl_backlog_free(desk->backlog);
    cpl_customers_free(desk->customers);
    cpl_free(desk->clients);
    cpl_free(desk->work_dir);
    cpl_free(desk);
    return cpl_fail_nomem(err);
}

/* Those of a list that will not go. */
static cpl_folder *remove_folders(cpl_folder *list) {
    cpl_folder *left = NULL, *next;
    int count = 0;
    for (; list; list = next) {
        next = list->next;
        if (cpl_tree_remove(AT_FDCWD, list->path) || ++count > FOLDERS_MAX) {
            cpl_free(list->path);
            cpl_free(list);
        } else {
            list->next = left;
            left = list;
        }
    }
    return left;
}

void cpl_desk_discard(cpl_desk *desk, char *path) {
    cpl_folder *one = cpl_calloc(1, sizeof *one), *left, **end;
    if (one == NULL) {
        (void)cpl_tree_remove(AT_FDCWD, path);
        cpl_free(path);
        return;
    }
    one->path = path;
    pthread_mutex_lock(&desk->lock);
    one->next = desk->folders;
    desk->folders = NULL;
    pthread_mutex_unlock(&desk->lock);
    left = remove_folders(one); /* which may take long */
    pthread_mutex_lock(&desk->lock);
    for (end = &desk->folders; *end;) end = &(*end)->next;
    *end = left;
    pthread_mutex_unlock(&desk->lock);
}

static void forget_folders(cpl_folder *list) {
    while (list) {
        cpl_folder *next = list->next;
        cpl_free(list->path);
        cpl_free(list);
        list = next;
    }
}

cpl_desk *cpl_desk_retain(cpl_desk *desk) {
    atomic_fetch_add(&desk->references, 1);
    return desk;
}

void cpl_desk_drop(cpl_desk *desk) {
    if (desk == NULL || atomic_fetch_sub(&desk->references, 1) > 1) return;
    while (desk->owed) {
        cpl_owed *next = desk->owed->next;
        cpl_owed_free(desk->owed);
        desk->owed = next;
    }
    forget_folders(remove_folders(desk->folders));
    pthread_cond_destroy(&desk->changed);
    pthread_mutex_destroy(&desk->lock);
    cpl_journal_close(desk->journal);
    for (size_t i = 0; i < desk->client_count; i++) cpl_client_free(desk->clients[i]);
    cpl_free(desk->clients);
    cpl_backlog_free(desk->backlog);
    cpl_customers_free(desk->customers);
    cpl_free(desk->work_dir);
    cpl_free(desk);
}

cpl_status cpl_desk_open_journal(cpl_desk *desk, cpl_str path, cpl_error *err) {
    if (path.n == 0) return CPL_OK;
    return cpl_journal_open(&desk->journal, path, cpl_clock_wall_ms(), err);
}

/* ---- regions and customers ---- */

static cpl_client *find_client(const cpl_desk *desk, cpl_str region) {
    for (size_t i = 0; i < desk->client_count; i++) {
        if (cpl_str_is(region, desk->clients[i]->region)) return desk->clients[i];
    }
    return NULL;
}

cpl_status cpl_desk_add_client(cpl_desk *desk, cpl_client *client, cpl_error *err) {
    cpl_client *there = find_client(desk, cpl_str_of(client->region)), **grown;
    if (there == client) return CPL_OK;
    if (there) return cpl_fail_at(err, CPL_INVALID, "client", "the worker has another client in %s", client->region);
    grown = cpl_realloc(desk->clients, (desk->client_count + 1) * sizeof *grown);
    if (grown == NULL) return cpl_fail_nomem(err);
    cpl_client_retain(client);
    desk->clients = grown;
    desk->clients[desk->client_count++] = client;
    return CPL_OK;
}

cpl_status cpl_desk_client_in(cpl_desk *desk, cpl_str region, cpl_client **out, cpl_error *err) {
    cpl_client_options overrides = {.region = region};
    cpl_status status;
    *out = find_client(desk, region);
    if (*out) return CPL_OK;
    status = cpl_client_with(out, desk->client, &overrides, err);
    if (status != CPL_OK) return status;
    (*out)->whose = desk->client->whose;
    status = cpl_desk_add_client(desk, *out, err);
    cpl_client_free(*out); /* the desk has it now, or nobody has */
    return status;
}

/* {"clientToken":"...", and the params without their brace. */
static cpl_status add_token(const cpl_desk *desk, const cpl_origin *origin, cpl_str params, cpl_buf *out,
                            cpl_error *err) {
    cpl_buf token;
    cpl_status status;
    cpl_buf_init(&token, 1024);
    status = cpl_customers_token(desk->customers, origin->customer, &token, err);
    cpl_buf_adds(out, "{\"clientToken\":");
    cpl_json_quote(out, cpl_buf_str(&token));
    cpl_buf_addc(out, ',');
    cpl_buf_addv(out, cpl_str_sub(params, 1, params.n));
    cpl_buf_wipe(&token);
    cpl_buf_release(&token);
    return status == CPL_OK ? cpl_buf_status(out, "the call", err) : status;
}

cpl_status cpl_desk_call(const cpl_desk *desk, const cpl_desk_question *question, const cpl_wait *wait, cpl_reply **out,
                         cpl_error *err) {
    cpl_call_options options = {.wait = wait ? *wait : (cpl_wait){0}};
    const cpl_origin *origin = question->origin;
    cpl_str params = question->params;
    cpl_status status = CPL_OK;
    cpl_error failure = {0};
    cpl_buf full;
    cpl_buf_init(&full, params.n + 4096);
    if (origin->customer) {
        status = add_token(desk, origin, params, &full, &failure);
        if (status != CPL_OK) CPL_COPY(failure.operation, cpl_str_of(question->operation));
        params = cpl_buf_str(&full);
    }
    if (status == CPL_OK) {
        status = cpl_client_call(origin->client, cpl_str_of(question->operation), params, &options, out, &failure);
    }
    if (status == CPL_SERVICE && strcmp(failure.code, "InvalidClientTokenException") == 0 && origin->customer) {
        cpl_customers_refuse(desk->customers, origin->customer);
    }
    if (status != CPL_OK && err) *err = failure;
    cpl_buf_wipe(&full);
    cpl_buf_release(&full);
    return status;
}

int64_t cpl_desk_now_ms(const cpl_desk *desk) {
    return cpl_clock_wall_ms() + atomic_load(&desk->client->root->skew_s) * 1000;
}

bool cpl_desk_cancelled(const cpl_desk *desk) {
    int64_t stop_ms = atomic_load(&desk->stop_ms);
    if (atomic_load(&desk->cancelled)) return true;
    return stop_ms && desk->grace_ms && cpl_clock_monotonic_ms() - stop_ms >= desk->grace_ms;
}

void cpl_desk_settle(cpl_desk *desk) {
    pthread_mutex_lock(&desk->lock);
    atomic_fetch_sub(&desk->running, 1);
    pthread_cond_signal(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
}

/* ---- what the journal learns of results ---- */

static cpl_status mark(const cpl_desk *desk, const cpl_owed *owed, cpl_entry_state state) {
    cpl_entry entry = {
        .id = owed->job_id, .nonce = owed->nonce, .state = state, .operation = owed->operation, .result = owed->params};
    if (owed->job_id == NULL || owed->nonce == NULL) return CPL_OK;
    return cpl_journal_mark(desk->journal, &entry, cpl_clock_wall_ms(), NULL);
}

void cpl_desk_record(const cpl_desk *desk, cpl_owed *owed) {
    if (!owed->recorded) owed->recorded = mark(desk, owed, CPL_ENTRY_OWED) == CPL_OK;
}

void cpl_desk_forget(const cpl_desk *desk, const cpl_owed *owed) {
    (void)mark(desk, owed, CPL_ENTRY_DROPPED); /* else the next start sends it again, and hears the same */
}

static cpl_status send_once(const cpl_desk *desk, cpl_owed *owed, const cpl_wait *wait, cpl_error *err) {
    cpl_reply *reply = NULL;
    cpl_desk_question question = {&owed->origin, owed->operation, cpl_str_of(owed->params)};
    cpl_status status = cpl_desk_call(desk, &question, wait, &reply, err);
    cpl_reply_free(reply);
    if (status == CPL_OK) return status;
    if (cpl_owed_forbidden(status, err)) {
        err->retryable = true; /* whoever may not now may be allowed again before the job's time is over */
        return status;
    }
    if (cpl_desk_foreign(status, err)) err->retryable = true;
    if (status == CPL_SERVICE && !err->retryable) return read_refusal(owed, err);
    if (is_open_ended(err)) {
        owed->ambiguous = true;
        err->retryable = true;
    }
    return status;
}

/* Its token stands right behind the job's id, see result.c and cpl_owed_continuation(). */
static bool continues(const cpl_owed *owed) {
    cpl_cursor c;
    bool found;
    cpl_cursor_init(&c, cpl_str_of(owed->params));
    for (int i = 0; i < 4; i++) (void)cpl_cursor_next(&c); /* {, "jobId", its value, the next name */
    found = c.token == CPL_TOKEN_KEY && cpl_str_is(c.text, "continuationToken");
    cpl_cursor_release(&c);
    return found;
}

static void count(cpl_desk *desk, const cpl_owed *owed) {
    cpl_verdict verdict = CPL_VERDICT_FAILURE;
    (void)cpl_owed_verdict(owed->operation, &verdict);
    if (verdict == CPL_VERDICT_FAILURE) {
        atomic_fetch_add(&desk->failed, 1);
    } else {
        atomic_fetch_add(continues(owed) ? &desk->continued : &desk->succeeded, 1);
    }
}

cpl_status cpl_desk_send(cpl_desk *desk, cpl_owed *owed, const cpl_wait *wait, cpl_error *err) {
    cpl_status status = send_once(desk, owed, wait, err);
    if (status == CPL_OK) count(desk, owed);
    if (status == CPL_OK) (void)mark(desk, owed, CPL_ENTRY_DELIVERED);
    if (status == CPL_STATE && !cpl_client_closed(owed->origin.client)) cpl_desk_forget(desk, owed);
    return status;
}

/* ---- results in line ---- */

void cpl_desk_abandon(cpl_desk *desk) {
    atomic_fetch_add(&desk->abandoned, 1);
}

void cpl_desk_owe(cpl_desk *desk, cpl_owed *owed) {
    cpl_owed **end = &desk->owed;
    if (owed == NULL) { /* the service's own time limit ends the job */
        cpl_desk_abandon(desk);
        return;
    }
    cpl_desk_record(desk, owed);
    pthread_mutex_lock(&desk->lock);
    while (*end) end = &(*end)->next;
    owed->next = NULL;
    *end = owed;
    pthread_cond_signal(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
}

cpl_owed *cpl_desk_take_owed(cpl_desk *desk) {
    cpl_owed *first;
    pthread_mutex_lock(&desk->lock);
    first = desk->owed;
    if (first) desk->owed = first->next;
    pthread_mutex_unlock(&desk->lock);
    return first;
}

cpl_tally cpl_desk_tally(cpl_desk *desk) {
    cpl_tally tally = {.succeeded = atomic_load(&desk->succeeded),
                       .failed = atomic_load(&desk->failed),
                       .continued = atomic_load(&desk->continued),
                       .unreported = atomic_load(&desk->running) + atomic_load(&desk->abandoned)};
    pthread_mutex_lock(&desk->lock);
    for (const cpl_owed *one = desk->owed; one; one = one->next) tally.unreported++;
    pthread_mutex_unlock(&desk->lock);
    return tally;
}

void cpl_desk_sleep(cpl_desk *desk, int64_t duration_ms) {
    pthread_mutex_lock(&desk->lock);
    if (!cpl_desk_has_work_over(desk))
        cpl_clock_await(&desk->changed, &desk->lock, cpl_clock_monotonic_ms() + duration_ms);
    pthread_mutex_unlock(&desk->lock);
}

void cpl_desk_work_over(cpl_desk *desk) {
    pthread_mutex_lock(&desk->lock);
    atomic_fetch_add(&desk->work_over, 1);
    pthread_cond_signal(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
}

void cpl_desk_work_ended(cpl_desk *desk) {
    atomic_fetch_sub(&desk->work_over, 1);
}

bool cpl_desk_has_work_over(const cpl_desk *desk) {
    return atomic_load(&desk->work_over) > 0;
}
