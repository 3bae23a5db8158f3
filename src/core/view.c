/* view.c - the state as others may see it. */
#include "core/parts.h"

#include <assert.h>

/* Watched processes are as good as measured VRAM: the next grant waits for
 * either.  But not where the grant itself waited for nothing. */
static enum core_guarantee guarantee_of(const struct core *core,
                                        const struct lease *lease)
{
    uint32_t flags = lease->row.flags;
    bool is_blind = (flags & CORE_ROW_ADVISORY) != 0;

    if (lease->row.first_granted_at_ms == 0 ||
        (flags & (CORE_ROW_BYPASSED | CORE_ROW_UNCHECKED)) != 0 ||
        (is_blind && device_is_measured(core, lease))) {
        return CORE_ADVISORY;
    }
    if ((flags & CORE_ROW_WATCHED) != 0) {
        return CORE_SUPERVISED;
    }
    return is_blind ? CORE_ADVISORY : CORE_VERIFIED;
}

static void view_ended(const struct ended *ended, struct core_lease_view *out)
{
    *out = (struct core_lease_view){
        .row = {.id = ended->id,
                .token = ended->token,
                .state = LEASE_ENDED,
                .service = ended->service,
                .class_id = ended->class_id},
        .reason = ended->reason,
        .state_at_ms = ended->ended_at_ms,
        .deadline_at_ms = CORE_FOREVER,
        .held_ms = ended->held_ms,
    };
}

/* What @lease uses on all its devices; @is_told: the samples say so. */
static uint32_t
used_mib(const struct core *core, const struct lease *lease, bool *is_told)
{
    uint64_t sum = 0;
    uint32_t i;

    *is_told = lease->row.granted != 0;
    for (i = 0; lease->row.granted != 0 && i < lease->row.gpus; i++) {
        const struct device *device = &core->devices[lease->seats[i].device];

        sum += device_used_by(device, lease);
        *is_told = *is_told && device->attributed_at_ms != 0;
    }
    return sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

int core_lease_view(const struct core *core,
                    uint64_t id,
                    struct core_lease_view *out)
{
    const struct lease *lease = lease_find(core, id);
    const struct ended *ended;
    bool pausing;
    bool reclaiming;
    bool on_ladder;

    if (lease == NULL) {
        ended = core_ended(core, id);
        if (ended == NULL) {
            return E_NOT_FOUND;
        }
        view_ended(ended, out);
        return E_OK;
    }
    pausing = lease->row.state == LEASE_PAUSING;
    reclaiming = lease->row.state == LEASE_RECLAIMING;
    on_ladder = pausing || reclaiming || walk_is_undoing(lease);
    *out = (struct core_lease_view){
        .row = lease->row,
        .reason =
            reclaiming ? (enum core_reason)lease->reason : CORE_REASON_NONE,
        .guarantee = guarantee_of(core, lease),
        .ref = lease->ref,
        .state_at_ms = lease->state_at_ms,
        .deadline_at_ms = lease->deadline_at_ms,
        .expires_at_ms = lease->expires_at_ms,
        .acked_at_ms = pausing ? lease->acked_at_ms : 0,
        .rung = walk_rung(lease),
        .rung_at_ms = on_ladder ? lease->rung_at_ms : 0,
        .rung_by_ms = on_ladder ? lease->rung_by_ms : 0,
        .is_undoing = walk_is_undoing(lease),
        .requester = pausing ? lease->requester : 0,
        .release_mib = pausing ? device_release_mib(core, lease) : 0,
        .was_granted = lease->row.first_granted_at_ms != 0,
        .can_hear = !lease_is_waiter(lease) && lease_can_hear(core, lease),
    };
    out->measured_mib = used_mib(core, lease, &out->is_measured);
    return E_OK;
}

uint64_t core_job_lease(const struct core *core, uint32_t service, uint64_t job)
{
    const struct lease *lease = idmap_find(&core->jobs, service, job);

    return lease == NULL ? 0 : lease->row.id;
}

uint64_t
core_service_lease(const struct core *core, uint32_t service, size_t *count)
{
    const struct service *found = core_service_find(core, service);
    const struct list *at;
    uint64_t id = 0;

    *count = 0;
    if (found == NULL) {
        return 0;
    }
    LIST_EACH (at, &found->leases) {
        const struct lease *lease =
            CONTAINER_OF(at, struct lease, service_link);

        if (!lease_is_waiter(lease) && lease->row.state != LEASE_RECLAIMING) {
            id = lease->row.id;
            (*count)++;
        }
    }
    return *count == 1 ? id : 0;
}

struct core_share core_row_share(const struct core_lease_row *row,
                                 uint32_t device)
{
    uint64_t below = row->granted & ((1ull << device) - 1);

    if ((row->granted & (1ull << device)) == 0) {
        return (struct core_share){0};
    }
    if (row->shares != NULL) {
        return row->shares[__builtin_popcountll(below)];
    }
    return (struct core_share){row->charge_mib, row->footprint_mib};
}

void core_each_lease(const struct core *core,
                     uint32_t states,
                     bool (*each)(void *arg, uint64_t id),
                     void *arg)
{
    uint32_t state;

    for (state = 0; state < LEASE_STATES; state++) {
        const struct list *at;

        if ((states & (1u << state)) == 0) {
            continue;
        }
        LIST_EACH (at, &core->states[state]) {
            if (!each(arg,
                      CONTAINER_OF(at, struct lease, state_link)->row.id)) {
                return;
            }
        }
    }
}

void core_each_waiter(const struct core *core,
                      uint32_t class_id,
                      bool (*each)(void *arg, uint64_t id),
                      void *arg)
{
    const struct class *class = &core->classes[class_id];
    uint64_t after = 0;

    for (;;) {
        struct rank_node *best = NULL;
        uint32_t i;

        for (i = 0; i < class->shape_count; i++) {
            struct rank_node *node =
                rank_find(&class->shapes[i].waiting, after, NEED_ALL);

            if (node != NULL && (best == NULL || node->seq < best->seq)) {
                best = node;
            }
        }
        if (best == NULL || !each(arg, queue_lease(best)->row.id)) {
            return;
        }
        after = best->seq;
    }
}

void core_each_away(const struct core *core,
                    uint32_t class_id,
                    bool (*each)(void *arg, uint64_t id),
                    void *arg)
{
    struct rank_node *node = rank_first(&core->classes[class_id].away);

    while (node != NULL && each(arg, queue_lease(node)->row.id)) {
        node = rank_next(node);
    }
}

void core_device_view(const struct core *core,
                      uint32_t device_index,
                      struct core_device_view *out)
{
    const struct device *device = &core->devices[device_index];
    uint32_t resident = device_resident_mib(device, 0, true);
    uint64_t booked =
        (uint64_t)device->charged_mib + resident + device->unleased_mib;
    bool lingers = device->linger_until_ms > core->now_ms;

    assert(device_index < core->config.device_count);
    *out = (struct core_device_view){
        .state = device->state,
        .capacity_mib = device->config.capacity_mib,
        .reserve_mib = device->config.reserve_mib,
        .used_mib = device->used_mib,
        .charged_mib = device->charged_mib,
        .resident_mib = resident,
        .unleased_mib = device->unleased_mib,
        .free_mib = device_free_mib(device),
        .sampled_at_ms = device->sampled_at_ms,
        .linger_until_ms = lingers ? device->linger_until_ms : 0,
        .linger_service = lingers ? device->linger_service : 0,
        .is_measured = device->config.is_measured,
        .is_attributed = device->attributed_at_ms != 0,
        .is_foreign = device->is_foreign,
        .is_drained =
            device->is_drained || core->is_draining || core->is_stopping,
        .is_overcommitted = booked > device_size_mib(device) ||
                            (device->config.is_measured &&
                             device->used_mib > device->config.capacity_mib),
        .wants_samples = device_wants_samples(device),
    };
}

void core_class_view(const struct core *core,
                     uint32_t class_id,
                     struct core_class_view *out)
{
    const struct class *class = &core->classes[class_id];

    assert(class_id < CLASSES_ALL);
    *out = (struct core_class_view){
        .config = class->config,
        .grants = class->grants,
        .waiting = class->waiting,
        .away = rank_count(&class->away),
        .held = class->held,
        .paused = class->paused,
        .consecutive = class->consecutive,
    };
}

void core_stats(const struct core *core, struct core_stats *out)
{
    uint32_t state;

    *out = core->stats;
    for (state = 0; state < LEASE_STATES; state++) {
        out->leases[state] = core->state_count[state];
    }
    out->is_draining = core->is_draining || core->is_stopping;
    out->is_stopping = core->is_stopping;
    out->bypass_until_ms = core->bypass_until_ms;
}
