/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <sys/wait.h>

#include "../../core/clock.h"
#include "client_fixture.h"

typedef struct world {
    fixture f;
    cpl_queue *queue;
    cpl_done done;
} world;

static void open_world(world *w, const fault_step *steps, size_t count, size_t limit) {
    memset(w, 0, sizeof *w);
    start(&w->f, steps, count);
    if (cpl_queue_new(&w->queue, w->f.client, limit, &w->f.err) != CPL_OK) abort();
}

static void close_world(world *w) {
    cpl_reply_free(w->done.reply);
    cpl_queue_free(w->queue);
    stop(&w->f);
}

static uint64_t submit(world *w, const char *operation, const char *params, const cpl_call_options *options) {
    uint64_t id = 0;
    CHECK(cpl_queue_submit(w->queue, cpl_str_of(operation), cpl_str_of(params), options, &id, &w->f.err) == CPL_OK);
    return id;
}

static bool next(world *w, int64_t timeout_ms) {
    const cpl_wait wait = {.timeout_ms = timeout_ms};
    cpl_reply_free(w->done.reply);
    CHECK(cpl_queue_next(w->queue, &wait, &w->done, &w->f.err) == CPL_OK);
    return w->done.id != 0;
}

static int threads_here(void) {
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    while (tasks && readdir(tasks)) count++;
    if (tasks) closedir(tasks);
    return count;
}

TEST(t_queue__five_hundred_calls_are_in_flight_at_once) {
    static const fault_step slow = {.body = "{\"pipelines\":[]}", .piece_ms = 10};
    bool seen[501] = {false};
    int64_t begin, used;
    int threads;
    world w;
    open_world(&w, &slow, 1, 0);
    threads = threads_here();
    begin = cpl_clock_monotonic_ms();
    for (int i = 0; i < 500; i++) CHECK(submit(&w, "ListPipelines", "{}", NULL) == (uint64_t)i + 1);
    CHECK(threads_here() == threads); /* submitting starts none */
    CHECK(cpl_queue_pending(w.queue) == 500);
    for (int i = 0; i < 500; i++) {
        NEED(next(&w, 30000));
        CHECK(w.done.status == CPL_OK && !seen[w.done.id]);
        seen[w.done.id] = true;
        CHECK(w.done.reply && cpl_str_is(cpl_reply_text(w.done.reply), "{\"pipelines\":[]}"));
    }
    used = cpl_clock_monotonic_ms() - begin;
    CHECK(used < 25000); /* one after the other they take more than 300 s */
    CHECK(fault_server_requests(w.f.server) == 500 && fault_server_connections(w.f.server) == 500);
    CHECK(cpl_queue_pending(w.queue) == 0 && !next(&w, 1));
    close_world(&w);
}

TEST(t_queue__no_more_than_the_limit_are_in_flight_and_connections_are_kept) {
    world w;
    open_world(&w, &(fault_step){0}, 1, 3);
    for (int i = 0; i < 60; i++) submit(&w, "ListPipelines", "{}", NULL);
    for (int i = 0; i < 60; i++) CHECK(next(&w, 5000) && w.done.status == CPL_OK);
    CHECK(fault_server_connections(w.f.server) <= 6);
    CHECK(fault_server_requests(w.f.server) == 60);
    close_world(&w);
}

TEST(t_queue__what_is_wrong_with_parameters_is_told_at_once) {
    uint64_t id = 7;
    world w;
    open_world(&w, &(fault_step){0}, 1, 0);
    CHECK(cpl_queue_submit(w.queue, CPL_LIT("GetPipeline"), CPL_LIT("{}"), NULL, &id, &w.f.err) == CPL_INVALID);
    CHECK_STR(w.f.err.path, "name");
    CHECK_STR(w.f.err.operation, "GetPipeline");
    CHECK(cpl_queue_submit(w.queue, CPL_LIT("Nothing"), CPL_LIT("{}"), NULL, &id, &w.f.err) == CPL_INVALID);
    CHECK_STR(w.f.err.message, "there is no operation \"Nothing\"");
    CHECK(id == 0 && cpl_queue_pending(w.queue) == 0);
    CHECK(!next(&w, 5) && fault_server_requests(w.f.server) == 0);
    close_world(&w);
}

TEST(t_queue__a_refusal_comes_with_its_error_and_its_answer) {
    static const fault_step refuse = {.status = 400,
                                      .head = "x-amzn-RequestId: r-1\r\n",
                                      .body = "{\"__type\":\"PipelineNotFoundException\",\"message\":\"none\"}"};
    world w;
    open_world(&w, &refuse, 1, 0);
    submit(&w, "get_pipeline", "{\"name\":\"a\"}", NULL);
    NEED(next(&w, 5000));
    CHECK(w.done.status == CPL_SERVICE && w.done.err.status == CPL_SERVICE);
    CHECK_STR(w.done.err.code, "PipelineNotFoundException");
    CHECK_STR(w.done.err.request_id, "r-1");
    CHECK(w.done.err.attempts == 1 && !w.done.err.retryable);
    CHECK(w.done.reply && cpl_reply_http_status(w.done.reply) == 400);
    close_world(&w);
}

TEST(t_queue__failures_are_tried_again_after_their_delays) {
    static const fault_step steps[] = {
        {.status = 500, .head = "x-amz-retry-after: 150\r\n"}, {.status = 503}, {.body = "{\"pipelines\":[]}"}};
    int64_t begin;
    world w;
    open_world(&w, steps, 3, 0);
    begin = cpl_clock_monotonic_ms();
    submit(&w, "ListPipelines", "{}", NULL);
    NEED(next(&w, 10000));
    CHECK(cpl_clock_monotonic_ms() - begin >= 150);
    CHECK(w.done.status == CPL_OK && cpl_reply_attempts(w.done.reply) == 3);
    CHECK(cpl_reply_retry_delay_ms(w.done.reply) >= 150);
    CHECK_STR(sent_header(&w.f, 2, "amz-sdk-request"), "attempt=3; max=3");
    close_world(&w);
}

TEST(t_queue__attempts_end_and_the_error_says_how_many) {
    static const fault_step steps[] = {{.status = 503}};
    world w;
    open_world(&w, steps, 1, 0);
    submit(&w, "ListPipelines", "{}", NULL);
    NEED(next(&w, 10000));
    CHECK(w.done.status == CPL_SERVICE && w.done.err.attempts == 3 && w.done.err.exhausted && w.done.err.retryable);
    close_world(&w);
}

TEST(t_queue__a_kept_connection_that_is_dead_is_replaced_unnoticed) {
    static const fault_step steps[] = {{.close = true}, {0}};
    world w;
    open_world(&w, steps, 2, 0);
    for (int i = 0; i < 2; i++) {
        submit(&w, "ListPipelines", "{}", NULL);
        NEED(next(&w, 5000));
        CHECK(w.done.status == CPL_OK && cpl_reply_attempts(w.done.reply) == 1);
    }
    close_world(&w);
}

TEST(t_queue__one_call_times_out_and_the_others_go_on) {
    static const fault_step steps[] = {{.kind = FAULT_STALL}, {0}};
    const cpl_call_options options = {.wait = {.timeout_ms = 300}};
    int64_t begin;
    uint64_t late;
    world w;
    open_world(&w, steps, 2, 0);
    begin = cpl_clock_monotonic_ms();
    late = submit(&w, "ListPipelines", "{}", &options);
    while (fault_server_requests(w.f.server) == 0) CHECK(!next(&w, 5));
    submit(&w, "ListPipelines", "{}", NULL);
    NEED(next(&w, 5000));
    CHECK(w.done.id != late && w.done.status == CPL_OK);
    NEED(next(&w, 5000));
    CHECK(w.done.id == late && w.done.status == CPL_TIMEOUT);
    CHECK(cpl_clock_monotonic_ms() - begin < 1500);
    close_world(&w);
}

TEST(t_queue__a_silent_server_is_given_up_after_the_read_timeout) {
    static const fault_step steps[] = {{.kind = FAULT_STALL_IN_BODY, .claimed_length = 10}};
    cpl_client_options options = {.read_timeout_ms = 200, .max_attempts = 1};
    cpl_client *view = NULL;
    world w;
    open_world(&w, steps, 1, 0);
    cpl_queue_free(w.queue);
    NEED(cpl_client_with(&view, w.f.client, &options, &w.f.err) == CPL_OK);
    NEED(cpl_queue_new(&w.queue, view, 0, &w.f.err) == CPL_OK);
    submit(&w, "ListPipelines", "{}", NULL);
    NEED(next(&w, 5000));
    CHECK(w.done.status == CPL_TIMEOUT && strstr(w.done.err.message, "was silent for 200 ms"));
    cpl_client_free(view);
    close_world(&w);
}

TEST(t_queue__a_call_that_waits_for_its_turn_times_out_too) {
    static const fault_step steps[] = {{.kind = FAULT_STALL}};
    const cpl_call_options options = {.wait = {.timeout_ms = 200}};
    uint64_t waiting;
    world w;
    open_world(&w, steps, 1, 1);
    submit(&w, "ListPipelines", "{}", NULL);
    waiting = submit(&w, "ListPipelines", "{}", &options);
    NEED(next(&w, 3000));
    CHECK(w.done.id == waiting && w.done.status == CPL_TIMEOUT && w.done.err.attempts == 0);
    close_world(&w);
}

TEST(t_queue__a_cancelled_call_ends_wherever_it_is) {
    static const fault_step steps[] = {{.kind = FAULT_STALL}};
    uint64_t flying, ready;
    world w;
    open_world(&w, steps, 1, 1);
    flying = submit(&w, "ListPipelines", "{}", NULL);
    ready = submit(&w, "ListPipelines", "{}", NULL);
    while (fault_server_requests(w.f.server) == 0) CHECK(!next(&w, 5));
    CHECK(cpl_queue_cancel(w.queue, ready) && cpl_queue_cancel(w.queue, flying));
    CHECK(!cpl_queue_cancel(w.queue, 99));
    for (int i = 0; i < 2; i++) {
        NEED(next(&w, 5000));
        CHECK(w.done.status == CPL_CANCELLED && !w.done.err.retryable && w.done.reply == NULL);
        CHECK(!cpl_queue_cancel(w.queue, w.done.id));
    }
    CHECK(cpl_queue_pending(w.queue) == 0);
    close_world(&w);
}

TEST(t_queue__a_pause_before_a_retry_can_be_cancelled) {
    static const fault_step steps[] = {{.status = 503, .head = "x-amz-retry-after: 4000\r\n"}};
    int64_t begin = cpl_clock_monotonic_ms();
    uint64_t id;
    world w;
    open_world(&w, steps, 1, 0);
    id = submit(&w, "ListPipelines", "{}", NULL);
    while (fault_server_requests(w.f.server) == 0) CHECK(!next(&w, 5));
    CHECK(!next(&w, 100) && cpl_queue_cancel(w.queue, id));
    NEED(next(&w, 3000));
    CHECK(w.done.status == CPL_CANCELLED && w.done.err.attempts == 1);
    CHECK(cpl_clock_monotonic_ms() - begin < 3000);
    close_world(&w);
}

static int stop_at_once(void *context) {
    return ++*(int *)context > 0;
}

TEST(t_queue__a_tick_ends_the_wait_and_nothing_else) {
    static const fault_step steps[] = {{.piece_ms = 3}};
    int asked = 0;
    const cpl_wait wait = {.tick = stop_at_once, .context = &asked};
    world w;
    open_world(&w, steps, 1, 0);
    submit(&w, "ListPipelines", "{}", NULL);
    CHECK(cpl_queue_next(w.queue, &wait, &w.done, &w.f.err) == CPL_CANCELLED && asked == 1);
    CHECK(w.done.id == 0 && cpl_queue_pending(w.queue) == 1);
    CHECK(next(&w, 5000) && w.done.status == CPL_OK);
    close_world(&w);
}

TEST(t_queue__closing_the_client_lets_what_was_accepted_finish) {
    static const fault_step steps[] = {{.piece_ms = 3}};
    uint64_t id;
    world w;
    open_world(&w, steps, 1, 0);
    submit(&w, "ListPipelines", "{}", NULL);
    while (fault_server_requests(w.f.server) == 0) CHECK(!next(&w, 5));
    cpl_client_close(w.f.client);
    CHECK(cpl_queue_submit(w.queue, CPL_LIT("ListPipelines"), CPL_LIT(""), NULL, &id, &w.f.err) == CPL_STATE);
    CHECK(next(&w, 5000) && w.done.status == CPL_OK);
    close_world(&w);
}

TEST(t_queue__freeing_gives_up_what_is_under_way_and_keeps_the_client_until_then) {
    static const fault_step steps[] = {{.kind = FAULT_STALL}, {.status = 503}, {.kind = FAULT_STALL}};
    world w;
    open_world(&w, steps, 3, 2);
    cpl_client_free(w.f.client);
    w.f.client = NULL;
    for (int i = 0; i < 5; i++) submit(&w, "ListPipelines", "{}", NULL);
    while (fault_server_requests(w.f.server) < 2) CHECK(!next(&w, 5));
    close_world(&w);
}

TEST(t_queue__a_child_leaves_the_queue_alone) {
    static const fault_step steps[] = {{.piece_ms = 3}};
    uint64_t id;
    pid_t child;
    int status = -1;
    world w;
    open_world(&w, steps, 1, 0);
    submit(&w, "ListPipelines", "{}", NULL);
    while (fault_server_requests(w.f.server) == 0) CHECK(!next(&w, 5));
    child = fork();
    if (child == 0) {
        bool ok = cpl_queue_next(w.queue, NULL, &w.done, NULL) == CPL_STATE;
        ok = ok && cpl_queue_submit(w.queue, CPL_LIT("ListPipelines"), CPL_LIT(""), NULL, &id, NULL) == CPL_STATE;
        cpl_queue_free(w.queue);
        _exit(ok ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(next(&w, 5000) && w.done.status == CPL_OK);
    close_world(&w);
}

static void *submit_many(void *context) {
    world *w = context;
    uint64_t id;
    cpl_error err;
    for (int i = 0; i < 50; i++) {
        if (cpl_queue_submit(w->queue, CPL_LIT("ListPipelines"), CPL_LIT("{}"), NULL, &id, &err) != CPL_OK) abort();
        if (i % 10 == 9) (void)cpl_queue_cancel(w->queue, id);
    }
    return NULL;
}

TEST(t_queue__threads_submit_cancel_and_wake_while_one_drives) {
    pthread_t threads[4];
    int ended = 0, other = 0;
    world w;
    open_world(&w, &(fault_step){0}, 1, 8);
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, submit_many, &w);
    while (ended < 200 && next(&w, 10000)) {
        ended++;
        other += w.done.status != CPL_OK && w.done.status != CPL_CANCELLED;
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CHECK(ended == 200 && other == 0);
    cpl_queue_wake(w.queue);
    CHECK(!next(&w, 10000)); /* at once */
    close_world(&w);
}

TEST_MAIN
