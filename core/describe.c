/* SPDX-License-Identifier: MIT */
/* An operation told by the tables of the model: for help texts, forms and skeletons, which then need no copy of it. */
#include "model.h"

static void write_text(cpl_writer *out, const char *key, const char *text) {
    if (text == NULL) return;
    cpl_write_key(out, cpl_str_of(key));
    cpl_write_string(out, cpl_str_of(text));
}

static void write_number(cpl_writer *out, const char *key, bool there, int32_t number) {
    if (!there) return;
    cpl_write_key(out, cpl_str_of(key));
    cpl_write_integer(out, number);
}

static void write_true(cpl_writer *out, const char *key, bool value) {
    if (!value) return;
    cpl_write_key(out, cpl_str_of(key));
    cpl_write_bool(out, true);
}

/* The i-th of texts that stand behind one another. */
static const char *nth(const char *texts, size_t i) {
    while (i-- > 0) texts += strlen(texts) + 1;
    return texts[0] ? texts : NULL;
}

static const char *const type_names[] = {
    [CPL_SHAPE_STRUCTURE] = "structure", [CPL_SHAPE_LIST] = "list",       [CPL_SHAPE_MAP] = "map",
    [CPL_SHAPE_STRING] = "string",       [CPL_SHAPE_INTEGER] = "integer", [CPL_SHAPE_BOOLEAN] = "boolean",
    [CPL_SHAPE_TIMESTAMP] = "timestamp",
};

static void write_shape(cpl_writer *out, uint16_t shape);

static void write_below(cpl_writer *out, const char *key, uint16_t shape) {
    cpl_write_key(out, cpl_str_of(key));
    cpl_write_object(out);
    write_shape(out, shape);
    cpl_write_end(out);
}

/* The members of a structure; no structure of the model has itself below it, or this would not end. */
static void write_members(cpl_writer *out, const char *key, uint16_t shape) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    cpl_write_key(out, cpl_str_of(key));
    cpl_write_array(out);
    for (size_t i = s->first; i < (size_t)s->first + s->count; i++) {
        const cpl_member *member = &cpl_model_members[i];
        cpl_write_object(out);
        write_text(out, "name", cpl_model_names[member->name]);
        cpl_write_key(out, CPL_LIT("required"));
        cpl_write_bool(out, member->flags & CPL_MEMBER_REQUIRED);
        write_text(out, "doc", nth(cpl_model_member_docs, i));
        write_shape(out, member->shape);
        cpl_write_end(out);
    }
    cpl_write_end(out);
}

static void write_enum(cpl_writer *out, const cpl_shape *s) {
    cpl_write_key(out, CPL_LIT("enum"));
    cpl_write_array(out);
    for (size_t i = 0; i < s->count; i++) cpl_write_string(out, cpl_str_of(cpl_model_enums[s->first + i]));
    cpl_write_end(out);
}

/* Into the object that is open. */
static void write_shape(cpl_writer *out, uint16_t shape) {
    const cpl_shape *s = &cpl_model_shapes[shape];
    write_text(out, "shape", s->name);
    write_text(out, "type", type_names[s->kind]);
    write_number(out, "min", s->flags & CPL_SHAPE_HAS_MIN, s->min);
    write_number(out, "max", s->flags & CPL_SHAPE_HAS_MAX, s->max);
    write_text(out, "pattern", cpl_model_pattern_sources[s->pattern]);
    write_true(out, "sensitive", s->flags & CPL_SHAPE_SENSITIVE);
    switch (s->kind) {
    case CPL_SHAPE_STRUCTURE: write_members(out, "members", shape); break;
    case CPL_SHAPE_LIST: write_below(out, "items", s->value); break;
    case CPL_SHAPE_MAP:
        write_below(out, "keys", s->key);
        write_below(out, "values", s->value);
        break;
    case CPL_SHAPE_STRING:
        if (s->count > 0) write_enum(out, s);
        break;
    default: break;
    }
}

static void write_errors(cpl_writer *out, const cpl_operation *operation) {
    cpl_write_key(out, CPL_LIT("errors"));
    cpl_write_array(out);
    for (size_t i = 0; i < cpl_model_errors_count; i++) {
        const char *code = cpl_model_error_name(i);
        if (!cpl_model_operation_has_error(operation, cpl_str_of(code))) continue;
        cpl_write_object(out);
        write_text(out, "code", code);
        write_text(out, "doc", nth(cpl_model_error_docs, i));
        cpl_write_end(out);
    }
    cpl_write_end(out);
}

static void write_pages(cpl_writer *out, const cpl_operation_info *info) {
    if (info->input_token == NULL) return;
    cpl_write_key(out, CPL_LIT("pages"));
    cpl_write_object(out);
    write_text(out, "input_token", info->input_token);
    write_text(out, "output_token", info->output_token);
    write_text(out, "result_key", info->result_key);
    write_text(out, "limit_key", info->limit_key);
    cpl_write_end(out);
}

cpl_status cpl_describe(cpl_str name, cpl_writer *out, cpl_error *err) {
    const cpl_operation *operation = cpl_model_require_operation(name, err);
    if (operation == NULL) return CPL_INVALID;
    cpl_write_object(out);
    write_text(out, "name", operation->info.name);
    write_text(out, "method", operation->info.method);
    write_text(out, "doc", operation->info.doc);
    write_members(out, "parameters", operation->input);
    write_members(out, "answer", operation->output);
    write_errors(out, operation);
    write_pages(out, &operation->info);
    cpl_write_end(out);
    return CPL_OK;
}
