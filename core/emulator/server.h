/* SPDX-License-Identifier: MIT */
/*
 * HTTP on loopback. Reads whole requests, hands each to one function, sends the answer. A few threads do it for all
 * servers of the process; they start with the first server and end with the last. server.c is the only file that
 * includes microhttpd.h. A sender that is slow, silent or many holds up nobody but itself.
 */
#ifndef CPL_EMU_SERVER_H
#define CPL_EMU_SERVER_H

#include "message.h"

typedef struct emu_server emu_server;
/*
 * Called on any of the threads, several at once; response is initialised, with status 200. It must not wait: when there
 * is no answer yet, its fate is EMU_FATE_LATER.
 */
typedef void (*emu_server_handler)(void *context, const emu_request *request, emu_response *response);

typedef struct emu_answerer {
    emu_server_handler handler;
    void *context;
} emu_answerer;

/* port 0: the system picks. CPL_IO when the address cannot be had; the message names host and port. */
cpl_status emu_server_start(emu_server **out, const char *host, int port, const emu_answerer *answerer, cpl_error *err);
int emu_server_port(const emu_server *server);
/* Hands in again, now, the requests that wait for an answer. */
void emu_server_wake(emu_server *server);
/* Waits for requests under way, closes all connections, frees. In a forked child it only frees. NULL is fine. */
void emu_server_stop(emu_server *server);

#endif
