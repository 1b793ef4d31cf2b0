/* SPDX-License-Identifier: MIT */
/* Objects that are large, damaged, replaced, or longer under way than their keys live. */
#include "../../core/checksum.h"
#include "bucket.h"

#define PART 65536 /* the object has four whole ones and a rest */
#define CUT (PART + 10)

static void strike(const bucket *b, const char *kind, const char *operation, int after, int times) {
    cpl_fault fault = {.kind = cpl_str_of(kind), .operation = cpl_str_of(operation), .after = after, .times = times};
    CHECK(cpl_emulator_fault(b->s.emulator, &fault, NULL) == CPL_OK);
}

/* How often the ledger has that operation. */
static int count_requests(const bucket *b, const char *operation) {
    cpl_json *list = NULL;
    cpl_str text;
    int count = 0;
    CHECK(cpl_emulator_ledger(b->s.emulator, &text, NULL) == CPL_OK && cpl_json_parse(text, &list, NULL) == CPL_OK);
    for (cpl_json *i = cpl_json_first(list); i; i = cpl_json_next(i)) {
        count += strcmp(cpl_json_get_cstr(i, "operation", ""), operation) == 0;
    }
    cpl_json_free(list);
    return count;
}

static bool open_large(bucket *b) {
    cpl_s3_source source = bytes_of(large, sizeof large);
    if (!open_bucket(b)) return false;
    b->s3.part_size = PART;
    return CHECK(cpl_s3_put(&b->s3, &b->target, &source, NULL) == CPL_OK);
}

static cpl_status get_large(bucket *b, cpl_error *err) {
    int64_t size = 0;
    cpl_status status = cpl_s3_get(&b->s3, &b->target, b->fd, LARGE, &size, err);
    if (status == CPL_OK) {
        CHECK(size == LARGE);
        check_content(b->fd, large, sizeof large);
    }
    return status;
}

/* ---- ranges ---- */

TEST(t_s3_transfer__a_large_object_comes_in_ranges) {
    bucket b;
    cpl_error err = {0};
    NEED(open_large(&b));
    CHECK(get_large(&b, &err) == CPL_OK);
    CHECK(count_requests(&b, "GetObject") == 5);
    b.s3.part_size = LARGE; /* the whole is one part */
    CHECK(get_large(&b, &err) == CPL_OK);
    CHECK(count_requests(&b, "GetObject") == 6);
    close_bucket(&b);
}

TEST(t_s3_transfer__each_range_is_fetched_again_by_itself) {
    static const char *const kinds[] = {"reset", "cut-answer", "503", "throttling", "502"};
    for (size_t i = 0; i < CPL_COUNT(kinds); i++) {
        bucket b;
        cpl_error err = {0};
        NEED(open_large(&b));
        strike(&b, kinds[i], "GetObject", 2, 1);
        if (!CHECK(get_large(&b, &err) == CPL_OK)) printf("  %s: %s\n", kinds[i], err.message);
        CHECK(count_requests(&b, "GetObject") == 6);
        close_bucket(&b);
    }
}

static bool at_once(void *context) {
    (void)context;
    return true;
}

static bool never(void *context) {
    (void)context;
    return false;
}

TEST(t_s3_transfer__parts_are_as_patient_as_the_whole) {
    cpl_s3_patience patience = {.most_ms = 60000, .ends = never};
    bucket b;
    cpl_error err = {0};
    NEED(open_large(&b));
    b.s3.max_attempts = 1;
    b.target.patience = &patience;
    strike(&b, "503", "GetObject", 1, 8); /* two for each of the four ranges, or more for one */
    if (!CHECK(get_large(&b, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(count_requests(&b, "GetObject") == 5 + 8);
    patience.ends = at_once;
    strike(&b, "503", "GetObject", 1, -1);
    CHECK(get_large(&b, &err) == CPL_SERVICE && err.http_status == 503 && err.retryable);
    close_bucket(&b);
}

TEST(t_s3_transfer__a_range_that_fails_for_good_ends_it) {
    bucket b;
    cpl_error err = {0};
    NEED(open_large(&b));
    strike(&b, "access-denied", "GetObject", 3, 1);
    CHECK(get_large(&b, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "AccessDenied");
    CHECK_STR(err.operation, "GetObject");
    close_bucket(&b);
}

/* Two parts: what comes second is known. */
static bool open_cut(bucket *b, const fault_step *steps, size_t count) {
    if (!open_faults(b, steps, count)) return false;
    b->s3.part_size = PART;
    return true;
}

#define FIRST(head_lines) \
    { .head = head_lines, .body = "", .filler_body = CUT }

TEST(t_s3_transfer__an_object_replaced_meanwhile_is_an_error_and_no_mixture) {
    static const fault_step steps[] = {FIRST("ETag: \"old\"\r\n"),
                                       {.status = 412, .body = "<Error><Code>PreconditionFailed</Code></Error>"}};
    bucket b;
    cpl_error err = {0};
    NEED(open_cut(&b, steps, CPL_COUNT(steps)));
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 1 << 20, NULL, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "PreconditionFailed");
    CHECK(strstr(err.message, "s3://box/key was replaced while it was fetched"));
    CHECK(err.http_status == 412 && !err.retryable);
    CHECK(strstr(fault_server_request(b.faults, 1), "if-match: \"old\"\r\n"));
    CHECK(strstr(fault_server_request(b.faults, 1), "range: bytes=65536-65545\r\n"));
    CHECK(strstr(fault_server_request(b.faults, 1), "SignedHeaders=host;if-match;range;"));
    close_bucket(&b);
}

TEST(t_s3_transfer__a_range_that_is_not_what_was_asked_for_is_refused) {
    static const fault_step rows[] = {
        {.status = 200, .head = ETAG, .body = "", .filler_body = CUT},
        {.status = 206, .head = ETAG "Content-Range: bytes 0-9/65546\r\n", .body = "0123456789"},
        {.status = 206, .head = ETAG "Content-Range: bytes 65536-65545/65546\r\n", .body = "01234"},
        {.status = 206, .head = ETAG "Content-Range: bytes 65536-65545/99999\r\n", .body = "0123456789"},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        const fault_step steps[] = {FIRST("ETag: \"e\"\r\n"), rows[i]};
        bucket b;
        cpl_error err = {0};
        NEED(open_cut(&b, steps, CPL_COUNT(steps)));
        b.s3.max_attempts = 1;
        if (!CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 1 << 20, NULL, &err) == CPL_PROTOCOL)) printf("  row %zu\n", i);
        close_bucket(&b);
    }
}

TEST(t_s3_transfer__an_answer_that_does_not_tell_its_length_is_fetched_at_once) {
    static const fault_step steps[] = {{.head = ETAG, .body = "", .filler_body = CUT, .claimed_length = -1}};
    bucket b;
    cpl_error err = {0};
    int64_t size = 0;
    NEED(open_cut(&b, steps, CPL_COUNT(steps)));
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 1 << 20, &size, &err) == CPL_OK && size == CUT);
    CHECK(fault_server_requests(b.faults) == 2 && strstr(fault_server_request(b.faults, 1), "range:") == NULL);
    close_bucket(&b);
}

TEST(t_s3_transfer__what_breaks_off_goes_on_at_the_byte_it_has) {
    static const fault_step steps[] = {
        {.head = ETAG, .body = "xxxxxxxxxx", .claimed_length = CUT},
        {.status = 206, .head = ETAG "Content-Range: bytes 10-65545/65546\r\n", .body = "xxx", .claimed_length = PART},
        {.status = 206, .head = ETAG "Content-Range: bytes 13-65545/65546\r\n", .body = "", .filler_body = PART - 3},
    };
    char *want = malloc(CUT);
    bucket b;
    cpl_error err = {0};
    int64_t size = 0;
    memset(want, 'x', CUT);
    NEED(open_cut(&b, steps, CPL_COUNT(steps)));
    if (!CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 1 << 20, &size, &err) == CPL_OK)) printf("  %s\n", err.message);
    check_content(b.fd, want, CUT);
    CHECK(fault_server_requests(b.faults) == 3 && strstr(fault_server_request(b.faults, 1), "if-match: \"e-1\"\r\n"));
    free(want);
    close_bucket(&b);
}

/* ---- checksums ---- */

TEST(t_s3_transfer__what_arrives_is_compared_with_what_s3_has) {
    static const struct {
        const char *head;
        cpl_status status;
    } rows[] = {
        {"x-amz-checksum-crc32: NhCmhg==\r\n", CPL_OK},
        {"x-amz-checksum-crc32: AAAAAA==\r\n", CPL_PROTOCOL},
        {"x-amz-checksum-crc32c: mnG7TA==\r\nx-amz-checksum-type: FULL_OBJECT\r\n", CPL_OK},
        {"x-amz-checksum-crc64nvme: M3eFcAZSQlc=\r\n", CPL_OK},
        {"x-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\n", CPL_PROTOCOL},
        {"x-amz-checksum-sha256: LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=\r\n", CPL_OK},
        {"x-amz-checksum-sha1: qvTGHdzF6KLavt4PO0gs2a6pQ00=\r\n", CPL_OK},
        {"x-amz-checksum-sha1: AAAAHdzF6KLavt4PO0gs2a6pQ00=\r\n", CPL_PROTOCOL},
        /* of the parts' checksums: says nothing that can be checked here */
        {"x-amz-checksum-sha256: AAAA-3\r\nx-amz-checksum-type: COMPOSITE\r\n", CPL_OK},
        {"x-amz-checksum-crc32: AAAAAA==-3\r\n", CPL_OK},
        {"x-amz-checksum-crc64nvme: AAAAAA==\r\n", CPL_OK}, /* as long as a CRC32 */
        /* an ETag that is an MD5, and such that are none */
        {"ETag: \"5d41402abc4b2a76b9719d911017c592\"\r\n", CPL_OK},
        {"ETag: \"00000000000000000000000000000000\"\r\n", CPL_PROTOCOL},
        {"ETag: \"00000000000000000000000000000000\"\r\nx-amz-server-side-encryption: AES256\r\n", CPL_PROTOCOL},
        {"ETag: \"00000000000000000000000000000000\"\r\nx-amz-server-side-encryption: aws:kms\r\n", CPL_OK},
        {"ETag: \"00000000000000000000000000000000-2\"\r\n", CPL_OK},
        {"ETag: \"00000000000000000000000000000000\"\r\n"
         "x-amz-server-side-encryption-customer-algorithm: AES256\r\n",
         CPL_OK},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        char head[256];
        const fault_step steps[] = {{.head = head, .body = "hello"}};
        bucket b;
        cpl_error err = {0};
        snprintf(head, sizeof head, "%s%s", strstr(rows[i].head, "ETag") ? "" : ETAG, rows[i].head);
        NEED(open_faults(&b, steps, 1));
        if (!CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == rows[i].status)) {
            printf("  %s  %s\n", rows[i].head, err.message);
        }
        CHECK(fault_server_requests(b.faults) == (rows[i].status ? 2 : 1));
        CHECK(strstr(fault_server_request(b.faults, 0), "x-amz-checksum-mode: ENABLED\r\n"));
        if (rows[i].status) CHECK(strstr(err.message, "s3://box/key arrived damaged, twice: it does not match the "));
        b.s3.no_validation = true;
        CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_OK);
        close_bucket(&b);
    }
}

TEST(t_s3_transfer__damage_on_the_way_is_mended_by_fetching_once_more) {
    static const char head[] = ETAG "x-amz-checksum-crc32: NhCmhg==\r\n";
    static const fault_step steps[] = {{.head = head, .body = "hallo, and more"}, {.head = head, .body = "hello"}};
    bucket b;
    cpl_error err = {0};
    int64_t size = 0;
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, &size, &err) == CPL_OK && size == 5);
    check_content(b.fd, "hello", 5);
    close_bucket(&b);
}

TEST(t_s3_transfer__what_arrives_damaged_at_s3_is_sent_once_more) {
    static const fault_step bad = {.status = 400, .body = "<Error><Code>BadDigest</Code><Message>no</Message></Error>"};
    const fault_step steps[] = {bad, {.head = ETAG, .body = ""}, bad};
    bucket b;
    cpl_error err = {0};
    cpl_s3_source source = bytes_of("hello", 5);
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK && fault_server_requests(b.faults) == 2);
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_SERVICE && fault_server_requests(b.faults) == 4);
    CHECK_STR(err.code, "BadDigest");
    close_bucket(&b);
}

/* The emulator stores, checks and tells them: in ranges and in parts alike. */
TEST(t_s3_transfer__an_object_in_parts_has_one_checksum_of_the_whole) {
    bucket b;
    cpl_error err = {0};
    size_t n = (11 << 20) + 7;
    char *bytes = malloc(n);
    cpl_s3_source source = bytes_of(bytes, n);
    NEED(bytes && open_bucket(&b));
    for (size_t i = 0; i < n; i++) bytes[i] = (char)(i * 2654435761u >> 13);
    b.s3.multipart_from = b.s3.part_size = 5 << 20;
    if (!CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, (int64_t)n, NULL, &err) == CPL_OK);
    check_content(b.fd, bytes, n);
    b.s3.no_checksums = true; /* the emulator makes one up of its own, as S3 does */
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK);
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, (int64_t)n, NULL, &err) == CPL_OK);
    free(bytes);
    close_bucket(&b);
}

/* ---- keys that end ---- */

typedef struct wallet {
    const bucket *b;
    cpl_credentials who;
    int renewals;
    bool broken; /* there are no others */
} wallet;

static cpl_status get_keys(void *context, bool expired, const cpl_wait *wait, cpl_credentials *out, cpl_error *err) {
    static const char *const tokens[] = {"first", "second", "third", "fourth"};
    wallet *w = context;
    (void)wait;
    if (expired && w->broken) return cpl_fail(err, CPL_NETWORK, "nobody answers");
    if (expired) w->renewals++;
    *out = w->who;
    if (w->b->faults) out->session_token = cpl_str_of(tokens[w->renewals]);
    return CPL_OK;
}

static wallet open_wallet(bucket *b, cpl_s3_keys *keys) {
    wallet w = {.b = b, .who = b->who};
    keys->get = get_keys;
    b->target.keys = keys;
    b->target.who = NULL;
    return w;
}

/* t_artifact.c has the case in which all four ranges under way hear of it. */
TEST(t_s3_transfer__keys_that_expire_in_the_middle_of_ranges_are_renewed_once) {
    bucket b;
    cpl_error err = {0};
    cpl_s3_keys keys;
    wallet w;
    NEED(open_large(&b));
    w = open_wallet(&b, &keys);
    keys.context = &w;
    strike(&b, "expired-token", "GetObject", 2, 1);
    if (!CHECK(get_large(&b, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(w.renewals == 1);
    CHECK(count_requests(&b, "GetObject") == 6); /* nothing that had arrived came again */
    close_bucket(&b);
}

#define EXPIRED \
    { .status = 400, .body = "<Error><Code>ExpiredToken</Code><Message>expired</Message></Error>" }
#define PART_OK \
    { .head = "ETag: \"1\"\r\n", .body = "" }
static const char upload_id[] =
    "<InitiateMultipartUploadResult><UploadId>a/b</UploadId></InitiateMultipartUploadResult>";

TEST(t_s3_transfer__keys_that_expire_in_the_middle_of_an_upload_are_renewed_and_it_goes_on) {
    static const fault_step steps[] = {
        {.body = upload_id}, EXPIRED, PART_OK, EXPIRED, {.body = "<CompleteMultipartUploadResult/>"}};
    static const char *const starts[] = {"POST /box/key?uploads= ", "PUT /box/key?partNumber=1&",
                                         "PUT /box/key?partNumber=1&", "POST /box/key?uploadId=a%2Fb ",
                                         "POST /box/key?uploadId=a%2Fb "};
    static const char *const tokens[] = {"first", "first", "second", "second", "third"};
    bucket b;
    cpl_error err = {0};
    cpl_s3_source source = bytes_of(large, 100); /* one part, so that the order is known */
    cpl_s3_keys keys;
    wallet w;
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    w = open_wallet(&b, &keys);
    keys.context = &w;
    b.s3.multipart_from = 99;
    b.s3.part_size = 100;
    if (!CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(w.renewals == 2 && fault_server_requests(b.faults) == CPL_COUNT(steps));
    for (size_t i = 0; i < CPL_COUNT(steps); i++) {
        const char *request = fault_server_request(b.faults, i);
        char line[64];
        snprintf(line, sizeof line, "x-amz-security-token: %s\r\n", tokens[i]);
        CHECK(strncmp(request, starts[i], strlen(starts[i])) == 0 && strstr(request, line));
    }
    close_bucket(&b);
}

TEST(t_s3_transfer__renewed_keys_that_are_refused_as_well_end_it) {
    static const fault_step steps[] = {{.body = upload_id}, EXPIRED, EXPIRED, {.status = 204, .body = ""}};
    bucket b;
    cpl_error err = {0};
    cpl_s3_source source = bytes_of(large, 100); /* one part, so that the order is known */
    cpl_s3_keys keys;
    wallet w;
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    w = open_wallet(&b, &keys);
    keys.context = &w;
    b.s3.multipart_from = 99;
    b.s3.part_size = 100;
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "ExpiredToken");
    CHECK_STR(err.operation, "UploadPart");
    CHECK(w.renewals == 1 && fault_server_requests(b.faults) == 4); /* the last one takes the parts back */
    CHECK(strncmp(fault_server_request(b.faults, 3), "DELETE /box/key?uploadId=a%2Fb ", 31) == 0);
    close_bucket(&b);
}

TEST(t_s3_transfer__why_no_other_keys_could_be_got_is_told) {
    static const fault_step steps[] = {EXPIRED};
    bucket b;
    cpl_error err = {0};
    cpl_s3_keys keys;
    wallet w;
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    w = open_wallet(&b, &keys);
    keys.context = &w;
    w.broken = true;
    b.s3.max_attempts = 1;
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_NETWORK);
    CHECK_STR(err.message, "nobody answers");
    close_bucket(&b);
}

/* ---- stopping and watching ---- */

typedef struct watcher {
    cpl_progress progress;
    int64_t stop_at; /* 0: never */
    int64_t highest, total;
    int ticks;
} watcher;

static int look(void *context) {
    watcher *w = context;
    w->ticks++;
    if (w->progress.done > w->highest) w->highest = w->progress.done;
    w->total = w->progress.total;
    return w->stop_at && w->progress.done >= w->stop_at;
}

static cpl_wait wait_of(watcher *w) {
    return (cpl_wait){.tick = look, .context = w, .progress = &w->progress};
}

static bool has_uploads(bucket *b) {
    cpl_str state = {NULL, 0};
    bool found;
    CHECK(cpl_emulator_export(b->s.emulator, true, &state, NULL) == CPL_OK);
    found = strstr(state.p, "\"parts\"") != NULL;
    return found;
}

TEST(t_s3_transfer__progress_is_kept_and_ends_with_the_total) {
    bucket b;
    cpl_error err = {0};
    watcher w = {.progress = {.total = -1}};
    cpl_wait wait = wait_of(&w);
    cpl_s3_source source = bytes_of(large, sizeof large);
    NEED(open_large(&b));
    b.target.wait = &wait;
    CHECK(get_large(&b, &err) == CPL_OK);
    CHECK(w.progress.done == LARGE && w.progress.total == LARGE && w.ticks > 0);
    w.progress = (cpl_progress){.total = -1};
    CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK);
    CHECK(w.progress.done == LARGE && w.progress.total == LARGE);
    close_bucket(&b);
}

TEST(t_s3_transfer__a_slow_answer_shows_its_progress) {
    static const fault_step steps[] = {{.body = "0123456789", .piece_ms = 30}};
    bucket b;
    cpl_error err = {0};
    watcher w = {.progress = {.total = -1}, .stop_at = 3};
    cpl_wait wait = wait_of(&w);
    NEED(open_faults(&b, steps, CPL_COUNT(steps)));
    b.target.wait = &wait;
    CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, 100, NULL, &err) == CPL_CANCELLED);
    CHECK(w.highest >= 3 && w.highest < 10 && w.total == 10);
    close_bucket(&b);
}

TEST(t_s3_transfer__an_upload_that_is_cancelled_or_overdue_is_taken_back) {
    for (int i = 0; i < 2; i++) {
        bucket b;
        cpl_error err = {0};
        size_t n = 20 << 20;
        int from = empty_file();
        cpl_s3_source source = {.from_fd = true, .fd = from, .size = (int64_t)n};
        watcher w = {.stop_at = i == 0 ? 5 << 20 : 0};
        cpl_wait wait = wait_of(&w);
        NEED(ftruncate(from, (off_t)n) == 0 && open_bucket(&b));
        b.s3.multipart_from = b.s3.part_size = 5 << 20;
        b.target.wait = &wait;
        if (i == 1) {
            strike(&b, "503", "PutObject", 2, -1); /* no part after the second gets through */
            b.s3.max_attempts = 100;
            wait.timeout_ms = 1500;
        }
        CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) != CPL_OK);
        CHECK(err.status == (i ? CPL_SERVICE : CPL_CANCELLED));
        CHECK(count_requests(&b, "PutObject") > 0 && !has_uploads(&b));
        CHECK(count_requests(&b, "DeleteObject") == 1);
        close(from);
        close_bucket(&b);
    }
}

/* Side by side, in no order; the object is whole, and nothing went twice but the part that was struck. */
TEST(t_s3_transfer__each_part_is_sent_again_by_itself) {
    static const char *const kinds[] = {"reset", "lost-answer", "html", "503"};
    size_t n = (25 << 20) + 7;
    int before;
    char *bytes = malloc(n);
    cpl_s3_source source = bytes_of(bytes, n);
    for (size_t i = 0; i < n; i++) bytes[i] = (char)(i * 2654435761u >> 13);
    for (size_t i = 0; i < CPL_COUNT(kinds); i++) {
        bucket b;
        cpl_error err = {0};
        NEED(open_bucket(&b));
        b.s3.multipart_from = b.s3.part_size = 5 << 20;
        before = count_requests(&b, "PutObject"); /* the bucket */
        strike(&b, kinds[i], "PutObject", (int)i, 1);
        if (!CHECK(cpl_s3_put(&b.s3, &b.target, &source, &err) == CPL_OK)) printf("  %s: %s\n", kinds[i], err.message);
        CHECK(count_requests(&b, "PutObject") == before + 6 + 1);
        CHECK(!has_uploads(&b));
        CHECK(cpl_s3_get(&b.s3, &b.target, b.fd, (int64_t)n, NULL, &err) == CPL_OK);
        check_content(b.fd, bytes, n);
        close_bucket(&b);
    }
    free(bytes);
}

TEST(t_s3_transfer__ranges_that_are_cancelled_leave_nothing_under_way) {
    bucket b;
    cpl_error err = {0};
    watcher w = {.stop_at = 1};
    cpl_wait wait = wait_of(&w);
    NEED(open_large(&b));
    b.target.wait = &wait;
    CHECK(get_large(&b, &err) == CPL_CANCELLED);
    b.target.wait = NULL;
    CHECK(get_large(&b, &err) == CPL_OK);
    close_bucket(&b);
}

TEST_MAIN
