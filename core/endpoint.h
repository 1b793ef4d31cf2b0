/* SPDX-License-Identifier: MIT */
/*
 * Where a service is: a pure function of region and options over a table of partitions.
 */
#ifndef CPL_ENDPOINT_H
#define CPL_ENDPOINT_H

#include "buf.h"

typedef struct cpl_endpoint_params {
    cpl_str service; /* "codepipeline", "s3", "sts" */
    cpl_str region;
    cpl_str override_url; /* used as it is, without trailing slash */
    cpl_str bucket;       /* s3: virtual-hosted when it can be, path style with an override or a dotted name */
    bool fips;
    bool dual_stack;
} cpl_endpoint_params;

typedef struct cpl_endpoint {
    char url[512]; /* "https://codepipeline.eu-west-1.amazonaws.com", no trailing slash; for s3 with the bucket in it */
    char signing_region[64];
    char signing_name[32];
} cpl_endpoint;

/* CPL_CONFIG: no region, a region or bucket that cannot stand in a host name, a combination that does not exist. */
cpl_status cpl_endpoint_resolve(const cpl_endpoint_params *params, cpl_endpoint *out, cpl_error *err);

#endif
