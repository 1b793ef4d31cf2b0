/* SPDX-License-Identifier: MIT */
/*
 * The service's operations and shapes as tables (generated from model/codepipeline.api into model_data.c), look-ups,
 * and the check of a document against a shape. Knows nothing of clients or servers: both use it.
 */
#ifndef CPL_MODEL_H
#define CPL_MODEL_H

#include "json.h"

typedef enum cpl_shape_kind {
    CPL_SHAPE_NONE, /* shape 0: anything */
    CPL_SHAPE_STRUCTURE,
    CPL_SHAPE_LIST,
    CPL_SHAPE_MAP,
    CPL_SHAPE_STRING,
    CPL_SHAPE_INTEGER,
    CPL_SHAPE_BOOLEAN,
    CPL_SHAPE_TIMESTAMP
} cpl_shape_kind;

#define CPL_SHAPE_SENSITIVE 1u
#define CPL_SHAPE_ERROR 2u /* a modelled exception */
#define CPL_SHAPE_HAS_MIN 4u
#define CPL_SHAPE_HAS_MAX 8u

typedef struct cpl_shape {
    const char *name;
    uint8_t kind;
    uint8_t flags;
    uint8_t pattern; /* index of cpl_model_patterns; 0 is none */
    uint16_t first;  /* STRUCTURE: first row of cpl_model_members; STRING with enum: first of cpl_model_enums */
    uint16_t count;  /* rows from first; 0 for a string without enum */
    uint16_t key;    /* MAP: shape of the keys */
    uint16_t value;  /* MAP: shape of the values; LIST: shape of the items */
    int32_t min;     /* STRING: characters, LIST and MAP: entries, INTEGER: value */
    int32_t max;
} cpl_shape;

#define CPL_MEMBER_REQUIRED 1u
#define CPL_MEMBER_TOKEN 2u /* idempotency token: filled in by the client when absent */

typedef struct cpl_member {
    uint16_t name; /* index of cpl_model_names */
    uint16_t shape;
    uint8_t flags;
} cpl_member; /* rows of one structure are sorted by name */

typedef struct cpl_operation {
    cpl_operation_info info;
    uint16_t input; /* shape; 0 when the operation has none */
    uint16_t output;
    uint16_t errors; /* first row of cpl_model_operation_errors: shapes */
    uint16_t error_count;
} cpl_operation;

/* model_data.c */
extern const cpl_shape cpl_model_shapes[];
extern const size_t cpl_model_shape_count;
extern const cpl_member cpl_model_members[];
extern const char cpl_model_member_docs[];  /* a line for each member, ended by its NUL; may be empty */
extern const char *const cpl_model_names[]; /* sorted, distinct */
extern const size_t cpl_model_names_count;
extern const char *const cpl_model_enums[];
extern const char *const cpl_model_patterns[];        /* POSIX extended, anchored; [0] is NULL */
extern const char *const cpl_model_pattern_sources[]; /* as the service words them; [0] is NULL */
extern const size_t cpl_model_patterns_count;
extern const cpl_operation cpl_model_operations[]; /* sorted by info.name */
extern const size_t cpl_model_operations_count;
extern const uint16_t cpl_model_operation_errors[];
extern const uint16_t cpl_model_errors[]; /* shapes of all errors, sorted by name */
extern const char cpl_model_error_docs[]; /* likewise, in the same order */
extern const size_t cpl_model_errors_count;
extern const char cpl_model_target_prefix[]; /* "CodePipeline_20150709" */
extern const char cpl_model_api_version[];

/* NULL when there is none. name: "ListPipelines" or "list_pipelines". */
const cpl_operation *cpl_model_operation(cpl_str name);
/* The same; when there is none, err says so, and what may have been meant. */
const cpl_operation *cpl_model_require_operation(cpl_str name, cpl_error *err);
/* 0 when there is none. */
uint16_t cpl_model_shape_named(const char *name);
/* The row of member name in structure shape, or NULL. *hint (may be NULL): the row after the last hit, tried first. */
const cpl_member *cpl_model_member(uint16_t shape, cpl_str name, uint16_t *hint);
/* The shape of the error with that code; 0 when the model has none. */
uint16_t cpl_model_error_shape(cpl_str code);
/* The operation's errors include code. */
bool cpl_model_operation_has_error(const cpl_operation *operation, cpl_str code);

/* ---- checking ---- */

typedef enum cpl_violation_kind {
    CPL_VIOLATION_MISSING, /* a required member is absent */
    CPL_VIOLATION_UNKNOWN, /* the structure has no such member */
    CPL_VIOLATION_TYPE,    /* shape says what it should be, got what it is */
    CPL_VIOLATION_NULL,    /* null where a value is needed */
    CPL_VIOLATION_SHORT,   /* length below min */
    CPL_VIOLATION_LONG,    /* length above max */
    CPL_VIOLATION_SMALL,   /* value below min */
    CPL_VIOLATION_LARGE,   /* value above max */
    CPL_VIOLATION_PATTERN,
    CPL_VIOLATION_ENUM
} cpl_violation_kind;

typedef struct cpl_violation {
    cpl_violation_kind kind;
    uint16_t shape;  /* of the value; of the structure for MISSING and UNKNOWN */
    cpl_token got;   /* the token found; of no use for MISSING */
    char path[256];  /* "pipeline.stages[0].name"; includes the member's name for MISSING and UNKNOWN */
    char value[128]; /* the value as text, cut; empty when there is none or it is sensitive */
    bool key;        /* the key of a map entry is at fault, not its value */
} cpl_violation;

/* Room for violations: the caller provides rows and max, the check counts. */
typedef struct cpl_violations {
    cpl_violation *rows;
    size_t max;
    size_t count; /* the first max of them, in the order of the text */
} cpl_violations;

#define CPL_CHECK_EMPTY_TABLES 1u /* an empty object where a list belongs is made an empty list, in place */
#define CPL_CHECK_TIME_TEXT 2u    /* text that is a time where a timestamp belongs is made a number, in place */

#define CPL_CHECK_FORM 4u /* what SDKs leave to the service is left to it: greatest, patterns, enumerations */

/*
 * Checks a JSON text against shape. Text that is not JSON, or has a member twice, is CPL_INVALID with err; otherwise
 * CPL_OK, whatever was found.
 */
cpl_status cpl_model_check(char *text, size_t n, uint16_t shape, unsigned flags, cpl_violations *found, cpl_error *err);
/* Our wording, without the path: "longer than 9", "missing", "not one of Source, Build, ...". */
void cpl_violation_text(const cpl_violation *violation, cpl_buf *out);
/* cpl_model_check() as an error: CPL_INVALID with err->path and a message "PATH: TEXT" ("; " between several). */
cpl_status cpl_model_validate(char *text, size_t n, uint16_t shape, unsigned flags, cpl_error *err);

#endif
