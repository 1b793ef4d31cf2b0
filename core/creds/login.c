/* SPDX-License-Identifier: MIT */
/*
 * What "aws login" left on disk: the keys of a console session, good for minutes, and a token that buys new ones from
 * whoever proves to have the key it was made for (DPoP, RFC 9449).
 */
#include "../clock.h"
#include "../err.h"
#include "provider.h"

#define RENEW_AHEAD_S (5 * 60)
#define RENEWED_FOR_S (15 * 60) /* unless the answer says */

static cpl_status name_file(const cpl_creds_ask *ask, const char *session, cpl_buf *out, cpl_error *err) {
    const char *folder = cpl_config_env(ask->config, "AWS_LOGIN_CACHE_DIRECTORY");
    char hex[CPL_SHA256_HEX_SIZE];
    cpl_status status = cpl_sha256_hex(cpl_str_of(session), hex, err);
    if (status) return cpl_creds_as_credentials(status, err);
    cpl_buf_addf(out, "%s/%s.json", folder ? folder : "~/.aws/login/cache", hex);
    return cpl_creds_check_text(out, "the name of the login's file", err);
}

/* ---- where ---- */

static cpl_status write_url(const cpl_creds_ask *ask, const char *profile, cpl_buf *url, cpl_error *err) {
    cpl_str region = cpl_str_of(cpl_config_profile_value(ask->config, profile, "region"));
    cpl_endpoint endpoint;
    cpl_status status;
    if (region.n == 0) region = cpl_creds_region(ask);
    status = cpl_creds_endpoint(ask, "signin", "signin", region, &endpoint, err);
    if (status) return status;
    cpl_buf_addf(url, "%s/v1/token", endpoint.url);
    return cpl_creds_check_text(url, "the URL of the sign-in service", err);
}

/* ---- the proof ---- */

static void add_base64url(cpl_buf *out, const void *bytes, size_t n) {
    size_t from = out->n;
    cpl_base64(out, bytes, n);
    for (size_t i = from; i < out->n; i++) {
        if (out->p[i] == '+') out->p[i] = '-';
        if (out->p[i] == '/') out->p[i] = '_';
    }
    while (out->n > from && out->p[out->n - 1] == '=') cpl_buf_truncate(out, out->n - 1);
}

static cpl_status add_header(cpl_buf *out, cpl_str key, cpl_error *err) {
    unsigned char point[CPL_ES256_SIZE];
    cpl_buf text;
    cpl_status status = cpl_es256_public(key, point, err);
    if (status) return status;
    cpl_buf_init(&text, 1024);
    cpl_buf_adds(&text, "{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\",\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"");
    add_base64url(&text, point, sizeof point / 2);
    cpl_buf_adds(&text, "\",\"y\":\"");
    add_base64url(&text, point + sizeof point / 2, sizeof point / 2);
    cpl_buf_adds(&text, "\"}}");
    status = cpl_creds_check_text(&text, "the proof of the login", err);
    add_base64url(out, text.p, text.n);
    cpl_buf_release(&text);
    return status;
}

static cpl_status add_claims(cpl_buf *out, cpl_str url, int64_t now_s, cpl_error *err) {
    char id[CPL_UUID_SIZE];
    cpl_buf text;
    cpl_status status = cpl_uuid(id, err);
    if (status) return status;
    cpl_buf_init(&text, 8192);
    cpl_buf_addf(&text, "{\"jti\":\"%s\",\"htm\":\"POST\",\"htu\":", id);
    cpl_json_quote(&text, url);
    cpl_buf_addf(&text, ",\"iat\":%lld}", (long long)now_s);
    status = cpl_creds_check_text(&text, "the proof of the login", err);
    add_base64url(out, text.p, text.n);
    cpl_buf_release(&text);
    return status;
}

static cpl_status write_proof(cpl_buf *out, cpl_str key, cpl_str url, int64_t now_s, cpl_error *err) {
    unsigned char signature[CPL_ES256_SIZE];
    cpl_status status = add_header(out, key, err);
    cpl_buf_addc(out, '.');
    if (status == CPL_OK) status = add_claims(out, url, now_s, err);
    if (status == CPL_OK) status = cpl_creds_check_text(out, "the proof of the login", err);
    if (status == CPL_OK) status = cpl_es256_sign(key, cpl_buf_str(out), signature, err);
    if (status) return cpl_creds_as_credentials(status, err);
    cpl_buf_addc(out, '.');
    add_base64url(out, signature, sizeof signature);
    return cpl_creds_check_text(out, "the proof of the login", err);
}

/* ---- renewing ---- */

static cpl_status take_over(const cpl_creds_ask *ask, cpl_json *login, const cpl_json *answer, cpl_error *err) {
    static const char *const members[] = {"accessKeyId", "secretAccessKey", "sessionToken"};
    cpl_json *keys = cpl_json_get(login, "accessToken"), *fresh = cpl_json_get(answer, "accessToken");
    cpl_str refresh = cpl_json_get_str(answer, "refreshToken");
    double lasts_s = cpl_json_get_number(answer, "expiresIn", RENEWED_FOR_S);
    char until[CPL_TIME_ISO_SIZE];
    for (size_t i = 0; i < CPL_COUNT(members); i++) {
        if (cpl_json_get_str(fresh, members[i]).n == 0)
            return cpl_fail(err, CPL_CREDENTIALS, "the sign-in service renewed the login without %s", members[i]);
    }
    for (size_t i = 0; i < CPL_COUNT(members); i++) {
        if (!cpl_json_set_str(keys, members[i], cpl_json_get_str(fresh, members[i]))) return cpl_fail_nomem(err);
    }
    if (lasts_s < 1 || lasts_s > 366 * 86400.0) lasts_s = RENEWED_FOR_S;
    cpl_time_iso(ask->now_s + (int64_t)lasts_s, until);
    if (!cpl_json_set_cstr(keys, "expiresAt", until) ||
        (refresh.n > 0 && !cpl_json_set_str(login, "refreshToken", refresh)))
        return cpl_fail_nomem(err);
    return CPL_OK;
}

static cpl_status exchange(const cpl_creds_ask *ask, const char *url, cpl_json *login, cpl_error *err) {
    cpl_header headers[] = {{CPL_LIT("content-type"), CPL_LIT("application/json")}, {CPL_LIT("dpop"), {NULL, 0}}};
    cpl_creds_message message = {
        .method = "POST", .url = url, .headers = headers, .header_count = 2, .place = "the renewal of the login"};
    cpl_http_response response;
    cpl_json *answer = NULL;
    cpl_buf proof, body;
    cpl_status status;
    cpl_buf_init(&proof, 16384);
    cpl_buf_init(&body, (size_t)1 << 20);
    cpl_http_response_init(&response);
    cpl_buf_adds(&body, "{\"clientId\":");
    cpl_json_quote(&body, cpl_json_get_str(login, "clientId"));
    cpl_buf_adds(&body, ",\"grantType\":\"refresh_token\",\"refreshToken\":");
    cpl_json_quote(&body, cpl_json_get_str(login, "refreshToken"));
    cpl_buf_addc(&body, '}');
    status = write_proof(&proof, cpl_json_get_str(login, "dpopKey"), cpl_str_of(url), ask->now_s, err);
    if (status == CPL_OK) status = cpl_creds_check_text(&body, "the request for a login", err);
    headers[1].value = cpl_buf_str(&proof);
    message.body = cpl_buf_str(&body);
    if (status == CPL_OK) status = cpl_creds_call(ask, &message, &response, err);
    if (status == CPL_OK) status = cpl_creds_parse_json(cpl_buf_str(&response.body), message.place, &answer, err);
    if (status == CPL_OK) status = take_over(ask, login, answer, err);
    cpl_json_free(answer);
    cpl_buf_wipe(&response.body);
    cpl_http_response_release(&response);
    cpl_buf_wipe(&body);
    cpl_buf_release(&body);
    cpl_buf_release(&proof);
    return status;
}

static cpl_status renew(const cpl_creds_ask *ask, const char *profile, cpl_json *login, cpl_error *err) {
    cpl_buf url;
    cpl_status status;
    cpl_buf_init(&url, 4096);
    status = write_url(ask, profile, &url, err);
    if (status == CPL_OK) status = exchange(ask, cpl_buf_cstr(&url), login, err);
    cpl_buf_release(&url);
    return status;
}

static bool can_renew(const cpl_json *login) {
    return cpl_json_get_str(login, "clientId").n > 0 && cpl_json_get_str(login, "refreshToken").n > 0 &&
           cpl_json_get_str(login, "dpopKey").n > 0 &&
           cpl_json_kind_of(cpl_json_get(login, "accessToken")) == CPL_JSON_OBJECT;
}

/* ---- the keys ---- */

static cpl_status keep_fresh(const cpl_creds_ask *ask, const char *profile, const char *file, cpl_json *login,
                             cpl_error *err) {
    double until_s = 0, left_s;
    cpl_status status = CPL_OK;
    (void)cpl_time_parse(cpl_json_get_str(cpl_json_get(login, "accessToken"), "expiresAt"), &until_s);
    left_s = until_s - (double)ask->now_s;
    if (left_s > RENEW_AHEAD_S) return CPL_OK;
    if (!can_renew(login)) {
        if (left_s > 0) return CPL_OK;
        return cpl_fail(err, CPL_CREDENTIALS, "the login of profile \"%.100s\" has expired: run aws login", profile);
    }
    status = renew(ask, profile, login, err);
    if (status == CPL_OK) cpl_creds_save_token(ask, file, login);
    if (status == CPL_CREDENTIALS && left_s > 0) return CPL_OK; /* what is left of the old ones is good enough */
    return status;
}

cpl_status cpl_creds_profile_login(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out, cpl_error *err) {
    cpl_creds_document document = {.name = {"accessKeyId", "secretAccessKey", "sessionToken", "expiresAt"},
                                   .source = "profile"};
    cpl_json *login = NULL;
    cpl_buf file;
    cpl_status status;
    *out = NULL;
    cpl_buf_init(&file, 4096);
    status = name_file(ask, cpl_config_profile_value(ask->config, profile, "login_session"), &file, err);
    document.place = cpl_buf_cstr(&file);
    if (status == CPL_OK) status = cpl_creds_load_token(ask, document.place, "aws login", &login, err);
    if (status == CPL_OK) status = keep_fresh(ask, profile, document.place, login, err);
    if (status == CPL_OK) status = cpl_creds_from_json(cpl_json_get(login, "accessToken"), &document, out, err);
    cpl_json_free(login);
    cpl_buf_release(&file);
    return status;
}
