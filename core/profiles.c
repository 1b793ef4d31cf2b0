/* SPDX-License-Identifier: MIT */
#include "profiles.h"

#include "err.h"

#define TEXT_MAX ((size_t)1 << 20)

/* ---- what was read ---- */

void cpl_profiles_init(cpl_profiles *profiles) {
    *profiles = (cpl_profiles){.sections = NULL};
}

static void wipe_and_free(char *text) {
    if (text) cpl_wipe(text, strlen(text));
    cpl_free(text);
}

void cpl_profiles_release(cpl_profiles *profiles) {
    for (size_t i = 0; i < profiles->section_count; i++) cpl_free(profiles->sections[i].name);
    for (size_t i = 0; i < profiles->property_count; i++) {
        cpl_free(profiles->properties[i].key);
        wipe_and_free(profiles->properties[i].value);
    }
    cpl_free(profiles->sections);
    cpl_free(profiles->properties);
    cpl_profiles_init(profiles);
}

static bool has_prefixed_default(const cpl_profiles *profiles) {
    for (size_t i = 0; i < profiles->section_count; i++) {
        const cpl_section *s = &profiles->sections[i];
        if (s->kind == CPL_SECTION_PROFILE && s->prefixed && strcmp(s->name, "default") == 0) return true;
    }
    return false;
}

static bool is_section(const cpl_profiles *profiles, const cpl_section *s, cpl_section_kind kind, const char *name) {
    if (s->kind != kind || strcmp(s->name, name) != 0) return false;
    return !s->plain || !has_prefixed_default(profiles);
}

bool cpl_profiles_has(const cpl_profiles *profiles, cpl_section_kind kind, const char *name) {
    for (size_t i = 0; i < profiles->section_count; i++) {
        if (is_section(profiles, &profiles->sections[i], kind, name)) return true;
    }
    return false;
}

/* In the file that beside is from, unless it is NULL. */
static const cpl_property *find(const cpl_profiles *profiles, cpl_section_kind kind, const char *name, const char *key,
                                const cpl_property *beside) {
    for (size_t i = profiles->property_count; i-- > 0;) {
        const cpl_property *p = &profiles->properties[i];
        const cpl_section *s = &profiles->sections[p->section];
        if (beside && profiles->sections[beside->section].file != s->file) continue;
        if (strcmp(p->key, key) == 0 && is_section(profiles, s, kind, name)) return p;
    }
    return NULL;
}

const char *cpl_profiles_find(const cpl_profiles *profiles, cpl_section_kind kind, const char *name, const char *key) {
    const cpl_property *found = find(profiles, kind, name, key, NULL);
    return found ? found->value : NULL;
}

const char *cpl_profiles_find_beside(const cpl_profiles *profiles, cpl_section_kind kind, const char *name,
                                     const char *key, const char *beside) {
    const cpl_property *other = find(profiles, kind, name, beside, NULL);
    const cpl_property *found = other ? find(profiles, kind, name, key, other) : NULL;
    return found ? found->value : NULL;
}

/* The list with room for one more; NULL when out of memory, and then list stays as it was. */
static void *grown(void *list, size_t count, size_t *cap, size_t size) {
    size_t wider = *cap ? *cap * 2 : 16;
    void *moved;
    if (count < *cap) return list;
    moved = cpl_realloc(list, wider * size);
    if (moved) *cap = wider;
    return moved;
}

/* ---- reading ---- */

typedef struct parser {
    cpl_profiles *profiles;
    cpl_profile_file file;
    const char *path;
    size_t line;
    cpl_error *err;
    bool in_section;
    bool ignored; /* the section is one that nobody asks for */
    /* the property that the next line may continue */
    bool in_property;
    bool nested;   /* it began with nothing, so what follows are properties of its own */
    size_t indent; /* of its line; what stands further right continues it */
    cpl_str key;
    cpl_buf value;
} parser;

static cpl_status fail(const parser *p, const char *what) {
    return cpl_fail(p->err, CPL_CONFIG, "\"%s\" line %zu: %s", p->path, p->line, what);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static size_t indent_of(cpl_str line) {
    size_t n = 0;
    while (n < line.n && is_blank(line.p[n])) n++;
    return n;
}

static bool is_name(cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr("_-/.%@:+", c) == NULL)) return false;
    }
    return text.n > 0;
}

/* The trimmed line without its comment; in a value only what follows a blank is one. */
static cpl_str without_comment(cpl_str line, bool after_blank) {
    line = cpl_str_trim(line);
    for (size_t i = 0; i < line.n; i++) {
        bool mark = line.p[i] == '#' || line.p[i] == ';';
        if (mark && (!after_blank || i == 0 || is_blank(line.p[i - 1]))) return cpl_str_trim(cpl_str_sub(line, 0, i));
    }
    return line;
}

/* "parent key" or "key", in lower case. */
static char *make_key(cpl_str parent, cpl_str key) {
    cpl_buf text;
    char *made;
    cpl_buf_init(&text, TEXT_MAX);
    cpl_buf_addv(&text, parent);
    if (parent.n > 0) cpl_buf_addc(&text, ' ');
    cpl_buf_addv(&text, key);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] >= 'A' && text.p[i] <= 'Z') text.p[i] = (char)(text.p[i] - 'A' + 'a');
    }
    made = cpl_buf_detach(&text);
    cpl_buf_release(&text);
    return made;
}

static cpl_status add_property(parser *p, cpl_str parent, cpl_str key, cpl_str value) {
    cpl_profiles *all = p->profiles;
    cpl_property *property;
    if (p->ignored) return CPL_OK;
    property = grown(all->properties, all->property_count, &all->property_cap, sizeof *property);
    if (property == NULL) return cpl_fail_nomem(p->err);
    all->properties = property;
    property += all->property_count++; /* whole or half made: release frees it */
    *property = (cpl_property){all->section_count - 1, make_key(parent, key), cpl_strdup(value)};
    return property->key && property->value ? CPL_OK : cpl_fail_nomem(p->err);
}

static cpl_status end_property(parser *p) {
    cpl_status status = CPL_OK;
    if (p->in_property && is_name(p->key)) {
        status = cpl_buf_status(&p->value, "a property", p->err);
        if (status == CPL_OK) status = add_property(p, (cpl_str){NULL, 0}, p->key, cpl_buf_str(&p->value));
    }
    p->in_property = false;
    cpl_buf_wipe(&p->value);
    return status;
}

/* The name a section has in quotes, as "aws configure" writes it where the name has a blank; false: there are none. */
static bool unquote(cpl_str *name) {
    cpl_str inside = cpl_str_sub(*name, 1, name->n > 1 ? name->n - 1 : 1);
    char quote = name->n > 2 ? name->p[0] : '\0';
    if ((quote != '"' && quote != '\'') || name->p[name->n - 1] != quote) return false;
    if (cpl_str_find(inside, quote) < inside.n) return false;
    *name = inside;
    return true;
}

static const struct prefix {
    const char *word;
    cpl_section_kind kind;
} prefixes[] = {
    {"profile", CPL_SECTION_PROFILE}, {"sso-session", CPL_SECTION_SSO_SESSION}, {"services", CPL_SECTION_SERVICES}};

/* "profile x" -> PROFILE and "x"; false when nothing is to be read from a section of that title. */
static bool read_title(const parser *p, cpl_str title, cpl_section *out, cpl_str *name) {
    *out = (cpl_section){.kind = CPL_SECTION_PROFILE, .file = p->file};
    *name = title;
    if (p->file == CPL_FILE_CREDENTIALS) return is_name(title);
    out->plain = cpl_str_is(title, "default");
    if (out->plain) return true;
    for (size_t i = 0; i < CPL_COUNT(prefixes); i++) {
        size_t n = strlen(prefixes[i].word);
        if (!cpl_str_starts(title, prefixes[i].word) || n == title.n || !is_blank(title.p[n])) continue;
        out->kind = prefixes[i].kind;
        out->prefixed = true;
        *name = cpl_str_trim(cpl_str_sub(title, n, title.n));
        return unquote(name) || is_name(*name);
    }
    return false;
}

static cpl_status add_section(parser *p, cpl_section section, cpl_str name) {
    cpl_profiles *all = p->profiles;
    cpl_section *list = grown(all->sections, all->section_count, &all->section_cap, sizeof *list);
    if (list == NULL) return cpl_fail_nomem(p->err);
    all->sections = list;
    section.name = cpl_strdup(name);
    if (section.name == NULL) return cpl_fail_nomem(p->err);
    list[all->section_count++] = section;
    return CPL_OK;
}

static cpl_status read_section_line(parser *p, cpl_str line) {
    cpl_section section;
    cpl_str name;
    cpl_status status = end_property(p);
    if (status) return status;
    line = without_comment(line, false);
    if (!cpl_str_ends(line, "]")) return fail(p, "a profile definition must end with \"]\"");
    p->in_section = true;
    p->ignored = !read_title(p, cpl_str_trim(cpl_str_sub(line, 1, line.n - 1)), &section, &name);
    return p->ignored ? CPL_OK : add_section(p, section, name);
}

typedef struct pair {
    cpl_str key, value;
} pair;

static cpl_status split(const parser *p, cpl_str line, bool nested, pair *out) {
    size_t equals;
    line = without_comment(line, true);
    equals = cpl_str_find(line, '=');
    if (equals == line.n)
        return fail(p,
                    nested ? "expected a nested property, \"name = value\"" : "expected a property, \"name = value\"");
    out->key = cpl_str_trim(cpl_str_sub(line, 0, equals));
    out->value = cpl_str_trim(cpl_str_sub(line, equals + 1, line.n));
    if (out->key.n == 0) return fail(p, nested ? "a nested property has no name" : "a property has no name");
    return CPL_OK;
}

static cpl_status read_property_line(parser *p, cpl_str line) {
    pair property;
    cpl_status status;
    if (!p->in_section) return fail(p, "expected a profile definition, found a property");
    status = end_property(p);
    if (status == CPL_OK) status = split(p, line, false, &property);
    if (status) return status;
    p->in_property = true;
    p->nested = property.value.n == 0;
    p->indent = indent_of(line);
    p->key = property.key;
    cpl_buf_addv(&p->value, property.value);
    return CPL_OK;
}

static cpl_status read_continuation(parser *p, cpl_str line) {
    pair nested;
    cpl_status status = CPL_OK;
    if (!p->in_section) return fail(p, "expected a profile definition, found a continuation");
    if (!p->in_property) return fail(p, "expected a property, found a continuation");
    if (p->nested) {
        status = split(p, line, true, &nested);
        if (status == CPL_OK && is_name(p->key)) status = add_property(p, p->key, nested.key, nested.value);
    }
    cpl_buf_addc(&p->value, '\n');
    cpl_buf_addv(&p->value, cpl_str_trim(line));
    return status;
}

/* Whether a line begins something of its own. Whole sections may be indented: the AWS CLI reads them. */
static bool is_new(const parser *p, cpl_str line) {
    size_t indent = indent_of(line);
    if (p->in_property) return indent <= p->indent;
    return indent == 0 || line.p[indent] == '[' || (p->in_section && cpl_str_find(line, '=') < line.n);
}

/* Behind blanks, too, where nothing else could begin with its mark: not in a value that goes on. */
static bool is_comment(const parser *p, cpl_str line) {
    cpl_str text = p->in_property && !p->nested && !is_new(p, line) ? line : cpl_str_trim(line);
    return text.n > 0 && (text.p[0] == '#' || text.p[0] == ';');
}

static cpl_status read_line(parser *p, cpl_str line) {
    if (line.n > 0 && line.p[line.n - 1] == '\r') line.n--;
    if (cpl_str_trim(line).n == 0 || is_comment(p, line)) return CPL_OK;
    if (!is_new(p, line)) return read_continuation(p, line);
    return line.p[indent_of(line)] == '[' ? read_section_line(p, line) : read_property_line(p, line);
}

cpl_status cpl_profiles_parse(cpl_profiles *profiles, cpl_profile_file file, const char *path, cpl_str text,
                              cpl_error *err) {
    parser p = {.profiles = profiles, .file = file, .path = path, .err = err};
    cpl_status status = CPL_OK;
    if (cpl_str_find(text, '\0') < text.n) return cpl_fail(err, CPL_CONFIG, "\"%s\" is not a text file", path);
    cpl_buf_init(&p.value, TEXT_MAX);
    for (size_t from = 0; from < text.n && status == CPL_OK;) {
        cpl_str rest = cpl_str_sub(text, from, text.n);
        cpl_str line = cpl_str_sub(rest, 0, cpl_str_find(rest, '\n'));
        p.line++;
        status = read_line(&p, line);
        from += line.n + 1;
    }
    if (status == CPL_OK) status = end_property(&p);
    cpl_buf_wipe(&p.value);
    cpl_buf_release(&p.value);
    return status;
}
