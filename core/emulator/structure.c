/* SPDX-License-Identifier: MIT */
#include "rules.h"

/*
 * The rules a declaration must keep beyond the model's. One pass over stages and actions in the order in which they
 * run, so that what was seen before is what may be used.
 */

#define STAGES_MAX 50
#define ACTIONS_IN_STAGE_MAX 50
#define ACTIONS_MAX 500

typedef struct check {
    emu_call *call;
    emu_engine *engine;
    const cpl_json *pipeline;
    emu_index outputs;    /* artifact -> the stage declaration that makes it */
    emu_index spaces;     /* variable namespace -> the stage declaration that fills it */
    emu_index run_orders; /* artifact LF, namespace LF space: the run order it is made with, as a pointer */
    size_t actions;
    /* where the pass is */
    const cpl_json *stage;
    const char *stage_name;
    const cpl_json *action;
    const char *action_name;
    emu_kind kind;
} check;

#define STRUCTURE "InvalidStructureException"
#define STAGE "InvalidStageDeclarationException"
#define ACTION "InvalidActionDeclarationException"

/* The call, to be refused for what stands there. */
static emu_call *at(const check *c, const cpl_json *node) {
    c->call->place = node;
    return c->call;
}

static int run_order(const cpl_json *action) {
    return (int)cpl_json_get_number(action, "runOrder", 1);
}

/* ---- one action ---- */

static bool check_action_type(check *c) {
    const cpl_json *id = cpl_json_get(c->action, "actionTypeId");
    c->kind = (emu_kind){.runner = EMU_RUN_NOTHING};
    if (emu_kind_find(c->engine, id, &c->kind) && !c->kind.deleted && emu_kind_allowed(c->call->e, &c->kind))
        return true;
    if (c->call->complaints && !emu_is(id, "owner", "AWS")) return true; /* the account may well have it */
    return emu_refuse(at(c, id), ACTION,
                      "ActionType (Category: '%s', Provider: '%s', Owner: '%s', Version: '%s') in action '%s' of stage "
                      "'%s' is not available in region '%s'",
                      EMU_GET(id, "category"), EMU_GET(id, "provider"), EMU_GET(id, "owner"), EMU_GET(id, "version"),
                      c->action_name, c->stage_name, emu_region(c->call->e));
}

static bool check_count(check *c, const char *what, const char *member, const char *details) {
    size_t n = cpl_json_count(cpl_json_get(c->action, member));
    const cpl_json *bounds = cpl_json_get(c->kind.type, details);
    int least = (int)cpl_json_get_number(bounds, "minimumCount", 0);
    int most = (int)cpl_json_get_number(bounds, "maximumCount", 0);
    if (bounds == NULL) return true;
    if ((int)n < least) {
        return emu_refuse(at(c, c->action), ACTION,
                          "Action %s in stage %s declares %zu %s artifacts which is less than the minimum count (%d)",
                          c->action_name, c->stage_name, n, what, least);
    }
    if ((int)n > most) {
        return emu_refuse(at(c, c->action), ACTION,
                          "Action %s in stage %s declares %zu %s artifacts which is more than the maximum count (%d)",
                          c->action_name, c->stage_name, n, what, most);
    }
    return true;
}

static bool check_known_keys(check *c, const cpl_json *configuration) {
    for (const cpl_json *i = cpl_json_first(configuration); i; i = cpl_json_next(i)) {
        if (emu_kind_property(&c->kind, cpl_json_key(i)) == NULL &&
            !emu_refuse(at(c, i), ACTION,
                        "Action configuration for action '%s' in stage '%s' contains unknown configuration '%s'",
                        c->action_name, c->stage_name, cpl_json_key(i).p))
            return false;
    }
    return true;
}

/* What PollForJobs can ask for, see ActionConfigurationQueryableValue in the model. */
static bool queryable_value(cpl_str value) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    return value.n <= 50 && strspn(value.p, allowed) == value.n;
}

static bool check_property(check *c, const cpl_json *configuration, const cpl_json *property) {
    const char *name = EMU_GET(property, "name");
    cpl_str value = cpl_json_get_str(configuration, name);
    if (value.p == NULL) {
        return !cpl_json_get_bool(property, "required", false) ||
               emu_refuse(at(c, configuration ? configuration : c->action), ACTION,
                          "Action configuration for action '%s' in stage '%s' is missing required configuration '%s'",
                          c->action_name, c->stage_name, name);
    }
    if (cpl_json_get_bool(property, "secret", false) && cpl_str_is(value, "****")) {
        return emu_refuse(at(c, configuration ? configuration : c->action), ACTION,
                          "Action configuration for the new action '%s' in stage '%s' contains an invalid "
                          "configuration for the secret property '%s'. '****' may be used in secret properties only "
                          "when updating an existing action",
                          c->action_name, c->stage_name, name);
    }
    if (cpl_json_get_bool(property, "queryable", false) && !queryable_value(value)) {
        return emu_refuse(at(c, configuration ? configuration : c->action), ACTION,
                          "Action configuration for action '%s' in stage '%s': the value of the queryable property "
                          "'%s' must be at most 50 letters, digits, underscores and hyphens",
                          c->action_name, c->stage_name, name);
    }
    return true;
}

static bool check_configuration(check *c) {
    const cpl_json *configuration = cpl_json_get(c->action, "configuration");
    const cpl_json *properties = cpl_json_get(c->kind.type, "actionConfigurationProperties");
    if (properties == NULL) return true;
    if (!check_known_keys(c, configuration)) return false;
    for (const cpl_json *i = cpl_json_first(properties); i; i = cpl_json_next(i)) {
        if (!check_property(c, configuration, i)) return false;
    }
    return true;
}

static bool is_true(cpl_str value) {
    return cpl_str_is_nocase(value, "true");
}

static bool is_flag(cpl_str value) {
    return value.p == NULL || is_true(value) || cpl_str_is_nocase(value, "false");
}

/* What the table of providers cannot say about S3. */
static bool check_s3(check *c) {
    const cpl_json *configuration = cpl_json_get(c->action, "configuration");
    const char *flag = c->kind.runner == EMU_RUN_S3_DEPLOY ? "Extract" : "PollForSourceChanges";
    cpl_str value = cpl_json_get_str(configuration, flag);
    if (c->kind.runner != EMU_RUN_S3_DEPLOY && c->kind.runner != EMU_RUN_S3_SOURCE) return true;
    if (!is_flag(value)) {
        return emu_refuse(at(c, configuration), ACTION,
                          "Action configuration for action '%s' in stage '%s': '%s' must be true or false",
                          c->action_name, c->stage_name, flag);
    }
    if (c->kind.runner == EMU_RUN_S3_DEPLOY && !is_true(value) && !cpl_json_get(configuration, "ObjectKey")) {
        return emu_refuse(at(c, configuration), ACTION,
                          "Action configuration for action '%s' in stage '%s' is missing required configuration "
                          "'ObjectKey', because 'Extract' is false",
                          c->action_name, c->stage_name);
    }
    return true;
}

static bool check_commands(check *c) {
    if (!emu_is(cpl_json_get(c->action, "actionTypeId"), "category", "Compute")) return true;
    return cpl_json_count(cpl_json_get(c->action, "commands")) > 0 ||
           emu_refuse(at(c, c->action), ACTION, "Action %s must have a non-empty commands field", c->action_name);
}

static bool check_region(check *c) {
    const char *region = cpl_json_get_cstr(c->action, "region", NULL);
    if (region == NULL || emu_pipeline_store(c->call->e, c->pipeline, region)) return true;
    return emu_refuse(at(c, c->action), STRUCTURE,
                      "Action %s in stage %s runs in region %s, which has no artifact store", c->action_name,
                      c->stage_name, region);
}

/* ---- what flows between actions ---- */

static void made_key(const char *kind, const char *name, char out[160]) {
    snprintf(out, 160, "%s\n%s", kind, name);
}

/* Something with this name is made before the action runs. */
static bool made_before(const check *c, const emu_index *makers, const char *kind, const char *name) {
    const cpl_json *stage = emu_index_get(makers, name);
    char key[160];
    made_key(kind, name, key);
    if (stage == NULL) return false;
    return stage != c->stage || (intptr_t)emu_index_get(&c->run_orders, key) < run_order(c->action);
}

static bool note_made(check *c, emu_index *makers, const char *kind, const char *name) {
    char key[160];
    made_key(kind, name, key);
    return (emu_index_set(makers, name, (void *)c->stage) &&
            emu_index_set(&c->run_orders, key, (void *)(intptr_t)run_order(c->action))) ||
           emu_nomem(c->call);
}

static bool note_outputs(check *c) {
    const cpl_json *outputs = cpl_json_get(c->action, "outputArtifacts");
    for (const cpl_json *i = cpl_json_first(outputs); i; i = cpl_json_next(i)) {
        const char *name = EMU_GET(i, "name");
        if (emu_index_get(&c->outputs, name) &&
            !emu_refuse(at(c, i), STRUCTURE,
                        "Output Artifact Bundle name must be unique within the pipeline. %s of action %s in stage %s "
                        "has been used more than once",
                        name, c->action_name, c->stage_name))
            return false;
        if (!note_made(c, &c->outputs, "artifact", name)) return false;
    }
    return true;
}

static bool check_inputs(check *c) {
    const cpl_json *inputs = cpl_json_get(c->action, "inputArtifacts");
    for (const cpl_json *i = cpl_json_first(inputs); i; i = cpl_json_next(i)) {
        const char *name = EMU_GET(i, "name");
        if (emu_find(inputs, "name", name) != i) {
            return emu_refuse(at(c, i), ACTION, "Action %s in stage %s names the input artifact %s more than once",
                              c->action_name, c->stage_name, name);
        }
        if (!made_before(c, &c->outputs, "artifact", name) &&
            !emu_refuse(at(c, i), STRUCTURE,
                        "Input Artifact Bundle %s of action %s in stage %s is not an output artifact of an action that "
                        "runs before it",
                        name, c->action_name, c->stage_name))
            return false;
    }
    return true;
}

static bool note_space(check *c) {
    const char *space = cpl_json_get_cstr(c->action, "namespace", NULL);
    if (space == NULL) return true;
    if (strcmp(space, "codepipeline") == 0 || strcmp(space, "variables") == 0) {
        return emu_refuse(at(c, cpl_json_get(c->action, "namespace")), ACTION,
                          "Action %s in stage %s uses the reserved namespace %s", c->action_name, c->stage_name, space);
    }
    if (emu_index_get(&c->spaces, space)) {
        return emu_refuse(
            at(c, cpl_json_get(c->action, "namespace")), STRUCTURE,
            "Namespace must be unique within the pipeline. %s of action %s in stage %s has been used more "
            "than once",
            space, c->action_name, c->stage_name);
    }
    return note_made(c, &c->spaces, "namespace", space);
}

static bool check_reference(check *c, const cpl_json *value, cpl_str space) {
    char name[128];
    CPL_COPY(name, space);
    if (cpl_str_is(space, "codepipeline") || cpl_str_is(space, "variables")) return true;
    if (made_before(c, &c->spaces, "namespace", name)) return true;
    return emu_refuse(at(c, value), ACTION,
                      "Action %s in stage %s refers to the namespace %s, which no action that runs before it has",
                      c->action_name, c->stage_name, name);
}

static bool check_references(check *c) {
    const cpl_json *configuration = cpl_json_get(c->action, "configuration");
    for (const cpl_json *i = cpl_json_first(configuration); i; i = cpl_json_next(i)) {
        cpl_str space, key;
        for (size_t at = 0; emu_variables_next(cpl_json_str(i), &at, &space, &key);) {
            if (!check_reference(c, i, space)) return false;
        }
    }
    return true;
}

/* ---- stages ---- */

static bool check_place(check *c) {
    bool source = emu_is(cpl_json_get(c->action, "actionTypeId"), "category", "Source");
    bool first = c->stage == cpl_json_first(cpl_json_get(c->pipeline, "stages"));
    if (first && !source) {
        return emu_refuse(at(c, c->action), STRUCTURE,
                          "Pipeline should start with a stage that only contains source actions; action %s in stage %s "
                          "is of category %s",
                          c->action_name, c->stage_name, EMU_GET(cpl_json_get(c->action, "actionTypeId"), "category"));
    }
    if (!first && source) {
        return emu_refuse(at(c, c->action), STRUCTURE,
                          "Source actions can only occur in the first stage of a pipeline; action %s is in stage %s",
                          c->action_name, c->stage_name);
    }
    return true;
}

static bool check_action(check *c) {
    const cpl_json *actions = cpl_json_get(c->stage, "actions");
    c->action_name = EMU_GET(c->action, "name");
    if (emu_find(actions, "name", c->action_name) != c->action &&
        !emu_refuse(at(c, c->action), ACTION,
                    "Action names must be unique within a stage. %s occurs more than once in %s", c->action_name,
                    c->stage_name))
        return false;
    if (++c->actions > ACTIONS_MAX) {
        return emu_refuse(at(c, c->action), STRUCTURE, "A pipeline can have at most %d actions", ACTIONS_MAX);
    }
    return check_action_type(c) && check_place(c) &&
           check_count(c, "input", "inputArtifacts", "inputArtifactDetails") &&
           check_count(c, "output", "outputArtifacts", "outputArtifactDetails") && check_configuration(c) &&
           check_s3(c) && check_commands(c) && check_region(c) && note_outputs(c) && note_space(c);
}

static bool check_blockers(check *c) {
    const cpl_json *blockers = cpl_json_get(c->stage, "blockers");
    for (const cpl_json *i = cpl_json_first(blockers); i; i = cpl_json_next(i)) {
        if (emu_find(blockers, "name", EMU_GET(i, "name")) != i) {
            return emu_refuse(at(c, i), "InvalidBlockerDeclarationException",
                              "Blocker names must be unique within a stage. %s occurs more than once in %s",
                              EMU_GET(i, "name"), c->stage_name);
        }
    }
    return true;
}

static bool check_stage_itself(check *c) {
    const cpl_json *stages = cpl_json_get(c->pipeline, "stages");
    size_t n = cpl_json_count(cpl_json_get(c->stage, "actions"));
    c->stage_name = EMU_GET(c->stage, "name");
    if (emu_find(stages, "name", c->stage_name) != c->stage) {
        return emu_refuse(at(c, c->stage), STAGE,
                          "Stage names must be unique within a pipeline. %s occurs more than once", c->stage_name);
    }
    if (n < 1 || n > ACTIONS_IN_STAGE_MAX) {
        return emu_refuse(at(c, c->stage), STAGE,
                          "Stage %s has %zu actions. There should be 1 to %d actions in a stage", c->stage_name, n,
                          ACTIONS_IN_STAGE_MAX);
    }
    return check_blockers(c) && emu_conditions_check(at(c, c->stage), c->pipeline, c->stage);
}

/* Actions first, so that an artifact made later in the list by a lower run order is known when inputs are looked at. */
static bool check_stage(check *c) {
    const cpl_json *actions = cpl_json_get(c->stage, "actions");
    if (!check_stage_itself(c)) return false;
    for (c->action = cpl_json_first(actions); c->action; c->action = cpl_json_next(c->action)) {
        if (!check_action(c)) return false;
    }
    for (c->action = cpl_json_first(actions); c->action; c->action = cpl_json_next(c->action)) {
        c->action_name = EMU_GET(c->action, "name");
        if (!check_inputs(c) || !check_references(c)) return false;
    }
    return true;
}

/* ---- the pipeline itself ---- */

static bool check_stores(check *c) {
    const cpl_json *one = cpl_json_get(c->pipeline, "artifactStore");
    const cpl_json *many = cpl_json_get(c->pipeline, "artifactStores");
    if (one && many) {
        return emu_refuse(at(c, c->pipeline), STRUCTURE,
                          "Pipeline must not have both artifactStore and artifactStores");
    }
    if (!one && !many) {
        return emu_refuse(at(c, c->pipeline), STRUCTURE, "Pipeline must have either artifactStore or artifactStores");
    }
    if (many && !cpl_json_get(many, emu_region(c->call->e))) {
        return emu_refuse(at(c, c->pipeline), STRUCTURE, "artifactStores has no entry for the pipeline's own region %s",
                          emu_region(c->call->e));
    }
    return true;
}

static bool check_variables(check *c) {
    const cpl_json *variables = cpl_json_get(c->pipeline, "variables");
    for (const cpl_json *i = cpl_json_first(variables); i; i = cpl_json_next(i)) {
        if (emu_find(variables, "name", EMU_GET(i, "name")) != i) {
            return emu_refuse(at(c, i), STRUCTURE,
                              "Variable names must be unique within a pipeline. %s occurs more than once",
                              EMU_GET(i, "name"));
        }
    }
    return true;
}

/* A push is of a branch or of a tag. */
static bool check_pushes(check *c, const cpl_json *git) {
    for (const cpl_json *i = cpl_json_first(cpl_json_get(git, "push")); i; i = cpl_json_next(i)) {
        if (cpl_json_get(i, "tags") && (cpl_json_get(i, "branches") || cpl_json_get(i, "filePaths"))) {
            return emu_refuse(at(c, i), STRUCTURE,
                              "A push filter for the source action %s has tags beside branches or filePaths",
                              EMU_GET(git, "sourceActionName"));
        }
    }
    return true;
}

static bool check_triggers(check *c) {
    const cpl_json *triggers = cpl_json_get(c->pipeline, "triggers");
    const cpl_json *sources = cpl_json_get(cpl_json_first(cpl_json_get(c->pipeline, "stages")), "actions");
    for (const cpl_json *i = cpl_json_first(triggers); i; i = cpl_json_next(i)) {
        const cpl_json *git = cpl_json_get(i, "gitConfiguration");
        const char *name = EMU_GET(git, "sourceActionName");
        if (emu_find(sources, "name", name) == NULL) {
            return emu_refuse(at(c, i), STRUCTURE, "A trigger names the source action %s, which does not exist", name);
        }
        if (!check_pushes(c, git)) return false;
    }
    return true;
}

static bool check_type(check *c) {
    const char *mode = cpl_json_get_cstr(c->pipeline, "executionMode", "SUPERSEDED");
    const char *member = NULL;
    if (emu_is(c->pipeline, "pipelineType", "V2")) return true;
    if (strcmp(mode, "SUPERSEDED") != 0) {
        return emu_refuse(at(c, c->pipeline), STRUCTURE, "Execution mode %s needs a pipeline of type V2", mode);
    }
    if (cpl_json_count(cpl_json_get(c->pipeline, "variables")) > 0) member = "variables";
    if (cpl_json_count(cpl_json_get(c->pipeline, "triggers")) > 0) member = "triggers";
    return member == NULL ||
           emu_refuse(at(c, c->pipeline), STRUCTURE, "Pipeline %s need a pipeline of type V2", member);
}

static bool check_pipeline(check *c) {
    const cpl_json *stages = cpl_json_get(c->pipeline, "stages");
    size_t n = cpl_json_count(stages);
    if (n < 2 && !emu_refuse(at(c, stages), STRUCTURE,
                             "Pipeline has only %zu stage(s). There should be a minimum of 2 stages in a pipeline", n))
        return false;
    if (n > STAGES_MAX) {
        return emu_refuse(at(c, stages), STRUCTURE,
                          "Pipeline has %zu stages. There should be a maximum of %d stages in a pipeline", n,
                          STAGES_MAX);
    }
    if (!check_stores(c) || !check_type(c) || !check_variables(c)) return false;
    for (c->stage = cpl_json_first(stages); c->stage; c->stage = cpl_json_next(c->stage)) {
        if (!check_stage(c)) return false;
    }
    return check_triggers(c);
}

/* "Namespaces cannot conflict with any artifact names", wherever in the pipeline either is declared. */
static bool check_spaces(check *c) {
    for (size_t i = 0; i < c->spaces.size; i++) {
        for (const emu_entry *entry = c->spaces.slots[i]; entry; entry = entry->next) {
            if (emu_index_get(&c->outputs, entry->name)) {
                return emu_refuse(at(c, c->pipeline), STRUCTURE, "Namespace %s has the name of an artifact",
                                  entry->name);
            }
        }
    }
    return true;
}

bool emu_structure_check(emu_call *call, const cpl_json *pipeline) {
    check c = {.call = call, .engine = emu_engine_of(call->e), .pipeline = pipeline};
    bool good = check_pipeline(&c) && check_spaces(&c);
    emu_index_release(&c.outputs, NULL);
    emu_index_release(&c.spaces, NULL);
    emu_index_release(&c.run_orders, NULL);
    return good;
}
