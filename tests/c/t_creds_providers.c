/* SPDX-License-Identifier: MIT */
/* Each provider where the third-party suite says nothing: what it refuses, what it sends, how it fails. */
#include <dirent.h>
#include <sys/stat.h>

#include "creds_world.h"

#define NOW_S 1767225600 /* 2026-01-01T00:00:00Z */
#define LATER "2026-01-01T01:00:00Z"
#define ROLE_ANSWER_UNTIL(until)                                                                      \
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKROLE</AccessKeyId>"            \
    "<SecretAccessKey>SECRET2</SecretAccessKey><SessionToken>TOKEN2</SessionToken><Expiration>" until \
    "</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
#define ROLE_ANSWER ROLE_ANSWER_UNTIL(LATER)
#define WEB_ANSWER                                                                                        \
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKWEB" \
    "</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken><Expiration>" LATER  \
    "</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
#define CONTAINER_ANSWER \
    "{\"AccessKeyId\":\"AKC\",\"SecretAccessKey\":\"SECRET1\",\"Token\":\"TOKEN1\",\"Expiration\":\"" LATER "\"}"

/* ---- files ---- */

static char root[256];

static void put(const char *name, const char *text) {
    char path[600];
    FILE *file;
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = strchr(path + strlen(root), '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    file = fopen(path, "wb");
    if (!CHECK(file != NULL)) return;
    fputs(text, file);
    fclose(file);
}

static void begin_files(const char *config) {
    char folder[240];
    world_folder(folder, sizeof folder);
    snprintf(root, sizeof root, "%s/", folder);
    put("config", config);
}

static void remove_all(const char *folder) {
    DIR *all = opendir(folder);
    struct dirent *entry;
    while (all && (entry = readdir(all)) != NULL) {
        char path[600];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (remove(path) != 0) remove_all(path);
    }
    if (all) closedir(all);
    remove(folder);
}

/* ---- asking once ---- */

static cpl_status ask(world *w, const cpl_wait *wait, const cpl_creds_set **set, cpl_error *err) {
    cpl_status status = world_open(w, err);
    *set = NULL;
    return status ? status : cpl_creds_acquire(w->creds, NOW_S, wait, set, err);
}

static void check_key(world *w, const char *key) {
    const cpl_creds_set *set;
    cpl_error err = {.status = CPL_OK};
    if (CHECK(ask(w, NULL, &set, &err) == CPL_OK)) {
        CHECK_STR(set->view.access_key_id.p, key);
    } else {
        printf("  %s\n", err.message);
    }
    cpl_creds_drop(set);
}

static void check_refused(world *w, const char *words) {
    const cpl_creds_set *set;
    cpl_error err = {.status = CPL_OK};
    CHECK(ask(w, NULL, &set, &err) == CPL_CREDENTIALS);
    CHECK(err.status == CPL_CREDENTIALS);
    CHECK(set == NULL);
    CHECK(strstr(err.message, "SECRET") == NULL);
    if (!CHECK(strstr(err.message, words) != NULL)) printf("  %s\n", err.message);
}

/* A profile's error, with nobody to ask. */
static void check_profile_refused(const char *config, const char *words) {
    world w = {.env = {"AWS_CONFIG_FILE=config", "AWS_EC2_METADATA_DISABLED=true", "HOME=/home"}};
    begin_files(config);
    w.root = root;
    check_refused(&w, words);
    CHECK(w.asked == 0);
    world_close(&w);
    remove_all(root);
}

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

/* ---- roles ---- */

#define ROLE                                                                                     \
    "[default]\nregion = eu-west-1\nrole_arn = arn:aws:iam::1:role/a+b\nsource_profile = base\n" \
    "[profile base]\naws_access_key_id = AKBASE\naws_secret_access_key = SECRET1\n[profile spare]\n"

TEST(t_creds_providers__a_role_is_assumed_with_all_that_the_profile_says) {
    static const fault_step steps[] = {{.body = ROLE_ANSWER}};
    world w = {.env = {"AWS_CONFIG_FILE=config"}, .steps = steps, .step_count = 1};
    const char *request;
    begin_files("[default]\nexternal_id = e/1\nduration_seconds = 900\nrole_session_name = me\n" ROLE);
    w.root = root;
    check_key(&w, "AKROLE");
    CHECK_STR(w.method_url[0], "POST https://sts.eu-west-1.amazonaws.com/");
    request = fault_server_request(w.server, 0);
    CHECK(strstr(request,
                 "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%2Bb&"
                 "RoleSessionName=me&ExternalId=e%2F1&DurationSeconds=900") != NULL);
    CHECK(strstr(request, "Credential=AKBASE/20260101/eu-west-1/sts/aws4_request") != NULL);
    CHECK(strstr(request, "SECRET1") == NULL);
    CHECK(!w.direct[0]);
    world_close(&w);
    remove_all(root);
}

TEST(t_creds_providers__the_clients_switches_reach_sts) {
    begin_files(ROLE);
    world w = {.env = {"AWS_CONFIG_FILE=config", "AWS_REGION=us-east-1"}, .root = root, .fips = CPL_CHOICE_YES};
    check_refused(&w, "");
    CHECK_STR(w.method_url[0], "POST https://sts-fips.us-east-1.amazonaws.com/");
    world_close(&w);
    remove_all(root);
}

TEST(t_creds_providers__what_sts_says_wrong_is_told) {
    static const struct {
        fault_step step;
        const char *words;
    } rows[] = {
        {{.status = 403,
          .body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error>"
                  "<RequestId>r</RequestId></ErrorResponse>"},
         "STS answered 403: AccessDenied: not you"},
        {{.status = 301, .head = "Location: http://127.0.0.1:1/\r\n", .body = ""}, "STS answered 301"},
        {{.body = "SECRET"}, ""},
        {{.body = "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>"}, ""},
        {{.body = "<AssumeRoleResponse/>"}, "the answer of STS has no Expiration"},
        {{.body = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId><Expiration>" LATER
                  "</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"},
         "has AccessKeyId, but no SecretAccessKey"},
    };
    begin_files(ROLE);
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        world w = {.env = {"AWS_CONFIG_FILE=config"}, .root = root, .steps = &rows[i].step, .step_count = 1};
        check_refused(&w, rows[i].words);
        CHECK(w.asked == 1);
        world_close(&w);
    }
    remove_all(root);
}

TEST(t_creds_providers__roles_that_cannot_be_assumed_say_why_before_anything_is_sent) {
    check_profile_refused("[default]\nmfa_serial = arn:aws:iam::1:mfa/me\n" ROLE, "has an mfa_serial");
    check_profile_refused("[default]\nduration_seconds = 1h\n" ROLE,
                          "duration_seconds of profile \"default\": \"1h\" is not a number from 900 to 43200");
    check_profile_refused("[default]\ncredential_source = Ec2\nrole_arn = a\n", "\"Ec2\" is not Environment");
    check_profile_refused(
        "[default]\nrole_arn = a\nsource_profile = b\n[profile b]\naws_access_key_id = A\n"
        "aws_secret_access_key = SECRET\n",
        "no region to assume \"a\" in");
    check_profile_refused("[default]\nrole_arn = a\nregion = x\nweb_identity_token_file = /gone\n", "/gone\": No such");
}

TEST(t_creds_providers__the_web_identity_of_the_environment_comes_between_the_role_and_the_rest) {
    static const fault_step role[] = {{.body = ROLE_ANSWER}};
    static const fault_step web[] = {{.body = WEB_ANSWER}};
    world w = {.env = {"AWS_CONFIG_FILE=config", "AWS_WEB_IDENTITY_TOKEN_FILE=token", "AWS_ROLE_ARN=arn",
                       "AWS_REGION=eu-west-1", "AWS_PROFILE=base"},
               .steps = web,
               .step_count = 1};
    begin_files(ROLE);
    put("token", "TOKEN");
    w.root = root;
    check_key(&w, "AKWEB");
    CHECK(strcasestr(fault_server_request(w.server, 0), "authorization") == NULL);
    world_close(&w);
    w.env[4] = NULL;
    w.steps = role;
    check_key(&w, "AKROLE");
    world_close(&w);
    w.env[2] = "X=";
    w.env[3] = "AWS_PROFILE=base";
    check_refused(&w, "the environment has AWS_WEB_IDENTITY_TOKEN_FILE, but no AWS_ROLE_ARN");
    world_close(&w);
    w.profile = "base"; /* the caller's word goes before the environment */
    check_key(&w, "AKBASE");
    CHECK(w.asked == 0);
    world_close(&w);
    remove_all(root);
}

TEST(t_creds_providers__the_environment_and_the_profile_make_one_web_identity) {
    static const fault_step web[] = {{.body = WEB_ANSWER}};
    static const struct {
        const char *env;
        const char *role, *session;
    } rows[] = {{"X=", "&RoleArn=of-profile&", "&RoleSessionName=mine&"},
                {"AWS_ROLE_ARN=of-env", "&RoleArn=of-env&", "&RoleSessionName=mine&"},
                {"AWS_ROLE_SESSION_NAME=other", "&RoleArn=of-profile&", "&RoleSessionName=other&"},
                {"AWS_WEB_IDENTITY_TOKEN_FILE=other", "&RoleArn=of-profile&", "&RoleSessionName=mine&"}};
    begin_files(
        "[default]\nregion = eu-west-1\nweb_identity_token_file = token\nrole_arn = of-profile\n"
        "role_session_name = mine\n");
    put("token", "TOKEN");
    put("other", "OTHER");
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        world w = {.env = {"AWS_CONFIG_FILE=config", rows[i].env}, .root = root, .steps = web, .step_count = 1};
        const char *token = strstr(rows[i].env, "FILE") ? "&WebIdentityToken=OTHER" : "&WebIdentityToken=TOKEN";
        const char *request;
        check_key(&w, "AKWEB");
        request = fault_server_request(w.server, 0);
        CHECK(strstr(request, rows[i].role) && strstr(request, rows[i].session) && strstr(request, token));
        world_close(&w);
    }
    remove_all(root);
}

TEST(t_creds_providers__sts_is_asked_again_when_it_says_that_it_is_busy) {
    static const fault_step steps[] = {
        {.status = 400, .body = "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>"},
        {.status = 400, .body = "<ErrorResponse><Error><Code>IDPCommunicationError</Code></Error></ErrorResponse>"},
        {.body = ROLE_ANSWER}};
    world w = {.env = {"AWS_CONFIG_FILE=config"}, .steps = steps, .step_count = 3};
    begin_files(ROLE);
    w.root = root;
    check_key(&w, "AKROLE");
    CHECK(w.asked == 3);
    world_close(&w);
    remove_all(root);
}

TEST(t_creds_providers__keys_of_the_environment_may_have_an_end) {
    static const struct {
        const char *end;
        const char *refused; /* NULL: they are good */
    } rows[] = {{"AWS_CREDENTIAL_EXPIRATION=2026-01-01T02:00:00+01:00", NULL},
                {"AWS_CREDENTIAL_EXPIRATION=", NULL},
                {"AWS_CREDENTIAL_EXPIRATION=2025-12-31T23:59:59Z", "the credentials found (environment) have expired"},
                {"AWS_CREDENTIAL_EXPIRATION=soon", "AWS_CREDENTIAL_EXPIRATION: \"soon\" is not a time"}};
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        world w = {.env = {"AWS_ACCESS_KEY_ID=AKENV", "AWS_SECRET_ACCESS_KEY=S", rows[i].end}};
        if (rows[i].refused) {
            check_refused(&w, rows[i].refused);
        } else {
            check_key(&w, "AKENV");
        }
        world_close(&w);
    }
}

TEST(t_creds_providers__a_client_asks_sts_through_its_own_proxy) {
    static const fault_step steps[] = {{.body = ROLE_ANSWER_UNTIL("2999-01-01T00:00:00Z")},
                                       {.body = "{\"pipelines\":[]}"}};
    fault_server *proxy = fault_server_start(steps, 2);
    const cpl_client_options options = {.region = CPL_LIT("eu-west-1"),
                                        .endpoint_url = CPL_LIT("http://codepipeline.example"),
                                        .proxy = cpl_str_of(fault_server_url(proxy))};
    cpl_client *client = NULL;
    cpl_reply *reply = NULL;
    char path[600];
    begin_files(ROLE);
    snprintf(path, sizeof path, "%sconfig", root);
    setenv("AWS_CONFIG_FILE", path, 1);
    setenv("AWS_ENDPOINT_URL_STS", "http://sts.example", 1);
    CHECK(cpl_client_new(&client, &options, NULL) == CPL_OK);
    CHECK(cpl_client_call(client, CPL_LIT("ListPipelines"), CPL_LIT("{}"), NULL, &reply, NULL) == CPL_OK);
    CHECK(strstr(fault_server_request(proxy, 0), "POST http://sts.example/ HTTP/1.1\r\n") != NULL);
    CHECK(strstr(fault_server_request(proxy, 1), "POST http://codepipeline.example/ HTTP/1.1\r\n") != NULL);
    CHECK(strstr(fault_server_request(proxy, 1), "Credential=AKROLE/") != NULL);
    unsetenv("AWS_CONFIG_FILE");
    unsetenv("AWS_ENDPOINT_URL_STS");
    cpl_reply_free(reply);
    cpl_client_free(client);
    fault_server_stop(proxy);
    remove_all(root);
}

TEST(t_creds_providers__a_profile_that_has_several_uses_the_first_that_the_cli_would) {
    static const struct {
        const char *config;
        cpl_status (*find)(const cpl_creds_ask *, const char *, cpl_creds_set **, cpl_error *);
        size_t roles;
    } rows[] = {
        {"credential_process = x\nlogin_session = x\naws_secret_access_key = x\nsso_session = x\n"
         "web_identity_token_file = x\ncredential_source = x\n",
         cpl_creds_profile_web_identity, 0},
        {"credential_process = x\nlogin_session = x\naws_access_key_id = x\nsso_role_name = x\n"
         "credential_source = x\n",
         cpl_creds_profile_sso, 0},
        {"credential_process = x\nlogin_session = x\naws_access_key_id = x\nsso_account_id = x\n",
         cpl_creds_profile_sso, 0},
        {"credential_process = x\nlogin_session = x\naws_access_key_id = x\n", cpl_creds_profile_keys, 0},
        {"credential_process = x\nlogin_session = x\n", cpl_creds_profile_login, 0},
        {"credential_process = x\ncredential_source = x\n", cpl_creds_profile_process, 0},
        {"credential_source = x\n", cpl_creds_profile_source, 0},
        {"role_arn = x\ncredential_source = x\naws_access_key_id = x\naws_secret_access_key = x\n",
         cpl_creds_profile_source, 1},
        {"role_arn = x\ncredential_source = x\nweb_identity_token_file = x\n", cpl_creds_profile_web_identity, 0},
        {"region = x\n", NULL, 0},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        world w = {.env = {"AWS_CONFIG_FILE=config"}, .root = root};
        cpl_creds_plan plan;
        char config[300];
        snprintf(config, sizeof config, "[default]\n%s", rows[i].config);
        begin_files(config);
        CHECK(world_open(&w, NULL) == CPL_OK);
        CHECK(cpl_creds_plan_make(w.config, "default", &plan, NULL) == CPL_OK);
        if (!CHECK(plan.find == rows[i].find && plan.role_count == rows[i].roles)) printf("  row %zu\n", i);
        world_close(&w);
        remove_all(root);
    }
}

/* ---- processes ---- */

static int cancel(void *context) {
    (void)context;
    return 1;
}

TEST(t_creds_providers__a_session_token_may_have_its_old_name) {
    static const struct {
        const char *env[4], *profile, *token;
    } rows[] = {{{"AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=S", "AWS_SECURITY_TOKEN=old"}, "", "old"},
                {{"AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=S", "AWS_SECURITY_TOKEN= "}, "", ""},
                {{"AWS_SECURITY_TOKEN=old"}, "", ""},
                {{"AWS_SECURITY_TOKEN=old", "AWS_SESSION_TOKEN= "}, "aws_security_token = older\n", "older"},
                {{0}, "aws_security_token = old\naws_session_token = new\n", "new"}};
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        char config[200];
        const cpl_creds_set *set;
        cpl_error err;
        world w = {.env = {"AWS_CONFIG_FILE=config", "HOME=home"}};
        memcpy(&w.env[2], rows[i].env, sizeof rows[i].env);
        snprintf(config, sizeof config, "[default]\naws_access_key_id = P\naws_secret_access_key = S\n%s",
                 rows[i].profile);
        begin_files(config);
        w.root = root;
        if (CHECK(ask(&w, NULL, &set, &err) == CPL_OK)) {
            if (!CHECK(cpl_str_is(set->view.session_token, rows[i].token))) printf("  row %zu\n", i);
            cpl_creds_drop(set);
        }
        world_close(&w);
        remove_all(root);
    }
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
