/* mirror.h - the core and the reference side by side.
 *
 * Translates what the core is fed for the reference, and compares: who was
 * granted, resumed and asked, in which order and on which devices, and the
 * state of every lease.
 */
#ifndef GPUCOORD_TESTS_SIM_MIRROR_H
#define GPUCOORD_TESTS_SIM_MIRROR_H

#include "sim/reference.h"
#include "sim/rig.h"

struct mirror {
    struct ref ref;
};

/* Set up the reference for the configuration of @rig. */
void mirror_init(struct mirror *mirror, const struct rig *rig);

/* Show the reference what the core was fed and how it answered, and fail the
 * run where they differ. */
void mirror_step(struct mirror *mirror,
                 const struct rig *rig,
                 const struct core_event *event,
                 int rc,
                 const struct core_effects *effects,
                 uint64_t token_before);

/* The core was rebuilt from its store. */
void mirror_restart(struct mirror *mirror, const struct rig *rig);

#endif
