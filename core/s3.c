/* SPDX-License-Identifier: MIT */
#include "s3.h"

#include <errno.h>
#include <unistd.h>

#include "clock.h"
#include "endpoint.h"
#include "err.h"
#include "pace.h"
#include "retry.h"
#include "xml.h"

#define MIB ((int64_t)1 << 20)
#define PARTS_MAX 10000
#define ERROR_BODY_MAX ((size_t)64 << 10)
#define BLOCK 65536
#define HEADERS_MAX 12
#define ATTEMPTS 5
#define ABORT_MS 10000

static const char empty_sha256[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/* One call of this file: the requests it makes share what was found out about the bucket. */
typedef struct session {
    const cpl_s3 *s3;
    const cpl_s3_target *target;
    const char *operation; /* "GetObject" */
    char region[64];
    bool moved; /* the region was corrected; once is enough */
    cpl_pace pace;
    cpl_http_response response;
    cpl_signature signature;
    cpl_buf url;
    int64_t waited_ms;
    cpl_error failure; /* of the last attempt */
    cpl_error *err;    /* points to it */
} session;

typedef struct request {
    const char *method;
    cpl_str query;
    const cpl_header *headers; /* x-amz-*, content-type; signed */
    size_t header_count;
    cpl_str sha256; /* of the body */
    cpl_str body;
    int fd; /* source or sink */
    bool from_fd, to_fd;
    int64_t offset, size;
    size_t limit;
} request;

static void session_init(session *x, const cpl_s3 *s3, const cpl_s3_target *target, const char *operation) {
    *x = (session){.s3 = s3, .target = target, .operation = operation};
    x->err = &x->failure;
    CPL_COPY(x->region, s3->region);
    cpl_pace_init(&x->pace, target->wait);
    cpl_http_response_init(&x->response);
    cpl_signature_init(&x->signature);
    cpl_buf_init(&x->url, 8192);
}

static void session_release(session *x) {
    cpl_http_response_release(&x->response);
    cpl_signature_release(&x->signature);
    cpl_buf_release(&x->url);
}

/* ---- one request ---- */

static cpl_status build_url(session *x, const request *r, cpl_endpoint *endpoint) {
    cpl_endpoint_params params = {.service = CPL_LIT("s3"),
                                  .region = cpl_str_of(x->region),
                                  .override_url = x->s3->endpoint_url,
                                  .bucket = x->target->bucket,
                                  .fips = x->s3->fips,
                                  .dual_stack = x->s3->dual_stack};
    cpl_status status = cpl_endpoint_resolve(&params, endpoint, x->err);
    if (status != CPL_OK) return status;
    cpl_buf_clear(&x->url);
    cpl_buf_adds(&x->url, endpoint->url);
    cpl_buf_addc(&x->url, '/');
    cpl_buf_add_uri(&x->url, x->target->key, true);
    if (r->query.n) {
        cpl_buf_addc(&x->url, '?');
        cpl_buf_addv(&x->url, r->query);
    }
    return cpl_buf_status(&x->url, "the object's URL", x->err);
}

static cpl_status sign(session *x, const request *r, const cpl_url *url, const cpl_endpoint *endpoint,
                       const cpl_header *headers, size_t count) {
    cpl_sign_request s = {.method = cpl_str_of(r->method),
                          .path = url->path,
                          .query = url->query,
                          .headers = headers,
                          .header_count = count,
                          .payload_hash = r->sha256,
                          .region = cpl_str_of(endpoint->signing_region),
                          .service = cpl_str_of(endpoint->signing_name),
                          .time_s = cpl_clock_wall_ms() / 1000 + x->s3->skew_s,
                          .flags = CPL_SIGN_S3};
    return cpl_sigv4_sign(x->s3->signer, &s, x->target->who, &x->signature, x->err);
}

static cpl_status transmit(session *x, const request *r, const cpl_header *headers, size_t count) {
    cpl_wait rest;
    cpl_http_request h = {.method = cpl_str_of(r->method),
                          .url = cpl_buf_str(&x->url),
                          .headers = headers,
                          .header_count = count,
                          .body = r->body,
                          .body_fd = r->fd,
                          .body_from_fd = r->from_fd,
                          .body_offset = r->offset,
                          .body_size = r->size,
                          .sink_fd = r->fd,
                          .sink_to_fd = r->to_fd,
                          .body_limit = r->to_fd ? r->limit : ERROR_BODY_MAX,
                          .wait = &rest,
                          .limits = x->s3->limits};
    cpl_status status = cpl_pace_rest(&x->pace, &rest, x->err);
    if (status != CPL_OK) return status;
    cpl_http_response_clear(&x->response);
    return cpl_http_send(x->s3->http, &h, &x->response, x->err);
}

static cpl_status send_once(session *x, const request *r) {
    cpl_header headers[HEADERS_MAX];
    cpl_endpoint endpoint;
    cpl_url url;
    size_t n = 0;
    cpl_status status = build_url(x, r, &endpoint);
    if (status != CPL_OK) return status;
    if (!cpl_url_parse(cpl_buf_str(&x->url), &url)) {
        return cpl_fail(x->err, CPL_CONFIG, "\"%s\" is not a URL", endpoint.url);
    }
    assert(r->header_count <= HEADERS_MAX - 6);
    headers[n++] = (cpl_header){CPL_LIT("host"), url.authority};
    for (size_t i = 0; i < r->header_count; i++) headers[n++] = r->headers[i];
    status = sign(x, r, &url, &endpoint, headers, n);
    if (status != CPL_OK) return status;
    headers[n++] = (cpl_header){CPL_LIT("x-amz-date"), cpl_str_of(x->signature.date)};
    headers[n++] = (cpl_header){CPL_LIT("x-amz-content-sha256"), cpl_str_of(x->signature.payload_hash)};
    headers[n++] = (cpl_header){CPL_LIT("authorization"), cpl_buf_str(&x->signature.authorization)};
    if (x->s3->user_agent.n) headers[n++] = (cpl_header){CPL_LIT("user-agent"), x->s3->user_agent};
    if (x->target->who->session_token.n) {
        headers[n++] = (cpl_header){CPL_LIT("x-amz-security-token"), x->target->who->session_token};
    }
    return transmit(x, r, headers, n);
}

/* ---- what the answer means ---- */

/* Fills err from the answer: its <Error> document, or the bare status (HEAD has no body). */
static cpl_status service_error(session *x) {
    cpl_xml *xml = NULL;
    cpl_str code = {NULL, 0}, text = {NULL, 0}, id = cpl_http_header(&x->response, "x-amz-request-id");
    char message[sizeof x->failure.message];
    if (cpl_xml_parse(cpl_buf_str(&x->response.body), &xml, NULL) == CPL_OK) {
        code = cpl_xml_text(xml, cpl_xml_find(xml, "Error/Code"));
        text = cpl_xml_text(xml, cpl_xml_find(xml, "Error/Message"));
    }
    if (code.n == 0) {
        switch (x->response.status) {
        case 403: code = CPL_LIT("AccessDenied"); break;
        case 404: code = CPL_LIT("NoSuchKey"); break;
        case 503: code = CPL_LIT("SlowDown"); break;
        default: code = CPL_LIT("UnknownError"); break;
        }
    }
    CPL_COPY(message, text.n ? text : code);
    cpl_fail(x->err, CPL_SERVICE, "%s (s3://%.*s/%.*s)", message, (int)x->target->bucket.n, x->target->bucket.p,
             (int)x->target->key.n, x->target->key.p);
    CPL_COPY(x->err->code, code);
    CPL_COPY(x->err->request_id, id);
    x->err->http_status = x->response.status;
    cpl_xml_free(xml);
    return CPL_SERVICE;
}

/* The answer told another region than the one signed for: use it, once. */
static bool move_region(session *x) {
    cpl_str region = cpl_http_header(&x->response, "x-amz-bucket-region");
    cpl_xml *xml = NULL;
    bool told;
    if (x->moved || x->response.status < 300) return false;
    if (region.n == 0 && cpl_xml_parse(cpl_buf_str(&x->response.body), &xml, NULL) == CPL_OK) {
        region = cpl_xml_text(xml, cpl_xml_find(xml, "Error/Region"));
    }
    told = region.n > 0 && region.n < sizeof x->region && !cpl_str_is(region, x->region);
    if (told) {
        CPL_COPY(x->region, region);
        x->moved = true;
    }
    cpl_xml_free(xml);
    return told;
}

/* 200 may still carry an error, when S3 began to answer before it was done (CompleteMultipartUpload). */
static bool is_late_error(const session *x) {
    return x->response.status == 200 && strstr(cpl_buf_cstr(&x->response.body), "<Error>") != NULL;
}

static cpl_status judge(session *x) {
    if (is_late_error(x)) {
        service_error(x);
        x->err->http_status = 500;
        return CPL_SERVICE;
    }
    return x->response.status >= 200 && x->response.status < 300 ? CPL_OK : service_error(x);
}

/* Waits before the next attempt; false when there should be none. */
static bool wait_for_retry(session *x, cpl_status status, const cpl_retry_policy *policy, cpl_retry *call,
                           cpl_retry_quota *quota) {
    cpl_retry_failure failure = {.class = cpl_retry_classify(status, x->err->http_status, cpl_str_of(x->err->code)),
                                 .retry_after = cpl_http_header(&x->response, "x-amz-retry-after")};
    uint32_t chance = 0;
    int64_t delay_ms;
    cpl_wait rest;
    cpl_error interrupted;
    (void)cpl_random(&chance, sizeof chance, NULL);
    failure.random = chance / 4294967296.0;
    x->err->retryable = failure.class != CPL_RETRY_NEVER;
    if (cpl_retry_next(policy, quota, call, &failure, &delay_ms) != CPL_RETRY_AGAIN) return false;
    if (cpl_pace_rest(&x->pace, &rest, NULL) != CPL_OK) return false;
    if (rest.timeout_ms > 0 && rest.timeout_ms < delay_ms) return false;
    if (cpl_clock_sleep(delay_ms, x->target->wait, &interrupted) != CPL_OK) {
        x->failure = interrupted;
        return false;
    }
    x->waited_ms += delay_ms;
    return true;
}

/* Sends until it is accepted, refused for good, or the attempts are used up; err tells the last failure. */
static cpl_status exchange(session *x, const request *r, cpl_error *err) {
    cpl_retry_policy policy = *cpl_retry_policy_of(CPL_RETRY_2_1);
    cpl_retry_quota quota; /* of this request: there are few, and each carries much */
    cpl_retry call = {0};
    int resent = 0;
    policy.max_attempts = x->s3->max_attempts > 0 ? x->s3->max_attempts : ATTEMPTS;
    cpl_retry_quota_init(&quota, policy.quota);
    for (;;) {
        cpl_status status;
        if (r->to_fd && ftruncate(r->fd, 0) != 0) return cpl_fail_errno(err, "empty", "the artifact's file");
        status = send_once(x, r);
        resent += x->response.resent;
        if (status == CPL_OK && move_region(x)) continue;
        if (status == CPL_OK) status = judge(x);
        if (status == CPL_OK) return status;
        if (wait_for_retry(x, status, &policy, &call, &quota)) continue;
        CPL_COPY(x->failure.operation, cpl_str_of(x->operation));
        x->failure.attempts = call.attempts + resent;
        x->failure.retry_delay_ms = x->waited_ms;
        if (err) *err = x->failure;
        return x->failure.status;
    }
}

/* ---- whole objects ---- */

cpl_status cpl_s3_hash(int fd, int64_t offset, int64_t n, const cpl_wait *wait, char out[CPL_SHA256_HEX_SIZE],
                       cpl_error *err) {
    unsigned char digest[CPL_SHA256_SIZE];
    cpl_sha256_state state;
    cpl_pace pace;
    char *block = cpl_malloc(BLOCK);
    cpl_status status = block ? cpl_sha256_init(&state, err) : cpl_fail_nomem(err);
    if (status != CPL_OK) goto out;
    cpl_pace_init(&pace, wait);
    while (status == CPL_OK && n > 0) {
        ssize_t got = pread(fd, block, n < BLOCK ? (size_t)n : BLOCK, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) status = cpl_fail_errno(err, "read", "the artifact");
        if (got == 0) status = cpl_fail(err, CPL_IO, "the artifact became shorter while it was read");
        if (got <= 0) break;
        cpl_sha256_add(&state, block, (size_t)got);
        offset += got;
        n -= got;
        status = cpl_pace_check(&pace, err);
    }
    if (status == CPL_OK) {
        cpl_buf hex;
        cpl_sha256_final(&state, digest);
        cpl_buf_init(&hex, CPL_SHA256_HEX_SIZE);
        cpl_buf_add_hex(&hex, digest, sizeof digest);
        status = cpl_buf_status(&hex, "the digest", err);
        if (status == CPL_OK) memcpy(out, hex.p, CPL_SHA256_HEX_SIZE);
        cpl_buf_release(&hex);
    }
    cpl_sha256_release(&state);
out:
    cpl_free(block);
    return status;
}

/* digest must outlive the request. */
static cpl_status hash_body(request *r, const cpl_wait *wait, char digest[CPL_SHA256_HEX_SIZE], cpl_error *err) {
    r->sha256 = (cpl_str){digest, CPL_SHA256_HEX_SIZE - 1}; /* filled below */
    return r->from_fd ? cpl_s3_hash(r->fd, r->offset, r->size, wait, digest, err)
                      : cpl_sha256_hex(r->body, digest, err);
}

cpl_status cpl_s3_get(const cpl_s3 *s3, const cpl_s3_target *target, int fd, int64_t limit, int64_t *size,
                      cpl_error *err) {
    request r = {.method = "GET",
                 .sha256 = cpl_str_of(empty_sha256),
                 .fd = fd,
                 .to_fd = true,
                 .limit = limit < 0 ? 0 : (size_t)limit};
    session x;
    cpl_status status;
    session_init(&x, s3, target, "GetObject");
    status = exchange(&x, &r, err);
    if (status == CPL_TOO_LARGE) {
        cpl_fail(err, status, "s3://%.*s/%.*s is larger than the limit of %lld bytes", (int)target->bucket.n,
                 target->bucket.p, (int)target->key.n, target->key.p, (long long)limit);
    }
    if (status == CPL_OK && size) *size = x.response.body_bytes;
    session_release(&x);
    return status;
}

cpl_status cpl_s3_head(const cpl_s3 *s3, const cpl_s3_target *target, int64_t *size, cpl_error *err) {
    request r = {.method = "HEAD", .sha256 = cpl_str_of(empty_sha256)};
    session x;
    cpl_status status;
    session_init(&x, s3, target, "HeadObject");
    status = exchange(&x, &r, err);
    if (status == CPL_OK && !cpl_str_integer(cpl_http_header(&x.response, "content-length"), size)) {
        status = cpl_fail(err, CPL_PROTOCOL, "the answer has no content-length");
    }
    session_release(&x);
    return status;
}

cpl_status cpl_s3_create_bucket(const cpl_s3 *s3, const cpl_s3_target *target, cpl_error *err) {
    cpl_s3_target bucket = *target;
    request r = {.method = "PUT"};
    char body[256] = "", digest[CPL_SHA256_HEX_SIZE];
    session x;
    cpl_status status;
    bucket.key = (cpl_str){NULL, 0};
    if (!cpl_str_is(s3->region, "us-east-1")) {
        snprintf(body, sizeof body,
                 "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>%.*s"
                 "</LocationConstraint></CreateBucketConfiguration>",
                 s3->region.n > 64 ? 64 : (int)s3->region.n, s3->region.p);
    }
    r.body = cpl_str_of(body);
    status = hash_body(&r, NULL, digest, err);
    if (status != CPL_OK) return status;
    session_init(&x, s3, &bucket, "CreateBucket");
    status = exchange(&x, &r, err);
    if (status == CPL_SERVICE && err && strcmp(err->code, "BucketAlreadyOwnedByYou") == 0) {
        cpl_error_clear(err);
        status = CPL_OK;
    }
    session_release(&x);
    return status;
}

/* The headers that say how an object is kept. */
static size_t object_headers(const cpl_s3_source *source, cpl_header headers[3]) {
    size_t n = 0;
    if (source->content_type.n) headers[n++] = (cpl_header){CPL_LIT("content-type"), source->content_type};
    if (source->sse.n) headers[n++] = (cpl_header){CPL_LIT("x-amz-server-side-encryption"), source->sse};
    if (source->kms_key_id.n) {
        headers[n++] = (cpl_header){CPL_LIT("x-amz-server-side-encryption-aws-kms-key-id"), source->kms_key_id};
    }
    return n;
}

/* Makes n bytes of the source from offset the request's body. */
static void set_body(request *r, const cpl_s3_source *source, int64_t offset, int64_t n) {
    r->from_fd = source->from_fd;
    if (source->from_fd) {
        r->fd = source->fd;
        r->offset = offset;
        r->size = n;
    } else {
        r->body = cpl_str_sub(source->bytes, (size_t)offset, (size_t)(offset + n));
    }
}

static cpl_status put_whole(const cpl_s3 *s3, const cpl_s3_target *target, const cpl_s3_source *source, int64_t size,
                            cpl_error *err) {
    cpl_header headers[3];
    char digest[CPL_SHA256_HEX_SIZE];
    request r = {.method = "PUT", .headers = headers, .header_count = object_headers(source, headers)};
    session x;
    cpl_status status = CPL_OK;
    session_init(&x, s3, target, "PutObject");
    set_body(&r, source, 0, size);
    r.sha256 = source->sha256;
    if (r.sha256.n == 0) status = hash_body(&r, target->wait, digest, err);
    if (status == CPL_OK) status = exchange(&x, &r, err);
    session_release(&x);
    return status;
}

/* ---- in parts ---- */

typedef struct upload {
    session session;
    const cpl_s3_source *source;
    cpl_buf query; /* "uploadId=...", encoded */
    cpl_buf parts; /* the body of CompleteMultipartUpload */
    int64_t size, part_size;
    cpl_error *err;
} upload;

static cpl_status begin_upload(upload *u) {
    cpl_header headers[3];
    request r = {.method = "POST",
                 .query = CPL_LIT("uploads="),
                 .headers = headers,
                 .header_count = object_headers(u->source, headers),
                 .sha256 = cpl_str_of(empty_sha256)};
    cpl_xml *xml = NULL;
    cpl_str id;
    cpl_status status;
    u->session.operation = "CreateMultipartUpload";
    status = exchange(&u->session, &r, u->err);
    if (status == CPL_OK) status = cpl_xml_parse(cpl_buf_str(&u->session.response.body), &xml, u->err);
    if (status != CPL_OK) return status;
    id = cpl_xml_text(xml, cpl_xml_find(xml, "InitiateMultipartUploadResult/UploadId"));
    if (id.n == 0) status = cpl_fail(u->err, CPL_PROTOCOL, "the answer has no upload id");
    cpl_buf_adds(&u->query, "uploadId=");
    cpl_buf_add_uri(&u->query, id, false);
    cpl_xml_free(xml);
    return status == CPL_OK ? cpl_buf_status(&u->query, "the upload id", u->err) : status;
}

static cpl_status send_part(upload *u, int number) {
    int64_t offset = (number - 1) * u->part_size, n = u->size - offset;
    char digest[CPL_SHA256_HEX_SIZE];
    request r = {.method = "PUT"};
    cpl_buf query;
    cpl_str etag;
    cpl_status status;
    set_body(&r, u->source, offset, n < u->part_size ? n : u->part_size);
    status = hash_body(&r, u->session.target->wait, digest, u->err);
    if (status != CPL_OK) return status;
    cpl_buf_init(&query, u->query.limit + 32);
    cpl_buf_addf(&query, "partNumber=%d&", number);
    cpl_buf_addv(&query, cpl_buf_str(&u->query));
    r.query = cpl_buf_str(&query);
    status = cpl_buf_status(&query, "the upload id", u->err);
    if (status == CPL_OK) status = exchange(&u->session, &r, u->err);
    cpl_buf_release(&query);
    if (status != CPL_OK) return status;
    etag = cpl_http_header(&u->session.response, "etag");
    if (etag.n == 0) return cpl_fail(u->err, CPL_PROTOCOL, "the answer has no etag");
    cpl_buf_addf(&u->parts, "<Part><PartNumber>%d</PartNumber>", number);
    cpl_xml_add_element(&u->parts, "ETag", etag);
    cpl_buf_adds(&u->parts, "</Part>");
    return cpl_buf_status(&u->parts, "the list of parts", u->err);
}

/* A lost answer makes the repeat find no upload any more: then the object itself tells whether it was made. */
static cpl_status settle_upload(upload *u) {
    cpl_error unwanted;
    int64_t size = -1;
    if (u->session.failure.attempts < 2 || strcmp(u->session.failure.code, "NoSuchUpload") != 0) return CPL_SERVICE;
    if (cpl_s3_head(u->session.s3, u->session.target, &size, &unwanted) != CPL_OK || size != u->size)
        return CPL_SERVICE;
    cpl_error_clear(u->err);
    return CPL_OK;
}

static cpl_status finish_upload(upload *u) {
    char digest[CPL_SHA256_HEX_SIZE];
    request r = {.method = "POST", .query = cpl_buf_str(&u->query), .body = cpl_buf_str(&u->parts)};
    cpl_status status = hash_body(&r, NULL, digest, u->err);
    if (status != CPL_OK) return status;
    u->session.operation = "CompleteMultipartUpload";
    status = exchange(&u->session, &r, u->err);
    return status == CPL_SERVICE ? settle_upload(u) : status;
}

/* Takes back what was sent; the caller's tick may have said stop, but this must still go out. */
static void abort_upload(upload *u) {
    cpl_wait brief = {.timeout_ms = ABORT_MS};
    cpl_s3_target target = *u->session.target;
    request r = {.method = "DELETE", .query = cpl_buf_str(&u->query), .sha256 = cpl_str_of(empty_sha256)};
    session x;
    target.wait = &brief;
    session_init(&x, u->session.s3, &target, "AbortMultipartUpload");
    CPL_COPY(x.region, cpl_str_of(u->session.region));
    (void)exchange(&x, &r, NULL);
    session_release(&x);
}

static int64_t part_size_of(const cpl_s3 *s3, int64_t size) {
    int64_t part = s3->part_size > 0 ? s3->part_size : 16 * MIB, least = (size + PARTS_MAX - 1) / PARTS_MAX;
    return part >= least ? part : (least + MIB - 1) / MIB * MIB;
}

static cpl_status put_parts(const cpl_s3 *s3, const cpl_s3_target *target, const cpl_s3_source *source, int64_t size,
                            cpl_error *err) {
    upload u = {.source = source, .size = size, .part_size = part_size_of(s3, size), .err = err};
    int count = (int)((size + u.part_size - 1) / u.part_size);
    cpl_status status;
    session_init(&u.session, s3, target, "CreateMultipartUpload");
    cpl_buf_init(&u.query, 4096);
    cpl_buf_init(&u.parts, 4 * (size_t)MIB);
    cpl_buf_adds(&u.parts, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    status = begin_upload(&u);
    if (status != CPL_OK) goto out;
    u.session.operation = "UploadPart";
    for (int number = 1; status == CPL_OK && number <= count; number++) status = send_part(&u, number);
    cpl_buf_adds(&u.parts, "</CompleteMultipartUpload>");
    if (status == CPL_OK) status = cpl_buf_status(&u.parts, "the list of parts", err);
    if (status == CPL_OK) status = finish_upload(&u);
    if (status != CPL_OK) abort_upload(&u);
out:
    cpl_buf_release(&u.query);
    cpl_buf_release(&u.parts);
    session_release(&u.session);
    return status;
}

cpl_status cpl_s3_put(const cpl_s3 *s3, const cpl_s3_target *target, const cpl_s3_source *source, cpl_error *err) {
    int64_t size = source->from_fd ? source->size : (int64_t)source->bytes.n;
    int64_t from = s3->multipart_from > 0 ? s3->multipart_from : 64 * MIB;
    return size > from ? put_parts(s3, target, source, size, err) : put_whole(s3, target, source, size, err);
}
