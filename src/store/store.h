/* store.h - what outlives the coordinator: leases, classes, modes, numbers.
 *
 * A contract with several backends (sqlite.c, pg.c) and one test suite for all
 * of them (tests/contract/store_contract_test.c).  The driver puts rows into
 * the current batch during a turn of its loop and commits it at the end of the
 * turn: all or none, then a callback.  Batches become durable, and their
 * callbacks come, in the order in which they were committed.
 *
 * Rows carry names, not the numbers that the core uses for services, jobs and
 * configured classes: those last only as long as a process.
 *
 * Used from one thread, that of the loop.
 */
#ifndef GPUCOORD_STORE_STORE_H
#define GPUCOORD_STORE_STORE_H

#include "base/err.h"
#include "core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base; /* libevent's. */
struct store;      /* Opaque; begins with its store_ops (ops.h). */

enum {
    STORE_MESSAGE_SIZE = 512,    /* Room for every message of store_open(). */
    STORE_NUMBER_BLOCK = 1000000 /* How many numbers to reserve at a time. */
};

/* A lease with the names that the core does not know.  All strings are UTF-8
 * without NUL inside. */
struct store_lease {
    /* .service and .job are not stored and 0 when loaded.  .class_id is
     * stored only where .class_name is NULL, and is else 0 when loaded. */
    struct core_lease_row core;
    const char *service_id;
    const char *job_id;     /* NULL = none. */
    const char *class_name; /* NULL = the implicit one of .core.class_id. */
    const char *metadata;   /* JSON text; NULL = none. */
    const char *watches;    /* What else is watched, as the caller writes it;
                               NULL = nothing. */
    uint64_t watch_started; /* Start time of the watched process, in ticks
                               since the boot. */
    uint32_t watch_pid;     /* The watched process; 0 = none. */
};

/* A class's place in the weighted order. */
struct store_class {
    struct core_class_row core; /* .class_id is not stored, 0 when loaded. */
    const char *name;           /* "transcription"; "priority-2" for the
                                   implicit class of priority 2. */
};

/* Who is given the rows by store_load().  The rows are borrowed for the call;
 * a result other than E_OK ends the loading. */
struct store_reader {
    int (*lease)(void *arg, const struct store_lease *lease);
    int (*class_row)(void *arg, const struct store_class *row);
    int (*mode)(void *arg, const struct core_mode_row *mode);
    void *arg; /* Given to all; may be NULL. */
};

/* Told the result of a commit, exactly once.
 *
 * Results:
 *   E_OK          the batch is stored as durably as was asked.
 *   E_STORE_FULL  the disk is full; nothing of the batch was stored.
 *   E_STORE       the batch failed; nothing of it was stored, or (where fsync
 *                 was asked for) it cannot be said whether it would outlive a
 *                 power loss.  store_state() tells the two apart: it is then
 *                 E_STORE too.
 *   E_NOMEM       no memory; nothing of the batch was stored.
 *   E_NO_LEADER   another coordinator has the store since: of this batch
 *                 nothing was stored, or all of it before the other came.
 */
typedef void (*store_done)(void *arg, int rc);

/* What a coordinator of a cluster writes under, as long as it leads. */
struct store_fence {
    uint64_t timeline; /* Of the database's WAL. */
    uint64_t epoch;
};

struct store_options {
    struct event_base *loop; /* Borrowed until store_close(). */
    /* NULL: no cluster; the store itself sees that nobody else writes. */
    const struct store_fence *fence;
    bool moves_aside; /* Rename what is there and start anew (the command line's
                         --move-aside-store). */
};

/* Open the store that @url names, "sqlite:PATH" or "postgresql://…" as libpq
 * takes it, and create it where there is none.
 *
 * @url and @options are copied.  The store is returned to the caller.  On an
 * error @msg, at least STORE_MESSAGE_SIZE bytes, says what is wrong and what
 * to do about it, and nothing of what was there has changed.
 *
 * Errors:
 *   E_INVALID      @url has another form, an empty path, or a password in it;
 *                  or what is there cannot be moved aside.
 *   E_UNSUPPORTED  this program was built without that kind of store.
 *   E_BUSY         another process has it open.
 *   E_CORRUPT      what is there is damaged or not a store.
 *   E_VERSION      a newer version of this program wrote it.
 *   E_STORE_FULL   no room to create it.
 *   E_STORE        it cannot be opened, created or migrated.
 *   E_NO_LEADER    @options->fence is one of the past.
 *   E_NOMEM        no memory.
 */
MUST_USE int store_open(const char *url,
                        const struct store_options *options,
                        struct store **out,
                        char *msg,
                        size_t msg_size);

/* Wait until all commits are durable, tell their callbacks, drop the current
 * batch and close; NULL is allowed.  A store that is away is waited for for
 * five seconds; what it then has not answered fails with E_STORE. */
void store_close(struct store *store);

/* Give all rows to @reader, borrowed for the call: the mode, then the classes
 * by name, then the leases by .seq.
 *
 * @time_max_ms becomes the highest instant of core time that a row says has
 * been (not when a bypass will end); 0 where there is none.
 *
 * Errors:
 *   E_STORE    reading failed.
 *   E_CORRUPT  a row is none that we wrote.
 *   E_NO_LEADER  another coordinator has the store since.
 *   E_NOMEM    no memory.
 *   others     what @reader returned.
 */
MUST_USE int store_load(struct store *store,
                        const struct store_reader *reader,
                        uint64_t *time_max_ms);

/* Put a lease into the current batch: insert or replace.  @lease is copied.
 * Only the last put or end of a lease in a batch is written. */
void store_put_lease(struct store *store, const struct store_lease *lease);

/* Remove the lease @id; nothing happens where the store has none. */
void store_end_lease(struct store *store, uint64_t id);

/* Put the row of a class, copied: insert or replace. */
void store_put_class(struct store *store, const struct store_class *row);

/* Put the modes, copied. */
void store_put_mode(struct store *store, const struct core_mode_row *mode);

/* Commit the current batch, all or none, and begin the next one.
 *
 * @number tells a repeat from a new batch: it rises from commit to commit; a
 * batch whose number was already committed since store_open() is not written
 * again and counts as done.  With @needs_fsync the batch, and all before it,
 * outlives a power loss, else only the death of this process.
 *
 * @done is called with @arg exactly once: before the return where nothing has
 * to be waited for, else from the loop.  Commits that need an fsync are told
 * in their order; those that need none do not wait for them.
 * It may put and commit.  A failed put (no memory) fails its batch here.
 */
void store_commit(struct store *store,
                  uint64_t number,
                  bool needs_fsync,
                  store_done done,
                  void *arg);

/* Say whether every commit outlives a power loss, asked for or not. */
bool store_syncs_all(const struct store *store);

/* Return how many commits still wait for their callback. */
size_t store_pending(const struct store *store);

/* Say whether the lease @id has a row in the current batch or in one that is
 * still being committed; 0 asks for the row of the modes. */
bool store_touches(const struct store *store, uint64_t id);

/* Drop the current batch. */
void store_discard(struct store *store);

/* Return the end of the numbers (lease ids and tokens) reserved so far: those
 * below it may be in use, those from it on never were; 0 = none were. */
uint64_t store_numbers(const struct store *store);

/* Reserve the numbers below @end, durably: a power loss after the return does
 * not bring them back.  Blocks for an fsync; an @end not above
 * store_numbers() does nothing.  Leaves the current batch alone.
 *
 * Errors (nothing is reserved):
 *   E_STORE_FULL  the disk is full.
 *   E_STORE       writing failed.
 *   E_NO_LEADER   another coordinator has the store since.
 */
MUST_USE int store_reserve_numbers(struct store *store, uint64_t end);

/* Have all numbers from now on lie at @end or above, durably: an import brings
 * leases that have the others.  Leaves the current batch alone.
 *
 * Errors (nothing has changed):
 *   E_INVALID     they would be no numbers that JavaScript can count.
 *   E_STORE_FULL  the disk is full.
 *   E_STORE       writing failed.
 *   E_NO_LEADER   another coordinator has the store since.
 */
MUST_USE int store_raise_numbers(struct store *store, uint64_t end);

/* Have the numbers below @end reserved, likewise, without waiting for it where
 * that takes long: store_numbers() rises when it is done.  A failure is logged,
 * and leaves it as it was. */
void store_ask_numbers(struct store *store, uint64_t end);

/* Find how long from now on nothing may be granted: a database that was failed
 * over may have lost grants, of which the longest lasts @longest_ms.
 *
 * Errors:
 *   E_STORE  it cannot be asked.
 */
MUST_USE int
store_hold_ms(struct store *store, uint64_t longest_ms, uint64_t *hold_ms);

/* Have @changed called with @arg, from the loop, when store_state() may have
 * become another by itself. */
void store_watch(struct store *store, void (*changed)(void *arg), void *arg);

/* The leadership under which a store was opened has ended: what is not stored
 * fails with E_NO_LEADER, and nothing more is written.  Without a fence nothing
 * happens. */
void store_abandon(struct store *store);

/* Return what store_state() stands for, in words for people, valid until the
 * next call; NULL where there is nothing to add. */
const char *store_why(const struct store *store);

/* Say whether new requests may be accepted.  Releases, expiries and all other
 * changes are committed as ever, whatever this says.
 *
 * Errors:
 *   E_STORE_FULL  the disk is full; passes by itself when there is room (asked
 *                 here, at most once a second).
 *   E_STORE       an fsync failed: what is stored may not outlive a power
 *                 loss, until the coordinator is started again.
 *   E_STORE_AWAY  the database cannot be reached, or does not answer: commits
 *                 wait until it is back.
 *   E_NO_LEADER   another coordinator has the store since: for good.
 */
MUST_USE int store_state(struct store *store);

#endif
