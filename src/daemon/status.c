/* status.c - GET /gpu/status: devices, holders, waiters, counts (A3, B3). */
#include "base/clock.h"
#include "core/lease.h"
#include "daemon/answer.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/members.h"
#include "daemon/names.h"
#include "daemon/prevented.h"
#include "daemon/records.h"
#include "daemon/redis.h"
#include "daemon/routes.h"
#include "daemon/views.h"
#include "http/http.h"

enum {
    STATES_HOLDING =
        1u << LEASE_HELD | 1u << LEASE_PAUSING | 1u << LEASE_RECLAIMING
};

static uint32_t class_count(const struct daemon *daemon)
{
    return CORE_CLASS(daemon->core_config.class_count);
}

/* Fill @view; say whether the class is worth showing: it is configured, or
 * somebody asked in it. */
static bool class_look(const struct daemon *daemon,
                       uint32_t class_id,
                       struct core_class_view *view)
{
    core_class_view(driver_core(daemon->driver), class_id, view);
    return class_id >= CORE_PRIORITIES || view->grants > 0 ||
           view->waiting > 0 || view->away > 0 || view->held > 0 ||
           view->paused > 0;
}

/* ---- Leases ----------------------------------------------------------- */

struct listing {
    struct daemon *daemon;
    struct buf *out;
    uint32_t count;
    uint32_t max;
    bool has_sleepers; /* CLEARING leases are listed as sleepers or not. */
};

static bool list_lease(void *arg, uint64_t id)
{
    struct listing *listing = arg;
    struct core_lease_view view;

    if (core_lease_view(driver_core(listing->daemon->driver), id, &view) ==
            E_OK &&
        (view.row.state != LEASE_CLEARING ||
         view.was_granted == listing->has_sleepers)) {
        buf_text(listing->out, listing->count == 0 ? "" : ",");
        views_lease(listing->daemon, &view, listing->out);
        listing->count++;
    }
    return listing->count < listing->max;
}

static void write_leases(struct daemon *daemon,
                         const char *name,
                         uint32_t states,
                         struct buf *out)
{
    struct listing listing = {.daemon = daemon, .out = out, .max = UINT32_MAX};

    member_name(out, name);
    buf_byte(out, '[');
    core_each_lease(driver_core(daemon->driver), states, list_lease, &listing);
    buf_byte(out, ']');
}

/* Append the first waiters of each class, those that are away behind the
 * others; count all. */
static void write_waiters(struct daemon *daemon, struct buf *out)
{
    const struct core *core = driver_core(daemon->driver);
    struct listing listing = {.daemon = daemon, .out = out};
    uint64_t waiting = 0;
    uint64_t away = 0;
    uint32_t i;

    member_name(out, "waiters");
    buf_byte(out, '[');
    for (i = 0; i < class_count(daemon); i++) {
        struct core_class_view view;

        if (class_look(daemon, i, &view)) {
            waiting += view.waiting;
            away += view.away;
            listing.max = listing.count + VIEWS_WAITERS;
            core_each_waiter(core, i, list_lease, &listing);
            if (listing.count < listing.max) {
                core_each_away(core, i, list_lease, &listing);
            }
        }
    }
    buf_byte(out, ']');
    member_u64(out, "waiting", waiting);
    member_u64(out, "away", away);
}

static bool take_first(void *arg, uint64_t id)
{
    uint64_t *first = arg;

    *first = id;
    return false;
}

/* Append the lock as a manager of one GPU has it (A3). */
static void write_lock(struct daemon *daemon, struct buf *out)
{
    const struct core *core = driver_core(daemon->driver);
    struct core_lease_view view;
    const struct names_lease *sent;
    uint64_t first = 0;
    char class_name[65];

    core_each_lease(core, 1u << LEASE_HELD | 1u << LEASE_PAUSING, take_first,
                    &first);
    member_name(out, "gpu_lock");
    if (first == 0 || core_lease_view(core, first, &view) != E_OK) {
        buf_text(out, "{\"is_locked\":false,\"current_holder\":null}");
        return;
    }
    sent = names_lease_find(daemon->names, first);
    records_class_name(daemon->config, view.row.class_id, class_name);
    buf_text(out, "{\"is_locked\":true,\"current_holder\":{\"job_id\":");
    buf_json(out, sent == NULL || sent->job == 0 ? "unknown" : sent->job_id);
    member_text(out, "job_type", class_name);
    member_name(out, "metadata");
    buf_text(out, sent == NULL ? "{}" : sent->metadata);
    member_time(out, "since", daemon_wall_ms(daemon, view.row.granted_at_ms));
    buf_text(out, "}}");
}

/* ---- Classes and counts ----------------------------------------------- */

enum figure {
    FIGURE_QUEUE, /* Whoever waits, attended or away. */
    FIGURE_GRANTS,
    FIGURE_CONSECUTIVE
};

/* Append one figure of every class, by the class's name. */
static void write_figures(const struct daemon *daemon,
                          const char *name,
                          enum figure figure,
                          struct buf *out)
{
    const char *comma = "";
    uint32_t i;

    member_name(out, name);
    buf_byte(out, '{');
    for (i = 0; i < class_count(daemon); i++) {
        struct core_class_view view;
        char class_name[65];

        if (class_look(daemon, i, &view)) {
            const uint64_t figures[] = {
                [FIGURE_QUEUE] = view.waiting + view.away,
                [FIGURE_GRANTS] = view.grants,
                [FIGURE_CONSECUTIVE] = view.consecutive};

            records_class_name(daemon->config, i, class_name);
            buf_text(out, comma);
            buf_json(out, class_name);
            buf_byte(out, ':');
            buf_u64(out, figures[figure]);
            comma = ",";
        }
    }
    buf_byte(out, '}');
}

static void write_class(const struct daemon *daemon,
                        uint32_t class_id,
                        const struct core_class_view *view,
                        uint64_t grants,
                        struct buf *out)
{
    char name[65];

    records_class_name(daemon->config, class_id, name);
    buf_text(out, "{\"name\":");
    buf_json(out, name);
    member_u64(out, "priority", view->config.priority);
    member_u64(out, "weight", view->config.weight);
    member_u64(out, "max_consecutive", view->config.max_consecutive);
    member_u64(out, "grants", view->grants);
    member_name(out, "share");
    buf_printf(out, "%.4f",
               grants == 0 ? 0.0 : (double)view->grants / (double)grants);
    member_u64(out, "consecutive", view->consecutive);
    member_u64(out, "waiting", view->waiting);
    member_u64(out, "away", view->away);
    member_u64(out, "held", view->held);
    member_u64(out, "paused", view->paused);
    buf_byte(out, '}');
}

static void
write_classes(const struct daemon *daemon, uint64_t grants, struct buf *out)
{
    const char *comma = "";
    uint32_t i;

    member_name(out, "classes");
    buf_byte(out, '[');
    for (i = 0; i < class_count(daemon); i++) {
        struct core_class_view view;

        if (class_look(daemon, i, &view)) {
            buf_text(out, comma);
            write_class(daemon, i, &view, grants, out);
            comma = ",";
        }
    }
    buf_byte(out, ']');
}

static void write_stats(const struct daemon *daemon,
                        const struct core_stats *stats,
                        struct buf *out)
{
    char last[65];

    member_name(out, "stats");
    buf_text(out, "{\"grants_total\":");
    buf_u64(out, stats->grants);
    write_figures(daemon, "grants", FIGURE_GRANTS, out);
    write_figures(daemon, "consecutive", FIGURE_CONSECUTIVE, out);
    if (stats->last_class == (uint32_t)CORE_FOREVER) {
        member_text(out, "last_job_type", NULL);
    } else {
        records_class_name(daemon->config, stats->last_class, last);
        member_text(out, "last_job_type", last);
    }
    member_u64(out, "resumes", stats->resumes);
    member_u64(out, "pauses", stats->pauses);
    member_u64(out, "acks", stats->acks);
    member_u64(out, "expiries", stats->expiries);
    member_u64(out, "revocations", stats->revocations);
    member_u64(out, "timeouts", stats->timeouts);
    member_u64(out, "advisories", stats->advisories);
    member_u64(out, "offers", stats->offers);
    member_u64(out, "unloads", stats->unloads);
    member_u64(out, "prevented", stats->prevented);
    member_name(out, "prevented_by");
    prevented_write(&daemon->prevented, out);
    buf_byte(out, '}');
}

/* ---- The whole -------------------------------------------------------- */

static void write_modes(const struct daemon *daemon,
                        const struct core_stats *stats,
                        struct buf *out)
{
    uint64_t now_ms = driver_now_ms(daemon->driver);
    bool is_bypassed = stats->bypass_until_ms > now_ms;
    int rc = driver_store_state(daemon->driver);

    member_bool(out, "scheduler_running", daemon->phase == DAEMON_SERVING);
    member_bool(out, "draining", stats->is_draining);
    member_bool(out, "stopping", stats->is_stopping);
    member_bool(out, "observing", daemon->core_config.is_observing);
    member_bool(out, "bypass", is_bypassed);
    member_maybe(out, "bypass_ms",
                 is_bypassed && stats->bypass_until_ms != CORE_FOREVER,
                 stats->bypass_until_ms - now_ms);
    member_text(out, "store", rc == E_OK ? "ok" : err_type(rc));
    if (rc != E_OK && driver_store_why(daemon->driver) != NULL) {
        member_text(out, "store_why", driver_store_why(daemon->driver));
    }
    redis_write_status(daemon, out);
}

void views_status(struct daemon *daemon, struct buf *out)
{
    uint64_t wall_ms = clock_wall_ms();
    struct core_stats stats;

    core_stats(driver_core(daemon->driver), &stats);
    buf_text(out, "{\"version\":\"" GPUCOORD_VERSION "\"");
    member_time(out, "time", wall_ms);
    member_u64(out, "uptime_ms", clock_mono_ms() - daemon->started_mono_ms);
    write_modes(daemon, &stats, out);
    views_devices(daemon, out);
    write_lock(daemon, out);
    write_leases(daemon, "holders", STATES_HOLDING, out);
    write_leases(daemon, "paused", 1u << LEASE_PAUSED | 1u << LEASE_CLEARING,
                 out);
    write_waiters(daemon, out);
    write_figures(daemon, "queue_sizes", FIGURE_QUEUE, out);
    write_classes(daemon, stats.grants, out);
    views_services(daemon, out);
    write_stats(daemon, &stats, out);
    buf_byte(out, '}');
}

void status_handle(struct daemon *daemon,
                   const struct http_request *request,
                   const char *last)
{
    struct buf *body = answer_buf(daemon);

    (void)last;
    views_status(daemon, body);
    (void)answer_json(daemon, request->conn, 200, body, 0);
}
