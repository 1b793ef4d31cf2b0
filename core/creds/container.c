/* SPDX-License-Identifier: MIT */
/* ECS tasks, EKS pod identity, and whoever else serves credentials to a container. */
#include "../err.h"
#include "provider.h"

#define RELATIVE_BASE "http://169.254.170.2"

/* Plain http only where nobody can listen: this machine, ECS, EKS. */
static bool may_be_plain(cpl_str host) {
    static const char *const names[] = {"localhost", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"};
    int64_t part;
    for (size_t i = 0; i < CPL_COUNT(names); i++) {
        if (cpl_str_is_nocase(host, names[i])) return true;
    }
    if (!cpl_str_starts(host, "127.")) return false;
    for (size_t dots = 0; dots < 4; dots++) { /* an address, not a name that looks like one */
        size_t dot = cpl_str_find(host, '.');
        if (!cpl_str_integer(cpl_str_sub(host, 0, dot), &part) || part < 0 || part > 255) return false;
        if (dot == host.n) return dots == 3;
        host = cpl_str_sub(host, dot + 1, host.n);
    }
    return false;
}

static cpl_status check_full(cpl_str text, cpl_error *err) {
    cpl_url url;
    if (!cpl_url_parse(text, &url) || url.host.n == 0)
        return cpl_fail(err, CPL_CREDENTIALS, "AWS_CONTAINER_CREDENTIALS_FULL_URI: \"%.*s\" is not a URL with a host",
                        (int)cpl_utf8_cut(text, 200), text.p);
    if (cpl_str_is(url.scheme, "https") || may_be_plain(url.host)) return CPL_OK;
    return cpl_fail(err, CPL_CREDENTIALS,
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI: \"%.*s\" is neither https nor this machine, ECS or EKS",
                    (int)cpl_utf8_cut(url.host, 200), url.host.p);
}

cpl_status cpl_creds_container_url(const cpl_config *config, cpl_buf *out, cpl_error *err) {
    const char *relative = cpl_config_env(config, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = cpl_config_env(config, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    cpl_url url;
    if (relative == NULL && full == NULL) return CPL_OK;
    if (relative == NULL) {
        cpl_status status = check_full(cpl_str_of(full), err);
        cpl_buf_adds(out, full);
        return status ? status : cpl_creds_check_text(out, "AWS_CONTAINER_CREDENTIALS_FULL_URI", err);
    }
    cpl_buf_adds(out, RELATIVE_BASE);
    if (relative[0] != '/') cpl_buf_addc(out, '/');
    cpl_buf_adds(out, relative);
    if (!cpl_buf_ok(out) || cpl_url_parse(cpl_buf_str(out), &url))
        return cpl_creds_check_text(out, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", err);
    return cpl_fail(err, CPL_CREDENTIALS, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: \"%.200s\" is no path", relative);
}

/* The file first, because its content changes. */
static cpl_status read_authorization(const cpl_creds_ask *ask, cpl_buf *out, cpl_error *err) {
    const char *file = cpl_config_env(ask->config, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = cpl_config_env(ask->config, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    cpl_header header = {CPL_LIT("authorization"), cpl_str_of(token)};
    if (file) return cpl_creds_read_token(ask, file, out, err);
    cpl_buf_init(out, (size_t)64 << 10);
    if (token == NULL) return CPL_OK;
    if (cpl_http_check_header(&header, NULL))
        return cpl_fail(err, CPL_CREDENTIALS, "AWS_CONTAINER_AUTHORIZATION_TOKEN has a character no token has");
    cpl_buf_adds(out, token);
    return cpl_creds_check_text(out, "AWS_CONTAINER_AUTHORIZATION_TOKEN", err);
}

static cpl_status fetch(const cpl_creds_ask *ask, const char *url, cpl_str token, cpl_creds_set **out, cpl_error *err) {
    static const cpl_creds_document document = {.name = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"},
                                                .place = "the container's credentials service",
                                                .source = "container"};
    const cpl_header headers[] = {{CPL_LIT("accept"), CPL_LIT("application/json")}, {CPL_LIT("authorization"), token}};
    const cpl_creds_message message = {.method = "GET",
                                       .url = url,
                                       .headers = headers,
                                       .header_count = token.n > 0 ? 2 : 1,
                                       .place = document.place,
                                       .direct = true};
    cpl_http_response response;
    cpl_json *json = NULL;
    cpl_status status;
    cpl_http_response_init(&response);
    status = cpl_creds_call(ask, &message, &response, err);
    if (status == CPL_OK) status = cpl_creds_parse_json(cpl_buf_str(&response.body), document.place, &json, err);
    if (status == CPL_OK) status = cpl_creds_from_json(json, &document, out, err);
    cpl_json_free(json);
    cpl_buf_wipe(&response.body);
    cpl_http_response_release(&response);
    return status;
}

cpl_status cpl_creds_find_container(const cpl_creds_ask *ask, cpl_creds_set **out, cpl_error *err) {
    cpl_buf url, token;
    cpl_status status;
    *out = NULL;
    cpl_buf_init(&url, 4096);
    status = cpl_creds_container_url(ask->config, &url, err);
    if (status == CPL_OK && url.n > 0) {
        status = read_authorization(ask, &token, err);
        if (status == CPL_OK) status = fetch(ask, cpl_buf_cstr(&url), cpl_buf_str(&token), out, err);
        cpl_buf_wipe(&token);
        cpl_buf_release(&token);
    }
    cpl_buf_release(&url);
    return status;
}
