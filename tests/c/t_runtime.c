/* SPDX-License-Identifier: MIT */
#include "../../core/base.h"
#include "fault_server.h"
#include "test.h"

#define INVOCATION                                                       \
    "Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4\r\n"                   \
    "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:x:function\r\n" \
    "Lambda-Runtime-Trace-Id: Root=1\r\n"

static cpl_runtime *runtime_at(fault_server *server) {
    cpl_runtime *runtime = NULL;
    cpl_error err = {0};
    const char *url = fault_server_url(server);
    CHECK(cpl_runtime_new(&runtime, cpl_str_of(url + strlen("http://")), &err) == CPL_OK);
    return runtime;
}

TEST(t_runtime__an_invocation_is_taken_and_answered) {
    static const fault_step steps[] = {
        {.head = INVOCATION "Lambda-Runtime-Deadline-Ms: 99999999999999\r\n", .body = "{\"a\":1}"},
        {.status = 202},
        {.head = INVOCATION, .body = "[]"},
        {.status = 202},
    };
    fault_server *server = fault_server_start(steps, 4);
    cpl_runtime *runtime = runtime_at(server);
    cpl_invocation got = {0};
    cpl_error err = {0};
    NEED(runtime);
    CHECK(cpl_runtime_answer(runtime, CPL_LIT("1"), NULL, &err) == CPL_STATE);
    NEED(cpl_runtime_next(runtime, NULL, &got, &err) == CPL_OK);
    CHECK_STR(got.request_id, "8476a536-e9f4");
    CHECK(cpl_str_is(got.event, "{\"a\":1}") && cpl_str_is(got.function_arn, "arn:aws:lambda:x:function"));
    CHECK(cpl_str_is(got.trace_id, "Root=1") && got.remaining_ms > 1000000000);
    CHECK_STR(getenv("_X_AMZN_TRACE_ID"), "Root=1");
    CHECK(strstr(fault_server_request(server, 0), "GET /2018-06-01/runtime/invocation/next "));
    CHECK(cpl_runtime_next(runtime, NULL, &got, &err) == CPL_STATE);
    CHECK(cpl_runtime_answer(runtime, CPL_LIT("\"succeeded\""), NULL, &err) == CPL_OK);
    CHECK(strstr(fault_server_request(server, 1), "POST /2018-06-01/runtime/invocation/8476a536-e9f4/response "));
    CHECK(strstr(fault_server_request(server, 1), "\r\n\r\n\"succeeded\""));

    NEED(cpl_runtime_next(runtime, NULL, &got, &err) == CPL_OK);
    CHECK(got.remaining_ms == 0);
    CHECK(cpl_runtime_fail(runtime, CPL_LIT("Handler.Error"), CPL_LIT("said \"no\""), NULL, &err) == CPL_OK);
    CHECK(strstr(fault_server_request(server, 3), "POST /2018-06-01/runtime/invocation/8476a536-e9f4/error "));
    CHECK(strstr(fault_server_request(server, 3), "Handler.Error\r\n"));
    CHECK(strstr(fault_server_request(server, 3), "{\"errorMessage\":\"said \\\"no\\\"\",\"errorType\":"));
    cpl_runtime_free(runtime);
    fault_server_stop(server);
}

TEST(t_runtime__a_function_that_cannot_start_says_so) {
    static const fault_step steps[] = {{.status = 202}};
    fault_server *server = fault_server_start(steps, 1);
    cpl_runtime *runtime = runtime_at(server);
    cpl_error err = {0};
    NEED(runtime);
    CHECK(cpl_runtime_fail(runtime, CPL_LIT("bad\r\nheader"), CPL_LIT("no such file \377"), NULL, &err) == CPL_OK);
    CHECK(strstr(fault_server_request(server, 0), "POST /2018-06-01/runtime/init/error "));
    CHECK(strstr(fault_server_request(server, 0), "Runtime.Error\r\n"));
    cpl_runtime_free(runtime);
    fault_server_stop(server);
}

TEST(t_runtime__answers_that_are_none_are_errors) {
    static const fault_step steps[] = {
        {.status = 403},      {.body = "{}"},  {.head = "Lambda-Runtime-Aws-Request-Id: ../../init\r\n"},
        {.head = INVOCATION}, {.status = 413}, {.kind = FAULT_CLOSE},
    };
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    cpl_runtime *runtime = runtime_at(server);
    cpl_invocation got;
    cpl_error err = {0};
    NEED(runtime);
    CHECK(cpl_runtime_next(runtime, NULL, &got, &err) == CPL_PROTOCOL && strstr(err.message, "403"));
    CHECK(cpl_runtime_next(runtime, NULL, &got, &err) == CPL_PROTOCOL && strstr(err.message, "request id"));
    CHECK(cpl_runtime_next(runtime, NULL, &got, &err) == CPL_PROTOCOL && strstr(err.message, "request id"));
    CHECK(cpl_runtime_next(runtime, NULL, &got, &err) == CPL_OK);
    CHECK(cpl_runtime_answer(runtime, CPL_LIT("1"), NULL, &err) == CPL_PROTOCOL && strstr(err.message, "413"));
    CHECK(cpl_runtime_next(runtime, NULL, &got, &err) == CPL_NETWORK);
    cpl_runtime_free(runtime);
    fault_server_stop(server);
}

TEST(t_runtime__outside_of_lambda_there_is_none) {
    cpl_runtime *runtime = NULL;
    cpl_error err = {0};
    unsetenv("AWS_LAMBDA_RUNTIME_API");
    CHECK(cpl_runtime_new(&runtime, CPL_LIT(""), &err) == CPL_CONFIG);
    CHECK(strstr(err.message, "AWS_LAMBDA_RUNTIME_API"));
}

static int stop(void *context) {
    return ++*(int *)context > 2;
}

TEST(t_runtime__waiting_can_be_stopped) {
    static const fault_step steps[] = {{.kind = FAULT_STALL}};
    fault_server *server = fault_server_start(steps, 1);
    cpl_runtime *runtime = runtime_at(server);
    cpl_invocation got;
    cpl_error err = {0};
    int asked = 0;
    cpl_wait wait = {.tick = stop, .context = &asked};
    NEED(runtime);
    CHECK(cpl_runtime_next(runtime, &wait, &got, &err) == CPL_CANCELLED);
    cpl_runtime_free(runtime);
    fault_server_stop(server);
}

TEST_MAIN
