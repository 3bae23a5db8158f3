/* terminate.h - end a tree of processes, gently or not, and see it gone. */
#ifndef GPUCOORD_CONTROL_TERMINATE_H
#define GPUCOORD_CONTROL_TERMINATE_H

#include "control/outcome.h"
#include "control/patience.h"
#include "control/tree.h"

/* Send SIGTERM, once, to each process of @target, also to those that appear
 * meanwhile, let the stopped go on so that they can obey, and wait until all
 * have gone. */
void terminate_tree(const struct tree_target *target,
                    const struct patience *patience,
                    struct outcome *out);

/* Kill all of @target: by cgroup.kill where it has a cgroup, else each process
 * after all have been stopped, so that none can fork away; and wait until they
 * have gone. */
void terminate_kill(const struct tree_target *target,
                    const struct patience *patience,
                    struct outcome *out);

#endif
