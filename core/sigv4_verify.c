/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "err.h"
#include "sigv4_canonical.h"

/* ---- what a request says of its signature ---- */

/* Printable, so that no part can be taken for two. */
static bool is_plain(cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= ' ' || c == 0x7f) return false;
    }
    return text.n > 0;
}

/* Cuts the text after the last '/' off *rest. */
static cpl_str cut_last(cpl_str *rest) {
    size_t at = rest->n;
    cpl_str last;
    while (at > 0 && rest->p[at - 1] != '/') at--;
    last = cpl_str_sub(*rest, at, rest->n);
    *rest = cpl_str_sub(*rest, 0, at > 0 ? at - 1 : 0);
    return last;
}

/* "AKID/20150830/us-east-1/service/aws4_request", read from its end, because a key id may have slashes. */
static cpl_status read_credential(cpl_sigv4_claim *out, cpl_str text, cpl_error *err) {
    cpl_str end = cut_last(&text);
    out->service = cut_last(&text);
    out->region = cut_last(&text);
    out->date = cut_last(&text);
    out->access_key_id = text;
    if (cpl_str_is(end, "aws4_request") && is_plain(out->service) && is_plain(out->region) && out->date.n == 8 &&
        is_plain(out->date) && is_plain(out->access_key_id))
        return CPL_OK;
    return cpl_fail(err, CPL_INVALID, "the credential is not key/date/region/service/aws4_request");
}

static cpl_status check_claim(const cpl_sigv4_claim *claim, cpl_error *err) {
    if (claim->signature.n != CPL_SHA256_HEX_SIZE - 1)
        return cpl_fail(err, CPL_INVALID, "the signature has %zu characters, not 64", claim->signature.n);
    if (!is_plain(claim->signed_headers)) return cpl_fail(err, CPL_INVALID, "the list of signed headers is empty");
    return CPL_OK;
}

typedef struct field {
    const char *name;
    cpl_str *value;
    bool required;
} field;

/* Puts value where the field of that name wants it; names that no field has are ignored. */
static cpl_status set_field(const field *fields, size_t count, cpl_str name, cpl_str value, cpl_error *err) {
    for (size_t i = 0; i < count; i++) {
        if (!cpl_str_is(name, fields[i].name)) continue;
        if (fields[i].value->p) return cpl_fail(err, CPL_INVALID, "\"%s\" is there twice", fields[i].name);
        *fields[i].value = (cpl_str){value.p ? value.p : "", value.n};
    }
    return CPL_OK;
}

static cpl_status check_fields(const field *fields, size_t count, const char *where, cpl_error *err) {
    for (size_t i = 0; i < count; i++) {
        if (fields[i].required && fields[i].value->n == 0)
            return cpl_fail(err, CPL_INVALID, "the %s has no \"%s\"", where, fields[i].name);
    }
    return CPL_OK;
}

static cpl_status read_authorization(cpl_sigv4_claim *out, cpl_str text, cpl_error *err) {
    cpl_str credential = {NULL, 0};
    const field fields[] = {{"Credential", &credential, true},
                            {"SignedHeaders", &out->signed_headers, true},
                            {"Signature", &out->signature, true}};
    cpl_status status = CPL_OK;
    if (!cpl_str_starts(text, CPL_SIGN_ALGORITHM " "))
        return cpl_fail(err, CPL_INVALID, "the Authorization header does not begin with " CPL_SIGN_ALGORITHM);
    for (size_t from = sizeof CPL_SIGN_ALGORITHM; from < text.n && status == CPL_OK;) {
        cpl_str rest = cpl_str_sub(text, from, text.n);
        cpl_str pair = cpl_str_sub(rest, 0, cpl_str_find(rest, ','));
        size_t equals = cpl_str_find(pair, '=');
        status = set_field(fields, CPL_COUNT(fields), cpl_str_trim(cpl_str_sub(pair, 0, equals)),
                           cpl_str_trim(cpl_str_sub(pair, equals + 1, pair.n)), err);
        from += pair.n + 1;
    }
    if (status == CPL_OK) status = check_fields(fields, CPL_COUNT(fields), "Authorization header", err);
    if (status == CPL_OK) status = read_credential(out, credential, err);
    return status ? status : check_claim(out, err);
}

static cpl_status check_expires(cpl_sigv4_claim *out, cpl_str algorithm, cpl_str expires, cpl_error *err) {
    if (!cpl_str_is(algorithm, CPL_SIGN_ALGORITHM))
        return cpl_fail(err, CPL_INVALID, "X-Amz-Algorithm is not " CPL_SIGN_ALGORITHM);
    if (!cpl_str_integer(expires, &out->expires_s) || out->expires_s < 1 || out->expires_s > CPL_SIGN_EXPIRES_MAX)
        return cpl_fail(err, CPL_INVALID, "X-Amz-Expires is not a number from 1 to %d", CPL_SIGN_EXPIRES_MAX);
    return CPL_OK;
}

static cpl_status read_query(cpl_sigv4_claim *out, cpl_str query, cpl_buf *scratch, cpl_error *err) {
    cpl_str algorithm = {NULL, 0}, credential = {NULL, 0}, expires = {NULL, 0};
    const field fields[] = {{"X-Amz-Algorithm", &algorithm, true},
                            {"X-Amz-Credential", &credential, true},
                            {"X-Amz-Date", &out->timestamp, true},
                            {"X-Amz-Expires", &expires, true},
                            {"X-Amz-SignedHeaders", &out->signed_headers, true},
                            {"X-Amz-Signature", &out->signature, true},
                            {"X-Amz-Security-Token", &out->session_token, false}};
    cpl_status status;
    cpl_buf_reserve(scratch, query.n); /* at once: the views into it must not move */
    status = cpl_buf_status(scratch, "the query", err);
    for (size_t from = 0; from < query.n && status == CPL_OK;) {
        cpl_str rest = cpl_str_sub(query, from, query.n);
        cpl_str pair = cpl_str_sub(rest, 0, cpl_str_find(rest, '&'));
        size_t equals = cpl_str_find(pair, '='), at = scratch->n;
        cpl_canonical_add_decoded(scratch, cpl_str_sub(pair, equals + 1, pair.n));
        status = set_field(fields, CPL_COUNT(fields), cpl_str_sub(pair, 0, equals),
                           cpl_str_sub(cpl_buf_str(scratch), at, scratch->n), err);
        from += pair.n + 1;
    }
    out->presigned = true;
    if (status == CPL_OK) status = check_fields(fields, CPL_COUNT(fields), "query", err);
    if (status == CPL_OK) status = check_expires(out, algorithm, expires, err);
    if (status == CPL_OK) status = read_credential(out, credential, err);
    return status ? status : check_claim(out, err);
}

cpl_status cpl_sigv4_claim_read(cpl_sigv4_claim *out, cpl_str authorization, cpl_str query, cpl_buf *scratch,
                                cpl_error *err) {
    *out = (cpl_sigv4_claim){.presigned = false};
    return authorization.n > 0 ? read_authorization(out, authorization, err) : read_query(out, query, scratch, err);
}

/* ---- whether it is true ---- */

static bool names_equal(cpl_str a, cpl_str lower_case) {
    for (size_t i = 0; i < a.n && a.n == lower_case.n; i++) {
        char c = a.p[i];
        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != lower_case.p[i]) return false;
    }
    return a.n == lower_case.n;
}

static cpl_status add_signed_header(cpl_canonical *canonical, cpl_str name, cpl_error *err) {
    const cpl_sign_request *request = canonical->request;
    bool found = false;
    for (size_t i = 0; i < request->header_count; i++) {
        cpl_status status;
        if (!names_equal(request->headers[i].name, name)) continue;
        status = cpl_canonical_add_header(canonical, request->headers[i].name, request->headers[i].value, err);
        if (status) return status;
        found = true;
    }
    if (found) return CPL_OK;
    return cpl_fail(err, CPL_INVALID, "signed header \"%.*s\" did not arrive", (int)cpl_utf8_cut(name, 100), name.p);
}

static cpl_status collect_signed_headers(cpl_canonical *canonical, cpl_str names, cpl_error *err) {
    bool host = false;
    for (size_t from = 0; from < names.n;) {
        cpl_str rest = cpl_str_sub(names, from, names.n);
        cpl_str name = cpl_str_sub(rest, 0, cpl_str_find(rest, ';'));
        cpl_status status = add_signed_header(canonical, name, err);
        if (status) return status;
        host = host || cpl_str_is(name, "host");
        from += name.n + 1;
    }
    return host ? CPL_OK : cpl_fail(err, CPL_INVALID, "the host header is not signed");
}

static cpl_str header_value(const cpl_sign_request *request, const char *name) {
    for (size_t i = 0; i < request->header_count; i++) {
        if (cpl_str_is_nocase(request->headers[i].name, name)) return cpl_str_trim(request->headers[i].value);
    }
    return (cpl_str){NULL, 0};
}

static cpl_status check_scope(const cpl_sign_request *request, const cpl_sigv4_scope *scope, cpl_error *err) {
    if (request->region.n > 0 && !cpl_str_eq(request->region, scope->region))
        return cpl_fail(err, CPL_INVALID, "signed for region \"%.*s\", not \"%.*s\"", (int)scope->region.n,
                        scope->region.p, (int)request->region.n, request->region.p);
    if (request->service.n > 0 && !cpl_str_eq(request->service, scope->service))
        return cpl_fail(err, CPL_INVALID, "signed for service \"%.*s\", not \"%.*s\"", (int)scope->service.n,
                        scope->service.p, (int)request->service.n, request->service.p);
    if (scope->timestamp.n != CPL_TIME_BASIC_SIZE - 1 ||
        !cpl_str_eq(cpl_str_sub(scope->timestamp, 0, scope->date.n), scope->date))
        return cpl_fail(err, CPL_INVALID, "X-Amz-Date is missing, malformed, or not of the day of the credential");
    return CPL_OK;
}

cpl_status cpl_sigv4_verify(cpl_signer *signer, const cpl_sign_request *request, const cpl_sigv4_claim *claim,
                            const cpl_credentials *credentials, cpl_signature *out, cpl_error *err) {
    cpl_sigv4_scope scope = {claim->timestamp, claim->date, claim->region, claim->service};
    unsigned flags = claim->presigned ? request->flags | CPL_SIGN_QUERY : request->flags & ~CPL_SIGN_QUERY;
    cpl_canonical canonical;
    cpl_status status;
    cpl_signature_clear(out);
    if (scope.timestamp.n == 0) scope.timestamp = header_value(request, "x-amz-date");
    status = check_scope(request, &scope, err);
    if (status) return status;
    CPL_COPY(out->date, scope.timestamp);
    canonical.request = request;
    canonical.header_count = 0;
    status = collect_signed_headers(&canonical, claim->signed_headers, err);
    if (status == CPL_OK) status = cpl_sigv4_hash_payload(request, out, err);
    if (status == CPL_OK)
        status = cpl_canonical_write(&canonical, request->query, flags, cpl_str_of(out->payload_hash),
                                     &out->canonical_request, err);
    if (status == CPL_OK) status = cpl_sigv4_finish(signer, &scope, credentials->secret_access_key, out, err);
    if (status == CPL_OK && !cpl_secret_eq(cpl_str_of(out->signature), claim->signature)) {
        cpl_wipe(out->signature, sizeof out->signature); /* the right one is nothing to show to who sent a wrong one */
        status = cpl_fail(err, CPL_INVALID, "the signature does not match the request");
    }
    return status;
}
