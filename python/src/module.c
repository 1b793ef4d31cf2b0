/* SPDX-License-Identifier: MIT */
/*
 * codepipeline._core, in Python's words:
 *
 *     version: str
 *     def operations() -> list[tuple]: ...          # what the model knows, one row an operation
 *     def describe(operation) -> dict: ...
 *     def error_names() -> tuple[str, ...]: ...
 *     def failure_type(status, code, http_status, retryable) -> str: ...
 *     def nearest(written, names) -> str | None: ...
 *     def pack(path, archive), def extract(archive, directory, limit)
 *     def metrics(client, pipelines, since), def lint(document, region)
 *     def emulator_main(argv) -> int: ...
 *     def read_event(event), sample_event(**options), event_main(argv)
 *     def job_from_event(client, event), refuse_event(client, event, why)
 *     class Client, Queue, Worker, Job, Emulator          # handles of the core
 *
 * The package codepipeline around it gives these their public form.
 */
#include "module.h"

/* ---- what the files share ---- */

static int tick(void *context) {
    PyThreadState **thread = context;
    PyEval_RestoreThread(*thread);
    int stop = PyErr_Occurred() || PyErr_CheckSignals(); /* a hook may have raised since */
    *thread = PyEval_SaveThread();
    return stop;
}

cpl_wait module_wait(PyThreadState **thread, int64_t timeout_ms) {
    return (cpl_wait){.tick = tick, .context = thread, .timeout_ms = timeout_ms};
}

bool module_done(cpl_status status, const cpl_error *err) {
    /* A signal handler may raise in the very tick in which the call succeeds; its exception is not lost either. */
    if (PyErr_Occurred()) return false;
    if (status == CPL_OK) return true;
    error_raise(err);
    return false;
}

int module_milliseconds(PyObject *seconds, void *out) {
    int64_t *milliseconds = out;
    *milliseconds = 0;
    if (seconds == Py_None) return 1;
    double value = PyFloat_AsDouble(seconds);
    if (PyErr_Occurred()) return 0;
    if (!(value > 0 && value < 1e9)) {
        PyErr_Format(PyExc_ValueError, "not a duration in seconds above 0: %R", seconds);
        return 0;
    }
    *milliseconds = (int64_t)(value * 1000);
    if (*milliseconds == 0) *milliseconds = 1; /* 0 would mean the default */
    return 1;
}

PyObject *module_text(const char *text) {
    if (!text) Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

void module_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

int holder_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((holder *)self)->held);
    return 0;
}

int holder_clear(PyObject *self) {
    Py_CLEAR(((holder *)self)->held);
    return 0;
}

void holder_dealloc(PyObject *self) {
    holder_clear(self);
    module_dealloc(self);
}

/* argv in the file system's encoding, as C wants it; the views belong to *keep, a list of bytes. */
static char **arguments_of(PyObject *argv, PyObject **keep) {
    Py_ssize_t count = PyList_Size(argv);
    char **arguments = count < 0 ? NULL : PyMem_Malloc(((size_t)count + 1) * sizeof *arguments);
    *keep = arguments ? PyList_New(0) : NULL;
    for (Py_ssize_t i = 0; *keep && i < count; i++) {
        PyObject *bytes = PyUnicode_EncodeFSDefault(PyList_GetItem(argv, i));
        if (!bytes || PyList_Append(*keep, bytes) < 0 || !(arguments[i] = PyBytes_AsString(bytes))) Py_CLEAR(*keep);
        Py_XDECREF(bytes);
    }
    if (*keep) arguments[count] = NULL;
    return arguments;
}

PyObject *module_command(PyObject *argv, int (*command)(int, char **)) {
    PyObject *keep = NULL;
    PyObject *status = NULL;
    char **arguments = arguments_of(argv, &keep);
    if (keep) {
        int count = (int)PyList_Size(keep);
        int result;
        Py_BEGIN_ALLOW_THREADS;
        result = command(count, arguments);
        Py_END_ALLOW_THREADS;
        status = PyLong_FromLong(result);
    } else if (!PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    Py_XDECREF(keep);
    PyMem_Free(arguments);
    return status;
}

PyObject *module_add_type(PyObject *module, PyType_Spec *spec, const char *name) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (!type) return NULL;
    Py_INCREF(type);
    if (PyModule_AddObject(module, name, type) < 0) {
        Py_DECREF(type);
        Py_CLEAR(type);
    }
    return type;
}

/* ---- functions ---- */

static PyObject *operations(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    Py_ssize_t count = (Py_ssize_t)cpl_model_operation_count();
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++) {
        const cpl_operation_info *info = cpl_model_operation_info((size_t)i);
        PyObject *row = Py_BuildValue("(sssssss)", info->name, info->method, info->doc, info->input_token,
                                      info->output_token, info->result_key, info->limit_key);
        if (!row) {
            Py_CLEAR(list);
        } else {
            PyList_SetItem(list, i, row);
        }
    }
    return list;
}

static PyObject *describe(PyObject *module, PyObject *args) {
    cpl_str operation, text = {NULL, 0};
    cpl_error err = {0};
    PyObject *found = NULL;
    if (!PyArg_ParseTuple(args, "s:describe", &operation.p)) return NULL; /* not s#, which speaks of bytes */
    operation.n = strlen(operation.p);
    cpl_writer *writer = cpl_writer_new();
    if (!writer) return PyErr_NoMemory();
    cpl_status status = cpl_describe(operation, writer, &err);
    if (status == CPL_OK) status = cpl_writer_text(writer, &text, &err);
    if (module_done(status, &err)) {
        cpl_cursor cursor;
        cpl_cursor_init(&cursor, text);
        found = convert_read(PyModule_GetState(module), &cursor, false);
    }
    cpl_writer_free(writer);
    return found;
}

static PyObject *error_names(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    Py_ssize_t count = (Py_ssize_t)cpl_model_error_count();
    PyObject *names = PyTuple_New(count);
    for (Py_ssize_t i = 0; names && i < count; i++) {
        PyObject *name = PyUnicode_FromString(cpl_model_error_name((size_t)i));
        if (!name) {
            Py_CLEAR(names);
        } else {
            PyTuple_SetItem(names, i, name);
        }
    }
    return names;
}

/* nearest(written, names) -> str or None */
static PyObject *nearest(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *names, *keep = NULL, *found = NULL;
    const char *written;
    if (!PyArg_ParseTuple(args, "sO!:nearest", &written, &PyList_Type, &names)) return NULL;
    char **all = arguments_of(names, &keep);
    if (keep) {
        found = module_text(cpl_nearest(cpl_str_of(written), (const char *const *)all, (size_t)PyList_Size(names)));
    } else if (!PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    Py_XDECREF(keep);
    PyMem_Free(all);
    return found;
}

static PyMethodDef functions[] = {
    {"operations", operations, METH_NOARGS,
     "operations($module, /)\n--\n\nOne tuple an operation: name, method, doc, input_token, output_token, result_key, "
     "limit_key."},
    {"describe", describe, METH_VARARGS,
     "describe(operation, /)\n--\n\nWhat the model knows of an operation, as a dict."},
    {"error_names", error_names, METH_NOARGS,
     "error_names($module, /)\n--\n\nThe error codes the service may answer, sorted."},
    {"failure_type", error_failure_type, METH_VARARGS,
     "failure_type($module, status, code, http_status, retryable, /)\n--\n\nThe FailureType that tells best what an "
     "error means."},
    {"nearest", nearest, METH_VARARGS,
     "nearest($module, written, names, /)\n--\n\nThe one of names that was meant, or None."},
    {"pack", archive_pack, METH_VARARGS,
     "pack($module, path, archive, /)\n--\n\nZips a folder's contents or one file."},
    {"extract", archive_extract, METH_VARARGS,
     "extract($module, archive, directory, limit, /)\n--\n\nUnpacks at most limit bytes (0: 8 GiB) into directory."},
    {"doctor", (PyCFunction)(void (*)(void))client_doctor, METH_VARARGS | METH_KEYWORDS,
     "doctor($module, /, **options)\n--\n\nWhat keeps a client with these options from working, as a dict."},
    {"run_start", run_start, METH_VARARGS,
     "run_start(client, pipeline, variables, revisions, token, poll_interval, unclaimed_after, /)\n--\n\nA new Run."},
    {"run_open", run_open, METH_VARARGS,
     "run_open(client, pipeline, execution_id, poll_interval, unclaimed_after, /)\n--\n\nA Run of an execution."},
    {"runs_next", run_next_of, METH_VARARGS,
     "runs_next(runs, timeout, /)\n--\n\n(index, event) of one of them, or None."},
    {"approvals", run_approvals, METH_VARARGS, "approvals(client, pipeline, /)\n--\n\nThose that wait, as dicts."},
    {"metrics", run_metrics, METH_VARARGS,
     "metrics(client, pipelines, since, /)\n--\n\nWhat the past of pipelines says in numbers, as a dict."},
    {"lint", emulator_lint, METH_VARARGS,
     "lint(document, region, /)\n--\n\nWhat the service would refuse a pipeline for, a list of dicts."},
    {"emulator_main", emulator_command, METH_O,
     "emulator_main($module, argv, /)\n--\n\nRuns the codepipeline-emulator command; returns its exit status."},
    {"read_event", event_read, METH_O,
     "read_event($module, event, /)\n--\n\nThe job in an event (str, bytes or dict), with its credentials."},
    {"refuse_event", event_refuse, METH_VARARGS,
     "refuse_event($module, client, event, why, /)\n--\n\nFails the job of a malformed event: its id, or None."},
    {"sample_event", (PyCFunction)(void (*)(void))event_sample, METH_VARARGS | METH_KEYWORDS,
     "sample_event($module, /, **options)\n--\n\nAn event for tests, as a dict."},
    {"job_from_event", (PyCFunction)(void (*)(void))event_job, METH_VARARGS | METH_KEYWORDS,
     "job_from_event($module, /, client, event, *, work_dir=None, artifact_limit=0)\n--\n\nA job made of an event."},
    {"event_main", event_command, METH_O,
     "event_main($module, argv, /)\n--\n\nRuns the codepipeline-event command; returns its exit status."},
    {NULL, NULL, 0, NULL}};

/* ---- the module ---- */

static int add_keys(module_state *state) {
    static const char *const texts[KEY_COUNT] = {
        [KEY_RESPONSE_METADATA] = "ResponseMetadata", [KEY_REQUEST_ID] = "RequestId",
        [KEY_HTTP_STATUS] = "HTTPStatusCode",         [KEY_HTTP_HEADERS] = "HTTPHeaders",
        [KEY_RETRY_ATTEMPTS] = "RetryAttempts",       [KEY_LOGGING] = "logging",
    };
    for (int i = 0; i < KEY_COUNT; i++) {
        state->keys[i] = PyUnicode_InternFromString(texts[i]);
        if (!state->keys[i]) return -1;
    }
    return 0;
}

static int module_exec(PyObject *module) {
    module_state *state = PyModule_GetState(module);
    size_t size = cpl_model_name_count() * sizeof *state->names;
    state->names = PyMem_Malloc(size);
    if (!state->names) {
        PyErr_NoMemory();
        return -1;
    }
    memset(state->names, 0, size);
    state->client_type = module_add_type(module, &client_spec, "Client");
    state->job_type = module_add_type(module, &job_spec, "Job");
    state->run_type = module_add_type(module, &run_spec, "Run");
    state->feed_type = module_add_type(module, &feed_spec, "Feed");
    state->stub_type = module_add_type(module, &stub_spec, "Stub");
    if (!state->client_type || !state->job_type || !state->run_type || !state->feed_type || !state->stub_type)
        return -1;
    PyObject *worker = module_add_type(module, &worker_spec, "Worker");
    PyObject *queue = module_add_type(module, &queue_spec, "Queue");
    PyObject *emulator = module_add_type(module, &emulator_spec, "Emulator");
    Py_XDECREF(worker);
    Py_XDECREF(queue);
    Py_XDECREF(emulator);
    if (!worker || !queue || !emulator || add_keys(state) < 0) return -1;
    return PyModule_AddStringConstant(module, "version", CPL_VERSION);
}

/* Visits every object the state holds; traverse and clear differ only in what they do with it. */
static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    module_state *state = PyModule_GetState(module);
    Py_VISIT(state->client_type);
    Py_VISIT(state->job_type);
    Py_VISIT(state->run_type);
    Py_VISIT(state->feed_type);
    Py_VISIT(state->stub_type);
    Py_VISIT(state->datetime);
    Py_VISIT(state->utc);
    Py_VISIT(state->observe);
    return 0; /* the rest is str, which refers to nothing */
}

static int module_clear(PyObject *module) {
    module_state *state = PyModule_GetState(module);
    Py_CLEAR(state->client_type);
    Py_CLEAR(state->job_type);
    Py_CLEAR(state->run_type);
    Py_CLEAR(state->feed_type);
    Py_CLEAR(state->stub_type);
    Py_CLEAR(state->datetime);
    Py_CLEAR(state->utc);
    Py_CLEAR(state->observe);
    return 0;
}

static void module_free(void *module) {
    module_state *state = PyModule_GetState(module);
    module_clear(module);
    for (int i = 0; i < KEY_COUNT; i++) Py_CLEAR(state->keys[i]);
    for (size_t i = 0; state->names && i < cpl_model_name_count(); i++) Py_CLEAR(state->names[i]);
    PyMem_Free(state->names);
    state->names = NULL;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "codepipeline._core",
    .m_doc = "The C core's handles; use the package codepipeline instead.",
    .m_size = sizeof(module_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);
/* The one symbol the module exports. */
PyMODINIT_FUNC PyInit__core(void) {
    return PyModuleDef_Init(&definition);
}
