/* SPDX-License-Identifier: MIT */
/* The functions that look on while clients call; client:on() in init.lua makes a client's of those it was given. */
#include <string.h>

#include "module.h"

static void set_text(lua_State *L, const char *name, const char *text) {
    if (text == NULL || text[0] == '\0') return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void push_headers(lua_State *L, const cpl_call_event *event) {
    cpl_str name, value;
    lua_newtable(L);
    for (size_t i = 0; cpl_call_event_header(event, i, &name, &value); i++) {
        lua_pushlstring(L, name.p, name.n);
        lua_pushlstring(L, value.p ? value.p : "", value.n);
        lua_rawset(L, -3);
    }
}

static void push_event(lua_State *L, const cpl_call_event *event) {
    bool request = event->stage == CPL_CALL_REQUEST;
    lua_createtable(L, 0, 12);
    set_text(L, "stage", request ? "request" : "response");
    set_text(L, "operation", event->operation);
    set_text(L, "url", event->url);
    lua_pushinteger(L, event->attempt);
    lua_setfield(L, -2, "attempt");
    lua_pushlstring(L, event->text.p ? event->text.p : "", event->text.n);
    lua_setfield(L, -2, "text");
    push_headers(L, event);
    lua_setfield(L, -2, "headers");
    if (request) return;
    set_text(L, "status", cpl_status_name(event->status));
    lua_pushinteger(L, event->http_status);
    lua_setfield(L, -2, "http_status");
    lua_pushnumber(L, (lua_Number)event->duration_ms / 1000.0);
    lua_setfield(L, -2, "duration");
    set_text(L, "request_id", event->request_id);
    set_text(L, "code", event->code);
    set_text(L, "message", event->message);
}

/* Pushes the function that looks on at calls of a client (NULL: any); false, and nothing pushed, when there is none. */
static bool push_function_of(lua_State *L, int index, const cpl_client *client) {
    if (client && peek_client(L, index) != client) return false;
    if (lua_getiuservalue(L, index, 1) == LUA_TFUNCTION) return true;
    lua_pop(L, 1);
    return false;
}

/* The same for one of the clients at an index. */
static bool push_function(lua_State *L, int clients, const cpl_client *client) {
    if (!lua_istable(L, clients)) return push_function_of(L, clients, client);
    for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, clients); i++) {
        lua_rawgeti(L, clients, i);
        if (push_function_of(L, lua_gettop(L), client)) {
            lua_remove(L, -2);
            return true;
        }
        lua_pop(L, 1);
    }
    return false;
}

/* clients, event -> ; protected, because all of it may raise while the core waits below */
static int look(lua_State *L) {
    const cpl_call_event *event = lua_touserdata(L, 2);
    lua_settop(L, 1);
    if (!push_function(L, 1, event->client)) return 0;
    push_event(L, event);
    lua_call(L, 1, 0);
    return 0;
}

/* clients, what was raised -> ; protected too */
static int complain(lua_State *L) {
    if (lua_istable(L, 1) && lua_getfield(L, 1, "complain") == LUA_TFUNCTION) {
        lua_pushvalue(L, 2);
        lua_call(L, 1, 0);
        return 0;
    }
    lua_warning(L, "a function that looks on raised: ", 1);
    lua_warning(L, luaL_tolstring(L, 2, NULL), 0);
    return 0;
}

static int on_event(void *context, const cpl_call_event *event) {
    lua_turn *turn = context;
    lua_State *L = turn->tick.L;
    if (turn->tick.raised) return 1;
    lua_pushcfunction(L, look);
    lua_pushvalue(L, turn->clients);
    lua_pushlightuserdata(L, (void *)(uintptr_t)event);
    turn->tick.raised = lua_pcall(L, 2, 0, 0) != LUA_OK;
    if (turn->tick.raised && turn->manner == TURN_FIRMLY) {
        lua_pushcfunction(L, complain);
        lua_insert(L, -2);
        lua_pushvalue(L, turn->clients);
        lua_insert(L, -2);
        if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
        turn->tick.raised = false;
    }
    return turn->tick.raised;
}

void turn_begin(lua_State *L, lua_turn *turn, bool *busy, turn_manner manner, int64_t timeout_ms) {
    turn->wait = tick_wait(&turn->tick, L, timeout_ms);
    turn->observer = (cpl_observer){on_event, turn};
    turn->err = (cpl_error){0};
    turn->clients = lua_gettop(L);
    turn->manner = manner;
    turn->busy = busy;
    if (push_function(L, turn->clients, NULL)) {
        lua_pop(L, 1);
        turn->wait.observer = &turn->observer;
    }
    if (busy) *busy = true;
}

void turn_end(lua_turn *turn) {
    if (turn->busy) *turn->busy = false;
    tick_raise(&turn->tick);
}

void push_clients(lua_State *L, int client, int complain_at) {
    lua_createtable(L, 1, 1);
    lua_pushvalue(L, client);
    lua_rawseti(L, -2, 1);
    if (!lua_isfunction(L, complain_at)) return;
    lua_pushvalue(L, complain_at);
    lua_setfield(L, -2, "complain");
}
