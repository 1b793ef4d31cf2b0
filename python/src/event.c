/* SPDX-License-Identifier: MIT */
/* Events of Lambda: read, made into a job, made up for tests. */
#include "module.h"

/* An event given as str, bytes or dict, as text. Until event_release() the text lives as long as value does. */
typedef struct event_text {
    cpl_str text;
    cpl_writer *writer; /* holds the text of a dict */
} event_text;

static bool event_open(PyObject *module, PyObject *value, event_text *out) {
    *out = (event_text){{NULL, 0}, NULL};
    if (PyUnicode_Check(value)) {
        Py_ssize_t n;
        if (!PyArg_Parse(value, "s#", &out->text.p, &n)) return false;
        out->text.n = (size_t)n;
        return true;
    }
    if (PyBytes_Check(value)) {
        out->text = (cpl_str){PyBytes_AsString(value), (size_t)PyBytes_Size(value)};
        return true;
    }
    out->writer = convert_text(PyModule_GetState(module), value, &out->text);
    return out->writer != NULL;
}

static void event_release(event_text *event) {
    cpl_writer_free(event->writer);
}

PyObject *event_read(PyObject *module, PyObject *value) {
    event_text source;
    cpl_job_event *event = NULL;
    cpl_error err = {0};
    cpl_cursor cursor;
    if (!event_open(module, value, &source)) return NULL;
    cpl_status status = cpl_job_event_read(&event, source.text, &err);
    event_release(&source);
    if (status != CPL_OK) return error_raise(&err);
    cpl_job_event_data(event, &cursor);
    PyObject *job = convert_read(PyModule_GetState(module), &cursor, false);
    cpl_job_event_free(event);
    return job;
}

PyObject *event_refuse(PyObject *module, PyObject *args) {
    PyObject *client, *value;
    cpl_str why;
    Py_ssize_t n;
    event_text source;
    char id[CPL_JOB_ID_SIZE];
    if (!PyArg_ParseTuple(args, "OOs#:refuse_event", &client, &value, &why.p, &n)) return NULL;
    why.n = (size_t)n;
    if (!client_check(PyModule_GetState(module), client)) return NULL;
    if (!event_open(module, value, &source)) return NULL;
    PyThreadState *thread;
    cpl_wait wait = module_wait(&thread, 0);
    observe_context watch;
    cpl_error err = {0};
    if (!observe_begin(&watch, client, OBSERVE_FIRMLY, &thread, &wait)) {
        event_release(&source);
        return NULL;
    }
    thread = PyEval_SaveThread();
    cpl_status status = cpl_job_event_refuse(client_handle(client), source.text, why, id, &wait, &err);
    PyEval_RestoreThread(thread);

    observe_end(&watch);
    event_release(&source);
    if (!id[0]) Py_RETURN_NONE;
    return module_done(status, &err) ? module_text(id) : NULL;
}

PyObject *event_sample(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"id",        "account_id",    "function_name", "user_parameters",    "input_bucket",
                            "input_key", "output_bucket", "output_key",    "continuation_token", "encryption_key",
                            NULL};
    cpl_job_event_options o = {0};
    cpl_job_event *event = NULL;
    cpl_error err = {0};
    cpl_cursor cursor;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$z#z#z#z#z#z#z#z#z#z#:sample_event", names, &o.id.p, &o.id.n,
                                     &o.account_id.p, &o.account_id.n, &o.function_name.p, &o.function_name.n,
                                     &o.user_parameters.p, &o.user_parameters.n, &o.input_bucket.p, &o.input_bucket.n,
                                     &o.input_key.p, &o.input_key.n, &o.output_bucket.p, &o.output_bucket.n,
                                     &o.output_key.p, &o.output_key.n, &o.continuation_token.p, &o.continuation_token.n,
                                     &o.encryption_key.p, &o.encryption_key.n)) {
        return NULL;
    }
    if (cpl_job_event_sample(&event, &o, &err) != CPL_OK) return error_raise(&err);
    cpl_cursor_init(&cursor, cpl_job_event_text(event));
    PyObject *sample = convert_read(PyModule_GetState(module), &cursor, false);
    cpl_job_event_free(event);
    return sample;
}

PyObject *event_job(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"client", "event", "work_dir", "artifact_limit", NULL};
    module_state *state = PyModule_GetState(module);
    cpl_worker_options options = {0};
    cpl_error err = {0};
    cpl_job *job = NULL;
    Py_ssize_t limit = 0;
    PyObject *client, *value;
    event_text source;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$z#n:job_from_event", names, &client, &value,
                                     &options.work_dir.p, &options.work_dir.n, &limit)) {
        return NULL;
    }
    if (!client_check(state, client)) return NULL;
    if (limit < 0) {
        PyErr_SetString(PyExc_ValueError, "artifact_limit cannot be negative");
        return NULL;
    }
    options.artifact_limit = (size_t)limit;
    if (!event_open(module, value, &source)) return NULL;
    cpl_status status = cpl_job_from_event(&job, client_handle(client), source.text, &options, &err);
    event_release(&source);
    return status == CPL_OK ? job_new(state, job, client) : error_raise(&err);
}

PyObject *event_command(PyObject *module, PyObject *argv) {
    (void)module;
    return module_command(argv, cpl_job_event_main);
}
