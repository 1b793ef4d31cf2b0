/* SPDX-License-Identifier: MIT */
#include "../../core/creds/creds.h"

#include <pthread.h>
#include <unistd.h>

#include "test.h"

/* ---- an environment of the test's own ---- */

static char folder[256], file_path[300];

/* No keys in the environment, and one shared file with this text. */
static void begin(const char *text) {
    static const char *const gone[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                                       "AWS_PROFILE",       "AWS_CONFIG_FILE",       "HOME"};
    FILE *file;
    for (size_t i = 0; i < CPL_COUNT(gone); i++) unsetenv(gone[i]);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    snprintf(folder, sizeof folder, "%s/t_creds.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : P_tmpdir);
    if (!CHECK(mkdtemp(folder) != NULL)) return;
    snprintf(file_path, sizeof file_path, "%s/credentials", folder);
    setenv("AWS_SHARED_CREDENTIALS_FILE", file_path, 1);
    file = fopen(file_path, "wb");
    if (!CHECK(file != NULL)) return;
    fwrite(text, 1, strlen(text), file);
    fclose(file);
}

static void end(void) {
    remove(file_path);
    remove(folder);
}

/* One way through: load, make the source, ask it once. *out is for cpl_creds_drop(), NULL unless CPL_OK. */
static cpl_status ask(const char *profile, const cpl_credentials *given, const cpl_creds_set **out, cpl_error *err) {
    cpl_config *config = NULL;
    cpl_creds *creds = NULL;
    cpl_status status = cpl_config_load(&config, cpl_str_of(profile), err);
    *out = NULL;
    if (status == CPL_OK) status = cpl_creds_new(&creds, config, given, err);
    if (status == CPL_OK) status = cpl_creds_acquire(creds, 0, NULL, out, err);
    cpl_creds_free(creds);
    cpl_config_free(config);
    return status;
}

static void check_found(const char *profile, const char *key, const char *token, const char *source) {
    const cpl_creds_set *set;
    cpl_error err = {.status = CPL_OK};
    if (!CHECK(ask(profile, NULL, &set, &err) == CPL_OK)) {
        printf("  %s\n", err.message);
        return;
    }
    CHECK_STR(set->view.access_key_id.p, key);
    CHECK_STR(set->source, source);
    CHECK(set->expires_s == 0);
    CHECK(cpl_str_eq(set->view.session_token, cpl_str_of(token)));
    cpl_creds_drop(set);
}

static void check_none(const char *profile, const char *words) {
    const cpl_creds_set *set;
    cpl_error err = {.status = CPL_OK};
    CHECK(ask(profile, NULL, &set, &err) == CPL_CREDENTIALS);
    CHECK(set == NULL);
    CHECK_STR(err.message, words);
    CHECK(strstr(err.message, "SECRET1") == NULL);
}

#define PROFILES                                                                           \
    "[default]\naws_access_key_id = AKPROFILE\naws_secret_access_key = SECRET1\n"          \
    "[other]\naws_access_key_id = AKOTHER\naws_secret_access_key = SECRET1\n"              \
    "aws_session_token = TOKEN/+=\n[bare]\nregion = us-east-1\n[half]\n"                   \
    "aws_access_key_id = AKHALF\n[odd]\naws_secret_access_key = SECRET1\n[role]\n"         \
    "role_arn = arn:aws:iam::1:role/x\naws_access_key_id = A\naws_secret_access_key = B\n" \
    "[spaced]\naws_access_key_id = A B\naws_secret_access_key = SECRET1\n"

static void set_keys(const char *key, const char *secret, const char *token) {
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_SESSION_TOKEN");
    if (key) setenv("AWS_ACCESS_KEY_ID", key, 1);
    if (secret) setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
    if (token) setenv("AWS_SESSION_TOKEN", token, 1);
}

/* ---- tests ---- */

TEST(t_creds__the_environment_goes_before_the_profile) {
    begin(PROFILES);
    check_found(NULL, "AKPROFILE", NULL, "profile");
    set_keys("AKENV", "SECRET1", "TOKEN");
    check_found(NULL, "AKENV", "TOKEN", "environment");
    set_keys("AKENV", "SECRET1", "");
    check_found(NULL, "AKENV", NULL, "environment");
    end();
}

TEST(t_creds__a_profile_the_caller_names_goes_before_the_environment_but_aws_profile_does_not) {
    begin(PROFILES);
    set_keys("AKENV", "SECRET1", NULL);
    check_found("other", "AKOTHER", "TOKEN/+=", "profile");
    setenv("AWS_PROFILE", "other", 1);
    check_found(NULL, "AKENV", NULL, "environment");
    set_keys(NULL, NULL, NULL);
    check_found(NULL, "AKOTHER", "TOKEN/+=", "profile");
    end();
}

TEST(t_creds__half_a_pair_is_an_error_that_names_the_other_half) {
    begin(PROFILES);
    set_keys("AKENV", NULL, NULL);
    check_none(NULL, "the environment has AWS_ACCESS_KEY_ID, but no AWS_SECRET_ACCESS_KEY");
    set_keys(NULL, "SECRET1", "TOKEN");
    check_none(NULL, "the environment has AWS_SECRET_ACCESS_KEY, but no AWS_ACCESS_KEY_ID");
    check_none("half", "profile \"half\" has aws_access_key_id, but no aws_secret_access_key");
    check_none("odd", "profile \"odd\" has aws_secret_access_key, but no aws_access_key_id");
    end();
}

TEST(t_creds__no_keys_at_all_is_an_error_that_lists_where_it_looked) {
    begin("");
    check_none(
        NULL,
        "no credentials: none in the environment, none in profile \"default\", none of a container; the instance "
        "metadata is not asked, because AWS_EC2_METADATA_DISABLED is true");
    end();
    begin(PROFILES);
    set_keys("AKENV", "SECRET1", NULL);
    check_none("bare",
               "no credentials: none in profile \"bare\", none of a container; the instance metadata is not asked, "
               "because AWS_EC2_METADATA_DISABLED is true");
    check_none("role", "profile \"role\" has a role_arn, but neither source_profile nor credential_source");
    end();
}

TEST(t_creds__keys_with_spaces_or_control_characters_are_refused) {
    static const char *const bad[] = {"SECRET1 ",  "SECRET1\n",   " SECRET1",
                                      "SEC\tRET1", "SECRET1\x7f", "SECRET1\xc3\xa4"};
    begin(PROFILES);
    for (size_t i = 0; i < CPL_COUNT(bad); i++) {
        set_keys("AKENV", bad[i], NULL);
        check_none(NULL, "AWS_SECRET_ACCESS_KEY of the environment has a space or another character that no key has");
    }
    check_none("spaced", "aws_access_key_id of profile \"spaced\" has a space or another character that no key has");
    end();
}

TEST(t_creds__arguments_go_before_everything) {
    cpl_credentials given = {CPL_LIT("AKARG"), CPL_LIT("SECRET1"), CPL_LIT("TOKEN")};
    const cpl_creds_set *set;
    cpl_error err;
    begin(PROFILES);
    set_keys("AKENV", "SECRET2", NULL);
    NEED(ask(NULL, &given, &set, &err) == CPL_OK);
    CHECK_STR(set->view.access_key_id.p, "AKARG");
    CHECK_STR(set->view.secret_access_key.p, "SECRET1");
    CHECK_STR(set->view.session_token.p, "TOKEN");
    CHECK_STR(set->source, "arguments");
    cpl_creds_drop(set);
    end();
}

TEST(t_creds__arguments_come_as_a_pair_of_plain_texts) {
    static const struct {
        cpl_credentials given;
        const char *path;
    } rows[] = {
        {{CPL_LIT("A"), {NULL, 0}, {NULL, 0}}, "secret_access_key"},
        {{{NULL, 0}, CPL_LIT("SECRET1"), {NULL, 0}}, "access_key_id"},
        {{{NULL, 0}, {NULL, 0}, CPL_LIT("TOKEN")}, "access_key_id"},
        {{CPL_LIT("A B"), CPL_LIT("SECRET1"), {NULL, 0}}, "access_key_id"},
        {{CPL_LIT("A"), CPL_LIT("SECRET1\n"), {NULL, 0}}, "secret_access_key"},
        {{CPL_LIT("A"), CPL_LIT("SECRET1"), CPL_LIT("T\0")}, "session_token"},
    };
    begin("");
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        const cpl_creds_set *set;
        cpl_error err = {.status = CPL_OK};
        CHECK(ask(NULL, &rows[i].given, &set, &err) == CPL_INVALID);
        CHECK_STR(err.path, rows[i].path);
        CHECK(strstr(err.message, "SECRET1") == NULL);
    }
    end();
}

TEST(t_creds__a_set_outlives_its_source) {
    cpl_credentials given = {CPL_LIT("AKARG"), CPL_LIT("SECRET1"), {NULL, 0}};
    const cpl_creds_set *one, *two;
    cpl_creds *creds;
    cpl_error err;
    NEED(cpl_creds_new(&creds, NULL, &given, &err) == CPL_OK);
    CHECK(cpl_creds_acquire(creds, 0, NULL, &one, &err) == CPL_OK);
    CHECK(cpl_creds_acquire(creds, 0, NULL, &two, &err) == CPL_OK);
    CHECK(one == two);
    cpl_creds_free(creds);
    cpl_creds_drop(one);
    CHECK_STR(two->view.secret_access_key.p, "SECRET1");
    cpl_creds_drop(two);
    cpl_creds_drop(NULL);
}

static void *acquire_often(void *creds) {
    for (int i = 0; i < 1000; i++) {
        const cpl_creds_set *set;
        if (cpl_creds_acquire(creds, 0, NULL, &set, NULL)) return creds;
        if (strcmp(set->view.access_key_id.p, "AKPROFILE") != 0) return creds;
        cpl_creds_drop(set);
    }
    return NULL;
}

TEST(t_creds__eight_threads_share_a_source) {
    pthread_t threads[8];
    cpl_config *config;
    cpl_creds *creds;
    begin(PROFILES);
    NEED(cpl_config_load(&config, (cpl_str){NULL, 0}, NULL) == CPL_OK);
    NEED(cpl_creds_new(&creds, config, NULL, NULL) == CPL_OK);
    for (size_t i = 0; i < CPL_COUNT(threads); i++) pthread_create(&threads[i], NULL, acquire_often, creds);
    for (size_t i = 0; i < CPL_COUNT(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
    cpl_creds_free(creds);
    cpl_config_free(config);
    end();
}

TEST(t_creds__every_failing_allocation_is_reported_and_nothing_leaks) {
    static const cpl_credentials given = {CPL_LIT("AKARG"), CPL_LIT("SECRET1"), {NULL, 0}};
    begin(PROFILES);
    for (int with_given = 0; with_given < 2; with_given++) {
        cpl_status status = CPL_NOMEM;
        for (size_t n = 1; n < 500 && status; n++) {
            const cpl_creds_set *set;
            cpl_error err;
            cpl_alloc_fail_at(n);
            status = ask(NULL, with_given ? &given : NULL, &set, &err);
            cpl_alloc_fail_at(0);
            CHECK(status == CPL_OK || (status == CPL_NOMEM && set == NULL));
            cpl_creds_drop(set);
        }
        CHECK(status == CPL_OK);
    }
    end();
}

TEST_MAIN
