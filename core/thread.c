/* SPDX-License-Identifier: MIT */
#include "thread.h"

#include <signal.h>

bool cpl_thread_start(pthread_t *thread, void *(*body)(void *), void *context) {
    sigset_t all, before;
    bool started;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(thread, NULL, body, context) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}
