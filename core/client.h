/* SPDX-License-Identifier: MIT */
/*
 * The client as the rooms above it see it (call.c, and what moves artifacts and jobs). Its members may be read by
 * anyone; they do not change after cpl_client_new(), except the ones at the end.
 */
#ifndef CPL_CLIENT_H
#define CPL_CLIENT_H

#include "creds/creds.h"
#include "endpoint.h"
#include "http.h"
#include "model.h"
#include "rate.h"
#include "settings.h"
#include "watch.h"

struct cpl_client {
    cpl_client *parent;      /* of a view: what it was made from, kept alive; NULL otherwise */
    cpl_client *root;        /* whose connections, quota and clock this one uses: itself, unless it is a view */
    const cpl_client *whose; /* as observers are told: itself, unless a worker made this view */
    cpl_config *config;      /* the root's; so are signer and http */
    cpl_creds *creds;
    bool own_creds;
    cpl_signer *signer;
    cpl_http *http;
    cpl_http_limits limits;
    cpl_watch *watch; /* what its runs have in common */
    char *region;
    char *user_agent;
    char *url;             /* what calls are sent to: the endpoint and "/" */
    cpl_url url_parts;     /* views of url */
    cpl_endpoint endpoint; /* of CodePipeline */
    char *override_url;    /* what the endpoint was made from; NULL: the region */
    char *s3_endpoint_url; /* NULL: the region's own */
    bool fips, dual_stack;
    bool checksums_sent, checksums_checked; /* of objects in S3 */
    size_t response_limit;
    cpl_retry_policy retry;
    bool adaptive;      /* the root's rate counts */
    cpl_stub *stub;     /* answers in the service's place; NULL: none */
    bool correct_clock; /* skew_s is learnt */
    /* the root's alone */
    cpl_retry_quota quota;
    cpl_rate rate;
    bool rate_made;
    _Atomic int64_t skew_s; /* add to this machine's clock to have the service's */
    /* everybody's own */
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
