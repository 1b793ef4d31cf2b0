/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdatomic.h>
#include <unistd.h>

#include "clock.h"
#include "digest.h"
#include "endpoint.h"
#include "err.h"
#include "s3_exchange.h"
#include "skew.h"

#define ERROR_BODY_MAX ((size_t)64 << 10)
#define ATTEMPTS 5

void s3_name(const cpl_s3_target *target, char out[S3_NAME_SIZE]) {
    snprintf(out, S3_NAME_SIZE, "s3://%.*s/%.*s", (int)cpl_utf8_cut(target->bucket, 70), target->bucket.p,
             (int)cpl_utf8_cut(target->key, 300), target->key.p);
}

/* ---- one call ---- */

void s3_session_init(s3_session *session, const cpl_s3 *s3, const cpl_s3_target *target) {
    *session = (s3_session){.s3 = s3, .target = target};
    CPL_COPY(session->region, s3->region);
    cpl_pace_init(&session->pace, target->wait);
}

bool s3_session_ends(const s3_session *session) {
    const cpl_s3_patience *patience = session->target->patience;
    return patience && patience->ends(patience->context);
}

void s3_session_tell(const s3_session *session, int64_t moved, int64_t total) {
    cpl_progress *progress = session->target->wait ? session->target->wait->progress : NULL;
    if (progress == NULL) return;
    progress->done = session->done + moved;
    if (total >= 0) progress->total = total;
}

cpl_status s3_session_end(s3_session *session, int64_t size, cpl_error *err) {
    const cpl_wait *wait = session->target->wait;
    if (wait == NULL || wait->progress == NULL) return CPL_OK;
    session->done = size;
    s3_session_tell(session, 0, size);
    return wait->tick && wait->tick(wait->context) != 0 ? cpl_fail(err, CPL_CANCELLED, "cancelled") : CPL_OK;
}

/* ---- one request ---- */

void s3_exchange_init(s3_exchange *x, s3_session *session, const s3_request *request) {
    *x = (s3_exchange){.session = session, .request = request, .policy = *cpl_retry_policy_of(CPL_RETRY_2_1)};
    x->policy.max_attempts = session->s3->max_attempts > 0 ? session->s3->max_attempts : ATTEMPTS;
    if (session->target->patience) x->policy.max_attempts = x->policy.quota = INT_MAX; /* time is what counts */
    cpl_retry_quota_init(&x->quota, x->policy.quota);
    cpl_http_response_init(&x->response);
    cpl_signature_init(&x->signature);
    cpl_buf_init(&x->url, 8192);
}

void s3_exchange_release(s3_exchange *x) {
    cpl_http_response_release(&x->response);
    cpl_signature_release(&x->signature);
    cpl_buf_release(&x->url);
}

static cpl_status build_url(s3_exchange *x, cpl_endpoint *endpoint) {
    const s3_session *session = x->session;
    cpl_endpoint_params params = {.service = CPL_LIT("s3"),
                                  .region = cpl_str_of(session->region),
                                  .override_url = session->s3->endpoint_url,
                                  .bucket = session->target->bucket,
                                  .fips = session->s3->fips,
                                  .dual_stack = session->s3->dual_stack};
    cpl_status status = cpl_endpoint_resolve(&params, endpoint, &x->failure);
    if (status != CPL_OK) return status;
    cpl_buf_clear(&x->url);
    cpl_buf_adds(&x->url, endpoint->url);
    cpl_buf_addc(&x->url, '/');
    cpl_buf_add_uri(&x->url, session->target->key, true);
    if (x->request->query.n) {
        cpl_buf_addc(&x->url, '?');
        cpl_buf_addv(&x->url, x->request->query);
    }
    return cpl_buf_status(&x->url, "the object's URL", &x->failure);
}

/* The keys as of now; what they point to is good until the next time. */
static cpl_status get_keys(s3_exchange *x, cpl_credentials *who) {
    const cpl_s3_target *target = x->session->target;
    x->keys = x->session->keys;
    if (target->keys) return target->keys->get(target->keys->context, false, &x->rest, who, &x->failure);
    *who = *target->who;
    return CPL_OK;
}

static cpl_status sign(s3_exchange *x, const cpl_url *url, const cpl_endpoint *endpoint, size_t count,
                       const cpl_credentials *who) {
    const cpl_s3 *s3 = x->session->s3;
    cpl_sign_request s;
    x->sent_ms = cpl_clock_wall_ms();
    x->used_s = s3->skew_s ? atomic_load_explicit(s3->skew_s, memory_order_relaxed) : 0;
    s = (cpl_sign_request){.method = cpl_str_of(x->request->method),
                           .path = url->path,
                           .query = url->query,
                           .headers = x->headers,
                           .header_count = count,
                           .payload_hash = x->request->sha256,
                           .region = cpl_str_of(endpoint->signing_region),
                           .service = cpl_str_of(endpoint->signing_name),
                           .time_s = x->sent_ms / 1000 + x->used_s,
                           .flags = CPL_SIGN_S3};
    return cpl_sigv4_sign(s3->signer, &s, who, &x->signature, &x->failure);
}

static cpl_status build_headers(s3_exchange *x, const cpl_url *url, const cpl_endpoint *endpoint) {
    const s3_request *r = x->request;
    cpl_header *headers = x->headers;
    cpl_credentials who;
    size_t n = 0;
    cpl_status status = get_keys(x, &who);
    assert(r->header_count <= S3_HEADERS_MAX - 6);
    headers[n++] = (cpl_header){CPL_LIT("host"), url->authority};
    for (size_t i = 0; i < r->header_count; i++) headers[n++] = r->headers[i];
    if (status == CPL_OK) status = sign(x, url, endpoint, n, &who);
    if (status != CPL_OK) return status;
    headers[n++] = (cpl_header){CPL_LIT("x-amz-date"), cpl_str_of(x->signature.date)};
    headers[n++] = (cpl_header){CPL_LIT("x-amz-content-sha256"), cpl_str_of(x->signature.payload_hash)};
    headers[n++] = (cpl_header){CPL_LIT("authorization"), cpl_buf_str(&x->signature.authorization)};
    if (x->session->s3->user_agent.n) headers[n++] = (cpl_header){CPL_LIT("user-agent"), x->session->s3->user_agent};
    if (who.session_token.n) headers[n++] = (cpl_header){CPL_LIT("x-amz-security-token"), who.session_token};
    x->http.headers = headers;
    x->http.header_count = n;
    return CPL_OK;
}

cpl_status s3_exchange_build(s3_exchange *x) {
    const s3_request *r = x->request;
    cpl_endpoint endpoint;
    cpl_url url;
    cpl_status status;
    if (r->from_scratch && ftruncate(r->fd, 0) != 0) return cpl_fail_errno(&x->failure, "empty", "the artifact's file");
    cpl_http_response_clear(&x->response);
    x->http = (cpl_http_request){.method = cpl_str_of(r->method),
                                 .body = r->body,
                                 .body_fd = r->fd,
                                 .body_from_fd = r->from_fd,
                                 .body_offset = r->offset,
                                 .body_size = r->size,
                                 .sink_fd = r->fd,
                                 .sink_to_fd = r->to_fd,
                                 .sink_offset = r->offset,
                                 .sink_enough = r->enough,
                                 .body_limit = r->to_fd ? r->limit : ERROR_BODY_MAX,
                                 .wait = &x->rest,
                                 .limits = x->session->s3->limits};
    status = cpl_xml_need(&x->failure);
    if (status == CPL_OK) status = cpl_pace_rest(&x->session->pace, &x->rest, &x->failure);
    if (status == CPL_OK) status = build_url(x, &endpoint);
    if (status != CPL_OK) return status;
    if (!cpl_url_parse(cpl_buf_str(&x->url), &url)) {
        return cpl_fail(&x->failure, CPL_CONFIG, "\"%s\" is not a URL", endpoint.url);
    }
    x->http.url = cpl_buf_str(&x->url);
    return build_headers(x, &url, &endpoint);
}

/* ---- what the answer means ---- */

/* S3 sends spaces while it is at work, before the document too. */
cpl_status s3_parse(const cpl_http_response *response, cpl_xml **out, cpl_error *err) {
    cpl_str body = cpl_buf_str(&response->body);
    return cpl_xml_parse(cpl_str_sub(body, cpl_str_find(body, '<'), body.n), out, err);
}

static cpl_status stranger(s3_exchange *x) {
    cpl_str host = x->headers[0].value;
    char name[S3_NAME_SIZE];
    s3_name(x->session->target, name);
    cpl_fail(&x->failure, CPL_PROTOCOL,
             "\"%.*s\" did not answer as S3 does: a proxy or a portal may be on the way (%s)",
             (int)cpl_utf8_cut(host, 200), host.p, name);
    x->failure.http_status = x->response.status;
    return CPL_PROTOCOL;
}

/* Fills err from the answer: its <Error> document, or the bare status (HEAD has no body). */
static cpl_status service_error(s3_exchange *x) {
    cpl_xml *xml = NULL;
    cpl_str code = {NULL, 0}, text = {NULL, 0}, id = cpl_http_header(&x->response, "x-amz-request-id");
    char message[sizeof x->failure.message], name[S3_NAME_SIZE];
    if (s3_parse(&x->response, &xml, NULL) == CPL_OK) {
        code = cpl_xml_text(xml, cpl_xml_find(xml, "Error/Code"));
        text = cpl_xml_text(xml, cpl_xml_find(xml, "Error/Message"));
    }
    if (code.n == 0 && x->response.status < 400 && cpl_http_header(&x->response, "x-amz-bucket-region").n == 0) {
        /* S3 says where the bucket is, others where to log in */
        cpl_xml_free(xml);
        return stranger(x);
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
    s3_name(x->session->target, name);
    cpl_fail(&x->failure, CPL_SERVICE, "%s (%s)", message, name);
    CPL_COPY(x->failure.code, code);
    CPL_COPY(x->failure.request_id, id);
    x->failure.http_status = x->response.status;
    cpl_xml_free(xml);
    return CPL_SERVICE;
}

/* The answer told another region than the one signed for: use it, once. */
static bool move_region(s3_exchange *x) {
    cpl_str region = cpl_http_header(&x->response, "x-amz-bucket-region");
    cpl_xml *xml = NULL;
    bool told;
    if (x->session->moved || x->response.status < 300) return false;
    if (region.n == 0 && s3_parse(&x->response, &xml, NULL) == CPL_OK) {
        region = cpl_xml_text(xml, cpl_xml_find(xml, "Error/Region"));
    }
    told = region.n > 0 && region.n < sizeof x->session->region && !cpl_str_is(region, x->session->region);
    if (told) {
        CPL_COPY(x->session->region, region);
        x->session->moved = true;
    }
    cpl_xml_free(xml);
    return told;
}

/* 200 may still carry an error, when S3 began to answer before it was done (CompleteMultipartUpload). */
static bool is_late_error(const s3_exchange *x) {
    return x->response.status == 200 && strstr(cpl_buf_cstr(&x->response.body), "<Error>") != NULL;
}

static bool has_element(const s3_exchange *x) {
    cpl_xml *xml = NULL;
    bool found = s3_parse(&x->response, &xml, NULL) == CPL_OK && cpl_xml_find(xml, x->request->element) >= 0;
    cpl_xml_free(xml);
    return found;
}

/* Portals and proxies answer 200 as well, and then nothing was stored, and the page is no artifact. */
static bool is_from_s3(const s3_exchange *x) {
    if (x->request->status && x->response.status != x->request->status) return false;
    if (x->request->header && cpl_http_header(&x->response, x->request->header).n == 0) return false;
    return x->request->element == NULL || has_element(x);
}

static cpl_status judge(s3_exchange *x) {
    if (is_late_error(x)) {
        cpl_status status = service_error(x);
        x->failure.http_status = 500;
        return status;
    }
    if (x->response.status >= 300) return service_error(x);
    return is_from_s3(x) ? CPL_OK : stranger(x);
}

static bool is_code(const s3_exchange *x, const char *const *codes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (x->failure.status == CPL_SERVICE && strcmp(x->failure.code, codes[i]) == 0) return true;
    }
    return false;
}

/*
 * The keys have expired: true when there are others now. Several requests may find that out at once, and only the first
 * asks; and others that are refused as well, before anything succeeded with them, are not the remedy.
 */
static bool renew_keys(s3_exchange *x) {
    static const char *const codes[] = {"ExpiredToken", "ExpiredTokenException"};
    s3_session *session = x->session;
    const cpl_s3_keys *keys = session->target->keys;
    cpl_credentials who;
    cpl_wait rest;
    if (keys == NULL || !is_code(x, codes, CPL_COUNT(codes))) return false;
    if (x->keys != session->keys) return true;
    if (session->unproven) return false;
    if (cpl_pace_rest(&session->pace, &rest, &x->failure) != CPL_OK) return false;
    if (keys->get(keys->context, true, &rest, &who, &x->failure) != CPL_OK) return false;
    session->keys++;
    session->unproven = true;
    return true;
}

/* The refusal was due to our clock: true when the answer told what time it is. */
static bool correct_skew(s3_exchange *x) {
    const cpl_skew_answer answer = {x->sent_ms, cpl_clock_wall_ms(), cpl_http_header(&x->response, "date"),
                                    cpl_http_header(&x->response, "age")};
    int64_t skew_s = x->used_s;
    if (x->session->s3->skew_s == NULL || x->skew_corrected || x->failure.status != CPL_SERVICE) return false;
    if (!cpl_skew_learn(&answer, &skew_s) || !cpl_skew_blamed(cpl_str_of(x->failure.code), x->used_s, skew_s)) {
        return false;
    }
    atomic_store_explicit(x->session->s3->skew_s, skew_s, memory_order_relaxed);
    return x->skew_corrected = true;
}

/* S3 got other bytes than were sent: that happens on the way, and rarely twice. */
static bool was_corrupted(s3_exchange *x) {
    static const char *const codes[] = {"BadDigest", "XAmzContentSHA256Mismatch"};
    if (x->corrupted || !is_code(x, codes, CPL_COUNT(codes))) return false;
    x->corrupted = true;
    return true;
}

/* For a pause of that length and an attempt after it. */
static bool has_time(s3_exchange *x, int64_t delay_ms) {
    const cpl_s3_patience *patience = x->session->target->patience;
    int64_t now = cpl_clock_monotonic_ms();
    cpl_wait rest;
    if (x->failing_ms == 0) x->failing_ms = now;
    if (patience && now + delay_ms - x->failing_ms >= patience->most_ms) return false;
    if (cpl_pace_rest(&x->session->pace, &rest, NULL) != CPL_OK) return false;
    return (rest.timeout_ms == 0 || delay_ms <= rest.timeout_ms) && !s3_session_ends(x->session);
}

static s3_verdict fail(s3_exchange *x) {
    if (x->failure.operation[0] == '\0') CPL_COPY(x->failure.operation, cpl_str_of(x->request->operation));
    x->failure.attempts = x->call.attempts + x->resent;
    x->failure.retry_delay_ms = x->session->waited_ms;
    return S3_FAILED;
}

/* An answer broke off that is to be cut anyway: what has come of it is its beginning. */
static bool has_begun(const s3_exchange *x, cpl_status status) {
    int64_t size = 0;
    if (x->request->enough == 0 || cpl_retry_classify(status, 0, (cpl_str){NULL, 0}) == CPL_RETRY_NEVER) return false;
    if (x->response.status != 200 || x->response.body_bytes == 0 || !is_from_s3(x)) return false;
    return cpl_str_integer(cpl_http_header(&x->response, "content-length"), &size) &&
           size > (int64_t)x->request->enough;
}

s3_verdict s3_exchange_answer(s3_exchange *x, cpl_status status, int64_t *delay_ms) {
    cpl_retry_failure failure = {.retry_after = cpl_http_header(&x->response, "x-amz-retry-after")};
    uint32_t chance = 0;
    *delay_ms = 0;
    x->resent += x->response.resent;
    if (has_begun(x, status)) {
        x->response.cut = true;
        return S3_DONE;
    }
    if (status == CPL_OK && move_region(x)) return S3_AGAIN;
    if (status == CPL_OK) status = judge(x);
    if (status == CPL_TOO_LARGE && x->response.sent && !is_from_s3(x)) status = stranger(x);
    if (status == CPL_OK) {
        if (x->keys == x->session->keys) x->session->unproven = false;
        return S3_DONE;
    }
    if (renew_keys(x) || was_corrupted(x) || correct_skew(x)) return S3_AGAIN;
    (void)cpl_random(&chance, sizeof chance, NULL);
    failure.random = chance / 4294967296.0;
    failure.class = cpl_retry_classify(x->failure.status, x->failure.http_status, cpl_str_of(x->failure.code));
    x->failure.retryable = failure.class != CPL_RETRY_NEVER;
    if (cpl_retry_next(&x->policy, &x->quota, &x->call, &failure, delay_ms) != CPL_RETRY_AGAIN) return fail(x);
    if (!has_time(x, *delay_ms)) return fail(x);
    x->session->waited_ms += *delay_ms;
    return S3_AGAIN;
}

/* ---- sending and waiting ---- */

/* Between the caller's tick and libcurl: brings the progress up to date first. */
static int on_tick(void *context) {
    const s3_exchange *x = context;
    const cpl_wait *wait = x->session->target->wait;
    int64_t total = -1;
    if (x->request->to_fd) (void)cpl_str_integer(cpl_http_header(&x->response, "content-length"), &total);
    s3_session_tell(x->session, x->request->to_fd ? x->response.body_bytes : x->response.sent_bytes, total);
    return wait->tick ? wait->tick(wait->context) : 0;
}

static cpl_status send_once(s3_exchange *x) {
    const cpl_wait *wait = x->session->target->wait;
    cpl_status status = s3_exchange_build(x);
    if (status != CPL_OK) return status;
    if (wait && wait->progress && (x->request->to_fd || x->request->from_fd)) {
        x->rest.tick = on_tick;
        x->rest.context = x;
    }
    return cpl_http_send(x->session->s3->http, &x->http, &x->response, &x->failure);
}

static int on_pause(void *context) {
    const s3_session *session = context;
    const cpl_wait *wait = session->target->wait;
    return s3_session_ends(session) || (wait && wait->tick && wait->tick(wait->context) != 0);
}

/* False when there should be no further attempt, because nobody wants it, or the tick says so. */
static bool sleep_before_retry(s3_exchange *x, int64_t delay_ms) {
    const cpl_wait wait = {.tick = on_pause, .context = x->session};
    cpl_error interrupted;
    if (delay_ms == 0 || cpl_clock_sleep(delay_ms, &wait, &interrupted) == CPL_OK) return true;
    if (!s3_session_ends(x->session)) x->failure = interrupted;
    return false;
}

cpl_status s3_send(s3_exchange *x, cpl_error *err) {
    for (;;) {
        int64_t delay_ms;
        s3_verdict verdict = s3_exchange_answer(x, send_once(x), &delay_ms);
        if (verdict == S3_DONE) return CPL_OK;
        if (verdict == S3_AGAIN && sleep_before_retry(x, delay_ms)) continue;
        (void)fail(x);
        if (err) *err = x->failure;
        return x->failure.status;
    }
}

/* ---- small calls ---- */

cpl_status cpl_s3_head(const cpl_s3 *s3, const cpl_s3_target *target, int64_t *size, cpl_error *err) {
    s3_request r = {.method = "HEAD", .operation = "HeadObject", .sha256 = S3_EMPTY_SHA256, .header = "etag"};
    s3_session session;
    s3_exchange x;
    cpl_status status;
    s3_session_init(&session, s3, target);
    s3_exchange_init(&x, &session, &r);
    status = s3_send(&x, err);
    if (status == CPL_OK && !cpl_str_integer(cpl_http_header(&x.response, "content-length"), size)) {
        status = cpl_fail(err, CPL_PROTOCOL, "the answer has no content-length");
    }
    s3_exchange_release(&x);
    return status;
}

cpl_status cpl_s3_delete(const cpl_s3 *s3, const cpl_s3_target *target, cpl_error *err) {
    s3_request r = {.method = "DELETE", .operation = "DeleteObject", .sha256 = S3_EMPTY_SHA256, .status = 204};
    s3_session session;
    s3_exchange x;
    cpl_status status;
    s3_session_init(&session, s3, target);
    s3_exchange_init(&x, &session, &r);
    status = s3_send(&x, err);
    s3_exchange_release(&x);
    return status;
}

cpl_status cpl_s3_create_bucket(const cpl_s3 *s3, const cpl_s3_target *target, cpl_error *err) {
    cpl_s3_target bucket = *target;
    s3_request r = {.method = "PUT", .operation = "CreateBucket"};
    char body[256] = "", digest[CPL_SHA256_HEX_SIZE];
    s3_session session;
    s3_exchange x;
    cpl_status status;
    bucket.key = (cpl_str){NULL, 0};
    if (!cpl_str_is(s3->region, "us-east-1")) {
        snprintf(body, sizeof body,
                 "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>%.*s"
                 "</LocationConstraint></CreateBucketConfiguration>",
                 s3->region.n > 64 ? 64 : (int)s3->region.n, s3->region.p);
    }
    r.body = cpl_str_of(body);
    status = cpl_sha256_hex(r.body, digest, err);
    if (status != CPL_OK) return status;
    r.sha256 = cpl_str_of(digest);
    s3_session_init(&session, s3, &bucket);
    s3_exchange_init(&x, &session, &r);
    status = s3_send(&x, err);
    if (status == CPL_SERVICE && err && strcmp(err->code, "BucketAlreadyOwnedByYou") == 0) {
        cpl_error_clear(err);
        status = CPL_OK;
    }
    s3_exchange_release(&x);
    return status;
}
