/* containers.h - the names of the containers that processes on GPUs run in.
 *
 * A name is asked of the container's runtime once (control/runtime.h), off the
 * loop, and kept; where that fails it is asked again a minute later, as long as
 * such a process is there.
 */
#ifndef GPUCOORD_DAEMON_CONTAINERS_H
#define GPUCOORD_DAEMON_CONTAINERS_H

#include "base/err.h"
#include "control/owner.h"

#include <stdbool.h>
#include <stddef.h>

struct containers; /* Opaque; containers.c. */
struct event_base;

/* Create an empty directory on the loop @base, borrowed.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int containers_create(struct event_base *base,
                               struct containers **out);

/* Give up what is being asked, and free it; NULL is allowed. */
void containers_destroy(struct containers *containers);

/* Ask for the name of the container that the process with @facts runs in,
 * unless it is known or nobody can say.  True while the answer is to come. */
bool containers_ask(struct containers *containers,
                    const struct proc_facts *facts);

/* Return the names known, *@count of them, borrowed until the loop goes on. */
const struct owner_container *containers_list(struct containers *containers,
                                              size_t *count);

#endif
