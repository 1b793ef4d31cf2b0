/* SPDX-License-Identifier: MIT */
/* Listings: keys in byte order, folded at a delimiter, page by page. */
#include "s3_call.h"

#define PAGE_MAX 1000

typedef struct row {
    const char *key;
    size_t key_size;
    const cpl_json *doc;
    size_t age; /* among the versions of one key: the higher, the newer */
    bool current;
} row;

typedef struct rows {
    row *at;
    size_t n, cap;
} rows;

static bool add_row(rows *r, row item) {
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        row *more = cpl_realloc(r->at, cap * sizeof *more);
        if (more == NULL) return false;
        r->at = more;
        r->cap = cap;
    }
    r->at[r->n++] = item;
    return true;
}

/* The bucket's documents in a table whose keys begin with prefix. */
static bool collect(const s3_call *c, emu_table table, cpl_str prefix, rows *out) {
    size_t bucket = strlen(c->bucket);
    const char *object;
    cpl_json *doc;
    for (size_t i = 0; (doc = emu_store_at(c->store, table, i, &object)); i++) {
        const char *key = object + bucket + 1;
        size_t n;
        if (strncmp(object, c->bucket, bucket) != 0 || object[bucket] != '/') continue;
        n = table == EMU_VERSION ? cpl_str_find(cpl_str_of(key), '\n') : strlen(key);
        if (n < prefix.n || memcmp(key, prefix.p ? prefix.p : "", prefix.n) != 0) continue;
        if (!add_row(out, (row){key, n, doc, table == EMU_OBJECT ? SIZE_MAX : i, table == EMU_OBJECT})) return false;
    }
    return true;
}

static int compare(const void *left, const void *right) {
    const row *a = left, *b = right;
    int order = cpl_str_cmp((cpl_str){a->key, a->key_size}, (cpl_str){b->key, b->key_size});
    if (order != 0) return order;
    return a->age > b->age ? -1 : a->age < b->age;
}

typedef struct listing {
    s3_call *c;
    cpl_str prefix, delimiter, after;
    int64_t max;
    bool encode; /* keys are percent-encoded in the answer */
    rows rows;
    int64_t count;
    bool truncated;
    cpl_buf last;     /* the last key or common prefix that was given out */
    cpl_buf prefixes; /* <CommonPrefixes> */
} listing;

static void add_name(const listing *l, cpl_buf *out, const char *element, cpl_str name) {
    cpl_buf_addf(out, "<%s>", element);
    if (l->encode) {
        cpl_buf_add_uri(out, name, true);
    } else {
        cpl_xml_add_text(out, name);
    }
    cpl_buf_addf(out, "</%s>", element);
}

static bool begin(listing *l, s3_call *c, const char *after) {
    cpl_str encoding = s3_param(c, "encoding-type");
    *l = (listing){.c = c,
                   .prefix = s3_param(c, "prefix"),
                   .delimiter = s3_param(c, "delimiter"),
                   .after = s3_param(c, after),
                   .encode = cpl_str_is(encoding, "url")};
    cpl_buf_init(&l->last, 4 * S3_KEY_MAX);
    cpl_buf_init(&l->prefixes, (size_t)16 << 20);
    if (encoding.n > 0 && !l->encode)
        return s3_refuse_as(c, S3_ARGUMENT, "Invalid Encoding Method specified in Request");
    return s3_param_number(c, "max-keys", PAGE_MAX, PAGE_MAX, &l->max);
}

static void end(listing *l) {
    cpl_free(l->rows.at);
    cpl_buf_release(&l->last);
    cpl_buf_release(&l->prefixes);
}

/* The part of key up to the delimiter after the prefix; empty when there is none. */
static cpl_str common_prefix(const listing *l, cpl_str key) {
    if (l->delimiter.n == 0) return (cpl_str){NULL, 0};
    for (size_t i = l->prefix.n; i + l->delimiter.n <= key.n; i++) {
        if (memcmp(key.p + i, l->delimiter.p, l->delimiter.n) == 0) return cpl_str_sub(key, 0, i + l->delimiter.n);
    }
    return (cpl_str){NULL, 0};
}

/* Takes one more name into the page; false when the page is full. */
static bool take(listing *l, cpl_str name) {
    if (l->count == l->max) {
        l->truncated = l->max > 0;
        return false;
    }
    l->count++;
    cpl_buf_clear(&l->last);
    cpl_buf_addv(&l->last, name);
    return true;
}

/* The row is folded into a common prefix, which is given out the first time. *full: no room for it. */
static bool fold(listing *l, cpl_str key, bool *full) {
    cpl_str folded = common_prefix(l, key);
    if (folded.n == 0) return false;
    if (cpl_str_eq(folded, cpl_buf_str(&l->last)) || cpl_str_cmp(folded, l->after) <= 0) return true;
    if (!take(l, folded)) {
        *full = true;
        return true;
    }
    cpl_buf_adds(&l->prefixes, "<CommonPrefixes>");
    add_name(l, &l->prefixes, "Prefix", folded);
    cpl_buf_adds(&l->prefixes, "</CommonPrefixes>");
    return true;
}

static void add_owner(const listing *l, cpl_buf *out) {
    cpl_buf_adds(out, "<Owner>");
    cpl_xml_add_element(out, "ID", cpl_str_of(emu_account_id(l->c->e)));
    cpl_buf_adds(out, "</Owner>");
}

static void add_object(const listing *l, cpl_buf *out, const row *r, const char *element, bool owner) {
    cpl_buf_addf(out, "<%s>", element);
    add_name(l, out, "Key", (cpl_str){r->key, r->key_size});
    s3_add_time(out, "LastModified", cpl_json_get_number(r->doc, "modified", 0));
    if (!cpl_json_get_bool(r->doc, "deleteMarker", false)) {
        cpl_xml_add_element(out, "ETag", cpl_json_get_str(r->doc, "etag"));
        cpl_buf_addf(out, "<Size>%.0f</Size><StorageClass>STANDARD</StorageClass>",
                     cpl_json_get_number(r->doc, "size", 0));
    }
    if (owner) add_owner(l, out);
}

/* The contents, into a buffer of their own: what stands before them depends on where the page ends. */
static bool add_contents(listing *l, cpl_buf *out, bool owner) {
    bool full = false;
    if (!collect(l->c, EMU_OBJECT, l->prefix, &l->rows)) return s3_refuse(l->c, S3_INTERNAL);
    if (l->rows.n > 0) qsort(l->rows.at, l->rows.n, sizeof *l->rows.at, compare);
    for (size_t i = 0; i < l->rows.n && !full; i++) {
        const row *r = &l->rows.at[i];
        cpl_str key = {r->key, r->key_size};
        if (cpl_str_cmp(key, l->after) <= 0 || fold(l, key, &full)) continue;
        if (!take(l, key)) break;
        add_object(l, out, r, "Contents", owner);
        cpl_buf_adds(out, "</Contents>");
    }
    return true;
}

static void add_head(const listing *l, cpl_buf *out) {
    cpl_xml_add_element(out, "Name", cpl_str_of(l->c->bucket));
    add_name(l, out, "Prefix", l->prefix);
    if (l->delimiter.n > 0) add_name(l, out, "Delimiter", l->delimiter);
    cpl_buf_addf(out, "<MaxKeys>%lld</MaxKeys><IsTruncated>%s</IsTruncated>", (long long)l->max,
                 l->truncated ? "true" : "false");
    if (l->encode) cpl_buf_adds(out, "<EncodingType>url</EncodingType>");
}

static bool finish(listing *l, cpl_buf *contents, const char *root) {
    cpl_buf *out = &l->c->response->body;
    cpl_buf_addv(out, cpl_buf_str(contents));
    cpl_buf_addv(out, cpl_buf_str(&l->prefixes));
    cpl_buf_addf(out, "</%s>", root);
    return (cpl_buf_ok(contents) && cpl_buf_ok(&l->prefixes)) || s3_refuse(l->c, S3_INTERNAL);
}

bool s3_list_v1(s3_call *c) {
    listing l;
    cpl_buf contents, *out;
    bool done;
    cpl_buf_init(&contents, (size_t)64 << 20);
    done = begin(&l, c, "marker") && add_contents(&l, &contents, true);
    if (done) {
        out = s3_xml(c, "ListBucketResult");
        add_head(&l, out);
        add_name(&l, out, "Marker", l.after);
        if (l.truncated && l.delimiter.n > 0) add_name(&l, out, "NextMarker", cpl_buf_str(&l.last));
        done = finish(&l, &contents, "ListBucketResult");
    }
    end(&l);
    cpl_buf_release(&contents);
    return done;
}

/* A continuation token is the last name of the page before, percent-encoded: opaque enough, and never stale. */
static bool resume(listing *l, cpl_buf *decoded) {
    cpl_str token = s3_param(l->c, "continuation-token");
    if (token.p == NULL) return true;
    if (token.n == 0) return s3_refuse_as(l->c, S3_ARGUMENT, "The continuation token provided is incorrect");
    s3_decode(decoded, token, false);
    if (!cpl_buf_ok(decoded)) return s3_refuse_as(l->c, S3_ARGUMENT, "The continuation token provided is incorrect");
    l->after = cpl_str_of(decoded->p);
    return true;
}

static void add_token(cpl_buf *out, const char *element, cpl_str name) {
    cpl_buf_addf(out, "<%s>", element);
    cpl_buf_add_uri(out, name, false);
    cpl_buf_addf(out, "</%s>", element);
}

bool s3_list_v2(s3_call *c) {
    listing l;
    cpl_buf contents, resumed, *out;
    bool done;
    cpl_buf_init(&contents, (size_t)64 << 20);
    cpl_buf_init(&resumed, 4 * S3_KEY_MAX);
    done = begin(&l, c, "start-after");
    if (done && !cpl_str_is(s3_param(c, "list-type"), "2"))
        done = s3_refuse_as(c, S3_ARGUMENT, "Invalid List Type specified in Request");
    done = done && resume(&l, &resumed) && add_contents(&l, &contents, cpl_str_is(s3_param(c, "fetch-owner"), "true"));
    if (done) {
        out = s3_xml(c, "ListBucketResult");
        add_head(&l, out);
        cpl_buf_addf(out, "<KeyCount>%lld</KeyCount>", (long long)l.count);
        if (s3_param(c, "start-after").n > 0) add_name(&l, out, "StartAfter", s3_param(c, "start-after"));
        if (resumed.n > 0) add_token(out, "ContinuationToken", l.after);
        if (l.truncated) add_token(out, "NextContinuationToken", cpl_buf_str(&l.last));
        done = finish(&l, &contents, "ListBucketResult");
    }
    end(&l);
    cpl_buf_release(&contents);
    cpl_buf_release(&resumed);
    return done;
}

/* ---- versions ---- */

static void add_version(const listing *l, cpl_buf *out, const row *r, bool latest) {
    const char *element = cpl_json_get_bool(r->doc, "deleteMarker", false) ? "DeleteMarker" : "Version";
    add_object(l, out, r, element, true);
    cpl_xml_add_element(out, "VersionId", cpl_str_of(s3_version_of(r->doc)));
    cpl_buf_addf(out, "<IsLatest>%s</IsLatest></%s>", latest ? "true" : "false", element);
}

/* Is the row at or before the page's beginning? The markers name the last row of the page before. */
static bool was_given(const listing *l, const row *r, cpl_str version_marker, bool *reached) {
    int order = cpl_str_cmp((cpl_str){r->key, r->key_size}, l->after);
    if (l->after.n == 0 || order > 0) return false;
    if (order < 0 || version_marker.n == 0) return true;
    if (*reached) return false;
    *reached = cpl_str_is(version_marker, s3_version_of(r->doc));
    return true;
}

static bool add_versions(listing *l, cpl_buf *out, const row **last) {
    cpl_str version_marker = s3_param(l->c, "version-id-marker");
    bool full = false, reached = false;
    if (!collect(l->c, EMU_OBJECT, l->prefix, &l->rows) || !collect(l->c, EMU_VERSION, l->prefix, &l->rows))
        return s3_refuse(l->c, S3_INTERNAL);
    if (l->rows.n > 0) qsort(l->rows.at, l->rows.n, sizeof *l->rows.at, compare);
    for (size_t i = 0; i < l->rows.n && !full; i++) {
        const row *r = &l->rows.at[i], *before = i > 0 ? r - 1 : NULL;
        cpl_str key = {r->key, r->key_size};
        if (was_given(l, r, version_marker, &reached) || fold(l, key, &full)) continue;
        if (!take(l, key)) break;
        add_version(l, out, r, before == NULL || !cpl_str_eq(key, (cpl_str){before->key, before->key_size}));
        *last = r;
    }
    return true;
}

bool s3_list_versions(s3_call *c) {
    listing l;
    const row *last = NULL;
    cpl_buf contents, *out;
    bool done;
    cpl_buf_init(&contents, (size_t)64 << 20);
    done = begin(&l, c, "key-marker") && add_versions(&l, &contents, &last);
    if (done) {
        out = s3_xml(c, "ListVersionsResult");
        add_head(&l, out);
        add_name(&l, out, "KeyMarker", l.after);
        cpl_xml_add_element(out, "VersionIdMarker", s3_param(c, "version-id-marker"));
        if (l.truncated) add_name(&l, out, "NextKeyMarker", cpl_buf_str(&l.last));
        if (l.truncated && last && cpl_str_eq(cpl_buf_str(&l.last), (cpl_str){last->key, last->key_size}))
            cpl_xml_add_element(out, "NextVersionIdMarker", cpl_str_of(s3_version_of(last->doc)));
        done = finish(&l, &contents, "ListVersionsResult");
    }
    end(&l);
    cpl_buf_release(&contents);
    return done;
}
