/* SPDX-License-Identifier: MIT */
/*
 * SHA-256, HMAC, MD5, SHA-1 and random bytes. digest.c is the only file that includes openssl/; algorithms are fetched
 * once a process, because an implicit fetch costs more than the hash.
 */
#ifndef CPL_DIGEST_H
#define CPL_DIGEST_H

#include "buf.h"

#define CPL_SHA256_SIZE 32
#define CPL_SHA256_HEX_SIZE 65 /* with NUL */

/* CPL_STATE when the crypto library refuses (it then says so in err). */
cpl_status cpl_sha256(cpl_str data, unsigned char out[CPL_SHA256_SIZE], cpl_error *err);
cpl_status cpl_sha256_hex(cpl_str data, char out[CPL_SHA256_HEX_SIZE], cpl_error *err);
/* n bytes as 2n lower-case hexadecimal digits and NUL. */
void cpl_hex(const void *bytes, size_t n, char *out);
/* The other way; false, with part of it in out, when it is not pairs of digits. */
bool cpl_unhex(cpl_buf *out, cpl_str text);
cpl_status cpl_hmac_sha256(cpl_str key, cpl_str data, unsigned char out[CPL_SHA256_SIZE], cpl_error *err);

/* MD5 and SHA-1 are for what S3 tells of its objects, and for the names of token files; they may be missing (FIPS). */
typedef enum cpl_hash_kind { CPL_HASH_SHA256, CPL_HASH_SHA1, CPL_HASH_MD5 } cpl_hash_kind;

/* In pieces. init acquires, final or release gives back; release after final is harmless. */
typedef struct cpl_hash {
    void *context;
    size_t size; /* of the result */
} cpl_hash;
cpl_status cpl_hash_init(cpl_hash *hash, cpl_hash_kind kind, cpl_error *err);
void cpl_hash_add(cpl_hash *hash, const void *data, size_t n);
void cpl_hash_final(cpl_hash *hash, unsigned char *out); /* hash->size bytes */
void cpl_hash_release(cpl_hash *hash);

#define CPL_MD5_SIZE 16
/* For S3 ETags only. */
cpl_status cpl_md5(cpl_str data, unsigned char out[CPL_MD5_SIZE], cpl_error *err);

#define CPL_SHA1_SIZE 20
#define CPL_SHA1_HEX_SIZE 41 /* with NUL */
/* For the names of token files only. */
cpl_status cpl_sha1_hex(cpl_str data, char out[CPL_SHA1_HEX_SIZE], cpl_error *err);

/*
 * ES256 (RFC 7518) with a key of the curve P-256 in PEM: the public point as x and y, and the signature of data as r
 * and s. CPL_INVALID: it is no such key, or one that has a password.
 */
#define CPL_ES256_SIZE 64
cpl_status cpl_es256_public(cpl_str key, unsigned char point[CPL_ES256_SIZE], cpl_error *err);
cpl_status cpl_es256_sign(cpl_str key, cpl_str data, unsigned char signature[CPL_ES256_SIZE], cpl_error *err);

/* Compares in constant time. */
bool cpl_secret_eq(cpl_str a, cpl_str b);
cpl_status cpl_random(void *out, size_t n, cpl_error *err);
/* A random version-4 UUID in lower case and NUL. */
#define CPL_UUID_SIZE 37
cpl_status cpl_uuid(char out[CPL_UUID_SIZE], cpl_error *err);
/* One that only tells things apart in logs: of bytes fetched ahead, which a copy of a whole machine would have too. */
cpl_status cpl_uuid_for_logs(char out[CPL_UUID_SIZE], cpl_error *err);
/* The one that these random bytes make. */
void cpl_uuid_of(unsigned char bytes[16], char out[CPL_UUID_SIZE]);
/* Standard base64 with padding. */
void cpl_base64(cpl_buf *out, const void *bytes, size_t n);
void cpl_base64_text(const void *bytes, size_t n, char *out); /* 4 characters for each 3 bytes begun, and NUL */
/* The other way, strictly; false, with part of it in out, when text is not what cpl_base64() makes. */
bool cpl_base64_decode(cpl_buf *out, cpl_str text);

#endif
