/* SPDX-License-Identifier: MIT */
#include "sqlite.h"

#ifdef CPL_STATIC

cpl_status cpl_sqlite_need(cpl_error *err) {
    (void)err;
    return CPL_OK;
}

#else

#include <pthread.h>

#include "err.h"

#define LIBSQLITE "libsqlite3.so.0"
_Static_assert(SQLITE_VERSION_NUMBER / 1000000 == 3, "all of SQLite 3 has this name; another may not");

struct cpl_sqlite_table cpl_sqlite;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char missing[256]; /* why it cannot be used; empty: it can */

static void load(void) {
    static const char *const names[] = {CPL_SQLITE_FUNCTIONS(CPL_LATE_NAME)};
    cpl_late_load(LIBSQLITE, names, CPL_COUNT(names), &cpl_sqlite, missing, sizeof missing);
}

cpl_status cpl_sqlite_need(cpl_error *err) {
    pthread_once(&once, load);
    return missing[0] ? cpl_fail(err, CPL_IO, "SQLite cannot be loaded: %s", missing) : CPL_OK;
}

#endif
