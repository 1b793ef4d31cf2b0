/* SPDX-License-Identifier: MIT */
/*
 * A zip file can be read from its front (local headers) or from its back (central directory), and what the two say may
 * differ: so archives are smuggled past checks. This reads both, without unpacking, and accepts a file only when there
 * is exactly one way to understand it. No byte before the first entry, between entries, or after the end; local and
 * central headers agree; stored or deflated; not encrypted; names that stay inside (tree.h).
 */
#ifndef CPL_ZIPDIR_H
#define CPL_ZIPDIR_H

#include "pace.h"

/* fd: a regular file. *entries: how many there are. CPL_ARCHIVE names the entry; CPL_IO; CPL_NOMEM. */
cpl_status cpl_zipdir_check(int fd, int64_t max_entries, cpl_pace *pace, int64_t *entries, cpl_error *err);

#endif
