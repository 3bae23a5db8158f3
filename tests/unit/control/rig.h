/* rig.h - processes to look at: real ones, and those of a /proc of the test's.
 */
#ifndef GPUCOORD_TESTS_CONTROL_RIG_H
#define GPUCOORD_TESTS_CONTROL_RIG_H

#include "control/proc_set.h"

/* A directory in the place of /proc. */
struct rig_root {
    char path[64];
};

/* A process of that directory; a text that is NULL has no file. */
struct rig_process {
    pid_t pid;
    pid_t parent;
    pid_t pgid;
    pid_t sid;
    uint64_t start_ticks;
    char state; /* 0 = sleeping. */
    uid_t uid;
    const char *name; /* NULL = "program". */
    const char *exe;
    const char *cgroup; /* The whole file. */
};

/* Make an empty directory. */
void rig_root_init(struct rig_root *root);

/* Remove it with all that is in it. */
void rig_root_release(struct rig_root *root);

/* Add a process, or put it in the place of the one with its number. */
void rig_add(struct rig_root *root, const struct rig_process *process);

/* Take the process @pid away. */
void rig_remove(struct rig_root *root, pid_t pid);

/* Write the file @name below the root. */
void rig_write(struct rig_root *root, const char *name, const char *text);

/* Fork a child that waits for a signal, in a process group of its own where
 * @has_group.  It ends with the test. */
pid_t rig_fork(bool has_group);

/* Fork a child, the leader of a group, that forks another and ends; that one
 * stays in the group, or leaves it by setsid().  Returns the number of both. */
void rig_fork_twice(bool leaves, pid_t *child, pid_t *grandchild);

/* Kill a child and wait for it. */
void rig_kill(pid_t pid);

#endif
