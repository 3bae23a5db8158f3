/* relay.h - pipes between clients of a follower and the leader.
 *
 * A relay has a client's socket and one request, ready to be sent.  It
 * connects to the leader, sends the request, and hands the client whatever
 * comes back until the leader closes: an answer, or a stream of events.  The
 * request says "Connection: close", so one relay is one call.
 *
 *   CONNECTING ──► ASKING ──► ANSWERING ──► ENDING ──► gone
 *       └─────────────┴─ the leader is gone ──┘
 *
 * The end of either side ends the other: a leader sees at once that a client
 * has gone.  A client whose leader was lost before it said anything is sent
 * the refusal instead; who lost it in mid-answer sees the answer break off.
 * At most RELAY_BYTES wait for a client: while it does not read, nobody reads
 * from the leader, whose own limits then apply.
 *
 * What the client sends after its request is dropped.  The other way would be
 * to hand it on, and with it headers that nobody has looked at.
 */
#ifndef GPUCOORD_CLUSTER_RELAY_H
#define GPUCOORD_CLUSTER_RELAY_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct address;
struct event_base; /* libevent's. */
struct relays;     /* Opaque; relay.c. */

enum {
    RELAY_BYTES = 65536,   /* Kept of an answer. */
    RELAYS_MAX = 8192,     /* At once; two descriptors each. */
    RELAY_DROPPED = 65536, /* Bytes that a client may send in vain. */
    RELAY_CONNECT_MS = 3000,
    RELAY_WRITE_MS = 30000, /* Until a peer takes at least a byte. */
    RELAY_LINGER_MS = 2000  /* From the last byte to the client's close. */
};

/* Create a set of relays, empty, returned to the caller in @out.  @base is
 * borrowed until relays_destroy().
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int relays_create(struct event_base *base, struct relays **out);

/* Close all relays, telling nobody, and free the set; NULL is allowed. */
void relays_destroy(struct relays *relays);

/* What a client is sent whose leader was lost before it answered: a whole HTTP
 * reply, borrowed until the next call or relays_destroy(). */
void relays_refuse_with(struct relays *relays, const char *bytes, size_t size);

/* Relay @request, whole and taken (it is empty afterwards), to the leader at
 * @to for the client at the socket @client_fd, which does not block and is
 * taken, too.  On an error the client is sent the refusal.
 *
 * Errors:
 *   E_LIMIT  there are RELAYS_MAX.
 *   E_IO     no socket; or nobody listens there.
 *   E_NOMEM  no memory.
 */
MUST_USE int relays_open(struct relays *relays,
                         const struct address *to,
                         int client_fd,
                         struct buf *request);

/* The leader is no longer one: end all relays.  Clients that were answered
 * nothing are sent the refusal. */
void relays_end(struct relays *relays);

/* Return how many relays there are. */
size_t relays_count(const struct relays *relays);

/* Return how many there have been. */
uint64_t relays_total(const struct relays *relays);

#endif
