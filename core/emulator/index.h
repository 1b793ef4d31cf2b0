/* SPDX-License-Identifier: MIT */
/*
 * What the engine keeps beside the documents: arrays of pointers, pointers by name, and what is due when. They own
 * their memory and never what they point to.
 */
#ifndef CPL_EMU_INDEX_H
#define CPL_EMU_INDEX_H

#include "../base.h"

typedef struct emu_list {
    void **items;
    size_t n;
    size_t cap;
} emu_list; /* zeroed: empty */

bool emu_list_push(emu_list *list, void *item); /* false: out of memory */
void emu_list_remove(emu_list *list, const void *item);
void emu_list_remove_first(emu_list *list, size_t n);
void emu_list_release(emu_list *list);

typedef struct emu_entry {
    struct emu_entry *next;
    uint64_t hash;
    void *value;
    char name[]; /* NUL-terminated */
} emu_entry;

typedef struct emu_index {
    emu_entry **slots;
    size_t size; /* a power of two, or 0 */
    size_t n;
} emu_index; /* zeroed: empty */

bool emu_index_set(emu_index *index, const char *name, void *value); /* adds or replaces; false: out of memory */
void *emu_index_get(const emu_index *index, const char *name);       /* NULL when it is not there */
void emu_index_remove(emu_index *index, const char *name);
void emu_index_release(emu_index *index, void (*drop)(void *value)); /* drop may be NULL */

typedef enum emu_due {
    EMU_DUE_DELIVERY, /* id: a job that was handed out and not acknowledged */
    EMU_DUE_ACTION,   /* id: the execution, sub: the action execution that has run long enough */
    EMU_DUE_JOB,      /* id: a job that has run as long as its action type lets it */
    EMU_DUE_SCRIPT,   /* the same: what a script says about it is to happen */
    EMU_DUE_GRANT     /* id: the access key id of credentials that have expired, and are forgotten */
} emu_due;

typedef struct emu_timer {
    int64_t at;    /* milliseconds since 1970 */
    int64_t order; /* of those of one moment the smallest is first; 0: as they are added */
    emu_due due;
    char id[40];
    char sub[40];
} emu_timer;

typedef struct emu_timers {
    emu_timer *heap; /* the earliest first */
    size_t n;
    size_t cap;
    int64_t added;
} emu_timers; /* zeroed: empty */

/* Timers are not taken back: whoever handles one looks whether it still applies. false: out of memory. */
bool emu_timers_add(emu_timers *timers, const emu_timer *timer);
/* Takes out the earliest that is due by now; false when there is none. */
bool emu_timers_next(emu_timers *timers, int64_t now, emu_timer *out);
void emu_timers_release(emu_timers *timers);

#endif
