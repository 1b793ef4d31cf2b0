/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share. A target is one function over bytes of which anything may be wrong; it must not crash,
 * leak, hang, or break what MUST() says. ./dev fuzz runs it under libFuzzer, ./dev test c over its corpus (driver.c).
 */
#ifndef CPL_FUZZ_H
#define CPL_FUZZ_H

#include <stdint.h>

#include "../../core/buf.h"
#include "../../core/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                             \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

#define UNUSED __attribute__((unused))

UNUSED static cpl_str input_of(const uint8_t *data, size_t size) {
    return (cpl_str){size > 0 ? (const char *)data : "", size};
}

/* Takes what comes before the first such character off *rest, and the character. */
UNUSED static cpl_str take_until(cpl_str *rest, char end) {
    size_t n = cpl_str_find(*rest, end);
    cpl_str taken = cpl_str_sub(*rest, 0, n);
    *rest = cpl_str_sub(*rest, n + 1, rest->n);
    return taken;
}

#endif
