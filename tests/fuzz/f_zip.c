/* SPDX-License-Identifier: MIT */
/* A zip's directory, read strictly. What is accepted has as many entries as are said. */
#include <sys/mman.h>
#include <unistd.h>

#include "../../core/zipdir.h"
#include "fuzz.h"

#define ENTRIES_MAX 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fd = memfd_create("zip", 0);
    int64_t entries = 0;
    cpl_error err = {0};
    cpl_pace pace;
    cpl_status status;
    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    cpl_pace_init(&pace, NULL);
    status = cpl_zipdir_check(fd, ENTRIES_MAX, &pace, &entries, &err);
    MUST(status == CPL_OK || err.message[0]);
    if (status == CPL_OK) MUST(entries >= 0 && entries <= ENTRIES_MAX && (size_t)entries * 76 <= size);
    close(fd);
    return 0;
}
