/* holder.c - what holders do, and what is done to them.
 *
 * A release ends a lease at once; what is taken back by force stays charged
 * (RECLAIMING) until a sample shows it gone or its settle time is over.  A
 * pause counts when it is measured, not when it is acknowledged.
 */
#include "core/parts.h"

#include <assert.h>

/* ---- Deadlines -------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint32_t holder_settle_ms(const struct core *core, const struct lease *lease)
{
    uint32_t most = 0;
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        uint32_t ms = core->config.devices[lease->seats[i].device].settle_ms;

        most = ms > most ? ms : most;
    }
    return most;
}

static bool is_connection(const struct lease *lease)
{
    return (lease->row.flags & CORE_ROW_BY_CONNECTION) != 0 && lease->ref != 0;
}

/* When the lease ends for want of a sign of life. */
static uint64_t life_ends(const struct core *core, const struct lease *lease)
{
    const struct service *service = lease->service;

    if (walk_stands_still(lease)) {
        return CORE_FOREVER; /* It cannot: we keep it from running. */
    }
    /* The last stream closed, and nothing was heard since: of the same
     * millisecond the order is not known, and late is safe. */
    if (service->lost_at_ms != 0 && lease->heard_at_ms < service->lost_at_ms &&
        !is_connection(lease)) {
        return earlier(lease->expires_at_ms,
                       service->lost_at_ms + core->config.stream_grace_ms);
    }
    return lease->expires_at_ms;
}

void holder_extend(struct core *core, struct lease *lease)
{
    uint64_t at = life_ends(core, lease);

    switch ((enum lease_state)lease->row.state) {
    case LEASE_HELD:
        if (walk_is_undoing(lease)) {
            at = lease->rung_by_ms;
        } else if (lease->row.max_hold_ms != 0) {
            at = earlier(at, lease->row.granted_at_ms + lease->row.max_hold_ms);
        }
        break;
    case LEASE_PAUSING:
        if (lease->acked_at_ms == 0) {
            at = earlier(at, lease->rung_by_ms);
        } else {
            at = lease->acked_at_ms + holder_settle_ms(core, lease);
            at = at < lease->rung_by_ms ? lease->rung_by_ms : at;
        }
        break;
    case LEASE_RECLAIMING:
        if (walk_is_over(lease)) {
            /* Nobody was told it: a reload changes it where it runs. */
            lease->rung_by_ms =
                lease->rung_at_ms + holder_settle_ms(core, lease);
        }
        at = lease->rung_by_ms;
        break;
    case LEASE_CLEARING:
    case LEASE_PAUSED:
        break;
    case LEASE_AWAY:
    case LEASE_QUEUED:
    case LEASE_ENDED:
    case LEASE_STATES:
        assert(0 && "not a holder");
    }
    lease_deadline(core, lease, at);
}

/* ---- Giving back ------------------------------------------------------ */

/* Keep the seats of @lease warm for the next request of its service. */
static void linger(struct core *core, const struct lease *lease)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        struct device *device = &core->devices[lease->seats[i].device];

        device->linger_until_ms = core->now_ms + lease->class->config.linger_ms;
        device->linger_service = lease->row.service;
        device->linger_priority = lease_priority(lease);
    }
}

/* End a lease whose holder has left in peace. */
static void
give_back(struct core *core, struct lease *lease, enum core_reason reason)
{
    if (lease_holds(lease) && lease->class->config.linger_ms > 0 &&
        reason == CORE_REASON_RELEASED) {
        linger(core, lease);
    }
    walk_let_go(core, lease);
    device_soil(core, lease);
    device_discharge(core, lease, true);
    lease_end(core, lease, reason);
}

void holder_reclaimed(struct core *core, struct lease *lease)
{
    uint32_t i;

    device_discharge(core, lease, false);
    for (i = 0; i < lease->row.gpus; i++) {
        account_disown(&core->devices[lease->seats[i].device]);
    }
    lease_end(core, lease, (enum core_reason)lease->reason);
}

static void
say_revoked(struct core *core, struct lease *lease, enum core_reason reason)
{
    struct core_message *message = core_say(core, CORE_MSG_REVOKE, lease);

    message->reason = reason;
    message->ref = lease->ref;
    core->stats.expiries += reason == CORE_REASON_EXPIRED;
    core->stats.revocations += reason != CORE_REASON_GONE;
}

/* Say whether @lease sleeps with its VRAM. */
static bool has_vram(const struct core *core, const struct lease *lease)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        if (device_is_frozen(&core->devices[lease->seats[i].device], lease)) {
            return true;
        }
    }
    return false;
}

void holder_reclaim(struct core *core,
                    struct lease *lease,
                    enum core_reason reason)
{
    enum rung after = lease->row.state == LEASE_PAUSING
                          ? (enum rung)lease->row.rung
                          : RUNG_NONE;

    say_revoked(core, lease, reason);
    /* The job's name is free for a new lease from here on. */
    if (lease->row.job != 0) {
        (void)idmap_remove(&core->jobs, lease->row.service, lease->row.job);
    }
    lease->reason = (uint8_t)reason;
    lease->row.flags &= ~(uint32_t)CORE_ROW_REASON;
    lease->row.flags |= (uint32_t)reason << CORE_ROW_REASON_SHIFT;
    lease->ref = 0;
    device_soil(core, lease);
    if (lease_is_sleeper(lease) && !has_vram(core, lease)) {
        lease->row.flags |= CORE_ROW_ASLEEP;
    }
    lease_move(core, lease, LEASE_RECLAIMING);
    lease_touch(core, lease);
    core->needs_pass = true;
    if (reason == CORE_REASON_GONE) {
        walk_end(core, lease);
    } else {
        walk_force(core, lease, after);
    }
}

void holder_take_back(struct core *core,
                      struct lease *lease,
                      enum core_reason reason)
{
    bool is_forced = reason != CORE_REASON_GONE && walk_has_force(lease);

    if (lease_holds(lease) || is_forced || has_vram(core, lease)) {
        holder_reclaim(core, lease, reason);
    } else {
        say_revoked(core, lease, reason);
        give_back(core, lease, reason);
    }
}

/* ---- Settling --------------------------------------------------------- */

static bool try_paused(struct core *core, struct lease *lease)
{
    if (lease->acked_at_ms == 0 || lease->is_moving ||
        !device_is_clear_of(core, lease, lease->kept_mib, lease->acked_at_ms)) {
        return false;
    }
    device_charge_residue(core, lease, lease->kept_mib);
    lease->row.rung = RUNG_NONE;
    lease_move(core, lease, LEASE_PAUSED);
    lease_touch(core, lease);
    holder_extend(core, lease);
    core->stats.acks++;
    core->needs_pass = true;
    return true;
}

void holder_settle(struct core *core)
{
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &core->states[LEASE_PAUSING]) {
        if (core_has_room(core)) {
            (void)try_paused(core, CONTAINER_OF(at, struct lease, state_link));
        }
    }
    LIST_EACH_SAFE (at, after, &core->states[LEASE_RECLAIMING]) {
        struct lease *lease = CONTAINER_OF(at, struct lease, state_link);

        if (core_has_room(core)) {
            (void)walk_settle(core, lease);
        }
    }
}

/* ---- Events ----------------------------------------------------------- */

static bool was_taken_back(enum core_reason reason)
{
    switch (reason) {
    case CORE_REASON_NONE: /* Taken back before a restart, by a version whose
                              rows kept no reason. */
    case CORE_REASON_EXPIRED:
    case CORE_REASON_MAX_HOLD:
    case CORE_REASON_PAUSE_LATE:
    case CORE_REASON_PAUSE_FAILED:
    case CORE_REASON_OPERATOR:
    case CORE_REASON_PREEMPTED:
    case CORE_REASON_RESTORE_FAILED:
        return true;
    case CORE_REASON_RELEASED:
    case CORE_REASON_CANCELLED:
    case CORE_REASON_TIMEOUT:
    case CORE_REASON_GONE:
    case CORE_REASON_AWAY:
    case CORE_REASON_DRAINING:
    case CORE_REASONS:
        break;
    }
    return false;
}

/* What a call about an ended lease is told. */
static int say_ended(const struct core *core, uint64_t id, uint64_t token)
{
    const struct ended *ended = core_ended(core, id);

    if (ended == NULL) {
        return E_NOT_FOUND;
    }
    if (ended->token != token) {
        return E_STALE;
    }
    return was_taken_back(ended->reason) ? E_REVOKED : E_ENDED;
}

int holder_find(struct core *core,
                uint64_t id,
                uint64_t token,
                struct lease **out)
{
    struct lease *lease = lease_find(core, id);

    core->about = id;
    if (lease == NULL) {
        return say_ended(core, id, token);
    }
    if (lease_is_waiter(lease)) {
        return E_STATE;
    }
    if (lease->row.token != token) {
        return E_STALE;
    }
    *out = lease;
    return E_OK;
}

/* Find the granted lease that its holder speaks for. */
static int
find_granted(struct core *core, uint64_t id, uint64_t token, struct lease **out)
{
    int rc = holder_find(core, id, token, out);

    return rc == E_OK && (*out)->row.state == LEASE_RECLAIMING ? E_REVOKED : rc;
}

int holder_release(struct core *core, const struct core_event *event)
{
    struct lease *lease = NULL;
    int rc =
        find_granted(core, event->release.lease, event->release.token, &lease);

    if (rc == E_ENDED) {
        core->is_repeat = true;
        return E_OK;
    }
    if (rc != E_OK) {
        return rc;
    }
    give_back(core, lease, CORE_REASON_RELEASED);
    return E_OK;
}

int holder_renew(struct core *core, const struct core_event *event)
{
    struct lease *lease = lease_find(core, event->renew.lease);
    uint32_t ttl_ms = event->renew.ttl_ms;
    int rc;

    /* The answer to the token just before is the resume that it missed. */
    if (lease != NULL && !lease_is_waiter(lease) &&
        lease->row.state != LEASE_RECLAIMING &&
        event->renew.token == lease->row.token_before &&
        lease->row.token_before != 0) {
        core->about = lease->row.id;
        core->is_repeat = true;
        return E_OK;
    }
    rc = find_granted(core, event->renew.lease, event->renew.token, &lease);
    if (rc != E_OK) {
        return rc;
    }
    if (ttl_ms != 0 && ttl_ms != lease->row.ttl_ms) {
        lease->row.ttl_ms = ttl_ms;
        lease_touch(core, lease);
    }
    /* Whoever polls can now be asked to pause. */
    if (!lease_can_hear(core, lease)) {
        core->needs_pass = true;
    }
    lease->heard_at_ms = core->now_ms;
    lease->renewed_at_ms = core->now_ms;
    lease->expires_at_ms = core->now_ms + lease->row.ttl_ms;
    holder_extend(core, lease);
    return E_OK;
}

/* The holder could not, or not enough: of a rung that is past that is known. */
static void ack_failed(struct core *core, struct lease *lease)
{
    if (lease->row.rung == RUNG_ASK) {
        walk_pause_next(core, lease, CORE_REASON_PAUSE_FAILED);
    } else {
        core->is_repeat = true;
    }
}

static void ack_paused(struct core *core, struct lease *lease, uint32_t kept)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        if (kept > core->config.devices[lease->seats[i].device].residue_mib) {
            ack_failed(core, lease);
            return;
        }
    }
    holder_acked(core, lease, kept);
}

void holder_acked(struct core *core, struct lease *lease, uint32_t kept)
{
    lease->acked_at_ms = core->now_ms;
    lease->kept_mib = kept;
    /* Samples settle pauses in the order of their acks. */
    list_remove(&lease->state_link);
    list_append(&core->states[LEASE_PAUSING], &lease->state_link);
    device_soil(core, lease);
    if (!try_paused(core, lease)) {
        holder_extend(core, lease);
    }
}

int holder_ack(struct core *core, const struct core_event *event)
{
    struct lease *lease = NULL;
    enum lease_state state;
    int rc = find_granted(core, event->ack.lease, event->ack.token, &lease);

    if (rc != E_OK) {
        return rc;
    }
    state = (enum lease_state)lease->row.state;
    switch (event->ack.action) {
    case CORE_ACK_PAUSED:
        if (state == LEASE_HELD) {
            return E_STATE;
        }
        core->is_repeat = state != LEASE_PAUSING || lease->acked_at_ms != 0;
        if (!core->is_repeat) {
            ack_paused(core, lease, event->ack.vram_mib);
        }
        break;
    case CORE_ACK_RESUMED:
        if (state != LEASE_HELD) {
            return E_STATE;
        }
        lease->run_at_ms = core->now_ms;
        break;
    case CORE_ACK_ERROR:
        if (state != LEASE_PAUSING) {
            return E_STATE;
        }
        ack_failed(core, lease);
        break;
    }
    core->needs_pass = true;
    return E_OK;
}

int holder_process_gone(struct core *core, const struct core_event *event)
{
    struct lease *lease = lease_find(core, event->process_gone.lease);

    core->about = event->process_gone.lease;
    if (lease == NULL) {
        return E_NOT_FOUND;
    }
    if (lease_is_waiter(lease)) {
        /* Its connection may outlive the process, and waits for an answer. */
        waiter_refuse(core, lease, E_ENDED, CORE_REASON_GONE, false);
    } else if (lease->row.state == LEASE_RECLAIMING) {
        walk_gone(core, lease);
    } else {
        holder_take_back(core, lease, CORE_REASON_GONE);
    }
    return E_OK;
}

void holder_leave(struct core *core, struct lease *lease)
{
    if (lease->row.state != LEASE_RECLAIMING) {
        give_back(core, lease, CORE_REASON_GONE);
    }
}

void holder_cancel(struct core *core, struct lease *lease)
{
    give_back(core, lease, CORE_REASON_CANCELLED);
}

/* ---- Time ------------------------------------------------------------- */

static void held_due(struct core *core, struct lease *lease)
{
    bool is_lenient = bypass_is_lenient(core);
    bool is_over =
        lease->row.max_hold_ms != 0 &&
        core->now_ms >= lease->row.granted_at_ms + lease->row.max_hold_ms;

    if (walk_is_undoing(lease)) {
        holder_reclaim(core, lease, CORE_REASON_RESTORE_FAILED);
        return;
    }
    if (is_lenient && is_over) {
        /* Under bypass nobody is revoked for having been long. */
        lease_deadline(core, lease, life_ends(core, lease));
        if (lease->deadline_at_ms > core->now_ms) {
            return;
        }
    }
    if (is_lenient) {
        give_back(core, lease, CORE_REASON_EXPIRED);
    } else if (is_over) {
        holder_reclaim(core, lease, CORE_REASON_MAX_HOLD);
    } else {
        holder_reclaim(core, lease, CORE_REASON_EXPIRED);
    }
}

static void pausing_due(struct core *core, struct lease *lease)
{
    bool has_lapsed = core->now_ms >= life_ends(core, lease);

    if (bypass_is_lenient(core)) {
        if (has_lapsed) {
            give_back(core, lease, CORE_REASON_EXPIRED);
        } else {
            lease->rung_by_ms = core->now_ms + lease->row.pause_grace_ms;
            holder_extend(core, lease);
        }
    } else if (has_lapsed && lease->acked_at_ms == 0) {
        holder_reclaim(core, lease, CORE_REASON_EXPIRED);
    } else {
        walk_pause_next(core, lease, CORE_REASON_PAUSE_LATE);
    }
}

void holder_due(struct core *core, struct lease *lease)
{
    if (is_connection(lease) && core->now_ms >= lease->expires_at_ms) {
        /* The open connection is the sign of life. */
        lease->expires_at_ms = core->now_ms + lease->row.ttl_ms;
        holder_extend(core, lease);
        if (lease->deadline_at_ms > core->now_ms) {
            return;
        }
    }
    if (walk_due(core, lease)) {
        return;
    }
    switch ((enum lease_state)lease->row.state) {
    case LEASE_HELD:
        held_due(core, lease);
        break;
    case LEASE_PAUSING:
        pausing_due(core, lease);
        break;
    case LEASE_RECLAIMING:
        holder_reclaimed(core, lease);
        break;
    case LEASE_CLEARING:
    case LEASE_PAUSED:
        if (bypass_is_lenient(core)) {
            give_back(core, lease, CORE_REASON_EXPIRED);
        } else {
            holder_take_back(core, lease, CORE_REASON_EXPIRED);
        }
        break;
    case LEASE_AWAY:
    case LEASE_QUEUED:
    case LEASE_ENDED:
    case LEASE_STATES:
        assert(0 && "not a holder");
    }
}
