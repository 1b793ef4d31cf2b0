/* SPDX-License-Identifier: MIT */
#include "index.h"

/* ---- lists ---- */

bool emu_list_push(emu_list *list, void *item) {
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 8;
        void **items = cpl_realloc(list->items, cap * sizeof *items);
        if (items == NULL) return false;
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n++] = item;
    return true;
}

void emu_list_remove(emu_list *list, const void *item) {
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i] != item) continue;
        list->n--;
        memmove(list->items + i, list->items + i + 1, (list->n - i) * sizeof *list->items);
        return;
    }
}

void emu_list_remove_first(emu_list *list, size_t n) {
    if (n == 0) return;
    list->n -= n;
    memmove(list->items, list->items + n, list->n * sizeof *list->items);
}

void emu_list_release(emu_list *list) {
    cpl_free(list->items);
    *list = (emu_list){0};
}

/* ---- index: chained hash table ---- */

static uint64_t hash_of(const char *name) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    return hash ^ hash >> 32;
}

static emu_entry **slot_of(const emu_index *index, uint64_t hash) {
    return &index->slots[hash & (index->size - 1)];
}

static emu_entry **find(const emu_index *index, const char *name, uint64_t hash) {
    emu_entry **at = slot_of(index, hash);
    while (*at && ((*at)->hash != hash || strcmp((*at)->name, name) != 0)) at = &(*at)->next;
    return at;
}

static bool grow(emu_index *index) {
    emu_index wider = {.size = index->size ? index->size * 2 : 16, .n = index->n};
    wider.slots = cpl_calloc(wider.size, sizeof *wider.slots);
    if (wider.slots == NULL) return false;
    for (size_t i = 0; i < index->size; i++) {
        for (emu_entry *entry = index->slots[i], *next; entry; entry = next) {
            emu_entry **slot = slot_of(&wider, entry->hash);
            next = entry->next;
            entry->next = *slot;
            *slot = entry;
        }
    }
    cpl_free(index->slots);
    *index = wider;
    return true;
}

bool emu_index_set(emu_index *index, const char *name, void *value) {
    uint64_t hash = hash_of(name);
    size_t length = strlen(name) + 1;
    emu_entry **at, *entry;
    if (index->n >= index->size && !grow(index)) return false;
    at = find(index, name, hash);
    if (*at == NULL) {
        entry = cpl_malloc(sizeof *entry + length);
        if (entry == NULL) return false;
        entry->next = NULL;
        entry->hash = hash;
        memcpy(entry->name, name, length);
        *at = entry;
        index->n++;
    }
    (*at)->value = value;
    return true;
}

void *emu_index_get(const emu_index *index, const char *name) {
    emu_entry *entry = index->size ? *find(index, name, hash_of(name)) : NULL;
    return entry ? entry->value : NULL;
}

void emu_index_remove(emu_index *index, const char *name) {
    emu_entry **at, *entry;
    if (index->size == 0) return;
    at = find(index, name, hash_of(name));
    entry = *at;
    if (entry == NULL) return;
    *at = entry->next;
    cpl_free(entry);
    index->n--;
}

void emu_index_release(emu_index *index, void (*drop)(void *value)) {
    for (size_t i = 0; i < index->size; i++) {
        for (emu_entry *entry = index->slots[i], *next; entry; entry = next) {
            next = entry->next;
            if (drop) drop(entry->value);
            cpl_free(entry);
        }
    }
    cpl_free(index->slots);
    *index = (emu_index){0};
}

/* ---- timers: a binary heap ---- */

static bool before(const emu_timer *a, const emu_timer *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

bool emu_timers_add(emu_timers *timers, const emu_timer *timer) {
    emu_timer added = *timer;
    size_t i = timers->n;
    if (timers->n == timers->cap) {
        size_t cap = timers->cap ? timers->cap * 2 : 16;
        emu_timer *heap = cpl_realloc(timers->heap, cap * sizeof *heap);
        if (heap == NULL) return false;
        timers->heap = heap;
        timers->cap = cap;
    }
    timers->added++;
    if (added.order == 0) added.order = timers->added;
    for (timers->n++; i > 0 && before(&added, &timers->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        timers->heap[i] = timers->heap[(i - 1) / 2];
    }
    timers->heap[i] = added;
    return true;
}

bool emu_timers_next(emu_timers *timers, int64_t now, emu_timer *out) {
    emu_timer last;
    size_t i = 0, child;
    if (timers->n == 0 || timers->heap[0].at > now) return false;
    *out = timers->heap[0];
    last = timers->heap[--timers->n];
    for (; (child = 2 * i + 1) < timers->n; i = child) {
        if (child + 1 < timers->n && before(&timers->heap[child + 1], &timers->heap[child])) child++;
        if (!before(&timers->heap[child], &last)) break;
        timers->heap[i] = timers->heap[child];
    }
    timers->heap[i] = last;
    return true;
}

void emu_timers_release(emu_timers *timers) {
    cpl_free(timers->heap);
    *timers = (emu_timers){0};
}
