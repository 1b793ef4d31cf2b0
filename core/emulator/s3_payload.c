/* SPDX-License-Identifier: MIT */
/*
 * The body of a request as the client meant it: chunks of aws-chunked put together with their signatures checked, then
 * compared with every digest that came along, in a header or in the trailer.
 */
#include "s3_call.h"

#define UNSIGNED "UNSIGNED-PAYLOAD"
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* ---- checksums ---- */

static bool check_checksum(s3_call *c, cpl_checksum_kind kind, cpl_str given) {
    char computed[CPL_CHECKSUM_TEXT_SIZE];
    if (!s3_checksum_of(kind, c->payload, computed)) return s3_refuse(c, S3_INTERNAL);
    if (!cpl_str_is(given, computed))
        return s3_refuse_as(c, S3_DIGEST, "The %s you specified did not match the calculated checksum.",
                            cpl_checksum_name(kind));
    c->checksum = (cpl_header){cpl_str_of(cpl_checksum_header(kind)), given};
    return true;
}

static bool check_md5(s3_call *c) {
    cpl_str given = s3_header(c, "content-md5");
    unsigned char digest[CPL_MD5_SIZE];
    cpl_buf computed;
    bool same;
    if (given.p == NULL) return true;
    if (given.n != 24) return s3_refuse(c, S3_DIGEST_FORM);
    if (cpl_md5(c->payload, digest, NULL)) return s3_refuse(c, S3_INTERNAL);
    cpl_buf_init(&computed, 64);
    cpl_base64(&computed, digest, sizeof digest);
    same = cpl_str_eq(cpl_buf_str(&computed), given);
    cpl_buf_release(&computed);
    return same || s3_refuse(c, S3_DIGEST);
}

static cpl_str trailer_value(const s3_call *c, const char *name) {
    const char *at = c->trailer.p, *end = at ? at + c->trailer.n : NULL;
    while (at < end) {
        cpl_str value = cpl_str_of(at + strlen(at) + 1);
        if (cpl_str_is_nocase(cpl_str_of(at), name)) return value;
        at = value.p + value.n + 1;
    }
    return (cpl_str){NULL, 0};
}

static bool check_digests(s3_call *c) {
    if (!check_md5(c)) return false;
    if (cpl_str_is(c->request->method, "POST") && s3_param(c, "uploadId").p) return true; /* they are the object's */
    for (int kind = 0; kind < CPL_CHECKSUM_COUNT; kind++) {
        const char *header = cpl_checksum_header((cpl_checksum_kind)kind);
        cpl_str given = s3_header(c, header);
        if (given.p == NULL) given = trailer_value(c, header);
        if (given.p && !check_checksum(c, (cpl_checksum_kind)kind, given)) return false;
    }
    return true;
}

/* ---- aws-chunked ---- */

typedef struct chunks {
    s3_call *c;
    cpl_str rest;
    bool is_signed;
    unsigned char key[CPL_SHA256_SIZE];
    char previous[CPL_SHA256_HEX_SIZE];
} chunks;

static bool derive_key(chunks *k) {
    const cpl_sigv4_claim *claim = &k->c->who.claim;
    const cpl_str steps[] = {claim->date, claim->region, claim->service, CPL_LIT("aws4_request")};
    cpl_buf secret;
    cpl_status status = CPL_NOMEM;
    cpl_buf_init(&secret, 4096);
    cpl_buf_adds(&secret, "AWS4");
    cpl_buf_addv(&secret, k->c->who.credentials.secret_access_key);
    if (cpl_buf_ok(&secret)) status = cpl_hmac_sha256(cpl_buf_str(&secret), steps[0], k->key, NULL);
    for (size_t i = 1; i < CPL_COUNT(steps) && status == CPL_OK; i++) {
        cpl_str key = {(const char *)k->key, sizeof k->key};
        unsigned char next[CPL_SHA256_SIZE];
        status = cpl_hmac_sha256(key, steps[i], next, NULL);
        memcpy(k->key, next, sizeof next);
    }
    cpl_buf_wipe(&secret);
    cpl_buf_release(&secret);
    return status == CPL_OK;
}

/* Does this chunk, or the trailer, carry the signature that follows from the one before? */
static bool check_link(chunks *k, const char *kind, cpl_str bytes, cpl_str given) {
    const cpl_sigv4_claim *claim = &k->c->who.claim;
    bool trailer = strcmp(kind, "TRAILER") == 0;
    char hash[CPL_SHA256_HEX_SIZE];
    unsigned char mac[CPL_SHA256_SIZE];
    cpl_buf text;
    cpl_status status = cpl_sha256_hex(bytes, hash, NULL);
    cpl_buf_init(&text, 4096);
    cpl_buf_addf(&text, "AWS4-HMAC-SHA256-%s\n", kind);
    cpl_buf_addv(&text, claim->timestamp);
    cpl_buf_addf(&text, "\n%.*s/%.*s/%.*s/aws4_request\n%s\n", (int)claim->date.n, claim->date.p, (int)claim->region.n,
                 claim->region.p, (int)claim->service.n, claim->service.p, k->previous);
    if (!trailer) cpl_buf_adds(&text, EMPTY_SHA256 "\n");
    cpl_buf_adds(&text, hash);
    if (status == CPL_OK && cpl_buf_ok(&text))
        status = cpl_hmac_sha256((cpl_str){(const char *)k->key, sizeof k->key}, cpl_buf_str(&text), mac, NULL);
    else
        status = CPL_NOMEM;
    cpl_buf_release(&text);
    if (status) return s3_refuse(k->c, S3_INTERNAL);
    cpl_hex(mac, sizeof mac, k->previous);
    return cpl_secret_eq(cpl_str_of(k->previous), given) || s3_refuse(k->c, S3_SIGNATURE);
}

/* Takes a line off the front, without its CR LF; false when there is no whole one. */
static bool take_line(cpl_str *rest, cpl_str *line) {
    size_t end = cpl_str_find(*rest, '\n');
    if (end == rest->n) return false;
    *line = cpl_str_sub(*rest, 0, end > 0 && rest->p[end - 1] == '\r' ? end - 1 : end);
    *rest = cpl_str_sub(*rest, end + 1, rest->n);
    return true;
}

static bool read_size(cpl_str text, size_t *out) {
    size_t value = 0;
    for (size_t i = 0; i < text.n; i++) {
        char ch = text.p[i];
        int digit = ch >= '0' && ch <= '9'   ? ch - '0'
                    : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
                    : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                             : -1;
        if (digit < 0 || value > EMU_BODY_MAX) return false;
        value = value << 4 | (unsigned)digit;
    }
    *out = value;
    return text.n > 0;
}

static bool take_chunk(chunks *k, size_t *size) {
    static const char extension[] = ";chunk-signature=";
    cpl_str line, bytes, signature, end;
    size_t semicolon;
    if (!take_line(&k->rest, &line)) return s3_refuse(k->c, S3_INCOMPLETE);
    semicolon = cpl_str_find(line, ';');
    signature = cpl_str_sub(line, semicolon, line.n);
    if (!read_size(cpl_str_sub(line, 0, semicolon), size))
        return s3_refuse_as(k->c, S3_INVALID_REQUEST, "the size of a chunk is not a hexadecimal number");
    if (*size > k->rest.n) return s3_refuse(k->c, S3_INCOMPLETE);
    bytes = cpl_str_sub(k->rest, 0, *size);
    if (k->is_signed) {
        if (!cpl_str_starts(signature, extension)) return s3_refuse(k->c, S3_SIGNATURE);
        if (!check_link(k, "PAYLOAD", bytes, cpl_str_sub(signature, sizeof extension - 1, signature.n))) return false;
    }
    if (*size == 0) return true;
    cpl_buf_addv(&k->c->unchunked, bytes);
    k->rest = cpl_str_sub(k->rest, *size, k->rest.n);
    return (take_line(&k->rest, &end) && end.n == 0) || s3_refuse(k->c, S3_INCOMPLETE);
}

static bool take_trailer(chunks *k) {
    cpl_str line, signature = {NULL, 0};
    cpl_buf covered;
    bool fine = true;
    cpl_buf_init(&covered, (size_t)64 << 10);
    while (take_line(&k->rest, &line) && line.n > 0) {
        size_t colon = cpl_str_find(line, ':');
        cpl_str name = cpl_str_sub(line, 0, colon), value = cpl_str_trim(cpl_str_sub(line, colon + 1, line.n));
        if (cpl_str_is_nocase(name, "x-amz-trailer-signature")) {
            signature = value;
            continue;
        }
        cpl_buf_addf(&covered, "%.*s:%.*s\n", (int)name.n, name.p, (int)value.n, value.p ? value.p : "");
        cpl_buf_addv(&k->c->trailer, name);
        cpl_buf_addc(&k->c->trailer, '\0');
        cpl_buf_addv(&k->c->trailer, value);
        cpl_buf_addc(&k->c->trailer, '\0');
    }
    if (k->is_signed && covered.n > 0) fine = check_link(k, "TRAILER", cpl_buf_str(&covered), signature);
    cpl_buf_release(&covered);
    return fine;
}

/* The headers that x-amz-trailer announced have come. */
static bool check_announced(s3_call *c) {
    cpl_str list = s3_header(c, "x-amz-trailer");
    for (size_t from = 0; from < list.n;) {
        cpl_str rest = cpl_str_sub(list, from, list.n);
        cpl_str name = cpl_str_sub(rest, 0, cpl_str_find(rest, ','));
        char copy[128];
        from += name.n + 1;
        CPL_COPY(copy, cpl_str_trim(name));
        if (trailer_value(c, copy).p == NULL) return s3_refuse(c, S3_TRAILER);
    }
    return true;
}

static bool check_decoded_length(s3_call *c) {
    cpl_str text = s3_header(c, "x-amz-decoded-content-length");
    int64_t n;
    if (text.p == NULL) return true;
    if (!cpl_str_integer(text, &n) || (uint64_t)n != c->unchunked.n) return s3_refuse(c, S3_INCOMPLETE);
    return true;
}

static bool unchunk(s3_call *c, bool is_signed) {
    chunks k = {.c = c, .rest = c->request->body, .is_signed = is_signed};
    size_t size = 1;
    bool fine = true;
    CPL_COPY(k.previous, c->who.claim.signature);
    if (is_signed && !derive_key(&k)) return s3_refuse(c, S3_INTERNAL);
    while (fine && size > 0) fine = take_chunk(&k, &size);
    fine = fine && take_trailer(&k);
    cpl_wipe(k.key, sizeof k.key);
    if (!fine) return false;
    if (!cpl_buf_ok(&c->unchunked) || !cpl_buf_ok(&c->trailer)) return s3_refuse(c, S3_INTERNAL);
    c->payload = cpl_buf_str(&c->unchunked);
    return check_decoded_length(c) && check_announced(c);
}

/* ---- what x-amz-content-sha256 says ---- */

static bool check_sha256(s3_call *c, cpl_str given) {
    char computed[CPL_SHA256_HEX_SIZE];
    if (given.n != CPL_SHA256_HEX_SIZE - 1)
        return s3_refuse_as(c, S3_ARGUMENT,
                            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
                            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid "
                            "sha256 value.");
    if (cpl_sha256_hex(c->request->body, computed, NULL)) return s3_refuse(c, S3_INTERNAL);
    return cpl_str_is(given, computed) || s3_refuse(c, S3_SHA256);
}

bool s3_read_payload(s3_call *c) {
    cpl_str kind = s3_header(c, "x-amz-content-sha256");
    bool fine = true;
    c->payload = c->request->body;
    if (cpl_str_is(kind, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")) {
        fine = unchunk(c, false);
    } else if (cpl_str_is(kind, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") ||
               cpl_str_is(kind, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")) {
        fine = unchunk(c, true);
    } else if (kind.p && !cpl_str_is(kind, UNSIGNED)) {
        fine = check_sha256(c, kind);
    }
    return fine && check_digests(c);
}
