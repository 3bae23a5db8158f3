/* account.c - whose VRAM is it: what a sample says of a device.
 *
 * Used VRAM belongs to leases, is resident (warm models of services without a
 * lease) or unleased (everybody else).  Where the driver tells the processes
 * apart, a sample says so itself (decision 0003).  Elsewhere it is arithmetic:
 * how much is used beyond the charges, and of that, what was known as unleased
 * comes first.  Either way only a sample counts that was begun after the last
 * thing given back.
 */
#include "core/parts.h"

/* ---- Residents -------------------------------------------------------- */

void account_lower_resident(struct device *device,
                            uint32_t service,
                            uint32_t mib)
{
    uint32_t kept = 0;
    uint32_t i;

    for (i = 0; i < device->resident_count; i++) {
        struct resident resident = device->residents[i];

        if (service == 0 || resident.service == service) {
            uint32_t part = mib_smaller(mib, resident.mib);

            resident.mib -= part;
            mib -= part;
        }
        if (resident.mib > 0) {
            device->residents[kept++] = resident;
        }
    }
    device->resident_count = kept;
}

void account_raise_resident(struct device *device,
                            uint32_t service,
                            uint32_t mib)
{
    uint32_t i;

    if (mib == 0) {
        return; /* Nothing new is warm: what was told has its time still. */
    }
    for (i = 0; i < device->resident_count; i++) {
        if (device->residents[i].service == service) {
            device->residents[i].mib += mib;
            device->residents[i].until_ms = 0;
            return;
        }
    }
    if (device->resident_count == RESIDENTS_MAX) {
        device->unleased_mib += mib;
    } else {
        device->residents[device->resident_count++] =
            (struct resident){.service = service, .mib = mib};
    }
}

/* ---- Seats ------------------------------------------------------------ */

void account_set_seat(struct device *device,
                      struct seat *seat,
                      uint32_t charge_mib,
                      uint32_t measured_mib)
{
    device->charged_mib -= account_taken_mib(seat);
    seat->share.charge_mib = charge_mib;
    seat->measured_mib = measured_mib;
    device->charged_mib += account_taken_mib(seat);
}

/* Count @mib more as measured for @seat; no driver's word goes beyond the
 * device. */
static void measure(struct device *device, struct seat *seat, uint32_t mib)
{
    uint32_t room = mib_above(device->config.capacity_mib, seat->measured_mib);

    account_set_seat(device, seat, seat->share.charge_mib,
                     seat->measured_mib + mib_smaller(mib, room));
}

static void forget_measured(struct device *device)
{
    struct list *at;

    LIST_EACH (at, &device->seats) {
        account_set_seat(device, seat_at(at), seat_at(at)->share.charge_mib, 0);
    }
}

/* ---- A sample of the whole device ------------------------------------- */

/* Tell resident and unleased VRAM apart by arithmetic. */
static void estimate(struct device *device)
{
    uint32_t excess;
    uint32_t residents = device_resident_mib(device, 0, true);
    uint32_t allowed;
    uint32_t unleased;

    if (device->attributed_at_ms != 0) {
        device->attributed_at_ms = 0;
        forget_measured(device);
    }
    excess = mib_above(device->used_mib, device->charged_mib);
    allowed = mib_above(excess, device->unleased_mib);
    account_lower_resident(device, 0, mib_above(residents, allowed));
    unleased = excess - device_resident_mib(device, 0, true);
    /* Holders may use less than they are charged, and so hide what is
     * unleased: it is only believed to be gone while nobody holds. */
    if (unleased > device->unleased_mib ||
        !device_is_held(device, NULL, true)) {
        device->unleased_mib = unleased;
    } else {
        device->unleased_mib =
            mib_smaller(device->unleased_mib, device->used_mib);
    }
}

/* ---- A sample that names the users ------------------------------------ */

/* What the processes of services use that are not of a known lease. */
struct pools {
    struct {
        uint32_t service;
        uint32_t mib;
    } of[CORE_USAGES_MAX];
    uint32_t count;
    uint64_t nobodys_mib;
};

static uint32_t *pool_find(struct pools *pools, uint32_t service)
{
    uint32_t i;

    for (i = 0; i < pools->count; i++) {
        if (pools->of[i].service == service) {
            return &pools->of[i].mib;
        }
    }
    return NULL;
}

static void pool_add(struct pools *pools, uint32_t service, uint32_t mib)
{
    uint32_t *pool = pool_find(pools, service);

    if (service == 0) {
        pools->nobodys_mib += mib;
    } else if (pool != NULL) {
        *pool += mib;
    } else {
        pools->of[pools->count].service = service;
        pools->of[pools->count++].mib = mib;
    }
}

/* Give what is known to be a lease's to it, and the rest to the pools. */
static void sort_usages(struct core *core,
                        struct device *device,
                        const struct core_event *event,
                        struct pools *pools)
{
    uint32_t i;

    for (i = 0; i < event->report.usage_count; i++) {
        const struct core_usage *usage = &event->report.usages[i];
        const struct lease *lease = lease_find(core, usage->lease);
        uint32_t mib =
            mib_smaller(usage->used_mib, device->config.capacity_mib);
        struct seat *seat =
            lease == NULL ? NULL : device_seat_of(device, lease);

        if (seat != NULL) {
            measure(device, seat, mib);
        } else if (lease != NULL) {
            pool_add(pools, lease->row.service, mib);
        } else {
            pool_add(pools, usage->service, mib);
        }
    }
}

/* Say whether what @lease uses is to go: others of its service are believed
 * to use theirs first. */
static bool is_leaving(const struct lease *lease)
{
    return lease->row.state == LEASE_RECLAIMING ||
           (lease->row.state == LEASE_PAUSING && lease->acked_at_ms != 0);
}

/* Give the leases on @device what their services use, up to their charges, in
 * the order of their grants. */
static void
fill_seats(struct device *device, struct pools *pools, bool are_leaving)
{
    struct list *at;

    LIST_EACH (at, &device->seats) {
        struct seat *seat = seat_at(at);
        uint32_t *pool = pool_find(pools, seat->lease->row.service);
        uint32_t part = mib_above(seat->share.charge_mib, seat->measured_mib);

        if (pool != NULL && is_leaving(seat->lease) == are_leaving) {
            part = mib_smaller(part, *pool);
            *pool -= part;
            measure(device, seat, part);
        }
    }
}

/* What a service uses beyond its charges is its newest holder's. */
static void overfill_seats(struct device *device, struct pools *pools)
{
    struct list *at;

    for (at = device->seats.prev; at != &device->seats; at = at->prev) {
        struct seat *seat = seat_at(at);
        uint32_t *pool = pool_find(pools, seat->lease->row.service);

        if (pool != NULL && lease_holds(seat->lease)) {
            measure(device, seat, *pool);
            *pool = 0;
        }
    }
}

/* What a service uses without a lease that holds is resident.  Who was told to
 * unload keeps its time. */
static void settle_residents(struct device *device, struct pools *pools)
{
    uint32_t kept = 0;
    uint32_t i;

    for (i = 0; i < device->resident_count; i++) {
        struct resident *resident = &device->residents[i];
        uint32_t *pool = pool_find(pools, resident->service);

        if (pool != NULL && *pool > 0) {
            resident->mib = *pool;
            *pool = 0;
            device->residents[kept++] = *resident;
        }
    }
    device->resident_count = kept;
    for (i = 0; i < pools->count; i++) {
        if (device->resident_count < RESIDENTS_MAX) {
            account_raise_resident(device, pools->of[i].service,
                                   pools->of[i].mib);
        } else {
            pools->nobodys_mib += pools->of[i].mib;
        }
    }
}

static uint64_t measured_mib(const struct device *device)
{
    uint64_t sum = device_resident_mib(device, 0, true);
    const struct list *at;

    LIST_EACH (at, &device->seats) {
        sum += seat_at(at)->measured_mib;
    }
    return sum;
}

/* Tell all users apart as the sample does.  What is used beyond what it names
 * is nobody's too: a list with gaps costs room, and grants none. */
static void attribute(struct core *core,
                      struct device *device,
                      const struct core_event *event)
{
    struct pools pools;
    uint32_t unnamed;

    pools.count = 0;
    pools.nobodys_mib = 0;
    device->attributed_at_ms = event->report.begun_at_ms;
    forget_measured(device);
    sort_usages(core, device, event, &pools);
    fill_seats(device, &pools, false);
    fill_seats(device, &pools, true);
    overfill_seats(device, &pools);
    settle_residents(device, &pools);
    unnamed = mib_above(device->used_mib, measured_mib(device));
    device->unleased_mib = pools.nobodys_mib > device->config.capacity_mib
                               ? device->config.capacity_mib
                               : (uint32_t)pools.nobodys_mib;
    if (unnamed > device->unleased_mib) {
        device->unleased_mib = unnamed;
    }
}

/* ---- Reports ---------------------------------------------------------- */

void account_report(struct core *core, const struct core_event *event)
{
    struct device *device = &core->devices[event->report.device];

    if (device->state != event->report.state) {
        device->state = event->report.state;
        core->needs_pass = true;
    }
    if (device->state != CORE_DEVICE_OK || !device->config.is_measured ||
        event->report.begun_at_ms < device->sampled_at_ms) {
        return;
    }
    device->sampled_at_ms = event->report.begun_at_ms;
    device->used_mib = event->report.used_mib;
    if (device_is_fresh(device)) {
        device->is_accounted = true;
        if (event->report.is_attributed) {
            attribute(core, device, event);
        } else {
            estimate(device);
        }
        holder_settle(core);
    }
    core->needs_pass = true;
}

void account_disown(struct device *device)
{
    uint64_t known =
        (uint64_t)device->charged_mib + device_resident_mib(device, 0, true);

    if (device->config.is_measured &&
        device->used_mib > known + device->unleased_mib) {
        device->unleased_mib = mib_above(device->used_mib, known);
    }
}
