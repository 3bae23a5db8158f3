/* pass.c - one look over the devices: who gets in, who reserves, who is asked.
 *
 * A function of the state (docs/decisions/0001-the-pass.md).  Candidates come
 * in rank order; each is granted if it fits, else it reserves devices and may
 * ask for room there.  After a grant the pass starts anew, so every decision
 * is taken on the state as it is.  At most one reservation a device, and one
 * failure a shape, bound the work; waiters are never scanned.
 */
#include "core/state.h"

#include <assert.h>

void pass_wake(struct core *core, uint64_t at_ms)
{
    if (at_ms > core->now_ms && at_ms < core->pass_at_ms) {
        core->pass_at_ms = at_ms;
    }
}

/* ---- What fits -------------------------------------------------------- */

static bool keeps_seat_for(const struct core *core,
                           const struct device *device,
                           const struct lease *lease)
{
    return device->linger_until_ms > core->now_ms &&
           device->linger_service == lease->row.service;
}

/* Room on a device that nobody has reserved, or left of it. */
static uint32_t open_mib(const struct device *device, uint32_t warm_mib)
{
    switch (device->reservation) {
    case DEVICE_OPEN:
        return device_free_mib(device) + warm_mib;
    case DEVICE_RESERVED:
        return device->left_mib;
    case DEVICE_RESERVED_OVERDUE:
        return 0;
    }
    return 0;
}

static bool fits(const struct core *core,
                 const struct device *device,
                 const struct lease *lease)
{
    uint32_t own = device_charge_of(device, lease);

    if (!device_is_usable(core, device, lease) ||
        (!device_is_fresh(device) && !keeps_seat_for(core, device, lease))) {
        return false;
    }
    if (lease_is_sleeper(lease) && device->config.is_measured &&
        (uint64_t)lease->row.footprint_mib + device->used_mib >
            (uint64_t)device->config.capacity_mib + own) {
        return false;
    }
    if (lease_is_exclusive(lease)) {
        return device->reservation == DEVICE_OPEN &&
               !device_is_held(device, true) &&
               !device_is_warm(core, device, lease, false) &&
               device_exclusive_mib(device, lease) > 0;
    }
    return !device_is_held(device, false) &&
           lease->row.vram_mib <=
               open_mib(device, device_resident_mib(device, lease->row.service,
                                                    false)) +
                   own;
}

uint32_t pass_room(struct core *core,
                   const struct class *class,
                   const struct shape *shape)
{
    uint32_t rooms[CORE_DEVICES_MAX];
    uint32_t count = 0;
    uint32_t i;
    uint32_t at;

    if (shape->is_exclusive) {
        return 0; /* Whoever is behind a blocked one cannot fit either. */
    }
    for (i = 0; i < core->config.device_count; i++) {
        const struct device *device = &core->devices[i];
        uint32_t room;

        if (device->state != CORE_DEVICE_OK || device->is_drained ||
            (shape->devices != 0 && (shape->devices & (1ull << i)) == 0) ||
            (device->linger_until_ms > core->now_ms &&
             class->config.priority > device->linger_priority) ||
            !device_is_fresh(device) || device_is_held(device, false)) {
            continue;
        }
        room = open_mib(device, 0);
        for (at = count++; at > 0 && rooms[at - 1] < room; at--) {
            rooms[at] = rooms[at - 1];
        }
        rooms[at] = room;
    }
    return count < shape->gpus ? 0 : rooms[shape->gpus - 1];
}

/* ---- Grants ----------------------------------------------------------- */

/* Say whether a warm model that was to unload and did not is in the way. */
static bool is_defied(const struct core *core, const struct lease *lease)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        const struct device *device = &core->devices[lease->seats[i].device];

        if (lease_is_exclusive(lease) &&
            device_is_warm(core, device, lease, true)) {
            return true;
        }
    }
    return false;
}

static bool is_measured(const struct core *core, const struct lease *lease)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        if (!core->config.devices[lease->seats[i].device].is_measured) {
            return false;
        }
    }
    return true;
}

static void set_flag(struct lease *lease, uint32_t flag, bool is_set)
{
    lease->row.flags =
        is_set ? lease->row.flags | flag : lease->row.flags & ~flag;
}

static void count_grant(struct core *core, struct lease *lease, bool overdue)
{
    struct class *class = lease->class;

    if (core->bypass_until_ms == 0) {
        policy_commit(core, class);
    }
    class->grants++;
    core->was_overdue = overdue;
    core->stats.grants++;
    core->stats.last_class = class->id;
}

/* The seat a lingering class kept is taken, or ended by its equals. */
static void end_linger(struct core *core, uint64_t set)
{
    uint32_t i;

    for (i = 0; i < core->config.device_count; i++) {
        if ((set & (1ull << i)) != 0) {
            core->devices[i].linger_until_ms = 0;
        }
    }
}

/* Give @lease the devices in @set, with a new token. */
static void
grant(struct core *core, struct lease *lease, uint64_t set, bool overdue)
{
    bool is_resume = lease_is_sleeper(lease);
    bool is_bypass = core->bypass_until_ms != 0;
    struct core_message *message;

    if (!is_resume) {
        count_grant(core, lease, overdue);
    } else {
        core->stats.resumes++;
    }
    if (lease->row.state != LEASE_CLEARING) {
        lease_move(core, lease, LEASE_CLEARING);
    }
    device_charge(core, lease, set);
    end_linger(core, set);
    lease->row.token_before = lease->row.token;
    lease->row.token = core->next_number++;
    lease->row.granted_at_ms = core->now_ms;
    set_flag(lease, CORE_ROW_BYPASSED, is_bypass);
    set_flag(lease, CORE_ROW_ADVISORY,
             is_bypass || is_defied(core, lease) || !is_measured(core, lease));
    core->stats.advisories += !is_bypass && is_defied(core, lease);
    lease->run_at_ms = core->now_ms;
    if (lease->ref != 0) {
        lease->heard_at_ms = core->now_ms;
    }
    lease_move(core, lease, LEASE_HELD);
    /* Not before: it tells a waiter from a sleeper. */
    if (!is_resume) {
        lease->row.first_granted_at_ms = core->now_ms;
    }
    lease_touch(core, lease);
    lease->expires_at_ms = core->now_ms + lease->row.ttl_ms;
    holder_extend(core, lease);
    message =
        core_say(core, is_resume ? CORE_MSG_RESUME : CORE_MSG_GRANT, lease);
    message->ref = lease->ref;
    /* The answer is given: from here on the connection means nothing, unless
     * it is the lease. */
    if ((lease->row.flags & CORE_ROW_BY_CONNECTION) == 0) {
        lease->ref = 0;
    }
}

/* ---- One candidate ---------------------------------------------------- */

/* The set of @lease->row.gpus devices on which it fits, most free first; 0. */
static uint64_t find_fit(const struct core *core, const struct lease *lease)
{
    uint64_t set = 0;
    uint32_t n;
    uint32_t i;

    for (n = 0; n < lease->row.gpus; n++) {
        const struct device *best = NULL;

        for (i = 0; i < core->config.device_count; i++) {
            const struct device *device = &core->devices[i];

            if ((set & (1ull << i)) == 0 && fits(core, device, lease) &&
                (best == NULL ||
                 device_free_mib(device) > device_free_mib(best))) {
                best = device;
            }
        }
        if (best == NULL) {
            return 0;
        }
        set |= 1ull << best->index;
    }
    return set;
}

/* Say whether plan @a is to be preferred to plan @b. */
static bool is_better(const struct plan *a, const struct plan *b)
{
    if (a->needs_victims != b->needs_victims) {
        return !a->needs_victims;
    }
    if (a->worst_level != b->worst_level) {
        return a->worst_level > b->worst_level;
    }
    return a->room_mib > b->room_mib;
}

/* The set of devices for @lease with the best plans, among those @feasible or
 * not; 0 where there are too few. */
static uint64_t find_reserve(const struct core *core,
                             const struct lease *lease,
                             const struct plan *plans,
                             uint64_t usable,
                             bool feasible)
{
    uint64_t set = 0;
    uint32_t n;
    uint32_t i;

    for (n = 0; n < lease->row.gpus; n++) {
        uint32_t best = core->config.device_count;

        for (i = 0; i < core->config.device_count; i++) {
            if ((usable & ~set & (1ull << i)) == 0 ||
                (feasible && !plans[i].is_feasible)) {
                continue;
            }
            if (best == core->config.device_count ||
                (feasible ? is_better(&plans[i], &plans[best])
                          : plans[i].room_mib > plans[best].room_mib)) {
                best = i;
            }
        }
        if (best == core->config.device_count) {
            return 0;
        }
        set |= 1ull << best;
    }
    return set;
}

/* Reserve the devices in @set for @lease. */
static void reserve(struct core *core,
                    struct lease *lease,
                    const struct plan *plans,
                    uint64_t set,
                    bool overdue)
{
    uint32_t i;

    for (i = 0; i < core->config.device_count; i++) {
        struct device *device = &core->devices[i];
        uint64_t room;

        if ((set & (1ull << i)) == 0) {
            continue;
        }
        room = plans[i].room_mib;
        device->left_mib = 0;
        if (plans[i].is_feasible && !lease_is_exclusive(lease) &&
            device->reservation == DEVICE_OPEN && room > lease->row.vram_mib) {
            uint32_t free_mib = device_free_mib(device);
            uint32_t left = (uint32_t)(room - lease->row.vram_mib);

            device->left_mib = left < free_mib ? left : free_mib;
        }
        device->reservation =
            overdue ? DEVICE_RESERVED_OVERDUE : DEVICE_RESERVED;
        device->reserver = lease;
    }
}

/* Bring @lease onto devices if not now, then later.  False: it could reserve
 * nothing. */
static bool try_reserve(struct core *core, struct lease *lease, bool overdue)
{
    struct plan plans[CORE_DEVICES_MAX];
    uint64_t usable = 0;
    uint64_t set;
    uint32_t i;

    for (i = 0; i < core->config.device_count; i++) {
        struct device *device = &core->devices[i];

        if (device->reservation == DEVICE_RESERVED ||
            (overdue && device->reservation != DEVICE_OPEN) ||
            !device_is_usable(core, device, lease)) {
            continue;
        }
        victim_plan(core, device, lease, !overdue, &plans[i]);
        if (device->reservation == DEVICE_OPEN || plans[i].is_feasible) {
            usable |= 1ull << i;
        }
    }
    set = find_reserve(core, lease, plans, usable, true);
    if (set == 0) {
        set = find_reserve(core, lease, plans, usable, false);
        if (set == 0) {
            return false;
        }
        for (i = 0; i < core->config.device_count; i++) {
            plans[i].is_feasible = false;
        }
        reserve(core, lease, plans, set, overdue);
        return true;
    }
    if (lease->row.state != LEASE_CLEARING) {
        lease_move(core, lease, LEASE_CLEARING);
    }
    lease->is_confirmed = true;
    lease->reserved = set;
    for (i = 0; i < core->config.device_count; i++) {
        if ((set & (1ull << i)) != 0) {
            victim_ask(core, &core->devices[i], lease);
        }
    }
    reserve(core, lease, plans, set, overdue);
    return true;
}

enum outcome {
    GRANTED,
    RESERVED,
    NOTHING
};

static enum outcome try(struct core *core, struct lease *lease, bool overdue)
{
    uint64_t set = find_fit(core, lease);

    if (set != 0) {
        grant(core, lease, set, overdue);
        return GRANTED;
    }
    return try_reserve(core, lease, overdue) ? RESERVED : NOTHING;
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

/* Say whether something was granted. */
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
    return false;
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
          (lease->class == other->class && lease->row.seq < other->row.seq))) {
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

    if (lease == NULL || policy_is_limited(core, class)) {
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
    if (count >= lease->row.gpus && core_has_room(core)) {
        lease->offered_at_ms = core->now_ms;
        pass_wake(core, core->now_ms + OFFER_MS);
        (void)core_say(core, CORE_MSG_OFFER, lease);
        core->stats.offers++;
    }
}

static void finish(struct core *core)
{
    const struct list *at;
    uint32_t i;

    revert(core);
    for (i = 0; i < class_end(core); i++) {
        offer(core, &core->classes[i]);
    }
    LIST_EACH (at, &core->states[LEASE_CLEARING]) {
        uint64_t set = CONTAINER_OF(at, struct lease, state_link)->reserved;

        for (i = 0; i < core->config.device_count; i++) {
            core->devices[i].is_clearing =
                core->devices[i].is_clearing || (set & (1ull << i)) != 0;
        }
    }
}

/* ---- Bypass ----------------------------------------------------------- */

/* The devices a bypassed grant is booked on: most free, then lowest index;
 * full, stale or drained ones too. */
static uint64_t find_bypass(const struct core *core, const struct lease *lease)
{
    uint64_t allowed =
        lease->row.devices == 0 ? core_all_devices(core) : lease->row.devices;
    uint64_t set = 0;
    uint32_t n;
    uint32_t i;

    if (lease_is_sleeper(lease)) {
        return lease->row.granted;
    }
    for (n = 0; n < lease->row.gpus; n++) {
        const struct device *best = NULL;

        for (i = 0; i < core->config.device_count; i++) {
            const struct device *device = &core->devices[i];

            if ((allowed & ~set & (1ull << i)) != 0 &&
                (best == NULL ||
                 device_free_mib(device) > device_free_mib(best))) {
                best = device;
            }
        }
        assert(best != NULL); /* waiter_submit() saw enough devices. */
        set |= 1ull << best->index;
    }
    return set;
}

static struct lease *next_bypass(struct core *core)
{
    uint32_t priority;
    uint32_t i;

    for (priority = 0; priority < CORE_PRIORITIES; priority++) {
        const struct list *at;
        struct lease *best = NULL;

        LIST_EACH (at, &core->sleepers[priority]) {
            struct lease *lease = CONTAINER_OF(at, struct lease, sleeper_link);

            if ((lease->row.flags & CORE_ROW_OPERATOR_PAUSED) == 0) {
                return lease;
            }
        }
        for (i = 0; i < class_end(core); i++) {
            struct lease *first = queue_first(&core->classes[i]);

            if (core->classes[i].config.priority == priority && first != NULL &&
                (best == NULL || first->row.seq < best->row.seq)) {
                best = first;
            }
        }
        if (best != NULL) {
            return best;
        }
    }
    return NULL;
}

/* ---- The pass --------------------------------------------------------- */

static bool may_grant(struct core *core)
{
    return core_has_room(core) && core->next_number < core->token_end;
}

void pass_run(struct core *core)
{
    uint32_t i;

    core->needs_pass = false;
    core->pass_at_ms = CORE_FOREVER;
    for (i = 0; i < core->config.device_count; i++) {
        core->devices[i].is_clearing = false;
    }
    if (core->waiter_count + core->sleeper_count == 0) {
        return;
    }
    if (core->now_ms < core->hold_until_ms) {
        pass_wake(core, core->hold_until_ms);
        return;
    }
    if (core->bypass_until_ms != 0) {
        struct lease *lease;

        while (may_grant(core) && (lease = next_bypass(core)) != NULL) {
            grant(core, lease, find_bypass(core, lease), false);
        }
        return;
    }
    while (may_grant(core)) {
        if (!pass_once(core)) {
            finish(core);
            return;
        }
    }
}
