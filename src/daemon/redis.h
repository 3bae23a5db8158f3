/* redis.h - the coordinator in Redis: whether it is there, what it is told.
 *
 * Without `redis:` in the configuration nothing here does anything.  Redis
 * decides nothing: what is granted stands in the store, and a Redis that is
 * away, empty or another one makes signals later, never grants wrong.
 */
#ifndef GPUCOORD_DAEMON_REDIS_H
#define GPUCOORD_DAEMON_REDIS_H

#include "base/buf.h"
#include "base/err.h"

struct daemon;

/* Begin to connect where Redis is configured; the driver is open.
 *
 * Errors (the log says why):
 *   E_NOMEM        no memory.
 *   E_UNSUPPORTED  this program was built without Redis.
 */
MUST_USE int redis_open(struct daemon *daemon);

/* Close the connections; what was open is freed. */
void redis_close(struct daemon *daemon);

/* Append the member "redis" of the status. */
void redis_write_status(const struct daemon *daemon, struct buf *out);

/* Append its metrics; nothing where there is none. */
void redis_write_metrics(const struct daemon *daemon, struct buf *out);

#endif
