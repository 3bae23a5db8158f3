/* admin.c - what operators do, and configuration. */
#include "core/parts.h"

/* ---- Configuration ---------------------------------------------------- */

static bool is_valid(const struct core_config *config)
{
    uint32_t i;

    if (config->device_count > CORE_DEVICES_MAX ||
        config->class_count > CORE_CLASSES_MAX || config->effects_max < 256 ||
        config->waiters_max == 0 || config->service_waiters_max == 0 ||
        config->ladder_count > CORE_LADDERS_MAX) {
        return false;
    }
    for (i = 0; i < config->ladder_count; i++) {
        if (!ladder_is_valid(&config->ladders[i])) {
            return false;
        }
    }
    for (i = 0; i < config->device_count; i++) {
        if (config->devices[i].capacity_mib == 0 ||
            config->devices[i].reserve_mib >= config->devices[i].capacity_mib) {
            return false;
        }
    }
    for (i = 0; i < config->class_count; i++) {
        if (config->classes[i].priority >= CORE_PRIORITIES ||
            config->classes[i].weight == 0 ||
            config->classes[i].weight > 10000) {
            return false;
        }
    }
    return true;
}

/* Move the sleepers of a class whose priority changed to their new list. */
static void reprioritise(struct core *core, struct class *class, uint32_t to)
{
    struct list *head = &core->sleepers[class->config.priority];
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, head) {
        struct lease *lease = CONTAINER_OF(at, struct lease, sleeper_link);

        if (lease->class == class) {
            lease_resort(core, lease, to);
        }
    }
}

/* Sort the classes by priority. */
static void arrange(struct core *core)
{
    uint32_t count = 0;
    uint32_t priority;
    uint32_t i;

    for (priority = 0; priority < CORE_PRIORITIES; priority++) {
        core->order_at[priority] = count;
        for (i = 0; i < CORE_PRIORITIES + core->config.class_count; i++) {
            if (core->classes[i].config.priority == priority) {
                core->order[count++] = &core->classes[i];
            }
        }
    }
    core->order_at[CORE_PRIORITIES] = count;
}

int admin_configure(struct core *core, const struct core_config *config)
{
    uint32_t i;

    if (!is_valid(config) || config->class_count < core->config.class_count) {
        return E_INVALID;
    }
    for (i = 0; i < config->class_count; i++) {
        struct class *class = &core->classes[CORE_CLASS(i)];

        if (class->config.priority != config->classes[i].priority) {
            reprioritise(core, class, config->classes[i].priority);
        }
        class->config = config->classes[i];
        policy_bound(class);
    }
    core->config = *config;
    arrange(core);
    return E_OK;
}

/* Set the deadlines of granted leases anew, as the configuration and the modes
 * have it now. */
static void extend_all(struct core *core)
{
    static const enum lease_state states[] = {LEASE_CLEARING, LEASE_HELD,
                                              LEASE_PAUSING, LEASE_PAUSED,
                                              LEASE_RECLAIMING};
    size_t i;

    for (i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct list *at;

        LIST_EACH (at, &core->states[states[i]]) {
            struct lease *lease = CONTAINER_OF(at, struct lease, state_link);

            if (!lease_is_waiter(lease)) {
                holder_extend(core, lease);
            }
        }
    }
}

static int reconfigure(struct core *core, const struct core_config *config)
{
    struct core_config merged = *config;
    uint32_t i;
    int rc;

    /* The devices are what they are; their margins may change. */
    if (config->device_count != core->config.device_count ||
        config->effects_max != core->config.effects_max) {
        return E_INVALID;
    }
    for (i = 0; i < config->device_count; i++) {
        merged.devices[i].capacity_mib = core->config.devices[i].capacity_mib;
        merged.devices[i].is_measured = core->config.devices[i].is_measured;
    }
    rc = admin_configure(core, &merged);
    if (rc != E_OK) {
        return rc;
    }
    for (i = 0; i < config->device_count; i++) {
        core->devices[i].config = merged.devices[i];
        device_tolerate(&core->devices[i]);
    }
    extend_all(core);
    return E_OK;
}

/* ---- One lease -------------------------------------------------------- */

static int revoke(struct core *core, struct lease *lease)
{
    if (lease_is_waiter(lease)) {
        waiter_refuse(core, lease, E_REVOKED, CORE_REASON_OPERATOR, false);
    } else if (lease->row.state == LEASE_RECLAIMING) {
        return E_STATE;
    } else {
        holder_take_back(core, lease, CORE_REASON_OPERATOR);
    }
    return E_OK;
}

static bool is_paused(const struct lease *lease)
{
    return lease_is_sleeper(lease) || lease->row.state == LEASE_PAUSING;
}

static int resume(struct core *core, struct lease *lease)
{
    if (!is_paused(lease)) {
        return E_STATE;
    }
    lease->row.flags &= ~(uint32_t)CORE_ROW_OPERATOR_PAUSED;
    lease_touch(core, lease);
    return E_OK;
}

static int pause(struct core *core, struct lease *lease)
{
    if (!is_paused(lease)) {
        /* Who did not offer to pause would answer "error" and lose its lease.
         */
        if (lease->row.state != LEASE_HELD || walk_is_undoing(lease) ||
            (lease->row.flags & CORE_ROW_PREEMPTIBLE) == 0 ||
            !walk_can_pause(lease, false) || !lease_can_hear(core, lease)) {
            return E_STATE;
        }
        victim_pause(core, lease, NULL);
    }
    lease->row.flags |= CORE_ROW_OPERATOR_PAUSED;
    lease_touch(core, lease);
    return E_OK;
}

/* Do to a lease what @event says. */
static int act_on_lease(struct core *core, const struct core_event *event)
{
    uint64_t id = event->admin.lease;
    struct lease *lease = lease_find(core, id);

    if (lease == NULL) {
        return core_ended(core, id) == NULL ? E_NOT_FOUND : E_ENDED;
    }
    switch (event->admin.action) {
    case CORE_REVOKE:
        return revoke(core, lease);
    case CORE_PAUSE:
        return pause(core, lease);
    case CORE_RESUME:
        return resume(core, lease);
    case CORE_THAW:
        return answer_thaw(core, lease);
    case CORE_DRAIN:
    case CORE_UNDRAIN:
    case CORE_BYPASS:
    case CORE_SHUTDOWN:
    case CORE_CONFIGURE:
    case CORE_NUMBERS:
    case CORE_HOLD:
        break;
    }
    return E_INVALID;
}

/* ---- Modes ------------------------------------------------------------ */

static void drain(struct core *core, uint64_t set, bool is_on)
{
    uint32_t i;

    if (set == 0) {
        core->is_draining = is_on;
    }
    for (i = 0; i < core->config.device_count; i++) {
        /* Undraining at large undrains every device. */
        if ((set & (1ull << i)) != 0 || (set == 0 && !is_on)) {
            core->devices[i].is_drained = is_on;
        }
    }
    core->is_mode_touched = true;
}

static void say_shutdown(struct core *core)
{
    struct list *at;

    LIST_EACH (at, &core->states[LEASE_HELD]) {
        struct lease *lease = CONTAINER_OF(at, struct lease, state_link);

        if (!core_has_room(core)) {
            return; /* Those not told learn it from their next renewal. */
        }
        core_say(core, CORE_MSG_SHUTDOWN, lease)->deadline_at_ms =
            core->stop_at_ms;
    }
}

/* End the waits in @state, as many as there is room for. */
static void end_waits(struct core *core, enum lease_state state)
{
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &core->states[state]) {
        struct lease *lease = CONTAINER_OF(at, struct lease, state_link);

        if (!core_has_room(core)) {
            return;
        }
        if (lease_is_waiter(lease)) {
            waiter_refuse(core, lease, E_DRAINING, CORE_REASON_DRAINING, true);
        }
    }
}

void admin_stop(struct core *core)
{
    uint64_t holders = core->state_count[LEASE_HELD] +
                       core->state_count[LEASE_PAUSING] +
                       core->state_count[LEASE_RECLAIMING];

    if (!core->is_stopping) {
        return;
    }
    end_waits(core, LEASE_QUEUED);
    end_waits(core, LEASE_CLEARING);
    if (!core->has_more && !core->is_stopped &&
        (holders == 0 || core->now_ms >= core->stop_at_ms)) {
        core->is_stopped = true;
        (void)core_say(core, CORE_MSG_STOPPED, NULL);
    }
}

static void bypass(struct core *core, uint64_t until_ms)
{
    core->bypass_until_ms = until_ms;
    core->is_mode_touched = true;
    core->needs_pass = true;
    /* What nobody was revoked for counts again. */
    extend_all(core);
}

void admin_tick(struct core *core)
{
    if (core->bypass_until_ms != 0 && core->now_ms >= core->bypass_until_ms) {
        bypass(core, 0);
    }
}

int admin_step(struct core *core, const struct core_event *event)
{
    int rc = E_OK;

    core->about = event->admin.lease;
    switch (event->admin.action) {
    case CORE_DRAIN:
    case CORE_UNDRAIN:
        if ((event->admin.devices & ~core_all_devices(core)) != 0) {
            return E_INVALID;
        }
        drain(core, event->admin.devices, event->admin.action == CORE_DRAIN);
        break;
    case CORE_REVOKE:
    case CORE_PAUSE:
    case CORE_RESUME:
    case CORE_THAW:
        rc = act_on_lease(core, event);
        break;
    case CORE_BYPASS:
        bypass(core, event->admin.until_ms);
        break;
    case CORE_SHUTDOWN:
        core->is_stopping = true;
        core->stop_at_ms = event->admin.until_ms;
        say_shutdown(core);
        break;
    case CORE_CONFIGURE:
        rc = reconfigure(core, event->admin.config);
        break;
    case CORE_NUMBERS:
        core->id_end = event->admin.id_end;
        core->token_end = event->admin.token_end;
        break;
    case CORE_HOLD:
        core->is_held = event->admin.until_ms != 0;
        break;
    }
    core->needs_pass = core->needs_pass || rc == E_OK;
    return rc;
}
