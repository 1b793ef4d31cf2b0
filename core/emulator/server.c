/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <limits.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../clock.h"
#include "../err.h"
#include "../fork.h"
#include "../late.h"
#include "../thread.h"
#include "doors.h"

/* ---- the library, loaded with the first emulator: it brings GnuTLS along ---- */

_Static_assert(MHD_VERSION < 0x01010000, "0.9 and 1.0 have this name; another may not");

/* clang-format off */
#define FUNCTIONS(X)                                                                                       \
    X(MHD_add_connection) X(MHD_add_response_header) X(MHD_create_response_from_buffer_with_free_callback) \
    X(MHD_create_response_from_callback) X(MHD_destroy_response) X(MHD_get_connection_info)                \
    X(MHD_get_connection_values) X(MHD_get_daemon_info) X(MHD_get_timeout) X(MHD_lookup_connection_value)  \
    X(MHD_queue_response) X(MHD_resume_connection) X(MHD_run) X(MHD_start_daemon) X(MHD_stop_daemon)       \
    X(MHD_suspend_connection)
/* clang-format on */

static const char *const lib_names[] = {FUNCTIONS(CPL_LATE_NAME)};
static struct { FUNCTIONS(CPL_LATE_POINTER) } lib = {FUNCTIONS(CPL_LATE_ITSELF)};
static cpl_late library = {.called = "libmicrohttpd",
                           .files = {"libmicrohttpd.so.12"},
                           .names = lib_names,
                           .count = CPL_COUNT(lib_names),
                           .table = &lib,
                           .once = PTHREAD_ONCE_INIT};

/*
 * A few threads for the process, each with a daemon of the library that has neither a thread nor a listening socket of
 * its own: docs/adr/0032. Whom doors.c takes in, one of them gets; each connection then knows its server.
 */

#define THREADS 4
#define CONNECTIONS_MAX 2048         /* of one server */
#define ALL_CONNECTIONS_MAX 0x100000 /* so many descriptors nobody has */
#define IDLE_S 120
#define CONNECTION_MEMORY ((size_t)64 << 10) /* all headers of a request, and the pieces its body is read in */
#define HEADERS_MAX 128
/* How much of a body that is too large is read and thrown away, so that its sender comes to read the answer. */
#define DRAIN_MAX ((uint64_t)64 << 20)
#define LATER_MS 50 /* until a request without an answer is handed in again, should nobody wake the server */
#define LOOK_MS 100 /* between looks whether the other side of an answer that stands still has left */

typedef struct connection connection;

struct emu_server {
    emu_answerer answerer;
    uint64_t door;
    int port;
    uint32_t mark;
    /* under the house's lock */
    emu_server *next;
    connection *first;
    size_t count;
    _Atomic uint64_t woken; /* how often */
    bool closing;
};

/* Somebody who was taken in and whom no thread looks after yet. */
typedef struct newcomer {
    struct newcomer *next;
    uint64_t door;
    int socket;
    socklen_t size;
    struct sockaddr_storage from;
} newcomer;

typedef struct worker {
    pthread_t thread;
    struct MHD_Daemon *daemon; /* whose connections this thread alone looks after */
    int wake;
    newcomer *newcomers; /* under the house's lock */
    uint64_t door;       /* by which the one came that the library is given right now */
} worker;

/* One that the library holds, from the moment it begins until it ends. */
struct connection {
    emu_server *server; /* NULL: of one that was stopped, or has too many */
    const worker *by;   /* who looks after it */
    struct MHD_Connection *handle;
    int socket;
    connection *next, *before;               /* of its server */
    connection *next_parked, *before_parked; /* of the house, while the library does not look after it */
    bool parked;
    bool waits;     /* for its server to be woken */
    int64_t due_ms; /* when it is looked after again */
};

/* One request while it arrives. */
typedef struct exchange {
    char *target; /* the request line's, as it was sent */
    cpl_buf body;
    uint64_t received;
    bool started;
    bool too_large;
    bool mute; /* it was heard, and gets no answer */
} exchange;

/* What all servers of the process share. */
static struct house {
    pthread_mutex_t life; /* around its beginning and end */
    size_t users;
    worker workers[THREADS];
    size_t worker_count; /* that run */
    atomic_bool closing;
    emu_doors *doors;
    pthread_mutex_t lock; /* around what is below; taken after an emulator's lock, and before the library's own */
    pthread_cond_t ended; /* some connection has */
    emu_server *servers;
    connection *parked;
    uint64_t last_door;
    size_t turn; /* whose it is to get the next newcomer */
} house = {.life = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

/* ---- connections that the library leaves alone for a while ---- */

/* With the lock. */
static void unpark(connection *c) {
    *(c->before_parked ? &c->before_parked->next_parked : &house.parked) = c->next_parked;
    if (c->next_parked) c->next_parked->before_parked = c->before_parked;
    c->parked = false;
    lib.MHD_resume_connection(c->handle);
    eventfd_write(c->by->wake, 1); /* the library's own signal may be read before it looks who is resumed */
}

/* With the lock, on the thread that the library serves the connection on. */
static void park(connection *c, int ms, bool waits) {
    c->due_ms = cpl_clock_monotonic_ms() + ms;
    c->waits = waits;
    c->parked = true;
    c->before_parked = NULL;
    c->next_parked = house.parked;
    if (house.parked) house.parked->before_parked = c;
    house.parked = c;
    lib.MHD_suspend_connection(c->handle);
    emu_doors_wake(house.doors);
}

static int look_after_parked(void *context) {
    int64_t now_ms = cpl_clock_monotonic_ms(), next_ms = INT64_MAX;
    connection *next;
    (void)context;
    pthread_mutex_lock(&house.lock);
    for (connection *c = house.parked; c; c = next) {
        next = c->next_parked;
        if (c->due_ms <= now_ms) {
            unpark(c);
        } else if (c->due_ms < next_ms) {
            next_ms = c->due_ms;
        }
    }
    pthread_mutex_unlock(&house.lock);
    return next_ms == INT64_MAX ? -1 : (int)(next_ms - now_ms);
}

/* For so long, unless the other side has left, or the server is about to. */
static bool rest(connection *c, int ms) {
    bool rests;
    if (emu_socket_left(c->socket)) return false;
    pthread_mutex_lock(&house.lock);
    rests = !c->server->closing;
    if (rests) park(c, ms, false);
    pthread_mutex_unlock(&house.lock);
    return rests;
}

/* Until the server is woken, which it may have been since it was woken so often. */
static bool wait_for_answer(connection *c, uint64_t woken) {
    bool waits;
    pthread_mutex_lock(&house.lock);
    waits = !c->server->closing;
    if (waits) park(c, c->server->woken == woken ? LATER_MS : 0, true);
    pthread_mutex_unlock(&house.lock);
    return waits;
}

void emu_server_wake(emu_server *server) {
    pthread_mutex_lock(&house.lock);
    server->woken++;
    for (connection *c = server->first; c; c = c->next) {
        if (c->parked && c->waits) unpark(c);
    }
    pthread_mutex_unlock(&house.lock);
}

/* ---- connections ---- */

static connection *connection_of(struct MHD_Connection *handle) {
    const union MHD_ConnectionInfo *info = lib.MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static int socket_of(struct MHD_Connection *handle) {
    const union MHD_ConnectionInfo *info = lib.MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* With the lock. NULL: it was stopped meanwhile. */
static emu_server *server_of(uint64_t door) {
    emu_server *server = house.servers;
    while (server && server->door != door) server = server->next;
    return server;
}

static void begin_connection(connection *c, uint64_t door) {
    emu_server *server;
    pthread_mutex_lock(&house.lock);
    server = server_of(door);
    if (server && !server->closing && server->count < CONNECTIONS_MAX) {
        c->server = server;
        c->next = server->first;
        if (server->first) server->first->before = c;
        server->first = c;
        server->count++;
    } else {
        shutdown(c->socket, SHUT_RDWR);
    }
    pthread_mutex_unlock(&house.lock);
}

static void end_connection(connection *c) {
    pthread_mutex_lock(&house.lock);
    if (c->server) {
        *(c->before ? &c->before->next : &c->server->first) = c->next;
        if (c->next) c->next->before = c->before;
        c->server->count--;
        pthread_cond_broadcast(&house.ended);
    }
    pthread_mutex_unlock(&house.lock);
    cpl_free(c);
}

static void on_connection(void *context, struct MHD_Connection *handle, void **state,
                          enum MHD_ConnectionNotificationCode what) {
    const worker *by = context;
    connection *c = *state;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (c) end_connection(c);
        return;
    }
    *state = c = cpl_calloc(1, sizeof *c); /* NULL: every request of it is refused */
    if (c == NULL) return;
    c->by = by;
    c->handle = handle;
    c->socket = socket_of(handle);
    begin_connection(c, by->door);
}

/* ---- newcomers ---- */

static void admit(void *context, uint64_t door, int socket, const struct sockaddr *from, socklen_t size) {
    newcomer *added = cpl_malloc(sizeof *added);
    worker *to;
    (void)context;
    if (added == NULL) {
        close(socket);
        return;
    }
    *added = (newcomer){.door = door, .socket = socket, .size = size};
    memcpy(&added->from, from, size);
    pthread_mutex_lock(&house.lock);
    to = &house.workers[house.turn++ % THREADS];
    added->next = to->newcomers;
    to->newcomers = added;
    pthread_mutex_unlock(&house.lock);
    eventfd_write(to->wake, 1);
}

/* On the worker's thread, as the library wants it. It closes the socket when it cannot take it. */
static void take_newcomers(worker *by) {
    newcomer *list, *next;
    pthread_mutex_lock(&house.lock);
    list = by->newcomers;
    by->newcomers = NULL;
    pthread_mutex_unlock(&house.lock);
    for (; list; list = next) {
        next = list->next;
        by->door = list->door;
        lib.MHD_add_connection(by->daemon, list->socket, (struct sockaddr *)&list->from, list->size);
        cpl_free(list);
    }
}

/* ---- the request ---- */

/* The library decodes the path for its own use; signatures need it as it was sent. */
static void *on_target(void *context, const char *target, struct MHD_Connection *handle) {
    exchange *x = cpl_calloc(1, sizeof *x);
    (void)context, (void)handle;
    if (x == NULL) return NULL;
    x->target = cpl_strdup(cpl_str_of(target));
    if (x->target) return x;
    cpl_free(x);
    return NULL;
}

static void on_completed(void *context, struct MHD_Connection *handle, void **state,
                         enum MHD_RequestTerminationCode how) {
    exchange *x = *state;
    (void)context, (void)handle, (void)how;
    if (x == NULL) return;
    cpl_buf_release(&x->body);
    cpl_free(x->target);
    cpl_free(x);
    *state = NULL;
}

typedef struct header_list {
    cpl_header at[HEADERS_MAX];
    size_t n;
} header_list;

static enum MHD_Result add_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value) {
    header_list *list = context;
    (void)kind;
    if (list->n == HEADERS_MAX) return MHD_NO;
    list->at[list->n++] = (cpl_header){cpl_str_of(name), cpl_str_of(value ? value : "")};
    return MHD_YES;
}

/* Path and query of "/path?query" or "http://host/path?query". */
static void split_target(emu_request *request, cpl_str target) {
    size_t question;
    if (cpl_str_starts(target, "http://")) {
        size_t slash = 7 + cpl_str_find(cpl_str_sub(target, 7, target.n), '/');
        target = cpl_str_sub(target, slash, target.n);
    }
    question = cpl_str_find(target, '?');
    request->path = cpl_str_sub(target, 0, question);
    request->query = cpl_str_sub(target, question + 1, target.n);
}

/* ---- the answer ---- */

static ssize_t no_bytes(void *context, uint64_t at, char *to, size_t max) {
    (void)context, (void)at, (void)to, (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR; /* never asked: an answer to HEAD has no body */
}

static struct MHD_Response *make_response(emu_response *response) {
    size_t n = response->body.n;
    char *body;
    struct MHD_Response *made;
    if (response->size >= 0)
        return lib.MHD_create_response_from_callback((uint64_t)response->size, 1, no_bytes, NULL, NULL);
    body = cpl_buf_detach(&response->body);
    if (body == NULL) return NULL;
    made = lib.MHD_create_response_from_buffer_with_free_callback(n, body, cpl_free);
    if (made == NULL) cpl_free(body);
    return made;
}

/* An answer that does not come as it should. */
typedef struct spoiled {
    cpl_buf body;
    connection *to;
    emu_fate fate;
    int bytes;
    int64_t since_ms;
} spoiled;

/* How many of its bytes may have come by now. */
static uint64_t allowance(const spoiled *s) {
    if (s->fate == EMU_FATE_CUT) return s->body.n / 2;
    if (s->fate == EMU_FATE_STALL) return (uint64_t)s->bytes;
    return 1 + (uint64_t)(cpl_clock_monotonic_ms() - s->since_ms) * (uint64_t)s->bytes / 1000;
}

/*
 * The library (0.9.75) forgets a connection until its time is over if the reader ends it after it was parked. If a send
 * fails, it does not; so one is made to fail.
 */
static ssize_t give_up(const spoiled *s, char *to) {
    shutdown(s->to->socket, SHUT_RDWR);
    *to = '\0';
    return 1;
}

static ssize_t some_bytes(void *context, uint64_t at, char *to, size_t max) {
    const spoiled *s = context;
    uint64_t allowed = allowance(s), end = allowed < s->body.n ? allowed : s->body.n;
    size_t n = at < end ? (size_t)(end - at) : 0;
    if (n == 0 && s->fate == EMU_FATE_CUT) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n == 0) return rest(s->to, s->fate == EMU_FATE_STALL ? LOOK_MS : 1 + 1000 / s->bytes) ? 0 : give_up(s, to);
    if (n > max) n = max;
    memcpy(to, s->body.p + at, n);
    return (ssize_t)n;
}

static void free_spoiled(void *context) {
    spoiled *s = context;
    cpl_buf_release(&s->body);
    cpl_free(s);
}

/* What is announced: when less comes, it must be more than comes. */
static uint64_t size_of(const spoiled *s) {
    if (s->fate == EMU_FATE_CUT) return s->body.n ? s->body.n : 1;
    if (s->fate == EMU_FATE_STALL && (size_t)s->bytes >= s->body.n) return s->body.n + 1;
    return s->body.n;
}

static struct MHD_Response *make_spoiled(connection *c, emu_response *response) {
    spoiled *s = cpl_malloc(sizeof *s);
    struct MHD_Response *made;
    if (s == NULL) return NULL;
    *s = (spoiled){.body = response->body,
                   .to = c,
                   .fate = response->fate,
                   .bytes = response->bytes,
                   .since_ms = cpl_clock_monotonic_ms()};
    cpl_buf_init(&response->body, EMU_ANSWER_MAX);
    made = lib.MHD_create_response_from_callback(size_of(s), 4096, some_bytes, s, free_spoiled);
    if (made == NULL) free_spoiled(s);
    return made;
}

static enum MHD_Result send_response(connection *c, emu_response *response, bool close_after) {
    struct MHD_Response *made = response->fate == EMU_FATE_RESET                         ? NULL /* which closes it */
                                : response->fate == EMU_FATE_SENT || response->size >= 0 ? make_response(response)
                                                                                         : make_spoiled(c, response);
    enum MHD_Result result;
    cpl_str name, value;
    if (made == NULL) return MHD_NO;
    /* The library refuses values with line breaks: no header can be smuggled in. */
    for (size_t i = 0; emu_response_header_at(response, i, &name, &value); i++)
        lib.MHD_add_response_header(made, name.p, value.p);
    if (close_after) lib.MHD_add_response_header(made, "Connection", "close");
    result = lib.MHD_queue_response(c->handle, (unsigned)response->status, made);
    lib.MHD_destroy_response(made);
    return result;
}

static void name_remote(struct MHD_Connection *handle, char *out, size_t size) {
    const union MHD_ConnectionInfo *info = lib.MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    socklen_t length = sizeof(struct sockaddr_in);
    out[0] = '\0';
    if (address && address->sa_family == AF_INET6) length = sizeof(struct sockaddr_in6);
    if (address) getnameinfo(address, length, out, (socklen_t)size, NULL, 0, NI_NUMERICHOST);
}

/* An answer to HEAD has no body to stand still in, so nothing of it comes. */
static bool is_mute(const emu_response *response, const char *method) {
    return response->fate == EMU_FATE_STALL && strcmp(method, "HEAD") == 0;
}

static enum MHD_Result stay_mute(connection *c) {
    return rest(c, LOOK_MS) ? MHD_YES : MHD_NO;
}

static enum MHD_Result conclude(connection *c, const char *method, exchange *x, uint64_t woken,
                                emu_response *response) {
    if (response->fate == EMU_FATE_LATER) return wait_for_answer(c, woken) ? MHD_YES : MHD_NO;
    x->mute = is_mute(response, method);
    return x->mute ? stay_mute(c) : send_response(c, response, x->too_large);
}

static enum MHD_Result answer(connection *c, const char *method, exchange *x) {
    header_list headers = {.n = 0};
    emu_request request = {
        .method = cpl_str_of(method), .body = cpl_buf_str(&x->body), .too_large = x->too_large, .headers = headers.at};
    emu_response response;
    enum MHD_Result result;
    uint64_t woken = c->server->woken;
    char remote[64];
    split_target(&request, cpl_str_of(x->target));
    lib.MHD_get_connection_values(c->handle, MHD_HEADER_KIND, add_header, &headers);
    request.header_count = headers.n;
    name_remote(c->handle, remote, sizeof remote);
    request.remote = cpl_str_of(remote);
    request.socket = c->socket;
    emu_response_init(&response);
    c->server->answerer.handler(c->server->answerer.context, &request, &response);
    result = conclude(c, method, x, woken, &response);
    emu_response_release(&response);
    return result;
}

/* ---- receiving ---- */

static uint64_t announced_size(struct MHD_Connection *handle) {
    const char *text = lib.MHD_lookup_connection_value(handle, MHD_HEADER_KIND, "Content-Length");
    int64_t size = 0;
    return text && cpl_str_integer(cpl_str_of(text), &size) && size > 0 ? (uint64_t)size : 0;
}

static bool expects_continue(struct MHD_Connection *handle) {
    const char *text = lib.MHD_lookup_connection_value(handle, MHD_HEADER_KIND, "Expect");
    return text && cpl_str_is_nocase(cpl_str_of(text), "100-continue");
}

/* The head has arrived. What is far too large, or can be told so before it is sent, is answered at once. */
static bool begin(exchange *x, struct MHD_Connection *handle, const char *method) {
    emu_request request = {.method = cpl_str_of(method)};
    uint64_t size = announced_size(handle);
    size_t limit;
    split_target(&request, cpl_str_of(x->target));
    limit = emu_request_is_api(&request) || emu_request_is_webhook(&request) ? EMU_API_BODY_MAX : EMU_BODY_MAX;
    cpl_buf_init(&x->body, limit);
    x->started = true;
    if (size <= limit) return true;
    x->too_large = true;
    return size <= limit + DRAIN_MAX && !expects_continue(handle);
}

static bool receive(exchange *x, const char *bytes, size_t n) {
    x->received += n;
    cpl_buf_add(&x->body, bytes, n);
    if (x->body.failed == CPL_NOMEM) return false;
    if (x->body.failed == CPL_TOO_LARGE) x->too_large = true;
    return x->received <= x->body.limit + DRAIN_MAX;
}

/* Also called again, with nothing new, when a connection that was parked is looked after again. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *handle, const char *url, const char *method,
                                  const char *version, const char *bytes, size_t *size, void **state) {
    connection *c = connection_of(handle);
    exchange *x = *state;
    (void)context, (void)url, (void)version;
    if (x == NULL || c == NULL || c->server == NULL) return MHD_NO;
    if (x->mute) return stay_mute(c);
    if (!x->started) return begin(x, handle, method) ? MHD_YES : answer(c, method, x);
    if (*size == 0) return answer(c, method, x);
    if (!receive(x, bytes, *size)) return MHD_NO;
    *size = 0;
    return MHD_YES;
}

/* ---- the house ---- */

static struct MHD_Daemon *make_daemon(worker *for_whom) {
    return lib.MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
                                on_request, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)ALL_CONNECTIONS_MAX,
                                MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                CONNECTION_MEMORY, MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL,
                                MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
                                on_connection, for_whom, MHD_OPTION_END);
}

static int epoll_of(const worker *w) {
    const union MHD_DaemonInfo *info = lib.MHD_get_daemon_info(w->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info ? info->epoll_fd : -1;
}

static int wait_of(const worker *w) {
    MHD_UNSIGNED_LONG_LONG ms;
    if (lib.MHD_get_timeout(w->daemon, &ms) != MHD_YES) return -1;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/*
 * We wait, and not the library (0.9.75), which fetches 128 events at a time: when there are just as many, it waits for
 * more before it looks after any. Told to run, it never waits.
 */
static void *work(void *context) {
    worker *w = context;
    struct pollfd at[] = {{.fd = epoll_of(w), .events = POLLIN}, {.fd = w->wake, .events = POLLIN}};
    eventfd_t count;
    while (!atomic_load(&house.closing)) {
        poll(at, CPL_COUNT(at), wait_of(w));
        if (at[1].revents != 0 && eventfd_read(w->wake, &count) == 0) take_newcomers(w);
        lib.MHD_run(w->daemon);
    }
    return NULL;
}

static void leave_worker(worker *w) {
    take_newcomers(w);
    if (w->daemon) lib.MHD_stop_daemon(w->daemon);
    if (w->wake >= 0) close(w->wake);
}

static bool start_worker(worker *w) {
    *w = (worker){.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (w->wake >= 0) w->daemon = make_daemon(w);
    if (w->daemon && cpl_thread_start(&w->thread, work, w)) return true;
    leave_worker(w);
    return false;
}

static void before_fork(void) {
    pthread_mutex_lock(&house.life);
    pthread_mutex_lock(&house.lock);
}

static void after_fork(void) {
    pthread_mutex_unlock(&house.lock);
    pthread_mutex_unlock(&house.life);
}

/* The child has none of the threads, so it begins anew; what was its parent's is left alone. */
static void after_fork_in_child(void) {
    static const pthread_cond_t fresh = PTHREAD_COND_INITIALIZER;
    house.users = 0;
    house.worker_count = 0;
    house.doors = NULL;
    house.servers = NULL;
    house.parked = NULL;
    house.ended = fresh;
    after_fork();
}

static void mind_forks(void) {
    pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

/* With house.life. */
static void close_house(void) {
    emu_doors_free(house.doors);
    house.doors = NULL;
    atomic_store(&house.closing, true);
    for (size_t i = 0; i < house.worker_count; i++) eventfd_write(house.workers[i].wake, 1);
    for (size_t i = 0; i < house.worker_count; i++) {
        pthread_join(house.workers[i].thread, NULL);
        leave_worker(&house.workers[i]);
    }
    house.worker_count = 0;
}

static bool open_house(void) {
    static const emu_porter porter = {.admit = admit, .tick = look_after_parked};
    atomic_store(&house.closing, false);
    while (house.worker_count < THREADS && start_worker(&house.workers[house.worker_count])) house.worker_count++;
    if (house.worker_count == THREADS) house.doors = emu_doors_new(&porter);
    if (house.doors) return true;
    close_house();
    return false;
}

static bool move_in(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    bool fine;
    pthread_once(&once, mind_forks);
    pthread_mutex_lock(&house.life);
    fine = house.users > 0 || open_house();
    if (fine) house.users++;
    pthread_mutex_unlock(&house.life);
    return fine;
}

static void move_out(void) {
    pthread_mutex_lock(&house.life);
    if (--house.users == 0) close_house();
    pthread_mutex_unlock(&house.life);
}

/* ---- servers ---- */

/* Before its door is opened, so that whoever comes finds it. */
static void enroll(emu_server *server) {
    pthread_mutex_lock(&house.lock);
    server->door = ++house.last_door;
    server->next = house.servers;
    house.servers = server;
    pthread_mutex_unlock(&house.lock);
}

/* A socket that is shut down is an event for the library, which then closes it. */
static void send_away(emu_server *server) {
    emu_server **at = &house.servers;
    pthread_mutex_lock(&house.lock);
    server->closing = true;
    for (connection *c = server->first; c; c = c->next) {
        shutdown(c->socket, SHUT_RDWR);
        if (c->parked) unpark(c);
    }
    while (server->first) pthread_cond_wait(&house.ended, &house.lock);
    while (*at != server) at = &(*at)->next;
    *at = server->next;
    pthread_mutex_unlock(&house.lock);
}

static void dismiss(emu_server *server) {
    emu_door_close(house.doors, server->door);
    send_away(server);
    move_out();
}

cpl_status emu_server_start(emu_server **out, const char *host, int port, const emu_answerer *answerer,
                            cpl_error *err) {
    cpl_status status = cpl_late_need(&library, err);
    emu_server *server;
    *out = NULL;
    if (status) return status;
    server = cpl_calloc(1, sizeof *server);
    if (server == NULL) return cpl_fail_nomem(err);
    server->answerer = *answerer;
    server->port = port;
    server->mark = cpl_fork_mark();
    if (!move_in()) {
        cpl_free(server);
        return cpl_fail(err, CPL_IO, "the HTTP server could not be started on \"%s:%d\"", host, port);
    }
    enroll(server);
    status = emu_door_open(house.doors, server->door, host, &server->port, err);
    if (status) {
        emu_server_stop(server);
    } else {
        *out = server;
    }
    return status;
}

int emu_server_port(const emu_server *server) {
    return server->port;
}

void emu_server_stop(emu_server *server) {
    if (server == NULL) return;
    if (server->mark == cpl_fork_mark()) dismiss(server);
    cpl_free(server);
}
