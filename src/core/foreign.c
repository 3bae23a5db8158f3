/* foreign.c - somebody outside holds a device by its visible key.
 *
 * A program that knows nothing of us takes the key of a device and is
 * respected: it counts as an exclusive holder whose VRAM nobody has leased.
 * Whether the key is free is known only when a grant goes to take it, after
 * the grant was stored.  A grant that found it taken was told to nobody, and
 * goes back where it came from: its waiter has its place, its class its turn,
 * and the numbers of the token are spent.
 */
#include "core/parts.h"

enum {
    GRANT_FLAGS = CORE_ROW_BYPASSED | CORE_ROW_UNCHECKED | CORE_ROW_ADVISORY
};

/* Take back what @lease was charged: nobody has used it. */
static void vacate(struct core *core, struct lease *lease)
{
    uint32_t i;

    device_soil(core, lease);
    device_discharge(core, lease, true);
    for (i = 0; i < lease->row.gpus; i++) {
        lease->seats[i].share = (struct core_share){0};
    }
    lease->row.granted = 0;
    lease->row.charge_mib = 0;
    lease->row.footprint_mib = 0;
    lease->row.shares = NULL;
}

/* Send @lease back to the waiters; @ref is the connection that waits, or 0. */
static void to_waiters(struct core *core, struct lease *lease, uint64_t ref)
{
    core->stats.grants--;
    lease->class->grants--;
    lease->is_counted = true;
    vacate(core, lease);
    lease->row.token = 0;
    lease->row.token_before = 0;
    lease->row.granted_at_ms = 0;
    /* A waiter has a place where a holder has its history. */
    lease->heard_at_ms = 0;
    lease->renewed_at_ms = 0;
    lease->run_at_ms = 0;
    lease->acked_at_ms = 0;
    lease->rung_by_ms = 0;
    lease->requester = 0;
    lease->place = (struct rank_node){0};
    lease->ref = ref;
    lease->expires_at_ms = lease->wait_until_ms;
    if (lease_is_attended(lease)) {
        lease_move(core, lease, LEASE_QUEUED);
    } else {
        lease_move(core, lease, LEASE_AWAY);
    }
    waiter_deadline(core, lease);
}

/* Send @lease back to sleep: what was done to its processes is not undone yet,
 * and it keeps what it kept. */
static void to_sleepers(struct core *core, struct lease *lease)
{
    core->stats.resumes--;
    lease->row.token = lease->row.token_before;
    lease->row.token_before = 0;
    lease->requester = 0;
    lease->rung_by_ms = 0;
    if ((lease->row.flags & CORE_ROW_FROZEN) == 0) {
        device_soil(core, lease);
        device_charge_residue(core, lease, 0);
    }
    lease_move(core, lease, LEASE_PAUSED);
    lease->expires_at_ms = core->now_ms + lease->row.ttl_ms;
    holder_extend(core, lease);
}

static void take_back(struct core *core, struct lease *lease, uint64_t ref)
{
    bool was_first = lease->row.token_before == 0;

    lease->row.flags &= ~(uint32_t)GRANT_FLAGS;
    lease->row.rung = RUNG_NONE;
    if (was_first) {
        lease->row.first_granted_at_ms = 0;
        to_waiters(core, lease, ref);
    } else {
        to_sleepers(core, lease);
    }
    lease_touch(core, lease);
    if (was_first && lease->row.job == 0 && ref == 0) {
        lease_end(core, lease, CORE_REASON_GONE);
    }
}

/* Say whether the grant of @lease may be taken back, and whether that can be
 * done. */
static int check(struct core *core, const struct lease *lease)
{
    const struct core_lease_row *row = &lease->row;
    const struct core_request request = {
        .devices = row->devices, .gpus = row->gpus, .vram_mib = row->vram_mib};

    if (row->state != LEASE_HELD &&
        (row->state != LEASE_PAUSING || lease->acked_at_ms != 0)) {
        return E_STATE;
    }
    return row->token_before != 0 ? E_OK
                                  : queue_prepare(core, lease->class, &request);
}

int foreign_step(struct core *core, const struct core_event *event)
{
    struct lease *lease = NULL;
    uint32_t i;
    int rc;

    if (event->foreign.lease != 0) {
        rc = holder_find(core, event->foreign.lease, event->foreign.token,
                         &lease);
        rc = rc != E_OK ? rc : check(core, lease);
        if (rc != E_OK) {
            return rc;
        }
    }
    for (i = 0; i < core->config.device_count; i++) {
        core->devices[i].is_foreign =
            (event->foreign.devices & (1ull << i)) != 0;
    }
    if (lease != NULL) {
        take_back(core, lease, event->foreign.ref);
    }
    core->needs_pass = true;
    return E_OK;
}
