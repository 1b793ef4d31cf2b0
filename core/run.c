/* SPDX-License-Identifier: MIT */
#include "run.h"

#include "clock.h"
#include "err.h"
#include "pace.h"
#include "reply.h"

#define INTERVAL_MS 5000
#define UNCLAIMED_MS 60000
#define UNKNOWN_MS 60000    /* how long the service may not know an execution that we started */
#define FAILURES_MAX 8      /* polls in a row that fail, throttled ones aside */
#define TIMEOUT_ASK_MS 5000 /* to find out what we were waiting for */
#define PAGES_MAX 50
#define PARAMS_MAX ((size_t)1 << 20)

/* ---- asking ---- */

void cpl_run_param(cpl_buf *params, const char *key, cpl_str text) {
    cpl_buf_addf(params, "%s\"%s\":", params->n > 0 && params->p[params->n - 1] != '{' ? "," : "", key);
    cpl_json_quote(params, text);
}

/* A 2xx answer is JSON, that was seen to; what a tree cannot hold (a repeated key) breaks the protocol. */
static cpl_status parse(const cpl_reply *reply, cpl_json **out, cpl_error *err) {
    cpl_status status = cpl_json_parse(cpl_reply_text(reply), out, err);
    if (status == CPL_INVALID) err->status = status = CPL_PROTOCOL;
    return status;
}

cpl_status cpl_client_ask(cpl_client *client, const char *operation, const cpl_buf *params, const cpl_wait *wait,
                          cpl_json **out, cpl_error *err) {
    cpl_call_options options = {.wait = wait ? *wait : (cpl_wait){0}};
    cpl_reply *reply = NULL;
    cpl_status status = cpl_buf_status(params, "the parameters", err);
    if (out) *out = NULL;
    if (status == CPL_OK)
        status = cpl_client_call(client, cpl_str_of(operation), cpl_buf_str(params), &options, &reply, err);
    if (status == CPL_OK && out) status = parse(reply, out, err);
    cpl_reply_free(reply);
    return status;
}

typedef struct asking {
    const cpl_run *run;
    const char *operation;
    const char *items; /* pages are put together into this member; NULL: there is one page */
    const cpl_buf *params;
} asking;

static const char *const operations[] = {[CPL_ASK_EXECUTION] = "GetPipelineExecution",
                                         [CPL_ASK_EXECUTIONS] = "ListPipelineExecutions",
                                         [CPL_ASK_STATE] = "GetPipelineState",
                                         [CPL_ASK_ACTIONS] = "ListActionExecutions"};

/* Without the closing brace, so that a page token can follow. */
static void write_question(const cpl_run *run, cpl_ask what, cpl_buf *out) {
    cpl_buf_addc(out, '{');
    cpl_run_param(out, what == CPL_ASK_STATE ? "name" : "pipelineName", cpl_str_of(run->pipeline));
    if (what == CPL_ASK_EXECUTION) cpl_run_param(out, "pipelineExecutionId", cpl_str_of(run->id));
    if (what == CPL_ASK_ACTIONS) {
        cpl_buf_adds(out, ",\"filter\":{");
        cpl_run_param(out, "pipelineExecutionId", cpl_str_of(run->id));
        cpl_buf_addc(out, '}');
    }
    if (what == CPL_ASK_EXECUTIONS || what == CPL_ASK_ACTIONS) cpl_buf_adds(out, ",\"maxResults\":100");
}

static cpl_status fetch_page(const asking *a, const char *token, const cpl_wait *wait, cpl_json **out, cpl_error *err) {
    cpl_buf params;
    cpl_status status;
    cpl_buf_init(&params, PARAMS_MAX);
    cpl_buf_addv(&params, cpl_buf_str(a->params));
    if (token) cpl_run_param(&params, "nextToken", cpl_str_of(token));
    cpl_buf_addc(&params, '}');
    status = cpl_client_ask(a->run->client, a->operation, &params, wait, out, err);
    cpl_buf_release(&params);
    return status;
}

/* Moves the items of page to the end of whole's. */
static bool join_page(cpl_json *whole, cpl_json *page, const char *items) {
    cpl_json *to = cpl_json_get(whole, items), *from = cpl_json_get(page, items);
    for (cpl_json *item; (item = cpl_json_first(from)) != NULL;) {
        if (!cpl_json_push(to, cpl_json_detach(from, item))) return false;
    }
    return cpl_json_set_cstr(whole, "nextToken", cpl_json_get_cstr(page, "nextToken", NULL));
}

static cpl_status fetch(void *context, const cpl_wait *wait, cpl_json **out, cpl_error *err) {
    const asking *a = context;
    cpl_status status = fetch_page(a, NULL, wait, out, err);
    const char *token;
    for (int i = 1; status == CPL_OK && a->items && i < PAGES_MAX; i++) {
        cpl_json *page;
        token = cpl_json_get_cstr(*out, "nextToken", NULL);
        if (token == NULL) break;
        status = fetch_page(a, token, wait, &page, err);
        if (status == CPL_OK && !join_page(*out, page, a->items)) status = cpl_fail_nomem(err);
        cpl_json_free(page);
    }
    if (status) {
        cpl_json_free(*out);
        *out = NULL;
    }
    return status;
}

cpl_status cpl_run_ask(const cpl_run *run, cpl_ask what, int64_t not_before, const cpl_wait *wait, cpl_answer **out,
                       cpl_error *err) {
    asking a = {
        .run = run, .operation = operations[what], .items = what == CPL_ASK_ACTIONS ? "actionExecutionDetails" : NULL};
    cpl_buf params, key;
    cpl_status status;
    *out = NULL;
    cpl_buf_init(&params, PARAMS_MAX);
    cpl_buf_init(&key, PARAMS_MAX);
    write_question(run, what, &params);
    cpl_buf_addf(&key, "%s%s", a.operation, cpl_buf_cstr(&params));
    a.params = &params;
    status = cpl_buf_status(&key, "the parameters", err);
    if (status == CPL_OK) {
        const cpl_question question = {.key = cpl_buf_cstr(&key),
                                       .not_before = not_before > run->acted ? not_before : run->acted,
                                       .spacing_ms = run->interval_ms / 100,
                                       .fetch = fetch,
                                       .context = &a};
        status = cpl_watch_ask(run->client->watch, &question, wait, out, err);
    }
    cpl_buf_release(&params);
    cpl_buf_release(&key);
    return status;
}

cpl_status cpl_run_reply(cpl_json *document, cpl_reply **out, cpl_error *err) {
    cpl_reply *reply = cpl_reply_new(0);
    cpl_status status;
    *out = NULL;
    if (reply == NULL || document == NULL) {
        status = cpl_fail_nomem(err);
    } else {
        cpl_json_write(document, &reply->response.body);
        status = cpl_buf_status(&reply->response.body, "the answer", err);
    }
    cpl_json_free(document);
    if (status) {
        cpl_reply_free(reply);
    } else {
        *out = reply;
    }
    return status;
}

/* ---- what answers say ---- */

static const cpl_json *find(const cpl_json *list, const char *member, const char *value) {
    for (const cpl_json *i = cpl_json_first(list); i; i = cpl_json_next(i)) {
        if (strcmp(cpl_json_get_cstr(i, member, ""), value) == 0) return i;
    }
    return NULL;
}

const cpl_json *cpl_state_stage(const cpl_json *state, const char *stage) {
    return find(cpl_json_get(state, "stageStates"), "stageName", stage);
}

const cpl_json *cpl_state_action(const cpl_json *state, const char *stage, const char *action) {
    return find(cpl_json_get(cpl_state_stage(state, stage), "actionStates"), "actionName", action);
}

const cpl_json *cpl_state_latest(const cpl_json *state, const cpl_json *record) {
    const cpl_json *latest = cpl_json_get(cpl_state_action(state, cpl_json_get_cstr(record, "stageName", ""),
                                                           cpl_json_get_cstr(record, "actionName", "")),
                                          "latestExecution");
    const char *id = cpl_json_get_cstr(record, "actionExecutionId", "");
    return strcmp(cpl_json_get_cstr(latest, "actionExecutionId", "?"), id) == 0 ? latest : NULL;
}

bool cpl_state_waits(const cpl_json *stage, const char *id) {
    const cpl_json *newest = cpl_json_get(stage, "inboundExecution");
    return find(cpl_json_get(stage, "inboundExecutions"), "pipelineExecutionId", id) ||
           strcmp(cpl_json_get_cstr(newest, "pipelineExecutionId", ""), id) == 0;
}

const char *cpl_record_setting(const cpl_json *record, const char *name) {
    const char *resolved = cpl_json_get_cstr(cpl_json_get_path(record, "input.resolvedConfiguration"), name, NULL);
    return resolved ? resolved : cpl_json_get_cstr(cpl_json_get_path(record, "input.configuration"), name, NULL);
}

/* ---- the object ---- */

static cpl_status run_new(cpl_run **out, cpl_client *client, cpl_str pipeline, const cpl_run_options *options,
                          cpl_error *err) {
    static const cpl_run_options defaults;
    cpl_run *run;
    *out = NULL;
    if (options == NULL) options = &defaults;
    if (pipeline.n == 0) return cpl_fail_at(err, CPL_INVALID, "pipeline", "pipeline: missing");
    if (options->poll_interval_ms < 0 || options->unclaimed_after_ms < 0)
        return cpl_fail_at(err, CPL_INVALID, "poll_interval", "an interval cannot be negative");
    run = cpl_calloc(1, sizeof *run);
    if (run == NULL) return cpl_fail_nomem(err);
    run->interval_ms = options->poll_interval_ms ? options->poll_interval_ms : INTERVAL_MS;
    run->delay_ms = run->interval_ms / 5 + 1;
    run->unclaimed_ms = options->unclaimed_after_ms ? options->unclaimed_after_ms : UNCLAIMED_MS;
    cpl_story_init(&run->story);
    cpl_client_retain(client);
    run->client = client;
    CPL_COPY(run->status, CPL_LIT("InProgress"));
    run->pipeline = cpl_strdup(pipeline);
    if (run->pipeline == NULL) {
        cpl_run_free(run);
        return cpl_fail_nomem(err);
    }
    cpl_watch_count(client->watch, run->pipeline, 1);
    *out = run;
    return CPL_OK;
}

static cpl_status set_id(cpl_run *run, cpl_str id, cpl_error *err) {
    cpl_free(run->id);
    run->id = cpl_strdup(id);
    return run->id ? CPL_OK : cpl_fail_nomem(err);
}

void cpl_run_free(cpl_run *run) {
    if (run == NULL) return;
    if (run->pipeline) cpl_watch_count(run->client->watch, run->pipeline, -1);
    cpl_story_release(&run->story);
    cpl_client_free(run->client);
    cpl_free(run->pipeline);
    cpl_free(run->id);
    cpl_free(run);
}

const char *cpl_run_id(const cpl_run *run) {
    return run->id;
}

const char *cpl_run_pipeline(const cpl_run *run) {
    return run->pipeline;
}

const char *cpl_run_status(const cpl_run *run) {
    return run->status;
}

bool cpl_run_ended(const cpl_run *run) {
    return !cpl_run_status_open(run->status);
}

/* ---- starting and finding ---- */

static cpl_status refuse(cpl_error *err, const char *path, const char *why) {
    return cpl_fail_at(err, CPL_INVALID, path, "%s: %s", path, why);
}

/* {"tag": "v2"} becomes [{"name": "tag", "value": "v2"}]; what stands for a value is for the model to check. */
static cpl_status write_variables(cpl_buf *params, cpl_str text, cpl_error *err) {
    cpl_json *variables = NULL;
    cpl_status status = cpl_json_parse(text, &variables, err);
    if (status) return status == CPL_INVALID ? refuse(err, "variables", "not JSON") : status;
    if (cpl_json_kind_of(variables) != CPL_JSON_OBJECT) status = refuse(err, "variables", "not an object of strings");
    cpl_buf_adds(params, ",\"variables\":[");
    for (const cpl_json *i = cpl_json_first(variables); status == CPL_OK && i; i = cpl_json_next(i)) {
        if (i != cpl_json_first(variables)) cpl_buf_addc(params, ',');
        cpl_buf_addc(params, '{');
        cpl_run_param(params, "name", cpl_json_key(i));
        cpl_buf_adds(params, ",\"value\":");
        cpl_json_write(i, params);
        cpl_buf_addc(params, '}');
    }
    cpl_buf_addc(params, ']');
    cpl_json_free(variables);
    return status;
}

/* {"Fetch": {"COMMIT_ID": "1b2c"}} becomes [{"actionName", "revisionType", "revisionValue"}]. */
static cpl_status write_revision(cpl_buf *params, const cpl_json *revision, cpl_error *err) {
    const cpl_json *value = cpl_json_first(revision);
    if (cpl_json_kind_of(revision) != CPL_JSON_OBJECT || cpl_json_count(revision) != 1)
        return refuse(err, "revisions", "each action has one {type: value}");
    if (params->p && params->p[params->n - 1] != '[') cpl_buf_addc(params, ',');
    cpl_buf_addc(params, '{');
    cpl_run_param(params, "actionName", cpl_json_key(revision));
    cpl_run_param(params, "revisionType", cpl_json_key(value));
    cpl_buf_adds(params, ",\"revisionValue\":");
    cpl_json_write(value, params);
    cpl_buf_addc(params, '}');
    return CPL_OK;
}

static cpl_status write_revisions(cpl_buf *params, cpl_str text, cpl_error *err) {
    cpl_json *revisions = NULL;
    cpl_status status = cpl_json_parse(text, &revisions, err);
    cpl_json_kind kind = cpl_json_kind_of(revisions);
    if (status) return status == CPL_INVALID ? refuse(err, "revisions", "not JSON") : status;
    cpl_buf_adds(params, ",\"sourceRevisions\":");
    if (kind == CPL_JSON_ARRAY) {
        cpl_json_write(revisions, params);
    } else if (kind == CPL_JSON_OBJECT) {
        cpl_buf_addc(params, '[');
        for (const cpl_json *i = cpl_json_first(revisions); status == CPL_OK && i; i = cpl_json_next(i)) {
            status = write_revision(params, i, err);
        }
        cpl_buf_addc(params, ']');
    } else {
        status = refuse(err, "revisions", "neither an object nor a list");
    }
    cpl_json_free(revisions);
    return status;
}

static cpl_status start(cpl_run *run, const cpl_start *s, const cpl_wait *wait, cpl_error *err) {
    cpl_json *answer = NULL;
    cpl_status status = CPL_OK;
    cpl_buf params;
    cpl_buf_init(&params, PARAMS_MAX);
    cpl_buf_addc(&params, '{');
    cpl_run_param(&params, "name", s->pipeline);
    if (s->client_request_token.n > 0) cpl_run_param(&params, "clientRequestToken", s->client_request_token);
    if (s->variables.n > 0) status = write_variables(&params, s->variables, err);
    if (status == CPL_OK && s->revisions.n > 0) status = write_revisions(&params, s->revisions, err);
    cpl_buf_addc(&params, '}');
    if (status == CPL_OK) status = cpl_client_ask(run->client, "StartPipelineExecution", &params, wait, &answer, err);
    run->started_ms = cpl_clock_monotonic_ms();
    run->acted = cpl_watch_now(run->client->watch);
    if (status == CPL_OK) status = set_id(run, cpl_json_get_str(answer, "pipelineExecutionId"), err);
    cpl_json_free(answer);
    cpl_buf_release(&params);
    return status;
}

cpl_status cpl_run_start(cpl_run **out, cpl_client *client, const cpl_start *s, const cpl_run_options *options,
                         const cpl_wait *wait, cpl_error *err) {
    cpl_error own;
    cpl_status status = run_new(out, client, s->pipeline, options, err = err ? err : &own);
    if (status == CPL_OK) status = start(*out, s, wait, err);
    if (status == CPL_OK) return CPL_OK;
    cpl_run_free(*out);
    *out = NULL;
    return status;
}

static cpl_status find_latest(cpl_run *run, const cpl_wait *wait, cpl_error *err) {
    cpl_json *answer = NULL;
    cpl_status status;
    cpl_str id;
    cpl_buf params;
    cpl_buf_init(&params, PARAMS_MAX);
    cpl_buf_addc(&params, '{');
    cpl_run_param(&params, "pipelineName", cpl_str_of(run->pipeline));
    cpl_buf_adds(&params, ",\"maxResults\":1}");
    status = cpl_client_ask(run->client, "ListPipelineExecutions", &params, wait, &answer, err);
    id = cpl_json_get_str(cpl_json_first(cpl_json_get(answer, "pipelineExecutionSummaries")), "pipelineExecutionId");
    if (status == CPL_OK && id.n == 0)
        status = cpl_fail(err, CPL_STATE, "pipeline \"%s\" has not run yet", run->pipeline);
    if (status == CPL_OK) status = set_id(run, id, err);
    cpl_json_free(answer);
    cpl_buf_release(&params);
    return status;
}

cpl_status cpl_run_open(cpl_run **out, cpl_client *client, const cpl_target *target, const cpl_run_options *options,
                        const cpl_wait *wait, cpl_error *err) {
    cpl_error own;
    cpl_status status = run_new(out, client, target->pipeline, options, err = err ? err : &own);
    if (status) return status;
    if (target->execution_id.n > 0) {
        status = set_id(*out, target->execution_id, err);
    } else {
        status = find_latest(*out, wait, err);
    }
    if (status == CPL_OK) status = cpl_run_look(*out, cpl_watch_now(client->watch), wait, err);
    if (status == CPL_OK) return CPL_OK;
    cpl_run_free(*out);
    *out = NULL;
    return status;
}

/* ---- looking ---- */

static void note_status(cpl_run *run, const cpl_json *execution, int64_t asked) {
    CPL_COPY(run->status, cpl_str_of(cpl_json_get_cstr(execution, "status", "InProgress")));
    CPL_COPY(run->message, cpl_json_get_str(execution, "statusSummary"));
    run->looked = asked;
}

/* The list of a pipeline's executions serves all its runs with one request; false: this one is not on it. */
static cpl_status look_at_list(cpl_run *run, int64_t not_before, const cpl_wait *wait, bool *found, cpl_error *err) {
    cpl_answer *answer;
    const cpl_json *summary;
    cpl_status status = cpl_run_ask(run, CPL_ASK_EXECUTIONS, not_before, wait, &answer, err);
    *found = false;
    if (status) return status;
    summary = find(cpl_json_get(answer->document, "pipelineExecutionSummaries"), "pipelineExecutionId", run->id);
    *found = summary != NULL;
    if (summary) note_status(run, summary, answer->asked);
    cpl_answer_drop(answer);
    return CPL_OK;
}

/* The service's own readers may be behind its writers for a moment. */
static bool not_known_yet(const cpl_run *run, cpl_status status, const cpl_error *err) {
    return status == CPL_SERVICE && run->started_ms != 0 &&
           strcmp(err->code, "PipelineExecutionNotFoundException") == 0 &&
           cpl_clock_monotonic_ms() < run->started_ms + UNKNOWN_MS;
}

cpl_status cpl_run_look(cpl_run *run, int64_t not_before, const cpl_wait *wait, cpl_error *err) {
    cpl_status status = CPL_OK;
    cpl_answer *answer;
    bool found = false;
    if (cpl_watch_count(run->client->watch, run->pipeline, 0) > 1)
        status = look_at_list(run, not_before, wait, &found, err);
    if (status || found) return status;
    status = cpl_run_ask(run, CPL_ASK_EXECUTION, not_before, wait, &answer, err);
    if (status == CPL_OK) note_status(run, cpl_json_get(answer->document, "pipelineExecution"), answer->asked);
    cpl_answer_drop(answer);
    if (!not_known_yet(run, status, err)) return status;
    run->looked = cpl_watch_now(run->client->watch);
    return CPL_OK;
}

cpl_status cpl_run_refresh(cpl_run *run, const cpl_wait *wait, cpl_error *err) {
    cpl_error own;
    int64_t since = cpl_watch_now(run->client->watch) - run->interval_ms * 1000;
    if (cpl_run_ended(run) || run->looked > since) return CPL_OK;
    return cpl_run_look(run, since, wait, err ? err : &own);
}

/* ---- polling ---- */

/* Between 0.9 and 1.1 times as long, so that many processes do not ask in step. */
static int64_t with_jitter(int64_t delay_ms) {
    uint32_t chance = UINT32_MAX / 2;
    (void)cpl_random(&chance, sizeof chance, NULL); /* without it the delays are just not spread */
    return delay_ms - delay_ms / 10 + (int64_t)((double)delay_ms / 5 * (chance / 4294967295.0));
}

static void plan(cpl_run *run, bool moved) {
    int64_t most_ms = run->interval_ms * 2, least_ms = run->interval_ms / 5 + 1;
    run->failures = 0;
    run->delay_ms = moved ? least_ms : run->delay_ms * 4 / 3 + 1;
    if (run->delay_ms > most_ms) run->delay_ms = most_ms;
    if (run->delay_ms < least_ms) run->delay_ms = least_ms;
    run->due_ms = cpl_clock_monotonic_ms() + with_jitter(run->delay_ms);
}

/* After a poll that failed: true when it is worth another try, which is planned. */
static bool plan_again(cpl_run *run, cpl_status status, const cpl_error *err) {
    bool throttled = cpl_retry_classify(status, err->http_status, cpl_str_of(err->code)) == CPL_RETRY_THROTTLING;
    if (status == CPL_CANCELLED || !(throttled || err->retryable)) return false;
    if (!throttled && ++run->failures >= FAILURES_MAX) return false;
    run->delay_ms = run->delay_ms * 2 + 1;
    if (run->delay_ms > run->interval_ms * 6) run->delay_ms = run->interval_ms * 6;
    run->due_ms = cpl_clock_monotonic_ms() + with_jitter(run->delay_ms);
    return true;
}

typedef cpl_status (*poll_fn)(cpl_run *run, int64_t not_before, const cpl_wait *wait, cpl_error *err);

/* Sleeps until the run is due and polls; CPL_TIMEOUT when the pace's time is over first. */
static cpl_status poll_when_due(cpl_run *run, poll_fn poll, const cpl_pace *pace, cpl_error *err) {
    char before[sizeof run->status];
    cpl_queued **last = run->story.last;
    int64_t now_ms = cpl_clock_monotonic_ms(), until_ms = run->due_ms > now_ms ? run->due_ms : now_ms;
    cpl_wait rest;
    cpl_status status;
    if (pace->end_ms && until_ms > pace->end_ms) until_ms = pace->end_ms;
    status = cpl_clock_sleep(until_ms - now_ms, pace->wait, err);
    if (status == CPL_OK) status = cpl_pace_rest(pace, &rest, err);
    if (status) return status;
    CPL_COPY(before, cpl_str_of(run->status));
    status = poll(run, cpl_watch_now(run->client->watch) - run->delay_ms * 500, &rest, err);
    if (status == CPL_OK) {
        plan(run, run->story.last != last || strcmp(before, run->status) != 0);
    } else if (pace->end_ms && cpl_clock_monotonic_ms() >= pace->end_ms && status != CPL_CANCELLED) {
        status = CPL_TIMEOUT;
    } else if (plan_again(run, status, err)) {
        status = CPL_OK;
    }
    return status;
}

/* The time is over: what is it that has not happened? */
static cpl_status fail_waiting(cpl_run *run, const cpl_wait *wait, cpl_error *err) {
    cpl_wait brief = *wait;
    cpl_buf summary;
    cpl_status status;
    brief.timeout_ms = TIMEOUT_ASK_MS;
    cpl_buf_init(&summary, PARAMS_MAX);
    status = cpl_run_summary(run, &brief, &summary, err);
    if (status != CPL_CANCELLED) {
        status = cpl_fail(err, CPL_TIMEOUT, "after %.3g s, %.*s", (double)wait->timeout_ms / 1000,
                          (int)cpl_utf8_cut(cpl_buf_str(&summary), 900), cpl_buf_cstr(&summary));
    }
    cpl_buf_release(&summary);
    return status;
}

cpl_status cpl_run_wait(cpl_run *run, const cpl_wait *wait, cpl_error *err) {
    cpl_status status = CPL_OK;
    cpl_error own;
    cpl_pace pace;
    err = err ? err : &own;
    cpl_pace_init(&pace, wait);
    while (status == CPL_OK && !cpl_run_ended(run)) status = poll_when_due(run, cpl_run_look, &pace, err);
    return status == CPL_TIMEOUT && wait && wait->timeout_ms > 0 ? fail_waiting(run, wait, err) : status;
}

/* Takes the next event out of the queue; NULL when it is empty. */
static const cpl_event *take(cpl_run *run) {
    cpl_story *story = &run->story;
    if (story->first == NULL) return NULL;
    cpl_free(story->current);
    story->current = story->first;
    story->first = story->first->next;
    if (story->first == NULL) story->last = &story->first;
    return &story->current->event;
}

cpl_status cpl_runs_next(cpl_run *const *runs, size_t count, const cpl_wait *wait, size_t *which, const cpl_event **out,
                         cpl_error *err) {
    cpl_status status = CPL_OK;
    cpl_error own;
    cpl_pace pace;
    *out = NULL;
    err = err ? err : &own;
    cpl_pace_init(&pace, wait);
    while (status == CPL_OK) {
        size_t next = count;
        for (size_t i = 0; i < count; i++) {
            if (runs[i]->story.first) {
                *which = i;
                *out = take(runs[i]);
                return CPL_OK;
            }
            if (!runs[i]->story.ended && (next == count || runs[i]->due_ms < runs[next]->due_ms)) next = i;
        }
        if (next == count) return CPL_OK;
        *which = next;
        status = poll_when_due(runs[next], cpl_run_poll, &pace, err);
    }
    return status == CPL_TIMEOUT && pace.end_ms ? CPL_OK : status;
}

cpl_status cpl_run_next(cpl_run *run, const cpl_wait *wait, const cpl_event **out, cpl_error *err) {
    size_t which;
    return cpl_runs_next(&run, 1, wait, &which, out, err);
}

cpl_status cpl_run_step(cpl_run *run, const cpl_wait *wait, const cpl_event **out, int64_t *due_ms, cpl_error *err) {
    cpl_status status = CPL_OK;
    cpl_error own;
    cpl_pace pace;
    *out = NULL;
    *due_ms = 0;
    cpl_pace_init(&pace, wait);
    if (!run->story.first && !run->story.ended && run->due_ms <= cpl_clock_monotonic_ms())
        status = poll_when_due(run, cpl_run_poll, &pace, err ? err : &own);
    if (status) return status;
    *out = take(run);
    if (*out || run->story.ended) return CPL_OK;
    *due_ms = run->due_ms - cpl_clock_monotonic_ms();
    if (*due_ms < 1) *due_ms = 1;
    return CPL_OK;
}

/* ---- acting ---- */

static void name_run(const cpl_run *run, cpl_buf *params) {
    cpl_buf_addc(params, '{');
    cpl_run_param(params, "pipelineName", cpl_str_of(run->pipeline));
    cpl_run_param(params, "pipelineExecutionId", cpl_str_of(run->id));
}

/* Ends params, sends and frees them; what was known of the status is old then. */
static cpl_status act(cpl_run *run, const char *operation, cpl_buf *params, const cpl_wait *wait, cpl_error *err) {
    cpl_error own;
    cpl_status status;
    cpl_buf_addc(params, '}');
    status = cpl_client_ask(run->client, operation, params, wait, NULL, err ? err : &own);
    cpl_buf_release(params);
    run->due_ms = run->looked = 0;
    run->acted = cpl_watch_now(run->client->watch);
    return status;
}

cpl_status cpl_run_stop(cpl_run *run, cpl_str reason, bool abandon, const cpl_wait *wait, cpl_error *err) {
    cpl_buf params;
    cpl_buf_init(&params, PARAMS_MAX);
    name_run(run, &params);
    if (reason.n > 0) cpl_run_param(&params, "reason", reason);
    if (abandon) cpl_buf_adds(&params, ",\"abandon\":true");
    return act(run, "StopPipelineExecution", &params, wait, err);
}

cpl_status cpl_run_retry(cpl_run *run, cpl_str stage, bool all_actions, const cpl_wait *wait, cpl_error *err) {
    cpl_status status;
    cpl_buf params;
    cpl_buf_init(&params, PARAMS_MAX);
    name_run(run, &params);
    cpl_run_param(&params, "stageName", stage);
    cpl_run_param(&params, "retryMode", cpl_str_of(all_actions ? "ALL_ACTIONS" : "FAILED_ACTIONS"));
    status = act(run, "RetryStageExecution", &params, wait, err);
    if (status) return status;
    CPL_COPY(run->status, CPL_LIT("InProgress"));
    run->story.ended = false;
    run->story.settling = 0;
    return CPL_OK;
}

/* Asks for it, once the target is known. */
static cpl_status roll_back(cpl_run *run, cpl_str stage, cpl_str target, const cpl_wait *wait, cpl_json **answer,
                            cpl_error *err) {
    cpl_buf params, found;
    cpl_status status = CPL_OK;
    cpl_wait rest;
    cpl_pace pace;
    cpl_buf_init(&params, PARAMS_MAX);
    cpl_buf_init(&found, PARAMS_MAX);
    cpl_pace_init(&pace, wait);
    if (target.n == 0) {
        status = cpl_run_earlier(run, stage, wait, &found, err);
        target = cpl_buf_str(&found);
    }
    cpl_buf_addc(&params, '{');
    cpl_run_param(&params, "pipelineName", cpl_str_of(run->pipeline));
    cpl_run_param(&params, "stageName", stage);
    cpl_run_param(&params, "targetPipelineExecutionId", target);
    cpl_buf_addc(&params, '}');
    if (status == CPL_OK) status = cpl_pace_rest(&pace, &rest, err);
    if (status == CPL_OK) status = cpl_client_ask(run->client, "RollbackStage", &params, &rest, answer, err);
    cpl_buf_release(&params);
    cpl_buf_release(&found);
    return status;
}

cpl_status cpl_run_rollback(cpl_run *run, cpl_str stage, cpl_str target, const cpl_wait *wait, cpl_run **out,
                            cpl_error *err) {
    const cpl_run_options options = {run->interval_ms, run->unclaimed_ms};
    cpl_json *answer = NULL;
    cpl_status status;
    cpl_error own;
    *out = NULL;
    err = err ? err : &own;
    status = roll_back(run, stage, target, wait, &answer, err);
    if (status == CPL_OK) status = run_new(out, run->client, cpl_str_of(run->pipeline), &options, err);
    if (status == CPL_OK) {
        (*out)->started_ms = cpl_clock_monotonic_ms();
        (*out)->acted = cpl_watch_now(run->client->watch);
        status = set_id(*out, cpl_json_get_str(answer, "pipelineExecutionId"), err);
    }
    if (status) {
        cpl_run_free(*out);
        *out = NULL;
    }
    cpl_json_free(answer);
    return status;
}
