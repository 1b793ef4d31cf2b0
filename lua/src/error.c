/* SPDX-License-Identifier: MIT */
#include "module.h"

#define ERROR_CLASS "codepipeline.Error"

static void set_text(lua_State *L, const char *name, const char *text) {
    if (text[0] == '\0') return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, lua_Integer number) {
    if (number == 0) return;
    lua_pushinteger(L, number);
    lua_setfield(L, -2, name);
}

int push_failure(lua_State *L, const cpl_error *err) {
    lua_pushnil(L);
    lua_createtable(L, 0, 12);
    set_text(L, "status", cpl_status_name(err->status));
    set_text(L, "code", err->code);
    set_text(L, "message", err->message);
    set_text(L, "operation", err->operation);
    set_text(L, "request_id", err->request_id);
    set_text(L, "cloudfront_id", err->cloudfront_id);
    set_text(L, "extended_request_id", err->extended_id);
    set_text(L, "path", err->path);
    set_integer(L, "http_status", err->http_status);
    set_integer(L, "attempts", err->attempts);
    if (err->attempts > 0) { /* where something was sent, it counts that it did not wait */
        lua_pushnumber(L, (lua_Number)err->retry_delay_ms / 1000.0);
        lua_setfield(L, -2, "retry_delay");
    }
    lua_pushboolean(L, err->retryable);
    lua_setfield(L, -2, "retryable");
    lua_pushboolean(L, err->exhausted);
    lua_setfield(L, -2, "exhausted");
    lua_pushstring(L, cpl_failure_type(err));
    lua_setfield(L, -2, "failure_type");
    luaL_setmetatable(L, ERROR_CLASS);
    return 2;
}

int push_done(lua_State *L, cpl_status status, const cpl_error *err) {
    if (status) return push_failure(L, err);
    lua_pushboolean(L, 1);
    return 1;
}

/* "PipelineNotFoundException: no such pipeline (GetPipeline, request 1b2c)" */
static int error_tostring(lua_State *L) {
    luaL_Buffer b;
    const char *code, *operation, *request;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "code");
    lua_getfield(L, 1, "message");
    lua_getfield(L, 1, "operation");
    lua_getfield(L, 1, "request_id");
    code = lua_tostring(L, 2);
    operation = lua_tostring(L, 4);
    request = lua_tostring(L, 5);
    luaL_buffinit(L, &b);
    if (code) {
        luaL_addstring(&b, code);
        luaL_addstring(&b, ": ");
    }
    luaL_addstring(&b, luaL_optstring(L, 3, "unknown error"));
    if (operation || request) {
        luaL_addstring(&b, " (");
        luaL_addstring(&b, operation ? operation : "");
        luaL_addstring(&b, operation && request ? ", " : "");
        luaL_addstring(&b, request ? "request " : "");
        luaL_addstring(&b, request ? request : "");
        luaL_addchar(&b, ')');
    }
    luaL_pushresult(&b);
    return 1;
}

void open_errors(lua_State *L) {
    luaL_newmetatable(L, ERROR_CLASS);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, ERROR_CLASS);
    lua_setfield(L, -2, "__name");
    lua_pop(L, 1);
}
