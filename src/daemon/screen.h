/* screen.h - what a coordinator says when it has started. */
#ifndef GPUCOORD_DAEMON_SCREEN_H
#define GPUCOORD_DAEMON_SCREEN_H

#include <stdint.h>

struct daemon;

/* Say in one screen what was found and what to try; @port is that of TCP, 0 =
 * not served. */
void screen_print(const struct daemon *daemon, uint16_t port);

#endif
