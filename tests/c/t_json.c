/* SPDX-License-Identifier: MIT */
#include "../../core/json.h"

#include <dirent.h>
#include <locale.h>

#include "../../core/model.h"
#include "test.h"

/* The tokens of a document as letters, text and numbers in between; "!" and the message for an error. */
static const char *trace(cpl_str document, uint16_t shape) {
    static char out[4096];
    static const char letters[] = ".{}[]ksintTF0!";
    cpl_cursor c;
    size_t n = 0;
    cpl_cursor_init_shape(&c, document, shape);
    do {
        cpl_token t = cpl_cursor_next(&c);
        n += (size_t)snprintf(out + n, sizeof out - n, "%c", letters[t]);
        if (t == CPL_TOKEN_KEY || t == CPL_TOKEN_STRING) {
            n += (size_t)snprintf(out + n, sizeof out - n, "(%.*s)", (int)c.text.n, c.text.p);
        }
        if (t == CPL_TOKEN_INTEGER) n += (size_t)snprintf(out + n, sizeof out - n, "%lld ", (long long)c.integer);
        if (t == CPL_TOKEN_NUMBER || t == CPL_TOKEN_TIMESTAMP)
            n += (size_t)snprintf(out + n, sizeof out - n, "%.17g ", c.number);
        if (t == CPL_TOKEN_ERROR) snprintf(out + n, sizeof out - n, "%s", c.message);
    } while (c.token != CPL_TOKEN_END && c.token != CPL_TOKEN_ERROR && n < 3900);
    cpl_cursor_release(&c);
    return out;
}

TEST(t_cursor__walks_all_kinds_of_values) {
    CHECK_STR(trace(CPL_LIT(" { \"a\" : [ 1 , -2.5e1, \"x\\n\\u00e9\\ud83d\\ude00\" ], \"b\":{}, \"c\":[], "
                            "\"d\":null,\"e\":true,\"f\":false} "),
                    0),
              "{k(a)[i1 n-25 s(x\n\xc3\xa9\xf0\x9f\x98\x80)]k(b){}k(c)[]k(d)0k(e)Tk(f)F}.");
    CHECK_STR(trace(CPL_LIT("9007199254740993"), 0), "i9007199254740993 .");
    CHECK_STR(trace(CPL_LIT("9223372036854775808"), 0), "n9.2233720368547758e+18 .");
    CHECK_STR(trace(CPL_LIT("-0"), 0), "i0 .");
}

TEST(t_cursor__says_what_is_wrong_and_where) {
    CHECK_STR(trace(CPL_LIT("{\"a\":01}"), 0), "{k(a)!number with a leading zero at byte 7");
    CHECK_STR(trace(CPL_LIT("[1,]"), 0), "[i1 !not a value at byte 3");
    CHECK_STR(trace(CPL_LIT("{\"a\" 1}"), 0), "{!expected ':' at byte 5");
    CHECK_STR(trace(CPL_LIT("\"a\x01\""), 0), "!control character in a string at byte 2");
    CHECK_STR(trace(CPL_LIT("\"\\ud800\""), 0), "!bad escape in a string at byte 7");
    CHECK_STR(trace(CPL_LIT("\"\xff\""), 0), "!text is not UTF-8 at byte 2");
    CHECK_STR(trace(CPL_LIT("[1] 2"), 0), "[i1 ]!text after the document at byte 4");
    CHECK_STR(trace(CPL_LIT("[1"), 0), "[i1 !unfinished document at byte 2");
    CHECK_STR(trace(CPL_LIT("1e400"), 0), "!number too large at byte 5");
    CHECK_STR(trace(CPL_LIT(""), 0), "!unfinished document at byte 0");
}

TEST(t_cursor__an_error_stays) {
    cpl_cursor c;
    cpl_cursor_init(&c, CPL_LIT("[x"));
    cpl_cursor_next(&c);
    for (int i = 0; i < 3; i++) CHECK(cpl_cursor_next(&c) == CPL_TOKEN_ERROR);
    cpl_cursor_release(&c);
    cpl_cursor_release(&c);
}

TEST(t_cursor__has_64_levels_and_no_more) {
    char deep[200] = {0};
    memset(deep, '[', 64);
    memset(deep + 64, ']', 64);
    CHECK(strchr(trace(cpl_str_of(deep), 0), '!') == NULL);
    memset(deep, '[', 65);
    CHECK(strstr(trace(cpl_str_of(deep), 0), "more than 64 levels") != NULL);
}

TEST(t_cursor__keeps_nul_inside_text) {
    cpl_cursor c;
    cpl_cursor_init(&c, CPL_LIT("\"a\\u0000b\""));
    CHECK(cpl_cursor_next(&c) == CPL_TOKEN_STRING && c.text.n == 3 && memcmp(c.text.p, "a\0b", 3) == 0);
    cpl_cursor_release(&c);
}

TEST(t_cursor__skips_to_the_end_of_what_was_begun) {
    cpl_cursor c;
    cpl_cursor_init(&c, CPL_LIT("{\"a\":[1,[2]],\"b\":{\"x\":1},\"c\":3}"));
    cpl_cursor_next(&c);
    CHECK(cpl_cursor_next(&c) == CPL_TOKEN_KEY);
    cpl_cursor_skip(&c); /* all of a's value */
    CHECK(cpl_cursor_next(&c) == CPL_TOKEN_KEY && cpl_str_is(c.text, "b"));
    CHECK(cpl_cursor_next(&c) == CPL_TOKEN_OBJECT && cpl_cursor_skip(&c) == CPL_TOKEN_OBJECT_END);
    CHECK(cpl_cursor_next(&c) == CPL_TOKEN_KEY && cpl_str_is(c.text, "c"));
    cpl_cursor_release(&c);
}

TEST(t_cursor__typed_by_the_model_passes_over_what_it_does_not_know) {
    uint16_t shape = cpl_model_shape_named("ListPipelinesOutput");
    NEED(shape != 0);
    CHECK_STR(
        trace(
            CPL_LIT("{\"new\":{\"name\":[1]},\"pipelines\":[{\"created\":1500000000.5,\"name\":\"a\",\"updated\":null,"
                    "\"version\":3,\"x\":null}],\"nextToken\":null}"),
            shape),
        "{k(pipelines)[{k(created)t1500000000.5 k(name)s(a)k(version)i3 }]}.");
    CHECK_STR(
        trace(CPL_LIT("{\"pipelines\":[{\"created\":\"2015-08-30T12:36:00Z\"},{\"created\":\"15e1\"},{\"created\":"
                      "\"1\\u0078\"},"
                      "{\"created\":\"now\",\"name\":\"15\"}]}"),
              shape),
        "{k(pipelines)[{k(created)t1440938160 }{k(created)t150 }{k(created)s(1x)}{k(created)s(now)k(name)s(15)}]}.");
    CHECK_STR(trace(CPL_LIT("{\"pipelines\":{\"created\":1}}"), shape), "{k(pipelines){k(created)i1 }}.");
}

TEST(t_cursor__marks_what_must_not_be_shown) {
    cpl_cursor c;
    cpl_cursor_init_shape(&c, CPL_LIT("{\"accessKeyId\":\"AK\",\"secretAccessKey\":\"S\"}"),
                          cpl_model_shape_named("AWSSessionCredentials"));
    CHECK(cpl_cursor_next(&c) == CPL_TOKEN_OBJECT);
    CHECK(cpl_cursor_next(&c) == CPL_TOKEN_KEY && c.sensitive);
    CHECK(cpl_cursor_next(&c) == CPL_TOKEN_STRING && c.sensitive);
    cpl_cursor_release(&c);
}

TEST(t_cursor__reads_numbers_the_same_in_a_locale_with_a_decimal_comma) {
    const char *had = setlocale(LC_NUMERIC, NULL);
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE"};
    bool set = false;
    char keep[64];
    snprintf(keep, sizeof keep, "%s", had);
    for (size_t i = 0; i < CPL_COUNT(commas) && !set; i++) set = setlocale(LC_NUMERIC, commas[i]) != NULL;
    CHECK_STR(trace(CPL_LIT("0.1234567890123456789"), 0), set ? "n0,12345678901234568 ." : "n0.12345678901234568 .");
    cpl_buf b;
    cpl_buf_init(&b, 100);
    cpl_json_add_number(&b, 0.5);
    CHECK_STR(cpl_buf_cstr(&b), "0.5");
    cpl_buf_release(&b);
    setlocale(LC_NUMERIC, keep);
    if (!set) SKIP("no locale with a decimal comma is installed");
}

TEST(t_writer__makes_a_document) {
    cpl_writer *w = cpl_writer_new();
    cpl_str text;
    cpl_write_object(w);
    cpl_write_key(w, CPL_LIT("a"));
    cpl_write_array(w);
    cpl_write_integer(w, INT64_MIN);
    cpl_write_number(w, 0.1);
    cpl_write_number(w, 1e21);
    cpl_write_end(w);
    cpl_write_key(w, CPL_LIT("b\""));
    cpl_write_string(w, CPL_LIT("x\n\x01\\"));
    cpl_write_key(w, CPL_LIT("c"));
    cpl_write_null(w);
    cpl_write_end(w);
    CHECK(cpl_writer_text(w, &text, NULL) == CPL_OK);
    CHECK(cpl_str_is(text, "{\"a\":[-9223372036854775808,0.1,1e+21],\"b\\\"\":\"x\\n\\u0001\\\\\",\"c\":null}"));
    cpl_writer_free(w);
}

TEST(t_writer__remembers_the_first_call_that_made_no_document) {
    cpl_writer *w = cpl_writer_new();
    cpl_error err;
    cpl_str text;
    cpl_write_object(w);
    cpl_write_string(w, CPL_LIT("no key"));
    cpl_write_end(w);
    CHECK(cpl_writer_text(w, &text, &err) == CPL_INVALID);
    CHECK_STR(err.message, "a value in an object needs a key");
    cpl_writer_clear(w);
    cpl_write_string(w, CPL_LIT("\xff"));
    CHECK(cpl_writer_text(w, &text, &err) == CPL_INVALID);
    cpl_writer_clear(w);
    cpl_write_number(w, 1.0 / 0.0);
    CHECK(cpl_writer_text(w, &text, &err) == CPL_INVALID);
    cpl_writer_clear(w);
    cpl_write_array(w);
    CHECK(cpl_writer_text(w, &text, &err) == CPL_INVALID);
    CHECK_STR(err.message, "the document is not complete");
    cpl_writer_clear(w);
    for (int i = 0; i < 70; i++) cpl_write_array(w);
    CHECK(cpl_writer_text(w, &text, &err) == CPL_INVALID);
    cpl_writer_free(w);
}

TEST(t_document__text_to_tree_and_back_is_the_same) {
    static const char text[] = "{\"a\":[1,2.5,\"x\\u0001\",true,false,null,{}],\"big\":9007199254740993,\"e\":[]}";
    cpl_json *json;
    cpl_buf b;
    cpl_buf_init(&b, 10000);
    NEED(cpl_json_parse(cpl_str_of(text), &json, NULL) == CPL_OK);
    cpl_json_write(json, &b);
    CHECK_STR(cpl_buf_cstr(&b), text);
    cpl_json *copy = cpl_json_clone(json);
    cpl_buf_clear(&b);
    cpl_json_write(copy, &b);
    CHECK_STR(cpl_buf_cstr(&b), text);
    cpl_json_free(copy);
    cpl_json_free(json);
    cpl_buf_release(&b);
}

TEST(t_document__is_edited_by_exact_names) {
    cpl_json *json = cpl_json_new_object();
    cpl_json_set_cstr(json, "Name", "upper");
    CHECK(cpl_json_get(json, "name") == NULL);
    cpl_json_set_cstr(json, "name", "lower");
    cpl_json_set_cstr(json, "name", "second");
    CHECK(cpl_json_count(json) == 2);
    CHECK_STR(cpl_json_get_cstr(json, "name", NULL), "second");
    cpl_json_set(json, "list", cpl_json_new_array());
    cpl_json_push(cpl_json_get(json, "list"), cpl_json_new_number(4));
    CHECK(cpl_json_number(cpl_json_at(cpl_json_get(json, "list"), 0), 0) == 4);
    CHECK(!cpl_json_push(json, cpl_json_new_null()));
    CHECK(!cpl_json_set(json, "x", NULL));
    cpl_json_remove(json, "list");
    CHECK(cpl_json_get_path(json, "list.x") == NULL);
    cpl_json_free(json);
}

TEST(t_document__refuses_repeated_keys_nul_and_what_is_not_json) {
    cpl_json *json;
    cpl_error err;
    CHECK(cpl_json_parse(CPL_LIT("{\"a\":1,\"a\":2}"), &json, &err) == CPL_INVALID && json == NULL);
    CHECK_STR(err.message, "the key \"a\" stands twice before byte 11");
    CHECK(cpl_json_parse(CPL_LIT("[\"\\u0000\"]"), &json, &err) == CPL_INVALID);
    CHECK(cpl_json_parse(CPL_LIT("{"), &json, &err) == CPL_INVALID);
    CHECK_STR(err.message, "not JSON: expected a key at byte 1");
}

TEST(t_document__running_out_of_memory_leaves_nothing_behind) {
    static const char text[] = "{\"a\":[1,\"x\",{\"b\":\"a longer text with an escape \\u00e9\"}]}";
    for (size_t n = 1; n < 200; n++) {
        cpl_json *json;
        cpl_status status;
        cpl_alloc_fail_at(n);
        status = cpl_json_parse(cpl_str_of(text), &json, NULL);
        size_t made = cpl_alloc_fail_at(0);
        CHECK((status == CPL_OK) == (json != NULL));
        cpl_json_free(json);
        if (made < n) return;
        CHECK(status == CPL_NOMEM);
    }
}

static bool accepts(cpl_str text) {
    cpl_cursor c;
    cpl_token t;
    cpl_cursor_init(&c, text);
    do t = cpl_cursor_next(&c);
    while (t != CPL_TOKEN_END && t != CPL_TOKEN_ERROR);
    cpl_cursor_release(&c);
    return t == CPL_TOKEN_END;
}

/* Of the texts that RFC 8259 leaves open; all others are refused. docs/adr/0004 says why. */
static bool is_open_and_accepted(const char *name) {
    static const char *const names[] = {"i_number_double_huge_neg_exp.json", "i_number_real_underflow.json",
                                        "i_number_too_big_neg_int.json", "i_number_too_big_pos_int.json",
                                        "i_number_very_big_negative_int.json"};
    for (size_t i = 0; i < CPL_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) return true;
    }
    return false;
}

TEST(t_cursor__agrees_with_the_json_test_suite) {
    const char *license = test_suite_path("json-testsuite/LICENSE");
    char folder[1024], path[2048];
    DIR *dir;
    int seen[3] = {0};
    if (license == NULL) SKIP("suites/json-testsuite is not there");
    snprintf(folder, sizeof folder, "%.*s/test_parsing", (int)(strrchr(license, '/') - license), license);
    NEED((dir = opendir(folder)) != NULL);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        size_t n;
        char *text, kind = e->d_name[0];
        if (e->d_name[0] == '\0' || e->d_name[1] != '_') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        text = test_read_file(path, &n);
        NEED(text != NULL);
        bool yes = accepts((cpl_str){text, n});
        seen[kind == 'y' ? 0 : kind == 'n' ? 1 : 2]++;
        if (yes != (kind == 'y' || is_open_and_accepted(e->d_name))) {
            printf("  %s: %s\n", e->d_name, yes ? "accepted" : "refused");
            test_failures++;
        }
        free(text);
    }
    closedir(dir);
    CHECK(seen[0] == 95 && seen[1] == 188 && seen[2] == 35);
}

TEST_MAIN
