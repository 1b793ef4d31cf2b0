/* SPDX-License-Identifier: MIT */
/* _core.Stub: answers in the service's place, in tests. Thread-safe, as the core's is. */
#include "module.h"

typedef struct stub_object {
    PyObject_HEAD cpl_stub *handle;
} stub_object;

cpl_stub *stub_check(const module_state *state, PyObject *stub) {
    if ((PyObject *)Py_TYPE(stub) == state->stub_type) return ((stub_object *)stub)->handle;
    PyErr_SetString(PyExc_TypeError, "stub must be a Stub");
    return NULL;
}

static PyObject *stub_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    stub_object *self = (stub_object *)PyType_GenericAlloc(type, 0);
    if (self && !(self->handle = cpl_stub_new())) {
        Py_CLEAR(self);
        PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void stub_dealloc(PyObject *self) {
    cpl_stub_free(((stub_object *)self)->handle);
    module_dealloc(self);
}

static PyObject *stub_add(PyObject *self, PyObject *args) {
    module_state *state = state_of(self);
    cpl_stub *stub = ((stub_object *)self)->handle;
    cpl_stub_answer answer = {0};
    cpl_str operation;
    PyObject *given, *params;
    if (!PyArg_ParseTuple(args, "s#iO!O:add", &operation.p, &operation.n, &answer.http_status, &PyDict_Type, &given,
                          &params)) {
        return NULL;
    }
    cpl_error err = {0};
    cpl_status status = CPL_INVALID;
    cpl_writer *written = convert_text(state, given, &answer.document);
    cpl_writer *more = written && params != Py_None ? convert_text(state, params, &answer.expected) : NULL;
    bool readable = written && (more || params == Py_None);
    if (readable) status = cpl_stub_add(stub, operation, &answer, &err);
    cpl_writer_free(written);
    cpl_writer_free(more);
    if (!readable || !module_done(status, &err)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *get_pending(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(cpl_stub_pending(((stub_object *)self)->handle));
}

static PyMethodDef methods[] = {
    {"add", stub_add, METH_VARARGS,
     "add(operation, http_status, answer, expected, /)\n--\n\nOne more answer; None in expected stands for anything."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef members[] = {{"pending", get_pending, NULL, "How many answers nobody took.", NULL},
                                {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, stub_new},   {Py_tp_dealloc, stub_dealloc}, {Py_tp_methods, methods},
                              {Py_tp_getset, members}, {Py_tp_doc, "A cpl_stub."},    {0, NULL}};

PyType_Spec stub_spec = {
    .name = "codepipeline._core.Stub", .basicsize = sizeof(stub_object), .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
