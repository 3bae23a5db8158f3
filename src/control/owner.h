/* owner.h - whose process is it?
 *
 * Pure: given the facts of a process that uses a GPU, the processes of the
 * leases, and what is configured and known of the services, say to which lease
 * or service it belongs, or that nobody knows it.  In this order:
 *
 *   1. the lease whose named process it is, or the nearest it descends from;
 *   2. the lease whose own cgroup it is in, the innermost where they nest;
 *   3. the lease whose process group it is in;
 *   4. the first of the services' rules that matches (`processes:`);
 *   5. the service that spoke from this process, or the nearest it descends
 *      from, over the Unix socket.
 *
 * Where several leases claim it by the same process or cgroup, it is nobody's
 * alone: it belongs to their service, if that is one, else to the lowest lease.
 */
#ifndef GPUCOORD_CONTROL_OWNER_H
#define GPUCOORD_CONTROL_OWNER_H

#include "control/proc_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OWNER_ANCESTORS_MAX = 64,
    OWNER_CONTAINER_SIZE = 65 /* 64 hexadecimal digits and a NUL. */
};

enum owner_kind {
    OWNER_UNIT,      /* systemd's name of a unit, in the cgroup's path. */
    OWNER_CONTAINER, /* The id of a container, whole or its first 12 digits or
                        more, or its name. */
    OWNER_CGROUP,    /* A cgroup, and what lies below it. */
    OWNER_EXE,       /* The path of the program, or, without '/', its name. */
    OWNER_KINDS
};

/* One item of a service's `processes:`. */
struct owner_rule {
    uint32_t service;
    enum owner_kind kind;
    const char *pattern; /* With *, ? and [ ] as for files. */
};

struct owner_holder {
    uint64_t lease;
    uint32_t service;
    const struct proc_set *set;
};

/* A process that sent a request (SO_PEERCRED), and whom it spoke for. */
struct owner_peer {
    uint32_t service;
    struct proc_id id;
};

/* How a container is called; only its runtime knows. */
struct owner_container {
    char id[OWNER_CONTAINER_SIZE];
    const char *name;
};

/* All that is known; borrowed for a call. */
struct owner_table {
    const struct owner_holder *holders;
    size_t holder_count;
    const struct owner_rule *rules; /* The first that matches counts. */
    size_t rule_count;
    const struct owner_peer *peers;
    size_t peer_count;
    const struct owner_container *containers;
    size_t container_count;
};

/* The process in question. */
struct owner_subject {
    struct proc_facts facts;
    struct proc_id ancestors[OWNER_ANCESTORS_MAX]; /* Nearest first. */
    size_t ancestor_count;
};

enum owner_type {
    OWNER_NOBODY,
    OWNER_SERVICE,
    OWNER_LEASE
};

struct owner {
    enum owner_type type;
    uint32_t service; /* Of SERVICE and LEASE. */
    uint64_t lease;   /* Of LEASE. */
};

/* Say whose process @subject is. */
struct owner owner_find(const struct owner_table *table,
                        const struct owner_subject *subject);

/* Say whether @rule names the process with these facts; of @table only the
 * containers are looked at. */
bool owner_matches(const struct owner_table *table,
                   const struct owner_rule *rule,
                   const struct proc_facts *facts);

/* Write the id of the innermost container that the process runs in to @out;
 * "" where it runs in none that is recognized. */
void owner_container(const struct proc_facts *facts,
                     char out[OWNER_CONTAINER_SIZE]);

/* Return the word of @kind in the configuration: "unit"; static. */
const char *owner_kind_name(enum owner_kind kind);

#endif
