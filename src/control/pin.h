/* pin.h - one process, held by a pidfd in an event loop until it dies. */
#ifndef GPUCOORD_CONTROL_PIN_H
#define GPUCOORD_CONTROL_PIN_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct event;
struct event_base;

struct pin {
    struct event *event; /* NULL = it holds none. */
    int fd;
};

/* Called in the loop when the process has died; @arg was given to pin_open(),
 * where the pin is found, to be closed. */
typedef void (*pin_died)(int fd, short what, void *arg);

/* Hold the process that has the number @pid now.
 *
 * Errors:
 *   E_NOT_FOUND  there is none.
 *   E_NOMEM      no memory or no descriptor.
 *   E_IO         this kernel has no pidfd.
 */
MUST_USE int pin_open(struct pin *pin,
                      pid_t pid,
                      struct event_base *base,
                      pin_died died,
                      void *arg);

/* Let go; a pin that holds nothing is allowed. */
void pin_close(struct pin *pin);

/* Say whether the number is still that of the process held, dead or alive:
 * what was read by it since pin_open() is about this process. */
bool pin_is_there(const struct pin *pin);

/* Call back from now on.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int pin_listen(struct pin *pin);

#endif
