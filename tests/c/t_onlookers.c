/* SPDX-License-Identifier: MIT */
/* Those who look on at what runs, approvals, metrics, workers, jobs and their guards ask of the service. */
#include <pthread.h>

#include "../../core/job.h"
#include "fault_server.h"
#include "service.h"

typedef struct looker {
    cpl_observer observer;
    pthread_t thread;        /* where it may be called, and nowhere else */
    const cpl_client *owner; /* whose calls they must be */
    const char *stop_at;     /* the operation whose request is stopped; NULL: none is */
    int requests, responses, strangers;
    char operations[8192]; /* " ListPipelines ..." in the order in which they were answered */
    char seen[262144];     /* all texts and headers */
    size_t n;
} looker;

static void note(looker *l, cpl_str text) {
    if (text.n + 2 > sizeof l->seen - l->n) return;
    l->n += (size_t)snprintf(l->seen + l->n, sizeof l->seen - l->n, "%.*s\n", (int)text.n, text.p ? text.p : "");
}

static int look(void *context, const cpl_call_event *event) {
    looker *l = context;
    cpl_str name, value;
    bool request = event->stage == CPL_CALL_REQUEST;
    *(request ? &l->requests : &l->responses) += 1;
    if (!pthread_equal(l->thread, pthread_self()) || event->client != l->owner) l->strangers++;
    note(l, event->text);
    for (size_t i = 0; cpl_call_event_header(event, i, &name, &value); i++) {
        note(l, name);
        note(l, value);
    }
    if (!request) {
        size_t n = strlen(l->operations);
        snprintf(l->operations + n, sizeof l->operations - n, " %s", event->operation);
        CHECK(strstr(event->url, "http://127.0.0.1:") == event->url && event->attempt >= 1);
    }
    return request && l->stop_at && strcmp(event->operation, l->stop_at) == 0;
}

static cpl_wait look_on(looker *l, const cpl_client *owner) {
    *l = (looker){.observer = {look, l}, .thread = pthread_self(), .owner = owner};
    return (cpl_wait){.observer = &l->observer, .timeout_ms = 5000};
}

static bool saw(const looker *l, const char *operation) {
    size_t n = strlen(operation);
    for (const char *at = l->operations; (at = strstr(at, operation)) != NULL; at++) {
        if (at[-1] == ' ' && (at[n] == ' ' || at[n] == '\0')) return true;
    }
    return false;
}

static looker l; /* large */

/* ---- runs, approvals, metrics ---- */

#define GATE                                                                                  \
    "{'name':'Sign','actionTypeId':{'category':'Approval','owner':'AWS','provider':'Manual'," \
    "'version':'1'}}"

TEST(t_onlookers__all_that_a_run_asks_is_seen) {
    service s;
    cpl_run *run = NULL;
    cpl_reply *reply = NULL;
    cpl_error err = {0};
    const cpl_run_options often = {.poll_interval_ms = 10};
    const cpl_start start = {.pipeline = CPL_LIT("line")};
    const cpl_metrics_options all = {{NULL, 0}, 0};
    const cpl_decision yes = {CPL_LIT("Build"), CPL_LIT("Sign"), true, CPL_LIT("fine")};
    NEED(open_line(&s, GATE));
    cpl_wait wait = look_on(&l, s.client), brief = wait;
    brief.timeout_ms = 50;
    NEED(cpl_run_open(&run, s.client, &(cpl_target){CPL_LIT("line"), {NULL, 0}}, &often, &wait, &err) == CPL_OK);
    CHECK(cpl_run_wait(run, &brief, &err) == CPL_TIMEOUT);
    CHECK(saw(&l, "GetPipelineExecution") && saw(&l, "GetPipelineState"));
    CHECK(cpl_client_approvals(s.client, CPL_LIT("line"), &wait, &reply, &err) == CPL_OK);
    cpl_reply_free(reply);
    CHECK(cpl_run_decide(run, &yes, &wait, &err) == CPL_OK);
    CHECK(saw(&l, "PutApprovalResult"));
    CHECK(cpl_run_wait(run, &wait, &err) == CPL_OK);
    l.operations[0] = '\0';
    CHECK(cpl_run_explain(run, &wait, &reply, &err) == CPL_OK);
    CHECK(l.operations[0] == ' ');
    cpl_reply_free(reply);
    CHECK(cpl_client_metrics(s.client, &all, &wait, &reply, &err) == CPL_OK);
    CHECK(saw(&l, "ListPipelines") && saw(&l, "ListPipelineExecutions"));
    cpl_reply_free(reply);
    cpl_run_free(run);
    CHECK(cpl_run_start(&run, s.client, &start, &often, &wait, &err) == CPL_OK);
    CHECK(saw(&l, "StartPipelineExecution"));
    CHECK(l.requests == l.responses && l.strangers == 0);
    cpl_run_free(run);
    close_line(&s);
}

TEST(t_onlookers__a_run_ends_its_call_when_one_says_stop) {
    service s;
    cpl_run *run = NULL;
    cpl_error err = {0};
    const cpl_start start = {.pipeline = CPL_LIT("line")};
    NEED(open_line(&s, BUILD("Make", READS)));
    cpl_wait wait = look_on(&l, s.client);
    l.stop_at = "StartPipelineExecution";
    CHECK(cpl_run_start(&run, s.client, &start, NULL, &wait, &err) == CPL_CANCELLED && run == NULL);
    l.stop_at = NULL;
    NEED(cpl_run_open(&run, s.client, &(cpl_target){CPL_LIT("line"), {NULL, 0}},
                      &(cpl_run_options){.poll_interval_ms = 10}, &wait, &err) == CPL_OK);
    l.stop_at = "GetPipelineExecution";
    CHECK(cpl_run_wait(run, &wait, &err) == CPL_CANCELLED);
    cpl_run_free(run);
    close_line(&s);
}

/* ---- workers ---- */

TEST(t_onlookers__all_that_a_worker_and_its_job_ask_is_seen_and_no_secret) {
    service s;
    cpl_job *job = NULL;
    cpl_error err = {0};
    char secrets[3][2048];
    NEED(open_line(&s, BUILD("Make", READS)));
    cpl_wait wait = look_on(&l, s.client);
    cpl_worker *worker = worker_of(s.client, 1);
    CHECK(cpl_worker_next(worker, &wait, &job, &err) == CPL_OK);
    NEED(job);
    CHECK(saw(&l, "PollForJobs") && saw(&l, "AcknowledgeJob"));
    cpl_credentials keys = cpl_job_credentials(job);
    CPL_COPY(secrets[0], keys.access_key_id);
    CPL_COPY(secrets[1], keys.secret_access_key);
    CPL_COPY(secrets[2], keys.session_token);
    CHECK(cpl_job_succeed(job, NULL, &wait, &err) == CPL_OK);
    CHECK(saw(&l, "PutJobSuccessResult") && l.requests == l.responses && l.strangers == 0);
    cpl_job_free(job);
    for (int i = 0; i < 3; i++) CHECK(strlen(secrets[i]) > 4 && strstr(l.seen, secrets[i]) == NULL);
    CHECK(strstr(l.seen, "\"secretAccessKey\":\"***\"") || strstr(l.seen, "\"artifactCredentials\":\"***\""));
    CHECK(strstr(l.seen, "\"Target\":\"***\"") && strstr(l.seen, "\"all\"") == NULL); /* might be a secret one */
    CHECK(strstr(l.seen, "authorization\n***\n") && strstr(l.seen, "AWS4-HMAC") == NULL);
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_worker_free(worker);
    close_line(&s);
}

TEST(t_onlookers__a_job_whose_calls_are_stopped_is_answered_all_the_same) {
    service s;
    cpl_job *job = NULL;
    cpl_error err = {0};
    NEED(open_line(&s, BUILD("Make", READS)));
    cpl_wait wait = look_on(&l, s.client), brief = {.timeout_ms = 200};
    cpl_worker *worker = worker_of(s.client, 1);
    l.stop_at = "PollForJobs";
    CHECK(cpl_worker_next(worker, &wait, &job, &err) == CPL_CANCELLED && job == NULL);
    l.stop_at = "AcknowledgeJob";
    wait.timeout_ms = 100;
    CHECK(cpl_worker_next(worker, &wait, &job, &err) == CPL_OK && job == NULL);
    l.stop_at = "PutJobSuccessResult";
    wait.timeout_ms = 5000;
    CHECK(cpl_worker_next(worker, &wait, &job, &err) == CPL_OK);
    NEED(job);
    CHECK(cpl_job_succeed(job, NULL, &wait, &err) == CPL_CANCELLED);
    cpl_job_free(job); /* its result is owed now */
    CHECK(cpl_worker_next(worker, &brief, &job, &err) == CPL_OK && job == NULL);
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_worker_free(worker);
    close_line(&s);
}

TEST(t_onlookers__a_view_that_a_worker_makes_is_told_of_as_its_client) {
    service s;
    cpl_client *view = NULL;
    cpl_error err = {0};
    NEED(open_idle(&s));
    cpl_worker *worker = worker_of(s.client, 1);
    cpl_wait wait = look_on(&l, s.client);
    const cpl_call_options options = {.wait = wait};
    cpl_reply *reply = NULL;
    CHECK(cpl_client_with(&view, s.client, &(cpl_client_options){.region = CPL_LIT("eu-west-1")}, &err) == CPL_OK);
    CHECK(view && view->whose == view);
    cpl_client_free(view);
    cpl_desk *desk = NULL;
    NEED(cpl_desk_new(&desk, s.client, &(cpl_worker_options){0}, &err) == CPL_OK);
    CHECK(cpl_desk_client_in(desk, CPL_LIT("eu-west-1"), &view, &err) == CPL_OK && view != s.client);
    (void)cpl_client_call(view, CPL_LIT("ListPipelines"), (cpl_str){NULL, 0}, &options, &reply, &err);
    CHECK(l.requests == 1 && l.strangers == 0);
    cpl_reply_free(reply);
    cpl_desk_drop(desk);
    cpl_worker_free(worker);
    close_line(&s);
}

/* ---- guards, whose thread may call nobody ---- */

static cpl_job *guarded_job(service *s, cpl_worker **worker) {
    cpl_job *job;
    cpl_error err = {0};
    *worker = worker_of(s->client, 1);
    job = next_job(*worker);
    if (job) CHECK(cpl_job_guard(job, 1, &err) == CPL_OK);
    CHECK(stage_becomes(s, "Failed")); /* while nobody waits for anything */
    return job;
}

TEST(t_onlookers__what_a_guard_asked_is_told_to_who_waits_for_its_job) {
    service s;
    cpl_worker *worker;
    cpl_error err = {0};
    NEED(open_line(&s, BUILD("Make", READS)));
    cpl_job *job = guarded_job(&s, &worker);
    NEED(job);
    cpl_wait wait = look_on(&l, s.client);
    CHECK(cpl_job_succeed(job, NULL, &wait, &err) == CPL_STATE && cpl_job_answered(job));
    CHECK_STR(l.operations, " PutJobFailureResult");
    CHECK(l.requests == 1 && l.responses == 1 && l.strangers == 0);
    CHECK(strstr(l.seen, "nearly up") && strstr(l.seen, "x-amz-target\nCodePipeline_20150709.PutJobFailureResult\n"));
    CHECK(strstr(l.seen, "x-amzn-requestid\n") && strstr(l.seen, "authorization\n***\n"));
    cpl_job_free(job);
    wait.timeout_ms = 50;
    CHECK(cpl_worker_next(worker, &wait, &job, &err) == CPL_OK && !strstr(l.operations, "PutJobFailureResult Put"));
    cpl_worker_free(worker);
    close_line(&s);
}

TEST(t_onlookers__what_a_guard_asked_is_told_to_who_waits_for_its_worker) {
    service s;
    cpl_worker *worker;
    cpl_job *none = NULL;
    cpl_error err = {0};
    NEED(open_line(&s, BUILD("Make", READS)));
    cpl_job *job = guarded_job(&s, &worker);
    NEED(job);
    cpl_wait wait = look_on(&l, s.client);
    l.stop_at = "PutJobFailureResult"; /* too late for that */
    wait.timeout_ms = 150;
    CHECK(cpl_worker_next(worker, &wait, &none, &err) == CPL_OK && none == NULL);
    CHECK(saw(&l, "PutJobFailureResult") && l.strangers == 0);
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_STATE && cpl_job_answered(job));
    cpl_job_free(job);
    cpl_worker_free(worker);
    close_line(&s);
}

TEST(t_onlookers__a_backlog_keeps_so_much_and_forgets_what_nobody_wants) {
    cpl_backlog *backlog = cpl_backlog_new();
    const cpl_observer *observer;
    NEED(backlog);
    cpl_wait wait = look_on(&l, NULL);
    cpl_call_event event = {.operation = "ListPipelines", .url = "http://127.0.0.1:1/", .attempt = 1};
    observer = cpl_backlog_observer(backlog);
    for (int i = 0; i < 100; i++) CHECK(observer->event(observer->context, &event) == 0);
    cpl_backlog_tell(backlog, &wait);
    CHECK(l.requests == 64 && l.strangers == 0);
    cpl_backlog_tell(backlog, &wait);
    CHECK(l.requests == 64);
    CHECK(observer->event(observer->context, &event) == 0);
    cpl_backlog_tell(backlog, NULL); /* nobody looks on */
    cpl_backlog_tell(backlog, &wait);
    CHECK(l.requests == 64);
    (void)cpl_alloc_fail_at(1);
    CHECK(observer->event(observer->context, &event) == 0); /* the call goes on */
    (void)cpl_alloc_fail_at(0);
    CHECK(observer->event(observer->context, &event) == 0); /* freed with it */
    cpl_backlog_free(backlog);
}

TEST_MAIN
