/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "../../core/buf.h"
#include "../../core/clock.h"
#include "../../core/err.h"

#include "test.h"

TEST(t_buf__keeps_a_nul_behind_what_was_added) {
    cpl_buf b;
    cpl_buf_init(&b, 100);
    CHECK_STR(cpl_buf_cstr(&b), "");
    cpl_buf_adds(&b, "a");
    cpl_buf_addf(&b, "%d-%s", 12, "x");
    cpl_buf_addc(&b, '!');
    CHECK_STR(cpl_buf_cstr(&b), "a12-x!");
    cpl_buf_truncate(&b, 1);
    CHECK_STR(cpl_buf_cstr(&b), "a");
    cpl_buf_release(&b);
}

TEST(t_buf__append_past_the_limit_fails_and_stays_failed) {
    cpl_buf b;
    cpl_error err;
    cpl_buf_init(&b, 4);
    cpl_buf_adds(&b, "abcd");
    CHECK(cpl_buf_ok(&b));
    cpl_buf_addc(&b, 'e');
    CHECK(!cpl_buf_ok(&b) && b.n == 0);
    cpl_buf_adds(&b, "x");
    CHECK(b.n == 0 && cpl_buf_detach(&b) == NULL);
    CHECK(cpl_buf_status(&b, "the name", &err) == CPL_TOO_LARGE);
    CHECK_STR(err.message, "the name is larger than 4 bytes");
    cpl_buf_clear(&b);
    cpl_buf_adds(&b, "ok");
    CHECK_STR(cpl_buf_cstr(&b), "ok");
    cpl_buf_release(&b);
}

TEST(t_buf__out_of_memory_is_remembered) {
    cpl_buf b;
    cpl_buf_init(&b, 1000);
    cpl_alloc_fail_at(1);
    cpl_buf_adds(&b, "abc");
    cpl_alloc_fail_at(0);
    CHECK(b.failed == CPL_NOMEM);
    cpl_buf_release(&b);
}

TEST(t_buf__percent_encodes_all_but_the_unreserved) {
    cpl_buf b;
    cpl_buf_init(&b, 1000);
    cpl_buf_add_uri(&b, CPL_LIT("a/b c~\xc3\xa9"), true);
    cpl_buf_addc(&b, ' ');
    cpl_buf_add_uri(&b, CPL_LIT("a/b"), false);
    cpl_buf_add_hex(&b, "\x01\xff", 2);
    CHECK_STR(cpl_buf_cstr(&b), "a/b%20c~%C3%A9 a%2Fb01ff");
    cpl_buf_release(&b);
}

TEST(t_str__reads_integers_up_to_the_edges_of_64_bits) {
    int64_t n = 7;
    CHECK(cpl_str_integer(CPL_LIT("9223372036854775807"), &n) && n == INT64_MAX);
    CHECK(cpl_str_integer(CPL_LIT("-9223372036854775808"), &n) && n == INT64_MIN);
    CHECK(!cpl_str_integer(CPL_LIT("9223372036854775808"), &n));
    CHECK(!cpl_str_integer(CPL_LIT("-9223372036854775809"), &n));
    CHECK(!cpl_str_integer(CPL_LIT(""), &n) && !cpl_str_integer(CPL_LIT("-"), &n) &&
          !cpl_str_integer(CPL_LIT("1x"), &n));
    CHECK(n == INT64_MIN);
}

TEST(t_str__compares_cuts_and_trims) {
    CHECK(cpl_str_is_nocase(CPL_LIT("Content-Type"), "content-type"));
    CHECK(!cpl_str_is_nocase(CPL_LIT("Content-Typ"), "content-type"));
    CHECK(cpl_str_is(cpl_str_trim(CPL_LIT(" \tx y ")), "x y"));
    CHECK(cpl_str_cmp(CPL_LIT("a"), CPL_LIT("ab")) < 0 && cpl_str_cmp(CPL_LIT("b"), CPL_LIT("ab")) > 0);
    CHECK(cpl_str_starts(CPL_LIT("abc"), "ab") && cpl_str_ends(CPL_LIT("abc"), "bc") &&
          !cpl_str_ends(CPL_LIT("c"), "bc"));
    CHECK(cpl_str_find(CPL_LIT("abc"), 'c') == 2 && cpl_str_find(CPL_LIT("abc"), 'x') == 3);
}

TEST(t_utf8__refuses_overlong_surrogate_and_truncated_sequences) {
    static const char *const bad[] = {"\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xc3",     "\x80",         "\xff"};
    CHECK(cpl_utf8_valid(CPL_LIT("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    for (size_t i = 0; i < CPL_COUNT(bad); i++) CHECK(!cpl_utf8_valid(cpl_str_of(bad[i])));
    CHECK(cpl_utf8_cut(CPL_LIT("a\xe2\x82\xac"), 3) == 1);
    CHECK(cpl_utf8_length(CPL_LIT("a\xe2\x82\xac")) == 2);
}

TEST(t_err__a_message_that_is_too_long_is_cut_at_a_character) {
    cpl_error err;
    char text[2000];
    memset(text, 'x', sizeof text);
    memcpy(text + 1022, "\xe2\x82\xac", 4);
    cpl_fail_at(&err, CPL_INVALID, "a.b", "%s", text);
    CHECK(strlen(err.message) == 1022 && cpl_utf8_valid(cpl_str_of(err.message)));
    CHECK_STR(err.path, "a.b");
    CHECK_STR(cpl_status_name(err.status), "INVALID");
    cpl_fail(&err, CPL_IO, "again: %s", err.path); /* may be made from its own parts */
    CHECK_STR(err.message, "again: a.b");
    CHECK_STR(err.path, "");
    CHECK(cpl_fail(NULL, CPL_IO, "nobody asks") == CPL_IO);
}

TEST(t_clock__writes_and_reads_the_three_forms) {
    char basic[CPL_TIME_BASIC_SIZE], iso[CPL_TIME_ISO_SIZE], http[CPL_TIME_HTTP_SIZE];
    double back;
    cpl_time_basic(1440938160, basic);
    cpl_time_iso(1440938160, iso);
    cpl_time_http(1440938160, http);
    CHECK_STR(basic, "20150830T123600Z");
    CHECK_STR(iso, "2015-08-30T12:36:00Z");
    CHECK_STR(http, "Sun, 30 Aug 2015 12:36:00 GMT");
    CHECK(cpl_time_parse(cpl_str_of(basic), &back) && back == 1440938160);
    CHECK(cpl_time_parse(cpl_str_of(iso), &back) && back == 1440938160);
    CHECK(cpl_time_parse(cpl_str_of(http), &back) && back == 1440938160);
    CHECK(cpl_time_parse(CPL_LIT("2015-08-30T14:36:00.5+02:00"), &back) && back == 1440938160.5);
    CHECK(cpl_time_parse(CPL_LIT("1969-12-31T23:59:59Z"), &back) && back == -1);
    cpl_time_iso(-1, iso);
    CHECK_STR(iso, "1969-12-31T23:59:59Z");
    cpl_time_iso(2147483648, iso);
    CHECK_STR(iso, "2038-01-19T03:14:08Z");
    cpl_time_iso(1709164800, iso);
    CHECK_STR(iso, "2024-02-29T00:00:00Z");
}

TEST(t_clock__seconds_in_the_calendar_are_rounded_to_even_microseconds) {
    static const struct {
        double seconds;
        cpl_civil want;
    } rows[] = {{0, {1970, 1, 1, 0, 0, 0, 4, 0}},
                {1440938160.25, {2015, 8, 30, 12, 36, 0, 0, 250000}},
                {-0.5, {1969, 12, 31, 23, 59, 59, 3, 500000}},
                {1709164799.9999999, {2024, 2, 29, 0, 0, 0, 4, 0}},
                {5e-7, {1970, 1, 1, 0, 0, 0, 4, 0}},
                {1.5e-6, {1970, 1, 1, 0, 0, 0, 4, 2}},
                {-62135596800.0, {1, 1, 1, 0, 0, 0, 1, 0}},
                {253402300799.0, {9999, 12, 31, 23, 59, 59, 5, 0}}};
    cpl_civil got;
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        CHECK(cpl_civil_of(rows[i].seconds, &got) && memcmp(&got, &rows[i].want, sizeof got) == 0);
    }
    CHECK(!cpl_civil_of(-62135596801.0, &got) && !cpl_civil_of(253402300800.0, &got));
    CHECK(!cpl_civil_of((double)NAN, &got) && !cpl_civil_of((double)INFINITY, &got));
}

TEST(t_clock__refuses_what_is_no_time) {
    static const char *const bad[] = {"",           "yesterday",     "2015-13-01T00:00:00Z",
                                      "2015-08-30", "20150830T1236", "2015-08-30T12:36:00Zx"};
    double back;
    for (size_t i = 0; i < CPL_COUNT(bad); i++) CHECK(!cpl_time_parse(cpl_str_of(bad[i]), &back));
}

static int stop_at_third(void *context) {
    return ++*(int *)context == 3;
}

TEST(t_clock__sleep_ends_when_the_tick_says_so) {
    int asked = 0;
    cpl_wait wait = {.tick = stop_at_third, .context = &asked};
    cpl_error err;
    int64_t begin = cpl_clock_monotonic_ms();
    CHECK(cpl_clock_sleep(60000, &wait, &err) == CPL_CANCELLED);
    CHECK(asked == 3 && cpl_clock_monotonic_ms() - begin < 5000);
    CHECK(cpl_clock_sleep(1, NULL, NULL) == CPL_OK);
}

TEST_MAIN
