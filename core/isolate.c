/* SPDX-License-Identifier: MIT */
/*
 * A handler in a process of its own. It has no client and no credentials: what its job's functions need is asked for
 * here, one JSON line there and one back, and done with the job as if the handler ran on this thread. So results,
 * journal and errors are what they are without a process, and a process that dies has simply stopped asking.
 */
#include <signal.h>
#include <sys/wait.h>

#include "child.h"
#include "clock.h"
#include "err.h"
#include "job.h"

#define SLICE_MS 50
#define WAIT_MAX_MS 1000
#define LAST_WORDS_MS 3000 /* from being cancelled until it is killed */
#define ANSWER_MAX ((size_t)32 << 20)
#define SHUT_DOWN "the worker was shut down before the job finished"

typedef struct run {
    cpl_job *job;
    const cpl_isolation *how;
    const cpl_wait *wait;
    cpl_child child;
    cpl_buf answer;
    int64_t end_ms;       /* monotonic; 0: no limit */
    int64_t cancelled_ms; /* since when it is known to be cancelled; 0: it is not */
    const char *outcome;  /* NULL: it has not said */
    cpl_error failure;    /* of the last try to tell the service */
} run;

/* ---- what it is told ---- */

static void add_names(cpl_buf *out, const char *key, const cpl_artifacts *all) {
    cpl_buf_addf(out, ",\"%s\":[", key);
    for (size_t i = 0; i < all->count; i++) {
        if (i > 0) cpl_buf_addc(out, ',');
        cpl_json_quote(out, cpl_str_of(all->items[i].name));
    }
    cpl_buf_addc(out, ']');
}

/* The job as the service gave it, but for its credentials. */
static bool add_data(cpl_buf *out, const cpl_json *document) {
    cpl_json *copy = cpl_json_clone(document), *data = cpl_json_get(copy, "data"), *masked = cpl_json_new_object();
    const cpl_json *credentials = cpl_json_get(data, "artifactCredentials");
    bool ok = copy != NULL && masked != NULL;
    for (const cpl_json *i = cpl_json_first(credentials); ok && i; i = cpl_json_next(i)) {
        char name[64];
        CPL_COPY(name, cpl_json_key(i));
        ok = cpl_json_set_cstr(masked, name, "***");
    }
    if (ok && credentials) {
        ok = cpl_json_set(data, "artifactCredentials", masked);
    } else {
        cpl_json_free(masked);
    }
    cpl_buf_adds(out, ",\"data\":");
    if (ok) cpl_json_write(copy, out);
    cpl_json_free(copy);
    return ok;
}

static cpl_status describe(run *r, cpl_error *err) {
    cpl_buf *out = &r->answer;
    bool ok;
    cpl_buf_addf(out, "{\"job\":{\"action_type\":%d", r->job->action_type);
    for (int i = 0; i < CPL_JOB_FIELD_COUNT; i++) {
        const char *text = cpl_job_text(r->job, (cpl_job_field)i);
        if (text == NULL) continue;
        cpl_buf_addf(out, ",\"%s\":", cpl_job_field_name((cpl_job_field)i));
        cpl_json_quote(out, cpl_str_of(text));
    }
    cpl_buf_adds(out, ",\"configuration\":");
    cpl_job_write_configuration(r->job, out);
    add_names(out, "inputs", &r->job->inputs);
    add_names(out, "outputs", &r->job->outputs);
    ok = add_data(out, r->job->document);
    cpl_buf_adds(out, "}}\n");
    return ok ? cpl_buf_status(out, "the job", err) : cpl_fail_nomem(err);
}

static void answer_text(run *r, const char *text) {
    cpl_buf_adds(&r->answer, "{\"value\":");
    cpl_json_quote(&r->answer, cpl_str_of(text));
    cpl_buf_adds(&r->answer, "}\n");
}

static void answer_bool(run *r, bool value) {
    cpl_buf_addf(&r->answer, "{\"value\":%s}\n", value ? "true" : "false");
}

static void add_member(cpl_buf *out, const char *key, const char *text) {
    if (text[0] == '\0') return;
    cpl_buf_addf(out, ",\"%s\":", key);
    cpl_json_quote(out, cpl_str_of(text));
}

static void answer_error(run *r, const cpl_error *err) {
    cpl_buf_addf(&r->answer, "{\"error\":{\"status\":\"%s\",\"http_status\":%d,\"retryable\":%s",
                 cpl_status_name(err->status), err->http_status, err->retryable ? "true" : "false");
    add_member(&r->answer, "message", err->message);
    add_member(&r->answer, "code", err->code);
    add_member(&r->answer, "path", err->path);
    add_member(&r->answer, "operation", err->operation);
    add_member(&r->answer, "request_id", err->request_id);
    add_member(&r->answer, "failure_type", cpl_failure_type(err));
    cpl_buf_adds(&r->answer, "}}\n");
}

/* ---- what it asks for ---- */

/* A transfer ends with the handler's time. */
static cpl_wait wait_of(const run *r) {
    cpl_wait wait = r->wait ? *r->wait : (cpl_wait){0};
    int64_t left_ms = r->end_ms - cpl_clock_monotonic_ms();
    if (r->end_ms && (wait.timeout_ms == 0 || left_ms < wait.timeout_ms)) wait.timeout_ms = left_ms > 1 ? left_ms : 1;
    return wait;
}

/*
 * One request. *text is what it answers besides having worked; NULL: nothing, or it has made another answer itself.
 */
typedef cpl_status (*request_maker)(run *r, const cpl_json *request, const char **text, cpl_error *err);

static cpl_status get_input_path(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    cpl_wait wait = wait_of(r);
    return cpl_job_input_path(r->job, cpl_json_get_str(request, "name"), &wait, text, err);
}

static cpl_status extract_input(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    cpl_wait wait = wait_of(r);
    return cpl_job_input_extract(r->job, cpl_json_get_str(request, "name"), cpl_json_get_str(request, "directory"),
                                 &wait, text, err);
}

static cpl_status pack_output(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    cpl_wait wait = wait_of(r);
    (void)text;
    return cpl_job_output_pack(r->job, cpl_json_get_str(request, "name"), cpl_json_get_str(request, "path"), &wait,
                               err);
}

static cpl_status take_output_file(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    cpl_wait wait = wait_of(r);
    (void)text;
    return cpl_job_output_file(r->job, cpl_json_get_str(request, "name"), cpl_json_get_str(request, "path"), &wait,
                               err);
}

static cpl_status digest_output(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    static _Thread_local char digest[CPL_SHA256_HEX_SIZE];
    *text = digest;
    return cpl_job_output_digest(r->job, cpl_json_get_str(request, "name"), digest, err);
}

static cpl_status get_work_dir(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    (void)request;
    return cpl_job_work_dir(r->job, text, err);
}

static cpl_status tell_cancelled(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    (void)request, (void)text, (void)err;
    answer_bool(r, cpl_job_cancelled(r->job));
    return CPL_OK;
}

/* For a second at most: meanwhile nobody sees whether the program lives. */
static cpl_status wait_cancelled(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    cpl_wait wait = wait_of(r);
    double seconds = cpl_json_get_number(request, "timeout", 0);
    int64_t timeout_ms = seconds > 0 && seconds < 1 ? (int64_t)(seconds * 1000) + 1 : WAIT_MAX_MS;
    bool cancelled = false;
    cpl_status status;
    (void)text;
    if (wait.timeout_ms == 0 || timeout_ms < wait.timeout_ms) wait.timeout_ms = timeout_ms;
    status = cpl_job_wait_cancelled(r->job, &wait, &cancelled, err);
    if (status == CPL_OK) answer_bool(r, cancelled);
    return status;
}

static cpl_status tell_remaining(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    int64_t left_ms = r->end_ms - cpl_clock_monotonic_ms();
    (void)request, (void)text, (void)err;
    if (r->end_ms == 0) {
        cpl_buf_adds(&r->answer, "{\"value\":null}\n");
    } else {
        cpl_buf_addf(&r->answer, "{\"value\":%.3f}\n", left_ms > 0 ? (double)left_ms / 1000 : 0.0);
    }
    return CPL_OK;
}

/* ---- what it says the result is ---- */

/* variables: for the text of the output variables, which lives in it. */
static cpl_result read_result(const cpl_json *request, cpl_buf *variables) {
    const cpl_json *given = cpl_json_get(request, "result"), *values = cpl_json_get(given, "output_variables");
    double percent = cpl_json_get_number(given, "percent_complete", 0);
    if (values) cpl_json_write(values, variables);
    return (cpl_result){.output_variables = values ? cpl_buf_str(variables) : (cpl_str){NULL, 0},
                        .summary = cpl_json_get_str(given, "summary"),
                        .external_execution_id = cpl_json_get_str(given, "external_execution_id"),
                        .percent_complete = percent >= -1 && percent <= 1000 ? (int)percent : -1,
                        .revision = cpl_json_get_str(given, "revision"),
                        .change_identifier = cpl_json_get_str(given, "change_identifier"),
                        .revision_summary = cpl_json_get_str(given, "revision_summary")};
}

static cpl_status told(run *r, cpl_status status, const char *outcome, const cpl_error *err) {
    r->failure = status == CPL_OK ? (cpl_error){0} : *err;
    if (status == CPL_OK) r->outcome = outcome;
    return status;
}

static cpl_status succeed(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    cpl_buf variables;
    cpl_result result;
    cpl_status status;
    (void)text;
    cpl_buf_init(&variables, ANSWER_MAX);
    result = read_result(request, &variables);
    status = cpl_buf_status(&variables, "the output variables", err);
    if (status == CPL_OK) status = cpl_job_succeed(r->job, &result, r->wait, err);
    cpl_buf_release(&variables);
    return told(r, status, "succeeded", err);
}

static cpl_status fail(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    (void)text;
    return told(r,
                cpl_job_fail(r->job, cpl_json_get_str(request, "type"), cpl_json_get_str(request, "message"),
                             cpl_json_get_str(request, "external_execution_id"), r->wait, err),
                "failed", err);
}

static cpl_status later(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    cpl_buf variables;
    cpl_result result;
    cpl_status status;
    (void)text;
    cpl_buf_init(&variables, ANSWER_MAX);
    result = read_result(request, &variables);
    status = cpl_job_later(r->job, cpl_json_get_str(request, "state"), cpl_json_get_number(request, "after", 0),
                           &result, r->wait, err);
    cpl_buf_release(&variables);
    return told(r, status, "continued", err);
}

static const struct {
    const char *name;
    request_maker make;
} requests[] = {{"input_path", get_input_path},
                {"input_extract", extract_input},
                {"output_pack", pack_output},
                {"output_file", take_output_file},
                {"output_digest", digest_output},
                {"work_dir", get_work_dir},
                {"cancelled", tell_cancelled},
                {"wait_cancelled", wait_cancelled},
                {"remaining", tell_remaining},
                {"succeed", succeed},
                {"fail", fail},
                {"later", later}};

static cpl_status make_request(run *r, const cpl_json *request, const char **text, cpl_error *err) {
    cpl_str what = cpl_json_get_str(request, "do");
    for (size_t i = 0; i < CPL_COUNT(requests); i++) {
        if (cpl_str_is(what, requests[i].name)) return requests[i].make(r, request, text, err);
    }
    return cpl_fail_at(err, CPL_INVALID, "do", "do: there is no request \"%.*s\"", (int)cpl_utf8_cut(what, 100),
                       what.p);
}

/* ---- the conversation ---- */

static cpl_status check_tick(const run *r, cpl_error *err) {
    if (r->wait && r->wait->tick && r->wait->tick(r->wait->context) != 0) {
        return cpl_fail(err, CPL_CANCELLED, "cancelled");
    }
    return CPL_OK;
}

/* True: it has to be killed. */
static bool is_out_of_time(run *r) {
    int64_t now_ms = cpl_clock_monotonic_ms();
    if (r->cancelled_ms == 0 && cpl_job_cancelled(r->job)) r->cancelled_ms = now_ms;
    return (r->end_ms && now_ms >= r->end_ms) || (r->cancelled_ms && now_ms - r->cancelled_ms >= LAST_WORDS_MS);
}

/* Sends the answer that was made. A program that is gone is found out by reading. */
static cpl_status send_answer(run *r, cpl_error *err) {
    cpl_str text = cpl_buf_str(&r->answer);
    cpl_status status = cpl_buf_status(&r->answer, "the answer", err);
    while (status == CPL_OK && text.n > 0 && !is_out_of_time(r)) {
        if (cpl_child_write(&r->child, &text, SLICE_MS, NULL) != CPL_OK) break;
        status = check_tick(r, err);
    }
    cpl_buf_clear(&r->answer);
    return status;
}

static cpl_status serve(run *r, cpl_str line, cpl_error *err) {
    cpl_json *request = NULL;
    cpl_error failure = {0};
    const char *text = NULL;
    cpl_status status = cpl_json_parse(line, &request, &failure);
    if (status == CPL_OK) status = make_request(r, request, &text, &failure);
    cpl_json_free(request);
    if (status == CPL_CANCELLED) {
        *err = failure;
        return status;
    }
    if (status != CPL_OK) {
        answer_error(r, &failure);
    } else if (text) {
        answer_text(r, text);
    } else if (r->answer.n == 0) {
        answer_bool(r, true);
    }
    return send_answer(r, err);
}

static cpl_status converse(run *r, cpl_error *err) {
    cpl_status status = describe(r, err);
    bool over = false;
    if (status == CPL_OK) status = send_answer(r, err);
    while (status == CPL_OK && !over && !is_out_of_time(r)) {
        cpl_str line;
        status = cpl_child_read(&r->child, SLICE_MS, &line, &over, err);
        if (status == CPL_OK && line.p) status = serve(r, line, err);
        if (status == CPL_OK) status = check_tick(r, err);
    }
    return status;
}

/* ---- the end ---- */

static void tell_signal(const cpl_isolation *how, int number, char *out, size_t size) {
    const char *name = strsignal(number);
    int n = snprintf(out, size, "the handler's process was ended by signal %d (%s)", number, name ? name : "unknown");
    out += n;
    size -= (size_t)n;
    if (number == SIGXCPU) {
        snprintf(out, size, ": its limit is %lld seconds of processor time", (long long)how->cpu_s);
    } else if (number == SIGXFSZ) {
        snprintf(out, size, ": its limit is %lld bytes a file", (long long)how->file_size);
    } else if (number == SIGKILL) {
        snprintf(out, size, ": somebody killed it, or the machine had no memory left");
    }
}

static void tell_cause(const run *r, char *out, size_t size) {
    int ended = r->child.ended;
    if (r->cancelled_ms) {
        snprintf(out, size, "%s", SHUT_DOWN);
    } else if (r->end_ms && cpl_clock_monotonic_ms() >= r->end_ms) {
        snprintf(out, size, "the handler took longer than its time limit of %g seconds and was stopped",
                 (double)r->how->timeout_ms / 1000);
    } else if (r->child.known && WIFSIGNALED(ended)) {
        tell_signal(r->how, WTERMSIG(ended), out, size);
    } else if (r->child.known) {
        snprintf(out, size, "the handler's process ended with status %d and without a result", WEXITSTATUS(ended));
    } else {
        snprintf(out, size, "the handler's process ended without a result");
    }
}

/* It is gone, and the job has no answer. */
static cpl_status answer_for_it(run *r, bool killed, cpl_error *err) {
    char cause[400];
    cpl_status status;
    bool shut_down = killed && r->cancelled_ms && !cpl_job_expired(r->job);
    if (shut_down && r->how->hand_over) {
        status = cpl_job_hand_over(r->job, r->wait, err);
        return told(r, status, "continued", err);
    }
    tell_cause(r, cause, sizeof cause);
    status = cpl_job_fail(r->job, shut_down ? CPL_LIT("SystemUnavailable") : CPL_LIT("JobFailed"), cpl_str_of(cause),
                          (cpl_str){NULL, 0}, r->wait, err);
    return told(r, status, "failed", err);
}

/* A result that the service has not accepted stays with the job; it is the answer, whatever became of the process. */
static cpl_status settle(run *r, bool killed, cpl_error *err) {
    if (r->outcome) return CPL_OK;
    if (r->failure.status != CPL_OK && (r->job->owed || r->job->answer != CPL_JOB_OPEN)) {
        *err = r->failure;
        return r->failure.status;
    }
    return answer_for_it(r, killed, err);
}

cpl_status cpl_job_run(cpl_job *job, const cpl_isolation *how, const cpl_wait *wait, const char **outcome,
                       cpl_error *err) {
    run r = {.job = job, .how = how, .wait = wait};
    cpl_error failure = {0};
    const char *folder = NULL, *state;
    bool killed;
    cpl_status status = cpl_job_check_open(job, err);
    if (status == CPL_OK) status = cpl_job_state(job, wait, &state, err); /* which it is told */
    if (status == CPL_OK) status = cpl_job_work_dir(job, &folder, err);
    if (status == CPL_OK) status = cpl_child_start(&r.child, how, folder, err);
    if (status != CPL_OK) return status;
    if (how->timeout_ms > 0) r.end_ms = cpl_clock_monotonic_ms() + how->timeout_ms;
    cpl_buf_init(&r.answer, ANSWER_MAX);
    status = converse(&r, &failure);
    killed = r.child.pid != 0;
    cpl_child_end(&r.child);
    cpl_buf_wipe(&r.answer);
    cpl_buf_release(&r.answer);
    if (status == CPL_OK) status = settle(&r, killed, &failure);
    *outcome = r.outcome;
    if (status != CPL_OK && err) *err = failure;
    return status;
}
