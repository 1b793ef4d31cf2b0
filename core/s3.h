/* SPDX-License-Identifier: MIT */
/*
 * Objects in S3, in and out, streaming, with credentials given for each call. Every request is safe to repeat, so
 * passing failures (network, throttling, the service's own trouble) are; a bucket in another region is asked there,
 * once, on that region's own endpoint, and a Location header is never followed. An error of the service is CPL_SERVICE
 * with its code, message and request id; the message ends with the object's name. What cannot be S3's answer, a
 * portal's page for instance, is CPL_PROTOCOL, and passes.
 */
#ifndef CPL_S3_H
#define CPL_S3_H

#include "http.h"

/* How S3 is reached; what it points to outlives every call. Zero members mean the default. */
typedef struct cpl_s3 {
    cpl_http *http;
    const cpl_http_limits *limits; /* NULL: those of http */
    cpl_signer *signer;            /* may be NULL */
    cpl_str region;                /* where buckets are thought to be */
    cpl_str endpoint_url;          /* override; path style then */
    cpl_str user_agent;
    bool fips, dual_stack;
    _Atomic int64_t *skew_s; /* added to this machine's clock, and learnt from refusals; NULL: it is right as it is */
    int max_attempts;        /* default 5 */
    int64_t multipart_from;  /* objects larger than this go up in parts; default 64 MiB */
    int64_t part_size;  /* default 16 MiB, more when there would be over 10,000; larger objects come in such parts */
    bool no_checksums;  /* none is sent with an object, beyond the hash that signs it */
    bool no_validation; /* nor compared with what arrives */
} cpl_s3;

/* Keys that may end while a transfer is under way. */
typedef struct cpl_s3_keys {
    /*
     * The keys as of now; they stay valid until the next call. expired: S3 has refused the last ones for that, others
     * are to be got. wait: what is left of the transfer's.
     */
    cpl_status (*get)(void *context, bool expired, const cpl_wait *wait, cpl_credentials *out, cpl_error *err);
    void *context;
} cpl_s3_keys;

/* Instead of a count of attempts: each request is made again for a while, whatever passes. */
typedef struct cpl_s3_patience {
    int64_t most_ms; /* from its first failure */
    /* Asked every 100 ms while nothing moves: nobody needs the object any more, or there is no time left for it. */
    bool (*ends)(void *context);
    void *context;
} cpl_s3_patience;

typedef struct cpl_s3_target {
    const cpl_credentials *who;
    const cpl_s3_keys *keys;         /* instead of who, when not NULL */
    const cpl_s3_patience *patience; /* NULL: max_attempts */
    cpl_str bucket;
    cpl_str key;
    const cpl_wait *wait; /* may be NULL; the time limit is for the whole call; its progress is kept up to date */
} cpl_s3_target;

/* Told of an upload in parts, which somebody has to take back if we die meanwhile. */
typedef struct cpl_s3_witness {
    void (*begun)(void *context, const char *upload); /* before the first part goes; upload: its id */
    void (*over)(void *context, const char *upload);  /* it became the object, or was taken back */
    void *context;
} cpl_s3_witness;

typedef struct cpl_s3_source {
    cpl_str bytes;
    int fd; /* instead of bytes when from_fd: size bytes from its start */
    bool from_fd;
    int64_t size;
    cpl_str sha256; /* of the whole, in hexadecimal, when known already; saves reading a file twice */
    cpl_str content_type;
    cpl_str sse;                   /* "aws:kms", "AES256"; absent: what the bucket does by default */
    cpl_str kms_key_id;            /* with "aws:kms" */
    const cpl_s3_witness *witness; /* NULL: nobody is */
} cpl_s3_source;

/*
 * Into fd from its start; it is emptied first. CPL_TOO_LARGE past limit bytes. *size may be NULL. A large object comes
 * in parts, several at a time, each asked for again by itself when it fails; one that is replaced meanwhile is
 * CPL_SERVICE, PreconditionFailed. What arrived is compared with the checksum S3 keeps of the whole, or with an ETag
 * that is an MD5; when it differs it is fetched once more, and then CPL_PROTOCOL.
 */
cpl_status cpl_s3_get(const cpl_s3 *s3, const cpl_s3_target *target, int fd, int64_t limit, int64_t *size,
                      cpl_error *err);
/*
 * A large object goes up in parts, which are taken back when one fails, or the tick or the time limit says stop. S3
 * checks, and keeps, the SHA-256 of a whole object and the CRC64NVME of one in parts.
 */
cpl_status cpl_s3_put(const cpl_s3 *s3, const cpl_s3_target *target, const cpl_s3_source *source, cpl_error *err);
/* Takes back what was sent of an upload in parts. */
cpl_status cpl_s3_abort(const cpl_s3 *s3, const cpl_s3_target *target, cpl_str upload_id, cpl_error *err);
/* *size: the object's bytes. */
cpl_status cpl_s3_head(const cpl_s3 *s3, const cpl_s3_target *target, int64_t *size, cpl_error *err);
/* CPL_OK too when there is none. */
cpl_status cpl_s3_delete(const cpl_s3 *s3, const cpl_s3_target *target, cpl_error *err);
/* target->key is not looked at. A bucket that is ours already is fine. */
cpl_status cpl_s3_create_bucket(const cpl_s3 *s3, const cpl_s3_target *target, cpl_error *err);

#endif
