/* SPDX-License-Identifier: MIT */
/*
 * States that are too large for a continuation token. They lie where an output artifact of the job will, the one place
 * of which it is sure that the job's credentials may write it: an artifact is sent with the last job of an action, and
 * replaces them. docs/adr/0030 says more.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact.h"
#include "clock.h"
#include "continuation.h"
#include "err.h"
#include "job.h"
#include "pace.h"
#include "tree.h"

#define CONTENT_TYPE "application/json"
#define RENEW_AFTER_MS (10 * 60 * INT64_C(1000)) /* artifact credentials were seen to live for 15 minutes */
#define RENEW_MS 5000

/* ---- the token's side ---- */

cpl_status cpl_job_find_state(cpl_job *job, cpl_error *err) {
    cpl_continuation told;
    const char *token = cpl_job_text(job, CPL_JOB_CONTINUATION_TOKEN);
    if (!cpl_continuation_read(cpl_str_of(token), &told)) return CPL_OK;
    job->not_before_s = told.not_before_s;
    if (told.bucket.n == 0) return CPL_OK;
    job->stored.bucket = cpl_job_keep(job, cpl_strdup(told.bucket));
    job->stored.key = cpl_job_keep(job, cpl_strdup(told.key));
    return job->stored.bucket && job->stored.key ? CPL_OK : cpl_fail_nomem(err);
}

bool cpl_job_state_is_stored(const cpl_job *job) {
    cpl_continuation told;
    const char *token = cpl_job_text(job, CPL_JOB_CONTINUATION_TOKEN);
    return cpl_continuation_read(cpl_str_of(token), &told) && told.bucket.n > 0 && job->state.n == 0;
}

/* ---- the object's side ---- */

static cpl_status read_file(int fd, const char *path, cpl_buf *out, cpl_error *err) {
    struct stat info;
    char *room;
    if (fstat(fd, &info) != 0) return cpl_fail_errno(err, "look at", path);
    room = cpl_buf_reserve(out, (size_t)info.st_size);
    if (room == NULL) return cpl_buf_status(out, "the state", err);
    for (int64_t at = 0; at < info.st_size;) {
        ssize_t got = pread(fd, room + at, (size_t)(info.st_size - at), (off_t)at);
        if (got <= 0) return cpl_fail_errno(err, "read", path);
        at += got;
    }
    cpl_buf_commit(out, (size_t)info.st_size);
    return CPL_OK;
}

/* The whole object, through a file in the job's folder that has no name any more. */
static cpl_status fetch(cpl_job *job, const cpl_artifact *where, const cpl_wait *wait, cpl_buf *out, cpl_error *err) {
    const char *folder = NULL;
    char path[CPL_TREE_PATH_MAX];
    int fd;
    cpl_status status = cpl_job_work_dir(job, &folder, err);
    if (status != CPL_OK) return status;
    snprintf(path, sizeof path, "%s/state", folder);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return cpl_fail_errno(err, "make", path);
    unlink(path);
    status = cpl_job_get_object(job, where, fd, 2 * (int64_t)CPL_STATE_MAX, wait, err);
    if (status == CPL_OK) status = read_file(fd, path, out, err);
    close(fd);
    return status;
}

static bool is_told(cpl_str part, const cpl_continuation *told) {
    char digest[CPL_SHA256_HEX_SIZE];
    return part.n == (size_t)told->size && cpl_sha256_hex(part, digest, NULL) == CPL_OK &&
           cpl_str_is(told->sha256, digest);
}

/*
 * The object begins with the newest state. The one before stands behind it: an answer that never arrived is no reason
 * why the token that still holds should point at nothing.
 */
static bool find_told(cpl_str all, const cpl_continuation *told, cpl_str *out) {
    size_t size = (size_t)told->size;
    if (all.n < size) return false;
    *out = cpl_str_sub(all, 0, size);
    if (is_told(*out, told)) return true;
    *out = cpl_str_sub(all, all.n - size, all.n);
    return is_told(*out, told);
}

static cpl_status read_object(cpl_job *job, const cpl_artifact *where, const cpl_continuation *told,
                              const cpl_wait *wait, cpl_buf *out, cpl_error *err) {
    cpl_buf all;
    cpl_str state;
    cpl_status status;
    cpl_buf_init(&all, 2 * CPL_STATE_MAX + 1);
    status = fetch(job, where, wait, &all, err);
    if (status == CPL_OK && !find_told(cpl_buf_str(&all), told, &state)) {
        status = cpl_fail(err, CPL_IO, "what lies at s3://%s/%s is not the state that the continuation token tells of",
                          where->bucket, where->key);
    }
    if (status == CPL_OK) {
        cpl_buf_addv(out, state);
        status = cpl_buf_status(out, "the state", err);
    }
    cpl_buf_wipe(&all);
    cpl_buf_release(&all);
    return status;
}

cpl_status cpl_job_state(cpl_job *job, const cpl_wait *wait, const char **out, cpl_error *err) {
    cpl_status status = CPL_OK;
    if (cpl_job_state_is_stored(job)) {
        const cpl_artifact where = job->stored;
        cpl_continuation told;
        (void)cpl_continuation_read(cpl_str_of(cpl_job_text(job, CPL_JOB_CONTINUATION_TOKEN)), &told);
        status = read_object(job, &where, &told, wait, &job->state, err);
        if (status != CPL_OK) cpl_error_prefix(err, "the state that the job before left: ");
    }
    *out = status == CPL_OK ? cpl_job_text(job, CPL_JOB_STATE) : NULL;
    return status;
}

/* ---- keeping one ---- */

static cpl_artifact *find_place(const cpl_job *job) {
    for (size_t i = 0; i < job->outputs.count; i++) {
        cpl_artifact *output = &job->outputs.items[i];
        if (output->bucket && output->key) return output;
    }
    return NULL;
}

static bool is_at(const cpl_artifact *a, const cpl_artifact *b) {
    return a->bucket && b->bucket && strcmp(a->bucket, b->bucket) == 0 && strcmp(a->key, b->key) == 0;
}

static cpl_status write_object(cpl_job *job, const cpl_artifact *where, cpl_str state, const cpl_wait *wait,
                               cpl_error *err) {
    cpl_s3_source source = {.content_type = CPL_LIT(CONTENT_TYPE)};
    cpl_status status;
    cpl_buf all;
    cpl_buf_init(&all, 2 * CPL_STATE_MAX + 1);
    cpl_buf_addv(&all, state);
    if (is_at(&job->stored, where)) cpl_buf_addv(&all, cpl_buf_str(&job->state));
    source.bytes = cpl_buf_str(&all);
    status = cpl_buf_status(&all, "the state", err);
    if (status == CPL_OK) status = cpl_job_put_object(job, where, &source, wait, err);
    cpl_buf_wipe(&all);
    cpl_buf_release(&all);
    return status;
}

/* Written, and read: a place that takes and does not give is found out now, and not when the state is needed. */
static cpl_status store(cpl_job *job, const cpl_artifact *where, cpl_str state, const cpl_continuation *told,
                        const cpl_wait *wait, cpl_error *err) {
    cpl_buf read;
    cpl_pace pace;
    cpl_wait rest;
    cpl_status status;
    cpl_buf_init(&read, CPL_STATE_MAX + 1);
    cpl_pace_init(&pace, wait);
    status = write_object(job, where, state, wait, err);
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status == CPL_OK) status = read_object(job, where, told, &rest, &read, err);
    cpl_buf_wipe(&read);
    cpl_buf_release(&read);
    return status;
}

static cpl_status no_place(const cpl_job *job, cpl_str state, cpl_error *err) {
    const char *why = job->outputs.count ? "the job's output artifacts have no place in S3"
                                         : "the job has no output artifact, in whose place more could be kept";
    return cpl_fail_at(err, CPL_TOO_LARGE, "state", "the state is %zu bytes, a continuation token takes %d, and %s",
                       state.n, CPL_CONTINUATION_STATE_MAX, why);
}

/* If this process ends before a token tells of it, the next one removes it. */
static void note_state(const cpl_job *job, const cpl_artifact *where) {
    const cpl_remains what = {.id = cpl_job_text(job, CPL_JOB_ID),
                              .nonce = cpl_job_text(job, CPL_JOB_NONCE),
                              .artifact = where->name,
                              .upload = ""};
    if (!is_at(&job->stored, where)) (void)cpl_journal_note(job->desk->journal, &what, NULL);
}

cpl_status cpl_job_keep_state(cpl_job *job, cpl_str state, char digest[CPL_SHA256_HEX_SIZE], cpl_continuation *out,
                              const cpl_wait *wait, cpl_error *err) {
    cpl_artifact *where = find_place(job), place;
    cpl_status status;
    if (where == NULL) return no_place(job, state, err);
    status = cpl_sha256_hex(state, digest, err);
    if (status != CPL_OK) return status;
    out->size = (int64_t)state.n;
    out->sha256 = cpl_str_of(digest);
    out->bucket = cpl_str_of(where->bucket);
    out->key = cpl_str_of(where->key);
    if (job->rehearsal) return CPL_OK;
    note_state(job, where);
    place = (cpl_artifact){.bucket = where->bucket, .key = where->key};
    status = store(job, &place, state, out, wait, err);
    job->stored = place; /* of one that failed there may be some */
    where->sent = false;
    if (status == CPL_OK) return CPL_OK;
    cpl_error_prefix(err, "the state is too large for a continuation token, and the artifact store cannot keep it: ");
    return status;
}

/* ---- the end of it ---- */

bool cpl_job_state_is_replaced(const cpl_job *job) {
    for (size_t i = 0; i < job->outputs.count; i++) {
        if (is_at(&job->stored, &job->outputs.items[i])) return true;
    }
    return false;
}

/* Of a polled job, which has time; what comes as an event is young. */
static void renew_old(cpl_job *job, const cpl_wait *wait) {
    const cpl_wait brief = {.timeout_ms = RENEW_MS, .observer = wait ? wait->observer : NULL};
    bool old = job->taken_ms && cpl_clock_monotonic_ms() - job->taken_ms > RENEW_AFTER_MS;
    if (old && cpl_job_text(job, CPL_JOB_NONCE)) (void)cpl_job_renew(job, &brief, NULL);
}

cpl_leftover *cpl_job_leftover(const cpl_job *job) {
    cpl_credentials who = cpl_job_credentials(job);
    cpl_s3 s3 = cpl_s3_of_client(job->origin.client);
    cpl_s3_target what = {.who = &who, .bucket = cpl_str_of(job->stored.bucket), .key = cpl_str_of(job->stored.key)};
    if (job->stored.bucket == NULL || job->rehearsal) return NULL;
    return cpl_leftover_new(&s3, &what, cpl_job_kms_key(job));
}

void cpl_job_sweep(cpl_job *job, cpl_owed *owed, bool may_ask, const cpl_wait *wait) {
    if (owed == NULL || job->stored.bucket == NULL) return;
    if (may_ask) renew_old(job, wait);
    cpl_leftover_free(owed->leftover);
    owed->leftover = cpl_job_leftover(job);
}
