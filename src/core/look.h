/* look.h - what may be asked about the state of the scheduler, between steps.
 *
 * The second half of core.h, which includes it.
 */
#ifndef GPUCOORD_CORE_LOOK_H
#define GPUCOORD_CORE_LOOK_H

#include "core/core.h"

enum core_guarantee {
    CORE_ADVISORY,
    CORE_VERIFIED,
    CORE_SUPERVISED, /* Its processes are watched. */
};

/* A lease as it is now, or, for a while, as it ended. */
struct core_lease_view {
    struct core_lease_row row; /* .state is the present one; of an ended lease
                                  only id, token, service, class_id and state
                                  are set. */
    enum core_reason reason;   /* ENDED and RECLAIMING. */
    enum core_guarantee guarantee; /* Where it holds or held a device. */
    uint64_t ref;                  /* The connection that waits; 0 = none. */
    uint64_t state_at_ms;          /* Since when it is in its state. */
    uint64_t deadline_at_ms;       /* The state's; CORE_FOREVER = none. */
    uint64_t expires_at_ms;        /* Of a live grant. */
    uint64_t acked_at_ms;          /* PAUSING: the ack; 0 = not yet. */
    uint64_t held_ms;              /* ENDED: time since its first grant. */
    uint64_t requester;            /* PAUSING: who needs the room. */
    uint64_t rung_at_ms;           /* Since when it is on .rung. */
    uint64_t rung_by_ms;           /* Until when; 0 = it begins anew. */
    enum rung rung;        /* PAUSING, RECLAIMING: where on its ladder it is;
                              NONE = nowhere, or past its end. */
    uint32_t release_mib;  /* PAUSING: how much should be freed. */
    uint32_t measured_mib; /* What it uses, on all its devices. */
    bool is_measured; /* So its processes say; else .measured_mib is what is
                         used beyond what all others are believed to use. */
    bool is_undoing;  /* HELD: .rung is being undone. */
    bool was_granted; /* CLEARING: it is a resume. */
    bool can_hear;    /* It would be told to pause. */
};

/* Fill @out with the lease @id.
 *
 * Errors:
 *   E_NOT_FOUND  no such lease; @out is untouched.
 */
MUST_USE int core_lease_view(const struct core *core,
                             uint64_t id,
                             struct core_lease_view *out);

/* Return the live lease of a service's job; 0 where there is none. */
uint64_t
core_job_lease(const struct core *core, uint32_t service, uint64_t job);

/* Return the id of the only lease of @service that is held, pausing or paused
 * (a resume that is CLEARING counts); 0 where there is none or more than one,
 * the number of them in @count. */
uint64_t
core_service_lease(const struct core *core, uint32_t service, size_t *count);

/* Call @each with the live leases in @states (bits 1 << enum lease_state) in
 * the order in which they came to their state, until it returns false. */
void core_each_lease(const struct core *core,
                     uint32_t states,
                     bool (*each)(void *arg, uint64_t id),
                     void *arg);

/* Call @each with the attended waiters of a class in their order, until it
 * returns false. */
void core_each_waiter(const struct core *core,
                      uint32_t class_id,
                      bool (*each)(void *arg, uint64_t id),
                      void *arg);

/* Call @each with the waiters of a class that nobody attends, likewise. */
void core_each_away(const struct core *core,
                    uint32_t class_id,
                    bool (*each)(void *arg, uint64_t id),
                    void *arg);

struct core_device_view {
    enum core_device_state state;
    uint32_t capacity_mib;
    uint32_t reserve_mib;
    uint32_t used_mib;        /* As last measured. */
    uint32_t charged_mib;     /* By leases: their charges, or what they use
                                 where that is more. */
    uint32_t resident_mib;    /* Warm models without a lease. */
    uint32_t unleased_mib;    /* By nobody we know. */
    uint32_t free_mib;        /* What a request could be granted now. */
    uint64_t sampled_at_ms;   /* When that sample was begun; 0 = never. */
    uint64_t linger_until_ms; /* 0 = no seat is kept. */
    uint32_t linger_service;
    bool is_measured;
    bool is_drained;
    bool is_foreign;       /* Somebody outside holds it, by its key. */
    bool is_attributed;    /* The newest sample that counted named its users. */
    bool is_overcommitted; /* More is used than the leases explain. */
    bool wants_samples;    /* Somebody waits for VRAM to be freed here. */
};

/* Fill @out with device @device_index, below the configured count. */
void core_device_view(const struct core *core,
                      uint32_t device_index,
                      struct core_device_view *out);

struct core_class_view {
    struct core_class_config config;
    uint64_t grants;  /* Since the start of this core. */
    uint64_t waiting; /* Attended waiters. */
    uint64_t away;    /* Waiters nobody attends. */
    uint64_t held;    /* HELD, PAUSING or RECLAIMING. */
    uint64_t paused;
    uint32_t consecutive; /* Grants in a row. */
};

/* Fill @out with class @class_id (0 to 9 are the implicit ones). */
void core_class_view(const struct core *core,
                     uint32_t class_id,
                     struct core_class_view *out);

struct core_stats {
    uint64_t leases[8]; /* Live ones by enum lease_state. */
    uint64_t grants;    /* First grants since the start. */
    uint64_t resumes;
    uint64_t pauses; /* Asked. */
    uint64_t acks;   /* Verified. */
    uint64_t expiries;
    uint64_t revocations; /* All reasons but RELEASED and GONE. */
    uint64_t timeouts;
    uint64_t advisories; /* Exclusive grants without verified room. */
    uint64_t offers;
    uint64_t unloads;
    uint64_t prevented;    /* Grants given only because we observe. */
    uint64_t rungs[RUNGS]; /* Begun, by enum rung. */
    uint32_t last_class;   /* Of the newest first grant; CORE_FOREVER's low
                              bits where there was none. */
    bool is_draining;
    bool is_stopping;
    uint64_t bypass_until_ms; /* 0 = off. */
};

/* Fill @out with counts and modes. */
void core_stats(const struct core *core, struct core_stats *out);

enum core_wait {
    CORE_WAIT_NOTHING,  /* It does not wait. */
    CORE_WAIT_STARTUP,  /* The coordinator has just started: until .until. */
    CORE_WAIT_DRAINING, /* The device or the coordinator is drained. */
    CORE_WAIT_AWAY,     /* Nobody attends it. */
    CORE_WAIT_DEVICE,   /* The device is stale, gone or overcommitted. */
    CORE_WAIT_HOLDER,   /* .blocker holds it and was not asked to pause. */
    CORE_WAIT_PAUSE,    /* .blocker was asked to pause, due at .until. */
    CORE_WAIT_VRAM,     /* Given back, not yet measured free. */
    CORE_WAIT_RECLAIM,  /* .blocker was revoked and is cleared away. */
    CORE_WAIT_RESIDENT, /* A warm model of .service stands in the way. */
    CORE_WAIT_LINGER,   /* A seat is kept for .service until .until. */
    CORE_WAIT_LIMIT,    /* Its class is at its consecutive limit. */
    CORE_WAIT_TURN,     /* .blocker, a waiter, is before it. */
    CORE_WAIT_OPERATOR, /* Paused by an operator. */
    CORE_WAIT_FROZEN,   /* .blocker was frozen for an operator, with its
                           VRAM. */
    CORE_WAIT_STORE,    /* The store is away: nothing can be granted. */
    CORE_WAIT_FOREIGN,  /* Somebody outside holds the device by its key. */
    CORE_WAITS
};

/* Why a lease waits: C10. */
struct core_why {
    enum core_wait wait;
    uint64_t position; /* 1 = next; 0 = it does not wait. */
    uint64_t blocker;  /* A lease; 0 = none. */
    uint64_t until_ms; /* When this ends at the latest, if it is known;
                          CORE_FOREVER = not known. */
    uint32_t service;  /* RESIDENT, LINGER. */
    uint32_t device;   /* Where. */
    uint32_t need_mib; /* 0 = all of it. */
    uint32_t free_mib;
    uint32_t blocker_used_mib;   /* What .blocker still uses on .device, as far
                                    as that is known ... */
    uint32_t blocker_charge_mib; /* ... of what it is charged there. */
    uint32_t unleased_mib;       /* In use there by nobody we know. */
    enum rung rung;         /* PAUSE, VRAM, RECLAIM: .blocker is on it ... */
    uint64_t rung_at_ms;    /* ... since then. */
    bool blocker_hears;     /* HOLDER: it could be asked. */
    bool blocker_protected; /* HOLDER: by min_run, until .until_ms. */
    bool blocker_may_renew; /* HOLDER: and .until_ms then is later. */
};

/* Say why the lease @id waits.
 *
 * Errors:
 *   E_NOT_FOUND  no such live lease.
 */
MUST_USE int
core_why(const struct core *core, uint64_t id, struct core_why *out);

/* Return what the lease of @row has on @device; all 0 where it has nothing. */
struct core_share core_row_share(const struct core_lease_row *row,
                                 uint32_t device);

/* Return the name of a reason, wait, message type or guarantee, as in the
 * interfaces ("released"); static. */
const char *core_reason_name(enum core_reason reason);
const char *core_wait_name(enum core_wait wait);
const char *core_message_name(enum core_message_type type);
const char *core_guarantee_name(enum core_guarantee guarantee);

#endif
