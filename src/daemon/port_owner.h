/* port_owner.h - who listens on a TCP port that we wanted. */
#ifndef GPUCOORD_DAEMON_PORT_OWNER_H
#define GPUCOORD_DAEMON_PORT_OWNER_H

#include <stdint.h>

/* Log which process listens on @port, as far as /proc lets us see. */
void port_owner_log(uint16_t port);

#endif
