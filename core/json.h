/* SPDX-License-Identifier: MIT */
/*
 * JSON, strictly (RFC 8259, valid UTF-8, at most CPL_JSON_DEPTH_MAX levels). Three things:
 * - the cursor and the writer of codepipeline.h (cursor.c, writer in json.c), which need no tree;
 * - documents: trees for what is kept and edited (the emulator's state, events). json.c is the only file that includes
 *   cJSON.h; it builds trees from our own strict reader and never calls cJSON's parser or printer (docs/adr/0004).
 *
 * A document that ran out of memory while it was built is not half there: setters return false and free what they were
 * given, constructors return NULL, and setters accept NULL values as that failure.
 */
#ifndef CPL_JSON_H
#define CPL_JSON_H

#include "buf.h"

/* ---- text ---- */

/* Appends text as a JSON string with quotes; text must be valid UTF-8. */
void cpl_json_quote(cpl_buf *buf, cpl_str text);
/* Appends a number: integers without fraction up to 2^53, else the shortest form that reads back the same. */
void cpl_json_add_number(cpl_buf *buf, double number);

/*
 * A time as people write it where seconds since 1970 belong: what cpl_time_parse() reads, a date alone, or a number as
 * text. The AWS SDKs take them all, in parameters and in answers.
 */
bool cpl_json_time(cpl_str text, double *seconds);

/* A cursor typed by a shape of the model (see model.h); shape 0 is untyped. */
void cpl_cursor_init_shape(cpl_cursor *cursor, cpl_str document, uint16_t shape);

/* ---- documents ---- */

typedef struct cJSON cpl_json;

typedef enum cpl_json_kind {
    CPL_JSON_NULL,
    CPL_JSON_BOOL,
    CPL_JSON_NUMBER,
    CPL_JSON_STRING,
    CPL_JSON_ARRAY,
    CPL_JSON_OBJECT
} cpl_json_kind;

/* CPL_INVALID when it is not JSON (with the offset), repeats a key, or has a string with U+0000. */
cpl_status cpl_json_parse(cpl_str text, cpl_json **out, cpl_error *err);
void cpl_json_free(cpl_json *json); /* NULL is fine; strings are wiped */
void cpl_json_write(const cpl_json *json, cpl_buf *buf);

cpl_json_kind cpl_json_kind_of(const cpl_json *json); /* NULL is CPL_JSON_NULL */
/* Members by exact name; all of these take NULL and the wrong kind, and answer "absent". */
cpl_json *cpl_json_get(const cpl_json *object, const char *key);
cpl_json *cpl_json_get_path(const cpl_json *object, const char *dotted); /* "a.b.c", objects only */
cpl_json *cpl_json_at(const cpl_json *array, size_t index);              /* walks from the front */
size_t cpl_json_count(const cpl_json *array_or_object);
/* Iterates an array or object: for (cpl_json *i = cpl_json_first(a); i; i = cpl_json_next(i)). */
cpl_json *cpl_json_first(const cpl_json *array_or_object);
cpl_json *cpl_json_next(const cpl_json *item);
cpl_str cpl_json_key(const cpl_json *item); /* the name under which an object holds it */

/* Values; the fallback when absent or of another kind. */
const char *cpl_json_cstr(const cpl_json *json, const char *fallback);
cpl_str cpl_json_str(const cpl_json *json); /* absent view when it is not a string */
double cpl_json_number(const cpl_json *json, double fallback);
bool cpl_json_bool(const cpl_json *json, bool fallback);
/* The same for a member. */
const char *cpl_json_get_cstr(const cpl_json *object, const char *key, const char *fallback);
cpl_str cpl_json_get_str(const cpl_json *object, const char *key);
double cpl_json_get_number(const cpl_json *object, const char *key, double fallback);
bool cpl_json_get_bool(const cpl_json *object, const char *key, bool fallback);

cpl_json *cpl_json_new_object(void);
cpl_json *cpl_json_new_array(void);
cpl_json *cpl_json_new_string(cpl_str text);
cpl_json *cpl_json_new_number(double number);
cpl_json *cpl_json_new_bool(bool value);
cpl_json *cpl_json_new_null(void);
cpl_json *cpl_json_clone(const cpl_json *json); /* deep; NULL gives NULL */

/* Replace or add a member; object takes value over, also when it fails. */
bool cpl_json_set(cpl_json *object, const char *key, cpl_json *value);
bool cpl_json_set_str(cpl_json *object, const char *key, cpl_str text);
bool cpl_json_set_cstr(cpl_json *object, const char *key, const char *text); /* NULL text: removes the member */
bool cpl_json_set_number(cpl_json *object, const char *key, double number);
bool cpl_json_set_bool(cpl_json *object, const char *key, bool value);
bool cpl_json_push(cpl_json *array, cpl_json *value);
void cpl_json_remove(cpl_json *object, const char *key);
/* Takes item out of its array or object; the caller owns it. */
cpl_json *cpl_json_detach(cpl_json *parent, cpl_json *item);

#endif
