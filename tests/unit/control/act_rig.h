/* act_rig.h - processes to act upon, and a directory for what is told of them.
 */
#ifndef GPUCOORD_TESTS_CONTROL_ACT_RIG_H
#define GPUCOORD_TESTS_CONTROL_ACT_RIG_H

#include "control/tree.h"

#include <stdbool.h>
#include <stddef.h>

struct act_rig {
    char dir[64];
};

/* Make an empty directory. */
void act_rig_init(struct act_rig *rig);

/* Remove it with all files in it. */
void act_rig_release(struct act_rig *rig);

/* Write the file @name. */
void act_rig_write(const struct act_rig *rig,
                   const char *name,
                   const char *text);

/* Read the file @name into @text; "" where there is none. */
void act_rig_read(const struct act_rig *rig,
                  const char *name,
                  char *text,
                  size_t size);

/* Fork a process with @children, all of which wait for a signal; the root is
 * first in @pids, and leads a group.  They end with the test. */
void act_rig_tree(pid_t *pids, size_t children);

/* Name the tree whose root is @pid. */
void act_rig_target(pid_t pid, struct tree_target *out);

/* Wait until @pid is in one of @states, as in /proc/PID/stat. */
void act_rig_until(pid_t pid, const char *states);

/* Say in which state @pid is; 'X' where it has gone. */
char act_rig_state(pid_t pid);

/* Kill the tree and wait for its root. */
void act_rig_end(const pid_t *pids, size_t count);

#endif
