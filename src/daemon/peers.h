/* peers.h - the processes that speak for services over the Unix socket.
 *
 * The kernel says who is at the other end (SO_PEERCRED), also across pid
 * namespaces, so VRAM that such a process or its children use belongs to the
 * service.  Hearing one costs no system call: which process a number stands
 * for is looked up later, beside a sample.  One that speaks for several
 * services, as a proxy does, says nothing about any.
 */
#ifndef GPUCOORD_DAEMON_PEERS_H
#define GPUCOORD_DAEMON_PEERS_H

#include "control/owner.h"

#include <stddef.h>
#include <stdint.h>

enum {
    PEERS_MAX = 128,       /* Those heard last. */
    PEERS_LOOKUPS_MAX = 32 /* At a time; the rest comes with the next. */
};

struct peer {
    struct owner_peer is; /* .id.start_ticks counts once it is not due. */
    uint64_t heard;       /* Which call it was. */
    bool is_due;          /* To be looked up. */
    bool is_known;        /* It was looked up. */
    bool is_several;      /* It speaks for several services. */
};

/* All zero is none. */
struct peers {
    struct peer items[PEERS_MAX];
    size_t count;
    uint64_t heard;
};

/* The process @pid (0 = not known) has spoken for @service. */
void peers_hear(struct peers *peers, pid_t pid, uint32_t service);

/* Look up who was heard since, in @root (see proc.h), and write those that
 * speak for one service to @out; return how many they are. */
size_t peers_list(struct peers *peers,
                  const char *root,
                  struct owner_peer out[PEERS_MAX]);

#endif
