/* SPDX-License-Identifier: MIT */
#include "auth.h"

#include <stdarg.h>

#include "../err.h"

#define API_SKEW_S 300
#define S3_SKEW_S 900
#define PRESIGNED_MAX_S 604800

typedef enum fault {
    MISSING,
    LEGACY,
    INCOMPLETE,
    UNKNOWN_KEY,
    BAD_TOKEN,
    EXPIRED_TOKEN,
    BAD_SIGNATURE,
    WRONG_SCOPE,
    SKEWED,
    TOO_OLD,
    NO_HASH,
    INTERNAL
} fault;

/* How each service calls a fault. A message that is NULL is given where the fault is found. */
static const struct wording {
    const char *code;
    int status;
    const char *message;
} wordings[][2] = {
    [MISSING] = {{"MissingAuthenticationTokenException", 400, "Missing Authentication Token"},
                 {"AccessDenied", 403, "Access Denied"}},
    [LEGACY] = {{"IncompleteSignatureException", 400, "Authorization header does not begin with AWS4-HMAC-SHA256"},
                {"InvalidRequest", 400,
                 "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."}},
    [INCOMPLETE] = {{"IncompleteSignatureException", 400, NULL}, {"AuthorizationHeaderMalformed", 400, NULL}},
    [UNKNOWN_KEY] = {{"UnrecognizedClientException", 400, "The security token included in the request is invalid."},
                     {"InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."}},
    [BAD_TOKEN] = {{"UnrecognizedClientException", 400, "The security token included in the request is invalid."},
                   {"InvalidToken", 400, "The provided token is malformed or otherwise invalid."}},
    [EXPIRED_TOKEN] = {{"ExpiredTokenException", 400, "The security token included in the request is expired"},
                       {"ExpiredToken", 400, "The provided token has expired."}},
    [BAD_SIGNATURE] = {{"InvalidSignatureException", 400,
                        "The request signature we calculated does not match the signature you provided. Check your AWS "
                        "Secret Access Key and signing method. Consult the service documentation for details."},
                       {"SignatureDoesNotMatch", 403,
                        "The request signature we calculated does not match the signature you provided. Check your key "
                        "and signing method."}},
    [WRONG_SCOPE] = {{"InvalidSignatureException", 400, NULL}, {"AuthorizationHeaderMalformed", 400, NULL}},
    [SKEWED] = {{"InvalidSignatureException", 400, NULL},
                {"RequestTimeTooSkewed", 403,
                 "The difference between the request time and the current time is too large."}},
    [TOO_OLD] = {{"InvalidSignatureException", 400, "Signature expired"}, {"AccessDenied", 403, "Request has expired"}},
    [NO_HASH] = {{"IncompleteSignatureException", 400, NULL},
                 {"MissingSecurityHeader", 400, "Your request was missing a required header: x-amz-content-sha256"}},
    [INTERNAL] = {{"InternalFailure", 500, "the emulator is out of memory"},
                  {"InternalError", 500, "the emulator is out of memory"}},
};

typedef struct check {
    emu *e;
    const emu_request *request;
    emu_service service;
    emu_identity *identity;
    emu_denial *denial;
} check;

static bool CPL_PRINTF(3, 4) deny(const check *c, fault what, const char *format, ...) {
    const struct wording *wording = &wordings[what][c->service];
    c->denial->code = wording->code;
    c->denial->status = wording->status;
    if (wording->message) {
        CPL_COPY(c->denial->message, cpl_str_of(wording->message));
    } else {
        va_list args;
        va_start(args, format);
        vsnprintf(c->denial->message, sizeof c->denial->message, format, args);
        va_end(args);
    }
    return false;
}

static bool has_parameter(cpl_str query, const char *name) {
    for (size_t from = 0; from < query.n;) {
        cpl_str rest = cpl_str_sub(query, from, query.n);
        cpl_str pair = cpl_str_sub(rest, 0, cpl_str_find(rest, '&'));
        if (cpl_str_is(cpl_str_sub(pair, 0, cpl_str_find(pair, '=')), name)) return true;
        from += pair.n + 1;
    }
    return false;
}

/* Version 2, which the SDKs still use for some presigned URLs unless told "s3v4". */
static bool is_legacy(cpl_str authorization, cpl_str query) {
    return cpl_str_starts(authorization, "AWS ") || has_parameter(query, "AWSAccessKeyId");
}

static bool read_claim(const check *c) {
    cpl_sigv4_claim *claim = &c->identity->claim;
    cpl_str authorization = emu_request_header(c->request, "authorization"), query = c->request->query;
    cpl_error err;
    cpl_status status;
    if (is_legacy(authorization, query)) return deny(c, LEGACY, NULL);
    if (authorization.p == NULL && !has_parameter(query, "X-Amz-Algorithm") && !has_parameter(query, "X-Amz-Signature"))
        return deny(c, MISSING, NULL);
    status = cpl_sigv4_claim_read(claim, authorization, query, &c->identity->scratch, &err);
    if (status == CPL_NOMEM) return deny(c, INTERNAL, NULL);
    if (status) return deny(c, INCOMPLETE, "%s", err.message);
    if (!claim->presigned) {
        claim->timestamp = emu_request_header(c->request, "x-amz-date");
        claim->session_token = emu_request_header(c->request, "x-amz-security-token");
    }
    return true;
}

static bool check_scope(const check *c) {
    static const char *const names[] = {[EMU_CODEPIPELINE] = "codepipeline", [EMU_S3] = "s3"};
    const cpl_sigv4_claim *claim = &c->identity->claim;
    const char *service = names[c->service], *region = emu_region(c->e);
    if (!cpl_str_is(claim->region, region)) {
        if (c->service == EMU_S3)
            return deny(c, WRONG_SCOPE,
                        "The authorization header is malformed; the region '%.*s' is wrong; expecting '%s'",
                        (int)claim->region.n, claim->region.p, region);
        return deny(c, WRONG_SCOPE, "Credential should be scoped to a valid region, not '%.*s'. ", (int)claim->region.n,
                    claim->region.p);
    }
    if (cpl_str_is(claim->service, service)) return true;
    if (c->service == EMU_S3)
        return deny(
            c, WRONG_SCOPE,
            "The authorization header is malformed; incorrect service \"%.*s\". This endpoint belongs to \"s3\".",
            (int)claim->service.n, claim->service.p);
    return deny(c, WRONG_SCOPE, "Credential should be scoped to correct service: '%s'. ", service);
}

static bool deny_skew(const check *c, int64_t signed_s, int64_t now_s) {
    bool early = signed_s > now_s;
    int64_t edge_s = early ? now_s + API_SKEW_S : now_s - API_SKEW_S;
    char claimed[CPL_TIME_BASIC_SIZE], edge[CPL_TIME_BASIC_SIZE], now[CPL_TIME_BASIC_SIZE];
    cpl_time_basic(signed_s, claimed);
    cpl_time_basic(edge_s, edge);
    cpl_time_basic(now_s, now);
    return deny(c, SKEWED, "%s: %s is %s than %s (%s %c 5 min.)",
                early ? "Signature not yet current" : "Signature expired", claimed,
                early ? "still later" : "now earlier", edge, now, early ? '+' : '-');
}

static bool check_time(const check *c) {
    const cpl_sigv4_claim *claim = &c->identity->claim;
    int64_t now_s = emu_wall_ms(c->e) / 1000, skew = c->service == EMU_S3 ? S3_SKEW_S : API_SKEW_S, signed_s;
    double parsed = 0;
    if (claim->timestamp.n != CPL_TIME_BASIC_SIZE - 1 || !cpl_time_parse(claim->timestamp, &parsed))
        return deny(c, INCOMPLETE, "Date must be in ISO-8601 'basic format'. Got '%.*s'. See ISO8601.",
                    (int)claim->timestamp.n, claim->timestamp.p ? claim->timestamp.p : "");
    if (!cpl_str_eq(claim->date, cpl_str_sub(claim->timestamp, 0, 8)))
        return deny(c, INCOMPLETE, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date");
    signed_s = (int64_t)parsed;
    if (claim->presigned) {
        if (claim->expires_s < 0 || claim->expires_s > PRESIGNED_MAX_S)
            return deny(c, INCOMPLETE, "X-Amz-Expires must be less than a week (in seconds)");
        if (now_s > signed_s + claim->expires_s) return deny(c, TOO_OLD, NULL);
        return signed_s <= now_s + skew || deny_skew(c, signed_s, now_s);
    }
    return (signed_s <= now_s + skew && signed_s >= now_s - skew) || deny_skew(c, signed_s, now_s);
}

/* Finds whose key it is. A job's key opens nothing but S3. */
static bool find_key(const check *c) {
    emu_identity *identity = c->identity;
    const cpl_sigv4_claim *claim = &identity->claim;
    cpl_credentials owner = emu_owner(c->e);
    char key[128];
    if (cpl_str_eq(claim->access_key_id, owner.access_key_id)) {
        if (claim->session_token.n > 0) return deny(c, BAD_TOKEN, NULL);
        identity->credentials = owner;
        return true;
    }
    if (claim->access_key_id.n >= sizeof key) return deny(c, UNKNOWN_KEY, NULL);
    CPL_COPY(key, claim->access_key_id);
    identity->grant = emu_store_get(emu_store_of(c->e), EMU_GRANT, key);
    if (identity->grant == NULL || c->service != EMU_S3) return deny(c, UNKNOWN_KEY, NULL);
    identity->credentials = (cpl_credentials){.access_key_id = claim->access_key_id,
                                              .secret_access_key = cpl_json_get_str(identity->grant, "secret"),
                                              .session_token = claim->session_token};
    if (!cpl_secret_eq(claim->session_token, cpl_json_get_str(identity->grant, "token")))
        return deny(c, BAD_TOKEN, NULL);
    return true;
}

/* S3 signs what the header says of the body; s3.c compares it with the body that came. */
static cpl_str s3_payload_hash(const check *c) {
    cpl_str hash = emu_request_header(c->request, "x-amz-content-sha256");
    return hash.p || !c->identity->claim.presigned ? hash : CPL_LIT("UNSIGNED-PAYLOAD");
}

static bool check_signature(const check *c) {
    const emu_request *r = c->request;
    cpl_sign_request signing = {.method = r->method,
                                .path = r->path,
                                .query = r->query,
                                .headers = r->headers,
                                .header_count = r->header_count,
                                .body = r->body,
                                .region = c->identity->claim.region,
                                .service = c->identity->claim.service};
    cpl_signature signature;
    cpl_status status;
    if (c->service == EMU_S3) {
        signing.flags = CPL_SIGN_S3;
        signing.payload_hash = s3_payload_hash(c);
        if (signing.payload_hash.n == 0) return deny(c, NO_HASH, NULL);
    }
    cpl_signature_init(&signature);
    status =
        cpl_sigv4_verify(emu_signer(c->e), &signing, &c->identity->claim, &c->identity->credentials, &signature, NULL);
    cpl_signature_release(&signature);
    if (status == CPL_OK) return true;
    return status == CPL_INVALID ? deny(c, BAD_SIGNATURE, NULL) : deny(c, INTERNAL, NULL);
}

/* Told only to who holds the secret. */
static bool check_expiry(const check *c) {
    const cpl_json *grant = c->identity->grant;
    if (grant && emu_now_s(c->e) >= cpl_json_get_number(grant, "expires", 0)) return deny(c, EXPIRED_TOKEN, NULL);
    return true;
}

bool emu_authenticate(emu *e, const emu_request *request, emu_service service, emu_identity *out, emu_denial *denial) {
    const check c = {e, request, service, out, denial};
    *out = (emu_identity){.grant = NULL};
    *denial = (emu_denial){.status = 0};
    cpl_buf_init(&out->scratch, (size_t)64 << 10);
    return read_claim(&c) && check_scope(&c) && find_key(&c) && check_time(&c) && check_signature(&c) &&
           check_expiry(&c);
}

void emu_identity_release(emu_identity *identity) {
    cpl_buf_wipe(&identity->scratch);
    cpl_buf_release(&identity->scratch);
}

bool emu_identity_may(const emu_identity *identity, const char *want, cpl_str bucket, cpl_str key) {
    if (identity->grant == NULL) return true;
    for (cpl_json *i = cpl_json_first(cpl_json_get(identity->grant, want)); i; i = cpl_json_next(i)) {
        if (cpl_str_eq(cpl_json_get_str(i, "bucket"), bucket) && cpl_str_eq(cpl_json_get_str(i, "key"), key))
            return true;
    }
    return false;
}
