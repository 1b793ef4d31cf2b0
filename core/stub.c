/* SPDX-License-Identifier: MIT */
#include "stub.h"

#include <pthread.h>

#include "call.h"
#include "err.h"

#define DOCUMENT_MAX (64u << 20)
#define PATH_LIMIT 4096u
#define SHOWN 300u /* of a value, in a message */

struct cpl_canned {
    cpl_canned *next;
    const cpl_operation *operation;
    int http_status;
    cpl_buf document;
    cpl_json *expected; /* NULL: whatever the parameters are */
};

struct cpl_stub {
    atomic_int references;
    pthread_mutex_t lock; /* of the list */
    cpl_canned *first;
};

/* ---- the object ---- */

static void free_canned(cpl_canned *canned) {
    cpl_buf_release(&canned->document);
    cpl_json_free(canned->expected);
    cpl_free(canned);
}

cpl_stub *cpl_stub_new(void) {
    cpl_stub *stub = cpl_calloc(1, sizeof *stub);
    if (stub == NULL) return NULL;
    atomic_init(&stub->references, 1);
    if (pthread_mutex_init(&stub->lock, NULL) == 0) return stub;
    cpl_free(stub);
    return NULL;
}

void cpl_stub_retain(cpl_stub *stub) {
    atomic_fetch_add_explicit(&stub->references, 1, memory_order_relaxed);
}

void cpl_stub_free(cpl_stub *stub) {
    if (stub == NULL || atomic_fetch_sub_explicit(&stub->references, 1, memory_order_acq_rel) > 1) return;
    while (stub->first) {
        cpl_canned *canned = stub->first;
        stub->first = canned->next;
        free_canned(canned);
    }
    pthread_mutex_destroy(&stub->lock);
    cpl_free(stub);
}

size_t cpl_stub_pending(cpl_stub *stub) {
    size_t count = 0;
    pthread_mutex_lock(&stub->lock);
    for (const cpl_canned *canned = stub->first; canned; canned = canned->next) count++;
    pthread_mutex_unlock(&stub->lock);
    return count;
}

/* ---- adding ---- */

/* Where the model knows of no members. */
static cpl_status check_empty(const cpl_buf *document, cpl_error *err) {
    const cpl_json *member;
    cpl_json *all;
    cpl_status status = cpl_json_parse(cpl_buf_str(document), &all, err);
    if (status) return status;
    member = cpl_json_first(all);
    if (member) {
        cpl_str key = cpl_json_key(member);
        status = cpl_fail_at(err, CPL_INVALID, key.p, "%.*s: unknown member", (int)key.n, key.p);
    }
    cpl_json_free(all);
    return status;
}

static cpl_status validate(cpl_buf *document, uint16_t shape, unsigned flags, cpl_error *err) {
    unsigned checks = CPL_CHECK_TIME_TEXT | CPL_CHECK_FORM;
    if (shape == 0) return check_empty(document, err);
    if (flags & CPL_CALL_EMPTY_TABLES) checks |= CPL_CHECK_EMPTY_TABLES;
    return cpl_model_validate(document->p, document->n, shape, checks, err);
}

/* What an error has besides its code and its message. */
static cpl_status check_error(const cpl_buf *document, unsigned flags, cpl_error *err) {
    cpl_json *members;
    cpl_buf rest;
    uint16_t shape;
    cpl_status status = cpl_json_parse(cpl_buf_str(document), &members, err);
    if (status) return status;
    shape = cpl_model_error_shape(cpl_json_get_str(members, "__type"));
    cpl_json_remove(members, "__type");
    cpl_json_remove(members, "message");
    cpl_buf_init(&rest, DOCUMENT_MAX);
    cpl_json_write(members, &rest);
    cpl_json_free(members);
    status = cpl_buf_status(&rest, "the answer", err);
    if (status == CPL_OK) status = validate(&rest, shape, flags, err);
    cpl_buf_release(&rest);
    return status;
}

static cpl_status fill(cpl_canned *canned, const cpl_stub_answer *answer, cpl_error *err) {
    cpl_buf *document = &canned->document;
    cpl_status status;
    cpl_buf_addv(document, answer->document.n > 0 ? answer->document : CPL_LIT("{}"));
    status = cpl_buf_status(document, "the answer", err);
    if (status) return status;
    status = canned->http_status < 300 ? validate(document, canned->operation->output, answer->flags, err)
                                       : check_error(document, answer->flags, err);
    if (status == CPL_OK && answer->expected.p) status = cpl_json_parse(answer->expected, &canned->expected, err);
    return status;
}

static void append(cpl_stub *stub, cpl_canned *canned) {
    cpl_canned **last = &stub->first;
    pthread_mutex_lock(&stub->lock);
    while (*last) last = &(*last)->next;
    *last = canned;
    pthread_mutex_unlock(&stub->lock);
}

cpl_status cpl_stub_add(cpl_stub *stub, cpl_str operation, const cpl_stub_answer *answer, cpl_error *err) {
    const cpl_operation *found = cpl_model_require_operation(operation, err);
    int http_status = answer->http_status ? answer->http_status : 200;
    cpl_canned *canned;
    cpl_status status;
    if (found == NULL) return CPL_INVALID;
    if (http_status < 200 || http_status > 599) {
        return cpl_fail_at(err, CPL_INVALID, "http_status", "http_status: %d is none of an answer", http_status);
    }
    canned = cpl_calloc(1, sizeof *canned);
    if (canned == NULL) return cpl_fail_nomem(err);
    canned->operation = found;
    canned->http_status = http_status;
    cpl_buf_init(&canned->document, DOCUMENT_MAX);
    status = fill(canned, answer, err);
    if (status) {
        free_canned(canned);
    } else {
        append(stub, canned);
    }
    return status;
}

/* ---- what was expected ---- */

typedef struct difference {
    cpl_buf path; /* where it is */
    const cpl_json *expected, *got;
} difference;

static bool equal(const cpl_json *a, const cpl_json *b) {
    if (cpl_json_kind_of(a) != cpl_json_kind_of(b)) return false;
    switch (cpl_json_kind_of(a)) {
    case CPL_JSON_NUMBER: return cpl_json_number(a, 0) == cpl_json_number(b, 0);
    case CPL_JSON_BOOL: return cpl_json_bool(a, false) == cpl_json_bool(b, false);
    default: return cpl_str_eq(cpl_json_str(a), cpl_json_str(b));
    }
}

static bool differ(const cpl_json *expected, const cpl_json *got, difference *found);

/* One member or entry; the path goes on into it, and stays there if it differs. */
static bool part_differs(const cpl_json *expected, const cpl_json *got, cpl_str name, size_t i, difference *found) {
    size_t before = found->path.n;
    if (name.p == NULL) {
        cpl_buf_addf(&found->path, "[%zu]", i);
    } else {
        if (before > 0) cpl_buf_addc(&found->path, '.');
        cpl_buf_addv(&found->path, name);
    }
    if (differ(expected, got, found)) return true;
    cpl_buf_truncate(&found->path, before);
    return false;
}

static bool members_differ(const cpl_json *expected, const cpl_json *got, difference *found) {
    for (const cpl_json *i = cpl_json_first(expected); i; i = cpl_json_next(i)) {
        const char *key = cpl_json_key(i).p;
        if (part_differs(i, cpl_json_get(got, key), cpl_json_key(i), 0, found)) return true;
    }
    for (const cpl_json *i = cpl_json_first(got); i; i = cpl_json_next(i)) {
        if (cpl_json_get(expected, cpl_json_key(i).p)) continue;
        return part_differs(NULL, i, cpl_json_key(i), 0, found);
    }
    return false;
}

static bool entries_differ(const cpl_json *expected, const cpl_json *got, difference *found) {
    const cpl_json *other = cpl_json_first(got);
    size_t i = 0;
    for (const cpl_json *one = cpl_json_first(expected); one || other; i++) {
        if (part_differs(one, other, (cpl_str){NULL, 0}, i, found)) return true;
        one = one ? cpl_json_next(one) : NULL;
        other = other ? cpl_json_next(other) : NULL;
    }
    return false;
}

/* null stands for anything that is there. */
static bool differ(const cpl_json *expected, const cpl_json *got, difference *found) {
    cpl_json_kind kind = cpl_json_kind_of(expected);
    found->expected = expected;
    found->got = got;
    if (expected == NULL || got == NULL) return true;
    if (kind == CPL_JSON_NULL) return false;
    if (kind == CPL_JSON_OBJECT && cpl_json_kind_of(got) == kind) return members_differ(expected, got, found);
    if (kind == CPL_JSON_ARRAY && cpl_json_kind_of(got) == kind) return entries_differ(expected, got, found);
    return !equal(expected, got);
}

static void write_value(const cpl_json *value, cpl_buf *out) {
    size_t before = out->n;
    if (value == NULL) {
        cpl_buf_adds(out, "nothing");
        return;
    }
    cpl_json_write(value, out);
    if (out->n - before <= SHOWN) return;
    cpl_buf_truncate(out, before + cpl_utf8_cut(cpl_str_sub(cpl_buf_str(out), before, out->n), SHOWN));
    cpl_buf_adds(out, "...");
}

static cpl_status unexpected(const char *kind, cpl_error *err) {
    if (err) CPL_COPY(err->code, cpl_str_of(kind));
    return CPL_UNEXPECTED;
}

static cpl_status tell(const cpl_operation *operation, const difference *found, cpl_error *err) {
    const char *path = cpl_buf_cstr(&found->path);
    cpl_buf words;
    cpl_buf_init(&words, DOCUMENT_MAX);
    cpl_buf_adds(&words, "expected ");
    if (found->expected && cpl_json_kind_of(found->expected) == CPL_JSON_NULL) {
        cpl_buf_adds(&words, "any value");
    } else {
        write_value(found->expected, &words);
    }
    cpl_buf_adds(&words, ", got ");
    write_value(found->got, &words);
    cpl_fail_at(err, CPL_UNEXPECTED, path, "%s%s%s: %s", operation->info.name, path[0] ? ": " : "", path,
                cpl_buf_cstr(&words));
    cpl_buf_release(&words);
    return unexpected("StubAssertionError", err);
}

static cpl_status compare(const cpl_canned *canned, cpl_str params, cpl_error *err) {
    difference found = {.expected = NULL};
    cpl_json *got;
    cpl_status status = cpl_json_parse(params.n > 0 ? params : CPL_LIT("{}"), &got, err);
    if (status) return status;
    cpl_buf_init(&found.path, PATH_LIMIT);
    if (differ(canned->expected, got, &found)) status = tell(canned->operation, &found, err);
    cpl_buf_release(&found.path);
    cpl_json_free(got);
    return status;
}

static cpl_status check_call(const cpl_canned *canned, const cpl_operation *operation, cpl_str params, cpl_error *err) {
    if (canned == NULL) {
        cpl_fail(err, CPL_UNEXPECTED, "%s: no answers are left", operation->info.name);
        return unexpected("UnStubbedResponseError", err);
    }
    if (canned->operation != operation) {
        cpl_fail(err, CPL_UNEXPECTED, "%s: the next answer is for %s", operation->info.name,
                 canned->operation->info.name);
        return unexpected("StubResponseError", err);
    }
    return canned->expected ? compare(canned, params, err) : CPL_OK;
}

/* ---- for a call ---- */

cpl_status cpl_stub_take(cpl_stub *stub, const cpl_operation *operation, cpl_str params, cpl_canned **out,
                         cpl_error *err) {
    cpl_status status;
    pthread_mutex_lock(&stub->lock);
    status = check_call(stub->first, operation, params, err);
    if (status == CPL_OK) {
        *out = stub->first;
        stub->first = stub->first->next;
    }
    pthread_mutex_unlock(&stub->lock);
    return status;
}

void cpl_stub_put_back(cpl_stub *stub, cpl_canned *canned) {
    pthread_mutex_lock(&stub->lock);
    canned->next = stub->first;
    stub->first = canned;
    pthread_mutex_unlock(&stub->lock);
}

void cpl_canned_answer(cpl_canned **canned, cpl_http_response *response) {
    cpl_http_response_clear(response);
    cpl_buf_release(&response->body);
    response->status = (*canned)->http_status;
    response->body = (*canned)->document;
    cpl_buf_init(&(*canned)->document, DOCUMENT_MAX);
    free_canned(*canned);
    *canned = NULL;
}
