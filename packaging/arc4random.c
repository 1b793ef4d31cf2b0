/* SPDX-License-Identifier: MIT */
/*
 * The one function of glibc 2.36 that Debian's static expat calls. With it in the wheel, the wheel runs with glibc 2.34
 * (Ubuntu 22.04, Red Hat 9, Amazon Linux 2023). Like the original it cannot fail.
 */
#include <stdlib.h>
#include <unistd.h>

void arc4random_buf(void *bytes, size_t size);

void arc4random_buf(void *bytes, size_t size) {
    char *at = bytes;
    while (size > 0) {
        size_t n = size < 256 ? size : 256; /* as much as getentropy gives */
        if (getentropy(at, n) != 0) abort();
        at += n;
        size -= n;
    }
}
