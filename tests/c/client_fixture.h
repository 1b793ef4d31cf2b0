/* SPDX-License-Identifier: MIT */
/* A client of a server that misbehaves, in an environment that says nothing of the machine the tests run on. */
#ifndef CLIENT_FIXTURE_H
#define CLIENT_FIXTURE_H

#include "../../core/client.h"
#include "fault_server.h"
#include "test.h"

extern char **environ;

__attribute__((constructor)) static void clean_environment(void) {
    static const char *const proxies[] = {"http_proxy", "https_proxy", "all_proxy", "no_proxy",
                                          "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"};
    for (char **v = environ; v && *v;) {
        char name[128];
        if (strncmp(*v, "AWS_", 4) == 0 && sscanf(*v, "%127[^=]", name) == 1) {
            unsetenv(name);
            v = environ;
        } else {
            v++;
        }
    }
    for (size_t i = 0; i < CPL_COUNT(proxies); i++) unsetenv(proxies[i]);
    setenv("AWS_CONFIG_FILE", "/nonexistent/config", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
}

typedef struct fixture {
    fault_server *server;
    cpl_client *client;
    cpl_reply *reply;
    cpl_error err;
} fixture;

__attribute__((unused)) static cpl_client_options options_for(const fault_server *server) {
    return (cpl_client_options){.region = CPL_LIT("eu-west-1"),
                                .access_key_id = CPL_LIT("AKIDEXAMPLE"),
                                .secret_access_key = CPL_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                                .endpoint_url = cpl_str_of(fault_server_url(server)),
                                .s3_endpoint_url = cpl_str_of(fault_server_url(server)),
                                .read_timeout_ms = 5000};
}

/* options NULL: options_for() */
__attribute__((unused)) static void start_with(fixture *f, const fault_step *steps, size_t count,
                                               const cpl_client_options *options) {
    memset(f, 0, sizeof *f);
    f->server = fault_server_start(steps, count);
    cpl_client_options all = options_for(f->server);
    if (options) {
        all = *options;
        all.endpoint_url = all.s3_endpoint_url = cpl_str_of(fault_server_url(f->server));
    }
    if (cpl_client_new(&f->client, &all, &f->err) != CPL_OK) {
        printf("  %s\n", f->err.message);
        abort();
    }
}

__attribute__((unused)) static void start(fixture *f, const fault_step *steps, size_t count) {
    start_with(f, steps, count, NULL);
}

__attribute__((unused)) static void stop(fixture *f) {
    cpl_reply_free(f->reply);
    cpl_client_free(f->client);
    fault_server_stop(f->server);
}

__attribute__((unused)) static cpl_status call_with(fixture *f, cpl_client *client, const char *operation,
                                                    const char *params) {
    cpl_reply_free(f->reply);
    f->reply = NULL;
    return cpl_client_call(client, cpl_str_of(operation), cpl_str_of(params), NULL, &f->reply, &f->err);
}

__attribute__((unused)) static cpl_status call(fixture *f, const char *operation, const char *params) {
    return call_with(f, f->client, operation, params);
}

/* The value of a header in a request that arrived, in a static buffer; "" when it is not there. */
__attribute__((unused)) static const char *sent_header(fixture *f, size_t i, const char *name) {
    static char value[1024];
    char start_of[80];
    const char *at;
    value[0] = '\0';
    snprintf(start_of, sizeof start_of, "\r\n%s: ", name);
    at = strstr(fault_server_request(f->server, i), start_of);
    if (at) sscanf(at + strlen(start_of), "%1023[^\r]", value);
    return value;
}

__attribute__((unused)) static const char *sent_body(fixture *f, size_t i) {
    const char *at = strstr(fault_server_request(f->server, i), "\r\n\r\n");
    return at ? at + 4 : "";
}

#endif
