/* watch.h - the processes of holders, so that their death is noticed at once.
 *
 * What is watched is a struct proc_set: the named process by a pidfd, its
 * process group by the pidfd of one live member after the other, its cgroup by
 * inotify.  Once none of them lives, the caller is told, exactly once.
 *
 * A process is opened while whoever named it waits for the answer, and looked
 * at again once it is open, so that its number cannot have been used again.
 * Over a restart its caller keeps the identity, and opens it again.
 */
#ifndef GPUCOORD_CONTROL_WATCH_H
#define GPUCOORD_CONTROL_WATCH_H

#include "base/err.h"
#include "control/proc_set.h"

#include <stdint.h>

struct event_base; /* libevent's. */
struct watch;      /* Opaque; watch.c. */
struct watched;    /* Likewise. */

enum {
    WATCH_JOINED_MAX = 4 /* Processes named for one lease. */
};

/* Called once for each lease whose processes are all gone; it is not watched
 * any more then.  May call everything below but watch_destroy(). */
typedef void (*watch_gone)(void *arg, uint64_t lease);

/* Create a watch on the loop @base, borrowed until watch_destroy() as @root
 * (see proc.h) and @arg are.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int watch_create(struct event_base *base,
                          const char *root,
                          watch_gone gone,
                          void *arg,
                          struct watch **out);

/* Stop watching and free it, without telling; NULL is allowed. */
void watch_destroy(struct watch *watch);

/* Open the process @pid, with its group and its cgroup, for a lease that has
 * no number yet.  @uid asks: root may name every process, others their own.
 * The result is returned to the caller, who gives it to watch_lease() or
 * watch_drop().
 *
 * Errors:
 *   E_NOT_FOUND  it is not there.
 *   E_FORBIDDEN  it is not the asker's, or hidden (hidepid).
 *   E_NOMEM      no memory or no descriptor.
 *   E_IO         this kernel has no pidfd, or no /proc.
 */
MUST_USE int
watch_open(struct watch *watch, pid_t pid, uid_t uid, struct watched **out);

/* Return the processes that @watched was opened with, borrowed. */
const struct proc_set *watch_set(const struct watched *watched);

/* Watch @watched, taken, for @lease; what was watched for it before ends. */
void watch_lease(struct watch *watch, struct watched *watched, uint64_t lease);

/* Watch @watched, taken, for @lease as well: it is gone once all are.  Of more
 * than WATCH_JOINED_MAX the oldest are forgotten. */
void watch_join(struct watch *watch, struct watched *watched, uint64_t lease);

/* The lease @from goes on under the number @to. */
void watch_rename(struct watch *watch, uint64_t from, uint64_t to);

/* Close @watched without having used it; NULL is allowed. */
void watch_drop(struct watched *watched);

/* The lease has ended: stop watching for it. */
void watch_forget(struct watch *watch, uint64_t lease);

/* Return the processes that were named last for @lease, borrowed until they
 * are forgotten or gone; NULL where there are none. */
const struct proc_set *watch_find(const struct watch *watch, uint64_t lease);

/* Called with each set of processes; both are borrowed for the call. */
typedef void (*watch_each_seen)(void *arg,
                                uint64_t lease,
                                const struct proc_set *set);

/* Walk over all that is watched, oldest first; a lease may come several
 * times. */
void watch_each(const struct watch *watch, watch_each_seen seen, void *arg);

#endif
