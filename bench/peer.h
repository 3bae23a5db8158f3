/* peer.h - what the load client says, and to whom.
 *
 * Every peer is asked for the same: take something scarce, give it back.  One
 * client for all of them, so that what it costs is the same for each.
 */
#ifndef GPUCOORD_BENCH_PEER_H
#define GPUCOORD_BENCH_PEER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum peer_step {
    PEER_ACQUIRE,
    PEER_RELEASE
};

/* What a client has to remember from one step to the next. */
struct peer_client {
    uint32_t number;
    uint64_t lease; /* gpucoord's, or beanstalkd's job. */
    uint64_t token;
};

struct peer {
    const char *name;

    /* Append the call of @step. */
    void (*call)(const struct peer_client *client,
                 enum peer_step step,
                 struct buf *out);

    /* Return the size of the answer with which @data, followed by a NUL,
     * begins; 0 while it is not whole. */
    size_t (*answer_size)(const char *data, size_t size);

    /* Read an answer to @step; false where it is not the one hoped for. */
    bool (*answer)(struct peer_client *client,
                   enum peer_step step,
                   const char *data,
                   size_t size);
};

/* Return the peer called @name; NULL where there is none. */
const struct peer *peer_find(const char *name);

#endif
