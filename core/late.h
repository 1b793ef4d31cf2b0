/* SPDX-License-Identifier: MIT */
/*
 * Libraries that most processes never need, loaded when they first are; docs/adr/0009 says which, and why. The
 * functions of one are a list, FUNCTIONS(X) X(one) X(two); CPL_LATE_POINTER makes pointers of it, CPL_LATE_NAME names.
 */
#ifndef CPL_LATE_H
#define CPL_LATE_H

#include "base.h"

#define CPL_LATE_POINTER(name) __typeof__(name) *name;
#define CPL_LATE_NAME(name) #name,

/* Fills the table, pointers in the order of the names. False: why says what is missing. The library stays loaded. */
bool cpl_late_load(const char *library, const char *const names[], size_t count, void *table, char *why,
                   size_t why_size);

#endif
