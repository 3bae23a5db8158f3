/* control.h - the control streams of services: how a holder is told.
 *
 * GET /gpu/control/{service_id} is a stream of Server-Sent Events.  A service
 * may have several; each gets every command.  Its first events are the
 * commands that its live leases are under.
 */
#ifndef GPUCOORD_DAEMON_CONTROL_H
#define GPUCOORD_DAEMON_CONTROL_H

#include "core/core.h"

#include <stdbool.h>
#include <stdint.h>

struct api_control;
struct daemon;
struct grant;

/* Say whether a command to @service would be heard: on a stream, or in
 * Redis. */
bool control_is_heard(const struct daemon *daemon, uint32_t service);

/* Fill @out, and @grant for it where it is one, with the command that @message
 * is; the texts are borrowed until the next event.  False: it is none, or its
 * grant is past. */
bool control_fill(const struct daemon *daemon,
                  const struct core_message *message,
                  struct grant *grant,
                  struct api_control *out);

/* Send the command that @message is, if it is one, to the streams of its
 * service and to the connection that its lease is held by. */
void control_tell(struct daemon *daemon, const struct core_message *message);

/* Attach all open streams to a core that was built anew. */
void control_attach_all(struct daemon *daemon);

/* End all streams. */
void control_close_all(struct daemon *daemon);

#endif
