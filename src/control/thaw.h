/* thaw.h - let go on whatever the journal lists: `gpucoord thaw`. */
#ifndef GPUCOORD_CONTROL_THAW_H
#define GPUCOORD_CONTROL_THAW_H

#include "base/err.h"
#include "control/checkpoint.h"
#include "control/freeze.h"
#include "control/journal.h"
#include "control/outcome.h"
#include "control/patience.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Say how much is free on the fullest device of @gpus (UUIDs with commas; "" =
 * of all), measured now; UINT64_MAX where nobody can say and the user insists.
 */
typedef uint64_t (*thaw_room)(void *arg, const char *gpus);

/* Called for each lease's entries once they were tried. */
typedef void (*thaw_done)(void *arg,
                          const struct journal_entry *entry,
                          size_t processes,
                          const struct outcome *outcome);

struct thaw {
    const struct checkpoint_context *context;
    uint32_t time_ms; /* For each lease. */
    thaw_room room;
    thaw_done done;
    void *arg;
};

/* Let go on the processes of @entries (STOPPED or CGROUP), borrowed, and drop
 * those that do from the journal. */
void thaw_stopped(const struct journal *journal,
                  const struct journal_entry *entries,
                  size_t count,
                  const struct patience *patience,
                  struct outcome *out);

/* Undo all that the journal lists, or only what it lists for @lease (0 = all),
 * lease by lease: first what is stopped, then what is checkpointed.  @failed is
 * set to how many leases are not undone; @damaged to how many lines of the
 * journal nobody can read.
 *
 * Errors: as journal_read().
 */
MUST_USE int thaw_run(const struct thaw *thaw,
                      uint64_t lease,
                      size_t *failed,
                      size_t *damaged);

/* Move the entries of @lease that are checkpointed (or else stopped) to the
 * front of @list, and return how many they are. */
size_t
thaw_select(struct journal_list *list, uint64_t lease, bool is_checkpointed);

#endif
