/* SPDX-License-Identifier: MIT */
/*
 * What every file of the core may use: the public types, text views, allocation in one place, functions nobody may
 * call. Depends on nothing but the C library.
 */
#ifndef CPL_BASE_H
#define CPL_BASE_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codepipeline.h"

#define CPL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__GNUC__)
#define CPL_PRINTF(at, first) __attribute__((format(printf, at, first)))
#define CPL_MUST_CHECK __attribute__((warn_unused_result))
#else
#define CPL_PRINTF(at, first)
#define CPL_MUST_CHECK
#endif

/* ---- allocation: one place, so that a test can make the n-th one fail ---- */

void *cpl_malloc(size_t size) CPL_MUST_CHECK;
void *cpl_calloc(size_t count, size_t size) CPL_MUST_CHECK;
void *cpl_realloc(void *old, size_t size) CPL_MUST_CHECK;
void cpl_free(void *memory); /* NULL is fine */
/* A NUL-terminated copy; NULL when out of memory. An absent view is copied as "". */
char *cpl_strdup(cpl_str text) CPL_MUST_CHECK;
/* Overwrites memory in a way the compiler keeps. */
void cpl_wipe(void *memory, size_t size);
/* Tests only: the n-th allocation from now fails (1: the next); 0 switches it off. Returns how many were made since. */
size_t cpl_alloc_fail_at(size_t n);
/* The same, and all that come after it fail too. */
size_t cpl_alloc_fail_from(size_t n);

/* ---- text views ---- */

#define CPL_LIT(literal) ((cpl_str){("" literal), sizeof(literal) - 1})

/* The shortest are here, because a call uses them some hundred times. */
static inline bool cpl_str_eq(cpl_str a, cpl_str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool cpl_str_is(cpl_str a, const char *b) {
    return cpl_str_eq(a, (cpl_str){b, b ? strlen(b) : 0});
}
bool cpl_str_is_nocase(cpl_str a, const char *b); /* ASCII */
bool cpl_str_starts(cpl_str text, const char *prefix);
bool cpl_str_ends(cpl_str text, const char *suffix);
/* Position of c, or n when it is not there. */
static inline size_t cpl_str_find(cpl_str text, char c) {
    const char *hit = text.n ? (const char *)memchr(text.p, c, text.n) : NULL;
    return hit ? (size_t)(hit - text.p) : text.n;
}
/* Clamped to the text. */
static inline cpl_str cpl_str_sub(cpl_str text, size_t from, size_t to) {
    if (to > text.n) to = text.n;
    if (from > to) from = to;
    return (cpl_str){text.p ? text.p + from : NULL, to - from};
}
cpl_str cpl_str_trim(cpl_str text);    /* spaces and tabs off both ends */
int cpl_str_cmp(cpl_str a, cpl_str b); /* by bytes, like memcmp */
/* The whole text is a decimal number that fits; else false and *out untouched. */
bool cpl_str_integer(cpl_str text, int64_t *out);
int cpl_hex_digit(char c); /* its value, in either case; -1: it is none */
bool cpl_utf8_valid(cpl_str text);
/* The longest prefix of at most max bytes that does not split a character. */
size_t cpl_utf8_cut(cpl_str text, size_t max);
/* How many characters (code points) valid UTF-8 has. */
size_t cpl_utf8_length(cpl_str text);

/* ---- functions nobody may call: use cpl_buf, cpl_malloc and the views ---- */

#ifndef CPL_ALLOW_BANNED
#undef strcpy
#define strcpy(a, b) cpl_banned_strcpy_
#undef strcat
#define strcat(a, b) cpl_banned_strcat_
#undef strncpy
#define strncpy(a, b, c) cpl_banned_strncpy_
#undef strncat
#define strncat(a, b, c) cpl_banned_strncat_
#undef sprintf
#define sprintf(...) cpl_banned_sprintf_
#undef vsprintf
#define vsprintf(...) cpl_banned_vsprintf_
#undef strtok
#define strtok(a, b) cpl_banned_strtok_
#undef gets
#define gets(a) cpl_banned_gets_
#undef atoi
#define atoi(a) cpl_banned_atoi_
#endif

#endif
