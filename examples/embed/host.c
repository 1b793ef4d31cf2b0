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

typedef struct script {
    char name[256]; /* as Lua tells it in errors */
    char text[1 << 18];
    size_t length;
} script;

static script running, fresh;
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

static int read_script(const char *path, script *out) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 0;
    }
    snprintf(out->name, sizeof out->name, "@%s", path);
    out->length = fread(out->text, 1, sizeof out->text, file);
    fclose(file);
    return 1;
}

/* Leaves the script's function on the stack; false after telling why it cannot. */
static int compile(lua_State *L, const script *script) {
    if (luaL_loadbuffer(L, script->text, script->length, script->name) == LUA_OK) return 1;
    told(L, "the script");
    return 0;
}

/* Runs it, which leaves its worker on the stack. */
static int run(lua_State *L) {
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
        told(L, "the script");
    } else if (!lua_istable(L, -1) || lua_getfield(L, -1, "step") != LUA_TFUNCTION) {
        fprintf(stderr, "host: the script answers no worker\n");
    } else {
        lua_pop(L, 1);
        return 1;
    }
    return 0;
}

/* A state in which the script has run, with its worker on top; NULL after telling why there is none. */
static lua_State *load(const script *script) {
    lua_State *L = luaL_newstate();
    if (L == NULL) return NULL;
    luaL_openlibs(L);
    if (compile(L, script) && run(L)) return L;
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

/* Whether the script can be compiled; one that cannot need not disturb the worker that runs. */
static int sound(const script *script) {
    lua_State *L = luaL_newstate();
    int good = L != NULL && compile(L, script);
    if (L) lua_close(L);
    return good;
}

/* The state of the fresh script in the place of L, or else of the one that ran. */
static lua_State *change(lua_State *L) {
    unload(L); /* first: a journal is for one worker at a time */
    L = load(&fresh);
    if (L == NULL) return load(&running);
    running = fresh;
    fprintf(stderr, "host: %s loaded again\n", running.name + 1);
    return L;
}

int main(int argc, char **argv) {
    lua_State *L;
    if (argc != 2) {
        fprintf(stderr, "usage: host SCRIPT\n");
        return 1;
    }
    L = read_script(argv[1], &running) ? load(&running) : NULL;
    if (L == NULL) return 1;
    signal(SIGHUP, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    while (!quit && call(L, "step", 0.2)) {
        if (!reload) continue;
        reload = 0;
        if (read_script(argv[1], &fresh) && sound(&fresh)) L = change(L);
        if (L == NULL) return 1;
    }
    unload(L);
    return quit ? 0 : 1;
}
