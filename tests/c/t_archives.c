/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/archives.h"
#include "../../core/digest.h"
#include "../../core/err.h"
#include "../../core/tree.h"
#include "test.h"

#define VECTORS "tests/vectors/archives/"

/* ---- a folder to work in ---- */

static char *room;          /* the temporary folder of one test */
static char path_text[600]; /* what in_room() answered last */

static bool enter_room(void) {
    cpl_error err = {0};
    const char *tmp = getenv("TMPDIR");
    return CHECK(cpl_tree_temp(cpl_str_of(tmp ? tmp : "/tmp"), "t_archives-", &room, &err) == CPL_OK);
}

static void leave_room(void) {
    CHECK(cpl_tree_remove(AT_FDCWD, room));
    cpl_free(room);
}

static const char *in_room(const char *rest) {
    snprintf(path_text, sizeof path_text, "%s/%s", room, rest);
    return path_text;
}

static void write_file(const char *rest, const char *bytes, size_t n, mode_t mode) {
    int fd = open(in_room(rest), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    if (fd >= 0) close(fd);
}

static void check_file(const char *rest, const char *want) {
    char *text = test_read_file(in_room(rest), NULL);
    CHECK_STR(text, want);
    free(text);
}

static bool is_there(const char *rest) {
    struct stat info;
    return lstat(in_room(rest), &info) == 0;
}

static int mode_of(const char *rest) {
    struct stat info;
    return lstat(in_room(rest), &info) == 0 ? (int)(info.st_mode & 07777) : -1;
}

/* How many names a folder has, hidden ones included. */
static int count_names(const char *path) {
    DIR *dir = opendir(path);
    int n = 0;
    if (dir == NULL) return -1;
    while (readdir(dir)) n++;
    closedir(dir);
    return n - 2;
}

static cpl_status extract(const char *archive, const char *to, const cpl_archive_limits *limits, cpl_error *err) {
    char target[600];
    snprintf(target, sizeof target, "%s/%s", room, to);
    return cpl_archive_extract(archive, target, limits, NULL, err);
}

static cpl_status extract_bytes(const char *bytes, size_t n, const char *to, cpl_error *err) {
    char archive[600];
    write_file("archive", bytes, n, 0600);
    snprintf(archive, sizeof archive, "%s/archive", room);
    return extract(archive, to, NULL, err);
}

/* ---- the vectors ---- */

/* words: "one of these|or these". */
static bool has_words(const char *message, cpl_str words) {
    while (words.n > 0) {
        size_t end = cpl_str_find(words, '|');
        char one[128];
        CPL_COPY(one, cpl_str_sub(words, 0, end));
        if (strstr(message, one)) return true;
        words = cpl_str_sub(words, end + 1, words.n);
    }
    return false;
}

static void run_refused(const char *file, const char *archive, cpl_str words) {
    cpl_error err = {0};
    bool good = CHECK(extract(archive, "new", NULL, &err) == CPL_ARCHIVE) && CHECK(has_words(err.message, words)) &&
                CHECK(cpl_utf8_valid(cpl_str_of(err.message))) && CHECK(count_names(room) == 0);
    mkdir(in_room("old"), 0755);
    write_file("old/kept", "kept", 4, 0644);
    good = CHECK(extract(archive, "old", NULL, &err) == CPL_ARCHIVE) && CHECK(count_names(in_room("old")) == 1) && good;
    CHECK(count_names(room) == 1);
    check_file("old/kept", "kept");
    cpl_tree_remove(AT_FDCWD, in_room("old"));
    if (!good) printf("  in %s: %s\n", file, err.message);
}

static void run_ok(const char *file, const char *archive, const char *member) {
    cpl_error err = {0};
    char inside[300];
    snprintf(inside, sizeof inside, "new/%s", member);
    if (!CHECK(extract(archive, "new", NULL, &err) == CPL_OK) || !CHECK(is_there(inside)) ||
        !CHECK(count_names(room) == 1)) {
        printf("  in %s: %s\n", file, err.message);
    }
    cpl_tree_remove(AT_FDCWD, in_room("new"));
}

TEST(t_archives__every_vector_is_unpacked_or_refused_as_cases_txt_says) {
    char *cases = test_read_file(VECTORS "cases.txt", NULL), *line = cases, *rest = NULL;
    int count = 0;
    NEED(cases);
    NEED(enter_room());
    for (line = strtok_r(cases, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), count++) {
        char *verdict = strstr(line, " | "), *words = verdict ? strstr(verdict + 3, " | ") : NULL, archive[300];
        NEED(words);
        *verdict = *words = '\0';
        snprintf(archive, sizeof archive, VECTORS "%s", line);
        if (strcmp(verdict + 3, "ok") == 0) {
            run_ok(line, archive, words + 3);
        } else {
            run_refused(line, archive, cpl_str_of(words + 3));
        }
    }
    CHECK(count > 80);
    free(cases);
    leave_room();
}

/* ---- unpacking ---- */

TEST(t_archives__executable_bits_stay_and_setuid_goes) {
    cpl_error err = {0};
    mode_t old = umask(022);
    NEED(enter_room());
    CHECK(extract(VECTORS "mode-setuid.zip", "new", NULL, &err) == CPL_OK);
    CHECK(mode_of("new/run") == 0755);
    CHECK(mode_of("new/locked") == 0600);
    CHECK(extract(VECTORS "plain.tar.gz", "tar", NULL, &err) == CPL_OK);
    CHECK(mode_of("tar/run") == 0755);
    CHECK(mode_of("tar/d/a") == 0644);
    CHECK(mode_of("tar") == 0755);
    umask(old);
    leave_room();
}

TEST(t_archives__modification_times_are_kept) {
    cpl_error err = {0};
    struct stat info;
    NEED(enter_room());
    CHECK(extract(VECTORS "plain.tar.gz", "new", NULL, &err) == CPL_OK);
    CHECK(stat(in_room("new/d/a"), &info) == 0 && info.st_mtime == 1740830400);
    leave_room();
}

TEST(t_archives__links_inside_are_kept) {
    cpl_error err = {0};
    NEED(enter_room());
    CHECK(extract(VECTORS "link-inside.zip", "new", NULL, &err) == CPL_OK);
    check_file("new/near", "hello\n");
    check_file("new/d/up", "hello\n");
    CHECK(is_there("new/gone"));
    CHECK(extract(VECTORS "plain.tar", "tar", NULL, &err) == CPL_OK);
    check_file("tar/d/b", "hello\n");
    leave_room();
}

TEST(t_archives__unpacking_twice_replaces_files_and_keeps_others) {
    cpl_error err = {0};
    NEED(enter_room());
    CHECK(extract(VECTORS "plain.zip", "new", NULL, &err) == CPL_OK);
    write_file("new/a/b", "changed", 7, 0644);
    write_file("new/a/other", "other", 5, 0644);
    CHECK(extract(VECTORS "plain.zip", "new", NULL, &err) == CPL_OK);
    check_file("new/a/b", "hello\n");
    check_file("new/a/other", "other");
    CHECK(count_names(in_room("new")) == 4);
    leave_room();
}

TEST(t_archives__a_link_planted_in_the_target_is_not_followed) {
    cpl_error err = {0};
    NEED(enter_room());
    mkdir(in_room("outside"), 0755);
    mkdir(in_room("new"), 0755);
    CHECK(symlink("../outside", in_room("new/a")) == 0);
    CHECK(extract(VECTORS "plain.zip", "new", NULL, &err) == CPL_ARCHIVE);
    CHECK(strstr(err.message, "another kind"));
    CHECK(count_names(in_room("outside")) == 0);
    CHECK(count_names(in_room("new")) == 1);
    leave_room();
}

TEST(t_archives__a_file_in_the_way_of_a_folder_is_found_before_anything_moves) {
    cpl_error err = {0};
    NEED(enter_room());
    mkdir(in_room("new"), 0755);
    write_file("new/a", "mine", 4, 0644);
    CHECK(extract(VECTORS "plain.zip", "new", NULL, &err) == CPL_ARCHIVE);
    CHECK(count_names(in_room("new")) == 1);
    check_file("new/a", "mine");
    leave_room();
}

TEST(t_archives__limits_count_what_is_written) {
    cpl_error err = {0};
    cpl_archive_limits bytes = {.bytes = 10}, entries = {.entries = 3}, enough = {.bytes = 22, .entries = 4};
    NEED(enter_room());
    CHECK(extract(VECTORS "plain.zip", "new", &bytes, &err) == CPL_ARCHIVE);
    CHECK(strstr(err.message, "limit of 10 bytes"));
    CHECK(extract(VECTORS "plain.zip", "new", &entries, &err) == CPL_ARCHIVE);
    CHECK(strstr(err.message, "limit is 3"));
    entries.entries = 1;
    CHECK(extract(VECTORS "plain.tar.gz", "new", &entries, &err) == CPL_ARCHIVE);
    CHECK(count_names(room) == 0);
    CHECK(extract(VECTORS "plain.zip", "new", &enough, &err) == CPL_OK);
    leave_room();
}

TEST(t_archives__missing_files_and_folders_are_io_errors) {
    cpl_error err = {0};
    NEED(enter_room());
    CHECK(extract(VECTORS "no-such-file", "new", NULL, &err) == CPL_IO);
    CHECK(strstr(err.message, "no-such-file"));
    CHECK(extract(VECTORS "plain.zip", "no/such/parent", NULL, &err) == CPL_IO);
    write_file("file", "", 0, 0644);
    CHECK(extract(VECTORS "plain.zip", "file", NULL, &err) == CPL_IO);
    CHECK(count_names(room) == 1);
    leave_room();
}

static int stop_now(void *context) {
    ++*(int *)context;
    return 1;
}

TEST(t_archives__a_tick_stops_both_ways) {
    cpl_error err = {0};
    int asked = 0;
    cpl_wait wait = {.tick = stop_now, .context = &asked};
    char folder[600];
    NEED(enter_room());
    mkdir(in_room("from"), 0755);
    write_file("from/a", "a", 1, 0644);
    snprintf(folder, sizeof folder, "%s/from", room);
    CHECK(cpl_archive_extract(VECTORS "plain.zip", in_room("new"), NULL, &wait, &err) == CPL_CANCELLED);
    CHECK(cpl_archive_pack(folder, in_room("to.zip"), &wait, &err) == CPL_CANCELLED);
    CHECK(asked == 2);
    CHECK(count_names(room) == 1);
    leave_room();
}

TEST(t_archives__cut_anywhere_a_zip_is_refused) {
    size_t n = 0;
    char *bytes = test_read_file(VECTORS "plain.zip", &n);
    NEED(bytes);
    NEED(enter_room());
    for (size_t i = 0; i < n; i++) {
        cpl_error err = {0};
        if (!CHECK(extract_bytes(bytes, i, "new", &err) == CPL_ARCHIVE)) printf("  at %zu\n", i);
    }
    CHECK(count_names(room) == 1);
    free(bytes);
    leave_room();
}

TEST(t_archives__any_flipped_bit_is_refused_or_changes_no_content) {
    size_t n = 0, refused = 0;
    char *bytes = test_read_file(VECTORS "descriptor.zip", &n);
    NEED(bytes);
    NEED(enter_room());
    for (size_t bit = 0; bit < n * 8; bit++) {
        cpl_error err = {0};
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        if (extract_bytes(bytes, n, "new", &err) != CPL_OK) {
            refused++;
            CHECK(err.status == CPL_ARCHIVE);
        } else {
            check_file("new/a", "streamed\n");
            check_file("new/b", "hello\n");
        }
        cpl_tree_remove(AT_FDCWD, in_room("new"));
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    CHECK(refused > n * 6);
    free(bytes);
    leave_room();
}

/* ---- packing ---- */

static void check_same_digest(const char *a, const char *b) {
    char first[CPL_SHA256_HEX_SIZE], second[CPL_SHA256_HEX_SIZE];
    size_t n = 0;
    char *bytes = test_read_file(in_room(a), &n);
    CHECK(bytes && cpl_sha256_hex((cpl_str){bytes, n}, first, NULL) == CPL_OK);
    free(bytes);
    bytes = test_read_file(in_room(b), &n);
    CHECK(bytes && cpl_sha256_hex((cpl_str){bytes, n}, second, NULL) == CPL_OK);
    free(bytes);
    CHECK_STR(first, second);
}

static cpl_status pack(const char *from, const char *to, cpl_error *err) {
    char source[600];
    snprintf(source, sizeof source, "%s/%s", room, from);
    return cpl_archive_pack(source, in_room(to), NULL, err);
}

static cpl_status unpack(const char *archive, const char *to, cpl_error *err) {
    char source[600];
    snprintf(source, sizeof source, "%s/%s", room, archive);
    return extract(source, to, NULL, err);
}

static void make_tree(void) {
    static char big[300000];
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i * i >> 7);
    mkdir(in_room("from"), 0755);
    mkdir(in_room("from/empty"), 0755);
    mkdir(in_room("from/gr\303\274n"), 0755);
    write_file("from/z", "last", 4, 0644);
    write_file("from/.hidden", "h", 1, 0600);
    write_file("from/gr\303\274n/run", "#!/bin/sh\n", 10, 0755);
    write_file("from/big", big, sizeof big, 0644);
    CHECK(symlink("gr\303\274n/run", in_room("from/link")) == 0);
}

TEST(t_archives__texts_in_memory_are_packed_as_files_are) {
    static const cpl_archive_file files[] = {
        {"gr\303\274n/a.txt", {"one", 3}}, {"empty", {NULL, 0}}, {"z", {"\0\1", 2}}};
    static const cpl_archive_file bad = {"../up", {"x", 1}};
    cpl_error err = {0};
    cpl_buf zip, again, small;
    NEED(enter_room());
    cpl_buf_init(&zip, 4096);
    cpl_buf_init(&again, 4096);
    cpl_buf_init(&small, 64);
    CHECK(cpl_archive_zip(files, CPL_COUNT(files), &zip, &err) == CPL_OK);
    CHECK(cpl_archive_zip(files, CPL_COUNT(files), &again, &err) == CPL_OK);
    CHECK(cpl_str_eq(cpl_buf_str(&zip), cpl_buf_str(&again)));
    write_file("a.zip", zip.p, zip.n, 0644);
    if (!CHECK(unpack("a.zip", "to", &err) == CPL_OK)) printf("  %s\n", err.message);
    check_file("to/gr\303\274n/a.txt", "one");
    check_file("to/empty", "");
    CHECK(count_names(in_room("to")) == 3);
    CHECK(cpl_archive_zip(&bad, 1, &again, &err) == CPL_ARCHIVE);
    CHECK_STR(err.message, "\"../up\" leaves the directory (\"..\")");
    CHECK(cpl_archive_zip(files, CPL_COUNT(files), &small, &err) == CPL_TOO_LARGE);
    cpl_buf_release(&zip);
    cpl_buf_release(&again);
    cpl_buf_release(&small);
    leave_room();
}

TEST(t_archives__what_was_packed_unpacks_the_same) {
    cpl_error err = {0};
    char target[64] = "";
    NEED(enter_room());
    make_tree();
    if (!CHECK(pack("from", "a.zip", &err) == CPL_OK)) printf("  %s\n", err.message);
    if (!CHECK(unpack("a.zip", "to", &err) == CPL_OK)) printf("  %s\n", err.message);
    CHECK(count_names(in_room("to")) == 6);
    CHECK(count_names(in_room("to/empty")) == 0);
    CHECK(mode_of("to/gr\303\274n/run") == 0755);
    CHECK(mode_of("to/.hidden") == 0600);
    CHECK(readlink(in_room("to/link"), target, sizeof target - 1) > 0);
    CHECK_STR(target, "gr\303\274n/run");
    check_same_digest("from/big", "to/big");
    leave_room();
}

TEST(t_archives__equal_folders_give_equal_archives) {
    cpl_error err = {0};
    NEED(enter_room());
    make_tree();
    CHECK(pack("from", "a.zip", &err) == CPL_OK);
    CHECK(pack("from", "b.zip", &err) == CPL_OK);
    check_same_digest("a.zip", "b.zip");
    CHECK(unpack("a.zip", "to", &err) == CPL_OK); /* files keep their times, folders get new ones */
    leave_room();
}

TEST(t_archives__an_empty_folder_and_a_single_file_pack_too) {
    cpl_error err = {0};
    NEED(enter_room());
    mkdir(in_room("from"), 0755);
    CHECK(pack("from", "a.zip", &err) == CPL_OK);
    CHECK(unpack("a.zip", "to", &err) == CPL_OK);
    CHECK(count_names(in_room("to")) == 0);
    write_file("from/one", "1", 1, 0644);
    CHECK(pack("from/one", "b.zip", &err) == CPL_OK);
    CHECK(unpack("b.zip", "two", &err) == CPL_OK);
    check_file("two/one", "1");
    leave_room();
}

TEST(t_archives__an_archive_inside_its_own_folder_does_not_pack_itself) {
    cpl_error err = {0};
    NEED(enter_room());
    mkdir(in_room("from"), 0755);
    write_file("from/one", "1", 1, 0644);
    CHECK(pack("from", "from/a.zip", &err) == CPL_OK);
    CHECK(unpack("from/a.zip", "to", &err) == CPL_OK);
    CHECK(count_names(in_room("to")) == 1);
    leave_room();
}

TEST(t_archives__what_could_not_be_unpacked_is_not_packed) {
    static const struct {
        const char *target, *words;
    } rows[] = {{"/etc/passwd", "leaves the directory"}, {"../x", "leaves the directory"}, {"d/../x", "leaves"}};
    cpl_error err = {0};
    NEED(enter_room());
    mkdir(in_room("from"), 0755);
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        CHECK(symlink(rows[i].target, in_room("from/l")) == 0);
        CHECK(pack("from", "a.zip", &err) == CPL_ARCHIVE);
        CHECK(strstr(err.message, "\"l\"") && strstr(err.message, rows[i].words));
        unlink(in_room("from/l"));
    }
    CHECK(mkfifo(in_room("from/fifo"), 0600) == 0);
    CHECK(pack("from", "a.zip", &err) == CPL_ARCHIVE);
    CHECK(pack("from/fifo", "a.zip", &err) == CPL_ARCHIVE);
    unlink(in_room("from/fifo"));
    write_file("from/bad\xff", "", 0, 0600);
    CHECK(pack("from", "a.zip", &err) == CPL_ARCHIVE);
    CHECK(strstr(err.message, "bad\\xff"));
    CHECK(pack("none", "a.zip", &err) == CPL_IO);
    CHECK(count_names(room) == 1);
    leave_room();
}

TEST(t_archives__running_out_of_memory_anywhere_leaves_nothing_behind) {
    cpl_error err = {0};
    cpl_status status = CPL_NOMEM;
    int names;
    NEED(enter_room());
    make_tree();
    for (size_t n = 1; status != CPL_OK && n < 1000; n++) {
        names = count_names(room);
        (void)cpl_alloc_fail_at(n);
        status = pack("from", "a.zip", &err);
        (void)cpl_alloc_fail_at(0);
        if (status != CPL_OK) CHECK(status == CPL_NOMEM && count_names(room) == names);
    }
    CHECK(status == CPL_OK);
    status = CPL_NOMEM;
    for (size_t n = 1; status != CPL_OK && n < 1000; n++) {
        names = count_names(room);
        (void)cpl_alloc_fail_at(n);
        status = unpack("a.zip", "to", &err);
        (void)cpl_alloc_fail_at(0);
        if (status != CPL_OK) CHECK(status == CPL_NOMEM && count_names(room) == names);
    }
    CHECK(status == CPL_OK);
    leave_room();
}

/* ---- third-party archives ---- */

/* libzip's own verdict: what it calls inconsistent we refuse. */
TEST(t_archives__what_libzip_calls_inconsistent_is_refused) {
    const char *folder = test_suite_path("zip-libzip");
    struct dirent **names = NULL;
    int count, refused = 0;
    char verdicts[1100], archive[1400], needle[300];
    if (folder == NULL) SKIP("no SUITES/zip-libzip");
    snprintf(verdicts, sizeof verdicts, "%s", folder);
    count = scandir(verdicts, &names, NULL, alphasort);
    snprintf(archive, sizeof archive, "%s/expected-consistency-verdicts.json", verdicts);
    char *expected = test_read_file(archive, NULL);
    NEED(expected && count > 0);
    NEED(enter_room());
    for (int i = 0; i < count; i++) {
        cpl_error err = {0};
        cpl_status status;
        if (strstr(names[i]->d_name, ".zip")) {
            snprintf(archive, sizeof archive, "%s/%s", verdicts, names[i]->d_name);
            status = extract(archive, "new", NULL, &err);
            CHECK(status == CPL_OK || status == CPL_ARCHIVE);
            if (status != CPL_OK) CHECK(count_names(room) == 0);
            snprintf(needle, sizeof needle, "\"%s\": \"returned error", names[i]->d_name);
            if (strstr(expected, needle) && !CHECK(status == CPL_ARCHIVE)) printf("  %s\n", names[i]->d_name);
            refused += status != CPL_OK && strstr(expected, needle) != NULL;
            if (getenv("TEST_VERBOSE")) printf("  %s: %s\n", names[i]->d_name, status == CPL_OK ? "ok" : err.message);
            cpl_tree_remove(AT_FDCWD, in_room("new"));
        }
        free(names[i]);
    }
    CHECK(refused >= 40);
    free(names);
    free(expected);
    leave_room();
}

static void run_stored(const char *file, cpl_status want) {
    const char *archive = test_suite_path(file);
    cpl_error err = {0};
    cpl_status status;
    NEED(archive);
    status = extract(archive, "new", NULL, &err);
    if (!CHECK(status == want)) printf("  %s: %s\n", file, err.message);
    if (status != CPL_OK) CHECK(count_names(room) == 0);
    cpl_tree_remove(AT_FDCWD, in_room("new"));
}

TEST(t_archives__stored_hostile_and_ordinary_archives_get_their_verdict) {
    static const struct {
        const char *file;
        cpl_status want;
    } rows[] = {
        {"zip-safety/snyk-zip-slip.zip", CPL_ARCHIVE},
        {"zip-safety/snyk-zip-slip-win.zip", CPL_ARCHIVE},
        {"zip-safety/snyk-zip-slip.tar", CPL_ARCHIVE},
        {"zip-safety/snyk-zip-slip-win.tar", CPL_ARCHIVE},
        {"zip-safety/zip_cp437_header.zip", CPL_OK},
        {"zip-safety/zipdir.zip", CPL_OK},
        {"zip-golang/symlink.zip", CPL_ARCHIVE}, /* its target is "../target" */
        {"zip-golang/test.zip", CPL_OK},
        {"zip-golang/test-prefix.zip", CPL_ARCHIVE},
        {"zip-golang/test-trailing-junk.zip", CPL_ARCHIVE},
        {"zip-golang/go-with-datadesc-sig.zip", CPL_OK},
        {"zip-golang/crc32-not-streamed.zip", CPL_OK},
        {"zip-golang/readme.notzip", CPL_ARCHIVE},
        {"zip-golang/unix.zip", CPL_OK},
        {"zip-golang/utf8-infozip.zip", CPL_OK},
        {"zip-golang/utf8-osx.zip", CPL_OK},
        {"zip-golang/winxp.zip", CPL_OK},
        {"zip-golang/zip64.zip", CPL_OK},
        {"zip-golang/zip64-2.zip", CPL_OK},
        {"zip-golang/time-infozip.zip", CPL_OK},
        {"zip-golang/time-osx.zip", CPL_OK},
        {"zip-golang/time-win7.zip", CPL_OK},
    };
    if (test_suite_path("zip-golang") == NULL) SKIP("no SUITES/zip-golang");
    NEED(enter_room());
    for (size_t i = 0; i < CPL_COUNT(rows); i++) run_stored(rows[i].file, rows[i].want);
    leave_room();
}

TEST_MAIN
