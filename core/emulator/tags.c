/* SPDX-License-Identifier: MIT */
#include "engine.h"

/* The tags of pipelines, custom action types and webhooks: documents {"tags": [{"key", "value"}]} by ARN. */

#define TAGS_MAX 50

static const cpl_json *tags_of(const emu_call *call, const char *arn) {
    return cpl_json_get(emu_store_get(emu_store_of(call->e), EMU_TAG, arn), "tags");
}

bool emu_tags_check(emu_call *call, const cpl_json *tags, const cpl_json *present) {
    size_t n = cpl_json_count(present);
    for (const cpl_json *i = cpl_json_first(tags); i; i = cpl_json_next(i)) {
        cpl_str key = cpl_json_get_str(i, "key");
        if (cpl_str_starts(key, "aws:")) {
            return emu_refuse(call, "InvalidTagsException", "Tag keys must not start with 'aws:': '%s'", key.p);
        }
        if (emu_find(tags, "key", key.p) != i) {
            return emu_refuse(call, "InvalidTagsException", "Tag keys must be unique: '%s'", key.p);
        }
        if (emu_find(present, "key", key.p) == NULL) n++;
    }
    return n <= TAGS_MAX || emu_refuse(call, "TooManyTagsException", "A resource can have at most %d tags", TAGS_MAX);
}

bool emu_tags_put(emu_call *call, const char *arn, const cpl_json *tags) {
    emu_store *store = emu_store_of(call->e);
    cpl_json *document = cpl_json_new_object(), *list = emu_array_at(document, "tags");
    for (const cpl_json *i = cpl_json_first(tags_of(call, arn)); i; i = cpl_json_next(i)) {
        if (emu_find(tags, "key", EMU_GET(i, "key"))) continue;
        if (!cpl_json_push(list, cpl_json_clone(i))) list = NULL;
    }
    for (const cpl_json *i = cpl_json_first(tags); i; i = cpl_json_next(i)) {
        if (!cpl_json_push(list, cpl_json_clone(i))) list = NULL;
    }
    if (list) return emu_store_put(store, EMU_TAG, arn, document) || emu_nomem(call);
    cpl_json_free(document);
    return emu_nomem(call);
}

static bool action_type_exists(emu *e, const char *name) {
    emu_store *store = emu_store_of(e);
    for (size_t i = 0; i < emu_store_size(store, EMU_ACTION_TYPE); i++) {
        const char *key;
        const cpl_json *document = emu_store_at(store, EMU_ACTION_TYPE, i, &key);
        if (!cpl_json_get_bool(document, "deleted", false) && emu_is(document, "arn", name)) return true;
    }
    return false;
}

/* The ARN, or refuses: InvalidArnException when it is not of this account and region, ResourceNotFoundException. */
static const char *need_resource(emu_call *call) {
    const char *arn = EMU_GET(call->in, "resourceArn");
    char prefix[128];
    snprintf(prefix, sizeof prefix, "arn:aws:codepipeline:%s:%s:", emu_region(call->e), emu_account_id(call->e));
    if (!cpl_str_starts(cpl_str_of(arn), prefix)) {
        emu_refuse(call, "InvalidArnException", "The ARN '%s' is not one of account '%s' in region '%s'", arn,
                   emu_account_id(call->e), emu_region(call->e));
        return NULL;
    }
    if (emu_store_get(emu_store_of(call->e), EMU_PIPELINE, arn + strlen(prefix)) || action_type_exists(call->e, arn) ||
        (cpl_str_starts(cpl_str_of(arn + strlen(prefix)), "webhook:") &&
         emu_store_get(emu_store_of(call->e), EMU_WEBHOOK, arn + strlen(prefix) + strlen("webhook:")))) {
        return arn;
    }
    emu_refuse(call, "ResourceNotFoundException", "The resource '%s' does not exist", arn);
    return NULL;
}

bool emu_tags_copy(emu_call *call, const char *arn, cpl_json *out) {
    const cpl_json *tags = tags_of(call, arn);
    return cpl_json_count(tags) == 0 || cpl_json_set(out, "tags", cpl_json_clone(tags));
}

bool emu_tag_resource(emu_call *call) {
    const char *arn = need_resource(call);
    const cpl_json *tags = cpl_json_get(call->in, "tags");
    return arn && emu_tags_check(call, tags, tags_of(call, arn)) && emu_tags_put(call, arn, tags);
}

static bool named(const cpl_json *keys, const char *key) {
    for (const cpl_json *i = cpl_json_first(keys); i; i = cpl_json_next(i)) {
        if (strcmp(cpl_json_cstr(i, ""), key) == 0) return true;
    }
    return false;
}

bool emu_untag_resource(emu_call *call) {
    const char *arn = need_resource(call);
    cpl_json *document = arn ? emu_store_get(emu_store_of(call->e), EMU_TAG, arn) : NULL;
    cpl_json *tags = cpl_json_get(document, "tags");
    for (cpl_json *i = cpl_json_first(tags), *next; i; i = next) {
        next = cpl_json_next(i);
        if (named(cpl_json_get(call->in, "tagKeys"), EMU_GET(i, "key"))) cpl_json_free(cpl_json_detach(tags, i));
    }
    if (document) emu_store_touch(emu_store_of(call->e), EMU_TAG, arn);
    return arn != NULL;
}

bool emu_list_tags_for_resource(emu_call *call) {
    const char *arn = need_resource(call);
    cpl_json *list = arn ? emu_array_at(call->out, "tags") : NULL;
    size_t from, at = 0, most = emu_page_size(call, 100);
    char after[EMU_PAGE_KEY], last[16];
    int64_t position = 0;
    if (arn == NULL || !emu_page_begin(call, arn, after)) return false;
    cpl_str_integer(cpl_str_of(after), &position);
    from = (size_t)position;
    for (const cpl_json *i = cpl_json_first(tags_of(call, arn)); i; i = cpl_json_next(i), at++) {
        if (at < from) continue;
        if (at - from == most) {
            snprintf(last, sizeof last, "%zu", at);
            return emu_page_more(call, arn, last);
        }
        if (!cpl_json_push(list, cpl_json_clone(i))) return emu_nomem(call);
    }
    return true;
}
