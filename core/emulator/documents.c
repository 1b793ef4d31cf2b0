/* SPDX-License-Identifier: MIT */
#include "engine.h"

bool emu_is(const cpl_json *object, const char *key, const char *text) {
    return strcmp(EMU_GET(object, key), text) == 0;
}

cpl_json *emu_find(const cpl_json *array, const char *key, const char *text) {
    for (cpl_json *i = cpl_json_first(array); i; i = cpl_json_next(i)) {
        if (emu_is(i, key, text)) return i;
    }
    return NULL;
}

cpl_json *emu_object_at(cpl_json *object, const char *key) {
    if (cpl_json_get(object, key) == NULL && !cpl_json_set(object, key, cpl_json_new_object())) return NULL;
    return cpl_json_get(object, key);
}

cpl_json *emu_array_at(cpl_json *object, const char *key) {
    if (cpl_json_get(object, key) == NULL && !cpl_json_set(object, key, cpl_json_new_array())) return NULL;
    return cpl_json_get(object, key);
}

bool emu_copy(cpl_json *to, const char *key, const cpl_json *from, const char *from_key) {
    const cpl_json *value = cpl_json_get(from, from_key);
    return value == NULL || cpl_json_set(to, key, cpl_json_clone(value));
}

bool emu_random_text(emu *e, char *out, size_t n, const char *alphabet) {
    size_t letters = strlen(alphabet);
    unsigned char bytes[256];
    assert(n <= sizeof bytes);
    if (!emu_random(e, bytes, n)) return false;
    for (size_t i = 0; i < n; i++) out[i] = alphabet[bytes[i] % letters];
    out[n] = '\0';
    return true;
}

void emu_owner_arn(const emu *e, cpl_buf *out) {
    cpl_buf_addf(out, "arn:aws:iam::%s:root", emu_account_id(e));
}
