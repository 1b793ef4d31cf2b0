/* SPDX-License-Identifier: MIT */
#include "journal.h"

#include <pthread.h>

#include "err.h"
#include "fork.h"
#include "journal_book.h"

#define PRUNE_EVERY 1000 /* jobs taken */

struct cpl_journal {
    cpl_book book;
    uint32_t mark;
    int taken; /* since the last pruning */
    pthread_mutex_t lock;
};

cpl_status cpl_journal_open(cpl_journal **out, cpl_str path, int64_t now_ms, cpl_error *err) {
    cpl_journal *j;
    cpl_status status;
    *out = NULL;
    if (path.n > 4000 || cpl_str_find(path, '\0') != path.n) {
        return cpl_fail_at(err, CPL_INVALID, "journal", "journal: not a path");
    }
    j = cpl_calloc(1, sizeof *j);
    if (j == NULL) return cpl_fail_nomem(err);
    j->mark = cpl_fork_mark();
    if (pthread_mutex_init(&j->lock, NULL) != 0) {
        cpl_free(j);
        return cpl_fail_nomem(err);
    }
    status = path.n ? cpl_book_in_file(&j->book, path, now_ms, err) : cpl_book_in_memory(&j->book, err);
    if (status == CPL_OK) status = cpl_journal_prune(j, now_ms, err);
    if (status == CPL_OK) {
        *out = j;
    } else {
        cpl_journal_close(j);
    }
    return status;
}

void cpl_journal_close(cpl_journal *journal) {
    if (journal == NULL) return;
    if (journal->book.kind) journal->book.kind->close(journal->book.self);
    pthread_mutex_destroy(&journal->lock);
    cpl_free(journal);
}

const char *cpl_journal_warning(const cpl_journal *journal) {
    return journal ? journal->book.kind->warning(journal->book.self) : NULL;
}

/* With the lock, which leave() gives back; or CPL_STATE without it. */
static cpl_status enter(cpl_journal *j, cpl_error *err) {
    if (j->mark != cpl_fork_mark())
        return cpl_fail(err, CPL_STATE, "the journal belongs to the process that opened it");
    pthread_mutex_lock(&j->lock);
    return CPL_OK;
}

static cpl_status leave(cpl_journal *j, cpl_status status) {
    pthread_mutex_unlock(&j->lock);
    return status;
}

cpl_status cpl_journal_take(cpl_journal *journal, const cpl_entry *entry, bool *fresh, cpl_error *err) {
    cpl_status status;
    *fresh = true;
    if (journal == NULL) return CPL_OK;
    status = enter(journal, err);
    if (status) return status;
    status = journal->book.kind->take(journal->book.self, entry, fresh, err);
    if (status == CPL_OK && ++journal->taken >= PRUNE_EVERY) {
        journal->taken = 0;
        status = journal->book.kind->prune(journal->book.self, entry->taken_ms, err);
    }
    return leave(journal, status);
}

cpl_status cpl_journal_mark(cpl_journal *journal, const cpl_entry *entry, int64_t now_ms, cpl_error *err) {
    cpl_status status;
    if (journal == NULL) return CPL_OK;
    status = enter(journal, err);
    return status ? status : leave(journal, journal->book.kind->mark(journal->book.self, entry, now_ms, err));
}

cpl_status cpl_journal_each(cpl_journal *journal, cpl_journal_visit visit, void *context, cpl_error *err) {
    cpl_status status;
    if (journal == NULL) return CPL_OK;
    status = enter(journal, err);
    return status ? status : leave(journal, journal->book.kind->each(journal->book.self, visit, context, err));
}

cpl_status cpl_journal_prune(cpl_journal *journal, int64_t now_ms, cpl_error *err) {
    cpl_status status;
    if (journal == NULL) return CPL_OK;
    status = enter(journal, err);
    return status ? status : leave(journal, journal->book.kind->prune(journal->book.self, now_ms, err));
}
