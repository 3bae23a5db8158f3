/* walks.h - how the newest walk of each lease went: which rungs, for how long,
 * and why they ended; for people, so it is not stored.
 *
 * The core knows only the rung a lease is on.  Here are the last eight, those
 * of a lease that has ended for as long as there is room for it.
 */
#ifndef GPUCOORD_DAEMON_WALKS_H
#define GPUCOORD_DAEMON_WALKS_H

#include "base/buf.h"
#include "base/err.h"
#include "core/ladder.h"

#include <stdbool.h>
#include <stdint.h>

struct walks; /* Opaque; walks.c. */

enum {
    WALKS_STEPS_MAX = 8,
    WALKS_ENDED_MAX = 256, /* Ended leases that are remembered. */
    WALKS_REASON_SIZE = 160
};

enum walks_outcome {
    WALKS_RUNNING,
    WALKS_OK,
    WALKS_FAILED,
    WALKS_SKIPPED,
    WALKS_LATE, /* Its deadline passed. */
    WALKS_OUTCOMES
};

/* One rung, or the undoing of one.  Instants are of core time. */
struct walks_step {
    enum rung rung;
    bool is_undo;
    enum walks_outcome outcome;
    uint64_t begun_at_ms;
    uint64_t due_at_ms;
    uint64_t ended_at_ms;           /* Unless RUNNING. */
    char reason[WALKS_REASON_SIZE]; /* "" = nothing to say. */
};

struct walks_walk {
    uint32_t count;
    struct walks_step steps[WALKS_STEPS_MAX]; /* Oldest first. */
};

/* Create an empty book.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int walks_create(struct walks **out);

/* Free it; NULL is allowed. */
void walks_destroy(struct walks *walks);

/* The rung of @step, whose first five members but .outcome count, begins on
 * @lease: a lower one that runs is late or has failed, and one that does not
 * rise begins a new walk.  Without memory it is left out. */
void walks_begin(struct walks *walks,
                 uint64_t lease,
                 const struct walks_step *step);

/* The newest running step of @rung has ended at @now_ms as @outcome; one that
 * is not running is left alone. */
void walks_end(struct walks *walks,
               uint64_t lease,
               const struct walks_step *step,
               uint64_t now_ms);

/* All that runs on @lease, but undoing, has ended likewise. */
void walks_close(struct walks *walks,
                 uint64_t lease,
                 enum walks_outcome outcome,
                 uint64_t now_ms);

/* The lease has ended: its walk may be forgotten. */
void walks_lease_ended(struct walks *walks, uint64_t lease);

/* Return the newest walk of @lease, borrowed until the next call that changes
 * something; NULL where there was none. */
const struct walks_walk *walks_find(const struct walks *walks, uint64_t lease);

/* Return how many steps of @rung have ended as @outcome. */
uint64_t walks_count(const struct walks *walks,
                     enum rung rung,
                     enum walks_outcome outcome);

/* Return the word for @outcome: "running", "ok", "late"; static. */
const char *walks_outcome_name(enum walks_outcome outcome);

/* Append how @walk went, as "asked to pause: no answer in 10 s, TERM sent 2 s
 * ago"; @now_ms 0 leaves out how long ago. */
void walks_print(const struct walks_walk *walk,
                 uint64_t now_ms,
                 struct buf *out);

/* Append "TERM sent", as what was done or would be on @rung. */
void walks_print_deed(enum rung rung, bool is_undo, struct buf *out);

/* Append a duration for people: "900 ms", "10 s". */
void walks_print_time(uint64_t ms, struct buf *out);

#endif
