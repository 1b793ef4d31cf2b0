/* SPDX-License-Identifier: MIT */
#include "message.h"

#include <poll.h>

#define HEAD_MAX ((size_t)64 << 10)

bool emu_request_is_api(const emu_request *request) {
    return cpl_str_is(request->method, "POST") && (request->path.n == 0 || cpl_str_is(request->path, "/"));
}

bool emu_request_is_webhook(const emu_request *request) {
    return cpl_str_starts(request->path, EMU_WEBHOOK_PATH);
}

cpl_str emu_request_header(const emu_request *request, const char *name) {
    for (size_t i = 0; i < request->header_count; i++) {
        if (cpl_str_is_nocase(request->headers[i].name, name)) return cpl_str_trim(request->headers[i].value);
    }
    return (cpl_str){NULL, 0};
}

bool emu_socket_left(int socket) {
    struct pollfd at = {.fd = socket, .events = POLLRDHUP};
    return poll(&at, 1, 0) > 0 && (at.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void emu_response_init(emu_response *response) {
    *response = (emu_response){.status = 200, .size = -1};
    cpl_buf_init(&response->head, HEAD_MAX);
    cpl_buf_init(&response->body, EMU_ANSWER_MAX);
}

void emu_response_release(emu_response *response) {
    cpl_buf_wipe(&response->body);
    cpl_buf_release(&response->body);
    cpl_buf_release(&response->head);
}

void emu_response_header(emu_response *response, const char *name, cpl_str value) {
    cpl_buf_add(&response->head, name, strlen(name) + 1);
    cpl_buf_addv(&response->head, value);
    cpl_buf_addc(&response->head, '\0');
}

bool emu_response_header_at(const emu_response *response, size_t i, cpl_str *name, cpl_str *value) {
    const char *at = response->head.p, *end = at + response->head.n;
    for (; at < end; i--) {
        *name = cpl_str_of(at);
        *value = cpl_str_of(at + name->n + 1);
        if (i == 0) return true;
        at = value->p + value->n + 1;
    }
    return false;
}
