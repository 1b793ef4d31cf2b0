/* SPDX-License-Identifier: MIT */
/*
 * Objects in. A plain GET brings a small object whole; of a large one it brings the first part, with the size, the ETag
 * and the checksum of the whole, and the rest comes in ranges, a few at a time on this thread, each on the condition
 * that the object is still the one with that ETag. See docs/adr/0027.
 */
#include <unistd.h>

#include "checksum.h"
#include "err.h"
#include "s3_lanes.h"

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
                    .header = "etag",
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
    cpl_header headers[2];
    char wanted[64]; /* "bytes=5-9" */
} range;

typedef struct ranges {
    download *d;
    int64_t next; /* where the next one begins */
    range items[S3_LANES_MAX];
} ranges;

/* n bytes from offset. */
static void aim(ranges *all, size_t lane, s3_request *request, int64_t offset, int64_t n) {
    range *r = &all->items[lane];
    snprintf(r->wanted, sizeof r->wanted, "bytes=%lld-%lld", (long long)offset, (long long)(offset + n - 1));
    r->headers[0] = (cpl_header){CPL_LIT("if-match"), cpl_str_of(all->d->etag)};
    r->headers[1] = (cpl_header){CPL_LIT("range"), cpl_str_of(r->wanted)};
    request->offset = offset;
    request->limit = (size_t)n;
}

static cpl_status next_range(void *context, size_t lane, s3_request *request, bool *more, cpl_error *err) {
    ranges *all = context;
    const download *d = all->d;
    int64_t n = d->size - all->next < d->part_size ? d->size - all->next : d->part_size;
    (void)err;
    *more = n > 0;
    if (!*more) return CPL_OK;
    *request = (s3_request){.method = "GET",
                            .operation = "GetObject",
                            .headers = all->items[lane].headers,
                            .header_count = CPL_COUNT(all->items[lane].headers),
                            .sha256 = S3_EMPTY_SHA256,
                            .fd = d->fd,
                            .to_fd = true,
                            .header = "etag"};
    aim(all, lane, request, all->next, n);
    all->next += n;
    return CPL_OK;
}

/* The answer is the one that was asked for: "bytes 5-9/20" for "bytes=5-9". */
static bool is_range(const ranges *all, size_t lane, const cpl_http_response *response) {
    char told[96];
    snprintf(told, sizeof told, "bytes %s/%lld", all->items[lane].wanted + 6, (long long)all->d->size);
    return response->status == 206 && cpl_str_is(cpl_http_header(response, "content-range"), told);
}

/* It goes on behind what has arrived of it. */
static void shorten(void *context, size_t lane, s3_request *request, const cpl_http_response *response) {
    ranges *all = context;
    int64_t got = response->body_bytes;
    if (got >= (int64_t)request->limit || !is_range(all, lane, response)) return;
    all->d->session.done += got;
    aim(all, lane, request, request->offset + got, (int64_t)request->limit - got);
}

static cpl_status take_range(void *context, size_t lane, const s3_request *request, const cpl_http_response *response,
                             cpl_error *err) {
    ranges *all = context;
    if (response->body_bytes != (int64_t)request->limit || !is_range(all, lane, response)) {
        return cpl_fail(err, CPL_PROTOCOL, "S3 was asked for %s of an object, and sent something else",
                        all->items[lane].wanted);
    }
    all->d->session.done += response->body_bytes;
    return CPL_OK;
}

static void explain_range(void *context, size_t lane, cpl_error *err) {
    const ranges *all = context;
    char name[S3_NAME_SIZE], message[sizeof err->message];
    s3_name(all->d->session.target, name);
    if (strcmp(err->code, "PreconditionFailed") == 0) {
        snprintf(message, sizeof message, "%s was replaced while it was fetched", name);
        CPL_COPY(err->message, cpl_str_of(message));
    } else if (err->status == CPL_TOO_LARGE) {
        cpl_fail(err, CPL_PROTOCOL, "%s was asked for %s, and the whole came", name, all->items[lane].wanted);
    }
}

static cpl_status fetch_rest(download *d) {
    ranges all = {.d = d, .next = d->session.done};
    const s3_work work = {.session = &d->session,
                          .size = d->size,
                          .context = &all,
                          .next = next_range,
                          .again = shorten,
                          .done = take_range,
                          .failed = explain_range};
    return s3_lanes_run(&work, d->err);
}

/* ---- all of it ---- */

static cpl_status fetch(download *d) {
    bool cut = false;
    cpl_status status = fetch_first(d, d->limit > d->part_size ? (size_t)d->part_size : 0, &cut);
    if (status != CPL_OK || !cut) return status;
    if (d->size <= d->part_size) return fetch_first(d, 0, &cut); /* the answer did not tell how large it is */
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
