/* SPDX-License-Identifier: MIT */
/* Profiles where the third-party suite says nothing: their roles, their keys, and what the environment adds. */
#include "creds_ask.h"

/* ---- roles ---- */

TEST(t_creds_profiles__a_role_is_assumed_with_all_that_the_profile_says) {
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

TEST(t_creds_profiles__the_clients_switches_reach_sts) {
    begin_files(ROLE);
    world w = {.env = {"AWS_CONFIG_FILE=config", "AWS_REGION=us-east-1"}, .root = root, .fips = CPL_CHOICE_YES};
    check_refused(&w, "");
    CHECK_STR(w.method_url[0], "POST https://sts-fips.us-east-1.amazonaws.com/");
    world_close(&w);
    remove_all(root);
}

TEST(t_creds_profiles__what_sts_says_wrong_is_told) {
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

TEST(t_creds_profiles__roles_that_cannot_be_assumed_say_why_before_anything_is_sent) {
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

TEST(t_creds_profiles__the_web_identity_of_the_environment_comes_between_the_role_and_the_rest) {
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

TEST(t_creds_profiles__the_environment_and_the_profile_make_one_web_identity) {
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

TEST(t_creds_profiles__sts_is_asked_again_when_it_says_that_it_is_busy) {
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

TEST(t_creds_profiles__keys_of_the_environment_may_have_an_end) {
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

TEST(t_creds_profiles__a_client_asks_sts_through_its_own_proxy) {
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

TEST(t_creds_profiles__a_profile_that_has_several_uses_the_first_that_the_cli_would) {
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

/* ---- keys ---- */

TEST(t_creds_profiles__a_session_token_may_have_its_old_name) {
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

TEST(t_creds_profiles__a_session_token_is_of_the_file_that_has_the_key) {
    static const struct {
        const char *config, *credentials, *token;
    } rows[] = {
        {"aws_session_token = old\n", "aws_access_key_id = B\naws_secret_access_key = S\n", ""},
        {"aws_session_token = old\n", "aws_access_key_id = B\naws_secret_access_key = S\naws_session_token = new\n",
         "new"},
        {"aws_session_token = old\n", "aws_secret_access_key = S\naws_session_token = new\n", "old"},
        {"", "aws_session_token = new\n", ""},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        char text[200];
        const cpl_creds_set *set;
        world w = {.env = {"AWS_CONFIG_FILE=config", "AWS_SHARED_CREDENTIALS_FILE=credentials"}};
        snprintf(text, sizeof text, "[default]\naws_access_key_id = A\naws_secret_access_key = S\n%s", rows[i].config);
        begin_files(text);
        snprintf(text, sizeof text, "[default]\n%s", rows[i].credentials);
        put("credentials", text);
        w.root = root;
        if (CHECK(ask(&w, NULL, &set, NULL) == CPL_OK)) {
            if (!CHECK(cpl_str_is(set->view.session_token, rows[i].token))) printf("  row %zu\n", i);
            cpl_creds_drop(set);
        }
        world_close(&w);
        remove_all(root);
    }
}

TEST_MAIN
