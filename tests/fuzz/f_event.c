/* SPDX-License-Identifier: MIT */
/* The event in which Lambda gets a job. */
#include "../../core/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_str text = input_of(data, size);
    cpl_job_event *event = NULL;
    cpl_error err = {0};
    char id[CPL_JOB_ID_SIZE];
    cpl_cursor cursor;
    if (cpl_job_event_id(text, id)) MUST(id[0] && cpl_utf8_valid(cpl_str_of(id)));
    if (cpl_job_event_read(&event, text, &err) == CPL_OK) {
        MUST(cpl_str_eq(cpl_job_event_text(event), text));
        cpl_job_event_data(event, &cursor);
        while (cpl_cursor_next(&cursor) != CPL_TOKEN_END) MUST(cursor.token != CPL_TOKEN_ERROR);
        cpl_cursor_release(&cursor);
    } else {
        MUST(err.status == CPL_INVALID && err.message[0] && cpl_utf8_valid(cpl_str_of(err.message)));
    }
    cpl_job_event_free(event);
    return 0;
}
