/* SPDX-License-Identifier: MIT */
/* IAM Identity Center: an access token that "aws sso login" left on disk buys the credentials of a role. */
#include "../clock.h"
#include "../err.h"
#include "provider.h"

typedef struct settings {
    char place[128];
    const char *session; /* NULL: the older form, all in the profile */
    const char *start_url, *region;
    const char *account, *role; /* both or none */
} settings;

/* ---- what the files say ---- */

static cpl_status read_session(const cpl_config *config, const char *profile, settings *s, cpl_error *err) {
    static const char *const keys[] = {"sso_region", "sso_start_url"};
    if (!cpl_config_has_session(config, s->session))
        return cpl_fail(err, CPL_CREDENTIALS, "sso_session of %s: there is no sso-session \"%.100s\"", s->place,
                        s->session);
    s->region = cpl_config_session_value(config, s->session, keys[0]);
    s->start_url = cpl_config_session_value(config, s->session, keys[1]);
    for (size_t i = 0; i < CPL_COUNT(keys); i++) {
        const char *here = cpl_config_profile_value(config, profile, keys[i]);
        const char *there = i == 0 ? s->region : s->start_url;
        if (here && (there == NULL || strcmp(here, there) != 0))
            return cpl_fail(err, CPL_CREDENTIALS, "%s of %s is not that of its sso-session \"%.100s\"", keys[i],
                            s->place, s->session);
    }
    return CPL_OK;
}

static cpl_status read_settings(const cpl_config *config, const char *profile, settings *s, cpl_error *err) {
    cpl_status status = CPL_OK;
    *s = (settings){.session = cpl_config_profile_value(config, profile, "sso_session"),
                    .account = cpl_config_profile_value(config, profile, "sso_account_id"),
                    .role = cpl_config_profile_value(config, profile, "sso_role_name"),
                    .region = cpl_config_profile_value(config, profile, "sso_region"),
                    .start_url = cpl_config_profile_value(config, profile, "sso_start_url")};
    snprintf(s->place, sizeof s->place, "profile \"%.100s\"", profile);
    if (s->session) status = read_session(config, profile, s, err);
    if (status) return status;
    if (s->account == NULL && s->role)
        return cpl_fail(err, CPL_CREDENTIALS, "%s has sso_role_name, but no sso_account_id", s->place);
    if (s->role == NULL && s->account)
        return cpl_fail(err, CPL_CREDENTIALS, "%s has sso_account_id, but no sso_role_name", s->place);
    if (s->region && s->start_url) return CPL_OK;
    return cpl_fail(err, CPL_CREDENTIALS, "%s has no %s", s->place, s->region ? "sso_start_url" : "sso_region");
}

/* ---- the role's credentials ---- */

static cpl_status read_answer(const cpl_http_response *response, cpl_creds_set **out, cpl_error *err) {
    static const char *const names[] = {"accessKeyId", "secretAccessKey", "sessionToken"};
    static const char place[] = "the answer of SSO";
    cpl_creds_texts texts = {.place = place, .source = "profile"};
    cpl_json *json = NULL, *keys;
    cpl_status status = cpl_creds_parse_json(cpl_buf_str(&response->body), place, &json, err);
    if (status) return status;
    keys = cpl_json_get(json, "roleCredentials");
    for (size_t i = 0; i < CPL_COUNT(names); i++) {
        texts.name[i] = names[i];
        texts.text[i] = cpl_json_get_str(keys, names[i]);
    }
    texts.expires_s = (int64_t)(cpl_json_get_number(keys, "expiration", 0) / 1000); /* milliseconds here */
    status = cpl_creds_require_texts(&texts, out, err);
    cpl_json_free(json);
    return status;
}

static cpl_status write_url(const cpl_creds_ask *ask, const settings *s, cpl_buf *url, cpl_error *err) {
    cpl_endpoint endpoint;
    cpl_status status = cpl_creds_endpoint(ask, "portal.sso", "sso", cpl_str_of(s->region), &endpoint, err);
    if (status) return status;
    cpl_buf_addf(url, "%s/federation/credentials?account_id=", endpoint.url);
    cpl_buf_add_uri(url, cpl_str_of(s->account), false);
    cpl_buf_adds(url, "&role_name=");
    cpl_buf_add_uri(url, cpl_str_of(s->role), false);
    return cpl_creds_check_text(url, "the URL of SSO", err);
}

static cpl_status buy(const cpl_creds_ask *ask, const settings *s, cpl_str token, cpl_creds_set **out, cpl_error *err) {
    const cpl_header header = {CPL_LIT("x-amz-sso_bearer_token"), token};
    cpl_creds_message message = {.method = "GET", .headers = &header, .header_count = 1, .place = "SSO"};
    cpl_http_response response;
    cpl_buf url;
    cpl_status status;
    cpl_buf_init(&url, 4096);
    cpl_http_response_init(&response);
    status = write_url(ask, s, &url, err);
    message.url = cpl_buf_cstr(&url);
    if (status == CPL_OK) status = cpl_creds_call(ask, &message, &response, err);
    if (status == CPL_OK) status = read_answer(&response, out, err);
    cpl_buf_wipe(&response.body);
    cpl_http_response_release(&response);
    cpl_buf_release(&url);
    return status;
}

static cpl_status get_token(const cpl_creds_ask *ask, const settings *s, cpl_buf *token, double *expires_s,
                            cpl_error *err) {
    const cpl_creds_sso_session session = {s->session ? s->session : s->start_url, s->region, s->session != NULL};
    return cpl_creds_session_token(ask, &session, token, expires_s, err);
}

cpl_status cpl_creds_sso_token(const cpl_creds_ask *ask, const char *profile, cpl_buf *token, double *expires_s,
                               cpl_error *err) {
    settings s;
    cpl_status status = read_settings(ask->config, profile, &s, err);
    return status ? status : get_token(ask, &s, token, expires_s, err);
}

cpl_status cpl_creds_profile_sso(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out, cpl_error *err) {
    settings s;
    cpl_buf token;
    double expires_s;
    cpl_status status = read_settings(ask->config, profile, &s, err);
    *out = NULL;
    if (status) return status;
    if (s.account == NULL)
        return cpl_fail(err, CPL_CREDENTIALS,
                        "%s has neither sso_account_id nor sso_role_name: it gives an access token, not credentials",
                        s.place);
    cpl_buf_init(&token, 16384);
    status = get_token(ask, &s, &token, &expires_s, err);
    if (status == CPL_OK) status = buy(ask, &s, cpl_buf_str(&token), out, err);
    cpl_buf_wipe(&token);
    cpl_buf_release(&token);
    return status;
}
