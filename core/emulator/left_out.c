/* SPDX-License-Identifier: MIT */
/* What stands in for store_file.c in a build without SQLite (see the Makefile). */
#include "../err.h"
#include "store_file.h"

#ifdef CPL_WITHOUT_JOURNAL

cpl_status emu_file_open(emu_file **out, const char *path, const emu_file_reader *reader, cpl_error *err) {
    (void)path;
    (void)reader;
    *out = NULL;
    return cpl_fail_at(err, CPL_LEFT_OUT, "path",
                       "path: this build keeps no state in a file, it was made with CPL_JOURNAL=0");
}

/* No file was ever opened. */

void emu_file_close(emu_file *file) {
    (void)file;
}

cpl_status emu_file_begin(emu_file *file, cpl_error *err) {
    (void)file;
    (void)err;
    return CPL_LEFT_OUT;
}

cpl_status emu_file_write(emu_file *file, const emu_file_row *row, bool gone, cpl_error *err) {
    (void)row;
    (void)gone;
    return emu_file_begin(file, err);
}

cpl_status emu_file_end(emu_file *file, bool keep, cpl_error *err) {
    (void)keep;
    return emu_file_begin(file, err);
}

#endif
