/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include "module.h"

#define SCRATCH_CLASS "codepipeline.scratch"
#define HOME "codepipeline.home"

/* ---- Lua to JSON ---- */

/* Where in the value we are, for messages; lives on the C stack, one link a level. */
typedef struct place {
    const struct place *up;
    const char *key; /* NULL: index */
    lua_Integer index;
} place;

static void add_place(luaL_Buffer *b, const place *at) {
    char number[40];
    if (at->up == NULL) return;
    add_place(b, at->up);
    if (at->key) {
        if (at->up->up) luaL_addchar(b, '.');
        luaL_addstring(b, at->key);
    } else {
        snprintf(number, sizeof number, "[%lld]", (long long)at->index - 1); /* as the service counts */
        luaL_addstring(b, number);
    }
}

static int refuse(lua_State *L, const place *at, const char *what) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    add_place(&b, at);
    if (at->up) luaL_addstring(&b, ": ");
    luaL_addstring(&b, what);
    luaL_pushresult(&b);
    return luaL_error(L, "%s", lua_tostring(L, -1));
}

static void write_at(lua_State *L, int index, cpl_writer *writer, const place *at, int depth);

static void write_array(lua_State *L, int index, cpl_writer *writer, const place *at, int depth) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, index), seen = 0;
    cpl_write_array(writer);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        lua_Integer i = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
        if (i < 1 || i > n) refuse(L, at, "a table with both a list and names, or with holes");
        seen++;
    }
    if (seen != n) refuse(L, at, "a list with holes");
    for (lua_Integer i = 1; i <= n; i++) {
        place item = {at, NULL, i};
        lua_rawgeti(L, index, i);
        write_at(L, lua_gettop(L), writer, &item, depth + 1);
        lua_pop(L, 1);
    }
    cpl_write_end(writer);
}

static void write_object(lua_State *L, int index, cpl_writer *writer, const place *at, int depth) {
    cpl_write_object(writer);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        place member = {at, NULL, 0};
        if (lua_type(L, -2) != LUA_TSTRING) refuse(L, at, "a table with both a list and names, or with holes");
        member.key = lua_tostring(L, -2); /* the key stays on the stack while the value is written */
        cpl_write_key(writer, check_str(L, lua_gettop(L) - 1));
        write_at(L, lua_gettop(L), writer, &member, depth + 1);
    }
    cpl_write_end(writer);
}

static void write_at(lua_State *L, int index, cpl_writer *writer, const place *at, int depth) {
    if (depth > CPL_JSON_DEPTH_MAX) refuse(L, at, "more than 64 levels (does a table hold itself?)");
    luaL_checkstack(L, 4, "the value is too deep");
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: cpl_write_bool(writer, lua_toboolean(L, index)); break;
    case LUA_TSTRING: cpl_write_string(writer, check_str(L, index)); break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            cpl_write_integer(writer, lua_tointeger(L, index));
        } else {
            cpl_write_number(writer, lua_tonumber(L, index));
        }
        break;
    case LUA_TTABLE:
        if (lua_rawlen(L, index) > 0) {
            write_array(L, index, writer, at, depth);
        } else {
            write_object(L, index, writer, at, depth);
        }
        break;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) == NULL) {
            cpl_write_null(writer);
            break;
        }
        /* fall through */
    default: lua_pushfstring(L, "a %s cannot be sent", luaL_typename(L, index)); refuse(L, at, lua_tostring(L, -1));
    }
}

void write_value(lua_State *L, int index, cpl_writer *writer) {
    place top = {NULL, NULL, 0};
    write_at(L, lua_absindex(L, index), writer, &top, 0);
}

/* ---- JSON to Lua ---- */

/* How many entries the last list and the last object had: the next one is made as large, and need not grow. */
typedef struct room {
    uint8_t items, members;
} room;

typedef struct source {
    lua_State *L;
    cpl_cursor *cursor;
    int names;   /* index of a table: the model's member names as strings, each made when first met */
    room *rooms; /* for each of these names, and before them for all others */
} source;

static uint8_t least(lua_Integer n) {
    return n < UINT8_MAX ? (uint8_t)n : UINT8_MAX;
}

static bool push_value(const source *from, room *own);

static bool push_array(const source *from, room *own) {
    lua_Integer n = 0;
    lua_createtable(from->L, own->items, 0);
    while (cpl_cursor_next(from->cursor) != CPL_TOKEN_ARRAY_END) {
        if (!push_value(from, own)) return false;
        lua_rawseti(from->L, -2, ++n);
    }
    own->items = least(n);
    return true;
}

/* Lua keeps one copy of a short string, and has to look for it among all others each time; an index is faster. */
static void push_key(const source *from) {
    lua_State *L = from->L;
    const cpl_cursor *cursor = from->cursor;
    if (cursor->member >= 0 && lua_rawgeti(L, from->names, cursor->member + 1) == LUA_TSTRING) return;
    if (cursor->member >= 0) lua_pop(L, 1);
    lua_pushlstring(L, cursor->text.p, cursor->text.n);
    if (cursor->member < 0) return;
    lua_pushvalue(L, -1);
    lua_rawseti(L, from->names, cursor->member + 1);
}

static bool push_object(const source *from, room *own) {
    lua_Integer n = 0;
    lua_createtable(from->L, 0, own->members);
    for (; cpl_cursor_next(from->cursor) == CPL_TOKEN_KEY; n++) {
        room *below = &from->rooms[from->cursor->member + 1];
        push_key(from);
        cpl_cursor_next(from->cursor);
        if (!push_value(from, below)) return false;
        lua_rawset(from->L, -3);
    }
    own->members = least(n);
    return from->cursor->token == CPL_TOKEN_OBJECT_END;
}

/* The value whose token is current. False, with something on the stack, when that is CPL_TOKEN_ERROR or leads to it. */
static bool push_value(const source *from, room *own) {
    lua_State *L = from->L;
    const cpl_cursor *cursor = from->cursor;
    switch (cursor->token) {
    case CPL_TOKEN_OBJECT: luaL_checkstack(L, 4, "the document is too deep"); return push_object(from, own);
    case CPL_TOKEN_ARRAY: luaL_checkstack(L, 4, "the document is too deep"); return push_array(from, own);
    case CPL_TOKEN_STRING: lua_pushlstring(L, cursor->text.p, cursor->text.n); return true;
    case CPL_TOKEN_INTEGER: lua_pushinteger(L, (lua_Integer)cursor->integer); return true;
    case CPL_TOKEN_NUMBER:
    case CPL_TOKEN_TIMESTAMP: lua_pushnumber(L, cursor->number); return true;
    case CPL_TOKEN_TRUE: lua_pushboolean(L, 1); return true;
    case CPL_TOKEN_FALSE: lua_pushboolean(L, 0); return true;
    case CPL_TOKEN_NULL: lua_pushlightuserdata(L, NULL); return true;
    default: return false;
    }
}

/* Pushes names; both are kept with the Lua state, for all documents. */
static room *push_names(lua_State *L) {
    static const char key = 'k';
    room *rooms;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) != LUA_TUSERDATA) {
        size_t count = cpl_model_name_count();
        lua_pop(L, 1);
        memset(lua_newuserdatauv(L, (count + 1) * sizeof(room), 1), 0, (count + 1) * sizeof(room));
        lua_createtable(L, (int)count, 0);
        lua_setiuservalue(L, -2, 1);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    }
    rooms = lua_touserdata(L, -1);
    lua_getiuservalue(L, -1, 1);
    lua_replace(L, -2);
    return rooms;
}

bool try_document(lua_State *L, cpl_cursor *cursor) {
    source from = {L, cursor, 0, NULL};
    room own = {0, 4}; /* the answer's metadata comes to it */
    luaL_checkstack(L, 8, "no room for a document");
    from.rooms = push_names(L);
    from.names = lua_gettop(L);
    cpl_cursor_next(cursor);
    if (push_value(&from, &own) && cpl_cursor_next(cursor) == CPL_TOKEN_END) {
        lua_remove(L, from.names);
        return true;
    }
    lua_settop(L, from.names - 1);
    return false;
}

void push_document(lua_State *L, cpl_cursor *cursor) {
    if (!try_document(L, cursor)) luaL_error(L, "%s", cursor->message);
}

/* ---- arguments ---- */

/* home("@.../codepipeline"): where the Lua files of this package are; messages name the caller's instead */
static int set_home(lua_State *L) {
    check_str(L, 1);
    lua_settop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, HOME);
    return 0;
}

/* Whether what runs at this level is a file of this package. */
static bool is_ours(lua_State *L, const lua_Debug *ar) {
    const char *home;
    size_t n;
    bool ours;
    if (ar->currentline < 0) return true; /* C */
    lua_getfield(L, LUA_REGISTRYINDEX, HOME);
    home = lua_tolstring(L, -1, &n);
    ours = home && strncmp(ar->source, home, n) == 0 && (ar->source[n] == '/' || strcmp(ar->source + n, ".lua") == 0);
    lua_pop(L, 1);
    return ours;
}

int misuse(lua_State *L, const char *format, ...) {
    lua_Debug ar;
    va_list arguments;
    int level = 1;
    luaL_checkstack(L, 8, "no room for a message");
    while (lua_getstack(L, level, &ar) && lua_getinfo(L, "Sl", &ar) && is_ours(L, &ar)) level++;
    luaL_where(L, level);
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_concat(L, 2);
    return lua_error(L);
}

cpl_str check_str(lua_State *L, int index) {
    cpl_str text;
    text.p = luaL_checklstring(L, index, &text.n);
    return text;
}

cpl_str opt_str(lua_State *L, int index) {
    return lua_isnoneornil(L, index) ? (cpl_str){NULL, 0} : check_str(L, index);
}

cpl_str field_str(lua_State *L, int index, const char *name) {
    cpl_str text = {NULL, 0};
    if (!lua_istable(L, index)) return text;
    if (lua_getfield(L, index, name) == LUA_TSTRING) {
        text.p = lua_tolstring(L, -1, &text.n);
    } else if (!lua_isnil(L, -1)) {
        misuse(L, "%s: expected a string, got a %s", name, luaL_typename(L, -1));
    }
    lua_pop(L, 1); /* the table keeps the string alive */
    return text;
}

double field_number(lua_State *L, int index, const char *name, double fallback) {
    double number = fallback;
    if (!lua_istable(L, index)) return number;
    if (lua_getfield(L, index, name) == LUA_TNUMBER) {
        number = lua_tonumber(L, -1);
    } else if (!lua_isnil(L, -1)) {
        misuse(L, "%s: expected a number, got a %s", name, luaL_typename(L, -1));
    }
    lua_pop(L, 1);
    return number;
}

int field_count(lua_State *L, int index, const char *name, int fallback) {
    double number = field_number(L, index, name, fallback);
    if (!(number >= 1 && number <= INT_MAX && number == (int)number)) {
        misuse(L, "%s: expected an integer of 1 or more", name);
    }
    return (int)number;
}

static int unknown_option(lua_State *L, const char *key, const char *const *names) {
    luaL_Buffer known;
    luaL_buffinit(L, &known);
    for (const char *const *name = names; *name; name++) {
        luaL_addstring(&known, name == names ? "" : ", ");
        luaL_addstring(&known, *name);
    }
    luaL_pushresult(&known);
    return misuse(L, "unknown option \"%s\" (there are %s)", key, lua_tostring(L, -1));
}

void check_options(lua_State *L, int index, const char *const *names) {
    if (lua_isnoneornil(L, index)) return;
    if (!lua_istable(L, index)) misuse(L, "options must be a table, not a %s", luaL_typename(L, index));
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "(not a name)";
        const char *const *name = names;
        while (*name && strcmp(*name, key) != 0) name++;
        if (*name == NULL) unknown_option(L, key, names);
    }
}

/* ---- scratch ---- */

void scratch_clear(lua_scratch *scratch) {
    if (scratch->cursor_used) cpl_cursor_release(&scratch->cursor);
    scratch->cursor_used = false;
    cpl_reply_free(scratch->reply);
    scratch->reply = NULL;
    cpl_writer_free(scratch->writer);
    scratch->writer = NULL;
}

int push_read(lua_State *L, lua_scratch *scratch) {
    scratch->cursor_used = true;
    push_document(L, &scratch->cursor);
    scratch_clear(scratch);
    return 1;
}

static int scratch_gc(lua_State *L) {
    scratch_clear(luaL_checkudata(L, 1, SCRATCH_CLASS));
    return 0;
}

lua_scratch *scratch_new(lua_State *L) {
    lua_scratch *scratch = lua_newuserdatauv(L, sizeof *scratch, 0);
    scratch->writer = NULL;
    scratch->reply = NULL;
    scratch->cursor_used = false;
    luaL_setmetatable(L, SCRATCH_CLASS);
    return scratch;
}

cpl_writer *scratch_writer(lua_State *L, lua_scratch *scratch) {
    if (scratch->writer) {
        cpl_writer_clear(scratch->writer);
    } else {
        scratch->writer = cpl_writer_new();
        if (scratch->writer == NULL) luaL_error(L, "out of memory");
    }
    return scratch->writer;
}

void open_scratch(lua_State *L) {
    static const luaL_Reg none[] = {{NULL, NULL}};
    new_class(L, SCRATCH_CLASS, none, scratch_gc);
    lua_pop(L, 1);
    lua_pushcfunction(L, set_home);
    lua_setfield(L, -2, "set_home");
}
