/* SPDX-License-Identifier: MIT */
/* JSON: the cursor, the tree, the check against a shape (the first byte picks it), and what is written again. */
#include "../../core/model.h"
#include "fuzz.h"

static bool walk(cpl_str text, uint16_t shape) {
    cpl_cursor cursor;
    bool good;
    cpl_cursor_init_shape(&cursor, text, shape);
    for (cpl_token token; (token = cpl_cursor_next(&cursor)) != CPL_TOKEN_END && token != CPL_TOKEN_ERROR;) {
        MUST(cursor.depth >= 0 && cursor.depth <= CPL_JSON_DEPTH_MAX);
        if (token == CPL_TOKEN_KEY || token == CPL_TOKEN_STRING) MUST(cpl_utf8_valid(cursor.text));
        if (token == CPL_TOKEN_KEY && cursor.text.n % 3 == 2) cpl_cursor_skip(&cursor);
    }
    good = cursor.token == CPL_TOKEN_END;
    MUST(good || cursor.message[0]);
    cpl_cursor_release(&cursor);
    return good;
}

static void write_again(const cpl_json *json) {
    cpl_json *again = NULL;
    cpl_buf once, twice;
    cpl_buf_init(&once, (size_t)1 << 26);
    cpl_buf_init(&twice, (size_t)1 << 26);
    cpl_json_write(json, &once);
    MUST(cpl_buf_ok(&once) && cpl_json_parse(cpl_buf_str(&once), &again, NULL) == CPL_OK);
    cpl_json_write(again, &twice);
    MUST(cpl_str_eq(cpl_buf_str(&once), cpl_buf_str(&twice)));
    cpl_json_free(again);
    cpl_buf_release(&once);
    cpl_buf_release(&twice);
}

static void check(cpl_str text, uint16_t shape, unsigned flags) {
    cpl_violation rows[4];
    cpl_violations found = {.rows = rows, .max = CPL_COUNT(rows)};
    cpl_error err = {0};
    char *copy = cpl_strdup(text);
    MUST(copy != NULL);
    if (cpl_model_check(copy, text.n, shape, flags, &found, &err) != CPL_OK) MUST(err.status == CPL_INVALID);
    for (size_t i = 0; i < found.count && i < found.max; i++) {
        cpl_buf told;
        cpl_buf_init(&told, 4096);
        cpl_violation_text(&rows[i], &told);
        MUST(cpl_buf_ok(&told) && told.n > 0);
        cpl_buf_release(&told);
    }
    cpl_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_str text = input_of(data, size);
    uint16_t shape = 0;
    cpl_json *tree = NULL;
    bool good;
    if (size > 0) {
        shape = (uint16_t)(data[0] * 2u % cpl_model_shape_count);
        text = cpl_str_sub(text, 1, size);
    }
    good = walk(text, 0);
    walk(text, shape);
    check(text, shape, size % 4);
    if (cpl_json_parse(text, &tree, NULL) == CPL_OK) {
        MUST(good); /* the other way round: keys that are repeated, and U+0000, are in no tree */
        write_again(tree);
        cpl_json_free(tree);
    }
    return 0;
}
