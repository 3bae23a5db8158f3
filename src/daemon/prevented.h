/* prevented.h - what would have waited, while the coordinator only observes. */
#ifndef GPUCOORD_DAEMON_PREVENTED_H
#define GPUCOORD_DAEMON_PREVENTED_H

#include "base/buf.h"
#include "core/core.h"

#include <stdint.h>

struct daemon;

/* Grants given against the rules since the start, by what they would have
 * waited for. */
struct prevented {
    uint64_t counts[CORE_WAITS];
};

/* Count and log the grant that @message is, if it would have waited. */
void prevented_tell(struct daemon *daemon, const struct core_message *message);

/* Append {"holder":3}: the counts above 0, by name. */
void prevented_write(const struct prevented *prevented, struct buf *out);

#endif
