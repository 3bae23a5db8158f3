#include "sim/sim.h"

#include "sim/mirror.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What many worlds have. */
#define GANGS_AND_LIARS .has_gangs = true, .has_liars = true
#define PEOPLE          GANGS_AND_LIARS, .has_operators = true
#define CHANGES         .has_reloads = true, .has_shutdowns = true
#define ATTRIBUTED      .is_measured = true, .is_attributed = true

static const struct world_profile profiles[] = {
    /* Worlds small enough to be compared with the reference. */
    {.name = "plain",
     .devices = 1,
     .services = 4,
     .live_max = 14,
     .is_compared = true,
     .check_every = 1},
    {.name = "gangs",
     .devices = 3,
     .services = 5,
     .live_max = 18,
     .has_gangs = true,
     .is_compared = true,
     .check_every = 1},
    {.name = "faults",
     .devices = 2,
     .services = 5,
     .live_max = 16,
     PEOPLE,
     CHANGES,
     .has_bypass = true,
     .restart_every = 400,
     .is_compared = true,
     .check_every = 1},
    {.name = "measured",
     .devices = 2,
     .services = 5,
     .live_max = 14,
     .is_measured = true,
     PEOPLE,
     .has_bypass = true,
     .has_reloads = true,
     .is_compared = true,
     .check_every = 1},
    {.name = "restarts",
     .devices = 2,
     .services = 5,
     .live_max = 14,
     .is_measured = true,
     PEOPLE,
     .restart_every = 400,
     .is_compared = true,
     .check_every = 1},
    {.name = "owned",
     .devices = 2,
     .services = 5,
     .live_max = 14,
     ATTRIBUTED,
     PEOPLE,
     CHANGES,
     .has_bypass = true,
     .restart_every = 400,
     .is_compared = true,
     .check_every = 1},
    /* Worlds held to the invariants alone. */
    {.name = "chaos",
     .devices = 3,
     .services = 6,
     .live_max = 30,
     ATTRIBUTED,
     PEOPLE,
     CHANGES,
     .has_bypass = true,
     .restart_every = 500,
     .ticks_late = true,
     .check_every = 1},
    {.name = "big",
     .devices = 8,
     .services = 40,
     .live_max = 2000,
     ATTRIBUTED,
     PEOPLE,
     CHANGES,
     .restart_every = 20000,
     .ticks_late = true,
     .check_every = 257},
    /* Everybody has a ladder; device 1 is not measured. */
    {.name = "ladder",
     .devices = 2,
     .services = 5,
     .live_max = 16,
     .is_measured = true,
     PEOPLE,
     CHANGES,
     .has_bypass = true,
     .has_ladders = true,
     .restart_every = 300,
     .ticks_late = true,
     .check_every = 1},
    {.name = "observe",
     .devices = 2,
     .services = 5,
     .live_max = 16,
     .is_measured = true,
     PEOPLE,
     CHANGES,
     .is_observing = true,
     .restart_every = 500,
     .check_every = 1},
};

enum {
    PROFILES = sizeof profiles / sizeof profiles[0],
    START_MS = 1000,
    REPLAY_EVERY = 101 /* Steps between two comparisons with a replay. */
};

const struct world_profile *sim_profile_at(size_t index)
{
    return index < PROFILES ? &profiles[index] : NULL;
}

const struct world_profile *sim_profile(const char *name)
{
    size_t i;

    for (i = 0; i < PROFILES; i++) {
        if (strcmp(profiles[i].name, name) == 0) {
            return &profiles[i];
        }
    }
    return NULL;
}

/* All that a run consists of; large, so on the heap. */
struct run {
    struct rig rig;
    struct world world;
    struct mirror mirror;
    const struct sim *sim;
    struct sim_result *result;
};

/* Say whether the effects are the last of a shutdown. */
static bool count(struct run *run, const struct core_effects *effects)
{
    bool has_stopped = false;
    size_t i;

    for (i = 0; i < effects->message_count; i++) {
        has_stopped =
            has_stopped || effects->messages[i].type == CORE_MSG_STOPPED;
        run->result->resumes += effects->messages[i].type == CORE_MSG_RESUME;
        run->result->pauses += effects->messages[i].type == CORE_MSG_PAUSE;
    }
    return has_stopped;
}

/* The lease and the token that @event speaks with; false: it speaks with
 * none. */
static bool
find_token(const struct core_event *event, uint64_t *lease, uint64_t *token)
{
    if (event->type == CORE_RELEASE) {
        *lease = event->release.lease;
        *token = event->release.token;
    } else if (event->type == CORE_ACK) {
        *lease = event->ack.lease;
        *token = event->ack.token;
    } else if (event->type == CORE_RENEW) {
        *lease = event->renew.lease;
        *token = event->renew.token;
    } else if (event->type == CORE_RUNG) {
        *lease = event->rung.lease;
        *token = event->rung.token;
    } else {
        return false;
    }
    return true;
}

/* Feed @event to the core.  With another token than the newest it must come to
 * nothing (C6). */
static int feed_core(struct run *run,
                     const struct core_event *event,
                     struct core_effects *effects)
{
    const struct core_lease_row *row = NULL;
    uint64_t lease = 0;
    uint64_t token = 0;
    bool is_stale = false;
    int rc;

    if (find_token(event, &lease, &token)) {
        row = rig_row(&run->rig, lease);
        is_stale = row != NULL && row->token != token &&
                   (event->type != CORE_RENEW || row->token_before != token);
    }
    rc = rig_feed(&run->rig, event, effects);
    if (rc == E_OK && is_stale) {
        rig_fail(&run->rig, "lease %llu: the stale token %llu is accepted",
                 (unsigned long long)lease, (unsigned long long)token);
    }
    return rc;
}

static void rebuild(struct run *run)
{
    run->result->restarts++;
    world_disconnect(&run->world, &run->rig);
    if (run->sim->profile->is_compared) {
        mirror_restart(&run->mirror, &run->rig);
    }
}

/* Say whether @message is none that enforces anything: not the operator's own
 * deeds nor what comes of them, nor a death. */
static bool is_let_be(const struct core_message *message)
{
    switch (message->type) {
    case CORE_MSG_PAUSE:
        return message->requester == 0;
    case CORE_MSG_REVOKE:
        return message->reason == CORE_REASON_GONE ||
               message->reason == CORE_REASON_OPERATOR ||
               message->reason == CORE_REASON_PAUSE_FAILED;
    case CORE_MSG_UNLOAD:
    case CORE_MSG_RUNG:
        return false;
    case CORE_MSG_GRANT:
    case CORE_MSG_RESUME:
    case CORE_MSG_REFUSE:
    case CORE_MSG_SUPERSEDED:
    case CORE_MSG_OFFER:
    case CORE_MSG_SHUTDOWN:
    case CORE_MSG_STOPPED:
    case CORE_MSG_STATE:
    case CORE_MESSAGES:
        break;
    }
    return true;
}

/* Who only observes keeps nobody waiting, and asks nobody for anything. */
static void check_observing(const struct run *run,
                            const struct core_effects *effects)
{
    size_t i;

    for (i = 0; i < RIG_CLASSES; i++) {
        if (run->rig.waiting_count[i] != 0) {
            rig_fail(&run->rig, "a waiter of class %zu waits", i);
        }
    }
    for (i = 0; i < effects->message_count; i++) {
        const struct core_message *message = &effects->messages[i];

        if (!is_let_be(message)) {
            rig_fail(&run->rig, "lease %llu: %s",
                     (unsigned long long)message->lease,
                     core_message_name(message->type));
        }
    }
}

static void
feed(struct run *run, struct random *random, const struct core_event *event)
{
    struct core_effects effects;
    uint64_t token_before = run->rig.token_last;
    bool has_stopped = false;
    int rc = feed_core(run, event, &effects);

    if (run->sim->profile->is_compared) {
        mirror_step(&run->mirror, &run->rig, event, rc, &effects, token_before);
    }
    if (rc == E_OK) {
        has_stopped = count(run, &effects);
    }
    world_hear(&run->world, &run->rig, random, event, rc, &effects);
    if (run->sim->profile->has_ladders) {
        world_check(&run->world, &run->rig);
    }
    if (run->sim->profile->is_observing && event->type != CORE_ADMIN) {
        check_observing(run, &effects);
    }
    if (has_stopped) {
        /* It has gone; the next one takes up what is in the store. */
        rig_restart(&run->rig, run->rig.now_ms + 1);
        rebuild(run);
    }
}

/* Let TICKs come that are due before @at_ms or, if @at_too, at it. */
static void
tick_until(struct run *run, struct random *random, uint64_t at_ms, bool at_too)
{
    struct core_event tick = {.type = CORE_TICK};
    int guard = 0;

    while (core_deadline(run->rig.core) < at_ms + (at_too ? 1 : 0)) {
        uint64_t due = core_deadline(run->rig.core);

        tick.at_ms = due > run->rig.now_ms ? due : run->rig.now_ms;
        feed(run, random, &tick);
        if (++guard > 100000) {
            rig_fail(&run->rig, "the deadline does not move");
        }
    }
}

/* The commit of @event is lost: what a holder said is said again. */
static void
lose(struct run *run, struct random *random, const struct core_event *event)
{
    if (rig_feed_lost(&run->rig, event) != E_OK) {
        return;
    }
    rebuild(run);
    if (event->type == CORE_RELEASE || event->type == CORE_ACK ||
        event->type == CORE_CANCEL) {
        feed(run, random, event);
    }
}

static bool is_time_to_restart(const struct world_profile *profile,
                               struct random *random)
{
    return profile->restart_every != 0 &&
           random_once_in(random, profile->restart_every);
}

static void step(struct run *run, uint64_t number)
{
    const struct world_profile *profile = run->sim->profile;
    struct random random = {run->sim->seed * 0x100000001b3u + number};
    struct core_event event;

    if (is_time_to_restart(profile, &random)) {
        rig_restart(&run->rig, run->rig.now_ms + 1);
        rebuild(run);
        return;
    }
    world_draw(&run->world, &run->rig, &random, &event);
    if (!profile->ticks_late || !random_once_in(&random, 8)) {
        tick_until(run, &random, event.at_ms, true);
    }
    if (event.at_ms < run->rig.now_ms) {
        return; /* It was said to a coordinator that has stopped. */
    }
    if (is_time_to_restart(profile, &random)) {
        lose(run, &random, &event);
        return;
    }
    feed(run, &random, &event);
    if (number % REPLAY_EVERY == 0) {
        rig_check_replay(&run->rig);
    }
    if (run->sim->fails_at != 0 && run->rig.grants >= run->sim->fails_at) {
        rig_fail(&run->rig, "%llu grants", (unsigned long long)run->rig.grants);
    }
}

/* Nothing new comes, and everybody behaves: all must come to an end, and
 * every connection to an answer (guarantee 6). */
static void finish(struct run *run)
{
    struct random random = {run->sim->seed};
    uint64_t until = run->rig.now_ms + 3600 * 1000;
    size_t i;

    tick_until(run, &random, until, false);
    /* Durable tasks wait for ever: withdraw them. */
    while (run->world.client_count > 0) {
        struct core_event event = {.type = CORE_ADMIN,
                                   .at_ms = run->rig.now_ms};
        size_t before = run->world.client_count;

        event.admin.action = CORE_REVOKE;
        event.admin.lease = run->world.clients[0].lease;
        feed(run, &random, &event);
        tick_until(run, &random, run->rig.now_ms + 3600 * 1000, false);
        if (run->world.client_count == before) {
            rig_fail(&run->rig, "lease %llu never ends",
                     (unsigned long long)run->world.clients[0].lease);
        }
    }
    for (i = 0; i < RIG_CLASSES; i++) {
        if (run->rig.waiting_count[i] != 0) {
            rig_fail(&run->rig, "a waiter of class %zu is forgotten", i);
        }
    }
    if (idmap_count(&run->rig.refs) != 0) {
        rig_fail(&run->rig, "%zu connections never got an answer",
                 idmap_count(&run->rig.refs));
    }
}

void sim_run(const struct sim *sim, struct sim_result *out)
{
    struct random random = {sim->seed};
    struct run *run = calloc(1, sizeof *run);
    struct core_config config;
    uint64_t i;

    if (run == NULL) {
        abort();
    }
    *out = (struct sim_result){0};
    run->sim = sim;
    run->result = out;
    world_config(sim->profile, &random, &config);
    world_init(&run->world, sim->profile);
    rig_init(&run->rig, &config,
             sim->fault == NULL ? &alloc_libc : &sim->fault->alloc, START_MS);
    run->rig.trace = sim->trace;
    run->rig.failure = sim->failure;
    run->rig.check_every = sim->profile->check_every;
    mirror_init(&run->mirror, &run->rig);
    for (i = 0; i < sim->steps; i++) {
        if (sim->step != NULL) {
            *sim->step = i;
        }
        if (sim->skips == NULL || !sim->skips[i]) {
            step(run, i);
        }
    }
    finish(run);
    out->hash = run->rig.hash;
    out->events = run->rig.events;
    out->grants = run->rig.grants;
    rig_release(&run->rig);
    free(run);
}
