/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>

#include "../digest.h"
#include "webhook.h"

/* What a webhook asks of an event: who sent it, and what stands in it. */

/* ---- addresses ---- */

typedef struct address {
    unsigned char bytes[16];
    size_t n; /* 4 or 16 */
} address;

static bool parse_address(cpl_str text, address *out) {
    char copy[64];
    if (cpl_str_starts(text, "::ffff:") && cpl_str_find(text, '.') < text.n) text = cpl_str_sub(text, 7, text.n);
    if (text.n == 0 || text.n >= sizeof copy) return false;
    CPL_COPY(copy, text);
    out->n = cpl_str_find(text, ':') < text.n ? 16 : 4;
    return inet_pton(out->n == 16 ? AF_INET6 : AF_INET, copy, out->bytes) == 1;
}

static bool parse_range(cpl_str range, address *out, int64_t *bits) {
    size_t slash = cpl_str_find(range, '/');
    if (!parse_address(cpl_str_sub(range, 0, slash), out)) return false;
    *bits = (int64_t)out->n * 8;
    if (slash == range.n) return true;
    return cpl_str_integer(cpl_str_sub(range, slash + 1, range.n), bits) && *bits >= 0 && *bits <= (int64_t)out->n * 8;
}

bool emu_ip_range_valid(const char *range) {
    address base;
    int64_t bits;
    return parse_range(cpl_str_of(range), &base, &bits);
}

bool emu_ip_in_range(const char *range, cpl_str text) {
    address base, at;
    int64_t bits;
    if (!parse_range(cpl_str_of(range), &base, &bits) || !parse_address(text, &at) || at.n != base.n) return false;
    for (size_t i = 0; i < at.n && bits > 0; i++, bits -= 8) {
        unsigned mask = bits >= 8 ? 0xff : 0xff00u >> bits;
        if ((at.bytes[i] & mask & 0xff) != (base.bytes[i] & mask & 0xff)) return false;
    }
    return true;
}

/* ---- signatures ---- */

#define BLOCK 64

/* GitHub's older header; RFC 2104 over SHA-1. */
static bool hmac_sha1_hex(cpl_str key, cpl_str data, char out[CPL_SHA1_HEX_SIZE]) {
    unsigned char pad[BLOCK] = {0}, hashed[20];
    cpl_buf text;
    bool good = true;
    cpl_buf_init(&text, EMU_API_BODY_MAX + 2 * BLOCK);
    if (key.n > BLOCK) {
        good = cpl_sha1_hex(key, out, NULL) == CPL_OK;
        for (size_t i = 0; good && i < sizeof hashed; i++) {
            char pair[3] = {out[2 * i], out[2 * i + 1], '\0'};
            pad[i] = (unsigned char)strtoul(pair, NULL, 16);
        }
    } else if (key.n > 0) {
        memcpy(pad, key.p, key.n);
    }
    for (size_t i = 0; i < BLOCK; i++) cpl_buf_addc(&text, (char)(pad[i] ^ 0x36));
    cpl_buf_addv(&text, data);
    good = good && cpl_buf_ok(&text) && cpl_sha1_hex(cpl_buf_str(&text), out, NULL) == CPL_OK;
    cpl_buf_clear(&text);
    for (size_t i = 0; i < BLOCK; i++) cpl_buf_addc(&text, (char)(pad[i] ^ 0x5c));
    for (size_t i = 0; good && i < sizeof hashed; i++) {
        char pair[3] = {out[2 * i], out[2 * i + 1], '\0'};
        cpl_buf_addc(&text, (char)strtoul(pair, NULL, 16));
    }
    good = good && cpl_buf_ok(&text) && cpl_sha1_hex(cpl_buf_str(&text), out, NULL) == CPL_OK;
    cpl_buf_wipe(&text);
    cpl_buf_release(&text);
    cpl_wipe(pad, sizeof pad);
    return good;
}

static bool hmac_sha256_hex(cpl_str key, cpl_str data, char out[CPL_SHA256_HEX_SIZE]) {
    unsigned char mac[CPL_SHA256_SIZE];
    if (cpl_hmac_sha256(key, data, mac, NULL) != CPL_OK) return false;
    cpl_hex(mac, sizeof mac, out);
    return true;
}

static bool signature_is_good(cpl_str secret, const emu_request *request) {
    cpl_str newer = emu_request_header(request, "x-hub-signature-256");
    cpl_str older = emu_request_header(request, "x-hub-signature");
    char want[CPL_SHA256_HEX_SIZE];
    if (secret.n == 0) return false;
    if (cpl_str_starts(newer, "sha256=")) {
        return hmac_sha256_hex(secret, request->body, want) &&
               cpl_secret_eq(cpl_str_sub(newer, 7, newer.n), cpl_str_of(want));
    }
    return cpl_str_starts(older, "sha1=") && hmac_sha1_hex(secret, request->body, want) &&
           cpl_secret_eq(cpl_str_sub(older, 5, older.n), cpl_str_of(want));
}

bool emu_webhook_authentic(const cpl_json *definition, const emu_request *request) {
    const cpl_json *needs = cpl_json_get(definition, "authenticationConfiguration");
    const char *kind = cpl_json_get_cstr(definition, "authentication", "");
    if (strcmp(kind, "UNAUTHENTICATED") == 0) return true;
    if (strcmp(kind, "IP") == 0)
        return emu_ip_in_range(cpl_json_get_cstr(needs, "AllowedIPRange", ""), request->remote);
    return signature_is_good(cpl_json_get_str(needs, "SecretToken"), request);
}

/* ---- JsonPath ---- */

/* One step of a path; an absent name and position -1 stand for all. */
typedef struct step {
    cpl_str name;
    int64_t position;
    bool all;
} step;

static bool bracket_step(cpl_str inner, step *out) {
    bool quoted = inner.n >= 2 && (inner.p[0] == '\'' || inner.p[0] == '"') && inner.p[inner.n - 1] == inner.p[0];
    if (cpl_str_is(inner, "*")) {
        out->all = true;
    } else if (quoted) {
        out->name = cpl_str_sub(inner, 1, inner.n - 1);
    } else {
        return cpl_str_integer(inner, &out->position) && out->position >= 0;
    }
    return true;
}

/* Takes the first step off rest; false: it is none of those we know. */
static bool next_step(cpl_str *rest, step *out) {
    size_t end = 1;
    *out = (step){.position = -1};
    if (rest->p[0] == '[') {
        end = cpl_str_find(*rest, ']');
        if (end == rest->n || !bracket_step(cpl_str_sub(*rest, 1, end), out)) return false;
        *rest = cpl_str_sub(*rest, end + 1, rest->n);
        return true;
    }
    if (rest->p[0] != '.') return false;
    while (end < rest->n && rest->p[end] != '.' && rest->p[end] != '[') end++;
    out->name = cpl_str_sub(*rest, 1, end);
    if (out->name.n == 0) return false;
    if (cpl_str_is(out->name, "*")) *out = (step){.position = -1, .all = true};
    *rest = cpl_str_sub(*rest, end, rest->n);
    return true;
}

bool emu_json_path_valid(cpl_str path) {
    step ignored;
    if (!cpl_str_starts(path, "$")) return false;
    for (cpl_str rest = cpl_str_sub(path, 1, path.n); rest.n > 0;) {
        if (!next_step(&rest, &ignored)) return false;
    }
    return true;
}

static bool is_wanted(const cpl_json *value, const cpl_str *wanted) {
    cpl_str text = cpl_json_str(value);
    cpl_buf written;
    bool same;
    if (wanted == NULL) return true;
    if (text.p) return cpl_str_eq(text, *wanted);
    cpl_buf_init(&written, EMU_API_BODY_MAX);
    cpl_json_write(value, &written);
    same = cpl_buf_ok(&written) && cpl_str_eq(cpl_buf_str(&written), *wanted);
    cpl_buf_release(&written);
    return same;
}

/* A path has at most 150 characters, so this goes no deeper than 75. */
static bool walk(cpl_str rest, const cpl_json *at, const cpl_str *wanted) {
    step s;
    if (at == NULL) return false;
    if (rest.n == 0) return is_wanted(at, wanted);
    if (!next_step(&rest, &s)) return false;
    for (const cpl_json *i = cpl_json_first(at); i; i = cpl_json_next(i)) {
        bool named = s.name.p && cpl_json_kind_of(at) == CPL_JSON_OBJECT && cpl_str_eq(cpl_json_key(i), s.name);
        bool placed = s.position >= 0 && cpl_json_kind_of(at) == CPL_JSON_ARRAY && s.position-- == 0;
        if ((s.all || named || placed) && walk(rest, i, wanted)) return true;
    }
    return false;
}

bool emu_json_path_matches(cpl_str path, const cpl_json *event, const cpl_str *wanted) {
    return cpl_str_starts(path, "$") && walk(cpl_str_sub(path, 1, path.n), event, wanted);
}
