/* SPDX-License-Identifier: MIT */
/* Each provider where the third-party suite says nothing: what it refuses, what it sends, how it fails. */
#include "creds_ask.h"

/* ---- containers ---- */

TEST(t_creds_providers__a_container_is_asked_in_plain_http_on_this_machine_only) {
    static const struct {
        const char *url;
        bool allowed;
    } rows[] = {
        {"http://127.0.0.1:9000/x", true},
        {"http://127.1.2.3/x", true},
        {"http://[::1]/x", true},
        {"http://localhost/x", true},
        {"https://example.com/x", true},
        {"http://169.254.170.23/v1", true},
        {"http://example.com/x", false},
        {"http://169.254.169.254/latest/", false},
        {"http://127.0.0.1.example.com/x", false},
        {"http://127.example.com/x", false},
        {"http://127.0.0.1@example.com/x", false},
        {"http://localhost.example.com/x", false},
        {"http://169.254.170.2.example.com/x", false},
        {"http://[::ffff:169.254.169.254]/x", false},
        {"http://2130706433/x", false},
        {"http://0/x", false},
        {"ftp://127.0.0.1/x", false},
        {"file:///etc/passwd", false},
        {"http://127.0.0.1/x#@example.com", false},
        {"http://127.0.0.1\\@example.com/", false},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        char variable[200];
        world w = {.env = {variable}};
        cpl_error err = {.status = CPL_OK};
        cpl_buf url;
        cpl_buf_init(&url, 1000);
        snprintf(variable, sizeof variable, "AWS_CONTAINER_CREDENTIALS_FULL_URI=%s", rows[i].url);
        CHECK(world_open(&w, &err) == CPL_OK);
        if (!CHECK((cpl_creds_container_url(w.config, &url, &err) == CPL_OK) == rows[i].allowed))
            printf("  %s\n", rows[i].url);
        cpl_buf_release(&url);
        world_close(&w);
    }
}

TEST(t_creds_providers__a_container_gets_its_token_and_the_file_goes_first) {
    static const fault_step steps[] = {{.body = CONTAINER_ANSWER}};
    world w = {
        .env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1/x", "AWS_CONTAINER_AUTHORIZATION_TOKEN=one", NULL},
        .steps = steps,
        .step_count = 1};
    check_key(&w, "AKC");
    CHECK(strcasestr(fault_server_request(w.server, 0), "\r\nauthorization: one\r\n") != NULL);
    CHECK(w.direct[0]);
    world_close(&w);
    begin_files("");
    put("token", "two\n");
    w.root = root;
    w.env[2] = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=token";
    check_key(&w, "AKC");
    CHECK(strcasestr(fault_server_request(w.server, 0), "\r\nauthorization: two\r\n") != NULL);
    world_close(&w);
    put("token", "two\r\nx-evil: 1");
    check_refused(&w, "the token file \"token\" is empty, or has a character no token has");
    CHECK(w.asked == 0);
    world_close(&w);
    remove_all(root);
    w.env[2] = NULL;
    w.env[1] = "AWS_CONTAINER_AUTHORIZATION_TOKEN=SECRET\nx-evil: 1";
    check_refused(&w, "AWS_CONTAINER_AUTHORIZATION_TOKEN has a character no token has");
    CHECK(w.asked == 0);
    world_close(&w);
}

TEST(t_creds_providers__answers_that_are_not_credentials_are_told) {
    static const struct {
        fault_step step;
        const char *words;
    } rows[] = {
        {{.status = 302, .head = "Location: http://127.0.0.1:1/\r\n", .body = ""}, "answered 302"},
        {{.status = 403, .body = "{\"code\":\"Denied\",\"message\":\"not you\"}"}, "answered 403: Denied: not you"},
        {{.status = 404, .body = "<html>"}, "answered 404"},
        {{.body = "SECRET"}, "gave no valid JSON"},
        {{.body = "[]"}, "gave JSON that is not an object"},
        {{.body = "{}"}, "has no AccessKeyId"},
        {{.body = "{\"AccessKeyId\":\"A\"}"}, "has AccessKeyId, but no SecretAccessKey"},
        {{.body = "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SECRET 1\"}"}, "another character that no key has"},
        {{.body = "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SECRET\",\"Expiration\":\"soon\"}"}, "is not a time"},
        {{.body = "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SECRET\",\"Expiration\":\"2025-01-01T00:00:00Z\"}"},
         "have expired"},
        {{.filler_body = 2 << 20}, "the container's credentials service: "},
        {{.kind = FAULT_CLOSE}, "the container's credentials service: "},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        world w = {.env = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/x"}, .steps = &rows[i].step, .step_count = 1};
        check_refused(&w, rows[i].words);
        CHECK(w.asked == (rows[i].step.kind == FAULT_CLOSE ? 3 : 1));
        world_close(&w);
    }
}

/* ---- instances ---- */

TEST(t_creds_providers__version_1_of_the_metadata_is_used_only_when_asked_for) {
    static const fault_step steps[] = {
        {.status = 404, .body = ""}, {.body = "role\nother"}, {.body = CONTAINER_ANSWER}};
    world w = {.env = {"AWS_EC2_METADATA_V1_DISABLED=false"}, .steps = steps, .step_count = 3};
    check_key(&w, "AKC");
    CHECK_STR(w.method_url[2], "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/role");
    CHECK(strcasestr(fault_server_request(w.server, 2), "x-aws-ec2-metadata-token") == NULL);
    world_close(&w);
    w.env[0] = NULL;
    check_refused(&w, "the instance metadata answered 404 when asked for a token");
    CHECK(w.asked == 1);
    world_close(&w);
}

TEST(t_creds_providers__an_instance_that_does_not_answer_is_asked_as_often_as_set) {
    world w = {.env = {"AWS_METADATA_SERVICE_NUM_ATTEMPTS=2"}};
    check_refused(&w, "none of a container; the instance metadata: nobody is there");
    CHECK(w.asked == 2);
    world_close(&w);
    w.env[0] = NULL;
    check_refused(&w, "no credentials: none in the environment, none in profile \"default\"");
    CHECK(w.asked == 1);
    world_close(&w);
}

TEST(t_creds_providers__an_instance_knows_its_region) {
    static const fault_step steps[] = {{.body = "TOKEN"}, {.body = "eu-west-3"}, {.body = "TOKEN"}, {.status = 404}};
    world w = {.env = {"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6"}, .steps = steps, .step_count = 4};
    char region[CPL_REGION_SIZE];
    NEED(world_open(&w, NULL) == CPL_OK);
    CHECK(cpl_creds_instance_region(w.creds, NULL, region, NULL) == CPL_OK);
    CHECK_STR(region, "eu-west-3");
    CHECK_STR(w.method_url[1], "GET http://[fd00:ec2::254]/latest/meta-data/placement/region");
    CHECK(cpl_creds_instance_region(w.creds, NULL, region, NULL) == CPL_CREDENTIALS);
    CHECK_STR(region, "");
    world_close(&w);
}

TEST(t_creds_providers__link_local_requests_never_go_through_a_proxy) {
    static const fault_step steps[] = {{.body = "TOKEN"}, {.body = "role"}, {.body = CONTAINER_ANSWER}};
    static const fault_step nothing[] = {{.status = 500}};
    fault_server *instance = fault_server_start(steps, 3), *proxy = fault_server_start(nothing, 1);
    char endpoint[128];
    const char *const env[] = {endpoint, NULL};
    const cpl_config_world from = {env, "/nonexistent/"};
    const cpl_creds_set *set = NULL;
    cpl_config *config = NULL;
    cpl_creds *creds = NULL;
    snprintf(endpoint, sizeof endpoint, "AWS_EC2_METADATA_SERVICE_ENDPOINT=%s/", fault_server_url(instance));
    setenv("http_proxy", fault_server_url(proxy), 1);
    setenv("all_proxy", fault_server_url(proxy), 1);
    CHECK(cpl_config_load_from(&config, &from, (cpl_str){NULL, 0}, NULL) == CPL_OK);
    CHECK(cpl_creds_new(&creds, config, NULL, NULL) == CPL_OK);
    CHECK(cpl_creds_acquire(creds, NOW_S, NULL, &set, NULL) == CPL_OK);
    CHECK(fault_server_requests(instance) == 3);
    CHECK(fault_server_requests(proxy) == 0);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    cpl_creds_drop(set);
    cpl_creds_free(creds);
    cpl_config_free(config);
    fault_server_stop(instance);
    fault_server_stop(proxy);
}

/* ---- processes ---- */

static int cancel(void *context) {
    (void)context;
    return 1;
}

TEST(t_creds_providers__a_process_that_gives_no_credentials_is_told_without_its_words) {
    static const struct {
        const char *command, *words;
    } rows[] = {
        {"(echo SECRET >&2) 2>/dev/null; exit 3", "the command ended with status 3"},
        {"kill -9 $$", "the command was ended by signal 9"},
        {"echo '{\"Version\":2,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SECRET\"}'", "is not of Version 1"},
        {"echo '{\"Version\":1,\"AccessKeyId\":\"A\"}'", "has AccessKeyId, but no SecretAccessKey"},
        {"echo '{\"Version\":1}'", "has no AccessKeyId"},
        {"echo '{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SECRET\","
         "\"Expiration\":\"2025-01-01T00:00:00Z\"}'",
         "its credentials have expired"},
        {"head -c 100000 /dev/zero", "the output of the credential_process"},
        {"/nonexistent/SECRE 2>/dev/null", "the command ended with status 127"},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        char config[400];
        snprintf(config, sizeof config, "[default]\ncredential_process = %s\n", rows[i].command);
        check_profile_refused(config, rows[i].words);
    }
}

TEST(t_creds_providers__a_process_that_does_not_end_is_ended) {
    const cpl_wait soon = {.timeout_ms = 100}, never = {.tick = cancel};
    const cpl_creds_set *set;
    cpl_error err = {.status = CPL_OK};
    world w = {.env = {"AWS_CONFIG_FILE=config"}};
    begin_files("[default]\ncredential_process = exec sleep 60\n");
    w.root = root;
    CHECK(ask(&w, &soon, &set, &err) == CPL_CREDENTIALS);
    CHECK(strstr(err.message, "the command did not end in time") != NULL);
    CHECK(cpl_creds_acquire(w.creds, NOW_S, &never, &set, &err) == CPL_CANCELLED);
    world_close(&w);
    remove_all(root);
}

/* ---- SSO and login ---- */

#define SSO                                                                                      \
    "[default]\nsso_session = dev\nsso_account_id = 1\nsso_role_name = a b\n[sso-session dev]\n" \
    "sso_region = eu-west-1\nsso_start_url = https://x\n"
#define SSO_FILE "home/.aws/sso/cache/34c6fceca75e456f25e7e99531e2425c6c1de443.json"
#define SSO_TOKEN(until)                              \
    "{\"accessToken\":\"old\",\"expiresAt\":\"" until \
    "\",\"refreshToken\":\"R\",\"clientId\":\"C\","   \
    "\"clientSecret\":\"SECRET\",\"registrationExpiresAt\":\"2027-01-01T00:00:00Z\",\"other\":true}"
#define SSO_KEYS                                                                       \
    "{\"roleCredentials\":{\"accessKeyId\":\"AKSSO\",\"secretAccessKey\":\"SECRET1\"," \
    "\"sessionToken\":\"T\",\"expiration\":1767229200000}}"

static world sso_world(const char *token) {
    begin_files(SSO);
    if (token) put(SSO_FILE, token);
    return (world){.env = {"AWS_CONFIG_FILE=config", "HOME=home"}, .root = root};
}

TEST(t_creds_providers__an_sso_token_is_renewed_and_written_back) {
    static const fault_step steps[] = {
        {.body = "{\"accessToken\":\"new\",\"expiresIn\":28800,\"refreshToken\":\"R2\"}"}, {.body = SSO_KEYS}};
    static const fault_step last[] = {{.body = "{\"accessToken\":\"new\",\"expiresIn\":28800}"}, {.body = SSO_KEYS}};
    world w = sso_world(SSO_TOKEN("2026-01-01T00:10:00Z"));
    char path[600], *text;
    struct stat there;
    w.steps = steps;
    w.step_count = 2;
    check_key(&w, "AKSSO");
    CHECK_STR(w.method_url[0], "POST https://oidc.eu-west-1.amazonaws.com/token");
    CHECK(strstr(fault_server_request(w.server, 0),
                 "{\"grantType\":\"refresh_token\",\"clientId\":\"C\",\"clientSecret\":"
                 "\"SECRET\",\"refreshToken\":\"R\"}") != NULL);
    CHECK_STR(w.method_url[1],
              "GET https://portal.sso.eu-west-1.amazonaws.com/federation/credentials?account_id=1&role_name=a%20b");
    CHECK(strcasestr(fault_server_request(w.server, 1), "\r\nx-amz-sso_bearer_token: new\r\n") != NULL);
    snprintf(path, sizeof path, "%s" SSO_FILE, root);
    text = test_read_file(path, NULL);
    CHECK_STR(text,
              "{\"clientId\":\"C\",\"clientSecret\":\"SECRET\",\"registrationExpiresAt\":\"2027-01-01T00:00:00Z\","
              "\"other\":true,\"accessToken\":\"new\",\"expiresAt\":\"2026-01-01T08:00:00Z\",\"refreshToken\":\"R2\"}");
    CHECK(stat(path, &there) == 0 && (there.st_mode & 0777) == 0600);
    free(text);
    world_close(&w);
    put(SSO_FILE, SSO_TOKEN("2026-01-01T00:10:00Z"));
    w.steps = last;
    check_key(&w, "AKSSO");
    text = test_read_file(path, NULL);
    CHECK(strstr(text, "new") && strstr(text, "refreshToken") == NULL);
    free(text);
    world_close(&w);
    remove_all(root);
}

TEST(t_creds_providers__an_sso_token_that_cannot_be_renewed_is_used_to_its_end) {
    static const fault_step steps[] = {{.status = 400, .body = "{\"error\":\"invalid_grant\"}"}, {.body = SSO_KEYS}};
    world w = sso_world(SSO_TOKEN("2026-01-01T00:10:00Z"));
    w.steps = steps;
    w.step_count = 2;
    check_key(&w, "AKSSO");
    CHECK(strcasestr(fault_server_request(w.server, 1), "\r\nx-amz-sso_bearer_token: old\r\n") != NULL);
    world_close(&w);
    put(SSO_FILE, SSO_TOKEN("2025-12-31T23:59:59Z"));
    check_refused(&w, "the renewal of the SSO token answered 400: invalid_grant");
    world_close(&w);
    put(SSO_FILE, "{\"accessToken\":\"old\",\"expiresAt\":\"2025-12-31T23:59:59Z\"}");
    check_refused(&w, "the SSO token of \"dev\" has expired: run aws sso login");
    CHECK(w.asked == 0);
    world_close(&w);
    put(SSO_FILE, "{\"accessToken\":\"old\\r\\nx-evil: 1\",\"expiresAt\":\"2080-01-01T00:00:00Z\"}");
    check_refused(&w, "has no accessToken");
    CHECK(w.asked == 0);
    world_close(&w);
    remove_all(root);
}

/* The key of RFC 7515, A.3 */
#define LOGIN_KEY                                                         \
    "-----BEGIN EC PRIVATE KEY-----\\n"                                   \
    "MHcCAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49\\n" \
    "AwEHoUQDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72b\\n" \
    "focs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\\n"                             \
    "-----END EC PRIVATE KEY-----\\n"
#define LOGIN_TOKEN(until, key)                                                                             \
    "{\"accessToken\":{\"accessKeyId\":\"AKLOGIN\",\"secretAccessKey\":\"SECRET1\",\"sessionToken\":\"T\"," \
    "\"accountId\":\"1\",\"expiresAt\":\"" until "\"},\"clientId\":\"arn:signin\",\"refreshToken\":\"R\"" key "}"
#define WITH_KEY ",\"dpopKey\":\"" LOGIN_KEY "\""
#define LOGIN_FILE "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824.json" /* of "hello" */
#define LOGIN_ANSWER                                                                                        \
    "{\"accessToken\":{\"accessKeyId\":\"AKNEW\",\"secretAccessKey\":\"SECRET2\",\"sessionToken\":\"T2\"}," \
    "\"tokenType\":\"aws_sigv4\",\"expiresIn\":900,\"refreshToken\":\"R2\"}"

static world login_world(const char *token) {
    begin_files("[default]\nlogin_session = hello\nregion = eu-west-1\n");
    if (token) put("home/.aws/login/cache/" LOGIN_FILE, token);
    return (world){.env = {"AWS_CONFIG_FILE=config", "HOME=home"}, .root = root};
}

TEST(t_creds_providers__a_login_is_read_while_it_lasts) {
    world w = login_world(NULL);
    check_refused(&w, ".json\": No such file or directory: nobody is signed in, run aws login");
    world_close(&w);
    put("home/.aws/login/cache/" LOGIN_FILE, LOGIN_TOKEN("2026-01-01T00:05:01Z", WITH_KEY));
    check_key(&w, "AKLOGIN");
    CHECK(w.asked == 0);
    world_close(&w);
    put("home/.aws/login/cache/" LOGIN_FILE, LOGIN_TOKEN("2026-01-01T00:00:01Z", ""));
    check_key(&w, "AKLOGIN");
    world_close(&w);
    w.env[2] = "AWS_LOGIN_CACHE_DIRECTORY=logins";
    put("logins/" LOGIN_FILE, LOGIN_TOKEN("2025-12-31T23:59:59Z", ""));
    check_refused(&w, "the login of profile \"default\" has expired: run aws login");
    world_close(&w);
    remove_all(root);
}

TEST(t_creds_providers__a_login_is_renewed_with_a_proof_and_written_back) {
    static const fault_step steps[] = {{.body = LOGIN_ANSWER}};
    world w = login_world(LOGIN_TOKEN("2026-01-01T00:05:00Z", WITH_KEY));
    char path[600], *text;
    const char *request;
    w.steps = steps;
    w.step_count = 1;
    check_key(&w, "AKNEW");
    CHECK_STR(w.method_url[0], "POST https://eu-west-1.signin.aws.amazon.com/v1/token");
    request = fault_server_request(w.server, 0);
    CHECK(strstr(request, "{\"clientId\":\"arn:signin\",\"grantType\":\"refresh_token\",\"refreshToken\":\"R\"}") !=
          NULL);
    /* the head of the token: {"alg":"ES256","typ":"dpop+jwt","jwk":{... the public point of the RFC's key ...}} */
    CHECK(strcasestr(request,
                     "\r\ndpop: eyJhbGciOiJFUzI1NiIsInR5cCI6ImRwb3Arand0IiwiandrIjp7Imt0eSI6IkVDIiwiY3J2IjoiUC0yNTYi"
                     "LCJ4IjoiZjgzT0ozRDJ4RjFCZzh2dWI5dExlMWdITXpWNzZlOFR1czl1UEh2UlZFVSIsInkiOiJ4X0ZFelJ1OW0zN"
                     "khMTl90dWU2NTlMTnBYVzZwQ3lTdGlrWWpLSVdJNWEwIn19.") != NULL);
    snprintf(path, sizeof path, "%shome/.aws/login/cache/" LOGIN_FILE, root);
    text = test_read_file(path, NULL);
    CHECK(strstr(text, "\"accessToken\":{\"accountId\":\"1\",\"accessKeyId\":\"AKNEW\"") != NULL);
    CHECK(strstr(text, "\"expiresAt\":\"2026-01-01T00:15:00Z\"") != NULL);
    CHECK(strstr(text, "\"refreshToken\":\"R2\"") != NULL && strstr(text, "BEGIN EC PRIVATE KEY") != NULL);
    free(text);
    world_close(&w);
    remove_all(root);
}

TEST(t_creds_providers__a_login_that_cannot_be_renewed_is_used_to_its_end) {
    static const fault_step denied[] = {
        {.status = 400, .body = "{\"error\":\"TOKEN_EXPIRED\",\"message\":\"too old\"}"}};
    static const fault_step half[] = {
        {.body = "{\"accessToken\":{\"accessKeyId\":\"AKHALF\",\"secretAccessKey\":\"SECRET3\"},\"expiresIn\":900}"}};
    world w = login_world(LOGIN_TOKEN("2026-01-01T00:00:01Z", WITH_KEY));
    w.steps = denied;
    w.step_count = 1;
    check_key(&w, "AKLOGIN");
    world_close(&w);
    w.steps = half;
    check_key(&w, "AKLOGIN");
    world_close(&w);
    put("home/.aws/login/cache/" LOGIN_FILE, LOGIN_TOKEN("2025-12-31T23:59:59Z", WITH_KEY));
    check_refused(&w, "the sign-in service renewed the login without sessionToken");
    world_close(&w);
    w.steps = denied;
    check_refused(&w, "the renewal of the login answered 400: TOKEN_EXPIRED: too old");
    world_close(&w);
    put("home/.aws/login/cache/" LOGIN_FILE, LOGIN_TOKEN("2025-12-31T23:59:59Z", ",\"dpopKey\":\"SECRET\""));
    check_refused(&w, "the key is not one of the curve P-256");
    CHECK(w.asked == 0);
    world_close(&w);
    remove_all(root);
}

/* ---- memory ---- */

static cpl_status answer(void *context, const cpl_http_request *request, bool direct, cpl_http_response *response,
                         cpl_error *err) {
    (void)context;
    (void)direct;
    response->status = 200;
    if (cpl_str_find(request->url, '?') < request->url.n) {
        cpl_buf_adds(&response->body, SSO_KEYS);
    } else if (strstr(request->url.p, "oidc.")) {
        cpl_buf_adds(&response->body, "{\"accessToken\":\"new\",\"expiresIn\":1}");
    } else if (strstr(request->url.p, "signin.")) {
        cpl_buf_adds(&response->body, LOGIN_ANSWER);
    } else if (strstr(request->url.p, "sts.")) {
        cpl_buf_adds(&response->body, strstr(request->body.p, "WebIdentity") ? WEB_ANSWER : ROLE_ANSWER);
    } else if (strstr(request->url.p, "token") || cpl_str_ends(request->url, "/")) {
        cpl_buf_adds(&response->body, "text");
    } else {
        cpl_buf_adds(&response->body, CONTAINER_ANSWER);
    }
    return cpl_buf_status(&response->body, "the answer", err);
}

static cpl_status try_all(const char *const *env, size_t n, cpl_error *err) {
    const cpl_config_world from = {env, root};
    cpl_creds_options options = {.send = answer};
    const cpl_creds_set *set = NULL;
    cpl_config *config = NULL;
    cpl_creds *creds = NULL;
    cpl_status status;
    cpl_alloc_fail_at(n);
    status = cpl_config_load_from(&config, &from, (cpl_str){NULL, 0}, err);
    options.config = config;
    if (status == CPL_OK) status = cpl_creds_open(&creds, &options, err);
    if (status == CPL_OK) status = cpl_creds_acquire(creds, NOW_S, NULL, &set, err);
    cpl_alloc_fail_at(0);
    CHECK((set != NULL) == (status == CPL_OK));
    cpl_creds_drop(set);
    cpl_creds_free(creds);
    cpl_config_free(config);
    return status;
}

TEST(t_creds_providers__every_failing_allocation_is_reported_and_nothing_leaks) {
    static const struct {
        const char *config, *env[4];
    } rows[] = {
        {ROLE, {"AWS_CONFIG_FILE=config"}},
        {SSO, {"AWS_CONFIG_FILE=config", "HOME=home"}},
        {"[default]\nlogin_session = hello\nregion = x\n", {"AWS_CONFIG_FILE=config", "HOME=home"}},
        {"", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/x", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=config"}},
        {"", {"AWS_CONTAINER_CREDENTIALS_FULL_URI=https://x/y", "AWS_CONTAINER_AUTHORIZATION_TOKEN=t"}},
        {"", {"HOME=home"}}, /* the instance */
        {"", {"AWS_WEB_IDENTITY_TOKEN_FILE=token", "AWS_ROLE_ARN=a", "AWS_REGION=us-east-1"}},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        cpl_status status = CPL_NOMEM;
        cpl_error err = {.status = CPL_OK};
        size_t n;
        begin_files(rows[i].config[0] ? rows[i].config : "#\n");
        put("token", "T");
        for (n = 1; n < 2000 && status; n++) {
            put(SSO_FILE, SSO_TOKEN("2025-12-31T23:59:59Z"));
            put("home/.aws/login/cache/" LOGIN_FILE, LOGIN_TOKEN("2025-12-31T23:59:59Z", WITH_KEY));
            status = try_all(rows[i].env, n, &err);
            if (!CHECK(status == CPL_OK || status == CPL_NOMEM))
                printf("  row %zu, allocation %zu: %s\n", i, n, err.message);
        }
        CHECK(status == CPL_OK && n > 5);
        remove_all(root);
    }
}

TEST_MAIN
