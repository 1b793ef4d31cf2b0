/* SPDX-License-Identifier: MIT */
/*
 * Objects and their versions. The current version is the EMU_OBJECT document, its body the blob of the same key; what a
 * versioned bucket keeps besides is in EMU_VERSION, oldest first, delete markers among it.
 */
#include "s3_call.h"

/* ---- versions ---- */

const char *s3_version_of(const cpl_json *doc) {
    return cpl_json_get_cstr(doc, "versionId", "null");
}

/* The key of a version that is not current; for cpl_free. */
static char *version_key(const char *object, const char *version_id) {
    cpl_buf key;
    char *out;
    cpl_buf_init(&key, 2 * S3_KEY_MAX);
    cpl_buf_addf(&key, "%s\n%s", object, version_id);
    out = cpl_buf_detach(&key);
    cpl_buf_release(&key);
    return out;
}

static void drop_version(emu_store *store, const char *key) {
    emu_blob_delete(store, key);
    emu_store_delete(store, EMU_VERSION, key);
}

/* Puts the current version of object with the old ones. */
static bool archive(emu_store *store, const char *object, cpl_json *current) {
    char *key = version_key(object, s3_version_of(current));
    bool done =
        key && emu_store_put(store, EMU_VERSION, key, cpl_json_clone(current)) && emu_blob_move(store, object, key);
    if (done) emu_store_delete(store, EMU_OBJECT, object);
    cpl_free(key);
    return done;
}

/* After the newest version was removed, the one before it is current again, unless it is a delete marker. */
static bool promote(emu_store *store, const char *object) {
    size_t n = strlen(object);
    const char *key = NULL;
    cpl_json *doc = NULL;
    bool done;
    char *copy;
    for (size_t i = emu_store_size(store, EMU_VERSION); i-- > 0; doc = NULL) {
        doc = emu_store_at(store, EMU_VERSION, i, &key);
        if (strncmp(key, object, n) == 0 && key[n] == '\n') break;
    }
    if (doc == NULL || cpl_json_get_bool(doc, "deleteMarker", false)) return true;
    copy = cpl_strdup(cpl_str_of(key));
    done = copy && emu_store_put(store, EMU_OBJECT, object, cpl_json_clone(doc)) && emu_blob_move(store, copy, object);
    if (done) emu_store_delete(store, EMU_VERSION, copy);
    cpl_free(copy);
    return done;
}

static const char *versioning_of(emu *e, const char *object) {
    char bucket[64];
    CPL_COPY(bucket, cpl_str_sub(cpl_str_of(object), 0, cpl_str_find(cpl_str_of(object), '/')));
    return cpl_json_get_cstr(emu_store_get(emu_store_of(e), EMU_BUCKET, bucket), "versioning", "");
}

/* "0fa2...": 32 digits; the null version where versions are not kept. */
static bool new_version_id(emu *e, const char *versioning, char out[CPL_UUID_SIZE]) {
    char uuid[CPL_UUID_SIZE], *to = out;
    out[0] = '\0';
    if (strcmp(versioning, "Enabled") != 0) return true;
    if (!emu_uuid(e, uuid)) return false;
    for (const char *p = uuid; *p; p++) {
        if (*p != '-') *to++ = *p;
    }
    *to = '\0';
    return true;
}

/* Makes room for a new current version: what must be kept is archived, an old null version that is replaced goes. */
static bool retire(emu_store *store, const char *object, const char *versioning) {
    cpl_json *current = emu_store_get(store, EMU_OBJECT, object);
    bool enabled = strcmp(versioning, "Enabled") == 0;
    char *null_key;
    if (versioning[0] == '\0') return true;
    if (!enabled) {
        null_key = version_key(object, "null");
        if (null_key == NULL) return false;
        drop_version(store, null_key);
        cpl_free(null_key);
    }
    if (current == NULL || (!enabled && strcmp(s3_version_of(current), "null") == 0)) return true;
    return archive(store, object, current);
}

bool s3_store(emu *e, const s3_write *w) {
    emu_store *store = emu_store_of(e);
    char version_id[CPL_UUID_SIZE], *object;
    const char *versioning;
    cpl_json *doc = w->doc;
    cpl_checksum_kind kind;
    cpl_str checksum;
    cpl_buf key;
    bool done;
    cpl_buf_init(&key, 2 * S3_KEY_MAX);
    cpl_buf_addf(&key, "%s/%s", w->bucket, w->key);
    object = cpl_buf_detach(&key);
    cpl_buf_release(&key);
    versioning = object ? versioning_of(e, object) : "";
    done = object && new_version_id(e, versioning, version_id) && cpl_json_set_number(doc, "modified", emu_now_s(e)) &&
           cpl_json_set_number(doc, "size", (double)w->body.n) &&
           cpl_json_set_cstr(doc, "versionId", version_id[0] ? version_id : NULL) &&
           (s3_checksum_kept(doc, &kind, &checksum) || s3_checksum_keep(doc, CPL_CHECKSUM_CRC64NVME, w->body)) &&
           retire(store, object, versioning) && emu_blob_put(store, object, w->body);
    if (done) {
        done = emu_store_put(store, EMU_OBJECT, object, doc);
    } else {
        cpl_json_free(doc);
    }
    cpl_free(object);
    return done;
}

static bool put_marker(emu *e, const char *object, const char *version_id) {
    cpl_json *doc = cpl_json_new_object();
    char *key = version_key(object, version_id[0] ? version_id : "null");
    bool done = key && cpl_json_set_bool(doc, "deleteMarker", true) &&
                cpl_json_set_number(doc, "modified", emu_now_s(e)) &&
                (version_id[0] == '\0' || cpl_json_set_cstr(doc, "versionId", version_id));
    if (done) {
        done = emu_store_put(emu_store_of(e), EMU_VERSION, key, doc);
    } else {
        cpl_json_free(doc);
    }
    cpl_free(key);
    return done;
}

static bool remove_version(emu *e, const char *object, cpl_str version_id, s3_removal *out) {
    emu_store *store = emu_store_of(e);
    cpl_json *current = emu_store_get(store, EMU_OBJECT, object), *old;
    char *key;
    CPL_COPY(out->version_id, version_id);
    if (current && cpl_str_is(version_id, s3_version_of(current))) {
        emu_blob_delete(store, object);
        emu_store_delete(store, EMU_OBJECT, object);
        return promote(store, object);
    }
    key = version_key(object, out->version_id);
    if (key == NULL) return false;
    old = emu_store_get(store, EMU_VERSION, key);
    out->marker = cpl_json_get_bool(old, "deleteMarker", false);
    drop_version(store, key);
    cpl_free(key);
    return current || promote(store, object);
}

bool s3_remove(emu *e, const char *object, cpl_str version_id, s3_removal *out) {
    emu_store *store = emu_store_of(e);
    const char *versioning = versioning_of(e, object);
    *out = (s3_removal){.marker = false};
    if (version_id.n > 0) return remove_version(e, object, version_id, out);
    if (versioning[0] != '\0' &&
        (!new_version_id(e, versioning, out->version_id) || !retire(store, object, versioning)))
        return false;
    emu_blob_delete(store, object);
    emu_store_delete(store, EMU_OBJECT, object);
    if (versioning[0] == '\0') return true;
    out->marker = true;
    if (!put_marker(e, object, out->version_id)) return false;
    if (out->version_id[0] == '\0') CPL_COPY(out->version_id, CPL_LIT("null"));
    return true;
}

/* ---- writing ---- */

bool s3_etag(cpl_str body, char out[S3_ETAG_SIZE]) {
    unsigned char digest[CPL_MD5_SIZE];
    if (cpl_md5(body, digest, NULL)) return false;
    out[0] = '"';
    cpl_hex(digest, sizeof digest, out + 1);
    out[33] = '"';
    out[34] = '\0';
    return true;
}

/* Headers an object keeps and gives back. */
static const char *const kept_headers[] = {"cache-control",
                                           "content-disposition",
                                           "content-language",
                                           "expires",
                                           "x-amz-website-redirect-location",
                                           "x-amz-server-side-encryption",
                                           "x-amz-server-side-encryption-aws-kms-key-id",
                                           "x-amz-server-side-encryption-bucket-key-enabled"};

/* What an object cannot have here, and would seem to have if it were ignored. */
static const char *const refused_headers[] = {"x-amz-tagging",
                                              "x-amz-object-lock-mode",
                                              "x-amz-object-lock-legal-hold",
                                              "x-amz-object-lock-retain-until-date",
                                              "x-amz-write-offset-bytes",
                                              "x-amz-server-side-encryption-customer-algorithm",
                                              "x-amz-server-side-encryption-customer-key",
                                              "x-amz-server-side-encryption-context"};

static bool keep(cpl_json *headers, const char *name, cpl_str value) {
    return value.p == NULL || cpl_json_set_str(headers, name, value);
}

/* Content-Encoding without "aws-chunked", which was undone. */
static bool keep_encoding(cpl_json *headers, cpl_str value) {
    cpl_buf left;
    bool done;
    cpl_buf_init(&left, (size_t)64 << 10);
    for (size_t from = 0; from < value.n;) {
        cpl_str rest = cpl_str_sub(value, from, value.n);
        cpl_str one = cpl_str_sub(rest, 0, cpl_str_find(rest, ','));
        from += one.n + 1;
        one = cpl_str_trim(one);
        if (one.n == 0 || cpl_str_is_nocase(one, "aws-chunked")) continue;
        if (left.n > 0) cpl_buf_addc(&left, ',');
        cpl_buf_addv(&left, one);
    }
    done = cpl_buf_ok(&left) && (left.n == 0 || cpl_json_set_str(headers, "content-encoding", cpl_buf_str(&left)));
    cpl_buf_release(&left);
    return done;
}

static bool keep_metadata(cpl_json *headers, const cpl_header *header) {
    static const char prefix[] = "x-amz-meta-";
    char name[256];
    if (header->name.n < sizeof prefix || header->name.n >= sizeof name ||
        !cpl_str_is_nocase(cpl_str_sub(header->name, 0, sizeof prefix - 1), prefix))
        return true;
    for (size_t i = 0; i <= header->name.n; i++) {
        char c = i < header->name.n ? header->name.p[i] : '\0';
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return keep(headers, name, cpl_str_trim(header->value));
}

static bool fill_headers(const s3_call *c, cpl_json *headers) {
    cpl_str type = s3_header(c, "content-type");
    bool done = keep(headers, "content-type", type.n > 0 ? type : CPL_LIT("binary/octet-stream")) &&
                keep_encoding(headers, s3_header(c, "content-encoding"));
    for (size_t i = 0; i < CPL_COUNT(kept_headers) && done; i++)
        done = keep(headers, kept_headers[i], s3_header(c, kept_headers[i]));
    for (size_t i = 0; i < c->request->header_count && done; i++)
        done = keep_metadata(headers, &c->request->headers[i]);
    if (done && cpl_json_get(headers, "x-amz-server-side-encryption") == NULL)
        done = cpl_json_set_cstr(headers, "x-amz-server-side-encryption", "AES256"); /* as S3 does since 2023 */
    return done;
}

cpl_json *s3_new_document(s3_call *c) {
    cpl_json *doc, *headers;
    for (size_t i = 0; i < CPL_COUNT(refused_headers); i++) {
        if (s3_header(c, refused_headers[i]).p) {
            s3_refuse_as(c, S3_NOT_EMULATED, "the emulator does not do %s yet", refused_headers[i]);
            return NULL;
        }
    }
    for (size_t i = 0; i < c->request->header_count; i++) {
        if (!cpl_utf8_valid(c->request->headers[i].value)) {
            s3_refuse_as(c, S3_ARGUMENT, "a header is not UTF-8");
            return NULL;
        }
    }
    doc = cpl_json_new_object();
    headers = cpl_json_new_object();
    if (headers && fill_headers(c, headers)) {
        if (cpl_json_set(doc, "headers", headers)) return doc;
    } else {
        cpl_json_free(headers);
    }
    cpl_json_free(doc);
    s3_refuse(c, S3_INTERNAL);
    return NULL;
}

static void answer_encryption(s3_call *c, const cpl_json *doc) {
    for (cpl_json *i = cpl_json_first(cpl_json_get(doc, "headers")); i; i = cpl_json_next(i)) {
        if (cpl_str_starts(cpl_json_key(i), "x-amz-server-side-encryption"))
            emu_response_header(c->response, cpl_json_key(i).p, cpl_json_str(i));
    }
}

static void answer_version(s3_call *c, const cpl_json *doc) {
    const char *versioning = versioning_of(c->e, c->object);
    if (versioning[0] != '\0' || cpl_json_get(doc, "versionId"))
        emu_response_header(c->response, "x-amz-version-id", cpl_str_of(s3_version_of(doc)));
}

/* Takes doc over. */
static bool put_document(s3_call *c, cpl_json *doc, cpl_str body, const cpl_header *checksum) {
    char etag[S3_ETAG_SIZE];
    const s3_write w = {.bucket = c->bucket, .key = c->key, .doc = doc, .body = body};
    if (!s3_etag(body, etag) || !cpl_json_set_cstr(doc, "etag", etag) ||
        (checksum && checksum->name.n > 0 && !cpl_json_set_str(doc, checksum->name.p, checksum->value))) {
        cpl_json_free(doc);
        return s3_refuse(c, S3_INTERNAL);
    }
    if (!s3_store(c->e, &w)) return s3_refuse(c, S3_INTERNAL);
    doc = emu_store_get(c->store, EMU_OBJECT, c->object);
    answer_encryption(c, doc);
    answer_version(c, doc);
    emu_engine_object_changed(c->e, c->bucket, c->key);
    return true;
}

/* ---- conditions ---- */

typedef struct conditions {
    const char *match, *none_match, *modified, *unmodified; /* header names */
} conditions;

static bool etag_listed(cpl_str list, const char *etag) {
    for (size_t from = 0; from < list.n;) {
        cpl_str rest = cpl_str_sub(list, from, list.n);
        cpl_str one = cpl_str_sub(rest, 0, cpl_str_find(rest, ','));
        cpl_str bare = cpl_str_sub(cpl_str_of(etag), 1, strlen(etag) - 1);
        from += one.n + 1;
        one = cpl_str_trim(one);
        if (cpl_str_is(one, "*") || cpl_str_is(one, etag) || cpl_str_eq(one, bare)) return true;
    }
    return false;
}

/* 0 when all hold, else the fault. As RFC 9110 has it: dates count only where no tag was given. */
static bool check_conditions(s3_call *c, const cpl_json *doc, const conditions *names, s3_fault not_modified) {
    const char *etag = cpl_json_get_cstr(doc, "etag", "\"\"");
    double modified = (double)(int64_t)cpl_json_get_number(doc, "modified", 0), when;
    cpl_str match = s3_header(c, names->match), none_match = s3_header(c, names->none_match);
    if (match.p && !etag_listed(match, etag)) return s3_refuse(c, S3_PRECONDITION);
    if (!match.p && cpl_time_parse(s3_header(c, names->unmodified), &when) && modified > when)
        return s3_refuse(c, S3_PRECONDITION);
    if (none_match.p && etag_listed(none_match, etag)) return s3_refuse(c, not_modified);
    if (!none_match.p && cpl_time_parse(s3_header(c, names->modified), &when) && modified <= when)
        return s3_refuse(c, not_modified);
    return true;
}

/* ---- reading ---- */

/* The document a read is about; NULL: refused. *blob: the key of its body. */
static cpl_json *find_version(s3_call *c, const char *object, cpl_str version_id, char **blob) {
    cpl_json *doc = emu_store_get(c->store, EMU_OBJECT, object);
    char id[CPL_UUID_SIZE];
    *blob = NULL;
    if (version_id.n == 0 || (doc && cpl_str_is(version_id, s3_version_of(doc)))) {
        *blob = cpl_strdup(cpl_str_of(object));
    } else {
        CPL_COPY(id, version_id);
        *blob = version_key(object, id);
        doc = *blob && cpl_str_is(version_id, id) ? emu_store_get(c->store, EMU_VERSION, *blob) : NULL;
    }
    if (*blob == NULL) {
        s3_refuse(c, S3_INTERNAL);
    } else if (doc == NULL) {
        s3_refuse(c, version_id.n > 0 ? S3_NO_SUCH_VERSION : S3_NO_SUCH_KEY);
    } else if (cpl_json_get_bool(doc, "deleteMarker", false)) {
        emu_response_header(c->response, "x-amz-delete-marker", CPL_LIT("true"));
        s3_refuse(c, S3_METHOD);
    } else {
        return doc;
    }
    cpl_free(*blob);
    *blob = NULL;
    return NULL;
}

s3_range_kind s3_read_range(cpl_str text, size_t size, size_t *from, size_t *to) {
    cpl_str rest = cpl_str_sub(text, 6, text.n), first, last;
    size_t dash = cpl_str_find(rest, '-');
    int64_t a = -1, b = -1;
    *from = 0;
    *to = size;
    if (!cpl_str_starts(text, "bytes=") || dash == rest.n) return S3_RANGE_ALL;
    first = cpl_str_sub(rest, 0, dash);
    last = cpl_str_sub(rest, dash + 1, rest.n);
    if ((first.n > 0 && (!cpl_str_integer(first, &a) || a < 0)) ||
        (last.n > 0 && (!cpl_str_integer(last, &b) || b < 0)))
        return S3_RANGE_ALL;
    if (a < 0 && b < 0) return S3_RANGE_ALL;
    if (a < 0) { /* the last b bytes */
        if (b == 0 || size == 0) return S3_RANGE_BAD;
        *from = (uint64_t)b < size ? size - (size_t)b : 0;
        return S3_RANGE_PART;
    }
    if (b >= 0 && b < a) return S3_RANGE_ALL;
    if ((uint64_t)a >= size) return S3_RANGE_BAD;
    *from = (size_t)a;
    if (b >= 0 && (uint64_t)b < size - 1) *to = (size_t)b + 1;
    return S3_RANGE_PART;
}

/* Query parameters that replace a header of the answer. */
static cpl_str override_of(const s3_call *c, cpl_str header) {
    static const char *const names[] = {"cache-control",    "content-disposition", "content-encoding",
                                        "content-language", "content-type",        "expires"};
    char param[64];
    for (size_t i = 0; i < CPL_COUNT(names); i++) {
        if (!cpl_str_is(header, names[i])) continue;
        snprintf(param, sizeof param, "response-%s", names[i]);
        return s3_param(c, param);
    }
    return (cpl_str){NULL, 0};
}

static void answer_headers(s3_call *c, const cpl_json *doc) {
    static const char *const overridable[] = {"cache-control", "content-disposition", "content-encoding",
                                              "content-language", "expires"};
    char when[CPL_TIME_HTTP_SIZE];
    const cpl_json *headers = cpl_json_get(doc, "headers");
    cpl_time_http((int64_t)cpl_json_get_number(doc, "modified", 0), when);
    emu_response_header(c->response, "ETag", cpl_json_get_str(doc, "etag"));
    emu_response_header(c->response, "Last-Modified", cpl_str_of(when));
    emu_response_header(c->response, "Accept-Ranges", CPL_LIT("bytes"));
    for (cpl_json *i = cpl_json_first(headers); i; i = cpl_json_next(i)) {
        cpl_str given = override_of(c, cpl_json_key(i));
        emu_response_header(c->response, cpl_json_key(i).p, given.p ? given : cpl_json_str(i));
    }
    for (size_t i = 0; i < CPL_COUNT(overridable); i++) {
        cpl_str given = override_of(c, cpl_str_of(overridable[i]));
        if (given.p && cpl_json_get(headers, overridable[i]) == NULL)
            emu_response_header(c->response, overridable[i], given);
    }
    answer_version(c, doc);
}

static bool answer_body(s3_call *c, const cpl_json *doc, cpl_str body) {
    size_t from, to;
    char text[96];
    s3_range_kind kind = s3_read_range(s3_header(c, "range"), body.n, &from, &to);
    if (kind == S3_RANGE_BAD) {
        snprintf(text, sizeof text, "bytes */%zu", body.n);
        emu_response_header(c->response, "Content-Range", cpl_str_of(text));
        return s3_refuse(c, S3_RANGE);
    }
    answer_headers(c, doc);
    if (kind == S3_RANGE_PART) {
        snprintf(text, sizeof text, "bytes %zu-%zu/%zu", from, to - 1, body.n);
        emu_response_header(c->response, "Content-Range", cpl_str_of(text));
        c->response->status = 206;
    } else if (cpl_str_is_nocase(s3_header(c, "x-amz-checksum-mode"), "ENABLED")) {
        s3_answer_checksum(c, doc);
    }
    if (cpl_str_is(c->request->method, "HEAD")) {
        c->response->size = (int64_t)(to - from);
    } else {
        cpl_buf_addv(&c->response->body, cpl_str_sub(body, from, to));
    }
    return true;
}

bool s3_get_object(s3_call *c) {
    static const conditions names = {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"};
    char *blob;
    cpl_json *doc = find_version(c, c->object, s3_param(c, "versionId"), &blob);
    bool done;
    if (doc == NULL) return false;
    done = check_conditions(c, doc, &names, S3_NOT_MODIFIED) && answer_body(c, doc, emu_blob_get(c->store, blob));
    cpl_free(blob);
    return done;
}

/* ---- the operations that write ---- */

/* "/bucket/key?versionId=..." or without the first slash; decoded into *out: "bucket/key" NUL version id NUL. */
static bool read_source(s3_call *c, cpl_buf *out) {
    cpl_str text = s3_header(c, "x-amz-copy-source");
    size_t question = cpl_str_find(text, '?');
    cpl_str version = cpl_str_sub(text, question + 1, text.n);
    text = cpl_str_sub(text, 0, question);
    if (text.n > 0 && text.p[0] == '/') text = cpl_str_sub(text, 1, text.n);
    s3_decode(out, text, false);
    s3_decode(out, cpl_str_starts(version, "versionId=") ? cpl_str_sub(version, 10, version.n) : CPL_LIT(""), false);
    if (!cpl_buf_ok(out)) return s3_refuse(c, S3_INTERNAL);
    return strchr(out->p, '/') || s3_refuse_as(c, S3_ARGUMENT, "Invalid copy source object key");
}

cpl_json *s3_copy_source(s3_call *c, cpl_str *body) {
    static const conditions names = {"x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match",
                                     "x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-unmodified-since"};
    cpl_json *doc = NULL;
    char *blob = NULL;
    cpl_buf source;
    cpl_buf_init(&source, (size_t)16 << 10);
    if (read_source(c, &source)) {
        cpl_str object = cpl_str_of(source.p), bucket = cpl_str_sub(object, 0, cpl_str_find(object, '/'));
        if (!emu_identity_may(&c->who, "read", bucket, cpl_str_sub(object, bucket.n + 1, object.n))) {
            s3_refuse(c, S3_DENIED);
        } else {
            doc = find_version(c, object.p, cpl_str_of(object.p + object.n + 1), &blob);
        }
    }
    if (doc && !check_conditions(c, doc, &names, S3_PRECONDITION)) doc = NULL;
    if (doc) *body = emu_blob_get(c->store, blob);
    cpl_free(blob);
    cpl_buf_release(&source);
    return doc;
}

static bool answer_copy(s3_call *c) {
    const cpl_json *doc = emu_store_get(c->store, EMU_OBJECT, c->object);
    cpl_buf *out = s3_xml(c, "CopyObjectResult");
    s3_add_time(out, "LastModified", cpl_json_get_number(doc, "modified", 0));
    cpl_xml_add_element(out, "ETag", cpl_json_get_str(doc, "etag"));
    s3_add_checksum(out, doc, true);
    cpl_buf_adds(out, "</CopyObjectResult>");
    return true;
}

/* A copy has the kind of checksum that the request wants, else that of its source. */
static bool copy_checksum(const s3_call *c, const cpl_json *source, cpl_json *doc, cpl_str body) {
    cpl_checksum_kind kind = CPL_CHECKSUM_CRC64NVME;
    cpl_str value;
    if (!s3_checksum_named(s3_header(c, "x-amz-checksum-algorithm"), &kind)) {
        (void)s3_checksum_kept(source, &kind, &value);
    }
    return s3_checksum_keep(doc, kind, body);
}

static bool copy_object(s3_call *c) {
    cpl_str directive = s3_header(c, "x-amz-metadata-directive"), view = {NULL, 0};
    cpl_json *source = s3_copy_source(c, &view), *doc;
    cpl_buf body; /* a copy: the source may be the very object that is replaced */
    bool done = false;
    if (source == NULL) return false;
    doc = s3_new_document(c);
    if (doc == NULL) return false;
    cpl_buf_init(&body, S3_OBJECT_MAX);
    cpl_buf_addv(&body, view);
    if (!cpl_buf_ok(&body) || !copy_checksum(c, source, doc, cpl_buf_str(&body)) ||
        (!cpl_str_is(directive, "REPLACE") &&
         !cpl_json_set(doc, "headers", cpl_json_clone(cpl_json_get(source, "headers"))))) {
        cpl_json_free(doc);
        s3_refuse(c, S3_INTERNAL);
    } else {
        done = put_document(c, doc, cpl_buf_str(&body), NULL) && answer_copy(c);
    }
    cpl_buf_release(&body);
    return done;
}

bool s3_put_object(s3_call *c) {
    static const conditions names = {"if-match", "if-none-match", "", ""};
    cpl_json *current = emu_store_get(c->store, EMU_OBJECT, c->object), *doc;
    if (s3_header(c, "x-amz-copy-source").p) return copy_object(c);
    if (current == NULL && s3_header(c, "if-match").p) return s3_refuse(c, S3_NO_SUCH_KEY);
    if (current && !check_conditions(c, current, &names, S3_PRECONDITION)) return false;
    doc = s3_new_document(c);
    if (doc == NULL || !put_document(c, doc, c->payload, &c->checksum)) return false;
    doc = emu_store_get(c->store, EMU_OBJECT, c->object);
    emu_response_header(c->response, "ETag", cpl_json_get_str(doc, "etag"));
    s3_answer_checksum(c, doc);
    return true;
}

bool s3_delete_object(s3_call *c) {
    s3_removal removal;
    if (!s3_remove(c->e, c->object, s3_param(c, "versionId"), &removal)) return s3_refuse(c, S3_INTERNAL);
    if (removal.marker) emu_response_header(c->response, "x-amz-delete-marker", CPL_LIT("true"));
    if (removal.version_id[0] != '\0')
        emu_response_header(c->response, "x-amz-version-id", cpl_str_of(removal.version_id));
    c->response->status = 204;
    return true;
}

static bool delete_one(s3_call *c, cpl_str key, cpl_str version_id, bool quiet) {
    cpl_buf *out = &c->response->body, object;
    s3_removal removal;
    bool done;
    cpl_buf_init(&object, 4 * S3_KEY_MAX);
    cpl_buf_addf(&object, "%s/", c->bucket);
    cpl_buf_addv(&object, key);
    done = cpl_buf_ok(&object) && s3_remove(c->e, object.p, version_id, &removal);
    cpl_buf_release(&object);
    if (!done || quiet) return done;
    cpl_buf_adds(out, "<Deleted>");
    cpl_xml_add_element(out, "Key", key);
    if (version_id.n > 0) cpl_xml_add_element(out, "VersionId", version_id);
    if (removal.marker) {
        cpl_buf_adds(out, "<DeleteMarker>true</DeleteMarker>");
        cpl_xml_add_element(out, "DeleteMarkerVersionId", cpl_str_of(removal.version_id));
    }
    cpl_buf_adds(out, "</Deleted>");
    return true;
}

#define DELETE_MAX 1000

bool s3_delete_objects(s3_call *c) {
    cpl_xml *xml = s3_read_xml(c);
    int first, count = 0;
    bool quiet, done = true;
    if (xml == NULL) return false;
    first = cpl_xml_find(xml, "Delete/Object");
    quiet = cpl_str_is(cpl_xml_text(xml, cpl_xml_find(xml, "Delete/Quiet")), "true");
    for (int i = first; i >= 0; i = cpl_xml_next(xml, i), count++) {
        cpl_str key = cpl_xml_text(xml, cpl_xml_child(xml, i, "Key"));
        if (key.n == 0 || key.n > S3_KEY_MAX) count = DELETE_MAX;
    }
    if (count == 0 || count > DELETE_MAX) {
        cpl_xml_free(xml);
        return s3_refuse(c, S3_XML);
    }
    s3_xml(c, "DeleteResult");
    for (int i = first; i >= 0 && done; i = cpl_xml_next(xml, i))
        done = delete_one(c, cpl_xml_text(xml, cpl_xml_child(xml, i, "Key")),
                          cpl_xml_text(xml, cpl_xml_child(xml, i, "VersionId")), quiet);
    cpl_buf_adds(&c->response->body, "</DeleteResult>");
    cpl_xml_free(xml);
    return done || s3_refuse(c, S3_INTERNAL);
}

/* ---- for the engine ---- */

bool emu_s3_get(emu *e, const char *bucket, const char *key, emu_object *out) {
    emu_store *store = emu_store_of(e);
    const cpl_json *doc;
    cpl_buf object;
    cpl_buf_init(&object, 4 * S3_KEY_MAX);
    cpl_buf_addf(&object, "%s/%s", bucket, key);
    doc = cpl_buf_ok(&object) ? emu_store_get(store, EMU_OBJECT, object.p) : NULL;
    if (doc) {
        *out = (emu_object){.body = emu_blob_get(store, object.p),
                            .etag = cpl_json_get_cstr(doc, "etag", ""),
                            .version_id = s3_version_of(doc),
                            .last_modified = cpl_json_get_number(doc, "modified", 0),
                            .content_type = cpl_json_get_cstr(cpl_json_get(doc, "headers"), "content-type", "")};
    }
    cpl_buf_release(&object);
    return doc != NULL;
}

bool emu_s3_put(emu *e, const char *bucket, const char *key, cpl_str body, const char *content_type) {
    cpl_json *doc = cpl_json_new_object(), *headers = cpl_json_new_object();
    const s3_write w = {.bucket = bucket, .key = key, .doc = doc, .body = body};
    char etag[S3_ETAG_SIZE];
    bool made = emu_s3_bucket_exists(e, bucket) && s3_etag(body, etag) && cpl_json_set_cstr(doc, "etag", etag) &&
                cpl_json_set_cstr(headers, "content-type", content_type ? content_type : "binary/octet-stream") &&
                cpl_json_set_cstr(headers, "x-amz-server-side-encryption", "AES256");
    if (!made) {
        cpl_json_free(headers);
        cpl_json_free(doc);
        return false;
    }
    if (!cpl_json_set(doc, "headers", headers)) {
        cpl_json_free(doc);
        return false;
    }
    return s3_store(e, &w);
}
