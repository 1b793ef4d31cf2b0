/* SPDX-License-Identifier: MIT */
#include "faults.h"

#include "../err.h"
#include "../model.h"
#include "api.h"

#define FAULTS_MAX 256

typedef enum effect { ANSWER, RESET, CUT, STALL, TRICKLE } effect;

typedef struct kind {
    const char *name;
    effect effect;
    bool late;
    int status;
    const char *type; /* Content-Type */
    const char *body;
    const char *header, *value; /* one more */
    int s3_status;              /* and how S3 says the same; 0: it does not say it in another way */
    const char *s3_body;
} kind;

#define JSON "application/x-amz-json-1.1"
#define XML_ERROR(code) \
    "<?xml version=\"1.0\"?>\n<Error><Code>" code "</Code><Message>a fault that was asked for</Message></Error>"
#define ERROR(code, message) "{\"__type\":\"" code "\",\"message\":\"" message "\"}"
static const kind kinds[] = {
    {"reset", RESET, false, 0, NULL, NULL, NULL, NULL, 0, NULL},
    {"lost-answer", RESET, true, 0, NULL, NULL, NULL, NULL, 0, NULL},
    {"cut-answer", CUT, true, 0, NULL, NULL, NULL, NULL, 0, NULL},
    {"stall", STALL, true, 0, NULL, NULL, NULL, NULL, 0, NULL},
    {"trickle", TRICKLE, true, 0, NULL, NULL, NULL, NULL, 0, NULL},
    {"500", ANSWER, false, 500, JSON, ERROR("InternalFailure", "a fault that was asked for"), NULL, NULL, 500,
     XML_ERROR("InternalError")},
    {"502", ANSWER, false, 502, "text/html", "<html>502 Bad Gateway</html>", NULL, NULL, 0, NULL},
    {"503", ANSWER, false, 503, JSON, ERROR("ServiceUnavailableException", "a fault that was asked for"), NULL, NULL,
     503, XML_ERROR("ServiceUnavailable")},
    {"504", ANSWER, false, 504, "text/html", "<html>504 Gateway Time-out</html>", NULL, NULL, 0, NULL},
    {"late-500", ANSWER, true, 500, JSON, ERROR("InternalFailure", "a fault that was asked for"), NULL, NULL, 500,
     XML_ERROR("InternalError")},
    {"throttling", ANSWER, false, 400, JSON, ERROR("ThrottlingException", "Rate exceeded"), NULL, NULL, 503,
     XML_ERROR("SlowDown")},
    {"retry-after", ANSWER, false, 503, JSON, ERROR("ServiceUnavailableException", "wait"), "x-amz-retry-after", "200",
     503, XML_ERROR("SlowDown")},
    {"expired-token", ANSWER, false, 400, JSON, ERROR("ExpiredTokenException", "the token has expired"), NULL, NULL,
     400, XML_ERROR("ExpiredToken")},
    {"access-denied", ANSWER, false, 400, JSON, ERROR("AccessDeniedException", "not authorized"), NULL, NULL, 403,
     XML_ERROR("AccessDenied")},
    {"not-found", ANSWER, false, 400, JSON, ERROR("JobNotFoundException", "a fault that was asked for"), NULL, NULL,
     404, XML_ERROR("NoSuchKey")},
    {"no-json", ANSWER, true, 200, JSON, "{\"jobs\":[", NULL, NULL, 0, NULL},
    {"empty", ANSWER, true, 200, JSON, "", NULL, NULL, 0, NULL},
    {"html", ANSWER, true, 200, "text/html", "<html>welcome to the hotel's network</html>", NULL, NULL, 0, NULL},
    {"redirect", ANSWER, false, 307, "text/html", "", "Location", "http://127.0.0.1:9/", 0, NULL},
};

struct emu_fault {
    const kind *kind;
    char operation[80], job_id[80];
    int times, after; /* left; times -1: for ever */
    int bytes;
    double probability;
    uint64_t dice;
};

struct emu_faults {
    emu_fault all[FAULTS_MAX];
    size_t count;
};

emu_faults *emu_faults_new(void) {
    return cpl_calloc(1, sizeof(emu_faults));
}

void emu_faults_free(emu_faults *faults) {
    cpl_free(faults);
}

void emu_faults_clear(emu_faults *faults) {
    faults->count = 0;
}

static const kind *find_kind(cpl_str name) {
    for (size_t i = 0; i < CPL_COUNT(kinds); i++) {
        if (cpl_str_is(name, kinds[i].name)) return &kinds[i];
    }
    return NULL;
}

static bool is_known(cpl_str operation) {
    static const char *const objects[] = {"GetObject", "HeadObject", "PutObject", "PostObject", "DeleteObject"};
    const cpl_operation *found = cpl_model_operation(operation);
    if (found) return cpl_str_is(operation, found->info.name);
    for (size_t i = 0; i < CPL_COUNT(objects); i++) {
        if (cpl_str_is(operation, objects[i])) return true;
    }
    return false;
}

static bool counts_bytes(const kind *k) {
    return k->effect == STALL || k->effect == TRICKLE;
}

static cpl_status check_bytes(const cpl_fault *fault, cpl_error *err) {
    if (fault->bytes < 0) return cpl_fail_at(err, CPL_INVALID, "bytes", "bytes: less than 0");
    if (fault->bytes > 0 && !counts_bytes(find_kind(fault->kind)))
        return cpl_fail_at(err, CPL_INVALID, "bytes", "bytes: for the kinds stall and trickle alone");
    return CPL_OK;
}

static cpl_status no_kind(cpl_str name, cpl_error *err) {
    char known[512] = "";
    for (size_t i = 0, n = 0; i < CPL_COUNT(kinds); i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", kinds[i].name);
    return cpl_fail_at(err, CPL_INVALID, "kind", "kind: \"%.*s\" is no fault; these are: %s",
                       (int)cpl_utf8_cut(name, 40), name.p ? name.p : "", known);
}

static cpl_status check(const cpl_fault *fault, cpl_error *err) {
    if (find_kind(fault->kind) == NULL) return no_kind(fault->kind, err);
    if (fault->operation.n > 0 && !is_known(fault->operation))
        return cpl_fail_at(err, CPL_INVALID, "operation",
                           "operation: \"%.*s\" is neither an operation (PollForJobs) nor "
                           "one on an object (GetObject, PutObject, ...)",
                           (int)cpl_utf8_cut(fault->operation, 60), fault->operation.p);
    if (fault->job_id.n >= sizeof((emu_fault *)0)->job_id)
        return cpl_fail_at(err, CPL_INVALID, "job_id", "job_id: longer than a job's id");
    if (fault->times < -1) return cpl_fail_at(err, CPL_INVALID, "times", "times: less than -1, which is for ever");
    if (fault->after < 0) return cpl_fail_at(err, CPL_INVALID, "after", "after: less than 0");
    if (!(fault->probability >= 0 && fault->probability <= 1))
        return cpl_fail_at(err, CPL_INVALID, "probability", "probability: not between 0 and 1");
    return check_bytes(fault, err);
}

cpl_status emu_faults_add(emu_faults *faults, const cpl_fault *fault, cpl_error *err) {
    cpl_status status = check(fault, err);
    emu_fault *added;
    if (status) return status;
    if (faults->count == FAULTS_MAX) return cpl_fail(err, CPL_STATE, "there are %d faults already", FAULTS_MAX);
    added = &faults->all[faults->count++];
    *added = (emu_fault){.kind = find_kind(fault->kind),
                         .times = fault->times ? fault->times : 1,
                         .after = fault->after,
                         .bytes = fault->bytes,
                         .probability = fault->probability > 0 ? fault->probability : 1,
                         .dice = fault->seed * 2 + 1};
    CPL_COPY(added->operation, fault->operation);
    CPL_COPY(added->job_id, fault->job_id);
    return CPL_OK;
}

void emu_faults_write(const emu_faults *faults, cpl_buf *out) {
    const char *between = "";
    cpl_buf_addc(out, '[');
    for (const emu_fault *f = faults->all; f < faults->all + faults->count; f++) {
        if (f->times == 0) continue;
        cpl_buf_addf(out, "%s{\"kind\":\"%s\",\"operation\":", between, f->kind->name);
        cpl_json_quote(out, cpl_str_of(f->operation));
        cpl_buf_adds(out, ",\"job_id\":");
        cpl_json_quote(out, cpl_str_of(f->job_id));
        if (counts_bytes(f->kind)) cpl_buf_addf(out, ",\"bytes\":%d", f->bytes);
        cpl_buf_addf(out, ",\"times\":%d}", f->times);
        between = ",";
    }
    cpl_buf_addc(out, ']');
}

void emu_fault_kinds_write(cpl_buf *out) {
    for (size_t i = 0; i < CPL_COUNT(kinds); i++)
        cpl_buf_addf(out, "%s{\"kind\":\"%s\",\"bytes\":%s}", i ? "," : "[", kinds[i].name,
                     counts_bytes(&kinds[i]) ? "true" : "false");
    cpl_buf_addc(out, ']');
}

/* ---- what it strikes ---- */

cpl_str emu_request_name(const emu_request *request) {
    static const struct {
        const char *method, *name;
    } objects[] = {{"GET", "GetObject"},
                   {"HEAD", "HeadObject"},
                   {"PUT", "PutObject"},
                   {"POST", "PostObject"},
                   {"DELETE", "DeleteObject"}};
    if (emu_request_is_api(request)) return emu_api_operation(request);
    if (emu_request_is_webhook(request)) return (cpl_str){NULL, 0};
    if (cpl_str_find(cpl_str_sub(request->path, 1, request->path.n), '/') + 2 > request->path.n)
        return (cpl_str){NULL, 0}; /* a bucket */
    for (size_t i = 0; i < CPL_COUNT(objects); i++) {
        if (cpl_str_is(request->method, objects[i].method)) return cpl_str_of(objects[i].name);
    }
    return (cpl_str){NULL, 0};
}

/* splitmix64: the same seed strikes the same requests. */
static double roll(uint64_t *dice) {
    uint64_t x = *dice += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((x ^ (x >> 31)) >> 11) / 9007199254740992.0;
}

static bool fits(const emu_fault *fault, cpl_str name, const emu_request *request) {
    if (fault->times == 0 || name.n == 0) return false;
    if (fault->operation[0] && !cpl_str_is(name, fault->operation)) return false;
    return fault->job_id[0] == '\0' || (request->body.n > 0 && memmem(request->body.p, request->body.n, fault->job_id,
                                                                      strlen(fault->job_id)) != NULL);
}

const emu_fault *emu_faults_strike(emu_faults *faults, const emu_request *request) {
    cpl_str name = {NULL, 0};
    if (faults->count == 0) return NULL;
    name = emu_request_name(request);
    for (size_t i = 0; i < faults->count; i++) {
        emu_fault *fault = &faults->all[i];
        if (!fits(fault, name, request)) continue;
        if (fault->after > 0) {
            fault->after--;
            continue;
        }
        if (fault->probability < 1 && roll(&fault->dice) >= fault->probability) continue;
        if (fault->times > 0) fault->times--;
        return fault;
    }
    return NULL;
}

bool emu_fault_is_late(const emu_fault *fault) {
    return fault->kind->late;
}

const char *emu_fault_kind(const emu_fault *fault) {
    return fault->kind->name;
}

void emu_fault_spoil(const emu_fault *fault, const emu_request *request, emu_response *response) {
    static const emu_fate fates[] = {[ANSWER] = EMU_FATE_SENT,
                                     [RESET] = EMU_FATE_RESET,
                                     [CUT] = EMU_FATE_CUT,
                                     [STALL] = EMU_FATE_STALL,
                                     [TRICKLE] = EMU_FATE_TRICKLE};
    const kind *k = fault->kind;
    bool s3 = k->s3_status && !emu_request_is_api(request);
    response->fate = fates[k->effect];
    response->bytes = k->effect == TRICKLE && fault->bytes == 0 ? 1 : fault->bytes;
    if (k->effect != ANSWER) return;
    response->status = s3 ? k->s3_status : k->status;
    response->size = -1;
    cpl_buf_clear(&response->head);
    cpl_buf_clear(&response->body);
    cpl_buf_adds(&response->body, s3 ? k->s3_body : k->body);
    emu_response_header(response, "Content-Type", s3 ? CPL_LIT("application/xml") : cpl_str_of(k->type));
    emu_response_header(response, "x-amzn-RequestId", cpl_str_of(response->id));
    if (k->header) emu_response_header(response, k->header, cpl_str_of(k->value));
}
