/* SPDX-License-Identifier: MIT */
#include "leftover.h"

#include "err.h"

#define REMOVE_MS 5000
#define ATTEMPTS 2

enum { BUCKET, KEY, ACCESS_KEY_ID, SECRET, TOKEN, KMS_KEY, TEXT_COUNT };

struct cpl_leftover {
    cpl_s3 s3;
    char *texts[TEXT_COUNT];
};

cpl_leftover *cpl_leftover_new(const cpl_s3 *s3, const cpl_s3_target *what, const char *kms_key_id) {
    const cpl_str texts[TEXT_COUNT] = {
        [BUCKET] = what->bucket,
        [KEY] = what->key,
        [ACCESS_KEY_ID] = what->who->access_key_id,
        [SECRET] = what->who->secret_access_key,
        [TOKEN] = what->who->session_token,
        [KMS_KEY] = cpl_str_of(kms_key_id),
    };
    cpl_leftover *leftover = cpl_calloc(1, sizeof *leftover);
    if (leftover == NULL) return NULL;
    leftover->s3 = *s3;
    leftover->s3.max_attempts = ATTEMPTS; /* nobody waits for this, and somebody may wait behind it */
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        leftover->texts[i] = cpl_strdup(texts[i]);
        if (leftover->texts[i]) continue;
        cpl_leftover_free(leftover);
        return NULL;
    }
    return leftover;
}

void cpl_leftover_free(cpl_leftover *leftover) {
    if (leftover == NULL) return;
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        if (leftover->texts[i]) cpl_wipe(leftover->texts[i], strlen(leftover->texts[i]));
        cpl_free(leftover->texts[i]);
    }
    cpl_free(leftover);
}

/* Pipelines' roles may seldom delete. The bucket may want what is in it encrypted, also when that is nothing. */
static cpl_status empty(const cpl_leftover *leftover, const cpl_s3_target *target, cpl_error *err) {
    cpl_s3_source nothing = {
        .bytes = CPL_LIT(""), .sse = CPL_LIT("aws:kms"), .kms_key_id = cpl_str_of(leftover->texts[KMS_KEY])};
    return cpl_s3_put(&leftover->s3, target, &nothing, err);
}

cpl_status cpl_leftover_remove(const cpl_leftover *leftover, cpl_error *err) {
    const cpl_wait brief = {.timeout_ms = REMOVE_MS};
    cpl_credentials who;
    cpl_s3_target target;
    cpl_error failure = {0};
    cpl_status status;
    if (leftover == NULL) return CPL_OK;
    who = (cpl_credentials){.access_key_id = cpl_str_of(leftover->texts[ACCESS_KEY_ID]),
                            .secret_access_key = cpl_str_of(leftover->texts[SECRET]),
                            .session_token = cpl_str_of(leftover->texts[TOKEN])};
    target = (cpl_s3_target){.who = &who,
                             .bucket = cpl_str_of(leftover->texts[BUCKET]),
                             .key = cpl_str_of(leftover->texts[KEY]),
                             .wait = &brief};
    status = cpl_s3_delete(&leftover->s3, &target, &failure);
    if (status == CPL_SERVICE && failure.http_status == 403) status = empty(leftover, &target, &failure);
    if (status == CPL_OK || err == NULL) return status;
    *err = failure;
    cpl_error_prefix(err, "the job is over, and an object of it is left: ");
    return status;
}
