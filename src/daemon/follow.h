/* follow.h - the coordinator while it does not lead.
 *
 * It serves where it always does, and relays every call to the leader, but for
 * the few that are about itself: /healthz, /readyz (503: another has the
 * queue), /metrics and /gpu/cluster.
 */
#ifndef GPUCOORD_DAEMON_FOLLOW_H
#define GPUCOORD_DAEMON_FOLLOW_H

#include "base/err.h"

struct config;
struct leader;

enum follow_end {
    FOLLOW_LEADS, /* It has won: it is to lead now. */
    FOLLOW_LEAVES /* It was told to end. */
};

/* Follow until @end.  All is borrowed for the call; @leader is detached before
 * and after.
 *
 * Errors (the log says why):
 *   E_BUSY, E_INVALID, E_IO  as http_listen_unix().
 *   E_NOMEM                  no memory.
 */
MUST_USE int follow_run(const struct config *config,
                        struct leader *leader,
                        enum follow_end *end);

#endif
