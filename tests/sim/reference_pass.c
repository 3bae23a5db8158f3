/* The pass of the reference: who is granted, resumed or asked now. */
#include "sim/reference.h"

#include "sim/reference_room.h"

#include <string.h>

/* What one look over all candidates keeps in mind. */
struct pass {
    bool is_done[REF_LEASES];         /* Considered in its ordinary rank. */
    bool is_overdue_done[REF_LEASES]; /* Considered as overdue. */
    struct ref_class classes[REF_CLASSES]; /* As if all passed over had been
                                              granted. */
    struct ref_reserved reserved[REF_DEVICES];
    bool keeps_clearing[REF_LEASES];
    size_t blocked[REF_LEASES]; /* Waiters that could reserve nothing: their
                                   like may not try any more. */
    size_t blocked_count;
    bool has_asked; /* Somebody to pause. */
};

/* Why a candidate stands where it stands. */
struct candidate {
    size_t at; /* Index of the lease. */
    bool is_overdue;
    bool is_sleeper;
};

static uint32_t less(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

static bool is_sleeper(const struct ref_lease *lease)
{
    return !lease->operator_paused &&
           (lease->state == REF_PAUSED ||
            (lease->state == REF_CLEARING && lease->grant_number != 0));
}

static bool is_waiter(const struct ref_lease *lease)
{
    return lease->state == REF_QUEUED ||
           (lease->state == REF_CLEARING && lease->grant_number == 0);
}

/* ---- Rank ------------------------------------------------------------- */

/* The first attended waiter of a class, of those not yet considered by @pass
 * (NULL: of all); REF_LEASES where there is none. */
static size_t
first_waiter(const struct ref *ref, const struct pass *pass, uint32_t class_id)
{
    size_t best = REF_LEASES;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        const struct ref_lease *lease = &ref->leases[i];

        if (lease->id != 0 && is_waiter(lease) && lease->class_id == class_id &&
            (pass == NULL || !pass->is_done[i]) &&
            (best == REF_LEASES || lease->seq < ref->leases[best].seq)) {
            best = i;
        }
    }
    return best;
}

static bool other_class_waits(const struct ref *ref, uint32_t class_id)
{
    uint32_t i;

    for (i = 0; i < ref->class_count; i++) {
        if (i != class_id &&
            ref->classes[i].priority == ref->classes[class_id].priority &&
            first_waiter(ref, NULL, i) != REF_LEASES) {
            return true;
        }
    }
    return false;
}

static bool is_used_up(const struct ref_class *class)
{
    return class->limit != 0 && class->consecutive >= class->limit;
}

/* A class at its limit is granted nothing, and is no candidate. */
static bool is_at_limit(const struct ref *ref, uint32_t class_id)
{
    const struct ref_class *class = &ref->classes[class_id];

    return is_used_up(class) &&
           (class->waits_alone || other_class_waits(ref, class_id));
}

static int64_t clamp(int64_t credit, int64_t bound)
{
    credit = credit > bound ? bound : credit;
    return credit < -bound ? -bound : credit;
}

/* Count a first grant of @chosen in @classes, where the classes that wait are
 * those with waiters left by @pass (NULL: all). */
static void count_grant(const struct ref *ref,
                        const struct pass *pass,
                        struct ref_class *classes,
                        uint32_t chosen)
{
    bool waits[REF_CLASSES] = {false};
    int64_t sum = 0;
    uint32_t i;

    for (i = 0; i < ref->class_count; i++) {
        waits[i] = classes[i].priority == classes[chosen].priority &&
                   first_waiter(ref, pass, i) != REF_LEASES;
        sum += waits[i] ? classes[i].weight : 0;
    }
    for (i = 0; i < ref->class_count; i++) {
        struct ref_class *class = &classes[i];

        if (waits[i]) {
            class->credit += class->weight;
            class->credit -= i == chosen ? sum : 0;
            class->credit = clamp(class->credit, 4 * sum);
        }
        if (i == chosen) {
            /* Counting beyond the limit would tell nothing. */
            class->consecutive += class->consecutive < class->limit;
        } else if (class->priority == classes[chosen].priority) {
            class->consecutive = 0;
        }
    }
}

static size_t next_overdue(const struct ref *ref, const struct pass *pass)
{
    size_t best = REF_LEASES;
    uint32_t i;

    if (ref->last_was_overdue) {
        return REF_LEASES;
    }
    for (i = 0; i < ref->class_count; i++) {
        size_t first = first_waiter(ref, NULL, i);

        if (first == REF_LEASES || pass->is_overdue_done[first] ||
            ref->classes[i].max_wait == 0 ||
            ref->now - ref->leases[first].submitted_at <
                ref->classes[i].max_wait ||
            is_at_limit(ref, i)) {
            continue;
        }
        if (best == REF_LEASES ||
            ref->leases[first].seq < ref->leases[best].seq) {
            best = first;
        }
    }
    return best;
}

static size_t
next_sleeper(const struct ref *ref, const struct pass *pass, uint32_t priority)
{
    const struct ref_lease *best = NULL;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        const struct ref_lease *lease = &ref->leases[i];

        if (lease->id == 0 || pass->is_done[i] || !is_sleeper(lease) ||
            ref_priority(ref, lease) != priority) {
            continue;
        }
        if (best == NULL || lease->first_granted_at < best->first_granted_at ||
            (lease->first_granted_at == best->first_granted_at &&
             lease->seq < best->seq)) {
            best = lease;
        }
    }
    return best == NULL ? REF_LEASES : (size_t)(best - ref->leases);
}

static bool same_shape(const struct ref_lease *a, const struct ref_lease *b)
{
    return a->class_id == b->class_id && a->set == b->set &&
           a->count == b->count && (a->need == 0) == (b->need == 0);
}

static bool is_blocked(const struct ref *ref,
                       const struct pass *pass,
                       const struct ref_lease *lease)
{
    size_t i;

    for (i = 0; i < pass->blocked_count; i++) {
        if (same_shape(&ref->leases[pass->blocked[i]], lease)) {
            return true;
        }
    }
    return false;
}

/* The first waiter of a class that may still be granted or reserve: of a
 * blocked shape only one that fits in what is left. */
static size_t first_candidate(const struct ref *ref,
                              const struct pass *pass,
                              uint32_t class_id)
{
    size_t best = REF_LEASES;
    size_t i;

    if (is_at_limit(ref, class_id)) {
        return REF_LEASES;
    }
    for (i = 0; i < ref->lease_end; i++) {
        const struct ref_lease *lease = &ref->leases[i];

        if (lease->id == 0 || !is_waiter(lease) || pass->is_done[i] ||
            lease->class_id != class_id ||
            (is_blocked(ref, pass, lease) &&
             ref_find_fit(ref, pass->reserved, lease, true) == 0)) {
            continue;
        }
        if (best == REF_LEASES || lease->seq < ref->leases[best].seq) {
            best = i;
        }
    }
    return best;
}

/* Whether class @a goes before class @b: first those before their limit, then
 * the highest credit after each that waits got its weight. */
static bool goes_before(const struct ref_class *a, const struct ref_class *b)
{
    if (is_used_up(a) != is_used_up(b)) {
        return is_used_up(b);
    }
    return a->credit + a->weight > b->credit + b->weight;
}

static size_t
next_waiter(const struct ref *ref, const struct pass *pass, uint32_t priority)
{
    size_t best = REF_LEASES;
    uint32_t best_class = 0;
    uint32_t i;

    for (i = 0; i < ref->class_count; i++) {
        size_t first;

        if (ref->classes[i].priority != priority) {
            continue;
        }
        first = first_candidate(ref, pass, i);
        if (first != REF_LEASES &&
            (best == REF_LEASES ||
             goes_before(&pass->classes[i], &pass->classes[best_class]))) {
            best = first;
            best_class = i;
        }
    }
    return best;
}

/* Find the next candidate; false where there is none. */
static bool next_candidate(const struct ref *ref,
                           const struct pass *pass,
                           struct candidate *out)
{
    uint32_t priority;

    *out = (struct candidate){.at = next_overdue(ref, pass)};
    if (out->at != REF_LEASES) {
        out->is_overdue = true;
        return true;
    }
    for (priority = 0; priority < 10; priority++) {
        out->at = next_sleeper(ref, pass, priority);
        if (out->at != REF_LEASES) {
            out->is_sleeper = true;
            return true;
        }
        out->at = next_waiter(ref, pass, priority);
        if (out->at != REF_LEASES) {
            return true;
        }
    }
    return false;
}

/* A candidate was passed over: one in its ordinary rank counts as granted for
 * the order of those behind it, in the copy only. */
static void pass_over(const struct ref *ref,
                      struct pass *pass,
                      const struct candidate *candidate)
{
    if (candidate->is_overdue) {
        pass->is_overdue_done[candidate->at] = true;
        return;
    }
    if (!candidate->is_sleeper) {
        count_grant(ref, pass, pass->classes,
                    ref->leases[candidate->at].class_id);
    }
    pass->is_done[candidate->at] = true;
}

/* ---- Granting --------------------------------------------------------- */

static void charge(struct ref *ref, struct ref_lease *lease, uint32_t at)
{
    struct ref_device *device = &ref->devices[at];
    uint32_t amount = lease->need == 0 ? ref_whole_room(ref, at, lease)
                                       : ref_need(ref, at, lease);
    uint32_t size = device->capacity - device->reserve;
    uint32_t warm = device->resident[lease->service];
    uint32_t before = ref_taken(lease, at);
    uint32_t more;

    /* Under bypass more may be asked for than there is. */
    amount = amount < size ? amount : size;
    /* What a sleeper has it keeps, however much others take. */
    if (lease->grant_number != 0 && lease->charge[at] > amount) {
        amount = lease->charge[at];
    }
    lease->charge[at] = amount;
    more = ref_taken(lease, at);
    more = more > before ? more - before : 0;
    device->resident[lease->service] = warm > more ? warm - more : 0;
    device->linger_until = 0;
}

static void grant(struct ref *ref, struct ref_lease *lease, uint64_t devices)
{
    bool is_first = lease->grant_number == 0;
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        if ((devices >> i & 1) != 0) {
            charge(ref, lease, i);
        }
    }
    lease->granted = devices;
    lease->state = REF_HELD;
    lease->grant_number = ++ref->grants;
    lease->granted_at = ref->now;
    lease->runs_since = ref->now;
    lease->first_granted_at = is_first ? ref->now : lease->first_granted_at;
    lease->expires_at = ref->now + lease->ttl;
    lease->hold_until =
        lease->max_hold == 0 ? REF_NEVER : ref->now + lease->max_hold;
    lease->heard_at = ref->now;
    /* Answered: it only goes on meaning something where it is the lease. */
    lease->connection = lease->by_connection ? lease->connection : 0;
    ref_deed(ref, (struct ref_deed){.kind = is_first ? REF_GRANT : REF_RESUME,
                                    .lease = lease->id,
                                    .devices = devices});
}

/* Grant a candidate that fits; false where it does not. */
static bool try_grant(struct ref *ref,
                      const struct pass *pass,
                      const struct candidate *candidate)
{
    struct ref_lease *lease = &ref->leases[candidate->at];
    uint64_t devices = ref_find_fit(ref, pass->reserved, lease, false);

    if (devices == 0) {
        return false;
    }
    if (!candidate->is_sleeper) {
        count_grant(ref, NULL, ref->classes, lease->class_id);
        ref->last_was_overdue = candidate->is_overdue;
    }
    grant(ref, lease, devices);
    lease->is_turn = candidate->is_overdue;
    return true;
}

/* ---- Reserving -------------------------------------------------------- */

/* Give the warm model of @service its settle time; who listens is told. */
static void tell_to_unload(struct ref *ref,
                           uint32_t at,
                           uint32_t service,
                           const struct ref_lease *lease)
{
    struct ref_device *device = &ref->devices[at];

    device->unload_until[service] = ref->now + device->settle;
    if (ref->streams[service] != 0) {
        ref_deed(ref,
                 (struct ref_deed){.kind = REF_UNLOAD,
                                   .lease = lease->id,
                                   .service = service,
                                   .amount = device->resident[service],
                                   .until = device->unload_until[service]});
    }
}

/* Tell warm models of others to unload, the oldest first, until @lack is
 * covered; all of them that are more than a residue where @alone. */
static void unload(struct ref *ref,
                   uint32_t at,
                   const struct ref_lease *lease,
                   bool alone,
                   uint64_t lack)
{
    struct ref_device *device = &ref->devices[at];
    bool is_seen[REF_SERVICES] = {false};

    for (;;) {
        uint32_t oldest = REF_SERVICES;
        uint32_t i;

        for (i = 0; i < REF_SERVICES; i++) {
            if (device->resident[i] != 0 && !is_seen[i] &&
                (oldest == REF_SERVICES ||
                 device->resident_age[i] < device->resident_age[oldest])) {
                oldest = i;
            }
        }
        if (oldest == REF_SERVICES || (!alone && lack == 0)) {
            return;
        }
        is_seen[oldest] = true;
        if (oldest == lease->service ||
            (alone && device->resident[oldest] <= device->residue) ||
            (device->unload_until[oldest] != 0 &&
             device->unload_until[oldest] <= ref->now)) {
            continue;
        }
        lack -=
            lack < device->resident[oldest] ? lack : device->resident[oldest];
        if (device->unload_until[oldest] == 0) {
            tell_to_unload(ref, at, oldest, lease);
        }
    }
}

/* Mark @devices as reserved for the candidate. */
static void reserve(const struct ref *ref,
                    struct pass *pass,
                    const struct candidate *candidate,
                    uint64_t devices,
                    bool feasible)
{
    const struct ref_lease *lease = &ref->leases[candidate->at];
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        struct ref_reserved *reserved = &pass->reserved[i];
        uint32_t free = ref_room(ref, i);
        uint32_t later = free + ref_freeing(ref, i);
        bool leaves = feasible && lease->need != 0 && reserved->by == NULL &&
                      !candidate->is_overdue;

        if ((devices >> i & 1) == 0) {
            continue;
        }
        later = less(later, ref_need(ref, i, lease));
        *reserved = (struct ref_reserved){.by = lease,
                                          .is_overdue = candidate->is_overdue,
                                          .left = !leaves        ? 0
                                                  : later < free ? later
                                                                 : free};
    }
}

static void make_room(struct ref *ref,
                      struct pass *pass,
                      const struct candidate *candidate,
                      uint64_t devices)
{
    struct ref_lease *lease = &ref->leases[candidate->at];
    struct pass before = *pass;
    uint32_t i;
    size_t j;

    for (i = 0; i < ref->device_count; i++) {
        const struct ref_reserved *reserved = &before.reserved[i];
        struct ref_plan plan;

        if ((devices >> i & 1) == 0) {
            continue;
        }
        /* Anew: who was asked on one device leaves the others too. */
        plan = ref_plan(ref, reserved, i, lease, !candidate->is_overdue);
        if (!candidate->is_overdue) {
            unload(ref, i, lease, ref_needs_all(reserved, lease), plan.lack);
        }
        for (j = 0; j < ref->lease_end; j++) {
            if (plan.asked[j]) {
                ref_ask(ref, &ref->leases[j]);
                pass->has_asked = true;
            }
        }
    }
    /* After that: what the asked will give back is being freed. */
    reserve(ref, pass, candidate, devices, true);
    lease->state = REF_CLEARING;
    lease->reserved = devices;
    pass->keeps_clearing[candidate->at] = true;
}

static void try_reserve(struct ref *ref,
                        struct pass *pass,
                        const struct candidate *candidate)
{
    struct ref_lease *lease = &ref->leases[candidate->at];
    bool able[REF_DEVICES] = {false};
    bool feasible[REF_DEVICES] = {false};
    uint64_t roomy[REF_DEVICES] = {0}; /* Most room first. */
    uint64_t cheap[REF_DEVICES] = {0}; /* Least important victims first,
                                          then where it is already. */
    uint64_t devices;
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        const struct ref_reserved *reserved = &pass->reserved[i];
        struct ref_plan plan =
            ref_plan(ref, reserved, i, lease, !candidate->is_overdue);

        able[i] =
            ref_is_usable(ref, i, lease) &&
            (reserved->by == NULL ||
             (reserved->is_overdue && plan.feasible && !candidate->is_overdue));
        feasible[i] = able[i] && plan.feasible;
        roomy[i] = (uint64_t)ref_room(ref, i) + ref_freeing(ref, i);
        cheap[i] = ((uint64_t)plan.worst << 41) + roomy[i];
        if (lease->state == REF_CLEARING && !candidate->is_overdue &&
            (lease->reserved >> i & 1) != 0) {
            cheap[i] += (uint64_t)1 << 40;
        }
    }
    devices = ref_choose(ref, lease, feasible, cheap);
    if (devices != 0) {
        make_room(ref, pass, candidate, devices);
        return;
    }
    devices = ref_choose(ref, lease, able, roomy);
    if (devices != 0) {
        reserve(ref, pass, candidate, devices, false);
    } else if (!candidate->is_overdue && !candidate->is_sleeper) {
        pass->blocked[pass->blocked_count++] = candidate->at;
    }
}

/* ---- One look --------------------------------------------------------- */

/* Clearing leases that lost their place go back where they came from. */
static void send_back(struct ref *ref, const struct pass *pass)
{
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        struct ref_lease *lease = &ref->leases[i];

        if (lease->id != 0 && lease->state == REF_CLEARING &&
            !pass->keeps_clearing[i]) {
            lease->state = lease->grant_number == 0 ? REF_QUEUED : REF_PAUSED;
        }
    }
}

/* Look at all candidates in their order; false: nobody was granted and nobody
 * was asked. */
static bool pass_once(struct ref *ref, struct pass *pass)
{
    struct candidate candidate;

    memset(pass, 0, sizeof *pass);
    memcpy(pass->classes, ref->classes, sizeof pass->classes);
    while (next_candidate(ref, pass, &candidate)) {
        if (try_grant(ref, pass, &candidate)) {
            return true;
        }
        /* Who asked for "now or not at all" will not be here to use it. */
        if (candidate.is_sleeper || ref->leases[candidate.at].timeout != 0) {
            try_reserve(ref, pass, &candidate);
        }
        pass_over(ref, pass, &candidate);
    }
    return pass->has_asked;
}

/* ---- Offers ----------------------------------------------------------- */

/* Whether @lease, whom nobody attends, would have had the device. */
static bool would_have(const struct ref *ref,
                       const struct pass *pass,
                       uint32_t at,
                       const struct ref_lease *lease)
{
    const struct ref_lease *other = pass->reserved[at].by;

    if (!ref_is_usable(ref, at, lease)) {
        return false;
    }
    if (other != NULL && ref_priority(ref, lease) >= ref_priority(ref, other) &&
        !(is_waiter(other) && other->class_id == lease->class_id &&
          lease->seq < other->seq)) {
        return false;
    }
    return ref_plan(ref, &pass->reserved[at], at, lease, true).feasible;
}

/* The first of the waiters of a class that nobody attends; NULL. */
static struct ref_lease *first_away(struct ref *ref, uint32_t class_id)
{
    struct ref_lease *best = NULL;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        struct ref_lease *lease = &ref->leases[i];

        if (lease->id != 0 && lease->state == REF_AWAY &&
            lease->class_id == class_id &&
            (best == NULL || lease->seq < best->seq)) {
            best = lease;
        }
    }
    return best;
}

static void offer(struct ref *ref, const struct pass *pass, uint32_t class_id)
{
    struct ref_lease *lease = first_away(ref, class_id);
    uint32_t count = 0;
    uint32_t i;

    if (lease == NULL || is_at_limit(ref, class_id) ||
        (lease->offered_at != 0 && ref->now - lease->offered_at < 5000)) {
        return;
    }
    for (i = 0; i < ref->device_count; i++) {
        count += would_have(ref, pass, i, lease);
    }
    if (count >= lease->count) {
        lease->offered_at = ref->now;
        ref_deed(ref, (struct ref_deed){.kind = REF_OFFER, .lease = lease->id});
    }
}

/* ---- Bypass ----------------------------------------------------------- */

/* Whether @a goes before @b where everybody is let in. */
static bool enters_before(const struct ref *ref,
                          const struct ref_lease *a,
                          const struct ref_lease *b)
{
    if (ref_priority(ref, a) != ref_priority(ref, b)) {
        return ref_priority(ref, a) < ref_priority(ref, b);
    }
    if (is_sleeper(a) != is_sleeper(b)) {
        return is_sleeper(a);
    }
    if (is_sleeper(a) && a->first_granted_at != b->first_granted_at) {
        return a->first_granted_at < b->first_granted_at;
    }
    return a->seq < b->seq;
}

static struct ref_lease *next_to_enter(struct ref *ref)
{
    struct ref_lease *best = NULL;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        struct ref_lease *lease = &ref->leases[i];

        if (lease->id != 0 && (is_sleeper(lease) || is_waiter(lease)) &&
            (best == NULL || enters_before(ref, lease, best))) {
            best = lease;
        }
    }
    return best;
}

/* Everybody is let in, wherever it is. */
static void let_in(struct ref *ref)
{
    struct ref_lease *lease;

    while ((lease = next_to_enter(ref)) != NULL) {
        uint64_t devices = lease->granted;
        bool able[REF_DEVICES] = {false};
        uint64_t worth[REF_DEVICES] = {0};
        uint32_t i;

        for (i = 0; i < ref->device_count; i++) {
            able[i] = lease->set == 0 || (lease->set >> i & 1) != 0;
            worth[i] = ref_room(ref, i);
        }
        if (is_waiter(lease)) {
            devices = ref_choose(ref, lease, able, worth);
            ref->last_was_overdue = false;
        }
        grant(ref, lease, devices);
        lease->is_turn = false;
    }
}

/* ---- The pass --------------------------------------------------------- */

void ref_pass(struct ref *ref)
{
    struct pass pass;
    uint32_t i;

    if (ref->now < ref->hold_until) {
        return;
    }
    if (ref->bypass_until != 0 && !ref->stopping) {
        let_in(ref);
        return;
    }
    while (pass_once(ref, &pass)) {
        /* After a grant, or an ask, all is looked at anew. */
    }
    send_back(ref, &pass);
    for (i = 0; i < ref->class_count; i++) {
        offer(ref, &pass, i);
    }
}
