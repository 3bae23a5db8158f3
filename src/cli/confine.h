/* confine.h - a cgroup for the program that `run` runs, where that is possible.
 *
 * With it the coordinator sees the end of everything the program has started,
 * whatever forks away; without it `run` works as well, and nothing is said: a
 * terminal's session is rarely delegated to its user.
 */
#ifndef GPUCOORD_CLI_CONFINE_H
#define GPUCOORD_CLI_CONFINE_H

struct confine; /* Opaque; confine.c. */

/* Make a cgroup; NULL where that is not possible. */
struct confine *confine_open(void);

/* Move this process, a child before exec, into it; NULL is allowed. */
void confine_enter(const struct confine *confine);

/* Remove it, unless somebody lives on in it, and free @confine; NULL is
 * allowed. */
void confine_close(struct confine *confine);

#endif
