/* SPDX-License-Identifier: MIT */
#include "git.h"

/*
 * What a pipeline makes of a push or a pull request. One of the filters must fit, and a filter fits when all that it
 * asks for is so: of includes one, if there are any, and of excludes none. A source action without filters follows its
 * BranchName, unless its DetectChanges is false.
 */

/* ---- what a filter asks for ---- */

static bool any_matches(const cpl_json *patterns, cpl_str text) {
    for (const cpl_json *i = cpl_json_first(patterns); i; i = cpl_json_next(i)) {
        if (emu_glob_matches(cpl_json_str(i), text)) return true;
    }
    return false;
}

static bool passes(const cpl_json *criteria, cpl_str text) {
    const cpl_json *includes = cpl_json_get(criteria, "includes");
    return (cpl_json_count(includes) == 0 || any_matches(includes, text)) &&
           !any_matches(cpl_json_get(criteria, "excludes"), text);
}

/* A file that is excluded does not count; the others may start what it does not. */
static bool any_passes(const cpl_json *criteria, const cpl_json *files) {
    bool keys = cpl_json_kind_of(files) == CPL_JSON_OBJECT;
    if (criteria == NULL) return true;
    for (const cpl_json *i = cpl_json_first(files); i; i = cpl_json_next(i)) {
        if (passes(criteria, keys ? cpl_json_key(i) : cpl_json_str(i))) return true;
    }
    return false;
}

static bool has_word(const cpl_json *words, const char *word) {
    for (const cpl_json *i = cpl_json_first(words); i; i = cpl_json_next(i)) {
        if (cpl_str_is(cpl_json_str(i), word)) return true;
    }
    return false;
}

/* What of the filter the event does not fit; NULL: it fits. */
static const char *mismatch(const cpl_json *filter, const cpl_json *known, const cpl_json *files) {
    const cpl_json *events = cpl_json_get(filter, "events"), *tags = cpl_json_get(filter, "tags");
    cpl_str tag = cpl_json_get_str(known, "tag"), target = cpl_json_get_str(known, "target");
    if (tag.p) return tags && passes(tags, tag) ? NULL : "tags";
    if (tags) return "tags";
    if (events && !has_word(events, EMU_GET(known, "event"))) return "events";
    if (!passes(cpl_json_get(filter, "branches"), target.p ? target : cpl_json_get_str(known, "branch")))
        return "branches";
    return any_passes(cpl_json_get(filter, "filePaths"), files) ? NULL : "filePaths";
}

/* ---- verdicts ---- */

static const char *kind_of(const cpl_json *known) {
    return cpl_json_get(known, "event") ? "pullRequest" : "push";
}

/* The trigger's filters; without any that fits, what each of them missed is added to the reason. */
static bool try_filters(const cpl_json *git, const cpl_json *known, const cpl_json *files, emu_git_verdict *out) {
    const char *kind = kind_of(known);
    int n = 0;
    for (const cpl_json *i = cpl_json_first(cpl_json_get(git, kind)); i; i = cpl_json_next(i), n++) {
        const char *missed = mismatch(i, known, files);
        if (missed == NULL) {
            out->trigger = "WebhookV2";
            cpl_buf_clear(&out->reason);
            cpl_buf_addf(&out->reason, "its filter %s[%d] fits", kind, n);
            return true;
        }
        cpl_buf_addf(&out->reason, "%s%s[%d] by its %s", out->reason.n ? ", " : "no filter fits: ", kind, n, missed);
    }
    return false;
}

static void follow_branch(const cpl_json *known, const cpl_json *action, emu_git_verdict *out) {
    const cpl_json *configuration = cpl_json_get(action, "configuration");
    const char *branch = cpl_json_get_cstr(known, "branch", NULL), *wanted = EMU_GET(configuration, "BranchName");
    if (cpl_json_get(known, "event") || branch == NULL) {
        cpl_buf_addf(&out->reason, "it has no filter for %s", branch ? "pull requests" : "tags");
    } else if (cpl_str_is_nocase(cpl_json_get_str(configuration, "DetectChanges"), "false")) {
        cpl_buf_adds(&out->reason, "its DetectChanges is false");
    } else if (strcmp(branch, wanted) != 0) {
        cpl_buf_addf(&out->reason, "its BranchName is %s", wanted);
    } else {
        out->trigger = "Webhook"; /* the service's word for one without filters */
        cpl_buf_addf(&out->reason, "its BranchName is %s", wanted);
    }
}

void emu_git_judge(const cpl_json *known, const cpl_json *files, const cpl_json *pipeline, const cpl_json *action,
                   emu_git_verdict *out) {
    bool filtered = false;
    out->trigger = NULL;
    cpl_buf_clear(&out->reason);
    for (const cpl_json *i = cpl_json_first(cpl_json_get(pipeline, "triggers")); i; i = cpl_json_next(i)) {
        const cpl_json *git = cpl_json_get(i, "gitConfiguration");
        if (!emu_is(git, "sourceActionName", EMU_GET(action, "name"))) continue;
        filtered = filtered || cpl_json_get(git, "push") || cpl_json_get(git, "pullRequest");
        if (try_filters(git, known, files, out)) return;
    }
    if (!filtered) {
        follow_branch(known, action, out);
    } else if (out->reason.n == 0) {
        cpl_buf_addf(&out->reason, "it has no filter %s", kind_of(known));
    }
}
