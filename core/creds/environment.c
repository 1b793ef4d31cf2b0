/* SPDX-License-Identifier: MIT */
#include "provider.h"

static void read(const cpl_config *config, const char *name, cpl_str *out) {
    cpl_str text = cpl_str_of(cpl_config_env(config, name));
    if (cpl_str_trim(text).n > 0) *out = text; /* nothing but blanks is a variable somebody emptied */
}

cpl_status cpl_creds_find_environment(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err) {
    cpl_creds_texts texts = {.name = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"},
                             .place = "the environment",
                             .source = "environment"};
    for (size_t i = 0; i < CPL_COUNT(texts.name); i++) read(ask->config, texts.name[i], &texts.text[i]);
    if (texts.text[0].n > 0 && texts.text[2].n == 0) read(ask->config, "AWS_SECURITY_TOKEN", &texts.text[2]);
    return cpl_creds_from_texts(&texts, out, err);
}
