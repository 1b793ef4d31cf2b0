/* SPDX-License-Identifier: MIT */
/*
 * Filling a cpl_error. Messages: lower case, no full stop, the subject in quotes, no "failed to" in front; they will be
 * read as the text of an exception. err may be NULL everywhere.
 */
#ifndef CPL_ERR_H
#define CPL_ERR_H

#include "base.h"

/* Sets status, message (UTF-8), and clears the rest; returns status, so that a caller can return it. */
cpl_status cpl_fail(cpl_error *err, cpl_status status, const char *format, ...) CPL_PRINTF(3, 4);
/* The same with the path of the member at fault; the message should not repeat it. */
cpl_status cpl_fail_at(cpl_error *err, cpl_status status, const char *path, const char *format, ...) CPL_PRINTF(4, 5);
/* "out of memory". */
cpl_status cpl_fail_nomem(cpl_error *err);
/* CPL_IO with what was done, to which file, and errno's text: "open "/x": permission denied". */
cpl_status cpl_fail_errno(cpl_error *err, const char *action, const char *file);
void cpl_error_clear(cpl_error *err);
/* Says before the message what it was that went wrong; the rest of err stays. */
void cpl_error_prefix(cpl_error *err, const char *what);
/* Copies text into a fixed-size array, cut at a character boundary. */
void cpl_copy_text(char *to, size_t size, cpl_str text);
/* Makes it UTF-8 if it is not: then every byte that is not ASCII becomes '?'. What strangers sent goes through this. */
void cpl_clean_text(char *text);
#define CPL_COPY(array, text) cpl_copy_text((array), sizeof(array), (text))

#endif
