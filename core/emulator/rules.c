/* SPDX-License-Identifier: MIT */
#include "rules.h"

#include <math.h>
#include <regex.h>
#include <stdarg.h>

/*
 * The rule types every account has, all of AWS, and the two that the emulator looks at by itself. properties as in
 * providers.c: "!" after a name: required; NULL: any configuration is taken.
 */
typedef struct rule_type {
    const char *provider;
    uint8_t in_max;
    const char *properties;
} rule_type;

static const rule_type types[] = {
    {"CloudWatchAlarm", 0, "AlarmName! AlarmStates WaitTime"},
    {"CodeBuild", 5, "ProjectName! PrimarySource BatchEnabled BuildspecOverride CombineArtifacts EnvironmentVariables"},
    {"Commands", 10, NULL},
    {"DeploymentWindow", 0, "Cron! TimeZone"},
    {"LambdaInvoke", 5, "FunctionName! UserParameters"},
    {"VariableCheck", 0, "Variable! Operator! Value!"},
};

/* ---- as documents ---- */

static bool add_property(cpl_json *list, cpl_str word) {
    cpl_json *property = cpl_json_new_object();
    bool required = cpl_str_ends(word, "!");
    if (required) word.n--;
    if (cpl_json_set_str(property, "name", word) && cpl_json_set_bool(property, "required", required) &&
        cpl_json_set_bool(property, "key", required) && cpl_json_set_bool(property, "secret", false)) {
        return cpl_json_push(list, property);
    }
    cpl_json_free(property);
    return false;
}

static bool fill_type(cpl_json *type, const rule_type *row) {
    cpl_json *id = emu_object_at(type, "id"), *inputs = emu_object_at(type, "inputArtifactDetails");
    cpl_json *list = row->properties ? emu_array_at(type, "ruleConfigurationProperties") : NULL;
    for (cpl_str rest = cpl_str_of(row->properties); rest.n > 0;) {
        size_t end = cpl_str_find(rest, ' ');
        if (!add_property(list, cpl_str_sub(rest, 0, end))) return false;
        rest = cpl_str_sub(rest, end + 1, rest.n);
    }
    return cpl_json_set_cstr(id, "category", "Rule") && cpl_json_set_cstr(id, "owner", "AWS") &&
           cpl_json_set_cstr(id, "provider", row->provider) && cpl_json_set_cstr(id, "version", "1") &&
           cpl_json_set_number(inputs, "minimumCount", 0) && cpl_json_set_number(inputs, "maximumCount", row->in_max);
}

static cpl_json *new_type(const rule_type *row) {
    cpl_json *type = cpl_json_new_object();
    if (fill_type(type, row)) return type;
    cpl_json_free(type);
    return NULL;
}

cpl_json *emu_rule_type(const char *provider, bool *known) {
    *known = true;
    for (size_t i = 0; i < CPL_COUNT(types); i++) {
        if (strcmp(types[i].provider, provider) == 0) return new_type(&types[i]);
    }
    *known = false;
    return NULL;
}

bool emu_list_rule_types(emu_call *call) {
    cpl_json *list = emu_array_at(call->out, "ruleTypes");
    for (size_t i = 0; i < CPL_COUNT(types); i++) {
        if (!cpl_json_push(list, new_type(&types[i]))) return emu_nomem(call);
    }
    return true;
}

/* ---- looking at rules ---- */

static void CPL_PRINTF(3, 4) fail(emu_finding *out, const char *code, const char *format, ...) {
    va_list args;
    out->holds = false;
    out->code = code;
    va_start(args, format);
    vsnprintf(out->message, sizeof out->message, format, args);
    va_end(args);
}

static void look_at_window(const emu_engine *engine, const cpl_json *configuration, emu_finding *out) {
    int64_t now = (int64_t)floor(emu_now_s(engine->e));
    const char *problem, *cron = EMU_GET(configuration, "Cron");
    bool open;
    if (!emu_window_look(cpl_str_of(cron), cpl_json_get_str(configuration, "TimeZone"), now, &open, &problem)) {
        fail(out, "ConfigurationError", "%s", problem);
    } else if (!open) {
        fail(out, "RuleFailed", "The time is outside the deployment window %s", cron);
    } else {
        snprintf(out->message, sizeof out->message, "The time is within the deployment window %s", cron);
    }
}

#define PATTERN_MAX 1000

/* Counts in braces are refused: the C library unfolds them, and a short pattern could fill the memory. */
static bool matches(cpl_str value, const char *pattern, bool *understood) {
    regex_t compiled;
    bool found;
    *understood = strlen(pattern) <= PATTERN_MAX && strchr(pattern, '{') == NULL &&
                  regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) == 0;
    if (!*understood) return false;
    found = regexec(&compiled, value.p ? value.p : "", 0, NULL, 0) == 0;
    regfree(&compiled);
    return found;
}

static void look_at_variable(const cpl_json *configuration, emu_finding *out) {
    cpl_str value = cpl_json_get_str(configuration, "Variable"), how = cpl_json_get_str(configuration, "Operator");
    const char *want = EMU_GET(configuration, "Value");
    bool good, understood = true;
    if (cpl_str_is_nocase(how, "EQ")) {
        good = cpl_str_is(value, want);
    } else if (cpl_str_is_nocase(how, "NE")) {
        good = !cpl_str_is(value, want);
    } else if (cpl_str_is_nocase(how, "CONTAINS")) {
        good = value.p && strstr(value.p, want) != NULL;
    } else if (cpl_str_is_nocase(how, "MATCHES")) {
        good = matches(value, want, &understood);
    } else {
        fail(out, "ConfigurationError", "The Operator must be EQ, NE, CONTAINS or MATCHES");
        return;
    }
    if (!understood) {
        fail(out, "ConfigurationError", "The emulator takes as Value an extended regular expression without braces");
    } else if (!good) {
        fail(out, "RuleFailed", "The variable is \"%s\"; %.8s \"%s\" does not hold", value.p ? value.p : "",
             how.p ? how.p : "", want);
    } else {
        snprintf(out->message, sizeof out->message, "The variable is \"%s\"", value.p ? value.p : "");
    }
}

bool emu_rule_look(const emu_engine *engine, const char *provider, const cpl_json *configuration, emu_finding *out) {
    *out = (emu_finding){.holds = true};
    if (strcmp(provider, "DeploymentWindow") == 0) {
        look_at_window(engine, configuration, out);
    } else if (strcmp(provider, "VariableCheck") == 0) {
        look_at_variable(configuration, out);
    } else {
        return false;
    }
    out->message[cpl_utf8_cut(cpl_str_of(out->message), sizeof out->message - 4)] = '\0';
    return true;
}
