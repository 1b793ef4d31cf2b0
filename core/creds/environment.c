/* SPDX-License-Identifier: MIT */
#include "creds.h"

static cpl_status find(const cpl_config *config, int64_t now_s, const cpl_wait *wait, cpl_creds_set **out,
                       cpl_error *err) {
    cpl_creds_texts texts = {.name = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"},
                             .place = "the environment",
                             .source = "environment"};
    (void)now_s;
    (void)wait;
    for (size_t i = 0; i < CPL_COUNT(texts.name); i++) texts.text[i] = cpl_config_env(config, texts.name[i]);
    return cpl_creds_from_texts(&texts, out, err);
}

const cpl_creds_provider cpl_creds_environment = {"environment", find, true};
