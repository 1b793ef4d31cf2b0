/* SPDX-License-Identifier: MIT */
#include "git.h"

#include "../archives.h"
#include "../tree.h"

#define CONTENTS_MAX ((size_t)512 << 20)
#define COMMIT_MAX 100 /* the model's limit for a change's identifier */

typedef struct telling {
    emu *e;
    const cpl_json *in;
    cpl_json *known;  /* "git" of the executions to come, but for what differs from pipeline to pipeline */
    cpl_buf contents; /* a zip archive; empty: nothing came along */
    cpl_json *answer;
    cpl_error *err;
} telling;

/* ---- checking ---- */

/* A name and what it is: 't' a text, '!' one that must be there, 'f' files. */
typedef struct member {
    const char *name;
    char kind;
} member;

/* clang-format off */
static const member push_members[] = {
    {"repository", '!'}, {"branch", 't'}, {"tag", 't'},
    {"commit", 't'}, {"message", 't'}, {"provider", 't'}, {"archive", 't'}, {"files", 'f'}, {NULL, 0}};
static const member pull_members[] = {
    {"repository", '!'}, {"event", '!'}, {"source", '!'}, {"target", '!'},
    {"commit", 't'}, {"message", 't'}, {"provider", 't'}, {"archive", 't'}, {"files", 'f'}, {NULL, 0}};
/* clang-format on */

static cpl_status wrong(const telling *t, const char *name, const char *why) {
    return cpl_fail_at(t->err, CPL_INVALID, name, "%s: %s", name, why);
}

static cpl_status check_known(const telling *t, const member *members) {
    for (const cpl_json *i = cpl_json_first(t->in); i; i = cpl_json_next(i)) {
        const member *m = members;
        while (m->name && !cpl_str_is(cpl_json_key(i), m->name)) m++;
        if (m->name == NULL)
            return wrong(t, cpl_json_key(i).n > 0 ? cpl_json_key(i).p : "\"\"", "there is no such member");
    }
    return CPL_OK;
}

static cpl_status check_texts(const telling *t, const member *members) {
    for (const member *m = members; m->name; m++) {
        const cpl_json *value = cpl_json_get(t->in, m->name);
        if (m->kind == '!' && value == NULL) return wrong(t, m->name, "missing");
        if (m->kind == 'f' || value == NULL) continue;
        if (cpl_json_kind_of(value) != CPL_JSON_STRING) return wrong(t, m->name, "not a text");
        if (cpl_json_str(value).n == 0 && strcmp(m->name, "message") != 0) return wrong(t, m->name, "empty");
    }
    if (cpl_utf8_length(cpl_json_get_str(t->in, "commit")) > COMMIT_MAX)
        return wrong(t, "commit", "longer than 100 characters");
    return CPL_OK;
}

static cpl_status check_push(const telling *t) {
    bool branch = cpl_json_get(t->in, "branch"), tag = cpl_json_get(t->in, "tag");
    if (branch && tag) return wrong(t, "tag", "a push is of a branch or of a tag, not of both");
    return branch || tag ? CPL_OK : wrong(t, "branch", "missing, and so is tag");
}

static cpl_status check_pull(const telling *t) {
    static const char *const events[] = {"OPEN", "UPDATED", "CLOSED"};
    for (size_t i = 0; i < CPL_COUNT(events); i++) {
        if (emu_is(t->in, "event", events[i])) return CPL_OK;
    }
    return wrong(t, "event", "neither OPEN nor UPDATED nor CLOSED");
}

/* A name that lies below another file's cannot be unpacked. */
static bool has_parent(const cpl_json *files, cpl_str name) {
    char parent[CPL_TREE_PATH_MAX + 1];
    for (size_t i = 1; i < name.n; i++) {
        if (name.p[i] != '/') continue;
        CPL_COPY(parent, cpl_str_sub(name, 0, i));
        if (cpl_json_get(files, parent)) return true;
    }
    return false;
}

static cpl_status check_file(const telling *t, const cpl_json *files, const cpl_json *file, int n) {
    bool named = cpl_json_kind_of(files) == CPL_JSON_OBJECT;
    cpl_str name = named ? cpl_json_key(file) : cpl_json_str(file);
    char path[sizeof t->err->path];
    const char *fault = cpl_tree_name_fault(name);
    if (named) {
        snprintf(path, sizeof path, "files.%.*s", (int)cpl_utf8_cut(name, 200), name.p);
    } else {
        snprintf(path, sizeof path, "files[%d]", n);
    }
    if (cpl_json_kind_of(file) != CPL_JSON_STRING) return wrong(t, path, "not a text");
    if (fault || cpl_str_ends(name, "/")) return wrong(t, path, fault ? fault : "the name of a folder");
    return named && has_parent(files, name) ? wrong(t, path, "lies below another file") : CPL_OK;
}

static cpl_status check_files(const telling *t) {
    const cpl_json *files = cpl_json_get(t->in, "files");
    cpl_json_kind kind = cpl_json_kind_of(files);
    cpl_status status = CPL_OK;
    int n = 0;
    if (files == NULL) return CPL_OK;
    if (kind != CPL_JSON_ARRAY && kind != CPL_JSON_OBJECT)
        return wrong(t, "files", "neither paths nor paths and texts");
    for (const cpl_json *i = cpl_json_first(files); i && status == CPL_OK; i = cpl_json_next(i))
        status = check_file(t, files, i, n++);
    return status;
}

static cpl_status check(const telling *t, emu_git_event event) {
    const member *members = event == EMU_GIT_PUSH ? push_members : pull_members;
    cpl_status status = CPL_OK;
    if (cpl_json_kind_of(t->in) != CPL_JSON_OBJECT) return cpl_fail(t->err, CPL_INVALID, "not an object");
    status = check_known(t, members);
    if (status == CPL_OK) status = check_texts(t, members);
    if (status == CPL_OK) status = event == EMU_GIT_PUSH ? check_push(t) : check_pull(t);
    return status == CPL_OK ? check_files(t) : status;
}

/* ---- what came along ---- */

static cpl_status read_archive(telling *t, const char *path) {
    FILE *file = fopen(path, "rb");
    cpl_status status = file ? cpl_buf_read(&t->contents, file, path, t->err) : CPL_IO;
    if (file) fclose(file);
    if (status == CPL_IO)
        return cpl_fail_at(t->err, CPL_INVALID, "archive", "archive: \"%.200s\" cannot be read", path);
    return status || t->contents.n > 0 ? status : wrong(t, "archive", "an empty file");
}

static cpl_status zip_files(telling *t, const cpl_json *texts) {
    size_t n = cpl_json_count(texts), count = 0;
    cpl_archive_file *files = cpl_calloc(n + 1, sizeof *files);
    cpl_status status;
    if (files == NULL) return cpl_fail_nomem(t->err);
    for (const cpl_json *i = cpl_json_first(texts); i; i = cpl_json_next(i))
        files[count++] = (cpl_archive_file){cpl_json_key(i).p, cpl_json_str(i)};
    status = cpl_archive_zip(files, count, &t->contents, t->err);
    cpl_free(files);
    return status;
}

/* The files of an archive that is given are named, and those with texts make one, unless an archive is given too. */
static cpl_status take_contents(telling *t) {
    const char *archive = cpl_json_get_cstr(t->in, "archive", NULL);
    const cpl_json *files = cpl_json_get(t->in, "files");
    bool texts = cpl_json_kind_of(files) == CPL_JSON_OBJECT && cpl_json_count(files) > 0;
    if (archive && texts) return wrong(t, "archive", "one too many, files have texts");
    if (archive) return read_archive(t, archive);
    return texts ? zip_files(t, files) : CPL_OK;
}

/* ---- what executions know ---- */

static bool draw_commit(telling *t) {
    char commit[41];
    if (cpl_json_get(t->in, "commit")) return emu_copy(t->known, "commit", t->in, "commit");
    return emu_random_text(t->e, commit, 40, "0123456789abcdef") && cpl_json_set_cstr(t->known, "commit", commit);
}

static bool fill_known(telling *t, emu_git_event event) {
    const char *branch = event == EMU_GIT_PUSH ? "branch" : "source";
    t->known = cpl_json_new_object();
    return emu_copy(t->known, "repository", t->in, "repository") && emu_copy(t->known, "branch", t->in, branch) &&
           emu_copy(t->known, "tag", t->in, "tag") && emu_copy(t->known, "event", t->in, "event") &&
           emu_copy(t->known, "target", t->in, "target") && draw_commit(t) &&
           cpl_json_set_cstr(t->known, "message", EMU_GET(t->in, "message")) &&
           cpl_json_set_cstr(t->known, "provider", cpl_json_get_cstr(t->in, "provider", "GitHub")) &&
           cpl_json_set_number(t->known, "time", emu_now_s(t->e));
}

/* ---- starting ---- */

/* In the artifact store of the action's region, where artifacts are that an execution has. */
static bool keep_contents(telling *t, const cpl_json *pipeline, const cpl_json *action, cpl_json *git) {
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const cpl_json *store = emu_pipeline_store(t->e, pipeline, cpl_json_get_cstr(action, "region", NULL));
    cpl_json *place = emu_object_at(git, "artifact");
    char tail[8], key[64];
    if (!emu_random_text(t->e, tail, 7, alphabet)) return false;
    snprintf(key, sizeof key, "%.20s/git/%s", EMU_GET(pipeline, "name"), tail);
    return emu_copy(place, "bucket", store, "location") && cpl_json_set_cstr(place, "key", key) &&
           emu_s3_put(t->e, EMU_GET(place, "bucket"), key, cpl_buf_str(&t->contents), "application/zip");
}

static const cpl_json *start(telling *t, const cpl_json *pipeline, const cpl_json *action, const char *trigger) {
    const char *connection = EMU_GET(cpl_json_get(action, "configuration"), "ConnectionArn");
    const cpl_json *execution = NULL;
    cpl_json *git = cpl_json_clone(t->known);
    if (emu_copy(git, "action", action, "name") && (t->contents.n == 0 || keep_contents(t, pipeline, action, git))) {
        execution = emu_execution_start(emu_engine_of(t->e), EMU_GET(pipeline, "name"),
                                        &(emu_start){.trigger = trigger, .detail = connection, .git = git});
    }
    cpl_json_free(git);
    return execution;
}

static bool answer(telling *t, const cpl_json *pipeline, const cpl_json *action, const cpl_json *execution,
                   const char *reason) {
    cpl_json *item = cpl_json_new_object();
    if (emu_copy(item, "pipelineName", pipeline, "name") && emu_copy(item, "actionName", action, "name") &&
        emu_copy(item, "pipelineExecutionId", execution, "id") && cpl_json_set_cstr(item, "reason", reason)) {
        return cpl_json_push(t->answer, item);
    }
    cpl_json_free(item);
    return false;
}

/* false: out of memory. */
static bool ask(telling *t, const cpl_json *pipeline, const cpl_json *action, emu_git_verdict *verdict, bool *started) {
    const cpl_json *execution = NULL;
    emu_git_judge(t->known, cpl_json_get(t->in, "files"), pipeline, action, verdict);
    *started = verdict->trigger != NULL;
    if (*started && emu_at_concurrency_limit(emu_engine_of(t->e), pipeline)) {
        cpl_buf_adds(&verdict->reason, ", but the pipeline has as many executions in progress as it may have");
    } else if (*started) {
        execution = start(t, pipeline, action, verdict->trigger);
        if (execution == NULL) return false;
    }
    return cpl_buf_ok(&verdict->reason) && answer(t, pipeline, action, execution, cpl_buf_cstr(&verdict->reason));
}

static bool is_source_of(const cpl_json *action, const char *repository) {
    return emu_is(cpl_json_get(action, "actionTypeId"), "provider", "CodeStarSourceConnection") &&
           emu_is(cpl_json_get(action, "configuration"), "FullRepositoryId", repository);
}

/* One event starts a pipeline once, however many of its source actions follow it. */
static bool ask_pipeline(telling *t, const cpl_json *pipeline, emu_git_verdict *verdict) {
    const cpl_json *stage = cpl_json_first(cpl_json_get(pipeline, "stages"));
    bool started = false;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(stage, "actions")); i && !started; i = cpl_json_next(i)) {
        if (!is_source_of(i, EMU_GET(t->known, "repository"))) continue;
        if (!ask(t, pipeline, i, verdict, &started)) return false;
    }
    return true;
}

static bool ask_all(telling *t) {
    emu_store *store = emu_store_of(t->e);
    emu_git_verdict verdict;
    bool good = true;
    cpl_buf_init(&verdict.reason, 1 << 16);
    for (size_t i = 0; good && i < emu_store_size(store, EMU_PIPELINE); i++) {
        const char *name;
        good = ask_pipeline(t, emu_pipeline_latest(emu_store_at(store, EMU_PIPELINE, i, &name)), &verdict);
    }
    cpl_buf_release(&verdict.reason);
    return good;
}

cpl_status emu_git_tell(emu *e, emu_git_event event, const cpl_json *in, cpl_buf *out, cpl_error *err) {
    telling t = {.e = e, .in = in, .err = err};
    cpl_status status = check(&t, event);
    cpl_buf_init(&t.contents, CONTENTS_MAX);
    if (status == CPL_OK) status = take_contents(&t);
    if (status == CPL_OK) {
        t.answer = cpl_json_new_array();
        if (!t.answer || !fill_known(&t, event) || !ask_all(&t)) status = cpl_fail_nomem(err);
    }
    if (status == CPL_OK) cpl_json_write(t.answer, out);
    cpl_json_free(t.answer);
    cpl_json_free(t.known);
    cpl_buf_release(&t.contents);
    return status;
}
