/* SPDX-License-Identifier: MIT */
/*
 * From a cpl_error to a Python exception. Which class that is, and what it looks like, is decided in
 * codepipeline/exceptions.py; this file carries the details over.
 */
#include "module.h"

static PyObject *details_of(const cpl_error *err) {
    return Py_BuildValue("{s:s,s:N,s:N,s:N,s:N,s:N,s:i,s:i,s:d,s:O}",                            /* */
                         "status", cpl_status_name(err->status),                                 /* */
                         "message", module_text(err->message),                                   /* */
                         "code", module_text(err->code[0] ? err->code : NULL),                   /* */
                         "path", module_text(err->path[0] ? err->path : NULL),                   /* */
                         "operation", module_text(err->operation[0] ? err->operation : NULL),    /* */
                         "request_id", module_text(err->request_id[0] ? err->request_id : NULL), /* */
                         "http_status", err->http_status,                                        /* */
                         "attempts", err->attempts,                                              /* */
                         "retry_delay", (double)err->retry_delay_ms / 1000,                      /* */
                         "retryable", err->retryable ? Py_True : Py_False);
}

PyObject *error_object(const cpl_error *err) {
    PyObject *made = NULL;
    PyObject *exceptions = PyImport_ImportModule("codepipeline.exceptions");
    PyObject *make = exceptions ? PyObject_GetAttrString(exceptions, "from_core") : NULL;
    PyObject *details = make ? details_of(err) : NULL;
    PyObject *none = details ? PyTuple_New(0) : NULL;
    if (none) made = PyObject_Call(make, none, details);
    Py_XDECREF(none);
    Py_XDECREF(details);
    Py_XDECREF(make);
    Py_XDECREF(exceptions);
    return made;
}

PyObject *error_raise(const cpl_error *err) {
    if (err->status == CPL_CANCELLED && PyErr_Occurred()) return NULL;
    if (err->status == CPL_NOMEM) return PyErr_NoMemory();
    PyObject *error = error_object(err);
    if (error) PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
    return NULL;
}

PyObject *error_refuse(const char *path, const char *text) {
    cpl_error err = {.status = CPL_INVALID};
    PyOS_snprintf(err.path, sizeof err.path, "%s", path);
    PyOS_snprintf(err.message, sizeof err.message, path[0] ? "%s: %s" : "%s%s", path, text);
    return error_raise(&err);
}

PyObject *error_state(const char *text) {
    cpl_error err = {.status = CPL_STATE};
    PyOS_snprintf(err.message, sizeof err.message, "%s", text);
    return error_raise(&err);
}

static cpl_status status_named(const char *name) {
    for (int i = 0; i < CPL_STATUS_COUNT; i++) {
        if (strcmp(cpl_status_name((cpl_status)i), name) == 0) return (cpl_status)i;
    }
    return CPL_OK;
}

PyObject *error_failure_type(PyObject *module, PyObject *args) {
    (void)module;
    const char *status, *code;
    int http_status, retryable;
    if (!PyArg_ParseTuple(args, "szip:failure_type", &status, &code, &http_status, &retryable)) return NULL;
    cpl_error err = {.status = status_named(status), .http_status = http_status, .retryable = retryable};
    if (code) PyOS_snprintf(err.code, sizeof err.code, "%s", code);
    return module_text(cpl_failure_type(&err));
}
