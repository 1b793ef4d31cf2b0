/* SPDX-License-Identifier: MIT */
/* Instead of libFuzzer: runs a target once over every file of the folders it is given, and counts them. */
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include "fuzz.h"

static char running[4096];

/* Which file it was, before the process dies as it would have. */
static void tell(int number) {
    ssize_t ignored = write(STDERR_FILENO, running, strlen(running));
    ignored = write(STDERR_FILENO, "\n", 1);
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

static bool run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    size_t size = 0;
    uint8_t *data;
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) return false;
    size = (size_t)ftell(file);
    rewind(file);
    data = malloc(size > 0 ? size : 1); /* of its own size: a sanitizer sees a byte too far */
    if (data == NULL || fread(data, 1, size, file) != size) return false;
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return true;
}

static bool run_folder(const char *folder, size_t *passed) {
    DIR *dir = opendir(folder);
    bool good = dir != NULL;
    for (struct dirent *entry; good && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        snprintf(running, sizeof running, "%s/%s", folder, entry->d_name);
        good = run_file(running);
        *passed += good;
    }
    if (dir) closedir(dir);
    return good;
}

int main(int argc, char **argv) {
    size_t passed = 0;
    signal(SIGABRT, tell);
    signal(SIGSEGV, tell);
    for (int i = 1; i < argc; i++) {
        if (run_folder(argv[i], &passed)) continue;
        printf("cannot read %s\n", running[0] ? running : argv[i]);
        return 2;
    }
    printf("%zu passed, 0 failed, 0 skipped\n", passed);
    return passed == 0;
}
