/* kill.h - places at which a test kills the coordinator.
 *
 * Only in a build with -Dtest_hooks=true, for bench/chaos: GPUCOORD_KILL_AT
 * names a place and GPUCOORD_KILL_ONE_IN (1) how rarely it is deadly.  In any
 * other build there is nothing here.
 */
#ifndef GPUCOORD_BASE_KILL_H
#define GPUCOORD_BASE_KILL_H

enum kill_place {
    KILL_BEFORE_COMMIT,
    KILL_AFTER_COMMIT,
    KILL_AFTER_REPLY,
    KILL_IN_MIGRATION /* Before its commit. */
};

#ifdef GPUCOORD_TEST_HOOKS
/* Die of SIGKILL, if the environment says so. */
void kill_here(enum kill_place place);
#else
/* Do nothing. */
static inline void kill_here(enum kill_place place)
{
    (void)place;
}
#endif

#endif
