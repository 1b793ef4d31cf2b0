/* SPDX-License-Identifier: MIT */
/* Multipart uploads: {"bucket", "key", "started", "object": {...}, "parts": {"1": {"etag", "size", "modified"}}}. */
#include "s3_call.h"

#define PART_MAX 10000
#define PART_MIN_SIZE (5 << 20) /* of every part but the last */
#define ETAG_HEX 32

static void blob_key(char *out, size_t size, const char *upload, int64_t part) {
    snprintf(out, size, "upload/%s/%lld", upload, (long long)part);
}

static void add_names(s3_call *c, cpl_buf *out, const char *upload) {
    cpl_xml_add_element(out, "Bucket", cpl_str_of(c->bucket));
    cpl_xml_add_element(out, "Key", cpl_str_of(c->key));
    if (upload) cpl_xml_add_element(out, "UploadId", cpl_str_of(upload));
}

bool s3_create_upload(s3_call *c) {
    char id[CPL_UUID_SIZE];
    cpl_json *doc = cpl_json_new_object(), *object = s3_new_document(c);
    cpl_buf *out;
    bool made = object != NULL && emu_uuid(c->e, id);
    if (made && !s3_begin_checksum(c, doc)) {
        cpl_json_free(object);
        cpl_json_free(doc);
        return false;
    }
    if (!cpl_json_set(doc, "object", object) || !made || !cpl_json_set_cstr(doc, "bucket", c->bucket) ||
        !cpl_json_set_cstr(doc, "key", c->key) || !cpl_json_set_number(doc, "started", emu_now_s(c->e)) ||
        !cpl_json_set(doc, "parts", cpl_json_new_object())) {
        cpl_json_free(doc);
        return object ? s3_refuse(c, S3_INTERNAL) : false;
    }
    if (!emu_store_put(c->store, EMU_UPLOAD, id, doc)) return s3_refuse(c, S3_INTERNAL);
    out = s3_xml(c, "InitiateMultipartUploadResult");
    add_names(c, out, id);
    cpl_buf_adds(out, "</InitiateMultipartUploadResult>");
    return true;
}

/* The upload the request names, of this very object; NULL: refused. */
static cpl_json *find_upload(s3_call *c, const char **id) {
    cpl_str given = s3_param(c, "uploadId");
    cpl_json *doc =
        given.p && memchr(given.p, '\0', given.n) == NULL ? emu_store_get(c->store, EMU_UPLOAD, given.p) : NULL;
    *id = given.p; /* decoded texts end in NUL */
    if (doc && strcmp(cpl_json_get_cstr(doc, "bucket", ""), c->bucket) == 0 &&
        strcmp(cpl_json_get_cstr(doc, "key", ""), c->key) == 0)
        return doc;
    s3_refuse(c, S3_NO_SUCH_UPLOAD);
    return NULL;
}

/* The bytes of a part: the body, or a range of another object (UploadPartCopy). */
static bool part_bytes(s3_call *c, cpl_str *out) {
    size_t from, to;
    *out = c->payload;
    if (s3_header(c, "x-amz-copy-source").p == NULL) return true;
    if (s3_copy_source(c, out) == NULL) return false;
    if (s3_read_range(s3_header(c, "x-amz-copy-source-range"), out->n, &from, &to) == S3_RANGE_BAD)
        return s3_refuse(c, S3_RANGE);
    *out = cpl_str_sub(*out, from, to);
    return true;
}

static void answer_part(s3_call *c, const cpl_json *part) {
    cpl_str etag = cpl_json_get_str(part, "etag"), value;
    cpl_checksum_kind kind;
    cpl_buf *out;
    if (s3_header(c, "x-amz-copy-source").p == NULL) {
        emu_response_header(c->response, "ETag", etag);
        if (s3_checksum_kept(part, &kind, &value)) emu_response_header(c->response, cpl_checksum_header(kind), value);
        return;
    }
    out = s3_xml(c, "CopyPartResult");
    s3_add_time(out, "LastModified", emu_now_s(c->e));
    cpl_xml_add_element(out, "ETag", etag);
    s3_add_checksum(out, part, false);
    cpl_buf_adds(out, "</CopyPartResult>");
}

bool s3_upload_part(s3_call *c) {
    const char *id;
    cpl_json *upload = find_upload(c, &id), *part;
    char key[128], name[24], etag[S3_ETAG_SIZE];
    int64_t number = 0;
    cpl_str bytes;
    if (upload == NULL) return false;
    if (!cpl_str_integer(s3_param(c, "partNumber"), &number) || number < 1 || number > PART_MAX)
        return s3_refuse_as(c, S3_ARGUMENT, "Part number must be an integer between 1 and %d, inclusive", PART_MAX);
    if (!part_bytes(c, &bytes)) return false;
    blob_key(key, sizeof key, id, number);
    snprintf(name, sizeof name, "%lld", (long long)number);
    part = cpl_json_new_object();
    if (part && !s3_part_checksum(c, upload, part, bytes)) {
        cpl_json_free(part);
        return false;
    }
    if (!s3_etag(bytes, etag) || !cpl_json_set_cstr(part, "etag", etag) ||
        !cpl_json_set_number(part, "size", (double)bytes.n) ||
        !cpl_json_set_number(part, "modified", emu_now_s(c->e)) || !emu_blob_put(c->store, key, bytes)) {
        cpl_json_free(part);
        return s3_refuse(c, S3_INTERNAL);
    }
    if (!cpl_json_set(cpl_json_get(upload, "parts"), name, part)) return s3_refuse(c, S3_INTERNAL);
    emu_store_touch(c->store, EMU_UPLOAD, id);
    answer_part(c, part);
    return true;
}

static void drop_upload(s3_call *c, const char *id) {
    const cpl_json *parts = cpl_json_get(emu_store_get(c->store, EMU_UPLOAD, id), "parts");
    char key[128];
    for (cpl_json *i = cpl_json_first(parts); i; i = cpl_json_next(i)) {
        snprintf(key, sizeof key, "upload/%s/%s", id, cpl_json_key(i).p);
        emu_blob_delete(c->store, key);
    }
    emu_store_delete(c->store, EMU_UPLOAD, id);
}

bool s3_abort_upload(s3_call *c) {
    const char *id;
    if (find_upload(c, &id) == NULL) return false;
    drop_upload(c, id);
    c->response->status = 204;
    return true;
}

/* ---- completing ---- */

typedef struct assembly {
    s3_call *c;
    const char *id;
    const cpl_json *upload, *parts;
    cpl_buf body;
    cpl_buf digests;   /* the parts' MD5, one after the other */
    cpl_buf checksums; /* likewise */
    int64_t last;      /* number of the part before */
    size_t last_size;
    int count;
} assembly;

static bool add_part(assembly *a, const cpl_xml *xml, int at) {
    char name[24], key[128];
    cpl_str etag = cpl_xml_text(xml, cpl_xml_child(xml, at, "ETag")), checksum;
    const cpl_json *part;
    const char *kept;
    cpl_checksum_kind kind;
    int64_t number = 0;
    if (!cpl_str_integer(cpl_xml_text(xml, cpl_xml_child(xml, at, "PartNumber")), &number))
        return s3_refuse(a->c, S3_XML);
    if (number <= a->last) return s3_refuse(a->c, S3_PART_ORDER);
    if (a->count > 0 && a->last_size < PART_MIN_SIZE) return s3_refuse(a->c, S3_TOO_SMALL);
    snprintf(name, sizeof name, "%lld", (long long)number);
    part = cpl_json_get(a->parts, name);
    kept = cpl_json_get_cstr(part, "etag", "");
    if (strlen(kept) != ETAG_HEX + 2) return s3_refuse(a->c, S3_PART);
    if (!cpl_str_is(etag, kept) && !cpl_str_eq(etag, cpl_str_sub(cpl_str_of(kept), 1, ETAG_HEX + 1)))
        return s3_refuse(a->c, S3_PART);
    if (!s3_check_listed_part(a->c, a->upload, &(s3_listed_part){xml, at, part})) return false;
    if (s3_checksum_kept(part, &kind, &checksum)) (void)cpl_base64_decode(&a->checksums, checksum);
    (void)cpl_unhex(&a->digests, cpl_str_sub(cpl_str_of(kept), 1, ETAG_HEX + 1));
    blob_key(key, sizeof key, a->id, number);
    cpl_buf_addv(&a->body, emu_blob_get(a->c->store, key));
    a->last = number;
    a->last_size = (size_t)cpl_json_get_number(part, "size", 0);
    a->count++;
    return true;
}

static bool add_parts(assembly *a, const cpl_xml *xml) {
    for (int i = cpl_xml_find(xml, "CompleteMultipartUpload/Part"); i >= 0; i = cpl_xml_next(xml, i)) {
        if (!add_part(a, xml, i)) return false;
    }
    if (a->count == 0) return s3_refuse(a->c, S3_XML);
    if (a->body.failed == CPL_TOO_LARGE) return s3_refuse(a->c, S3_TOO_LARGE);
    return (cpl_buf_ok(&a->body) && cpl_buf_ok(&a->digests) && cpl_buf_ok(&a->checksums)) ||
           s3_refuse(a->c, S3_INTERNAL);
}

/* The ETag of an object made of parts: the MD5 of their MD5s, and how many they are. */
static bool store_assembly(assembly *a) {
    s3_call *c = a->c;
    cpl_json *doc = cpl_json_clone(cpl_json_get(a->upload, "object"));
    const s3_parts_made made = {cpl_buf_str(&a->body), cpl_buf_str(&a->checksums), a->count};
    const s3_write w = {.bucket = c->bucket, .key = c->key, .doc = doc, .body = cpl_buf_str(&a->body)};
    char md5[S3_ETAG_SIZE], etag[S3_ETAG_SIZE + 16];
    if (doc == NULL || !s3_etag(cpl_buf_str(&a->digests), md5)) {
        cpl_json_free(doc);
        return s3_refuse(c, S3_INTERNAL);
    }
    if (!s3_complete_checksum(c, a->upload, doc, &made)) {
        cpl_json_free(doc);
        return false;
    }
    snprintf(etag, sizeof etag, "%.*s-%d\"", ETAG_HEX + 1, md5, a->count);
    if (!cpl_json_set_cstr(doc, "etag", etag)) {
        cpl_json_free(doc);
        return s3_refuse(c, S3_INTERNAL);
    }
    return s3_store(c->e, &w) || s3_refuse(c, S3_INTERNAL);
}

static bool answer_complete(s3_call *c) {
    const cpl_json *doc = emu_store_get(c->store, EMU_OBJECT, c->object);
    cpl_str host = s3_header(c, "host");
    cpl_buf *out = s3_xml(c, "CompleteMultipartUploadResult");
    if (cpl_json_get(doc, "versionId"))
        emu_response_header(c->response, "x-amz-version-id", cpl_str_of(s3_version_of(doc)));
    cpl_buf_adds(out, "<Location>http://");
    cpl_xml_add_text(out, host);
    cpl_xml_add_text(out, cpl_str_of(c->resource));
    cpl_buf_adds(out, "</Location>");
    add_names(c, out, NULL);
    cpl_xml_add_element(out, "ETag", cpl_json_get_str(doc, "etag"));
    s3_add_checksum(out, doc, true);
    cpl_buf_adds(out, "</CompleteMultipartUploadResult>");
    return true;
}

bool s3_complete_upload(s3_call *c) {
    assembly a = {.c = c};
    cpl_xml *xml;
    bool done;
    a.upload = find_upload(c, &a.id);
    if (a.upload == NULL) return false;
    xml = s3_read_xml(c);
    if (xml == NULL) return false;
    a.parts = cpl_json_get(a.upload, "parts");
    cpl_buf_init(&a.body, S3_OBJECT_MAX);
    cpl_buf_init(&a.digests, CPL_MD5_SIZE * PART_MAX);
    cpl_buf_init(&a.checksums, CPL_CHECKSUM_SIZE * PART_MAX);
    done = add_parts(&a, xml) && store_assembly(&a);
    if (done) {
        drop_upload(c, a.id);
        emu_engine_object_changed(c->e, c->bucket, c->key);
        done = answer_complete(c);
    }
    cpl_buf_release(&a.body);
    cpl_buf_release(&a.digests);
    cpl_buf_release(&a.checksums);
    cpl_xml_free(xml);
    return done;
}

/* ---- listing ---- */

static int64_t part_number(const cpl_json *part) {
    int64_t number = 0;
    cpl_str_integer(cpl_json_key(part), &number);
    return number;
}

/* The part that follows number; NULL after the last. */
static const cpl_json *part_after(const cpl_json *parts, int64_t number) {
    const cpl_json *next = NULL;
    for (const cpl_json *i = cpl_json_first(parts); i; i = cpl_json_next(i)) {
        if (part_number(i) > number && (next == NULL || part_number(i) < part_number(next))) next = i;
    }
    return next;
}

static void add_listed_part(cpl_buf *out, const cpl_json *part) {
    cpl_buf_addf(out, "<Part><PartNumber>%lld</PartNumber>", (long long)part_number(part));
    s3_add_time(out, "LastModified", cpl_json_get_number(part, "modified", 0));
    cpl_xml_add_element(out, "ETag", cpl_json_get_str(part, "etag"));
    s3_add_checksum(out, part, false);
    cpl_buf_addf(out, "<Size>%.0f</Size></Part>", cpl_json_get_number(part, "size", 0));
}

bool s3_list_parts(s3_call *c) {
    const char *id;
    const cpl_json *upload = find_upload(c, &id), *parts = cpl_json_get(upload, "parts"), *part;
    int64_t max, marker, count = 0;
    cpl_buf *out;
    if (upload == NULL || !s3_param_number(c, "max-parts", 1000, 1000, &max) ||
        !s3_param_number(c, "part-number-marker", 0, PART_MAX, &marker))
        return false;
    out = s3_xml(c, "ListPartsResult");
    add_names(c, out, id);
    cpl_buf_addf(out, "<PartNumberMarker>%lld</PartNumberMarker><MaxParts>%lld</MaxParts>", (long long)marker,
                 (long long)max);
    for (; count < max && (part = part_after(parts, marker)); count++) {
        add_listed_part(out, part);
        marker = part_number(part);
    }
    cpl_buf_addf(out, "<NextPartNumberMarker>%lld</NextPartNumberMarker><IsTruncated>%s</IsTruncated>",
                 (long long)marker, max > 0 && part_after(parts, marker) ? "true" : "false");
    cpl_buf_adds(out, "<StorageClass>STANDARD</StorageClass></ListPartsResult>");
    return true;
}

bool s3_list_uploads(s3_call *c) {
    cpl_str prefix = s3_param(c, "prefix");
    const char *id;
    const cpl_json *doc;
    cpl_buf *out;
    if (s3_param(c, "delimiter").n > 0 || s3_param(c, "key-marker").n > 0)
        return s3_refuse_as(c, S3_NOT_EMULATED, "the emulator does not do pages of ListMultipartUploads yet");
    out = s3_xml(c, "ListMultipartUploadsResult");
    cpl_xml_add_element(out, "Bucket", cpl_str_of(c->bucket));
    cpl_buf_adds(out, "<IsTruncated>false</IsTruncated>");
    for (size_t i = 0; (doc = emu_store_at(c->store, EMU_UPLOAD, i, &id)); i++) {
        cpl_str key = cpl_json_get_str(doc, "key");
        if (!cpl_str_is(cpl_json_get_str(doc, "bucket"), c->bucket) ||
            !cpl_str_eq(cpl_str_sub(key, 0, prefix.n), cpl_str_sub(prefix, 0, prefix.n)))
            continue;
        cpl_buf_adds(out, "<Upload>");
        cpl_xml_add_element(out, "Key", key);
        cpl_xml_add_element(out, "UploadId", cpl_str_of(id));
        s3_add_time(out, "Initiated", cpl_json_get_number(doc, "started", 0));
        cpl_buf_adds(out, "</Upload>");
    }
    cpl_buf_adds(out, "</ListMultipartUploadsResult>");
    return true;
}
