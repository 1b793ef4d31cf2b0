/* SPDX-License-Identifier: MIT */
/*
 * What tests turn, over HTTP, for languages that have no binding of ours, and the page for people: below /_emulator/.
 * Unsigned, so it answers only to who speaks to this very address: no page of another site gets through, whatever it
 * makes a browser send.
 */
#ifndef CPL_EMU_CONTROL_H
#define CPL_EMU_CONTROL_H

#include "faults.h"
#include "ledger.h"

#define EMU_CONTROL_PATH "/_emulator/"
bool emu_request_is_control(const emu_request *request);

typedef struct emu_control {
    emu *e;
    emu_faults *faults;
    emu_ledger *ledger;
    bool page; /* serve it */
} emu_control;
void emu_control_answer(const emu_control *control, const emu_request *request, emu_response *response);

/* Forgets faults, scripts, ledger and, for readers to come, the events. */
void emu_control_clear(const emu_control *control);

extern const char emu_page[]; /* page.c, generated from page.html */

#endif
