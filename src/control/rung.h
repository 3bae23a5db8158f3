/* rung.h - the rungs of the ladder that act on processes, off the loop.
 *
 * Each act runs in a thread of its own and ends in one callback on the loop:
 * done, failed with what was half done taken back (but no VRAM after its
 * deadline: checkpoint.h), or skipped, with a reason in a sentence.  A deadline
 * ends it; a driver, a disk or a process that hangs beyond it leaves the thread
 * behind, and the callback comes all the same.
 *
 *   FREEZE, THAW         freeze.h: stops the processes, frees no VRAM
 *   CHECKPOINT, RESTORE  checkpoint.h: VRAM to host RAM and back
 *   TERM, KILL           terminate.h: OK once all of the tree has gone
 */
#ifndef GPUCOORD_CONTROL_RUNG_H
#define GPUCOORD_CONTROL_RUNG_H

#include "base/buf.h"
#include "base/err.h"
#include "control/cuda.h"
#include "control/outcome.h"
#include "control/tree.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct rungs; /* Opaque; rung.c. */

enum {
    RUNG_ORDERS_MAX = 64, /* At the same time, with those that hang. */
    RUNG_LATE_MS = 1000   /* After its deadline an act is given up. */
};

enum rung_act {
    RUNG_DO_FREEZE,
    RUNG_DO_CHECKPOINT,
    RUNG_DO_TERM,
    RUNG_DO_KILL,
    RUNG_DO_THAW,   /* What the journal has of the lease. */
    RUNG_DO_RESTORE /* Likewise. */
};

struct rung_config {
    const char *state_dir; /* Of the journal; copied. */
    struct cuda_config cuda;
    const char *meminfo;           /* NULL = the kernel's; borrowed. */
    uint64_t host_ram_reserve_mib; /* Never filled with checkpoints. */
};

/* What to do to whom; copied by rung_start(). */
struct rung_order {
    enum rung_act act;
    uint64_t lease;
    const char *service;
    struct tree_target target; /* Unused for THAW and RESTORE. */
    uint32_t deadline_ms;
    uint32_t vram_mib; /* CHECKPOINT: what the tree uses, which host RAM must
                        * hold.  RESTORE: what it needs on each device. */
    uint32_t free_mib; /* RESTORE: measured free on the fullest of them. */
    bool may_restore;  /* RESTORE: the lease is charged for that.  Else what is
                        * checkpointed stays so. */
    const char *gpus;  /* CHECKPOINT: UUIDs with commas, for the journal; NULL =
                        * not known. */
};

/* Called once, on the loop, never within rung_start(). */
typedef void (*rung_done)(void *arg, const struct outcome *outcome);

/* Make ready to start acts on the loop @base, borrowed until rungs_close().
 *
 * Errors:
 *   E_NOMEM    no memory, or no descriptor.
 *   E_TOO_BIG  the name of the state directory is too long.
 */
MUST_USE int rungs_open(struct event_base *base,
                        const struct rung_config *config,
                        struct rungs **out);

/* Cancel what is under way, without its callback, and free all; NULL is
 * allowed.  Threads that do not end within a moment free what is theirs once
 * they do. */
void rungs_close(struct rungs *rungs);

/* Start @order.  @id, for rung_cancel(), is never 0.
 *
 * Errors:
 *   E_LIMIT  RUNG_ORDERS_MAX are under way, or hang.
 *   E_NOMEM  no memory, or no thread.
 */
MUST_USE int rung_start(struct rungs *rungs,
                        const struct rung_order *order,
                        rung_done done,
                        void *arg,
                        uint64_t *id);

/* Give up the act @id: what is half done is taken back, but for VRAM, of which
 * none comes back that is not on its way, and the callback says SKIPPED, or OK
 * if it came first.  An unknown id is no error. */
void rung_cancel(struct rungs *rungs, uint64_t id);

/* Say whether @act can work on this machine and on @target (NULL = not known
 * yet) and append why not, or what to know, to @why.  May wait for the driver
 * up to ten seconds: not for the loop. */
bool rung_available(const struct rung_config *config,
                    enum rung_act act,
                    const struct tree_target *target,
                    struct buf *why);

#endif
