/* SPDX-License-Identifier: MIT */
#include "git.h"

/*
 * The glob patterns of trigger filters, as "Working with glob patterns in syntax" of the user guide has them:
 *
 *   *      any characters of one name: up to the next /
 *   **     any characters; with a / behind it at the beginning of a name also no folder at all
 *   ?      one character, but no /
 *   [a-c]  one of these, [!a-c] none of them, and no / either; in between, * ? and \ stand for themselves
 *   {a,b}  one of these; groups do not nest
 *   \      the next character as it is
 *
 * What is not closed stands for itself. A text is read once, with all the places in the pattern at which it may be:
 * that takes tokens times characters, whatever the pattern.
 */

#define TOKENS_MAX 255 /* the model's limit for a pattern's characters */

typedef enum token_kind { CHARACTER, ANY, SET, STAR, DEEP, FOLDERS, OPEN, COMMA, CLOSE, END } token_kind;

typedef struct token {
    token_kind kind;
    uint32_t c;  /* CHARACTER */
    cpl_str set; /* SET */
    size_t to;   /* OPEN, COMMA: the next COMMA of the group, or its CLOSE */
} token;

typedef struct glob {
    token tokens[TOKENS_MAX + 1];
    size_t n; /* without END */
} glob;

static uint32_t take(cpl_str *rest) {
    unsigned char lead = (unsigned char)rest->p[0];
    size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? lead : lead & (0x7fu >> n);
    for (size_t i = 1; i < n && i < rest->n; i++) c = c << 6 | ((unsigned char)rest->p[i] & 0x3f);
    *rest = cpl_str_sub(*rest, n, rest->n);
    return c;
}

static bool take_if(cpl_str *rest, char c) {
    if (rest->n == 0 || rest->p[0] != c) return false;
    *rest = cpl_str_sub(*rest, 1, rest->n);
    return true;
}

/* ---- the pattern ---- */

static token next_token(cpl_str *rest, bool begins_name, bool in_group) {
    token t = {.kind = CHARACTER, .c = take(rest)};
    size_t close = cpl_str_find(*rest, ']');
    if (t.c == '?') {
        t.kind = ANY;
    } else if (t.c == '*') {
        t.kind = take_if(rest, '*') ? DEEP : STAR;
        if (t.kind == DEEP && begins_name && take_if(rest, '/')) t.kind = FOLDERS;
    } else if (t.c == '[' && close < rest->n) {
        t.kind = SET;
        t.set = cpl_str_sub(*rest, 0, close);
        *rest = cpl_str_sub(*rest, close + 1, rest->n);
    } else if (t.c == '\\' && rest->n > 0) {
        t.c = take(rest);
    } else if (t.c == '{' && !in_group) {
        t.kind = OPEN;
    } else if (t.c == ',' && in_group) {
        t.kind = COMMA;
    } else if (t.c == '}' && in_group) {
        t.kind = CLOSE;
    }
    return t;
}

/* Links what divides a group; a group that is not closed is none. */
static void link_groups(glob *g) {
    size_t last = g->n;
    for (size_t i = g->n; i-- > 0;) {
        token *t = &g->tokens[i];
        if (t->kind == CLOSE) last = i;
        if (t->kind != OPEN && t->kind != COMMA) continue;
        t->to = last;
        if (last == g->n) {
            t->kind = CHARACTER;
        } else {
            last = t->kind == OPEN ? g->n : i;
        }
    }
}

static bool read_pattern(glob *g, cpl_str rest) {
    bool begins_name = true, in_group = false;
    for (g->n = 0; rest.n > 0; g->n++) {
        token t;
        if (g->n == TOKENS_MAX) return false;
        t = g->tokens[g->n] = next_token(&rest, begins_name, in_group);
        begins_name = t.kind == FOLDERS || (t.kind == CHARACTER && t.c == '/');
        if (t.kind == OPEN || t.kind == CLOSE) in_group = t.kind == OPEN;
    }
    g->tokens[g->n] = (token){.kind = END};
    link_groups(g);
    return true;
}

/* ---- the text ---- */

/* Who stands in front of a token that may be nothing stands behind it, too. */
static void enter(const glob *g, bool *places, size_t i) {
    const token *t = &g->tokens[i];
    if (places[i]) return;
    places[i] = true;
    switch (t->kind) {
    case STAR:
    case DEEP:
    case FOLDERS:
    case CLOSE: enter(g, places, i + 1); break;
    case OPEN:
        for (; t->kind != CLOSE; t = &g->tokens[t->to]) enter(g, places, (size_t)(t - g->tokens) + 1);
        break;
    case COMMA:
        while (t->kind != CLOSE) t = &g->tokens[t->to];
        enter(g, places, (size_t)(t - g->tokens));
        break;
    default: break;
    }
}

static bool in_set(cpl_str set, uint32_t c) {
    bool negated = take_if(&set, '!'), found = false;
    while (set.n > 0) {
        uint32_t from = take(&set), to = from;
        if (set.n > 1 && take_if(&set, '-')) to = take(&set);
        found = found || (from <= c && c <= to);
    }
    return found != negated;
}

/* From one place, over one character. */
static void step(const glob *g, size_t i, uint32_t c, bool *next) {
    const token *t = &g->tokens[i];
    switch (t->kind) {
    case CHARACTER:
        if (t->c == c) enter(g, next, i + 1);
        break;
    case ANY:
        if (c != '/') enter(g, next, i + 1);
        break;
    case SET:
        if (c != '/' && in_set(t->set, c)) enter(g, next, i + 1);
        break;
    case STAR:
        if (c != '/') enter(g, next, i);
        break;
    case DEEP: enter(g, next, i); break;
    case FOLDERS: /* only a whole name may follow */
        next[i] = true;
        if (c == '/') enter(g, next, i + 1);
        break;
    default: break;
    }
}

bool emu_glob_matches(cpl_str pattern, cpl_str text) {
    bool places[2][TOKENS_MAX + 1] = {{false}};
    glob g;
    int now = 0;
    if (!read_pattern(&g, pattern)) return false;
    enter(&g, places[now], 0);
    while (text.n > 0) {
        uint32_t c = take(&text);
        memset(places[!now], 0, sizeof places[0]);
        for (size_t i = 0; i < g.n; i++) {
            if (places[now][i]) step(&g, i, c, places[!now]);
        }
        now = !now;
    }
    return places[now][g.n];
}
