/* The events of the reference. */
#include "sim/reference.h"

#include <assert.h>
#include <string.h>

void ref_begin(struct ref *ref, uint64_t now)
{
    assert(now >= ref->now);
    ref->now = now;
    ref->deed_count = 0;
}

struct ref_lease *ref_find(struct ref *ref, uint64_t id)
{
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        if (ref->leases[i].id == id && id != 0) {
            return &ref->leases[i];
        }
    }
    return NULL;
}

bool ref_holds(const struct ref_lease *lease)
{
    return lease->state == REF_HELD || lease->state == REF_PAUSING ||
           lease->state == REF_RECLAIMING;
}

void ref_deed(struct ref *ref, struct ref_deed deed)
{
    assert(ref->deed_count < REF_DEEDS);
    ref->deeds[ref->deed_count++] = deed;
}

static bool is_waiter(const struct ref_lease *lease)
{
    return lease->state == REF_AWAY || lease->state == REF_QUEUED ||
           (lease->state == REF_CLEARING && lease->grant_number == 0);
}

static bool has(const struct ref_lease *lease, uint32_t device)
{
    return (lease->granted >> device & 1) != 0;
}

static uint64_t after(uint64_t now, uint64_t ms)
{
    return ms == REF_NEVER ? REF_NEVER : now + ms;
}

/* ---- What samples tell about a lease ---------------------------------- */

uint32_t ref_taken(const struct ref_lease *lease, uint32_t device)
{
    return lease->charge[device] > lease->uses[device] ? lease->charge[device]
                                                       : lease->uses[device];
}

/* VRAM that is not free by the books. */
static uint64_t booked(const struct ref *ref, uint32_t at)
{
    const struct ref_device *device = &ref->devices[at];
    uint64_t sum = device->unleased;
    size_t i;

    for (i = 0; i < REF_SERVICES; i++) {
        sum += device->resident[i];
    }
    for (i = 0; i < ref->lease_end; i++) {
        const struct ref_lease *lease = &ref->leases[i];

        sum += lease->id != 0 && has(lease, at) ? ref_taken(lease, at) : 0;
    }
    return sum;
}

/* What @lease uses, as far as the newest sample can tell. */
static uint32_t
used_by(const struct ref *ref, const struct ref_lease *lease, uint32_t at)
{
    const struct ref_device *device = &ref->devices[at];
    uint64_t others = booked(ref, at) - ref_taken(lease, at);

    if (device->named_at != 0) {
        return lease->uses[at];
    }
    return device->measured && device->used > others
               ? (uint32_t)(device->used - others)
               : 0;
}

/* Whether samples begun after @since show that @lease keeps no more than
 * @kept, or the residue, on any of its devices. */
static bool is_clear(const struct ref *ref,
                     const struct ref_lease *lease,
                     uint32_t kept,
                     uint64_t since)
{
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        const struct ref_device *device = &ref->devices[i];
        uint32_t allowed = kept > device->residue ? kept : device->residue;
        uint64_t seen_at =
            device->named_at != 0 ? device->named_at : device->sampled_at;

        if (has(lease, i) && device->measured &&
            (seen_at <= since || used_by(ref, lease, i) > allowed)) {
            return false;
        }
    }
    return true;
}

static uint32_t longest_settle(const struct ref *ref,
                               const struct ref_lease *lease)
{
    uint32_t longest = 0;
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        if (has(lease, i) && ref->devices[i].settle > longest) {
            longest = ref->devices[i].settle;
        }
    }
    return longest;
}

/* ---- The end of a lease ----------------------------------------------- */

/* Older samples tell nothing about the devices of @lease from now on. */
static void mark_changed(struct ref *ref, const struct ref_lease *lease)
{
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        if (has(lease, i)) {
            ref->devices[i].changed_at = ref->now;
        }
    }
}

/* The charge of @lease becomes its service's warm model. */
static void leave_resident(struct ref *ref, const struct ref_lease *lease)
{
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        struct ref_device *device = &ref->devices[i];

        if (!has(lease, i) || !device->measured || ref_taken(lease, i) == 0) {
            continue;
        }
        if (device->resident[lease->service] == 0) {
            device->resident_age[lease->service] = ref->age_next++;
        }
        device->resident[lease->service] += ref_taken(lease, i);
        device->unload_until[lease->service] = 0;
    }
}

static void end(struct ref_lease *lease)
{
    *lease = (struct ref_lease){.state = REF_ENDED};
}

/* End a granted lease whose holder left in peace. */
static void give_back(struct ref *ref, struct ref_lease *lease)
{
    mark_changed(ref, lease);
    leave_resident(ref, lease);
    end(lease);
}

/* A revoked lease is over: what is still used is nobody's. */
static void reclaimed(struct ref *ref, struct ref_lease *lease)
{
    uint64_t devices = lease->granted;
    uint32_t uses[REF_DEVICES];
    uint32_t i;

    memcpy(uses, lease->uses, sizeof uses);
    end(lease);
    for (i = 0; i < ref->device_count; i++) {
        struct ref_device *device = &ref->devices[i];

        device->unleased += uses[i];
        if ((devices >> i & 1) != 0 && device->measured &&
            device->used > booked(ref, i)) {
            device->unleased += (uint32_t)(device->used - booked(ref, i));
        }
    }
}

static void begin_reclaim(struct ref *ref, struct ref_lease *lease)
{
    lease->state = REF_RECLAIMING;
    lease->turn = ref->turn_next++;
    lease->reclaimed_at = ref->now;
}

/* Take a lease back, whether it holds or sleeps. */
static void take_back(struct ref *ref, struct ref_lease *lease)
{
    if (!ref_holds(lease)) {
        give_back(ref, lease);
        return;
    }
    mark_changed(ref, lease);
    lease->job = 0; /* The name is free for a new lease. */
    lease->connection = 0;
    begin_reclaim(ref, lease);
    if (is_clear(ref, lease, 0, ref->now)) {
        reclaimed(ref, lease);
    }
}

/* ---- Waiting ---------------------------------------------------------- */

static bool is_possible(const struct ref *ref,
                        const struct ref_request *request)
{
    uint32_t able = 0;
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        const struct ref_device *device = &ref->devices[i];

        able += (request->set == 0 || (request->set >> i & 1) != 0) &&
                request->need <= device->capacity - device->reserve;
    }
    return request->count <= able;
}

static struct ref_lease *
find_job(struct ref *ref, uint32_t service, uint64_t job)
{
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        struct ref_lease *lease = &ref->leases[i];

        if (lease->id != 0 && job != 0 && lease->service == service &&
            lease->job == job) {
            return lease;
        }
    }
    return NULL;
}

static bool is_attended(const struct ref *ref, const struct ref_lease *lease)
{
    return lease->connection != 0 || ref->streams[lease->service] != 0;
}

/* Nobody attends the waiter any more. */
static void go_away(struct ref *ref, struct ref_lease *lease)
{
    lease->state = REF_AWAY;
    lease->away_until =
        lease->durable ? lease->wait_until : after(ref->now, ref->away);
}

static bool reattach(struct ref *ref,
                     struct ref_lease *lease,
                     const struct ref_request *request)
{
    if (lease->class_id != request->class_id || lease->need != request->need ||
        lease->count != request->count || lease->set != request->set) {
        return false;
    }
    lease->connection = request->connection;
    if (is_waiter(lease)) {
        lease->timeout = request->timeout;
        lease->wait_until = after(ref->now, request->timeout);
        if (lease->state == REF_AWAY) {
            go_away(ref, lease);
            lease->state = is_attended(ref, lease) ? REF_QUEUED : REF_AWAY;
        }
    } else if (request->connection != 0) {
        lease->heard_at = ref->now;
        lease->expires_at = ref->now + lease->ttl;
        lease->connection = lease->by_connection ? lease->connection : 0;
    }
    return true;
}

static bool is_over_limit(const struct ref *ref, uint32_t service)
{
    uint32_t all = 0;
    uint32_t its = 0;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        const struct ref_lease *lease = &ref->leases[i];

        if (lease->id != 0 && is_waiter(lease)) {
            all++;
            its += lease->service == service;
        }
    }
    return all >= ref->waiters_max || its >= ref->service_waiters_max;
}

static struct ref_lease *free_place(struct ref *ref)
{
    size_t i;

    for (i = 0; i < REF_LEASES; i++) {
        if (ref->leases[i].id == 0) {
            if (i >= ref->lease_end) {
                ref->lease_end = i + 1;
            }
            return &ref->leases[i];
        }
    }
    assert(false);
    return NULL;
}

bool ref_submit(struct ref *ref, const struct ref_request *request, uint64_t id)
{
    struct ref_lease *lease = find_job(ref, request->service, request->job);

    if (lease != NULL) {
        return reattach(ref, lease, request);
    }
    if (ref->draining || ref->stopping || !is_possible(ref, request) ||
        is_over_limit(ref, request->service)) {
        return false;
    }
    lease = free_place(ref);
    *lease = (struct ref_lease){
        .id = id,
        .seq = ref->seq_next++,
        .job = request->job,
        .connection = request->connection,
        .set = request->set,
        .submitted_at = ref->now,
        .timeout = request->timeout,
        .wait_until = after(ref->now, request->timeout),
        .expires_at = REF_NEVER,
        .hold_until = REF_NEVER,
        .service = request->service,
        .class_id = request->class_id,
        .need = request->need,
        .count = request->count,
        .ttl = request->ttl,
        .grace = request->grace,
        .max_hold = request->max_hold,
        .preemptible = request->preemptible,
        .durable = request->durable,
        .by_connection = request->by_connection,
        .state = REF_QUEUED,
    };
    if (!is_attended(ref, lease)) {
        go_away(ref, lease);
    }
    return true;
}

void ref_stream(struct ref *ref, uint32_t service, bool opened)
{
    bool changes =
        opened ? ref->streams[service]++ == 0 : --ref->streams[service] == 0;
    size_t i;

    if (!changes) {
        return;
    }
    ref->lost_at[service] = opened ? 0 : ref->now;
    for (i = 0; i < ref->lease_end; i++) {
        struct ref_lease *lease = &ref->leases[i];

        if (lease->id == 0 || lease->service != service || !is_waiter(lease)) {
            continue;
        }
        if (opened && lease->state == REF_AWAY) {
            lease->state = REF_QUEUED;
        } else if (!opened && lease->connection == 0) {
            go_away(ref, lease);
        }
    }
}

void ref_detach(struct ref *ref, uint64_t id, uint64_t connection)
{
    struct ref_lease *lease = ref_find(ref, id);

    if (lease == NULL || lease->connection != connection) {
        return;
    }
    lease->connection = 0;
    if (!is_waiter(lease)) {
        if (lease->by_connection && lease->state != REF_RECLAIMING) {
            give_back(ref, lease);
        }
    } else if (lease->job == 0) {
        end(lease);
    } else if (!is_attended(ref, lease)) {
        go_away(ref, lease);
    }
}

/* ---- Holding ---------------------------------------------------------- */

static void keep_seat(struct ref *ref, const struct ref_lease *lease)
{
    const struct ref_class *class = &ref->classes[lease->class_id];
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        if (has(lease, i) && class->linger != 0) {
            ref->devices[i].linger_until = ref->now + class->linger;
            ref->devices[i].linger_service = lease->service;
            ref->devices[i].linger_priority = class->priority;
        }
    }
}

void ref_release(struct ref *ref, uint64_t id)
{
    struct ref_lease *lease = ref_find(ref, id);

    if (lease == NULL || is_waiter(lease) || lease->state == REF_RECLAIMING) {
        return;
    }
    if (ref_holds(lease)) {
        keep_seat(ref, lease);
    }
    give_back(ref, lease);
}

void ref_renew(struct ref *ref, uint64_t id, uint32_t ttl)
{
    struct ref_lease *lease = ref_find(ref, id);

    if (lease == NULL || is_waiter(lease) || lease->state == REF_RECLAIMING) {
        return;
    }
    lease->ttl = ttl == 0 ? lease->ttl : ttl;
    lease->expires_at = ref->now + lease->ttl;
    lease->heard_at = ref->now;
    lease->renewed_at = ref->now;
}

void ref_ask(struct ref *ref, struct ref_lease *lease)
{
    uint32_t i;

    if (lease->state != REF_HELD) {
        return;
    }
    for (i = 0; i < ref->device_count; i++) {
        bool is_told = lease->need == 0 || ref->devices[i].named_at != 0;

        lease->footprint[i] = !has(lease, i) ? 0
                              : is_told      ? used_by(ref, lease, i)
                                             : lease->charge[i];
    }
    lease->state = REF_PAUSING;
    lease->acked_at = 0;
    lease->pause_until = ref->now + lease->grace;
    ref_deed(ref, (struct ref_deed){.kind = REF_PAUSE, .lease = lease->id});
}

/* An acknowledged pause whose VRAM is gone. */
static void become_paused(struct ref *ref, struct ref_lease *lease)
{
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        uint32_t kept = used_by(ref, lease, i);

        kept = kept > lease->kept ? kept : lease->kept;
        if (kept > ref->devices[i].residue) {
            kept = ref->devices[i].residue;
        }
        if (lease->charge[i] > kept) {
            lease->charge[i] = kept;
        }
    }
    lease->state = REF_PAUSED;
}

/* The next lease that waits in @state for a sample to show its VRAM gone, its
 * turn from @turn on; NULL. */
static struct ref_lease *
next_to_settle(struct ref *ref, enum ref_state state, uint64_t turn)
{
    struct ref_lease *best = NULL;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        struct ref_lease *lease = &ref->leases[i];

        if (lease->id == 0 || lease->state != state || lease->turn < turn ||
            (state == REF_PAUSING && lease->acked_at == 0)) {
            continue;
        }
        if (best == NULL || lease->turn < best->turn) {
            best = lease;
        }
    }
    return best;
}

/* See which acks and revocations the newest samples settle, one after the
 * other: what one gives back is not there to cover the next. */
static void settle(struct ref *ref)
{
    struct ref_lease *lease;
    uint64_t turn = 0;

    while ((lease = next_to_settle(ref, REF_PAUSING, turn)) != NULL) {
        turn = lease->turn + 1;
        if (is_clear(ref, lease, lease->kept, lease->acked_at)) {
            become_paused(ref, lease);
        }
    }
    turn = 0;
    while ((lease = next_to_settle(ref, REF_RECLAIMING, turn)) != NULL) {
        turn = lease->turn + 1;
        if (is_clear(ref, lease, 0, lease->reclaimed_at)) {
            reclaimed(ref, lease);
        }
    }
}

static bool keeps_too_much(const struct ref *ref,
                           const struct ref_lease *lease,
                           uint32_t kept)
{
    uint32_t i;

    for (i = 0; i < ref->device_count; i++) {
        if (has(lease, i) && kept > ref->devices[i].residue) {
            return true;
        }
    }
    return false;
}

/* It counts as the deadline. */
static void pause_failed(struct ref *ref, struct ref_lease *lease)
{
    if (ref->bypass_until == 0) {
        take_back(ref, lease);
    } else {
        lease->acked_at = 0;
        lease->pause_until = ref->now + lease->grace;
    }
}

void ref_ack(struct ref *ref, uint64_t id, enum ref_ack action, uint32_t kept)
{
    struct ref_lease *lease = ref_find(ref, id);

    if (lease == NULL) {
        return;
    }
    if (action == REF_ACK_RESUMED) {
        lease->runs_since = ref->now;
        return;
    }
    if (lease->state != REF_PAUSING ||
        (action == REF_ACK_PAUSED && lease->acked_at != 0)) {
        return;
    }
    if (action == REF_ACK_ERROR || keeps_too_much(ref, lease, kept)) {
        pause_failed(ref, lease);
        return;
    }
    mark_changed(ref, lease);
    lease->turn = ref->turn_next++;
    lease->acked_at = ref->now;
    lease->kept = kept;
    if (is_clear(ref, lease, kept, ref->now)) {
        become_paused(ref, lease);
    }
}

void ref_cancel(struct ref *ref, uint64_t id)
{
    struct ref_lease *lease = ref_find(ref, id);

    if (lease == NULL || ref_holds(lease)) {
        return;
    }
    if (is_waiter(lease)) {
        end(lease);
    } else {
        give_back(ref, lease);
    }
}

void ref_gone(struct ref *ref, uint64_t id)
{
    struct ref_lease *lease = ref_find(ref, id);

    if (lease == NULL) {
        return;
    }
    if (is_waiter(lease)) {
        end(lease);
    } else if (lease->state != REF_RECLAIMING) {
        take_back(ref, lease);
    }
}

/* ---- Time ------------------------------------------------------------- */

/* When a granted lease ends for want of a sign of life. */
static uint64_t life_end(const struct ref *ref, const struct ref_lease *lease)
{
    uint64_t lost_at = ref->lost_at[lease->service];

    if (lease->by_connection && lease->connection != 0) {
        return REF_NEVER;
    }
    if (lost_at != 0 && lease->heard_at < lost_at &&
        lost_at + ref->stream_grace < lease->expires_at) {
        return lost_at + ref->stream_grace;
    }
    return lease->expires_at;
}

static bool is_over(const struct ref *ref, const struct ref_lease *lease)
{
    uint64_t until = life_end(ref, lease);

    if (lease->state == REF_HELD && lease->hold_until < until) {
        /* Under bypass nobody is taken back for having held for long. */
        until = ref->bypass_until != 0 ? until : lease->hold_until;
    } else if (lease->state == REF_PAUSING && lease->acked_at != 0) {
        until = lease->acked_at + longest_settle(ref, lease);
        until = until < lease->pause_until ? lease->pause_until : until;
    } else if (lease->state == REF_PAUSING && lease->pause_until < until) {
        until = lease->pause_until;
    } else if (lease->state == REF_RECLAIMING) {
        until = lease->reclaimed_at + longest_settle(ref, lease);
    }
    return until <= ref->now;
}

/* The wait is over; with a job its place is kept for a while. */
static void refuse(struct ref *ref, struct ref_lease *lease, bool keeps_place)
{
    lease->connection = 0;
    if (lease->job != 0 && keeps_place) {
        go_away(ref, lease);
    } else {
        end(lease);
    }
}

void ref_refuse(struct ref *ref, uint64_t id, bool is_repeat)
{
    struct ref_lease *lease = ref_find(ref, id);

    if (lease != NULL && is_waiter(lease) && lease->timeout == 0) {
        refuse(ref, lease, is_repeat);
    }
}

static void waiter_due(struct ref *ref, struct ref_lease *lease)
{
    if (lease->state == REF_AWAY) {
        if (lease->away_until <= ref->now) {
            end(lease);
        }
    } else if (lease->wait_until <= ref->now) {
        refuse(ref, lease, !lease->durable);
    }
}

/* The next lease by its id, from @id on; NULL. */
static struct ref_lease *next_lease(struct ref *ref, uint64_t id)
{
    struct ref_lease *best = NULL;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        struct ref_lease *lease = &ref->leases[i];

        if (lease->id >= id && (best == NULL || lease->id < best->id)) {
            best = lease;
        }
    }
    return best;
}

/* The time of a granted lease in its state is over. */
static void granted_due(struct ref *ref, struct ref_lease *lease)
{
    if (lease->state == REF_RECLAIMING) {
        reclaimed(ref, lease);
    } else if (ref->bypass_until == 0) {
        take_back(ref, lease);
    } else if (lease->state == REF_PAUSING && life_end(ref, lease) > ref->now) {
        lease->pause_until = ref->now + lease->grace;
    } else {
        /* Under bypass it ends, but nobody is to clear it away. */
        give_back(ref, lease);
    }
}

void ref_tick(struct ref *ref)
{
    struct ref_lease *lease;
    uint64_t id = 1;

    while ((lease = next_lease(ref, id)) != NULL) {
        id = lease->id + 1;
        if (is_waiter(lease)) {
            waiter_due(ref, lease);
        } else if (is_over(ref, lease)) {
            granted_due(ref, lease);
        }
    }
    if (ref->bypass_until <= ref->now) {
        ref->bypass_until = 0;
    }
}

/* ---- Devices ---------------------------------------------------------- */

/* Lower the residents of a device by @mib, oldest first. */
static void lower_residents(struct ref_device *device, uint64_t mib)
{
    while (mib > 0) {
        uint32_t oldest = REF_SERVICES;
        uint32_t part;
        uint32_t i;

        for (i = 0; i < REF_SERVICES; i++) {
            if (device->resident[i] != 0 &&
                (oldest == REF_SERVICES ||
                 device->resident_age[i] < device->resident_age[oldest])) {
                oldest = i;
            }
        }
        assert(oldest != REF_SERVICES);
        part = device->resident[oldest] < mib ? device->resident[oldest]
                                              : (uint32_t)mib;
        device->resident[oldest] -= part;
        mib -= part;
    }
}

/* Tell warm models and strangers apart after a sample of the whole device. */
static void account(struct ref *ref, uint32_t at)
{
    struct ref_device *device = &ref->devices[at];
    uint64_t charged = 0;
    uint64_t warm = 0;
    uint64_t excess;
    uint64_t allowed;
    bool is_held = false;
    size_t i;

    device->named_at = 0;
    ref_forget_uses(ref, at);
    for (i = 0; i < ref->lease_end; i++) {
        const struct ref_lease *lease = &ref->leases[i];

        if (lease->id != 0 && has(lease, at)) {
            charged += lease->charge[at];
            is_held = is_held || ref_holds(lease);
        }
    }
    for (i = 0; i < REF_SERVICES; i++) {
        warm += device->resident[i];
    }
    excess = device->used > charged ? device->used - charged : 0;
    allowed = excess > device->unleased ? excess - device->unleased : 0;
    if (warm > allowed) {
        lower_residents(device, warm - allowed);
        warm = allowed;
    }
    /* Holders may use less than they are charged, and hide strangers: those
     * are only believed to be gone while nobody holds. */
    if (excess - warm > device->unleased || !is_held) {
        device->unleased = (uint32_t)(excess - warm);
    } else if (device->unleased > device->used) {
        device->unleased = device->used;
    }
}

void ref_report(struct ref *ref, const struct ref_sample *sample)
{
    struct ref_device *device = &ref->devices[sample->device];

    device->ok = sample->ok;
    if (!sample->ok || !device->measured ||
        sample->begun_at < device->sampled_at) {
        return;
    }
    device->sampled_at = sample->begun_at;
    device->used = sample->used;
    if (sample->begun_at > device->changed_at) {
        device->known = true;
        if (sample->names) {
            ref_attribute(ref, sample);
        } else {
            account(ref, sample->device);
        }
        settle(ref);
    }
}

/* ---- Operators and restarts ------------------------------------------- */

void ref_drain(struct ref *ref, uint64_t devices, bool drains)
{
    uint32_t i;

    if (devices == 0) {
        ref->draining = drains;
    }
    for (i = 0; i < ref->device_count; i++) {
        /* To undrain at large undrains every device. */
        if ((devices >> i & 1) != 0 || (devices == 0 && !drains)) {
            ref->devices[i].drained = drains;
        }
    }
}

void ref_revoke(struct ref *ref, uint64_t id)
{
    struct ref_lease *lease = ref_find(ref, id);

    if (lease == NULL || lease->state == REF_RECLAIMING) {
        return;
    }
    if (is_waiter(lease)) {
        end(lease);
    } else {
        take_back(ref, lease);
    }
}

void ref_pause(struct ref *ref, uint64_t id)
{
    struct ref_lease *lease = ref_find(ref, id);

    if (lease == NULL || is_waiter(lease) || lease->state == REF_RECLAIMING) {
        return;
    }
    lease->operator_paused = true;
    ref_ask(ref, lease);
}

void ref_resume(struct ref *ref, uint64_t id)
{
    struct ref_lease *lease = ref_find(ref, id);

    if (lease != NULL) {
        lease->operator_paused = false;
    }
}

void ref_bypass(struct ref *ref, uint64_t until)
{
    ref->bypass_until = until;
}

void ref_configure(struct ref *ref, const struct ref_settings *settings)
{
    uint32_t i;

    ref->waiters_max = settings->waiters_max;
    ref->service_waiters_max = settings->service_waiters_max;
    ref->stream_grace = settings->stream_grace;
    ref->away = settings->away;
    ref->margin = settings->margin;
    ref->class_count = settings->class_count;
    for (i = 0; i < settings->class_count; i++) {
        struct ref_class before = ref->classes[i];
        struct ref_class *class = &ref->classes[i];

        *class = settings->classes[i];
        class->credit = before.credit;
        class->consecutive = before.consecutive < class->limit
                                 ? before.consecutive
                                 : class->limit;
    }
    for (i = 0; i < ref->device_count; i++) {
        ref->devices[i].reserve = settings->reserve[i];
        ref->devices[i].residue = settings->residue[i];
        ref->devices[i].settle = settings->settle[i];
    }
}

void ref_shutdown(struct ref *ref, uint64_t until)
{
    size_t i;

    ref->stopping = true;
    ref->stop_at = until;
    for (i = 0; i < ref->lease_end; i++) {
        if (ref->leases[i].id != 0 && ref->leases[i].state == REF_HELD) {
            ref_deed(ref, (struct ref_deed){.kind = REF_FINISH,
                                            .lease = ref->leases[i].id,
                                            .until = until});
        }
    }
}

void ref_stop(struct ref *ref)
{
    bool is_held = false;
    size_t i;

    if (!ref->stopping) {
        return;
    }
    for (i = 0; i < ref->lease_end; i++) {
        struct ref_lease *lease = &ref->leases[i];

        if (lease->id == 0) {
            continue;
        }
        is_held = is_held || ref_holds(lease);
        if (is_waiter(lease) && lease->state != REF_AWAY) {
            refuse(ref, lease, true);
        }
    }
    if (!ref->stopped && (!is_held || ref->now >= ref->stop_at)) {
        ref->stopped = true;
        ref_deed(ref, (struct ref_deed){.kind = REF_STOPPED});
    }
}

static void restart_lease(struct ref *ref, struct ref_lease *lease)
{
    lease->connection = 0;
    if (is_waiter(lease)) {
        lease->offered_at = 0;
        lease->wait_until = after(ref->now, lease->timeout);
        refuse(ref, lease, true);
        return;
    }
    /* A sample begun before the restart may be older than the last release. */
    mark_changed(ref, lease);
    lease->runs_since = ref->now;
    lease->expires_at = ref->now + lease->ttl;
    lease->heard_at = 0;
    lease->renewed_at = 0;
    if (lease->state == REF_CLEARING) {
        lease->state = REF_PAUSED;
    } else if (lease->state == REF_PAUSING) {
        lease->acked_at = 0;
        lease->pause_until = ref->now + lease->grace;
    } else if (lease->state == REF_RECLAIMING) {
        begin_reclaim(ref, lease);
    }
}

void ref_restart(struct ref *ref, uint32_t hold)
{
    struct ref_lease *lease;
    uint64_t id = 1;
    size_t i;

    memset(ref->streams, 0, sizeof ref->streams);
    memset(ref->lost_at, 0, sizeof ref->lost_at);
    ref->hold_until = ref->now + hold;
    ref->last_was_overdue = false;
    ref->stopping = false;
    ref->stopped = false;
    for (i = 0; i < ref->device_count; i++) {
        struct ref_device *device = &ref->devices[i];

        memset(device->resident, 0, sizeof device->resident);
        device->unleased = 0;
        device->used = 0;
        device->named_at = 0;
        ref_forget_uses(ref, (uint32_t)i);
        device->known = false;
        device->sampled_at = 0;
        device->changed_at = 0;
        device->linger_until = 0;
        device->ok = true;
    }
    while ((lease = next_lease(ref, id)) != NULL) {
        id = lease->id + 1;
        restart_lease(ref, lease);
    }
}
