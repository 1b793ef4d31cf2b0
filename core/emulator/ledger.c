/* SPDX-License-Identifier: MIT */
#include "ledger.h"

#include "../json.h"
#include "faults.h"

#define ENTRIES_MAX 10000

struct emu_ledger {
    char *entries[ENTRIES_MAX]; /* JSON objects, a ring */
    uint64_t count;             /* ever added */
    uint64_t cleared;           /* before this one they do not count */
};

emu_ledger *emu_ledger_new(void) {
    return cpl_calloc(1, sizeof(emu_ledger));
}

void emu_ledger_clear(emu_ledger *ledger) {
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        cpl_free(ledger->entries[i]);
        ledger->entries[i] = NULL;
    }
    ledger->cleared = ledger->count;
}

void emu_ledger_free(emu_ledger *ledger) {
    if (ledger == NULL) return;
    emu_ledger_clear(ledger);
    cpl_free(ledger);
}

static void put_text(cpl_json *to, const char *name, cpl_str text) {
    if (text.n > 0) cpl_json_set_str(to, name, text);
}

/* The jobs that an answer hands out, with the nonce of this delivery; third parties get theirs from the details. */
static void put_jobs(cpl_json *entry, const cpl_json *answer) {
    cpl_json *list = cpl_json_get(answer, "jobs") ? cpl_json_new_array() : NULL;
    for (cpl_json *job = cpl_json_first(cpl_json_get(answer, "jobs")); list && job; job = cpl_json_next(job)) {
        cpl_json *one = cpl_json_new_object();
        cpl_str id = cpl_json_get_str(job, "id");
        put_text(one, "id", id.n > 0 ? id : cpl_json_get_str(job, "jobId"));
        put_text(one, "nonce", cpl_json_get_str(job, "nonce"));
        cpl_json_push(list, one);
    }
    if (list) cpl_json_set(entry, "jobs", list);
}

static void put_details(cpl_json *entry, cpl_str operation, const emu_request *request, const emu_response *response) {
    cpl_json *input = NULL, *answer = NULL;
    if (!emu_request_is_api(request) || request->too_large) return;
    if (cpl_json_parse(request->body, &input, NULL) == CPL_OK) {
        put_text(entry, "job_id", cpl_json_get_str(input, "jobId"));
        put_text(entry, "nonce", cpl_json_get_str(input, "nonce"));
        put_text(entry, "continuation_token", cpl_json_get_str(input, "continuationToken"));
    }
    if (cpl_str_starts(operation, "PollFor") && response->status == 200 &&
        cpl_json_parse(cpl_buf_str(&response->body), &answer, NULL) == CPL_OK)
        put_jobs(entry, answer);
    cpl_json_free(answer);
    cpl_json_free(input);
}

void emu_ledger_add(emu_ledger *ledger, double time_s, const emu_request *request, const emu_response *response,
                    const char *fault) {
    cpl_json *entry = cpl_json_new_object();
    cpl_str operation = emu_request_name(request), name, value;
    cpl_buf text;
    if (entry == NULL) return;
    cpl_buf_init(&text, EMU_API_BODY_MAX);
    cpl_json_set_number(entry, "seq", (double)++ledger->count);
    cpl_json_set_number(entry, "time", time_s);
    put_text(entry, "operation", operation);
    cpl_json_set_number(entry, "status", response->status);
    for (size_t i = 0; emu_response_header_at(response, i, &name, &value); i++) {
        if (cpl_str_is_nocase(name, "x-amzn-ErrorType")) put_text(entry, "code", value);
    }
    put_text(entry, "fault", cpl_str_of(fault));
    put_details(entry, operation, request, response);
    cpl_json_write(entry, &text);
    cpl_json_free(entry);
    cpl_free(ledger->entries[ledger->count % ENTRIES_MAX]);
    ledger->entries[ledger->count % ENTRIES_MAX] = cpl_buf_ok(&text) ? cpl_buf_detach(&text) : NULL;
    cpl_buf_release(&text);
}

void emu_ledger_write(const emu_ledger *ledger, uint64_t newest, cpl_buf *out) {
    uint64_t kept = ledger->count - ledger->cleared;
    const char *between = "";
    if (kept > ENTRIES_MAX) kept = ENTRIES_MAX;
    if (newest > 0 && kept > newest) kept = newest;
    cpl_buf_addc(out, '[');
    for (uint64_t i = ledger->count - kept + 1; i <= ledger->count; i++) {
        if (ledger->entries[i % ENTRIES_MAX] == NULL) continue;
        cpl_buf_adds(out, between);
        cpl_buf_adds(out, ledger->entries[i % ENTRIES_MAX]);
        between = ",";
    }
    cpl_buf_addc(out, ']');
}
