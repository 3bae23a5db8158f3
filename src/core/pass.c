/* pass.c - one look over the devices: who gets in, who reserves, who is asked.
 *
 * A function of the state (docs/decisions/0001-the-pass.md).  Candidates come
 * in rank order; each is granted if it fits, else it reserves devices and may
 * ask for room there.  After a grant, or an ask, the pass starts anew, so every
 * decision is taken on the state as it is.  At most one reservation a device,
 * and one failure a shape, bound the work; waiters are never scanned.
 */
#include "core/parts.h"

void pass_wake(struct core *core, uint64_t at_ms)
{
    if (at_ms > core->now_ms && at_ms < core->pass_at_ms) {
        core->pass_at_ms = at_ms;
    }
}

enum outcome {
    GRANTED,
    RESERVED,
    NOTHING
};

static enum outcome try(struct core *core, struct lease *lease, bool overdue)
{
    uint64_t set = fit_find(core, lease);

    if (set != 0) {
        grant_devices(core, lease, set, overdue, CORE_WAIT_NOTHING);
        return GRANTED;
    }
    if (lease_is_waiter(lease) && lease->row.timeout_ms == 0) {
        return RESERVED; /* It is gone at the end of this step: ask nobody. */
    }
    return reserve_devices(core, lease, overdue) ? RESERVED : NOTHING;
}

/* ---- The order of candidates ------------------------------------------ */

static uint32_t class_end(const struct core *core)
{
    return CORE_PRIORITIES + core->config.class_count;
}

/* The oldest overdue waiter whose seq is above @after; NULL. */
static struct lease *next_overdue(struct core *core, uint64_t after)
{
    struct lease *best = NULL;
    uint32_t i;

    for (i = 0; i < class_end(core); i++) {
        const struct class *class = &core->classes[i];
        struct lease *first;

        if (class->config.max_wait_ms == 0 || class->waiting == 0 ||
            policy_is_limited(core, class)) {
            continue;
        }
        first = queue_first(class);
        if (first->row.submitted_at_ms + class->config.max_wait_ms >
            core->now_ms) {
            pass_wake(core,
                      first->row.submitted_at_ms + class->config.max_wait_ms);
        } else if (first->row.seq > after &&
                   (best == NULL || first->row.seq < best->row.seq)) {
            best = first;
        }
    }
    return best;
}

static bool pass_overdue(struct core *core)
{
    struct lease *lease = next_overdue(core, 0);

    if (core->was_overdue) {
        return false;
    }
    while (lease != NULL) {
        uint64_t seq = lease->row.seq;

        if (try(core, lease, true) == GRANTED) {
            return true;
        }
        lease = next_overdue(core, seq);
    }
    return false;
}

static bool pass_sleepers(struct core *core, uint32_t priority)
{
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &core->sleepers[priority]) {
        struct lease *lease = CONTAINER_OF(at, struct lease, sleeper_link);

        if ((lease->row.flags & CORE_ROW_OPERATOR_PAUSED) == 0 &&
            try(core, lease, false) == GRANTED) {
            return true;
        }
    }
    return false;
}

static bool pass_classes(struct core *core, uint32_t priority)
{
    struct class *class;

    while ((class = policy_choose(core, priority)) != NULL) {
        struct lease *lease = queue_next(core, class);
        struct shape *shape;

        if (lease == NULL) {
            class->is_exhausted = true;
            continue;
        }
        shape = &class->shapes[lease->shape];
        switch (try(core, lease, false)) {
        case GRANTED:
            return true;
        case RESERVED:
            break;
        case NOTHING:
            shape->is_blocked = true;
            break;
        }
        shape->cursor = lease->row.seq;
        policy_pass_over(core, class);
    }
    return false;
}

static void begin(struct core *core)
{
    struct list *at;
    uint32_t i;

    core->pass_at_ms = CORE_FOREVER;
    core->has_asked = false;
    for (i = 0; i < core->config.device_count; i++) {
        struct device *device = &core->devices[i];
        uint32_t r;

        device->reservation = DEVICE_OPEN;
        device->reserver = NULL;
        pass_wake(core, device->linger_until_ms);
        for (r = 0; r < device->resident_count; r++) {
            pass_wake(core, device->residents[r].until_ms);
        }
    }
    LIST_EACH (at, &core->states[LEASE_CLEARING]) {
        CONTAINER_OF(at, struct lease, state_link)->is_confirmed = false;
    }
    policy_begin(core);
}

/* Say whether something was granted, or somebody asked: then others may find
 * room, and all is looked at anew. */
static bool pass_once(struct core *core)
{
    uint32_t priority;

    begin(core);
    if (pass_overdue(core)) {
        return true;
    }
    for (priority = 0; priority < CORE_PRIORITIES; priority++) {
        if (pass_sleepers(core, priority) || pass_classes(core, priority)) {
            return true;
        }
    }
    return core->has_asked;
}

/* ---- What is left when nothing more can be granted -------------------- */

/* Send CLEARING leases that lost their reservation back where they were. */
static void revert(struct core *core)
{
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &core->states[LEASE_CLEARING]) {
        struct lease *lease = CONTAINER_OF(at, struct lease, state_link);

        if (!lease->is_confirmed && core_has_room(core)) {
            lease_move(core, lease,
                       lease_is_sleeper(lease) ? LEASE_PAUSED : LEASE_QUEUED);
        }
    }
}

/* Say whether @lease, AWAY, would have had @device in this pass. */
static bool
would_have(struct core *core, struct device *device, struct lease *lease)
{
    const struct lease *other = device->reserver;
    struct plan plan;

    if (!device_is_usable(core, device, lease)) {
        return false;
    }
    if (device->reservation != DEVICE_OPEN &&
        !(lease_priority(lease) < lease_priority(other) ||
          (lease_is_waiter(other) && lease->class == other->class &&
           lease->row.seq < other->row.seq))) {
        return false;
    }
    victim_plan(core, device, lease, true, &plan);
    return plan.is_feasible;
}

/* Ask for somebody to attend the first AWAY lease of @class if it would be
 * next. */
static void offer(struct core *core, struct class *class)
{
    struct lease *lease = queue_lease(rank_first(&class->away));
    uint32_t count = 0;
    uint32_t i;

    bool anyhow = core->config.is_observing && !core->is_stopping;

    if (lease == NULL || (!anyhow && policy_is_limited(core, class))) {
        return;
    }
    if (lease->offered_at_ms != 0 &&
        core->now_ms < lease->offered_at_ms + OFFER_MS) {
        pass_wake(core, lease->offered_at_ms + OFFER_MS);
        return;
    }
    for (i = 0; i < core->config.device_count; i++) {
        count += would_have(core, &core->devices[i], lease);
    }
    if ((anyhow || count >= lease->row.gpus) && core_has_room(core)) {
        lease->offered_at_ms = core->now_ms;
        pass_wake(core, core->now_ms + OFFER_MS);
        (void)core_say(core, CORE_MSG_OFFER, lease);
        core->stats.offers++;
    }
}

/* Say whether whoever reserved @device would be in but for VRAM that no lease
 * has: a stranger's, or what somebody uses beyond his charge. */
static bool lacks_vram_only(const struct device *device)
{
    const struct lease *lease = device->reserver;

    if (device->reservation == DEVICE_OPEN ||
        device_is_held(device, lease, lease_is_exclusive(lease))) {
        return false;
    }
    return lease_is_exclusive(lease) ? lease_is_sleeper(lease)
                                     : (uint64_t)device->charged_mib +
                                               device_need_mib(device, lease) <=
                                           (uint64_t)device_size_mib(device) +
                                               device_charge_of(device, lease);
}

/* Note where VRAM is waited for: there it is measured often. */
static void note_awaited(struct core *core)
{
    const struct list *at;
    uint32_t i;

    for (i = 0; i < core->config.device_count; i++) {
        core->devices[i].is_awaited = lacks_vram_only(&core->devices[i]);
    }
    LIST_EACH (at, &core->states[LEASE_CLEARING]) {
        uint64_t set = CONTAINER_OF(at, struct lease, state_link)->reserved;

        for (i = 0; i < core->config.device_count; i++) {
            core->devices[i].is_awaited =
                core->devices[i].is_awaited || (set & (1ull << i)) != 0;
        }
    }
}

static void finish(struct core *core)
{
    uint32_t i;

    revert(core);
    for (i = 0; i < class_end(core); i++) {
        offer(core, &core->classes[i]);
    }
    note_awaited(core);
}

/* ---- The pass --------------------------------------------------------- */

bool pass_may_grant(struct core *core)
{
    return core_has_room(core) && core->next_number < core->token_end;
}

void pass_run(struct core *core)
{
    uint32_t i;

    core->needs_pass = false;
    core->pass_at_ms = CORE_FOREVER;
    for (i = 0; i < core->config.device_count; i++) {
        core->devices[i].is_awaited = false;
    }
    if (core->waiter_count + core->sleeper_count == 0 || core->is_held) {
        return;
    }
    if (core->config.is_observing && core->bypass_until_ms == 0 &&
        !core->is_stopping) {
        bypass_observe(core);
        finish(core);
        return;
    }
    if (core->now_ms < core->hold_until_ms) {
        pass_wake(core, core->hold_until_ms);
        return;
    }
    if (core->bypass_until_ms != 0 && !core->is_stopping) {
        bypass_run(core);
        return;
    }
    while (pass_may_grant(core)) {
        if (!pass_once(core)) {
            finish(core);
            return;
        }
    }
}
