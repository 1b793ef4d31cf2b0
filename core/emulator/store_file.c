/* SPDX-License-Identifier: MIT */
/* One table of documents, one of blobs; SQLite's lock is held from opening to closing. */
#include "store_file.h"

#include <unistd.h>

#include "../err.h"
#include "../fork.h"
#include "../sqlite.h"

#define APPLICATION_ID 0x63704575 /* "cpEu": tells our files from others' */
#define FORMAT_VERSION 1

struct emu_file {
    sqlite3 *db;
    uint32_t mark; /* a forked child must not touch it */
};

static cpl_status sql_failed(sqlite3 *db, const char *path, cpl_error *err) {
    int code = sqlite3_errcode(db) & 0xff;
    if (code == SQLITE_NOMEM) return cpl_fail_nomem(err);
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        return cpl_fail(err, CPL_IO, "\"%s\" is in use by another emulator", path);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        return cpl_fail(err, CPL_IO, "\"%s\" is damaged: %s", path, sqlite3_errmsg(db));
    return cpl_fail(err, CPL_IO, "\"%s\": %s", path, sqlite3_errmsg(db));
}

static cpl_status run_sql(sqlite3 *db, const char *sql, const char *path, cpl_error *err) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? CPL_OK : sql_failed(db, path, err);
}

static uint32_t big_endian(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/*
 * Reads the header of what is there before SQLite does anything with it, through SQLite's own handle: closing a second
 * descriptor of the file would drop the lock of another emulator in this process. *fresh: the file is new or empty.
 */
static cpl_status inspect(sqlite3 *db, const char *path, bool *fresh, cpl_error *err) {
    unsigned char head[100];
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || file->pMethods == NULL ||
        file->pMethods->xFileSize(file, &size) != SQLITE_OK)
        return cpl_fail(err, CPL_IO, "\"%s\" cannot be read", path);
    *fresh = size == 0;
    if (*fresh) return CPL_OK;
    if (size < (sqlite3_int64)sizeof head || file->pMethods->xRead(file, head, sizeof head, 0) != SQLITE_OK ||
        memcmp(head, "SQLite format 3", 16) != 0 || big_endian(head + 68) != APPLICATION_ID)
        return cpl_fail(err, CPL_IO, "\"%s\" is not a file of the emulator", path);
    if (big_endian(head + 60) != FORMAT_VERSION)
        return cpl_fail(err, CPL_IO, "\"%s\" is of format %u; this version reads format %d", path,
                        big_endian(head + 60), FORMAT_VERSION);
    return CPL_OK;
}

/* The identity is written before the journal mode changes, so that it always stands in the file itself. */
static cpl_status create(sqlite3 *db, const char *path, cpl_error *err) {
    char sql[512];
    snprintf(sql, sizeof sql,
             "PRAGMA application_id=%d; PRAGMA user_version=%d;"
             "CREATE TABLE document(tab INTEGER, key TEXT, position INTEGER, text TEXT, PRIMARY KEY(tab, key));"
             "CREATE TABLE blob(key TEXT PRIMARY KEY, position INTEGER, bytes BLOB);"
             "COMMIT;",
             APPLICATION_ID, FORMAT_VERSION);
    return run_sql(db, sql, path, err);
}

static cpl_status quick_check(sqlite3 *db, const char *path, cpl_error *err) {
    sqlite3_stmt *statement = NULL;
    cpl_status status = CPL_OK;
    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK)
        return sql_failed(db, path, err);
    if (sqlite3_step(statement) != SQLITE_ROW) {
        status = sql_failed(db, path, err);
    } else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
        status = cpl_fail(err, CPL_IO, "\"%s\" is damaged: %s", path, sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    return status;
}

static cpl_status load(sqlite3 *db, const char *path, const emu_file_reader *reader, cpl_error *err) {
    sqlite3_stmt *rows = NULL;
    cpl_status status = CPL_OK;
    int step = SQLITE_DONE;
    if (sqlite3_prepare_v2(db,
                           "SELECT tab, key, position, text FROM document UNION ALL "
                           "SELECT ?1, key, position, bytes FROM blob ORDER BY 3",
                           -1, &rows, NULL) != SQLITE_OK)
        return sql_failed(db, path, err);
    sqlite3_bind_int(rows, 1, EMU_BLOBS);
    while (status == CPL_OK && (step = sqlite3_step(rows)) == SQLITE_ROW) {
        const emu_file_row row = {.table = sqlite3_column_int64(rows, 0),
                                  .key = (const char *)sqlite3_column_text(rows, 1),
                                  .order = sqlite3_column_int64(rows, 2),
                                  .bytes = {sqlite3_column_blob(rows, 3), (size_t)sqlite3_column_bytes(rows, 3)}};
        status = reader->read(reader->context, &row, path, err);
    }
    if (status == CPL_OK && step != SQLITE_DONE) status = sql_failed(db, path, err);
    sqlite3_finalize(rows);
    return status;
}

/* Nothing is written to a file that turns out to be damaged, or locked: the mode changes last. */
static cpl_status open_file(sqlite3 **db, const char *path, const emu_file_reader *reader, cpl_error *err) {
    bool fresh = false;
    cpl_status status = cpl_sqlite_need(err);
    if (status) return status;
    if (sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return *db ? sql_failed(*db, path, err) : cpl_fail_nomem(err);
    status = inspect(*db, path, &fresh, err);
    if (status) return status;
    status = run_sql(*db, "PRAGMA locking_mode=EXCLUSIVE;BEGIN EXCLUSIVE;", path, err);
    if (status == CPL_OK && fresh) status = create(*db, path, err);
    if (status == CPL_OK && !fresh) status = quick_check(*db, path, err);
    if (status == CPL_OK && !fresh) status = load(*db, path, reader, err);
    if (status == CPL_OK && !fresh) status = run_sql(*db, "COMMIT;", path, err);
    if (status == CPL_OK) status = run_sql(*db, "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;", path, err);
    return status;
}

cpl_status emu_file_open(emu_file **out, const char *path, const emu_file_reader *reader, cpl_error *err) {
    emu_file *file = cpl_calloc(1, sizeof *file);
    cpl_status status;
    *out = NULL;
    if (file == NULL) return cpl_fail_nomem(err);
    file->mark = cpl_fork_mark();
    status = open_file(&file->db, path, reader, err);
    if (status == CPL_OK) {
        *out = file;
    } else {
        emu_file_close(file);
    }
    return status;
}

void emu_file_close(emu_file *file) {
    if (file && file->db && file->mark == cpl_fork_mark()) sqlite3_close(file->db);
    cpl_free(file);
}

static cpl_status not_written(emu_file *file, cpl_error *err) {
    return cpl_fail(err, CPL_IO, "the state cannot be written: %s", sqlite3_errmsg(file->db));
}

cpl_status emu_file_begin(emu_file *file, cpl_error *err) {
    return sqlite3_exec(file->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK ? CPL_OK : not_written(file, err);
}

static int write_document(sqlite3 *db, const emu_file_row *row, bool gone) {
    sqlite3_stmt *statement = NULL;
    int step = SQLITE_ERROR;
    if (sqlite3_prepare_v2(db,
                           gone ? "DELETE FROM document WHERE tab=?1 AND key=?2"
                                : "INSERT OR REPLACE INTO document(tab, key, position, text) VALUES(?1, ?2, ?3, ?4)",
                           -1, &statement, NULL) == SQLITE_OK) {
        sqlite3_bind_int64(statement, 1, row->table);
        sqlite3_bind_text(statement, 2, row->key, -1, SQLITE_STATIC);
        if (!gone) {
            sqlite3_bind_int64(statement, 3, row->order);
            sqlite3_bind_text64(statement, 4, row->bytes.p, row->bytes.n, SQLITE_STATIC, SQLITE_UTF8);
        }
        step = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return step;
}

static int write_blob(sqlite3 *db, const emu_file_row *row, bool gone) {
    sqlite3_stmt *statement = NULL;
    int step = SQLITE_ERROR;
    if (sqlite3_prepare_v2(db,
                           gone ? "DELETE FROM blob WHERE key=?1"
                                : "INSERT OR REPLACE INTO blob(key, position, bytes) VALUES(?1, ?2, ?3)",
                           -1, &statement, NULL) == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, row->key, -1, SQLITE_STATIC);
        if (!gone) {
            sqlite3_bind_int64(statement, 2, row->order);
            sqlite3_bind_blob64(statement, 3, row->bytes.p, row->bytes.n, SQLITE_STATIC);
        }
        step = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return step;
}

cpl_status emu_file_write(emu_file *file, const emu_file_row *row, bool gone, cpl_error *err) {
    int step = row->table == EMU_BLOBS ? write_blob(file->db, row, gone) : write_document(file->db, row, gone);
    return step == SQLITE_DONE ? CPL_OK : not_written(file, err);
}

cpl_status emu_file_end(emu_file *file, bool keep, cpl_error *err) {
    cpl_status status = CPL_OK;
    if (keep && sqlite3_exec(file->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK) return CPL_OK;
    if (keep) status = not_written(file, err);
    sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
