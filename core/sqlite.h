/* SPDX-License-Identifier: MIT */
/*
 * SQLite, loaded when the first journal or kept emulator is opened; the only file that includes its header. After
 * cpl_sqlite_need its functions are called by their own names. With CPL_STATIC they are part of the module.
 */
#ifndef CPL_SQLITE_H
#define CPL_SQLITE_H

#include <sqlite3.h>

#include "late.h"

/* clang-format off */
#define CPL_SQLITE_FUNCTIONS(X)                                                                                 \
    X(sqlite3_bind_blob64) X(sqlite3_bind_int) X(sqlite3_bind_int64) X(sqlite3_bind_text) X(sqlite3_bind_text64) \
    X(sqlite3_changes) X(sqlite3_clear_bindings) X(sqlite3_close) X(sqlite3_column_blob) X(sqlite3_column_bytes) \
    X(sqlite3_column_int) X(sqlite3_column_int64) X(sqlite3_column_text) X(sqlite3_create_function)              \
    X(sqlite3_errcode) X(sqlite3_errmsg) X(sqlite3_exec) X(sqlite3_file_control) X(sqlite3_finalize)             \
    X(sqlite3_open_v2) X(sqlite3_prepare_v2) X(sqlite3_reset) X(sqlite3_result_blob)                             \
    X(sqlite3_result_error_nomem) X(sqlite3_step) X(sqlite3_value_bytes) X(sqlite3_value_text)                   \
    X(sqlite3_value_type)
/* clang-format on */

/* What it says when SQLite cannot be loaded: CPL_IO. */
cpl_status cpl_sqlite_need(cpl_error *err);

#ifndef CPL_STATIC
extern struct cpl_sqlite_table { CPL_SQLITE_FUNCTIONS(CPL_LATE_POINTER) } cpl_sqlite;
#define sqlite3_bind_blob64 cpl_sqlite.sqlite3_bind_blob64
#define sqlite3_bind_int cpl_sqlite.sqlite3_bind_int
#define sqlite3_bind_int64 cpl_sqlite.sqlite3_bind_int64
#define sqlite3_bind_text cpl_sqlite.sqlite3_bind_text
#define sqlite3_bind_text64 cpl_sqlite.sqlite3_bind_text64
#define sqlite3_changes cpl_sqlite.sqlite3_changes
#define sqlite3_clear_bindings cpl_sqlite.sqlite3_clear_bindings
#define sqlite3_close cpl_sqlite.sqlite3_close
#define sqlite3_column_blob cpl_sqlite.sqlite3_column_blob
#define sqlite3_column_bytes cpl_sqlite.sqlite3_column_bytes
#define sqlite3_column_int cpl_sqlite.sqlite3_column_int
#define sqlite3_column_int64 cpl_sqlite.sqlite3_column_int64
#define sqlite3_column_text cpl_sqlite.sqlite3_column_text
#define sqlite3_create_function cpl_sqlite.sqlite3_create_function
#define sqlite3_errcode cpl_sqlite.sqlite3_errcode
#define sqlite3_errmsg cpl_sqlite.sqlite3_errmsg
#define sqlite3_exec cpl_sqlite.sqlite3_exec
#define sqlite3_file_control cpl_sqlite.sqlite3_file_control
#define sqlite3_finalize cpl_sqlite.sqlite3_finalize
#define sqlite3_open_v2 cpl_sqlite.sqlite3_open_v2
#define sqlite3_prepare_v2 cpl_sqlite.sqlite3_prepare_v2
#define sqlite3_reset cpl_sqlite.sqlite3_reset
#define sqlite3_result_blob cpl_sqlite.sqlite3_result_blob
#define sqlite3_result_error_nomem cpl_sqlite.sqlite3_result_error_nomem
#define sqlite3_step cpl_sqlite.sqlite3_step
#define sqlite3_value_bytes cpl_sqlite.sqlite3_value_bytes
#define sqlite3_value_text cpl_sqlite.sqlite3_value_text
#define sqlite3_value_type cpl_sqlite.sqlite3_value_type
#endif

#endif
