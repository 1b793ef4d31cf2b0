/* SPDX-License-Identifier: MIT */
/*
 * The "CodePipeline.job" event, in which Lambda hands a job to a function. It is read through the model's shape Job,
 * but only kinds and required members are insisted on: events in tests and in the service's own documentation break
 * its patterns and lengths, and a member the model does not know is no reason to refuse a job.
 */
#include "err.h"
#include "job.h"

#define ROOT "CodePipeline.job"
#define TEXT_MAX ((size_t)16 << 20)
#define VIOLATIONS_MAX 64

struct cpl_job_event {
    cpl_json *job; /* without what the model does not know, and without nulls */
    cpl_buf job_text;
    cpl_buf text; /* the whole event as it came */
};

/* ---- reading ---- */

static cpl_status fail_at(cpl_error *err, const char *path, const char *what) {
    char full[sizeof err->path + sizeof ROOT + 1];
    snprintf(full, sizeof full, ROOT "%s%s", path[0] ? "." : "", path);
    return cpl_fail_at(err, CPL_INVALID, full, "%s: %s", full, what);
}

/* The event's one member, taken out of it; the rest is freed. */
static cpl_status take_job(cpl_str text, cpl_json **out, cpl_error *err) {
    cpl_json *event = NULL, *job;
    cpl_status status = cpl_json_parse(text, &event, err);
    if (status != CPL_OK) return status;
    job = cpl_json_get(event, ROOT);
    if (cpl_json_kind_of(job) == CPL_JSON_OBJECT) {
        *out = cpl_json_detach(event, job);
    } else if (job) {
        status = fail_at(err, "", "not an object");
    } else {
        status = cpl_fail_at(err, CPL_INVALID, ROOT, "the event has no \"" ROOT "\": it is not a job of CodePipeline");
    }
    cpl_json_free(event);
    return status;
}

static void drop(cpl_json *parent, cpl_json *item) {
    cpl_json_free(cpl_json_detach(parent, item));
}

/* Depth is bounded by the reader's. */
static void prune(cpl_json *value, uint16_t shape) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    for (cpl_json *next, *i = cpl_json_first(value); i; i = next) {
        const cpl_member *member = NULL;
        next = cpl_json_next(i);
        if (s->kind == CPL_SHAPE_STRUCTURE) member = cpl_model_member(shape, cpl_json_key(i), NULL);
        if (cpl_json_kind_of(i) == CPL_JSON_NULL || (s->kind == CPL_SHAPE_STRUCTURE && member == NULL)) {
            drop(value, i);
        } else if (member) {
            prune(i, member->shape);
        } else if (s->kind == CPL_SHAPE_LIST) {
            prune(i, s->value);
        }
    }
}

static bool matters(cpl_violation_kind kind) {
    return kind == CPL_VIOLATION_MISSING || kind == CPL_VIOLATION_TYPE || kind == CPL_VIOLATION_NULL;
}

static cpl_status check_kinds(cpl_job_event *event, uint16_t shape, cpl_error *err) {
    cpl_violations found = {.max = VIOLATIONS_MAX};
    cpl_status status;
    found.rows = cpl_calloc(found.max, sizeof *found.rows);
    if (found.rows == NULL) return cpl_fail_nomem(err);
    status = cpl_model_check(event->job_text.p, event->job_text.n, shape, true, &found, err);
    for (size_t i = 0; status == CPL_OK && i < found.count && i < found.max; i++) {
        cpl_buf what;
        if (!matters(found.rows[i].kind)) continue;
        cpl_buf_init(&what, 1024);
        cpl_violation_text(&found.rows[i], &what);
        status = fail_at(err, found.rows[i].path, cpl_buf_cstr(&what));
        cpl_buf_release(&what);
    }
    cpl_free(found.rows);
    return status;
}

static cpl_status check_names(const cpl_json *job, const char *member, cpl_error *err) {
    size_t at = 0;
    for (const cpl_json *i = cpl_json_first(cpl_json_get_path(job, member)); i; i = cpl_json_next(i), at++) {
        char path[64];
        snprintf(path, sizeof path, "%s[%zu].name", member, at);
        if (cpl_json_get_str(i, "name").n == 0) return fail_at(err, path, "missing");
    }
    return CPL_OK;
}

/* What the model leaves open and no job can do without. */
static cpl_status check_needed(const cpl_json *job, cpl_error *err) {
    cpl_status status;
    if (cpl_json_get_str(job, "id").n == 0) return fail_at(err, "id", "missing");
    if (cpl_json_get(job, "data") == NULL) return fail_at(err, "data", "missing");
    status = check_names(job, "data.inputArtifacts", err);
    return status == CPL_OK ? check_names(job, "data.outputArtifacts", err) : status;
}

static cpl_status read_event(cpl_job_event *event, cpl_str text, cpl_error *err) {
    uint16_t shape = cpl_model_shape_named("Job");
    cpl_status status = take_job(text, &event->job, err);
    if (status != CPL_OK) return status;
    prune(event->job, shape);
    cpl_buf_addv(&event->text, text);
    cpl_json_write(event->job, &event->job_text);
    status = cpl_buf_status(&event->text, "the event", err);
    if (status == CPL_OK) status = cpl_buf_status(&event->job_text, "the event", err);
    if (status == CPL_OK) status = check_kinds(event, shape, err);
    return status == CPL_OK ? check_needed(event->job, err) : status;
}

cpl_status cpl_job_event_read(cpl_job_event **out, cpl_str text, cpl_error *err) {
    cpl_job_event *event = cpl_calloc(1, sizeof *event);
    cpl_status status;
    if (event == NULL) return cpl_fail_nomem(err);
    cpl_buf_init(&event->text, TEXT_MAX);
    cpl_buf_init(&event->job_text, TEXT_MAX);
    status = read_event(event, text, err);
    if (status == CPL_OK) {
        *out = event;
    } else {
        cpl_job_event_free(event);
    }
    return status;
}

void cpl_job_event_free(cpl_job_event *event) {
    if (event == NULL) return;
    cpl_json_free(event->job);
    cpl_buf_wipe(&event->text);
    cpl_buf_release(&event->text);
    cpl_buf_wipe(&event->job_text);
    cpl_buf_release(&event->job_text);
    cpl_free(event);
}

cpl_str cpl_job_event_text(const cpl_job_event *event) {
    return cpl_buf_str(&event->text);
}

void cpl_job_event_data(const cpl_job_event *event, cpl_cursor *cursor) {
    cpl_cursor_init_shape(cursor, cpl_buf_str(&event->job_text), cpl_model_shape_named("Job"));
}

bool cpl_job_event_id(cpl_str text, char out[CPL_JOB_ID_SIZE]) {
    cpl_json *job = NULL;
    cpl_str id = {NULL, 0};
    bool known;
    if (take_job(text, &job, NULL) == CPL_OK) id = cpl_json_get_str(job, "id");
    known = id.n > 0 && id.n < CPL_JOB_ID_SIZE;
    if (known) cpl_copy_text(out, CPL_JOB_ID_SIZE, id);
    cpl_json_free(job);
    return known;
}

/* ---- refusing ---- */

static cpl_status fail_job(cpl_client *client, const char *id, cpl_str why, const cpl_wait *wait, cpl_error *err) {
    cpl_call_options options = {.wait = wait ? *wait : (cpl_wait){0}};
    char message[sizeof err->message + 40];
    cpl_reply *reply = NULL;
    cpl_status status;
    cpl_buf params;
    snprintf(message, sizeof message, "the event is malformed: %.*s", (int)why.n, why.p);
    cpl_buf_init(&params, 8192);
    cpl_failure_write(&params, id, "ConfigurationError", message);
    status = cpl_buf_status(&params, "the failure", err);
    if (status == CPL_OK) {
        status = cpl_client_call(client, CPL_LIT("PutJobFailureResult"), cpl_buf_str(&params), &options, &reply, err);
    }
    cpl_reply_free(reply);
    cpl_buf_release(&params);
    return status;
}

cpl_status cpl_job_event_refuse(cpl_client *client, cpl_str text, cpl_str why, char id[CPL_JOB_ID_SIZE],
                                const cpl_wait *wait, cpl_error *err) {
    if (cpl_job_event_id(text, id)) return fail_job(client, id, why, wait, err);
    id[0] = '\0';
    return cpl_fail(err, CPL_INVALID, "the event tells no job's id");
}

/* ---- a job of it ---- */

cpl_status cpl_job_from_event(cpl_job **out, cpl_client *client, cpl_str event_text, const cpl_worker_options *options,
                              cpl_error *err) {
    static const cpl_worker_options defaults;
    cpl_job_event *event = NULL;
    cpl_desk *desk = NULL;
    cpl_status status = cpl_job_event_read(&event, event_text, err);
    if (status != CPL_OK) return status;
    status = cpl_desk_new(&desk, client, options ? options : &defaults, err);
    if (status == CPL_OK) {
        cpl_json *document = event->job;
        event->job = NULL;
        status = cpl_job_adopt(out, desk, document, err);
    }
    if (status == CPL_OK) cpl_job_hand_out(*out);
    cpl_desk_drop(desk);
    cpl_job_event_free(event);
    return status;
}

/* ---- samples ---- */

#define OPTION(member) offsetof(cpl_job_event_options, member)
#define ARTIFACT(name, revision)                                                                                 \
    "        {\n          \"name\": \"" name "\",\n          \"revision\": " revision                            \
    ",\n          \"location\": {\n            \"type\": \"S3\",\n            \"s3Location\": {\n              " \
    "\"bucketName\": "
#define ARTIFACT_END "\n            }\n          }\n        }\n      ]"

/* The event in pieces, one for each option. Without a fallback a piece is left out when its option is absent. */
static const struct {
    size_t option;
    const char *fallback, *before, *after;
} pieces[] = {
    {OPTION(id), "c968ef10-6415-4127-80b1-42502218a8c7", "{\n  \"" ROOT "\": {\n    \"id\": ", ""},
    {OPTION(account_id), "123456789012", ",\n    \"accountId\": ", ""},
    {OPTION(function_name), "my-function",
     ",\n    \"data\": {\n      \"actionConfiguration\": {\n        \"configuration\": {\n          \"FunctionName\": ",
     ""},
    {OPTION(user_parameters), NULL, ",\n          \"UserParameters\": ", ""},
    {OPTION(input_bucket), "example-bucket",
     "\n        }\n      },\n      \"inputArtifacts\": [\n" ARTIFACT("input-artifact",
                                                                     "\"ca2bdeadbeef7d1932acb4977e08c803295d9896\""),
     ""},
    {OPTION(input_key), "test/key", ",\n              \"objectKey\": ", ARTIFACT_END},
    {OPTION(output_bucket), "example-bucket2", ",\n      \"outputArtifacts\": [\n" ARTIFACT("output-artifact", "null"),
     ""},
    {OPTION(output_key), "test/key2", ",\n              \"objectKey\": ",
     ARTIFACT_END ",\n      \"artifactCredentials\": {\n        \"accessKeyId\": \"AKIAIOSFODNN7EXAMPLE\",\n"
                  "        \"secretAccessKey\": \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\",\n"
                  "        \"sessionToken\": \"token\"\n      }"},
    {OPTION(continuation_token), NULL, ",\n      \"continuationToken\": ", ""},
    {OPTION(encryption_key), NULL,
     ",\n      \"encryptionKey\": {\n        \"id\": ", ",\n        \"type\": \"KMS\"\n      }"},
};

cpl_status cpl_job_event_sample(cpl_job_event **out, const cpl_job_event_options *options, cpl_error *err) {
    static const cpl_job_event_options defaults;
    cpl_buf text;
    cpl_status status;
    if (options == NULL) options = &defaults;
    cpl_buf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < CPL_COUNT(pieces); i++) {
        cpl_str value;
        memcpy(&value, (const char *)options + pieces[i].option, sizeof value);
        if (value.p == NULL) value = cpl_str_of(pieces[i].fallback);
        if (value.p == NULL) continue;
        cpl_buf_adds(&text, pieces[i].before);
        cpl_json_quote(&text, value);
        cpl_buf_adds(&text, pieces[i].after);
    }
    cpl_buf_adds(&text, "\n    }\n  }\n}\n");
    status = cpl_buf_status(&text, "the event", err);
    if (status == CPL_OK) status = cpl_job_event_read(out, cpl_buf_str(&text), err);
    cpl_buf_release(&text);
    return status;
}
