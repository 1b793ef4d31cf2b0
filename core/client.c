/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <sys/utsname.h>

#include "clock.h"
#include "err.h"
#include "stub.h"

#define READ_TIMEOUT_MS 60000
#define RESPONSE_LIMIT (64u << 20)

/* ---- options ---- */

/* Whatever is to become part of a header, a URL or a file's name; bytes above ASCII are for those who use it. */
static bool has_control(cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < ' ' || c == 0x7f) return true;
    }
    return false;
}

static cpl_status check_texts(const cpl_client_options *options, cpl_error *err) {
    const struct {
        const char *name;
        cpl_str text;
    } texts[] = {{"region", options->region},
                 {"profile", options->profile},
                 {"access_key_id", options->access_key_id},
                 {"secret_access_key", options->secret_access_key},
                 {"session_token", options->session_token},
                 {"endpoint_url", options->endpoint_url},
                 {"s3_endpoint_url", options->s3_endpoint_url},
                 {"ca_bundle", options->ca_bundle},
                 {"user_agent_extra", options->user_agent_extra},
                 {"retry_mode", options->retry_mode},
                 {"app_id", options->app_id},
                 {"proxy", options->proxy},
                 {"client_cert", options->client_cert},
                 {"client_key", options->client_key}};
    for (size_t i = 0; i < CPL_COUNT(texts); i++) {
        if (!has_control(texts[i].text)) continue;
        return cpl_fail_at(err, CPL_INVALID, texts[i].name, "%s: it has a control character", texts[i].name);
    }
    return CPL_OK;
}

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
    return check_texts(options, err);
}

static cpl_status set_retry(cpl_client *client, const cpl_client_options *options, cpl_error *err) {
    bool as_it_is;
    cpl_status status = cpl_setting_retry(client->config, options, &client->retry, &client->adaptive, err);
    if (status == CPL_OK) {
        status = cpl_setting_switch(client->config, CPL_SETTING_CLOCK_AS_IT_IS, CPL_CHOICE_DEFAULT, &as_it_is, err);
    }
    if (status) return status;
    client->correct_clock = !as_it_is;
    cpl_retry_quota_init(&client->quota, client->retry.quota);
    status = cpl_rate_init(&client->rate, (double)cpl_clock_monotonic_ms() / 1000, err);
    client->rate_made = status == CPL_OK;
    return status;
}

static cpl_status set_checksums(cpl_client *client, cpl_error *err) {
    cpl_status status = cpl_setting_checksums(client->config, CPL_SETTING_CHECKSUMS_SENT, &client->checksums_sent, err);
    if (status) return status;
    return cpl_setting_checksums(client->config, CPL_SETTING_CHECKSUMS_CHECKED, &client->checksums_checked, err);
}

/* An instance that has a metadata service answers at once; nobody should wait long for one that has none. */
#define INSTANCE_REGION_MS 2000

static cpl_status set_credentials(cpl_client *client, const cpl_client_options *options, cpl_error *err) {
    const cpl_creds_options creds = {
        .config = client->config,
        .given = {options->access_key_id, options->secret_access_key, options->session_token},
        .skew_s = client->correct_clock ? &client->skew_s : NULL,
        .source = options->source,
        .anonymous = options->anonymous || options->stub,
        .fips = options->use_fips_endpoint,
        .dual_stack = options->use_dualstack_endpoint,
        .region = cpl_setting_find(client->config, CPL_SETTING_REGION, options->region).value};
    client->own_creds = true;
    return cpl_creds_open(&client->creds, &creds, err);
}

static cpl_status set_region(cpl_client *client, cpl_str option, cpl_error *err) {
    const cpl_wait wait = {.timeout_ms = INSTANCE_REGION_MS};
    cpl_str region = cpl_setting_find(client->config, CPL_SETTING_REGION, option).value;
    char instance[CPL_REGION_SIZE];
    if (region.n == 0 && cpl_creds_instance_region(client->creds, &wait, instance, NULL) == CPL_OK) {
        region = cpl_str_of(instance);
    }
    if (region.n == 0) {
        return cpl_fail_at(err, CPL_CONFIG, "region",
                           "no region: pass one, set AWS_REGION, or set \"region\" in the profile \"%s\"",
                           cpl_config_profile(client->config));
    }
    client->region = cpl_strdup(region);
    return client->region ? CPL_OK : cpl_fail_nomem(err);
}

/* A copy in *to; an absent text gives NULL. */
static cpl_status keep(char **to, cpl_str text, cpl_error *err) {
    if (text.n == 0) return CPL_OK;
    *to = cpl_strdup(text);
    return *to ? CPL_OK : cpl_fail_nomem(err);
}

static void cut_fips(cpl_client *client) {
    cpl_str region = cpl_str_of(client->region);
    if (!cpl_endpoint_cut_fips(&region)) return;
    client->fips = true;
    memmove(client->region, region.p, region.n);
    client->region[region.n] = '\0';
}

/* From region, override_url, fips and dual_stack, which are set already. */
static cpl_status set_url(cpl_client *client, cpl_error *err) {
    const cpl_endpoint_params params = {.service = CPL_LIT("codepipeline"),
                                        .region = cpl_str_of(client->region),
                                        .override_url = cpl_str_of(client->override_url),
                                        .fips = client->fips,
                                        .dual_stack = client->dual_stack};
    cpl_buf url;
    cpl_status status = cpl_endpoint_resolve(&params, &client->endpoint, err);
    if (status) return status;
    cpl_buf_init(&url, sizeof client->endpoint.url + 1);
    cpl_buf_adds(&url, client->endpoint.url);
    cpl_buf_addc(&url, '/');
    client->url = cpl_buf_detach(&url);
    if (client->url == NULL) return cpl_fail_nomem(err);
    if (cpl_url_parse(cpl_str_of(client->url), &client->url_parts)) return CPL_OK;
    return cpl_fail_at(err, CPL_CONFIG, "endpoint_url", "endpoint_url: \"%s\" is not an http or https URL",
                       client->endpoint.url);
}

static cpl_status set_endpoint(cpl_client *client, const cpl_client_options *options, cpl_error *err) {
    const cpl_config *config = client->config;
    cpl_str url = cpl_setting_endpoint(config, "codepipeline", options->endpoint_url).value;
    cpl_str s3 = cpl_setting_endpoint(config, "s3", options->s3_endpoint_url).value;
    cpl_status status = cpl_setting_switch(config, CPL_SETTING_FIPS, options->use_fips_endpoint, &client->fips, err);
    if (status == CPL_OK) {
        status = cpl_setting_switch(config, CPL_SETTING_DUAL_STACK, options->use_dualstack_endpoint,
                                    &client->dual_stack, err);
    }
    cut_fips(client);
    if (status == CPL_OK) status = keep(&client->override_url, url, err);
    if (status == CPL_OK) status = keep(&client->s3_endpoint_url, s3, err);
    return status ? status : set_url(client, err);
}

static cpl_status check_s3_endpoint(const cpl_client *client, cpl_error *err) {
    cpl_url parts;
    if (client->s3_endpoint_url == NULL || cpl_url_parse(cpl_str_of(client->s3_endpoint_url), &parts)) return CPL_OK;
    return cpl_fail_at(err, CPL_CONFIG, "s3_endpoint_url", "s3_endpoint_url: it is not an http or https URL");
}

static cpl_status set_user_agent(cpl_client *client, const cpl_client_options *options, cpl_error *err) {
    struct utsname system;
    cpl_header header = {CPL_LIT("user-agent"), options->user_agent_extra};
    cpl_buf text;
    char *app = NULL;
    cpl_status status;
    if (cpl_http_check_header(&header, NULL) || header.value.n > 1024) {
        return cpl_fail_at(err, CPL_INVALID, "user_agent_extra",
                           "user_agent_extra: it has a character that cannot be sent, or is too long");
    }
    status = cpl_setting_app_id(client->config, options->app_id, &app, err);
    if (status) return status;
    cpl_buf_init(&text, 4096);
    cpl_buf_adds(&text, "codepipeline/" CPL_VERSION);
    if (uname(&system) == 0) cpl_buf_addf(&text, " os/%s#%s", system.sysname, system.release);
    if (app) cpl_buf_addf(&text, " app/%s", app);
    if (header.value.n > 0) cpl_buf_addc(&text, ' ');
    cpl_buf_addv(&text, header.value);
    client->user_agent = cpl_buf_detach(&text);
    cpl_free(app);
    return client->user_agent ? CPL_OK : cpl_fail_nomem(err);
}

static int64_t given_or(int64_t given, int64_t otherwise) {
    return given ? given : otherwise;
}

static cpl_status set_limits(cpl_client *client, const cpl_client_options *options, cpl_error *err) {
    int64_t connect_ms;
    cpl_status status = cpl_setting_connect_timeout(client->config, &connect_ms, err);
    client->limits = (cpl_http_limits){given_or(options->connect_timeout_ms, connect_ms),
                                       given_or(options->read_timeout_ms, READ_TIMEOUT_MS), options->total_timeout_ms};
    client->response_limit = options->response_limit ? options->response_limit : RESPONSE_LIMIT;
    return status;
}

static cpl_status set_transport(cpl_client *client, const cpl_client_options *options, cpl_error *err) {
    const cpl_http_options http = {
        .ca_bundle = cpl_setting_find(client->config, CPL_SETTING_CA_BUNDLE, options->ca_bundle).value,
        .proxy = cpl_str_is(options->proxy, "none") ? CPL_LIT("") : options->proxy,
        .proxy_set = options->proxy.n > 0,
        .client_cert = options->client_cert,
        .client_key = options->client_key,
        .connect_timeout_ms = client->limits.connect_timeout_ms,
        .read_timeout_ms = client->limits.read_timeout_ms,
        .total_timeout_ms = client->limits.total_timeout_ms};
    cpl_status status;
    if (options->client_key.n > 0 && options->client_cert.n == 0) {
        return cpl_fail_at(err, CPL_INVALID, "client_key", "client_key: a key without client_cert");
    }
    client->signer = cpl_signer_new();
    client->watch = cpl_watch_new();
    if (client->signer == NULL || client->watch == NULL) return cpl_fail_nomem(err);
    status = cpl_http_new(&client->http, &http, err);
    if (status == CPL_OK) cpl_creds_use_http(client->creds, client->http);
    return status;
}

static cpl_status set_up(cpl_client *client, const cpl_client_options *options, cpl_error *err) {
    cpl_status status = check_options(options, err);
    if (status == CPL_OK) status = cpl_config_load(&client->config, options->profile, err);
    if (status == CPL_OK) cpl_config_ignore_endpoints(client->config, options->ignore_configured_endpoint_urls);
    if (status == CPL_OK) status = set_retry(client, options, err);
    if (status == CPL_OK) status = set_checksums(client, err);
    if (status == CPL_OK) status = set_credentials(client, options, err);
    if (status == CPL_OK) status = set_region(client, options->region, err);
    if (status == CPL_OK) status = set_endpoint(client, options, err);
    if (status == CPL_OK) status = check_s3_endpoint(client, err);
    if (status == CPL_OK) status = set_user_agent(client, options, err);
    if (status == CPL_OK) status = set_limits(client, options, err);
    if (status == CPL_OK) status = set_transport(client, options, err);
    return status;
}

static void use_stub(cpl_client *client, cpl_stub *stub) {
    client->stub = stub;
    if (stub) cpl_stub_retain(stub);
}

/* ---- the object ---- */

cpl_status cpl_client_new(cpl_client **out, const cpl_client_options *options, cpl_error *err) {
    static const cpl_client_options defaults;
    cpl_client *client = cpl_calloc(1, sizeof *client);
    cpl_status status;
    *out = NULL;
    if (client == NULL) return cpl_fail_nomem(err);
    atomic_init(&client->references, 1);
    client->root = client;
    client->whose = client;
    use_stub(client, options ? options->stub : NULL);
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
    cpl_watch_free(client->watch);
    if (client->own_creds) cpl_creds_free(client->creds);
    if (client->parent == NULL) {
        cpl_http_free(client->http);
        cpl_signer_free(client->signer);
        cpl_config_free(client->config);
    }
    if (client->rate_made) cpl_rate_release(&client->rate);
    cpl_free(client->region);
    cpl_free(client->user_agent);
    cpl_free(client->url);
    cpl_free(client->override_url);
    cpl_free(client->s3_endpoint_url);
    cpl_stub_free(client->stub);
    cpl_client_free(client->parent);
    cpl_free(client);
}

void cpl_client_close(cpl_client *client) {
    atomic_store(&client->closed, true);
    if (client->parent == NULL) cpl_http_close_idle(client->http);
}

bool cpl_client_closed(const cpl_client *client) {
    for (; client; client = client->parent) {
        if (atomic_load(&client->closed)) return true;
    }
    return false;
}

const char *cpl_client_region(const cpl_client *client) {
    return client->region;
}

const char *cpl_client_partition(const cpl_client *client) {
    return cpl_endpoint_partition(cpl_str_of(client->region));
}

const char *cpl_client_endpoint_url(const cpl_client *client) {
    return client->endpoint.url;
}

cpl_status cpl_client_check_open(const cpl_client *client, cpl_error *err) {
    return cpl_client_closed(client) ? cpl_fail(err, CPL_STATE, "the client is closed") : CPL_OK;
}

int64_t cpl_client_now_s(const cpl_client *client) {
    return cpl_clock_wall_ms() / 1000 + atomic_load_explicit(&client->root->skew_s, memory_order_relaxed);
}

/* ---- views ---- */

/* What belongs to the connections or to the profile is the root's, and the same for all. */
static cpl_status check_overrides(const cpl_client_options *options, cpl_error *err) {
    const struct {
        const char *name;
        bool given;
    } fixed[] = {{"profile", options->profile.n > 0},
                 {"ca_bundle", options->ca_bundle.n > 0},
                 {"proxy", options->proxy.n > 0},
                 {"client_cert", options->client_cert.n > 0},
                 {"client_key", options->client_key.n > 0},
                 {"user_agent_extra", options->user_agent_extra.n > 0},
                 {"retry_mode", options->retry_mode.n > 0},
                 {"app_id", options->app_id.n > 0},
                 {"ignore_configured_endpoint_urls", options->ignore_configured_endpoint_urls}};
    for (size_t i = 0; i < CPL_COUNT(fixed); i++) {
        if (!fixed[i].given) continue;
        return cpl_fail_at(err, CPL_INVALID, fixed[i].name, "%s: it needs a client of its own", fixed[i].name);
    }
    return check_options(options, err);
}

static cpl_status copy_endpoint(cpl_client *view, const cpl_client *from, const cpl_client_options *options,
                                cpl_error *err) {
    cpl_str region = options->region.n ? options->region : cpl_str_of(from->region);
    cpl_str url = options->endpoint_url.n ? options->endpoint_url : cpl_str_of(from->override_url);
    cpl_str s3 = options->s3_endpoint_url.n ? options->s3_endpoint_url : cpl_str_of(from->s3_endpoint_url);
    cpl_status status = keep(&view->region, region, err);
    view->fips = options->use_fips_endpoint ? options->use_fips_endpoint == CPL_CHOICE_YES : from->fips;
    view->dual_stack =
        options->use_dualstack_endpoint ? options->use_dualstack_endpoint == CPL_CHOICE_YES : from->dual_stack;
    if (status == CPL_OK) cut_fips(view);
    if (status == CPL_OK) status = keep(&view->override_url, url, err);
    if (status == CPL_OK) status = keep(&view->s3_endpoint_url, s3, err);
    if (status == CPL_OK) status = keep(&view->user_agent, cpl_str_of(from->user_agent), err);
    if (status == CPL_OK) status = set_url(view, err);
    return status ? status : check_s3_endpoint(view, err);
}

static void copy_limits(cpl_client *view, const cpl_client *from, const cpl_client_options *options) {
    view->limits = (cpl_http_limits){given_or(options->connect_timeout_ms, from->limits.connect_timeout_ms),
                                     given_or(options->read_timeout_ms, from->limits.read_timeout_ms),
                                     given_or(options->total_timeout_ms, from->limits.total_timeout_ms)};
    view->response_limit = options->response_limit ? options->response_limit : from->response_limit;
    view->retry = from->retry;
    if (options->max_attempts > 0) view->retry.max_attempts = options->max_attempts;
    view->adaptive = from->adaptive;
    view->correct_clock = from->correct_clock;
    view->checksums_sent = from->checksums_sent;
    view->checksums_checked = from->checksums_checked;
}

static cpl_status set_up_view(cpl_client *view, const cpl_client *from, const cpl_client_options *options,
                              cpl_error *err) {
    const cpl_credentials given = {options->access_key_id, options->secret_access_key, options->session_token};
    cpl_status status = check_overrides(options, err);
    if (status) return status;
    copy_limits(view, from, options);
    use_stub(view, options->stub ? options->stub : from->stub);
    view->config = from->config;
    view->signer = from->signer;
    view->http = from->http;
    view->watch = cpl_watch_new();
    if (view->watch == NULL) return cpl_fail_nomem(err);
    view->own_creds = given.access_key_id.n > 0 || given.secret_access_key.n > 0 || given.session_token.n > 0 ||
                      options->source.keys || options->anonymous || options->stub;
    if (view->own_creds) {
        const cpl_creds_options creds = {.config = view->config,
                                         .skew_s = view->correct_clock ? &view->root->skew_s : NULL,
                                         .given = given,
                                         .source = options->source,
                                         .anonymous = options->anonymous || options->stub};
        status = cpl_creds_open(&view->creds, &creds, err);
        if (status) return status;
    } else {
        view->creds = from->creds;
    }
    return copy_endpoint(view, from, options, err);
}

cpl_status cpl_client_with(cpl_client **out, cpl_client *client, const cpl_client_options *overrides, cpl_error *err) {
    static const cpl_client_options none;
    cpl_client *view = cpl_calloc(1, sizeof *view);
    cpl_status status;
    *out = NULL;
    if (view == NULL) return cpl_fail_nomem(err);
    atomic_init(&view->references, 1);
    view->parent = client;
    view->root = client->root;
    view->whose = view;
    cpl_client_retain(client);
    status = set_up_view(view, client, overrides ? overrides : &none, err);
    if (status == CPL_OK) {
        *out = view;
    } else {
        cpl_client_free(view);
    }
    return status;
}
