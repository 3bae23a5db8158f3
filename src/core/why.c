/* why.c - on whom a lease waits, and until when (C10).
 *
 * Looks at the state between steps, like a passer-by: it finds the device that
 * the lease is most likely to get and names the first thing in the way there.
 */
#include "core/parts.h"

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The device the lease is reserved on, or may use and has most room. */
static const struct device *pick(const struct core *core,
                                 const struct lease *lease)
{
    const struct device *best = NULL;
    uint64_t allowed =
        lease_is_sleeper(lease) ? lease->row.granted : lease->row.devices;
    uint32_t i;

    if (lease->reserved != 0) {
        allowed = lease->reserved;
    }
    for (i = 0; i < core->config.device_count; i++) {
        const struct device *device = &core->devices[i];

        if ((allowed == 0 || (allowed & (1ull << i)) != 0) &&
            (best == NULL || device_free_mib(device) > device_free_mib(best))) {
            best = device;
        }
    }
    return best;
}

/* The lease on @device in one of @states that came first to its seat. */
static const struct lease *on_device(const struct device *device,
                                     uint32_t states)
{
    const struct list *at;

    LIST_EACH (at, &device->seats) {
        const struct lease *lease = seat_at(at)->lease;

        if ((states & (1u << lease->row.state)) != 0) {
            return lease;
        }
    }
    return NULL;
}

/* Until when @holder, HELD, goes on by itself: unless it renews before its
 * deadline, and where a connection holds, for as long as that is open. */
static void bound(const struct lease *holder, struct core_why *out)
{
    uint64_t max_hold_ms = holder->row.max_hold_ms;
    uint64_t most = max_hold_ms == 0 ? CORE_FOREVER
                                     : holder->row.granted_at_ms + max_hold_ms;

    out->until_ms = most;
    if ((holder->row.flags & CORE_ROW_BY_CONNECTION) == 0 || holder->ref == 0) {
        out->until_ms = holder->deadline_at_ms;
        out->blocker_may_renew = holder->deadline_at_ms < most;
    }
}

static void blame(const struct core *core,
                  const struct device *device,
                  const struct lease *blocker,
                  uint32_t priority,
                  enum core_wait wait,
                  struct core_why *out)
{
    uint64_t safe_until;

    out->wait = wait;
    out->blocker = blocker->row.id;
    out->blocker_used_mib = device_used_by(device, blocker);
    out->blocker_charge_mib = device_seat_of(device, blocker)->share.charge_mib;
    out->service = blocker->row.service;
    out->rung = walk_rung(blocker);
    out->rung_at_ms = out->rung == RUNG_NONE ? 0 : blocker->rung_at_ms;
    switch (wait) {
    case CORE_WAIT_PAUSE:
        out->until_ms = blocker->rung_by_ms;
        break;
    case CORE_WAIT_VRAM:
    case CORE_WAIT_RECLAIM:
        out->until_ms = blocker->deadline_at_ms;
        break;
    case CORE_WAIT_HOLDER:
        safe_until = victim_safe_until(blocker, priority);
        out->blocker_hears = lease_can_hear(core, blocker);
        out->blocker_protected = safe_until > core->now_ms;
        if (out->blocker_protected) {
            out->until_ms = safe_until;
        } else {
            bound(blocker, out);
        }
        break;
    case CORE_WAIT_NOTHING:
    case CORE_WAIT_STARTUP:
    case CORE_WAIT_DRAINING:
    case CORE_WAIT_AWAY:
    case CORE_WAIT_DEVICE:
    case CORE_WAIT_RESIDENT:
    case CORE_WAIT_LINGER:
    case CORE_WAIT_LIMIT:
    case CORE_WAIT_TURN:
    case CORE_WAIT_OPERATOR:
    case CORE_WAIT_FROZEN:
    case CORE_WAIT_STORE:
    case CORE_WAIT_FOREIGN:
    case CORE_WAITS:
        break;
    }
}

/* Who sleeps on @device with its VRAM; NULL. */
static const struct lease *frozen_on(const struct device *device)
{
    const struct list *at;

    LIST_EACH (at, &device->seats) {
        const struct lease *lease = seat_at(at)->lease;

        if (device_is_frozen(device, lease)) {
            return lease;
        }
    }
    return NULL;
}

/* A holder in the way of somebody of @priority on @device; false where there is
 * none. */
static bool why_holder(const struct core *core,
                       const struct device *device,
                       uint32_t priority,
                       struct core_why *out)
{
    const struct lease *lease = on_device(device, 1u << LEASE_PAUSING);

    if (lease != NULL) {
        blame(core, device, lease, priority,
              lease->acked_at_ms == 0 ? CORE_WAIT_PAUSE : CORE_WAIT_VRAM, out);
        return true;
    }
    lease = on_device(device, 1u << LEASE_RECLAIMING);
    if (lease != NULL) {
        blame(core, device, lease, priority, CORE_WAIT_RECLAIM, out);
        return true;
    }
    lease = on_device(device, 1u << LEASE_HELD);
    if (lease != NULL) {
        blame(core, device, lease, priority, CORE_WAIT_HOLDER, out);
        return true;
    }
    lease = frozen_on(device);
    if (lease != NULL) {
        blame(core, device, lease, priority, CORE_WAIT_FROZEN, out);
        return true;
    }
    return false;
}

/* A warm model of another service in the way; false where there is none. */
static bool why_resident(const struct device *device,
                         const struct lease *lease,
                         struct core_why *out)
{
    uint32_t i;

    for (i = 0; i < device->resident_count; i++) {
        const struct resident *resident = &device->residents[i];

        if (resident->service != lease->row.service &&
            resident->mib > device->config.residue_mib) {
            out->wait = CORE_WAIT_RESIDENT;
            out->service = resident->service;
            out->until_ms =
                resident->until_ms == 0 ? CORE_FOREVER : resident->until_ms;
            return true;
        }
    }
    return false;
}

/* The waiter or sleeper that reserved @device. */
static const struct lease *reserver_of(const struct core *core,
                                       const struct device *device)
{
    const struct list *at;

    LIST_EACH (at, &core->states[LEASE_CLEARING]) {
        const struct lease *lease = CONTAINER_OF(at, struct lease, state_link);

        if ((lease->reserved & (1ull << device->index)) != 0) {
            return lease;
        }
    }
    return NULL;
}

/* What stands between @lease and @device, apart from the coordinator's modes.
 */
static void why_device(const struct core *core,
                       const struct device *device,
                       const struct lease *lease,
                       struct core_why *out)
{
    const struct lease *reserver = reserver_of(core, device);
    uint32_t priority = lease_priority(lease);

    out->device = device->index;
    out->free_mib = device_free_mib(device);
    out->unleased_mib = device->unleased_mib;
    if (device->state != CORE_DEVICE_OK) {
        out->wait = CORE_WAIT_DEVICE;
    } else if (device->is_drained) {
        out->wait = CORE_WAIT_DRAINING;
    } else if (device->is_foreign) {
        out->wait = CORE_WAIT_FOREIGN;
    } else if (device->linger_until_ms > core->now_ms &&
               priority > device->linger_priority) {
        out->wait = CORE_WAIT_LINGER;
        out->service = device->linger_service;
        out->until_ms = device->linger_until_ms;
    } else if (!why_holder(core, device, priority, out) &&
               !why_resident(device, lease, out)) {
        if (reserver != NULL && reserver != lease) {
            out->wait = CORE_WAIT_TURN;
            out->blocker = reserver->row.id;
            out->service = reserver->row.service;
        } else {
            out->wait = CORE_WAIT_VRAM;
        }
    }
}

/* Reasons that lie in the lease or in a mode; false where there is none. */
static bool why_mode(const struct core *core,
                     const struct lease *lease,
                     struct core_why *out)
{
    if ((lease->row.flags & CORE_ROW_OPERATOR_PAUSED) != 0) {
        out->wait = CORE_WAIT_OPERATOR;
    } else if (lease->row.state == LEASE_AWAY) {
        out->wait = CORE_WAIT_AWAY;
        out->until_ms = lease->deadline_at_ms;
    } else if (core->is_held) {
        out->wait = CORE_WAIT_STORE;
    } else if (core->now_ms < core->hold_until_ms) {
        out->wait = CORE_WAIT_STARTUP;
        out->until_ms = later(core->now_ms, core->hold_until_ms);
    } else if (core->is_draining || core->is_stopping) {
        out->wait = CORE_WAIT_DRAINING;
    } else if (lease_is_waiter(lease) &&
               policy_is_limited(core, lease->class)) {
        out->wait = CORE_WAIT_LIMIT;
    } else {
        return false;
    }
    return true;
}

int core_why(const struct core *core, uint64_t id, struct core_why *out)
{
    const struct lease *lease = lease_find(core, id);
    const struct device *device;

    if (lease == NULL) {
        return E_NOT_FOUND;
    }
    *out = (struct core_why){
        .until_ms = CORE_FOREVER,
        .need_mib = lease->row.vram_mib,
    };
    if (!lease_is_waiter(lease) && !lease_is_sleeper(lease)) {
        return E_OK;
    }
    out->position = queue_position(core, lease);
    if (why_mode(core, lease, out)) {
        return E_OK;
    }
    device = pick(core, lease);
    if (device != NULL) {
        why_device(core, device, lease, out);
    }
    return E_OK;
}
