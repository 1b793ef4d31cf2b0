/* SPDX-License-Identifier: MIT */
/*
 * The text of heads: what may be sent, and what an answer came with, which is lines of "name: value\n" in one buffer,
 * written once and searched a few times.
 */
#include "err.h"
#include "http.h"
#include "plain.h"

#define HEAD_USUAL 512

static bool is_token(cpl_str name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (alnum || c == '-') continue;
        if (c == '\0' || strchr("!#$%&'*+.^_`|~", c) == NULL) return false;
    }
    return name.n > 0;
}

cpl_status cpl_http_check_header(const cpl_header *header, cpl_error *err) {
    if (!is_token(header->name)) return cpl_fail(err, CPL_INVALID, "the name of a header cannot be sent");
    if (cpl_is_printable(header->value)) return CPL_OK;
    return cpl_fail(err, CPL_INVALID, "the header \"%.*s\" has a character that cannot be sent", (int)header->name.n,
                    header->name.p);
}

static void add_line(cpl_buf *head, cpl_str name, cpl_str value) {
    size_t n = name.n + 2 + value.n + 1;
    char *to = cpl_buf_reserve(head, head->n == 0 && n < HEAD_USUAL ? HEAD_USUAL : n);
    if (to == NULL) return;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        *to++ = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    *to++ = ':';
    *to++ = ' ';
    if (value.n > 0) memcpy(to, value.p, value.n);
    to[value.n] = '\n';
    cpl_buf_commit(head, n);
}

void cpl_http_head_add(cpl_buf *head, cpl_str line) {
    size_t colon = cpl_str_find(line, ':');
    cpl_str name = cpl_str_trim(cpl_str_sub(line, 0, colon));
    cpl_str value = cpl_str_trim(cpl_str_sub(line, colon + 1, line.n));
    if (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t')) { /* the old way to continue the line before */
        if (head->n == 0) return;
        cpl_buf_truncate(head, head->n - 1);
        cpl_buf_addc(head, ' ');
        cpl_buf_addv(head, cpl_str_trim(line));
        cpl_buf_addc(head, '\n');
    } else if (colon < line.n && name.n > 0) {
        add_line(head, name, value);
    }
}

/* Takes one line, without its end, off *rest; an empty view when there is none. */
static cpl_str next_line(cpl_str *rest) {
    cpl_str line = cpl_str_sub(*rest, 0, cpl_str_find(*rest, '\n'));
    *rest = cpl_str_sub(*rest, line.n + 1, rest->n);
    return line;
}

bool cpl_http_header_at(const cpl_http_response *response, size_t i, cpl_str *name, cpl_str *value) {
    cpl_str rest = cpl_buf_str(&response->head), line = next_line(&rest);
    while (i-- > 0 && line.n > 0) line = next_line(&rest);
    if (line.n == 0) return false;
    *name = cpl_str_sub(line, 0, cpl_str_find(line, ':'));
    *value = cpl_str_sub(line, name->n + 2, line.n);
    return true;
}

cpl_str cpl_http_header(const cpl_http_response *response, const char *wanted) {
    cpl_str rest = cpl_buf_str(&response->head), line;
    size_t n = strlen(wanted);
    while ((line = next_line(&rest)).n > 0) {
        if (line.n > n && line.p[n] == ':' && memcmp(line.p, wanted, n) == 0) return cpl_str_sub(line, n + 2, line.n);
    }
    return (cpl_str){NULL, 0};
}

void cpl_http_response_init(cpl_http_response *response) {
    *response = (cpl_http_response){0};
    cpl_buf_init(&response->body, SIZE_MAX / 2);
    cpl_buf_init(&response->head, CPL_HTTP_HEAD_MAX);
}

void cpl_http_response_clear(cpl_http_response *response) {
    cpl_buf_clear(&response->body);
    cpl_buf_clear(&response->head);
    response->status = 0;
    response->body_bytes = response->sent_bytes = 0;
    response->sent = response->reused = response->resent = response->cut = false;
}

void cpl_http_response_release(cpl_http_response *response) {
    cpl_buf_wipe(&response->body); /* the answer to a poll carries credentials */
    cpl_buf_release(&response->body);
    cpl_buf_release(&response->head);
}
