/* why.c - on whom a lease waits, until when, and about how long (C10). */
#include "core/lease.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/grants.h"
#include "daemon/members.h"
#include "daemon/names.h"
#include "daemon/observed.h"
#include "daemon/views.h"
#include "daemon/why_use.h"

#include <inttypes.h>

/* What is known of a wait, and of the lease in the way. */
struct wait {
    const struct daemon *daemon;
    struct core_why why;
    struct core_lease_view blocker; /* Valid where .why.blocker is not 0. */
    const char *blocker_name;       /* Its service; "" = none. */
    uint64_t now_ms;
};

static const char *sentence(enum core_wait wait)
{
    switch (wait) {
    case CORE_WAIT_NOTHING:
        return "waits for nothing";
    case CORE_WAIT_STARTUP:
        return "the coordinator has just started";
    case CORE_WAIT_DRAINING:
        return "nothing new is granted: draining";
    case CORE_WAIT_AWAY:
        return "nobody attends the request";
    case CORE_WAIT_DEVICE:
        return "the device cannot be used now";
    case CORE_WAIT_HOLDER:
        return "held by";
    case CORE_WAIT_PAUSE:
        return "asked to pause:";
    case CORE_WAIT_VRAM:
        return "VRAM is not yet measured free:";
    case CORE_WAIT_RECLAIM:
        return "being cleared away:";
    case CORE_WAIT_RESIDENT:
        return "a warm model is in the way, of";
    case CORE_WAIT_LINGER:
        return "a seat is kept for";
    case CORE_WAIT_LIMIT:
        return "its class has had its turns in a row";
    case CORE_WAIT_TURN:
        return "before it is";
    case CORE_WAIT_OPERATOR:
        return "paused by an operator";
    case CORE_WAIT_FROZEN:
        return "frozen with its VRAM for an operator:";
    case CORE_WAIT_STORE:
        return "the store is away, and nothing is granted that it does not "
               "know";
    case CORE_WAIT_FOREIGN:
        return "another program holds the GPU's key in Redis";
    case CORE_WAITS:
        break;
    }
    return "";
}

static void
wait_fill(const struct daemon *daemon, uint64_t lease, struct wait *out)
{
    const struct core *core = driver_core(daemon->driver);

    *out = (struct wait){.daemon = daemon,
                         .now_ms = driver_now_ms(daemon->driver)};
    out->blocker_name = "";
    if (core_why(core, lease, &out->why) != E_OK) {
        return;
    }
    if (out->why.blocker != 0 &&
        core_lease_view(core, out->why.blocker, &out->blocker) != E_OK) {
        out->why.blocker = 0;
    }
    if (out->why.blocker != 0) {
        out->blocker_name =
            names_service_name(daemon->names, out->blocker.row.service);
    } else {
        out->blocker_name = names_service_name(daemon->names, out->why.service);
    }
}

static struct why_use use_of(const struct wait *wait)
{
    return (struct why_use){wait->daemon, &wait->why,
                            wait->why.blocker == 0 ? NULL : &wait->blocker};
}

/* Say whether VRAM is waited for that no lease can be blamed for. */
static bool is_nobodys(const struct wait *wait)
{
    return wait->why.wait == CORE_WAIT_VRAM && wait->why.blocker == 0;
}

/* Append the wait as a sentence for people. */
static void write_text(const struct daemon *daemon,
                       const struct wait *wait,
                       struct buf *out)
{
    const struct why_use use = use_of(wait);
    struct buf text;

    buf_init(&text, 0);
    buf_text(&text, is_nobodys(wait) ? "too little VRAM is measured free"
                                     : sentence(wait->why.wait));
    if (wait->blocker_name[0] != '\0') {
        buf_printf(&text, " '%s'", wait->blocker_name);
    }
    if (wait->why.blocker != 0) {
        buf_printf(&text, " (lease %" PRIu64 ")", wait->why.blocker);
    }
    if (wait->why.wait == CORE_WAIT_HOLDER && !wait->why.blocker_hears) {
        buf_text(&text, ", which cannot be asked to pause");
    }
    if (wait->why.wait == CORE_WAIT_HOLDER && wait->why.blocker_protected) {
        buf_text(&text, ", which has just begun");
    }
    why_use_text(&use, &text);
    if (wait->why.blocker != 0 && (wait->why.wait == CORE_WAIT_PAUSE ||
                                   wait->why.wait == CORE_WAIT_VRAM ||
                                   wait->why.wait == CORE_WAIT_RECLAIM)) {
        views_walk_text(daemon, &wait->blocker, &text);
    }
    member_text(out, "text", buf_string(&text));
    buf_release(&text);
}

/* Return the rung of the ladder that the blocker is on; NULL = none. */
static const char *rung_of(const struct wait *wait)
{
    if (wait->why.rung != RUNG_NONE) {
        return rung_name(wait->why.rung);
    }
    return wait->why.wait == CORE_WAIT_RECLAIM ? "reclaim" : NULL;
}

static void write_blocker(const struct wait *wait, struct buf *out)
{
    const struct core_lease_view *blocker = &wait->blocker;
    const struct why_use use = use_of(wait);

    if (wait->why.blocker == 0) {
        member_text(out, "blocker", NULL);
        return;
    }
    member_name(out, "blocker");
    buf_text(out, "{\"lease\":");
    buf_u64(out, wait->why.blocker);
    member_text(out, "service_id", wait->blocker_name);
    member_text(out, "state",
                lease_state_name((enum lease_state)blocker->row.state));
    member_text(out, "rung", rung_of(wait));
    member_bool(out, "hears", blocker->can_hear);
    why_use_members(&use, out);
    buf_byte(out, '}');
}

/* Append how long the blocker may take to pause, by how long its service took
 * before. */
static void write_swap(const struct daemon *daemon,
                       const struct wait *wait,
                       struct buf *out)
{
    uint64_t spent_ms = wait->now_ms - wait->blocker.state_at_ms;
    struct observed_service seen;
    uint64_t mean_ms;

    observed_get(daemon->observed, wait->blocker.row.service, &seen);
    mean_ms = seen.swap_ms[OBSERVED_PAUSE];
    member_maybe(out, "estimate_ms", seen.swaps[OBSERVED_PAUSE] >= OBSERVED_MIN,
                 mean_ms > spent_ms ? mean_ms - spent_ms : 0);
    member_u64(out, "observations", seen.swaps[OBSERVED_PAUSE]);
}

/* Append how long the blocker may go on, by what its service did before. */
static void write_estimate(const struct daemon *daemon,
                           const struct wait *wait,
                           struct buf *out)
{
    const struct core_lease_row *row = &wait->blocker.row;
    bool holds = wait->why.blocker != 0 &&
                 lease_state_holds((enum lease_state)row->state);
    uint64_t left_ms = 0;
    bool is_known =
        holds &&
        observed_left(daemon->observed, row->service,
                      wait->now_ms - row->first_granted_at_ms, &left_ms);

    if (wait->why.wait == CORE_WAIT_PAUSE && wait->why.blocker != 0) {
        write_swap(daemon, wait, out);
        return;
    }
    member_maybe(out, "estimate_ms", is_known, left_ms);
    member_u64(out, "observations",
               holds ? observed_count(daemon->observed, row->service) : 0);
}

void views_why(struct daemon *daemon,
               const struct core_lease_view *view,
               struct buf *out)
{
    struct wait wait;
    bool has_until;

    wait_fill(daemon, view->row.id, &wait);
    if (wait.why.position == 0 && wait.why.wait == CORE_WAIT_NOTHING) {
        buf_text(out, "null");
        return;
    }
    has_until = wait.why.until_ms != CORE_FOREVER && wait.why.until_ms != 0;
    buf_text(out, "{\"wait\":");
    buf_json(out, core_wait_name(wait.why.wait));
    member_u64(out, "position", wait.why.position);
    write_text(daemon, &wait, out);
    write_blocker(&wait, out);
    member_maybe(
        out, "until_in_ms", has_until,
        wait.why.until_ms > wait.now_ms ? wait.why.until_ms - wait.now_ms : 0);
    member_bool(out, "unless_renewed", wait.why.blocker_may_renew);
    member_u64(out, "device", wait.why.device);
    member_maybe(out, "need_mib", wait.why.need_mib != 0, wait.why.need_mib);
    member_u64(out, "free_mib", wait.why.free_mib);
    member_u64(out, "unleased_mib", wait.why.unleased_mib);
    write_estimate(daemon, &wait, out);
    buf_byte(out, '}');
}

/* ---- Who is in the way of a request that timed out -------------------- */

struct search {
    const struct core *core;
    uint64_t devices; /* 0 = any. */
    struct core_lease_view found;
    bool has_found;
};

static bool search_each(void *arg, uint64_t id)
{
    struct search *search = arg;
    struct core_lease_view view;

    if (core_lease_view(search->core, id, &view) == E_OK &&
        (search->devices == 0 || (view.row.granted & search->devices) != 0)) {
        search->found = view;
        search->has_found = true;
    }
    return !search->has_found;
}

/* Return why nothing is granted on any of @devices; NULL where one is open. */
static const char *closed(const struct daemon *daemon, uint64_t devices)
{
    const char *text = "no such device can be used now: there is no recent "
                       "measurement of it";
    uint32_t i;

    for (i = 0; i < daemon->core_config.device_count; i++) {
        struct core_device_view view;

        if (devices != 0 && (devices >> i & 1) == 0) {
            continue;
        }
        core_device_view(driver_core(daemon->driver), i, &view);
        if (view.is_drained) {
            text = "nothing new is granted there: it is drained";
        } else if (view.is_foreign) {
            text = "another program holds the GPU's key in Redis";
        } else if (view.state == CORE_DEVICE_OK) {
            return NULL;
        }
    }
    return text;
}

void views_in_the_way(struct daemon *daemon, uint64_t devices, struct buf *out)
{
    const char *reason = closed(daemon, devices);
    struct search search = {.core = driver_core(daemon->driver),
                            .devices = devices};
    uint64_t now_ms = driver_now_ms(daemon->driver);
    const struct core_lease_view *found = &search.found;
    bool is_held;
    uint64_t left_ms;

    if (reason != NULL) {
        buf_text(out, reason);
        return;
    }
    core_each_lease(search.core,
                    1u << LEASE_HELD | 1u << LEASE_PAUSING |
                        1u << LEASE_RECLAIMING,
                    search_each, &search);
    if (!search.has_found) {
        buf_text(out, "nobody holds it: too little is free, or it is kept for "
                      "others");
        return;
    }
    is_held = found->row.state == LEASE_HELD;
    left_ms =
        found->deadline_at_ms > now_ms ? found->deadline_at_ms - now_ms : 0;
    buf_printf(out, "'%s' has it (lease %" PRIu64 ", %s, priority %" PRIu32 ")",
               names_service_name(daemon->names, found->row.service),
               found->row.id,
               lease_state_name((enum lease_state)found->row.state),
               grant_priority(daemon, found->row.class_id));
    if (left_ms != 0 && found->deadline_at_ms != CORE_FOREVER) {
        buf_printf(out, ", for at most %" PRIu64 " ms more%s", left_ms,
                   is_held ? " unless it renews" : "");
    }
}
