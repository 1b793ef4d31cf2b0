/* SPDX-License-Identifier: MIT */
/*
 * Where a service is: a pure function of region and options over a table of partitions.
 */
#ifndef CPL_ENDPOINT_H
#define CPL_ENDPOINT_H

#include "buf.h"

typedef enum cpl_addressing {
    CPL_ADDRESSING_AUTO,    /* in the host when the name allows; in the path with an override_url */
    CPL_ADDRESSING_PATH,    /* always in the path */
    CPL_ADDRESSING_VIRTUAL, /* in the host when the name allows, with an override_url too */
} cpl_addressing;

typedef struct cpl_endpoint_params {
    cpl_str service;           /* "codepipeline", "s3", "sts", "oidc", "portal.sso", "signin" */
    cpl_str region;            /* may be absent with an override_url, but not for s3; then signing_region is empty */
    cpl_str override_url;      /* used as it is, without trailing slash */
    cpl_str bucket;            /* s3; absent: the service itself */
    cpl_addressing addressing; /* s3: where the bucket goes. A dotted name never goes into a host under TLS */
    bool fips;
    bool dual_stack;
    bool legacy_global; /* sts and s3: the one endpoint for all regions, for the regions that were there first */
} cpl_endpoint_params;

typedef struct cpl_endpoint {
    char url[512]; /* "https://codepipeline.eu-west-1.amazonaws.com", no trailing slash; for s3 with the bucket in it */
    char signing_region[64];
    char signing_name[32];
} cpl_endpoint;

/* CPL_CONFIG: no region, one that cannot stand in a host name, a malformed URL, a combination that does not exist. */
cpl_status cpl_endpoint_resolve(const cpl_endpoint_params *params, cpl_endpoint *out, cpl_error *err);

/*
 * Whether a region is one of those that were names for FIPS before it was a switch, "fips-us-east-1" and
 * "us-east-1-fips"; then *region becomes the region itself. cpl_endpoint_resolve() knows them.
 */
bool cpl_endpoint_cut_fips(cpl_str *region);

/* "aws", "aws-cn", ...: as ARNs of that region begin. One that no other has is of "aws". */
const char *cpl_endpoint_partition(cpl_str region);

#endif
