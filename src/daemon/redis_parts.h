/* redis_parts.h - what the files of the coordinator in Redis share.
 *
 * redis.c  the two connections: one for commands, one that listens
 */
#ifndef GPUCOORD_DAEMON_REDIS_PARTS_H
#define GPUCOORD_DAEMON_REDIS_PARTS_H

#include "cluster/redis_link.h"
#include "daemon/redis.h"

struct redis {
    struct daemon *daemon;
    struct redis_place place;
    struct redis_link *commands;
    struct redis_link *listener; /* A subscriber can do nothing else. */
};

#endif
