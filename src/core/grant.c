/* grant.c - a lease gets its devices and a new token. */
#include "core/parts.h"

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

static void set_flag(struct lease *lease, uint32_t flag, bool is_set)
{
    lease->row.flags =
        is_set ? lease->row.flags | flag : lease->row.flags & ~flag;
}

static void count_grant(struct core *core,
                        struct lease *lease,
                        bool overdue,
                        bool by_the_rules)
{
    struct class *class = lease->class;

    if (by_the_rules && !lease->is_counted) {
        policy_commit(core, class);
    }
    class->grants++;
    lease->wait_until_ms = lease->expires_at_ms;
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

void grant_devices(struct core *core,
                   struct lease *lease,
                   uint64_t set,
                   bool overdue,
                   enum core_wait prevented)
{
    bool is_resume = lease_is_sleeper(lease);
    bool is_bypass = core->bypass_until_ms != 0;
    bool is_unchecked = prevented != CORE_WAIT_NOTHING;
    struct core_message *message;

    if (!is_resume) {
        count_grant(core, lease, overdue, !is_bypass && !is_unchecked);
    } else {
        core->stats.resumes++;
    }
    if (lease->row.state != LEASE_CLEARING) {
        lease_move(core, lease, LEASE_CLEARING);
    }
    /* Before it is seated: seats stand in the order of the tokens. */
    lease->row.token_before = lease->row.token;
    lease->row.token = core->next_number++;
    device_charge(core, lease, set);
    end_linger(core, set);
    lease->row.granted_at_ms = core->now_ms;
    lease->row.rung = RUNG_NONE;
    set_flag(lease, CORE_ROW_BYPASSED, is_bypass);
    set_flag(lease, CORE_ROW_UNCHECKED, is_unchecked);
    set_flag(lease, CORE_ROW_OVERDUE, overdue);
    core->stats.prevented += is_unchecked;
    set_flag(lease, CORE_ROW_ADVISORY,
             is_bypass || is_unchecked || is_defied(core, lease) ||
                 !device_is_measured(core, lease));
    core->stats.advisories += !is_bypass && is_defied(core, lease);
    lease_move(core, lease, LEASE_HELD);
    lease->is_counted = false;
    lease->run_at_ms = core->now_ms;
    lease->heard_at_ms = core->now_ms;
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
    message->wait = prevented;
    /* The answer is given: from here on the connection means nothing, unless
     * it is the lease. */
    if ((lease->row.flags & CORE_ROW_BY_CONNECTION) == 0) {
        lease->ref = 0;
    }
    if (walk_is_undoing(lease)) {
        walk_undo(core, lease);
    }
}
