/* wake.h - what wakes `run` besides the coordinator: signals and an instant of
 * CLOCK_BOOTTIME, which a machine that slept has not missed.  One descriptor
 * for both.
 */
#ifndef GPUCOORD_CLI_WAKE_H
#define GPUCOORD_CLI_WAKE_H

#include "base/err.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct wake {
    int fd; /* Can be read when something has come. */
    int signals_fd;
    int timer_fd;
    sigset_t mask_before; /* For a child. */
};

/* A signal that has come. */
struct wake_signal {
    int number;
    bool is_from_terminal; /* The whole foreground group has it. */
};

/* Block and catch the signals that a program is sent from outside, and
 * SIGCHLD.  SIGTSTP does not stop this process any more: who takes it has to,
 * with SIGSTOP, when what has to be done before is done.
 *
 * Errors (said to the user):
 *   E_IO  no descriptors.
 */
MUST_USE int wake_open(struct wake *wake);

/* Close it; the signals stay blocked. */
void wake_close(struct wake *wake);

/* Wake at @at_ms of clock_boot_ms(), instead of what was set before. */
void wake_at(struct wake *wake, uint64_t at_ms);

/* Take the next signal; false where there is none.  The timer is quiet
 * afterwards. */
bool wake_take(struct wake *wake, struct wake_signal *out);

#endif
