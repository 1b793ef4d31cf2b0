/* SPDX-License-Identifier: MIT */
/* What happened, one line a request, for tests to assert on: the newest ten thousand, in memory, without secrets. */
#ifndef CPL_EMU_LEDGER_H
#define CPL_EMU_LEDGER_H

#include "message.h"

typedef struct emu_ledger emu_ledger;

emu_ledger *emu_ledger_new(void); /* NULL: out of memory */
void emu_ledger_free(emu_ledger *ledger);
void emu_ledger_clear(emu_ledger *ledger);
/* fault: the kind of the one that struck, or NULL. What cannot be kept for want of memory is left out. */
void emu_ledger_add(emu_ledger *ledger, double time_s, const emu_request *request, const emu_response *response,
                    const char *fault);
/*
 * The newest so many (0: all), oldest first: [{seq, time, operation, status, code, fault, job_id, nonce, token,
 * jobs: [{id, nonce}]}, ...]; see codepipeline.h.
 */
void emu_ledger_write(const emu_ledger *ledger, uint64_t newest, cpl_buf *out);

#endif
