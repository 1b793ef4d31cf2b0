/* SPDX-License-Identifier: MIT */
/*
 * The client as the rooms above it see it (call.c, and what moves artifacts and jobs). Its members may be read by
 * anyone; they do not change after cpl_client_new(), except the atomic ones at the end.
 */
#ifndef CPL_CLIENT_H
#define CPL_CLIENT_H

#include "creds/creds.h"
#include "endpoint.h"
#include "http.h"
#include "model.h"
#include "retry.h"

struct cpl_client {
    cpl_config *config;
    cpl_creds *creds;
    cpl_signer *signer;
    cpl_http *http;
    char *region;
    char *user_agent;
    char *url;             /* what calls are sent to: the endpoint and "/" */
    cpl_url url_parts;     /* views of url */
    cpl_endpoint endpoint; /* of CodePipeline */
    char *s3_endpoint_url; /* NULL: the region's own */
    bool fips, dual_stack;
    size_t response_limit;
    cpl_retry_policy retry;
    cpl_retry_quota quota;
    _Atomic int64_t skew_s; /* add to this machine's clock to have the service's */
    atomic_int references;
    atomic_bool closed;
};

/* The service's time, as far as it is known; since 1970. */
int64_t cpl_client_now_s(const cpl_client *client);
/* CPL_STATE once the client is closed. */
cpl_status cpl_client_check_open(const cpl_client *client, cpl_error *err);
/* cpl_client_call() for an operation that was looked up already. */
cpl_status cpl_client_run(cpl_client *client, const cpl_operation *operation, cpl_str params,
                          const cpl_call_options *options, cpl_reply **out, cpl_error *err);

#endif
