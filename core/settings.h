/* SPDX-License-Identifier: MIT */
/*
 * What a client is told besides its credentials: one row a setting, found in the caller's options, else in the
 * environment, else in the profile. docs/settings.md lists them for people.
 */
#ifndef CPL_SETTINGS_H
#define CPL_SETTINGS_H

#include "config.h"
#include "retry.h"

typedef enum cpl_setting {
    CPL_SETTING_REGION,
    CPL_SETTING_CA_BUNDLE,
    CPL_SETTING_RETRY_MODE,
    CPL_SETTING_MAX_ATTEMPTS,
    CPL_SETTING_FIPS,
    CPL_SETTING_DUAL_STACK,
    CPL_SETTING_APP_ID,
    CPL_SETTING_CLOCK_AS_IT_IS, /* no correction */
    CPL_SETTING_DEFAULTS_MODE,
    CPL_SETTING_CHECKSUMS_SENT,    /* with objects: see cpl_setting_checksums() */
    CPL_SETTING_CHECKSUMS_CHECKED, /* of objects that arrive */
    CPL_SETTING_COUNT
} cpl_setting;

typedef struct cpl_found {
    cpl_str value;     /* absent when nobody says anything */
    const char *place; /* "argument", "AWS_REGION", "profile"; "" with an absent value */
} cpl_found;

/* The name that messages and the doctor call it by: the option's. */
const char *cpl_setting_name(cpl_setting setting);
cpl_found cpl_setting_find(const cpl_config *config, cpl_setting setting, cpl_str option);
/* CPL_CONFIG names the setting when what was found is neither true nor false. */
cpl_status cpl_setting_switch(const cpl_config *config, cpl_setting setting, cpl_choice option, bool *out,
                              cpl_error *err);
/* The policy that retry mode and max attempts make; *adaptive: the rate of sending is to be limited, too. */
cpl_status cpl_setting_retry(const cpl_config *config, const cpl_client_options *options, cpl_retry_policy *policy,
                             bool *adaptive, cpl_error *err);
/* *on: "when_supported", or nobody says anything; no other value than "when_required" besides. */
cpl_status cpl_setting_checksums(const cpl_config *config, cpl_setting setting, bool *on, cpl_error *err);
/* What AWS_DEFAULTS_MODE makes of it. */
cpl_status cpl_setting_connect_timeout(const cpl_config *config, int64_t *out_ms, cpl_error *err);
/*
 * The application's name as it goes into the User-Agent, at most 50 characters, for cpl_free(); NULL in *out without
 * one. Characters that a product's name cannot have become "-"; what cannot be sent at all is refused.
 */
cpl_status cpl_setting_app_id(const cpl_config *config, cpl_str option, char **out, cpl_error *err);
/* The endpoint's URL and where it was found, absent when it is the region's; service: "codepipeline", "s3". */
cpl_found cpl_setting_endpoint(const cpl_config *config, const char *service, cpl_str option);

#endif
