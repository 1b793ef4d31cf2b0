/* SPDX-License-Identifier: MIT */
/* A profile: credentials of its own, or a role that is assumed with those of another. */
#include "../err.h"
#include "provider.h"

/* ---- the base: what a profile has of its own ---- */

/* A token is of the key it stands beside: another file's would make a set that nobody gave. */
static cpl_str read_token(const cpl_config *config, const char *profile) {
    static const char key[] = "aws_access_key_id";
    const char *token = cpl_config_value_beside(config, profile, "aws_session_token", key);
    if (token == NULL) token = cpl_config_value_beside(config, profile, "aws_security_token", key); /* older tools */
    return cpl_str_of(token);
}

cpl_status cpl_creds_profile_keys(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out, cpl_error *err) {
    char place[128];
    cpl_creds_texts texts = {.name = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"},
                             .place = place,
                             .source = "profile"};
    snprintf(place, sizeof place, "profile \"%.100s\"", profile);
    for (size_t i = 0; i < 2; i++)
        texts.text[i] = cpl_str_of(cpl_config_profile_value(ask->config, profile, texts.name[i]));
    texts.text[2] = read_token(ask->config, profile);
    return cpl_creds_from_texts(&texts, out, err);
}

/* credential_source: what this machine has, without the files. */
cpl_status cpl_creds_profile_source(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out,
                                    cpl_error *err) {
    static const struct {
        const char *name;
        cpl_status (*find)(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err);
    } rows[] = {{"Environment", cpl_creds_find_environment},
                {"Ec2InstanceMetadata", cpl_creds_find_instance},
                {"EcsContainer", cpl_creds_find_container}};
    cpl_str name = cpl_str_of(cpl_config_profile_value(ask->config, profile, "credential_source"));
    *out = NULL;
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        cpl_status status;
        if (!cpl_str_is_nocase(name, rows[i].name)) continue;
        status = rows[i].find(ask, out, err);
        if (status || *out) return status;
        return cpl_fail(err, CPL_CREDENTIALS, "credential_source of profile \"%.100s\": %s has no credentials", profile,
                        rows[i].name);
    }
    return cpl_fail(err, CPL_CREDENTIALS,
                    "credential_source of profile \"%.100s\": \"%.*s\" is not Environment, Ec2InstanceMetadata or "
                    "EcsContainer",
                    profile, (int)cpl_utf8_cut(name, 80), name.p);
}

/* The first row whose key the profile has; the last one belongs to a role, and without it nothing else may be there. */
static const struct base_kind {
    const char *key;
    cpl_status (*find)(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out, cpl_error *err);
} base_kinds[] = {
    {"web_identity_token_file", cpl_creds_profile_web_identity},
    {"sso_session", cpl_creds_profile_sso},
    {"sso_start_url", cpl_creds_profile_sso},
    {"sso_account_id", cpl_creds_profile_sso},
    {"sso_role_name", cpl_creds_profile_sso},
    {"aws_access_key_id", cpl_creds_profile_keys},
    {"aws_secret_access_key", cpl_creds_profile_keys},
    {"login_session", cpl_creds_profile_login},
    {"credential_process", cpl_creds_profile_process},
    {"credential_source", cpl_creds_profile_source},
};

/* ---- the plan ---- */

typedef struct planning {
    const cpl_config *config;
    cpl_creds_plan *plan;
    cpl_error *err;
} planning;

static const char *value(const planning *p, const char *profile, const char *key) {
    return cpl_config_profile_value(p->config, profile, key);
}

static cpl_status end_at(const planning *p, const char *profile) {
    p->plan->base = profile;
    for (size_t i = 0; i < CPL_COUNT(base_kinds) && p->plan->find == NULL; i++) {
        if (value(p, profile, base_kinds[i].key)) p->plan->find = base_kinds[i].find;
    }
    if (p->plan->find || p->plan->role_count == 0) return CPL_OK;
    return cpl_fail(p->err, CPL_CREDENTIALS, "profile \"%.100s\" has no credentials to assume the role of \"%.100s\"",
                    profile, p->plan->roles[p->plan->role_count - 1]);
}

/* A profile in between that has keys is the base, whatever role it has besides. */
static bool has_keys(const planning *p, const char *profile) {
    return value(p, profile, "aws_access_key_id") && value(p, profile, "aws_secret_access_key");
}

static bool has_role(const planning *p, const char *profile) {
    return value(p, profile, "role_arn") && !value(p, profile, "web_identity_token_file");
}

static bool was_seen(const planning *p, const char *profile) {
    for (size_t i = 0; i < p->plan->role_count; i++) {
        if (strcmp(p->plan->roles[i], profile) == 0) return true;
    }
    return false;
}

/* Adds the profile's role. *next: the profile to look at then; NULL when it is its own base. */
static cpl_status add_role(const planning *p, const char *profile, const char **next) {
    const char *source = value(p, profile, "source_profile"), *machine = value(p, profile, "credential_source");
    if (source && machine)
        return cpl_fail(p->err, CPL_CREDENTIALS, "profile \"%.100s\" has both source_profile and credential_source",
                        profile);
    if (!source && !machine)
        return cpl_fail(p->err, CPL_CREDENTIALS,
                        "profile \"%.100s\" has a role_arn, but neither source_profile nor credential_source", profile);
    if (p->plan->role_count == CPL_ROLES_MAX)
        return cpl_fail(p->err, CPL_CREDENTIALS, "more than %d roles in a row, at profile \"%.100s\"", CPL_ROLES_MAX,
                        profile);
    p->plan->roles[p->plan->role_count++] = profile;
    if (machine) p->plan->find = cpl_creds_profile_source;
    *next = machine || strcmp(source, profile) == 0 ? NULL : source;
    if (*next == NULL || cpl_config_has_profile(p->config, source)) return CPL_OK;
    return cpl_fail(p->err, CPL_CREDENTIALS, "source_profile of profile \"%.100s\": there is no profile \"%.100s\"",
                    profile, source);
}

cpl_status cpl_creds_plan_make(const cpl_config *config, const char *profile, cpl_creds_plan *out, cpl_error *err) {
    const planning p = {config, out, err};
    *out = (cpl_creds_plan){.base = NULL};
    for (;;) {
        const char *next = NULL;
        cpl_status status;
        if (was_seen(&p, profile))
            return cpl_fail(err, CPL_CREDENTIALS,
                            "source_profile of profile \"%.100s\" leads in a circle to \"%.100s\"",
                            out->roles[out->role_count - 1], profile);
        if (out->role_count > 0 && has_keys(&p, profile)) {
            out->base = profile;
            out->find = cpl_creds_profile_keys;
            return CPL_OK;
        }
        if (!has_role(&p, profile)) return end_at(&p, profile);
        status = add_role(&p, profile, &next);
        if (status) return status;
        if (next == NULL) return end_at(&p, profile);
        profile = next;
    }
}

/* ---- walking it ---- */

static cpl_status ask_for_code(const cpl_creds_ask *ask, const char *place, const cpl_creds_role *role, char code[16],
                               cpl_error *err) {
    const cpl_credentials_source *source = &ask->line->options->source;
    cpl_status status;
    if (source->mfa_code == NULL)
        return cpl_fail(err, CPL_CREDENTIALS,
                        "%s has an mfa_serial, and there is nobody to ask for the code: pass "
                        "mfa_code, a function that answers it",
                        place);
    status = source->mfa_code(source->context, role->mfa_serial, code, err);
    code[15] = '\0';
    if (status) return status;
    if (strlen(code) == 6 && strspn(code, "0123456789") == 6) return CPL_OK;
    return cpl_fail(err, CPL_CREDENTIALS, "the code for the mfa_serial of %s is not six digits", place);
}

static cpl_status assume(const cpl_creds_ask *ask, const char *profile, const cpl_creds_set *with, cpl_creds_set **out,
                         cpl_error *err) {
    char place[128], code[16] = "";
    const cpl_creds_role role = {.arn = cpl_config_profile_value(ask->config, profile, "role_arn"),
                                 .session_name = cpl_config_profile_value(ask->config, profile, "role_session_name"),
                                 .external_id = cpl_config_profile_value(ask->config, profile, "external_id"),
                                 .duration = cpl_config_profile_value(ask->config, profile, "duration_seconds"),
                                 .mfa_serial = cpl_config_profile_value(ask->config, profile, "mfa_serial"),
                                 .mfa_code = code,
                                 .place = place,
                                 .source = "profile"};
    snprintf(place, sizeof place, "profile \"%.100s\"", profile);
    if (role.mfa_serial) {
        cpl_status status = ask_for_code(ask, place, &role, code, err);
        if (status) return status;
    }
    return cpl_creds_assume_role(ask, &role, with, out, err);
}

cpl_status cpl_creds_find_profile(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err) {
    cpl_creds_plan plan;
    cpl_status status = cpl_creds_plan_make(ask->config, cpl_config_profile(ask->config), &plan, err);
    *out = NULL;
    if (status || plan.find == NULL) return status;
    status = plan.find(ask, plan.base, out, err);
    for (size_t i = plan.role_count; i-- > 0 && status == CPL_OK;) {
        cpl_creds_set *with = *out;
        status = assume(ask, plan.roles[i], with, out, err);
        cpl_creds_drop(with);
    }
    return status;
}

/* The AWS CLI asks for the profile's role before the web identity of the environment, and for the rest after it. */
cpl_status cpl_creds_find_role(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err) {
    *out = NULL;
    if (!cpl_config_value(ask->config, "role_arn") || cpl_config_value(ask->config, "web_identity_token_file"))
        return CPL_OK;
    return cpl_creds_find_profile(ask, out, err);
}
