/* SPDX-License-Identifier: MIT */
/* A role assumed with a token that somebody else signed: EKS, GitHub Actions, ... */
#include "../err.h"
#include "provider.h"

/* With the token file of a profile, which also has what role does not say. */
static cpl_status assume(const cpl_creds_ask *ask, cpl_creds_role role, const char *profile, cpl_creds_set **out,
                         cpl_error *err) {
    const char *file = cpl_config_profile_value(ask->config, profile, "web_identity_token_file");
    char place[128];
    snprintf(place, sizeof place, "profile \"%.100s\"", profile);
    role.duration = cpl_config_profile_value(ask->config, profile, "duration_seconds");
    role.place = place;
    role.source = "profile";
    if (role.arn) return cpl_creds_assume_web_identity(ask, &role, file, out, err);
    return cpl_fail(err, CPL_CREDENTIALS, "%s has web_identity_token_file, but no role_arn", place);
}

/* Setting by setting the environment goes before the profile, as in the AWS CLI. */
cpl_status cpl_creds_find_web_identity(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err) {
    const cpl_creds_role role = {
        .arn = cpl_config_setting(ask->config, "AWS_ROLE_ARN", "role_arn"),
        .session_name = cpl_config_setting(ask->config, "AWS_ROLE_SESSION_NAME", "role_session_name"),
        .place = "the environment",
        .source = "web identity"};
    const char *file = cpl_config_env(ask->config, "AWS_WEB_IDENTITY_TOKEN_FILE");
    *out = NULL;
    if (file == NULL && cpl_config_value(ask->config, "web_identity_token_file"))
        return assume(ask, role, cpl_config_profile(ask->config), out, err);
    if (file == NULL) return CPL_OK;
    if (role.arn) return cpl_creds_assume_web_identity(ask, &role, file, out, err);
    return cpl_fail(err, CPL_CREDENTIALS, "the environment has AWS_WEB_IDENTITY_TOKEN_FILE, but no AWS_ROLE_ARN");
}

cpl_status cpl_creds_profile_web_identity(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out,
                                          cpl_error *err) {
    const cpl_creds_role role = {.arn = cpl_config_profile_value(ask->config, profile, "role_arn"),
                                 .session_name = cpl_config_profile_value(ask->config, profile, "role_session_name")};
    *out = NULL;
    return assume(ask, role, profile, out, err);
}
