/* observed.h - what services were seen to do, for estimates: how long they
 * hold the GPU, how long they take to pause and to resume, how much VRAM they
 * use.
 *
 * Running means per service, in which old figures fade.  An estimate is given
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

/* What takes time when the GPU changes hands. */
enum observed_swap {
    OBSERVED_PAUSE,  /* From the pause to VRAM that is measured free. */
    OBSERVED_RESUME, /* From the grant to the holder's word that it goes on. */
    OBSERVED_SWAPS
};

/* @lease begins a swap at @at_ms; forgotten where there is no memory. */
void observed_begin(struct observed *observed,
                    uint64_t lease,
                    enum observed_swap swap,
                    uint64_t at_ms);

/* @lease of @service has ended it at @at_ms.  One that was not begun is not
 * counted. */
void observed_end(struct observed *observed,
                  uint64_t lease,
                  uint32_t service,
                  enum observed_swap swap,
                  uint64_t at_ms);

/* Forget the swaps that @lease has begun. */
void observed_forget(struct observed *observed, uint64_t lease);

/* @service was measured to use @mib of a device, for one lease. */
void observed_use(struct observed *observed, uint32_t service, uint32_t mib);

/* What is known of a service. */
struct observed_service {
    uint32_t holds;
    uint64_t hold_ms; /* Their mean, as the next. */
    uint32_t swaps[OBSERVED_SWAPS];
    uint64_t swap_ms[OBSERVED_SWAPS];
    uint32_t footprint_mib; /* The most it was measured to use; 0 = never. */
};

/* Fill @out with what is known of @service. */
void observed_get(const struct observed *observed,
                  uint32_t service,
                  struct observed_service *out);

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
