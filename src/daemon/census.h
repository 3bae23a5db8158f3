/* census.h - who uses the VRAM: each sample's processes, matched to leases.
 *
 * What a process is (program, cgroup, group, ancestors) is read once, when it
 * first shows on a device, and kept until it is off it; its number is checked
 * once a second.  The rules of the matching are those of control/owner.h.
 *
 * A holder may be *blind*: no process of its is watched, its service has no
 * `processes:`, and none of its service is on the device.  Then a process that
 * nobody knows may be its own.  One that appears, or grows by more than a
 * residue, while such a holder has the device is taken as of its service;
 * where there are several such services nobody can say, and the sample counts
 * as one that does not tell its users apart (docs/decisions/0006).
 *
 * Who is matched by nothing is a rogue: charged, shown, logged once.
 */
#ifndef GPUCOORD_DAEMON_CENSUS_H
#define GPUCOORD_DAEMON_CENSUS_H

#include "base/err.h"
#include "core/core.h"
#include "device/device.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct census; /* Opaque; census.c. */
struct config;
struct daemon;
struct names;
struct owner_rule;
struct proc_id;

enum {
    CENSUS_NAME_SIZE = 64
};

/* A process on a device. */
struct census_user {
    uint32_t pid;
    uint32_t used_mib;           /* DEVICE_UNKNOWN = the driver does not say. */
    uint32_t use;                /* As in struct device_process. */
    uint32_t service;            /* 0 = none is known. */
    uint64_t lease;              /* 0 = none is known. */
    bool is_rogue;               /* It belongs to no service. */
    char name[CENSUS_NAME_SIZE]; /* Of its program, without the directory; "" =
                                    not known. */
};

/* What was seen of the rogues of one device since the start. */
struct census_rogues {
    uint32_t count;  /* Now. */
    uint32_t mib;    /* Now. */
    uint64_t seen;   /* Processes. */
    uint64_t mib_ms; /* Their VRAM times how long they had it. */
};

/* Create an empty census.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int census_create(struct census **out);

/* Free it; NULL is allowed. */
void census_destroy(struct census *census);

/* The `processes:` of a configuration, which they borrow. */
struct census_rules {
    struct owner_rule *items;
    size_t count;
    uint32_t *services; /* Scratch: room for all of these and of a sample. */
};

/* Prepare the rules of @config for census_configure().
 *
 * Errors:
 *   E_NOMEM, E_LIMIT  as names_service(); there is nothing to release.
 */
MUST_USE int census_rules_init(struct census_rules *rules,
                               const struct config *config,
                               struct names *names);

/* Free what they own. */
void census_rules_release(struct census_rules *rules);

/* Match by @rules, taken, from now on. */
void census_configure(struct census *census, struct census_rules *rules);

/* The process @pid has spoken for @service over the Unix socket. */
void census_hear(struct daemon *daemon, pid_t pid, uint32_t service);

/* A lease of @service has ended, of which no process was watched: what appears
 * within the next samples may be what it has left. */
void census_leave(struct daemon *daemon, uint32_t service);

/* Take @sample in, and fill in whose the VRAM is in @event, a
 * CORE_DEVICE_REPORT; what it borrows stays until the next call. */
void census_take(struct daemon *daemon,
                 const struct device_sample *sample,
                 struct core_event *event);

/* Return the newest sample of @device that was OK, borrowed until the next;
 * NULL where there was none. */
const struct device_sample *census_sample(const struct census *census,
                                          uint32_t device);

/* Return the users that the newest sample of @device found, likewise;
 * *@count becomes how many they are. */
const struct census_user *
census_users(const struct census *census, uint32_t device, uint32_t *count);

/* List at most @max of the living processes, on a GPU or not, that a rule of
 * `processes:` names as of @service and that are no lease's, and return how
 * many they are; 0 also where there is no memory. */
size_t census_processes(const struct daemon *daemon,
                        uint32_t service,
                        struct proc_id *out,
                        size_t max);

/* List at most @max of the processes on GPUs that were found to be of @lease,
 * and return how many they are; they may have died. */
size_t census_of_lease(const struct census *census,
                       uint64_t lease,
                       struct proc_id *out,
                       size_t max);

/* Fill @out for @device. */
void census_rogues(const struct census *census,
                   uint32_t device,
                   struct census_rogues *out);

#endif
