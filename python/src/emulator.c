/* SPDX-License-Identifier: MIT */
/* _core.Emulator: the offline service, on threads that never touch Python. */
#include "module.h"

typedef struct emulator_object {
    PyObject_HEAD cpl_emulator *handle; /* NULL once closed */
    cpl_relay *relay;                   /* NULL: none was asked for, or closed */
    cpl_relay_report report;            /* the relay's last word */
    int turning;                        /* threads that turn the clock, without the GIL */
    bool closing;                       /* the last of them closes it */
    PyObject *url;
    PyObject *environ;
} emulator_object;

/* A new dict of the variables that point an AWS SDK at the emulator. */
static PyObject *environ_of(const cpl_emulator *handle) {
    const char *name, *value;
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict && cpl_emulator_environ(handle, i, &name, &value); i++) {
        PyObject *text = module_text(value);
        if (!text || PyDict_SetItemString(dict, name, text) < 0) Py_CLEAR(dict);
        Py_XDECREF(text);
    }
    return dict;
}

static bool parse_options(PyObject *args, PyObject *kwargs, cpl_emulator_options *o, cpl_str *events) {
    int ui = 0, demo = 0;
    static char *names[] = {
        "port",  "path", "host",    "region", "account_id", "access_key_id", "secret_access_key", "events",
        "state", "ui",   "repeats", "demo",   NULL};
    bool good = PyArg_ParseTupleAndKeywords(
        args, kwargs, "|$iz#z#z#z#z#z#z#z#pz#p:Emulator", names, &o->port, &o->path.p, &o->path.n, &o->host.p,
        &o->host.n, &o->region.p, &o->region.n, &o->account_id.p, &o->account_id.n, &o->access_key_id.p,
        &o->access_key_id.n, &o->secret_access_key.p, &o->secret_access_key.n, &events->p, &events->n, &o->state.p,
        &o->state.n, &ui, &o->repeats.p, &o->repeats.n, &demo);
    o->ui = ui;
    o->demo = demo;
    return good;
}

static PyObject *emulator_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    cpl_emulator_options options = {0};
    cpl_str events = {NULL, 0};
    cpl_error err = {0};
    if (!parse_options(args, kwargs, &options, &events)) return NULL;
    emulator_object *self = (emulator_object *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    if (cpl_emulator_start(&self->handle, &options, &err) != CPL_OK ||
        (events.p && cpl_relay_start(&self->relay, self->handle, events, &err) != CPL_OK)) {
        error_raise(&err);
        Py_DECREF(self);
        return NULL;
    }
    self->url = module_text(cpl_emulator_url(self->handle));
    self->environ = environ_of(self->handle);
    if (!self->url || !self->environ) Py_CLEAR(self);
    return (PyObject *)self;
}

/* False with StateError set when it was stopped. */
static bool check_open(PyObject *object) {
    const emulator_object *self = (emulator_object *)object;
    if (self->handle && !self->closing) return true;
    error_state("the emulator is closed");
    return false;
}

static PyObject *emulator_create_bucket(PyObject *self, PyObject *args) {
    cpl_str name;
    cpl_error err = {0};
    if (!PyArg_ParseTuple(args, "s#:create_bucket", &name.p, &name.n) || !check_open(self)) return NULL;
    if (!module_done(cpl_emulator_create_bucket(((emulator_object *)self)->handle, name, &err), &err)) return NULL;
    Py_RETURN_NONE;
}

static void stop(emulator_object *self) {
    cpl_emulator *handle = self->handle;
    cpl_relay *relay = self->relay;
    cpl_relay_report report;
    self->handle = NULL; /* first, so that a second thread finds it closed */
    self->relay = NULL;
    Py_BEGIN_ALLOW_THREADS;
    cpl_emulator_stop(handle);
    cpl_relay_stop(relay, &report);
    Py_END_ALLOW_THREADS;
    if (relay) self->report = report;
}

static PyObject *emulator_close(PyObject *object, PyObject *unused) {
    (void)unused;
    emulator_object *self = (emulator_object *)object;
    self->closing = true;
    if (self->turning == 0) stop(self);
    Py_RETURN_NONE;
}

static PyObject *emulator_advance(PyObject *object, PyObject *args) {
    emulator_object *self = (emulator_object *)object;
    double seconds;
    cpl_error err = {0};
    if (!PyArg_ParseTuple(args, "d:advance", &seconds) || !check_open(object)) return NULL;
    int64_t ms = seconds > -1e12 && seconds < 1e12 ? (int64_t)(seconds * 1000) : INT64_MAX;
    cpl_emulator *handle = self->handle;
    self->turning++;
    PyThreadState *thread = PyEval_SaveThread();
    cpl_status status = cpl_emulator_advance(handle, ms, &err);
    PyEval_RestoreThread(thread);
    if (--self->turning == 0 && self->closing) stop(self);
    if (!module_done(status, &err)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *emulator_now(PyObject *self, PyObject *unused) {
    (void)unused;
    return check_open(self) ? PyFloat_FromDouble(cpl_emulator_now(((emulator_object *)self)->handle)) : NULL;
}

static PyObject *emulator_freeze(PyObject *self, PyObject *args) {
    int frozen;
    if (!PyArg_ParseTuple(args, "p:freeze", &frozen) || !check_open(self)) return NULL;
    cpl_emulator_freeze(((emulator_object *)self)->handle, frozen);
    Py_RETURN_NONE;
}

static PyObject *emulator_frozen(PyObject *self, PyObject *unused) {
    (void)unused;
    return check_open(self) ? PyBool_FromLong(cpl_emulator_frozen(((emulator_object *)self)->handle)) : NULL;
}

static PyObject *emulator_fault(PyObject *self, PyObject *args) {
    cpl_fault fault = {.times = 0};
    cpl_error err = {0};
    unsigned long long seed;
    if (!PyArg_ParseTuple(args, "s#z#z#iidKi:fault", &fault.kind.p, &fault.kind.n, &fault.operation.p,
                          &fault.operation.n, &fault.job_id.p, &fault.job_id.n, &fault.times, &fault.after,
                          &fault.probability, &seed, &fault.bytes))
        return NULL;
    fault.seed = seed;
    if (!check_open(self)) return NULL;
    if (!module_done(cpl_emulator_fault(((emulator_object *)self)->handle, &fault, &err), &err)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *emulator_function(PyObject *self, PyObject *args) {
    const char *address;
    cpl_error err = {0};
    cpl_str name;
    if (!PyArg_ParseTuple(args, "s#:function", &name.p, &name.n) || !check_open(self)) return NULL;
    if (!module_done(cpl_emulator_function(((emulator_object *)self)->handle, name, &address, &err), &err)) return NULL;
    return module_text(address);
}

static PyObject *emulator_script(PyObject *self, PyObject *script) {
    cpl_error err = {0};
    cpl_str text;
    if (!check_open(self)) return NULL;
    cpl_writer *writer = convert_text(state_of(self), script, &text);
    if (!writer) return NULL;
    cpl_status status = cpl_emulator_script(((emulator_object *)self)->handle, text, &err);
    cpl_writer_free(writer);
    if (!module_done(status, &err)) return NULL;
    Py_RETURN_NONE;
}

typedef cpl_status (*git_teller)(cpl_emulator *emulator, cpl_str event, cpl_str *out, cpl_error *err);

/* With the GIL, as the ledger. */
static PyObject *tell_git(PyObject *self, PyObject *event, git_teller tell) {
    cpl_error err = {0};
    cpl_str text;
    cpl_cursor cursor;
    if (!check_open(self)) return NULL;
    cpl_writer *writer = convert_text(state_of(self), event, &text);
    if (!writer) return NULL;
    cpl_status status = tell(((emulator_object *)self)->handle, text, &text, &err);
    cpl_writer_free(writer);
    if (!module_done(status, &err)) return NULL;
    cpl_cursor_init(&cursor, text);
    return convert_read(state_of(self), &cursor, false);
}

static PyObject *emulator_git_push(PyObject *self, PyObject *push) {
    return tell_git(self, push, cpl_emulator_git_push);
}

static PyObject *emulator_pull_request(PyObject *self, PyObject *request) {
    return tell_git(self, request, cpl_emulator_pull_request);
}

/* With the GIL, so that nobody asks again while the text is read; the emulator's threads never need it. */
static PyObject *emulator_ledger(PyObject *self, PyObject *unused) {
    (void)unused;
    cpl_str text;
    cpl_cursor cursor;
    cpl_error err = {0};
    if (!check_open(self)) return NULL;
    if (!module_done(cpl_emulator_ledger(((emulator_object *)self)->handle, &text, &err), &err)) return NULL;
    cpl_cursor_init(&cursor, text);
    return convert_read(state_of(self), &cursor, false);
}

static PyObject *emulator_set_repeats(PyObject *self, PyObject *args) {
    cpl_error err = {0};
    cpl_str policy;
    if (!PyArg_ParseTuple(args, "s#:set_repeats", &policy.p, &policy.n) || !check_open(self)) return NULL;
    if (!module_done(cpl_emulator_set_repeats(((emulator_object *)self)->handle, policy, &err), &err)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *emulator_feed(PyObject *self, PyObject *unused) {
    (void)unused;
    cpl_feed *feed = NULL;
    cpl_error err = {0};
    if (!check_open(self)) return NULL;
    if (!module_done(cpl_emulator_feed(((emulator_object *)self)->handle, &feed, &err), &err)) return NULL;
    return feed_new(state_of(self), feed);
}

/* Also after close(). */
static PyObject *emulator_relayed(PyObject *object, PyObject *unused) {
    (void)unused;
    emulator_object *self = (emulator_object *)object;
    if (self->relay) cpl_relay_tell(self->relay, &self->report);
    return Py_BuildValue("(LLN)", (long long)self->report.delivered, (long long)self->report.dropped,
                         module_text(self->report.reason[0] ? self->report.reason : NULL));
}

/* With the GIL, as the ledger. */
static PyObject *emulator_export(PyObject *self, PyObject *args) {
    int objects;
    cpl_str text;
    cpl_cursor cursor;
    cpl_error err = {0};
    if (!PyArg_ParseTuple(args, "p:export", &objects) || !check_open(self)) return NULL;
    if (!module_done(cpl_emulator_export(((emulator_object *)self)->handle, objects, &text, &err), &err)) return NULL;
    cpl_cursor_init(&cursor, text);
    return convert_read(state_of(self), &cursor, false);
}

static PyObject *emulator_restore(PyObject *self, PyObject *args) {
    cpl_str state;
    cpl_error err = {0};
    if (!PyArg_ParseTuple(args, "s#:restore", &state.p, &state.n) || !check_open(self)) return NULL;
    if (!module_done(cpl_emulator_import(((emulator_object *)self)->handle, state, &err), &err)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *emulator_clear(PyObject *self, PyObject *unused) {
    (void)unused;
    if (!check_open(self)) return NULL;
    cpl_emulator_clear(((emulator_object *)self)->handle);
    Py_RETURN_NONE;
}

static void emulator_dealloc(PyObject *object) {
    emulator_object *self = (emulator_object *)object;
    cpl_emulator_stop(self->handle);
    cpl_relay_stop(self->relay, NULL);
    Py_XDECREF(self->url);
    Py_XDECREF(self->environ);
    module_dealloc(object);
}

static PyObject *get_closed(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(((emulator_object *)self)->closing);
}

static PyObject *get_url(PyObject *self, void *unused) {
    (void)unused;
    PyObject *url = ((emulator_object *)self)->url;
    Py_INCREF(url);
    return url;
}

static PyObject *get_environ(PyObject *self, void *unused) {
    (void)unused;
    return PyDict_Copy(((emulator_object *)self)->environ);
}

PyObject *emulator_command(PyObject *module, PyObject *argv) {
    (void)module;
    return module_command(argv, cpl_emulator_main);
}

PyObject *emulator_lint(PyObject *module, PyObject *args) {
    cpl_str document;
    cpl_lint_options options = {{NULL, 0}};
    cpl_error err = {0};
    PyObject *list = NULL;
    if (!PyArg_ParseTuple(args, "s#z#:lint", &document.p, &document.n, &options.region.p, &options.region.n))
        return NULL;
    cpl_writer *writer = cpl_writer_new();
    if (!writer) return PyErr_NoMemory();
    PyThreadState *thread = PyEval_SaveThread();
    cpl_status status = cpl_lint(document, &options, writer, &err);
    cpl_str text = {NULL, 0};
    if (status == CPL_OK) status = cpl_writer_text(writer, &text, &err);
    PyEval_RestoreThread(thread);
    if (module_done(status, &err)) {
        cpl_cursor cursor;
        cpl_cursor_init(&cursor, text);
        list = convert_read(PyModule_GetState(module), &cursor, false);
    }
    cpl_writer_free(writer);
    return list;
}

static PyMethodDef methods[] = {
    {"create_bucket", emulator_create_bucket, METH_VARARGS,
     "create_bucket($self, name, /)\n--\n\nMakes an empty bucket."},
    {"advance", emulator_advance, METH_VARARGS, "advance($self, seconds, /)\n--\n\nTurns its clock forward."},
    {"now", emulator_now, METH_NOARGS, "now($self, /)\n--\n\nSeconds since 1970 by its clock."},
    {"freeze", emulator_freeze, METH_VARARGS, "freeze($self, frozen, /)\n--\n\nStops its clock, or lets it go on."},
    {"frozen", emulator_frozen, METH_NOARGS, "frozen($self, /)\n--\n\nWhether its clock stands still."},
    {"fault", emulator_fault, METH_VARARGS,
     "fault($self, kind, operation, job_id, times, after, probability, seed, bytes, /)\n--\n\nTrouble to come."},
    {"function", emulator_function, METH_VARARGS,
     "function($self, name, /)\n--\n\nThe address of the Runtime API of a function that actions may name."},
    {"script", emulator_script, METH_O, "script($self, script, /)\n--\n\nWhat becomes of actions it cannot run."},
    {"git_push", emulator_git_push, METH_O, "git_push($self, push, /)\n--\n\nWhat a push starts, as dicts."},
    {"pull_request", emulator_pull_request, METH_O,
     "pull_request($self, request, /)\n--\n\nWhat a pull request starts, as dicts."},
    {"set_repeats", emulator_set_repeats, METH_VARARGS, "set_repeats($self, policy, /)\n--\n\nrefuse or accept"},
    {"ledger", emulator_ledger, METH_NOARGS, "ledger($self, /)\n--\n\nWhat was asked of it, as dicts."},
    {"feed", emulator_feed, METH_NOARGS, "feed($self, /)\n--\n\nA new reader of its events."},
    {"relayed", emulator_relayed, METH_NOARGS,
     "relayed($self, /)\n--\n\nHow many events were delivered, how many dropped, and why."},
    {"export", emulator_export, METH_VARARGS, "export($self, objects, /)\n--\n\nThe whole state as a dict."},
    {"restore", emulator_restore, METH_VARARGS,
     "restore($self, state, /)\n--\n\nReplaces the state by that of a JSON text."},
    {"clear", emulator_clear, METH_NOARGS, "clear($self, /)\n--\n\nForgets faults, ledger and past events."},
    {"close", emulator_close, METH_NOARGS, "close($self, /)\n--\n\nStops the emulator; a second close does nothing."},
    {NULL, NULL, 0, NULL}};

static PyObject *get_repeats(PyObject *self, void *unused) {
    (void)unused;
    return check_open(self) ? module_text(cpl_emulator_repeats(((emulator_object *)self)->handle)) : NULL;
}

static PyGetSetDef properties[] = {{"closed", get_closed, NULL, "Whether close() was called.", NULL},
                                   {"repeats", get_repeats, NULL, "refuse or accept", NULL},
                                   {"url", get_url, NULL, "http://host:port", NULL},
                                   {"environ", get_environ, NULL, "A new dict of AWS_* variables.", NULL},
                                   {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, emulator_new},
                              {Py_tp_dealloc, emulator_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, properties},
                              {Py_tp_doc, "A running emulator; see codepipeline.Emulator."},
                              {0, NULL}};

PyType_Spec emulator_spec = {"codepipeline._core.Emulator", sizeof(emulator_object), 0, Py_TPFLAGS_DEFAULT, slots};
