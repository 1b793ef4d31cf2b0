/* SPDX-License-Identifier: MIT */
/*
 * Where credentials must never go: to another place because a server said so, or into a header of an attacker's own.
 */
#include <stddef.h>

#include "client_fixture.h"

#define CANARY "canary"

static const cpl_client_options with_canaries = {.region = CPL_LIT("eu-west-1"),
                                                 .access_key_id = CPL_LIT("AKID" CANARY),
                                                 .secret_access_key = CPL_LIT("secret" CANARY),
                                                 .session_token = CPL_LIT("token" CANARY),
                                                 .read_timeout_ms = 5000,
                                                 .max_attempts = 1};

/* ---- redirects ---- */

static const int codes[] = {301, 302, 303, 307, 308};

/* The same origin and five that are not; PORT is that of a server that listens for what must not come. */
static const char *const targets[] = {"/elsewhere",
                                      "http://127.0.0.1:PORT/",
                                      "http://localhost:PORT/",
                                      "http://u:p@127.0.0.1:PORT/",
                                      "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
                                      "file:///etc/passwd"};

static void write_head(char *head, size_t size, const char *target, const fault_server *trap) {
    const char *at = strstr(target, "PORT");
    int before = at ? (int)(at - target) : (int)strlen(target);
    snprintf(head, size, "Location: %.*s%s%s\r\n", before, target, at ? strrchr(fault_server_url(trap), ':') + 1 : "",
             at ? at + 4 : "");
}

typedef cpl_status (*asking)(fixture *f);

static cpl_status ask_service(fixture *f) {
    return call(f, "ListPipelines", "{}");
}

static cpl_status ask_s3(fixture *f) {
    return cpl_client_download(f->client, CPL_LIT("bucket"), CPL_LIT("key"), CPL_LIT("/tmp/t_redirect.never"), NULL,
                               &f->err);
}

static cpl_status put_s3(fixture *f) {
    return cpl_client_upload(f->client, CPL_LIT("/etc/hostname"), CPL_LIT("bucket"), CPL_LIT("key"), NULL, &f->err);
}

/* All cells: nothing reaches the trap, and the origin is asked for what the caller wanted and nothing else. */
static void redirect_everywhere(asking ask, const char *first_line, cpl_status status) {
    for (size_t c = 0; c < CPL_COUNT(codes); c++) {
        for (size_t t = 0; t < CPL_COUNT(targets); t++) {
            fault_server *trap = fault_server_start(&(fault_step){0}, 1);
            char head[256];
            fixture f;
            write_head(head, sizeof head, targets[t], trap);
            start_with(&f, &(fault_step){.status = codes[c], .head = head, .body = ""}, 1, &with_canaries);
            bool ok = CHECK(ask(&f) == status && f.err.http_status == codes[c]);
            ok = CHECK(fault_server_connections(trap) == 0 && fault_server_requests(f.server) == 1) && ok;
            ok = CHECK(strncmp(fault_server_request(f.server, 0), first_line, strlen(first_line)) == 0) && ok;
            ok = CHECK(strstr(f.err.message, CANARY) == NULL) && ok;
            if (!ok) printf("  %d to %s: %s\n", codes[c], targets[t], f.err.message);
            stop(&f);
            fault_server_stop(trap);
        }
    }
}

TEST(t_redirect__thirty_redirects_of_a_call_take_no_credentials_anywhere) {
    redirect_everywhere(ask_service, "POST / HTTP/1.1\r\n", CPL_SERVICE);
}

TEST(t_redirect__thirty_redirects_of_s3_take_no_credentials_anywhere) {
    redirect_everywhere(ask_s3, "GET /bucket/key HTTP/1.1\r\n", CPL_PROTOCOL);
}

TEST(t_redirect__thirty_redirects_of_an_upload_take_no_credentials_anywhere) {
    redirect_everywhere(put_s3, "PUT /bucket/key HTTP/1.1\r\n", CPL_PROTOCOL);
}

TEST(t_redirect__s3_may_name_another_region_but_no_other_place) {
    static const fault_step steps[] = {
        {.status = 301, .head = "Location: http://127.0.0.1:1/\r\nx-amz-bucket-region: us-west-2\r\n", .body = ""},
        {.status = 301, .head = "Location: http://127.0.0.1:1/\r\nx-amz-bucket-region: ap-south-1\r\n", .body = ""}};
    fixture f;
    start_with(&f, steps, 2, &with_canaries);
    CHECK(ask_s3(&f) == CPL_SERVICE && fault_server_requests(f.server) == 2);
    CHECK(strstr(sent_header(&f, 0, "authorization"), "/eu-west-1/s3/") != NULL);
    CHECK(strstr(sent_header(&f, 1, "authorization"), "/us-west-2/s3/") != NULL);
    stop(&f);
}

/* ---- smuggled headers ---- */

static const char bad[] = {'\r', '\n', '\0', 0x7f, '\t', 0x01, 0x1b};

typedef struct option_row {
    const char *name;
    size_t offset;
    const char *before, *after; /* around the bad character; both fine without it */
} option_row;

#define OPTION(member, first, last) \
    { #member, offsetof(cpl_client_options, member), first, last }
static const option_row options_rows[] = {
    OPTION(region, "eu-west-1", "x-evil"),
    OPTION(profile, "default", "x-evil"),
    OPTION(access_key_id, "AKID", "x-evil:1"),
    OPTION(secret_access_key, "secret", "x-evil:1"),
    OPTION(session_token, "token", "x-evil:1"),
    OPTION(endpoint_url, "http://127.0.0.1:1", "x-evil:1"),
    OPTION(s3_endpoint_url, "http://127.0.0.1:1", "x-evil:1"),
    OPTION(ca_bundle, "/etc/ssl/certs", "x-evil"),
    OPTION(user_agent_extra, "tool", "x-evil: 1"),
    OPTION(retry_mode, "standard", "x-evil"),
    OPTION(app_id, "tool", "x-evil: 1"),
    OPTION(proxy, "http://127.0.0.1:1", "x-evil:1"),
    OPTION(client_cert, "/etc/hostname", "x-evil"),
    OPTION(client_key, "/etc/hostname", "x-evil"),
};

TEST(t_redirect__no_option_carries_a_line_end_into_a_header) {
    fault_server *server = fault_server_start(&(fault_step){0}, 1);
    for (size_t i = 0; i < CPL_COUNT(options_rows); i++) {
        for (size_t c = 0; c < sizeof bad; c++) {
            cpl_client_options options = options_for(server);
            cpl_client *client = NULL;
            cpl_error err = {0};
            char text[128];
            int n = snprintf(text, sizeof text, "%s%c%s", options_rows[i].before, '?', options_rows[i].after);
            text[strlen(options_rows[i].before)] = bad[c];
            *(cpl_str *)(void *)((char *)&options + options_rows[i].offset) = (cpl_str){text, (size_t)n};
            if (!CHECK(cpl_client_new(&client, &options, &err) == CPL_INVALID &&
                       strcmp(err.path, options_rows[i].name) == 0 && strstr(err.message, "evil") == NULL)) {
                printf("  %s with %d: %s\n", options_rows[i].name, bad[c], err.message);
            }
            cpl_client_free(client);
        }
    }
    CHECK(fault_server_connections(server) == 0);
    fault_server_stop(server);
}

TEST(t_redirect__no_variable_carries_a_line_end_into_a_header) {
    static const char *const names[] = {"AWS_REGION",        "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN",
                                        "AWS_SDK_UA_APP_ID", "AWS_ENDPOINT_URL",  "HTTP_PROXY"};
    fixture f;
    start(&f, &(fault_step){0}, 1);
    for (size_t i = 0; i < CPL_COUNT(names); i++) {
        cpl_client *client = NULL;
        cpl_client_options options = {0};
        cpl_status status;
        setenv("AWS_REGION", "eu-west-1", 1);
        setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
        setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
        setenv("AWS_ENDPOINT_URL", fault_server_url(f.server), 1);
        for (size_t c = 0; c < sizeof bad; c++) {
            char text[64] = "http://127.0.0.1:1/a?x-evil: 1";
            if (bad[c] == '\0') continue; /* it ends a variable */
            *strchr(text, '?') = bad[c];
            setenv(names[i], text, 1);
            client = NULL;
            status = cpl_client_new(&client, &options, &f.err);
            if (status == CPL_OK) status = call_with(&f, client, "ListPipelines", "{}");
            if (!CHECK(status == CPL_CONFIG || status == CPL_INVALID || status == CPL_CREDENTIALS)) {
                printf("  %s with %d: %s\n", names[i], bad[c], f.err.message);
            }
            cpl_client_free(client);
        }
        unsetenv(names[i]);
    }
    CHECK(fault_server_connections(f.server) == 0);
    unsetenv("AWS_REGION");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_ENDPOINT_URL");
    stop(&f);
}

/* Keys that somebody else gives: a function of the program's, or the service with a job. */
typedef struct giver {
    size_t member; /* of cpl_keys */
    char bad;
} giver;

static cpl_status give_keys(void *context, cpl_keys *out, cpl_error *err) {
    const giver *g = context;
    char *member = (char *)out + g->member;
    (void)err;
    snprintf(out->access_key_id, sizeof out->access_key_id, "AKID-x-evil");
    snprintf(out->secret_access_key, sizeof out->secret_access_key, "secr-x-evil");
    snprintf(out->session_token, sizeof out->session_token, "toke-x-evil");
    member[4] = g->bad;
    return CPL_OK;
}

TEST(t_redirect__no_function_gives_keys_with_a_line_end_in_them) {
    static const size_t members[] = {offsetof(cpl_keys, access_key_id), offsetof(cpl_keys, session_token)};
    fixture f;
    start(&f, &(fault_step){0}, 1);
    for (size_t m = 0; m < CPL_COUNT(members); m++) {
        for (size_t c = 0; c < sizeof bad; c++) {
            giver g = {members[m], bad[c]};
            cpl_client_options options = {.region = CPL_LIT("eu-west-1"),
                                          .endpoint_url = cpl_str_of(fault_server_url(f.server)),
                                          .source = {.keys = give_keys, .context = &g}};
            cpl_client *client = NULL;
            if (bad[c] == '\0') continue; /* it ends a key */
            CHECK(cpl_client_new(&client, &options, &f.err) == CPL_OK);
            if (!CHECK(call_with(&f, client, "ListPipelines", "{}") == CPL_CREDENTIALS ||
                       f.err.status == CPL_INVALID)) {
                printf("  member %zu with %d: %s\n", m, bad[c], f.err.message);
            }
            CHECK(strstr(f.err.message, "evil") == NULL);
            cpl_client_free(client);
        }
    }
    CHECK(fault_server_connections(f.server) == 0);
    stop(&f);
}

/* A job of a sample event with an escape sequence of JSON, and what it smuggles, behind a part of it. */
static cpl_job *evil_job(cpl_client *client, const char *part, const char *escape) {
    const cpl_job_event_options options = {.encryption_key = CPL_LIT("arn:aws:kms:eu-west-1:1:key/k")};
    cpl_job_event *event = NULL;
    cpl_job *job = NULL;
    cpl_error err = {0};
    char text[16384];
    if (!CHECK(cpl_job_event_sample(&event, &options, &err) == CPL_OK)) return NULL;
    const char *all = cpl_job_event_text(event).p, *at = strstr(all, part);
    if (CHECK(at != NULL)) {
        at += strlen(part);
        snprintf(text, sizeof text, "%.*s%sx-evil%s", (int)(at - all), all, escape, at);
        CHECK(cpl_job_from_event(&job, client, cpl_str_of(text), NULL, &err) == CPL_OK);
    }
    cpl_job_event_free(event);
    return job;
}

TEST(t_redirect__no_job_carries_a_line_end_into_a_header) {
    static const char *const escapes[] = {"\\r", "\\n", "\\u007f", "\\u0001", "\\r\\n"};
    static const struct {
        const char *part;
        bool output;
    } rows[] = {{"AKIAIOSFODNN7EXAMPLE", false},
                {"AKIAIOSFODNN7EXAMPLE", true},
                {"\"sessionToken\": \"token", false},
                {"\"sessionToken\": \"token", true},
                {"arn:aws:kms:eu-west-1:1:key/k", true}};
    fixture f;
    start(&f, &(fault_step){0}, 1);
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        for (size_t e = 0; e < CPL_COUNT(escapes); e++) {
            cpl_job *job = evil_job(f.client, rows[i].part, escapes[e]);
            const char *path;
            cpl_status status;
            if (job == NULL) continue;
            if (rows[i].output) {
                CHECK(cpl_job_output_write(job, CPL_LIT(""), CPL_LIT("bytes"), &f.err) == CPL_OK);
                status = cpl_job_succeed(job, NULL, NULL, &f.err);
            } else {
                status = cpl_job_input_path(job, CPL_LIT(""), NULL, &path, &f.err);
            }
            if (!CHECK(status == CPL_INVALID || status == CPL_CREDENTIALS || status == CPL_PROTOCOL)) {
                printf("  %s with %s: %d %s\n", rows[i].part, escapes[e], status, f.err.message);
            }
            CHECK(strstr(f.err.message, "evil") == NULL);
            cpl_job_free(job);
        }
    }
    for (size_t i = 0; i < fault_server_requests(f.server); i++) {
        CHECK(strstr(fault_server_request(f.server, i), "evil") == NULL);
    }
    stop(&f);
}

TEST(t_redirect__parameters_buckets_and_keys_never_reach_a_header) {
    static const char params[] =
        "{\"pipelineName\":\"site\",\"stageName\":\"a\",\"actionName\":\"b\",\"token\":"
        "\"00000000-0000-4000-8000-000000000000\",\"result\":{\"summary\":\"x\\r\\nx-evil: "
        "1\",\"status\":\"Approved\"}}";
    fixture f;
    start(&f, &(fault_step){.status = 404, .body = ""}, 1);
    CHECK(call(&f, "PutApprovalResult", params) == CPL_SERVICE);
    CHECK(strstr(sent_body(&f, 0), "x\\r\\nx-evil") != NULL &&
          strstr(fault_server_request(f.server, 0), "\nx-evil") == NULL);
    CHECK(cpl_client_download(f.client, CPL_LIT("bucket"), CPL_LIT("a\r\nx-evil: 1\r\n"),
                              CPL_LIT("/tmp/t_redirect.never"), NULL, &f.err) == CPL_SERVICE);
    CHECK(strncmp(fault_server_request(f.server, 1), "GET /bucket/a%0D%0Ax-evil%3A%201%0D%0A HTTP/1.1\r\n", 47) == 0);
    CHECK(cpl_client_download(f.client, CPL_LIT("b\r\nx-evil:1"), CPL_LIT("k"), CPL_LIT("/tmp/t_redirect.never"), NULL,
                              &f.err) != CPL_OK);
    for (size_t i = 0; i < fault_server_requests(f.server); i++) {
        CHECK(strstr(fault_server_request(f.server, i), "\nx-evil") == NULL);
    }
    CHECK(call(&f, "ListPipelines\r\nx-evil: 1", "{}") == CPL_INVALID);
    stop(&f);
}

TEST_MAIN
