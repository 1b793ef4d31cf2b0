/* SPDX-License-Identifier: MIT */
#include "../../core/sigv4.h"

#include <cJSON.h>
#include <dirent.h>
#include <pthread.h>

#include "../../core/clock.h"
#include "test.h"

/* ---- a request as text, taken apart ---- */

typedef struct parsed {
    char *text; /* everything below points into it */
    cpl_sign_request request;
    cpl_header headers[32];
} parsed;

/* "METHOD target HTTP/1.1", header lines (a line that begins with a blank goes on with the one before), blank line, body */
static void parse_request(parsed *p) {
    char *line = p->text, *end = strchr(line, '\n'), *target = strchr(line, ' ') + 1, *question;
    size_t count = 0;
    p->request.method = (cpl_str){line, (size_t)(target - 1 - line)};
    p->request.path = (cpl_str){target, (size_t)(end - (int)strlen(" HTTP/1.1") - target)};
    question = memchr(target, '?', p->request.path.n);
    if (question) {
        p->request.query = cpl_str_sub(p->request.path, (size_t)(question + 1 - target), p->request.path.n);
        p->request.path.n = (size_t)(question - target);
    }
    for (line = end + 1; *line && *line != '\n'; line = end + (*end != '\0')) {
        char *colon = strchr(line, ':');
        end = line + strcspn(line, "\n");
        while (*end && (end[1] == ' ' || end[1] == '\t')) {
            *end = ' ';
            end += strcspn(end, "\n");
        }
        p->headers[count].name = (cpl_str){line, (size_t)(colon - line)};
        p->headers[count++].value = (cpl_str){colon + 1, (size_t)(end - colon - 1)};
    }
    p->request.headers = p->headers;
    p->request.header_count = count;
    if (*line == '\n') p->request.body = cpl_str_of(line + 1);
}

/* ---- the third-party suite ---- */

static char *read_case_file(const char *name, const char *file) {
    char rest[256];
    const char *path;
    snprintf(rest, sizeof rest, "sigv4/v4/%s/%s", name, file);
    path = test_suite_path(rest);
    return path ? test_read_file(path, NULL) : NULL;
}

static void check_stage(const char *name, const char *file, const char *got) {
    char *want = read_case_file(name, file);
    if (!CHECK(want != NULL)) return;
    if (!CHECK(strcmp(got, want) == 0)) printf("  %s/%s\n--- got\n%s\n--- want\n%s\n", name, file, got, want);
    free(want);
}

static const char *text_of(const cJSON *object, const char *key) {
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static bool is_true(const cJSON *object, const char *key) {
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static cpl_credentials read_credentials(const cJSON *context) {
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(context, "credentials");
    return (cpl_credentials){cpl_str_of(text_of(c, "access_key_id")), cpl_str_of(text_of(c, "secret_access_key")),
                             cpl_str_of(text_of(c, "token"))};
}

static void read_context(const cJSON *context, bool presign, cpl_sign_request *request) {
    double seconds = 0;
    cpl_time_parse(cpl_str_of(text_of(context, "timestamp")), &seconds);
    request->time_s = (int64_t)seconds;
    request->region = cpl_str_of(text_of(context, "region"));
    request->service = cpl_str_of(text_of(context, "service"));
    request->expires_s = (int64_t)cJSON_GetNumberValue(cJSON_GetObjectItem(context, "expiration_in_seconds"));
    if (!is_true(context, "normalize")) request->flags |= CPL_SIGN_NO_NORMALIZE;
    if (is_true(context, "sign_body")) request->flags |= CPL_SIGN_BODY_HEADER;
    if (is_true(context, "omit_session_token")) request->flags |= CPL_SIGN_TOKEN_LATER;
    if (presign) request->flags |= CPL_SIGN_QUERY;
}

/* The request as it goes out: the original's lines, changed only as a caller of cpl_sigv4_sign() changes them. */
static void write_signed(cpl_buf *out, const char *original, const parsed *p, const cpl_credentials *credentials,
                         const cpl_signature *signature) {
    const char *first = strchr(original, '\n'), *blank = strstr(original, "\n\n");
    bool presign = p->request.flags & CPL_SIGN_QUERY;
    size_t head = blank ? (size_t)(blank + 1 - first) : strlen(first);
    cpl_buf_addv(out, p->request.method);
    cpl_buf_addc(out, ' ');
    cpl_buf_addv(out, p->request.path);
    if (presign) cpl_buf_addf(out, "?%s", cpl_buf_cstr(&signature->query));
    if (!presign && p->request.query.n) {
        cpl_buf_addc(out, '?');
        cpl_buf_addv(out, p->request.query);
    }
    cpl_buf_adds(out, " HTTP/1.1");
    cpl_buf_add(out, first, head);
    if (!presign) {
        if (credentials->session_token.n) cpl_buf_addf(out, "X-Amz-Security-Token:%s\n", credentials->session_token.p);
        cpl_buf_addf(out, "X-Amz-Date:%s\n", signature->date);
        if (p->request.flags & CPL_SIGN_BODY_HEADER)
            cpl_buf_addf(out, "x-amz-content-sha256:%s\n", signature->payload_hash);
        cpl_buf_addf(out, "Authorization:%s\n", cpl_buf_cstr(&signature->authorization));
    }
    cpl_buf_addc(out, '\n');
    cpl_buf_addv(out, p->request.body);
}

/* What was signed arrives: read the claim, check it, and see that one changed byte is noticed. */
static void check_round_trip(const parsed *p, const cpl_credentials *credentials, const cpl_signature *signature,
                             const char *name) {
    cpl_header headers[40];
    cpl_sign_request request = p->request;
    cpl_sigv4_claim claim;
    cpl_signature again;
    cpl_error err;
    cpl_buf scratch;
    bool presign = request.flags & CPL_SIGN_QUERY;
    char wrong[CPL_SHA256_HEX_SIZE];
    memcpy(headers, p->headers, sizeof p->headers);
    cpl_buf_init(&scratch, 65536);
    cpl_signature_init(&again);
    request.headers = headers;
    request.query = presign ? cpl_buf_str(&signature->query) : request.query;
    if (!presign) {
        headers[request.header_count++] = (cpl_header){CPL_LIT("x-Amz-date"), cpl_str_of(signature->date)};
        headers[request.header_count++] =
            (cpl_header){CPL_LIT("X-AMZ-CONTENT-SHA256"), cpl_str_of(signature->payload_hash)};
        headers[request.header_count++] = (cpl_header){CPL_LIT("X-Amz-Security-Token"), credentials->session_token};
    }
    if (!CHECK(cpl_sigv4_claim_read(&claim, cpl_buf_str(&signature->authorization), request.query, &scratch, &err) ==
               CPL_OK))
        printf("  %s: %s\n", name, err.message);
    CHECK(cpl_str_eq(claim.access_key_id, credentials->access_key_id));
    CHECK(claim.presigned == presign);
    if (!CHECK(cpl_sigv4_verify(NULL, &request, &claim, credentials, &again, &err) == CPL_OK))
        printf("  %s: %s\n%s\n", name, err.message, cpl_buf_cstr(&again.canonical_request));
    memcpy(wrong, signature->signature, sizeof wrong);
    wrong[63] = wrong[63] == '0' ? '1' : '0';
    claim.signature = cpl_str_of(wrong);
    CHECK(cpl_sigv4_verify(NULL, &request, &claim, credentials, &again, &err) == CPL_INVALID);
    CHECK_STR(cpl_buf_cstr(&again.canonical_request), cpl_buf_cstr(&signature->canonical_request));
    cpl_signature_release(&again);
    cpl_buf_release(&scratch);
}

/* The four stages of one signing, each against its file. */
static void run_suite_case(const char *name, bool presign, cpl_signer *signer) {
    const char *kind = presign ? "query" : "header";
    char *original = read_case_file(name, "request.txt"), *context_text = read_case_file(name, "context.json");
    cJSON *context = cJSON_Parse(context_text);
    parsed p = {.text = read_case_file(name, "request.txt")};
    cpl_credentials credentials = read_credentials(context);
    cpl_signature signature;
    cpl_error err;
    cpl_buf text;
    char file[64];
    cpl_signature_init(&signature);
    cpl_buf_init(&text, 65536);
    parse_request(&p);
    read_context(context, presign, &p.request);
    if (CHECK(cpl_sigv4_sign(signer, &p.request, &credentials, &signature, &err) == CPL_OK)) {
        write_signed(&text, original, &p, &credentials, &signature);
        snprintf(file, sizeof file, "%s-canonical-request.txt", kind);
        check_stage(name, file, cpl_buf_cstr(&signature.canonical_request));
        snprintf(file, sizeof file, "%s-string-to-sign.txt", kind);
        check_stage(name, file, cpl_buf_cstr(&signature.string_to_sign));
        snprintf(file, sizeof file, "%s-signature.txt", kind);
        check_stage(name, file, signature.signature);
        snprintf(file, sizeof file, "%s-signed-request.txt", kind);
        check_stage(name, file, cpl_buf_cstr(&text));
        check_round_trip(&p, &credentials, &signature, name);
    } else {
        printf("  %s: %s\n", name, err.message);
    }
    cpl_buf_release(&text);
    cpl_signature_release(&signature);
    cJSON_Delete(context);
    free(p.text);
    free(original);
    free(context_text);
}

static int run_suite(bool presign) {
    const char *path = test_suite_path("sigv4/v4");
    DIR *dir = path ? opendir(path) : NULL;
    cpl_signer *signer = cpl_signer_new();
    struct dirent *entry;
    int count = 0;
    if (dir == NULL) {
        cpl_signer_free(signer);
        return -1;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        run_suite_case(entry->d_name, presign, signer);
        count++;
    }
    closedir(dir);
    cpl_signer_free(signer);
    return count;
}

TEST(t_sigv4__all_suite_cases_in_header_form_agree_stage_by_stage) {
    int count = run_suite(false);
    if (count < 0) SKIP("the third-party suite is not here");
    CHECK(count == 38);
}

TEST(t_sigv4__all_suite_cases_in_query_form_agree_stage_by_stage) {
    int count = run_suite(true);
    if (count < 0) SKIP("the third-party suite is not here");
    CHECK(count == 38);
}

TEST_MAIN
