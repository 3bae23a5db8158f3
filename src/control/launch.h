/* launch.h - a program in a session of its own, with nothing of ours open.
 *
 * No shell and no copy of this process (vfork inside): a coordinator with a
 * gigabyte of waiters starts one as fast as an empty one.  Its input is
 * /dev/null; its output and errors come through one pipe.
 */
#ifndef GPUCOORD_CONTROL_LAUNCH_H
#define GPUCOORD_CONTROL_LAUNCH_H

#include "base/buf.h"
#include "base/err.h"
#include "control/patience.h"

#include <sys/types.h>

struct launched {
    pid_t pid;  /* 0 = none. */
    int pid_fd; /* Readable once it has ended. */
    int out_fd; /* What it prints; not blocking, closed by exec. */
};

/* Start @argv, found in PATH, with the environment of this process and the
 * "NAME=value" strings of @more (NULL-terminated; NULL = none), which win.  All
 * are borrowed for the call.  On an error the cause is appended to @why.
 *
 * Errors:
 *   E_NOT_FOUND  there is no such program.
 *   E_IO         it cannot be started.
 *   E_NOMEM      no memory, or no descriptor or process left.
 */
MUST_USE int launch_start(const char *const *argv,
                          const char *const *more,
                          struct launched *out,
                          struct buf *why);

/* Take the exit status of a child whose pid_fd is readable: as in a shell, 128
 * + the signal that ended it.
 *
 * Errors:
 *   E_BUSY  it still runs.
 */
MUST_USE int launch_reap(struct launched *launched, int *status);

/* Kill the child's whole process group. */
void launch_kill(const struct launched *launched);

/* Close the descriptors.  A child that still runs is killed; where it does not
 * die at once (a driver hangs), the next launch_start() takes its status. */
void launch_close(struct launched *launched);

/* Close the descriptors and let the child run on; likewise. */
void launch_forget(struct launched *launched);

/* Run @argv to its end and append what it printed to @out, up to its maximum.
 * @status is as of launch_reap().
 *
 * Errors, with the cause appended to @why:
 *   E_TIMEOUT  the patience ended first; it was killed.
 *   E_ENDED    cancelled; it was killed.
 *   others     as launch_start().
 */
MUST_USE int launch_run(const char *const *argv,
                        const struct patience *patience,
                        struct buf *out,
                        int *status,
                        struct buf *why);

#endif
