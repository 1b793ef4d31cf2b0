/* SPDX-License-Identifier: MIT */
/* core.queue(client): calls under way together, moved while the program is in queue:next(). */
#include <string.h>

#include "module.h"

#define QUEUE_CLASS "codepipeline.Queue"

typedef struct lua_queue {
    cpl_queue *queue; /* NULL until made, and after __gc */
    lua_scratch scratch;
    cpl_observer relay;           /* what the core calls for every call of this queue */
    const cpl_observer *observer; /* of the next() under way: who looks on, if anybody does */
    bool busy;
    cpl_done done; /* id 0: none; one that ended while something raised stays for the next next() */
} lua_queue;

static lua_queue *check_self(lua_State *L, int index) {
    lua_queue *self = luaL_checkudata(L, index, QUEUE_CLASS);
    if (self->queue == NULL) misuse(L, "the queue was never opened");
    return self;
}

static int relay(void *context, const cpl_call_event *event) {
    const cpl_observer *observer = ((lua_queue *)context)->observer;
    return observer ? observer->event(observer->context, event) : 0;
}

/* queue(client) -> queue | nil, err; its value is the client, which thereby outlives it */
static int queue_new(lua_State *L) {
    cpl_client *client = check_client(L, 1);
    cpl_error err;
    lua_queue *self = lua_newuserdatauv(L, sizeof *self, 1);
    memset(self, 0, sizeof *self);
    luaL_setmetatable(L, QUEUE_CLASS);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    self->relay = (cpl_observer){relay, self};
    if (cpl_queue_new(&self->queue, client, 0, &err)) return push_failure(L, &err);
    return 1;
}

static int queue_gc(lua_State *L) {
    lua_queue *self = luaL_checkudata(L, 1, QUEUE_CLASS);
    cpl_queue *queue = self->queue;
    self->queue = NULL;
    scratch_clear(&self->scratch);
    cpl_reply_free(self->done.reply);
    self->done = (cpl_done){0};
    cpl_queue_free(queue);
    return 0;
}

/* queue:submit(operation, params) -> id | nil, err */
static int queue_submit(lua_State *L) {
    lua_queue *self = check_self(L, 1);
    cpl_str operation = check_str(L, 2), text;
    cpl_call_options options = {.flags = CPL_CALL_EMPTY_TABLES | CPL_CALL_UNCHECKED,
                                .wait = {.observer = &self->relay}};
    uint64_t id = 0;
    cpl_error err;
    cpl_status status = check_params(L, &self->scratch, 3, &text, &err);
    if (status == CPL_OK) status = cpl_queue_submit(self->queue, operation, text, &options, &id, &err);
    scratch_clear(&self->scratch);
    if (status) return push_failure(L, &err);
    lua_pushinteger(L, (lua_Integer)id);
    return 1;
}

/* id, and what became of it: answer | nil, err */
static int push_done_call(lua_State *L, lua_queue *self) {
    cpl_done done = self->done;
    self->done = (cpl_done){0};
    scratch_clear(&self->scratch);
    self->scratch.reply = done.reply;
    lua_pushinteger(L, (lua_Integer)done.id);
    return 1 + (done.status ? push_failure(L, &done.err) : push_answer(L, &self->scratch));
}

/*
 * queue:next(seconds, complain) -> id, answer | id, nil, err | nothing, when none ended in that time | nil, err. With
 * complain, what looks on and raises does not stop its call, and that is told of it.
 */
static int queue_next(lua_State *L) {
    lua_queue *self = check_self(L, 1);
    lua_Number seconds = luaL_checknumber(L, 2);
    bool firmly = lua_isfunction(L, 3);
    lua_turn turn;
    luaL_argcheck(L, seconds >= 0 && seconds < 1e9, 2, "a number of seconds");
    if (self->busy) return luaL_error(L, "calls cannot be waited for by a function that looks on");
    if (self->done.id) return push_done_call(L, self);
    lua_settop(L, 3);
    lua_getiuservalue(L, 1, 1);
    if (firmly) push_clients(L, 4, 3);
    turn_begin(L, &turn, &self->busy, firmly ? TURN_FIRMLY : TURN_OPENLY,
               seconds < 0.001 ? 1 : (int64_t)(seconds * 1000));
    self->observer = turn.wait.observer;
    cpl_status status = cpl_queue_next(self->queue, &turn.wait, &self->done, &turn.err);
    self->observer = NULL;
    turn_end(&turn);
    if (status) return push_failure(L, &turn.err);
    return self->done.id ? push_done_call(L, self) : 0;
}

/* queue:cancel(id) -> whether it had not ended yet */
static int queue_cancel(lua_State *L) {
    lua_queue *self = check_self(L, 1);
    lua_pushboolean(L, cpl_queue_cancel(self->queue, (uint64_t)luaL_checkinteger(L, 2)));
    return 1;
}

void open_queue(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"submit", queue_submit},
        {"next", queue_next},
        {"cancel", queue_cancel},
        {NULL, NULL},
    };
    new_class(L, QUEUE_CLASS, methods, queue_gc);
    lua_pop(L, 1);
    lua_pushcfunction(L, queue_new);
    lua_setfield(L, -2, "queue");
}
