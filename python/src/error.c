/* SPDX-License-Identifier: MIT */
/*
 * From a cpl_error to a Python exception. Which class that is, and what it looks like, is decided in
 * codepipeline/exceptions.py; this file carries the details over.
 */
#include "module.h"

/* Takes value over; false also when it is NULL. */
static bool put(PyObject *dict, const char *name, PyObject *value) {
    bool ok = value && PyDict_SetItemString(dict, name, value) == 0;
    Py_XDECREF(value);
    return ok;
}

static bool put_text(PyObject *dict, const char *name, const char *text) {
    return put(dict, name, module_text(text[0] ? text : NULL));
}

/* The keyword arguments of exceptions.from_core(). */
static PyObject *details_of(const cpl_error *err) {
    PyObject *details = PyDict_New();
    if (details && put_text(details, "status", cpl_status_name(err->status)) &&
        put(details, "message", module_text(err->message)) && put_text(details, "code", err->code) &&
        put_text(details, "path", err->path) && put_text(details, "operation", err->operation) &&
        put_text(details, "request_id", err->request_id) && put_text(details, "cloudfront_id", err->cloudfront_id) &&
        put_text(details, "extended_request_id", err->extended_id) &&
        put(details, "http_status", PyLong_FromLong(err->http_status)) &&
        put(details, "attempts", PyLong_FromLong(err->attempts)) &&
        put(details, "retry_delay", PyFloat_FromDouble((double)err->retry_delay_ms / 1000)) &&
        put(details, "retryable", PyBool_FromLong(err->retryable)) &&
        put(details, "exhausted", PyBool_FromLong(err->exhausted))) {
        return details;
    }
    Py_XDECREF(details);
    return NULL;
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

static bool is_modelled(const char *code) {
    for (size_t i = 0; i < cpl_model_error_count(); i++) {
        if (strcmp(cpl_model_error_name(i), code) == 0) return true;
    }
    return false;
}

/* What the model says is in the error; nothing when it does not know the error, or the body is no JSON. */
static PyObject *members_of(module_state *state, const char *code, const cpl_reply *refusal) {
    cpl_cursor cursor;
    if (is_modelled(code)) {
        cpl_reply_cursor(refusal, &cursor);
        PyObject *members = convert_read(state, &cursor, false);
        if (members && PyDict_Check(members)) return members;
        Py_XDECREF(members);
        PyErr_Clear();
    }
    return PyDict_New();
}

PyObject *error_raise_answer(module_state *state, const cpl_error *err, const cpl_reply *refusal) {
    PyObject *headers = convert_headers(refusal);
    PyObject *members = headers ? members_of(state, err->code, refusal) : NULL;
    PyObject *error = members ? error_object(err) : NULL;
    if (error && PyObject_SetAttrString(error, "headers", headers) == 0 &&
        PyObject_SetAttrString(error, "members", members) == 0) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    }
    Py_XDECREF(error);
    Py_XDECREF(members);
    Py_XDECREF(headers);
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
