/* SPDX-License-Identifier: MIT */
/*
 * The way out for a pool of connections: proxies, the certificates that are trusted, the one that is shown. Read once,
 * when the pool is made, because the environment may change under a thread that reads it later.
 */
#ifndef CPL_HTTP_ROUTE_H
#define CPL_HTTP_ROUTE_H

#include "http.h"

typedef struct cpl_http_route {
    char *ca_file; /* at most one of the two; neither: libcurl's default */
    char *ca_folder;
    char *cert;     /* of ours; NULL: none is shown */
    char *key;      /* NULL: in the same file */
    char *proxy[2]; /* for http:// and for https://; "" for none. May have a password in it */
    char *no_proxy; /* hosts that are reached without; "" for no exceptions */
} cpl_http_route;

/*
 * system_ca: the folder of the system's certificates; "" when libcurl knows better, NULL when it knows of none and they
 * are looked for where distributions keep them. CPL_CONFIG: a file cannot be read, a proxy is no URL
 * (which is not shown, for the password in it). Release it whatever the status.
 */
cpl_status cpl_http_route_init(cpl_http_route *route, const cpl_http_options *options, const char *system_ca,
                               cpl_error *err);
void cpl_http_route_release(cpl_http_route *route); /* wipes */
/* The first of those places there is, below root ("" but in tests), in path; false when there is none. */
bool cpl_http_find_ca(const char *root, char *path, size_t size, bool *is_folder);
/* [scheme://][user:password@]host[:port], with a scheme that libcurl has for proxies. */
bool cpl_http_is_proxy(cpl_str text);
/* Without user and password. */
cpl_str cpl_http_bare_proxy(cpl_str proxy);
/* The proxy the environment names for http:// or https://, and the variable's name; NULL when none. */
const char *cpl_http_env_proxy(bool https, const char **variable);

#endif
