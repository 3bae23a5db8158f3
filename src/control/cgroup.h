/* cgroup.h - a cgroup of version 2 for each `run`, where the user may.
 *
 * It lies in the cgroup of `run` itself, which has to be delegated to the user
 * (a terminal or a service of the user's systemd, or root).  No controller is
 * needed or enabled: it is there to name processes, since nobody leaves it by
 * a double fork or setsid.  Its name says which `run` made it, so that the
 * coordinator knows it for a lease's own, and the next `run` removes what one
 * that was killed has left.
 */
#ifndef GPUCOORD_CONTROL_CGROUP_H
#define GPUCOORD_CONTROL_CGROUP_H

#include "base/buf.h"
#include "base/err.h"
#include "control/proc.h"

#include <stdbool.h>

enum {
    CGROUP_DIR_SIZE = 2 * PROC_PATH_SIZE, /* A mount and a path, with NUL. */
    CGROUP_FILE_SIZE = CGROUP_DIR_SIZE + 64
};

struct cgroup {
    char dir[CGROUP_DIR_SIZE]; /* In the file system; "" = none. */
};

/* Say whether @path, of version 2, is one that the process number @maker made
 * for its child. */
bool cgroup_is_made_by(const char *path, pid_t maker);

/* Find the directory of the cgroup @path, as /proc/PID/cgroup writes it.  It
 * need not be there.  @root as in proc.h.
 *
 * Errors:
 *   E_UNSUPPORTED  no cgroup of version 2 is mounted, or it is not under it.
 *   E_TOO_BIG      the path is too long.
 */
MUST_USE int
cgroup_find(const char *root, const char *path, struct cgroup *out);

/* Write the directory @name in that of @top to @out.
 *
 * Errors:
 *   E_TOO_BIG  it is too long.
 */
MUST_USE int
cgroup_below(const struct cgroup *top, const char *name, struct cgroup *out);

/* Create a cgroup for the child of this process, in that of this process, and
 * remove those beside it whose makers have gone.  On an error the cause, a part
 * of a sentence, is appended to @why.
 *
 * Errors:
 *   E_UNSUPPORTED  it is not possible here: there is no version 2, or this
 *                  cgroup is not delegated to this user.
 */
MUST_USE int cgroup_create(struct cgroup *out, struct buf *why);

/* Move this process there; a child calls it before exec.
 *
 * Errors:
 *   E_IO  the kernel refused; errno says why.
 */
MUST_USE int cgroup_enter(const struct cgroup *cgroup);

/* Say in @out whether any process is in it, or below it.
 *
 * Errors:
 *   E_NOT_FOUND  it has been removed.
 *   E_FORBIDDEN  not allowed for this user.
 *   E_IO         it cannot be read.
 */
MUST_USE int cgroup_is_populated(const struct cgroup *cgroup, bool *out);

/* Say in @out whether all of it is frozen; likewise. */
MUST_USE int cgroup_is_frozen(const struct cgroup *cgroup, bool *out);

/* Write the path of the file whose change tells of both to @out; inotify
 * reports it as modified. */
void cgroup_events_path(const struct cgroup *cgroup,
                        char out[CGROUP_FILE_SIZE]);

/* Called with each process; returns false to end the walk. */
typedef bool (*cgroup_seen)(void *arg, pid_t pid);

/* Walk over the processes in it and below it; one that forks meanwhile may
 * have a child that is not seen.
 *
 * Errors: as cgroup_is_populated().
 */
MUST_USE int
cgroup_each(const struct cgroup *cgroup, cgroup_seen seen, void *arg);

/* Kill all that is in it and below it, at once (Linux 5.14).
 *
 * Errors:
 *   E_NOT_FOUND    it has been removed.
 *   E_UNSUPPORTED  this kernel cannot.
 *   E_FORBIDDEN    not allowed for this user.
 *   E_IO           it failed.
 */
MUST_USE int cgroup_kill(const struct cgroup *cgroup);

/* Freeze all that is in it and below it, or let it go on; when that is so
 * cgroup_is_frozen() says (Linux 5.2).
 *
 * Errors: as cgroup_kill().
 */
MUST_USE int cgroup_freeze(const struct cgroup *cgroup, bool is_frozen);

/* Remove it and what lies below it; one that is not there is removed.
 *
 * Errors:
 *   E_BUSY       processes are in it.
 *   E_FORBIDDEN  not allowed for this user.
 *   E_IO         it cannot be removed.
 */
MUST_USE int cgroup_remove(const struct cgroup *cgroup);

#endif
