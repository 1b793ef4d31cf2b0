/* SPDX-License-Identifier: MIT */
/*
 * An emulator and a client of it, for the tests of what uses both. JSON is written with ' for ".
 */
#ifndef CPL_SERVICE_H
#define CPL_SERVICE_H

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/buf.h"
#include "../../core/clock.h"
#include "../../core/err.h"
#include "../../core/json.h"
#include "../../core/tree.h"
#include "test.h"

#define ETAG "ETag: \"e-1\"\r\n" /* S3 never answers about an object without one */
#define UNUSED __attribute__((unused))

typedef struct service {
    cpl_emulator *emulator;
    cpl_client *client;
    cpl_json *answer; /* of the last ask() */
} service;

UNUSED static const char *environ_of(const cpl_emulator *emulator, const char *name) {
    const char *found, *value;
    for (size_t i = 0; cpl_emulator_environ(emulator, i, &found, &value); i++) {
        if (strcmp(found, name) == 0) return value;
    }
    return NULL;
}

/* A client with the owner's keys; s3_url: where artifacts are, NULL for the emulator's own. */
UNUSED static cpl_client *client_of(const cpl_emulator *emulator, const char *s3_url) {
    cpl_client_options options = {
        .region = CPL_LIT("us-east-1"),
        .access_key_id = cpl_str_of(environ_of(emulator, "AWS_ACCESS_KEY_ID")),
        .secret_access_key = cpl_str_of(environ_of(emulator, "AWS_SECRET_ACCESS_KEY")),
        .endpoint_url = cpl_str_of(cpl_emulator_url(emulator)),
        .s3_endpoint_url = cpl_str_of(s3_url ? s3_url : cpl_emulator_url(emulator)),
    };
    cpl_client *client = NULL;
    cpl_error err = {0};
    if (!CHECK(cpl_client_new(&client, &options, &err) == CPL_OK)) printf("  %s\n", err.message);
    return client;
}

UNUSED static bool open_service(service *s) {
    cpl_error err = {0};
    *s = (service){0};
    if (!CHECK(cpl_emulator_start(&s->emulator, NULL, &err) == CPL_OK)) {
        printf("  %s\n", err.message);
        return false;
    }
    s->client = client_of(s->emulator, NULL);
    return s->client != NULL;
}

UNUSED static void close_service(service *s) {
    cpl_json_free(s->answer);
    cpl_client_free(s->client);
    cpl_emulator_stop(s->emulator);
}

/* Runs an operation; its document stays in s->answer until the next. False, with a message, when it was refused. */
UNUSED static bool ask(service *s, const char *operation, const char *format, ...) {
    static char text[16384];
    cpl_reply *reply = NULL;
    cpl_error err = {0};
    cpl_status status;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *i = text; *i; i++) *i = *i == '\'' ? '"' : *i;
    status = cpl_client_call(s->client, cpl_str_of(operation), cpl_str_of(text), NULL, &reply, &err);
    if (!CHECK(status == CPL_OK)) printf("  %s: %s: %s\n", operation, err.code, err.message);
    cpl_json_free(s->answer);
    s->answer = NULL;
    if (status == CPL_OK) CHECK(cpl_json_parse(cpl_reply_text(reply), &s->answer, &err) == CPL_OK);
    cpl_reply_free(reply);
    return status == CPL_OK;
}

/* A part of the last answer; numbers in the path are positions: "stageStates.1.actionStates.0". */
UNUSED static const cpl_json *part(const service *s, const char *path) {
    const cpl_json *at = s->answer;
    for (cpl_str rest = cpl_str_of(path); rest.n > 0;) {
        size_t dot = cpl_str_find(rest, '.');
        char name[128];
        int64_t index;
        CPL_COPY(name, cpl_str_sub(rest, 0, dot));
        at = cpl_str_integer(cpl_str_of(name), &index) ? cpl_json_at(at, (size_t)index) : cpl_json_get(at, name);
        rest = cpl_str_sub(rest, dot + 1, rest.n);
    }
    return at;
}

UNUSED static const char *text_of(const service *s, const char *path) {
    return cpl_json_cstr(part(s, path), "(none)");
}

/* ---- one pipeline: an S3 source and custom actions ---- */

#define ROLE "'roleArn':'arn:aws:iam::123456789012:role/pipeline'"
#define STORE "'artifactStore':{'type':'S3','location':'artifacts'}"
#define SOURCE                                                                                                        \
    "{'name':'Source','actions':[{'name':'Fetch','actionTypeId':{'category':'Source','owner':'AWS','provider':'S3',"  \
    "'version':'1'},'configuration':{'S3Bucket':'source','S3ObjectKey':'source.zip','PollForSourceChanges':'false'}," \
    "'outputArtifacts':[{'name':'Code'}]}]}"
#define BUILD(name, more)                                                                      \
    "{'name':'" name                                                                           \
    "','actionTypeId':{'category':'Build','owner':'Custom','provider':'Maker','version':'1'}," \
    "'configuration':{'Target':'all'}," more "'runOrder':1}"
#define MADE "'inputArtifacts':[{'name':'Code'}],'outputArtifacts':[{'name':'Made'}],"
#define READS "'inputArtifacts':[{'name':'Code'}],"

static char room[256]; /* a folder of the test's own */

UNUSED static bool open_room(void) {
    cpl_error err = {0};
    char *made = NULL;
    const char *tmp = getenv("TMPDIR");
    if (!CHECK(cpl_tree_temp(cpl_str_of(tmp ? tmp : "/tmp"), "t_line-", &made, &err) == CPL_OK)) return false;
    CPL_COPY(room, cpl_str_of(made));
    cpl_free(made);
    return true;
}

UNUSED static cpl_str in_room(const char *rest) {
    static char path[2][512];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", room, rest);
    return cpl_str_of(path[turn]);
}

UNUSED static bool write_text(cpl_str path, const char *text) {
    FILE *file = fopen(path.p, "wb");
    if (file == NULL) return false;
    fputs(text, file);
    return fclose(file) == 0;
}

UNUSED static bool put_source(service *s) {
    cpl_error err = {0};
    mkdir(in_room("in").p, 0755);
    CHECK(write_text(in_room("in/hello.txt"), "hello\n"));
    return CHECK(cpl_emulator_create_bucket(s->emulator, CPL_LIT("source"), &err) == CPL_OK) &&
           CHECK(cpl_emulator_create_bucket(s->emulator, CPL_LIT("artifacts"), &err) == CPL_OK) &&
           CHECK(cpl_pack(in_room("in"), in_room("source.zip"), NULL, &err) == CPL_OK) &&
           CHECK(cpl_client_upload(s->client, in_room("source.zip"), CPL_LIT("source"), CPL_LIT("source.zip"), NULL,
                                   &err) == CPL_OK);
}

/* An emulator with the action type Build/Maker/1. */
UNUSED static bool open_idle(service *s) {
    return open_room() && open_service(s) &&
           ask(s, "CreateCustomActionType",
               "{'category':'Build','provider':'Maker','version':'1','configurationProperties':[{'name':'Target',"
               "'required':true,'key':true,'secret':false,'queryable':true}],"
               "'inputArtifactDetails':{'minimumCount':0,'maximumCount':5},"
               "'outputArtifactDetails':{'minimumCount':0,'maximumCount':5}}");
}

/* The same and a pipeline "line" whose second stage has these actions; it runs. */
UNUSED static bool open_line(service *s, const char *actions) {
    return open_idle(s) && put_source(s) &&
           ask(s, "CreatePipeline",
               "{'pipeline':{'name':'line'," ROLE "," STORE ",'stages':[" SOURCE ",{'name':'Build','actions':[%s]}]}}",
               actions);
}

UNUSED static void close_line(service *s) {
    close_service(s);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

/* Waits until the second stage is as wanted. */
UNUSED static bool stage_becomes(service *s, const char *wanted) {
    const char *at = "stageStates.1.latestExecution.status";
    for (int64_t end = cpl_clock_monotonic_ms() + 5000; cpl_clock_monotonic_ms() < end; usleep(5000)) {
        if (!ask(s, "GetPipelineState", "{'name':'line'}")) return false;
        if (strcmp(text_of(s, at), wanted) == 0) return true;
    }
    printf("  the stage is %s, not %s\n", text_of(s, at), wanted);
    return false;
}

UNUSED static const cpl_action_type maker = {
    .category = CPL_LIT("Build"), .provider = CPL_LIT("Maker"), .version = CPL_LIT("1")};

UNUSED static cpl_worker *worker_of(cpl_client *client, int concurrency) {
    cpl_worker_options options = {.concurrency = concurrency, .poll_interval_ms = 10, .work_dir = cpl_str_of(room)};
    cpl_worker *worker = NULL;
    cpl_error err = {0};
    int index = -1;
    CHECK(cpl_worker_new(&worker, client, &options, &err) == CPL_OK);
    CHECK(cpl_worker_add(worker, &maker, &index, &err) == CPL_OK && index == 0);
    return worker;
}

UNUSED static cpl_job *next_within(cpl_worker *worker, int64_t timeout_ms) {
    cpl_wait wait = {.timeout_ms = timeout_ms};
    cpl_job *job = NULL;
    cpl_error err = {0};
    if (!CHECK(cpl_worker_next(worker, &wait, &job, &err) == CPL_OK)) printf("  %s: %s\n", err.code, err.message);
    return job;
}

UNUSED static cpl_job *next_job(cpl_worker *worker) {
    cpl_job *job = next_within(worker, 5000);
    CHECK(job != NULL);
    return job;
}

#endif
