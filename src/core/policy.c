/* policy.c - whose turn it is among classes of one priority.
 *
 * Smooth weighted round robin with hard limits in a row.  Every waiting class
 * earns its weight at each grant, the granted one pays the sum; a class that
 * its limit holds back goes on earning, so the share comes as near to the
 * target as the limits allow.  A pass ranks further candidates on a scratch
 * copy, as if those before them had been served.
 */
#include "core/parts.h"

enum {
    CREDIT_SUMS = 4 /* Credits stay within so many sums of the weights. */
};

/* Walk the classes of one priority, by number. */
#define CLASS_EACH(at, core, priority)      \
    for ((at) = (core)->order_at[priority]; \
         (at) < (core)->order_at[(priority) + 1]; (at)++)

void policy_begin(struct core *core)
{
    uint32_t i;

    for (i = 0; i < core->order_at[CORE_PRIORITIES]; i++) {
        struct class *class = core->order[i];
        uint32_t shape;

        class->pass_credit = class->credit;
        class->pass_consecutive = class->consecutive;
        class->pass_served = 0;
        class->is_exhausted = class->waiting == 0;
        for (shape = 0; shape < class->shape_count; shape++) {
            class->shapes[shape].cursor = 0;
            class->shapes[shape].is_blocked = false;
        }
    }
}

static bool has_company(const struct core *core, const struct class *class)
{
    uint32_t i;

    CLASS_EACH (i, core, class->config.priority) {
        const struct class *other = core->order[i];

        if (other != class && other->waiting > 0) {
            return true;
        }
    }
    return false;
}

void policy_bound(struct class *class)
{
    if (class->consecutive > class->config.max_consecutive) {
        class->consecutive = class->config.max_consecutive;
        class->is_touched = true;
    }
}

bool policy_is_limited(const struct core *core, const struct class *class)
{
    return class->config.max_consecutive != 0 &&
           class->consecutive >= class->config.max_consecutive &&
           (class->config.waits_when_alone || has_company(core, class));
}

/* A class that is still before its limit in the scratch order. */
static bool pass_may_run(const struct class *class)
{
    return class->config.max_consecutive == 0 ||
           class->pass_consecutive < class->config.max_consecutive;
}

/* Say whether @class has a waiter left that was not yet passed over. */
static bool takes_part(const struct class *class)
{
    return class->waiting > class->pass_served;
}

struct class *policy_choose(struct core *core, uint32_t priority)
{
    struct class *best = NULL;
    uint32_t i;

    CLASS_EACH (i, core, priority) {
        struct class *class = core->order[i];
        int64_t credit;

        if (class->is_exhausted || policy_is_limited(core, class)) {
            continue;
        }
        credit = class->pass_credit + class->config.weight;
        if (best == NULL || (pass_may_run(class) && !pass_may_run(best)) ||
            (pass_may_run(class) == pass_may_run(best) &&
             credit > best->pass_credit + best->config.weight)) {
            best = class;
        }
    }
    return best;
}

static int64_t clamp(int64_t credit, int64_t bound)
{
    if (credit > bound) {
        return bound;
    }
    return credit < -bound ? -bound : credit;
}

void policy_pass_over(struct core *core, struct class *class)
{
    uint32_t priority = class->config.priority;
    int64_t sum = 0;
    uint32_t i;

    CLASS_EACH (i, core, priority) {
        if (takes_part(core->order[i])) {
            sum += core->order[i]->config.weight;
        }
    }
    CLASS_EACH (i, core, priority) {
        struct class *other = core->order[i];

        if (!takes_part(other)) {
            continue;
        }
        other->pass_credit = clamp(other->pass_credit + other->config.weight -
                                       (other == class ? sum : 0),
                                   CREDIT_SUMS * sum);
        if (other != class) {
            other->pass_consecutive = 0;
        }
    }
    class->pass_consecutive++;
    class->pass_served++;
}

void policy_commit(struct core *core, struct class *class)
{
    uint32_t priority = class->config.priority;
    int64_t sum = 0;
    uint32_t i;

    CLASS_EACH (i, core, priority) {
        if (core->order[i]->waiting > 0) {
            sum += core->order[i]->config.weight;
        }
    }
    CLASS_EACH (i, core, priority) {
        struct class *other = core->order[i];
        int64_t credit = other->credit;
        uint32_t consecutive = 0;

        if (other->waiting > 0) {
            credit = clamp(credit + other->config.weight -
                               (other == class ? sum : 0),
                           CREDIT_SUMS * sum);
        }
        if (other == class) {
            /* Counted up to the limit: more tells nothing, and would write a
             * row at each grant. */
            consecutive = other->consecutive < other->config.max_consecutive
                              ? other->consecutive + 1
                              : other->config.max_consecutive;
        }
        other->is_touched = other->is_touched || credit != other->credit ||
                            consecutive != other->consecutive;
        other->credit = credit;
        other->consecutive = consecutive;
    }
}
