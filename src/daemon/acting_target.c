/* acting_target.c - which processes an order acts on. */
#include "daemon/acting_parts.h"

#include "control/watch.h"
#include "core/lease.h"
#include "daemon/census.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"

/* ---- Watched ------------------------------------------------------------ */

struct gathering {
    uint64_t lease;
    struct tree_target *target;
};

static void gather(void *arg, uint64_t lease, const struct proc_set *set)
{
    struct gathering *gathering = arg;
    struct tree_target *target = gathering->target;
    struct tree_target one;

    if (lease != gathering->lease || target->root_count == TREE_ROOTS_MAX) {
        return;
    }
    tree_target_of(set, &one);
    if (one.root_count > 0) {
        target->roots[target->root_count++] = one.roots[0];
    }
    if (one.pgid != 0) {
        target->pgid = one.pgid;
        target->sid = one.sid;
    }
    if (one.cgroup.dir[0] != '\0') {
        target->cgroup = one.cgroup;
    }
}

/* ---- By the rules of its service ---------------------------------------- */

struct search {
    const struct core *core;
    uint64_t lease;
    uint32_t service;
    bool has_others;
};

static bool look(void *arg, uint64_t id)
{
    struct search *search = arg;
    struct core_lease_view view;

    if (id != search->lease &&
        core_lease_view(search->core, id, &view) == E_OK &&
        view.row.service == search->service && view.row.granted != 0) {
        search->has_others = true;
    }
    return !search->has_others;
}

/* Take the processes that `processes:` names, where no other lease of the
 * service has been granted anything: they could be that one's. */
static const char *take_service(const struct acting *acting,
                                uint64_t lease,
                                struct tree_target *out)
{
    const struct daemon *daemon = acting->daemon;
    const uint32_t live = (1u << LEASE_ENDED) - 1;
    struct search search = {.core = driver_core(daemon->driver),
                            .lease = lease};
    struct core_lease_view view;

    if (core_lease_view(search.core, lease, &view) != E_OK) {
        return "no process of it is known";
    }
    search.service = view.row.service;
    out->root_count = (uint32_t)census_processes(daemon, search.service,
                                                 out->roots, TREE_ROOTS_MAX);
    if (out->root_count == 0) {
        return "no process of it is known";
    }
    core_each_lease(search.core, live, look, &search);
    return search.has_others ? "its service has other leases, whose its "
                               "processes could be"
                             : NULL;
}

const char *acting_target(const struct acting *acting,
                          uint64_t lease,
                          struct tree_target *out)
{
    struct gathering gathering = {lease, out};

    *out = (struct tree_target){.root_count = 0};
    watch_each(acting->daemon->watch, gather, &gathering);
    if (out->root_count > 0 || out->cgroup.dir[0] != '\0' ||
        acting_listed(acting, lease, false, out) +
                acting_listed(acting, lease, true, out) >
            0) {
        return NULL;
    }
    return take_service(acting, lease, out);
}
