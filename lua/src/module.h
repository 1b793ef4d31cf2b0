/* SPDX-License-Identifier: MIT */
/*
 * The Lua 5.4 binding: arguments, handles, results and errors cross here, and nothing else happens.
 *
 * A Lua API call may longjmp, so: a handle is a userdata made empty first and filled by the core afterwards; everything
 * the core allocates hangs on such a userdata before the next Lua call; __gc and __close are one function that may run
 * twice. Misuse raises; what goes wrong in the world is `nil, err` (push_failure).
 */
#ifndef CPL_LUA_MODULE_H
#define CPL_LUA_MODULE_H

#include <lauxlib.h>
#include <lua.h>

#include "../../core/codepipeline.h"

/* Ctrl-C: the interpreter's handler only sets a hook, which runs with the next Lua call. So the tick makes one. */
typedef struct lua_tick {
    lua_State *L;
    bool raised; /* an error value is on top of the stack, to be raised once the core has returned */
    int hook;    /* index of a function that hears how far a transfer is; 0: none */
    cpl_progress now, told;
} lua_tick;
int tick_run(void *context);
cpl_wait tick_wait(lua_tick *tick, lua_State *L, int64_t timeout_ms);
/*
 * The same without a limit; the function at index hook, if it is one, is called with (done, total), before them the
 * artifact's name where there is one. total is nil until it is known.
 */
cpl_wait tick_watch(lua_tick *tick, lua_State *L, int hook);
void tick_follow(lua_tick *tick, cpl_wait *wait, int hook); /* the same for a wait there is already */
/* Raises what the tick caught; call it right after the core has returned. */
void tick_raise(lua_tick *tick);

/*
 * observe.c: one call of the core that asks the service, with the functions that look on. Use:
 *     push the clients that are asked through: one, or a list as push_clients() makes it; they stay until the end
 *     turn_begin(L, &turn, &self->busy, TURN_OPENLY, timeout_ms);
 *     status = cpl_...(..., &turn.wait, &turn.err);
 *     turn_end(&turn); raises what the tick caught, or a function that looks on
 */
typedef enum turn_manner { TURN_OPENLY, TURN_FIRMLY } turn_manner; /* firmly: what looks on cannot stop it */
typedef struct lua_turn {
    lua_tick tick;
    cpl_observer observer; /* wait.observer, if there is somebody */
    cpl_wait wait;
    cpl_error err;
    int clients; /* index */
    turn_manner manner;
    bool *busy;
} lua_turn;
/* busy: set until turn_end(), so that an object can refuse to be used by a function that looks on; or NULL. */
void turn_begin(lua_State *L, lua_turn *turn, bool *busy, turn_manner manner, int64_t timeout_ms);
void turn_end(lua_turn *turn);
/* Pushes a list of the client at an index; the function at complain, if it is one, is told of what looks on badly. */
void push_clients(lua_State *L, int client, int complain);

/* error.c: pushes nil and the error table; returns 2, so that a function can return it. */
int push_failure(lua_State *L, const cpl_error *err);
/* The same, or true when status is CPL_OK. */
int push_done(lua_State *L, cpl_status status, const cpl_error *err);
void open_errors(lua_State *L);

/* convert.c */
void write_value(lua_State *L, int index, cpl_writer *writer); /* raises on what JSON cannot hold, with the path */
/* The whole document under a cursor that was just made; false, with nothing pushed, if it is not JSON. */
bool try_document(lua_State *L, cpl_cursor *cursor);
/* The same; raises if it is not JSON. */
void push_document(lua_State *L, cpl_cursor *cursor);
cpl_str check_str(lua_State *L, int index);
cpl_str opt_str(lua_State *L, int index); /* nil or none gives the absent view */
/* Members of the options table at index; the views live as long as the table. */
cpl_str field_str(lua_State *L, int index, const char *name);
double field_number(lua_State *L, int index, const char *name, double fallback);
int field_count(lua_State *L, int index, const char *name, int fallback); /* raises unless it is an integer from 1 on */
/* Raises when the table at index (or nil) has a key that is not among names (ended by NULL). */
void check_options(lua_State *L, int index, const char *const *names);

/* Raises a text, with the place outside this package's own files that is to blame; returns never. */
int misuse(lua_State *L, const char *format, ...);

/* A scratch pair that dies with its userdata, whatever raises in between. */
typedef struct lua_scratch {
    cpl_writer *writer;
    cpl_reply *reply;
    cpl_cursor cursor;
    bool cursor_used;
} lua_scratch;
lua_scratch *scratch_new(lua_State *L); /* pushes it */
void scratch_clear(lua_scratch *scratch);
/* Pushes the document at the beginning of which scratch->cursor stands, and clears it. Answers 1. */
int push_read(lua_State *L, lua_scratch *scratch);
cpl_writer *scratch_writer(lua_State *L, lua_scratch *scratch); /* empty; raises when out of memory */

/* client.c, worker.c, run.c and so on: each adds its functions to the module table on top of the stack. */
void open_scratch(lua_State *L);
void open_client(lua_State *L);
void open_worker(lua_State *L);
void open_job(lua_State *L);
void open_run(lua_State *L);
void open_emulator(lua_State *L);
void open_event(lua_State *L);
void open_runtime(lua_State *L);
void open_queue(lua_State *L);
void open_feed(lua_State *L);
void open_stub(lua_State *L);
cpl_feed **new_feed(lua_State *L); /* pushes a feed that is still empty */
/* source.c: the functions credentials and mfa_code of the options table at index, if there are any. */
void read_source(lua_State *L, int index, cpl_credentials_source *out);
cpl_client *check_client(lua_State *L, int index);
const cpl_client *peek_client(lua_State *L, int index); /* NULL: it is none, or closed by the collector */
/* Pushes a view of the client at an index, whose observer it has. Answers 1; or 2: nil and err. */
int push_view(lua_State *L, int client, const cpl_client_options *overrides);
/* The table of parameters at an index, or none, as text that scratch keeps; raises on what JSON cannot hold. */
cpl_status check_params(lua_State *L, lua_scratch *scratch, int params, cpl_str *text, cpl_error *err);
/* The reply in scratch, which is cleared: answer | nil, err. */
int push_answer(lua_State *L, lua_scratch *scratch);
cpl_job **new_job(lua_State *L); /* pushes a job that is still empty, of the clients on top of the stack */
/* Runs a command of the core with the arguments in the table at 1; pushes its exit status, returns 1. */
int run_command(lua_State *L, const char *name, int (*command)(int, char **));

/*
 * job.c, work.c: a job. Its values: the list of clients; the function that hears of progress; the worker, which it
 * keeps; what the work needs that is under way.
 */
typedef struct lua_job {
    cpl_job *job;
    bool busy;
    struct lua_request *under_way; /* NULL: nothing is, on a thread of the core; the job is that thread's */
} lua_job;

cpl_job *check_open_job(lua_State *L); /* for what may be asked at any time */
lua_job *check_idle_job(lua_State *L); /* nobody may use it who looks on while it asks */
cpl_job *check_job(lua_State *L);
/* A call of the job at index 1, which check_job() has seen; pushes the function that hears of its progress first. */
void begin_job_turn(lua_State *L, lua_turn *turn);
/* work.c: to the methods on top of the stack, what takes its time, begin(), over() and finish(). */
void add_works(lua_State *L);

/* A metatable with methods behind __index, and finalizer as __gc and __close. Leaves the methods table on the stack. */
void new_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction finalizer);

#endif
