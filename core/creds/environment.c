/* SPDX-License-Identifier: MIT */
#include "../clock.h"
#include "../err.h"
#include "provider.h"

static void read(const cpl_config *config, const char *name, cpl_str *out) {
    cpl_str text = cpl_str_of(cpl_config_env(config, name));
    if (cpl_str_trim(text).n > 0) *out = text; /* nothing but blanks is a variable somebody emptied */
}

/* As "aws configure export-credentials" prints it. */
static cpl_status read_end(const cpl_config *config, int64_t *out_s, cpl_error *err) {
    cpl_str text = {NULL, 0};
    double end_s = 0;
    read(config, "AWS_CREDENTIAL_EXPIRATION", &text);
    if (text.n > 0 && !cpl_time_parse(text, &end_s))
        return cpl_fail(err, CPL_CREDENTIALS, "AWS_CREDENTIAL_EXPIRATION: \"%.*s\" is not a time",
                        (int)cpl_utf8_cut(text, 80), text.p);
    *out_s = (int64_t)end_s;
    return CPL_OK;
}

cpl_status cpl_creds_find_environment(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err) {
    cpl_creds_texts texts = {.name = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"},
                             .place = "the environment",
                             .source = "environment"};
    cpl_status status = CPL_OK;
    *out = NULL;
    for (size_t i = 0; i < CPL_COUNT(texts.name); i++) read(ask->config, texts.name[i], &texts.text[i]);
    if (texts.text[0].n > 0 && texts.text[2].n == 0) read(ask->config, "AWS_SECURITY_TOKEN", &texts.text[2]);
    if (texts.text[0].n > 0) status = read_end(ask->config, &texts.expires_s, err);
    return status ? status : cpl_creds_from_texts(&texts, out, err);
}
