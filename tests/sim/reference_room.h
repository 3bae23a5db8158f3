/* reference_room.h - what fits where, and who would have to go, naively.
 *
 * The half of the reference's pass that changes nothing.
 */
#ifndef GPUCOORD_TESTS_SIM_REFERENCE_ROOM_H
#define GPUCOORD_TESTS_SIM_REFERENCE_ROOM_H

#include "sim/reference.h"

/* A device's reservation within a pass. */
struct ref_reserved {
    const struct ref_lease *by; /* NULL: open. */
    bool is_overdue;            /* The one it is for goes first as overdue. */
    uint32_t left;              /* For sharing requests of others. */
};

/* How a candidate would get onto a device. */
struct ref_plan {
    bool feasible;
    bool asked[REF_LEASES]; /* Holders to be asked to pause. */
    uint32_t worst;         /* Most important level asked; 10 = nobody. */
    uint64_t lack;          /* Of a sharing one, warm models of others aside. */
};

/* Return the priority of @lease. */
uint32_t ref_priority(const struct ref *ref, const struct ref_lease *lease);

/* Return what the device has free. */
uint32_t ref_room(const struct ref *ref, uint32_t at);

/* Return what leases that are leaving the device will give back. */
uint32_t ref_freeing(const struct ref *ref, uint32_t at);

/* Return what a sharing request would be charged: a resume no less than what
 * it used before. */
uint32_t
ref_need(const struct ref *ref, uint32_t at, const struct ref_lease *lease);

/* Return what an exclusive request would be charged. */
uint32_t ref_whole_room(const struct ref *ref,
                        uint32_t at,
                        const struct ref_lease *lease);

/* Say whether @lease may use the device at all. */
bool ref_is_usable(const struct ref *ref,
                   uint32_t at,
                   const struct ref_lease *lease);

/* Choose lease->count devices from @able: most @worth first, then the lowest
 * index.  Returns their set; 0 where there are too few. */
uint64_t ref_choose(const struct ref *ref,
                    const struct ref_lease *lease,
                    const bool *able,
                    const uint64_t *worth);

/* Return the devices on which @lease fits now beside what is @reserved on
 * each; 0 where they are too few.  @backfills: it comes after its like were
 * stopped, so warm room and kept seats are not looked at. */
uint64_t ref_find_fit(const struct ref *ref,
                      const struct ref_reserved *reserved,
                      const struct ref_lease *lease,
                      bool backfills);

/* Say whether the candidate needs the device without any holder: it wants it
 * alone, or an overdue waiter it would join does. */
bool ref_needs_all(const struct ref_reserved *reserved,
                   const struct ref_lease *lease);

/* Work out how @lease gets onto a device.  @may_ask: others may be asked to
 * pause or unload. */
struct ref_plan ref_plan(const struct ref *ref,
                         const struct ref_reserved *reserved,
                         uint32_t at,
                         const struct ref_lease *lease,
                         bool may_ask);

#endif
