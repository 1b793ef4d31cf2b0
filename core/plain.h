/* SPDX-License-Identifier: MIT */
/* The text of JSON strings, eight bytes at a time; inline, because most strings are shorter than a call is worth. */
#ifndef CPL_PLAIN_H
#define CPL_PLAIN_H

#include "base.h"

/* A word with this byte in each place. */
#define CPL_EACH(byte) (0x0101010101010101ull * (byte))

/*
 * The high bit is set of each byte of x that is '"', '\\' or a control character, and perhaps of bytes above the first
 * of those. (Less than 1 is 0; a byte above ASCII, of which that would be said wrongly, has its own high bit set.)
 */
static inline uint64_t cpl_stops_of(uint64_t x) {
    uint64_t quote = (x ^ CPL_EACH('"')) - CPL_EACH(1), backslash = (x ^ CPL_EACH('\\')) - CPL_EACH(1),
             control = x - CPL_EACH(0x20);
    return (quote | backslash | control) & ~x & CPL_EACH(0x80);
}

/* Eight bytes, the first of them the lowest. */
static inline uint64_t cpl_load8(const char *p) {
    uint64_t x;
    memcpy(&x, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

/*
 * Past the bytes that a string may hold as they are, eight at a time: not '"', '\\' or a control character. Those above
 * ASCII are noted, for the caller to check.
 */
static inline const char *cpl_skip_plain(const char *p, const char *end, bool *high) {
    uint64_t all = 0;
    for (; end - p >= 8; p += 8) {
        uint64_t x = cpl_load8(p);
        uint64_t stop = cpl_stops_of(x);
        if (stop) {
            int n = __builtin_ctzll(stop) / 8;
            all |= x & ((1ull << 8 * n) - 1);
            *high = *high || (all & CPL_EACH(0x80));
            return p + n;
        }
        all |= x;
    }
    while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\') all |= (unsigned char)*p++;
    *high = *high || (all & CPL_EACH(0x80));
    return p;
}

/* Whether all of it is printable ASCII. */
static inline bool cpl_is_printable(cpl_str text) {
    uint64_t odd = 0; /* high bits: of bytes above '~', as they are or with 1 more, and of those below ' ' */
    size_t i = 0;
    for (; text.n - i >= 8; i += 8) {
        uint64_t x = cpl_load8(text.p + i);
        odd |= x | (x + CPL_EACH(1)) | (x - CPL_EACH(' '));
    }
    odd &= CPL_EACH(0x80);
    for (; i < text.n; i++) odd |= text.p[i] < ' ' || text.p[i] > '~';
    return odd == 0;
}

#endif
