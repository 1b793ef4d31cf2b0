/* SPDX-License-Identifier: MIT */
/*
 * Everything lives in memory, in one hash index a table plus the order of insertion. With a path, what a request
 * changed is written through to a file (store_file.c) in one transaction when the request ends; the file is read only
 * once, at open.
 */
#include "store_file.h"

#define TABLES (EMU_BLOBS + 1)

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
    emu_file *file; /* NULL: memory only */
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
    if (store->file == NULL || (e && e->dirty)) return;
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
    table *t = &store->tables[EMU_BLOBS];
    entry *e = find(t, key);
    bool fresh = e == NULL;
    if (fresh) e = insert(t, key, store->next_order++);
    if (e == NULL) return false;
    if (!set_bytes(e, bytes)) {
        if (fresh) drop(t, e);
        return false;
    }
    note(store, EMU_BLOBS, key);
    return true;
}

bool emu_blob_move(emu_store *store, const char *from, const char *to) {
    table *t = &store->tables[EMU_BLOBS];
    entry *e = find(t, from), *target = find(t, to);
    if (e == NULL || e == target) return e != NULL;
    if (target == NULL) target = insert(t, to, store->next_order++);
    if (target == NULL) return false;
    cpl_free(target->bytes);
    target->bytes = e->bytes;
    target->size = e->size;
    e->bytes = NULL;
    note(store, EMU_BLOBS, to);
    delete_key(store, EMU_BLOBS, from);
    return true;
}

cpl_str emu_blob_get(emu_store *store, const char *key) {
    entry *e = find(&store->tables[EMU_BLOBS], key);
    return e ? (cpl_str){e->bytes, e->size} : (cpl_str){NULL, 0};
}

cpl_str emu_blob_at(emu_store *store, size_t i, const char **key) {
    const table *t = &store->tables[EMU_BLOBS];
    if (i >= t->n) return (cpl_str){NULL, 0};
    *key = t->ordered[i]->key;
    return (cpl_str){t->ordered[i]->bytes, t->ordered[i]->size};
}

void emu_blob_delete(emu_store *store, const char *key) {
    delete_key(store, EMU_BLOBS, key);
}

/* ---- the file ---- */

static cpl_status read_row(void *context, const emu_file_row *row, const char *path, cpl_error *err) {
    emu_store *store = context;
    entry *e;
    if (row->table < 0 || row->table >= TABLES || row->key == NULL || find(&store->tables[row->table], row->key))
        return cpl_fail(err, CPL_IO, "\"%s\" is damaged: a row of no known table", path);
    e = insert(&store->tables[row->table], row->key, row->order);
    if (e == NULL) return cpl_fail_nomem(err);
    if (row->order >= store->next_order) store->next_order = row->order + 1;
    if (row->table == EMU_BLOBS) return set_bytes(e, row->bytes) ? CPL_OK : cpl_fail_nomem(err);
    switch (cpl_json_parse(row->bytes, &e->doc, err)) {
    case CPL_OK: return CPL_OK;
    case CPL_NOMEM: return CPL_NOMEM;
    default: return cpl_fail(err, CPL_IO, "\"%s\" is damaged: document \"%s\"", path, row->key);
    }
}

static cpl_status write_change(emu_store *store, const change *changed, cpl_error *err) {
    const entry *e = find(&store->tables[changed->table], changed->key);
    emu_file_row row = {.table = changed->table, .key = changed->key, .order = e ? e->order : 0};
    cpl_status status = CPL_OK;
    cpl_buf text;
    cpl_buf_init(&text, SIZE_MAX / 4);
    if (e && changed->table == EMU_BLOBS) {
        row.bytes = (cpl_str){e->bytes, e->size};
    } else if (e) {
        cpl_json_write(e->doc, &text);
        row.bytes = cpl_buf_str(&text);
        if (!cpl_buf_ok(&text)) status = cpl_fail_nomem(err);
    }
    if (status == CPL_OK) status = emu_file_write(store->file, &row, e == NULL, err);
    cpl_buf_wipe(&text);
    cpl_buf_release(&text);
    return status;
}

static void forget_changes(emu_store *store) {
    for (size_t i = 0; i < store->change_count; i++) {
        entry *e = find(&store->tables[store->changes[i].table], store->changes[i].key);
        if (e) e->dirty = false;
        cpl_free(store->changes[i].key);
    }
    store->change_count = 0;
}

/* What could not be written stays noted: the next commit tries again. */
cpl_status emu_store_commit(emu_store *store, cpl_error *err) {
    cpl_status status;
    if (store->changes_lost) return cpl_fail_nomem(err);
    if (store->change_count == 0) return CPL_OK;
    status = emu_file_begin(store->file, err);
    if (status) return status;
    for (size_t i = 0; i < store->change_count && status == CPL_OK; i++)
        status = write_change(store, &store->changes[i], err);
    if (status) {
        emu_file_end(store->file, false, NULL);
        return status;
    }
    status = emu_file_end(store->file, true, err);
    if (status == CPL_OK) forget_changes(store);
    return status;
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
    if (path[0] != '\0') {
        const emu_file_reader reader = {read_row, store};
        status = emu_file_open(&store->file, path, &reader, err);
    }
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
    emu_file_close(store->file);
    for (size_t i = 0; i < TABLES; i++) {
        table *t = &store->tables[i];
        for (size_t k = 0; k < t->n; k++) free_entry(t->ordered[k]);
        cpl_free(t->ordered);
        cpl_free(t->slots);
    }
    cpl_free(store->changes);
    cpl_free(store);
}
