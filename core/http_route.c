/* SPDX-License-Identifier: MIT */
#include "http_route.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

/* ---- certificates ---- */

/* OpenSSL finds a certificate in a folder by the hash of its subject: "0123abcd.0". */
static bool is_hashed_folder(const char *path) {
    DIR *folder = opendir(path);
    bool found = false;
    if (folder == NULL) return false;
    for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) {
        found = strspn(entry->d_name, "0123456789abcdef") == 8 && strcmp(entry->d_name + 8, ".0") == 0;
    }
    closedir(folder);
    return found;
}

/* A copy of a file's or folder's name in *out, once it is sure that it can be read. */
static cpl_status take_file(cpl_str name, const char *action, char **out, bool *is_folder, cpl_error *err) {
    struct stat info;
    *out = cpl_strdup(name);
    if (*out == NULL) return cpl_fail_nomem(err);
    if (stat(*out, &info) != 0 || access(*out, R_OK) != 0) {
        cpl_fail_errno(err, action, *out);
        if (err) err->status = CPL_CONFIG;
        return CPL_CONFIG;
    }
    *is_folder = S_ISDIR(info.st_mode);
    return CPL_OK;
}

/*
 * Where distributions keep the certificates they trust. A libcurl that was built to run on any of them (that of our
 * wheels) was told of none. Folders first: see choose_ca.
 */
bool cpl_http_find_ca(const char *root, char *path, size_t size, bool *is_folder) {
    static const char *const folders[] = {"/etc/ssl/certs", "/etc/pki/tls/certs",
                                          "/etc/pki/ca-trust/extracted/pem/directory-hash"};
    static const char *const files[] = {"/etc/ssl/certs/ca-certificates.crt", /* Debian, Ubuntu, Arch, Alpine */
                                        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, Red Hat, Amazon Linux */
                                        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/ca-bundle.pem",
                                        "/etc/ssl/cert.pem"};
    for (size_t i = 0; i < CPL_COUNT(folders) + CPL_COUNT(files); i++) {
        *is_folder = i < CPL_COUNT(folders);
        snprintf(path, size, "%s%s", root, *is_folder ? folders[i] : files[i - CPL_COUNT(folders)]);
        if (*is_folder ? is_hashed_folder(path) : access(path, R_OK) == 0) return true;
    }
    return false;
}

static cpl_status choose_ca(cpl_http_route *route, cpl_str bundle, const char *system_ca, cpl_error *err) {
    bool is_folder = false;
    char found[128];
    cpl_status status;
    if (bundle.n == 0 && system_ca == NULL && cpl_http_find_ca("", found, sizeof found, &is_folder)) {
        bundle = cpl_str_of(found);
    }
    if (bundle.n > 0) {
        status = take_file(bundle, "read the CA bundle", &route->ca_file, &is_folder, err);
        if (!is_folder) return status;
        route->ca_folder = route->ca_file;
        route->ca_file = NULL;
        return status;
    }
    /* the system's certificates from the folder rather than from the one big file: 4 ms a process instead of 35 */
    if (system_ca == NULL || !is_hashed_folder(system_ca)) return CPL_OK;
    route->ca_folder = cpl_strdup(cpl_str_of(system_ca));
    return route->ca_folder ? CPL_OK : cpl_fail_nomem(err);
}

static cpl_status choose_certificate(cpl_http_route *route, const cpl_http_options *options, cpl_error *err) {
    bool is_folder;
    cpl_status status;
    if (options->client_cert.n == 0) return CPL_OK;
    status = take_file(options->client_cert, "read the client certificate", &route->cert, &is_folder, err);
    if (status || options->client_key.n == 0) return status;
    return take_file(options->client_key, "read the client certificate's key", &route->key, &is_folder, err);
}

/* ---- proxies ---- */

bool cpl_http_is_proxy(cpl_str text) {
    static const char *const schemes[] = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"};
    size_t colon = cpl_str_find(text, ':'), at;
    bool known = false;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= ' ' || c >= 0x7f) return false;
    }
    if (cpl_str_starts(cpl_str_sub(text, colon, text.n), "://")) {
        for (size_t i = 0; i < CPL_COUNT(schemes); i++) {
            known = known || cpl_str_is_nocase(cpl_str_sub(text, 0, colon), schemes[i]);
        }
        if (!known) return false;
        text = cpl_str_sub(text, colon + 3, text.n);
    }
    text = cpl_str_sub(text, 0, cpl_str_find(text, '/'));
    for (at = text.n; at > 0 && text.p[at - 1] != '@';) at--;
    text = cpl_str_sub(text, at, text.n);
    return text.n > 0 && text.p[0] != ':';
}

cpl_str cpl_http_bare_proxy(cpl_str proxy) {
    size_t at = proxy.n;
    while (at > 0 && proxy.p[at - 1] != '@') at--;
    return cpl_str_sub(proxy, at, proxy.n);
}

const char *cpl_http_env_proxy(bool https, const char **variable) {
    static const char *const names[2][4] = {{"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"},
                                            {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}};
    for (size_t i = 0; i < CPL_COUNT(names[https]); i++) {
        const char *value = getenv(names[https][i]);
        /* a CGI script's HTTP_PROXY is the Proxy header of whoever calls it */
        if (value == NULL || (strcmp(names[https][i], "HTTP_PROXY") == 0 && getenv("REQUEST_METHOD"))) continue;
        *variable = names[https][i];
        return value[0] ? value : NULL;
    }
    return NULL;
}

static cpl_status keep_proxy(cpl_http_route *route, bool https, cpl_str proxy, const char *name, cpl_error *err) {
    if (proxy.n > 0 && !cpl_http_is_proxy(proxy)) {
        return cpl_fail_at(err, CPL_CONFIG, name, "%s: it is not a proxy's URL", name);
    }
    route->proxy[https] = cpl_strdup(proxy);
    return route->proxy[https] ? CPL_OK : cpl_fail_nomem(err);
}

static cpl_status choose_proxies(cpl_http_route *route, const cpl_http_options *options, cpl_error *err) {
    const char *except = "";
    cpl_status status = CPL_OK;
    for (int https = 0; https < 2 && status == CPL_OK; https++) {
        const char *name = "proxy";
        cpl_str proxy = options->proxy;
        if (!options->proxy_set) proxy = cpl_str_of(cpl_http_env_proxy(https, &name));
        status = keep_proxy(route, https, proxy, name, err);
    }
    if (status) return status;
    if (!options->proxy_set && (except = getenv("no_proxy")) == NULL) except = getenv("NO_PROXY");
    route->no_proxy = cpl_strdup(cpl_str_of(except));
    return route->no_proxy ? CPL_OK : cpl_fail_nomem(err);
}

/* ---- all of it ---- */

cpl_status cpl_http_route_init(cpl_http_route *route, const cpl_http_options *options, const char *system_ca,
                               cpl_error *err) {
    cpl_status status;
    *route = (cpl_http_route){0};
    status = choose_ca(route, options->ca_bundle, system_ca, err);
    if (status == CPL_OK) status = choose_certificate(route, options, err);
    return status ? status : choose_proxies(route, options, err);
}

void cpl_http_route_release(cpl_http_route *route) {
    char *const all[] = {route->ca_file,  route->ca_folder, route->cert,    route->key,
                         route->proxy[0], route->proxy[1],  route->no_proxy};
    for (size_t i = 0; i < CPL_COUNT(all); i++) {
        if (all[i]) cpl_wipe(all[i], strlen(all[i]));
        cpl_free(all[i]);
    }
    *route = (cpl_http_route){0};
}
