/* thaw_dirs.h - where coordinators keep what they have frozen. */
#ifndef GPUCOORD_CLI_THAW_DIRS_H
#define GPUCOORD_CLI_THAW_DIRS_H

#include <stddef.h>

enum {
    THAW_DIRS_MAX = 4
};

struct thaw_dirs {
    char *list[THAW_DIRS_MAX]; /* Directories of state, each once. */
    size_t count;
};

/* Find the usual ones, whether or not they are there: that of the coordinator
 * that answers on this machine, the one that the configuration names, the
 * user's, and the system's.  One that cannot be found out is left out.
 * @out is returned to the caller, who gives it to thaw_dirs_release(). */
void thaw_dirs_find(struct thaw_dirs *out);

/* Free what @dirs owns. */
void thaw_dirs_release(struct thaw_dirs *dirs);

#endif
