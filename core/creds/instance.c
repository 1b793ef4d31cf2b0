/* SPDX-License-Identifier: MIT */
/* The EC2 instance metadata service, version 2: a token first, so that a request forged through us gets nothing. */
#include "../err.h"
#include "provider.h"

#define TOKEN_TTL "21600"
#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"
#define PLACE "the instance metadata"

/* ---- where, and whether ---- */

cpl_status cpl_creds_instance_url(const cpl_config *config, cpl_buf *out, cpl_error *err) {
    const char *url = cpl_config_setting(config, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint");
    cpl_str mode = cpl_str_of(
        cpl_config_setting(config, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode"));
    cpl_url parts;
    if (url && (!cpl_url_parse(cpl_str_of(url), &parts) || parts.query.n > 0))
        return cpl_fail(err, CPL_CREDENTIALS, "ec2_metadata_service_endpoint: \"%.200s\" is not an http or https URL",
                        url);
    if (url) {
        cpl_buf_adds(out, url);
        while (out->n > 0 && out->p[out->n - 1] == '/') cpl_buf_truncate(out, out->n - 1);
    } else if (mode.n == 0 || cpl_str_is_nocase(mode, "IPv4")) {
        cpl_buf_adds(out, "http://169.254.169.254");
    } else if (cpl_str_is_nocase(mode, "IPv6")) {
        cpl_buf_adds(out, "http://[fd00:ec2::254]");
    } else {
        return cpl_fail(err, CPL_CREDENTIALS, "ec2_metadata_service_endpoint_mode: \"%.*s\" is neither IPv4 nor IPv6",
                        (int)cpl_utf8_cut(mode, 80), mode.p);
    }
    return cpl_creds_check_text(out, "the URL of the instance metadata", err);
}

static bool is_disabled(const cpl_config *config) {
    return cpl_config_switch(config, "AWS_EC2_METADATA_DISABLED", NULL);
}

/* Version 1 has no token, so it answers to whoever makes us ask: only for those who say they need it. */
static bool may_use_version_1(const cpl_config *config) {
    const char *text = cpl_config_setting(config, "AWS_EC2_METADATA_V1_DISABLED", "ec2_metadata_v1_disabled");
    return text && cpl_str_is_nocase(cpl_str_of(text), "false");
}

static int attempts(const cpl_config *config) {
    int64_t n = 1;
    cpl_str text =
        cpl_str_of(cpl_config_setting(config, "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "metadata_service_num_attempts"));
    return cpl_str_integer(text, &n) && n >= 1 && n <= 100 ? (int)n : 1;
}

/* ---- the talk ---- */

typedef struct talk {
    const cpl_creds_ask *ask;
    cpl_buf base, token; /* no token: version 1 */
    cpl_http_response response;
    cpl_error *err;
} talk;

static cpl_status send(talk *t, const char *method, const char *path, cpl_header header) {
    cpl_buf url;
    cpl_creds_message message = {.method = method,
                                 .headers = &header,
                                 .header_count = header.value.n > 0,
                                 .place = PLACE,
                                 .attempts = attempts(t->ask->config),
                                 .direct = true};
    cpl_status status;
    cpl_buf_init(&url, 4096);
    cpl_buf_addv(&url, cpl_buf_str(&t->base));
    cpl_buf_adds(&url, path);
    message.url = cpl_buf_cstr(&url);
    status = cpl_creds_check_text(&url, "the URL of the instance metadata", t->err);
    if (status == CPL_OK) status = cpl_creds_send(t->ask, &message, &t->response, t->err);
    cpl_buf_release(&url);
    return status;
}

static cpl_status refuse(const talk *t, const char *what) {
    if (t->err) t->err->http_status = t->response.status;
    return cpl_fail(t->err, CPL_CREDENTIALS, PLACE " answered %d when asked for %s", t->response.status, what);
}

static cpl_status get_token(talk *t) {
    cpl_header header = {CPL_LIT("x-aws-ec2-metadata-token"), {NULL, 0}};
    cpl_status status = send(t, "PUT", "/latest/api/token",
                             (cpl_header){CPL_LIT("x-aws-ec2-metadata-token-ttl-seconds"), CPL_LIT(TOKEN_TTL)});
    int answer = t->response.status;
    if (may_use_version_1(t->ask->config) &&
        (status == CPL_CREDENTIALS || answer == 403 || answer == 404 || answer == 405))
        return CPL_OK;
    if (status) return status;
    if (answer == 403)
        return cpl_fail(t->err, CPL_CREDENTIALS, PLACE " forbids requests (403): it is switched off on this instance");
    if (answer != 200) return refuse(t, "a token");
    cpl_buf_addv(&t->token, cpl_buf_str(&t->response.body));
    status = cpl_creds_check_text(&t->token, "the token of the instance metadata", t->err);
    if (status) return status;
    header.value = cpl_buf_str(&t->token);
    if (t->token.n > 0 && cpl_http_check_header(&header, NULL) == CPL_OK) return CPL_OK;
    return cpl_fail(t->err, CPL_CREDENTIALS, PLACE " gave a token that is none");
}

static cpl_status begin(talk *t, const cpl_creds_ask *ask, cpl_error *err) {
    cpl_status status;
    *t = (talk){.ask = ask, .err = err};
    cpl_buf_init(&t->base, 2048);
    cpl_buf_init(&t->token, 4096);
    cpl_http_response_init(&t->response);
    if (is_disabled(ask->config))
        return cpl_fail(err, CPL_CREDENTIALS, PLACE " is not asked, because AWS_EC2_METADATA_DISABLED is true");
    status = cpl_creds_instance_url(ask->config, &t->base, err);
    return status ? status : get_token(t);
}

static void end(talk *t) {
    cpl_buf_wipe(&t->token);
    cpl_buf_release(&t->token);
    cpl_buf_release(&t->base);
    cpl_buf_wipe(&t->response.body);
    cpl_http_response_release(&t->response);
}

static cpl_status get(talk *t, const char *path) {
    return send(t, "GET", path, (cpl_header){CPL_LIT("x-aws-ec2-metadata-token"), cpl_buf_str(&t->token)});
}

/* ---- credentials ---- */

/* The path of the first role, appended to path. */
static cpl_status get_role(talk *t, cpl_buf *path) {
    cpl_str names;
    cpl_status status = get(t, ROLES_PATH);
    if (status) return status;
    if (t->response.status == 404) return cpl_fail(t->err, CPL_CREDENTIALS, PLACE " has no role for this instance");
    if (t->response.status != 200) return refuse(t, "the role");
    names = cpl_buf_str(&t->response.body);
    names = cpl_str_trim(cpl_str_sub(names, 0, cpl_str_find(names, '\n')));
    if (names.n == 0) return cpl_fail(t->err, CPL_CREDENTIALS, PLACE " has no role for this instance");
    cpl_buf_adds(path, ROLES_PATH);
    cpl_buf_add_uri(path, names, false);
    return cpl_creds_check_text(path, "the name of the role", t->err);
}

static cpl_status get_keys(talk *t, const char *path, cpl_creds_set **out) {
    static const cpl_creds_document document = {.name = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"},
                                                .place = PLACE,
                                                .source = "instance metadata"};
    cpl_json *json = NULL;
    cpl_str code;
    cpl_status status = get(t, path);
    if (status) return status;
    if (t->response.status != 200) return refuse(t, "credentials");
    status = cpl_creds_parse_json(cpl_buf_str(&t->response.body), PLACE, &json, t->err);
    if (status) return status;
    code = cpl_json_get_str(json, "Code");
    if (code.n > 0 && !cpl_str_is(code, "Success")) {
        status =
            cpl_fail(t->err, CPL_CREDENTIALS, PLACE " has no credentials: %.*s", (int)cpl_utf8_cut(code, 80), code.p);
    } else {
        status = cpl_creds_from_json(json, &document, out, t->err);
    }
    cpl_json_free(json);
    return status;
}

cpl_status cpl_creds_find_instance(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err) {
    talk t;
    cpl_buf path;
    cpl_status status = begin(&t, ask, err);
    *out = NULL;
    cpl_buf_init(&path, 1024);
    if (status == CPL_OK) status = get_role(&t, &path);
    if (status == CPL_OK) status = get_keys(&t, cpl_buf_cstr(&path), out);
    cpl_buf_release(&path);
    end(&t);
    return status;
}

/* ---- the region ---- */

cpl_status cpl_creds_ask_region(const cpl_creds_ask *ask, char out[CPL_REGION_SIZE], cpl_error *err) {
    talk t;
    cpl_str name;
    cpl_status status = begin(&t, ask, err);
    if (status == CPL_OK) status = get(&t, "/latest/meta-data/placement/region");
    name = cpl_str_trim(cpl_buf_str(&t.response.body));
    if (status == CPL_OK && t.response.status != 200) status = refuse(&t, "the region");
    if (status == CPL_OK && (name.n == 0 || name.n >= CPL_REGION_SIZE))
        status = cpl_fail(err, CPL_CREDENTIALS, PLACE " gave a region that is none");
    cpl_copy_text(out, CPL_REGION_SIZE, status ? (cpl_str){NULL, 0} : name);
    end(&t);
    return status;
}
