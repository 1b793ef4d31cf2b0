/* SPDX-License-Identifier: MIT */
/* _core.Run: one execution to wait for, follow and act upon. For one thread at a time; a second one is told so. */
#include "module.h"

typedef struct run_object {
    holder holds; /* the client */
    cpl_run *handle;
    bool busy; /* a thread is in a call of this run; guarded by the GIL */
} run_object;

static cpl_run *handle_of(PyObject *self) {
    return ((run_object *)self)->handle;
}

static PyObject *client_of(PyObject *self) {
    return ((holder *)self)->held;
}

/* Takes run over, also when it fails. */
static PyObject *run_object_new(module_state *state, cpl_run *run, PyObject *client) {
    run_object *self = (run_object *)PyType_GenericAlloc((PyTypeObject *)state->run_type, 0);
    if (self) {
        self->handle = run;
        Py_XINCREF(client);
        self->holds.held = client;
    } else {
        cpl_run_free(run);
    }
    return (PyObject *)self;
}

static PyObject *run_refuse_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)type, (void)args, (void)kwargs;
    PyErr_SetString(PyExc_TypeError, "runs come from a client");
    return NULL;
}

static void run_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    cpl_run_free(handle_of(self));
    holder_dealloc(self);
}

/* ---- one call at a time, without the GIL ---- */

typedef struct turn {
    run_object *self; /* NULL: a call that makes a run */
    cpl_run *run;
    PyThreadState *thread;
    cpl_wait wait;
    observe_context watch;
    cpl_error err;
} turn;

/* False with an exception set; else the GIL is released until turn_end(). clients: those that may be asked through. */
static bool turn_begin(turn *t, PyObject *self, PyObject *clients, int64_t timeout_ms) {
    memset(t, 0, sizeof *t);
    t->self = (run_object *)self;
    if (self && t->self->busy) {
        error_state("another thread is using this run");
        return false;
    }
    t->wait = module_wait(&t->thread, timeout_ms);
    if (!observe_begin(&t->watch, clients, OBSERVE_OPENLY, &t->thread, &t->wait)) return false;
    if (self) {
        t->run = t->self->handle;
        t->self->busy = true;
    }
    t->thread = PyEval_SaveThread();
    return true;
}

/* False with an exception set. */
static bool turn_end(turn *t, cpl_status status) {
    PyEval_RestoreThread(t->thread);
    if (t->self) t->self->busy = false;
    observe_end(&t->watch);
    return module_done(status, &t->err);
}

static PyObject *turn_none(turn *t, cpl_status status) {
    if (!turn_end(t, status)) return NULL;
    Py_RETURN_NONE;
}

/* The document of a reply of ours; frees it. */
static PyObject *turn_document(turn *t, module_state *state, cpl_status status, cpl_reply *reply) {
    PyObject *document = NULL;
    cpl_cursor cursor;
    if (turn_end(t, status)) {
        cpl_reply_cursor(reply, &cursor);
        document = convert_read(state, &cursor, false);
    }
    cpl_reply_free(reply);
    return document;
}

/* ---- making ---- */

/* value as JSON; absent for None. False with an exception set; *writer keeps the text. */
static bool text_of(module_state *state, PyObject *value, cpl_writer **writer, cpl_str *text) {
    *writer = NULL;
    if (value == Py_None) return true;
    *writer = convert_text(state, value, text);
    return *writer != NULL;
}

PyObject *run_start(PyObject *module, PyObject *args) {
    module_state *state = PyModule_GetState(module);
    PyObject *client, *variables, *revisions, *made = NULL;
    cpl_start start = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    cpl_run_options options = {0};
    cpl_writer *writers[2] = {NULL, NULL};
    cpl_run *run = NULL;
    turn t;
    if (!PyArg_ParseTuple(args, "Os#OOz#O&O&:run_start", &client, &start.pipeline.p, &start.pipeline.n, &variables,
                          &revisions, &start.client_request_token.p, &start.client_request_token.n, module_milliseconds,
                          &options.poll_interval_ms, module_milliseconds, &options.unclaimed_after_ms)) {
        return NULL;
    }
    cpl_client *handle = client_check(state, client);
    if (handle && text_of(state, variables, &writers[0], &start.variables) &&
        text_of(state, revisions, &writers[1], &start.revisions) && turn_begin(&t, NULL, client, 0)) {
        cpl_status status = cpl_run_start(&run, handle, &start, &options, &t.wait, &t.err);
        if (turn_end(&t, status)) {
            made = run_object_new(state, run, client);
        } else {
            cpl_run_free(run);
        }
    }
    cpl_writer_free(writers[0]);
    cpl_writer_free(writers[1]);
    return made;
}

PyObject *run_open(PyObject *module, PyObject *args) {
    module_state *state = PyModule_GetState(module);
    PyObject *client;
    cpl_target target = {{NULL, 0}, {NULL, 0}};
    cpl_run_options options = {0};
    cpl_run *run = NULL;
    turn t;
    if (!PyArg_ParseTuple(args, "Os#z#O&O&:run_open", &client, &target.pipeline.p, &target.pipeline.n,
                          &target.execution_id.p, &target.execution_id.n, module_milliseconds,
                          &options.poll_interval_ms, module_milliseconds, &options.unclaimed_after_ms)) {
        return NULL;
    }
    cpl_client *handle = client_check(state, client);
    if (!handle || !turn_begin(&t, NULL, client, 0)) return NULL;
    if (turn_end(&t, cpl_run_open(&run, handle, &target, &options, &t.wait, &t.err)))
        return run_object_new(state, run, client);
    cpl_run_free(run);
    return NULL;
}

PyObject *run_approvals(PyObject *module, PyObject *args) {
    module_state *state = PyModule_GetState(module);
    PyObject *client;
    cpl_str pipeline = {NULL, 0};
    cpl_reply *reply = NULL;
    turn t;
    if (!PyArg_ParseTuple(args, "Oz#:approvals", &client, &pipeline.p, &pipeline.n)) return NULL;
    cpl_client *handle = client_check(state, client);
    if (!handle || !turn_begin(&t, NULL, client, 0)) return NULL;
    cpl_status status = cpl_client_approvals(handle, pipeline, &t.wait, &reply, &t.err);
    return turn_document(&t, state, status, reply);
}

PyObject *run_metrics(PyObject *module, PyObject *args) {
    module_state *state = PyModule_GetState(module);
    PyObject *client, *pipelines, *document = NULL;
    cpl_metrics_options options = {{NULL, 0}, 0};
    cpl_writer *writer = NULL;
    cpl_reply *reply = NULL;
    turn t;
    if (!PyArg_ParseTuple(args, "OOd:metrics", &client, &pipelines, &options.since)) return NULL;
    cpl_client *handle = client_check(state, client);
    if (handle && text_of(state, pipelines, &writer, &options.pipelines) && turn_begin(&t, NULL, client, 0)) {
        cpl_status status = cpl_client_metrics(handle, &options, &t.wait, &reply, &t.err);
        document = turn_document(&t, state, status, reply);
    }
    cpl_writer_free(writer);
    return document;
}

/* ---- events ---- */

static PyObject *event_object(const cpl_event *event) {
    return Py_BuildValue("{s:s,s:d,s:i,s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:N}",                    /* */
                         "kind", cpl_event_name(event->kind),                                /* */
                         "time", event->time,                                                /* */
                         "percent", event->percent,                                          /* */
                         "stage", module_text(event->stage),                                 /* */
                         "action", module_text(event->action),                               /* */
                         "status", module_text(event->status),                               /* */
                         "message", module_text(event->message),                             /* */
                         "code", module_text(event->code),                                   /* */
                         "url", module_text(event->url),                                     /* */
                         "external_execution_id", module_text(event->external_execution_id), /* */
                         "by", module_text(event->by));
}

static PyObject *run_next(PyObject *self, PyObject *timeout) {
    const cpl_event *event = NULL;
    int64_t timeout_ms;
    turn t;
    if (!module_milliseconds(timeout, &timeout_ms) || !turn_begin(&t, self, client_of(self), timeout_ms)) return NULL;
    if (!turn_end(&t, cpl_run_next(t.run, &t.wait, &event, &t.err))) return NULL;
    return event ? event_object(event) : module_text(NULL);
}

static PyObject *run_step(PyObject *self, PyObject *unused) {
    const cpl_event *event = NULL;
    int64_t due_ms;
    turn t;
    (void)unused;
    if (!turn_begin(&t, self, client_of(self), 0)) return NULL;
    if (!turn_end(&t, cpl_run_step(t.run, &t.wait, &event, &due_ms, &t.err))) return NULL;
    return Py_BuildValue("(Nd)", event ? event_object(event) : module_text(NULL), (double)due_ms / 1000);
}

/* The handles of a list of runs, each of which becomes busy; NULL, and none is, with an exception set. */
static cpl_run **runs_begin(module_state *state, PyObject *list) {
    Py_ssize_t count = PyList_Size(list), i = 0;
    cpl_run **runs = PyMem_Calloc((size_t)count + 1, sizeof *runs);
    if (!runs) PyErr_NoMemory();
    for (; runs && i < count; i++) {
        PyObject *run = PyList_GetItem(list, i); /* borrowed */
        if ((PyObject *)Py_TYPE(run) != state->run_type) {
            PyErr_SetString(PyExc_TypeError, "runs must be Run objects");
            break;
        }
        if (((run_object *)run)->busy) {
            error_state("a run is given twice, or another thread is using it");
            break;
        }
        ((run_object *)run)->busy = true;
        runs[i] = handle_of(run);
    }
    if (runs && i == count) return runs;
    while (runs && i-- > 0) ((run_object *)PyList_GetItem(list, i))->busy = false;
    PyMem_Free(runs);
    return NULL;
}

/* A new list of the clients of a list of runs. */
static PyObject *clients_of(PyObject *list) {
    PyObject *clients = PyList_New(0);
    for (Py_ssize_t i = 0; clients && i < PyList_Size(list); i++) {
        PyObject *client = client_of(PyList_GetItem(list, i));
        if (client && PyList_Append(clients, client) < 0) Py_CLEAR(clients);
    }
    return clients;
}

/* A copy of the list, so that nobody changes it while the core waits. */
PyObject *run_next_of(PyObject *module, PyObject *args) {
    PyObject *given, *made = NULL;
    const cpl_event *event = NULL;
    int64_t timeout_ms;
    size_t which = 0;
    turn t;
    if (!PyArg_ParseTuple(args, "OO&:runs_next", &given, module_milliseconds, &timeout_ms)) return NULL;
    PyObject *list = PySequence_List(given);
    cpl_run **runs = list ? runs_begin(PyModule_GetState(module), list) : NULL;
    PyObject *clients = runs ? clients_of(list) : NULL;
    size_t count = runs ? (size_t)PyList_Size(list) : 0;
    if (clients && turn_begin(&t, NULL, clients, timeout_ms)) {
        cpl_status status = cpl_runs_next(runs, count, &t.wait, &which, &event, &t.err);
        bool done = turn_end(&t, status);
        if (done) made = event ? Py_BuildValue("(nN)", (Py_ssize_t)which, event_object(event)) : module_text(NULL);
    }
    for (size_t i = 0; i < count; i++) ((run_object *)PyList_GetItem(list, (Py_ssize_t)i))->busy = false;
    PyMem_Free(runs);
    Py_XDECREF(clients);
    Py_XDECREF(list);
    return made;
}

/* ---- acting ---- */

static PyObject *run_wait(PyObject *self, PyObject *timeout) {
    int64_t timeout_ms;
    turn t;
    if (!module_milliseconds(timeout, &timeout_ms) || !turn_begin(&t, self, client_of(self), timeout_ms)) return NULL;
    return turn_none(&t, cpl_run_wait(t.run, &t.wait, &t.err));
}

static PyObject *run_refresh(PyObject *self, PyObject *unused) {
    (void)unused;
    turn t;
    if (!turn_begin(&t, self, client_of(self), 0)) return NULL;
    return turn_none(&t, cpl_run_refresh(t.run, &t.wait, &t.err));
}

static PyObject *run_explain(PyObject *self, PyObject *unused) {
    (void)unused;
    cpl_reply *reply = NULL;
    turn t;
    if (!turn_begin(&t, self, client_of(self), 0)) return NULL;
    cpl_status status = cpl_run_explain(t.run, &t.wait, &reply, &t.err);
    return turn_document(&t, state_of(self), status, reply);
}

static PyObject *run_stop(PyObject *self, PyObject *args) {
    cpl_str reason = {NULL, 0};
    int abandon;
    turn t;
    if (!PyArg_ParseTuple(args, "z#p:stop", &reason.p, &reason.n, &abandon) ||
        !turn_begin(&t, self, client_of(self), 0))
        return NULL;
    return turn_none(&t, cpl_run_stop(t.run, reason, abandon, &t.wait, &t.err));
}

static PyObject *run_retry(PyObject *self, PyObject *args) {
    cpl_str stage = {NULL, 0};
    int all_actions;
    turn t;
    if (!PyArg_ParseTuple(args, "s#p:retry", &stage.p, &stage.n, &all_actions) ||
        !turn_begin(&t, self, client_of(self), 0))
        return NULL;
    return turn_none(&t, cpl_run_retry(t.run, stage, all_actions, &t.wait, &t.err));
}

static PyObject *run_rollback(PyObject *self, PyObject *args) {
    cpl_str stage = {NULL, 0}, target = {NULL, 0};
    cpl_run *made = NULL;
    turn t;
    if (!PyArg_ParseTuple(args, "s#z#:rollback", &stage.p, &stage.n, &target.p, &target.n)) return NULL;
    if (!turn_begin(&t, self, client_of(self), 0)) return NULL;
    cpl_status status = cpl_run_rollback(t.run, stage, target, &t.wait, &made, &t.err);
    if (turn_end(&t, status)) return run_object_new(state_of(self), made, client_of(self));
    cpl_run_free(made);
    return NULL;
}

static PyObject *run_decide(PyObject *self, PyObject *args) {
    cpl_decision decision = {{NULL, 0}, {NULL, 0}, false, {NULL, 0}};
    int approved;
    turn t;
    if (!PyArg_ParseTuple(args, "s#s#pz#:decide", &decision.stage.p, &decision.stage.n, &decision.action.p,
                          &decision.action.n, &approved, &decision.summary.p, &decision.summary.n)) {
        return NULL;
    }
    decision.approved = approved;
    if (!turn_begin(&t, self, client_of(self), 0)) return NULL;
    return turn_none(&t, cpl_run_decide(t.run, &decision, &t.wait, &t.err));
}

/* ---- what is known ---- */

static PyObject *get_id(PyObject *self, void *unused) {
    (void)unused;
    return module_text(cpl_run_id(handle_of(self)));
}

static PyObject *get_pipeline(PyObject *self, void *unused) {
    (void)unused;
    return module_text(cpl_run_pipeline(handle_of(self)));
}

static PyObject *get_status(PyObject *self, void *unused) {
    (void)unused;
    return module_text(cpl_run_status(handle_of(self)));
}

static PyObject *get_ended(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(cpl_run_ended(handle_of(self)));
}

static PyMethodDef methods[] = {
    {"next", run_next, METH_O,
     "next($self, timeout, /)\n--\n\nThe next event as a dict; None after timeout seconds or the end."},
    {"step", run_step, METH_NOARGS,
     "step($self, /)\n--\n\n(event or None, seconds until there may be one; 0: it has ended). Does not wait."},
    {"wait", run_wait, METH_O, "wait($self, timeout, /)\n--\n\nWaits for the end; TimeoutError after timeout seconds."},
    {"refresh", run_refresh, METH_NOARGS, "refresh($self, /)\n--\n\nLooks at the status again, if it is old."},
    {"explain", run_explain, METH_NOARGS, "explain($self, /)\n--\n\nWhy it is stuck or how it ended, as a dict."},
    {"stop", run_stop, METH_VARARGS, "stop($self, reason, abandon, /)\n--\n\nStops the execution."},
    {"retry", run_retry, METH_VARARGS, "retry($self, stage, all_actions, /)\n--\n\nRuns a failed stage again."},
    {"rollback", run_rollback, METH_VARARGS, "rollback($self, stage, target, /)\n--\n\nThe execution this starts."},
    {"decide", run_decide, METH_VARARGS,
     "decide($self, stage, action, approved, summary, /)\n--\n\nAnswers an approval of this execution."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef properties[] = {{"id", get_id, NULL, "Of the execution.", NULL},
                                   {"pipeline", get_pipeline, NULL, "The pipeline's name.", NULL},
                                   {"status", get_status, NULL, "As last seen.", NULL},
                                   {"ended", get_ended, NULL, "Whether that is an end.", NULL},
                                   {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, run_refuse_new},
                              {Py_tp_dealloc, run_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, properties},
                              HOLDER_SLOTS,
                              {Py_tp_doc, "One execution; see codepipeline.Run."},
                              {0, NULL}};

PyType_Spec run_spec = {"codepipeline._core.Run", sizeof(run_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                        slots};
