/* SPDX-License-Identifier: MIT */
#include "fault_server.h"
#include "service.h"

/* A job of the emulator's whose artifacts are on a scripted server. */
typedef struct scene {
    service s;
    fault_server *bucket;
    cpl_client *client;
    cpl_worker *worker;
    cpl_job *job;
} scene;

static bool open_scene(scene *x, const fault_step *steps, size_t count, size_t limit) {
    cpl_worker_options options = {.poll_interval_ms = 10, .work_dir = cpl_str_of(room), .artifact_limit = limit};
    *x = (scene){0};
    if (!open_line(&x->s, BUILD("Make", MADE))) return false;
    x->bucket = fault_server_start(steps, count);
    x->client = client_of(x->s.emulator, fault_server_url(x->bucket));
    CHECK(cpl_worker_new(&x->worker, x->client, &options, NULL) == CPL_OK);
    CHECK(cpl_worker_add(x->worker, &maker, NULL, NULL) == CPL_OK);
    x->job = next_job(x->worker);
    return x->job != NULL;
}

static void close_scene(scene *x) {
    cpl_job_free(x->job);
    cpl_worker_free(x->worker);
    cpl_client_free(x->client);
    fault_server_stop(x->bucket);
    close_line(&x->s);
}

#define EXPIRED \
    { .status = 400, .body = "<Error><Code>ExpiredToken</Code><Message>expired</Message></Error>" }

TEST(t_artifact__expired_credentials_are_renewed_once) {
    static const fault_step steps[] = {EXPIRED, {.head = ETAG, .body = "bytes"}, EXPIRED};
    scene x;
    cpl_error err = {0};
    const char *path = NULL;
    char *text;
    NEED(open_scene(&x, steps, CPL_COUNT(steps), 0));
    if (!CHECK(cpl_job_input_path(x.job, CPL_LIT("Code"), NULL, &path, &err) == CPL_OK)) printf("  %s\n", err.message);
    NEED(path);
    CHECK_STR(text = test_read_file(path, NULL), "bytes");
    free(text);
    CHECK(cpl_job_input_path(x.job, CPL_LIT(""), NULL, &path, &err) == CPL_OK); /* fetched once */
    CHECK(fault_server_requests(x.bucket) == 2);
    CHECK(cpl_job_output_write(x.job, CPL_LIT("Made"), CPL_LIT("made"), &err) == CPL_OK);
    CHECK(cpl_job_succeed(x.job, NULL, NULL, &err) == CPL_SERVICE); /* expired again after the renewal */
    CHECK_STR(err.code, "ExpiredToken");
    CHECK(fault_server_requests(x.bucket) == 4);
    close_scene(&x);
}

/* The emulator's credentials live for an hour by its clock, which goes on in the middle of a transfer. */
typedef struct hour {
    cpl_emulator *emulator;
    cpl_progress progress;
    int64_t from; /* bytes */
    bool over;
} hour;

static int let_an_hour_pass(void *context) {
    hour *h = context;
    if (h->over || h->progress.done < h->from) return 0;
    h->over = true;
    CHECK(cpl_emulator_advance(h->emulator, 3600 * 1000, NULL) == CPL_OK);
    return 0;
}

static int count_asked(cpl_emulator *emulator, const char *operation) {
    cpl_json *list = NULL;
    cpl_str text;
    int count = 0;
    CHECK(cpl_emulator_ledger(emulator, &text, NULL) == CPL_OK && cpl_json_parse(text, &list, NULL) == CPL_OK);
    for (cpl_json *i = cpl_json_first(list); i; i = cpl_json_next(i)) {
        count += strcmp(cpl_json_get_cstr(i, "operation", ""), operation) == 0;
    }
    cpl_json_free(list);
    return count;
}

#define WHOLE_MIB 70 /* more than what goes up, or comes, at once */

static bool write_large(cpl_str path) {
    static char block[1 << 20];
    FILE *file = fopen(path.p, "wb");
    if (file == NULL) return false;
    for (int i = 0; i < WHOLE_MIB; i++) {
        for (size_t at = 0; at < sizeof block; at += 8) block[at] = (char)(at * 31 >> 7 ^ (size_t)i);
        if (fwrite(block, sizeof block, 1, file) != 1) break;
    }
    return fclose(file) == 0;
}

TEST(t_artifact__credentials_that_end_in_the_middle_are_renewed_both_ways) {
    service s;
    cpl_worker *worker;
    cpl_job *job;
    cpl_error err = {0};
    const char *path = NULL;
    int gets, puts;
    hour down = {.from = 16 << 20}, up = {.from = 32 << 20};
    cpl_wait wait = {.tick = let_an_hour_pass, .context = &down, .progress = &down.progress};
    NEED(open_idle(&s) && put_source(&s));
    NEED(write_large(in_room("large")));
    NEED(cpl_client_upload(s.client, in_room("large"), CPL_LIT("source"), CPL_LIT("source.zip"), NULL, &err) == CPL_OK);
    NEED(ask(&s, "CreatePipeline",
             "{'pipeline':{'name':'line'," ROLE "," STORE ",'stages':[" SOURCE ",{'name':'Build','actions':[%s]}]}}",
             BUILD("Make", MADE)));
    worker = worker_of(s.client, 1);
    NEED((job = next_job(worker)) != NULL);
    down.emulator = up.emulator = s.emulator;
    if (!CHECK(cpl_job_input_path(job, CPL_LIT("Code"), &wait, &path, &err) == CPL_OK)) printf("  %s\n", err.message);
    NEED(path);
    CHECK(down.over && down.progress.done == (int64_t)WHOLE_MIB << 20);
    CHECK(strcmp(down.progress.name, "Code") == 0 && count_asked(s.emulator, "GetJobDetails") == 1);
    gets = count_asked(s.emulator, "GetObject");
    /* of the five parts some were under way and came again, the first did not */
    if (!CHECK(gets > 5 && gets <= 1 + 2 * 4)) printf("  %d\n", gets);
    CHECK(cpl_job_output_file(job, CPL_LIT("Made"), cpl_str_of(path), NULL, &err) == CPL_OK);
    wait = (cpl_wait){.tick = let_an_hour_pass, .context = &up, .progress = &up.progress};
    if (!CHECK(cpl_job_succeed(job, NULL, &wait, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(up.over && strcmp(up.progress.name, "Made") == 0 && count_asked(s.emulator, "GetJobDetails") == 2);
    puts = count_asked(s.emulator, "PutObject"); /* this upload, the source's, the first source, and what was refused */
    CHECK(puts > 2 * 5 + 1 && puts <= 2 * 5 + 1 + 4);
    CHECK(stage_becomes(&s, "Succeeded"));
    cpl_job_free(job);
    cpl_worker_free(worker);
    close_line(&s);
}

TEST(t_artifact__outputs_are_sent_with_the_job_s_encryption_and_only_once) {
    static const fault_step steps[] = {{.head = ETAG, .body = ""}};
    scene x;
    cpl_error err = {0};
    char digest[65], header[200];
    NEED(open_scene(&x, steps, CPL_COUNT(steps), 0));
    CHECK(cpl_job_output_write(x.job, CPL_LIT("Made"), CPL_LIT("first"), &err) == CPL_OK);
    CHECK(cpl_job_output_write(x.job, CPL_LIT("Made"), CPL_LIT("hello"), &err) == CPL_OK); /* replaces it */
    CHECK(cpl_job_output_digest(x.job, CPL_LIT("Made"), digest, &err) == CPL_OK);
    CHECK_STR(digest, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    CHECK(cpl_job_succeed(x.job, NULL, NULL, &err) == CPL_OK);
    CHECK(fault_server_requests(x.bucket) == 1);
    snprintf(header, sizeof header, "x-amz-content-sha256: %s\r\n", digest);
    CHECK(strstr(fault_server_request(x.bucket, 0), header));
    CHECK(strstr(fault_server_request(x.bucket, 0), "x-amz-server-side-encryption: aws:kms\r\n"));
    CHECK(strstr(fault_server_request(x.bucket, 0), "\r\n\r\nhello"));
    close_scene(&x);
}

TEST(t_artifact__what_the_bucket_refuses_has_a_failure_type) {
    static const struct {
        fault_step step;
        cpl_status status;
        const char *type;
    } rows[] = {
        {{.status = 403, .body = "<Error><Code>AccessDenied</Code></Error>"}, CPL_SERVICE, "PermissionError"},
        {{.status = 404, .body = "<Error><Code>NoSuchKey</Code></Error>"}, CPL_SERVICE, "ConfigurationError"},
        {{.head = ETAG, .body = "this is no archive"}, CPL_ARCHIVE, "ConfigurationError"},
        {{.head = ETAG, .filler_body = 2000}, CPL_TOO_LARGE, "ConfigurationError"},
    };
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        scene x;
        cpl_error err = {0};
        const char *folder = NULL;
        NEED(open_scene(&x, &rows[i].step, 1, 1000));
        CHECK(cpl_job_input_extract(x.job, CPL_LIT("Code"), CPL_LIT(""), NULL, &folder, &err) == rows[i].status);
        CHECK_STR(cpl_failure_type(&err), rows[i].type);
        CHECK(folder == NULL && err.message[0]);
        close_scene(&x);
    }
}

/* ---- S3 away ---- */

#define AWAY \
    { .kind = FAULT_CLOSE }
#define UNWELL \
    { .status = 503, .body = "<Error><Code>ServiceUnavailable</Code><Message>please wait</Message></Error>" }
#define PORTAL \
    { .head = "Content-Type: text/html\r\n", .body = "<html>welcome</html>" }

/* More failures than the client has attempts, which are three. */
TEST(t_artifact__a_job_s_transfers_outlast_what_passes) {
    static const fault_step steps[] = {
        AWAY, UNWELL, PORTAL, AWAY,   {.head = ETAG, .body = "bytes"},
        AWAY, UNWELL, AWAY,   PORTAL, {.head = ETAG, .body = ""},
    };
    scene x;
    cpl_error err = {0};
    const char *path = NULL;
    char *text;
    NEED(open_scene(&x, steps, CPL_COUNT(steps), 0));
    if (!CHECK(cpl_job_input_path(x.job, CPL_LIT("Code"), NULL, &path, &err) == CPL_OK)) printf("  %s\n", err.message);
    NEED(path);
    CHECK_STR(text = test_read_file(path, NULL), "bytes");
    free(text);
    CHECK(cpl_job_output_write(x.job, CPL_LIT("Made"), CPL_LIT("made"), &err) == CPL_OK);
    if (!CHECK(cpl_job_succeed(x.job, NULL, NULL, &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(fault_server_requests(x.bucket) == CPL_COUNT(steps));
    close_scene(&x);
}

static int cancel_worker(void *context) {
    cpl_worker_cancel(context);
    return 0;
}

TEST(t_artifact__a_job_that_is_cancelled_waits_for_s3_no_longer) {
    static const fault_step steps[] = {UNWELL};
    scene x;
    cpl_error err = {0};
    const char *path = NULL;
    NEED(open_scene(&x, steps, CPL_COUNT(steps), 0));
    const cpl_wait wait = {.tick = cancel_worker, .context = x.worker};
    CHECK(cpl_job_input_path(x.job, CPL_LIT("Code"), &wait, &path, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "ServiceUnavailable"); /* what was the matter, and not that it was cancelled */
    CHECK(strstr(err.message, "the input artifact \"Code\": please wait"));
    CHECK_STR(cpl_failure_type(&err), "SystemUnavailable");
    CHECK(fault_server_requests(x.bucket) < 3);
    close_scene(&x);
}

/* The job itself says what is the matter, while there is time, and not its guard. */
TEST(t_artifact__a_job_whose_time_is_nearly_up_waits_for_s3_no_longer) {
    static const fault_step steps[] = {UNWELL};
    scene x;
    cpl_error err = {0};
    const char *path = NULL;
    NEED(open_scene(&x, steps, CPL_COUNT(steps), 0));
    CHECK(cpl_job_guard(x.job, 1500, &err) == CPL_OK);
    CHECK(cpl_job_input_path(x.job, CPL_LIT("Code"), NULL, &path, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "ServiceUnavailable");
    CHECK(!cpl_job_expired(x.job));
    CHECK(cpl_job_fail(x.job, CPL_LIT("SystemUnavailable"), CPL_LIT("S3"), CPL_LIT(""), NULL, &err) == CPL_OK);
    close_scene(&x);
}

TEST(t_artifact__a_job_s_secrets_are_in_its_data_marked_sensitive) {
    static const fault_step steps[] = {{.head = ETAG, .body = ""}};
    scene x;
    cpl_cursor c;
    int sensitive = 0;
    NEED(open_scene(&x, steps, CPL_COUNT(steps), 0));
    NEED(cpl_job_data(x.job, &c, NULL) == CPL_OK);
    while (cpl_cursor_next(&c) != CPL_TOKEN_END && c.token != CPL_TOKEN_ERROR) {
        sensitive += c.token == CPL_TOKEN_STRING && c.sensitive;
    }
    CHECK(c.token == CPL_TOKEN_END);
    CHECK(sensitive == 3);
    cpl_cursor_release(&c);
    close_scene(&x);
}

TEST(t_artifact__extracting_into_a_folder_of_the_caller_s) {
    service s;
    cpl_job *job;
    cpl_error err = {0};
    const char *own = NULL, *again = NULL, *given = NULL;
    char file[600], *text;
    NEED(open_line(&s, BUILD("Make", MADE)));
    cpl_worker *worker = worker_of(s.client, 1);
    NEED((job = next_job(worker)) != NULL);
    CHECK(cpl_job_input_extract(job, CPL_LIT(""), CPL_LIT(""), NULL, &own, &err) == CPL_OK);
    CHECK(cpl_job_input_extract(job, CPL_LIT(""), CPL_LIT(""), NULL, &again, &err) == CPL_OK && again == own);
    CHECK(cpl_job_input_extract(job, CPL_LIT("Code"), in_room("mine"), NULL, &given, &err) == CPL_OK);
    CHECK_STR(given, in_room("mine").p);
    snprintf(file, sizeof file, "%s/hello.txt", given);
    CHECK_STR(text = test_read_file(file, NULL), "hello\n");
    free(text);
    cpl_job_free(job);
    CHECK_STR(text = test_read_file(file, NULL), "hello\n"); /* outlives the job */
    free(text);
    cpl_worker_free(worker);
    close_line(&s);
}

/* ---- with the client's own credentials ---- */

TEST(t_artifact__what_a_client_uploads_it_downloads) {
    service s;
    cpl_error err = {0};
    char *text;
    NEED(open_idle(&s));
    NEED(cpl_emulator_create_bucket(s.emulator, CPL_LIT("box"), &err) == CPL_OK);
    NEED(write_text(in_room("a"), "hello"));
    CHECK(cpl_client_upload(s.client, in_room("a"), CPL_LIT("box"), CPL_LIT("dir/a"), NULL, &err) == CPL_OK);
    CHECK(cpl_client_download(s.client, CPL_LIT("box"), CPL_LIT("dir/a"), in_room("b"), NULL, &err) == CPL_OK);
    CHECK_STR(text = test_read_file(in_room("b").p, NULL), "hello");
    free(text);
    close_line(&s);
}

TEST(t_artifact__a_download_that_fails_leaves_the_old_file) {
    service s;
    cpl_error err = {0};
    char *text;
    NEED(open_idle(&s));
    NEED(write_text(in_room("b"), "old"));
    CHECK(cpl_client_download(s.client, CPL_LIT("box"), CPL_LIT("none"), in_room("b"), NULL, &err) == CPL_SERVICE);
    CHECK_STR(err.code, "NoSuchBucket");
    CHECK_STR(text = test_read_file(in_room("b").p, NULL), "old");
    free(text);
    CHECK(cpl_client_upload(s.client, in_room("none"), CPL_LIT("box"), CPL_LIT("k"), NULL, &err) == CPL_IO);
    CHECK(cpl_client_upload(s.client, in_room(""), CPL_LIT("box"), CPL_LIT("k"), NULL, &err) == CPL_INVALID);
    cpl_client_close(s.client);
    CHECK(cpl_client_download(s.client, CPL_LIT("box"), CPL_LIT("k"), in_room("c"), NULL, &err) == CPL_STATE);
    close_line(&s);
}

TEST_MAIN
