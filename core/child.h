/* SPDX-License-Identifier: MIT */
/*
 * A program of the user's in a process of its own, with limits: its own process group, which is killed as a whole; no
 * descriptors but the three standard ones (input is empty, output goes where our errors go) and two pipes, 3 to read
 * and 4 to write; an environment of few names; no core file. It dies with the thread that started it.
 */
#ifndef CPL_CHILD_H
#define CPL_CHILD_H

#include <sys/types.h>

#include "buf.h"

typedef struct cpl_child {
    pid_t pid; /* 0: reaped */
    int to, from;
    int ended;  /* as from waitpid(); valid once reaped */
    bool known; /* ended is: nobody else reaped it */
    cpl_buf in; /* what has arrived and was not taken */
    size_t taken;
} cpl_child;

#define CPL_CHILD_LINE_MAX ((size_t)32 << 20)

/* folder becomes the working folder's TMPDIR. CPL_IO: the program was not found, or cannot be started. */
cpl_status cpl_child_start(cpl_child *child, const cpl_isolation *how, const char *folder, cpl_error *err);
/* Kills what is left of the group, reaps, closes. Harmless when it was never started, from zeroed memory. */
void cpl_child_end(cpl_child *child);
/*
 * The next line without its end, which lives until the next call; absent when none came within timeout_ms, or when the
 * program has ended and all was read (*over).
 */
cpl_status cpl_child_read(cpl_child *child, int timeout_ms, cpl_str *line, bool *over, cpl_error *err);
/* Writes what fits now; *text is shortened to the rest. CPL_IO when it reads no more. */
cpl_status cpl_child_write(cpl_child *child, cpl_str *text, int timeout_ms, cpl_error *err);

#endif
