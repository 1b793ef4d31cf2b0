/* SPDX-License-Identifier: MIT */
/* The module functions pack() and extract(). Paths come as bytes in the file system's encoding. */
#include "module.h"

PyObject *archive_pack(PyObject *module, PyObject *args) {
    (void)module;
    cpl_str path, archive;
    if (!PyArg_ParseTuple(args, "y#y#:pack", &path.p, &path.n, &archive.p, &archive.n)) return NULL;
    PyThreadState *thread;
    cpl_wait wait = module_wait(&thread, 0);
    cpl_error err = {0};
    thread = PyEval_SaveThread();
    cpl_status status = cpl_pack(path, archive, &wait, &err);
    PyEval_RestoreThread(thread);
    if (!module_done(status, &err)) return NULL;
    Py_RETURN_NONE;
}

PyObject *archive_extract(PyObject *module, PyObject *args) {
    (void)module;
    cpl_str archive, directory;
    long long limit;
    if (!PyArg_ParseTuple(args, "y#y#L:extract", &archive.p, &archive.n, &directory.p, &directory.n, &limit))
        return NULL;
    if (limit < 0) return error_refuse("limit", "below 0");
    PyThreadState *thread;
    cpl_wait wait = module_wait(&thread, 0);
    cpl_error err = {0};
    thread = PyEval_SaveThread();
    cpl_status status = cpl_extract(archive, directory, limit, &wait, &err);
    PyEval_RestoreThread(thread);
    if (!module_done(status, &err)) return NULL;
    Py_RETURN_NONE;
}
