/* SPDX-License-Identifier: MIT */
/*
 * The operations, one a line: its name, a blank, its input. In the input $j, $n, $e, $t, $k and $m stand for the job,
 * nonce, execution, token of an approval, client token and next token that were answered last. "+90" turns the clock.
 */
#include "fuzz_emulator.h"

#define LINES_MAX 60

typedef struct memory {
    char job[128], nonce[128], execution[128], token[128], client[128], more[4200];
} memory;

/* The first member of that name, anywhere in the answer. */
static const cpl_json *find(const cpl_json *json, const char *name) {
    const cpl_json *found = cpl_json_kind_of(json) == CPL_JSON_OBJECT ? cpl_json_get(json, name) : NULL;
    for (const cpl_json *i = cpl_json_first(json); i && !found; i = cpl_json_next(i)) found = find(i, name);
    return found;
}

static void keep(char *to, size_t size, const cpl_json *value) {
    cpl_str text = cpl_json_str(value);
    if (text.n > 0 && text.n < size) cpl_copy_text(to, size, text);
}

static void note(memory *m, const cpl_json *answer) {
    const cpl_json *job = cpl_json_first(cpl_json_get(answer, "jobs"));
    keep(m->job, sizeof m->job, cpl_json_get(job, "id"));
    keep(m->job, sizeof m->job, cpl_json_get(job, "jobId"));
    keep(m->nonce, sizeof m->nonce, find(answer, "nonce"));
    keep(m->execution, sizeof m->execution, find(answer, "pipelineExecutionId"));
    keep(m->token, sizeof m->token, find(answer, "token"));
    keep(m->more, sizeof m->more, cpl_json_get(answer, "nextToken"));
    if (cpl_json_get(job, "clientId"))
        snprintf(m->client, sizeof m->client, "emulator-token-%s", cpl_json_get_cstr(job, "clientId", ""));
}

static void expand(const memory *m, cpl_str text, cpl_buf *out) {
    for (size_t i = 0; i < text.n; i++) {
        char next = text.p[i] == '$' && i + 1 < text.n ? text.p[i + 1] : '\0';
        const char *value = next == 'j'   ? m->job
                            : next == 'n' ? m->nonce
                            : next == 'e' ? m->execution
                            : next == 't' ? m->token
                            : next == 'k' ? m->client
                            : next == 'm' ? m->more
                                          : NULL;
        if (value) {
            cpl_buf_adds(out, value);
            i++;
        } else {
            cpl_buf_addc(out, text.p[i]);
        }
    }
}

static void run(emu *e, memory *m, cpl_str line) {
    cpl_str operation = take_until(&line, ' ');
    cpl_json *answer = NULL;
    cpl_buf input;
    int64_t seconds = 0;
    if (cpl_str_starts(operation, "+") && cpl_str_integer(cpl_str_sub(operation, 1, operation.n), &seconds)) {
        emu_clock_turn(e, seconds % 1000000 * 1000, NULL);
        return;
    }
    cpl_buf_init(&input, 1 << 20);
    expand(m, line, &input);
    call(e, operation, cpl_buf_str(&input), &answer);
    note(m, answer);
    cpl_json_free(answer);
    cpl_buf_release(&input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_str rest = input_of(data, size);
    emu *e = new_emulator();
    memory m = {.job = "none"};
    fill(e);
    for (int i = 0; i < LINES_MAX && rest.n > 0; i++) run(e, &m, take_until(&rest, '\n'));
    check_state(e);
    emu_free(e);
    return 0;
}
