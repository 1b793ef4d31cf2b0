/* SPDX-License-Identifier: MIT */
/*
 * The checks of CreatePipeline without a service: by the model, then by the rules of structure.c, against the account
 * of an emulator that nobody else sees. All complaints are collected, and each is found again in the text.
 */
#include "engine.h"

#define DOCUMENT_MAX ((size_t)8 << 20)
#define PATH_MAX_SIZE 512
#define VIOLATIONS_MAX 100

/* ---- where things stand ---- */

/* The path of node below here, behind what path has already; false when it is not there. */
static bool find_node(const cpl_json *here, const cpl_json *node, cpl_buf *path) {
    bool list = cpl_json_kind_of(here) == CPL_JSON_ARRAY;
    size_t n = path->n, index = 0;
    if (here == node) return true;
    if (!list && cpl_json_kind_of(here) != CPL_JSON_OBJECT) return false;
    for (const cpl_json *i = cpl_json_first(here); i; i = cpl_json_next(i)) {
        cpl_buf_truncate(path, n);
        if (list) {
            cpl_buf_addf(path, "[%zu]", index++);
        } else {
            cpl_buf_addf(path, "%s%s", n > 0 ? "." : "", cpl_json_key(i).p);
        }
        if (find_node(i, node, path)) return true;
    }
    cpl_buf_truncate(path, n);
    return false;
}

static bool add_complaint(cpl_json *list, const char *code, const char *path, const char *message) {
    cpl_json *item = cpl_json_new_object();
    if (cpl_json_set_cstr(item, "path", path) && cpl_json_set_cstr(item, "code", code) &&
        cpl_json_set_cstr(item, "message", message)) {
        return cpl_json_push(list, item);
    }
    cpl_json_free(item);
    return false;
}

bool emu_complain(emu_call *call) {
    cpl_buf path;
    bool good;
    cpl_buf_init(&path, PATH_MAX_SIZE);
    if (call->place) find_node(call->in, call->place, &path);
    good = add_complaint(call->complaints, call->code, cpl_buf_cstr(&path), call->message);
    cpl_buf_release(&path);
    return good || emu_nomem(call);
}

/* A walk over the text that knows the path of what it reads. */
typedef struct walk {
    cpl_cursor cursor;
    cpl_buf path;
    cpl_str wanted;
    size_t found;  /* where the longest part of wanted begins that was met */
    size_t length; /* of that part */
} walk;

static void meet(walk *w, size_t offset) {
    size_t n = w->path.n;
    bool part = n <= w->wanted.n && memcmp(cpl_buf_cstr(&w->path), w->wanted.p, n) == 0;
    char after = part && n < w->wanted.n ? w->wanted.p[n] : '\0';
    if (part && n > w->length && (after == '\0' || after == '.' || after == '[')) {
        w->found = offset;
        w->length = n;
    }
}

/* Text without escapes is handed out in place; of other text the place is a little off. */
static size_t begin_of(const cpl_cursor *cursor) {
    const char *p = cursor->text.p;
    bool text = cursor->token == CPL_TOKEN_KEY || cursor->token == CPL_TOKEN_STRING;
    if (text && p > cursor->start && p < cursor->end) return (size_t)(p - cursor->start) - 1;
    return cursor->offset > 0 ? cursor->offset - 1 : 0;
}

static void walk_value(walk *w);

static void walk_object(walk *w) {
    size_t n = w->path.n;
    while (cpl_cursor_next(&w->cursor) == CPL_TOKEN_KEY) {
        cpl_buf_truncate(&w->path, n);
        if (n > 0) cpl_buf_addc(&w->path, '.');
        cpl_buf_addv(&w->path, w->cursor.text);
        meet(w, begin_of(&w->cursor));
        cpl_cursor_next(&w->cursor);
        walk_value(w);
    }
    cpl_buf_truncate(&w->path, n);
}

static void walk_array(walk *w) {
    size_t n = w->path.n, index = 0;
    while (cpl_cursor_next(&w->cursor) != CPL_TOKEN_ARRAY_END && w->cursor.token != CPL_TOKEN_ERROR) {
        cpl_buf_truncate(&w->path, n);
        cpl_buf_addf(&w->path, "[%zu]", index++);
        meet(w, begin_of(&w->cursor));
        walk_value(w);
    }
    cpl_buf_truncate(&w->path, n);
}

/* The cursor's depth limit bounds the recursion. */
static void walk_value(walk *w) {
    if (w->cursor.token == CPL_TOKEN_OBJECT) walk_object(w);
    if (w->cursor.token == CPL_TOKEN_ARRAY) walk_array(w);
}

static size_t offset_of(cpl_str text, const char *path) {
    walk w = {.wanted = cpl_str_of(path)};
    cpl_buf_init(&w.path, DOCUMENT_MAX);
    cpl_cursor_init(&w.cursor, text);
    cpl_cursor_next(&w.cursor);
    w.found = begin_of(&w.cursor);
    walk_value(&w);
    cpl_cursor_release(&w.cursor);
    cpl_buf_release(&w.path);
    return w.found;
}

static bool set_place(cpl_json *item, cpl_str text, size_t offset) {
    int line = 1, column = 1;
    for (size_t i = 0; i < offset && i < text.n; i++) {
        bool end = text.p[i] == '\n';
        column = end ? 1 : column + ((text.p[i] & 0xC0) != 0x80); /* characters, not bytes */
        line += end;
    }
    return cpl_json_set_number(item, "line", line) && cpl_json_set_number(item, "column", column) &&
           cpl_json_set_number(item, "offset", (double)offset);
}

/* ---- the checks ---- */

typedef struct lint {
    cpl_str text;
    cpl_str region;
    cpl_json *document;
    cpl_json *complaints;
    cpl_error *err;
} lint;

/* False: it is not JSON at all, which is the one complaint then. */
static bool check_syntax(lint *l, cpl_status *status) {
    cpl_cursor cursor;
    cpl_token token;
    cpl_cursor_init(&cursor, l->text);
    do token = cpl_cursor_next(&cursor);
    while (token != CPL_TOKEN_END && token != CPL_TOKEN_ERROR);
    if (token == CPL_TOKEN_ERROR) {
        bool good = add_complaint(l->complaints, "SerializationException", "", cursor.message) &&
                    set_place(cpl_json_first(l->complaints), l->text, cursor.offset);
        if (!good) *status = cpl_fail_nomem(l->err);
    }
    cpl_cursor_release(&cursor);
    return token == CPL_TOKEN_END;
}

/* False as well: JSON, but with a member twice for example. */
static bool read_document(lint *l, cpl_status *status) {
    cpl_error refusal = {.status = CPL_OK};
    *status = cpl_json_parse(l->text, &l->document, &refusal);
    if (*status == CPL_OK) return true;
    if (*status == CPL_NOMEM) cpl_fail_nomem(l->err);
    if (*status != CPL_INVALID) return false;
    *status = CPL_OK;
    if (!add_complaint(l->complaints, "SerializationException", refusal.path, refusal.message) ||
        !set_place(cpl_json_first(l->complaints), l->text, offset_of(l->text, refusal.path)))
        *status = cpl_fail_nomem(l->err);
    return false;
}

static cpl_status add_violations(lint *l, const cpl_violations *found) {
    bool good = true;
    for (size_t i = 0; i < found->count && good; i++) {
        cpl_buf text;
        cpl_buf_init(&text, 4096);
        cpl_violation_text(&found->rows[i], &text);
        good = cpl_buf_ok(&text) &&
               add_complaint(l->complaints, "ValidationException", found->rows[i].path, cpl_buf_cstr(&text));
        cpl_buf_release(&text);
    }
    return good ? CPL_OK : cpl_fail_nomem(l->err);
}

static cpl_status check_model(lint *l, bool bare) {
    cpl_violations found = {.rows = cpl_calloc(VIOLATIONS_MAX, sizeof(cpl_violation)), .max = VIOLATIONS_MAX};
    uint16_t shape = cpl_model_shape_named(bare ? "PipelineDeclaration" : "CreatePipelineInput");
    cpl_status status = CPL_OK;
    cpl_error refusal = {.status = CPL_OK};
    cpl_buf copy;
    cpl_buf_init(&copy, DOCUMENT_MAX);
    cpl_buf_addv(&copy, l->text);
    cpl_buf_addc(&copy, '\0');
    if (found.rows == NULL || !cpl_buf_ok(&copy)) {
        status = cpl_fail_nomem(l->err);
    } else if (cpl_model_check(copy.p, copy.n - 1, shape, 0, &found, &refusal) == CPL_OK) {
        status = add_violations(l, &found);
    } else if (!add_complaint(l->complaints, "SerializationException", refusal.path, refusal.message)) {
        status = cpl_fail_nomem(l->err);
    }
    cpl_buf_release(&copy);
    cpl_free(found.rows);
    return status;
}

/* Where the pipeline would be: what was said, else where its artifacts are. */
static cpl_str region_of(const lint *l, const cpl_json *pipeline) {
    const cpl_json *store = cpl_json_first(cpl_json_get(pipeline, "artifactStores"));
    return l->region.n == 0 && store ? cpl_json_key(store) : l->region;
}

static cpl_status check_structure(lint *l, const cpl_json *pipeline) {
    const cpl_emulator_options options = {.region = region_of(l, pipeline)};
    emu_call call = {.in = l->document, .complaints = l->complaints};
    cpl_status status = emu_new_plain(&call.e, &options, l->err);
    if (status == CPL_OK && !emu_structure_check(&call, pipeline)) status = cpl_fail_nomem(l->err);
    emu_free(call.e);
    return status;
}

static cpl_status check_all(lint *l) {
    const cpl_json *pipeline;
    cpl_status status = CPL_OK;
    bool bare;
    if (!check_syntax(l, &status) || !read_document(l, &status)) return status;
    pipeline = cpl_json_get(l->document, "pipeline");
    bare = cpl_json_kind_of(pipeline) != CPL_JSON_OBJECT;
    status = check_model(l, bare);
    if (status == CPL_OK && cpl_json_count(l->complaints) == 0)
        status = check_structure(l, bare ? l->document : pipeline);
    for (cpl_json *i = cpl_json_first(l->complaints); i && status == CPL_OK; i = cpl_json_next(i)) {
        if (!set_place(i, l->text, offset_of(l->text, cpl_json_get_cstr(i, "path", ""))))
            status = cpl_fail_nomem(l->err);
    }
    return status;
}

/* ---- the answer ---- */

static void write_complaint(const cpl_json *item, cpl_writer *out) {
    static const char *const texts[] = {"path", "code", "message"};
    static const char *const numbers[] = {"line", "column"};
    cpl_write_object(out);
    for (size_t i = 0; i < CPL_COUNT(texts); i++) {
        cpl_write_key(out, cpl_str_of(texts[i]));
        cpl_write_string(out, cpl_json_get_str(item, texts[i]));
    }
    for (size_t i = 0; i < CPL_COUNT(numbers); i++) {
        cpl_write_key(out, cpl_str_of(numbers[i]));
        cpl_write_integer(out, (int64_t)cpl_json_get_number(item, numbers[i], 0));
    }
    cpl_write_end(out);
}

/* The next one in the order of the text: the first of those behind offset, then those at the same place. */
static void write_in_order(const cpl_json *complaints, cpl_writer *out) {
    double at = -1;
    for (;;) {
        double next = -1;
        for (const cpl_json *i = cpl_json_first(complaints); i; i = cpl_json_next(i)) {
            double offset = cpl_json_get_number(i, "offset", 0);
            if (offset > at && (next < 0 || offset < next)) next = offset;
        }
        if (next < 0) return;
        for (const cpl_json *i = cpl_json_first(complaints); i; i = cpl_json_next(i)) {
            if (cpl_json_get_number(i, "offset", 0) == next) write_complaint(i, out);
        }
        at = next;
    }
}

cpl_status cpl_lint(cpl_str document, const cpl_lint_options *options, cpl_writer *out, cpl_error *err) {
    cpl_error own;
    lint l = {.text = document, .complaints = cpl_json_new_array(), .err = err ? err : &own};
    cpl_status status;
    if (options) l.region = options->region;
    if (document.n > DOCUMENT_MAX) {
        status = cpl_fail(l.err, CPL_TOO_LARGE, "a pipeline of more than %zu bytes", DOCUMENT_MAX);
    } else {
        status = l.complaints ? check_all(&l) : cpl_fail_nomem(l.err);
    }
    if (status == CPL_OK) {
        cpl_write_array(out);
        write_in_order(l.complaints, out);
        cpl_write_end(out);
    }
    cpl_json_free(l.document);
    cpl_json_free(l.complaints);
    return status;
}
