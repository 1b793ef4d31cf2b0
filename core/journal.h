/* SPDX-License-Identifier: MIT */
/*
 * What a worker remembers across its own death: each job it took, how far it came, the result it owes, and what it has
 * in the artifact store that nothing else tells of. One SQLite file. Thread-safe. Holds results, never credentials or
 * places of artifacts. A journal belongs to the process that opened it: in a child of a fork every call is CPL_STATE.
 *
 * Every function takes NULL for a journal that is not kept, and then does nothing.
 */
#ifndef CPL_JOURNAL_H
#define CPL_JOURNAL_H

#include "buf.h"

typedef struct cpl_journal cpl_journal;

/* In the order of a job's life; numbers are the file format. */
typedef enum cpl_entry_state {
    CPL_ENTRY_TAKEN = 1,    /* about to be acknowledged, or it is not known whether it was */
    CPL_ENTRY_ACKNOWLEDGED, /* ours, not begun */
    CPL_ENTRY_RUNNING,      /* its handler was started */
    CPL_ENTRY_OWED,         /* it has a result, which the service has not accepted */
    CPL_ENTRY_DELIVERED,    /* the result was accepted */
    CPL_ENTRY_DROPPED       /* not ours, somebody else's by now, or past its time */
} cpl_entry_state;

typedef struct cpl_entry {
    const char *id, *nonce;
    const char *type;   /* what the worker knows the action type by */
    const char *region; /* where it was polled */
    const char *client; /* whose third-party job it is; NULL: of a custom action */
    cpl_entry_state state;
    int starts;            /* how often its handler was started */
    int64_t taken_ms;      /* wall clock, as now_ms everywhere here */
    const char *operation; /* OWED: the call that delivers it, */
    const char *result;    /* and its parameters; else NULL */
} cpl_entry;

/*
 * A file that is no whole journal is set aside under a new name, a new one is begun, and cpl_journal_warning() tells.
 * CPL_STATE: another worker has it open. CPL_IO: it cannot be opened, or it is of a newer format.
 */
cpl_status cpl_journal_open(cpl_journal **out, cpl_str path, int64_t now_ms, cpl_error *err);
void cpl_journal_close(cpl_journal *journal);
/* What happened to the old file; NULL when nothing did. */
const char *cpl_journal_warning(const cpl_journal *journal);

/* Enters a job as TAKEN. *fresh is false, and nothing changes, when this very job with this nonce was taken before. */
cpl_status cpl_journal_take(cpl_journal *journal, const cpl_entry *entry, bool *fresh, cpl_error *err);
/* RUNNING counts as a start. OWED needs the result, which DELIVERED and DROPPED forget. On disk when it returns. */
cpl_status cpl_journal_mark(cpl_journal *journal, const cpl_entry *entry, int64_t now_ms, cpl_error *err);
/* Calls visit for each job that is not over, oldest first; texts live as long as the call. */
typedef cpl_status (*cpl_journal_visit)(void *context, const cpl_entry *entry, cpl_error *err);
cpl_status cpl_journal_each(cpl_journal *journal, cpl_journal_visit visit, void *context, cpl_error *err);
/* What a job has in the artifact store and may never get back to. */
typedef struct cpl_remains {
    const char *id, *nonce; /* the job */
    const char *artifact;   /* in whose place: an output's name */
    const char *upload;     /* an upload in parts that has begun; "": a state, of which no token tells yet */
} cpl_remains;

/* Before it is there. The worker's death leaves it written; a loss of power may not. */
cpl_status cpl_journal_note(cpl_journal *journal, const cpl_remains *what, cpl_error *err);
/* It is no more. */
cpl_status cpl_journal_strike(cpl_journal *journal, const cpl_remains *what, cpl_error *err);
/* The i-th of a job's, its texts appended; artifact stays empty when there are no more. */
cpl_status cpl_journal_remains(cpl_journal *journal, const cpl_remains *of, int i, cpl_buf *artifact, cpl_buf *upload,
                               cpl_error *err);
/* Forgets jobs that have been over for long, so that the file stays small. */
cpl_status cpl_journal_prune(cpl_journal *journal, int64_t now_ms, cpl_error *err);

#endif
