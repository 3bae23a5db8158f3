/* acting.h - carries the rungs of the ladder out, and tells operators.
 *
 * Each `rung` message of the core becomes an order: an act on the processes of
 * the lease (control/rung.h), a command on the service's stream, or the
 * service's restart command; how it went is fed back as CORE_RUNG.  Orders that
 * move the same lease follow one another, a newer one cancels what the older
 * still does; signals wait for nobody.
 */
#ifndef GPUCOORD_DAEMON_ACTING_H
#define GPUCOORD_DAEMON_ACTING_H

#include "base/err.h"
#include "core/core.h"

struct acting; /* Opaque; acting_parts.h. */
struct daemon;
struct walks;

/* Open it for @daemon, borrowed, whose driver is open: what the journal in the
 * store's directory lists of leases that are not frozen any more goes on.
 *
 * Errors:
 *   E_NOMEM    no memory, or no descriptor.
 *   E_TOO_BIG  the name of the directory is too long.
 */
MUST_USE int acting_open(struct daemon *daemon, struct acting **out);

/* Cancel what is under way and free it; NULL is allowed. */
void acting_close(struct acting *acting);

/* Do what @message says, of whatever type; a restart and what is told to
 * operators included. */
void acting_tell(struct acting *acting, const struct core_message *message);

/* Return how the walks went. */
const struct walks *acting_walks(const struct acting *acting);

#endif
