/* SPDX-License-Identifier: MIT */
/* An emulator without its server, and with something in it, for the targets that are about it. */
#ifndef CPL_FUZZ_EMULATOR_H
#define CPL_FUZZ_EMULATOR_H

#include "../../core/emulator/snapshot.h"
#include "fuzz.h"

#define NOW_MS 1700000000000

UNUSED static emu *new_emulator(void) {
    emu *e = NULL;
    MUST(emu_new(&e, NULL, NULL) == CPL_OK);
    emu_clock_set(e, NOW_MS, true); /* the same from run to run */
    return e;
}

/* One call; the answer, if it is a document, in *answer, which the caller frees. */
UNUSED static int call(emu *e, cpl_str operation, cpl_str input, cpl_json **answer) {
    cpl_buf out;
    int status;
    cpl_buf_init(&out, (size_t)1 << 26);
    status = emu_invoke(e, operation, input, &out);
    MUST(status == 200 || (status >= 400 && status < 600));
    if (out.n > 0) MUST(cpl_json_parse(cpl_buf_str(&out), answer, NULL) == CPL_OK);
    MUST(status == 200 || cpl_json_get_cstr(*answer, "__type", NULL) != NULL);
    cpl_buf_release(&out);
    return status;
}

#define ROLE "\"roleArn\":\"arn:aws:iam::123456789012:role/r\""
#define MAKER "{\"category\":\"Build\",\"owner\":\"Custom\",\"provider\":\"Maker\",\"version\":\"1\"}"

/* A custom action type, and a pipeline that has run up to its job. */
UNUSED static void fill(emu *e) {
    static const char *const calls[][2] = {
        {"CreateCustomActionType",
         "{\"category\":\"Build\",\"provider\":\"Maker\",\"version\":\"1\",\"inputArtifactDetails\":"
         "{\"minimumCount\":0,\"maximumCount\":5},\"outputArtifactDetails\":{\"minimumCount\":0,\"maximumCount\":5}}"},
        {"CreatePipeline",
         "{\"pipeline\":{\"name\":\"p\"," ROLE ",\"pipelineType\":\"V2\",\"artifactStore\":{\"type\":\"S3\","
         "\"location\":\"store\"},\"stages\":[{\"name\":\"S\",\"actions\":[{\"name\":\"F\",\"actionTypeId\":"
         "{\"category\":\"Source\",\"owner\":\"AWS\",\"provider\":\"S3\",\"version\":\"1\"},\"configuration\":"
         "{\"S3Bucket\":\"src\",\"S3ObjectKey\":\"a\"},\"outputArtifacts\":[{\"name\":\"A\"}]}]},"
         "{\"name\":\"B\",\"actions\":[{\"name\":\"M\",\"actionTypeId\":" MAKER
         ",\"inputArtifacts\":[{\"name\":\"A\"}],"
         "\"outputArtifacts\":[{\"name\":\"O\"}]}]},{\"name\":\"G\",\"actions\":[{\"name\":\"Ok\",\"actionTypeId\":"
         "{\"category\":\"Approval\",\"owner\":\"AWS\",\"provider\":\"Manual\",\"version\":\"1\"}}]}]}}"},
        {"PutWebhook",
         "{\"webhook\":{\"name\":\"h\",\"targetPipeline\":\"p\",\"targetAction\":\"F\",\"filters\":[{\"jsonPath\":"
         "\"$.ref\",\"matchEquals\":\"x\"}],\"authentication\":\"UNAUTHENTICATED\",\"authenticationConfiguration\":{}}"
         "}"}};
    MUST(emu_s3_create_bucket(e, "src") && emu_s3_put(e, "src", "a", CPL_LIT("one"), "text/plain"));
    for (size_t i = 0; i < CPL_COUNT(calls); i++) {
        cpl_json *answer = NULL;
        MUST(call(e, cpl_str_of(calls[i][0]), cpl_str_of(calls[i][1]), &answer) == 200);
        cpl_json_free(answer);
    }
}

/* Whatever happened: the state can be written, read, and is the same then. */
UNUSED static void check_state(emu *e) {
    cpl_json *state = NULL;
    cpl_error err = {0};
    cpl_buf before, after;
    cpl_buf_init(&before, (size_t)1 << 28);
    cpl_buf_init(&after, (size_t)1 << 28);
    emu_snapshot_write(e, true, &before);
    MUST(cpl_buf_ok(&before) && cpl_json_parse(cpl_buf_str(&before), &state, NULL) == CPL_OK);
    if (emu_snapshot_read(e, state, &err) != CPL_OK) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    emu_snapshot_write(e, true, &after);
    MUST(cpl_str_eq(cpl_buf_str(&before), cpl_buf_str(&after)));
    cpl_json_free(state);
    cpl_buf_release(&before);
    cpl_buf_release(&after);
}

#endif
