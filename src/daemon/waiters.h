/* waiters.h - requests that wait for a grant on their connection.
 *
 * A waiter is made with the request and ends with its answer: a grant, a
 * refusal, or the client's going.  A grant that cannot be delivered is undone
 * at once.  With `hold: connection` the grant opens a stream, and the
 * connection goes on holding the lease.
 */
#ifndef GPUCOORD_DAEMON_WAITERS_H
#define GPUCOORD_DAEMON_WAITERS_H

#include "base/err.h"
#include "core/core.h"

#include <stdint.h>

struct buf;
struct daemon;
struct names_binding;
struct watched;

/* A request ready for the core, and what its lease is sent with. */
struct waiters_request {
    struct core_request core;      /* .ref is filled in from .conn. */
    struct names_binding *binding; /* Taken; NULL = nothing. */
    struct watched *watched;       /* Taken; NULL = none. */
    uint64_t conn;
};

/* Submit @request; its connection is answered now or later. */
void waiters_submit(struct daemon *daemon, struct waiters_request *request);

/* Answer the connection that @message (GRANT, REFUSE, SUPERSEDED) is for. */
void waiters_tell(struct daemon *daemon, const struct core_message *message);

/* The reply that carried the grant of @lease was lost: undo the grant. */
void waiters_reply_lost(struct daemon *daemon, uint64_t lease);

/* Submit all that wait, again, to a core that was built anew. */
void waiters_submit_all(struct daemon *daemon);

/* Answer all that wait with the problem @code, and end the connections that
 * hold leases. */
void waiters_refuse_all(struct daemon *daemon, int code);

/* Send @text, an event, to the connection that holds @lease, if one does. */
void waiters_send_holder(struct daemon *daemon,
                         uint64_t lease,
                         const struct buf *text);

/* @lease has ended: end the connection that held it, if one did. */
void waiters_lease_ended(struct daemon *daemon, uint64_t lease);

#endif
