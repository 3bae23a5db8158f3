#include "control/rung.h"

#include "control/hostram.h"
#include "control/patience.h"

#include <unistd.h>

enum {
    PROBE_MS = 10000
};

/* Say whether the processes may be signalled. */
static bool may_signal(const struct tree_target *target, struct buf *why)
{
    uint32_t i;

    if (target == NULL) {
        if (geteuid() != 0) {
            buf_printf(why, "only for processes of user %u, or as root",
                       (unsigned int)geteuid());
        }
        return true;
    }
    for (i = 0; i < target->root_count; i++) {
        if (tree_signal(&target->roots[i], 0) == E_FORBIDDEN) {
            buf_printf(why,
                       "pid %d belongs to another user: run the coordinator "
                       "as that user, or as root",
                       (int)target->roots[i].pid);
            return false;
        }
    }
    return true;
}

static bool can_move(const struct rung_config *config, struct buf *why)
{
    struct patience patience = patience_for(PROBE_MS);
    struct cuda_tool tool;

    if (cuda_find(&config->cuda, &patience, &tool, why) != E_OK) {
        return false;
    }
    if (tool.toggles_only) {
        buf_text(why, "by the cuda-checkpoint program, only for services with "
                      "one CUDA process");
    }
    return true;
}

bool rung_available(const struct rung_config *config,
                    enum rung_act act,
                    const struct tree_target *target,
                    struct buf *why)
{
    switch (act) {
    case RUNG_DO_FREEZE:
    case RUNG_DO_THAW:
    case RUNG_DO_TERM:
    case RUNG_DO_KILL:
        return may_signal(target, why);
    case RUNG_DO_CHECKPOINT:
    case RUNG_DO_RESTORE:
        return can_move(config, why);
    }
    return false;
}
