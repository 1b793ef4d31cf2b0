/* SPDX-License-Identifier: MIT */
/* The files in which the AWS CLI keeps tokens, and which it reads again after us. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../err.h"
#include "provider.h"

#define FILE_MAX ((size_t)1 << 20)

/* Whoever reads that a file is missing does not know who would have made it. */
static void add_advice(const cpl_creds_ask *ask, const char *file, const char *command, cpl_error *err) {
    char *path = cpl_config_path(ask->config, file);
    size_t n = err ? strlen(err->message) : 0;
    if (err && path && access(path, F_OK) != 0) {
        snprintf(err->message + n, sizeof err->message - n, ": nobody is signed in, run %s", command);
    }
    cpl_free(path);
}

cpl_status cpl_creds_load_token(const cpl_creds_ask *ask, const char *file, const char *command, cpl_json **out,
                                cpl_error *err) {
    cpl_buf text;
    cpl_status status;
    cpl_buf_init(&text, FILE_MAX);
    status = cpl_creds_as_credentials(cpl_config_read(ask->config, file, &text, err), err);
    if (status == CPL_CREDENTIALS) add_advice(ask, file, command, err);
    if (status == CPL_OK) status = cpl_creds_parse_json(cpl_buf_str(&text), file, out, err);
    cpl_buf_wipe(&text);
    cpl_buf_release(&text);
    return status;
}

static bool write_whole(int fd, cpl_str text) {
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        text = cpl_str_sub(text, (size_t)n, text.n);
    }
    return true;
}

/* A new file in place of the old: a reader sees one or the other. */
static void replace(const char *path, cpl_str text) {
    char beside[4096];
    int n = snprintf(beside, sizeof beside, "%s.XXXXXX", path), fd;
    if (n < 0 || (size_t)n >= sizeof beside) return;
    fd = mkostemp(beside, O_CLOEXEC); /* 0600 */
    if (fd < 0) return;
    if (!write_whole(fd, text) || rename(beside, path) != 0) unlink(beside);
    close(fd);
}

void cpl_creds_save_token(const cpl_creds_ask *ask, const char *file, const cpl_json *token) {
    char *path = cpl_config_path(ask->config, file);
    cpl_buf text;
    cpl_buf_init(&text, FILE_MAX);
    cpl_json_write(token, &text);
    if (path && cpl_buf_ok(&text)) replace(path, cpl_buf_str(&text));
    cpl_buf_wipe(&text);
    cpl_buf_release(&text);
    cpl_free(path);
}
