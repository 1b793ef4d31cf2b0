/* SPDX-License-Identifier: MIT */
#include "http.h"

/*
 * Narrower than RFC 3986 on purpose: whatever two parsers might read differently (user info, backslashes, escapes in
 * the host, bytes outside ASCII) is refused, so that the host we sign for is the host libcurl connects to.
 */

static bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_host_name(cpl_str host) {
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (!is_alnum(c) && c != '-' && c != '.' && c != '_') return false;
    }
    return host.n > 0 && host.n <= 255;
}

static bool is_ipv6(cpl_str host) {
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F') && c != ':' && c != '.') {
            return false;
        }
    }
    return host.n >= 2 && host.n <= 45;
}

static bool is_sendable(cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= ' ' || c >= 0x7f || c == '#' || c == '\\' || c == '"' || c == '<' || c == '>') return false;
    }
    return true;
}

/* host[:port] or [ipv6][:port]; drops the port from out->authority when it is the scheme's own. */
static bool parse_authority(cpl_str authority, int64_t default_port, cpl_url *out) {
    bool bracketed = authority.n > 0 && authority.p[0] == '[';
    size_t host_end = cpl_str_find(authority, bracketed ? ']' : ':');
    size_t after = bracketed ? host_end + 1 : host_end;
    int64_t port = default_port;
    out->host = cpl_str_sub(authority, bracketed ? 1 : 0, host_end);
    if (bracketed ? host_end == authority.n || !is_ipv6(out->host) : !is_host_name(out->host)) return false;
    if (after < authority.n) {
        cpl_str digits = cpl_str_sub(authority, after + 1, authority.n);
        if (authority.p[after] != ':' || digits.n == 0 || digits.n > 5 || digits.p[0] < '0' || digits.p[0] > '9') {
            return false;
        }
        if (!cpl_str_integer(digits, &port) || port < 1 || port > 65535) return false;
    }
    out->authority = port == default_port ? cpl_str_sub(authority, 0, after) : authority;
    return true;
}

bool cpl_url_parse(cpl_str url, cpl_url *out) {
    size_t colon = cpl_str_find(url, ':'), slash, question;
    bool https;
    cpl_str rest, tail;
    *out = (cpl_url){.scheme = cpl_str_sub(url, 0, colon)};
    https = cpl_str_is_nocase(out->scheme, "https");
    if (!https && !cpl_str_is_nocase(out->scheme, "http")) return false;
    rest = cpl_str_sub(url, colon + 1, url.n);
    if (!cpl_str_starts(rest, "//") || !is_sendable(rest)) return false;
    rest = cpl_str_sub(rest, 2, rest.n);
    slash = cpl_str_find(rest, '/');
    question = cpl_str_find(rest, '?');
    if (!parse_authority(cpl_str_sub(rest, 0, slash < question ? slash : question), https ? 443 : 80, out))
        return false;
    tail = cpl_str_sub(rest, slash < question ? slash : question, rest.n);
    question = cpl_str_find(tail, '?');
    out->path = cpl_str_sub(tail, 0, question);
    out->query = cpl_str_sub(tail, question + 1, tail.n);
    return true;
}
