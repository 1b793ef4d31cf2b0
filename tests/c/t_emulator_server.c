/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <sys/wait.h>

#include "emulator_client.h"

static void refused(client *c, int status, const char *code, const char *message) {
    char type[160];
    CHECK(c->response.status == status);
    snprintf(type, sizeof type, "{\"__type\":\"%s\",", code);
    CHECK(answer_has(c, type));
    CHECK(answer_has(c, message));
    CHECK(header_is(c, "x-amzn-errortype", code));
    CHECK(cpl_http_header(&c->response, "x-amzn-requestid").n == 36);
}

/* ---- starting and stopping ---- */

TEST(t_emulator_server__it_answers_within_20_ms_of_its_start) {
    int64_t best = 1000;
    for (int i = 0; i < 5; i++) { /* the machine may be busy: one good try is enough */
        int64_t began = cpl_clock_monotonic_ms(), took;
        client c = client_start(NULL);
        NEED(c.emulator);
        CHECK(client_call(&c, "ListPipelines", CPL_LIT("{}")) == 200);
        took = cpl_clock_monotonic_ms() - began;
        if (took < best) best = took;
        CHECK(answer_is(&c, CPL_LIT("{\"pipelines\":[]}")));
        client_stop(&c);
    }
    if (!CHECK(best <= 20)) printf("  %lld ms\n", (long long)best);
}

TEST(t_emulator_server__many_start_and_stop_in_one_process) {
    for (int i = 0; i < 200; i++) {
        cpl_emulator *emulator = NULL;
        CHECK(cpl_emulator_start(&emulator, NULL, NULL) == CPL_OK);
        cpl_emulator_stop(emulator);
    }
}

TEST(t_emulator_server__several_run_beside_each_other_and_share_nothing) {
    client a = client_start(NULL), b = client_start(&(cpl_emulator_options){.account_id = CPL_LIT("000000000001")});
    NEED(a.emulator && b.emulator);
    CHECK(strcmp(cpl_emulator_url(a.emulator), cpl_emulator_url(b.emulator)) != 0);
    CHECK(client_send(&a, "PUT", "/only-in-a", NULL, CPL_LIT("")) == 200);
    CHECK(client_send(&a, "HEAD", "/only-in-a", NULL, CPL_LIT("")) == 200);
    CHECK(client_send(&b, "HEAD", "/only-in-a", NULL, CPL_LIT("")) == 404);
    client_stop(&a);
    client_stop(&b);
}

TEST(t_emulator_server__a_port_in_use_is_told_with_host_and_port) {
    client c = client_start(NULL);
    cpl_emulator *second = NULL;
    cpl_error err = {0};
    cpl_emulator_options options = {.port = 0};
    char want[64];
    NEED(c.emulator);
    options.port = port_of_url(&c);
    CHECK(cpl_emulator_start(&second, &options, &err) == CPL_IO);
    CHECK(second == NULL);
    snprintf(want, sizeof want, "listen on \"127.0.0.1:%d\": the port is in use", options.port);
    CHECK_STR(err.message, want);
    client_stop(&c);
    CHECK(cpl_emulator_start(&second, &options, &err) == CPL_OK); /* free again at once */
    cpl_emulator_stop(second);
}

TEST(t_emulator_server__options_that_make_no_sense_are_named) {
    static const struct {
        cpl_emulator_options options;
        const char *path;
    } cases[] = {{{.port = -1}, "port"},
                 {{.port = 65536}, "port"},
                 {{.account_id = {"123", 3}}, "account_id"},
                 {{.account_id = {"12345678901x", 12}}, "account_id"},
                 {{.region = {"us east", 7}}, "region"},
                 {{.access_key_id = {"AKID", 4}}, "access_key_id"}};
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        cpl_emulator *emulator = NULL;
        cpl_error err = {0};
        CHECK(cpl_emulator_start(&emulator, &cases[i].options, &err) == CPL_INVALID);
        CHECK_STR(err.path, cases[i].path);
    }
}

TEST(t_emulator_server__an_address_that_is_not_ours_is_an_io_error) {
    cpl_emulator *emulator = NULL;
    cpl_error err = {0};
    cpl_emulator_options options = {.host = CPL_LIT("203.0.113.1")};
    CHECK(cpl_emulator_start(&emulator, &options, &err) == CPL_IO);
    CHECK(strstr(err.message, "listen on \"203.0.113.1:0\": ") != NULL);
}

TEST(t_emulator_server__environ_points_an_sdk_at_it) {
    client c = client_start(&(cpl_emulator_options){
        .region = CPL_LIT("eu-west-1"), .access_key_id = CPL_LIT("AKIDTEST"), .secret_access_key = CPL_LIT("secret")});
    NEED(c.emulator);
    CHECK_STR(environ_of(c.emulator, "AWS_ENDPOINT_URL_CODEPIPELINE"), cpl_emulator_url(c.emulator));
    CHECK_STR(environ_of(c.emulator, "AWS_ENDPOINT_URL_S3"), cpl_emulator_url(c.emulator));
    CHECK_STR(environ_of(c.emulator, "AWS_ACCESS_KEY_ID"), "AKIDTEST");
    CHECK_STR(environ_of(c.emulator, "AWS_SECRET_ACCESS_KEY"), "secret");
    CHECK_STR(environ_of(c.emulator, "AWS_REGION"), "eu-west-1");
    CHECK_STR(environ_of(c.emulator, "AWS_DEFAULT_REGION"), "eu-west-1");
    CHECK_STR(environ_of(c.emulator, "AWS_SESSION_TOKEN"), "");
    c.region = "eu-west-1";
    CHECK(client_call(&c, "ListPipelines", CPL_LIT("{}")) == 200);
    client_stop(&c);
}

TEST(t_emulator_server__stopping_in_a_forked_child_leaves_the_parents_running) {
    client c;
    pid_t child;
    int status = -1;
#ifdef __SANITIZE_ADDRESS__
    SKIP("AddressSanitizer's allocator may be locked by a thread that the fork leaves behind");
#endif
    c = client_start(NULL);
    NEED(c.emulator);
    child = fork();
    if (child == 0) {
        cpl_emulator_stop(c.emulator);
        _exit(0);
    }
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(client_call(&c, "ListPipelines", CPL_LIT("{}")) == 200);
    client_stop(&c);
}

TEST(t_emulator_server__it_stops_while_connections_are_open_and_half_a_request_has_come) {
    client c = client_start(NULL);
    int idle, half;
    NEED(c.emulator);
    idle = socket_open(&c);
    half = socket_open(&c);
    CHECK(socket_send(half, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"));
    client_stop(&c);
    close(idle);
    close(half);
}

TEST(t_emulator_server__a_file_carries_state_over_a_restart) {
    char folder[] = "/tmp/t_emulator_server.XXXXXX", path[64];
    cpl_emulator_options options = {.port = 0};
    client c;
    NEED(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/state", folder);
    options.path = cpl_str_of(path);
    c = client_start(&options);
    NEED(c.emulator);
    CHECK(client_send(&c, "PUT", "/bucket", NULL, CPL_LIT("")) == 200);
    CHECK(client_send(&c, "PUT", "/bucket/key", NULL, CPL_LIT("kept")) == 200);
    client_stop(&c);
    c = client_start(&options);
    NEED(c.emulator);
    CHECK(client_send(&c, "GET", "/bucket/key", NULL, CPL_LIT("")) == 200);
    CHECK(answer_is(&c, CPL_LIT("kept")));
    client_stop(&c);
    unlink(path);
    CHECK(rmdir(folder) == 0); /* nothing else is left behind */
}

/* ---- many and slow ---- */

TEST(t_emulator_server__slow_and_silent_senders_hold_up_nobody) {
    client c = client_start(NULL);
    int slow[64];
    int64_t began;
    NEED(c.emulator);
    for (size_t i = 0; i < CPL_COUNT(slow); i++) {
        slow[i] = socket_open(&c);
        if (i % 2) CHECK(socket_send(slow[i], "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc"));
    }
    began = cpl_clock_monotonic_ms();
    for (int i = 0; i < 50; i++) CHECK(client_call(&c, "ListPipelines", CPL_LIT("{}")) == 200);
    CHECK(cpl_clock_monotonic_ms() - began < 5000);
    for (size_t i = 0; i < CPL_COUNT(slow); i++) close(slow[i]);
    client_stop(&c);
}

TEST(t_emulator_server__a_request_in_single_bytes_is_understood) {
    static const char request[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    client c = client_start(NULL);
    int fd;
    NEED(c.emulator);
    fd = socket_open(&c);
    for (const char *p = request; *p; p++) CHECK(send(fd, p, 1, MSG_NOSIGNAL) == 1);
    CHECK(strstr(socket_read(fd, NULL), "MissingAuthenticationTokenException") != NULL);
    close(fd);
    client_stop(&c);
}

TEST(t_emulator_server__two_hundred_connections_at_once_are_all_answered) {
    client c = client_start(NULL);
    int fds[200];
    NEED(c.emulator);
    for (size_t i = 0; i < CPL_COUNT(fds); i++) fds[i] = socket_open(&c);
    for (size_t i = 0; i < CPL_COUNT(fds); i++)
        CHECK(socket_send(fds[i], "GET /bucket/key HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (size_t i = 0; i < CPL_COUNT(fds); i++) {
        CHECK(strstr(socket_read(fds[i], "</Error>"), "<Code>AccessDenied</Code>") != NULL);
        close(fds[i]);
    }
    client_stop(&c);
}

TEST(t_emulator_server__a_connection_serves_request_after_request) {
    static const char request[] = "GET /bucket/key HTTP/1.1\r\nHost: x\r\n\r\n";
    client c = client_start(NULL);
    int fd;
    NEED(c.emulator);
    fd = socket_open(&c);
    for (int i = 0; i < 20; i++) {
        CHECK(socket_send(fd, request));
        CHECK(strstr(socket_read(fd, "</Error>"), "HTTP/1.1 403") != NULL);
    }
    close(fd);
    client_stop(&c);
}

/* ---- what is no request ---- */

static void bare(const char *text, const char *until, const char *want) {
    client c = client_start(NULL);
    const char *got;
    int fd;
    NEED(c.emulator);
    fd = socket_open(&c);
    CHECK(socket_send(fd, text));
    got = socket_read(fd, until);
    if (!CHECK(strstr(got, want) != NULL)) printf("  %.300s\n", got);
    close(fd);
    CHECK(client_call(&c, "ListPipelines", CPL_LIT("{}")) == 200); /* and it goes on */
    client_stop(&c);
}

TEST(t_emulator_server__bytes_that_are_not_http_close_their_connection_only) {
    bare("\x16\x03\x01\x02 nonsense\r\n\r\n", NULL, "");
    bare("GET\r\n\r\n", NULL, "");
}

TEST(t_emulator_server__a_body_that_is_far_too_large_is_refused_before_it_is_sent) {
    bare("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", NULL, "RequestEntityTooLargeException");
    bare("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n", NULL,
         "RequestEntityTooLargeException");
}

TEST(t_emulator_server__a_body_somewhat_too_large_is_read_and_refused) {
    client c = client_start(NULL);
    size_t n = ((size_t)1 << 20) + 1;
    char *body = malloc(n);
    NEED(c.emulator && body);
    memset(body, ' ', n);
    CHECK(client_call(&c, "ListPipelines", (cpl_str){body, n - 3}) ==
          400); /* blank is no document, but not too large */
    CHECK(client_call(&c, "ListPipelines", (cpl_str){body, n}) == 413);
    refused(&c, 413, "RequestEntityTooLargeException", "the request body is larger than 1048576 bytes");
    free(body);
    client_stop(&c);
}

TEST(t_emulator_server__a_truncated_body_changes_nothing) {
    client c = client_start(NULL);
    int fd;
    NEED(c.emulator);
    fd = socket_open(&c);
    CHECK(socket_send(fd, "PUT /bucket HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"));
    close(fd);
    CHECK(client_send(&c, "HEAD", "/bucket", NULL, CPL_LIT("")) == 404);
    client_stop(&c);
}

/* ---- awsJson ---- */

TEST(t_emulator_server__a_target_that_names_no_operation_is_unknown) {
    client c = client_start(NULL);
    const char *none[] = {"content-type: application/x-amz-json-1.1", NULL};
    const char *other[] = {"x-amz-target: DynamoDB_20120810.ListTables", NULL};
    NEED(c.emulator);
    CHECK(client_call(&c, "ListPipeline", CPL_LIT("{}")) == 400);
    refused(&c, 400, "UnknownOperationException", "ListPipeline");
    CHECK(client_call(&c, "list_pipelines", CPL_LIT("{}")) == 400);
    CHECK(client_send(&c, "POST", "/", none, CPL_LIT("{}")) == 400);
    refused(&c, 400, "UnknownOperationException", "");
    CHECK(client_send(&c, "POST", "/", other, CPL_LIT("{}")) == 400);
    refused(&c, 400, "UnknownOperationException", "ListTables");
    client_stop(&c);
}

/* What the protocol's tests for servers want. */
TEST(t_emulator_server__a_content_type_may_have_parameters_and_a_body_may_be_empty_or_have_nulls) {
    static const struct {
        const char *type, *body;
    } rows[] = {{"content-type: application/x-amz-json-1.1; charset=utf-8", "{}"},
                {"content-type: application/x-amz-json-1.1", ""},
                {"content-type: application/x-amz-json-1.1", "{\"nextToken\":null}"}};
    client c = client_start(NULL);
    NEED(c.emulator);
    c.service = "codepipeline";
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        const char *headers[] = {rows[i].type, "x-amz-target: CodePipeline_20150709.ListPipelines", NULL};
        CHECK(client_send(&c, "POST", "/", headers, cpl_str_of(rows[i].body)) == 200);
    }
    client_stop(&c);
}

TEST(t_emulator_server__every_operation_of_the_model_is_there) {
    client c = client_start(NULL);
    NEED(c.emulator);
    CHECK(cpl_model_operation_count() == 44);
    for (size_t i = 0; i < cpl_model_operation_count(); i++) {
        const char *name = cpl_model_operation_info(i)->name;
        int status = client_call(&c, name, CPL_LIT("{}"));
        if (!CHECK(status == 200 || status == 400)) printf("  %s\n", name);
    }
    client_stop(&c);
}

TEST(t_emulator_server__a_body_that_is_not_a_json_object_is_a_serialization_error) {
    static const char *const bodies[] = {"{",
                                         "[]",
                                         "\"x\"",
                                         "{\"name\":}",
                                         "{} {}",
                                         "{\"name\":\"a\\u0000b\"}",
                                         "nil",
                                         "{\"name\":\"a\",\"name\":\"b\"}",
                                         "{\"name\":\"\xff\"}"};
    client c = client_start(NULL);
    NEED(c.emulator);
    for (size_t i = 0; i < CPL_COUNT(bodies); i++) {
        CHECK(client_call(&c, "GetPipeline", cpl_str_of(bodies[i])) == 400);
        refused(&c, 400, "SerializationException", "");
    }
    client_stop(&c);
}

TEST(t_emulator_server__a_wrong_type_is_a_serialization_error_that_names_the_member) {
    client c = client_start(NULL);
    NEED(c.emulator);
    CHECK(client_call(&c, "GetPipeline", CPL_LIT("{\"name\":5}")) == 400);
    refused(&c, 400, "SerializationException", "NUMBER_VALUE can not be converted to a String: name");
    CHECK(client_call(&c, "GetPipeline", CPL_LIT("{\"name\":{}}")) == 400);
    refused(&c, 400, "SerializationException", "Start of structure or map found where not expected: name");
    CHECK(client_call(&c, "ListPipelines", CPL_LIT("{\"maxResults\":\"5\"}")) == 400);
    refused(&c, 400, "SerializationException", "STRING_VALUE can not be converted to a Integer: maxResults");
    client_stop(&c);
}

TEST(t_emulator_server__constraints_are_told_in_the_services_words) {
    client c = client_start(NULL);
    NEED(c.emulator);
    client_call(&c, "GetPipeline", CPL_LIT("{\"name\":null,\"unheard\":[1]}"));
    refused(&c, 400, "ValidationException",
            "\"1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be "
            "null\"");
    client_call(&c, "ListPipelines", CPL_LIT("{\"maxResults\":0}"));
    refused(
        &c, 400, "ValidationException",
        "Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1");
    client_call(&c, "CreatePipeline",
                CPL_LIT("{\"pipeline\":{\"name\":\"p\",\"roleArn\":\"arn:aws:iam::123456789012:role/r\",\"stages\":["
                        "{\"name\":\"s\",\"actions\":[{\"name\":\"\",\"actionTypeId\":{\"category\":\"Bake\",\"owner\":"
                        "\"AWS\",\"provider\":\"S3\",\"version\":\"1\"},\"configuration\":{\"\":\"x\"}}]}]}}"));
    refused(&c, 400, "ValidationException", "4 validation errors detected: ");
    CHECK(answer_has(&c,
                     "'pipeline.stages.1.member.actions.1.member.name' failed to satisfy constraint: Member must "
                     "have length greater than or equal to 1"));
    CHECK(answer_has(&c,
                     "Value 'Bake' at 'pipeline.stages.1.member.actions.1.member.actionTypeId.category' failed to "
                     "satisfy constraint: Member must satisfy enum value set: [Source, Build, Deploy, Test, "));
    CHECK(answer_has(&c,
                     "'pipeline.stages.1.member.actions.1.member.configuration' failed to satisfy constraint: Map "
                     "keys must satisfy constraint: [Member must have length greater than or equal to 1]"));
    client_stop(&c);
}

TEST(t_emulator_server__members_the_service_does_not_have_and_nulls_are_ignored) {
    client c = client_start(NULL);
    NEED(c.emulator);
    CHECK(client_call(&c, "ListPipelines", CPL_LIT("{\"later\":{\"a\":[1,null]},\"maxResults\":null}")) == 200);
    CHECK(client_call(&c, "ListPipelines", CPL_LIT("")) == 200);
    client_stop(&c);
}

/* ---- who signed it ---- */

TEST(t_emulator_server__a_request_without_a_signature_is_refused) {
    bare(
        "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: CodePipeline_20150709.ListPipelines\r\nContent-Length: 2\r\n"
        "Connection: close\r\n\r\n{}",
        NULL, "{\"__type\":\"MissingAuthenticationTokenException\",\"message\":\"Missing Authentication Token\"}");
}

TEST(t_emulator_server__half_an_authorization_header_is_incomplete) {
    bare(
        "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/codepipeline/"
        "aws4_request\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        NULL, "IncompleteSignatureException");
    bare("POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer abc\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
         NULL, "IncompleteSignatureException");
}

TEST(t_emulator_server__each_wrong_signature_is_refused_in_the_services_words) {
    client c = client_start(NULL), good;
    NEED(c.emulator);
    good = c;
    c.keys.secret_access_key = CPL_LIT("not it");
    client_call(&c, "ListPipelines", CPL_LIT("{}"));
    refused(
        &c, 400, "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method.");
    c.keys = good.keys;
    c.keys.access_key_id = CPL_LIT("AKIDNOBODY");
    client_call(&c, "ListPipelines", CPL_LIT("{}"));
    refused(&c, 400, "UnrecognizedClientException", "The security token included in the request is invalid.");
    c.keys = good.keys;
    c.keys.session_token = CPL_LIT("left over from elsewhere");
    client_call(&c, "ListPipelines", CPL_LIT("{}"));
    refused(&c, 400, "UnrecognizedClientException", "The security token included in the request is invalid.");
    c.keys = good.keys;
    c.region = "eu-west-1";
    client_call(&c, "ListPipelines", CPL_LIT("{}"));
    refused(&c, 400, "InvalidSignatureException", "Credential should be scoped to a valid region, not 'eu-west-1'. ");
    c.region = good.region;
    c.service = "s3";
    client_send(&c, "POST", "/", NULL, CPL_LIT("{}"));
    refused(&c, 400, "InvalidSignatureException", "Credential should be scoped to correct service: 'codepipeline'. ");
    client_stop(&c);
}

TEST(t_emulator_server__a_clock_more_than_five_minutes_off_is_told_which_way) {
    client c = client_start(NULL);
    NEED(c.emulator);
    c.skew_s = -295;
    CHECK(client_call(&c, "ListPipelines", CPL_LIT("{}")) == 200);
    c.skew_s = -310;
    client_call(&c, "ListPipelines", CPL_LIT("{}"));
    refused(&c, 400, "InvalidSignatureException", "Signature expired: ");
    CHECK(answer_has(&c, " - 5 min.)"));
    c.skew_s = 310;
    client_call(&c, "ListPipelines", CPL_LIT("{}"));
    refused(&c, 400, "InvalidSignatureException", "Signature not yet current: ");
    CHECK(answer_has(&c, " + 5 min.)"));
    client_stop(&c);
}

/* ---- the command ---- */

/* Runs the command in a child; its output is read from *out. */
static pid_t run_command(const char *const *arguments, int *out) {
    int pipes[2];
    pid_t child;
    if (pipe(pipes) != 0) abort();
    child = fork();
    if (child == 0) {
        char *argv[8] = {(char *)"codepipeline-emulator"};
        int argc = 1;
        for (; arguments[argc - 1]; argc++) argv[argc] = (char *)arguments[argc - 1];
        dup2(pipes[1], STDOUT_FILENO);
        dup2(pipes[1], STDERR_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        _exit(cpl_emulator_main(argc, argv));
    }
    close(pipes[1]);
    *out = pipes[0];
    return child;
}

static const char *read_all(int fd, const char *until) {
    static char text[8192];
    size_t n = 0;
    ssize_t got;
    text[0] = '\0';
    while (!(until && strstr(text, until)) && (got = read(fd, text + n, sizeof text - n - 1)) > 0) {
        n += (size_t)got;
        text[n] = '\0';
    }
    return text;
}

static int exit_status(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(t_emulator_server__the_command_prints_its_url_and_exports_and_ends_on_sigterm) {
    const char *arguments[] = {"--port", "0", "--region", "eu-west-1", NULL}, *text;
    int out, stops[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < CPL_COUNT(stops); i++) {
        pid_t child = run_command(arguments, &out);
        text = read_all(out, "not for production");
        CHECK(strncmp(text, "http://127.0.0.1:", 17) == 0);
        CHECK(strstr(text, "\nexport AWS_ENDPOINT_URL_S3=http://127.0.0.1:") != NULL);
        CHECK(strstr(text, "\nexport AWS_REGION=eu-west-1\n") != NULL);
        kill(child, stops[i]);
        CHECK(exit_status(child) == 0);
        close(out);
    }
}

TEST(t_emulator_server__the_command_refuses_a_file_for_events_that_it_cannot_write) {
    const char *arguments[] = {"--events", "/no/such/folder/events.jsonl", NULL};
    int out;
    pid_t child = run_command(arguments, &out);
    CHECK(strstr(read_all(out, NULL), "events: \"/no/such/folder/events.jsonl\"") != NULL);
    CHECK(exit_status(child) == 1);
    close(out);
}

/* A bare socket has the port, not an emulator: its threads would not survive the fork, and might hold a lock. */
static int take_port(char *port, size_t size) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 1) != 0) abort();
    getsockname(fd, (struct sockaddr *)&at, &length);
    snprintf(port, size, "%d", ntohs(at.sin_port));
    return fd;
}

TEST(t_emulator_server__the_command_tells_a_port_in_use_and_exits_1) {
    char port[16];
    const char *arguments[] = {"--port", port, NULL};
    int out, taken = take_port(port, sizeof port);
    pid_t child = run_command(arguments, &out);
    CHECK(strstr(read_all(out, NULL), "the port is in use") != NULL);
    CHECK(exit_status(child) == 1);
    close(out);
    close(taken);
}

TEST(t_emulator_server__the_command_refuses_options_it_does_not_have_with_2) {
    static const char *const cases[][3] = {
        {"--nope", NULL}, {"--port", "x", NULL}, {"--port", NULL}, {"extra", NULL}, {"--account-id", "12", NULL}};
    int out;
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        pid_t child = run_command(cases[i], &out);
        read_all(out, NULL);
        CHECK(exit_status(child) == 2);
        close(out);
    }
}

TEST(t_emulator_server__the_command_knows_help_and_version) {
    static const char *const help[] = {"--help", NULL}, *const version[] = {"--version", NULL};
    int out;
    pid_t child = run_command(help, &out);
    CHECK(strstr(read_all(out, NULL), "usage: codepipeline-emulator") != NULL);
    CHECK(exit_status(child) == 0);
    close(out);
    child = run_command(version, &out);
    CHECK(strstr(read_all(out, NULL), "codepipeline-emulator " CPL_VERSION "\n") != NULL);
    CHECK(exit_status(child) == 0);
    close(out);
}

TEST_MAIN
