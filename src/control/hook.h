/* hook.h - programs of the operator's: `restart`, `notify`.
 *
 * An argv, no shell; what it prints goes to the log, line by line and bounded.
 * One runs per key at a time; repeats are put off (backoff.h).  A call for a
 * key that runs or waits takes the place of the one that waits: restarting a
 * service twice in a row does not help it.  The caller has recorded the call
 * before it makes it: here, nothing is remembered over a restart.
 */
#ifndef GPUCOORD_CONTROL_HOOK_H
#define GPUCOORD_CONTROL_HOOK_H

#include "base/err.h"
#include "control/outcome.h"

#include <stdint.h>

struct event_base;
struct hooks; /* Opaque; hook.c. */

enum {
    HOOK_KEYS_MAX = 256,
    HOOK_KEY_SIZE = 96,
    HOOK_LINES_MAX = 100,    /* Logged of one run; the others are counted. */
    HOOK_LINE_SIZE = 512,    /* Longer ones are cut. */
    HOOK_TIMEOUT_MS = 60000, /* Then it is killed with its whole group. */
};

/* Called with each line that it prints, without its end; bounded. */
typedef void (*hook_line)(void *arg, const char *line);

/* Called once, on the loop; SKIPPED: a later call took its place. */
typedef void (*hook_done)(void *arg, const struct outcome *outcome);

struct hook_call {
    const char *key;         /* "restart transcription"; also in the log. */
    const char *const *argv; /* NULL-terminated. */
    const char *const *more; /* "NAME=value" for it; NULL = none. */
    uint32_t timeout_ms;     /* 0 = HOOK_TIMEOUT_MS. */
    hook_line line;          /* NULL = the log gets it. */
    hook_done done;          /* NULL = nobody wants to know. */
    void *arg;
};

/* Make ready to run hooks on the loop @base, borrowed until hooks_close().
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int hooks_open(struct event_base *base, struct hooks **out);

/* Drop what waits, without callbacks, leave alone what runs, and free all;
 * NULL is allowed.  A restart under way is not killed: the coordinator may be
 * what is restarted. */
void hooks_close(struct hooks *hooks);

/* Run @call, copied, now or when its back-off is over.
 *
 * Errors:
 *   E_LIMIT  HOOK_KEYS_MAX other keys run, wait or are backed off.
 *   E_NOMEM  no memory.
 */
MUST_USE int hook_run(struct hooks *hooks, const struct hook_call *call);

#endif
