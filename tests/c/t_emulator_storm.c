/* SPDX-License-Identifier: MIT */
/*
 * Ten thousand connections at once, with a bad request on each: who is let in gets the service's error, who is not is
 * kept waiting or sent away, and when they are gone the emulator serves as before.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "emulator_client.h"

#define SENDERS_MAX 10000
#define PATIENCE_MS 20000
#define QUIET_MS 500 /* nothing has moved for so long: nothing will */
#define REQUEST_MAX 1500

/* ---- bad requests, as text ---- */

typedef struct bad_request {
    const char *target; /* X-Amz-Target */
    const char *body;
    const char *secret; /* NULL: the owner's */
    int64_t skew_s;
    int announced; /* Content-Length; 0: the body's */
    const char *error;
} bad_request;

static const bad_request BAD[] = {
    {"CodePipeline_20150709.ListPipelines", "{}", "wrong", 0, 0, "InvalidSignatureException"},
    {"CodePipeline_20150709.ListPipelines", "{}", NULL, -3600, 0, "Signature expired"},
    {"CodePipeline_20150709.ListPipelines", "{}", NULL, 3600, 0, "Signature not yet current"},
    {"CodePipeline_20150709.Nothing", "{}", NULL, 0, 0, "UnknownOperationException"},
    {"S3_20060301.ListPipelines", "{}", NULL, 0, 0, "UnknownOperationException"},
    {"CodePipeline_20150709.GetPipeline", "{\"name\":", NULL, 0, 0, "SerializationException"},
    {"CodePipeline_20150709.GetPipeline", "{\"name\":{}}", NULL, 0, 0, "SerializationException"},
    {"CodePipeline_20150709.GetPipeline", "{}", NULL, 0, 0, "ValidationException"},
    {"CodePipeline_20150709.GetPipeline", "{\"name\":\"nobody\"}", NULL, 0, 0, "PipelineNotFoundException"},
    {"CodePipeline_20150709.GetPipeline", "{}", NULL, 0, 999999999, "RequestEntityTooLargeException"},
};

static void write_request(const client *c, const bad_request *bad, char out[REQUEST_MAX]) {
    const cpl_header headers[] = {{CPL_LIT("host"), c->url.authority},
                                  {CPL_LIT("x-amz-target"), cpl_str_of(bad->target)}};
    cpl_credentials keys = c->keys;
    cpl_sign_request signing = {.method = CPL_LIT("POST"),
                                .path = CPL_LIT("/"),
                                .headers = headers,
                                .header_count = CPL_COUNT(headers),
                                .body = cpl_str_of(bad->body),
                                .region = CPL_LIT("us-east-1"),
                                .service = CPL_LIT("codepipeline"),
                                .time_s = cpl_clock_wall_ms() / 1000 + bad->skew_s};
    cpl_signature made;
    if (bad->secret) keys.secret_access_key = cpl_str_of(bad->secret);
    cpl_signature_init(&made);
    CHECK(cpl_sigv4_sign(NULL, &signing, &keys, &made, NULL) == CPL_OK);
    snprintf(out, REQUEST_MAX,
             "POST / HTTP/1.1\r\nHost: %.*s\r\nX-Amz-Target: %s\r\nX-Amz-Date: %s\r\nAuthorization: %s\r\n"
             "Content-Length: %d\r\n\r\n%s",
             (int)c->url.authority.n, c->url.authority.p, bad->target, made.date, cpl_buf_cstr(&made.authorization),
             bad->announced ? bad->announced : (int)strlen(bad->body), bad->body);
    cpl_signature_release(&made);
}

/* ---- the crowd, in a process of its own, because both ends need descriptors ---- */

typedef struct crowd {
    char requests[CPL_COUNT(BAD)][REQUEST_MAX];
    int port, poll, fds[SENDERS_MAX];
    int size, answered, sent_away, wrong;
} crowd;

static void join(crowd *all, int i) {
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)all->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct epoll_event event = {.events = EPOLLOUT, .data.u32 = (uint32_t)i};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) abort();
    all->fds[i] = fd;
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0 && errno != EINPROGRESS) abort();
    epoll_ctl(all->poll, EPOLL_CTL_ADD, fd, &event);
}

static void leave(crowd *all, int i) {
    close(all->fds[i]);
    all->fds[i] = -1;
}

/* Answers are small: each comes in one piece. Who was answered stays, as a browser would. */
static void move_on(crowd *all, int i, unsigned events) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    char answer[4096];
    ssize_t got;
    if (events & EPOLLOUT) {
        if (socket_send(all->fds[i], all->requests[i % CPL_COUNT(BAD)])) {
            epoll_ctl(all->poll, EPOLL_CTL_MOD, all->fds[i], &event);
        } else {
            all->sent_away++;
            leave(all, i);
        }
        return;
    }
    got = recv(all->fds[i], answer, sizeof answer - 1, 0);
    answer[got > 0 ? got : 0] = '\0';
    if (got <= 0) {
        all->sent_away++;
        leave(all, i);
    } else {
        bool right = strstr(answer, BAD[i % CPL_COUNT(BAD)].error) != NULL;
        all->answered += right;
        all->wrong += !right;
        event.events = 0;
        epoll_ctl(all->poll, EPOLL_CTL_MOD, all->fds[i], &event);
    }
}

static void watch(crowd *all) {
    int64_t end = cpl_clock_monotonic_ms() + PATIENCE_MS;
    struct epoll_event events[256];
    int n;
    while ((n = epoll_wait(all->poll, events, CPL_COUNT(events), QUIET_MS)) > 0 && cpl_clock_monotonic_ms() < end) {
        for (int i = 0; i < n; i++) move_on(all, (int)events[i].data.u32, events[i].events);
        if (all->answered + all->sent_away + all->wrong == all->size) break;
    }
}

/* What the child has to say, through a pipe: {size, answered, sent away, wrong}. It ends when *hold is closed. */
static void be_a_crowd(crowd *all, int report, int hold) {
    int told[4];
    char end;
    all->poll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < all->size; i++) join(all, i);
    watch(all);
    told[0] = all->size, told[1] = all->answered, told[2] = all->sent_away, told[3] = all->wrong;
    if (write(report, told, sizeof told) != (ssize_t)sizeof told) _exit(1);
    _exit(read(hold, &end, 1) == 0 ? 0 : 1);
}

/* As many as the system lets a process have. */
static int senders_possible(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur < SENDERS_MAX + 100 ? (int)limit.rlim_cur - 100 : SENDERS_MAX;
}

TEST(t_emulator_storm__ten_thousand_bad_requests_get_their_error_and_leave_it_serving) {
    static crowd all;
    client c = client_start(NULL);
    int report[2], hold[2], told[4] = {0}, status = -1;
    pid_t child;
    NEED(c.emulator);
    all.size = senders_possible();
    if (all.size < 1000) SKIP("the process may not open so many sockets");
    all.port = port_of_url(&c);
    for (size_t i = 0; i < CPL_COUNT(BAD); i++) write_request(&c, &BAD[i], all.requests[i]);
    NEED(pipe(report) == 0 && pipe(hold) == 0);
    child = fork();
    if (child == 0) {
        close(hold[1]);
        be_a_crowd(&all, report[1], hold[0]);
    }
    close(report[1]);
    CHECK(read(report[0], told, sizeof told) == (ssize_t)sizeof told);
    CHECK(told[3] == 0);
    if (!CHECK(told[1] >= 1000)) printf("  of %d: %d answered, %d sent away\n", told[0], told[1], told[2]);
    close(hold[1]); /* they all go */
    waitpid(child, &status, 0);
    CHECK(status == 0);
    for (int i = 0; i < 20; i++) CHECK(client_call(&c, "ListPipelines", CPL_LIT("{}")) == 200);
    close(report[0]);
    close(hold[0]);
    client_stop(&c);
}

TEST_MAIN
