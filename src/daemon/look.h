/* look.h - GET /gpu/leases/{lease}: one lease, perhaps once it has changed. */
#ifndef GPUCOORD_DAEMON_LOOK_H
#define GPUCOORD_DAEMON_LOOK_H

#include <stdint.h>

struct daemon;

/* The state of @lease has changed: answer who waits for that. */
void look_tell(struct daemon *daemon, uint64_t lease);

/* Answer all who wait, with what there is. */
void look_end_all(struct daemon *daemon);

#endif
