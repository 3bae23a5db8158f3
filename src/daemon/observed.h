/* observed.h - how long services hold the GPU, for estimates.
 *
 * A running mean per service, in which old holds fade.  An estimate is given
 * only where it rests on enough of them.
 */
#ifndef GPUCOORD_DAEMON_OBSERVED_H
#define GPUCOORD_DAEMON_OBSERVED_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct observed; /* Opaque; observed.c. */

enum {
    OBSERVED_MIN = 5 /* Holds below which nothing is said. */
};

/* Create an empty record.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int observed_create(struct observed **out);

/* Free it; NULL is allowed. */
void observed_destroy(struct observed *observed);

/* Record that @service held for @held_ms; forgotten where there is no
 * memory. */
void observed_add(struct observed *observed,
                  uint32_t service,
                  uint64_t held_ms);

/* Return how many holds of @service were recorded. */
uint32_t observed_count(const struct observed *observed, uint32_t service);

/* Estimate how long @service, which has held for @held_ms, goes on.  Returns
 * false where fewer than OBSERVED_MIN holds are known. */
bool observed_left(const struct observed *observed,
                   uint32_t service,
                   uint64_t held_ms,
                   uint64_t *left_ms);

#endif
