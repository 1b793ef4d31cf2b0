/* SPDX-License-Identifier: MIT */
#include "skew.h"

#include "clock.h"

#define TRUST_MS (15 * 60 * 1000)
#define DETECT_S (4 * 60)

bool cpl_skew_learn(const cpl_skew_answer *answer, int64_t *skew_s) {
    double date_s;
    int64_t middle_ms, ms, seconds;
    if (answer->date.n == 0 || answer->age.n > 0) return false;
    if (answer->received_ms - answer->sent_ms > TRUST_MS || answer->received_ms < answer->sent_ms) return false;
    if (!cpl_time_parse(answer->date, &date_s)) return false;
    middle_ms = answer->sent_ms + (answer->received_ms - answer->sent_ms) / 2;
    ms = (int64_t)date_s * 1000 - middle_ms;
    seconds = ms / 1000;
    if (seconds > *skew_s + 1 || seconds < *skew_s - 1) *skew_s = seconds;
    return true;
}

bool cpl_skew_blamed(cpl_str code, int64_t used_s, int64_t learnt_s) {
    static const char *const surely[] = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"};
    static const char *const perhaps[] = {"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure"};
    int64_t off = learnt_s > used_s ? learnt_s - used_s : used_s - learnt_s;
    for (size_t i = 0; i < CPL_COUNT(surely); i++) {
        if (cpl_str_is(code, surely[i])) return off > 0;
    }
    for (size_t i = 0; i < CPL_COUNT(perhaps); i++) {
        if (cpl_str_is(code, perhaps[i])) return off >= DETECT_S;
    }
    return false;
}
