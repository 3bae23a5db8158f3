/* rig.h - the core with a store that is a table, watched after every event.
 *
 * rig_feed() is what the daemon's driver is: it gives the core one event,
 * keeps the records, and passes the messages on.  Around that it holds the
 * run to what can be told from records and messages alone, without a look
 * into the core: an exclusive holder is alone, charges fit, tokens rise, each
 * waiter is answered once, nothing is granted that the store does not know,
 * limits in a row are kept.  The first breach ends the program.
 *
 * A commit that fails, and a restart, are here too: the core is thrown away
 * and rebuilt from the table.
 */
#ifndef GPUCOORD_TESTS_SIM_RIG_H
#define GPUCOORD_TESTS_SIM_RIG_H

#include "base/idmap.h"
#include "core/core.h"
#include "core/lease.h"

enum {
    RIG_CLASSES = CORE_PRIORITIES + CORE_CLASSES_MAX
};

/* What the store would hold. */
struct rig_store {
    struct core_lease_row *rows;
    size_t count;
    size_t capacity;
    struct idmap places; /* Lease id to 1 + its index in rows. */
    struct core_class_row classes[RIG_CLASSES];
    bool has_class[RIG_CLASSES];
    struct core_mode_row mode;
    bool has_mode;
};

struct rig {
    struct core *core;
    struct core_config config;
    const struct alloc *alloc;
    struct rig_store store;
    struct idmap refs;      /* Connections that wait for an answer. */
    struct idmap lasting;   /* Connections that are leases: told many things. */
    struct idmap waiting;   /* Attended waiters; the value is their class. */
    struct idmap classes;   /* All live leases, likewise. */
    struct idmap restarted; /* Leases whose service was to be restarted. */
    uint64_t waiting_count[RIG_CLASSES];
    struct buf *trace; /* Where lines go; NULL = nowhere. */
    uint64_t now_ms;   /* Of the newest event. */
    uint64_t hash;     /* FNV-1a over all effects so far. */
    uint64_t events;
    uint64_t token_last;  /* The highest granted. */
    uint64_t check_every; /* Look at everything after so many events. */
    uint64_t numbers_end; /* What CORE_NUMBERS allowed. */
    uint64_t numbers_block;
    uint64_t grants_in_a_row[RIG_CLASSES];
    uint64_t tolerated_mib[CORE_DEVICES_MAX]; /* Charged when a reload made a
                                                 device smaller. */
    uint64_t grants;                          /* First ones. */
    const char **failure; /* Where rig_fail() notes its format; NULL. */
    bool expects_nomem;   /* The allocator fails at times: see rig_feed(). */
};

/* Make a rig around a new core of @config (copied) at core time @start_ms.
 * @alloc is the core's, borrowed until release. */
void rig_init(struct rig *rig,
              const struct core_config *config,
              const struct alloc *alloc,
              uint64_t start_ms);

/* Free the core and the table. */
void rig_release(struct rig *rig);

/* Feed @event at its own time, commit its records, check, and hand out its
 * effects, valid until the next call.  With expects_nomem an event that finds
 * no memory must leave the dump as it was, and is fed again.
 *
 * Errors: as core_step(); then nothing has changed. */
MUST_USE int rig_feed(struct rig *rig,
                      const struct core_event *event,
                      struct core_effects *out);

/* Feed @event, but lose its commit: no record is kept, no message leaves, and
 * the core is rebuilt from the table.
 *
 * Errors: as core_step(); then nothing was lost either. */
MUST_USE int rig_feed_lost(struct rig *rig, const struct core_event *event);

/* Throw the core away and rebuild it from the table at core time @at_ms;
 * all connections are gone. */
void rig_restart(struct rig *rig, uint64_t at_ms);

/* Fail unless the dump of the core is what a core rebuilt from the table
 * would dump (C7, guarantee 17). */
void rig_check_replay(struct rig *rig);

/* Return the row of a lease; NULL where the store has none. */
const struct core_lease_row *rig_row(const struct rig *rig, uint64_t lease);

/* Print what is wrong, with the event's number, and end the program. */
_Noreturn void rig_fail(const struct rig *rig, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
