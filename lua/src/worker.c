/* SPDX-License-Identifier: MIT */
/* The worker as the core has it; its friendly face is worker.lua. */
#include <signal.h>
#include <string.h>

#include "module.h"

#define WORKER_CLASS "codepipeline.core.Worker"

typedef struct lua_worker { /* its value: the list of its clients */
    cpl_worker *worker;
    bool busy;
} lua_worker;

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

void open_worker(lua_State *L) {
    new_class(L, WORKER_CLASS, worker_methods, worker_close);
    lua_pop(L, 1);
    lua_pushcfunction(L, worker_new);
    lua_setfield(L, -2, "worker");
}
