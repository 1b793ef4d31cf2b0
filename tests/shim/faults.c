/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a worker by tests/python/host.py: system calls that fail while a switch is on, or one of them that
 * does; clocks that are wrong; and SIGKILL at the n-th call that leaves the process. The switch is a page shared with
 * the test, the file FAULT_SWITCH; FAULT_FOLDER is the only place where files are struck.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
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
enum { WRITES = 1, JOURNAL = 2, SYNCS = 4, OPENS = 8, FORKS = 16, NAMES = 32 };

typedef struct page {
    atomic_int on;
    atomic_int clock_s;      /* added to the wall clock */
    atomic_long calls;       /* that left the process */
    atomic_long kill_at;     /* at which of them it dies; 0: at none */
    atomic_int struck;       /* how many calls failed */
    atomic_int only_process; /* whose calls are counted; 0: nobody's */
    atomic_int uptime_s;     /* added to the monotonic clock */
    atomic_int error;        /* what the one call fails with */
    atomic_long file_calls;  /* that change a file, or sync it, while these are counted */
    atomic_long fail_at;     /* which of them fails; 0: they are not counted */
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

/* What a call that would change or sync this file fails with; 0: it goes through. */
static int trouble_at(const char *path) {
    bool journal = strstr(path, "jobs.db") != NULL;
    long at;
    if (shared == NULL || folder == NULL || strncmp(path, folder, strlen(folder)) != 0) return 0;
    at = atomic_load(&shared->fail_at);
    if (at != 0 && atomic_load(&shared->only_process) == getpid() &&
        atomic_fetch_add(&shared->file_calls, 1) + 1 == at) {
        return atomic_load(&shared->error);
    }
    return is_on(WRITES) || (is_on(JOURNAL) && journal) ? ENOSPC : 0;
}

static bool is_armed(void) {
    return is_on(WRITES | JOURNAL) || (shared && atomic_load(&shared->fail_at) != 0);
}

/* rest: a name in the folder fd, or "". */
static int trouble_in(int fd, const char *rest) {
    char link[64], path[8192];
    ssize_t n;
    int saved = errno;
    if (!is_armed()) return 0;
    if (rest[0] == '/' || (rest[0] && fd == AT_FDCWD)) return trouble_at(rest);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, 4095);
    errno = saved;
    if (n < 0) return 0;
    snprintf(path + n, sizeof path - (size_t)n, "/%s", rest);
    return trouble_at(path);
}

/* ---- files ---- */

#define UNLESS(trouble, call)                       \
    do {                                            \
        int number_ = (trouble);                    \
        return number_ ? fail_with(number_) : call; \
    } while (0)

ssize_t write(int fd, const void *bytes, size_t n) {
    leave();
    UNLESS(trouble_in(fd, ""), NEXT(write)(fd, bytes, n));
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    leave();
    UNLESS(trouble_in(fd, ""), NEXT(pwrite64)(fd, bytes, n, at));
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
    leave();
    UNLESS(trouble_in(fd, ""), NEXT(pwrite)(fd, bytes, n, at));
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    leave();
    UNLESS(trouble_in(fd, ""), NEXT(writev)(fd, parts, n));
}

int ftruncate64(int fd, off64_t size) {
    leave();
    UNLESS(trouble_in(fd, ""), NEXT(ftruncate64)(fd, size));
}

int ftruncate(int fd, off_t size) {
    leave();
    UNLESS(trouble_in(fd, ""), NEXT(ftruncate)(fd, size));
}

int fsync(int fd) {
    leave();
    UNLESS(is_on(SYNCS) ? EIO : trouble_in(fd, ""), NEXT(fsync)(fd));
}

int fdatasync(int fd) {
    leave();
    UNLESS(is_on(SYNCS) ? EIO : trouble_in(fd, ""), NEXT(fdatasync)(fd));
}

/* A full disk does not keep a file from going. */
int unlink(const char *path) {
    leave();
    UNLESS(is_armed() && shared->fail_at ? trouble_at(path) : 0, NEXT(unlink)(path));
}

int unlinkat(int at, const char *path, int flags) {
    leave();
    UNLESS(is_armed() && shared->fail_at ? trouble_in(at, path) : 0, NEXT(unlinkat)(at, path, flags));
}

int rename(const char *from, const char *to) {
    leave();
    UNLESS(is_armed() ? trouble_at(to) : 0, NEXT(rename)(from, to));
}

int renameat(int from_at, const char *from, int to_at, const char *to) {
    leave();
    UNLESS(trouble_in(to_at, to), NEXT(renameat)(from_at, from, to_at, to));
}

int mkdir(const char *path, mode_t mode) {
    leave();
    UNLESS(is_armed() ? trouble_at(path) : 0, NEXT(mkdir)(path, mode));
}

int mkdirat(int at, const char *path, mode_t mode) {
    leave();
    UNLESS(trouble_in(at, path), NEXT(mkdirat)(at, path, mode));
}

char *mkdtemp(char *pattern) {
    int number = is_armed() ? trouble_at(pattern) : 0;
    if (number == 0) return NEXT(mkdtemp)(pattern);
    fail_with(number);
    return NULL;
}

int mkstemp(char *pattern) {
    UNLESS(is_on(OPENS) ? EMFILE : is_armed() ? trouble_at(pattern) : 0, NEXT(mkstemp)(pattern));
}

int mkstemp64(char *pattern) {
    UNLESS(is_on(OPENS) ? EMFILE : is_armed() ? trouble_at(pattern) : 0, NEXT(mkstemp64)(pattern));
}

static int trouble_opening(int at, const char *path, int flags) {
    if (is_on(OPENS)) return EMFILE;
    return (flags & O_CREAT) ? trouble_in(at, path) : 0;
}

#define OPEN(name)                                                                     \
    int name(const char *path, int flags, ...) {                                       \
        va_list more;                                                                  \
        mode_t mode;                                                                   \
        va_start(more, flags);                                                         \
        mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;                           \
        va_end(more);                                                                  \
        UNLESS(trouble_opening(AT_FDCWD, path, flags), NEXT(name)(path, flags, mode)); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                 \
    int name(int at, const char *path, int flags, ...) {                             \
        va_list more;                                                                \
        mode_t mode;                                                                 \
        va_start(more, flags);                                                       \
        mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;                         \
        va_end(more);                                                                \
        UNLESS(trouble_opening(at, path, flags), NEXT(name)(at, path, flags, mode)); \
    }
OPENAT(openat)
OPENAT(openat64)

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

/* "faults.test" is loopback, or, while the switch is on, a name that nobody knows. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
    if (name && strcmp(name, "faults.test") == 0) {
        if (is_on(NAMES)) {
            (void)fail_with(errno);
            return EAI_AGAIN;
        }
        name = "127.0.0.1";
    }
    return NEXT(getaddrinfo)(name, service, hints, out);
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
