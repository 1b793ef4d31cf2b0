/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "client_fixture.h"

static cpl_status make(const cpl_client_options *options, cpl_client **out, cpl_error *err) {
    cpl_client_options all = *options;
    if (all.region.n == 0) all.region = CPL_LIT("eu-west-1");
    return cpl_client_new(out, &all, err);
}

/* Makes a client with one variable set, and answers its status. */
static cpl_status make_under(const char *name, const char *value, cpl_client **out, cpl_error *err) {
    cpl_status status;
    setenv(name, value, 1);
    status = make(&(cpl_client_options){0}, out, err);
    unsetenv(name);
    return status;
}

/* ---- retries ---- */

TEST(t_settings__the_retry_mode_is_the_options_the_environments_or_the_profiles) {
    static const struct {
        const char *variable, *value;
        int version; /* by what a transient retry costs: 14 in 2.1, 5 in 2.0 */
        bool adaptive;
    } cases[] = {{"AWS_RETRY_MODE", "standard", 14, false},   {"AWS_RETRY_MODE", "Adaptive", 14, true},
                 {"AWS_RETRY_MODE", "legacy", 14, false},     {"AWS_RETRY_MODE", "standard-2.0", 5, false},
                 {"AWS_NEW_RETRIES_2026", "false", 5, false}, {"AWS_NEW_RETRIES_2026", "true", 14, false},
                 {"AWS_PROFILE_THAT_IS_NONE", "1", 14, false}};
    cpl_client *client;
    cpl_error err;
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        NEED(make_under(cases[i].variable, cases[i].value, &client, &err) == CPL_OK);
        CHECK(client->retry.cost[CPL_RETRY_TRANSIENT].tokens == cases[i].version);
        CHECK(client->adaptive == cases[i].adaptive && client->retry.max_attempts == 3);
        cpl_client_free(client);
    }
    setenv("AWS_RETRY_MODE", "adaptive", 1);
    NEED(make(&(cpl_client_options){.retry_mode = CPL_LIT("standard")}, &client, &err) == CPL_OK);
    CHECK(!client->adaptive);
    cpl_client_free(client);
    unsetenv("AWS_RETRY_MODE");
    CHECK(make_under("AWS_RETRY_MODE", "eager", &client, &err) == CPL_CONFIG);
    CHECK_STR(err.message, "retry_mode: \"eager\" is not standard, standard-2.0, adaptive or legacy");
    CHECK_STR(err.path, "retry_mode");
}

TEST(t_settings__configured_endpoints_are_ignored_on_request) {
    static const struct {
        cpl_choice option;
        const char *variable, *url;
    } cases[] = {{CPL_CHOICE_YES, "", "https://codepipeline.eu-west-1.amazonaws.com"},
                 {CPL_CHOICE_YES, "false", "https://codepipeline.eu-west-1.amazonaws.com"},
                 {CPL_CHOICE_NO, "true", "http://configured.test"},
                 {CPL_CHOICE_DEFAULT, "", "http://configured.test"}};
    cpl_client *client, *view;
    cpl_error err;
    setenv("AWS_ENDPOINT_URL", "http://configured.test", 1);
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        const cpl_client_options options = {.ignore_configured_endpoint_urls = cases[i].option};
        setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", cases[i].variable, 1);
        NEED(make(&options, &client, &err) == CPL_OK);
        CHECK_STR(cpl_client_endpoint_url(client), cases[i].url);
        CHECK((client->s3_endpoint_url == NULL) == (cases[i].option == CPL_CHOICE_YES));
        if (cases[i].option) {
            CHECK(cpl_client_with(&view, client, &options, &err) == CPL_INVALID);
            CHECK_STR(err.message, "ignore_configured_endpoint_urls: it needs a client of its own");
        }
        cpl_client_free(client);
    }
    unsetenv("AWS_ENDPOINT_URL");
    unsetenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
}

static void write_profile(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) abort();
    setenv("AWS_CONFIG_FILE", path, 1);
}

TEST(t_settings__a_profile_says_the_same_as_the_environment_and_comes_after_it) {
    char path[] = "/tmp/t_settings.XXXXXX";
    cpl_client *client;
    cpl_error err;
    int fd = mkstemp(path);
    NEED(fd >= 0);
    close(fd);
    write_profile(path,
                  "[default]\nregion = us-gov-west-1\nretry_mode = adaptive\nmax_attempts = 7\n"
                  "use_fips_endpoint = true\nuse_dualstack_endpoint = true\nsdk_ua_app_id = my app\n"
                  "disable_clock_skew_correction = true\ndefaults_mode = in-region\n"
                  "request_checksum_calculation = when_required\nresponse_checksum_validation = when_required\n");
    NEED(cpl_client_new(&client, NULL, &err) == CPL_OK);
    CHECK_STR(cpl_client_endpoint_url(client), "https://codepipeline-fips.us-gov-west-1.api.aws");
    CHECK(client->adaptive && client->retry.max_attempts == 7 && !client->correct_clock);
    CHECK(!client->checksums_sent && !client->checksums_checked);
    CHECK(client->limits.connect_timeout_ms == 1100 && strstr(client->user_agent, " app/my-app") != NULL);
    cpl_client_free(client);
    setenv("AWS_MAX_ATTEMPTS", "2", 1);
    setenv("AWS_USE_FIPS_ENDPOINT", "FALSE", 1);
    setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "WHEN_SUPPORTED", 1);
    NEED(cpl_client_new(&client, &(cpl_client_options){.use_dualstack_endpoint = CPL_CHOICE_NO}, &err) == CPL_OK);
    CHECK_STR(cpl_client_endpoint_url(client), "https://codepipeline.us-gov-west-1.amazonaws.com");
    CHECK(client->retry.max_attempts == 2 && client->checksums_sent && !client->checksums_checked);
    cpl_client_free(client);
    unsetenv("AWS_REQUEST_CHECKSUM_CALCULATION");
    unsetenv("AWS_MAX_ATTEMPTS");
    unsetenv("AWS_USE_FIPS_ENDPOINT");
    setenv("AWS_CONFIG_FILE", "/nonexistent/config", 1);
    unlink(path);
}

TEST(t_settings__what_a_setting_cannot_be_is_named) {
    static const struct {
        const char *variable, *value, *path;
    } cases[] = {{"AWS_USE_FIPS_ENDPOINT", "yes", "use_fips_endpoint"},
                 {"AWS_USE_DUALSTACK_ENDPOINT", "1", "use_dualstack_endpoint"},
                 {"AWS_DISABLE_CLOCK_SKEW_CORRECTION", "on", "disable_clock_skew_correction"},
                 {"AWS_MAX_ATTEMPTS", "0", "max_attempts"},
                 {"AWS_REQUEST_CHECKSUM_CALCULATION", "never", "request_checksum_calculation"},
                 {"AWS_RESPONSE_CHECKSUM_VALIDATION", "true", "response_checksum_validation"},
                 {"AWS_DEFAULTS_MODE", "fast", "defaults_mode"},
                 {"AWS_SDK_UA_APP_ID", "a name that is much longer than fifty characters are", "app_id"},
                 {"AWS_SDK_UA_APP_ID", "caf\xc3\xa9", "app_id"}};
    cpl_client *client;
    cpl_error err;
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        CHECK(make_under(cases[i].variable, cases[i].value, &client, &err) == CPL_CONFIG);
        CHECK_STR(err.path, cases[i].path);
    }
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1", 1);
    CHECK(make_under("AWS_USE_FIPS_ENDPOINT", "true", &client, &err) == CPL_CONFIG);
    CHECK_STR(err.message, "FIPS and an endpoint URL of one's own do not go together");
    unsetenv("AWS_ENDPOINT_URL");
}

TEST(t_settings__a_clock_is_left_alone_when_asked) {
    const fault_step step = {.status = 400,
                             .head = "Date: Sun, 30 Aug 2015 12:36:00 GMT\r\n",
                             .body = "{\"__type\":\"InvalidSignatureException\"}"};
    fixture f;
    setenv("AWS_DISABLE_CLOCK_SKEW_CORRECTION", "true", 1);
    start(&f, &step, 1);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_SERVICE && f.err.attempts == 1);
    CHECK(atomic_load(&f.client->skew_s) == 0);
    unsetenv("AWS_DISABLE_CLOCK_SKEW_CORRECTION");
    stop(&f);
}

/* ---- the adaptive mode ---- */

static bool near(double got, double want) {
    if (fabs(got - want) < 1e-6) return true;
    printf("  %.9f, not %.9f\n", got, want);
    return false;
}

/* The SDKs' own sequence of half a second of requests, throttled now and then. */
TEST(t_settings__the_rate_follows_the_curve_the_sdks_have_in_common) {
    static const struct {
        double now_s;
        bool throttled;
        double measured, fill_rate;
    } steps[] = {{0.2, false, 0, 0.5},         {0.4, false, 0, 0.5},          {0.6, false, 4.8, 0.5},
                 {0.8, false, 4.8, 0.5},       {1.0, false, 4.16, 0.5},       {1.2, false, 4.16, 0.6912},
                 {1.4, false, 4.16, 1.0976},   {1.6, false, 5.632, 1.6384},   {1.8, false, 5.632, 2.3328},
                 {2.0, true, 4.3264, 3.02848}, {2.2, false, 4.3264, 3.486639}};
    cpl_rate rate;
    NEED(cpl_rate_init(&rate, 0, NULL) == CPL_OK);
    for (size_t i = 0; i < CPL_COUNT(steps); i++) {
        CHECK(rate.enabled || cpl_rate_take(&rate, steps[i].now_s) == 0);
        cpl_rate_answered(&rate, steps[i].throttled, steps[i].now_s);
        CHECK(near(rate.measured, steps[i].measured));
        if (i < 10) CHECK(near(rate.fill_rate, steps[i].fill_rate));
        if (i == 10) CHECK(fabs(rate.fill_rate - steps[i].fill_rate) < 1e-5);
    }
    cpl_rate_release(&rate);
}

TEST(t_settings__after_throttling_requests_wait_for_their_turn) {
    cpl_rate rate;
    NEED(cpl_rate_init(&rate, 100, NULL) == CPL_OK);
    for (int i = 0; i < 10; i++) cpl_rate_answered(&rate, false, 100 + i * 0.1);
    cpl_rate_answered(&rate, true, 101);
    double interval_ms = 1000 / rate.fill_rate;
    int64_t waits[3] = {0};
    for (int i = 0; i < 100 && waits[0] == 0; i++) waits[0] = cpl_rate_take(&rate, 101); /* what had gathered */
    for (int i = 1; i < 3; i++) waits[i] = cpl_rate_take(&rate, 101);
    CHECK(waits[0] > 0 && llabs(waits[1] - waits[0] - (int64_t)interval_ms) <= 1);
    CHECK(llabs(waits[2] - waits[1] - (int64_t)interval_ms) <= 1);
    CHECK(cpl_rate_take(&rate, 200) == 0); /* long ago */
    cpl_rate_release(&rate);
}

TEST(t_settings__a_first_answer_that_throttles_counts_from_the_start_of_the_client) {
    cpl_rate rate;
    NEED(cpl_rate_init(&rate, 0, NULL) == CPL_OK);
    cpl_rate_answered(&rate, true, 0.5); /* one request in half a second, and 0.8 of it counts */
    CHECK(near(rate.measured, 1.6) && near(rate.fill_rate, 1.6 * 0.7));
    CHECK(cpl_rate_take(&rate, 0.5) == 893);
    cpl_rate_release(&rate);
}

TEST(t_settings__an_adaptive_client_learns_from_throttling) {
    static const fault_step steps[] = {
        {.body = "{}"}, {.status = 400, .body = "{\"__type\":\"ThrottlingException\"}"}, {.body = "{}"}};
    cpl_client_options options;
    fixture f;
    start(&f, steps, 3);
    options = options_for(f.server);
    options.retry_mode = CPL_LIT("adaptive");
    options.max_attempts = 1;
    cpl_client_free(f.client);
    NEED(cpl_client_new(&f.client, &options, &f.err) == CPL_OK);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_OK && !f.client->rate.enabled);
    CHECK(call(&f, "ListPipelines", "{}") == CPL_SERVICE && f.client->rate.enabled);
    CHECK(f.err.retryable);
    /* half a request a second from here on: the next must wait longer than it is given */
    f.client->rate.tokens = 0;
    const cpl_call_options limited = {.wait = {.timeout_ms = 50}};
    CHECK(cpl_client_call(f.client, CPL_LIT("ListPipelines"), CPL_LIT("{}"), &limited, &f.reply, &f.err) ==
          CPL_TIMEOUT);
    CHECK(fault_server_requests(f.server) == 2);
    stop(&f);
}

/* ---- views ---- */

TEST(t_settings__a_view_has_its_own_region_keys_and_limits_and_shares_the_rest) {
    fixture f;
    cpl_client *view = NULL, *further = NULL;
    start(&f, &(fault_step){.body = "{}"}, 1);
    const cpl_client_options overrides = {.region = CPL_LIT("us-west-2"),
                                          .access_key_id = CPL_LIT("AKIDOTHER"),
                                          .secret_access_key = CPL_LIT("other"),
                                          .read_timeout_ms = 1234,
                                          .max_attempts = 9};
    NEED(cpl_client_with(&view, f.client, &overrides, &f.err) == CPL_OK);
    NEED(cpl_client_with(&further, view, &(cpl_client_options){.region = CPL_LIT("eu-south-2")}, &f.err) == CPL_OK);
    CHECK_STR(cpl_client_region(view), "us-west-2");
    CHECK_STR(cpl_client_endpoint_url(view), fault_server_url(f.server));
    CHECK(view->limits.read_timeout_ms == 1234 && view->limits.connect_timeout_ms == 3100);
    CHECK(call_with(&f, f.client, "ListPipelines", "{}") == CPL_OK);
    CHECK(call_with(&f, view, "ListPipelines", "{}") == CPL_OK);
    CHECK(call_with(&f, further, "ListPipelines", "{}") == CPL_OK);
    CHECK(strstr(sent_header(&f, 0, "authorization"), "=AKIDEXAMPLE/") &&
          strstr(sent_header(&f, 0, "authorization"), "/eu-west-1/"));
    CHECK(strstr(sent_header(&f, 1, "authorization"), "=AKIDOTHER/") &&
          strstr(sent_header(&f, 1, "authorization"), "/us-west-2/"));
    CHECK(strstr(sent_header(&f, 2, "authorization"), "=AKIDOTHER/") &&
          strstr(sent_header(&f, 2, "authorization"), "/eu-south-2/"));
    CHECK_STR(sent_header(&f, 1, "amz-sdk-request"), "attempt=1; max=9");
    CHECK(fault_server_connections(f.server) == 1);
    cpl_client_free(view); /* kept alive by the one made from it */
    CHECK(call_with(&f, further, "ListPipelines", "{}") == CPL_OK);
    cpl_client_close(further);
    CHECK(cpl_client_closed(further) && !cpl_client_closed(f.client));
    cpl_client_free(further);
    NEED(cpl_client_with(&view, f.client, NULL, &f.err) == CPL_OK);
    cpl_client_close(f.client);
    CHECK(call_with(&f, view, "ListPipelines", "{}") == CPL_STATE);
    cpl_client_free(view);
    stop(&f);
}

TEST(t_settings__a_view_fails_as_its_own_limits_say) {
    fixture f;
    cpl_client *view = NULL;
    start(&f, &(fault_step){.kind = FAULT_STALL}, 1);
    NEED(cpl_client_with(&view, f.client, &(cpl_client_options){.read_timeout_ms = 60, .max_attempts = 1}, &f.err) ==
         CPL_OK);
    CHECK(call_with(&f, view, "ListPipelines", "{}") == CPL_TIMEOUT && f.err.attempts == 1);
    CHECK(strstr(f.err.message, "was silent for 60 ms") != NULL);
    CHECK(cpl_client_download(view, CPL_LIT("bucket"), CPL_LIT("key"), CPL_LIT("/tmp/t_settings.never"), NULL,
                              &f.err) == CPL_TIMEOUT);
    CHECK(strstr(f.err.message, "was silent for 60 ms") != NULL);
    cpl_client_free(view);
    stop(&f);
}

TEST(t_settings__a_view_is_checked_like_a_client) {
    static const struct {
        cpl_client_options options;
        cpl_status status;
        const char *path;
    } cases[] = {{{.profile = CPL_LIT("x")}, CPL_INVALID, "profile"},
                 {{.ca_bundle = CPL_LIT("/etc")}, CPL_INVALID, "ca_bundle"},
                 {{.proxy = CPL_LIT("none")}, CPL_INVALID, "proxy"},
                 {{.retry_mode = CPL_LIT("adaptive")}, CPL_INVALID, "retry_mode"},
                 {{.region = CPL_LIT("eu\nwest")}, CPL_INVALID, "region"},
                 {{.region = CPL_LIT("eu/west")}, CPL_CONFIG, ""},
                 {{.endpoint_url = CPL_LIT("ftp://x")}, CPL_CONFIG, ""},
                 {{.s3_endpoint_url = CPL_LIT("x")}, CPL_CONFIG, "s3_endpoint_url"},
                 {{.access_key_id = CPL_LIT("AKID")}, CPL_INVALID, "secret_access_key"},
                 {{.total_timeout_ms = -1}, CPL_INVALID, "total_timeout_ms"}};
    fixture f;
    start(&f, &(fault_step){0}, 1);
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        cpl_client *view = NULL;
        CHECK(cpl_client_with(&view, f.client, &cases[i].options, &f.err) == cases[i].status && view == NULL);
        CHECK_STR(f.err.path, cases[i].path);
    }
    stop(&f);
}

/* ---- what an error carries ---- */

TEST(t_settings__an_error_carries_every_id_that_helps_to_find_it) {
    const fault_step step = {.status = 400,
                             .head = "x-amzn-RequestId: r-1\r\nX-Amz-Cf-Id: cloud==\r\nx-amz-id-2: extended/2\r\n",
                             .body = "{\"__type\":\"PipelineNotFoundException\",\"message\":\"no\"}"};
    fixture f;
    start(&f, &step, 1);
    CHECK(call(&f, "GetPipeline", "{\"name\":\"site\"}") == CPL_SERVICE);
    CHECK_STR(f.err.request_id, "r-1");
    CHECK_STR(f.err.cloudfront_id, "cloud==");
    CHECK_STR(f.err.extended_id, "extended/2");
    CHECK(f.err.http_status == 400 && f.err.attempts == 1 && f.err.retry_delay_ms == 0);
    stop(&f);
}

TEST_MAIN
