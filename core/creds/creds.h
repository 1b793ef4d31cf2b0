/* SPDX-License-Identifier: MIT */
/*
 * Credentials: a chain of providers, tried in order, the first that has any wins. A set is immutable and counted, so a
 * caller never sees key and token of two different refreshes.
 */
#ifndef CPL_CREDS_H
#define CPL_CREDS_H

#include "../config.h"
#include "../sigv4.h"

typedef struct cpl_creds cpl_creds; /* the source; thread-safe */

typedef struct cpl_creds_set {
    cpl_credentials view; /* points into this set */
    int64_t expires_s;    /* 0: never */
    const char *source;   /* "arguments", "environment", "profile" */
} cpl_creds_set;

/*
 * given: explicit keys (both or none; CPL_INVALID otherwise); an empty access_key_id means: use the chain. It is the
 * environment, then the profile; the profile alone when the caller named it. config must outlive the source.
 */
cpl_status cpl_creds_new(cpl_creds **out, const cpl_config *config, const cpl_credentials *given, cpl_error *err);
void cpl_creds_free(cpl_creds *creds);
/* The current set; drop it after use. CPL_CREDENTIALS: no provider has any (the message lists where it looked). */
cpl_status cpl_creds_acquire(cpl_creds *creds, int64_t now_s, const cpl_wait *wait, const cpl_creds_set **out,
                             cpl_error *err);
void cpl_creds_drop(const cpl_creds_set *set); /* the last one wipes */

/* ---- for the providers ---- */

/* One row a provider. config outlives the provider. */
typedef struct cpl_creds_provider {
    const char *name;
    /* CPL_OK with *out NULL: this provider has nothing to say, try the next. */
    cpl_status (*find)(const cpl_config *config, int64_t now_s, const cpl_wait *wait, cpl_creds_set **out,
                       cpl_error *err);
    bool environment; /* passed over when the caller named a profile */
} cpl_creds_provider;

extern const cpl_creds_provider cpl_creds_environment, cpl_creds_profile;

/* A set that copies the three texts; NULL when out of memory. */
cpl_creds_set *cpl_creds_set_new(const cpl_credentials *from, int64_t expires_s, const char *source);

/* What a place says, and the names it has for it. */
typedef struct cpl_creds_texts {
    const char *name[3]; /* of access key id, secret access key, session token */
    const char *text[3]; /* NULL when absent */
    const char *place;   /* for messages: "the environment", "profile \"x\"" */
    const char *source;
} cpl_creds_texts;
/* A set from them; *out NULL when there is no key. CPL_CREDENTIALS: half a pair, or a text that no key can be. */
cpl_status cpl_creds_from_texts(const cpl_creds_texts *texts, cpl_creds_set **out, cpl_error *err);

#endif
