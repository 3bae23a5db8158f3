/* world.h - the clients and devices around a simulated coordinator.
 *
 * Clients know what they were told, and do with it what clients do: they
 * release, renew, acknowledge, and some lie, hang, die, or keep their VRAM.
 * Devices hold the truth about VRAM, from which samples are taken late, or
 * wrong.  The world draws the next event; it decides nothing about what the
 * coordinator should do with it.
 */
#ifndef GPUCOORD_TESTS_SIM_WORLD_H
#define GPUCOORD_TESTS_SIM_WORLD_H

#include "core/core.h"
#include "lib/random.h"
#include "sim/rig.h"

/* A kind of run. */
struct world_profile {
    const char *name;
    uint32_t devices;
    uint32_t services;
    uint32_t live_max;  /* Leases the clients try to have at once. */
    bool is_measured;   /* Devices report VRAM. */
    bool is_attributed; /* And, mostly, whose it is. */
    bool has_gangs;     /* Some ask for several devices. */
    bool has_liars;     /* Some keep VRAM, hang, or die. */
    bool has_operators; /* Drains, revocations, operator pauses. */
    bool has_bypass;    /* Bypass is switched on at times. */
    bool has_reloads;   /* The configuration changes while it runs. */
    bool has_shutdowns; /* It stops in order, and is started again. */
    bool has_ladders;   /* Rungs, carried out well and badly. */
    bool is_observing;  /* Nothing is enforced. */
    bool ticks_late;    /* Events may come before a TICK that is due. */
    bool is_compared;   /* With the reference, after every event. */
    uint64_t check_every;
    uint32_t restart_every; /* Steps to a restart, and to a failed commit, on
                               average; 0 = there is none. */
};

enum {
    WORLD_CLIENTS = 4096,
    WORLD_USAGES = 8192,
    WORLD_SERVICES = 64,
    WORLD_PAST = 32,
    WORLD_ERRANDS = 1024,
    WORLD_PROCS = 16384
};

enum client_state {
    CLIENT_NONE,
    CLIENT_WAITS,
    CLIENT_HOLDS,
    CLIENT_ASKED, /* To pause. */
    CLIENT_PAUSED
};

/* What the client behind a lease knows. */
struct client {
    enum client_state state;
    uint64_t lease;
    uint64_t token;
    uint64_t ref;
    struct core_request request;
};

/* VRAM in use on a device. */
struct usage {
    uint64_t lease; /* 0: left behind by nobody's lease. */
    uint64_t since_ms;
    uint64_t gone_at_ms;
    uint32_t service; /* 0: a stranger. */
    uint32_t device;
    uint32_t mib;
};

/* A rung on its way: what comes of it, and when that is said. */
struct errand {
    uint64_t lease;
    uint64_t token;
    uint64_t due_ms;
    enum rung rung;
    enum rung_result result;
    bool is_undo;
    bool is_lost;    /* It is done, but nobody says so. */
    bool is_doubled; /* It is said twice. */
};

/* The processes behind a lease, which may outlive it. */
struct proc {
    uint64_t lease;
    uint32_t still; /* CORE_ROW_FROZEN, CORE_ROW_CHECKPOINTED: the truth. */
    bool is_told;   /* The coordinator said that it leaves them so. */
    bool is_dead;
    bool owes_death; /* CORE_PROCESS_GONE is to come. */
};

struct world {
    const struct world_profile *profile;
    struct client clients[WORLD_CLIENTS];
    size_t client_count;
    struct usage usages[WORLD_USAGES];
    size_t usage_count;
    uint32_t streams[WORLD_SERVICES];
    struct client past[WORLD_PAST]; /* Ended ones, for stale calls. */
    uint64_t past_count;
    struct errand errands[WORLD_ERRANDS];
    size_t errand_count;
    struct proc procs[WORLD_PROCS];
    size_t proc_count;
    uint64_t ref_next;
    uint64_t sampled_at_ms[CORE_DEVICES_MAX]; /* Of the newest sample heard; 0 =
                                                 none since the start. */
    uint32_t resident_mib[CORE_DEVICES_MAX];  /* Warm models, as the core had
                                                 them before this event. */
    struct core_config reload; /* Of the newest CORE_CONFIGURE drawn. */
    struct core_usage named[CORE_USAGES_MAX]; /* Of the newest sample. */
};

/* Fill @config with the devices and classes of a profile, as @random has it. */
void world_config(const struct world_profile *profile,
                  struct random *random,
                  struct core_config *config);

/* Make an empty world. */
void world_init(struct world *world, const struct world_profile *profile);

/* Draw what happens next at about @rig's present time.  The event's time is
 * set.  @rig is borrowed for the call. */
void world_draw(struct world *world,
                const struct rig *rig,
                struct random *random,
                struct core_event *out);

/* Tell the clients what @event did: its return code and effects. */
void world_hear(struct world *world,
                const struct rig *rig,
                struct random *random,
                const struct core_event *event,
                int rc,
                const struct core_effects *effects);

/* Fail the run unless every frozen or checkpointed process is known to the
 * coordinator, or was handed over to an operator. */
void world_check(const struct world *world, const struct rig *rig);

/* All connections and streams have gone: only jobs and holders are left. */
void world_disconnect(struct world *world, const struct rig *rig);

#endif
