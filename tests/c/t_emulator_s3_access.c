/* SPDX-License-Identifier: MIT */
/* How a body arrives, and who may send and read it. */
#include "s3_session.h"

TEST(t_emulator_s3__unsigned_chunks_are_put_together_and_their_trailer_checked) {
    static const char *const lines[] = {"content-encoding: aws-chunked", "x-amz-decoded-content-length: 5",
                                        "x-amz-trailer: x-amz-checksum-crc32", NULL};
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    s.hash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    CHECK(ask(&s, "PUT", "/bucket/k", lines,
              CPL_LIT("3\r\nhel\r\n2\r\nlo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n")) == 200);
    ask(&s, "PUT", "/bucket/bad", lines, CPL_LIT("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"));
    refused(&s, 400, "BadDigest");
    ask(&s, "PUT", "/bucket/bad", lines, CPL_LIT("5\r\nhello\r\n0\r\n\r\n"));
    refused(&s, 400, "MalformedTrailerError");
    ask(&s, "PUT", "/bucket/bad", lines, CPL_LIT("4\r\nhell\r\n0\r\n\r\n"));
    refused(&s, 400, "IncompleteBody");
    ask(&s, "PUT", "/bucket/bad", lines, CPL_LIT("5\r\nhel"));
    refused(&s, 400, "IncompleteBody");
    ask(&s, "PUT", "/bucket/bad", lines, CPL_LIT("5\r\nhello\r\n"));
    refused(&s, 400, "IncompleteBody");
    ask(&s, "PUT", "/bucket/bad", lines, CPL_LIT("five\r\nhello\r\n0\r\n\r\n"));
    refused(&s, 400, "InvalidRequest");
    s.hash = NULL;
    CHECK(get(&s, "/bucket/bad") == 404);
    CHECK(get(&s, "/bucket/k") == 200);
    CHECK_STR(s.text, "hello");
    CHECK(header(&s, "content-encoding") == NULL);
    session_close(&s);
}

/* The examples of "Authenticating requests: transferring payload in multiple chunks" in the S3 API reference. */
#define EXAMPLE_BYTES 66560
#define EXAMPLE_AUTHORIZATION \
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"

static void add_chunk(cpl_buf *out, size_t n, const char *signature) {
    cpl_buf_addf(out, "%zx;chunk-signature=%s\r\n", n, signature);
    for (size_t i = 0; i < n; i++) cpl_buf_addc(out, 'a');
    if (n > 0) cpl_buf_adds(out, "\r\n");
}

static int ask_example(const char *const *lines, const cpl_buf *body, session *s) {
    cpl_header headers[HEADERS_MAX];
    emu_request request = {.method = CPL_LIT("PUT"),
                           .path = CPL_LIT("/examplebucket/chunkObject.txt"),
                           .headers = headers,
                           .header_count = add_lines(headers, 0, lines),
                           .body = cpl_buf_str(body)};
    *s =
        session_open(&(cpl_emulator_options){.access_key_id = CPL_LIT("AKIAIOSFODNN7EXAMPLE"),
                                             .secret_access_key = CPL_LIT("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")});
    s->now_s = 1369353600; /* 2013-05-24 */
    CHECK(emu_s3_create_bucket(s->e, "examplebucket"));
    return answer(s, &request);
}

static const char *const example_lines[] = {
    "Host: s3.amazonaws.com",
    "x-amz-date: 20130524T000000Z",
    "x-amz-storage-class: REDUCED_REDUNDANCY",
    EXAMPLE_AUTHORIZATION
    ",SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
    "x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "Content-Encoding: aws-chunked",
    "x-amz-decoded-content-length: 66560",
    "Content-Length: 66824",
    NULL};

TEST(t_emulator_s3__signed_chunks_of_the_services_own_example_are_accepted) {
    session s;
    emu_object object;
    cpl_buf body;
    cpl_buf_init(&body, 1 << 20);
    add_chunk(&body, 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
    add_chunk(&body, 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
    add_chunk(&body, 0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
    cpl_buf_adds(&body, "\r\n");
    CHECK(body.n == 66824);
    if (!CHECK(ask_example(example_lines, &body, &s) == 200)) printf("  %s\n", s.text);
    CHECK(emu_s3_get(s.e, "examplebucket", "chunkObject.txt", &object) && object.body.n == EXAMPLE_BYTES);
    session_close(&s);
    body.p[1000] = 'b'; /* one byte of the first chunk */
    ask_example(example_lines, &body, &s);
    refused(&s, 403, "SignatureDoesNotMatch");
    CHECK(!emu_s3_get(s.e, "examplebucket", "chunkObject.txt", &object));
    session_close(&s);
    cpl_buf_release(&body);
}

static const char *const trailer_lines[] = {
    "Host: s3.amazonaws.com",
    "x-amz-date: 20130524T000000Z",
    "x-amz-storage-class: REDUCED_REDUNDANCY",
    EXAMPLE_AUTHORIZATION
    ",SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
    "x-amz-storage-class;x-amz-trailer,Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "Content-Encoding: aws-chunked",
    "x-amz-decoded-content-length: 66560",
    "x-amz-trailer: x-amz-checksum-crc32c",
    NULL};

static void trailer_body(cpl_buf *body, const char *signature) {
    cpl_buf_clear(body);
    add_chunk(body, 65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2");
    add_chunk(body, 1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7");
    add_chunk(body, 0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992");
    cpl_buf_addf(body, "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:%s\r\n\r\n", signature);
}

TEST(t_emulator_s3__a_signed_trailer_of_the_services_own_example_is_accepted) {
    session s;
    emu_object object;
    cpl_buf body;
    cpl_buf_init(&body, 1 << 20);
    trailer_body(&body, "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435");
    if (!CHECK(ask_example(trailer_lines, &body, &s) == 200)) printf("  %s\n", s.text);
    CHECK(emu_s3_get(s.e, "examplebucket", "chunkObject.txt", &object) && object.body.n == EXAMPLE_BYTES);
    session_close(&s);
    trailer_body(&body, "0000000000000000000000000000000000000000000000000000000000000000");
    ask_example(trailer_lines, &body, &s);
    refused(&s, 403, "SignatureDoesNotMatch");
    session_close(&s);
    cpl_buf_release(&body);
}

/* ---- who may ---- */

#define JOB_KEY "ASIAJOB"

static void add_grant(session *s) {
    static const char text[] =
        "{\"secret\":\"job-secret\",\"token\":\"job-token\",\"expires\":1800003600,\"jobId\":\"j\","
        "\"read\":[{\"bucket\":\"bucket\",\"key\":\"in/source.zip\"}],"
        "\"write\":[{\"bucket\":\"bucket\",\"key\":\"out/binary.zip\"}]}";
    cpl_json *doc = NULL;
    CHECK(cpl_json_parse(cpl_str_of(text), &doc, NULL) == CPL_OK);
    CHECK(emu_store_put(emu_store_of(s->e), EMU_GRANT, JOB_KEY, doc));
    put(s, "/bucket", "");
    put(s, "/bucket/in/source.zip", "source");
    put(s, "/bucket/in/other.zip", "other");
    s->keys = (cpl_credentials){.access_key_id = CPL_LIT(JOB_KEY),
                                .secret_access_key = CPL_LIT("job-secret"),
                                .session_token = CPL_LIT("job-token")};
}

TEST(t_emulator_s3__a_job_may_read_its_inputs_and_write_its_outputs) {
    session s = session_open(NULL);
    char id[64] = "", target[128];
    const char *at;
    add_grant(&s);
    CHECK(get(&s, "/bucket/in/source.zip") == 200);
    CHECK_STR(s.text, "source");
    CHECK(ask(&s, "HEAD", "/bucket/in/source.zip", NULL, CPL_LIT("")) == 200);
    CHECK(put(&s, "/bucket/out/binary.zip", "made") == 200);
    CHECK(ask(&s, "POST", "/bucket/out/binary.zip?uploads", NULL, CPL_LIT("")) == 200);
    at = strstr(s.text, "<UploadId>");
    NEED(at);
    snprintf(id, sizeof id, "%.36s", at + 10);
    snprintf(target, sizeof target, "/bucket/out/binary.zip?partNumber=1&uploadId=%s", id);
    CHECK(put(&s, target, "part") == 200);
    snprintf(target, sizeof target, "/bucket/out/binary.zip?uploadId=%s", id);
    CHECK(ask(&s, "DELETE", target, NULL, CPL_LIT("")) == 204);
    session_close(&s);
}

TEST(t_emulator_s3__a_job_may_do_nothing_else) {
    static const struct {
        const char *method, *target;
    } cases[] = {{"GET", "/bucket/in/other.zip"},
                 {"HEAD", "/bucket/in/other.zip"},
                 {"PUT", "/bucket/in/source.zip"},
                 {"GET", "/bucket/out/binary.zip"},
                 {"DELETE", "/bucket/out/binary.zip"},
                 {"DELETE", "/bucket/in/source.zip"},
                 {"GET", "/"},
                 {"GET", "/bucket?list-type=2"},
                 {"PUT", "/new-bucket"},
                 {"DELETE", "/bucket"},
                 {"POST", "/bucket?delete"},
                 {"GET", "/bucket?uploads"},
                 {"PUT", "/bucket?versioning"},
                 {"POST", "/bucket/in/source.zip?uploads"},
                 {"GET", "/bucket/in/source.zip/"},
                 {"GET", "/elsewhere/in/source.zip"}};
    static const char *const steal[] = {"x-amz-copy-source: bucket/in/other.zip", NULL};
    session s = session_open(NULL);
    add_grant(&s);
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        ask(&s, cases[i].method, cases[i].target, NULL, CPL_LIT(""));
        if (s.response.status != 403) printf("  %s %s\n", cases[i].method, cases[i].target);
        refused(&s, 403, "AccessDenied");
    }
    ask(&s, "PUT", "/bucket/out/binary.zip", steal, CPL_LIT(""));
    refused(&s, 403, "AccessDenied");
    session_close(&s);
}

TEST(t_emulator_s3__a_jobs_credentials_expire_and_must_be_whole) {
    session s = session_open(NULL);
    add_grant(&s);
    s.keys.session_token = CPL_LIT("");
    get(&s, "/bucket/in/source.zip");
    refused(&s, 400, "InvalidToken");
    s.keys.session_token = CPL_LIT("another");
    get(&s, "/bucket/in/source.zip");
    refused(&s, 400, "InvalidToken");
    s.keys.session_token = CPL_LIT("job-token");
    s.keys.secret_access_key = CPL_LIT("guess");
    get(&s, "/bucket/in/source.zip");
    refused(&s, 403, "SignatureDoesNotMatch");
    s.keys.secret_access_key = CPL_LIT("job-secret");
    s.now_s = 1800003599;
    CHECK(get(&s, "/bucket/in/source.zip") == 200);
    s.now_s = 1800003600;
    get(&s, "/bucket/in/source.zip");
    refused(&s, 400, "ExpiredToken");
    session_close(&s);
}

TEST(t_emulator_s3__each_wrong_signature_is_refused_in_s3s_words) {
    session s = session_open(NULL), good = s;
    emu_request bare = {.method = CPL_LIT("GET"), .path = CPL_LIT("/bucket/k"), .query = CPL_LIT("")};
    put(&s, "/bucket", "");
    answer(&s, &bare);
    refused(&s, 403, "AccessDenied");
    bare.query = CPL_LIT("AWSAccessKeyId=A&Signature=b&Expires=1");
    answer(&s, &bare);
    refused(&s, 400, "InvalidRequest");
    CHECK(has(&s, "Please use AWS4-HMAC-SHA256."));
    s.keys.secret_access_key = CPL_LIT("no");
    get(&s, "/bucket/k");
    refused(&s, 403, "SignatureDoesNotMatch");
    s.keys = good.keys;
    s.keys.access_key_id = CPL_LIT("AKIDNOBODY");
    get(&s, "/bucket/k");
    refused(&s, 403, "InvalidAccessKeyId");
    s.keys = good.keys;
    s.region = "eu-west-1";
    get(&s, "/bucket/k");
    refused(&s, 400, "AuthorizationHeaderMalformed");
    CHECK(has(&s, "the region 'eu-west-1' is wrong; expecting 'us-east-1'"));
    s.region = good.region;
    s.service = "codepipeline";
    get(&s, "/bucket/k");
    refused(&s, 400, "AuthorizationHeaderMalformed");
    s.service = good.service;
    s.skew_s = 901;
    get(&s, "/bucket/k");
    refused(&s, 403, "RequestTimeTooSkewed");
    s.skew_s = 899;
    get(&s, "/bucket/k");
    refused(&s, 404, "NoSuchKey");
    session_close(&s);
}

static int ask_presigned(session *s, int64_t expires_s, int64_t later_s) {
    const cpl_header host = {CPL_LIT("host"), CPL_LIT("127.0.0.1:1")};
    const cpl_sign_request signing = {.method = CPL_LIT("GET"),
                                      .path = CPL_LIT("/bucket/k"),
                                      .headers = &host,
                                      .header_count = 1,
                                      .payload_hash = CPL_LIT("UNSIGNED-PAYLOAD"),
                                      .region = CPL_LIT("us-east-1"),
                                      .service = CPL_LIT("s3"),
                                      .time_s = s->now_s,
                                      .expires_s = expires_s,
                                      .flags = CPL_SIGN_S3 | CPL_SIGN_QUERY};
    emu_request request = {.method = CPL_LIT("GET"), .path = signing.path, .headers = &host, .header_count = 1};
    cpl_signature signature;
    int status;
    cpl_signature_init(&signature);
    CHECK(cpl_sigv4_sign(NULL, &signing, &s->keys, &signature, NULL) == CPL_OK);
    request.query = cpl_buf_str(&signature.query);
    s->now_s += later_s;
    status = answer(s, &request);
    cpl_signature_release(&signature);
    return status;
}

TEST(t_emulator_s3__a_presigned_url_works_until_it_expires) {
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    put(&s, "/bucket/k", "hello");
    CHECK(ask_presigned(&s, 3600, 3599) == 200);
    CHECK_STR(s.text, "hello");
    CHECK(ask_presigned(&s, 60, 61) == 403 && has(&s, "<Message>Request has expired</Message>"));
    session_close(&s);
}

TEST(t_emulator_s3__a_body_over_the_ceiling_is_too_large) {
    session s = session_open(NULL);
    const char *owner[] = {"x-amz-expected-bucket-owner: 999999999999", NULL};
    emu_request request = {.method = CPL_LIT("PUT"), .path = CPL_LIT("/bucket/k"), .too_large = true};
    put(&s, "/bucket", "");
    answer(&s, &request);
    refused(&s, 400, "EntityTooLarge");
    ask(&s, "GET", "/bucket/k", owner, CPL_LIT(""));
    refused(&s, 403, "AccessDenied");
    session_close(&s);
}

TEST_MAIN
