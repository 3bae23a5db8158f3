/* census_parts.h - what the census consists of; private to census*.c.
 *
 * census_known.c reads what processes are, census_match.c says whose they are,
 * census.c takes samples in and shows what came of them.
 */
#ifndef GPUCOORD_DAEMON_CENSUS_PARTS_H
#define GPUCOORD_DAEMON_CENSUS_PARTS_H

#include "base/idmap.h"
#include "base/list.h"
#include "control/owner.h"
#include "daemon/census.h"
#include "daemon/peers.h"

/* Whom a process was last found to belong to. */
enum claim {
    CLAIM_NONE,
    CLAIM_FOUND,    /* By owner_find(). */
    CLAIM_LEFT,     /* Of a service whose lease has ended. */
    CLAIM_PRESUMED, /* Nobody else can be meant. */
    CLAIM_SUSPECTED /* One of several; nobody can say which. */
};

/* A process on one device. */
struct known {
    struct list of_device;
    uint32_t pid;
    struct owner_subject subject;
    struct owner owner;
    enum claim claim;
    uint64_t checked_at_ms;
    uint64_t seen;     /* The sample it was in last. */
    uint32_t base_mib; /* What it used while no blind holder was there. */
    bool is_new;       /* In this sample for the first time. */
    bool is_logged;
    bool is_asked_for; /* The name of its container is to come. */
};

struct board {
    struct device_sample sample;
    struct list known;
    struct census_user users[DEVICE_PROCESSES_MAX];
    uint32_t user_count;
    uint64_t samples;
    struct census_rogues rogues;
};

struct census {
    struct board *boards[CORE_DEVICES_MAX]; /* NULL = never sampled. */
    struct idmap known;                     /* By device and pid. */
    struct census_rules rules;
    struct owner_holder *holders;
    size_t holder_count;
    size_t holder_room;
    struct containers *containers; /* NULL = none was asked for yet. */
    struct peers peers;
    struct owner_peer peer_list[PEERS_MAX];
    uint64_t left_at_ms;   /* When a blind holder has ended, */
    uint32_t left_service; /* of this service; 0 = none has. */
    bool left_several;     /* And just before it one of another. */
    struct core_usage usages[DEVICE_PROCESSES_MAX + 1];
    uint32_t usage_count;
};

/* Return what is known of @pid on @device, read if it is new there
 * (census_known.c); NULL where there is no memory. */
struct known *census_know(struct census *census,
                          uint32_t device,
                          uint32_t pid,
                          uint64_t now_ms);

/* Forget who was not in the newest sample of @device (census_known.c). */
void census_forget_gone(struct census *census, uint32_t device);

/* Fill @out with all that is known now, borrowed until the next call
 * (census_match.c); false where there was no memory for all of it. */
bool census_gather(const struct daemon *daemon, struct owner_table *out);

/* Say whose @known is, by what is known for certain (census_match.c).  Who was
 * a lease's is so after the end of the watch, and its service's after that of
 * the lease. */
void census_match(const struct daemon *daemon,
                  struct known *known,
                  const struct owner_table *table);

/* Presume whose those processes on @device are that nobody knows
 * (census_match.c). */
void census_presume(struct daemon *daemon, uint32_t device);

#endif
