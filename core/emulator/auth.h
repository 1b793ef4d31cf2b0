/* SPDX-License-Identifier: MIT */
/*
 * Who signed a request: the owner, or a job with the artifact credentials it was given. Knows the ways in which the two
 * services refuse; says so in the words of the one that was asked.
 */
#ifndef CPL_EMU_AUTH_H
#define CPL_EMU_AUTH_H

#include "message.h"

typedef enum emu_service { EMU_CODEPIPELINE, EMU_S3 } emu_service;

typedef struct emu_identity {
    const cpl_json *grant; /* the EMU_GRANT document; NULL: the owner, who may do everything */
    cpl_sigv4_claim claim; /* views into the request and into scratch */
    cpl_credentials credentials;
    cpl_buf scratch;
} emu_identity;

typedef struct emu_denial {
    const char *code;
    int status;
    char message[1024];
} emu_denial;

/* False: *denial says why not. Release the identity in both cases. */
bool emu_authenticate(emu *e, const emu_request *request, emu_service service, emu_identity *out, emu_denial *denial);
void emu_identity_release(emu_identity *identity);
/* May the identity do this with the object? want: "read" or "write". */
bool emu_identity_may(const emu_identity *identity, const char *want, cpl_str bucket, cpl_str key);

/* The owner's keys, and the cache of derived signing keys (emulator.c). */
cpl_credentials emu_owner(const emu *e);
cpl_signer *emu_signer(const emu *e);

#endif
