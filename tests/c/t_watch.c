/* SPDX-License-Identifier: MIT */
#include "../../core/watch.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/err.h"
#include "test.h"

static atomic_int fetched;

/* An answer that takes a while; context: the status to answer, or NULL. */
static cpl_status fetch(void *context, const cpl_wait *wait, cpl_json **out, cpl_error *err) {
    const cpl_status *status = context;
    (void)wait;
    usleep(20000);
    atomic_fetch_add(&fetched, 1);
    *out = NULL;
    if (status) return cpl_fail(err, *status, "no");
    *out = cpl_json_new_number(atomic_load(&fetched));
    return *out ? CPL_OK : cpl_fail_nomem(err);
}

static double ask(cpl_watch *watch, const char *key, int64_t not_before) {
    const cpl_question question = {.key = key, .not_before = not_before, .fetch = fetch};
    cpl_answer *answer = NULL;
    cpl_error err = {0};
    double number;
    CHECK(cpl_watch_ask(watch, &question, NULL, &answer, &err) == CPL_OK);
    number = answer ? cpl_json_number(answer->document, 0) : 0;
    cpl_answer_drop(answer);
    return number;
}

TEST(t_watch__an_answer_serves_until_a_newer_one_is_wanted) {
    cpl_watch *watch = cpl_watch_new();
    int64_t then = cpl_watch_now(watch);
    atomic_store(&fetched, 0);
    CHECK(ask(watch, "a", then) == 1 && ask(watch, "a", then) == 1);
    CHECK(ask(watch, "b", then) == 2);
    CHECK(ask(watch, "a", cpl_watch_now(watch)) == 3 && ask(watch, "a", then) == 3);
    cpl_watch_free(watch);
}

TEST(t_watch__stamps_are_never_the_same_twice) {
    cpl_watch *watch = cpl_watch_new();
    int64_t last = cpl_watch_now(watch);
    for (int i = 0; i < 100000; i++) {
        int64_t next = cpl_watch_now(watch);
        if (!CHECK(next > last)) break;
        last = next;
    }
    cpl_watch_free(watch);
}

typedef struct asker {
    pthread_t thread;
    cpl_watch *watch;
    int64_t not_before;
    double got;
} asker;

static void *ask_in_thread(void *context) {
    asker *a = context;
    a->got = ask(a->watch, "a", a->not_before);
    return NULL;
}

TEST(t_watch__threads_that_ask_at_once_get_one_answer) {
    asker askers[16];
    cpl_watch *watch = cpl_watch_new();
    int64_t now = cpl_watch_now(watch);
    atomic_store(&fetched, 0);
    for (size_t i = 0; i < CPL_COUNT(askers); i++) {
        askers[i] = (asker){.watch = watch, .not_before = now};
        CHECK(pthread_create(&askers[i].thread, NULL, ask_in_thread, &askers[i]) == 0);
    }
    for (size_t i = 0; i < CPL_COUNT(askers); i++) {
        pthread_join(askers[i].thread, NULL);
        CHECK(askers[i].got == 1);
    }
    CHECK(atomic_load(&fetched) == 1);
    cpl_watch_free(watch);
}

TEST(t_watch__who_waits_for_another_minds_its_own_time_limit) {
    const cpl_question question = {.key = "a", .not_before = INT64_MAX / 2, .fetch = fetch};
    const cpl_wait wait = {.timeout_ms = 30};
    cpl_watch *watch = cpl_watch_new();
    cpl_answer *answer = NULL;
    cpl_error err = {0};
    CHECK(cpl_watch_ask(watch, &question, &wait, &answer, &err) == CPL_TIMEOUT && answer == NULL);
    cpl_watch_free(watch);
}

TEST(t_watch__requests_keep_their_distance) {
    const cpl_question questions[] = {{.key = "a", .spacing_ms = 60, .fetch = fetch},
                                      {.key = "b", .spacing_ms = 60, .fetch = fetch},
                                      {.key = "c", .spacing_ms = 60, .fetch = fetch}};
    cpl_watch *watch = cpl_watch_new();
    cpl_answer *answer = NULL;
    cpl_error err = {0};
    int64_t begin = cpl_clock_monotonic_ms();
    for (size_t i = 0; i < CPL_COUNT(questions); i++) {
        CHECK(cpl_watch_ask(watch, &questions[i], NULL, &answer, &err) == CPL_OK);
        cpl_answer_drop(answer);
    }
    CHECK(cpl_clock_monotonic_ms() - begin >= 120);
    cpl_watch_free(watch);
}

TEST(t_watch__a_failure_is_nobodys_answer) {
    cpl_status status = CPL_NETWORK;
    const cpl_question bad = {.key = "a", .fetch = fetch, .context = &status};
    cpl_watch *watch = cpl_watch_new();
    cpl_answer *answer = NULL;
    cpl_error err = {0};
    atomic_store(&fetched, 0);
    CHECK(cpl_watch_ask(watch, &bad, NULL, &answer, &err) == CPL_NETWORK && answer == NULL);
    CHECK(ask(watch, "a", 0) == 2);
    cpl_watch_free(watch);
}

TEST(t_watch__a_forked_child_asks_for_itself) {
    cpl_watch *watch = cpl_watch_new();
    int64_t now = cpl_watch_now(watch);
    int status = -1;
    pid_t child;
    atomic_store(&fetched, 0);
    CHECK(ask(watch, "a", now) == 1);
    fflush(stdout);
    child = fork();
    if (child == 0) _exit(ask(watch, "a", now) == 2 && ask(watch, "a", now) == 2 ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(ask(watch, "a", now) == 1);
    cpl_watch_free(watch);
}

TEST(t_watch__it_counts_who_looks_at_a_subject) {
    cpl_watch *watch = cpl_watch_new();
    CHECK(cpl_watch_count(watch, "site", 1) == 1 && cpl_watch_count(watch, "site", 1) == 2);
    CHECK(cpl_watch_count(watch, "other", 0) == 0);
    CHECK(cpl_watch_count(watch, "site", -1) == 1 && cpl_watch_count(watch, "site", -5) == 0);
    cpl_watch_free(watch);
}

TEST_MAIN
