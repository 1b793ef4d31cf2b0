/* SPDX-License-Identifier: MIT */
#include "err.h"

#include <errno.h>
#include <stdarg.h>

const char *cpl_status_name(cpl_status status) {
    static const char *const names[] = {
#define X(name, text) #name,
        CPL_STATUS_LIST(X)
#undef X
    };
    return (unsigned)status < CPL_COUNT(names) ? names[status] : "UNKNOWN";
}

void cpl_error_clear(cpl_error *err) {
    if (err) *err = (cpl_error){.status = CPL_OK};
}

void cpl_error_prefix(cpl_error *err, const char *what) {
    char message[2 * sizeof err->message];
    if (err == NULL) return;
    snprintf(message, sizeof message, "%s%s", what, err->message);
    CPL_COPY(err->message, cpl_str_of(message));
}

void cpl_copy_text(char *to, size_t size, cpl_str text) {
    size_t n = cpl_utf8_cut(text, size - 1);
    if (n > 0) memcpy(to, text.p, n);
    to[n] = '\0';
}

void cpl_clean_text(char *text) {
    if (cpl_utf8_valid(cpl_str_of(text))) return;
    for (char *p = text; *p; p++) {
        if (*p & 0x80) *p = '?';
    }
}

static cpl_status fill(cpl_error *err, cpl_status status, const char *path, const char *format, va_list args) {
    char message[sizeof err->message + 4]; /* room to see where a long one was cut */
    if (err == NULL) return status;
    vsnprintf(message, sizeof message, format, args); /* before the clear: args may point into err */
    char at[sizeof err->path];
    CPL_COPY(at, cpl_str_of(path));
    cpl_error_clear(err);
    err->status = status;
    CPL_COPY(err->path, cpl_str_of(at));
    CPL_COPY(err->message, cpl_str_of(message));
    cpl_clean_text(err->path);
    cpl_clean_text(err->message);
    return status;
}

cpl_status cpl_fail(cpl_error *err, cpl_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(err, status, NULL, format, args);
    va_end(args);
    return status;
}

cpl_status cpl_fail_at(cpl_error *err, cpl_status status, const char *path, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(err, status, path, format, args);
    va_end(args);
    return status;
}

cpl_status cpl_fail_nomem(cpl_error *err) {
    return cpl_fail(err, CPL_NOMEM, "out of memory");
}

cpl_status cpl_fail_errno(cpl_error *err, const char *action, const char *file) {
    int number = errno;
    char text[128];
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
    const char *reason = strerror_r(number, text, sizeof text);
#else
    const char *reason = strerror_r(number, text, sizeof text) == 0 ? text : "unknown error";
#endif
    return cpl_fail(err, CPL_IO, "%s \"%s\": %s", action, file, reason);
}
