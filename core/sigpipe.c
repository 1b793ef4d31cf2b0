/* SPDX-License-Identifier: MIT */
#include "sigpipe.h"

#include <errno.h>
#include <time.h>

static bool is_pending(void) {
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

void cpl_sigpipe_block(cpl_sigpipe *state) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, &state->before);
    /* one that was there before is the host's; it can only be when the signal was blocked already */
    state->was_pending = sigismember(&state->before, SIGPIPE) == 1 && is_pending();
}

void cpl_sigpipe_restore(const cpl_sigpipe *state) {
    if (!state->was_pending && is_pending()) {
        const struct timespec now = {0, 0};
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGPIPE);
        while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR) continue;
    }
    pthread_sigmask(SIG_SETMASK, &state->before, NULL);
}
