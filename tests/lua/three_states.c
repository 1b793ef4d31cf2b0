/* SPDX-License-Identifier: MIT */
/* A host with three Lua states, each on a thread of its own, that run the script argv[1] at the same time. */
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>

static void *run(void *script) {
    lua_State *L = luaL_newstate();
    const char *failed = NULL;
    if (L == NULL) return "no memory";
    luaL_openlibs(L);
    if (luaL_dofile(L, script) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        failed = "failed";
    }
    lua_close(L);
    return (void *)failed;
}

int main(int argc, char **argv) {
    pthread_t threads[3];
    int started = 0, failures = argc != 2;
    while (!failures && started < 3) {
        if (pthread_create(&threads[started], NULL, run, argv[1]) != 0) break;
        started++;
    }
    for (int i = 0; i < started; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        failures += failed != NULL;
    }
    return failures || started < 3;
}
