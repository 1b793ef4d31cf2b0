/* SPDX-License-Identifier: MIT */
/*
 * How far this machine's clock is from the service's, learnt from the Date of its answers. Pure; the rules are those
 * the AWS SDKs agreed on ("clock skew correction").
 */
#ifndef CPL_SKEW_H
#define CPL_SKEW_H

#include "base.h"

typedef struct cpl_skew_answer {
    int64_t sent_ms; /* by this machine's wall clock, since 1970 */
    int64_t received_ms;
    cpl_str date; /* the headers; absent views when there were none */
    cpl_str age;
} cpl_skew_answer;

/*
 * True when the answer tells the service's time: has a Date, comes from no cache and took no longer than 15 minutes.
 * *skew_s is then how many seconds to add to this machine's clock; a difference of one second is the rounding of the
 * Date and changes nothing.
 */
bool cpl_skew_learn(const cpl_skew_answer *answer, int64_t *skew_s);
/*
 * An error with this code was due to the clock, and the request is worth another try: it was signed with used_s, the
 * answer told learnt_s.
 */
bool cpl_skew_blamed(cpl_str code, int64_t used_s, int64_t learnt_s);

#endif
