/* driver_parts.h - what the driver consists of; private to driver*.c.
 *
 * driver.c feeds the core, driver_commit.c carries out what came of it,
 * driver_lost.c puts things right when a commit has failed, and driver_away.c
 * while the store cannot be reached.
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
    struct turn leaving;    /* What leaves before its turn is stored. */
    bool is_finishing;      /* The store is being closed. */
    bool is_over;           /* Another coordinator has the store. */
    bool is_away;           /* The core was told to hold. */
    bool is_flying;         /* At most one commit is under way. */
    uint64_t shift_ms;      /* Core time less monotonic time, modulo 2^64. */
    uint64_t fed_at_ms;     /* Time of the newest event. */
    uint64_t commit_number; /* Of the newest commit. */
    uint64_t commit_began_ns;
    uint64_t gather_until_ns; /* Until when the next commit may wait for ... */
    size_t gather_calls;      /* ... so many calls to come together. */
    uint64_t commit_retry_at_ms; /* Of clock_mono_ms(), as the next. */
    uint64_t numbers_retry_at_ms;
    uint64_t numbers_end;   /* What the core was allowed. */
    uint64_t away_since_ms; /* Of clock_mono_ms(), as the next; or 0. */
    uint64_t away_next_ms;  /* When to look after those who wait for it. */
    uint64_t hold_until_ms; /* Nothing is granted after a fail-over. */
    struct list owed;       /* Of struct driver_owed, in their order. */
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

/* Feed @event, which nobody waits for and which is not made again after a
 * failed commit (driver.c).
 *
 * Errors: as core_step().
 */
int driver_feed_quietly(struct driver *driver, struct core_event *event);

/* Let the core have the numbers that the store has reserved (driver.c).
 *
 * Errors: as core_step().
 */
MUST_USE int driver_allow_numbers(struct driver *driver);

/* Reserve the next block of numbers long before this one is used up
 * (driver.c). */
void driver_keep_numbers(struct driver *driver);

/* Ask the store how it is: hold the grants of the core while it is away, look
 * after those who wait for it, leave where another coordinator has it
 * (driver_away.c). */
void driver_heed_store(struct driver *driver);

/* Tell the core whether to hold its grants; without memory that is tried again
 * (driver_away.c). */
void driver_hold(struct driver *driver, bool is_away);

/* Another coordinator has the store: answer everybody who waits for a commit,
 * and tell the owner (driver_away.c). */
void driver_abandon(struct driver *driver);

/* Send what concerns nothing that is not stored (driver_commit.c). */
void driver_send_free(struct driver *driver);

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
