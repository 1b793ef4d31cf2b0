/* SPDX-License-Identifier: MIT */
#include "../err.h"
#include "creds.h"

static cpl_status find(const cpl_config *config, int64_t now_s, const cpl_wait *wait, cpl_creds_set **out,
                       cpl_error *err) {
    char place[128];
    cpl_creds_texts texts = {.name = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"},
                             .place = place,
                             .source = "profile"};
    (void)now_s;
    (void)wait;
    snprintf(place, sizeof place, "profile \"%.100s\"", cpl_config_profile(config));
    /* its own keys are those the role is assumed with: to go on with them would be to act as somebody else */
    if (cpl_config_value(config, "role_arn"))
        return cpl_fail(err, CPL_CREDENTIALS, "%s has a role_arn, and roles cannot be assumed", place);
    for (size_t i = 0; i < CPL_COUNT(texts.name); i++) texts.text[i] = cpl_config_value(config, texts.name[i]);
    return cpl_creds_from_texts(&texts, out, err);
}

const cpl_creds_provider cpl_creds_profile = {"profile", find, false};
