/* SPDX-License-Identifier: MIT */
/* What a client would do, step by step, with a word on each. A step that fails is a finding, not an error. */
#include <stdarg.h>

#include "client.h"
#include "clock.h"
#include "err.h"
#include "http_route.h"
#include "json.h"
#include "reply.h"
#include "skew.h"

#define TEXT_MAX 65536
#define CLOCK_TOLERANCE_S 240 /* the service takes five minutes */

typedef struct doctor {
    const cpl_client_options *options;
    const cpl_wait *wait;
    cpl_config *config;
    cpl_client *client;
    cpl_json *document;
    cpl_json *problems; /* in document */
    cpl_buf text;
    bool failed; /* out of memory */
} doctor;

/* ---- findings ---- */

static void add(doctor *d, cpl_json *object, const char *name, const char *text) {
    if (text && text[0] && !cpl_json_set_cstr(object, name, text)) d->failed = true;
}

/* A new object of the document; NULL when out of memory. */
static cpl_json *add_object(doctor *d, const char *name) {
    if (!cpl_json_set(d->document, name, cpl_json_new_object())) d->failed = true;
    return cpl_json_get(d->document, name);
}

static void tell(doctor *d, const char *name, cpl_str value, const char *source) {
    cpl_json *object = add_object(d, name);
    cpl_buf copy; /* with a NUL */
    cpl_buf_init(&copy, 4096);
    cpl_buf_addv(&copy, value);
    add(d, object, "value", cpl_buf_cstr(&copy));
    add(d, object, "source", source);
    cpl_buf_addf(&d->text, "%-24s %s", name, value.n ? cpl_buf_cstr(&copy) : "(default)");
    if (source[0]) cpl_buf_addf(&d->text, "  [%s]", source);
    cpl_buf_addc(&d->text, '\n');
    cpl_buf_release(&copy);
}

static void complain(doctor *d, const char *format, ...) CPL_PRINTF(2, 3);
static void complain(doctor *d, const char *format, ...) {
    char message[2 * sizeof((cpl_error *)0)->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (!cpl_json_push(d->problems, cpl_json_new_string(cpl_str_of(message)))) d->failed = true;
    cpl_buf_addf(&d->text, "PROBLEM                  %s\n", message);
}

/* ---- settings ---- */

static void tell_settings(doctor *d) {
    const struct {
        cpl_setting setting;
        cpl_str option;
    } rows[] = {{CPL_SETTING_RETRY_MODE, d->options->retry_mode},
                {CPL_SETTING_MAX_ATTEMPTS, {NULL, 0}},
                {CPL_SETTING_CA_BUNDLE, d->options->ca_bundle},
                {CPL_SETTING_FIPS, {NULL, 0}},
                {CPL_SETTING_DUAL_STACK, {NULL, 0}}};
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        cpl_found found = cpl_setting_find(d->config, rows[i].setting, rows[i].option);
        if (found.value.n > 0) tell(d, cpl_setting_name(rows[i].setting), found.value, found.place);
    }
}

static void tell_proxy(doctor *d) {
    const char *source = "argument";
    cpl_str proxy = d->options->proxy;
    if (proxy.n == 0) {
        bool https = d->client == NULL || cpl_str_is_nocase(d->client->url_parts.scheme, "https");
        proxy = cpl_str_of(cpl_http_env_proxy(https, &source));
    }
    if (proxy.n > 0) tell(d, "proxy", cpl_http_bare_proxy(proxy), source);
}

static void tell_region(doctor *d) {
    cpl_found found = cpl_setting_find(d->config, CPL_SETTING_REGION, d->options->region);
    if (found.value.n == 0 && d->client) {
        found = (cpl_found){cpl_str_of(cpl_client_region(d->client)), "instance metadata"};
    }
    if (found.value.n > 0) tell(d, "region", found.value, found.place);
}

static void tell_endpoint(doctor *d) {
    cpl_found found = cpl_setting_endpoint(d->config, "codepipeline", d->options->endpoint_url);
    if (d->client == NULL) return;
    tell(d, "endpoint", cpl_str_of(cpl_client_endpoint_url(d->client)), found.value.n ? found.place : "region");
}

/* ---- credentials ---- */

static void mask_key(cpl_str key, char *out, size_t size) {
    bool is_long = key.n >= 16;
    snprintf(out, size, "%.*s****%.*s", is_long ? 4 : 0, key.p, is_long ? 4 : 0, is_long ? key.p + key.n - 4 : "");
}

static void tell_expiry(doctor *d, cpl_json *object, int64_t expires_s, int64_t now_s) {
    char time[CPL_TIME_ISO_SIZE];
    if (expires_s == 0) return;
    cpl_time_iso(expires_s, time);
    add(d, object, "expires", time);
    cpl_buf_addf(&d->text, "%-24s %s\n", "  expire", time);
    if (expires_s <= now_s) complain(d, "the credentials expired at %s", time);
}

/* False when there are none. */
static bool tell_credentials(doctor *d) {
    const cpl_creds_set *set = NULL;
    int64_t now_s = cpl_client_now_s(d->client);
    char key[16];
    cpl_error err;
    cpl_status status = cpl_creds_acquire(d->client->creds, now_s, d->wait, &set, &err);
    if (status) {
        complain(d, "%s", err.message);
        return false;
    }
    mask_key(set->view.access_key_id, key, sizeof key);
    tell(d, "credentials", cpl_str_of(key), set->source);
    tell_expiry(d, cpl_json_get(d->document, "credentials"), set->expires_s, now_s);
    cpl_creds_drop(set);
    return true;
}

/* ---- the service ---- */

static void tell_clock(doctor *d, const cpl_reply *reply, int64_t sent_ms) {
    const cpl_skew_answer answer = {sent_ms, cpl_clock_wall_ms(), cpl_http_header(&reply->response, "date"),
                                    cpl_http_header(&reply->response, "age")};
    int64_t skew_s = 0;
    cpl_json *object;
    if (!cpl_skew_learn(&answer, &skew_s)) return;
    object = add_object(d, "clock");
    if (!cpl_json_set_number(object, "offset", (double)skew_s)) d->failed = true;
    cpl_buf_addf(&d->text, "%-24s %lld s\n", "clock offset", (long long)skew_s);
    if (skew_s > CLOCK_TOLERANCE_S || skew_s < -CLOCK_TOLERANCE_S) {
        complain(d, "this machine's clock is %lld seconds %s the service's", (long long)(skew_s < 0 ? -skew_s : skew_s),
                 skew_s < 0 ? "ahead of" : "behind");
    }
}

/* What no answer means, for somebody who does not know what was tried. */
static void judge_silence(doctor *d, const char *what, const cpl_error *err) {
    cpl_found region = cpl_setting_find(d->config, CPL_SETTING_REGION, d->options->region);
    bool named = cpl_setting_endpoint(d->config, "codepipeline", d->options->endpoint_url).value.n > 0;
    if (err->status == CPL_PROTOCOL) {
        complain(d, "what answers at %s is not the service: %s", cpl_client_endpoint_url(d->client), err->message);
    } else if (err->cause == CPL_CAUSE_NAME && !named) {
        complain(d, "%s: %s; is \"%.*s\" a region, and is there a network?", what, err->message,
                 (int)cpl_utf8_cut(region.value, 64), region.value.p);
    } else if (err->cause == CPL_CAUSE_TRUST) {
        complain(d, "%s: %s; ca_bundle or AWS_CA_BUNDLE names the authorities to trust", what, err->message);
    } else {
        complain(d, "%s: %s", what, err->message);
    }
}

static void judge_refusal(doctor *d, const cpl_error *err) {
    bool is_of_time = strstr(err->message, "Signature expired") || strstr(err->message, "Signature not yet current");
    static const char *const known[] = {"UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException",
                                        "InvalidSignatureException", "IncompleteSignature"};
    if (is_of_time) {
        complain(d, "the service does not take the time of the request: %s: %s", err->code, err->message);
        return;
    }
    for (size_t i = 0; i < CPL_COUNT(known); i++) {
        if (strcmp(err->code, known[i]) != 0) continue;
        complain(d, "the service does not take the credentials: %s: %s", err->code, err->message);
        return;
    }
    if (strcmp(err->code, "AccessDeniedException") == 0) {
        complain(d, "the credentials are good, but may not list pipelines: %s", err->message);
    } else {
        complain(d, "the service refused to list pipelines: %s: %s", err->code, err->message);
    }
}

static void tell_reach(doctor *d, int http_status, int64_t duration_ms) {
    cpl_json *object = add_object(d, "reach");
    if (!cpl_json_set_number(object, "http_status", http_status) ||
        !cpl_json_set_number(object, "duration_ms", (double)duration_ms)) {
        d->failed = true;
    }
    cpl_buf_addf(&d->text, "%-24s HTTP %d after %lld ms\n", "reach", http_status, (long long)duration_ms);
}

/* A call that anybody who may do anything may do, and that changes nothing. */
static void call_service(doctor *d) {
    static const cpl_client_options twice = {.max_attempts = 2}; /* the second with the clock put right */
    int64_t sent_ms = cpl_clock_wall_ms(), begin_ms = cpl_clock_monotonic_ms();
    cpl_client *view = NULL;
    cpl_reply *reply = NULL, *refusal = NULL;
    cpl_call_options options = {.wait = d->wait ? *d->wait : (cpl_wait){0}, .refusal = &refusal};
    cpl_error err;
    cpl_status status = cpl_client_with(&view, d->client, &twice, &err);
    if (status == CPL_OK) {
        status = cpl_client_call(view, CPL_LIT("ListPipelines"), CPL_LIT("{\"maxResults\":1}"), &options, &reply, &err);
    }
    if (reply == NULL) reply = refusal;
    if (reply) {
        tell_reach(d, cpl_reply_http_status(reply), cpl_clock_monotonic_ms() - begin_ms);
        tell_clock(d, reply, sent_ms);
    }
    if (status == CPL_SERVICE) judge_refusal(d, &err);
    if (status && status != CPL_SERVICE) judge_silence(d, "the service cannot be asked", &err);
    cpl_reply_free(reply);
    cpl_client_free(view);
}

/* Without credentials any answer tells that the endpoint is there. */
static void knock(doctor *d) {
    int64_t sent_ms = cpl_clock_wall_ms(), begin_ms = cpl_clock_monotonic_ms();
    cpl_reply *reply = cpl_reply_new(0);
    const cpl_http_request request = {.method = CPL_LIT("GET"),
                                      .url = cpl_str_of(d->client->url),
                                      .body_limit = TEXT_MAX,
                                      .wait = d->wait,
                                      .limits = &d->client->limits};
    cpl_error err;
    if (reply == NULL) {
        d->failed = true;
    } else if (cpl_http_send(d->client->http, &request, &reply->response, &err)) {
        judge_silence(d, "the endpoint cannot be reached", &err);
    } else {
        tell_reach(d, reply->response.status, cpl_clock_monotonic_ms() - begin_ms);
        tell_clock(d, reply, sent_ms);
    }
    cpl_reply_free(reply);
}

/* ---- all of it ---- */

static void examine(doctor *d) {
    cpl_error err;
    if (cpl_config_load(&d->config, d->options->profile, &err)) {
        complain(d, "%s", err.message);
        return;
    }
    cpl_config_ignore_endpoints(d->config, d->options->ignore_configured_endpoint_urls);
    tell(d, "profile", cpl_str_of(cpl_config_profile(d->config)), cpl_config_profile_source(d->config));
    if (cpl_client_new(&d->client, d->options, &err)) complain(d, "%s", err.message);
    tell_region(d);
    tell_endpoint(d);
    tell_settings(d);
    tell_proxy(d);
    if (d->client == NULL) return;
    if (tell_credentials(d)) {
        call_service(d);
    } else {
        knock(d);
    }
}

static cpl_status write_reply(doctor *d, cpl_reply **out, cpl_error *err) {
    bool healthy = cpl_json_count(d->problems) == 0;
    cpl_reply *reply = cpl_reply_new(0);
    if (reply == NULL) return cpl_fail_nomem(err);
    if (healthy) cpl_buf_adds(&d->text, "all is well\n");
    if (!cpl_json_set_bool(d->document, "healthy", healthy)) d->failed = true;
    if (!cpl_json_set_str(d->document, "text", cpl_buf_str(&d->text))) d->failed = true;
    cpl_json_write(d->document, &reply->response.body);
    if (d->failed || !cpl_buf_ok(&d->text) || !cpl_buf_ok(&reply->response.body)) {
        cpl_reply_free(reply);
        return cpl_fail_nomem(err);
    }
    *out = reply;
    return CPL_OK;
}

cpl_status cpl_doctor(const cpl_client_options *options, const cpl_wait *wait, cpl_reply **out, cpl_error *err) {
    static const cpl_client_options defaults;
    doctor d = {.options = options ? options : &defaults, .wait = wait};
    cpl_status status = CPL_NOMEM;
    *out = NULL;
    cpl_buf_init(&d.text, TEXT_MAX);
    d.document = cpl_json_new_object();
    if (cpl_json_set_cstr(d.document, "version", CPL_VERSION) &&
        cpl_json_set(d.document, "problems", cpl_json_new_array())) {
        d.problems = cpl_json_get(d.document, "problems");
        examine(&d);
        status = write_reply(&d, out, err);
    } else {
        cpl_fail_nomem(err);
    }
    cpl_json_free(d.document);
    cpl_buf_release(&d.text);
    cpl_client_free(d.client);
    cpl_config_free(d.config);
    return status;
}
