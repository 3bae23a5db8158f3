/* gpulock.h - one coordinator per GPU.
 *
 * A file per GPU UUID in a directory that all coordinators of the machine
 * share, locked with flock() for as long as the process lives, and saying who
 * holds it: "PID SOCKET\n", where a cluster does with a second line, its name.
 * The members of one cluster share the lock: they agree elsewhere on who leads.
 */
#ifndef GPUCOORD_DEVICE_GPULOCK_H
#define GPUCOORD_DEVICE_GPULOCK_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

struct gpulock; /* Opaque; gpulock.c. */

/* Who takes the locks. */
struct gpulock_owner {
    const char *socket;  /* Of this coordinator, for the message that a second
                          * one prints. */
    const char *cluster; /* What all its members have in common, a line at most;
                          * NULL = it is alone. */
};

/* Take the lock of every GPU in @uuids, all or none.
 *
 * @dir is made where it is missing.  @owner and all strings are borrowed for
 * the call.  On an error the cause is appended to @why as a message for people:
 * for E_BUSY it names the other's pid and socket.
 *
 * Errors:
 *   E_BUSY   another process, of no or another cluster, coordinates one of
 *            them.
 *   E_IO     the directory or a file cannot be made or locked.
 *   E_NOMEM  no memory.
 */
MUST_USE int gpulock_take(const char *dir,
                          const char *const *uuids,
                          size_t count,
                          const struct gpulock_owner *owner,
                          struct gpulock **out,
                          struct buf *why);

/* Give all locks back; NULL is allowed. */
void gpulock_release(struct gpulock *lock);

#endif
