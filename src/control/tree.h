/* tree.h - the processes of a holder: roots, and all that came of them.
 *
 * A tree is its roots that still live, their children and theirs, the groups
 * and sessions that a member leads (so a double fork does not escape), and the
 * members of a cgroup where the holder has one of its own.  The coordinator
 * itself is never part of one.  It is read again and again: children appear,
 * and those that were seen once still belong when their parent has died.
 */
#ifndef GPUCOORD_CONTROL_TREE_H
#define GPUCOORD_CONTROL_TREE_H

#include "base/err.h"
#include "control/cgroup.h"
#include "control/proc.h"
#include "control/proc_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

enum {
    TREE_ROOTS_MAX = 64,
    TREE_PROCESSES_MAX = 4096
};

/* What names the tree. */
struct tree_target {
    struct proc_id roots[TREE_ROOTS_MAX];
    uint32_t root_count;
    pid_t pgid; /* A group that belongs to it, also when its leader has died; */
    pid_t sid;  /* the session of that group.  0 = none. */
    struct cgroup cgroup; /* That holds this holder alone; "" = none. */
};

struct tree_member {
    struct proc_id id;
    bool is_stopped;   /* All its threads. */
    bool is_signalled; /* By the caller, who sets it; kept while it lives. */
};

struct tree {
    struct tree_member *members; /* Without the dead; in order of pid. */
    size_t count;
    size_t capacity;
};

/* Fill @out with what @set, of one lease, names. */
void tree_target_of(const struct proc_set *set, struct tree_target *out);

/* Make an empty tree. */
void tree_init(struct tree *tree);

/* Free what it owns. */
void tree_release(struct tree *tree);

/* Read who belongs to @target now, or to a member of @tree as it was read
 * before.  A tree of nobody is no error.
 *
 * Errors:
 *   E_NOMEM    no memory.
 *   E_TOO_BIG  more than TREE_PROCESSES_MAX processes.
 *   others     as proc_each().
 */
MUST_USE int tree_read(const struct tree_target *target, struct tree *tree);

/* Find the member that is @id; NULL where it is none. */
struct tree_member *tree_find(const struct tree *tree,
                              const struct proc_id *id);

/* Send @signal to @id, whatever else has its number by now.
 *
 * Errors:
 *   E_NOT_FOUND  it has gone.
 *   E_FORBIDDEN  not allowed.
 *   E_NOMEM      no descriptor left.
 */
MUST_USE int tree_signal(const struct proc_id *id, int signal);

/* Append who is in @tree: "pid 812 (python3), pid 813 (sh) and 4 more". */
void tree_print(const struct tree *tree, struct buf *out);

#endif
