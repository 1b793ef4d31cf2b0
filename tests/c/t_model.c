/* SPDX-License-Identifier: MIT */
/*
 * The model's tables, look-ups and checks. tests/vectors/model/ has documents that are right (accepted.json) and wrong
 * (refused.json), for all languages: a list of
 *     {"name": what it shows, "operation": as a method or as the service calls it, "params": what is given to it,
 *      "path": err.path, "message": err.message}     (the last two in refused.json only)
 */
#include "../../core/buf.h"
#include "../../core/err.h"
#include "../../core/json.h"
#include "../../core/model.h"
#include "test.h"

/* ---- the tables ---- */

TEST(t_model__has_44_operations_442_shapes_and_42_errors) {
    CHECK(cpl_model_operation_count() == 44);
    CHECK(cpl_model_shape_count == 442 + 1);
    CHECK(cpl_model_error_count() == 42);
    CHECK(cpl_model_operation_info(44) == NULL);
    CHECK(cpl_model_error_name(42) == NULL);
    CHECK(cpl_model_name(cpl_model_name_count()) == NULL);
    CHECK_STR(cpl_model_target_prefix, "CodePipeline_20150709");
    CHECK_STR(cpl_model_api_version, "2015-07-09");
}

TEST(t_model__tables_are_sorted) {
    for (size_t i = 2; i < cpl_model_shape_count; i++) {
        CHECK(strcmp(cpl_model_shapes[i - 1].name, cpl_model_shapes[i].name) < 0);
    }
    for (size_t i = 1; i < cpl_model_names_count; i++) CHECK(strcmp(cpl_model_name(i - 1), cpl_model_name(i)) < 0);
    for (size_t i = 1; i < cpl_model_operations_count; i++) {
        CHECK(strcmp(cpl_model_operations[i - 1].info.name, cpl_model_operations[i].info.name) < 0);
    }
    for (size_t i = 1; i < cpl_model_error_count(); i++) {
        CHECK(strcmp(cpl_model_error_name(i - 1), cpl_model_error_name(i)) < 0);
    }
}

TEST(t_model__finds_every_operation_by_both_names) {
    for (size_t i = 0; i < cpl_model_operation_count(); i++) {
        const cpl_operation_info *info = cpl_model_operation_info(i);
        CHECK(cpl_model_find_operation(cpl_str_of(info->name)) == (int)i);
        CHECK(cpl_model_find_operation(cpl_str_of(info->method)) == (int)i);
        CHECK(cpl_model_operation(cpl_str_of(info->name)) == &cpl_model_operations[i]);
        CHECK(info->doc[0] != '\0');
    }
}

TEST(t_model__finds_no_operation_by_a_wrong_name) {
    static const char *const names[] = {"",
                                        "l",
                                        "listPipelines",
                                        "list_Pipelines",
                                        "list__pipelines",
                                        "_list_pipelines",
                                        "list_pipelines_",
                                        "ListPipeline",
                                        "ListPipelines ",
                                        "LISTPIPELINES",
                                        "deregister_webhook_with_third_party_and_much_more_than_fits_into_any_buffer"};
    for (size_t i = 0; i < CPL_COUNT(names); i++) CHECK(cpl_model_find_operation(cpl_str_of(names[i])) == -1);
    CHECK(cpl_model_find_operation((cpl_str){"ListPipelines\0", 14}) == -1);
    CHECK(cpl_model_find_operation((cpl_str){NULL, 0}) == -1);
    CHECK(cpl_model_operation(CPL_LIT("nothing")) == NULL);
}

TEST(t_model__spells_methods_as_boto3_does) {
    CHECK(cpl_model_find_operation(CPL_LIT("put_third_party_job_success_result")) >= 0);
    CHECK(cpl_model_find_operation(CPL_LIT("deregister_webhook_with_third_party")) >= 0);
    CHECK(cpl_model_find_operation(CPL_LIT("list_deploy_action_execution_targets")) >= 0);
}

TEST(t_model__tells_how_operations_page) {
    const cpl_operation *webhooks = cpl_model_operation(CPL_LIT("ListWebhooks"));
    const cpl_operation *types = cpl_model_operation(CPL_LIT("ListActionTypes"));
    const cpl_operation *rules = cpl_model_operation(CPL_LIT("ListRuleTypes"));
    CHECK_STR(webhooks->info.input_token, "NextToken");
    CHECK_STR(webhooks->info.output_token, "NextToken");
    CHECK_STR(webhooks->info.limit_key, "MaxResults");
    CHECK_STR(webhooks->info.result_key, "webhooks");
    CHECK_STR(types->info.result_key, "actionTypes");
    CHECK(types->info.limit_key == NULL);
    CHECK(rules->info.input_token == NULL && rules->info.result_key == NULL);
}

TEST(t_model__finds_every_shape_by_name) {
    for (size_t i = 1; i < cpl_model_shape_count; i++) CHECK(cpl_model_shape_named(cpl_model_shapes[i].name) == i);
    CHECK(cpl_model_shape_named("") == 0);
    CHECK(cpl_model_shape_named("Nothing") == 0);
    CHECK(cpl_model_shape_named(NULL) == 0);
}

TEST(t_model__finds_every_member_with_and_without_a_hint) {
    for (uint16_t shape = 1; shape < cpl_model_shape_count; shape++) {
        const cpl_shape *s = &cpl_model_shapes[shape];
        uint16_t hint = 0;
        for (size_t i = 0; s->kind == CPL_SHAPE_STRUCTURE && i < s->count; i++) {
            const cpl_member *row = &cpl_model_members[s->first + i];
            cpl_str name = cpl_str_of(cpl_model_name(row->name));
            uint16_t wrong = (uint16_t)(i * 7);
            CHECK(cpl_model_member(shape, name, NULL) == row);
            CHECK(cpl_model_member(shape, name, &hint) == row);
            CHECK(hint == i + 1);
            CHECK(cpl_model_member(shape, name, &wrong) == row);
        }
        CHECK(cpl_model_member(shape, CPL_LIT("nothing"), &hint) == NULL);
    }
    CHECK(cpl_model_member(0, CPL_LIT("name"), NULL) == NULL);
    CHECK(cpl_model_member(cpl_model_shape_named("StageName"), CPL_LIT("name"), NULL) == NULL);
}

TEST(t_model__knows_what_is_secret_and_what_is_filled_in) {
    const cpl_member *token =
        cpl_model_member(cpl_model_shape_named("StartPipelineExecutionInput"), CPL_LIT("clientRequestToken"), NULL);
    CHECK(cpl_model_shapes[cpl_model_shape_named("AWSSessionCredentials")].flags & CPL_SHAPE_SENSITIVE);
    CHECK(cpl_model_shapes[cpl_model_shape_named("SecretAccessKey")].flags & CPL_SHAPE_SENSITIVE);
    CHECK(!(cpl_model_shapes[cpl_model_shape_named("JobData")].flags & CPL_SHAPE_SENSITIVE));
    CHECK(cpl_model_shapes[cpl_model_shape_named("InvalidNonceException")].flags & CPL_SHAPE_ERROR);
    NEED(token != NULL);
    CHECK(token->flags == CPL_MEMBER_TOKEN);
}

TEST(t_model__knows_the_errors_of_an_operation) {
    const cpl_operation *operation = cpl_model_operation(CPL_LIT("AcknowledgeJob"));
    CHECK(cpl_model_operation_has_error(operation, CPL_LIT("InvalidNonceException")));
    CHECK(!cpl_model_operation_has_error(operation, CPL_LIT("InvalidNonce")));
    CHECK(!cpl_model_operation_has_error(operation, CPL_LIT("PipelineNotFoundException")));
    CHECK(!cpl_model_operation_has_error(operation, (cpl_str){NULL, 0}));
}

/* ---- the vectors ---- */

static cpl_status validate(const char *operation, const char *text, unsigned flags, cpl_error *err) {
    const cpl_operation *op = cpl_model_operation(cpl_str_of(operation));
    char *copy = cpl_strdup(cpl_str_of(text));
    cpl_status status;
    cpl_error_clear(err);
    status = cpl_model_validate(copy, strlen(text), op->input, flags, err);
    cpl_free(copy);
    return status;
}

static void run_vectors(const char *path) {
    size_t size;
    char *text = test_read_file(path, &size);
    cpl_json *rows = NULL;
    NEED(text != NULL);
    CHECK(cpl_json_parse((cpl_str){text, size}, &rows, NULL) == CPL_OK);
    CHECK(cpl_json_count(rows) > 10);
    for (const cpl_json *row = cpl_json_first(rows); row; row = cpl_json_next(row)) {
        const char *message = cpl_json_get_cstr(row, "message", NULL);
        cpl_buf params;
        cpl_error err;
        cpl_status status;
        cpl_buf_init(&params, 1 << 20);
        cpl_json_write(cpl_json_get(row, "params"), &params);
        status = validate(cpl_json_get_cstr(row, "operation", ""), cpl_buf_cstr(&params), false, &err);
        if (!CHECK(status == (message ? CPL_INVALID : CPL_OK))) {
            printf("  %s: %s\n", cpl_json_get_cstr(row, "name", ""), err.message);
        }
        if (message) {
            CHECK_STR(err.path, cpl_json_get_cstr(row, "path", ""));
            CHECK_STR(err.message, message);
        }
        cpl_buf_release(&params);
    }
    cpl_json_free(rows);
    free(text);
}

TEST(t_model__accepts_what_is_right) {
    run_vectors("tests/vectors/model/accepted.json");
}

TEST(t_model__refuses_what_is_wrong_with_path_and_reason) {
    run_vectors("tests/vectors/model/refused.json");
}

/* ---- what a vector cannot say ---- */

TEST(t_model__a_document_of_the_wrong_kind_has_an_empty_path) {
    cpl_error err;
    CHECK(validate("list_pipelines", "[]", false, &err) == CPL_INVALID);
    CHECK_STR(err.message, "expected a structure, got a list");
    CHECK_STR(err.path, "");
    CHECK(validate("list_pipelines", "null", false, &err) == CPL_INVALID);
    CHECK_STR(err.message, "null where a structure belongs");
}

TEST(t_model__text_that_is_not_json_is_refused) {
    static const char *const texts[] = {"", "{", "{} x", "{\"name\":}", "{\"name\":\"\xff\"}", "{'name':1}"};
    cpl_error err;
    for (size_t i = 0; i < CPL_COUNT(texts); i++) {
        CHECK(validate("get_pipeline", texts[i], false, &err) == CPL_INVALID);
        CHECK(strstr(err.message, "not JSON: ") == err.message);
    }
}

TEST(t_model__a_member_that_is_there_twice_is_refused) {
    cpl_error err;
    CHECK(validate("get_pipeline", "{\"name\":\"a\",\"n\\u0061me\":\"b\"}", false, &err) == CPL_INVALID);
    CHECK_STR(err.message, "name: there twice");
    CHECK_STR(err.path, "name");
    CHECK(validate("create_pipeline", "{\"pipeline\":{\"stages\":[{\"name\":\"a\",\"name\":\"b\"}]}}", false, &err) ==
          CPL_INVALID);
    CHECK_STR(err.path, "pipeline.stages[0].name");
}

TEST(t_model__a_map_key_that_is_there_twice_is_refused) {
    const char *text = "{\"jobId\":\"x\",\"outputVariables\":{\"a\":\"1\",\"b c\":\"2\",\"b\\u0020c\":\"3\"}}";
    cpl_error err;
    CHECK(validate("put_job_success_result", text, false, &err) == CPL_INVALID);
    CHECK_STR(err.path, "outputVariables[\"b c\"]");
    CHECK_STR(err.message, "outputVariables[\"b c\"]: there twice");
}

TEST(t_model__an_empty_table_becomes_a_list_where_one_belongs) {
    char text[] = "{\"pipeline\":{\"stages\":{ } , \"artifactStores\":{}, \"variables\": {}}}";
    const cpl_operation *op = cpl_model_operation(CPL_LIT("create_pipeline"));
    cpl_violation rows[8];
    cpl_violations found = {.rows = rows, .max = 8};
    CHECK(cpl_model_check(text, strlen(text), op->input, true, &found, NULL) == CPL_OK);
    CHECK_STR(text, "{\"pipeline\":{\"stages\":[ ] , \"artifactStores\":{}, \"variables\": []}}");
    CHECK(found.count == 2); /* name, roleArn */
    text[22] = '{';
    text[24] = '}';
    CHECK(cpl_model_check(text, strlen(text), op->input, false, &found, NULL) == CPL_OK);
    CHECK(found.count == 3 && rows[0].kind == CPL_VIOLATION_TYPE && rows[0].got == CPL_TOKEN_OBJECT);
}

TEST(t_model__an_empty_table_is_counted_as_the_list_it_becomes) {
    cpl_error err;
    CHECK(validate("start_pipeline_execution", "{\"name\":\"a\",\"variables\":{}}", true, &err) == CPL_INVALID);
    CHECK_STR(err.message, "variables: fewer than 1 entries");
    CHECK(validate("tag_resource", "{\"resourceArn\":\"arn:aws:codepipeline:r:123456789012:p\",\"tags\":{}}", true,
                   &err) == CPL_OK);
    CHECK(validate("start_pipeline_execution", "{\"name\":\"a\",\"variables\":{\"x\":[{}]}}", true, &err) ==
          CPL_INVALID);
    CHECK_STR(err.message, "variables: expected a list, got a structure");
}

TEST(t_model__a_time_as_text_becomes_a_number_where_that_is_wanted) {
    static const char *const rows[][2] = {
        {"\"2015-08-30T12:36:00Z\"", "1440938160            "},
        {"\"2015-08-30T14:36:00.5+02:00\"", "1440938160.500               "},
        {"\"2015-08-30\"", "1440892800  "},
        {"\"1440938160.5\"", "1440938160.500"},
        {"\"-1.5\"", "-2    "},
        {"1440938160.5", "1440938160.5"},
    };
    const uint16_t shape = cpl_model_shape_named("CurrentRevision");
    cpl_error err;
    char text[128], wanted[128];
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        snprintf(text, sizeof text, "{\"revision\":\"r\",\"changeIdentifier\":\"c\",\"created\":%s}", rows[i][0]);
        snprintf(wanted, sizeof wanted, "{\"revision\":\"r\",\"changeIdentifier\":\"c\",\"created\":%s}", rows[i][1]);
        CHECK(cpl_model_validate(text, strlen(text), shape, CPL_CHECK_TIME_TEXT, &err) == CPL_OK);
        CHECK_STR(text, wanted);
    }
}

TEST(t_model__text_that_is_no_time_is_no_timestamp) {
    static const char *const values[] = {"\"yesterday\"",        "\"\"",    "\"1e11\"", "\"1e300\"", "\"2015-08-3o\"",
                                         "\"2015\\u002d08-30\"", "\"[1]\"", "true"};
    const uint16_t shape = cpl_model_shape_named("CurrentRevision");
    cpl_error err;
    char text[128];
    for (size_t i = 0; i < CPL_COUNT(values); i++) {
        snprintf(text, sizeof text, "{\"revision\":\"r\",\"changeIdentifier\":\"c\",\"created\":%s}", values[i]);
        CHECK(cpl_model_validate(text, strlen(text), shape, CPL_CHECK_TIME_TEXT, &err) == CPL_INVALID);
        CHECK_STR(err.path, "created");
    }
    snprintf(text, sizeof text, "{\"revision\":\"r\",\"changeIdentifier\":\"c\",\"created\":\"2015-08-30\"}");
    CHECK(cpl_model_validate(text, strlen(text), shape, 0, &err) == CPL_INVALID); /* not wanted */
}

static cpl_violation first_violation(const char *shape, const char *text) {
    cpl_violation violation = {.path = "none"};
    cpl_violations found = {.rows = &violation, .max = 1};
    char *copy = cpl_strdup(cpl_str_of(text));
    CHECK(cpl_model_check(copy, strlen(text), cpl_model_shape_named(shape), false, &found, NULL) == CPL_OK);
    CHECK(found.count == 1);
    cpl_free(copy);
    return violation;
}

TEST(t_model__a_violation_carries_its_value_unless_it_is_secret) {
    CHECK_STR(first_violation("GetPipelineInput", "{\"name\":\"a b\"}").value, "a b");
    CHECK_STR(first_violation("GetPipelineInput", "{\"name\":17}").value, "17");
    CHECK_STR(first_violation("GetPipelineInput", "{\"name\":true}").value, "true");
    CHECK_STR(first_violation("GetPipelineInput", "{\"name\":[1]}").value, "");
    CHECK_STR(first_violation("OutputVariablesMap", "{\"a b\":\"x\"}").value, "a b");
    CHECK(first_violation("OutputVariablesMap", "{\"a b\":\"x\"}").key);
    CHECK_STR(first_violation("AWSSessionCredentials", "{\"accessKeyId\":17}").value, "");
    CHECK_STR(first_violation("JobData", "{\"artifactCredentials\":\"hidden\"}").value, "");
}

TEST(t_model__no_more_violations_are_kept_than_asked_for) {
    char text[] = "[{\"key\":1,\"value\":2},{\"key\":3,\"value\":4}]";
    cpl_violation rows[3];
    cpl_violations found = {.rows = rows, .max = 3};
    uint16_t shape = cpl_model_shape_named("TagList");
    CHECK(cpl_model_check(text, strlen(text), shape, false, &found, NULL) == CPL_OK);
    CHECK(found.count == 3);
    CHECK_STR(rows[2].path, "[1].key");
    found = (cpl_violations){.rows = NULL};
    CHECK(cpl_model_check(text, strlen(text), shape, false, &found, NULL) == CPL_OK);
    CHECK(found.count == 0);
}

TEST(t_model__long_paths_and_messages_are_cut_and_stay_utf8) {
    cpl_buf text;
    cpl_error err;
    cpl_buf_init(&text, 1 << 20);
    cpl_buf_adds(&text, "{\"jobId\":\"01234567-89ab-cdef-0123-456789abcdef\",\"outputVariables\":{");
    for (int i = 0; i < 20; i++) {
        cpl_buf_addf(&text, "%s\"%d", i ? "," : "", i);
        for (int j = 0; j < 200; j++) cpl_buf_adds(&text, "\xc3\xa4");
        cpl_buf_adds(&text, "\":1");
    }
    cpl_buf_adds(&text, "}}");
    CHECK(validate("put_job_success_result", cpl_buf_cstr(&text), false, &err) == CPL_INVALID);
    CHECK(strlen(err.path) > 100 && strlen(err.message) > 900);
    CHECK(cpl_utf8_valid(cpl_str_of(err.path)) && cpl_utf8_valid(cpl_str_of(err.message)));
    cpl_buf_release(&text);
}

/* ---- hostile documents ---- */

static cpl_status check_text(const cpl_buf *text, const char *shape, size_t *count) {
    cpl_violation rows[4];
    cpl_violations found = {.rows = rows, .max = 4};
    cpl_status status = cpl_model_check(text->p, text->n, cpl_model_shape_named(shape), true, &found, NULL);
    *count = found.count;
    return status;
}

TEST(t_model__nesting_is_bounded) {
    cpl_buf text;
    size_t found;
    cpl_buf_init(&text, 1 << 20);
    cpl_buf_adds(&text, "{\"x\":");
    for (int i = 0; i < CPL_JSON_DEPTH_MAX - 1; i++) cpl_buf_addc(&text, '[');
    for (int i = 0; i < CPL_JSON_DEPTH_MAX - 1; i++) cpl_buf_addc(&text, ']');
    cpl_buf_addc(&text, '}');
    CHECK(check_text(&text, "GetPipelineInput", &found) == CPL_OK && found == 2);
    cpl_buf_truncate(&text, 5);
    for (int i = 0; i < 100000; i++) cpl_buf_addc(&text, '[');
    CHECK(check_text(&text, "GetPipelineInput", &found) == CPL_INVALID);
    cpl_buf_release(&text);
}

TEST(t_model__a_million_items_are_checked_without_trouble) {
    cpl_buf text;
    size_t found;
    cpl_buf_init(&text, 16 << 20);
    cpl_buf_adds(&text, "[{}");
    for (int i = 0; i < 1000000; i++) cpl_buf_adds(&text, ",{}");
    cpl_buf_addc(&text, ']');
    CHECK(check_text(&text, "TagList", &found) == CPL_OK && found == 4);
    cpl_buf_release(&text);
}

TEST(t_model__a_map_has_a_bounded_size) {
    cpl_buf text;
    size_t found;
    cpl_buf_init(&text, 16 << 20);
    cpl_buf_adds(&text, "{\"first\":\"\"");
    for (int i = 0; i < 4095; i++) cpl_buf_addf(&text, ",\"k%d\":\"\"", i);
    cpl_buf_addc(&text, '}');
    CHECK(check_text(&text, "OutputVariablesMap", &found) == CPL_OK && found == 0);
    cpl_buf_truncate(&text, text.n - 1);
    cpl_buf_adds(&text, ",\"last\":\"\"}");
    CHECK(check_text(&text, "OutputVariablesMap", &found) == CPL_INVALID);
    cpl_buf_release(&text);
}

TEST(t_model__a_pattern_is_not_tried_on_a_huge_text) {
    cpl_buf text;
    size_t found;
    cpl_buf_init(&text, 4 << 20);
    cpl_buf_adds(&text, "{\"resourceArn\":\"arn:aws");
    for (int i = 0; i < 500000; i++) cpl_buf_adds(&text, ":12");
    cpl_buf_adds(&text, "\",\"tags\":[]}");
    CHECK(check_text(&text, "TagResourceInput", &found) == CPL_OK && found == 1);
    cpl_buf_release(&text);
}

TEST(t_model__a_text_far_too_long_is_that_and_nothing_else) {
    cpl_buf text;
    cpl_error err;
    cpl_buf_init(&text, 1 << 20);
    cpl_buf_adds(&text, "{\"name\":\"");
    for (int i = 0; i < 5000; i++) cpl_buf_addc(&text, 'a');
    cpl_buf_adds(&text, "\"}");
    CHECK(validate("get_pipeline", cpl_buf_cstr(&text), false, &err) == CPL_INVALID);
    CHECK_STR(err.message, "name: longer than 100");
    cpl_buf_release(&text);
}

TEST(t_model__the_nearest_name_is_found) {
    static const char *const names[] = {"list_pipelines", "list_action_types", "close"};
    CHECK_STR(cpl_nearest(CPL_LIT("list_pipeline"), names, 3), "list_pipelines");
    CHECK_STR(cpl_nearest(CPL_LIT("Clsoe"), names, 3), "close");
    CHECK(cpl_nearest(CPL_LIT("get_credentials"), names, 3) == NULL);
    CHECK(cpl_nearest(CPL_LIT("close"), names, 0) == NULL);
}

TEST(t_model__a_misspelt_member_is_guessed) {
    static const struct {
        const char *operation, *text, *message;
    } rows[] = {
        {"get_pipeline", "{\"nmae\":\"a\"}", "nmae: unknown member, did you mean \"name\"?; name: missing"},
        {"get_pipeline", "{\"name\":\"a\",\"Version\":1}", "Version: unknown member, did you mean \"version\"?"},
        {"get_pipeline", "{\"name\":\"a\",\"colour\":1}", "colour: unknown member"},
        {"list_pipelines", "{\"max_results\":1}", "max_results: unknown member, did you mean \"maxResults\"?"},
        {"stop_pipeline_execution", "{\"pipelineName\":\"a\",\"pipelineExecutionID\":\"x\"}",
         "pipelineExecutionID: unknown member, did you mean \"pipelineExecutionId\"?; pipelineExecutionId: missing"},
        {"put_job_failure_result",
         "{\"jobId\":\"11111111-1111-1111-1111-111111111111\",\"failureDetails\":{\"typ\":\"JobFailed\",\"message\":"
         "\"m\"}}",
         "failureDetails.typ: unknown member, did you mean \"type\"?; failureDetails.type: missing"},
    };
    cpl_error err;
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        CHECK(validate(rows[i].operation, rows[i].text, false, &err) == CPL_INVALID);
        CHECK_STR(err.message, rows[i].message);
    }
}

TEST(t_model__a_nul_in_a_text_does_not_end_it) {
    cpl_error err;
    CHECK(validate("get_pipeline", "{\"name\":\"site\\u0000\"}", false, &err) == CPL_INVALID);
    CHECK_STR(err.path, "name");
    CHECK(validate("get_pipeline", "{\"name\\u0000\":\"site\"}", false, &err) == CPL_INVALID);
    CHECK_STR(err.message, "[\"name\\u0000\"]: unknown member; name: missing");
}

/* ---- telling ---- */

static cpl_status describe(const char *operation, cpl_buf *text, cpl_error *err) {
    cpl_writer *writer = cpl_writer_new();
    cpl_str told = {NULL, 0};
    cpl_status status = writer ? cpl_describe(cpl_str_of(operation), writer, err) : CPL_NOMEM;
    if (status == CPL_OK) status = cpl_writer_text(writer, &told, err);
    cpl_buf_init(text, 1 << 20);
    if (status == CPL_OK) cpl_buf_add(text, told.p, told.n);
    cpl_writer_free(writer);
    return status;
}

TEST(t_model__tells_what_an_operation_takes) {
    static const char begin[] = "{\"name\":\"DisableStageTransition\",\"method\":\"disable_stage_transition\",\"doc\":";
    static const char *const parts[] = {
        "{\"name\":\"pipelineName\",\"required\":true,\"doc\":\"The pipeline's name.\",\"shape\":\"PipelineName\",",
        "\"type\":\"string\",\"min\":1,\"max\":100,\"pattern\":\"[A-Za-z0-9.@\\\\-_]+\"}",
        "\"enum\":[\"Inbound\",\"Outbound\"]}",
        "\"answer\":[]",
        "{\"code\":\"StageNotFoundException\",\"doc\":\"",
    };
    cpl_error err;
    cpl_buf text;
    CHECK(describe("disable_stage_transition", &text, &err) == CPL_OK);
    CHECK(strncmp(cpl_buf_cstr(&text), begin, strlen(begin)) == 0);
    for (size_t i = 0; i < CPL_COUNT(parts); i++) CHECK(strstr(cpl_buf_cstr(&text), parts[i]) != NULL);
    CHECK(strstr(cpl_buf_cstr(&text), "\"pages\"") == NULL);
    cpl_buf_release(&text);
}

TEST(t_model__tells_a_line_of_each_member_and_error_of_every_operation) {
    static const char *const before[] = {"\"required\":", "\"code\":"};
    for (size_t i = 0; i < cpl_model_operation_count(); i++) {
        cpl_error err;
        cpl_buf text;
        CHECK(describe(cpl_model_operation_info(i)->name, &text, &err) == CPL_OK);
        for (size_t k = 0; k < CPL_COUNT(before); k++) {
            for (const char *p = cpl_buf_cstr(&text); (p = strstr(p, before[k])) != NULL; p++) {
                CHECK(strncmp(strchr(p, ','), ",\"doc\":\"", 8) == 0);
            }
        }
        cpl_buf_release(&text);
    }
}

TEST(t_model__tells_nothing_of_an_operation_that_is_none) {
    cpl_error err;
    cpl_buf text;
    CHECK(describe("list_pipeline", &text, &err) == CPL_INVALID);
    CHECK_STR(err.message, "there is no operation \"list_pipeline\"; did you mean \"list_pipelines\"?");
    CHECK(text.n == 0);
    cpl_buf_release(&text);
}

TEST(t_model__every_failing_allocation_is_reported_and_nothing_leaks) {
    const char *text = "{\"jobId\":\"\\u0078\",\"outputVariables\":{\"a\":1,\"b c\":\"2\"},\"nothing\":[]}";
    cpl_error err;
    size_t n = 1, made;
    cpl_status status;
    do {
        cpl_alloc_fail_at(++n); /* the first is the copy of the text */
        status = validate("put_job_success_result", text, false, &err);
        made = cpl_alloc_fail_at(0);
        CHECK(status == (made < n ? CPL_INVALID : CPL_NOMEM));
    } while (made >= n && n < 40);
    CHECK(n > 3 && n < 40);
}

TEST_MAIN
