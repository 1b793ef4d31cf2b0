/* SPDX-License-Identifier: MIT */
/* Python objects to JSON text and back, with no tree in between. */
#include "module.h"

#include <math.h>

/* ---- Python to JSON ---- */

/* Where a value stands: a chain on the C stack, turned into text only when something is wrong. */
typedef struct step {
    const struct step *up; /* NULL: the document itself */
    cpl_str key;           /* absent: index counts */
    Py_ssize_t index;
    int depth;
} step;

typedef struct target {
    module_state *state;
    cpl_writer *writer;
} target;

static size_t print_path(const step *at, char *out, size_t size) {
    if (!at->up) return 0;
    size_t n = print_path(at->up, out, size);
    if (n >= size) return n;
    if (!at->key.p) return n + (size_t)PyOS_snprintf(out + n, size - n, "[%zd]", at->index);
    return n + (size_t)PyOS_snprintf(out + n, size - n, n ? ".%s" : "%s", at->key.p);
}

/* Raises "PATH: TEXT cannot be sent"; always false. */
static bool refuse(const step *at, const char *text) {
    char path[256] = "";
    char message[192];
    print_path(at, path, sizeof path);
    PyOS_snprintf(message, sizeof message, "%s cannot be sent", text);
    error_refuse(path, message);
    return false;
}

/* The same for "TEXT of type NAME". */
static bool refuse_type(const step *at, const char *text, PyObject *value) {
    char message[160];
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__name__");
    PyObject *bytes = name ? PyUnicode_AsUTF8String(name) : NULL;
    if (bytes) {
        PyOS_snprintf(message, sizeof message, "%s of type %s", text, PyBytes_AsString(bytes));
        refuse(at, message);
    }
    Py_XDECREF(bytes);
    Py_XDECREF(name);
    return false;
}

/* A view that lives as long as text. PyUnicode_AsUTF8AndSize would be shorter; it is not in the 3.9 limited API. */
static bool view_of(const step *at, PyObject *text, cpl_str *out) {
    Py_ssize_t n;
    if (PyArg_Parse(text, "s#", &out->p, &n)) {
        out->n = (size_t)n;
        return true;
    }
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return false;
    PyErr_Clear();
    return refuse(at, "text with half a surrogate pair");
}

static bool write_any(const target *to, PyObject *value, const step *at);

static bool write_string(const target *to, PyObject *value, const step *at) {
    cpl_str text;
    if (!view_of(at, value, &text)) return false;
    cpl_write_string(to->writer, text);
    return true;
}

static bool write_integer(const target *to, PyObject *value, const step *at) {
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow) return refuse(at, "an integer of more than 64 bits");
    cpl_write_integer(to->writer, number);
    return true;
}

static bool write_number(const target *to, double number, const step *at) {
    if (!isfinite(number)) return refuse(at, "a number that is not finite");
    cpl_write_number(to->writer, number);
    return true;
}

static bool write_list(const target *to, PyObject *value, const step *at) {
    bool ok = true;
    bool is_list = PyList_Check(value);
    cpl_write_array(to->writer);
    /* The size is asked each time: converting a datetime may run foreign code that shortens the list. */
    for (Py_ssize_t i = 0; ok && i < PySequence_Size(value); i++) {
        PyObject *item = is_list ? PyList_GetItem(value, i) : PyTuple_GetItem(value, i);
        Py_XINCREF(item);
        ok = item && write_any(to, item, &(step){.up = at, .index = i, .depth = at->depth + 1});
        Py_XDECREF(item);
    }
    cpl_write_end(to->writer);
    return ok;
}

static bool write_dict(const target *to, PyObject *value, const step *at) {
    PyObject *key, *item;
    Py_ssize_t position = 0;
    bool ok = true;
    cpl_write_object(to->writer);
    while (ok && PyDict_Next(value, &position, &key, &item)) {
        if (!PyUnicode_Check(key)) return refuse_type(at, "a key", key);
        Py_INCREF(key);
        Py_INCREF(item);
        step below = {.up = at, .depth = at->depth + 1};
        ok = view_of(at, key, &below.key);
        if (ok) {
            cpl_write_key(to->writer, below.key);
            ok = write_any(to, item, &below);
        }
        Py_DECREF(item);
        Py_DECREF(key);
    }
    cpl_write_end(to->writer);
    return ok;
}

/* CPython's own half of datetime: the same classes. Importing the other half takes longer than ten calls. */
static PyObject *import_datetime(void) {
    PyObject *module = PyImport_ImportModule("_datetime");
    if (module || !PyErr_ExceptionMatches(PyExc_ImportError)) return module;
    PyErr_Clear();
    return PyImport_ImportModule("datetime");
}

/* Looked up when first needed. */
static bool need_datetime(module_state *state) {
    if (state->utc) return true;
    PyObject *module = import_datetime();
    PyObject *zone = module ? PyObject_GetAttrString(module, "timezone") : NULL;
    if (zone && !state->datetime) state->datetime = PyObject_GetAttrString(module, "datetime");
    if (state->datetime && zone) state->utc = PyObject_GetAttrString(zone, "utc");
    Py_XDECREF(zone);
    Py_XDECREF(module);
    return state->utc != NULL;
}

/* Seconds since 1970 as float, or NULL. A naive datetime is UTC, as for boto3. */
static PyObject *seconds_of(const module_state *state, PyObject *moment) {
    PyObject *aware = NULL;
    PyObject *zone = PyObject_GetAttrString(moment, "tzinfo");
    if (zone && zone != Py_None) {
        aware = moment;
        Py_INCREF(aware);
    } else if (zone) {
        PyObject *replace = PyObject_GetAttrString(moment, "replace");
        PyObject *none = PyTuple_New(0);
        PyObject *named = Py_BuildValue("{s:O}", "tzinfo", state->utc);
        if (replace && none && named) aware = PyObject_Call(replace, none, named);
        Py_XDECREF(replace);
        Py_XDECREF(none);
        Py_XDECREF(named);
    }
    PyObject *seconds = aware ? PyObject_CallMethod(aware, "timestamp", NULL) : NULL;
    Py_XDECREF(aware);
    Py_XDECREF(zone);
    return seconds;
}

static bool write_other(const target *to, PyObject *value, const step *at) {
    if (!need_datetime(to->state)) return false;
    int is_datetime = PyObject_IsInstance(value, to->state->datetime);
    if (is_datetime < 0) return false;
    if (!is_datetime) return refuse_type(at, "a value", value);
    PyObject *seconds = seconds_of(to->state, value);
    if (!seconds) return false;
    double number = PyFloat_AsDouble(seconds);
    Py_DECREF(seconds);
    return !PyErr_Occurred() && write_number(to, number, at);
}

static bool write_any(const target *to, PyObject *value, const step *at) {
    if (at->depth > CPL_JSON_DEPTH_MAX) return refuse(at, "nesting of more than 64 levels");
    if (PyUnicode_Check(value)) return write_string(to, value, at);
    if (PyDict_Check(value)) return write_dict(to, value, at);
    if (PyList_Check(value) || PyTuple_Check(value)) return write_list(to, value, at);
    if (value == Py_None) {
        cpl_write_null(to->writer);
        return true;
    }
    if (PyBool_Check(value)) {
        cpl_write_bool(to->writer, value == Py_True);
        return true;
    }
    if (PyLong_Check(value)) return write_integer(to, value, at);
    if (PyFloat_Check(value)) return write_number(to, PyFloat_AsDouble(value), at);
    return write_other(to, value, at);
}

cpl_writer *convert_text(module_state *state, PyObject *value, cpl_str *text) {
    cpl_error err = {0};
    cpl_writer *writer = cpl_writer_new();
    if (!writer) {
        PyErr_NoMemory();
    } else if (write_any(&(target){state, writer}, value, &(step){.depth = 0})) {
        if (cpl_writer_text(writer, text, &err) == CPL_OK) return writer;
        error_raise(&err);
    }
    cpl_writer_free(writer);
    return NULL;
}

/* ---- JSON to Python ---- */

/* Texts that came before, as a row of an answer repeats most of the one above: each becomes one str. */
typedef struct memo {
    cpl_str text;  /* in the document */
    PyObject *str; /* owned; NULL: nothing yet */
} memo;

#define MEMOS 64
#define MEMO_SIZE 64 /* bytes; what is longer hardly comes twice */

/* What one document's values have in common. */
typedef struct shared {
    memo memos[MEMOS];
    PyObject *moment; /* the arguments of the last datetime, (bytes, utc); NULL: there was none */
} shared;

typedef struct source {
    module_state *state;
    cpl_cursor *cursor;
    bool mask;
    shared *shared;
} source;

static PyObject *read_value(const source *from);

static PyObject *new_string(cpl_str text) {
    return PyUnicode_FromStringAndSize(text.p, (Py_ssize_t)text.n);
}

static PyObject *read_string(const source *from) {
    cpl_str text = from->cursor->text;
    if (text.n == 0 || text.n > MEMO_SIZE || text.p == from->cursor->scratch) return new_string(text);
    const unsigned char *p = (const unsigned char *)text.p;
    memo *m = &from->shared->memos[(text.n + p[0] * 3u + p[text.n / 2] * 7u + p[text.n - 1] * 31u) % MEMOS];
    if (!m->str || m->text.n != text.n || memcmp(m->text.p, text.p, text.n) != 0) {
        PyObject *made = new_string(text);
        if (!made) return NULL;
        Py_XDECREF(m->str);
        *m = (memo){text, made};
    }
    Py_INCREF(m->str);
    return m->str;
}

/* One str for each member name of the model, shared by all answers. */
static PyObject *read_key(const source *from) {
    const cpl_cursor *cursor = from->cursor;
    if (cursor->member < 0) return read_string(from);
    PyObject **name = &from->state->names[cursor->member];
    if (!*name) *name = PyUnicode_InternFromString(cpl_model_name((size_t)cursor->member));
    Py_XINCREF(*name);
    return *name;
}

static PyObject *read_object(const source *from) {
    PyObject *dict = PyDict_New();
    while (dict && cpl_cursor_next(from->cursor) == CPL_TOKEN_KEY) {
        PyObject *key = read_key(from);
        PyObject *value = NULL;
        if (key) {
            cpl_cursor_next(from->cursor);
            value = read_value(from);
        }
        if (!value || PyDict_SetItem(dict, key, value) < 0) Py_CLEAR(dict);
        Py_XDECREF(value);
        Py_XDECREF(key);
    }
    return dict;
}

static PyObject *read_array(const source *from) {
    PyObject *list = PyList_New(0);
    while (list && cpl_cursor_next(from->cursor) != CPL_TOKEN_ARRAY_END) {
        PyObject *value = read_value(from);
        if (!value || PyList_Append(list, value) < 0) Py_CLEAR(list);
        Py_XDECREF(value);
    }
    return list;
}

/* Takes packed over. The tuple of the one before is used again, as zip() does, unless somebody got hold of it. */
static PyObject *new_moment(const source *from, PyObject *packed) {
    PyObject **arguments = &from->shared->moment;
    if (*arguments && Py_REFCNT(*arguments) == 1) {
        if (PyTuple_SetItem(*arguments, 0, packed) < 0) return NULL;
    } else {
        Py_XDECREF(*arguments);
        *arguments = PyTuple_Pack(2, packed, from->state->utc);
        Py_DECREF(packed);
    }
    return *arguments ? PyObject_CallObject(from->state->datetime, *arguments) : NULL;
}

/*
 * Made the way pickle makes one, of ten bytes and the zone: a quarter of what fromtimestamp() takes, and an answer has
 * two in every row.
 */
static PyObject *read_timestamp(const source *from) {
    cpl_civil c;
    if (!need_datetime(from->state)) return NULL;
    if (!cpl_civil_of(from->cursor->number, &c))
        return error_raise(&(cpl_error){.status = CPL_PROTOCOL, .message = "a timestamp outside the years 1 to 9999"});
    const unsigned char packed[10] = {(unsigned char)(c.year >> 8),
                                      (unsigned char)c.year,
                                      (unsigned char)c.month,
                                      (unsigned char)c.day,
                                      (unsigned char)c.hour,
                                      (unsigned char)c.minute,
                                      (unsigned char)c.second,
                                      (unsigned char)(c.microsecond >> 16),
                                      (unsigned char)(c.microsecond >> 8),
                                      (unsigned char)c.microsecond};
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)packed, sizeof packed);
    return bytes ? new_moment(from, bytes) : NULL;
}

static PyObject *not_json(const cpl_cursor *cursor) {
    cpl_error err = {.status = CPL_PROTOCOL};
    PyOS_snprintf(err.message, sizeof err.message, "not JSON: %s", cursor->message);
    return error_raise(&err);
}

static PyObject *read_secret(const source *from) {
    if (cpl_cursor_skip(from->cursor) == CPL_TOKEN_ERROR) return not_json(from->cursor);
    return PyUnicode_FromString("***");
}

/* A str whose repr() does not show it: answers are printed and logged by whoever has them. */
static PyObject *read_sensitive(const source *from) {
    PyObject *module = PyImport_ImportModule("codepipeline._secret");
    PyObject *text =
        module ? PyObject_CallMethod(module, "Secret", "s#", from->cursor->text.p, (Py_ssize_t)from->cursor->text.n)
               : NULL;
    Py_XDECREF(module);
    return text;
}

/* The value the current token is or begins. Recursion ends at the cursor's CPL_JSON_DEPTH_MAX levels. */
static PyObject *read_value(const source *from) {
    const cpl_cursor *cursor = from->cursor;
    if (cursor->sensitive && from->mask && cursor->token != CPL_TOKEN_ERROR) return read_secret(from);
    if (cursor->sensitive && cursor->token == CPL_TOKEN_STRING) return read_sensitive(from);
    switch (cursor->token) {
    case CPL_TOKEN_OBJECT: return read_object(from);
    case CPL_TOKEN_ARRAY: return read_array(from);
    case CPL_TOKEN_STRING: return read_string(from);
    case CPL_TOKEN_INTEGER: return PyLong_FromLongLong(cursor->integer);
    case CPL_TOKEN_NUMBER: return PyFloat_FromDouble(cursor->number);
    case CPL_TOKEN_TIMESTAMP: return read_timestamp(from);
    case CPL_TOKEN_TRUE: return PyBool_FromLong(1);
    case CPL_TOKEN_FALSE: return PyBool_FromLong(0);
    case CPL_TOKEN_NULL: Py_RETURN_NONE;
    default: return not_json(cursor);
    }
}

PyObject *convert_read(module_state *state, cpl_cursor *cursor, bool mask) {
    shared common = {.moment = NULL};
    source from = {state, cursor, mask, &common};
    cpl_cursor_next(cursor);
    PyObject *value = read_value(&from);
    if (value && cpl_cursor_next(cursor) != CPL_TOKEN_END) {
        Py_CLEAR(value);
        not_json(cursor);
    }
    for (size_t i = 0; i < MEMOS; i++) Py_XDECREF(common.memos[i].str);
    Py_XDECREF(common.moment);
    cpl_cursor_release(cursor);
    return value;
}

/* ---- answers ---- */

PyObject *convert_headers(const cpl_reply *reply) {
    cpl_str name, value;
    PyObject *headers = PyDict_New();
    for (size_t i = 0; headers && cpl_reply_header(reply, i, &name, &value); i++) {
        /* Header bytes have no charset; Latin-1 maps every one of them, as Python's own http.client does. */
        PyObject *key = PyUnicode_DecodeLatin1(name.p, (Py_ssize_t)name.n, NULL);
        PyObject *text = PyUnicode_DecodeLatin1(value.p, (Py_ssize_t)value.n, NULL);
        if (!key || !text || PyDict_SetItem(headers, key, text) < 0) Py_CLEAR(headers);
        Py_XDECREF(key);
        Py_XDECREF(text);
    }
    return headers;
}

/* Takes value over; false also when it is NULL. */
static bool put(const module_state *state, PyObject *dict, module_key key, PyObject *value) {
    bool ok = value && PyDict_SetItem(dict, state->keys[key], value) == 0;
    Py_XDECREF(value);
    return ok;
}

static PyObject *metadata_of(const module_state *state, const cpl_reply *reply) {
    PyObject *dict = PyDict_New();
    if (!dict) return NULL;
    if (put(state, dict, KEY_REQUEST_ID, module_text(cpl_reply_request_id(reply))) &&
        put(state, dict, KEY_HTTP_STATUS, PyLong_FromLong(cpl_reply_http_status(reply))) &&
        put(state, dict, KEY_HTTP_HEADERS, convert_headers(reply)) &&
        put(state, dict, KEY_RETRY_ATTEMPTS, PyLong_FromLong(cpl_reply_attempts(reply) - 1))) {
        return dict;
    }
    Py_DECREF(dict);
    return NULL;
}

/* The answer could not be read; when that is its own fault, the exception says so with all there is to say. */
static PyObject *unreadable(const cpl_reply *reply) {
    cpl_error err = {0};
    if (cpl_reply_check(reply, &err) == CPL_OK) return NULL;
    PyErr_Clear();
    return error_raise(&err);
}

PyObject *convert_reply(module_state *state, const cpl_reply *reply) {
    cpl_cursor cursor;
    cpl_reply_cursor(reply, &cursor);
    PyObject *answer = convert_read(state, &cursor, false);
    if (!answer) return unreadable(reply);
    if (!put(state, answer, KEY_RESPONSE_METADATA, metadata_of(state, reply))) Py_CLEAR(answer);
    return answer;
}
