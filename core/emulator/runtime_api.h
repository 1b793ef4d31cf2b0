/* SPDX-License-Identifier: MIT */
/*
 * Lambda's Runtime API (2018-06-01), one address for each function: whoever serves it runs the function's invocations,
 * our own cpl_runtime, AWS's clients for other languages, or a few lines of HTTP.
 */
#ifndef CPL_EMU_RUNTIME_API_H
#define CPL_EMU_RUNTIME_API_H

#include "emu.h"

typedef struct emu_runtime emu_runtime;
/* Begins to listen on host, at a port that the system picks. */
cpl_status emu_runtime_start(emu_runtime **out, cpl_emulator *emulator, cpl_str function, const char *host,
                             cpl_error *err);
const char *emu_runtime_function(const emu_runtime *runtime);
const char *emu_runtime_address(const emu_runtime *runtime); /* "127.0.0.1:PORT" */
/* Something was done: an invocation may be due. */
void emu_runtime_wake(const emu_runtime *runtime);
void emu_runtime_stop(emu_runtime *runtime);

#endif
