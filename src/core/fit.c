/* fit.c - on which devices a candidate fits as they are now. */
#include "core/parts.h"

#include <assert.h>

/* Say whether @device needs no new sample for @lease: the seat lingers for its
 * service.  What strangers and warm models use there must be known, though: a
 * restart forgets it. */
static bool keeps_seat_for(const struct core *core,
                           const struct device *device,
                           const struct lease *lease)
{
    return device->is_accounted && device->linger_until_ms > core->now_ms &&
           device->linger_service == lease->row.service;
}

/* Room on a device that nobody has reserved, or left of it, for somebody who
 * has @warm_mib there already, and takes @own_mib: never more than there is
 * where others take too much. */
static uint32_t
open_mib(const struct device *device, uint32_t warm_mib, uint32_t own_mib)
{
    switch (device->reservation) {
    case DEVICE_OPEN:
        return device_room_mib(device, (uint64_t)warm_mib + own_mib);
    case DEVICE_RESERVED:
        return mib_smaller(device->left_mib + own_mib,
                           device_room_mib(device, own_mib));
    case DEVICE_RESERVED_OVERDUE:
        return mib_smaller(own_mib, device_room_mib(device, own_mib));
    }
    return 0;
}

static bool fits(const struct core *core,
                 const struct device *device,
                 const struct lease *lease)
{
    uint32_t own = device_charge_of(device, lease);
    bool has_room = device_is_frozen(device, lease);

    if (!device_is_usable(core, device, lease) ||
        (!device_is_fresh(device) && !keeps_seat_for(core, device, lease))) {
        return false;
    }
    if (lease_is_sleeper(lease) && !has_room && device->config.is_measured &&
        (uint64_t)device_resume_mib(core, device, lease) + device->used_mib >
            (uint64_t)device->config.capacity_mib + own) {
        return false;
    }
    if (lease_is_exclusive(lease)) {
        return (has_room || device->reservation == DEVICE_OPEN) &&
               !device_is_held(device, lease, true) &&
               !device_is_warm(core, device, lease, false) &&
               device_exclusive_mib(device, lease) > 0;
    }
    return !device_is_held(device, lease, false) &&
           device_need_mib(device, lease) <=
               open_mib(device,
                        device_resident_mib(device, lease->row.service, false),
                        own);
}

uint32_t fit_room(struct core *core,
                  const struct class *class,
                  const struct shape *shape)
{
    uint32_t rooms[CORE_DEVICES_MAX]; /* The first @count are set. */
    uint32_t count = 0;
    uint32_t i;
    uint32_t at;

    if (shape->is_exclusive) {
        return 0; /* Whoever is behind a blocked one cannot fit either. */
    }
    for (i = 0; i < core->config.device_count; i++) {
        const struct device *device = &core->devices[i];
        uint32_t room;

        if (device->state != CORE_DEVICE_OK || device->is_drained ||
            device->is_foreign ||
            (shape->devices != 0 && (shape->devices & (1ull << i)) == 0) ||
            (device->linger_until_ms > core->now_ms &&
             class->config.priority > device->linger_priority) ||
            !device_is_fresh(device) || device_is_held(device, NULL, false)) {
            continue;
        }
        room = open_mib(device, 0, 0);
        for (at = count++; at > 0 && rooms[at - 1] < room; at--) {
            rooms[at] = rooms[at - 1];
        }
        rooms[at] = room;
    }
    assert(shape->gpus > 0);
    return count < shape->gpus ? 0 : rooms[shape->gpus - 1];
}

uint64_t fit_find(const struct core *core, const struct lease *lease)
{
    uint64_t set = 0;
    uint32_t n;
    uint32_t i;

    for (n = 0; n < lease->row.gpus; n++) {
        const struct device *best = NULL;

        for (i = 0; i < core->config.device_count; i++) {
            const struct device *device = &core->devices[i];

            if ((set & (1ull << i)) == 0 && fits(core, device, lease) &&
                (best == NULL ||
                 device_free_mib(device) > device_free_mib(best))) {
                best = device;
            }
        }
        if (best == NULL) {
            return 0;
        }
        set |= 1ull << best->index;
    }
    return set;
}
