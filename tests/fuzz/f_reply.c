/* SPDX-License-Identifier: MIT */
/* An answer of the service: a byte for the operation, a line with the status, header lines, an empty one, the body. */
#include "../../core/model.h"
#include "../../core/reply.h"
#include "fuzz.h"

static void fill(cpl_http_response *response, cpl_str rest) {
    cpl_str status = take_until(&rest, '\n'), name, value;
    int64_t number = 200;
    cpl_str_integer(status, &number);
    response->status = number >= 100 && number < 600 ? (int)number : 500;
    for (cpl_str line; (line = take_until(&rest, '\n')).n > 0;) cpl_http_head_add(&response->head, line);
    cpl_buf_addv(&response->body, rest);
    for (size_t i = 0; cpl_http_header_at(response, i, &name, &value); i++)
        MUST(cpl_http_header(response, "x").n < 65536);
}

/* An answer that was accepted can be read to its end. */
static void read_all(const cpl_reply *reply) {
    cpl_cursor cursor;
    cpl_reply_cursor(reply, &cursor);
    while (cpl_cursor_next(&cursor) != CPL_TOKEN_END) MUST(cursor.token != CPL_TOKEN_ERROR);
    cpl_cursor_release(&cursor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_str text = input_of(data, size);
    const cpl_operation *operation = &cpl_model_operations[size > 0 ? data[0] % cpl_model_operations_count : 0];
    cpl_reply *reply = cpl_reply_new(operation->output);
    cpl_error err = {0};
    cpl_status status;
    MUST(reply != NULL);
    fill(&reply->response, cpl_str_sub(text, 1, size));
    status = cpl_reply_judge(reply, &err);
    if (status == CPL_OK) {
        read_all(reply);
    } else {
        MUST(status == err.status && err.message[0] && cpl_utf8_valid(cpl_str_of(err.message)));
        MUST(cpl_utf8_valid(cpl_str_of(err.code)));
    }
    cpl_reply_free(reply);
    return 0;
}
