/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../err.h"

#define THREADS 4
#define CONNECTIONS_MAX 2048
#define IDLE_S 120
#define CONNECTION_MEMORY ((size_t)64 << 10) /* all headers of a request, and the pieces its body is read in */
#define HEADERS_MAX 128
/* How much of a body that is too large is read and thrown away, so that its sender comes to read the answer. */
#define DRAIN_MAX ((uint64_t)64 << 20)

struct emu_server {
    struct MHD_Daemon *daemon;
    emu_answerer answerer;
    int port;
    pid_t pid;
};

/* One request while it arrives. */
typedef struct exchange {
    char *target; /* the request line's, as it was sent */
    cpl_buf body;
    uint64_t received;
    bool started;
    bool too_large;
} exchange;

/* ---- the request ---- */

/* The library decodes the path for its own use; signatures need it as it was sent. */
static void *on_target(void *context, const char *target, struct MHD_Connection *connection) {
    exchange *x = cpl_calloc(1, sizeof *x);
    (void)context, (void)connection;
    if (x == NULL) return NULL;
    x->target = cpl_strdup(cpl_str_of(target));
    if (x->target) return x;
    cpl_free(x);
    return NULL;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode how) {
    exchange *x = *state;
    (void)context, (void)connection, (void)how;
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
        return MHD_create_response_from_callback((uint64_t)response->size, 1, no_bytes, NULL, NULL);
    body = cpl_buf_detach(&response->body);
    if (body == NULL) return NULL;
    made = MHD_create_response_from_buffer_with_free_callback(n, body, cpl_free);
    if (made == NULL) cpl_free(body);
    return made;
}

/* The connection closes when the first half of what was announced has been sent. */
static ssize_t half(void *context, uint64_t at, char *to, size_t max) {
    const cpl_buf *body = context;
    size_t end = body->n / 2, n = at < end ? end - (size_t)at : 0;
    if (n == 0) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n > max) n = max;
    memcpy(to, body->p + at, n);
    return (ssize_t)n;
}

static void free_half(void *context) {
    cpl_buf_release(context);
    cpl_free(context);
}

static struct MHD_Response *make_half(emu_response *response) {
    cpl_buf *body = cpl_malloc(sizeof *body);
    struct MHD_Response *made;
    if (body == NULL) return NULL;
    *body = response->body;
    cpl_buf_init(&response->body, EMU_ANSWER_MAX);
    made = MHD_create_response_from_callback(body->n ? body->n : 1, 4096, half, body, free_half);
    if (made == NULL) free_half(body);
    return made;
}

static enum MHD_Result send_response(struct MHD_Connection *connection, emu_response *response, bool close_after) {
    struct MHD_Response *made = response->fate == EMU_FATE_RESET ? NULL /* which closes the connection */
                                : response->fate == EMU_FATE_CUT ? make_half(response)
                                                                 : make_response(response);
    enum MHD_Result result;
    cpl_str name, value;
    if (made == NULL) return MHD_NO;
    /* The library refuses values with line breaks: no header can be smuggled in. */
    for (size_t i = 0; emu_response_header_at(response, i, &name, &value); i++)
        MHD_add_response_header(made, name.p, value.p);
    if (close_after) MHD_add_response_header(made, "Connection", "close");
    result = MHD_queue_response(connection, (unsigned)response->status, made);
    MHD_destroy_response(made);
    return result;
}

static void name_remote(struct MHD_Connection *connection, char *out, size_t size) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    socklen_t length = sizeof(struct sockaddr_in);
    out[0] = '\0';
    if (address && address->sa_family == AF_INET6) length = sizeof(struct sockaddr_in6);
    if (address) getnameinfo(address, length, out, (socklen_t)size, NULL, 0, NI_NUMERICHOST);
}

static int socket_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static enum MHD_Result answer(emu_server *server, struct MHD_Connection *connection, const char *method,
                              const exchange *x) {
    header_list headers = {.n = 0};
    emu_request request = {
        .method = cpl_str_of(method), .body = cpl_buf_str(&x->body), .too_large = x->too_large, .headers = headers.at};
    emu_response response;
    enum MHD_Result result;
    char remote[64];
    split_target(&request, cpl_str_of(x->target));
    MHD_get_connection_values(connection, MHD_HEADER_KIND, add_header, &headers);
    request.header_count = headers.n;
    name_remote(connection, remote, sizeof remote);
    request.remote = cpl_str_of(remote);
    request.socket = socket_of(connection);
    emu_response_init(&response);
    server->answerer.handler(server->answerer.context, &request, &response);
    result = send_response(connection, &response, x->too_large);
    emu_response_release(&response);
    return result;
}

/* ---- receiving ---- */

static uint64_t announced_size(struct MHD_Connection *connection) {
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    int64_t size = 0;
    return text && cpl_str_integer(cpl_str_of(text), &size) && size > 0 ? (uint64_t)size : 0;
}

static bool expects_continue(struct MHD_Connection *connection) {
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Expect");
    return text && cpl_str_is_nocase(cpl_str_of(text), "100-continue");
}

/* The head has arrived. What is far too large, or can be told so before it is sent, is answered at once. */
static bool begin(exchange *x, struct MHD_Connection *connection, const char *method) {
    emu_request request = {.method = cpl_str_of(method)};
    uint64_t size = announced_size(connection);
    size_t limit;
    split_target(&request, cpl_str_of(x->target));
    limit = emu_request_is_api(&request) || emu_request_is_webhook(&request) ? EMU_API_BODY_MAX : EMU_BODY_MAX;
    cpl_buf_init(&x->body, limit);
    x->started = true;
    if (size <= limit) return true;
    x->too_large = true;
    return size <= limit + DRAIN_MAX && !expects_continue(connection);
}

static bool receive(exchange *x, const char *bytes, size_t n) {
    x->received += n;
    cpl_buf_add(&x->body, bytes, n);
    if (x->body.failed == CPL_NOMEM) return false;
    if (x->body.failed == CPL_TOO_LARGE) x->too_large = true;
    return x->received <= x->body.limit + DRAIN_MAX;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *bytes, size_t *size, void **state) {
    exchange *x = *state;
    (void)url, (void)version;
    if (x == NULL) return MHD_NO;
    if (!x->started) return begin(x, connection, method) ? MHD_YES : answer(context, connection, method, x);
    if (*size == 0) return answer(context, connection, method, x);
    if (!receive(x, bytes, *size)) return MHD_NO;
    *size = 0;
    return MHD_YES;
}

/* ---- life ---- */

/* Our own socket, because the library does not say why it could not listen. */
static int listen_at(const struct addrinfo *at) {
    int one = 1, fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), kept;
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, 1024) == 0) return fd;
    kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

static cpl_status open_socket(const char *host, int port, int *out, cpl_error *err) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char service[16], address[300];
    int code, kept;
    snprintf(service, sizeof service, "%d", port);
    code = getaddrinfo(host, service, &hints, &found);
    if (code != 0) return cpl_fail(err, CPL_IO, "listen on \"%s:%d\": %s", host, port, gai_strerror(code));
    *out = listen_at(found);
    kept = errno;
    freeaddrinfo(found);
    errno = kept;
    if (*out >= 0) return CPL_OK;
    snprintf(address, sizeof address, "%s:%d", host, port);
    if (errno == EADDRINUSE) return cpl_fail(err, CPL_IO, "listen on \"%s\": the port is in use", address);
    return cpl_fail_errno(err, "listen on", address);
}

static int port_of(int fd) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char service[16];
    int64_t port = 0;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, NULL, 0, service, sizeof service, NI_NUMERICSERV) != 0)
        return 0;
    cpl_str_integer(cpl_str_of(service), &port);
    return (int)port;
}

/* The threads start with all signals blocked: those belong to the program. */
static struct MHD_Daemon *start_daemon(emu_server *server, int fd) {
    bool patient = server->answerer.patient;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD |
                     (patient ? MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC : MHD_USE_EPOLL);
    struct MHD_Daemon *daemon;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE,
        patient ? 0u : (unsigned)THREADS, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}

cpl_status emu_server_start(emu_server **out, const char *host, int port, const emu_answerer *answerer,
                            cpl_error *err) {
    emu_server *server = cpl_calloc(1, sizeof *server);
    int fd = -1;
    cpl_status status;
    *out = NULL;
    if (server == NULL) return cpl_fail_nomem(err);
    server->answerer = *answerer;
    server->pid = getpid();
    status = open_socket(host, port, &fd, err);
    if (status == CPL_OK) {
        server->port = port_of(fd);
        server->daemon = start_daemon(server, fd);
        if (server->daemon == NULL) {
            close(fd);
            status = cpl_fail(err, CPL_IO, "the HTTP server could not be started on \"%s:%d\"", host, port);
        }
    }
    if (status) {
        cpl_free(server);
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
    if (server->pid == getpid()) MHD_stop_daemon(server->daemon);
    cpl_free(server);
}
