/* SPDX-License-Identifier: MIT */
#include "sqlite.h"

#ifdef CPL_STATIC

cpl_status cpl_sqlite_need(cpl_error *err) {
    (void)err;
    return CPL_OK;
}

#else

_Static_assert(SQLITE_VERSION_NUMBER / 1000000 == 3, "all of SQLite 3 has this name; another may not");

static const char *const names[] = {CPL_SQLITE_FUNCTIONS(CPL_LATE_NAME)};
struct cpl_sqlite_table cpl_sqlite;
static cpl_late library = {.called = "SQLite",
                           .files = {"libsqlite3.so.0"},
                           .names = names,
                           .count = CPL_COUNT(names),
                           .table = &cpl_sqlite,
                           .once = PTHREAD_ONCE_INIT};

cpl_status cpl_sqlite_need(cpl_error *err) {
    return cpl_late_need(&library, err);
}

#endif
