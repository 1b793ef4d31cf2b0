/* SPDX-License-Identifier: MIT */
/*
 * SIGPIPE, kept from the host while a library writes to sockets. Older libcurls let OpenSSL write without MSG_NOSIGNAL,
 * and hosts like the stock lua command do not ignore the signal. Works on the calling thread alone.
 */
#ifndef CPL_SIGPIPE_H
#define CPL_SIGPIPE_H

#include <signal.h>

#include "base.h"

typedef struct cpl_sigpipe {
    sigset_t before;
    bool was_pending;
} cpl_sigpipe;

void cpl_sigpipe_block(cpl_sigpipe *state);
/* Swallows the signal that was raised meanwhile, if any, and puts the mask back. */
void cpl_sigpipe_restore(const cpl_sigpipe *state);

#endif
