/* SPDX-License-Identifier: MIT */
#include "service.h"

static cpl_json *report;

static bool measure(service *s, const cpl_metrics_options *options) {
    cpl_reply *reply = NULL;
    cpl_error err = {0};
    if (!CHECK(cpl_client_metrics(s->client, options, NULL, &reply, &err) == CPL_OK)) printf("  %s\n", err.message);
    cpl_json_free(report);
    report = NULL;
    if (reply) CHECK(cpl_json_parse(cpl_reply_text(reply), &report, &err) == CPL_OK);
    cpl_reply_free(reply);
    return report != NULL;
}

static double number(const char *path) {
    return cpl_json_number(cpl_json_get_path(report, path), -1);
}

/* A failed build, and one that succeeded. */
static bool open_past(service *s) {
    cpl_worker *worker;
    if (!open_line(s, BUILD("Make", READS))) return false;
    worker = worker_of(s->client, 1);
    for (int i = 0; i < 2; i++) {
        cpl_job *job = next_job(worker);
        if (job && i == 0)
            CHECK(cpl_job_fail(job, CPL_LIT("JobFailed"), CPL_LIT("no"), CPL_LIT(""), NULL, NULL) == CPL_OK);
        if (job && i == 1) CHECK(cpl_job_succeed(job, NULL, NULL, NULL) == CPL_OK);
        cpl_job_free(job);
        if (!stage_becomes(s, i == 0 ? "Failed" : "Succeeded")) break;
        if (i == 0) ask(s, "StartPipelineExecution", "{'name':'line'}");
    }
    cpl_worker_free(worker);
    return true;
}

TEST(t_metrics__a_failure_and_a_success_are_counted) {
    service s;
    const cpl_json *stage;
    NEED(open_past(&s));
    NEED(measure(&s, NULL));
    CHECK(number("total.executions") == 2 && number("total.failed") == 1 && number("total.deployments") == 1);
    CHECK(number("total.failure_rate") == 0.5);
    CHECK(number("total.lead_time.count") == 1 && number("total.time_to_restore.count") == 1);
    CHECK(number("calls") == 4); /* the pipelines; executions, actions, one revision */
    stage = cpl_json_at(cpl_json_get(cpl_json_first(cpl_json_get(report, "pipelines")), "stages"), 1);
    CHECK_STR(cpl_json_get_cstr(stage, "stage", ""), "Build");
    CHECK(cpl_json_get_number(cpl_json_first(cpl_json_get(stage, "actions")), "failed", 0) == 1);
    close_line(&s);
}

TEST(t_metrics__what_makes_no_sense_is_refused_before_anything_is_asked) {
    const cpl_metrics_options wrong[] = {{.pipelines = CPL_LIT("{}")}, {.pipelines = CPL_LIT("[1]")}, {.since = 1e11}};
    service s;
    cpl_reply *reply;
    cpl_error err;
    NEED(open_service(&s));
    for (size_t i = 0; i < CPL_COUNT(wrong); i++) {
        CHECK(cpl_client_metrics(s.client, &wrong[i], NULL, &reply, &err) == CPL_INVALID);
        CHECK_STR(err.path, i == 2 ? "since" : "pipelines");
    }
    close_service(&s);
}

TEST(t_metrics__running_out_of_memory_is_told) {
    const cpl_metrics_options options = {.pipelines = CPL_LIT("[\"line\"]")};
    cpl_status status = CPL_NOMEM;
    service s;
    NEED(open_past(&s));
    for (size_t n = 1; n < 20000 && status != CPL_OK; n += 11) {
        cpl_reply *reply = NULL;
        cpl_error err;
        (void)cpl_alloc_fail_at(n);
        status = cpl_client_metrics(s.client, &options, NULL, &reply, &err);
        (void)cpl_alloc_fail_at(0);
        CHECK((status == CPL_OK) == (reply != NULL));
        cpl_reply_free(reply);
    }
    CHECK(status == CPL_OK);
    close_line(&s);
    cpl_json_free(report);
}

TEST_MAIN
