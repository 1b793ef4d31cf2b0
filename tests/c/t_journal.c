/* SPDX-License-Identifier: MIT */
#include "../../core/journal.h"

#include <dlfcn.h>
#include <sys/wait.h>

#include "service.h"

#define HOUR_MS (3600 * INT64_C(1000))

static cpl_journal *open_at(const char *name, int64_t now_ms) {
    cpl_journal *journal = NULL;
    cpl_error err = {0};
    if (!CHECK(cpl_journal_open(&journal, in_room(name), now_ms, &err) == CPL_OK)) {
        printf("  %s\n", err.message);
    }
    return journal;
}

static cpl_status take(cpl_journal *journal, const char *id, int64_t now_ms, bool *fresh) {
    cpl_entry entry = {.id = id, .nonce = "1", .type = "Build/Maker/1", .taken_ms = now_ms};
    return cpl_journal_take(journal, &entry, fresh, NULL);
}

static cpl_status mark(cpl_journal *journal, const char *id, cpl_entry_state state) {
    cpl_entry entry = {
        .id = id, .nonce = "1", .state = state, .operation = "PutJobSuccessResult", .result = "{\"jobId\":\"j\"}"};
    return cpl_journal_mark(journal, &entry, 0, NULL);
}

typedef struct found {
    int count;
    char text[2000]; /* "id:state:starts:operation:result " for each */
} found;

static cpl_status note(void *context, const cpl_entry *entry, cpl_error *err) {
    found *f = context;
    size_t n = strlen(f->text);
    (void)err;
    f->count++;
    snprintf(f->text + n, sizeof f->text - n, "%s:%d:%d:%s:%s ", entry->id, (int)entry->state, entry->starts,
             entry->operation ? entry->operation : "", entry->result ? entry->result : "");
    return CPL_OK;
}

static found read_all(cpl_journal *journal) {
    found f = {0};
    CHECK(cpl_journal_each(journal, note, &f, NULL) == CPL_OK);
    return f;
}

TEST(t_journal__what_is_open_is_there_after_a_restart_and_what_is_over_is_not) {
    static const cpl_entry_state states[] = {CPL_ENTRY_TAKEN, CPL_ENTRY_ACKNOWLEDGED, CPL_ENTRY_RUNNING,
                                             CPL_ENTRY_OWED,  CPL_ENTRY_DELIVERED,    CPL_ENTRY_DROPPED};
    struct stat info;
    bool fresh;
    NEED(open_room());
    cpl_journal *journal = open_at("j.db", 0);
    NEED(journal);
    for (int i = 0; i < 6; i++) {
        char id[] = {(char)('a' + i), '\0'};
        CHECK(take(journal, id, i, &fresh) == CPL_OK && fresh);
        if (i > 0) CHECK(mark(journal, id, states[i]) == CPL_OK);
    }
    cpl_journal_close(journal);
    CHECK(stat(in_room("j.db").p, &info) == 0 && (info.st_mode & 0777) == 0600);
    NEED((journal = open_at("j.db", 10)) != NULL);
    CHECK(cpl_journal_warning(journal) == NULL);
    CHECK_STR(read_all(journal).text, "a:1:0:: b:2:0:: c:3:1:: d:4:0:PutJobSuccessResult:{\"jobId\":\"j\"} ");
    CHECK(take(journal, "e", 20, &fresh) == CPL_OK && !fresh); /* delivered, and never taken again */
    CHECK(take(journal, "a", 20, &fresh) == CPL_OK && !fresh);
    cpl_journal_close(journal);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

TEST(t_journal__one_that_is_not_kept_knows_nothing) {
    bool fresh;
    CHECK(take(NULL, "a", 0, &fresh) == CPL_OK && fresh && mark(NULL, "a", CPL_ENTRY_OWED) == CPL_OK);
}

TEST(t_journal__two_workers_cannot_open_one) {
    cpl_journal *second = NULL;
    cpl_error err = {0};
    int status;
    pid_t child;
    NEED(open_room());
    cpl_journal *journal = open_at("j.db", 0);
    NEED(journal);
    CHECK(cpl_journal_open(&second, in_room("j.db"), 0, &err) == CPL_STATE && second == NULL);
    CHECK(strstr(err.message, "in use by another worker"));
    child = fork();
    if (child == 0) { /* another process; and the inherited one is not its own */
        bool fresh, good = cpl_journal_open(&second, in_room("j.db"), 0, NULL) == CPL_STATE;
        _exit(good && take(journal, "a", 0, &fresh) == CPL_STATE ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    cpl_journal_close(journal);
    NEED((journal = open_at("j.db", 0)) != NULL);
    CHECK(cpl_journal_warning(journal) == NULL);
    cpl_journal_close(journal);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

TEST(t_journal__what_is_long_over_is_forgotten_and_what_is_open_is_not) {
    bool fresh;
    NEED(open_room());
    cpl_journal *journal = open_at("j.db", 0);
    NEED(journal);
    for (int i = 0; i < 3; i++) {
        char id[] = {(char)('a' + i), '\0'};
        CHECK(take(journal, id, 0, &fresh) == CPL_OK);
        if (i > 0) CHECK(mark(journal, id, CPL_ENTRY_DELIVERED) == CPL_OK);
    }
    CHECK(cpl_journal_prune(journal, 47 * HOUR_MS, NULL) == CPL_OK);
    CHECK(take(journal, "b", 0, &fresh) == CPL_OK && !fresh);
    CHECK(cpl_journal_prune(journal, 49 * HOUR_MS, NULL) == CPL_OK);
    CHECK(take(journal, "b", 0, &fresh) == CPL_OK && fresh);
    CHECK(take(journal, "a", 0, &fresh) == CPL_OK && !fresh);
    cpl_journal_close(journal);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

/* ---- damage ---- */

static bool copy_file(const char *from, const char *to, size_t *size) {
    char *bytes = test_read_file(from, size);
    FILE *file = bytes ? fopen(to, "wb") : NULL;
    bool good = file && fwrite(bytes, 1, *size, file) == *size;
    if (file) fclose(file);
    free(bytes);
    return good;
}

static bool aside_exists(void) {
    char command[700];
    snprintf(command, sizeof command, "ls %s | grep -q damaged-", room);
    return system(command) == 0;
}

/* What a damaged copy says must be what was written, or nothing at all with a warning. */
static void check_copy(const char *whole, const char *what, long at) {
    cpl_journal *journal = open_at("copy.db", 0);
    found f;
    NEED(journal);
    f = read_all(journal);
    if (cpl_journal_warning(journal)) {
        CHECK(f.count == 0 && aside_exists());
    } else if (!CHECK(strcmp(f.text, whole) == 0)) {
        printf("  %s at %ld: %s\n", what, at, f.text);
    }
    cpl_journal_close(journal);
}

static void remove_copies(void) {
    char command[700];
    snprintf(command, sizeof command, "rm -f %s/copy.db*", room);
    CHECK(system(command) == 0);
}

/* NIGHTLY=1: every byte and every bit. */
TEST(t_journal__damage_is_found_and_the_file_set_aside) {
    size_t size = 0, every_byte = getenv("NIGHTLY") ? 1 : 397, every_bit = getenv("NIGHTLY") ? 1 : 179;
    found whole;
    bool fresh;
    int warnings = 0;
    NEED(open_room());
    cpl_journal *journal = open_at("j.db", 0);
    NEED(journal);
    for (int i = 0; i < 4; i++) {
        char id[] = {(char)('a' + i), '\0'};
        CHECK(take(journal, id, i, &fresh) == CPL_OK);
        CHECK(mark(journal, id, i < 2 ? CPL_ENTRY_RUNNING : CPL_ENTRY_OWED) == CPL_OK);
    }
    whole = read_all(journal);
    cpl_journal_close(journal);
    NEED(copy_file(in_room("j.db").p, in_room("copy.db").p, &size));
    for (size_t at = 2; at < size; at += every_byte) { /* cut short; one byte and less is a new file */
        NEED(copy_file(in_room("j.db").p, in_room("copy.db").p, &size));
        CHECK(truncate(in_room("copy.db").p, (off_t)at) == 0);
        check_copy(whole.text, "cut", (long)at);
        remove_copies();
    }
    for (size_t bit = 0; bit < size * 8; bit += every_bit) { /* one bit turned over */
        FILE *file;
        int byte;
        NEED(copy_file(in_room("j.db").p, in_room("copy.db").p, &size));
        NEED((file = fopen(in_room("copy.db").p, "r+b")) != NULL);
        fseek(file, (long)(bit / 8), SEEK_SET);
        byte = fgetc(file);
        fseek(file, (long)(bit / 8), SEEK_SET);
        fputc(byte ^ 1 << bit % 8, file);
        fclose(file);
        if (bit / 8 >= 60 && bit / 8 < 64) continue; /* the format's number: a newer one is refused, not set aside */
        check_copy(whole.text, "bit", (long)bit);
        warnings += aside_exists();
        remove_copies();
    }
    CHECK(warnings > 10);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

/* "artifact:upload " for each. */
static const char *remains_of(cpl_journal *journal, const char *id) {
    static char text[500];
    const cpl_remains of = {.id = id, .nonce = "1"};
    cpl_buf artifact, upload;
    text[0] = '\0';
    cpl_buf_init(&artifact, 100);
    cpl_buf_init(&upload, 100);
    for (int i = 0; cpl_journal_remains(journal, &of, i, &artifact, &upload, NULL) == CPL_OK && artifact.n > 0; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s:%s ", cpl_buf_cstr(&artifact), cpl_buf_cstr(&upload));
        cpl_buf_clear(&artifact);
        cpl_buf_clear(&upload);
    }
    cpl_buf_release(&artifact);
    cpl_buf_release(&upload);
    return text;
}

TEST(t_journal__what_is_in_the_artifact_store_is_known_until_the_job_is_over) {
    const cpl_remains state = {"a", "1", "Made", ""}, upload = {"a", "1", "Made", "u"}, others = {"b", "1", "Log", ""};
    bool fresh;
    NEED(open_room());
    cpl_journal *journal = open_at("j.db", 0);
    NEED(journal);
    CHECK(take(journal, "a", 1, &fresh) == CPL_OK && mark(journal, "a", CPL_ENTRY_RUNNING) == CPL_OK);
    CHECK(take(journal, "b", 1, &fresh) == CPL_OK && mark(journal, "b", CPL_ENTRY_DELIVERED) == CPL_OK);
    CHECK(cpl_journal_note(journal, &state, NULL) == CPL_OK && cpl_journal_note(journal, &upload, NULL) == CPL_OK);
    CHECK(cpl_journal_note(journal, &others, NULL) == CPL_OK && cpl_journal_note(journal, &state, NULL) == CPL_OK);
    CHECK_STR(remains_of(journal, "a"), "Made: Made:u ");
    CHECK_STR(remains_of(journal, "b"), "Log: ");
    cpl_journal_close(journal);
    journal = open_at("j.db", 1);
    NEED(journal);
    CHECK_STR(remains_of(journal, "b"), "");
    CHECK(cpl_journal_strike(journal, &upload, NULL) == CPL_OK);
    CHECK_STR(remains_of(journal, "a"), "Made: ");
    CHECK(cpl_journal_note(NULL, &state, NULL) == CPL_OK && cpl_journal_strike(NULL, &state, NULL) == CPL_OK);
    CHECK_STR(remains_of(NULL, "a"), "");
    cpl_journal_close(journal);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

/* Trouble of the machine while it is looked at is no damage: what is owed stands in it. */
TEST(t_journal__one_that_could_not_be_read_is_not_set_aside) {
    cpl_journal *journal;
    bool fresh;
    int refused = 0;
    int64_t (*limit_heap)(int64_t) = NULL;
    void *sqlite;
    NEED(open_room());
    journal = open_at("j.db", 0);
    NEED(journal);
    CHECK(take(journal, "a", 1, &fresh) == CPL_OK && mark(journal, "a", CPL_ENTRY_OWED) == CPL_OK);
    cpl_journal_close(journal);
    sqlite = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_NOLOAD);
    if (sqlite) *(void **)&limit_heap = dlsym(sqlite, "sqlite3_hard_heap_limit64");
    for (int64_t bytes = 20000; limit_heap && bytes < 250000; bytes += 1000) {
        cpl_error err = {0};
        limit_heap(bytes);
        if (cpl_journal_open(&journal, in_room("j.db"), 0, &err) == CPL_OK) {
            CHECK(cpl_journal_warning(journal) == NULL);
            cpl_journal_close(journal);
        } else {
            refused++;
        }
        limit_heap(0);
    }
    CHECK(limit_heap == NULL || refused > 0);
    journal = open_at("j.db", 0);
    CHECK_STR(read_all(journal).text, "a:4:0:PutJobSuccessResult:{\"jobId\":\"j\"} ");
    cpl_journal_close(journal);
    if (sqlite) dlclose(sqlite);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

TEST(t_journal__somebody_elses_file_is_set_aside_whole) {
    char command[700], *text;
    NEED(open_room());
    CHECK(write_text(in_room("j.db"), "dear diary"));
    cpl_journal *journal = open_at("j.db", 1792574400000);
    NEED(journal);
    CHECK(strstr(cpl_journal_warning(journal), "j.db.damaged-20261021T"));
    cpl_journal_close(journal);
    snprintf(command, sizeof command, "mv %s/j.db.damaged-* %s/found", room, room);
    CHECK(system(command) == 0);
    CHECK_STR(text = test_read_file(in_room("found").p, NULL), "dear diary");
    free(text);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

TEST(t_journal__a_place_that_cannot_be_written_is_an_error) {
    cpl_journal *journal = NULL;
    cpl_error err = {0};
    CHECK(cpl_journal_open(&journal, CPL_LIT("/no/such/folder/j.db"), 0, &err) == CPL_IO && journal == NULL);
    CHECK(strstr(err.message, "\"/no/such/folder/j.db\""));
    CHECK(cpl_journal_open(&journal, (cpl_str){"a\0b", 3}, 0, &err) == CPL_INVALID);
    CHECK(cpl_journal_open(&journal, CPL_LIT(""), 0, &err) == CPL_INVALID);
}

TEST_MAIN
