/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "module.h"

#define CLIENT_CLASS "codepipeline.Client"

typedef struct lua_client {
    cpl_client *client;  /* NULL until made, and after __gc */
    lua_scratch scratch; /* of the call under way; what raised in its middle is cleared by the next */
} lua_client;

static lua_client *check_self(lua_State *L) {
    lua_client *self = luaL_checkudata(L, 1, CLIENT_CLASS);
    if (self->client == NULL) luaL_error(L, "the client was never opened");
    return self;
}

cpl_client *check_client(lua_State *L, int index) {
    lua_client *self = luaL_checkudata(L, index, CLIENT_CLASS);
    if (self->client == NULL) luaL_error(L, "the client was never opened");
    return self->client;
}

static int64_t field_ms(lua_State *L, const char *name) {
    double seconds = field_number(L, 1, name, 0);
    if (seconds < 0 || seconds > 1e9) luaL_error(L, "%s: out of range", name);
    return (int64_t)(seconds * 1000);
}

/* client{region=, profile=, access_key_id=, ...} -> client | nil, err. Times in seconds. */
static int client_new(lua_State *L) {
    static const char *const names[] = {
        "region",          "profile",   "access_key_id",    "secret_access_key", "session_token", "endpoint_url",
        "s3_endpoint_url", "ca_bundle", "user_agent_extra", "connect_timeout",   "read_timeout",  "total_timeout",
        "max_attempts",    NULL};
    cpl_client_options options = {0};
    cpl_error err;
    lua_client *self;
    check_options(L, 1, names);
    options.region = field_str(L, 1, "region");
    options.profile = field_str(L, 1, "profile");
    options.access_key_id = field_str(L, 1, "access_key_id");
    options.secret_access_key = field_str(L, 1, "secret_access_key");
    options.session_token = field_str(L, 1, "session_token");
    options.endpoint_url = field_str(L, 1, "endpoint_url");
    options.s3_endpoint_url = field_str(L, 1, "s3_endpoint_url");
    options.ca_bundle = field_str(L, 1, "ca_bundle");
    options.user_agent_extra = field_str(L, 1, "user_agent_extra");
    options.connect_timeout_ms = field_ms(L, "connect_timeout");
    options.read_timeout_ms = field_ms(L, "read_timeout");
    options.total_timeout_ms = field_ms(L, "total_timeout");
    options.max_attempts = (int)field_number(L, 1, "max_attempts", 0);
    self = lua_newuserdatauv(L, sizeof *self, 0);
    memset(self, 0, sizeof *self);
    luaL_setmetatable(L, CLIENT_CLASS);
    if (cpl_client_new(&self->client, &options, &err)) return push_failure(L, &err);
    return 1;
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

static int client_endpoint_url(lua_State *L) {
    lua_pushstring(L, cpl_client_endpoint_url(check_self(L)->client));
    return 1;
}

static void push_headers(lua_State *L, const cpl_reply *reply) {
    cpl_str name, value;
    lua_newtable(L);
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

static int call(lua_State *L, lua_client *self, cpl_str operation, int params) {
    lua_scratch *scratch = &self->scratch;
    cpl_call_options options = {.flags = CPL_CALL_EMPTY_TABLES | CPL_CALL_UNCHECKED};
    cpl_error err;
    cpl_status status;
    cpl_str text = {NULL, 0};
    lua_tick tick;
    scratch_clear(scratch);
    if (!lua_isnoneornil(L, params)) {
        cpl_writer *writer = scratch_writer(L, scratch);
        if (!lua_istable(L, params)) {
            return luaL_error(L, "%s takes a table of parameters, not a %s", operation.p, luaL_typename(L, params));
        }
        write_value(L, params, writer);
        if (cpl_writer_text(writer, &text, &err)) return push_failure(L, &err);
    }
    options.wait = tick_wait(&tick, L, 0);
    status = cpl_client_call(self->client, operation, text, &options, &scratch->reply, &err);
    tick_raise(&tick);
    if (status) return push_failure(L, &err);
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

/* client:call("ListPipelines" or "list_pipelines", {params}) -> answer | nil, err */
static int client_call(lua_State *L) {
    return call(L, check_self(L), check_str(L, 2), 3);
}

/* client:upload_file(path, bucket, key) -> true | nil, err */
static int client_upload_file(lua_State *L) {
    cpl_client *client = check_self(L)->client;
    cpl_str path = check_str(L, 2), bucket = check_str(L, 3), key = check_str(L, 4);
    lua_tick tick;
    cpl_wait wait = tick_wait(&tick, L, 0);
    cpl_error err;
    cpl_status status = cpl_client_upload(client, path, bucket, key, &wait, &err);
    tick_raise(&tick);
    return push_done(L, status, &err);
}

/* client:download_file(bucket, key, path) -> true | nil, err */
static int client_download_file(lua_State *L) {
    cpl_client *client = check_self(L)->client;
    cpl_str bucket = check_str(L, 2), key = check_str(L, 3), path = check_str(L, 4);
    lua_tick tick;
    cpl_wait wait = tick_wait(&tick, L, 0);
    cpl_error err;
    cpl_status status = cpl_client_download(client, bucket, key, path, &wait, &err);
    tick_raise(&tick);
    return push_done(L, status, &err);
}

/* A method made for one operation; its name is the upvalue. */
static int client_operation(lua_State *L) {
    return call(L, check_self(L), check_str(L, lua_upvalueindex(1)), 2);
}

/* Methods first, then the model's operations, each made on first use and kept. Upvalue: the methods. */
static int client_index(lua_State *L) {
    int operation;
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL || lua_type(L, 2) != LUA_TSTRING) return 1;
    operation = cpl_model_find_operation(check_str(L, 2));
    if (operation < 0) return 1;
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
    {"close", client_close},
    {"region", client_region},
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
}
