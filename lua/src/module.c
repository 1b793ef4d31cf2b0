/* SPDX-License-Identifier: MIT */
#include "module.h"

#if defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

static int nothing(lua_State *L) {
    (void)L;
    return 0;
}

static bool has_moved(const lua_tick *tick) {
    const cpl_progress *a = &tick->now, *b = &tick->told;
    return tick->hook && (a->done != b->done || a->total != b->total || a->name != b->name);
}

/* Runs below lua_pcall(), because the name may need memory. Upvalue-free: the tick is its argument. */
static int tell_progress(lua_State *L) {
    const lua_tick *tick = lua_touserdata(L, 2);
    const cpl_progress *p = &tick->now;
    lua_settop(L, 1);
    if (p->name) lua_pushstring(L, p->name);
    lua_pushinteger(L, p->done);
    if (p->total < 0) {
        lua_pushnil(L);
    } else {
        lua_pushinteger(L, p->total);
    }
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

int tick_run(void *context) {
    lua_tick *tick = context;
    bool moved = has_moved(tick);
    if (tick->raised) return 1;
    lua_pushcfunction(tick->L, moved ? tell_progress : nothing); /* cannot fail: light values, and there is room */
    if (moved) {
        lua_pushvalue(tick->L, tick->hook);
        lua_pushlightuserdata(tick->L, tick);
    }
    tick->raised = lua_pcall(tick->L, moved ? 2 : 0, 0, 0) != LUA_OK;
    tick->told = tick->now;
    return tick->raised;
}

cpl_wait tick_wait(lua_tick *tick, lua_State *L, int64_t timeout_ms) {
    luaL_checkstack(L, 8, "no room for a call");
    *tick = (lua_tick){.L = L, .now = {.total = -1}, .told = {.total = -1}};
    return (cpl_wait){.tick = tick_run, .context = tick, .timeout_ms = timeout_ms};
}

void tick_follow(lua_tick *tick, cpl_wait *wait, int hook) {
    if (!lua_isfunction(tick->L, hook)) return;
    tick->hook = lua_absindex(tick->L, hook);
    wait->progress = &tick->now;
}

cpl_wait tick_watch(lua_tick *tick, lua_State *L, int hook) {
    cpl_wait wait = tick_wait(tick, L, 0);
    tick_follow(tick, &wait, hook);
    return wait;
}

void tick_raise(lua_tick *tick) {
    if (tick->raised) lua_error(tick->L);
}

void new_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction finalizer) {
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, finalizer);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__gc");
    lua_setfield(L, -2, "__close");
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_remove(L, -2);
}

/* monotonic() -> seconds since some fixed moment */
static int module_monotonic(lua_State *L) {
    lua_pushnumber(L, (double)cpl_clock_monotonic_ms() / 1000);
    return 1;
}

/* encode(value) -> JSON text */
static int module_encode(lua_State *L) {
    lua_scratch *scratch;
    cpl_writer *writer;
    cpl_error err;
    cpl_str text;
    luaL_checkany(L, 1);
    scratch = scratch_new(L);
    writer = scratch_writer(L, scratch);
    write_value(L, 1, writer);
    if (cpl_writer_text(writer, &text, &err)) return push_failure(L, &err);
    lua_pushlstring(L, text.p, text.n);
    scratch_clear(scratch);
    return 1;
}

/* decode(JSON text) -> value */
static int module_decode(lua_State *L) {
    cpl_str text = check_str(L, 1);
    lua_scratch *scratch = scratch_new(L);
    cpl_cursor_init(&scratch->cursor, text);
    return push_read(L, scratch);
}

static void set_text(lua_State *L, const char *name, const char *text) {
    if (text == NULL) return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* operations() -> array of {name, method, doc, input_token, output_token, result_key, limit_key} */
static int module_operations(lua_State *L) {
    size_t count = cpl_model_operation_count();
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        const cpl_operation_info *info = cpl_model_operation_info(i);
        lua_createtable(L, 0, 7);
        set_text(L, "name", info->name);
        set_text(L, "method", info->method);
        set_text(L, "doc", info->doc);
        set_text(L, "input_token", info->input_token);
        set_text(L, "output_token", info->output_token);
        set_text(L, "result_key", info->result_key);
        set_text(L, "limit_key", info->limit_key);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* describe(operation) -> table | nil, err */
static int module_describe(lua_State *L) {
    cpl_str operation = check_str(L, 1), text;
    lua_scratch *scratch = scratch_new(L);
    cpl_writer *writer = scratch_writer(L, scratch);
    cpl_error err;
    if (cpl_describe(operation, writer, &err) || cpl_writer_text(writer, &text, &err)) return push_failure(L, &err);
    cpl_cursor_init(&scratch->cursor, text);
    return push_read(L, scratch);
}

/* nearest(written, names) -> string or nil */
static int module_nearest(lua_State *L) {
    cpl_str written = check_str(L, 1);
    size_t count = (luaL_checktype(L, 2, LUA_TTABLE), lua_rawlen(L, 2));
    const char **names = lua_newuserdatauv(L, (count + 1) * sizeof *names, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        names[i] = luaL_checkstring(L, -1); /* which the table keeps */
        lua_pop(L, 1);
    }
    lua_pushstring(L, cpl_nearest(written, names, count)); /* nil for NULL */
    return 1;
}

/* pack(path, archive) -> true | nil, err */
static int module_pack(lua_State *L) {
    cpl_str path = check_str(L, 1), archive = check_str(L, 2);
    lua_tick tick;
    cpl_wait wait = tick_wait(&tick, L, 0);
    cpl_error err;
    cpl_status status = cpl_pack(path, archive, &wait, &err);
    tick_raise(&tick);
    return push_done(L, status, &err);
}

/* extract(archive, directory, limit in bytes) -> true | nil, err */
static int module_extract(lua_State *L) {
    cpl_str archive = check_str(L, 1), directory = check_str(L, 2);
    lua_Integer limit = luaL_optinteger(L, 3, 0);
    lua_tick tick;
    cpl_wait wait = tick_wait(&tick, L, 0);
    cpl_error err;
    cpl_status status = cpl_extract(archive, directory, (int64_t)limit, &wait, &err);
    tick_raise(&tick);
    return push_done(L, status, &err);
}

/* What cpl_part() lists, as {name = boolean}. */
static void push_parts(lua_State *L) {
    const char *name;
    bool there;
    lua_newtable(L);
    for (size_t i = 0; cpl_part(i, &name, &there); i++) {
        lua_pushboolean(L, there);
        lua_setfield(L, -2, name);
    }
}

static const luaL_Reg functions[] = {
    {"encode", module_encode},     {"decode", module_decode},       {"operations", module_operations},
    {"describe", module_describe}, {"nearest", module_nearest},     {"pack", module_pack},
    {"extract", module_extract},   {"monotonic", module_monotonic}, {NULL, NULL},
};

EXPORT int luaopen_codepipeline_core(lua_State *L);
EXPORT int luaopen_codepipeline_core(lua_State *L) {
    luaL_newlib(L, functions);
    lua_pushliteral(L, CPL_VERSION);
    lua_setfield(L, -2, "version");
    push_parts(L);
    lua_setfield(L, -2, "parts");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    open_errors(L);
    open_scratch(L);
    open_client(L);
    open_queue(L);
    open_feed(L);
    open_stub(L);
    open_worker(L);
    open_job(L);
    open_run(L);
    open_event(L);
    open_runtime(L);
    open_emulator(L);
    return 1;
}
