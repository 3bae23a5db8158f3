/* proc.h - what /proc says of a process.
 *
 * A process is its number and the time at which it started: a number that is
 * used again is another process, and nothing here mixes the two.  The facts of
 * one reading come from one descriptor of /proc/PID, which goes on naming the
 * process it was opened for.  The root is an argument, so that tests bring
 * their own; everybody else gives PROC_ROOT.
 */
#ifndef GPUCOORD_CONTROL_PROC_H
#define GPUCOORD_CONTROL_PROC_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_ROOT "/proc"

enum {
    PROC_NAME_SIZE = 16,     /* Of what ps calls it, likewise cut. */
    PROC_PATH_SIZE = 512,    /* Of a program or a cgroup, with its NUL. */
    PROC_CGROUPS_SIZE = 2048 /* Of all paths of version 1, likewise. */
};

/* Which process.  Nobody else ever has the same, also after its death. */
struct proc_id {
    pid_t pid;            /* 0 = none. */
    uint64_t start_ticks; /* Since boot, field 22 of /proc/PID/stat. */
};

/* What can be read of any process that is not hidden. */
struct proc_stat {
    struct proc_id id;
    pid_t parent; /* 0 = none, or outside this pid namespace. */
    pid_t pgid;
    pid_t sid;
    char state; /* As in ps: 'Z' and 'X' have died. */
};

struct proc_facts {
    struct proc_stat stat;
    uid_t uid;                   /* The real one. */
    char name[PROC_NAME_SIZE];   /* As in ps, everybody may know it. */
    char exe[PROC_PATH_SIZE];    /* "" = not known, as for kernel threads and
                                    mostly for other users' processes. */
    char cgroup[PROC_PATH_SIZE]; /* Of version 2, as "/user.slice/…"; "" = not
                                    known, or outside this namespace. */
    char cgroups[PROC_CGROUPS_SIZE]; /* Of version 1, each followed by a line
                                        feed; what does not fit is left out. */
};

/* Say whether @a and @b are the same process; none is never the same. */
bool proc_is_same(const struct proc_id *a, const struct proc_id *b);

/* Say whether the process has died, which its parent has not looked at yet. */
bool proc_has_died(const struct proc_stat *stat);

/* Read the short facts of @pid.
 *
 * Errors:
 *   E_NOT_FOUND  there is no such process, or it vanished meanwhile.
 *   E_FORBIDDEN  it is there, but hidden (hidepid).
 *   E_CORRUPT    what stands there is not what Linux writes.
 *   E_NOMEM      no descriptors or no memory.
 *   E_IO         anything else.
 */
MUST_USE int proc_read_stat(const char *root, pid_t pid, struct proc_stat *out);

/* Read all facts of @pid; what only some may know is left empty.
 *
 * Errors: as proc_read_stat().
 */
MUST_USE int proc_read(const char *root, pid_t pid, struct proc_facts *out);

/* Return for how long it has been running, in ms. */
uint64_t proc_age_ms(const struct proc_id *id);

/* Write the ancestors of @pid to @out, nearest first, at most @max, and return
 * how many there are.  Ends where one is hidden, or is younger than its child:
 * then its number was used again.  A process whose parent has died belongs to
 * init or a subreaper: a double fork escapes this. */
size_t
proc_ancestors(const char *root, pid_t pid, struct proc_id *out, size_t max);

/* Called with each process; @stat is borrowed for the call.  Returns false to
 * end the walk. */
typedef bool (*proc_seen)(void *arg, const struct proc_stat *stat);

/* Walk over all processes that are not hidden.
 *
 * Errors:
 *   E_NOT_FOUND  there is no such root.
 *   E_FORBIDDEN  it is hidden.
 *   E_NOMEM      no descriptors: somebody may not have been seen.
 *   E_IO         anything else.
 */
MUST_USE int proc_each(const char *root, proc_seen seen, void *arg);

#endif
