/* SPDX-License-Identifier: MIT */
/*
 * Which jobs a worker without a journal took: a delivery that comes late is of no use to it. Not thread-safe.
 */
#ifndef CPL_TAKEN_H
#define CPL_TAKEN_H

#include "base.h"

#define CPL_TAKEN_MIN 4096 /* the last so many are remembered for certain, twice as many at most */

typedef struct cpl_taken_set {
    unsigned char (*rows)[16]; /* digests of id and nonce; all zero: free */
    size_t size, count;        /* size is a power of two, or 0 */
} cpl_taken_set;

/* Zero is a valid beginning. */
typedef struct cpl_taken {
    cpl_taken_set now, before; /* when now has CPL_TAKEN_MIN it becomes what was before */
} cpl_taken;

void cpl_taken_release(cpl_taken *taken);
/* Remembers the job; *fresh is false when it was remembered already. */
cpl_status cpl_taken_add(cpl_taken *taken, const char *id, const char *nonce, bool *fresh, cpl_error *err);

#endif
