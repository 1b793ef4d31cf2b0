/* SPDX-License-Identifier: MIT */
#include "api.h"

#include <stdarg.h>

#include "../err.h"
#include "auth.h"

#define VIOLATIONS_MAX 100

/* What became of a call; code is empty when it went well. */
typedef struct outcome {
    int status;
    char code[80];
    char message[1024];
} outcome;

static void CPL_PRINTF(4, 5) fail(outcome *o, int status, const char *code, const char *format, ...) {
    va_list args;
    o->status = status;
    CPL_COPY(o->code, cpl_str_of(code));
    va_start(args, format);
    vsnprintf(o->message, sizeof o->message, format, args);
    va_end(args);
}

static void fail_nomem(outcome *o) {
    fail(o, 500, "InternalFailure", "the emulator is out of memory");
}

bool emu_refuse(emu_call *call, const char *code, const char *format, ...) {
    va_list args;
    call->http_status = 400;
    CPL_COPY(call->code, cpl_str_of(code));
    va_start(args, format);
    vsnprintf(call->message, sizeof call->message, format, args);
    va_end(args);
    return call->complaints && emu_complain(call);
}

bool emu_nomem(emu_call *call) {
    call->complaints = NULL;
    emu_refuse(call, "InternalFailure", "the emulator is out of memory");
    call->http_status = 500;
    return false;
}

/* ---- input ---- */

/* Drops what the service does not look at: members that are null or that the model does not have. */
static void prune(cpl_json *json, uint16_t shape) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    cpl_json_kind kind = cpl_json_kind_of(json);
    uint16_t hint = 0;
    cpl_json *next;
    if ((s->kind == CPL_SHAPE_LIST && kind == CPL_JSON_ARRAY) ||
        (s->kind == CPL_SHAPE_MAP && kind == CPL_JSON_OBJECT)) {
        for (cpl_json *i = cpl_json_first(json); i; i = cpl_json_next(i)) prune(i, s->value);
    }
    if (s->kind != CPL_SHAPE_STRUCTURE || kind != CPL_JSON_OBJECT) return;
    for (cpl_json *i = cpl_json_first(json); i; i = next) {
        const cpl_member *member = cpl_model_member(shape, cpl_json_key(i), &hint);
        next = cpl_json_next(i);
        if (member && cpl_json_kind_of(i) != CPL_JSON_NULL) {
            prune(i, member->shape);
        } else {
            cpl_json_free(cpl_json_detach(json, i));
        }
    }
}

/* "pipeline.stages[0].name" as the service writes it: "pipeline.stages.1.member.name". */
static void add_path(cpl_buf *out, cpl_str path) {
    for (size_t i = 0; i < path.n; i++) {
        size_t end = i + cpl_str_find(cpl_str_sub(path, i, path.n), ']');
        int64_t index;
        if (path.p[i] == '[' && end < path.n && cpl_str_integer(cpl_str_sub(path, i + 1, end), &index)) {
            cpl_buf_addf(out, ".%lld.member", (long long)index + 1);
            i = end;
        } else {
            cpl_buf_addc(out, path.p[i]);
        }
    }
}

static void add_enum(cpl_buf *out, const cpl_shape *s) {
    cpl_buf_adds(out, "Member must satisfy enum value set: [");
    for (size_t i = 0; i < s->count; i++) cpl_buf_addf(out, "%s%s", i > 0 ? ", " : "", cpl_model_enums[s->first + i]);
    cpl_buf_addc(out, ']');
}

static void add_constraint(cpl_buf *out, const cpl_violation *v) {
    const cpl_shape *s = &cpl_model_shapes[v->shape];
    switch (v->kind) {
    case CPL_VIOLATION_SHORT: cpl_buf_addf(out, "Member must have length greater than or equal to %d", s->min); break;
    case CPL_VIOLATION_LONG: cpl_buf_addf(out, "Member must have length less than or equal to %d", s->max); break;
    case CPL_VIOLATION_SMALL:
        cpl_buf_addf(out, "Member must have value greater than or equal to %d",
                     s->flags & CPL_SHAPE_HAS_MIN ? s->min : INT32_MIN);
        break;
    case CPL_VIOLATION_LARGE:
        cpl_buf_addf(out, "Member must have value less than or equal to %d",
                     s->flags & CPL_SHAPE_HAS_MAX ? s->max : INT32_MAX);
        break;
    case CPL_VIOLATION_PATTERN:
        cpl_buf_addf(out, "Member must satisfy regular expression pattern: %s", cpl_model_pattern_sources[s->pattern]);
        break;
    case CPL_VIOLATION_ENUM: add_enum(out, s); break;
    default: cpl_buf_adds(out, "Member must not be null");
    }
}

/* A key at fault is told of the map it is in. */
static cpl_str told_path(const cpl_violation *v) {
    cpl_str path = cpl_str_of(v->path);
    size_t n = path.n;
    if (!v->key) return path;
    while (n > 0 && path.p[n] != '.' && path.p[n] != '[') n--;
    return cpl_str_sub(path, 0, n);
}

static void add_violation(cpl_buf *out, const cpl_violation *v) {
    bool missing = v->kind == CPL_VIOLATION_MISSING || v->kind == CPL_VIOLATION_NULL;
    if (missing) {
        cpl_buf_adds(out, "Value null at '");
    } else if (v->value[0] != '\0' && !v->key) {
        cpl_buf_addf(out, "Value '%s' at '", v->value);
    } else {
        cpl_buf_adds(out, "Value at '");
    }
    add_path(out, told_path(v));
    cpl_buf_adds(out, "' failed to satisfy constraint: ");
    if (v->key) cpl_buf_adds(out, "Map keys must satisfy constraint: [");
    add_constraint(out, v);
    if (v->key) cpl_buf_addc(out, ']');
}

static void fail_type(outcome *o, const cpl_violation *v) {
    static const char *const kinds[] = {
        [CPL_SHAPE_NONE] = "value",      [CPL_SHAPE_STRUCTURE] = "structure", [CPL_SHAPE_LIST] = "list",
        [CPL_SHAPE_MAP] = "map",         [CPL_SHAPE_STRING] = "String",       [CPL_SHAPE_INTEGER] = "Integer",
        [CPL_SHAPE_BOOLEAN] = "Boolean", [CPL_SHAPE_TIMESTAMP] = "Timestamp"};
    const char *wanted = kinds[cpl_model_shapes[v->shape].kind], *got = "NUMBER_VALUE";
    switch (v->got) {
    case CPL_TOKEN_OBJECT:
        fail(o, 400, "SerializationException", "Start of structure or map found where not expected: %s", v->path);
        return;
    case CPL_TOKEN_ARRAY:
        fail(o, 400, "SerializationException", "Start of list found where not expected: %s", v->path);
        return;
    case CPL_TOKEN_STRING: got = "STRING_VALUE"; break;
    case CPL_TOKEN_TRUE: got = "TRUE_VALUE"; break;
    case CPL_TOKEN_FALSE: got = "FALSE_VALUE"; break;
    default: break;
    }
    fail(o, 400, "SerializationException", "%s can not be converted to a %s: %s", got, wanted, v->path);
}

static bool fail_violations(outcome *o, const cpl_violation *violations, size_t count) {
    cpl_buf text;
    for (size_t i = 0; i < count; i++) {
        if (violations[i].kind == CPL_VIOLATION_TYPE) return fail_type(o, &violations[i]), false;
    }
    cpl_buf_init(&text, (size_t)1 << 20);
    cpl_buf_addf(&text, "%zu validation error%s detected: ", count, count == 1 ? "" : "s");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) cpl_buf_adds(&text, "; ");
        add_violation(&text, &violations[i]);
    }
    fail(o, 400, "ValidationException", "%s", cpl_buf_cstr(&text));
    cpl_buf_release(&text);
    return false;
}

static bool check_shape(const cpl_json *in, uint16_t shape, outcome *o) {
    cpl_violations found = {.rows = cpl_calloc(VIOLATIONS_MAX, sizeof *found.rows), .max = VIOLATIONS_MAX};
    bool fine = false;
    cpl_status status = CPL_NOMEM;
    cpl_error err = {.status = CPL_OK};
    cpl_buf text;
    cpl_buf_init(&text, 8 * EMU_API_BODY_MAX); /* escapes make a text longer: six bytes for one at worst */
    cpl_json_write(in, &text);
    if (found.rows && cpl_buf_ok(&text)) status = cpl_model_check(text.p, text.n, shape, 0, &found, &err);
    if (status == CPL_NOMEM) {
        fail_nomem(o);
    } else if (status) {
        fail(o, 400, "SerializationException", "%s", err.message);
    } else {
        fine = found.count == 0 || fail_violations(o, found.rows, found.count);
    }
    cpl_buf_wipe(&text);
    cpl_buf_release(&text);
    cpl_free(found.rows);
    return fine;
}

/* The checked input, or NULL and the outcome says why. */
static cpl_json *read_input(const cpl_operation *operation, cpl_str text, outcome *o) {
    cpl_json *in = NULL;
    cpl_error err;
    cpl_status status = cpl_json_parse(text.n > 0 ? text : CPL_LIT("{}"), &in, &err);
    if (status == CPL_NOMEM) return fail_nomem(o), NULL;
    if (status) return fail(o, 400, "SerializationException", "%s", err.message), NULL;
    if (cpl_json_kind_of(in) != CPL_JSON_OBJECT) {
        fail(o, 400, "SerializationException", "the request body is not a JSON object");
    } else if (operation->input == 0) {
        return in;
    } else {
        prune(in, operation->input);
        if (check_shape(in, operation->input, o)) return in;
    }
    cpl_json_free(in);
    return NULL;
}

/* ---- dispatch ---- */

static emu_handler find_handler(const char *operation) {
    const emu_route *const tables[] = {emu_pipeline_routes, emu_action_type_routes, emu_execution_routes,
                                       emu_job_routes, emu_webhook_routes};
    for (size_t i = 0; i < CPL_COUNT(tables); i++) {
        for (const emu_route *route = tables[i]; route->operation; route++) {
            if (strcmp(route->operation, operation) == 0) return route->handler;
        }
    }
    return NULL;
}

static void run_handler(emu *e, const cpl_operation *operation, emu_handler handler, cpl_str input, outcome *o,
                        cpl_buf *out) {
    emu_call call = {.e = e, .operation = operation};
    cpl_json *in = read_input(operation, input, o);
    if (in == NULL) return;
    call.in = in;
    call.out = cpl_json_new_object();
    if (call.out == NULL) {
        fail_nomem(o);
    } else if (handler(&call)) {
        cpl_json_write(call.out, out);
    } else {
        fail(o, call.http_status, call.code, "%s", call.message);
    }
    cpl_json_free(call.out);
    cpl_json_free(in);
}

static void dispatch(emu *e, cpl_str name, cpl_str input, outcome *o, cpl_buf *out) {
    const cpl_operation *operation = cpl_model_operation(name);
    emu_handler handler = operation ? find_handler(operation->info.name) : NULL;
    if (operation == NULL || !cpl_str_is(name, operation->info.name)) {
        fail(o, 400, "UnknownOperationException", "there is no operation \"%.*s\"", (int)cpl_utf8_cut(name, 100),
             name.p ? name.p : "");
    } else if (handler == NULL) {
        fail(o, 501, "NotImplementedException", "the emulator does not do %s yet", operation->info.name);
    } else {
        run_handler(e, operation, handler, input, o, out);
    }
}

/* A message cut within a character, or quoting bytes that are no text, must not spoil the document. */
static void add_message(cpl_buf *out, char *message) {
    message[cpl_utf8_cut(cpl_str_of(message), sizeof((outcome *)0)->message - 4)] = '\0';
    cpl_clean_text(message);
    cpl_json_quote(out, cpl_str_of(message));
}

static void write_error(outcome *o, cpl_buf *out) {
    cpl_buf_clear(out);
    cpl_buf_adds(out, "{\"__type\":");
    cpl_json_quote(out, cpl_str_of(o->code));
    cpl_buf_adds(out, ",\"message\":");
    add_message(out, o->message);
    cpl_buf_addc(out, '}');
}

static void run(emu *e, cpl_str operation, cpl_str input, outcome *o, cpl_buf *out) {
    cpl_error err;
    *o = (outcome){.status = 200};
    emu_engine_advance(e);
    dispatch(e, operation, input, o, out);
    if (o->status < 300 && !cpl_buf_ok(out)) fail_nomem(o);
    if (emu_store_commit(emu_store_of(e), &err)) fail(o, 500, "InternalFailure", "%s", err.message);
    if (o->code[0] != '\0') write_error(o, out);
}

int emu_invoke(emu *e, cpl_str operation, cpl_str input, cpl_buf *out) {
    outcome o;
    run(e, operation, input, &o, out);
    return o.status;
}

/* ---- HTTP ---- */

/* "CodePipeline_20150709.ListPipelines" -> "ListPipelines"; absent when it is another service's. */
cpl_str emu_api_operation(const emu_request *request) {
    cpl_str target = emu_request_header(request, "x-amz-target");
    size_t dot = cpl_str_find(target, '.');
    if (!cpl_str_is(cpl_str_sub(target, 0, dot), cpl_model_target_prefix)) return target;
    return cpl_str_sub(target, dot + 1, target.n);
}

void emu_api_answer(emu *e, const emu_request *request, emu_response *response) {
    outcome o = {.status = 200};
    emu_identity identity = {.grant = NULL};
    emu_denial denial;
    if (request->too_large) {
        fail(&o, 413, "RequestEntityTooLargeException", "the request body is larger than %zu bytes", EMU_API_BODY_MAX);
    } else if (!emu_authenticate(e, request, EMU_CODEPIPELINE, &identity, &denial)) {
        fail(&o, denial.status, denial.code, "%s", denial.message);
    } else {
        run(e, emu_api_operation(request), request->body, &o, &response->body);
    }
    emu_identity_release(&identity);
    if (o.code[0] != '\0') {
        write_error(&o, &response->body);
        emu_response_header(response, "x-amzn-ErrorType", cpl_str_of(o.code));
    }
    response->status = o.status;
    emu_response_header(response, "Content-Type", CPL_LIT("application/x-amz-json-1.1"));
    emu_response_header(response, "x-amzn-RequestId", cpl_str_of(response->id));
}
