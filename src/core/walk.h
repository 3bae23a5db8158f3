/* walk.h - what walk.c and answer.c share; private to both.
 *
 * What the rest of the core may call stands in parts.h.
 */
#ifndef GPUCOORD_CORE_WALK_H
#define GPUCOORD_CORE_WALK_H

#include "core/parts.h"

enum {
    WALK_STILL = CORE_ROW_FROZEN | CORE_ROW_CHECKPOINTED
};

/* Return the flag of what @rung does to a process; 0. */
uint32_t walk_flag(enum rung rung);

/* Take @flag, or several, from the row of @lease. */
void walk_clear(struct core *core, struct lease *lease, uint32_t flag);

/* Return the rung of @lease that was begun last. */
enum rung walk_begun(const struct lease *lease);

/* Where nothing holds the processes of @lease any more, let its time run
 * again. */
void walk_go_on(struct core *core, struct lease *lease);

/* Say which of @flags were done to the processes of @lease and have to be
 * undone: they run again before their VRAM comes back. */
void walk_say_undo(struct core *core, struct lease *lease, uint32_t flags);

/* What came of a checkpoint of @lease, or of its undo, is known: only samples
 * begun from here on say what it uses.  Say whether that was waited for. */
bool walk_moved(struct core *core, struct lease *lease);

/* Begin the first rung of force above @after; after the last only the settle
 * time is left. */
void walk_force_on(struct core *core, struct lease *lease, enum rung after);

/* See at an event that is no sample whether @lease, RECLAIMING, is cleared
 * away.  Where it is measured only the next sample says: who was granted
 * something since the last would hide what is still used. */
void walk_settle_now(struct core *core, struct lease *lease);

#endif
