/* SPDX-License-Identifier: MIT */
#include "engine.h"

/* What a worker is told about a job, and the credentials that go with it. */

#define GRANT_SECONDS 3600

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
static const char mixed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- credentials ---- */

static bool allow(cpl_json *list, const cpl_json *artifacts) {
    for (const cpl_json *i = cpl_json_first(artifacts); i; i = cpl_json_next(i)) {
        if (!cpl_json_push(list, cpl_json_clone(cpl_json_get(i, "s3location")))) return false;
    }
    return list != NULL;
}

static bool fill_grant(emu_engine *engine, const cpl_json *job, const cpl_json *record, cpl_json *grant) {
    char secret[41], token[241];
    return emu_random_text(engine->e, secret, 40, mixed) && emu_random_text(engine->e, token, 240, mixed) &&
           cpl_json_set_cstr(grant, "secret", secret) && cpl_json_set_cstr(grant, "token", token) &&
           cpl_json_set_number(grant, "expires", emu_now_s(engine->e) + GRANT_SECONDS) &&
           emu_copy(grant, "jobId", job, "id") &&
           allow(emu_array_at(grant, "read"), cpl_json_get(cpl_json_get(record, "input"), "inputArtifacts")) &&
           allow(emu_array_at(grant, "read"), cpl_json_get(record, "outputArtifacts")) &&
           allow(emu_array_at(grant, "write"), cpl_json_get(record, "outputArtifacts"));
}

bool emu_grant_make(emu_engine *engine, const cpl_json *job, const cpl_json *record, cpl_json *data) {
    cpl_json *grant = cpl_json_new_object(), *credentials = emu_object_at(data, "artifactCredentials");
    int64_t expires_ms = emu_now_ms(engine->e) + GRANT_SECONDS * 1000;
    emu_timer timer = {.at = expires_ms + EMU_GRANT_KNOWN_MS, .due = EMU_DUE_GRANT, .id = "ASIA"};
    if (!emu_random_text(engine->e, timer.id + 4, 16, letters) || !fill_grant(engine, job, record, grant) ||
        !emu_copy(grant, "encryptionKey", cpl_json_get(data, "encryptionKey"), "id") ||
        !cpl_json_set_cstr(credentials, "accessKeyId", timer.id) ||
        !emu_copy(credentials, "secretAccessKey", grant, "secret") ||
        !emu_copy(credentials, "sessionToken", grant, "token")) {
        cpl_json_free(grant);
        return false;
    }
    return emu_store_put(emu_store_of(engine->e), EMU_GRANT, timer.id, grant) &&
           emu_timers_add(&engine->timers, &timer);
}

/* ---- the job's data ---- */

static bool add_artifacts(const cpl_json *execution, cpl_json *to, const cpl_json *artifacts) {
    for (const cpl_json *i = cpl_json_first(artifacts); i; i = cpl_json_next(i)) {
        const char *name = EMU_GET(i, "name");
        const cpl_json *made = cpl_json_get(cpl_json_get(execution, "artifacts"), name);
        const cpl_json *from = cpl_json_get(i, "s3location");
        cpl_json *artifact = cpl_json_new_object(), *location = emu_object_at(artifact, "location");
        cpl_json *s3 = emu_object_at(location, "s3Location");
        /* an output has its place already, and a revision only once it was made there */
        if (emu_is(made, "key", EMU_GET(from, "key")) && !emu_copy(artifact, "revision", made, "revision")) s3 = NULL;
        if (!cpl_json_set_cstr(artifact, "name", name) || !cpl_json_set_cstr(location, "type", "S3") ||
            !emu_copy(s3, "bucketName", from, "bucket") || !emu_copy(s3, "objectKey", from, "key")) {
            cpl_json_free(artifact);
            return false;
        }
        if (!cpl_json_push(to, artifact)) return false;
    }
    return to != NULL;
}

static bool set_context(const emu_engine *engine, cpl_json *data, const cpl_json *execution, const cpl_json *record) {
    const char *pipeline = EMU_GET(execution, "pipeline");
    const cpl_json *document = emu_store_get(emu_store_of(engine->e), EMU_PIPELINE, pipeline);
    cpl_json *context = emu_object_at(data, "pipelineContext");
    cpl_json *action = emu_object_at(context, "action");
    return cpl_json_set_cstr(context, "pipelineName", pipeline) && emu_copy(context, "pipelineArn", document, "arn") &&
           emu_copy(context, "pipelineExecutionId", execution, "id") &&
           emu_copy(emu_object_at(context, "stage"), "name", record, "stage") &&
           emu_copy(action, "name", record, "action") && emu_copy(action, "actionExecutionId", record, "id");
}

static bool set_encryption_key(const emu_engine *engine, cpl_json *data, const cpl_json *execution,
                               const cpl_json *record) {
    const cpl_json *document = emu_store_get(emu_store_of(engine->e), EMU_PIPELINE, EMU_GET(execution, "pipeline"));
    const cpl_json *pipeline = emu_pipeline_version(document, (int)cpl_json_get_number(execution, "version", 0));
    const char *region = cpl_json_get_cstr(cpl_json_get(record, "input"), "region", NULL);
    return emu_copy(data, "encryptionKey", emu_pipeline_store(engine->e, pipeline, region), "encryptionKey");
}

static bool fill_data(emu_engine *engine, cpl_json *data, const cpl_json *job, const cpl_json *execution,
                      const cpl_json *record) {
    const cpl_json *input = cpl_json_get(record, "input");
    cpl_json *configuration = emu_object_at(data, "actionConfiguration");
    return emu_copy(data, "actionTypeId", input, "actionTypeId") &&
           emu_copy(configuration, "configuration", input, "resolvedConfiguration") &&
           set_context(engine, data, execution, record) &&
           add_artifacts(execution, emu_array_at(data, "inputArtifacts"), cpl_json_get(input, "inputArtifacts")) &&
           add_artifacts(execution, emu_array_at(data, "outputArtifacts"), cpl_json_get(record, "outputArtifacts")) &&
           set_encryption_key(engine, data, execution, record) &&
           (emu_job_over(job) || emu_grant_make(engine, job, record, data)) &&
           emu_copy(data, "continuationToken", job, "continuationToken");
}

cpl_json *emu_job_describe(emu_engine *engine, const cpl_json *job) {
    const cpl_json *execution = emu_execution_get(engine, EMU_GET(job, "executionId"));
    const cpl_json *record = emu_record_get(execution, EMU_GET(job, "actionExecutionId"));
    cpl_json *details = cpl_json_new_object();
    if (emu_copy(details, "id", job, "id") &&
        fill_data(engine, emu_object_at(details, "data"), job, execution, record) &&
        cpl_json_set_cstr(details, "accountId", emu_account_id(engine->e))) {
        return details;
    }
    cpl_json_free(details);
    return NULL;
}
