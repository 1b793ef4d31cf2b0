/* SPDX-License-Identifier: MIT */
/*
 * Minding a cpl_wait in a loop that works rather than sleeps: asks its tick every 50 ms at most, and its time limit.
 */
#ifndef CPL_PACE_H
#define CPL_PACE_H

#include "base.h"

typedef struct cpl_pace {
    const cpl_wait *wait;
    int64_t next_ms; /* when to ask again */
    int64_t end_ms;  /* 0: no limit */
} cpl_pace;

/* The time limit counts from now. wait may be NULL and must outlive the pace. */
void cpl_pace_init(cpl_pace *pace, const cpl_wait *wait);
/* CPL_CANCELLED or CPL_TIMEOUT when the loop should stop. Cheap enough for every block of data. */
cpl_status cpl_pace_check(cpl_pace *pace, cpl_error *err);
/* What is left of wait's limit, as a wait for the next step; CPL_TIMEOUT when nothing is. */
cpl_status cpl_pace_rest(const cpl_pace *pace, cpl_wait *out, cpl_error *err);

#endif
