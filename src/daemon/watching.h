/* watching.h - which processes the daemon has watched, and for whom. */
#ifndef GPUCOORD_DAEMON_WATCHING_H
#define GPUCOORD_DAEMON_WATCHING_H

#include "base/err.h"

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

#endif
