/* SPDX-License-Identifier: MIT */
/*
 * jobs COUNT: a service that has COUNT jobs to hand out, on a port it prints, until its standard input ends. It checks
 * no signature and costs next to nothing, so that what is measured is the worker. At the end it prints how many jobs
 * were ended, and how many were ended twice.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 64
#define REQUEST_MAX 16384
#define BATCH_MAX 64
#define JOB_MAX 2048

typedef struct connection {
    size_t n;
    char in[REQUEST_MAX];
} connection;

static connection connections[CONNECTIONS];
static struct pollfd polled[CONNECTIONS + 2]; /* standard input, the listening socket, the connections */
static long left, total, done, twice;
static unsigned char *ended;

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Everything a job carries in life, a session token's length included. */
static int write_job(char *out, size_t size, long number) {
    static const char format[] =
        "{\"id\":\"00000000-0000-4000-8000-%012ld\",\"nonce\":\"3\",\"accountId\":\"123456789012\",\"data\":{"
        "\"actionTypeId\":{\"category\":\"Build\",\"owner\":\"Custom\",\"provider\":\"Bench\",\"version\":\"1\"},"
        "\"actionConfiguration\":{\"configuration\":{\"ProjectName\":\"site\",\"UserParameters\":\"--release\"}},"
        "\"pipelineContext\":{\"pipelineName\":\"site\",\"stage\":{\"name\":\"Build\"},\"action\":{\"name\":"
        "\"Compile\","
        "\"actionExecutionId\":\"5f2c1a34-7b1e-4f0d-9a51-0d3f8f1f2b11\"},"
        "\"pipelineArn\":\"arn:aws:codepipeline:us-east-1:123456789012:site\","
        "\"pipelineExecutionId\":\"0c9d5d2e-3b9a-4c7e-8f43-6a2b1c0d9e8f\"},"
        "\"inputArtifacts\":[{\"name\":\"Source\",\"location\":{\"type\":\"S3\",\"s3Location\":{"
        "\"bucketName\":\"artifacts\",\"objectKey\":\"site/Source/abc1234\"}}}],\"outputArtifacts\":[],"
        "\"artifactCredentials\":{\"accessKeyId\":\"ASIAEXAMPLEEXAMPLE00\","
        "\"secretAccessKey\":\"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\",\"sessionToken\":\"%0600d\"}}}";
    return snprintf(out, size, format, number, 0);
}

static size_t write_jobs(char *out, size_t size, long batch) {
    size_t n = (size_t)snprintf(out, size, "{\"jobs\":[");
    for (long i = 0; i < batch && left > 0; i++) {
        if (i > 0) out[n++] = ',';
        n += (size_t)write_job(out + n, size - n, total - --left);
    }
    return n + (size_t)snprintf(out + n, size - n, "]}");
}

static void note_result(const char *body) {
    const char *id = strstr(body, "4000-8000-");
    long number = id ? strtol(id + 10, NULL, 10) : 0;
    if (number < 1 || number > total) return;
    if (ended[number]++) {
        twice++;
    } else {
        done++;
    }
}

static void answer(int fd, const char *head, const char *body) {
    static char out[512 + BATCH_MAX * JOB_MAX], text[BATCH_MAX * JOB_MAX];
    const char *batch = strstr(body, "\"maxBatchSize\":");
    size_t n = 0;
    int length;
    if (strstr(head, ".PollForJobs\r")) {
        long wanted = batch ? strtol(batch + 15, NULL, 10) : 1;
        n = write_jobs(text, sizeof text, wanted < BATCH_MAX ? wanted : BATCH_MAX);
    } else if (strstr(head, ".AcknowledgeJob\r")) {
        n = (size_t)snprintf(text, sizeof text, "{\"status\":\"InProgress\"}");
    } else {
        note_result(body);
    }
    length = snprintf(out, sizeof out,
                      "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %zu\r\n"
                      "x-amzn-RequestId: 9f8b8d0e-0000-4000-8000-000000000000\r\n\r\n%.*s",
                      n, (int)n, text);
    for (int at = 0; at < length;) {
        ssize_t sent = write(fd, out + at, (size_t)(length - at));
        if (sent <= 0) return;
        at += (int)sent;
    }
}

/* Answers what is complete; false when the connection is to be closed. */
static bool serve(int fd, connection *c) {
    ssize_t got = read(fd, c->in + c->n, sizeof c->in - 1 - c->n);
    if (got <= 0) return false;
    c->n += (size_t)got;
    for (;;) {
        char *end, *length, saved;
        size_t whole;
        c->in[c->n] = '\0';
        end = strstr(c->in, "\r\n\r\n");
        if (end == NULL) return c->n < sizeof c->in - 1;
        length = strcasestr(c->in, "\r\ncontent-length:");
        whole = (size_t)(end + 4 - c->in) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
        if (whole >= sizeof c->in) return false;
        if (c->n < whole) return true;
        saved = c->in[whole];
        c->in[whole] = end[3] = '\0';
        answer(fd, c->in, end + 4);
        c->in[whole] = saved;
        memmove(c->in, c->in + whole, c->n - whole);
        c->n -= whole;
    }
}

static int listen_on_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, CONNECTIONS)) die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &size)) die("getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void accept_one(int listening) {
    int fd = accept(listening, NULL, NULL), one = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (int i = 0; i < CONNECTIONS; i++) {
        if (polled[i + 2].fd >= 0) continue;
        polled[i + 2] = (struct pollfd){.fd = fd, .events = POLLIN};
        connections[i].n = 0;
        return;
    }
    close(fd);
}

int main(int argc, char **argv) {
    total = left = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    ended = calloc((size_t)total + 1, 1);
    if (total < 0 || ended == NULL) return 2;
    polled[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    polled[1] = (struct pollfd){.fd = listen_on_loopback(), .events = POLLIN};
    for (int i = 0; i < CONNECTIONS; i++) polled[i + 2].fd = -1;
    while (poll(polled, CONNECTIONS + 2, -1) > 0 && polled[0].revents == 0) {
        if (polled[1].revents) accept_one(polled[1].fd);
        for (int i = 0; i < CONNECTIONS; i++) {
            struct pollfd *p = &polled[i + 2];
            if (p->fd < 0 || p->revents == 0 || serve(p->fd, &connections[i])) continue;
            close(p->fd);
            p->fd = -1;
        }
    }
    printf("{\"done\": %ld, \"twice\": %ld}\n", done, twice);
    free(ended);
    return 0;
}
