/* SPDX-License-Identifier: MIT */
/*
 * The emulator: from its start to the first answer; polls that find nothing, from one client; and jobs taken,
 * acknowledged and ended through it, in a pipeline of stages with fifty actions each. Client and emulator share this
 * process and its processors. Prints JSON lines, the best of some rounds each: what else runs here only takes away.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/codepipeline.h"

#define ROUNDS 7
#define POLLS 8000
#define STAGES 9
#define ACTIONS 50
#define FLIGHT 16 /* requests under way at once */

#define TYPE "\"category\":\"%s\",\"provider\":\"Bench\",\"version\":\"1\""
#define NO_ARTIFACTS                                                    \
    "\"inputArtifactDetails\":{\"minimumCount\":0,\"maximumCount\":0}," \
    "\"outputArtifactDetails\":{\"minimumCount\":0,\"maximumCount\":%d}"
#define ACTION "{\"name\":\"a%d\",\"actionTypeId\":{\"owner\":\"Custom\"," TYPE "}%s}"

static char text[1 << 20];

static void die(const char *what, const cpl_error *err) {
    fprintf(stderr, "emulator: %s: %s\n", what, err->message);
    exit(1);
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void start(cpl_emulator **emulator, cpl_client **client) {
    cpl_client_options options = {.region = cpl_str_of("us-east-1")};
    const char *name, *value;
    cpl_error err;
    if (cpl_emulator_start(emulator, NULL, &err)) die("start", &err);
    options.endpoint_url = cpl_str_of(cpl_emulator_url(*emulator));
    for (size_t i = 0; cpl_emulator_environ(*emulator, i, &name, &value); i++) {
        if (strcmp(name, "AWS_ACCESS_KEY_ID") == 0) options.access_key_id = cpl_str_of(value);
        if (strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0) options.secret_access_key = cpl_str_of(value);
    }
    if (cpl_client_new(client, &options, &err)) die("client", &err);
}

static void call(cpl_client *client, const char *operation, const char *params) {
    cpl_reply *reply;
    cpl_error err;
    if (cpl_client_call(client, cpl_str_of(operation), cpl_str_of(params), NULL, &reply, &err)) die(operation, &err);
    cpl_reply_free(reply);
}

static void submit(cpl_queue *queue, const char *operation, const char *params) {
    cpl_error err;
    uint64_t id;
    if (cpl_queue_submit(queue, cpl_str_of(operation), cpl_str_of(params), NULL, &id, &err)) die(operation, &err);
}

/* Waits for so many answers. */
static void collect(cpl_queue *queue, int count) {
    cpl_done done;
    cpl_error err;
    for (; count > 0; count--) {
        if (cpl_queue_next(queue, NULL, &done, &err)) die("queue", &err);
        if (done.status) die("answer", &done.err);
        cpl_reply_free(done.reply);
    }
}

/* ---- a pipeline that is all custom actions ---- */

static size_t add_stage(size_t n, int stage, const char *category, int actions, const char *more) {
    n += (size_t)snprintf(text + n, sizeof text - n, "%s{\"name\":\"s%d\",\"actions\":[", stage ? "," : "", stage);
    for (int i = 0; i < actions; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s" ACTION, i ? "," : "", i, category, more);
    }
    return n + (size_t)snprintf(text + n, sizeof text - n, "]}");
}

static void make_pipeline(cpl_client *client) {
    size_t n;
    snprintf(text, sizeof text, "{" TYPE "," NO_ARTIFACTS "}", "Source", 1);
    call(client, "CreateCustomActionType", text);
    snprintf(text, sizeof text, "{" TYPE "," NO_ARTIFACTS "}", "Build", 0);
    call(client, "CreateCustomActionType", text);
    n = (size_t)snprintf(text, sizeof text,
                         "{\"pipeline\":{\"name\":\"bench\",\"roleArn\":\"arn:aws:iam::123456789012:role/bench\","
                         "\"artifactStore\":{\"type\":\"S3\",\"location\":\"bench-artifacts\"},\"stages\":[");
    n = add_stage(n, 0, "Source", 1, ",\"outputArtifacts\":[{\"name\":\"App\"}]");
    for (int stage = 1; stage <= STAGES; stage++) n = add_stage(n, stage, "Build", ACTIONS, "");
    snprintf(text + n, sizeof text - n, "]}}");
    call(client, "CreatePipeline", text);
}

/* ---- jobs ---- */

typedef struct job {
    char id[64], nonce[64];
} job;

static const char *value_of(const char *at, const char *key, char *out, size_t size) {
    size_t n = 0;
    if ((at = strstr(at, key)) == NULL) return NULL;
    for (at += strlen(key); at[n] && at[n] != '"' && n + 1 < size; n++) out[n] = at[n];
    out[n] = '\0';
    return at + n;
}

static int poll_jobs(cpl_client *client, const char *category, job *jobs) {
    cpl_reply *reply;
    cpl_error err;
    const char *id, *nonce;
    int count = 0;
    snprintf(text, sizeof text, "{\"actionTypeId\":{\"owner\":\"Custom\"," TYPE "},\"maxBatchSize\":%d}", category,
             ACTIONS);
    if (cpl_client_call(client, cpl_str_of("PollForJobs"), cpl_str_of(text), NULL, &reply, &err)) die("poll", &err);
    snprintf(text, sizeof text, "%.*s", (int)cpl_reply_text(reply).n, cpl_reply_text(reply).p);
    id = nonce = text;
    while (count < ACTIONS && (id = value_of(id, "\"id\":\"", jobs[count].id, sizeof jobs->id)) &&
           (nonce = value_of(nonce, "\"nonce\":\"", jobs[count].nonce, sizeof jobs->nonce))) {
        count++;
    }
    cpl_reply_free(reply);
    return count;
}

static int do_jobs(cpl_client *client, cpl_queue *queue, const char *category, const char *more) {
    static job jobs[ACTIONS];
    int count = poll_jobs(client, category, jobs);
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "{\"jobId\":\"%s\",\"nonce\":\"%s\"}", jobs[i].id, jobs[i].nonce);
        submit(queue, "AcknowledgeJob", text);
    }
    collect(queue, count);
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "{\"jobId\":\"%s\"%s}", jobs[i].id, more);
        submit(queue, "PutJobSuccessResult", text);
    }
    collect(queue, count);
    return count;
}

/* One execution, from its source to its last stage. */
static double jobs_per_s(cpl_client *client, cpl_queue *queue) {
    double from;
    int left = STAGES * ACTIONS;
    call(client, "StartPipelineExecution", "{\"name\":\"bench\"}");
    while (do_jobs(client, queue, "Source", ",\"currentRevision\":{\"revision\":\"1\",\"changeIdentifier\":\"1\"}") ==
           0) {}
    from = now_ms();
    while (left > 0) left -= do_jobs(client, queue, "Build", "");
    return STAGES * ACTIONS / (now_ms() - from) * 1e3;
}

/* ---- what is measured ---- */

static double start_ms(void) {
    cpl_emulator *emulator;
    cpl_client *client;
    double from = now_ms(), ms;
    start(&emulator, &client);
    call(client, "ListPipelines", "{}");
    ms = now_ms() - from;
    cpl_client_free(client);
    cpl_emulator_stop(emulator);
    return ms;
}

static double polls_per_s(cpl_queue *queue) {
    double from = now_ms();
    snprintf(text, sizeof text, "{\"actionTypeId\":{\"owner\":\"Custom\"," TYPE "}}", "Build");
    for (int i = 0; i < FLIGHT; i++) submit(queue, "PollForJobs", text);
    for (int i = FLIGHT; i < POLLS; i++) {
        collect(queue, 1);
        submit(queue, "PollForJobs", text);
    }
    collect(queue, FLIGHT);
    return POLLS / (now_ms() - from) * 1e3;
}

static double larger(double a, double b) {
    return a > b ? a : b;
}

int main(void) {
    cpl_emulator *emulator;
    cpl_client *client;
    cpl_queue *queue;
    cpl_error err;
    double first = start_ms(), again = first, polls = 0, jobs = 0;
    for (int i = 0; i < ROUNDS; i++) again = -larger(-again, -start_ms());
    start(&emulator, &client);
    make_pipeline(client);
    if (cpl_queue_new(&queue, client, FLIGHT, &err)) die("queue", &err);
    for (int i = 0; i < ROUNDS; i++) polls = larger(polls, polls_per_s(queue));
    for (int i = 0; i < ROUNDS; i++) jobs = larger(jobs, jobs_per_s(client, queue));
    cpl_queue_free(queue);
    cpl_client_free(client);
    cpl_emulator_stop(emulator);
    printf("{\"what\": \"start to first answer, the first in this process\", \"ms\": %.2f}\n", first);
    printf("{\"what\": \"start to first answer\", \"ms\": %.2f}\n", again);
    printf("{\"what\": \"PollForJobs, one client\", \"per_s\": %.0f}\n", polls);
    printf("{\"what\": \"jobs\", \"per_s\": %.0f}\n", jobs);
    return 0;
}
