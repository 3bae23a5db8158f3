/* control.h - the control streams of services: how a holder is told.
 *
 * GET /gpu/control/{service_id} is a stream of Server-Sent Events.  A service
 * may have several; each gets every command.  Its first events are the
 * commands that its live leases are under.
 */
#ifndef GPUCOORD_DAEMON_CONTROL_H
#define GPUCOORD_DAEMON_CONTROL_H

#include "core/core.h"

#include <stddef.h>
#include <stdint.h>

struct daemon;

/* Return how many streams @service has open. */
size_t control_stream_count(const struct daemon *daemon, uint32_t service);

/* Send the command that @message is, if it is one, to the streams of its
 * service and to the connection that its lease is held by. */
void control_tell(struct daemon *daemon, const struct core_message *message);

/* Attach all open streams to a core that was built anew. */
void control_attach_all(struct daemon *daemon);

/* End all streams. */
void control_close_all(struct daemon *daemon);

#endif
