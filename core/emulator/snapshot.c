/* SPDX-License-Identifier: MIT */
#include "snapshot.h"

#include <math.h>

#include "../digest.h"
#include "../err.h"

/* ---- out ---- */

static void add_member(cpl_buf *out, const char *name, cpl_str text) {
    cpl_buf_addf(out, ",\"%s\":", name);
    cpl_json_quote(out, text);
}

static void write_documents(emu_store *store, emu_table table, cpl_buf *out) {
    const char *key = "";
    const cpl_json *document;
    for (size_t i = 0; (document = emu_store_at(store, table, i, &key)) != NULL; i++) {
        cpl_buf_adds(out, i > 0 ? ",{\"key\":" : "{\"key\":");
        cpl_json_quote(out, cpl_str_of(key));
        cpl_buf_adds(out, ",\"document\":");
        cpl_json_write(document, out);
        cpl_buf_addc(out, '}');
    }
}

static void write_blobs(emu_store *store, cpl_buf *out) {
    const char *key = "";
    cpl_str bytes;
    for (size_t i = 0; (bytes = emu_blob_at(store, i, &key)).p != NULL; i++) {
        cpl_buf_adds(out, i > 0 ? ",{\"key\":" : "{\"key\":");
        cpl_json_quote(out, cpl_str_of(key));
        cpl_buf_adds(out, ",\"base64\":\"");
        cpl_base64(out, bytes.p, bytes.n);
        cpl_buf_adds(out, "\"}");
    }
}

static bool is_of_objects(size_t table) {
    return table == EMU_OBJECT || table == EMU_VERSION || table == EMU_UPLOAD || table == EMU_TABLE_COUNT;
}

void emu_snapshot_write(emu *e, bool objects, cpl_buf *out) {
    cpl_buf_addf(out, "{\"format\":\"codepipeline-emulator\",\"version\":%d", EMU_SNAPSHOT_VERSION);
    add_member(out, "region", cpl_str_of(emu_region(e)));
    add_member(out, "account", cpl_str_of(emu_account_id(e)));
    cpl_buf_adds(out, ",\"clock\":{\"now\":");
    cpl_json_add_number(out, emu_now_s(e));
    cpl_buf_addf(out, ",\"frozen\":%s}", emu_clock_frozen(e) ? "true" : "false");
    for (size_t i = 0; i <= EMU_TABLE_COUNT; i++) {
        if (!objects && is_of_objects(i)) continue;
        cpl_buf_addf(out, ",\"%s\":[", emu_snapshot_list(i));
        if (i < EMU_TABLE_COUNT)
            write_documents(emu_store_of(e), (emu_table)i, out);
        else
            write_blobs(emu_store_of(e), out);
        cpl_buf_addc(out, ']');
    }
    cpl_buf_addc(out, '}');
}

/* ---- in ---- */

static cpl_status check_identity(const emu *e, const cpl_json *state, cpl_error *err) {
    const char *region = cpl_json_get_cstr(state, "region", ""), *account = cpl_json_get_cstr(state, "account", "");
    if (strcmp(region, emu_region(e)) != 0)
        return cpl_fail_at(err, CPL_INVALID, "region", "region: \"%.64s\", and the emulator plays \"%s\"", region,
                           emu_region(e));
    if (strcmp(account, emu_account_id(e)) != 0)
        return cpl_fail_at(err, CPL_INVALID, "account", "account: \"%.64s\", and the emulator plays \"%s\"", account,
                           emu_account_id(e));
    return CPL_OK;
}

/* The documents move, they are not copied. */
static cpl_status take_documents(emu_store *store, emu_table table, const cpl_json *list, cpl_error *err) {
    for (cpl_json *i = cpl_json_first(list); i; i = cpl_json_next(i)) {
        cpl_json *document = cpl_json_detach(i, cpl_json_get(i, "document"));
        if (!emu_store_put(store, table, cpl_json_get_cstr(i, "key", ""), document)) return cpl_fail_nomem(err);
    }
    return CPL_OK;
}

static cpl_status take_blob(emu_store *store, const cpl_json *entry, int position, cpl_error *err) {
    cpl_str text = cpl_json_get_str(entry, "base64");
    char path[48];
    cpl_buf bytes;
    cpl_status status;
    cpl_buf_init(&bytes, text.n + 1);
    snprintf(path, sizeof path, "blobs[%d].base64", position);
    if (cpl_base64_decode(&bytes, text)) {
        status = cpl_buf_status(&bytes, "an object", err);
    } else {
        status = cpl_fail_at(err, CPL_INVALID, path, "%s: not base64", path);
    }
    if (status == CPL_OK && !emu_blob_put(store, cpl_json_get_cstr(entry, "key", ""), cpl_buf_str(&bytes)))
        status = cpl_fail_nomem(err);
    cpl_buf_release(&bytes);
    return status;
}

static cpl_status take_blobs(emu_store *store, const cpl_json *list, cpl_error *err) {
    cpl_status status = CPL_OK;
    int n = 0;
    for (const cpl_json *i = cpl_json_first(list); i && status == CPL_OK; i = cpl_json_next(i)) {
        status = take_blob(store, i, n++, err);
    }
    return status;
}

static cpl_status take_lists(emu_store *store, const cpl_json *state, cpl_error *err) {
    cpl_status status = take_blobs(store, cpl_json_get(state, emu_snapshot_list(EMU_TABLE_COUNT)), err);
    for (size_t i = 0; i < EMU_TABLE_COUNT && status == CPL_OK; i++) {
        status = take_documents(store, (emu_table)i, cpl_json_get(state, emu_snapshot_list(i)), err);
    }
    return status;
}

cpl_status emu_snapshot_read(emu *e, cpl_json *state, cpl_error *err) {
    const cpl_json *clock = cpl_json_get(state, "clock");
    const int64_t now_ms = emu_now_ms(e);
    const bool frozen = emu_clock_frozen(e);
    emu_store *fresh = NULL;
    cpl_status status = emu_snapshot_check(state, err);
    if (status == CPL_OK) status = check_identity(e, state, err);
    if (status == CPL_OK) status = emu_store_open(&fresh, "", err);
    if (status) return status;
    status = take_lists(fresh, state, err);
    if (status) {
        emu_store_close(fresh);
        return status;
    }
    emu_clock_set(e, llround(cpl_json_get_number(clock, "now", 0) * 1000), cpl_json_get_bool(clock, "frozen", false));
    status = emu_adopt(e, fresh, err);
    if (status) emu_clock_set(e, now_ms, frozen);
    return status;
}
