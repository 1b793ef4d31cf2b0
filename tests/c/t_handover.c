/* SPDX-License-Identifier: MIT */
/* Jobs on their way to the threads that work, of one worker and of two. */
#include <pthread.h>
#include <stdatomic.h>

#include "fault_server.h"
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
    while ((job = cpl_worker_take(r->worker, NULL)) != NULL) {
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

#define SCRIPTED(id)                                                                   \
    "{\"id\":\"" id                                                                    \
    "\",\"nonce\":\"1\",\"accountId\":\"1\",\"data\":{\"actionTypeId\":{\"category\":" \
    "\"Build\",\"owner\":\"Custom\",\"provider\":\"Maker\",\"version\":\"1\"},\"actionConfiguration\":{}}}"
#define ONE "11111111-1111-1111-1111-111111111111"
#define TWO "22222222-2222-2222-2222-222222222222"

/* The thread that takes them acknowledges: one is somebody else's, the other is in doubt, asked for again, and ours. */
TEST(t_handover__what_is_not_begun_goes_back_to_the_worker) {
    static const fault_step steps[] = {{.body = "{\"jobs\":[" SCRIPTED(ONE) "," SCRIPTED(TWO) "]}"},
                                       {.status = 400, .body = "{\"__type\":\"InvalidNonceException\"}"},
                                       {.status = 500, .body = "{\"__type\":\"InternalFailure\"}"},
                                       {.body = "{\"status\":\"InProgress\"}"},
                                       {.body = ""}};
    const cpl_worker_options settings = {.concurrency = 3, .poll_interval_ms = 100000};
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    const cpl_client_options options = {.region = CPL_LIT("us-east-1"),
                                        .access_key_id = CPL_LIT("AKIDEXAMPLE"),
                                        .secret_access_key = CPL_LIT("secret"),
                                        .endpoint_url = cpl_str_of(fault_server_url(server)),
                                        .max_attempts = 1};
    cpl_client *client = NULL;
    cpl_worker *worker = NULL;
    cpl_error err = {0};
    pthread_t thread;
    atomic_int done;
    atomic_init(&done, 7); /* one short of all_are_done() */
    NEED(cpl_client_new(&client, &options, &err) == CPL_OK);
    NEED(cpl_worker_new(&worker, client, &settings, &err) == CPL_OK);
    CHECK(cpl_worker_add(worker, &maker, NULL, &err) == CPL_OK);
    racer taker = {worker, &done};
    cpl_wait wait = {.timeout_ms = 10000, .tick = all_are_done, .context = &done};
    CHECK(pthread_create(&thread, NULL, take_all, &taker) == 0);
    CHECK(cpl_worker_feed(worker, &wait, &err) == CPL_OK && err.status == CPL_SERVICE); /* which is told */
    CHECK(cpl_worker_feed(worker, &wait, &err) == CPL_CANCELLED);
    cpl_worker_dismiss(worker, 1);
    pthread_join(thread, NULL);
    CHECK(fault_server_requests(server) == CPL_COUNT(steps));
    for (int i = 2; i < 5; i++) CHECK(strstr(fault_server_request(server, i), TWO));
    CHECK(cpl_worker_running(worker) == 0);
    CHECK(cpl_worker_tally(worker).succeeded == 1 && cpl_worker_tally(worker).unreported == 0);
    cpl_worker_free(worker);
    cpl_client_free(client);
    fault_server_stop(server);
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
    NEED((job = cpl_worker_take(worker, NULL)) != NULL); /* jobs come before the dismissal */
    CHECK(cpl_job_succeed(job, NULL, NULL, &err) == CPL_OK);
    cpl_job_free(job);
    cpl_worker_free(worker);
    close_line(&s);
}

TEST_MAIN
