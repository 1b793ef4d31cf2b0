/* SPDX-License-Identifier: MIT */
#include "artifact.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archives.h"
#include "checksum.h"
#include "clock.h"
#include "err.h"
#include "job.h"
#include "pace.h"
#include "tree.h"

#define COPY_BLOCK ((size_t)4 << 20)
#define PATIENCE_MS (5 * 60 * INT64_C(1000)) /* hours of work should outlast S3's absence */
#define LAST_WORDS_MS 1000                   /* left of a job's time, to say why it fails */

cpl_s3 cpl_s3_of_client(const cpl_client *client) {
    return (cpl_s3){.http = client->http,
                    .limits = &client->limits,
                    .signer = client->signer,
                    .region = cpl_str_of(client->region),
                    .endpoint_url = cpl_str_of(client->s3_endpoint_url),
                    .user_agent = cpl_str_of(client->user_agent),
                    .max_attempts = client->retry.max_attempts,
                    .fips = client->fips,
                    .dual_stack = client->dual_stack,
                    .no_checksums = !client->checksums_sent,
                    .no_validation = !client->checksums_checked,
                    .skew_s = client->correct_clock ? &client->root->skew_s : NULL};
}

/* ---- with the client's own credentials ---- */

typedef struct transfer {
    cpl_client *client;
    cpl_s3 s3;
    const cpl_creds_set *who; /* what get_own_keys() gave last */
    cpl_s3_keys keys;
    cpl_s3_target target;
} transfer;

/* They are renewed ahead of their end, so what has expired all the same is replaced by asking once more. */
static cpl_status get_own_keys(void *context, bool expired, const cpl_wait *wait, cpl_credentials *out,
                               cpl_error *err) {
    transfer *t = context;
    const cpl_creds_set *fresh;
    cpl_status status = cpl_creds_acquire(t->client->creds, cpl_client_now_s(t->client), wait, &fresh, err);
    (void)expired;
    if (status != CPL_OK) return status;
    if (t->who) cpl_creds_drop(t->who);
    t->who = fresh;
    *out = fresh->view;
    if (out->access_key_id.n > 0) return CPL_OK;
    return cpl_fail(err, CPL_CREDENTIALS, "an anonymous client has no key for a bucket");
}

static cpl_status begin_transfer(transfer *t, cpl_client *client, const cpl_wait *wait, cpl_error *err) {
    t->client = client;
    t->s3 = cpl_s3_of_client(client);
    t->keys = (cpl_s3_keys){get_own_keys, t};
    t->target.keys = &t->keys;
    t->target.wait = wait;
    if (wait && wait->progress) *wait->progress = (cpl_progress){.total = -1};
    return cpl_client_check_open(client, err);
}

static void end_transfer(const transfer *t) {
    if (t->who) cpl_creds_drop(t->who);
}

static cpl_status put_file(const transfer *t, const char *path, cpl_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    cpl_s3_source source = {.from_fd = true, .fd = fd};
    cpl_status status;
    if (fd < 0) return cpl_fail_errno(err, "open", path);
    if (fstat(fd, &info) != 0) {
        status = cpl_fail_errno(err, "look at", path);
    } else if (!S_ISREG(info.st_mode)) {
        status = cpl_fail(err, CPL_INVALID, "\"%s\" is not a file", path);
    } else {
        source.size = info.st_size;
        status = cpl_s3_put(&t->s3, &t->target, &source, err);
    }
    close(fd);
    return status;
}

cpl_status cpl_client_upload(cpl_client *client, cpl_str path, cpl_str bucket, cpl_str key, const cpl_wait *wait,
                             cpl_error *err) {
    transfer t = {.target = {.bucket = bucket, .key = key}};
    char *file = NULL;
    cpl_status status = cpl_tree_path(path, &file, err);
    if (status == CPL_OK) status = begin_transfer(&t, client, wait, err);
    if (status == CPL_OK) status = put_file(&t, file, err);
    end_transfer(&t);
    cpl_free(file);
    return status;
}

/* Into a file beside path, which takes its place when all has arrived. */
static cpl_status get_file(const transfer *t, const char *path, cpl_error *err) {
    cpl_buf temp;
    cpl_status status;
    int fd;
    cpl_buf_init(&temp, CPL_TREE_PATH_MAX);
    cpl_buf_addf(&temp, "%s.XXXXXX", path);
    status = cpl_buf_status(&temp, "the file's name", err);
    if (status != CPL_OK) return status;
    fd = mkostemp(temp.p, O_CLOEXEC);
    if (fd < 0) {
        status = cpl_fail_errno(err, "make", path);
        goto out;
    }
    status = cpl_s3_get(&t->s3, &t->target, fd, INT64_MAX, NULL, err);
    if (close(fd) != 0 && status == CPL_OK) status = cpl_fail_errno(err, "write", path);
    if (status == CPL_OK && rename(temp.p, path) != 0) status = cpl_fail_errno(err, "make", path);
    if (status != CPL_OK) unlink(temp.p);
out:
    cpl_buf_release(&temp);
    return status;
}

cpl_status cpl_client_download(cpl_client *client, cpl_str bucket, cpl_str key, cpl_str path, const cpl_wait *wait,
                               cpl_error *err) {
    transfer t = {.target = {.bucket = bucket, .key = key}};
    char *file = NULL;
    cpl_status status = cpl_tree_path(path, &file, err);
    if (status == CPL_OK) status = begin_transfer(&t, client, wait, err);
    if (status == CPL_OK) status = get_file(&t, file, err);
    end_transfer(&t);
    cpl_free(file);
    return status;
}

/* ---- with a job's credentials ---- */

/* Fills err with the artifacts there are. */
static cpl_status no_such_artifact(const cpl_artifacts *all, const char *kind, cpl_str name, cpl_error *err) {
    cpl_buf names;
    cpl_buf_init(&names, 512);
    for (size_t i = 0; i < all->count; i++) {
        cpl_buf_addf(&names, "%s\"%s\"", i ? ", " : "", all->items[i].name);
    }
    if (all->count == 0) {
        cpl_fail(err, CPL_INVALID, "the job has no %s artifacts", kind);
    } else if (name.n == 0) {
        cpl_fail(err, CPL_INVALID, "the job has several %s artifacts, name one: %s", kind, cpl_buf_cstr(&names));
    } else {
        cpl_fail(err, CPL_INVALID, "the job has no %s artifact \"%.*s\"; it has %s", kind, (int)cpl_utf8_cut(name, 100),
                 name.p, cpl_buf_cstr(&names));
    }
    cpl_buf_release(&names);
    return CPL_INVALID;
}

static cpl_status find(const cpl_artifacts *all, const char *kind, cpl_str name, cpl_artifact **out, cpl_error *err) {
    for (size_t i = 0; i < all->count; i++) {
        cpl_artifact *artifact = &all->items[i];
        if (!cpl_str_is(name, artifact->name) && !(name.n == 0 && all->count == 1)) continue;
        if (artifact->bucket == NULL || artifact->key == NULL) {
            return cpl_fail(err, CPL_PROTOCOL, "the artifact \"%s\" has no place in S3", artifact->name);
        }
        *out = artifact;
        return CPL_OK;
    }
    return no_such_artifact(all, kind, name, err);
}

/* The path of a file or folder for the i-th input or output, in the job's folder; for cpl_free. */
static cpl_status own_path(cpl_job *job, const char *kind, size_t i, const char *ending, char **out, cpl_error *err) {
    const char *folder;
    cpl_buf path;
    cpl_status status = cpl_job_work_dir(job, &folder, err);
    if (status != CPL_OK) return status;
    cpl_buf_init(&path, CPL_TREE_PATH_MAX);
    cpl_buf_addf(&path, "%s/%s-%zu%s", folder, kind, i, ending);
    status = cpl_buf_status(&path, "the path", err);
    if (status == CPL_OK) *out = cpl_buf_detach(&path);
    return status;
}

/* One transfer of a job's artifact: in when source is NULL, out otherwise. */
typedef struct job_transfer {
    cpl_job *job;
    const cpl_artifact *artifact;
    const cpl_s3_source *source;
    int fd;
    int64_t limit; /* bytes that may come in; 0: the worker's */
    int64_t size;
} job_transfer;

/* Artifact credentials live for minutes; a job, and a transfer, may for hours. */
static cpl_status get_job_keys(void *context, bool expired, const cpl_wait *wait, cpl_credentials *out,
                               cpl_error *err) {
    cpl_job *job = context;
    cpl_status status = expired ? cpl_job_renew(job, wait, err) : CPL_OK;
    if (status != CPL_OK) return status;
    *out = cpl_job_credentials(job);
    return out->access_key_id.n > 0 ? CPL_OK : cpl_fail(err, CPL_CREDENTIALS, "the job has no artifact credentials");
}

/* What somebody who reads the console can do about it. */
static const struct {
    const char *code, *advice;
} advices[] = {
    {"AccessDenied", "see that the policies of the bucket and of its key let the pipeline's role there"},
    {"KMS.DisabledException", "enable the key, or give the pipeline's artifact store another one"},
    {"NoSuchBucket", "see that the pipeline's artifact store is there"},
    {"NoSuchKey", "a lifecycle rule of the bucket may have removed it: release the change again"},
    {"PreconditionFailed", "retry the stage"},
};

/* Says which artifact of the job it was, and what to do. */
static void explain(const job_transfer *t, cpl_error *err) {
    char what[sizeof err->message];
    const char *advice = NULL;
    if (err == NULL || t->artifact->name == NULL || (err->status != CPL_SERVICE && !err->retryable)) return;
    for (size_t i = 0; i < CPL_COUNT(advices); i++) {
        if (strcmp(err->code, advices[i].code) == 0) advice = advices[i].advice;
    }
    CPL_COPY(what, cpl_str_of(err->message));
    snprintf(err->message, sizeof err->message, "the %s artifact \"%.100s\": %.700s%s%s",
             t->source ? "output" : "input", t->artifact->name, what, advice ? "; " : "", advice ? advice : "");
}

static bool job_ends(void *context) {
    const cpl_job *job = context;
    int64_t left_ms = cpl_job_remaining_ms(job);
    return cpl_job_cancelled(job) || (left_ms >= 0 && left_ms < LAST_WORDS_MS);
}

/* An event's job without a guard has nobody who would report that its time is up. */
static bool may_be_patient(const cpl_job *job) {
    return job->taken_ms || job->guard;
}

static cpl_status transfer_artifact(job_transfer *t, const cpl_wait *wait, cpl_error *err) {
    cpl_s3 s3 = cpl_s3_of_client(t->job->origin.client);
    cpl_s3_keys keys = {get_job_keys, t->job};
    cpl_s3_patience patience = {.most_ms = PATIENCE_MS, .ends = job_ends, .context = t->job};
    cpl_s3_target target = {.keys = &keys,
                            .patience = may_be_patient(t->job) ? &patience : NULL,
                            .bucket = cpl_str_of(t->artifact->bucket),
                            .key = cpl_str_of(t->artifact->key),
                            .wait = wait};
    cpl_status status = cpl_client_check_open(t->job->origin.client, err);
    if (status != CPL_OK) return status;
    if (wait && wait->progress) *wait->progress = (cpl_progress){.total = -1, .name = t->artifact->name};
    if (t->source) {
        status = cpl_s3_put(&s3, &target, t->source, err);
    } else {
        status = cpl_s3_get(&s3, &target, t->fd, t->limit ? t->limit : t->job->desk->artifact_limit, &t->size, err);
    }
    if (status != CPL_OK) explain(t, err);
    return status;
}

cpl_status cpl_job_get_object(cpl_job *job, const cpl_artifact *where, int fd, int64_t limit, const cpl_wait *wait,
                              cpl_error *err) {
    job_transfer t = {.job = job, .artifact = where, .fd = fd, .limit = limit};
    return transfer_artifact(&t, wait, err);
}

/* ---- what the next start has to take back, should this process end in the middle ---- */

static cpl_remains upload_of(const job_transfer *t, const char *upload) {
    return (cpl_remains){.id = cpl_job_text(t->job, CPL_JOB_ID),
                         .nonce = cpl_job_text(t->job, CPL_JOB_NONCE),
                         .artifact = t->artifact->name,
                         .upload = upload};
}

/* One that cannot be written down goes up all the same: the artifact matters more. */
static void note_upload(void *context, const char *upload) {
    const job_transfer *t = context;
    const cpl_remains what = upload_of(t, upload);
    (void)cpl_journal_note(t->job->desk->journal, &what, NULL);
}

static void strike_upload(void *context, const char *upload) {
    const job_transfer *t = context;
    const cpl_remains what = upload_of(t, upload);
    (void)cpl_journal_strike(t->job->desk->journal, &what, NULL);
}

/*
 * Pipelines' own buckets refuse what is not encrypted with KMS; without a key of the job's it is the account's default.
 */
cpl_status cpl_job_put_object(cpl_job *job, const cpl_artifact *where, const cpl_s3_source *source,
                              const cpl_wait *wait, cpl_error *err) {
    cpl_s3_source encrypted = *source;
    job_transfer t = {.job = job, .artifact = where, .source = &encrypted};
    const cpl_s3_witness witness = {note_upload, strike_upload, &t};
    encrypted.witness = &witness;
    encrypted.sse = CPL_LIT("aws:kms");
    encrypted.kms_key_id = cpl_str_of(cpl_job_kms_key(job));
    return transfer_artifact(&t, wait, err);
}

/* ---- inputs ---- */

static cpl_status fetch(cpl_job *job, cpl_artifact *input, const cpl_wait *wait, cpl_error *err) {
    job_transfer t = {.job = job, .artifact = input};
    char *path = NULL;
    cpl_status status;
    if (job->rehearsal) {
        return cpl_fail(err, CPL_INVALID, "the test has nothing for the input artifact \"%s\"", input->name);
    }
    status = own_path(job, "input", (size_t)(input - job->inputs.items), "", &path, err);
    if (status != CPL_OK) return status;
    t.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (t.fd < 0) {
        status = cpl_fail_errno(err, "make", path);
        goto out;
    }
    status = transfer_artifact(&t, wait, err);
    if (close(t.fd) != 0 && status == CPL_OK) status = cpl_fail_errno(err, "write", path);
    if (status != CPL_OK) {
        unlink(path);
        goto out;
    }
    input->size = t.size;
    input->path = path;
    path = NULL;
out:
    cpl_free(path);
    return status;
}

cpl_status cpl_job_input_path(cpl_job *job, cpl_str name, const cpl_wait *wait, const char **out, cpl_error *err) {
    cpl_artifact *input;
    cpl_status status = find(&job->inputs, "input", name, &input, err);
    if (status == CPL_OK && input->path == NULL) status = fetch(job, input, wait, err);
    if (status == CPL_OK) *out = input->path;
    return status;
}

static cpl_status unpack(const cpl_job *job, const cpl_artifact *input, const char *to, const cpl_wait *wait,
                         cpl_error *err) {
    cpl_archive_limits limits = {.bytes = job->desk->artifact_limit};
    char what[sizeof err->message];
    cpl_status status = cpl_archive_extract(input->path, to, &limits, wait, err);
    if (status != CPL_ARCHIVE || err == NULL) return status;
    CPL_COPY(what, cpl_str_of(err->message));
    return cpl_fail(err, status, "the input artifact \"%.100s\" cannot be unpacked: %.700s; as a file it can be had",
                    input->name, what);
}

static cpl_status unpack_own(cpl_job *job, cpl_artifact *input, const cpl_wait *wait, const char **out,
                             cpl_error *err) {
    char *folder = NULL;
    cpl_status status = CPL_OK;
    if (input->unpacked == NULL) {
        status = own_path(job, "input", (size_t)(input - job->inputs.items), ".d", &folder, err);
        if (status == CPL_OK) status = unpack(job, input, folder, wait, err);
        if (status == CPL_OK) {
            input->unpacked = folder;
        } else {
            cpl_free(folder);
        }
    }
    *out = input->unpacked;
    return status;
}

cpl_status cpl_job_input_extract(cpl_job *job, cpl_str name, cpl_str directory, const cpl_wait *wait, const char **out,
                                 cpl_error *err) {
    cpl_artifact *input;
    char *folder;
    const char *archive;
    cpl_pace pace;
    cpl_wait rest;
    cpl_status status;
    cpl_pace_init(&pace, wait);
    status = cpl_job_input_path(job, name, wait, &archive, err);
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status == CPL_OK) status = find(&job->inputs, "input", name, &input, err);
    if (status != CPL_OK) return status;
    if (directory.n == 0) return unpack_own(job, input, &rest, out, err);
    status = cpl_tree_path(directory, &folder, err);
    if (status != CPL_OK) return status;
    status = unpack(job, input, folder, &rest, err);
    if (status != CPL_OK) {
        cpl_free(folder);
        return status;
    }
    *out = cpl_job_keep(job, folder);
    return *out ? CPL_OK : cpl_fail_nomem(err);
}

cpl_status cpl_job_rehearse_input(cpl_job *job, cpl_str name, cpl_str path, const cpl_wait *wait, cpl_error *err) {
    cpl_artifact *input;
    struct stat info;
    char *from = NULL, *archive = NULL;
    cpl_status status = find(&job->inputs, "input", name, &input, err);
    if (status == CPL_OK) status = cpl_tree_path(path, &from, err);
    if (status != CPL_OK) return status;
    if (stat(from, &info) != 0) {
        status = cpl_fail_errno(err, "look at", from);
    } else if (S_ISDIR(info.st_mode)) {
        status = own_path(job, "input", (size_t)(input - job->inputs.items), "", &archive, err);
        if (status == CPL_OK) status = cpl_archive_pack(from, archive, wait, err);
    } else {
        archive = from;
        from = NULL;
    }
    if (status == CPL_OK) {
        cpl_free(input->path);
        input->path = archive;
        archive = NULL;
    }
    cpl_free(archive);
    cpl_free(from);
    return status;
}

/* ---- outputs ---- */

const char *cpl_job_rehearsed_output(const cpl_job *job, cpl_str name) {
    for (size_t i = 0; i < job->outputs.count; i++) {
        if (cpl_str_is(name, job->outputs.items[i].name)) return job->outputs.items[i].path;
    }
    return NULL;
}

static cpl_status hash_file(int fd, int64_t size, const cpl_wait *wait, char hex[CPL_SHA256_HEX_SIZE], cpl_error *err) {
    unsigned char digest[CPL_CHECKSUM_SIZE];
    cpl_checksum sum, *const sums[] = {&sum};
    cpl_status status = cpl_checksum_init(&sum, CPL_CHECKSUM_SHA256, err);
    if (status != CPL_OK) return status;
    status = cpl_checksum_add_file(sums, 1, (cpl_checksum_span){fd, 0, size}, wait, err);
    if (status == CPL_OK) cpl_hex(digest, cpl_checksum_final(&sum, digest), hex);
    cpl_checksum_release(&sum);
    return status;
}

/* path is complete: from now on it is what will be sent. Takes path over, also when it fails. */
static cpl_status stage(cpl_artifact *output, char *path, const char *content_type, const cpl_wait *wait,
                        cpl_error *err) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    cpl_status status;
    if (fd < 0 || fstat(fd, &info) != 0) {
        status = cpl_fail_errno(err, "open", path);
    } else {
        status = hash_file(fd, info.st_size, wait, output->sha256, err);
    }
    if (fd >= 0) close(fd);
    if (status != CPL_OK) {
        cpl_free(path);
        return status;
    }
    cpl_free(output->path);
    output->path = path;
    output->size = info.st_size;
    output->content_type = content_type;
    output->sent = false;
    return CPL_OK;
}

/* The output of that name, no longer staged, and where its file goes. */
static cpl_status open_output(cpl_job *job, cpl_str name, cpl_artifact **out, char **path, cpl_error *err) {
    cpl_status status = cpl_job_check_open(job, err);
    if (status == CPL_OK) status = find(&job->outputs, "output", name, out, err);
    if (status == CPL_OK) status = own_path(job, "output", (size_t)(*out - job->outputs.items), "", path, err);
    if (status == CPL_OK && (*out)->path) {
        cpl_free((*out)->path);
        (*out)->path = NULL;
    }
    return status;
}

cpl_status cpl_job_output_pack(cpl_job *job, cpl_str name, cpl_str path, const cpl_wait *wait, cpl_error *err) {
    cpl_artifact *output;
    char *archive = NULL, *from = NULL;
    cpl_pace pace;
    cpl_wait rest;
    cpl_status status = open_output(job, name, &output, &archive, err);
    if (status != CPL_OK) return status;
    cpl_pace_init(&pace, wait);
    status = cpl_tree_path(path, &from, err);
    if (status == CPL_OK) status = cpl_archive_pack(from, archive, wait, err);
    cpl_free(from);
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status == CPL_OK) return stage(output, archive, "application/zip", &rest, err);
    cpl_free(archive);
    return status;
}

static cpl_status write_whole(const char *path, cpl_str bytes, cpl_error *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cpl_status status = CPL_OK;
    if (fd < 0) return cpl_fail_errno(err, "make", path);
    while (status == CPL_OK && bytes.n > 0) {
        ssize_t put = write(fd, bytes.p, bytes.n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) status = cpl_fail_errno(err, "write", path);
        if (put > 0) bytes = cpl_str_sub(bytes, (size_t)put, bytes.n);
    }
    if (close(fd) != 0 && status == CPL_OK) status = cpl_fail_errno(err, "write", path);
    return status;
}

cpl_status cpl_job_output_write(cpl_job *job, cpl_str name, cpl_str bytes, cpl_error *err) {
    cpl_artifact *output;
    char *path = NULL;
    cpl_status status = open_output(job, name, &output, &path, err);
    if (status != CPL_OK) return status;
    status = write_whole(path, bytes, err);
    if (status == CPL_OK) return stage(output, path, "application/octet-stream", NULL, err);
    cpl_free(path);
    return status;
}

static cpl_status copy_file(const char *from, const char *to, const cpl_wait *wait, cpl_error *err) {
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n = 1;
    cpl_pace pace;
    cpl_status status = CPL_OK;
    cpl_pace_init(&pace, wait);
    if (in < 0 || out < 0) status = cpl_fail_errno(err, "open", in < 0 ? from : to);
    while (status == CPL_OK && n != 0) {
        n = copy_file_range(in, NULL, out, NULL, COPY_BLOCK, 0);
        if (n < 0 && errno != EINTR) status = cpl_fail_errno(err, "copy", from);
        if (status == CPL_OK) status = cpl_pace_check(&pace, err);
    }
    if (in >= 0) close(in);
    if (out >= 0 && close(out) != 0 && status == CPL_OK) status = cpl_fail_errno(err, "write", to);
    return status;
}

cpl_status cpl_job_output_file(cpl_job *job, cpl_str name, cpl_str path, const cpl_wait *wait, cpl_error *err) {
    cpl_artifact *output;
    char *to = NULL, *from = NULL;
    cpl_pace pace;
    cpl_wait rest;
    cpl_status status = open_output(job, name, &output, &to, err);
    if (status != CPL_OK) return status;
    cpl_pace_init(&pace, wait);
    status = cpl_tree_path(path, &from, err);
    if (status == CPL_OK) status = copy_file(from, to, wait, err);
    cpl_free(from);
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status == CPL_OK) return stage(output, to, "application/octet-stream", &rest, err);
    cpl_free(to);
    return status;
}

static cpl_status not_staged(const cpl_artifact *output, cpl_error *err) {
    return cpl_fail_at(err, CPL_INVALID, output->name, "the output artifact \"%s\" was neither packed nor written",
                       output->name);
}

cpl_status cpl_job_output_digest(cpl_job *job, cpl_str name, char out[65], cpl_error *err) {
    cpl_artifact *output;
    cpl_status status = find(&job->outputs, "output", name, &output, err);
    if (status != CPL_OK) return status;
    if (output->path == NULL) return not_staged(output, err);
    memcpy(out, output->sha256, CPL_SHA256_HEX_SIZE);
    return CPL_OK;
}

static cpl_status send(cpl_job *job, cpl_artifact *output, const cpl_wait *wait, cpl_error *err) {
    int fd = open(output->path, O_RDONLY | O_CLOEXEC);
    cpl_s3_source source = {.from_fd = true,
                            .fd = fd,
                            .size = output->size,
                            .sha256 = cpl_str_of(output->sha256),
                            .content_type = cpl_str_of(output->content_type)};
    cpl_status status;
    if (fd < 0) return cpl_fail_errno(err, "open", output->path);
    status = cpl_job_put_object(job, output, &source, wait, err);
    close(fd);
    output->sent = status == CPL_OK;
    return status;
}

cpl_status cpl_job_send_outputs(cpl_job *job, const cpl_wait *wait, cpl_error *err) {
    cpl_pace pace;
    cpl_pace_init(&pace, wait);
    for (size_t i = 0; i < job->outputs.count; i++) {
        if (job->outputs.items[i].path == NULL) return not_staged(&job->outputs.items[i], err);
    }
    for (size_t i = 0; i < job->outputs.count && !job->rehearsal; i++) {
        cpl_artifact *output = &job->outputs.items[i];
        cpl_wait rest;
        cpl_status status = cpl_pace_rest(&pace, &rest, err);
        if (status == CPL_OK && !output->sent) status = send(job, output, &rest, err);
        if (status != CPL_OK) return status;
    }
    return CPL_OK;
}
