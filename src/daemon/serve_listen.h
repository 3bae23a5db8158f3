/* serve_listen.h - where a coordinator serves: on its socket, and on TCP. */
#ifndef GPUCOORD_DAEMON_SERVE_LISTEN_H
#define GPUCOORD_DAEMON_SERVE_LISTEN_H

#include "base/err.h"

#include <stdint.h>

struct config;
struct http_server;

/* Have @server listen where @config says.  @port receives that of TCP, 0 where
 * it is not served: a taken one is said, with its owner, and the Unix socket
 * goes on serving.
 *
 * Errors: as http_listen_unix().
 */
MUST_USE int serve_listen(const struct config *config,
                          struct http_server *server,
                          uint16_t *port);

#endif
