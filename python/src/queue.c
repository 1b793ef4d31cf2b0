/* SPDX-License-Identifier: MIT */
/*
 * _core.Queue: many calls under way at once. Any thread submits; one at a time is in next(), which is where hooks are
 * called and answers become objects.
 */
#include "module.h"

/* What a call keeps until it is handed out: who looks on, and what that raised. */
typedef struct watch {
    observe_context context;
    cpl_observer observer;
    PyObject *raised; /* owned; NULL: nothing */
    uint64_t id;
    struct watch *next;
} watch;

typedef struct queue_object {
    holder holds; /* the client */
    cpl_queue *handle;
    PyThreadState *thread; /* the one in next() */
    bool busy;             /* a thread is in next(); this and watches are guarded by the GIL */
    watch *watches;
} queue_object;

static PyObject *queue_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *client;
    cpl_error err = {0};
    (void)kwargs;
    module_state *state = PyType_GetModuleState(type);
    if (!PyArg_ParseTuple(args, "O!:Queue", state->client_type, &client)) return NULL;
    queue_object *self = (queue_object *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    if (cpl_queue_new(&self->handle, client_handle(client), 0, &err) != CPL_OK) {
        error_raise(&err);
        Py_DECREF(self);
        return NULL;
    }
    Py_INCREF(client);
    self->holds.held = client;
    return (PyObject *)self;
}

static void free_watch(watch *w) {
    observe_end(&w->context);
    Py_XDECREF(w->raised);
    PyMem_Free(w);
}

static void queue_dealloc(PyObject *object) {
    queue_object *self = (queue_object *)object;
    PyObject_GC_UnTrack(object);
    cpl_queue_free(self->handle);
    while (self->watches) {
        watch *w = self->watches;
        self->watches = w->next;
        free_watch(w);
    }
    holder_dealloc(object);
}

/* ---- exceptions as values ---- */

/* The exception that is set, as an object; clears it. */
static PyObject *taken_exception(void) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

/*
 * What the hook raised ends its call alone. It is kept until that is handed out, since other calls go on meanwhile; the
 * thread's signals do not come here, so whatever is set was raised by the hook.
 */
static int look(void *context, const cpl_call_event *event) {
    watch *w = context;
    if (w->raised) return 1;
    if (w->context.observer.event(w->context.observer.context, event) == 0) return 0;
    PyEval_RestoreThread(*w->context.thread);
    w->raised = taken_exception();
    *w->context.thread = PyEval_SaveThread();
    return 1;
}

static watch *watch_new(queue_object *self, cpl_wait *wait) {
    watch *w = PyMem_Calloc(1, sizeof *w);
    if (!w) {
        PyErr_NoMemory();
        return NULL;
    }
    w->observer = (cpl_observer){look, w};
    if (observe_begin(&w->context, self->holds.held, OBSERVE_OPENLY, &self->thread, wait)) {
        if (wait->observer) wait->observer = &w->observer;
        return w;
    }
    free_watch(w);
    return NULL;
}

/* The call's, taken out of the list; NULL when nobody looked on. */
static watch *watch_of(queue_object *self, uint64_t id) {
    for (watch **at = &self->watches; *at; at = &(*at)->next) {
        watch *w = *at;
        if (w->id != id) continue;
        *at = w->next;
        return w;
    }
    return NULL;
}

/* ---- methods ---- */

static PyObject *queue_submit(PyObject *object, PyObject *args) {
    queue_object *self = (queue_object *)object;
    cpl_str operation, text;
    Py_ssize_t n;
    PyObject *params;
    if (!PyArg_ParseTuple(args, "s#O!:submit", &operation.p, &n, &PyDict_Type, &params)) return NULL;
    operation.n = (size_t)n;
    cpl_writer *writer = convert_text(state_of(object), params, &text);
    cpl_call_options options = {.flags = CPL_CALL_UNCHECKED};
    watch *w = writer ? watch_new(self, &options.wait) : NULL;
    uint64_t id = 0;
    if (w) {
        cpl_error err = {0};
        if (cpl_queue_submit(self->handle, operation, text, &options, &id, &err) != CPL_OK) error_raise(&err);
    }
    cpl_writer_free(writer);
    if (w && id && w->context.tell) {
        w->id = id;
        w->next = self->watches;
        self->watches = w;
    } else if (w) {
        free_watch(w);
    }
    return id ? PyLong_FromUnsignedLongLong(id) : NULL;
}

/* (id, answer, None) or (id, None, exception); takes over what done and w own. */
static PyObject *outcome(module_state *state, cpl_done *done, watch *w) {
    PyObject *answer = NULL, *raised = w ? w->raised : NULL;
    if (raised) {
        w->raised = NULL;
    } else {
        if (done->status == CPL_OK) {
            answer = convert_reply(state, done->reply);
        } else if (done->reply) {
            error_raise_answer(state, &done->err, done->reply);
        } else {
            error_raise(&done->err);
        }
        if (!answer) raised = taken_exception();
    }
    cpl_reply_free(done->reply);
    if (w) free_watch(w);
    PyObject *id = PyLong_FromUnsignedLongLong(done->id);
    PyObject *made = id ? PyTuple_Pack(3, id, answer ? answer : Py_None, raised ? raised : Py_None) : NULL;
    Py_XDECREF(id);
    Py_XDECREF(answer);
    Py_XDECREF(raised);
    return made;
}

static PyObject *queue_next(PyObject *object, PyObject *args) {
    queue_object *self = (queue_object *)object;
    int64_t timeout_ms;
    cpl_done done = {0};
    cpl_error err = {0};
    if (!PyArg_ParseTuple(args, "O&:next", module_milliseconds, &timeout_ms)) return NULL;
    if (self->busy) return error_state("another thread is in next()");
    self->busy = true;
    cpl_wait wait = {.timeout_ms = timeout_ms}; /* signals are the main thread's, which waits elsewhere */
    self->thread = PyEval_SaveThread();
    cpl_status status = cpl_queue_next(self->handle, &wait, &done, &err);
    PyEval_RestoreThread(self->thread);
    self->busy = false;
    if (status) return error_raise(&err);
    if (!done.id) Py_RETURN_NONE;
    return outcome(state_of(object), &done, watch_of(self, done.id));
}

static PyObject *queue_cancel(PyObject *self, PyObject *number) {
    uint64_t id = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred()) return NULL;
    return PyBool_FromLong(cpl_queue_cancel(((queue_object *)self)->handle, id));
}

static PyObject *queue_wake(PyObject *self, PyObject *unused) {
    (void)unused;
    cpl_queue_wake(((queue_object *)self)->handle);
    Py_RETURN_NONE;
}

static PyObject *get_pending(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(cpl_queue_pending(((queue_object *)self)->handle));
}

static PyMethodDef methods[] = {
    {"submit", queue_submit, METH_VARARGS,
     "submit($self, operation, params, /)\n--\n\nBegins a call; its id. What is wrong is raised at once."},
    {"next", queue_next, METH_VARARGS,
     "next($self, timeout, /)\n--\n\nMoves all calls; (id, answer, exception) of one that ended, or None."},
    {"cancel", queue_cancel, METH_O, "cancel($self, id, /)\n--\n\nFalse when the call has ended already."},
    {"wake", queue_wake, METH_NOARGS, "wake($self, /)\n--\n\nEnds the next() under way, or the next one."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef properties[] = {{"pending", get_pending, NULL, "Begun and not yet handed out.", NULL},
                                   {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, queue_new},
                              {Py_tp_dealloc, queue_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, properties},
                              HOLDER_SLOTS,
                              {Py_tp_doc, "Calls under way."},
                              {0, NULL}};

PyType_Spec queue_spec = {"codepipeline._core.Queue", sizeof(queue_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                          slots};
