/* SPDX-License-Identifier: MIT */
/*
 * What happened, for those who look on: the newest events as JSON texts, with a lock of its own, so that nobody who
 * waits for one holds up the emulator. Readers (cpl_feed of codepipeline.h) may outlive the emulator.
 */
#ifndef CPL_EMU_FEED_H
#define CPL_EMU_FEED_H

#include "../buf.h"

typedef struct emu_feed emu_feed;
emu_feed *emu_feed_new(void); /* NULL: out of memory */
/* Nothing more comes; the memory goes with the last reader. NULL is fine. */
void emu_feed_close(emu_feed *feed);
/* When text is empty, or there is no memory for it, readers are told that something is missing. */
void emu_feed_add(emu_feed *feed, cpl_str text);
/* Readers to come begin behind what is there now. */
void emu_feed_forget(emu_feed *feed);
cpl_feed *emu_feed_read(emu_feed *feed); /* NULL: out of memory */

#endif
