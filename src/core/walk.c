/* walk.c - a lease on its ladder (docs/decisions/0004-the-ladder.md).
 *
 * PAUSING walks the rungs that make room and leave the holder alive; what is
 * taken back by force (RECLAIMING) walks the others, and ends when its VRAM is
 * measured free, or after the last rung.  The row says which rung was begun
 * before the message that begins it leaves, so that a coordinator that starts
 * again begins it again; RESTART alone is never begun twice.  Who is frozen or
 * checkpointed is flagged before it is done, until it is known to be undone.
 */
#include "core/parts.h"

#include <assert.h>

enum {
    STILL = CORE_ROW_FROZEN | CORE_ROW_CHECKPOINTED
};

bool walk_stands_still(const struct lease *lease)
{
    return (lease->row.flags & STILL) != 0;
}

bool walk_is_undoing(const struct lease *lease)
{
    return lease->row.state == LEASE_HELD && walk_stands_still(lease);
}

/* The flag of what @rung does to a process; 0. */
static uint32_t flag_of(enum rung rung)
{
    if (rung == RUNG_FREEZE) {
        return CORE_ROW_FROZEN;
    }
    return rung == RUNG_CHECKPOINT ? CORE_ROW_CHECKPOINTED : 0;
}

static void clear_flag(struct core *core, struct lease *lease, uint32_t flag)
{
    lease->row.flags &= ~flag;
    lease_touch(core, lease);
}

static enum rung rung_of(const struct lease *lease)
{
    return (enum rung)lease->row.rung;
}

enum rung walk_rung(const struct lease *lease)
{
    bool is_past = lease->row.rung == RUNG_RESTART &&
                   (lease->row.flags & CORE_ROW_RESTARTED) == 0;

    return is_past ? RUNG_NONE : rung_of(lease);
}

/* ---- Ladders ---------------------------------------------------------- */

/* The configured ladder with the rungs of @lease, its own if that still has
 * them; NULL. */
static const struct core_ladder *ladder_of(const struct core *core,
                                           const struct lease *lease)
{
    uint32_t own = lease->row.ladder;
    uint32_t i;

    if (own != 0 && own <= core->config.ladder_count &&
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
    return rung == RUNG_ASK ? lease->row.pause_grace_ms
                            : ladder_grace_ms(ladder_of(core, lease), rung);
}

uint32_t walk_pack(const struct core *core, uint32_t ladder)
{
    return ladder == 0 ? LADDER_DEFAULT
                       : ladder_pack(&core->config.ladders[ladder - 1]);
}

/* The next rung of a pause above @after: who needs room is not helped by a
 * freeze. */
static enum rung next_pause(const struct lease *lease, enum rung after)
{
    enum rung next = ladder_next_pause(lease->row.rungs, after);

    if (next == RUNG_FREEZE && lease->requester != 0) {
        next = ladder_next_pause(lease->row.rungs, next);
    }
    return next;
}

bool walk_can_pause(const struct lease *lease)
{
    return ladder_next_pause(lease->row.rungs, RUNG_NONE) != RUNG_NONE;
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
    lease->row.flags |= flag_of(rung);
    lease->rung_at_ms = core->now_ms;
    lease->rung_by_ms = core->now_ms + grace_ms(core, lease, rung);
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
    lease->reason = CORE_REASON_NONE;
    lease->requester = requester == NULL ? 0 : requester->row.id;
    first = next_pause(lease, RUNG_NONE);
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
    enum rung next = next_pause(lease, rung_of(lease));

    lease->acked_at_ms = 0;
    lease->kept_mib = 0;
    lease->reason = (uint8_t)reason;
    if (next == RUNG_NONE) {
        holder_reclaim(core, lease, reason);
    } else {
        begin_pause(core, lease, next);
    }
}

/* ---- Going on after a freeze or a checkpoint -------------------------- */

/* Say what was done to the processes of @lease and has to be undone: they run
 * again before their VRAM comes back. */
static void say_undo(struct core *core, struct lease *lease, uint32_t flags)
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
    lease_touch(core, lease);
    holder_extend(core, lease);
    say_undo(core, lease, STILL);
}

/* Where nothing holds the processes of @lease any more, its time runs again.
 */
static void go_on(struct core *core, struct lease *lease)
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
        /* What was being done had all its VRAM a moment ago. */
        say_undo(core, lease, STILL);
        lease->row.flags &= ~(uint32_t)STILL;
        break;
    case LEASE_CLEARING:
    case LEASE_PAUSED:
        say_undo(core, lease, CORE_ROW_FROZEN);
        lease->row.flags &= ~(uint32_t)CORE_ROW_FROZEN;
        break;
    case LEASE_HELD:
        /* It was said at the resume, unless a restart came between; what
         * came of it will not be heard any more. */
        if (lease->rung_by_ms == 0) {
            say_undo(core, lease, STILL);
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

/* ---- RECLAIMING ------------------------------------------------------- */

/* Nothing more is done to @lease; only its VRAM is waited for. */
static bool is_over(const struct lease *lease)
{
    return lease->row.rung == RUNG_RESTART;
}

/* Begin the first rung of force above @after; after the last only the settle
 * time is left. */
static void force(struct core *core, struct lease *lease, enum rung after)
{
    enum rung next = ladder_next_reclaim(lease->row.rungs, after);

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

    if (may_live && !device_is_measured(core, lease) &&
        (!is_over(lease) || (lease->row.flags & CORE_ROW_WATCHED) != 0)) {
        return false;
    }
    return device_is_clear_of(core, lease, 0, lease->state_at_ms);
}

bool walk_settle(struct core *core, struct lease *lease)
{
    if (!is_clear(core, lease)) {
        return false;
    }
    if (!is_over(lease)) {
        force(core, lease, RUNG_KILL);
    }
    holder_reclaimed(core, lease);
    return true;
}

/* See at an event that is no sample whether @lease, RECLAIMING, is cleared
 * away.  Where it is measured only the next sample says: who was granted
 * something since the last would hide what is still used. */
static void settle_now(struct core *core, struct lease *lease)
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
    force(core, lease, after);
    /* Who is stopped cannot end; it does not hear the signal but keeps it. */
    say_undo(core, lease, CORE_ROW_FROZEN);
    settle_now(core, lease);
}

void walk_gone(struct core *core, struct lease *lease)
{
    bool is_revoked = !is_over(lease);

    lease->acked_at_ms = core->now_ms;
    clear_flag(core, lease, STILL);
    if (is_revoked) {
        force(core, lease, RUNG_KILL);
    }
    settle_now(core, lease);
}

void walk_end(struct core *core, struct lease *lease)
{
    clear_flag(core, lease, STILL);
    lease->acked_at_ms = core->now_ms;
    force(core, lease, RUNG_RESTART);
    settle_now(core, lease);
}

/* ---- Time ------------------------------------------------------------- */

/* Begin the rung that a restart interrupted once more. */
static void again(struct core *core, struct lease *lease)
{
    if (lease->row.state == LEASE_HELD) {
        walk_undo(core, lease);
    } else if (lease->row.state == LEASE_PAUSING) {
        begin_pause(core, lease, rung_of(lease));
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
    if (reclaims && !is_over(lease)) {
        force(core, lease, rung_of(lease));
        settle_now(core, lease);
        return true;
    }
    return false;
}

void walk_restore(struct core *core, struct lease *lease)
{
    enum rung rung = rung_of(lease);

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

/* ---- Answers ---------------------------------------------------------- */

static void answer_undo(struct core *core,
                        struct lease *lease,
                        enum rung rung,
                        enum rung_result result)
{
    bool held = walk_is_undoing(lease);

    if ((lease->row.flags & flag_of(rung)) == 0 ||
        (!held &&
         (lease->row.state != LEASE_RECLAIMING || rung != RUNG_FREEZE))) {
        core->is_repeat = true;
    } else if (result != RUNG_FAILED) {
        clear_flag(core, lease, flag_of(rung));
        if (held) {
            go_on(core, lease);
        }
    } else if (held) {
        holder_reclaim(core, lease, CORE_REASON_RESTORE_FAILED);
    }
}

/* What a freeze or a checkpoint has come to, whenever that is said: the flag
 * follows it, so that nobody is forgotten. */
static void note_still(struct core *core,
                       struct lease *lease,
                       enum rung rung,
                       enum rung_result result)
{
    uint32_t flag = flag_of(rung);
    bool was_still = (lease->row.flags & flag) != 0;

    if ((result == RUNG_OK) == was_still) {
        return;
    }
    if (result == RUNG_OK) {
        lease->row.flags |= flag;
        lease_touch(core, lease);
        if (lease->row.state == LEASE_RECLAIMING) {
            say_undo(core, lease, flag & CORE_ROW_FROZEN);
        }
    } else {
        clear_flag(core, lease, flag);
    }
    go_on(core, lease);
}

/* The present rung of @lease, PAUSING, has done its part. */
static void rung_done(struct core *core, struct lease *lease)
{
    switch (rung_of(lease)) {
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
    if (rung_needs_undo(rung)) {
        note_still(core, lease, rung, result);
    }
    if (lease->row.rung != rung) {
        core->is_repeat = true;
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

    if (rung_needs_undo(rung)) {
        note_still(core, lease, rung, result);
    }
    if (lease->row.rung != rung || is_over(lease)) {
        core->is_repeat = true;
    } else if (result != RUNG_OK) {
        force(core, lease, rung);
        settle_now(core, lease);
    } else if (!device_is_measured(core, lease) &&
               (rung == RUNG_UNLOAD || !is_watched)) {
        /* Nothing else will ever tell. */
        lease->acked_at_ms = core->now_ms;
        settle_now(core, lease);
    }
}

int walk_answer(struct core *core, const struct core_event *event)
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

int walk_thaw(struct core *core, struct lease *lease)
{
    if (lease_is_waiter(lease) || !walk_stands_still(lease)) {
        return E_STATE;
    }
    lease->row.flags &= ~(uint32_t)CORE_ROW_OPERATOR_PAUSED;
    /* One that was frozen keeps its flag with its VRAM, until its resume. */
    clear_flag(core, lease,
               lease_is_sleeper(lease) ? CORE_ROW_CHECKPOINTED : STILL);
    go_on(core, lease);
    core->needs_pass = true;
    return E_OK;
}

int walk_watch(struct core *core, const struct core_event *event)
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
        clear_flag(core, lease, CORE_ROW_WATCHED);
    }
    return E_OK;
}
