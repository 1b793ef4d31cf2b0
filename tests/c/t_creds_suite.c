/* SPDX-License-Identifier: MIT */
/*
 * The third-party suite of credential cases: each is an environment, a file tree and recorded HTTP traffic, replayed
 * against a local server through the real providers. Of the sets, the account id is not compared: CodePipeline has no
 * use for it and no set carries it. Of requests, we compare method, URL and the headers that carry tokens; signatures
 * and bodies were recorded from another client at another time, and contradict the answers around them.
 */
#include <cjson/cJSON.h>
#include <dirent.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "creds_world.h"

#define NOW_S 1632000000

static const char *folder_of(const char *rest) {
    const char *found = test_suite_path(rest);
    return found ? strdup(found) : NULL;
}

static cJSON *read_json(const char *folder, const char *file) {
    char path[1200];
    char *text;
    cJSON *json;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    text = test_read_file(path, NULL);
    json = text ? cJSON_Parse(text) : NULL;
    free(text);
    return json;
}

static const char *text_of(const cJSON *object, const char *key) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

/* ---- what our errors say, where the suite has the words of another client ---- */

static const struct words {
    const char *name, *ours;
} error_words[] = {
    {"eks_pod_identity_no_token_file", "token.jwt\": No such file or directory"},
    {"imds_default_chain_error", "has no role for this instance"},
    {"imds_disabled", "AWS_EC2_METADATA_DISABLED is true"},
    {"imds_no_iam_role", "has no role for this instance"},
    {"imds_token_fail", "forbids requests (403)"},
    {"profile_overrides_web_identity", "credential_source of profile \"A\": Environment has no credentials"},
    {"sso_no_token_file", "dace00cba5f8355ec9d274ceb2bcebdfbeed0e12.json\": No such file or directory"},
    {"sso_server_error", "SSO answered 503"},
    {"web_identity_source_profile_no_env", "has web_identity_token_file, but no role_arn"},
    {"web_identity_token_invalid_jwt",
     "STS answered 400: InvalidIdentityToken: No OpenIDConnect provider found in your account"},
    {"credential_process_failure", "the command ended with status 1"},
    {"credential_process_invalid", "gave no valid JSON"},
    {"empty_config", "profile \"default\" is neither in"},
    {"invalid_config", "line 2: a property has no name"},
    {"invalid_sso_credentials_config", "it gives an access token, not credentials"},
    {"sso_token", "it gives an access token, not credentials"},
};

static void check_words(const struct words *table, size_t count, const char *theirs, const char *message) {
    const char *ours = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, theirs) == 0) ours = table[i].ours;
    }
    if (CHECK(ours != NULL) && CHECK(strstr(message, ours) != NULL)) return;
    printf("  %s: %s\n", theirs, message);
}

/* ---- one case ---- */

typedef struct expected {
    char *method_url;
    const cJSON *headers;
} expected;

typedef struct replay {
    world w;
    char strings[32][512]; /* environment */
    char root[1200];
    fault_step steps[32];
    expected expected[32];
    size_t count;
} replay;

/* Parameters of a query come in any order, and an empty path is "/". */
static void normalise(char *url) {
    char *query = strchr(url, '?'), *amp = query ? strchr(query, '&') : NULL, one[600], two[600];
    size_t n = strlen(url);
    if (n > 0 && url[n - 1] == '/') url[n - 1] = '\0';
    if (amp == NULL) return;
    snprintf(one, sizeof one, "%.*s", (int)(amp - query - 1), query + 1);
    snprintf(two, sizeof two, "%s", amp + 1);
    snprintf(query + 1, strlen(query + 1) + 1, "%s&%s", strcmp(one, two) < 0 ? one : two,
             strcmp(one, two) < 0 ? two : one);
}

static void read_event(replay *r, const cJSON *event) {
    const cJSON *action = cJSON_GetObjectItem(event, "action"), *request = cJSON_GetObjectItem(action, "Request");
    const cJSON *response = cJSON_GetObjectItem(action, "Response"), *data = cJSON_GetObjectItem(action, "Data");
    if (request) {
        const cJSON *head = cJSON_GetObjectItem(request, "request");
        char line[2048];
        snprintf(line, sizeof line, "%s %s", text_of(head, "method"), text_of(head, "uri"));
        normalise(line);
        r->expected[r->count] = (expected){strdup(line), cJSON_GetObjectItem(head, "headers")};
        r->steps[r->count] = (fault_step){.body = "", .close = true};
        r->count++;
    } else if (response && r->count > 0) {
        const cJSON *ok = cJSON_GetObjectItem(cJSON_GetObjectItem(response, "response"), "Ok");
        r->steps[r->count - 1].status = (int)cJSON_GetNumberValue(cJSON_GetObjectItem(ok, "status"));
    } else if (data && r->count > 0 && strcmp(text_of(data, "direction"), "Response") == 0) {
        r->steps[r->count - 1].body = text_of(cJSON_GetObjectItem(data, "data"), "Utf8");
    }
}

static void read_case(replay *r, const char *folder, const cJSON *env, const cJSON *traffic) {
    const cJSON *item;
    size_t n = 0;
    cJSON_ArrayForEach(item, env) {
        snprintf(r->strings[n], sizeof r->strings[n], "%s=%s", item->string, cJSON_GetStringValue(item));
        r->w.env[n] = r->strings[n];
        n++;
    }
    snprintf(r->root, sizeof r->root, "%s/fs/", folder);
    r->w.root = r->root;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(traffic, "events")) read_event(r, item);
    r->w.steps = r->steps;
    r->w.step_count = r->count;
}

static void check_header(const char *request, const cJSON *headers, const char *name) {
    const cJSON *values = cJSON_GetObjectItem(headers, name);
    char line[2048];
    if (values == NULL) return;
    snprintf(line, sizeof line, "\r\n%s: %s\r\n", name, cJSON_GetStringValue(cJSON_GetArrayItem(values, 0)));
    if (!CHECK(strcasestr(request, line) != NULL)) printf("  no %s in %s\n", line, request);
}

static void check_requests(replay *r) {
    static const char *const names[] = {"x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds",
                                        "x-amz-sso_bearer_token"};
    CHECK(r->w.asked == r->count);
    for (size_t i = 0; i < r->count && i < r->w.asked; i++) {
        const char *request = fault_server_request(r->w.server, i);
        normalise(r->w.method_url[i]);
        CHECK_STR(r->w.method_url[i], r->expected[i].method_url);
        CHECK(r->w.direct[i] == (strstr(r->w.method_url[i], " http://169.254.") != NULL));
        for (size_t k = 0; k < CPL_COUNT(names); k++) check_header(request, r->expected[i].headers, names[k]);
        if (strstr(r->w.method_url[i], "POST") == NULL) continue;
        CHECK(strstr(request, "Action=AssumeRole") != NULL);
        CHECK((strcasestr(request, "\r\nauthorization: AWS4-HMAC-SHA256 ") != NULL) ==
              (strstr(request, "Action=AssumeRoleWithWebIdentity&") == NULL));
    }
}

static void check_set(const cpl_creds_set *set, const cJSON *want) {
    const cJSON *expiry = cJSON_GetObjectItem(want, "expiry");
    CHECK_STR(set->view.access_key_id.p, text_of(want, "access_key_id"));
    CHECK_STR(set->view.secret_access_key.p, text_of(want, "secret_access_key"));
    CHECK(cpl_str_is(set->view.session_token, text_of(want, "session_token")));
    CHECK(set->expires_s == (int64_t)(expiry ? cJSON_GetNumberValue(expiry) : 0));
}

static void run_case(const char *folder, const char *name, bool profile_only) {
    cJSON *test = read_json(folder, "test-case.json"), *env = read_json(folder, "env.json");
    cJSON *traffic = read_json(folder, "http-traffic.json");
    const cJSON *result = cJSON_GetObjectItem(test, "result"), *ok = cJSON_GetObjectItem(result, "Ok");
    const cJSON *expiry = cJSON_GetObjectItem(ok, "expiry");
    replay *r = calloc(1, sizeof *r);
    const cpl_creds_set *set = NULL;
    cpl_error err = {.status = CPL_OK};
    cpl_status status;
    int before = test_failures;
    read_case(r, folder, env, traffic);
    if (profile_only) r->w.profile = "default";
    status = world_open(&r->w, &err);
    if (status == CPL_OK)
        status = cpl_creds_acquire(r->w.creds, expiry ? (int64_t)cJSON_GetNumberValue(expiry) - 3600 : NOW_S, NULL,
                                   &set, &err);
    if (ok) {
        if (CHECK(status == CPL_OK)) check_set(set, ok);
        if (status) printf("  %s\n", err.message);
    } else {
        CHECK(status == CPL_CREDENTIALS || status == CPL_CONFIG);
        check_words(error_words, CPL_COUNT(error_words), name, err.message);
    }
    if (strcmp(name, "sso_server_error") == 0) {
        CHECK(r->w.asked == 3); /* the recorded client asks a server in trouble but once */
    } else if (strcmp(name, "sso_token") == 0) {
        CHECK(r->w.asked == 0); /* its traffic is that of another case */
    } else {
        check_requests(r);
    }
    if (test_failures > before) printf("  in the case %s\n", name);
    cpl_creds_drop(set);
    world_close(&r->w);
    for (size_t i = 0; i < r->count; i++) free(r->expected[i].method_url);
    free(r);
    cJSON_Delete(test);
    cJSON_Delete(env);
    cJSON_Delete(traffic);
}

static int run_folder(const char *folder, bool profile_only) {
    DIR *all = opendir(folder);
    struct dirent *entry;
    int count = 0;
    while (all && (entry = readdir(all)) != NULL) {
        char path[1200];
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        run_case(path, entry->d_name, profile_only);
        count++;
    }
    if (all) closedir(all);
    return count;
}

TEST(t_creds_suite__the_29_cases_of_the_default_chain_agree) {
    const char *folder = folder_of("credentials/default-credential-provider-chain");
    if (folder == NULL) SKIP("the third-party suite is not here");
    CHECK(run_folder(folder, false) == 29);
    free((char *)folder);
}

TEST(t_creds_suite__the_18_cases_of_the_profile_provider_agree) {
    const char *folder = folder_of("credentials/profile-provider");
    if (folder == NULL) SKIP("the third-party suite is not here");
    CHECK(run_folder(folder, true) == 18);
    free((char *)folder);
}

/* ---- tokens ---- */

static void run_token_case(const char *folder) {
    cJSON *test = read_json(folder, "test-case.json"), *env = read_json(folder, "env.json");
    const cJSON *ok = cJSON_GetObjectItem(cJSON_GetObjectItem(test, "result"), "Ok");
    replay *r = calloc(1, sizeof *r);
    cpl_creds_options options = {.config = NULL};
    cpl_creds_line line = {.options = &options};
    cpl_error err = {.status = CPL_OK};
    cpl_buf token;
    double expires_s = 0, want_s = 1;
    cpl_buf_init(&token, 1000);
    read_case(r, folder, env, NULL);
    if (CHECK(world_open(&r->w, &err) == CPL_OK)) {
        const cpl_creds_ask ask = {r->w.config, &line, NOW_S, NULL};
        CHECK(cpl_creds_sso_token(&ask, cpl_config_profile(r->w.config), &token, &expires_s, &err) == CPL_OK);
        CHECK_STR(cpl_buf_cstr(&token), text_of(ok, "token"));
        CHECK(cpl_time_parse(cpl_str_of(text_of(ok, "expiration")), &want_s) && want_s == expires_s);
    }
    cpl_buf_release(&token);
    world_close(&r->w);
    free(r);
    cJSON_Delete(test);
    cJSON_Delete(env);
}

TEST(t_creds_suite__the_3_cases_of_the_token_chain_agree) {
    static const char *const names[] = {"profile_keys", "profile_keys_case_insensitive", "profile_name"};
    const char *folder = folder_of("credentials/default-token-provider-chain");
    if (folder == NULL) SKIP("the third-party suite is not here");
    for (size_t i = 0; i < CPL_COUNT(names); i++) {
        char path[1200];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        run_token_case(path);
    }
    free((char *)folder);
}

/* ---- the graph of profiles ---- */

static const struct words graph_words[] = {
    {"profile must contain `source_profile`", "has a role_arn, but neither source_profile nor credential_source"},
    {"profile contained both source_profile and credential_source", "has both source_profile and credential_source"},
    {"profile missing aws_secret_access_key", "has aws_access_key_id, but no aws_secret_access_key"},
    {"profile missing aws_access_key_id", "has aws_secret_access_key, but no aws_access_key_id"},
    {"profile `B` did not contain credential information", "profile \"B\" has no credentials to assume the role of"},
    {"profile `A` did not contain credential information", "none in profile \"A\""},
    {"could not find source profile B referenced from A", "there is no profile \"B\""},
    {"No profiles were defined", "profile \"A\" is neither in"},
    {"profile formed an infinite loop", "leads in a circle"},
    {"`role_arn` was missing", "has web_identity_token_file, but no role_arn"},
    {"if `sso_role_name` is set, then `sso_account_id` must also be set", "has sso_role_name, but no sso_account_id"},
    {"if `sso_account_id` is set, then `sso_role_name` must also be set", "has sso_account_id, but no sso_role_name"},
    {"`sso_region` can only be specified in the [sso-session] config when a session name is given",
     "sso_region of profile \"A\" is not that of its sso-session"},
    {"sso-session named `oops` (referenced by profile `A`) was not found", "there is no sso-session \"oops\""},
};

static void write_sections(FILE *file, const char *kind, const cJSON *sections) {
    const cJSON *section, *property;
    cJSON_ArrayForEach(section, sections) {
        fprintf(file, "[%s %s]\n", kind, section->string);
        cJSON_ArrayForEach(property, section) {
            fprintf(file, "%s = %s\n", property->string, cJSON_GetStringValue(property));
        }
    }
}

static const struct {
    const char *step;
    cpl_status (*find)(const cpl_creds_ask *, const char *, cpl_creds_set **, cpl_error *);
} base_steps[] = {{"AccessKey", cpl_creds_profile_keys},
                  {"NamedSource", cpl_creds_profile_source},
                  {"WebIdentityToken", cpl_creds_profile_web_identity},
                  {"Sso", cpl_creds_profile_sso}};

/* What the suite calls a property, and we call by its key in the file. */
static const char *key_of(const char *name) {
    if (strcmp(name, "access_key_id") == 0) return "aws_access_key_id";
    if (strcmp(name, "secret_access_key") == 0) return "aws_secret_access_key";
    return strcmp(name, "account_id") == 0 ? "aws_account_id" : name;
}

static const char *value_of(const cpl_config *config, const char *profile, const char *name) {
    const char *session = cpl_config_profile_value(config, profile, "sso_session");
    const char *value = cpl_config_profile_value(config, profile, key_of(name));
    return value || session == NULL ? value : cpl_config_session_value(config, session, name);
}

static void check_step(const cpl_config *config, const char *profile, const cJSON *step) {
    const cJSON *property;
    if (cJSON_IsString(step->child)) {
        CHECK_STR(value_of(config, profile, "credential_source"), step->child->valuestring);
        return;
    }
    cJSON_ArrayForEach(property, step->child)
        CHECK_STR(value_of(config, profile, property->string), cJSON_GetStringValue(property));
}

static void check_chain(const world *w, const cJSON *chain) {
    cpl_creds_plan plan;
    cpl_error err = {.status = CPL_OK};
    const cJSON *base = cJSON_GetArrayItem(chain, 0);
    if (!CHECK(cpl_creds_plan_make(w->config, w->profile, &plan, &err) == CPL_OK)) {
        printf("  %s\n", err.message);
        return;
    }
    if (!CHECK((int)plan.role_count + 1 == cJSON_GetArraySize(chain))) return;
    for (size_t i = 0; i < CPL_COUNT(base_steps); i++) {
        if (strcmp(base_steps[i].step, base->child->string) == 0) CHECK(plan.find == base_steps[i].find);
    }
    check_step(w->config, plan.base, base);
    for (size_t i = 0; i < plan.role_count; i++) {
        const cJSON *step = cJSON_GetArrayItem(chain, (int)(plan.role_count - i));
        CHECK_STR(step->child->string, "AssumeRole");
        check_step(w->config, plan.roles[i], step);
    }
}

static void check_graph_error(world *w, cpl_status status, cpl_error *err, const char *theirs) {
    const cpl_creds_set *set = NULL;
    if (status == CPL_OK) status = cpl_creds_acquire(w->creds, NOW_S, NULL, &set, err);
    CHECK(status == CPL_CREDENTIALS || status == CPL_CONFIG);
    CHECK(w->asked == 0);
    cpl_creds_drop(set);
    check_words(graph_words, CPL_COUNT(graph_words), theirs, err->message);
}

static void run_graph_case(const cJSON *test) {
    const cJSON *input = cJSON_GetObjectItem(test, "input"), *output = cJSON_GetObjectItem(test, "output");
    const cJSON *chain = cJSON_GetObjectItem(output, "ProfileChain");
    char folder[240], path[300], variable[320];
    FILE *file;
    world w = {
        .env = {variable, "AWS_EC2_METADATA_DISABLED=true"}, .root = "", .profile = text_of(input, "selected_profile")};
    cpl_error err = {.status = CPL_OK};
    cpl_status status;
    int before = test_failures;
    world_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/config", folder);
    file = fopen(path, "wb");
    write_sections(file, "profile", cJSON_GetObjectItem(input, "profiles"));
    write_sections(file, "sso-session", cJSON_GetObjectItem(input, "sso_sessions"));
    fclose(file);
    snprintf(variable, sizeof variable, "AWS_CONFIG_FILE=%s", path);
    status = world_open(&w, &err);
    if (chain == NULL) {
        check_graph_error(&w, status, &err, text_of(output, "Error"));
    } else if (CHECK(status == CPL_OK)) {
        check_chain(&w, chain);
    }
    if (test_failures > before) printf("  in the case %s\n", text_of(test, "docs"));
    world_close(&w);
    remove(path);
    remove(folder);
}

TEST(t_creds_suite__the_28_cases_of_the_profile_graph_agree) {
    const char *folder = folder_of("credentials");
    cJSON *suite = folder ? read_json(folder, "assume-role-tests.json") : NULL;
    const cJSON *test;
    if (folder == NULL) SKIP("the third-party suite is not here");
    CHECK(cJSON_GetArraySize(suite) == 28);
    cJSON_ArrayForEach(test, suite) run_graph_case(test);
    cJSON_Delete(suite);
    free((char *)folder);
}

/* ---- where containers and instances are asked ---- */

static const struct words url_words[] = {
    {"URI did not specify a host", "is not a URL with a host"},
    {"`error` is not a valid endpoint mode", "\"error\" is neither IPv4 nor IPv6"},
    {"`IPv7` is not a valid endpoint mode", "\"IPv7\" is neither IPv4 nor IPv6"},
    {"invalid uri character", "\"not a uri\" is not an http or https URL"},
};

static void run_url_case(const cJSON *test, bool container) {
    const cJSON *result = cJSON_GetObjectItem(test, "result"), *ok = cJSON_GetObjectItem(result, "Ok"), *item;
    char folder[240], root[256], path[300];
    replay *r = calloc(1, sizeof *r);
    cpl_error err = {.status = CPL_OK};
    cpl_status status;
    cpl_buf url;
    int before = test_failures;
    cpl_buf_init(&url, 1000);
    world_folder(folder, sizeof folder);
    snprintf(root, sizeof root, "%s/", folder);
    snprintf(path, sizeof path, "%s/config", folder);
    read_case(r, folder, cJSON_GetObjectItem(test, "env"), NULL);
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(test, "fs")) {
        FILE *file = fopen(path, "wb");
        fputs(cJSON_GetStringValue(item), file);
        fclose(file);
    }
    r->w.root = root;
    status = world_open(&r->w, &err);
    if (status == CPL_OK)
        status = container ? cpl_creds_container_url(r->w.config, &url, &err)
                           : cpl_creds_instance_url(r->w.config, &url, &err);
    if (!container) cpl_buf_adds(&url, "/latest/api/token");
    if (ok) {
        CHECK(status == CPL_OK);
        CHECK_STR(cpl_buf_cstr(&url), ok->valuestring);
    } else if (container && cJSON_GetArraySize(cJSON_GetObjectItem(test, "env")) == 0) {
        CHECK(status == CPL_OK && url.n == 0); /* not set up: nothing to say, and the chain goes on */
    } else {
        CHECK(status == CPL_CREDENTIALS);
        check_words(url_words, CPL_COUNT(url_words), result->child->valuestring, err.message);
    }
    if (test_failures > before) printf("  in the case %s\n", text_of(test, "docs"));
    world_close(&r->w);
    free(r);
    cpl_buf_release(&url);
    remove(path);
    remove(folder);
}

TEST(t_creds_suite__the_11_cases_of_container_urls_agree) {
    const char *folder = folder_of("credentials");
    cJSON *suite = folder ? read_json(folder, "ecs-tests.json") : NULL;
    const cJSON *test, *tests = cJSON_GetObjectItem(suite, "tests");
    if (folder == NULL) SKIP("the third-party suite is not here");
    CHECK(cJSON_GetArraySize(tests) == 11);
    cJSON_ArrayForEach(test, tests) run_url_case(test, true);
    cJSON_Delete(suite);
    free((char *)folder);
}

/* What does not apply, one by one; a case that is not here has to agree. */
static const struct {
    const char *docs, *why;
} not_for_us[] = {
    {"explicit endpoint override", "an option of that client's builder; here the environment or the profile says it"},
    {"explicit mode override", "an option of that client's builder; here the environment or the profile says it"},
};

static bool is_for_us(const char *docs, bool seen[]) {
    for (size_t i = 0; i < CPL_COUNT(not_for_us); i++) {
        if (strcmp(docs, not_for_us[i].docs) != 0) continue;
        seen[i] = true;
        return false;
    }
    return true;
}

TEST(t_creds_suite__12_of_the_14_cases_of_instance_urls_agree_and_2_do_not_apply) {
    const char *folder = folder_of("credentials");
    cJSON *suite = folder ? read_json(folder, "imds-config/imds-endpoint-tests.json") : NULL;
    const cJSON *test, *tests = cJSON_GetObjectItem(suite, "tests");
    bool seen[CPL_COUNT(not_for_us)] = {false};
    if (folder == NULL) SKIP("the third-party suite is not here");
    CHECK(cJSON_GetArraySize(tests) == 14);
    cJSON_ArrayForEach(test, tests) {
        if (is_for_us(text_of(test, "docs"), seen)) run_url_case(test, false);
    }
    for (size_t i = 0; i < CPL_COUNT(not_for_us); i++) {
        if (!CHECK(seen[i])) printf("  %s: %s\n", not_for_us[i].docs, not_for_us[i].why);
    }
    cJSON_Delete(suite);
    free((char *)folder);
}

TEST_MAIN
