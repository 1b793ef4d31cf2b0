/* SPDX-License-Identifier: MIT */
#include "endpoint.h"

#include "err.h"
#include "http.h"

/* ---- partitions ---- */

typedef struct partition {
    const char *name;   /* as in an ARN */
    const char *prefix; /* of its regions' names, which go on with "word-digits" */
    const char *global; /* the name that stands for the whole partition */
    const char *global_region;
    const char *suffix;
    const char *dual_stack_suffix;
    const char *consoles; /* the domain of its consoles */
} partition;

/* The first one takes what no other knows, so that a region opened tomorrow works today. */
static const partition partitions[] = {
    {"aws", "", "aws-global", "us-east-1", "amazonaws.com", "api.aws", "aws.amazon.com"},
    {"aws-cn", "cn-", "aws-cn-global", "cn-northwest-1", "amazonaws.com.cn", "api.amazonwebservices.com.cn",
     "amazonaws.cn"},
    {"aws-us-gov", "us-gov-", "aws-us-gov-global", "us-gov-west-1", "amazonaws.com", "api.aws", "amazonaws-us-gov.com"},
    {"aws-iso", "us-iso-", "aws-iso-global", "us-iso-east-1", "c2s.ic.gov", "api.aws.ic.gov", "c2shome.ic.gov"},
    {"aws-iso-b", "us-isob-", "aws-iso-b-global", "us-isob-east-1", "sc2s.sgov.gov", "api.aws.scloud",
     "sc2shome.sgov.gov"},
    {"aws-iso-e", "eu-isoe-", "aws-iso-e-global", "eu-isoe-west-1", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk",
     "csphome.adc-e.uk"},
    {"aws-iso-f", "us-isof-", "aws-iso-f-global", "us-isof-south-1", "csp.hci.ic.gov", "api.aws.hci.ic.gov",
     "csphome.hci.ic.gov"},
    {"aws-eusc", "eusc-de-", "aws-eusc-global", "eusc-de-east-1", "amazonaws.eu", "api.amazonwebservices.eu",
     "amazonaws-eusc.eu"},
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || is_digit(c);
}

/* "east-1" */
static bool is_word_and_number(cpl_str text) {
    size_t dash = cpl_str_find(text, '-');
    if (dash == 0 || dash + 1 >= text.n) return false;
    for (size_t i = dash + 1; i < text.n; i++) {
        if (!is_digit(text.p[i])) return false;
    }
    return true;
}

static const partition *find_partition(cpl_str region) {
    for (size_t i = 1; i < CPL_COUNT(partitions); i++) {
        const partition *p = &partitions[i];
        if (cpl_str_is(region, p->global)) return p;
        if (cpl_str_starts(region, p->prefix) && is_word_and_number(cpl_str_sub(region, strlen(p->prefix), region.n)))
            return p;
    }
    return &partitions[0];
}

const char *cpl_endpoint_partition(cpl_str region) {
    return find_partition(region)->name;
}

bool cpl_endpoint_cut_fips(cpl_str *region) {
    size_t from = cpl_str_starts(*region, "fips-") ? 5 : 0, to = cpl_str_ends(*region, "-fips") ? 5 : 0;
    if (from + to == 0 || from + to > region->n) return false;
    *region = cpl_str_sub(*region, from, region->n - to);
    return true;
}

static bool is_host_label(cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!is_lower_or_digit(c) && !(c >= 'A' && c <= 'Z') && c != '-') return false;
    }
    return text.n > 0 && text.n < 64 && text.p[0] != '-' && text.p[text.n - 1] != '-';
}

/* "sts", "portal.sso" */
static bool is_service(cpl_str name) {
    size_t dot = cpl_str_find(name, '.');
    while (dot < name.n) {
        if (!is_host_label(cpl_str_sub(name, 0, dot))) return false;
        name = cpl_str_sub(name, dot + 1, name.n);
        dot = cpl_str_find(name, '.');
    }
    return is_host_label(name);
}

/* ---- the host ---- */

typedef struct resolving {
    const cpl_endpoint_params *params;
    const partition *partition;
    bool s3;
    bool global; /* the endpoint that has no region in its name */
} resolving;

/* Regions that STS's global endpoint serves, see "legacy" under AWS_STS_REGIONAL_ENDPOINTS. */
static const char *const sts_global_regions[] = {
    "ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "aws-global", "ca-central-1",
    "eu-central-1",   "eu-north-1", "eu-west-1",      "eu-west-2",      "eu-west-3",  "sa-east-1",
    "us-east-1",      "us-east-2",  "us-west-1",      "us-west-2",
};

static bool is_sts_global(cpl_str region) {
    for (size_t i = 0; i < CPL_COUNT(sts_global_regions); i++) {
        if (cpl_str_is(region, sts_global_regions[i])) return true;
    }
    return false;
}

static bool is_global(const cpl_endpoint_params *params) {
    if (params->fips || params->dual_stack || params->override_url.n > 0) return false;
    if (cpl_str_is(params->service, "s3"))
        return cpl_str_is(params->region, "aws-global") ||
               (params->legacy_global && cpl_str_is(params->region, "us-east-1"));
    if (!cpl_str_is(params->service, "sts")) return false;
    return cpl_str_is(params->region, "aws-global") || (params->legacy_global && is_sts_global(params->region));
}

static bool is_gov(const resolving *r) {
    return strcmp(r->partition->prefix, "us-gov-") == 0;
}

/* What is FIPS in us-gov without saying so in its name. */
static bool is_fips_as_it_is(const resolving *r) {
    static const char *const services[] = {"sts", "portal.sso", "oidc"};
    for (size_t i = 0; i < CPL_COUNT(services); i++) {
        if (cpl_str_is(r->params->service, services[i])) return is_gov(r);
    }
    return false;
}

/* Sign-in is where the consoles are, but for dual stack and for FIPS outside of us-gov. */
static bool is_console(const resolving *r) {
    const cpl_endpoint_params *params = r->params;
    return cpl_str_is(params->service, "signin") && !params->dual_stack && (!params->fips || is_gov(r));
}

/* "us-east-1.signin.aws.amazon.com" */
static void add_console(cpl_buf *out, const resolving *r, cpl_str region) {
    bool fips = r->params->fips;
    if (!fips || !cpl_str_is(region, "us-gov-west-1")) cpl_buf_addf(out, "%.*s.", (int)region.n, region.p);
    cpl_buf_addf(out, "signin%s.%s", fips ? "-fips" : "", r->partition->consoles);
}

/* "codepipeline-fips.us-east-1.api.aws" */
static void add_host(cpl_buf *out, const resolving *r, cpl_str region) {
    const cpl_endpoint_params *params = r->params;
    if (is_console(r)) {
        add_console(out, r, region);
        return;
    }
    cpl_buf_addv(out, params->service);
    if (params->fips && (params->dual_stack || !is_fips_as_it_is(r))) cpl_buf_adds(out, "-fips");
    if (params->dual_stack && r->s3) cpl_buf_adds(out, ".dualstack");
    cpl_buf_addc(out, '.');
    if (!r->global) {
        cpl_buf_addv(out, region);
        cpl_buf_addc(out, '.');
    }
    cpl_buf_adds(out, params->dual_stack && !r->s3 ? r->partition->dual_stack_suffix : r->partition->suffix);
}

/* ---- the bucket ---- */

/* 3 to 63 of a-z, 0-9 and '-', an alphanumeric at both ends; in parts between dots when dots are allowed. */
static bool is_virtual_hostable(cpl_str bucket, bool dots) {
    if (bucket.n < 3 || bucket.n > 63) return false;
    for (size_t i = 0; i < bucket.n; i++) {
        char c = bucket.p[i];
        bool edge = i == 0 || i + 1 == bucket.n || bucket.p[i - 1] == '.' || bucket.p[i + 1] == '.';
        if (c == '.' ? !dots || edge : !is_lower_or_digit(c) && (c != '-' || edge)) return false;
    }
    return true;
}

/* Four numbers, or in brackets: a name cannot stand in front of it. */
static bool is_address(cpl_str host) {
    size_t dots = 0;
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] == ':') return true;
        if (host.p[i] != '.' && !is_digit(host.p[i])) return false;
        dots += host.p[i] == '.';
    }
    return dots == 3;
}

static bool in_host(const cpl_endpoint_params *params, const cpl_url *url) {
    bool dots = params->override_url.n > 0 && cpl_str_is(url->scheme, "http");
    if (params->addressing == CPL_ADDRESSING_PATH) return false;
    if (params->addressing == CPL_ADDRESSING_AUTO && params->override_url.n > 0) return false;
    return !is_address(url->host) && is_virtual_hostable(params->bucket, dots);
}

static cpl_str without_end_slash(cpl_str path) {
    while (path.n > 0 && path.p[path.n - 1] == '/') path.n--;
    return path;
}

static void add_url(cpl_buf *out, const cpl_endpoint_params *params, const cpl_url *url) {
    bool virtual = params->bucket.n > 0 && in_host(params, url);
    cpl_buf_addv(out, url->scheme);
    cpl_buf_adds(out, "://");
    if (virtual) {
        cpl_buf_addv(out, params->bucket);
        cpl_buf_addc(out, '.');
    }
    cpl_buf_addv(out, url->authority);
    cpl_buf_addv(out, without_end_slash(url->path));
    if (params->bucket.n > 0 && !virtual) {
        cpl_buf_addc(out, '/');
        cpl_buf_add_uri(out, params->bucket, false);
    }
}

/* ---- all of it ---- */

static cpl_status check_combination(const resolving *r, cpl_error *err) {
    const cpl_endpoint_params *params = r->params;
    if (params->override_url.n > 0 && params->fips)
        return cpl_fail(err, CPL_CONFIG, "FIPS and an endpoint URL of one's own do not go together");
    if (params->override_url.n > 0 && params->dual_stack)
        return cpl_fail(err, CPL_CONFIG, "dual stack and an endpoint URL of one's own do not go together");
    if (r->s3 && params->fips && strcmp(r->partition->prefix, "cn-") == 0)
        return cpl_fail(err, CPL_CONFIG, "S3 has no FIPS endpoints in region \"%.*s\"", (int)params->region.n,
                        params->region.p);
    return CPL_OK;
}

static cpl_status check_params(const resolving *r, cpl_error *err) {
    const cpl_endpoint_params *params = r->params;
    bool needed = r->s3 || params->override_url.n == 0;
    if (!is_service(params->service) || params->service.n >= sizeof((cpl_endpoint *)0)->signing_name)
        return cpl_fail(err, CPL_CONFIG, "the service has no name that could stand in a host name");
    if (params->region.n == 0 && needed)
        return cpl_fail(err, CPL_CONFIG, "no region: give one, set AWS_REGION, or set \"region\" in the profile");
    if (params->region.n > 0 && !is_host_label(params->region))
        return cpl_fail(err, CPL_CONFIG, "region \"%.*s\" cannot stand in a host name",
                        (int)cpl_utf8_cut(params->region, 100), params->region.p);
    return check_combination(r, err);
}

/* User info is refused, so a URL that may have some is not shown. */
static cpl_status refuse_url(cpl_str url, cpl_error *err) {
    if (cpl_str_find(url, '@') < url.n) url = CPL_LIT("...@...");
    return cpl_fail(err, CPL_CONFIG, "endpoint URL \"%.*s\" is not http(s)://host[:port][/path]",
                    (int)cpl_utf8_cut(url, 300), url.p);
}

static cpl_status write_url(const cpl_endpoint_params *params, cpl_str base, cpl_endpoint *out, cpl_error *err) {
    cpl_buf text;
    cpl_url url;
    cpl_status status;
    if (!cpl_url_parse(base, &url) || url.query.n > 0) return refuse_url(base, err);
    cpl_buf_init(&text, sizeof out->url - 1);
    add_url(&text, params, &url);
    status = cpl_buf_status(&text, "the endpoint URL", err);
    CPL_COPY(out->url, cpl_buf_str(&text));
    cpl_buf_release(&text);
    return status;
}

static cpl_status resolve(const cpl_endpoint_params *params, cpl_endpoint *out, cpl_error *err) {
    resolving r = {params, find_partition(params->region), cpl_str_is(params->service, "s3"), is_global(params)};
    bool whole = cpl_str_is(params->region, r.partition->global) && (r.s3 || cpl_str_is(params->service, "sts"));
    cpl_str region = whole || r.global ? cpl_str_of(r.partition->global_region) : params->region;
    cpl_str base = params->override_url;
    cpl_buf host;
    cpl_status status = check_params(&r, err);
    if (status) return status;
    *out = (cpl_endpoint){.url = ""};
    CPL_COPY(out->signing_region, region);
    CPL_COPY(out->signing_name, params->service);
    cpl_buf_init(&host, sizeof out->url);
    if (base.n == 0) {
        cpl_buf_adds(&host, "https://");
        add_host(&host, &r, region);
        base = cpl_buf_str(&host);
    }
    status = cpl_buf_status(&host, "the endpoint URL", err);
    if (status == CPL_OK) status = write_url(params, base, out, err);
    cpl_buf_release(&host);
    return status;
}

cpl_status cpl_endpoint_resolve(const cpl_endpoint_params *params, cpl_endpoint *out, cpl_error *err) {
    cpl_endpoint_params plain = *params;
    if (cpl_endpoint_cut_fips(&plain.region)) plain.fips = true;
    return resolve(&plain, out, err);
}
