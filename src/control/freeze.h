/* freeze.h - stop a tree of processes where it stands, and let it go on.
 *
 * By the cgroup's freezer where the holder has a cgroup of its own, else by
 * SIGSTOP to each process, again and again, until a look finds all of them
 * stopped and no new ones.  It frees no VRAM.  What a user had stopped before
 * stays stopped afterwards: only what is in the journal is continued.
 */
#ifndef GPUCOORD_CONTROL_FREEZE_H
#define GPUCOORD_CONTROL_FREEZE_H

#include "control/journal.h"
#include "control/outcome.h"
#include "control/patience.h"
#include "control/tree.h"

#include <stdint.h>

/* Freeze @target for @lease of @service (all borrowed); where not all of it can
 * be, what was is thawed again. */
void freeze_tree(const struct tree_target *target,
                 const struct journal *journal,
                 uint64_t lease,
                 const char *service,
                 const struct patience *patience,
                 struct outcome *out);

/* Let go on what @entry, of kind STOPPED or CGROUP, says.  A process that has
 * gone is OK, too.  The journal is left to the caller. */
void freeze_undo(const struct journal_entry *entry,
                 const struct patience *patience,
                 struct outcome *out);

/* Stop all of @target by SIGSTOP without a journal, until no new process
 * appears: for a caller who kills it next.
 *
 * Errors:
 *   E_TIMEOUT    it kept forking, or would not stop.
 *   E_FORBIDDEN  a process may not be signalled.
 *   others       as tree_read() and patience_wait().
 */
MUST_USE int freeze_hold(const struct tree_target *target,
                         const struct patience *patience);

#endif
