/* SPDX-License-Identifier: MIT */
/*
 * The listening sockets of all servers of this process, and the one thread that takes in who comes to them. Knows no
 * HTTP: whom it took in, it hands to its porter.
 */
#ifndef CPL_EMU_DOORS_H
#define CPL_EMU_DOORS_H

#include <sys/socket.h>

#include "../codepipeline.h"

typedef struct emu_doors emu_doors;

typedef struct emu_porter {
    /* Somebody came to this door. The socket is the porter's, and does not block. */
    void (*admit)(void *context, uint64_t door, int socket, const struct sockaddr *from, socklen_t size);
    /* Before each wait: does what is due, and says for how many ms to wait at most; -1: for ever. */
    int (*tick)(void *context);
    void *context;
} emu_porter;

/* Both are called on the thread that this starts, without a lock. NULL: no memory, thread or descriptor is left. */
emu_doors *emu_doors_new(const emu_porter *porter);
/* Waits for the thread's end; doors that are open are closed. NULL is fine. */
void emu_doors_free(emu_doors *doors);
/* Ends the thread's wait, so that it ticks. */
void emu_doors_wake(emu_doors *doors);

/*
 * Listens; id is the caller's and never used again, *port what the system picked for 0. CPL_IO: the address cannot be
 * had; the message names host and port.
 */
cpl_status emu_door_open(emu_doors *doors, uint64_t id, const char *host, int *port, cpl_error *err);
/* Nobody is taken in any more; who was just before may still be handed to the porter. */
void emu_door_close(emu_doors *doors, uint64_t id);

#endif
