/* SPDX-License-Identifier: MIT */
/*
 * The checksums of objects: one is kept of every object, CRC64NVME when the request gave none, as S3 does since 2024. A
 * document holds it as {"x-amz-checksum-crc32": "...", "checksumType": "COMPOSITE"}; the type is left out when the
 * checksum is of the whole.
 */
#include "s3_call.h"

bool s3_checksum_named(cpl_str name, cpl_checksum_kind *out) {
    for (int kind = 0; kind < CPL_CHECKSUM_COUNT; kind++) {
        if (!cpl_str_is(name, cpl_checksum_name((cpl_checksum_kind)kind))) continue;
        *out = (cpl_checksum_kind)kind;
        return true;
    }
    return false;
}

bool s3_checksum_of(cpl_checksum_kind kind, cpl_str bytes, char out[CPL_CHECKSUM_TEXT_SIZE]) {
    cpl_checksum sum;
    if (cpl_checksum_init(&sum, kind, NULL)) return false;
    cpl_checksum_add(&sum, bytes.p, bytes.n);
    cpl_checksum_text(&sum, out);
    return true;
}

bool s3_checksum_kept(const cpl_json *doc, cpl_checksum_kind *kind, cpl_str *value) {
    for (int i = 0; i < CPL_CHECKSUM_COUNT; i++) {
        *value = cpl_json_get_str(doc, cpl_checksum_header((cpl_checksum_kind)i));
        if (value->p == NULL) continue;
        *kind = (cpl_checksum_kind)i;
        return true;
    }
    return false;
}

bool s3_checksum_keep(cpl_json *doc, cpl_checksum_kind kind, cpl_str bytes) {
    char text[CPL_CHECKSUM_TEXT_SIZE];
    return s3_checksum_of(kind, bytes, text) && cpl_json_set_cstr(doc, cpl_checksum_header(kind), text);
}

static const char *type_of(const cpl_json *doc) {
    return cpl_json_get_cstr(doc, "checksumType", "FULL_OBJECT");
}

void s3_answer_checksum(s3_call *c, const cpl_json *doc) {
    cpl_checksum_kind kind;
    cpl_str value;
    if (!s3_checksum_kept(doc, &kind, &value)) return;
    emu_response_header(c->response, cpl_checksum_header(kind), value);
    emu_response_header(c->response, "x-amz-checksum-type", cpl_str_of(type_of(doc)));
}

static void add_element(cpl_buf *out, cpl_checksum_kind kind, cpl_str value) {
    char element[32];
    snprintf(element, sizeof element, "Checksum%s", cpl_checksum_name(kind));
    cpl_xml_add_element(out, element, value);
}

void s3_add_checksum(cpl_buf *out, const cpl_json *doc, bool typed) {
    cpl_checksum_kind kind;
    cpl_str value;
    if (!s3_checksum_kept(doc, &kind, &value)) return;
    add_element(out, kind, value);
    if (typed) cpl_xml_add_element(out, "ChecksumType", cpl_str_of(type_of(doc)));
}

/* ---- of an object in parts ---- */

bool s3_begin_checksum(s3_call *c, cpl_json *upload) {
    cpl_str algorithm = s3_header(c, "x-amz-checksum-algorithm"), type = s3_header(c, "x-amz-checksum-type");
    cpl_checksum_kind kind = CPL_CHECKSUM_CRC64NVME;
    bool hash, whole = cpl_str_is(type, "FULL_OBJECT");
    cpl_json *plan = cpl_json_new_object();
    if (algorithm.p && !s3_checksum_named(algorithm, &kind)) {
        cpl_json_free(plan);
        return s3_refuse_as(c, S3_INVALID_REQUEST,
                            "Checksum algorithm provided is unsupported. Please try again with "
                            "any of the valid types: [CRC32, CRC32C, SHA1, SHA256, CRC64NVME]");
    }
    hash = kind == CPL_CHECKSUM_SHA256 || kind == CPL_CHECKSUM_SHA1;
    if (type.p == NULL) whole = kind == CPL_CHECKSUM_CRC64NVME;
    if ((whole && hash) || (!whole && kind == CPL_CHECKSUM_CRC64NVME)) {
        cpl_json_free(plan);
        return s3_refuse_as(c, S3_INVALID_REQUEST,
                            "The %s checksum type cannot be used with the %s checksum algorithm.",
                            whole ? "FULL_OBJECT" : "COMPOSITE", cpl_checksum_name(kind));
    }
    if (!cpl_json_set_cstr(plan, "algorithm", cpl_checksum_name(kind)) || !cpl_json_set_bool(plan, "whole", whole) ||
        !cpl_json_set_bool(plan, "given", algorithm.p != NULL)) {
        cpl_json_free(plan);
        return s3_refuse(c, S3_INTERNAL);
    }
    if (algorithm.p) {
        emu_response_header(c->response, "x-amz-checksum-algorithm", algorithm);
        emu_response_header(c->response, "x-amz-checksum-type", whole ? CPL_LIT("FULL_OBJECT") : CPL_LIT("COMPOSITE"));
    }
    return cpl_json_set(upload, "checksum", plan) || s3_refuse(c, S3_INTERNAL);
}

/* What an upload said about its checksums; one of an older file said nothing. */
typedef struct plan {
    cpl_checksum_kind kind;
    bool whole, given;
} plan;

static plan read_plan(const cpl_json *upload) {
    const cpl_json *kept = cpl_json_get(upload, "checksum");
    plan p = {CPL_CHECKSUM_CRC64NVME, cpl_json_get_bool(kept, "whole", true), cpl_json_get_bool(kept, "given", false)};
    (void)s3_checksum_named(cpl_json_get_str(kept, "algorithm"), &p.kind);
    return p;
}

bool s3_part_checksum(s3_call *c, const cpl_json *upload, cpl_json *part, cpl_str bytes) {
    plan p = read_plan(upload);
    if (c->checksum.name.n > 0 && (!p.given || !cpl_str_is(c->checksum.name, cpl_checksum_header(p.kind)))) {
        return s3_refuse_as(c, S3_INVALID_REQUEST,
                            "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
                            p.given ? cpl_checksum_header(p.kind) + 15 : "null", c->checksum.name.p + 15);
    }
    return s3_checksum_keep(part, p.kind, bytes) || s3_refuse(c, S3_INTERNAL);
}

bool s3_check_listed_part(s3_call *c, const cpl_json *upload, const s3_listed_part *listed) {
    plan p = read_plan(upload);
    char element[32];
    cpl_str given;
    snprintf(element, sizeof element, "Checksum%s", cpl_checksum_name(p.kind));
    given = cpl_xml_text(listed->xml, cpl_xml_child(listed->xml, listed->at, element));
    if (given.n > 0) {
        return cpl_str_eq(given, cpl_json_get_str(listed->kept, cpl_checksum_header(p.kind))) || s3_refuse(c, S3_PART);
    }
    if (p.whole || !p.given) return true;
    return s3_refuse_as(
        c, S3_INVALID_REQUEST,
        "The upload was created using a %s checksum. The complete request must include the checksum for "
        "each part. It was missing for part %s in the request.",
        cpl_checksum_header(p.kind) + 15, cpl_json_key(listed->kept).p);
}

/* The checksum of the parts' checksums, and how many they are. */
static bool compose(const plan *p, cpl_json *doc, cpl_str digests, int count) {
    char text[CPL_CHECKSUM_TEXT_SIZE], value[CPL_CHECKSUM_TEXT_SIZE + 16];
    if (!s3_checksum_of(p->kind, digests, text)) return false;
    snprintf(value, sizeof value, "%s-%d", text, count);
    return cpl_json_set_cstr(doc, cpl_checksum_header(p->kind), value) &&
           cpl_json_set_cstr(doc, "checksumType", "COMPOSITE");
}

bool s3_complete_checksum(s3_call *c, const cpl_json *upload, cpl_json *doc, const s3_parts_made *made) {
    plan p = read_plan(upload);
    cpl_str given = s3_header(c, cpl_checksum_header(p.kind)), kept;
    cpl_checksum_kind kind;
    bool done = p.whole ? s3_checksum_keep(doc, p.kind, made->body) : compose(&p, doc, made->checksums, made->count);
    if (!done || !s3_checksum_kept(doc, &kind, &kept)) return s3_refuse(c, S3_INTERNAL);
    if (given.p == NULL || cpl_str_eq(cpl_str_sub(kept, 0, given.n), given)) return true;
    return s3_refuse_as(c, S3_DIGEST, "The %s you specified did not match the calculated checksum.",
                        cpl_checksum_name(kind));
}
