/* SPDX-License-Identifier: MIT */
/*
 * Libraries that are loaded when they are first needed; docs/adr/0009 says which, and why. The functions of one are a
 * list, FUNCTIONS(X) X(one) X(two); CPL_LATE_POINTER makes pointers of it, CPL_LATE_NAME names. With CPL_STATIC they
 * are part of the module, and CPL_LATE_ITSELF fills a table with them.
 */
#ifndef CPL_LATE_H
#define CPL_LATE_H

#include <pthread.h>

#include "base.h"

#define CPL_LATE_POINTER(name) __typeof__(name) *name;
#define CPL_LATE_NAME(name) #name,
#ifdef CPL_STATIC
#define CPL_LATE_ITSELF(name) name,
#else
#define CPL_LATE_ITSELF(name) NULL,
#endif

typedef struct cpl_late {
    const char *called;   /* in messages */
    const char *files[2]; /* names for the loader: the first of them that is there */
    const char *const *names;
    size_t count;
    void *table; /* of pointers, in the order of the names */
    pthread_once_t once;
    char missing[256]; /* why it cannot be used; empty: it can */
} cpl_late;

/* Fills the table; the library stays loaded. CPL_IO: it cannot be. */
cpl_status cpl_late_need(cpl_late *library, cpl_error *err);

#endif
