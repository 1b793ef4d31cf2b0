/* SPDX-License-Identifier: MIT */
/* An emulator's events as the core has them; the iterator is init.lua's. */
#include "module.h"

#define FEED_CLASS "codepipeline.core.Feed"

typedef struct lua_feed {
    cpl_feed *feed;
} lua_feed;

cpl_feed **new_feed(lua_State *L) {
    lua_feed *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->feed = NULL;
    luaL_setmetatable(L, FEED_CLASS);
    return &self->feed;
}

static int feed_close(lua_State *L) {
    lua_feed *self = luaL_checkudata(L, 1, FEED_CLASS);
    cpl_feed *feed = self->feed;
    self->feed = NULL;
    cpl_feed_free(feed);
    return 0;
}

/* feed:next(seconds; 0: what is there now; nil: no limit) -> event | false (none came) | nil, err */
static int feed_next(lua_State *L) {
    lua_feed *self = luaL_checkudata(L, 1, FEED_CLASS);
    double seconds = luaL_optnumber(L, 2, -1);
    lua_scratch *scratch = scratch_new(L);
    lua_tick tick;
    cpl_wait wait = tick_wait(&tick, L, 0);
    cpl_str text;
    cpl_error err;
    cpl_status status;
    luaL_argcheck(L, lua_isnoneornil(L, 2) || (seconds >= 0 && seconds < 1e9), 2, "not a duration in seconds");
    if (self->feed == NULL) return misuse(L, "the events are closed");
    if (seconds > 0) wait.timeout_ms = seconds < 0.001 ? 1 : (int64_t)(seconds * 1000);
    status = cpl_feed_next(self->feed, seconds == 0 ? NULL : &wait, &text, &err);
    tick_raise(&tick);
    if (status == CPL_TIMEOUT || status == CPL_STATE) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (status) return push_failure(L, &err);
    cpl_cursor_init(&scratch->cursor, text);
    return push_read(L, scratch);
}

static const luaL_Reg methods[] = {{"next", feed_next}, {"close", feed_close}, {NULL, NULL}};

void open_feed(lua_State *L) {
    new_class(L, FEED_CLASS, methods, feed_close);
    lua_pop(L, 1);
}
