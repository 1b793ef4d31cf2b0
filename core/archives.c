/* SPDX-License-Identifier: MIT */
#include "archives.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "late.h"
#include "pace.h"
#include "tree.h"
#include "zipdir.h"

#define BLOCK 65536
#define DEFAULT_BYTES ((int64_t)8 << 30)
#define DEFAULT_ENTRIES 1000000
#define READABLE 0600 /* an archive may not lock its owner out */

/* ---- the library, loaded when it is first needed ---- */

/*
 * Most processes never open an archive, and libarchive brings other libraries along, ICU among them: half as much time
 * again as loading all the rest takes, and 3 MB. See docs/adr/0009. With CPL_STATIC it is part of the module.
 */
_Static_assert(ARCHIVE_VERSION_NUMBER / 1000000 == 3, "all of libarchive 3 has this name; another may not");

/* clang-format off */
#define FUNCTIONS(X)                                                                                                  \
    X(archive_entry_clear) X(archive_entry_filetype) X(archive_entry_free) X(archive_entry_hardlink)                  \
    X(archive_entry_is_encrypted) X(archive_entry_mode) X(archive_entry_mtime) X(archive_entry_mtime_is_set)          \
    X(archive_entry_mtime_nsec) X(archive_entry_new) X(archive_entry_pathname) X(archive_entry_set_mode)              \
    X(archive_entry_set_mtime) X(archive_entry_set_pathname) X(archive_entry_set_size) X(archive_entry_set_symlink)   \
    X(archive_entry_size) X(archive_entry_size_is_set) X(archive_entry_sparse_count) X(archive_entry_symlink)         \
    X(archive_errno) X(archive_error_string) X(archive_read_data_block) X(archive_read_free) X(archive_read_new)      \
    X(archive_read_next_header) X(archive_read_open_fd) X(archive_read_support_filter_gzip)                           \
    X(archive_read_support_format_tar) X(archive_read_support_format_zip_seekable) X(archive_write_close)             \
    X(archive_write_data) X(archive_write_free) X(archive_write_header) X(archive_write_new) X(archive_write_open)    \
    X(archive_write_open_fd) X(archive_write_set_bytes_in_last_block) X(archive_write_set_format_zip)                 \
    X(archive_write_set_options) X(archive_write_zip_set_compression_deflate)
/* clang-format on */

static const char *const lib_names[] = {FUNCTIONS(CPL_LATE_NAME)};
static struct { FUNCTIONS(CPL_LATE_POINTER) } lib = {FUNCTIONS(CPL_LATE_ITSELF)};
static cpl_late library = {.called = "libarchive",
                           .files = {"libarchive.so.13"},
                           .names = lib_names,
                           .count = CPL_COUNT(lib_names),
                           .table = &lib,
                           .once = PTHREAD_ONCE_INIT};

/* ---- its locale ---- */

/*
 * libarchive turns names into the character set of the thread's locale, and a program that never called setlocale() is
 * in one without letters beyond ASCII. So a UTF-8 locale stands while libarchive works, and steps aside for the tick.
 */
typedef struct utf8_locale {
    locale_t ours, outer;
} utf8_locale;

static void enter_locale(utf8_locale *l) {
    static const char *const names[] = {"C.UTF-8", "en_US.UTF-8", "UTF-8"};
    l->ours = (locale_t)0;
    for (size_t i = 0; i < CPL_COUNT(names) && l->ours == (locale_t)0; i++) {
        l->ours = newlocale(LC_CTYPE_MASK, names[i], (locale_t)0);
    }
    if (l->ours != (locale_t)0) l->outer = uselocale(l->ours);
}

static void leave_locale(utf8_locale *l) {
    if (l->ours == (locale_t)0) return;
    uselocale(l->outer);
    freelocale(l->ours);
}

static cpl_status check_pace(cpl_pace *pace, const utf8_locale *l, cpl_error *err) {
    cpl_status status;
    if (l->ours != (locale_t)0) uselocale(l->outer);
    status = cpl_pace_check(pace, err);
    if (l->ours != (locale_t)0) uselocale(l->ours);
    return status;
}

/* What libarchive has to say, in a form that may be shown. */
static cpl_status archive_fault(struct archive *a, const char *subject, cpl_error *err) {
    char reason[256];
    if (lib.archive_errno(a) == ENOMEM) return cpl_fail_nomem(err);
    if (lib.archive_errno(a) == ENOSPC || lib.archive_errno(a) == EDQUOT || lib.archive_errno(a) == EIO) {
        errno = lib.archive_errno(a);
        return cpl_fail_errno(err, "read or write", subject);
    }
    cpl_tree_show(cpl_str_of(lib.archive_error_string(a)), reason, sizeof reason);
    return cpl_fail(err, CPL_ARCHIVE, "\"%s\" is damaged: %s", subject, reason[0] ? reason : "unknown reason");
}

/* ---- unpacking ---- */

typedef struct unpack {
    struct archive *reader;
    int fd;   /* the archive */
    int root; /* the folder that entries go into: new, and nobody else's */
    bool zip;
    int64_t listed; /* entries in the zip's directory */
    int64_t max_bytes, max_entries;
    int64_t bytes, entries;
    cpl_pace pace;
    utf8_locale locale;
    cpl_error *err;
    char shown[256]; /* the entry at hand, for messages */
} unpack;

static cpl_status refuse(const unpack *u, const char *why) {
    return cpl_fail(u->err, CPL_ARCHIVE, "\"%s\" %s", u->shown, why);
}

static cpl_status too_large(const unpack *u) {
    return cpl_fail(u->err, CPL_ARCHIVE, "\"%s\" takes the archive over its limit of %lld bytes", u->shown,
                    (long long)u->max_bytes);
}

/* The folder part of name, each component made when missing and never a link; -1 with the reason in u->err. */
static int open_parent(const unpack *u, char *name, char **leaf) {
    int at = fcntl(u->root, F_DUPFD_CLOEXEC, 0);
    char *part = name, *slash;
    while (at >= 0 && (slash = strchr(part, '/')) != NULL) {
        int next;
        *slash = '\0';
        next = mkdirat(at, part, 0777) == 0 || errno == EEXIST
                   ? openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                   : -1;
        if (next < 0 && (errno == ENOTDIR || errno == ELOOP)) {
            refuse(u, "lies below something that is not a folder");
        } else if (next < 0) {
            cpl_fail_errno(u->err, "make the folder of", u->shown);
        }
        *slash = '/';
        close(at);
        at = next;
        part = slash + 1;
    }
    *leaf = part;
    return at;
}

static cpl_status write_at(const unpack *u, int fd, const char *bytes, size_t n, int64_t at) {
    while (n > 0) {
        ssize_t put = pwrite(fd, bytes, n, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return cpl_fail_errno(u->err, "write", u->shown);
        bytes += put;
        at += put;
        n -= (size_t)put;
    }
    return CPL_OK;
}

/* Copies the entry's data. What counts is what was written, not what the archive promised. */
static cpl_status write_data(unpack *u, struct archive_entry *entry, int fd) {
    int64_t declared = lib.archive_entry_size_is_set(entry) ? lib.archive_entry_size(entry) : -1, end = 0;
    const void *block;
    size_t n;
    la_int64_t at;
    int got;
    if (declared > u->max_bytes - u->bytes) return too_large(u);
    while ((got = lib.archive_read_data_block(u->reader, &block, &n, &at)) == ARCHIVE_OK) {
        cpl_status status = check_pace(&u->pace, &u->locale, u->err);
        if (status != CPL_OK) return status;
        if (at < end) return refuse(u, "is damaged: its data overlaps");
        if (at > u->max_bytes - u->bytes - (int64_t)n) return too_large(u);
        if (declared >= 0 && at > declared - (int64_t)n) return refuse(u, "is longer than its size says");
        status = write_at(u, fd, block, n, at);
        if (status != CPL_OK) return status;
        end = at + (int64_t)n;
    }
    if (got != ARCHIVE_EOF) return archive_fault(u->reader, u->shown, u->err);
    if (declared > end) {
        if (lib.archive_entry_sparse_count(entry) == 0) return refuse(u, "is shorter than its size says");
        if (ftruncate(fd, (off_t)declared) != 0) return cpl_fail_errno(u->err, "write", u->shown);
        end = declared;
    }
    u->bytes += end;
    return CPL_OK;
}

static cpl_status make_failed(const unpack *u) {
    if (errno == EEXIST || errno == EISDIR) return refuse(u, "is in the archive twice");
    return cpl_fail_errno(u->err, "make", u->shown);
}

static cpl_status make_file(unpack *u, struct archive_entry *entry, int parent, const char *leaf) {
    mode_t mode = (lib.archive_entry_mode(entry) & 0777) | READABLE;
    int fd = openat(parent, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    cpl_status status;
    if (fd < 0) return make_failed(u);
    status = write_data(u, entry, fd);
    if (status == CPL_OK && lib.archive_entry_mtime_is_set(entry)) {
        struct timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT},
                                    {lib.archive_entry_mtime(entry), lib.archive_entry_mtime_nsec(entry)}};
        (void)futimens(fd, times); /* a date the file system cannot hold is no reason to lose the file */
    }
    if (close(fd) != 0 && status == CPL_OK) status = cpl_fail_errno(u->err, "write", u->shown);
    return status;
}

static cpl_status make_folder(const unpack *u, int parent, const char *leaf) {
    struct stat there;
    if (mkdirat(parent, leaf, 0777) == 0) return CPL_OK;
    /* made for an entry inside it, or named twice, which changes nothing */
    if (errno == EEXIST && fstatat(parent, leaf, &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(there.st_mode)) {
        return CPL_OK;
    }
    errno = EEXIST;
    return make_failed(u);
}

static cpl_status make_symlink(const unpack *u, struct archive_entry *entry, int parent, const char *leaf,
                               cpl_str name) {
    const char *target = lib.archive_entry_symlink(entry);
    const char *fault = cpl_tree_link_fault(name, cpl_str_of(target));
    if (fault) return refuse(u, fault);
    return symlinkat(target, parent, leaf) == 0 ? CPL_OK : make_failed(u);
}

/* A second name for a file unpacked before (tar only). */
static cpl_status make_hard_link(const unpack *u, const char *target, int parent, const char *leaf) {
    cpl_str view = cpl_str_of(target);
    struct stat there;
    char *path, *last;
    cpl_status status = CPL_OK;
    int from;
    while (cpl_str_starts(view, "./")) view = cpl_str_sub(view, 2, view.n);
    if (cpl_tree_name_fault(view)) return refuse(u, "is a link that leaves the directory");
    path = cpl_strdup(view);
    if (path == NULL) return cpl_fail_nomem(u->err);
    from = open_parent(u, path, &last);
    if (from < 0) {
        status = refuse(u, "is a link to something that is not in the archive");
    } else if (fstatat(from, last, &there, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(there.st_mode)) {
        status = refuse(u, "is a link to something that is not a file before it in the archive");
    } else if (linkat(from, last, parent, leaf, 0) != 0) {
        status = make_failed(u);
    }
    if (from >= 0) close(from);
    cpl_free(path);
    return status;
}

static cpl_status make_entry(unpack *u, struct archive_entry *entry, char *name) {
    cpl_str view = cpl_str_of(name);
    const char *hard = lib.archive_entry_hardlink(entry);
    cpl_status status;
    char *leaf;
    int parent;
    if (cpl_str_ends(view, "/")) {
        if (hard || lib.archive_entry_filetype(entry) != AE_IFDIR)
            return refuse(u, "has the name of a folder, but is none");
        name[view.n - 1] = '\0';
    }
    parent = open_parent(u, name, &leaf);
    if (parent < 0) return u->err->status;
    if (hard) {
        status = make_hard_link(u, hard, parent, leaf);
    } else if (lib.archive_entry_filetype(entry) == AE_IFREG) {
        status = make_file(u, entry, parent, leaf);
    } else if (lib.archive_entry_filetype(entry) == AE_IFDIR) {
        status = make_folder(u, parent, leaf);
    } else if (lib.archive_entry_filetype(entry) == AE_IFLNK) {
        status = make_symlink(u, entry, parent, leaf, view);
    } else {
        status = refuse(u, "is neither a file, a folder nor a link");
    }
    close(parent);
    return status;
}

static cpl_status unpack_entry(unpack *u, struct archive_entry *entry) {
    cpl_str name = cpl_str_of(lib.archive_entry_pathname(entry));
    const char *fault;
    char *path;
    cpl_status status;
    cpl_tree_show(name, u->shown, sizeof u->shown);
    if (++u->entries > u->max_entries) {
        return cpl_fail(u->err, CPL_ARCHIVE, "the archive has more than %lld entries", (long long)u->max_entries);
    }
    if (lib.archive_entry_is_encrypted(entry)) return refuse(u, "is encrypted");
    if (!u->zip) { /* tar's way to say "here" */
        while (cpl_str_starts(name, "./")) name = cpl_str_sub(name, 2, name.n);
        if ((name.n == 0 && u->shown[0] != '\0') || cpl_str_is(name, ".")) return CPL_OK;
    }
    if ((fault = cpl_tree_name_fault(name)) != NULL) return refuse(u, fault);
    path = cpl_strdup(name);
    if (path == NULL) return cpl_fail_nomem(u->err);
    status = make_entry(u, entry, path);
    cpl_free(path);
    return status;
}

static cpl_status open_reader(unpack *u, const char *path) {
    unsigned char magic[4] = {0};
    ssize_t n = pread(u->fd, magic, sizeof magic, 0);
    bool gzip;
    int ok;
    if (n < 0) return cpl_fail_errno(u->err, "read", path);
    gzip = magic[0] == 0x1f && magic[1] == 0x8b;
    u->zip = memcmp(magic, "PK\3\4", 4) == 0 || memcmp(magic, "PK\5\6", 4) == 0;
    if (u->zip) {
        cpl_status status = cpl_zipdir_check(u->fd, u->max_entries, &u->pace, &u->listed, u->err);
        if (status != CPL_OK || u->listed == 0) return status; /* libarchive knows no empty zip */
    }
    u->reader = lib.archive_read_new();
    if (u->reader == NULL) return cpl_fail_nomem(u->err);
    if (u->zip) {
        ok = lib.archive_read_support_format_zip_seekable(u->reader);
    } else {
        ok = lib.archive_read_support_format_tar(u->reader);
        if (gzip && ok == ARCHIVE_OK) ok = lib.archive_read_support_filter_gzip(u->reader);
    }
    if (ok == ARCHIVE_OK) ok = lib.archive_read_open_fd(u->reader, u->fd, BLOCK);
    if (ok != ARCHIVE_OK && !u->zip && !gzip && lib.archive_errno(u->reader) != ENOMEM) {
        return cpl_fail(u->err, CPL_ARCHIVE, "\"%s\" is neither a zip, a tar nor a tar.gz archive", path);
    }
    return ok == ARCHIVE_OK ? CPL_OK : archive_fault(u->reader, path, u->err);
}

static cpl_status unpack_all(unpack *u, const char *path) {
    struct archive_entry *entry;
    cpl_status status = open_reader(u, path);
    while (status == CPL_OK && u->reader) {
        int got = lib.archive_read_next_header(u->reader, &entry);
        if (got == ARCHIVE_EOF) break;
        status = got == ARCHIVE_OK ? unpack_entry(u, entry) : archive_fault(u->reader, path, u->err);
        if (status == CPL_OK) status = check_pace(&u->pace, &u->locale, u->err);
    }
    if (status == CPL_OK && u->zip && u->entries != u->listed) {
        status = cpl_fail(u->err, CPL_ARCHIVE, "\"%s\" is damaged: entries are missing", path);
    }
    lib.archive_read_free(u->reader);
    return status;
}

/* ---- moving in ---- */

static bool is_dots(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int open_folder(int at, const char *name) {
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static cpl_status merge(int from, int to, bool move, cpl_error *err);

/* One name of a folder just unpacked, against the one of that name in the target. */
static cpl_status merge_one(int from, int to, const char *name, bool move, cpl_error *err) {
    struct stat ours, theirs;
    cpl_status status;
    int a, b;
    if (fstatat(from, name, &ours, AT_SYMLINK_NOFOLLOW) != 0) return cpl_fail_errno(err, "look at", name);
    if (fstatat(to, name, &theirs, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) return cpl_fail_errno(err, "look at", name);
        return !move || renameat(from, name, to, name) == 0 ? CPL_OK : cpl_fail_errno(err, "move in", name);
    }
    if ((ours.st_mode & S_IFMT) != (theirs.st_mode & S_IFMT)) {
        return cpl_fail(err, CPL_ARCHIVE, "\"%s\" is in the directory already, and of another kind", name);
    }
    if (!S_ISDIR(ours.st_mode)) {
        return !move || renameat(from, name, to, name) == 0 ? CPL_OK : cpl_fail_errno(err, "replace", name);
    }
    a = open_folder(from, name);
    b = open_folder(to, name);
    status = a >= 0 && b >= 0 ? merge(a, b, move, err) : cpl_fail_errno(err, "open", name);
    if (a >= 0) close(a);
    if (b >= 0) close(b);
    return status;
}

/* Files replace files, folders join; first without moving, so that a clash is found before anything has changed. */
static cpl_status merge(int from, int to, bool move, cpl_error *err) {
    int listed = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = listed < 0 ? NULL : fdopendir(listed);
    cpl_status status = CPL_OK;
    if (dir == NULL) {
        cpl_fail_errno(err, "list", "the unpacked files");
        if (listed >= 0) close(listed);
        return CPL_IO;
    }
    for (struct dirent *e = readdir(dir); status == CPL_OK && e; e = readdir(dir)) {
        if (!is_dots(e->d_name)) status = merge_one(from, to, e->d_name, move, err);
    }
    closedir(dir);
    return status;
}

static cpl_status merge_into(int root, const char *directory, cpl_error *err) {
    int to = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cpl_status status;
    if (to < 0) return cpl_fail_errno(err, "open", directory);
    status = merge(root, to, false, err);
    if (status == CPL_OK) status = merge(root, to, true, err);
    close(to);
    return status;
}

/* "a/b" -> "a", "b" -> ".", "/b" -> "/" */
static cpl_str parent_of(const char *directory) {
    cpl_str path = cpl_str_of(directory);
    while (path.n > 1 && path.p[path.n - 1] == '/') path.n--;
    while (path.n > 0 && path.p[path.n - 1] != '/') path.n--;
    return path.n ? path : CPL_LIT(".");
}

/*
 * Entries go into staging/files. The staging folder lies inside a directory that exists (which may be a mount point)
 * and beside one that does not; so moving in is a rename.
 */
static cpl_status unpack_staged(unpack *u, const char *path, const char *directory, const char *staging, bool exists) {
    cpl_status status;
    cpl_buf files;
    cpl_buf_init(&files, CPL_TREE_PATH_MAX);
    cpl_buf_addf(&files, "%s/files", staging);
    if (!cpl_buf_ok(&files)) return cpl_buf_status(&files, "the folder's name", u->err);
    if (mkdir(files.p, 0777) != 0 || (u->root = open_folder(AT_FDCWD, files.p)) < 0) {
        status = cpl_fail_errno(u->err, "make", files.p);
        goto out;
    }
    enter_locale(&u->locale);
    status = unpack_all(u, path);
    leave_locale(&u->locale);
    if (status == CPL_OK && exists) status = merge_into(u->root, directory, u->err);
    if (status == CPL_OK && !exists && rename(files.p, directory) != 0) {
        status = cpl_fail_errno(u->err, "make", directory);
    }
    close(u->root);
out:
    cpl_buf_release(&files);
    return status;
}

cpl_status cpl_archive_extract(const char *path, const char *directory, const cpl_archive_limits *limits,
                               const cpl_wait *wait, cpl_error *err) {
    cpl_error unwanted;
    unpack u = {.err = err ? err : &unwanted, .max_bytes = DEFAULT_BYTES, .max_entries = DEFAULT_ENTRIES};
    struct stat info;
    char *staging = NULL;
    cpl_status status;
    bool exists = stat(directory, &info) == 0;
    status = cpl_late_need(&library, err);
    if (status) return status;
    if (limits && limits->bytes > 0) u.max_bytes = limits->bytes;
    if (limits && limits->entries > 0) u.max_entries = limits->entries;
    cpl_pace_init(&u.pace, wait);
    u.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (u.fd < 0) return cpl_fail_errno(err, "open", path);
    status = cpl_tree_temp(exists ? cpl_str_of(directory) : parent_of(directory), ".codepipeline-", &staging, err);
    if (status == CPL_OK) {
        status = unpack_staged(&u, path, directory, staging, exists);
        cpl_tree_remove(AT_FDCWD, staging);
        cpl_free(staging);
    }
    close(u.fd);
    return status;
}

/* ---- packing ---- */

typedef struct pack {
    struct archive *writer;
    struct archive_entry *entry;
    struct stat self; /* the archive itself, should it lie in the folder it is made of */
    char *block;
    cpl_buf name; /* of the entry at hand */
    cpl_pace pace;
    utf8_locale locale;
    cpl_error *err;
    char shown[256];
} pack;

static cpl_status pack_refuse(const pack *p, const char *why) {
    return cpl_fail(p->err, CPL_ARCHIVE, "\"%s\" %s", p->shown, why);
}

static cpl_status pack_header(pack *p, const struct stat *info) {
    lib.archive_entry_set_mtime(p->entry, info->st_mtim.tv_sec, 0);
    lib.archive_entry_set_mode(p->entry,
                               (info->st_mode & S_IFMT) | (S_ISLNK(info->st_mode) ? 0777 : info->st_mode & 0777));
    if (lib.archive_write_header(p->writer, p->entry) != ARCHIVE_OK) return archive_fault(p->writer, p->shown, p->err);
    return CPL_OK;
}

static cpl_status pack_data(pack *p, int fd, int64_t left) {
    while (left > 0) {
        size_t want = left < BLOCK ? (size_t)left : BLOCK;
        ssize_t n = read(fd, p->block, want);
        cpl_status status = check_pace(&p->pace, &p->locale, p->err);
        if (status != CPL_OK) return status;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cpl_fail_errno(p->err, "read", p->shown);
        if (n == 0) return pack_refuse(p, "became shorter while it was packed");
        if (lib.archive_write_data(p->writer, p->block, (size_t)n) != n)
            return archive_fault(p->writer, p->shown, p->err);
        left -= n;
    }
    return CPL_OK;
}

static cpl_status pack_file(pack *p, int fd) {
    struct stat info;
    cpl_status status;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return pack_refuse(p, "is neither a file, a folder nor a link");
    if (info.st_dev == p->self.st_dev && info.st_ino == p->self.st_ino) return CPL_OK;
    lib.archive_entry_set_size(p->entry, info.st_size);
    status = pack_header(p, &info);
    return status == CPL_OK ? pack_data(p, fd, info.st_size) : status;
}

static cpl_status pack_link(pack *p, int at, const char *name, const struct stat *info) {
    char target[CPL_TREE_PATH_MAX + 1];
    ssize_t n = readlinkat(at, name, target, sizeof target - 1);
    const char *fault;
    if (n < 0) return cpl_fail_errno(p->err, "read", p->shown);
    target[n] = '\0';
    fault = cpl_tree_link_fault(cpl_buf_str(&p->name), (cpl_str){target, (size_t)n});
    if (fault) return pack_refuse(p, fault);
    lib.archive_entry_set_symlink(p->entry, target);
    lib.archive_entry_set_size(p->entry, n);
    return pack_header(p, info);
}

static cpl_status pack_folder(pack *p, int folder);

/* Begins an entry called p->name. */
static cpl_status pack_name(pack *p, const char *name) {
    const char *fault;
    cpl_buf_adds(&p->name, name);
    if (!cpl_buf_ok(&p->name)) return cpl_buf_status(&p->name, "a name in the folder", p->err);
    cpl_tree_show(cpl_buf_str(&p->name), p->shown, sizeof p->shown);
    if ((fault = cpl_tree_name_fault(cpl_buf_str(&p->name))) != NULL) return pack_refuse(p, fault);
    if (!cpl_utf8_valid(cpl_buf_str(&p->name))) return pack_refuse(p, "has a name that is not UTF-8");
    lib.archive_entry_clear(p->entry);
    lib.archive_entry_set_pathname(p->entry, p->name.p);
    return CPL_OK;
}

static cpl_status pack_opened(pack *p, int fd, const struct stat *info) {
    cpl_status status;
    if (fd < 0) return cpl_fail_errno(p->err, "open", p->shown);
    if (!S_ISDIR(info->st_mode)) return pack_file(p, fd);
    cpl_buf_addc(&p->name, '/');
    if (!cpl_buf_ok(&p->name)) return cpl_buf_status(&p->name, "a name in the folder", p->err);
    status = pack_header(p, info);
    return status == CPL_OK ? pack_folder(p, fd) : status;
}

static cpl_status pack_one(pack *p, int at, const char *name) {
    size_t base = p->name.n;
    struct stat info;
    cpl_status status = pack_name(p, name);
    if (status != CPL_OK) return status;
    if (fstatat(at, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return cpl_fail_errno(p->err, "look at", p->shown);
    if (S_ISLNK(info.st_mode)) {
        status = pack_link(p, at, name, &info);
    } else { /* O_NONBLOCK: a fifo is refused, not waited for */
        int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        status = pack_opened(p, fd, &info);
        if (fd >= 0) close(fd);
    }
    if (cpl_buf_ok(&p->name)) cpl_buf_truncate(&p->name, base);
    return status;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a folder, sorted; each and the array are for cpl_free. */
static cpl_status list_sorted(int folder, char ***out, size_t *count, cpl_error *err) {
    int listed = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = listed < 0 ? NULL : fdopendir(listed);
    cpl_status status = dir ? CPL_OK : cpl_fail_errno(err, "list", "a folder");
    if (dir == NULL && listed >= 0) close(listed);
    for (struct dirent *e = dir ? readdir(dir) : NULL; status == CPL_OK && e; e = readdir(dir)) {
        if (is_dots(e->d_name)) continue;
        if ((*count & (*count - 1)) == 0) {
            char **grown = cpl_realloc(*out, (*count ? *count * 2 : 1) * sizeof **out);
            if (grown == NULL) status = cpl_fail_nomem(err);
            if (grown) *out = grown;
        }
        if (status == CPL_OK && ((*out)[*count] = cpl_strdup(cpl_str_of(e->d_name))) == NULL) {
            status = cpl_fail_nomem(err);
        } else if (status == CPL_OK) {
            ++*count;
        }
    }
    if (dir) closedir(dir);
    if (*count > 1) qsort(*out, *count, sizeof **out, compare_names);
    return status;
}

static cpl_status pack_folder(pack *p, int folder) {
    char **names = NULL;
    size_t count = 0;
    cpl_status status = list_sorted(folder, &names, &count, p->err);
    for (size_t i = 0; i < count; i++) {
        if (status == CPL_OK) status = pack_one(p, folder, names[i]);
        cpl_free(names[i]);
    }
    cpl_free(names);
    return status;
}

static cpl_status pack_from(pack *p, const char *from) {
    const char *base = strrchr(from, '/') ? strrchr(from, '/') + 1 : from;
    int fd = open(from, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat info;
    cpl_status status;
    if (fd < 0) return cpl_fail_errno(p->err, "open", from);
    if (fstat(fd, &info) != 0) {
        status = cpl_fail_errno(p->err, "look at", from);
    } else if (S_ISDIR(info.st_mode)) {
        status = pack_folder(p, fd);
    } else {
        status = pack_name(p, base);
        if (status == CPL_OK) status = pack_file(p, fd);
    }
    close(fd);
    return status;
}

static cpl_status begin_zip(pack *p, const char *to) {
    int ok;
    p->writer = lib.archive_write_new();
    p->entry = lib.archive_entry_new();
    if (p->writer == NULL || p->entry == NULL) return cpl_fail_nomem(p->err);
    ok = lib.archive_write_set_format_zip(p->writer);
    if (ok == ARCHIVE_OK) ok = lib.archive_write_zip_set_compression_deflate(p->writer);
    if (ok == ARCHIVE_OK) ok = lib.archive_write_set_options(p->writer, "hdrcharset=UTF-8");
    if (ok == ARCHIVE_OK) ok = lib.archive_write_set_bytes_in_last_block(p->writer, 1);
    return ok == ARCHIVE_OK ? CPL_OK : archive_fault(p->writer, to, p->err);
}

static cpl_status end_zip(pack *p, const char *to, cpl_status status) {
    if (status == CPL_OK && lib.archive_write_close(p->writer) != ARCHIVE_OK)
        status = archive_fault(p->writer, to, p->err);
    lib.archive_entry_free(p->entry);
    lib.archive_write_free(p->writer);
    return status;
}

static cpl_status write_archive(pack *p, const char *from, int fd, const char *to) {
    cpl_status status = begin_zip(p, to);
    p->block = cpl_malloc(BLOCK);
    if (status == CPL_OK && p->block == NULL) status = cpl_fail_nomem(p->err);
    if (status == CPL_OK && lib.archive_write_open_fd(p->writer, fd) != ARCHIVE_OK)
        status = archive_fault(p->writer, to, p->err);
    if (status == CPL_OK) status = pack_from(p, from);
    status = end_zip(p, to, status);
    cpl_free(p->block);
    return status;
}

cpl_status cpl_archive_pack(const char *from, const char *to, const cpl_wait *wait, cpl_error *err) {
    pack p = {.err = err};
    cpl_buf temp;
    cpl_status status;
    int fd;
    status = cpl_late_need(&library, err);
    if (status) return status;
    cpl_buf_init(&temp, CPL_TREE_PATH_MAX);
    cpl_buf_init(&p.name, CPL_TREE_PATH_MAX);
    cpl_buf_addf(&temp, "%s.XXXXXX", to);
    if (!cpl_buf_ok(&temp)) return cpl_buf_status(&temp, "the archive's name", err);
    fd = mkstemp(temp.p);
    if (fd < 0 || fstat(fd, &p.self) != 0) {
        status = cpl_fail_errno(err, "make", to);
        goto out;
    }
    cpl_pace_init(&p.pace, wait);
    enter_locale(&p.locale);
    status = write_archive(&p, from, fd, to);
    leave_locale(&p.locale);
    if (close(fd) != 0 && status == CPL_OK) status = cpl_fail_errno(err, "write", to);
    if (status == CPL_OK && rename(temp.p, to) != 0) status = cpl_fail_errno(err, "make", to);
    if (status != CPL_OK) unlink(temp.p);
out:
    cpl_buf_release(&p.name);
    cpl_buf_release(&temp);
    return status;
}

/* ---- packing what is in memory ---- */

static la_ssize_t add_to_buffer(struct archive *a, void *buffer, const void *bytes, size_t n) {
    (void)a;
    cpl_buf_add(buffer, bytes, n);
    return cpl_buf_ok(buffer) ? (la_ssize_t)n : -1;
}

static cpl_status pack_text(pack *p, const cpl_archive_file *file) {
    const struct stat info = {.st_mode = S_IFREG | 0644};
    cpl_status status = pack_name(p, file->name);
    if (status) return status;
    lib.archive_entry_set_size(p->entry, (int64_t)file->text.n);
    status = pack_header(p, &info);
    if (status == CPL_OK && file->text.n > 0 &&
        lib.archive_write_data(p->writer, file->text.p, file->text.n) != (la_ssize_t)file->text.n)
        status = archive_fault(p->writer, p->shown, p->err);
    return status;
}

cpl_status cpl_archive_zip(const cpl_archive_file *files, size_t count, cpl_buf *out, cpl_error *err) {
    static const char to[] = "the archive";
    pack p = {.err = err};
    cpl_status status = cpl_late_need(&library, err);
    if (status) return status;
    cpl_buf_init(&p.name, CPL_TREE_PATH_MAX);
    enter_locale(&p.locale);
    status = begin_zip(&p, to);
    if (status == CPL_OK && lib.archive_write_open(p.writer, out, NULL, add_to_buffer, NULL) != ARCHIVE_OK)
        status = archive_fault(p.writer, to, err);
    for (size_t i = 0; i < count && status == CPL_OK; i++) {
        cpl_buf_clear(&p.name);
        status = pack_text(&p, &files[i]);
    }
    status = end_zip(&p, to, status);
    leave_locale(&p.locale);
    cpl_buf_release(&p.name);
    return cpl_buf_ok(out) ? status : cpl_buf_status(out, to, err);
}

/* ---- the public face ---- */

cpl_status cpl_pack(cpl_str path, cpl_str archive, const cpl_wait *wait, cpl_error *err) {
    char *from = NULL, *to = NULL;
    cpl_status status = cpl_tree_path(path, &from, err);
    if (status == CPL_OK) status = cpl_tree_path(archive, &to, err);
    if (status == CPL_OK) status = cpl_archive_pack(from, to, wait, err);
    cpl_free(from);
    cpl_free(to);
    return status;
}

cpl_status cpl_extract(cpl_str archive, cpl_str directory, int64_t limit, const cpl_wait *wait, cpl_error *err) {
    cpl_archive_limits limits = {.bytes = limit};
    char *from = NULL, *to = NULL;
    cpl_status status = cpl_tree_path(archive, &from, err);
    if (status == CPL_OK) status = cpl_tree_path(directory, &to, err);
    if (status == CPL_OK) status = cpl_archive_extract(from, to, &limits, wait, err);
    cpl_free(from);
    cpl_free(to);
    return status;
}
