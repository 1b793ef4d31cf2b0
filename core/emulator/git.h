/* SPDX-License-Identifier: MIT */
/*
 * What a Git provider tells of a repository, as a test says it: a push or a pull request, with the members that
 * codepipeline.h lists for cpl_emulator_git_push() and cpl_emulator_pull_request(). An execution that one started has
 * it as "git":
 *   {"action", "repository", "branch" or "tag", "commit", "message", "provider", "time", "event" and "target" of a pull
 *    request, "artifact": {"bucket", "key"} where the contents are kept that came along}
 */
#ifndef CPL_EMU_GIT_H
#define CPL_EMU_GIT_H

#include "engine.h"

typedef enum emu_git_event { EMU_GIT_PUSH, EMU_GIT_PULL_REQUEST } emu_git_event;
/*
 * Starts what it starts, and writes [{pipelineName, actionName, pipelineExecutionId?, reason}, ...] of all source
 * actions of the repository. CPL_INVALID names what is wrong in err->path, and nothing was started.
 */
cpl_status emu_git_tell(emu *e, emu_git_event event, const cpl_json *in, cpl_buf *out, cpl_error *err);

/* ---- filters (git_filters.c) ---- */

/* Glob patterns as the service has them, see glob.c; both are valid UTF-8. */
bool emu_glob_matches(cpl_str pattern, cpl_str text);
/* What a pipeline makes of an event. */
typedef struct emu_git_verdict {
    const char *trigger; /* "WebhookV2", "Webhook"; NULL: it does not start */
    cpl_buf reason;      /* born by the caller */
} emu_git_verdict;
/* known is what an execution would have as "git"; files are changed paths: a list, or an object's keys. */
void emu_git_judge(const cpl_json *known, const cpl_json *files, const cpl_json *pipeline, const cpl_json *action,
                   emu_git_verdict *out);

/* ---- the source action (git_source.c) ---- */

/* Succeeds with what came along; without that, and in an execution that no event started, it goes as a script says. */
bool emu_git_source_run(const emu_context *at);
/* Whether the action's commit is known, because an event started its execution. */
bool emu_git_known(const emu_context *at);
/* Notes it as the action's revision and output variables. false: out of memory. */
bool emu_git_note(const emu_context *at);

#endif
