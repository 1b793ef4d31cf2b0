/* SPDX-License-Identifier: MIT */
/* Answers in the service's place, in tests; testing.lua has what people see of them. */
#include "module.h"

#define STUB_CLASS "codepipeline.core.Stub"

typedef struct lua_stub {
    cpl_stub *stub; /* NULL until made, and after __gc */
} lua_stub;

static cpl_stub *check_stub(lua_State *L) {
    lua_stub *self = luaL_checkudata(L, 1, STUB_CLASS);
    if (self->stub == NULL) misuse(L, "the stub was never made, or is gone");
    return self->stub;
}

static int stub_gc(lua_State *L) {
    lua_stub *self = luaL_checkudata(L, 1, STUB_CLASS);
    cpl_stub *stub = self->stub;
    self->stub = NULL;
    cpl_stub_free(stub);
    return 0;
}

/* stub(client) -> stub, a view of the client that it answers | nil, err */
static int stub_new(lua_State *L) {
    cpl_client_options options = {0};
    check_client(L, 1);
    lua_stub *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->stub = NULL;
    luaL_setmetatable(L, STUB_CLASS);
    self->stub = options.stub = cpl_stub_new();
    if (self->stub == NULL) return luaL_error(L, "out of memory");
    push_view(L, 1, &options); /* the view, or nil and err */
    return 2;
}

/* stub:add(operation, http_status; 0: 200, answer, expected | nil) -> true | nil, err */
static int stub_add(lua_State *L) {
    cpl_stub *stub = check_stub(L);
    cpl_str operation = check_str(L, 2);
    cpl_stub_answer answer = {.http_status = (int)luaL_checkinteger(L, 3), .flags = CPL_CALL_EMPTY_TABLES};
    cpl_error err;
    cpl_status status;
    lua_settop(L, 5);
    status = check_params(L, scratch_new(L), 4, &answer.document, &err);
    if (status == CPL_OK) status = check_params(L, scratch_new(L), 5, &answer.expected, &err);
    if (status == CPL_OK) status = cpl_stub_add(stub, operation, &answer, &err);
    return push_done(L, status, &err);
}

static int stub_pending(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)cpl_stub_pending(check_stub(L)));
    return 1;
}

static const luaL_Reg methods[] = {{"add", stub_add}, {"pending", stub_pending}, {NULL, NULL}};

void open_stub(lua_State *L) {
    new_class(L, STUB_CLASS, methods, stub_gc);
    lua_pop(L, 1);
    lua_pushcfunction(L, stub_new);
    lua_setfield(L, -2, "stub");
}
