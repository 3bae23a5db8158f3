/* watching.h - which processes the daemon has watched, and for whom. */
#ifndef GPUCOORD_DAEMON_WATCHING_H
#define GPUCOORD_DAEMON_WATCHING_H

#include "base/err.h"
#include "core/core.h"

#include <stdint.h>

struct api_error;
struct daemon;
struct http_request;
struct watched;

/* Create the watch of @daemon, whose driver is told of the gone.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int watching_create(struct daemon *daemon);

/* Open the process @pid (0 = the peer) that @request names; the result is the
 * caller's to watch_lease() or watch_drop().
 *
 * Errors:
 *   E_INVALID  it is not there, not the asker's, or the asker did not come
 *              over the Unix socket; @error says so.
 *   E_NOMEM    no memory or no descriptor.
 */
MUST_USE int watching_open(struct daemon *daemon,
                           const struct http_request *request,
                           uint32_t pid,
                           struct watched **out,
                           struct api_error *error);

/* Watch @watched, taken, for @lease of @service, which was just submitted. */
void watching_begin(struct daemon *daemon,
                    struct watched *watched,
                    uint64_t lease,
                    uint32_t service);

/* Watch @watched, taken, for the live @lease as well. */
void watching_join(struct daemon *daemon,
                   struct watched *watched,
                   uint64_t lease);

/* Watch again what was watched for the leases that came back from the store:
 * those whose processes died meanwhile have lost them. */
void watching_restore(struct daemon *daemon);

/* Return the promise that the lease of @view has, by what is known of its
 * processes and its devices. */
enum core_guarantee watching_guarantee(const struct daemon *daemon,
                                       const struct core_lease_view *view);

#endif
