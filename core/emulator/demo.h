/* SPDX-License-Identifier: MIT */
/* Something to look at: five pipelines and four weeks of their past, made by driving an emulator and its clock. */
#ifndef CPL_EMU_DEMO_H
#define CPL_EMU_DEMO_H

#include "emu.h"

/*
 * Appends the state (snapshot.h) of an emulator with that past, which ends at now_ms. region and account_id may be
 * absent. The same now_ms, region and account give the same text, ids and all.
 */
cpl_status emu_demo_write(cpl_str region, cpl_str account_id, int64_t now_ms, cpl_buf *out, cpl_error *err);

#endif
