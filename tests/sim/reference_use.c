/* The reference: whose VRAM a sample says it is. */
#include "sim/reference.h"

static bool has(const struct ref_lease *lease, uint32_t device)
{
    return (lease->granted >> device & 1) != 0;
}

void ref_forget_uses(struct ref *ref, uint32_t at)
{
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        ref->leases[i].uses[at] = 0;
    }
}

/* The lease on the device whose process it is; NULL. */
static struct ref_lease *
user(struct ref *ref, uint32_t at, const struct ref_use *use)
{
    struct ref_lease *lease = ref_find(ref, use->lease);

    return lease != NULL && has(lease, at) ? lease : NULL;
}

/* The service that a use of no lease on the device counts for; 0: nobody's. */
static uint32_t owner(struct ref *ref, const struct ref_use *use)
{
    const struct ref_lease *lease = ref_find(ref, use->lease);

    return lease != NULL ? lease->service : use->service;
}

static void
add_use(struct ref *ref, struct ref_lease *lease, uint32_t at, uint64_t mib)
{
    uint64_t sum = lease->uses[at] + mib;

    lease->uses[at] = sum > ref->devices[at].capacity
                          ? ref->devices[at].capacity
                          : (uint32_t)sum;
}

static bool gave_back(const struct ref_lease *lease)
{
    return lease->state == REF_RECLAIMING ||
           (lease->state == REF_PAUSING && lease->acked_at != 0);
}

/* The lease of @service that is to explain more use next: who gave nothing
 * back yet, then the earliest grant; NULL. */
static struct ref_lease *
next_user(struct ref *ref, uint32_t at, uint32_t service)
{
    struct ref_lease *best = NULL;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        struct ref_lease *lease = &ref->leases[i];

        if (lease->id == 0 || !has(lease, at) || lease->service != service ||
            lease->uses[at] >= lease->charge[at]) {
            continue;
        }
        if (best == NULL || gave_back(lease) < gave_back(best) ||
            (gave_back(lease) == gave_back(best) &&
             lease->grant_number < best->grant_number)) {
            best = lease;
        }
    }
    return best;
}

static struct ref_lease *
newest_holder(struct ref *ref, uint32_t at, uint32_t service)
{
    struct ref_lease *best = NULL;
    size_t i;

    for (i = 0; i < ref->lease_end; i++) {
        struct ref_lease *lease = &ref->leases[i];

        if (lease->id != 0 && has(lease, at) && lease->service == service &&
            ref_holds(lease) &&
            (best == NULL || lease->grant_number > best->grant_number)) {
            best = lease;
        }
    }
    return best;
}

/* Spread what the processes of @service use over its leases; returns what no
 * lease explains. */
static uint64_t
spread(struct ref *ref, uint32_t at, uint32_t service, uint64_t mib)
{
    struct ref_lease *lease;

    while (mib > 0 && (lease = next_user(ref, at, service)) != NULL) {
        uint64_t part = lease->charge[at] - lease->uses[at];

        part = part > mib ? mib : part;
        lease->uses[at] += (uint32_t)part;
        mib -= part;
    }
    lease = newest_holder(ref, at, service);
    if (lease != NULL) {
        add_use(ref, lease, at, mib);
        return 0;
    }
    return mib;
}

void ref_attribute(struct ref *ref, const struct ref_sample *sample)
{
    uint32_t at = sample->device;
    struct ref_device *device = &ref->devices[at];
    uint64_t pools[REF_SERVICES] = {0};
    uint64_t named = 0;
    size_t i;

    device->named_at = sample->begun_at;
    ref_forget_uses(ref, at);
    for (i = 0; i < sample->count; i++) {
        const struct ref_use *use = &sample->uses[i];
        uint32_t mib =
            use->mib < device->capacity ? use->mib : device->capacity;
        struct ref_lease *lease = user(ref, at, use);

        if (lease != NULL) {
            add_use(ref, lease, at, mib);
        } else {
            pools[owner(ref, use)] += mib;
        }
    }
    for (i = 1; i < REF_SERVICES; i++) {
        pools[i] = spread(ref, at, (uint32_t)i, pools[i]);
        if (device->resident[i] != 0) {
            device->resident[i] = (uint32_t)pools[i];
            pools[i] = 0;
        }
    }
    /* Those that are new, in the order in which they are named. */
    for (i = 0; i < sample->count; i++) {
        const struct ref_use *use = &sample->uses[i];
        uint32_t service = owner(ref, use);

        if (user(ref, at, use) == NULL && service != 0 && pools[service] != 0) {
            device->resident[service] = (uint32_t)pools[service];
            device->resident_age[service] = ref->age_next++;
            device->unload_until[service] = 0;
            pools[service] = 0;
        }
    }
    for (i = 0; i < ref->lease_end; i++) {
        named += ref->leases[i].id != 0 ? ref->leases[i].uses[at] : 0;
    }
    for (i = 0; i < REF_SERVICES; i++) {
        named += device->resident[i];
    }
    device->unleased =
        pools[0] < device->capacity ? (uint32_t)pools[0] : device->capacity;
    if (device->used > named + device->unleased) {
        device->unleased = (uint32_t)(device->used - named);
    }
}
