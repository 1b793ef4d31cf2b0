/* SPDX-License-Identifier: MIT */
/*
 * Lambda functions that Invoke actions call: which there are, and the invocations that wait for somebody to run them.
 * Invoked asynchronously, as CodePipeline does: an invocation that fails is made twice more, and what the function
 * answers is of no interest. All of it is under the emulator's lock, and in memory alone: a job remembers whether its
 * invocation has ended, and where it has not, one is made again after a restart.
 */
#ifndef CPL_EMU_FUNCTIONS_H
#define CPL_EMU_FUNCTIONS_H

#include "emu.h"

typedef struct emu_functions emu_functions;
emu_functions *emu_functions_new(void);
void emu_functions_free(emu_functions *functions);

/* The name of the function that an action's execution calls: its executor's, or that of its configuration. */
cpl_str emu_function_of(const emu *e, const cpl_json *record);
bool emu_function_known(const emu_functions *functions, cpl_str name);
bool emu_function_add(emu_functions *functions, cpl_str name); /* false: out of memory */

/* Queues an invocation with a job for due_ms by the emulator's clock; takes event over. false: out of memory. */
bool emu_function_invoke(emu *e, cpl_str name, const char *job, cpl_json *event, int64_t due_ms);

/* The invocations of either become the other's; the functions stay. */
void emu_functions_exchange(emu_functions *functions, emu_functions *with);
/* Of from's invocations, takes those that somebody runs, so that they can be settled; they are not made again. */
void emu_functions_keep_running(emu_functions *functions, emu_functions *from);

typedef struct emu_invocation {
    const char *id;
    cpl_str event;       /* JSON */
    int64_t deadline_ms; /* by the emulator's clock */
} emu_invocation;
/* The oldest that is due becomes the caller's, until it is settled; false: none. The views live until then. */
bool emu_function_take(emu *e, cpl_str name, emu_invocation *out);
/* It ended, well or badly. false: there is no such one under way. */
bool emu_function_settle(emu *e, cpl_str name, cpl_str id, bool well);

#endif
