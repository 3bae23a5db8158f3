/* grants.h - what a holder is told of its grant. */
#ifndef GPUCOORD_DAEMON_GRANTS_H
#define GPUCOORD_DAEMON_GRANTS_H

#include "core/core.h"
#include "proto/api.h"

#include <stdint.h>

struct daemon;

/* A grant and the devices in it. */
struct grant {
    struct api_grant api;
    struct api_grant_device devices[CORE_DEVICES_MAX];
};

/* Fill @out, whose texts are borrowed until the lease's service or class or
 * the devices change, with the grant that @view has.  @out is not moved
 * afterwards: it points to itself. */
void grant_fill(const struct daemon *daemon,
                const struct core_lease_view *view,
                struct grant *out);

/* Return when the holder of @view should renew: soon where a renewal is the
 * only way to tell it to pause. */
uint32_t grant_renew_in_ms(const struct daemon *daemon,
                           const struct core_lease_view *view);

/* Return how long the lease of @view, which has been granted, lasts unless it
 * is heard of: less than its TTL where its last stream has closed, or where its
 * longest hold is over sooner. */
uint64_t grant_expires_in_ms(const struct daemon *daemon,
                             const struct core_lease_view *view);

/* Return the priority of a class. */
uint32_t grant_priority(const struct daemon *daemon, uint32_t class_id);

/* Fill @out with the pause that @view is asked for; texts likewise. */
void grant_pause(const struct daemon *daemon,
                 const struct core_lease_view *view,
                 struct api_control *out);

#endif
