/* SPDX-License-Identifier: MIT */
#include "../../core/taken.h"

#include "test.h"

static bool is_fresh(cpl_taken *taken, const char *id, const char *nonce) {
    bool fresh = false;
    CHECK(cpl_taken_add(taken, id, nonce, &fresh, NULL) == CPL_OK);
    return fresh;
}

static bool number_is_fresh(cpl_taken *taken, int number) {
    char id[16];
    snprintf(id, sizeof id, "job-%d", number);
    return is_fresh(taken, id, "1");
}

TEST(t_taken__a_job_is_known_by_its_id_and_nonce) {
    cpl_taken taken = {0};
    CHECK(is_fresh(&taken, "a", "1"));
    CHECK(!is_fresh(&taken, "a", "1"));
    CHECK(is_fresh(&taken, "a", "2") && is_fresh(&taken, "a1", "") && is_fresh(&taken, "", "a1"));
    CHECK(!is_fresh(&taken, "a", "1") && !is_fresh(&taken, "a1", ""));
    cpl_taken_release(&taken);
    CHECK(is_fresh(&taken, "a", "1"));
    cpl_taken_release(&taken);
}

TEST(t_taken__the_last_thousands_are_remembered_and_those_long_ago_forgotten) {
    cpl_taken taken = {0};
    int fresh = 0, last = 3 * CPL_TAKEN_MIN;
    for (int i = 0; i < last; i++) fresh += number_is_fresh(&taken, i);
    CHECK(fresh == last);
    for (int i = last - CPL_TAKEN_MIN; i < last; i++) fresh += number_is_fresh(&taken, i);
    CHECK(fresh == last);
    CHECK(number_is_fresh(&taken, 0));
    CHECK(taken.now.count + taken.before.count <= 2 * CPL_TAKEN_MIN);
    cpl_taken_release(&taken);
}

TEST(t_taken__without_memory_nothing_is_taken) {
    cpl_taken taken = {0};
    bool fresh;
    CHECK(is_fresh(&taken, "a", "1"));
    for (int i = 0; i < 31; i++) CHECK(number_is_fresh(&taken, i)); /* the next one needs a larger table */
    (void)cpl_alloc_fail_at(1);
    CHECK(cpl_taken_add(&taken, "b", "1", &fresh, NULL) == CPL_NOMEM);
    (void)cpl_alloc_fail_at(0);
    CHECK(is_fresh(&taken, "b", "1") && !is_fresh(&taken, "a", "1"));
    cpl_taken_release(&taken);
}

TEST_MAIN
