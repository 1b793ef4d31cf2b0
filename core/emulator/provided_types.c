/* SPDX-License-Identifier: MIT */
#include "engine.h"

/*
 * Action types that their provider makes for others: documents {"declaration": as UpdateActionType took it,
 * "actionType": the same as ListActionTypes shows it} by "category:owner:provider:version".
 *
 * With the service, a provider registers such a type by writing to its people, and UpdateActionType changes it later.
 * The emulator has no people: the first UpdateActionType of a ThirdParty type registers it.
 */

#define PROVIDED_TYPES_MAX 50

/* ---- checks ---- */

static bool check_executor(emu_call *call, const cpl_json *executor) {
    const cpl_json *configuration = cpl_json_get(executor, "configuration");
    const cpl_json *worker = cpl_json_get(configuration, "jobWorkerExecutorConfiguration");
    const cpl_json *lambda = cpl_json_get(configuration, "lambdaExecutorConfiguration");
    cpl_str policy = cpl_json_get_str(executor, "policyStatementsTemplate");
    cpl_json *parsed = NULL;
    bool is_worker = emu_is(executor, "type", "JobWorker"), good;
    if (is_worker != (worker != NULL) || is_worker == (lambda != NULL)) {
        return emu_refuse(call, "ValidationException", "The executor of type %s needs %s and nothing else",
                          EMU_GET(executor, "type"),
                          is_worker ? "a jobWorkerExecutorConfiguration" : "a lambdaExecutorConfiguration");
    }
    if (is_worker && !cpl_json_get(worker, "pollingAccounts") && !cpl_json_get(worker, "pollingServicePrincipals")) {
        return emu_refuse(call, "ValidationException",
                          "The jobWorkerExecutorConfiguration names neither pollingAccounts nor "
                          "pollingServicePrincipals");
    }
    if (policy.p == NULL) return true;
    good = cpl_json_parse(policy, &parsed, NULL) == CPL_OK;
    cpl_json_free(parsed);
    return good || emu_refuse(call, "ValidationException", "The policyStatementsTemplate is not a JSON document");
}

static bool check_range(emu_call *call, const cpl_json *declaration, const char *member) {
    const cpl_json *details = cpl_json_get(declaration, member);
    int least = (int)cpl_json_get_number(details, "minimumCount", 0);
    int most = (int)cpl_json_get_number(details, "maximumCount", 0);
    return least <= most ||
           emu_refuse(call, "ValidationException", "%s: the minimum count (%d) is more than the maximum count (%d)",
                      member, least, most);
}

static bool check_properties(emu_call *call, const cpl_json *properties) {
    const cpl_json *queryable = NULL;
    for (const cpl_json *i = cpl_json_first(properties); i; i = cpl_json_next(i)) {
        if (emu_find(properties, "name", EMU_GET(i, "name")) != i) {
            return emu_refuse(call, "ValidationException", "Property '%s' is declared more than once",
                              EMU_GET(i, "name"));
        }
        if (!cpl_json_get_bool(i, "queryable", false)) continue;
        if (queryable || cpl_json_get_bool(i, "optional", false) || cpl_json_get_bool(i, "noEcho", false)) {
            return emu_refuse(
                call, "ValidationException",
                "Property '%s': only one property can be queryable, and it must not be optional or noEcho",
                EMU_GET(i, "name"));
        }
        queryable = i;
    }
    return true;
}

static bool check_permissions(emu_call *call, const cpl_json *accounts) {
    for (const cpl_json *i = cpl_json_first(accounts); i; i = cpl_json_next(i)) {
        if (cpl_str_is(cpl_json_str(i), "*") && cpl_json_count(accounts) > 1) {
            return emu_refuse(call, "ValidationException",
                              "allowedAccounts: '*' stands for everybody and must stand alone");
        }
    }
    return true;
}

/* Who may be asked to change what: only ThirdParty types of the caller's own. */
static bool check_owner(emu_call *call, const cpl_json *id, const char *key) {
    emu_engine *engine = emu_engine_of(call->e);
    emu_store *store = emu_store_of(call->e);
    size_t n = 0;
    if (emu_index_get(&engine->types, key)) {
        return emu_refuse(call, "RequestFailedException",
                          "The action type '%s' belongs to its provider, not to "
                          "account '%s'",
                          key, emu_account_id(call->e));
    }
    if (emu_is(id, "owner", "AWS")) {
        return emu_refuse(call, "ActionTypeNotFoundException", "The action type '%s' does not exist", key);
    }
    if (emu_is(id, "category", "Approval") || emu_is(id, "category", "Compute")) {
        return emu_refuse(call, "ValidationException", "Action types of category %s cannot be provided",
                          EMU_GET(id, "category"));
    }
    for (size_t i = 0; i < emu_store_size(store, EMU_ACTION_TYPE); i++) {
        const char *unused;
        n += cpl_json_get(emu_store_at(store, EMU_ACTION_TYPE, i, &unused), "declaration") != NULL;
    }
    return n < PROVIDED_TYPES_MAX || emu_store_get(store, EMU_ACTION_TYPE, key) ||
           emu_refuse(call, "RequestFailedException", "Account '%s' provides %d action types already",
                      emu_account_id(call->e), PROVIDED_TYPES_MAX);
}

/* ---- the declaration as an action type ---- */

static bool add_property(cpl_json *list, const cpl_json *from) {
    cpl_json *property = cpl_json_new_object();
    if (emu_copy(property, "name", from, "name") &&
        cpl_json_set_bool(property, "required", !cpl_json_get_bool(from, "optional", false)) &&
        emu_copy(property, "key", from, "key") && emu_copy(property, "secret", from, "noEcho") &&
        emu_copy(property, "queryable", from, "queryable") && emu_copy(property, "description", from, "description")) {
        return cpl_json_push(list, property);
    }
    cpl_json_free(property);
    return false;
}

static bool set_settings(cpl_json *type, const cpl_json *urls) {
    cpl_json *settings;
    if (urls == NULL) return true;
    settings = emu_object_at(type, "settings");
    return emu_copy(settings, "thirdPartyConfigurationUrl", urls, "configurationUrl") &&
           emu_copy(settings, "entityUrlTemplate", urls, "entityUrlTemplate") &&
           emu_copy(settings, "executionUrlTemplate", urls, "executionUrlTemplate") &&
           emu_copy(settings, "revisionUrlTemplate", urls, "revisionUrlTemplate");
}

static bool fill_type(cpl_json *type, const cpl_json *declaration) {
    cpl_json *properties = emu_array_at(type, "actionConfigurationProperties");
    for (const cpl_json *i = cpl_json_first(cpl_json_get(declaration, "properties")); i; i = cpl_json_next(i)) {
        if (!add_property(properties, i)) return false;
    }
    return properties && emu_copy(type, "id", declaration, "id") &&
           set_settings(type, cpl_json_get(declaration, "urls")) &&
           emu_copy(type, "inputArtifactDetails", declaration, "inputArtifactDetails") &&
           emu_copy(type, "outputArtifactDetails", declaration, "outputArtifactDetails");
}

/* ---- the operations ---- */

bool emu_update_action_type(emu_call *call) {
    const cpl_json *declaration = cpl_json_get(call->in, "actionType"), *id = cpl_json_get(declaration, "id");
    cpl_json *document;
    char key[EMU_KIND_KEY];
    emu_kind_key(id, key);
    if (!check_owner(call, id, key) || !check_executor(call, cpl_json_get(declaration, "executor")) ||
        !check_range(call, declaration, "inputArtifactDetails") ||
        !check_range(call, declaration, "outputArtifactDetails") ||
        !check_properties(call, cpl_json_get(declaration, "properties")) ||
        !check_permissions(call, cpl_json_get_path(declaration, "permissions.allowedAccounts"))) {
        return false;
    }
    document = cpl_json_new_object();
    if (cpl_json_set(document, "declaration", cpl_json_clone(declaration)) &&
        fill_type(emu_object_at(document, "actionType"), declaration)) {
        return emu_store_put(emu_store_of(call->e), EMU_ACTION_TYPE, key, document) || emu_nomem(call);
    }
    cpl_json_free(document);
    return emu_nomem(call);
}

/* The service's own types have no declaration that it shows. */
bool emu_get_action_type(emu_call *call) {
    char key[EMU_KIND_KEY];
    const cpl_json *document;
    emu_kind_key(call->in, key);
    document = emu_store_get(emu_store_of(call->e), EMU_ACTION_TYPE, key);
    if (cpl_json_get(document, "declaration") == NULL) {
        return emu_refuse(call, "ActionTypeNotFoundException", "The action type '%s' does not exist", key);
    }
    return emu_copy(call->out, "actionType", document, "declaration") || emu_nomem(call);
}
