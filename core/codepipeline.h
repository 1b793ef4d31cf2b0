/* SPDX-License-Identifier: MIT */
/*
 * codepipeline: a client, a job worker and an offline emulator for AWS CodePipeline.
 *
 * This is the one public header, and all that a language binding may include.
 *
 * Rules that hold for every function:
 * - Text goes in as a view (cpl_str); the callee copies what it keeps. Text comes out as a view or a C string that
 *   belongs to the object it was asked of and lives until that object changes or is freed.
 * - A function that can fail returns a cpl_status and fills the caller's cpl_error (NULL: the details are not wanted).
 * - Options structs may be zeroed: zero means the default. A NULL options pointer means all defaults.
 * - Durations are milliseconds unless the name says otherwise; points in time are seconds since 1970 (UTC).
 */
#ifndef CODEPIPELINE_H
#define CODEPIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CPL_VERSION "0.1.0"

/*
 * A build for a small target may leave parts out (make CPL_EMULATOR=0 CPL_JOURNAL=0): "emulator" needs libmicrohttpd;
 * "journal", what is kept in files by it and by the emulator, SQLite. What needs one that is not there is CPL_LEFT_OUT.
 * The i-th part's name and whether it is there; false past the end.
 */
bool cpl_part(size_t i, const char **name, bool *there);

/* ---- text, status, errors ---------------------------------------------------------------------------------- */

/* A view of n bytes of UTF-8; need not end in NUL. {NULL, 0} means absent. */
typedef struct cpl_str {
    const char *p;
    size_t n;
} cpl_str;

/* A view of a C string; NULL gives the absent view. */
cpl_str cpl_str_of(const char *text);

/* One row a status: name, what it means. The order is part of the ABI. */
#define CPL_STATUS_LIST(X)                                                  \
    X(OK, "ok")                                                             \
    X(NOMEM, "out of memory")                                               \
    X(INVALID, "bad argument, found before anything was sent")              \
    X(CONFIG, "configuration: region, profile, endpoint")                   \
    X(CREDENTIALS, "no usable credentials")                                 \
    X(NETWORK, "the service could not be reached, or the connection broke") \
    X(TIMEOUT, "a time limit passed")                                       \
    X(PROTOCOL, "the answer is not what the protocol allows")               \
    X(TOO_LARGE, "a size limit was exceeded")                               \
    X(SERVICE, "the service answered with an error; see code")              \
    X(CANCELLED, "stopped by the caller's tick")                            \
    X(STATE, "the object is closed, or not in a state that allows this")    \
    X(IO, "a file or the operating system failed")                          \
    X(ARCHIVE, "an archive is damaged or unsafe")                           \
    X(LEFT_OUT, "this build was made without that part; see cpl_part()")    \
    X(UNEXPECTED, "a test's stub has another answer next, or none")

typedef enum cpl_status {
#define X(name, text) CPL_##name,
    CPL_STATUS_LIST(X)
#undef X
        CPL_STATUS_COUNT
} cpl_status;

/* "OK", "INVALID", ...; never NULL. */
const char *cpl_status_name(cpl_status status);

/* Why a server was not reached, for those who give advice. */
typedef enum cpl_cause {
    CPL_CAUSE_NONE, /* whatever else */
    CPL_CAUSE_NAME, /* nobody knows its name */
    CPL_CAUSE_TRUST /* its certificate is not trusted */
} cpl_cause;

/*
 * What went wrong. The caller owns it (usually on the stack); nothing in it needs freeing. Texts that do not fit are
 * cut at a character boundary. All members are zero or empty when they do not apply.
 */
typedef struct cpl_error {
    cpl_status status;
    int http_status;        /* 0: no answer arrived */
    int attempts;           /* how many times the request was sent */
    int64_t retry_delay_ms; /* time spent waiting between the attempts */
    bool retryable;         /* the same request may succeed later */
    bool exhausted;         /* no further attempt was allowed */
    char code[80];          /* the service's error code, "PipelineNotFoundException" */
    char request_id[80];    /* x-amzn-requestid */
    char path[256];         /* the member at fault, "pipeline.stages[0].name" */
    char operation[64];     /* "GetPipeline" */
    char message[1024];     /* lower case, no full stop; the service's own words for CPL_SERVICE */
    char cloudfront_id[96]; /* x-amz-cf-id */
    char extended_id[128];  /* x-amz-id-2 */
    cpl_cause cause;
} cpl_error;

/* How far a transfer is. What is sent or fetched again counts once, so done may go back. */
typedef struct cpl_progress {
    int64_t done, total; /* bytes; total: -1 as long as it is not known */
    const char *name;    /* of the artifact, which lives as long as its job; NULL for what a client moves */
} cpl_progress;

typedef struct cpl_observer cpl_observer;

/*
 * A long call asks this function every 100 ms or sooner, always on the calling thread; anything but 0 makes the call
 * return CPL_CANCELLED. Bindings let Ctrl-C through here. It must not call back into the object that is waiting.
 */
typedef struct cpl_wait {
    int (*tick)(void *context); /* NULL: never asked */
    void *context;
    int64_t timeout_ms; /* 0: the object's own limit */
    /* What moves an artifact keeps this up to date for the tick, which sees the end, too; NULL: nobody wants it. */
    cpl_progress *progress;
    const cpl_observer *observer; /* looks on at what is asked of the service meanwhile; NULL: nobody does */
} cpl_wait;

/* Since some fixed moment, by the clock that all limits go by. */
int64_t cpl_clock_monotonic_ms(void);

/* ---- JSON in ------------------------------------------------------------------------------------------------- */

/*
 * Writes one JSON document, the parameters of a call for example. Calls that make no valid document (a value without a
 * key, text that is not UTF-8, a number that is not finite, more than CPL_JSON_DEPTH_MAX levels) are remembered, and
 * cpl_writer_text() reports the first of them; so call sites need no checks.
 */
typedef struct cpl_writer cpl_writer;
#define CPL_JSON_DEPTH_MAX 64

cpl_writer *cpl_writer_new(void); /* NULL: out of memory */
void cpl_writer_free(cpl_writer *writer);
void cpl_writer_clear(cpl_writer *writer); /* back to empty, memory kept */
void cpl_write_object(cpl_writer *writer);
void cpl_write_array(cpl_writer *writer);
void cpl_write_end(cpl_writer *writer); /* closes the innermost object or array */
void cpl_write_key(cpl_writer *writer, cpl_str key);
void cpl_write_string(cpl_writer *writer, cpl_str text);
void cpl_write_integer(cpl_writer *writer, int64_t number);
void cpl_write_number(cpl_writer *writer, double number);
void cpl_write_bool(cpl_writer *writer, bool value);
void cpl_write_null(cpl_writer *writer);
/* The finished document, owned by the writer. CPL_INVALID, CPL_TOO_LARGE or CPL_NOMEM if it could not be made. */
cpl_status cpl_writer_text(cpl_writer *writer, cpl_str *out, cpl_error *err);

/* ---- JSON out ------------------------------------------------------------------------------------------------ */

typedef enum cpl_token {
    CPL_TOKEN_END,    /* the document is complete */
    CPL_TOKEN_OBJECT, /* { */
    CPL_TOKEN_OBJECT_END,
    CPL_TOKEN_ARRAY, /* [ */
    CPL_TOKEN_ARRAY_END,
    CPL_TOKEN_KEY,       /* text; member when the model knows it */
    CPL_TOKEN_STRING,    /* text */
    CPL_TOKEN_INTEGER,   /* integer: fits 64 bits and is written without fraction or exponent */
    CPL_TOKEN_NUMBER,    /* number */
    CPL_TOKEN_TIMESTAMP, /* number: seconds since 1970; only where the model says so */
    CPL_TOKEN_TRUE,
    CPL_TOKEN_FALSE,
    CPL_TOKEN_NULL,
    CPL_TOKEN_ERROR /* not JSON; message says why, offset where. Every later call answers the same */
} cpl_token;

/*
 * Walks a JSON document token by token, with no tree in between. The caller owns the struct; the document must outlive
 * it. Strict: RFC 8259 and nothing more, valid UTF-8, at most CPL_JSON_DEPTH_MAX levels. A cursor over an answer of the
 * service is typed by the model: members the model does not have and members that are null are skipped, timestamps are
 * marked. Release it when done (it may own memory for text with escapes); releasing twice is harmless.
 */
typedef struct cpl_cursor {
    /* the current token; text lives until the next call */
    cpl_token token;
    cpl_str text;
    int64_t integer;
    double number;
    int member;     /* KEY: index of the member's name, see cpl_model_name(); -1 if the model has no such name */
    bool sensitive; /* the value (or, on KEY, the value that follows) must not be shown */
    int depth;
    size_t offset; /* bytes read so far */
    char message[96];
    /* private */
    const char *at, *end, *start;
    char *scratch;
    size_t scratch_size;
    uint16_t shape[CPL_JSON_DEPTH_MAX + 1];
    uint16_t last[CPL_JSON_DEPTH_MAX + 1];
    uint64_t objects; /* a bit for each level, the innermost is the lowest: it is an object */
    uint16_t follows[256];
    uint16_t found, next_shape;
    uint8_t expect;
} cpl_cursor;

void cpl_cursor_init(cpl_cursor *cursor, cpl_str document); /* untyped */
cpl_token cpl_cursor_next(cpl_cursor *cursor);
/*
 * Reads on to the end of what the current token began: an object or array to its end token, a key to the end of its
 * value; nothing on other tokens.
 */
cpl_token cpl_cursor_skip(cpl_cursor *cursor);
void cpl_cursor_release(cpl_cursor *cursor);

/* A point in time in the calendar and in UTC. */
typedef struct cpl_civil {
    int year, month, day, hour, minute, second, weekday; /* month and day count from 1; weekday: 0 is Sunday */
    int microsecond;
} cpl_civil;
/* What a CPL_TOKEN_TIMESTAMP is, rounded to even. False: not in the years 1 to 9999. */
bool cpl_civil_of(double seconds, cpl_civil *out);

/* ---- the model ----------------------------------------------------------------------------------------------- */

/* One of the 44 operations. All texts are static. */
typedef struct cpl_operation_info {
    const char *name;        /* "ListPipelines" */
    const char *method;      /* "list_pipelines" */
    const char *doc;         /* one line */
    const char *input_token; /* paging; NULL when the operation has no pages */
    const char *output_token;
    const char *result_key;
    const char *limit_key; /* NULL: the page size cannot be chosen */
} cpl_operation_info;

size_t cpl_model_operation_count(void);
/* NULL when index is out of range. */
const cpl_operation_info *cpl_model_operation_info(size_t index);
/* By "ListPipelines" or "list_pipelines"; -1 when there is none. */
int cpl_model_find_operation(cpl_str name);
/*
 * Writes what the model knows of an operation, by either name: {name, method, doc, parameters, answer, errors, pages}.
 * parameters and answer are lists of members: {name, required, doc, shape, type, min, max, pattern, enum, sensitive},
 * with members of a structure, items of a list, keys and values of a map below; what does not apply is absent. errors
 * is a list of {code, doc}. CPL_INVALID: there is no such operation.
 */
cpl_status cpl_describe(cpl_str operation, cpl_writer *out, cpl_error *err);

/* The error codes the service may answer, "PipelineNotFoundException", sorted. */
size_t cpl_model_error_count(void);
const char *cpl_model_error_name(size_t index);

/* What somebody meant who wrote a name that is not there: the nearest of those that are; NULL when none is near. */
const char *cpl_nearest(cpl_str written, const char *const *names, size_t count);

/* Distinct member names, so that a binding can keep one object for each. */
size_t cpl_model_name_count(void);
const char *cpl_model_name(size_t index);

/* ---- client -------------------------------------------------------------------------------------------------- */

/*
 * Speaks to the service. May be used by several threads at once, and survives fork (the child opens connections of its
 * own). Reference counted: a worker made from it keeps it alive.
 */
typedef struct cpl_client cpl_client;

typedef enum cpl_choice { CPL_CHOICE_DEFAULT, CPL_CHOICE_NO, CPL_CHOICE_YES } cpl_choice;

/* Keys as a provider of the caller's own gives them. Wiped when they have been copied. */
typedef struct cpl_keys {
    char access_key_id[256];
    char secret_access_key[256];
    char session_token[16384]; /* empty: none */
    int64_t expires_s;         /* since 1970; 0: never */
} cpl_keys;

/*
 * What the core asks its caller for, on the thread of the call that needs it (cpl_job_guard() makes one of its own) and
 * one question at a time; who is asked must not call the client. CPL_CREDENTIALS, with err->message, says that there is
 * no answer; CPL_CANCELLED ends the call. Either may be NULL.
 */
typedef struct cpl_credentials_source {
    /* Instead of all other places. Asked again ahead of expires_s: from 15 minutes before, by one caller at a time. */
    cpl_status (*keys)(void *context, cpl_keys *out, cpl_error *err);
    /* The code that the device shows now, for a profile with mfa_serial; "123456". */
    cpl_status (*mfa_code)(void *context, const char *serial, char out[16], cpl_error *err);
    void *context;
    /*
     * NULL when context outlives the client and all that is made from it. Else retain is called while the client is
     * made, and release when the last view, worker, job or run is gone: from whatever thread that is.
     */
    void (*retain)(void *context);
    void (*release)(void *context);
} cpl_credentials_source;

typedef struct cpl_stub cpl_stub; /* see cpl_stub_new() */

/* docs/settings.md has them all, with the variables and the properties of profiles. */
typedef struct cpl_client_options {
    cpl_str region;        /* default: AWS_REGION, AWS_DEFAULT_REGION, the profile's region */
    cpl_str profile;       /* default: AWS_PROFILE, AWS_DEFAULT_PROFILE, "default" */
    cpl_str access_key_id; /* with secret_access_key; default: environment, shared files */
    cpl_str secret_access_key;
    cpl_str session_token;
    cpl_str endpoint_url; /* default: AWS_ENDPOINT_URL_CODEPIPELINE, AWS_ENDPOINT_URL, the profile, the region's */
    cpl_str
        s3_endpoint_url; /* for artifacts; default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile, the region's */
    cpl_str ca_bundle;   /* a PEM file or a hashed folder; default: AWS_CA_BUNDLE, the system's */
    cpl_str user_agent_extra;          /* appended to the User-Agent */
    int64_t connect_timeout_ms;        /* default 3100 */
    int64_t read_timeout_ms;           /* longest silence on a connection; default 60000 */
    int64_t total_timeout_ms;          /* one attempt, from first byte sent to last received; default 0: no limit */
    int max_attempts;                  /* default: AWS_MAX_ATTEMPTS, 3 */
    size_t response_limit;             /* bytes; default 64 MiB */
    cpl_str retry_mode;                /* "standard", "standard-2.0", "adaptive"; default: AWS_RETRY_MODE, "standard" */
    cpl_str app_id;                    /* goes into the User-Agent; default: AWS_SDK_UA_APP_ID */
    cpl_choice use_fips_endpoint;      /* default: AWS_USE_FIPS_ENDPOINT, no */
    cpl_choice use_dualstack_endpoint; /* default: AWS_USE_DUALSTACK_ENDPOINT, no */
    cpl_choice ignore_configured_endpoint_urls; /* default: AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, no */
    cpl_str proxy;       /* a URL, for all hosts, or "none"; default: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY */
    cpl_str client_cert; /* a PEM file to show to a server that asks for a certificate */
    cpl_str client_key;  /* default: in the same file */
    cpl_credentials_source source; /* of credentials, in the caller's hands */
    bool anonymous;                /* requests are not signed, and no credentials are looked for */
    cpl_stub *stub;                /* answers in the service's place; such a client is anonymous, too */
} cpl_client_options;

/* On CPL_OK the caller owns *out. CPL_CONFIG: no region, an unreadable profile; CPL_INVALID: an option is malformed. */
cpl_status cpl_client_new(cpl_client **out, const cpl_client_options *options, cpl_error *err);
/*
 * The same client with other timeouts, region, endpoints, credentials, attempts or response limit: what overrides says,
 * checked as above; the rest as client has it. It shares the connections, the retry quota and the clock, and costs
 * little. CPL_INVALID names an option that needs a client of its own. Close and free it like any other; closing client
 * closes it too.
 */
cpl_status cpl_client_with(cpl_client **out, cpl_client *client, const cpl_client_options *overrides, cpl_error *err);
void cpl_client_retain(cpl_client *client);
void cpl_client_free(cpl_client *client); /* NULL is fine; drops one reference */
/* Closes the connections and refuses new calls with CPL_STATE. Calls under way finish. */
void cpl_client_close(cpl_client *client);
bool cpl_client_closed(const cpl_client *client);
const char *cpl_client_region(const cpl_client *client);
const char *cpl_client_partition(const cpl_client *client); /* of that region: "aws", "aws-cn", ... */
const char *cpl_client_endpoint_url(const cpl_client *client);

/* An answer: the document and what came with it. */
typedef struct cpl_reply cpl_reply;

#define CPL_CALL_EMPTY_TABLES 1u /* {} may stand for an empty list too (a Lua table says no more) */
/*
 * An answer is read to its end before it is handed out, so that reading it cannot fail. With this the caller's own
 * reading is the first: when the cursor answers CPL_TOKEN_ERROR, cpl_reply_check() says why.
 */
#define CPL_CALL_UNCHECKED 2u

typedef enum cpl_call_stage { CPL_CALL_REQUEST, CPL_CALL_RESPONSE } cpl_call_stage;

/* One attempt, before it is sent or after it ended. All of it lives until the observer returns. */
typedef struct cpl_call_event {
    cpl_call_stage stage;
    const cpl_client *client; /* whose call it is; of a view that a worker made, the client that it made it from */
    const char *operation;
    const char *url;
    int attempt;  /* from 1 */
    cpl_str text; /* JSON: the parameters, or the answer; what is secret is "***", what is long ends in "..." */
    /* CPL_CALL_RESPONSE */
    cpl_status status;      /* how the attempt ended; another one may follow */
    int http_status;        /* 0: no answer arrived */
    int64_t duration_ms;    /* of the attempt */
    const char *request_id; /* "" if there was none */
    const char *code;       /* of an error of the service; else "" */
    const char *message;    /* of any error */
    /* private */
    const void *sent;
    size_t sent_count;
    const cpl_reply *reply;
} cpl_call_event;

/* The i-th header, sent or received; false past the end. Credentials are "***". */
bool cpl_call_event_header(const cpl_call_event *event, size_t i, cpl_str *name, cpl_str *value);

/*
 * Looks on: is called on the waiting thread before each attempt of each call that is made while it waits, and after it:
 * by an operation, a run, approvals, metrics, a worker, a job. Anything but 0 makes that call CPL_CANCELLED; a worker
 * makes it again later. It must not call back into the object that is waiting. What a thread of the core's own asked (a
 * job's guard) is told when the worker or the job is waited for the next time, and cannot be stopped.
 */
struct cpl_observer {
    int (*event)(void *context, const cpl_call_event *event);
    void *context;
};

typedef struct cpl_call_options {
    unsigned flags;
    cpl_wait wait;
    cpl_reply **refusal; /* not NULL: gets the answer that was CPL_SERVICE, which the caller owns; NULL without one */
} cpl_call_options;

/*
 * Runs one operation: checks params (a JSON object; empty text means {}) against the model, signs, sends, retries, and
 * waits for the answer. On CPL_OK the caller owns *out. CPL_INVALID names the member in err->path and nothing was sent;
 * CPL_SERVICE carries the service's code.
 */
cpl_status cpl_client_call(cpl_client *client, cpl_str operation, cpl_str params, const cpl_call_options *options,
                           cpl_reply **out, cpl_error *err);
void cpl_reply_free(cpl_reply *reply);
/* CPL_PROTOCOL, with all that a failed call tells, unless the document is one JSON object; see CPL_CALL_UNCHECKED. */
cpl_status cpl_reply_check(const cpl_reply *reply, cpl_error *err);
cpl_str cpl_reply_text(const cpl_reply *reply);                    /* the raw document */
void cpl_reply_cursor(const cpl_reply *reply, cpl_cursor *cursor); /* typed by the model */
int cpl_reply_http_status(const cpl_reply *reply);
int cpl_reply_attempts(const cpl_reply *reply);
int64_t cpl_reply_retry_delay_ms(const cpl_reply *reply); /* spent waiting between the attempts */
const char *cpl_reply_request_id(const cpl_reply *reply); /* "" if there was none */
/* The i-th response header, names in lower case; false past the end. */
bool cpl_reply_header(const cpl_reply *reply, size_t i, cpl_str *name, cpl_str *value);

/*
 * For tests: answers in the service's place, first in, first out; nothing is sent, and nothing is tried again. A call
 * that the next one is not for is CPL_UNEXPECTED, and takes none. Answers, and parameters of such calls, are checked
 * for what SDKs check: names, types, least lengths. Thread-safe; clients keep it alive.
 */
typedef struct cpl_stub_answer {
    int http_status;  /* default 200; from 300 on it is an error, with "__type" for its code */
    cpl_str document; /* default {} */
    cpl_str expected; /* the parameters it is for, in which null stands for any value; absent: for any */
    unsigned flags;   /* CPL_CALL_EMPTY_TABLES */
} cpl_stub_answer;
cpl_stub *cpl_stub_new(void);       /* NULL: out of memory */
void cpl_stub_free(cpl_stub *stub); /* NULL is fine; drops one reference */
cpl_status cpl_stub_add(cpl_stub *stub, cpl_str operation, const cpl_stub_answer *answer, cpl_error *err);
size_t cpl_stub_pending(cpl_stub *stub); /* how many answers nobody took */

/* ---- many calls at once ---------------------------------------------------------------------------------------- */

/*
 * Calls that are under way together, hundreds of them, on one thread: any thread submits, and cpl_queue_next(), for one
 * thread at a time, moves all of them and hands out one that ended. Each that was accepted is handed out once. The core
 * starts no thread and calls nobody: without cpl_queue_next() nothing moves. Connections are shared within a queue.
 */
typedef struct cpl_queue cpl_queue;

typedef struct cpl_done {
    uint64_t id;       /* 0: none */
    cpl_status status; /* as from cpl_client_call(); CPL_CANCELLED after cpl_queue_cancel() */
    cpl_reply *reply;  /* the caller's: the answer (CPL_OK), or what refused it (CPL_SERVICE); else NULL */
    cpl_error err;
} cpl_done;

/* limit: how many may be in flight, default 512 (each may need a connection); the others wait for their turn. */
cpl_status cpl_queue_new(cpl_queue **out, cpl_client *client, size_t limit, cpl_error *err);
/* Gives up what is under way; NULL is fine. No other thread may be using it. In a child after fork it does nothing. */
void cpl_queue_free(cpl_queue *queue);
/*
 * cpl_client_call() without the waiting. What is wrong with params is CPL_INVALID here, and nothing was accepted; the
 * same for CPL_STATE, of a closed client and in a child after fork. Of options, wait.timeout_ms counts from now,
 * wait.observer must live until the call is handed out (cpl_queue_next() calls it), wait.tick and refusal have no part.
 */
cpl_status cpl_queue_submit(cpl_queue *queue, cpl_str operation, cpl_str params, const cpl_call_options *options,
                            uint64_t *id, cpl_error *err);
/*
 * The next call that ended; done->id 0 when wait->timeout_ms passed (0: no limit) or after cpl_queue_wake(). It also
 * waits while nothing is under way, for other threads to submit. CPL_CANCELLED: wait->tick said stop, and everything
 * under way goes on with the next cpl_queue_next(). Closing the client lets what was accepted finish.
 */
cpl_status cpl_queue_next(cpl_queue *queue, const cpl_wait *wait, cpl_done *done, cpl_error *err);
/* The call will end as CPL_CANCELLED, whatever the service makes of it; false when it ended already. Any thread. */
bool cpl_queue_cancel(cpl_queue *queue, uint64_t id);
/* Ends the cpl_queue_next() under way, or the next one. Any thread. */
void cpl_queue_wake(cpl_queue *queue);
/* Accepted and not yet handed out. Any thread. */
size_t cpl_queue_pending(cpl_queue *queue);

/* ---- what is wrong here ---------------------------------------------------------------------------------------- */

/*
 * Looks for what keeps a client made with these options from working: settings, where each was found, credentials,
 * whether the endpoint answers, the clock. CPL_OK even if nothing works: *out is an untyped document with secrets
 * masked, {"healthy": bool, "problems": [text, ...], "text": all of it for people, "region": {"value", "source"}, ...}.
 */
cpl_status cpl_doctor(const cpl_client_options *options, const cpl_wait *wait, cpl_reply **out, cpl_error *err);

/* ---- files and objects ---------------------------------------------------------------------------------------- */

/*
 * A source revision on its way to the bucket that a pipeline watches, an artifact on its way back; with the client's
 * own credentials, in parts when large, compared with the checksums that S3 has. download writes path whole or not at
 * all.
 */
cpl_status cpl_client_upload(cpl_client *client, cpl_str path, cpl_str bucket, cpl_str key, const cpl_wait *wait,
                             cpl_error *err);
cpl_status cpl_client_download(cpl_client *client, cpl_str bucket, cpl_str key, cpl_str path, const cpl_wait *wait,
                               cpl_error *err);

/* Zips a folder's contents or one file, in an order that does not depend on the file system; archive is made anew. */
cpl_status cpl_pack(cpl_str path, cpl_str archive, const cpl_wait *wait, cpl_error *err);
/*
 * Unpacks a zip, tar or tar.gz into directory. CPL_ARCHIVE: damaged, larger than limit bytes (0: 8 GiB), or with an
 * entry that would leave the directory; the directory is then as it was.
 */
cpl_status cpl_extract(cpl_str archive, cpl_str directory, int64_t limit, const cpl_wait *wait, cpl_error *err);

/* ---- worker -------------------------------------------------------------------------------------------------- */

/*
 * Takes jobs for custom and third-party actions: polls, acknowledges, hands out. A pull interface: the worker never
 * calls up; the caller asks for the next job and hands its result back. cpl_worker_next() is for one thread at a time;
 * the jobs it hands out are independent and may each be used on a thread of their own.
 */
typedef struct cpl_worker cpl_worker;
typedef struct cpl_job cpl_job;

typedef struct cpl_worker_options {
    int concurrency; /* jobs handed out and not yet answered; default 1. A poll asks for no more than are free */
    int64_t
        poll_interval_ms;  /* between polls that found nothing; default 1000, backing off with jitter to ten times it */
    cpl_str work_dir;      /* where jobs get their folders; default: TMPDIR or /tmp */
    size_t artifact_limit; /* bytes an artifact may unpack to; default 8 GiB */
    /*
     * A file that remembers what was taken and what is owed, so that the next start goes on where a killed worker
     * stood; default: memory only. docs/worker.md tells the rest. CPL_STATE when another worker has it open.
     */
    cpl_str journal;
    int64_t grace_ms; /* from cpl_worker_stop() until jobs are told that they are cancelled; default: they never are */
} cpl_worker_options;

/* The jobs to take. category, provider and version are required. */
typedef struct cpl_action_type {
    cpl_str category; /* Source, Build, Test, Deploy or Invoke */
    cpl_str provider;
    cpl_str version;
    cpl_str query_key; /* optional: only jobs whose queryable configuration property has this value */
    cpl_str query_value;
    bool idempotent; /* a job whose worker died while it ran is run again, up to three times, and not reported failed */
    /*
     * The owner is "ThirdParty", not "Custom": jobs in the pipelines of customers, for which the worker needs their
     * client tokens, see cpl_worker_token_wanted(). Their results have no output variables.
     */
    bool third_party;
    cpl_client *client; /* to poll with, of another region than the worker's, which keeps it; default: the worker's */
} cpl_action_type;

cpl_status cpl_worker_new(cpl_worker **out, cpl_client *client, const cpl_worker_options *options, cpl_error *err);
/* Jobs handed out stay valid; free them first or later. */
void cpl_worker_free(cpl_worker *worker);
/*
 * Adds an action type; *index counts up from 0 and is what cpl_job_action_type() answers. CPL_INVALID for a repeated
 * one.
 */
cpl_status cpl_worker_add(cpl_worker *worker, const cpl_action_type *type, int *index, cpl_error *err);
/*
 * The next job, acknowledged, or NULL in *out when wait->timeout_ms passed, when all slots are taken until then, when
 * a client token is wanted, when what cpl_job_begin() began is over, or when the worker is stopping. A poll that fails
 * for a reason that passes (network, throttling, the service's own trouble) is not an error: the worker waits longer
 * and polls again, and err tells what happened while the status is CPL_OK.
 */
cpl_status cpl_worker_next(cpl_worker *worker, const cpl_wait *wait, cpl_job **out, cpl_error *err);
/*
 * Waits without taking a job, for who has jobs under way and no room, or is stopping: for as long as wait says, 50 ms
 * at most, less when a job was answered or what cpl_job_begin() began is over. CPL_CANCELLED: its tick said so.
 */
cpl_status cpl_worker_rest(cpl_worker *worker, const cpl_wait *wait, cpl_error *err);
/*
 * For a pool of threads. One is in cpl_worker_feed(), which is cpl_worker_next() over and over: it hands jobs over, and
 * returns when that would return without one, or when err tells of something. The others, one for each slot, take jobs
 * with cpl_worker_take(), which waits, however long, acknowledges on that thread (for that it has wait), and answers
 * what the thread is to do. cpl_worker_dismiss() has as many of
 * them as count answer NULL, once every job was taken.
 */
cpl_status cpl_worker_feed(cpl_worker *worker, const cpl_wait *wait, cpl_error *err);
cpl_job *cpl_worker_take(cpl_worker *worker, const cpl_wait *wait);
void cpl_worker_dismiss(cpl_worker *worker, int count);
/*
 * After cpl_worker_next() without a job: the id of the customer (the clientId of third-party jobs) whose client token
 * is needed to go on; NULL when none is. Tell it before the next cpl_worker_next(): what is not told counts as unknown,
 * and is not asked for again for a minute. Tokens stay in memory alone; one that the service refuses is asked for anew.
 */
const char *cpl_worker_token_wanted(const cpl_worker *worker);
/* token: what the customer gave you when they connected their pipeline; empty: you have none. */
cpl_status cpl_worker_give_token(cpl_worker *worker, cpl_str client_id, cpl_str token, cpl_error *err);
/*
 * For who asks for no more jobs, because the worker is stopped or cpl_worker_next() failed, when the last one was
 * answered: gives back what was kept for later, and sends what is still owed. err tells what happened to that.
 */
cpl_status cpl_worker_farewell(cpl_worker *worker, const cpl_wait *wait, cpl_error *err);
/*
 * Ends polling: cpl_worker_next() returns without a job from now on, and says farewell each time. Safe from any thread
 * and from a signal handler.
 */
void cpl_worker_stop(cpl_worker *worker);
bool cpl_worker_stopping(const cpl_worker *worker);
int cpl_worker_running(const cpl_worker *worker); /* jobs handed out and not yet answered */
/*
 * What became of the jobs, also of those that an earlier worker left in the journal. Whoever sent a result that was
 * accepted, the handler, a guard or the worker itself, it counts as what it says. Jobs that somebody else has by now
 * count nowhere.
 */
typedef struct cpl_tally {
    int succeeded, failed, continued;
    int unreported; /* no result of theirs was accepted: they run, or one is owed, or it was given up on, or in doubt */
} cpl_tally;
/* For the thread of cpl_worker_next(). At the end of a stopped worker unreported is 0 if all is well. */
cpl_tally cpl_worker_tally(const cpl_worker *worker);
/* Tells the jobs handed out that they should end; stops the worker too. Safe as cpl_worker_stop() is. */
void cpl_worker_cancel(cpl_worker *worker);
bool cpl_worker_cancelled(const cpl_worker *worker); /* it was, or its grace is over */
/* What became of a journal that could not be used; NULL when nothing is to be told. */
const char *cpl_worker_warning(const cpl_worker *worker);

typedef enum cpl_job_field {
    CPL_JOB_ID,
    CPL_JOB_NONCE,
    CPL_JOB_ACCOUNT_ID,
    CPL_JOB_CATEGORY,
    CPL_JOB_PROVIDER,
    CPL_JOB_VERSION,
    CPL_JOB_PIPELINE_NAME,
    CPL_JOB_PIPELINE_ARN,
    CPL_JOB_EXECUTION_ID, /* of the pipeline */
    CPL_JOB_STAGE_NAME,
    CPL_JOB_ACTION_NAME,
    CPL_JOB_ACTION_EXECUTION_ID,
    CPL_JOB_CONTINUATION_TOKEN, /* as the service gave it */
    CPL_JOB_STATE,              /* what cpl_job_state() answers; of a large one once that was called */
    CPL_JOB_USER_PARAMETERS,    /* the configuration's UserParameters */
    CPL_JOB_FIELD_COUNT
} cpl_job_field;

/* NULL when the job has no such thing. */
const char *cpl_job_text(const cpl_job *job, cpl_job_field field);
/* What handlers call it: "id", "pipeline", ...; never NULL. */
const char *cpl_job_field_name(cpl_job_field field);
/*
 * What cpl_job_later() was given before this job: JSON text that lives as long as the job; NULL: nothing. One too large
 * for a continuation token is fetched from the artifact store, once, and compared with the digest in the token: CPL_IO
 * when something else lies there, else the error of S3.
 */
cpl_status cpl_job_state(cpl_job *job, const cpl_wait *wait, const char **out, cpl_error *err);
bool cpl_job_state_is_stored(const cpl_job *job); /* there, and not fetched yet */
int cpl_job_action_type(const cpl_job *job);
/* The action's configuration, an object of strings. There is nothing to release unless it answers CPL_OK. */
cpl_status cpl_job_configuration(cpl_job *job, cpl_cursor *cursor, cpl_error *err);
/* The whole job as the service gave it, typed as the shape Job; carries credentials, marked sensitive. Likewise. */
cpl_status cpl_job_data(cpl_job *job, cpl_cursor *cursor, cpl_error *err);
size_t cpl_job_input_count(const cpl_job *job);
const char *cpl_job_input_name(const cpl_job *job, size_t i); /* NULL past the end */
size_t cpl_job_output_count(const cpl_job *job);
const char *cpl_job_output_name(const cpl_job *job, size_t i);
/* A folder of the job's own, made on first use, removed with the job. */
cpl_status cpl_job_work_dir(cpl_job *job, const char **out, cpl_error *err);

/*
 * Artifacts. Fetching happens once, with the job's own credentials, which are renewed when they end in the middle; the
 * path lives until the job is freed.
 * CPL_INVALID: the job has no artifact of that name (an empty name means the only one).
 */
cpl_status cpl_job_input_path(cpl_job *job, cpl_str name, const cpl_wait *wait, const char **out, cpl_error *err);
/* Unpacks into directory (empty: a folder of the job's own). A refused archive leaves the directory as it was. */
cpl_status cpl_job_input_extract(cpl_job *job, cpl_str name, cpl_str directory, const cpl_wait *wait, const char **out,
                                 cpl_error *err);
/* Stages an output: a zip of a folder's contents or of one file, or the bytes themselves. Sent by cpl_job_succeed(). */
cpl_status cpl_job_output_pack(cpl_job *job, cpl_str name, cpl_str path, const cpl_wait *wait, cpl_error *err);
cpl_status cpl_job_output_write(cpl_job *job, cpl_str name, cpl_str bytes, cpl_error *err);
/* SHA-256 of the staged output in hexadecimal (64 digits and NUL). */
cpl_status cpl_job_output_digest(cpl_job *job, cpl_str name, char out[65], cpl_error *err);

typedef struct cpl_result {
    cpl_str output_variables;      /* JSON object of strings, or empty */
    cpl_str summary;               /* at most 2048 characters; longer is cut */
    cpl_str external_execution_id; /* shown in the console, at most 1500 characters */
    int percent_complete;          /* 0 (not told) to 100 */
    cpl_str revision;              /* Source actions: currentRevision.revision */
    cpl_str change_identifier;
    cpl_str revision_summary;
} cpl_result;

/*
 * The one result of a job. Outputs staged are sent first; an output that was declared and not staged is CPL_INVALID.
 * After CPL_OK, and after the service said that somebody else has the job, later calls answer CPL_STATE.
 */
cpl_status cpl_job_succeed(cpl_job *job, const cpl_result *result, const cpl_wait *wait, cpl_error *err);
/*
 * type: a FailureType of the service ("JobFailed", "ConfigurationError", ...; empty: JobFailed). message is cut to
 * 5000.
 */
cpl_status cpl_job_fail(cpl_job *job, cpl_str type, cpl_str message, cpl_str external_execution_id,
                        const cpl_wait *wait, cpl_error *err);
/*
 * Continues later: the action goes on, and a new job will carry state (JSON text, at most 1 MiB) no sooner than
 * after_s seconds from now. More than 1900 bytes do not fit into a continuation token: they are kept in the artifact
 * store, where an output artifact of the job will lie, until the action's last job; CPL_TOO_LARGE when it has none.
 */
cpl_status cpl_job_later(cpl_job *job, cpl_str state, double after_s, const cpl_result *result, const cpl_wait *wait,
                         cpl_error *err);
/* Continues elsewhere, at once, as it came: the next job has the state that this one had. */
cpl_status cpl_job_hand_over(cpl_job *job, const cpl_wait *wait, cpl_error *err);
/* After one of these was accepted: what could not be cleaned up in the artifact store; NULL: nothing. */
const char *cpl_job_warning(const cpl_job *job);
/* The worker was cancelled, or was stopped and its grace is over: the job should end soon. From any thread. */
bool cpl_job_cancelled(const cpl_job *job);
/* Waits for that, in place of sleeping; CPL_OK and not *cancelled when wait's time is over. */
cpl_status cpl_job_wait_cancelled(cpl_job *job, const cpl_wait *wait, bool *cancelled, cpl_error *err);
/* Until its guard reports it failed; -1: it has none. */
int64_t cpl_job_remaining_ms(const cpl_job *job);
/* What it was answered with, by its guard too: "succeeded", "failed" or "continued"; static; NULL: nothing yet. */
const char *cpl_job_outcome(const cpl_job *job);
/* One of these answers was accepted. */
bool cpl_job_answered(const cpl_job *job);
/*
 * Runs a job's handler in a process of its own, and answers the job with what that says, or with what became of it. The
 * program reads JSON lines from descriptor 3 and writes them to 4 (docs/worker.md tells which); it has its own process
 * group, no other descriptors of this process, an environment of few names (no credentials), an empty standard input,
 * and its output goes to standard error. CODEPIPELINE_CHILD=1 tells it what it is. Artifacts are moved on this side.
 */
typedef struct cpl_isolation {
    const char *const *command; /* ends with NULL; the program is looked for in PATH */
    const char *const *environ; /* more variables: names to pass on, or NAME=value; ends with NULL. NULL: none */
    int64_t timeout_ms;         /* it is killed then, and the job fails; limits that are 0 are none */
    int64_t memory;             /* bytes of address space */
    int64_t file_size;          /* bytes of any file that it writes */
    int64_t cpu_s;              /* seconds of processor time */
    int64_t open_files;
    bool hand_over; /* a job that does not end when it is cancelled is continued elsewhere, and not reported failed */
} cpl_isolation;

/*
 * Waits for the end of it, and sees to the job's answer. *outcome: "succeeded", "failed" or "continued"; static.
 * CPL_CANCELLED: wait's tick said stop; the process was killed, and the job is still to be answered. Other errors: what
 * kept the answer from the service; the job then is as after cpl_job_succeed() with that error.
 */
cpl_status cpl_job_run(cpl_job *job, const cpl_isolation *how, const cpl_wait *wait, const char **outcome,
                       cpl_error *err);
/*
 * For a language with one thread: work(job, request, wait) on a thread of the core's own. It calls functions of the job
 * that take their time, with that wait, and nothing of the language. request must live until the end. Until then
 * nothing else may be done with the job but to ask whether it is cancelled, expired or answered, and to free it, which
 * calls the work off.
 */
typedef cpl_status (*cpl_work)(cpl_job *job, void *request, const cpl_wait *wait, cpl_error *err);
cpl_status cpl_job_begin(cpl_job *job, cpl_work work, void *request, cpl_error *err);
bool cpl_job_over(const cpl_job *job); /* it waits for cpl_job_end() */
/* How far an artifact is that moved since this was asked; to be asked again until it answers false: no other. */
bool cpl_job_moved(cpl_job *job, cpl_progress *out);
/* Waits for the end (call_off: the wait's tick says stop), and answers what work did. */
cpl_status cpl_job_end(cpl_job *job, bool call_off, cpl_error *err);
/* Stages an output: the bytes of a file as they are. */
cpl_status cpl_job_output_file(cpl_job *job, cpl_str name, cpl_str path, const cpl_wait *wait, cpl_error *err);
/*
 * Frees the job and its folder; does no I/O on the network. A job that was not answered is reported failed by the
 * worker's next cpl_worker_next() ("the handler gave the job up").
 */
void cpl_job_free(cpl_job *job);

/* The FailureType that says best what err means: ConfigurationError, PermissionError, SystemUnavailable, JobFailed. */
const char *cpl_failure_type(const cpl_error *err);

/* ---- events: jobs as Lambda gets them ------------------------------------------------------------------------- */

/*
 * The event that an Invoke action of Lambda hands to its function: {"CodePipeline.job": {...}}. It is a job without
 * nonce, action type and pipeline context, and needs no acknowledgement. Holds credentials; wiped when freed.
 */
typedef struct cpl_job_event cpl_job_event;

/*
 * CPL_INVALID names the member at fault in err->path. Members the model does not know, and members that are null, count
 * as absent; {} may stand for an empty list; lengths and patterns are not looked at.
 */
cpl_status cpl_job_event_read(cpl_job_event **out, cpl_str text, cpl_error *err);
void cpl_job_event_free(cpl_job_event *event);          /* NULL is fine */
cpl_str cpl_job_event_text(const cpl_job_event *event); /* the event as it came */
/* The job in it, typed as the shape Job; carries credentials, marked sensitive. */
void cpl_job_event_data(const cpl_job_event *event, cpl_cursor *cursor);

#define CPL_JOB_ID_SIZE 128
/* The job's id, also of an event that cpl_job_event_read() refuses; false when it cannot be had. */
bool cpl_job_event_id(cpl_str text, char out[CPL_JOB_ID_SIZE]);
/*
 * What a function does with an event that cannot be read: it reports the job failed, as a ConfigurationError that says
 * "the event is malformed: " and why. id is the job's; when it cannot be had it is "", nothing is sent, and the answer
 * is CPL_INVALID.
 */
cpl_status cpl_job_event_refuse(cpl_client *client, cpl_str text, cpl_str why, char id[CPL_JOB_ID_SIZE],
                                const cpl_wait *wait, cpl_error *err);

/*
 * A job made from the text of an event, to be answered by the three functions above; of options work_dir and
 * artifact_limit count. Its cpl_job_action_type() is -1. There is no worker that would report it when it is freed
 * without an answer.
 */
cpl_status cpl_job_from_event(cpl_job **out, cpl_client *client, cpl_str event, const cpl_worker_options *options,
                              cpl_error *err);
/*
 * Watches the time: unless the job's answer is on its way by then, a thread of the core's own reports the job failed
 * after_ms from now, whatever its own thread is doing. Answering it later is CPL_STATE. Once for each job.
 */
cpl_status cpl_job_guard(cpl_job *job, int64_t after_ms, cpl_error *err);
/* The guard has fired. cpl_job_answered() tells, once an answer was tried, whether its report was accepted. */
bool cpl_job_expired(const cpl_job *job);
/*
 * A continuation that came before its time is sent back with the same token, which is its answer: *put_off is true
 * then, and the service comes back with it. For a second or less it is waited here instead.
 */
cpl_status cpl_job_put_off(cpl_job *job, bool *put_off, const cpl_wait *wait, cpl_error *err);

/* Of a job's clock in a unit test; 0: never. */
typedef struct cpl_rehearsal {
    int64_t limit_ms;  /* then it is reported failed, as a guard does */
    int64_t cancel_ms; /* then it is cancelled, as by a worker that is shut down */
} cpl_rehearsal;

/*
 * For unit tests of handlers: from now on nothing of this job goes to the network. Inputs are what
 * cpl_job_rehearse_input() is given (an archive, or a folder, which is zipped), outputs stay where they were staged,
 * and an answer is checked as ever, and kept. Its clock stands still, but for cpl_job_wait_cancelled(), which turns it
 * and does not wait, and cpl_job_rehearse_time(). how may be NULL.
 */
void cpl_job_rehearse(cpl_job *job, const cpl_rehearsal *how);
cpl_status cpl_job_rehearse_input(cpl_job *job, cpl_str name, cpl_str path, const cpl_wait *wait, cpl_error *err);
/* Turns the clock forward, from any thread. */
void cpl_job_rehearse_time(cpl_job *job, int64_t ms);
int64_t cpl_job_rehearsed_time(const cpl_job *job); /* how far it was turned */
/* cpl_job_wait_cancelled() for bindings that have their own; timeout_ms 0: no limit. */
cpl_status cpl_job_rehearse_wait(cpl_job *job, int64_t timeout_ms, bool *cancelled, cpl_error *err);
/* A staged output's file; lives as long as the job. NULL when it was not staged, or there is no such output. */
const char *cpl_job_rehearsed_output(const cpl_job *job, cpl_str name);
/* The parameters of the call that would have told the answer, JSON; absent when there was none. */
cpl_str cpl_job_rehearsed_answer(const cpl_job *job);
/* The state of a continuation, JSON, of whatever size; absent when there was none. */
cpl_str cpl_job_rehearsed_state(const cpl_job *job);
double cpl_job_rehearsed_delay(const cpl_job *job); /* seconds that a continuation asked for */

typedef struct cpl_job_event_options {
    cpl_str id; /* absent members get an example's value, but for the three that are optional in an event */
    cpl_str account_id;
    cpl_str function_name;
    cpl_str user_parameters; /* optional */
    cpl_str input_bucket, input_key;
    cpl_str output_bucket, output_key;
    cpl_str continuation_token; /* optional */
    cpl_str encryption_key;     /* optional: the ARN of a KMS key */
} cpl_job_event_options;

/* An event for tests. */
cpl_status cpl_job_event_sample(cpl_job_event **out, const cpl_job_event_options *options, cpl_error *err);
/* The codepipeline-event command: prints a sample; returns the exit status. */
int cpl_job_event_main(int argc, char **argv);

/* ---- Lambda's runtime API ------------------------------------------------------------------------------------- */

/*
 * What a custom runtime (provided.al2023) does: takes one invocation after the other and answers each, or tells that it
 * failed. For one thread.
 */
typedef struct cpl_runtime cpl_runtime;

/* api: "host:port"; default AWS_LAMBDA_RUNTIME_API. CPL_CONFIG when there is none. */
cpl_status cpl_runtime_new(cpl_runtime **out, cpl_str api, cpl_error *err);
void cpl_runtime_free(cpl_runtime *runtime); /* NULL is fine */

/* Lives until the next one is asked for. */
typedef struct cpl_invocation {
    const char *request_id;
    cpl_str event;        /* JSON; of CodePipeline's invocations it is for cpl_job_from_event() */
    int64_t remaining_ms; /* until Lambda ends the function; 0: not told */
    cpl_str function_arn;
    cpl_str trace_id;
} cpl_invocation;

/* Waits, without limit unless wait has one. CPL_STATE: the one before has no answer yet. */
cpl_status cpl_runtime_next(cpl_runtime *runtime, const cpl_wait *wait, cpl_invocation *out, cpl_error *err);
/* The invocation's answer, JSON (empty: null). */
cpl_status cpl_runtime_answer(cpl_runtime *runtime, cpl_str answer, const cpl_wait *wait, cpl_error *err);
/* The invocation failed; before the first of them: the function could not start. type: "Runtime.NoSuchHandler". */
cpl_status cpl_runtime_fail(cpl_runtime *runtime, cpl_str type, cpl_str message, const cpl_wait *wait, cpl_error *err);

typedef struct cpl_function_options {
    cpl_worker_options jobs; /* work_dir and artifact_limit count */
    int64_t margin_ms;       /* of the function's time, kept for reporting that it was not enough; default 3000 */
} cpl_function_options;

/*
 * For a function of CodePipeline's alone: the next job that Lambda hands to it, with a guard that reports it failed
 * before Lambda ends the function. Invocations that need no handler are answered on the way: an event that is none of
 * CodePipeline's or malformed, a continuation before its time. Errors are those of cpl_runtime_next(); with them a
 * function ends.
 */
cpl_status cpl_runtime_next_job(cpl_runtime *runtime, cpl_client *client, const cpl_function_options *options,
                                const cpl_wait *wait, cpl_job **out, cpl_error *err);
/*
 * Frees the job and answers its invocation with its outcome. One without an answer fails; one whose answer did not get
 * through is an error of the invocation, and Lambda makes it again.
 */
cpl_status cpl_runtime_end_job(cpl_runtime *runtime, cpl_job *job, const cpl_wait *wait, cpl_error *err);

/* ---- runs ---------------------------------------------------------------------------------------------------- */

/*
 * One execution of a pipeline, to be waited for, followed, explained and acted upon. A pull interface without threads:
 * the caller asks for the next event, and the service is polled while it waits. All runs of a client share their
 * answers and the pace at which the service is asked. A run is for one thread at a time, and keeps its client alive.
 */
typedef struct cpl_run cpl_run;

typedef struct cpl_run_options {
    int64_t poll_interval_ms;   /* default 5000; a fifth of it while something moves, slowing down to twice it */
    int64_t unclaimed_after_ms; /* a job without a sign of a worker for so long is called unclaimed; default 60000 */
} cpl_run_options;

typedef struct cpl_start {
    cpl_str pipeline;
    cpl_str variables; /* JSON object of strings, or absent */
    cpl_str revisions; /* JSON: {"action": {"COMMIT_ID": "..."}}, or the list StartPipelineExecution takes; or absent */
    cpl_str client_request_token; /* default: a new one */
} cpl_start;

/* Starts an execution. On CPL_OK the caller owns *out. */
cpl_status cpl_run_start(cpl_run **out, cpl_client *client, const cpl_start *start, const cpl_run_options *options,
                         const cpl_wait *wait, cpl_error *err);

typedef struct cpl_target {
    cpl_str pipeline;
    cpl_str execution_id; /* absent: the latest one */
} cpl_target;

/* Finds an execution. CPL_SERVICE when there is no such one, CPL_STATE when the pipeline never ran. */
cpl_status cpl_run_open(cpl_run **out, cpl_client *client, const cpl_target *target, const cpl_run_options *options,
                        const cpl_wait *wait, cpl_error *err);
void cpl_run_free(cpl_run *run); /* NULL is fine; the execution goes on */
const char *cpl_run_id(const cpl_run *run);
const char *cpl_run_pipeline(const cpl_run *run);

/* InProgress, Stopping, or how it ended: Succeeded, Failed, Stopped, Superseded or Cancelled. As last seen. */
const char *cpl_run_status(const cpl_run *run);
bool cpl_run_ended(const cpl_run *run);
/* Looks again, unless it has ended or somebody looked within the poll interval. */
cpl_status cpl_run_refresh(cpl_run *run, const cpl_wait *wait, cpl_error *err);
/*
 * Waits until it has ended, however it did; polls that fail for a reason that passes are repeated, throttled ones
 * without end. CPL_TIMEOUT after wait->timeout_ms says what it still waits for.
 */
cpl_status cpl_run_wait(cpl_run *run, const cpl_wait *wait, cpl_error *err);

typedef enum cpl_event_kind {
    CPL_EVENT_RUN,        /* the execution has a new status that is not its end */
    CPL_EVENT_STAGE,      /* it came into a stage (InProgress), or the stage ended */
    CPL_EVENT_ACTION,     /* an action started (InProgress) or ended (Succeeded, Failed, Abandoned) */
    CPL_EVENT_PROGRESS,   /* an action under way told something new */
    CPL_EVENT_APPROVAL,   /* an action waits for a decision; message and url are what the pipeline tells the approver */
    CPL_EVENT_TRANSITION, /* it waits in front of a stage whose transition is disabled */
    CPL_EVENT_END         /* the last one; status is how it ended */
} cpl_event_kind;

/* What moved. Texts that do not apply are NULL; they live until the next call with the run. */
typedef struct cpl_event {
    cpl_event_kind kind;
    double time; /* when it happened, seconds since 1970; 0 when the service does not say */
    int percent; /* of an action's progress; 0 when not told */
    const char *stage, *action, *status;
    const char *message; /* summary, error message, reason */
    const char *code;    /* of an action's error */
    const char *url;     /* the action's execution at its provider */
    const char *external_execution_id;
    const char *by; /* who did it */
} cpl_event;

/* "run", "stage", ...; never NULL. */
const char *cpl_event_name(cpl_event_kind kind);
/*
 * The next event, each once and in the order of happening, also those from before the run was opened and those that
 * came between two polls. NULL in *out when wait->timeout_ms passed, and after CPL_EVENT_END.
 */
cpl_status cpl_run_next(cpl_run *run, const cpl_wait *wait, const cpl_event **out, cpl_error *err);
/*
 * The same for a program with a loop of its own: asks the service once if it is time to, and does not wait. With NULL
 * in *out, *due_ms says in how many milliseconds to come back; 0: it has ended.
 */
cpl_status cpl_run_step(cpl_run *run, const cpl_wait *wait, const cpl_event **out, int64_t *due_ms, cpl_error *err);
/* The same as cpl_run_next for many runs at once; *which is the one that *out, or the error, is of. */
cpl_status cpl_runs_next(cpl_run *const *runs, size_t count, const cpl_wait *wait, size_t *which, const cpl_event **out,
                         cpl_error *err);

/*
 * Why it is stuck, or how it ended: an object {pipeline, execution_id, status, summary, findings, text}. A finding has
 * a kind (failed_action, approval, unclaimed_job, running_action, disabled_transition, queued, superseded, stopped,
 * cancelled, failed), text and check (a list: what to look at), and where they apply stage, action, owner, category,
 * provider, code, message, external_execution_id, url, by, since, execution_id. *out is for cpl_reply_free(); it has no
 * headers.
 */
cpl_status cpl_run_explain(cpl_run *run, const cpl_wait *wait, cpl_reply **out, cpl_error *err);

cpl_status cpl_run_stop(cpl_run *run, cpl_str reason, bool abandon, const cpl_wait *wait, cpl_error *err);
/* Runs a failed stage again; all_actions: those that succeeded too. The run goes on, and so do its events. */
cpl_status cpl_run_retry(cpl_run *run, cpl_str stage, bool all_actions, const cpl_wait *wait, cpl_error *err);
/*
 * Runs a stage again as the execution target ran it; target empty: the newest other one of the pipeline's present
 * version that succeeded in the stage, CPL_STATE if there is none. *out is the new execution this starts.
 */
cpl_status cpl_run_rollback(cpl_run *run, cpl_str stage, cpl_str target, const cpl_wait *wait, cpl_run **out,
                            cpl_error *err);

typedef struct cpl_decision {
    cpl_str stage, action;
    bool approved;
    cpl_str summary; /* at most 512 characters */
} cpl_decision;

/*
 * Answers an approval of this execution, and never a newer one's: CPL_STATE when the one that waits now belongs to
 * another execution, or none waits. CPL_INVALID: there is no such stage or action.
 */
cpl_status cpl_run_decide(cpl_run *run, const cpl_decision *decision, const cpl_wait *wait, cpl_error *err);
/*
 * All approvals that wait: an array of {pipeline, stage, action, execution_id, since, message, url}. pipeline: of that
 * one alone, or of all when absent. *out is for cpl_reply_free().
 */
cpl_status cpl_client_approvals(cpl_client *client, cpl_str pipeline, const cpl_wait *wait, cpl_reply **out,
                                cpl_error *err);

/* ---- reports --------------------------------------------------------------------------------------------------- */

typedef struct cpl_metrics_options {
    cpl_str pipelines; /* JSON: a list of names; default: all */
    double since;      /* seconds since 1970: what began before does not count; default: 30 days ago */
} cpl_metrics_options;

/*
 * How often pipelines deliver, how long it takes, how often it fails: {since, until, calls, total, pipelines}. A
 * pipeline, and total without the last two, has executions, succeeded, failed, stopped, superseded, cancelled,
 * in_progress, rollbacks, deployments (those that succeeded and are no rollback), deployments_per_day, failure_rate (of
 * those that succeeded or failed), lead_time (from revision to success, once a revision), duration, time_to_restore
 * (from a failure to the next success), approvals (time waited), broken_since, stages: [{stage, time, actions:
 * [{action, category, provider, executions, failed, time}]}]. Times measured are {count, total, mean, median, p90, max}
 * in seconds; what was never measured is absent. calls: how many requests it took. *out is for cpl_reply_free().
 */
cpl_status cpl_client_metrics(cpl_client *client, const cpl_metrics_options *options, const cpl_wait *wait,
                              cpl_reply **out, cpl_error *err);

/* ---- emulator ------------------------------------------------------------------------------------------------ */

/*
 * CodePipeline and the part of S3 it needs, offline, on loopback, in this process: five threads serve all emulators of
 * it, thousands if need be. For tests; not for the internet.
 */
typedef struct cpl_emulator cpl_emulator;

typedef struct cpl_emulator_options {
    cpl_str host;          /* default 127.0.0.1 */
    int port;              /* default 0: the system picks */
    cpl_str path;          /* SQLite file that keeps the state; default: memory only */
    cpl_str region;        /* default us-east-1 */
    cpl_str account_id;    /* default 123456789012 */
    cpl_str access_key_id; /* the owner's; defaults are fixed test values, see cpl_emulator_environ() */
    cpl_str secret_access_key;
    cpl_str state; /* of cpl_emulator_export(): where it begins, instead of what path held */
    bool ui;       /* a page for people at URL/_emulator/ */
    bool demo;     /* begin with five pipelines and four weeks of their past; not with state, nor where path has some */
    /*
     * What a result or an acknowledgement gets that a worker repeats for a job that is over, which nobody could see in
     * the real service. "refuse" (default): InvalidJobStateException, and for an acknowledgement InvalidNonceException.
     * "accept": a result that says the same is accepted and changes nothing, and an acknowledgement is told the state
     * that the job ended in. cpl_emulator_set_repeats() changes it.
     */
    cpl_str repeats;
} cpl_emulator_options;

/* CPL_IO: the port is in use (the message names it), or the file cannot be opened. */
cpl_status cpl_emulator_start(cpl_emulator **out, const cpl_emulator_options *options, cpl_error *err);
void cpl_emulator_stop(cpl_emulator *emulator); /* closes its connections and frees; NULL is fine */
const char *cpl_emulator_url(const cpl_emulator *emulator);
/* The i-th environment variable that points an AWS SDK at the emulator; false past the end. */
bool cpl_emulator_environ(const cpl_emulator *emulator, size_t i, const char **name, const char **value);
/* Makes an empty bucket; nothing happens when it is there. */
cpl_status cpl_emulator_create_bucket(cpl_emulator *emulator, cpl_str bucket, cpl_error *err);
typedef struct cpl_lint_options {
    cpl_str region; /* where the pipeline is to be; default: wherever it fits */
} cpl_lint_options;

/*
 * What the service would refuse a pipeline for, without asking it: document is JSON, what CreatePipeline takes or the
 * pipeline alone. Writes a list of {path, code, message, line, column}, in the order of the text, to out; code is the
 * error that the service would answer. Action types that are not of AWS are taken on trust. CPL_OK even if all of it is
 * wrong.
 */
cpl_status cpl_lint(cpl_str document, const cpl_lint_options *options, cpl_writer *out, cpl_error *err);
/* The time by the emulator's clock, seconds since 1970. */
double cpl_emulator_now(cpl_emulator *emulator);
/*
 * Turns that clock forward; timeouts, expiries and redeliveries until then happen before this returns. Requests are
 * still signed, and refused, by the machine's clock. CPL_INVALID: backwards, or by more than ten years.
 */
cpl_status cpl_emulator_advance(cpl_emulator *emulator, int64_t ms, cpl_error *err);
/* Stops that clock, which then moves only by cpl_emulator_advance(), or lets it go on from where it stands. */
void cpl_emulator_freeze(cpl_emulator *emulator, bool frozen);
bool cpl_emulator_frozen(cpl_emulator *emulator);

/* Trouble for requests to come. Zero means the default; the first fault that fits strikes. */
typedef struct cpl_fault {
    cpl_str operation; /* "PutJobSuccessResult", or "GetObject", "PutObject", ... of S3; default: every one */
    /*
     * "reset": the connection closes, and nothing was done; "lost-answer": the same after the work was done;
     * "cut-answer": half of the answer comes; "stall": it stops after some bytes of its body, and the connection stays
     * until the caller leaves; "trickle": so many bytes of its body come a second (all three after the work was done);
     * "500", "502", "503", "504", "throttling", "expired-token", "access-denied", "not-found", "retry-after" (503 with
     * x-amz-retry-after), "redirect": that answer, and nothing was done;
     * "late-500", "no-json", "empty", "html" (both with 200): that answer after the work was done.
     */
    cpl_str kind;
    cpl_str job_id;     /* only requests that name this job */
    int times;          /* how many are struck; default 1; -1: all */
    int after;          /* how many that fit are let through first */
    double probability; /* of being struck, each; default 1 */
    uint64_t seed;      /* of that; the same one strikes the same */
    int bytes;          /* of "stall", default none; of "trickle", default 1 */
} cpl_fault;
/* CPL_INVALID names the member in err->path. */
cpl_status cpl_emulator_fault(cpl_emulator *emulator, const cpl_fault *fault, cpl_error *err);
/*
 * A Lambda function that Invoke actions may name. Whoever serves Lambda's Runtime API at *address ("127.0.0.1:PORT",
 * what goes into AWS_LAMBDA_RUNTIME_API and cpl_runtime_new()) gets their events; a second call answers the same. As
 * with Lambda, an invocation that fails is made again a minute and two minutes later by the emulator's clock; a job
 * without a result fails after twenty minutes.
 */
cpl_status cpl_emulator_function(cpl_emulator *emulator, cpl_str name, const char **address, cpl_error *err);
/*
 * What becomes of actions and rules that it cannot run, those of CodeBuild or CodeDeploy say: the newest script that
 * fits decides when one starts. Without one it fails, NotEmulated. script is a JSON object; all but outcome may be left
 * out:
 *   outcome                           "succeed", "fail", or "wait": until a script comes that fits and says otherwise
 *   pipeline, stage, action, provider the actions it fits; default: any, and any rule
 *   rule                              the rule of a stage's condition that it fits, and no action
 *   after                             seconds by the emulator's clock that the action takes
 *   summary, external_execution_id    the summary begins with "emulated: "
 *   output_variables                  {name: value}
 *   artifacts                         {output artifact: file}; default: an empty zip archive
 *   revision, revision_summary        of a source action; default: the pushed commit, or one that is drawn
 *   code, message                     of a failure
 *   times                             how many actions it decides about; default: all
 * CPL_INVALID names what is wrong in err->path.
 */
cpl_status cpl_emulator_script(cpl_emulator *emulator, cpl_str script, cpl_error *err);
/*
 * What a Git provider would tell: starts the pipelines whose source actions of provider CodeStarSourceConnection follow
 * it, by the filters of their triggers or by BranchName and DetectChanges. push is a JSON object; repository and either
 * branch or tag must be there:
 *   repository                        "owner/name", the actions' FullRepositoryId
 *   branch, tag                       what was pushed
 *   commit, message                   default: one that is drawn, and none
 *   files                             the paths that changed, a list; or {path: text}, which also makes the action's
 *                                     output artifact, a zip archive of them
 *   archive                           a file that is it instead
 *   provider                          "GitHub" (default), "Bitbucket", "GitLab", ..., for the revision's summary
 * With an artifact the source action succeeds; without one it ends as a script says. *out is JSON, what became of every
 * source action of the repository, [{pipelineName, actionName, pipelineExecutionId (if it started), reason}], and lives
 * until the next push or pull request. CPL_INVALID names what is wrong in err->path, and nothing has started.
 */
cpl_status cpl_emulator_git_push(cpl_emulator *emulator, cpl_str push, cpl_str *out, cpl_error *err);
/*
 * The same of a pull request: in place of branch and tag it has event, "OPEN", "UPDATED" or "CLOSED", and source and
 * target, the branches that it comes from and goes to. Only triggers with filters for pull requests start by it.
 */
cpl_status cpl_emulator_pull_request(cpl_emulator *emulator, cpl_str request, cpl_str *out, cpl_error *err);
/* Another policy than its options had, from now on: "refuse" or "accept". */
cpl_status cpl_emulator_set_repeats(cpl_emulator *emulator, cpl_str policy, cpl_error *err);
const char *cpl_emulator_repeats(cpl_emulator *emulator);
/*
 * What was asked of it, the newest 10,000 requests, oldest first: an array of {seq, time, status} and where they apply
 * operation, code (of the service's error), fault (the kind that struck), job_id, nonce, continuation_token, jobs (that
 * were handed out: id and nonce). status and code are the service's own, whatever a fault made of them; 0 when it did
 * not hear of the request. *out is JSON, and lives until the ledger is asked for again.
 */
cpl_status cpl_emulator_ledger(cpl_emulator *emulator, cpl_str *out, cpl_error *err);
/*
 * The events that the service sends to EventBridge: state changes of executions, stages and actions, the newest 10,000,
 * oldest first. Feeds read independently of each other, and may outlive the emulator; each is for one thread at a time.
 */
typedef struct cpl_feed cpl_feed;
cpl_status cpl_emulator_feed(cpl_emulator *emulator, cpl_feed **out, cpl_error *err);
void cpl_feed_free(cpl_feed *feed); /* NULL is fine */
/*
 * The next event as JSON, which lives until the next call. CPL_TIMEOUT: none came within wait->timeout_ms (0: no limit;
 * wait NULL: now); CPL_STATE: the emulator was stopped, and this has read all; CPL_TOO_LARGE: some are gone, because
 * this read too late, and the next call goes on behind them.
 */
cpl_status cpl_feed_next(cpl_feed *feed, const cpl_wait *wait, cpl_str *out, cpl_error *err);
int64_t cpl_feed_missed(const cpl_feed *feed); /* how many are gone so far */
/*
 * Carries the events on, in a thread of its own: a line each to the end of a file, or a POST each to an http:// or
 * https:// address. A target that is down never holds up the emulator: an event that does not get through in three
 * attempts is dropped and counted. CPL_INVALID, CPL_IO: it cannot be such a target.
 */
typedef struct cpl_relay cpl_relay;
typedef struct cpl_relay_report {
    int64_t delivered, dropped;
    char reason[256]; /* why the last one was dropped */
} cpl_relay_report;
cpl_status cpl_relay_start(cpl_relay **out, cpl_emulator *emulator, cpl_str target, cpl_error *err);
void cpl_relay_tell(cpl_relay *relay, cpl_relay_report *out);
/* After cpl_emulator_stop(): carries on what is left, for two seconds at most. NULL is fine; out may be NULL. */
void cpl_relay_stop(cpl_relay *relay, cpl_relay_report *out);
/*
 * The whole state as JSON: pipelines, executions, jobs, action types, webhooks, tags, S3's objects (if wanted), the
 * clock; also the secrets in it. *out lives until the next export.
 */
cpl_status cpl_emulator_export(cpl_emulator *emulator, bool objects, cpl_str *out, cpl_error *err);
/*
 * Replaces the state, of the same region and account, by such a document; the clock goes on from where it stood then.
 * CPL_INVALID names what is wrong in err->path, and nothing has changed.
 */
cpl_status cpl_emulator_import(cpl_emulator *emulator, cpl_str state, cpl_error *err);
/* Forgets the faults, the scripts, the ledger, and, for feeds to come, the events. */
void cpl_emulator_clear(cpl_emulator *emulator);
/* The codepipeline-emulator command; returns the exit status. */
int cpl_emulator_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
