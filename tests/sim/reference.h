/* reference.h - the scheduler once more, naively, from the documents alone.
 *
 * Written from docs/decisions/0001-the-pass.md and the design, for clarity and
 * not for speed: flat arrays, and a scan over everything wherever a question
 * is asked.  It shares no line and no type with src/, so a mistake would have
 * to be made twice to go unseen.  The simulator feeds it the events it feeds
 * the core, and compares what both did and where every lease stands.
 *
 * The whole of it is one flat value: copying the struct is a snapshot.
 */
#ifndef GPUCOORD_TESTS_SIM_REFERENCE_H
#define GPUCOORD_TESTS_SIM_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REF_LEASES = 64,
    REF_DEVICES = 8,
    REF_CLASSES = 24,
    REF_SERVICES = 16,
    REF_USES = 256,
    REF_DEEDS = 512
};

#define REF_NEVER UINT64_MAX

enum ref_state {
    REF_AWAY,
    REF_QUEUED,
    REF_CLEARING,
    REF_HELD,
    REF_PAUSING,
    REF_PAUSED,
    REF_RECLAIMING,
    REF_ENDED
};

struct ref_lease {
    uint64_t id;  /* 0: the place is free. */
    uint64_t seq; /* Its place in the order. */
    uint64_t job;
    uint64_t connection;   /* That waits; 0 = none. */
    uint64_t set;          /* Devices it may use; 0 = any. */
    uint64_t granted;      /* Devices it has, or had before its pause. */
    uint64_t grant_number; /* Of its newest grant, from 1; 0 = none. */
    uint64_t submitted_at;
    uint64_t granted_at;
    uint64_t first_granted_at;
    uint64_t timeout;
    uint64_t wait_until;   /* End of its timeout. */
    uint64_t away_until;   /* AWAY. */
    uint64_t expires_at;   /* Granted ones. */
    uint64_t hold_until;   /* max_hold of this grant. */
    uint64_t pause_until;  /* PAUSING, without a verified ack. */
    uint64_t acked_at;     /* PAUSING; 0 = not yet. */
    uint64_t reclaimed_at; /* RECLAIMING, since then. */
    uint64_t turn;         /* Of its ack or reclamation: who settles first. */
    uint64_t heard_at;     /* Newest sign of life: grant or renewal. */
    uint64_t renewed_at;   /* 0 = never. */
    uint64_t runs_since;   /* Start of min_run. */
    uint64_t offered_at;   /* AWAY; 0 = never. */
    uint64_t reserved;     /* CLEARING: the devices kept for it. */
    uint32_t kept;         /* What the ack said. */
    uint32_t service;
    uint32_t class_id;
    uint32_t need; /* 0 = the whole device, alone. */
    uint32_t count;
    uint32_t ttl;
    uint32_t grace;
    uint32_t max_hold;
    uint32_t charge[REF_DEVICES];
    uint32_t uses[REF_DEVICES]; /* As the newest sample names it. */
    uint32_t footprint[REF_DEVICES];
    enum ref_state state;
    bool preemptible;
    bool durable;
    bool by_connection;
    bool operator_paused;
    bool is_turn; /* Let in as overdue. */
};

struct ref_device {
    uint32_t capacity;
    uint32_t reserve;
    uint32_t residue;
    uint32_t settle;
    bool measured;
    bool ok;
    bool drained;
    bool known;          /* A sample counted since the last restart. */
    uint64_t sampled_at; /* Begin of the newest sample; 0 = none. */
    uint64_t changed_at; /* Of the last release, ack or death; 0 = none. */
    uint64_t named_at;   /* Begin of the newest sample that counted; 0: it
                            named nobody. */
    uint32_t used;
    uint32_t unleased;
    uint32_t resident[REF_SERVICES];
    uint64_t resident_age[REF_SERVICES]; /* Order in which they came. */
    uint64_t unload_until[REF_SERVICES]; /* Settle time; 0 = not asked. */
    uint64_t linger_until;
    uint32_t linger_service;
    uint32_t linger_priority;
};

struct ref_class {
    uint32_t priority;
    uint32_t weight;
    uint32_t limit;
    bool waits_alone;
    uint32_t linger;
    uint32_t min_run;
    uint32_t max_wait;
    uint32_t consecutive;
    int64_t credit;
};

/* What a configuration file can change while it runs. */
struct ref_settings {
    struct ref_class classes[REF_CLASSES]; /* Without counts and credit. */
    uint32_t class_count;
    uint32_t waiters_max;
    uint32_t service_waiters_max;
    uint32_t stream_grace;
    uint32_t away;
    uint32_t margin; /* Of a resume, in percent; 0 = none. */
    uint32_t reserve[REF_DEVICES];
    uint32_t residue[REF_DEVICES];
    uint32_t settle[REF_DEVICES];
};

enum ref_deed_kind {
    REF_GRANT,
    REF_RESUME,
    REF_PAUSE,
    REF_OFFER,
    REF_UNLOAD,
    REF_FINISH, /* A holder is told of the shutdown. */
    REF_STOPPED
};

/* Something the scheduler did in a step, in its order. */
struct ref_deed {
    enum ref_deed_kind kind;
    uint64_t lease;   /* UNLOAD: for whom. */
    uint64_t devices; /* GRANT, RESUME. */
    uint64_t until;   /* UNLOAD, FINISH: by when. */
    uint32_t service; /* UNLOAD: who. */
    uint32_t amount;  /* UNLOAD: how much. */
};

struct ref {
    struct ref_lease leases[REF_LEASES];
    size_t lease_end; /* The places from here on were never used. */
    struct ref_device devices[REF_DEVICES];
    struct ref_class classes[REF_CLASSES];
    uint32_t device_count;
    uint32_t class_count; /* The ten implicit ones counted in. */
    uint32_t streams[REF_SERVICES];
    uint64_t lost_at[REF_SERVICES]; /* The last stream closed; 0: one is
                                       open, or none ever was. */
    uint32_t waiters_max;
    uint32_t service_waiters_max;
    uint32_t stream_grace;
    uint32_t away;
    uint32_t margin;     /* Of a resume, in percent; 0 = none. */
    uint64_t hold_until; /* Nothing is granted before. */
    uint64_t now;
    uint64_t seq_next;
    uint64_t age_next;
    uint64_t turn_next;
    uint64_t grants;
    bool last_was_overdue;
    bool draining;
    uint64_t bypass_until; /* 0 = off. */
    uint64_t stop_at;
    bool stopping;                    /* Shutting down ... */
    bool stopped;                     /* ... and done with it. */
    struct ref_deed deeds[REF_DEEDS]; /* Of the newest step. */
    size_t deed_count;
};

/* ---- Events, each with ref->now already set --------------------------- */

struct ref_request {
    uint64_t connection;
    uint64_t job;
    uint64_t set;
    uint64_t timeout;
    uint32_t service;
    uint32_t class_id;
    uint32_t need;
    uint32_t count;
    uint32_t ttl;
    uint32_t grace;
    uint32_t max_hold;
    bool preemptible;
    bool durable;
    bool by_connection;
};

enum ref_ack {
    REF_ACK_PAUSED,
    REF_ACK_RESUMED,
    REF_ACK_ERROR
};

/* Begin a step at @now: forget the deeds of the one before. */
void ref_begin(struct ref *ref, uint64_t now);

/* Take a request; the lease it makes has the id @id.  Says whether it is
 * accepted. */
bool ref_submit(struct ref *ref,
                const struct ref_request *request,
                uint64_t id);

/* A stream of @service opened, or closed. */
void ref_stream(struct ref *ref, uint32_t service, bool opened);

/* The connection @connection of lease @id has gone. */
void ref_detach(struct ref *ref, uint64_t id, uint64_t connection);

/* The holder, with the right token, gives back, renews (@ttl 0 = as before),
 * answers; the waiter
 * withdraws; the holder died. */
void ref_release(struct ref *ref, uint64_t id);
void ref_renew(struct ref *ref, uint64_t id, uint32_t ttl);
void ref_ack(struct ref *ref, uint64_t id, enum ref_ack action, uint32_t kept);
void ref_cancel(struct ref *ref, uint64_t id);
void ref_gone(struct ref *ref, uint64_t id);

/* All deadlines up to now. */
void ref_tick(struct ref *ref);

/* Who uses VRAM, as a sample names it; 0 = not known. */
struct ref_use {
    uint64_t lease;
    uint32_t service;
    uint32_t mib;
};

/* A sample of a device; @names: it names all @count users. */
struct ref_sample {
    uint32_t device;
    bool ok;
    bool names;
    uint64_t begun_at;
    uint32_t used;
    size_t count;
    struct ref_use uses[REF_USES];
};

void ref_report(struct ref *ref, const struct ref_sample *sample);

/* Tell all users of a device apart as @sample, which counts, names them. */
void ref_attribute(struct ref *ref, const struct ref_sample *sample);

/* Nobody on the device is known to use anything. */
void ref_forget_uses(struct ref *ref, uint32_t device);

/* Return what @lease takes of a device: its charge, or what it was measured to
 * use where that is more. */
uint32_t ref_taken(const struct ref_lease *lease, uint32_t device);

/* An operator drains or undrains devices (0 = admits nothing), takes a lease
 * back, pauses and resumes one. */
void ref_drain(struct ref *ref, uint64_t devices, bool drains);
void ref_revoke(struct ref *ref, uint64_t id);
void ref_pause(struct ref *ref, uint64_t id);
void ref_resume(struct ref *ref, uint64_t id);

/* An operator lets everybody in until @until; 0 ends it. */
void ref_bypass(struct ref *ref, uint64_t until);

/* The configuration is @settings from now on; classes are only added. */
void ref_configure(struct ref *ref, const struct ref_settings *settings);

/* The coordinator is to stop, at @until at the latest. */
void ref_shutdown(struct ref *ref, uint64_t until);

/* At the end of a step: of a coordinator that stops the waits end, and it has
 * stopped when nobody holds any more. */
void ref_stop(struct ref *ref);

/* The coordinator started again from its store; nothing is granted for
 * @hold ms. */
void ref_restart(struct ref *ref, uint32_t hold);

/* The pass: grant, resume and ask whom the state of now says. */
void ref_pass(struct ref *ref);

/* After the pass: a request for now or not at all, in this step, does not
 * wait.  @is_repeat: it was sent again, so its place is kept. */
void ref_refuse(struct ref *ref, uint64_t id, bool is_repeat);

/* Return the lease @id; NULL where it is unknown or ended. */
struct ref_lease *ref_find(struct ref *ref, uint64_t id);

/* Say whether @lease is charged as a holder. */
bool ref_holds(const struct ref_lease *lease);

/* Ask the holder @lease to pause, unless somebody already did. */
void ref_ask(struct ref *ref, struct ref_lease *lease);

/* Note a deed of this step. */
void ref_deed(struct ref *ref, struct ref_deed deed);

#endif
