/* SPDX-License-Identifier: MIT */
/* What somebody meant who wrote a name that is not there: the nearest of those that are, if it is near. */
#ifndef CPL_GUESS_H
#define CPL_GUESS_H

#include "base.h"

typedef struct cpl_guess {
    cpl_str written;
    const char *best; /* of those tried; NULL: none is near */
    size_t distance;  /* letters too many, missing, wrong or exchanged with their neighbours */
} cpl_guess;

static inline cpl_guess cpl_guess_of(cpl_str written) {
    return (cpl_guess){.written = written};
}
/* name must outlive the guess. */
void cpl_guess_try(cpl_guess *guess, const char *name);

#endif
