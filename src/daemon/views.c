#include "daemon/views.h"

#include "core/lease.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/gpus.h"
#include "daemon/grants.h"
#include "daemon/members.h"
#include "daemon/names.h"
#include "daemon/watching.h"

static uint64_t left(uint64_t at_ms, uint64_t now_ms)
{
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

static void
write_sent(const struct daemon *daemon, uint64_t lease, struct buf *out)
{
    const struct names_lease *sent = names_lease_find(daemon->names, lease);

    member_text(out, "job_id",
                sent == NULL || sent->job == 0 ? NULL : sent->job_id);
    member_name(out, "metadata");
    buf_text(out, sent == NULL ? "{}" : sent->metadata);
}

static void write_devices(const struct daemon *daemon,
                          const struct core_lease_row *row,
                          struct buf *out)
{
    const char *comma = "";
    uint32_t i;

    member_name(out, "devices");
    buf_byte(out, '[');
    for (i = 0; i < daemon->core_config.device_count; i++) {
        if ((row->granted >> i & 1) != 0) {
            buf_text(out, comma);
            buf_text(out, "{\"index\":");
            buf_u64(out, i);
            member_text(out, "uuid", gpus_uuid(daemon, i));
            member_u64(out, "vram_mib", core_row_share(row, i).charge_mib);
            buf_byte(out, '}');
            comma = ",";
        }
    }
    buf_byte(out, ']');
}

/* Append the times of @view: since when, how long, until when. */
static void write_times(const struct daemon *daemon,
                        const struct core_lease_view *view,
                        struct buf *out)
{
    const struct core_lease_row *row = &view->row;
    uint64_t now_ms = driver_now_ms(daemon->driver);
    bool was_granted = row->first_granted_at_ms != 0;
    bool has_ended = row->state == LEASE_ENDED;
    uint64_t held_ms =
        has_ended ? view->held_ms : left(now_ms, row->first_granted_at_ms);
    bool is_alive = was_granted && view->expires_at_ms != 0 &&
                    view->expires_at_ms != CORE_FOREVER;
    bool is_due =
        view->deadline_at_ms != CORE_FOREVER && view->deadline_at_ms != 0;

    if (!has_ended) {
        member_time(out, "submitted_at",
                    daemon_wall_ms(daemon, row->submitted_at_ms));
        member_time(out, "since", daemon_wall_ms(daemon, view->state_at_ms));
        member_u64(out, "state_ms", left(now_ms, view->state_at_ms));
        member_u64(out, "waited_ms",
                   left(was_granted ? row->first_granted_at_ms : now_ms,
                        row->submitted_at_ms));
    }
    member_maybe(out, "held_ms", was_granted || has_ended, held_ms);
    member_maybe(out, "expires_in_ms", is_alive && !has_ended,
                 grant_expires_in_ms(daemon, view));
    member_maybe(out, "deadline_in_ms", is_due && !has_ended,
                 left(view->deadline_at_ms, now_ms));
}

/* Append what a pause or an end is about. */
static void write_cause(const struct daemon *daemon,
                        const struct core_lease_view *view,
                        struct buf *out)
{
    bool is_pausing = view->row.state == LEASE_PAUSING;
    struct api_control pause = {0};

    if (is_pausing) {
        grant_pause(daemon, view, &pause);
    }
    member_text(out, "requester", pause.requester);
    member_maybe(out, "release_mib", is_pausing, pause.release_mib);
    member_text(out, "reason",
                view->reason == CORE_REASON_NONE
                    ? NULL
                    : core_reason_name(view->reason));
}

void views_lease(struct daemon *daemon,
                 const struct core_lease_view *view,
                 struct buf *out)
{
    const struct core_lease_row *row = &view->row;
    bool is_live = row->state != LEASE_ENDED;

    buf_text(out, "{\"lease\":");
    buf_u64(out, row->id);
    member_maybe(out, "token", row->token != 0, row->token);
    member_text(out, "state", lease_state_name((enum lease_state)row->state));
    member_text(out, "service_id",
                names_service_name(daemon->names, row->service));
    member_text(out, "class", config_class_name(daemon->config, row->class_id));
    member_u64(out, "priority", grant_priority(daemon, row->class_id));
    write_sent(daemon, row->id, out);
    write_devices(daemon, row, out);
    if (is_live) {
        member_maybe(out, "vram_mib", row->vram_mib != 0, row->vram_mib);
        member_maybe(out, "measured_mib", view->is_measured,
                     view->measured_mib);
        member_u64(out, "gpus", row->gpus);
        member_bool(out, "preemptible",
                    (row->flags & CORE_ROW_PREEMPTIBLE) != 0);
        member_bool(out, "hears", view->can_hear);
        member_text(out, "guarantee",
                    row->token == 0 ? NULL
                                    : core_guarantee_name(
                                          watching_guarantee(daemon, view)));
    }
    write_times(daemon, view, out);
    write_cause(daemon, view, out);
    views_walk(daemon, view, out);
    member_name(out, "why");
    if (is_live) {
        views_why(daemon, view, out);
    } else {
        buf_text(out, "null");
    }
    buf_byte(out, '}');
}
