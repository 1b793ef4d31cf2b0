/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdarg.h>

#include "engine.h"
#include "snapshot.h"

/*
 * What must stand in a document of each table, as a table of our own: a path, what is there (s: text, n: number,
 * i: a small whole number, b: boolean, [ and {), a ? when it may be absent, and the words that it may be. In a path,
 * [] stands for every item and {} for every member. Members that are not named here may be anything: nobody relies on
 * them.
 */

#define EXECUTIONS "InProgress|Stopping|Stopped|Succeeded|Superseded|Failed|Cancelled"
#define STAGES "InProgress|Succeeded|Failed|Stopped|Skipped|Cancelled"
#define ACTIONS "InProgress|Succeeded|Failed|Abandoned"
#define JOBS "Queued|Dispatched|InProgress|TimedOut|Succeeded|Failed"
#define ARTIFACTS(at) \
    at " [", at "[] {", at "[].name s", at "[].s3location {", at "[].s3location.bucket s", at "[].s3location.key s"
#define PLACES(at) at " [", at "[] {", at "[].bucket s", at "[].key s"

static const char *const pipeline_rules[] = {"arn s", "created n", "updated n", "latest i", "versions {", NULL};
/* What the model leaves open and CreatePipeline fills in. */
static const char *const completed_rules[] = {"versions{}.version i",
                                              "versions{}.pipelineType s",
                                              "versions{}.executionMode s",
                                              "versions{}.stages[].actions[].runOrder i",
                                              "versions{}.stages[].actions[].configuration {",
                                              "versions{}.stages[].actions[].inputArtifacts [",
                                              "versions{}.stages[].actions[].outputArtifacts [",
                                              NULL};
static const char *const type_rules[] = {"actionType {", "arn s?", "deleted b?", "declaration {?", NULL};
static const char *const execution_rules[] = {
    "id s", "pipeline s", "version i", "number n", "mode s SUPERSEDED|QUEUED|PARALLEL", "status s " EXECUTIONS,
    "started n", "updated n", "stage s", "waiting b", "type s? ROLLBACK", "target s?", "requestToken s?",
    "statusSummary s?", "trigger {", "trigger.triggerType s", "trigger.triggerDetail s", "stop {?", "stop.reason s?",
    "pushed {?", "pushed.action s", "pushed.revisionId s", "pushed.revisionChangeId s", "git {?", "git.action s",
    "git.repository s", "git.branch s?", "git.tag s?", "git.event s? OPEN|UPDATED|CLOSED", "git.target s?",
    "git.commit s", "git.message s", "git.provider s", "git.time n", "git.artifact {?", "git.artifact.bucket s",
    "git.artifact.key s",
    /* stages */
    "stages {", "stages{} {", "stages{}.status s " STAGES, "stages{}.order n", "stages{}.started n?",
    "stages{}.resumed n?", "stages{}.retries n?", "stages{}.autoRetries n?", "stages{}.lastRetry s?",
    "stages{}.actions {", "stages{}.actions{} s", "stages{}.conditions {?", "stages{}.conditions{} {",
    "stages{}.conditions{}.status s", "stages{}.conditions{}.at n", "stages{}.conditions{}.summary s?",
    /* action executions */
    "actions [", "actions[] {", "actions[].id s", "actions[].executionId s", "actions[].order n", "actions[].stage s",
    "actions[].action s", "actions[].status s " ACTIONS, "actions[].started n", "actions[].updated n",
    "actions[].version i", "actions[].input {", "actions[].input.actionTypeId {",
    "actions[].input.actionTypeId.category s", "actions[].input.actionTypeId.owner s",
    "actions[].input.actionTypeId.provider s", "actions[].input.actionTypeId.version s", "actions[].input.region s",
    "actions[].input.roleArn s?", "actions[].input.namespace s?", "actions[].input.configuration {?",
    "actions[].input.configuration{} s", "actions[].input.resolvedConfiguration {?",
    "actions[].input.resolvedConfiguration{} s", ARTIFACTS("actions[].input.inputArtifacts"),
    ARTIFACTS("actions[].outputArtifacts"), "actions[].outputVariables {?", "actions[].outputVariables{} s",
    "actions[].error {?", "actions[].error.code s", "actions[].error.message s?", "actions[].summary s?",
    "actions[].externalExecutionId s?", "actions[].percentComplete n?", "actions[].token s?", "actions[].jobId s?",
    "actions[].deadline n?", "actions[].scriptDue n?", "actions[].script {?",
    "actions[].script.outcome s succeed|fail|wait", "actions[].script.artifacts {?", "actions[].script.artifacts{} s",
    "actions[].script.output_variables {?", "actions[].script.output_variables{} s", "actions[].updatedBy s?",
    "actions[].revision {?", "actions[].revision.revisionId s", "actions[].revision.revisionChangeId s?",
    "actions[].revision.created n",
    /* what they made */
    "variables [", "variables[] {", "variables[].name s", "variables[].resolvedValue s?", "overrides {",
    "overrides{} {", "artifacts {", "artifacts{} {", "artifacts{}.bucket s", "artifacts{}.key s",
    "artifacts{}.revision s?", "namespaces {", "namespaces{} {", "namespaces{}.{} s", "artifactRevisions [",
    "artifactRevisions[] {", "artifactRevisions[].name s", "sourceRevisions [", "sourceRevisions[] {",
    "sourceRevisions[].actionName s", "sourceRevisions[].revisionId s?",
    /* conditions */
    "rules [?", "rules[] {", "rules[].id s", "rules[].order n", "rules[].stage s", "rules[].condition s",
    "rules[].rule s", "rules[].status s InProgress|Succeeded|Failed|Abandoned", "rules[].started n",
    "rules[].updated n", "rules[].input {", "rules[].input.ruleTypeId {", "rules[].input.ruleTypeId.provider s",
    "rules[].input.region s", ARTIFACTS("rules[].input.inputArtifacts"), "rules[].jobId s?", "rules[].deadline n?",
    "rules[].scriptDue n?", "rules[].script {?", "rules[].script.outcome s succeed|fail|wait", NULL};
static const char *const job_rules[] = {
    "id s",      "type s",      "status s " JOBS, "nonce s?",  "executionId s",        "actionExecutionId s",
    "lapses n?", "deadline n?", "query {",        "query{} s", "continuationToken s?", "invoked b?",
    "result s?", "function s?", "due n?",         NULL};
static const char *const grant_rules[] = {"secret s",         "token s",      "expires n",     "jobId s",
                                          "encryptionKey s?", PLACES("read"), PLACES("write"), NULL};
static const char *const transition_rules[] = {"Inbound {?",
                                               "Inbound.enabled b",
                                               "Inbound.lastChangedBy s",
                                               "Inbound.lastChangedAt n",
                                               "Inbound.disabledReason s?",
                                               "Outbound {?",
                                               "Outbound.enabled b",
                                               NULL};
static const char *const bucket_rules[] = {"created n", "versioning s?", NULL};
static const char *const object_rules[] = {"modified n", "size n",      "etag s", "versionId s?",
                                           "headers {?", "headers{} s", NULL};
static const char *const upload_rules[] = {
    "bucket s",  "key s",          "started n",      "object {",           "parts {",
    "parts{} {", "parts{}.etag s", "parts{}.size n", "parts{}.modified n", NULL};
static const char *const tag_rules[] = {"tags [", "tags[] {", "tags[].key s", "tags[].value s", NULL};
static const char *const version_rules[] = {"modified n",   "deleteMarker b?", "size n?",     "etag s?",
                                            "versionId s?", "headers {?",      "headers{} s", NULL};
static const char *const webhook_rules[] = {"definition {", "arn s",           "token s", "lastTriggered n?",
                                            "errorCode s?", "errorMessage s?", NULL};

static const struct {
    const char *list;
    const char *const *rules;
    const char *id; /* the member that is the key; NULL: another says so, or none */
} tables[] = {
    [EMU_META] = {"meta", NULL, NULL},
    [EMU_PIPELINE] = {"pipelines", pipeline_rules, NULL},
    [EMU_ACTION_TYPE] = {"actionTypes", type_rules, NULL},
    [EMU_EXECUTION] = {"executions", execution_rules, "id"},
    [EMU_JOB] = {"jobs", job_rules, "id"},
    [EMU_GRANT] = {"grants", grant_rules, NULL},
    [EMU_TRANSITION] = {"transitions", transition_rules, NULL},
    [EMU_BUCKET] = {"buckets", bucket_rules, NULL},
    [EMU_OBJECT] = {"objects", object_rules, NULL},
    [EMU_UPLOAD] = {"uploads", upload_rules, NULL},
    [EMU_TAG] = {"tags", tag_rules, NULL},
    [EMU_VERSION] = {"versions", version_rules, NULL},
    [EMU_WEBHOOK] = {"webhooks", webhook_rules, NULL},
    [EMU_TABLE_COUNT] = {"blobs", NULL, NULL},
};
_Static_assert(CPL_COUNT(tables) == EMU_TABLE_COUNT + 1, "every table has a list");

const char *emu_snapshot_list(size_t table) {
    return tables[table].list;
}

/* ---- the place at hand ---- */

typedef struct checker {
    char path[256];
    size_t n;
    cpl_error *err;
    emu_index keys[EMU_TABLE_COUNT + 1]; /* what is in each list: key -> document */
} checker;

/* Goes down; the answer is for up(). What does not fit is cut. */
static size_t down(checker *c, const char *format, ...) CPL_PRINTF(2, 3);
static size_t down(checker *c, const char *format, ...) {
    char text[sizeof c->path];
    size_t before = c->n;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cpl_copy_text(c->path + before, sizeof c->path - before, cpl_str_of(text));
    c->n = strlen(c->path);
    return before;
}

static size_t down_to(checker *c, const char *name) {
    return down(c, "%s%s", c->n > 0 ? "." : "", name);
}

static void up(checker *c, size_t before) {
    c->n = before;
    c->path[before] = '\0';
}

static cpl_status wrong(const checker *c, const char *format, ...) CPL_PRINTF(2, 3);
static cpl_status wrong(const checker *c, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return cpl_fail_at(c->err, CPL_INVALID, c->path, "%s: %s", c->path, text);
}

/* ---- rules ---- */

typedef struct rule {
    char kind;
    bool optional;
    const char *words; /* "One|Two"; NULL: any text */
} rule;

static bool is_word(const char *words, cpl_str text) {
    for (cpl_str rest = cpl_str_of(words); rest.n > 0;) {
        size_t bar = cpl_str_find(rest, '|');
        if (cpl_str_eq(cpl_str_sub(rest, 0, bar), text)) return true;
        rest = cpl_str_sub(rest, bar + 1, rest.n);
    }
    return false;
}

static cpl_status check_number(const checker *c, double number, bool small) {
    if (small && (number < 0 || number > 1e9 || number != floor(number)))
        return wrong(c, "not a whole number below 1e9");
    return fabs(number) < 9e15 ? CPL_OK : wrong(c, "too large a number");
}

static cpl_status check_value(const checker *c, const rule *r, const cpl_json *value) {
    static const char kinds[] = {'0', 'b', 'n', 's', '[', '{'}; /* as in cpl_json_kind */
    static const char *const names[] = {"null", "a boolean", "a number", "text", "a list", "an object"};
    char want = r->kind == 'i' ? 'n' : r->kind;
    const char *name = names[strchr("0bns[{", want) - "0bns[{"];
    if (kinds[cpl_json_kind_of(value)] != want) return wrong(c, "not %s", name);
    if (want == 'n') return check_number(c, cpl_json_number(value, 0), r->kind == 'i');
    if (r->words && !is_word(r->words, cpl_json_str(value))) return wrong(c, "not one of %s", r->words);
    return CPL_OK;
}

/* The member of at, with an empty object made a list if that is what it should be; *missing: nothing is there. */
static cpl_status find_member(const checker *c, cpl_json *at, const char *name, const rule *r, cpl_json **out) {
    *out = cpl_json_get(at, name);
    if (*out == NULL && !r->optional) return wrong(c, "missing");
    if (r->kind != '[' || *out == NULL || cpl_json_kind_of(*out) != CPL_JSON_OBJECT || cpl_json_count(*out) > 0)
        return CPL_OK;
    if (!cpl_json_set(at, name, cpl_json_new_array())) return cpl_fail_nomem(c->err);
    *out = cpl_json_get(at, name);
    return CPL_OK;
}

static cpl_status check_path(checker *c, cpl_json *at, cpl_str path, const rule *r);

static cpl_status check_each(checker *c, cpl_json *all, bool items, cpl_str rest, const rule *r) {
    cpl_status status = CPL_OK;
    int n = 0;
    if (cpl_json_kind_of(all) != (items ? CPL_JSON_ARRAY : CPL_JSON_OBJECT))
        return wrong(c, items ? "not a list" : "not an object");
    for (cpl_json *i = cpl_json_first(all); i && status == CPL_OK; i = cpl_json_next(i)) {
        size_t before = items ? down(c, "[%d]", n++) : down(c, ".%s", cpl_json_key(i).p);
        status = rest.n > 0 ? check_path(c, i, rest, r) : check_value(c, r, i);
        up(c, before);
    }
    return status;
}

/* The containers on the way were checked by the rules before. */
static cpl_status check_path(checker *c, cpl_json *at, cpl_str path, const rule *r) {
    size_t dot = cpl_str_find(path, '.'), before = c->n;
    cpl_str step = cpl_str_sub(path, 0, dot), rest = cpl_str_sub(path, dot + 1, path.n);
    bool items = cpl_str_ends(step, "[]"), members = cpl_str_ends(step, "{}");
    cpl_json *child = at;
    cpl_status status = CPL_OK;
    char name[64];
    CPL_COPY(name, cpl_str_sub(step, 0, step.n - (items || members ? 2 : 0)));
    if (name[0]) {
        down_to(c, name);
        if (items || members || rest.n > 0)
            child = cpl_json_get(at, name);
        else
            status = find_member(c, at, name, r, &child);
    }
    if (status == CPL_OK && child && (items || members))
        status = check_each(c, child, items, rest, r);
    else if (status == CPL_OK && child)
        status = rest.n > 0 ? check_path(c, child, rest, r) : check_value(c, r, child);
    up(c, before);
    return status;
}

static cpl_status check_rules(checker *c, cpl_json *document, const char *const *rules) {
    cpl_status status = CPL_OK;
    for (; rules && *rules && status == CPL_OK; rules++) {
        cpl_str text = cpl_str_of(*rules);
        size_t space = cpl_str_find(text, ' ');
        rule r = {.kind = text.p[space + 1], .optional = text.p[space + 1] && text.p[space + 2] == '?'};
        const char *words = strchr(text.p + space + 1, ' ');
        r.words = words ? words + 1 : NULL;
        status = check_path(c, document, cpl_str_sub(text, 0, space), &r);
    }
    return status;
}

/* ---- what the model describes ---- */

/* The model words it with the path below here in front. */
static cpl_status wrong_shape(checker *c, const cpl_error *found) {
    size_t n = strlen(found->path);
    if (n == 0) return wrong(c, "%s", found->message);
    down_to(c, found->path);
    return wrong(c, "%s", strncmp(found->message, found->path, n) == 0 ? found->message + n + 2 : found->message);
}

/* In text, which may change where an empty object should be a list. */
static cpl_status validate(checker *c, cpl_buf *text, const char *shape) {
    cpl_error found;
    cpl_status status =
        cpl_model_validate(text->p, text->n, cpl_model_shape_named(shape), CPL_CHECK_EMPTY_TABLES, &found);
    return status == CPL_INVALID ? wrong_shape(c, &found) : status ? cpl_fail_nomem(c->err) : CPL_OK;
}

/* The member as the model's shape; made anew if an empty object in it should be a list. */
static cpl_status check_shape(checker *c, cpl_json *at, const char *name, const char *shape) {
    cpl_json *fresh = NULL;
    cpl_status status;
    cpl_buf before, text;
    size_t here = down(c, ".%s", name);
    cpl_buf_init(&before, SIZE_MAX / 4);
    cpl_buf_init(&text, SIZE_MAX / 4);
    cpl_json_write(cpl_json_get(at, name), &before);
    cpl_buf_addv(&text, cpl_buf_str(&before));
    status = cpl_buf_status(cpl_buf_ok(&before) ? &text : &before, "a document", c->err);
    if (status == CPL_OK) status = validate(c, &text, shape);
    if (status == CPL_OK && !cpl_str_eq(cpl_buf_str(&before), cpl_buf_str(&text))) {
        status = cpl_json_parse(cpl_buf_str(&text), &fresh, c->err);
        if (status == CPL_OK && !cpl_json_set(at, name, fresh)) status = cpl_fail_nomem(c->err);
    }
    cpl_buf_release(&before);
    cpl_buf_release(&text);
    up(c, here);
    return status;
}

static cpl_status check_versions(checker *c, cpl_json *versions) {
    cpl_status status = CPL_OK;
    const cpl_json *next = cpl_json_first(versions);
    for (size_t n = cpl_json_count(versions); n > 0 && status == CPL_OK; n--) {
        char name[64]; /* a version that is made anew goes to the end */
        CPL_COPY(name, cpl_json_key(next));
        next = cpl_json_next(next);
        status = check_shape(c, versions, name, "PipelineDeclaration");
    }
    return status;
}

/* A version says itself which one it is, and of which pipeline. */
static cpl_status check_names(checker *c, const cpl_json *versions, const char *pipeline) {
    for (const cpl_json *i = cpl_json_first(versions); i; i = cpl_json_next(i)) {
        int64_t number;
        size_t before = down(c, ".%s", cpl_json_key(i).p);
        if (!cpl_str_integer(cpl_json_key(i), &number) || (double)number != cpl_json_get_number(i, "version", 0))
            return wrong(c, "does not have the version it stands for");
        if (!emu_is(i, "name", pipeline)) return wrong(c, "is of another pipeline");
        up(c, before);
    }
    return CPL_OK;
}

static cpl_status check_pipeline(checker *c, cpl_json *document, const char *key) {
    size_t before = down(c, ".versions");
    cpl_status status = check_versions(c, cpl_json_get(document, "versions"));
    up(c, before);
    if (status == CPL_OK) status = check_rules(c, document, completed_rules);
    if (status) return status;
    before = down(c, ".versions");
    status = check_names(c, cpl_json_get(document, "versions"), key);
    up(c, before);
    if (status) return status;
    before = down(c, ".latest");
    if (emu_pipeline_latest(document) == NULL) return wrong(c, "names no version");
    up(c, before);
    return CPL_OK;
}

static cpl_status check_contents(checker *c, emu_table table, cpl_json *document, const char *key) {
    if (table == EMU_PIPELINE) return check_pipeline(c, document, key);
    if (table == EMU_ACTION_TYPE) return check_shape(c, document, "actionType", "ActionType");
    if (table == EMU_WEBHOOK) return check_shape(c, document, "definition", "WebhookDefinition");
    return CPL_OK;
}

/* ---- lists ---- */

static cpl_status check_document(checker *c, size_t table, const char *key, cpl_json *document) {
    const char *id = tables[table].id;
    cpl_status status = CPL_OK;
    down(c, ".document");
    status = check_rules(c, document, tables[table].rules);
    if (status == CPL_OK) status = check_contents(c, (emu_table)table, document, key);
    if (status == CPL_OK && id && !emu_is(document, id, key)) {
        down(c, ".%s", id);
        status = wrong(c, "not the key");
    }
    return status;
}

static cpl_status check_key(checker *c, size_t table, cpl_json *entry) {
    static const rule text = {.kind = 's'};
    cpl_status status = check_path(c, entry, CPL_LIT("key"), &text);
    if (status) return status;
    if (emu_index_get(&c->keys[table], EMU_GET(entry, "key")) == NULL) return CPL_OK;
    down(c, ".key");
    return wrong(c, "stands twice");
}

static cpl_status check_entry(checker *c, size_t table, cpl_json *entry) {
    const rule kind = {.kind = table == EMU_TABLE_COUNT ? 's' : '{'};
    const char *name = kind.kind == 's' ? "base64" : "document", *key = EMU_GET(entry, "key");
    cpl_status status = check_key(c, table, entry);
    if (status == CPL_OK) status = check_path(c, entry, cpl_str_of(name), &kind);
    if (status == CPL_OK && !emu_index_set(&c->keys[table], key, cpl_json_get(entry, name)))
        status = cpl_fail_nomem(c->err);
    if (status || kind.kind == 's') return status;
    return check_document(c, table, key, cpl_json_get(entry, name));
}

static cpl_status check_list(checker *c, size_t table, cpl_json *state) {
    static const rule list = {.kind = '[', .optional = true}, object = {.kind = '{'};
    cpl_status status = check_path(c, state, cpl_str_of(tables[table].list), &list);
    int n = 0;
    for (cpl_json *i = cpl_json_first(cpl_json_get(state, tables[table].list)); i && status == CPL_OK;
         i = cpl_json_next(i), n++) {
        down(c, "%s[%d]", tables[table].list, n);
        status = check_value(c, &object, i);
        if (status == CPL_OK) status = check_entry(c, table, i);
        up(c, 0);
    }
    return status;
}

/* ---- what refers to what ---- */

static cpl_json *document_of(checker *c, emu_table table, const char *key) {
    return emu_index_get(&c->keys[table], key);
}

/* The engine starts what has no action execution, and would go on for ever with one that is named and not there. */
static cpl_status check_started(checker *c, const cpl_json *document, const cpl_json *stage) {
    size_t before = down(c, ".stages.%s.actions", cpl_json_key(stage).p);
    for (const cpl_json *i = cpl_json_first(cpl_json_get(stage, "actions")); i; i = cpl_json_next(i)) {
        if (emu_record_get(document, cpl_json_cstr(i, ""))) continue;
        down(c, ".%s", cpl_json_key(i).p);
        return wrong(c, "no such action execution");
    }
    up(c, before);
    return CPL_OK;
}

static cpl_status check_stages(checker *c, const cpl_json *document) {
    cpl_status status = CPL_OK;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(document, "stages")); i && status == CPL_OK;
         i = cpl_json_next(i)) {
        status = check_started(c, document, i);
    }
    return status;
}

static cpl_status check_execution_refers(checker *c, const cpl_json *document) {
    const cpl_json *pipeline = document_of(c, EMU_PIPELINE, EMU_GET(document, "pipeline")), *declared;
    const char *stage = EMU_GET(document, "stage");
    size_t before = down(c, ".pipeline");
    if (pipeline == NULL) return wrong(c, "no such pipeline in this state");
    up(c, before);
    before = down(c, ".version");
    declared = emu_pipeline_version(pipeline, (int)cpl_json_get_number(document, "version", 0));
    if (declared == NULL) return wrong(c, "no such version of the pipeline");
    up(c, before);
    before = down(c, ".stage");
    if (emu_find(cpl_json_get(declared, "stages"), "name", stage) == NULL)
        return wrong(c, "no such stage in that version of the pipeline");
    up(c, before);
    if (emu_execution_over(document) || cpl_json_get_bool(document, "waiting", false) ||
        cpl_json_get(cpl_json_get(document, "stages"), stage))
        return check_stages(c, document);
    down(c, ".stages.%s", stage);
    return wrong(c, "missing, and the execution is in this stage");
}

static cpl_status check_job_refers(checker *c, const cpl_json *document) {
    const cpl_json *execution = document_of(c, EMU_EXECUTION, EMU_GET(document, "executionId"));
    size_t before = down(c, ".executionId");
    if (execution == NULL) return wrong(c, "no such execution in this state");
    up(c, before);
    down(c, ".actionExecutionId");
    if (emu_record_get(execution, EMU_GET(document, "actionExecutionId"))) return CPL_OK;
    return wrong(c, "no such action in that execution");
}

static cpl_status check_bytes(checker *c, const char *key) {
    return emu_index_get(&c->keys[EMU_TABLE_COUNT], key) ? CPL_OK : wrong(c, "no such bytes in blobs");
}

static cpl_status check_upload_refers(checker *c, const cpl_json *document, const char *id) {
    cpl_status status = CPL_OK;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(document, "parts")); i && status == CPL_OK;
         i = cpl_json_next(i)) {
        char key[160];
        size_t before = down(c, ".parts.%s", cpl_json_key(i).p);
        snprintf(key, sizeof key, "upload/%s/%s", id, cpl_json_key(i).p);
        status = check_bytes(c, key);
        up(c, before);
    }
    return status;
}

static cpl_status check_document_refers(checker *c, size_t table, const char *key, const cpl_json *document) {
    down(c, ".document");
    if (table == EMU_EXECUTION) return check_execution_refers(c, document);
    if (table == EMU_JOB) return check_job_refers(c, document);
    if (table == EMU_UPLOAD) return check_upload_refers(c, document, key);
    if (table == EMU_OBJECT) return check_bytes(c, key);
    if (table == EMU_VERSION && !cpl_json_get_bool(document, "deleteMarker", false)) return check_bytes(c, key);
    return CPL_OK;
}

static cpl_status check_refers(checker *c, size_t table, const cpl_json *state) {
    cpl_status status = CPL_OK;
    int n = 0;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(state, tables[table].list)); i && status == CPL_OK;
         i = cpl_json_next(i), n++) {
        down(c, "%s[%d]", tables[table].list, n);
        status = check_document_refers(c, table, EMU_GET(i, "key"), cpl_json_get(i, "document"));
        up(c, 0);
    }
    return status;
}

/* ---- the whole ---- */

static cpl_status check_head(checker *c, cpl_json *state) {
    static const char *const rules[] = {"format s codepipeline-emulator",
                                        "version n",
                                        "region s",
                                        "account s",
                                        "clock {",
                                        "clock.now n",
                                        "clock.frozen b",
                                        NULL};
    static const char *const names[] = {"format", "version", "region", "account", "clock"};
    for (const cpl_json *i = cpl_json_first(state); i; i = cpl_json_next(i)) {
        cpl_str key = cpl_json_key(i);
        bool known = false;
        for (size_t k = 0; k < CPL_COUNT(names); k++) known = known || cpl_str_is(key, names[k]);
        for (size_t k = 0; k < CPL_COUNT(tables); k++) known = known || cpl_str_is(key, tables[k].list);
        if (known) continue;
        down(c, "%s", key.n > 0 ? key.p : "\"\"");
        return wrong(c, "unknown");
    }
    if (cpl_json_kind_of(state) != CPL_JSON_OBJECT) return cpl_fail(c->err, CPL_INVALID, "the state is not an object");
    return check_rules(c, state, rules);
}

/* A later version may have what this one does not know. */
static cpl_status check_version(checker *c, const cpl_json *state) {
    double version = cpl_json_get_number(state, "version", 0);
    if (version == EMU_SNAPSHOT_VERSION) return CPL_OK;
    down_to(c, "version");
    return wrong(c, "%g, and this reads %d", version, EMU_SNAPSHOT_VERSION);
}

static void release(checker *c) {
    for (size_t i = 0; i < CPL_COUNT(tables); i++) emu_index_release(&c->keys[i], NULL);
}

cpl_status emu_snapshot_check(cpl_json *state, cpl_error *err) {
    checker c = {.err = err};
    cpl_status status = check_head(&c, state);
    if (status == CPL_OK) status = check_version(&c, state);
    for (size_t i = 0; i < CPL_COUNT(tables) && status == CPL_OK; i++) status = check_list(&c, i, state);
    for (size_t i = 0; i < EMU_TABLE_COUNT && status == CPL_OK; i++) status = check_refers(&c, i, state);
    release(&c);
    return status;
}

/* ---- a file ---- */

static cpl_status index_store(checker *c, emu_store *store) {
    const char *key;
    for (size_t table = 0; table < EMU_TABLE_COUNT; table++) {
        cpl_json *document;
        for (size_t i = 0; (document = emu_store_at(store, (emu_table)table, i, &key)) != NULL; i++) {
            if (!emu_index_set(&c->keys[table], key, document)) return cpl_fail_nomem(c->err);
        }
    }
    for (size_t i = 0; emu_blob_at(store, i, &key).p; i++) {
        if (!emu_index_set(&c->keys[EMU_TABLE_COUNT], key, store)) return cpl_fail_nomem(c->err);
    }
    return CPL_OK;
}

static cpl_status check_table(checker *c, emu_store *store, size_t table, bool refers) {
    cpl_status status = CPL_OK;
    const char *key;
    cpl_json *document;
    for (size_t i = 0; status == CPL_OK && (document = emu_store_at(store, (emu_table)table, i, &key)) != NULL; i++) {
        down(c, "%s[%zu]", tables[table].list, i);
        status = refers ? check_document_refers(c, table, key, document) : check_document(c, table, key, document);
        up(c, 0);
    }
    return status;
}

cpl_status emu_snapshot_check_store(emu_store *store, cpl_error *err) {
    checker c = {.err = err};
    cpl_status status = index_store(&c, store);
    for (size_t i = 0; i < EMU_TABLE_COUNT && status == CPL_OK; i++) status = check_table(&c, store, i, false);
    for (size_t i = 0; i < EMU_TABLE_COUNT && status == CPL_OK; i++) status = check_table(&c, store, i, true);
    release(&c);
    return status;
}
