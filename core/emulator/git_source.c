/* SPDX-License-Identifier: MIT */
#include "git.h"

/*
 * The source action of a connection: the commit that an event named, and what came along with it. What its results look
 * like (the summary, the address) is what the service's own look like, as people have published them.
 */

#define SUMMARY_MAX 2048
#define URL_MAX 2048

static const cpl_json *event_of(const emu_context *at) {
    const cpl_json *git = cpl_json_get(at->execution, "git");
    return emu_is(git, "action", EMU_GET(at->record, "action")) ? git : NULL;
}

bool emu_git_known(const emu_context *at) {
    return event_of(at) != NULL;
}

static const char *connection_of(const emu_context *at) {
    return EMU_GET(cpl_json_get(cpl_json_get(at->record, "input"), "resolvedConfiguration"), "ConnectionArn");
}

/* As much of the message as fits. */
static void add_summary(const cpl_json *git, cpl_buf *out) {
    cpl_str message = cpl_json_get_str(git, "message");
    size_t most = SUMMARY_MAX;
    do {
        most /= 2;
        cpl_buf_clear(out);
        cpl_buf_adds(out, "{\"ProviderType\":");
        cpl_json_quote(out, cpl_json_get_str(git, "provider"));
        cpl_buf_adds(out, ",\"CommitMessage\":");
        cpl_json_quote(out, cpl_str_sub(message, 0, cpl_utf8_cut(message, most)));
        cpl_buf_addc(out, '}');
    } while (out->n > SUMMARY_MAX);
}

static void add_url(const emu_context *at, const cpl_json *git, cpl_buf *out) {
    cpl_buf_addf(out,
                 "https://%s.console.aws.amazon.com/codesuite/settings/connections/redirect?connectionArn=%s"
                 "&referenceType=COMMIT&FullRepositoryId=%s&Commit=",
                 emu_region(at->engine->e), connection_of(at), EMU_GET(git, "repository"));
    cpl_buf_add_uri(out, cpl_json_get_str(git, "commit"), false);
}

static bool set_variables(const emu_context *at, const cpl_json *git) {
    cpl_json *variables = emu_object_at(at->record, "outputVariables");
    char date[CPL_TIME_ISO_SIZE];
    cpl_time_iso((int64_t)cpl_json_get_number(git, "time", 0), date);
    return cpl_json_set_cstr(variables, "AuthorDate", date) &&
           emu_copy(variables, "BranchName", git, cpl_json_get(git, "tag") ? "tag" : "branch") &&
           emu_copy(variables, "CommitId", git, "commit") && emu_copy(variables, "CommitMessage", git, "message") &&
           cpl_json_set_cstr(variables, "ConnectionArn", connection_of(at)) &&
           emu_copy(variables, "FullRepositoryName", git, "repository");
}

bool emu_git_note(const emu_context *at) {
    const cpl_json *git = event_of(at);
    cpl_json *revision = cpl_json_new_object();
    cpl_buf summary, url;
    bool good;
    cpl_buf_init(&summary, 8 * SUMMARY_MAX);
    cpl_buf_init(&url, 1 << 16);
    add_summary(git, &summary);
    add_url(at, git, &url);
    good = emu_copy(revision, "revision", git, "commit") && emu_copy(revision, "changeIdentifier", git, "commit") &&
           cpl_buf_ok(&summary) && cpl_json_set_str(revision, "revisionSummary", cpl_buf_str(&summary)) &&
           cpl_buf_ok(&url) &&
           emu_action_revision(at->execution, at->record, revision, url.n <= URL_MAX ? cpl_buf_cstr(&url) : NULL) &&
           set_variables(at, git);
    cpl_json_free(revision);
    cpl_buf_release(&summary);
    cpl_buf_release(&url);
    return good;
}

static bool succeed(const emu_context *at, cpl_str contents) {
    const cpl_json *output = cpl_json_first(cpl_json_get(at->record, "outputArtifacts"));
    const cpl_json *to = cpl_json_get(output, "s3location"), *source;
    if (!emu_git_note(at)) return false;
    source = emu_find(cpl_json_get(at->execution, "sourceRevisions"), "actionName", EMU_GET(at->record, "action"));
    if (!emu_copy(at->record, "summary", source, "revisionSummary") ||
        !emu_copy(at->record, "externalExecutionId", source, "revisionId"))
        return false;
    if (!emu_s3_put(at->engine->e, EMU_GET(to, "bucket"), EMU_GET(to, "key"), contents, "application/zip"))
        return emu_action_fail(at, "ConfigurationError", "The artifact could not be stored in the bucket %s",
                               EMU_GET(to, "bucket"));
    return emu_action_end(at->engine, at->execution, at->record, &(emu_outcome){"Succeeded", NULL, {NULL, 0}});
}

/* A copy, as of any source: what came along stays what it is, and can be fetched again when the stage is retried. */
bool emu_git_source_run(const emu_context *at) {
    const cpl_json *from = cpl_json_get(event_of(at), "artifact");
    emu_object contents;
    if (from == NULL) return emu_action_script(at);
    if (emu_s3_get(at->engine->e, EMU_GET(from, "bucket"), EMU_GET(from, "key"), &contents))
        return succeed(at, contents.body);
    return emu_action_fail(at, "RevisionUnavailable", "What came with the commit is no longer in the bucket %s",
                           EMU_GET(from, "bucket"));
}
