/* SPDX-License-Identifier: MIT */
/*
 * The extension module codepipeline._core: views in, Python objects out, nothing else. No defaults, no retries, no
 * parsing: those are the core's. One noun a file; this header is what they share.
 *
 * Rules:
 * - All state is in module_state, one per module object; no static variable is ever written.
 * - The GIL is released around one core call and nothing more, see module_wait(). Views handed to the core point into
 *   objects the caller's argument tuple keeps alive; nothing borrowed is kept after the call.
 * - The types cannot be subclassed, so Py_TYPE(self) always leads to the module.
 */
#ifndef CODEPIPELINE_MODULE_H
#define CODEPIPELINE_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../../core/codepipeline.h"

/* Texts that every call needs, made once: the keys of ResponseMetadata, and a module that may be loaded. */
typedef enum module_key {
    KEY_RESPONSE_METADATA,
    KEY_REQUEST_ID,
    KEY_HTTP_STATUS,
    KEY_HTTP_HEADERS,
    KEY_RETRY_ATTEMPTS,
    KEY_LOGGING,
    KEY_COUNT
} module_key;

typedef struct module_state {
    PyObject *job_type;
    PyObject *client_type;
    PyObject *run_type;
    PyObject *feed_type;
    PyObject *stub_type;
    PyObject *keys[KEY_COUNT];
    PyObject **names;   /* the model's member names as str, each made when first met */
    PyObject *datetime; /* datetime.datetime; this and the next one are looked up when first needed */
    PyObject *utc;      /* datetime.timezone.utc */
    PyObject *observe;  /* the module codepipeline._observe, likewise */
} module_state;

static inline module_state *state_of(PyObject *self) {
    return PyType_GetModuleState(Py_TYPE(self));
}

/* ---- module.c ---- */

/*
 * How the core waits while the GIL is released: its tick takes the GIL for a moment and lets signal handlers run. Use:
 *     PyThreadState *thread;
 *     cpl_wait wait = module_wait(&thread, timeout_ms);
 *     thread = PyEval_SaveThread();
 *     status = cpl_...(..., &wait, &err);
 *     PyEval_RestoreThread(thread);
 *     if (!module_done(status, &err)) ...
 */
cpl_wait module_wait(PyThreadState **thread, int64_t timeout_ms);
/* False with an exception set: the one a signal handler raised, or what err says. */
bool module_done(cpl_status status, const cpl_error *err);
/* For "O&": a number of seconds above 0, or None for the default, into an int64_t of milliseconds. */
int module_milliseconds(PyObject *seconds, void *out);
/* A new str, or None for NULL. */
PyObject *module_text(const char *text);
/* Frees an instance of a heap type after its contents. */
void module_dealloc(PyObject *self);
/*
 * How an object begins that refers to others, so that the garbage collector sees a cycle through a hook: a client to
 * its hook (NULL: none), the rest to the clients they ask through, one or a list of them. Its type has HOLDER_SLOTS
 * and Py_TPFLAGS_HAVE_GC, its dealloc untracks it first and ends with holder_dealloc().
 */
typedef struct holder {
    PyObject_HEAD PyObject *held; /* owned; NULL: nothing */
} holder;
int holder_traverse(PyObject *self, visitproc visit, void *arg);
int holder_clear(PyObject *self);
void holder_dealloc(PyObject *self);
#define HOLDER_SLOTS                     \
    {Py_tp_traverse, holder_traverse}, { \
        Py_tp_clear, holder_clear        \
    }
/* Runs a command of the core without the GIL; argv is a list of str. Its exit status, or NULL with an exception set. */
PyObject *module_command(PyObject *argv, int (*command)(int, char **));
/* A new reference to a type made from spec and added to the module; NULL with an exception set. */
PyObject *module_add_type(PyObject *module, PyType_Spec *spec, const char *name);

/* ---- error.c: the one way from a cpl_error to an exception ---- */

/* A new exception object, or NULL with another exception set. */
PyObject *error_object(const cpl_error *err);
/* Raises it; always NULL. A pending exception after CPL_CANCELLED is left as it is. */
PyObject *error_raise(const cpl_error *err);
/* The same for an error that came as an answer; the exception has its headers and members. */
PyObject *error_raise_answer(module_state *state, const cpl_error *err, const cpl_reply *refusal);
/* Raises ParamValidationError "path: text"; always NULL. */
PyObject *error_refuse(const char *path, const char *text);
/* Raises StateError; always NULL. */
PyObject *error_state(const char *text);
/* The module function failure_type(status, code, http_status, retryable). */
PyObject *error_failure_type(PyObject *module, PyObject *args);

/* ---- convert.c: Python objects <-> JSON ---- */

/*
 * value as JSON in *text: dict with str keys, list, tuple, str, bool, int, float, None, and datetime as seconds since
 * 1970 (a naive one is taken as UTC). Answers the writer that holds the text, for cpl_writer_free(), or NULL with
 * ParamValidationError set, naming the member at fault.
 */
cpl_writer *convert_text(module_state *state, PyObject *value, cpl_str *text);
/*
 * The document the cursor stands before, as Python objects; NULL with an exception set. Timestamps become aware
 * datetime objects. mask: sensitive values become "***". Releases the cursor.
 */
PyObject *convert_read(module_state *state, cpl_cursor *cursor, bool mask);
/* The headers of an answer as a dict of str. */
PyObject *convert_headers(const cpl_reply *reply);
/* An answer, which nobody need have checked yet, as a dict with ResponseMetadata. */
PyObject *convert_reply(module_state *state, const cpl_reply *reply);

/* ---- observe.c: those who look on ---- */

typedef struct observe_context {
    cpl_observer observer;
    PyThreadState **thread;
    PyObject *clients; /* borrowed */
    PyObject *tell;    /* codepipeline._observe.tell, or its tell_firmly; NULL: nobody looks on */
} observe_context;
/* What a hook raises ends the call and is raised by module_done(), or is logged and the call goes on. */
typedef enum observe_manner { OBSERVE_OPENLY, OBSERVE_FIRMLY } observe_manner;
/*
 * For calls of these clients, one or a list of them. False with an exception set, and nothing to end; else
 * context->observer, which must stay where it is, is put into *wait if anybody looks on.
 */
bool observe_begin(observe_context *context, PyObject *clients, observe_manner manner, PyThreadState **thread,
                   cpl_wait *wait);
void observe_end(observe_context *context);

/* ---- progress.c: how far a transfer is ---- */

typedef struct progress_context {
    PyThreadState **thread;
    PyObject *hook; /* NULL: nobody wants to know */
    cpl_progress now, told;
} progress_context;
/*
 * As module_wait(), and hook is called with (done, total), before them the artifact's name where there is one; total is
 * None until it is known. NULL and None are no hook. With the GIL; end it in any case, with the GIL too.
 */
cpl_wait progress_begin(progress_context *context, PyObject *hook, PyThreadState **thread);
void progress_end(progress_context *context);

/* ---- the types, and functions of the module ---- */

extern PyType_Spec client_spec, worker_spec, job_spec, run_spec, queue_spec, emulator_spec, feed_spec, stub_spec;

cpl_client *client_handle(PyObject *client);
/* The handle of a Client, or NULL with TypeError set. */
cpl_client *client_check(const module_state *state, PyObject *client);
/* The handle of a Stub, likewise. */
cpl_stub *stub_check(const module_state *state, PyObject *stub);
/* Takes job over, also when it fails. clients: those it may ask through, one or a list of them. */
PyObject *job_new(module_state *state, cpl_job *job, PyObject *clients);
PyObject *feed_new(module_state *state, cpl_feed *feed); /* likewise */
/* The module function doctor(**options): the report as a dict. */
PyObject *client_doctor(PyObject *module, PyObject *args, PyObject *kwargs);
/* The module functions pack(path, archive), extract(archive, directory, limit) and emulator_main(argv). */
PyObject *archive_pack(PyObject *module, PyObject *args);
PyObject *archive_extract(PyObject *module, PyObject *args);
PyObject *emulator_command(PyObject *module, PyObject *argv);
/* The module functions run_start(...), run_open(...) and approvals(...); see _core.pyi. */
PyObject *run_start(PyObject *module, PyObject *args);
PyObject *run_open(PyObject *module, PyObject *args);
PyObject *run_approvals(PyObject *module, PyObject *args);
/* The module function runs_next(runs, timeout): (index, event) of the run in which something moved, or None. */
PyObject *run_next_of(PyObject *module, PyObject *args);
/* The module functions metrics(client, pipelines, since) and lint(document, region). */
PyObject *run_metrics(PyObject *module, PyObject *args);
PyObject *emulator_lint(PyObject *module, PyObject *args);
/*
 * event.c: read_event(event), refuse_event(client, event, why), sample_event(**options), job_from_event(client, event,
 * ...)
 */
PyObject *event_read(PyObject *module, PyObject *event);
PyObject *event_refuse(PyObject *module, PyObject *args);
PyObject *event_sample(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *event_job(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *event_command(PyObject *module, PyObject *argv);

#endif
