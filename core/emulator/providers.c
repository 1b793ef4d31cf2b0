/* SPDX-License-Identifier: MIT */
#include "engine.h"

/*
 * The action types every account has. properties: names with a space between; "!" after a name: required, "*": secret;
 * NULL: not listed here, so any configuration is taken.
 */
typedef struct provider {
    const char *category;
    const char *owner;
    const char *name;
    uint8_t in_min, in_max, out_min, out_max;
    emu_runner runner;
    const char *properties;
} provider;

#define CODEBUILD "ProjectName! PrimarySource BatchEnabled BuildspecOverride CombineArtifacts EnvironmentVariables"

static const provider providers[] = {
    {"Source", "AWS", "S3", 0, 0, 1, 1, EMU_RUN_S3_SOURCE,
     "S3Bucket! S3ObjectKey! PollForSourceChanges AllowOverrideForS3ObjectKey"},
    {"Source", "AWS", "CodeCommit", 0, 0, 1, 1, EMU_RUN_NOTHING,
     "RepositoryName! BranchName! PollForSourceChanges OutputArtifactFormat"},
    {"Source", "AWS", "CodeStarSourceConnection", 0, 0, 1, 1, EMU_RUN_GIT_SOURCE,
     "ConnectionArn! FullRepositoryId! BranchName! OutputArtifactFormat DetectChanges"},
    {"Source", "AWS", "ECR", 0, 0, 1, 1, EMU_RUN_NOTHING, "RepositoryName! ImageTag"},
    {"Source", "ThirdParty", "GitHub", 0, 0, 1, 1, EMU_RUN_NOTHING,
     "Owner! Repo! Branch! OAuthToken!* PollForSourceChanges"},
    {"Build", "AWS", "CodeBuild", 1, 5, 0, 5, EMU_RUN_NOTHING, CODEBUILD},
    {"Build", "AWS", "ECRBuildAndPublish", 1, 1, 0, 1, EMU_RUN_NOTHING, NULL},
    {"Test", "AWS", "CodeBuild", 1, 5, 0, 5, EMU_RUN_NOTHING, CODEBUILD},
    {"Test", "AWS", "DeviceFarm", 1, 1, 0, 0, EMU_RUN_NOTHING, NULL},
    {"Approval", "AWS", "Manual", 0, 0, 0, 0, EMU_RUN_APPROVAL, "NotificationArn CustomData ExternalEntityLink"},
    {"Deploy", "AWS", "S3", 1, 1, 0, 0, EMU_RUN_S3_DEPLOY,
     "BucketName! Extract! ObjectKey KMSEncryptionKeyARN CannedACL CacheControl"},
    {"Deploy", "AWS", "AppConfig", 1, 1, 0, 0, EMU_RUN_NOTHING, NULL},
    {"Deploy", "AWS", "CloudFormation", 0, 10, 0, 1, EMU_RUN_NOTHING, NULL},
    {"Deploy", "AWS", "CloudFormationStackInstances", 0, 10, 0, 1, EMU_RUN_NOTHING, NULL},
    {"Deploy", "AWS", "CloudFormationStackSet", 1, 10, 0, 1, EMU_RUN_NOTHING, NULL},
    {"Deploy", "AWS", "CodeDeploy", 1, 1, 0, 0, EMU_RUN_NOTHING, "ApplicationName! DeploymentGroupName!"},
    {"Deploy", "AWS", "CodeDeployToECS", 1, 5, 0, 0, EMU_RUN_NOTHING, NULL},
    {"Deploy", "AWS", "EC2", 1, 1, 0, 0, EMU_RUN_NOTHING, NULL},
    {"Deploy", "AWS", "ECS", 1, 1, 0, 0, EMU_RUN_NOTHING, "ClusterName! ServiceName! FileName DeploymentTimeout"},
    {"Deploy", "AWS", "EKS", 1, 1, 0, 0, EMU_RUN_NOTHING, NULL},
    {"Deploy", "AWS", "ElasticBeanstalk", 1, 1, 0, 0, EMU_RUN_NOTHING, "ApplicationName! EnvironmentName!"},
    {"Deploy", "AWS", "Lambda", 1, 1, 0, 0, EMU_RUN_NOTHING, NULL},
    {"Deploy", "AWS", "OpsWorks", 1, 1, 0, 0, EMU_RUN_NOTHING, NULL},
    {"Deploy", "AWS", "ServiceCatalog", 1, 1, 0, 0, EMU_RUN_NOTHING, NULL},
    {"Deploy", "ThirdParty", "AlexaSkillsKit", 1, 2, 0, 0, EMU_RUN_NOTHING,
     "ClientId! ClientSecret!* RefreshToken!* SkillId!"},
    {"Invoke", "AWS", "CodePipeline", 0, 0, 0, 0, EMU_RUN_NOTHING, "PipelineName! SourceRevisions Variables"},
    {"Invoke", "AWS", "InspectorScan", 0, 1, 0, 1, EMU_RUN_NOTHING, NULL},
    {"Invoke", "AWS", "Lambda", 0, 5, 0, 5, EMU_RUN_LAMBDA, "FunctionName! UserParameters"},
    {"Invoke", "AWS", "StepFunctions", 0, 1, 0, 1, EMU_RUN_NOTHING,
     "StateMachineArn! ExecutionNamePrefix InputType Input"},
    {"Invoke", "ThirdParty", "Snyk", 1, 1, 0, 1, EMU_RUN_NOTHING, NULL},
    {"Compute", "AWS", "Commands", 1, 10, 0, 1, EMU_RUN_NOTHING, NULL},
};

/* ---- the table as documents ---- */

static bool add_details(cpl_json *type, const char *key, int least, int most) {
    cpl_json *details = emu_object_at(type, key);
    return cpl_json_set_number(details, "minimumCount", least) && cpl_json_set_number(details, "maximumCount", most);
}

static bool add_property(cpl_json *properties, cpl_str word) {
    cpl_json *property = cpl_json_new_object();
    bool secret = cpl_str_ends(word, "*"), required;
    if (secret) word.n--;
    required = cpl_str_ends(word, "!");
    if (required) word.n--;
    if (!cpl_json_set_str(property, "name", word) || !cpl_json_set_bool(property, "required", required) ||
        !cpl_json_set_bool(property, "key", required) || !cpl_json_set_bool(property, "secret", secret) ||
        !cpl_json_set_bool(property, "queryable", false)) {
        cpl_json_free(property);
        return false;
    }
    return cpl_json_push(properties, property);
}

static bool add_properties(cpl_json *type, const char *words) {
    cpl_json *properties = emu_array_at(type, "actionConfigurationProperties");
    for (cpl_str rest = cpl_str_of(words); rest.n > 0;) {
        size_t end = cpl_str_find(rest, ' ');
        if (!add_property(properties, cpl_str_sub(rest, 0, end))) return false;
        rest = cpl_str_sub(rest, end + 1, rest.n);
    }
    return properties != NULL;
}

static bool fill_type(cpl_json *type, const provider *row) {
    cpl_json *id = emu_object_at(type, "id");
    return cpl_json_set_cstr(id, "category", row->category) && cpl_json_set_cstr(id, "owner", row->owner) &&
           cpl_json_set_cstr(id, "provider", row->name) && cpl_json_set_cstr(id, "version", "1") &&
           (row->properties == NULL || add_properties(type, row->properties)) &&
           add_details(type, "inputArtifactDetails", row->in_min, row->in_max) &&
           add_details(type, "outputArtifactDetails", row->out_min, row->out_max);
}

static void row_key(const provider *row, char out[EMU_KIND_KEY]) {
    snprintf(out, EMU_KIND_KEY, "%s:%s:%s:1", row->category, row->owner, row->name);
}

static bool load_row(emu_engine *engine, const provider *row) {
    emu_kind *kind = cpl_calloc(1, sizeof *kind);
    char key[EMU_KIND_KEY];
    if (kind == NULL) return false;
    kind->runner = row->runner;
    kind->type = cpl_json_new_object();
    row_key(row, key);
    if (fill_type(kind->type, row) && emu_index_set(&engine->types, key, kind)) return true;
    emu_providers_drop(kind);
    return false;
}

bool emu_providers_load(emu_engine *engine) {
    for (size_t i = 0; i < CPL_COUNT(providers); i++) {
        if (!load_row(engine, providers + i)) return false;
    }
    return true;
}

void emu_providers_drop(void *kind) {
    cpl_json_free(((emu_kind *)kind)->type);
    cpl_free(kind);
}

size_t emu_provider_count(void) {
    return CPL_COUNT(providers);
}

const emu_kind *emu_provider_at(const emu_engine *engine, size_t i) {
    char key[EMU_KIND_KEY];
    row_key(providers + i, key);
    return emu_index_get(&engine->types, key);
}

/* ---- look-ups ---- */

void emu_kind_key(const cpl_json *type_id, char out[EMU_KIND_KEY]) {
    snprintf(out, EMU_KIND_KEY, "%s:%s:%s:%s", EMU_GET(type_id, "category"), EMU_GET(type_id, "owner"),
             EMU_GET(type_id, "provider"), EMU_GET(type_id, "version"));
}

static bool find_custom(const emu_engine *engine, const cpl_json *type_id, emu_kind *out) {
    char key[EMU_KIND_KEY];
    cpl_json *document;
    snprintf(key, sizeof key, "%s:%s:%s", EMU_GET(type_id, "category"), EMU_GET(type_id, "provider"),
             EMU_GET(type_id, "version"));
    document = emu_store_get(emu_store_of(engine->e), EMU_ACTION_TYPE, key);
    if (document == NULL) return false;
    *out = (emu_kind){EMU_RUN_JOB, cpl_json_get_bool(document, "deleted", false), cpl_json_get(document, "actionType"),
                      NULL};
    return true;
}

/* A type that UpdateActionType made. */
static bool find_provided(const emu_engine *engine, const char *key, emu_kind *out) {
    cpl_json *document = emu_store_get(emu_store_of(engine->e), EMU_ACTION_TYPE, key);
    const cpl_json *declaration = cpl_json_get(document, "declaration");
    bool worker = emu_is(cpl_json_get(declaration, "executor"), "type", "JobWorker");
    if (document == NULL) return false;
    *out = (emu_kind){worker ? EMU_RUN_JOB : EMU_RUN_LAMBDA, false, cpl_json_get(document, "actionType"), declaration};
    return true;
}

bool emu_kind_allowed(const emu *e, const emu_kind *kind) {
    const cpl_json *accounts = cpl_json_get_path(kind->declaration, "permissions.allowedAccounts");
    if (accounts == NULL) return true;
    for (const cpl_json *i = cpl_json_first(accounts); i; i = cpl_json_next(i)) {
        if (cpl_str_is(cpl_json_str(i), "*") || cpl_str_is(cpl_json_str(i), emu_account_id(e))) return true;
    }
    return false;
}

bool emu_kind_find(const emu_engine *engine, const cpl_json *type_id, emu_kind *out) {
    char key[EMU_KIND_KEY];
    const emu_kind *kind;
    if (emu_is(type_id, "owner", "Custom")) return find_custom(engine, type_id, out);
    emu_kind_key(type_id, key);
    kind = emu_index_get(&engine->types, key);
    if (kind == NULL) return find_provided(engine, key, out);
    *out = *kind;
    return true;
}

cpl_json *emu_custom_type_id(const cpl_json *in) {
    cpl_json *id = cpl_json_new_object();
    if (emu_copy(id, "category", in, "category") && cpl_json_set_cstr(id, "owner", "Custom") &&
        emu_copy(id, "provider", in, "provider") && emu_copy(id, "version", in, "version")) {
        return id;
    }
    cpl_json_free(id);
    return NULL;
}

const cpl_json *emu_kind_property(const emu_kind *kind, cpl_str name) {
    const cpl_json *properties = cpl_json_get(kind->type, "actionConfigurationProperties");
    for (const cpl_json *i = cpl_json_first(properties); i; i = cpl_json_next(i)) {
        if (cpl_str_eq(cpl_json_get_str(i, "name"), name)) return i;
    }
    return NULL;
}

cpl_json *emu_kind_mask(const emu_engine *engine, const cpl_json *type_id, const cpl_json *configuration) {
    cpl_json *copy = cpl_json_clone(configuration);
    emu_kind kind;
    if (copy == NULL || !emu_kind_find(engine, type_id, &kind)) return copy;
    for (const cpl_json *i = cpl_json_first(configuration); i; i = cpl_json_next(i)) {
        const cpl_json *property = emu_kind_property(&kind, cpl_json_key(i));
        if (!cpl_json_get_bool(property, "secret", false)) continue;
        if (!cpl_json_set_cstr(copy, cpl_json_key(i).p, "****")) {
            cpl_json_free(copy);
            return NULL;
        }
    }
    return copy;
}
