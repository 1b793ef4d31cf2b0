/* SPDX-License-Identifier: MIT */
/*
 * A whole job, from the journal's opening to the result, in which the n-th allocation fails, or the n-th and all after
 * it; then there is memory again, and the job must end as if nothing had been. The emulator has a process of its own,
 * with memory of its own. NIGHTLY=1: every n, otherwise every STEP-th.
 */
#include <sys/wait.h>

#include "service.h"

#define STEP 37
#define TURN_MS 120000 /* after which a job that was handed out to nobody comes again */

typedef struct remote {
    service service; /* its client alone */
    pid_t pid;
    int to, from; /* a byte turns its clock, and comes back */
} remote;

/* One job's life so far. */
typedef struct life {
    cpl_client *client;
    cpl_worker *worker;
    cpl_job *job;
    int starts;
    bool answered;
} life;

static void serve(int in, int out) {
    cpl_emulator *emulator = NULL;
    char turn;
    if (cpl_emulator_start(&emulator, NULL, NULL) != CPL_OK ||
        cpl_emulator_create_bucket(emulator, CPL_LIT("source"), NULL) != CPL_OK ||
        cpl_emulator_create_bucket(emulator, CPL_LIT("artifacts"), NULL) != CPL_OK)
        _exit(1);
    dprintf(out, "%s %s %s\n", cpl_emulator_url(emulator), environ_of(emulator, "AWS_ACCESS_KEY_ID"),
            environ_of(emulator, "AWS_SECRET_ACCESS_KEY"));
    while (read(in, &turn, 1) == 1 && cpl_emulator_advance(emulator, TURN_MS, NULL) == CPL_OK) {
        if (write(out, &turn, 1) != 1) break;
    }
    cpl_emulator_stop(emulator);
    _exit(0);
}

static bool start_emulator(remote *r) {
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0) return false;
    r->pid = fork();
    if (r->pid == 0) {
        close(to[1]);
        close(from[0]);
        serve(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    r->to = to[1];
    r->from = from[0];
    return r->pid > 0;
}

static bool connect_to(remote *r) {
    char line[512], url[128], key[128], secret[128];
    size_t n = 0;
    cpl_client_options options = {.region = CPL_LIT("us-east-1")};
    while (n < sizeof line - 1 && read(r->from, line + n, 1) == 1 && line[n] != '\n') n++;
    line[n] = '\0';
    if (sscanf(line, "%127s %127s %127s", url, key, secret) != 3) return false;
    options.access_key_id = cpl_str_of(key);
    options.secret_access_key = cpl_str_of(secret);
    options.endpoint_url = options.s3_endpoint_url = cpl_str_of(url);
    return cpl_client_new(&r->service.client, &options, NULL) == CPL_OK;
}

static bool prepare(remote *r) {
    service *s = &r->service;
    mkdir(in_room("in").p, 0755);
    return CHECK(write_text(in_room("in/hello.txt"), "hello\n")) &&
           CHECK(cpl_pack(in_room("in"), in_room("source.zip"), NULL, NULL) == CPL_OK) &&
           CHECK(cpl_client_upload(s->client, in_room("source.zip"), CPL_LIT("source"), CPL_LIT("source.zip"), NULL,
                                   NULL) == CPL_OK) &&
           ask(s, "CreateCustomActionType",
               "{'category':'Build','provider':'Maker','version':'1','configurationProperties':[{'name':'Target',"
               "'required':true,'key':true,'secret':false}],'inputArtifactDetails':{'minimumCount':0,'maximumCount':5},"
               "'outputArtifactDetails':{'minimumCount':0,'maximumCount':5}}") &&
           ask(s, "CreatePipeline",
               "{'pipeline':{'name':'line'," ROLE "," STORE ",'stages':[" SOURCE
               ",{'name':'Build','actions':[" BUILD("Make", MADE) "]}]}}");
}

static cpl_status make_worker(life *l, cpl_error *err) {
    cpl_worker_options options = {.poll_interval_ms = 5, .work_dir = cpl_str_of(room), .journal = in_room("jobs.db")};
    cpl_status status = l->worker ? CPL_OK : cpl_worker_new(&l->worker, l->client, &options, err);
    if (status == CPL_OK && cpl_worker_running(l->worker) == 0 && l->starts == 0) {
        status = cpl_worker_add(l->worker, &maker, NULL, err);
        if (status == CPL_INVALID) status = CPL_OK; /* it was added before */
    }
    return status;
}

/* What a program does with a job, from wherever the last attempt broke off. CPL_TIMEOUT: no job came. */
static cpl_status live(life *l, int64_t timeout_ms, cpl_error *err) {
    cpl_wait wait = {.timeout_ms = timeout_ms}, patience = {.timeout_ms = 5000};
    const char *folder = NULL;
    cpl_status status = make_worker(l, err);
    if (status == CPL_OK && l->job == NULL) {
        status = cpl_worker_next(l->worker, &wait, &l->job, err);
        if (l->job) l->starts++;
        if (status == CPL_OK && l->job == NULL) return CPL_TIMEOUT;
    }
    if (status == CPL_OK) {
        status = cpl_job_input_extract(l->job, CPL_LIT("Code"), (cpl_str){NULL, 0}, &patience, &folder, err);
    }
    if (status == CPL_OK) status = cpl_job_output_pack(l->job, CPL_LIT("Made"), cpl_str_of(folder), &patience, err);
    if (status == CPL_OK) status = cpl_job_succeed(l->job, NULL, &patience, err);
    l->answered = status == CPL_OK;
    return status;
}

static bool turn_clock(const remote *r) {
    char byte = '+';
    return write(r->to, &byte, 1) == 1 && read(r->from, &byte, 1) == 1;
}

/* True when fewer than n allocations were made. */
static bool one_life(remote *r, size_t n, bool all) {
    life l = {.client = r->service.client};
    cpl_error err = {0};
    cpl_status status;
    bool over;
    (void)(all ? cpl_alloc_fail_from(n) : cpl_alloc_fail_at(n));
    status = live(&l, 100, &err);
    over = cpl_alloc_fail_at(0) < n;
    if (!CHECK(status == CPL_OK || status == CPL_NOMEM || status == CPL_TIMEOUT || status == CPL_IO)) {
        printf("  %s: %s\n", cpl_status_name(status), err.message);
    }
    for (int tries = 0; !l.answered && tries < 30; tries++) {
        status = live(&l, 300, &err);
        if (status == CPL_TIMEOUT) CHECK(turn_clock(r));
    }
    if (!CHECK(l.answered && l.starts == 1)) {
        printf("  allocation %zu%s: %s: %s; started %d times\n", n, all ? " and all after it" : "",
               cpl_status_name(status), err.message, l.starts);
    }
    cpl_job_free(l.job);
    cpl_worker_free(l.worker);
    CHECK(stage_becomes(&r->service, "Succeeded"));
    return over;
}

static void every_allocation(bool all) {
    remote r = {.to = -1};
    bool over = false;
    size_t n = 1, step = getenv("NIGHTLY") ? 1 : STEP;
    NEED(open_room());
    NEED(start_emulator(&r) && connect_to(&r) && prepare(&r));
    for (; !over && test_failures == 0 && n < 20000; n += step) {
        if (n > 1) NEED(ask(&r.service, "StartPipelineExecution", "{'name':'line'}"));
        over = one_life(&r, n, all);
    }
    if (!CHECK(over && n > 100)) printf("  came to allocation %zu\n", n);
    close(r.to);
    CHECK(waitpid(r.pid, NULL, 0) == r.pid);
    close(r.from);
    cpl_json_free(r.service.answer);
    cpl_client_free(r.service.client);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

TEST(t_job_memory__an_allocation_that_fails_costs_no_job) {
    every_allocation(false);
}

TEST(t_job_memory__no_memory_for_a_while_costs_no_job) {
    every_allocation(true);
}

TEST_MAIN
