/* SPDX-License-Identifier: MIT */
/*
 * A whole state as one JSON document, to be kept beside tests, sent with a report, or looked into:
 *
 *   {"format": "codepipeline-emulator", "version": 1, "region", "account", "clock": {"now": seconds, "frozen": bool},
 *    "pipelines": [{"key": "site", "document": {...}}, ...], ... one list a table of the store, in its order ...,
 *    "blobs": [{"key": "bucket/key", "base64": "..."}, ...]}
 *
 * Lists, because the order counts and is not every language's idea of an object.
 */
#ifndef CPL_EMU_SNAPSHOT_H
#define CPL_EMU_SNAPSHOT_H

#include "emu.h"

#define EMU_SNAPSHOT_VERSION 1

/* The list's name in the document; "blobs" for EMU_TABLE_COUNT. */
const char *emu_snapshot_list(size_t table);

/* Without objects, buckets are empty, and uploads gone. */
void emu_snapshot_write(emu *e, bool objects, cpl_buf *out);

/*
 * Makes the state of e that of the document, which is taken apart; the clock goes on from where it stood. On failure e
 * is as it was. CPL_INVALID: it is not such a document, or not one of this region and account; err->path names the
 * place.
 */
cpl_status emu_snapshot_read(emu *e, cpl_json *state, cpl_error *err);

/*
 * Checks everything that the emulator relies upon (snapshot_check.c): members, kinds, and what refers to what. Empty
 * objects where lists belong are made lists, because not every language tells them apart.
 */
cpl_status emu_snapshot_check(cpl_json *state, cpl_error *err);
/* The same for documents that somebody may have written into a file. */
cpl_status emu_snapshot_check_store(emu_store *store, cpl_error *err);

#endif
