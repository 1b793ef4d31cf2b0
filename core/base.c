/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <limits.h>
#include <stdatomic.h>

static atomic_size_t alloc_count; /* since cpl_alloc_fail_at() */
static atomic_size_t alloc_fail;  /* 0: never */
static atomic_bool alloc_fail_on; /* and all after it */

/* Costs one relaxed load when no test has asked for failures. */
static bool alloc_fails(void) {
    size_t fail = atomic_load_explicit(&alloc_fail, memory_order_relaxed), count;
    if (fail == 0) return false;
    count = atomic_fetch_add(&alloc_count, 1) + 1;
    return count == fail || (count > fail && atomic_load(&alloc_fail_on));
}

size_t cpl_alloc_fail_at(size_t n) {
    size_t made = atomic_exchange(&alloc_count, 0);
    atomic_store(&alloc_fail_on, false);
    atomic_store(&alloc_fail, n);
    return made;
}

size_t cpl_alloc_fail_from(size_t n) {
    size_t made = cpl_alloc_fail_at(n);
    atomic_store(&alloc_fail_on, true);
    return made;
}

void *cpl_malloc(size_t size) {
    return alloc_fails() ? NULL : malloc(size ? size : 1);
}

void *cpl_calloc(size_t count, size_t size) {
    return alloc_fails() ? NULL : calloc(count ? count : 1, size ? size : 1);
}

void *cpl_realloc(void *old, size_t size) {
    return alloc_fails() ? NULL : realloc(old, size ? size : 1);
}

void cpl_free(void *memory) {
    free(memory);
}

char *cpl_strdup(cpl_str text) {
    char *copy = cpl_malloc(text.n + 1);
    if (copy == NULL) return NULL;
    if (text.n > 0) memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    return copy;
}

void cpl_wipe(void *memory, size_t size) {
    memset(memory, 0, size);
    __asm__ __volatile__("" : : "r"(memory) : "memory"); /* somebody may look: the compiler must not drop the store */
}

cpl_str cpl_str_of(const char *text) {
    return text ? (cpl_str){text, strlen(text)} : (cpl_str){NULL, 0};
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool cpl_str_is_nocase(cpl_str a, const char *b) {
    for (size_t i = 0; i < a.n; i++) {
        if (b[i] == '\0' || lower(a.p[i]) != lower(b[i])) return false;
    }
    return b[a.n] == '\0';
}

bool cpl_str_starts(cpl_str text, const char *prefix) {
    size_t n = strlen(prefix);
    return text.n >= n && memcmp(text.p ? text.p : "", prefix, n) == 0;
}

bool cpl_str_ends(cpl_str text, const char *suffix) {
    size_t n = strlen(suffix);
    return text.n >= n && (n == 0 || memcmp(text.p + text.n - n, suffix, n) == 0);
}

int cpl_hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

cpl_str cpl_str_trim(cpl_str text) {
    size_t from = 0, to = text.n;
    while (from < to && is_blank(text.p[from])) from++;
    while (to > from && is_blank(text.p[to - 1])) to--;
    return cpl_str_sub(text, from, to);
}

int cpl_str_cmp(cpl_str a, cpl_str b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order != 0) return order;
    return (a.n > b.n) - (a.n < b.n);
}

bool cpl_str_integer(cpl_str text, int64_t *out) {
    size_t i = 0;
    bool negative = text.n > 0 && text.p[0] == '-';
    int64_t value = 0;
    if (negative) i++;
    if (i == text.n) return false;
    for (; i < text.n; i++) {
        int digit = text.p[i] - '0';
        if (digit < 0 || digit > 9) return false;
        /* built downwards, because the smallest number has no positive twin */
        if (value < (INT64_MIN + digit) / 10) return false;
        value = value * 10 - digit;
    }
    if (!negative && value == INT64_MIN) return false;
    *out = negative ? value : -value;
    return true;
}

/* Length of the well-formed sequence at p (Unicode table 3-7), 0 when there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t n) {
    unsigned char low = 0x80, high = 0xBF;
    size_t length;
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4) return 0;
    length = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (n < length) return 0;
    if (p[0] == 0xE0) low = 0xA0;
    if (p[0] == 0xED) high = 0x9F;
    if (p[0] == 0xF0) low = 0x90;
    if (p[0] == 0xF4) high = 0x8F;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
    }
    return length;
}

bool cpl_utf8_valid(cpl_str text) {
    const unsigned char *p = (const unsigned char *)text.p;
    for (size_t i = 0; i < text.n;) {
        size_t length = utf8_sequence(p + i, text.n - i);
        if (length == 0) return false;
        i += length;
    }
    return true;
}

size_t cpl_utf8_cut(cpl_str text, size_t max) {
    if (text.n <= max) return text.n;
    while (max > 0 && ((unsigned char)text.p[max] & 0xC0) == 0x80) max--;
    return max;
}

size_t cpl_utf8_length(cpl_str text) {
    size_t length = 0;
    for (size_t i = 0; i < text.n; i++) length += ((unsigned char)text.p[i] & 0xC0) != 0x80;
    return length;
}
