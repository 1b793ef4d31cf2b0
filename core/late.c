/* SPDX-License-Identifier: MIT */
#include "late.h"

#include "err.h"

#ifdef CPL_STATIC

cpl_status cpl_late_need(cpl_late *library, cpl_error *err) {
    (void)library, (void)err;
    return CPL_OK;
}

#else

#include <dlfcn.h>

static _Thread_local cpl_late *wanted; /* pthread_once() passes nothing on */

static void note_missing(void) {
    if (wanted->missing[0] == '\0') snprintf(wanted->missing, sizeof wanted->missing, "%s", dlerror());
}

static void load(void) {
    void *handle = NULL, *found;
    for (size_t i = 0; handle == NULL && i < CPL_COUNT(wanted->files) && wanted->files[i]; i++) {
        handle = dlopen(wanted->files[i], RTLD_LAZY | RTLD_LOCAL); /* and never closed */
        if (handle == NULL) note_missing();
    }
    if (handle == NULL) return;
    wanted->missing[0] = '\0';
    for (size_t i = 0; i < wanted->count; i++) {
        found = dlsym(handle, wanted->names[i]);
        if (found == NULL) note_missing();
        memcpy((char *)wanted->table + i * sizeof found, &found, sizeof found);
    }
}

cpl_status cpl_late_need(cpl_late *library, cpl_error *err) {
    wanted = library;
    pthread_once(&library->once, load);
    if (library->missing[0] == '\0') return CPL_OK;
    return cpl_fail(err, CPL_IO, "%s cannot be loaded: %s", library->called, library->missing);
}

#endif
