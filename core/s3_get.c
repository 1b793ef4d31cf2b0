/* SPDX-License-Identifier: MIT */
/*
 * Objects in. A plain GET brings a small object whole; of a large one it brings the first part, with the size, the ETag
 * and the checksum of the whole, and the rest comes in ranges, a few at a time on this thread, each on the condition
 * that the object is still the one with that ETag. See docs/adr/0027.
 */
#include <unistd.h>

#include "checksum.h"
#include "clock.h"
#include "err.h"
#include "s3_exchange.h"

#define LANES 4    /* ranges at a time */
#define TICK_MS 50 /* as long as it waits at most */
#define ETAG_MAX 256

typedef struct download {
    s3_session session;
    int fd;
    int64_t limit, part_size;
    int64_t size; /* of the whole */
    char etag[ETAG_MAX];
    bool checked; /* there is something to compare it with: */
    cpl_checksum_kind kind;
    char sum[CPL_CHECKSUM_TEXT_SIZE]; /* base64; of an ETag in hexadecimal */
    cpl_error *err;
} download;

/* ---- what it should be ---- */

/*
 * The checksum S3 keeps of the whole. One of an object in parts may be of the parts' checksums: "...-3". What is not as
 * long as its kind is none: moto tells a CRC32 for a CRC64NVME where it has no library for that.
 */
static bool told_checksum(download *d, const cpl_http_response *response) {
    cpl_str type = cpl_http_header(response, "x-amz-checksum-type");
    if (type.n > 0 && !cpl_str_is(type, "FULL_OBJECT")) return false;
    for (int kind = 0; kind < CPL_CHECKSUM_COUNT; kind++) {
        cpl_str value = cpl_http_header(response, cpl_checksum_header((cpl_checksum_kind)kind));
        if (value.n != (cpl_checksum_size((cpl_checksum_kind)kind) + 2) / 3 * 4) continue; /* in base64 */
        d->kind = (cpl_checksum_kind)kind;
        CPL_COPY(d->sum, value);
        return true;
    }
    return false;
}

/* The ETag is the MD5 where S3 keeps an object of one part under its own keys; not so in directory buckets. */
static bool told_md5(download *d, const cpl_http_response *response) {
    cpl_str etag = cpl_http_header(response, "etag"), sse = cpl_http_header(response, "x-amz-server-side-encryption");
    if (etag.n != 2 * CPL_MD5_SIZE + 2 || etag.p[0] != '"') return false;
    if (sse.n > 0 && !cpl_str_is(sse, "AES256")) return false;
    if (cpl_http_header(response, "x-amz-server-side-encryption-customer-algorithm").n > 0) return false;
    if (cpl_str_ends(d->session.target->bucket, "--x-s3")) return false;
    for (size_t i = 1; i < etag.n - 1; i++) {
        if (strchr("0123456789abcdef", etag.p[i]) == NULL) return false;
    }
    d->kind = CPL_CHECKSUM_MD5;
    CPL_COPY(d->sum, cpl_str_sub(etag, 1, etag.n - 1));
    return true;
}

static void read_sum(download *d, cpl_checksum *sum, char out[CPL_CHECKSUM_TEXT_SIZE]) {
    unsigned char digest[CPL_CHECKSUM_SIZE];
    if (d->kind != CPL_CHECKSUM_MD5) {
        cpl_checksum_text(sum, out);
    } else {
        cpl_hex(digest, cpl_checksum_final(sum, digest), out);
    }
}

/* *same: the file is what S3 says that the object is, as far as it says. */
static cpl_status verify(download *d, bool *same) {
    cpl_checksum sum, *const sums[] = {&sum};
    char text[CPL_CHECKSUM_TEXT_SIZE];
    cpl_wait rest;
    cpl_status status;
    *same = true;
    if (!d->checked) return CPL_OK;
    status = cpl_pace_rest(&d->session.pace, &rest, d->err);
    if (status != CPL_OK) return status;
    if (cpl_checksum_init(&sum, d->kind, NULL) != CPL_OK) return CPL_OK; /* MD5 and SHA-1 may be forbidden here */
    status = cpl_checksum_add_file(sums, 1, (cpl_checksum_span){d->fd, 0, d->size}, &rest, d->err);
    if (status == CPL_OK) {
        read_sum(d, &sum, text);
        *same = strcmp(text, d->sum) == 0;
    }
    cpl_checksum_release(&sum);
    return status;
}

static cpl_status damaged(const download *d) {
    char name[S3_NAME_SIZE];
    s3_name(d->session.target, name);
    return cpl_fail(d->err, CPL_PROTOCOL, "%s arrived damaged, twice: it does not match the %s that S3 has of it", name,
                    cpl_checksum_name(d->kind));
}

/* ---- the first part ---- */

static void read_head(download *d, const cpl_http_response *response) {
    CPL_COPY(d->etag, cpl_http_header(response, "etag"));
    d->checked = !d->session.s3->no_validation && (told_checksum(d, response) || told_md5(d, response));
    if (!response->cut || !cpl_str_integer(cpl_http_header(response, "content-length"), &d->size)) {
        d->size = response->body_bytes;
    }
}

/* A plain GET of the first enough bytes, or of all when that is 0; *cut: there are more. */
static cpl_status fetch_first(download *d, size_t enough, bool *cut) {
    const cpl_header headers[] = {{CPL_LIT("x-amz-checksum-mode"), CPL_LIT("ENABLED")}};
    s3_request r = {.method = "GET",
                    .operation = "GetObject",
                    .headers = headers,
                    .header_count = d->session.s3->no_validation ? 0 : CPL_COUNT(headers),
                    .sha256 = S3_EMPTY_SHA256,
                    .fd = d->fd,
                    .to_fd = true,
                    .from_scratch = true,
                    .limit = (size_t)d->limit,
                    .enough = enough};
    s3_exchange x;
    cpl_status status;
    d->session.done = 0;
    s3_exchange_init(&x, &d->session, &r);
    status = s3_send(&x, d->err);
    if (status == CPL_OK) {
        *cut = x.response.cut;
        read_head(d, &x.response);
        d->session.done = x.response.body_bytes;
    }
    s3_exchange_release(&x);
    return status;
}

/* ---- the others ---- */

typedef struct range {
    s3_exchange exchange;
    s3_request request;
    cpl_header headers[2];
    char wanted[64]; /* "bytes=5-9" */
    int64_t due_ms;  /* not before, monotonic */
    bool used, flying;
} range;

typedef struct ranges {
    download *d;
    cpl_http_batch *batch;
    range *items;
    int64_t next; /* where the next one begins */
} ranges;

static void assign(ranges *all, range *r) {
    download *d = all->d;
    int64_t n = d->size - all->next < d->part_size ? d->size - all->next : d->part_size;
    snprintf(r->wanted, sizeof r->wanted, "bytes=%lld-%lld", (long long)all->next, (long long)(all->next + n - 1));
    r->headers[0] = (cpl_header){CPL_LIT("if-match"), cpl_str_of(d->etag)};
    r->headers[1] = (cpl_header){CPL_LIT("range"), cpl_str_of(r->wanted)};
    r->request = (s3_request){.method = "GET",
                              .operation = "GetObject",
                              .headers = r->headers,
                              .header_count = CPL_COUNT(r->headers),
                              .sha256 = S3_EMPTY_SHA256,
                              .fd = d->fd,
                              .to_fd = true,
                              .offset = all->next,
                              .limit = (size_t)n};
    s3_exchange_init(&r->exchange, &d->session, &r->request);
    r->due_ms = 0;
    r->used = true;
    all->next += n;
}

static void retire(range *r) {
    s3_exchange_release(&r->exchange);
    r->used = false;
}

static cpl_status range_failed(const ranges *all, const range *r) {
    cpl_error *err = all->d->err;
    char name[S3_NAME_SIZE], message[sizeof err->message];
    if (err == NULL) return r->exchange.failure.status;
    *err = r->exchange.failure;
    s3_name(all->d->session.target, name);
    if (strcmp(err->code, "PreconditionFailed") == 0) {
        snprintf(message, sizeof message, "%s was replaced while it was fetched", name);
        CPL_COPY(err->message, cpl_str_of(message));
    } else if (err->status == CPL_TOO_LARGE) {
        cpl_fail(err, CPL_PROTOCOL, "%s was asked for %s, and the whole came", name, r->wanted);
    }
    return err->status;
}

/* "bytes 5-9/20" for "bytes=5-9". */
static cpl_status check_range(const ranges *all, const range *r) {
    const cpl_http_response *response = &r->exchange.response;
    char told[96];
    snprintf(told, sizeof told, "bytes %s/%lld", r->wanted + 6, (long long)all->d->size);
    if (response->status == 206 && response->body_bytes == (int64_t)r->request.limit &&
        cpl_str_is(cpl_http_header(response, "content-range"), told)) {
        return CPL_OK;
    }
    return cpl_fail(all->d->err, CPL_PROTOCOL, "S3 was asked for %s of an object, and sent something else", r->wanted);
}

static cpl_status settle(ranges *all, range *r, cpl_status status) {
    int64_t delay_ms;
    s3_verdict verdict = s3_exchange_answer(&r->exchange, status, &delay_ms);
    r->flying = false;
    if (verdict == S3_FAILED) return range_failed(all, r);
    if (verdict == S3_AGAIN) {
        r->due_ms = cpl_clock_monotonic_ms() + delay_ms;
        return CPL_OK;
    }
    status = check_range(all, r);
    all->d->session.done += r->exchange.response.body_bytes;
    retire(r);
    return status;
}

static cpl_status launch(ranges *all, range *r) {
    s3_exchange *x = &r->exchange;
    cpl_status status = s3_exchange_build(x);
    if (status == CPL_OK) status = cpl_http_batch_start(all->batch, &x->http, &x->response, r, &x->failure);
    if (status != CPL_OK) return settle(all, r, status);
    r->flying = true;
    return CPL_OK;
}

static cpl_status launch_due(ranges *all) {
    int64_t now = cpl_clock_monotonic_ms();
    for (size_t i = 0; i < LANES; i++) {
        range *r = &all->items[i];
        cpl_status status;
        if (!r->used && all->next < all->d->size) assign(all, r);
        if (!r->used || r->flying || r->due_ms > now) continue;
        status = launch(all, r);
        if (status != CPL_OK) return status;
    }
    return CPL_OK;
}

static cpl_status land_all(ranges *all) {
    cpl_status status, landed = CPL_OK;
    range *r;
    while (landed == CPL_OK && (r = cpl_http_batch_next(all->batch, &status)) != NULL) landed = settle(all, r, status);
    return landed;
}

static void tell(const ranges *all) {
    int64_t moved = 0;
    for (size_t i = 0; i < LANES; i++) {
        if (all->items[i].flying) moved += all->items[i].exchange.response.body_bytes;
    }
    s3_session_tell(&all->d->session, moved, all->d->size);
}

static cpl_status fetch_rest(download *d) {
    ranges all = {.d = d, .next = d->part_size, .items = cpl_calloc(LANES, sizeof *all.items)};
    cpl_status status =
        all.items ? cpl_http_batch_new(&all.batch, d->session.s3->http, d->err) : cpl_fail_nomem(d->err);
    while (status == CPL_OK && d->session.done < d->size) {
        tell(&all);
        status = cpl_pace_check(&d->session.pace, d->err);
        if (status == CPL_OK) status = launch_due(&all);
        if (status == CPL_OK) cpl_http_batch_wait(all.batch, TICK_MS);
        if (status == CPL_OK) status = land_all(&all);
    }
    cpl_http_batch_free(all.batch); /* and what is still under way with it */
    for (size_t i = 0; all.items && i < LANES; i++) {
        if (all.items[i].used) retire(&all.items[i]);
    }
    cpl_free(all.items);
    return status;
}

/* ---- all of it ---- */

static cpl_status fetch(download *d) {
    bool cut = false;
    cpl_status status = fetch_first(d, d->limit > d->part_size ? (size_t)d->part_size : 0, &cut);
    if (status != CPL_OK || !cut) return status;
    if (d->etag[0] == '\0' || d->size <= d->part_size) return fetch_first(d, 0, &cut); /* some other store than S3 */
    return fetch_rest(d);
}

cpl_status cpl_s3_get(const cpl_s3 *s3, const cpl_s3_target *target, int fd, int64_t limit, int64_t *size,
                      cpl_error *err) {
    download d = {.fd = fd,
                  .limit = limit < 0 ? 0 : limit,
                  .part_size = s3->part_size > 0 ? s3->part_size : 16 * S3_MIB,
                  .err = err};
    bool same = false;
    cpl_status status = CPL_OK;
    s3_session_init(&d.session, s3, target);
    for (int round = 0; round < 2 && !same && status == CPL_OK; round++) {
        status = fetch(&d);
        if (status == CPL_OK) status = verify(&d, &same);
    }
    if (status == CPL_OK && !same) status = damaged(&d);
    if (status == CPL_TOO_LARGE) {
        char name[S3_NAME_SIZE];
        s3_name(target, name);
        cpl_fail(err, status, "%s is larger than the limit of %lld bytes", name, (long long)limit);
    }
    if (status == CPL_OK && size) *size = d.size;
    return status == CPL_OK ? s3_session_end(&d.session, d.size, err) : status;
}
