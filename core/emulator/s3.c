/* SPDX-License-Identifier: MIT */
#include "s3.h"

#include <stdarg.h>

#include "s3_call.h"

/* ---- answers ---- */

static void set_error(s3_call *c, const char *code, int status, cpl_str message) {
    cpl_buf *out = &c->response->body;
    cpl_buf_clear(out);
    c->response->status = status;
    c->response->size = -1;
    if (status == 304) return;
    emu_response_header(c->response, "Content-Type", CPL_LIT("application/xml"));
    cpl_buf_adds(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    cpl_xml_add_element(out, "Code", cpl_str_of(code));
    cpl_xml_add_element(out, "Message", message);
    cpl_xml_add_element(out, "Resource", cpl_str_of(c->resource));
    cpl_xml_add_element(out, "RequestId", cpl_str_of(c->response->id));
    cpl_buf_adds(out, "</Error>");
}

static const struct {
    const char *code;
    int status;
    const char *message;
} faults[] = {
#define X(name, code, status, message) {code, status, message},
    S3_FAULTS(X)
#undef X
};

bool s3_refuse(s3_call *c, s3_fault fault) {
    set_error(c, faults[fault].code, faults[fault].status, cpl_str_of(faults[fault].message));
    return false;
}

bool s3_refuse_as(s3_call *c, s3_fault fault, const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    set_error(c, faults[fault].code, faults[fault].status, cpl_str_of(message));
    return false;
}

cpl_buf *s3_xml(s3_call *c, const char *root) {
    cpl_buf *out = &c->response->body;
    emu_response_header(c->response, "Content-Type", CPL_LIT("application/xml"));
    cpl_buf_addf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s xmlns=\"" S3_NAMESPACE "\">", root);
    return out;
}

void s3_add_time(cpl_buf *out, const char *element, double seconds) {
    char text[CPL_TIME_ISO_SIZE];
    cpl_time_iso((int64_t)seconds, text);
    cpl_buf_addf(out, "<%s>%.19s.%03dZ</%s>", element, text, (int)((seconds - (double)(int64_t)seconds) * 1000),
                 element);
}

cpl_xml *s3_read_xml(s3_call *c) {
    cpl_xml *xml = NULL;
    cpl_status status = cpl_xml_parse(c->payload, &xml, NULL);
    if (status) s3_refuse(c, status == CPL_NOMEM ? S3_INTERNAL : S3_XML);
    return xml;
}

/* ---- the request ---- */

cpl_str s3_param(const s3_call *c, const char *name) {
    for (size_t i = 0; i < c->param_count; i++) {
        if (cpl_str_is(c->params[i].name, name)) return c->params[i].value;
    }
    return (cpl_str){NULL, 0};
}

bool s3_param_number(s3_call *c, const char *name, int64_t fallback, int64_t high, int64_t *out) {
    cpl_str text = s3_param(c, name);
    *out = fallback;
    if (text.n == 0) return true;
    if (!cpl_str_integer(text, out) || *out < 0)
        return s3_refuse_as(c, S3_ARGUMENT, "Provided %s not an integer or within integer range", name);
    if (*out > high) *out = high;
    return true;
}

cpl_str s3_header(const s3_call *c, const char *name) {
    return emu_request_header(c->request, name);
}

void s3_decode(cpl_buf *out, cpl_str text, bool plus_is_space) {
    for (size_t i = 0; i < text.n; i++) {
        int high = -1, low = -1;
        if (text.p[i] == '%' && i + 2 < text.n) {
            high = cpl_hex_digit(text.p[i + 1]);
            low = cpl_hex_digit(text.p[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            cpl_buf_addc(out, (char)(high << 4 | low));
            i += 2;
        } else {
            cpl_buf_addc(out, plus_is_space && text.p[i] == '+' ? ' ' : text.p[i]);
        }
    }
    cpl_buf_addc(out, '\0');
}

/* One decoded text at the end of c->decoded, which was reserved large enough not to move. */
static cpl_str decode(s3_call *c, cpl_str text, bool plus_is_space) {
    size_t at = c->decoded.n;
    s3_decode(&c->decoded, text, plus_is_space);
    return cpl_buf_ok(&c->decoded) ? cpl_str_sub(cpl_buf_str(&c->decoded), at, c->decoded.n - 1) : CPL_LIT("");
}

static bool read_params(s3_call *c) {
    cpl_str query = c->request->query;
    for (size_t from = 0; from < query.n;) {
        cpl_str rest = cpl_str_sub(query, from, query.n);
        cpl_str pair = cpl_str_sub(rest, 0, cpl_str_find(rest, '&'));
        size_t equals = cpl_str_find(pair, '=');
        from += pair.n + 1;
        if (pair.n == 0) continue;
        if (c->param_count == S3_PARAMS_MAX) return s3_refuse_as(c, S3_URI, "too many query parameters");
        c->params[c->param_count].name = decode(c, cpl_str_sub(pair, 0, equals), true);
        c->params[c->param_count++].value = decode(c, cpl_str_sub(pair, equals + 1, pair.n), true);
    }
    return true;
}

bool emu_s3_bucket_name_is_valid(cpl_str name) {
    for (size_t i = 0; i < name.n; i++) {
        char ch = name.p[i];
        bool inner = i > 0 && i + 1 < name.n && (ch == '-' || (ch == '.' && name.p[i - 1] != '.'));
        if (!(ch >= 'a' && ch <= 'z') && !(ch >= '0' && ch <= '9') && !inner) return false;
    }
    return name.n >= 3 && name.n <= 63;
}

static bool read_path(s3_call *c) {
    cpl_str path = c->request->path, whole;
    size_t slash;
    cpl_buf_reserve(&c->decoded, 2 * path.n + c->request->query.n + 2 * S3_PARAMS_MAX + 16);
    whole = decode(c, path, false);
    if (!cpl_buf_ok(&c->decoded)) return s3_refuse(c, S3_INTERNAL);
    if (whole.n == 0 || whole.p[0] != '/' || !cpl_utf8_valid(whole) || memchr(whole.p, '\0', whole.n))
        return s3_refuse(c, S3_URI);
    c->resource = whole.p;
    c->object = whole.p + 1;
    slash = cpl_str_find(cpl_str_of(c->object), '/');
    c->bucket = decode(c, (cpl_str){NULL, 0}, false).p;
    if (slash > 0) {
        size_t at = c->decoded.n; /* already decoded: added as it is */
        cpl_buf_add(&c->decoded, c->object, slash);
        cpl_buf_addc(&c->decoded, '\0');
        c->bucket = c->decoded.p + at;
    }
    c->key = c->object[slash] == '/' ? c->object + slash + 1 : "";
    if (strlen(c->key) > S3_KEY_MAX) return s3_refuse(c, S3_KEY_TOO_LONG);
    if (whole.n > 1 && !emu_s3_bucket_name_is_valid(cpl_str_of(c->bucket))) return s3_refuse(c, S3_BUCKET_NAME);
    return true;
}

/* ---- dispatch ---- */

typedef enum level { SERVICE, BUCKET, OBJECT } level;

typedef struct route {
    const char *method;
    level at;
    const char *sub; /* the query parameter that makes it another operation; NULL: none */
    s3_handler handler;
    const char *want; /* what a job must have been granted; NULL: the owner alone */
} route;

static const route routes[] = {
    {"GET", SERVICE, NULL, s3_list_buckets, NULL},
    {"PUT", BUCKET, NULL, s3_create_bucket, NULL},
    {"HEAD", BUCKET, NULL, s3_head_bucket, NULL},
    {"DELETE", BUCKET, NULL, s3_delete_bucket, NULL},
    {"GET", BUCKET, NULL, s3_list_v1, NULL},
    {"GET", BUCKET, "list-type", s3_list_v2, NULL},
    {"GET", BUCKET, "versions", s3_list_versions, NULL},
    {"GET", BUCKET, "uploads", s3_list_uploads, NULL},
    {"GET", BUCKET, "location", s3_get_location, NULL},
    {"GET", BUCKET, "versioning", s3_get_versioning, NULL},
    {"PUT", BUCKET, "versioning", s3_put_versioning, NULL},
    {"POST", BUCKET, "delete", s3_delete_objects, NULL},
    {"PUT", OBJECT, NULL, s3_put_object, "write"},
    {"GET", OBJECT, NULL, s3_get_object, "read"},
    {"HEAD", OBJECT, NULL, s3_get_object, "read"},
    {"DELETE", OBJECT, NULL, s3_delete_object, NULL},
    {"POST", OBJECT, "uploads", s3_create_upload, "write"},
    {"PUT", OBJECT, "uploadId", s3_upload_part, "write"},
    {"GET", OBJECT, "uploadId", s3_list_parts, "write"},
    {"POST", OBJECT, "uploadId", s3_complete_upload, "write"},
    {"DELETE", OBJECT, "uploadId", s3_abort_upload, "write"},
};

/*
 * Parameters that name an operation of S3, done here or not. uploadId comes with partNumber, so it is looked for first.
 */
static const char *const subs[] = {"uploadId",
                                   "list-type",
                                   "versions",
                                   "uploads",
                                   "location",
                                   "versioning",
                                   "delete",
                                   "abac",
                                   "accelerate",
                                   "acl",
                                   "analytics",
                                   "attributes",
                                   "cors",
                                   "encryption",
                                   "intelligent-tiering",
                                   "inventory",
                                   "legal-hold",
                                   "lifecycle",
                                   "logging",
                                   "metadataConfiguration",
                                   "metadataTable",
                                   "metrics",
                                   "notification",
                                   "object-lock",
                                   "ownershipControls",
                                   "partNumber",
                                   "policy",
                                   "policyStatus",
                                   "publicAccessBlock",
                                   "renameObject",
                                   "replication",
                                   "requestPayment",
                                   "restore",
                                   "retention",
                                   "select",
                                   "session",
                                   "tagging",
                                   "torrent",
                                   "website"};

static const char *find_sub(const s3_call *c) {
    for (size_t i = 0; i < CPL_COUNT(subs); i++) {
        if (s3_param(c, subs[i]).p) return subs[i];
    }
    return NULL;
}

/* NULL: refused. */
static const route *find_route(s3_call *c) {
    level at = c->key[0] != '\0' ? OBJECT : c->bucket[0] != '\0' ? BUCKET : SERVICE;
    const char *sub = find_sub(c);
    for (size_t i = 0; i < CPL_COUNT(routes); i++) {
        const route *r = &routes[i];
        bool same = sub ? r->sub && strcmp(r->sub, sub) == 0 : r->sub == NULL;
        if (same && r->at == at && cpl_str_is(c->request->method, r->method)) return r;
    }
    if (sub) {
        s3_refuse_as(c, S3_NOT_EMULATED, "the emulator does not do %.*s ?%s yet",
                     (int)cpl_utf8_cut(c->request->method, 20), c->request->method.p, sub);
    } else {
        s3_refuse(c, S3_METHOD);
    }
    return NULL;
}

/*
 * What a job writes must be encrypted with the key that it names, as a key policy of the service's makes sure: by its
 * ARN, or the id at the end of it. Parts go by what their upload began with.
 */
static bool is_encrypted(const s3_call *c, const route *r) {
    cpl_str want = cpl_json_get_str(c->who.grant, "encryptionKey");
    cpl_str how = s3_header(c, "x-amz-server-side-encryption");
    cpl_str key = s3_header(c, "x-amz-server-side-encryption-aws-kms-key-id");
    if (want.n == 0 || (r->handler != s3_put_object && r->handler != s3_create_upload)) return true;
    if (!cpl_str_starts(how, "aws:kms") || key.n == 0 || key.n > want.n) return false;
    return cpl_str_eq(cpl_str_sub(want, want.n - key.n, want.n), key) &&
           (key.n == want.n || want.p[want.n - key.n - 1] == '/');
}

static bool check_access(s3_call *c, const route *r) {
    cpl_str owner = s3_header(c, "x-amz-expected-bucket-owner");
    if (c->who.grant &&
        (r->want == NULL || !emu_identity_may(&c->who, r->want, cpl_str_of(c->bucket), cpl_str_of(c->key))))
        return s3_refuse(c, S3_DENIED);
    if (c->who.grant && !is_encrypted(c, r)) return s3_refuse(c, S3_DENIED);
    if (owner.p && !cpl_str_is(owner, emu_account_id(c->e))) return s3_refuse(c, S3_DENIED);
    if (c->bucket[0] != '\0' && r->handler != s3_create_bucket && !emu_s3_bucket_exists(c->e, c->bucket))
        return s3_refuse(c, S3_NO_SUCH_BUCKET);
    return true;
}

static bool authenticate(s3_call *c) {
    emu_denial denial;
    if (emu_authenticate(c->e, c->request, EMU_S3, &c->who, &denial)) return true;
    set_error(c, denial.code, denial.status,
              cpl_utf8_valid(cpl_str_of(denial.message)) ? cpl_str_of(denial.message) : CPL_LIT("Invalid Argument"));
    return false;
}

static bool serve(s3_call *c) {
    const route *r;
    if (!read_path(c) || !read_params(c)) return false;
    if (c->request->too_large) return s3_refuse(c, S3_TOO_LARGE);
    if (!authenticate(c)) return false;
    r = find_route(c);
    return r && check_access(c, r) && s3_read_payload(c) && r->handler(c);
}

void emu_s3_answer(emu *e, const emu_request *request, emu_response *response) {
    s3_call c = {.e = e,
                 .store = emu_store_of(e),
                 .request = request,
                 .response = response,
                 .resource = "/",
                 .bucket = "",
                 .object = "",
                 .key = ""};
    cpl_error err;
    cpl_buf_init(&c.decoded, (size_t)1 << 20);
    cpl_buf_init(&c.unchunked, EMU_BODY_MAX);
    cpl_buf_init(&c.trailer, (size_t)64 << 10);
    emu_engine_advance(e);
    if (serve(&c) && !cpl_buf_ok(&response->body)) s3_refuse(&c, S3_INTERNAL);
    if (emu_store_commit(c.store, &err)) s3_refuse_as(&c, S3_INTERNAL, "%s", err.message);
    emu_response_header(response, "x-amz-request-id", cpl_str_of(response->id));
    emu_identity_release(&c.who);
    cpl_buf_release(&c.decoded);
    cpl_buf_release(&c.unchunked);
    cpl_buf_release(&c.trailer);
}

/* ---- buckets ---- */

bool emu_s3_bucket_exists(emu *e, const char *bucket) {
    return emu_store_get(emu_store_of(e), EMU_BUCKET, bucket) != NULL;
}

bool emu_s3_create_bucket(emu *e, const char *bucket) {
    cpl_json *doc;
    if (!emu_s3_bucket_name_is_valid(cpl_str_of(bucket))) return false;
    if (emu_s3_bucket_exists(e, bucket)) return true;
    doc = cpl_json_new_object();
    if (!cpl_json_set_number(doc, "created", emu_now_s(e))) {
        cpl_json_free(doc);
        return false;
    }
    return emu_store_put(emu_store_of(e), EMU_BUCKET, bucket, doc);
}

bool s3_list_buckets(s3_call *c) {
    cpl_buf *out = s3_xml(c, "ListAllMyBucketsResult");
    const char *name;
    cpl_json *doc;
    cpl_buf_adds(out, "<Owner>");
    cpl_xml_add_element(out, "ID", cpl_str_of(emu_account_id(c->e)));
    cpl_buf_adds(out, "</Owner><Buckets>");
    for (size_t i = 0; (doc = emu_store_at(c->store, EMU_BUCKET, i, &name)); i++) {
        cpl_buf_adds(out, "<Bucket>");
        cpl_xml_add_element(out, "Name", cpl_str_of(name));
        s3_add_time(out, "CreationDate", cpl_json_get_number(doc, "created", 0));
        cpl_buf_adds(out, "</Bucket>");
    }
    cpl_buf_adds(out, "</Buckets></ListAllMyBucketsResult>");
    return true;
}

/* us-east-1 is where a bucket goes that names no place, and cannot be named; elsewhere the endpoint's must be named. */
static bool check_location(s3_call *c) {
    const char *region = emu_region(c->e);
    bool classic = strcmp(region, "us-east-1") == 0, fine;
    cpl_xml *xml;
    cpl_str place;
    if (c->payload.n == 0)
        return classic || s3_refuse_as(c, S3_LOCATION,
                                       "The unspecified location constraint is incompatible for the region specific "
                                       "endpoint this request was sent to.");
    xml = s3_read_xml(c);
    if (xml == NULL) return false;
    place = cpl_xml_text(xml, cpl_xml_find(xml, "CreateBucketConfiguration/LocationConstraint"));
    fine = place.n == 0 ? classic : cpl_str_is(place, region) && !classic;
    if (!fine)
        s3_refuse_as(c, S3_LOCATION,
                     "The %.*s location constraint is incompatible for the region specific endpoint this request was "
                     "sent to.",
                     place.n > 0 ? (int)cpl_utf8_cut(place, 60) : 11, place.n > 0 ? place.p : "unspecified");
    cpl_xml_free(xml);
    return fine;
}

bool s3_create_bucket(s3_call *c) {
    if (!check_location(c)) return false;
    if (emu_s3_bucket_exists(c->e, c->bucket) && strcmp(emu_region(c->e), "us-east-1") != 0)
        return s3_refuse(c, S3_BUCKET_OWNED);
    if (!emu_s3_create_bucket(c->e, c->bucket)) return s3_refuse(c, S3_INTERNAL);
    emu_response_header(c->response, "Location", cpl_str_of(c->resource));
    return true;
}

bool s3_head_bucket(s3_call *c) {
    emu_response_header(c->response, "x-amz-bucket-region", cpl_str_of(emu_region(c->e)));
    return true;
}

static bool in_bucket(const char *object, const char *bucket) {
    size_t n = strlen(bucket);
    return strncmp(object, bucket, n) == 0 && object[n] == '/';
}

static bool holds(s3_call *c, emu_table table) {
    const char *object;
    for (size_t i = 0; emu_store_at(c->store, table, i, &object); i++) {
        if (in_bucket(object, c->bucket)) return true;
    }
    return false;
}

bool s3_delete_bucket(s3_call *c) {
    if (holds(c, EMU_OBJECT) || holds(c, EMU_VERSION)) return s3_refuse(c, S3_BUCKET_NOT_EMPTY);
    emu_store_delete(c->store, EMU_BUCKET, c->bucket);
    c->response->status = 204;
    return true;
}

bool s3_get_location(s3_call *c) {
    const char *region = emu_region(c->e);
    cpl_buf *out = s3_xml(c, "LocationConstraint");
    if (strcmp(region, "us-east-1") != 0) cpl_xml_add_text(out, cpl_str_of(region));
    cpl_buf_adds(out, "</LocationConstraint>");
    return true;
}

bool s3_get_versioning(s3_call *c) {
    cpl_str status = cpl_json_get_str(emu_store_get(c->store, EMU_BUCKET, c->bucket), "versioning");
    cpl_buf *out = s3_xml(c, "VersioningConfiguration");
    if (status.n > 0) cpl_xml_add_element(out, "Status", status);
    cpl_buf_adds(out, "</VersioningConfiguration>");
    return true;
}

bool s3_put_versioning(s3_call *c) {
    cpl_json *doc = emu_store_get(c->store, EMU_BUCKET, c->bucket);
    cpl_xml *xml = s3_read_xml(c);
    cpl_str status;
    bool done = false;
    if (xml == NULL) return false;
    status = cpl_xml_text(xml, cpl_xml_find(xml, "VersioningConfiguration/Status"));
    if (!cpl_str_is(status, "Enabled") && !cpl_str_is(status, "Suspended")) {
        s3_refuse(c, S3_XML);
    } else if (cpl_str_is(cpl_xml_text(xml, cpl_xml_find(xml, "VersioningConfiguration/MfaDelete")), "Enabled")) {
        s3_refuse_as(c, S3_NOT_EMULATED, "the emulator does not do MfaDelete yet");
    } else if (!cpl_json_set_str(doc, "versioning", status)) {
        s3_refuse(c, S3_INTERNAL);
    } else {
        emu_store_touch(c->store, EMU_BUCKET, c->bucket);
        done = true;
    }
    cpl_xml_free(xml);
    return done;
}
