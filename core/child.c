/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "err.h"
#include "sigpipe.h"
#include "tree.h"

#define BLOCK 65536
#define FD_IN 3
#define FD_OUT 4
#define ENVIRON_MAX 128
#define NOT_STARTED 127

extern char **environ;

/* Where programs, libraries, modules and the user's things are, and how text and time look; no credentials. */
static const char *const passed_on[] = {"PATH",          "HOME",         "USER",         "LOGNAME",
                                        "SHELL",         "LANG",         "LANGUAGE",     "TZ",
                                        "LUA_PATH",      "LUA_CPATH",    "LUA_PATH_5_4", "LUA_CPATH_5_4",
                                        "PYTHONPATH",    "VIRTUAL_ENV",  "PYTHONHOME",   "LD_LIBRARY_PATH",
                                        "SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_REGION",   "AWS_DEFAULT_REGION"};

/* ---- what it is started with ---- */

typedef struct start_plan {
    char *program; /* a path */
    char *variables[ENVIRON_MAX + 1];
    size_t variable_count;
    int to_child[2], from_child[2], report[2]; /* report: errno, when it could not be started */
} start_plan;

static bool is_named(const char *variable, const char *name) {
    size_t n = strlen(name);
    return strncmp(variable, name, n) == 0 && variable[n] == '=';
}

static bool add_variable(start_plan *plan, const char *text) {
    size_t n = strcspn(text, "=");
    for (size_t i = 0; i < plan->variable_count; i++) {
        if (strncmp(plan->variables[i], text, n + 1) != 0) continue;
        cpl_free(plan->variables[i]);
        return (plan->variables[i] = cpl_strdup(cpl_str_of(text))) != NULL;
    }
    if (plan->variable_count == ENVIRON_MAX) return false;
    plan->variables[plan->variable_count] = cpl_strdup(cpl_str_of(text));
    return plan->variables[plan->variable_count++] != NULL;
}

static bool pass_on(start_plan *plan, const char *name) {
    for (char **i = environ; *i; i++) {
        if (is_named(*i, name)) return add_variable(plan, *i);
    }
    return true;
}

/* extra: names of variables to pass on, and NAME=value. */
static bool make_environment(start_plan *plan, const char *const *extra, const char *folder) {
    char temp[CPL_TREE_PATH_MAX + 16];
    bool ok = true;
    for (size_t i = 0; ok && i < CPL_COUNT(passed_on); i++) ok = pass_on(plan, passed_on[i]);
    for (char **i = environ; ok && *i; i++) ok = strncmp(*i, "LC_", 3) != 0 || add_variable(plan, *i);
    snprintf(temp, sizeof temp, "TMPDIR=%s", folder);
    ok = ok && add_variable(plan, temp) && add_variable(plan, "CODEPIPELINE_CHILD=1");
    for (; ok && extra && *extra; extra++) {
        ok = strchr(*extra, '=') ? add_variable(plan, *extra) : pass_on(plan, *extra);
    }
    return ok;
}

/* As a shell would look for it. */
static cpl_status find_program(const char *name, char **out, cpl_error *err) {
    const char *path = getenv("PATH");
    cpl_str rest = cpl_str_of(path ? path : "/usr/bin:/bin");
    if (strchr(name, '/')) {
        *out = cpl_strdup(cpl_str_of(name));
        return *out ? CPL_OK : cpl_fail_nomem(err);
    }
    while (rest.n > 0) {
        size_t end = cpl_str_find(rest, ':');
        char full[CPL_TREE_PATH_MAX + 1];
        snprintf(full, sizeof full, "%.*s/%s", (int)end, rest.p, name);
        if (end > 0 && access(full, X_OK) == 0) {
            *out = cpl_strdup(cpl_str_of(full));
            return *out ? CPL_OK : cpl_fail_nomem(err);
        }
        rest = cpl_str_sub(rest, end + 1, rest.n);
    }
    return cpl_fail(err, CPL_IO, "the program \"%.200s\" is not in PATH", name);
}

/* ---- in the child, between fork and exec: only what may be called there ---- */

/* At the soft limit of processor time comes a signal that says so, at the hard one SIGKILL. */
static bool limit(__rlimit_resource_t what, int64_t value) {
    struct rlimit both, now;
    rlim_t soft = (rlim_t)value, hard = what == RLIMIT_CPU ? soft + 1 : soft;
    if (getrlimit(what, &now) != 0) return false;
    both.rlim_max = now.rlim_max < hard ? now.rlim_max : hard;
    both.rlim_cur = soft < both.rlim_max ? soft : both.rlim_max;
    return setrlimit(what, &both) == 0;
}

static bool set_limits(const cpl_isolation *how) {
    bool ok = limit(RLIMIT_CORE, 0);
    if (how->memory > 0) ok = limit(RLIMIT_AS, how->memory) && ok;
    if (how->file_size > 0) ok = limit(RLIMIT_FSIZE, how->file_size) && ok;
    if (how->cpu_s > 0) ok = limit(RLIMIT_CPU, how->cpu_s) && ok;
    if (how->open_files > 0) ok = limit(RLIMIT_NOFILE, how->open_files) && ok;
    return ok;
}

static void close_from(int first) {
    long max = sysconf(_SC_OPEN_MAX);
#ifdef __linux__
    if (close_range((unsigned)first, ~0u, 0) == 0) return;
#endif
    for (int fd = first; fd < (max > 0 ? max : 1024); fd++) close(fd);
}

/* The pipes come to 3 and 4, and the report to 5, whatever they were. */
static bool place_descriptors(const start_plan *plan) {
    int nothing = open("/dev/null", O_RDONLY);
    int in = fcntl(plan->to_child[0], F_DUPFD, 10), out = fcntl(plan->from_child[1], F_DUPFD, 10);
    int report = fcntl(plan->report[1], F_DUPFD, 10);
    if (nothing < 0 || in < 0 || out < 0 || report < 0) return false;
    return dup2(nothing, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 && dup2(in, FD_IN) >= 0 &&
           dup2(out, FD_OUT) >= 0 && dup2(report, 5) >= 0 && fcntl(5, F_SETFD, FD_CLOEXEC) == 0;
}

static void reset_signals(void) {
    sigset_t none;
    for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become(const start_plan *plan, const cpl_isolation *how, pid_t parent) {
    int problem;
    reset_signals();
    setpgid(0, 0);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (getppid() != parent) _exit(NOT_STARTED); /* it went before the line above */
    if (place_descriptors(plan)) {
        close_from(6);
        if (set_limits(how)) execve(plan->program, (char *const *)how->command, plan->variables);
    }
    problem = errno;
    (void)!write(5, &problem, sizeof problem);
    _exit(NOT_STARTED);
}

/* ---- starting and ending ---- */

static void close_pair(int pair[2]) {
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0) close(pair[i]);
        pair[i] = -1;
    }
}

static cpl_status start(cpl_child *child, start_plan *plan, const cpl_isolation *how, cpl_error *err) {
    pid_t parent = getpid();
    int problem = 0;
    ssize_t n;
    if (pipe2(plan->to_child, O_CLOEXEC) != 0 || pipe2(plan->from_child, O_CLOEXEC) != 0 ||
        pipe2(plan->report, O_CLOEXEC) != 0) {
        return cpl_fail_errno(err, "open a pipe for", plan->program);
    }
    child->pid = fork();
    if (child->pid == 0) become(plan, how, parent);
    if (child->pid < 0) {
        child->pid = 0;
        return cpl_fail_errno(err, "start", plan->program);
    }
    setpgid(child->pid, child->pid); /* whoever is first */
    close(plan->report[1]);
    plan->report[1] = -1;
    while ((n = read(plan->report[0], &problem, sizeof problem)) < 0 && errno == EINTR) continue;
    child->to = plan->to_child[1];
    child->from = plan->from_child[0];
    plan->to_child[1] = plan->from_child[0] = -1;
    fcntl(child->to, F_SETFL, O_NONBLOCK);
    fcntl(child->from, F_SETFL, O_NONBLOCK);
    if (n != sizeof problem) return CPL_OK;
    errno = problem;
    return cpl_fail_errno(err, "start", plan->program);
}

cpl_status cpl_child_start(cpl_child *child, const cpl_isolation *how, const char *folder, cpl_error *err) {
    start_plan plan = {.to_child = {-1, -1}, .from_child = {-1, -1}, .report = {-1, -1}};
    cpl_status status;
    *child = (cpl_child){.to = -1, .from = -1};
    cpl_buf_init(&child->in, CPL_CHILD_LINE_MAX);
    if (how->command == NULL || how->command[0] == NULL) {
        return cpl_fail_at(err, CPL_INVALID, "command", "command: missing");
    }
    status = find_program(how->command[0], &plan.program, err);
    if (status == CPL_OK && !make_environment(&plan, how->environ, folder)) status = cpl_fail_nomem(err);
    if (status == CPL_OK) status = start(child, &plan, how, err);
    close_pair(plan.to_child);
    close_pair(plan.from_child);
    close_pair(plan.report);
    for (size_t i = 0; i < plan.variable_count; i++) cpl_free(plan.variables[i]);
    cpl_free(plan.program);
    if (status != CPL_OK) cpl_child_end(child);
    return status;
}

/* What it left behind in its group goes first, while its number cannot be anybody else's. */
static void reap(cpl_child *child, int flags) {
    siginfo_t info = {0};
    int got;
    if (child->pid == 0) return;
    while ((got = waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT | flags)) < 0 && errno == EINTR) continue;
    if (got == 0 && info.si_pid == 0) return;
    if (got == 0) {
        kill(-child->pid, SIGKILL);
        child->known = waitpid(child->pid, &child->ended, 0) == child->pid;
    }
    child->pid = 0;
}

void cpl_child_end(cpl_child *child) {
    if (child->pid > 0) {
        kill(-child->pid, SIGKILL);
        kill(child->pid, SIGKILL); /* should it not be the group's leader yet */
        reap(child, 0);
    }
    if (child->to > 0) close(child->to);
    if (child->from > 0) close(child->from);
    child->to = child->from = -1;
    cpl_buf_wipe(&child->in);
    cpl_buf_release(&child->in);
}

/* ---- talking ---- */

static bool take_line(cpl_child *child, cpl_str *line) {
    cpl_str rest = cpl_str_sub(cpl_buf_str(&child->in), child->taken, child->in.n);
    size_t end = cpl_str_find(rest, '\n');
    if (end == rest.n) return false;
    *line = cpl_str_sub(rest, 0, end);
    child->taken += end + 1;
    return true;
}

static void drop_taken(cpl_child *child) {
    if (child->taken == 0) return;
    memmove(child->in.p, child->in.p + child->taken, child->in.n - child->taken);
    cpl_buf_truncate(&child->in, child->in.n - child->taken);
    child->taken = 0;
}

/* *open: more may come. */
static cpl_status receive(cpl_child *child, bool *open, cpl_error *err) {
    char *to = cpl_buf_reserve(&child->in, BLOCK);
    ssize_t n;
    if (to == NULL) return cpl_buf_status(&child->in, "a line of the handler's process", err);
    n = read(child->from, to, BLOCK);
    if (n > 0) cpl_buf_commit(&child->in, (size_t)n);
    *open = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
    return CPL_OK;
}

cpl_status cpl_child_read(cpl_child *child, int timeout_ms, cpl_str *line, bool *over, cpl_error *err) {
    struct pollfd there = {child->from, POLLIN, 0};
    bool open = true;
    *line = (cpl_str){NULL, 0};
    *over = false;
    if (take_line(child, line)) return CPL_OK;
    drop_taken(child);
    if (poll(&there, 1, timeout_ms) > 0) {
        cpl_status status = receive(child, &open, err);
        if (status != CPL_OK || take_line(child, line)) return status;
        if (!open) poll(NULL, 0, 5); /* it has closed its end, and is about to go */
        if (open) return CPL_OK;
    }
    reap(child, WNOHANG);
    *over = child->pid == 0; /* somebody it left behind may still hold the pipe: nothing more is read from those */
    return CPL_OK;
}

cpl_status cpl_child_write(cpl_child *child, cpl_str *text, int timeout_ms, cpl_error *err) {
    struct pollfd there = {child->to, POLLOUT, 0};
    cpl_sigpipe pipe;
    ssize_t n;
    int problem;
    if (poll(&there, 1, timeout_ms) <= 0) return CPL_OK;
    cpl_sigpipe_block(&pipe);
    n = write(child->to, text->p, text->n);
    problem = errno;
    cpl_sigpipe_restore(&pipe);
    errno = problem;
    if (n > 0) *text = cpl_str_sub(*text, (size_t)n, text->n);
    if (n >= 0 || errno == EAGAIN || errno == EINTR) return CPL_OK;
    return cpl_fail_errno(err, "write to", "the handler's process");
}
