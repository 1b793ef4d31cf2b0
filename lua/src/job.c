/* SPDX-License-Identifier: MIT */
/* A job as the core has it; its friendly face is job.lua. What takes its time is in work.c. */
#include "module.h"

#define JOB_CLASS "codepipeline.core.Job"

cpl_job **new_job(lua_State *L) {
    lua_job *job = lua_newuserdatauv(L, sizeof *job, 4);
    *job = (lua_job){0};
    luaL_setmetatable(L, JOB_CLASS);
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, 1);
    return &job->job;
}

cpl_job *check_open_job(lua_State *L) {
    lua_job *self = luaL_checkudata(L, 1, JOB_CLASS);
    if (self->job == NULL) misuse(L, "the job is closed");
    return self->job;
}

lua_job *check_idle_job(lua_State *L) {
    lua_job *self = luaL_checkudata(L, 1, JOB_CLASS);
    if (self->busy) misuse(L, "a job cannot be used by a function that looks on while it asks");
    return self;
}

cpl_job *check_job(lua_State *L) {
    if (check_idle_job(L)->under_way) misuse(L, "a job cannot be used here while something is done with it");
    return check_open_job(L);
}

void begin_job_turn(lua_State *L, lua_turn *turn) {
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

static int job_work_dir(lua_State *L) {
    cpl_error err;
    const char *path = NULL;
    if (cpl_job_work_dir(check_job(L), &path, &err)) return push_failure(L, &err);
    lua_pushstring(L, path);
    return 1;
}

/* job:output_digest(name) -> hexadecimal SHA-256 | nil, err */
static int job_output_digest(lua_State *L) {
    cpl_error err;
    char digest[65] = "";
    if (cpl_job_output_digest(check_job(L), opt_str(L, 2), digest, &err)) return push_failure(L, &err);
    lua_pushstring(L, digest);
    return 1;
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

static int job_expired(lua_State *L) {
    lua_pushboolean(L, cpl_job_expired(check_open_job(L)));
    return 1;
}

/* job:put_off() -> true or false | nil, err */
static int job_put_off(lua_State *L) {
    cpl_job *job = check_job(L);
    lua_turn turn;
    bool put_off = false;
    begin_job_turn(L, &turn);
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
    begin_job_turn(L, &turn);
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

static const luaL_Reg job_methods[] = {
    {"action_type", job_action_type},
    {"texts", job_texts},
    {"configuration", job_configuration},
    {"data", job_data},
    {"input_names", job_input_names},
    {"output_names", job_output_names},
    {"work_dir", job_work_dir},
    {"set_progress", job_set_progress},
    {"output_digest", job_output_digest},
    {"answered", job_answered},
    {"warning", job_warning},
    {"cancelled", job_cancelled},
    {"wait_cancelled", job_wait_cancelled},
    {"remaining", job_remaining},
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

void open_job(lua_State *L) {
    new_class(L, JOB_CLASS, job_methods, job_close);
    add_works(L);
    lua_pop(L, 1);
}
