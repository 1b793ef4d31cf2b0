/* SPDX-License-Identifier: MIT */
/*
 * What happened on threads that may call nobody, kept for one that may: the events of calls that a thread of the core's
 * own made, told to the next observer who waits. Thread-safe.
 */
#ifndef CPL_BACKLOG_H
#define CPL_BACKLOG_H

#include "base.h"

typedef struct cpl_backlog cpl_backlog;

cpl_backlog *cpl_backlog_new(void); /* NULL: out of memory */
void cpl_backlog_free(cpl_backlog *backlog);
/* For the wait of a call that nobody can be told of now: its events are kept, the oldest 64 of them. */
const cpl_observer *cpl_backlog_observer(cpl_backlog *backlog);
/* Tells them in their order, once; wait without an observer, or no wait: nobody wants them, and they are forgotten. */
void cpl_backlog_tell(cpl_backlog *backlog, const cpl_wait *wait);

#endif
