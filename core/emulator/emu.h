/* SPDX-License-Identifier: MIT */
/*
 * The emulator from the inside. A few threads receive requests (server.c); one lock guards all state; so everything
 * below "call" runs alone and may edit documents in place.
 *
 *   server.c   HTTP on loopback (libmicrohttpd): a whole request in, a whole answer out
 *   auth.c     who signed it: the owner, or a job's scoped and expiring artifact credentials
 *   api.c      X-Amz-Target -> operation: checks the input by the model, runs the handler, words the errors
 *   s3.c       the S3 subset over store blobs
 *   store.c    documents in memory, mirrored into one SQLite file when a path is given
 *   pipelines.c action_types.c executions.c jobs.c webhooks.c ...   the operations
 *   structure.c conditions.c  the service's rules for a pipeline's structure; lint.c asks them without a service
 *   engine.c   moves executions through stages and actions
 *   world.c    an emulator without its server: identity, clock, state
 *   emulator.c the public handle
 *
 * Knows model, json, digest, sigv4 and archives; never client or http.
 */
#ifndef CPL_EMU_H
#define CPL_EMU_H

#include "../clock.h"
#include "../err.h"
#include "../model.h"
#include "../sigv4.h"

typedef struct emu emu;

/* ---- store: documents by table and key; the state of the emulator is nothing else ---- */

typedef enum emu_table {
    EMU_META,        /* "settings", "counters" */
    EMU_PIPELINE,    /* by name; every version */
    EMU_ACTION_TYPE, /* custom action types by "category:provider:version" */
    EMU_EXECUTION,   /* by pipeline execution id */
    EMU_JOB,         /* by job id */
    EMU_GRANT,       /* artifact credentials by access key id, see below */
    EMU_TRANSITION,  /* disabled inbound transitions by "pipeline:stage" */
    EMU_BUCKET,      /* by name */
    EMU_OBJECT,      /* by "bucket/key"; the body is the blob of the same key */
    EMU_UPLOAD,      /* multipart uploads by upload id; parts are blobs "upload/ID/N" */
    EMU_TAG,         /* tags by resource ARN */
    EMU_VERSION,     /* versions of objects that are not current, by "bucket/key" LF version id; so is the blob */
    EMU_WEBHOOK,     /* by name */
    EMU_TABLE_COUNT
} emu_table;

typedef struct emu_store emu_store;
/* path "" keeps everything in memory. CPL_IO: the file cannot be opened, is not ours, or is damaged. */
cpl_status emu_store_open(emu_store **out, const char *path, cpl_error *err);
void emu_store_close(emu_store *store);
/* The live document, NULL when there is none. Edit it in place, then emu_store_touch(). */
cpl_json *emu_store_get(emu_store *store, emu_table table, const char *key);
/* Adds or replaces; takes doc over, also when it fails (false: out of memory, or doc was NULL). */
bool emu_store_put(emu_store *store, emu_table table, const char *key, cpl_json *doc);
void emu_store_touch(emu_store *store, emu_table table, const char *key);
void emu_store_delete(emu_store *store, emu_table table, const char *key);
/* In the order of insertion; i runs from 0 to emu_store_size(). Deleting shifts the later ones. */
size_t emu_store_size(const emu_store *store, emu_table table);
cpl_json *emu_store_at(emu_store *store, emu_table table, size_t i, const char **key);
bool emu_blob_put(emu_store *store, const char *key, cpl_str bytes);
cpl_str emu_blob_get(emu_store *store, const char *key); /* absent view when there is none; valid until it is changed */
/* Gives a blob another key, in place of what was there; false when there is none, or out of memory. */
bool emu_blob_move(emu_store *store, const char *from, const char *to);
void emu_blob_delete(emu_store *store, const char *key);
cpl_str emu_blob_at(emu_store *store, size_t i, const char **key); /* as emu_store_at(); absent past the end */
/* Gives each what the other has; store's is written with the next commit, with is one in memory. */
void emu_store_exchange(emu_store *store, emu_store *with);
/* Writes what changed since the last commit, in one transaction; nothing to do in memory. */
cpl_status emu_store_commit(emu_store *store, cpl_error *err);

/* ---- the emulator ---- */

/* An emulator without its server. Tests drive it with emu_set_now() and emu_invoke(); the server makes one too. */
cpl_status emu_new(emu **out, const cpl_emulator_options *options, cpl_error *err);
/* Without the options' state and demo, and the code for them: lint.c needs one in a build without the emulator, too. */
cpl_status emu_new_plain(emu **out, const cpl_emulator_options *options, cpl_error *err);
void emu_free(emu *e); /* NULL is fine */
/* Time stands still during a request; the server sets it before each, from the clock. */
void emu_set_now(emu *e, int64_t now_ms);
/*
 * Runs one operation, past HTTP and signature: checks input against the model, advances the engine, runs the handler,
 * commits. Fills out with the answer's document, which for an error is {"__type", "message"}. Returns the HTTP status.
 */
int emu_invoke(emu *e, cpl_str operation, cpl_str input, cpl_buf *out);

emu_store *emu_store_of(emu *e);
struct emu_functions *emu_functions_of(const emu *e); /* functions.h */
struct emu_feed *emu_feed_of(const emu *e);           /* feed.h */
const char *emu_region(const emu *e);
const char *emu_account_id(const emu *e);
/* Milliseconds since 1970 by the emulator's clock. */
int64_t emu_now_ms(const emu *e);
/* Where the emulator is reached, without a slash at the end; "http://localhost" while it has no server. */
const char *emu_url(const emu *e);
void emu_set_url(emu *e, const char *url);
/* The same by the machine's clock, for signatures: who signs does not know that the emulator's was turned. */
int64_t emu_wall_ms(const emu *e);
double emu_now_s(const emu *e); /* the emulator's for timestamps in documents */
/* Turns the emulator's clock forward; what is due is done by the next request. */
void emu_clock_advance(emu *e, int64_t ms);
/* The same, and what is due is done at once. CPL_INVALID: backwards, or by more than ten years. */
cpl_status emu_clock_turn(emu *e, int64_t ms, cpl_error *err);
/* While it is frozen, it moves only when it is turned. */
void emu_clock_freeze(emu *e, bool frozen);
bool emu_clock_frozen(const emu *e);
/* Sets it, at what passes for now. */
void emu_clock_set(emu *e, int64_t now_ms, bool frozen);
/* Makes e's state that of fresh, which is closed; on failure e is as it was. (For snapshot.c.) */
cpl_status emu_adopt(emu *e, emu_store *fresh, cpl_error *err);
/* Whether a result or an acknowledgement that a worker repeats for a job that is over is accepted; see repeats.c. */
bool emu_accepts_repeats(const emu *e);
/* "refuse" or "accept", and nothing else; CPL_INVALID names "repeats". */
cpl_status emu_set_repeats(emu *e, cpl_str policy, cpl_error *err);
/* That policy as a word; empty is the default. (repeats.c) */
cpl_status emu_repeats_read(cpl_str policy, bool *accepted, cpl_error *err);
/* Replaces the state by an exported one, given as text. */
cpl_status emu_restore(emu *e, cpl_str text, cpl_error *err);
/* Random bytes; false when out of entropy. After emu_seed() they are the same every time: for demo.c, not for keys. */
bool emu_random(emu *e, void *out, size_t n);
void emu_seed(emu *e, uint64_t seed);
/* A new UUID; false when out of entropy. */
bool emu_uuid(emu *e, char out[CPL_UUID_SIZE]);

/*
 * Artifact credentials: a document of EMU_GRANT
 *   {"secret": "...", "token": "...", "expires": seconds, "jobId": "...",
 *    "read": [{"bucket": "...", "key": "..."}], "write": [...],
 *    "encryptionKey": "..."}, if what it writes must be encrypted with that one
 * jobs.c makes them, auth.c finds them, s3.c asks whether they allow what is wanted.
 */

/* ---- one call of an operation ---- */

typedef struct emu_call {
    emu *e;
    const cpl_operation *operation;
    const cpl_json *in;    /* checked against the model */
    cpl_json *out;         /* {} at first */
    cpl_json *complaints;  /* not NULL: a refusal is added to this list, and the checks go on (lint.c) */
    const cpl_json *place; /* what a refusal is about, inside in; NULL: in as a whole */
    /* set by emu_refuse() */
    char code[80];
    char message[1024];
    int http_status;
} emu_call;

/*
 * Refuses the call with one of the operation's errors (HTTP 400) and returns false, so: return emu_refuse(...). Only
 * where complaints are collected it returns true.
 */
bool emu_refuse(emu_call *call, const char *code, const char *format, ...) CPL_PRINTF(3, 4);

/* Adds the call's code and message to its complaints. (lint.c) */
bool emu_complain(emu_call *call);

/* A handler fills call->out and returns true, or refuses. Running out of memory: return emu_nomem(call). */
typedef bool (*emu_handler)(emu_call *call);
bool emu_nomem(emu_call *call); /* InternalFailure, HTTP 500 */

typedef struct emu_route {
    const char *operation;
    emu_handler handler;
} emu_route;
/* One table a file of operations, ended by {NULL, NULL}. What stands in none of them is refused as not emulated. */
extern const emu_route emu_pipeline_routes[];
extern const emu_route emu_action_type_routes[];
extern const emu_route emu_execution_routes[];
extern const emu_route emu_job_routes[];
extern const emu_route emu_webhook_routes[];

/* ---- engine ---- */

/*
 * What is derived from the documents: who waits, what is due, which jobs are ready. emulator.c makes it once the store
 * is open, keeps it for emu_engine_of(), and frees it before the store is closed.
 */
typedef struct emu_engine emu_engine;
emu_engine *emu_engine_new(emu *e); /* NULL: out of memory */
void emu_engine_free(emu_engine *engine);
emu_engine *emu_engine_of(const emu *e);

/* Does everything that is due by now: redelivery, expiry, actions that can start. Called before every request. */
void emu_engine_advance(emu *e);
/* An object was written: source actions that watch it may start their pipeline. */
void emu_engine_object_changed(emu *e, const char *bucket, const char *key);

/* ---- S3, for the engine's own actions (owner's rights) ---- */

typedef struct emu_object {
    cpl_str body;
    const char *etag; /* with quotes */
    const char *version_id;
    double last_modified;
    const char *content_type;
} emu_object; /* views into the store */
bool emu_s3_bucket_name_is_valid(cpl_str name);
bool emu_s3_bucket_exists(emu *e, const char *bucket);
bool emu_s3_create_bucket(emu *e, const char *bucket); /* true also when it exists */
bool emu_s3_get(emu *e, const char *bucket, const char *key, emu_object *out);
bool emu_s3_put(emu *e, const char *bucket, const char *key, cpl_str body, const char *content_type);

/* ---- the emulator's lock (emulator.c), for those who are no request ---- */

/* Takes it and brings the time up to date, with what is due by then; what was changed is kept when it is left. */
emu *emu_enter(cpl_emulator *emulator);
void emu_leave(cpl_emulator *emulator);
/* The same for one who did nothing that others wait for. */
void emu_leave_as_it_was(cpl_emulator *emulator);

#endif
