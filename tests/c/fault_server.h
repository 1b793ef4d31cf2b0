/* SPDX-License-Identifier: MIT */
/*
 * An HTTP server that misbehaves on request: one scripted step for each request that arrives, in order; the last step
 * repeats. Loopback, a port the system picks, a thread for each connection.
 */
#ifndef FAULT_SERVER_H
#define FAULT_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

typedef enum fault_kind {
    FAULT_ANSWER,        /* a well-formed answer, unless a member below says otherwise */
    FAULT_RAW,           /* body alone, as it is, then close */
    FAULT_RESET_EARLY,   /* RST without reading the request */
    FAULT_RESET,         /* read the request, then RST */
    FAULT_CLOSE,         /* read the request, then close */
    FAULT_STALL,         /* read the request, then silence until the client goes */
    FAULT_STALL_IN_HEAD, /* as above, in the middle of the head */
    FAULT_STALL_IN_BODY  /* as above, with claimed_length not reached */
} fault_kind;

typedef struct fault_step {
    fault_kind kind;
    int status;             /* 0: 200 */
    const char *head;       /* more header lines, each with CR LF */
    const char *body;       /* NULL: "{}" */
    int64_t claimed_length; /* Content-Length says so; 0: the truth, -1: no Content-Length, the end is a close */
    size_t filler_head;     /* bytes of meaningless headers */
    size_t filler_body;     /* bytes of 'x' after body, while the client takes them */
    int piece_ms;           /* the answer goes byte by byte with this pause */
    bool close;             /* close after the answer without having said so */
} fault_step;

#define FAULT_REQUESTS_MAX 4096
#define FAULT_CONNECTIONS_MAX 1024

typedef struct fault_server {
    const fault_step *steps;
    size_t count;
    int listener;
    int stop[2]; /* a pipe; a byte in it ends all waiting */
    char url[64];
    pthread_t acceptor;
    pthread_t threads[FAULT_CONNECTIONS_MAX];
    pthread_mutex_t lock; /* for all below */
    size_t connections;
    size_t taken; /* steps */
    size_t requests;
    char *texts[FAULT_REQUESTS_MAX];
} fault_server;

typedef struct fault_connection {
    fault_server *server;
    int fd;
    char *text; /* what was read and not yet used */
    size_t n, cap;
    bool head_only; /* the request was a HEAD */
} fault_connection;

static void fault_die(const char *what) {
    perror(what);
    abort();
}

/* False when the server is stopping. */
static bool fault_wait_for(fault_server *server, int fd, short events) {
    struct pollfd fds[2] = {{fd, events, 0}, {server->stop[0], POLLIN, 0}};
    while (poll(fds, 2, -1) < 0) continue;
    return fds[1].revents == 0;
}

static void fault_pause_ms(fault_server *server, int ms) {
    struct pollfd fds = {server->stop[0], POLLIN, 0};
    poll(&fds, 1, ms);
}

static bool fault_read_more(fault_connection *c) {
    ssize_t n;
    if (!fault_wait_for(c->server, c->fd, POLLIN)) return false;
    if (c->n + 65536 >= c->cap) {
        c->cap = (c->cap + 65536) * 2;
        c->text = realloc(c->text, c->cap);
    }
    n = recv(c->fd, c->text + c->n, c->cap - c->n - 1, 0);
    if (n <= 0) return false;
    c->n += (size_t)n;
    c->text[c->n] = '\0';
    return true;
}

/* Length of the first request in c->text, 0 when it is not complete. */
static size_t fault_request_length(const fault_connection *c) {
    const char *end = c->n ? strstr(c->text, "\r\n\r\n") : NULL;
    size_t head, body = 0;
    if (end == NULL) return 0;
    head = (size_t)(end - c->text) + 4;
    for (const char *line = c->text; line < end; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, "content-length:", 15) == 0) body = strtoull(line + 15, NULL, 10);
    }
    return c->n >= head + body ? head + body : 0;
}

static bool fault_read_request(fault_connection *c) {
    fault_server *server = c->server;
    size_t n;
    char *text;
    while ((n = fault_request_length(c)) == 0) {
        if (!fault_read_more(c)) return false;
    }
    text = malloc(n + 1);
    memcpy(text, c->text, n);
    text[n] = '\0';
    c->head_only = strncmp(text, "HEAD ", 5) == 0;
    memmove(c->text, c->text + n, c->n - n + 1);
    c->n -= n;
    pthread_mutex_lock(&server->lock);
    if (server->requests < FAULT_REQUESTS_MAX) {
        server->texts[server->requests++] = text;
        text = NULL;
    }
    pthread_mutex_unlock(&server->lock);
    free(text);
    return true;
}

static bool fault_send_bytes(fault_connection *c, const char *bytes, size_t n, int piece_ms) {
    while (n > 0) {
        ssize_t done;
        if (!fault_wait_for(c->server, c->fd, POLLOUT)) return false;
        done = send(c->fd, bytes, piece_ms ? 1 : n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done <= 0) return false;
        bytes += done;
        n -= (size_t)done;
        if (piece_ms) fault_pause_ms(c->server, piece_ms);
    }
    return true;
}

static bool fault_send_filler(fault_connection *c, const char *unit, size_t n) {
    char block[16384];
    size_t unit_size = strlen(unit), fill = sizeof block / unit_size * unit_size;
    for (size_t i = 0; i < fill; i++) block[i] = unit[i % unit_size];
    for (size_t sent = 0; sent < n; sent += fill) {
        if (!fault_send_bytes(c, block, n - sent < fill ? (n - sent + unit_size - 1) / unit_size * unit_size : fill,
                              0)) {
            return false;
        }
    }
    return true;
}

/* Whether the connection may go on. */
static bool fault_send_answer(fault_connection *c, const fault_step *step) {
    const char *body = step->body ? step->body : "{}";
    char head[1024];
    int64_t length = step->claimed_length ? step->claimed_length : (int64_t)(strlen(body) + step->filler_body);
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d Scripted\r\n%s", step->status ? step->status : 200,
                     step->head ? step->head : "");
    if (!fault_send_bytes(c, head, (size_t)n, step->piece_ms)) return false;
    if (step->kind == FAULT_STALL_IN_HEAD) {
        while (fault_read_more(c)) continue;
        return false;
    }
    if (!fault_send_filler(c, "X-Filler: filler\r\n", step->filler_head)) return false;
    n = length < 0 ? snprintf(head, sizeof head, "Connection: close\r\n\r\n")
                   : snprintf(head, sizeof head, "Content-Length: %lld\r\n\r\n", (long long)length);
    if (!fault_send_bytes(c, head, (size_t)n, step->piece_ms)) return false;
    if (c->head_only) return !step->close;
    if (!fault_send_bytes(c, body, strlen(body), step->piece_ms)) return false;
    while (step->kind == FAULT_STALL_IN_BODY && fault_read_more(c)) continue;
    return fault_send_filler(c, "x", step->filler_body) && step->claimed_length == 0 && !step->close;
}

static void fault_reset(fault_connection *c) {
    const struct linger now = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static const fault_step *fault_next_step(fault_server *server) {
    size_t i;
    pthread_mutex_lock(&server->lock);
    i = server->taken < server->count ? server->taken : server->count - 1;
    server->taken++;
    pthread_mutex_unlock(&server->lock);
    return &server->steps[i];
}

static bool fault_serve_one(fault_connection *c) {
    const fault_step *step;
    if (!fault_wait_for(c->server, c->fd, POLLIN) || (c->n == 0 && recv(c->fd, &(char){0}, 1, MSG_PEEK) <= 0))
        return false;
    step = fault_next_step(c->server);
    if (step->kind == FAULT_RESET_EARLY) {
        fault_reset(c);
        return false;
    }
    if (!fault_read_request(c)) return false;
    switch (step->kind) {
    case FAULT_RAW: fault_send_bytes(c, step->body, strlen(step->body), step->piece_ms); return false;
    case FAULT_RESET: fault_reset(c); return false;
    case FAULT_STALL:
        while (fault_read_more(c)) continue;
        return false;
    case FAULT_CLOSE: return false;
    default: return fault_send_answer(c, step);
    }
}

static void *fault_serve(void *argument) {
    fault_connection *c = argument;
    while (fault_serve_one(c)) continue;
    close(c->fd);
    free(c->text);
    free(c);
    return NULL;
}

static void *fault_accept_all(void *argument) {
    fault_server *server = argument;
    const int on = 1;
    while (fault_wait_for(server, server->listener, POLLIN)) {
        int fd = accept(server->listener, NULL, NULL);
        fault_connection *c;
        size_t i;
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c = calloc(1, sizeof *c);
        c->server = server;
        c->fd = fd;
        pthread_mutex_lock(&server->lock);
        i = server->connections++;
        pthread_mutex_unlock(&server->lock);
        if (i >= FAULT_CONNECTIONS_MAX || pthread_create(&server->threads[i], NULL, fault_serve, c) != 0)
            fault_die("connection");
    }
    return NULL;
}

/* Aborts the program when it cannot start. steps must outlive the server. */
__attribute__((unused)) static fault_server *fault_server_start(const fault_step *steps, size_t count) {
    fault_server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    server->steps = steps;
    server->count = count;
    pthread_mutex_init(&server->lock, NULL);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (pipe(server->stop) != 0 || bind(server->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(server->listener, 128) != 0 || getsockname(server->listener, (struct sockaddr *)&address, &size) != 0 ||
        pthread_create(&server->acceptor, NULL, fault_accept_all, server) != 0) {
        fault_die("fault server");
    }
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    return server;
}

__attribute__((unused)) static void fault_server_stop(fault_server *server) {
    if (write(server->stop[1], "x", 1) != 1) fault_die("stop"); /* nobody reads it, so all see it */
    pthread_join(server->acceptor, NULL);
    for (size_t i = 0; i < server->connections; i++) pthread_join(server->threads[i], NULL);
    for (size_t i = 0; i < server->requests; i++) free(server->texts[i]);
    close(server->stop[0]);
    close(server->stop[1]);
    close(server->listener);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

/* "http://127.0.0.1:PORT" */
__attribute__((unused)) static const char *fault_server_url(const fault_server *server) {
    return server->url;
}

/* How many were read completely so far. */
__attribute__((unused)) static size_t fault_server_requests(fault_server *server) {
    size_t n;
    pthread_mutex_lock(&server->lock);
    n = server->requests;
    pthread_mutex_unlock(&server->lock);
    return n;
}

__attribute__((unused)) static size_t fault_server_connections(fault_server *server) {
    size_t n;
    pthread_mutex_lock(&server->lock);
    n = server->connections;
    pthread_mutex_unlock(&server->lock);
    return n;
}

/* The i-th request, head and body, NUL-terminated; "" when there is none. Lives until stop. */
__attribute__((unused)) static const char *fault_server_request(fault_server *server, size_t i) {
    const char *text = "";
    pthread_mutex_lock(&server->lock);
    if (i < server->requests) text = server->texts[i];
    pthread_mutex_unlock(&server->lock);
    return text;
}

#endif
