/* SPDX-License-Identifier: MIT */
#include "../digest.h"
#include "engine.h"

/*
 * Jobs of ThirdParty action types. A poll shows ids alone; for everything else the worker must know the secret of the
 * customer whose pipeline it is. With the service, the customer tells the provider both when the pipeline is set up.
 * Here both follow from the account and the action type, so that a test can know them without a word:
 *
 *   client id     the first 32 digits of SHA-256("client LF account LF category:owner:provider:version"), as a UUID
 *   client token  "emulator-token-" and the client id
 */

typedef struct client {
    char id[CPL_UUID_SIZE];
    char token[64];
} client;

static bool client_of(const emu *e, const char *type, client *out) {
    char text[EMU_KIND_KEY + 64], hex[CPL_SHA256_HEX_SIZE];
    snprintf(text, sizeof text, "client\n%s\n%s", emu_account_id(e), type);
    if (cpl_sha256_hex(cpl_str_of(text), hex, NULL) != CPL_OK) return false;
    snprintf(out->id, sizeof out->id, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    snprintf(out->token, sizeof out->token, "emulator-token-%s", out->id);
    return true;
}

/* ---- PollForThirdPartyJobs ---- */

static bool may_poll(const emu *e, const emu_kind *kind) {
    const cpl_json *accounts =
        cpl_json_get_path(kind->declaration, "executor.configuration.jobWorkerExecutorConfiguration.pollingAccounts");
    for (const cpl_json *i = cpl_json_first(accounts); i; i = cpl_json_next(i)) {
        if (cpl_str_is(cpl_json_str(i), emu_account_id(e))) return true;
    }
    return false;
}

static cpl_json *offer(emu_engine *engine, const cpl_json *job) {
    cpl_json *item = cpl_json_new_object();
    client customer;
    if (client_of(engine->e, EMU_GET(job, "type"), &customer) && cpl_json_set_cstr(item, "clientId", customer.id) &&
        emu_copy(item, "jobId", job, "id")) {
        return item;
    }
    cpl_json_free(item);
    return NULL;
}

bool emu_poll_for_third_party_jobs(emu_call *call) {
    const cpl_json *id = cpl_json_get(call->in, "actionTypeId");
    emu_kind kind;
    if (emu_is(id, "owner", "ThirdParty") && emu_kind_find(emu_engine_of(call->e), id, &kind) &&
        kind.runner == EMU_RUN_JOB && may_poll(call->e, &kind)) {
        return emu_jobs_hand_out(call, offer);
    }
    return emu_refuse(
        call, "ActionTypeNotFoundException",
        "ActionType (Category: '%s', Provider: '%s', Owner: '%s', Version: '%s') has no jobs that account "
        "'%s' may poll for",
        EMU_GET(id, "category"), EMU_GET(id, "provider"), EMU_GET(id, "owner"), EMU_GET(id, "version"),
        emu_account_id(call->e));
}

/* ---- with the client token ---- */

static cpl_json *need_job(emu_call *call) {
    cpl_json *job = emu_job_need(call, "ThirdParty");
    client customer;
    if (job == NULL) return NULL;
    if (!client_of(call->e, EMU_GET(job, "type"), &customer)) {
        emu_nomem(call);
        return NULL;
    }
    if (cpl_secret_eq(cpl_json_get_str(call->in, "clientToken"), cpl_str_of(customer.token))) return job;
    emu_refuse(call, "InvalidClientTokenException", "The client token is not that of client '%s'", customer.id);
    return NULL;
}

bool emu_get_third_party_job_details(emu_call *call) {
    const cpl_json *job = need_job(call);
    cpl_json *details;
    if (job == NULL) return false;
    if (cpl_json_get(job, "nonce") == NULL || emu_job_over(job)) {
        return emu_refuse(call, "InvalidJobException",
                          "The job '%s' is %s; it has details between a poll that offers it "
                          "and its result",
                          EMU_GET(job, "id"), EMU_GET(job, "status"));
    }
    details = emu_job_describe(emu_engine_of(call->e), job);
    cpl_json_remove(details, "accountId");
    if (!emu_copy(details, "nonce", job, "nonce")) {
        cpl_json_free(details);
        return emu_nomem(call);
    }
    return cpl_json_set(call->out, "jobDetails", details) || emu_nomem(call);
}

bool emu_acknowledge_third_party_job(emu_call *call) {
    cpl_json *job = need_job(call);
    return job && emu_job_acknowledge(call, job);
}

bool emu_put_third_party_job_success_result(emu_call *call) {
    cpl_json *job = need_job(call);
    return job && emu_job_succeed(call, job);
}

bool emu_put_third_party_job_failure_result(emu_call *call) {
    cpl_json *job = need_job(call);
    return job && emu_job_fail(call, job);
}
