/* SPDX-License-Identifier: MIT */
/* Objects out: whole, or in parts when large. */
#include "checksum.h"
#include "err.h"
#include "s3_lanes.h"

#define PARTS_MAX 10000
#define ABORT_MS 10000
#define OBJECT_HEADERS 3
#define QUERY_MAX 4096
#define UPLOAD_ID "InitiateMultipartUploadResult/UploadId"
#define CRC CPL_CHECKSUM_CRC64NVME
#define CRC_HEADER CPL_LIT("x-amz-checksum-crc64nvme")

/* The headers that say how an object is kept. */
static size_t object_headers(const cpl_s3_source *source, cpl_header headers[OBJECT_HEADERS]) {
    size_t n = 0;
    if (source->content_type.n) headers[n++] = (cpl_header){CPL_LIT("content-type"), source->content_type};
    if (source->sse.n) headers[n++] = (cpl_header){CPL_LIT("x-amz-server-side-encryption"), source->sse};
    if (source->kms_key_id.n) {
        headers[n++] = (cpl_header){CPL_LIT("x-amz-server-side-encryption-aws-kms-key-id"), source->kms_key_id};
    }
    return n;
}

/* Makes n bytes of the source from offset the request's body. */
static void set_body(s3_request *r, const cpl_s3_source *source, int64_t offset, int64_t n) {
    r->from_fd = source->from_fd;
    if (source->from_fd) {
        r->fd = source->fd;
        r->offset = offset;
        r->size = n;
    } else {
        r->body = cpl_str_sub(source->bytes, (size_t)offset, (size_t)(offset + n));
    }
}

static cpl_status add_body(const s3_request *r, cpl_checksum *const *sums, size_t count, const cpl_wait *wait,
                           cpl_error *err) {
    if (r->from_fd)
        return cpl_checksum_add_file(sums, count, (cpl_checksum_span){r->fd, r->offset, r->size}, wait, err);
    for (size_t i = 0; i < count; i++) cpl_checksum_add(sums[i], r->body.p, r->body.n);
    return CPL_OK;
}

/* ---- whole ---- */

typedef struct sha256_texts {
    char hex[CPL_SHA256_HEX_SIZE], base64[CPL_CHECKSUM_TEXT_SIZE];
} sha256_texts;

static cpl_status hash_whole(const s3_request *r, const cpl_wait *wait, unsigned char digest[CPL_CHECKSUM_SIZE],
                             cpl_error *err) {
    cpl_checksum sum, *const sums[] = {&sum};
    cpl_status status = cpl_checksum_init(&sum, CPL_CHECKSUM_SHA256, err);
    if (status == CPL_OK) status = add_body(r, sums, 1, wait, err);
    if (status == CPL_OK) (void)cpl_checksum_final(&sum, digest);
    cpl_checksum_release(&sum);
    return status;
}

/* known: in hexadecimal, or absent. */
static cpl_status write_sha256(const s3_request *r, cpl_str known, const cpl_wait *wait, sha256_texts *out,
                               cpl_error *err) {
    unsigned char digest[CPL_CHECKSUM_SIZE];
    cpl_buf bytes;
    cpl_status status = CPL_OK;
    cpl_buf_init(&bytes, CPL_SHA256_SIZE);
    if (cpl_unhex(&bytes, known) && bytes.n == CPL_SHA256_SIZE) {
        memcpy(digest, bytes.p, CPL_SHA256_SIZE);
    } else {
        status = hash_whole(r, wait, digest, err);
    }
    cpl_buf_release(&bytes);
    if (status != CPL_OK) return status;
    cpl_hex(digest, CPL_SHA256_SIZE, out->hex);
    cpl_base64_text(digest, CPL_SHA256_SIZE, out->base64);
    return CPL_OK;
}

static cpl_status put_whole(const cpl_s3 *s3, const cpl_s3_target *target, const cpl_s3_source *source, int64_t size,
                            cpl_error *err) {
    cpl_header headers[OBJECT_HEADERS + 1];
    s3_request r = {.method = "PUT",
                    .operation = "PutObject",
                    .headers = headers,
                    .header_count = object_headers(source, headers),
                    .header = "etag"};
    sha256_texts sha256;
    s3_session session;
    s3_exchange x;
    cpl_status status;
    s3_session_init(&session, s3, target);
    set_body(&r, source, 0, size);
    status = write_sha256(&r, source->sha256, target->wait, &sha256, err);
    if (status != CPL_OK) return status;
    r.sha256 = cpl_str_of(sha256.hex);
    if (!s3->no_checksums) {
        headers[r.header_count++] = (cpl_header){CPL_LIT("x-amz-checksum-sha256"), cpl_str_of(sha256.base64)};
    }
    s3_session_tell(&session, 0, size);
    s3_exchange_init(&x, &session, &r);
    status = s3_send(&x, err);
    s3_exchange_release(&x);
    return status == CPL_OK ? s3_session_end(&session, size, err) : status;
}

/* ---- in parts ---- */

typedef struct part {
    int number; /* from 1 */
    int64_t size;
    char sha256[CPL_SHA256_HEX_SIZE], crc[CPL_CHECKSUM_TEXT_SIZE];
    cpl_header checksum;
    cpl_buf query;
} part;

typedef struct upload {
    s3_session session;
    const cpl_s3_source *source;
    cpl_buf id;
    cpl_buf query; /* "uploadId=...", encoded */
    int64_t size, part_size;
    int count, begun; /* parts */
    part under_way[S3_LANES_MAX];
    char **noted;     /* what CompleteMultipartUpload says of each part; NULL: not sent yet */
    cpl_checksum crc; /* of all that were begun */
    cpl_error *err;
} upload;

static void write_query(cpl_buf *out, cpl_str upload_id) {
    cpl_buf_adds(out, "uploadId=");
    cpl_buf_add_uri(out, upload_id, false);
}

static cpl_status read_upload_id(upload *u, const cpl_http_response *response) {
    cpl_xml *xml = NULL;
    cpl_str id;
    cpl_status status = s3_parse(response, &xml, u->err);
    if (status != CPL_OK) return status;
    id = cpl_xml_text(xml, cpl_xml_find(xml, UPLOAD_ID));
    if (id.n == 0) status = cpl_fail(u->err, CPL_PROTOCOL, "the answer has no upload id");
    cpl_buf_addv(&u->id, id);
    write_query(&u->query, id);
    cpl_xml_free(xml);
    return status == CPL_OK ? cpl_buf_status(&u->query, "the upload id", u->err) : status;
}

static cpl_status begin_upload(upload *u) {
    cpl_header headers[OBJECT_HEADERS + 2];
    s3_request r = {.method = "POST",
                    .operation = "CreateMultipartUpload",
                    .query = CPL_LIT("uploads="),
                    .headers = headers,
                    .header_count = object_headers(u->source, headers),
                    .sha256 = S3_EMPTY_SHA256,
                    .element = UPLOAD_ID};
    s3_exchange x;
    cpl_status status;
    if (!u->session.s3->no_checksums) {
        headers[r.header_count++] = (cpl_header){CPL_LIT("x-amz-checksum-algorithm"), CPL_LIT("CRC64NVME")};
        headers[r.header_count++] = (cpl_header){CPL_LIT("x-amz-checksum-type"), CPL_LIT("FULL_OBJECT")};
    }
    s3_exchange_init(&x, &u->session, &r);
    status = s3_send(&x, u->err);
    if (status == CPL_OK) status = read_upload_id(u, &x.response);
    s3_exchange_release(&x);
    return status;
}

/* In one reading: the hash that signs the part, its checksum, and that of the whole as far as it is. */
static cpl_status hash_part(upload *u, const s3_request *r, part *out, cpl_error *err) {
    unsigned char digest[CPL_CHECKSUM_SIZE];
    cpl_checksum sha256 = {0}, crc = {0}, *const sums[] = {&sha256, &crc, &u->crc};
    cpl_wait rest;
    cpl_status status = cpl_pace_rest(&u->session.pace, &rest, err);
    if (status == CPL_OK) status = cpl_checksum_init(&sha256, CPL_CHECKSUM_SHA256, err);
    if (status != CPL_OK) return status;
    status = cpl_checksum_init(&crc, CRC, err);
    if (status == CPL_OK) status = add_body(r, sums, u->session.s3->no_checksums ? 1 : CPL_COUNT(sums), &rest, err);
    if (status == CPL_OK) {
        (void)cpl_checksum_final(&sha256, digest);
        cpl_hex(digest, CPL_SHA256_SIZE, out->sha256);
        cpl_checksum_text(&crc, out->crc);
    }
    cpl_checksum_release(&sha256);
    return status;
}

static cpl_status next_part(void *context, size_t lane, s3_request *request, bool *more, cpl_error *err) {
    upload *u = context;
    part *p = &u->under_way[lane];
    int64_t offset = (int64_t)u->begun * u->part_size, n = u->size - offset;
    cpl_status status;
    *more = n > 0;
    if (!*more) return CPL_OK;
    if (n > u->part_size) n = u->part_size;
    *request = (s3_request){.method = "PUT", .operation = "UploadPart", .headers = &p->checksum, .header = "etag"};
    set_body(request, u->source, offset, n);
    status = hash_part(u, request, p, err);
    if (status != CPL_OK) return status;
    request->sha256 = cpl_str_of(p->sha256);
    p->checksum = (cpl_header){CRC_HEADER, cpl_str_of(p->crc)};
    request->header_count = u->session.s3->no_checksums ? 0 : 1;
    p->size = n;
    p->number = ++u->begun;
    cpl_buf_clear(&p->query);
    cpl_buf_addf(&p->query, "partNumber=%d&", p->number);
    cpl_buf_addv(&p->query, cpl_buf_str(&u->query));
    request->query = cpl_buf_str(&p->query);
    return cpl_buf_status(&p->query, "the upload id", err);
}

/* They end in any order, and are listed in theirs. */
static cpl_status note_part(void *context, size_t lane, const s3_request *request, const cpl_http_response *response,
                            cpl_error *err) {
    upload *u = context;
    const part *p = &u->under_way[lane];
    char **noted = &u->noted[p->number - 1];
    cpl_buf text;
    cpl_status status;
    (void)request;
    cpl_buf_init(&text, 4096);
    cpl_buf_addf(&text, "<Part><PartNumber>%d</PartNumber>", p->number);
    cpl_xml_add_element(&text, "ETag", cpl_http_header(response, "etag"));
    if (!u->session.s3->no_checksums) cpl_xml_add_element(&text, "ChecksumCRC64NVME", cpl_str_of(p->crc));
    cpl_buf_adds(&text, "</Part>");
    status = cpl_buf_status(&text, "a part's ETag", err);
    if (status == CPL_OK && (*noted = cpl_strdup(cpl_buf_str(&text))) == NULL) status = cpl_fail_nomem(err);
    cpl_buf_release(&text);
    if (status == CPL_OK) u->session.done += p->size;
    return status;
}

/* A lost answer makes the repeat find no upload any more: then the object itself tells whether it was made. */
static cpl_status settle_upload(upload *u, const s3_exchange *x) {
    cpl_error unwanted;
    int64_t size = -1;
    if (x->failure.attempts < 2 || strcmp(x->failure.code, "NoSuchUpload") != 0) return CPL_SERVICE;
    if (cpl_s3_head(u->session.s3, u->session.target, &size, &unwanted) != CPL_OK || size != u->size)
        return CPL_SERVICE;
    cpl_error_clear(u->err);
    return CPL_OK;
}

static cpl_status list_parts(const upload *u, cpl_buf *out) {
    cpl_buf_adds(out, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (int i = 0; i < u->count; i++) cpl_buf_adds(out, u->noted[i]);
    cpl_buf_adds(out, "</CompleteMultipartUpload>");
    return cpl_buf_status(out, "the list of parts", u->err);
}

static cpl_status finish_upload(upload *u, cpl_str parts) {
    char digest[CPL_SHA256_HEX_SIZE], crc[CPL_CHECKSUM_TEXT_SIZE];
    cpl_header headers[] = {{CRC_HEADER, {NULL, 0}}, {CPL_LIT("x-amz-checksum-type"), CPL_LIT("FULL_OBJECT")}};
    s3_request r = {.method = "POST",
                    .operation = "CompleteMultipartUpload",
                    .query = cpl_buf_str(&u->query),
                    .headers = headers,
                    .header_count = u->session.s3->no_checksums ? 0 : CPL_COUNT(headers),
                    .body = parts,
                    .element = "CompleteMultipartUploadResult"};
    s3_exchange x;
    cpl_status status = cpl_sha256_hex(r.body, digest, u->err);
    if (status != CPL_OK) return status;
    cpl_checksum_text(&u->crc, crc);
    headers[0].value = cpl_str_of(crc);
    r.sha256 = cpl_str_of(digest);
    s3_exchange_init(&x, &u->session, &r);
    status = s3_send(&x, u->err);
    if (status == CPL_SERVICE) status = settle_upload(u, &x);
    s3_exchange_release(&x);
    return status;
}

cpl_status cpl_s3_abort(const cpl_s3 *s3, const cpl_s3_target *target, cpl_str upload_id, cpl_error *err) {
    s3_request r = {.method = "DELETE", .operation = "AbortMultipartUpload", .sha256 = S3_EMPTY_SHA256, .status = 204};
    s3_session session;
    s3_exchange x;
    cpl_buf query;
    cpl_status status;
    cpl_buf_init(&query, QUERY_MAX);
    write_query(&query, upload_id);
    status = cpl_buf_status(&query, "the upload id", err);
    r.query = cpl_buf_str(&query);
    s3_session_init(&session, s3, target);
    s3_exchange_init(&x, &session, &r);
    if (status == CPL_OK) status = s3_send(&x, err);
    s3_exchange_release(&x);
    cpl_buf_release(&query);
    return status;
}

/* The caller's tick may have said stop, but this must still go out. */
static cpl_status abort_upload(const upload *u) {
    cpl_wait brief = {.timeout_ms = ABORT_MS};
    cpl_s3 s3 = *u->session.s3;
    cpl_s3_target target = *u->session.target;
    s3.region = cpl_str_of(u->session.region); /* where the bucket was found */
    target.wait = &brief;
    return cpl_s3_abort(&s3, &target, cpl_buf_str(&u->id), NULL);
}

static int64_t part_size_of(const cpl_s3 *s3, int64_t size) {
    int64_t usual = s3->part_size > 0 ? s3->part_size : 16 * S3_MIB, least = (size + PARTS_MAX - 1) / PARTS_MAX;
    return usual >= least ? usual : (least + S3_MIB - 1) / S3_MIB * S3_MIB;
}

static cpl_status send_parts(upload *u) {
    const s3_work work = {.session = &u->session, .size = u->size, .context = u, .next = next_part, .done = note_part};
    cpl_buf parts;
    cpl_status status;
    for (size_t i = 0; i < S3_LANES_MAX; i++) cpl_buf_init(&u->under_way[i].query, u->query.limit + 32);
    status = s3_lanes_run(&work, u->err);
    for (size_t i = 0; i < S3_LANES_MAX; i++) cpl_buf_release(&u->under_way[i].query);
    if (status != CPL_OK) return status;
    s3_session_tell(&u->session, 0, u->size);
    cpl_buf_init(&parts, 4 * (size_t)S3_MIB);
    status = list_parts(u, &parts);
    if (status == CPL_OK) status = finish_upload(u, cpl_buf_str(&parts));
    cpl_buf_release(&parts);
    return status;
}

/* All of it arrives, or nothing of it is left. */
static cpl_status send_and_settle(upload *u) {
    const cpl_s3_witness *witness = u->source->witness;
    const char *id = cpl_buf_cstr(&u->id);
    cpl_status status;
    if (witness) witness->begun(witness->context, id);
    status = send_parts(u);
    if ((status == CPL_OK || abort_upload(u) == CPL_OK) && witness) witness->over(witness->context, id);
    return status;
}

static cpl_status put_parts(const cpl_s3 *s3, const cpl_s3_target *target, const cpl_s3_source *source, int64_t size,
                            cpl_error *err) {
    upload u = {.source = source, .size = size, .part_size = part_size_of(s3, size), .err = err};
    cpl_status status = cpl_checksum_init(&u.crc, CRC, err);
    if (status != CPL_OK) return status;
    u.count = (int)((size + u.part_size - 1) / u.part_size);
    u.noted = cpl_calloc((size_t)u.count, sizeof *u.noted);
    if (u.noted == NULL) return cpl_fail_nomem(err);
    s3_session_init(&u.session, s3, target);
    s3_session_tell(&u.session, 0, size);
    cpl_buf_init(&u.id, QUERY_MAX);
    cpl_buf_init(&u.query, QUERY_MAX);
    status = begin_upload(&u);
    if (status == CPL_OK) status = send_and_settle(&u);
    cpl_buf_release(&u.id);
    cpl_buf_release(&u.query);
    for (int i = 0; i < u.count; i++) cpl_free(u.noted[i]);
    cpl_free(u.noted);
    return status == CPL_OK ? s3_session_end(&u.session, size, err) : status;
}

cpl_status cpl_s3_put(const cpl_s3 *s3, const cpl_s3_target *target, const cpl_s3_source *source, cpl_error *err) {
    int64_t size = source->from_fd ? source->size : (int64_t)source->bytes.n;
    int64_t from = s3->multipart_from > 0 ? s3->multipart_from : 64 * S3_MIB;
    return size > from ? put_parts(s3, target, source, size, err) : put_whole(s3, target, source, size, err);
}
