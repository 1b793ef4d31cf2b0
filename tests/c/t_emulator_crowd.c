/* SPDX-License-Identifier: MIT */
/* Many emulators in one process, many callers at one emulator, and few threads for all of it. */
#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "emulator_client.h"

#define INSTANCES 2000
#define CALLS 512 /* the library looks at 128 a time, on each of four threads */
#define FUNCTIONS 40

static int count_in(const char *folder) {
    DIR *list = opendir(folder);
    int count = 0;
    while (list && readdir(list)) count++;
    if (list) closedir(list);
    return count - 2;
}

static int threads_here(void) {
    return count_in("/proc/self/task");
}

/* As many descriptors as the system lets the process have. */
static rlim_t raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

static int connect_to(const char *url) {
    client c = {.emulator = NULL};
    cpl_url_parse(cpl_str_of(url), &c.url);
    return socket_open(&c);
}

static bool serves(cpl_emulator *emulator) {
    const char *url = cpl_emulator_url(emulator);
    int fd = connect_to(url);
    char request[128];
    bool served;
    snprintf(request, sizeof request, "GET /_emulator/status HTTP/1.1\r\nHost: %s\r\n\r\n", url + sizeof "http://" - 1);
    served = fd >= 0 && socket_send(fd, request) && strstr(socket_read(fd, "\"jobs\":[]}"), "HTTP/1.1 200") != NULL;
    close(fd);
    return served;
}

TEST(t_emulator_crowd__two_thousand_live_in_one_process_on_a_few_threads) {
    cpl_emulator **all = calloc(INSTANCES, sizeof *all);
    int threads = threads_here(), served = 0;
    int64_t began = cpl_clock_monotonic_ms(), took;
    cpl_error err = {0};
    if (raise_limit() < INSTANCES + 100) SKIP("the process may not open so many sockets");
    for (int i = 0; i < INSTANCES; i++) {
        if (cpl_emulator_start(&all[i], NULL, &err) != CPL_OK) printf("  %d: %s\n", i, err.message);
    }
    for (int i = 0; i < INSTANCES; i++) served += all[i] && serves(all[i]);
    CHECK(served == INSTANCES);
    CHECK(threads_here() - threads < 10);
    for (int i = 0; i < INSTANCES; i++) cpl_emulator_stop(all[i]);
    took = cpl_clock_monotonic_ms() - began;
    if (!CHECK(took < 120000)) printf("  %lld ms\n", (long long)took);
    CHECK(threads_here() <= threads + 1); /* a sanitizer has one of its own */
    free(all);
}

/* ---- storms ---- */

static cpl_client *client_of(cpl_emulator *emulator) {
    cpl_client_options options = {.region = CPL_LIT("us-east-1"),
                                  .endpoint_url = cpl_str_of(cpl_emulator_url(emulator)),
                                  .access_key_id = cpl_str_of(environ_of(emulator, "AWS_ACCESS_KEY_ID")),
                                  .secret_access_key = cpl_str_of(environ_of(emulator, "AWS_SECRET_ACCESS_KEY")),
                                  .proxy = CPL_LIT("none"),
                                  .max_attempts = 1,
                                  .read_timeout_ms = 20000};
    cpl_client *made = NULL;
    CHECK(cpl_client_new(&made, &options, NULL) == CPL_OK);
    return made;
}

/* All at once, each on a connection of its own: how many were answered. */
static int storm(cpl_client *caller) {
    static const cpl_wait wait = {.timeout_ms = 40000};
    cpl_queue *queue = NULL;
    uint64_t id;
    int answered = 0;
    CHECK(cpl_queue_new(&queue, caller, 0, NULL) == CPL_OK);
    for (int i = 0; i < CALLS; i++) {
        CHECK(cpl_queue_submit(queue, CPL_LIT("ListPipelines"), CPL_LIT("{}"), NULL, &id, NULL) == CPL_OK);
    }
    while (cpl_queue_pending(queue) > 0) {
        cpl_done done = {.id = 0};
        cpl_error err = {0};
        if (cpl_queue_next(queue, &wait, &done, &err) != CPL_OK || done.id == 0) break;
        answered += done.status == CPL_OK;
        if (done.status) printf("  %s\n", done.err.message);
        cpl_reply_free(done.reply);
    }
    cpl_queue_free(queue);
    return answered;
}

/* STORMS in the environment: how many; a lost answer is a matter of luck. */
TEST(t_emulator_crowd__five_hundred_and_twelve_calls_at_once_are_all_answered) {
    const char *wanted = getenv("STORMS");
    int64_t storms = 3;
    cpl_emulator *emulator = NULL;
    cpl_client *caller;
    if (raise_limit() < 2 * CALLS + 100) SKIP("the process may not open so many sockets");
    NEED(cpl_emulator_start(&emulator, NULL, NULL) == CPL_OK);
    caller = client_of(emulator);
    if (wanted) cpl_str_integer(cpl_str_of(wanted), &storms);
    for (; storms > 0; storms--) CHECK(storm(caller) == CALLS);
    cpl_client_free(caller);
    cpl_emulator_stop(emulator);
}

/* ---- descriptors ---- */

TEST(t_emulator_crowd__without_a_descriptor_left_callers_are_sent_away_and_later_ones_served) {
    client c = client_start(NULL);
    struct rlimit before, tight;
    int fds[3];
    NEED(c.emulator);
    getrlimit(RLIMIT_NOFILE, &before);
    for (size_t i = 0; i < CPL_COUNT(fds); i++) fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tight = before;
    tight.rlim_cur = (rlim_t)fds[2] + 1; /* the numbers below are taken, but for what the folder count needs */
    setrlimit(RLIMIT_NOFILE, &tight);
    for (size_t i = 0; i < CPL_COUNT(fds); i++) {
        struct sockaddr_in at = {
            .sin_family = AF_INET, .sin_port = htons((uint16_t)port_of_url(&c)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
        CHECK(connect(fds[i], (struct sockaddr *)&at, sizeof at) == 0);
        CHECK_STR(socket_read(fds[i], NULL), "");
    }
    setrlimit(RLIMIT_NOFILE, &before);
    for (size_t i = 0; i < CPL_COUNT(fds); i++) close(fds[i]);
    CHECK(client_call(&c, "ListPipelines", CPL_LIT("{}")) == 200);
    client_stop(&c);
}

/* ---- who waits takes no thread ---- */

TEST(t_emulator_crowd__functions_that_wait_for_work_have_no_thread_each_and_hold_up_no_end) {
    static const char next[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
    client c = client_start(NULL);
    int fds[FUNCTIONS], threads = threads_here();
    int64_t began;
    NEED(c.emulator);
    for (int i = 0; i < FUNCTIONS; i++) {
        char name[16], url[64];
        const char *address;
        snprintf(name, sizeof name, "f%d", i);
        NEED(cpl_emulator_function(c.emulator, cpl_str_of(name), &address, NULL) == CPL_OK);
        snprintf(url, sizeof url, "http://%s", address);
        fds[i] = connect_to(url);
        CHECK(socket_send(fds[i], next));
    }
    CHECK(client_call(&c, "ListPipelines", CPL_LIT("{}")) == 200);
    CHECK(threads_here() == threads);
    close(fds[0]); /* one goes away while it waits */
    began = cpl_clock_monotonic_ms();
    client_stop(&c);
    CHECK(cpl_clock_monotonic_ms() - began < 5000);
    for (int i = 1; i < FUNCTIONS; i++) {
        CHECK_STR(socket_read(fds[i], NULL), "");
        close(fds[i]);
    }
}

/* ---- forks ---- */

TEST(t_emulator_crowd__a_forked_child_may_have_emulators_of_its_own) {
    client c;
    pid_t child;
    int status = -1;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("a sanitizer may be locked by a thread that the fork leaves behind, and starts none after it");
#endif
    c = client_start(NULL);
    NEED(c.emulator);
    child = fork();
    if (child == 0) {
        cpl_emulator *own = NULL;
        bool fine;
        alarm(20);
        fine = cpl_emulator_start(&own, NULL, NULL) == CPL_OK && serves(own);
        cpl_emulator_stop(own);
        cpl_emulator_stop(c.emulator);
        _exit(fine ? 0 : 1);
    }
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(client_call(&c, "ListPipelines", CPL_LIT("{}")) == 200);
    client_stop(&c);
}

TEST_MAIN
