/* SPDX-License-Identifier: MIT */
/* A Lambda function in C that does what UserParameters say, for test_rie.py and test_lambda_c.py. */
#include <codepipeline.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const cpl_str none = {NULL, 0};

static cpl_status work(cpl_job *job, cpl_error *err) {
    const char *wanted = cpl_job_text(job, CPL_JOB_USER_PARAMETERS), *state = NULL;
    cpl_result result = {0};
    char variables[100];
    cpl_status status = cpl_job_state(job, NULL, &state, err);
    if (status != CPL_OK) return status;
    if (wanted == NULL) wanted = "";
    if (strcmp(wanted, "raise") == 0) {
        return cpl_job_fail(job, none, cpl_str_of("no disk left"), none, NULL, err);
    }
    if (strcmp(wanted, "later") == 0 && state == NULL) {
        return cpl_job_later(job, cpl_str_of("\"begun\""), 0, NULL, NULL, err);
    }
    while (strcmp(wanted, "hang") == 0) sleep(1);
    if (strcmp(wanted, "forget") == 0) return CPL_OK;
    if (cpl_job_output_count(job) > 0) status = cpl_job_output_write(job, none, cpl_str_of("made"), err);
    if (status != CPL_OK) return status;
    snprintf(variables, sizeof variables, "{\"said\":\"%s\",\"language\":\"C\"}", state ? "begun" : "nil");
    result.output_variables = cpl_str_of(variables);
    return cpl_job_succeed(job, &result, NULL, err);
}

int main(void) {
    cpl_runtime *runtime = NULL;
    cpl_client *client = NULL;
    cpl_job *job;
    cpl_error err = {0}, why;
    cpl_status status = cpl_runtime_new(&runtime, none, &err);
    if (status == CPL_OK && cpl_client_new(&client, NULL, &err) != CPL_OK) {
        cpl_runtime_fail(runtime, cpl_str_of("Function.Start"), cpl_str_of(err.message), NULL, NULL);
        status = err.status;
    }
    while (status == CPL_OK && (status = cpl_runtime_next_job(runtime, client, NULL, NULL, &job, &err)) == CPL_OK) {
        if (work(job, &why) != CPL_OK) {
            cpl_job_fail(job, cpl_str_of(cpl_failure_type(&why)), cpl_str_of(why.message), none, NULL, &err);
        }
        status = cpl_runtime_end_job(runtime, job, NULL, &err);
    }
    fprintf(stderr, "%s\n", err.message);
    cpl_client_free(client);
    cpl_runtime_free(runtime);
    return 1;
}
