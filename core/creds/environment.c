/* SPDX-License-Identifier: MIT */
#include "provider.h"

cpl_status cpl_creds_find_environment(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err) {
    cpl_creds_texts texts = {.name = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"},
                             .place = "the environment",
                             .source = "environment"};
    for (size_t i = 0; i < CPL_COUNT(texts.name); i++) {
        cpl_str text = cpl_str_of(cpl_config_env(ask->config, texts.name[i]));
        if (cpl_str_trim(text).n > 0) texts.text[i] = text; /* nothing but blanks is a variable somebody emptied */
    }
    return cpl_creds_from_texts(&texts, out, err);
}
