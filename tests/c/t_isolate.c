/* SPDX-License-Identifier: MIT */
/* Handlers in processes of their own; here they are shell scripts that speak the lines themselves. */
#include <signal.h>

#include "service.h"

typedef struct scene {
    service s;
    cpl_worker *worker;
    cpl_job *job;
    const char *outcome;
    cpl_error err;
} scene;

static bool open_scene(scene *x, const char *more) {
    char actions[512];
    *x = (scene){0};
    snprintf(actions, sizeof actions, BUILD("Make", "%s"), more);
    if (!open_line(&x->s, actions)) return false;
    x->worker = worker_of(x->s.client, 1);
    x->job = next_job(x->worker);
    return x->job != NULL;
}

static void close_scene(scene *x, const char *stage) {
    CHECK(cpl_worker_running(x->worker) == 0);
    cpl_job_free(x->job);
    CHECK(stage_becomes(&x->s, stage));
    cpl_worker_free(x->worker);
    close_line(&x->s);
}

/* answer(): what comes for what was said. */
#define TALK "read -r job <&3; say() { printf '%s\\n' \"$1\" >&4; read -r answer <&3; }\n"
#define SUCCEED "say '{\"do\":\"succeed\",\"result\":{\"output_variables\":{\"a\":\"b\"},\"summary\":\"made\"}}'\n"

static cpl_status run_with(scene *x, const char *script, cpl_isolation how) {
    const char *const command[] = {"sh", "-c", script, NULL};
    char where[300];
    const char *const more[] = {where, "GIVEN=one", "T_ISOLATE_PASSED", NULL};
    snprintf(where, sizeof where, "ROOM=%s", room);
    how.command = command;
    how.environ = more;
    return cpl_job_run(x->job, &how, NULL, &x->outcome, &x->err);
}

static cpl_status run_script(scene *x, const char *script) {
    return run_with(x, script, (cpl_isolation){0});
}

static const char *message_of(scene *x) {
    CHECK(stage_becomes(&x->s, "Failed"));
    return text_of(&x->s, "stageStates.1.actionStates.0.latestExecution.errorDetails.message");
}

static const char *code_of(scene *x) {
    return text_of(&x->s, "stageStates.1.actionStates.0.latestExecution.errorDetails.code");
}

static char *read_room(const char *name) {
    return test_read_file(in_room(name).p, NULL);
}

TEST(t_isolate__a_process_gets_its_job_moves_its_artifacts_and_succeeds) {
    scene x;
    char *text;
    NEED(open_scene(&x, MADE));
    static const char script[] = TALK
        "printf '%s' \"$job\" > $ROOM/job\n"
        "say '{\"do\":\"input_extract\",\"name\":\"Code\",\"directory\":\"'$ROOM'/here\"}'\n"
        "say '{\"do\":\"output_file\",\"name\":\"Made\",\"path\":\"'$ROOM'/here/hello.txt\"}'\n"
        "say '{\"do\":\"output_digest\",\"name\":\"Made\"}'; printf '%s' \"$answer\" > $ROOM/digest\n" SUCCEED;
    if (!CHECK(run_script(&x, script) == CPL_OK)) printf("  %s\n", x.err.message);
    CHECK_STR(x.outcome, "succeeded");
    text = read_room("job");
    CHECK(strstr(text, "\"pipeline\":\"line\"") && strstr(text, "\"configuration\":{\"Target\":\"all\"}"));
    CHECK(strstr(text, "\"inputs\":[\"Code\"]") && strstr(text, "\"outputs\":[\"Made\"]"));
    CHECK(strstr(text, "\"secretAccessKey\":\"***\"") && strstr(text, "\"sessionToken\":\"***\""));
    free(text);
    text = read_room("digest"); /* of "hello\n" */
    CHECK_STR(text, "{\"value\":\"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\"}");
    free(text);
    close_scene(&x, "Succeeded");
}

TEST(t_isolate__errors_come_back_to_it_and_it_may_say_something_else) {
    scene x;
    char *text;
    NEED(open_scene(&x, READS));
    static const char script[] = TALK
        "say '{\"do\":\"input_path\",\"name\":\"None\"}'; printf '%s' \"$answer\" > $ROOM/one\n"
        "say '{\"do\":\"fly\"}'; printf '%s' \"$answer\" > $ROOM/two\n"
        "say 'no json'; printf '%s' \"$answer\" > $ROOM/three\n"
        "say '{\"do\":\"succeed\",\"result\":{\"output_variables\":{\"not this\":\"b\"}}}'\n"
        "say '{\"do\":\"later\",\"state\":\"[7]\",\"after\":0}'; exit 1\n";
    CHECK(run_script(&x, script) == CPL_OK);
    CHECK_STR(x.outcome, "continued"); /* what it did afterwards does not matter */
    text = read_room("one");
    CHECK(strstr(text, "\"status\":\"INVALID\"") && strstr(text, "the job has no input artifact") &&
          strstr(text, "\"failure_type\":\"ConfigurationError\""));
    free(text);
    text = read_room("two");
    CHECK(strstr(text, "there is no request \\\"fly\\\""));
    free(text);
    text = read_room("three");
    CHECK(strstr(text, "\"error\""));
    free(text);
    cpl_job_free(x.job);
    NEED((x.job = next_job(x.worker)) != NULL);
    CHECK_STR(cpl_job_text(x.job, CPL_JOB_STATE), "[7]");
    CHECK(run_script(&x, TALK "say '{\"do\":\"fail\",\"message\":\"no\",\"type\":\"PermissionError\"}'") == CPL_OK);
    CHECK_STR(x.outcome, "failed");
    CHECK_STR(message_of(&x), "no");
    CHECK_STR(code_of(&x), "PermissionError");
    close_scene(&x, "Failed");
}

TEST(t_isolate__whatever_ends_a_process_the_job_fails_with_the_cause) {
    static const struct {
        const char *script, *words;
        cpl_isolation how;
    } rows[] = {
        {"exit 3", "ended with status 3", {0}},
        {"kill -SEGV $$", "signal 11", {0}},
        {"kill -KILL $$", "no memory left", {0}},
        {"exec sleep 100", "time limit of 0.2 seconds", {.timeout_ms = 200}},
        {"exec 3<&- 4>&-; exec sleep 100", "time limit of 0.2 seconds", {.timeout_ms = 200}},
        {"while :; do :; done", "1 seconds of processor time", {.cpu_s = 1}},
        {"exec head -c 100000 /dev/zero > \"$TMPDIR/big\"", "65536 bytes a file", {.file_size = 65536}},
        {"exec 4>&-; exit 0", "ended with status 0 and without a result", {0}},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        scene x;
        NEED(open_scene(&x, READS));
        CHECK(run_with(&x, rows[i].script, rows[i].how) == CPL_OK);
        CHECK_STR(x.outcome, "failed");
        if (!CHECK(strstr(message_of(&x), rows[i].words))) printf("  %s: %s\n", rows[i].script, message_of(&x));
        CHECK_STR(code_of(&x), "JobFailed");
        close_scene(&x, "Failed");
    }
}

/* A process that is over has no command line any more, also while nobody reaps it. */
static bool is_running(const char *path) {
    char *text = test_read_file(path, NULL);
    bool running = text && text[0];
    free(text);
    return running;
}

TEST(t_isolate__its_whole_group_goes_with_it) {
    scene x;
    char path[64];
    char *text;
    NEED(open_scene(&x, READS));
    static const char script[] = "sleep 100 & echo $! > $ROOM/pid; exit 0";
    CHECK(run_script(&x, script) == CPL_OK);
    text = read_room("pid");
    NEED(text);
    snprintf(path, sizeof path, "/proc/%ld/cmdline", strtol(text, NULL, 10));
    for (int i = 0; i < 200 && is_running(path); i++) usleep(5000);
    CHECK(!is_running(path));
    free(text);
    close_scene(&x, "Failed");
}

TEST(t_isolate__it_inherits_no_descriptors_and_no_secrets) {
    scene x;
    char *text;
    int leak = open("/dev/null", O_RDONLY); /* without close-on-exec */
    NEED(open_scene(&x, READS));
    setenv("AWS_SECRET_ACCESS_KEY", "canary", 1);
    setenv("T_ISOLATE_PASSED", "two", 1);
    setenv("T_ISOLATE_KEPT", "three", 1);
    static const char script[] =
        "env > $ROOM/env; cat > $ROOM/stdin; ulimit -c > $ROOM/core; n=5; open=\n"
        "while [ $n -lt 300 ]; do [ -e /proc/$$/fd/$n ] && open=$open,$n; n=$((n + 1)); done; echo \"$open\" > "
        "$ROOM/fd";
    CHECK(run_with(&x, script, (cpl_isolation){.open_files = 64}) == CPL_OK);
    unsetenv("AWS_SECRET_ACCESS_KEY");
    text = read_room("env");
    CHECK(text && !strstr(text, "canary") && !strstr(text, "T_ISOLATE_KEPT"));
    CHECK(text && strstr(text, "GIVEN=one\n") && strstr(text, "T_ISOLATE_PASSED=two\n") && strstr(text, "PATH="));
    CHECK(text && strstr(text, "CODEPIPELINE_CHILD=1\n") && strstr(text, "TMPDIR="));
    free(text);
    text = read_room("fd");
    CHECK_STR(text, "\n");
    free(text);
    text = read_room("stdin");
    CHECK_STR(text, "");
    free(text);
    text = read_room("core");
    CHECK_STR(text, "0\n");
    free(text);
    close(leak);
    close_scene(&x, "Failed");
}

/* ---- from outside ---- */

static int stop_now(void *context) {
    (void)context;
    return 1;
}

TEST(t_isolate__a_tick_kills_it_and_leaves_the_answer_to_the_caller) {
    static const char *const command[] = {"sleep", "100", NULL};
    cpl_isolation how = {.command = command};
    cpl_wait wait = {.tick = stop_now};
    scene x;
    NEED(open_scene(&x, READS));
    CHECK(cpl_job_run(x.job, &how, &wait, &x.outcome, &x.err) == CPL_CANCELLED);
    CHECK(!cpl_job_answered(x.job));
    CHECK(cpl_job_fail(x.job, CPL_LIT(""), CPL_LIT("stopped"), CPL_LIT(""), NULL, &x.err) == CPL_OK);
    CHECK(cpl_job_run(x.job, &how, NULL, &x.outcome, &x.err) == CPL_STATE);
    close_scene(&x, "Failed");
}

TEST(t_isolate__one_that_hears_of_being_cancelled_ends_by_itself) {
    scene x;
    NEED(open_scene(&x, READS));
    cpl_worker_cancel(x.worker);
    CHECK(run_script(&x, TALK "say '{\"do\":\"cancelled\"}'; case $answer in *true*) " SUCCEED ";; esac") == CPL_OK);
    CHECK_STR(x.outcome, "succeeded");
    close_scene(&x, "Succeeded");
}

TEST(t_isolate__one_that_does_not_is_killed_and_answered_for) {
    scene x;
    int64_t then;
    NEED(open_scene(&x, READS));
    cpl_worker_cancel(x.worker);
    then = cpl_clock_monotonic_ms();
    CHECK(run_with(&x, "exec sleep 100", (cpl_isolation){.hand_over = true}) == CPL_OK);
    CHECK_STR(x.outcome, "continued");
    CHECK(cpl_clock_monotonic_ms() - then < 10000);
    cpl_job_free(x.job);
    cpl_worker_free(x.worker);
    x.worker = worker_of(x.s.client, 1);
    NEED((x.job = next_job(x.worker)) != NULL);
    cpl_worker_cancel(x.worker);
    CHECK(run_script(&x, "exec sleep 100") == CPL_OK);
    CHECK_STR(x.outcome, "failed");
    CHECK(strstr(message_of(&x), "shut down"));
    CHECK_STR(code_of(&x), "SystemUnavailable");
    close_scene(&x, "Failed");
}

TEST(t_isolate__a_program_that_is_not_there_is_an_error) {
    static const char *const none[] = {"no-such-program-here", NULL}, *const file[] = {"/etc/passwd", NULL};
    static const char *const nothing[] = {NULL};
    const char *const *const commands[] = {none, file, nothing};
    static const char *const words[] = {"not in PATH", "/etc/passwd", "command: missing"};
    scene x;
    NEED(open_scene(&x, READS));
    for (size_t i = 0; i < CPL_COUNT(commands); i++) {
        cpl_isolation how = {.command = commands[i]};
        CHECK(cpl_job_run(x.job, &how, NULL, &x.outcome, &x.err) != CPL_OK);
        if (!CHECK(strstr(x.err.message, words[i]))) printf("  %s\n", x.err.message);
    }
    CHECK(cpl_job_fail(x.job, CPL_LIT(""), CPL_LIT("no"), CPL_LIT(""), NULL, &x.err) == CPL_OK);
    close_scene(&x, "Failed");
}

/* ---- on a thread of the core's own ---- */

/* What is done apart. */
typedef struct task {
    cpl_isolation how;
    const char *outcome;
} task;

static cpl_status run_apart(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err) {
    task *t = request;
    return cpl_job_run(job, &t->how, wait, &t->outcome, err);
}

static bool is_over(scene *x) {
    int64_t end_ms = cpl_clock_monotonic_ms() + 20000;
    while (!cpl_job_over(x->job) && cpl_clock_monotonic_ms() < end_ms) {
        CHECK(cpl_worker_rest(x->worker, NULL, &x->err) == CPL_OK);
    }
    return cpl_job_over(x->job);
}

TEST(t_isolate__it_runs_apart_while_others_do_something_else) {
    static const char script[] = TALK "say '{\"do\":\"input_path\",\"name\":\"Code\"}'\n" SUCCEED;
    static const char *const command[] = {"sh", "-c", script, NULL};
    task t = {.how = {.command = command}};
    cpl_progress progress = {.total = -1};
    scene x;
    NEED(open_scene(&x, READS));
    NEED(cpl_job_begin(x.job, run_apart, &t, &x.err) == CPL_OK);
    CHECK(cpl_job_begin(x.job, run_apart, &t, &x.err) == CPL_STATE);
    CHECK(is_over(&x));
    CHECK(cpl_job_moved(x.job, &progress));
    CHECK_STR(progress.name ? progress.name : "", "Code");
    CHECK(progress.done > 0 && progress.done == progress.total);
    CHECK(!cpl_job_moved(x.job, &progress));
    CHECK(cpl_job_end(x.job, false, &x.err) == CPL_OK);
    CHECK_STR(t.outcome, "succeeded");
    CHECK(cpl_job_end(x.job, false, &x.err) == CPL_STATE);
    close_scene(&x, "Succeeded");
}

TEST(t_isolate__one_apart_is_called_off_and_its_job_still_to_be_answered) {
    static const char *const command[] = {"sleep", "100", NULL};
    task t = {.how = {.command = command}};
    scene x;
    NEED(open_scene(&x, READS));
    NEED(cpl_job_begin(x.job, run_apart, &t, &x.err) == CPL_OK);
    CHECK(!cpl_job_over(x.job));
    CHECK(cpl_job_end(x.job, true, &x.err) == CPL_CANCELLED);
    CHECK(t.outcome == NULL && !cpl_job_answered(x.job));
    CHECK(cpl_job_fail(x.job, CPL_LIT(""), CPL_LIT("called off"), CPL_LIT(""), NULL, &x.err) == CPL_OK);
    CHECK(strstr(message_of(&x), "called off"));
    close_scene(&x, "Failed");
}

TEST(t_isolate__a_job_freed_meanwhile_takes_the_process_with_it) {
    static const char *const command[] = {"sleep", "100", NULL};
    task t = {.how = {.command = command}};
    cpl_wait brief = {.timeout_ms = 1};
    cpl_job *none;
    scene x;
    NEED(open_scene(&x, READS));
    NEED(cpl_job_begin(x.job, run_apart, &t, &x.err) == CPL_OK);
    cpl_job_free(x.job);
    CHECK(cpl_worker_next(x.worker, &brief, &none, &x.err) == CPL_OK);
    CHECK(strstr(message_of(&x), "gave the job up"));
    x.job = NULL;
    close_scene(&x, "Failed");
}

TEST_MAIN
