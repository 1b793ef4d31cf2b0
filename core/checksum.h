/* SPDX-License-Identifier: MIT */
/*
 * The checksums that S3 keeps with an object. The CRCs are of our own making, because no library at hand has CRC64NVME,
 * and the rest is one table more each; see docs/adr/0026.
 */
#ifndef CPL_CHECKSUM_H
#define CPL_CHECKSUM_H

#include "digest.h"

/* In the order in which one is chosen when an object has several: the cheapest first. */
typedef enum cpl_checksum_kind {
    CPL_CHECKSUM_CRC64NVME,
    CPL_CHECKSUM_CRC32C,
    CPL_CHECKSUM_CRC32,
    CPL_CHECKSUM_SHA256,
    CPL_CHECKSUM_SHA1,
    CPL_CHECKSUM_COUNT,
    CPL_CHECKSUM_MD5 = CPL_CHECKSUM_COUNT /* has no header of its own: it is what some ETags are */
} cpl_checksum_kind;

#define CPL_CHECKSUM_SIZE 32      /* of the longest */
#define CPL_CHECKSUM_TEXT_SIZE 45 /* in base64, with NUL */

const char *cpl_checksum_name(cpl_checksum_kind kind);   /* "CRC32", as S3 writes it */
const char *cpl_checksum_header(cpl_checksum_kind kind); /* "x-amz-checksum-crc32" */
size_t cpl_checksum_size(cpl_checksum_kind kind);        /* in bytes */

/* In pieces; final or release ends it, release after final is harmless. */
typedef struct cpl_checksum {
    cpl_checksum_kind kind;
    uint64_t crc;
    cpl_hash hash;
} cpl_checksum;

/* CPL_STATE: the crypto library refuses it (MD5 and SHA-1 may be missing). */
cpl_status cpl_checksum_init(cpl_checksum *sum, cpl_checksum_kind kind, cpl_error *err);
void cpl_checksum_add(cpl_checksum *sum, const void *data, size_t n);
/* Adds n bytes of a file, from offset, to each of the sums. */
typedef struct cpl_checksum_span {
    int fd;
    int64_t offset, n;
} cpl_checksum_span;
cpl_status cpl_checksum_add_file(cpl_checksum *const *sums, size_t count, cpl_checksum_span from, const cpl_wait *wait,
                                 cpl_error *err);
size_t cpl_checksum_final(cpl_checksum *sum, unsigned char out[CPL_CHECKSUM_SIZE]); /* the number of bytes */
/* The same as S3 writes it: in base64, CRCs with the highest byte first. */
void cpl_checksum_text(cpl_checksum *sum, char out[CPL_CHECKSUM_TEXT_SIZE]);
void cpl_checksum_release(cpl_checksum *sum);

#endif
