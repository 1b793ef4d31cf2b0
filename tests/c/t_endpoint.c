/* SPDX-License-Identifier: MIT */
#include "../../core/endpoint.h"

#include <cJSON.h>

#include "test.h"

static cpl_str text_of(const cJSON *object, const char *key) {
    return cpl_str_of(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key)));
}

static bool is_true(const cJSON *object, const char *key) {
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

/* ---- the third-party suites ---- */

static cpl_endpoint_params read_params(const char *service, const cJSON *params) {
    bool path = is_true(params, "ForcePathStyle");
    return (cpl_endpoint_params){
        .service = cpl_str_of(service),
        .region = text_of(params, "Region"),
        .override_url = text_of(params, "Endpoint"),
        .bucket = text_of(params, "Bucket"),
        .addressing = path ? CPL_ADDRESSING_PATH : CPL_ADDRESSING_VIRTUAL,
        .fips = is_true(params, "UseFIPS"),
        .dual_stack = is_true(params, "UseDualStack"),
        .legacy_global = is_true(params, "UseGlobalEndpoint"),
    };
}

static void check_suite_case(const char *service, const cJSON *test) {
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(test, "params");
    const cJSON *expect = cJSON_GetObjectItemCaseSensitive(test, "expect");
    const cJSON *want = cJSON_GetObjectItemCaseSensitive(expect, "endpoint");
    const cJSON *properties = cJSON_GetObjectItemCaseSensitive(want, "properties");
    const cJSON *scheme = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(properties, "authSchemes"), 0);
    cpl_endpoint_params params = read_params(service, given);
    cpl_endpoint got;
    cpl_error err;
    cpl_status status = cpl_endpoint_resolve(&params, &got, &err);
    bool ok = want ? status == CPL_OK && cpl_str_is(text_of(want, "url"), got.url) : status == CPL_CONFIG;
    if (ok && scheme) {
        ok = cpl_str_is(text_of(scheme, "signingRegion"), got.signing_region) &&
             cpl_str_is(text_of(scheme, "signingName"), got.signing_name);
    }
    if (!CHECK(ok)) {
        char *text = cJSON_PrintUnformatted(test);
        printf("  got %s\n  for %s\n", status ? err.message : got.url, text);
        free(text);
    }
}

/* How many cases the file has; -1 when it is not there. */
static int run_suite(const char *service, const char *file) {
    const char *path = test_suite_path(file);
    char *text = path ? test_read_file(path, NULL) : NULL;
    cJSON *suite = cJSON_Parse(text);
    const cJSON *test;
    int count = 0;
    if (text == NULL) return -1;
    cJSON_ArrayForEach(test, cJSON_GetObjectItemCaseSensitive(suite, "testCases")) {
        check_suite_case(service, test);
        count++;
    }
    cJSON_Delete(suite);
    free(text);
    return count;
}

TEST(t_endpoint__all_suite_cases_of_codepipeline_agree) {
    int count = run_suite("codepipeline", "endpoints/codepipeline.endpoint-tests-1.json");
    if (count < 0) SKIP("the third-party suite is not here");
    CHECK(count == 45);
}

TEST(t_endpoint__all_suite_cases_of_sts_agree) {
    int count = run_suite("sts", "endpoints/sts.endpoint-tests-1.json");
    if (count < 0) SKIP("the third-party suite is not here");
    CHECK(count == 69);
}

TEST(t_endpoint__all_suite_cases_of_s3_with_plain_buckets_agree) {
    int count = run_suite("s3", "endpoints/s3.worker-subset.json");
    if (count < 0) SKIP("the third-party suite is not here");
    CHECK(count == 111);
}

/* ---- our own rules ---- */

typedef struct row {
    const char *service, *region, *override_url, *bucket;
    const char *want; /* a URL; NULL: CPL_CONFIG */
} row;

static void check_rows(const row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const row *r = &rows[i];
        cpl_endpoint_params params = {.service = cpl_str_of(r->service),
                                      .region = cpl_str_of(r->region),
                                      .override_url = cpl_str_of(r->override_url),
                                      .bucket = cpl_str_of(r->bucket)};
        cpl_endpoint got = {.url = ""};
        cpl_error err = {.status = CPL_OK};
        cpl_status status = cpl_endpoint_resolve(&params, &got, &err);
        if (r->want == NULL) {
            CHECK(status == CPL_CONFIG && err.message[0] != '\0');
        } else {
            CHECK(status == CPL_OK);
            CHECK_STR(got.url, r->want);
        }
    }
}

TEST(t_endpoint__sign_in_and_sso_have_names_of_their_own) {
    static const struct {
        const char *service, *region;
        bool fips, dual_stack;
        const char *want;
    } rows[] = {
        {"signin", "eu-west-1", false, false, "https://eu-west-1.signin.aws.amazon.com"},
        {"signin", "cn-north-1", false, false, "https://cn-north-1.signin.amazonaws.cn"},
        {"signin", "eusc-de-east-1", false, false, "https://eusc-de-east-1.signin.amazonaws-eusc.eu"},
        {"signin", "eu-west-1", true, false, "https://signin-fips.eu-west-1.amazonaws.com"},
        {"signin", "eu-west-1", false, true, "https://signin.eu-west-1.api.aws"},
        {"signin", "us-gov-west-1", true, false, "https://signin-fips.amazonaws-us-gov.com"},
        {"signin", "us-gov-east-1", true, false, "https://us-gov-east-1.signin-fips.amazonaws-us-gov.com"},
        {"signin", "us-gov-east-1", true, true, "https://signin-fips.us-gov-east-1.api.aws"},
        {"oidc", "us-gov-east-1", true, false, "https://oidc.us-gov-east-1.amazonaws.com"},
        {"portal.sso", "us-gov-west-1", true, false, "https://portal.sso.us-gov-west-1.amazonaws.com"},
        {"portal.sso", "us-gov-west-1", true, true, "https://portal.sso-fips.us-gov-west-1.api.aws"},
        {"portal.sso", "us-east-2", true, false, "https://portal.sso-fips.us-east-2.amazonaws.com"},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        const cpl_endpoint_params params = {.service = cpl_str_of(rows[i].service),
                                            .region = cpl_str_of(rows[i].region),
                                            .fips = rows[i].fips,
                                            .dual_stack = rows[i].dual_stack};
        cpl_endpoint got;
        CHECK(cpl_endpoint_resolve(&params, &got, NULL) == CPL_OK);
        CHECK_STR(got.url, rows[i].want);
    }
}

TEST(t_endpoint__the_regions_that_were_names_for_fips_are_regions_with_fips) {
    static const row rows[] = {
        {"codepipeline", "fips-us-east-1", NULL, NULL, "https://codepipeline-fips.us-east-1.amazonaws.com"},
        {"codepipeline", "us-west-2-fips", NULL, NULL, "https://codepipeline-fips.us-west-2.amazonaws.com"},
        {"sts", "us-gov-west-1-fips", NULL, NULL, "https://sts.us-gov-west-1.amazonaws.com"},
        {"s3", "fips-us-east-2", NULL, "artifacts", "https://artifacts.s3-fips.us-east-2.amazonaws.com"},
        {"codepipeline", "fips-us-east-1", "https://example.com", NULL, NULL},
        {"codepipeline", "fips-", NULL, NULL, NULL},
    };
    const cpl_endpoint_params params = {.service = CPL_LIT("codepipeline"), .region = CPL_LIT("fips-us-east-1")};
    cpl_endpoint got;
    check_rows(rows, CPL_COUNT(rows));
    CHECK(cpl_endpoint_resolve(&params, &got, NULL) == CPL_OK);
    CHECK_STR(got.signing_region, "us-east-1");
}

TEST(t_endpoint__an_override_keeps_the_bucket_in_the_path) {
    static const row rows[] = {
        {"s3", "eu-west-1", "http://127.0.0.1:4566", "artifacts", "http://127.0.0.1:4566/artifacts"},
        {"s3", "eu-west-1", "http://localhost:4566/", "artifacts", "http://localhost:4566/artifacts"},
        {"s3", "eu-west-1", "https://proxy.example/s3/", "my.bucket", "https://proxy.example/s3/my.bucket"},
        {"s3", "eu-west-1", "http://[::1]:4566", "artifacts", "http://[::1]:4566/artifacts"},
        {"s3", "eu-west-1", "http://localhost:4566", NULL, "http://localhost:4566"},
        {"s3", "eu-west-1", NULL, "my.bucket", "https://s3.eu-west-1.amazonaws.com/my.bucket"},
        {"s3", "eu-west-1", NULL, "artifacts", "https://artifacts.s3.eu-west-1.amazonaws.com"},
        {"codepipeline", NULL, "http://127.0.0.1:1/", NULL, "http://127.0.0.1:1"},
        {"codepipeline", "xx-new-9", NULL, NULL, "https://codepipeline.xx-new-9.amazonaws.com"},
        {"codepipeline", "eusc-de-east-1", NULL, NULL, "https://codepipeline.eusc-de-east-1.amazonaws.eu"},
        {"codepipeline", "cn-like-name-x", NULL, NULL, "https://codepipeline.cn-like-name-x.amazonaws.com"},
    };
    check_rows(rows, CPL_COUNT(rows));
}

TEST(t_endpoint__what_cannot_stand_in_a_host_name_is_refused) {
    static const row rows[] = {
        {"codepipeline", "", NULL, NULL, NULL},
        {"codepipeline", "us-east-1/..", NULL, NULL, NULL},
        {"codepipeline", "us-east-1.evil.example", NULL, NULL, NULL},
        {"codepipeline", "us-east-1\r\nhost: x", NULL, NULL, NULL},
        {"codepipeline", "-us-east-1", NULL, NULL, NULL},
        {"code pipeline", "us-east-1", NULL, NULL, NULL},
        {"", "us-east-1", NULL, NULL, NULL},
        {"codepipeline", "us-east-1", "ftp://example.com", NULL, NULL},
        {"codepipeline", "us-east-1", "example.com", NULL, NULL},
        {"codepipeline", "us-east-1", "https://", NULL, NULL},
        {"codepipeline", "us-east-1", "https://user:secret@example.com", NULL, NULL},
        {"codepipeline", "us-east-1", "https://example.com/?a=b", NULL, NULL},
        {"codepipeline", "us-east-1", "https://example.com/#top", NULL, NULL},
        {"s3", "", "http://127.0.0.1:1", "bucket", NULL},
    };
    check_rows(rows, CPL_COUNT(rows));
}

TEST(t_endpoint__a_url_with_user_info_is_not_shown) {
    cpl_endpoint_params params = {.service = CPL_LIT("codepipeline"),
                                  .region = CPL_LIT("us-east-1"),
                                  .override_url = CPL_LIT("https://user:secret@example.com")};
    cpl_endpoint got;
    cpl_error err;
    NEED(cpl_endpoint_resolve(&params, &got, &err) == CPL_CONFIG);
    CHECK(strstr(err.message, "secret") == NULL);
}

TEST(t_endpoint__a_url_that_does_not_fit_is_an_error) {
    char url[700];
    cpl_endpoint_params params = {.service = CPL_LIT("s3"), .region = CPL_LIT("us-east-1")};
    cpl_endpoint got;
    cpl_error err;
    memset(url, 'a', sizeof url);
    memcpy(url, "http://127.0.0.1/", 17);
    params.override_url = (cpl_str){url, sizeof url};
    CHECK(cpl_endpoint_resolve(&params, &got, &err) == CPL_TOO_LARGE);
    params.override_url.n = 400;
    CHECK(cpl_endpoint_resolve(&params, &got, &err) == CPL_OK);
    params.bucket = (cpl_str){url + 17, 200};
    CHECK(cpl_endpoint_resolve(&params, &got, &err) == CPL_TOO_LARGE);
}

TEST(t_endpoint__every_failing_allocation_is_reported) {
    cpl_endpoint_params params = {.service = CPL_LIT("s3"), .region = CPL_LIT("us-east-1"), .bucket = CPL_LIT("b.c")};
    cpl_endpoint got;
    cpl_error err;
    cpl_status status = CPL_NOMEM;
    for (size_t n = 1; n < 50 && status; n++) {
        cpl_alloc_fail_at(n);
        status = cpl_endpoint_resolve(&params, &got, &err);
        cpl_alloc_fail_at(0);
        CHECK(status == CPL_OK || status == CPL_NOMEM);
    }
    CHECK(status == CPL_OK);
}

TEST(t_endpoint__a_region_tells_its_partition) {
    static const char *const rows[][2] = {{"eu-west-1", "aws"},
                                          {"xx-new-1", "aws"},
                                          {"cn-north-1", "aws-cn"},
                                          {"us-gov-west-1", "aws-us-gov"},
                                          {"us-isob-east-1", "aws-iso-b"},
                                          {"eusc-de-east-1", "aws-eusc"},
                                          {"aws-cn-global", "aws-cn"},
                                          {"", "aws"}};
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        CHECK_STR(cpl_endpoint_partition(cpl_str_of(rows[i][0])), rows[i][1]);
    }
}

TEST_MAIN
