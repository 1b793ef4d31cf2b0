/* SPDX-License-Identifier: MIT */
/* _core.Job: one job, its artifacts and its one result. For one thread at a time; a second one is told so. */
#include "module.h"

typedef struct job_object {
    holder holds;       /* the clients it may ask through */
    cpl_job *handle;    /* NULL once freed */
    PyObject *progress; /* called while an artifact moves; NULL: nothing is */
    bool busy;          /* a thread is in a call of this job; guarded by the GIL */
} job_object;

PyObject *job_new(module_state *state, cpl_job *job, PyObject *clients) {
    job_object *self = (job_object *)PyType_GenericAlloc((PyTypeObject *)state->job_type, 0);
    if (self) {
        self->handle = job;
        Py_XINCREF(clients);
        self->holds.held = clients;
    } else {
        cpl_job_free(job);
    }
    return (PyObject *)self;
}

static PyObject *job_refuse_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)type, (void)args, (void)kwargs;
    PyErr_SetString(PyExc_TypeError, "jobs come from a worker or an event");
    return NULL;
}

/* The hook may well hold on to the job. */
static int job_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((job_object *)self)->progress);
    return holder_traverse(self, visit, arg);
}

static int job_clear(PyObject *self) {
    Py_CLEAR(((job_object *)self)->progress);
    return holder_clear(self);
}

static void job_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    (void)job_clear(self);
    cpl_job_free(((job_object *)self)->handle);
    holder_dealloc(self);
}

/* The handle for reading what never changes, or NULL with StateError set. */
static cpl_job *open_job(PyObject *self) {
    cpl_job *handle = ((job_object *)self)->handle;
    if (!handle) error_state("the job is over");
    return handle;
}

/* ---- one call at a time, without the GIL ---- */

typedef struct turn {
    job_object *self;
    cpl_job *job;
    PyThreadState *thread;
    progress_context progress;
    cpl_wait wait;
    observe_context watch;
    cpl_error err;
} turn;

/* False with an exception set; else the GIL is released until turn_end(). */
static bool turn_begin(turn *t, PyObject *self) {
    if (!open_job(self)) return false;
    memset(t, 0, sizeof *t);
    t->self = (job_object *)self;
    t->job = t->self->handle;
    if (t->self->busy) {
        error_state("another thread is using this job");
        return false;
    }
    t->wait = progress_begin(&t->progress, t->self->progress, &t->thread);
    if (!observe_begin(&t->watch, t->self->holds.held, OBSERVE_FIRMLY, &t->thread, &t->wait)) {
        progress_end(&t->progress);
        return false;
    }
    t->self->busy = true;
    t->thread = PyEval_SaveThread();
    return true;
}

/* False with an exception set. */
static bool turn_end(turn *t, cpl_status status) {
    PyEval_RestoreThread(t->thread);
    progress_end(&t->progress);
    t->self->busy = false;
    observe_end(&t->watch);
    return module_done(status, &t->err);
}

/* ---- what the job says ---- */

static PyObject *get_field(PyObject *self, void *field) {
    const cpl_job *job = open_job(self);
    return job ? module_text(cpl_job_text(job, (cpl_job_field)(intptr_t)field)) : NULL;
}

/* A large one is fetched. */
static PyObject *get_state(PyObject *self, void *unused) {
    (void)unused;
    turn t;
    const char *text = NULL;
    cpl_cursor cursor;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_state(t.job, &t.wait, &text, &t.err))) return NULL;
    if (!text) Py_RETURN_NONE;
    cpl_cursor_init(&cursor, cpl_str_of(text));
    return convert_read(state_of(self), &cursor, false);
}

static PyObject *get_state_is_stored(PyObject *self, void *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    return job ? PyBool_FromLong(cpl_job_state_is_stored(job)) : NULL;
}

static PyObject *get_configuration(PyObject *self, void *unused) {
    (void)unused;
    cpl_cursor cursor;
    cpl_error err;
    cpl_job *job = open_job(self);
    if (!job) return NULL;
    if (cpl_job_configuration(job, &cursor, &err)) return error_raise(&err);
    return convert_read(state_of(self), &cursor, false);
}

static PyObject *names_of(const cpl_job *job, size_t count, const char *(*name)(const cpl_job *, size_t)) {
    PyObject *names = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; names && i < count; i++) {
        PyObject *text = module_text(name(job, i));
        if (!text) {
            Py_CLEAR(names);
        } else {
            PyTuple_SetItem(names, (Py_ssize_t)i, text);
        }
    }
    return names;
}

static PyObject *get_inputs(PyObject *self, void *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    return job ? names_of(job, cpl_job_input_count(job), cpl_job_input_name) : NULL;
}

static PyObject *get_outputs(PyObject *self, void *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    return job ? names_of(job, cpl_job_output_count(job), cpl_job_output_name) : NULL;
}

static PyObject *get_action_type(PyObject *self, void *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    return job ? PyLong_FromLong(cpl_job_action_type(job)) : NULL;
}

static PyObject *get_answered(PyObject *self, void *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    return job ? PyBool_FromLong(cpl_job_answered(job)) : NULL;
}

static PyObject *get_expired(PyObject *self, void *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    return job ? PyBool_FromLong(cpl_job_expired(job)) : NULL;
}

static PyObject *get_cancelled(PyObject *self, void *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    return job ? PyBool_FromLong(cpl_job_cancelled(job)) : NULL;
}

static PyObject *get_progress(PyObject *self, void *unused) {
    (void)unused;
    PyObject *hook = ((job_object *)self)->progress;
    if (!hook) Py_RETURN_NONE;
    Py_INCREF(hook);
    return hook;
}

static int set_progress(PyObject *self, PyObject *hook, void *unused) {
    (void)unused;
    PyObject *before = ((job_object *)self)->progress;
    if (hook && hook != Py_None && !PyCallable_Check(hook)) {
        PyErr_SetString(PyExc_TypeError, "progress is a function, or None");
        return -1;
    }
    if (hook == Py_None) hook = NULL;
    Py_XINCREF(hook);
    ((job_object *)self)->progress = hook;
    Py_XDECREF(before);
    return 0;
}

static PyObject *job_data(PyObject *self, PyObject *args) {
    int secrets;
    cpl_cursor cursor;
    cpl_error err;
    if (!PyArg_ParseTuple(args, "p:data", &secrets)) return NULL;
    cpl_job *job = open_job(self);
    if (!job) return NULL;
    if (cpl_job_data(job, &cursor, &err)) return error_raise(&err);
    return convert_read(state_of(self), &cursor, !secrets);
}

/* ---- artifacts ---- */

static PyObject *job_work_dir(PyObject *self, PyObject *unused) {
    (void)unused;
    turn t;
    const char *path;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_work_dir(t.job, &path, &t.err))) return NULL;
    return PyUnicode_DecodeFSDefault(path);
}

static PyObject *job_input_path(PyObject *self, PyObject *args) {
    turn t;
    cpl_str name;
    const char *path;
    if (!PyArg_ParseTuple(args, "s#:input_path", &name.p, &name.n)) return NULL;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_input_path(t.job, name, &t.wait, &path, &t.err))) return NULL;
    return PyUnicode_DecodeFSDefault(path);
}

static PyObject *job_input_extract(PyObject *self, PyObject *args) {
    turn t;
    cpl_str name, directory;
    const char *path;
    if (!PyArg_ParseTuple(args, "s#y#:input_extract", &name.p, &name.n, &directory.p, &directory.n)) return NULL;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_input_extract(t.job, name, directory, &t.wait, &path, &t.err))) {
        return NULL;
    }
    return PyUnicode_DecodeFSDefault(path);
}

static PyObject *job_output_pack(PyObject *self, PyObject *args) {
    turn t;
    cpl_str name, path;
    if (!PyArg_ParseTuple(args, "s#y#:output_pack", &name.p, &name.n, &path.p, &path.n)) return NULL;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_output_pack(t.job, name, path, &t.wait, &t.err))) return NULL;
    Py_RETURN_NONE;
}

static PyObject *job_output_write(PyObject *self, PyObject *args) {
    turn t;
    cpl_str name, bytes;
    if (!PyArg_ParseTuple(args, "s#y#:output_write", &name.p, &name.n, &bytes.p, &bytes.n)) return NULL;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_output_write(t.job, name, bytes, &t.err))) return NULL;
    Py_RETURN_NONE;
}

static PyObject *job_output_file(PyObject *self, PyObject *args) {
    turn t;
    cpl_str name, path;
    if (!PyArg_ParseTuple(args, "s#y#:output_file", &name.p, &name.n, &path.p, &path.n)) return NULL;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_output_file(t.job, name, path, &t.wait, &t.err))) return NULL;
    Py_RETURN_NONE;
}

static PyObject *job_output_digest(PyObject *self, PyObject *args) {
    turn t;
    cpl_str name;
    char digest[65];
    if (!PyArg_ParseTuple(args, "s#:output_digest", &name.p, &name.n)) return NULL;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_output_digest(t.job, name, digest, &t.err))) return NULL;
    return module_text(digest);
}

/* ---- the result ---- */

/* Result members from keywords. *variables: the writer that holds output_variables, for the caller to free. */
static bool parse_result(PyObject *self, PyObject *kwargs, cpl_result *r, cpl_writer **variables) {
    static char *names[] = {"output_variables", "summary",           "external_execution_id", "percent_complete",
                            "revision",         "change_identifier", "revision_summary",      NULL};
    PyObject *values = Py_None;
    PyObject *none = PyTuple_New(0);
    bool ok = none &&
              PyArg_ParseTupleAndKeywords(none, kwargs, "|$Oz#z#iz#z#z#:result", names, &values, &r->summary.p,
                                          &r->summary.n, &r->external_execution_id.p, &r->external_execution_id.n,
                                          &r->percent_complete, &r->revision.p, &r->revision.n, &r->change_identifier.p,
                                          &r->change_identifier.n, &r->revision_summary.p, &r->revision_summary.n);
    Py_XDECREF(none);
    if (!ok || values == Py_None) return ok;
    *variables = convert_text(state_of(self), values, &r->output_variables);
    return *variables != NULL;
}

static PyObject *job_succeed(PyObject *self, PyObject *args, PyObject *kwargs) {
    turn t;
    cpl_result result = {0};
    cpl_writer *variables = NULL;
    bool ok = PyArg_ParseTuple(args, ":succeed") && parse_result(self, kwargs, &result, &variables) &&
              turn_begin(&t, self) && turn_end(&t, cpl_job_succeed(t.job, &result, &t.wait, &t.err));
    cpl_writer_free(variables);
    if (!ok) return NULL;
    Py_RETURN_NONE;
}

static PyObject *job_later(PyObject *self, PyObject *args, PyObject *kwargs) {
    turn t;
    PyObject *state;
    double after;
    cpl_str text;
    cpl_result result = {0};
    cpl_writer *variables = NULL;
    if (!PyArg_ParseTuple(args, "Od:later", &state, &after)) return NULL;
    cpl_writer *writer = convert_text(state_of(self), state, &text);
    bool ok = writer && parse_result(self, kwargs, &result, &variables) && turn_begin(&t, self) &&
              turn_end(&t, cpl_job_later(t.job, text, after, &result, &t.wait, &t.err));
    cpl_writer_free(variables);
    cpl_writer_free(writer);
    if (!ok) return NULL;
    Py_RETURN_NONE;
}

static PyObject *job_fail(PyObject *self, PyObject *args) {
    turn t;
    cpl_str type, message, id;
    if (!PyArg_ParseTuple(args, "s#z#z#:fail", &message.p, &message.n, &type.p, &type.n, &id.p, &id.n)) return NULL;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_fail(t.job, type, message, id, &t.wait, &t.err))) return NULL;
    Py_RETURN_NONE;
}

/* ---- in a process of its own ---- */

/* A list of str as C strings, which live as long as *bytes; for PyMem_Free. NULL with an exception set. */
static const char **texts_of(PyObject *list, PyObject **bytes) {
    Py_ssize_t count = PyList_Size(list);
    const char **texts = count < 0 ? NULL : PyMem_Calloc((size_t)count + 1, sizeof *texts);
    *bytes = texts ? PyList_New(0) : NULL;
    for (Py_ssize_t i = 0; *bytes && i < count; i++) {
        PyObject *encoded = NULL;
        char *text = NULL;
        if (PyUnicode_FSConverter(PyList_GetItem(list, i), &encoded) && PyList_Append(*bytes, encoded) == 0) {
            text = PyBytes_AsString(encoded);
        }
        Py_XDECREF(encoded);
        texts[i] = text;
        if (!text) Py_CLEAR(*bytes);
    }
    if (*bytes) return texts;
    PyMem_Free(texts);
    return NULL;
}

static PyObject *run_with(PyObject *self, const cpl_isolation *how) {
    turn t;
    const char *outcome = NULL;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_run(t.job, how, &t.wait, &outcome, &t.err))) return NULL;
    return module_text(outcome);
}

static PyObject *job_run(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"", "", "timeout", "memory", "file_size", "cpu", "open_files", "hand_over", NULL};
    cpl_isolation how = {0};
    PyObject *command, *environment, *kept[2] = {NULL, NULL}, *outcome = NULL;
    long long memory = 0, file_size = 0, cpu = 0, open_files = 0;
    int hand_over = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$O&LLLLp:run", names, &command, &environment,
                                     module_milliseconds, &how.timeout_ms, &memory, &file_size, &cpu, &open_files,
                                     &hand_over)) {
        return NULL;
    }
    how.memory = memory;
    how.file_size = file_size;
    how.cpu_s = cpu;
    how.open_files = open_files;
    how.hand_over = hand_over;
    const char **argv = texts_of(command, &kept[0]);
    const char **variables = argv ? texts_of(environment, &kept[1]) : NULL;
    how.command = argv;
    how.environ = variables;
    if (variables) outcome = run_with(self, &how);
    PyMem_Free(argv);
    PyMem_Free(variables);
    Py_XDECREF(kept[0]);
    Py_XDECREF(kept[1]);
    return outcome;
}

static PyObject *job_hand_over(PyObject *self, PyObject *unused) {
    (void)unused;
    turn t;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_hand_over(t.job, &t.wait, &t.err))) return NULL;
    Py_RETURN_NONE;
}

static PyObject *get_remaining(PyObject *self, void *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    if (!job) return NULL;
    int64_t left_ms = cpl_job_remaining_ms(job);
    if (left_ms < 0) Py_RETURN_NONE;
    return PyFloat_FromDouble((double)left_ms / 1000);
}

static PyObject *get_warning(PyObject *self, void *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    return job ? module_text(cpl_job_warning(job)) : NULL;
}

/* ---- its time ---- */

static PyObject *job_guard(PyObject *self, PyObject *seconds) {
    turn t;
    int64_t after_ms;
    if (!module_milliseconds(seconds, &after_ms)) return NULL;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_guard(t.job, after_ms, &t.err))) return NULL;
    Py_RETURN_NONE;
}

static PyObject *job_put_off(PyObject *self, PyObject *unused) {
    (void)unused;
    turn t;
    bool put_off = false;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_put_off(t.job, &put_off, &t.wait, &t.err))) return NULL;
    return PyBool_FromLong(put_off);
}

/* ---- unit tests ---- */

static PyObject *job_rehearse(PyObject *self, PyObject *args) {
    turn t;
    cpl_rehearsal how = {0};
    if (!PyArg_ParseTuple(args, "O&O&:rehearse", module_milliseconds, &how.limit_ms, module_milliseconds,
                          &how.cancel_ms))
        return NULL;
    if (!turn_begin(&t, self)) return NULL;
    cpl_job_rehearse(t.job, &how);
    if (!turn_end(&t, CPL_OK)) return NULL;
    Py_RETURN_NONE;
}

/* Not a turn: another thread may turn the clock while the handler's is in a call. */
static PyObject *job_rehearse_time(PyObject *self, PyObject *seconds) {
    int64_t ms;
    if (!module_milliseconds(seconds, &ms) || !open_job(self)) return NULL;
    cpl_job_rehearse_time(((job_object *)self)->handle, ms);
    Py_RETURN_NONE;
}

static PyObject *job_rehearse_wait(PyObject *self, PyObject *seconds) {
    turn t;
    int64_t ms;
    bool cancelled = false;
    if (!module_milliseconds(seconds, &ms)) return NULL;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_rehearse_wait(t.job, ms, &cancelled, &t.err))) return NULL;
    return PyBool_FromLong(cancelled);
}

static PyObject *job_rehearsed_time(PyObject *self, PyObject *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    return job ? PyFloat_FromDouble((double)cpl_job_rehearsed_time(job) / 1000) : NULL;
}

static PyObject *job_rehearsed_delay(PyObject *self, PyObject *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    return job ? PyFloat_FromDouble(cpl_job_rehearsed_delay(job)) : NULL;
}

static PyObject *job_rehearse_input(PyObject *self, PyObject *args) {
    turn t;
    cpl_str name, path;
    if (!PyArg_ParseTuple(args, "s#y#:rehearse_input", &name.p, &name.n, &path.p, &path.n)) return NULL;
    if (!turn_begin(&t, self) || !turn_end(&t, cpl_job_rehearse_input(t.job, name, path, &t.wait, &t.err))) return NULL;
    Py_RETURN_NONE;
}

static PyObject *job_rehearsed_output(PyObject *self, PyObject *args) {
    cpl_str name;
    if (!PyArg_ParseTuple(args, "s#:rehearsed_output", &name.p, &name.n)) return NULL;
    const cpl_job *job = open_job(self);
    if (!job) return NULL;
    const char *path = cpl_job_rehearsed_output(job, name);
    if (!path) Py_RETURN_NONE;
    return PyUnicode_DecodeFSDefault(path);
}

static PyObject *job_rehearsed_state(PyObject *self, PyObject *unused) {
    (void)unused;
    const cpl_job *job = open_job(self);
    return job ? PyUnicode_FromStringAndSize(cpl_job_rehearsed_state(job).p, (Py_ssize_t)cpl_job_rehearsed_state(job).n)
               : NULL;
}

static PyObject *job_rehearsed_answer(PyObject *self, PyObject *unused) {
    (void)unused;
    cpl_cursor cursor;
    const cpl_job *job = open_job(self);
    if (!job) return NULL;
    cpl_str text = cpl_job_rehearsed_answer(job);
    if (text.n == 0) Py_RETURN_NONE;
    cpl_cursor_init(&cursor, text);
    return convert_read(state_of(self), &cursor, false);
}

static PyObject *job_free(PyObject *self, PyObject *unused) {
    (void)unused;
    job_object *job = (job_object *)self;
    cpl_job *handle = job->handle;
    if (job->busy) return error_state("another thread is using this job");
    job->handle = NULL; /* first, so that a second thread finds it over */
    Py_BEGIN_ALLOW_THREADS;
    cpl_job_free(handle); /* removes its folder: I/O */
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

/* ---- the type ---- */

static PyMethodDef methods[] = {
    {"data", job_data, METH_VARARGS,
     "data($self, secrets, /)\n--\n\nThe whole job as the service gave it; credentials are \"***\" unless secrets is "
     "true."},
    {"work_dir", job_work_dir, METH_NOARGS, "work_dir($self, /)\n--\n\nA folder of the job's own, made on first use."},
    {"input_path", job_input_path, METH_VARARGS, "input_path($self, name, /)\n--\n\nFetches an input; where it lies."},
    {"input_extract", job_input_extract, METH_VARARGS,
     "input_extract($self, name, directory, /)\n--\n\nUnpacks an input into directory (bytes; empty: the job's own "
     "folder)."},
    {"output_pack", job_output_pack, METH_VARARGS,
     "output_pack($self, name, path, /)\n--\n\nStages a zip of path (bytes)."},
    {"output_write", job_output_write, METH_VARARGS, "output_write($self, name, data, /)\n--\n\nStages bytes."},
    {"output_file", job_output_file, METH_VARARGS, "output_file($self, name, path, /)\n--\n\nStages a file's bytes."},
    {"output_digest", job_output_digest, METH_VARARGS, "output_digest($self, name, /)\n--\n\nSHA-256 in hexadecimal."},
    {"succeed", (PyCFunction)(void (*)(void))job_succeed, METH_VARARGS | METH_KEYWORDS,
     "succeed($self, **result)\n--\n\nSends the outputs, then the result."},
    {"later", (PyCFunction)(void (*)(void))job_later, METH_VARARGS | METH_KEYWORDS,
     "later($self, state, after, /, **result)\n--\n\nContinues in a new job, after seconds from now or later."},
    {"fail", job_fail, METH_VARARGS, "fail($self, message, type, external_execution_id, /)\n--\n\nReports a failure."},
    {"hand_over", job_hand_over, METH_NOARGS, "hand_over($self, /)\n--\n\nContinues elsewhere, as it came."},
    {"run", (PyCFunction)(void (*)(void))job_run, METH_VARARGS | METH_KEYWORDS,
     "run($self, command, environ, /, *, timeout=None, memory=0, file_size=0, cpu=0, open_files=0, hand_over=False)\n"
     "--\n\nRuns the handler in a process of its own and answers the job; the outcome's name."},
    {"guard", job_guard, METH_O,
     "guard($self, seconds, /)\n--\n\nReports the job failed after so many seconds, unless it is answered by then."},
    {"put_off", job_put_off, METH_NOARGS,
     "put_off($self, /)\n--\n\nSends a continuation that came before its time back; whether it was one."},
    {"rehearse", job_rehearse, METH_VARARGS,
     "rehearse($self, limit, cancelled_after, /)\n--\n\nNothing of it goes to the network."},
    {"rehearse_time", job_rehearse_time, METH_O, "rehearse_time($self, seconds, /)\n--\n\nTurns its clock."},
    {"rehearse_wait", job_rehearse_wait, METH_O,
     "rehearse_wait($self, seconds, /)\n--\n\nTurns it until the job is cancelled, for at most so long; whether it "
     "is."},
    {"rehearsed_time", job_rehearsed_time, METH_NOARGS, "rehearsed_time($self, /)\n--\n\nHow far it was turned."},
    {"rehearsed_delay", job_rehearsed_delay, METH_NOARGS,
     "rehearsed_delay($self, /)\n--\n\nSeconds that a continuation asked for."},
    {"rehearse_input", job_rehearse_input, METH_VARARGS,
     "rehearse_input($self, name, path, /)\n--\n\nGives an input: an archive or a folder (bytes)."},
    {"rehearsed_output", job_rehearsed_output, METH_VARARGS,
     "rehearsed_output($self, name, /)\n--\n\nWhere a staged output lies, or None."},
    {"rehearsed_state", job_rehearsed_state, METH_NOARGS,
     "rehearsed_state($self, /)\n--\n\nThe state of a continuation, JSON text; empty: none."},
    {"rehearsed_answer", job_rehearsed_answer, METH_NOARGS,
     "rehearsed_answer($self, /)\n--\n\nWhat would have been sent, or None."},
    {"free", job_free, METH_NOARGS, "free($self, /)\n--\n\nRemoves the job's folder; the job is over."},
    {NULL, NULL, 0, NULL}};

#define FIELD(name, field, doc) \
    { name, get_field, NULL, doc, (void *)(intptr_t)(field) }
static PyGetSetDef properties[] = {
    FIELD("id", CPL_JOB_ID, "The job's id."),
    FIELD("nonce", CPL_JOB_NONCE, "The nonce of this delivery."),
    FIELD("account_id", CPL_JOB_ACCOUNT_ID, "The pipeline's account."),
    FIELD("category", CPL_JOB_CATEGORY, "Of the action type."),
    FIELD("provider", CPL_JOB_PROVIDER, "Of the action type."),
    FIELD("version", CPL_JOB_VERSION, "Of the action type."),
    FIELD("pipeline", CPL_JOB_PIPELINE_NAME, "The pipeline's name."),
    FIELD("pipeline_arn", CPL_JOB_PIPELINE_ARN, "The pipeline's ARN."),
    FIELD("execution_id", CPL_JOB_EXECUTION_ID, "Of the pipeline."),
    FIELD("stage", CPL_JOB_STAGE_NAME, "The stage's name."),
    FIELD("action", CPL_JOB_ACTION_NAME, "The action's name."),
    FIELD("action_execution_id", CPL_JOB_ACTION_EXECUTION_ID, "Of the action."),
    FIELD("continuation_token", CPL_JOB_CONTINUATION_TOKEN, "As the service gave it."),
    FIELD("user_parameters", CPL_JOB_USER_PARAMETERS, "The configuration's UserParameters."),
    {"state", get_state, NULL, "What later() was given before this job.", NULL},
    {"state_is_stored", get_state_is_stored, NULL, "It is to be fetched from the artifact store.", NULL},
    {"configuration", get_configuration, NULL, "A new dict of str.", NULL},
    {"inputs", get_inputs, NULL, "Names of the input artifacts.", NULL},
    {"outputs", get_outputs, NULL, "Names of the output artifacts.", NULL},
    {"action_type", get_action_type, NULL, "What Worker.add() answered for its type.", NULL},
    {"warning", get_warning, NULL, "After an answer: what could not be cleaned up, or None.", NULL},
    {"answered", get_answered, NULL, "A result was accepted.", NULL},
    {"cancelled", get_cancelled, NULL, "It should end: its worker is being shut down.", NULL},
    {"remaining", get_remaining, NULL, "Seconds until the guard reports it; None without one.", NULL},
    {"expired", get_expired, NULL, "The guard reported it, or tried to.", NULL},
    {"progress", get_progress, set_progress, "Called with an artifact's name, bytes done and in total (or None).",
     NULL},
    {NULL, NULL, NULL, NULL, NULL}};
#undef FIELD

static PyType_Slot slots[] = {{Py_tp_new, job_refuse_new},
                              {Py_tp_dealloc, job_dealloc},
                              {Py_tp_traverse, job_traverse},
                              {Py_tp_clear, job_clear},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, properties},
                              {Py_tp_doc, "One job; see codepipeline.Job."},
                              {0, NULL}};

PyType_Spec job_spec = {"codepipeline._core.Job", sizeof(job_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                        slots};
