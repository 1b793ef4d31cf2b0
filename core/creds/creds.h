/* SPDX-License-Identifier: MIT */
/*
 * Credentials: a chain of providers, tried in order, the first that has any wins. A set is immutable and counted, so a
 * caller never sees key and token of two different refreshes. Sets that expire are renewed ahead: from 15 minutes
 * before, by whichever caller comes first, while the others go on with the old set; from 10 minutes before, everybody
 * waits for the new one. One refresh runs at a time. An old set stays in use as long as it is valid when a refresh
 * fails; one from the instance metadata even longer, because an instance must outlive its metadata service.
 */
#ifndef CPL_CREDS_H
#define CPL_CREDS_H

#include "../config.h"
#include "../http.h"

typedef struct cpl_creds cpl_creds; /* the source; thread-safe */

typedef struct cpl_creds_set {
    cpl_credentials view; /* points into this set */
    int64_t expires_s;    /* 0: never */
    const char *source;   /* "arguments", "environment", "web identity", "profile", "container", "instance metadata",
                           "provider", "anonymous" */
} cpl_creds_set;

typedef struct cpl_creds_options {
    const cpl_config *config; /* must outlive the source; NULL only with given keys, source.keys or anonymous */
    /* Explicit keys (both or none; CPL_INVALID otherwise); empty: the chain. */
    cpl_credentials given;
    cpl_credentials_source source; /* keys, if any, instead of the chain */
    bool anonymous;                /* the set is empty */
    cpl_choice fips, dual_stack;   /* of STS and SSO; default: what config says */
    /* Seconds to add to this machine's clock, which STS may correct; NULL: the clock is right. Outlives the source. */
    _Atomic int64_t *skew_s;
    cpl_str region; /* of the STS that roles are assumed at; absent: what config says */
    /* Tests: instead of cpl_http_send(). direct: never through a proxy. */
    cpl_status (*send)(void *context, const cpl_http_request *request, bool direct, cpl_http_response *response,
                       cpl_error *err);
    void *send_context;
    double (*chance)(void); /* from 0 to 1; NULL: the system's random bytes */
} cpl_creds_options;

cpl_status cpl_creds_open(cpl_creds **out, const cpl_creds_options *options, cpl_error *err);
/* The same with nothing but these two; given may be NULL. */
cpl_status cpl_creds_new(cpl_creds **out, const cpl_config *config, const cpl_credentials *given, cpl_error *err);
void cpl_creds_free(cpl_creds *creds);
/*
 * Services are asked through http from now on (its proxy, its certificates), which must outlive every acquire;
 * instances and containers never are. To be called before the first acquire.
 */
void cpl_creds_use_http(cpl_creds *creds, cpl_http *http);
/*
 * The current set; drop it after use. CPL_CREDENTIALS: no provider has any (the message lists where it looked), or the
 * one that should have them failed (its words). The time decides what is due; a refresh obeys wait.
 */
cpl_status cpl_creds_acquire(cpl_creds *creds, int64_t now_s, const cpl_wait *wait, const cpl_creds_set **out,
                             cpl_error *err);
void cpl_creds_drop(const cpl_creds_set *set); /* the last one wipes */

/* The region of this instance, as its metadata has it; CPL_CREDENTIALS when there is none. */
#define CPL_REGION_SIZE 64
cpl_status cpl_creds_instance_region(cpl_creds *creds, const cpl_wait *wait, char out[CPL_REGION_SIZE], cpl_error *err);

#endif
