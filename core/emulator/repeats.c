/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "../digest.h"
#include "../err.h"
#include "engine.h"

/*
 * What is answered to somebody who says a second time what the service heard already: nobody could see what the real
 * one does, so there are two policies, and a worker has to live with both.
 *
 *   refuse   a result for a job that is over is InvalidJobStateException, and an acknowledgement InvalidNonceException
 *            (AcknowledgeJob has no other error for it): the nonce was good as long as the job
 *   accept   a result that says what the job's own said is accepted again and changes nothing, and an acknowledgement
 *            tells the state the job ended in; another result is refused as above
 *
 * Of a result only the SHA-256 is kept, with the members in order: how a sender sorts them says nothing.
 */

cpl_status emu_repeats_read(cpl_str policy, bool *accepted, cpl_error *err) {
    *accepted = cpl_str_is(policy, "accept");
    if (*accepted || policy.n == 0 || cpl_str_is(policy, "refuse")) return CPL_OK;
    return cpl_fail_at(err, CPL_INVALID, "repeats", "repeats: \"%.*s\" is neither \"refuse\" nor \"accept\"",
                       (int)cpl_utf8_cut(policy, 40), policy.p);
}

static int by_key(const void *a, const void *b) {
    cpl_str x = cpl_json_key(*(cpl_json *const *)a), y = cpl_json_key(*(cpl_json *const *)b);
    return strcmp(x.p, y.p);
}

/* Of inputs that the model has checked, so its depth is the model's. */
static void add_sorted(cpl_buf *out, cpl_json *in) {
    size_t n = cpl_json_count(in), count = 0;
    cpl_json **members;
    if (cpl_json_kind_of(in) != CPL_JSON_OBJECT) {
        cpl_json_write(in, out);
        return;
    }
    members = cpl_calloc(n + 1, sizeof *members);
    if (members == NULL) {
        out->failed = CPL_NOMEM;
        return;
    }
    for (cpl_json *i = cpl_json_first(in); i; i = cpl_json_next(i)) members[count++] = i;
    qsort(members, count, sizeof *members, by_key);
    for (size_t i = 0; i < count; i++) {
        cpl_json_quote(out, cpl_json_key(members[i]));
        add_sorted(out, members[i]);
    }
    cpl_buf_addc(out, ';');
    cpl_free(members);
}

/* What call says, but for who says it. */
static bool digest_of(const emu_call *call, char out[CPL_SHA256_HEX_SIZE]) {
    static const char *const members[] = {"currentRevision", "continuationToken", "executionDetails", "outputVariables",
                                          "failureDetails"};
    cpl_buf text;
    bool good;
    cpl_buf_init(&text, 8 * (size_t)1 << 20);
    for (size_t i = 0; i < CPL_COUNT(members); i++) {
        cpl_json *member = cpl_json_get(call->in, members[i]);
        if (member == NULL) continue;
        cpl_json_quote(&text, cpl_str_of(members[i]));
        add_sorted(&text, member);
    }
    good = cpl_buf_ok(&text) && cpl_sha256_hex(cpl_buf_str(&text), out, NULL) == CPL_OK;
    cpl_buf_wipe(&text);
    cpl_buf_release(&text);
    return good;
}

bool emu_result_note(const emu_call *call, cpl_json *job) {
    char digest[CPL_SHA256_HEX_SIZE];
    return digest_of(call, digest) && cpl_json_set_cstr(job, "result", digest);
}

bool emu_result_is_repeated(const emu_call *call, const cpl_json *job) {
    char digest[CPL_SHA256_HEX_SIZE];
    return emu_accepts_repeats(call->e) && digest_of(call, digest) && emu_is(job, "result", digest);
}
