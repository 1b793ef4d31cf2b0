/* SPDX-License-Identifier: MIT */
#include "pace.h"

#include "clock.h"
#include "err.h"

#define EVERY_MS 50

void cpl_pace_init(cpl_pace *pace, const cpl_wait *wait) {
    int64_t now = cpl_clock_monotonic_ms();
    *pace = (cpl_pace){.wait = wait, .next_ms = now};
    if (wait && wait->timeout_ms > 0) pace->end_ms = now + wait->timeout_ms;
}

cpl_status cpl_pace_check(cpl_pace *pace, cpl_error *err) {
    int64_t now;
    if (pace->wait == NULL) return CPL_OK;
    now = cpl_clock_monotonic_ms();
    if (now < pace->next_ms) return CPL_OK;
    pace->next_ms = now + EVERY_MS;
    if (pace->end_ms && now >= pace->end_ms) return cpl_fail(err, CPL_TIMEOUT, "the time limit passed");
    if (pace->wait->tick && pace->wait->tick(pace->wait->context) != 0)
        return cpl_fail(err, CPL_CANCELLED, "cancelled");
    return CPL_OK;
}

cpl_status cpl_pace_rest(const cpl_pace *pace, cpl_wait *out, cpl_error *err) {
    *out = pace->wait ? *pace->wait : (cpl_wait){0};
    if (pace->end_ms == 0) return CPL_OK;
    out->timeout_ms = pace->end_ms - cpl_clock_monotonic_ms();
    return out->timeout_ms > 0 ? CPL_OK : cpl_fail(err, CPL_TIMEOUT, "the time limit passed");
}
