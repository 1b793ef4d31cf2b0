/* SPDX-License-Identifier: MIT */
/*
 * An emulator and a client of it, for the tests of what uses both. JSON is written with ' for ".
 */
#ifndef CPL_SERVICE_H
#define CPL_SERVICE_H

#include <stdarg.h>

#include "../../core/buf.h"
#include "../../core/err.h"
#include "../../core/json.h"
#include "test.h"

#define UNUSED __attribute__((unused))

typedef struct service {
    cpl_emulator *emulator;
    cpl_client *client;
    cpl_json *answer; /* of the last ask() */
} service;

UNUSED static const char *environ_of(const cpl_emulator *emulator, const char *name) {
    const char *found, *value;
    for (size_t i = 0; cpl_emulator_environ(emulator, i, &found, &value); i++) {
        if (strcmp(found, name) == 0) return value;
    }
    return NULL;
}

/* A client with the owner's keys whose calls go to url (NULL: to the emulator itself). */
UNUSED static cpl_client *client_of(const cpl_emulator *emulator, const char *url) {
    cpl_client_options options = {
        .region = CPL_LIT("us-east-1"),
        .access_key_id = cpl_str_of(environ_of(emulator, "AWS_ACCESS_KEY_ID")),
        .secret_access_key = cpl_str_of(environ_of(emulator, "AWS_SECRET_ACCESS_KEY")),
        .endpoint_url = cpl_str_of(url ? url : cpl_emulator_url(emulator)),
        .s3_endpoint_url = cpl_str_of(cpl_emulator_url(emulator)),
    };
    cpl_client *client = NULL;
    cpl_error err = {0};
    if (!CHECK(cpl_client_new(&client, &options, &err) == CPL_OK)) printf("  %s\n", err.message);
    return client;
}

UNUSED static bool open_service(service *s) {
    cpl_error err = {0};
    *s = (service){0};
    if (!CHECK(cpl_emulator_start(&s->emulator, NULL, &err) == CPL_OK)) {
        printf("  %s\n", err.message);
        return false;
    }
    s->client = client_of(s->emulator, NULL);
    return s->client != NULL;
}

UNUSED static void close_service(service *s) {
    cpl_json_free(s->answer);
    cpl_client_free(s->client);
    cpl_emulator_stop(s->emulator);
}

/* Runs an operation; its document stays in s->answer until the next. False, with a message, when it was refused. */
UNUSED static bool ask(service *s, const char *operation, const char *format, ...) {
    static char text[16384];
    cpl_reply *reply = NULL;
    cpl_error err = {0};
    cpl_status status;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *i = text; *i; i++) *i = *i == '\'' ? '"' : *i;
    status = cpl_client_call(s->client, cpl_str_of(operation), cpl_str_of(text), NULL, &reply, &err);
    if (!CHECK(status == CPL_OK)) printf("  %s: %s: %s\n", operation, err.code, err.message);
    cpl_json_free(s->answer);
    s->answer = NULL;
    if (status == CPL_OK) CHECK(cpl_json_parse(cpl_reply_text(reply), &s->answer, &err) == CPL_OK);
    cpl_reply_free(reply);
    return status == CPL_OK;
}

/* A part of the last answer; numbers in the path are positions: "stageStates.1.actionStates.0". */
UNUSED static const cpl_json *part(const service *s, const char *path) {
    const cpl_json *at = s->answer;
    for (cpl_str rest = cpl_str_of(path); rest.n > 0;) {
        size_t dot = cpl_str_find(rest, '.');
        char name[128];
        int64_t index;
        CPL_COPY(name, cpl_str_sub(rest, 0, dot));
        at = cpl_str_integer(cpl_str_of(name), &index) ? cpl_json_at(at, (size_t)index) : cpl_json_get(at, name);
        rest = cpl_str_sub(rest, dot + 1, rest.n);
    }
    return at;
}

UNUSED static const char *text_of(const service *s, const char *path) {
    return cpl_json_cstr(part(s, path), "(none)");
}

#endif
