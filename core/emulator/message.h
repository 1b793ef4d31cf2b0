/* SPDX-License-Identifier: MIT */
/*
 * A request that arrived whole, and the answer to it: what server.c hands in and sends out. No HTTP library in sight,
 * so tests can make both by hand.
 */
#ifndef CPL_EMU_MESSAGE_H
#define CPL_EMU_MESSAGE_H

#include "emu.h"

#define EMU_API_BODY_MAX ((size_t)1 << 20)  /* POST / */
#define EMU_BODY_MAX ((size_t)512 << 20)    /* everything else */
#define EMU_ANSWER_MAX ((size_t)1024 << 20) /* an object and what comes with it */

typedef struct emu_request {
    cpl_str method;
    cpl_str path;  /* as it was sent: percent-encoded, without the query */
    cpl_str query; /* as it was sent, without '?' */
    const cpl_header *headers;
    size_t header_count;
    cpl_str body;
    bool too_large; /* the body passed its ceiling and was thrown away */
    cpl_str remote; /* the sender's address, "127.0.0.1" or "::1"; absent when it is not known */
    int socket;     /* of the connection, to see whether it still stands; negative when it is not known */
} emu_request;

/* A call of the CodePipeline API. */
bool emu_request_is_api(const emu_request *request);
/* Sent to a webhook's URL, whose path no bucket can have; everything else is S3. */
#define EMU_WEBHOOK_PATH "/_webhook/"
bool emu_request_is_webhook(const emu_request *request);
/* The value of the first header of that name, trimmed; the absent view when there is none. */
cpl_str emu_request_header(const emu_request *request, const char *name);
/* Whether the other side of a connection has closed it, or will send no more. */
bool emu_socket_left(int socket);

/* What becomes of an answer on its way; see faults.h. */
typedef enum emu_fate {
    EMU_FATE_SENT,
    EMU_FATE_RESET,
    EMU_FATE_CUT,
    EMU_FATE_STALL,   /* after so many bytes of its body; the connection stays */
    EMU_FATE_TRICKLE, /* so many bytes of its body a second */
    EMU_FATE_LATER    /* there is none yet: the request is handed in again, soon or when the server is woken */
} emu_fate;

typedef struct emu_response {
    int status;
    emu_fate fate;
    int bytes;    /* of that fate */
    cpl_buf head; /* name NUL value NUL ... */
    cpl_buf body;
    int64_t size;           /* HEAD: Content-Length, though there is no body; else -1 */
    char id[CPL_UUID_SIZE]; /* the request id */
} emu_response;

void emu_response_init(emu_response *response);
void emu_response_release(emu_response *response);
void emu_response_header(emu_response *response, const char *name, cpl_str value);
/* The i-th header; false past the end. */
bool emu_response_header_at(const emu_response *response, size_t i, cpl_str *name, cpl_str *value);

#endif
