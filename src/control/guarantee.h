/* guarantee.h - which promise a lease has (docs/guarantees.md).
 *
 * Computed from what is known, not from what was asked for.
 */
#ifndef GPUCOORD_CONTROL_GUARANTEE_H
#define GPUCOORD_CONTROL_GUARANTEE_H

#include "core/core.h"

#include <stdbool.h>

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

struct guarantee_facts {
    enum guarantee_watch watch;
    bool is_alive; /* The watched were seen alive after they were opened. */
    bool is_own;   /* They belong to the user who asked. */
    enum guarantee_measure measure;
};

/* Return the promise.
 *
 * Supervised needs living processes of the asker under watch, and something
 * that shows when they are off the GPU though they live on: measured VRAM, or
 * a cgroup that must empty first.
 */
enum core_guarantee guarantee_of(const struct guarantee_facts *facts);

#endif
