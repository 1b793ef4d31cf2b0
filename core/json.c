/* SPDX-License-Identifier: MIT */
/*
 * The JSON writer, and documents as cJSON trees. Trees are built from our own strict cursor through cJSON's
 * constructors: its parser accepts what is not JSON, writes a global on each call and cuts strings at U+0000; its
 * printer loses digits.
 */
#include "json.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "err.h"
#include "plain.h"

#define DOCUMENT_LIMIT ((size_t)64 << 20)
#define EXACT_INTEGER (1ll << 53)

/* ---- text ---- */

static void add_escape(cpl_buf *buf, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    size_t n = sizeof escape;
    if (c == '"' || c == '\\') escape[1] = (char)c, n = 2;
    if (c == '\n') escape[1] = 'n', n = 2;
    if (c == '\r') escape[1] = 'r', n = 2;
    if (c == '\t') escape[1] = 't', n = 2;
    cpl_buf_add(buf, escape, n);
}

void cpl_json_quote(cpl_buf *buf, cpl_str text) {
    const char *from = text.n > 0 ? text.p : "", *end = from + text.n;
    bool high = false; /* of no interest here */
    cpl_buf_addc(buf, '"');
    for (;;) {
        const char *plain = cpl_skip_plain(from, end, &high);
        cpl_buf_add(buf, from, (size_t)(plain - from));
        if (plain == end) break;
        add_escape(buf, (unsigned char)*plain);
        from = plain + 1;
    }
    cpl_buf_addc(buf, '"');
}

void cpl_json_add_number(cpl_buf *buf, double number) {
    char text[40];
    int n = 0;
    if (number == floor(number) && fabs(number) <= (double)EXACT_INTEGER) {
        cpl_buf_addf(buf, "%lld", (long long)number);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(text, sizeof text, "%.*g", digits, number);
        for (int i = 0; i < n; i++) {
            if (text[i] == ',') text[i] = '.'; /* the host program's locale may have a decimal comma */
        }
        cpl_cursor back;
        cpl_cursor_init(&back, (cpl_str){text, (size_t)n});
        cpl_cursor_next(&back);
        cpl_cursor_release(&back);
        if (back.number == number) break;
    }
    cpl_buf_add(buf, text, (size_t)n);
}

/* ---- writer ---- */

struct cpl_writer {
    cpl_buf text;
    const char *wrong; /* what the first call did that made no document */
    int depth;
    uint64_t objects; /* bit d: level d+1 is an object */
    bool need_comma;
    bool after_key;
    bool complete; /* one whole value stands at the top */
};

cpl_writer *cpl_writer_new(void) {
    cpl_writer *writer = cpl_calloc(1, sizeof *writer);
    if (writer) cpl_buf_init(&writer->text, DOCUMENT_LIMIT);
    return writer;
}

void cpl_writer_free(cpl_writer *writer) {
    if (writer == NULL) return;
    cpl_buf_wipe(&writer->text); /* parameters may hold configuration secrets */
    cpl_buf_release(&writer->text);
    cpl_free(writer);
}

void cpl_writer_clear(cpl_writer *writer) {
    cpl_buf text = writer->text;
    if (text.p) cpl_wipe(text.p, text.n);
    cpl_buf_clear(&text);
    *writer = (cpl_writer){.text = text};
}

static bool writer_in_object(const cpl_writer *w) {
    return w->depth > 0 && (w->objects >> (w->depth - 1) & 1);
}

static void writer_fail(cpl_writer *w, const char *why) {
    if (w->wrong == NULL) w->wrong = why;
}

/* Everything a value needs in front of it; false when none may stand here. */
static bool before_value(cpl_writer *w) {
    if (w->wrong) return false;
    if (writer_in_object(w) && !w->after_key) return writer_fail(w, "a value in an object needs a key"), false;
    if (w->depth == 0 && w->complete) return writer_fail(w, "the document is complete"), false;
    if (w->need_comma && !w->after_key) cpl_buf_addc(&w->text, ',');
    w->after_key = false;
    return true;
}

static void after_value(cpl_writer *w) {
    w->need_comma = true;
    if (w->depth == 0) w->complete = true;
}

static void open_container(cpl_writer *w, bool object) {
    if (!before_value(w)) return;
    if (w->depth == CPL_JSON_DEPTH_MAX) {
        writer_fail(w, "more than 64 levels");
        return;
    }
    w->objects &= ~(1ull << w->depth);
    if (object) w->objects |= 1ull << w->depth;
    w->depth++;
    w->need_comma = false;
    cpl_buf_addc(&w->text, object ? '{' : '[');
}

void cpl_write_object(cpl_writer *writer) {
    open_container(writer, true);
}

void cpl_write_array(cpl_writer *writer) {
    open_container(writer, false);
}

void cpl_write_end(cpl_writer *w) {
    if (w->wrong) return;
    if (w->depth == 0 || w->after_key) {
        writer_fail(w, w->after_key ? "a key without a value" : "nothing is open");
        return;
    }
    cpl_buf_addc(&w->text, writer_in_object(w) ? '}' : ']');
    w->depth--;
    after_value(w);
}

void cpl_write_key(cpl_writer *w, cpl_str key) {
    if (w->wrong) return;
    if (!writer_in_object(w) || w->after_key) {
        writer_fail(w, "a key outside an object");
        return;
    }
    if (!cpl_utf8_valid(key)) {
        writer_fail(w, "a key is not UTF-8");
        return;
    }
    if (w->need_comma) cpl_buf_addc(&w->text, ',');
    cpl_json_quote(&w->text, key);
    cpl_buf_addc(&w->text, ':');
    w->after_key = true;
}

void cpl_write_string(cpl_writer *w, cpl_str text) {
    if (!before_value(w)) return;
    if (!cpl_utf8_valid(text)) {
        writer_fail(w, "text is not UTF-8");
        return;
    }
    cpl_json_quote(&w->text, text);
    after_value(w);
}

void cpl_write_integer(cpl_writer *w, int64_t number) {
    if (!before_value(w)) return;
    cpl_buf_addf(&w->text, "%lld", (long long)number);
    after_value(w);
}

void cpl_write_number(cpl_writer *w, double number) {
    if (!before_value(w)) return;
    if (!isfinite(number)) {
        writer_fail(w, "a number is not finite");
        return;
    }
    cpl_json_add_number(&w->text, number);
    after_value(w);
}

void cpl_write_bool(cpl_writer *w, bool value) {
    if (!before_value(w)) return;
    cpl_buf_adds(&w->text, value ? "true" : "false");
    after_value(w);
}

void cpl_write_null(cpl_writer *w) {
    if (!before_value(w)) return;
    cpl_buf_adds(&w->text, "null");
    after_value(w);
}

cpl_status cpl_writer_text(cpl_writer *writer, cpl_str *out, cpl_error *err) {
    *out = (cpl_str){NULL, 0};
    if (!writer->complete) writer_fail(writer, "the document is not complete");
    if (writer->wrong) return cpl_fail(err, CPL_INVALID, "%s", writer->wrong);
    if (!cpl_buf_ok(&writer->text)) return cpl_buf_status(&writer->text, "the document", err);
    *out = cpl_buf_str(&writer->text);
    return CPL_OK;
}

/* ---- documents: building ---- */

cpl_json *cpl_json_new_object(void) {
    return cJSON_CreateObject();
}

cpl_json *cpl_json_new_array(void) {
    return cJSON_CreateArray();
}

cpl_json *cpl_json_new_number(double number) {
    return cJSON_CreateNumber(number);
}

cpl_json *cpl_json_new_bool(bool value) {
    return cJSON_CreateBool(value);
}

cpl_json *cpl_json_new_null(void) {
    return cJSON_CreateNull();
}

cpl_json *cpl_json_new_string(cpl_str text) {
    char *copy = cpl_strdup(text);
    cpl_json *json = copy ? cJSON_CreateString(copy) : NULL;
    if (copy) cpl_wipe(copy, text.n);
    cpl_free(copy);
    return json;
}

bool cpl_json_push(cpl_json *array, cpl_json *value) {
    if (value && cJSON_IsArray(array) && cJSON_AddItemToArray(array, value)) return true;
    cpl_json_free(value);
    return false;
}

bool cpl_json_set(cpl_json *object, const char *key, cpl_json *value) {
    cpl_json *old = cpl_json_get(object, key);
    if (value && cJSON_IsObject(object)) {
        /* added first, so that running out of memory leaves the old value in place */
        if (cJSON_AddItemToObject(object, key, value)) {
            if (old) cpl_json_free(cJSON_DetachItemViaPointer(object, old));
            return true;
        }
    }
    cpl_json_free(value);
    return false;
}

bool cpl_json_set_str(cpl_json *object, const char *key, cpl_str text) {
    return cpl_json_set(object, key, cpl_json_new_string(text));
}

bool cpl_json_set_cstr(cpl_json *object, const char *key, const char *text) {
    if (text) return cpl_json_set_str(object, key, cpl_str_of(text));
    cpl_json_remove(object, key);
    return object != NULL;
}

bool cpl_json_set_number(cpl_json *object, const char *key, double number) {
    return cpl_json_set(object, key, cpl_json_new_number(number));
}

bool cpl_json_set_bool(cpl_json *object, const char *key, bool value) {
    return cpl_json_set(object, key, cpl_json_new_bool(value));
}

cpl_json *cpl_json_detach(cpl_json *parent, cpl_json *item) {
    return cJSON_DetachItemViaPointer(parent, item);
}

void cpl_json_remove(cpl_json *object, const char *key) {
    cpl_json *item = cpl_json_get(object, key);
    if (item) cpl_json_free(cJSON_DetachItemViaPointer(object, item));
}

static void wipe_strings(cpl_json *json) {
    for (; json; json = json->next) {
        if (json->valuestring) cpl_wipe(json->valuestring, strlen(json->valuestring));
        wipe_strings(json->child);
    }
}

void cpl_json_free(cpl_json *json) {
    if (json == NULL) return;
    wipe_strings(json);
    cJSON_Delete(json);
}

cpl_json *cpl_json_clone(const cpl_json *json) {
    return json ? cJSON_Duplicate(json, true) : NULL;
}

/* ---- documents: reading ---- */

cpl_json_kind cpl_json_kind_of(const cpl_json *json) {
    if (json == NULL || cJSON_IsNull(json)) return CPL_JSON_NULL;
    if (cJSON_IsBool(json)) return CPL_JSON_BOOL;
    if (cJSON_IsString(json)) return CPL_JSON_STRING;
    if (cJSON_IsArray(json)) return CPL_JSON_ARRAY;
    if (cJSON_IsObject(json)) return CPL_JSON_OBJECT;
    return CPL_JSON_NUMBER;
}

cpl_json *cpl_json_get(const cpl_json *object, const char *key) {
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

cpl_json *cpl_json_get_path(const cpl_json *object, const char *dotted) {
    char key[128];
    cpl_json *found = NULL;
    for (cpl_str rest = cpl_str_of(dotted);;) {
        size_t n = cpl_str_find(rest, '.');
        cpl_copy_text(key, sizeof key, cpl_str_sub(rest, 0, n));
        found = cpl_json_get(object, key);
        if (found == NULL || n == rest.n) return found;
        rest = cpl_str_sub(rest, n + 1, rest.n);
        object = found;
    }
}

cpl_json *cpl_json_at(const cpl_json *array, size_t index) {
    cpl_json *item = cpl_json_first(array);
    while (item && index-- > 0) item = item->next;
    return item;
}

size_t cpl_json_count(const cpl_json *array_or_object) {
    size_t count = 0;
    for (cpl_json *i = cpl_json_first(array_or_object); i; i = i->next) count++;
    return count;
}

cpl_json *cpl_json_first(const cpl_json *array_or_object) {
    return array_or_object ? array_or_object->child : NULL;
}

cpl_json *cpl_json_next(const cpl_json *item) {
    return item->next;
}

cpl_str cpl_json_key(const cpl_json *item) {
    return cpl_str_of(item ? item->string : NULL);
}

const char *cpl_json_cstr(const cpl_json *json, const char *fallback) {
    return cJSON_IsString(json) ? json->valuestring : fallback;
}

cpl_str cpl_json_str(const cpl_json *json) {
    return cpl_str_of(cpl_json_cstr(json, NULL));
}

double cpl_json_number(const cpl_json *json, double fallback) {
    return cpl_json_kind_of(json) == CPL_JSON_NUMBER ? json->valuedouble : fallback;
}

bool cpl_json_bool(const cpl_json *json, bool fallback) {
    return cJSON_IsBool(json) ? cJSON_IsTrue(json) : fallback;
}

const char *cpl_json_get_cstr(const cpl_json *object, const char *key, const char *fallback) {
    return cpl_json_cstr(cpl_json_get(object, key), fallback);
}

cpl_str cpl_json_get_str(const cpl_json *object, const char *key) {
    return cpl_json_str(cpl_json_get(object, key));
}

double cpl_json_get_number(const cpl_json *object, const char *key, double fallback) {
    return cpl_json_number(cpl_json_get(object, key), fallback);
}

bool cpl_json_get_bool(const cpl_json *object, const char *key, bool fallback) {
    return cpl_json_bool(cpl_json_get(object, key), fallback);
}

/* ---- documents: text to tree, tree to text ---- */

/* An integer that a double would not keep stays as it is written. */
static cpl_json *number_node(const cpl_cursor *cursor) {
    cpl_json *json;
    char digits[32];
    if (cursor->token == CPL_TOKEN_NUMBER || (cursor->integer <= EXACT_INTEGER && cursor->integer >= -EXACT_INTEGER)) {
        return cpl_json_new_number(cursor->number);
    }
    CPL_COPY(digits, cursor->text);
    json = cJSON_CreateRaw(digits);
    if (json) json->valuedouble = cursor->number;
    return json;
}

static cpl_status token_node(const cpl_cursor *cursor, cpl_json **out, cpl_error *err) {
    switch (cursor->token) {
    case CPL_TOKEN_OBJECT: *out = cpl_json_new_object(); break;
    case CPL_TOKEN_ARRAY: *out = cpl_json_new_array(); break;
    case CPL_TOKEN_INTEGER:
    case CPL_TOKEN_NUMBER: *out = number_node(cursor); break;
    case CPL_TOKEN_TRUE: *out = cpl_json_new_bool(true); break;
    case CPL_TOKEN_FALSE: *out = cpl_json_new_bool(false); break;
    case CPL_TOKEN_NULL: *out = cpl_json_new_null(); break;
    default:
        if (memchr(cursor->text.p, '\0', cursor->text.n)) {
            return cpl_fail(err, CPL_INVALID, "a string with U+0000 before byte %zu", cursor->offset);
        }
        *out = cpl_json_new_string(cursor->text);
    }
    return *out ? CPL_OK : cpl_fail_nomem(err);
}

/* Looking for a repeated key walks the object, so its size has a bound. */
#define MEMBERS_MAX 4096

typedef struct tree_builder {
    cpl_cursor cursor;
    cpl_json *open[CPL_JSON_DEPTH_MAX]; /* the containers from the top to the current one */
    int members[CPL_JSON_DEPTH_MAX];
    cpl_json *root;
    cpl_buf key;
} tree_builder;

static cpl_status keep_key(tree_builder *b, cpl_error *err) {
    const cpl_cursor *c = &b->cursor;
    int level = c->depth - 1;
    cpl_buf_clear(&b->key);
    cpl_buf_addv(&b->key, c->text);
    if (!cpl_buf_ok(&b->key)) return cpl_buf_status(&b->key, "a key", err);
    if (memchr(c->text.p, '\0', c->text.n))
        return cpl_fail(err, CPL_INVALID, "a key with U+0000 before byte %zu", c->offset);
    if (++b->members[level] > MEMBERS_MAX) {
        return cpl_fail(err, CPL_INVALID, "more than %d members in one object", MEMBERS_MAX);
    }
    if (cpl_json_get(b->open[level], cpl_buf_cstr(&b->key))) {
        return cpl_fail(err, CPL_INVALID, "the key \"%.64s\" stands twice before byte %zu", b->key.p, c->offset);
    }
    return CPL_OK;
}

/* depth: of the container that takes the node. */
static bool place(tree_builder *b, int depth, cpl_json *node) {
    if (depth == 0) {
        b->root = node;
        return true;
    }
    if (cJSON_IsArray(b->open[depth - 1])) return cpl_json_push(b->open[depth - 1], node);
    if (cJSON_AddItemToObject(b->open[depth - 1], cpl_buf_cstr(&b->key), node)) return true;
    cpl_json_free(node);
    return false;
}

static cpl_status place_value(tree_builder *b, int depth, cpl_error *err) {
    cpl_json *node;
    cpl_status status = token_node(&b->cursor, &node, err);
    if (status) return status;
    if (!place(b, depth, node)) return cpl_fail_nomem(err);
    if (b->cursor.depth > depth) {
        b->open[depth] = node;
        b->members[depth] = 0;
    }
    return CPL_OK;
}

static cpl_status fail_reading(const cpl_cursor *cursor, cpl_error *err) {
    if (cpl_str_starts(cpl_str_of(cursor->message), "out of memory")) return cpl_fail_nomem(err);
    return cpl_fail(err, CPL_INVALID, "not JSON: %s", cursor->message);
}

static cpl_status build_tree(tree_builder *b, cpl_error *err) {
    for (;;) {
        int depth = b->cursor.depth;
        cpl_status status;
        switch (cpl_cursor_next(&b->cursor)) {
        case CPL_TOKEN_END: return CPL_OK;
        case CPL_TOKEN_ERROR: return fail_reading(&b->cursor, err);
        case CPL_TOKEN_OBJECT_END:
        case CPL_TOKEN_ARRAY_END: status = CPL_OK; break;
        case CPL_TOKEN_KEY: status = keep_key(b, err); break;
        default: status = place_value(b, depth, err);
        }
        if (status) return status;
    }
}

cpl_status cpl_json_parse(cpl_str text, cpl_json **out, cpl_error *err) {
    tree_builder b = {.root = NULL};
    cpl_status status;
    cpl_cursor_init(&b.cursor, text);
    cpl_buf_init(&b.key, DOCUMENT_LIMIT);
    status = build_tree(&b, err);
    if (status) {
        cpl_json_free(b.root);
        b.root = NULL;
    }
    *out = b.root;
    cpl_cursor_release(&b.cursor);
    cpl_buf_release(&b.key);
    return status;
}

static void write_children(const cpl_json *json, cpl_buf *buf, bool keys) {
    const char *comma = "";
    for (const cpl_json *i = json->child; i; i = i->next) {
        cpl_buf_adds(buf, comma);
        if (keys) {
            cpl_json_quote(buf, cpl_str_of(i->string));
            cpl_buf_addc(buf, ':');
        }
        cpl_json_write(i, buf);
        comma = ",";
    }
}

void cpl_json_write(const cpl_json *json, cpl_buf *buf) {
    switch (cpl_json_kind_of(json)) {
    case CPL_JSON_NULL: cpl_buf_adds(buf, "null"); break;
    case CPL_JSON_BOOL: cpl_buf_adds(buf, cJSON_IsTrue(json) ? "true" : "false"); break;
    case CPL_JSON_STRING: cpl_json_quote(buf, cpl_json_str(json)); break;
    case CPL_JSON_NUMBER:
        if (cJSON_IsRaw(json)) {
            cpl_buf_adds(buf, json->valuestring);
        } else {
            cpl_json_add_number(buf, json->valuedouble);
        }
        break;
    case CPL_JSON_ARRAY:
        cpl_buf_addc(buf, '[');
        write_children(json, buf, false);
        cpl_buf_addc(buf, ']');
        break;
    case CPL_JSON_OBJECT:
        cpl_buf_addc(buf, '{');
        write_children(json, buf, true);
        cpl_buf_addc(buf, '}');
        break;
    }
}
