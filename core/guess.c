/* SPDX-License-Identifier: MIT */
#include "guess.h"

#define LONGEST 63 /* of the names that are looked at */

static int lower(char c) {
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Damerau's distance, by restricted edits, whatever the case. */
static size_t distance_of(cpl_str a, cpl_str b) {
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.n; j++) above[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *oldest = before;
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            bool same = lower(a.p[i - 1]) == lower(b.p[j - 1]);
            row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + !same);
            if (i > 1 && j > 1 && lower(a.p[i - 1]) == lower(b.p[j - 2]) && lower(a.p[i - 2]) == lower(b.p[j - 1])) {
                row[j] = least(row[j], before[j - 2] + 1);
            }
        }
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.n];
}

void cpl_guess_try(cpl_guess *guess, const char *name) {
    cpl_str known = cpl_str_of(name);
    size_t distance, near = (known.n + 2) / 4;
    if (guess->written.n == 0 || guess->written.n > LONGEST || known.n > LONGEST) return;
    distance = distance_of(guess->written, known);
    if (distance > near || (guess->best && distance >= guess->distance)) return;
    guess->best = name;
    guess->distance = distance;
}

const char *cpl_nearest(cpl_str written, const char *const *names, size_t count) {
    cpl_guess guess = cpl_guess_of(written);
    for (size_t i = 0; i < count; i++) cpl_guess_try(&guess, names[i]);
    return guess.best;
}
