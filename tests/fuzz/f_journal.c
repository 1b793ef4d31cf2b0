/* SPDX-License-Identifier: MIT */
/*
 * A worker's journal as a crash or a stranger may have left it: it is read, or set aside, and can be used then. 'F' and
 * the bytes of the file; or anything else, and changes to a good one: four bytes each, three for the place, one to put
 * there (place 0xffffff: the file ends at byte times 64).
 */
#include <dirent.h>
#include <unistd.h>

#include "../../core/journal.h"
#include "fuzz.h"

#define NOW_MS 1700000000000
#define FILE_MAX ((size_t)1 << 20)

static void write_file(const char *path, const uint8_t *data, size_t size) {
    FILE *file = fopen(path, "wb");
    MUST(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

static void empty(const char *folder) {
    DIR *dir = opendir(folder);
    MUST(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.') unlink(path);
    }
    closedir(dir);
    rmdir(folder);
}

/* In memory where that can be: most of the time would go into waiting for a disk. */
static void make_folder(char folder[64]) {
    snprintf(folder, 64, "%s/cpl-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    MUST(mkdtemp(folder) != NULL);
}

/* ---- a good one, made once ---- */

static void enter(cpl_journal *journal, const char *id, cpl_entry_state state) {
    cpl_entry entry = {.id = id, .nonce = "1", .type = "Build:B:1", .region = "us-east-1", .taken_ms = NOW_MS};
    bool fresh;
    MUST(cpl_journal_take(journal, &entry, &fresh, NULL) == CPL_OK && fresh);
    for (int next = CPL_ENTRY_ACKNOWLEDGED; next <= (int)state; next++) {
        entry.state = (cpl_entry_state)next;
        entry.operation = next == CPL_ENTRY_OWED ? "PutJobSuccessResult" : NULL;
        entry.result = next == CPL_ENTRY_OWED ? "{\"jobId\":\"x\"}" : NULL;
        MUST(cpl_journal_mark(journal, &entry, NOW_MS, NULL) == CPL_OK);
    }
}

static size_t good_journal(uint8_t *out) {
    static uint8_t kept[FILE_MAX];
    static size_t size;
    if (size == 0) {
        char folder[64], path[80];
        cpl_journal *journal = NULL;
        FILE *file;
        make_folder(folder);
        snprintf(path, sizeof path, "%s/jobs.db", folder);
        MUST(cpl_journal_open(&journal, cpl_str_of(path), NOW_MS, NULL) == CPL_OK);
        enter(journal, "taken", CPL_ENTRY_TAKEN);
        enter(journal, "running", CPL_ENTRY_RUNNING);
        enter(journal, "owed", CPL_ENTRY_OWED);
        enter(journal, "delivered", CPL_ENTRY_DELIVERED);
        cpl_journal_close(journal);
        file = fopen(path, "rb");
        MUST(file != NULL);
        size = fread(kept, 1, sizeof kept, file);
        MUST(size > 0 && size < sizeof kept);
        fclose(file);
        empty(folder);
    }
    memcpy(out, kept, size);
    return size;
}

static size_t damage(uint8_t *file, const uint8_t *changes, size_t n) {
    size_t size = good_journal(file);
    for (; n >= 4; changes += 4, n -= 4) {
        size_t place = (size_t)changes[0] << 16 | (size_t)changes[1] << 8 | changes[2];
        if (place == 0xffffff) {
            size_t end = (size_t)changes[3] * 64;
            size = end < size ? end : size;
        } else if (size > 0) {
            file[place % size] = changes[3];
        }
    }
    return size;
}

/* ---- what it is good for ---- */

static cpl_status visit(void *context, const cpl_entry *entry, cpl_error *err) {
    (void)err;
    MUST(entry->id && entry->nonce && entry->state >= CPL_ENTRY_TAKEN && entry->state < CPL_ENTRY_DELIVERED);
    MUST(entry->state != CPL_ENTRY_OWED || (entry->operation && entry->result));
    ++*(int *)context;
    return CPL_OK;
}

static void use(cpl_journal *journal) {
    const cpl_entry entry = {.id = "new", .nonce = "1", .type = "Build:B:1", .region = "us-east-1", .taken_ms = NOW_MS};
    cpl_error err = {0};
    int before = 0, after = 0;
    bool fresh = false;
    MUST(cpl_journal_each(journal, visit, &before, &err) == CPL_OK);
    MUST(cpl_journal_take(journal, &entry, &fresh, &err) == CPL_OK);
    MUST(cpl_journal_prune(journal, NOW_MS, &err) == CPL_OK);
    MUST(cpl_journal_each(journal, visit, &after, &err) == CPL_OK);
    MUST(after <= before + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t file[FILE_MAX];
    bool whole = size > 0 && data[0] == 'F' && size <= sizeof file;
    char folder[64], path[80];
    cpl_journal *journal = NULL;
    cpl_error err = {0};
    if (!whole) size = damage(file, data, size);
    make_folder(folder);
    snprintf(path, sizeof path, "%s/jobs.db", folder);
    write_file(path, whole ? data + 1 : file, whole ? size - 1 : size);
    if (cpl_journal_open(&journal, cpl_str_of(path), NOW_MS, &err) == CPL_OK) {
        use(journal);
    } else {
        MUST(err.status == CPL_IO && err.message[0]); /* of a newer format */
    }
    cpl_journal_close(journal);
    empty(folder);
    return 0;
}
