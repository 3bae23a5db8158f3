#include "control/guarantee.h"

enum core_guarantee guarantee_of(const struct guarantee_facts *facts)
{
    bool is_measured = facts->measure != GUARANTEE_UNMEASURED;
    bool is_watched =
        facts->watch != GUARANTEE_UNWATCHED && facts->is_alive && facts->is_own;

    if (is_watched && (is_measured || facts->watch == GUARANTEE_CGROUP)) {
        return CORE_SUPERVISED;
    }
    return is_measured ? CORE_VERIFIED : CORE_ADVISORY;
}
