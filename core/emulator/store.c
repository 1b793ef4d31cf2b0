/* SPDX-License-Identifier: MIT */
/*
 * Everything lives in memory, in one hash index a table plus the order of insertion. With a path, what a request
 * changed is written through to SQLite in one transaction when the request ends; the file is read only once, at open.
 */
#include <unistd.h>

#include "../sqlite.h"
#include "emu.h"

#define APPLICATION_ID 0x63704575 /* "cpEu": tells our files from others' */
#define FORMAT_VERSION 1
#define BLOBS EMU_TABLE_COUNT /* blobs are one more table, whose entries have bytes instead of a document */
#define TABLES (EMU_TABLE_COUNT + 1)

typedef struct entry {
    struct entry *next; /* in the same slot */
    char *key;
    uint64_t hash;
    int64_t order; /* grows with every insertion */
    cpl_json *doc;
    char *bytes;
    size_t size;
    bool dirty; /* named in store->changes */
} entry;

typedef struct table {
    entry **slots;
    size_t slot_count; /* a power of two */
    entry **ordered;   /* by entry->order */
    size_t n, cap;
} table;

typedef struct change {
    unsigned table;
    char *key;
} change;

struct emu_store {
    table tables[TABLES];
    int64_t next_order;
    sqlite3 *db; /* NULL: memory only */
    pid_t pid;   /* a forked child must not touch the file */
    change *changes;
    size_t change_count, change_cap;
    bool changes_lost; /* no memory to note a change: commit reports it */
};

/* ---- the index ---- */

static uint64_t hash_of(const char *key) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *key; key++) hash = (hash ^ (unsigned char)*key) * 1099511628211u;
    return hash;
}

static entry **slot_of(const table *t, uint64_t hash) {
    return &t->slots[hash & (t->slot_count - 1)];
}

static entry *find(const table *t, const char *key) {
    uint64_t hash = hash_of(key);
    if (t->slot_count == 0) return NULL;
    for (entry *e = *slot_of(t, hash); e; e = e->next) {
        if (e->hash == hash && strcmp(e->key, key) == 0) return e;
    }
    return NULL;
}

static bool grow(table *t) {
    size_t cap = t->cap ? t->cap * 2 : 16;
    entry **ordered, **slots;
    if (t->n < t->cap) return true;
    ordered = cpl_realloc(t->ordered, cap * sizeof *ordered);
    if (ordered == NULL) return false;
    t->ordered = ordered;
    slots = cpl_calloc(cap, sizeof *slots);
    if (slots == NULL) return false;
    cpl_free(t->slots);
    t->slots = slots;
    t->slot_count = t->cap = cap;
    for (size_t i = 0; i < t->n; i++) {
        entry **slot = slot_of(t, t->ordered[i]->hash);
        t->ordered[i]->next = *slot;
        *slot = t->ordered[i];
    }
    return true;
}

static entry *insert(table *t, const char *key, int64_t order) {
    entry *e, **slot;
    if (!grow(t)) return NULL;
    e = cpl_calloc(1, sizeof *e);
    if (e == NULL) return NULL;
    e->key = cpl_strdup(cpl_str_of(key));
    if (e->key == NULL) {
        cpl_free(e);
        return NULL;
    }
    e->hash = hash_of(key);
    e->order = order;
    slot = slot_of(t, e->hash);
    e->next = *slot;
    *slot = e;
    t->ordered[t->n++] = e;
    return e;
}

static void free_entry(entry *e) {
    cpl_json_free(e->doc);
    cpl_free(e->bytes);
    cpl_free(e->key);
    cpl_free(e);
}

static size_t position_of(const table *t, const entry *e) {
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->ordered[middle]->order < e->order) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void drop(table *t, entry *e) {
    size_t at = position_of(t, e);
    entry **link = slot_of(t, e->hash);
    while (*link != e) link = &(*link)->next;
    *link = e->next;
    t->n--;
    memmove(t->ordered + at, t->ordered + at + 1, (t->n - at) * sizeof *t->ordered);
    free_entry(e);
}

/* Remembers that the entry of that key, there or gone, must be written. */
static void note(emu_store *store, unsigned at, const char *key) {
    entry *e = find(&store->tables[at], key);
    char *copy;
    if (store->db == NULL || (e && e->dirty)) return;
    if (store->change_count == store->change_cap) {
        size_t cap = store->change_cap ? store->change_cap * 2 : 32;
        change *more = cpl_realloc(store->changes, cap * sizeof *more);
        if (more == NULL) {
            store->changes_lost = true;
            return;
        }
        store->changes = more;
        store->change_cap = cap;
    }
    copy = cpl_strdup(cpl_str_of(key));
    if (copy == NULL) {
        store->changes_lost = true;
        return;
    }
    store->changes[store->change_count++] = (change){at, copy};
    if (e) e->dirty = true;
}

/* ---- documents and blobs ---- */

cpl_json *emu_store_get(emu_store *store, emu_table at, const char *key) {
    entry *e = find(&store->tables[at], key);
    return e ? e->doc : NULL;
}

bool emu_store_put(emu_store *store, emu_table at, const char *key, cpl_json *doc) {
    entry *e;
    if (doc == NULL) return false;
    e = find(&store->tables[at], key);
    if (e == NULL) e = insert(&store->tables[at], key, store->next_order++);
    if (e == NULL) {
        cpl_json_free(doc);
        return false;
    }
    if (e->doc != doc) cpl_json_free(e->doc);
    e->doc = doc;
    note(store, at, key);
    return true;
}

void emu_store_touch(emu_store *store, emu_table at, const char *key) {
    note(store, at, key);
}

static void delete_key(emu_store *store, unsigned at, const char *key) {
    entry *e = find(&store->tables[at], key);
    if (e == NULL) return;
    note(store, at, key); /* before the drop: key may belong to the entry */
    drop(&store->tables[at], e);
}

void emu_store_delete(emu_store *store, emu_table at, const char *key) {
    delete_key(store, at, key);
}

size_t emu_store_size(const emu_store *store, emu_table at) {
    return store->tables[at].n;
}

cpl_json *emu_store_at(emu_store *store, emu_table at, size_t i, const char **key) {
    const table *t = &store->tables[at];
    if (i >= t->n) return NULL;
    if (key) *key = t->ordered[i]->key;
    return t->ordered[i]->doc;
}

static bool set_bytes(entry *e, cpl_str bytes) {
    char *copy = cpl_malloc(bytes.n + 1);
    if (copy == NULL) return false;
    if (bytes.n > 0) memcpy(copy, bytes.p, bytes.n);
    copy[bytes.n] = '\0';
    cpl_free(e->bytes);
    e->bytes = copy;
    e->size = bytes.n;
    return true;
}

bool emu_blob_put(emu_store *store, const char *key, cpl_str bytes) {
    table *t = &store->tables[BLOBS];
    entry *e = find(t, key);
    bool fresh = e == NULL;
    if (fresh) e = insert(t, key, store->next_order++);
    if (e == NULL) return false;
    if (!set_bytes(e, bytes)) {
        if (fresh) drop(t, e);
        return false;
    }
    note(store, BLOBS, key);
    return true;
}

bool emu_blob_move(emu_store *store, const char *from, const char *to) {
    table *t = &store->tables[BLOBS];
    entry *e = find(t, from), *target = find(t, to);
    if (e == NULL || e == target) return e != NULL;
    if (target == NULL) target = insert(t, to, store->next_order++);
    if (target == NULL) return false;
    cpl_free(target->bytes);
    target->bytes = e->bytes;
    target->size = e->size;
    e->bytes = NULL;
    note(store, BLOBS, to);
    delete_key(store, BLOBS, from);
    return true;
}

cpl_str emu_blob_get(emu_store *store, const char *key) {
    entry *e = find(&store->tables[BLOBS], key);
    return e ? (cpl_str){e->bytes, e->size} : (cpl_str){NULL, 0};
}

cpl_str emu_blob_at(emu_store *store, size_t i, const char **key) {
    const table *t = &store->tables[BLOBS];
    if (i >= t->n) return (cpl_str){NULL, 0};
    *key = t->ordered[i]->key;
    return (cpl_str){t->ordered[i]->bytes, t->ordered[i]->size};
}

void emu_blob_delete(emu_store *store, const char *key) {
    delete_key(store, BLOBS, key);
}

/* ---- the file ---- */

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

static cpl_status read_row(emu_store *store, sqlite3_stmt *row, const char *path, cpl_error *err) {
    int64_t at = sqlite3_column_int64(row, 0), order = sqlite3_column_int64(row, 2);
    const char *key = (const char *)sqlite3_column_text(row, 1), *bytes = sqlite3_column_blob(row, 3);
    cpl_str value = {bytes, (size_t)sqlite3_column_bytes(row, 3)};
    entry *e;
    if (at < 0 || at >= TABLES || key == NULL || find(&store->tables[at], key))
        return cpl_fail(err, CPL_IO, "\"%s\" is damaged: a row of no known table", path);
    e = insert(&store->tables[at], key, order);
    if (e == NULL) return cpl_fail_nomem(err);
    if (order >= store->next_order) store->next_order = order + 1;
    if (at == BLOBS) return set_bytes(e, value) ? CPL_OK : cpl_fail_nomem(err);
    switch (cpl_json_parse(value, &e->doc, err)) {
    case CPL_OK: return CPL_OK;
    case CPL_NOMEM: return CPL_NOMEM;
    default: return cpl_fail(err, CPL_IO, "\"%s\" is damaged: document \"%s\"", path, key);
    }
}

static cpl_status load(emu_store *store, const char *path, cpl_error *err) {
    sqlite3_stmt *rows = NULL;
    cpl_status status = CPL_OK;
    int step = SQLITE_DONE;
    if (sqlite3_prepare_v2(store->db,
                           "SELECT tab, key, position, text FROM document UNION ALL "
                           "SELECT ?1, key, position, bytes FROM blob ORDER BY 3",
                           -1, &rows, NULL) != SQLITE_OK)
        return sql_failed(store->db, path, err);
    sqlite3_bind_int(rows, 1, BLOBS);
    while (status == CPL_OK && (step = sqlite3_step(rows)) == SQLITE_ROW) status = read_row(store, rows, path, err);
    if (status == CPL_OK && step != SQLITE_DONE) status = sql_failed(store->db, path, err);
    sqlite3_finalize(rows);
    return status;
}

/* Nothing is written to a file that turns out to be damaged, or locked: the mode changes last. */
static cpl_status open_file(emu_store *store, const char *path, cpl_error *err) {
    bool fresh = false;
    cpl_status status = cpl_sqlite_need(err);
    if (status) return status;
    if (sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        return store->db ? sql_failed(store->db, path, err) : cpl_fail_nomem(err);
    status = inspect(store->db, path, &fresh, err);
    if (status) return status;
    status = run_sql(store->db, "PRAGMA locking_mode=EXCLUSIVE;BEGIN EXCLUSIVE;", path, err);
    if (status == CPL_OK && fresh) status = create(store->db, path, err);
    if (status == CPL_OK && !fresh) status = quick_check(store->db, path, err);
    if (status == CPL_OK && !fresh) status = load(store, path, err);
    if (status == CPL_OK && !fresh) status = run_sql(store->db, "COMMIT;", path, err);
    if (status == CPL_OK) status = run_sql(store->db, "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;", path, err);
    return status;
}

static int write_document(sqlite3 *db, const change *changed, const entry *e) {
    sqlite3_stmt *statement = NULL;
    cpl_buf text;
    int step = SQLITE_NOMEM;
    cpl_buf_init(&text, SIZE_MAX / 4);
    if (e) cpl_json_write(e->doc, &text);
    if (cpl_buf_ok(&text) &&
        sqlite3_prepare_v2(db,
                           e ? "INSERT OR REPLACE INTO document(tab, key, position, text) VALUES(?1, ?2, ?3, ?4)"
                             : "DELETE FROM document WHERE tab=?1 AND key=?2",
                           -1, &statement, NULL) == SQLITE_OK) {
        sqlite3_bind_int(statement, 1, (int)changed->table);
        sqlite3_bind_text(statement, 2, changed->key, -1, SQLITE_STATIC);
        if (e) {
            sqlite3_bind_int64(statement, 3, e->order);
            sqlite3_bind_text64(statement, 4, text.p, text.n, SQLITE_STATIC, SQLITE_UTF8);
        }
        step = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    cpl_buf_wipe(&text);
    cpl_buf_release(&text);
    return step;
}

static int write_blob(sqlite3 *db, const change *changed, const entry *e) {
    sqlite3_stmt *statement = NULL;
    int step = SQLITE_ERROR;
    if (sqlite3_prepare_v2(db,
                           e ? "INSERT OR REPLACE INTO blob(key, position, bytes) VALUES(?1, ?2, ?3)"
                             : "DELETE FROM blob WHERE key=?1",
                           -1, &statement, NULL) == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, changed->key, -1, SQLITE_STATIC);
        if (e) {
            sqlite3_bind_int64(statement, 2, e->order);
            sqlite3_bind_blob64(statement, 3, e->bytes, e->size, SQLITE_STATIC);
        }
        step = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return step;
}

static void forget_changes(emu_store *store) {
    for (size_t i = 0; i < store->change_count; i++) {
        entry *e = find(&store->tables[store->changes[i].table], store->changes[i].key);
        if (e) e->dirty = false;
        cpl_free(store->changes[i].key);
    }
    store->change_count = 0;
}

cpl_status emu_store_commit(emu_store *store, cpl_error *err) {
    int step = SQLITE_DONE;
    if (store->changes_lost) return cpl_fail_nomem(err);
    if (store->change_count == 0) return CPL_OK;
    if (sqlite3_exec(store->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return cpl_fail(err, CPL_IO, "the state cannot be written: %s", sqlite3_errmsg(store->db));
    for (size_t i = 0; i < store->change_count && step == SQLITE_DONE; i++) {
        const change *changed = &store->changes[i];
        const entry *e = find(&store->tables[changed->table], changed->key);
        step = changed->table == BLOBS ? write_blob(store->db, changed, e) : write_document(store->db, changed, e);
    }
    if (step != SQLITE_DONE || sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        cpl_fail(err, CPL_IO, "the state cannot be written: %s", sqlite3_errmsg(store->db));
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        return CPL_IO; /* the changes stay noted: the next commit tries again */
    }
    forget_changes(store);
    return CPL_OK;
}

void emu_store_exchange(emu_store *store, emu_store *with) {
    for (unsigned at = 0; at < TABLES; at++) {
        table before = store->tables[at];
        store->tables[at] = with->tables[at];
        with->tables[at] = before;
        for (size_t i = 0; i < before.n; i++) note(store, at, before.ordered[i]->key);
        for (size_t i = 0; i < store->tables[at].n; i++) note(store, at, store->tables[at].ordered[i]->key);
    }
    if (store->next_order < with->next_order) store->next_order = with->next_order;
    with->next_order = store->next_order;
}

/* ---- life ---- */

cpl_status emu_store_open(emu_store **out, const char *path, cpl_error *err) {
    emu_store *store = cpl_calloc(1, sizeof *store);
    cpl_status status = CPL_OK;
    *out = NULL;
    if (store == NULL) return cpl_fail_nomem(err);
    store->pid = getpid();
    if (path[0] != '\0') status = open_file(store, path, err);
    if (status == CPL_OK) {
        *out = store;
    } else {
        emu_store_close(store);
    }
    return status;
}

void emu_store_close(emu_store *store) {
    if (store == NULL) return;
    forget_changes(store);
    if (store->db && store->pid == getpid()) sqlite3_close(store->db);
    for (size_t i = 0; i < TABLES; i++) {
        table *t = &store->tables[i];
        for (size_t k = 0; k < t->n; k++) free_entry(t->ordered[k]);
        cpl_free(t->ordered);
        cpl_free(t->slots);
    }
    cpl_free(store->changes);
    cpl_free(store);
}
