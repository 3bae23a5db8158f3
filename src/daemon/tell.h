/* tell.h - a message of the core, once it is stored, to all it concerns. */
#ifndef GPUCOORD_DAEMON_TELL_H
#define GPUCOORD_DAEMON_TELL_H

#include "core/core.h"

struct daemon;

/* Tell waiters, holders, observers; forget what is known about a lease that
 * has ended. */
void tell_message(struct daemon *daemon, const struct core_message *message);

#endif
