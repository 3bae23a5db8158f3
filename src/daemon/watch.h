/* watch.h - the processes of holders, so that their death is noticed at once.
 *
 * A process is opened as a pidfd when its request comes in, while it is alive
 * for certain, so that its number cannot have been used again.  Not kept over
 * a restart: a lease from the store ends by its TTL or its holder.
 */
#ifndef GPUCOORD_DAEMON_WATCH_H
#define GPUCOORD_DAEMON_WATCH_H

#include "base/err.h"

#include <stdint.h>

struct daemon;
struct http_request;
struct watch;
struct watched;

/* Create the watch of @daemon, which is borrowed until watch_destroy().
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int watch_create(struct daemon *daemon, struct watch **out);

/* Stop watching and free it; NULL is allowed. */
void watch_destroy(struct watch *watch);

/* Open the process @pid (0 = the peer) for a lease that has no number yet;
 * @request says who asks.  The result is returned to the caller, who gives it
 * to watch_lease() or watch_drop().
 *
 * Errors:
 *   E_INVALID    it is not there, not the asker's, or the asker did not come
 *                over the Unix socket.
 *   E_NOMEM      no memory or no descriptor.
 */
MUST_USE int watch_open(struct watch *watch,
                        const struct http_request *request,
                        uint32_t pid,
                        struct watched **out);

/* Watch @watched, taken, for @lease; an earlier one of the lease ends. */
void watch_lease(struct watch *watch, struct watched *watched, uint64_t lease);

/* The lease @from goes on under the number @to. */
void watch_rename(struct watch *watch, uint64_t from, uint64_t to);

/* Close @watched without having used it; NULL is allowed. */
void watch_drop(struct watched *watched);

/* The lease has ended: stop watching for it. */
void watch_forget(struct watch *watch, uint64_t lease);

#endif
