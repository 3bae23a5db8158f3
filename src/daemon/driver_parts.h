/* driver_parts.h - what the driver consists of; private to driver*.c.
 *
 * driver.c feeds the core, driver_commit.c carries out what came of it, and
 * driver_lost.c puts things right when a commit has failed.
 */
#ifndef GPUCOORD_DAEMON_DRIVER_PARTS_H
#define GPUCOORD_DAEMON_DRIVER_PARTS_H

#include "daemon/driver.h"
#include "daemon/names.h"
#include "daemon/turn.h"

#include <stdbool.h>

struct driver {
    struct driver_options is;
    struct core_config core_config;
    struct core *core;
    struct turn filling;    /* This turn's. */
    struct turn flying;     /* Given to the store, not yet durable. */
    bool is_finishing;      /* The store is being closed. */
    bool is_flying;         /* At most one commit is under way. */
    uint64_t shift_ms;      /* Core time less monotonic time, modulo 2^64. */
    uint64_t fed_at_ms;     /* Time of the newest event. */
    uint64_t commit_number; /* Of the newest commit. */
    uint64_t commit_began_ns;
    uint64_t commit_retry_at_ms; /* Of clock_mono_ms(), as the next. */
    uint64_t numbers_retry_at_ms;
    struct list owed; /* Of struct driver_owed, in their order. */
    uint64_t owed_retry_at_ms;
    struct driver_stats stats;
};

/* Return the time of an event that is fed now (driver.c).  The loop ticks at
 * every deadline; one that lies far back says that we were not running. */
uint64_t driver_feed_time(struct driver *driver);

/* Feed @event (driver.c).  @binding is taken; NULL = nothing.  What came of it
 * is in @reply and in the turn that is being filled.
 *
 * Errors: as core_step().
 */
MUST_USE int driver_feed_call(struct driver *driver,
                              struct core_event *event,
                              struct names_binding *binding,
                              struct driver_reply *reply);

/* Let the core have the numbers that the store has reserved (driver.c).
 *
 * Errors: as core_step().
 */
MUST_USE int driver_allow_numbers(struct driver *driver);

/* Reserve the next block of numbers long before this one is used up
 * (driver.c). */
void driver_keep_numbers(struct driver *driver);

/* Feed what is owed, if it is time (driver_owed.c). */
void driver_pay(struct driver *driver);

/* Forget the streams that have gone: the core is built anew and knows none
 * (driver_owed.c). */
void driver_forget_streams(struct driver *driver);

/* Free all that is owed (driver_owed.c). */
void driver_forget_owed(struct driver *driver);

/* Build the core from the store; time goes on at @start_ms (driver_lost.c).
 *
 * Errors: as driver_open(); the core is as before.
 */
MUST_USE int driver_build_core(struct driver *driver,
                               uint64_t start_ms,
                               uint64_t number_first);

/* The commit of the flying turn has failed with @rc: undo it and the turn that
 * is being filled, and make their calls again (driver_lost.c). */
void driver_lose_turns(struct driver *driver, int rc);

#endif
