/* SPDX-License-Identifier: MIT */
#include "../../core/xml.h"

#include "test.h"

static cpl_xml *parse(const char *text) {
    cpl_xml *xml = NULL;
    cpl_error err;
    CHECK(cpl_xml_parse(cpl_str_of(text), &xml, &err) == CPL_OK);
    return xml;
}

static void refuses(const char *text, cpl_status status, const char *message) {
    cpl_xml *xml = NULL;
    cpl_error err;
    CHECK(cpl_xml_parse(cpl_str_of(text), &xml, &err) == status);
    CHECK(xml == NULL);
    CHECK_STR(err.message, message);
}

TEST(t_xml__elements_are_found_by_path_whatever_their_namespace_prefix) {
    cpl_xml *xml =
        parse("<?xml version='1.0'?><s:Error xmlns:s='u'><Code>NoSuchKey</Code><Key>a&amp;b</Key></s:Error>");
    NEED(xml);
    CHECK(cpl_str_is(cpl_xml_text(xml, cpl_xml_find(xml, "Error/Code")), "NoSuchKey"));
    CHECK(cpl_str_is(cpl_xml_text(xml, cpl_xml_find(xml, "Error/Key")), "a&b"));
    CHECK(cpl_xml_find(xml, "Error/Code/Deeper") == -1);
    CHECK(cpl_xml_find(xml, "Code") == -1);
    CHECK(cpl_xml_text(xml, -1).p == NULL);
    cpl_xml_free(xml);
}

TEST(t_xml__repeated_elements_are_walked_past_their_neighbours) {
    cpl_xml *xml = parse("<L><I><K>1</K><I><K>inner</K></I></I><Other/><I><K>2</K></I></L>");
    char seen[32] = "";
    NEED(xml);
    for (int i = cpl_xml_find(xml, "L/I"); i >= 0; i = cpl_xml_next(xml, i)) {
        cpl_str key = cpl_xml_text(xml, cpl_xml_child(xml, i, "K"));
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.*s,", (int)key.n, key.p);
    }
    CHECK_STR(seen, "1,2,");
    cpl_xml_free(xml);
}

TEST(t_xml__text_in_pieces_and_cdata_is_joined_and_children_do_not_mix_in) {
    cpl_xml *xml = parse("<a>x<b>inner</b>y<![CDATA[<&]]>&#x41;</a>");
    NEED(xml);
    CHECK(cpl_str_is(cpl_xml_text(xml, 0), "xy<&A"));
    cpl_xml_free(xml);
}

TEST(t_xml__a_document_type_is_refused_and_so_are_its_entities) {
    refuses("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", CPL_PROTOCOL,
            "the XML document, line 1: a document type is not accepted");
    refuses("<a>&x;</a>", CPL_PROTOCOL, "the XML document, line 1: undefined entity");
}

TEST(t_xml__what_is_not_well_formed_is_refused) {
    refuses("", CPL_PROTOCOL, "the XML document, line 1: no element found");
    refuses("<a><b></a>", CPL_PROTOCOL, "the XML document, line 1: mismatched tag");
    refuses("<a></a><b/>", CPL_PROTOCOL, "the XML document, line 1: junk after document element");
    refuses("<a>\xff</a>", CPL_PROTOCOL, "the XML document, line 1: not well-formed (invalid token)");
}

TEST(t_xml__levels_are_bounded) {
    char text[8 * (CPL_XML_DEPTH_MAX + 1)] = "";
    for (int i = 0; i < CPL_XML_DEPTH_MAX; i++) snprintf(text + 3 * i, 4, "<a>");
    snprintf(text + 3 * CPL_XML_DEPTH_MAX, 5, "<a/>");
    refuses(text, CPL_TOO_LARGE, "the XML document, line 1: more levels than a reader of S3 needs");
}

TEST(t_xml__every_failing_allocation_is_reported) {
    cpl_str text = CPL_LIT("<a><b>one</b><c>two</c></a>");
    size_t n = 0;
    bool done = false;
    while (!done && n < 200) {
        cpl_xml *xml = NULL;
        cpl_error err;
        cpl_status status;
        cpl_alloc_fail_at(++n);
        status = cpl_xml_parse(text, &xml, &err);
        cpl_alloc_fail_at(0);
        done = status == CPL_OK;
        if (!done) CHECK(status == CPL_NOMEM);
        cpl_xml_free(xml);
    }
    CHECK(done && n > 5);
}

TEST(t_xml__written_text_reads_back) {
    cpl_buf buf;
    cpl_xml *xml;
    cpl_buf_init(&buf, 1000);
    cpl_xml_add_element(&buf, "Key", CPL_LIT("a<b>&\"\r\n\t'c"));
    xml = parse(cpl_buf_cstr(&buf));
    NEED(xml);
    CHECK(cpl_str_is(cpl_xml_text(xml, 0), "a<b>&\"\r\n\t'c"));
    cpl_xml_free(xml);
    cpl_buf_release(&buf);
}

TEST_MAIN
