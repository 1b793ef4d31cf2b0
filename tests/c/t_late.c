/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "../../core/late.h"

#include "test.h"

#define FUNCTIONS(X) X(fabs) X(hypot)
#define NOT_THERE "libcpl-not-there.so.9"

static const char *const names[] = {FUNCTIONS(CPL_LATE_NAME)};

typedef struct table {
    FUNCTIONS(CPL_LATE_POINTER)
} table;

TEST(t_late__fills_the_table) {
    table lib = {FUNCTIONS(CPL_LATE_ITSELF)};
    cpl_late library = {"mathematics", {"libm.so.6"}, names, CPL_COUNT(names), &lib, PTHREAD_ONCE_INIT, ""};
    CHECK(lib.fabs == NULL);
    NEED(cpl_late_need(&library, NULL) == CPL_OK);
    CHECK(lib.fabs(-3) == 3 && lib.hypot(3, 4) == 5);
    CHECK(cpl_late_need(&library, NULL) == CPL_OK);
}

TEST(t_late__takes_the_other_name_when_there_is_nothing_of_the_first) {
    table lib = {FUNCTIONS(CPL_LATE_ITSELF)};
    cpl_late library = {"mathematics", {NOT_THERE, "libm.so.6"}, names, CPL_COUNT(names), &lib, PTHREAD_ONCE_INIT, ""};
    NEED(cpl_late_need(&library, NULL) == CPL_OK);
    CHECK(lib.hypot(3, 4) == 5);
}

TEST(t_late__names_the_library_that_is_missing_each_time) {
    table lib;
    cpl_late library = {"nothing", {NOT_THERE, NOT_THERE}, names, CPL_COUNT(names), &lib, PTHREAD_ONCE_INIT, ""};
    for (int i = 0; i < 2; i++) {
        cpl_error err = {0};
        CHECK(cpl_late_need(&library, &err) == CPL_IO);
        CHECK(strstr(err.message, "nothing cannot be loaded: " NOT_THERE ": ") == err.message);
    }
}

TEST(t_late__names_the_function_that_a_library_lacks) {
    static const char *const wrong[] = {"fabs", "cpl_no_such_function", "nor_this_one"};
    void *lib[CPL_COUNT(wrong)];
    cpl_late library = {"mathematics", {"libm.so.6"}, wrong, CPL_COUNT(wrong), lib, PTHREAD_ONCE_INIT, ""};
    cpl_error err;
    CHECK(cpl_late_need(&library, &err) == CPL_IO);
    CHECK(strstr(err.message, "cpl_no_such_function") != NULL);
}

TEST_MAIN
