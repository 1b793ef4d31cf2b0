/* SPDX-License-Identifier: MIT */
/*
 * One table, one row a job. Each row carries a seal over all its columns, because SQLite's own check looks at the
 * structure and not at the values: a flipped bit must not turn "running" into "taken". The write-ahead log has
 * checksums of its own; a damaged end of it is cut off, as after a power failure.
 */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "clock.h"
#include "digest.h"
#include "err.h"
#include "fork.h"
#include "sqlite.h"

#define APPLICATION_ID 0x63704a6f /* "cpJo" */
#define FORMAT_VERSION 1
#define HEADER_SIZE 100
#define OVER_KEPT 10000 /* jobs that are over: at most so many, */
#define OVER_KEPT_MS (48 * 3600 * INT64_C(1000))
#define PRUNE_EVERY 1000 /* jobs taken */
#define ASIDE_TRIES 100

#define COLUMNS "id, nonce, state, type, region, client, starts, taken, changed, operation, result"

struct cpl_journal {
    sqlite3 *db;
    uint32_t mark;
    char *path;
    char *warning;
    int taken;                     /* since the last pruning */
    bool relaxed;                  /* synchronous is NORMAL, not FULL */
    sqlite3_stmt *insert, *update; /* what every job needs; made when first needed */
    pthread_mutex_t lock;
};

/* ---- SQL ---- */

static cpl_status sql_failed(const cpl_journal *j, cpl_error *err) {
    int code = sqlite3_errcode(j->db) & 0xff;
    if (code == SQLITE_NOMEM) return cpl_fail_nomem(err);
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
        return cpl_fail(err, CPL_STATE, "the journal \"%s\" is in use by another worker", j->path);
    }
    return cpl_fail(err, CPL_IO, "the journal \"%s\": %s", j->path, sqlite3_errmsg(j->db));
}

static cpl_status run_sql(cpl_journal *j, const char *sql, cpl_error *err) {
    return sqlite3_exec(j->db, sql, NULL, NULL, NULL) == SQLITE_OK ? CPL_OK : sql_failed(j, err);
}

static sqlite3_stmt *prepare(cpl_journal *j, const char *sql) {
    sqlite3_stmt *statement = NULL;
    return sqlite3_prepare_v2(j->db, sql, -1, &statement, NULL) == SQLITE_OK ? statement : NULL;
}

/* Runs a statement that answers nothing, and frees it. */
static cpl_status finish(cpl_journal *j, sqlite3_stmt *statement, cpl_error *err) {
    bool done = statement && sqlite3_step(statement) == SQLITE_DONE;
    cpl_status status = done ? CPL_OK : sql_failed(j, err);
    sqlite3_finalize(statement);
    return status;
}

/* The same for a statement that is kept. What was bound to it belongs to the caller, so it is let go. */
static cpl_status run_kept(cpl_journal *j, sqlite3_stmt *statement, cpl_error *err) {
    bool done = statement && sqlite3_step(statement) == SQLITE_DONE;
    cpl_status status = done ? CPL_OK : sql_failed(j, err);
    sqlite3_reset(statement);
    if (statement) sqlite3_clear_bindings(statement);
    return status;
}

/* The SQL function seal(...): SHA-256 over its arguments as text, each with its length, so that none runs into the
 * next. */
static void seal(sqlite3_context *context, int count, sqlite3_value **values) {
    unsigned char digest[CPL_SHA256_SIZE];
    cpl_hash state;
    if (cpl_hash_init(&state, CPL_HASH_SHA256, NULL) != CPL_OK) {
        sqlite3_result_error_nomem(context);
        return;
    }
    for (int i = 0; i < count; i++) {
        bool null = sqlite3_value_type(values[i]) == SQLITE_NULL;
        const unsigned char *text = sqlite3_value_text(values[i]);
        int64_t n = text ? sqlite3_value_bytes(values[i]) : -1;
        if (text == NULL && !null) { /* there was no memory for it */
            cpl_hash_final(&state, digest);
            sqlite3_result_error_nomem(context);
            return;
        }
        cpl_hash_add(&state, &n, sizeof n);
        if (n > 0) cpl_hash_add(&state, text, (size_t)n);
    }
    cpl_hash_final(&state, digest);
    sqlite3_result_blob(context, digest, sizeof digest, SQLITE_TRANSIENT);
}

/* ---- opening ---- */

static uint32_t big_endian(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

typedef enum verdict { FRESH, OURS, NEWER, DAMAGED, UNREADABLE } verdict;

/* Through SQLite's own handle: closing a second descriptor of the file would drop the lock of another worker here. */
static verdict inspect(const cpl_journal *j) {
    unsigned char head[HEADER_SIZE];
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    if (sqlite3_file_control(j->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || file->pMethods == NULL ||
        file->pMethods->xFileSize(file, &size) != SQLITE_OK) {
        return UNREADABLE;
    }
    if (size == 0) return FRESH;
    if (size < HEADER_SIZE) return DAMAGED;
    if (file->pMethods->xRead(file, head, sizeof head, 0) != SQLITE_OK) return UNREADABLE;
    if (memcmp(head, "SQLite format 3", 16) != 0 || big_endian(head + 68) != APPLICATION_ID) return DAMAGED;
    if (big_endian(head + 60) == FORMAT_VERSION) return OURS;
    return big_endian(head + 60) > FORMAT_VERSION ? NEWER : DAMAGED;
}

/* Of the machine, and not of the file. */
static bool is_trouble(int code) {
    static const int codes[] = {SQLITE_NOMEM, SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_BUSY, SQLITE_LOCKED};
    for (size_t i = 0; i < CPL_COUNT(codes); i++) {
        if ((code & 0xff) == codes[i]) return true;
    }
    return false;
}

/* quick_check answers in words also when a page could not be had. */
static int told_code(const char *text) {
    static const char words[] = "error code=";
    const char *at = strstr(text, words);
    return at ? (int)strtol(at + sizeof words - 1, NULL, 10) : SQLITE_OK;
}

/* *same: the answer of a query with one row is this text. */
static cpl_status compare(cpl_journal *j, const char *sql, const char *wanted, bool *same, cpl_error *err) {
    sqlite3_stmt *statement = prepare(j, sql);
    const char *text = NULL;
    cpl_status status = CPL_OK;
    if (statement && sqlite3_step(statement) == SQLITE_ROW) text = (const char *)sqlite3_column_text(statement, 0);
    *same = text && strcmp(text, wanted) == 0;
    if (!*same && is_trouble(text ? told_code(text) : sqlite3_errcode(j->db))) {
        status = cpl_fail(err, CPL_IO, "the journal \"%s\" could not be read: %s", j->path,
                          text ? text : sqlite3_errmsg(j->db));
    }
    sqlite3_finalize(statement);
    return status;
}

/* A file that could not be read to its end is not damaged: what is owed may stand in it. */
static cpl_status check_whole(cpl_journal *j, bool *whole, cpl_error *err) {
    cpl_status status = compare(j, "PRAGMA quick_check(1)", "ok", whole, err);
    if (status != CPL_OK || !*whole) return status;
    return compare(j, "SELECT count(*) FROM job WHERE seal IS NOT seal(" COLUMNS ")", "0", whole, err);
}

/* Without a seal: at the worst something goes that a failed job had written in its own place. */
static cpl_status add_remains(cpl_journal *j, cpl_error *err) {
    return run_sql(j,
                   "CREATE TABLE IF NOT EXISTS remains(id TEXT, nonce TEXT, artifact TEXT, upload TEXT,"
                   " PRIMARY KEY(id, nonce, artifact, upload)) WITHOUT ROWID",
                   err);
}

/* The identity is written before the journal mode changes, so that it always stands in the file itself. */
static cpl_status create(cpl_journal *j, cpl_error *err) {
    char sql[640];
    snprintf(sql, sizeof sql,
             "PRAGMA application_id=%d; PRAGMA user_version=%d;"
             "CREATE TABLE job(id TEXT, nonce TEXT, state INTEGER, type TEXT, region TEXT, client TEXT,"
             " starts INTEGER, taken INTEGER,"
             " changed INTEGER, operation TEXT, result TEXT, seal BLOB, PRIMARY KEY(id, nonce)) WITHOUT ROWID;",
             APPLICATION_ID, FORMAT_VERSION);
    return run_sql(j, sql, err);
}

/* Only its owner may read it. An existing file is not opened: see inspect(). */
static void make_private(const char *path) {
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

static cpl_status connect_file(cpl_journal *j, cpl_error *err) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX; /* there is our lock */
    if (cpl_sqlite_need(err) != CPL_OK) return CPL_IO;
    make_private(j->path);
    if (sqlite3_open_v2(j->path, &j->db, flags, NULL) != SQLITE_OK) {
        return j->db ? sql_failed(j, err) : cpl_fail_nomem(err);
    }
    if (sqlite3_create_function(j->db, "seal", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, seal, NULL, NULL) !=
        SQLITE_OK) {
        return sql_failed(j, err);
    }
    return CPL_OK;
}

/* *damaged: nothing was written, and the file is to be set aside. The lock comes before the check and stays. */
static cpl_status open_file(cpl_journal *j, bool *damaged, cpl_error *err) {
    cpl_status status = connect_file(j, err);
    verdict found;
    *damaged = false;
    if (status != CPL_OK) return status;
    found = inspect(j);
    if (found == UNREADABLE) return cpl_fail(err, CPL_IO, "the journal \"%s\" cannot be read", j->path);
    if (found == NEWER) return cpl_fail(err, CPL_IO, "the journal \"%s\" is of a newer format", j->path);
    *damaged = found == DAMAGED;
    if (*damaged) return CPL_OK;
    if (found == FRESH) status = run_sql(j, "PRAGMA auto_vacuum=INCREMENTAL;", err);
    if (status == CPL_OK) status = run_sql(j, "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE;", err);
    if (status != CPL_OK) {
        int code = sqlite3_errcode(j->db) & 0xff;
        *damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
        return *damaged ? CPL_OK : status;
    }
    if (found == FRESH) status = create(j, err);
    if (found == OURS) {
        bool whole = true;
        status = check_whole(j, &whole, err);
        *damaged = !whole && status == CPL_OK;
    }
    if (status == CPL_OK && !*damaged) status = add_remains(j, err);
    if (status != CPL_OK || *damaged) return status;
    return run_sql(j,
                   "COMMIT; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=4194304;"
                   "PRAGMA secure_delete=ON;",
                   err);
}

static void disconnect(cpl_journal *j) {
    if (j->db && j->mark == cpl_fork_mark()) {
        sqlite3_finalize(j->insert);
        sqlite3_finalize(j->update);
        sqlite3_close(j->db);
    }
    j->db = NULL;
    j->insert = j->update = NULL;
    j->relaxed = false;
}

static bool rename_with(const char *from, const char *to, const char *suffix) {
    char old[4096 + 16], new[4096 + 64];
    snprintf(old, sizeof old, "%s%s", from, suffix);
    snprintf(new, sizeof new, "%s%s", to, suffix);
    return rename(old, new) == 0 || errno == ENOENT;
}

/* The log goes first: without it the file is old, but a new file with that log would be wrong. */
static cpl_status set_aside(cpl_journal *j, int64_t now_ms, cpl_error *err) {
    char stamp[CPL_TIME_BASIC_SIZE], aside[4096 + 48];
    cpl_buf warning;
    int n = 0;
    cpl_time_basic(now_ms / 1000, stamp);
    do {
        snprintf(aside, sizeof aside, "%s.damaged-%s-%d", j->path, stamp, ++n);
    } while (access(aside, F_OK) == 0 && n < ASIDE_TRIES);
    if (!rename_with(j->path, aside, "-wal") || !rename_with(j->path, aside, "-journal") ||
        !rename_with(j->path, aside, "")) {
        return cpl_fail_errno(err, "set aside", j->path);
    }
    cpl_buf_init(&warning, 16384);
    cpl_buf_addf(&warning, "the journal \"%s\" was damaged, or none of ours; it is now \"%s\", and a new one was begun",
                 j->path, aside);
    j->warning = cpl_buf_detach(&warning);
    return j->warning ? CPL_OK : cpl_fail_nomem(err);
}

static cpl_status open_or_replace(cpl_journal *j, int64_t now_ms, cpl_error *err) {
    bool damaged = false;
    cpl_status status = open_file(j, &damaged, err);
    if (status != CPL_OK || !damaged) return status;
    disconnect(j);
    status = set_aside(j, now_ms, err);
    if (status == CPL_OK) status = open_file(j, &damaged, err);
    if (status == CPL_OK && damaged) status = cpl_fail(err, CPL_IO, "the journal \"%s\" cannot be made", j->path);
    return status;
}

cpl_status cpl_journal_open(cpl_journal **out, cpl_str path, int64_t now_ms, cpl_error *err) {
    cpl_journal *j;
    cpl_status status;
    *out = NULL;
    if (path.n == 0 || path.n > 4000 || cpl_str_find(path, '\0') != path.n) {
        return cpl_fail_at(err, CPL_INVALID, "journal", "journal: not a path");
    }
    j = cpl_calloc(1, sizeof *j);
    if (j == NULL) return cpl_fail_nomem(err);
    j->mark = cpl_fork_mark();
    if (pthread_mutex_init(&j->lock, NULL) != 0) {
        cpl_free(j);
        return cpl_fail_nomem(err);
    }
    j->path = cpl_strdup(path);
    status = j->path ? open_or_replace(j, now_ms, err) : cpl_fail_nomem(err);
    if (status == CPL_OK) {
        (void)cpl_journal_prune(j, now_ms, NULL); /* a full disk is no reason to keep what is owed from the service */
        *out = j;
    } else {
        cpl_journal_close(j);
    }
    return status;
}

void cpl_journal_close(cpl_journal *journal) {
    if (journal == NULL) return;
    disconnect(journal);
    pthread_mutex_destroy(&journal->lock);
    cpl_free(journal->warning);
    cpl_free(journal->path);
    cpl_free(journal);
}

const char *cpl_journal_warning(const cpl_journal *journal) {
    return journal ? journal->warning : NULL;
}

/* ---- writing ---- */

static cpl_status check_process(const cpl_journal *j, cpl_error *err) {
    return j->mark == cpl_fork_mark() ? CPL_OK
                                      : cpl_fail(err, CPL_STATE, "the journal belongs to the process that opened it");
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text) {
    if (statement && text) sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

static void bind_integer(sqlite3_stmt *statement, int at, int64_t value) {
    if (statement) sqlite3_bind_int64(statement, at, value);
}

/* One who loses power may have to deliver a second time what was delivered: the service then says so. */
static void relax(cpl_journal *j, bool relaxed) {
    if (j->relaxed == relaxed) return;
    if (run_sql(j, relaxed ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL", NULL) == CPL_OK) {
        j->relaxed = relaxed;
    }
}

cpl_status cpl_journal_take(cpl_journal *journal, const cpl_entry *entry, bool *fresh, cpl_error *err) {
    cpl_status status;
    bool full;
    *fresh = true;
    if (journal == NULL) return CPL_OK;
    status = check_process(journal, err);
    if (status != CPL_OK) return status;
    pthread_mutex_lock(&journal->lock);
    relax(journal, false);
    if (journal->insert == NULL) {
        journal->insert = prepare(journal, "INSERT INTO job(" COLUMNS
                                           ", seal) VALUES(?1, ?2, ?3, ?4, ?6, ?7, 0, ?5, ?5, NULL, NULL,"
                                           " seal(?1, ?2, ?3, ?4, ?6, ?7, 0, ?5, ?5, NULL, NULL))"
                                           " ON CONFLICT DO NOTHING");
    }
    bind_text(journal->insert, 1, entry->id);
    bind_text(journal->insert, 2, entry->nonce);
    bind_integer(journal->insert, 3, CPL_ENTRY_TAKEN);
    bind_text(journal->insert, 4, entry->type);
    bind_integer(journal->insert, 5, entry->taken_ms);
    bind_text(journal->insert, 6, entry->region);
    bind_text(journal->insert, 7, entry->client);
    status = run_kept(journal, journal->insert, err);
    if (status == CPL_OK) *fresh = sqlite3_changes(journal->db) == 1;
    full = status == CPL_OK && ++journal->taken >= PRUNE_EVERY;
    pthread_mutex_unlock(&journal->lock);
    return full ? cpl_journal_prune(journal, entry->taken_ms, err) : status;
}

cpl_status cpl_journal_mark(cpl_journal *journal, const cpl_entry *entry, int64_t now_ms, cpl_error *err) {
    cpl_status status;
    bool owed = entry->state == CPL_ENTRY_OWED;
    if (journal == NULL) return CPL_OK;
    status = check_process(journal, err);
    if (status != CPL_OK) return status;
    pthread_mutex_lock(&journal->lock);
    relax(journal, entry->state > CPL_ENTRY_OWED);
    if (journal->update == NULL) {
        journal->update = prepare(
            journal,
            "UPDATE job SET state=?3, starts=starts+?4, changed=?5, operation=?6, result=?7,"
            " seal=seal(id, nonce, ?3, type, region, client, starts+?4, taken, ?5, ?6, ?7) WHERE id=?1 AND nonce=?2");
    }
    bind_text(journal->update, 1, entry->id);
    bind_text(journal->update, 2, entry->nonce);
    bind_integer(journal->update, 3, entry->state);
    bind_integer(journal->update, 4, entry->state == CPL_ENTRY_RUNNING);
    bind_integer(journal->update, 5, now_ms);
    bind_text(journal->update, 6, owed ? entry->operation : NULL);
    bind_text(journal->update, 7, owed ? entry->result : NULL);
    status = run_kept(journal, journal->update, err);
    pthread_mutex_unlock(&journal->lock);
    return status;
}

cpl_status cpl_journal_prune(cpl_journal *journal, int64_t now_ms, cpl_error *err) {
    sqlite3_stmt *old;
    cpl_status status;
    if (journal == NULL) return CPL_OK;
    status = check_process(journal, err);
    if (status != CPL_OK) return status;
    pthread_mutex_lock(&journal->lock);
    journal->taken = 0;
    old = prepare(journal,
                  "DELETE FROM job WHERE state>=?1 AND changed<max(?2, coalesce((SELECT changed FROM job"
                  " WHERE state>=?1 ORDER BY changed DESC LIMIT 1 OFFSET ?3), 0))");
    bind_integer(old, 1, CPL_ENTRY_DELIVERED);
    bind_integer(old, 2, now_ms - OVER_KEPT_MS);
    bind_integer(old, 3, OVER_KEPT - 1);
    status = finish(journal, old, err);
    if (status == CPL_OK) {
        old = prepare(journal,
                      "DELETE FROM remains WHERE NOT EXISTS(SELECT 1 FROM job WHERE job.id=remains.id"
                      " AND job.nonce=remains.nonce AND state<?1)");
        bind_integer(old, 1, CPL_ENTRY_DELIVERED);
        status = finish(journal, old, err);
    }
    if (status == CPL_OK) status = run_sql(journal, "PRAGMA incremental_vacuum", err);
    pthread_mutex_unlock(&journal->lock);
    return status;
}

/* ---- what is in the artifact store ---- */

static cpl_status write_remains(cpl_journal *journal, const char *sql, const cpl_remains *what, cpl_error *err) {
    sqlite3_stmt *statement;
    cpl_status status;
    if (journal == NULL) return CPL_OK;
    status = check_process(journal, err);
    if (status != CPL_OK) return status;
    pthread_mutex_lock(&journal->lock);
    relax(journal, true);
    statement = prepare(journal, sql);
    bind_text(statement, 1, what->id);
    bind_text(statement, 2, what->nonce);
    bind_text(statement, 3, what->artifact);
    bind_text(statement, 4, what->upload);
    status = finish(journal, statement, err);
    pthread_mutex_unlock(&journal->lock);
    return status;
}

cpl_status cpl_journal_note(cpl_journal *journal, const cpl_remains *what, cpl_error *err) {
    return write_remains(journal, "INSERT OR IGNORE INTO remains VALUES(?1, ?2, ?3, ?4)", what, err);
}

cpl_status cpl_journal_strike(cpl_journal *journal, const cpl_remains *what, cpl_error *err) {
    return write_remains(journal, "DELETE FROM remains WHERE id=?1 AND nonce=?2 AND artifact=?3 AND upload=?4", what,
                         err);
}

/* ---- reading ---- */

static const char *text_at(sqlite3_stmt *row, int column) {
    return (const char *)sqlite3_column_text(row, column);
}

static cpl_entry read_row(sqlite3_stmt *row) {
    return (cpl_entry){.id = text_at(row, 0),
                       .nonce = text_at(row, 1),
                       .state = (cpl_entry_state)sqlite3_column_int(row, 2),
                       .type = text_at(row, 3),
                       .region = text_at(row, 4),
                       .client = text_at(row, 5),
                       .starts = sqlite3_column_int(row, 6),
                       .taken_ms = sqlite3_column_int64(row, 7),
                       .operation = text_at(row, 9),
                       .result = text_at(row, 10)};
}

cpl_status cpl_journal_each(cpl_journal *journal, cpl_journal_visit visit, void *context, cpl_error *err) {
    sqlite3_stmt *rows;
    cpl_status status;
    int step = SQLITE_DONE;
    if (journal == NULL) return CPL_OK;
    status = check_process(journal, err);
    if (status != CPL_OK) return status;
    pthread_mutex_lock(&journal->lock);
    rows = prepare(journal, "SELECT " COLUMNS " FROM job WHERE state<?1 ORDER BY taken, id");
    bind_integer(rows, 1, CPL_ENTRY_DELIVERED);
    if (rows == NULL) status = sql_failed(journal, err);
    while (status == CPL_OK && (step = sqlite3_step(rows)) == SQLITE_ROW) {
        cpl_entry entry = read_row(rows);
        bool whole = entry.id && entry.nonce && entry.type && (entry.state != CPL_ENTRY_OWED || entry.result);
        if (whole) status = visit(context, &entry, err);
    }
    if (status == CPL_OK && step != SQLITE_DONE) status = sql_failed(journal, err);
    sqlite3_finalize(rows);
    pthread_mutex_unlock(&journal->lock);
    return status;
}

cpl_status cpl_journal_remains(cpl_journal *journal, const cpl_remains *of, int i, cpl_buf *artifact, cpl_buf *upload,
                               cpl_error *err) {
    sqlite3_stmt *row;
    cpl_status status;
    int step;
    if (journal == NULL) return CPL_OK;
    status = check_process(journal, err);
    if (status != CPL_OK) return status;
    pthread_mutex_lock(&journal->lock);
    row = prepare(journal, "SELECT artifact, upload FROM remains WHERE id=?1 AND nonce=?2 LIMIT 1 OFFSET ?3");
    bind_text(row, 1, of->id);
    bind_text(row, 2, of->nonce);
    bind_integer(row, 3, i);
    step = row ? sqlite3_step(row) : SQLITE_ERROR;
    if (step == SQLITE_ROW) {
        cpl_buf_addv(artifact, cpl_str_of(text_at(row, 0)));
        cpl_buf_addv(upload, cpl_str_of(text_at(row, 1)));
    } else if (step != SQLITE_DONE) {
        status = sql_failed(journal, err);
    }
    sqlite3_finalize(row);
    pthread_mutex_unlock(&journal->lock);
    return status;
}
