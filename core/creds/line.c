/* SPDX-License-Identifier: MIT */
/* How providers talk to services: two ways out of the machine, asking again, and errors told in the service's words. */
#include "../clock.h"
#include "../err.h"
#include "../retry.h"
#include "../xml.h"
#include "provider.h"

#define ANSWER_MAX ((size_t)1 << 20)
#define TOKEN_MAX ((size_t)64 << 10)
#define CONNECT_TIMEOUT_MS 3100
#define READ_TIMEOUT_MS 10000
#define DIRECT_TIMEOUT_S 1
#define ATTEMPTS 3

cpl_status cpl_creds_as_credentials(cpl_status status, cpl_error *err) {
    if (status == CPL_OK || status == CPL_NOMEM || status == CPL_CANCELLED) return status;
    if (err) err->status = CPL_CREDENTIALS;
    return CPL_CREDENTIALS;
}

cpl_status cpl_creds_check_text(const cpl_buf *text, const char *what, cpl_error *err) {
    return cpl_creds_as_credentials(cpl_buf_status(text, what, err), err);
}

/* ---- the ways out ---- */

void cpl_creds_line_release(cpl_creds_line *line) {
    cpl_http_free(line->own);
    cpl_http_free(line->direct);
    line->own = line->direct = NULL;
}

static cpl_http_limits limits_of(const cpl_config *config, bool direct) {
    cpl_str text = cpl_str_of(cpl_config_setting(config, "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout"));
    int64_t seconds = DIRECT_TIMEOUT_S;
    if (!direct) return (cpl_http_limits){CONNECT_TIMEOUT_MS, READ_TIMEOUT_MS, 0};
    if (!cpl_str_integer(text, &seconds) || seconds < 1 || seconds > 3600) seconds = DIRECT_TIMEOUT_S;
    return (cpl_http_limits){seconds * 1000, seconds * 1000, 0};
}

static cpl_status way_out(const cpl_creds_ask *ask, bool direct, cpl_http **out, cpl_error *err) {
    cpl_http **kept = direct ? &ask->line->direct : &ask->line->own;
    const cpl_http_options options = {
        .ca_bundle = cpl_str_of(cpl_config_setting(ask->config, "AWS_CA_BUNDLE", "ca_bundle")),
        .proxy_set = direct,
        .proxy = CPL_LIT("")};
    cpl_status status = CPL_OK;
    *out = ask->line->shared;
    if (*out && !direct) return CPL_OK;
    if (*kept == NULL) status = cpl_http_new(kept, &options, err);
    *out = *kept;
    return status;
}

static cpl_status send_once(const cpl_creds_ask *ask, const cpl_creds_message *message, cpl_http_response *response,
                            cpl_error *err) {
    const cpl_http_limits limits = limits_of(ask->config, message->direct);
    const cpl_http_request request = {.method = cpl_str_of(message->method),
                                      .url = cpl_str_of(message->url),
                                      .headers = message->headers,
                                      .header_count = message->header_count,
                                      .body = message->body,
                                      .body_limit = ANSWER_MAX,
                                      .wait = ask->wait,
                                      .limits = &limits};
    const cpl_creds_options *options = ask->line->options;
    cpl_http *http = NULL;
    cpl_status status;
    if (options->send) return options->send(options->send_context, &request, message->direct, response, err);
    status = way_out(ask, message->direct, &http, err);
    return status ? status : cpl_http_send(http, &request, response, err);
}

/* ---- errors in the service's words ---- */

typedef struct complaint {
    char code[80];
    char message[300];
} complaint;

static void read_json_complaint(cpl_str body, complaint *out) {
    static const char *const codes[] = {"error", "code", "Code", "__type"};
    static const char *const messages[] = {"error_description", "message", "Message"};
    cpl_json *json = NULL;
    if (cpl_json_parse(body, &json, NULL)) return;
    for (size_t i = CPL_COUNT(codes); i-- > 0;) {
        cpl_str text = cpl_json_get_str(json, codes[i]);
        if (text.n > 0) CPL_COPY(out->code, text);
    }
    for (size_t i = CPL_COUNT(messages); i-- > 0;) {
        cpl_str text = cpl_json_get_str(json, messages[i]);
        if (text.n > 0) CPL_COPY(out->message, text);
    }
    cpl_json_free(json);
}

static void read_xml_complaint(cpl_str body, complaint *out) {
    cpl_xml *xml = NULL;
    if (cpl_xml_parse(body, &xml, NULL)) return;
    CPL_COPY(out->code, cpl_xml_text(xml, cpl_xml_find(xml, "ErrorResponse/Error/Code")));
    CPL_COPY(out->message, cpl_xml_text(xml, cpl_xml_find(xml, "ErrorResponse/Error/Message")));
    cpl_xml_free(xml);
}

static complaint read_complaint(const cpl_http_response *response) {
    complaint c = {.code = ""};
    cpl_str body = cpl_buf_str(&response->body);
    if (cpl_str_starts(cpl_str_trim(body), "<")) {
        read_xml_complaint(body, &c);
    } else {
        read_json_complaint(body, &c);
    }
    return c;
}

/* The service was busy, or could not reach whoever signed the token (STS says so with a 400). */
static bool is_passing(const cpl_http_response *response) {
    complaint c;
    if (response->status < 400 || response->status >= 500) return response->status >= 500;
    c = read_complaint(response);
    return strcmp(c.code, "IDPCommunicationError") == 0 ||
           cpl_retry_classify(CPL_SERVICE, response->status, cpl_str_of(c.code)) != CPL_RETRY_NEVER;
}

/* ---- asking ---- */

/* Whether to ask again after the attempt of that number. */
static bool is_worth_more(const cpl_creds_message *message, cpl_status status, const cpl_http_response *response,
                          int attempt) {
    if (status == CPL_OK) return attempt < ATTEMPTS && is_passing(response);
    if (status != CPL_NETWORK && status != CPL_TIMEOUT && status != CPL_PROTOCOL) return false;
    return attempt < (message->attempts > 0 ? message->attempts : ATTEMPTS);
}

static void name_place(const cpl_creds_message *message, cpl_error *err) {
    char words[400];
    if (err == NULL) return;
    CPL_COPY(words, cpl_str_of(err->message));
    cpl_fail(err, CPL_CREDENTIALS, "%s: %s", message->place, words);
}

cpl_status cpl_creds_send(const cpl_creds_ask *ask, const cpl_creds_message *message, cpl_http_response *response,
                          cpl_error *err) {
    cpl_status status = CPL_OK;
    for (int attempt = 1;; attempt++) {
        cpl_http_response_clear(response);
        status = send_once(ask, message, response, err);
        if (!is_worth_more(message, status, response, attempt)) break;
        status = cpl_clock_sleep(50LL << attempt, ask->wait, err);
        if (status) return status;
    }
    status = cpl_creds_as_credentials(status, err);
    if (status == CPL_CREDENTIALS) name_place(message, err);
    return status;
}

static cpl_status complain(const cpl_creds_message *message, const cpl_http_response *response, cpl_error *err) {
    complaint c = read_complaint(response);
    if (c.code[0] || c.message[0]) {
        cpl_fail(err, CPL_CREDENTIALS, "%s answered %d: %s%s%s", message->place, response->status, c.code,
                 c.code[0] && c.message[0] ? ": " : "", c.message);
    } else {
        cpl_fail(err, CPL_CREDENTIALS, "%s answered %d", message->place, response->status);
    }
    if (err) {
        CPL_COPY(err->code, cpl_str_of(c.code));
        CPL_COPY(err->request_id, cpl_http_header(response, "x-amzn-requestid"));
        err->http_status = response->status;
    }
    return CPL_CREDENTIALS;
}

cpl_status cpl_creds_call(const cpl_creds_ask *ask, const cpl_creds_message *message, cpl_http_response *response,
                          cpl_error *err) {
    cpl_status status = cpl_creds_send(ask, message, response, err);
    if (status) return status;
    return response->status >= 200 && response->status < 300 ? CPL_OK : complain(message, response, err);
}

/* ---- where services are, and tokens ---- */

cpl_str cpl_creds_region(const cpl_creds_ask *ask) {
    cpl_str region = ask->line->options->region;
    const char *setting = cpl_config_env(ask->config, "AWS_REGION");
    if (region.n > 0) return region;
    return cpl_str_of(setting ? setting : cpl_config_setting(ask->config, "AWS_DEFAULT_REGION", "region"));
}

static bool chosen(const cpl_creds_ask *ask, cpl_choice option, const char *variable, const char *property) {
    return option ? option == CPL_CHOICE_YES : cpl_config_switch(ask->config, variable, property);
}

cpl_status cpl_creds_endpoint(const cpl_creds_ask *ask, const char *service, const char *setting, cpl_str region,
                              cpl_endpoint *out, cpl_error *err) {
    const char *legacy = cpl_config_setting(ask->config, "AWS_STS_REGIONAL_ENDPOINTS", "sts_regional_endpoints");
    const cpl_endpoint_params params = {
        .service = cpl_str_of(service),
        .region = region,
        .override_url = cpl_str_of(cpl_config_endpoint_url(ask->config, setting)),
        .fips = chosen(ask, ask->line->options->fips, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
        .dual_stack =
            chosen(ask, ask->line->options->dual_stack, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
        .legacy_global = legacy && cpl_str_is(cpl_str_of(legacy), "legacy")};
    return cpl_creds_as_credentials(cpl_endpoint_resolve(&params, out, err), err);
}

cpl_status cpl_creds_read_token(const cpl_creds_ask *ask, const char *path, cpl_buf *out, cpl_error *err) {
    cpl_header header = {CPL_LIT("authorization"), {NULL, 0}};
    cpl_status status;
    cpl_buf_init(out, TOKEN_MAX);
    status = cpl_creds_as_credentials(cpl_config_read(ask->config, path, out, err), err);
    if (status) return status;
    while (out->n > 0 && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == '\r')) cpl_buf_truncate(out, out->n - 1);
    header.value = cpl_buf_str(out);
    if (out->n > 0 && cpl_http_check_header(&header, NULL) == CPL_OK) return CPL_OK;
    return cpl_fail(err, CPL_CREDENTIALS, "the token file \"%s\" is empty, or has a character no token has", path);
}
