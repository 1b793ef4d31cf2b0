/* SPDX-License-Identifier: MIT */
/*
 * Tells a forked child from its parent. What threads, sockets and locks a handle has are those of the process that made
 * them, so handles note the mark of theirs, and compare it at each use.
 */
#ifndef CPL_FORK_H
#define CPL_FORK_H

#include "base.h"

/* Never 0; another one than any that an ancestor of this process had. Does not ask the kernel. */
uint32_t cpl_fork_mark(void);

#endif
