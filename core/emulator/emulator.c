/* SPDX-License-Identifier: MIT */
#include <pthread.h>

#include "../err.h"
#include "../fork.h"
#include "../xml.h"
#include "api.h"
#include "auth.h"
#include "control.h"
#include "engine.h"
#include "faults.h"
#include "feed.h"
#include "functions.h"
#include "git.h"
#include "ledger.h"
#include "runtime_api.h"
#include "s3.h"
#include "scripts.h"
#include "server.h"
#include "snapshot.h"
#include "webhook.h"

#define LEDGER_MAX ((size_t)64 << 20)
#define GIT_ANSWER_MAX ((size_t)64 << 20)
#define FUNCTIONS_MAX 100
#define DEFAULT_HOST "127.0.0.1"

typedef struct variable {
    const char *name;
    const char *value;
} variable;

struct cpl_emulator {
    emu *state;
    emu_server *server;
    emu_faults *faults;
    emu_ledger *ledger;
    bool page;
    cpl_buf ledger_text;
    cpl_buf state_text;
    cpl_buf git_text;
    emu_runtime *runtimes[FUNCTIONS_MAX];
    size_t runtime_count;
    char *host;
    pthread_mutex_t lock; /* around every request */
    uint32_t mark;        /* who started it: a forked child has no threads to stop */
    char url[300];
    variable environ[9];
    size_t environ_count;
};

static void enter(cpl_emulator *emulator) {
    pthread_mutex_lock(&emulator->lock);
    emu_set_now(emulator->state, cpl_clock_wall_ms());
}

/* What was done may be what a function waits for. */
static void leave(cpl_emulator *emulator) {
    for (size_t i = 0; i < emulator->runtime_count; i++) emu_runtime_wake(emulator->runtimes[i]);
    pthread_mutex_unlock(&emulator->lock);
}

emu *emu_enter(cpl_emulator *emulator) {
    enter(emulator);
    emu_engine_advance(emulator->state);
    return emulator->state;
}

void emu_leave(cpl_emulator *emulator) {
    emu_store_commit(emu_store_of(emulator->state), NULL);
    leave(emulator);
}

void emu_leave_as_it_was(cpl_emulator *emulator) {
    emu_store_commit(emu_store_of(emulator->state), NULL);
    pthread_mutex_unlock(&emulator->lock);
}

static void serve(emu *state, const emu_request *request, emu_response *response) {
    if (emu_request_is_api(request)) {
        emu_api_answer(state, request, response);
    } else if (emu_request_is_webhook(request)) {
        emu_webhook_answer(state, request, response);
    } else {
        emu_s3_answer(state, request, response);
    }
}

static emu_control control_of(const cpl_emulator *emulator) {
    return (emu_control){emulator->state, emulator->faults, emulator->ledger, emulator->page};
}

/* Called by the server's threads. The ledger has what the service did; what its answer came to is the fault's. */
static void handle(void *context, const emu_request *request, emu_response *response) {
    cpl_emulator *emulator = context;
    const emu_fault *fault;
    enter(emulator);
    if (!emu_uuid(emulator->state, response->id)) response->id[0] = '\0';
    if (emu_request_is_control(request)) {
        const emu_control control = control_of(emulator);
        emu_control_answer(&control, request, response);
        leave(emulator);
        return;
    }
    fault = emu_faults_strike(emulator->faults, request);
    if (fault == NULL || emu_fault_is_late(fault)) {
        serve(emulator->state, request, response);
    } else {
        response->status = 0;
    }
    emu_ledger_add(emulator->ledger, emu_now_s(emulator->state), request, response,
                   fault ? emu_fault_kind(fault) : NULL);
    if (fault) emu_fault_spoil(fault, request, response);
    leave(emulator);
}

static void add_variable(cpl_emulator *emulator, const char *name, const char *value) {
    assert(emulator->environ_count < CPL_COUNT(emulator->environ));
    emulator->environ[emulator->environ_count++] = (variable){name, value};
}

static void fill_environ(cpl_emulator *emulator) {
    const emu *e = emulator->state;
    const cpl_credentials owner = emu_owner(e); /* C strings that live as long as the state */
    add_variable(emulator, "AWS_ENDPOINT_URL_CODEPIPELINE", emulator->url);
    add_variable(emulator, "AWS_ENDPOINT_URL_S3", emulator->url);
    add_variable(emulator, "AWS_ACCESS_KEY_ID", owner.access_key_id.p);
    add_variable(emulator, "AWS_SECRET_ACCESS_KEY", owner.secret_access_key.p);
    add_variable(emulator, "AWS_SESSION_TOKEN",
                 ""); /* one left over from other work would be refused with these keys */
    add_variable(emulator, "AWS_REGION", emu_region(e));
    add_variable(emulator, "AWS_DEFAULT_REGION", emu_region(e));
}

static cpl_status start_server(cpl_emulator *emulator, const cpl_emulator_options *options, cpl_error *err) {
    const char *host = emulator->host;
    const emu_answerer answerer = {.handler = handle, .context = emulator};
    cpl_status status = cpl_xml_need(err);
    if (status == CPL_OK) {
        status = emu_server_start(&emulator->server, host, options ? options->port : 0, &answerer, err);
    }
    if (status == CPL_OK)
        snprintf(emulator->url, sizeof emulator->url, strchr(host, ':') ? "http://[%s]:%d" : "http://%s:%d", host,
                 emu_server_port(emulator->server));
    emu_set_url(emulator->state, emulator->url);
    return status;
}

cpl_status cpl_emulator_start(cpl_emulator **out, const cpl_emulator_options *options, cpl_error *err) {
    cpl_emulator *emulator = cpl_calloc(1, sizeof *emulator);
    cpl_status status;
    *out = NULL;
    if (emulator == NULL) return cpl_fail_nomem(err);
    pthread_mutex_init(&emulator->lock, NULL);
    emulator->mark = cpl_fork_mark();
    emulator->page = options && options->ui;
    emulator->host = cpl_strdup(options && options->host.n > 0 ? options->host : CPL_LIT(DEFAULT_HOST));
    cpl_buf_init(&emulator->ledger_text, LEDGER_MAX);
    cpl_buf_init(&emulator->state_text, SIZE_MAX / 4);
    cpl_buf_init(&emulator->git_text, GIT_ANSWER_MAX);
    emulator->faults = emu_faults_new();
    emulator->ledger = emu_ledger_new();
    status = emulator->faults && emulator->ledger && emulator->host ? emu_new(&emulator->state, options, err)
                                                                    : cpl_fail_nomem(err);
    if (status == CPL_OK) status = start_server(emulator, options, err);
    if (status == CPL_OK) {
        fill_environ(emulator);
        *out = emulator;
    } else {
        cpl_emulator_stop(emulator);
    }
    return status;
}

/* From here on nobody wakes them. In a forked child, a thread that is not there may have the lock. */
static void stop_runtimes(cpl_emulator *emulator) {
    bool ours = emulator->mark == cpl_fork_mark();
    size_t count = emulator->runtime_count;
    if (ours) pthread_mutex_lock(&emulator->lock);
    emulator->runtime_count = 0;
    if (ours) pthread_mutex_unlock(&emulator->lock);
    for (size_t i = 0; i < count; i++) emu_runtime_stop(emulator->runtimes[i]);
}

void cpl_emulator_stop(cpl_emulator *emulator) {
    if (emulator == NULL) return;
    stop_runtimes(emulator);
    emu_server_stop(emulator->server);
    emu_free(emulator->state);
    emu_faults_free(emulator->faults);
    emu_ledger_free(emulator->ledger);
    cpl_buf_release(&emulator->ledger_text);
    cpl_buf_wipe(&emulator->state_text); /* has the secrets of jobs and configurations */
    cpl_buf_release(&emulator->state_text);
    cpl_buf_release(&emulator->git_text);
    if (emulator->mark == cpl_fork_mark()) {
        pthread_mutex_destroy(&emulator->lock);
    }
    cpl_free(emulator->host);
    cpl_free(emulator);
}

const char *cpl_emulator_url(const cpl_emulator *emulator) {
    return emulator->url;
}

bool cpl_emulator_environ(const cpl_emulator *emulator, size_t i, const char **name, const char **value) {
    if (i >= emulator->environ_count) return false;
    *name = emulator->environ[i].name;
    *value = emulator->environ[i].value;
    return true;
}

cpl_status cpl_emulator_create_bucket(cpl_emulator *emulator, cpl_str bucket, cpl_error *err) {
    char *name = cpl_strdup(bucket);
    cpl_status status = CPL_OK;
    if (name == NULL) return cpl_fail_nomem(err);
    enter(emulator);
    if (!emu_s3_bucket_name_is_valid(bucket)) {
        status = cpl_fail_at(err, CPL_INVALID, "bucket", "bucket: \"%.80s\" is no bucket name", name);
    } else if (emu_s3_create_bucket(emulator->state, name)) {
        status = emu_store_commit(emu_store_of(emulator->state), err);
    } else {
        status = cpl_fail_nomem(err);
    }
    leave(emulator);
    cpl_free(name);
    return status;
}

/* ---- what tests turn ---- */

double cpl_emulator_now(cpl_emulator *emulator) {
    double now_s;
    enter(emulator);
    now_s = emu_now_s(emulator->state);
    leave(emulator);
    return now_s;
}

cpl_status cpl_emulator_advance(cpl_emulator *emulator, int64_t ms, cpl_error *err) {
    cpl_status status;
    enter(emulator);
    status = emu_clock_turn(emulator->state, ms, err);
    if (status == CPL_OK) status = emu_store_commit(emu_store_of(emulator->state), err);
    leave(emulator);
    return status;
}

void cpl_emulator_freeze(cpl_emulator *emulator, bool frozen) {
    enter(emulator);
    emu_clock_freeze(emulator->state, frozen);
    leave(emulator);
}

bool cpl_emulator_frozen(cpl_emulator *emulator) {
    bool frozen;
    enter(emulator);
    frozen = emu_clock_frozen(emulator->state);
    leave(emulator);
    return frozen;
}

cpl_status cpl_emulator_fault(cpl_emulator *emulator, const cpl_fault *fault, cpl_error *err) {
    cpl_status status;
    enter(emulator);
    status = emu_faults_add(emulator->faults, fault, err);
    leave(emulator);
    return status;
}

static const char *find_runtime(const cpl_emulator *emulator, cpl_str name) {
    for (size_t i = 0; i < emulator->runtime_count; i++) {
        if (cpl_str_is(name, emu_runtime_function(emulator->runtimes[i])))
            return emu_runtime_address(emulator->runtimes[i]);
    }
    return NULL;
}

static bool is_function_name(cpl_str name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_') return false;
    }
    return name.n > 0 && name.n <= 64;
}

/* With the lock. */
static cpl_status add_function(cpl_emulator *emulator, cpl_str name, cpl_error *err) {
    emu_runtime **at = &emulator->runtimes[emulator->runtime_count];
    cpl_status status;
    if (emulator->runtime_count == FUNCTIONS_MAX)
        return cpl_fail(err, CPL_STATE, "there are %d functions already", FUNCTIONS_MAX);
    status = emu_runtime_start(at, emulator, name, emulator->host, err);
    if (status) return status;
    emulator->runtime_count++;
    return emu_function_add(emu_functions_of(emulator->state), name) ? CPL_OK : cpl_fail_nomem(err);
}

cpl_status cpl_emulator_function(cpl_emulator *emulator, cpl_str name, const char **address, cpl_error *err) {
    cpl_status status = CPL_OK;
    *address = NULL;
    if (!is_function_name(name))
        return cpl_fail_at(err, CPL_INVALID, "name",
                           "name: \"%.*s\" is not a function's name: letters, digits, - and _",
                           (int)cpl_utf8_cut(name, 80), name.p ? name.p : "");
    enter(emulator);
    if (find_runtime(emulator, name) == NULL) status = add_function(emulator, name, err);
    if (status == CPL_OK) *address = find_runtime(emulator, name);
    leave(emulator);
    return status;
}

cpl_status cpl_emulator_script(cpl_emulator *emulator, cpl_str script, cpl_error *err) {
    cpl_json *document = NULL;
    cpl_status status = cpl_json_parse(script, &document, err);
    if (status) return status;
    enter(emulator);
    emu_engine_advance(emulator->state);
    status = emu_scripts_add(emulator->state, document, err);
    if (status == CPL_OK) status = emu_store_commit(emu_store_of(emulator->state), err);
    leave(emulator);
    return status;
}

static cpl_status tell_git(cpl_emulator *emulator, emu_git_event event, cpl_str text, cpl_str *out, cpl_error *err) {
    cpl_json *document = NULL;
    cpl_status status = cpl_json_parse(text, &document, err);
    if (status) return status;
    enter(emulator);
    emu_engine_advance(emulator->state);
    cpl_buf_clear(&emulator->git_text);
    status = emu_git_tell(emulator->state, event, document, &emulator->git_text, err);
    if (status == CPL_OK) status = cpl_buf_status(&emulator->git_text, "the answer", err);
    if (status == CPL_OK) status = emu_store_commit(emu_store_of(emulator->state), err);
    *out = cpl_buf_str(&emulator->git_text);
    leave(emulator);
    cpl_json_free(document);
    return status;
}

cpl_status cpl_emulator_git_push(cpl_emulator *emulator, cpl_str push, cpl_str *out, cpl_error *err) {
    return tell_git(emulator, EMU_GIT_PUSH, push, out, err);
}

cpl_status cpl_emulator_pull_request(cpl_emulator *emulator, cpl_str request, cpl_str *out, cpl_error *err) {
    return tell_git(emulator, EMU_GIT_PULL_REQUEST, request, out, err);
}

cpl_status cpl_emulator_set_repeats(cpl_emulator *emulator, cpl_str policy, cpl_error *err) {
    cpl_status status;
    enter(emulator);
    status = emu_set_repeats(emulator->state, policy, err);
    leave(emulator);
    return status;
}

const char *cpl_emulator_repeats(cpl_emulator *emulator) {
    bool accepted;
    enter(emulator);
    accepted = emu_accepts_repeats(emulator->state);
    leave(emulator);
    return accepted ? "accept" : "refuse";
}

void cpl_emulator_clear(cpl_emulator *emulator) {
    emu_control control;
    enter(emulator);
    control = control_of(emulator);
    emu_control_clear(&control);
    leave(emulator);
}

cpl_status cpl_emulator_feed(cpl_emulator *emulator, cpl_feed **out, cpl_error *err) {
    *out = emu_feed_read(emu_feed_of(emulator->state));
    return *out ? CPL_OK : cpl_fail_nomem(err);
}

cpl_status cpl_emulator_ledger(cpl_emulator *emulator, cpl_str *out, cpl_error *err) {
    cpl_status status;
    enter(emulator);
    cpl_buf_clear(&emulator->ledger_text);
    emu_ledger_write(emulator->ledger, 0, &emulator->ledger_text);
    *out = cpl_buf_str(&emulator->ledger_text);
    status = cpl_buf_status(&emulator->ledger_text, "the ledger", err);
    leave(emulator);
    return status;
}

cpl_status cpl_emulator_export(cpl_emulator *emulator, bool objects, cpl_str *out, cpl_error *err) {
    cpl_status status;
    enter(emulator);
    cpl_buf_wipe(&emulator->state_text);
    emu_snapshot_write(emulator->state, objects, &emulator->state_text);
    *out = cpl_buf_str(&emulator->state_text);
    status = cpl_buf_status(&emulator->state_text, "the state", err);
    leave(emulator);
    return status;
}

cpl_status cpl_emulator_import(cpl_emulator *emulator, cpl_str text, cpl_error *err) {
    cpl_status status;
    enter(emulator);
    status = emu_restore(emulator->state, text, err);
    leave(emulator);
    return status;
}
