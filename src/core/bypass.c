/* bypass.c - everybody is let in: for somebody who suspects the coordinator, or
 * only wants to see what it would do (observe).
 */
#include "core/parts.h"

#include <assert.h>

/* The devices a bypassed grant is booked on: most free, then lowest index;
 * full, stale or drained ones too. */
static uint64_t find_bypass(const struct core *core, const struct lease *lease)
{
    uint64_t allowed =
        lease->row.devices == 0 ? core_all_devices(core) : lease->row.devices;
    uint64_t set = 0;
    uint32_t n;
    uint32_t i;

    if (lease_is_sleeper(lease)) {
        return lease->row.granted;
    }
    for (n = 0; n < lease->row.gpus; n++) {
        const struct device *best = NULL;

        for (i = 0; i < core->config.device_count; i++) {
            const struct device *device = &core->devices[i];

            if ((allowed & ~set & (1ull << i)) != 0 &&
                (best == NULL ||
                 device_free_mib(device) > device_free_mib(best))) {
                best = device;
            }
        }
        assert(best != NULL); /* waiter_submit() saw enough devices. */
        set |= 1ull << best->index;
    }
    return set;
}

static struct lease *next_bypass(struct core *core)
{
    uint32_t priority;
    uint32_t i;

    for (priority = 0; priority < CORE_PRIORITIES; priority++) {
        const struct list *at;
        struct lease *best = NULL;

        LIST_EACH (at, &core->sleepers[priority]) {
            struct lease *lease = CONTAINER_OF(at, struct lease, sleeper_link);

            if ((lease->row.flags & CORE_ROW_OPERATOR_PAUSED) == 0) {
                return lease;
            }
        }
        for (i = 0; i < core->order_at[CORE_PRIORITIES]; i++) {
            struct lease *first = queue_first(&core->classes[i]);

            if (core->classes[i].config.priority == priority && first != NULL &&
                (best == NULL || first->row.seq < best->row.seq)) {
                best = first;
            }
        }
        if (best != NULL) {
            return best;
        }
    }
    return NULL;
}

bool bypass_is_lenient(const struct core *core)
{
    return core->bypass_until_ms != 0 || core->config.is_observing;
}

void bypass_run(struct core *core)
{
    struct lease *lease;

    while (pass_may_grant(core) && (lease = next_bypass(core)) != NULL) {
        grant_devices(core, lease, find_bypass(core, lease), false,
                      CORE_WAIT_NOTHING);
    }
}

/* Give @lease what the rules would give it now, or else anything. */
static void observe(struct core *core, struct lease *lease)
{
    struct core_why why = {.wait = CORE_WAIT_NOTHING};
    uint64_t set = 0;

    if (lease_is_sleeper(lease) || !policy_is_limited(core, lease->class)) {
        set = fit_find(core, lease);
    }
    if (set == 0) {
        set = find_bypass(core, lease);
        if (core_why(core, lease->row.id, &why) != E_OK ||
            why.wait == CORE_WAIT_NOTHING) {
            why.wait = CORE_WAIT_VRAM;
        }
    }
    grant_devices(core, lease, set, false, why.wait);
}

void bypass_observe(struct core *core)
{
    struct lease *lease;
    uint32_t i;

    for (i = 0; i < core->config.device_count; i++) {
        core->devices[i].reservation = DEVICE_OPEN;
        core->devices[i].reserver = NULL;
    }
    while (pass_may_grant(core) && (lease = next_bypass(core)) != NULL) {
        observe(core, lease);
    }
}
