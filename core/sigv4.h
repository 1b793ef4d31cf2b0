/* SPDX-License-Identifier: MIT */
/*
 * AWS Signature Version 4: pure functions of (request, credentials, time). No I/O, no clock, no log. The emulator
 * checks requests with the same code that the client signs with, and the third-party vectors keep both honest.
 */
#ifndef CPL_SIGV4_H
#define CPL_SIGV4_H

#include "digest.h"

typedef struct cpl_credentials {
    cpl_str access_key_id;
    cpl_str secret_access_key;
    cpl_str session_token; /* absent for long-lived keys */
} cpl_credentials;

typedef struct cpl_header {
    cpl_str name;
    cpl_str value;
} cpl_header;

#define CPL_SIGN_S3 1u           /* path encoded once and never normalised; x-amz-content-sha256 is sent and signed */
#define CPL_SIGN_NO_NORMALIZE 2u /* keep "." and ".." and "//" in the path (implied by CPL_SIGN_S3) */
#define CPL_SIGN_BODY_HEADER 4u  /* send and sign x-amz-content-sha256 for other services too */
#define CPL_SIGN_TOKEN_LATER 8u  /* send the session token, but leave it out of the signature */
#define CPL_SIGN_QUERY 16u       /* presign: the signature goes into the query, valid for expires_s */

typedef struct cpl_sign_request {
    cpl_str method;
    cpl_str path;              /* as the URL has it (percent-encoded), "" means "/" */
    cpl_str query;             /* as the URL has it, without '?' */
    const cpl_header *headers; /* all that will be sent and are to be signed, "host" among them; any case, any order */
    size_t header_count;
    cpl_str payload_hash; /* SHA-256 in hexadecimal, or "UNSIGNED-PAYLOAD"; absent: computed from body */
    cpl_str body;
    cpl_str region;
    cpl_str service;
    int64_t time_s;    /* since 1970 */
    int64_t expires_s; /* CPL_SIGN_QUERY */
    unsigned flags;
} cpl_sign_request;

/* Keeps derived signing keys between calls (one per secret, day, region and service; a few are kept). Thread-safe. */
typedef struct cpl_signer cpl_signer;
cpl_signer *cpl_signer_new(void);
void cpl_signer_free(cpl_signer *signer); /* wipes */

/*
 * What signing gives. Every stage is kept, because a signature that is refused can only be understood stage by stage.
 * init once, use for many requests, release at the end (wipes).
 */
typedef struct cpl_signature {
    cpl_buf canonical_request;
    cpl_buf string_to_sign;
    char signature[CPL_SHA256_HEX_SIZE];
    char date[17]; /* the X-Amz-Date header: "20150830T123600Z" */
    char payload_hash[CPL_SHA256_HEX_SIZE];
    cpl_buf authorization; /* the Authorization header (header form) */
    cpl_buf query;         /* the whole query with X-Amz-Signature at its end (CPL_SIGN_QUERY) */
} cpl_signature;
void cpl_signature_init(cpl_signature *out);
void cpl_signature_release(cpl_signature *out);

/*
 * Signs. In header form the caller sends, besides its own headers, X-Amz-Date (out->date), X-Amz-Security-Token when
 * there is a token, x-amz-content-sha256 (out->payload_hash) for CPL_SIGN_S3 and CPL_SIGN_BODY_HEADER, and
 * Authorization. Authorization must not be among request->headers, the others only with the same value. signer may be
 * NULL (nothing is cached).
 * CPL_INVALID: a header, path or credential that cannot be sent (CR, LF, NUL), an empty key.
 */
cpl_status cpl_sigv4_sign(cpl_signer *signer, const cpl_sign_request *request, const cpl_credentials *credentials,
                          cpl_signature *out, cpl_error *err);

/* ---- checking a request that arrived (the emulator) ---- */

typedef struct cpl_sigv4_claim { /* what the request says of its signature; views into the request */
    cpl_str access_key_id;
    cpl_str date; /* "20150830" of the scope */
    cpl_str region;
    cpl_str service;
    cpl_str signed_headers; /* "host;x-amz-date" */
    cpl_str signature;
    cpl_str timestamp; /* X-Amz-Date */
    cpl_str session_token;
    int64_t expires_s; /* presigned only */
    bool presigned;
} cpl_sigv4_claim;

/* Reads the Authorization header, or the X-Amz-* query parameters (decoded into scratch). CPL_INVALID says why. */
cpl_status cpl_sigv4_claim_read(cpl_sigv4_claim *out, cpl_str authorization, cpl_str query, cpl_buf *scratch,
                                cpl_error *err);
/*
 * Recomputes the signature of a request that arrived: headers are all it came with; only those the claim signed count.
 * CPL_OK when it matches; CPL_INVALID when not, with the canonical request and string to sign left in *out.
 */
cpl_status cpl_sigv4_verify(cpl_signer *signer, const cpl_sign_request *request, const cpl_sigv4_claim *claim,
                            const cpl_credentials *credentials, cpl_signature *out, cpl_error *err);

#endif
