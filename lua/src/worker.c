/* SPDX-License-Identifier: MIT */
/* The worker and its jobs as the core has them; the friendly face (handlers, artifacts as objects) is init.lua. */
#include <signal.h>
#include <string.h>

#include "module.h"

#define WORKER_CLASS "codepipeline.core.Worker"
#define JOB_CLASS "codepipeline.core.Job"

typedef struct lua_worker { /* its value: the list of its clients */
    cpl_worker *worker;
    bool busy;
} lua_worker;

/* Its values: the same list; the function that hears of progress; the worker, which it keeps; what how is made of. */
typedef struct lua_job {
    cpl_job *job;
    bool busy;
    bool apart; /* its handler has a process, which a thread of the core talks with: the job is that thread's */
    cpl_isolation how;
    cpl_progress told; /* of that */
} lua_job;

/* ---- signals while a worker runs: the first asks it to finish, the second cancels, a third does what it did before */

static const int signals[] = {SIGINT, SIGTERM};
static struct sigaction before[2];
static cpl_worker *volatile running; /* the one whose run() is under way in this process */
static volatile sig_atomic_t signalled;

static void on_signal(int number) {
    cpl_worker *worker = running;
    (void)number;
    if (worker && !signalled) {
        signalled = 1;
        cpl_worker_stop(worker);
        return;
    }
    if (worker) cpl_worker_cancel(worker);
    for (int i = 0; i < 2; i++) sigaction(signals[i], &before[i], NULL);
}

static void watch_signals(cpl_worker *worker) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    running = worker;
    signalled = 0;
    for (int i = 0; i < 2; i++) sigaction(signals[i], &action, &before[i]);
}

static void unwatch_signals(void) {
    for (int i = 0; i < 2; i++) sigaction(signals[i], &before[i], NULL);
    running = NULL;
}

/* ---- worker ---- */

static lua_worker *check_open_worker(lua_State *L) {
    lua_worker *self = luaL_checkudata(L, 1, WORKER_CLASS);
    if (self->worker == NULL) misuse(L, "the worker is closed");
    return self;
}

static cpl_worker *check_worker(lua_State *L) {
    return check_open_worker(L)->worker;
}

/* Nobody may use it who looks on while it asks, but to stop it. */
static lua_worker *check_idle_worker(lua_State *L) {
    lua_worker *self = check_open_worker(L);
    if (self->busy) misuse(L, "a worker can only be stopped by a function that looks on while it asks");
    return self;
}

/*
 * worker(client, {concurrency=, poll_interval=, work_dir=, artifact_limit=, journal=, grace=}, complain) -> worker |
 * nil, err; complain(what was raised) is told of functions that look on and raise
 */
static int worker_new(lua_State *L) {
    static const char *const names[] = {"concurrency", "poll_interval", "work_dir", "artifact_limit",
                                        "journal",     "grace",         NULL};
    cpl_client *client = check_client(L, 1);
    cpl_worker_options options = {0};
    cpl_error err;
    lua_worker *self;
    lua_settop(L, 3);
    check_options(L, 2, names);
    options.concurrency = field_count(L, 2, "concurrency", 1);
    options.poll_interval_ms = (int64_t)(field_number(L, 2, "poll_interval", 0) * 1000);
    options.work_dir = field_str(L, 2, "work_dir");
    options.artifact_limit = (size_t)field_number(L, 2, "artifact_limit", 0);
    options.journal = field_str(L, 2, "journal");
    options.grace_ms = (int64_t)(field_number(L, 2, "grace", 0) * 1000);
    self = lua_newuserdatauv(L, sizeof *self, 1);
    *self = (lua_worker){NULL, false};
    luaL_setmetatable(L, WORKER_CLASS);
    push_clients(L, 1, 3);
    lua_setiuservalue(L, -2, 1);
    if (cpl_worker_new(&self->worker, client, &options, &err)) return push_failure(L, &err);
    return 1;
}

static int worker_close(lua_State *L) {
    lua_worker *self = luaL_checkudata(L, 1, WORKER_CLASS);
    cpl_worker *worker = self->worker;
    if (self->busy) check_idle_worker(L);
    self->worker = NULL;
    if (worker && running == worker) unwatch_signals();
    cpl_worker_free(worker);
    return 0;
}

/* Among the worker's clients, if it is not there yet. */
static void keep_client(lua_State *L, int client) {
    lua_Integer i = 1;
    lua_getiuservalue(L, 1, 1);
    while (lua_rawgeti(L, -1, i) != LUA_TNIL && !lua_rawequal(L, -1, client)) {
        lua_pop(L, 1);
        i++;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, client);
    lua_rawseti(L, -2, i);
    lua_pop(L, 1);
}

/* worker:add({category=, provider=, version=, query_key=, query_value=, idempotent=, third_party=}, client) -> index |
 * nil, err */
static int worker_add(lua_State *L) {
    static const char *const names[] = {"category",    "provider",   "version",     "query_key",
                                        "query_value", "idempotent", "third_party", NULL};
    cpl_worker *worker = check_idle_worker(L)->worker;
    cpl_action_type type;
    cpl_error err;
    int index;
    luaL_checktype(L, 2, LUA_TTABLE);
    check_options(L, 2, names);
    type = (cpl_action_type){.category = field_str(L, 2, "category"),
                             .provider = field_str(L, 2, "provider"),
                             .version = field_str(L, 2, "version"),
                             .query_key = field_str(L, 2, "query_key"),
                             .query_value = field_str(L, 2, "query_value")};
    lua_getfield(L, 2, "idempotent");
    type.idempotent = lua_toboolean(L, -1);
    lua_getfield(L, 2, "third_party");
    type.third_party = lua_toboolean(L, -1);
    if (!lua_isnoneornil(L, 3)) {
        type.client = check_client(L, 3);
        keep_client(L, 3);
    }
    if (cpl_worker_add(worker, &type, &index, &err)) return push_failure(L, &err);
    lua_pushinteger(L, index);
    return 1;
}

cpl_job **new_job(lua_State *L) {
    lua_job *job = lua_newuserdatauv(L, sizeof *job, 4);
    *job = (lua_job){.told = {.total = -1}};
    luaL_setmetatable(L, JOB_CLASS);
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, 1);
    return &job->job;
}

/* worker:next(seconds) -> job | false, err or nil (nothing yet) | nil, err (what does not pass by itself) */
static int worker_next(lua_State *L) {
    lua_worker *self = check_idle_worker(L);
    double seconds = luaL_optnumber(L, 2, 1);
    cpl_job **job;
    lua_turn turn;
    cpl_status status;
    lua_getiuservalue(L, 1, 1);
    job = new_job(L);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 3);
    lua_pushvalue(L, -2);
    turn_begin(L, &turn, &self->busy, TURN_FIRMLY, seconds < 0.001 ? 1 : (int64_t)(seconds * 1000));
    status = cpl_worker_next(self->worker, &turn.wait, job, &turn.err);
    turn_end(&turn);
    if (status) return push_failure(L, &turn.err);
    if (*job) {
        lua_pushvalue(L, turn.clients - 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    if (turn.err.status == CPL_OK) return 1;
    push_failure(L, &turn.err);
    lua_remove(L, -2);
    return 2;
}

/* worker:tally() -> {succeeded=, failed=, continued=, unreported=} */
static int worker_tally(lua_State *L) {
    cpl_tally tally = cpl_worker_tally(check_idle_worker(L)->worker);
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, tally.succeeded);
    lua_setfield(L, -2, "succeeded");
    lua_pushinteger(L, tally.failed);
    lua_setfield(L, -2, "failed");
    lua_pushinteger(L, tally.continued);
    lua_setfield(L, -2, "continued");
    lua_pushinteger(L, tally.unreported);
    lua_setfield(L, -2, "unreported");
    return 1;
}

static int pass(lua_State *L, cpl_status (*how)(cpl_worker *, const cpl_wait *, cpl_error *), lua_Number seconds) {
    lua_worker *self = check_idle_worker(L);
    lua_turn turn;
    lua_getiuservalue(L, 1, 1);
    turn_begin(L, &turn, &self->busy, TURN_FIRMLY, seconds < 0.001 ? 1 : (int64_t)(seconds * 1000));
    (void)how(self->worker, &turn.wait, &turn.err);
    turn_end(&turn);
    return 0;
}

/* worker:rest(seconds): waits for so long at most, and takes no job */
static int worker_rest(lua_State *L) {
    return pass(L, cpl_worker_rest, luaL_checknumber(L, 2));
}

/* worker:farewell(): gives back the jobs that were not begun, and sends what is owed */
static int worker_farewell(lua_State *L) {
    return pass(L, cpl_worker_farewell, 1);
}

/* worker:token_wanted() -> id of a customer | nil */
static int worker_token_wanted(lua_State *L) {
    lua_pushstring(L, cpl_worker_token_wanted(check_idle_worker(L)->worker));
    return 1;
}

/* worker:give_token(client_id, token or nil) -> true | nil, err */
static int worker_give_token(lua_State *L) {
    cpl_error err;
    cpl_status status = cpl_worker_give_token(check_idle_worker(L)->worker, check_str(L, 2), opt_str(L, 3), &err);
    return push_done(L, status, &err);
}

static int worker_stop(lua_State *L) {
    cpl_worker_stop(check_worker(L));
    return 0;
}

static int worker_stopping(lua_State *L) {
    lua_pushboolean(L, cpl_worker_stopping(check_worker(L)));
    return 1;
}

static int worker_cancel(lua_State *L) {
    cpl_worker_cancel(check_worker(L));
    return 0;
}

/* worker:warning() -> what became of a damaged journal | nil */
static int worker_warning(lua_State *L) {
    lua_pushstring(L, cpl_worker_warning(check_worker(L)));
    return 1;
}

/* worker:watch_signals(true or false) -> true; false when another worker of the process watches them */
static int worker_watch_signals(lua_State *L) {
    cpl_worker *worker = check_worker(L);
    bool on = lua_toboolean(L, 2), mine = on ? running == NULL : running == worker;
    if (mine && on) watch_signals(worker);
    if (mine && !on) unwatch_signals();
    lua_pushboolean(L, mine);
    return 1;
}

/* ---- job ---- */

/* For what may be asked at any time. */
static cpl_job *check_open_job(lua_State *L) {
    lua_job *self = luaL_checkudata(L, 1, JOB_CLASS);
    if (self->job == NULL) misuse(L, "the job is closed");
    return self->job;
}

/* Nobody may use it who looks on while it asks. */
static lua_job *check_idle_job(lua_State *L) {
    lua_job *self = luaL_checkudata(L, 1, JOB_CLASS);
    if (self->busy) misuse(L, "a job cannot be used by a function that looks on while it asks");
    return self;
}

static cpl_job *check_job(lua_State *L) {
    if (check_idle_job(L)->apart) misuse(L, "a job cannot be used here while its handler's process has it");
    return check_open_job(L);
}

/* A call of the job at index 1, which check_job() has seen; pushes the function that hears of its progress first. */
static void begin(lua_State *L, lua_turn *turn) {
    lua_getiuservalue(L, 1, 2);
    lua_getiuservalue(L, 1, 1);
    turn_begin(L, turn, &check_idle_job(L)->busy, TURN_FIRMLY, 0);
    tick_follow(&turn->tick, &turn->wait, turn->clients - 1);
}

/* job:set_progress(function(artifact, done, total) or nil) */
static int job_set_progress(lua_State *L) {
    (void)check_job(L);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_setiuservalue(L, 1, 2);
    return 0;
}

static int job_close(lua_State *L) {
    lua_job *self = check_idle_job(L);
    cpl_job *job = self->job;
    self->job = NULL;
    cpl_job_free(job);
    return 0;
}

static int job_action_type(lua_State *L) {
    lua_pushinteger(L, cpl_job_action_type(check_job(L)));
    return 1;
}

/* job:texts() -> {id=, nonce=, ...}; absent ones are nil */
static int job_texts(lua_State *L) {
    cpl_job *job = check_job(L);
    lua_createtable(L, 0, CPL_JOB_FIELD_COUNT);
    for (int i = 0; i < CPL_JOB_FIELD_COUNT; i++) {
        lua_pushstring(L, cpl_job_text(job, (cpl_job_field)i)); /* NULL pushes nil */
        lua_setfield(L, -2, cpl_job_field_name((cpl_job_field)i));
    }
    return 1;
}

static int push_part(lua_State *L, cpl_status (*part)(cpl_job *, cpl_cursor *, cpl_error *)) {
    cpl_job *job = check_job(L);
    lua_scratch *scratch = scratch_new(L);
    cpl_error err;
    if (part(job, &scratch->cursor, &err)) return luaL_error(L, "%s", err.message);
    return push_read(L, scratch);
}

static int job_configuration(lua_State *L) {
    return push_part(L, cpl_job_configuration);
}

static int job_data(lua_State *L) {
    return push_part(L, cpl_job_data);
}

static int push_names(lua_State *L, const char *(*name)(const cpl_job *, size_t)) {
    cpl_job *job = check_job(L);
    const char *text;
    lua_newtable(L);
    for (size_t i = 0; (text = name(job, i)) != NULL; i++) {
        lua_pushstring(L, text);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int job_input_names(lua_State *L) {
    return push_names(L, cpl_job_input_name);
}

static int job_output_names(lua_State *L) {
    return push_names(L, cpl_job_output_name);
}

static int push_text_or_failure(lua_State *L, cpl_status status, const char *text, const cpl_error *err) {
    if (status) return push_failure(L, err);
    lua_pushstring(L, text);
    return 1;
}

/* job:state() -> JSON text, or false: none | nil, err */
static int job_state(lua_State *L) {
    cpl_job *job = check_job(L);
    lua_tick tick;
    cpl_wait wait = tick_wait(&tick, L, 0);
    cpl_error err;
    const char *text = NULL;
    cpl_status status = cpl_job_state(job, &wait, &text, &err);
    tick_raise(&tick);
    if (status == CPL_OK && text == NULL) {
        lua_pushboolean(L, false);
        return 1;
    }
    return push_text_or_failure(L, status, text, &err);
}

static int job_work_dir(lua_State *L) {
    cpl_error err;
    const char *path = NULL;
    cpl_status status = cpl_job_work_dir(check_job(L), &path, &err);
    return push_text_or_failure(L, status, path, &err);
}

/* job:input_path(name) -> path | nil, err */
static int job_input_path(lua_State *L) {
    cpl_job *job = check_job(L);
    cpl_str name = opt_str(L, 2);
    lua_turn turn;
    const char *path = NULL;
    begin(L, &turn);
    cpl_status status = cpl_job_input_path(job, name, &turn.wait, &path, &turn.err);
    turn_end(&turn);
    return push_text_or_failure(L, status, path, &turn.err);
}

/* job:input_extract(name, directory) -> path | nil, err */
static int job_input_extract(lua_State *L) {
    cpl_job *job = check_job(L);
    cpl_str name = opt_str(L, 2), directory = opt_str(L, 3);
    lua_turn turn;
    const char *path = NULL;
    begin(L, &turn);
    cpl_status status = cpl_job_input_extract(job, name, directory, &turn.wait, &path, &turn.err);
    turn_end(&turn);
    return push_text_or_failure(L, status, path, &turn.err);
}

/* job:output_pack(name, path) -> true | nil, err */
static int job_output_pack(lua_State *L) {
    cpl_job *job = check_job(L);
    cpl_str name = opt_str(L, 2), path = check_str(L, 3);
    lua_turn turn;
    begin(L, &turn);
    cpl_status status = cpl_job_output_pack(job, name, path, &turn.wait, &turn.err);
    turn_end(&turn);
    return push_done(L, status, &turn.err);
}

/* job:output_write(name, bytes) -> true | nil, err */
static int job_output_write(lua_State *L) {
    cpl_error err;
    cpl_status status = cpl_job_output_write(check_job(L), opt_str(L, 2), check_str(L, 3), &err);
    return push_done(L, status, &err);
}

/* job:output_file(name, path) -> true | nil, err */
static int job_output_file(lua_State *L) {
    cpl_job *job = check_job(L);
    cpl_str name = opt_str(L, 2), path = check_str(L, 3);
    lua_turn turn;
    begin(L, &turn);
    cpl_status status = cpl_job_output_file(job, name, path, &turn.wait, &turn.err);
    turn_end(&turn);
    return push_done(L, status, &turn.err);
}

/* job:output_digest(name) -> hexadecimal SHA-256 | nil, err */
static int job_output_digest(lua_State *L) {
    cpl_error err;
    char digest[65] = "";
    cpl_status status = cpl_job_output_digest(check_job(L), opt_str(L, 2), digest, &err);
    return push_text_or_failure(L, status, digest, &err);
}

static const char *const result_names[] = {"output_variables", "summary",  "external_execution_id",
                                           "percent_complete", "revision", "change_identifier",
                                           "revision_summary", NULL};

/* Reads the table at index; output_variables is written into the scratch writer, which keeps the text. */
static cpl_status read_result(lua_State *L, int index, lua_scratch *scratch, cpl_result *out, cpl_error *err) {
    memset(out, 0, sizeof *out);
    if (lua_isnoneornil(L, index)) return CPL_OK;
    check_options(L, index, result_names);
    out->summary = field_str(L, index, "summary");
    out->external_execution_id = field_str(L, index, "external_execution_id");
    out->percent_complete = (int)field_number(L, index, "percent_complete", 0);
    out->revision = field_str(L, index, "revision");
    out->change_identifier = field_str(L, index, "change_identifier");
    out->revision_summary = field_str(L, index, "revision_summary");
    if (lua_getfield(L, index, "output_variables") == LUA_TNIL) {
        lua_pop(L, 1);
        return CPL_OK;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    write_value(L, -1, scratch_writer(L, scratch));
    lua_pop(L, 1);
    return cpl_writer_text(scratch->writer, &out->output_variables, err);
}

/* job:succeed{result} -> true | nil, err */
static int job_succeed(lua_State *L) {
    cpl_job *job = check_job(L);
    lua_scratch *scratch;
    cpl_result result;
    cpl_status status;
    lua_turn turn;
    lua_settop(L, 2);
    scratch = scratch_new(L);
    if (read_result(L, 2, scratch, &result, &turn.err)) return push_failure(L, &turn.err);
    begin(L, &turn);
    status = cpl_job_succeed(job, &result, &turn.wait, &turn.err);
    turn_end(&turn);
    scratch_clear(scratch);
    return push_done(L, status, &turn.err);
}

/* job:fail(message, type, external_execution_id) -> true | nil, err */
static int job_fail(lua_State *L) {
    cpl_job *job = check_job(L);
    cpl_str message = check_str(L, 2), type = opt_str(L, 3), external = opt_str(L, 4);
    lua_turn turn;
    begin(L, &turn);
    cpl_status status = cpl_job_fail(job, type, message, external, &turn.wait, &turn.err);
    turn_end(&turn);
    return push_done(L, status, &turn.err);
}

/* job:later(state as JSON text, seconds, {result}) -> true | nil, err */
static int job_later(lua_State *L) {
    cpl_job *job = check_job(L);
    cpl_str state = check_str(L, 2);
    double after_s = luaL_optnumber(L, 3, 0);
    lua_scratch *scratch;
    cpl_result result;
    cpl_status status;
    lua_turn turn;
    lua_settop(L, 4);
    scratch = scratch_new(L);
    if (read_result(L, 4, scratch, &result, &turn.err)) return push_failure(L, &turn.err);
    begin(L, &turn);
    status = cpl_job_later(job, state, after_s, &result, &turn.wait, &turn.err);
    turn_end(&turn);
    scratch_clear(scratch);
    return push_done(L, status, &turn.err);
}

static int job_warning(lua_State *L) {
    lua_pushstring(L, cpl_job_warning(check_job(L))); /* NULL pushes nil */
    return 1;
}

static int job_cancelled(lua_State *L) {
    lua_pushboolean(L, cpl_job_cancelled(check_open_job(L)));
    return 1;
}

static int job_answered(lua_State *L) {
    lua_pushboolean(L, cpl_job_answered(check_open_job(L)));
    return 1;
}

/* job:guard(seconds) -> true | nil, err */
static int job_guard(lua_State *L) {
    cpl_job *job = check_job(L);
    double seconds = luaL_checknumber(L, 2);
    cpl_error err;
    luaL_argcheck(L, seconds < 1e9, 2, "not a number of seconds");
    return push_done(L, cpl_job_guard(job, seconds > 0.001 ? (int64_t)(seconds * 1000) : 1, &err), &err);
}

/* The list of texts in a field of the table at index, ended with NULL; kept alive by that table. */
static const char **field_texts(lua_State *L, int index, const char *name) {
    size_t count;
    const char **texts;
    if (lua_getfield(L, index, name) == LUA_TNIL) lua_newtable(L);
    luaL_checktype(L, -1, LUA_TTABLE);
    count = (size_t)luaL_len(L, -1);
    texts = lua_newuserdatauv(L, (count + 1) * sizeof *texts, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -2, (lua_Integer)i + 1);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, index, name); /* a number would become a text of its own */
        texts[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    texts[count] = NULL;
    return texts; /* the list and the userdata stay on the stack */
}

/* job:run_begin{command=, environ=, timeout=, memory=, file_size=, cpu=, open_files=} -> true | nil, err */
static int job_run_begin(lua_State *L) {
    static const char *const names[] = {"command",   "environ", "timeout",    "memory",
                                        "file_size", "cpu",     "open_files", NULL};
    cpl_job *job = check_job(L);
    lua_job *self = lua_touserdata(L, 1);
    cpl_isolation *how = &self->how;
    cpl_error err;
    cpl_status status;
    luaL_checktype(L, 2, LUA_TTABLE);
    check_options(L, 2, names);
    lua_settop(L, 2);
    how->timeout_ms = (int64_t)(field_number(L, 2, "timeout", 0) * 1000);
    how->memory = (int64_t)field_number(L, 2, "memory", 0);
    how->file_size = (int64_t)field_number(L, 2, "file_size", 0);
    how->cpu_s = (int64_t)field_number(L, 2, "cpu", 0);
    how->open_files = (int64_t)field_number(L, 2, "open_files", 0);
    how->command = field_texts(L, 2, "command");
    how->environ = field_texts(L, 2, "environ");
    lua_newtable(L);
    lua_insert(L, 3);
    for (int i = lua_gettop(L) - 3; i > 0; i--) lua_rawseti(L, 3, i); /* both must live while the process does */
    lua_setiuservalue(L, 1, 4);
    status = cpl_job_run_begin(job, how, &err);
    self->apart = status == CPL_OK;
    return push_done(L, status, &err);
}

/* job:run_over() -> whether the process has ended; tells the function that hears of progress */
static int job_run_over(lua_State *L) {
    cpl_job *job = check_open_job(L);
    lua_job *self = check_idle_job(L);
    bool over;
    lua_turn turn;
    begin(L, &turn);
    turn.tick.told = self->told;
    over = cpl_job_run_over(job, &turn.tick.now);
    if (!tick_run(&turn.tick)) self->told = turn.tick.now;
    turn_end(&turn);
    lua_pushboolean(L, over);
    return 1;
}

/* job:run_end(call_off) -> outcome | nil, err; waits for the end, or kills the process */
static int job_run_end(lua_State *L) {
    cpl_job *job = check_open_job(L);
    lua_job *self = check_idle_job(L);
    cpl_error err;
    const char *outcome;
    cpl_status status = cpl_job_run_end(job, lua_toboolean(L, 2), &outcome, &err);
    self->apart = false;
    return push_text_or_failure(L, status, outcome, &err);
}

static int job_expired(lua_State *L) {
    lua_pushboolean(L, cpl_job_expired(check_open_job(L)));
    return 1;
}

/* job:put_off() -> true or false | nil, err */
static int job_put_off(lua_State *L) {
    cpl_job *job = check_job(L);
    lua_turn turn;
    bool put_off = false;
    begin(L, &turn);
    cpl_status status = cpl_job_put_off(job, &put_off, &turn.wait, &turn.err);
    turn_end(&turn);
    if (status) return push_failure(L, &turn.err);
    lua_pushboolean(L, put_off);
    return 1;
}

/* Seconds as milliseconds; 0 when there are none. */
static int64_t opt_milliseconds(lua_State *L, int index) {
    double seconds = luaL_optnumber(L, index, 0);
    luaL_argcheck(L, seconds >= 0 && seconds < 1e9, index, "not a number of seconds");
    return seconds > 0 && seconds < 0.001 ? 1 : (int64_t)(seconds * 1000);
}

/* job:wait_cancelled(seconds) -> whether it is | nil, err */
static int job_wait_cancelled(lua_State *L) {
    cpl_job *job = check_job(L);
    lua_tick tick;
    cpl_wait wait = tick_wait(&tick, L, 0);
    cpl_error err;
    bool cancelled = false;
    cpl_status status;
    wait.timeout_ms = opt_milliseconds(L, 2);
    status = cpl_job_wait_cancelled(job, &wait, &cancelled, &err);
    tick_raise(&tick);
    if (status) return push_failure(L, &err);
    lua_pushboolean(L, cancelled);
    return 1;
}

/* job:remaining() -> seconds | nil */
static int job_remaining(lua_State *L) {
    int64_t left_ms = cpl_job_remaining_ms(check_job(L));
    if (left_ms < 0) {
        lua_pushnil(L);
    } else {
        lua_pushnumber(L, (double)left_ms / 1000);
    }
    return 1;
}

/* job:rehearse(limit, cancelled_after) */
static int job_rehearse(lua_State *L) {
    cpl_rehearsal how = {.limit_ms = opt_milliseconds(L, 2), .cancel_ms = opt_milliseconds(L, 3)};
    cpl_job_rehearse(check_job(L), &how);
    return 0;
}

static int job_rehearse_time(lua_State *L) {
    cpl_job_rehearse_time(check_job(L), opt_milliseconds(L, 2));
    return 0;
}

static int job_rehearsed_time(lua_State *L) {
    lua_pushnumber(L, (double)cpl_job_rehearsed_time(check_job(L)) / 1000);
    return 1;
}

static int job_rehearsed_delay(lua_State *L) {
    lua_pushnumber(L, cpl_job_rehearsed_delay(check_job(L)));
    return 1;
}

/* job:rehearse_input(name, path) -> true | nil, err */
static int job_rehearse_input(lua_State *L) {
    cpl_job *job = check_job(L);
    cpl_str name = check_str(L, 2), path = check_str(L, 3);
    lua_turn turn;
    begin(L, &turn);
    cpl_status status = cpl_job_rehearse_input(job, name, path, &turn.wait, &turn.err);
    turn_end(&turn);
    return push_done(L, status, &turn.err);
}

/* job:rehearsed_output(name) -> path | nil */
static int job_rehearsed_output(lua_State *L) {
    lua_pushstring(L, cpl_job_rehearsed_output(check_job(L), check_str(L, 2)));
    return 1;
}

/* job:rehearsed_answer() -> JSON text | nil */
static int job_rehearsed_answer(lua_State *L) {
    cpl_str text = cpl_job_rehearsed_answer(check_job(L));
    if (text.n == 0) return 0;
    lua_pushlstring(L, text.p, text.n);
    return 1;
}

/* job:rehearsed_state() -> JSON text, "": none */
static int job_rehearsed_state(lua_State *L) {
    cpl_str text = cpl_job_rehearsed_state(check_job(L));
    lua_pushlstring(L, text.p ? text.p : "", text.n);
    return 1;
}

static const luaL_Reg worker_methods[] = {
    {"add", worker_add},
    {"next", worker_next},
    {"farewell", worker_farewell},
    {"tally", worker_tally},
    {"rest", worker_rest},
    {"token_wanted", worker_token_wanted},
    {"give_token", worker_give_token},
    {"stop", worker_stop},
    {"stopping", worker_stopping},
    {"cancel", worker_cancel},
    {"warning", worker_warning},
    {"close", worker_close},
    {"watch_signals", worker_watch_signals},
    {NULL, NULL},
};

static const luaL_Reg job_methods[] = {
    {"action_type", job_action_type},
    {"texts", job_texts},
    {"configuration", job_configuration},
    {"data", job_data},
    {"input_names", job_input_names},
    {"output_names", job_output_names},
    {"state", job_state},
    {"work_dir", job_work_dir},
    {"set_progress", job_set_progress},
    {"input_path", job_input_path},
    {"input_extract", job_input_extract},
    {"output_pack", job_output_pack},
    {"output_write", job_output_write},
    {"output_file", job_output_file},
    {"output_digest", job_output_digest},
    {"succeed", job_succeed},
    {"fail", job_fail},
    {"later", job_later},
    {"answered", job_answered},
    {"warning", job_warning},
    {"cancelled", job_cancelled},
    {"wait_cancelled", job_wait_cancelled},
    {"remaining", job_remaining},
    {"run_begin", job_run_begin},
    {"run_over", job_run_over},
    {"run_end", job_run_end},
    {"guard", job_guard},
    {"expired", job_expired},
    {"put_off", job_put_off},
    {"rehearse", job_rehearse},
    {"rehearse_time", job_rehearse_time},
    {"rehearsed_time", job_rehearsed_time},
    {"rehearsed_delay", job_rehearsed_delay},
    {"rehearse_input", job_rehearse_input},
    {"rehearsed_output", job_rehearsed_output},
    {"rehearsed_answer", job_rehearsed_answer},
    {"rehearsed_state", job_rehearsed_state},
    {"close", job_close},
    {NULL, NULL},
};

void open_worker(lua_State *L) {
    new_class(L, WORKER_CLASS, worker_methods, worker_close);
    new_class(L, JOB_CLASS, job_methods, job_close);
    lua_pop(L, 2);
    lua_pushcfunction(L, worker_new);
    lua_setfield(L, -2, "worker");
}
