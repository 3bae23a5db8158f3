/* device.c - how much room a device has, and who takes it.
 *
 * Three kinds of VRAM are not free: taken by leases (what each is charged, or
 * is measured to use where that is more), resident (warm models of services
 * without a lease) and unleased (everybody else).  account.c tells them apart.
 */
#include "core/parts.h"

#include <assert.h>

static struct device *seat_device(struct core *core, const struct seat *seat)
{
    return &core->devices[seat->device];
}

void device_init(struct device *device,
                 uint32_t index,
                 const struct core_device_config *config)
{
    *device = (struct device){.config = *config, .index = index};
    list_init(&device->seats);
}

uint32_t device_size_mib(const struct device *device)
{
    return device->config.capacity_mib - device->config.reserve_mib;
}

bool device_is_fresh(const struct device *device)
{
    return !device->config.is_measured ||
           device->sampled_at_ms > device->dirty_at_ms;
}

uint32_t device_resident_mib(const struct device *device,
                             uint32_t service,
                             bool is_others)
{
    uint32_t sum = 0;
    uint32_t i;

    for (i = 0; i < device->resident_count; i++) {
        if ((device->residents[i].service == service) != is_others) {
            sum += device->residents[i].mib;
        }
    }
    return sum;
}

/* VRAM that is not free by the books. */
static uint64_t booked_mib(const struct device *device)
{
    return (uint64_t)device->charged_mib + device->unleased_mib +
           device_resident_mib(device, 0, true);
}

/* VRAM that is not free by the books, or not by the newest sample. */
static uint64_t taken_mib(const struct device *device)
{
    uint64_t booked = booked_mib(device);

    return device->config.is_measured && device->used_mib > booked
               ? device->used_mib
               : booked;
}

uint32_t device_room_mib(const struct device *device, uint64_t more_mib)
{
    return mib_above(device_size_mib(device) + more_mib, taken_mib(device));
}

uint64_t device_lack_mib(const struct device *device,
                         uint64_t need_mib,
                         uint64_t more_mib)
{
    uint64_t wanted = need_mib + taken_mib(device);
    uint64_t there = device_size_mib(device) + more_mib;

    return wanted > there ? wanted - there : 0;
}

uint32_t device_free_mib(const struct device *device)
{
    return device_room_mib(device, 0);
}

uint32_t device_freeing_mib(const struct device *device)
{
    uint32_t sum = 0;
    const struct list *at;

    LIST_EACH (at, &device->seats) {
        const struct seat *seat = seat_at(at);

        if (seat->lease->row.state == LEASE_PAUSING ||
            seat->lease->row.state == LEASE_RECLAIMING) {
            sum +=
                mib_above(account_taken_mib(seat), device->config.residue_mib);
        }
    }
    return sum;
}

struct seat *device_seat_of(const struct device *device,
                            const struct lease *lease)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        if (list_is_linked(&lease->seats[i].link) &&
            lease->seats[i].device == device->index) {
            return &lease->seats[i];
        }
    }
    return NULL;
}

uint32_t device_exclusive_mib(const struct device *device,
                              const struct lease *lease)
{
    uint64_t taken = (uint64_t)device->charged_mib + device->unleased_mib +
                     device_resident_mib(device, lease->row.service, true);

    return mib_above((uint64_t)device_size_mib(device) +
                         device_charge_of(device, lease),
                     taken);
}

static void seat_take(struct core *core, struct seat *seat, uint32_t charge_mib)
{
    struct device *device = seat_device(core, seat);
    struct list *behind = &device->seats;

    uint32_t before = 0;

    if (list_is_linked(&seat->link)) {
        before = account_taken_mib(seat);
        list_remove(&seat->link);
    }
    account_set_seat(device, seat, charge_mib, seat->measured_mib);
    /* In the order of the grants; only a restart finds newer ones there. */
    while (behind->prev != &device->seats &&
           seat_at(behind->prev)->lease->row.token > seat->lease->row.token) {
        behind = behind->prev;
    }
    list_append(behind, &seat->link);
    account_lower_resident(device, seat->lease->row.service,
                           mib_above(account_taken_mib(seat), before));
}

void device_charge(struct core *core, struct lease *lease, uint64_t set)
{
    uint32_t index;
    uint32_t used = 0;

    for (index = 0; index < core->config.device_count; index++) {
        struct device *device = &core->devices[index];
        struct seat *seat = &lease->seats[used];
        uint32_t charge;

        if ((set & (1ull << index)) == 0) {
            continue;
        }
        assert(used < lease->row.gpus);
        used++;
        /* A resume takes the seats it has: sets are filled in order. */
        assert(!list_is_linked(&seat->link) || seat->device == index);
        charge = lease_is_exclusive(lease) ? device_exclusive_mib(device, lease)
                                           : device_need_mib(device, lease);
        charge = mib_smaller(charge, device_size_mib(device));
        /* Where others take more than there is, too: a sleeper's VRAM is still
         * there, and is its own. */
        if (list_is_linked(&seat->link)) {
            charge = mib_larger(charge, seat->share.charge_mib);
        }
        seat->device = index;
        seat_take(core, seat, charge);
    }
    lease->row.granted = set;
    device_note_shares(lease);
}

void device_note_shares(struct lease *lease)
{
    struct core_lease_row *row = &lease->row;
    struct core_share *shares =
        row->gpus == 1 ? NULL : (struct core_share *)(lease->seats + row->gpus);
    uint32_t i;

    row->charge_mib = 0;
    row->footprint_mib = 0;
    for (i = 0; i < row->gpus; i++) {
        const struct core_share *share = &lease->seats[i].share;

        row->charge_mib = mib_larger(row->charge_mib, share->charge_mib);
        row->footprint_mib =
            mib_larger(row->footprint_mib, share->footprint_mib);
        if (shares != NULL) {
            shares[i] = *share;
        }
    }
    row->shares = shares;
}

void device_tolerate(struct device *device)
{
    device->tolerated_mib =
        device->charged_mib > device_size_mib(device) ? device->charged_mib : 0;
}

void device_charge_again(struct core *core, struct lease *lease)
{
    uint32_t at = 0;
    uint32_t i;

    for (i = 0; i < core->config.device_count; i++) {
        struct core_share share = core_row_share(&lease->row, i);
        struct seat *seat = &lease->seats[at];

        if ((lease->row.granted & (1ull << i)) == 0) {
            continue;
        }
        at++;
        seat->device = i;
        seat->share.footprint_mib = share.footprint_mib;
        /* Beyond the size, too: a reload may have made it smaller since. */
        seat_take(core, seat,
                  mib_smaller(share.charge_mib,
                              core->devices[i].config.capacity_mib));
        device_tolerate(&core->devices[i]);
    }
    device_note_shares(lease);
}

uint32_t device_used_by(const struct device *device, const struct lease *lease)
{
    const struct seat *seat = device_seat_of(device, lease);
    uint64_t others = booked_mib(device) - device_charge_of(device, lease);

    if (device->attributed_at_ms != 0) {
        return seat == NULL ? 0 : seat->measured_mib;
    }
    return device->config.is_measured ? mib_above(device->used_mib, others) : 0;
}

void device_charge_residue(struct core *core,
                           struct lease *lease,
                           uint32_t kept_mib)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        struct seat *seat = &lease->seats[i];
        struct device *device = seat_device(core, seat);
        uint32_t used = device_used_by(device, lease);
        uint32_t charge = mib_larger(used, kept_mib);

        charge = mib_smaller(charge, device->config.residue_mib);
        charge = mib_smaller(charge, seat->share.charge_mib);
        account_set_seat(device, seat, charge, seat->measured_mib);
    }
    device_note_shares(lease);
}

void device_discharge(struct core *core,
                      struct lease *lease,
                      bool becomes_resident)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        struct seat *seat = &lease->seats[i];
        struct device *device = seat_device(core, seat);

        if (!list_is_linked(&seat->link)) {
            continue;
        }
        list_remove(&seat->link);
        device->charged_mib -= account_taken_mib(seat);
        if (becomes_resident && device->config.is_measured) {
            account_raise_resident(device, lease->row.service,
                                   account_taken_mib(seat));
        } else if (!becomes_resident) {
            device->unleased_mib += seat->measured_mib;
        }
        seat->share.charge_mib = 0;
        seat->measured_mib = 0;
    }
}

void device_soil(struct core *core, const struct lease *lease)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        if (list_is_linked(&lease->seats[i].link)) {
            seat_device(core, &lease->seats[i])->dirty_at_ms = core->now_ms;
        }
    }
}

uint32_t device_release_mib(const struct core *core, const struct lease *lease)
{
    uint32_t most = 0;
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        const struct seat *seat = &lease->seats[i];

        most = mib_larger(
            most, mib_above(account_taken_mib(seat),
                            core->config.devices[seat->device].residue_mib));
    }
    return most;
}

bool device_is_frozen(const struct device *device, const struct lease *lease)
{
    return lease_is_sleeper(lease) &&
           (lease->row.flags & CORE_ROW_FROZEN) != 0 &&
           device_charge_of(device, lease) > device->config.residue_mib;
}

/* Say whether @lease, charged on @device, is in the way of others there. */
static bool occupies(const struct device *device, const struct lease *lease)
{
    return lease_holds(lease) ? (lease->row.flags & CORE_ROW_ASLEEP) == 0
                              : device_is_frozen(device, lease);
}

bool device_is_held(const struct device *device,
                    const struct lease *but,
                    bool is_any)
{
    const struct list *at;

    LIST_EACH (at, &device->seats) {
        const struct lease *lease = seat_at(at)->lease;

        if (lease != but && (is_any || lease_is_exclusive(lease)) &&
            occupies(device, lease)) {
            return true;
        }
    }
    return false;
}

uint32_t device_charge_of(const struct device *device,
                          const struct lease *lease)
{
    const struct seat *seat = device_seat_of(device, lease);

    return seat == NULL ? 0 : account_taken_mib(seat);
}

/* The most that @device could ever give the sleeper in @seat: not what
 * strangers use, nor what others keep that sleep there. */
static uint32_t ceiling_mib(const struct device *device,
                            const struct seat *seat)
{
    uint64_t kept = device->unleased_mib;
    const struct list *at;

    LIST_EACH (at, &device->seats) {
        const struct seat *other = seat_at(at);

        if (other != seat && lease_is_sleeper(other->lease)) {
            kept += account_taken_mib(other);
        }
    }
    return mib_above(device_size_mib(device), kept);
}

uint32_t device_need_mib(const struct device *device, const struct lease *lease)
{
    const struct seat *seat;
    uint32_t footprint;

    if (lease_is_exclusive(lease) || lease_is_waiter(lease)) {
        return lease->row.vram_mib;
    }
    seat = device_seat_of(device, lease);
    footprint = seat == NULL ? 0 : seat->share.footprint_mib;
    if (footprint <= lease->row.vram_mib) {
        return lease->row.vram_mib;
    }
    return mib_larger(lease->row.vram_mib,
                      mib_smaller(footprint, ceiling_mib(device, seat)));
}

uint32_t device_resume_mib(const struct core *core,
                           const struct device *device,
                           const struct lease *lease)
{
    const struct seat *seat = device_seat_of(device, lease);
    uint64_t percent = core->config.resume_margin_percent;
    uint32_t footprint = seat == NULL ? 0 : seat->share.footprint_mib;
    uint32_t margin = (uint32_t)(footprint * percent / 100);

    if (footprint == 0 || percent == 0) {
        return footprint;
    }
    margin = mib_larger(margin, RESUME_MARGIN_MIB);
    return mib_larger(
        footprint, mib_smaller(footprint + margin, ceiling_mib(device, seat)));
}

bool device_is_warm(const struct core *core,
                    const struct device *device,
                    const struct lease *lease,
                    bool is_over)
{
    uint32_t i;

    for (i = 0; i < device->resident_count; i++) {
        const struct resident *resident = &device->residents[i];
        bool over =
            resident->until_ms != 0 && resident->until_ms <= core->now_ms;

        if (resident->service != lease->row.service &&
            resident->mib > device->config.residue_mib && over == is_over) {
            return true;
        }
    }
    return false;
}

bool device_is_clear_of(const struct core *core,
                        const struct lease *lease,
                        uint32_t kept_mib,
                        uint64_t since_ms)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        const struct device *device = &core->devices[lease->seats[i].device];
        uint64_t sampled_at_ms = device->attributed_at_ms != 0
                                     ? device->attributed_at_ms
                                     : device->sampled_at_ms;

        if (device->config.is_measured &&
            (sampled_at_ms <= since_ms ||
             device_used_by(device, lease) >
                 mib_larger(kept_mib, device->config.residue_mib))) {
            return false;
        }
    }
    return true;
}

bool device_is_measured(const struct core *core, const struct lease *lease)
{
    uint32_t i;

    for (i = 0; i < lease->row.gpus; i++) {
        if (!core->config.devices[lease->seats[i].device].is_measured) {
            return false;
        }
    }
    return true;
}

bool device_is_usable(const struct core *core,
                      const struct device *device,
                      const struct lease *lease)
{
    uint64_t set =
        lease_is_sleeper(lease) ? lease->row.granted : lease->row.devices;

    return device->state == CORE_DEVICE_OK && !device->is_drained &&
           !device->is_foreign && !core->is_draining && !core->is_stopping &&
           lease->row.vram_mib <= device_size_mib(device) &&
           (set == 0 || (set & (1ull << device->index)) != 0) &&
           (device->linger_until_ms <= core->now_ms ||
            lease_priority(lease) <= device->linger_priority);
}

bool device_wants_samples(const struct device *device)
{
    const struct list *at;

    if (!device->config.is_measured) {
        return false;
    }
    if (device->is_awaited) {
        return true;
    }
    LIST_EACH (at, &device->seats) {
        const struct lease *lease = seat_at(at)->lease;

        if (lease->row.state == LEASE_RECLAIMING ||
            (lease->row.state == LEASE_PAUSING && lease->acked_at_ms != 0)) {
            return true;
        }
    }
    return false;
}
