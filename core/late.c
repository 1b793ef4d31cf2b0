/* SPDX-License-Identifier: MIT */
#include "late.h"

#include <dlfcn.h>

bool cpl_late_load(const char *library, const char *const names[], size_t count, void *table, char *why,
                   size_t why_size) {
    void *handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL); /* and never closed */
    void *found = handle;
    for (size_t i = 0; found && i < count; i++) {
        found = dlsym(handle, names[i]);
        memcpy((char *)table + i * sizeof found, &found, sizeof found);
    }
    if (found == NULL) snprintf(why, why_size, "%s", dlerror());
    return found != NULL;
}
