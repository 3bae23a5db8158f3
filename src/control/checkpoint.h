/* checkpoint.h - VRAM of unmodified processes to host RAM, and back.
 *
 * Checkpoint: all CUDA processes of a tree are locked before any is
 * checkpointed, and a look after the locking finds no new one.  Whatever fails
 * in between is taken back: those that are checkpointed are restored, all are
 * unlocked.  What comes late, or after a cancel, takes no VRAM back, since it
 * may be somebody else's by then: what is checkpointed stays so, and only where
 * nothing is are all unlocked.  They are in the journal from before the first
 * lock until the last unlock.
 *
 * Restore: a restore that fails for want of VRAM can be the end of the
 * process, so it is refused unless the caller has measured the room.
 */
#ifndef GPUCOORD_CONTROL_CHECKPOINT_H
#define GPUCOORD_CONTROL_CHECKPOINT_H

#include "control/cuda.h"
#include "control/hostram.h"
#include "control/journal.h"
#include "control/outcome.h"
#include "control/patience.h"
#include "control/tree.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CHECKPOINT_UNWIND_MS = 10000 /* For taking back, after the deadline. */
};

struct checkpoint_context {
    const struct cuda_config *cuda;
    const struct journal *journal;
    struct hostram *ram;
};

/* Checkpoint the CUDA processes of @target.  @entry has the lease, service,
 * VRAM and GPUs for the journal.  All are borrowed.  OK where all are in host
 * RAM at the end, however late.  Skipped where nothing of the tree uses CUDA,
 * where the driver cannot, where host RAM is short. */
void checkpoint_tree(const struct checkpoint_context *context,
                     const struct tree_target *target,
                     const struct journal_entry *entry,
                     const struct patience *patience,
                     struct outcome *out);

/* What is to come back. */
struct checkpoint_moved {
    const struct journal_entry *entries; /* Of kind CHECKPOINT; borrowed. */
    size_t count;
    uint64_t need_mib; /* On each of their devices, */
    uint64_t free_mib; /* and what was measured free on the fullest. */
    bool may_restore;  /* False: that room is somebody else's; what is
                        * checkpointed stays, what is only locked goes on. */
};

/* Restore the processes of @moved, unlock all once all are restored, and drop
 * those that run from the journal.  Skipped where less is free than is needed.
 * Entries whose process has gone are dropped; if all have, that is FAILED, and
 * so is what stays checkpointed. */
void checkpoint_undo(const struct checkpoint_context *context,
                     const struct checkpoint_moved *moved,
                     const struct patience *patience,
                     struct outcome *out);

#endif
