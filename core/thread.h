/* SPDX-License-Identifier: MIT */
#ifndef CPL_THREAD_H
#define CPL_THREAD_H

#include <pthread.h>

#include "base.h"

/* A thread that leaves all signals to those of the program. False: the system has none left. */
bool cpl_thread_start(pthread_t *thread, void *(*body)(void *), void *context);

#endif
