/* SPDX-License-Identifier: MIT */
#include "engine.h"

/*
 * The one place where an execution, a stage, an action or a job gets another state. Whoever decides that it does says
 * so here, when everything else that belongs to the change is in the documents already: the event that is sent from
 * here tells the new state with its reasons.
 */

/*
 * An execution that stops takes the stage it is in along. The stage has no document of its own for that (state.c), and
 * an execution that waits is in none.
 */
static void tell_execution(emu_engine *engine, const cpl_json *execution, bool resumed) {
    const char *stage = EMU_GET(execution, "stage");
    emu_event_execution(engine, execution, resumed);
    if (emu_is(execution, "status", "Stopping")) emu_event_stage(engine, execution, stage, "Stopping");
}

bool emu_execution_change(emu_engine *engine, cpl_json *execution, const char *status) {
    bool known = cpl_json_get(execution, "status") != NULL, same = emu_is(execution, "status", status);
    bool good = cpl_json_set_cstr(execution, "status", status);
    emu_execution_touch(engine, execution);
    if (good && !same) tell_execution(engine, execution, known && strcmp(status, "InProgress") == 0);
    return good;
}

/* A stage in progress that is told so again goes on: it retries by itself. */
bool emu_stage_change(emu_engine *engine, cpl_json *execution, const char *stage, const char *status) {
    cpl_json *record = cpl_json_get(cpl_json_get(execution, "stages"), stage);
    const char *since = cpl_json_get(record, "status") ? "resumed" : "started";
    bool begins = strcmp(status, "InProgress") == 0;
    bool good = cpl_json_set_cstr(record, "status", status) &&
                (!begins || cpl_json_set_number(record, since, emu_now_s(engine->e)));
    emu_execution_touch(engine, execution);
    if (good) emu_event_stage(engine, execution, stage, status);
    return good;
}

bool emu_action_change(emu_engine *engine, cpl_json *execution, cpl_json *record, const char *status) {
    bool good =
        cpl_json_set_cstr(record, "status", status) && cpl_json_set_number(record, "updated", emu_now_s(engine->e));
    emu_execution_touch(engine, execution);
    if (good && !emu_record_is_rule(record)) emu_event_action(engine, execution, record); /* rules send none */
    return good;
}

bool emu_job_change(emu_engine *engine, cpl_json *job, const char *status) {
    bool good = cpl_json_set_cstr(job, "status", status);
    emu_store_touch(emu_store_of(engine->e), EMU_JOB, EMU_GET(job, "id"));
    return good;
}
