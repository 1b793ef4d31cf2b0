/* SPDX-License-Identifier: MIT */
/*
 * The C tests' frame. A test file is a program: TEST(name) { ... } blocks, then TEST_MAIN. CHECK goes on after a
 * failure, NEED leaves the test. The closing line is "N passed, N failed, N skipped". Environment: TEST_ONLY runs the
 * tests whose name contains it, SUITES names the folder of third-party data (tests that need it skip, visibly, when it
 * is not there).
 */
#ifndef CPL_TEST_H
#define CPL_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
} test_case;

static test_case *test_first, **test_last = &test_first;
static int test_failures, test_skips;
static const char *test_skip_reason;

#define TEST(id)                                              \
    static void id(void);                                     \
    static test_case id##_case = {#id, id, NULL};             \
    __attribute__((constructor)) static void id##_add(void) { \
        *test_last = &id##_case;                              \
        test_last = &id##_case.next;                          \
    }                                                         \
    static void id(void)

#define CHECK(condition) \
    ((condition) ? true : (printf("  %s:%d: %s\n", __FILE__, __LINE__, #condition), test_failures++, false))
#define NEED(condition)                \
    do {                               \
        if (!CHECK(condition)) return; \
    } while (0)
#define CHECK_STR(got, want)                                                                                        \
    do {                                                                                                            \
        const char *got_ = (got), *want_ = (want);                                                                  \
        if (got_ == NULL || strcmp(got_, want_) != 0) {                                                             \
            printf("  %s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #got, got_ ? got_ : "(null)", want_); \
            test_failures++;                                                                                        \
        }                                                                                                           \
    } while (0)
#define SKIP(reason)                 \
    do {                             \
        test_skip_reason = (reason); \
        return;                      \
    } while (0)

/* The whole file, NUL-terminated, for free(); NULL when it cannot be read. *size may be NULL. */
__attribute__((unused)) static char *test_read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    size_t n = 0, cap = 0;
    if (file == NULL) return NULL;
    do {
        if (n + 1 >= cap) bytes = realloc(bytes, cap = cap ? cap * 2 : 65536);
        n += fread(bytes + n, 1, cap - n - 1, file);
    } while (!feof(file) && !ferror(file));
    bytes[n] = '\0';
    if (size) *size = n;
    fclose(file);
    return bytes;
}

/* SUITES/rest in a static buffer, or NULL when there is no such file or folder. */
__attribute__((unused)) static const char *test_suite_path(const char *rest) {
    static char path[1024];
    const char *root = getenv("SUITES");
    FILE *there;
    if (root == NULL) root = "../shared/suites";
    snprintf(path, sizeof path, "%s/%s", root, rest);
    there = fopen(path, "rb");
    if (there == NULL) return NULL;
    fclose(there);
    return path;
}

static int test_run_all(void) {
    const char *only = getenv("TEST_ONLY");
    int passed = 0, failed = 0;
    for (test_case *t = test_first; t; t = t->next) {
        if (only && strstr(t->name, only) == NULL) continue;
        test_failures = 0;
        test_skip_reason = NULL;
        t->run();
        if (test_failures > 0) {
            printf("FAIL %s\n", t->name);
            failed++;
        } else if (test_skip_reason) {
            printf("SKIP %s: %s\n", t->name, test_skip_reason);
            test_skips++;
        } else {
            passed++;
        }
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, test_skips);
    return failed > 0;
}

#define TEST_MAIN                         \
    int main(void) {                      \
        setvbuf(stdout, NULL, _IOLBF, 0); \
        return test_run_all();            \
    }

#endif
