/* SPDX-License-Identifier: MIT */
/*
 * A Lambda function in C: checks that the input artifact has the files that UserParameters names, with spaces between.
 * build-c makes it the package of a function with the runtime provided.al2023.
 */
#include <codepipeline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cpl_str none = {NULL, 0};

static cpl_status refuse(cpl_job *job, const char *type, const char *why, cpl_error *err) {
    return cpl_job_fail(job, cpl_str_of(type), cpl_str_of(why), none, NULL, err);
}

/* One answer for the job; an error is what kept it from the service, or from the archive. */
static cpl_status check(cpl_job *job, cpl_error *err) {
    const char *wanted = cpl_job_text(job, CPL_JOB_USER_PARAMETERS), *folder;
    char names[1024], message[2048], variables[64], *rest = names;
    int count = 0;
    cpl_result result = {0};
    cpl_status status;
    if (wanted == NULL || strlen(wanted) >= sizeof names) {
        return refuse(job, "ConfigurationError", "UserParameters name the files to look for, a kilobyte at most", err);
    }
    status = cpl_job_input_extract(job, none, none, NULL, &folder, err); /* the only input artifact */
    if (status != CPL_OK) return status;
    snprintf(names, sizeof names, "%s", wanted);
    for (char *name; (name = strtok_r(rest, " ", &rest)) != NULL; count++) {
        snprintf(message, sizeof message, "%s/%s", folder, name);
        if (access(message, F_OK) == 0) continue;
        snprintf(message, sizeof message, "the artifact has no file \"%s\"", name);
        return refuse(job, "JobFailed", message, err);
    }
    snprintf(variables, sizeof variables, "{\"files\":\"%d\"}", count);
    result.output_variables = cpl_str_of(variables);
    return cpl_job_succeed(job, &result, NULL, err);
}

int main(void) {
    cpl_runtime *runtime = NULL;
    cpl_client *client = NULL;
    cpl_job *job;
    cpl_error err;
    cpl_status status = cpl_runtime_new(&runtime, none, &err);
    if (status == CPL_OK && cpl_client_new(&client, NULL, &err) != CPL_OK) {
        fprintf(stderr, "%s\n", err.message);
        cpl_runtime_fail(runtime, cpl_str_of("Function.Start"), cpl_str_of(err.message), NULL, &err);
        return 1;
    }
    while (status == CPL_OK && (status = cpl_runtime_next_job(runtime, client, NULL, NULL, &job, &err)) == CPL_OK) {
        cpl_error why;
        if (check(job, &why) != CPL_OK) {
            fprintf(stderr, "%s: %s\n", cpl_job_text(job, CPL_JOB_ID), why.message);
            refuse(job, cpl_failure_type(&why), why.message, &err);
        }
        status = cpl_runtime_end_job(runtime, job, NULL, &err);
    }
    fprintf(stderr, "%s\n", err.message); /* Lambda ends it here */
    cpl_client_free(client);
    cpl_runtime_free(runtime);
    return 1;
}
