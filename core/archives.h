/* SPDX-License-Identifier: MIT */
/*
 * Archives in and out, streaming, through libarchive; archives.c is the only file that includes its <archive.h> (hence
 * the plural: a header of the same name on an include path would be found instead).
 */
#ifndef CPL_ARCHIVES_H
#define CPL_ARCHIVES_H

#include "buf.h"

typedef struct cpl_archive_limits {
    int64_t bytes;   /* unpacked, all files together; 0: 8 GiB */
    int64_t entries; /* 0: 1,000,000 */
} cpl_archive_limits;

/*
 * Unpacks the archive file at path (zip, tar, tar.gz, known by its first bytes) into the existing or new directory.
 * CPL_ARCHIVE names the entry: an absolute name, "..", a link that leaves the directory, a device, a duplicate, damage,
 * more than the limits. The directory is then as it was: files are unpacked into a folder of their own on the same file
 * system (inside the directory when it exists, beside it when not) and moved in when all of them are good. Files in a
 * directory that exists are replaced; one that would have to change its kind is CPL_ARCHIVE too. A zip must read the
 * same from both ends (zipdir.h).
 */
cpl_status cpl_archive_extract(const char *path, const char *directory, const cpl_archive_limits *limits,
                               const cpl_wait *wait, cpl_error *err);
/*
 * Zips a folder's contents (sorted, so that equal trees give equal names in equal order) or one file; to is made anew.
 */
cpl_status cpl_archive_pack(const char *from, const char *to, const cpl_wait *wait, cpl_error *err);

typedef struct cpl_archive_file {
    const char *name; /* in the archive; CPL_ARCHIVE when it could not be unpacked */
    cpl_str text;
} cpl_archive_file;
/* Zips them in the order they come, into memory. The same files give the same bytes. */
cpl_status cpl_archive_zip(const cpl_archive_file *files, size_t count, cpl_buf *out, cpl_error *err);

#endif
