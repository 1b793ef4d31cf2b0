/* SPDX-License-Identifier: MIT */
/*
 * spawn COMMAND [ARGUMENT...]: runs it once and prints what the whole process took. A program of its own, because a
 * child's peak memory begins with that of the program it was started from, and this one has next to none.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double ms_of(struct timeval time) {
    return (double)time.tv_sec * 1e3 + (double)time.tv_usec / 1e3;
}

int main(int argc, char **argv) {
    posix_spawn_file_actions_t actions;
    struct timespec from, to;
    struct rusage used;
    int status;
    pid_t pid;
    if (argc < 2 || posix_spawn_file_actions_init(&actions)) return 2;
    if (posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)) return 2;
    clock_gettime(CLOCK_MONOTONIC, &from);
    if (posix_spawnp(&pid, argv[1], &actions, NULL, argv + 1, environ)) {
        fprintf(stderr, "spawn: \"%s\" cannot be started\n", argv[1]);
        return 1;
    }
    if (wait4(pid, &status, 0, &used) != pid || status != 0) {
        fprintf(stderr, "spawn: \"%s\" failed\n", argv[1]);
        return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("{\"wall_ms\": %.3f, \"cpu_ms\": %.3f, \"rss_kb\": %ld}\n",
           (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6,
           ms_of(used.ru_utime) + ms_of(used.ru_stime), used.ru_maxrss);
    return 0;
}
