/* SPDX-License-Identifier: MIT */
#include "../../core/clock.h"
#include "../../core/json.h"
#include "client_fixture.h"
#include "tls_server.h"

static cpl_json *examine(const cpl_client_options *options) {
    cpl_reply *reply = NULL;
    cpl_json *document = NULL;
    cpl_error err;
    if (CHECK(cpl_doctor(options, NULL, &reply, &err) == CPL_OK)) {
        CHECK(cpl_json_parse(cpl_reply_text(reply), &document, &err) == CPL_OK);
    }
    cpl_reply_free(reply);
    return document;
}

static const char *text_of(const cpl_json *document, const char *path) {
    return cpl_json_cstr(cpl_json_get_path(document, path), "");
}

/* The n-th problem, "" when there are fewer. */
static const char *problem(const cpl_json *document, size_t n) {
    return cpl_json_cstr(cpl_json_at(cpl_json_get(document, "problems"), n), "");
}

TEST(t_doctor__finds_all_well_and_says_where_everything_came_from) {
    fault_server *server = fault_server_start(&(fault_step){.body = "{\"pipelines\":[]}"}, 1);
    cpl_json *d;
    setenv("AWS_REGION", "eu-west-1", 1);
    setenv("AWS_ACCESS_KEY_ID", "AKIDCANARYCANARY0123", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "canary-secret", 1);
    setenv("AWS_ENDPOINT_URL", fault_server_url(server), 1);
    setenv("AWS_RETRY_MODE", "adaptive", 1);
    d = examine(NULL);
    CHECK(cpl_json_get_bool(d, "healthy", false) && problem(d, 0)[0] == '\0');
    CHECK_STR(text_of(d, "region.value"), "eu-west-1");
    CHECK_STR(text_of(d, "region.source"), "AWS_REGION");
    CHECK_STR(text_of(d, "endpoint.value"), fault_server_url(server));
    CHECK_STR(text_of(d, "endpoint.source"), "AWS_ENDPOINT_URL");
    CHECK_STR(text_of(d, "credentials.value"), "AKID****0123");
    CHECK_STR(text_of(d, "credentials.source"), "environment");
    CHECK_STR(text_of(d, "retry_mode.value"), "adaptive");
    CHECK_STR(text_of(d, "profile.source"), "default");
    CHECK(cpl_json_number(cpl_json_get_path(d, "reach.http_status"), 0) == 200);
    CHECK(strstr(text_of(d, "text"), "all is well\n") && strstr(text_of(d, "text"), "eu-west-1  [AWS_REGION]\n"));
    CHECK(strstr(text_of(d, "text"), "canary") == NULL && strstr(text_of(d, "text"), "CANARY") == NULL);
    cpl_json_free(d);
    unsetenv("AWS_REGION");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_ENDPOINT_URL");
    unsetenv("AWS_RETRY_MODE");
    fault_server_stop(server);
}

TEST(t_doctor__without_anything_it_names_what_is_missing) {
    cpl_json *d = examine(NULL);
    CHECK(!cpl_json_get_bool(d, "healthy", true));
    CHECK(strncmp(problem(d, 0), "no region: pass one, set AWS_REGION", 35) == 0);
    cpl_json_free(d);
    d = examine(&(cpl_client_options){.profile = CPL_LIT("nobody")});
    CHECK(strncmp(problem(d, 0), "profile \"nobody\" is neither in ", 31) == 0);
    cpl_json_free(d);
}

TEST(t_doctor__without_credentials_it_still_knocks) {
    fault_server *server = fault_server_start(&(fault_step){.status = 403}, 1);
    const cpl_client_options options = {.region = CPL_LIT("eu-west-1"),
                                        .endpoint_url = cpl_str_of(fault_server_url(server))};
    cpl_json *d = examine(&options);
    CHECK(!cpl_json_get_bool(d, "healthy", true) && strncmp(problem(d, 0), "no credentials", 14) == 0);
    CHECK(cpl_json_number(cpl_json_get_path(d, "reach.http_status"), 0) == 403 && problem(d, 1)[0] == '\0');
    CHECK(strncmp(fault_server_request(server, 0), "GET / HTTP/1.1\r\n", 16) == 0);
    cpl_json_free(d);
    fault_server_stop(server);
}

TEST(t_doctor__a_dead_endpoint_is_named) {
    fault_server *server = fault_server_start(&(fault_step){0}, 1);
    char url[64], want[160];
    cpl_client_options options = options_for(server);
    snprintf(url, sizeof url, "%s", fault_server_url(server));
    options.endpoint_url = options.s3_endpoint_url = cpl_str_of(url);
    fault_server_stop(server);
    cpl_json *d = examine(&options);
    snprintf(want, sizeof want, "the service cannot be asked: connect to \"%s\": Connection refused", url + 7);
    CHECK_STR(problem(d, 0), want);
    CHECK(cpl_json_get(d, "reach") == NULL);
    cpl_json_free(d);
}

TEST(t_doctor__refusals_and_a_wrong_clock_are_told_apart) {
    static const struct {
        const char *code, *problem;
    } cases[] = {{"UnrecognizedClientException", "the service does not take the credentials: UnrecognizedClient"},
                 {"AccessDeniedException", "the credentials are good, but may not list pipelines: no"},
                 {"ValidationException", "the service refused to list pipelines: ValidationException: no"}};
    char date[CPL_TIME_HTTP_SIZE], head[128];
    cpl_time_http(cpl_clock_wall_ms() / 1000 - 7200, date);
    snprintf(head, sizeof head, "Date: %s\r\n", date);
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        char body[128];
        snprintf(body, sizeof body, "{\"__type\":\"%s\",\"message\":\"no\"}", cases[i].code);
        const fault_step step = {.status = 400, .head = head, .body = body};
        fault_server *server = fault_server_start(&step, 1);
        const cpl_client_options options = options_for(server);
        cpl_json *d = examine(&options);
        CHECK(strncmp(problem(d, 0), "this machine's clock is 7", 25) == 0 &&
              strstr(problem(d, 0), "seconds ahead of the"));
        if (!CHECK(strncmp(problem(d, 1), cases[i].problem, strlen(cases[i].problem)) == 0)) puts(problem(d, 1));
        cpl_json_free(d);
        fault_server_stop(server);
    }
}

TEST(t_doctor__what_is_not_the_service_is_told_from_a_service_that_refuses) {
    static const struct {
        fault_step step;
        const char *problem, *more;
    } cases[] = {
        {{.body = "<html>sign in</html>"}, "what answers at http://127.0.0.1:", "is not the service"},
        {{.kind = FAULT_RAW, .body = "SSH-2.0-x\r\n"}, "what answers at http://127.0.0.1:", "not HTTP"},
        {{.status = 403, .body = "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: x\"}"},
         "the service does not take the time of the request: InvalidSignatureException: ",
         "Signature expired"}};
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        fault_server *server = fault_server_start(&cases[i].step, 1);
        const cpl_client_options options = options_for(server);
        cpl_json *d = examine(&options);
        const char *text = problem(d, 0);
        if (!CHECK(strncmp(text, cases[i].problem, strlen(cases[i].problem)) == 0 && strstr(text, cases[i].more))) {
            printf("  %s\n", text);
        }
        cpl_json_free(d);
        fault_server_stop(server);
    }
}

TEST(t_doctor__a_proxys_password_is_not_shown) {
    fault_server *server = fault_server_start(&(fault_step){.body = "{}"}, 1);
    cpl_client_options options = options_for(server);
    char proxy[96];
    snprintf(proxy, sizeof proxy, "http://user:canary@%s", fault_server_url(server) + 7);
    options.proxy = cpl_str_of(proxy);
    cpl_json *d = examine(&options);
    CHECK(cpl_json_get_bool(d, "healthy", false));
    CHECK_STR(text_of(d, "proxy.value"), fault_server_url(server) + 7);
    CHECK(strstr(text_of(d, "text"), "canary") == NULL);
    cpl_json_free(d);
    fault_server_stop(server);
}

TEST(t_doctor__a_name_that_was_written_by_hand_is_not_blamed_on_the_region) {
    /* A label has at most 63 letters, so no server is asked for this one. */
    static const char url[] = "https://nowhere-nowhere-nowhere-nowhere-nowhere-nowhere-nowhere-nowhere-1.test";
    cpl_json *d = examine(&(cpl_client_options){.region = CPL_LIT("eu-west-1"),
                                                .endpoint_url = cpl_str_of(url),
                                                .access_key_id = CPL_LIT("AKID"),
                                                .secret_access_key = CPL_LIT("secret")});
    CHECK(strstr(problem(d, 0), "the name was not found") && strstr(problem(d, 0), "a region") == NULL);
    cpl_json_free(d);
}

TEST(t_doctor__an_untrusted_certificate_is_met_with_advice) {
    tls_server s = {0};
    if (system("openssl version >/dev/null 2>&1") != 0) SKIP("the openssl command is not installed");
    NEED(tls_server_start(&s, NULL));
    const cpl_client_options options = {.region = CPL_LIT("eu-west-1"),
                                        .endpoint_url = cpl_str_of(s.url),
                                        .access_key_id = CPL_LIT("AKID"),
                                        .secret_access_key = CPL_LIT("secret")};
    cpl_json *d = examine(&options);
    CHECK(strstr(problem(d, 0), "; ca_bundle or AWS_CA_BUNDLE names the authorities to trust") != NULL);
    cpl_json_free(d);
    tls_server_stop(&s);
}

TEST_MAIN
