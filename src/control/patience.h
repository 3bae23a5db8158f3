/* patience.h - how long a worker thread may go on, and whether it still should.
 *
 * Everything that moves processes is written straight down, for a thread that
 * may wait: it gives up at one instant, or as soon as somebody cancels it.
 */
#ifndef GPUCOORD_CONTROL_PATIENCE_H
#define GPUCOORD_CONTROL_PATIENCE_H

#include "base/err.h"

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PATIENCE_FDS_MAX = 4
};

struct patience {
    uint64_t until_at_ms; /* clock_mono_ms() at which it ends. */
    int cancel_fd;        /* Readable once cancelled; -1 = nobody cancels. */
};

/* Return a patience of @time_ms from now that nobody can cancel. */
struct patience patience_for(uint64_t time_ms);

/* Return the milliseconds that are left, 0 to INT_MAX. */
int patience_left_ms(const struct patience *patience);

/* Wait until one of @fds (of poll(), at most PATIENCE_FDS_MAX, NULL = none) has
 * an event, but at most @time_ms (-1 = as long as the patience lasts).
 *
 * Errors:
 *   E_TIMEOUT  nothing within the patience.
 *   E_BUSY     nothing within @time_ms; there is patience left.
 *   E_ENDED    cancelled.
 */
MUST_USE int patience_wait(const struct patience *patience,
                           struct pollfd *fds,
                           size_t count,
                           int time_ms);

#endif
