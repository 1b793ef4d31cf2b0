/* SPDX-License-Identifier: MIT */
/*
 * The mark stands in memory that the kernel empties in a child, however that was made: unlike pthread_atfork() that
 * holds for _Fork() and clone() too, and leaves no handler behind in a program that unloads us.
 */
#include "fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_once_t page_once = PTHREAD_ONCE_INIT;
static atomic_uint *page; /* NULL: this kernel has no such memory */
static atomic_uint count; /* of marks taken; a child inherits it and goes on from there */

static void make_page(void) {
#ifdef MADV_WIPEONFORK
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) return;
    if (madvise(made, size, MADV_WIPEONFORK) == 0) {
        page = made;
    } else {
        munmap(made, size);
    }
#endif
}

uint32_t cpl_fork_mark(void) {
    unsigned mark, fresh;
    pthread_once(&page_once, make_page);
    if (page == NULL) return (uint32_t)getpid();
    mark = atomic_load(page);
    if (mark != 0) return mark;
    fresh = atomic_fetch_add(&count, 1) + 1; /* before anybody can see it: a fork in between must not find it again */
    return atomic_compare_exchange_strong(page, &mark, fresh) ? fresh : mark;
}
