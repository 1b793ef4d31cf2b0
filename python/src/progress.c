/* SPDX-License-Identifier: MIT */
/* How far a transfer is, told to a function of the program's from the core's tick. */
#include "module.h"

static PyObject *call(const progress_context *c) {
    const cpl_progress *p = &c->now;
    long long done = p->done, total = p->total;
    if (p->name && total < 0) return PyObject_CallFunction(c->hook, "sLO", p->name, done, Py_None);
    if (p->name) return PyObject_CallFunction(c->hook, "sLL", p->name, done, total);
    if (total < 0) return PyObject_CallFunction(c->hook, "LO", done, Py_None);
    return PyObject_CallFunction(c->hook, "LL", done, total);
}

static bool has_moved(const progress_context *c) {
    return c->now.done != c->told.done || c->now.total != c->told.total || c->now.name != c->told.name;
}

static int tick(void *context) {
    progress_context *c = context;
    PyEval_RestoreThread(*c->thread);
    int stop = PyErr_Occurred() || PyErr_CheckSignals(); /* a hook may have raised since */
    if (!stop && c->hook && has_moved(c)) {
        PyObject *answer = call(c);
        c->told = c->now;
        stop = answer == NULL;
        Py_XDECREF(answer);
    }
    *c->thread = PyEval_SaveThread();
    return stop;
}

cpl_wait progress_begin(progress_context *c, PyObject *hook, PyThreadState **thread) {
    *c = (progress_context){.thread = thread, .now = {.total = -1}, .told = {.total = -1}};
    if (hook && hook != Py_None) c->hook = hook;
    Py_XINCREF(c->hook);
    return (cpl_wait){.tick = tick, .context = c, .progress = c->hook ? &c->now : NULL};
}

void progress_end(progress_context *c) {
    Py_CLEAR(c->hook);
}
