/* SPDX-License-Identifier: MIT */
#include "engine.h"

#define PIPELINES_MAX 1000

/* ---- look-ups ---- */

cpl_json *emu_pipeline_need(emu_call *call, const char *name) {
    cpl_json *document = emu_store_get(emu_store_of(call->e), EMU_PIPELINE, name);
    if (document == NULL) {
        emu_refuse(call, "PipelineNotFoundException", "Account '%s' does not have a pipeline with name '%s'",
                   emu_account_id(call->e), name);
    }
    return document;
}

cpl_json *emu_pipeline_version(const cpl_json *document, int version) {
    char key[16];
    snprintf(key, sizeof key, "%d", version);
    return cpl_json_get(cpl_json_get(document, "versions"), key);
}

cpl_json *emu_pipeline_latest(const cpl_json *document) {
    return emu_pipeline_version(document, (int)cpl_json_get_number(document, "latest", 0));
}

cpl_json *emu_stage_need(emu_call *call, const cpl_json *document, const char *stage) {
    const cpl_json *latest = emu_pipeline_latest(document);
    cpl_json *found = emu_find(cpl_json_get(latest, "stages"), "name", stage);
    if (found == NULL) {
        emu_refuse(call, "StageNotFoundException", "Pipeline '%s' does not have a stage with name '%s'",
                   EMU_GET(latest, "name"), stage);
    }
    return found;
}

const cpl_json *emu_pipeline_store(const emu *e, const cpl_json *pipeline, const char *region) {
    const cpl_json *many = cpl_json_get(pipeline, "artifactStores");
    if (region == NULL) region = emu_region(e);
    if (many) return cpl_json_get(many, region);
    return strcmp(region, emu_region(e)) == 0 ? cpl_json_get(pipeline, "artifactStore") : NULL;
}

/* ---- declarations ---- */

static bool set_default(cpl_json *object, const char *key, cpl_json *value) {
    if (cpl_json_get(object, key) == NULL) return cpl_json_set(object, key, value);
    cpl_json_free(value);
    return true;
}

static bool complete_action(cpl_json *action) {
    return set_default(action, "runOrder", cpl_json_new_number(1)) &&
           set_default(action, "configuration", cpl_json_new_object()) &&
           set_default(action, "outputArtifacts", cpl_json_new_array()) &&
           set_default(action, "inputArtifacts", cpl_json_new_array());
}

static bool complete(cpl_json *pipeline, int version) {
    for (const cpl_json *i = cpl_json_first(cpl_json_get(pipeline, "stages")); i; i = cpl_json_next(i)) {
        for (cpl_json *j = cpl_json_first(cpl_json_get(i, "actions")); j; j = cpl_json_next(j)) {
            if (!complete_action(j)) return false;
        }
    }
    return set_default(pipeline, "pipelineType", cpl_json_new_string(CPL_LIT("V1"))) &&
           set_default(pipeline, "executionMode", cpl_json_new_string(CPL_LIT("SUPERSEDED"))) &&
           cpl_json_set_number(pipeline, "version", version);
}

/* The declaration as it is shown: without secrets. NULL: out of memory. */
static cpl_json *shown(const emu_engine *engine, const cpl_json *pipeline) {
    cpl_json *copy = cpl_json_clone(pipeline);
    for (const cpl_json *i = cpl_json_first(cpl_json_get(copy, "stages")); i; i = cpl_json_next(i)) {
        for (cpl_json *j = cpl_json_first(cpl_json_get(i, "actions")); j; j = cpl_json_next(j)) {
            cpl_json *masked = emu_kind_mask(engine, cpl_json_get(j, "actionTypeId"), cpl_json_get(j, "configuration"));
            if (cpl_json_set(j, "configuration", masked)) continue;
            cpl_json_free(copy);
            return NULL;
        }
    }
    return copy;
}

static bool restore_secret(cpl_json *configuration, const cpl_json *old, const emu_kind *kind) {
    const cpl_json *properties = cpl_json_get(kind->type, "actionConfigurationProperties");
    for (const cpl_json *i = cpl_json_first(properties); i; i = cpl_json_next(i)) {
        const char *name = EMU_GET(i, "name");
        if (!cpl_json_get_bool(i, "secret", false) || !emu_is(configuration, name, "****")) continue;
        if (!emu_copy(configuration, name, old, name)) return false;
    }
    return true;
}

/* Where an edited declaration says "****", the secret stays as it was. */
static bool restore_secrets(const emu_engine *engine, cpl_json *pipeline, const cpl_json *old) {
    for (const cpl_json *i = cpl_json_first(cpl_json_get(pipeline, "stages")); i; i = cpl_json_next(i)) {
        const cpl_json *stage = emu_find(cpl_json_get(old, "stages"), "name", EMU_GET(i, "name"));
        for (const cpl_json *j = cpl_json_first(cpl_json_get(i, "actions")); j; j = cpl_json_next(j)) {
            const cpl_json *action = emu_find(cpl_json_get(stage, "actions"), "name", EMU_GET(j, "name"));
            emu_kind kind;
            if (action == NULL || !emu_kind_find(engine, cpl_json_get(j, "actionTypeId"), &kind)) continue;
            if (!restore_secret(cpl_json_get(j, "configuration"), cpl_json_get(action, "configuration"), &kind)) {
                return false;
            }
        }
    }
    return true;
}

/*
 * As the console does when it makes a pipeline: the artifact store is there. A name that S3 does not take is no error
 * here, as it is none with the service; the first action that stores something finds out.
 */
static void make_buckets(emu *e, const cpl_json *pipeline) {
    const cpl_json *one = cpl_json_get(pipeline, "artifactStore");
    if (one) emu_s3_create_bucket(e, EMU_GET(one, "location"));
    for (const cpl_json *i = cpl_json_first(cpl_json_get(pipeline, "artifactStores")); i; i = cpl_json_next(i)) {
        emu_s3_create_bucket(e, EMU_GET(i, "location"));
    }
}

/* ---- CreatePipeline ---- */

static void arn_of(const emu *e, const char *name, cpl_buf *out) {
    cpl_buf_addf(out, "arn:aws:codepipeline:%s:%s:%s", emu_region(e), emu_account_id(e), name);
}

static cpl_json *new_document(const emu *e, const cpl_json *pipeline) {
    cpl_json *document = cpl_json_new_object(), *versions = emu_object_at(document, "versions");
    cpl_buf arn;
    double now = emu_now_s(e);
    bool good;
    cpl_buf_init(&arn, 512);
    arn_of(e, EMU_GET(pipeline, "name"), &arn);
    good = cpl_json_set_str(document, "arn", cpl_buf_str(&arn)) && cpl_json_set_number(document, "created", now) &&
           cpl_json_set_number(document, "updated", now) && cpl_json_set_number(document, "latest", 1) &&
           cpl_json_set(versions, "1", cpl_json_clone(pipeline));
    cpl_buf_release(&arn);
    if (good) return document;
    cpl_json_free(document);
    return NULL;
}

static bool check_new(emu_call *call, const char *name) {
    emu_store *store = emu_store_of(call->e);
    if (emu_store_get(store, EMU_PIPELINE, name)) {
        return emu_refuse(call, "PipelineNameInUseException",
                          "A pipeline with the name '%s' already exists in account '%s'", name,
                          emu_account_id(call->e));
    }
    if (emu_store_size(store, EMU_PIPELINE) >= PIPELINES_MAX) {
        return emu_refuse(call, "LimitExceededException", "Account '%s' has reached the limit of %d pipelines",
                          emu_account_id(call->e), PIPELINES_MAX);
    }
    return true;
}

static bool keep_new(emu_call *call, const cpl_json *pipeline) {
    emu_engine *engine = emu_engine_of(call->e);
    const cpl_json *tags = cpl_json_get(call->in, "tags");
    const char *name = EMU_GET(pipeline, "name");
    cpl_json *document = new_document(call->e, pipeline);
    cpl_buf owner;
    bool good;
    if (!emu_store_put(emu_store_of(call->e), EMU_PIPELINE, name, document)) return emu_nomem(call);
    make_buckets(call->e, pipeline);
    if (!emu_tags_put(call, EMU_GET(document, "arn"), tags)) return false;
    cpl_buf_init(&owner, 256);
    emu_owner_arn(call->e, &owner);
    good =
        emu_execution_start(engine, name, &(emu_start){.trigger = "CreatePipeline", .detail = cpl_buf_cstr(&owner)}) &&
        cpl_json_set(call->out, "pipeline", shown(engine, pipeline)) && emu_copy(call->out, "tags", call->in, "tags");
    cpl_buf_release(&owner);
    return good || emu_nomem(call);
}

static bool create_pipeline(emu_call *call) {
    cpl_json *pipeline = cpl_json_clone(cpl_json_get(call->in, "pipeline"));
    bool good;
    if (!complete(pipeline, 1))
        good = emu_nomem(call);
    else {
        good = check_new(call, EMU_GET(pipeline, "name")) && emu_structure_check(call, pipeline) &&
               emu_tags_check(call, cpl_json_get(call->in, "tags"), NULL) && keep_new(call, pipeline);
    }
    cpl_json_free(pipeline);
    return good;
}

/* ---- UpdatePipeline ---- */

/* Those of stages that are not among stages, which may be NULL. */
static void forget_transitions(emu_store *store, const char *name, const cpl_json *stages) {
    size_t n = strlen(name);
    for (size_t i = emu_store_size(store, EMU_TRANSITION); i-- > 0;) {
        const char *key;
        emu_store_at(store, EMU_TRANSITION, i, &key);
        if (strncmp(key, name, n) != 0 || key[n] != ':' || emu_find(stages, "name", key + n + 1)) continue;
        emu_store_delete(store, EMU_TRANSITION, key);
    }
}

/* What waits in front of a stage that is gone fails, and does not wait for a transition that nobody can open. */
static bool keep_version(emu_call *call, cpl_json *document, const cpl_json *pipeline, int version) {
    emu_engine *engine = emu_engine_of(call->e);
    emu_line *line = emu_line_find(engine, EMU_GET(pipeline, "name"));
    char key[16];
    snprintf(key, sizeof key, "%d", version);
    if (!cpl_json_set(cpl_json_get(document, "versions"), key, cpl_json_clone(pipeline)) ||
        !cpl_json_set_number(document, "latest", version) ||
        !cpl_json_set_number(document, "updated", emu_now_s(call->e)) ||
        !cpl_json_set(call->out, "pipeline", shown(engine, pipeline))) {
        return emu_nomem(call);
    }
    make_buckets(call->e, pipeline);
    emu_store_touch(emu_store_of(call->e), EMU_PIPELINE, EMU_GET(pipeline, "name"));
    forget_transitions(emu_store_of(call->e), EMU_GET(pipeline, "name"), cpl_json_get(pipeline, "stages"));
    return line == NULL || emu_line_settle(engine, line) || emu_nomem(call);
}

static bool update_pipeline(emu_call *call) {
    const char *name = EMU_GET(cpl_json_get(call->in, "pipeline"), "name");
    cpl_json *document = emu_store_get(emu_store_of(call->e), EMU_PIPELINE, name), *pipeline;
    int version = (int)cpl_json_get_number(document, "latest", 0) + 1;
    bool good;
    if (document == NULL) { /* the model gives this operation no PipelineNotFoundException */
        return emu_refuse(call, "ValidationException",
                          "The account with id '%s' does not include a pipeline with the name '%s'",
                          emu_account_id(call->e), name);
    }
    pipeline = cpl_json_clone(cpl_json_get(call->in, "pipeline"));
    if (!complete(pipeline, version) ||
        !restore_secrets(emu_engine_of(call->e), pipeline, emu_pipeline_latest(document))) {
        good = emu_nomem(call);
    } else {
        good = emu_structure_check(call, pipeline) && keep_version(call, document, pipeline, version);
    }
    cpl_json_free(pipeline);
    return good;
}

/* ---- GetPipeline, DeletePipeline ---- */

static bool get_pipeline(emu_call *call) {
    const char *name = EMU_GET(call->in, "name");
    const cpl_json *document = emu_pipeline_need(call, name), *pipeline;
    int version = (int)cpl_json_get_number(call->in, "version", cpl_json_get_number(document, "latest", 0));
    cpl_json *metadata;
    if (document == NULL) return false;
    pipeline = emu_pipeline_version(document, version);
    if (pipeline == NULL) {
        return emu_refuse(call, "PipelineVersionNotFoundException", "Pipeline '%s' does not have a version %d", name,
                          version);
    }
    metadata = emu_object_at(call->out, "metadata");
    return (cpl_json_set(call->out, "pipeline", shown(emu_engine_of(call->e), pipeline)) &&
            emu_copy(metadata, "pipelineArn", document, "arn") && emu_copy(metadata, "created", document, "created") &&
            emu_copy(metadata, "updated", document, "updated")) ||
           emu_nomem(call);
}

static bool delete_pipeline(emu_call *call) {
    emu_store *store = emu_store_of(call->e);
    const char *name = EMU_GET(call->in, "name");
    const cpl_json *document = emu_store_get(store, EMU_PIPELINE, name);
    if (document == NULL) return true;
    emu_line_drop(emu_engine_of(call->e), name);
    forget_transitions(store, name, NULL);
    emu_store_delete(store, EMU_TAG, EMU_GET(document, "arn"));
    emu_store_delete(store, EMU_PIPELINE, name);
    return true;
}

/* ---- ListPipelines ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool add_summary(emu_call *call, cpl_json *list, const char *name) {
    const cpl_json *document = emu_store_get(emu_store_of(call->e), EMU_PIPELINE, name);
    const cpl_json *latest = emu_pipeline_latest(document);
    cpl_json *summary = cpl_json_new_object();
    if (emu_copy(summary, "name", latest, "name") && emu_copy(summary, "version", latest, "version") &&
        emu_copy(summary, "pipelineType", latest, "pipelineType") &&
        emu_copy(summary, "executionMode", latest, "executionMode") &&
        emu_copy(summary, "created", document, "created") && emu_copy(summary, "updated", document, "updated")) {
        return cpl_json_push(list, summary);
    }
    cpl_json_free(summary);
    return false;
}

static bool list_names(emu_call *call, const char **names, size_t n, const char *after) {
    cpl_json *list = emu_array_at(call->out, "pipelines");
    size_t from = 0, most = emu_page_size(call, 1000);
    while (from < n && strcmp(names[from], after) <= 0) from++;
    for (size_t i = from; i < n; i++) {
        if (i - from == most) return emu_page_more(call, "", names[i - 1]);
        if (!add_summary(call, list, names[i])) return emu_nomem(call);
    }
    return true;
}

static bool list_pipelines(emu_call *call) {
    emu_store *store = emu_store_of(call->e);
    size_t n = emu_store_size(store, EMU_PIPELINE);
    char after[EMU_PAGE_KEY];
    const char **names;
    bool good;
    if (!emu_page_begin(call, "", after)) return false;
    names = cpl_malloc((n + 1) * sizeof *names);
    if (names == NULL) return emu_nomem(call);
    for (size_t i = 0; i < n; i++) emu_store_at(store, EMU_PIPELINE, i, &names[i]);
    qsort(names, n, sizeof *names, by_name);
    good = list_names(call, names, n, after);
    cpl_free(names);
    return good;
}

const emu_route emu_pipeline_routes[] = {
    {"CreatePipeline", create_pipeline},
    {"UpdatePipeline", update_pipeline},
    {"GetPipeline", get_pipeline},
    {"DeletePipeline", delete_pipeline},
    {"ListPipelines", list_pipelines},
    {"TagResource", emu_tag_resource},
    {"UntagResource", emu_untag_resource},
    {"ListTagsForResource", emu_list_tags_for_resource},
    {NULL, NULL},
};
