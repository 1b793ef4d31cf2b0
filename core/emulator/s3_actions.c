/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../archives.h"
#include "engine.h"

/* The actions of provider S3: they run within the request that starts them. */

#define DEPTH_MAX 64          /* folders within folders in an archive that is deployed */
#define FILE_MAX (1024 << 20) /* bytes of one deployed file */

static const emu_outcome succeeded = {"Succeeded", NULL, {NULL, 0}};

static cpl_str resolved(const emu_context *at, const char *key) {
    return cpl_json_get_str(cpl_json_get(cpl_json_get(at->record, "input"), "resolvedConfiguration"), key);
}

static const char *resolved_text(const emu_context *at, const char *key) {
    cpl_str value = resolved(at, key);
    return value.p ? value.p : "";
}

/* ---- source ---- */

typedef struct source {
    const char *bucket;
    const char *key;
    const char *version; /* NULL: the current one */
    emu_object object;
    char revision[128]; /* the version's id; of a bucket without versions, the ETag without quotes */
    char etag[128];
} source;

/* What StartPipelineExecution asked for instead of the declared object; *failed: the action was ended. */
static bool apply_override(const emu_context *at, source *from, bool *failed) {
    const cpl_json *override = emu_action_override(at);
    *failed = false;
    if (emu_is(override, "revisionType", "S3_OBJECT_VERSION_ID")) from->version = EMU_GET(override, "revisionValue");
    if (!emu_is(override, "revisionType", "S3_OBJECT_KEY")) return true;
    if (cpl_str_is_nocase(resolved(at, "AllowOverrideForS3ObjectKey"), "true")) {
        from->key = EMU_GET(override, "revisionValue");
        return true;
    }
    *failed = true;
    return emu_action_fail(at, "ConfigurationError",
                           "The source action %s does not allow another S3 object key (AllowOverrideForS3ObjectKey)",
                           EMU_GET(at->action, "name"));
}

/* The version of the object that is wanted; old ones are kept apart from the current one, see EMU_VERSION. */
static bool find_object(const emu_context *at, source *from) {
    emu *e = at->engine->e;
    emu_store *store = emu_store_of(e);
    bool current = emu_s3_get(e, from->bucket, from->key, &from->object);
    const cpl_json *old;
    cpl_buf key;
    if (from->version == NULL || (current && strcmp(from->object.version_id, from->version) == 0)) return current;
    cpl_buf_init(&key, 8192);
    cpl_buf_addf(&key, "%s/%s\n%s", from->bucket, from->key, from->version);
    old = emu_store_get(store, EMU_VERSION, cpl_buf_cstr(&key));
    if (cpl_json_get_bool(old, "deleteMarker", false)) old = NULL;
    from->object = (emu_object){.body = emu_blob_get(store, cpl_buf_cstr(&key)),
                                .etag = EMU_GET(old, "etag"),
                                .version_id = from->version,
                                .last_modified = cpl_json_get_number(old, "modified", 0)};
    cpl_buf_release(&key);
    return old != NULL;
}

static void name_revision(source *from) {
    cpl_str etag = cpl_str_of(from->object.etag);
    if (etag.n >= 2) etag = cpl_str_sub(etag, 1, etag.n - 1);
    CPL_COPY(from->etag, etag);
    if (from->object.version_id && from->object.version_id[0] && strcmp(from->object.version_id, "null") != 0) {
        CPL_COPY(from->revision, cpl_str_of(from->object.version_id));
    } else {
        CPL_COPY(from->revision, etag);
    }
}

static bool set_source_results(const emu_context *at, const source *from) {
    cpl_json *variables = emu_object_at(at->record, "outputVariables");
    char summary[256];
    snprintf(summary, sizeof summary, "Amazon S3 version id: %s", from->revision);
    return cpl_json_set_cstr(variables, "BucketName", from->bucket) &&
           cpl_json_set_cstr(variables, "ETag", from->etag) && cpl_json_set_cstr(variables, "ObjectKey", from->key) &&
           cpl_json_set_cstr(variables, "VersionId", from->revision) &&
           cpl_json_set_cstr(at->record, "summary", summary) &&
           cpl_json_set_cstr(at->record, "externalExecutionId", from->revision);
}

static bool note_revision(const emu_context *at, const source *from) {
    cpl_json *revision = cpl_json_new_object();
    cpl_buf url;
    bool good;
    cpl_buf_init(&url, 8192);
    cpl_buf_adds(&url, "https://console.aws.amazon.com/s3/object/");
    cpl_buf_add_uri(&url, cpl_str_of(from->bucket), false);
    cpl_buf_adds(&url, "?prefix=");
    cpl_buf_add_uri(&url, cpl_str_of(from->key), false);
    good = cpl_json_set_cstr(revision, "revision", from->revision) &&
           cpl_json_set_cstr(revision, "changeIdentifier", from->revision) &&
           emu_copy(revision, "revisionSummary", at->record, "summary") &&
           cpl_json_set_number(revision, "created", from->object.last_modified) && cpl_buf_ok(&url) &&
           emu_action_revision(at->execution, at->record, revision, url.n <= 2048 ? cpl_buf_cstr(&url) : NULL);
    cpl_json_free(revision);
    cpl_buf_release(&url);
    return good;
}

/* The object is copied, so that a later write to the source does not change what this execution works on. */
static bool copy_source(const emu_context *at, source *from) {
    const cpl_json *output = cpl_json_first(cpl_json_get(at->record, "outputArtifacts"));
    const cpl_json *to = cpl_json_get(output, "s3location");
    name_revision(from);
    if (!set_source_results(at, from) || !note_revision(at, from)) return false;
    if (!emu_s3_put(at->engine->e, EMU_GET(to, "bucket"), EMU_GET(to, "key"), from->object.body,
                    "application/octet-stream")) {
        return emu_action_fail(at, "ConfigurationError", "The artifact could not be stored in the bucket %s",
                               EMU_GET(to, "bucket"));
    }
    return emu_action_end(at->engine, at->execution, at->record, &succeeded);
}

bool emu_s3_source_run(const emu_context *at) {
    source from = {.bucket = resolved_text(at, "S3Bucket"), .key = resolved_text(at, "S3ObjectKey")};
    bool failed;
    if (!apply_override(at, &from, &failed)) return false;
    if (failed) return true;
    if (!emu_s3_bucket_exists(at->engine->e, from.bucket)) {
        return emu_action_fail(at, "ConfigurationError", "The source bucket %s does not exist", from.bucket);
    }
    if (!find_object(at, &from)) {
        return emu_action_fail(at, "RevisionUnavailable", "The object %s%s%s does not exist in the source bucket %s",
                               from.key, from.version ? " of version " : "", from.version ? from.version : "",
                               from.bucket);
    }
    return copy_source(at, &from);
}

/* ---- deploy ---- */

/* What S3 is told a file is; browsers go by it. */
static const char *content_type(const char *name) {
    static const char *const types[][2] = {
        {".css", "text/css"},        {".gif", "image/gif"},         {".htm", "text/html"},
        {".html", "text/html"},      {".ico", "image/x-icon"},      {".jpeg", "image/jpeg"},
        {".jpg", "image/jpeg"},      {".js", "text/javascript"},    {".json", "application/json"},
        {".pdf", "application/pdf"}, {".png", "image/png"},         {".svg", "image/svg+xml"},
        {".txt", "text/plain"},      {".wasm", "application/wasm"}, {".woff2", "font/woff2"},
        {".xml", "application/xml"}, {".zip", "application/zip"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < CPL_COUNT(types); i++) {
        if (strcmp(dot, types[i][0]) == 0) return types[i][1];
    }
    return "application/octet-stream";
}

typedef struct deployment {
    const emu_context *at;
    const char *bucket;
    cpl_buf key;  /* of the object under way, and the folders it lies in */
    cpl_buf path; /* the same on disk */
    char problem[256];
} deployment;

static bool problem_of(deployment *d, const char *what) {
    snprintf(d->problem, sizeof d->problem, "%.150s: %.80s", what, strerror(errno));
    return false;
}

static bool write_file(const char *path, cpl_str bytes) {
    FILE *file = fopen(path, "wb");
    bool good = file && fwrite(bytes.p, 1, bytes.n, file) == bytes.n;
    return file && fclose(file) == 0 && good;
}

static bool read_all(int fd, cpl_buf *out) {
    for (;;) {
        char *room = cpl_buf_reserve(out, 65536);
        ssize_t n = room ? read(fd, room, 65536) : -1;
        if (n < 0) return false;
        if (n == 0) return true;
        cpl_buf_commit(out, (size_t)n);
    }
}

/* Other pipelines may watch what is deployed here. */
static bool put_object(deployment *d, cpl_str bytes) {
    const char *key = cpl_buf_cstr(&d->key);
    emu *e = d->at->engine->e;
    if (!emu_s3_put(e, d->bucket, key, bytes, content_type(key))) {
        snprintf(d->problem, sizeof d->problem, "%.200s could not be stored", key);
        return false;
    }
    emu_engine_object_changed(e, d->bucket, key);
    return true;
}

static bool upload(deployment *d) {
    cpl_buf bytes;
    int fd = open(cpl_buf_cstr(&d->path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool good;
    cpl_buf_init(&bytes, FILE_MAX);
    good = (fd >= 0 && read_all(fd, &bytes)) || problem_of(d, cpl_buf_cstr(&d->key));
    if (fd >= 0) close(fd);
    good = good && put_object(d, cpl_buf_str(&bytes));
    cpl_buf_release(&bytes);
    return good;
}

static bool upload_folder(deployment *d, int depth);

static bool upload_entry(deployment *d, const char *name, int depth) {
    size_t key = d->key.n, path = d->path.n;
    struct stat found;
    bool good;
    cpl_buf_addf(&d->key, "%s%s", key > 0 ? "/" : "", name);
    cpl_buf_addf(&d->path, "/%s", name);
    if (lstat(cpl_buf_cstr(&d->path), &found) != 0)
        good = problem_of(d, name);
    else if (S_ISDIR(found.st_mode))
        good = upload_folder(d, depth + 1);
    else if (S_ISREG(found.st_mode))
        good = upload(d);
    else
        good = true; /* S3 has no links */
    cpl_buf_truncate(&d->key, key);
    cpl_buf_truncate(&d->path, path);
    return good;
}

static bool upload_folder(deployment *d, int depth) {
    DIR *folder = depth < DEPTH_MAX ? opendir(cpl_buf_cstr(&d->path)) : NULL;
    bool good = true;
    if (folder == NULL) return problem_of(d, cpl_buf_cstr(&d->key));
    for (struct dirent *i; good && (i = readdir(folder));) {
        if (strcmp(i->d_name, ".") != 0 && strcmp(i->d_name, "..") != 0) good = upload_entry(d, i->d_name, depth);
    }
    closedir(folder);
    return good;
}

static void remove_tree(cpl_buf *path) {
    DIR *folder = opendir(cpl_buf_cstr(path));
    size_t n = path->n;
    for (struct dirent *i; folder && (i = readdir(folder));) {
        if (strcmp(i->d_name, ".") == 0 || strcmp(i->d_name, "..") == 0) continue;
        cpl_buf_addf(path, "/%s", i->d_name);
        if (unlink(cpl_buf_cstr(path)) != 0) remove_tree(path);
        cpl_buf_truncate(path, n);
    }
    if (folder) closedir(folder);
    rmdir(cpl_buf_cstr(path));
}

/* Unpacks body below the folder root ("archive" and "files") and uploads what is in it. */
static bool deploy_files(deployment *d, const char *root, cpl_str body) {
    cpl_buf archive;
    cpl_error err = {0};
    bool good = false;
    cpl_buf_init(&archive, 4096);
    cpl_buf_addf(&archive, "%s/archive", root);
    cpl_buf_addf(&d->path, "%s/files", root);
    if (!cpl_buf_ok(&archive) || !cpl_buf_ok(&d->path) || !write_file(cpl_buf_cstr(&archive), body)) {
        problem_of(d, "the artifact");
    } else if (cpl_archive_extract(cpl_buf_cstr(&archive), cpl_buf_cstr(&d->path), NULL, NULL, &err) != CPL_OK) {
        CPL_COPY(d->problem, cpl_str_of(err.message));
    } else {
        good = upload_folder(d, 0);
    }
    cpl_buf_release(&archive);
    return good;
}

static bool deploy_extracted(deployment *d, cpl_str body) {
    const char *temp = getenv("TMPDIR");
    cpl_buf root;
    bool good = false;
    cpl_buf_init(&root, 4096);
    cpl_buf_addf(&root, "%s/codepipeline-deploy-XXXXXX", temp && temp[0] ? temp : "/tmp");
    if (cpl_buf_ok(&root) && mkdtemp(root.p)) {
        good = deploy_files(d, root.p, body);
        remove_tree(&root);
    } else {
        problem_of(d, "a temporary folder");
    }
    cpl_buf_release(&root);
    return good;
}

static bool deploy(const emu_context *at, cpl_str body) {
    deployment d = {.at = at, .bucket = resolved_text(at, "BucketName")};
    cpl_str key = resolved(at, "ObjectKey");
    bool extract = cpl_str_is_nocase(resolved(at, "Extract"), "true"), good;
    while (extract && cpl_str_ends(key, "/")) key.n--;
    cpl_buf_init(&d.key, 4096);
    cpl_buf_init(&d.path, 8192);
    cpl_buf_addv(&d.key, key);
    good = extract ? deploy_extracted(&d, body) : put_object(&d, body);
    if (!good) {
        good = emu_action_fail(at, "JobFailed", "Deployment to the bucket %s failed: %s", d.bucket, d.problem);
    } else {
        good = cpl_json_set_cstr(at->record, "summary", "Deployment Succeeded") &&
               emu_action_end(at->engine, at->execution, at->record, &succeeded);
    }
    cpl_buf_release(&d.key);
    cpl_buf_release(&d.path);
    return good;
}

bool emu_s3_deploy_run(const emu_context *at) {
    const cpl_json *inputs = cpl_json_get(cpl_json_get(at->record, "input"), "inputArtifacts");
    const cpl_json *from = cpl_json_get(cpl_json_first(inputs), "s3location");
    const char *bucket = resolved_text(at, "BucketName");
    emu_object artifact;
    if (!emu_s3_bucket_exists(at->engine->e, bucket)) {
        return emu_action_fail(at, "ConfigurationError", "The bucket %s does not exist", bucket);
    }
    if (!emu_s3_get(at->engine->e, EMU_GET(from, "bucket"), EMU_GET(from, "key"), &artifact)) {
        return emu_action_fail(at, "RevisionUnavailable", "The input artifact %s is not in the artifact store (%s/%s)",
                               EMU_GET(cpl_json_first(inputs), "name"), EMU_GET(from, "bucket"), EMU_GET(from, "key"));
    }
    return deploy(at, artifact.body);
}
