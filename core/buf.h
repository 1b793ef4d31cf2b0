/* SPDX-License-Identifier: MIT */
/*
 * Growable bytes, born with a ceiling. Appending never fails loudly: the first append that finds no memory, or passes
 * the ceiling, marks the buffer failed and empties it; later ones do nothing. So a function appends as it likes and
 * checks once, with cpl_buf_ok() or cpl_buf_status(). Bytes are always followed by a NUL that does not count.
 */
#ifndef CPL_BUF_H
#define CPL_BUF_H

#include "base.h"

typedef struct cpl_buf {
    char *p; /* NULL while nothing was appended */
    size_t n;
    size_t cap;
    size_t limit;      /* n never passes this */
    cpl_status failed; /* CPL_OK, CPL_NOMEM or CPL_TOO_LARGE */
} cpl_buf;

void cpl_buf_init(cpl_buf *buf, size_t limit);
void cpl_buf_release(cpl_buf *buf); /* frees; the buffer is as after init */
void cpl_buf_clear(cpl_buf *buf);   /* empties, forgets a failure, keeps the memory */
void cpl_buf_wipe(cpl_buf *buf);    /* overwrites what it holds and held, then clears */
void cpl_buf_truncate(cpl_buf *buf, size_t n);

void cpl_buf_add(cpl_buf *buf, const void *bytes, size_t n);
void cpl_buf_addc(cpl_buf *buf, char c);
void cpl_buf_adds(cpl_buf *buf, const char *text);
void cpl_buf_addv(cpl_buf *buf, cpl_str text);
void cpl_buf_addf(cpl_buf *buf, const char *format, ...) CPL_PRINTF(2, 3);
void cpl_buf_add_hex(cpl_buf *buf, const void *bytes, size_t n); /* lower case */
/* Percent-encodes all but the unreserved characters of RFC 3986; '/' stays when keep_slash. */
void cpl_buf_add_uri(cpl_buf *buf, cpl_str text, bool keep_slash);
/* Room for n more bytes, to be filled by the caller and counted with cpl_buf_commit(); NULL when failed. */
char *cpl_buf_reserve(cpl_buf *buf, size_t n);
void cpl_buf_commit(cpl_buf *buf, size_t n);

static inline bool cpl_buf_ok(const cpl_buf *buf) {
    return buf->failed == CPL_OK;
}
/* Adds the rest of a file. CPL_IO; or why the buffer failed, with the path in the message. */
cpl_status cpl_buf_read(cpl_buf *buf, FILE *file, const char *path, cpl_error *err);
/* The failure with a message that names what was being made ("the request"). */
cpl_status cpl_buf_status(const cpl_buf *buf, const char *what, cpl_error *err);
static inline cpl_str cpl_buf_str(const cpl_buf *buf) {
    return (cpl_str){buf->p ? buf->p : "", buf->n};
}
static inline const char *cpl_buf_cstr(const cpl_buf *buf) {
    return buf->p ? buf->p : "";
}
/* Hands the bytes (NUL-terminated, for cpl_free) to the caller and leaves the buffer empty; NULL when failed. */
char *cpl_buf_detach(cpl_buf *buf);

#endif
