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

/* "METHOD target HTTP/1.1", header lines (one that begins with a blank continues the one before), blank line, body */
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

/* ---- our own vectors, see tests/vectors/sigv4/make.py ---- */

static const struct {
    const char *name;
    unsigned flag;
} flag_names[] = {{"s3", CPL_SIGN_S3},
                  {"body_header", CPL_SIGN_BODY_HEADER},
                  {"token_later", CPL_SIGN_TOKEN_LATER},
                  {"presign", CPL_SIGN_QUERY}};

static void read_vector(const cJSON *vector, parsed *p) {
    cpl_sign_request *r = &p->request;
    const cJSON *header;
    double seconds = 0;
    cpl_time_parse(cpl_str_of(text_of(vector, "time")), &seconds);
    *r = (cpl_sign_request){.method = cpl_str_of(text_of(vector, "method")),
                            .path = cpl_str_of(text_of(vector, "path")),
                            .query = cpl_str_of(text_of(vector, "query")),
                            .headers = p->headers,
                            .payload_hash = cpl_str_of(text_of(vector, "payload_hash")),
                            .body = cpl_str_of(text_of(vector, "body")),
                            .region = cpl_str_of(text_of(vector, "region")),
                            .service = cpl_str_of(text_of(vector, "service")),
                            .time_s = (int64_t)seconds,
                            .expires_s = (int64_t)cJSON_GetNumberValue(cJSON_GetObjectItem(vector, "expires"))};
    cJSON_ArrayForEach(header, cJSON_GetObjectItemCaseSensitive(vector, "headers")) {
        p->headers[r->header_count].name = cpl_str_of(cJSON_GetStringValue(cJSON_GetArrayItem(header, 0)));
        p->headers[r->header_count++].value = cpl_str_of(cJSON_GetStringValue(cJSON_GetArrayItem(header, 1)));
    }
    for (size_t i = 0; i < CPL_COUNT(flag_names); i++) {
        if (is_true(vector, flag_names[i].name)) r->flags |= flag_names[i].flag;
    }
    if (!is_true(vector, "normalize")) r->flags |= CPL_SIGN_NO_NORMALIZE;
}

static void run_vector(const cJSON *vector, cpl_signer *signer, cpl_signature *signature) {
    parsed p = {.text = NULL};
    cpl_credentials credentials = {cpl_str_of(text_of(vector, "key")), cpl_str_of(text_of(vector, "secret")),
                                   cpl_str_of(text_of(vector, "token"))};
    const char *name = text_of(vector, "name");
    int before = test_failures;
    cpl_error err = {.status = CPL_OK};
    bool presign;
    read_vector(vector, &p);
    presign = p.request.flags & CPL_SIGN_QUERY;
    if (CHECK(cpl_sigv4_sign(signer, &p.request, &credentials, signature, &err) == CPL_OK)) {
        CHECK_STR(cpl_buf_cstr(&signature->canonical_request), text_of(vector, "canonical_request"));
        CHECK_STR(cpl_buf_cstr(&signature->string_to_sign), text_of(vector, "string_to_sign"));
        CHECK_STR(signature->signature, text_of(vector, "signature"));
        CHECK_STR(cpl_buf_cstr(presign ? &signature->query : &signature->authorization), text_of(vector, "output"));
        check_round_trip(&p, &credentials, signature, name);
    }
    if (test_failures > before) printf("  in \"%s\": %s\n", name, err.message);
}

TEST(t_sigv4__our_own_vectors_agree_stage_by_stage_with_and_without_a_signer) {
    char *text = test_read_file("tests/vectors/sigv4/cases.json", NULL);
    cJSON *vectors = text ? cJSON_Parse(text) : NULL;
    const cJSON *vector;
    cpl_signer *signer = cpl_signer_new();
    cpl_signature signature;
    cpl_signature_init(&signature);
    CHECK(cJSON_GetArraySize(vectors) >= 17);
    for (int round = 0; round < 3; round++) {
        cJSON_ArrayForEach(vector, vectors) run_vector(vector, round == 0 ? NULL : signer, &signature);
    }
    cpl_signature_release(&signature);
    cpl_signer_free(signer);
    cJSON_Delete(vectors);
    free(text);
}

/* ---- what is refused ---- */

static const cpl_header plain_headers[] = {{CPL_LIT("Host"), CPL_LIT("example.com")}};
static const cpl_credentials plain_keys = {CPL_LIT("AKIDEXAMPLE"), CPL_LIT("SECRET1"), {NULL, 0}};

static cpl_sign_request plain_request(void) {
    return (cpl_sign_request){.method = CPL_LIT("POST"),
                              .path = CPL_LIT("/"),
                              .headers = plain_headers,
                              .header_count = 1,
                              .region = CPL_LIT("us-east-1"),
                              .service = CPL_LIT("codepipeline"),
                              .time_s = 1440938160};
}

static void check_refused(const cpl_sign_request *request, const cpl_credentials *keys, const char *words) {
    cpl_signature out;
    cpl_error err = {.status = CPL_OK};
    cpl_signature_init(&out);
    CHECK(cpl_sigv4_sign(NULL, request, keys, &out, &err) == CPL_INVALID);
    if (!CHECK(strstr(err.message, words) != NULL)) printf("  %s\n", err.message);
    CHECK(strstr(err.message, "SECRET1") == NULL);
    CHECK(out.signature[0] == '\0' && out.canonical_request.n == 0 && out.authorization.n == 0);
    cpl_signature_release(&out);
}

TEST(t_sigv4__text_that_would_break_a_request_is_refused_and_named) {
    const cpl_str bad[] = {CPL_LIT("a\rb"), CPL_LIT("a\nb"), CPL_LIT("a\0b")};
    for (size_t i = 0; i < CPL_COUNT(bad); i++) {
        cpl_sign_request r = plain_request();
        cpl_credentials keys = plain_keys;
        r.path = bad[i];
        check_refused(&r, &plain_keys, "the path has a line break or NUL in it");
        r = plain_request();
        r.method = bad[i];
        check_refused(&r, &plain_keys, "the method has");
        r = plain_request();
        r.query = bad[i];
        check_refused(&r, &plain_keys, "the query has");
        r = plain_request();
        r.region = bad[i];
        check_refused(&r, &plain_keys, "the region has");
        r = plain_request();
        r.payload_hash = bad[i];
        check_refused(&r, &plain_keys, "payload hash");
        r = plain_request();
        keys.session_token = bad[i];
        check_refused(&r, &keys, "the session token has");
        keys = plain_keys;
        keys.access_key_id = bad[i];
        check_refused(&r, &keys, "the access key id has");
        keys = plain_keys;
        keys.secret_access_key = (cpl_str){"SECRET1\n", 8};
        check_refused(&r, &keys, "the secret access key has");
    }
}

TEST(t_sigv4__headers_that_would_break_a_request_are_refused_and_named) {
    const struct {
        cpl_header header;
        const char *words;
    } rows[] = {
        {{CPL_LIT("X-A"), CPL_LIT("a\r\nEvil: b")}, "header \"X-A\" has a line break"},
        {{CPL_LIT("X-A"), CPL_LIT("a\0")}, "header \"X-A\" has"},
        {{CPL_LIT("X-A\n"), CPL_LIT("a")}, "character that names cannot have"},
        {{CPL_LIT("X A"), CPL_LIT("a")}, "header name \"X A\""},
        {{CPL_LIT("X:A"), CPL_LIT("a")}, "header name"},
        {{CPL_LIT("X\xc3\xa4"), CPL_LIT("a")}, "header name"},
        {{CPL_LIT(""), CPL_LIT("a")}, "header name"},
        {{CPL_LIT("authorization"), CPL_LIT("a")}, "\"authorization\" is what signing makes"},
        {{CPL_LIT("X-Amz-Date"), CPL_LIT("20150830T123601Z")}, "\"x-amz-date\" is set by the signer"},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        cpl_header headers[2] = {plain_headers[0], rows[i].header};
        cpl_sign_request r = plain_request();
        r.headers = headers;
        r.header_count = 2;
        check_refused(&r, &plain_keys, rows[i].words);
    }
}

TEST(t_sigv4__empty_and_missing_things_are_refused_and_named) {
    cpl_sign_request r = plain_request();
    cpl_credentials keys = plain_keys;
    cpl_header many[200];
    r.header_count = 0;
    check_refused(&r, &keys, "no host header");
    r = plain_request();
    r.region = (cpl_str){NULL, 0};
    check_refused(&r, &keys, "the region is empty");
    r = plain_request();
    keys.access_key_id = (cpl_str){NULL, 0};
    check_refused(&r, &keys, "the access key id is empty");
    keys = plain_keys;
    keys.secret_access_key = CPL_LIT("");
    check_refused(&r, &keys, "the secret access key is empty");
    r.flags = CPL_SIGN_QUERY;
    check_refused(&r, &plain_keys, "lives 1 to 604800 seconds, not 0");
    r.expires_s = 604801;
    check_refused(&r, &plain_keys, "not 604801");
    r = plain_request();
    for (size_t i = 0; i < CPL_COUNT(many); i++) many[i] = plain_headers[0];
    r.headers = many;
    r.header_count = CPL_COUNT(many);
    check_refused(&r, &plain_keys, "more than 128 headers");
}

TEST(t_sigv4__a_date_header_of_the_same_value_may_be_there) {
    const cpl_header headers[] = {plain_headers[0], {CPL_LIT("X-AMZ-DATE"), CPL_LIT(" 20150830T123600Z")}};
    cpl_sign_request r = plain_request();
    cpl_signature with, without;
    cpl_signature_init(&with);
    cpl_signature_init(&without);
    CHECK(cpl_sigv4_sign(NULL, &r, &plain_keys, &without, NULL) == CPL_OK);
    r.headers = headers;
    r.header_count = 2;
    CHECK(cpl_sigv4_sign(NULL, &r, &plain_keys, &with, NULL) == CPL_OK);
    CHECK_STR(with.signature, without.signature);
    cpl_signature_release(&with);
    cpl_signature_release(&without);
}

/* ---- checking what arrived ---- */

#define CREDENTIAL "AKID/20150830/us-east-1/codepipeline/aws4_request"
#define SIG "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd"

static void check_claim(const char *authorization, const char *query, const char *words) {
    cpl_sigv4_claim claim;
    cpl_buf scratch;
    cpl_error err = {.status = CPL_OK};
    cpl_status status;
    cpl_buf_init(&scratch, 65536);
    status = cpl_sigv4_claim_read(&claim, cpl_str_of(authorization), cpl_str_of(query), &scratch, &err);
    if (words == NULL) {
        CHECK(status == CPL_OK);
    } else {
        CHECK(status == CPL_INVALID);
        if (!CHECK(strstr(err.message, words) != NULL)) printf("  %s\n", err.message);
    }
    cpl_buf_release(&scratch);
}

TEST(t_sigv4__a_claim_that_is_incomplete_is_refused_with_the_reason) {
    const char *h = "AWS4-HMAC-SHA256 Credential=" CREDENTIAL;
    char text[512];
    check_claim("AWS4-HMAC-SHA256 Credential=" CREDENTIAL ",SignedHeaders=host,Signature=" SIG, "", NULL);
    check_claim("AWS4-HMAC-SHA256 Signature=" SIG "  ,  SignedHeaders=host, Credential=" CREDENTIAL ",", "", NULL);
    check_claim("Basic YWxhZGRpbg==", "", "does not begin with AWS4-HMAC-SHA256");
    check_claim("AWS4-HMAC-SHA256", "", "does not begin with");
    check_claim("AWS4-HMAC-SHA256 ", "", "no \"Credential\"");
    check_claim(h, "", "no \"SignedHeaders\"");
    snprintf(text, sizeof text, "%s, SignedHeaders=host", h);
    check_claim(text, "", "no \"Signature\"");
    snprintf(text, sizeof text, "%s, SignedHeaders=host, Signature=abc", h);
    check_claim(text, "", "the signature has 3 characters, not 64");
    snprintf(text, sizeof text, "%s, SignedHeaders=host, SignedHeaders=host, Signature=" SIG, h);
    check_claim(text, "", "\"SignedHeaders\" is there twice");
    check_claim("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/aws4_request, SignedHeaders=host, Signature=" SIG,
                "", "the credential is not");
    check_claim("AWS4-HMAC-SHA256 Credential=AKID/2015/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=" SIG,
                "", "the credential is not");
    check_claim("AWS4-HMAC-SHA256 Credential=/////, SignedHeaders=host, Signature=" SIG, "", "the credential is not");
    check_claim("", "", "the query has no \"X-Amz-Algorithm\"");
}

#define PARAMETERS                                                     \
    "X-Amz-Credential=AKID%2F20150830%2Fus-east-1%2Fs3%2Faws4_request" \
    "&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Signature=" SIG
#define QUERY "X-Amz-Algorithm=AWS4-HMAC-SHA256&" PARAMETERS

TEST(t_sigv4__a_presigned_claim_is_decoded_and_checked) {
    cpl_sigv4_claim claim;
    cpl_buf scratch;
    cpl_buf_init(&scratch, 65536);
    cpl_buf_adds(&scratch, "something before"); /* what is there stays */
    NEED(cpl_sigv4_claim_read(&claim, (cpl_str){NULL, 0},
                              cpl_str_of(QUERY "&X-Amz-Expires=60&X-Amz-Security-Token=a%2Fb%3D&list-type=2"), &scratch,
                              NULL) == CPL_OK);
    CHECK(cpl_str_is(claim.access_key_id, "AKID"));
    CHECK(cpl_str_is(claim.region, "us-east-1"));
    CHECK(cpl_str_is(claim.session_token, "a/b="));
    CHECK(cpl_str_is(claim.timestamp, "20150830T123600Z"));
    CHECK(claim.presigned && claim.expires_s == 60);
    CHECK(strncmp(cpl_buf_cstr(&scratch), "something before", 16) == 0);
    cpl_buf_release(&scratch);
    check_claim("", QUERY, "no \"X-Amz-Expires\"");
    check_claim("", QUERY "&X-Amz-Expires=0", "not a number from 1 to 604800");
    check_claim("", QUERY "&X-Amz-Expires=604801", "not a number");
    check_claim("", QUERY "&X-Amz-Expires=1x", "not a number");
    check_claim("", QUERY "&X-Amz-Expires=60&X-Amz-Date=20150830T123600Z", "\"X-Amz-Date\" is there twice");
    check_claim("", "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Expires=60&" QUERY,
                "\"X-Amz-Algorithm\" is there twice");
    check_claim("", "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Expires=60&" PARAMETERS,
                "X-Amz-Algorithm is not AWS4-HMAC-SHA256");
}

/* Signs a plain request, lets change() spoil it, and checks it. */
typedef struct arrival {
    cpl_sign_request request;
    cpl_header headers[4];
    cpl_sigv4_claim claim;
    cpl_credentials keys;
} arrival;

static cpl_status arrive(void (*change)(arrival *), cpl_error *err) {
    arrival a = {.request = plain_request(), .keys = plain_keys};
    cpl_signer *signer = cpl_signer_new();
    cpl_signature signature, out;
    cpl_buf scratch;
    cpl_status status;
    cpl_buf_init(&scratch, 65536);
    cpl_signature_init(&signature);
    cpl_signature_init(&out);
    CHECK(cpl_sigv4_sign(NULL, &a.request, &plain_keys, &signature, NULL) == CPL_OK);
    a.headers[0] = plain_headers[0];
    a.headers[1] = (cpl_header){CPL_LIT("X-Amz-Date"), cpl_str_of(signature.date)};
    a.headers[2] = (cpl_header){CPL_LIT("User-Agent"), CPL_LIT("not signed")};
    a.request.headers = a.headers;
    a.request.header_count = 3;
    CHECK(cpl_sigv4_claim_read(&a.claim, cpl_buf_str(&signature.authorization), (cpl_str){NULL, 0}, &scratch, NULL) ==
          CPL_OK);
    if (change) change(&a);
    status = cpl_sigv4_verify(signer, &a.request, &a.claim, &a.keys, &out, err);
    CHECK(status == CPL_OK || out.signature[0] == '\0' || status != CPL_INVALID);
    cpl_signature_release(&signature);
    cpl_signature_release(&out);
    cpl_buf_release(&scratch);
    cpl_signer_free(signer);
    return status;
}

static void unsigned_header(arrival *a) {
    a->headers[2].value = CPL_LIT("something else");
}
static void other_body(arrival *a) {
    a->request.body = CPL_LIT("x");
}
static void other_path(arrival *a) {
    a->request.path = CPL_LIT("/x");
}
static void other_secret(arrival *a) {
    a->keys.secret_access_key = CPL_LIT("SECRET2");
}
static void no_secret(arrival *a) {
    a->keys.secret_access_key = (cpl_str){NULL, 0};
}
static void other_host(arrival *a) {
    a->headers[0].value = CPL_LIT("example.org");
}
static void second_host(arrival *a) {
    a->headers[2] = a->headers[0];
}
static void later_date(arrival *a) {
    a->headers[1].value = CPL_LIT("20150830T123601Z");
}
static void next_day(arrival *a) {
    a->headers[1].value = CPL_LIT("20150831T123600Z");
}
static void no_date(arrival *a) {
    a->headers[1].name = CPL_LIT("X-Other-Date");
}
static void host_not_signed(arrival *a) {
    a->claim.signed_headers = CPL_LIT("x-amz-date");
}
static void not_arrived(arrival *a) {
    a->claim.signed_headers = CPL_LIT("host;x-amz-date;x-amz-target");
}
static void other_region(arrival *a) {
    a->request.region = CPL_LIT("us-east-2");
}
static void other_service(arrival *a) {
    a->request.service = CPL_LIT("s3");
}

TEST(t_sigv4__what_changed_on_the_way_is_noticed) {
    static const struct {
        void (*change)(arrival *);
        const char *words;
    } rows[] = {
        {other_body, "does not match"},
        {other_path, "does not match"},
        {other_secret, "does not match"},
        {no_secret, "does not match"},
        {other_host, "does not match"},
        {second_host, "does not match"},
        {later_date, "does not match"},
        {next_day, "X-Amz-Date"},
        {no_date, "X-Amz-Date"},
        {host_not_signed, "the host header is not signed"},
        {not_arrived, "signed header \"x-amz-target\" did not arrive"},
        {other_region, "signed for region \"us-east-1\", not \"us-east-2\""},
        {other_service, "signed for service \"codepipeline\", not \"s3\""},
    };
    cpl_error err;
    CHECK(arrive(NULL, &err) == CPL_OK);
    CHECK(arrive(unsigned_header, &err) == CPL_OK);
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        CHECK(arrive(rows[i].change, &err) == CPL_INVALID);
        if (!CHECK(strstr(err.message, rows[i].words) != NULL)) printf("  %zu: %s\n", i, err.message);
    }
}

/* ---- the signer ---- */

static const char *const regions[] = {"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11"};

TEST(t_sigv4__more_keys_than_the_signer_keeps_give_the_same_signatures) {
    cpl_signer *signer = cpl_signer_new();
    cpl_signature kept, fresh;
    cpl_signature_init(&kept);
    cpl_signature_init(&fresh);
    for (size_t i = 0; i < 5 * CPL_COUNT(regions); i++) {
        cpl_sign_request r = plain_request();
        r.region = cpl_str_of(regions[i * 7 % CPL_COUNT(regions)]);
        CHECK(cpl_sigv4_sign(signer, &r, &plain_keys, &kept, NULL) == CPL_OK);
        CHECK(cpl_sigv4_sign(NULL, &r, &plain_keys, &fresh, NULL) == CPL_OK);
        CHECK_STR(kept.signature, fresh.signature);
    }
    cpl_signature_release(&kept);
    cpl_signature_release(&fresh);
    cpl_signer_free(signer);
}

typedef struct shared {
    cpl_signer *signer;
    char want[CPL_COUNT(regions)][CPL_SHA256_HEX_SIZE];
} shared;

static void *sign_often(void *argument) {
    shared *s = argument;
    void *failed = NULL;
    cpl_signature out;
    cpl_signature_init(&out);
    for (size_t i = 0; i < 2000 && !failed; i++) {
        size_t which = i % CPL_COUNT(regions);
        cpl_sign_request r = plain_request();
        r.region = cpl_str_of(regions[which]);
        if (cpl_sigv4_sign(s->signer, &r, &plain_keys, &out, NULL) || strcmp(out.signature, s->want[which]) != 0)
            failed = s;
    }
    cpl_signature_release(&out);
    return failed;
}

TEST(t_sigv4__eight_threads_share_a_signer) {
    pthread_t threads[8];
    shared s = {.signer = cpl_signer_new()};
    cpl_signature out;
    cpl_signature_init(&out);
    for (size_t i = 0; i < CPL_COUNT(regions); i++) {
        cpl_sign_request r = plain_request();
        r.region = cpl_str_of(regions[i]);
        CHECK(cpl_sigv4_sign(NULL, &r, &plain_keys, &out, NULL) == CPL_OK);
        memcpy(s.want[i], out.signature, sizeof s.want[i]);
    }
    for (size_t i = 0; i < CPL_COUNT(threads); i++) pthread_create(&threads[i], NULL, sign_often, &s);
    for (size_t i = 0; i < CPL_COUNT(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
    cpl_signature_release(&out);
    cpl_signer_free(s.signer);
}

TEST(t_sigv4__every_failing_allocation_is_reported_and_nothing_leaks) {
    for (int presign = 0; presign < 2; presign++) {
        cpl_status status = CPL_NOMEM;
        size_t n = 1;
        for (; n < 200 && status; n++) {
            cpl_sign_request r = plain_request();
            cpl_signer *signer = cpl_signer_new();
            cpl_signature out;
            cpl_error err;
            r.query = CPL_LIT("b=1&a=2");
            r.flags = presign ? CPL_SIGN_QUERY : 0;
            r.expires_s = 60;
            cpl_signature_init(&out);
            cpl_alloc_fail_at(n);
            status = cpl_sigv4_sign(signer, &r, &plain_keys, &out, &err);
            cpl_alloc_fail_at(0);
            CHECK(status == CPL_OK || (status == CPL_NOMEM && out.signature[0] == '\0'));
            cpl_signature_release(&out);
            cpl_signer_free(signer);
        }
        CHECK(status == CPL_OK && n > 4);
    }
}

TEST_MAIN
