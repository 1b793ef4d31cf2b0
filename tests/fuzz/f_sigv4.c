/* SPDX-License-Identifier: MIT */
/*
 * Addresses and signatures. Lines: a URL, an Authorization header, headers to sign; an empty one, then a body. What was
 * signed is found good, and not after a byte of it changed.
 */
#include "../../core/http.h"
#include "fuzz.h"

#define HEADERS_MAX 8

static const cpl_credentials KEYS = {{"AKID", 4}, {"secret", 6}, {NULL, 0}};

static void read_claim(cpl_str authorization, cpl_str query) {
    cpl_sigv4_claim claim;
    cpl_error err = {0};
    cpl_buf scratch;
    cpl_buf_init(&scratch, 1 << 20);
    if (cpl_sigv4_claim_read(&claim, authorization, query, &scratch, &err) == CPL_OK) MUST(claim.signature.p != NULL);
    cpl_buf_release(&scratch);
}

/* The headers with those that signing adds, as they would arrive. */
static size_t arriving(const cpl_sign_request *request, const cpl_signature *made, cpl_header *headers) {
    size_t n = request->header_count;
    if (n > 0) memcpy(headers, request->headers, n * sizeof *headers);
    headers[n++] = (cpl_header){CPL_LIT("x-amz-date"), cpl_str_of(made->date)};
    if (request->flags & CPL_SIGN_S3)
        headers[n++] = (cpl_header){CPL_LIT("x-amz-content-sha256"), cpl_str_of(made->payload_hash)};
    return n;
}

static void verify(const cpl_sign_request *request, const cpl_signature *made) {
    cpl_header headers[HEADERS_MAX + 2];
    cpl_sign_request arrived = *request;
    cpl_sigv4_claim claim;
    cpl_signature again;
    cpl_error err = {0};
    cpl_buf scratch;
    cpl_buf_init(&scratch, 1 << 20);
    cpl_signature_init(&again);
    arrived.headers = headers;
    arrived.header_count = arriving(request, made, headers);
    MUST(cpl_sigv4_claim_read(&claim, cpl_buf_str(&made->authorization), request->query, &scratch, &err) == CPL_OK);
    MUST(cpl_sigv4_verify(NULL, &arrived, &claim, &KEYS, &again, &err) == CPL_OK);
    arrived.method = CPL_LIT("PATCH");
    MUST(cpl_sigv4_verify(NULL, &arrived, &claim, &KEYS, &again, &err) == CPL_INVALID);
    cpl_signature_release(&again);
    cpl_buf_release(&scratch);
}

static void sign(const cpl_url *url, const cpl_header *headers, size_t count, cpl_str body) {
    cpl_sign_request request = {.method = CPL_LIT("POST"),
                                .path = url->path,
                                .query = url->query,
                                .headers = headers,
                                .header_count = count,
                                .body = body,
                                .region = CPL_LIT("us-east-1"),
                                .service = CPL_LIT("s3"),
                                .time_s = 1700000000,
                                .flags = body.n % 2 ? CPL_SIGN_S3 : 0};
    cpl_signature made;
    cpl_error err = {0};
    cpl_signature_init(&made);
    if (cpl_sigv4_sign(NULL, &request, &KEYS, &made, &err) == CPL_OK) {
        verify(&request, &made);
    } else {
        MUST(err.status == CPL_INVALID);
    }
    cpl_signature_release(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_str rest = input_of(data, size), address = take_until(&rest, '\n'), authorization = take_until(&rest, '\n');
    cpl_header headers[HEADERS_MAX];
    size_t count = 0;
    cpl_url url;
    bool parsed = cpl_url_parse(address, &url);
    read_claim(authorization, parsed ? url.query : address);
    for (cpl_str line; (line = take_until(&rest, '\n')).n > 0 && count < CPL_COUNT(headers);) {
        cpl_header header = {.name = take_until(&line, ':')};
        bool taken = cpl_str_starts(header.name, "x-amz-") || cpl_str_is_nocase(header.name, "authorization");
        header.value = cpl_str_trim(line);
        if (!taken && cpl_http_check_header(&header, NULL) == CPL_OK) headers[count++] = header;
    }
    if (parsed && count < CPL_COUNT(headers)) {
        headers[count++] = (cpl_header){CPL_LIT("host"), url.authority};
        sign(&url, headers, count, rest);
    }
    return 0;
}
