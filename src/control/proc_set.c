#include "control/proc_set.h"

#include "control/cgroup.h"

#include <string.h>

void proc_set_init(struct proc_set *set, const struct proc_facts *facts)
{
    const struct proc_stat *stat = &facts->stat;

    *set = (struct proc_set){.id = stat->id, .uid = facts->uid};
    if (stat->pgid == stat->id.pid) {
        set->pgid = stat->pgid;
        set->sid = stat->sid;
    }
    /* Others' cgroups (a unit's, a session's) outlive a single holder. */
    if (cgroup_is_made_by(facts->cgroup, stat->parent)) {
        memcpy(set->cgroup, facts->cgroup, sizeof set->cgroup);
    }
}

bool proc_set_has_group(const struct proc_set *set,
                        const struct proc_stat *stat)
{
    if (set->pgid == 0 || stat->pgid != set->pgid || stat->sid != set->sid ||
        proc_has_died(stat)) {
        return false;
    }
    /* A younger leader of the same number leads another group. */
    return stat->id.start_ticks >= set->id.start_ticks &&
           (stat->id.pid != set->id.pid || proc_is_same(&stat->id, &set->id));
}

bool proc_set_has_cgroup(const struct proc_set *set, const char *cgroup)
{
    size_t size = strlen(set->cgroup);

    return size != 0 && strncmp(cgroup, set->cgroup, size) == 0 &&
           (cgroup[size] == '\0' || cgroup[size] == '/');
}
