/* SPDX-License-Identifier: MIT */
/*
 * Look-ups in the generated tables, and the check of a document. The check walks the text once with a cursor, beside
 * the shapes; it keeps the way it came as a chain of steps on the stack and makes a path of it only for a violation.
 */
#include "model.h"

#include <locale.h>
#include <math.h>
#include <regex.h>
#include <stdatomic.h>

#include "err.h"
#include "guess.h"

/* ---- look-ups ---- */

/* The names are short and mostly differ in their first letters: calls of strlen() and memcmp() would take longer. */
static int compare(const char *name, cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        int order = (unsigned char)name[i] - (unsigned char)text.p[i];
        if (order != 0) return order;
        if (name[i] == '\0') return -1; /* a NUL in the text */
    }
    return name[text.n] != '\0';
}

typedef const char *(*name_at)(size_t i);

/* Position of text among the sorted names at(from) ... at(from + count - 1); from + count when it is not there. */
static size_t search(cpl_str text, size_t from, size_t count, name_at at) {
    size_t low = from, high = from + count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(at(middle), text);
        if (order == 0) return middle;
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return from + count;
}

static const char *shape_name(size_t i) {
    return cpl_model_shapes[i].name;
}

static const char *member_name(size_t i) {
    return cpl_model_names[cpl_model_members[i].name];
}

static const char *operation_name(size_t i) {
    return cpl_model_operations[i].info.name;
}

uint16_t cpl_model_shape_named(const char *name) {
    size_t i = search(cpl_str_of(name), 1, cpl_model_shape_count - 1, shape_name);
    return i < cpl_model_shape_count ? (uint16_t)i : 0;
}

const cpl_member *cpl_model_member(uint16_t shape, cpl_str name, uint16_t *hint) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    size_t i, end = (size_t)s->first + s->count;
    if (s->kind != CPL_SHAPE_STRUCTURE) return NULL;
    if (hint && *hint < s->count && compare(member_name(s->first + *hint), name) == 0) {
        i = s->first + *hint;
    } else {
        i = search(name, s->first, s->count, member_name);
    }
    if (i == end) return NULL;
    if (hint) *hint = (uint16_t)(i - s->first + 1);
    return &cpl_model_members[i];
}

/* "list_pipelines" as "ListPipelines"; what does not fit is no operation's name anyway. */
static cpl_str camel_case(cpl_str method, char *out, size_t size) {
    size_t n = 0;
    bool upper = true;
    for (size_t i = 0; i < method.n && n < size; i++) {
        char c = method.p[i];
        if (c != '_') out[n++] = (char)(upper && c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        upper = c == '_';
    }
    return (cpl_str){out, n};
}

int cpl_model_find_operation(cpl_str name) {
    char buffer[64];
    bool method = name.n > 0 && name.p[0] >= 'a' && name.p[0] <= 'z';
    cpl_str camel = method ? camel_case(name, buffer, sizeof buffer) : name;
    size_t i = search(camel, 0, cpl_model_operations_count, operation_name);
    if (i == cpl_model_operations_count) return -1;
    if (method && !cpl_str_is(name, cpl_model_operations[i].info.method)) return -1;
    return (int)i;
}

const cpl_operation *cpl_model_operation(cpl_str name) {
    int i = cpl_model_find_operation(name);
    return i < 0 ? NULL : &cpl_model_operations[i];
}

const cpl_operation *cpl_model_require_operation(cpl_str name, cpl_error *err) {
    const cpl_operation *found = cpl_model_operation(name);
    cpl_guess guess = cpl_guess_of(name);
    if (found) return found;
    for (size_t i = 0; i < cpl_model_operation_count(); i++) {
        cpl_guess_try(&guess, cpl_model_operation_info(i)->name);
        cpl_guess_try(&guess, cpl_model_operation_info(i)->method);
    }
    cpl_fail(err, CPL_INVALID, "there is no operation \"%.*s\"%s%s%s", (int)cpl_utf8_cut(name, 100), name.p,
             guess.best ? "; did you mean \"" : "", guess.best ? guess.best : "", guess.best ? "\"?" : "");
    return NULL;
}

static const char *error_name(size_t i) {
    return shape_name(cpl_model_errors[i]);
}

uint16_t cpl_model_error_shape(cpl_str code) {
    size_t i = search(code, 0, cpl_model_errors_count, error_name);
    return i < cpl_model_errors_count ? cpl_model_errors[i] : 0;
}

bool cpl_model_operation_has_error(const cpl_operation *operation, cpl_str code) {
    for (size_t i = 0; i < operation->error_count; i++) {
        if (cpl_str_is(code, shape_name(cpl_model_operation_errors[operation->errors + i]))) return true;
    }
    return false;
}

size_t cpl_model_operation_count(void) {
    return cpl_model_operations_count;
}

const cpl_operation_info *cpl_model_operation_info(size_t index) {
    return index < cpl_model_operations_count ? &cpl_model_operations[index].info : NULL;
}

size_t cpl_model_error_count(void) {
    return cpl_model_errors_count;
}

const char *cpl_model_error_name(size_t index) {
    return index < cpl_model_errors_count ? shape_name(cpl_model_errors[index]) : NULL;
}

size_t cpl_model_name_count(void) {
    return cpl_model_names_count;
}

const char *cpl_model_name(size_t index) {
    return index < cpl_model_names_count ? cpl_model_names[index] : NULL;
}

/* ---- patterns ---- */

#define PATTERNS_MAX 32       /* gen.py refuses more */
#define PATTERN_TEXT_MAX 4096 /* matching takes time that grows faster than the text */

/* Each compiled when it is first needed, which takes some KB; never freed. */
static _Atomic(regex_t *) expressions[PATTERNS_MAX];

/* In the C locale, which a compiled expression keeps: "[a-z]" are the 26 letters whatever the host program has set. */
static bool compile(regex_t *out, const char *pattern) {
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), before;
    bool done;
    if (c == (locale_t)0) return false;
    before = uselocale(c);
    done = regcomp(out, pattern, REG_EXTENDED | REG_NOSUB) == 0;
    uselocale(before);
    freelocale(c);
    return done;
}

/* NULL: out of memory. Two threads may compile the same one; that of the first stays. */
static const regex_t *expression_of(uint8_t pattern) {
    regex_t *known = atomic_load(&expressions[pattern]), *fresh;
    if (known) return known;
    fresh = cpl_calloc(1, sizeof *fresh);
    if (fresh == NULL || !compile(fresh, cpl_model_patterns[pattern])) {
        cpl_free(fresh);
        return NULL;
    }
    if (atomic_compare_exchange_strong(&expressions[pattern], &known, fresh)) return fresh;
    regfree(fresh);
    cpl_free(fresh);
    return known;
}

/* CPL_OK when text matches, CPL_INVALID when not, CPL_NOMEM. */
static cpl_status match_pattern(uint8_t pattern, cpl_str text) {
    char copy[PATTERN_TEXT_MAX + 1];
    const regex_t *expression;
    int result;
    if (text.n > PATTERN_TEXT_MAX || memchr(text.p, '\0', text.n)) return CPL_INVALID;
    expression = expression_of(pattern);
    if (expression == NULL) return CPL_NOMEM;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    result = regexec(expression, copy, 0, NULL, 0);
    cpl_wipe(copy, text.n);
    return result == 0 ? CPL_OK : result == REG_ESPACE ? CPL_NOMEM : CPL_INVALID;
}

/* ---- checking ---- */

/* One step of the way from the document's root to a value. */
typedef struct step {
    const struct step *up;
    cpl_str name; /* absent: an index */
    size_t index;
} step;

typedef struct checker {
    cpl_cursor cursor;
    char *text;
    unsigned flags;
    cpl_violations *found;
    uint64_t *keys; /* hashes of the keys of the maps that are open */
    size_t key_count, key_size;
    cpl_buf path;
    cpl_error *err;
    cpl_status status; /* anything but CPL_OK ends the walk */
} checker;

static bool plain_name(cpl_str name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9')) return false;
    }
    return name.n > 0;
}

static void write_path(cpl_buf *out, const step *at) {
    if (at == NULL) return;
    write_path(out, at->up);
    if (at->name.p == NULL) {
        cpl_buf_addf(out, "[%zu]", at->index);
    } else if (plain_name(at->name)) {
        if (out->n > 0) cpl_buf_addc(out, '.');
        cpl_buf_addv(out, at->name);
    } else {
        cpl_buf_addc(out, '[');
        cpl_json_quote(out, at->name);
        cpl_buf_addc(out, ']');
    }
}

/* The path of at, in k->path; false when there was no memory for it. */
static bool make_path(checker *k, const step *at) {
    cpl_buf_clear(&k->path);
    write_path(&k->path, at);
    if (!cpl_buf_ok(&k->path)) k->status = cpl_buf_status(&k->path, "the path of a member", k->err);
    return k->status == CPL_OK;
}

/* Records a violation of the value (or key, or member name) that the cursor is at. */
static cpl_violation *report(checker *k, cpl_violation_kind kind, uint16_t shape, const step *at) {
    cpl_violation *v;
    bool service_s = kind == CPL_VIOLATION_LONG || kind == CPL_VIOLATION_LARGE || kind >= CPL_VIOLATION_PATTERN;
    if (service_s && (k->flags & CPL_CHECK_FORM)) return NULL;
    if (k->found->count == k->found->max || !make_path(k, at)) return NULL;
    v = &k->found->rows[k->found->count++];
    *v = (cpl_violation){.kind = kind, .shape = shape, .got = k->cursor.token};
    CPL_COPY(v->path, cpl_buf_str(&k->path));
    return v;
}

/* The same, with the value as text. */
static void report_value(checker *k, cpl_violation_kind kind, uint16_t shape, const step *at, bool secret) {
    const cpl_cursor *c = &k->cursor;
    cpl_violation *v = report(k, kind, shape, at);
    if (v == NULL) return;
    v->key = c->token == CPL_TOKEN_KEY;
    if (secret || (cpl_model_shapes[shape].flags & CPL_SHAPE_SENSITIVE)) return;
    switch (c->token) {
    case CPL_TOKEN_KEY:
    case CPL_TOKEN_STRING:
    case CPL_TOKEN_INTEGER:
    case CPL_TOKEN_NUMBER: CPL_COPY(v->value, c->text); break;
    case CPL_TOKEN_TRUE: CPL_COPY(v->value, CPL_LIT("true")); break;
    case CPL_TOKEN_FALSE: CPL_COPY(v->value, CPL_LIT("false")); break;
    default: break;
    }
}

/* The next token; false when the walk is over, because the text is no JSON or for another reason. */
static bool next(checker *k) {
    const char *why = k->cursor.message;
    if (k->status) return false;
    if (cpl_cursor_next(&k->cursor) != CPL_TOKEN_ERROR) return true;
    if (cpl_str_starts(cpl_str_of(why), "out of memory")) {
        k->status = cpl_fail_nomem(k->err);
    } else {
        k->status = cpl_fail(k->err, CPL_INVALID, "not JSON: %s", why);
    }
    return false;
}

/* Reads on to the end of the value whose first token was just read. */
static void skip(checker *k, int depth) {
    while (k->cursor.depth > depth && next(k)) continue;
}

static void check_value(checker *k, uint16_t shape, const step *at, bool secret);

/* Lengths of strings, entries of lists and maps. False: a violation. */
static bool check_count(checker *k, uint16_t shape, size_t count, const step *at, bool secret) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    if ((s->flags & CPL_SHAPE_HAS_MIN) && count < (size_t)s->min) {
        report_value(k, CPL_VIOLATION_SHORT, shape, at, secret);
        return false;
    }
    if ((s->flags & CPL_SHAPE_HAS_MAX) && count > (size_t)s->max) {
        report_value(k, CPL_VIOLATION_LONG, shape, at, secret);
        return false;
    }
    return true;
}

static bool in_enum(const cpl_shape *s, cpl_str text) {
    if (s->count == 0) return true;
    for (size_t i = 0; i < s->count; i++) {
        if (cpl_str_is(text, cpl_model_enums[s->first + i])) return true;
    }
    return false;
}

/* A string, or the key of a map entry: the cursor's text. */
static void check_string(checker *k, uint16_t shape, const step *at, bool secret) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    cpl_str text = k->cursor.text;
    cpl_status matched = CPL_OK;
    bool bounded = s->flags & (CPL_SHAPE_HAS_MIN | CPL_SHAPE_HAS_MAX);
    bool right_size = !bounded || check_count(k, shape, cpl_utf8_length(text), at, secret);
    if (s->pattern && (right_size || text.n <= PATTERN_TEXT_MAX)) matched = match_pattern(s->pattern, text);
    if (matched == CPL_INVALID) report_value(k, CPL_VIOLATION_PATTERN, shape, at, secret);
    if (matched == CPL_NOMEM) k->status = cpl_fail_nomem(k->err);
    if (!in_enum(s, text)) report_value(k, CPL_VIOLATION_ENUM, shape, at, secret);
}

/* The service's integers have 32 bits. */
static int32_t lowest(const cpl_shape *s) {
    return s->flags & CPL_SHAPE_HAS_MIN ? s->min : INT32_MIN;
}

static int32_t highest(const cpl_shape *s) {
    return s->flags & CPL_SHAPE_HAS_MAX ? s->max : INT32_MAX;
}

static void check_integer(checker *k, uint16_t shape, const step *at, bool secret) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    double value = k->cursor.token == CPL_TOKEN_INTEGER ? (double)k->cursor.integer : k->cursor.number;
    if (value < lowest(s)) report_value(k, CPL_VIOLATION_SMALL, shape, at, secret);
    if (value > highest(s)) report_value(k, CPL_VIOLATION_LARGE, shape, at, secret);
}

static void check_list(checker *k, uint16_t shape, const step *at, bool secret) {
    step item = {.up = at};
    for (; next(k) && k->cursor.token != CPL_TOKEN_ARRAY_END; item.index++) {
        check_value(k, cpl_model_shapes[shape].value, &item, secret);
    }
    if (k->status == CPL_OK) check_count(k, shape, item.index, at, secret);
}

/* An empty object where a list belongs, which the caller allows: made a list in the text. False: it is not empty. */
static bool take_empty_table(checker *k, uint16_t shape, const step *at, bool secret) {
    size_t open = k->cursor.offset - 1;
    if (!next(k) || k->cursor.token != CPL_TOKEN_OBJECT_END) return false;
    k->text[open] = '[';
    k->text[k->cursor.offset - 1] = ']';
    check_count(k, shape, 0, at, secret);
    return true;
}

static void fail_twice(checker *k, const step *at) {
    if (!make_path(k, at)) return;
    k->status = cpl_fail_at(k->err, CPL_INVALID, cpl_buf_cstr(&k->path), "%s: there twice", cpl_buf_cstr(&k->path));
}

static uint64_t hash(cpl_str text) {
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < text.n; i++) h = (h ^ (unsigned char)text.p[i]) * 1099511628211u;
    return h;
}

#define MAP_MAX 4096 /* looking for a repeated key walks the map */

/* Remembers a map's key; first: where the map's hashes begin. Two keys with one hash are made on purpose or never. */
static bool remember_key(checker *k, size_t first, const step *at) {
    uint64_t h = hash(k->cursor.text);
    for (size_t i = first; i < k->key_count; i++) {
        if (k->keys[i] == h) return fail_twice(k, at), false;
    }
    if (k->key_count - first == MAP_MAX) {
        k->status = cpl_fail(k->err, CPL_INVALID, "more than %d members in one object", MAP_MAX);
        return false;
    }
    if (k->key_count == k->key_size) {
        size_t size = k->key_size ? k->key_size * 2 : 32;
        uint64_t *grown = cpl_realloc(k->keys, size * sizeof *grown);
        if (grown == NULL) return k->status = cpl_fail_nomem(k->err), false;
        k->keys = grown;
        k->key_size = size;
    }
    k->keys[k->key_count++] = h;
    return true;
}

static void check_map(checker *k, uint16_t shape, const step *at, bool secret) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    size_t first = k->key_count, count = 0;
    char name[128]; /* the cursor's own text does not outlive the key */
    for (; next(k) && k->cursor.token != CPL_TOKEN_OBJECT_END; count++) {
        step entry = {.up = at, .name = {name, cpl_utf8_cut(k->cursor.text, sizeof name)}};
        memcpy(name, k->cursor.text.p, entry.name.n);
        if (!remember_key(k, first, &entry)) return;
        check_string(k, s->key, &entry, secret);
        if (!next(k)) return;
        check_value(k, s->value, &entry, secret);
    }
    k->key_count = first;
    if (k->status == CPL_OK) check_count(k, shape, count, at, secret);
}

static void check_missing(checker *k, uint16_t shape, uint64_t seen, const step *at) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    for (size_t i = 0; i < s->count; i++) {
        const cpl_member *member = &cpl_model_members[s->first + i];
        if ((member->flags & CPL_MEMBER_REQUIRED) && !(seen >> i & 1)) {
            step missing = {.up = at, .name = cpl_str_of(cpl_model_names[member->name])};
            report(k, CPL_VIOLATION_MISSING, shape, &missing);
        }
    }
}

static void check_structure(checker *k, uint16_t shape, const step *at, bool secret) {
    uint16_t hint = 0;
    uint64_t seen = 0; /* bit i: the structure's i-th member; gen.py sees to it that there are no more than 64 */
    while (next(k) && k->cursor.token != CPL_TOKEN_OBJECT_END) {
        const cpl_member *member = cpl_model_member(shape, k->cursor.text, &hint);
        step below = {.up = at, .name = k->cursor.text};
        if (member == NULL) {
            report(k, CPL_VIOLATION_UNKNOWN, shape, &below);
        } else {
            uint64_t bit = 1ull << (member - &cpl_model_members[cpl_model_shapes[shape].first]);
            below.name = cpl_str_of(cpl_model_names[member->name]);
            if (seen & bit) return fail_twice(k, &below);
            seen |= bit;
        }
        if (!next(k)) return;
        check_value(k, member ? member->shape : 0, &below, secret);
    }
    if (k->status == CPL_OK) check_missing(k, shape, seen, at);
}

#define MIN_SECONDS (-62135596800.0) /* the years 1 to 9999 */
#define MAX_SECONDS 253402300799.0

/* An integer too large for 64 bits arrives as a number. */
static bool integral(const cpl_cursor *c) {
    if (c->token != CPL_TOKEN_NUMBER) return c->token == CPL_TOKEN_INTEGER;
    for (size_t i = 0; i < c->text.n; i++) {
        if (c->text.p[i] != '-' && (c->text.p[i] < '0' || c->text.p[i] > '9')) return false;
    }
    return true;
}

/* A time written as text, which the caller allows: made a number in the text, padded with spaces. */
static bool take_time(const checker *k) {
    cpl_str text = k->cursor.text;
    char number[40];
    double seconds;
    long long whole;
    int thousandths;
    size_t n;
    char *open = k->text + k->cursor.offset - text.n - 2;
    if (!(k->flags & CPL_CHECK_TIME_TEXT) || text.p != open + 1) return false; /* with escapes it is elsewhere */
    if (!cpl_json_time(text, &seconds) || seconds < MIN_SECONDS || seconds > MAX_SECONDS) return false;
    whole = (long long)floor(seconds);
    thousandths = (int)((seconds - (double)whole) * 1000);
    n = (size_t)snprintf(number, sizeof number, "%lld", whole);
    if (whole >= 0 && thousandths > 0) n += (size_t)snprintf(number + n, sizeof number - n, ".%03d", thousandths);
    if (n > text.n + 2) return false;
    memset(open, ' ', text.n + 2);
    memcpy(open, number, n);
    return true;
}

/* The token can begin a value of this kind. */
static bool fits(const checker *k, unsigned kind) {
    const cpl_cursor *c = &k->cursor;
    switch (kind) {
    case CPL_SHAPE_STRUCTURE:
    case CPL_SHAPE_MAP: return c->token == CPL_TOKEN_OBJECT;
    case CPL_SHAPE_LIST:
        return c->token == CPL_TOKEN_ARRAY || (c->token == CPL_TOKEN_OBJECT && (k->flags & CPL_CHECK_EMPTY_TABLES));
    case CPL_SHAPE_STRING: return c->token == CPL_TOKEN_STRING;
    case CPL_SHAPE_INTEGER: return integral(c);
    case CPL_SHAPE_BOOLEAN: return c->token == CPL_TOKEN_TRUE || c->token == CPL_TOKEN_FALSE;
    case CPL_SHAPE_TIMESTAMP:
        return c->token == CPL_TOKEN_INTEGER || c->token == CPL_TOKEN_NUMBER ||
               (c->token == CPL_TOKEN_STRING && take_time(k));
    default: return true;
    }
}

/* The value whose first token the cursor is at; leaves it at the last. */
static void check_value(checker *k, uint16_t shape, const step *at, bool secret) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    cpl_token token = k->cursor.token;
    int outside = k->cursor.depth - (token == CPL_TOKEN_OBJECT || token == CPL_TOKEN_ARRAY);
    secret = secret || (s->flags & CPL_SHAPE_SENSITIVE);
    if (!fits(k, s->kind)) {
        report_value(k, token == CPL_TOKEN_NULL ? CPL_VIOLATION_NULL : CPL_VIOLATION_TYPE, shape, at, secret);
        return skip(k, outside);
    }
    switch (s->kind) {
    case CPL_SHAPE_STRUCTURE: return check_structure(k, shape, at, secret);
    case CPL_SHAPE_MAP: return check_map(k, shape, at, secret);
    case CPL_SHAPE_STRING: return check_string(k, shape, at, secret);
    case CPL_SHAPE_INTEGER: return check_integer(k, shape, at, secret);
    case CPL_SHAPE_LIST:
        if (token == CPL_TOKEN_ARRAY) return check_list(k, shape, at, secret);
        if (!take_empty_table(k, shape, at, secret)) {
            cpl_violation *v = report(k, CPL_VIOLATION_TYPE, shape, at);
            if (v) v->got = token;
            skip(k, outside);
        }
        return;
    default: skip(k, outside);
    }
}

cpl_status cpl_model_check(char *text, size_t n, uint16_t shape, unsigned flags, cpl_violations *found,
                           cpl_error *err) {
    checker k = {.text = text, .flags = flags, .found = found, .err = err};
    found->count = 0;
    cpl_buf_init(&k.path, 64 << 10);
    cpl_cursor_init(&k.cursor, (cpl_str){text, n});
    if (next(&k)) check_value(&k, shape, NULL, false);
    next(&k); /* nothing may follow */
    cpl_cursor_release(&k.cursor);
    cpl_buf_release(&k.path);
    cpl_free(k.keys);
    return k.status;
}

/* ---- words ---- */

static const char *const kind_words[] = {
    [CPL_SHAPE_NONE] = "a value",      [CPL_SHAPE_STRUCTURE] = "a structure", [CPL_SHAPE_LIST] = "a list",
    [CPL_SHAPE_MAP] = "a map",         [CPL_SHAPE_STRING] = "a string",       [CPL_SHAPE_INTEGER] = "an integer",
    [CPL_SHAPE_BOOLEAN] = "a boolean", [CPL_SHAPE_TIMESTAMP] = "a timestamp",
};

static const char *token_words(cpl_token token) {
    switch (token) {
    case CPL_TOKEN_OBJECT: return "a structure";
    case CPL_TOKEN_ARRAY: return "a list";
    case CPL_TOKEN_STRING: return "a string";
    case CPL_TOKEN_INTEGER:
    case CPL_TOKEN_NUMBER: return "a number";
    case CPL_TOKEN_TRUE:
    case CPL_TOKEN_FALSE: return "a boolean";
    default: return "null";
    }
}

static void write_count(const cpl_violation *v, cpl_buf *out) {
    const cpl_shape *s = &cpl_model_shapes[v->shape];
    bool entries = s->kind == CPL_SHAPE_LIST || s->kind == CPL_SHAPE_MAP;
    if (v->kind == CPL_VIOLATION_SHORT)
        cpl_buf_addf(out, entries ? "fewer than %d entries" : "shorter than %d", s->min);
    if (v->kind == CPL_VIOLATION_LONG) cpl_buf_addf(out, entries ? "more than %d entries" : "longer than %d", s->max);
}

static void write_enum(const cpl_shape *s, cpl_buf *out) {
    cpl_buf_adds(out, "not one of ");
    for (size_t i = 0; i < s->count; i++) {
        if (i > 0) cpl_buf_adds(out, ", ");
        cpl_buf_adds(out, cpl_model_enums[s->first + i]);
    }
}

static void write_type(const cpl_violation *v, cpl_buf *out) {
    const cpl_shape *s = &cpl_model_shapes[v->shape];
    bool number = v->got == CPL_TOKEN_NUMBER && s->kind == CPL_SHAPE_INTEGER;
    cpl_buf_addf(out, "expected %s, got %s", kind_words[s->kind], number ? "a fraction" : token_words(v->got));
}

/* The path ends in the member's name. */
static void write_unknown(const cpl_violation *v, cpl_buf *out) {
    const cpl_shape *s = &cpl_model_shapes[v->shape];
    const char *dot = strrchr(v->path, '.');
    cpl_guess guess = cpl_guess_of(cpl_str_of(dot ? dot + 1 : v->path));
    for (size_t i = 0; i < s->count; i++) cpl_guess_try(&guess, cpl_model_names[cpl_model_members[s->first + i].name]);
    cpl_buf_adds(out, "unknown member");
    if (guess.best) cpl_buf_addf(out, ", did you mean \"%s\"?", guess.best);
}

void cpl_violation_text(const cpl_violation *v, cpl_buf *out) {
    const cpl_shape *s = &cpl_model_shapes[v->shape];
    if (v->key) cpl_buf_adds(out, "key ");
    switch (v->kind) {
    case CPL_VIOLATION_MISSING: cpl_buf_adds(out, "missing"); break;
    case CPL_VIOLATION_UNKNOWN: write_unknown(v, out); break;
    case CPL_VIOLATION_TYPE: write_type(v, out); break;
    case CPL_VIOLATION_NULL: cpl_buf_addf(out, "null where %s belongs", kind_words[s->kind]); break;
    case CPL_VIOLATION_SHORT:
    case CPL_VIOLATION_LONG: write_count(v, out); break;
    case CPL_VIOLATION_SMALL: cpl_buf_addf(out, "smaller than %d", lowest(s)); break;
    case CPL_VIOLATION_LARGE: cpl_buf_addf(out, "larger than %d", highest(s)); break;
    case CPL_VIOLATION_PATTERN: cpl_buf_addf(out, "does not match %s", cpl_model_pattern_sources[s->pattern]); break;
    case CPL_VIOLATION_ENUM: write_enum(s, out); break;
    }
}

#define VIOLATIONS_SHOWN 8

cpl_status cpl_model_validate(char *text, size_t n, uint16_t shape, unsigned flags, cpl_error *err) {
    cpl_violation rows[VIOLATIONS_SHOWN];
    cpl_violations found = {.rows = rows, .max = VIOLATIONS_SHOWN};
    cpl_status status = cpl_model_check(text, n, shape, flags, &found, err);
    cpl_buf message;
    if (status || found.count == 0) return status;
    cpl_buf_init(&message, 64 << 10);
    for (size_t i = 0; i < found.count; i++) {
        if (i > 0) cpl_buf_adds(&message, "; ");
        if (rows[i].path[0]) cpl_buf_addf(&message, "%s: ", rows[i].path);
        cpl_violation_text(&rows[i], &message);
    }
    status = cpl_buf_status(&message, "the list of violations", err);
    if (status == CPL_OK) status = cpl_fail_at(err, CPL_INVALID, rows[0].path, "%s", cpl_buf_cstr(&message));
    cpl_buf_release(&message);
    return status;
}
