/* SPDX-License-Identifier: MIT */
/*
 * One HTTP request and its answer, over kept-alive connections.
 * Redirects are never followed, TLS is always verified, ~/.netrc is never read, CR, LF and NUL in anything sent are
 * refused. Knows nothing of AWS.
 */
#ifndef CPL_HTTP_H
#define CPL_HTTP_H

#include "sigv4.h" /* cpl_header */

/* A pool of connections with common settings. Thread-safe; after fork the child starts with an empty pool. */
typedef struct cpl_http cpl_http;

typedef struct cpl_http_options {
    cpl_str ca_bundle; /* file or hashed folder; default: the system's */
    cpl_str proxy;     /* for every host, when proxy_set; "" for none. Else the environment's (http_route.h) */
    bool proxy_set;
    cpl_str client_cert; /* PEM files; the key may be in the certificate's */
    cpl_str client_key;
    int64_t connect_timeout_ms;
    int64_t read_timeout_ms;  /* longest silence */
    int64_t total_timeout_ms; /* 0: none */
} cpl_http_options;

/* Instead of the pool's own, for one request; 0: none. */
typedef struct cpl_http_limits {
    int64_t connect_timeout_ms;
    int64_t read_timeout_ms;
    int64_t total_timeout_ms;
} cpl_http_limits;

cpl_status cpl_http_new(cpl_http **out, const cpl_http_options *options, cpl_error *err);
void cpl_http_free(cpl_http *http);
void cpl_http_close_idle(cpl_http *http); /* closes the kept connections */

typedef struct cpl_http_request {
    cpl_str method; /* GET, PUT, POST, HEAD, DELETE */
    cpl_str url;
    const cpl_header *headers;
    size_t header_count;
    cpl_str body;
    int body_fd; /* instead of body when body_from_fd: body_size bytes from offset body_offset */
    bool body_from_fd;
    int64_t body_offset;
    int64_t body_size;
    int sink_fd; /* where the body of a 2xx answer goes when sink_to_fd; else into response->body */
    bool sink_to_fd;
    int64_t sink_offset;
    size_t body_limit;    /* bytes of an answer kept in memory, or written to the sink; past it CPL_TOO_LARGE */
    size_t sink_enough;   /* so many bytes for the sink are wanted, the rest is left: the answer is cut; 0: all */
    const cpl_wait *wait; /* timeout_ms caps this request when not 0 */
    const cpl_http_limits *limits; /* NULL: the pool's */
} cpl_http_request;

typedef struct cpl_http_response {
    int status;
    cpl_buf body;
    cpl_buf head;       /* header lines, "name: value\n", names in lower case */
    int64_t body_bytes; /* also counts what went to the sink */
    int64_t sent_bytes; /* of the request's body_fd */
    bool cut;           /* there was more than sink_enough */
    bool sent;          /* the request may have reached the server (matters when there is no answer) */
    bool reused;        /* over a kept connection */
    bool resent;        /* a kept connection broke, and what went over it may have reached the server too */
} cpl_http_response;
void cpl_http_response_init(cpl_http_response *response);
void cpl_http_response_clear(cpl_http_response *response);
void cpl_http_response_release(cpl_http_response *response);

/*
 * Sends and waits. A kept connection that turns out to be dead before the answer began is replaced by a new one, once
 * and unnoticed. CPL_OK for any complete answer, whatever its status. CPL_NETWORK: refused, reset, name not found, TLS;
 * CPL_TIMEOUT; CPL_PROTOCOL: not HTTP, or a body shorter than its Content-Length; CPL_TOO_LARGE; CPL_CANCELLED; CPL_IO
 * for the file descriptors.
 */
cpl_status cpl_http_send(cpl_http *http, const cpl_http_request *request, cpl_http_response *response, cpl_error *err);

/*
 * Many requests on one thread: started, and driven by whoever waits. Connections are shared among the requests of a
 * batch. For one thread at a time, but for cpl_http_batch_wake(); not for a child after fork, which may only free it
 * (and then nothing is touched).
 */
typedef struct cpl_http_batch cpl_http_batch;
cpl_status cpl_http_batch_new(cpl_http_batch **out, cpl_http *http, cpl_error *err); /* http must outlive it */
void cpl_http_batch_free(cpl_http_batch *batch); /* gives up what is under way; NULL is fine */
/*
 * As cpl_http_send(), but only begins; owner says which one. The request and what it views need to live until this
 * returns, except for body and limits, which live with response and err until the end; wait->tick is never asked.
 */
cpl_status cpl_http_batch_start(cpl_http_batch *batch, const cpl_http_request *request, cpl_http_response *response,
                                void *owner, cpl_error *err);
/* One that ended, its status and err as from cpl_http_send(); NULL when there is none. */
void *cpl_http_batch_next(cpl_http_batch *batch, cpl_status *status);
/* Gives one up; nothing is said of it any more. */
void cpl_http_batch_cancel(cpl_http_batch *batch, const void *owner);
/* Moves everything on, then waits until there is something to do, or for most_ms. */
void cpl_http_batch_wait(cpl_http_batch *batch, int most_ms);
void cpl_http_batch_wake(cpl_http_batch *batch); /* ends the wait under way, or the next one; from any thread */

/*
 * CPL_INVALID unless the name is a token and the value printable ASCII: whoever sends a header checks it, because a
 * line end in it would be a header of an attacker's own.
 */
cpl_status cpl_http_check_header(const cpl_header *header, cpl_error *err);
/* All header lines of one answer together; past it CPL_TOO_LARGE. */
#define CPL_HTTP_HEAD_MAX 65536
/* Adds one header line as it arrived, without its line end, to a head. */
void cpl_http_head_add(cpl_buf *head, cpl_str line);
/* The first header of that name (lower case); absent view when there is none. */
cpl_str cpl_http_header(const cpl_http_response *response, const char *name);
/* The i-th header; false past the end. */
bool cpl_http_header_at(const cpl_http_response *response, size_t i, cpl_str *name, cpl_str *value);

/* Takes "scheme://host[:port][/path]" apart; false for other schemes, user info, fragments, bytes that need escapes. */
typedef struct cpl_url {
    cpl_str scheme;
    cpl_str authority; /* host[:port], as a Host header has it; a default port is left out */
    cpl_str host;      /* IPv6 without brackets */
    cpl_str path;      /* without query; "" when there is none */
    cpl_str query;
} cpl_url;
bool cpl_url_parse(cpl_str url, cpl_url *out);

#endif
