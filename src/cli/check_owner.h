/* check_owner.h - which service of the configuration a process belongs to. */
#ifndef GPUCOORD_CLI_CHECK_OWNER_H
#define GPUCOORD_CLI_CHECK_OWNER_H

#include "control/tree.h"

#include <stdbool.h>
#include <sys/types.h>

struct config;

struct check_owner {
    const char *service; /* NULL = it matches none; the configuration's. */
    char name[PROC_PATH_SIZE]; /* Of its program; "" = not known. */
};

/* Match the process @pid with the `processes:` of @config.  What is a lease's
 * only a coordinator knows. */
void check_owner_find(const struct config *config,
                      pid_t pid,
                      struct check_owner *out);

/* Write the living processes that match @service to @out as roots, as many as
 * fit; return how many were found. */
size_t check_owner_tree(const struct config *config,
                        const char *service,
                        struct tree_target *out);

#endif
