/* SPDX-License-Identifier: MIT */
/* Events of Lambda as the core has them; their friendly face is codepipeline/event.lua. */
#include "module.h"

#define EVENT_CLASS "codepipeline.core.Event"

/* An event that dies with its userdata, whatever raises in between. */
static cpl_job_event **new_event(lua_State *L) {
    cpl_job_event **event = lua_newuserdatauv(L, sizeof(cpl_job_event *), 0);
    *event = NULL;
    luaL_setmetatable(L, EVENT_CLASS);
    return event;
}

static int event_close(lua_State *L) {
    cpl_job_event **self = luaL_checkudata(L, 1, EVENT_CLASS);
    cpl_job_event *event = *self;
    *self = NULL;
    cpl_job_event_free(event);
    return 0;
}

/* read_event(text) -> the job in it | nil, err */
static int event_read(lua_State *L) {
    cpl_str text = check_str(L, 1);
    cpl_job_event **event = new_event(L);
    lua_scratch *scratch = scratch_new(L);
    cpl_error err;
    if (cpl_job_event_read(event, text, &err)) return push_failure(L, &err);
    cpl_job_event_data(*event, &scratch->cursor);
    return push_read(L, scratch);
}

/* refuse_event(client, text, why, complain) -> the job's id, or false | nil, err; complain as for a worker */
static int event_refuse(lua_State *L) {
    cpl_client *client = check_client(L, 1);
    cpl_str text = check_str(L, 2), why = check_str(L, 3);
    char id[CPL_JOB_ID_SIZE];
    lua_turn turn;
    lua_settop(L, 4);
    push_clients(L, 1, 4);
    turn_begin(L, &turn, NULL, TURN_FIRMLY, 0);
    cpl_status status = cpl_job_event_refuse(client, text, why, id, &turn.wait, &turn.err);
    turn_end(&turn);
    if (status && id[0]) return push_failure(L, &turn.err);
    if (id[0]) {
        lua_pushstring(L, id);
    } else {
        lua_pushboolean(L, false);
    }
    return 1;
}

/* sample_event{id=, account_id=, ...} -> JSON text | nil, err */
static int event_sample(lua_State *L) {
    static const char *const names[] = {
        "id",        "account_id",    "function_name", "user_parameters",    "input_bucket",
        "input_key", "output_bucket", "output_key",    "continuation_token", "encryption_key",
        NULL};
    cpl_job_event_options options;
    cpl_job_event **event;
    cpl_error err;
    cpl_str text;
    check_options(L, 1, names);
    options = (cpl_job_event_options){
        .id = field_str(L, 1, "id"),
        .account_id = field_str(L, 1, "account_id"),
        .function_name = field_str(L, 1, "function_name"),
        .user_parameters = field_str(L, 1, "user_parameters"),
        .input_bucket = field_str(L, 1, "input_bucket"),
        .input_key = field_str(L, 1, "input_key"),
        .output_bucket = field_str(L, 1, "output_bucket"),
        .output_key = field_str(L, 1, "output_key"),
        .continuation_token = field_str(L, 1, "continuation_token"),
        .encryption_key = field_str(L, 1, "encryption_key"),
    };
    event = new_event(L);
    if (cpl_job_event_sample(event, &options, &err)) return push_failure(L, &err);
    text = cpl_job_event_text(*event);
    lua_pushlstring(L, text.p, text.n);
    return 1;
}

/* job_from_event(client, text, {work_dir=, artifact_limit=}, complain) -> job | nil, err; complain as for a worker */
static int event_job(lua_State *L) {
    static const char *const names[] = {"work_dir", "artifact_limit", NULL};
    cpl_client *client = check_client(L, 1);
    cpl_str text = check_str(L, 2);
    cpl_worker_options options = {0};
    cpl_error err;
    cpl_job **job;
    lua_settop(L, 4);
    check_options(L, 3, names);
    options.work_dir = field_str(L, 3, "work_dir");
    options.artifact_limit = (size_t)field_number(L, 3, "artifact_limit", 0);
    push_clients(L, 1, 4);
    job = new_job(L);
    if (cpl_job_from_event(job, client, text, &options, &err)) return push_failure(L, &err);
    return 1;
}

/* event_main{"--account-id", "1"} -> exit status */
static int event_main(lua_State *L) {
    return run_command(L, "codepipeline-event", cpl_job_event_main);
}

void open_event(lua_State *L) {
    static const luaL_Reg none[] = {{NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"read_event", event_read},    {"refuse_event", event_refuse}, {"sample_event", event_sample},
        {"job_from_event", event_job}, {"event_main", event_main},     {NULL, NULL},
    };
    new_class(L, EVENT_CLASS, none, event_close);
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
