/* SPDX-License-Identifier: MIT */
/*
 * A C program with a job worker inside, written in Lua, that can be changed while it runs.
 *
 *     cc -O2 host.c -o host $(pkg-config --cflags --libs lua5.4)
 *     ./host worker.lua        SIGHUP: read worker.lua again; SIGTERM or Ctrl-C: end
 *
 * The script answers its worker, and the program asks it for one job after the other: between two jobs it can do
 * whatever else it is for. A job under way is finished by the script that began it. A new script that does not load
 * changes nothing; its error is told, and the one before goes on.
 */
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t reload, quit;

static void on_signal(int number) {
    if (number == SIGHUP) {
        reload = 1;
    } else {
        quit = 1;
    }
}

static void told(lua_State *L, const char *what) {
    fprintf(stderr, "host: %s: %s\n", what, luaL_tolstring(L, -1, NULL));
    lua_pop(L, 2);
}

/* A state in which the script has run, with its worker on top; NULL after telling why there is none. */
static lua_State *load(const char *script) {
    lua_State *L = luaL_newstate();
    if (L == NULL) return NULL;
    luaL_openlibs(L);
    if (luaL_dofile(L, script) == LUA_OK && lua_getfield(L, -1, "step") == LUA_TFUNCTION) {
        lua_pop(L, 1);
        return L;
    }
    told(L, script);
    lua_close(L);
    return NULL;
}

/* Calls worker:method(argument); false after telling what it raised. */
static int call(lua_State *L, const char *method, lua_Number argument) {
    lua_getfield(L, -1, method);
    lua_pushvalue(L, -2);
    lua_pushnumber(L, argument);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) return 1;
    told(L, method);
    return 0;
}

static void unload(lua_State *L) {
    if (L == NULL) return;
    call(L, "close", 0);
    lua_close(L);
}

/* Whether the script can be compiled; one that cannot must not end the worker that runs. */
static int sound(const char *script) {
    lua_State *L = luaL_newstate();
    int good = L != NULL && luaL_loadfile(L, script) == LUA_OK;
    if (L && !good) told(L, script);
    if (L) lua_close(L);
    return good;
}

int main(int argc, char **argv) {
    lua_State *L = argc == 2 ? load(argv[1]) : NULL;
    if (L == NULL) {
        if (argc != 2) fprintf(stderr, "usage: host SCRIPT\n");
        return 1;
    }
    signal(SIGHUP, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    while (!quit && call(L, "step", 0.2)) {
        if (reload && (reload = 0, sound(argv[1]))) {
            unload(L); /* first: a journal is for one worker at a time */
            L = load(argv[1]);
            if (L == NULL) return 1;
            fprintf(stderr, "host: %s loaded again\n", argv[1]);
        }
    }
    unload(L);
    return quit ? 0 : 1;
}
