/* SPDX-License-Identifier: MIT */
#include "checksum.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "err.h"
#include "pace.h"
#include "plain.h"

#define BLOCK 65536

typedef struct algorithm {
    const char *name, *header;
    size_t size;
    uint64_t poly; /* of a CRC, reflected; 0: it is a hash */
    cpl_hash_kind hash;
} algorithm;

static const algorithm algorithms[] = {
    [CPL_CHECKSUM_CRC64NVME] = {"CRC64NVME", "x-amz-checksum-crc64nvme", 8, 0x9a6c9329ac4bc9b5u, CPL_HASH_SHA256},
    [CPL_CHECKSUM_CRC32C] = {"CRC32C", "x-amz-checksum-crc32c", 4, 0x82f63b78u, CPL_HASH_SHA256},
    [CPL_CHECKSUM_CRC32] = {"CRC32", "x-amz-checksum-crc32", 4, 0xedb88320u, CPL_HASH_SHA256},
    [CPL_CHECKSUM_SHA256] = {"SHA256", "x-amz-checksum-sha256", CPL_SHA256_SIZE, 0, CPL_HASH_SHA256},
    [CPL_CHECKSUM_SHA1] = {"SHA1", "x-amz-checksum-sha1", CPL_SHA1_SIZE, 0, CPL_HASH_SHA1},
    [CPL_CHECKSUM_MD5] = {"MD5", "", CPL_MD5_SIZE, 0, CPL_HASH_MD5},
};

const char *cpl_checksum_name(cpl_checksum_kind kind) {
    return algorithms[kind].name;
}

const char *cpl_checksum_header(cpl_checksum_kind kind) {
    return algorithms[kind].header;
}

size_t cpl_checksum_size(cpl_checksum_kind kind) {
    return algorithms[kind].size;
}

/* ---- CRCs ---- */

#define CRC_COUNT 3 /* the first ones */
#define SLICE 8     /* bytes at a time: eight look-ups that do not wait for one another */

static uint64_t tables[CRC_COUNT][SLICE][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void fill_table(uint64_t table[SLICE][256], uint64_t poly) {
    for (unsigned i = 0; i < 256; i++) {
        uint64_t row = i;
        for (int bit = 0; bit < 8; bit++) row = row & 1 ? row >> 1 ^ poly : row >> 1;
        table[0][i] = row;
    }
    for (int k = 1; k < SLICE; k++) {
        for (unsigned i = 0; i < 256; i++) {
            uint64_t before = table[k - 1][i];
            table[k][i] = before >> 8 ^ table[0][before & 255];
        }
    }
}

static void fill_tables(void) {
    for (int kind = 0; kind < CRC_COUNT; kind++) fill_table(tables[kind], algorithms[kind].poly);
}

static uint64_t add_crc(cpl_checksum_kind kind, uint64_t crc, const unsigned char *p, size_t n) {
    uint64_t(*t)[256] = tables[kind];
    for (; n >= SLICE; p += SLICE, n -= SLICE) {
        uint64_t v = crc ^ cpl_load8((const char *)p);
        crc = t[7][v & 255] ^ t[6][v >> 8 & 255] ^ t[5][v >> 16 & 255] ^ t[4][v >> 24 & 255] ^ t[3][v >> 32 & 255] ^
              t[2][v >> 40 & 255] ^ t[1][v >> 48 & 255] ^ t[0][v >> 56];
    }
    for (; n > 0; p++, n--) crc = t[0][(crc ^ *p) & 255] ^ crc >> 8;
    return crc;
}

/* All three begin with ones and end inverted. */
static uint64_t ones(const algorithm *a) {
    return UINT64_MAX >> (64 - 8 * a->size);
}

/* ---- all of them ---- */

cpl_status cpl_checksum_init(cpl_checksum *sum, cpl_checksum_kind kind, cpl_error *err) {
    const algorithm *a = &algorithms[kind];
    *sum = (cpl_checksum){.kind = kind};
    if (a->poly == 0) return cpl_hash_init(&sum->hash, a->hash, err);
    pthread_once(&tables_once, fill_tables);
    sum->crc = ones(a);
    return CPL_OK;
}

void cpl_checksum_add(cpl_checksum *sum, const void *data, size_t n) {
    if (algorithms[sum->kind].poly == 0) {
        cpl_hash_add(&sum->hash, data, n);
    } else {
        sum->crc = add_crc(sum->kind, sum->crc, data, n);
    }
}

cpl_status cpl_checksum_add_file(cpl_checksum *const *sums, size_t count, cpl_checksum_span from, const cpl_wait *wait,
                                 cpl_error *err) {
    char *block = cpl_malloc(BLOCK);
    cpl_pace pace;
    cpl_status status = block ? CPL_OK : cpl_fail_nomem(err);
    cpl_pace_init(&pace, wait);
    while (status == CPL_OK && from.n > 0) {
        ssize_t got = pread(from.fd, block, from.n < BLOCK ? (size_t)from.n : BLOCK, (off_t)from.offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) status = cpl_fail_errno(err, "read", "the artifact");
        if (got == 0) status = cpl_fail(err, CPL_IO, "the artifact became shorter while it was read");
        if (got <= 0) break;
        for (size_t i = 0; i < count; i++) cpl_checksum_add(sums[i], block, (size_t)got);
        from.offset += got;
        from.n -= got;
        status = cpl_pace_check(&pace, err);
    }
    cpl_free(block);
    return status;
}

size_t cpl_checksum_final(cpl_checksum *sum, unsigned char out[CPL_CHECKSUM_SIZE]) {
    const algorithm *a = &algorithms[sum->kind];
    if (a->poly == 0) {
        cpl_hash_final(&sum->hash, out);
        return a->size;
    }
    for (size_t i = 0; i < a->size; i++) out[i] = (unsigned char)((sum->crc ^ ones(a)) >> 8 * (a->size - 1 - i));
    return a->size;
}

void cpl_checksum_text(cpl_checksum *sum, char out[CPL_CHECKSUM_TEXT_SIZE]) {
    unsigned char bytes[CPL_CHECKSUM_SIZE];
    size_t n = cpl_checksum_final(sum, bytes);
    cpl_base64_text(bytes, n, out);
}

void cpl_checksum_release(cpl_checksum *sum) {
    cpl_hash_release(&sum->hash);
}
