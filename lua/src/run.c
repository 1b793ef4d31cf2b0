/* SPDX-License-Identifier: MIT */
/* Runs as the core has them; the friendly face (outcomes, events as an iterator) is run.lua. */
#include "module.h"

#define RUN_CLASS "codepipeline.core.Run"

typedef struct lua_run { /* its value: the client */
    cpl_run *run;
    bool busy;
} lua_run;

/* Nobody may use it who looks on while it asks. */
static lua_run *check_idle(lua_State *L) {
    lua_run *self = luaL_checkudata(L, 1, RUN_CLASS);
    if (self->busy) misuse(L, "a run cannot be used by a function that looks on while it asks");
    return self;
}

static lua_run *check_self(lua_State *L) {
    lua_run *self = check_idle(L);
    if (self->run == NULL) misuse(L, "the run is closed");
    return self;
}

static cpl_run *check_run(lua_State *L) {
    return check_self(L)->run;
}

/* Pushes a run that is still empty, of the client at an index. */
static lua_run *new_run(lua_State *L, int client) {
    lua_run *self = lua_newuserdatauv(L, sizeof *self, 1);
    *self = (lua_run){NULL, false};
    luaL_setmetatable(L, RUN_CLASS);
    lua_pushvalue(L, client);
    lua_setiuservalue(L, -2, 1);
    return self;
}

/* A call of the run at index 1. */
static void begin(lua_State *L, lua_turn *turn, int64_t timeout_ms) {
    lua_run *self = check_self(L);
    lua_getiuservalue(L, 1, 1);
    turn_begin(L, turn, &self->busy, TURN_OPENLY, timeout_ms);
}

/* One of the client at index 1. */
static void begin_for_client(lua_State *L, lua_turn *turn) {
    lua_pushvalue(L, 1);
    turn_begin(L, turn, NULL, TURN_OPENLY, 0);
}

static int run_close(lua_State *L) {
    lua_run *self = check_idle(L);
    cpl_run *run = self->run;
    self->run = NULL;
    cpl_run_free(run);
    return 0;
}

/* ---- making ---- */

static cpl_run_options read_times(lua_State *L, int index) {
    return (cpl_run_options){(int64_t)(field_number(L, index, "poll_interval", 0) * 1000),
                             (int64_t)(field_number(L, index, "unclaimed_after", 0) * 1000)};
}

/* A table of the options as JSON, which a new scratch on the stack keeps; absent when there is none. */
static cpl_str field_json(lua_State *L, int index, const char *name) {
    cpl_str text = {NULL, 0};
    lua_scratch *scratch = scratch_new(L);
    cpl_error err;
    if (!lua_istable(L, index)) return text;
    if (lua_getfield(L, index, name) != LUA_TNIL) {
        if (!lua_istable(L, -1)) misuse(L, "%s: expected a table, got a %s", name, luaL_typename(L, -1));
        write_value(L, lua_gettop(L), scratch_writer(L, scratch));
        if (cpl_writer_text(scratch->writer, &text, &err)) misuse(L, "%s: %s", name, err.message);
    }
    lua_pop(L, 1);
    return text;
}

/* The run below the clients of the turn: run | nil, err */
static int push_made(lua_State *L, cpl_status status, const lua_turn *turn) {
    if (status) return push_failure(L, &turn->err);
    lua_pushvalue(L, turn->clients - 1);
    return 1;
}

/* run_start(client, pipeline, {options}) -> run | nil, err */
static int run_start(lua_State *L) {
    static const char *const names[] = {"variables",     "revisions",       "client_request_token",
                                        "poll_interval", "unclaimed_after", NULL};
    cpl_client *client = check_client(L, 1);
    cpl_start start = {.pipeline = check_str(L, 2)};
    cpl_run_options options;
    cpl_status status;
    lua_turn turn;
    lua_run *self;
    lua_settop(L, 3);
    check_options(L, 3, names);
    options = read_times(L, 3);
    start.client_request_token = field_str(L, 3, "client_request_token");
    start.variables = field_json(L, 3, "variables");
    start.revisions = field_json(L, 3, "revisions");
    self = new_run(L, 1);
    begin_for_client(L, &turn);
    status = cpl_run_start(&self->run, client, &start, &options, &turn.wait, &turn.err);
    turn_end(&turn);
    return push_made(L, status, &turn);
}

/* run_open(client, pipeline, execution_id or nil, {options}) -> run | nil, err */
static int run_open(lua_State *L) {
    static const char *const names[] = {"poll_interval", "unclaimed_after", NULL};
    cpl_client *client = check_client(L, 1);
    cpl_target target = {check_str(L, 2), opt_str(L, 3)};
    cpl_run_options options;
    cpl_status status;
    lua_turn turn;
    lua_run *self;
    check_options(L, 4, names);
    options = read_times(L, 4);
    self = new_run(L, 1);
    begin_for_client(L, &turn);
    status = cpl_run_open(&self->run, client, &target, &options, &turn.wait, &turn.err);
    turn_end(&turn);
    return push_made(L, status, &turn);
}

/* ---- what it tells ---- */

static void set_text(lua_State *L, const char *name, const char *text) {
    lua_pushstring(L, text); /* NULL pushes nil */
    lua_setfield(L, -2, name);
}

static void push_event(lua_State *L, const cpl_event *event) {
    lua_createtable(L, 0, 11);
    set_text(L, "kind", cpl_event_name(event->kind));
    set_text(L, "stage", event->stage);
    set_text(L, "action", event->action);
    set_text(L, "status", event->status);
    set_text(L, "message", event->message);
    set_text(L, "code", event->code);
    set_text(L, "url", event->url);
    set_text(L, "external_execution_id", event->external_execution_id);
    set_text(L, "by", event->by);
    if (event->time > 0) {
        lua_pushnumber(L, event->time);
        lua_setfield(L, -2, "time");
    }
    if (event->percent > 0) {
        lua_pushinteger(L, event->percent);
        lua_setfield(L, -2, "percent");
    }
}

/* nil or none: no limit. */
static int64_t check_timeout(lua_State *L, int index) {
    double seconds = luaL_optnumber(L, index, 0);
    luaL_argcheck(L, seconds >= 0 && seconds < 1e9, index, "not a duration in seconds");
    return seconds > 0 && seconds < 0.001 ? 1 : (int64_t)(seconds * 1000);
}

/* run:next(seconds) -> event | false (nothing until then, or it was the end) | nil, err */
static int run_next(lua_State *L) {
    cpl_run *run = check_run(L);
    const cpl_event *event = NULL;
    lua_turn turn;
    begin(L, &turn, check_timeout(L, 2));
    cpl_status status = cpl_run_next(run, &turn.wait, &event, &turn.err);
    turn_end(&turn);
    if (status) return push_failure(L, &turn.err);
    if (event) {
        push_event(L, event);
    } else {
        lua_pushboolean(L, 0);
    }
    return 1;
}

/*
 * Pushes a copy of the list of runs at index 1, which nobody can change meanwhile, their handles as memory that goes
 * with the stack, and a list of their clients. The copy's index.
 */
static int check_runs(lua_State *L, cpl_run ***runs, size_t *count) {
    int copy;
    luaL_checktype(L, 1, LUA_TTABLE);
    *count = (size_t)lua_rawlen(L, 1);
    lua_createtable(L, (int)*count, 0);
    copy = lua_gettop(L);
    *runs = lua_newuserdatauv(L, (*count + 1) * sizeof **runs, 0);
    lua_createtable(L, (int)*count, 0);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        lua_run *run = luaL_testudata(L, -1, RUN_CLASS);
        if (run == NULL || run->run == NULL) luaL_error(L, "runs[%d]: not a run, or one that is closed", (int)i + 1);
        if (run->busy) luaL_error(L, "runs[%d]: in use", (int)i + 1);
        (*runs)[i] = run->run;
        lua_getiuservalue(L, -1, 1);
        lua_rawseti(L, -3, (lua_Integer)i + 1);
        lua_rawseti(L, copy, (lua_Integer)i + 1);
    }
    return copy;
}

static void set_busy(lua_State *L, int copy, bool busy) {
    for (lua_Integer i = 1; lua_rawgeti(L, copy, i) != LUA_TNIL; i++) {
        ((lua_run *)lua_touserdata(L, -1))->busy = busy;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* run:step() -> event | false, seconds until there may be one (0: it has ended) | nil, err; does not wait */
static int run_step(lua_State *L) {
    cpl_run *run = check_run(L);
    const cpl_event *event = NULL;
    int64_t due_ms;
    lua_turn turn;
    begin(L, &turn, 0);
    cpl_status status = cpl_run_step(run, &turn.wait, &event, &due_ms, &turn.err);
    turn_end(&turn);
    if (status) return push_failure(L, &turn.err);
    if (event) {
        push_event(L, event);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_pushnumber(L, (lua_Number)due_ms / 1000);
    return 2;
}

/* runs_next({run, ...}, seconds) -> index, event | false (nothing until then, or all have ended) | nil, err */
static int run_next_of(lua_State *L) {
    size_t count, which = 0;
    const cpl_event *event = NULL;
    int64_t timeout_ms = check_timeout(L, 2);
    cpl_run **runs;
    lua_turn turn;
    int copy = check_runs(L, &runs, &count);
    turn_begin(L, &turn, NULL, TURN_OPENLY, timeout_ms);
    set_busy(L, copy, true);
    cpl_status status = cpl_runs_next(runs, count, &turn.wait, &which, &event, &turn.err);
    set_busy(L, copy, false);
    turn_end(&turn);
    if (status) return push_failure(L, &turn.err);
    if (event == NULL) {
        lua_pushboolean(L, 0);
        return 1;
    }
    lua_pushinteger(L, (lua_Integer)which + 1);
    push_event(L, event);
    return 2;
}

/* run:wait(seconds) -> status | nil, err */
static int run_wait(lua_State *L) {
    cpl_run *run = check_run(L);
    lua_turn turn;
    begin(L, &turn, check_timeout(L, 2));
    cpl_status status = cpl_run_wait(run, &turn.wait, &turn.err);
    turn_end(&turn);
    if (status) return push_failure(L, &turn.err);
    lua_pushstring(L, cpl_run_status(run));
    return 1;
}

/* run:status() -> status | nil, err */
static int run_status(lua_State *L) {
    cpl_run *run = check_run(L);
    lua_turn turn;
    begin(L, &turn, 0);
    cpl_status status = cpl_run_refresh(run, &turn.wait, &turn.err);
    turn_end(&turn);
    if (status) return push_failure(L, &turn.err);
    lua_pushstring(L, cpl_run_status(run));
    return 1;
}

static int run_names(lua_State *L) {
    cpl_run *run = check_run(L);
    lua_pushstring(L, cpl_run_pipeline(run));
    lua_pushstring(L, cpl_run_id(run));
    return 2;
}

/* The document in scratch, which is emptied, or nil, err. */
static int push_reply(lua_State *L, lua_scratch *scratch, cpl_status status, const cpl_error *err) {
    if (status) return push_failure(L, err);
    cpl_reply_cursor(scratch->reply, &scratch->cursor);
    return push_read(L, scratch);
}

static int run_explain(lua_State *L) {
    cpl_run *run = check_run(L);
    lua_scratch *scratch = scratch_new(L);
    lua_turn turn;
    begin(L, &turn, 0);
    cpl_status status = cpl_run_explain(run, &turn.wait, &scratch->reply, &turn.err);
    turn_end(&turn);
    return push_reply(L, scratch, status, &turn.err);
}

/* run_approvals(client, pipeline or nil) -> list | nil, err */
static int run_approvals(lua_State *L) {
    cpl_client *client = check_client(L, 1);
    cpl_str pipeline = opt_str(L, 2);
    lua_scratch *scratch = scratch_new(L);
    lua_turn turn;
    begin_for_client(L, &turn);
    cpl_status status = cpl_client_approvals(client, pipeline, &turn.wait, &scratch->reply, &turn.err);
    turn_end(&turn);
    return push_reply(L, scratch, status, &turn.err);
}

/* metrics(client, {pipelines, since}) -> report | nil, err */
static int run_metrics(lua_State *L) {
    static const char *const names[] = {"pipelines", "since", NULL};
    cpl_client *client = check_client(L, 1);
    cpl_metrics_options options = {{NULL, 0}, 0};
    lua_scratch *scratch;
    lua_turn turn;
    cpl_status status;
    lua_settop(L, 2);
    check_options(L, 2, names);
    options.since = field_number(L, 2, "since", 0);
    options.pipelines = field_json(L, 2, "pipelines");
    scratch = scratch_new(L);
    begin_for_client(L, &turn);
    status = cpl_client_metrics(client, &options, &turn.wait, &scratch->reply, &turn.err);
    turn_end(&turn);
    return push_reply(L, scratch, status, &turn.err);
}

/* ---- acting ---- */

/* run:stop(reason, abandon) -> true | nil, err */
static int run_stop(lua_State *L) {
    cpl_run *run = check_run(L);
    cpl_str reason = opt_str(L, 2);
    lua_turn turn;
    begin(L, &turn, 0);
    cpl_status status = cpl_run_stop(run, reason, lua_toboolean(L, 3), &turn.wait, &turn.err);
    turn_end(&turn);
    return push_done(L, status, &turn.err);
}

/* run:retry(stage, all_actions) -> true | nil, err */
static int run_retry(lua_State *L) {
    cpl_run *run = check_run(L);
    cpl_str stage = check_str(L, 2);
    lua_turn turn;
    begin(L, &turn, 0);
    cpl_status status = cpl_run_retry(run, stage, lua_toboolean(L, 3), &turn.wait, &turn.err);
    turn_end(&turn);
    return push_done(L, status, &turn.err);
}

/* run:rollback(stage, target) -> run | nil, err */
static int run_rollback(lua_State *L) {
    cpl_run *run = check_run(L);
    cpl_str stage = check_str(L, 2), target = opt_str(L, 3);
    lua_turn turn;
    lua_getiuservalue(L, 1, 1);
    lua_run *made = new_run(L, lua_gettop(L));
    begin(L, &turn, 0);
    cpl_status status = cpl_run_rollback(run, stage, target, &turn.wait, &made->run, &turn.err);
    turn_end(&turn);
    return push_made(L, status, &turn);
}

/* run:decide(stage, action, approved, summary) -> true | nil, err */
static int run_decide(lua_State *L) {
    cpl_run *run = check_run(L);
    cpl_decision decision = {check_str(L, 2), check_str(L, 3), lua_toboolean(L, 4), opt_str(L, 5)};
    lua_turn turn;
    begin(L, &turn, 0);
    cpl_status status = cpl_run_decide(run, &decision, &turn.wait, &turn.err);
    turn_end(&turn);
    return push_done(L, status, &turn.err);
}

static const luaL_Reg methods[] = {
    {"next", run_next},         {"step", run_step},       {"wait", run_wait},   {"status", run_status},
    {"names", run_names},       {"explain", run_explain}, {"stop", run_stop},   {"retry", run_retry},
    {"rollback", run_rollback}, {"decide", run_decide},   {"close", run_close}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"run_start", run_start},     {"run_open", run_open},     {"run_approvals", run_approvals},
    {"run_metrics", run_metrics}, {"runs_next", run_next_of}, {NULL, NULL},
};

void open_run(lua_State *L) {
    new_class(L, RUN_CLASS, methods, run_close);
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
