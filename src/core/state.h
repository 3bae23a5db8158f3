/* state.h - what the core consists of; private to src/core.
 *
 * Every lease is in `leases` by id, on the list its state names, on its
 * service's list, and, while it is a candidate, in one index: attended waiters
 * in a shape of their class, AWAY ones in the class's `away`, sleepers (PAUSED,
 * or CLEARING as a resume) in `sleepers` of their priority.  Its seats are on
 * the lists of the devices it is charged on.
 */
#ifndef GPUCOORD_CORE_STATE_H
#define GPUCOORD_CORE_STATE_H

#include "base/heap.h"
#include "base/idmap.h"
#include "base/list.h"
#include "base/rank.h"
#include "core/core.h"
#include "core/lease.h"

enum {
    CLASSES_ALL = CORE_PRIORITIES + CORE_CLASSES_MAX,
    SHAPES_MAX = 64,    /* Kinds of request a class can hold at once. */
    RESIDENTS_MAX = 16, /* Warm services a device; more count as unleased. */
    HEARS_MS = 2000,    /* A holder that polls is told within this time. */
    OFFER_MS = 5000,    /* Between two offers of the same lease. */
    TURN_MS = 2000,     /* An overdue waiter's turn, at least: a chunk. */
    ENDED_MS = 60000,   /* An ended lease is remembered so long ... */
    ENDED_CHUNKS = 64,  /* ... in a table of so many chunks ... */
    ENDED_CHUNK = 1024, /* ... of so many places. */
    RESUME_MARGIN_MIB = 64, /* At least, where there is a margin. */
    EFFECTS_SPARE = 16      /* Room that one unit of work may need. */
};

#define NEED_ALL UINT32_MAX /* The need of an exclusive request. */

/* A lease's place on one device. */
struct seat {
    struct list link; /* Of the device, in the order of the grants; unlinked
                         while not charged. */
    struct lease *lease;
    uint32_t device;
    struct core_share share;
    uint32_t measured_mib; /* In use, where samples name their users. */
};

/* Return the seat whose link on its device's list is @at. */
static inline struct seat *seat_at(const struct list *at)
{
    return CONTAINER_OF(at, struct seat, link);
}

struct lease {
    struct core_lease_row row; /* .state is the present state. */
    struct class *class;
    struct service *service;
    struct list state_link;
    struct list service_link;
    struct list sleeper_link;
    /* A waiter has a place; a lease that was granted has a history.  Never
     * both, so they share their room: leaving the queue sets it to zero. */
    union {
        struct rank_node place; /* In its shape, or in the class's `away`. */
        struct {
            uint64_t heard_at_ms;   /* Sign of life: grant, renewal. */
            uint64_t renewed_at_ms; /* 0 = never. */
            union {
                uint64_t run_at_ms;  /* HELD: start of min_run. */
                uint64_t rung_at_ms; /* Else: start of the present rung. */
            };
            uint64_t acked_at_ms; /* PAUSING: 0 = not yet.  RECLAIMING: when
                                     its processes had gone; 0 = unknown. */
            uint64_t rung_by_ms;  /* The present rung's deadline; 0 = begin
                                     it (again) at the next TICK. */
            uint64_t requester;   /* PAUSING: for whom. */
        };
    };
    struct heap_node timer; /* Its key is never later than the deadline. */
    uint32_t shape;         /* Index in the class, while attended. */
    struct seat *seats;     /* row.gpus of them; &seat for one.  Behind a
                               gang's are the shares of its row. */
    struct seat seat;
    struct lease *next; /* Scratch: victims of one choice. */
    uint64_t ref;       /* The connection that waits or holds; 0. */
    uint64_t state_at_ms;
    uint64_t deadline_at_ms; /* CORE_FOREVER = none. */
    uint64_t expires_at_ms;  /* Of the grant; HELD, PAUSING, PAUSED. */
    uint64_t wait_until_ms;  /* HELD: when its wait would have ended. */
    uint64_t offered_at_ms;  /* AWAY: 0 = never. */
    uint64_t reserved;       /* CLEARING: set of devices. */
    uint32_t kept_mib;       /* PAUSING, acked: what the holder keeps. */
    uint8_t reason;          /* enum core_reason. */
    bool is_stored;          /* The store knows it. */
    bool is_touched;         /* Its row changed in this step. */
    bool is_moved;           /* Its state changed in this step. */
    bool is_confirmed;       /* CLEARING: this pass keeps it so. */
    bool is_counted;         /* A waiter: its class had its turn for it. */
    bool is_moving;          /* What came of a checkpoint, or of its undo, is
                                not known: what it freed may come back. */
};

/* Waiters of one class that compete for the same room: FIFO among them. */
struct shape {
    uint64_t devices; /* As asked; 0 = any. */
    uint32_t gpus;
    bool is_exclusive;
    uint32_t members;    /* Waiters of this kind, attended or away. */
    struct rank waiting; /* The attended ones. */
    uint64_t cursor;     /* Scratch of a pass: looked at up to this seq. */
    bool is_blocked;     /* Scratch: may not reserve any more in this pass. */
};

struct class
{
    uint32_t id;
    struct core_class_config config;
    int64_t credit;
    uint32_t consecutive;
    struct shape *shapes; /* SHAPES_MAX, allocated with the first waiter. */
    uint32_t shape_count;
    struct rank away;
    uint64_t waiting; /* Attended waiters: the sum over the shapes. */
    uint64_t held;
    uint64_t paused;
    uint64_t grants;
    int64_t pass_credit;       /* Scratch of a pass. */
    uint32_t pass_consecutive; /* Scratch. */
    uint64_t pass_served;      /* Scratch: waiters passed over. */
    bool is_exhausted;         /* Scratch: no further candidate. */
    bool is_touched;           /* Its row changed in this step. */
};

struct service {
    uint32_t id;
    uint32_t streams;    /* Open control streams. */
    uint32_t waiters;    /* AWAY, QUEUED or CLEARING before the first grant. */
    uint64_t lost_at_ms; /* When its last stream closed; 0 = it has some, or
                            never had one. */
    struct list leases;
};

/* VRAM a service still uses without a lease. */
struct resident {
    uint32_t service;
    uint32_t mib;
    uint64_t until_ms; /* Settle time after its room was needed; 0 = it was
                          not. */
};

struct device {
    struct core_device_config config;
    uint32_t index;
    enum core_device_state state;
    bool is_drained;
    bool is_accounted; /* A sample counted, so it is known who uses what. */
    bool is_foreign;   /* Somebody outside holds it, by its key. */
    uint32_t used_mib;
    uint64_t sampled_at_ms;    /* Begin of the newest sample; 0 = none. */
    uint64_t dirty_at_ms;      /* Last release, ack or death. */
    uint64_t attributed_at_ms; /* Begin of the newest sample that counted; 0 =
                                  it named no users. */
    uint32_t charged_mib;      /* What all seats take. */
    uint32_t tolerated_mib;    /* It was so much when a configuration made the
                                  device smaller than that. */
    uint32_t unleased_mib;
    struct resident residents[RESIDENTS_MAX]; /* Oldest first. */
    uint32_t resident_count;
    struct list seats;
    uint64_t linger_until_ms; /* 0 = no seat is kept. */
    uint32_t linger_service;
    uint32_t linger_priority;
    /* Scratch of a pass: */
    enum {
        DEVICE_OPEN,
        DEVICE_RESERVED,
        DEVICE_RESERVED_OVERDUE
    } reservation;
    uint32_t left_mib;            /* RESERVED: what others may take. */
    const struct lease *reserver; /* Whose reservation it is. */
    bool is_awaited;              /* VRAM is waited for there (of last pass). */
};

/* What is remembered of a lease that ended. */
struct ended {
    uint64_t id; /* 0 = the place is free. */
    uint64_t token;
    uint64_t ended_at_ms;
    uint64_t held_ms;
    uint32_t service;
    uint32_t class_id;
    enum core_reason reason;
};

struct core {
    struct core_config config;
    struct alloc alloc;
    uint64_t now_ms;
    uint64_t next_number; /* Of leases ids and tokens: one sequence. */
    uint64_t id_end;
    uint64_t token_end;
    uint64_t next_seq;
    struct idmap leases; /* (0, id) */
    struct idmap jobs;   /* (service, job) */
    struct heap timers;
    struct list states[LEASE_STATES];
    uint64_t state_count[LEASE_STATES];
    struct list sleepers[CORE_PRIORITIES];
    uint64_t sleeper_count;
    uint64_t waiter_count; /* Attended and away. */
    struct class classes[CLASSES_ALL];
    /* The classes by priority, then number: those of priority p are
     * order[order_at[p]] to order[order_at[p + 1] - 1]. */
    struct class *order[CLASSES_ALL];
    uint32_t order_at[CORE_PRIORITIES + 1];
    struct service **services; /* By number; NULL = never seen. */
    uint32_t service_capacity;
    struct device devices[CORE_DEVICES_MAX];
    struct ended *ended[ENDED_CHUNKS];
    uint64_t ended_count;     /* Ever: the next place in the ring. */
    struct idmap ended_by_id; /* (0, id) */
    struct lease *slab_free;  /* Linked through .next. */
    void **slabs;
    uint32_t slab_count;
    /* Effects of this step, effects_max each. */
    struct core_record *records;
    struct core_message *messages;
    struct lease **touched;
    struct lease **moved;
    uint32_t record_count;
    uint32_t message_count;
    uint32_t touched_count;
    uint32_t moved_count;
    uint32_t effects_capacity;
    uint64_t about; /* The lease of this event. */
    bool is_repeat;
    /* Modes. */
    uint64_t hold_until_ms; /* Startup: nothing is granted before. */
    bool is_held;           /* The store is away: nothing is granted at all. */
    uint64_t bypass_until_ms;
    uint64_t stop_at_ms;
    bool is_draining; /* An operator's; */
    bool is_stopping; /*   a shutdown drains for this run only. */
    bool is_stopped;
    bool is_mode_touched;
    bool was_overdue; /* The newest first grant went to an overdue waiter. */
    bool needs_pass;
    bool has_asked;      /* Scratch: this pass asked somebody to pause. */
    bool has_more;       /* Effects were full: go on at the next TICK. */
    uint64_t pass_at_ms; /* Time alone changes the pass's outcome then. */
    struct core_stats stats;
};

#endif
