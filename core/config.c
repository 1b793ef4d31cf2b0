/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "err.h"
#include "profiles.h"

#define FILE_MAX ((size_t)1 << 20)
#define NAME_MAX_BYTES 128 /* of an environment variable or a nested key that is put together here */

struct cpl_config {
    char *profile;
    bool profile_given;
    char *config_path; /* "" when there is no HOME to look in */
    char *credentials_path;
    cpl_profiles profiles;
    char *root;
    char **env; /* "NAME=value" */
    size_t env_count;
    cpl_choice ignore_endpoints;
};

/* ---- environment ---- */

static bool is_ours(const char *variable) {
    return strncmp(variable, "AWS_", 4) == 0 || strncmp(variable, "HOME=", 5) == 0;
}

/* A copy, because another thread may change the environment while a caller still holds what it was told. */
static bool copy_environment(cpl_config *config, const char *const *from) {
    size_t count = 0;
    for (const char *const *v = from; v && *v; v++) count += is_ours(*v);
    config->env = cpl_calloc(count, sizeof *config->env);
    if (config->env == NULL) return false;
    for (const char *const *v = from; v && *v && config->env_count < count; v++) {
        char *copy;
        if (!is_ours(*v)) continue;
        copy = cpl_strdup(cpl_str_of(*v));
        if (copy == NULL) return false;
        config->env[config->env_count++] = copy;
    }
    return true;
}

const char *cpl_config_env(const cpl_config *config, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < config->env_count; i++) {
        const char *variable = config->env[i];
        if (strncmp(variable, name, n) == 0 && variable[n] == '=') return variable[n + 1] ? variable + n + 1 : NULL;
    }
    return NULL;
}

/* ---- files ---- */

/* Where a file is: where the variable says, else under the home; "" without either. NULL when out of memory. */
static char *locate(const cpl_config *config, const char *variable, const char *under_home) {
    const char *given = cpl_config_env(config, variable);
    if (given == NULL) given = cpl_config_env(config, "HOME") ? under_home : "";
    return cpl_config_path(config, given);
}

char *cpl_config_path(const cpl_config *config, const char *path) {
    const char *home = cpl_config_env(config, "HOME");
    cpl_buf text;
    char *made;
    cpl_buf_init(&text, FILE_MAX);
    if (path[0]) cpl_buf_adds(&text, config->root);
    if (home && strncmp(path, "~/", 2) == 0) {
        cpl_buf_adds(&text, home);
        path++;
    }
    cpl_buf_adds(&text, path);
    made = cpl_buf_detach(&text);
    cpl_buf_release(&text);
    return made;
}

static cpl_status read_file(cpl_config *config, cpl_profile_file which, const char *path, cpl_error *err) {
    cpl_buf text;
    cpl_status status;
    FILE *file = path[0] ? fopen(path, "rbe") : NULL;
    if (file == NULL && (path[0] == '\0' || errno == ENOENT || errno == ENOTDIR)) return CPL_OK;
    cpl_buf_init(&text, FILE_MAX);
    status = file ? cpl_buf_read(&text, file, path, err) : cpl_fail_errno(err, "open", path);
    if (status == CPL_OK) status = cpl_profiles_parse(&config->profiles, which, path, cpl_buf_str(&text), err);
    cpl_buf_wipe(&text);
    cpl_buf_release(&text);
    if (file) fclose(file);
    return status;
}

/* A file that is too large or cannot be read is the same to a caller as one that cannot be parsed. */
static cpl_status as_config(cpl_status status, cpl_error *err) {
    if (status != CPL_IO && status != CPL_TOO_LARGE) return status;
    if (err) err->status = CPL_CONFIG;
    return CPL_CONFIG;
}

/* The second is botocore's and Go's, from before the first. */
static const char *const profile_variables[] = {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"};

const char *cpl_config_profile_source(const cpl_config *config) {
    if (config->profile_given) return "argument";
    for (size_t i = 0; i < CPL_COUNT(profile_variables); i++) {
        if (cpl_config_env(config, profile_variables[i])) return profile_variables[i];
    }
    return "default";
}

static cpl_status check_profile(const cpl_config *config, cpl_error *err) {
    bool by_name = strcmp(cpl_config_profile_source(config), "default") != 0;
    if (!by_name || cpl_profiles_has(&config->profiles, CPL_SECTION_PROFILE, config->profile)) return CPL_OK;
    return cpl_fail_at(err, CPL_CONFIG, "profile", "profile \"%s\" is neither in \"%s\" nor in \"%s\"", config->profile,
                       config->config_path, config->credentials_path);
}

/* Without it requests that are meant for an endpoint of one's own would go to AWS. */
static cpl_status check_services(const cpl_config *config, cpl_error *err) {
    const char *name = cpl_config_value(config, "services");
    if (name == NULL || cpl_profiles_has(&config->profiles, CPL_SECTION_SERVICES, name)) return CPL_OK;
    return cpl_fail(err, CPL_CONFIG, "services of profile \"%s\": there is no services section \"%.100s\"",
                    config->profile, name);
}

static cpl_status load(cpl_config *config, const cpl_config_world *world, cpl_str profile, cpl_error *err) {
    cpl_status status;
    config->root = cpl_strdup(cpl_str_of(world->root));
    if (config->root == NULL || !copy_environment(config, world->env)) return cpl_fail_nomem(err);
    config->profile_given = profile.n > 0;
    for (size_t i = 0; profile.n == 0 && i < CPL_COUNT(profile_variables); i++) {
        profile = cpl_str_of(cpl_config_env(config, profile_variables[i]));
    }
    if (profile.n == 0) profile = CPL_LIT("default");
    config->profile = cpl_strdup(profile);
    config->config_path = locate(config, "AWS_CONFIG_FILE", "~/.aws/config");
    config->credentials_path = locate(config, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
    if (!config->profile || !config->config_path || !config->credentials_path) return cpl_fail_nomem(err);
    status = read_file(config, CPL_FILE_CONFIG, config->config_path, err);
    if (status == CPL_OK) status = read_file(config, CPL_FILE_CREDENTIALS, config->credentials_path, err);
    if (status) return as_config(status, err);
    status = check_profile(config, err);
    return status ? status : check_services(config, err);
}

cpl_status cpl_config_load(cpl_config **out, cpl_str profile, cpl_error *err) {
    const cpl_config_world world = {(const char *const *)environ, ""};
    return cpl_config_load_from(out, &world, profile, err);
}

cpl_status cpl_config_load_from(cpl_config **out, const cpl_config_world *world, cpl_str profile, cpl_error *err) {
    cpl_config *config = cpl_calloc(1, sizeof *config);
    cpl_status status;
    *out = NULL;
    if (config == NULL) return cpl_fail_nomem(err);
    cpl_profiles_init(&config->profiles);
    status = load(config, world, profile, err);
    if (status) {
        cpl_config_free(config);
        return status;
    }
    *out = config;
    return CPL_OK;
}

void cpl_config_free(cpl_config *config) {
    if (config == NULL) return;
    for (size_t i = 0; i < config->env_count; i++) {
        cpl_wipe(config->env[i], strlen(config->env[i]));
        cpl_free(config->env[i]);
    }
    cpl_free(config->env);
    cpl_free(config->root);
    cpl_profiles_release(&config->profiles);
    cpl_free(config->profile);
    cpl_free(config->config_path);
    cpl_free(config->credentials_path);
    cpl_free(config);
}

cpl_status cpl_config_read(const cpl_config *config, const char *path, cpl_buf *out, cpl_error *err) {
    char *where = cpl_config_path(config, path);
    cpl_status status;
    FILE *file;
    if (where == NULL) return cpl_fail_nomem(err);
    file = fopen(where, "rbe");
    status = file ? cpl_buf_read(out, file, where, err) : cpl_fail_errno(err, "open", where);
    if (file) fclose(file);
    cpl_free(where);
    return status;
}

/* ---- answers ---- */

const char *cpl_config_profile(const cpl_config *config) {
    return config->profile;
}

bool cpl_config_profile_given(const cpl_config *config) {
    return config->profile_given;
}

static const char *unless_empty(const char *value) {
    return value && value[0] ? value : NULL;
}

const char *cpl_config_profile_value(const cpl_config *config, const char *profile, const char *key) {
    return unless_empty(cpl_profiles_find(&config->profiles, CPL_SECTION_PROFILE, profile, key));
}

const char *cpl_config_value_beside(const cpl_config *config, const char *profile, const char *key,
                                    const char *beside) {
    return unless_empty(cpl_profiles_find_beside(&config->profiles, CPL_SECTION_PROFILE, profile, key, beside));
}

const char *cpl_config_value(const cpl_config *config, const char *key) {
    return cpl_config_profile_value(config, config->profile, key);
}

bool cpl_config_has_profile(const cpl_config *config, const char *profile) {
    return cpl_profiles_has(&config->profiles, CPL_SECTION_PROFILE, profile);
}

const char *cpl_config_session_value(const cpl_config *config, const char *session, const char *key) {
    return unless_empty(cpl_profiles_find(&config->profiles, CPL_SECTION_SSO_SESSION, session, key));
}

bool cpl_config_has_session(const cpl_config *config, const char *session) {
    return cpl_profiles_has(&config->profiles, CPL_SECTION_SSO_SESSION, session);
}

const char *cpl_config_service_value(const cpl_config *config, const char *service, const char *key) {
    const char *section = cpl_config_value(config, "services");
    char nested[NAME_MAX_BYTES];
    int n = snprintf(nested, sizeof nested, "%s %s", service, key);
    if (section == NULL || n < 0 || (size_t)n >= sizeof nested) return NULL;
    return unless_empty(cpl_profiles_find(&config->profiles, CPL_SECTION_SERVICES, section, nested));
}

const char *cpl_config_setting(const cpl_config *config, const char *env, const char *key) {
    const char *value = env ? cpl_config_env(config, env) : NULL;
    return value || key == NULL ? value : cpl_config_value(config, key);
}

bool cpl_config_switch(const cpl_config *config, const char *env, const char *key) {
    return cpl_str_is_nocase(cpl_str_of(cpl_config_setting(config, env, key)), "true");
}

static const char *service_env(const cpl_config *config, const char *service) {
    char name[NAME_MAX_BYTES];
    int n = snprintf(name, sizeof name, "AWS_ENDPOINT_URL_%s", service);
    if (n < 0 || (size_t)n >= sizeof name) return NULL;
    for (char *c = name; *c; c++) {
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
    }
    return cpl_config_env(config, name);
}

void cpl_config_ignore_endpoints(cpl_config *config, cpl_choice ignore) {
    config->ignore_endpoints = ignore;
}

static bool ignores_endpoints(const cpl_config *config) {
    if (config->ignore_endpoints) return config->ignore_endpoints == CPL_CHOICE_YES;
    return cpl_config_switch(config, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls");
}

const char *cpl_config_endpoint_url(const cpl_config *config, const char *service) {
    const char *url;
    if (ignores_endpoints(config)) return NULL;
    url = service_env(config, service);
    if (url == NULL) url = cpl_config_env(config, "AWS_ENDPOINT_URL");
    if (url == NULL) url = cpl_config_service_value(config, service, "endpoint_url");
    return url ? url : cpl_config_value(config, "endpoint_url");
}
