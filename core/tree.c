/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "err.h"

static const char *byte_fault(cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < 0x20 || c == 0x7f) return "has a control character in its name";
        if (c == '\\') return "has a backslash in its name";
    }
    return NULL;
}

static bool has_drive(cpl_str text) {
    return text.n >= 2 && text.p[1] == ':' && ((text.p[0] | 32) >= 'a' && (text.p[0] | 32) <= 'z');
}

static const char *part_fault(cpl_str part) {
    if (part.n == 0) return "has an empty part in its name";
    if (cpl_str_is(part, ".")) return "has \".\" in its name";
    if (cpl_str_is(part, "..")) return "leaves the directory (\"..\")";
    if (part.n > CPL_TREE_NAME_MAX) return "has too long a name";
    return NULL;
}

/* Splits the first part off *rest. */
static cpl_str next_part(cpl_str *rest) {
    size_t end = cpl_str_find(*rest, '/');
    cpl_str part = cpl_str_sub(*rest, 0, end);
    *rest = cpl_str_sub(*rest, end + 1, rest->n);
    return part;
}

const char *cpl_tree_name_fault(cpl_str name) {
    const char *fault;
    if (name.n == 0) return "has an empty name";
    if (name.n > CPL_TREE_PATH_MAX) return "has too long a name";
    if (name.p[0] == '/') return "has an absolute name";
    if (has_drive(name)) return "has a drive in its name";
    if ((fault = byte_fault(name)) != NULL) return fault;
    for (int depth = 0; name.n > 0; depth++) {
        if (depth >= CPL_TREE_DEPTH_MAX) return "lies too deep";
        if ((fault = part_fault(next_part(&name))) != NULL) return fault;
    }
    return NULL;
}

/*
 * Climbing is allowed at the front only: there every part is a real folder, so that ".." is what it looks like. After a
 * part that may itself be a link, ".." could lead anywhere.
 */
const char *cpl_tree_link_fault(cpl_str name, cpl_str target) {
    static const char leaves[] = "is a link that leaves the directory";
    int depth = 0;
    bool climbing = true;
    for (size_t i = 0; i < name.n; i++) depth += name.p[i] == '/';
    if (target.n == 0) return "is a link to nothing";
    if (target.n > CPL_TREE_PATH_MAX) return "is a link with too long a target";
    if (target.p[0] == '/' || has_drive(target) || byte_fault(target)) return leaves;
    while (target.n > 0) {
        cpl_str part = next_part(&target);
        if (!cpl_str_is(part, "..")) {
            climbing = climbing && cpl_str_is(part, ".");
        } else if (!climbing || --depth < 0) {
            return leaves;
        }
    }
    return NULL;
}

/* Bytes of the valid character text begins with; 0 when it is none or must not be shown. */
static size_t shown_length(cpl_str text) {
    if ((unsigned char)text.p[0] < 0x20 || text.p[0] == 0x7f) return 0;
    for (size_t n = 1; n <= 4 && n <= text.n; n++) {
        if (cpl_utf8_valid(cpl_str_sub(text, 0, n))) return n;
    }
    return 0;
}

void cpl_tree_show(cpl_str name, char *out, size_t size) {
    size_t at = 0;
    while (name.n > 0) {
        size_t n = shown_length(name);
        if (at + (n ? n : 4) >= size) break;
        if (n) {
            memcpy(out + at, name.p, n);
        } else {
            snprintf(out + at, size - at, "\\x%02x", (unsigned char)name.p[0]);
        }
        at += n ? n : 4;
        name = cpl_str_sub(name, n ? n : 1, name.n);
    }
    out[at] = '\0';
}

cpl_status cpl_tree_path(cpl_str path, char **out, cpl_error *err) {
    if (path.n == 0) return cpl_fail(err, CPL_INVALID, "the path is empty");
    if (memchr(path.p, '\0', path.n)) return cpl_fail(err, CPL_INVALID, "the path has a NUL in it");
    *out = cpl_strdup(path);
    return *out ? CPL_OK : cpl_fail_nomem(err);
}

cpl_status cpl_tree_temp(cpl_str parent, const char *prefix, char **out, cpl_error *err) {
    cpl_buf path;
    cpl_buf_init(&path, CPL_TREE_PATH_MAX);
    cpl_buf_addv(&path, parent);
    cpl_buf_adds(&path, cpl_str_ends(parent, "/") || parent.n == 0 ? "" : "/");
    cpl_buf_adds(&path, prefix);
    cpl_buf_adds(&path, "XXXXXX");
    if (!cpl_buf_ok(&path)) return cpl_buf_status(&path, "the folder's name", err);
    if (mkdtemp(path.p) == NULL) {
        cpl_fail_errno(err, "make a folder like", path.p);
        cpl_buf_release(&path);
        return CPL_IO;
    }
    *out = cpl_buf_detach(&path);
    return CPL_OK;
}

static bool remove_children(int folder) {
    int listed = fcntl(folder, F_DUPFD_CLOEXEC, 0); /* closedir() closes its own */
    DIR *dir = listed < 0 ? NULL : fdopendir(listed);
    bool all = dir != NULL;
    if (dir == NULL && listed >= 0) close(listed);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (!cpl_tree_remove(folder, e->d_name)) all = false;
    }
    if (dir) closedir(dir);
    return all;
}

bool cpl_tree_remove(int at, const char *path) {
    int folder;
    if (unlinkat(at, path, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR && errno != EPERM) return false;
    folder = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 && errno == EACCES && fchmodat(at, path, 0700, 0) == 0) {
        folder = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (folder < 0) return errno == ENOENT;
    fchmod(folder, 0700); /* a handler may have made it read-only */
    remove_children(folder);
    close(folder);
    return unlinkat(at, path, AT_REMOVEDIR) == 0;
}
