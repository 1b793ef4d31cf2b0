/* SPDX-License-Identifier: MIT */
/*
 * The strict JSON reader. Two layers: read_token() knows RFC 8259, cpl_cursor_next() adds what the model knows. Answers
 * can be large and are read once, so text without escapes is handed out in place and nothing is allocated for it.
 */
#include <locale.h>
#include <math.h>
#include <pthread.h>

#include "clock.h"
#include "json.h"
#include "model.h"
#include "plain.h"

enum { VALUE, VALUE_OR_END, KEY, KEY_OR_END, COMMA_OR_END, DONE, FAILED };

void cpl_cursor_init(cpl_cursor *cursor, cpl_str document) {
    cpl_cursor_init_shape(cursor, document, 0);
}

void cpl_cursor_init_shape(cpl_cursor *cursor, cpl_str document, uint16_t shape) {
    /* the rest of shape[] and last[] is written before it is read; clearing it would cost more than a small answer */
    memset(cursor, 0, offsetof(cpl_cursor, shape));
    memset(cursor->follows, 0, sizeof cursor->follows);
    cursor->start = cursor->at = document.p ? document.p : "";
    cursor->end = cursor->at + document.n;
    cursor->member = -1;
    cursor->shape[0] = 0;
    cursor->objects = 0;
    cursor->next_shape = shape;
    cursor->expect = VALUE;
}

void cpl_cursor_release(cpl_cursor *cursor) {
    if (cursor->scratch) cpl_wipe(cursor->scratch, cursor->scratch_size);
    cpl_free(cursor->scratch);
    cursor->scratch = NULL;
    cursor->scratch_size = 0;
}

static cpl_token fail(cpl_cursor *c, const char *why) {
    snprintf(c->message, sizeof c->message, "%s at byte %zu", why, (size_t)(c->at - c->start));
    c->offset = (size_t)(c->at - c->start);
    c->expect = FAILED;
    return c->token = CPL_TOKEN_ERROR;
}

static char skip_blanks(cpl_cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t')) c->at++;
    return c->at < c->end ? *c->at : '\0';
}

static inline char peek(cpl_cursor *c) {
    return c->at<c->end && * c->at> ' ' ? *c->at : skip_blanks(c); /* the service writes no blanks */
}

/* ---- strings ---- */

static bool grow_scratch(cpl_cursor *c, size_t size) {
    char *grown;
    if (size <= c->scratch_size) return true;
    grown = cpl_malloc(size);
    if (grown == NULL) return false;
    cpl_cursor_release(c); /* wipes: the text may have been a secret */
    c->scratch = grown;
    c->scratch_size = size;
    return true;
}

static int hex4(const char *p) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char ch = p[i];
        int digit = ch >= '0' && ch <= '9'   ? ch - '0'
                    : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
                    : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                             : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *to, unsigned code) {
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *to++ = (char)(0xE0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    } else {
        *to++ = (char)(0xF0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3F));
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    }
    return to;
}

/* c->at is behind "\u". Reads the code point, both halves of a surrogate pair; -1 when there is none. */
static int read_code_point(cpl_cursor *c) {
    int high, low;
    if (c->end - c->at < 4 || (high = hex4(c->at)) < 0) return -1;
    c->at += 4;
    if (high < 0xD800 || high > 0xDFFF) return high;
    if (high > 0xDBFF || c->end - c->at < 6 || c->at[0] != '\\' || c->at[1] != 'u') return -1;
    low = hex4(c->at + 2);
    if (low < 0xDC00 || low > 0xDFFF) return -1;
    c->at += 6;
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

/* c->at is on the backslash. NULL when the escape is none of RFC 8259's. */
static char *read_escape(cpl_cursor *c, char *to) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *name;
    int code;
    if (c->end - c->at < 2) return NULL;
    c->at++;
    if (*c->at == 'u') {
        c->at++;
        code = read_code_point(c);
        return code < 0 ? NULL : put_utf8(to, (unsigned)code);
    }
    name = *c->at ? strchr(names, *c->at) : NULL;
    if (name == NULL) return NULL;
    c->at++;
    *to++ = values[name - names];
    return to;
}

/*
 * The first escape is at c->at: makes room for the whole string (never longer than it is written) and copies what was
 * plain so far. Returns where the rest goes.
 */
static char *begin_unescaped(cpl_cursor *c, const char *begin) {
    const char *end = c->at;
    size_t plain = (size_t)(c->at - begin);
    while (end < c->end && *end != '"') end += *end == '\\' && c->end - end > 1 ? 2 : 1;
    if (!grow_scratch(c, (size_t)(end - begin) + 64)) return NULL;
    memcpy(c->scratch, begin, plain);
    return c->scratch + plain;
}

/* c->at is behind the opening quote; leaves it behind the closing one and sets c->text. */
static bool read_string(cpl_cursor *c) {
    const char *begin = c->at;
    char *to = NULL;
    bool high = false;
    for (;;) {
        const char *plain = c->at;
        c->at = cpl_skip_plain(plain, c->end, &high);
        if (to && c->at > plain) {
            memcpy(to, plain, (size_t)(c->at - plain));
            to += c->at - plain;
        }
        if (c->at == c->end) return fail(c, "unfinished string"), false;
        if (*c->at == '"') break;
        if (*c->at != '\\') return fail(c, "control character in a string"), false;
        if (to == NULL) {
            to = begin_unescaped(c, begin);
            if (to == NULL) return fail(c, "out of memory"), false;
        }
        to = read_escape(c, to);
        if (to == NULL) return fail(c, "bad escape in a string"), false;
    }
    c->text = to ? (cpl_str){c->scratch, (size_t)(to - c->scratch)} : (cpl_str){begin, (size_t)(c->at - begin)};
    if (high && !cpl_utf8_valid(c->text)) return fail(c, "text is not UTF-8"), false;
    c->at++;
    return true;
}

/* ---- numbers ---- */

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void) {
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The general case, correctly rounded whatever locale the host program has chosen. */
static bool slow_number(cpl_cursor *c, cpl_str text) {
    if (!grow_scratch(c, text.n + 1)) return false;
    memcpy(c->scratch, text.p, text.n);
    c->scratch[text.n] = '\0';
    pthread_once(&c_locale_once, make_c_locale);
    if (c_locale == (locale_t)0) return false;
    c->number = strtod_l(c->scratch, NULL, c_locale);
    return true;
}

/* Digits from c->at on; returns how many. *value takes in 19 of them; after more it means nothing. */
static size_t read_digits(cpl_cursor *c, uint64_t *value) {
    const char *begin = c->at, *p = begin;
    for (; p < c->end && *p >= '0' && *p <= '9'; p++) *value = *value * 10 + (uint64_t)(*p - '0');
    c->at = p;
    return (size_t)(p - begin);
}

static bool read_exponent(cpl_cursor *c, int *out) {
    bool negative = false;
    int value = 0;
    c->at++;
    if (c->at < c->end && (*c->at == '+' || *c->at == '-')) negative = *c->at++ == '-';
    if (c->at == c->end || *c->at < '0' || *c->at > '9') return false;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (value < 100000) value = value * 10 + (*c->at - '0');
    }
    *out = negative ? -value : value;
    return true;
}

/* Exact when mantissa and power of ten are both exact doubles (Clinger's fast path). */
static bool fast_number(cpl_cursor *c, uint64_t mantissa, int exponent, bool negative) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double value = (double)mantissa;
    if (mantissa > (1ull << 53) || exponent < -22 || exponent > 22) return false;
    value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
    c->number = negative ? -value : value;
    return true;
}

static cpl_token read_number(cpl_cursor *c) {
    const char *begin = c->at;
    bool negative = *c->at == '-', whole = true, full;
    uint64_t mantissa = 0;
    int exponent = 0;
    size_t digits, decimals = 0;
    if (negative) c->at++;
    digits = read_digits(c, &mantissa);
    if (digits == 0) return fail(c, "bad number");
    if (digits > 1 && begin[negative ? 1 : 0] == '0') return fail(c, "number with a leading zero");
    if (c->at < c->end && *c->at == '.') {
        whole = false;
        c->at++;
        decimals = read_digits(c, &mantissa);
        if (decimals == 0) return fail(c, "bad number");
    }
    if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        whole = false;
        if (!read_exponent(c, &exponent)) return fail(c, "bad number");
    }
    c->text = (cpl_str){begin, (size_t)(c->at - begin)};
    full = digits + decimals > 19;
    if (full || !fast_number(c, mantissa, exponent - (int)decimals, negative)) {
        if (!slow_number(c, c->text)) return fail(c, "out of memory");
        if (isinf(c->number)) return fail(c, "number too large");
    }
    if (!whole) return CPL_TOKEN_NUMBER;
    if (!full && mantissa <= INT64_MAX) {
        c->integer = negative ? -(int64_t)mantissa : (int64_t)mantissa;
        return CPL_TOKEN_INTEGER;
    }
    return cpl_str_integer(c->text, &c->integer) ? CPL_TOKEN_INTEGER : CPL_TOKEN_NUMBER;
}

/* ---- tokens ---- */

static bool accept_word(cpl_cursor *c, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0) return false;
    c->at += n;
    return true;
}

static bool in_object(const cpl_cursor *c) {
    return c->objects & 1;
}

static void after_value(cpl_cursor *c) {
    c->expect = c->depth == 0 ? DONE : COMMA_OR_END;
}

static cpl_token open_container(cpl_cursor *c, bool object) {
    uint16_t shape = c->next_shape;
    unsigned kind = cpl_model_shapes[shape].kind;
    bool fits = object ? kind == CPL_SHAPE_STRUCTURE || kind == CPL_SHAPE_MAP : kind == CPL_SHAPE_LIST;
    if (c->depth == CPL_JSON_DEPTH_MAX) return fail(c, "more than 64 levels");
    c->at++;
    c->objects = c->objects << 1 | object;
    c->depth++;
    c->shape[c->depth] = fits ? shape : 0; /* not what the model says: handed out untyped rather than lost */
    c->last[c->depth] = (uint16_t)~shape;
    c->expect = object ? KEY_OR_END : VALUE_OR_END;
    return object ? CPL_TOKEN_OBJECT : CPL_TOKEN_ARRAY;
}

static cpl_token close_container(cpl_cursor *c) {
    bool object = in_object(c);
    c->at++;
    c->objects >>= 1;
    c->depth--;
    after_value(c);
    return object ? CPL_TOKEN_OBJECT_END : CPL_TOKEN_ARRAY_END;
}

static cpl_token read_value(cpl_cursor *c, char next) {
    cpl_token token;
    switch (next) {
    case '{': return open_container(c, true);
    case '[': return open_container(c, false);
    case '"':
        c->at++;
        if (!read_string(c)) return CPL_TOKEN_ERROR;
        token = CPL_TOKEN_STRING;
        break;
    case 't': token = accept_word(c, "true") ? CPL_TOKEN_TRUE : CPL_TOKEN_ERROR; break;
    case 'f': token = accept_word(c, "false") ? CPL_TOKEN_FALSE : CPL_TOKEN_ERROR; break;
    case 'n': token = accept_word(c, "null") ? CPL_TOKEN_NULL : CPL_TOKEN_ERROR; break;
    default:
        if (c->at == c->end) return fail(c, "unfinished document");
        token = *c->at == '-' || (*c->at >= '0' && *c->at <= '9') ? read_number(c) : CPL_TOKEN_ERROR;
    }
    if (token == CPL_TOKEN_ERROR) return c->expect == FAILED ? token : fail(c, "not a value");
    after_value(c);
    return token;
}

/*
 * Objects of one shape have their members in the same order, mostly: where we keep the member (its index + 1) that
 * followed the one before it, or that came first. Others may share the place; a guess is all it is.
 */
static uint16_t *follower(cpl_cursor *c) {
    return &c->follows[c->last[c->depth] % CPL_COUNT(c->follows)];
}

/* c->at is behind the opening quote. True when the member that is expected stands there: then it was read. */
static bool read_expected(cpl_cursor *c) {
    const cpl_shape *shape = &cpl_model_shapes[c->shape[c->depth]];
    int i = *follower(c) - 1;
    const char *name;
    size_t n;
    if (shape->kind != CPL_SHAPE_STRUCTURE || i < shape->first || i >= shape->first + shape->count) return false;
    name = cpl_model_names[cpl_model_members[i].name];
    n = strlen(name);
    if ((size_t)(c->end - c->at) <= n || memcmp(c->at, name, n) != 0 || c->at[n] != '"') return false;
    c->text = (cpl_str){c->at, n};
    c->at += n + 1;
    c->found = (uint16_t)(i + 1);
    return true;
}

static cpl_token read_key(cpl_cursor *c, char next) {
    if (next != '"') return fail(c, "expected a key");
    c->at++;
    c->found = 0;
    if (!read_expected(c) && !read_string(c)) return CPL_TOKEN_ERROR;
    if (peek(c) != ':') return fail(c, "expected ':'");
    c->at++;
    c->expect = VALUE;
    return CPL_TOKEN_KEY;
}

static cpl_token read_token(cpl_cursor *c) {
    char next = peek(c);
    switch (c->expect) {
    case VALUE_OR_END: return next == ']' ? close_container(c) : read_value(c, next);
    case VALUE: return read_value(c, next);
    case KEY_OR_END: return next == '}' ? close_container(c) : read_key(c, next);
    case KEY: return read_key(c, next);
    case COMMA_OR_END:
        if (next == (in_object(c) ? '}' : ']')) return close_container(c);
        if (next != ',') return fail(c, c->at == c->end ? "unfinished document" : "expected ',' or the end");
        c->at++;
        next = peek(c);
        return in_object(c) ? read_key(c, next) : read_value(c, next);
    case DONE: return c->at == c->end ? CPL_TOKEN_END : fail(c, "text after the document");
    default: return CPL_TOKEN_ERROR;
    }
}

/* ---- what the model knows ---- */

/* Reads past the value that comes next. */
static bool skip_value(cpl_cursor *c) {
    int depth = c->depth;
    do {
        if (read_token(c) == CPL_TOKEN_ERROR) return false;
    } while (c->depth > depth);
    return true;
}

/* A key was read. Sets the shape of its value; false when the member is to be passed over. */
static bool type_key(cpl_cursor *c) {
    uint16_t container = c->shape[c->depth];
    const cpl_member *member;
    c->member = -1;
    c->next_shape = 0;
    if (container == 0) return true;
    if (peek(c) == 'n') return false;
    if (cpl_model_shapes[container].kind == CPL_SHAPE_MAP) {
        c->next_shape = cpl_model_shapes[container].value;
        return true;
    }
    if (c->found == 0) {
        member = cpl_model_member(container, c->text, NULL);
        if (member == NULL) return false;
        c->found = *follower(c) = (uint16_t)(member - cpl_model_members + 1);
    }
    member = &cpl_model_members[c->found - 1];
    c->last[c->depth] = c->found;
    c->member = member->name;
    c->next_shape = member->shape;
    return true;
}

static bool is_sensitive(const cpl_cursor *c, uint16_t container) {
    return ((cpl_model_shapes[c->next_shape].flags | cpl_model_shapes[container].flags) & CPL_SHAPE_SENSITIVE) != 0;
}

bool cpl_json_time(cpl_str text, double *seconds) {
    cpl_cursor number;
    char midnight[32];
    bool found;
    if (cpl_time_parse(text, seconds)) return true;
    if (text.n == sizeof "2015-08-30" - 1) {
        snprintf(midnight, sizeof midnight, "%.*sT00:00:00Z", (int)text.n, text.p);
        if (cpl_time_parse(cpl_str_of(midnight), seconds)) return true;
    }
    cpl_cursor_init(&number, text);
    found = cpl_cursor_next(&number) == CPL_TOKEN_INTEGER || number.token == CPL_TOKEN_NUMBER;
    *seconds = number.number;
    found = found && cpl_cursor_next(&number) == CPL_TOKEN_END;
    cpl_cursor_release(&number);
    return found;
}

static bool is_time(cpl_cursor *c) {
    if (c->token == CPL_TOKEN_INTEGER || c->token == CPL_TOKEN_NUMBER) return true;
    return c->token == CPL_TOKEN_STRING && cpl_json_time(c->text, &c->number);
}

cpl_token cpl_cursor_next(cpl_cursor *c) {
    uint16_t container;
    for (;;) {
        container = c->shape[c->depth];
        if (c->depth > 0 && !in_object(c)) c->next_shape = cpl_model_shapes[container].value;
        c->token = read_token(c);
        if (c->token != CPL_TOKEN_KEY || type_key(c)) break;
        if (!skip_value(c)) return c->token = CPL_TOKEN_ERROR;
    }
    c->offset = (size_t)(c->at - c->start);
    c->sensitive = is_sensitive(c, container);
    if (cpl_model_shapes[c->next_shape].kind == CPL_SHAPE_TIMESTAMP && is_time(c)) c->token = CPL_TOKEN_TIMESTAMP;
    return c->token;
}

cpl_token cpl_cursor_skip(cpl_cursor *c) {
    int depth = c->depth;
    switch (c->token) {
    case CPL_TOKEN_KEY:
        if (skip_value(c)) break;
        return c->token = CPL_TOKEN_ERROR;
    case CPL_TOKEN_OBJECT:
    case CPL_TOKEN_ARRAY:
        while (c->depth >= depth) {
            c->token = read_token(c);
            if (c->token == CPL_TOKEN_ERROR) return c->token;
        }
        break;
    default: break;
    }
    c->offset = (size_t)(c->at - c->start);
    return c->token;
}
