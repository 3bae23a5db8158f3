/* events.h - everything that happens, for pages and tools: /gpu/events.
 *
 * A ring of the newest messages of the core.  A reader that was away gives
 * the id of the last event it saw (Last-Event-ID) and gets what came since;
 * where the ring has moved on, or the id is another process's, it gets `reset`
 * and has to ask for the status.
 */
#ifndef GPUCOORD_DAEMON_EVENTS_H
#define GPUCOORD_DAEMON_EVENTS_H

#include "base/buf.h"
#include "base/err.h"
#include "core/core.h"

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct events; /* Opaque; events.c. */

enum {
    EVENTS_KEPT = 1024 /* A power of two. */
};

/* What is kept of a message. */
struct events_entry {
    uint64_t wall_ms;
    struct core_message message;
};

/* Create an empty ring whose ids carry @epoch, the number of this process.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int events_create(uint64_t epoch, struct events **out);

/* Free it; NULL is allowed. */
void events_destroy(struct events *events);

/* Put @message, copied, into the ring. */
void events_push(struct events *events,
                 uint64_t wall_ms,
                 const struct core_message *message);

/* Return the sequence number of the next event, from 1. */
uint64_t events_next(const struct events *events);

/* Return the event @seq; NULL where the ring does not have it (any more). */
const struct events_entry *events_find(const struct events *events,
                                       uint64_t seq);

/* Find where a reader whose last event was @id goes on; NULL or "" = it is
 * new.  Says whether it must be told `reset`. */
bool events_resume(const struct events *events, const char *id, uint64_t *seq);

/* Write the id of the event @seq. */
void events_write_id(const struct events *events,
                     uint64_t seq,
                     struct buf *out);

/* Put @message into the ring and send it to all readers. */
void events_tell(struct daemon *daemon, const struct core_message *message);

/* End all streams. */
void events_close_all(struct daemon *daemon);

#endif
