/* SPDX-License-Identifier: MIT */
/* Files and objects for scripts: the client's own credentials and files the caller names. A worker has artifact.c. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archives.h"
#include "client.h"
#include "err.h"
#include "s3.h"

#define OBJECT_LIMIT ((int64_t)5 << 40) /* S3 holds no larger one */

/* What moving one object needs, acquired together. */
typedef struct transfer {
    cpl_s3 s3;
    cpl_s3_target target;
    const cpl_creds_set *creds;
    char *path;
} transfer;

static void transfer_end(transfer *t) {
    if (t->creds) cpl_creds_drop(t->creds);
    cpl_free(t->path);
}

static cpl_status check_names(cpl_str path, cpl_str bucket, cpl_str key, cpl_error *err) {
    if (path.n == 0) return cpl_fail_at(err, CPL_INVALID, "path", "path: missing");
    if (bucket.n == 0) return cpl_fail_at(err, CPL_INVALID, "bucket", "bucket: missing");
    if (key.n == 0) return cpl_fail_at(err, CPL_INVALID, "key", "key: missing");
    return CPL_OK;
}

static cpl_status transfer_begin(transfer *t, cpl_client *client, cpl_str path, cpl_error *err) {
    cpl_status status = cpl_client_check_open(client, err);
    if (status) return status;
    t->path = cpl_strdup(path);
    if (t->path == NULL) return cpl_fail_nomem(err);
    status = cpl_creds_acquire(client->creds, cpl_client_now_s(client), t->target.wait, &t->creds, err);
    if (status) return status;
    t->s3 = (cpl_s3){
        .http = client->http,
        .signer = client->signer,
        .region = cpl_str_of(client->region),
        .endpoint_url = cpl_str_of(client->s3_endpoint_url),
        .fips = client->fips,
        .dual_stack = client->dual_stack,
    };
    t->target.who = &t->creds->view;
    return CPL_OK;
}

static cpl_status upload(transfer *t, cpl_error *err) {
    int fd = open(t->path, O_RDONLY | O_CLOEXEC);
    struct stat file;
    cpl_s3_source source;
    cpl_status status;
    if (fd < 0) return cpl_fail_errno(err, "open", t->path);
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        close(fd);
        return cpl_fail(err, CPL_IO, "\"%.200s\" is not a file", t->path);
    }
    source = (cpl_s3_source){.fd = fd, .from_fd = true, .size = file.st_size};
    status = cpl_s3_put(&t->s3, &t->target, &source, err);
    close(fd);
    return status;
}

cpl_status cpl_client_upload(cpl_client *client, cpl_str path, cpl_str bucket, cpl_str key, const cpl_wait *wait,
                             cpl_error *err) {
    transfer t = {.target = {.bucket = bucket, .key = key, .wait = wait}};
    cpl_status status = check_names(path, bucket, key, err);
    if (status == CPL_OK) status = transfer_begin(&t, client, path, err);
    if (status == CPL_OK) status = upload(&t, err);
    transfer_end(&t);
    return status;
}

/* Beside the file that is wanted, so that the last step is a rename. */
static cpl_status download(transfer *t, cpl_error *err) {
    cpl_buf beside;
    cpl_status status;
    int fd;
    cpl_buf_init(&beside, 4096);
    cpl_buf_addf(&beside, "%s.XXXXXX", t->path);
    status = cpl_buf_status(&beside, "the path", err);
    if (status) goto out;
    fd = mkostemp(beside.p, O_CLOEXEC);
    if (fd < 0) {
        status = cpl_fail_errno(err, "make a file beside", t->path);
        goto out;
    }
    status = cpl_s3_get(&t->s3, &t->target, fd, OBJECT_LIMIT, NULL, err);
    if (close(fd) != 0 && status == CPL_OK) status = cpl_fail_errno(err, "write", t->path);
    if (status == CPL_OK && rename(beside.p, t->path) != 0) status = cpl_fail_errno(err, "write", t->path);
    if (status) unlink(beside.p);
out:
    cpl_buf_release(&beside);
    return status;
}

cpl_status cpl_client_download(cpl_client *client, cpl_str bucket, cpl_str key, cpl_str path, const cpl_wait *wait,
                               cpl_error *err) {
    transfer t = {.target = {.bucket = bucket, .key = key, .wait = wait}};
    cpl_status status = check_names(path, bucket, key, err);
    if (status == CPL_OK) status = transfer_begin(&t, client, path, err);
    if (status == CPL_OK) status = download(&t, err);
    transfer_end(&t);
    return status;
}

cpl_status cpl_pack(cpl_str path, cpl_str archive, const cpl_wait *wait, cpl_error *err) {
    char *from = cpl_strdup(path), *to = cpl_strdup(archive);
    cpl_status status = from && to ? cpl_archive_pack(from, to, wait, err) : cpl_fail_nomem(err);
    cpl_free(from);
    cpl_free(to);
    return status;
}

cpl_status cpl_extract(cpl_str archive, cpl_str directory, int64_t limit, const cpl_wait *wait, cpl_error *err) {
    cpl_archive_limits limits = {.bytes = limit};
    char *from = cpl_strdup(archive), *to = cpl_strdup(directory);
    cpl_status status;
    if (limit < 0) {
        status = cpl_fail_at(err, CPL_INVALID, "limit", "limit: smaller than 0");
    } else {
        status = from && to ? cpl_archive_extract(from, to, &limits, wait, err) : cpl_fail_nomem(err);
    }
    cpl_free(from);
    cpl_free(to);
    return status;
}
