/* SPDX-License-Identifier: MIT */
/* Which parts this build has, and what stands in for the sources of those it has not (see the Makefile). */
#include "err.h"
#include "journal.h"

#ifdef CPL_WITHOUT_EMULATOR
#define HAS_EMULATOR false
#else
#define HAS_EMULATOR true
#endif
#ifdef CPL_WITHOUT_JOURNAL
#define HAS_JOURNAL false
#else
#define HAS_JOURNAL true
#endif

bool cpl_part(size_t i, const char **name, bool *there) {
    static const struct {
        const char *name;
        bool there;
    } parts[] = {{"emulator", HAS_EMULATOR}, {"journal", HAS_JOURNAL}};
    if (i >= CPL_COUNT(parts)) return false;
    *name = parts[i].name;
    *there = parts[i].there;
    return true;
}

#ifdef CPL_WITHOUT_JOURNAL

cpl_status cpl_journal_open(cpl_journal **out, cpl_str path, int64_t now_ms, cpl_error *err) {
    (void)path;
    (void)now_ms;
    *out = NULL;
    return cpl_fail_at(err, CPL_LEFT_OUT, "journal", "journal: this build keeps none, it was made with CPL_JOURNAL=0");
}

/* None was ever opened: what follows does what it does for NULL. */

void cpl_journal_close(cpl_journal *journal) {
    (void)journal;
}

const char *cpl_journal_warning(const cpl_journal *journal) {
    (void)journal;
    return NULL;
}

cpl_status cpl_journal_take(cpl_journal *journal, const cpl_entry *entry, bool *fresh, cpl_error *err) {
    (void)journal;
    (void)entry;
    (void)err;
    *fresh = true;
    return CPL_OK;
}

cpl_status cpl_journal_mark(cpl_journal *journal, const cpl_entry *entry, int64_t now_ms, cpl_error *err) {
    (void)journal;
    (void)entry;
    (void)now_ms;
    (void)err;
    return CPL_OK;
}

cpl_status cpl_journal_note(cpl_journal *journal, const cpl_remains *what, cpl_error *err) {
    (void)journal;
    (void)what;
    (void)err;
    return CPL_OK;
}

cpl_status cpl_journal_strike(cpl_journal *journal, const cpl_remains *what, cpl_error *err) {
    (void)journal;
    (void)what;
    (void)err;
    return CPL_OK;
}

cpl_status cpl_journal_remains(cpl_journal *journal, const cpl_remains *of, int i, cpl_buf *artifact, cpl_buf *upload,
                               cpl_error *err) {
    (void)journal;
    (void)of;
    (void)i;
    (void)artifact;
    (void)upload;
    (void)err;
    return CPL_OK;
}

cpl_status cpl_journal_each(cpl_journal *journal, cpl_journal_visit visit, void *context, cpl_error *err) {
    (void)journal;
    (void)visit;
    (void)context;
    (void)err;
    return CPL_OK;
}

cpl_status cpl_journal_prune(cpl_journal *journal, int64_t now_ms, cpl_error *err) {
    (void)journal;
    (void)now_ms;
    (void)err;
    return CPL_OK;
}

#endif

#ifdef CPL_WITHOUT_EMULATOR

static cpl_status no_emulator(cpl_error *err) {
    return cpl_fail(err, CPL_LEFT_OUT, "there is no emulator in this build, it was made with CPL_EMULATOR=0");
}

cpl_status cpl_emulator_start(cpl_emulator **out, const cpl_emulator_options *options, cpl_error *err) {
    (void)options;
    *out = NULL;
    return no_emulator(err);
}

/* No handle was ever given out, so none of what follows is reached with one. */

void cpl_emulator_stop(cpl_emulator *emulator) {
    (void)emulator;
}

const char *cpl_emulator_url(const cpl_emulator *emulator) {
    (void)emulator;
    return "";
}

bool cpl_emulator_environ(const cpl_emulator *emulator, size_t i, const char **name, const char **value) {
    (void)emulator;
    (void)i;
    *name = *value = NULL;
    return false;
}

double cpl_emulator_now(cpl_emulator *emulator) {
    (void)emulator;
    return 0;
}

void cpl_emulator_freeze(cpl_emulator *emulator, bool frozen) {
    (void)emulator;
    (void)frozen;
}

bool cpl_emulator_frozen(cpl_emulator *emulator) {
    (void)emulator;
    return false;
}

const char *cpl_emulator_repeats(cpl_emulator *emulator) {
    (void)emulator;
    return "refuse";
}

void cpl_emulator_clear(cpl_emulator *emulator) {
    (void)emulator;
}

#define NO_EMULATOR(name, ...)                                             \
    cpl_status name(cpl_emulator *emulator, __VA_ARGS__, cpl_error *err) { \
        (void)emulator;                                                    \
        return no_emulator(err);                                           \
    }
#pragma GCC diagnostic ignored "-Wunused-parameter"
NO_EMULATOR(cpl_emulator_create_bucket, cpl_str bucket)
NO_EMULATOR(cpl_emulator_advance, int64_t ms)
NO_EMULATOR(cpl_emulator_fault, const cpl_fault *fault)
NO_EMULATOR(cpl_emulator_function, cpl_str name, const char **address)
NO_EMULATOR(cpl_emulator_script, cpl_str script)
NO_EMULATOR(cpl_emulator_git_push, cpl_str push, cpl_str *out)
NO_EMULATOR(cpl_emulator_pull_request, cpl_str request, cpl_str *out)
NO_EMULATOR(cpl_emulator_set_repeats, cpl_str policy)
NO_EMULATOR(cpl_emulator_ledger, cpl_str *out)
NO_EMULATOR(cpl_emulator_feed, cpl_feed **out)
NO_EMULATOR(cpl_emulator_export, bool objects, cpl_str *out)
NO_EMULATOR(cpl_emulator_import, cpl_str state)

#endif
