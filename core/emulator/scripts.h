/* SPDX-License-Identifier: MIT */
/*
 * What becomes of actions that the emulator cannot run: a script says so. A script is a document of the members that
 * codepipeline.h lists for cpl_emulator_script(); the one that an action started with is kept in its record, as
 * "script", so that a restart goes on with it.
 */
#ifndef CPL_EMU_SCRIPTS_H
#define CPL_EMU_SCRIPTS_H

#include "engine.h"

/* Checks a script and takes it over; running actions that wait, and that it fits, end by it at once. */
cpl_status emu_scripts_add(emu *e, cpl_json *script, cpl_error *err);
void emu_scripts_clear(emu_engine *engine);
/* Lets the first script that fits decide about an action that has just started; *fits tells whether there is one. */
bool emu_script_start(const emu_context *at, bool *fits);
/* The script's time has come. */
void emu_script_due(emu_engine *engine, cpl_json *execution, cpl_json *record);

#endif
