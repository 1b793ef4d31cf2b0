/* SPDX-License-Identifier: MIT */
#include "xml.h"

#include <expat.h>

#include "err.h"
#include "late.h"

/* ---- expat, loaded with the first request to S3 or STS ---- */

_Static_assert(XML_MAJOR_VERSION == 2, "all of expat 2 has this name; another may not");

/* clang-format off */
#define FUNCTIONS(X)                                                                                            \
    X(XML_ErrorString) X(XML_GetCurrentLineNumber) X(XML_GetErrorCode) X(XML_Parse) X(XML_ParserCreate_MM)       \
    X(XML_ParserFree) X(XML_SetCharacterDataHandler) X(XML_SetElementHandler) X(XML_SetStartDoctypeDeclHandler)  \
    X(XML_SetUserData) X(XML_StopParser)
/* clang-format on */

static const char *const lib_names[] = {FUNCTIONS(CPL_LATE_NAME)};
static struct { FUNCTIONS(CPL_LATE_POINTER) } lib = {FUNCTIONS(CPL_LATE_ITSELF)};
static cpl_late library = {.called = "expat",
                           .files = {"libexpat.so.1"},
                           .names = lib_names,
                           .count = CPL_COUNT(lib_names),
                           .table = &lib,
                           .once = PTHREAD_ONCE_INIT};

cpl_status cpl_xml_need(cpl_error *err) {
    return cpl_late_need(&library, err);
}

/* ---- reading ---- */

typedef struct element {
    int parent;
    size_t name; /* offsets into xml->text, NUL-terminated */
    size_t text;
    size_t text_size;
} element;

struct cpl_xml {
    element *elements;
    int count, cap;
    cpl_buf text; /* names and contents */
};

typedef struct reader {
    XML_Parser parser;
    cpl_xml *xml;
    int stack[CPL_XML_DEPTH_MAX]; /* open elements, outermost first */
    cpl_buf open[CPL_XML_DEPTH_MAX];
    int depth;
    cpl_status failed;
    const char *reason;
} reader;

static void stop(reader *r, cpl_status status, const char *reason) {
    if (r->failed == CPL_OK) {
        r->failed = status;
        r->reason = reason;
    }
    lib.XML_StopParser(r->parser, XML_FALSE);
}

/* Keeps n bytes and a NUL; answers where. */
static size_t keep(cpl_xml *xml, const char *p, size_t n) {
    size_t at = xml->text.n;
    cpl_buf_add(&xml->text, p, n);
    cpl_buf_addc(&xml->text, '\0');
    return at;
}

static bool grow(cpl_xml *xml) {
    int cap = xml->cap ? xml->cap * 2 : 32;
    element *more;
    if (xml->count < xml->cap) return true;
    more = cpl_realloc(xml->elements, (size_t)cap * sizeof *more);
    if (more == NULL) return false;
    xml->elements = more;
    xml->cap = cap;
    return true;
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes) {
    reader *r = context;
    cpl_xml *xml = r->xml;
    const char *colon = strrchr(name, ':');
    const char *local = colon ? colon + 1 : name;
    (void)attributes;
    if (r->depth == CPL_XML_DEPTH_MAX) {
        stop(r, CPL_TOO_LARGE, "more levels than a reader of S3 needs");
        return;
    }
    if (!grow(xml)) {
        stop(r, CPL_NOMEM, "out of memory");
        return;
    }
    xml->elements[xml->count] =
        (element){.parent = r->depth > 0 ? r->stack[r->depth - 1] : -1, .name = keep(xml, local, strlen(local))};
    cpl_buf_clear(&r->open[r->depth]);
    r->stack[r->depth++] = xml->count++;
}

static void XMLCALL on_end(void *context, const XML_Char *name) {
    reader *r = context;
    cpl_buf *open;
    element *e;
    (void)name;
    if (r->failed) return; /* expat still ends an empty element whose start stopped it */
    open = &r->open[--r->depth];
    e = &r->xml->elements[r->stack[r->depth]];
    if (!cpl_buf_ok(open)) stop(r, open->failed, "out of memory");
    e->text = keep(r->xml, cpl_buf_cstr(open), open->n);
    e->text_size = open->n;
}

static void XMLCALL on_text(void *context, const XML_Char *p, int n) {
    reader *r = context;
    if (r->depth > 0) cpl_buf_add(&r->open[r->depth - 1], p, (size_t)n);
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *system, const XML_Char *public,
                               int internal) {
    (void)name, (void)system, (void)public, (void)internal;
    stop(context, CPL_PROTOCOL, "a document type is not accepted");
}

static cpl_status read_all(reader *r, cpl_str text, cpl_error *err) {
    lib.XML_SetUserData(r->parser, r);
    lib.XML_SetElementHandler(r->parser, on_start, on_end);
    lib.XML_SetCharacterDataHandler(r->parser, on_text);
    lib.XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    if (lib.XML_Parse(r->parser, text.p ? text.p : "", (int)text.n, XML_TRUE) == XML_STATUS_OK)
        return cpl_buf_status(&r->xml->text, "the XML document", err);
    if (r->failed == CPL_NOMEM || lib.XML_GetErrorCode(r->parser) == XML_ERROR_NO_MEMORY) return cpl_fail_nomem(err);
    return cpl_fail(err, r->failed ? r->failed : CPL_PROTOCOL, "the XML document, line %lu: %s",
                    lib.XML_GetCurrentLineNumber(r->parser),
                    r->reason ? r->reason : lib.XML_ErrorString(lib.XML_GetErrorCode(r->parser)));
}

cpl_status cpl_xml_parse(cpl_str text, cpl_xml **out, cpl_error *err) {
    static const XML_Memory_Handling_Suite memory = {cpl_malloc, cpl_realloc, cpl_free};
    reader r = {.xml = NULL};
    cpl_status status;
    *out = NULL;
    if (text.n > CPL_XML_SIZE_MAX)
        return cpl_fail(err, CPL_TOO_LARGE, "the XML document is larger than %zu bytes", CPL_XML_SIZE_MAX);
    status = cpl_xml_need(err);
    if (status) return status;
    r.xml = cpl_calloc(1, sizeof *r.xml);
    r.parser = lib.XML_ParserCreate_MM("UTF-8", &memory, NULL);
    for (size_t i = 0; i < CPL_COUNT(r.open); i++) cpl_buf_init(&r.open[i], CPL_XML_SIZE_MAX);
    if (r.xml == NULL || r.parser == NULL) {
        status = cpl_fail_nomem(err);
    } else {
        cpl_buf_init(&r.xml->text, 4 * CPL_XML_SIZE_MAX);
        status = read_all(&r, text, err);
    }
    for (size_t i = 0; i < CPL_COUNT(r.open); i++) {
        cpl_buf_wipe(&r.open[i]);
        cpl_buf_release(&r.open[i]);
    }
    if (r.parser) lib.XML_ParserFree(r.parser);
    if (status == CPL_OK) {
        *out = r.xml;
    } else {
        cpl_xml_free(r.xml);
    }
    return status;
}

void cpl_xml_free(cpl_xml *xml) {
    if (xml == NULL) return;
    cpl_buf_wipe(&xml->text);
    cpl_buf_release(&xml->text);
    cpl_free(xml->elements);
    cpl_free(xml);
}

cpl_str cpl_xml_name(const cpl_xml *xml, int i) {
    return i < 0 ? (cpl_str){NULL, 0} : cpl_str_of(xml->text.p + xml->elements[i].name);
}

cpl_str cpl_xml_text(const cpl_xml *xml, int i) {
    if (i < 0) return (cpl_str){NULL, 0};
    return (cpl_str){xml->text.p + xml->elements[i].text, xml->elements[i].text_size};
}

/* The first child of parent from element i on. Children of one parent need not be neighbours: theirs stand between. */
static int child_from(const cpl_xml *xml, int i, int parent, cpl_str name) {
    for (; i < xml->count; i++) {
        if (xml->elements[i].parent < parent) return -1; /* past the parent's last child */
        if (xml->elements[i].parent == parent && cpl_str_eq(cpl_xml_name(xml, i), name)) return i;
    }
    return -1;
}

int cpl_xml_child(const cpl_xml *xml, int i, const char *name) {
    return i < 0 ? -1 : child_from(xml, i + 1, i, cpl_str_of(name));
}

int cpl_xml_next(const cpl_xml *xml, int i) {
    return i < 0 ? -1 : child_from(xml, i + 1, xml->elements[i].parent, cpl_xml_name(xml, i));
}

int cpl_xml_find(const cpl_xml *xml, const char *path) {
    cpl_str rest = cpl_str_of(path);
    int at = -1;
    while (rest.n > 0) {
        size_t slash = cpl_str_find(rest, '/');
        at = child_from(xml, at + 1, at, cpl_str_sub(rest, 0, slash));
        if (at < 0) return -1;
        rest = cpl_str_sub(rest, slash + 1, rest.n);
    }
    return at;
}

void cpl_xml_add_text(cpl_buf *buf, cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        switch (c) {
        case '&': cpl_buf_adds(buf, "&amp;"); break;
        case '<': cpl_buf_adds(buf, "&lt;"); break;
        case '>': cpl_buf_adds(buf, "&gt;"); break;
        case '"': cpl_buf_adds(buf, "&quot;"); break;
        default:
            if (c < 32) {
                cpl_buf_addf(buf, "&#%d;", c);
            } else {
                cpl_buf_addc(buf, (char)c);
            }
        }
    }
}

void cpl_xml_add_element(cpl_buf *buf, const char *name, cpl_str text) {
    cpl_buf_addf(buf, "<%s>", name);
    cpl_xml_add_text(buf, text);
    cpl_buf_addf(buf, "</%s>", name);
}
