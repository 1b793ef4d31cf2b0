/* SPDX-License-Identifier: MIT */
#include "engine.h"

/*
 * A token is the hexadecimal form of "operation LF scope LF last key shown". It holds a key and not a position, so
 * pages stay right when things come and go between them. The members' names are the model's: ListWebhooks begins them
 * with a capital.
 */

static void head_of(const emu_call *call, const char *scope, cpl_buf *out) {
    cpl_buf_addf(out, "%s\n%s\n", call->operation->info.name, scope);
}

bool emu_page_begin(emu_call *call, const char *scope, char after[EMU_PAGE_KEY]) {
    cpl_str token = cpl_json_get_str(call->in, call->operation->info.input_token);
    cpl_buf head, text;
    bool good = true;
    after[0] = '\0';
    if (token.p == NULL) return true;
    cpl_buf_init(&head, 2048);
    cpl_buf_init(&text, 2048);
    head_of(call, scope, &head);
    good = cpl_unhex(&text, token) && cpl_buf_ok(&head) && cpl_str_starts(cpl_buf_str(&text), cpl_buf_cstr(&head)) &&
           text.n > head.n && text.n - head.n < EMU_PAGE_KEY;
    if (good) cpl_copy_text(after, EMU_PAGE_KEY, cpl_str_sub(cpl_buf_str(&text), head.n, text.n));
    cpl_buf_release(&head);
    cpl_buf_release(&text);
    return good || emu_refuse(call, "InvalidNextTokenException", "The next token was specified in an invalid format");
}

bool emu_page_more(emu_call *call, const char *scope, const char *last) {
    cpl_buf text, token;
    bool done;
    cpl_buf_init(&text, 2048);
    cpl_buf_init(&token, 4096);
    head_of(call, scope, &text);
    cpl_buf_adds(&text, last);
    cpl_buf_add_hex(&token, text.p, text.n);
    done = cpl_buf_ok(&text) && cpl_json_set_str(call->out, call->operation->info.output_token, cpl_buf_str(&token));
    cpl_buf_release(&text);
    cpl_buf_release(&token);
    return done || emu_nomem(call);
}

size_t emu_page_size(const emu_call *call, size_t most) {
    const char *limit = call->operation->info.limit_key;
    double wanted = limit ? cpl_json_get_number(call->in, limit, (double)most) : (double)most;
    return wanted < (double)most ? (size_t)wanted : most;
}
