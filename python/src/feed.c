/* SPDX-License-Identifier: MIT */
/* _core.Feed: reads an emulator's events. For one thread at a time; a second one is told so. */
#include "module.h"

typedef struct feed_object {
    PyObject_HEAD cpl_feed *handle;
    bool busy; /* a thread waits; guarded by the GIL */
} feed_object;

PyObject *feed_new(module_state *state, cpl_feed *feed) {
    feed_object *self = (feed_object *)PyType_GenericAlloc((PyTypeObject *)state->feed_type, 0);
    if (self) {
        self->handle = feed;
    } else {
        cpl_feed_free(feed);
    }
    return (PyObject *)self;
}

static PyObject *feed_refuse_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)type, (void)args, (void)kwargs;
    PyErr_SetString(PyExc_TypeError, "feeds come from an emulator");
    return NULL;
}

static void feed_dealloc(PyObject *self) {
    cpl_feed_free(((feed_object *)self)->handle);
    module_dealloc(self);
}

/* Without the GIL, unless it is not to wait. */
static cpl_status next_text(feed_object *self, int64_t timeout_ms, bool now, cpl_str *text, cpl_error *err) {
    PyThreadState *thread;
    cpl_wait wait = module_wait(&thread, timeout_ms);
    if (now) return cpl_feed_next(self->handle, NULL, text, err);
    self->busy = true;
    thread = PyEval_SaveThread();
    cpl_status status = cpl_feed_next(self->handle, &wait, text, err);
    PyEval_RestoreThread(thread);
    self->busy = false;
    return status;
}

static PyObject *feed_next(PyObject *object, PyObject *timeout) {
    feed_object *self = (feed_object *)object;
    int64_t timeout_ms = 0;
    cpl_error err = {0};
    cpl_str text;
    bool now = PyNumber_Check(timeout) && PyObject_Not(timeout) == 1;
    if (!now && !module_milliseconds(timeout, &timeout_ms)) return NULL;
    if (self->busy) return error_state("another thread is reading these events");
    cpl_status status = next_text(self, timeout_ms, now, &text, &err);
    if (status == CPL_TIMEOUT || status == CPL_STATE) Py_RETURN_NONE;
    if (!module_done(status, &err)) return NULL;
    cpl_cursor cursor;
    cpl_cursor_init(&cursor, text);
    return convert_read(state_of(object), &cursor, false);
}

static PyMethodDef methods[] = {
    {"next", feed_next, METH_O,
     "next($self, timeout, /)\n--\n\nThe next event as a dict; None after timeout seconds, or the emulator's end."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, feed_refuse_new},
                              {Py_tp_dealloc, feed_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_doc, "An emulator's events; see codepipeline.Emulator.events."},
                              {0, NULL}};

PyType_Spec feed_spec = {"codepipeline._core.Feed", sizeof(feed_object), 0, Py_TPFLAGS_DEFAULT, slots};
