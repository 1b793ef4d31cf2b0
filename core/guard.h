/* SPDX-License-Identifier: MIT */
/*
 * Reports a job failed when its time is nearly up, from a thread of its own: whoever works on the job may be busy, or
 * hang. Either the guard reports or the job's own thread does, never both: the first to claim the answer gives it.
 */
#ifndef CPL_GUARD_H
#define CPL_GUARD_H

#include "desk.h"

typedef struct cpl_guard cpl_guard;

/*
 * Sends failure after_ms from now; takes it over, also when it fails. What does not arrive of a worker's job goes in
 * line, for the worker to send again. Keeps the desk.
 */
cpl_status cpl_guard_new(cpl_guard **out, cpl_desk *desk, cpl_owed *failure, int64_t after_ms, cpl_error *err);
/* True: the answer is the caller's to give, and the guard will not fire any more. False: the guard has fired. */
bool cpl_guard_claim(cpl_guard *guard);
bool cpl_guard_fired(cpl_guard *guard);
int64_t cpl_guard_left_ms(const cpl_guard *guard); /* until it fires; 0 or less: it has, or should */
/* After a claim that came too late: waits until the guard's report is out; true when it was accepted, or is in line. */
bool cpl_guard_reported(cpl_guard *guard);
void cpl_guard_free(cpl_guard *guard); /* NULL is fine; waits while a report is under way */

#endif
