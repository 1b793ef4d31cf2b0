/* SPDX-License-Identifier: MIT */
/* Jobs on their way to the threads that work, of one worker and of two. */
#include <pthread.h>
#include <stdatomic.h>

#include "service.h"

#define EIGHT_JOBS                                                                                     \
    BUILD("A", READS)                                                                                  \
    "," BUILD("B", READS) "," BUILD("C", READS) "," BUILD("D", READS) "," BUILD("E", READS) "," BUILD( \
        "F", READS) "," BUILD("G", READS) "," BUILD("H", READS)

typedef struct racer {
    cpl_worker *worker;
    atomic_int *done; /* of all racers */
} racer;

static int all_are_done(void *done) {
    return atomic_load((atomic_int *)done) >= 8;
}

static void *race(void *context) {
    racer *r = context;
    for (;;) {
        cpl_wait wait = {.timeout_ms = 10000, .tick = all_are_done, .context = r->done};
        cpl_job *job = NULL;
        cpl_error err = {0};
        if (cpl_worker_next(r->worker, &wait, &job, &err) != CPL_OK || job == NULL) return NULL;
        if (cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK) atomic_fetch_add(r->done, 1);
        cpl_job_free(job);
    }
}

TEST(t_handover__two_workers_never_do_a_job_twice) {
    service s;
    racer racers[2];
    pthread_t threads[2];
    atomic_int done;
    cpl_job *job = NULL;
    atomic_init(&done, 0);
    NEED(open_line(&s, EIGHT_JOBS));
    for (int i = 0; i < 2; i++) racers[i] = (racer){worker_of(s.client, 3), &done};
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, race, &racers[i]) == 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    CHECK(atomic_load(&done) == 8);
    CHECK(stage_becomes(&s, "Succeeded"));
    for (int i = 0; i < 2; i++) {
        CHECK((job = next_within(racers[i].worker, 50)) == NULL);
        cpl_job_free(job);
        cpl_worker_free(racers[i].worker);
    }
    close_line(&s);
}

static void *take_all(void *context) {
    racer *r = context;
    cpl_job *job;
    while ((job = cpl_worker_take(r->worker)) != NULL) {
        cpl_error err = {0};
        if (cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK) atomic_fetch_add(r->done, 1);
        cpl_job_free(job);
    }
    return NULL;
}

TEST(t_handover__jobs_are_handed_over_to_threads) {
    service s;
    pthread_t threads[3];
    atomic_int done;
    cpl_wait wait = {.timeout_ms = 10000, .tick = all_are_done, .context = &done};
    cpl_error err = {0};
    atomic_init(&done, 0);
    NEED(open_line(&s, EIGHT_JOBS));
    racer taker = {worker_of(s.client, 3), &done};
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, take_all, &taker) == 0);
    CHECK(cpl_worker_feed(taker.worker, &wait, &err) == CPL_CANCELLED);
    cpl_worker_dismiss(taker.worker, 3);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    CHECK(atomic_load(&done) == 8);
    CHECK(cpl_worker_tally(taker.worker).succeeded == 8);
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_worker_free(taker.worker);
    close_line(&s);
}

typedef struct appetite {
    cpl_worker *worker;
    int jobs;
} appetite;

static int has_enough(void *context) {
    const appetite *a = context;
    return cpl_worker_running(a->worker) >= a->jobs;
}

/* Jobs that are always at hand leave no wait in which a tick would be asked; and a worker is freed with one in line. */
TEST(t_handover__a_tick_ends_a_feed_between_jobs_and_the_jobs_stay_in_line) {
    service s;
    appetite a;
    cpl_wait wait = {.tick = has_enough, .context = &a};
    cpl_job *job;
    cpl_error err = {0};
    NEED(open_line(&s, BUILD("A", READS) "," BUILD("B", READS)));
    cpl_worker *worker = worker_of(s.client, 2);
    for (int i = 1; i <= 2; i++) {
        a = (appetite){worker, i};
        CHECK(cpl_worker_feed(worker, &wait, &err) == CPL_CANCELLED);
        CHECK(cpl_worker_running(worker) == i);
    }
    cpl_worker_dismiss(worker, 1);
    NEED((job = cpl_worker_take(worker)) != NULL); /* jobs come before the dismissal */
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK);
    cpl_job_free(job);
    cpl_worker_free(worker);
    close_line(&s);
}

TEST_MAIN
