/* walk.c - a lease on its ladder (docs/decisions/0004-the-ladder.md).
 *
 * PAUSING walks the rungs that make room and leave the holder alive; what is
 * taken back by force (RECLAIMING) walks the others, and ends when its VRAM is
 * measured free, or after the last rung.  The row says which rung was begun
 * before the message that begins it leaves, so that a coordinator that starts
 * again begins it again; RESTART alone is never begun twice.  Who is frozen or
 * checkpointed is flagged before it is done, until it is known to be undone.
 */
#include "core/walk.h"

#include <assert.h>

bool walk_stands_still(const struct lease *lease)
{
    return (lease->row.flags & WALK_STILL) != 0;
}

bool walk_is_undoing(const struct lease *lease)
{
    return lease->row.state == LEASE_HELD && walk_stands_still(lease);
}

uint32_t walk_flag(enum rung rung)
{
    if (rung == RUNG_FREEZE) {
        return CORE_ROW_FROZEN;
    }
    return rung == RUNG_CHECKPOINT ? CORE_ROW_CHECKPOINTED : 0;
}

void walk_clear(struct core *core, struct lease *lease, uint32_t flag)
{
    lease->row.flags &= ~flag;
    lease_touch(core, lease);
}

enum rung walk_begun(const struct lease *lease)
{
    return (enum rung)lease->row.rung;
}

enum rung walk_rung(const struct lease *lease)
{
    bool is_past = lease->row.rung == RUNG_RESTART &&
                   (lease->row.flags & CORE_ROW_RESTARTED) == 0;

    return is_past ? RUNG_NONE : walk_begun(lease);
}

/* ---- Ladders ---------------------------------------------------------- */

/* The configured ladder with the rungs of @lease, its own if that still has
 * them; NULL, and where its request brought them. */
static const struct core_ladder *ladder_of(const struct core *core,
                                           const struct lease *lease)
{
    uint32_t own = lease->row.ladder;
    uint32_t i;

    if (own == 0) {
        return NULL;
    }
    if (own <= core->config.ladder_count &&
        ladder_pack(&core->config.ladders[own - 1]) == lease->row.rungs) {
        return &core->config.ladders[own - 1];
    }
    for (i = 0; i < core->config.ladder_count; i++) {
        if (ladder_pack(&core->config.ladders[i]) == lease->row.rungs) {
            return &core->config.ladders[i];
        }
    }
    return NULL;
}

static uint32_t
grace_ms(const struct core *core, const struct lease *lease, enum rung rung)
{
    const struct core_ladder *ladder = ladder_of(core, lease);

    if (rung == RUNG_ASK) {
        return lease->row.pause_grace_ms;
    }
    if (ladder == NULL && core->config.rung_grace_ms != 0) {
        return core->config.rung_grace_ms;
    }
    return ladder_grace_ms(ladder, rung);
}

uint32_t walk_pack(const struct core *core, uint32_t ladder)
{
    return ladder == 0 ? LADDER_DEFAULT
                       : ladder_pack(&core->config.ladders[ladder - 1]);
}

/* The next rung of a pause above @after: who needs room is not helped by a
 * freeze. */
static enum rung
next_pause(const struct lease *lease, enum rung after, bool makes_room)
{
    enum rung next = ladder_next_pause(lease->row.rungs, after);

    if (next == RUNG_FREEZE && makes_room) {
        next = ladder_next_pause(lease->row.rungs, next);
    }
    return next;
}

bool walk_can_pause(const struct lease *lease, bool makes_room)
{
    return next_pause(lease, RUNG_NONE, makes_room) != RUNG_NONE;
}

bool walk_has_force(const struct lease *lease)
{
    return ladder_next_reclaim(lease->row.rungs, RUNG_NONE) != RUNG_NONE;
}

/* ---- Beginning a rung ------------------------------------------------- */

static struct core_message *
say_rung(struct core *core, struct lease *lease, enum rung rung, bool is_undo)
{
    struct core_message *message = core_say(
        core, rung == RUNG_ASK ? CORE_MSG_PAUSE : CORE_MSG_RUNG, lease);

    message->rung = rung;
    message->is_undo = is_undo;
    message->deadline_at_ms = lease->rung_by_ms;
    return message;
}

static void begin(struct core *core, struct lease *lease, enum rung rung)
{
    lease->row.rung = (uint8_t)rung;
    lease->row.flags |= walk_flag(rung);
    lease->rung_at_ms = core->now_ms;
    lease->rung_by_ms = core->now_ms + grace_ms(core, lease, rung);
    lease->is_moving = lease->is_moving || rung == RUNG_CHECKPOINT;
    lease_touch(core, lease);
    core->stats.rungs[rung]++;
}

static void begin_pause(struct core *core, struct lease *lease, enum rung rung)
{
    struct core_message *message;

    begin(core, lease, rung);
    holder_extend(core, lease);
    message = say_rung(core, lease, rung, false);
    message->requester = lease->requester;
    message->release_mib = device_release_mib(core, lease);
}

/* ---- PAUSING ---------------------------------------------------------- */

void walk_pause(struct core *core,
                struct lease *lease,
                const struct lease *requester)
{
    enum rung first;

    lease->acked_at_ms = 0;
    lease->kept_mib = 0;
    lease->is_moving = false; /* Of an undo that a hand overtook. */
    lease->reason = CORE_REASON_NONE;
    lease->requester = requester == NULL ? 0 : requester->row.id;
    first = next_pause(lease, RUNG_NONE, requester != NULL);
    if (first == RUNG_NONE) {
        holder_reclaim(core, lease, CORE_REASON_PREEMPTED);
        return;
    }
    lease_move(core, lease, LEASE_PAUSING);
    begin_pause(core, lease, first);
    core->stats.pauses++;
}

void walk_pause_next(struct core *core,
                     struct lease *lease,
                     enum core_reason reason)
{
    enum rung next =
        next_pause(lease, walk_begun(lease), lease->requester != 0);

    lease->acked_at_ms = 0;
    lease->kept_mib = 0;
    lease->reason = (uint8_t)reason;
    if (core->bypass_until_ms != 0) {
        /* It is neither revoked nor is its pause withdrawn. */
        lease->rung_by_ms = core->now_ms + lease->row.pause_grace_ms;
        holder_extend(core, lease);
    } else if (next == RUNG_NONE) {
        holder_reclaim(core, lease, reason);
    } else {
        begin_pause(core, lease, next);
    }
}

/* ---- Going on after a freeze or a checkpoint -------------------------- */

void walk_say_undo(struct core *core, struct lease *lease, uint32_t flags)
{
    if ((lease->row.flags & flags & CORE_ROW_FROZEN) != 0) {
        (void)say_rung(core, lease, RUNG_FREEZE, true);
    }
    if ((lease->row.flags & flags & CORE_ROW_CHECKPOINTED) != 0) {
        (void)say_rung(core, lease, RUNG_CHECKPOINT, true);
    }
}

void walk_undo(struct core *core, struct lease *lease)
{
    enum rung rung = (lease->row.flags & CORE_ROW_CHECKPOINTED) != 0
                         ? RUNG_CHECKPOINT
                         : RUNG_FREEZE;

    assert(walk_is_undoing(lease));
    lease->row.rung = (uint8_t)rung;
    lease->rung_at_ms = core->now_ms;
    lease->rung_by_ms = core->now_ms + grace_ms(core, lease, rung);
    lease->is_moving = rung == RUNG_CHECKPOINT;
    lease_touch(core, lease);
    holder_extend(core, lease);
    walk_say_undo(core, lease, WALK_STILL);
}

void walk_go_on(struct core *core, struct lease *lease)
{
    if (walk_stands_still(lease)) {
        holder_extend(core, lease);
        return;
    }
    lease->expires_at_ms = core->now_ms + lease->row.ttl_ms;
    lease->heard_at_ms = core->now_ms;
    if (lease->row.state == LEASE_HELD) {
        lease->row.rung = RUNG_NONE;
        lease->run_at_ms = core->now_ms;
    }
    holder_extend(core, lease);
    core->needs_pass = true;
}

void walk_let_go(struct core *core, struct lease *lease)
{
    switch ((enum lease_state)lease->row.state) {
    case LEASE_PAUSING:
        /* What is still being done comes to nothing; what is done stays. */
        walk_say_undo(core, lease, WALK_STILL);
        lease->row.flags &= ~(uint32_t)WALK_STILL;
        break;
    case LEASE_CLEARING:
    case LEASE_PAUSED:
        walk_say_undo(core, lease, CORE_ROW_FROZEN);
        lease->row.flags &= ~(uint32_t)CORE_ROW_FROZEN;
        break;
    case LEASE_HELD:
        /* It was said at the resume, unless a restart came between; what
         * came of it will not be heard any more. */
        if (lease->rung_by_ms == 0) {
            walk_say_undo(core, lease, WALK_STILL);
        }
        break;
    case LEASE_AWAY:
    case LEASE_QUEUED:
    case LEASE_RECLAIMING:
    case LEASE_ENDED:
    case LEASE_STATES:
        break;
    }
}

enum rung walk_left(const struct lease *lease)
{
    if ((lease->row.flags & CORE_ROW_CHECKPOINTED) != 0) {
        return RUNG_CHECKPOINT;
    }
    return (lease->row.flags & CORE_ROW_FROZEN) != 0 ? RUNG_FREEZE : RUNG_NONE;
}

bool walk_moved(struct core *core, struct lease *lease)
{
    if (!lease->is_moving) {
        return false;
    }
    lease->is_moving = false;
    device_soil(core, lease); /* Samples until now may have missed it. */
    return true;
}

/* ---- RECLAIMING ------------------------------------------------------- */

bool walk_is_over(const struct lease *lease)
{
    return lease->row.rung == RUNG_RESTART;
}

/* Under bypass nobody else is ended, unless an operator wants it: of the rungs
 * from @next on only the restart of what has ended is left. */
static enum rung next_bypassed(const struct lease *lease, enum rung next)
{
    bool has_ended = lease->acked_at_ms != 0 || lease->row.rung == RUNG_TERM ||
                     lease->row.rung == RUNG_KILL;

    if (next == RUNG_NONE || lease->reason == CORE_REASON_OPERATOR) {
        return next;
    }
    return has_ended && ladder_has(lease->row.rungs, RUNG_RESTART)
               ? RUNG_RESTART
               : RUNG_NONE;
}

void walk_force_on(struct core *core, struct lease *lease, enum rung after)
{
    enum rung next = ladder_next_reclaim(lease->row.rungs, after);

    if (core->bypass_until_ms != 0) {
        next = next_bypassed(lease, next);
    }
    if (next == RUNG_NONE || next == RUNG_RESTART) {
        bool restarts = next == RUNG_RESTART &&
                        (lease->row.flags & CORE_ROW_RESTARTED) == 0;

        lease->row.rung = RUNG_RESTART;
        lease->rung_at_ms = core->now_ms;
        lease->rung_by_ms = core->now_ms + holder_settle_ms(core, lease);
        lease_touch(core, lease);
        if (restarts) {
            lease->row.flags |= CORE_ROW_RESTARTED;
            core->stats.rungs[RUNG_RESTART]++;
            (void)say_rung(core, lease, RUNG_RESTART, false);
        }
    } else {
        begin(core, lease, next);
        say_rung(core, lease, next, false)->release_mib =
            device_release_mib(core, lease);
    }
    holder_extend(core, lease);
}

/* Say whether the VRAM of @lease, RECLAIMING, need not be waited for any more,
 * from what is measured or known of its processes. */
static bool is_clear(const struct core *core, const struct lease *lease)
{
    bool may_live = lease->acked_at_ms == 0;

    if (may_live && lease->is_moving) {
        return false;
    }
    if (may_live && !device_is_measured(core, lease) &&
        (!walk_is_over(lease) || (lease->row.flags & CORE_ROW_WATCHED) != 0)) {
        return false;
    }
    return device_is_clear_of(core, lease, 0, lease->state_at_ms);
}

bool walk_settle(struct core *core, struct lease *lease)
{
    if (!is_clear(core, lease)) {
        return false;
    }
    if (!walk_is_over(lease)) {
        walk_force_on(core, lease, RUNG_KILL);
    }
    holder_reclaimed(core, lease);
    return true;
}

void walk_settle_now(struct core *core, struct lease *lease)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        if (core->devices[lease->seats[i].device].config.is_measured) {
            return;
        }
    }
    (void)walk_settle(core, lease);
}

void walk_force(struct core *core, struct lease *lease, enum rung after)
{
    lease->acked_at_ms = 0;
    walk_force_on(core, lease, after);
    /* Who is stopped cannot end; it does not hear the signal but keeps it. */
    walk_say_undo(core, lease, CORE_ROW_FROZEN);
    walk_settle_now(core, lease);
}

void walk_gone(struct core *core, struct lease *lease)
{
    bool is_revoked = !walk_is_over(lease);

    lease->acked_at_ms = core->now_ms;
    walk_clear(core, lease, WALK_STILL);
    if (is_revoked) {
        walk_force_on(core, lease, RUNG_KILL);
    }
    walk_settle_now(core, lease);
}

void walk_end(struct core *core, struct lease *lease)
{
    walk_clear(core, lease, WALK_STILL);
    lease->acked_at_ms = core->now_ms;
    walk_force_on(core, lease, RUNG_RESTART);
    walk_settle_now(core, lease);
}

/* ---- Time ------------------------------------------------------------- */

/* Begin the rung that a restart interrupted once more. */
static void again(struct core *core, struct lease *lease)
{
    if (lease->row.state == LEASE_HELD) {
        walk_undo(core, lease);
    } else if (lease->row.state == LEASE_PAUSING) {
        begin_pause(core, lease, walk_begun(lease));
    } else {
        walk_force(core, lease, (enum rung)(lease->row.rung - 1));
    }
}

bool walk_due(struct core *core, struct lease *lease)
{
    bool reclaims = lease->row.state == LEASE_RECLAIMING;

    if (lease->rung_by_ms == 0 &&
        (reclaims || lease->row.state == LEASE_PAUSING ||
         walk_is_undoing(lease))) {
        again(core, lease);
        return true;
    }
    if (reclaims && !walk_is_over(lease)) {
        walk_force_on(core, lease, walk_begun(lease));
        walk_settle_now(core, lease);
        return true;
    }
    return false;
}

void walk_restore(struct core *core, struct lease *lease)
{
    enum rung rung = walk_begun(lease);

    lease->rung_at_ms = core->now_ms;
    switch ((enum lease_state)lease->row.state) {
    case LEASE_PAUSING:
        if (rung == RUNG_NONE || rung == RUNG_ASK) {
            /* The holder learns it where it looks. */
            lease->row.rung = RUNG_ASK;
            lease->rung_by_ms = core->now_ms + lease->row.pause_grace_ms;
        }
        break;
    case LEASE_RECLAIMING:
        if (rung == RUNG_NONE || rung == RUNG_RESTART) {
            lease->row.rung = RUNG_RESTART;
            lease->rung_by_ms = core->now_ms + holder_settle_ms(core, lease);
        }
        break;
    case LEASE_AWAY:
    case LEASE_QUEUED:
    case LEASE_CLEARING:
    case LEASE_HELD:
    case LEASE_PAUSED:
    case LEASE_ENDED:
    case LEASE_STATES:
        break;
    }
}
