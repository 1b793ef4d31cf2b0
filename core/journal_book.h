/* SPDX-License-Identifier: MIT */
/*
 * Where a journal's entries stand: memory, or a file. The journal has the lock and knows the process; it alone calls
 * these.
 */
#ifndef CPL_JOURNAL_BOOK_H
#define CPL_JOURNAL_BOOK_H

#include "journal.h"

#define CPL_OVER_KEPT 10000 /* jobs that are over: at most so many, */
#define CPL_OVER_KEPT_MS (48 * 3600 * INT64_C(1000))

/* What the functions of the same names in journal.h say. */
typedef struct cpl_book_kind {
    cpl_status (*take)(void *self, const cpl_entry *entry, bool *fresh, cpl_error *err);
    cpl_status (*mark)(void *self, const cpl_entry *entry, int64_t now_ms, cpl_error *err);
    cpl_status (*each)(void *self, cpl_journal_visit visit, void *context, cpl_error *err);
    cpl_status (*prune)(void *self, int64_t now_ms, cpl_error *err);
    const char *(*warning)(const void *self);
    void (*close)(void *self); /* NULL is fine */
} cpl_book_kind;

typedef struct cpl_book {
    const cpl_book_kind *kind;
    void *self;
} cpl_book;

/* Both leave *out alone when they fail. */
cpl_status cpl_book_in_memory(cpl_book *out, cpl_error *err);
/* As cpl_journal_open() says; path is not empty. */
cpl_status cpl_book_in_file(cpl_book *out, cpl_str path, int64_t now_ms, cpl_error *err);

#endif
