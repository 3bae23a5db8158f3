/* redis.h - the coordinator in Redis: what it says there, hears and shows.
 *
 * Without `redis:` in the configuration nothing here does anything.  Redis
 * decides nothing: what is granted stands in the store, and a Redis that is
 * away, empty or another one makes signals later, never grants wrong.
 *
 * An answer of a service becomes a call: it has a number as a connection has,
 * goes through the handler of the HTTP call that does the same, and what that
 * would answer comes back here by the number.
 */
#ifndef GPUCOORD_DAEMON_REDIS_H
#define GPUCOORD_DAEMON_REDIS_H

#include "base/buf.h"
#include "base/err.h"
#include "core/core.h"

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct http_problem;

/* Begin to connect where Redis is configured; the driver is open.
 *
 * Errors (the log says why):
 *   E_NOMEM        no memory.
 *   E_UNSUPPORTED  this program was built without Redis.
 */
MUST_USE int redis_open(struct daemon *daemon);

/* The configuration was read again: borrow its texts instead. */
void redis_configure(struct daemon *daemon);

/* Close the connections and free everything. */
void redis_close(struct daemon *daemon);

/* ---- Commands ----------------------------------------------------------- */

/* Publish the command that @message is, if it is one, and again each second
 * until it is answered or due. */
void redis_tell(struct daemon *daemon, const struct core_message *message);

/* The holder of @lease has said something: it has heard the last command. */
void redis_heard(struct daemon *daemon, uint64_t lease);

/* ---- The visible key ---------------------------------------------------- */

/* Keep @message, to be told once it is known that nobody outside has the
 * device.  False: it is to be told now. */
bool redis_hold(struct daemon *daemon, const struct core_message *message);

/* Say whether the grant of @lease is not told yet, to anybody. */
bool redis_is_asking(const struct daemon *daemon, uint64_t lease);

/* ---- Who listens -------------------------------------------------------- */

/* Say whether somebody attends @service through Redis. */
bool redis_hears(const struct daemon *daemon, uint32_t service);

/* The core was built anew: attach services to it again. */
void redis_rebuilt(struct daemon *daemon);

/* ---- Calls -------------------------------------------------------------- */

#define REDIS_CALL (UINT64_C(1) << 63) /* Connections never get so far. */

/* Say whether @conn is no connection but a call that came through Redis. */
static inline bool redis_is_call(uint64_t conn)
{
    return (conn & REDIS_CALL) != 0;
}

/* The call @conn did what it should. */
void redis_answered(struct daemon *daemon, uint64_t conn);

/* The call @conn is answered with @problem, borrowed. */
void redis_refused(struct daemon *daemon,
                   uint64_t conn,
                   const struct http_problem *problem);

/* ---- What people see ---------------------------------------------------- */

/* Append the member "redis" of the status. */
void redis_write_status(const struct daemon *daemon, struct buf *out);

/* Append its metrics; nothing where there is none. */
void redis_write_metrics(const struct daemon *daemon, struct buf *out);

#endif
