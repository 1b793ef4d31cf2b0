/* SPDX-License-Identifier: MIT */
/*
 * HTTP on loopback. Reads whole requests on a few threads, hands each to one function, sends the answer. server.c is
 * the only file that includes microhttpd.h. A sender that is slow, silent or many holds up nobody but itself.
 */
#ifndef CPL_EMU_SERVER_H
#define CPL_EMU_SERVER_H

#include "message.h"

typedef struct emu_server emu_server;
/* Called on any of the server's threads, several at once; response is initialised, with status 200. */
typedef void (*emu_server_handler)(void *context, const emu_request *request, emu_response *response);

typedef struct emu_answerer {
    emu_server_handler handler;
    void *context;
    bool patient; /* the handler may wait: each connection has a thread of its own */
} emu_answerer;

/* port 0: the system picks. CPL_IO when the address cannot be had; the message names host and port. */
cpl_status emu_server_start(emu_server **out, const char *host, int port, const emu_answerer *answerer, cpl_error *err);
int emu_server_port(const emu_server *server);
/* Waits for requests under way, closes all connections, frees. In a forked child it only frees. NULL is fine. */
void emu_server_stop(emu_server *server);

#endif
