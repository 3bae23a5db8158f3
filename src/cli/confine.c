#include "cli/confine.h"

#include "control/cgroup.h"

#include <stdlib.h>

struct confine {
    struct cgroup cgroup;
};

struct confine *confine_open(void)
{
    struct confine *confine = calloc(1, sizeof *confine);
    struct buf why;

    buf_init(&why, 0);
    if (confine != NULL && cgroup_create(&confine->cgroup, &why) != E_OK) {
        free(confine);
        confine = NULL;
    }
    buf_release(&why);
    return confine;
}

void confine_enter(const struct confine *confine)
{
    if (confine != NULL) {
        /* In a threaded cgroup the kernel refuses: it stays where it is. */
        (void)!cgroup_enter(&confine->cgroup);
    }
}

void confine_close(struct confine *confine)
{
    if (confine != NULL) {
        /* What lives on keeps it; the next `run` here removes it. */
        (void)!cgroup_remove(&confine->cgroup);
    }
    free(confine);
}
