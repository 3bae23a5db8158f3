/* core.h - the scheduler: events with their time go in, effects come out.
 *
 * Pure: no system call, no clock, no global.  The driver feeds it
 * (daemon/driver.c), and so do the simulator and `gpucoord simulate`; a run is
 * a function of its events.  core_step() is all or nothing: on an error
 * nothing has changed.
 *
 * The core sees small integers.  Names, metadata and connections live with
 * its caller, under the lease's id.
 */
#ifndef GPUCOORD_CORE_CORE_H
#define GPUCOORD_CORE_CORE_H

#include "base/alloc.h"
#include "base/buf.h"
#include "base/err.h"
#include "core/ladder.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core; /* Opaque; state.h. */

enum {
    CORE_DEVICES_MAX = 64, /* One bit each in a set of devices. */
    CORE_PRIORITIES = 10,  /* 0 (first) to 9. */
    CORE_CLASSES_MAX = 64, /* Configured ones; implicit ones come on top. */
    CORE_USAGES_MAX = 256, /* Users named by one sample. */
    CORE_LADDERS_MAX = 64,
    CORE_WEIGHT_IMPLICIT = 50
};

#define CORE_FOREVER UINT64_MAX /* An instant that never comes. */

/* Classes are numbered: 0 to 9 are the implicit classes of requests that name
 * only a priority, configured class i is CORE_CLASS(i). */
#define CORE_CLASS(i) (CORE_PRIORITIES + (i))

/* Ladders are numbered: 0 is the default, configured ladder i is
 * CORE_LADDER(i). */
#define CORE_LADDER(i) (1 + (i))

/* ---- Configuration ---------------------------------------------------- */

struct core_class_config {
    uint32_t priority;        /* 0 to 9. */
    uint32_t weight;          /* 1 to 10000: share among its priority. */
    uint32_t max_consecutive; /* Grants in a row; 0 = no limit. */
    bool waits_when_alone;    /* A limit holds also where nobody else waits. */
    uint32_t linger_ms;       /* The seat is kept so long after a release. */
    uint32_t min_run_ms;      /* After a grant only priority 0 preempts. */
    uint32_t max_wait_ms;     /* Overdue after it; 0 = never.  Whoever is let
                                 in as overdue is preempted by nobody for
                                 min_run_ms, at least 2 s. */
};

struct core_device_config {
    uint32_t capacity_mib; /* Above 0. */
    uint32_t reserve_mib;  /* Never granted; below the capacity. */
    uint32_t residue_mib;  /* What a paused holder may keep. */
    uint32_t settle_ms;    /* How long freed VRAM may take to be measured. */
    bool is_measured;      /* Grants wait for measured room (`verify`). */
};

/* Copied by core_create() and CORE_CONFIGURE. */
struct core_config {
    struct core_device_config devices[CORE_DEVICES_MAX];
    uint32_t device_count; /* 0 to 64; a reload keeps it. */
    struct core_class_config classes[CORE_CLASSES_MAX];
    uint32_t class_count; /* A reload may add, never remove. */
    /* A reload may change and remove: a lease keeps the rungs it came with. */
    struct core_ladder ladders[CORE_LADDERS_MAX];
    uint32_t ladder_count;
    uint32_t rung_grace_ms; /* Of a rung that no ladder names; 0 =
                               LADDER_GRACE_MS. */
    bool is_observing;      /* Everything is granted at once, nobody is asked;
                               what the rules would not have given is counted. */
    uint32_t waiters_max;   /* Over all services. */
    uint32_t service_waiters_max;
    uint32_t stream_grace_ms; /* Life of leases whose last stream closed. */
    uint32_t away_ms;         /* How long a place is kept for a job. */
    uint32_t startup_hold_ms; /* Nothing is granted so long after a start. */
    uint32_t resume_margin_percent; /* A resume needs so much more measured free
                                       than it used; 0 = none. */
    uint32_t effects_max;           /* Records and messages of one step; >= 256.
                                       Longer work goes on in the next TICK. */
};

/* ---- Events ----------------------------------------------------------- */

enum core_event_type {
    CORE_SUBMIT,        /* A request, new or sent again. */
    CORE_ATTACH,        /* A stream of a service opened. */
    CORE_DETACH,        /* One closed; or a request's connection went. */
    CORE_RELEASE,       /* The holder gives its lease back. */
    CORE_RENEW,         /* The holder lives. */
    CORE_ACK,           /* The holder answers a command. */
    CORE_CANCEL,        /* A waiter withdraws. */
    CORE_TICK,          /* Time has passed: core_deadline() was reached. */
    CORE_DEVICE_REPORT, /* VRAM was measured. */
    CORE_PROCESS_GONE,  /* The watched process of a lease has died. */
    CORE_WATCH,         /* Its processes are watched from now on, or not. */
    CORE_RUNG,          /* How a CORE_MSG_RUNG ended. */
    CORE_FOREIGN,       /* Which devices somebody outside holds, by a key. */
    CORE_ADMIN,         /* An operator. */
    CORE_RESTORE,       /* A row from the store, before all other events. */
    CORE_EVENTS
};

enum core_ack {
    CORE_ACK_PAUSED,
    CORE_ACK_RESUMED,
    CORE_ACK_ERROR
};

enum core_admin {
    CORE_DRAIN,     /* Admit and grant nothing new (on .devices, 0 = at all). */
    CORE_UNDRAIN,   /* The opposite. */
    CORE_REVOKE,    /* Take .lease back by force. */
    CORE_PAUSE,     /* Ask .lease to pause; it stays paused ... */
    CORE_RESUME,    /* ... until this. */
    CORE_THAW,      /* The processes of .lease were thawed and restored by
                       hand: it no longer is the coordinator's doing. */
    CORE_BYPASS,    /* Grant everything at once until .until_ms; 0 ends it. */
    CORE_SHUTDOWN,  /* Drain, end the waits, stop at .until_ms at the latest. */
    CORE_CONFIGURE, /* Take .config; devices and class numbers stay. */
    CORE_NUMBERS,   /* Lease ids and tokens may go up to .id_end, .token_end. */
    CORE_HOLD       /* Grant nothing, ask nobody to make room: what that changes
                       cannot be stored.  .until_ms 0 ends it. */
};

enum core_device_state {
    CORE_DEVICE_OK,
    CORE_DEVICE_STALE, /* No recent sample: nothing is granted there. */
    CORE_DEVICE_GONE,  /* Off the bus: likewise. */
};

/* A request with every default already filled in. */
struct core_request {
    uint64_t ref;        /* The connection that waits, echoed in messages; 0 =
                            none (`wait: false`). */
    uint64_t job;        /* The service's own name as a number; 0 = none. */
    uint64_t devices;    /* Set of devices it may use; 0 = any. */
    uint64_t timeout_ms; /* CORE_FOREVER = none; 0 = now or not at all. */
    uint32_t service;    /* From 1, dense. */
    uint32_t class_id;   /* 0 to 9 or CORE_CLASS(i). */
    uint32_t vram_mib;   /* Per device; 0 = the whole device, alone. */
    uint32_t gpus;       /* 1 to the number of devices. */
    uint32_t ttl_ms;     /* 1000 to 600000. */
    uint32_t pause_grace_ms; /* How long a pause may take. */
    uint32_t max_hold_ms; /* A ceiling that renewal does not lift; 0 = none. */
    uint8_t ladder;       /* 0 = the default, or CORE_LADDER(i). */
    uint32_t rungs;       /* A ladder of its own, packed, whose rungs have
                             rung_grace_ms; 0 = that of .ladder. */
    bool is_preemptible;
    bool is_durable;          /* `wait: false`; has a job. */
    bool holds_by_connection; /* `hold: connection`. */
    bool is_reachable; /* Can be asked without a stream: an engine, a signal
                          or `run` stands behind it. */
    bool is_watched;   /* Its processes are watched: CORE_PROCESS_GONE comes
                          when they are gone. */
};

/* What a lease has on one of its devices. */
struct core_share {
    uint32_t charge_mib;    /* Now charged there. */
    uint32_t footprint_mib; /* What a resume needs measured free there. */
};

/* The row of a lease: all that outlives a restart. */
struct core_lease_row {
    uint64_t id;
    uint64_t token;        /* The newest; 0 before the first grant. */
    uint64_t token_before; /* The one before it; 0 = none. */
    uint64_t seq;          /* Its place: lower is earlier. */
    uint64_t job;
    uint64_t devices; /* As asked; 0 = any. */
    uint64_t granted; /* Set of devices held, or left by a pause. */
    uint64_t submitted_at_ms;
    uint64_t granted_at_ms;       /* The newest grant or resume; 0 = none. */
    uint64_t first_granted_at_ms; /* 0 = never. */
    uint64_t timeout_ms;          /* As asked. */
    uint32_t service;
    uint32_t class_id;
    uint32_t vram_mib;
    uint32_t gpus;
    uint32_t ttl_ms;
    uint32_t pause_grace_ms;
    uint32_t max_hold_ms;
    uint32_t charge_mib;    /* The largest of its charges on a device. */
    uint32_t footprint_mib; /* Likewise. */
    uint32_t flags;         /* enum core_row_flags. */
    uint32_t rungs;         /* Its ladder: 4 bits a rung, the first lowest; 0 =
                               the default. */
    uint8_t state;          /* enum lease_state (core/lease.h). */
    uint8_t rung;           /* enum rung: the newest begun, while PAUSING or
                               RECLAIMING, or while HELD the one undone. */
    uint8_t ladder;         /* As in the request; 0 where that brought .rungs.
                               Not stored: whoever restores a row looks up
                               where its service has .rungs by now. */
    /* Of a gang: .gpus shares, those of the devices in .granted by index, then
     * nothing; NULL before its first grant, and for one GPU.  Of an effect or
     * a view owned by the core until the next step; of an event borrowed. */
    const struct core_share *shares;
};

enum core_row_flags {
    CORE_ROW_PREEMPTIBLE = (1 << 0),
    CORE_ROW_DURABLE = (1 << 1),
    CORE_ROW_BY_CONNECTION = (1 << 2),
    CORE_ROW_OPERATOR_PAUSED = (1 << 3), /* Not resumed until told. */
    CORE_ROW_BYPASSED = (1 << 4),        /* Granted while bypass was on. */
    CORE_ROW_ADVISORY = (1 << 5),        /* Granted without verified room. */
    CORE_ROW_CHECKPOINTED = (1 << 6),    /* Moved to host RAM by us: from when
                                            that is begun until it is known to
                                            be undone, or not to have been. */
    CORE_ROW_FROZEN = (1 << 7),          /* Stopped by us; likewise. */
    CORE_ROW_RESTARTED = (1 << 8),       /* Its restart hook was run. */
    CORE_ROW_UNCHECKED = (1 << 9),       /* Granted against the rules: we only
                                            observe. */
    CORE_ROW_REACHABLE = (1 << 10),      /* Can be asked without a stream. */
    CORE_ROW_WATCHED = (1 << 11),        /* Its processes are watched. */
    CORE_ROW_ASLEEP = (1 << 12),         /* RECLAIMING: it was paused, and has
                                            no more than a residue. */
    CORE_ROW_OVERDUE = (1 << 13),        /* Its newest grant was its turn after
                                            it had waited for too long. */
    CORE_ROW_REASON = (0xf << 16),       /* RECLAIMING: the enum core_reason; 0
                                            where an older version wrote it. */
};

enum {
    CORE_ROW_REASON_SHIFT = 16
};

/* The row of a class: its place in the weighted order. */
struct core_class_row {
    uint32_t class_id;
    uint32_t consecutive; /* Grants in a row. */
    int64_t credit;       /* Smooth weighted round robin. */
};

/* The row of the modes an operator sets. */
struct core_mode_row {
    uint64_t bypass_until_ms; /* 0 = off; CORE_FOREVER. */
    uint64_t drained;         /* Set of devices. */
    bool is_draining;
};

enum core_record_type {
    CORE_RECORD_LEASE,     /* Insert or replace. */
    CORE_RECORD_LEASE_END, /* Delete; only .lease.id counts. */
    CORE_RECORD_CLASS,
    CORE_RECORD_MODE,
    CORE_RECORDS
};

struct core_record {
    enum core_record_type type;
    union {
        struct core_lease_row lease;
        struct core_class_row class_row;
        struct core_mode_row mode;
    };
};

/* VRAM that a sample found in use by somebody. */
struct core_usage {
    uint64_t lease;   /* Whose process it is; 0 = no lease is known. */
    uint32_t service; /* Of the process, also where the lease is known; 0 =
                         nobody knows it. */
    uint32_t used_mib;
};

struct core_event {
    enum core_event_type type;
    uint64_t at_ms; /* Never lower than that of the event before. */
    union {
        struct core_request submit;
        struct {
            uint64_t lease;   /* DETACH: the request's lease; 0: a stream. */
            uint64_t ref;     /* DETACH of a request: its .ref. */
            uint32_t service; /* A stream's. */
            bool is_lenient;  /* DETACH of a stream: that says nothing about
                                 the service; its leases keep their time. */
        } attach, detach;
        struct {
            uint64_t lease;
            uint64_t token;
        } release;
        struct {
            uint64_t lease;
            uint64_t token;
            uint32_t ttl_ms; /* 0 = as before. */
        } renew;
        struct {
            uint64_t lease;
            uint64_t token;
            enum core_ack action;
            uint32_t vram_mib; /* PAUSED: still used, per device. */
        } ack;
        struct {
            uint64_t lease;
        } cancel, process_gone;
        struct {
            uint64_t lease;
            bool is_watched;
        } watch;
        struct {
            uint64_t lease;
            uint64_t token; /* Of the message it answers. */
            enum rung rung; /* Likewise. */
            bool is_undo;   /* Likewise. */
            enum rung_result result;
        } rung;
        struct {
            uint64_t devices; /* All of them: nothing is granted there. */
            uint64_t lease;   /* HELD or PAUSING: its grant found the key taken
                                 and was told to nobody; it goes back where it
                                 was.  0 = none. */
            uint64_t token;   /* Of that grant. */
            uint64_t ref;     /* The connection that waited for it; 0 = none,
                                 or it has gone. */
        } foreign;
        struct {
            uint32_t device;
            enum core_device_state state;
            uint64_t begun_at_ms;            /* When the sample was begun. */
            uint32_t used_mib;               /* By everybody on the device. */
            uint32_t usage_count;            /* Up to CORE_USAGES_MAX. */
            const struct core_usage *usages; /* Borrowed for the call. */
            bool is_attributed; /* .usages names all users that there are. */
        } report;
        struct {
            enum core_admin action;
            uint64_t lease;
            uint64_t devices;
            uint64_t until_ms; /* An instant of core time. */
            uint64_t id_end;
            uint64_t token_end;
            const struct core_config *config; /* Borrowed for the call. */
        } admin;
        struct core_record restore; /* Any type but LEASE_END. */
    };
};

/* ---- Effects ---------------------------------------------------------- */

enum core_message_type {
    CORE_MSG_GRANT,      /* To .ref, and to the service's streams. */
    CORE_MSG_RESUME,     /* A paused lease is granted again, new token. */
    CORE_MSG_REFUSE,     /* The wait of .ref ended without a grant: .error. */
    CORE_MSG_SUPERSEDED, /* .ref was replaced by a newer connection. */
    CORE_MSG_OFFER,      /* Attend .lease: it would be next. */
    CORE_MSG_PAUSE,      /* .deadline_at_ms, .release_mib, .requester. */
    CORE_MSG_UNLOAD,     /* To .service: free warm VRAM (.lease is 0). */
    CORE_MSG_REVOKE,     /* .lease is no longer yours: .reason. */
    CORE_MSG_SHUTDOWN,   /* To a holder: finish before .deadline_at_ms. */
    CORE_MSG_STOPPED,    /* The shutdown is over; nothing else is said. */
    CORE_MSG_STATE,      /* .lease is now in .state (for observers).  ENDED
                            with .rung: its processes stay checkpointed or
                            frozen, until they die or an operator thaws. */
    CORE_MSG_RUNG,       /* Do .rung to .lease, or undo it where .is_undo, and
                            answer with CORE_RUNG before .deadline_at_ms: an
                            answer that is late counts as none.  It may come
                            twice: doing again what is done is OK. */
    CORE_MESSAGES
};

/* Why a lease ended, was revoked, or a wait was refused. */
enum core_reason {
    CORE_REASON_NONE,
    CORE_REASON_RELEASED,     /* By its holder. */
    CORE_REASON_CANCELLED,    /* Withdrawn while it waited. */
    CORE_REASON_TIMEOUT,      /* Not granted in time. */
    CORE_REASON_GONE,         /* Its connection or process went. */
    CORE_REASON_EXPIRED,      /* Not renewed within its TTL. */
    CORE_REASON_MAX_HOLD,     /* Held for longer than max_hold. */
    CORE_REASON_PAUSE_LATE,   /* No ack, or no VRAM freed, in time. */
    CORE_REASON_PAUSE_FAILED, /* The holder said so, or kept too much. */
    CORE_REASON_OPERATOR,
    CORE_REASON_AWAY, /* Away for too long. */
    CORE_REASON_DRAINING,
    CORE_REASON_PREEMPTED,      /* Its ladder begins with force. */
    CORE_REASON_RESTORE_FAILED, /* A resume could not be undone in time. */
    CORE_REASONS
};

struct core_message {
    enum core_message_type type;
    enum core_reason reason;
    uint64_t lease;
    uint64_t token;
    uint64_t ref;
    uint64_t requester; /* PAUSE, UNLOAD: the lease that needs the room; 0 =
                           an operator. */
    uint64_t deadline_at_ms;
    uint64_t retry_after_ms; /* REFUSE: how long the place is kept; 0 = not. */
    uint32_t service;
    uint32_t release_mib; /* Per device. */
    uint32_t state;       /* enum lease_state. */
    int error;            /* REFUSE. */
    enum rung rung;       /* RUNG; STATE, see there. */
    bool is_undo;         /* RUNG. */
    uint32_t wait;        /* GRANT while only observing: why it would have
                             waited (enum core_wait); 0 = it would not. */
};

/* What the driver must do, in this order: records, then messages. */
struct core_effects {
    const struct core_record *records; /* Owned by the core; valid until */
    size_t record_count;               /*   the next core_step(). */
    const struct core_message *messages;
    size_t message_count;
    uint64_t lease; /* The lease the event was about; 0 = none.  Of SUBMIT:
                       the new or the re-attached one. */
    bool is_repeat; /* SUBMIT re-attached; RELEASE, ACK or CANCEL was done. */
};

/* ---- The core --------------------------------------------------------- */

/* Create a core without leases.
 *
 * @config is copied, @alloc is borrowed until core_destroy().  @start_ms is
 * the first instant of core time; lease ids and tokens start at @number_first
 * and are given only below what CORE_NUMBERS allows (at first nothing).
 *
 * Errors:
 *   E_NOMEM    no memory.
 *   E_INVALID  @config breaks a range stated above.
 */
MUST_USE int core_create(const struct core_config *config,
                         const struct alloc *alloc,
                         uint64_t start_ms,
                         uint64_t number_first,
                         struct core **out);

/* Free the core; NULL is allowed. */
void core_destroy(struct core *core);

/* Apply @event and fill @out.
 *
 * Errors (nothing has changed):
 *   E_NOMEM         no memory.
 *   E_INVALID       SUBMIT: impossible here (more GPUs or VRAM than there
 *                   are); DEVICE_REPORT: no such device, too many usages;
 *                   RESTORE: a row no version of ours wrote; RUNG: no rung
 *                   or result of ours.
 *   E_LIMIT         SUBMIT: waiters_max or service_waiters_max reached, or no
 *                   numbers left; FOREIGN: its class has no place any more.
 *   E_DRAINING      SUBMIT: draining or shutting down.
 *   E_JOB_CONFLICT  SUBMIT: the job is live with another class, size or set.
 *   E_NOT_FOUND     no such lease, also not among the ended ones.
 *   E_STALE         the token is not the lease's newest.
 *   E_REVOKED       the lease was taken back (expired, revoked).
 *   E_ENDED         the lease has ended in another way.
 *   E_STATE         the lease's state does not allow it.
 */
MUST_USE int core_step(struct core *core,
                       const struct core_event *event,
                       struct core_effects *out);

/* Return how many messages a step with @event can bring: effects_max, and more
 * where a service's stream comes or goes, which moves all its leases. */
size_t core_messages_max(const struct core *core,
                         const struct core_event *event);

/* Time at which the driver must send CORE_TICK; CORE_FOREVER for never. */
uint64_t core_deadline(const struct core *core);

/* Assert every invariant of the design over the whole state: O(everything),
 * for tests and the simulator. */
void core_check(const struct core *core);

/* Append all that the store would bring back, one line an object, in an order
 * that is a function of the state. */
void core_dump(const struct core *core, struct buf *out);

/* Return the highest lease id or token given so far, plus one. */
uint64_t core_number_next(const struct core *core);

/* What may be asked about the state. */
#include "core/look.h"

#endif
