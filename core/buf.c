/* SPDX-License-Identifier: MIT */
#include "buf.h"

#include <stdarg.h>

#include "err.h"

#define READ_SIZE 4096

void cpl_buf_init(cpl_buf *buf, size_t limit) {
    *buf = (cpl_buf){.limit = limit};
}

void cpl_buf_release(cpl_buf *buf) {
    cpl_free(buf->p);
    cpl_buf_init(buf, buf->limit);
}

void cpl_buf_clear(cpl_buf *buf) {
    buf->n = 0;
    buf->failed = CPL_OK;
    if (buf->p) buf->p[0] = '\0';
}

void cpl_buf_wipe(cpl_buf *buf) {
    if (buf->p) cpl_wipe(buf->p, buf->cap);
    cpl_buf_clear(buf);
}

void cpl_buf_truncate(cpl_buf *buf, size_t n) {
    if (n >= buf->n) return;
    buf->n = n;
    buf->p[n] = '\0';
}

static void fail(cpl_buf *buf, cpl_status status) {
    if (buf->p) cpl_wipe(buf->p, buf->n); /* what is thrown away may be half a secret */
    cpl_free(buf->p);
    cpl_buf_init(buf, buf->limit);
    buf->failed = status;
}

char *cpl_buf_reserve(cpl_buf *buf, size_t n) {
    size_t cap;
    char *p;
    if (buf->failed) return NULL;
    if (n > buf->limit || buf->n > buf->limit - n) {
        fail(buf, CPL_TOO_LARGE);
        return NULL;
    }
    if (buf->n + n < buf->cap) return buf->p + buf->n;
    cap = buf->cap < 64 ? 64 : buf->cap;
    while (cap <= buf->n + n) cap *= 2;
    p = cpl_realloc(buf->p, cap);
    if (p == NULL) {
        fail(buf, CPL_NOMEM);
        return NULL;
    }
    buf->p = p;
    buf->cap = cap;
    return p + buf->n;
}

void cpl_buf_commit(cpl_buf *buf, size_t n) {
    if (buf->failed) return;
    buf->n += n;
    buf->p[buf->n] = '\0';
}

void cpl_buf_add(cpl_buf *buf, const void *bytes, size_t n) {
    char *to = cpl_buf_reserve(buf, n);
    if (to == NULL) return;
    if (n > 0) memcpy(to, bytes, n);
    cpl_buf_commit(buf, n);
}

void cpl_buf_addc(cpl_buf *buf, char c) {
    cpl_buf_add(buf, &c, 1);
}

void cpl_buf_adds(cpl_buf *buf, const char *text) {
    cpl_buf_add(buf, text, strlen(text));
}

void cpl_buf_addv(cpl_buf *buf, cpl_str text) {
    cpl_buf_add(buf, text.p, text.n);
}

void cpl_buf_addf(cpl_buf *buf, const char *format, ...) {
    va_list args;
    int n;
    char *to;
    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) return;
    to = cpl_buf_reserve(buf, (size_t)n);
    if (to == NULL) return;
    va_start(args, format);
    vsnprintf(to, (size_t)n + 1, format, args);
    va_end(args);
    cpl_buf_commit(buf, (size_t)n);
}

void cpl_buf_add_hex(cpl_buf *buf, const void *bytes, size_t n) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = bytes;
    char *to = cpl_buf_reserve(buf, 2 * n);
    if (to == NULL) return;
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = digits[p[i] >> 4];
        to[2 * i + 1] = digits[p[i] & 15];
    }
    cpl_buf_commit(buf, 2 * n);
}

static bool is_unreserved(unsigned char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

void cpl_buf_add_uri(cpl_buf *buf, cpl_str text, bool keep_slash) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (is_unreserved(c) || (keep_slash && c == '/')) {
            cpl_buf_addc(buf, (char)c);
        } else {
            char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
            cpl_buf_add(buf, escaped, sizeof escaped);
        }
    }
}

cpl_status cpl_buf_status(const cpl_buf *buf, const char *what, cpl_error *err) {
    if (buf->failed == CPL_OK) return CPL_OK;
    if (buf->failed == CPL_NOMEM) return cpl_fail(err, CPL_NOMEM, "out of memory for %s", what);
    return cpl_fail(err, buf->failed, "%s is larger than %zu bytes", what, buf->limit);
}

char *cpl_buf_detach(cpl_buf *buf) {
    char *p;
    if (buf->failed) return NULL;
    if (buf->p == NULL) cpl_buf_add(buf, "", 0);
    p = buf->p;
    cpl_buf_init(buf, buf->limit);
    return p;
}

cpl_status cpl_buf_read(cpl_buf *buf, FILE *file, const char *path, cpl_error *err) {
    size_t n = 1;
    while (n > 0) {
        char *to = cpl_buf_reserve(buf, READ_SIZE);
        if (to == NULL) return cpl_buf_status(buf, path, err);
        n = fread(to, 1, READ_SIZE, file);
        cpl_buf_commit(buf, n);
    }
    return ferror(file) ? cpl_fail_errno(err, "read", path) : CPL_OK;
}
