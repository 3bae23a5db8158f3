/* driver_owed.c - events that must not be lost wait here for memory.
 *
 * The one who owes an event brings the memory in which it waits, so that the
 * loss of a client is never lost itself: a lease that its connection holds has
 * no other end.
 */
#include "daemon/driver_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/loop.h"

#include <stdlib.h>

enum {
    OWED_RETRY_MS = 100 /* Nothing spins for want of memory. */
};

static struct driver_owed *owed_of(struct list *link)
{
    return CONTAINER_OF(link, struct driver_owed, link);
}

static void owed_free(struct driver_owed *owed)
{
    list_remove(&owed->link);
    free(owed);
}

void driver_pay(struct driver *driver)
{
    if (list_is_empty(&driver->owed) ||
        clock_mono_ms() < driver->owed_retry_at_ms) {
        return;
    }
    while (!list_is_empty(&driver->owed)) {
        struct driver_owed *owed = owed_of(driver->owed.next);

        if (driver_feed(driver, &owed->event, NULL) == E_NOMEM) {
            driver->owed_retry_at_ms = clock_mono_ms() + OWED_RETRY_MS;
            return;
        }
        owed_free(owed);
    }
}

void driver_owe(struct driver *driver, struct driver_owed *owed)
{
    owed->link = (struct list){NULL, NULL};
    list_append(&driver->owed, &owed->link);
    driver_pay(driver);
    if (!list_is_empty(&driver->owed)) {
        log_warn("out of memory: a client has gone, which waits");
        /* Nothing was fed, and so no turn would end that arms the loop. */
        loop_end_turn(driver->is.loop);
    }
}

void driver_forget_streams(struct driver *driver)
{
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &driver->owed) {
        struct driver_owed *owed = owed_of(at);

        if (owed->event.type == CORE_DETACH && owed->event.detach.lease == 0) {
            owed_free(owed);
        }
    }
}

void driver_forget_owed(struct driver *driver)
{
    while (!list_is_empty(&driver->owed)) {
        owed_free(owed_of(driver->owed.next));
    }
}
