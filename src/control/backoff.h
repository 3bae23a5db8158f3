/* backoff.h - how long to wait before the same thing is done again; pure.
 *
 * The first time at once; then 1 s after the last time, doubling up to five
 * minutes; and after ten quiet minutes as if it had never been.
 */
#ifndef GPUCOORD_CONTROL_BACKOFF_H
#define GPUCOORD_CONTROL_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 300000,
    BACKOFF_QUIET_MS = 600000
};

struct backoff {
    uint64_t last_at_ms; /* When it was last done; 0 = never. */
    uint32_t wait_ms;    /* After that; 0 = it was never done. */
};

/* Return the instant, @now_ms or later, at which it may be done again. */
uint64_t backoff_ready_at(const struct backoff *backoff, uint64_t now_ms);

/* Say whether nothing was done for so long that it is as if never. */
bool backoff_is_over(const struct backoff *backoff, uint64_t now_ms);

/* Note that it is done at @now_ms. */
void backoff_note(struct backoff *backoff, uint64_t now_ms);

#endif
