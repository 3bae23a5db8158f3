/* proc_set.h - which processes are those of a lease. */
#ifndef GPUCOORD_CONTROL_PROC_SET_H
#define GPUCOORD_CONTROL_PROC_SET_H

#include "control/proc.h"

/* The processes of one lease, by what keeps them together: the one that was
 * named, its process group where it leads one, and its cgroup where that is
 * its own.  Whoever is in one of them belongs to the set. */
struct proc_set {
    struct proc_id id; /* The named one. */
    uid_t uid;         /* Its real user. */
    pid_t pgid;        /* 0 = it leads no group. */
    pid_t sid;         /* The group's session: who reuses the number of the
                          group has another one. */
    char cgroup[PROC_PATH_SIZE]; /* Of version 2; "" = none of its own. */
};

/* Say what belongs to the process whose facts are @facts: its group, where it
 * leads it, and its cgroup, where `gpucoord run` made that for it. */
void proc_set_init(struct proc_set *set, const struct proc_facts *facts);

/* Say whether @stat is in the process group of @set, and alive. */
bool proc_set_has_group(const struct proc_set *set,
                        const struct proc_stat *stat);

/* Say whether the cgroup path @cgroup is that of @set, or lies in it. */
bool proc_set_has_cgroup(const struct proc_set *set, const char *cgroup);

#endif
