#include "daemon/tell.h"

#include "control/watch.h"
#include "core/lease.h"
#include "daemon/acting.h"
#include "daemon/census.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/events.h"
#include "daemon/look.h"
#include "daemon/names.h"
#include "daemon/observed.h"
#include "daemon/redis.h"
#include "daemon/waiters.h"

static void lease_ended(struct daemon *daemon, uint64_t lease)
{
    struct core_lease_view view;

    if (core_lease_view(driver_core(daemon->driver), lease, &view) == E_OK &&
        view.reason == CORE_REASON_RELEASED) {
        observed_add(daemon->observed, view.row.service, view.held_ms);
    }
    if (core_lease_view(driver_core(daemon->driver), lease, &view) == E_OK &&
        view.held_ms > 0 && watch_find(daemon->watch, lease) == NULL) {
        census_leave(daemon, view.row.service);
    }
    observed_forget(daemon->observed, lease);
    waiters_lease_ended(daemon, lease);
    watch_forget(daemon->watch, lease);
    names_end(daemon->names, lease);
}

/* Note how long it takes to change hands. */
static void observe(struct daemon *daemon, const struct core_message *message)
{
    uint64_t now_ms = driver_now_ms(daemon->driver);

    if (message->type == CORE_MSG_PAUSE) {
        observed_begin(daemon->observed, message->lease, OBSERVED_PAUSE,
                       now_ms);
    } else if (message->type == CORE_MSG_RESUME) {
        observed_begin(daemon->observed, message->lease, OBSERVED_RESUME,
                       now_ms);
    } else if (message->type == CORE_MSG_STATE &&
               message->state == LEASE_PAUSED) {
        observed_end(daemon->observed, message->lease, message->service,
                     OBSERVED_PAUSE, now_ms);
    }
}

void tell_message(struct daemon *daemon, const struct core_message *message)
{
    if (redis_hold(daemon, message)) {
        return;
    }
    observe(daemon, message);
    waiters_tell(daemon, message);
    control_tell(daemon, message);
    redis_tell(daemon, message);
    events_tell(daemon, message);
    if (daemon->acting != NULL) {
        acting_tell(daemon->acting, message);
    }
    prevented_tell(daemon, message);
    if (message->type == CORE_MSG_STATE) {
        look_tell(daemon, message->lease);
        if (message->state == LEASE_ENDED) {
            lease_ended(daemon, message->lease);
        }
    } else if (message->type == CORE_MSG_STOPPED) {
        daemon_leave(daemon);
    }
}
