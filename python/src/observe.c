/* SPDX-License-Identifier: MIT */
/* Those who look on: hooks and the logger, see codepipeline/_observe.py. Nobody looks on until logging is imported. */
#include "module.h"

static bool put(PyObject *dict, const char *name, PyObject *value) {
    bool ok = value && PyDict_SetItemString(dict, name, value) == 0;
    Py_XDECREF(value);
    return ok;
}

static PyObject *text_of(cpl_str text) {
    return PyUnicode_DecodeUTF8(text.p ? text.p : "", (Py_ssize_t)text.n, "replace");
}

static PyObject *headers_of(const cpl_call_event *event) {
    cpl_str name, value;
    PyObject *headers = PyDict_New();
    for (size_t i = 0; headers && cpl_call_event_header(event, i, &name, &value); i++) {
        PyObject *key = text_of(name), *text = text_of(value);
        if (!key || !text || PyDict_SetItem(headers, key, text) < 0) Py_CLEAR(headers);
        Py_XDECREF(key);
        Py_XDECREF(text);
    }
    return headers;
}

static PyObject *fields_of(const cpl_call_event *event) {
    bool request = event->stage == CPL_CALL_REQUEST;
    PyObject *fields = PyDict_New();
    if (fields && put(fields, "stage", module_text(request ? "request" : "response")) &&
        put(fields, "operation", module_text(event->operation)) && put(fields, "url", module_text(event->url)) &&
        put(fields, "attempt", PyLong_FromLong(event->attempt)) && put(fields, "text", text_of(event->text)) &&
        put(fields, "headers", headers_of(event)) &&
        put(fields, "status", module_text(request ? NULL : cpl_status_name(event->status))) &&
        put(fields, "http_status", PyLong_FromLong(event->http_status)) &&
        put(fields, "duration", PyFloat_FromDouble((double)event->duration_ms / 1000)) &&
        put(fields, "request_id", module_text(event->request_id)) && put(fields, "code", module_text(event->code)) &&
        put(fields, "message", module_text(event->message))) {
        return fields;
    }
    Py_XDECREF(fields);
    return NULL;
}

/* clients: NULL, one, or a list of them. */
static Py_ssize_t count_of(PyObject *clients) {
    return clients && PyList_Check(clients) ? PyList_Size(clients) : clients != NULL;
}

/* Borrowed. */
static PyObject *client_at(PyObject *clients, Py_ssize_t i) {
    return PyList_Check(clients) ? PyList_GetItem(clients, i) : clients;
}

/* The hook of the client whose call it is; borrowed. */
static PyObject *hook_of(PyObject *clients, const cpl_client *client) {
    Py_ssize_t count = count_of(clients);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *one = client_at(clients, i);
        PyObject *hook = ((holder *)one)->held;
        if (hook && (client == NULL || client_handle(one) == client)) return hook;
    }
    return Py_None;
}

static bool tell(observe_context *c, const cpl_call_event *event) {
    PyObject *hook = hook_of(c->clients, event->client);
    PyObject *fields = fields_of(event);
    Py_INCREF(hook);
    PyObject *done = fields ? PyObject_CallFunctionObjArgs(c->tell, hook, fields, NULL) : NULL;
    bool told = done != NULL;
    Py_DECREF(hook);
    Py_XDECREF(done);
    Py_XDECREF(fields);
    return told;
}

/* After a hook has raised, nothing else is sent: the exception waits for the core to return. */
static int look(void *context, const cpl_call_event *event) {
    observe_context *c = context;
    PyEval_RestoreThread(*c->thread);
    bool told = !PyErr_Occurred() && tell(c, event);
    *c->thread = PyEval_SaveThread();
    return !told;
}

/* Whether somebody may have asked for our logger's messages; false with an exception set when it cannot be told. */
static bool logging_is_loaded(const module_state *state) {
    PyObject *module = PyImport_GetModule(state->keys[KEY_LOGGING]);
    Py_XDECREF(module);
    return module != NULL;
}

/* codepipeline._observe, borrowed: looking a module up takes as long as a hundredth of a call. */
static PyObject *observe_of(module_state *state) {
    PyObject *module = state->observe ? NULL : PyImport_ImportModule("codepipeline._observe");
    if (!state->observe) {
        state->observe = module;
    } else {
        Py_XDECREF(module); /* another thread was first */
    }
    return state->observe;
}

static bool logging_is_on(PyObject *observe) {
    PyObject *answer = PyObject_CallMethod(observe, "logging_is_on", NULL);
    bool on = answer && PyObject_IsTrue(answer) == 1;
    Py_XDECREF(answer);
    return on;
}

bool observe_begin(observe_context *c, PyObject *clients, observe_manner manner, PyThreadState **thread,
                   cpl_wait *wait) {
    *c = (observe_context){.observer = {look, c}, .thread = thread, .clients = clients};
    if (count_of(clients) == 0) return true;
    module_state *state = state_of(client_at(clients, 0));
    bool hooked = hook_of(clients, NULL) != Py_None;
    if (!hooked && !logging_is_loaded(state)) return !PyErr_Occurred();
    PyObject *observe = observe_of(state);
    if (observe && (hooked || logging_is_on(observe))) {
        c->tell = PyObject_GetAttrString(observe, manner == OBSERVE_FIRMLY ? "tell_firmly" : "tell");
    }
    if (c->tell) wait->observer = &c->observer;
    return !PyErr_Occurred();
}

void observe_end(observe_context *c) {
    Py_CLEAR(c->tell);
}
