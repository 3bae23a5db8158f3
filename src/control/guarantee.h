/* guarantee.h - which promise a lease has (docs/guarantees.md).
 *
 * Computed from what is known, not from what was asked for.
 */
#ifndef GPUCOORD_CONTROL_GUARANTEE_H
#define GPUCOORD_CONTROL_GUARANTEE_H

#include "core/core.h"

/* What the coordinator would notice of the holder's end. */
enum guarantee_watch {
    GUARANTEE_UNWATCHED,
    GUARANTEE_PROCESS, /* The end of the named process. */
    GUARANTEE_GROUP,   /* And of its process group. */
    GUARANTEE_CGROUP,  /* And of everything it has started. */
    GUARANTEE_WATCHES
};

/* What is measured of its devices: the least of them counts. */
enum guarantee_measure {
    GUARANTEE_UNMEASURED, /* Declared, or `verify: off`, or it fails now. */
    GUARANTEE_WHOLE,      /* How much VRAM is used in all. */
    GUARANTEE_PER_PROCESS,
    GUARANTEE_MEASURES
};

/* Return the promise of a lease whose living processes, of the asker's own, are
 * watched in the way @watch, on devices measured as @measure.
 *
 * Supervised needs a watch, and something that shows when the processes are off
 * the GPU though they live on: measured VRAM, or a cgroup that must empty
 * first.
 */
enum core_guarantee guarantee_of(enum guarantee_watch watch,
                                 enum guarantee_measure measure);

#endif
