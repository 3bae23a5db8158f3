/* parked.h - who is behind a connection that was not answered at once.
 *
 * Every parked request and every stream has an owner, found by the
 * connection's number; the owner is told when the client goes.  A missing
 * owner is normal: the client went first.
 */
#ifndef GPUCOORD_DAEMON_PARKED_H
#define GPUCOORD_DAEMON_PARKED_H

#include "base/err.h"

#include <stdint.h>

struct daemon;
struct parked;

enum parked_kind {
    PARKED_WAITER,  /* A request that waits for a grant; request.h. */
    PARKED_HOLDER,  /* The stream of a lease held by connection; request.h. */
    PARKED_CONTROL, /* A service's control stream; control.h. */
    PARKED_EVENTS,  /* A reader of /gpu/events; events.h. */
    PARKED_LOOK     /* A look at a lease that waits for a change; look.h. */
};

/* Put this first into the owner. */
struct parked {
    uint64_t conn;
    enum parked_kind kind;
    /* The client has gone; @parked was removed and is the callee's to free. */
    void (*on_close)(struct daemon *daemon, struct parked *parked);
};

/* Make @parked, borrowed until removed, the owner of its .conn, which has
 * none.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int parked_add(struct daemon *daemon, struct parked *parked);

/* Return the owner of @conn; NULL where there is none. */
struct parked *parked_find(const struct daemon *daemon, uint64_t conn);

/* Return the owner of @conn if it is of @kind; NULL else. */
struct parked *parked_find_kind(const struct daemon *daemon,
                                uint64_t conn,
                                enum parked_kind kind);

/* Forget the owner of @conn; the caller frees it. */
void parked_remove(struct daemon *daemon, uint64_t conn);

/* To be called when a client has gone. */
void parked_closed(struct daemon *daemon, uint64_t conn);

#endif
