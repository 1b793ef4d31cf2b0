/* SPDX-License-Identifier: MIT */
/*
 * XML as S3 and STS speak it: small documents, read whole into a flat list of elements in document order. xml.c is the
 * only file that includes expat.h. Strict: a document type is refused (so there are no entities but the five of XML),
 * at most CPL_XML_DEPTH_MAX levels, CPL_XML_SIZE_MAX bytes. Namespace prefixes are dropped; attributes are ignored.
 *
 *     cpl_xml_text(xml, cpl_xml_find(xml, "Error/Code"))
 *     for (int i = cpl_xml_find(xml, "Delete/Object"); i >= 0; i = cpl_xml_next(xml, i))
 *         ... cpl_xml_text(xml, cpl_xml_child(xml, i, "Key"))
 */
#ifndef CPL_XML_H
#define CPL_XML_H

#include "buf.h"

#define CPL_XML_DEPTH_MAX 32
#define CPL_XML_SIZE_MAX ((size_t)8 << 20)

typedef struct cpl_xml cpl_xml;

/* CPL_IO when expat cannot be loaded: for those who want to know before they send what is answered so. */
cpl_status cpl_xml_need(cpl_error *err);
/* CPL_PROTOCOL when it is not XML, or has a document type; CPL_TOO_LARGE past a limit. */
cpl_status cpl_xml_parse(cpl_str text, cpl_xml **out, cpl_error *err);
void cpl_xml_free(cpl_xml *xml); /* NULL is fine; wipes (an STS answer has secrets) */

/* Elements are numbered from 0, the root. -1 stands for none, and every function takes it. */
/* The first element by its path from the root, root included: "Error/Code". */
int cpl_xml_find(const cpl_xml *xml, const char *path);
/* The first child of that name. */
int cpl_xml_child(const cpl_xml *xml, int element, const char *name);
/* The next sibling of the same name. */
int cpl_xml_next(const cpl_xml *xml, int element);
/* The text directly in the element, "" when it has none; the absent view for -1. Lives as long as xml. */
cpl_str cpl_xml_text(const cpl_xml *xml, int element);
cpl_str cpl_xml_name(const cpl_xml *xml, int element);

/* Writing: text with & < > " and control characters escaped, and a whole <name>text</name>. */
void cpl_xml_add_text(cpl_buf *buf, cpl_str text);
void cpl_xml_add_element(cpl_buf *buf, const char *name, cpl_str text);

#endif
