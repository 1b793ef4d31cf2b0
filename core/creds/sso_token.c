/* SPDX-License-Identifier: MIT */
/* The access token of an SSO session: kept in a file that the AWS CLI shares, renewed when it can be. */
#include "../clock.h"
#include "../err.h"
#include "provider.h"

#define REQUEST_MAX ((size_t)1 << 20)
#define RENEW_AHEAD_S (15 * 60)

/* ---- the file ---- */

static cpl_status name_file(const char *name, cpl_buf *out, cpl_error *err) {
    char hex[CPL_SHA1_HEX_SIZE];
    cpl_status status = cpl_sha1_hex(cpl_str_of(name), hex, err);
    cpl_buf_init(out, 128);
    if (status) return cpl_creds_as_credentials(status, err);
    cpl_buf_addf(out, "~/.aws/sso/cache/%s.json", hex);
    return cpl_creds_check_text(out, "the name of the token file", err);
}

/* ---- renewing ---- */

static double time_of(const cpl_json *token, const char *member) {
    double seconds = 0;
    (void)cpl_time_parse(cpl_json_get_str(token, member), &seconds);
    return seconds;
}

static bool can_renew(const cpl_creds_ask *ask, const cpl_json *token) {
    double registered_until = time_of(token, "registrationExpiresAt");
    return cpl_json_get_str(token, "refreshToken").n > 0 && cpl_json_get_str(token, "clientId").n > 0 &&
           cpl_json_get_str(token, "clientSecret").n > 0 &&
           (registered_until == 0 || registered_until > (double)ask->now_s);
}

static void write_request(const cpl_json *token, cpl_buf *body) {
    static const char *const members[] = {"clientId", "clientSecret", "refreshToken"};
    cpl_buf_adds(body, "{\"grantType\":\"refresh_token\"");
    for (size_t i = 0; i < CPL_COUNT(members); i++) {
        cpl_buf_addf(body, ",\"%s\":", members[i]);
        cpl_json_quote(body, cpl_json_get_str(token, members[i]));
    }
    cpl_buf_addc(body, '}');
}

static cpl_status take_over(const cpl_creds_ask *ask, cpl_json *token, const cpl_json *answer, cpl_error *err) {
    cpl_str access = cpl_json_get_str(answer, "accessToken"), refresh = cpl_json_get_str(answer, "refreshToken");
    double lasts_s = cpl_json_get_number(answer, "expiresIn", 0);
    char until[CPL_TIME_ISO_SIZE];
    if (access.n == 0 || lasts_s < 1 || lasts_s > 366 * 86400.0)
        return cpl_fail(err, CPL_CREDENTIALS, "SSO renewed the token without one, or without an end");
    cpl_time_iso(ask->now_s + (int64_t)lasts_s, until);
    cpl_json_remove(token, "refreshToken"); /* it is spent; without a new one this was the last renewal */
    if (!cpl_json_set_str(token, "accessToken", access) || !cpl_json_set_cstr(token, "expiresAt", until) ||
        (refresh.n > 0 && !cpl_json_set_str(token, "refreshToken", refresh)))
        return cpl_fail_nomem(err);
    return CPL_OK;
}

static cpl_status renew(const cpl_creds_ask *ask, const char *region, cpl_json *token, cpl_error *err) {
    static const cpl_header header = {CPL_LIT("content-type"), CPL_LIT("application/json")};
    cpl_creds_message message = {
        .method = "POST", .headers = &header, .header_count = 1, .place = "the renewal of the SSO token"};
    cpl_http_response response;
    cpl_endpoint endpoint;
    cpl_json *answer = NULL;
    cpl_buf url, body;
    cpl_status status = cpl_creds_endpoint(ask, "oidc", "sso_oidc", cpl_str_of(region), &endpoint, err);
    cpl_buf_init(&url, sizeof endpoint.url + 8);
    cpl_buf_init(&body, REQUEST_MAX);
    cpl_http_response_init(&response);
    if (status == CPL_OK) {
        cpl_buf_addf(&url, "%s/token", endpoint.url);
        write_request(token, &body);
        message.url = cpl_buf_cstr(&url);
        message.body = cpl_buf_str(&body);
        status = cpl_buf_ok(&url) ? cpl_creds_check_text(&body, "the request to SSO", err) : cpl_fail_nomem(err);
    }
    if (status == CPL_OK) status = cpl_creds_call(ask, &message, &response, err);
    if (status == CPL_OK) status = cpl_creds_parse_json(cpl_buf_str(&response.body), message.place, &answer, err);
    if (status == CPL_OK) status = take_over(ask, token, answer, err);
    cpl_json_free(answer);
    cpl_buf_wipe(&response.body);
    cpl_http_response_release(&response);
    cpl_buf_wipe(&body);
    cpl_buf_release(&body);
    cpl_buf_release(&url);
    return status;
}

/* ---- the token ---- */

static cpl_status keep_fresh(const cpl_creds_ask *ask, const cpl_creds_sso_session *session, const char *file,
                             cpl_json *token, cpl_error *err) {
    double left_s = time_of(token, "expiresAt") - (double)ask->now_s;
    cpl_status status = CPL_OK;
    if (left_s > RENEW_AHEAD_S) return CPL_OK;
    if (session->renewable && can_renew(ask, token)) {
        status = renew(ask, session->region, token, err);
        if (status == CPL_OK) cpl_creds_save_token(ask, file, token);
        if (status == CPL_CANCELLED || status == CPL_NOMEM || (status && left_s <= 0)) return status;
        return CPL_OK; /* what is left of the old one is good enough */
    }
    if (left_s > 0) return CPL_OK;
    return cpl_fail(err, CPL_CREDENTIALS, "the SSO token of \"%.200s\" has expired: run aws sso login", session->name);
}

static cpl_status copy_token(const cpl_json *json, const char *file, cpl_buf *token, cpl_error *err) {
    cpl_header header = {CPL_LIT("x-amz-sso_bearer_token"), cpl_json_get_str(json, "accessToken")};
    if (header.value.n == 0 || cpl_http_check_header(&header, NULL))
        return cpl_fail(err, CPL_CREDENTIALS, "\"%s\" has no accessToken", file);
    cpl_buf_addv(token, header.value);
    return cpl_creds_check_text(token, "the SSO token", err);
}

cpl_status cpl_creds_session_token(const cpl_creds_ask *ask, const cpl_creds_sso_session *session, cpl_buf *token,
                                   double *expires_s, cpl_error *err) {
    cpl_json *json = NULL;
    cpl_buf file;
    cpl_status status = name_file(session->name, &file, err);
    if (status == CPL_OK) status = cpl_creds_load_token(ask, cpl_buf_cstr(&file), "aws sso login", &json, err);
    if (status == CPL_OK) status = keep_fresh(ask, session, cpl_buf_cstr(&file), json, err);
    if (status == CPL_OK) status = copy_token(json, cpl_buf_cstr(&file), token, err);
    *expires_s = status ? 0 : time_of(json, "expiresAt");
    cpl_json_free(json);
    cpl_buf_release(&file);
    return status;
}
