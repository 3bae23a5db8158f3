#include "sim/world_rungs.h"

#include <string.h>

static const struct core_ladder ladders[] = {
    {2, {{RUNG_ASK, 0}, {RUNG_RESTART, 0}}},
    {6,
     {{RUNG_ASK, 0},
      {RUNG_UNLOAD, 400},
      {RUNG_CHECKPOINT, 600},
      {RUNG_TERM, 500},
      {RUNG_KILL, 300},
      {RUNG_RESTART, 0}}},
    {1, {{RUNG_CHECKPOINT, 800}}},
    {3, {{RUNG_ASK, 0}, {RUNG_FREEZE, 200}, {RUNG_CHECKPOINT, 700}}},
    {3, {{RUNG_UNLOAD, 500}, {RUNG_TERM, 700}, {RUNG_KILL, 200}}},
    {3, {{RUNG_TERM, 600}, {RUNG_KILL, 300}, {RUNG_RESTART, 0}}},
    {3, {{RUNG_FREEZE, 300}, {RUNG_TERM, 400}, {RUNG_RESTART, 0}}},
    {1, {{RUNG_RESTART, 0}}},
};

enum {
    LADDERS = sizeof ladders / sizeof ladders[0]
};

void rungs_config(struct core_config *config)
{
    memcpy(config->ladders, ladders, sizeof ladders);
    config->ladder_count = LADDERS;
    config->rung_grace_ms = 450;
}

/* ---- Processes -------------------------------------------------------- */

static struct proc *proc_find(struct world *world, uint64_t lease)
{
    size_t i;

    for (i = world->proc_count; i > 0; i--) {
        if (world->procs[i - 1].lease == lease) {
            return &world->procs[i - 1];
        }
    }
    return NULL;
}

static uint32_t flag_of(enum rung rung)
{
    return rung == RUNG_FREEZE ? CORE_ROW_FROZEN : CORE_ROW_CHECKPOINTED;
}

void rungs_hear_grant(struct world *world, uint64_t lease)
{
    if (world->profile->has_ladders && proc_find(world, lease) == NULL &&
        world->proc_count < WORLD_PROCS) {
        world->procs[world->proc_count++] = (struct proc){.lease = lease};
    }
}

/* From here on whoever carries rungs out answers for the processes of @lease:
 * by its journal, and by what it says in the log. */
static void hand_over(struct world *world, uint64_t lease)
{
    struct proc *proc = proc_find(world, lease);

    if (proc != NULL) {
        proc->is_told = true;
    }
}

void rungs_hear_end(struct world *world, const struct core_message *message)
{
    if (message->rung != RUNG_NONE) {
        hand_over(world, message->lease);
    }
}

static void die(struct world *world, struct proc *proc, uint64_t now_ms)
{
    proc->is_dead = true;
    proc->still = 0;
    /* Every tenth has forked a child that keeps the VRAM. */
    if (proc->lease % 10 != 0) {
        usage_leave(world, proc->lease, now_ms);
    }
}

/* What the errand does to the world. */
static void
carry_out(struct world *world, const struct errand *errand, uint64_t now_ms)
{
    struct proc *proc = proc_find(world, errand->lease);
    bool lies = errand->lease % 7 == 0; /* The VRAM stays all the same. */

    if (proc == NULL || proc->is_dead || errand->result != RUNG_OK) {
        return;
    }
    switch (errand->rung) {
    case RUNG_UNLOAD:
        if (!lies) {
            usage_leave(world, errand->lease, now_ms);
        }
        break;
    case RUNG_FREEZE:
    case RUNG_CHECKPOINT:
        if (errand->is_undo) {
            proc->still &= ~flag_of(errand->rung);
            break;
        }
        proc->still |= flag_of(errand->rung);
        if (errand->rung == RUNG_CHECKPOINT && !lies) {
            usage_leave(world, errand->lease, now_ms);
        }
        break;
    case RUNG_TERM:
        if (errand->lease % 3 != 0) { /* Others do not listen. */
            die(world, proc, now_ms);
            proc->owes_death = true;
        }
        break;
    case RUNG_KILL:
        die(world, proc, now_ms);
        proc->owes_death = true;
        break;
    case RUNG_NONE:
    case RUNG_ASK:
    case RUNG_RESTART:
    case RUNGS:
        break;
    }
}

/* ---- Errands ---------------------------------------------------------- */

/* A rung that is begun again takes the place of the one begun before. */
static void overtake(struct world *world, const struct core_message *message)
{
    size_t i = 0;

    while (i < world->errand_count) {
        const struct errand *errand = &world->errands[i];

        if (errand->lease == message->lease && errand->rung == message->rung &&
            errand->is_undo == message->is_undo) {
            world->errands[i] = world->errands[--world->errand_count];
        } else {
            i++;
        }
    }
}

void rungs_hear(struct world *world,
                const struct rig *rig,
                struct random *random,
                const struct core_message *message)
{
    uint64_t now_ms = rig->now_ms;
    uint64_t time_ms =
        message->deadline_at_ms > now_ms ? message->deadline_at_ms - now_ms : 0;
    uint32_t dice = random_below(random, 100);
    struct errand errand = {.lease = message->lease,
                            .token = message->token,
                            .due_ms = now_ms,
                            .rung = message->rung,
                            .is_undo = message->is_undo,
                            .result = RUNG_OK};

    overtake(world, message);
    if (message->is_undo && rig_row(rig, message->lease) == NULL) {
        hand_over(world, message->lease);
    }
    if (world->errand_count == WORLD_ERRANDS) {
        return;
    }
    if (dice < 40) {
        errand.due_ms += random_below(random, 20);
    } else if (dice < 55) {
        errand.due_ms += random_below(random, (uint32_t)time_ms + 1);
    } else if (dice < 65) {
        errand.due_ms += time_ms + random_below(random, 500);
    } else if (dice < 77) {
        errand.result = RUNG_FAILED;
    } else if (dice < 85) {
        /* An undo is skipped only where there is nothing to undo. */
        errand.result = message->is_undo ? RUNG_OK : RUNG_SKIPPED;
    } else if (dice < 93) {
        errand.is_doubled = true;
    } else if (dice < 97) {
        errand.is_lost = true;
    } else {
        return; /* Never. */
    }
    world->errands[world->errand_count++] = errand;
}

static void errand_say(const struct errand *errand, struct core_event *out)
{
    out->type = CORE_RUNG;
    out->rung.lease = errand->lease;
    out->rung.token = errand->token;
    out->rung.rung = errand->rung;
    out->rung.is_undo = errand->is_undo;
    out->rung.result = errand->result;
}

/* Whether the daemon still carries out what it was told: not for a lease that
 * is over, nor what another step has overtaken. */
static bool is_wanted(const struct rig *rig, const struct errand *errand)
{
    const struct core_lease_row *row = rig_row(rig, errand->lease);

    if (errand->is_undo) {
        return true;
    }
    return row != NULL && row->token == errand->token;
}

/* Whether what is to be done to a process was done to it before. */
static bool is_done(struct world *world, const struct errand *errand)
{
    const struct proc *proc = proc_find(world, errand->lease);

    return proc != NULL && !errand->is_undo && rung_needs_undo(errand->rung) &&
           (proc->still & flag_of(errand->rung)) != 0;
}

static void errand_drop(struct world *world, size_t i)
{
    world->errands[i] = world->errands[--world->errand_count];
}

/* A process that was ended is seen to have gone, where it is watched. */
static bool
draw_death(struct world *world, const struct rig *rig, struct core_event *out)
{
    size_t n;

    for (n = world->proc_count; n > 0; n--) {
        struct proc *proc = &world->procs[n - 1];
        const struct core_lease_row *row = rig_row(rig, proc->lease);
        bool owes = proc->owes_death;

        proc->owes_death = false;
        if (owes && row != NULL && (row->flags & CORE_ROW_WATCHED) != 0) {
            out->type = CORE_PROCESS_GONE;
            out->process_gone.lease = proc->lease;
            return true;
        }
    }
    return false;
}

bool rungs_draw(struct world *world,
                const struct rig *rig,
                struct random *random,
                struct core_event *out)
{
    size_t first;
    size_t n;

    if (world->proc_count > 0 && random_once_in(random, 2) &&
        draw_death(world, rig, out)) {
        return true;
    }
    first = random_below(random, (uint32_t)world->errand_count + 1);
    for (n = 0; n < world->errand_count; n++) {
        size_t i = (first + n) % world->errand_count;
        struct errand *errand = &world->errands[i];
        struct errand done = *errand;

        if (errand->due_ms > out->at_ms) {
            continue;
        }
        if (is_done(world, errand)) {
            errand->result = RUNG_OK;
            done.result = RUNG_OK;
        }
        if (is_wanted(rig, errand)) {
            carry_out(world, errand, out->at_ms);
        }
        if (errand->is_doubled) {
            errand->is_doubled = false;
            errand->due_ms = out->at_ms + random_below(random, 300);
        } else {
            errand_drop(world, i);
        }
        if (!done.is_lost) {
            errand_say(&done, out);
        }
        return true;
    }
    return false;
}

void rungs_draw_hands(uint64_t lease,
                      struct random *random,
                      struct core_event *out)
{
    if (random_once_in(random, 2)) {
        out->admin.action = CORE_THAW;
    } else {
        out->type = CORE_WATCH;
        out->watch.lease = lease;
        out->watch.is_watched = random_once_in(random, 2);
    }
}

/* Hands undo all that the daemon's journal lists of @lease, and the daemon says
 * so only where it does nothing to its processes any more. */
static void stop_errands(struct world *world, uint64_t lease)
{
    size_t i = 0;

    while (i < world->errand_count) {
        const struct errand *errand = &world->errands[i];

        if (errand->lease == lease && !errand->is_undo &&
            rung_needs_undo(errand->rung)) {
            errand_drop(world, i);
        } else {
            i++;
        }
    }
}

void rungs_hear_event(struct world *world, const struct core_event *event)
{
    struct proc *proc;

    if (event->type == CORE_PROCESS_GONE) {
        proc = proc_find(world, event->process_gone.lease);
        if (proc != NULL && !proc->is_dead) {
            die(world, proc, event->at_ms);
        }
    } else if (event->type == CORE_ADMIN && event->admin.action == CORE_THAW) {
        stop_errands(world, event->admin.lease);
        proc = proc_find(world, event->admin.lease);
        if (proc != NULL) {
            proc->still = 0;
        }
    }
}

void rungs_restart(struct world *world, const struct rig *rig)
{
    while (world->errand_count > 0) {
        struct errand *errand = &world->errands[world->errand_count - 1];

        if (errand->due_ms % 2 == 0 && is_wanted(rig, errand)) {
            carry_out(world, errand, rig->now_ms);
        }
        world->errand_count--;
    }
}

/* ---- Nobody is forgotten ---------------------------------------------- */

/* Say whether an undo of @still of @lease is on its way. */
static bool
is_on_its_way(const struct world *world, uint64_t lease, uint32_t still)
{
    size_t i;

    for (i = 0; i < world->errand_count; i++) {
        const struct errand *errand = &world->errands[i];

        if (errand->lease == lease && errand->is_undo) {
            still &= ~flag_of(errand->rung);
        }
    }
    return still == 0;
}

void world_check(const struct world *world, const struct rig *rig)
{
    size_t i;

    for (i = 0; i < world->proc_count; i++) {
        const struct proc *proc = &world->procs[i];
        const struct core_lease_row *row = rig_row(rig, proc->lease);
        uint32_t known = row == NULL ? 0 : row->flags;
        uint32_t unknown = proc->still & ~known;

        if (unknown != 0 && !proc->is_told &&
            !is_on_its_way(world, proc->lease, unknown)) {
            rig_fail(rig, "lease %llu: its processes are forgotten (%x)",
                     (unsigned long long)proc->lease, unknown);
        }
    }
}
