/* SPDX-License-Identifier: MIT */
/*
 * Credentials that a function of the script gives: options credentials and mfa_code. They are asked on the thread of
 * the Lua state alone; a question from another one (a job's guard) is refused, and what they gave last serves as long
 * as it is valid. Functions run in a coroutine of their own, since the call that asks may be in any. Both stay until
 * the state is closed: workers and runs made from a client may outlive its userdata.
 */
#include <pthread.h>
#include <string.h>

#include "module.h"

typedef struct lua_source {
    lua_State *L; /* 1: credentials, 2: mfa_code; or nil */
    pthread_t owner;
    const char *serial; /* arguments and results of the question under way */
    cpl_keys *keys;
    char *code;
} lua_source;

static void copy_text(lua_State *L, const char *name, char *out, size_t size, bool required) {
    size_t n = 0;
    if (lua_getfield(L, -1, name) == LUA_TNIL && !required) {
        lua_pop(L, 1);
        return;
    }
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "%s: a string, not a %s", name, luaL_typename(L, -1));
    const char *text = lua_tolstring(L, -1, &n);
    if (n >= size || strlen(text) != n) luaL_error(L, "%s: too long, or with a NUL", name);
    memcpy(out, text, n + 1);
    lua_pop(L, 1);
}

/* source, function -> ; protected. The function answers a table, or nil and a message. */
static int read_keys(lua_State *L) {
    lua_source *source = lua_touserdata(L, 1);
    lua_call(L, 0, 2);
    if (lua_isnil(L, -2)) return luaL_error(L, "%s", luaL_tolstring(L, -1, NULL));
    lua_pop(L, 1);
    luaL_argexpected(L, lua_istable(L, -1), 1, "table of keys");
    copy_text(L, "access_key_id", source->keys->access_key_id, sizeof source->keys->access_key_id, true);
    copy_text(L, "secret_access_key", source->keys->secret_access_key, sizeof source->keys->secret_access_key, true);
    copy_text(L, "session_token", source->keys->session_token, sizeof source->keys->session_token, false);
    source->keys->expires_s = (int64_t)field_number(L, lua_gettop(L), "expires", 0);
    return 0;
}

static int read_code(lua_State *L) {
    lua_source *source = lua_touserdata(L, 1);
    size_t n = 0;
    lua_pushstring(L, source->serial);
    lua_call(L, 1, 2);
    if (lua_isnil(L, -2)) return luaL_error(L, "%s", luaL_tolstring(L, -1, NULL));
    const char *code = luaL_checklstring(L, -2, &n);
    if (n >= 16) return luaL_error(L, "longer than six digits");
    memcpy(source->code, code, n + 1);
    return 0;
}

static cpl_status refuse(cpl_error *err, const char *who, const char *why) {
    err->status = CPL_CREDENTIALS;
    snprintf(err->message, sizeof err->message, "%s: %s", who, why);
    return CPL_CREDENTIALS;
}

static cpl_status question(lua_source *source, lua_CFunction reader, int function, const char *who, cpl_error *err) {
    lua_State *L = source->L;
    if (!pthread_equal(pthread_self(), source->owner)) return refuse(err, who, "not to be asked by another thread");
    if (!lua_checkstack(L, 8)) return refuse(err, who, "out of memory");
    lua_pushcfunction(L, reader);
    lua_pushlightuserdata(L, source);
    lua_pushvalue(L, function);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) return CPL_OK;
    const char *text = lua_tostring(L, -1);
    cpl_status status = refuse(err, who, text ? text : "raised something that is no text");
    lua_settop(L, 2);
    return status;
}

static cpl_status ask_keys(void *context, cpl_keys *out, cpl_error *err) {
    lua_source *source = context;
    source->keys = out;
    return question(source, read_keys, 1, "the credentials provider", err);
}

static cpl_status ask_code(void *context, const char *serial, char out[16], cpl_error *err) {
    lua_source *source = context;
    source->serial = serial;
    source->code = out;
    return question(source, read_code, 2, "mfa_code", err);
}

static bool take_function(lua_State *L, int index, const char *name) {
    int type = lua_getfield(L, index, name);
    if (type != LUA_TNIL && type != LUA_TFUNCTION)
        luaL_error(L, "%s: a function, not a %s", name, luaL_typename(L, -1));
    return type == LUA_TFUNCTION;
}

void read_source(lua_State *L, int index, cpl_credentials_source *out) {
    bool keys = take_function(L, index, "credentials"), code = take_function(L, index, "mfa_code");
    if (keys || code) {
        lua_source *source = lua_newuserdatauv(L, sizeof *source, 1);
        memset(source, 0, sizeof *source);
        source->owner = pthread_self();
        source->L = lua_newthread(L);
        lua_pushvalue(L, -4);
        lua_pushvalue(L, -4);
        lua_xmove(L, source->L, 2);
        lua_setiuservalue(L, -2, 1);
        *out = (cpl_credentials_source){
            .keys = keys ? ask_keys : NULL, .mfa_code = code ? ask_code : NULL, .context = source};
        (void)luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_pop(L, 2);
}
