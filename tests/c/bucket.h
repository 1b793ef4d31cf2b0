/* SPDX-License-Identifier: MIT */
/* A bucket of an emulator, or on a scripted server, seen through the S3 client. */
#ifndef CPL_TEST_BUCKET_H
#define CPL_TEST_BUCKET_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/artifact.h"
#include "../../core/tree.h"
#include "fault_server.h"
#include "service.h"

#define LARGE 300000

typedef struct bucket {
    service s;
    fault_server *faults;
    cpl_http *http;
    cpl_s3 s3;
    cpl_credentials who;
    cpl_s3_target target;
    int fd; /* an empty file */
} bucket;

static char large[LARGE];

UNUSED static int empty_file(void) {
    char path[] = "/tmp/t_s3-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    return fd;
}

UNUSED static bool open_bucket(bucket *b) {
    for (size_t i = 0; i < sizeof large; i++) large[i] = (char)(i * 31 >> 3);
    *b = (bucket){.fd = empty_file()};
    if (!open_service(&b->s)) return false;
    b->s3 = cpl_s3_of_client(b->s.client);
    b->who = (cpl_credentials){.access_key_id = cpl_str_of(environ_of(b->s.emulator, "AWS_ACCESS_KEY_ID")),
                               .secret_access_key = cpl_str_of(environ_of(b->s.emulator, "AWS_SECRET_ACCESS_KEY"))};
    b->target =
        (cpl_s3_target){.who = &b->who, .bucket = CPL_LIT("box"), .key = CPL_LIT("a key/with +%~*'/\303\274.zip")};
    return CHECK(cpl_s3_create_bucket(&b->s3, &b->target, NULL) == CPL_OK);
}

UNUSED static bool open_faults(bucket *b, const fault_step *steps, size_t count) {
    static const cpl_http_options options = {.connect_timeout_ms = 1000, .read_timeout_ms = 1000};
    *b = (bucket){.fd = empty_file()};
    b->faults = fault_server_start(steps, count);
    b->who = (cpl_credentials){CPL_LIT("AKIDEXAMPLE"), CPL_LIT("secret"), CPL_LIT("token")};
    b->target = (cpl_s3_target){.who = &b->who, .bucket = CPL_LIT("box"), .key = CPL_LIT("key")};
    if (!CHECK(cpl_http_new(&b->http, &options, NULL) == CPL_OK)) return false;
    b->s3 = (cpl_s3){.http = b->http,
                     .region = CPL_LIT("us-east-1"),
                     .endpoint_url = cpl_str_of(fault_server_url(b->faults)),
                     .max_attempts = 3};
    return true;
}

UNUSED static void close_bucket(bucket *b) {
    close(b->fd);
    if (b->faults) {
        cpl_http_free(b->http);
        fault_server_stop(b->faults);
    } else {
        close_service(&b->s);
    }
}

UNUSED static void check_content(int fd, const char *want, size_t n) {
    char *got = malloc(n + 1);
    struct stat info;
    CHECK(fstat(fd, &info) == 0 && info.st_size == (off_t)n);
    CHECK(pread(fd, got, n, 0) == (ssize_t)n && memcmp(got, want, n) == 0);
    free(got);
}

UNUSED static cpl_s3_source bytes_of(const char *bytes, size_t n) {
    return (cpl_s3_source){.bytes = {bytes, n}};
}

#endif
