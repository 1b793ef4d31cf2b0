/* SPDX-License-Identifier: MIT */
#include "runtime_api.h"

#include "../err.h"
#include "functions.h"
#include "server.h"

#define BASE "/2018-06-01/runtime/"
#define INVOCATION BASE "invocation/"

struct emu_runtime {
    cpl_emulator *emulator;
    char *function;
    emu_server *server;
    char address[300];
};

static void refuse(emu_response *response, int status, const char *type, const char *message) {
    response->status = status;
    emu_response_header(response, "Content-Type", CPL_LIT("application/json"));
    cpl_buf_addf(&response->body, "{\"errorType\":\"%s\",\"errorMessage\":\"%s\"}", type, message);
}

static void hand_out(const emu_runtime *runtime, emu *e, const emu_invocation *invocation, emu_response *response) {
    char text[64];
    cpl_buf arn;
    /* a function's clock is the machine's, however far the emulator's was turned */
    snprintf(text, sizeof text, "%lld", (long long)(emu_wall_ms(e) + invocation->deadline_ms - emu_now_ms(e)));
    emu_response_header(response, "Content-Type", CPL_LIT("application/json"));
    emu_response_header(response, "Lambda-Runtime-Aws-Request-Id", cpl_str_of(invocation->id));
    emu_response_header(response, "Lambda-Runtime-Deadline-Ms", cpl_str_of(text));
    cpl_buf_init(&arn, 1024);
    cpl_buf_addf(&arn, "arn:aws:lambda:%s:%s:function:%s", emu_region(e), emu_account_id(e), runtime->function);
    emu_response_header(response, "Lambda-Runtime-Invoked-Function-Arn", cpl_buf_str(&arn));
    cpl_buf_release(&arn);
    snprintf(text, sizeof text, "Root=1-%08llx-%.8s%.4s%.12s;Sampled=0",
             (long long)(emu_wall_ms(e) / 1000) & 0xffffffff, invocation->id, invocation->id + 9, invocation->id + 24);
    emu_response_header(response, "Lambda-Runtime-Trace-Id", cpl_str_of(text));
    cpl_buf_addv(&response->body, invocation->event);
}

/* Takes as long as it takes, as with the real one. Who has gone away gets no invocation: it would be lost. */
static void next_invocation(emu_runtime *runtime, const emu_request *request, emu_response *response) {
    emu *e = emu_enter(runtime->emulator);
    emu_invocation invocation;
    if (emu_socket_left(request->socket)) {
        response->fate = EMU_FATE_RESET;
    } else if (emu_function_take(e, cpl_str_of(runtime->function), &invocation)) {
        hand_out(runtime, e, &invocation, response);
    } else {
        response->fate = EMU_FATE_LATER;
    }
    emu_leave_as_it_was(runtime->emulator);
}

/* path: "REQUEST_ID/response" or "REQUEST_ID/error". */
static void settle(emu_runtime *runtime, cpl_str path, emu_response *response) {
    size_t slash = cpl_str_find(path, '/');
    cpl_str id = cpl_str_sub(path, 0, slash), verb = cpl_str_sub(path, slash + 1, path.n);
    bool well = cpl_str_is(verb, "response"), found = false;
    if (well || cpl_str_is(verb, "error")) {
        emu *e = emu_enter(runtime->emulator);
        found = emu_function_settle(e, cpl_str_of(runtime->function), id, well);
        emu_leave(runtime->emulator);
    }
    if (!found) {
        refuse(response, 400, "InvalidRequestID", "no invocation of this id is under way");
        return;
    }
    response->status = 202;
    emu_response_header(response, "Content-Type", CPL_LIT("application/json"));
    cpl_buf_adds(&response->body, "{\"status\":\"OK\"}");
}

static void handle(void *context, const emu_request *request, emu_response *response) {
    emu_runtime *runtime = context;
    cpl_str path = request->path;
    if (cpl_str_is(request->method, "GET") && cpl_str_is(path, INVOCATION "next")) {
        next_invocation(runtime, request, response);
    } else if (cpl_str_is(request->method, "POST") && cpl_str_is(path, BASE "init/error")) {
        response->status = 202; /* the runtime ends, and Lambda would start another */
        cpl_buf_adds(&response->body, "{\"status\":\"OK\"}");
    } else if (cpl_str_is(request->method, "POST") && cpl_str_starts(path, INVOCATION)) {
        settle(runtime, cpl_str_sub(path, sizeof INVOCATION - 1, path.n), response);
    } else {
        refuse(response, 404, "NotFound", "the runtime API has no such path");
    }
}

cpl_status emu_runtime_start(emu_runtime **out, cpl_emulator *emulator, cpl_str function, const char *host,
                             cpl_error *err) {
    emu_runtime *runtime = cpl_calloc(1, sizeof *runtime);
    emu_answerer answerer;
    cpl_status status = CPL_OK;
    *out = NULL;
    if (runtime == NULL) return cpl_fail_nomem(err);
    runtime->emulator = emulator;
    runtime->function = cpl_strdup(function);
    if (runtime->function == NULL) status = cpl_fail_nomem(err);
    answerer = (emu_answerer){.handler = handle, .context = runtime};
    if (status == CPL_OK) status = emu_server_start(&runtime->server, host, 0, &answerer, err);
    if (status) {
        emu_runtime_stop(runtime);
        return status;
    }
    snprintf(runtime->address, sizeof runtime->address, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host,
             emu_server_port(runtime->server));
    *out = runtime;
    return CPL_OK;
}

const char *emu_runtime_function(const emu_runtime *runtime) {
    return runtime->function;
}

void emu_runtime_wake(const emu_runtime *runtime) {
    emu_server_wake(runtime->server);
}

const char *emu_runtime_address(const emu_runtime *runtime) {
    return runtime->address;
}

void emu_runtime_stop(emu_runtime *runtime) {
    if (runtime == NULL) return;
    emu_server_stop(runtime->server);
    cpl_free(runtime->function);
    cpl_free(runtime);
}
