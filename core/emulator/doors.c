/* SPDX-License-Identifier: MIT */
#include "doors.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../clock.h"
#include "../err.h"
#include "../thread.h"

#define EVENTS 64
#define BACKLOG 1024
#define STARVED_MS 20 /* no descriptor is left, not even the spare one */
#define WAKE_ID UINT64_MAX

typedef struct door {
    uint64_t id;
    int fd;
} door;

struct emu_doors {
    emu_porter porter;
    pthread_t thread;
    pthread_mutex_t lock; /* around what is below */
    door *open;
    size_t count, room;
    int epoll, wake;
    int spare; /* given up for a moment when no descriptor is left, so that whom it cannot serve is told */
    atomic_bool closing;
};

/* ---- who comes ---- */

/* Level-triggered, so a queue that is not emptied now is told of again. */
static int take_in(emu_doors *doors, const door *at, struct sockaddr_storage *from, socklen_t *size) {
    int fd = accept4(at->fd, (struct sockaddr *)from, size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 || (errno != EMFILE && errno != ENFILE)) return fd;
    if (doors->spare >= 0) close(doors->spare);
    fd = accept4(at->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    doors->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (doors->spare < 0) cpl_clock_sleep(STARVED_MS, NULL, NULL);
    return -1;
}

static door *find(emu_doors *doors, uint64_t id) {
    for (size_t i = 0; i < doors->count; i++) {
        if (doors->open[i].id == id) return &doors->open[i];
    }
    return NULL;
}

/* The door may have been closed since somebody knocked: ids are not used again, unlike descriptors. */
static void answer(emu_doors *doors, uint64_t id) {
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    const door *at;
    int fd = -1;
    pthread_mutex_lock(&doors->lock);
    at = find(doors, id);
    if (at) fd = take_in(doors, at, &from, &size);
    pthread_mutex_unlock(&doors->lock);
    if (fd >= 0) doors->porter.admit(doors->porter.context, id, fd, (struct sockaddr *)&from, size);
}

static void *run(void *context) {
    emu_doors *doors = context;
    struct epoll_event events[EVENTS];
    uint64_t drained;
    while (!atomic_load(&doors->closing)) {
        int wait_ms = doors->porter.tick(doors->porter.context);
        int n = epoll_wait(doors->epoll, events, EVENTS, wait_ms);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 != WAKE_ID) {
                answer(doors, events[i].data.u64);
            } else if (read(doors->wake, &drained, sizeof drained) < 0) {
                assert(errno == EAGAIN);
            }
        }
    }
    return NULL;
}

/* ---- life ---- */

static bool watch(emu_doors *doors, int fd, uint64_t id) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = id};
    return epoll_ctl(doors->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void close_all(emu_doors *doors) {
    for (size_t i = 0; i < doors->count; i++) close(doors->open[i].fd);
    if (doors->epoll >= 0) close(doors->epoll);
    if (doors->wake >= 0) close(doors->wake);
    if (doors->spare >= 0) close(doors->spare);
    pthread_mutex_destroy(&doors->lock);
    cpl_free(doors->open);
    cpl_free(doors);
}

emu_doors *emu_doors_new(const emu_porter *porter) {
    emu_doors *doors = cpl_calloc(1, sizeof *doors);
    if (doors == NULL) return NULL;
    doors->porter = *porter;
    pthread_mutex_init(&doors->lock, NULL);
    atomic_init(&doors->closing, false);
    doors->epoll = epoll_create1(EPOLL_CLOEXEC);
    doors->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    doors->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (doors->epoll >= 0 && doors->wake >= 0 && doors->spare >= 0 && watch(doors, doors->wake, WAKE_ID) &&
        cpl_thread_start(&doors->thread, run, doors))
        return doors;
    close_all(doors);
    return NULL;
}

void emu_doors_wake(emu_doors *doors) {
    static const uint64_t one = 1;
    ssize_t written = write(doors->wake, &one, sizeof one); /* a full counter wakes as well */
    (void)written;
}

void emu_doors_free(emu_doors *doors) {
    if (doors == NULL) return;
    atomic_store(&doors->closing, true);
    emu_doors_wake(doors);
    pthread_join(doors->thread, NULL);
    close_all(doors);
}

/* ---- doors ---- */

static int listen_at(const struct addrinfo *at) {
    int one = 1, fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), kept;
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
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

/* With the lock. */
static cpl_status add(emu_doors *doors, const door *opened, cpl_error *err) {
    if (doors->count == doors->room) {
        size_t room = doors->room ? 2 * doors->room : 8;
        door *more = cpl_realloc(doors->open, room * sizeof *more);
        if (more == NULL) return cpl_fail_nomem(err);
        doors->open = more;
        doors->room = room;
    }
    doors->open[doors->count] = *opened;
    if (!watch(doors, opened->fd, opened->id)) return cpl_fail_errno(err, "watch", "a listening socket");
    doors->count++;
    return CPL_OK;
}

cpl_status emu_door_open(emu_doors *doors, uint64_t id, const char *host, int *port, cpl_error *err) {
    door opened = {.id = id};
    cpl_status status = open_socket(host, *port, &opened.fd, err);
    if (status) return status;
    *port = port_of(opened.fd);
    pthread_mutex_lock(&doors->lock);
    status = add(doors, &opened, err);
    pthread_mutex_unlock(&doors->lock);
    if (status) close(opened.fd);
    return status;
}

void emu_door_close(emu_doors *doors, uint64_t id) {
    door *at;
    pthread_mutex_lock(&doors->lock);
    at = find(doors, id);
    if (at) {
        epoll_ctl(doors->epoll, EPOLL_CTL_DEL, at->fd, NULL); /* closing would not do, should a forked child have it */
        close(at->fd);
        *at = doors->open[--doors->count];
    }
    pthread_mutex_unlock(&doors->lock);
}
