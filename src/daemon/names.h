/* names.h - what the core sees as numbers: services, jobs, and what a lease
 * was sent with.
 *
 * Services are numbered from 1, densely, and never forgotten: a service that
 * once asked will ask again.  Jobs are numbered within the run and forgotten
 * when the lease that has them ends; its texts stay a while for those who look.
 * A lease without a job, metadata or watched process has no entry here, so the
 * plain request costs nothing.
 */
#ifndef GPUCOORD_DAEMON_NAMES_H
#define GPUCOORD_DAEMON_NAMES_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct names;         /* Opaque; names.c. */
struct names_binding; /* Likewise. */

enum {
    NAMES_SERVICES_MAX = 65536,  /* Bounds, so that noise cannot fill memory: */
    NAMES_ENDED_BYTES = 4 << 20, /* of this, ended leases keep the newest. */
    NAMES_WATCHES_SIZE = 128
};

/* What a lease was sent with. */
struct names_lease {
    uint64_t lease;
    uint64_t job;           /* 0 = none. */
    uint32_t service;       /* Whose job it is. */
    const char *job_id;     /* "" = none. */
    const char *metadata;   /* A JSON object; "{}" where there is none. */
    uint64_t watch_started; /* As in store_lease. */
    uint32_t watch_pid;     /* The process that was named last; 0 = none. */
    char watches[NAMES_WATCHES_SIZE]; /* The others, oldest first, each with
                                         when it started: "812/77,813/78". */
};

/* Create an empty directory.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int names_create(struct names **out);

/* Free it; NULL is allowed. */
void names_destroy(struct names *names);

/* Find the number of the service @name, or give it the next one.
 *
 * @name is copied.
 *
 * Errors:
 *   E_NOMEM  no memory.
 *   E_LIMIT  there are NAMES_SERVICES_MAX services.
 */
MUST_USE int
names_service(struct names *names, const char *name, uint32_t *out);

/* Return the number of the service @name; 0 where it is not known. */
uint32_t names_service_find(const struct names *names, const char *name);

/* Return the name of @service; "" where there is no such number.  It stays
 * valid until names_destroy(). */
const char *names_service_name(const struct names *names, uint32_t service);

/* Return how many services there are: their numbers are 1 to this. */
uint32_t names_service_count(const struct names *names);

/* Return the number of a live job of @service; 0 where it is not known. */
uint64_t
names_job_find(const struct names *names, uint32_t service, const char *job_id);

/* Return a number that no job has or had. */
uint64_t names_job_next(struct names *names);

/* Prepare to remember what a lease that has no number yet is sent with.
 *
 * The strings of @entry are copied; its .lease is not looked at.  The binding
 * is returned to the caller, who gives it to names_bind() before anything else
 * is prepared, or to names_binding_destroy().
 *
 * Errors:
 *   E_NOMEM  no memory; nothing has changed.
 */
MUST_USE int names_prepare(struct names *names,
                           const struct names_lease *entry,
                           struct names_binding **out);

/* Free a binding that was not bound; NULL is allowed. */
void names_binding_destroy(struct names_binding *binding);

/* Bind @binding, taken, to @lease.  What was known about the lease before is
 * forgotten. */
void names_bind(struct names *names,
                struct names_binding *binding,
                uint64_t lease);

/* Return what is known about @lease; NULL where it is nothing.  Borrowed
 * until the lease is forgotten or bound again. */
const struct names_lease *names_lease_find(const struct names *names,
                                           uint64_t lease);

/* The process @pid, started at @started, was named for @lease of @service,
 * beside those in @others, written as .watches.
 *
 * Errors:
 *   E_NOMEM  no memory; what was named before stays.
 */
MUST_USE int names_watch(struct names *names,
                         uint64_t lease,
                         uint32_t service,
                         uint32_t pid,
                         uint64_t started,
                         const char *others);

/* Forget the job of @lease, which has ended.  What else is known about it stays
 * until those that end later need the room. */
void names_end(struct names *names, uint64_t lease);

/* Forget what is known about @lease, and its job. */
void names_forget(struct names *names, uint64_t lease);

/* Forget what is known about all leases; the services stay. */
void names_forget_leases(struct names *names);

#endif
