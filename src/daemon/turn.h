/* turn.h - what one turn of the loop has changed, until it is stored.
 *
 * Two lists.  The deliveries (messages of the core, replies to calls) wait for
 * the commit.  The calls are kept so that those of a turn that did not commit
 * can be refused or made again.  The memory is used again from turn to turn.
 */
#ifndef GPUCOORD_DAEMON_TURN_H
#define GPUCOORD_DAEMON_TURN_H

#include "base/err.h"
#include "core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a call is answered once what it did is stored.  Not having one is
 * normal: a deadline has no caller. */
struct driver_reply {
    /* NULL = nobody waits. */
    void (*send)(void *arg, const struct driver_reply *reply);
    void *arg;
    uint64_t conn;  /* The caller's; not looked at here. */
    uint64_t token; /* What the caller gave. */
    uint64_t lease; /* Filled in by the driver; 0 = none. */
    int rc;         /* Likewise: of core_step(), or of the commit. */
    bool is_repeat; /* Likewise. */
    bool is_synced; /* Likewise: it must not be sent before an fsync. */
};

struct delivery {
    bool is_reply;
    bool is_settled; /* What it tells is stored already. */
    bool has_call;   /* .call is the index of the call that it answers. */
    size_t call;
    union {
        struct driver_reply reply;
        struct core_message message;
    };
};

struct call {
    struct core_event event;
    struct driver_reply reply;
    bool is_answered; /* For a moment: it is about to be dropped. */
};

struct turn {
    struct delivery *deliveries;
    size_t delivery_count;
    size_t delivery_capacity;
    struct call *calls;
    size_t call_count;
    size_t call_capacity;
    bool has_records;
    bool needs_fsync; /* A reply is_synced. */
};

/* Free what @turn owns. */
void turn_release(struct turn *turn);

/* Forget the contents; keep the memory. */
void turn_clear(struct turn *turn);

/* Make room for one call, its reply and @messages messages.
 *
 * Errors:
 *   E_NOMEM  nothing has changed.
 */
MUST_USE int turn_reserve(struct turn *turn, size_t messages);

/* Add a call, copied; turn_reserve() was called for it. */
void turn_add_call(struct turn *turn,
                   const struct core_event *event,
                   const struct driver_reply *reply);

/* Add a reply, copied; likewise.  With @answers_call it is that of the call
 * added last; else it tells what is stored already. */
void turn_add_reply(struct turn *turn,
                    const struct driver_reply *reply,
                    bool answers_call);

/* Add a message, copied; likewise. */
void turn_add_message(struct turn *turn, const struct core_message *message);

/* Say whether a delivery may leave, whatever becomes of what is not stored. */
typedef bool (*turn_chooser)(void *arg, const struct delivery *delivery);

/* Move the deliveries of @from that @is_free, asked with @arg, lets go to those
 * of @to, in their order; the calls that they answer are not made again.
 *
 * Errors:
 *   E_NOMEM  nothing has changed.
 */
MUST_USE int turn_take_free(struct turn *from,
                            struct turn *to,
                            turn_chooser is_free,
                            void *arg);

/* Move the deliveries of @from, which is stored, that @is_free, asked with
 * @arg, does not let go to the front of those of @to, in their order.
 *
 * Errors:
 *   E_NOMEM  nothing has changed.
 */
MUST_USE int turn_postpone(struct turn *from,
                           struct turn *to,
                           turn_chooser is_free,
                           void *arg);

/* Say whether there is nothing to deliver, store or make again. */
bool turn_is_empty(const struct turn *turn);

#endif
