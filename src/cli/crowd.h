/* crowd.h - many clients of one coordinator in one process.
 *
 * Each call has a connection of its own while it lasts, as those of separate
 * programs would; answers and the events of control streams are handed over
 * by crowd_turn(), one at a time.
 */
#ifndef GPUCOORD_CLI_CROWD_H
#define GPUCOORD_CLI_CROWD_H

#include "base/err.h"
#include "proto/api.h"

#include <stddef.h>
#include <stdint.h>

struct crowd; /* Opaque; crowd.c. */

/* Who is told; a failure ends crowd_turn(), which returns it.  Calls may be
 * started from within. */
struct crowd_handler {
    /* The call @tag is over; @status is 0 where no answer came. */
    int (*answered)(void *arg,
                    uint64_t tag,
                    unsigned status,
                    const struct api_answer *answer);
    /* The event @name came on a control stream. */
    int (*event)(void *arg, const char *name, const struct api_answer *data);
    void *arg;
};

/* Find the coordinator and open a crowd of no clients; @handler is copied.
 *
 * Errors (said to the user):
 *   E_INVALID      GPUCOORD_URL is wrong.
 *   E_UNREACHABLE  no coordinator answers.
 *   E_NOMEM        no memory.
 */
MUST_USE int crowd_open(const struct crowd_handler *handler,
                        struct crowd **out);

/* Close the crowd, its calls and streams; NULL is allowed. */
void crowd_close(struct crowd *crowd);

/* Start a call: a POST of @body, copied, to @path.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int crowd_post(struct crowd *crowd,
                        const char *path,
                        const char *body,
                        uint64_t tag);

/* Open the control stream of @service and wait until it is open.
 *
 * Errors (said to the user):
 *   E_UNREACHABLE  the coordinator does not open it.
 *   E_NOMEM        no memory.
 */
MUST_USE int crowd_listen(struct crowd *crowd, const char *service);

/* Return how many calls are in progress; streams do not count. */
size_t crowd_count(const struct crowd *crowd);

/* Drop all calls in progress: the coordinator sees that their clients have
 * gone. */
void crowd_drop(struct crowd *crowd);

/* Wait up to @wait_ms for something to happen, then hand over what has.
 *
 * Errors:
 *   E_UNREACHABLE  a stream has ended (said to the user).
 *   E_NOMEM        no memory.
 *   or that of a handler.
 */
MUST_USE int crowd_turn(struct crowd *crowd, uint64_t wait_ms);

#endif
