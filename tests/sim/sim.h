/* sim.h - one run: a seed, a profile, so many steps.
 *
 * A run is a function of its seed: each step draws from numbers of its own, so
 * a run with some steps left out is still a run, which is how a failing one is
 * made shorter.
 */
#ifndef GPUCOORD_TESTS_SIM_SIM_H
#define GPUCOORD_TESTS_SIM_SIM_H

#include "lib/fault.h"
#include "sim/world.h"

struct sim {
    const struct world_profile *profile;
    uint64_t seed;
    uint64_t steps;
    const bool *skips;    /* Steps to leave out; NULL = none. */
    struct buf *trace;    /* Where lines go; NULL = nowhere. */
    struct fault *fault;  /* The core's allocator; NULL = the C library's. */
    const char **failure; /* What was wrong, as rig_fail()'s; NULL. */
    uint64_t *step;       /* Is kept at the present step; NULL = nobody asks. */
    uint64_t fails_at;    /* So many grants are called a failure, to see what
                             is said of one; 0 = none is. */
};

struct sim_result {
    uint64_t hash; /* Over all effects. */
    uint64_t events;
    uint64_t grants;
    uint64_t resumes;
    uint64_t pauses;
    uint64_t restarts;
};

/* Return the profile called @name; NULL. */
const struct world_profile *sim_profile(const char *name);

/* Return profile number @index; NULL after the last. */
const struct world_profile *sim_profile_at(size_t index);

/* Run.  The first thing that is wrong ends the program. */
void sim_run(const struct sim *sim, struct sim_result *out);

#endif
