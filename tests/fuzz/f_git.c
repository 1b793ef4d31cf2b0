/* SPDX-License-Identifier: MIT */
/* Git events. Lines: a pattern, a text; then a push or a pull request, of acme/site if anything is to start. */
#include "../../core/emulator/git.h"
#include "fuzz_emulator.h"

#define SOURCE                                                                                                 \
    "\"actions\":[{\"name\":\"App\",\"actionTypeId\":{\"category\":\"Source\",\"owner\":\"AWS\",\"provider\":" \
    "\"CodeStarSourceConnection\",\"version\":\"1\"},\"configuration\":{\"ConnectionArn\":\"arn\","            \
    "\"FullRepositoryId\":\"acme/site\",\"BranchName\":\"main\"},\"outputArtifacts\":[{\"name\":\"A\"}]}]"
#define ASK                                                                                                     \
    "\"actions\":[{\"name\":\"Ok\",\"actionTypeId\":{\"category\":\"Approval\",\"owner\":\"AWS\",\"provider\":" \
    "\"Manual\",\"version\":\"1\"}}]"
#define FILTERS                                                                                       \
    "\"push\":[{\"branches\":{\"includes\":[\"r*/**\"]},\"filePaths\":{\"excludes\":[\"**/*.md\"]}}," \
    "{\"tags\":{\"includes\":[\"v[0-9]\"]}}],\"pullRequest\":[{\"branches\":{\"includes\":[\"{a,b}\"]}}]"

/* A pattern of which every character stands for itself fits its own text and no other. */
static void look_at_pattern(cpl_str pattern, cpl_str text) {
    cpl_buf escaped;
    bool fits = emu_glob_matches(pattern, text);
    if (!cpl_utf8_valid(pattern) || !cpl_utf8_valid(text) || cpl_utf8_length(pattern) > 255) return;
    cpl_buf_init(&escaped, 4 * 256);
    for (size_t i = 0; i < pattern.n; i++) {
        if (((unsigned char)pattern.p[i] & 0xc0) != 0x80) cpl_buf_addc(&escaped, '\\');
        cpl_buf_addc(&escaped, pattern.p[i]);
    }
    MUST(cpl_buf_ok(&escaped) || pattern.n > 255);
    if (cpl_buf_ok(&escaped)) MUST(emu_glob_matches(cpl_buf_str(&escaped), text) == cpl_str_eq(pattern, text));
    if (cpl_str_is(pattern, "**")) MUST(fits);
    cpl_buf_release(&escaped);
}

static void tell(emu *e, emu_git_event event, const cpl_json *in) {
    cpl_json *answer = NULL;
    cpl_error err = {0};
    cpl_buf out;
    cpl_status status;
    cpl_buf_init(&out, 1 << 20);
    status = emu_git_tell(e, event, in, &out, &err);
    MUST(status == CPL_OK || (status == CPL_INVALID && err.message[0] && cpl_utf8_valid(cpl_str_of(err.message))));
    MUST(status == CPL_OK || err.path[0] || cpl_json_kind_of(in) != CPL_JSON_OBJECT);
    if (status == CPL_OK)
        MUST(cpl_json_parse(cpl_buf_str(&out), &answer, NULL) == CPL_OK && cpl_json_count(answer) < 3);
    cpl_json_free(answer);
    cpl_buf_release(&out);
}

static void make(emu *e, const char *name, const char *triggers) {
    cpl_json *answer = NULL;
    char text[4096];
    snprintf(text, sizeof text,
             "{\"pipeline\":{\"name\":\"%s\"," ROLE
             ",\"pipelineType\":\"V2\",\"artifactStore\":{\"type\":\"S3\","
             "\"location\":\"store\"},%s\"stages\":[{\"name\":\"S\"," SOURCE "},{\"name\":\"G\"," ASK "}]}}",
             name, triggers);
    MUST(call(e, CPL_LIT("CreatePipeline"), cpl_str_of(text), &answer) == 200);
    cpl_json_free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_str rest = input_of(data, size), pattern = take_until(&rest, '\n'), text = take_until(&rest, '\n');
    cpl_json *event = NULL;
    emu *e;
    look_at_pattern(pattern, text);
    if (cpl_json_parse(rest, &event, NULL) != CPL_OK || cpl_json_get(event, "archive")) { /* reads any file */
        cpl_json_free(event);
        return 0;
    }
    e = new_emulator();
    make(e, "p", "");
    make(e, "q",
         "\"triggers\":[{\"providerType\":\"CodeStarSourceConnection\",\"gitConfiguration\":{\"sourceActionName\":"
         "\"App\"," FILTERS "}}],");
    tell(e, EMU_GIT_PUSH, event);
    tell(e, EMU_GIT_PULL_REQUEST, event);
    check_state(e);
    emu_free(e);
    cpl_json_free(event);
    return 0;
}
