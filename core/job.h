/* SPDX-License-Identifier: MIT */
/*
 * A job as the worker keeps it: what the service told, what was fetched and staged, and how its answer stands. Inside
 * the worker only: worker.c takes and acknowledges jobs, artifact.c moves their files, result.c answers them.
 */
#ifndef CPL_JOB_H
#define CPL_JOB_H

#include "continuation.h"
#include "desk.h"
#include "guard.h"

typedef struct cpl_artifact {
    const char *name; /* these three point into the job's document */
    const char *bucket, *key;
    char *path;     /* input: once fetched; output: once staged */
    char *unpacked; /* input: the folder of the job's own, once unpacked */
    int64_t size;
    char sha256[CPL_SHA256_HEX_SIZE]; /* output */
    const char *content_type;         /* output */
    bool sent;
} cpl_artifact;

typedef struct cpl_artifacts {
    cpl_artifact *items;
    size_t count;
} cpl_artifacts;

typedef enum cpl_job_answer {
    CPL_JOB_OPEN,
    CPL_JOB_ANSWERED,
    CPL_JOB_LOST /* somebody else has it, or it is over */
} cpl_job_answer;

/* What is known of a job that was entered. */
typedef enum cpl_claim {
    CPL_CLAIM_OPEN, /* nobody has asked, or was answered */
    CPL_CLAIM_NONE, /* somebody else has it, or it is over */
    CPL_CLAIM_KEPT, /* ours, and not to be begun now */
    CPL_CLAIM_BEGUN /* ours, and the journal has its start */
} cpl_claim;

typedef struct cpl_apart cpl_apart;

/* A job of a unit test, see cpl_job_rehearse(). */
typedef struct cpl_rehearsed {
    cpl_rehearsal how;
    atomic_llong passed_ms; /* by its clock */
    cpl_buf state;          /* what it leaves to the next job */
    double after_s;         /* when that may come */
} cpl_rehearsed;

struct cpl_job {
    cpl_job *next; /* in one of the worker's queues */
    cpl_desk *desk;
    cpl_origin origin;
    cpl_json *document; /* the job; a tree, because it is kept and asked often */
    cpl_buf text;       /* the same as text, once asked for; both hold secrets */
    cpl_buf configuration;
    int action_type;
    cpl_artifacts inputs, outputs;
    cpl_artifact stored;  /* where a state of this action lies, if it does; the path is not used */
    cpl_buf state;        /* that state, once fetched */
    int64_t not_before_s; /* of a continuation of ours, wall clock; 0 when there is none */
    int64_t taken_ms;     /* when the poll brought it, monotonic */
    bool entered;         /* the journal has it as taken */
    cpl_claim claim;
    bool doubtful;  /* an acknowledgement was sent and not answered: it may be ours */
    int asked;      /* how often that was, by this worker */
    int64_t ask_ms; /* not before this is it asked again, monotonic */
    bool running;   /* handed out and not yet answered */
    bool rehearsal; /* nothing of it goes to the network */
    cpl_rehearsed rehearsed;
    cpl_job_answer answer;
    const char *outcome; /* static; NULL: none was accepted */
    cpl_owed *owed;      /* a result that was made and not accepted yet */
    cpl_guard *guard;
    cpl_apart *apart;  /* what a thread of ours does with it (apart.c) */
    char warning[400]; /* see cpl_job_warning() */
    char *work_dir;
    char **kept; /* paths that were given out */
    size_t kept_count;
};

/* Takes document over, also when it fails. CPL_PROTOCOL when it has no id, nonce or action type. */
cpl_status cpl_job_new(cpl_job **out, cpl_desk *desk, const cpl_origin *origin, cpl_json *document, cpl_error *err);
/* The same for a job that was not polled, of which no more than the id is sure. */
cpl_status cpl_job_adopt(cpl_job **out, cpl_desk *desk, cpl_json *document, cpl_error *err);
/* Replaces the artifact credentials by fresh ones from GetJobDetails, or its third-party kin. */
cpl_status cpl_job_renew(cpl_job *job, const cpl_wait *wait, cpl_error *err);
/* The credentials for the job's artifacts; absent texts when it has none. */
cpl_credentials cpl_job_credentials(const cpl_job *job);
/* As JSON; {} when it has none. */
void cpl_job_write_configuration(const cpl_job *job, cpl_buf *out);
/* The key the service wants outputs encrypted with; NULL: the account's default one. */
const char *cpl_job_kms_key(const cpl_job *job);
/* Notes in the journal how far it is. */
cpl_status cpl_job_mark(const cpl_job *job, cpl_entry_state state, cpl_error *err);
/* Says whose result it is, of a job that was polled. NULL when out of memory, and owed is freed. */
cpl_owed *cpl_job_sign(const cpl_job *job, cpl_owed *owed);
/* From now on it takes a slot, until it is answered or freed. */
void cpl_job_hand_out(cpl_job *job);
void cpl_job_close(cpl_job *job, cpl_job_answer answer);
/* CPL_STATE when it was answered, by its guard too, or lost. */
cpl_status cpl_job_check_open(cpl_job *job, cpl_error *err);
/* An answer is about to be sent: from now on the guard will not. CPL_STATE when it was first. */
cpl_status cpl_job_claim(cpl_job *job, cpl_error *err);
/* Keeps a path until the job is freed; takes it over. NULL when out of memory. */
const char *cpl_job_keep(cpl_job *job, char *path);

/* In place of sending it: checks what the job owes as the client would, and keeps it. (rehearsal.c) */
cpl_status cpl_job_rehearse_answer(cpl_job *job, cpl_error *err);
/* Its clock has come to the time of that. (rehearsal.c) */
bool cpl_job_rehearsed_cancelled(const cpl_job *job);
bool cpl_job_rehearsed_expired(const cpl_job *job);

/* What its continuation token says of it. (state.c) */
cpl_status cpl_job_find_state(cpl_job *job, cpl_error *err);
/*
 * Keeps a state that is too large for a token in the artifact store; out is told where, in views into job and digest.
 * CPL_TOO_LARGE: the job has no place for it. (state.c)
 */
cpl_status cpl_job_keep_state(cpl_job *job, cpl_str state, char digest[CPL_SHA256_HEX_SIZE], cpl_continuation *out,
                              const cpl_wait *wait, cpl_error *err);
/* The outputs, once sent, stand where the state did. (state.c) */
bool cpl_job_state_is_replaced(const cpl_job *job);
/* The stored state, as what is to go; NULL when there is none, or no memory. (state.c) */
cpl_leftover *cpl_job_leftover(const cpl_job *job);
/*
 * When this result is accepted, the stored state is to go, if there is one. may_ask: the service, briefly; wait: who
 * looks on. (state.c)
 */
void cpl_job_sweep(cpl_job *job, cpl_owed *owed, bool may_ask, const cpl_wait *wait);

/* An object of the artifact store, in and out, with credentials that are renewed when they expired. (artifact.c) */
cpl_status cpl_job_get_object(cpl_job *job, const cpl_artifact *where, int fd, int64_t limit, const cpl_wait *wait,
                              cpl_error *err);
/* Encrypted as the job says. */
cpl_status cpl_job_put_object(cpl_job *job, const cpl_artifact *where, const cpl_s3_source *source,
                              const cpl_wait *wait, cpl_error *err);
/* Sends the staged outputs that were not sent yet. CPL_INVALID when one is missing. (artifact.c) */
cpl_status cpl_job_send_outputs(cpl_job *job, const cpl_wait *wait, cpl_error *err);

#endif
