/* SPDX-License-Identifier: MIT */
/* Stage conditions: rules that decide whether an execution enters a stage, leaves it, and what its failure leads to. */
#ifndef CPL_EMU_RULES_H
#define CPL_EMU_RULES_H

#include "engine.h"

/* ---- rule types and rules (rules.c) ---- */

/* The type as ListRuleTypes shows it; the caller frees. NULL: there is none, or, when *known is set, out of memory. */
cpl_json *emu_rule_type(const char *provider, bool *known);

typedef struct emu_finding {
    bool holds;
    const char *code;   /* error code when it does not hold */
    char message[1024]; /* why, or why not */
} emu_finding;
/* Looks at a rule with its configuration resolved; false: it is none of those that the emulator can judge. */
bool emu_rule_look(const emu_engine *engine, const char *provider, const cpl_json *configuration, emu_finding *out);

/*
 * The moment is in the window: "seconds minutes hours day-of-month month day-of-week [year]", each with * ? , - / and
 * names of months and days. False with holds or problem set: the expression or the zone is none we understand.
 */
bool emu_window_look(cpl_str cron, cpl_str zone, int64_t now_s, bool *open, const char **problem);

/* ---- conditions (conditions.c) ---- */

typedef enum emu_condition { EMU_BEFORE_ENTRY, EMU_ON_SUCCESS, EMU_ON_FAILURE, EMU_CONDITIONS } emu_condition;

/* Checks a stage's conditions by the service's rules; refuses the call. */
bool emu_conditions_check(emu_call *call, const cpl_json *pipeline, const cpl_json *stage);
#define EMU_PENDING "PENDING" /* a result: there is none yet */
/*
 * Checks one of the conditions of the stage the execution is in, unless that was done already. *result: "" when the
 * execution just goes on, else what is to happen: FAIL, SKIP, ROLLBACK, RETRY, or EMU_PENDING. false: out of memory.
 */
bool emu_condition_run(emu_engine *engine, cpl_json *execution, const cpl_json *stage, emu_condition which,
                       const char **result);
bool emu_rules_running(const cpl_json *execution);
/* The execution ends here, so a condition that was not decided yet never will be. false: out of memory. */
bool emu_conditions_abandon(cpl_json *execution);
/* GetPipelineState's view of a stage's conditions; execution: the latest in the stage, may be NULL. */
bool emu_conditions_show(cpl_json *state, const cpl_json *stage, const cpl_json *execution);

bool emu_override_stage_condition(emu_call *call);
bool emu_list_rule_types(emu_call *call);

#endif
