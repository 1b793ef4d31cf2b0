/* SPDX-License-Identifier: MIT */
#include "../../core/trace.h"

#include <cjson/cJSON.h>

#include "fault_server.h"
#include "test.h"

static void set(const cJSON *env, const char *name) {
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(env, name));
    if (value) {
        setenv(name, value, 1);
    } else {
        unsetenv(name);
    }
}

static void run_case(const cJSON *test) {
    const cJSON *env = cJSON_GetObjectItem(test, "env");
    const char *header = cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItem(test, "requestHeadersAfter"), 0));
    cpl_buf value;
    cpl_buf_init(&value, 1000);
    set(env, "AWS_LAMBDA_FUNCTION_NAME");
    set(env, "_X_AMZN_TRACE_ID");
    cpl_trace_add(&value);
    CHECK_STR(cpl_buf_cstr(&value), header ? header + strlen("X-Amzn-Trace-Id: ") : "");
    cpl_buf_release(&value);
}

/* What does not apply: no request of ours has the header already. A case with any other has to agree. */
static const char not_ours[] = "X-Amzn-Trace-Id: OriginalValue";

TEST(t_trace__4_of_the_5_cases_of_the_recursion_suite_agree_and_1_does_not_apply) {
    const char *path = test_suite_path("credentials/aws-runtime/recursion-detection.json");
    char *text = path ? test_read_file(path, NULL) : NULL;
    cJSON *suite = text ? cJSON_Parse(text) : NULL;
    const cJSON *test;
    int left_out = 0;
    if (suite == NULL) SKIP("the third-party suite is not here");
    cJSON_ArrayForEach(test, suite) {
        const char *before =
            cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItem(test, "requestHeadersBefore"), 0));
        if (before && strcmp(before, not_ours) == 0) {
            left_out++;
        } else {
            run_case(test);
        }
    }
    CHECK(cJSON_GetArraySize(suite) == 5 && left_out == 1);
    unsetenv("AWS_LAMBDA_FUNCTION_NAME");
    unsetenv("_X_AMZN_TRACE_ID");
    cJSON_Delete(suite);
    free(text);
}

TEST(t_trace__a_call_in_lambda_names_its_trace_and_does_not_sign_it) {
    static const fault_step steps[] = {{.body = "{\"pipelines\":[]}"}};
    fault_server *server = fault_server_start(steps, 1);
    const cpl_client_options options = {.access_key_id = CPL_LIT("AK"),
                                        .secret_access_key = CPL_LIT("SK"),
                                        .region = CPL_LIT("us-east-1"),
                                        .endpoint_url = cpl_str_of(fault_server_url(server))};
    cpl_client *client = NULL;
    cpl_reply *reply = NULL;
    setenv("AWS_LAMBDA_FUNCTION_NAME", "f", 1);
    setenv("_X_AMZN_TRACE_ID", "Root=1;Sampled=1", 1);
    CHECK(cpl_client_new(&client, &options, NULL) == CPL_OK);
    CHECK(cpl_client_call(client, CPL_LIT("ListPipelines"), CPL_LIT("{}"), NULL, &reply, NULL) == CPL_OK);
    CHECK(strcasestr(fault_server_request(server, 0), "\r\nx-amzn-trace-id: Root=1;Sampled=1\r\n") != NULL);
    CHECK(strstr(fault_server_request(server, 0), ";x-amzn-trace-id") == NULL);
    cpl_reply_free(reply);
    unsetenv("AWS_LAMBDA_FUNCTION_NAME");
    unsetenv("_X_AMZN_TRACE_ID");
    CHECK(cpl_client_call(client, CPL_LIT("ListPipelines"), CPL_LIT("{}"), NULL, &reply, NULL) == CPL_OK);
    CHECK(strcasestr(fault_server_request(server, 1), "x-amzn-trace-id") == NULL);
    cpl_reply_free(reply);
    cpl_client_free(client);
    fault_server_stop(server);
}

TEST_MAIN
