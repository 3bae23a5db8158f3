/* hostram.h - the second ledger: host RAM that checkpoints will fill.
 *
 * A checkpoint moves VRAM into the process's host memory.  What is available
 * is what the kernel says, less the reserve, less what checkpoints under way
 * have been promised; once one is done the kernel counts it itself.  A process
 * in a cgroup with a memory limit has only what is left of that.
 */
#ifndef GPUCOORD_CONTROL_HOSTRAM_H
#define GPUCOORD_CONTROL_HOSTRAM_H

#include "base/buf.h"
#include "base/err.h"
#include "control/cgroup.h"
#include "control/proc.h"

#include <pthread.h>
#include <stdint.h>

struct hostram {
    pthread_mutex_t mutex;
    const char *meminfo;  /* "/proc/meminfo", or a test's file. */
    uint64_t reserve_mib; /* Never given to checkpoints. */
    uint64_t promised_mib;
};

/* Make a ledger that keeps @reserve_mib free; @meminfo (NULL = the kernel's)
 * is borrowed as long as it is used. */
void hostram_init(struct hostram *ram,
                  const char *meminfo,
                  uint64_t reserve_mib);

/* Free what it owns. */
void hostram_release(struct hostram *ram);

/* Promise @mib to a checkpoint of @id until hostram_give(); on an error the
 * cause with its numbers is appended to @why.
 *
 * Errors:
 *   E_LIMIT  there is not so much.
 *   E_IO     the kernel does not say what there is.
 */
MUST_USE int hostram_take(struct hostram *ram,
                          const struct proc_id *id,
                          uint64_t mib,
                          struct buf *why);

/* Take the promise of @mib back: the checkpoint is done or was not. */
void hostram_give(struct hostram *ram, uint64_t mib);

#endif
