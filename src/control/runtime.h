/* runtime.h - what a container is called; only its runtime knows.
 *
 * The cgroup of a process has the id of its container, and mostly which runtime
 * made it.  The name is asked of that runtime's own client: no socket of it is
 * opened here, and who may not ask it finds out so.
 */
#ifndef GPUCOORD_CONTROL_RUNTIME_H
#define GPUCOORD_CONTROL_RUNTIME_H

#include "control/owner.h"
#include "control/patience.h"

#include <stdbool.h>

enum {
    RUNTIME_NAME_SIZE = 128,
    RUNTIME_WORDS = 7 /* With the NULL. */
};

/* Fill @argv with the command that prints the name of the container @id, which
 * the process with @facts runs in: ["docker", "container", "inspect", …, id].
 * False where its runtime is none that has names. */
bool runtime_command(const struct proc_facts *facts,
                     const char id[OWNER_CONTAINER_SIZE],
                     const char *argv[RUNTIME_WORDS]);

/* Copy the name in @line, the first that the command has printed, to @name;
 * false where it is none. */
bool runtime_read_name(const char *line, char name[RUNTIME_NAME_SIZE]);

/* Say whether @rule is one that a container's name could match, not only its
 * id. */
bool runtime_is_named(const struct owner_rule *rule);

/* Ask for the name of the container that the process with @facts runs in, and
 * wait.  @id and @name are filled; false where there is none, or nobody
 * answers. */
bool runtime_ask(const struct proc_facts *facts,
                 const struct patience *patience,
                 char id[OWNER_CONTAINER_SIZE],
                 char name[RUNTIME_NAME_SIZE]);

#endif
