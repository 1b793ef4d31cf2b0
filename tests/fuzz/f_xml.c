/* SPDX-License-Identifier: MIT */
/* XML as S3 and STS answer it, and as clients of S3 send it. */
#include "../../core/xml.h"
#include "fuzz.h"

static void look(const cpl_xml *xml) {
    static const char *const paths[] = {"Error/Code",
                                        "Error/Message",
                                        "Delete/Object",
                                        "Delete/Object/Key",
                                        "CompleteMultipartUpload/Part/PartNumber",
                                        "a/b/c/d/e/f/g"};
    for (size_t i = 0; i < CPL_COUNT(paths); i++) {
        for (int at = cpl_xml_find(xml, paths[i]); at >= 0; at = cpl_xml_next(xml, at)) {
            MUST(cpl_utf8_valid(cpl_xml_text(xml, at)) && cpl_xml_name(xml, at).n > 0);
            cpl_xml_child(xml, at, "Key");
        }
    }
    MUST(cpl_xml_text(xml, -1).p == NULL);
}

/* The text of the root comes back as it was when it is written and read. */
static void write_again(cpl_str text) {
    cpl_xml *again = NULL;
    cpl_buf out;
    cpl_buf_init(&out, CPL_XML_SIZE_MAX);
    cpl_xml_add_element(&out, "root", text);
    if (cpl_buf_ok(&out) && cpl_xml_parse(cpl_buf_str(&out), &again, NULL) == CPL_OK)
        MUST(cpl_str_eq(cpl_xml_text(again, 0), text));
    cpl_xml_free(again);
    cpl_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cpl_xml *xml = NULL;
    cpl_error err = {0};
    cpl_status status = cpl_xml_parse(input_of(data, size), &xml, &err);
    MUST(status == CPL_OK || status == CPL_PROTOCOL || status == CPL_TOO_LARGE);
    if (status == CPL_OK) {
        look(xml);
        write_again(cpl_xml_text(xml, 0));
    }
    cpl_xml_free(xml);
    return 0;
}
