/* SPDX-License-Identifier: MIT */
/*
 * What "aws login" left on disk: credentials of a console session, good for minutes. To renew them takes a signature
 * with the key that login made, which the AWS CLI does when it is asked for anything; we read what it left.
 */
#include "../err.h"
#include "provider.h"

static cpl_status name_file(const cpl_creds_ask *ask, const char *session, cpl_buf *out, cpl_error *err) {
    const char *folder = cpl_config_env(ask->config, "AWS_LOGIN_CACHE_DIRECTORY");
    char hex[CPL_SHA256_HEX_SIZE];
    cpl_status status = cpl_sha256_hex(cpl_str_trim(cpl_str_of(session)), hex, err);
    if (status) return cpl_creds_as_credentials(status, err);
    cpl_buf_addf(out, "%s/%s.json", folder ? folder : "~/.aws/login/cache", hex);
    return cpl_creds_check_text(out, "the name of the login's file", err);
}

static cpl_status read_file(const cpl_creds_ask *ask, const char *file, cpl_creds_set **out, cpl_error *err) {
    const cpl_creds_document document = {
        .name = {"accessKeyId", "secretAccessKey", "sessionToken", "expiresAt"}, .place = file, .source = "profile"};
    cpl_json *json = NULL;
    cpl_buf text;
    cpl_status status;
    cpl_buf_init(&text, (size_t)1 << 20);
    status = cpl_creds_as_credentials(cpl_config_read(ask->config, file, &text, err), err);
    if (status == CPL_OK) status = cpl_creds_parse_json(cpl_buf_str(&text), file, &json, err);
    if (status == CPL_OK) status = cpl_creds_from_json(cpl_json_get(json, "accessToken"), &document, out, err);
    cpl_json_free(json);
    cpl_buf_wipe(&text);
    cpl_buf_release(&text);
    return status;
}

cpl_status cpl_creds_profile_login(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out, cpl_error *err) {
    const char *session = cpl_config_profile_value(ask->config, profile, "login_session");
    cpl_buf file;
    cpl_status status;
    *out = NULL;
    cpl_buf_init(&file, 4096);
    status = name_file(ask, session, &file, err);
    if (status == CPL_OK) status = read_file(ask, cpl_buf_cstr(&file), out, err);
    cpl_buf_release(&file);
    if (status || (*out)->expires_s == 0 || (*out)->expires_s > ask->now_s) return status;
    cpl_creds_drop(*out);
    *out = NULL;
    return cpl_fail(err, CPL_CREDENTIALS, "the login of profile \"%.100s\" has expired: run aws login", profile);
}
