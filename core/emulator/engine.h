/* SPDX-License-Identifier: MIT */
/*
 * What the files of operations and the stage engine share. All state is in documents of the store (emu.h); the engine
 * keeps pointers to them, which stay good because documents are edited in place, and forgets them before it deletes
 * one.
 *
 * A pipeline (EMU_PIPELINE, by name):
 *   {"arn", "created", "updated", "latest": N, "versions": {"1": declaration, ...}}
 * An execution (EMU_EXECUTION, by id):
 *   {"id", "pipeline", "version", "number", "mode", "status", "started", "updated", "trigger", "variables",
 *    "overrides", "requestToken", "stop", "statusSummary",
 *    "stage": the stage it is in, or waits in front of, "waiting": bool,
 *    "stages": {name: {"status", "started", "resumed", "order", "actions": {name: action execution id}, "retries",
 *      "autoRetries", "lastRetry", "conditions"}},
 *    "actions": [action execution, ...] in the order they were started,
 *    "artifacts": {name: {"bucket", "key", "revision"}}, "namespaces": {name: {key: value}},
 *    "artifactRevisions": [...], "sourceRevisions": [...],
 *    "type": "ROLLBACK" and "target": the execution it goes back to; neither in a standard one,
 *    "pushed": {"action", "revisionId", "revisionChangeId"} of the PutActionRevision that started it,
 *    "git": the push or pull request that did, see git.h}
 * An action execution ("record" in the code), inside it:
 *   {"id", "executionId", "order", "stage", "action", "status", "started", "updated", "input", "outputArtifacts",
 *    "outputVariables", "summary", "externalExecutionId", "percentComplete", "error", "token", "jobId", "deadline",
 *    "updatedBy", "revision", "script", "scriptDue"}
 * "rules": what became of conditions, see conditions.c.
 * A job (EMU_JOB, by id):
 *   {"id", "type", "status", "nonce", "executionId", "actionExecutionId", "continuationToken", "lapses", "deadline",
 *    "query", "invoked"}
 * "order" and "number" count everything that starts, over all pipelines; so they sort, and survive a restart.
 */
#ifndef CPL_EMU_ENGINE_H
#define CPL_EMU_ENGINE_H

#include "emu.h"
#include "index.h"

/* The running side of one pipeline. */
typedef struct emu_line {
    char *name;
    emu_list executions; /* all, in the order of starting */
    emu_list active;     /* those that can still move by themselves */
    emu_index stages;    /* stage -> the execution that entered it last */
    emu_index actions;   /* "stage/action" -> its latest action execution */
} emu_line;

struct emu_engine {
    emu *e;
    emu_index types;    /* the action types of AWS and partners, by "category:owner:provider:version" -> emu_kind */
    emu_index lines;    /* by pipeline name */
    emu_index queues;   /* action type -> emu_list of the jobs ready to be handed out, the oldest first */
    emu_index requests; /* "pipeline/client request token" -> execution */
    emu_timers timers;
    emu_list changes;  /* objects written while the engine was at work: "bucket/key", owned */
    cpl_json *scripts; /* see scripts.h; NULL: none */
    cpl_buf event;     /* the text of the one being sent; its memory is kept for the next */
    int64_t order;     /* the last number given */
    int depth;         /* > 0: the engine is at work */
};

/* ---- documents ---- */

#define EMU_GET(object, key) cpl_json_get_cstr((object), (key), "")

bool emu_is(const cpl_json *object, const char *key, const char *text);
/* The item of an array of objects whose member key is text; NULL when there is none. */
cpl_json *emu_find(const cpl_json *array, const char *key, const char *text);
/* The member, made an empty object or array first when it is not there; NULL: out of memory. */
cpl_json *emu_object_at(cpl_json *object, const char *key);
cpl_json *emu_array_at(cpl_json *object, const char *key);
/* Copies a member if the source has it; false: out of memory. */
bool emu_copy(cpl_json *to, const char *key, const cpl_json *from, const char *from_key);
/* n characters of alphabet and NUL; false: out of entropy. */
bool emu_random_text(emu *e, char *out, size_t n, const char *alphabet);
/* Who changes things, for the answers that name someone. */
void emu_owner_arn(const emu *e, cpl_buf *out);

/* ---- action types (providers.c) ---- */

typedef enum emu_runner {
    EMU_RUN_NOTHING, /* the emulator knows the type and does not run it */
    EMU_RUN_JOB,
    EMU_RUN_LAMBDA, /* a job too, which nobody polls for */
    EMU_RUN_S3_SOURCE,
    EMU_RUN_S3_DEPLOY,
    EMU_RUN_GIT_SOURCE,
    EMU_RUN_APPROVAL
} emu_runner;

typedef struct emu_kind {
    emu_runner runner;
    bool deleted;
    cpl_json *type;              /* as ListActionTypes shows it; no properties: any configuration is taken */
    const cpl_json *declaration; /* as GetActionType shows it; NULL unless UpdateActionType made it */
} emu_kind;

#define EMU_KIND_KEY 128
bool emu_providers_load(emu_engine *engine); /* fills engine->types */
void emu_providers_drop(void *kind);
size_t emu_provider_count(void);
const emu_kind *emu_provider_at(const emu_engine *engine, size_t i);
/* false when there never was one. *out holds for the call. */
bool emu_kind_find(const emu_engine *engine, const cpl_json *type_id, emu_kind *out);
/* "Build:Custom:MyBuilder:1" */
void emu_kind_key(const cpl_json *type_id, char out[EMU_KIND_KEY]);
/* The account may use the type in its pipelines. */
bool emu_kind_allowed(const emu *e, const emu_kind *kind);
cpl_json *emu_custom_type_id(const cpl_json *in); /* {category, owner, provider, version}; NULL: out of memory */
/* The type's property by name; NULL when there is none. */
const cpl_json *emu_kind_property(const emu_kind *kind, cpl_str name);
/* A copy of an action's configuration with secret values as "****"; NULL: out of memory. */
cpl_json *emu_kind_mask(const emu_engine *engine, const cpl_json *type_id, const cpl_json *configuration);

/* ---- structure (structure.c) ---- */

/* Checks a pipeline declaration by the service's rules; refuses the call. */
bool emu_structure_check(emu_call *call, const cpl_json *pipeline);

/* ---- pipelines (pipelines.c, tags.c) ---- */

/* The document, or refuses with PipelineNotFoundException. */
cpl_json *emu_pipeline_need(emu_call *call, const char *name);
cpl_json *emu_pipeline_version(const cpl_json *document, int version); /* NULL when there is none */
cpl_json *emu_pipeline_latest(const cpl_json *document);
/* The stage's declaration in the latest version, or refuses with StageNotFoundException. */
cpl_json *emu_stage_need(emu_call *call, const cpl_json *document, const char *stage);
/* The artifact store for actions in region (NULL: the pipeline's); NULL when there is none. */
const cpl_json *emu_pipeline_store(const emu *e, const cpl_json *pipeline, const char *region);
/* Checks tags and keeps them; refuses with TooManyTagsException or InvalidTagsException. */
bool emu_tags_check(emu_call *call, const cpl_json *tags, const cpl_json *present);
bool emu_tags_put(emu_call *call, const char *arn, const cpl_json *tags);
/* Sets "tags" of out, if the resource has some; false: out of memory. */
bool emu_tags_copy(emu_call *call, const char *arn, cpl_json *out);

/* ---- the stage engine (engine.c) ---- */

emu_line *emu_line_find(const emu_engine *engine, const char *pipeline); /* NULL when there is none */
emu_line *emu_line_add(emu_engine *engine, const char *pipeline);        /* finds or makes; NULL: out of memory */
/* Forgets a pipeline's executions and deletes their documents and jobs. */
void emu_line_drop(emu_engine *engine, const char *pipeline);
/* Moves everything on the line that can move; false: out of memory. */
bool emu_line_settle(emu_engine *engine, emu_line *line);

typedef struct emu_start {
    const char *trigger;       /* "StartPipelineExecution" */
    const char *detail;        /* trigger detail, may be NULL */
    const char *token;         /* client request token, may be NULL */
    const cpl_json *variables; /* [{name, value}], may be NULL; copied */
    const cpl_json *overrides; /* source revision overrides, may be NULL; copied */
    const cpl_json *revision;  /* what PutActionRevision brought, may be NULL; copied */
    const cpl_json *git;       /* the Git event, may be NULL; copied */
    const char *stage;         /* where it begins; NULL: the first */
    const cpl_json *target;    /* a rollback: the execution it goes back to; NULL: none */
} emu_start;
/* An execution of the latest version in front of its stage; the caller settles. NULL: out of memory. */
cpl_json *emu_execution_add(emu_engine *engine, const char *pipeline, const emu_start *start);
/* The same, and settles. */
cpl_json *emu_execution_start(emu_engine *engine, const char *pipeline, const emu_start *start);
cpl_json *emu_execution_get(const emu_engine *engine, const char *id); /* NULL when there is none */
/* The execution of this pipeline, or refuses with PipelineExecutionNotFoundException. */
cpl_json *emu_execution_need(emu_call *call, const char *id);
/* The action in the stage's declaration, or refuses with ActionNotFoundException. */
const cpl_json *emu_action_need(emu_call *call, const cpl_json *stage, const char *action);
/* One more execution may start, or refuses with ConcurrentPipelineExecutionsLimitExceededException. */
bool emu_concurrency_check(emu_call *call, const cpl_json *pipeline);
bool emu_at_concurrency_limit(const emu_engine *engine, const cpl_json *pipeline);
/* {"executionType", "rollbackMetadata"?} of an execution. false: out of memory. */
bool emu_execution_type(cpl_json *out, const cpl_json *execution);
void emu_execution_touch(emu_engine *engine, cpl_json *execution);
bool emu_execution_over(const cpl_json *execution); /* has an end status */
/* Sets an end status and takes it off the active ones. */
void emu_execution_finish(emu_engine *engine, cpl_json *execution, const char *status);
/* Puts a finished one back on the active ones. */
bool emu_execution_revive(emu_engine *engine, cpl_json *execution);
/* Takes the actions to be done again out of those that count as started: all, or those that did not succeed. */
bool emu_stage_reopen(emu_engine *engine, cpl_json *execution, const char *stage, bool all);
/* The record of an action execution, or of a rule execution (conditions.c), which runs like one. */
cpl_json *emu_record_get(const cpl_json *execution, const char *id);
bool emu_record_is_rule(const cpl_json *record);
/* The newest standard execution of the same version that succeeded in the stage execution is in; NULL: none. */
const cpl_json *emu_rollback_target(const emu_engine *engine, const cpl_json *execution);
/* Adds the execution that rolls failed's stage back; the caller settles. false: out of memory. */
bool emu_rollback_add(emu_engine *engine, const cpl_json *failed, const cpl_json *target);
bool emu_transition_open(const emu_engine *engine, const char *pipeline, const char *stage, const char *type);
void emu_transition_key(const char *pipeline, const char *stage, cpl_buf *out);

/*
 * ---- states (changes.c) ----
 *
 * Each sets a state and has the document written; nobody else sets one. false: out of memory.
 */

bool emu_execution_change(emu_engine *engine, cpl_json *execution, const char *status);
/* The stage must have been entered. */
bool emu_stage_change(emu_engine *engine, cpl_json *execution, const char *stage, const char *status);
bool emu_action_change(emu_engine *engine, cpl_json *execution, cpl_json *record, const char *status);
bool emu_job_change(emu_engine *engine, cpl_json *job, const char *status);

/* ---- events (events.c): what has just changed, to those who read the feed; changes.c alone calls them ---- */

void emu_event_execution(emu_engine *engine, const cpl_json *execution, bool resumed);
void emu_event_stage(emu_engine *engine, const cpl_json *execution, const char *stage, const char *status);
void emu_event_action(emu_engine *engine, const cpl_json *execution, const cpl_json *record);

/* ---- actions (actions.c, s3_actions.c, variables.c) ---- */

/* Starts one action of the stage the execution is in; false: out of memory. */
bool emu_action_start(emu_engine *engine, cpl_json *execution, const cpl_json *action);

typedef struct emu_outcome {
    const char *status; /* Succeeded, Failed, Abandoned */
    const char *code;   /* error code; NULL: none */
    cpl_str message;    /* error message */
} emu_outcome;
/* Ends a running action and hands out what it made; the caller settles the line. false: out of memory. */
bool emu_action_end(emu_engine *engine, cpl_json *execution, cpl_json *record, const emu_outcome *outcome);
bool emu_action_running(const cpl_json *record);
/* Notes what a source action found: {revision, changeIdentifier, created?, revisionSummary?}. false: out of memory. */
bool emu_action_revision(cpl_json *execution, cpl_json *record, const cpl_json *revision, const char *url);
/* The time limit passed: the action fails. */
void emu_action_timeout(emu_engine *engine, cpl_json *execution, cpl_json *record);

typedef struct emu_context {
    emu_engine *engine;
    cpl_json *execution;
    cpl_json *record;
    const cpl_json *action; /* its declaration; that of the rule, when the record is a rule's */
} emu_context;
/* {revisionType, revisionValue}: what the one who started the execution wants of a source action; or NULL. */
const cpl_json *emu_action_override(const emu_context *at);
/* The input artifacts, each in the store of the region. false: out of memory. */
bool emu_action_inputs(const emu_context *context, cpl_json *list);
/* It calls its function, if that is known, or goes as a script says, or fails, NotEmulated. */
bool emu_action_call(const emu_context *context);
bool emu_action_script(const emu_context *context);
/* Both end the action, well or badly; false: out of memory. */
bool emu_s3_source_run(const emu_context *context);
bool emu_s3_deploy_run(const emu_context *context);
/* Ends it as failed with a formatted message. */
bool emu_action_fail(const emu_context *context, const char *code, const char *format, ...) CPL_PRINTF(3, 4);

/*
 * A copy of configuration with every #{namespace.key} replaced. NULL: out of memory, or (missing is then not empty) a
 * reference that has no value.
 */
cpl_json *emu_variables_resolve(const cpl_json *execution, const cpl_json *configuration, cpl_buf *missing);
/* The next reference in text from *at on: its namespace and key; moves *at behind it. false: no more. */
bool emu_variables_next(cpl_str text, size_t *at, cpl_str *space, cpl_str *key);

/* ---- jobs (jobs.c, job_data.c) ---- */

/* A job for the action execution, ready to be handed out; token is a continuation token or NULL. */
bool emu_job_create(emu_engine *engine, const cpl_json *execution, cpl_json *record, const char *token);
/* A job that the function of its action gets, at due_ms by the emulator's clock. */
bool emu_job_invoke(emu_engine *engine, const cpl_json *execution, cpl_json *record, const char *token, int64_t due_ms);
/* Its invocation has ended, well or for good. */
void emu_job_invoked(emu_engine *engine, const char *id);
/* Makes those invocations again that have not ended: after a restart. false: out of memory. */
bool emu_jobs_invoke_again(emu_engine *engine);
/* The action ended without the job's result. */
void emu_job_close(emu_engine *engine, const char *id, const char *status);
void emu_job_delete(emu_engine *engine, const char *id);
bool emu_job_load(emu_engine *engine, cpl_json *job);    /* after a restart */
void emu_job_lapse(emu_engine *engine, const char *id);  /* was not acknowledged in time */
void emu_job_expire(emu_engine *engine, const char *id); /* had no result in its action type's time */
void emu_queue_drop(void *queue);
/* {"id", "data", "accountId"} with credentials of its own unless the job is over; NULL: out of memory. */
cpl_json *emu_job_describe(emu_engine *engine, const cpl_json *job);
bool emu_job_over(const cpl_json *job);
/* The job call->in names, if its action type has this owner; else refuses with JobNotFoundException. */
cpl_json *emu_job_need(emu_call *call, const char *owner);
/* What a poll shows of a job it hands out; NULL: out of memory. */
typedef cpl_json *(*emu_job_offer)(emu_engine *engine, const cpl_json *job);
/* Hands out jobs of call->in's type into "jobs" of the answer. */
bool emu_jobs_hand_out(emu_call *call, emu_job_offer offer);
/* The rest of the operations, once it is known that the caller may ask. */
bool emu_job_acknowledge(emu_call *call, cpl_json *job);
bool emu_job_succeed(emu_call *call, cpl_json *job);
bool emu_job_fail(emu_call *call, cpl_json *job);
/* Keeps what the result that ends the job says, to know it again. false: out of memory. (repeats.c) */
bool emu_result_note(const emu_call *call, cpl_json *job);
/* Whether call's result says the same, and repeats are accepted. */
bool emu_result_is_repeated(const emu_call *call, const cpl_json *job);

/* The credentials of one delivery, kept as a grant; put into data. false: out of memory. */
/* How long credentials that have expired are still known, so that they are refused as such. */
#define EMU_GRANT_KNOWN_MS (24 * 3600 * INT64_C(1000))
bool emu_grant_make(emu_engine *engine, const cpl_json *job, const cpl_json *record, cpl_json *data);

/* ---- links (links.c) ---- */

/*
 * The link an action type's settings give for an action ("entityUrlTemplate", ...), with {Config:name} and
 * {ExternalExecutionId} filled in; configuration is the resolved one. false: there is none, or it misses a value.
 */
bool emu_link(const emu_engine *engine, const cpl_json *input, const char *template, const char *external_id,
              cpl_buf *out);
/* Sets the member key of to, if there is such a link and it fits the model. false: out of memory. */
bool emu_link_set(const emu_engine *engine, const cpl_json *record, const char *template, cpl_json *to,
                  const char *key);

/* ---- pages (paging.c) ---- */

#define EMU_PAGE_KEY 160
/*
 * Where the page begins: the key after which it starts ("" at the beginning), from nextToken. scope ties a token to
 * what is listed; any other token is refused with InvalidNextTokenException.
 */
bool emu_page_begin(emu_call *call, const char *scope, char after[EMU_PAGE_KEY]);
/* There is more: puts nextToken into the answer. */
bool emu_page_more(emu_call *call, const char *scope, const char *last);
size_t emu_page_size(const emu_call *call, size_t most); /* maxResults, or most */

/* ---- handlers that live outside the file of their table ---- */

bool emu_get_action_type(emu_call *call);
bool emu_update_action_type(emu_call *call);
bool emu_poll_for_third_party_jobs(emu_call *call);
bool emu_get_third_party_job_details(emu_call *call);
bool emu_acknowledge_third_party_job(emu_call *call);
bool emu_put_third_party_job_success_result(emu_call *call);
bool emu_put_third_party_job_failure_result(emu_call *call);
bool emu_tag_resource(emu_call *call);
bool emu_untag_resource(emu_call *call);
bool emu_list_tags_for_resource(emu_call *call);
bool emu_rollback_stage(emu_call *call);
bool emu_put_action_revision(emu_call *call);
bool emu_get_pipeline_state(emu_call *call);
bool emu_list_action_executions(emu_call *call);
bool emu_list_rule_executions(emu_call *call);
bool emu_list_deploy_action_execution_targets(emu_call *call);
bool emu_list_pipeline_executions(emu_call *call);
bool emu_get_pipeline_execution(emu_call *call);
bool emu_put_approval_result(emu_call *call);
bool emu_disable_stage_transition(emu_call *call);
bool emu_enable_stage_transition(emu_call *call);

#endif
