/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <sys/utsname.h>

#include "clock.h"
#include "err.h"

#define CONNECT_TIMEOUT_MS 3100
#define READ_TIMEOUT_MS 60000
#define RESPONSE_LIMIT (64u << 20)

/* ---- options ---- */

static cpl_status check_options(const cpl_client_options *options, cpl_error *err) {
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"connect_timeout_ms", options->connect_timeout_ms},
        {"read_timeout_ms", options->read_timeout_ms},
        {"total_timeout_ms", options->total_timeout_ms},
        {"max_attempts", options->max_attempts},
    };
    for (size_t i = 0; i < CPL_COUNT(numbers); i++) {
        if (numbers[i].value < 0) {
            return cpl_fail_at(err, CPL_INVALID, numbers[i].name, "%s: %lld is less than 0", numbers[i].name,
                               (long long)numbers[i].value);
        }
    }
    return CPL_OK;
}

/* An option, else what the environment or the profile says; absent when nobody says anything. */
static cpl_str choose(cpl_str option, const char *setting) {
    return option.n > 0 ? option : cpl_str_of(setting);
}

static cpl_status read_switch(const cpl_config *config, const char *env, const char *key, bool *out, cpl_error *err) {
    cpl_str text = cpl_str_of(cpl_config_setting(config, env, key));
    *out = cpl_str_is_nocase(text, "true");
    if (text.n == 0 || *out || cpl_str_is_nocase(text, "false")) return CPL_OK;
    return cpl_fail_at(err, CPL_CONFIG, key, "%s: \"%.*s\" is neither true nor false", key, (int)cpl_utf8_cut(text, 80),
                       text.p);
}

static cpl_status set_retry(cpl_client *client, int option, cpl_error *err) {
    cpl_str text = cpl_str_of(cpl_config_setting(client->config, "AWS_MAX_ATTEMPTS", "max_attempts"));
    int64_t attempts = option;
    client->retry = *cpl_retry_policy_of(CPL_RETRY_2_1);
    cpl_retry_quota_init(&client->quota, client->retry.quota);
    if (option == 0 && text.n > 0 && (!cpl_str_integer(text, &attempts) || attempts < 1 || attempts > INT32_MAX)) {
        return cpl_fail_at(err, CPL_CONFIG, "max_attempts", "max_attempts: \"%.*s\" is not a number from 1 on",
                           (int)cpl_utf8_cut(text, 80), text.p);
    }
    if (attempts > 0) client->retry.max_attempts = (int)attempts;
    return CPL_OK;
}

static cpl_status set_region(cpl_client *client, cpl_str option, cpl_error *err) {
    const char *setting = cpl_config_env(client->config, "AWS_REGION");
    if (setting == NULL) setting = cpl_config_setting(client->config, "AWS_DEFAULT_REGION", "region");
    option = choose(option, setting);
    if (option.n == 0) {
        return cpl_fail_at(err, CPL_CONFIG, "region",
                           "no region: pass one, set AWS_REGION, or set \"region\" in the profile \"%s\"",
                           cpl_config_profile(client->config));
    }
    client->region = cpl_strdup(option);
    return client->region ? CPL_OK : cpl_fail_nomem(err);
}

static cpl_status set_endpoint(cpl_client *client, const cpl_client_options *options, cpl_error *err) {
    cpl_str s3 = choose(options->s3_endpoint_url, cpl_config_endpoint_url(client->config, "s3"));
    cpl_endpoint_params params = {
        .service = CPL_LIT("codepipeline"),
        .region = cpl_str_of(client->region),
        .override_url = choose(options->endpoint_url, cpl_config_endpoint_url(client->config, "codepipeline"))};
    cpl_buf url;
    cpl_status status = read_switch(client->config, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint", &client->fips, err);
    if (status) return status;
    status =
        read_switch(client->config, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint", &client->dual_stack, err);
    if (status) return status;
    params.fips = client->fips;
    params.dual_stack = client->dual_stack;
    status = cpl_endpoint_resolve(&params, &client->endpoint, err);
    if (status) return status;
    cpl_buf_init(&url, sizeof client->endpoint.url + 1);
    cpl_buf_adds(&url, client->endpoint.url);
    cpl_buf_addc(&url, '/');
    client->url = cpl_buf_detach(&url);
    if (s3.n > 0) client->s3_endpoint_url = cpl_strdup(s3);
    if (client->url == NULL || (s3.n > 0 && client->s3_endpoint_url == NULL)) return cpl_fail_nomem(err);
    if (cpl_url_parse(cpl_str_of(client->url), &client->url_parts)) return CPL_OK;
    return cpl_fail_at(err, CPL_CONFIG, "endpoint_url", "endpoint_url: \"%s\" is not an http or https URL",
                       client->endpoint.url);
}

static cpl_status check_s3_endpoint(const cpl_client *client, cpl_error *err) {
    cpl_url parts;
    if (client->s3_endpoint_url == NULL || cpl_url_parse(cpl_str_of(client->s3_endpoint_url), &parts)) return CPL_OK;
    return cpl_fail_at(err, CPL_CONFIG, "s3_endpoint_url", "s3_endpoint_url: it is not an http or https URL");
}

static cpl_status set_user_agent(cpl_client *client, cpl_str extra, cpl_error *err) {
    struct utsname system;
    cpl_header header = {CPL_LIT("user-agent"), extra};
    cpl_buf text;
    if (cpl_http_check_header(&header, NULL) || extra.n > 1024) {
        return cpl_fail_at(err, CPL_INVALID, "user_agent_extra",
                           "user_agent_extra: it has a character that cannot be sent, or is too long");
    }
    cpl_buf_init(&text, 4096);
    cpl_buf_adds(&text, "codepipeline/" CPL_VERSION " lib/libcodepipeline");
    if (uname(&system) == 0) cpl_buf_addf(&text, " os/%s#%s", system.sysname, system.release);
    if (extra.n > 0) cpl_buf_addc(&text, ' ');
    cpl_buf_addv(&text, extra);
    client->user_agent = cpl_buf_detach(&text);
    return client->user_agent ? CPL_OK : cpl_fail_nomem(err);
}

static cpl_status set_transport(cpl_client *client, const cpl_client_options *options, cpl_error *err) {
    const cpl_http_options http = {
        .ca_bundle = choose(options->ca_bundle, cpl_config_setting(client->config, "AWS_CA_BUNDLE", "ca_bundle")),
        .connect_timeout_ms = options->connect_timeout_ms ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS,
        .read_timeout_ms = options->read_timeout_ms ? options->read_timeout_ms : READ_TIMEOUT_MS,
        .total_timeout_ms = options->total_timeout_ms};
    client->response_limit = options->response_limit ? options->response_limit : RESPONSE_LIMIT;
    client->signer = cpl_signer_new();
    if (client->signer == NULL) return cpl_fail_nomem(err);
    return cpl_http_new(&client->http, &http, err);
}

static cpl_status set_up(cpl_client *client, const cpl_client_options *options, cpl_error *err) {
    const cpl_credentials given = {options->access_key_id, options->secret_access_key, options->session_token};
    cpl_status status = check_options(options, err);
    if (status == CPL_OK) status = cpl_config_load(&client->config, options->profile, err);
    if (status == CPL_OK) status = set_retry(client, options->max_attempts, err);
    if (status == CPL_OK) status = set_region(client, options->region, err);
    if (status == CPL_OK) status = set_endpoint(client, options, err);
    if (status == CPL_OK) status = check_s3_endpoint(client, err);
    if (status == CPL_OK) status = set_user_agent(client, options->user_agent_extra, err);
    if (status == CPL_OK) status = cpl_creds_new(&client->creds, client->config, &given, err);
    if (status == CPL_OK) status = set_transport(client, options, err);
    return status;
}

/* ---- the object ---- */

cpl_status cpl_client_new(cpl_client **out, const cpl_client_options *options, cpl_error *err) {
    static const cpl_client_options defaults;
    cpl_client *client = cpl_calloc(1, sizeof *client);
    cpl_status status;
    *out = NULL;
    if (client == NULL) return cpl_fail_nomem(err);
    atomic_init(&client->references, 1);
    status = set_up(client, options ? options : &defaults, err);
    if (status == CPL_OK) {
        *out = client;
    } else {
        cpl_client_free(client);
    }
    return status;
}

void cpl_client_retain(cpl_client *client) {
    atomic_fetch_add_explicit(&client->references, 1, memory_order_relaxed);
}

void cpl_client_free(cpl_client *client) {
    if (client == NULL || atomic_fetch_sub_explicit(&client->references, 1, memory_order_acq_rel) > 1) return;
    cpl_http_free(client->http);
    cpl_signer_free(client->signer);
    cpl_creds_free(client->creds);
    cpl_config_free(client->config);
    cpl_free(client->region);
    cpl_free(client->user_agent);
    cpl_free(client->url);
    cpl_free(client->s3_endpoint_url);
    cpl_free(client);
}

void cpl_client_close(cpl_client *client) {
    atomic_store(&client->closed, true);
    cpl_http_close_idle(client->http);
}

bool cpl_client_closed(const cpl_client *client) {
    return atomic_load(&client->closed);
}

const char *cpl_client_region(const cpl_client *client) {
    return client->region;
}

const char *cpl_client_endpoint_url(const cpl_client *client) {
    return client->endpoint.url;
}

cpl_status cpl_client_check_open(const cpl_client *client, cpl_error *err) {
    return cpl_client_closed(client) ? cpl_fail(err, CPL_STATE, "the client is closed") : CPL_OK;
}

int64_t cpl_client_now_s(const cpl_client *client) {
    return cpl_clock_wall_ms() / 1000 + atomic_load_explicit(&client->skew_s, memory_order_relaxed);
}
