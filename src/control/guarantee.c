#include "control/guarantee.h"

enum core_guarantee guarantee_of(enum guarantee_watch watch,
                                 enum guarantee_measure measure)
{
    bool is_measured = measure != GUARANTEE_UNMEASURED;

    if (watch == GUARANTEE_CGROUP ||
        (watch != GUARANTEE_UNWATCHED && is_measured)) {
        return CORE_SUPERVISED;
    }
    return is_measured ? CORE_VERIFIED : CORE_ADVISORY;
}
