/* SPDX-License-Identifier: MIT */
/* What tests of single providers share: their files, a role and the answers, and one question to a world. */
#ifndef CREDS_ASK_H
#define CREDS_ASK_H

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

#define ROLE                                                                                     \
    "[default]\nregion = eu-west-1\nrole_arn = arn:aws:iam::1:role/a+b\nsource_profile = base\n" \
    "[profile base]\naws_access_key_id = AKBASE\naws_secret_access_key = SECRET1\n[profile spare]\n"

/* ---- files ---- */

static char root[256];

__attribute__((unused)) static void put(const char *name, const char *text) {
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

__attribute__((unused)) static void begin_files(const char *config) {
    char folder[240];
    world_folder(folder, sizeof folder);
    snprintf(root, sizeof root, "%s/", folder);
    put("config", config);
}

__attribute__((unused)) static void remove_all(const char *folder) {
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

__attribute__((unused)) static cpl_status ask(world *w, const cpl_wait *wait, const cpl_creds_set **set,
                                              cpl_error *err) {
    cpl_status status = world_open(w, err);
    *set = NULL;
    return status ? status : cpl_creds_acquire(w->creds, NOW_S, wait, set, err);
}

__attribute__((unused)) static void check_key(world *w, const char *key) {
    const cpl_creds_set *set;
    cpl_error err = {.status = CPL_OK};
    if (CHECK(ask(w, NULL, &set, &err) == CPL_OK)) {
        CHECK_STR(set->view.access_key_id.p, key);
    } else {
        printf("  %s\n", err.message);
    }
    cpl_creds_drop(set);
}

__attribute__((unused)) static void check_refused(world *w, const char *words) {
    const cpl_creds_set *set;
    cpl_error err = {.status = CPL_OK};
    CHECK(ask(w, NULL, &set, &err) == CPL_CREDENTIALS);
    CHECK(err.status == CPL_CREDENTIALS);
    CHECK(set == NULL);
    CHECK(strstr(err.message, "SECRET") == NULL);
    if (!CHECK(strstr(err.message, words) != NULL)) printf("  %s\n", err.message);
}

/* A profile's error, with nobody to ask. */
__attribute__((unused)) static void check_profile_refused(const char *config, const char *words) {
    world w = {.env = {"AWS_CONFIG_FILE=config", "AWS_EC2_METADATA_DISABLED=true", "HOME=/home"}};
    begin_files(config);
    w.root = root;
    check_refused(&w, words);
    CHECK(w.asked == 0);
    world_close(&w);
    remove_all(root);
}

#endif
