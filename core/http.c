/* SPDX-License-Identifier: MIT */
/*
 * A lane is one CURLM with one easy handle: the multi interface lets us wait in slices (so that Ctrl-C gets through)
 * and keeps the connection; a lane each instead of one shared multi means that threads never wait for one another.
 * Lanes are taken and given back in LIFO order, so the one used is the one whose connection is least likely to have
 * gone stale.
 */
#include "http_lane.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "fork.h"

#define IDLE_MAX 64
#define ERROR_BODY_MAX (1024 * 1024) /* of an answer whose body was to go to a file */
#define BULK_BUFFER (256L * 1024)
#define EXPECTED_BODY_MAX (1024 * 1024) /* how much memory a Content-Length alone may claim */

/* What one process has; a forked child gets a new one, because the parent's locks and TLS states are not its own. */
struct pool {
    uint32_t mark;
    pthread_mutex_t lock;
    lane *idle;
    size_t idle_count;
    unsigned generation;    /* counts cpl_http_close_idle(); lanes of an older one are not kept */
    struct pool *inherited; /* never used again, never freed */
};

/* ---- SIGPIPE ---- */

void cpl_lane_hush(cpl_sigpipe *guard) {
    if (!cpl_libcurl_is_quiet()) cpl_sigpipe_block(guard);
}

void cpl_lane_unhush(const cpl_sigpipe *guard) {
    if (!cpl_libcurl_is_quiet()) cpl_sigpipe_restore(guard);
}

/* ---- callbacks ---- */

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    lane *at = context;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    long request_bytes = 0;
    (void)purpose;
    curl_easy_getinfo(at->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    if (at->transfer && request_bytes > 0) at->transfer->response->resent = true; /* libcurl found the kept one dead */
    for (size_t i = 0; fd >= 0 && i < LANE_SOCKETS; i++) {
        if (at->sockets[i] >= 0) continue;
        at->sockets[i] = fd;
        break;
    }
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int on_close(void *context, curl_socket_t fd) {
    lane *at = context;
    for (size_t i = 0; i < LANE_SOCKETS; i++) {
        if (at->sockets[i] == fd) at->sockets[i] = -1;
    }
    return close(fd);
}

static bool has_body(const transfer *t, long status) {
    return !cpl_str_is(t->request->method, "HEAD") && status >= 200 && status != 204 && status != 304;
}

/* The end of a head: an answer that announces more than the limit is refused before its first byte. */
static bool finish_head(transfer *t) {
    int64_t length = 0;
    long status = 0;
    size_t limit = t->request->body_limit;
    cpl_str announced = cpl_http_header(t->response, "content-length");
    curl_easy_getinfo(t->lane->easy, CURLINFO_RESPONSE_CODE, &status);
    t->head_done = true;
    t->to_sink = t->request->sink_to_fd && status >= 200 && status < 300;
    if (!t->to_sink && t->request->sink_to_fd) t->response->body.limit = limit = ERROR_BODY_MAX;
    if (!has_body(t, status) || !cpl_str_integer(announced, &length)) return true;
    if (length > 0 && (uint64_t)length > limit) {
        t->failed = cpl_fail(t->err, CPL_TOO_LARGE, "the answer of \"%s\" is %lld bytes, the limit is %zu", t->host,
                             (long long)length, limit);
        return false;
    }
    if (!t->to_sink && length > 0 && length <= EXPECTED_BODY_MAX) {
        (void)cpl_buf_reserve(&t->response->body, (size_t)length);
    }
    return true;
}

static size_t on_head(char *bytes, size_t size, size_t count, void *context) {
    transfer *t = ((lane *)context)->transfer;
    size_t n = size * count, end = n;
    cpl_str line;
    t->head_bytes += n;
    if (t->head_bytes > CPL_HTTP_HEAD_MAX) {
        t->failed = cpl_fail(t->err, CPL_TOO_LARGE, "the headers of the answer of \"%s\" are larger than %d bytes",
                             t->host, CPL_HTTP_HEAD_MAX);
        return 0;
    }
    while (end > 0 && (bytes[end - 1] == '\r' || bytes[end - 1] == '\n')) end--;
    line = (cpl_str){bytes, end};
    if (t->head_done && t->response->body_bytes == 0 && cpl_str_starts(line, "HTTP/")) {
        t->head_done = false; /* the one before was 1xx */
        cpl_buf_clear(&t->response->head);
    }
    if (t->head_done) return n; /* a trailer */
    if (line.n == 0) return finish_head(t) ? n : 0;
    cpl_http_head_add(&t->response->head, line);
    return n;
}

static bool write_sink(transfer *t, const char *bytes, size_t n) {
    int64_t at = t->request->sink_offset + t->response->body_bytes;
    while (n > 0) {
        ssize_t done = pwrite(t->request->sink_fd, bytes, n, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) {
            t->failed = cpl_fail_errno(t->err, "write", "the answer's file");
            return false;
        }
        bytes += done;
        n -= (size_t)done;
        at += done;
    }
    return true;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    transfer *t = ((lane *)context)->transfer;
    size_t n = size * count;
    uint64_t limit = t->to_sink ? t->request->body_limit : t->response->body.limit, enough = t->request->sink_enough;
    if ((uint64_t)t->response->body_bytes + n > limit) {
        t->failed = cpl_fail(t->err, CPL_TOO_LARGE, "the answer of \"%s\" is larger than %llu bytes", t->host,
                             (unsigned long long)limit);
        return 0;
    }
    if (t->to_sink && enough && (uint64_t)t->response->body_bytes + n > enough) {
        n = (size_t)enough - (size_t)t->response->body_bytes;
        t->response->cut = true; /* and less than there is makes libcurl stop */
    }
    if (t->to_sink) {
        if (!write_sink(t, bytes, n)) return 0;
    } else {
        cpl_buf_add(&t->response->body, bytes, n);
        t->failed = cpl_buf_status(&t->response->body, "the answer", t->err);
        if (t->failed) return 0;
    }
    t->response->body_bytes += (int64_t)n;
    return n;
}

static size_t on_read(char *to, size_t size, size_t count, void *context) {
    transfer *t = ((lane *)context)->transfer;
    int64_t left = t->request->body_size - t->body_at;
    size_t n = size * count;
    ssize_t done;
    if (left < (int64_t)n) n = (size_t)left;
    if (n == 0) return 0;
    do {
        done = pread(t->request->body_fd, to, n, (off_t)(t->request->body_offset + t->body_at));
    } while (done < 0 && errno == EINTR);
    if (done < 0) t->failed = cpl_fail_errno(t->err, "read", "the request's file");
    if (done == 0) t->failed = cpl_fail(t->err, CPL_IO, "the request's file became shorter while it was sent");
    if (done <= 0) return CURL_READFUNC_ABORT;
    t->body_at += done;
    t->response->sent_bytes = t->body_at;
    return (size_t)done;
}

/* libcurl rewinds when it finds the kept connection dead and sends again over a new one. */
static int on_seek(void *context, curl_off_t offset, int origin) {
    transfer *t = ((lane *)context)->transfer;
    if (origin != SEEK_SET || offset < 0 || offset > t->request->body_size) return CURL_SEEKFUNC_CANTSEEK;
    t->body_at = offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- lanes ---- */

#define SET(option, value) (ok = ok && curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

static bool set_callbacks(lane *at) {
    CURL *easy = at->easy;
    bool ok = true;
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, (void *)at);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, (void *)at);
    SET(CURLOPT_READFUNCTION, on_read);
    SET(CURLOPT_READDATA, (void *)at);
    SET(CURLOPT_SEEKFUNCTION, on_seek);
    SET(CURLOPT_SEEKDATA, (void *)at);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, (void *)at);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(CURLOPT_CLOSESOCKETDATA, (void *)at);
    SET(CURLOPT_ERRORBUFFER, at->detail);
    SET(CURLOPT_CURLU, at->parsed);
    return ok;
}

static bool set_route(const cpl_http_route *route, CURL *easy) {
    bool ok = true;
    if (route->ca_file || route->ca_folder) {
        SET(CURLOPT_CAINFO, route->ca_file);
        SET(CURLOPT_CAPATH, route->ca_folder);
        SET(CURLOPT_PROXY_CAINFO, route->ca_file);
        SET(CURLOPT_PROXY_CAPATH, route->ca_folder);
    }
    if (route->cert) SET(CURLOPT_SSLCERT, route->cert);
    if (route->key) SET(CURLOPT_SSLKEY, route->key);
    SET(CURLOPT_NOPROXY, route->no_proxy);
    SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* what is signed is none of a proxy's business */
    return ok;
}

/* What holds for every request; set once, because twenty options cost more than the rest of a small request. */
static bool set_constants(const cpl_http *http, CURL *easy) {
    bool ok = true;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_NOPROGRESS, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    SET(CURLOPT_QUICK_EXIT, 1L); /* never wait for a name look-up that was given up */
#endif
    return ok && set_route(&http->route, easy);
}

void cpl_lane_free(lane *at) {
    if (at == NULL) return;
    curl_easy_cleanup(at->easy);
    if (at->multi) curl_multi_cleanup(at->multi); /* closes the connections, and so still needs the lane */
    curl_url_cleanup(at->parsed);
    cpl_buf_release(&at->url);
    cpl_buf_wipe(&at->lines);
    cpl_buf_release(&at->lines);
    cpl_free(at);
}

lane *cpl_lane_new(const cpl_http *http, bool alone) {
    lane *at = cpl_calloc(1, sizeof *at);
    if (at == NULL) return NULL;
    for (size_t i = 0; i < LANE_SOCKETS; i++) at->sockets[i] = -1;
    at->https = -1;
    cpl_buf_init(&at->url, SIZE_MAX / 2);
    cpl_buf_init(&at->lines, CPL_HTTP_HEAD_MAX);
    at->multi = alone ? curl_multi_init() : NULL;
    at->easy = at->multi || !alone ? curl_easy_init() : NULL;
    at->parsed = at->easy ? curl_url() : NULL;
    if (at->parsed == NULL || !set_callbacks(at) || !set_constants(http, at->easy)) {
        cpl_lane_free(at);
        return NULL;
    }
    return at;
}

static void lanes_free(lane *first) {
    cpl_sigpipe guard;
    if (first == NULL) return;
    cpl_lane_hush(&guard); /* TLS says good-bye */
    while (first) {
        lane *next = first->next;
        cpl_lane_free(first);
        first = next;
    }
    cpl_lane_unhush(&guard);
}

/* ---- the pool ---- */

static pool *pool_new(void) {
    pool *p = cpl_calloc(1, sizeof *p);
    if (p == NULL) return NULL;
    p->mark = cpl_fork_mark();
    if (pthread_mutex_init(&p->lock, NULL) != 0) {
        cpl_free(p);
        return NULL;
    }
    return p;
}

static void pool_free(pool *p) {
    lanes_free(p->idle);
    pthread_mutex_destroy(&p->lock);
    cpl_free(p);
}

/* In a child: the parent's connections must neither be used nor be told good-bye; only our copies of the sockets go. */
static void abandon(const pool *inherited) {
    for (const lane *at = inherited->idle; at; at = at->next) {
        for (size_t i = 0; i < LANE_SOCKETS; i++) {
            if (at->sockets[i] >= 0) close(at->sockets[i]);
        }
    }
}

/*
 * This process's pool, NULL when out of memory. Needs no lock, because a lock that was held during fork would stay held
 * in the child forever.
 */
static pool *current_pool(cpl_http *http) {
    pool *p = atomic_load(&http->pool), *fresh;
    if (p->mark == cpl_fork_mark()) return p;
    fresh = pool_new();
    if (fresh == NULL) return NULL;
    fresh->inherited = p;
    if (atomic_compare_exchange_strong(&http->pool, &p, fresh)) {
        abandon(fresh->inherited);
        return fresh;
    }
    pool_free(fresh); /* another thread of the child was first */
    return p;
}

static lane *lane_take(const cpl_http *http, pool *p) {
    lane *at;
    unsigned generation;
    pthread_mutex_lock(&p->lock);
    at = p->idle;
    generation = p->generation;
    if (at) {
        p->idle = at->next;
        p->idle_count--;
    }
    pthread_mutex_unlock(&p->lock);
    if (at == NULL) at = cpl_lane_new(http, true);
    if (at) at->generation = generation;
    return at;
}

static void lane_give(pool *p, lane *at) {
    pthread_mutex_lock(&p->lock);
    at->next = NULL;
    if (at->generation == p->generation && p->idle_count < IDLE_MAX) {
        at->next = p->idle;
        p->idle = at;
        p->idle_count++;
        at = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    lanes_free(at);
}

void cpl_http_close_idle(cpl_http *http) {
    pool *p = current_pool(http);
    lane *idle;
    if (p == NULL) return;
    pthread_mutex_lock(&p->lock);
    idle = p->idle;
    p->idle = NULL;
    p->idle_count = 0;
    p->generation++;
    pthread_mutex_unlock(&p->lock);
    lanes_free(idle);
}

/* ---- the object ---- */

/* What cpl_http_route_init wants to know. */
static const char *system_ca(void) {
    const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
    if (built->capath) return built->capath;
    return built->cainfo ? "" : NULL;
}

cpl_status cpl_http_new(cpl_http **out, const cpl_http_options *options, cpl_error *err) {
    static const cpl_http_options defaults;
    cpl_http *http;
    cpl_status status;
    *out = NULL;
    if (options == NULL) options = &defaults;
    status = cpl_libcurl_need(err);
    if (status) return status;
    http = cpl_calloc(1, sizeof *http);
    if (http == NULL) return cpl_fail_nomem(err);
    http->limits = (cpl_http_limits){options->connect_timeout_ms, options->read_timeout_ms, options->total_timeout_ms};
    atomic_init(&http->pool, pool_new());
    status = atomic_load(&http->pool) ? CPL_OK : cpl_fail_nomem(err);
    if (status == CPL_OK) status = cpl_http_route_init(&http->route, options, system_ca(), err);
    if (status == CPL_OK) {
        *out = http;
    } else {
        cpl_http_free(http);
    }
    return status;
}

void cpl_http_free(cpl_http *http) {
    pool *p;
    if (http == NULL) return;
    p = atomic_load(&http->pool);
    if (p && p->mark == cpl_fork_mark()) pool_free(p); /* an inherited one stays as it is */
    cpl_http_route_release(&http->route);
    cpl_free(http);
}

/* ---- preparing a request ---- */

static cpl_status check_request(transfer *t) {
    static const char *const methods[] = {"GET", "PUT", "POST", "HEAD", "DELETE"};
    const cpl_http_request *request = t->request;
    bool known = false;
    for (size_t i = 0; i < CPL_COUNT(methods); i++) known = known || cpl_str_is(request->method, methods[i]);
    if (!known) return cpl_fail(t->err, CPL_INVALID, "the method is not GET, PUT, POST, HEAD or DELETE");
    if (!cpl_url_parse(request->url, &t->url)) return cpl_fail(t->err, CPL_INVALID, "the URL cannot be used");
    if (request->header_count > HEADERS_MAX) {
        return cpl_fail(t->err, CPL_INVALID, "%zu headers are more than %d", request->header_count, HEADERS_MAX);
    }
    for (size_t i = 0; i < request->header_count; i++) {
        cpl_status status = cpl_http_check_header(&request->headers[i], t->err);
        if (status) return status;
    }
    CPL_COPY(t->host, t->url.authority);
    return CPL_OK;
}

/* What libcurl would add of its own accord; an entry without a value takes it out, unless the caller's came before. */
static char no_accept[] = "Accept:", no_type[] = "Content-Type:", no_expect[] = "Expect:";
static struct curl_slist suppressed[] = {{no_accept, &suppressed[1]}, {no_type, &suppressed[2]}, {no_expect, NULL}};

/* From its end, and in the lane's own memory; curl_slist_append() would allocate twice for each header. */
static struct curl_slist *build_headers(lane *at, const cpl_http_request *request) {
    struct curl_slist *first = suppressed;
    size_t total = 0;
    cpl_buf_clear(&at->lines);
    for (size_t i = 0; i < request->header_count; i++) {
        total += request->headers[i].name.n + request->headers[i].value.n + 3;
    }
    (void)cpl_buf_reserve(&at->lines, total); /* so that no line moves */
    for (size_t i = request->header_count; i-- > 0 && cpl_buf_ok(&at->lines);) {
        const cpl_header *header = &request->headers[i];
        at->nodes[i] = (struct curl_slist){at->lines.p + at->lines.n, first};
        first = &at->nodes[i];
        cpl_buf_addv(&at->lines, header->name);
        cpl_buf_adds(&at->lines, header->value.n ? ": " : ";"); /* libcurl's way to say "with an empty value" */
        cpl_buf_addv(&at->lines, header->value);
        cpl_buf_addc(&at->lines, '\0');
    }
    return first;
}

/* Parsed once for all requests to it, and as it was signed; libcurl would parse a text, and write it, for each. */
static cpl_status set_url(transfer *t) {
    lane *at = t->lane;
    CURLUcode code;
    if (at->url.n > 0 && cpl_str_eq(cpl_buf_str(&at->url), t->request->url)) return CPL_OK;
    cpl_buf_clear(&at->url);
    cpl_buf_addv(&at->url, t->request->url);
    if (!cpl_buf_ok(&at->url)) return cpl_buf_status(&at->url, "the URL", t->err);
    code = curl_url_set(at->parsed, CURLUPART_URL, cpl_buf_cstr(&at->url), CURLU_PATH_AS_IS | CURLU_DISALLOW_USER);
    curl_easy_setopt(at->easy, CURLOPT_URL, NULL); /* up to 8.5 that is still the one before */
    if (code == CURLUE_OK) return CPL_OK;
    cpl_buf_clear(&at->url);
    if (code == CURLUE_OUT_OF_MEMORY) return cpl_fail_nomem(t->err);
    return cpl_fail(t->err, CPL_INVALID, "the URL of \"%s\" cannot be used", t->host);
}

static bool set_method(CURL *easy, const cpl_http_request *request) {
    bool ok = true, body = request->body.n > 0 || cpl_str_is(request->method, "POST");
    const char *custom = NULL;
    if (cpl_str_is(request->method, "PUT")) custom = "PUT";
    if (cpl_str_is(request->method, "DELETE")) custom = "DELETE";
    if (request->body_from_fd) {
        custom = custom ? custom : "POST";
        SET(CURLOPT_POSTFIELDS, (char *)NULL); /* as long as there are some, libcurl sees nothing to rewind */
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body_size);
    } else if (body || (custom && custom[0] == 'P')) {
        SET(CURLOPT_POSTFIELDS, request->body.p ? request->body.p : ""); /* not copied: outlives the transfer */
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.n);
        SET(CURLOPT_POST, 1L);
    } else {
        SET(CURLOPT_HTTPGET, 1L);
    }
    if (cpl_str_is(request->method, "HEAD")) SET(CURLOPT_NOBODY, 1L);
    SET(CURLOPT_CUSTOMREQUEST, custom);
    return ok;
}

/* Files move in large pieces, for a third of the CPU; calls keep libcurl's small buffers. */
static bool set_buffers(lane *at, bool bulk) {
    CURL *easy = at->easy;
    bool ok = true;
    if (bulk == at->bulk) return true;
    SET(CURLOPT_BUFFERSIZE, bulk ? BULK_BUFFER : (long)CURL_MAX_WRITE_SIZE);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, bulk ? BULK_BUFFER : 65536L);
    at->bulk = bulk;
    return ok;
}

/* The proxy and the time to connect, where they differ from the request before. */
static bool set_way(const cpl_http *http, const transfer *t) {
    lane *at = t->lane;
    CURL *easy = at->easy;
    int https = cpl_str_is_nocase(t->url.scheme, "https");
    bool ok = true;
    if (at->https != https) SET(CURLOPT_PROXY, http->route.proxy[https]);
    at->https = ok ? https : -1;
    if (at->connect_ms == t->limits->connect_timeout_ms) return ok;
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)t->limits->connect_timeout_ms);
    at->connect_ms = t->limits->connect_timeout_ms;
    return ok;
}

static cpl_status set_request(transfer *t, const cpl_http *http) {
    lane *at = t->lane;
    CURL *easy = at->easy;
    bool ok = true;
    cpl_status status = set_url(t);
    if (status) return status;
    SET(CURLOPT_HTTPHEADER, build_headers(at, t->request));
    ok = ok && set_method(easy, t->request) && set_way(http, t);
    ok = ok && set_buffers(at, t->request->sink_to_fd || t->request->body_from_fd);
    return ok ? cpl_buf_status(&at->lines, "the request's headers", t->err) : cpl_fail_nomem(t->err);
}

/* ---- running it ---- */

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Until the request is on its way the connect timeout rules. */
static bool is_connected(const transfer *t) {
    curl_off_t started = 0;
    curl_easy_getinfo(t->lane->easy, CURLINFO_PRETRANSFER_TIME_T, &started);
    return started != 0;
}

cpl_status cpl_transfer_check(transfer *t, int *slice_ms) {
    const cpl_wait *wait = t->request->wait;
    int64_t now = cpl_clock_monotonic_ms(), slice = CPL_HTTP_TICK_MS, silence_ms = t->limits->read_timeout_ms;
    if (wait && wait->tick && now - t->tick_ms >= CPL_HTTP_TICK_MS) {
        t->tick_ms = now;
        if (wait->tick(wait->context) != 0) return cpl_fail(t->err, CPL_CANCELLED, "cancelled");
    }
    slice = least(slice, t->tick_ms + CPL_HTTP_TICK_MS > now ? t->tick_ms + CPL_HTTP_TICK_MS - now : CPL_HTTP_TICK_MS);
    if (t->limit_ms > 0) {
        int64_t left = t->start_ms + t->limit_ms - now;
        if (left <= 0) {
            return cpl_fail(t->err, CPL_TIMEOUT, "no complete answer from \"%s\" within %lld ms", t->host,
                            (long long)t->limit_ms);
        }
        slice = least(slice, left);
    }
    if (silence_ms > 0) {
        if (t->heard || (now - t->active_ms >= silence_ms && !is_connected(t))) t->active_ms = now;
        t->heard = false;
        if (now - t->active_ms >= silence_ms) {
            return cpl_fail(t->err, CPL_TIMEOUT, "\"%s\" was silent for %lld ms", t->host, (long long)silence_ms);
        }
        slice = least(slice, t->active_ms + silence_ms - now);
    }
    *slice_ms = (int)slice;
    return CPL_OK;
}

typedef struct failure {
    CURLcode code;
    cpl_status status;
    const char *text; /* followed by the host */
    cpl_cause cause;
} failure;

static const failure failures[] = {
    {CURLE_OUT_OF_MEMORY, CPL_NOMEM, "out of memory for a request to", CPL_CAUSE_NONE},
    {CURLE_COULDNT_RESOLVE_PROXY, CPL_NETWORK, "the name of the proxy was not found on the way to", CPL_CAUSE_NONE},
    {CURLE_COULDNT_RESOLVE_HOST, CPL_NETWORK, "the name was not found:", CPL_CAUSE_NAME},
    {CURLE_COULDNT_CONNECT, CPL_NETWORK, "no connection to", CPL_CAUSE_NONE},
    {CURLE_OPERATION_TIMEDOUT, CPL_TIMEOUT, "the time to connect is over:", CPL_CAUSE_NONE},
    {CURLE_GOT_NOTHING, CPL_NETWORK, "the connection was closed before an answer came from", CPL_CAUSE_NONE},
    {CURLE_RECV_ERROR, CPL_NETWORK, "the connection broke during the answer of", CPL_CAUSE_NONE},
    {CURLE_SEND_ERROR, CPL_NETWORK, "the connection broke during the request to", CPL_CAUSE_NONE},
    {CURLE_PARTIAL_FILE, CPL_PROTOCOL, "the answer is shorter than announced by", CPL_CAUSE_NONE},
    {CURLE_WEIRD_SERVER_REPLY, CPL_PROTOCOL, "the answer is not HTTP, from", CPL_CAUSE_NONE},
    {CURLE_UNSUPPORTED_PROTOCOL, CPL_PROTOCOL, "the answer is not HTTP, from", CPL_CAUSE_NONE},
    {CURLE_PEER_FAILED_VERIFICATION, CPL_NETWORK, "the certificate is not trusted, of", CPL_CAUSE_TRUST},
    {CURLE_SSL_CONNECT_ERROR, CPL_NETWORK, "no TLS with", CPL_CAUSE_NONE},
    {CURLE_SSL_CACERT_BADFILE, CPL_CONFIG, "the CA bundle cannot be used for", CPL_CAUSE_NONE},
    {CURLE_SSL_CERTPROBLEM, CPL_CONFIG, "the client certificate or its key cannot be used for", CPL_CAUSE_NONE},
};

/* libcurl calls a header line of more than 100 KB a lack of memory. */
static bool is_endless_line(const transfer *t, CURLcode code) {
    curl_off_t first_byte_us = 0;
    curl_easy_getinfo(t->lane->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_byte_us);
    return code == CURLE_OUT_OF_MEMORY && first_byte_us > 0 && !t->head_done;
}

/* libcurl names the host that it tried: when that is not the one of the URL, it was the proxy. */
static bool was_proxy(const transfer *t, cpl_str proxy) {
    const char *bracket = strrchr(t->host, ']'), *port = strrchr(bracket ? bracket : t->host, ':');
    char tried[320];
    if (port == NULL) port = t->lane->https > 0 ? ":443" : ":80";
    snprintf(tried, sizeof tried, " to %.*s port %s ", (int)t->url.host.n, t->url.host.p, port + 1);
    return proxy.n > 0 && t->lane->detail[0] && strstr(t->lane->detail, tried) == NULL;
}

static cpl_status explain_refusal(transfer *t, int number) {
    cpl_str proxy = cpl_str_of(t->http->route.proxy[t->lane->https > 0]);
    char name[sizeof t->host];
    CPL_COPY(name, cpl_http_bare_proxy(proxy));
    errno = number;
    if (was_proxy(t, proxy)) {
        cpl_fail_errno(t->err, "connect to the proxy", name);
    } else {
        cpl_fail_errno(t->err, "connect to", t->host);
    }
    if (t->err) t->err->status = CPL_NETWORK;
    return CPL_NETWORK;
}

static cpl_status explain(transfer *t, CURLcode code) {
    static const failure other = {CURLE_OK, CPL_NETWORK, "no answer from", CPL_CAUSE_NONE};
    const failure *row = &other;
    long number = 0;
    if (is_endless_line(t, code)) {
        return cpl_fail(t->err, CPL_TOO_LARGE, "a header of the answer of \"%s\" does not end", t->host);
    }
    for (size_t i = 0; i < CPL_COUNT(failures); i++) {
        if (failures[i].code == code) row = &failures[i];
    }
    curl_easy_getinfo(t->lane->easy, CURLINFO_HTTP_CONNECTCODE, &number);
    if (number >= 300) {
        return cpl_fail(t->err, number == 407 ? CPL_CONFIG : CPL_NETWORK, "the proxy refused to connect to \"%s\": %s",
                        t->host, number == 407 ? "it wants other credentials (407)" : t->lane->detail);
    }
    curl_easy_getinfo(t->lane->easy, CURLINFO_OS_ERRNO, &number);
    if (code == CURLE_COULDNT_CONNECT && number != 0) return explain_refusal(t, (int)number);
    cpl_fail(t->err, row->status, "%s \"%s\": %s", row->text, t->host,
             t->lane->detail[0] ? t->lane->detail : curl_easy_strerror(code));
    if (t->err) t->err->cause = row->cause;
    return row->status;
}

cpl_status cpl_transfer_finish(transfer *t, CURLcode code) {
    if (t->failed) return t->failed;
    if (t->response->cut) return CPL_OK;
    if (code != CURLE_OK) return explain(t, code);
    if (!t->head_done) { /* libcurl takes the status line for an answer without a body */
        return cpl_fail(t->err, CPL_PROTOCOL, "the answer ends in its head, from \"%s\"", t->host);
    }
    return cpl_buf_status(&t->response->head, "the answer's head", t->err);
}

static cpl_status finish(transfer *t) {
    int left;
    CURLMsg *message = curl_multi_info_read(t->lane->multi, &left);
    return cpl_transfer_finish(t, message ? message->data.result : CURLE_OUT_OF_MEMORY);
}

static cpl_status run(transfer *t) {
    for (;;) {
        int running = 0, slice_ms = 0, ready = 0;
        cpl_status status;
        CURLMcode code = curl_multi_perform(t->lane->multi, &running);
        if (code != CURLM_OK) return cpl_fail(t->err, CPL_STATE, "libcurl: %s", curl_multi_strerror(code));
        if (running == 0) return finish(t);
        status = cpl_transfer_check(t, &slice_ms);
        if (status) return status;
        curl_multi_poll(t->lane->multi, NULL, 0, slice_ms, &ready);
        t->heard = ready > 0;
    }
}

void cpl_transfer_note(transfer *t) {
    long status = 0, request_bytes = 0, connects = 0;
    curl_easy_getinfo(t->lane->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->lane->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    curl_easy_getinfo(t->lane->easy, CURLINFO_NUM_CONNECTS, &connects);
    t->response->status = (int)status;
    t->response->sent = t->response->sent || request_bytes > 0;
    t->response->reused = connects == 0 && request_bytes > 0;
}

static cpl_status exchange(transfer *t) {
    cpl_status status;
    if (curl_multi_add_handle(t->lane->multi, t->lane->easy) != CURLM_OK) return cpl_fail_nomem(t->err);
    status = run(t);
    cpl_transfer_note(t);
    curl_multi_remove_handle(t->lane->multi, t->lane->easy); /* closes the connection if it was not done */
    return status;
}

/*
 * A kept connection that the server closed meanwhile says nothing about the server: once more, over a new one. libcurl
 * does this itself when reading finds it out, but not when writing does.
 */
bool cpl_transfer_was_stale(const transfer *t, cpl_status status) {
    return status == CPL_NETWORK && t->failed == CPL_OK && t->response->reused && t->head_bytes == 0;
}

void cpl_transfer_again(transfer *t) {
    t->body_at = 0;
    t->response->resent = t->response->sent;
    t->lane->detail[0] = '\0';
    cpl_error_clear(t->err);
    curl_easy_setopt(t->lane->easy, CURLOPT_FRESH_CONNECT, 1L);
}

cpl_status cpl_transfer_prepare(transfer *t, const cpl_http *http) {
    cpl_status status = set_request(t, http);
    if (status) return status;
    t->lane->transfer = t;
    t->lane->detail[0] = '\0';
    t->start_ms = t->tick_ms = t->active_ms = cpl_clock_monotonic_ms();
    return CPL_OK;
}

void cpl_transfer_end(transfer *t) {
    curl_easy_setopt(t->lane->easy, CURLOPT_FRESH_CONNECT, 0L);
    t->lane->transfer = NULL;
    cpl_buf_wipe(&t->lane->lines); /* signatures and tokens */
}

static cpl_status perform(transfer *t, const cpl_http *http) {
    cpl_sigpipe guard;
    cpl_status status = cpl_transfer_prepare(t, http);
    if (status) return status;
    cpl_lane_hush(&guard);
    status = exchange(t);
    if (cpl_transfer_was_stale(t, status)) {
        cpl_transfer_again(t);
        status = exchange(t);
    }
    cpl_lane_unhush(&guard);
    cpl_transfer_end(t);
    return status;
}

cpl_status cpl_transfer_init(transfer *t, const cpl_http *http) {
    const cpl_http_request *request = t->request;
    int64_t cap = request->wait ? request->wait->timeout_ms : 0;
    cpl_status status = check_request(t);
    t->http = http;
    cpl_http_response_clear(t->response);
    if (status) return status;
    t->response->body.limit = request->body_limit;
    t->limits = request->limits ? request->limits : &http->limits;
    t->limit_ms = t->limits->total_timeout_ms;
    if (cap > 0 && (t->limit_ms == 0 || cap < t->limit_ms)) t->limit_ms = cap;
    return CPL_OK;
}

cpl_status cpl_http_send(cpl_http *http, const cpl_http_request *request, cpl_http_response *response, cpl_error *err) {
    transfer t = {.request = request, .response = response, .err = err};
    cpl_status status = cpl_transfer_init(&t, http);
    pool *p;
    if (status) return status;
    p = current_pool(http);
    t.lane = p ? lane_take(http, p) : NULL;
    if (t.lane == NULL) return cpl_fail_nomem(err);
    status = perform(&t, http);
    lane_give(p, t.lane);
    return status;
}
