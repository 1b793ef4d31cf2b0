/* SPDX-License-Identifier: MIT */
/* _core.Client: a handle of a cpl_client. The core allows calls from several threads at once, and so does this. */
#include "module.h"

typedef struct client_object {
    PyObject_HEAD cpl_client *handle;
} client_object;

cpl_client *client_handle(PyObject *client) {
    return ((client_object *)client)->handle;
}

static bool parse_options(PyObject *args, PyObject *kwargs, cpl_client_options *o) {
    static char *names[] = {"region",       "profile",         "access_key_id", "secret_access_key", "session_token",
                            "endpoint_url", "s3_endpoint_url", "ca_bundle",     "user_agent_extra",  "connect_timeout",
                            "read_timeout", "total_timeout",   "max_attempts",  "response_limit",    NULL};
    Py_ssize_t limit = 0;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "|$z#z#z#z#z#z#z#z#z#O&O&O&in:Client", names, &o->region.p, &o->region.n, &o->profile.p,
            &o->profile.n, &o->access_key_id.p, &o->access_key_id.n, &o->secret_access_key.p, &o->secret_access_key.n,
            &o->session_token.p, &o->session_token.n, &o->endpoint_url.p, &o->endpoint_url.n, &o->s3_endpoint_url.p,
            &o->s3_endpoint_url.n, &o->ca_bundle.p, &o->ca_bundle.n, &o->user_agent_extra.p, &o->user_agent_extra.n,
            module_milliseconds, &o->connect_timeout_ms, module_milliseconds, &o->read_timeout_ms, module_milliseconds,
            &o->total_timeout_ms, &o->max_attempts, &limit)) {
        return false;
    }
    if (limit < 0 || o->max_attempts < 0) {
        PyErr_SetString(PyExc_ValueError, "max_attempts and response_limit cannot be negative");
        return false;
    }
    o->response_limit = (size_t)limit;
    return true;
}

static PyObject *client_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    cpl_client_options options = {0};
    cpl_error err = {0};
    if (!parse_options(args, kwargs, &options)) return NULL;
    client_object *self = (client_object *)PyType_GenericAlloc(type, 0);
    if (self && cpl_client_new(&self->handle, &options, &err) != CPL_OK) {
        error_raise(&err);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void client_dealloc(PyObject *self) {
    cpl_client_free(client_handle(self));
    module_dealloc(self);
}

static PyObject *client_call(PyObject *self, PyObject *args) {
    module_state *state = state_of(self);
    cpl_str operation, text;
    PyObject *params;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "s#O!:call", &operation.p, &n, &PyDict_Type, &params)) return NULL;
    operation.n = (size_t)n;
    cpl_writer *writer = convert_text(state, params, &text);
    if (!writer) return NULL;

    PyThreadState *thread;
    cpl_reply *reply = NULL, *refusal = NULL;
    cpl_call_options options = {.wait = module_wait(&thread, 0), .refusal = &refusal};
    cpl_error err = {0};
    thread = PyEval_SaveThread();
    cpl_status status = cpl_client_call(client_handle(self), operation, text, &options, &reply, &err);
    PyEval_RestoreThread(thread);

    PyObject *answer = NULL;
    if (refusal) {
        error_raise_answer(&err, refusal);
    } else if (module_done(status, &err)) {
        answer = convert_reply(state, reply);
    }
    cpl_reply_free(reply);
    cpl_reply_free(refusal);
    cpl_writer_free(writer);
    return answer;
}

static PyObject *client_upload(PyObject *self, PyObject *args) {
    cpl_str path, bucket, key;
    if (!PyArg_ParseTuple(args, "y#s#s#:upload", &path.p, &path.n, &bucket.p, &bucket.n, &key.p, &key.n)) return NULL;
    PyThreadState *thread;
    cpl_wait wait = module_wait(&thread, 0);
    cpl_error err = {0};
    thread = PyEval_SaveThread();
    cpl_status status = cpl_client_upload(client_handle(self), path, bucket, key, &wait, &err);
    PyEval_RestoreThread(thread);
    if (!module_done(status, &err)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *client_download(PyObject *self, PyObject *args) {
    cpl_str bucket, key, path;
    if (!PyArg_ParseTuple(args, "s#s#y#:download", &bucket.p, &bucket.n, &key.p, &key.n, &path.p, &path.n)) return NULL;
    PyThreadState *thread;
    cpl_wait wait = module_wait(&thread, 0);
    cpl_error err = {0};
    thread = PyEval_SaveThread();
    cpl_status status = cpl_client_download(client_handle(self), bucket, key, path, &wait, &err);
    PyEval_RestoreThread(thread);
    if (!module_done(status, &err)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *client_close(PyObject *self, PyObject *unused) {
    (void)unused;
    cpl_client_close(client_handle(self));
    Py_RETURN_NONE;
}

static PyObject *get_closed(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(cpl_client_closed(client_handle(self)));
}

static PyObject *get_region(PyObject *self, void *unused) {
    (void)unused;
    return module_text(cpl_client_region(client_handle(self)));
}

static PyObject *get_endpoint_url(PyObject *self, void *unused) {
    (void)unused;
    return module_text(cpl_client_endpoint_url(client_handle(self)));
}

static PyMethodDef methods[] = {
    {"call", client_call, METH_VARARGS,
     "call($self, operation, params, /)\n--\n\nRuns one operation; the answer as a dict with ResponseMetadata."},
    {"upload", client_upload, METH_VARARGS, "upload($self, path, bucket, key, /)\n--\n\nA file into a bucket."},
    {"download", client_download, METH_VARARGS, "download($self, bucket, key, path, /)\n--\n\nAn object into a file."},
    {"close", client_close, METH_NOARGS, "close($self, /)\n--\n\nCloses the connections; new calls are StateError."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef properties[] = {{"closed", get_closed, NULL, "Whether close() was called.", NULL},
                                   {"region", get_region, NULL, "The region calls go to.", NULL},
                                   {"endpoint_url", get_endpoint_url, NULL, "The URL calls go to.", NULL},
                                   {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, client_new},
                              {Py_tp_dealloc, client_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, properties},
                              {Py_tp_doc, "A connection to the service; see codepipeline.Client."},
                              {0, NULL}};

PyType_Spec client_spec = {"codepipeline._core.Client", sizeof(client_object), 0, Py_TPFLAGS_DEFAULT, slots};
