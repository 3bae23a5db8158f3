/* member.h - a coordinator of a cluster: it follows, and leads when it is its
 * turn.
 *
 * Nothing survives a change of roles but what is here: the lock of the GPUs,
 * shared with the other members, and the connection that decides who leads.
 * The configuration is read anew each time.
 */
#ifndef GPUCOORD_DAEMON_MEMBER_H
#define GPUCOORD_DAEMON_MEMBER_H

#include "base/err.h"

struct config;
struct leader;
struct member; /* Opaque; member.c. */

/* Look which GPUs there are, lock them, and prepare to follow; returned to the
 * caller in @out.  @config is borrowed for the call.
 *
 * Errors (the log says why):
 *   E_NOT_FOUND, E_IO  as device_set_open() and gpulock_take().
 *   E_BUSY             somebody outside the cluster coordinates them.
 *   E_INVALID          the URL of the database is wrong.
 *   E_UNSUPPORTED      built without PostgreSQL.
 *   E_NOMEM            no memory.
 */
MUST_USE int member_open(const struct config *config, struct member **out);

/* Give the leadership away, if it is ours, unlock, free; NULL is allowed. */
void member_close(struct member *member);

/* Return what decides who leads, borrowed until member_close(). */
struct leader *member_leader(const struct member *member);

#endif
