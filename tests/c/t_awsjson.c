/* SPDX-License-Identifier: MIT */
/*
 * The protocol tests of awsJson 1.1, through the code that calls go through. Their shapes are not this service's, so
 * answers are judged and read untyped, and parameters go through the writer that the bindings use.
 */
#include "../../core/json.h"
#include "../../core/reply.h"
#include "client_fixture.h"

#define SERVERS "for servers, which this is not; t_emulator_server has what of it concerns the emulator"
#define HOST_PREFIX "no operation of the service has a host prefix"
#define COMPRESSION "no operation of the service compresses requests"
#define FLOAT "no shape of the service is a floating-point number"
#define BLOB "no shape of the service is a blob"
#define TIMESTAMP "every timestamp of the service is a number of seconds"

/* What does not apply, one by one. A case that is not here has to pass, so a new one is noticed. */
static const struct {
    const char *id;
    int times; /* a request and an answer may have the same id */
    const char *why;
} not_ours[] = {
    {"AwsJson11MustSupportParametersInContentType", 1, SERVERS},
    {"json_1_1_service_supports_empty_payload_for_no_input_shape", 1, SERVERS},
    {"AwsJson11ServersDontDeserializeNullStructureValues", 1, SERVERS},
    {"AwsJson11ServersDontSerializeNullStructureValues", 1, SERVERS},
    {"AwsJson11HostWithPath", 1, "t_client has an endpoint with a path"},
    {"AwsJson11EndpointTrait", 1, HOST_PREFIX},
    {"AwsJson11EndpointTraitWithHostLabel", 1, HOST_PREFIX},
    {"MachinelearningPredictEndpoint", 1, "another service's own rule"},
    {"SDKAppliedContentEncoding_awsJson1_1", 1, COMPRESSION},
    {"SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1", 1, COMPRESSION},
    {"AwsJson11SupportsNaNFloatInputs", 2, FLOAT},
    {"AwsJson11SupportsInfinityFloatInputs", 2, FLOAT},
    {"AwsJson11SupportsNegativeInfinityFloatInputs", 2, FLOAT},
    {"serializes_blob_shapes", 1, BLOB},
    {"parses_blob_shapes", 1, BLOB},
    {"AwsJson11SerializeBlobUnionValue", 1, BLOB},
    {"AwsJson11DeserializeBlobUnionValue", 1, BLOB},
    {"AwsJson11DateTimeWithNegativeOffset", 1, TIMESTAMP},
    {"AwsJson11DateTimeWithPositiveOffset", 1, TIMESTAMP},
    {"AwsJson11DateTimeWithFractionalSeconds", 1, TIMESTAMP},
    {"serializes_timestamp_shapes_with_iso8601_timestampformat", 1, TIMESTAMP},
    {"serializes_timestamp_shapes_with_httpdate_timestampformat", 1, TIMESTAMP},
    {"parses_iso8601_timestamps", 1, TIMESTAMP},
    {"parses_httpdate_timestamps", 1, TIMESTAMP},
    {"AwsJson11StructuresDontSerializeNullValues", 1, "null is refused where a value belongs; see t_model"},
    {"AwsJson11DeserializeIgnoreType", 1, "no shape of the service is a union"},
    {"PutAndGetInlineDocumentsInput", 2, "no shape of the service is a document"},
};

static bool applies(const char *id, int seen[]) {
    for (size_t i = 0; i < CPL_COUNT(not_ours); i++) {
        if (strcmp(id, not_ours[i].id) != 0) continue;
        seen[i]++;
        return false;
    }
    return true;
}

/* Judges an answer without a network in between. */
static cpl_status judge(const cpl_json *c, cpl_reply *reply, cpl_error *err) {
    reply->response.status = (int)cpl_json_get_number(c, "code", 0);
    cpl_buf_addv(&reply->response.body, cpl_json_get_str(c, "body"));
    for (cpl_json *header = cpl_json_first(cpl_json_get(c, "headers")); header; header = cpl_json_next(header)) {
        char line[512];
        int n = snprintf(line, sizeof line, "%.*s: %s", (int)cpl_json_key(header).n, cpl_json_key(header).p,
                         cpl_json_cstr(header, ""));
        cpl_http_head_add(&reply->response.head, (cpl_str){line, (size_t)n});
    }
    return cpl_reply_judge(reply, err);
}

/* Equal but for the order of members; null members are as good as none. */
static bool equal(const cpl_json *a, const cpl_json *b) {
    size_t members = 0;
    if (cpl_json_kind_of(a) != cpl_json_kind_of(b)) return false;
    switch (cpl_json_kind_of(a)) {
    case CPL_JSON_BOOL: return cpl_json_bool(a, false) == cpl_json_bool(b, false);
    case CPL_JSON_NUMBER: return cpl_json_number(a, 0) == cpl_json_number(b, 0);
    case CPL_JSON_STRING: return cpl_str_eq(cpl_json_str(a), cpl_json_str(b));
    case CPL_JSON_NULL: return true;
    case CPL_JSON_ARRAY:
        for (size_t i = 0; i < cpl_json_count(a); i++) {
            if (!equal(cpl_json_at(a, i), cpl_json_at(b, i))) return false;
        }
        return cpl_json_count(a) == cpl_json_count(b);
    default: break;
    }
    for (cpl_json *m = cpl_json_first(a); m; m = cpl_json_next(m)) {
        if (!equal(m, cpl_json_get(b, cpl_json_key(m).p))) return false;
        members += cpl_json_kind_of(m) != CPL_JSON_NULL;
    }
    for (cpl_json *m = cpl_json_first(b); m; m = cpl_json_next(m)) members -= cpl_json_kind_of(m) != CPL_JSON_NULL;
    return members == 0;
}

static void write_tree(cpl_writer *writer, const cpl_json *json) {
    bool object = cpl_json_kind_of(json) == CPL_JSON_OBJECT;
    double number = cpl_json_number(json, 0);
    switch (cpl_json_kind_of(json)) {
    case CPL_JSON_NULL: cpl_write_null(writer); return;
    case CPL_JSON_BOOL: cpl_write_bool(writer, cpl_json_bool(json, false)); return;
    case CPL_JSON_STRING: cpl_write_string(writer, cpl_json_str(json)); return;
    case CPL_JSON_NUMBER:
        if (number == (double)(int64_t)number) {
            cpl_write_integer(writer, (int64_t)number);
        } else {
            cpl_write_number(writer, number);
        }
        return;
    default: break;
    }
    if (object) {
        cpl_write_object(writer);
    } else {
        cpl_write_array(writer);
    }
    for (cpl_json *m = cpl_json_first(json); m; m = cpl_json_next(m)) {
        if (object) cpl_write_key(writer, cpl_json_key(m));
        write_tree(writer, m);
    }
    cpl_write_end(writer);
}

/* ---- the cases, each kind its own way ---- */

static bool check_error(const cpl_json *c) {
    const char *target = cpl_json_get_cstr(c, "_target", "");
    const char *name = strrchr(target, '#') ? strrchr(target, '#') + 1 : target;
    cpl_reply *reply = cpl_reply_new(0);
    cpl_error err = {0};
    bool ok = reply && judge(c, reply, &err) == CPL_SERVICE && strcmp(err.code, name) == 0;
    cpl_reply_free(reply);
    return ok;
}

static bool check_answer(const cpl_json *c) {
    const cpl_json *want = cpl_json_get(c, "params");
    cpl_reply *reply = cpl_reply_new(0);
    cpl_json *got = NULL;
    cpl_error err = {0};
    bool ok = reply && judge(c, reply, &err) == CPL_OK && cpl_json_parse(cpl_reply_text(reply), &got, &err) == CPL_OK &&
              (want == NULL || equal(got, want));
    cpl_json_free(got);
    cpl_reply_free(reply);
    return ok;
}

static bool check_parameters(const cpl_json *c) {
    cpl_writer *writer = cpl_writer_new();
    cpl_json *want = NULL, *got = NULL;
    cpl_str text;
    bool ok;
    write_tree(writer, cpl_json_get(c, "params"));
    ok = cpl_writer_text(writer, &text, NULL) == CPL_OK && cpl_json_parse(text, &got, NULL) == CPL_OK &&
         cpl_json_parse(cpl_json_get_str(c, "body"), &want, NULL) == CPL_OK && equal(got, want);
    cpl_json_free(want);
    cpl_json_free(got);
    cpl_writer_free(writer);
    return ok;
}

/* A request without parameters, as the client sends it. */
static bool check_empty_request(fixture *f, const cpl_json *c) {
    size_t i = fault_server_requests(f->server);
    const char *type = cpl_json_get_cstr(cpl_json_get(c, "headers"), "Content-Type", "");
    const char *body = cpl_json_get_cstr(c, "body", "{}");
    char line[64];
    snprintf(line, sizeof line, "%s %s HTTP/1.1\r\n", cpl_json_get_cstr(c, "method", ""),
             cpl_json_get_cstr(c, "uri", ""));
    return call(f, "ListPipelines", "") == CPL_OK && strcmp(sent_body(f, i), body) == 0 &&
           strncmp(fault_server_request(f->server, i), line, strlen(line)) == 0 &&
           (type[0] == '\0' || strcmp(sent_header(f, i, "content-type"), type) == 0) &&
           strcmp(sent_header(f, i, "x-amz-target"), "CodePipeline_20150709.ListPipelines") == 0;
}

static cpl_json *read_suite(void) {
    const char *path = test_suite_path("awsjson/awsJson1_1.cases.json");
    char *text = path ? test_read_file(path, NULL) : NULL;
    cpl_json *suite = NULL;
    if (text) CHECK(cpl_json_parse(cpl_str_of(text), &suite, NULL) == CPL_OK);
    free(text);
    return suite;
}

TEST(t_awsjson__all_cases_that_apply_pass) {
    cpl_json *suite = read_suite();
    int errors = 0, answers = 0, parameters = 0, empty = 0, others = 0, seen[CPL_COUNT(not_ours)] = {0};
    fixture f;
    if (suite == NULL) SKIP("no awsjson suite");
    start(&f, &(fault_step){.body = "{}"}, 1);
    for (cpl_json *c = cpl_json_first(suite); c; c = cpl_json_next(c)) {
        const char *id = cpl_json_get_cstr(c, "id", "");
        double code = cpl_json_get_number(c, "code", 0);
        bool ok = true;
        if (!applies(id, seen)) {
            others++;
        } else if (code >= 400) {
            errors++;
            ok = check_error(c);
        } else if (code > 0) {
            answers++;
            ok = check_answer(c);
        } else if (cpl_json_get(c, "params")) {
            parameters++;
            ok = check_parameters(c);
        } else {
            empty++;
            ok = check_empty_request(&f, c);
        }
        if (!CHECK(ok)) printf("  %s\n", id);
    }
    if (!CHECK(errors == 14 && errors + answers + parameters + empty + others == 123)) {
        printf("  %d errors, %d answers, %d parameters, %d empty, %d others\n", errors, answers, parameters, empty,
               others);
    }
    for (size_t i = 0; i < CPL_COUNT(not_ours); i++) {
        if (!CHECK(seen[i] == not_ours[i].times)) printf("  %s: %s\n", not_ours[i].id, not_ours[i].why);
    }
    CHECK(answers == 36 && parameters == 38 && empty == 4 && others == 31);
    stop(&f);
    cpl_json_free(suite);
}

TEST(t_awsjson__null_members_of_an_answer_are_not_there) {
    fixture f;
    cpl_cursor cursor;
    start(&f, &(fault_step){.body = "{\"nextToken\":null,\"pipelines\":null}"}, 1);
    NEED(call(&f, "ListPipelines", "{}") == CPL_OK);
    cpl_reply_cursor(f.reply, &cursor);
    CHECK(cpl_cursor_next(&cursor) == CPL_TOKEN_OBJECT && cpl_cursor_next(&cursor) == CPL_TOKEN_OBJECT_END);
    cpl_cursor_release(&cursor);
    stop(&f);
}

TEST_MAIN
