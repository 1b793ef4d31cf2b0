/* SPDX-License-Identifier: MIT */
/*
 * What takes its time with a job: each is a method that waits, job:input_path(name), and the same is done on a thread
 * of the core by job:begin("input_path", name), job:over() and job:finish(). tasks.lua knows when which.
 */
#include <string.h>

#include "module.h"

typedef struct lua_request {
    const struct lua_work *what;
    cpl_str name, path, text, type;
    double after_s;
    cpl_result result;
    cpl_isolation how;
    const char *answer;
} lua_request;

typedef struct lua_work {
    const char *name;
    int last;                                                         /* index of the last argument */
    cpl_status (*read)(lua_State *L, lua_request *r, cpl_error *err); /* what it leaves on the stack lives as long */
    cpl_work work;
    bool answers; /* with a text, or false: there is none */
} lua_work;

/* ---- files ---- */

static cpl_status read_name(lua_State *L, lua_request *r, cpl_error *err) {
    (void)err;
    r->name = opt_str(L, 2);
    return CPL_OK;
}

static cpl_status read_input(lua_State *L, lua_request *r, cpl_error *err) {
    r->path = opt_str(L, 3);
    return read_name(L, r, err);
}

static cpl_status read_output(lua_State *L, lua_request *r, cpl_error *err) {
    r->path = check_str(L, 3);
    return read_name(L, r, err);
}

static cpl_status get_input_path(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err) {
    lua_request *r = request;
    return cpl_job_input_path(job, r->name, wait, &r->answer, err);
}

static cpl_status extract_input(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err) {
    lua_request *r = request;
    return cpl_job_input_extract(job, r->name, r->path, wait, &r->answer, err);
}

static cpl_status pack_output(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err) {
    const lua_request *r = request;
    return cpl_job_output_pack(job, r->name, r->path, wait, err);
}

/* Its path is the bytes. */
static cpl_status write_output(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err) {
    const lua_request *r = request;
    (void)wait;
    return cpl_job_output_write(job, r->name, r->path, err);
}

static cpl_status take_output_file(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err) {
    const lua_request *r = request;
    return cpl_job_output_file(job, r->name, r->path, wait, err);
}

/* ---- state and result ---- */

static cpl_status read_nothing(lua_State *L, lua_request *r, cpl_error *err) {
    (void)L, (void)r, (void)err;
    return CPL_OK;
}

static cpl_status get_state(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err) {
    lua_request *r = request;
    return cpl_job_state(job, wait, &r->answer, err);
}

static const char *const result_names[] = {"output_variables", "summary",  "external_execution_id",
                                           "percent_complete", "revision", "change_identifier",
                                           "revision_summary", NULL};

/* They are left on the stack as a Lua text: what has a finalizer could be gone before the job is. */
static cpl_status read_variables(lua_State *L, int index, cpl_str *out, cpl_error *err) {
    lua_scratch *scratch = scratch_new(L);
    cpl_status status;
    cpl_str text;
    write_value(L, index, scratch_writer(L, scratch));
    status = cpl_writer_text(scratch->writer, &text, err);
    if (status == CPL_OK) {
        out->p = lua_pushlstring(L, text.p, text.n);
        out->n = text.n;
    }
    scratch_clear(scratch);
    return status;
}

static cpl_status read_result(lua_State *L, int index, cpl_result *out, cpl_error *err) {
    if (lua_isnoneornil(L, index)) return CPL_OK;
    check_options(L, index, result_names);
    out->summary = field_str(L, index, "summary");
    out->external_execution_id = field_str(L, index, "external_execution_id");
    out->percent_complete = (int)field_number(L, index, "percent_complete", 0);
    out->revision = field_str(L, index, "revision");
    out->change_identifier = field_str(L, index, "change_identifier");
    out->revision_summary = field_str(L, index, "revision_summary");
    if (lua_getfield(L, index, "output_variables") == LUA_TNIL) return CPL_OK;
    luaL_checktype(L, -1, LUA_TTABLE);
    return read_variables(L, lua_gettop(L), &out->output_variables, err);
}

/* {result} */
static cpl_status read_success(lua_State *L, lua_request *r, cpl_error *err) {
    return read_result(L, 2, &r->result, err);
}

static cpl_status succeed(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err) {
    const lua_request *r = request;
    return cpl_job_succeed(job, &r->result, wait, err);
}

/* message, type, external_execution_id */
static cpl_status read_failure(lua_State *L, lua_request *r, cpl_error *err) {
    (void)err;
    r->text = check_str(L, 2);
    r->type = opt_str(L, 3);
    r->name = opt_str(L, 4);
    return CPL_OK;
}

static cpl_status fail(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err) {
    const lua_request *r = request;
    return cpl_job_fail(job, r->type, r->text, r->name, wait, err);
}

/* state as JSON text, seconds, {result} */
static cpl_status read_continuation(lua_State *L, lua_request *r, cpl_error *err) {
    r->text = check_str(L, 2);
    r->after_s = luaL_optnumber(L, 3, 0);
    return read_result(L, 4, &r->result, err);
}

static cpl_status later(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err) {
    const lua_request *r = request;
    return cpl_job_later(job, r->text, r->after_s, &r->result, wait, err);
}

/* ---- the handler's process ---- */

/* The list of texts in a field of the table at index, ended with NULL; kept alive by that table. */
static const char **field_texts(lua_State *L, int index, const char *name) {
    size_t count;
    const char **texts;
    if (lua_getfield(L, index, name) == LUA_TNIL) lua_newtable(L);
    luaL_checktype(L, -1, LUA_TTABLE);
    count = (size_t)luaL_len(L, -1);
    texts = lua_newuserdatauv(L, (count + 1) * sizeof *texts, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -2, (lua_Integer)i + 1);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, index, name); /* a number would become a text of its own */
        texts[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    texts[count] = NULL;
    return texts; /* the list and the userdata stay on the stack */
}

/* {command=, environ=, timeout=, memory=, file_size=, cpu=, open_files=} */
static cpl_status read_isolation(lua_State *L, lua_request *r, cpl_error *err) {
    static const char *const names[] = {"command",   "environ", "timeout",    "memory",
                                        "file_size", "cpu",     "open_files", NULL};
    cpl_isolation *how = &r->how;
    (void)err;
    luaL_checktype(L, 2, LUA_TTABLE);
    check_options(L, 2, names);
    how->timeout_ms = (int64_t)(field_number(L, 2, "timeout", 0) * 1000);
    how->memory = (int64_t)field_number(L, 2, "memory", 0);
    how->file_size = (int64_t)field_number(L, 2, "file_size", 0);
    how->cpu_s = (int64_t)field_number(L, 2, "cpu", 0);
    how->open_files = (int64_t)field_number(L, 2, "open_files", 0);
    how->command = field_texts(L, 2, "command");
    how->environ = field_texts(L, 2, "environ");
    return CPL_OK;
}

static cpl_status run_handler(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err) {
    lua_request *r = request;
    return cpl_job_run(job, &r->how, wait, &r->answer, err);
}

/* ---- all of them ---- */

static const lua_work works[] = {
    {"input_path", 2, read_name, get_input_path, true},
    {"input_extract", 3, read_input, extract_input, true},
    {"output_pack", 3, read_output, pack_output, false},
    {"output_write", 3, read_output, write_output, false},
    {"output_file", 3, read_output, take_output_file, false},
    {"state", 1, read_nothing, get_state, true},
    {"succeed", 2, read_success, succeed, false},
    {"fail", 4, read_failure, fail, false},
    {"later", 4, read_continuation, later, false},
    {"run", 2, read_isolation, run_handler, true},
};

/* Reads the arguments; pushes the request, and what else must live as long. */
static lua_request *read_request(lua_State *L, const lua_work *what, cpl_error *err) {
    lua_request *r;
    lua_settop(L, what->last);
    r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = (lua_request){.what = what};
    return what->read(L, r, err) == CPL_OK ? r : NULL;
}

static int push_end(lua_State *L, lua_request *r, cpl_status status, const cpl_error *err) {
    if (status != CPL_OK || !r->what->answers) return push_done(L, status, err);
    if (r->answer) {
        lua_pushstring(L, r->answer);
    } else {
        lua_pushboolean(L, false);
    }
    return 1;
}

/* job:input_path(name) -> path | nil, err; and so on */
static int job_work(lua_State *L) {
    const lua_work *what = lua_touserdata(L, lua_upvalueindex(1));
    cpl_job *job = check_job(L);
    lua_turn turn;
    cpl_status status;
    lua_request *r = read_request(L, what, &turn.err);
    if (r == NULL) return push_failure(L, &turn.err);
    begin_job_turn(L, &turn);
    status = what->work(job, r, &turn.wait, &turn.err);
    turn_end(&turn);
    return push_end(L, r, status, &turn.err);
}

static const lua_work *check_work(lua_State *L, int index) {
    const char *name = luaL_checkstring(L, index);
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        if (strcmp(name, works[i].name) == 0) return &works[i];
    }
    luaL_argerror(L, index, "no such work");
    return NULL;
}

/* job:begin(name, its arguments) -> true | nil, err */
static int job_begin(lua_State *L) {
    const lua_work *what = check_work(L, 2);
    lua_job *self = check_idle_job(L);
    cpl_job *job = check_job(L);
    cpl_error err;
    lua_request *r;
    cpl_status status;
    lua_remove(L, 2);
    r = read_request(L, what, &err);
    if (r == NULL) return push_failure(L, &err);
    lua_newtable(L);
    lua_insert(L, 2);
    for (int i = lua_gettop(L) - 2; i > 0; i--) lua_rawseti(L, 2, i);
    lua_setiuservalue(L, 1, 4);
    status = cpl_job_begin(job, what->work, r, &err);
    if (status == CPL_OK) self->under_way = r;
    return push_done(L, status, &err);
}

/* job:over() -> whether what was begun is; tells the function that hears of progress */
static int job_over(lua_State *L) {
    cpl_job *job = check_open_job(L);
    lua_turn turn;
    bool over = cpl_job_over(job); /* first: then nothing moves any more that is not told now */
    begin_job_turn(L, &turn);
    while (cpl_job_moved(job, &turn.tick.now) && tick_run(&turn.tick) == 0) continue;
    turn_end(&turn);
    lua_pushboolean(L, over);
    return 1;
}

/* job:finish(call_off) -> what the method answers; waits for that, or calls it off */
static int job_finish(lua_State *L) {
    cpl_job *job = check_open_job(L);
    lua_job *self = check_idle_job(L);
    lua_request *r = self->under_way;
    cpl_error err;
    cpl_status status;
    if (r == NULL) misuse(L, "nothing was begun");
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, 4); /* with the request */
    status = cpl_job_end(job, lua_toboolean(L, 2), &err);
    self->under_way = NULL;
    lua_pushnil(L);
    lua_setiuservalue(L, 1, 4);
    return push_end(L, r, status, &err);
}

void add_works(lua_State *L) {
    static const luaL_Reg methods[] = {{"begin", job_begin}, {"over", job_over}, {"finish", job_finish}, {NULL, NULL}};
    luaL_setfuncs(L, methods, 0);
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)&works[i]);
        lua_pushcclosure(L, job_work, 1);
        lua_setfield(L, -2, works[i].name);
    }
}
