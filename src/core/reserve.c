/* reserve.c - devices kept for a candidate that does not fit yet. */
#include "core/parts.h"

/* Say whether plan @a is to be preferred to plan @b. */
static bool is_better(const struct plan *a, const struct plan *b)
{
    if (a->needs_victims != b->needs_victims) {
        return !a->needs_victims;
    }
    if (a->worst_level != b->worst_level) {
        return a->worst_level > b->worst_level;
    }
    /* Not the roomiest first: each grant beside a reservation would move it,
     * and let others ask whom it let in. */
    if (a->is_kept != b->is_kept) {
        return a->is_kept;
    }
    return a->room_mib > b->room_mib;
}

/* The set of devices for @lease with the best plans, among those @feasible or
 * not; 0 where there are too few. */
static uint64_t find_reserve(const struct core *core,
                             const struct lease *lease,
                             const struct plan *plans,
                             uint64_t usable,
                             bool feasible)
{
    uint64_t set = 0;
    uint32_t n;
    uint32_t i;

    for (n = 0; n < lease->row.gpus; n++) {
        uint32_t best = core->config.device_count;

        for (i = 0; i < core->config.device_count; i++) {
            if ((usable & ~set & (1ull << i)) == 0 ||
                (feasible && !plans[i].is_feasible)) {
                continue;
            }
            if (best == core->config.device_count ||
                (feasible ? is_better(&plans[i], &plans[best])
                          : plans[i].room_mib > plans[best].room_mib)) {
                best = i;
            }
        }
        if (best == core->config.device_count) {
            return 0;
        }
        set |= 1ull << best;
    }
    return set;
}

/* Reserve the devices in @set for @lease. */
static void reserve(struct core *core,
                    struct lease *lease,
                    const struct plan *plans,
                    uint64_t set,
                    bool overdue)
{
    uint32_t i;

    for (i = 0; i < core->config.device_count; i++) {
        struct device *device = &core->devices[i];
        uint32_t need;
        uint64_t room;

        if ((set & (1ull << i)) == 0) {
            continue;
        }
        need = device_need_mib(device, lease);
        /* Who was just asked counts, or the next pass would leave more. */
        room = (uint64_t)device_free_mib(device) + device_freeing_mib(device);
        device->left_mib = 0;
        if (plans[i].is_feasible && !lease_is_exclusive(lease) &&
            device->reservation == DEVICE_OPEN && room > need) {
            uint32_t free_mib = device_free_mib(device);
            uint32_t left = (uint32_t)(room - need);

            device->left_mib = left < free_mib ? left : free_mib;
        }
        device->reservation =
            overdue ? DEVICE_RESERVED_OVERDUE : DEVICE_RESERVED;
        device->reserver = lease;
    }
}

bool reserve_devices(struct core *core, struct lease *lease, bool overdue)
{
    struct plan plans[CORE_DEVICES_MAX];
    uint64_t usable = 0;
    uint64_t set;
    uint32_t i;

    for (i = 0; i < core->config.device_count; i++) {
        struct device *device = &core->devices[i];

        if (device->reservation == DEVICE_RESERVED ||
            (overdue && device->reservation != DEVICE_OPEN) ||
            !device_is_usable(core, device, lease)) {
            continue;
        }
        victim_plan(core, device, lease, !overdue, &plans[i]);
        plans[i].is_kept = !overdue && (lease->reserved >> i & 1) != 0;
        if (device->reservation == DEVICE_OPEN || plans[i].is_feasible) {
            usable |= 1ull << i;
        }
    }
    set = find_reserve(core, lease, plans, usable, true);
    if (set == 0) {
        set = find_reserve(core, lease, plans, usable, false);
        if (set == 0) {
            return false;
        }
        for (i = 0; i < core->config.device_count; i++) {
            plans[i].is_feasible = false;
        }
        reserve(core, lease, plans, set, overdue);
        return true;
    }
    if (lease->row.state != LEASE_CLEARING) {
        lease_move(core, lease, LEASE_CLEARING);
    }
    lease->is_confirmed = true;
    lease->reserved = set;
    for (i = 0; i < core->config.device_count; i++) {
        /* An overdue waiter goes first, but nobody has to go for it. */
        if (!overdue && (set & (1ull << i)) != 0) {
            victim_ask(core, &core->devices[i], lease);
        }
    }
    reserve(core, lease, plans, set, overdue);
    return true;
}
