/* SPDX-License-Identifier: MIT */
/* AssumeRole and AssumeRoleWithWebIdentity: the query protocol, answers in XML. */
#include <stdatomic.h>

#include "../clock.h"
#include "../err.h"
#include "../skew.h"
#include "../xml.h"
#include "provider.h"

#define FORM_MAX ((size_t)256 << 10)
#define CONTENT_TYPE "application/x-www-form-urlencoded; charset=utf-8"

/* ---- the request ---- */

static void add_field(cpl_buf *form, const char *name, cpl_str value) {
    if (value.n == 0) return;
    cpl_buf_addf(form, "&%s=", name);
    cpl_buf_add_uri(form, value, false);
}

static cpl_status add_role(cpl_buf *form, const cpl_creds_role *role, int64_t now_s, cpl_error *err) {
    char made_up[64];
    int64_t seconds;
    if (role->duration && (!cpl_str_integer(cpl_str_of(role->duration), &seconds) || seconds < 900 || seconds > 43200))
        return cpl_fail(err, CPL_CREDENTIALS, "duration_seconds of %s: \"%.40s\" is not a number from 900 to 43200",
                        role->place, role->duration);
    snprintf(made_up, sizeof made_up, "codepipeline-%lld", (long long)now_s);
    add_field(form, "RoleArn", cpl_str_of(role->arn));
    add_field(form, "RoleSessionName", cpl_str_of(role->session_name ? role->session_name : made_up));
    add_field(form, "ExternalId", cpl_str_of(role->external_id));
    add_field(form, "DurationSeconds", cpl_str_of(role->duration));
    if (role->mfa_serial) {
        add_field(form, "SerialNumber", cpl_str_of(role->mfa_serial));
        add_field(form, "TokenCode", cpl_str_of(role->mfa_code));
    }
    return CPL_OK;
}

/* ---- the answer ---- */

static cpl_status read_answer(const cpl_http_response *response, const char *action, const char *source,
                              cpl_creds_set **out, cpl_error *err) {
    static const char *const names[] = {"AccessKeyId", "SecretAccessKey", "SessionToken"};
    cpl_creds_texts texts = {.place = "the answer of STS", .source = source};
    char path[128];
    double expires = 0;
    int keys;
    cpl_xml *xml;
    cpl_status status = cpl_xml_parse(cpl_buf_str(&response->body), &xml, err);
    if (status) return cpl_creds_as_credentials(status, err);
    snprintf(path, sizeof path, "%sResponse/%sResult/Credentials", action, action);
    keys = cpl_xml_find(xml, path);
    for (size_t i = 0; i < CPL_COUNT(names); i++) {
        texts.name[i] = names[i];
        texts.text[i] = cpl_xml_text(xml, cpl_xml_child(xml, keys, names[i]));
    }
    if (cpl_time_parse(cpl_xml_text(xml, cpl_xml_child(xml, keys, "Expiration")), &expires)) {
        texts.expires_s = (int64_t)expires;
        status = cpl_creds_require_texts(&texts, out, err);
    } else {
        status = cpl_fail(err, CPL_CREDENTIALS, "the answer of STS has no Expiration");
    }
    cpl_xml_free(xml);
    return status;
}

/* ---- the exchange ---- */

typedef struct exchange {
    const char *action, *source;
    const cpl_creds_set *with; /* NULL: unsigned */
    cpl_endpoint endpoint;
    cpl_buf url, form;
    cpl_signature signature;
    cpl_header headers[8];
    size_t header_count;
} exchange;

static void add_header(exchange *x, cpl_str name, cpl_str value) {
    x->headers[x->header_count++] = (cpl_header){name, value};
}

static cpl_status sign(exchange *x, const cpl_url *url, int64_t now_s, cpl_error *err) {
    const cpl_sign_request request = {.method = CPL_LIT("POST"),
                                      .path = url->path,
                                      .headers = x->headers,
                                      .header_count = x->header_count,
                                      .body = cpl_buf_str(&x->form),
                                      .region = cpl_str_of(x->endpoint.signing_region),
                                      .service = CPL_LIT("sts"),
                                      .time_s = now_s};
    cpl_status status = cpl_sigv4_sign(NULL, &request, &x->with->view, &x->signature, err);
    if (status) return status;
    add_header(x, CPL_LIT("x-amz-date"), cpl_str_of(x->signature.date));
    add_header(x, CPL_LIT("authorization"), cpl_buf_str(&x->signature.authorization));
    if (x->with->view.session_token.n > 0) add_header(x, CPL_LIT("x-amz-security-token"), x->with->view.session_token);
    return CPL_OK;
}

static cpl_status prepare(exchange *x, int64_t now_s, cpl_error *err) {
    cpl_url url;
    cpl_status status = cpl_xml_need(err);
    if (status == CPL_OK) status = cpl_creds_check_text(&x->form, "the request to STS", err);
    if (status == CPL_OK) status = cpl_creds_check_text(&x->url, "the URL of STS", err);
    if (status) return status;
    if (!cpl_url_parse(cpl_buf_str(&x->url), &url))
        return cpl_fail(err, CPL_CREDENTIALS, "the URL of STS, \"%s\", is not one", x->endpoint.url);
    add_header(x, CPL_LIT("host"), url.authority);
    add_header(x, CPL_LIT("content-type"), CPL_LIT(CONTENT_TYPE));
    return x->with ? sign(x, &url, now_s, err) : CPL_OK;
}

/* One request, signed for the time now_s. */
static cpl_status try_at(const cpl_creds_ask *ask, exchange *x, int64_t now_s, cpl_http_response *response,
                         cpl_error *err) {
    cpl_creds_message message = {.method = "POST", .place = "STS"};
    cpl_status status;
    cpl_signature_init(&x->signature);
    x->header_count = 0;
    status = prepare(x, now_s, err);
    if (status == CPL_OK) {
        message.url = cpl_buf_cstr(&x->url);
        message.headers = x->headers;
        message.header_count = x->header_count;
        message.body = cpl_buf_str(&x->form);
        status = cpl_creds_call(ask, &message, response, err);
    }
    cpl_signature_release(&x->signature);
    return status;
}

/* Whether STS refused because of this machine's clock, which is corrected then. */
static bool clock_was_wrong(const cpl_creds_ask *ask, int64_t sent_ms, const cpl_http_response *response,
                            const cpl_error *err) {
    const cpl_skew_answer answer = {sent_ms, cpl_clock_wall_ms(), cpl_http_header(response, "date"),
                                    cpl_http_header(response, "age")};
    _Atomic int64_t *skew_s = ask->line->options->skew_s;
    int64_t used_s, learnt_s;
    if (skew_s == NULL) return false;
    used_s = learnt_s = atomic_load_explicit(skew_s, memory_order_relaxed);
    if (!cpl_skew_learn(&answer, &learnt_s)) return false;
    atomic_store_explicit(skew_s, learnt_s, memory_order_relaxed);
    return cpl_skew_blamed(cpl_str_of(err->code), used_s, learnt_s);
}

static cpl_status run(const cpl_creds_ask *ask, exchange *x, cpl_creds_set **out, cpl_error *err) {
    int64_t sent_ms = cpl_clock_wall_ms();
    cpl_http_response response;
    cpl_error own = {.status = CPL_OK};
    cpl_status status;
    cpl_buf_addf(&x->url, "%s/", x->endpoint.url);
    cpl_http_response_init(&response);
    status = try_at(ask, x, ask->now_s, &response, &own);
    if (status == CPL_CREDENTIALS && x->with && clock_was_wrong(ask, sent_ms, &response, &own)) {
        cpl_http_response_release(&response);
        cpl_http_response_init(&response);
        status = try_at(ask, x, cpl_clock_wall_ms() / 1000 + atomic_load(ask->line->options->skew_s), &response, &own);
    }
    if (status == CPL_OK) status = read_answer(&response, x->action, x->source, out, &own);
    if (status && err) *err = own;
    cpl_buf_wipe(&response.body);
    cpl_http_response_release(&response);
    return cpl_creds_as_credentials(status, err);
}

static cpl_status begin(const cpl_creds_ask *ask, exchange *x, const cpl_creds_role *role, cpl_error *err) {
    cpl_str region = cpl_creds_region(ask);
    cpl_status status;
    cpl_buf_init(&x->url, sizeof x->endpoint.url + 1);
    cpl_buf_init(&x->form, FORM_MAX);
    if (region.n == 0)
        return cpl_fail(err, CPL_CREDENTIALS, "no region to assume \"%.200s\" in: pass one, or set AWS_REGION",
                        role->arn);
    cpl_buf_addf(&x->form, "Action=%s&Version=2011-06-15", x->action);
    status = cpl_creds_endpoint(ask, "sts", "sts", region, &x->endpoint, err);
    return status ? status : add_role(&x->form, role, ask->now_s, err);
}

static void end(exchange *x) {
    cpl_buf_wipe(&x->form);
    cpl_buf_release(&x->form);
    cpl_buf_release(&x->url);
}

cpl_status cpl_creds_assume_role(const cpl_creds_ask *ask, const cpl_creds_role *role, const cpl_creds_set *with,
                                 cpl_creds_set **out, cpl_error *err) {
    exchange x = {.action = "AssumeRole", .source = role->source, .with = with};
    cpl_status status = begin(ask, &x, role, err);
    *out = NULL;
    if (status == CPL_OK) status = run(ask, &x, out, err);
    end(&x);
    return status;
}

cpl_status cpl_creds_assume_web_identity(const cpl_creds_ask *ask, const cpl_creds_role *role, const char *token_file,
                                         cpl_creds_set **out, cpl_error *err) {
    exchange x = {.action = "AssumeRoleWithWebIdentity", .source = role->source};
    cpl_buf token;
    cpl_status status = cpl_creds_read_token(ask, token_file, &token, err);
    *out = NULL;
    if (status == CPL_OK) {
        status = begin(ask, &x, role, err);
        add_field(&x.form, "WebIdentityToken", cpl_buf_str(&token));
        if (status == CPL_OK) status = run(ask, &x, out, err);
        end(&x);
    }
    cpl_buf_wipe(&token);
    cpl_buf_release(&token);
    return status;
}
