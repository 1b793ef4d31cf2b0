/* SPDX-License-Identifier: MIT */
/* _core.Worker: the core's pull interface, next() hands out one _core.Job. */
#include "module.h"

typedef struct worker_object {
    holder holds; /* the list of its clients */
    cpl_worker *handle;
    bool busy; /* a thread is in next(); guarded by the GIL */
} worker_object;

static cpl_worker *handle_of(PyObject *self) {
    return ((worker_object *)self)->handle;
}

static PyObject *worker_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"client",         "concurrency", "poll_interval", "work_dir",
                            "artifact_limit", "journal",     "grace",         NULL};
    cpl_worker_options options = {0};
    cpl_error err = {0};
    Py_ssize_t limit = 0;
    PyObject *client;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$iO&z#nz#O&:Worker", names, &client, &options.concurrency,
                                     module_milliseconds, &options.poll_interval_ms, &options.work_dir.p,
                                     &options.work_dir.n, &limit, &options.journal.p, &options.journal.n,
                                     module_milliseconds, &options.grace_ms)) {
        return NULL;
    }
    module_state *state = PyType_GetModuleState(type);
    if (!client_check(state, client)) return NULL;
    if (limit < 0) {
        PyErr_SetString(PyExc_ValueError, "artifact_limit cannot be negative");
        return NULL;
    }
    options.artifact_limit = (size_t)limit;
    worker_object *self = (worker_object *)PyType_GenericAlloc(type, 0);
    if (self && !(self->holds.held = Py_BuildValue("[O]", client))) Py_CLEAR(self);
    if (self && cpl_worker_new(&self->handle, client_handle(client), &options, &err) != CPL_OK) {
        error_raise(&err);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void worker_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    cpl_worker_free(handle_of(self));
    holder_dealloc(self);
}

/* Also in the jobs' list, which is this one. */
static bool keep_client(PyObject *self, PyObject *client) {
    PyObject *clients = ((holder *)self)->held;
    int known = PySequence_Contains(clients, client);
    return known >= 0 && (known || PyList_Append(clients, client) == 0);
}

static PyObject *worker_add(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"category",   "provider",    "version", "query_key", "query_value",
                            "idempotent", "third_party", "client",  NULL};
    cpl_action_type type = {0};
    cpl_error err = {0};
    PyObject *client = Py_None;
    int index, idempotent = 0, third_party = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s#s#s#|z#z#$ppO:add", names, &type.category.p, &type.category.n,
                                     &type.provider.p, &type.provider.n, &type.version.p, &type.version.n,
                                     &type.query_key.p, &type.query_key.n, &type.query_value.p, &type.query_value.n,
                                     &idempotent, &third_party, &client)) {
        return NULL;
    }
    if (client != Py_None && !(type.client = client_check(state_of(self), client))) return NULL;
    if (client != Py_None && !keep_client(self, client)) return NULL;
    type.idempotent = idempotent;
    type.third_party = third_party;
    if (cpl_worker_add(handle_of(self), &type, &index, &err) != CPL_OK) return error_raise(&err);
    return PyLong_FromLong(index);
}

/* (job, None), (None, error) after a poll that failed and will be repeated, or (None, None). */
static PyObject *handed_out(PyObject *self, cpl_job *job, const cpl_error *err) {
    PyObject *trouble = NULL;
    PyObject *object = job ? job_new(state_of(self), job, ((holder *)self)->held) : module_text(NULL);
    if (!object) return NULL;
    trouble = err->status == CPL_OK ? module_text(NULL) : error_object(err);
    if (trouble) return Py_BuildValue("(NN)", object, trouble);
    Py_DECREF(object);
    return NULL;
}

/* What is asked for: the next job; jobs for those in take(), and none is answered here; no more. */
typedef enum question { NEXT, FEED, FAREWELL } question;

static cpl_status put_question(cpl_worker *worker, question what, const cpl_wait *wait, cpl_job **job, cpl_error *err) {
    if (what == FEED) return cpl_worker_feed(worker, wait, err);
    if (what == FAREWELL) return cpl_worker_farewell(worker, wait, err);
    return cpl_worker_next(worker, wait, job, err);
}

static PyObject *ask(PyObject *self, PyObject *timeout, question what) {
    worker_object *worker = (worker_object *)self;
    int64_t timeout_ms;
    if (!module_milliseconds(timeout, &timeout_ms)) return NULL;
    if (worker->busy) return error_state("another thread is waiting for this worker's next job");

    PyThreadState *thread;
    cpl_wait wait = module_wait(&thread, timeout_ms);
    observe_context watch;
    cpl_job *job = NULL;
    cpl_error err = {0};
    if (!observe_begin(&watch, worker->holds.held, OBSERVE_FIRMLY, &thread, &wait)) return NULL;
    worker->busy = true;
    thread = PyEval_SaveThread();
    cpl_status status = put_question(worker->handle, what, &wait, &job, &err);
    PyEval_RestoreThread(thread);
    worker->busy = false;
    observe_end(&watch);

    if (module_done(status, &err)) return handed_out(self, job, &err);
    cpl_job_free(job);
    return NULL;
}

static PyObject *worker_next(PyObject *self, PyObject *timeout) {
    return ask(self, timeout, NEXT);
}

static PyObject *worker_feed(PyObject *self, PyObject *timeout) {
    return ask(self, timeout, FEED);
}

static PyObject *worker_farewell(PyObject *self, PyObject *timeout) {
    return ask(self, timeout, FAREWELL);
}

static PyObject *worker_take(PyObject *self, PyObject *unused) {
    (void)unused;
    PyThreadState *thread;
    cpl_wait wait = module_wait(&thread, 0);
    observe_context watch;
    if (!observe_begin(&watch, ((holder *)self)->held, OBSERVE_FIRMLY, &thread, &wait)) return NULL;
    thread = PyEval_SaveThread();
    cpl_job *job = cpl_worker_take(handle_of(self), &wait);
    PyEval_RestoreThread(thread);
    observe_end(&watch);
    return job ? job_new(state_of(self), job, ((holder *)self)->held) : module_text(NULL);
}

static PyObject *worker_dismiss(PyObject *self, PyObject *count) {
    long n = PyLong_AsLong(count);
    if (n == -1 && PyErr_Occurred()) return NULL;
    cpl_worker_dismiss(handle_of(self), (int)n);
    Py_RETURN_NONE;
}

static PyObject *worker_tally(PyObject *self, PyObject *unused) {
    (void)unused;
    cpl_tally tally = cpl_worker_tally(handle_of(self));
    return Py_BuildValue("{s:i,s:i,s:i,s:i}", "succeeded", tally.succeeded, "failed", tally.failed, "continued",
                         tally.continued, "unreported", tally.unreported);
}

static PyObject *worker_token_wanted(PyObject *self, PyObject *unused) {
    (void)unused;
    return module_text(cpl_worker_token_wanted(handle_of(self)));
}

static PyObject *worker_give_token(PyObject *self, PyObject *args) {
    cpl_str client_id, token;
    cpl_error err = {0};
    if (!PyArg_ParseTuple(args, "s#z#:give_token", &client_id.p, &client_id.n, &token.p, &token.n)) return NULL;
    if (cpl_worker_give_token(handle_of(self), client_id, token, &err) != CPL_OK) return error_raise(&err);
    Py_RETURN_NONE;
}

static PyObject *worker_stop(PyObject *self, PyObject *unused) {
    (void)unused;
    cpl_worker_stop(handle_of(self));
    Py_RETURN_NONE;
}

static PyObject *worker_cancel(PyObject *self, PyObject *unused) {
    (void)unused;
    cpl_worker_cancel(handle_of(self));
    Py_RETURN_NONE;
}

static PyObject *get_cancelled(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(cpl_worker_cancelled(handle_of(self)));
}

static PyObject *get_warning(PyObject *self, void *unused) {
    (void)unused;
    return module_text(cpl_worker_warning(handle_of(self)));
}

static PyObject *get_stopping(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(cpl_worker_stopping(handle_of(self)));
}

static PyObject *get_running(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromLong(cpl_worker_running(handle_of(self)));
}

static PyMethodDef methods[] = {
    {"add", (PyCFunction)(void (*)(void))worker_add, METH_VARARGS | METH_KEYWORDS,
     "add($self, category, provider, version, query_key=None, query_value=None, *, idempotent=False,\n"
     "    third_party=False, client=None)\n--\n\n"
     "Adds an action type; its index, counting from 0."},
    {"next", worker_next, METH_O,
     "next($self, timeout, /)\n--\n\n"
     "(job, None); (None, error) after a poll that failed and will be repeated; (None, None) after timeout seconds\n"
     "or when the worker is stopping."},
    {"feed", worker_feed, METH_O,
     "feed($self, timeout, /)\n--\n\n"
     "next() over and over: hands the jobs to those in take(), and answers what next() would without one."},
    {"farewell", worker_farewell, METH_O,
     "farewell($self, timeout, /)\n--\n\n"
     "Gives back the jobs that were not begun, and sends what is owed; answers what next() would without a job."},
    {"take", worker_take, METH_NOARGS,
     "take($self, /)\n--\n\nWaits for a job of feed(), which Ctrl-C does not end; None when dismissed."},
    {"dismiss", worker_dismiss, METH_O, "dismiss($self, count, /)\n--\n\nSo many in take() get None at the end."},
    {"tally", worker_tally, METH_NOARGS, "tally($self, /)\n--\n\nWhat became of the jobs, as a dict of numbers."},
    {"token_wanted", worker_token_wanted, METH_NOARGS,
     "token_wanted($self, /)\n--\n\nThe id of the customer whose client token is needed, or None."},
    {"give_token", worker_give_token, METH_VARARGS,
     "give_token($self, client_id, token, /)\n--\n\nA customer's client token; None or empty: there is none."},
    {"stop", worker_stop, METH_NOARGS, "stop($self, /)\n--\n\nEnds polling, from any thread."},
    {"cancel", worker_cancel, METH_NOARGS, "cancel($self, /)\n--\n\nstop(), and tells the jobs that they should end."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef properties[] = {{"stopping", get_stopping, NULL, "Whether stop() was called.", NULL},
                                   {"cancelled", get_cancelled, NULL, "Whether the jobs should end.", NULL},
                                   {"warning", get_warning, NULL, "What became of a damaged journal, or None.", NULL},
                                   {"running", get_running, NULL, "Jobs handed out and not yet answered.", NULL},
                                   {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, worker_new},
                              {Py_tp_dealloc, worker_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, properties},
                              HOLDER_SLOTS,
                              {Py_tp_doc, "Takes jobs for custom actions; see codepipeline.Worker."},
                              {0, NULL}};

PyType_Spec worker_spec = {"codepipeline._core.Worker", sizeof(worker_object), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};
