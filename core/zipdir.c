/* SPDX-License-Identifier: MIT */
/* The format: PKWARE's APPNOTE.TXT 6.3.x, section 4. */
#include "zipdir.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "err.h"
#include "tree.h"

#define END_SIZE 22
#define END64_SIZE 56
#define LOCATOR_SIZE 20
#define CENTRAL_SIZE 46
#define LOCAL_SIZE 30
#define COMMENT_MAX 65535
#define DIRECTORY_MAX ((size_t)256 << 20)

#define FLAG_ENCRYPTED 0x2041u /* bits 0, 6 (strong encryption) and 13 (masked headers) */
#define FLAG_STREAMED 0x0008u  /* sizes and CRC follow the data */
#define METHOD_STORED 0
#define METHOD_DEFLATED 8

#define HOST_UNIX 3
#define HOST_MACOS 19

#define EXTRA_ZIP64 0x0001
#define EXTRA_UTF8_NAME 0x7075

typedef struct reader {
    int fd;
    int64_t size;
    cpl_error *err;
    cpl_pace *pace;
    char shown[256]; /* the entry at hand, for messages */
} reader;

typedef struct header { /* what a local and a central header have in common */
    unsigned flags, method, time, date;
    uint32_t crc;
    uint64_t packed, unpacked;
    uint64_t offset; /* central only */
    cpl_str name, extra;
} header;

typedef struct span {
    int64_t from, to;
    int64_t slack; /* bytes that may follow: a data descriptor */
} span;

typedef struct directory {
    int64_t at, size, count, end; /* end: where the end records begin */
} directory;

static unsigned get16(const char *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (unsigned)(b[0] | b[1] << 8);
}

static uint32_t get32(const char *p) {
    return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const char *p) {
    return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

static cpl_status damaged(const reader *r, const char *what) {
    return cpl_fail(r->err, CPL_ARCHIVE, "the zip file is damaged: %s", what);
}

static cpl_status refuse(const reader *r, const char *why) {
    return cpl_fail(r->err, CPL_ARCHIVE, "\"%s\" %s", r->shown, why);
}

static cpl_status read_at(const reader *r, int64_t at, char *to, size_t n) {
    if (at < 0 || (uint64_t)n > (uint64_t)r->size || at > r->size - (int64_t)n) return damaged(r, "it ends too soon");
    while (n > 0) {
        ssize_t got = pread(r->fd, to, n, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return cpl_fail_errno(r->err, "read", "the archive");
        if (got == 0) return damaged(r, "it ends too soon");
        to += got;
        at += got;
        n -= (size_t)got;
    }
    return CPL_OK;
}

/* ---- the end records ---- */

/* The one end record whose comment reaches exactly to the end of the file. */
static cpl_status find_end(const reader *r, int64_t *at) {
    size_t n = (size_t)(r->size < END_SIZE + COMMENT_MAX ? r->size : END_SIZE + COMMENT_MAX);
    char *tail = cpl_malloc(n + 1);
    int found = 0;
    cpl_status status;
    if (tail == NULL) return cpl_fail_nomem(r->err);
    status = read_at(r, r->size - (int64_t)n, tail, n);
    for (size_t i = 0; status == CPL_OK && i + END_SIZE <= n; i++) {
        if (memcmp(tail + i, "PK\5\6", 4) != 0 || get16(tail + i + 20) != n - i - END_SIZE) continue;
        *at = r->size - (int64_t)(n - i);
        found++;
    }
    cpl_free(tail);
    if (status != CPL_OK) return status;
    if (found == 0) return damaged(r, "its end record is missing or not at the end");
    return found == 1 ? CPL_OK : damaged(r, "it has two end records");
}

/* A zip64 end record overrides the members of the plain one that are at their maximum, and repeats the others. */
static cpl_status read_end64(const reader *r, int64_t locator_at, const char *end, directory *out) {
    char locator[LOCATOR_SIZE], e[END64_SIZE];
    uint64_t at;
    cpl_status status = read_at(r, locator_at, locator, sizeof locator);
    if (status != CPL_OK) return status;
    at = get64(locator + 8);
    if (get32(locator + 4) != 0 || get32(locator + 16) > 1) return damaged(r, "it is one disk of several");
    if (at > (uint64_t)locator_at) return damaged(r, "its zip64 end record is misplaced");
    status = read_at(r, (int64_t)at, e, sizeof e);
    if (status != CPL_OK) return status;
    if (memcmp(e, "PK\6\6", 4) != 0 || get64(e + 4) != (uint64_t)locator_at - at - 12) {
        return damaged(r, "its zip64 end record is misplaced");
    }
    if (get32(e + 16) != 0 || get32(e + 20) != 0 || get64(e + 24) != get64(e + 32)) {
        return damaged(r, "it is one disk of several");
    }
    if ((get16(end + 10) != 0xffff && get16(end + 10) != get64(e + 32)) ||
        (get32(end + 12) != 0xffffffff && get32(end + 12) != get64(e + 40)) ||
        (get32(end + 16) != 0xffffffff && get32(end + 16) != get64(e + 48))) {
        return damaged(r, "its two end records differ");
    }
    if (get64(e + 32) > INT64_MAX || get64(e + 40) > INT64_MAX || get64(e + 48) > INT64_MAX) {
        return damaged(r, "a size is beyond all bounds");
    }
    *out = (directory){(int64_t)get64(e + 48), (int64_t)get64(e + 40), (int64_t)get64(e + 32), (int64_t)at};
    return CPL_OK;
}

static bool one_disk(const char *end, bool zip64) {
    for (int at = 4; at <= 6; at += 2) {
        if (get16(end + at) != 0 && !(zip64 && get16(end + at) == 0xffff)) return false;
    }
    return get16(end + 8) == get16(end + 10);
}

static cpl_status read_end(const reader *r, directory *out) {
    char end[END_SIZE], magic[4] = "";
    bool zip64;
    int64_t at = 0;
    cpl_status status = find_end(r, &at);
    if (status == CPL_OK) status = read_at(r, at, end, sizeof end);
    if (status == CPL_OK && at >= LOCATOR_SIZE) status = read_at(r, at - LOCATOR_SIZE, magic, sizeof magic);
    if (status != CPL_OK) return status;
    zip64 = memcmp(magic, "PK\6\7", 4) == 0;
    if (!one_disk(end, zip64)) return damaged(r, "it is one disk of several");
    if (zip64) {
        status = read_end64(r, at - LOCATOR_SIZE, end, out);
    } else {
        *out = (directory){get32(end + 16), get32(end + 12), get16(end + 10), at};
    }
    if (status != CPL_OK) return status;
    if (out->at > out->end || out->size != out->end - out->at) return damaged(r, "its directory is misplaced");
    if (out->count > out->size / CENTRAL_SIZE) return damaged(r, "its directory is too short");
    return (size_t)out->size <= DIRECTORY_MAX
               ? CPL_OK
               : cpl_fail(r->err, CPL_ARCHIVE, "the archive's directory is larger than %zu MiB", DIRECTORY_MAX >> 20);
}

/* ---- extra fields ---- */

/* Finds the field of that id; false when extra is malformed or has it twice. */
static bool extra_field(cpl_str extra, unsigned id, cpl_str *out) {
    *out = (cpl_str){NULL, 0};
    while (extra.n >= 4) {
        size_t n = get16(extra.p + 2);
        if (n > extra.n - 4) return false;
        if (get16(extra.p) == id) {
            if (out->p) return false;
            *out = (cpl_str){extra.p + 4, n};
        }
        extra = cpl_str_sub(extra, 4 + n, extra.n);
    }
    for (size_t i = 0; i < extra.n; i++) { /* up to three zero bytes are how some tools align data */
        if (extra.p[i] != 0) return false;
    }
    return true;
}

static bool take64(cpl_str *field, uint64_t *value) {
    if (field->n < 8) return false;
    *value = get64(field->p);
    *field = cpl_str_sub(*field, 8, field->n);
    return true;
}

/* Replaces the sizes that did not fit 32 bits; false when the field for them is missing or odd. */
static bool widen(header *h) {
    cpl_str field;
    if (!extra_field(h->extra, EXTRA_ZIP64, &field)) return false;
    if (h->unpacked == 0xffffffff && field.p && !take64(&field, &h->unpacked)) return false;
    if (h->packed == 0xffffffff && field.p && !take64(&field, &h->packed)) return false;
    if (h->offset == 0xffffffff && field.p && !take64(&field, &h->offset)) return false;
    return h->unpacked <= INT64_MAX && h->packed <= INT64_MAX && h->offset <= INT64_MAX;
}

/* A second name in an extra field is one name too many, unless it says the same. */
static bool other_name(const header *h) {
    cpl_str field;
    if (!extra_field(h->extra, EXTRA_UTF8_NAME, &field)) return true;
    return field.p && (field.n < 5 || !cpl_str_eq(cpl_str_sub(field, 5, field.n), h->name));
}

/* ---- entries ---- */

/* The members that stand in both kinds of header, 2 bytes later in the central one. */
static header read_header(const char *p) {
    return (header){.flags = get16(p),
                    .method = get16(p + 2),
                    .time = get16(p + 4),
                    .date = get16(p + 6),
                    .crc = get32(p + 8),
                    .packed = get32(p + 12),
                    .unpacked = get32(p + 16)};
}

/* The type bits of the mode that Unix keeps in the upper half of the external attributes. */
static bool is_special(unsigned host, uint32_t attributes) {
    mode_t type = (mode_t)(attributes >> 16) & S_IFMT;
    if (host != HOST_UNIX && host != HOST_MACOS) return false;
    return type != 0 && type != S_IFREG && type != S_IFDIR && type != S_IFLNK;
}

static cpl_status check_central(const reader *r, header *h) {
    const char *fault;
    if (memchr(h->name.p, '\0', h->name.n)) return refuse(r, "has a NUL in its name");
    if ((fault = cpl_tree_name_fault(h->name)) != NULL) return refuse(r, fault);
    if (h->flags & FLAG_ENCRYPTED) return refuse(r, "is encrypted");
    if (h->method != METHOD_STORED && h->method != METHOD_DEFLATED) {
        return cpl_fail(r->err, CPL_ARCHIVE, "\"%s\" is compressed by method %u; only stored and deflated are read",
                        r->shown, h->method);
    }
    if (!widen(h)) return refuse(r, "has a damaged extra field");
    if (other_name(h)) return refuse(r, "has a second name");
    if (h->method == METHOD_STORED && h->packed != h->unpacked) return refuse(r, "is stored, but its sizes differ");
    return CPL_OK;
}

/* Sizes and CRC may be left for the data descriptor, then all three are 0 (or, with zip64, all ones). */
static bool same_content(const header *local, const header *central) {
    bool told = local->crc == central->crc && local->packed == central->packed && local->unpacked == central->unpacked;
    bool left = (local->packed == 0 || local->packed == 0xffffffff || local->packed == central->packed) &&
                (local->unpacked == 0 || local->unpacked == 0xffffffff || local->unpacked == central->unpacked) &&
                (local->crc == 0 || local->crc == central->crc);
    return told || (left && (central->flags & FLAG_STREAMED));
}

/*
 * After streamed data: [signature] crc, and the two sizes in 32 or 64 bits. Returns its length, 0 when there is none.
 */
static size_t descriptor_length(const char *d, size_t n, const header *h) {
    for (size_t skip = 0; skip <= 4; skip += 4) {
        if (skip && (n < 4 || memcmp(d, "PK\7\10", 4) != 0)) break;
        if (n >= skip + 20 && get32(d + skip) == h->crc && get64(d + skip + 4) == h->packed &&
            get64(d + skip + 12) == h->unpacked) {
            return skip + 20;
        }
        if (n >= skip + 12 && get32(d + skip) == h->crc && get32(d + skip + 4) == h->packed &&
            get32(d + skip + 8) == h->unpacked) {
            return skip + 12;
        }
    }
    return 0;
}

static cpl_status find_data_end(const reader *r, const header *h, int64_t data_at, span *out) {
    char d[24];
    int64_t end, left;
    size_t n;
    cpl_status status;
    if ((int64_t)h->packed > r->size - data_at) return refuse(r, "reaches beyond the end of the archive");
    end = data_at + (int64_t)h->packed;
    *out = (span){.from = (int64_t)h->offset, .to = end};
    if (!(h->flags & FLAG_STREAMED)) return CPL_OK;
    left = r->size - end;
    n = left < (int64_t)sizeof d ? (size_t)left : sizeof d;
    status = read_at(r, end, d, n);
    if (status != CPL_OK) return status;
    out->slack = (int64_t)descriptor_length(d, n, h);
    return out->slack > 0 ? CPL_OK : refuse(r, "has a data descriptor that does not match the directory");
}

static cpl_status check_local(const reader *r, const header *central, span *out) {
    char fixed[LOCAL_SIZE], *rest;
    size_t name_n, extra_n;
    header local;
    cpl_status status = read_at(r, (int64_t)central->offset, fixed, sizeof fixed);
    if (status != CPL_OK) return status;
    if (memcmp(fixed, "PK\3\4", 4) != 0) return refuse(r, "has no header of its own");
    name_n = get16(fixed + 26);
    extra_n = get16(fixed + 28);
    rest = cpl_malloc(name_n + extra_n + 1);
    if (rest == NULL) return cpl_fail_nomem(r->err);
    status = read_at(r, (int64_t)central->offset + LOCAL_SIZE, rest, name_n + extra_n);
    if (status != CPL_OK) goto out;
    local = read_header(fixed + 6);
    local.name = (cpl_str){rest, name_n};
    local.extra = (cpl_str){rest + name_n, extra_n};
    if (!cpl_str_eq(local.name, central->name)) {
        status = refuse(r, "has another name in its own header");
    } else if (!widen(&local)) {
        status = refuse(r, "has a damaged extra field");
    } else if (other_name(&local)) {
        status = refuse(r, "has a second name");
    } else if (local.flags != central->flags || local.method != central->method || local.time != central->time ||
               local.date != central->date || !same_content(&local, central)) {
        status = refuse(r, "has a header of its own that does not match the directory");
    } else {
        status = find_data_end(r, central, (int64_t)central->offset + LOCAL_SIZE + (int64_t)(name_n + extra_n), out);
    }
out:
    cpl_free(rest);
    return status;
}

/* One record of the directory at p, n bytes before its end; *used: its length. */
static cpl_status check_entry(reader *r, const char *p, size_t n, size_t *used, span *out) {
    size_t name_n, extra_n, comment_n;
    header h;
    cpl_status status;
    if (n < CENTRAL_SIZE || memcmp(p, "PK\1\2", 4) != 0) return damaged(r, "its directory breaks off");
    name_n = get16(p + 28);
    extra_n = get16(p + 30);
    comment_n = get16(p + 32);
    *used = CENTRAL_SIZE + name_n + extra_n + comment_n;
    if (*used > n) return damaged(r, "its directory breaks off");
    if (get16(p + 34) != 0) return damaged(r, "it is one disk of several");
    h = read_header(p + 8);
    h.offset = get32(p + 42);
    h.name = (cpl_str){p + CENTRAL_SIZE, name_n};
    h.extra = (cpl_str){p + CENTRAL_SIZE + name_n, extra_n};
    cpl_tree_show(h.name, r->shown, sizeof r->shown);
    if (is_special((unsigned char)p[5], get32(p + 38))) return refuse(r, "is neither a file, a folder nor a link");
    status = check_central(r, &h);
    if (status == CPL_OK) status = check_local(r, &h, out);
    if (status == CPL_OK) status = cpl_pace_check(r->pace, r->err);
    return status;
}

static int compare_spans(const void *a, const void *b) {
    int64_t x = ((const span *)a)->from, y = ((const span *)b)->from;
    return (x > y) - (x < y);
}

/* Entries must follow one another without gap or overlap, from the first byte to the directory. */
static cpl_status check_spans(const reader *r, span *spans, size_t n, int64_t end) {
    int64_t at = 0;
    if (n > 1) qsort(spans, n, sizeof *spans, compare_spans);
    for (size_t i = 0; i < n; i++) {
        if (spans[i].from < at) return damaged(r, "its entries overlap");
        if (spans[i].from > at) return damaged(r, "it has hidden bytes between its entries");
        at = spans[i].to + spans[i].slack;
    }
    return at == end ? CPL_OK : damaged(r, at > end ? "its entries overlap" : "it has hidden bytes");
}

static cpl_status check_entries(reader *r, const directory *d) {
    char *bytes = cpl_malloc((size_t)d->size + 1), *p = bytes;
    span *spans = cpl_calloc((size_t)d->count + 1, sizeof *spans);
    size_t left = (size_t)d->size;
    cpl_status status = bytes && spans ? read_at(r, d->at, bytes, left) : cpl_fail_nomem(r->err);
    for (int64_t i = 0; status == CPL_OK && i < d->count; i++) {
        size_t used = 0;
        status = check_entry(r, p, left, &used, &spans[i]);
        if (status != CPL_OK) break;
        p += used;
        left -= used;
    }
    if (status == CPL_OK && left != 0) status = damaged(r, "its directory holds more than it counts");
    if (status == CPL_OK) status = check_spans(r, spans, (size_t)d->count, d->at);
    cpl_free(bytes);
    cpl_free(spans);
    return status;
}

cpl_status cpl_zipdir_check(int fd, int64_t max_entries, cpl_pace *pace, int64_t *entries, cpl_error *err) {
    reader r = {.fd = fd, .pace = pace, .err = err};
    directory d = {0};
    struct stat info;
    cpl_status status;
    if (fstat(fd, &info) != 0) return cpl_fail_errno(err, "look at", "the archive");
    r.size = info.st_size;
    status = read_end(&r, &d);
    if (status != CPL_OK) return status;
    *entries = d.count;
    if (d.count > max_entries) {
        return cpl_fail(err, CPL_ARCHIVE, "the archive has %lld entries; the limit is %lld", (long long)d.count,
                        (long long)max_entries);
    }
    return check_entries(&r, &d);
}
