/* loop.h - the event loop: turns, one deadline, signals.
 *
 * A turn is what libevent does between two waits: every ready descriptor is
 * read, then the deadline is told if it has come, then, if somebody asked for
 * it, the end of the turn.  So input is read before time is told, and all that
 * a turn changed can be committed at once.  After a turn the loop looks for
 * more input for 50 us before it sleeps (decision 0005), unless there is one
 * processor only.
 */
#ifndef GPUCOORD_DAEMON_LOOP_H
#define GPUCOORD_DAEMON_LOOP_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base; /* libevent's. */
struct loop;       /* Opaque; loop.c. */

struct loop_handler {
    void (*on_turn_end)(void *arg); /* loop_end_turn() asked for it. */
    void (*on_deadline)(void *arg); /* The armed instant has come; the end of
                                     * the turn follows. */
    void (*on_signal)(void *arg, int number); /* TERM, INT or HUP. */
};

/* Create a loop; TERM, INT and HUP are its from now on, PIPE is ignored.
 *
 * @handler and @arg are borrowed until loop_destroy().
 *
 * Errors:
 *   E_NOMEM  no memory or no descriptors.
 */
MUST_USE int
loop_create(const struct loop_handler *handler, void *arg, struct loop **out);

/* Free the loop; NULL is allowed. */
void loop_destroy(struct loop *loop);

/* Return libevent's base, borrowed until loop_destroy(). */
struct event_base *loop_base(const struct loop *loop);

/* Call on_turn_end at the end of this turn, or of the next one that is. */
void loop_end_turn(struct loop *loop);

/* Look for input without sleeping until @until_ns (clock_mono_ns()), and let
 * the turn end then; 0 = no longer.  False, and nothing of that, where looking
 * would take the processor from those who are looked for. */
bool loop_linger(struct loop *loop, uint64_t until_ns);

/* Call on_deadline at @mono_ms (clock_mono_ms()), not before; UINT64_MAX:
 * never.  Replaces what was armed before. */
void loop_arm(struct loop *loop, uint64_t mono_ms);

/* Serve until loop_stop(). */
void loop_run(struct loop *loop);

/* Make loop_run() return at the end of this turn. */
void loop_stop(struct loop *loop);

#endif
