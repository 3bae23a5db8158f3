/* replay.c - the state back from the store, and the state as text.
 *
 * What a restart loses is only what it must: connections, streams and samples.
 * So every waiter comes back AWAY, every resume that was being cleared PAUSED,
 * every pause unacknowledged, and live leases get their full TTL from now.
 */
#include "core/parts.h"

/* ---- Restore ---------------------------------------------------------- */

/* Say whether the rung of a row is one that its state walks: it is begun once
 * more, so a damaged one would end somebody who was to pause. */
static bool is_rung_sane(const struct core_lease_row *row)
{
    enum rung rung = (enum rung)row->rung;

    if (rung >= RUNGS) {
        return false;
    }
    return rung == RUNG_NONE ||
           ((row->state != LEASE_PAUSING || rung_pauses(rung)) &&
            (row->state != LEASE_RECLAIMING || rung_reclaims(rung)));
}

static enum core_reason reason_of(const struct core_lease_row *row)
{
    return (enum core_reason)((row->flags & CORE_ROW_REASON) >>
                              CORE_ROW_REASON_SHIFT);
}

static bool is_sane(const struct core *core, const struct core_lease_row *row)
{
    uint64_t all = core_all_devices(core);
    bool granted = row->first_granted_at_ms != 0;

    return row->id != 0 && row->service != 0 && row->state < LEASE_ENDED &&
           row->class_id < CORE_PRIORITIES + core->config.class_count &&
           row->gpus >= 1 && row->gpus <= CORE_DEVICES_MAX &&
           (row->devices & ~all) == 0 && (row->granted & ~all) == 0 &&
           row->ttl_ms != 0 && lease_find(core, row->id) == NULL &&
           granted == (row->granted != 0) &&
           (!granted ||
            (uint32_t)__builtin_popcountll(row->granted) == row->gpus) &&
           (granted || row->state <= LEASE_CLEARING) &&
           (row->rungs == 0 || ladder_is_packed(row->rungs)) &&
           reason_of(row) < CORE_REASONS && is_rung_sane(row);
}

/* The state a row comes back in. */
static enum lease_state state_after(const struct core_lease_row *row)
{
    switch ((enum lease_state)row->state) {
    case LEASE_HELD:
    case LEASE_PAUSING:
    case LEASE_RECLAIMING:
        return (enum lease_state)row->state;
    case LEASE_AWAY:
    case LEASE_QUEUED:
    case LEASE_CLEARING:
    case LEASE_PAUSED:
    case LEASE_ENDED:
    case LEASE_STATES:
        break;
    }
    return row->first_granted_at_ms != 0 ? LEASE_PAUSED : LEASE_AWAY;
}

/* Take up the numbers and the job of a row. */
static void adopt(struct core *core, struct lease *lease)
{
    const struct core_lease_row *row = &lease->row;

    idmap_put(&core->leases, 0, row->id, lease);
    if (row->job != 0 && row->state != LEASE_RECLAIMING &&
        idmap_find(&core->jobs, row->service, row->job) == NULL) {
        idmap_put(&core->jobs, row->service, row->job, lease);
    }
    if (row->seq >= core->next_seq) {
        core->next_seq = row->seq + 1;
    }
    if (row->id >= core->next_number) {
        core->next_number = row->id + 1;
    }
    if (row->token >= core->next_number) {
        core->next_number = row->token + 1;
    }
}

static void restore_times(struct core *core, struct lease *lease)
{
    if (lease_is_waiter(lease)) {
        lease->expires_at_ms =
            lease->row.timeout_ms >= CORE_FOREVER - core->now_ms
                ? CORE_FOREVER
                : core->now_ms + lease->row.timeout_ms;
        waiter_deadline(core, lease);
    } else {
        lease->run_at_ms = core->now_ms;
        walk_restore(core, lease);
        lease->expires_at_ms = core->now_ms + lease->row.ttl_ms;
        holder_extend(core, lease);
    }
}

static int restore_lease(struct core *core, const struct core_lease_row *row)
{
    struct core_request kind = {.service = row->service,
                                .class_id = row->class_id,
                                .job = row->job,
                                .devices = row->devices,
                                .gpus = row->gpus,
                                .vram_mib = row->vram_mib};
    struct lease *lease;
    int rc;

    if (!is_sane(core, row)) {
        return E_INVALID;
    }
    lease = lease_prepare(core, &kind, &rc);
    if (lease == NULL) {
        return rc;
    }
    lease->row = *row;
    lease->row.state = (uint8_t)state_after(row);
    lease->row.rungs = row->rungs == 0 ? LADDER_DEFAULT : row->rungs;
    lease->reason = (uint8_t)reason_of(row);
    lease->is_stored = true;
    adopt(core, lease);
    lease_enter(core, lease);
    lease->row.shares = NULL;
    if (row->granted != 0) {
        lease->row.shares = row->shares;
        device_charge_again(core, lease);
        device_soil(core, lease);
    }
    restore_times(core, lease);
    core->about = row->id;
    return E_OK;
}

static int restore_class(struct core *core, const struct core_class_row *row)
{
    if (row->class_id >= CORE_PRIORITIES + core->config.class_count) {
        return E_INVALID;
    }
    core->classes[row->class_id].credit = row->credit;
    core->classes[row->class_id].consecutive = row->consecutive;
    policy_bound(&core->classes[row->class_id]);
    return E_OK;
}

static int restore_mode(struct core *core, const struct core_mode_row *row)
{
    uint32_t i;

    for (i = 0; i < core->config.device_count; i++) {
        core->devices[i].is_drained = (row->drained & (1ull << i)) != 0;
    }
    core->is_draining = row->is_draining;
    core->bypass_until_ms = row->bypass_until_ms;
    return E_OK;
}

int replay_restore(struct core *core, const struct core_event *event)
{
    core->needs_pass = true;
    switch (event->restore.type) {
    case CORE_RECORD_LEASE:
        return restore_lease(core, &event->restore.lease);
    case CORE_RECORD_CLASS:
        return restore_class(core, &event->restore.class_row);
    case CORE_RECORD_MODE:
        return restore_mode(core, &event->restore.mode);
    case CORE_RECORD_LEASE_END:
    case CORE_RECORDS:
        break;
    }
    return E_INVALID;
}

struct core_mode_row replay_mode(const struct core *core)
{
    struct core_mode_row row = {
        .bypass_until_ms = core->bypass_until_ms,
        .is_draining = core->is_draining,
    };
    uint32_t i;

    for (i = 0; i < core->config.device_count; i++) {
        row.drained |= (uint64_t)core->devices[i].is_drained << i;
    }
    return row;
}

/* ---- Dump ------------------------------------------------------------- */

static void dump_lease(const struct lease *lease, struct buf *out)
{
    const struct core_lease_row *row = &lease->row;
    const char *state = lease_is_waiter(lease) ? "waiting"
                        : lease_is_sleeper(lease)
                            ? "paused"
                            : lease_state_name((enum lease_state)row->state);
    uint32_t i;

    buf_printf(out,
               "lease %llu token %llu before %llu seq %llu %s service %u job "
               "%llu class %u vram %u gpus %u devices %llx granted %llx "
               "charge %u footprint %u ttl %u grace %u hold %u timeout %llu "
               "submitted %llu granted %llu first %llu flags %x rungs %x %u",
               (unsigned long long)row->id, (unsigned long long)row->token,
               (unsigned long long)row->token_before,
               (unsigned long long)row->seq, state, row->service,
               (unsigned long long)row->job, row->class_id, row->vram_mib,
               row->gpus, (unsigned long long)row->devices,
               (unsigned long long)row->granted, row->charge_mib,
               row->footprint_mib, row->ttl_ms, row->pause_grace_ms,
               row->max_hold_ms, (unsigned long long)row->timeout_ms,
               (unsigned long long)row->submitted_at_ms,
               (unsigned long long)row->granted_at_ms,
               (unsigned long long)row->first_granted_at_ms, row->flags,
               row->rungs, row->rung);
    for (i = 0; row->shares != NULL && i < row->gpus; i++) {
        buf_printf(out, " %u/%u", row->shares[i].charge_mib,
                   row->shares[i].footprint_mib);
    }
    buf_byte(out, '\n');
}

/* Print the stored leases by id. */
static void dump_leases(const struct core *core, struct buf *out)
{
    struct heap heap;
    struct heap_node *nodes;
    uint32_t count = (uint32_t)idmap_count(&core->leases);
    uint32_t used = 0;
    uint32_t state;

    heap_init(&heap, &core->alloc);
    nodes =
        core->alloc.resize(core->alloc.arg, NULL, (count + 1) * sizeof *nodes);
    if (nodes == NULL || heap_reserve(&heap, count + 1) != E_OK) {
        out->error = E_NOMEM;
        core->alloc.release(core->alloc.arg, nodes);
        return;
    }
    for (state = 0; state < LEASE_STATES; state++) {
        const struct list *at;

        LIST_EACH (at, &core->states[state]) {
            const struct lease *lease =
                CONTAINER_OF(at, struct lease, state_link);

            if (lease->is_stored) {
                nodes[used] = (struct heap_node){0};
                heap_set(&heap, &nodes[used++], lease->row.id, 0);
            }
        }
    }
    while (heap_first(&heap) != NULL) {
        const struct heap_entry first = *heap_first(&heap);

        dump_lease(lease_find(core, first.key), out);
        heap_remove(&heap, first.node);
    }
    heap_release(&heap);
    core->alloc.release(core->alloc.arg, nodes);
}

void core_dump(const struct core *core, struct buf *out)
{
    struct core_mode_row mode = replay_mode(core);
    uint32_t i;

    dump_leases(core, out);
    for (i = 0; i < CORE_PRIORITIES + core->config.class_count; i++) {
        const struct class *class = &core->classes[i];

        if (class->credit != 0 || class->consecutive != 0) {
            buf_printf(out, "class %u credit %lld consecutive %u\n", i,
                       (long long)class->credit, class->consecutive);
        }
    }
    if (mode.bypass_until_ms != 0 || mode.drained != 0 || mode.is_draining) {
        buf_printf(out, "mode bypass %llu drained %llx draining %d\n",
                   (unsigned long long)mode.bypass_until_ms,
                   (unsigned long long)mode.drained, mode.is_draining);
    }
}
