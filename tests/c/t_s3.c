/* SPDX-License-Identifier: MIT */
#include "bucket.h"

TEST(t_s3__what_was_put_is_got) {
    bucket b;
    cpl_error err = {0};
    int64_t size = 0;
    cpl_s3_source source = bytes_of(large, sizeof large);
    NEED(open_bucket(&b));
    if (!CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, sizeof large, &size, &err) == CPL_OK && size == LARGE);
    check_content(b.fd, large, sizeof large);
    source = bytes_of("", 0);
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK);
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 0, &size, &err) == CPL_OK && size == 0);
    check_content(b.fd, "", 0);
    CHECK(cpl_s3_create_bucket(&b.s3, &b.target, &err) == CPL_OK); /* ours already */
    close_bucket(&b);
}

TEST(t_s3__a_large_object_goes_up_in_parts) {
    bucket b;
    cpl_error err = {0};
    int64_t size = 0;
    int from = empty_file();
    cpl_s3_source source = {.from_fd = true, .fd = from, .size = (10 << 20) + 123, .sse = CPL_LIT("aws:kms")};
    char *whole = malloc((size_t)source.size);
    for (int64_t i = 0; i < source.size; i++) whole[i] = (char)(i >> 5 ^ i);
    NEED(open_bucket(&b));
    NEED(write(from, whole, (size_t)source.size) == (ssize_t)source.size);
    b.s3.multipart_from = 1 << 20;
    b.s3.part_size = 5 << 20;
    if (!CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(cpl_s3_head(&b.s3, &b.target, &size, &err) == CPL_OK && size == source.size);
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, source.size, &size, &err) == CPL_OK);
    check_content(b.fd, whole, (size_t)source.size);
    free(whole);
    close(from);
    close_bucket(&b);
}

TEST(t_s3__what_is_not_there_is_an_error_with_its_name) {
    bucket b;
    cpl_error err = {0};
    int64_t size;
    NEED(open_bucket(&b));
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "NoSuchKey");
    CHECK(err.http_status == 404 && err.attempts == 1 && !err.retryable && err.request_id[0]);
    CHECK_STR(err.operation, "GetObject");
    CHECK(strstr(err.message, "s3://box/a key/with"));
    CHECK(cpl_s3_head(&b.s3, &b.target, &size, &err) == CPL_SERVICE && err.http_status == 404);
    b.who.secret_access_key = CPL_LIT("wrong");
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "SignatureDoesNotMatch");
    close_bucket(&b);
}

TEST(t_s3__an_object_over_the_limit_is_refused) {
    bucket b;
    cpl_error err = {0};
    cpl_s3_source source = bytes_of(large, sizeof large);
    NEED(open_bucket(&b));
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK);
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, LARGE - 1, NULL, &err) == CPL_TOO_LARGE);
    CHECK(strstr(err.message, "limit of 299999 bytes"));
    close_bucket(&b);
}

static const char slow_down[] = "<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>";
static const char internal[] = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>x</Message></Error>";

TEST(t_s3__passing_failures_are_sent_again) {
    static const fault_step steps[] = {
        {.kind = FAULT_CLOSE},
        {.status = 500, .body = internal},
        {.head = ETAG, .body = "hello"},
    };
    bucket b;
    cpl_error err = {0};
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_OK);
    check_content(b.fd, "hello", 5);
    CHECK(fault_server_requests(b.faults) == 3);
    close_bucket(&b);
}

TEST(t_s3__half_a_body_leaves_nothing_behind_the_whole_one) {
    static const fault_step steps[] = {
        {.head = ETAG, .body = "a longer text that breaks off", .claimed_length = 500, .close = true},
        {.head = ETAG, .body = "hello"},
    };
    bucket b;
    cpl_error err = {0};
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 1000, NULL, &err) == CPL_OK);
    check_content(b.fd, "hello", 5);
    close_bucket(&b);
}

TEST(t_s3__attempts_end_and_are_counted) {
    static const fault_step steps[] = {{.status = 503, .body = slow_down}};
    bucket b;
    cpl_error err = {0};
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "SlowDown");
    CHECK(err.attempts == 3 && err.retryable && err.http_status == 503);
    close_bucket(&b);
}

TEST(t_s3__a_bucket_elsewhere_is_asked_there_once_and_location_is_not_followed) {
    static const fault_step steps[] = {
        {.status = 301,
         .head = "x-amz-bucket-region: eu-west-3\r\nLocation: http://127.0.0.1:1/elsewhere\r\n",
         .body = "<Error><Code>PermanentRedirect</Code></Error>"},
        {.head = ETAG, .body = "hello"},
        {.status = 301,
         .head = "x-amz-bucket-region: eu-west-3\r\n",
         .body = "<Error><Code>PermanentRedirect</Code></Error>"},
        {.status = 301,
         .head = "x-amz-bucket-region: eu-west-1\r\n",
         .body = "<Error><Code>PermanentRedirect</Code></Error>"},
        {.status = 400, .body = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>ap-south-1</Region></Error>"},
        {.head = ETAG, .body = "there"},
    };
    bucket b;
    cpl_error err = {0};
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_OK);
    CHECK(strstr(fault_server_request(b.faults, 0), "/us-east-1/s3/aws4_request"));
    CHECK(strstr(fault_server_request(b.faults, 1), "/eu-west-3/s3/aws4_request"));
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "PermanentRedirect");
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_OK);
    CHECK(strstr(fault_server_request(b.faults, 5), "/ap-south-1/s3/aws4_request"));
    close_bucket(&b);
}

TEST(t_s3__a_put_says_how_the_object_is_encrypted) {
    static const fault_step steps[] = {{.head = ETAG, .body = ""}};
    bucket b;
    cpl_error err = {0};
    const char *request;
    cpl_s3_source source = {.bytes = CPL_LIT("hello"),
                            .content_type = CPL_LIT("application/zip"),
                            .sse = CPL_LIT("aws:kms"),
                            .kms_key_id = CPL_LIT("arn:aws:kms:us-east-1:1:key/k")};
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK);
    request = fault_server_request(b.faults, 0);
    CHECK(strncmp(request, "PUT /box/key HTTP/1.1\r\n", 23) == 0);
    CHECK(strstr(request, "x-amz-server-side-encryption: aws:kms\r\n"));
    CHECK(strstr(request, "x-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:us-east-1:1:key/k\r\n"));
    CHECK(strstr(request, "content-type: application/zip\r\n"));
    CHECK(strstr(request, "x-amz-security-token: token\r\n"));
    CHECK(strstr(request,
                 "SignedHeaders=content-type;host;x-amz-checksum-sha256;x-amz-content-sha256;x-amz-date;x-amz-security-"
                 "token;x-amz-server-side-encryption;x-amz-server-side-encryption-aws-kms-key-id"));
    CHECK(strstr(request, "x-amz-checksum-sha256: LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=\r\n"));
    CHECK(strstr(request, "x-amz-content-sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"));
    close_bucket(&b);
}

static const char upload_id[] =
    "<InitiateMultipartUploadResult><UploadId>a/b</UploadId></InitiateMultipartUploadResult>";

TEST(t_s3__parts_are_taken_back_when_one_fails) {
    static const fault_step steps[] = {
        {.body = upload_id},
        {.status = 403, .body = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"},
    };
    bucket b;
    cpl_error err = {0};
    cpl_s3_source source = bytes_of(large, 250);
    int deleted = 0;
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    b.s3.multipart_from = b.s3.part_size = 100;
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "AccessDenied");
    CHECK_STR(err.operation, "UploadPart");
    CHECK(strncmp(fault_server_request(b.faults, 1), "PUT /box/key?partNumber=", 24) == 0);
    /* parts beside the one that was refused may have been sent, and be read by the server after it */
    for (size_t i = 2; i < fault_server_requests(b.faults); i++) {
        deleted += strncmp(fault_server_request(b.faults, i), "DELETE /box/key?uploadId=a%2Fb ", 31) == 0;
    }
    CHECK(deleted == 1);
    close_bucket(&b);
}

TEST(t_s3__an_error_under_status_200_is_an_error) {
    static const fault_step steps[] = {
        {.body = upload_id},
        {.head = "ETag: \"1\"\r\n", .body = ""},
        {.body = internal},
        {.body = "<CompleteMultipartUploadResult/>"},
    };
    bucket b;
    cpl_error err = {0};
    cpl_s3_source source = bytes_of(large, 100);
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    b.s3.multipart_from = 99;
    b.s3.part_size = 100;
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK);
    CHECK(fault_server_requests(b.faults) == 4);
    CHECK(strstr(fault_server_request(b.faults, 3),
                 "<Part><PartNumber>1</PartNumber><ETag>&quot;1&quot;</ETag>"
                 "<ChecksumCRC64NVME>"));
    close_bucket(&b);
}

TEST(t_s3__a_lost_answer_to_the_last_call_is_settled_by_the_object) {
    static const fault_step steps[] = {
        {.body = upload_id},
        {.head = "ETag: \"1\"\r\n", .body = ""},
        {.kind = FAULT_RESET},
        {.status = 404, .body = "<Error><Code>NoSuchUpload</Code></Error>"},
        {.head = ETAG, .claimed_length = 100},
    };
    bucket b;
    cpl_error err = {0};
    cpl_s3_source source = bytes_of(large, 100);
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    b.s3.multipart_from = 99;
    b.s3.part_size = 100;
    if (!CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(strncmp(fault_server_request(b.faults, 4), "HEAD /box/key ", 14) == 0);
    close_bucket(&b);
}

/* ---- who answers ---- */

#define PAGE "<html>welcome to the hotel's network</html>"
#define PORTAL \
    { .head = "Content-Type: text/html\r\n", .body = PAGE }

static const char complete[] = "  \n<CompleteMultipartUploadResult/>"; /* spaces are S3's own way to say wait */

TEST(t_s3__a_portal_s_page_is_no_artifact) {
    static const fault_step pages[] = {
        PORTAL,
        {.status = 302, .head = "Location: http://127.0.0.1:1/login\r\n", .body = PAGE},
        {.body = PAGE, .filler_body = 1000}, /* larger than the limit */
        {.body = "", .filler_head = 100000}, /* a head without end */
        {.status = 206, .body = "", .close = true},
    };
    for (size_t i = 0; i < CPL_COUNT(pages); i++) {
        const fault_step steps[] = {pages[i], {.head = ETAG, .body = "hello"}};
        bucket b;
        cpl_error err = {0};
        NEED(open_faults(&b, steps, CPL_COUNT(steps)));
        b.s3.max_attempts = 1;
        CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_PROTOCOL && err.retryable);
        if (!CHECK(strstr(err.message, " did not answer as S3 does") && strstr(err.message, "(s3://box/key)"))) {
            printf("  row %zu: %s\n", i, err.message);
        }
        CHECK_STR(cpl_failure_type(&err), "SystemUnavailable");
        close_bucket(&b);
        NEED(open_faults(&b, steps, CPL_COUNT(steps)));
        CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_OK); /* and it passes */
        check_content(b.fd, "hello", 5);
        close_bucket(&b);
    }
}

TEST(t_s3__what_a_portal_took_was_not_uploaded) {
    static const fault_step steps[] = {PORTAL, {.head = ETAG, .body = ""}};
    bucket b;
    cpl_error err = {0};
    cpl_s3_source source = bytes_of("hello", 5);
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK && fault_server_requests(b.faults) == 2);
    close_bucket(&b);
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    b.s3.max_attempts = 1;
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_PROTOCOL);
    CHECK(strstr(err.message, " did not answer as S3 does"));
    close_bucket(&b);
}

/* Each step of an upload in parts meets the portal once. */
TEST(t_s3__nor_what_it_took_of_an_upload_in_parts) {
    static const fault_step steps[] = {PORTAL,
                                       {.body = upload_id},
                                       PORTAL,
                                       {.head = ETAG, .body = ""},
                                       PORTAL,
                                       {.body = "<html/>"},
                                       {.body = complete}};
    bucket b;
    cpl_error err = {0};
    cpl_s3_source source = bytes_of(large, 100);
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    b.s3.multipart_from = 99;
    b.s3.part_size = 100;
    if (!CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(fault_server_requests(b.faults) == CPL_COUNT(steps));
    close_bucket(&b);
}

/* A part is refused, and what was sent is taken back once S3 itself has said so. */
TEST(t_s3__nor_was_it_taken_back) {
    static const fault_step steps[] = {
        {.body = upload_id}, {.status = 403, .body = ""}, PORTAL, {.status = 204, .body = ""}};
    bucket b;
    cpl_error err = {0};
    cpl_s3_source source = bytes_of(large, 100);
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    b.s3.multipart_from = 99;
    b.s3.part_size = 100;
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_SERVICE);
    CHECK(fault_server_requests(b.faults) == CPL_COUNT(steps));
    close_bucket(&b);
}

/* ---- patience ---- */

typedef struct patient {
    cpl_s3_patience patience;
    int asked, enough; /* how often; 0: it never ends */
} patient;

static bool has_enough(void *context) {
    patient *p = context;
    return p->enough && ++p->asked >= p->enough;
}

/* May not move: its address is in it. */
static void be_patient(bucket *b, patient *p, int64_t most_ms) {
    p->patience = (cpl_s3_patience){.most_ms = most_ms, .ends = has_enough, .context = p};
    b->target.patience = &p->patience;
}

#define UNWELL \
    { .status = 500, .body = internal }

TEST(t_s3__patience_counts_time_and_not_attempts) {
    static const fault_step steps[] = {
        UNWELL, {.kind = FAULT_CLOSE}, {.kind = FAULT_RESET}, UNWELL, {.head = ETAG, .body = "hello"}};
    bucket b;
    cpl_error err = {0};
    patient p = {0};
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    be_patient(&b, &p, 60000);
    b.s3.max_attempts = 1;
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_OK);
    CHECK(fault_server_requests(b.faults) == 5);
    close_bucket(&b);
}

TEST(t_s3__patience_has_an_end_and_none_with_what_does_not_pass) {
    static const fault_step unwell[] = {UNWELL};
    static const fault_step refused[] = {{.status = 403, .body = "<Error><Code>AccessDenied</Code></Error>"}};
    bucket b;
    cpl_error err = {0};
    patient p = {0};
    NEED(open_faults(&b, unwell, 1));
    be_patient(&b, &p, 200);
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "InternalError");
    CHECK(err.retryable && err.attempts >= 2);
    p.enough = 1; /* nobody needs it any more */
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_SERVICE && err.attempts == 1);
    close_bucket(&b);
    NEED(open_faults(&b, refused, 1));
    p.enough = 0;
    be_patient(&b, &p, 60000);
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_SERVICE);
    CHECK(fault_server_requests(b.faults) == 1);
    close_bucket(&b);
}

static int refuse(void *context) {
    (void)context;
    return 1;
}

TEST(t_s3__a_tick_and_a_time_limit_end_it) {
    static const fault_step steps[] = {{.kind = FAULT_STALL}};
    bucket b;
    cpl_error err = {0};
    cpl_wait wait = {.timeout_ms = 150};
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    b.target.wait = &wait;
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_TIMEOUT);
    wait = (cpl_wait){.tick = refuse};
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_CANCELLED);
    close_bucket(&b);
}

TEST(t_s3__without_an_override_the_bucket_is_in_the_host_name) {
    bucket b;
    cpl_error err = {0};
    NEED(open_faults(&b, NULL, 0));
    b.s3.endpoint_url = (cpl_str){NULL, 0};
    b.s3.region = CPL_LIT("no such region");
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_CONFIG);
    close_bucket(&b);
}

TEST_MAIN
