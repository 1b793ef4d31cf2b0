/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include "err.h"

#define CONNECT_TIMEOUT_MS 3100
#define APP_ID_MAX 50

typedef struct row {
    const char *name;
    const char *env[2];
    const char *key; /* of the profile */
} row;

static const row rows[CPL_SETTING_COUNT] = {
    [CPL_SETTING_REGION] = {"region", {"AWS_REGION", "AWS_DEFAULT_REGION"}, "region"},
    [CPL_SETTING_CA_BUNDLE] = {"ca_bundle", {"AWS_CA_BUNDLE"}, "ca_bundle"},
    [CPL_SETTING_RETRY_MODE] = {"retry_mode", {"AWS_RETRY_MODE"}, "retry_mode"},
    [CPL_SETTING_MAX_ATTEMPTS] = {"max_attempts", {"AWS_MAX_ATTEMPTS"}, "max_attempts"},
    [CPL_SETTING_FIPS] = {"use_fips_endpoint", {"AWS_USE_FIPS_ENDPOINT"}, "use_fips_endpoint"},
    [CPL_SETTING_DUAL_STACK] = {"use_dualstack_endpoint", {"AWS_USE_DUALSTACK_ENDPOINT"}, "use_dualstack_endpoint"},
    [CPL_SETTING_APP_ID] = {"app_id", {"AWS_SDK_UA_APP_ID"}, "sdk_ua_app_id"},
    [CPL_SETTING_CLOCK_AS_IT_IS] = {"disable_clock_skew_correction",
                                    {"AWS_DISABLE_CLOCK_SKEW_CORRECTION"},
                                    "disable_clock_skew_correction"},
    [CPL_SETTING_DEFAULTS_MODE] = {"defaults_mode", {"AWS_DEFAULTS_MODE"}, "defaults_mode"},
    [CPL_SETTING_CHECKSUMS_SENT] = {"request_checksum_calculation",
                                    {"AWS_REQUEST_CHECKSUM_CALCULATION"},
                                    "request_checksum_calculation"},
    [CPL_SETTING_CHECKSUMS_CHECKED] = {"response_checksum_validation",
                                       {"AWS_RESPONSE_CHECKSUM_VALIDATION"},
                                       "response_checksum_validation"},
};

const char *cpl_setting_name(cpl_setting setting) {
    return rows[setting].name;
}

cpl_found cpl_setting_find(const cpl_config *config, cpl_setting setting, cpl_str option) {
    const row *r = &rows[setting];
    const char *value;
    if (option.n > 0) return (cpl_found){option, "argument"};
    for (size_t i = 0; i < CPL_COUNT(r->env) && r->env[i]; i++) {
        value = cpl_config_env(config, r->env[i]);
        if (value) return (cpl_found){cpl_str_of(value), r->env[i]};
    }
    value = cpl_config_value(config, r->key);
    return (cpl_found){cpl_str_of(value), value ? "profile" : ""};
}

static cpl_status refuse(cpl_setting setting, cpl_str value, const char *what, cpl_error *err) {
    return cpl_fail_at(err, CPL_CONFIG, rows[setting].name, "%s: \"%.*s\" is %s", rows[setting].name,
                       (int)cpl_utf8_cut(value, 80), value.p, what);
}

cpl_status cpl_setting_switch(const cpl_config *config, cpl_setting setting, cpl_choice option, bool *out,
                              cpl_error *err) {
    cpl_str text = cpl_setting_find(config, setting, (cpl_str){NULL, 0}).value;
    *out = option == CPL_CHOICE_YES;
    if (option != CPL_CHOICE_DEFAULT) return CPL_OK;
    *out = cpl_str_is_nocase(text, "true");
    if (text.n == 0 || *out || cpl_str_is_nocase(text, "false")) return CPL_OK;
    return refuse(setting, text, "neither true nor false", err);
}

cpl_status cpl_setting_checksums(const cpl_config *config, cpl_setting setting, bool *on, cpl_error *err) {
    cpl_str text = cpl_setting_find(config, setting, (cpl_str){NULL, 0}).value;
    *on = text.n == 0 || cpl_str_is_nocase(text, "when_supported");
    if (*on || cpl_str_is_nocase(text, "when_required")) return CPL_OK;
    return refuse(setting, text, "neither when_supported nor when_required", err);
}

/* ---- retries ---- */

typedef struct retry_mode {
    const char *name;
    cpl_retry_version version;
    bool adaptive;
} retry_mode;

/* "legacy" differs between the SDKs, and each of them advises against it. */
static const retry_mode retry_modes[] = {{"standard", CPL_RETRY_2_1, false},
                                         {"standard-2.0", CPL_RETRY_2_0, false},
                                         {"adaptive", CPL_RETRY_2_1, true},
                                         {"legacy", CPL_RETRY_2_1, false}};

cpl_status cpl_setting_retry(const cpl_config *config, const cpl_client_options *options, cpl_retry_policy *policy,
                             bool *adaptive, cpl_error *err) {
    const char *news = cpl_config_env(config, "AWS_NEW_RETRIES_2026"); /* the SDKs' way back to 2.0 */
    cpl_str mode = cpl_setting_find(config, CPL_SETTING_RETRY_MODE, options->retry_mode).value;
    cpl_str text = cpl_setting_find(config, CPL_SETTING_MAX_ATTEMPTS, (cpl_str){NULL, 0}).value;
    int64_t attempts = options->max_attempts;
    const retry_mode *chosen = mode.n == 0 ? &retry_modes[0] : NULL;
    cpl_retry_version version;
    for (size_t i = 0; i < CPL_COUNT(retry_modes); i++) {
        if (cpl_str_is_nocase(mode, retry_modes[i].name)) chosen = &retry_modes[i];
    }
    if (chosen == NULL) {
        return refuse(CPL_SETTING_RETRY_MODE, mode, "not standard, standard-2.0, adaptive or legacy", err);
    }
    if (attempts == 0 && text.n > 0 && (!cpl_str_integer(text, &attempts) || attempts < 1 || attempts > INT32_MAX)) {
        return refuse(CPL_SETTING_MAX_ATTEMPTS, text, "not a number from 1 on", err);
    }
    version = news && cpl_str_is_nocase(cpl_str_of(news), "false") ? CPL_RETRY_2_0 : chosen->version;
    *policy = *cpl_retry_policy_of(version);
    *adaptive = chosen->adaptive;
    if (attempts > 0) policy->max_attempts = (int)attempts;
    return CPL_OK;
}

/* ---- the rest ---- */

cpl_status cpl_setting_connect_timeout(const cpl_config *config, int64_t *out_ms, cpl_error *err) {
    static const struct {
        const char *mode;
        int64_t ms;
    } modes[] = {{"standard", CONNECT_TIMEOUT_MS},
                 {"legacy", CONNECT_TIMEOUT_MS},
                 {"auto", CONNECT_TIMEOUT_MS},
                 {"cross-region", CONNECT_TIMEOUT_MS},
                 {"in-region", 1100},
                 {"mobile", 30000}};
    cpl_str mode = cpl_setting_find(config, CPL_SETTING_DEFAULTS_MODE, (cpl_str){NULL, 0}).value;
    *out_ms = CONNECT_TIMEOUT_MS;
    if (mode.n == 0) return CPL_OK;
    for (size_t i = 0; i < CPL_COUNT(modes); i++) {
        if (!cpl_str_is_nocase(mode, modes[i].mode)) continue;
        *out_ms = modes[i].ms;
        return CPL_OK;
    }
    return refuse(CPL_SETTING_DEFAULTS_MODE, mode, "not standard, in-region, cross-region, mobile, auto or legacy",
                  err);
}

static bool is_product_character(char c) {
    bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    return alnum || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

cpl_status cpl_setting_app_id(const cpl_config *config, cpl_str option, char **out, cpl_error *err) {
    cpl_found found = cpl_setting_find(config, CPL_SETTING_APP_ID, option);
    *out = NULL;
    if (found.value.n == 0) return CPL_OK;
    for (size_t i = 0; i < found.value.n; i++) {
        unsigned char c = (unsigned char)found.value.p[i];
        if (c >= ' ' && c < 0x7f && found.value.n <= APP_ID_MAX) continue;
        return cpl_fail_at(err, option.n > 0 ? CPL_INVALID : CPL_CONFIG, "app_id",
                           "app_id: it has a character that cannot be sent, or is longer than %d", APP_ID_MAX);
    }
    *out = cpl_strdup(found.value);
    if (*out == NULL) return cpl_fail_nomem(err);
    for (char *c = *out; *c; c++) {
        if (!is_product_character(*c)) *c = '-';
    }
    return CPL_OK;
}

cpl_found cpl_setting_endpoint(const cpl_config *config, const char *service, cpl_str option) {
    static const char *const variables[] = {"AWS_ENDPOINT_URL_CODEPIPELINE", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"};
    const char *url;
    if (option.n > 0) return (cpl_found){option, "argument"};
    url = cpl_config_endpoint_url(config, service);
    for (size_t i = 0; url && i < CPL_COUNT(variables); i++) {
        if (url == cpl_config_env(config, variables[i])) return (cpl_found){cpl_str_of(url), variables[i]};
    }
    return (cpl_found){cpl_str_of(url), url ? "profile" : ""};
}
