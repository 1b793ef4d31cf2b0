/* SPDX-License-Identifier: MIT */
/*
 * A book in memory, for a worker that names no file: an array in the order of taking. Who is looked for is nearly
 * always among the newest, so it is read from its end, by a hash beside each entry.
 */
#include "err.h"
#include "journal_book.h"

typedef struct row {
    cpl_entry entry;
    int64_t changed_ms;
    char *texts[7]; /* what entry's members point to, in their order */
} row;

typedef struct slot {
    uint64_t hash; /* of id and nonce */
    row *row;
} slot;

typedef struct book {
    slot *slots;
    size_t n, cap;
} book;

enum { ID, NONCE, TYPE, REGION, CLIENT, OPERATION, RESULT };

static uint64_t hash_of(const cpl_entry *entry) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (const char *p = entry->id; *p; p++) hash = (hash ^ (unsigned char)*p) * 1099511628211u;
    for (const char *p = entry->nonce; *p; p++) hash = (hash ^ (unsigned char)*p) * 1099511628211u;
    return hash;
}

static row *find(const book *b, const cpl_entry *entry) {
    uint64_t hash = hash_of(entry);
    for (size_t i = b->n; i-- > 0;) {
        row *r = b->slots[i].row;
        if (b->slots[i].hash == hash && strcmp(r->entry.id, entry->id) == 0 &&
            strcmp(r->entry.nonce, entry->nonce) == 0)
            return r;
    }
    return NULL;
}

static bool keep(row *r, int at, const char *text, const char **member) {
    char *copy = text ? cpl_strdup(cpl_str_of(text)) : NULL;
    if (text && copy == NULL) return false;
    if (r->texts[at]) cpl_wipe(r->texts[at], strlen(r->texts[at]));
    cpl_free(r->texts[at]);
    *member = r->texts[at] = copy;
    return true;
}

static void free_row(row *r) {
    if (r == NULL) return;
    for (size_t i = 0; i < CPL_COUNT(r->texts); i++) {
        if (r->texts[i]) cpl_wipe(r->texts[i], strlen(r->texts[i])); /* results are the customer's */
        cpl_free(r->texts[i]);
    }
    cpl_free(r);
}

static row *new_row(const cpl_entry *entry) {
    row *r = cpl_calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->changed_ms = r->entry.taken_ms = entry->taken_ms;
    r->entry.state = CPL_ENTRY_TAKEN;
    if (keep(r, ID, entry->id, &r->entry.id) && keep(r, NONCE, entry->nonce, &r->entry.nonce) &&
        keep(r, TYPE, entry->type, &r->entry.type) && keep(r, REGION, entry->region, &r->entry.region) &&
        keep(r, CLIENT, entry->client, &r->entry.client))
        return r;
    free_row(r);
    return NULL;
}

static bool has_room(book *b) {
    size_t cap = b->cap ? b->cap * 2 : 16;
    slot *more;
    if (b->n < b->cap) return true;
    more = cpl_realloc(b->slots, cap * sizeof *more);
    if (more == NULL) return false;
    b->slots = more;
    b->cap = cap;
    return true;
}

static cpl_status take(void *self, const cpl_entry *entry, bool *fresh, cpl_error *err) {
    book *b = self;
    row *r;
    *fresh = find(b, entry) == NULL;
    if (!*fresh) return CPL_OK;
    r = has_room(b) ? new_row(entry) : NULL;
    if (r == NULL) return cpl_fail_nomem(err);
    b->slots[b->n++] = (slot){hash_of(entry), r};
    return CPL_OK;
}

static cpl_status mark(void *self, const cpl_entry *entry, int64_t now_ms, cpl_error *err) {
    row *r = find(self, entry);
    bool owed = entry->state == CPL_ENTRY_OWED;
    if (r == NULL) return CPL_OK;
    if (!keep(r, OPERATION, owed ? entry->operation : NULL, &r->entry.operation) ||
        !keep(r, RESULT, owed ? entry->result : NULL, &r->entry.result))
        return cpl_fail_nomem(err);
    r->entry.state = entry->state;
    r->entry.starts += entry->state == CPL_ENTRY_RUNNING;
    r->changed_ms = now_ms;
    return CPL_OK;
}

static cpl_status each(void *self, cpl_journal_visit visit, void *context, cpl_error *err) {
    const book *b = self;
    cpl_status status = CPL_OK;
    for (size_t i = 0; i < b->n && status == CPL_OK; i++) {
        const cpl_entry *entry = &b->slots[i].row->entry;
        if (entry->state < CPL_ENTRY_DELIVERED) status = visit(context, entry, err);
    }
    return status;
}

static bool is_over(const row *r) {
    return r->entry.state >= CPL_ENTRY_DELIVERED;
}

/* Of those that are over, the first to be taken go first when there are too many. */
static cpl_status prune(void *self, int64_t now_ms, cpl_error *err) {
    book *b = self;
    size_t kept = 0, over = 0;
    (void)err;
    for (size_t i = 0; i < b->n; i++) over += is_over(b->slots[i].row);
    for (size_t i = 0; i < b->n; i++) {
        row *r = b->slots[i].row;
        bool old = is_over(r) && (over > CPL_OVER_KEPT || r->changed_ms < now_ms - CPL_OVER_KEPT_MS);
        if (old) {
            free_row(r);
            over--;
        } else {
            b->slots[kept++] = b->slots[i];
        }
    }
    b->n = kept;
    return CPL_OK;
}

static const char *warning_of(const void *self) {
    (void)self;
    return NULL;
}

static void close_book(void *self) {
    book *b = self;
    for (size_t i = 0; i < b->n; i++) free_row(b->slots[i].row);
    cpl_free(b->slots);
    cpl_free(b);
}

cpl_status cpl_book_in_memory(cpl_book *out, cpl_error *err) {
    static const cpl_book_kind kind = {take, mark, each, prune, warning_of, close_book};
    book *b = cpl_calloc(1, sizeof *b);
    if (b == NULL) return cpl_fail_nomem(err);
    *out = (cpl_book){&kind, b};
    return CPL_OK;
}
