/* SPDX-License-Identifier: MIT */
/* _core.Client: a handle of a cpl_client. The core allows calls from several threads at once, and so does this. */
#include "module.h"

typedef struct client_object {
    holder holds; /* the hook: who looks on at its calls */
    cpl_client *handle;
} client_object;

cpl_client *client_handle(PyObject *client) {
    return ((client_object *)client)->handle;
}

cpl_client *client_check(const module_state *state, PyObject *client) {
    if ((PyObject *)Py_TYPE(client) == state->client_type) return client_handle(client);
    PyErr_SetString(PyExc_TypeError, "client must be a Client");
    return NULL;
}

typedef enum option_kind { TEXT, SECONDS, COUNT, SIZE, CHOICE, TRUTH } option_kind;

typedef struct option_row {
    const char *name;
    option_kind kind;
    size_t offset;
} option_row;

#define OPTION(name, kind, member) \
    { name, kind, offsetof(cpl_client_options, member) }
static const option_row options_of_client[] = {
    OPTION("region", TEXT, region),
    OPTION("profile", TEXT, profile),
    OPTION("access_key_id", TEXT, access_key_id),
    OPTION("secret_access_key", TEXT, secret_access_key),
    OPTION("session_token", TEXT, session_token),
    OPTION("endpoint_url", TEXT, endpoint_url),
    OPTION("s3_endpoint_url", TEXT, s3_endpoint_url),
    OPTION("ca_bundle", TEXT, ca_bundle),
    OPTION("user_agent_extra", TEXT, user_agent_extra),
    OPTION("connect_timeout", SECONDS, connect_timeout_ms),
    OPTION("read_timeout", SECONDS, read_timeout_ms),
    OPTION("total_timeout", SECONDS, total_timeout_ms),
    OPTION("max_attempts", COUNT, max_attempts),
    OPTION("response_limit", SIZE, response_limit),
    OPTION("retry_mode", TEXT, retry_mode),
    OPTION("app_id", TEXT, app_id),
    OPTION("use_fips_endpoint", CHOICE, use_fips_endpoint),
    OPTION("use_dualstack_endpoint", CHOICE, use_dualstack_endpoint),
    OPTION("ignore_configured_endpoint_urls", CHOICE, ignore_configured_endpoint_urls),
    OPTION("proxy", TEXT, proxy),
    OPTION("client_cert", TEXT, client_cert),
    OPTION("client_key", TEXT, client_key),
    OPTION("anonymous", TRUTH, anonymous),
};

static const option_row *find_option(PyObject *name) {
    for (size_t i = 0; i < sizeof options_of_client / sizeof *options_of_client; i++) {
        if (PyUnicode_CompareWithASCIIString(name, options_of_client[i].name) == 0) return &options_of_client[i];
    }
    char there[1024] = "";
    for (size_t i = 0, n = 0; i < sizeof options_of_client / sizeof *options_of_client; i++) {
        n += (size_t)PyOS_snprintf(there + n, sizeof there - n, "%s, ", options_of_client[i].name);
    }
    PyErr_Format(PyExc_TypeError,
                 "%R is an invalid keyword argument for Client(); there are %scredentials and mfa_code", name, there);
    return NULL;
}

/* Python's own words for a value of the wrong type do not say whose value it is. */
static bool check_type(const option_row *option, PyObject *value) {
    static const char *const words[] = {[TEXT] = "text",
                                        [SECONDS] = "a number of seconds",
                                        [COUNT] = "a whole number",
                                        [SIZE] = "a whole number of bytes"};
    bool text = PyUnicode_Check(value) || PyBytes_Check(value);
    switch (option->kind) {
    case TEXT:
        if (text) return true;
        break;
    case SECONDS:
        if (PyNumber_Check(value) && !text) return true;
        break;
    case COUNT:
    case SIZE:
        if (PyIndex_Check(value)) return true;
        break;
    default: return true;
    }
    PyErr_Format(PyExc_TypeError, "%s: expected %s, got %R", option->name, words[option->kind],
                 (PyObject *)Py_TYPE(value));
    return false;
}

/* None means the default, as an absent option does. */
static bool parse_option(const option_row *option, PyObject *value, cpl_client_options *o) {
    void *to = (char *)o + option->offset;
    Py_ssize_t number;
    int truth;
    if (value == Py_None) return true;
    if (!check_type(option, value)) return false;
    switch (option->kind) {
    case TEXT: return PyArg_Parse(value, "z#", &((cpl_str *)to)->p, &((cpl_str *)to)->n);
    case SECONDS: return module_milliseconds(value, to);
    case CHOICE:
        truth = PyObject_IsTrue(value);
        *(cpl_choice *)to = truth ? CPL_CHOICE_YES : CPL_CHOICE_NO;
        return truth >= 0;
    case TRUTH:
        truth = PyObject_IsTrue(value);
        *(bool *)to = truth > 0;
        return truth >= 0;
    default: break;
    }
    number = PyNumber_AsSsize_t(value, PyExc_OverflowError);
    if (number == -1 && PyErr_Occurred()) return false;
    if (number < 0 || (option->kind == COUNT && number > INT_MAX)) {
        PyErr_Format(PyExc_ValueError, "%s is out of range", option->name);
        return false;
    }
    if (option->kind == COUNT) {
        *(int *)to = (int)number;
    } else {
        *(size_t *)to = (size_t)number;
    }
    return true;
}

/* ---- where credentials come from ---- */

/*
 * What a question raised becomes its answer, but for what is no Exception (Ctrl-C), which stays set and ends the call.
 * Takes the GIL's state as it was before the question.
 */
static cpl_status end_question(const char *who, bool answered, PyGILState_STATE gil, cpl_error *err) {
    cpl_status status = CPL_OK;
    if (!answered) {
        status = PyErr_ExceptionMatches(PyExc_Exception) ? CPL_CREDENTIALS : CPL_CANCELLED;
        err->status = status;
    }
    if (status == CPL_CREDENTIALS) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        PyObject *told = PyUnicode_FromFormat("%s: %R", who, value);
        PyObject *bytes = told ? PyUnicode_AsUTF8String(told) : NULL;
        PyOS_snprintf(err->message, sizeof err->message, "%s", bytes ? PyBytes_AsString(bytes) : who);
        PyErr_Clear();
        Py_XDECREF(bytes);
        Py_XDECREF(told);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    }
    PyGILState_Release(gil);
    return status;
}

static bool copy_text(PyObject *bytes, char *out, size_t size, const char *name) {
    char *text;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(bytes, &text, &n) < 0) return false;
    if ((size_t)n >= size || strlen(text) != (size_t)n) {
        PyErr_Format(PyExc_ValueError, "%s is too long, or has a NUL", name);
        return false;
    }
    memcpy(out, text, (size_t)n + 1);
    return true;
}

/* The context is (keys, mfa_code); keys() answers three bytes and a time. */
static cpl_status ask_keys(void *context, cpl_keys *out, cpl_error *err) {
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *made = PyObject_CallNoArgs(PyTuple_GetItem(context, 0));
    bool ok = false;
    if (made && PyTuple_Check(made) && PyTuple_Size(made) == 4) {
        out->expires_s = PyLong_AsLongLong(PyTuple_GetItem(made, 3));
        ok = !PyErr_Occurred() &&
             copy_text(PyTuple_GetItem(made, 0), out->access_key_id, sizeof out->access_key_id, "access_key_id") &&
             copy_text(PyTuple_GetItem(made, 1), out->secret_access_key, sizeof out->secret_access_key, "the secret") &&
             copy_text(PyTuple_GetItem(made, 2), out->session_token, sizeof out->session_token, "session_token");
    } else if (made) {
        PyErr_SetString(PyExc_TypeError, "not what it should answer");
    }
    Py_XDECREF(made);
    return end_question("the credentials provider", ok, gil, err);
}

static cpl_status ask_mfa_code(void *context, const char *serial, char out[16], cpl_error *err) {
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *text = module_text(serial);
    PyObject *made = text ? PyObject_CallFunctionObjArgs(PyTuple_GetItem(context, 1), text, NULL) : NULL;
    bool ok = made && copy_text(made, out, 16, "the code");
    Py_XDECREF(made);
    Py_XDECREF(text);
    return end_question("mfa_code", ok, gil, err);
}

/* Workers, jobs and runs may outlive the Python object of the client they ask through. */
static void retain_source(void *context) {
    PyGILState_STATE gil = PyGILState_Ensure();
    Py_INCREF(context);
    PyGILState_Release(gil);
}

static void release_source(void *context) {
    PyGILState_STATE gil = PyGILState_Ensure();
    Py_DECREF(context);
    PyGILState_Release(gil);
}

/* The option "source", (keys or None, mfa_code or None), if it is there. */
static void read_source(PyObject *kwargs, cpl_client_options *o) {
    PyObject *source = kwargs ? PyDict_GetItemString(kwargs, "source") : NULL; /* borrowed */
    if (!source || !PyTuple_Check(source) || PyTuple_Size(source) != 2) return;
    if (PyTuple_GetItem(source, 0) != Py_None) o->source.keys = ask_keys;
    if (PyTuple_GetItem(source, 1) != Py_None) o->source.mfa_code = ask_mfa_code;
    o->source.context = source;
    o->source.retain = retain_source;
    o->source.release = release_source;
}

/* The texts belong to the values in kwargs. */
static bool parse_options(PyObject *args, PyObject *kwargs, cpl_client_options *o) {
    PyObject *name, *value;
    Py_ssize_t at = 0;
    if (PyTuple_Size(args) > 0) {
        PyErr_SetString(PyExc_TypeError, "Client() takes no positional arguments");
        return false;
    }
    read_source(kwargs, o);
    while (kwargs && PyDict_Next(kwargs, &at, &name, &value)) {
        if (value == o->source.context) continue;
        const option_row *option = find_option(name);
        if (!option || !parse_option(option, value, o)) return false;
    }
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

static PyObject *new_view(PyObject *self, const cpl_client_options *options) {
    cpl_error err = {0};
    client_object *view = (client_object *)PyType_GenericAlloc(Py_TYPE(self), 0);
    if (view && cpl_client_with(&view->handle, client_handle(self), options, &err) != CPL_OK) {
        error_raise(&err);
        Py_CLEAR(view);
    }
    if (view) {
        view->holds.held = ((holder *)self)->held;
        Py_XINCREF(view->holds.held);
    }
    return (PyObject *)view;
}

static PyObject *client_with_options(PyObject *self, PyObject *args, PyObject *kwargs) {
    cpl_client_options options = {0};
    return parse_options(args, kwargs, &options) ? new_view(self, &options) : NULL;
}

static PyObject *client_with_stub(PyObject *self, PyObject *stub) {
    cpl_client_options options = {.stub = stub_check(state_of(self), stub)};
    return options.stub ? new_view(self, &options) : NULL;
}

PyObject *client_doctor(PyObject *module, PyObject *args, PyObject *kwargs) {
    cpl_client_options options = {0};
    if (!parse_options(args, kwargs, &options)) return NULL;
    PyThreadState *thread;
    cpl_wait wait = module_wait(&thread, 0);
    cpl_reply *reply = NULL;
    cpl_cursor cursor;
    cpl_error err = {0};
    thread = PyEval_SaveThread();
    cpl_status status = cpl_doctor(&options, &wait, &reply, &err);
    PyEval_RestoreThread(thread);
    PyObject *report = NULL;
    if (module_done(status, &err)) {
        cpl_reply_cursor(reply, &cursor);
        report = convert_read(PyModule_GetState(module), &cursor, false);
    }
    cpl_reply_free(reply);
    return report;
}

static void client_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    cpl_client_free(client_handle(self));
    holder_dealloc(self);
}

static PyObject *client_call(PyObject *self, PyObject *args) {
    module_state *state = state_of(self);
    cpl_str operation, text;
    PyObject *params;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "s#O!:call", &operation.p, &n, &PyDict_Type, &params)) return NULL;
    operation.n = (size_t)n;
    PyThreadState *thread;
    observe_context watch;
    cpl_writer *writer = convert_text(state, params, &text);
    if (!writer) return NULL;
    cpl_reply *reply = NULL, *refusal = NULL;
    cpl_call_options options = {.flags = CPL_CALL_UNCHECKED, .wait = module_wait(&thread, 0), .refusal = &refusal};
    if (!observe_begin(&watch, self, OBSERVE_OPENLY, &thread, &options.wait)) {
        cpl_writer_free(writer);
        return NULL;
    }
    cpl_error err = {0};
    thread = PyEval_SaveThread();
    cpl_status status = cpl_client_call(client_handle(self), operation, text, &options, &reply, &err);
    PyEval_RestoreThread(thread);

    observe_end(&watch);
    PyObject *answer = NULL;
    if (refusal) {
        error_raise_answer(state, &err, refusal);
    } else if (module_done(status, &err)) {
        answer = convert_reply(state, reply);
    }
    cpl_reply_free(reply);
    cpl_reply_free(refusal);
    cpl_writer_free(writer);
    return answer;
}

/* One of the core's two functions, which take three texts. */
typedef cpl_status (*transfer)(cpl_client *, cpl_str, cpl_str, cpl_str, const cpl_wait *, cpl_error *);

static PyObject *move_file(PyObject *self, transfer move, const cpl_str texts[3], PyObject *hook) {
    PyThreadState *thread;
    progress_context progress;
    cpl_wait wait = progress_begin(&progress, hook, &thread);
    cpl_error err = {0};
    thread = PyEval_SaveThread();
    cpl_status status = move(client_handle(self), texts[0], texts[1], texts[2], &wait, &err);
    PyEval_RestoreThread(thread);
    progress_end(&progress);
    if (!module_done(status, &err)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *client_upload(PyObject *self, PyObject *args) {
    cpl_str t[3];
    PyObject *hook = NULL;
    if (!PyArg_ParseTuple(args, "y#s#s#|O:upload", &t[0].p, &t[0].n, &t[1].p, &t[1].n, &t[2].p, &t[2].n, &hook)) {
        return NULL;
    }
    return move_file(self, cpl_client_upload, t, hook);
}

static PyObject *client_download(PyObject *self, PyObject *args) {
    cpl_str t[3];
    PyObject *hook = NULL;
    if (!PyArg_ParseTuple(args, "s#s#y#|O:download", &t[0].p, &t[0].n, &t[1].p, &t[1].n, &t[2].p, &t[2].n, &hook)) {
        return NULL;
    }
    return move_file(self, cpl_client_download, t, hook);
}

static PyObject *client_close(PyObject *self, PyObject *unused) {
    (void)unused;
    cpl_client_close(client_handle(self));
    Py_RETURN_NONE;
}

static PyObject *get_hook(PyObject *self, void *unused) {
    (void)unused;
    PyObject *hook = ((holder *)self)->held ? ((holder *)self)->held : Py_None;
    Py_INCREF(hook);
    return hook;
}

static int set_hook(PyObject *self, PyObject *hook, void *unused) {
    PyObject *before = ((holder *)self)->held;
    (void)unused;
    if (hook == Py_None) hook = NULL;
    Py_XINCREF(hook);
    ((holder *)self)->held = hook;
    Py_XDECREF(before);
    return 0;
}

static PyObject *get_closed(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(cpl_client_closed(client_handle(self)));
}

static PyObject *get_region(PyObject *self, void *unused) {
    (void)unused;
    return module_text(cpl_client_region(client_handle(self)));
}

static PyObject *get_partition(PyObject *self, void *unused) {
    (void)unused;
    return module_text(cpl_client_partition(client_handle(self)));
}

static PyObject *get_endpoint_url(PyObject *self, void *unused) {
    (void)unused;
    return module_text(cpl_client_endpoint_url(client_handle(self)));
}

static PyMethodDef methods[] = {
    {"call", client_call, METH_VARARGS,
     "call($self, operation, params, /)\n--\n\nRuns one operation; the answer as a dict with ResponseMetadata."},
    {"with_options", (PyCFunction)(void (*)(void))client_with_options, METH_VARARGS | METH_KEYWORDS,
     "with_options($self, /, **options)\n--\n\nA view of this client with other options."},
    {"with_stub", client_with_stub, METH_O,
     "with_stub($self, stub, /)\n--\n\nA view of this client that a Stub answers."},
    {"upload", client_upload, METH_VARARGS,
     "upload($self, path, bucket, key, progress=None, /)\n--\n\nA file into a bucket."},
    {"download", client_download, METH_VARARGS,
     "download($self, bucket, key, path, progress=None, /)\n--\n\nAn object into a file."},
    {"close", client_close, METH_NOARGS, "close($self, /)\n--\n\nCloses the connections; new calls are StateError."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef properties[] = {{"hook", get_hook, set_hook, "Called with each event of a call, or None.", NULL},
                                   {"closed", get_closed, NULL, "Whether close() was called.", NULL},
                                   {"region", get_region, NULL, "The region calls go to.", NULL},
                                   {"partition", get_partition, NULL, "That region's partition.", NULL},
                                   {"endpoint_url", get_endpoint_url, NULL, "The URL calls go to.", NULL},
                                   {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, client_new},
                              {Py_tp_dealloc, client_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, properties},
                              HOLDER_SLOTS,
                              {Py_tp_doc, "A connection to the service; see codepipeline.Client."},
                              {0, NULL}};

PyType_Spec client_spec = {"codepipeline._core.Client", sizeof(client_object), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};
