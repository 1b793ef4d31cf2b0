/* SPDX-License-Identifier: MIT */
/* credential_process: a command of the user's that prints credentials. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../clock.h"
#include "../err.h"
#include "provider.h"

#define OUTPUT_MAX ((size_t)64 << 10)
#define TIME_LIMIT_MS 60000

typedef struct child {
    const cpl_creds_ask *ask;
    const char *place;
    pid_t pid;
    int output;
    cpl_error *err;
} child;

/*
 * Through the shell, as the AWS CLI documents it. What the host made of its signals (Python ignores SIGPIPE) is not for
 * the command; its messages go where ours go, because they may hold secrets.
 */
static int spawn(const char *command, int output, pid_t *pid) {
    char *arguments[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t defaults, none;
    int failed;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &none);
    failed = posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    if (failed == 0) failed = posix_spawn(pid, "/bin/sh", &files, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return failed;
}

static cpl_status start(child *c, const char *command) {
    int ends[2], failed;
    if (pipe2(ends, O_CLOEXEC) != 0) return cpl_fail_errno(c->err, "open a pipe for", c->place);
    failed = spawn(command, ends[1], &c->pid);
    close(ends[1]);
    c->output = ends[0];
    if (failed == 0) return CPL_OK;
    c->pid = 0;
    errno = failed;
    return cpl_fail_errno(c->err, "start", c->place);
}

static cpl_status check_time(const child *c, int64_t until_ms) {
    const cpl_wait *wait = c->ask->wait;
    if (wait && wait->tick && wait->tick(wait->context) != 0) return cpl_fail(c->err, CPL_CANCELLED, "cancelled");
    if (cpl_clock_monotonic_ms() < until_ms) return CPL_OK;
    return cpl_fail(c->err, CPL_CREDENTIALS, "%s: the command did not end in time", c->place);
}

static int64_t time_limit_ms(const child *c) {
    int64_t own = c->ask->wait ? c->ask->wait->timeout_ms : 0;
    return own > 0 && own < TIME_LIMIT_MS ? own : TIME_LIMIT_MS;
}

static cpl_status read_output(const child *c, cpl_buf *out, int64_t until_ms) {
    for (;;) {
        struct pollfd there = {c->output, POLLIN, 0};
        cpl_status status = check_time(c, until_ms);
        char *to;
        ssize_t n;
        if (status) return status;
        if (poll(&there, 1, 100) <= 0) continue;
        to = cpl_buf_reserve(out, 4096);
        if (to == NULL) return cpl_creds_check_text(out, "the output of the credential_process", c->err);
        n = read(c->output, to, 4096);
        if (n == 0) return CPL_OK;
        if (n > 0) cpl_buf_commit(out, (size_t)n);
        if (n < 0 && errno != EINTR) return cpl_fail_errno(c->err, "read", c->place);
    }
}

/* The end of a command that closed its output. *ended 0 also when the host reaps all children itself. */
static cpl_status await(child *c, int *ended, int64_t until_ms) {
    *ended = 0;
    for (;;) {
        pid_t reaped = waitpid(c->pid, ended, WNOHANG);
        cpl_status status;
        if (reaped == c->pid || (reaped < 0 && errno == ECHILD)) {
            c->pid = 0;
            return CPL_OK;
        }
        status = check_time(c, until_ms);
        if (status) return status;
        poll(NULL, 0, 5);
    }
}

static void stop(child *c) {
    if (c->output >= 0) close(c->output);
    if (c->pid <= 0) return;
    kill(c->pid, SIGKILL);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) continue;
}

static cpl_status run(const cpl_creds_ask *ask, const char *place, const char *command, cpl_buf *out, cpl_error *err) {
    child c = {.ask = ask, .place = place, .output = -1, .err = err};
    int64_t until_ms = cpl_clock_monotonic_ms() + time_limit_ms(&c);
    int ended = 0;
    cpl_status status = start(&c, command);
    if (status == CPL_OK) status = read_output(&c, out, until_ms);
    if (status == CPL_OK) status = await(&c, &ended, until_ms);
    stop(&c);
    if (status) return cpl_creds_as_credentials(status, err);
    if (WIFSIGNALED(ended))
        return cpl_fail(err, CPL_CREDENTIALS, "%s: the command was ended by signal %d", place, WTERMSIG(ended));
    if (WEXITSTATUS(ended) != 0)
        return cpl_fail(err, CPL_CREDENTIALS, "%s: the command ended with status %d", place, WEXITSTATUS(ended));
    return CPL_OK;
}

static cpl_status read_document(const cpl_creds_ask *ask, cpl_str text, const char *place, cpl_creds_set **out,
                                cpl_error *err) {
    const cpl_creds_document document = {
        .name = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}, .place = place, .source = "profile"};
    cpl_json *json = NULL;
    cpl_status status = cpl_creds_parse_json(text, place, &json, err);
    if (status) return status;
    if (cpl_json_get_number(json, "Version", 0) != 1) {
        status = cpl_fail(err, CPL_CREDENTIALS, "%s: its output is not of Version 1", place);
    } else {
        status = cpl_creds_from_json(json, &document, out, err);
    }
    cpl_json_free(json);
    if (status || (*out)->expires_s == 0 || (*out)->expires_s > ask->now_s) return status;
    cpl_creds_drop(*out);
    *out = NULL;
    return cpl_fail(err, CPL_CREDENTIALS, "%s: its credentials have expired", place);
}

cpl_status cpl_creds_profile_process(const cpl_creds_ask *ask, const char *profile, cpl_creds_set **out,
                                     cpl_error *err) {
    const char *command = cpl_config_profile_value(ask->config, profile, "credential_process");
    char place[160];
    cpl_buf output;
    cpl_status status;
    *out = NULL;
    snprintf(place, sizeof place, "credential_process of profile \"%.100s\"", profile);
    cpl_buf_init(&output, OUTPUT_MAX);
    status = run(ask, place, command, &output, err);
    if (status == CPL_OK) status = read_document(ask, cpl_buf_str(&output), place, out, err);
    cpl_buf_wipe(&output);
    cpl_buf_release(&output);
    return status;
}
