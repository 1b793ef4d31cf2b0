/* SPDX-License-Identifier: MIT */
#include "engine.h"

/*
 * The one place where an execution, a stage, an action or a job gets another state. Whoever decides that it does says
 * so here, when everything else that belongs to the change is in the documents already: what looks on (an event, a log)
 * sees the new state with its reasons.
 */

bool emu_execution_change(emu_engine *engine, cpl_json *execution, const char *status) {
    bool good = cpl_json_set_cstr(execution, "status", status);
    emu_execution_touch(engine, execution);
    return good;
}

bool emu_stage_change(emu_engine *engine, cpl_json *execution, const char *stage, const char *status) {
    cpl_json *record = cpl_json_get(cpl_json_get(execution, "stages"), stage);
    bool good = cpl_json_set_cstr(record, "status", status);
    emu_execution_touch(engine, execution);
    return good;
}

bool emu_action_change(emu_engine *engine, cpl_json *execution, cpl_json *record, const char *status) {
    bool good =
        cpl_json_set_cstr(record, "status", status) && cpl_json_set_number(record, "updated", emu_now_s(engine->e));
    emu_execution_touch(engine, execution);
    return good;
}

bool emu_job_change(emu_engine *engine, cpl_json *job, const char *status) {
    bool good = cpl_json_set_cstr(job, "status", status);
    emu_store_touch(emu_store_of(engine->e), EMU_JOB, EMU_GET(job, "id"));
    return good;
}
