/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a worker by tests/python/host.py: system calls that fail while a switch is on, a wall clock that is
 * wrong, and SIGKILL at the n-th call that leaves the process. The switch is a page shared with the test, the file
 * FAULT_SWITCH; FAULT_FOLDER is the only place where files are struck.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Bits of page->on; tests/python/host.py has the same names. */
enum { WRITES = 1, JOURNAL = 2, SYNCS = 4, OPENS = 8, FORKS = 16 };

typedef struct page {
    atomic_int on;
    atomic_int clock_s;      /* added to the wall clock */
    atomic_long calls;       /* that left the process */
    atomic_long kill_at;     /* at which of them it dies; 0: at none */
    atomic_int struck;       /* how many calls failed */
    atomic_int only_process; /* whose calls are counted; 0: nobody's */
    atomic_int uptime_s;     /* added to the monotonic clock */
} page;

static page *shared;
static const char *folder;

/* The next function of that name; found each time, because a call may come before any constructor. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULT_SWITCH");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *there = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    folder = getenv("FAULT_FOLDER");
    if (there != MAP_FAILED) shared = there;
}

static bool is_on(int bit) {
    return shared && (atomic_load(&shared->on) & bit);
}

static int fail_with(int number) {
    atomic_fetch_add(&shared->struck, 1);
    errno = number;
    return -1;
}

/* Counts a call that somebody outside may notice, and dies before the n-th. */
static void leave(void) {
    long at;
    if (shared == NULL || atomic_load(&shared->only_process) != getpid()) return;
    at = atomic_fetch_add(&shared->calls, 1) + 1;
    if (at == atomic_load(&shared->kill_at)) kill(getpid(), SIGKILL);
}

static bool path_is_ours(const char *path) {
    bool journal = strstr(path, "jobs.db") != NULL;
    if (folder == NULL || strncmp(path, folder, strlen(folder)) != 0) return false;
    return is_on(WRITES) || (is_on(JOURNAL) && journal);
}

static bool fd_is_ours(int fd) {
    char link[64], path[4096];
    ssize_t n;
    int saved = errno;
    if (!is_on(WRITES | JOURNAL)) return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (n < 0) return false;
    path[n] = '\0';
    return path_is_ours(path);
}

/* ---- files ---- */

ssize_t write(int fd, const void *bytes, size_t n) {
    leave();
    return fd_is_ours(fd) ? fail_with(ENOSPC) : NEXT(write)(fd, bytes, n);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    leave();
    return fd_is_ours(fd) ? fail_with(ENOSPC) : NEXT(pwrite64)(fd, bytes, n, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
    leave();
    return fd_is_ours(fd) ? fail_with(ENOSPC) : NEXT(pwrite)(fd, bytes, n, at);
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    leave();
    return fd_is_ours(fd) ? fail_with(ENOSPC) : NEXT(writev)(fd, parts, n);
}

int ftruncate64(int fd, off64_t size) {
    leave();
    return fd_is_ours(fd) ? fail_with(ENOSPC) : NEXT(ftruncate64)(fd, size);
}

int fsync(int fd) {
    leave();
    return is_on(SYNCS) ? fail_with(EIO) : NEXT(fsync)(fd);
}

int fdatasync(int fd) {
    leave();
    return is_on(SYNCS) ? fail_with(EIO) : NEXT(fdatasync)(fd);
}

int unlink(const char *path) {
    leave();
    return NEXT(unlink)(path);
}

int rename(const char *from, const char *to) {
    leave();
    return NEXT(rename)(from, to);
}

int mkdir(const char *path, mode_t mode) {
    leave();
    return path_is_ours(path) ? fail_with(ENOSPC) : NEXT(mkdir)(path, mode);
}

#define OPEN(name)                                                                                          \
    int name(const char *path, int flags, ...) {                                                            \
        va_list more;                                                                                       \
        mode_t mode;                                                                                        \
        va_start(more, flags);                                                                              \
        mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;                                                \
        va_end(more);                                                                                       \
        if (is_on(OPENS)) return fail_with(EMFILE);                                                         \
        return (flags & O_CREAT) && path_is_ours(path) ? fail_with(ENOSPC) : NEXT(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

int openat(int at, const char *path, int flags, ...) {
    va_list more;
    mode_t mode;
    va_start(more, flags);
    mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (is_on(OPENS)) return fail_with(EMFILE);
    return NEXT(openat)(at, path, flags, mode);
}

/* ---- the network ---- */

int socket(int domain, int type, int protocol) {
    return is_on(OPENS) ? fail_with(EMFILE) : NEXT(socket)(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *to, socklen_t n) {
    leave();
    return NEXT(connect)(fd, to, n);
}

ssize_t send(int fd, const void *bytes, size_t n, int flags) {
    leave();
    return NEXT(send)(fd, bytes, n, flags);
}

ssize_t sendto(int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to, socklen_t size) {
    leave();
    return NEXT(sendto)(fd, bytes, n, flags, to, size);
}

ssize_t recv(int fd, void *bytes, size_t n, int flags) {
    leave();
    return NEXT(recv)(fd, bytes, n, flags);
}

/* ---- processes and time ---- */

pid_t fork(void) {
    return is_on(FORKS) ? fail_with(EAGAIN) : NEXT(fork)();
}

int clock_gettime(clockid_t which, struct timespec *out) {
    int result = NEXT(clock_gettime)(which, out);
    if (result == 0 && which == CLOCK_REALTIME && shared) out->tv_sec += atomic_load(&shared->clock_s);
    if (result == 0 && which == CLOCK_MONOTONIC && shared) out->tv_sec += atomic_load(&shared->uptime_s);
    return result;
}

/* All waits of the core go by the monotonic clock, and the kernel's was not turned. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until) {
    static __typeof__(&pthread_cond_timedwait) next;
    struct timespec really = *until;
    if (next == NULL) next = (__typeof__(next))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (next == NULL) next = NEXT(pthread_cond_timedwait);
    if (shared && really.tv_sec < 1000000000) really.tv_sec -= atomic_load(&shared->uptime_s); /* no date: an uptime */
    return next(condition, lock, &really);
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *out, void *zone) {
    int result = NEXT(gettimeofday)(out, zone);
    if (result == 0 && shared) out->tv_sec += atomic_load(&shared->clock_s);
    return result;
}
