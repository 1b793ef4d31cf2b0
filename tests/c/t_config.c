/* SPDX-License-Identifier: MIT */
#include "../../core/config.h"

#include <cJSON.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/profiles.h"
#include "test.h"

/* ---- the third-party parser suite ---- */

/* How we say what the suite says. */
static const struct wording {
    const char *theirs, *ours;
} wordings[] = {
    {"Profile definition must end with ']'", "must end with \"]\""},
    {"Expected a profile definition", "expected a profile definition"},
    {"Property did not have a name", "a property has no name"},
    {"Expected an '=' sign defining a property", "expected a property, \"name = value\""},
    {"Expected a property definition, found continuation", "expected a property, found a continuation"},
    {"Expected a property definition", "expected a property"},
    {"Expected an '=' sign defining a sub-property", "expected a nested property"},
    {"Sub-property did not have a name", "a nested property has no name"},
};

static const char *our_words(const char *theirs) {
    for (size_t i = 0; i < CPL_COUNT(wordings); i++) {
        if (strcmp(wordings[i].theirs, theirs) == 0) return wordings[i].ours;
    }
    return NULL;
}

static cpl_status parse_input(cpl_profiles *profiles, const cJSON *input, cpl_error *err) {
    const char *config = cJSON_GetStringValue(cJSON_GetObjectItem(input, "configFile"));
    const char *credentials = cJSON_GetStringValue(cJSON_GetObjectItem(input, "credentialsFile"));
    cpl_status status = CPL_OK;
    cpl_profiles_init(profiles);
    if (config) status = cpl_profiles_parse(profiles, CPL_FILE_CONFIG, "config", cpl_str_of(config), err);
    if (status == CPL_OK && credentials)
        status = cpl_profiles_parse(profiles, CPL_FILE_CREDENTIALS, "credentials", cpl_str_of(credentials), err);
    return status;
}

/* want: {"foo": {"name": "value"}}; everything in it is there, and nothing else. */
static bool sections_agree(const cpl_profiles *profiles, cpl_section_kind kind, const cJSON *want) {
    const cJSON *section, *property;
    cJSON_ArrayForEach(section, want) {
        if (!cpl_profiles_has(profiles, kind, section->string)) return false;
        cJSON_ArrayForEach(property, section) {
            const char *got = cpl_profiles_find(profiles, kind, section->string, property->string);
            if (got == NULL || strcmp(got, property->valuestring) != 0) return false;
        }
    }
    for (size_t i = 0; i < profiles->section_count; i++) {
        const cpl_section *s = &profiles->sections[i];
        if (s->kind == kind && cpl_profiles_has(profiles, kind, s->name) && !cJSON_HasObjectItem(want, s->name))
            return false;
    }
    for (size_t i = 0; i < profiles->property_count; i++) {
        const cpl_property *p = &profiles->properties[i];
        const cpl_section *s = &profiles->sections[p->section];
        if (s->kind != kind || strchr(p->key, ' ')) continue; /* nested ones: the suite has them as text */
        if (cpl_profiles_find(profiles, kind, s->name, p->key) &&
            !cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(want, s->name), p->key))
            return false;
    }
    return true;
}

/* True when the case expects an error. */
static bool run_parser_case(const cJSON *test) {
    const cJSON *output = cJSON_GetObjectItem(test, "output"), *config = cJSON_GetObjectItem(output, "config");
    const char *want_error = cJSON_GetStringValue(cJSON_GetObjectItem(output, "errorContaining"));
    cpl_profiles profiles;
    cpl_error err = {.status = CPL_OK};
    cpl_status status = parse_input(&profiles, cJSON_GetObjectItem(test, "input"), &err);
    bool ok;
    if (want_error) {
        const char *ours = our_words(want_error);
        ok = status == CPL_CONFIG && ours && strstr(err.message, ours);
    } else {
        ok = status == CPL_OK &&
             sections_agree(&profiles, CPL_SECTION_PROFILE, cJSON_GetObjectItem(config, "profiles")) &&
             sections_agree(&profiles, CPL_SECTION_SSO_SESSION, cJSON_GetObjectItem(config, "sso_sessions"));
    }
    if (!CHECK(ok)) printf("  %s: %s\n", cJSON_GetObjectItem(test, "name")->valuestring, err.message);
    cpl_profiles_release(&profiles);
    return want_error != NULL;
}

static cJSON *read_suite(const char *file) {
    const char *path = test_suite_path(file);
    char *text = path ? test_read_file(path, NULL) : NULL;
    cJSON *suite = text ? cJSON_Parse(text) : NULL;
    free(text);
    return suite;
}

TEST(t_config__all_65_cases_of_the_parser_suite_agree) {
    cJSON *suite = read_suite("credentials/aws-runtime/profile-parser-tests.json");
    const cJSON *test;
    int count = 0, errors = 0;
    if (suite == NULL) SKIP("the third-party suite is not here");
    cJSON_ArrayForEach(test, cJSON_GetObjectItem(suite, "tests")) {
        errors += run_parser_case(test);
        count++;
    }
    CHECK(count == 65 && errors == 10);
    cJSON_Delete(suite);
}

/* ---- loading, in a home of its own ---- */

static char home[256];

/* Only what the test says is in the environment. */
static void clear_environment(void) {
    extern char **environ;
    for (char **v = environ; *v;) {
        char name[128];
        size_t n = strcspn(*v, "=");
        if (strncmp(*v, "AWS_", 4) != 0 || n >= sizeof name) {
            v++;
            continue;
        }
        memcpy(name, *v, n);
        name[n] = '\0';
        unsetenv(name);
        v = environ;
    }
    unsetenv("HOME");
}

static void write_file(const char *name, const char *text) {
    char path[300];
    FILE *file;
    snprintf(path, sizeof path, "%s/%s", home, name);
    file = fopen(path, "wb");
    if (!CHECK(file != NULL)) return;
    fwrite(text, 1, strlen(text), file);
    fclose(file);
}

static void begin(const char *config, const char *credentials) {
    char folder[300];
    clear_environment();
    snprintf(home, sizeof home, "%s/t_config.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : P_tmpdir);
    if (!CHECK(mkdtemp(home) != NULL)) return;
    snprintf(folder, sizeof folder, "%s/.aws", home);
    mkdir(folder, 0700);
    setenv("HOME", home, 1);
    if (config) write_file(".aws/config", config);
    if (credentials) write_file(".aws/credentials", credentials);
}

static void end(void) {
    static const char *const files[] = {".aws/config", ".aws/credentials", "other", ".aws", ""};
    char path[300];
    for (size_t i = 0; i < CPL_COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", home, files[i]);
        remove(path);
    }
}

static cpl_config *load(const char *profile) {
    cpl_config *config = NULL;
    cpl_error err;
    if (!CHECK(cpl_config_load(&config, cpl_str_of(profile), &err) == CPL_OK)) printf("  %s\n", err.message);
    return config;
}

static void check_refused(const char *profile, const char *words) {
    cpl_config *config = NULL;
    cpl_error err = {.status = CPL_OK};
    CHECK(cpl_config_load(&config, cpl_str_of(profile), &err) == CPL_CONFIG);
    CHECK(err.status == CPL_CONFIG);
    CHECK(config == NULL);
    if (!CHECK(strstr(err.message, words) != NULL)) printf("  %s\n", err.message);
    cpl_config_free(config);
}

/* Every name in "environment" is set; the error about a profile that is nowhere tells where the files would be. */
static void run_location_case(const cJSON *test) {
    const cJSON *variable;
    const char *profile = cJSON_GetStringValue(cJSON_GetObjectItem(test, "profile"));
    char want[512];
    clear_environment();
    cJSON_ArrayForEach(variable, cJSON_GetObjectItem(test, "environment")) {
        setenv(variable->string, variable->valuestring, 1);
    }
    snprintf(want, sizeof want, "neither in \"%s\" nor in \"%s\"",
             cJSON_GetObjectItem(test, "configLocation")->valuestring,
             cJSON_GetObjectItem(test, "credentialsLocation")->valuestring);
    check_refused("nowhere", want);
    if (profile && strcmp(profile, "default") != 0) {
        snprintf(want, sizeof want, "profile \"%s\"", profile);
        check_refused(NULL, want);
    } else {
        cpl_config *config = load(NULL);
        if (config) CHECK_STR(cpl_config_profile(config), "default");
        cpl_config_free(config);
    }
}

/* What does not apply, one by one: where Windows keeps a home, and we do not run there. The rest has to agree. */
static const struct {
    const char *name;
    int times; /* two cases have the same name */
} of_windows[] = {
    {"User home is loaded from $HOME with highest priority on windows platforms.", 1},
    {"User home is loaded from $USERPROFILE on windows platforms when $HOME is not set.", 1},
    {"User home is loaded from $HOMEDRIVE$HOMEPATH on windows platforms when $HOME and $USERPROFILE are not set.", 1},
    {"The default credentials location can be overridden by the user on windows platforms.", 2},
};

static bool is_of_windows(const char *name, int seen[]) {
    for (size_t i = 0; i < CPL_COUNT(of_windows); i++) {
        if (strcmp(name, of_windows[i].name) != 0) continue;
        seen[i]++;
        return true;
    }
    return false;
}

TEST(t_config__the_4_posix_cases_of_the_location_suite_agree) {
    cJSON *suite = read_suite("credentials/aws-runtime/file-location-tests.json");
    const cJSON *test;
    int posix = 0, seen[CPL_COUNT(of_windows)] = {0};
    if (suite == NULL) SKIP("the third-party suite is not here");
    cJSON_ArrayForEach(test, cJSON_GetObjectItem(suite, "tests")) {
        if (is_of_windows(cJSON_GetObjectItem(test, "name")->valuestring, seen)) continue;
        run_location_case(test);
        posix++;
    }
    CHECK(posix == 4);
    for (size_t i = 0; i < CPL_COUNT(of_windows); i++) {
        if (!CHECK(seen[i] == of_windows[i].times)) printf("  %s\n", of_windows[i].name);
    }
    cJSON_Delete(suite);
}

TEST(t_config__no_files_and_no_home_are_no_error) {
    cpl_config *config;
    clear_environment();
    config = load(NULL);
    NEED(config != NULL);
    CHECK_STR(cpl_config_profile(config), "default");
    CHECK(cpl_config_value(config, "region") == NULL);
    CHECK(cpl_config_env(config, "HOME") == NULL);
    CHECK(!cpl_config_profile_given(config));
    cpl_config_free(config);
}

TEST(t_config__the_environment_goes_before_the_profile_and_credentials_before_config) {
    cpl_config *config;
    begin("[default]\nregion = eu-west-1\noutput =\naws_access_key_id = A\n[profile x]\nregion = sa-east-1\n",
          "[default]\naws_access_key_id = B\n");
    config = load(NULL);
    if (config) {
        CHECK_STR(cpl_config_setting(config, "AWS_REGION", "region"), "eu-west-1");
        CHECK_STR(cpl_config_value(config, "aws_access_key_id"), "B");
        CHECK_STR(cpl_config_profile_value(config, "x", "region"), "sa-east-1");
        CHECK(cpl_config_value(config, "output") == NULL);
        CHECK(cpl_config_setting(config, NULL, "none") == NULL);
        CHECK(cpl_config_setting(config, "AWS_REGION", NULL) == NULL);
    }
    cpl_config_free(config);
    setenv("AWS_REGION", "us-east-2", 1);
    setenv("AWS_EMPTY", "", 1);
    config = load("x");
    setenv("AWS_REGION", "changed later", 1);
    if (config) {
        CHECK_STR(cpl_config_setting(config, "AWS_REGION", "region"), "us-east-2");
        CHECK_STR(cpl_config_value(config, "region"), "sa-east-1");
        CHECK(cpl_config_env(config, "AWS_EMPTY") == NULL);
        CHECK(cpl_config_env(config, "AWS_REG") == NULL);
        CHECK(cpl_config_profile_given(config));
    }
    cpl_config_free(config);
    end();
}

TEST(t_config__a_tilde_in_a_path_is_the_home) {
    cpl_config *config;
    begin(NULL, NULL);
    write_file("other", "[default]\nregion = af-south-1\n");
    setenv("AWS_CONFIG_FILE", "~/other", 1);
    config = load(NULL);
    if (config) CHECK_STR(cpl_config_value(config, "region"), "af-south-1");
    cpl_config_free(config);
    end();
}

TEST(t_config__a_profile_asked_for_by_name_must_be_there) {
    begin("[profile here]\n[there]\n", NULL);
    check_refused("gone", "profile \"gone\" is neither in");
    check_refused("there", "profile \"there\"");
    setenv("AWS_DEFAULT_PROFILE", "old", 1);
    check_refused(NULL, "profile \"old\"");
    setenv("AWS_PROFILE", "away", 1);
    check_refused(NULL, "profile \"away\"");
    cpl_config_free(load("here"));
    end();
}

TEST(t_config__names_in_quotes_are_those_of_the_command_line) {
    static const char text[] =
        "[profile 'my profile']\nregion = a\n[profile \"plain\"]\nregion = b\n"
        "[profile \"one\" \"two\"]\nregion = c\n[profile \"open]\nregion = d\n"
        "[profile '']\nregion = e\n[sso-session 'my sso']\nsso_region = f\n";
    cpl_profiles p;
    cpl_error err;
    cpl_profiles_init(&p);
    CHECK(cpl_profiles_parse(&p, CPL_FILE_CONFIG, "config", cpl_str_of(text), &err) == CPL_OK);
    CHECK(p.section_count == 3);
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "my profile", "region"), "a");
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "plain", "region"), "b");
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_SSO_SESSION, "my sso", "sso_region"), "f");
    cpl_profiles_release(&p);
}

TEST(t_config__comments_behind_blanks_are_comments_unless_a_value_goes_on) {
    static const char text[] =
        "  # before\n[profile a]\n  ; first\ns3 =\n  # nested\n  style = path\n\t;more\n  x = y\n"
        "value = 1\n  # two\nregion = b\n";
    cpl_profiles p;
    cpl_error err;
    cpl_profiles_init(&p);
    CHECK(cpl_profiles_parse(&p, CPL_FILE_CONFIG, "config", cpl_str_of(text), &err) == CPL_OK);
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "a", "s3 style"), "path");
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "a", "s3 x"), "y");
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "a", "value"), "1\n# two"); /* as the parser suite has it */
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "a", "region"), "b");
    cpl_profiles_release(&p);
}

TEST(t_config__sections_may_be_indented_as_a_whole) {
    static const char text[] =
        "  [default]\n  region = a\n  # between\n  s3 =\n    style = path\n  output = b\n    goes on\n"
        "\t[profile x]\n\t\tregion = c\n\t\toutput = d\nlast = e\n";
    cpl_profiles p;
    cpl_error err;
    cpl_profiles_init(&p);
    CHECK(cpl_profiles_parse(&p, CPL_FILE_CONFIG, "config", cpl_str_of(text), &err) == CPL_OK);
    CHECK(p.section_count == 2);
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "default", "region"), "a");
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "default", "s3 style"), "path");
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "default", "output"), "b\ngoes on");
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "x", "region"), "c");
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "x", "output"), "d");
    CHECK_STR(cpl_profiles_find(&p, CPL_SECTION_PROFILE, "x", "last"), "e");
    cpl_profiles_release(&p);
}

TEST(t_config__a_file_that_cannot_be_read_is_named_with_its_line) {
    begin("[default]\nregion = us-east-1\n\nnonsense\n", NULL);
    check_refused(NULL, "/.aws/config\" line 4: expected a property");
    end();
    begin(NULL, "[default\n");
    check_refused(NULL, "/.aws/credentials\" line 1: a profile definition must end");
    end();
    begin(NULL, NULL);
    setenv("AWS_CONFIG_FILE", home, 1); /* a folder */
    check_refused(NULL, home);
    end();
}

TEST(t_config__a_file_that_is_too_large_is_refused) {
    size_t size = (size_t)2 << 20;
    char *text = malloc(size + 1);
    NEED(text != NULL);
    memset(text, '\n', size);
    text[size] = '\0';
    begin(text, NULL);
    check_refused(NULL, "larger than");
    end();
    free(text);
}

TEST(t_config__a_file_with_nul_bytes_is_refused) {
    cpl_profiles profiles;
    cpl_error err;
    cpl_profiles_init(&profiles);
    CHECK(cpl_profiles_parse(&profiles, CPL_FILE_CONFIG, "config", CPL_LIT("[default]\nregion = a\0b\n"), &err) ==
          CPL_CONFIG);
    CHECK_STR(err.message, "\"config\" is not a text file");
    cpl_profiles_release(&profiles);
}

/* ---- endpoints ---- */

#define WITH_SERVICES                                                                                    \
    "[default]\nendpoint_url = http://profile # why\nservices = mine\n[services mine]\ncodepipeline =\n" \
    "  Endpoint_URL = http://section # why\n  other = x\ns3 =\n addressing_style = path\n"

static void check_endpoint(const char *service, const char *want) {
    cpl_config *config = load(NULL);
    const char *got;
    if (config == NULL) return;
    got = cpl_config_endpoint_url(config, service);
    if (want) {
        CHECK_STR(got, want);
    } else {
        CHECK(got == NULL);
    }
    cpl_config_free(config);
}

TEST(t_config__endpoints_are_found_in_the_order_of_the_guide) {
    begin(WITH_SERVICES, NULL);
    check_endpoint("codepipeline", "http://section");
    check_endpoint("s3", "http://profile");
    setenv("AWS_ENDPOINT_URL", "http://all", 1);
    check_endpoint("codepipeline", "http://all");
    setenv("AWS_ENDPOINT_URL_CODEPIPELINE", "http://one", 1);
    check_endpoint("codepipeline", "http://one");
    check_endpoint("s3", "http://all");
    setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE", 1);
    check_endpoint("codepipeline", NULL);
    setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false", 1);
    check_endpoint("codepipeline", "http://one");
    end();
    begin("[default]\nignore_configured_endpoint_urls = true\n", NULL);
    setenv("AWS_ENDPOINT_URL", "http://all", 1);
    check_endpoint("s3", NULL);
    end();
}

TEST(t_config__a_services_section_that_is_named_must_be_there) {
    begin("[default]\nservices = here\n[profile x]\nservices = gone\n[services here]\n", NULL);
    check_refused("x", "services of profile \"x\": there is no services section \"gone\"");
    cpl_config_free(load(NULL));
    end();
}

TEST(t_config__nested_properties_of_a_services_section_are_found) {
    cpl_config *config;
    begin(WITH_SERVICES, NULL);
    config = load(NULL);
    if (config) {
        CHECK_STR(cpl_config_service_value(config, "s3", "addressing_style"), "path");
        CHECK_STR(cpl_config_service_value(config, "codepipeline", "other"), "x");
        CHECK(cpl_config_service_value(config, "s3", "other") == NULL);
        CHECK(cpl_config_service_value(config, "sts", "endpoint_url") == NULL);
    }
    cpl_config_free(config);
    end();
}

TEST(t_config__every_failing_allocation_is_reported_and_nothing_leaks) {
    cpl_status status = CPL_NOMEM;
    size_t n = 1;
    begin(WITH_SERVICES, "[default]\naws_access_key_id = A\n");
    for (; n < 500 && status; n++) {
        cpl_config *config = NULL;
        cpl_error err = {.status = CPL_OK};
        cpl_alloc_fail_at(n);
        status = cpl_config_load(&config, (cpl_str){NULL, 0}, &err);
        cpl_alloc_fail_at(0);
        CHECK(status == CPL_OK || (status == CPL_NOMEM && config == NULL));
        cpl_config_free(config);
    }
    CHECK(status == CPL_OK && n > 20);
    end();
}

TEST_MAIN
