/* SPDX-License-Identifier: MIT */
/* What the C contestants share: the operations, and the loop that measures "calls OPERATION:COUNT...". */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WARM_UP 50

static const struct operation {
    const char *name;
    const char *params;
} operations[] = {
    {"ListPipelines", "{}"},
    {"GetPipelineState", "{\"name\":\"service-00-release\"}"},
    {"ListActionExecutions", "{\"pipelineName\":\"service-00-release\",\"maxResults\":100}"},
};

static void die(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static double cpu_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* argument: "ListPipelines:2000" */
static void measure(const char *argument, void (*run)(const struct operation *operation)) {
    const char *colon = strchr(argument, ':');
    size_t n = colon ? (size_t)(colon - argument) : 0, i = 0;
    long count = colon ? strtol(colon + 1, NULL, 10) : 0;
    double from;
    while (i < 3 && (strlen(operations[i].name) != n || strncmp(operations[i].name, argument, n) != 0)) i++;
    if (i == 3 || count <= 0) die("expected OPERATION:COUNT");
    for (long k = 0; k < WARM_UP; k++) run(&operations[i]);
    from = cpu_us();
    for (long k = 0; k < count; k++) run(&operations[i]);
    printf("{\"op\": \"%s\", \"cpu_us\": %.2f}\n", operations[i].name, (cpu_us() - from) / (double)count);
}

/* "once", or "calls" and what to measure */
static void measure_all(int argc, char **argv, void (*run)(const struct operation *operation)) {
    if (argc == 1 && strcmp(argv[0], "once") == 0) {
        run(&operations[0]);
        return;
    }
    if (argc < 2 || strcmp(argv[0], "calls") != 0) die("expected: once, or calls OPERATION:COUNT...");
    for (int i = 1; i < argc; i++) measure(argv[i], run);
}

#endif
