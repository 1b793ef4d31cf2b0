/* SPDX-License-Identifier: MIT */
/* When sets are renewed, by whom, and what happens when that fails; the time is the test's. */
#include <stdatomic.h>
#include <sys/wait.h>

#include "creds_world.h"

#define LIFE_S 3600

/* ---- a provider of the test's own ---- */

typedef struct provider {
    cpl_creds *creds;
    int64_t life_s; /* 0: for ever */
    _Atomic int64_t now_s;
    atomic_int calls, inside, together;
    atomic_bool failing, held, entered;
    pid_t pid; /* held in this process only */
} provider;

static cpl_status fetch(void *context, cpl_keys *keys, cpl_error *err) {
    provider *p = context;
    int n = atomic_fetch_add(&p->calls, 1) + 1;
    if (atomic_fetch_add(&p->inside, 1) > 0) atomic_fetch_add(&p->together, 1);
    atomic_store(&p->entered, true);
    while (atomic_load(&p->held) && getpid() == p->pid) usleep(1000);
    snprintf(keys->access_key_id, sizeof keys->access_key_id, "A%d", n);
    snprintf(keys->secret_access_key, sizeof keys->secret_access_key, "S%d", n);
    snprintf(keys->session_token, sizeof keys->session_token, "T%d", n);
    keys->expires_s = p->life_s ? atomic_load(&p->now_s) + p->life_s : 0;
    atomic_fetch_sub(&p->inside, 1);
    return atomic_load(&p->failing) ? cpl_fail(err, CPL_CREDENTIALS, "nobody knows them") : CPL_OK;
}

static bool begin(provider *p, int64_t life_s) {
    const cpl_creds_options options = {.source = {.keys = fetch, .context = p}};
    *p = (provider){.life_s = life_s, .pid = getpid()};
    return CHECK(cpl_creds_open(&p->creds, &options, NULL) == CPL_OK);
}

/* The number of the refresh that the set at that time is from; 0 when there is none. */
static int at(provider *p, int64_t now_s) {
    const cpl_creds_set *set;
    int n;
    atomic_store(&p->now_s, now_s);
    if (cpl_creds_acquire(p->creds, now_s, NULL, &set, NULL)) return 0;
    n = (int)strtol(set->view.access_key_id.p + 1, NULL, 10);
    cpl_creds_drop(set);
    return n;
}

static void *hold_a_refresh(void *context) {
    provider *p = context;
    const cpl_creds_set *set;
    if (cpl_creds_acquire(p->creds, atomic_load(&p->now_s), NULL, &set, NULL) == CPL_OK) cpl_creds_drop(set);
    return NULL;
}

static void start_held(provider *p, pthread_t *thread, int64_t now_s) {
    atomic_store(&p->now_s, now_s);
    atomic_store(&p->entered, false);
    atomic_store(&p->held, true);
    pthread_create(thread, NULL, hold_a_refresh, p);
    while (!atomic_load(&p->entered)) usleep(1000);
}

/* ---- windows ---- */

TEST(t_creds_refresh__a_set_is_renewed_from_15_minutes_before_its_end) {
    provider p;
    if (!begin(&p, LIFE_S)) return;
    CHECK(at(&p, 0) == 1);
    CHECK(at(&p, LIFE_S - 901) == 1);
    CHECK(at(&p, LIFE_S - 900) == 2);
    CHECK(at(&p, LIFE_S - 899) == 2);
    cpl_creds_free(p.creds);
}

TEST(t_creds_refresh__a_set_without_an_end_is_never_renewed) {
    provider p;
    if (!begin(&p, 0)) return;
    CHECK(at(&p, 0) == 1);
    CHECK(at(&p, INT64_MAX / 2) == 1);
    CHECK(atomic_load(&p.calls) == 1);
    cpl_creds_free(p.creds);
}

TEST(t_creds_refresh__a_short_life_is_not_renewed_at_every_call) {
    provider p;
    if (!begin(&p, 300)) return;
    for (int64_t now_s = 0; now_s < 60; now_s++) CHECK(at(&p, now_s) == 1);
    CHECK(at(&p, 60) == 2);
    cpl_creds_free(p.creds);
}

TEST(t_creds_refresh__a_failure_leaves_the_old_set_until_its_end) {
    provider p;
    const cpl_creds_set *set;
    cpl_error err;
    if (!begin(&p, LIFE_S)) return;
    CHECK(at(&p, 0) == 1);
    atomic_store(&p.failing, true);
    CHECK(at(&p, 2700) == 1);
    CHECK(atomic_load(&p.calls) == 2);
    CHECK(at(&p, 2729) == 1);
    CHECK(atomic_load(&p.calls) == 2);
    CHECK(at(&p, 2730) == 1);
    CHECK(atomic_load(&p.calls) == 3);
    CHECK(at(&p, 3599) == 1); /* everybody would have to wait by now, but it is valid */
    CHECK(cpl_creds_acquire(p.creds, 3600, NULL, &set, &err) == CPL_CREDENTIALS);
    CHECK(set == NULL);
    CHECK_STR(err.message, "nobody knows them");
    atomic_store(&p.failing, false);
    CHECK(at(&p, 3601) == 6);
    cpl_creds_free(p.creds);
}

TEST(t_creds_refresh__a_set_that_has_expired_already_is_a_failure) {
    provider p;
    const cpl_creds_set *set;
    cpl_error err;
    if (!begin(&p, -1)) return;
    CHECK(cpl_creds_acquire(p.creds, 100, NULL, &set, &err) == CPL_CREDENTIALS);
    CHECK_STR(err.message, "the credentials found (provider) have expired");
    cpl_creds_free(p.creds);
}

static int stop_at_once(void *context) {
    (void)context;
    return 1;
}

TEST(t_creds_refresh__others_use_the_old_set_early_and_wait_late) {
    const cpl_wait soon = {.timeout_ms = 30}, cancel = {.tick = stop_at_once};
    const cpl_creds_set *set;
    pthread_t thread;
    provider p;
    if (!begin(&p, LIFE_S)) return;
    CHECK(at(&p, 0) == 1);
    start_held(&p, &thread, 2700);
    CHECK(at(&p, 2700) == 1);
    CHECK(cpl_creds_acquire(p.creds, 3000, &soon, &set, NULL) == CPL_TIMEOUT);
    CHECK(cpl_creds_acquire(p.creds, 3000, &cancel, &set, NULL) == CPL_CANCELLED);
    CHECK(set == NULL);
    atomic_store(&p.held, false);
    pthread_join(thread, NULL);
    CHECK(at(&p, 2700) == 2);
    cpl_creds_free(p.creds);
}

TEST(t_creds_refresh__those_who_waited_share_the_failure) {
    const cpl_creds_set *set;
    pthread_t first, more[8];
    provider p;
    if (!begin(&p, LIFE_S)) return;
    atomic_store(&p.failing, true);
    start_held(&p, &first, 0);
    for (size_t i = 0; i < CPL_COUNT(more); i++) pthread_create(&more[i], NULL, hold_a_refresh, &p);
    usleep(50000);
    atomic_store(&p.held, false);
    pthread_join(first, NULL);
    for (size_t i = 0; i < CPL_COUNT(more); i++) pthread_join(more[i], NULL);
    CHECK(atomic_load(&p.calls) <= 3); /* one, and whoever was late to look */
    CHECK(atomic_load(&p.together) == 0);
    CHECK(cpl_creds_acquire(p.creds, 0, NULL, &set, NULL) == CPL_CREDENTIALS);
    cpl_creds_free(p.creds);
}

TEST(t_creds_refresh__a_fork_in_the_middle_of_a_refresh_leaves_the_child_free) {
    pthread_t thread;
    provider p;
    int ended = -1;
    pid_t child;
    if (!begin(&p, LIFE_S)) return;
    start_held(&p, &thread, 0);
    child = fork();
    if (child == 0) _exit(at(&p, 0) > 0 ? 0 : 1);
    CHECK(child > 0 && waitpid(child, &ended, 0) == child);
    CHECK(ended == 0);
    atomic_store(&p.held, false);
    pthread_join(thread, NULL);
    CHECK(at(&p, 0) == 1);
    cpl_creds_free(p.creds);
}

/* ---- a storm ---- */

#define STORM_THREADS 64
#define STORM_READS 10000
#define STORM_LIFE_S 1200 /* renewed after 300 */

static void *read_often(void *context) {
    provider *p = context;
    for (int i = 0; i < STORM_READS; i++) {
        const cpl_creds_set *set;
        int64_t now_s = atomic_fetch_add(&p->now_s, i % 16 == 0);
        if (cpl_creds_acquire(p->creds, now_s, NULL, &set, NULL)) return p;
        if (strcmp(set->view.access_key_id.p + 1, set->view.secret_access_key.p + 1) != 0 ||
            strcmp(set->view.access_key_id.p + 1, set->view.session_token.p + 1) != 0)
            return p;
        cpl_creds_drop(set);
    }
    return NULL;
}

TEST(t_creds_refresh__64_threads_never_see_a_mixed_triple_and_refresh_no_more_than_needed) {
    pthread_t threads[STORM_THREADS];
    provider p;
    int64_t passed_s;
    if (!begin(&p, STORM_LIFE_S)) return;
    for (size_t i = 0; i < STORM_THREADS; i++) pthread_create(&threads[i], NULL, read_often, &p);
    for (size_t i = 0; i < STORM_THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
    passed_s = atomic_load(&p.now_s);
    CHECK(atomic_load(&p.together) == 0);
    CHECK(atomic_load(&p.calls) >= 1);
    CHECK(atomic_load(&p.calls) <= passed_s / 300 + 2);
    cpl_creds_free(p.creds);
}

/* ---- an instance outlives its metadata service ---- */

#define KEYS "{\"Code\":\"Success\",\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\",\"Token\":\"T\","
static const fault_step dying[] = {
    {.body = "TOKEN"}, {.body = "role"}, {.body = KEYS "\"Expiration\":\"2026-01-01T01:00:00Z\"}"}, {.status = 403}};
static const fault_step stale[] = {
    {.body = "TOKEN"}, {.body = "role"}, {.body = KEYS "\"Expiration\":\"2025-12-31T00:00:00Z\"}"}};
#define MIDNIGHT_S 1767225600 /* 2026-01-01 */

static double never(void) {
    return 0;
}

static double always(void) {
    return 1;
}

static bool has_keys(world *w, int64_t now_s) {
    const cpl_creds_set *set;
    if (cpl_creds_acquire(w->creds, now_s, NULL, &set, NULL)) return false;
    CHECK_STR(set->view.access_key_id.p, "AK");
    cpl_creds_drop(set);
    return true;
}

TEST(t_creds_refresh__the_keys_of_an_instance_go_on_when_its_metadata_do_not_answer) {
    world w = {.steps = dying, .step_count = CPL_COUNT(dying), .chance = never};
    NEED(world_open(&w, NULL) == CPL_OK);
    CHECK(has_keys(&w, MIDNIGHT_S) && w.asked == 3);
    CHECK(has_keys(&w, MIDNIGHT_S + 3500) && w.asked == 4);
    CHECK(has_keys(&w, MIDNIGHT_S + 3700) && w.asked == 5);
    CHECK(has_keys(&w, MIDNIGHT_S + 3700 + 119) && w.asked == 5);
    CHECK(has_keys(&w, MIDNIGHT_S + 3700 + 120) && w.asked == 6);
    CHECK(has_keys(&w, MIDNIGHT_S + 9999999) && w.asked == 7);
    world_close(&w);
}

TEST(t_creds_refresh__keys_of_an_instance_that_came_expired_are_used_for_a_while) {
    world w = {.steps = stale, .step_count = CPL_COUNT(stale), .chance = always};
    NEED(world_open(&w, NULL) == CPL_OK);
    CHECK(has_keys(&w, MIDNIGHT_S) && w.asked == 3);
    CHECK(has_keys(&w, MIDNIGHT_S + 599) && w.asked == 3);
    CHECK(has_keys(&w, MIDNIGHT_S + 600) && w.asked == 6); /* the server says its last line to everything */
    world_close(&w);
}

TEST_MAIN
