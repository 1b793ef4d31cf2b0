/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "../../core/clock.h"
#include "../../core/http.h"
#include "../../core/http_route.h"
#include "../../core/sigpipe.h"
#include "fault_server.h"
#include "test.h"
#include "tls_server.h"

#define LIMIT (64u << 20)

/* What most tests need: a server with a script, a pool with short limits, one exchange. */
typedef struct fixture {
    fault_server *server;
    cpl_http *http;
    cpl_http_response response;
    cpl_error err;
    char url[128];
} fixture;

static void start_with(fixture *f, const fault_step *steps, size_t count, const cpl_http_options *options) {
    memset(f, 0, sizeof *f);
    f->server = fault_server_start(steps, count);
    if (cpl_http_new(&f->http, options, &f->err) != CPL_OK) abort();
    cpl_http_response_init(&f->response);
    snprintf(f->url, sizeof f->url, "%s/a/b?c=d", fault_server_url(f->server));
}

static void start(fixture *f, const fault_step *steps, size_t count) {
    const cpl_http_options options = {
        .proxy_set = true, .connect_timeout_ms = 2000, .read_timeout_ms = 5000, .total_timeout_ms = 10000};
    start_with(f, steps, count, &options);
}

static void stop(fixture *f) {
    cpl_http_response_release(&f->response);
    cpl_http_free(f->http);
    fault_server_stop(f->server);
}

static cpl_http_request get(const fixture *f) {
    return (cpl_http_request){.method = CPL_LIT("GET"), .url = cpl_str_of(f->url), .body_limit = LIMIT};
}

static cpl_status post(fixture *f, const char *body) {
    cpl_http_request request = get(f);
    request.method = CPL_LIT("POST");
    request.body = cpl_str_of(body);
    return cpl_http_send(f->http, &request, &f->response, &f->err);
}

static int temporary_file(void) {
    char path[] = "/tmp/t_http.XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) abort();
    unlink(path);
    return fd;
}

TEST(t_http__a_post_arrives_as_it_was_given_and_nothing_is_added) {
    static const fault_step steps[] = {{.head = "X-Answer:  yes \r\nDate: now\r\n", .body = "{\"a\":1}"}};
    const cpl_header headers[] = {{CPL_LIT("content-type"), CPL_LIT("application/x-amz-json-1.1")},
                                  {CPL_LIT("x-empty"), CPL_LIT("")}};
    fixture f;
    start(&f, steps, 1);
    cpl_http_request request = get(&f);
    request.method = CPL_LIT("POST");
    request.body = CPL_LIT("{\"b\":2}");
    request.headers = headers;
    request.header_count = 2;
    char want[256];
    snprintf(want, sizeof want,
             "POST /a/b?c=d HTTP/1.1\r\nHost: %s\r\ncontent-type: application/x-amz-json-1.1\r\nx-empty:\r\n"
             "Content-Length: 7\r\n\r\n{\"b\":2}",
             fault_server_url(f.server) + 7);
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_OK);
    CHECK_STR(fault_server_request(f.server, 0), want);
    CHECK(f.response.status == 200 && f.response.sent && !f.response.reused && f.response.body_bytes == 7);
    CHECK_STR(cpl_buf_cstr(&f.response.body), "{\"a\":1}");
    CHECK(cpl_str_is(cpl_http_header(&f.response, "x-answer"), "yes"));
    CHECK(cpl_http_header(&f.response, "x-other").p == NULL);
    cpl_str name, value;
    CHECK(cpl_http_header_at(&f.response, 1, &name, &value) && cpl_str_is(name, "date") && cpl_str_is(value, "now"));
    CHECK(!cpl_http_header_at(&f.response, 3, &name, &value));
    stop(&f);
}

TEST(t_http__methods_do_not_leak_into_one_another) {
    static const fault_step steps[] = {{.body = "answer"}};
    static const char *const order[] = {"POST", "HEAD", "GET", "PUT", "DELETE", "POST", "GET", "HEAD", "PUT", "GET"};
    fixture f;
    start(&f, steps, 1);
    for (size_t i = 0; i < CPL_COUNT(order); i++) {
        cpl_http_request request = get(&f);
        bool body = order[i][0] == 'P';
        char want[64];
        request.method = cpl_str_of(order[i]);
        if (body) request.body = CPL_LIT("body");
        CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_OK);
        CHECK(f.response.reused == (i > 0));
        CHECK_STR(cpl_buf_cstr(&f.response.body), strcmp(order[i], "HEAD") == 0 ? "" : "answer");
        snprintf(want, sizeof want, "%s /a/b?c=d HTTP/1.1\r\n", order[i]);
        const char *got = fault_server_request(f.server, i);
        CHECK(strncmp(got, want, strlen(want)) == 0);
        CHECK((strstr(got, "Content-Length: 4\r\n\r\nbody") != NULL) == body);
    }
    CHECK(fault_server_connections(f.server) == 1);
    stop(&f);
}

TEST(t_http__each_url_of_a_connection_arrives_as_it_was_written) {
    static const char *const tails[] = {"/a/../b/./c?d=%2F&e=", "/x%2fy", "/", "/?//..", "/x%2fy"};
    static const fault_step steps[] = {{.close = true}, {.body = "a"}, {.body = "b"}, {.close = true}, {.body = "c"}};
    fixture f;
    start(&f, steps, CPL_COUNT(steps));
    for (size_t i = 0; i < CPL_COUNT(tails); i++) {
        char want[64];
        cpl_http_request request = get(&f);
        snprintf(f.url, sizeof f.url, "%s%s", fault_server_url(f.server), tails[i]);
        request.url = cpl_str_of(f.url);
        CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_OK);
        snprintf(want, sizeof want, "GET %s HTTP/1.1\r\n", tails[i]);
        CHECK(strncmp(fault_server_request(f.server, i), want, strlen(want)) == 0);
        request.url = CPL_LIT("http://[::::]/"); /* one that libcurl refuses */
        CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_INVALID);
        CHECK_STR(f.err.message, "the URL of \"[::::]\" cannot be used");
    }
    CHECK(fault_server_connections(f.server) == 3); /* the two that were closed were noticed */
    stop(&f);
}

TEST(t_http__files_go_up_and_come_down_from_the_offset_asked_for) {
    static const fault_step steps[] = {{.body = "downloaded"}, {.status = 404, .body = "<Error/>"}};
    int up = temporary_file(), down = temporary_file();
    char bytes[32] = {0};
    fixture f;
    start(&f, steps, 2);
    NEED(pwrite(up, "0123456789", 10, 0) == 10 && pwrite(down, "head:", 5, 0) == 5);
    cpl_http_request request = get(&f);
    request.method = CPL_LIT("PUT");
    request.body_from_fd = request.sink_to_fd = true;
    request.body_fd = up;
    request.body_offset = 3;
    request.body_size = 4;
    request.sink_fd = down;
    request.sink_offset = 5;
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_OK);
    CHECK(strstr(fault_server_request(f.server, 0), "Content-Length: 4\r\n\r\n3456") != NULL);
    CHECK(strstr(fault_server_request(f.server, 0), "Expect") == NULL);
    CHECK(f.response.body.n == 0 && f.response.body_bytes == 10);
    CHECK(pread(down, bytes, sizeof bytes, 0) == 15);
    CHECK_STR(bytes, "head:downloaded");
    /* an error's body is text for us, never content of the file */
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_OK);
    CHECK_STR(cpl_buf_cstr(&f.response.body), "<Error/>");
    CHECK(pread(down, bytes, sizeof bytes, 0) == 15);
    /* the file is shorter than promised */
    request.body_size = 100;
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_IO);
    CHECK_STR(f.err.message, "the request's file became shorter while it was sent");
    close(up);
    close(down);
    stop(&f);
}

TEST(t_http__a_file_is_sent_again_from_its_start_when_the_kept_connection_was_dead) {
    static const fault_step steps[] = {{.close = true}, {.kind = FAULT_ANSWER}};
    int up = temporary_file();
    fixture f;
    start(&f, steps, 2);
    NEED(pwrite(up, "0123456789", 10, 0) == 10);
    cpl_http_request request = get(&f);
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_OK);
    request.method = CPL_LIT("PUT");
    request.body_from_fd = true;
    request.body_fd = up;
    request.body_size = 10;
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_OK);
    CHECK(strstr(fault_server_request(f.server, 1), "\r\n\r\n0123456789") != NULL);
    close(up);
    stop(&f);
}

TEST(t_http__what_could_smuggle_a_header_is_refused_before_a_byte_is_sent) {
    static const fault_step steps[] = {{.kind = FAULT_ANSWER}};
    static const char bad[] = {'\r', '\n', '\0', '\t', 1, 0x1f, 0x7f, (char)0x80, (char)0xff};
    fixture f;
    start(&f, steps, 1);
    for (size_t i = 0; i < sizeof bad; i++) {
        char text[] = "a?b";
        cpl_http_request request = get(&f);
        cpl_header header = {CPL_LIT("x-value"), {text, 3}};
        char url[256];
        text[1] = bad[i];
        request.headers = &header;
        request.header_count = 1;
        CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_INVALID);
        CHECK_STR(f.err.message, "the header \"x-value\" has a character that cannot be sent");
        header = (cpl_header){{text, 3}, CPL_LIT("value")};
        CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_INVALID);
        CHECK_STR(f.err.message, "the name of a header cannot be sent");
        request.header_count = 0;
        snprintf(url, sizeof url, "%s/a?b", fault_server_url(f.server));
        url[strlen(url) - 2] = bad[i];
        request.url = (cpl_str){url, strlen(fault_server_url(f.server)) + 4};
        CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_INVALID);
        request = get(&f);
        request.method = (cpl_str){text, 3};
        CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_INVALID);
    }
    CHECK(fault_server_connections(f.server) == 0);
    stop(&f);
}

typedef struct break_case {
    fault_step step;
    cpl_status status;
    bool sent;
    const char *message; /* begins so */
} break_case;

TEST(t_http__every_way_to_break_an_answer_has_its_status) {
    static const break_case cases[] = {
        {{.kind = FAULT_RESET_EARLY}, CPL_NETWORK, true, "the connection broke during the "},
        {{.kind = FAULT_RESET}, CPL_NETWORK, true, "the connection broke during the answer of \"127.0.0.1:"},
        {{.kind = FAULT_CLOSE}, CPL_NETWORK, true, "the connection was closed before an answer came from \"127"},
        {{.body = "{\"a\":", .claimed_length = 100}, CPL_PROTOCOL, true, "the answer is shorter than announced by \""},
        {{.head = "Transfer-Encoding: chunked\r\n", .body = "5\r\n{\"a", .claimed_length = -1},
         CPL_PROTOCOL,
         true,
         "the answer is shorter than announced by \""},
        {{.kind = FAULT_RAW, .body = "\x16\x03\x01 no http at all\r\n\r\n"},
         CPL_PROTOCOL,
         true,
         "the answer is not HTTP, from \"127"},
        {{.kind = FAULT_RAW, .body = "HTTP/1.1 200 OK\r\nContent-Le"},
         CPL_PROTOCOL,
         true,
         "the answer ends in its head, from \"127.0"},
        {{.filler_head = 70000}, CPL_TOO_LARGE, true, "the headers of the answer of \"127.0.0.1:"},
        {{.claimed_length = 3LL << 30}, CPL_TOO_LARGE, true, "the answer of \"127.0.0.1:"},
        {{.filler_body = LIMIT, .claimed_length = -1}, CPL_TOO_LARGE, true, "the answer of \"127.0.0.1:"},
    };
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        fixture f;
        cpl_status status;
        start(&f, &cases[i].step, 1);
        status = post(&f, "{}");
        if (!CHECK(status == cases[i].status && f.response.sent == cases[i].sent) ||
            !CHECK(strncmp(f.err.message, cases[i].message, strlen(cases[i].message)) == 0)) {
            printf("  case %zu: %s: %s\n", i, cpl_status_name(status), f.err.message);
        }
        CHECK(f.response.body.cap <= 2 * (size_t)LIMIT);
        stop(&f);
    }
}

TEST(t_http__an_announced_giant_is_refused_at_once_without_memory) {
    static const fault_step steps[] = {{.claimed_length = 3LL << 30, .filler_body = 1 << 30}};
    fixture f;
    start(&f, steps, 1);
    CHECK(post(&f, "{}") == CPL_TOO_LARGE);
    CHECK(strstr(f.err.message, "is 3221225472 bytes, the limit is 67108864") != NULL);
    CHECK(f.response.body.cap == 0 && f.response.body_bytes == 0);
    stop(&f);
}

TEST(t_http__the_head_of_a_giant_is_no_giant) {
    static const fault_step steps[] = {{.claimed_length = 3LL << 30}};
    fixture f;
    start(&f, steps, 1);
    cpl_http_request request = get(&f);
    request.method = CPL_LIT("HEAD");
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_OK);
    CHECK(cpl_str_is(cpl_http_header(&f.response, "content-length"), "3221225472"));
    stop(&f);
}

TEST(t_http__a_file_sink_has_the_same_ceiling) {
    static const fault_step steps[] = {{.filler_body = 5000, .claimed_length = -1}, {.claimed_length = 4097}};
    int down = temporary_file();
    fixture f;
    start(&f, steps, 2);
    cpl_http_request request = get(&f);
    request.sink_to_fd = true;
    request.sink_fd = down;
    request.body_limit = 4096;
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_TOO_LARGE);
    CHECK(lseek(down, 0, SEEK_END) <= 4096);
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_TOO_LARGE);
    close(down);
    request.sink_fd = -1;
    request.body_limit = LIMIT;
    f.server->taken = 0;
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_IO);
    CHECK_STR(f.err.message, "write \"the answer's file\": Bad file descriptor");
    stop(&f);
}

TEST(t_http__interim_answers_and_trailers_leave_no_trace) {
    static const fault_step steps[] = {
        {.kind = FAULT_RAW,
         .body = "HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-Folded: one\r\n  two\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n"}};
    fixture f;
    start(&f, steps, 1);
    CHECK(post(&f, "{}") == CPL_OK);
    CHECK_STR(cpl_buf_cstr(&f.response.body), "{}");
    CHECK_STR(cpl_buf_cstr(&f.response.head), "x-folded: one two\ntransfer-encoding: chunked\n");
    stop(&f);
}

TEST(t_http__redirects_are_answers) {
    static const fault_step steps[] = {{.status = 301, .head = "Location: http://127.0.0.1:1/\r\n"},
                                       {.status = 302, .head = "Location: file:///etc/passwd\r\n"},
                                       {.status = 307, .head = "Location: /elsewhere\r\n"}};
    fixture f;
    start(&f, steps, 3);
    for (size_t i = 0; i < 3; i++) {
        CHECK(post(&f, "{}") == CPL_OK);
        CHECK(f.response.status == steps[i].status);
    }
    CHECK(fault_server_requests(f.server) == 3);
    stop(&f);
}

TEST(t_http__a_dead_endpoint_is_a_network_error_that_names_it) {
    fixture f;
    char url[64];
    start(&f, &(fault_step){0}, 1);
    snprintf(url, sizeof url, "%s", fault_server_url(f.server));
    fault_server_stop(f.server);
    snprintf(f.url, sizeof f.url, "%s/", url);
    CHECK(post(&f, "{}") == CPL_NETWORK);
    char want[128];
    snprintf(want, sizeof want, "connect to \"%s\": Connection refused", url + 7);
    CHECK_STR(f.err.message, want);
    CHECK(!f.response.sent && f.response.status == 0);
    f.server = fault_server_start(&(fault_step){0}, 1);
    stop(&f);
}

static bool within(int64_t start_ms, int64_t from, int64_t to) {
    int64_t took = cpl_clock_monotonic_ms() - start_ms;
    if (took >= from && took <= to) return true;
    printf("  took %lld ms\n", (long long)took);
    return false;
}

TEST(t_http__a_stalled_server_meets_each_of_the_limits_in_time) {
    static const fault_step stalls[] = {{.kind = FAULT_STALL},
                                        {.kind = FAULT_STALL_IN_HEAD},
                                        {.kind = FAULT_STALL_IN_BODY, .body = "{", .claimed_length = 10}};
    static const fault_step slow = {.body = "0123456789012345678901234567890123456789", .piece_ms = 40};
    const cpl_http_options silence = {.proxy_set = true, .read_timeout_ms = 300};
    const cpl_http_options total = {.proxy_set = true, .read_timeout_ms = 5000, .total_timeout_ms = 300};
    fixture f;
    int64_t begin;
    for (size_t i = 0; i < CPL_COUNT(stalls); i++) {
        start_with(&f, &stalls[i], 1, &silence);
        begin = cpl_clock_monotonic_ms();
        CHECK(post(&f, "{}") == CPL_TIMEOUT && within(begin, 295, 550));
        CHECK(strstr(f.err.message, "was silent for 300 ms") != NULL && f.response.sent);
        stop(&f);
    }
    start_with(&f, &slow, 1, &total);
    begin = cpl_clock_monotonic_ms();
    CHECK(post(&f, "{}") == CPL_TIMEOUT && within(begin, 295, 550));
    CHECK(strstr(f.err.message, "no complete answer from \"127.0.0.1:") != NULL);
    stop(&f);
    start_with(&f, &stalls[0], 1, &total);
    cpl_http_request request = get(&f);
    cpl_wait wait = {.timeout_ms = 120};
    request.wait = &wait;
    begin = cpl_clock_monotonic_ms();
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_TIMEOUT && within(begin, 115, 370));
    stop(&f);
}

TEST(t_http__slow_is_not_silent) {
    static const fault_step slow = {.body = "0123456789", .piece_ms = 10};
    const cpl_http_options silence = {.proxy_set = true, .read_timeout_ms = 300};
    fixture f;
    int64_t begin = cpl_clock_monotonic_ms();
    start_with(&f, &slow, 1, &silence);
    CHECK(post(&f, "{}") == CPL_OK);
    CHECK(cpl_clock_monotonic_ms() - begin > 300);
    CHECK_STR(cpl_buf_cstr(&f.response.body), "0123456789");
    stop(&f);
}

/* A listener whose queue is full swallows further connects without a word. */
TEST(t_http__a_connect_that_is_not_answered_ends_in_time) {
    const cpl_http_options options = {.proxy_set = true, .connect_timeout_ms = 300, .read_timeout_ms = 5000};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fillers[4];
    fixture f;
    int64_t begin;
    NEED(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 0) == 0);
    NEED(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    for (size_t i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    start_with(&f, &(fault_step){0}, 1, &options);
    snprintf(f.url, sizeof f.url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    begin = cpl_clock_monotonic_ms();
    CHECK(post(&f, "{}") == CPL_TIMEOUT && within(begin, 290, 550));
    CHECK(strncmp(f.err.message, "the time to connect is over: \"127.0.0.1:", 38) == 0 && !f.response.sent);
    for (size_t i = 0; i < 4; i++) close(fillers[i]);
    close(listener);
    stop(&f);
}

static int stop_after_two(void *context) {
    return ++*(int *)context >= 2;
}

TEST(t_http__the_tick_stops_a_wait_on_the_calling_thread) {
    static const fault_step steps[] = {{.kind = FAULT_STALL}, {.body = "{}"}};
    int calls = 0;
    cpl_wait wait = {.tick = stop_after_two, .context = &calls};
    fixture f;
    int64_t begin;
    start(&f, steps, 2);
    cpl_http_request request = get(&f);
    request.wait = &wait;
    begin = cpl_clock_monotonic_ms();
    CHECK(cpl_http_send(f.http, &request, &f.response, &f.err) == CPL_CANCELLED && within(begin, 100, 350));
    CHECK(calls == 2);
    CHECK(post(&f, "{}") == CPL_OK && !f.response.reused); /* and the pool is fit for the next */
    stop(&f);
}

TEST(t_http__a_connection_the_server_closed_between_two_requests_costs_nothing) {
    static const fault_step steps[] = {{.close = true}, {.head = "Connection: close\r\n"}, {.body = "{}"}};
    fixture f;
    start(&f, steps, 3);
    for (size_t i = 0; i < 6; i++) CHECK(post(&f, "{\"a\":1}") == CPL_OK);
    CHECK(f.response.reused);
    CHECK(fault_server_requests(f.server) == 6);
    cpl_http_close_idle(f.http);
    CHECK(post(&f, "{}") == CPL_OK && !f.response.reused);
    stop(&f);
}

static void *send_many(void *argument) {
    fixture *shared = argument, own = *shared;
    cpl_http_response_init(&own.response);
    for (int i = 0; i < 50; i++) {
        if (post(&own, "{}") != CPL_OK || own.response.status != 200) own.err.attempts++;
    }
    cpl_http_response_release(&own.response);
    return own.err.attempts ? argument : NULL;
}

TEST(t_http__eight_threads_share_a_pool_and_need_no_more_than_eight_connections) {
    pthread_t threads[8];
    void *failed;
    fixture f;
    start(&f, &(fault_step){0}, 1);
    for (size_t i = 0; i < 8; i++) NEED(pthread_create(&threads[i], NULL, send_many, &f) == 0);
    for (size_t i = 0; i < 8; i++) CHECK(pthread_join(threads[i], &failed) == 0 && failed == NULL);
    CHECK(fault_server_requests(f.server) == 400);
    CHECK(fault_server_connections(f.server) <= 8);
    stop(&f);
}

TEST(t_http__a_forked_child_opens_connections_of_its_own) {
    fixture f;
    int state = -1;
    pid_t child;
    start(&f, &(fault_step){0}, 1);
    CHECK(post(&f, "{\"who\":\"parent\"}") == CPL_OK);
    child = fork();
    if (child == 0) {
        bool ok = post(&f, "{\"who\":\"child\"}") == CPL_OK && !f.response.reused;
        cpl_http_response_release(&f.response);
        cpl_http_free(f.http);
        _exit(ok ? 0 : 1);
    }
    NEED(waitpid(child, &state, 0) == child);
    CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    CHECK(post(&f, "{\"who\":\"parent again\"}") == CPL_OK && f.response.reused);
    CHECK(fault_server_connections(f.server) == 2);
    stop(&f);
}

TEST(t_http__the_hosts_signal_mask_is_as_it_was) {
    sigset_t before, after;
    fixture f;
    start(&f, &(fault_step){.kind = FAULT_RESET}, 1);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    CHECK(post(&f, "{}") == CPL_NETWORK);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    CHECK(sigismember(&before, SIGPIPE) == 0 && sigismember(&after, SIGPIPE) == 0);
    stop(&f);
}

static void on_alarm(int number) {
    (void)number;
}

TEST(t_http__a_storm_of_signals_disturbs_nothing) {
    const struct sigaction storm = {.sa_handler = on_alarm};
    const struct itimerval every_ms = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    struct sigaction before;
    fixture f;
    start(&f, &(fault_step){.body = "0123456789", .piece_ms = 1}, 1);
    sigaction(SIGALRM, &storm, &before);
    setitimer(ITIMER_REAL, &every_ms, NULL);
    for (int i = 0; i < 5; i++) CHECK(post(&f, "{}") == CPL_OK);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    stop(&f);
}

TEST(t_http__a_sigpipe_of_ours_is_swallowed_and_one_of_the_host_is_kept) {
    sigset_t pipe_alone, before, pending;
    cpl_sigpipe state;
    sigemptyset(&pipe_alone);
    sigaddset(&pipe_alone, SIGPIPE);
    cpl_sigpipe_block(&state);
    raise(SIGPIPE);
    cpl_sigpipe_restore(&state); /* ends the program if it is still there */
    pthread_sigmask(SIG_BLOCK, &pipe_alone, &before);
    raise(SIGPIPE);
    cpl_sigpipe_block(&state);
    raise(SIGPIPE);
    cpl_sigpipe_restore(&state);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1);
    sigtimedwait(&pipe_alone, NULL, &(struct timespec){0, 0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

TEST(t_http__a_ca_bundle_that_is_not_there_is_a_configuration_error) {
    const cpl_http_options options = {.ca_bundle = CPL_LIT("/nonexistent/ca.pem")};
    cpl_http *http;
    cpl_error err;
    CHECK(cpl_http_new(&http, &options, &err) == CPL_CONFIG && http == NULL);
    CHECK_STR(err.message, "read the CA bundle \"/nonexistent/ca.pem\": No such file or directory");
    CHECK(err.status == CPL_CONFIG);
}

/* What a wheel does on the distributions it was not built on. */
TEST(t_http__the_system_s_certificates_are_found_in_the_usual_places) {
    char root[] = "/tmp/cpl-ca-XXXXXX", command[512], path[256], wanted[256];
    bool is_folder = false;
    if (!CHECK(mkdtemp(root) != NULL)) return;
    CHECK(!cpl_http_find_ca(root, path, sizeof path, &is_folder));
    snprintf(command, sizeof command, "cd %s && mkdir -p etc/ssl/certs etc/pki/tls/certs && : >etc/ssl/cert.pem", root);
    CHECK(system(command) == 0 && cpl_http_find_ca(root, path, sizeof path, &is_folder));
    snprintf(wanted, sizeof wanted, "%s/etc/ssl/cert.pem", root);
    CHECK_STR(path, wanted);
    CHECK(!is_folder);
    snprintf(command, sizeof command, ": >%s/etc/pki/tls/certs/ca-bundle.crt", root);
    CHECK(system(command) == 0 && cpl_http_find_ca(root, path, sizeof path, &is_folder));
    snprintf(wanted, sizeof wanted, "%s/etc/pki/tls/certs/ca-bundle.crt", root);
    CHECK_STR(path, wanted);
    CHECK(!is_folder);
    snprintf(command, sizeof command, ": >%s/etc/pki/tls/certs/0a1b2c3d.0", root);
    CHECK(system(command) == 0 && cpl_http_find_ca(root, path, sizeof path, &is_folder));
    snprintf(wanted, sizeof wanted, "%s/etc/pki/tls/certs", root);
    CHECK_STR(path, wanted);
    CHECK(is_folder);
    snprintf(command, sizeof command, "rm -r %s", root);
    CHECK(system(command) == 0);
}

static cpl_status get_over_tls(const tls_server *s, cpl_str ca_bundle, cpl_http_response *response, cpl_error *err) {
    const cpl_http_options options = {.proxy_set = true, .ca_bundle = ca_bundle, .connect_timeout_ms = 5000};
    const cpl_http_request request = {.method = CPL_LIT("GET"), .url = cpl_str_of(s->url), .body_limit = LIMIT};
    cpl_http *http;
    cpl_status status = cpl_http_new(&http, &options, err);
    if (status) return status;
    status = cpl_http_send(http, &request, response, err);
    cpl_http_free(http);
    return status;
}

TEST(t_http__a_name_nobody_knows_is_told_from_other_trouble) {
    /* A label has at most 63 letters, so no server is asked for this one. */
    static const char url[] = "http://nowhere-nowhere-nowhere-nowhere-nowhere-nowhere-nowhere-nowhere-1.test/";
    const cpl_http_request request = {.method = CPL_LIT("GET"), .url = cpl_str_of(url)};
    cpl_http_response response;
    cpl_error err;
    cpl_http *http = NULL;
    cpl_http_response_init(&response);
    CHECK(cpl_http_new(&http, NULL, &err) == CPL_OK);
    CHECK(cpl_http_send(http, &request, &response, &err) == CPL_NETWORK && err.cause == CPL_CAUSE_NAME);
    cpl_http_free(http);
    cpl_http_response_release(&response);
}

TEST(t_http__tls_is_verified_against_the_bundle) {
    tls_server s = {0};
    cpl_http_response response;
    cpl_error err;
    if (system("openssl version >/dev/null 2>&1") != 0) SKIP("the openssl command is not installed");
    cpl_http_response_init(&response);
    if (CHECK(tls_server_start(&s, NULL))) {
        CHECK(get_over_tls(&s, (cpl_str){NULL, 0}, &response, &err) == CPL_NETWORK);
        CHECK(strncmp(err.message, "the certificate is not trusted, of \"127.0.0.1:", 45) == 0 && !response.sent);
        CHECK(err.cause == CPL_CAUSE_TRUST);
        CHECK(get_over_tls(&s, cpl_str_of(s.certificate), &response, &err) == CPL_OK && response.status == 200);
    }
    cpl_http_response_release(&response);
    tls_server_stop(&s);
}

static int kill_server(void *context) {
    kill(*(pid_t *)context, SIGKILL);
    return 0;
}

/* What a stock lua would die of. */
TEST(t_http__a_tls_server_that_dies_in_an_upload_raises_no_sigpipe) {
    tls_server s = {0};
    cpl_http *http = NULL;
    cpl_http_response response;
    cpl_error err;
    int file = temporary_file();
    if (system("openssl version >/dev/null 2>&1") != 0) SKIP("the openssl command is not installed");
    cpl_http_response_init(&response);
    if (CHECK(tls_server_start(&s, NULL) && ftruncate(file, 16LL << 30) == 0)) {
        const cpl_http_options options = {.proxy_set = true, .ca_bundle = cpl_str_of(s.certificate)};
        const cpl_wait wait = {.tick = kill_server, .context = &s.pid};
        const cpl_http_request request = {.method = CPL_LIT("PUT"),
                                          .url = cpl_str_of(s.url),
                                          .body_fd = file,
                                          .body_from_fd = true,
                                          .body_size = 16LL << 30,
                                          .body_limit = LIMIT,
                                          .wait = &wait};
        CHECK(cpl_http_new(&http, &options, &err) == CPL_OK);
        CHECK(cpl_http_send(http, &request, &response, &err) == CPL_NETWORK);
        cpl_http_free(http);
    }
    close(file);
    cpl_http_response_release(&response);
    tls_server_stop(&s);
}

TEST(t_http__no_allocation_is_needed_so_badly_that_its_failure_leaks_or_crashes) {
    fixture f;
    start(&f, &(fault_step){.head = "X-A: b\r\n"}, 1);
    for (size_t n = 1;; n++) {
        cpl_http *http = NULL;
        cpl_http_response response;
        cpl_http_request request = get(&f);
        const cpl_http_options options = {.proxy_set = true, .ca_bundle = CPL_LIT("/etc")};
        cpl_error err = {0};
        cpl_status status;
        size_t made;
        cpl_http_response_init(&response);
        cpl_alloc_fail_at(n);
        status = cpl_http_new(&http, &options, &err);
        if (status == CPL_OK) status = cpl_http_send(http, &request, &response, &err);
        made = cpl_alloc_fail_at(0);
        CHECK(status == (made >= n ? CPL_NOMEM : CPL_OK) && err.status == status);
        cpl_http_response_release(&response);
        cpl_http_free(http);
        if (made < n) break;
    }
    stop(&f);
}

typedef struct url_case {
    const char *url, *authority, *host, *path, *query;
} url_case;

TEST(t_http__urls_are_taken_apart_strictly) {
    static const url_case good[] = {
        {"https://a.example", "a.example", "a.example", "", ""},
        {"https://a.example:443/x", "a.example", "a.example", "/x", ""},
        {"http://a.example:443/x?y=z?", "a.example:443", "a.example", "/x", "y=z?"},
        {"HTTP://A_b-1:80?q", "A_b-1", "A_b-1", "", "q"},
        {"http://[::1]:8080/", "[::1]:8080", "::1", "/", ""},
        {"https://[fe80::1]:443", "[fe80::1]", "fe80::1", "", ""},
    };
    static const char *const bad[] = {
        "",
        "http",
        "http:/a",
        "ftp://a",
        "http://",
        "http:///x",
        "http://a:/",
        "http://a:0",
        "http://a:65536",
        "http://a:-1",
        "http://a:+1",
        "http://a:8a",
        "http://u@a/",
        "http://u:p@a/",
        "http://a#f",
        "http://a/#",
        "http://a b/",
        "http://a%2fb",
        "http://[::1",
        "http://[]",
        "http://[::1]x",
        "http://\xc3\xa9/",
        "http://a/\\b",
        "http://a:1:2/",
        "//a/",
        "http://a/\x7f",
    };
    cpl_url url;
    for (size_t i = 0; i < CPL_COUNT(good); i++) {
        if (!CHECK(cpl_url_parse(cpl_str_of(good[i].url), &url))) continue;
        CHECK(cpl_str_is(url.authority, good[i].authority) && cpl_str_is(url.host, good[i].host));
        CHECK(cpl_str_is(url.path, good[i].path) && cpl_str_is(url.query, good[i].query));
    }
    for (size_t i = 0; i < CPL_COUNT(bad); i++) {
        if (!CHECK(!cpl_url_parse(cpl_str_of(bad[i]), &url))) printf("  %s\n", bad[i]);
    }
}

TEST_MAIN
