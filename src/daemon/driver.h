/* driver.h - the only caller of core_step(): events in, effects carried out.
 *
 * Everything that happens in one turn of the loop is one transaction of the
 * store.  Replies and messages leave after it has been committed, in the order
 * in which they came about, so nobody is told what a crash could take back.
 *
 * A store may take its time (decision 0007).  One commit is under way at most;
 * what comes meanwhile is the next.  What concerns no lease with a row that is
 * not stored yet leaves at once, also while the store is away: so holders keep
 * what they have.  While it is away the core grants nothing.
 *
 * A commit that fails never happened.  Its messages are dropped, the core is
 * built anew from the store, the calls that only give something back (release,
 * ack, renewal, cancel) are made again, and new requests are refused.
 *
 * Core time is the monotonic clock plus a shift: it starts one above the
 * highest instant stored, and where a turn comes more than a second late (the
 * machine slept) the shift takes the lateness out of everybody's deadlines.
 */
#ifndef GPUCOORD_DAEMON_DRIVER_H
#define GPUCOORD_DAEMON_DRIVER_H

#include "base/err.h"
#include "base/list.h"
#include "core/core.h"
#include "daemon/turn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct driver; /* Opaque; driver.c. */
struct loop;
struct names;
struct names_binding;
struct store;

enum {
    DRIVER_LATE_MS = 1000 /* A turn later than this moves the deadlines. */
};

/* What the driver tells its owner; never from inside a call to it. */
struct driver_hooks {
    /* A message whose records are stored. */
    void (*on_message)(void *arg, const struct core_message *message);
    /* The replies and messages of a turn come now (@is_over false), and were
     * all given (true): what they send may leave together. */
    void (*on_deliver)(void *arg, bool is_over);
    /* The core was built anew from the store: attach streams and submit
     * requests that still wait, again. */
    void (*on_rebuilt)(void *arg);
    /* The driver cannot go on; the log says why.  driver_store_state() is
     * E_NO_LEADER where another coordinator has the store. */
    void (*on_failure)(void *arg);
};

/* All pointers are borrowed until driver_close(). */
struct driver_options {
    struct loop *loop;
    struct store *store;
    struct names *names;
    const struct core_config *core; /* Copied. */
    const struct config *config;    /* Names of classes. */
    const struct driver_hooks *hooks;
    void *arg; /* Given to the hooks. */
    /* No lease outlives it without a renewal: so long nothing is granted where
     * the database may have lost some. */
    uint64_t ttl_ms_max;
};

/* Build the core from the store and reserve numbers for it.
 *
 * Errors (the log says why):
 *   E_STORE, E_STORE_FULL, E_CORRUPT  the store failed.
 *   E_INVALID  the configuration breaks a range of the core's.
 *   E_LIMIT    more services in the store than we number.
 *   E_NOMEM    no memory.
 */
MUST_USE int driver_open(const struct driver_options *options,
                         struct driver **out);

/* The store is about to be closed: a commit that fails now is not made up for;
 * its callers are not answered. */
void driver_finish(struct driver *driver);

/* Free the driver; what is not committed is dropped.  NULL is allowed. */
void driver_close(struct driver *driver);

/* Feed @event, whose .at_ms is set here, and send @reply (copied; NULL = none)
 * when what it did is stored; not before the return.  On an error nothing is
 * sent: the caller answers at once.  A reply that is sent may carry an error
 * all the same: the commit failed, and the call did not work a second time.
 *
 * Errors: as core_step().
 */
int driver_feed(struct driver *driver,
                struct core_event *event,
                const struct driver_reply *reply);

/* An event that must not be lost: somebody has gone, and nobody asks twice. */
struct driver_owed {
    struct list link; /* While it waits for memory. */
    struct core_event event;
};

/* Feed @owed->event, now or as soon as there is memory for it.
 *
 * @owed, the first member of what malloc() returned, is taken: it is freed
 * when that is done.
 */
void driver_owe(struct driver *driver, struct driver_owed *owed);

/* Submit @request likewise.  @binding is what the lease is sent with, taken;
 * NULL = nothing.  *@lease becomes the new lease or the one that it
 * re-attached to.
 *
 * Errors: as core_step(), and
 *   E_STORE_FULL, E_STORE, E_STORE_AWAY, E_NO_LEADER  the store takes nothing
 *                          new.
 */
MUST_USE int driver_submit(struct driver *driver,
                           const struct core_request *request,
                           struct names_binding *binding,
                           const struct driver_reply *reply,
                           uint64_t *lease);

/* Use the classes of @config from now on, borrowed like the one before, and
 * feed @core as CORE_CONFIGURE.
 *
 * Errors: as core_step().
 */
MUST_USE int driver_configure(struct driver *driver,
                              const struct config *config,
                              const struct core_config *core);

/* Return the core, to look at, until the next call to the driver. */
const struct core *driver_core(const struct driver *driver);

/* Return the present instant of core time. */
uint64_t driver_now_ms(const struct driver *driver);

/* Return the core time of an instant of clock_mono_ms(); at least 1. */
uint64_t driver_time_of(const struct driver *driver, uint64_t mono_ms);

/* Say whether new requests are taken: as store_state(). */
int driver_store_state(const struct driver *driver);

/* Return what that stands for, in words; NULL where there is nothing to add. */
const char *driver_store_why(const struct driver *driver);

/* Say whether all that the core knows of the lease @id is stored. */
bool driver_is_settled(const struct driver *driver, uint64_t id);

/* Send @reply, copied, when all that the core knows of its .lease is stored.
 *
 * Errors:
 *   E_NOMEM  it is not sent.
 */
MUST_USE int driver_when_settled(struct driver *driver,
                                 const struct driver_reply *reply);

/* To be called by the owner of the loop: the turn ends. */
void driver_end_turn(struct driver *driver);

/* Likewise: the armed instant has come. */
void driver_tick(struct driver *driver);

/* Counts for the metrics. */
struct driver_stats {
    uint64_t events;
    uint64_t commits;
    uint64_t commits_failed;
    uint64_t commit_ns; /* Spent between store_commit() and its callback. */
    uint64_t late_ms;   /* By which deadlines were moved in all. */
    uint64_t away_ms;   /* For which the store was away in all. */
    uint64_t aways;     /* How often. */
    bool is_away;
};

/* Fill @out. */
void driver_stats(const struct driver *driver, struct driver_stats *out);

#endif
