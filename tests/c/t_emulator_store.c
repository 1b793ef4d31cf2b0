/* SPDX-License-Identifier: MIT */
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../core/emulator/emu.h"
#include "test.h"

static char folder[64], file[96];

static void make_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/t_emulator_store.XXXXXX");
    if (mkdtemp(folder) == NULL) abort();
    snprintf(file, sizeof file, "%s/state.db", folder);
}

static void remove_folder(void) {
    static const char *const endings[] = {"", "-wal", "-journal", "-shm"};
    char path[128];
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s%s", file, endings[i]);
        unlink(path);
    }
    rmdir(folder);
}

static emu_store *open_store(const char *path) {
    emu_store *store = NULL;
    cpl_error err = {0};
    if (!CHECK(emu_store_open(&store, path, &err) == CPL_OK)) printf("  %s\n", err.message);
    return store;
}

static cpl_json *number(double value) {
    cpl_json *doc = cpl_json_new_object();
    cpl_json_set_number(doc, "n", value);
    return doc;
}

static double number_at(emu_store *store, emu_table table, const char *key) {
    return cpl_json_get_number(emu_store_get(store, table, key), "n", -1);
}

TEST(t_emulator_store__documents_are_found_replaced_and_deleted_in_order) {
    emu_store *store = open_store("");
    const char *key = NULL;
    char name[16];
    NEED(store);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "k%d", i);
        CHECK(emu_store_put(store, EMU_JOB, name, number(i)));
    }
    CHECK(emu_store_put(store, EMU_JOB, "k7", number(70)));
    CHECK(emu_store_size(store, EMU_JOB) == 1000);
    CHECK(emu_store_at(store, EMU_JOB, 7, &key) && strcmp(key, "k7") == 0); /* replacing keeps the place */
    for (int i = 0; i < 1000; i += 2) {
        snprintf(name, sizeof name, "k%d", i);
        emu_store_delete(store, EMU_JOB, name);
    }
    CHECK(emu_store_size(store, EMU_JOB) == 500);
    CHECK(emu_store_get(store, EMU_JOB, "k8") == NULL);
    CHECK(number_at(store, EMU_JOB, "k7") == 70);
    CHECK(emu_store_at(store, EMU_JOB, 499, &key) && strcmp(key, "k999") == 0);
    CHECK(emu_store_at(store, EMU_JOB, 500, &key) == NULL);
    CHECK(emu_store_get(store, EMU_PIPELINE, "k7") == NULL);
    emu_store_delete(store, EMU_JOB, "never there");
    emu_store_close(store);
}

TEST(t_emulator_store__blobs_hold_any_bytes_and_move) {
    emu_store *store = open_store("");
    NEED(store);
    CHECK(emu_blob_get(store, "a").p == NULL);
    CHECK(emu_blob_put(store, "a", (cpl_str){"x\0y", 3}));
    CHECK(emu_blob_put(store, "empty", (cpl_str){NULL, 0}));
    CHECK(emu_blob_get(store, "a").n == 3 && memcmp(emu_blob_get(store, "a").p, "x\0y", 3) == 0);
    CHECK(emu_blob_get(store, "empty").p != NULL && emu_blob_get(store, "empty").n == 0);
    CHECK(emu_blob_move(store, "a", "empty"));
    CHECK(emu_blob_get(store, "a").p == NULL && emu_blob_get(store, "empty").n == 3);
    CHECK(!emu_blob_move(store, "a", "b"));
    emu_blob_delete(store, "empty");
    CHECK(emu_blob_get(store, "empty").p == NULL);
    emu_store_close(store);
}

TEST(t_emulator_store__a_file_brings_everything_back_in_the_same_order) {
    emu_store *store;
    const char *key = NULL;
    cpl_error err;
    make_folder();
    store = open_store(file);
    NEED(store);
    CHECK(emu_store_put(store, EMU_PIPELINE, "z", number(1)));
    CHECK(emu_store_put(store, EMU_PIPELINE, "a", number(2)));
    CHECK(emu_store_put(store, EMU_PIPELINE, "gone", number(3)));
    CHECK(emu_blob_put(store, "b/k", (cpl_str){"\0\xff", 2}));
    CHECK(emu_store_commit(store, &err) == CPL_OK);
    cpl_json_set_number(emu_store_get(store, EMU_PIPELINE, "z"), "n", 10);
    emu_store_touch(store, EMU_PIPELINE, "z");
    emu_store_delete(store, EMU_PIPELINE, "gone");
    CHECK(emu_store_commit(store, &err) == CPL_OK);
    CHECK(emu_store_put(store, EMU_PIPELINE, "uncommitted", number(4)));
    emu_store_close(store);

    store = open_store(file);
    NEED(store);
    CHECK(emu_store_size(store, EMU_PIPELINE) == 2);
    CHECK(number_at(store, EMU_PIPELINE, "z") == 10);
    CHECK(emu_store_at(store, EMU_PIPELINE, 0, &key) && strcmp(key, "z") == 0);
    CHECK(emu_blob_get(store, "b/k").n == 2 && memcmp(emu_blob_get(store, "b/k").p, "\0\xff", 2) == 0);
    CHECK(emu_store_put(store, EMU_PIPELINE, "later", number(5)));
    CHECK(emu_store_at(store, EMU_PIPELINE, 2, &key) && strcmp(key, "later") == 0);
    emu_store_close(store);
    remove_folder();
}

TEST(t_emulator_store__what_was_committed_outlives_a_killed_process) {
    emu_store *store;
    pid_t child;
    int status = 0;
    make_folder();
    child = fork();
    if (child == 0) {
        store = open_store(file);
        if (store && emu_store_put(store, EMU_JOB, "j", number(1)) && emu_store_commit(store, NULL) == CPL_OK) abort();
        _exit(1);
    }
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    store = open_store(file);
    NEED(store);
    CHECK(number_at(store, EMU_JOB, "j") == 1);
    emu_store_close(store);
    remove_folder();
}

static void refuses(const char *path, const char *message) {
    emu_store *store = NULL;
    cpl_error err = {0};
    CHECK(emu_store_open(&store, path, &err) == CPL_IO);
    CHECK(store == NULL);
    if (!CHECK(strstr(err.message, message) != NULL)) printf("  %s\n", err.message);
    emu_store_close(store);
}

TEST(t_emulator_store__one_emulator_at_a_time_has_the_file) {
    emu_store *store;
    pid_t child;
    int status = 0;
    make_folder();
    store = open_store(file);
    NEED(store);
    refuses(file, "is in use by another emulator");
    child = fork();
    if (child == 0) {
        emu_store *other = NULL;
        _exit(emu_store_open(&other, file, NULL) == CPL_IO ? 0 : 1);
    }
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(emu_store_put(store, EMU_JOB, "j", number(1)) && emu_store_commit(store, NULL) == CPL_OK);
    emu_store_close(store);
    remove_folder();
}

TEST(t_emulator_store__closing_in_a_forked_child_leaves_the_file_to_the_parent) {
    emu_store *store;
    pid_t child;
    make_folder();
    store = open_store(file);
    NEED(store);
    child = fork();
    if (child == 0) {
        emu_store_close(store);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    CHECK(emu_store_put(store, EMU_JOB, "j", number(1)) && emu_store_commit(store, NULL) == CPL_OK);
    refuses(file, "is in use by another emulator");
    emu_store_close(store);
    remove_folder();
}

static void write_file(const char *bytes, size_t n) {
    FILE *out = fopen(file, "wb");
    if (out == NULL || fwrite(bytes, 1, n, out) != n) abort();
    fclose(out);
}

static void refuses_untouched(const char *bytes, size_t n, const char *message) {
    char *after;
    size_t size = 0;
    write_file(bytes, n);
    refuses(file, message);
    after = test_read_file(file, &size);
    CHECK(after && size == n && memcmp(after, bytes, n) == 0);
    free(after);
}

TEST(t_emulator_store__a_foreign_file_is_refused_and_left_as_it_was) {
    char other[4096] = "SQLite format 3";
    make_folder();
    refuses_untouched("hello", 5, "is not a file of the emulator");
    refuses_untouched(other, sizeof other, "is not a file of the emulator");
    remove_folder();
}

TEST(t_emulator_store__a_damaged_file_is_refused_and_left_as_it_was) {
    emu_store *store;
    char *bytes;
    size_t size = 0;
    make_folder();
    store = open_store(file);
    NEED(store);
    for (int i = 0; i < 500; i++) {
        char name[16];
        snprintf(name, sizeof name, "k%d", i);
        CHECK(emu_store_put(store, EMU_JOB, name, number(i)));
    }
    CHECK(emu_store_commit(store, NULL) == CPL_OK);
    emu_store_close(store);
    bytes = test_read_file(file, &size);
    NEED(bytes && size > 16384);
    refuses_untouched(bytes, size / 2, "is damaged");
    memset(bytes + 8192, 0x5a, 4096);
    refuses_untouched(bytes, size, "is damaged");
    bytes[63] = 9; /* user_version: a later format */
    refuses_untouched(bytes, size, "is of format 9");
    free(bytes);
    remove_folder();
}

TEST(t_emulator_store__a_folder_that_is_not_there_is_named) {
    refuses("/nonexistent/folder/state.db", "/nonexistent/folder/state.db");
}

TEST_MAIN
