/* SPDX-License-Identifier: MIT */
/* Lambda's runtime API; the loop over it is codepipeline/runtime.lua. */
#include "module.h"

#define RUNTIME_CLASS "codepipeline.core.Runtime"

typedef struct lua_runtime {
    cpl_runtime *runtime; /* NULL once closed */
} lua_runtime;

static cpl_runtime *check_runtime(lua_State *L) {
    lua_runtime *self = luaL_checkudata(L, 1, RUNTIME_CLASS);
    if (self->runtime == NULL) misuse(L, "the runtime is closed");
    return self->runtime;
}

/* runtime("host:port" or nil) -> runtime | nil, err */
static int runtime_new(lua_State *L) {
    cpl_str api = opt_str(L, 1);
    lua_runtime *self = lua_newuserdatauv(L, sizeof *self, 0);
    cpl_error err;
    self->runtime = NULL;
    luaL_setmetatable(L, RUNTIME_CLASS);
    if (cpl_runtime_new(&self->runtime, api, &err)) return push_failure(L, &err);
    return 1;
}

static int runtime_close(lua_State *L) {
    lua_runtime *self = luaL_checkudata(L, 1, RUNTIME_CLASS);
    cpl_runtime *runtime = self->runtime;
    self->runtime = NULL;
    cpl_runtime_free(runtime);
    return 0;
}

static void set_text(lua_State *L, const char *name, cpl_str text) {
    lua_pushlstring(L, text.p ? text.p : "", text.n);
    lua_setfield(L, -2, name);
}

/* runtime:next([seconds]) -> {event=, request_id=, remaining=, function_arn=, trace_id=} | nil, err */
static int runtime_next(lua_State *L) {
    cpl_runtime *runtime = check_runtime(L);
    cpl_invocation invocation;
    lua_tick tick;
    cpl_wait wait = tick_wait(&tick, L, (int64_t)(luaL_optnumber(L, 2, 0) * 1000));
    cpl_error err;
    cpl_status status = cpl_runtime_next(runtime, &wait, &invocation, &err);
    tick_raise(&tick);
    if (status) return push_failure(L, &err);
    lua_createtable(L, 0, 5);
    set_text(L, "event", invocation.event);
    set_text(L, "request_id", cpl_str_of(invocation.request_id));
    set_text(L, "function_arn", invocation.function_arn);
    set_text(L, "trace_id", invocation.trace_id);
    if (invocation.remaining_ms > 0) {
        lua_pushnumber(L, (lua_Number)invocation.remaining_ms / 1000.0);
        lua_setfield(L, -2, "remaining");
    }
    return 1;
}

/* runtime:answer(JSON text) -> true | nil, err */
static int runtime_answer(lua_State *L) {
    cpl_runtime *runtime = check_runtime(L);
    cpl_str text = check_str(L, 2);
    lua_tick tick;
    cpl_wait wait = tick_wait(&tick, L, 0);
    cpl_error err;
    cpl_status status = cpl_runtime_answer(runtime, text, &wait, &err);
    tick_raise(&tick);
    return push_done(L, status, &err);
}

/* runtime:fail(type, message) -> true | nil, err */
static int runtime_fail(lua_State *L) {
    cpl_runtime *runtime = check_runtime(L);
    cpl_str type = check_str(L, 2), message = check_str(L, 3);
    lua_tick tick;
    cpl_wait wait = tick_wait(&tick, L, 0);
    cpl_error err;
    cpl_status status = cpl_runtime_fail(runtime, type, message, &wait, &err);
    tick_raise(&tick);
    return push_done(L, status, &err);
}

void open_runtime(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"next", runtime_next}, {"answer", runtime_answer}, {"fail", runtime_fail}, {"close", runtime_close},
        {NULL, NULL},
    };
    new_class(L, RUNTIME_CLASS, methods, runtime_close);
    lua_pop(L, 1);
    lua_pushcfunction(L, runtime_new);
    lua_setfield(L, -2, "runtime");
}
