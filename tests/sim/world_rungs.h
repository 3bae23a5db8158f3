/* world_rungs.h - processes behind leases, and those who climb ladders.
 *
 * What the daemon would do with a rung is played here: it succeeds, fails, is
 * skipped, comes late, never, or twice, and says so or not.  Processes hold
 * the truth about what was done to them.  Private to world.c.
 */
#ifndef GPUCOORD_TESTS_SIM_WORLD_RUNGS_H
#define GPUCOORD_TESTS_SIM_WORLD_RUNGS_H

#include "sim/world.h"

/* Give @config ladders of many kinds. */
void rungs_config(struct core_config *config);

/* Draw the answer of a rung that is due, or a death; false: nothing is. */
bool rungs_draw(struct world *world,
                const struct rig *rig,
                struct random *random,
                struct core_event *out);

/* Draw what somebody does to the lease by hand. */
void rungs_draw_hands(uint64_t lease,
                      struct random *random,
                      struct core_event *out);

/* A rung is begun / a lease granted / ended. */
void rungs_hear(struct world *world,
                const struct rig *rig,
                struct random *random,
                const struct core_message *message);
void rungs_hear_grant(struct world *world, uint64_t lease);
void rungs_hear_end(struct world *world, const struct core_message *message);

/* The core took @event. */
void rungs_hear_event(struct world *world, const struct core_event *event);

/* The coordinator died: what it had begun is done or not, and nobody says. */
void rungs_restart(struct world *world, const struct rig *rig);

/* world.c: the client behind @lease, NULL; more VRAM; the lease's VRAM goes at
 * @at_ms. */
struct client *client_find(struct world *world, uint64_t lease);
void usage_add(struct world *world, struct usage usage);
void usage_leave(struct world *world, uint64_t lease, uint64_t at_ms);

#endif
