/* SPDX-License-Identifier: MIT */
#include "sigv4_canonical.h"

#include "err.h"

bool cpl_sigv4_sendable(cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\r' || c == '\n' || c == '\0') return false;
    }
    return true;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* ---- headers ---- */

static int compare_names(cpl_str a, cpl_str b) {
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        int order = (unsigned char)lower(a.p[i]) - (unsigned char)lower(b.p[i]);
        if (order != 0) return order;
    }
    return (a.n > b.n) - (a.n < b.n);
}

static bool is_header_name(cpl_str name) {
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c <= ' ' || c == ':' || c >= 0x7f) return false;
    }
    return name.n > 0;
}

cpl_status cpl_canonical_add_header(cpl_canonical *canonical, cpl_str name, cpl_str value, cpl_error *err) {
    size_t at = canonical->header_count;
    if (!is_header_name(name))
        return cpl_fail(err, CPL_INVALID, "header name \"%.*s\" has a character that names cannot have",
                        (int)cpl_utf8_cut(name, 100), name.p ? name.p : "");
    if (!cpl_sigv4_sendable(value))
        return cpl_fail(err, CPL_INVALID, "header \"%.*s\" has a line break or NUL in its value",
                        (int)cpl_utf8_cut(name, 100), name.p);
    if (at == CPL_COUNT(canonical->headers))
        return cpl_fail(err, CPL_INVALID, "more than %d headers to sign", CPL_SIGN_HEADERS_MAX);
    for (; at > 0 && compare_names(canonical->headers[at - 1].name, name) > 0; at--)
        canonical->headers[at] = canonical->headers[at - 1];
    canonical->headers[at] = (cpl_header){name, value};
    canonical->header_count++;
    return CPL_OK;
}

static void add_lower(cpl_buf *out, cpl_str text) {
    char *to = cpl_buf_reserve(out, text.n);
    if (to == NULL) return;
    for (size_t i = 0; i < text.n; i++) to[i] = lower(text.p[i]);
    cpl_buf_commit(out, text.n);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* Trimmed, and each run of blanks inside as one space. */
static void add_folded(cpl_buf *out, cpl_str value) {
    value = cpl_str_trim(value);
    for (size_t from = 0; from < value.n;) {
        size_t to = from;
        while (to < value.n && !is_blank(value.p[to])) to++;
        cpl_buf_add(out, value.p + from, to - from);
        if (to == value.n) return;
        cpl_buf_addc(out, ' ');
        while (is_blank(value.p[to])) to++; /* ends: a trimmed value does not end in a blank */
        from = to;
    }
}

static bool repeats(const cpl_canonical *canonical, size_t i) {
    return i > 0 && compare_names(canonical->headers[i - 1].name, canonical->headers[i].name) == 0;
}

void cpl_canonical_add_names(const cpl_canonical *canonical, cpl_buf *out) {
    for (size_t i = 0; i < canonical->header_count; i++) {
        if (repeats(canonical, i)) continue;
        if (i > 0) cpl_buf_addc(out, ';');
        add_lower(out, canonical->headers[i].name);
    }
}

/* "name:value\n"; the values of a repeated name in one line, with commas. */
static void add_headers(const cpl_canonical *canonical, cpl_buf *out) {
    for (size_t i = 0; i < canonical->header_count; i++) {
        if (repeats(canonical, i)) {
            cpl_buf_addc(out, ',');
        } else {
            if (i > 0) cpl_buf_addc(out, '\n');
            add_lower(out, canonical->headers[i].name);
            cpl_buf_addc(out, ':');
        }
        add_folded(out, canonical->headers[i].value);
    }
    if (canonical->header_count > 0) cpl_buf_addc(out, '\n');
}

/* ---- path ---- */

/* The byte that "%XX" at text[i] stands for; -1 when no escape is there. */
static int escaped_byte(cpl_str text, size_t i) {
    int high, low;
    if (text.p[i] != '%' || text.n - i < 3) return -1;
    high = cpl_hex_digit(text.p[i + 1]);
    low = cpl_hex_digit(text.p[i + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

void cpl_canonical_add_decoded(cpl_buf *out, cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        int byte = escaped_byte(text, i);
        cpl_buf_addc(out, byte < 0 ? text.p[i] : (char)byte);
        if (byte >= 0) i += 2;
    }
}

/* Encoded once, whether it came encoded or not. An encoded slash stays so: in a path it is not a separator. */
static void add_encoded_once(cpl_buf *out, cpl_str text, bool keep_slash) {
    for (size_t i = 0; i < text.n; i++) {
        int byte = escaped_byte(text, i);
        char c = byte < 0 ? text.p[i] : (char)byte;
        cpl_buf_add_uri(out, (cpl_str){&c, 1}, keep_slash && byte < 0);
        if (byte >= 0) i += 2;
    }
}

/* Takes the last "/segment" off what was written since start. */
static void drop_segment(cpl_buf *out, size_t start) {
    size_t n = out->n;
    while (n > start && out->p[n - 1] != '/') n--;
    if (n > start) cpl_buf_truncate(out, n - 1);
}

/* The path as it stands is encoded (again, when it came encoded), without empty, "." and ".." segments. */
static void add_normal_path(cpl_buf *out, cpl_str path) {
    size_t start = out->n;
    for (size_t from = 0; from < path.n;) {
        cpl_str rest = cpl_str_sub(path, from, path.n);
        cpl_str segment = cpl_str_sub(rest, 0, cpl_str_find(rest, '/'));
        if (cpl_str_is(segment, "..")) {
            drop_segment(out, start);
        } else if (segment.n > 0 && !cpl_str_is(segment, ".")) {
            cpl_buf_addc(out, '/');
            cpl_buf_add_uri(out, segment, false);
        }
        from += segment.n + 1;
    }
    if (out->n == start || path.p[path.n - 1] == '/') cpl_buf_addc(out, '/');
}

static void add_path(cpl_buf *out, cpl_str path, unsigned flags) {
    if (path.n == 0)
        cpl_buf_addc(out, '/');
    else if (flags & CPL_SIGN_S3)
        add_encoded_once(out, path, true);
    else if (flags & CPL_SIGN_NO_NORMALIZE)
        cpl_buf_add_uri(out, path, true);
    else
        add_normal_path(out, path);
}

/* ---- query ---- */

static int compare_parameters(const void *left, const void *right) {
    const cpl_header *a = left, *b = right;
    int order = cpl_str_cmp(a->name, b->name);
    return order != 0 ? order : cpl_str_cmp(a->value, b->value);
}

static bool is_left_out(cpl_str name, unsigned flags) {
    if (!(flags & CPL_SIGN_QUERY)) return false;
    if (cpl_str_is(name, "X-Amz-Signature")) return true;
    return (flags & CPL_SIGN_TOKEN_LATER) && cpl_str_is(name, "X-Amz-Security-Token");
}

/* Encodes text into scratch, which has room, and gives the view of it. */
static cpl_str encoded_once(cpl_buf *scratch, cpl_str text) {
    size_t from = scratch->n;
    add_encoded_once(scratch, text, false);
    return cpl_str_sub(cpl_buf_str(scratch), from, scratch->n);
}

static size_t read_parameters(cpl_str query, unsigned flags, cpl_buf *scratch, cpl_header *list) {
    size_t count = 0;
    for (size_t from = 0; from < query.n;) {
        cpl_str rest = cpl_str_sub(query, from, query.n);
        cpl_str pair = cpl_str_sub(rest, 0, cpl_str_find(rest, '&'));
        size_t equals = cpl_str_find(pair, '=');
        from += pair.n + 1;
        if (pair.n == 0) continue;
        list[count].name = encoded_once(scratch, cpl_str_sub(pair, 0, equals));
        list[count].value = encoded_once(scratch, cpl_str_sub(pair, equals + 1, pair.n));
        if (!is_left_out(list[count].name, flags)) count++;
    }
    return count;
}

/* Sorted by what is written, so everything is encoded first. */
static cpl_status add_query(cpl_buf *out, cpl_str query, unsigned flags, cpl_error *err) {
    cpl_buf scratch;
    cpl_header *list = NULL;
    size_t most = 1, count;
    cpl_status status;
    cpl_buf_init(&scratch, 3 * CPL_SIGN_TEXT_MAX);
    for (size_t i = 0; i < query.n; i++) most += query.p[i] == '&';
    list = cpl_calloc(most, sizeof *list);
    cpl_buf_reserve(&scratch, 3 * query.n); /* at once: the views into it must not move */
    status = list ? cpl_buf_status(&scratch, "the query", err) : cpl_fail_nomem(err);
    if (status) goto out;
    count = read_parameters(query, flags, &scratch, list);
    qsort(list, count, sizeof *list, compare_parameters);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) cpl_buf_addc(out, '&');
        cpl_buf_addv(out, list[i].name);
        cpl_buf_addc(out, '=');
        cpl_buf_addv(out, list[i].value);
    }
out:
    cpl_buf_wipe(&scratch); /* may hold a session token */
    cpl_buf_release(&scratch);
    cpl_free(list);
    return status;
}

cpl_status cpl_canonical_write(const cpl_canonical *canonical, cpl_str query, unsigned flags, cpl_str payload_hash,
                               cpl_buf *out, cpl_error *err) {
    cpl_status status = CPL_OK;
    cpl_buf_reserve(out, 1024); /* one allocation for nearly all */
    cpl_buf_addv(out, canonical->request->method);
    cpl_buf_addc(out, '\n');
    add_path(out, canonical->request->path, flags);
    cpl_buf_addc(out, '\n');
    if (query.n > 0) status = add_query(out, query, flags, err);
    if (status) return status;
    cpl_buf_addc(out, '\n');
    add_headers(canonical, out);
    cpl_buf_addc(out, '\n');
    cpl_canonical_add_names(canonical, out);
    cpl_buf_addc(out, '\n');
    cpl_buf_addv(out, payload_hash);
    return cpl_buf_status(out, "the canonical request", err);
}
