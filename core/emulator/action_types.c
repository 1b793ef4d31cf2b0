/* SPDX-License-Identifier: MIT */
#include "engine.h"

/*
 * Custom action types: documents {"actionType": as ListActionTypes shows it, "arn", "deleted"?} by
 * "category:provider:version". A deleted one is kept: pipelines still name it, its secrets stay secret, and its version
 * can never be used again. Types that providers made for others (provided_types.c) lie in the same table under
 * "category:owner:provider:version".
 */

#define CUSTOM_TYPES_MAX 50
#define PAGE 50

static void store_key(const cpl_json *in, char out[EMU_KIND_KEY]) {
    snprintf(out, EMU_KIND_KEY, "%s:%s:%s", EMU_GET(in, "category"), EMU_GET(in, "provider"), EMU_GET(in, "version"));
}

/* ---- CreateCustomActionType ---- */

static bool check_range(emu_call *call, const char *member) {
    const cpl_json *details = cpl_json_get(call->in, member);
    int least = (int)cpl_json_get_number(details, "minimumCount", 0);
    int most = (int)cpl_json_get_number(details, "maximumCount", 0);
    return least <= most ||
           emu_refuse(call, "ValidationException", "%s: the minimum count (%d) is more than the maximum count (%d)",
                      member, least, most);
}

static bool check_properties(emu_call *call) {
    const cpl_json *properties = cpl_json_get(call->in, "configurationProperties"), *queryable = NULL;
    for (const cpl_json *i = cpl_json_first(properties); i; i = cpl_json_next(i)) {
        const char *name = EMU_GET(i, "name");
        if (emu_find(properties, "name", name) != i) {
            return emu_refuse(call, "ValidationException", "Configuration property '%s' is declared more than once",
                              name);
        }
        if (!cpl_json_get_bool(i, "queryable", false)) continue;
        if (queryable) {
            return emu_refuse(call, "ValidationException",
                              "An action type can have at most one queryable property: '%s' and '%s' are",
                              EMU_GET(queryable, "name"), name);
        }
        if (!cpl_json_get_bool(i, "required", false) || cpl_json_get_bool(i, "secret", false)) {
            return emu_refuse(call, "ValidationException",
                              "The queryable property '%s' must be required and must not be secret", name);
        }
        queryable = i;
    }
    return true;
}

static size_t count_custom(emu_store *store) {
    size_t n = 0;
    const char *key;
    for (size_t i = 0; i < emu_store_size(store, EMU_ACTION_TYPE); i++) {
        const cpl_json *document = emu_store_at(store, EMU_ACTION_TYPE, i, &key);
        n += !cpl_json_get_bool(document, "deleted", false) && cpl_json_get(document, "declaration") == NULL;
    }
    return n;
}

static bool check_new(emu_call *call, const char *key) {
    const cpl_json *old = emu_store_get(emu_store_of(call->e), EMU_ACTION_TYPE, key);
    const char *category = EMU_GET(call->in, "category");
    if (strcmp(category, "Approval") == 0 || strcmp(category, "Compute") == 0) {
        return emu_refuse(call, "ValidationException", "Custom actions of category %s are not supported", category);
    }
    if (old) {
        return emu_refuse(call, "ValidationException",
                          "ActionType (Category: '%s', Provider: '%s', Owner: 'Custom', Version: '%s') %s", category,
                          EMU_GET(call->in, "provider"), EMU_GET(call->in, "version"),
                          cpl_json_get_bool(old, "deleted", false)
                              ? "has been deleted; a deleted version cannot be created again, use another version"
                              : "already exists");
    }
    if (count_custom(emu_store_of(call->e)) >= CUSTOM_TYPES_MAX) {
        return emu_refuse(call, "LimitExceededException",
                          "Account '%s' has reached the limit of %d custom action types", emu_account_id(call->e),
                          CUSTOM_TYPES_MAX);
    }
    return true;
}

static cpl_json *new_document(const emu_call *call) {
    cpl_json *document = cpl_json_new_object(), *type = emu_object_at(document, "actionType");
    const cpl_json *in = call->in;
    char arn[256];
    snprintf(arn, sizeof arn, "arn:aws:codepipeline:%s:%s:actiontype:Custom/%s/%s/%s", emu_region(call->e),
             emu_account_id(call->e), EMU_GET(in, "category"), EMU_GET(in, "provider"), EMU_GET(in, "version"));
    if (cpl_json_set_cstr(document, "arn", arn) && cpl_json_set(type, "id", emu_custom_type_id(in)) &&
        emu_copy(type, "settings", in, "settings") &&
        (cpl_json_get(in, "configurationProperties")
             ? emu_copy(type, "actionConfigurationProperties", in, "configurationProperties")
             : cpl_json_set(type, "actionConfigurationProperties", cpl_json_new_array())) &&
        emu_copy(type, "inputArtifactDetails", in, "inputArtifactDetails") &&
        emu_copy(type, "outputArtifactDetails", in, "outputArtifactDetails")) {
        return document;
    }
    cpl_json_free(document);
    return NULL;
}

static bool create_custom_action_type(emu_call *call) {
    const cpl_json *tags = cpl_json_get(call->in, "tags");
    char key[EMU_KIND_KEY];
    cpl_json *document;
    store_key(call->in, key);
    if (!check_new(call, key) || !check_range(call, "inputArtifactDetails") ||
        !check_range(call, "outputArtifactDetails") || !check_properties(call) || !emu_tags_check(call, tags, NULL)) {
        return false;
    }
    document = new_document(call);
    if (!emu_store_put(emu_store_of(call->e), EMU_ACTION_TYPE, key, document)) return emu_nomem(call);
    return (emu_copy(call->out, "actionType", document, "actionType") && emu_copy(call->out, "tags", call->in, "tags"))
               ? emu_tags_put(call, EMU_GET(document, "arn"), tags)
               : emu_nomem(call);
}

/* ---- DeleteCustomActionType ---- */

static bool delete_custom_action_type(emu_call *call) {
    emu_store *store = emu_store_of(call->e);
    char key[EMU_KIND_KEY];
    cpl_json *document;
    store_key(call->in, key);
    document = emu_store_get(store, EMU_ACTION_TYPE, key);
    if (document == NULL) return true;
    if (!cpl_json_set_bool(document, "deleted", true)) return emu_nomem(call);
    emu_store_touch(store, EMU_ACTION_TYPE, key);
    emu_store_delete(store, EMU_TAG, EMU_GET(document, "arn"));
    return true;
}

/* ---- ListActionTypes: the account's own first, then those of AWS and partners ---- */

static const cpl_json *type_at(const emu_call *call, size_t i) {
    emu_store *store = emu_store_of(call->e);
    size_t custom = emu_store_size(store, EMU_ACTION_TYPE);
    const char *key;
    const cpl_json *document;
    if (i >= custom) return emu_provider_at(emu_engine_of(call->e), i - custom)->type;
    document = emu_store_at(store, EMU_ACTION_TYPE, i, &key);
    return cpl_json_get_bool(document, "deleted", false) ? NULL : cpl_json_get(document, "actionType");
}

static bool asked_for(const emu_call *call, const cpl_json *type) {
    const char *owner = cpl_json_get_cstr(call->in, "actionOwnerFilter", NULL);
    return type && (owner == NULL || emu_is(cpl_json_get(type, "id"), "owner", owner));
}

/* AWS's types are in every region; an account's own are where they were made. */
static bool in_region(const emu_call *call, const cpl_json *type) {
    const char *region = cpl_json_get_cstr(call->in, "regionFilter", emu_region(call->e));
    return strcmp(region, emu_region(call->e)) == 0 || !emu_is(cpl_json_get(type, "id"), "owner", "Custom");
}

static bool list_action_types(emu_call *call) {
    size_t all = emu_store_size(emu_store_of(call->e), EMU_ACTION_TYPE) + emu_provider_count(), n = 0;
    cpl_json *list = emu_array_at(call->out, "actionTypes");
    const char *scope = EMU_GET(call->in, "actionOwnerFilter");
    char after[EMU_PAGE_KEY], last[EMU_KIND_KEY] = "", key[EMU_KIND_KEY];
    bool skip;
    if (!emu_page_begin(call, scope, after)) return false;
    skip = after[0] != '\0';
    for (size_t i = 0; i < all; i++) {
        const cpl_json *type = type_at(call, i);
        if (!asked_for(call, type) || !in_region(call, type)) continue;
        emu_kind_key(cpl_json_get(type, "id"), key);
        if (skip) {
            skip = strcmp(key, after) != 0;
            continue;
        }
        if (n++ == PAGE) return emu_page_more(call, scope, last);
        if (!cpl_json_push(list, cpl_json_clone(type))) return emu_nomem(call);
        CPL_COPY(last, cpl_str_of(key));
    }
    return !skip || emu_refuse(call, "InvalidNextTokenException", "The action type the token names is gone");
}

const emu_route emu_action_type_routes[] = {
    {"CreateCustomActionType", create_custom_action_type},
    {"DeleteCustomActionType", delete_custom_action_type},
    {"ListActionTypes", list_action_types},
    {"GetActionType", emu_get_action_type},
    {"UpdateActionType", emu_update_action_type},
    {NULL, NULL},
};
