/* SPDX-License-Identifier: MIT */
#include "webhook.h"

#include "../digest.h"
#include "engine.h"

#define WEBHOOKS_MAX 300
#define TOKEN_SIZE 41

static cpl_json *find(const emu_call *call, const char *name) {
    return emu_store_get(emu_store_of(call->e), EMU_WEBHOOK, name);
}

/* ---- as it is shown ---- */

static bool set_definition(cpl_json *item, const cpl_json *definition) {
    cpl_json *copy = cpl_json_clone(definition), *needs = cpl_json_get(copy, "authenticationConfiguration");
    bool masked = cpl_json_get(needs, "SecretToken") == NULL || cpl_json_set_cstr(needs, "SecretToken", "****");
    if (masked) return cpl_json_set(item, "definition", copy);
    cpl_json_free(copy);
    return false;
}

static bool fill_item(emu_call *call, cpl_json *item, const cpl_json *document) {
    char url[512];
    snprintf(url, sizeof url, "%s" EMU_WEBHOOK_PATH "%s", emu_url(call->e), EMU_GET(document, "token"));
    return set_definition(item, cpl_json_get(document, "definition")) && cpl_json_set_cstr(item, "url", url) &&
           emu_copy(item, "arn", document, "arn") && emu_copy(item, "lastTriggered", document, "lastTriggered") &&
           emu_copy(item, "errorCode", document, "errorCode") &&
           emu_copy(item, "errorMessage", document, "errorMessage") &&
           emu_tags_copy(call, EMU_GET(document, "arn"), item);
}

/* ---- PutWebhook ---- */

static bool check_authentication(emu_call *call, const cpl_json *definition) {
    const cpl_json *needs = cpl_json_get(definition, "authenticationConfiguration");
    const char *kind = EMU_GET(definition, "authentication"), *want = NULL;
    if (strcmp(kind, "GITHUB_HMAC") == 0) want = "SecretToken";
    if (strcmp(kind, "IP") == 0) want = "AllowedIPRange";
    if ((want && cpl_json_get(needs, want) == NULL) || cpl_json_count(needs) != (want ? 1 : 0)) {
        return emu_refuse(call, "InvalidWebhookAuthenticationParametersException",
                          "The authenticationConfiguration for %s must have %s%s", kind, want ? "a member " : "nothing",
                          want ? want : "");
    }
    if (strcmp(kind, "IP") != 0 || emu_ip_range_valid(EMU_GET(needs, want))) return true;
    return emu_refuse(call, "InvalidWebhookAuthenticationParametersException",
                      "AllowedIPRange '%s' is not an address or a range in CIDR notation", EMU_GET(needs, want));
}

/* "{Branch}" in text must name something in the action's configuration. */
static bool check_placeholders(emu_call *call, cpl_str text, const cpl_json *configuration) {
    while (cpl_str_find(text, '{') < text.n) {
        size_t open = cpl_str_find(text, '{'), close = open + cpl_str_find(cpl_str_sub(text, open, text.n), '}');
        char name[160];
        CPL_COPY(name, cpl_str_sub(text, open + 1, close));
        if (close == text.n || cpl_json_get(configuration, name) == NULL) {
            return emu_refuse(call, "InvalidWebhookFilterPatternException",
                              "The placeholder '{%s' of matchEquals names no configuration of the target action", name);
        }
        text = cpl_str_sub(text, close + 1, text.n);
    }
    return true;
}

static bool check_filters(emu_call *call, const cpl_json *definition, const cpl_json *action) {
    const cpl_json *configuration = cpl_json_get(action, "configuration");
    for (const cpl_json *i = cpl_json_first(cpl_json_get(definition, "filters")); i; i = cpl_json_next(i)) {
        if (!emu_json_path_valid(cpl_json_get_str(i, "jsonPath"))) {
            return emu_refuse(call, "InvalidWebhookFilterPatternException",
                              "The jsonPath '%s' is not a path of names, positions and *", EMU_GET(i, "jsonPath"));
        }
        if (!check_placeholders(call, cpl_json_get_str(i, "matchEquals"), configuration)) return false;
    }
    return true;
}

/* The source action of the pipeline that the webhook is for, or refuses. */
static const cpl_json *need_action(emu_call *call, const cpl_json *definition) {
    const cpl_json *document = emu_pipeline_need(call, EMU_GET(definition, "targetPipeline")), *stage, *action;
    if (document == NULL) return NULL;
    stage = cpl_json_first(cpl_json_get(emu_pipeline_latest(document), "stages"));
    action = emu_find(cpl_json_get(stage, "actions"), "name", EMU_GET(definition, "targetAction"));
    if (action == NULL) {
        emu_refuse(call, "ValidationException", "Pipeline '%s' does not have a source action '%s'",
                   EMU_GET(definition, "targetPipeline"), EMU_GET(definition, "targetAction"));
    }
    return action;
}

/* A webhook that is put again keeps its URL. */
static cpl_json *new_document(const emu_call *call, const cpl_json *definition, const cpl_json *old) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    cpl_json *document = cpl_json_new_object();
    char token[TOKEN_SIZE], arn[256];
    snprintf(arn, sizeof arn, "arn:aws:codepipeline:%s:%s:webhook:%s", emu_region(call->e), emu_account_id(call->e),
             EMU_GET(definition, "name"));
    if (emu_random_text(call->e, token, TOKEN_SIZE - 1, letters) &&
        cpl_json_set(document, "definition", cpl_json_clone(definition)) && cpl_json_set_cstr(document, "arn", arn) &&
        cpl_json_set_cstr(document, "token", cpl_json_get_cstr(old, "token", token)) &&
        emu_copy(document, "lastTriggered", old, "lastTriggered")) {
        return document;
    }
    cpl_json_free(document);
    return NULL;
}

static bool put_webhook(emu_call *call) {
    emu_store *store = emu_store_of(call->e);
    const cpl_json *definition = cpl_json_get(call->in, "webhook"), *tags = cpl_json_get(call->in, "tags");
    const cpl_json *old = find(call, EMU_GET(definition, "name")), *action = need_action(call, definition);
    cpl_json *document;
    if (action == NULL || !check_authentication(call, definition) || !check_filters(call, definition, action) ||
        !emu_tags_check(call, tags, NULL)) {
        return false;
    }
    if (old == NULL && emu_store_size(store, EMU_WEBHOOK) >= WEBHOOKS_MAX) {
        return emu_refuse(call, "LimitExceededException", "Account '%s' has reached the limit of %d webhooks",
                          emu_account_id(call->e), WEBHOOKS_MAX);
    }
    document = new_document(call, definition, old);
    if (!emu_store_put(store, EMU_WEBHOOK, EMU_GET(definition, "name"), document)) return emu_nomem(call);
    return emu_tags_put(call, EMU_GET(document, "arn"), tags) &&
           (fill_item(call, emu_object_at(call->out, "webhook"), document) || emu_nomem(call));
}

/* ---- DeleteWebhook, ListWebhooks ---- */

static bool delete_webhook(emu_call *call) {
    const char *name = EMU_GET(call->in, "name");
    const cpl_json *document = find(call, name);
    if (document == NULL) return true;
    emu_store_delete(emu_store_of(call->e), EMU_TAG, EMU_GET(document, "arn"));
    emu_store_delete(emu_store_of(call->e), EMU_WEBHOOK, name);
    return true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool list_names(emu_call *call, const char **names, size_t n, const char *after) {
    cpl_json *list = emu_array_at(call->out, "webhooks");
    size_t from = 0, most = emu_page_size(call, 100);
    while (from < n && strcmp(names[from], after) <= 0) from++;
    for (size_t i = from; i < n; i++) {
        cpl_json *item;
        if (i - from == most) return emu_page_more(call, "", names[i - 1]);
        item = cpl_json_new_object();
        if (!fill_item(call, item, find(call, names[i]))) {
            cpl_json_free(item);
            return emu_nomem(call);
        }
        if (!cpl_json_push(list, item)) return emu_nomem(call);
    }
    return list ? true : emu_nomem(call);
}

static bool list_webhooks(emu_call *call) {
    emu_store *store = emu_store_of(call->e);
    const char *names[WEBHOOKS_MAX];
    size_t n = emu_store_size(store, EMU_WEBHOOK);
    char after[EMU_PAGE_KEY];
    if (!emu_page_begin(call, "", after)) return false;
    for (size_t i = 0; i < n && i < WEBHOOKS_MAX; i++) emu_store_at(store, EMU_WEBHOOK, i, &names[i]);
    qsort(names, n, sizeof *names, by_name);
    return list_names(call, names, n, after);
}

/* ---- RegisterWebhookWithThirdParty, DeregisterWebhookWithThirdParty ---- */

/*
 * Nobody is told: there is no GitHub here. As with the service, the call itself succeeds, and ListWebhooks shows why
 * registering did not work.
 */
static bool set_registration(emu_call *call, const char *code, const char *message) {
    const char *name = EMU_GET(call->in, "webhookName");
    cpl_json *document = find(call, name);
    if (document == NULL) {
        return emu_refuse(call, "WebhookNotFoundException", "Account '%s' does not have a webhook with name '%s'",
                          emu_account_id(call->e), name);
    }
    emu_store_touch(emu_store_of(call->e), EMU_WEBHOOK, name);
    return (cpl_json_set_cstr(document, "errorCode", code) && cpl_json_set_cstr(document, "errorMessage", message)) ||
           emu_nomem(call);
}

static bool register_webhook(emu_call *call) {
    return set_registration(call, "NotEmulated",
                            "The emulator does not register webhooks with anybody; post to the URL");
}

static bool deregister_webhook(emu_call *call) {
    return set_registration(call, NULL, NULL);
}

const emu_route emu_webhook_routes[] = {
    {"PutWebhook", put_webhook},
    {"DeleteWebhook", delete_webhook},
    {"ListWebhooks", list_webhooks},
    {"RegisterWebhookWithThirdParty", register_webhook},
    {"DeregisterWebhookWithThirdParty", deregister_webhook},
    {NULL, NULL},
};

/* ---- events ---- */

/* The value that must stand in the event: matchEquals with every {key} replaced; false: a key has no value. */
static bool fill_placeholders(cpl_str text, const cpl_json *configuration, cpl_buf *out) {
    while (text.n > 0) {
        size_t open = cpl_str_find(text, '{'), close = open + cpl_str_find(cpl_str_sub(text, open, text.n), '}');
        char name[160];
        cpl_str value;
        cpl_buf_addv(out, cpl_str_sub(text, 0, open));
        if (open == text.n) break;
        CPL_COPY(name, cpl_str_sub(text, open + 1, close));
        value = cpl_json_get_str(configuration, name);
        if (value.p == NULL) return false;
        cpl_buf_addv(out, value);
        text = cpl_str_sub(text, close + 1, text.n);
    }
    return cpl_buf_ok(out);
}

static bool passes(const cpl_json *rule, const cpl_json *configuration, const cpl_json *event) {
    cpl_str path = cpl_json_get_str(rule, "jsonPath"), want = cpl_json_get_str(rule, "matchEquals");
    cpl_buf text;
    bool good;
    if (want.p == NULL) return emu_json_path_matches(path, event, NULL);
    cpl_buf_init(&text, 1 << 20);
    good = fill_placeholders(want, configuration, &text);
    want = cpl_buf_str(&text);
    good = good && emu_json_path_matches(path, event, &want);
    cpl_buf_release(&text);
    return good;
}

static bool passes_all(const cpl_json *definition, const cpl_json *pipeline, const cpl_json *event) {
    const cpl_json *stage = cpl_json_first(cpl_json_get(pipeline, "stages"));
    const cpl_json *action = emu_find(cpl_json_get(stage, "actions"), "name", EMU_GET(definition, "targetAction"));
    for (const cpl_json *i = cpl_json_first(cpl_json_get(definition, "filters")); i; i = cpl_json_next(i)) {
        if (!passes(i, cpl_json_get(action, "configuration"), event)) return false;
    }
    return action != NULL;
}

typedef struct verdict {
    int status;
    const char *message;
} verdict;

static verdict start(emu *e, cpl_json *document, const cpl_json *event) {
    const cpl_json *definition = cpl_json_get(document, "definition");
    const char *name = EMU_GET(definition, "targetPipeline");
    const cpl_json *pipeline = emu_pipeline_latest(emu_store_get(emu_store_of(e), EMU_PIPELINE, name));
    if (pipeline == NULL) return (verdict){404, "the webhook's pipeline does not exist"};
    if (!passes_all(definition, pipeline, event)) return (verdict){200, "the event does not match the filters"};
    if (emu_at_concurrency_limit(emu_engine_of(e), pipeline))
        return (verdict){429, "the pipeline has as many executions in progress as it may have"};
    emu_store_touch(emu_store_of(e), EMU_WEBHOOK, EMU_GET(definition, "name"));
    if (!cpl_json_set_number(document, "lastTriggered", emu_now_s(e)) ||
        !emu_execution_start(emu_engine_of(e), name,
                             &(emu_start){.trigger = "Webhook", .detail = EMU_GET(document, "arn")})) {
        return (verdict){500, "the emulator is out of memory"};
    }
    return (verdict){200, "the pipeline was started"};
}

static cpl_json *with_token(emu *e, cpl_str token) {
    emu_store *store = emu_store_of(e);
    for (size_t i = 0; i < emu_store_size(store, EMU_WEBHOOK); i++) {
        const char *name;
        cpl_json *document = emu_store_at(store, EMU_WEBHOOK, i, &name);
        if (cpl_secret_eq(cpl_json_get_str(document, "token"), token)) return document;
    }
    return NULL;
}

static verdict take_event(emu *e, const emu_request *request) {
    cpl_json *document = with_token(e, cpl_str_sub(request->path, strlen(EMU_WEBHOOK_PATH), request->path.n));
    cpl_json *event = NULL;
    verdict v;
    if (document == NULL) return (verdict){404, "there is no webhook with this URL"};
    if (!cpl_str_is(request->method, "POST")) return (verdict){405, "events are posted"};
    if (request->too_large) return (verdict){413, "the event is larger than 1 MiB"};
    if (!emu_webhook_authentic(cpl_json_get(document, "definition"), request))
        return (verdict){403, "the sender could not prove who it is"};
    if (cpl_json_parse(request->body, &event, NULL) != CPL_OK)
        return (verdict){400, "the event is not a JSON document"};
    v = start(e, document, event);
    cpl_json_free(event);
    return v;
}

void emu_webhook_answer(emu *e, const emu_request *request, emu_response *response) {
    verdict v;
    emu_engine_advance(e);
    v = take_event(e, request);
    if (emu_store_commit(emu_store_of(e), NULL) != CPL_OK) v = (verdict){500, "the state could not be written"};
    response->status = v.status;
    cpl_buf_addf(&response->body, "{\"message\":\"%s\"}", v.message);
    emu_response_header(response, "Content-Type", CPL_LIT("application/json"));
}
