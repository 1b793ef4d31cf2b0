/* SPDX-License-Identifier: MIT */
/* ours once|calls ...: our C interface, the answer read to its last token. */
#include "../../core/codepipeline.h"
#include "calls.h"

static cpl_client *client;

static void run(const struct operation *operation) {
    const cpl_call_options options = {.flags = CPL_CALL_UNCHECKED}; /* because all of it is read here */
    cpl_reply *reply;
    cpl_cursor cursor;
    cpl_error err;
    if (cpl_client_call(client, cpl_str_of(operation->name), cpl_str_of(operation->params), &options, &reply, &err)) {
        die(err.message);
    }
    cpl_reply_cursor(reply, &cursor);
    while (cpl_cursor_next(&cursor) != CPL_TOKEN_END) {
        if (cursor.token == CPL_TOKEN_ERROR) die(cursor.message);
    }
    cpl_cursor_release(&cursor);
    cpl_reply_free(reply);
}

int main(int argc, char **argv) {
    cpl_error err;
    if (cpl_client_new(&client, NULL, &err)) die(err.message);
    measure_all(argc - 1, argv + 1, run);
    cpl_client_free(client);
    return 0;
}
