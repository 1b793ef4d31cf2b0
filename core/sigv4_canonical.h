/* SPDX-License-Identifier: MIT */
/*
 * The text that a signature is made over: a request in the one form that signer and service agree on. Used by sigv4.c,
 * which signs, and sigv4_verify.c, which checks; nobody else.
 */
#ifndef CPL_SIGV4_CANONICAL_H
#define CPL_SIGV4_CANONICAL_H

#include "sigv4.h"

#define CPL_SIGN_HEADERS_MAX 128
#define CPL_SIGN_TEXT_MAX ((size_t)1 << 20) /* bytes of any one text that signing makes */
#define CPL_SIGN_EXPIRES_MAX 604800         /* seven days: a presigned URL lives no longer */
#define CPL_SIGN_ALGORITHM "AWS4-HMAC-SHA256"

typedef struct cpl_canonical {
    const cpl_sign_request *request;          /* method, path, query, flags */
    cpl_header headers[CPL_SIGN_HEADERS_MAX]; /* sorted by name; those of one name as they were added */
    size_t header_count;
} cpl_canonical;

/* Both views must outlive *canonical. CPL_INVALID: a name or value that cannot be sent, or too many headers. */
cpl_status cpl_canonical_add_header(cpl_canonical *canonical, cpl_str name, cpl_str value, cpl_error *err);
/* "host;x-amz-date" */
void cpl_canonical_add_names(const cpl_canonical *canonical, cpl_buf *out);
/*
 * The canonical request. query is request->query or what became of it; X-Amz-Signature is left out of it when flags has
 * CPL_SIGN_QUERY, and X-Amz-Security-Token when it has CPL_SIGN_TOKEN_LATER too.
 */
cpl_status cpl_canonical_write(const cpl_canonical *canonical, cpl_str query, unsigned flags, cpl_str payload_hash,
                               cpl_buf *out, cpl_error *err);

/* text with its "%XX" as bytes; an incomplete escape stays as it is. */
void cpl_canonical_add_decoded(cpl_buf *out, cpl_str text);

/* No CR, LF or NUL, which would end a header early. */
bool cpl_sigv4_sendable(cpl_str text);

/* When, where and for what a signature is good. */
typedef struct cpl_sigv4_scope {
    cpl_str timestamp; /* "20150830T123600Z" */
    cpl_str date;      /* its first eight characters */
    cpl_str region;
    cpl_str service;
} cpl_sigv4_scope;

/* Fills out->string_to_sign and out->signature from out->canonical_request. */
cpl_status cpl_sigv4_finish(cpl_signer *signer, const cpl_sigv4_scope *scope, cpl_str secret, cpl_signature *out,
                            cpl_error *err);
/* Makes *out ready for the next request. */
void cpl_signature_clear(cpl_signature *out);
/* Fills out->payload_hash: request->payload_hash, or the hash of the body. */
cpl_status cpl_sigv4_hash_payload(const cpl_sign_request *request, cpl_signature *out, cpl_error *err);

#endif
