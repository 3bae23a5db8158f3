/* lease.h - one request from the moment it is accepted to its end.
 *
 *               submit
 *                 v              cancel; timeout, gone without job
 *     AWAY <---> QUEUED --------------------------------------------> ENDED
 *                 | ^ chosen; victims are asked to make room
 *                 v | a better-ranked waiter takes over
 *              CLEARING  (its place is reserved; waits for measured VRAM)
 *                 | free, verified: a new token
 *                 v          ask            ack + verified
 *               HELD ----------> PAUSING ----------------> PAUSED
 *                 |                 |                        |
 *                 |                 |        CLEARING <------+ resume
 *                 v                 v                        v (by force)
 *              RECLAIMING  (the ladder runs, VRAM charged) -------> ENDED
 *
 * A grant that nobody was told of, because somebody outside held the device,
 * goes back where it was: from HELD or PAUSING to AWAY, QUEUED or PAUSED.
 *
 * A state is a list: a lease is on exactly the one its state names, and only
 * lease_move() changes either.  The table of allowed moves is in lease.c;
 * docs/state-machines.md is printed from it.
 */
#ifndef GPUCOORD_CORE_LEASE_H
#define GPUCOORD_CORE_LEASE_H

#include <stdbool.h>

enum lease_state {
    LEASE_AWAY,       /* A waiter nobody attends. */
    LEASE_QUEUED,     /* Waits for its turn. */
    LEASE_CLEARING,   /* Chosen; waits for measured VRAM. */
    LEASE_HELD,       /* Its holder may use the devices. */
    LEASE_PAUSING,    /* Asked to pause; still uses them. */
    LEASE_PAUSED,     /* Off the devices; waits for its resume. */
    LEASE_RECLAIMING, /* Taken back; its VRAM is still charged. */
    LEASE_ENDED,      /* Remembered for a while. */
    LEASE_STATES
};

/* Return the name of @state as in the interfaces ("held"); static. */
const char *lease_state_name(enum lease_state state);

/* Return what @state means, a sentence part for the documentation; static. */
const char *lease_state_help(enum lease_state state);

/* Say whether the table allows a move from @from to @to. */
bool lease_may_move(enum lease_state from, enum lease_state to);

/* Say whether a lease in @state is charged as a holder: HELD, PAUSING or
 * RECLAIMING. */
bool lease_state_holds(enum lease_state state);

#endif
