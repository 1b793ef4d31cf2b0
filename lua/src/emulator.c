/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "module.h"

#define EMULATOR_CLASS "codepipeline.Emulator"

typedef struct lua_emulator {
    cpl_emulator *emulator;  /* NULL until started, and once closed */
    cpl_relay *relay;        /* NULL: none was asked for, or closed */
    cpl_relay_report report; /* the relay's last word */
} lua_emulator;

static bool is_set(lua_State *L, const char *option) {
    return !lua_isnoneornil(L, 1) && lua_getfield(L, 1, option) != LUA_TNIL && lua_toboolean(L, -1);
}

/*
 * start{port=, host=, path=, region=, account_id=, access_key_id=, secret_access_key=, events=, state=, ui=, repeats=,
 * demo=} -> emulator | nil, err
 */
static int emulator_start(lua_State *L) {
    static const char *const names[] = {
        "port",  "host", "path",    "region", "account_id", "access_key_id", "secret_access_key", "events",
        "state", "ui",   "repeats", "demo",   NULL};
    cpl_str events;
    cpl_emulator_options options = {0};
    lua_emulator *self;
    cpl_error err;
    check_options(L, 1, names);
    options.host = field_str(L, 1, "host");
    options.port = (int)field_number(L, 1, "port", 0);
    options.path = field_str(L, 1, "path");
    options.region = field_str(L, 1, "region");
    options.account_id = field_str(L, 1, "account_id");
    options.access_key_id = field_str(L, 1, "access_key_id");
    options.secret_access_key = field_str(L, 1, "secret_access_key");
    options.state = field_str(L, 1, "state");
    options.repeats = field_str(L, 1, "repeats");
    options.ui = is_set(L, "ui");
    options.demo = is_set(L, "demo");
    events = field_str(L, 1, "events");
    self = lua_newuserdatauv(L, sizeof *self, 0);
    memset(self, 0, sizeof *self);
    luaL_setmetatable(L, EMULATOR_CLASS);
    if (cpl_emulator_start(&self->emulator, &options, &err) ||
        (events.p && cpl_relay_start(&self->relay, self->emulator, events, &err))) {
        return push_failure(L, &err);
    }
    return 1;
}

/* Lua's own warnings (warn "@on") tell of events that did not arrive. */
static int emulator_close(lua_State *L) {
    lua_emulator *self = luaL_checkudata(L, 1, EMULATOR_CLASS);
    cpl_emulator *emulator = self->emulator;
    cpl_relay *relay = self->relay;
    self->emulator = NULL;
    self->relay = NULL;
    cpl_emulator_stop(emulator);
    if (relay) cpl_relay_stop(relay, &self->report);
    if (relay && self->report.dropped > 0) {
        lua_warning(L, "events of the emulator were dropped: ", 1);
        lua_warning(L, self->report.reason, 0);
    }
    return 0;
}

/* emulator:create_bucket(name) -> true | nil, err */
static int emulator_create_bucket(lua_State *L) {
    lua_emulator *self = luaL_checkudata(L, 1, EMULATOR_CLASS);
    cpl_str bucket = check_str(L, 2);
    cpl_error err;
    if (self->emulator == NULL) return misuse(L, "the emulator is closed");
    return push_done(L, cpl_emulator_create_bucket(self->emulator, bucket, &err), &err);
}

static cpl_emulator *check_emulator(lua_State *L) {
    lua_emulator *self = luaL_checkudata(L, 1, EMULATOR_CLASS);
    if (self->emulator == NULL) misuse(L, "the emulator is closed");
    return self->emulator;
}

/* emulator:advance(seconds) -> true | nil, err */
static int emulator_advance(lua_State *L) {
    cpl_emulator *emulator = check_emulator(L);
    lua_Number seconds = luaL_checknumber(L, 2);
    cpl_error err;
    int64_t ms = seconds > -1e12 && seconds < 1e12 ? (int64_t)(seconds * 1000) : INT64_MAX;
    return push_done(L, cpl_emulator_advance(emulator, ms, &err), &err);
}

/* emulator:now() -> seconds since 1970 */
static int emulator_now(lua_State *L) {
    lua_pushnumber(L, cpl_emulator_now(check_emulator(L)));
    return 1;
}

/* emulator:freeze(), emulator:resume() */
static int emulator_freeze(lua_State *L) {
    cpl_emulator_freeze(check_emulator(L), true);
    return 0;
}

static int emulator_resume(lua_State *L) {
    cpl_emulator_freeze(check_emulator(L), false);
    return 0;
}

/* emulator:frozen() -> boolean */
static int emulator_frozen(lua_State *L) {
    lua_pushboolean(L, cpl_emulator_frozen(check_emulator(L)));
    return 1;
}

/* emulator:fault{kind=, operation=, job_id=, times=, after=, probability=, seed=, bytes=} -> true | nil, err */
static int emulator_fault(lua_State *L) {
    static const char *const names[] = {"kind",        "operation", "job_id", "times", "after",
                                        "probability", "seed",      "bytes",  NULL};
    cpl_emulator *emulator = check_emulator(L);
    cpl_fault fault = {.times = 0};
    cpl_error err;
    luaL_checktype(L, 2, LUA_TTABLE);
    check_options(L, 2, names);
    fault.kind = field_str(L, 2, "kind");
    fault.operation = field_str(L, 2, "operation");
    fault.job_id = field_str(L, 2, "job_id");
    fault.times = (int)field_number(L, 2, "times", 0);
    fault.after = (int)field_number(L, 2, "after", 0);
    fault.probability = field_number(L, 2, "probability", 0);
    fault.seed = (uint64_t)field_number(L, 2, "seed", 0);
    fault.bytes = (int)field_number(L, 2, "bytes", 0);
    return push_done(L, cpl_emulator_fault(emulator, &fault, &err), &err);
}

/* emulator:runtime_api(name) -> "127.0.0.1:PORT" | nil, err */
static int emulator_runtime_api(lua_State *L) {
    cpl_emulator *emulator = check_emulator(L);
    const char *address;
    cpl_error err;
    if (cpl_emulator_function(emulator, check_str(L, 2), &address, &err)) return push_failure(L, &err);
    lua_pushstring(L, address);
    return 1;
}

/* emulator:script{outcome=, ...} -> true | nil, err */
static int emulator_script(lua_State *L) {
    cpl_emulator *emulator = check_emulator(L);
    cpl_writer *writer;
    cpl_error err;
    cpl_str text;
    luaL_checktype(L, 2, LUA_TTABLE);
    writer = scratch_writer(L, scratch_new(L));
    write_value(L, 2, writer);
    if (cpl_writer_text(writer, &text, &err)) return push_failure(L, &err);
    return push_done(L, cpl_emulator_script(emulator, text, &err), &err);
}

typedef cpl_status (*git_teller)(cpl_emulator *emulator, cpl_str event, cpl_str *out, cpl_error *err);

/* emulator:git_push{...}, emulator:pull_request{...} -> list | nil, err */
static int tell_git(lua_State *L, const char *const *names, git_teller tell) {
    cpl_emulator *emulator = check_emulator(L);
    lua_scratch *scratch;
    cpl_writer *writer;
    cpl_error err;
    cpl_str text;
    luaL_checktype(L, 2, LUA_TTABLE);
    check_options(L, 2, names);
    scratch = scratch_new(L);
    writer = scratch_writer(L, scratch);
    write_value(L, 2, writer);
    if (cpl_writer_text(writer, &text, &err) || tell(emulator, text, &text, &err)) return push_failure(L, &err);
    cpl_cursor_init(&scratch->cursor, text);
    return push_read(L, scratch);
}

static int emulator_git_push(lua_State *L) {
    static const char *const names[] = {"repository", "branch",  "tag",      "commit", "message",
                                        "files",      "archive", "provider", NULL};
    return tell_git(L, names, cpl_emulator_git_push);
}

static int emulator_pull_request(lua_State *L) {
    static const char *const names[] = {"repository", "event", "source",  "target",   "commit",
                                        "message",    "files", "archive", "provider", NULL};
    return tell_git(L, names, cpl_emulator_pull_request);
}

/* emulator:set_repeats(policy) -> true | nil, err */
static int emulator_set_repeats(lua_State *L) {
    cpl_emulator *emulator = check_emulator(L);
    cpl_error err;
    return push_done(L, cpl_emulator_set_repeats(emulator, check_str(L, 2), &err), &err);
}

/* emulator:repeats() -> "refuse" | "accept" */
static int emulator_repeats(lua_State *L) {
    lua_pushstring(L, cpl_emulator_repeats(check_emulator(L)));
    return 1;
}

/* emulator:ledger() -> list | nil, err */
static int emulator_ledger(lua_State *L) {
    cpl_emulator *emulator = check_emulator(L);
    lua_scratch *scratch = scratch_new(L);
    cpl_error err;
    cpl_str text;
    if (cpl_emulator_ledger(emulator, &text, &err)) return push_failure(L, &err);
    cpl_cursor_init(&scratch->cursor, text);
    return push_read(L, scratch);
}

/* emulator:export_text(objects) -> JSON text | nil, err */
static int emulator_export(lua_State *L) {
    cpl_emulator *emulator = check_emulator(L);
    cpl_error err;
    cpl_str text;
    if (cpl_emulator_export(emulator, lua_toboolean(L, 2), &text, &err)) return push_failure(L, &err);
    lua_pushlstring(L, text.p, text.n);
    return 1;
}

/* emulator:restore_text(JSON text) -> true | nil, err */
static int emulator_restore(lua_State *L) {
    cpl_emulator *emulator = check_emulator(L);
    cpl_str state = check_str(L, 2);
    cpl_error err;
    return push_done(L, cpl_emulator_import(emulator, state, &err), &err);
}

/* emulator:feed() -> feed | nil, err */
static int emulator_feed(lua_State *L) {
    cpl_emulator *emulator = check_emulator(L);
    cpl_feed **feed = new_feed(L);
    cpl_error err;
    return cpl_emulator_feed(emulator, feed, &err) ? push_failure(L, &err) : 1;
}

/* emulator:relayed() -> {delivered=, dropped=, reason=}; also once closed */
static int emulator_relayed(lua_State *L) {
    lua_emulator *self = luaL_checkudata(L, 1, EMULATOR_CLASS);
    if (self->relay) cpl_relay_tell(self->relay, &self->report);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, self->report.delivered);
    lua_setfield(L, -2, "delivered");
    lua_pushinteger(L, self->report.dropped);
    lua_setfield(L, -2, "dropped");
    if (self->report.reason[0] == '\0') return 1;
    lua_pushstring(L, self->report.reason);
    lua_setfield(L, -2, "reason");
    return 1;
}

/* emulator:clear() */
static int emulator_clear(lua_State *L) {
    cpl_emulator_clear(check_emulator(L));
    return 0;
}

static void push_environ(lua_State *L, const cpl_emulator *emulator) {
    const char *name, *value;
    lua_newtable(L);
    for (size_t i = 0; cpl_emulator_environ(emulator, i, &name, &value); i++) {
        lua_pushstring(L, value);
        lua_setfield(L, -2, name);
    }
}

/* Members url and environ, and the methods. Upvalue: the methods. */
static int emulator_index(lua_State *L) {
    lua_emulator *self = luaL_checkudata(L, 1, EMULATOR_CLASS);
    const char *key = luaL_checkstring(L, 2);
    bool url = strcmp(key, "url") == 0;
    if (!url && strcmp(key, "environ") != 0) {
        lua_getfield(L, lua_upvalueindex(1), key);
        return 1;
    }
    if (self->emulator == NULL) return misuse(L, "the emulator is closed");
    if (url) {
        lua_pushstring(L, cpl_emulator_url(self->emulator));
    } else {
        push_environ(L, self->emulator);
    }
    return 1;
}

#define ARGUMENTS_MAX 64

int run_command(lua_State *L, const char *name, int (*command)(int, char **)) {
    char *argv[ARGUMENTS_MAX + 2];
    lua_Integer n;
    luaL_checktype(L, 1, LUA_TTABLE);
    n = (lua_Integer)lua_rawlen(L, 1);
    luaL_argcheck(L, n <= ARGUMENTS_MAX, 1, "too many arguments");
    luaL_checkstack(L, (int)n + 1, "too many arguments");
    argv[0] = (char *)name; /* read only */
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        argv[i] = (char *)luaL_checkstring(L, -1); /* as well, and on the stack until the call returns */
    }
    argv[n + 1] = NULL;
    lua_pushinteger(L, command((int)n + 1, argv));
    return 1;
}

/* emulator_main{"--port", "0"} -> exit status */
static int emulator_main(lua_State *L) {
    return run_command(L, "codepipeline-emulator", cpl_emulator_main);
}

/* lint(JSON text, region or nil) -> list | nil, err */
static int emulator_lint(lua_State *L) {
    cpl_str document = check_str(L, 1), text;
    const cpl_lint_options options = {opt_str(L, 2)};
    lua_scratch *scratch = scratch_new(L);
    cpl_writer *writer = scratch_writer(L, scratch);
    cpl_error err;
    if (cpl_lint(document, &options, writer, &err) || cpl_writer_text(writer, &text, &err))
        return push_failure(L, &err);
    cpl_cursor_init(&scratch->cursor, text);
    return push_read(L, scratch);
}

static const luaL_Reg methods[] = {
    {"create_bucket", emulator_create_bucket},
    {"advance", emulator_advance},
    {"now", emulator_now},
    {"freeze", emulator_freeze},
    {"resume", emulator_resume},
    {"frozen", emulator_frozen},
    {"fault", emulator_fault},
    {"runtime_api", emulator_runtime_api},
    {"script", emulator_script},
    {"git_push", emulator_git_push},
    {"pull_request", emulator_pull_request},
    {"set_repeats", emulator_set_repeats},
    {"repeats", emulator_repeats},
    {"ledger", emulator_ledger},
    {"export_text", emulator_export},
    {"restore_text", emulator_restore},
    {"feed", emulator_feed},
    {"relayed", emulator_relayed},
    {"clear", emulator_clear},
    {"close", emulator_close},
    {NULL, NULL},
};

void open_emulator(lua_State *L) {
    new_class(L, EMULATOR_CLASS, methods, emulator_close);
    luaL_getmetatable(L, EMULATOR_CLASS);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, emulator_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_setfield(L, -2, "emulator_methods"); /* init.lua adds to them */
    lua_pushcfunction(L, emulator_start);
    lua_setfield(L, -2, "emulator");
    lua_pushcfunction(L, emulator_lint);
    lua_setfield(L, -2, "lint");
    lua_pushcfunction(L, emulator_main);
    lua_setfield(L, -2, "emulator_main");
}
