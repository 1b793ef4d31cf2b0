/* SPDX-License-Identifier: MIT */
#include "../../core/err.h"
#include "test.h"

#define HEAD                                                                  \
    "{\"pipeline\": {\n"                                                      \
    "  \"name\": \"site\",\n"                                                 \
    "  \"roleArn\": \"arn:aws:iam::123456789012:role/pipeline\",\n"           \
    "  \"artifactStore\": {\"type\": \"S3\", \"location\": \"artifacts\"},\n" \
    "  \"stages\": [\n"
#define SOURCE                                                                                                      \
    "    {\"name\": \"Source\", \"actions\": [{\"name\": \"Fetch\", \"actionTypeId\": {\"category\": \"Source\", "  \
    "\"owner\": \"AWS\", \"provider\": \"S3\", \"version\": \"1\"}, \"configuration\": {\"S3Bucket\": \"source\", " \
    "\"S3ObjectKey\": \"app.zip\"}, \"outputArtifacts\": [{\"name\": \"App\"}]}]}"
#define BUILD(more)                                                                                                \
    ",\n    {\"name\": \"Build\", \"actions\": [{\"name\": \"Make\", \"actionTypeId\": {\"category\": \"Build\", " \
    "\"owner\": \"Custom\", \"provider\": \"Maker\", \"version\": \"1\"},\n" more "}]}"
#define TAIL "\n  ]\n}}\n"

static cpl_writer *written;

/* "LINE PATH CODE; ..." of all complaints. */
static const char *lint(const char *document, const char *region) {
    static char told[4096];
    const cpl_lint_options options = {cpl_str_of(region)};
    cpl_cursor c;
    cpl_error err;
    cpl_str text, key = {NULL, 0};
    char line[24] = "", path[256] = "", code[80] = "";
    told[0] = '\0';
    cpl_writer_free(written);
    written = cpl_writer_new();
    if (!CHECK(cpl_lint(cpl_str_of(document), &options, written, &err) == CPL_OK)) return "refused";
    CHECK(cpl_writer_text(written, &text, &err) == CPL_OK);
    cpl_cursor_init(&c, text);
    while (cpl_cursor_next(&c) != CPL_TOKEN_END && c.token != CPL_TOKEN_ERROR) {
        size_t n = strlen(told);
        if (c.token == CPL_TOKEN_OBJECT_END)
            snprintf(told + n, sizeof told - n, "%s%s %s %s", n ? "; " : "", line, path, code);
        if (c.token == CPL_TOKEN_KEY) key = c.text;
        if (c.token == CPL_TOKEN_STRING && cpl_str_is(key, "path")) CPL_COPY(path, c.text);
        if (c.token == CPL_TOKEN_STRING && cpl_str_is(key, "code")) CPL_COPY(code, c.text);
        if (c.token == CPL_TOKEN_INTEGER && cpl_str_is(key, "line"))
            snprintf(line, sizeof line, "%lld", (long long)c.integer);
    }
    CHECK(c.token == CPL_TOKEN_END);
    cpl_cursor_release(&c);
    cpl_writer_free(written);
    written = NULL;
    return told;
}

TEST(t_lint__a_good_pipeline_has_no_complaints) {
    CHECK_STR(lint(HEAD SOURCE BUILD("\"inputArtifacts\": [{\"name\": \"App\"}]") TAIL, NULL), "");
}

TEST(t_lint__what_is_no_json_is_told_with_its_line) {
    CHECK_STR(lint("{\n  \"pipeline\": {\n", NULL), "3  SerializationException");
    CHECK_STR(lint("", NULL), "1  SerializationException");
    CHECK_STR(lint("{\"pipeline\": {\"name\": \"a\", \"name\": \"b\"}}", NULL), "1  SerializationException");
}

TEST(t_lint__the_model_comes_first) {
    CHECK_STR(lint("{\"name\": \"site\", \"stages\": []}", NULL), "1 roleArn ValidationException");
    CHECK_STR(lint("[]", NULL), "1  ValidationException");
    CHECK_STR(lint("{\"pipeline\": {\"name\": \"site\", \"roleArn\": \"arn:aws:iam::123456789012:role/p\",\n"
                   "\"stages\": [{\n\"nam\": \"Source\", \"actions\": []}]}, \"metadata\": {}}",
                   NULL),
              "2 pipeline.stages[0].name ValidationException; 3 pipeline.stages[0].nam ValidationException; "
              "3 metadata ValidationException");
}

TEST(t_lint__all_complaints_are_told_in_the_order_of_the_text) {
    const char *told = lint(HEAD SOURCE BUILD("\"inputArtifacts\": [\n{\"name\": \"Ap\"}, {\"name\": \"Nope\"}],\n"
                                              "\"configuration\": {\"Key\": \"#{nobody.knows}\"}")
                                BUILD("\"outputArtifacts\": [{\"name\": \"App\"}]") TAIL,
                            NULL);
    CHECK_STR(told,
              "9 pipeline.stages[1].actions[0].inputArtifacts[0] InvalidStructureException; "
              "9 pipeline.stages[1].actions[0].inputArtifacts[1] InvalidStructureException; "
              "10 pipeline.stages[1].actions[0].configuration.Key InvalidActionDeclarationException; "
              "11 pipeline.stages[2] InvalidStageDeclarationException; "
              "12 pipeline.stages[2].actions[0].outputArtifacts[0] InvalidStructureException");
}

TEST(t_lint__action_types_of_others_are_taken_on_trust_and_those_of_aws_are_not) {
    CHECK_STR(lint(HEAD SOURCE ",{\"name\": \"Build\", \"actions\": [{\"name\": \"Make\", \"actionTypeId\": "
                               "{\"category\": \"Build\", \"owner\": \"AWS\", \"provider\": \"CodeBild\", "
                               "\"version\": \"1\"}}]}" TAIL,
                   NULL),
              "6 pipeline.stages[1].actions[0].actionTypeId InvalidActionDeclarationException");
}

TEST(t_lint__a_region_is_asked_for_only_when_it_was_told) {
    static const char stores[] =
        "{\"name\": \"site\", \"roleArn\": \"arn:aws:iam::123456789012:role/pipeline\",\n"
        "\"artifactStores\": {\"eu-west-1\": {\"type\": \"S3\", \"location\": \"artifacts\"}},\n"
        "\"stages\": [" SOURCE BUILD("\"inputArtifacts\": [{\"name\": \"App\"}]") "]}";
    CHECK_STR(lint(stores, NULL), "");
    CHECK_STR(lint(stores, "eu-west-1"), "");
    CHECK_STR(lint(stores, "eu-west-2"), "1  InvalidStructureException");
}

TEST(t_lint__running_out_of_memory_is_told) {
    static const char document[] = HEAD SOURCE TAIL;
    cpl_status status = CPL_NOMEM;
    for (long n = 1; n < 4000 && status == CPL_NOMEM; n += 7) {
        cpl_writer *out = cpl_writer_new();
        cpl_error err;
        (void)cpl_alloc_fail_at((size_t)n);
        status = cpl_lint(cpl_str_of(document), NULL, out, &err);
        (void)cpl_alloc_fail_at(0);
        CHECK(status == CPL_OK || status == CPL_NOMEM);
        cpl_writer_free(out);
    }
    CHECK(status == CPL_OK);
}

TEST_MAIN
