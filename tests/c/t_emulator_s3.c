/* SPDX-License-Identifier: MIT */
/* Buckets, objects, lists, versions and uploads; who may do what is in t_emulator_s3_access.c. */
#include "../../core/checksum.h"
#include "s3_session.h"

/* ---- buckets ---- */

TEST(t_emulator_s3__buckets_are_made_listed_and_removed) {
    session s = session_open(NULL);
    CHECK(put(&s, "/bucket-1", "") == 200);
    CHECK(put(&s, "/bucket-2", "") == 200);
    CHECK(put(&s, "/bucket-1", "") == 200); /* us-east-1 does not mind */
    CHECK(get(&s, "/") == 200);
    CHECK(has(&s, "<Bucket><Name>bucket-1</Name><CreationDate>2027-01-15T08:00:00.000Z</CreationDate></Bucket>"));
    CHECK(ask(&s, "HEAD", "/bucket-1", NULL, CPL_LIT("")) == 200);
    CHECK_STR(header(&s, "x-amz-bucket-region"), "us-east-1");
    CHECK(put(&s, "/bucket-1/k", "x") == 200);
    ask(&s, "DELETE", "/bucket-1", NULL, CPL_LIT(""));
    refused(&s, 409, "BucketNotEmpty");
    CHECK(ask(&s, "DELETE", "/bucket-2", NULL, CPL_LIT("")) == 204);
    get(&s, "/bucket-2?list-type=2");
    refused(&s, 404, "NoSuchBucket");
    session_close(&s);
}

TEST(t_emulator_s3__a_bucket_name_must_be_one) {
    static const char *const names[] = {"/ab", "/Upper", "/under_score", "/-dash", "/dot..dot", "/end."};
    session s = session_open(NULL);
    for (size_t i = 0; i < CPL_COUNT(names); i++) {
        put(&s, names[i], "");
        refused(&s, 400, "InvalidBucketName");
    }
    session_close(&s);
}

TEST(t_emulator_s3__outside_us_east_1_the_region_is_named_and_a_second_creation_refused) {
    session s = session_open(&(cpl_emulator_options){
        .region = CPL_LIT("eu-west-1"), .access_key_id = CPL_LIT(OWNER), .secret_access_key = CPL_LIT("owner-secret")});
    const char *eu =
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>"
        "eu-west-1</LocationConstraint></CreateBucketConfiguration>";
    s.region = "eu-west-1";
    put(&s, "/bucket", "");
    refused(&s, 400, "IllegalLocationConstraintException");
    put(&s, "/bucket",
        "<CreateBucketConfiguration><LocationConstraint>mars-1</LocationConstraint></CreateBucketConfiguration>");
    refused(&s, 400, "IllegalLocationConstraintException");
    put(&s, "/bucket", "<CreateBucketConfiguration>");
    refused(&s, 400, "MalformedXML");
    CHECK(put(&s, "/bucket", eu) == 200);
    put(&s, "/bucket", eu);
    refused(&s, 409, "BucketAlreadyOwnedByYou");
    CHECK(get(&s, "/bucket?location") == 200 && has(&s, ">eu-west-1</LocationConstraint>"));
    session_close(&s);
}

/* ---- objects ---- */

TEST(t_emulator_s3__an_object_comes_back_with_all_that_was_said_of_it) {
    static const char *const lines[] = {"Content-Type: text/plain",
                                        "x-amz-meta-Colour: blue",
                                        "Cache-Control: no-store",
                                        "x-amz-server-side-encryption: aws:kms",
                                        "x-amz-server-side-encryption-aws-kms-key-id: key-1",
                                        NULL};
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    CHECK(ask(&s, "PUT", "/bucket/dir/a%20b%2Bc%C3%BC", lines, CPL_LIT("hello")) == 200);
    CHECK_STR(header(&s, "ETag"), "\"5d41402abc4b2a76b9719d911017c592\"");
    CHECK_STR(header(&s, "x-amz-server-side-encryption"), "aws:kms");
    CHECK(get(&s, "/bucket/dir/a%20b%2Bc%C3%BC") == 200);
    CHECK_STR(s.text, "hello");
    CHECK_STR(header(&s, "content-type"), "text/plain");
    CHECK_STR(header(&s, "x-amz-meta-colour"), "blue");
    CHECK_STR(header(&s, "cache-control"), "no-store");
    CHECK_STR(header(&s, "x-amz-server-side-encryption-aws-kms-key-id"), "key-1");
    CHECK_STR(header(&s, "last-modified"), "Fri, 15 Jan 2027 08:00:00 GMT");
    CHECK(header(&s, "x-amz-version-id") == NULL);
    CHECK(ask(&s, "HEAD", "/bucket/dir/a%20b%2Bc%C3%BC", NULL, CPL_LIT("")) == 200);
    CHECK(s.response.size == 5 && s.response.body.n == 0);
    CHECK(get(&s, "/bucket/dir/a%20b%2Bc%C3%BC?response-content-type=x%2Fy&response-expires=never") == 200);
    CHECK_STR(header(&s, "content-type"), "x/y");
    CHECK_STR(header(&s, "expires"), "never");
    CHECK(ask(&s, "DELETE", "/bucket/dir/a%20b%2Bc%C3%BC", NULL, CPL_LIT("")) == 204);
    get(&s, "/bucket/dir/a%20b%2Bc%C3%BC");
    refused(&s, 404, "NoSuchKey");
    CHECK(ask(&s, "DELETE", "/bucket/dir/a%20b%2Bc%C3%BC", NULL, CPL_LIT("")) == 204); /* twice is fine */
    session_close(&s);
}

TEST(t_emulator_s3__ranges_are_served_and_bad_ones_refused) {
    static const struct {
        const char *range, *body, *content_range;
        int status;
    } cases[] = {
        {"Range: bytes=0-3", "0123", "bytes 0-3/10", 206},   {"Range: bytes=8-", "89", "bytes 8-9/10", 206},
        {"Range: bytes=-3", "789", "bytes 7-9/10", 206},     {"Range: bytes=-99", "0123456789", "bytes 0-9/10", 206},
        {"Range: bytes=5-99", "56789", "bytes 5-9/10", 206}, {"Range: bytes=9-9", "9", "bytes 9-9/10", 206},
        {"Range: bytes=10-", NULL, "bytes */10", 416},       {"Range: bytes=-0", NULL, "bytes */10", 416},
        {"Range: bytes=3-1", "0123456789", NULL, 200},       {"Range: lines=1-2", "0123456789", NULL, 200},
        {"Range: bytes=0-1,4-5", "0123456789", NULL, 200},   {"Range: bytes=a-b", "0123456789", NULL, 200}};
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    put(&s, "/bucket/k", "0123456789");
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        const char *lines[] = {cases[i].range, NULL}, *given;
        CHECK(ask(&s, "GET", "/bucket/k", lines, CPL_LIT("")) == cases[i].status);
        if (cases[i].body) CHECK_STR(s.text, cases[i].body);
        given = header(&s, "content-range");
        CHECK(cases[i].content_range ? given && strcmp(given, cases[i].content_range) == 0 : given == NULL);
    }
    session_close(&s);
}

TEST(t_emulator_s3__conditions_hold_or_refuse) {
    static const struct {
        const char *method, *line;
        int status;
    } cases[] = {{"GET", "If-Match: \"49f68a5c8493ec2c0bf489821c21fc3b\"", 200},
                 {"GET", "If-Match: \"other\"", 412},
                 {"GET", "If-None-Match: \"49f68a5c8493ec2c0bf489821c21fc3b\"", 304},
                 {"GET", "If-None-Match: \"other\"", 200},
                 {"GET", "If-Modified-Since: Fri, 15 Jan 2027 08:00:00 GMT", 304},
                 {"GET", "If-Modified-Since: Fri, 15 Jan 2027 07:59:59 GMT", 200},
                 {"GET", "If-Unmodified-Since: Fri, 15 Jan 2027 07:59:59 GMT", 412},
                 {"HEAD", "If-None-Match: *", 304},
                 {"PUT", "If-None-Match: *", 412},
                 {"PUT", "If-Match: \"other\"", 412},
                 {"PUT", "If-Match: \"49f68a5c8493ec2c0bf489821c21fc3b\"", 200}};
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    put(&s, "/bucket/k", "hi");
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        const char *lines[] = {cases[i].line, NULL};
        if (!CHECK(ask(&s, cases[i].method, "/bucket/k", lines, CPL_LIT("")) == cases[i].status))
            printf("  %s %s: %d\n", cases[i].method, cases[i].line, s.response.status);
        if (cases[i].status == 304) CHECK(s.response.body.n == 0);
    }
    session_close(&s);
}

TEST(t_emulator_s3__copies_keep_or_replace_the_metadata) {
    static const char *const original[] = {"x-amz-meta-a: 1", NULL};
    static const char *const copy[] = {"x-amz-copy-source: /bucket/from%20here", NULL};
    static const char *const replace[] = {"x-amz-copy-source: bucket/from%20here", "x-amz-meta-b: 2",
                                          "x-amz-metadata-directive: REPLACE", NULL};
    static const char *const missing[] = {"x-amz-copy-source: bucket/none", NULL};
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    ask(&s, "PUT", "/bucket/from%20here", original, CPL_LIT("body"));
    CHECK(ask(&s, "PUT", "/bucket/to", copy, CPL_LIT("")) == 200 && has(&s, "<CopyObjectResult"));
    CHECK(get(&s, "/bucket/to") == 200);
    CHECK_STR(s.text, "body");
    CHECK_STR(header(&s, "x-amz-meta-a"), "1");
    CHECK(ask(&s, "PUT", "/bucket/from%20here", replace, CPL_LIT("")) == 200); /* onto itself */
    CHECK(get(&s, "/bucket/from%20here") == 200);
    CHECK_STR(s.text, "body");
    CHECK(header(&s, "x-amz-meta-a") == NULL);
    CHECK_STR(header(&s, "x-amz-meta-b"), "2");
    ask(&s, "PUT", "/bucket/to", missing, CPL_LIT(""));
    refused(&s, 404, "NoSuchKey");
    session_close(&s);
}

TEST(t_emulator_s3__several_are_deleted_at_once) {
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    put(&s, "/bucket/a&b", "1");
    put(&s, "/bucket/c", "2");
    CHECK(ask(&s, "POST", "/bucket?delete", NULL,
              CPL_LIT("<Delete><Object><Key>a&amp;b</Key></Object><Object><Key>none</Key></Object></Delete>")) == 200);
    CHECK(has(&s, "<Deleted><Key>a&amp;b</Key></Deleted><Deleted><Key>none</Key></Deleted>"));
    CHECK(get(&s, "/bucket/a&b") == 404 && get(&s, "/bucket/c") == 200);
    ask(&s, "POST", "/bucket?delete", NULL, CPL_LIT("<Delete></Delete>"));
    refused(&s, 400, "MalformedXML");
    ask(&s, "POST", "/bucket?delete", NULL, CPL_LIT("<!DOCTYPE x><Delete/>"));
    refused(&s, 400, "MalformedXML");
    session_close(&s);
}

TEST(t_emulator_s3__what_it_does_not_do_is_named) {
    session s = session_open(NULL);
    const char *tagged[] = {"x-amz-tagging: a=b", NULL};
    put(&s, "/bucket", "");
    put(&s, "/bucket?policy", "{}");
    refused(&s, 501, "NotImplemented");
    CHECK(has(&s, "the emulator does not do PUT ?policy yet"));
    get(&s, "/bucket/k?acl");
    refused(&s, 501, "NotImplemented");
    ask(&s, "PUT", "/bucket/k", tagged, CPL_LIT("x"));
    refused(&s, 501, "NotImplemented");
    CHECK(get(&s, "/bucket/k") == 404);
    ask(&s, "PATCH", "/bucket/k", NULL, CPL_LIT(""));
    refused(&s, 405, "MethodNotAllowed");
    session_close(&s);
}

TEST(t_emulator_s3__keys_that_cannot_be_are_refused) {
    char target[1100] = "/bucket/";
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    put(&s, "/bucket/%00", "");
    refused(&s, 400, "InvalidURI");
    put(&s, "/bucket/%FF", "");
    refused(&s, 400, "InvalidURI");
    memset(target + 8, 'k', 1024);
    CHECK(put(&s, target, "") == 200);
    target[8 + 1024] = 'k';
    put(&s, target, "");
    refused(&s, 400, "KeyTooLongError");
    session_close(&s);
}

/* ---- listing ---- */

TEST(t_emulator_s3__lists_fold_at_the_delimiter_and_go_on_where_they_stopped) {
    static const char *const keys[] = {"/bucket/b", "/bucket/a/2", "/bucket/a/1", "/bucket/c/d/e", "/bucket/z%20"};
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    for (size_t i = 0; i < CPL_COUNT(keys); i++) put(&s, keys[i], "x");
    CHECK(get(&s, "/bucket?list-type=2&delimiter=%2F") == 200);
    CHECK(has(&s, "<KeyCount>4</KeyCount>"));
    CHECK(has(&s, "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>c/</Prefix>"));
    CHECK(get(&s, "/bucket?list-type=2&delimiter=%2F&max-keys=1") == 200);
    CHECK(has(&s, "<IsTruncated>true</IsTruncated>") && has(&s, "<NextContinuationToken>a%2F</NextContinuationToken>"));
    CHECK(get(&s, "/bucket?list-type=2&delimiter=%2F&max-keys=1&continuation-token=a%252F") == 200);
    CHECK(has(&s, "<Contents><Key>b</Key>") && has(&s, "<KeyCount>1</KeyCount>"));
    CHECK(get(&s, "/bucket?list-type=2&prefix=a%2F&start-after=a%2F1") == 200);
    CHECK(has(&s, "<Key>a/2</Key>") && !strstr(s.text, "<Key>a/1</Key>"));
    CHECK(get(&s, "/bucket?list-type=2&prefix=z&encoding-type=url") == 200 && has(&s, "<Key>z%20</Key>"));
    CHECK(get(&s, "/bucket?list-type=2&max-keys=0") == 200 && has(&s, "<IsTruncated>false</IsTruncated>"));
    CHECK(get(&s, "/bucket?delimiter=%2F&max-keys=1") == 200 && has(&s, "<NextMarker>a/</NextMarker>"));
    CHECK(get(&s, "/bucket?marker=c%2Fd%2Fe") == 200 && has(&s, "<Key>z </Key>") && !strstr(s.text, "<Key>b</Key>"));
    get(&s, "/bucket?list-type=2&max-keys=many");
    refused(&s, 400, "InvalidArgument");
    session_close(&s);
}

/* ---- versions ---- */

static const char enabled[] = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";

static void put_version(session *s, const char *body, char id[64]) {
    CHECK(put(s, "/bucket/k", body) == 200);
    CPL_COPY((*(char(*)[64])id), cpl_str_of(header(s, "x-amz-version-id")));
}

static int with_version(session *s, const char *method, const char *id) {
    char target[128];
    snprintf(target, sizeof target, "/bucket/k?versionId=%s", id);
    return ask(s, method, target, NULL, CPL_LIT(""));
}

TEST(t_emulator_s3__a_versioned_bucket_keeps_what_is_replaced_and_deleted) {
    session s = session_open(NULL);
    char one[64], two[64], marker[64];
    put(&s, "/bucket", "");
    put(&s, "/bucket/k", "null version");
    CHECK(put(&s, "/bucket?versioning", enabled) == 200);
    CHECK(get(&s, "/bucket?versioning") == 200 && has(&s, "<Status>Enabled</Status>"));
    put_version(&s, "one", one);
    put_version(&s, "two", two);
    CHECK(strcmp(one, two) != 0 && strlen(one) == 32);
    CHECK(with_version(&s, "GET", one) == 200);
    CHECK_STR(s.text, "one");
    CHECK(with_version(&s, "GET", "null") == 200);
    CHECK_STR(s.text, "null version");
    with_version(&s, "GET", "never");
    refused(&s, 404, "NoSuchVersion");
    CHECK(ask(&s, "DELETE", "/bucket/k", NULL, CPL_LIT("")) == 204);
    CHECK_STR(header(&s, "x-amz-delete-marker"), "true");
    CPL_COPY(marker, cpl_str_of(header(&s, "x-amz-version-id")));
    CHECK(get(&s, "/bucket/k") == 404);
    with_version(&s, "GET", marker);
    refused(&s, 405, "MethodNotAllowed");
    CHECK(get(&s, "/bucket?versions") == 200);
    CHECK(has(&s, "<DeleteMarker><Key>k</Key>") && has(&s, "<VersionId>null</VersionId><IsLatest>false</IsLatest>"));
    CHECK(with_version(&s, "DELETE", marker) == 204); /* takes the deletion back */
    CHECK(get(&s, "/bucket/k") == 200);
    CHECK_STR(s.text, "two");
    CHECK(with_version(&s, "DELETE", two) == 204 && get(&s, "/bucket/k") == 200);
    CHECK_STR(s.text, "one");
    session_close(&s);
}

TEST(t_emulator_s3__suspended_versioning_replaces_the_null_version_alone) {
    session s = session_open(NULL);
    char one[64];
    put(&s, "/bucket", "");
    put(&s, "/bucket?versioning", enabled);
    put_version(&s, "one", one);
    CHECK(put(&s, "/bucket?versioning",
              "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>") == 200);
    CHECK(put(&s, "/bucket/k", "null 1") == 200);
    CHECK(put(&s, "/bucket/k", "null 2") == 200);
    CHECK_STR(header(&s, "x-amz-version-id"), "null");
    CHECK(with_version(&s, "GET", "null") == 200);
    CHECK_STR(s.text, "null 2");
    CHECK(with_version(&s, "GET", one) == 200);
    CHECK_STR(s.text, "one");
    put(&s, "/bucket?versioning", "<VersioningConfiguration><Status>Maybe</Status></VersioningConfiguration>");
    refused(&s, 400, "MalformedXML");
    session_close(&s);
}

/* ---- multipart ---- */

static void start_upload(session *s, char id[64]) {
    static const char *const lines[] = {"Content-Type: text/x-parts", NULL};
    const char *at;
    CHECK(ask(s, "POST", "/bucket/k?uploads", lines, CPL_LIT("")) == 200);
    at = strstr(s->text, "<UploadId>");
    id[0] = '\0';
    if (CHECK(at != NULL)) snprintf(id, 64, "%.36s", at + 10);
}

static int send_part(session *s, const char *id, int number, cpl_str body, char etag[64]) {
    char target[128];
    const char *given;
    int status;
    snprintf(target, sizeof target, "/bucket/k?partNumber=%d&uploadId=%s", number, id);
    status = ask(s, "PUT", target, NULL, body);
    given = header(s, "etag");
    snprintf(etag, 64, "%s", given ? given : "");
    return status;
}

static int complete(session *s, const char *id, const char *first, const char *second) {
    char target[128], body[512];
    snprintf(target, sizeof target, "/bucket/k?uploadId=%s", id);
    snprintf(body, sizeof body,
             "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part><Part><PartNumber>2"
             "</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>",
             first, second);
    return ask(s, "POST", target, NULL, cpl_str_of(body));
}

TEST(t_emulator_s3__parts_become_one_object) {
    session s = session_open(NULL);
    size_t n = 5 << 20;
    char *part = calloc(1, n), id[64], one[64], two[64], target[128];
    NEED(part);
    put(&s, "/bucket", "");
    start_upload(&s, id);
    CHECK(send_part(&s, id, 2, CPL_LIT("tail"), two) == 200);
    CHECK(send_part(&s, id, 1, (cpl_str){part, n}, one) == 200);
    snprintf(target, sizeof target, "/bucket/k?uploadId=%s&max-parts=1", id);
    CHECK(get(&s, target) == 200 && has(&s, "<PartNumber>1</PartNumber>") &&
          has(&s, "<IsTruncated>true</IsTruncated>"));
    CHECK(get(&s, "/bucket?uploads") == 200 && has(&s, id));
    CHECK(get(&s, "/bucket/k") == 404); /* not before it is complete */
    complete(&s, id, one, "&quot;0123&quot;");
    refused(&s, 400, "InvalidPart");
    CHECK(complete(&s, id, one, two) == 200 && has(&s, "-2&quot;</ETag>"));
    CHECK(get(&s, "/bucket/k") == 200);
    CHECK(s.response.body.n == n + 4 && memcmp(s.response.body.p + n, "tail", 4) == 0);
    CHECK_STR(header(&s, "content-type"), "text/x-parts");
    CHECK_STR(header(&s, "etag"), "\"47693b6aafc99e607a33f321da4dc903-2\""); /* as botocore computes it */
    complete(&s, id, one, two);
    refused(&s, 404, "NoSuchUpload");
    free(part);
    session_close(&s);
}

TEST(t_emulator_s3__an_upload_that_breaks_the_rules_is_refused_and_kept) {
    session s = session_open(NULL);
    char id[64], one[64], two[64], target[128];
    put(&s, "/bucket", "");
    start_upload(&s, id);
    CHECK(send_part(&s, id, 1, CPL_LIT("small"), one) == 200);
    CHECK(send_part(&s, id, 2, CPL_LIT("tail"), two) == 200);
    complete(&s, id, one, two);
    refused(&s, 400, "EntityTooSmall");
    send_part(&s, id, 0, CPL_LIT(""), two);
    refused(&s, 400, "InvalidArgument");
    send_part(&s, "nobody", 1, CPL_LIT(""), two);
    refused(&s, 404, "NoSuchUpload");
    snprintf(target, sizeof target, "/bucket/other?uploadId=%s", id);
    get(&s, target);
    refused(&s, 404, "NoSuchUpload");
    snprintf(target, sizeof target, "/bucket/k?uploadId=%s", id);
    ask(&s, "POST", target, NULL,
        CPL_LIT("<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>x</ETag></Part><Part><PartNumber>1"
                "</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"));
    refused(&s, 400, "InvalidPart");
    ask(&s, "POST", target, NULL, CPL_LIT("<CompleteMultipartUpload/>"));
    refused(&s, 400, "MalformedXML");
    CHECK(ask(&s, "DELETE", target, NULL, CPL_LIT("")) == 204);
    get(&s, target);
    refused(&s, 404, "NoSuchUpload");
    session_close(&s);
}

/* ---- bodies and their digests ---- */

TEST(t_emulator_s3__a_body_that_is_not_what_was_promised_is_not_stored) {
    static const struct {
        const char *line, *code;
        int status;
    } cases[] = {{"Content-MD5: XUFAKrxLKna5cZ2REBfFkg==", "", 200},
                 {"Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest", 400},
                 {"Content-MD5: short", "InvalidDigest", 400},
                 {"x-amz-checksum-crc32: NhCmhg==", "", 200},
                 {"x-amz-checksum-crc32: AAAAAA==", "BadDigest", 400},
                 {"x-amz-checksum-crc32c: mnG7TA==", "", 200},
                 {"x-amz-checksum-crc64nvme: AAAAAAAAAAA=", "BadDigest", 400},
                 {"x-amz-checksum-sha256: LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", "", 200},
                 {"x-amz-checksum-sha1: qvTGHdzF6KLavt4PO0gs2a6pQ00=", "", 200},
                 {"x-amz-checksum-sha1: AAAAHdzF6KLavt4PO0gs2a6pQ00=", "BadDigest", 400}};
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        const char *lines[] = {cases[i].line, NULL};
        ask(&s, "DELETE", "/bucket/k", NULL, CPL_LIT(""));
        if (!CHECK(ask(&s, "PUT", "/bucket/k", lines, CPL_LIT("hello")) == cases[i].status)) printf("  %s\n", s.text);
        if (cases[i].status != 200) refused(&s, cases[i].status, cases[i].code);
        CHECK(get(&s, "/bucket/k") == (cases[i].status == 200 ? 200 : 404));
    }
    s.hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    put(&s, "/bucket/k", "hello");
    refused(&s, 400, "XAmzContentSHA256Mismatch");
    s.hash = "whatever";
    put(&s, "/bucket/k", "hello");
    refused(&s, 400, "InvalidArgument");
    s.hash = "UNSIGNED-PAYLOAD";
    CHECK(put(&s, "/bucket/k", "hello") == 200);
    session_close(&s);
}

TEST(t_emulator_s3__a_checksum_is_given_back_when_asked_for) {
    static const char *const sum[] = {"x-amz-checksum-crc64nvme: rosUhgp5mIg=", NULL};
    static const char *const mode[] = {"x-amz-checksum-mode: ENABLED", NULL};
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    CHECK(ask(&s, "PUT", "/bucket/k", sum, CPL_LIT("123456789")) == 200);
    CHECK_STR(header(&s, "x-amz-checksum-crc64nvme"), "rosUhgp5mIg=");
    CHECK(get(&s, "/bucket/k") == 200 && header(&s, "x-amz-checksum-crc64nvme") == NULL);
    CHECK(ask(&s, "GET", "/bucket/k", mode, CPL_LIT("")) == 200);
    CHECK_STR(header(&s, "x-amz-checksum-crc64nvme"), "rosUhgp5mIg=");
    CHECK_STR(header(&s, "x-amz-checksum-type"), "FULL_OBJECT");
    CHECK(put(&s, "/bucket/plain", "123456789") == 200); /* without one, S3 makes one */
    CHECK_STR(header(&s, "x-amz-checksum-crc64nvme"), "rosUhgp5mIg=");
    session_close(&s);
}

TEST(t_emulator_s3__a_copy_has_the_kind_of_checksum_its_source_has) {
    static const char *const sum[] = {"x-amz-checksum-crc32: y/Q5Jg==", NULL};
    static const char *const copy[] = {"x-amz-copy-source: /bucket/k", NULL};
    static const char *const other[] = {"x-amz-copy-source: /bucket/k", "x-amz-checksum-algorithm: CRC32C", NULL};
    session s = session_open(NULL);
    put(&s, "/bucket", "");
    CHECK(ask(&s, "PUT", "/bucket/k", sum, CPL_LIT("123456789")) == 200);
    CHECK(ask(&s, "PUT", "/bucket/copy", copy, CPL_LIT("")) == 200);
    CHECK(has(&s, "<ChecksumCRC32>y/Q5Jg==</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType>"));
    CHECK(ask(&s, "PUT", "/bucket/copy", other, CPL_LIT("")) == 200);
    CHECK(has(&s, "<ChecksumCRC32C>4waSgw==</ChecksumCRC32C>"));
    session_close(&s);
}

/* Of two parts, 5 MiB of zeros and "tail"; the values are Python's, by zlib, hashlib and the CRC's definition. */
#define ZEROS_CRC32 "yTuzdQ=="
#define TAIL_CRC32 "fDe0XQ=="
#define ZEROS_SHA256 "wDbLt1U6kJ+LiHfURhkkMH8n7LZs/5KO7q/VacOIfik="
#define TAIL_SHA256 "DGL4du8d6oMN6fMsL0tG3W101Q0ViW4J71ovzUrH4dc="

typedef struct plan_case {
    const char *algorithm, *type; /* header lines */
    const char *part, *element;   /* "x-amz-checksum-crc32"; NULL: the parts come without */
    const char *sums[2];
    bool listed;      /* in CompleteMultipartUpload as well */
    const char *want; /* of the object, with its type; or an error's code */
} plan_case;

static int send_summed(session *s, const char *id, const plan_case *p, int number, cpl_str body, char etag[64]) {
    char target[128], line[128];
    const char *lines[] = {line, NULL}, *given;
    int status;
    snprintf(target, sizeof target, "/bucket/k?partNumber=%d&uploadId=%s", number, id);
    snprintf(line, sizeof line, "%s: %s", p->part ? p->part : "", p->part ? p->sums[number - 1] : "");
    status = ask(s, "PUT", target, p->part ? lines : NULL, body);
    given = header(s, "etag");
    snprintf(etag, 64, "%s", given ? given : "");
    return status;
}

static void run_plan(session *s, const plan_case *p, cpl_str zeros) {
    static const char *const mode[] = {"x-amz-checksum-mode: ENABLED", NULL};
    const char *lines[] = {p->algorithm, p->type, NULL}, *kind = NULL;
    char id[64], etags[2][64], body[1024], target[128], told[256];
    size_t n;
    if (ask(s, "POST", "/bucket/k?uploads", p->algorithm ? lines : NULL, CPL_LIT("")) != 200) {
        CHECK(has(s, p->want));
        return;
    }
    snprintf(id, sizeof id, "%.36s", strstr(s->text, "<UploadId>") + 10);
    if (send_summed(s, id, p, 1, zeros, etags[0]) != 200 ||
        send_summed(s, id, p, 2, CPL_LIT("tail"), etags[1]) != 200) {
        CHECK(has(s, p->want));
        return;
    }
    n = (size_t)snprintf(body, sizeof body, "<CompleteMultipartUpload>");
    for (int i = 0; i < 2; i++) {
        n += (size_t)snprintf(body + n, sizeof body - n, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag>", i + 1,
                              etags[i]);
        if (p->listed) {
            n += (size_t)snprintf(body + n, sizeof body - n, "<%s>%s</%s>", p->element, p->sums[i], p->element);
        }
        n += (size_t)snprintf(body + n, sizeof body - n, "</Part>");
    }
    snprintf(body + n, sizeof body - n, "</CompleteMultipartUpload>");
    snprintf(target, sizeof target, "/bucket/k?uploadId=%s", id);
    if (ask(s, "POST", target, NULL, cpl_str_of(body)) != 200) {
        CHECK(has(s, p->want));
        return;
    }
    CHECK(ask(s, "HEAD", "/bucket/k", mode, CPL_LIT("")) == 200);
    for (int i = 0; i < CPL_CHECKSUM_COUNT && kind == NULL; i++) {
        if (header(s, cpl_checksum_header((cpl_checksum_kind)i))) kind = cpl_checksum_header((cpl_checksum_kind)i);
    }
    NEED(kind);
    snprintf(told, sizeof told, "%s %s %s", kind + 15, header(s, kind), header(s, "x-amz-checksum-type"));
    CHECK_STR(told, p->want);
}

#define CRC32_HEADER "x-amz-checksum-crc32"
#define SHA256_HEADER "x-amz-checksum-sha256"
static const plan_case plan_cases[] = {
    {NULL, NULL, NULL, NULL, {NULL}, false, "crc64nvme /gfXEJvEB2k= FULL_OBJECT"},
    {"x-amz-checksum-algorithm: CRC32",
     NULL,
     CRC32_HEADER,
     "ChecksumCRC32",
     {ZEROS_CRC32, TAIL_CRC32},
     true,
     "crc32 kn3WfQ==-2 COMPOSITE"},
    {"x-amz-checksum-algorithm: CRC32",
     "x-amz-checksum-type: FULL_OBJECT",
     CRC32_HEADER,
     NULL,
     {ZEROS_CRC32, TAIL_CRC32},
     false,
     "crc32 OcQxlg== FULL_OBJECT"},
    {"x-amz-checksum-algorithm: SHA256",
     NULL,
     SHA256_HEADER,
     "ChecksumSHA256",
     {ZEROS_SHA256, TAIL_SHA256},
     true,
     "sha256 t8tl1anI+FOMozS3HJdTBQ70eEZECA6gtL7SpDrtWhA=-2 COMPOSITE"},
    {"x-amz-checksum-algorithm: SHA256",
     NULL,
     SHA256_HEADER,
     NULL,
     {ZEROS_SHA256, TAIL_SHA256},
     false,
     "It was missing for part 1 in the request."},
    {"x-amz-checksum-algorithm: CRC32",
     NULL,
     SHA256_HEADER,
     NULL,
     {ZEROS_SHA256, TAIL_SHA256},
     false,
     "expected checksum Type: crc32, actual checksum Type: sha256"},
    {NULL, NULL, CRC32_HEADER, NULL, {ZEROS_CRC32, TAIL_CRC32}, false, "expected checksum Type: null"},
    {"x-amz-checksum-algorithm: CRC32",
     NULL,
     CRC32_HEADER,
     "ChecksumCRC32",
     {TAIL_CRC32, TAIL_CRC32},
     true,
     "BadDigest"},
    {"x-amz-checksum-algorithm: CRC32", NULL, NULL, "ChecksumCRC32", {TAIL_CRC32, TAIL_CRC32}, true, "InvalidPart"},
    {"x-amz-checksum-algorithm: MD4", NULL, NULL, NULL, {NULL}, false, "InvalidRequest"},
    {"x-amz-checksum-algorithm: SHA256",
     "x-amz-checksum-type: FULL_OBJECT",
     NULL,
     NULL,
     {NULL},
     false,
     "The FULL_OBJECT checksum type cannot be used with the SHA256 checksum algorithm."},
    {"x-amz-checksum-algorithm: CRC64NVME",
     "x-amz-checksum-type: COMPOSITE",
     NULL,
     NULL,
     {NULL},
     false,
     "The COMPOSITE checksum type cannot be used with the CRC64NVME checksum algorithm."},
};

TEST(t_emulator_s3__parts_have_checksums_and_make_one) {
    session s = session_open(NULL);
    cpl_str zeros = {calloc(1, 5 << 20), 5 << 20};
    NEED(zeros.p);
    put(&s, "/bucket", "");
    for (size_t i = 0; i < CPL_COUNT(plan_cases); i++) run_plan(&s, &plan_cases[i], zeros);
    free((char *)zeros.p);
    session_close(&s);
}

TEST(t_emulator_s3__a_checksum_of_the_whole_is_compared_when_the_parts_are_put_together) {
    static const char *const wrong[] = {"x-amz-checksum-crc64nvme: AAAAAAAAAAA=", NULL};
    static const char *const right[] = {"x-amz-checksum-crc64nvme: sAra2CkCEgw=", NULL};
    session s = session_open(NULL);
    char id[64], etag[64], target[128], body[256];
    put(&s, "/bucket", "");
    start_upload(&s, id);
    CHECK(send_part(&s, id, 1, CPL_LIT("tail"), etag) == 200);
    snprintf(target, sizeof target, "/bucket/k?uploadId=%s", id);
    snprintf(
        body, sizeof body,
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>",
        etag);
    ask(&s, "POST", target, wrong, cpl_str_of(body));
    refused(&s, 400, "BadDigest");
    CHECK(ask(&s, "POST", target, right, cpl_str_of(body)) == 200);
    session_close(&s);
}

TEST_MAIN
