/* victim.c - who has to make room, and how much is enough.
 *
 * The fewest and least important holders that suffice; if all together would
 * not, nobody is asked.  Room already being freed and warm models that can be
 * told to unload come first.
 */
#include "core/parts.h"

/* What @lease would give back on @device. */
static uint32_t gives_mib(const struct device *device,
                          const struct lease *lease)
{
    return mib_above(device_charge_of(device, lease),
                     device->config.residue_mib);
}

uint64_t victim_safe_until(const struct lease *holder, uint32_t priority)
{
    uint32_t run_ms = holder->class->config.min_run_ms;

    if ((holder->row.flags & CORE_ROW_OVERDUE) != 0) {
        /* Else those it went before would ask it to pause in the very step
         * that lets it in: they would wait for longer, and it for ever. */
        return holder->row.granted_at_ms +
               (run_ms > TURN_MS ? run_ms : (uint64_t)TURN_MS);
    }
    return priority == 0 ? 0 : holder->run_at_ms + run_ms;
}

static bool
is_victim(struct core *core, const struct lease *holder, uint32_t priority)
{
    uint64_t safe_until = victim_safe_until(holder, priority);

    if (holder->row.state != LEASE_HELD ||
        (holder->row.flags & CORE_ROW_PREEMPTIBLE) == 0 ||
        lease_priority(holder) <= priority || walk_is_undoing(holder) ||
        !lease_can_hear(core, holder)) {
        return false;
    }
    if (!walk_can_pause(holder, true) &&
        holder->row.granted_at_ms == core->now_ms) {
        /* A grant leaves before its end does. */
        pass_wake(core, core->now_ms + 1);
        return false;
    }
    if (core->now_ms < safe_until) {
        pass_wake(core, safe_until);
        return false;
    }
    return true;
}

/* ---- The order among victims ------------------------------------------ */

/* Less important, larger, later: asked first. */
static bool before(const struct device *device,
                   const struct lease *a,
                   const struct lease *b)
{
    uint32_t a_mib = device_charge_of(device, a);
    uint32_t b_mib = device_charge_of(device, b);

    if (lease_priority(a) != lease_priority(b)) {
        return lease_priority(a) > lease_priority(b);
    }
    if (a_mib != b_mib) {
        return a_mib > b_mib;
    }
    return a->row.token > b->row.token;
}

static struct lease *
merge(const struct device *device, struct lease *a, struct lease *b)
{
    struct lease *head = NULL;
    struct lease **end = &head;

    while (a != NULL && b != NULL) {
        struct lease **from = before(device, a, b) ? &a : &b;

        *end = *from;
        end = &(*end)->next;
        *from = *end;
    }
    *end = a != NULL ? a : b;
    return head;
}

/* Sort a chain of leases by merging runs of 1, 2, 4 ... kept by their size. */
static struct lease *sort(const struct device *device, struct lease *chain)
{
    struct lease *runs[32] = {NULL};
    struct lease *sorted = NULL;
    int i;

    while (chain != NULL) {
        struct lease *run = chain;

        chain = chain->next;
        run->next = NULL;
        for (i = 0; runs[i] != NULL; i++) {
            run = merge(device, runs[i], run);
            runs[i] = NULL;
        }
        runs[i] = run;
    }
    for (i = 0; i < 32; i++) {
        sorted = merge(device, sorted, runs[i]);
    }
    return sorted;
}

/* All possible victims on @device, in order; the room each level gives is
 * added to @levels. */
static struct lease *gather(struct core *core,
                            const struct device *device,
                            uint32_t priority,
                            uint64_t levels[CORE_PRIORITIES])
{
    struct lease *chain = NULL;
    const struct list *at;

    LIST_EACH (at, &device->seats) {
        struct lease *lease = seat_at(at)->lease;

        if (is_victim(core, lease, priority)) {
            levels[lease_priority(lease)] += gives_mib(device, lease);
            lease->next = chain;
            chain = lease;
        }
    }
    return sort(device, chain);
}

/* From the sorted @chain take victims between two priorities until they give
 * @needed; returns them last taken first. */
static struct lease *take(const struct device *device,
                          struct lease *chain,
                          uint32_t lowest,
                          uint32_t highest,
                          uint64_t needed)
{
    struct lease *taken = NULL;
    uint64_t sum = 0;

    while (chain != NULL && sum < needed) {
        struct lease *next = chain->next;

        if (lease_priority(chain) >= lowest &&
            lease_priority(chain) <= highest) {
            sum += gives_mib(device, chain);
            chain->next = taken;
            taken = chain;
        }
        chain = next;
    }
    return taken;
}

/* Drop from @taken, most important first, whoever is not needed. */
static struct lease *
prune(const struct device *device, struct lease *taken, uint64_t needed)
{
    struct lease **at = &taken;
    struct lease *lease;
    uint64_t sum = 0;

    for (lease = taken; lease != NULL; lease = lease->next) {
        sum += gives_mib(device, lease);
    }
    while (*at != NULL) {
        uint64_t gives = gives_mib(device, *at);

        if (sum - gives >= needed) {
            sum -= gives;
            *at = (*at)->next;
        } else {
            at = &(*at)->next;
        }
    }
    return taken;
}

/* The victims that together give @needed > 0 MiB; NULL where all would not. */
static struct lease *choose(struct core *core,
                            const struct device *device,
                            uint32_t priority,
                            uint64_t needed)
{
    uint64_t levels[CORE_PRIORITIES] = {0};
    struct lease *chain = gather(core, device, priority, levels);
    uint64_t sum = 0;
    uint32_t level;

    for (level = CORE_PRIORITIES; level-- > 0;) {
        sum += levels[level];
        if (levels[level] >= needed) {
            return take(device, chain, level, level, needed);
        }
    }
    if (sum < needed) {
        return NULL;
    }
    chain = take(device, chain, 0, CORE_PRIORITIES, needed);
    return prune(device, chain, needed);
}

/* ---- Plans ------------------------------------------------------------ */

/* Say whether the candidate needs the device without any holder: because it
 * wants it alone, or because an overdue waiter it would join does. */
static bool needs_all(const struct device *device, const struct lease *lease)
{
    return lease_is_exclusive(lease) ||
           (device->reservation == DEVICE_RESERVED_OVERDUE &&
            lease_is_exclusive(device->reserver));
}

/* Warm models of others that may still be told, or were and have time. */
static uint32_t obtainable_mib(const struct core *core,
                               const struct device *device,
                               const struct lease *lease)
{
    uint32_t sum = 0;
    uint32_t i;

    for (i = 0; i < device->resident_count; i++) {
        const struct resident *resident = &device->residents[i];

        if (resident->service != lease->row.service &&
            (resident->until_ms == 0 || resident->until_ms > core->now_ms)) {
            sum += resident->mib;
        }
    }
    return sum;
}

/* What a sharing candidate lacks on @device, warm models of others aside. */
static uint64_t lack_mib(const struct device *device, const struct lease *lease)
{
    uint64_t need = device_need_mib(device, lease);
    uint64_t more = (uint64_t)device_freeing_mib(device) +
                    device_resident_mib(device, lease->row.service, false) +
                    device_charge_of(device, lease);

    if (device->reservation == DEVICE_RESERVED_OVERDUE) {
        need += device->reserver->row.vram_mib;
    }
    return device_lack_mib(device, need, more);
}

/* A holder that is on @device and would not leave it; its presence defeats a
 * candidate that needs the device alone.  What the others give is added to
 * @given. */
static bool has_stayer(struct core *core,
                       const struct device *device,
                       const struct lease *lease,
                       bool may_preempt,
                       struct plan *plan,
                       uint64_t *given)
{
    const struct list *at;

    LIST_EACH (at, &device->seats) {
        const struct lease *holder = seat_at(at)->lease;

        if (holder != lease && device_is_frozen(device, holder)) {
            return true;
        }
        if (holder->row.state != LEASE_HELD) {
            continue;
        }
        if (!may_preempt || !is_victim(core, holder, lease_priority(lease))) {
            return true;
        }
        *given += gives_mib(device, holder);
        plan->needs_victims = true;
        if (lease_priority(holder) < plan->worst_level) {
            plan->worst_level = lease_priority(holder);
        }
    }
    return false;
}

/* A resume needs as much measured room as was used before the pause; victims
 * give @given of it. */
static bool covers_footprint(const struct core *core,
                             const struct device *device,
                             const struct lease *lease,
                             uint64_t given)
{
    return !device->config.is_measured || !lease_is_sleeper(lease) ||
           (uint64_t)device_resume_mib(core, device, lease) +
                   device->used_mib <=
               (uint64_t)device->config.capacity_mib +
                   device_charge_of(device, lease) +
                   device_freeing_mib(device) +
                   obtainable_mib(core, device, lease) + given;
}

/* Choose among sharing holders those that give @needed > 0 MiB; returns what
 * they give, 0 where all would not do. */
static uint64_t plan_victims(struct core *core,
                             const struct device *device,
                             const struct lease *lease,
                             uint64_t needed,
                             struct plan *plan)
{
    const struct lease *victim =
        choose(core, device, lease_priority(lease), needed);
    uint64_t given = 0;

    plan->needs_victims = victim != NULL;
    for (; victim != NULL; victim = victim->next) {
        given += gives_mib(device, victim);
        if (lease_priority(victim) < plan->worst_level) {
            plan->worst_level = lease_priority(victim);
        }
    }
    return given;
}

void victim_plan(struct core *core,
                 struct device *device,
                 struct lease *lease,
                 bool may_preempt,
                 struct plan *plan)
{
    uint64_t lack = lease_is_exclusive(lease) ? 0 : lack_mib(device, lease);
    uint64_t warm = may_preempt ? obtainable_mib(core, device, lease) : 0;
    uint64_t given = 0;
    bool leaves = true;

    *plan = (struct plan){
        .worst_level = CORE_PRIORITIES,
        .room_mib = device_free_mib(device) + device_freeing_mib(device),
    };
    if (needs_all(device, lease) || device_is_held(device, lease, false)) {
        leaves = !has_stayer(core, device, lease, may_preempt, plan, &given);
    } else if (may_preempt && lack > warm) {
        given = plan_victims(core, device, lease, lack - warm, plan);
    }
    plan->is_feasible = leaves && lack <= warm + given &&
                        covers_footprint(core, device, lease, given);
}

/* ---- Asking ----------------------------------------------------------- */

static void tell_resident(struct core *core,
                          struct device *device,
                          struct resident *resident,
                          const struct lease *lease)
{
    struct service *service = core_service_find(core, resident->service);

    resident->until_ms = core->now_ms + device->config.settle_ms;
    pass_wake(core, resident->until_ms);
    if (service != NULL && service->streams > 0) {
        struct core_message *message = core_say(core, CORE_MSG_UNLOAD, NULL);

        message->service = resident->service;
        message->requester = lease->row.id;
        message->release_mib = resident->mib;
        message->deadline_at_ms = resident->until_ms;
        core->stats.unloads++;
    }
}

/* Tell warm models of others to unload until @lack is covered. */
static void tell_residents(struct core *core,
                           struct device *device,
                           const struct lease *lease,
                           uint64_t lack)
{
    bool all = needs_all(device, lease);
    uint32_t i;

    for (i = 0; i < device->resident_count; i++) {
        struct resident *resident = &device->residents[i];

        if (resident->service == lease->row.service ||
            (all && resident->mib <= device->config.residue_mib)) {
            continue;
        }
        if (resident->until_ms != 0 && resident->until_ms <= core->now_ms) {
            continue; /* It had its time and did not obey. */
        }
        if (!all && lack == 0) {
            return;
        }
        lack = mib_above(lack, resident->mib);
        if (resident->until_ms == 0 && core_has_room(core)) {
            tell_resident(core, device, resident, lease);
        }
    }
}

/* What @lease really uses, as far as that can be told: a resume will need it.
 */
static void note_footprint(const struct core *core, struct lease *lease)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        struct seat *seat = &lease->seats[i];
        const struct device *device = &core->devices[seat->device];
        bool is_told =
            lease_is_exclusive(lease) || device->attributed_at_ms != 0;

        seat->share.footprint_mib =
            is_told ? device_used_by(device, lease) : seat->share.charge_mib;
    }
    device_note_shares(lease);
}

void victim_pause(struct core *core,
                  struct lease *lease,
                  const struct lease *requester)
{
    note_footprint(core, lease);
    walk_pause(core, lease, requester);
}

void victim_ask(struct core *core, struct device *device, struct lease *lease)
{
    uint32_t priority = lease_priority(lease);
    bool all = needs_all(device, lease) || device_is_held(device, lease, false);
    uint64_t lack = needs_all(device, lease) ? 0 : lack_mib(device, lease);
    uint64_t warm = obtainable_mib(core, device, lease);
    uint64_t levels[CORE_PRIORITIES] = {0};
    struct lease *victims = NULL;
    uint32_t level;

    if (all) {
        victims = gather(core, device, priority, levels);
        for (level = 0; level < CORE_PRIORITIES; level++) {
            lack = mib_above(lack, levels[level]);
        }
    } else if (lack > warm) {
        victims = choose(core, device, priority, lack - warm);
    }
    tell_residents(core, device, lease, lack);
    while (victims != NULL && core_has_room(core)) {
        struct lease *next = victims->next;

        victim_pause(core, victims, lease);
        core->has_asked = true;
        victims = next;
    }
}
