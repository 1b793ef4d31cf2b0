/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>

#include "module.h"

#define CLIENT_CLASS "codepipeline.Client"

typedef struct lua_client {
    cpl_client *client;  /* NULL until made, and after __gc */
    lua_scratch scratch; /* of the call under way; what raised in its middle is cleared by the next */
    bool calling;        /* the core is at work, and whoever looks on must not begin another call */
} lua_client;

static lua_client *check_self(lua_State *L) {
    lua_client *self = luaL_checkudata(L, 1, CLIENT_CLASS);
    if (self->client == NULL) misuse(L, "the client was never opened");
    return self;
}

cpl_client *check_client(lua_State *L, int index) {
    lua_client *self = luaL_checkudata(L, index, CLIENT_CLASS);
    if (self->client == NULL) misuse(L, "the client was never opened");
    return self->client;
}

const cpl_client *peek_client(lua_State *L, int index) {
    const lua_client *self = luaL_testudata(L, index, CLIENT_CLASS);
    return self ? self->client : NULL;
}

typedef enum option_kind { TEXT, SECONDS, COUNT, CHOICE, TRUTH } option_kind;

typedef struct option_row {
    const char *name;
    option_kind kind;
    size_t offset;
} option_row;

#define OPTION(name, kind, member) \
    { name, kind, offsetof(cpl_client_options, member) }
static const option_row options_of_client[] = {
    OPTION("region", TEXT, region),
    OPTION("profile", TEXT, profile),
    OPTION("access_key_id", TEXT, access_key_id),
    OPTION("secret_access_key", TEXT, secret_access_key),
    OPTION("session_token", TEXT, session_token),
    OPTION("endpoint_url", TEXT, endpoint_url),
    OPTION("s3_endpoint_url", TEXT, s3_endpoint_url),
    OPTION("ca_bundle", TEXT, ca_bundle),
    OPTION("user_agent_extra", TEXT, user_agent_extra),
    OPTION("connect_timeout", SECONDS, connect_timeout_ms),
    OPTION("read_timeout", SECONDS, read_timeout_ms),
    OPTION("total_timeout", SECONDS, total_timeout_ms),
    OPTION("max_attempts", COUNT, max_attempts),
    OPTION("retry_mode", TEXT, retry_mode),
    OPTION("app_id", TEXT, app_id),
    OPTION("use_fips_endpoint", CHOICE, use_fips_endpoint),
    OPTION("use_dualstack_endpoint", CHOICE, use_dualstack_endpoint),
    OPTION("ignore_configured_endpoint_urls", CHOICE, ignore_configured_endpoint_urls),
    OPTION("proxy", TEXT, proxy),
    OPTION("client_cert", TEXT, client_cert),
    OPTION("client_key", TEXT, client_key),
    OPTION("anonymous", TRUTH, anonymous),
};
#define OPTION_COUNT (sizeof options_of_client / sizeof *options_of_client)

static cpl_choice field_choice(lua_State *L, int index, const char *name) {
    cpl_choice choice = CPL_CHOICE_DEFAULT;
    if (lua_getfield(L, index, name) != LUA_TNIL) choice = lua_toboolean(L, -1) ? CPL_CHOICE_YES : CPL_CHOICE_NO;
    lua_pop(L, 1);
    return choice;
}

static double field_within(lua_State *L, int index, const char *name, double most) {
    double number = field_number(L, index, name, 0);
    if (!(number >= 0 && number <= most)) misuse(L, "%s: out of range", name);
    return number;
}

static void read_option(lua_State *L, int index, const option_row *row, cpl_client_options *options) {
    void *to = (char *)options + row->offset;
    switch (row->kind) {
    case TEXT: *(cpl_str *)to = field_str(L, index, row->name); break;
    case SECONDS: *(int64_t *)to = (int64_t)(field_within(L, index, row->name, 1e9) * 1000); break;
    case COUNT: *(int *)to = (int)field_within(L, index, row->name, 1e6); break;
    case CHOICE: *(cpl_choice *)to = field_choice(L, index, row->name); break;
    case TRUTH: *(bool *)to = field_choice(L, index, row->name) == CPL_CHOICE_YES; break;
    }
}

/* From the table at index, which keeps the texts alive. */
static cpl_client_options read_options(lua_State *L, int index) {
    const char *names[OPTION_COUNT + 3] = {NULL};
    cpl_client_options options = {0};
    for (size_t i = 0; i < OPTION_COUNT; i++) names[i] = options_of_client[i].name;
    names[OPTION_COUNT] = "credentials";
    names[OPTION_COUNT + 1] = "mfa_code";
    check_options(L, index, names);
    if (lua_istable(L, index)) read_source(L, index, &options.source);
    for (size_t i = 0; i < OPTION_COUNT && lua_istable(L, index); i++) {
        read_option(L, index, &options_of_client[i], &options);
    }
    return options;
}

/* Pushes a client that was not opened yet. */
static lua_client *push_client(lua_State *L) {
    lua_client *self = lua_newuserdatauv(L, sizeof *self, 1); /* the value: the function that looks on */
    memset(self, 0, sizeof *self);
    luaL_setmetatable(L, CLIENT_CLASS);
    return self;
}

/* client{region=, profile=, access_key_id=, ...} -> client | nil, err. Times in seconds. */
static int client_new(lua_State *L) {
    const cpl_client_options options = read_options(L, 1);
    cpl_error err;
    lua_client *self = push_client(L);
    if (cpl_client_new(&self->client, &options, &err)) return push_failure(L, &err);
    return 1;
}

int push_view(lua_State *L, int client, const cpl_client_options *overrides) {
    cpl_error err;
    lua_client *view = push_client(L);
    if (cpl_client_with(&view->client, check_client(L, client), overrides, &err)) return push_failure(L, &err);
    lua_getiuservalue(L, client, 1);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

/* client:with{region=, endpoint_url=, read_timeout=, ...} -> a view that shares the connections | nil, err */
static int client_with(lua_State *L) {
    check_self(L);
    const cpl_client_options options = read_options(L, 2);
    return push_view(L, 1, &options);
}

/* client:observer() -> function | nil; client:set_observer(function) */
static int client_observer(lua_State *L) {
    check_self(L);
    lua_getiuservalue(L, 1, 1);
    return 1;
}

static int client_set_observer(lua_State *L) {
    check_self(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_setiuservalue(L, 1, 1);
    return 0;
}

/* doctor(options) -> report | nil, err */
static int client_doctor(lua_State *L) {
    const cpl_client_options options = read_options(L, 1);
    lua_scratch *scratch = scratch_new(L);
    lua_tick tick;
    cpl_wait wait = tick_wait(&tick, L, 0);
    cpl_error err;
    cpl_status status = cpl_doctor(&options, &wait, &scratch->reply, &err);
    tick_raise(&tick);
    if (status) return push_failure(L, &err);
    cpl_reply_cursor(scratch->reply, &scratch->cursor);
    return push_read(L, scratch);
}

static int client_gc(lua_State *L) {
    lua_client *self = luaL_checkudata(L, 1, CLIENT_CLASS);
    cpl_client *client = self->client;
    self->client = NULL;
    scratch_clear(&self->scratch);
    cpl_client_free(client);
    return 0;
}

static int client_close(lua_State *L) {
    cpl_client_close(check_self(L)->client);
    return 0;
}

static int client_region(lua_State *L) {
    lua_pushstring(L, cpl_client_region(check_self(L)->client));
    return 1;
}

static int client_partition(lua_State *L) {
    lua_pushstring(L, cpl_client_partition(check_self(L)->client));
    return 1;
}

static int client_endpoint_url(lua_State *L) {
    lua_pushstring(L, cpl_client_endpoint_url(check_self(L)->client));
    return 1;
}

static void push_headers(lua_State *L, const cpl_reply *reply) {
    cpl_str name, value;
    lua_createtable(L, 0, 8);
    for (size_t i = 0; cpl_reply_header(reply, i, &name, &value); i++) {
        lua_pushlstring(L, name.p, name.n);
        lua_pushlstring(L, value.p, value.n);
        lua_rawset(L, -3);
    }
}

/* The answer's table gets the member that the AWS SDKs call so. */
static void add_metadata(lua_State *L, const cpl_reply *reply) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, cpl_reply_request_id(reply));
    lua_setfield(L, -2, "RequestId");
    lua_pushinteger(L, cpl_reply_http_status(reply));
    lua_setfield(L, -2, "HTTPStatusCode");
    lua_pushinteger(L, cpl_reply_attempts(reply) - 1);
    lua_setfield(L, -2, "RetryAttempts");
    push_headers(L, reply);
    lua_setfield(L, -2, "HTTPHeaders");
    lua_setfield(L, -2, "ResponseMetadata");
}

cpl_status check_params(lua_State *L, lua_scratch *scratch, int params, cpl_str *text, cpl_error *err) {
    *text = (cpl_str){NULL, 0};
    if (lua_isnoneornil(L, params)) return CPL_OK;
    cpl_writer *writer = scratch_writer(L, scratch);
    if (!lua_istable(L, params)) {
        misuse(L, "parameters must be a table, not a %s", luaL_typename(L, params));
    }
    write_value(L, params, writer);
    return cpl_writer_text(writer, text, err);
}

int push_answer(lua_State *L, lua_scratch *scratch) {
    cpl_error err;
    cpl_reply_cursor(scratch->reply, &scratch->cursor);
    scratch->cursor_used = true;
    if (!try_document(L, &scratch->cursor)) {
        if (cpl_reply_check(scratch->reply, &err)) return push_failure(L, &err);
        return luaL_error(L, "out of memory");
    }
    add_metadata(L, scratch->reply);
    scratch_clear(scratch);
    return 1;
}

static int call(lua_State *L, lua_client *self, cpl_str operation, int params) {
    lua_scratch *scratch = &self->scratch;
    cpl_call_options options = {.flags = CPL_CALL_EMPTY_TABLES | CPL_CALL_UNCHECKED};
    cpl_status status;
    cpl_str text;
    lua_turn turn;
    if (self->calling) return luaL_error(L, "a client cannot be called by a function that looks on; a view of it can");
    scratch_clear(scratch);
    if (check_params(L, scratch, params, &text, &turn.err)) return push_failure(L, &turn.err);
    lua_pushvalue(L, 1);
    turn_begin(L, &turn, &self->calling, TURN_OPENLY, 0);
    options.wait = turn.wait;
    status = cpl_client_call(self->client, operation, text, &options, &scratch->reply, &turn.err);
    turn_end(&turn);
    return status ? push_failure(L, &turn.err) : push_answer(L, scratch);
}

/* client:call("ListPipelines" or "list_pipelines", {params}) -> answer | nil, err */
static int client_call(lua_State *L) {
    return call(L, check_self(L), check_str(L, 2), 3);
}

/* One of the core's two functions, with three texts and a table of options. */
typedef cpl_status (*transfer)(cpl_client *, cpl_str, cpl_str, cpl_str, const cpl_wait *, cpl_error *);

static int move_file(lua_State *L, transfer move) {
    static const char *const names[] = {"progress", NULL};
    cpl_client *client = check_self(L)->client;
    cpl_str first = check_str(L, 2), second = check_str(L, 3), third = check_str(L, 4);
    lua_tick tick;
    cpl_wait wait;
    cpl_error err;
    cpl_status status;
    lua_settop(L, 5);
    check_options(L, 5, names);
    if (!lua_isnil(L, 5)) lua_getfield(L, 5, "progress");
    if (!lua_isnil(L, -1)) luaL_checktype(L, -1, LUA_TFUNCTION);
    wait = tick_watch(&tick, L, -1);
    status = move(client, first, second, third, &wait, &err);
    tick_raise(&tick);
    return push_done(L, status, &err);
}

/* client:upload_file(path, bucket, key, {progress =}) -> true | nil, err */
static int client_upload_file(lua_State *L) {
    return move_file(L, cpl_client_upload);
}

/* client:download_file(bucket, key, path, {progress =}) -> true | nil, err */
static int client_download_file(lua_State *L) {
    return move_file(L, cpl_client_download);
}

/* A method made for one operation; its name is the upvalue. */
static int client_operation(lua_State *L) {
    return call(L, check_self(L), check_str(L, lua_upvalueindex(1)), 2);
}

/* Methods first, then the model's operations, each made on first use and kept. Upvalue: the methods, which say in Lua
 * what may have been meant by a name that is neither. */
static int client_index(lua_State *L) {
    int operation;
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL || lua_type(L, 2) != LUA_TSTRING) return 1;
    operation = cpl_model_find_operation(check_str(L, 2));
    if (operation < 0) {
        lua_pushvalue(L, 2);
        lua_gettable(L, lua_upvalueindex(1));
        return 1;
    }
    lua_pushstring(L, cpl_model_operation_info((size_t)operation)->method);
    lua_pushcclosure(L, client_operation, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(1));
    return 1;
}

static int client_tostring(lua_State *L) {
    lua_client *self = luaL_checkudata(L, 1, CLIENT_CLASS);
    lua_pushfstring(L, "codepipeline.Client (%s, %s)", self->client ? cpl_client_region(self->client) : "?",
                    self->client && !cpl_client_closed(self->client) ? "open" : "closed");
    return 1;
}

static const luaL_Reg methods[] = {
    {"call", client_call},
    {"upload_file", client_upload_file},
    {"download_file", client_download_file},
    {"with", client_with},
    {"observer", client_observer},
    {"set_observer", client_set_observer},
    {"close", client_close},
    {"region", client_region},
    {"partition", client_partition},
    {"endpoint_url", client_endpoint_url},
    {NULL, NULL},
};

void open_client(lua_State *L) {
    new_class(L, CLIENT_CLASS, methods, client_gc);
    luaL_getmetatable(L, CLIENT_CLASS);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, client_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, client_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushcfunction(L, client_close); /* a client shared with a worker is closed, not freed, when its block ends */
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
    lua_setfield(L, -2, "client_methods"); /* init.lua adds to them */
    lua_pushcfunction(L, client_new);
    lua_setfield(L, -2, "client");
    lua_pushcfunction(L, client_doctor);
    lua_setfield(L, -2, "doctor");
}
