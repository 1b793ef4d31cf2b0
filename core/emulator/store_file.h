/* SPDX-License-Identifier: MIT */
/* The SQLite file into which a store writes what a request changed, and from which it begins. */
#ifndef CPL_EMU_STORE_FILE_H
#define CPL_EMU_STORE_FILE_H

#include "emu.h"

#define EMU_BLOBS EMU_TABLE_COUNT /* blobs are one more table, whose entries have bytes instead of a document */

typedef struct emu_file emu_file;

typedef struct emu_file_row {
    int64_t table; /* an emu_table, or EMU_BLOBS; in a file that is damaged anything, and key NULL */
    const char *key;
    int64_t order;
    cpl_str bytes; /* a document's text */
} emu_file_row;

typedef struct emu_file_reader {
    cpl_status (*read)(void *context, const emu_file_row *row, const char *path, cpl_error *err);
    void *context;
} emu_file_reader;

/* Hands all rows over, in order. CPL_IO as emu_store_open() says. */
cpl_status emu_file_open(emu_file **out, const char *path, const emu_file_reader *reader, cpl_error *err);
void emu_file_close(emu_file *file); /* NULL is fine */
/* begin, write for each row, end: one transaction. A row that is gone needs only table and key. */
cpl_status emu_file_begin(emu_file *file, cpl_error *err);
cpl_status emu_file_write(emu_file *file, const emu_file_row *row, bool gone, cpl_error *err);
cpl_status emu_file_end(emu_file *file, bool keep, cpl_error *err);

#endif
