/* SPDX-License-Identifier: MIT */
#include "../../core/fork.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* Each way to become two processes, at this level and below it: 0 when every mark was new there. */
static int look(const uint32_t *ancestors, size_t count);

static pid_t by_fork(void) {
    return fork();
}

#ifdef __linux__
static pid_t by_system_call(void) {
    return (pid_t)syscall(SYS_clone, 17 /* SIGCHLD */, 0, 0, 0, 0); /* no handler of pthread_atfork() hears of it */
}
#endif

static int look_below(const uint32_t *ancestors, size_t count, pid_t (*split)(void)) {
    int state = 0;
    pid_t child = split();
    if (child == 0) _exit(look(ancestors, count));
    return child > 0 && waitpid(child, &state, 0) == child && WIFEXITED(state) ? WEXITSTATUS(state) : 1;
}

static int look(const uint32_t *ancestors, size_t count) {
    uint32_t seen[4], mark = cpl_fork_mark();
    if (mark == 0 || mark != cpl_fork_mark()) return 1;
    for (size_t i = 0; i < count; i++) {
        if (ancestors[i] == mark) return 1;
        seen[i] = ancestors[i];
    }
    if (count == CPL_COUNT(seen) - 1) return 0;
    seen[count++] = mark;
#ifdef __linux__
    if (look_below(seen, count, by_system_call)) return 1;
#endif
    return look_below(seen, count, by_fork) || cpl_fork_mark() != mark;
}

TEST(t_fork__a_child_has_another_mark_than_any_of_its_ancestors) {
    CHECK(look(NULL, 0) == 0);
}

static void *take(void *out) {
    *(uint32_t *)out = cpl_fork_mark();
    return NULL;
}

static int threads_agree(void) {
    pthread_t threads[8];
    uint32_t marks[8];
    int differ = 0;
    for (size_t i = 0; i < CPL_COUNT(threads); i++) pthread_create(&threads[i], NULL, take, &marks[i]);
    for (size_t i = 0; i < CPL_COUNT(threads); i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < CPL_COUNT(threads); i++) differ |= marks[i] != cpl_fork_mark();
    return differ;
}

TEST(t_fork__threads_of_a_child_that_ask_first_agree) {
    for (int i = 0; i < 20; i++) {
        int state = 0;
        pid_t child = fork();
        if (child == 0) _exit(threads_agree());
        NEED(waitpid(child, &state, 0) == child);
        CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    }
}

TEST_MAIN
