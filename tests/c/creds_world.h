/* SPDX-License-Identifier: MIT */
/*
 * A world for the credential providers: an environment and a file tree of the test's own, and services that are all
 * played by one scripted server. What was asked of which host is remembered.
 */
#ifndef CREDS_WORLD_H
#define CREDS_WORLD_H

#include "../../core/creds/provider.h"
#include "../../core/err.h"
#include "fault_server.h"
#include "test.h"

#define WORLD_ASKED_MAX 64

typedef struct world {
    const char *env[32];     /* "NAME=value" */
    const char *root;        /* ends with '/' */
    const fault_step *steps; /* NULL: nothing may be asked */
    size_t step_count;
    const char *profile;
    double (*chance)(void);
    cpl_choice fips; /* the option */
    /* from here on: made by world_open() */
    fault_server *server;
    cpl_http *http;
    cpl_config *config;
    cpl_creds *creds;
    pthread_mutex_t lock;
    size_t asked;
    char *method_url[WORLD_ASKED_MAX]; /* "GET http://169.254.169.254/x" */
    bool direct[WORLD_ASKED_MAX];
} world;

static cpl_status world_send(void *context, const cpl_http_request *request, bool direct, cpl_http_response *response,
                             cpl_error *err) {
    world *w = context;
    cpl_http_request here = *request;
    cpl_str rest = cpl_str_sub(request->url, cpl_str_find(request->url, ':') + 3, request->url.n);
    char line[4096], url[4096];
    snprintf(line, sizeof line, "%.*s %.*s", (int)request->method.n, request->method.p, (int)request->url.n,
             request->url.p);
    pthread_mutex_lock(&w->lock);
    if (w->asked < WORLD_ASKED_MAX) {
        w->method_url[w->asked] = strdup(line);
        w->direct[w->asked] = direct;
    }
    w->asked++;
    pthread_mutex_unlock(&w->lock);
    if (w->server == NULL) return cpl_fail(err, CPL_NETWORK, "nobody is there");
    rest = cpl_str_sub(rest, cpl_str_find(rest, '/'), rest.n);
    snprintf(url, sizeof url, "%s%.*s", fault_server_url(w->server), (int)rest.n, rest.p);
    here.url = cpl_str_of(url);
    return cpl_http_send(w->http, &here, response, err);
}

/* A new folder for files of the test's own. */
__attribute__((unused)) static void world_folder(char *out, size_t size) {
    const char *temporary = getenv("TMPDIR");
    snprintf(out, size, "%s/t_creds.XXXXXX", temporary ? temporary : P_tmpdir);
    CHECK(mkdtemp(out) != NULL);
}

/* What was loaded of the configuration decides whether there is a source. */
__attribute__((unused)) static cpl_status world_open(world *w, cpl_error *err) {
    const cpl_http_options http = {.proxy_set = true, .connect_timeout_ms = 2000, .read_timeout_ms = 5000};
    const cpl_config_world from = {w->env, w->root ? w->root : "/nonexistent/"};
    cpl_creds_options options = {.send = world_send, .send_context = w, .chance = w->chance, .fips = w->fips};
    cpl_status status;
    pthread_mutex_init(&w->lock, NULL);
    w->server = w->step_count ? fault_server_start(w->steps, w->step_count) : NULL;
    status = cpl_http_new(&w->http, &http, err);
    if (status == CPL_OK) status = cpl_config_load_from(&w->config, &from, cpl_str_of(w->profile), err);
    options.config = w->config;
    return status ? status : cpl_creds_open(&w->creds, &options, err);
}

__attribute__((unused)) static void world_close(world *w) {
    cpl_creds_free(w->creds);
    cpl_config_free(w->config);
    cpl_http_free(w->http);
    if (w->server) fault_server_stop(w->server);
    for (size_t i = 0; i < w->asked && i < WORLD_ASKED_MAX; i++) free(w->method_url[i]);
    pthread_mutex_destroy(&w->lock);
    w->creds = NULL;
    w->config = NULL;
    w->http = NULL;
    w->server = NULL;
    w->asked = 0;
}

#endif
