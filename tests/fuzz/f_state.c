/* SPDX-License-Identifier: MIT */
/* A state that is imported: refused, or it is one, and whatever is asked of it is answered. */
#include "fuzz_emulator.h"

static void ask(emu *e, const char *operation, const char *member, const char *name) {
    cpl_json *answer = NULL;
    cpl_buf input;
    cpl_buf_init(&input, 1 << 16);
    cpl_buf_addf(&input, "{\"%s\":", member);
    cpl_json_quote(&input, cpl_str_of(name));
    cpl_buf_addc(&input, '}');
    call(e, cpl_str_of(operation), cpl_buf_str(&input), &answer);
    cpl_json_free(answer);
    cpl_buf_release(&input);
}

static void ask_all(emu *e) {
    static const char *const about_one[][2] = {{"GetPipelineState", "name"},
                                               {"GetPipeline", "name"},
                                               {"ListPipelineExecutions", "pipelineName"},
                                               {"ListActionExecutions", "pipelineName"},
                                               {"ListRuleExecutions", "pipelineName"},
                                               {"StartPipelineExecution", "name"},
                                               {"DeletePipeline", "name"}};
    for (size_t i = 0; i < emu_store_size(emu_store_of(e), EMU_PIPELINE) && i < 4; i++) {
        const char *key;
        char name[256];
        emu_store_at(emu_store_of(e), EMU_PIPELINE, i, &key);
        CPL_COPY(name, cpl_str_of(key));
        for (size_t j = 0; j < CPL_COUNT(about_one); j++) ask(e, about_one[j][0], about_one[j][1], name);
    }
    ask(e, "ListWebhooks", "unknown", "");
    ask(e, "ListActionTypes", "unknown", "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_json *state = NULL;
    cpl_error err = {0};
    emu *e;
    if (cpl_json_parse(input_of(data, size), &state, NULL) != CPL_OK) return 0;
    e = new_emulator();
    if (emu_snapshot_read(e, state, &err) == CPL_OK) {
        check_state(e);
        emu_clock_turn(e, 86400000, NULL);
        ask_all(e);
        check_state(e);
    } else {
        MUST(err.status == CPL_INVALID && err.message[0] && cpl_utf8_valid(cpl_str_of(err.message)));
        MUST(err.path[0] || cpl_json_kind_of(state) != CPL_JSON_OBJECT);
    }
    cpl_json_free(state);
    emu_free(e);
    return 0;
}
