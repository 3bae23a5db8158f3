/* check.c - the invariants of the design, asserted over the whole state.
 *
 * Those about single grants (1, 2, 3, 5) are also asserted from the outside by
 * the simulator, which sees only messages.
 */
#include "core/parts.h"

#include <assert.h>

struct counts {
    uint64_t leases;
    uint64_t waiters;
    uint64_t sleepers;
    uint64_t waiting[CLASSES_ALL];
    uint64_t held[CLASSES_ALL];
    uint64_t paused[CLASSES_ALL];
};

static bool is_bypassed(const struct lease *lease)
{
    return (lease->row.flags & (CORE_ROW_BYPASSED | CORE_ROW_UNCHECKED)) != 0;
}

/* 7: every state but the named ones has a deadline, in the heap no later. */
static void check_deadline(const struct core *core, const struct lease *lease)
{
    bool durable = (lease->row.flags & CORE_ROW_DURABLE) != 0;

    if (lease->deadline_at_ms == CORE_FOREVER) {
        if (walk_stands_still(lease) && lease_is_sleeper(lease)) {
            return; /* We keep it from running. */
        }
        assert(lease_is_waiter(lease));
        assert(durable || lease->row.timeout_ms == CORE_FOREVER ||
               lease->row.state == LEASE_AWAY);
        return;
    }
    assert(heap_holds(&lease->timer));
    assert(heap_key(&core->timers, &lease->timer) <= lease->deadline_at_ms);
    assert(core_deadline(core) <= lease->deadline_at_ms ||
           lease->deadline_at_ms < core->now_ms);
}

static void check_seats(const struct core *core, const struct lease *lease)
{
    bool seated = !lease_is_waiter(lease);
    uint64_t set = 0;
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        const struct seat *seat = &lease->seats[i];

        assert(seat->lease == lease);
        assert(seat->share.charge_mib <= lease->row.charge_mib);
        assert(!seated || lease->row.shares == NULL ||
               lease->row.shares[i].charge_mib == seat->share.charge_mib);
        assert(list_is_linked(&seat->link) == seated);
        if (seated) {
            assert(seat->device < core->config.device_count);
            assert((set & (1ull << seat->device)) == 0);
            set |= 1ull << seat->device;
        }
    }
    assert(set == (seated ? lease->row.granted : 0));
    assert(lease->row.devices == 0 || (set & ~lease->row.devices) == 0);
}

static void check_lease(const struct core *core,
                        const struct lease *lease,
                        struct counts *counts)
{
    const struct core_lease_row *row = &lease->row;

    assert(row->id != 0 && row->id < core->next_number);
    assert(row->token < core->next_number && row->token_before <= row->token);
    assert(lease_find(core, row->id) == lease);
    assert((row->first_granted_at_ms != 0) == (row->token != 0));
    assert(lease->class == &core->classes[row->class_id]);
    assert(lease->service->id == row->service);
    assert(list_is_linked(&lease->service_link));
    /* 4: in the index of its state, and in no other. */
    assert(!lease_is_waiter(lease) || rank_holds(&lease->place));
    assert(list_is_linked(&lease->sleeper_link) == lease_is_sleeper(lease));
    assert(!lease->is_touched && !lease->is_moved);
    assert(row->state == LEASE_CLEARING || lease->reserved == 0);
    if (row->job != 0 && row->state != LEASE_RECLAIMING) {
        assert(idmap_find(&core->jobs, row->service, row->job) == lease);
    }
    check_seats(core, lease);
    check_deadline(core, lease);
    counts->leases++;
    counts->waiters += lease_is_waiter(lease);
    counts->sleepers += lease_is_sleeper(lease);
    counts->waiting[row->class_id] +=
        lease_is_waiter(lease) && row->state != LEASE_AWAY;
    counts->held[row->class_id] += lease_holds(lease);
    counts->paused[row->class_id] += lease_is_sleeper(lease);
}

static void check_states(const struct core *core, struct counts *counts)
{
    uint32_t state;

    for (state = 0; state < LEASE_STATES; state++) {
        const struct list *at;
        uint64_t count = 0;

        LIST_EACH (at, &core->states[state]) {
            const struct lease *lease =
                CONTAINER_OF(at, struct lease, state_link);

            assert(lease->row.state == state);
            check_lease(core, lease, counts);
            count++;
        }
        assert(count == core->state_count[state]);
    }
    assert(core->state_count[LEASE_ENDED] == 0);
    assert(counts->leases == idmap_count(&core->leases));
    assert(counts->waiters == core->waiter_count);
    assert(counts->sleepers == core->sleeper_count);
}

static void check_class(const struct class *class, const struct counts *counts)
{
    uint64_t waiting = 0;
    uint64_t members = 0;
    uint32_t i;

    for (i = 0; i < class->shape_count; i++) {
        rank_check(&class->shapes[i].waiting);
        waiting += rank_count(&class->shapes[i].waiting);
        members += class->shapes[i].members;
    }
    rank_check(&class->away);
    assert(waiting == class->waiting);
    assert(members == waiting + rank_count(&class->away));
    assert(class->waiting == counts->waiting[class->id]);
    assert(class->held == counts->held[class->id]);
    assert(class->paused == counts->paused[class->id]);
    /* 6, counted: never beyond the limit. */
    assert(class->consecutive <= class->config.max_consecutive);
}

static void check_services(const struct core *core)
{
    uint64_t leases = 0;
    uint32_t i;

    for (i = 0; i < core->service_capacity; i++) {
        const struct service *service = core->services[i];
        const struct list *at;
        uint32_t waiters = 0;

        if (service == NULL) {
            continue;
        }
        LIST_EACH (at, &service->leases) {
            waiters +=
                lease_is_waiter(CONTAINER_OF(at, struct lease, service_link));
            leases++;
        }
        assert(waiters == service->waiters);
    }
    assert(leases == idmap_count(&core->leases));
}

/* 1: while a sample counts, no used VRAM is without an owner. */
static void check_books(const struct device *device)
{
    uint64_t booked = (uint64_t)device->charged_mib + device->unleased_mib;
    uint32_t i;

    assert(device->resident_count <= RESIDENTS_MAX);
    assert(device->attributed_at_ms <= device->sampled_at_ms);
    for (i = 0; i < device->resident_count; i++) {
        assert(device->residents[i].mib > 0);
        booked += device->residents[i].mib;
    }
    if (device->config.is_measured && device_is_fresh(device)) {
        assert(booked >= device->used_mib);
    }
}

/* 2: an exclusive holder is alone among those that hold. */
static void check_device(const struct core *core, const struct device *device)
{
    const struct list *at;
    uint64_t charged = 0;
    uint32_t holders = 0;
    uint32_t alone = 0;
    uint64_t granted = 0;
    uint64_t token = 0;
    bool bypassed = false;

    LIST_EACH (at, &device->seats) {
        const struct seat *seat = seat_at(at);

        assert(seat->device == device->index);
        assert(seat->lease->row.token > token);
        assert(device->attributed_at_ms != 0 || seat->measured_mib == 0);
        assert(seat->measured_mib <= device->config.capacity_mib);
        token = seat->lease->row.token;
        charged += account_taken_mib(seat);
        granted += seat->share.charge_mib;
        bypassed = bypassed || is_bypassed(seat->lease);
        holders += lease_holds(seat->lease) &&
                   (seat->lease->row.flags & CORE_ROW_ASLEEP) == 0;
        alone += lease_holds(seat->lease) && lease_is_exclusive(seat->lease) &&
                 seat->lease->row.state != LEASE_RECLAIMING;
    }
    assert(charged == device->charged_mib);
    check_books(device);
    (void)core;
    if (!bypassed) {
        assert(alone == 0 || holders == 1);
        assert(granted <= device_size_mib(device) ||
               granted <= device->tolerated_mib);
    }
}

void core_check(const struct core *core)
{
    struct counts counts = {0};
    uint32_t i;

    check_states(core, &counts);
    for (i = 0; i < CLASSES_ALL; i++) {
        check_class(&core->classes[i], &counts);
    }
    check_services(core);
    for (i = 0; i < core->config.device_count; i++) {
        check_device(core, &core->devices[i]);
    }
    heap_check(&core->timers);
}
