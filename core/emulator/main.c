/* SPDX-License-Identifier: MIT */
/* The codepipeline-emulator command. The one file of the core that prints. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>

#include <fcntl.h>
#include <unistd.h>

#include "../buf.h"
#include "../err.h"

static const char usage[] =
    "usage: codepipeline-emulator [--host ADDRESS] [--port N] [--path FILE] [--region NAME] [--account-id DIGITS]\n"
    "                             [--events FILE|URL] [--import FILE] [--export FILE] [--repeats refuse|accept]\n"
    "                             [--demo] [--ui]\n";

static const char help[] =
    "\n"
    "AWS CodePipeline and the part of S3 it needs, offline, until SIGINT or SIGTERM. For tests.\n"
    "\n"
    "  --host ADDRESS       where to listen (127.0.0.1)\n"
    "  --port N             which port (0: the system picks one)\n"
    "  --path FILE          keep the state in this SQLite file (in memory)\n"
    "  --region NAME        the region it plays (us-east-1)\n"
    "  --account-id DIGITS  the account it plays (123456789012)\n"
    "  --events FILE|URL    events of EventBridge: lines of JSON into this file, or a POST each to this http:// "
    "address\n"
    "  --import FILE        begin with the state in this file, which --export wrote\n"
    "  --export FILE        write the state into this file at the end\n"
    "  --repeats POLICY     a result repeated for a job that is over: refuse (default), or accept if it says the same\n"
    "  --demo               begin with five pipelines and four weeks of their past\n"
    "  --ui                 serve a page that shows pipelines, executions and jobs, at the URL's /_emulator/\n"
    "  --help, --version\n"
    "\n"
    "Prints its URL, then the lines that point an AWS SDK at it from a shell.\n";

typedef enum outcome { RUN, DONE, MISUSED } outcome;

typedef struct settings {
    cpl_emulator_options emulator;
    cpl_str events;
    const char *import, *export; /* files */
} settings;

static outcome misused(const char *option, const char *value) {
    fprintf(stderr, "codepipeline-emulator: %s: \"%s\" is not a number from 0 to 65535\n%s", option, value, usage);
    return MISUSED;
}

static outcome read_port(const char *text, settings *out) {
    int64_t port;
    if (!cpl_str_integer(cpl_str_of(text), &port) || port < 0 || port > 65535) return misused("--port", text);
    out->emulator.port = (int)port;
    return RUN;
}

static outcome read_option(int option, settings *out) {
    cpl_str value = cpl_str_of(optarg);
    switch (option) {
    case 'h': out->emulator.host = value; return RUN;
    case 'p': return read_port(optarg, out);
    case 'f': out->emulator.path = value; return RUN;
    case 'r': out->emulator.region = value; return RUN;
    case 'a': out->emulator.account_id = value; return RUN;
    case 'e': out->events = value; return RUN;
    case 'i': out->import = optarg; return RUN;
    case 'o': out->export = optarg; return RUN;
    case 'R': out->emulator.repeats = value; return RUN;
    case 'd': out->emulator.demo = true; return RUN;
    case 'u': out->emulator.ui = true; return RUN;
    case '?': printf("%s%s", usage, help); return DONE;
    case 'v': printf("codepipeline-emulator %s\n", CPL_VERSION); return DONE;
    default: fputs(usage, stderr); return MISUSED;
    }
}

static outcome read_options(int argc, char **argv, settings *out) {
    static const struct option options[] = {{"host", required_argument, NULL, 'h'},
                                            {"port", required_argument, NULL, 'p'},
                                            {"path", required_argument, NULL, 'f'},
                                            {"region", required_argument, NULL, 'r'},
                                            {"account-id", required_argument, NULL, 'a'},
                                            {"events", required_argument, NULL, 'e'},
                                            {"import", required_argument, NULL, 'i'},
                                            {"export", required_argument, NULL, 'o'},
                                            {"repeats", required_argument, NULL, 'R'},
                                            {"demo", no_argument, NULL, 'd'},
                                            {"ui", no_argument, NULL, 'u'},
                                            {"help", no_argument, NULL, 'H'},
                                            {"version", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    outcome result = RUN;
    int option;
    optind = 0; /* begins anew, also when the process has parsed options before */
    while (result == RUN && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        result = read_option(option == 'H' ? '?' : option == '?' ? 0 : option, out);
    }
    if (result == RUN && optind < argc) {
        fprintf(stderr, "codepipeline-emulator: unexpected argument \"%s\"\n%s", argv[optind], usage);
        result = MISUSED;
    }
    return result;
}

static void announce(const settings *with, const cpl_emulator *emulator) {
    const char *name, *value;
    printf("%s\n", cpl_emulator_url(emulator));
    for (size_t i = 0; cpl_emulator_environ(emulator, i, &name, &value); i++) printf("export %s=%s\n", name, value);
    fflush(stdout);
    if (with->emulator.ui)
        fprintf(stderr, "codepipeline-emulator: the page is %s/_emulator/\n", cpl_emulator_url(emulator));
    fputs("codepipeline-emulator: for tests, not for production: it knows one fixed key and keeps no secrets\n",
          stderr);
}

/* Says so once events begin to get lost, and again at the end, with their number. */
static void tell_loss(const settings *with, const cpl_relay_report *report) {
    fprintf(stderr, "codepipeline-emulator: --events: %lld events did not get to %s: %s\n", (long long)report->dropped,
            with->events.p, report->reason);
}

/* Until one of the signals comes. */
static void serve(const settings *with, const sigset_t *stops, cpl_relay *relay) {
    static const struct timespec second = {.tv_sec = 1};
    cpl_relay_report report;
    bool told = relay == NULL;
    while ((told ? sigwaitinfo(stops, NULL) : sigtimedwait(stops, NULL, &second)) < 0) {
        if (told) continue;
        cpl_relay_tell(relay, &report);
        told = report.dropped > 0;
        if (told) tell_loss(with, &report);
    }
}

/* ---- states in files ---- */

static cpl_status read_file(const char *path, cpl_buf *out, cpl_error *err) {
    FILE *file = fopen(path, "rb");
    cpl_status status = file ? cpl_buf_read(out, file, path, err) : cpl_fail_errno(err, "open", path);
    if (file) fclose(file);
    return status;
}

/* Beside the old one first, so that a full disk costs neither; the file has secrets, so it is its owner's alone. */
static cpl_status write_file(const char *path, cpl_str text, cpl_error *err) {
    char beside[4096];
    FILE *file;
    int fd, n = snprintf(beside, sizeof beside, "%s.new", path);
    bool written;
    if (n < 0 || (size_t)n >= sizeof beside) return cpl_fail(err, CPL_INVALID, "\"%.100s...\": too long a path", path);
    fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    file = fd < 0 ? NULL : fdopen(fd, "wb");
    if (file == NULL) return cpl_fail_errno(err, "open", beside);
    written = fwrite(text.p, 1, text.n, file) == text.n;
    written = fclose(file) == 0 && written;
    if (written && rename(beside, path) == 0) return CPL_OK;
    cpl_fail_errno(err, "write", path);
    unlink(beside);
    return CPL_IO;
}

static bool export(const settings *with, cpl_emulator *emulator) {
    cpl_error err;
    cpl_str text;
    cpl_status status = with->export ? cpl_emulator_export(emulator, true, &text, &err) : CPL_OK;
    if (with->export && status == CPL_OK) status = write_file(with->export, text, &err);
    if (status) fprintf(stderr, "codepipeline-emulator: --export: %s\n", err.message);
    return status == CPL_OK;
}

static cpl_status start(const settings *with, cpl_emulator **emulator, cpl_relay **relay, cpl_error *err) {
    cpl_emulator_options options = with->emulator;
    cpl_status status = CPL_OK;
    cpl_buf state;
    *relay = NULL;
    cpl_buf_init(&state, SIZE_MAX / 4);
    if (with->import) status = read_file(with->import, &state, err);
    if (with->import) options.state = cpl_buf_str(&state);
    if (status == CPL_OK) status = cpl_emulator_start(emulator, &options, err);
    cpl_buf_wipe(&state);
    cpl_buf_release(&state);
    if (status || with->events.p == NULL) return status;
    status = cpl_relay_start(relay, *emulator, with->events, err);
    if (status) cpl_emulator_stop(*emulator);
    return status;
}

static bool stop(const settings *with, cpl_emulator *emulator, cpl_relay *relay) {
    cpl_relay_report report;
    bool exported = export(with, emulator);
    cpl_emulator_stop(emulator);
    cpl_relay_stop(relay, &report);
    if (report.dropped > 0) tell_loss(with, &report);
    return exported;
}

/* The signals are blocked before any thread starts, so that they are waited for here and nowhere else. */
static int run(const settings *with) {
    cpl_emulator *emulator;
    cpl_relay *relay;
    cpl_error err;
    cpl_status status;
    sigset_t stops, before;
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigprocmask(SIG_BLOCK, &stops, &before);
    status = start(with, &emulator, &relay, &err);
    if (status) {
        fprintf(stderr, "codepipeline-emulator: %s\n", err.message);
    } else {
        announce(with, emulator);
        serve(with, &stops, relay);
        if (!stop(with, emulator, relay)) status = CPL_IO;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return status == CPL_OK ? 0 : status == CPL_INVALID ? 2 : 1;
}

int cpl_emulator_main(int argc, char **argv) {
    settings with = {.emulator = {.port = 0}};
    switch (read_options(argc, argv, &with)) {
    case DONE: return fflush(stdout) == 0 ? 0 : 1;
    case MISUSED: return 2;
    default: return run(&with);
    }
}
