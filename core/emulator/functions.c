/* SPDX-License-Identifier: MIT */
#include "functions.h"

#include "../buf.h"
#include "engine.h"

#define TIMEOUT_MS (15 * 60 * (int64_t)1000) /* the longest that Lambda lets a function have */
#define RETRIES 2
#define RETRY_MS (60 * (int64_t)1000) /* before the first retry; twice that before the second */
#define EVENT_MAX ((size_t)6 << 20)

typedef struct invocation {
    struct invocation *next;
    char *function;
    cpl_buf event;
    char id[CPL_UUID_SIZE], job[CPL_UUID_SIZE];
    int64_t due_ms, deadline_ms; /* deadline: 0 while nobody runs it */
    int failures;
} invocation;

typedef struct function {
    struct function *next;
    char *name;
} function;

struct emu_functions {
    function *all;
    invocation *queue; /* the oldest first */
};

emu_functions *emu_functions_new(void) {
    return cpl_calloc(1, sizeof(emu_functions));
}

static void free_invocation(invocation *i) {
    cpl_buf_wipe(&i->event); /* it carries credentials */
    cpl_buf_release(&i->event);
    cpl_free(i->function);
    cpl_free(i);
}

void emu_functions_free(emu_functions *functions) {
    if (functions == NULL) return;
    while (functions->queue) {
        invocation *first = functions->queue;
        functions->queue = first->next;
        free_invocation(first);
    }
    while (functions->all) {
        function *first = functions->all;
        functions->all = first->next;
        cpl_free(first->name);
        cpl_free(first);
    }
    cpl_free(functions);
}

/* ---- names ---- */

/* The name in "name", "arn:aws:lambda:region:account:function:name" or either with ":alias". */
static cpl_str plain_name(cpl_str configured) {
    static const char mark[] = ":function:";
    if (cpl_str_starts(configured, "arn:")) {
        for (size_t i = 0; i + sizeof mark - 1 < configured.n; i++) {
            if (cpl_str_starts(cpl_str_sub(configured, i, configured.n), mark))
                configured = cpl_str_sub(configured, i + sizeof mark - 1, configured.n);
        }
    }
    return cpl_str_sub(configured, 0, cpl_str_find(configured, ':'));
}

cpl_str emu_function_of(const emu *e, const cpl_json *record) {
    static const char arn[] = "executor.configuration.lambdaExecutorConfiguration.lambdaFunctionArn";
    const cpl_json *input = cpl_json_get(record, "input");
    emu_kind kind;
    if (emu_kind_find(emu_engine_of(e), cpl_json_get(input, "actionTypeId"), &kind) && kind.declaration)
        return plain_name(cpl_json_str(cpl_json_get_path(kind.declaration, arn)));
    return plain_name(cpl_json_get_str(cpl_json_get(input, "resolvedConfiguration"), "FunctionName"));
}

bool emu_function_known(const emu_functions *functions, cpl_str name) {
    for (const function *f = functions->all; f; f = f->next) {
        if (cpl_str_is(name, f->name)) return true;
    }
    return false;
}

bool emu_function_add(emu_functions *functions, cpl_str name) {
    function *added;
    if (emu_function_known(functions, name)) return true;
    added = cpl_calloc(1, sizeof *added);
    if (added) added->name = cpl_strdup(name);
    if (added == NULL || added->name == NULL) {
        cpl_free(added);
        return false;
    }
    added->next = functions->all;
    functions->all = added;
    return true;
}

/* ---- invocations ---- */

bool emu_function_invoke(emu *e, cpl_str name, const char *job, cpl_json *event, int64_t due_ms) {
    invocation *added = cpl_calloc(1, sizeof *added), **last = &emu_functions_of(e)->queue;
    bool good = added && event && emu_uuid(e, added->id);
    if (good) {
        cpl_buf_init(&added->event, EVENT_MAX);
        added->function = cpl_strdup(name);
        added->due_ms = due_ms;
        CPL_COPY(added->job, cpl_str_of(job));
        cpl_json_write(event, &added->event);
        good = added->function && cpl_buf_ok(&added->event);
    }
    if (good) {
        while (*last) last = &(*last)->next;
        *last = added;
    } else if (added) {
        free_invocation(added);
    }
    cpl_json_free(event);
    return good;
}

void emu_functions_exchange(emu_functions *functions, emu_functions *with) {
    invocation *queue = functions->queue;
    functions->queue = with->queue;
    with->queue = queue;
}

void emu_functions_keep_running(emu_functions *functions, emu_functions *from) {
    for (invocation **at = &from->queue; *at;) {
        invocation *i = *at;
        if (i->deadline_ms == 0) {
            at = &i->next;
            continue;
        }
        *at = i->next;
        i->failures = RETRIES;
        i->job[0] = '\0'; /* of a state that is gone */
        i->next = functions->queue;
        functions->queue = i;
    }
}

static void over(emu *e, invocation *ended) {
    emu_job_invoked(emu_engine_of(e), ended->job);
    free_invocation(ended);
}

/* Lambda tries a failed invocation again, a minute and then two minutes later; *at moves on when it goes. */
static void fail(emu *e, invocation **at) {
    invocation *failed = *at;
    int64_t now_ms = emu_now_ms(e), ended_ms = now_ms < failed->deadline_ms ? now_ms : failed->deadline_ms;
    failed->deadline_ms = 0;
    failed->due_ms = ended_ms + RETRY_MS * ++failed->failures;
    if (failed->failures <= RETRIES) return;
    *at = failed->next;
    over(e, failed);
}

/* Those whose runner was not heard of in the function's time have failed. */
static void give_up_late_ones(emu *e) {
    for (invocation **at = &emu_functions_of(e)->queue; *at;) {
        invocation *before = *at;
        if (before->deadline_ms > 0 && before->deadline_ms <= emu_now_ms(e)) fail(e, at);
        if (*at == before) at = &before->next;
    }
}

bool emu_function_take(emu *e, cpl_str name, emu_invocation *out) {
    give_up_late_ones(e);
    for (invocation *i = emu_functions_of(e)->queue; i; i = i->next) {
        if (i->deadline_ms > 0 || i->due_ms > emu_now_ms(e) || !cpl_str_is(name, i->function)) continue;
        i->deadline_ms = emu_now_ms(e) + TIMEOUT_MS;
        *out = (emu_invocation){i->id, cpl_buf_str(&i->event), i->deadline_ms};
        return true;
    }
    return false;
}

bool emu_function_settle(emu *e, cpl_str name, cpl_str id, bool well) {
    for (invocation **at = &emu_functions_of(e)->queue; *at; at = &(*at)->next) {
        invocation *i = *at;
        if (i->deadline_ms == 0 || !cpl_str_is(id, i->id) || !cpl_str_is(name, i->function)) continue;
        if (well) {
            *at = i->next;
            over(e, i);
        } else {
            fail(e, at);
        }
        return true;
    }
    return false;
}
