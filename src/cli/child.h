/* child.h - the program that `run` runs.
 *
 * In the foreground of a terminal it shares run's process group, as in a
 * shell's pipeline: what is typed reaches both.  Elsewhere it has a group of
 * its own, so that a signal reaches all its processes.  It is told (SIGTERM)
 * when `run` itself dies, since nobody would renew its lease.
 *
 * What it leaves behind by a double fork becomes a child of `run`: so the
 * coordinator can tell whose it is.
 */
#ifndef GPUCOORD_CLI_CHILD_H
#define GPUCOORD_CLI_CHILD_H

#include "base/err.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct confine;

struct child {
    pid_t pid;       /* 0 = never started. */
    bool has_group;  /* Of its own; else only itself is signalled. */
    bool is_stopped; /* By child_stop(). */
};

enum {
    CHILD_FILES_MAX = 1024
};

/* Which descriptors this process was given, bit by bit: a child gets those,
 * and none that the libraries below `run` have opened since. */
struct child_files {
    uint64_t given[CHILD_FILES_MAX / 64];
    bool is_silent; /* What it writes is of no interest. */
};

/* Note what is open now; called before anything else is opened. */
void child_note_files(struct child_files *files);

/* Take in what the program's children leave behind: the coordinator watches
 * this process, too. */
void child_adopt_orphans(void);

/* Replace this process by the program @argv; where that fails say why and
 * return the exit status of a shell: 127 if there is no such program, else
 * 126. */
int child_become(char *const *argv);

/* Start @argv with the environment of this process, the descriptors in @files
 * and the signal mask @mask, confined to @confine, which may be NULL.
 *
 * Errors (said to the user):
 *   E_IO  no process can be made.
 */
MUST_USE int child_start(struct child *child,
                         char *const *argv,
                         const struct child_files *files,
                         const sigset_t *mask,
                         const struct confine *confine);

/* Send @signal. */
void child_signal(const struct child *child, int signal);

/* Stop it until child_continue(). */
void child_stop(struct child *child);

/* Let it go on if child_stop() has stopped it. */
void child_continue(struct child *child);

/* Say whether it has ended, without waiting; @status is then set to its exit
 * status, or to 128 + the signal that ended it.  Others that have ended, and
 * were taken in, are waited for. */
bool child_has_ended(const struct child *child, int *status);

#endif
