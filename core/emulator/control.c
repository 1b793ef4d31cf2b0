/* SPDX-License-Identifier: MIT */
#include "control.h"

#include <math.h>

#include "../err.h"
#include "engine.h"
#include "feed.h"
#include "git.h"
#include "scripts.h"

#define JOBS_SHOWN 200
#define LEDGER_SHOWN 100

bool emu_request_is_control(const emu_request *request) {
    return cpl_str_starts(request->path, EMU_CONTROL_PATH);
}

static void set_type(emu_response *response, const char *type) {
    emu_response_header(response, "Content-Type", cpl_str_of(type));
    emu_response_header(response, "Cache-Control", CPL_LIT("no-store"));
    emu_response_header(response, "X-Content-Type-Options", CPL_LIT("nosniff"));
}

static void refuse(emu_response *response, int status, const char *path, const char *message) {
    response->status = status;
    set_type(response, "application/json");
    cpl_buf_clear(&response->body);
    cpl_buf_adds(&response->body, "{\"path\":");
    cpl_json_quote(&response->body, cpl_str_of(path));
    cpl_buf_adds(&response->body, ",\"message\":");
    cpl_json_quote(&response->body, cpl_str_of(message));
    cpl_buf_addc(&response->body, '}');
}

static int status_of(cpl_status status) {
    return status == CPL_INVALID ? 400 : 500;
}

/* ---- who may ask ---- */

/* A name that a site of somebody else's resolved to this address is none of ours. */
static bool is_our_host(const emu *e, cpl_str host) {
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    const char *url = strstr(emu_url(e), "://");
    cpl_str name = host;
    size_t colon = cpl_str_starts(host, "[") ? cpl_str_find(host, ']') + 1 : cpl_str_find(host, ':');
    if (url && cpl_str_is(host, url + 3)) return true;
    name.n = colon < host.n ? colon : host.n;
    for (size_t i = 0; i < CPL_COUNT(names); i++) {
        if (cpl_str_is_nocase(name, names[i])) return true;
    }
    return false;
}

/* Browsers say where a request comes from; other programs say nothing. */
static bool is_same_origin(const emu_request *request) {
    cpl_str site = emu_request_header(request, "sec-fetch-site"), origin = emu_request_header(request, "origin");
    cpl_str host = emu_request_header(request, "host");
    if (site.n > 0 && !cpl_str_is(site, "same-origin") && !cpl_str_is(site, "none")) return false;
    return origin.n == 0 || (cpl_str_starts(origin, "http://") && cpl_str_eq(cpl_str_sub(origin, 7, origin.n), host));
}

static bool is_json(const emu_request *request) {
    cpl_str type = emu_request_header(request, "content-type");
    return cpl_str_is_nocase(cpl_str_trim(cpl_str_sub(type, 0, cpl_str_find(type, ';'))), "application/json");
}

static bool admit(const emu_control *control, const emu_request *request, emu_response *response) {
    bool posts = cpl_str_is(request->method, "POST");
    if (!is_our_host(control->e, emu_request_header(request, "host"))) {
        refuse(response, 403, "Host", "this is another host's name");
    } else if (!is_same_origin(request)) {
        refuse(response, 403, "Origin", "another site asked for this");
    } else if (posts && !is_json(request)) {
        refuse(response, 415, "Content-Type", "what is posted must be application/json");
    } else if (!posts && !cpl_str_is(request->method, "GET")) {
        refuse(response, 405, "", "GET and POST alone");
    } else {
        return true;
    }
    return false;
}

/* ---- what is shown ---- */

static void add_job(cpl_buf *out, const cpl_json *job) {
    static const char *const shown[] = {"id", "type", "status", "executionId", "actionExecutionId"};
    for (size_t i = 0; i < CPL_COUNT(shown); i++) {
        cpl_buf_addf(out, "%s\"%s\":", i ? "," : "{", shown[i]);
        cpl_json_quote(out, cpl_str_of(EMU_GET(job, shown[i])));
    }
    cpl_buf_addc(out, '}');
}

static void show_status(const emu_control *control, emu_response *response) {
    emu_store *store = emu_store_of(control->e);
    size_t n = emu_store_size(store, EMU_JOB), first = n > JOBS_SHOWN ? n - JOBS_SHOWN : 0;
    cpl_buf *out = &response->body;
    const char *key;
    cpl_buf_addf(out,
                 "{\"now\":%.3f,\"frozen\":%s,\"region\":\"%s\",\"accountId\":\"%s\",\"repeats\":\"%s\",\"faults\":",
                 emu_now_s(control->e), emu_clock_frozen(control->e) ? "true" : "false", emu_region(control->e),
                 emu_account_id(control->e), emu_accepts_repeats(control->e) ? "accept" : "refuse");
    emu_faults_write(control->faults, out);
    cpl_buf_adds(out, ",\"jobs\":[");
    for (size_t i = first; i < n; i++) {
        if (i > first) cpl_buf_addc(out, ',');
        add_job(out, emu_store_at(store, EMU_JOB, i, &key));
    }
    cpl_buf_adds(out, "]}");
}

static void show_fault_kinds(const emu_control *control, emu_response *response) {
    (void)control;
    emu_fault_kinds_write(&response->body);
}

static void show_ledger(const emu_control *control, emu_response *response) {
    emu_ledger_write(control->ledger, 0, &response->body);
}

static void show_recent(const emu_control *control, emu_response *response) {
    emu_ledger_write(control->ledger, LEDGER_SHOWN, &response->body);
}

static void show_page(const emu_control *control, emu_response *response) {
    (void)control;
    cpl_buf_adds(&response->body, emu_page);
}

/* ---- what is turned ---- */

static cpl_status advance(const emu_control *control, const cpl_json *in, cpl_error *err) {
    double seconds = cpl_json_get_number(in, "seconds", NAN);
    cpl_status status;
    if (!(fabs(seconds) < 1e12)) return cpl_fail_at(err, CPL_INVALID, "seconds", "seconds: not a number of seconds");
    status = emu_clock_turn(control->e, (int64_t)(seconds * 1000), err);
    if (status == CPL_INVALID) CPL_COPY(err->path, CPL_LIT("seconds"));
    return status;
}

static cpl_status freeze(const emu_control *control, const cpl_json *in, cpl_error *err) {
    if (cpl_json_kind_of(cpl_json_get(in, "frozen")) != CPL_JSON_BOOL)
        return cpl_fail_at(err, CPL_INVALID, "frozen", "frozen: neither true nor false");
    emu_clock_freeze(control->e, cpl_json_get_bool(in, "frozen", false));
    return CPL_OK;
}

/* A whole number of in, if it has it. */
static cpl_status read_whole(const cpl_json *in, const char *key, double least, int64_t *out, cpl_error *err) {
    const cpl_json *member = cpl_json_get(in, key);
    double value = cpl_json_number(member, NAN);
    *out = 0;
    if (member == NULL) return CPL_OK;
    if (!(value >= least && value <= INT32_MAX) || value != floor(value))
        return cpl_fail_at(err, CPL_INVALID, key, "%s: not a whole number from %.0f to %d", key, least, INT32_MAX);
    *out = (int64_t)value;
    return CPL_OK;
}

static cpl_status add_fault(const emu_control *control, const cpl_json *in, cpl_error *err) {
    int64_t times = 0, after = 0, seed = 0, bytes = 0;
    cpl_status status = read_whole(in, "times", -1, &times, err);
    cpl_fault fault = {.kind = cpl_json_get_str(in, "kind"),
                       .operation = cpl_json_get_str(in, "operation"),
                       .job_id = cpl_json_get_str(in, "job_id"),
                       .probability = cpl_json_get_number(in, "probability", 0)};
    if (status == CPL_OK) status = read_whole(in, "after", 0, &after, err);
    if (status == CPL_OK) status = read_whole(in, "seed", 0, &seed, err);
    if (status == CPL_OK) status = read_whole(in, "bytes", 0, &bytes, err);
    if (status) return status;
    fault.times = (int)times;
    fault.after = (int)after;
    fault.bytes = (int)bytes;
    fault.seed = (uint64_t)seed;
    return emu_faults_add(control->faults, &fault, err);
}

static cpl_status add_script(const emu_control *control, const cpl_json *in, cpl_error *err) {
    cpl_json *script = cpl_json_clone(in);
    return script ? emu_scripts_add(control->e, script, err) : cpl_fail_nomem(err);
}

static cpl_status set_repeats(const emu_control *control, const cpl_json *in, cpl_error *err) {
    cpl_status status = emu_set_repeats(control->e, cpl_json_get_str(in, "policy"), err);
    if (status == CPL_INVALID) CPL_COPY(err->path, CPL_LIT("policy"));
    return status;
}

void emu_control_clear(const emu_control *control) {
    emu_faults_clear(control->faults);
    emu_ledger_clear(control->ledger);
    emu_scripts_clear(emu_engine_of(control->e));
    emu_feed_forget(emu_feed_of(control->e));
}

static cpl_status clear(const emu_control *control, const cpl_json *in, cpl_error *err) {
    (void)in, (void)err;
    emu_control_clear(control);
    return CPL_OK;
}

/* An operation as the owner calls it, {"operation", "input"}: its status and its answer. */
static void call(const emu_control *control, const cpl_json *in, emu_response *response) {
    const cpl_json *input = cpl_json_get(in, "input");
    cpl_buf text;
    cpl_buf_init(&text, 8 * EMU_API_BODY_MAX);
    if (input) cpl_json_write(input, &text);
    if (cpl_buf_ok(&text)) {
        response->status =
            emu_invoke(control->e, cpl_json_get_str(in, "operation"), cpl_buf_str(&text), &response->body);
        set_type(response, "application/json");
    } else {
        refuse(response, 500, "", "out of memory");
    }
    cpl_buf_wipe(&text);
    cpl_buf_release(&text);
}

static void tell(const emu_control *control, emu_git_event event, const cpl_json *in, emu_response *response) {
    cpl_error err = {.status = CPL_OK};
    cpl_status status = emu_git_tell(control->e, event, in, &response->body, &err);
    if (status == CPL_OK) status = emu_store_commit(emu_store_of(control->e), &err);
    if (status == CPL_OK) {
        set_type(response, "application/json");
    } else {
        refuse(response, status_of(status), err.path, err.message);
    }
}

static void git_push(const emu_control *control, const cpl_json *in, emu_response *response) {
    tell(control, EMU_GIT_PUSH, in, response);
}

static void pull_request(const emu_control *control, const cpl_json *in, emu_response *response) {
    tell(control, EMU_GIT_PULL_REQUEST, in, response);
}

/* ---- routes ---- */

static const struct view {
    const char *name, *type;
    void (*show)(const emu_control *, emu_response *);
} views[] = {{"status", "application/json", show_status},
             {"ledger", "application/json", show_ledger},
             {"recent", "application/json", show_recent},
             {"fault_kinds", "application/json", show_fault_kinds},
             {"", "text/html; charset=utf-8", show_page}};

static const struct knob {
    const char *name;
    cpl_status (*turn)(const emu_control *, const cpl_json *, cpl_error *);
} knobs[] = {{"advance", advance}, {"freeze", freeze},     {"repeats", set_repeats},
             {"fault", add_fault}, {"script", add_script}, {"clear", clear}};

/* What has an answer of its own. */
static const struct question {
    const char *name;
    void (*ask)(const emu_control *, const cpl_json *, emu_response *);
} questions[] = {{"call", call}, {"git_push", git_push}, {"pull_request", pull_request}};

static void get(const emu_control *control, cpl_str name, emu_response *response) {
    for (size_t i = 0; i < CPL_COUNT(views); i++) {
        if (!cpl_str_is(name, views[i].name) || (views[i].show == show_page && !control->page)) continue;
        set_type(response, views[i].type);
        emu_response_header(response, "Content-Security-Policy",
                            CPL_LIT("default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                                    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"));
        views[i].show(control, response);
        return;
    }
    refuse(response, 404, "", "there is nothing of this name here");
}

static void turn(const emu_control *control, cpl_str name, const cpl_json *in, emu_response *response) {
    cpl_error err = {.status = CPL_OK};
    cpl_status status = CPL_OK;
    for (size_t i = 0; i < CPL_COUNT(knobs); i++) {
        if (!cpl_str_is(name, knobs[i].name)) continue;
        status = knobs[i].turn(control, in, &err);
        if (status == CPL_OK) status = emu_store_commit(emu_store_of(control->e), &err);
        if (status) {
            refuse(response, status_of(status), err.path, err.message);
            return;
        }
        set_type(response, "application/json");
        show_status(control, response);
        return;
    }
    refuse(response, 404, "", "there is nothing of this name to turn");
}

static void ask(const emu_control *control, cpl_str name, const cpl_json *in, emu_response *response) {
    for (size_t i = 0; i < CPL_COUNT(questions); i++) {
        if (cpl_str_is(name, questions[i].name)) {
            questions[i].ask(control, in, response);
            return;
        }
    }
    turn(control, name, in, response);
}

static void post(const emu_control *control, cpl_str name, const emu_request *request, emu_response *response) {
    cpl_json *in = NULL;
    cpl_error err;
    cpl_str text = request->body.n > 0 ? request->body : CPL_LIT("{}");
    if (request->too_large) {
        refuse(response, 413, "", "too large");
    } else if (cpl_json_parse(text, &in, &err) != CPL_OK) {
        refuse(response, 400, "", err.message);
    } else if (cpl_json_kind_of(in) != CPL_JSON_OBJECT) {
        refuse(response, 400, "", "not a JSON object");
    } else {
        ask(control, name, in, response);
    }
    cpl_json_free(in);
}

void emu_control_answer(const emu_control *control, const emu_request *request, emu_response *response) {
    cpl_str name = cpl_str_sub(request->path, sizeof EMU_CONTROL_PATH - 1, request->path.n);
    if (!admit(control, request, response)) return;
    emu_engine_advance(control->e);
    if (cpl_str_is(request->method, "POST")) {
        post(control, name, request, response);
    } else {
        get(control, name, response);
    }
}
