/* SPDX-License-Identifier: MIT */
/* Two hash tables with open addressing; a digest is its own hash. */
#include "taken.h"

#include "digest.h"
#include "err.h"

#define SIZE_MIN 64

static const unsigned char none[16];

/* Where the digest is, or would be: a table is never full. */
static unsigned char *find(const cpl_taken_set *set, const unsigned char *digest) {
    size_t at;
    memcpy(&at, digest, sizeof at);
    for (;; at++) {
        unsigned char *row = set->rows[at & (set->size - 1)];
        if (memcmp(row, digest, sizeof none) == 0 || memcmp(row, none, sizeof none) == 0) return row;
    }
}

static bool has(const cpl_taken_set *set, const unsigned char *digest) {
    return set->size > 0 && memcmp(find(set, digest), digest, sizeof none) == 0;
}

/* Room for one more, with half of the table left free. */
static bool grow(cpl_taken_set *set) {
    cpl_taken_set grown = {NULL, set->size ? 2 * set->size : SIZE_MIN, set->count};
    if (2 * (set->count + 1) <= set->size) return true;
    grown.rows = cpl_calloc(grown.size, sizeof *grown.rows);
    if (grown.rows == NULL) return false;
    for (size_t i = 0; i < set->size; i++) {
        if (memcmp(set->rows[i], none, sizeof none) != 0) memcpy(find(&grown, set->rows[i]), set->rows[i], sizeof none);
    }
    cpl_free(set->rows);
    *set = grown;
    return true;
}

void cpl_taken_release(cpl_taken *taken) {
    cpl_free(taken->now.rows);
    cpl_free(taken->before.rows);
    *taken = (cpl_taken){.now = {NULL, 0, 0}};
}

static cpl_status hash(const char *id, const char *nonce, unsigned char digest[CPL_SHA256_SIZE], cpl_error *err) {
    cpl_hash state;
    cpl_status status = cpl_hash_init(&state, CPL_HASH_SHA256, err);
    if (status) return status;
    cpl_hash_add(&state, id, strlen(id) + 1); /* with its NUL, so that the two do not run into one another */
    cpl_hash_add(&state, nonce, strlen(nonce));
    cpl_hash_final(&state, digest);
    return CPL_OK;
}

cpl_status cpl_taken_add(cpl_taken *taken, const char *id, const char *nonce, bool *fresh, cpl_error *err) {
    unsigned char digest[CPL_SHA256_SIZE];
    cpl_status status = hash(id, nonce, digest, err);
    if (status) return status;
    *fresh = !has(&taken->now, digest) && !has(&taken->before, digest);
    if (!*fresh) return CPL_OK;
    if (taken->now.count == CPL_TAKEN_MIN) {
        cpl_free(taken->before.rows);
        taken->before = taken->now;
        taken->now = (cpl_taken_set){NULL, 0, 0};
    }
    if (!grow(&taken->now)) return cpl_fail_nomem(err);
    memcpy(find(&taken->now, digest), digest, sizeof none);
    taken->now.count++;
    return CPL_OK;
}
