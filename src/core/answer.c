/* answer.c - what came of a rung, as whoever carried it out says.
 *
 * Answers may be late, doubled, or about rungs that are past: the table in
 * docs/decisions/0004-the-ladder.md says for each state what they do.
 */
#include "core/walk.h"

static void answer_undo(struct core *core,
                        struct lease *lease,
                        enum rung rung,
                        enum rung_result result)
{
    bool held = walk_is_undoing(lease);
    bool has_moved = rung == RUNG_CHECKPOINT && walk_moved(core, lease);
    bool reclaims = lease->row.state == LEASE_RECLAIMING;
    bool is_late = reclaims && has_moved && result == RUNG_OK;

    if ((lease->row.flags & walk_flag(rung)) == 0 ||
        (!held && !is_late && (!reclaims || rung != RUNG_FREEZE))) {
        core->is_repeat = true;
    } else if (result != RUNG_FAILED) {
        walk_clear(core, lease, walk_flag(rung));
        if (held) {
            walk_go_on(core, lease);
        }
    } else if (held) {
        holder_reclaim(core, lease, CORE_REASON_RESTORE_FAILED);
    }
    if (has_moved && reclaims) {
        walk_settle_now(core, lease);
    }
}

/* What a freeze or a checkpoint has come to, whenever that is said: the flag
 * follows it, so that nobody is forgotten. */
static void note_still(struct core *core,
                       struct lease *lease,
                       enum rung rung,
                       enum rung_result result)
{
    uint32_t flag = walk_flag(rung);
    bool was_still = (lease->row.flags & flag) != 0;

    if ((result == RUNG_OK) == was_still) {
        return;
    }
    if (result == RUNG_OK) {
        lease->row.flags |= flag;
        lease_touch(core, lease);
        if (lease->row.state == LEASE_RECLAIMING) {
            walk_say_undo(core, lease, flag & CORE_ROW_FROZEN);
        }
    } else {
        walk_clear(core, lease, flag);
    }
    walk_go_on(core, lease);
}

/* The present rung of @lease, PAUSING, has done its part. */
static void rung_done(struct core *core, struct lease *lease)
{
    switch (walk_begun(lease)) {
    case RUNG_UNLOAD:
    case RUNG_CHECKPOINT:
        if (lease->acked_at_ms == 0) {
            holder_acked(core, lease, 0);
        }
        break;
    case RUNG_FREEZE:
        /* It keeps its VRAM, and is charged for it. */
        lease->row.rung = RUNG_NONE;
        lease_move(core, lease, LEASE_PAUSED);
        lease_touch(core, lease);
        holder_extend(core, lease);
        core->needs_pass = true;
        break;
    case RUNG_ASK: /* It was passed on; the holder itself will say. */
    case RUNG_NONE:
    case RUNG_TERM:
    case RUNG_KILL:
    case RUNG_RESTART:
    case RUNGS:
        break;
    }
}

static void answer_pausing(struct core *core,
                           struct lease *lease,
                           enum rung rung,
                           enum rung_result result)
{
    bool has_moved = rung == RUNG_CHECKPOINT && walk_moved(core, lease);

    if (rung_needs_undo(rung)) {
        note_still(core, lease, rung, result);
    }
    if (lease->row.rung != rung) {
        core->is_repeat = true;
    } else if (has_moved && lease->acked_at_ms != 0) {
        /* The holder did it itself; from here on that can be measured. */
        holder_acked(core, lease, lease->kept_mib);
    } else if (result == RUNG_OK) {
        rung_done(core, lease);
    } else if (lease->acked_at_ms != 0) {
        holder_extend(core, lease); /* The holder did it itself. */
    } else {
        bool keeps = result == RUNG_SKIPPED && lease->reason != 0;

        walk_pause_next(core, lease,
                        keeps ? (enum core_reason)lease->reason
                              : CORE_REASON_PAUSE_FAILED);
    }
}

static void answer_force(struct core *core,
                         struct lease *lease,
                         enum rung rung,
                         enum rung_result result)
{
    bool is_watched = (lease->row.flags & CORE_ROW_WATCHED) != 0;
    bool has_moved = rung == RUNG_CHECKPOINT && walk_moved(core, lease);

    if (rung_needs_undo(rung)) {
        note_still(core, lease, rung, result);
    }
    if (lease->row.rung != rung || walk_is_over(lease)) {
        core->is_repeat = true;
        if (has_moved) {
            walk_settle_now(core, lease);
        }
    } else if (result != RUNG_OK) {
        walk_force_on(core, lease, rung);
        walk_settle_now(core, lease);
    } else if (!device_is_measured(core, lease) &&
               (rung == RUNG_UNLOAD || !is_watched)) {
        /* Nothing else will ever tell. */
        lease->acked_at_ms = core->now_ms;
        walk_settle_now(core, lease);
    }
}

int answer_rung(struct core *core, const struct core_event *event)
{
    struct lease *lease = NULL;
    enum rung rung = event->rung.rung;
    int rc;

    if (rung <= RUNG_NONE || rung >= RUNGS ||
        event->rung.result >= RUNG_RESULTS) {
        return E_INVALID;
    }
    rc = holder_find(core, event->rung.lease, event->rung.token, &lease);
    if (rc != E_OK) {
        return rc;
    }
    if (event->rung.is_undo) {
        answer_undo(core, lease, rung, event->rung.result);
        return E_OK;
    }
    switch ((enum lease_state)lease->row.state) {
    case LEASE_PAUSING:
        answer_pausing(core, lease, rung, event->rung.result);
        break;
    case LEASE_RECLAIMING:
        answer_force(core, lease, rung, event->rung.result);
        break;
    case LEASE_CLEARING:
    case LEASE_PAUSED:
        if (rung_needs_undo(rung)) {
            note_still(core, lease, rung, event->rung.result);
        }
        core->is_repeat = true;
        break;
    case LEASE_AWAY:
    case LEASE_QUEUED:
    case LEASE_HELD:
    case LEASE_ENDED:
    case LEASE_STATES:
        core->is_repeat = true;
        break;
    }
    return E_OK;
}

/* ---- Hands ------------------------------------------------------------ */

int answer_thaw(struct core *core, struct lease *lease)
{
    if (lease_is_waiter(lease) || !walk_stands_still(lease)) {
        return E_STATE;
    }
    lease->row.flags &= ~(uint32_t)CORE_ROW_OPERATOR_PAUSED;
    /* One that was frozen keeps its flag with its VRAM, until its resume. */
    walk_clear(core, lease,
               lease_is_sleeper(lease) ? CORE_ROW_CHECKPOINTED : WALK_STILL);
    walk_go_on(core, lease);
    core->needs_pass = true;
    return E_OK;
}

int answer_watch(struct core *core, const struct core_event *event)
{
    struct lease *lease = lease_find(core, event->watch.lease);

    core->about = event->watch.lease;
    if (lease == NULL) {
        return E_NOT_FOUND;
    }
    if (event->watch.is_watched) {
        lease->row.flags |= CORE_ROW_WATCHED;
        lease_touch(core, lease);
    } else {
        walk_clear(core, lease, CORE_ROW_WATCHED);
    }
    return E_OK;
}
