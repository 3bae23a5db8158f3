/* syncer.h - fsync in a thread of its own, callbacks in the order of commits.
 *
 * The loop adds one entry for each commit that needs an fsync.  The thread
 * syncs the file once for all entries that wait when it begins, and wakes the
 * loop, which then calls them.
 *
 * An fsync that failed is not repeated: the kernel may have dropped what it
 * could not write and call the next one a success.  From then on every entry
 * fails.
 */
#ifndef GPUCOORD_STORE_SYNCER_H
#define GPUCOORD_STORE_SYNCER_H

#include "base/err.h"
#include "store/store.h"

struct syncer; /* Opaque; syncer.c. */

/* Start the thread for the file @fd, borrowed like @loop until
 * syncer_destroy().
 *
 * Errors:
 *   E_NOMEM  no memory.
 *   E_STORE  no thread, no descriptor.
 */
MUST_USE int
syncer_create(int fd, struct event_base *loop, struct syncer **out);

/* Sync what waits, call all entries, stop the thread; NULL is allowed. */
void syncer_destroy(struct syncer *syncer);

/* Add a commit; @done is called with @arg once it is synced and all entries
 * before it have been called.  Where there is no memory to remember the entry
 * the call waits for that instead. */
void syncer_add(struct syncer *syncer, store_done done, void *arg);

/* Return how many entries were not called yet. */
size_t syncer_pending(const struct syncer *syncer);

/* Say whether an fsync of the thread has failed. */
bool syncer_has_failed(struct syncer *syncer);

#endif
