/* SPDX-License-Identifier: MIT */
#include "engine.h"

static size_t word_end(cpl_str text, size_t at) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@_-";
    while (at < text.n && text.p[at] && strchr(allowed, text.p[at])) at++;
    return at;
}

/* "#{namespace.key}" at position at; its end, or at when there is none. */
static size_t reference(cpl_str text, size_t at, cpl_str *space, cpl_str *key) {
    size_t dot, end;
    if (at + 2 > text.n || text.p[at] != '#' || text.p[at + 1] != '{') return at;
    dot = word_end(text, at + 2);
    if (dot == at + 2 || dot == text.n || text.p[dot] != '.') return at;
    end = word_end(text, dot + 1);
    if (end == dot + 1 || end == text.n || text.p[end] != '}') return at;
    *space = cpl_str_sub(text, at + 2, dot);
    *key = cpl_str_sub(text, dot + 1, end);
    return end + 1;
}

bool emu_variables_next(cpl_str text, size_t *at, cpl_str *space, cpl_str *key) {
    for (size_t i = *at; i < text.n; i++) {
        size_t end = reference(text, i, space, key);
        if (end == i) continue;
        *at = end;
        return true;
    }
    return false;
}

/* The absent view when there is no such variable. */
static cpl_str value_of(const cpl_json *execution, cpl_str space, cpl_str key) {
    char name[128], member[256];
    CPL_COPY(name, space);
    CPL_COPY(member, key);
    if (cpl_str_is(space, "codepipeline")) {
        return cpl_str_is(key, "PipelineExecutionId") ? cpl_json_get_str(execution, "id") : (cpl_str){0};
    }
    if (cpl_str_is(space, "variables")) {
        return cpl_json_get_str(emu_find(cpl_json_get(execution, "variables"), "name", member), "resolvedValue");
    }
    return cpl_json_get_str(cpl_json_get(cpl_json_get(execution, "namespaces"), name), member);
}

static bool resolve_text(const cpl_json *execution, cpl_str text, cpl_buf *out, cpl_buf *missing) {
    size_t from = 0;
    for (size_t at = 0; at < text.n;) {
        cpl_str space, key, value;
        size_t end = reference(text, at, &space, &key);
        if (end == at) {
            at++;
            continue;
        }
        value = value_of(execution, space, key);
        if (value.p == NULL) {
            cpl_buf_addv(missing, cpl_str_sub(text, at, end));
            return false;
        }
        cpl_buf_addv(out, cpl_str_sub(text, from, at));
        cpl_buf_addv(out, value);
        from = at = end;
    }
    cpl_buf_addv(out, cpl_str_sub(text, from, text.n));
    return cpl_buf_ok(out);
}

cpl_json *emu_variables_resolve(const cpl_json *execution, const cpl_json *configuration, cpl_buf *missing) {
    cpl_json *resolved = cpl_json_new_object();
    cpl_buf text;
    cpl_buf_init(&text, 1 << 20);
    for (const cpl_json *i = cpl_json_first(configuration); i && resolved; i = cpl_json_next(i)) {
        cpl_buf_clear(&text);
        if (!resolve_text(execution, cpl_json_str(i), &text, missing) ||
            !cpl_json_set_str(resolved, cpl_json_key(i).p, cpl_buf_str(&text))) {
            cpl_json_free(resolved);
            resolved = NULL;
        }
    }
    cpl_buf_release(&text);
    return resolved;
}
