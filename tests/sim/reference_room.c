/* Room on devices, and victims. */
#include "sim/reference_room.h"

#include <string.h>

static uint32_t less(uint64_t a, uint64_t b)
{
    return a > b ? (uint32_t)(a - b) : 0;
}

uint32_t ref_priority(const struct ref *ref, const struct ref_lease *lease)
{
    return ref->classes[lease->class_id].priority;
}

/* ---- What is taken ---------------------------------------------------- */

static bool is_on(const struct ref_lease *lease, uint32_t at)
{
    return lease->id != 0 && (lease->granted >> at & 1) != 0;
}

/* Charges on a device; those of @without not counted. */
static uint64_t
charged(const struct ref *ref, uint32_t at, const struct ref_lease *without)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        if (is_on(&ref->leases[i], at) && &ref->leases[i] != without) {
            sum += ref_taken(&ref->leases[i], at);
        }
    }
    return sum;
}

static uint64_t residents(const struct ref_device *device)
{
    uint64_t sum = 0;
    uint32_t i;

    for (i = 0; i < REF_SERVICES; i++) {
        sum += device->resident[i];
    }
    return sum;
}

/* What a sleeper still is charged on a device. */
static uint32_t own_charge(const struct ref_lease *lease, uint32_t at)
{
    return is_on(lease, at) ? ref_taken(lease, at) : 0;
}

/* What is not free, by the books or by the newest sample. */
static uint64_t not_free(const struct ref *ref, uint32_t at)
{
    const struct ref_device *device = &ref->devices[at];
    uint64_t taken =
        charged(ref, at, NULL) + device->unleased + residents(device);

    return device->used > taken ? device->used : taken;
}

static uint64_t size_of(const struct ref_device *device)
{
    return device->capacity - device->reserve;
}

uint32_t ref_room(const struct ref *ref, uint32_t at)
{
    return less(size_of(&ref->devices[at]), not_free(ref, at));
}

uint32_t ref_whole_room(const struct ref *ref,
                        uint32_t at,
                        const struct ref_lease *lease)
{
    const struct ref_device *device = &ref->devices[at];

    return less(device->capacity - device->reserve,
                charged(ref, at, lease) + device->unleased + residents(device) -
                    device->resident[lease->service]);
}

uint32_t ref_freeing(const struct ref *ref, uint32_t at)
{
    uint32_t sum = 0;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        const struct ref_lease *lease = &ref->leases[i];

        if (is_on(lease, at) &&
            (lease->state == REF_PAUSING || lease->state == REF_RECLAIMING)) {
            sum += less(ref_taken(lease, at), ref->devices[at].residue);
        }
    }
    return sum;
}

/* ---- What fits -------------------------------------------------------- */

static bool is_fresh(const struct ref_device *device)
{
    return !device->measured || device->sampled_at > device->changed_at;
}

static bool lingers(const struct ref *ref, uint32_t at)
{
    return ref->devices[at].linger_until > ref->now;
}

bool ref_is_usable(const struct ref *ref,
                   uint32_t at,
                   const struct ref_lease *lease)
{
    const struct ref_device *device = &ref->devices[at];
    /* What was paused comes back to where its residue is. */
    uint64_t set = lease->grant_number != 0 ? lease->granted : lease->set;

    return device->ok && !device->drained && !ref->draining && !ref->stopping &&
           lease->need <= device->capacity - device->reserve &&
           (set == 0 || (set >> at & 1) != 0) &&
           (!lingers(ref, at) ||
            ref_priority(ref, lease) <= device->linger_priority);
}

/* Whether other services' warm models leave an exclusive request alone. */
static bool
is_rid_of_residents(const struct ref *ref, uint32_t at, uint32_t service)
{
    const struct ref_device *device = &ref->devices[at];
    uint32_t i;

    for (i = 0; i < REF_SERVICES; i++) {
        if (i != service && device->resident[i] > device->residue &&
            (device->unload_until[i] == 0 ||
             device->unload_until[i] > ref->now)) {
            return false;
        }
    }
    return true;
}

/* Whether somebody, or somebody exclusive, holds the device. */
static bool is_held(const struct ref *ref, uint32_t at, bool exclusively)
{
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        const struct ref_lease *lease = &ref->leases[i];

        if (is_on(lease, at) && ref_holds(lease) &&
            (!exclusively || lease->need == 0)) {
            return true;
        }
    }
    return false;
}

/* The most a sleeper could be given beside strangers and who else sleeps. */
static uint32_t
most_ever(const struct ref *ref, uint32_t at, const struct ref_lease *lease)
{
    const struct ref_device *device = &ref->devices[at];
    uint64_t others = device->unleased;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        const struct ref_lease *other = &ref->leases[i];

        if (other != lease && is_on(other, at) && !ref_holds(other)) {
            others += ref_taken(other, at);
        }
    }
    return less(size_of(device), others);
}

uint32_t
ref_need(const struct ref *ref, uint32_t at, const struct ref_lease *lease)
{
    uint32_t most;
    uint32_t used;

    if (lease->need == 0 || lease->grant_number == 0 || !is_on(lease, at)) {
        return lease->need;
    }
    most = most_ever(ref, at, lease);
    used = lease->footprint[at] < most ? lease->footprint[at] : most;
    return used > lease->need ? used : lease->need;
}

/* What a resume needs measured free: what it used before, and a margin, of
 * which no more is asked than there could be. */
static uint64_t
resume_need(const struct ref *ref, uint32_t at, const struct ref_lease *lease)
{
    uint64_t need = lease->footprint[at];
    uint64_t margin = need * ref->margin / 100;
    uint32_t most = most_ever(ref, at, lease);

    if (need == 0 || ref->margin == 0) {
        return need;
    }
    margin = margin < 64 ? 64 : margin;
    if (need + margin <= most) {
        return need + margin;
    }
    return most > need ? most : need;
}

/* Whether a resume finds @more MiB than are measured free enough. */
static bool covers_footprint(const struct ref *ref,
                             uint32_t at,
                             const struct ref_lease *lease,
                             uint64_t more)
{
    const struct ref_device *device = &ref->devices[at];

    return lease->grant_number == 0 || !device->measured ||
           resume_need(ref, at, lease) + device->used <=
               device->capacity + own_charge(lease, at) + more;
}

static bool fits(const struct ref *ref,
                 const struct ref_reserved *reserved,
                 uint32_t at,
                 const struct ref_lease *lease,
                 bool backfills)
{
    const struct ref_device *device = &ref->devices[at];
    bool is_kept_for_it = !backfills && device->known && lingers(ref, at) &&
                          device->linger_service == lease->service;
    uint64_t own = own_charge(lease, at);
    uint64_t free;

    if (!ref_is_usable(ref, at, lease) ||
        !covers_footprint(ref, at, lease, 0) ||
        (!is_fresh(device) && !is_kept_for_it)) {
        return false;
    }
    if (lease->need == 0) {
        return !backfills && reserved->by == NULL && !is_held(ref, at, false) &&
               is_rid_of_residents(ref, at, lease->service) &&
               ref_whole_room(ref, at, lease) > 0;
    }
    if (!backfills && reserved->by == NULL) {
        own += device->resident[lease->service];
    }
    free = less(size_of(device) + own, not_free(ref, at));
    if (reserved->by != NULL && reserved->left + own < free) {
        free = reserved->left + own;
    }
    return !is_held(ref, at, true) && ref_need(ref, at, lease) <= free;
}

uint64_t ref_choose(const struct ref *ref,
                    const struct ref_lease *lease,
                    const bool *able,
                    const uint64_t *worth)
{
    uint64_t set = 0;
    uint32_t n;
    uint32_t i;

    for (n = 0; n < lease->count; n++) {
        uint32_t best = REF_DEVICES;

        for (i = 0; i < ref->device_count; i++) {
            if (able[i] && (set >> i & 1) == 0 &&
                (best == REF_DEVICES || worth[i] > worth[best])) {
                best = i;
            }
        }
        if (best == REF_DEVICES) {
            return 0;
        }
        set |= (uint64_t)1 << best;
    }
    return set;
}

uint64_t ref_find_fit(const struct ref *ref,
                      const struct ref_reserved *reserved,
                      const struct ref_lease *lease,
                      bool backfills)
{
    bool able[REF_DEVICES] = {false};
    uint64_t worth[REF_DEVICES] = {0};
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        able[i] = fits(ref, &reserved[i], i, lease, backfills);
        worth[i] = ref_room(ref, i);
    }
    return ref_choose(ref, lease, able, worth);
}

/* ---- Who would have to go --------------------------------------------- */

static bool can_hear(const struct ref *ref, const struct ref_lease *lease)
{
    return ref->streams[lease->service] != 0 ||
           (lease->by_connection && lease->connection != 0) ||
           (lease->renewed_at != 0 && ref->now - lease->renewed_at <= 2000);
}

/* Whether @holder may be asked to pause for @candidate. */
static bool is_victim(const struct ref *ref,
                      const struct ref_lease *holder,
                      const struct ref_lease *candidate)
{
    uint32_t priority = ref_priority(ref, candidate);
    uint32_t min_run = ref->classes[holder->class_id].min_run;
    /* An overdue waiter's turn lasts a while, whoever comes. */
    uint32_t turn = min_run > 2000 ? min_run : 2000;
    bool has_run =
        holder->is_turn
            ? ref->now - holder->granted_at >= turn
            : priority == 0 || ref->now - holder->runs_since >= min_run;

    return holder->state == REF_HELD && holder->preemptible &&
           can_hear(ref, holder) && ref_priority(ref, holder) > priority &&
           has_run;
}

/* Warm models of others that were not told to unload, or still have time. */
static uint64_t
obtainable(const struct ref *ref, uint32_t at, const struct ref_lease *lease)
{
    const struct ref_device *device = &ref->devices[at];
    uint64_t sum = 0;
    uint32_t i;

    for (i = 0; i < REF_SERVICES; i++) {
        if (i != lease->service && (device->unload_until[i] == 0 ||
                                    device->unload_until[i] > ref->now)) {
            sum += device->resident[i];
        }
    }
    return sum;
}

/* Asked first: the less important, the larger, the later granted. */
static bool asks_before(const struct ref *ref,
                        const struct ref_lease *a,
                        const struct ref_lease *b,
                        uint32_t at)
{
    if (ref_priority(ref, a) != ref_priority(ref, b)) {
        return ref_priority(ref, a) > ref_priority(ref, b);
    }
    if (ref_taken(a, at) != ref_taken(b, at)) {
        return ref_taken(a, at) > ref_taken(b, at);
    }
    return a->grant_number > b->grant_number;
}

/* The next victim on a device between two levels; REF_LEASES. */
static size_t next_victim(const struct ref *ref,
                          uint32_t at,
                          const struct ref_lease *candidate,
                          const uint32_t levels[2],
                          const bool *asked)
{
    size_t best = REF_LEASES;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        const struct ref_lease *lease = &ref->leases[i];

        if (is_on(lease, at) && !asked[i] && is_victim(ref, lease, candidate) &&
            ref_priority(ref, lease) >= levels[0] &&
            ref_priority(ref, lease) <= levels[1] &&
            (best == REF_LEASES ||
             asks_before(ref, lease, &ref->leases[best], at))) {
            best = i;
        }
    }
    return best;
}

static uint32_t gives(const struct ref *ref, size_t lease, uint32_t at)
{
    return less(ref_taken(&ref->leases[lease], at), ref->devices[at].residue);
}

/* Take victims between two levels until they give @needed, and drop again,
 * the last taken first, who turns out not to be needed.  Returns whether they
 * suffice. */
static bool take_victims(const struct ref *ref,
                         uint32_t at,
                         const struct ref_lease *candidate,
                         const uint32_t levels[2],
                         uint64_t needed,
                         bool *asked)
{
    size_t order[REF_LEASES];
    size_t count = 0;
    uint64_t taken = 0;

    while (taken < needed) {
        size_t next = next_victim(ref, at, candidate, levels, asked);

        if (next == REF_LEASES) {
            memset(asked, 0, REF_LEASES * sizeof *asked);
            return false;
        }
        asked[next] = true;
        order[count++] = next;
        taken += gives(ref, next, at);
    }
    while (count-- > 0) {
        if (taken - gives(ref, order[count], at) >= needed) {
            taken -= gives(ref, order[count], at);
            asked[order[count]] = false;
        }
    }
    return true;
}

/* The least important level that suffices alone, else all together. */
static void plan_sharing(const struct ref *ref,
                         uint32_t at,
                         const struct ref_lease *lease,
                         uint64_t needed,
                         struct ref_plan *plan)
{
    uint32_t levels[2] = {9, 9};

    plan->feasible = false;
    while (!plan->feasible && levels[0] > 0) {
        plan->feasible =
            take_victims(ref, at, lease, levels, needed, plan->asked);
        levels[0]--;
        levels[1]--;
    }
    if (!plan->feasible) {
        levels[0] = 0;
        levels[1] = 9;
        plan->feasible =
            take_victims(ref, at, lease, levels, needed, plan->asked);
    }
}

/* Who holds must be leaving, or be asked. */
static void plan_alone(const struct ref *ref,
                       uint32_t at,
                       const struct ref_lease *candidate,
                       bool may_ask,
                       struct ref_plan *plan)
{
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        const struct ref_lease *lease = &ref->leases[i];

        if (is_on(lease, at) && lease->state == REF_HELD) {
            plan->asked[i] = true;
            plan->feasible =
                plan->feasible && may_ask && is_victim(ref, lease, candidate);
        }
    }
}

/* What a sharing candidate lacks.  Beside an overdue waiter it must leave
 * that one its room. */
static uint64_t lack(const struct ref *ref,
                     const struct ref_reserved *reserved,
                     uint32_t at,
                     const struct ref_lease *lease)
{
    uint64_t need = ref_need(ref, at, lease);
    uint64_t have = size_of(&ref->devices[at]) + ref_freeing(ref, at) +
                    ref->devices[at].resident[lease->service] +
                    own_charge(lease, at);

    if (reserved->by != NULL && reserved->is_overdue) {
        need += reserved->by->need;
    }
    need += not_free(ref, at);
    return need > have ? need - have : 0;
}

bool ref_needs_all(const struct ref_reserved *reserved,
                   const struct ref_lease *lease)
{
    return lease->need == 0 || (reserved->by != NULL && reserved->is_overdue &&
                                reserved->by->need == 0);
}

struct ref_plan ref_plan(const struct ref *ref,
                         const struct ref_reserved *reserved,
                         uint32_t at,
                         const struct ref_lease *lease,
                         bool may_ask)
{
    struct ref_plan plan = {.feasible = true, .worst = 10};
    uint64_t warm = may_ask ? obtainable(ref, at, lease) : 0;
    uint64_t given = 0;
    bool alone = ref_needs_all(reserved, lease) || is_held(ref, at, true);
    size_t i;

    plan.lack = lease->need == 0 ? 0 : lack(ref, reserved, at, lease);
    if (alone) {
        plan_alone(ref, at, lease, may_ask, &plan);
    } else if (may_ask && plan.lack > warm) {
        plan_sharing(ref, at, lease, plan.lack - warm, &plan);
    }
    for (i = 0; i < ref->lease_end; i++) {
        if (plan.asked[i]) {
            given += gives(ref, i, at);
            plan.worst = ref_priority(ref, &ref->leases[i]) < plan.worst
                             ? ref_priority(ref, &ref->leases[i])
                             : plan.worst;
        }
    }
    if (plan.lack > warm + given ||
        !covers_footprint(ref, at, lease,
                          ref_freeing(ref, at) + warm + given)) {
        plan.feasible = false;
    }
    if (alone) {
        /* All of them go: warm models only for what that leaves. */
        plan.lack -= plan.lack < given ? plan.lack : given;
    }
    return plan;
}
