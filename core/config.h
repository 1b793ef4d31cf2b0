/* SPDX-License-Identifier: MIT */
/*
 * What the environment and the shared files (~/.aws/config, ~/.aws/credentials, or AWS_CONFIG_FILE and
 * AWS_SHARED_CREDENTIALS_FILE) say, read once, at load, and immutable from then on.
 */
#ifndef CPL_CONFIG_H
#define CPL_CONFIG_H

#include "buf.h"

typedef struct cpl_config cpl_config;

/*
 * profile: which one to read; absent: AWS_PROFILE, AWS_DEFAULT_PROFILE, "default". CPL_CONFIG: a file that is there
 * cannot be read or parsed (with its line), a profile that was asked for by name is in neither file, or it names a
 * services section that is not there. Missing files are no error.
 */
cpl_status cpl_config_load(cpl_config **out, cpl_str profile, cpl_error *err);
/* The same from another world than the process's own: tests. */
typedef struct cpl_config_world {
    const char *const *env; /* "NAME=value", ends with NULL */
    const char *root;       /* stands in front of every path that is read or written; "" when there is none */
} cpl_config_world;
cpl_status cpl_config_load_from(cpl_config **out, const cpl_config_world *world, cpl_str profile, cpl_error *err);
void cpl_config_free(cpl_config *config); /* wipes */
const char *cpl_config_profile(const cpl_config *config);
/* The profile was named by the caller, not by the environment: then its credentials go before the environment's. */
bool cpl_config_profile_given(const cpl_config *config);
/* What named it: "argument", the environment variable, or "default" for nobody. */
const char *cpl_config_profile_source(const cpl_config *config);
/* An environment variable (HOME or one whose name begins with AWS_), NULL when unset or empty. */
const char *cpl_config_env(const cpl_config *config, const char *name);
/* A property of the chosen profile (credentials file before config file), NULL when absent or empty; key in lower
 * case. */
const char *cpl_config_value(const cpl_config *config, const char *key);
/* The same of another profile. */
const char *cpl_config_profile_value(const cpl_config *config, const char *profile, const char *key);
/* The same, but only if it is in the file that the profile's value of another key, beside, is from. */
const char *cpl_config_value_beside(const cpl_config *config, const char *profile, const char *key, const char *beside);
/* A profile of that name is in one of the files, with or without properties. */
bool cpl_config_has_profile(const cpl_config *config, const char *profile);
/* A property of "[sso-session x]", NULL when absent or empty; and whether there is such a section. */
const char *cpl_config_session_value(const cpl_config *config, const char *session, const char *key);
bool cpl_config_has_session(const cpl_config *config, const char *session);
/* A nested property of the services section the profile names: ("codepipeline", "endpoint_url"). */
const char *cpl_config_service_value(const cpl_config *config, const char *service, const char *key);
/* First of: the environment variable, the profile's property; NULL when neither. Either name may be NULL. */
const char *cpl_config_setting(const cpl_config *config, const char *env, const char *key);
/* The setting says "true", in any case. */
bool cpl_config_switch(const cpl_config *config, const char *env, const char *key);
/* The endpoint the environment or the profile sets for a service ("codepipeline", "s3"), in the order and with the
 * ignore switch of the SDKs and Tools guide; NULL when none. */
const char *cpl_config_endpoint_url(const cpl_config *config, const char *service);
/* Whether that switch is on, whatever the environment and the profile say; before the config is used. */
void cpl_config_ignore_endpoints(cpl_config *config, cpl_choice ignore);

/* Where a file named by a setting really is ("~/" is the home); for cpl_free(), NULL when out of memory. */
char *cpl_config_path(const cpl_config *config, const char *path);
/* Reads such a file whole. CPL_IO, or CPL_TOO_LARGE past the limit out was born with. */
cpl_status cpl_config_read(const cpl_config *config, const char *path, cpl_buf *out, cpl_error *err);

#endif
