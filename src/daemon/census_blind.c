#include "daemon/census_blind.h"

#include "control/watch.h"
#include "core/lease.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"

enum {
    STATES_HOLDING =
        1u << LEASE_HELD | 1u << LEASE_PAUSING | 1u << LEASE_RECLAIMING
};

struct search {
    const struct daemon *daemon;
    const uint32_t *known;
    size_t count;
    uint32_t device;
    struct census_blind *out;
};

static bool is_known(const struct search *search, uint32_t service)
{
    size_t i;

    for (i = 0; i < search->count; i++) {
        if (search->known[i] == service) {
            return true;
        }
    }
    return false;
}

static bool look(void *arg, uint64_t id)
{
    struct search *search = arg;
    struct census_blind *out = search->out;
    const struct core_lease_row *row;
    struct core_lease_view view;

    if (core_lease_view(driver_core(search->daemon->driver), id, &view) !=
        E_OK) {
        return true;
    }
    row = &view.row;
    if ((row->granted >> search->device & 1) == 0 ||
        watch_find(search->daemon->watch, id) != NULL ||
        is_known(search, row->service)) {
        return true;
    }
    if (out->service == 0 || row->first_granted_at_ms < out->granted_at_ms) {
        out->granted_at_ms = row->first_granted_at_ms;
    }
    if (out->service == 0) {
        out->service = row->service;
    }
    out->is_several = out->is_several || out->service != row->service;
    return true;
}

void census_blind_find(const struct daemon *daemon,
                       uint32_t device,
                       const uint32_t *known,
                       size_t count,
                       struct census_blind *out)
{
    struct search search = {daemon, known, count, device, out};

    *out = (struct census_blind){.service = 0};
    core_each_lease(driver_core(daemon->driver), STATES_HOLDING, look, &search);
}
