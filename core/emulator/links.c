/* SPDX-License-Identifier: MIT */
#include "engine.h"

/* The value of a placeholder; the absent view when there is none, or it is secret. */
static cpl_str value_of(const emu_kind *kind, const cpl_json *configuration, const char *external_id, cpl_str name) {
    char key[64];
    if (cpl_str_is(name, "ExternalExecutionId")) return cpl_str_of(external_id);
    if (!cpl_str_starts(name, "Config:")) return (cpl_str){0};
    name = cpl_str_sub(name, 7, name.n);
    if (cpl_json_get_bool(emu_kind_property(kind, name), "secret", false)) return (cpl_str){0};
    CPL_COPY(key, name);
    return cpl_json_get_str(configuration, key);
}

bool emu_link(const emu_engine *engine, const cpl_json *input, const char *template, const char *external_id,
              cpl_buf *out) {
    const cpl_json *configuration = cpl_json_get(input, "resolvedConfiguration");
    emu_kind kind;
    cpl_str rest;
    if (!emu_kind_find(engine, cpl_json_get(input, "actionTypeId"), &kind)) return false;
    rest = cpl_json_get_str(cpl_json_get(kind.type, "settings"), template);
    if (rest.p == NULL) return false;
    if (configuration == NULL) configuration = cpl_json_get(input, "configuration");
    while (rest.n > 0) {
        size_t open = cpl_str_find(rest, '{'), close = cpl_str_find(rest, '}');
        cpl_str value;
        cpl_buf_addv(out, cpl_str_sub(rest, 0, open));
        if (open == rest.n) break;
        if (close < open || close == rest.n) return false;
        value = value_of(&kind, configuration, external_id, cpl_str_sub(rest, open + 1, close));
        if (value.p == NULL) return false;
        cpl_buf_addv(out, value);
        rest = cpl_str_sub(rest, close + 1, rest.n);
    }
    return cpl_buf_ok(out);
}

bool emu_link_set(const emu_engine *engine, const cpl_json *record, const char *template, cpl_json *to,
                  const char *key) {
    const cpl_json *input = cpl_json_get(record, "input");
    cpl_buf url;
    bool good = true;
    cpl_buf_init(&url, 1 << 20);
    if (emu_link(engine, input, template, cpl_json_get_cstr(record, "externalExecutionId", NULL), &url) &&
        cpl_utf8_length(cpl_buf_str(&url)) <= 2048) {
        good = cpl_json_set_str(to, key, cpl_buf_str(&url));
    }
    cpl_buf_release(&url);
    return good;
}
