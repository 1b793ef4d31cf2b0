/* SPDX-License-Identifier: MIT */
/* A role assumed with a token that somebody else signed: EKS, GitHub Actions, ... */
#include "../err.h"
#include "provider.h"

cpl_status cpl_creds_find_web_identity(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err) {
    const cpl_creds_role role = {.arn = cpl_config_env(ask->config, "AWS_ROLE_ARN"),
                                 .session_name = cpl_config_env(ask->config, "AWS_ROLE_SESSION_NAME"),
                                 .place = "the environment",
                                 .source = "web identity"};
    const char *file = cpl_config_env(ask->config, "AWS_WEB_IDENTITY_TOKEN_FILE");
    *out = NULL;
    if (file == NULL) return CPL_OK;
    if (role.arn == NULL)
        return cpl_fail(err, CPL_CREDENTIALS, "the environment has AWS_WEB_IDENTITY_TOKEN_FILE, but no AWS_ROLE_ARN");
    return cpl_creds_assume_web_identity(ask, &role, file, out, err);
}

cpl_status cpl_creds_profile_web_identity(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out,
                                          cpl_error *err) {
    char place[128];
    const cpl_creds_role role = {.arn = cpl_config_profile_value(ask->config, profile, "role_arn"),
                                 .session_name = cpl_config_profile_value(ask->config, profile, "role_session_name"),
                                 .duration = cpl_config_profile_value(ask->config, profile, "duration_seconds"),
                                 .place = place,
                                 .source = "profile"};
    *out = NULL;
    snprintf(place, sizeof place, "profile \"%.100s\"", profile);
    if (role.arn == NULL)
        return cpl_fail(err, CPL_CREDENTIALS, "%s has web_identity_token_file, but no role_arn", place);
    return cpl_creds_assume_web_identity(
        ask, &role, cpl_config_profile_value(ask->config, profile, "web_identity_token_file"), out, err);
}
