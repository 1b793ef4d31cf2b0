/* SPDX-License-Identifier: MIT */
/* The function that looks on while a client calls; client:on() in init.lua makes it of those it was given. */
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

/* function, event -> ; protected, because all of it may raise while the core waits below */
static int look(lua_State *L) {
    const cpl_call_event *event = lua_touserdata(L, 2);
    lua_settop(L, 1);
    push_event(L, event);
    lua_call(L, 1, 0);
    return 0;
}

static int on_event(void *context, const cpl_call_event *event) {
    lua_watch *watch = context;
    lua_State *L = watch->tick->L;
    if (watch->tick->raised) return 1;
    lua_pushcfunction(L, look);
    lua_pushvalue(L, watch->function);
    lua_pushlightuserdata(L, (void *)(uintptr_t)event);
    watch->tick->raised = lua_pcall(L, 2, 0, 0) != LUA_OK;
    return watch->tick->raised;
}

const cpl_observer *watch_begin(lua_watch *watch, lua_State *L, lua_tick *tick) {
    if (lua_getiuservalue(L, 1, 1) != LUA_TFUNCTION) {
        lua_pop(L, 1);
        return NULL;
    }
    *watch = (lua_watch){{on_event, watch}, tick, lua_gettop(L)};
    return &watch->observer;
}
